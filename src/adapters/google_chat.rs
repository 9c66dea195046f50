//! Google Chat through the webhook of a space. A burst is one thread.

use reqwest::{Method, Url};
use serde_json::{Value, json};

use crate::adapters::attempt::Attempt;
use crate::adapters::chat::ChatUrl;
use crate::adapters::http::exchange::{Exchange, HttpRequest};
use crate::message::compose::{Budget, compose};
use crate::message::markdown::{self, Markup};
use crate::model::digest::Digest;
use crate::protocol::notify::{Accepted, DeliverError};

/// A text has at most 4,096 characters (developers.google.com/workspace/chat, Create a message).
const BUDGET: Budget = Budget {
    size: |content| markdown::message(content, Markup::GoogleChat).chars().count(),
    size_max: 3_900,
};

const SERVICE: &str = "Google Chat";

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
    let body = body(attempt.stack, attempt.digest);
    let request = HttpRequest::json(Method::POST, threaded(webhook.url()), &body);
    let answer = attempt.send(request).await.map_err(|error| error.failure(SERVICE))?;
    // The answer is the message with its name. A proxy answers something else.
    let is_message = answer.json::<Value>().is_some_and(|body| body["name"].is_string());
    match answer.status == 200 && is_message {
        true => Ok(Accepted::default()),
        false => Err(answer.failure(SERVICE, None)),
    }
}

/// The body of the request. Messages with the same key are in the same thread.
pub fn body(stack: &str, digest: &Digest) -> Value {
    let content = compose(digest, &BUDGET);
    json!({
        "text": markdown::message(&content, Markup::GoogleChat),
        "thread": {"threadKey": digest.incident_id(stack)},
    })
}

/// A thread that does not exist begins with the message.
fn threaded(url: &Url) -> Url {
    let mut url = url.clone();
    url.query_pairs_mut().append_pair("messageReplyOption", "REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD");
    url
}
