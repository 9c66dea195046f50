//! Discord through a webhook. A digest is an embed. In a forum channel a burst is one thread.

use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::adapters::attempt::Attempt;
use crate::adapters::chat::{ChatUrl, color};
use crate::adapters::http::exchange::{Exchange, HttpAnswer, HttpRequest};
use crate::message::compose::{Budget, compose};
use crate::message::markdown::{self, Markup};
use crate::model::digest::Digest;
use crate::model::truncate::truncated;
use crate::protocol::notify::{Accepted, DeliverError};

/// An embed's description has at most 4,096 characters, and its title 256
/// (discord.com/developers/docs, Embed Limits).
const BUDGET: Budget = Budget {
    size: |content| markdown::body(content, Markup::CommonMark).chars().count(),
    size_max: 3_900,
};
const TITLE_BYTES_MAX: usize = 256;
const THREAD_NAME_BYTES_MAX: usize = 100;

/// Discord's codes: a webhook of a forum channel needs a thread; the thread does not exist.
const NEEDS_THREAD: u64 = 220_001;
const UNKNOWN_CHANNEL: u64 = 10_003;

const SERVICE: &str = "Discord";

/// The thread of a burst in a forum channel; as JSON the reference that [`Accepted`] carries.
#[derive(Debug, Serialize, Deserialize)]
struct ForumThread {
    thread: String,
}

/// The part of an answer that matters.
#[derive(Debug, Default, Deserialize)]
struct DiscordAnswer {
    /// Of a message.
    id: Option<String>,
    /// Of an error.
    code: Option<u64>,
    /// The thread, if the message began or joined one.
    channel_id: Option<String>,
}

/// Posts the digest once.
///
/// # Errors
/// [`Retry`](DeliverError::Retry) after 429, 5xx and a lost connection;
/// [`Denied`](DeliverError::Denied) after 401, 403 and 404;
/// [`Refused`](DeliverError::Refused) after any other 4xx.
pub async fn deliver<X: Exchange>(
    attempt: &Attempt<'_, X>,
    webhook: &ChatUrl,
) -> Result<Accepted, DeliverError> {
    let thread = attempt.joins.and_then(|joins| serde_json::from_str::<ForumThread>(joins).ok());
    let mut body = body(attempt.digest);
    let mut in_thread = thread.map(|forum| forum.thread);
    let mut answer = post(attempt, webhook, in_thread.as_deref(), &body).await?;
    if in_thread.is_some() && code(&answer) == Some(UNKNOWN_CHANNEL) {
        in_thread = None;
        answer = post(attempt, webhook, None, &body).await?;
    }
    let mut is_forum = in_thread.is_some();
    if code(&answer) == Some(NEEDS_THREAD) {
        is_forum = true;
        let name = body["embeds"][0]["title"].as_str().unwrap_or("Stentor");
        body["thread_name"] = truncated(name, THREAD_NAME_BYTES_MAX).into();
        answer = post(attempt, webhook, None, &body).await?;
    }
    let posted = answer.json::<DiscordAnswer>().filter(|posted| posted.id.is_some());
    let Some(posted) = posted.filter(|_| answer.is_success()) else {
        let code = code(&answer).map(|code| format!("code {code}"));
        return Err(answer.failure(SERVICE, code.as_deref()));
    };
    let thread = posted.channel_id.or(in_thread).filter(|_| is_forum);
    let message = thread.map(|thread| {
        serde_json::to_string(&ForumThread { thread }).expect("invariant: a text always serializes")
    });
    Ok(Accepted { message, related: None })
}

/// The body of the request.
pub fn body(digest: &Digest) -> Value {
    let content = compose(digest, &BUDGET);
    json!({
        // Log text mentions no one, whatever it holds.
        "allowed_mentions": {"parse": []},
        "embeds": [{
            "title": truncated(&content.headline, TITLE_BYTES_MAX),
            "description": markdown::body(&content, Markup::CommonMark),
            "color": color(content.status),
        }],
    })
}

async fn post<X: Exchange>(
    attempt: &Attempt<'_, X>,
    webhook: &ChatUrl,
    thread: Option<&str>,
    body: &Value,
) -> Result<HttpAnswer, DeliverError> {
    let url = with_query(webhook.url(), thread);
    let request = HttpRequest::json(Method::POST, url, body);
    attempt.send(request).await.map_err(|error| error.failure(SERVICE))
}

/// With `wait`, Discord answers after it stored the message.
fn with_query(url: &Url, thread: Option<&str>) -> Url {
    let mut url = url.clone();
    let mut query = url.query_pairs_mut();
    query.append_pair("wait", "true");
    if let Some(thread) = thread {
        query.append_pair("thread_id", thread);
    }
    drop(query);
    url
}

fn code(answer: &HttpAnswer) -> Option<u64> {
    if answer.is_success() { None } else { answer.json::<DiscordAnswer>()?.code }
}
