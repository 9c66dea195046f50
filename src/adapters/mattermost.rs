//! Mattermost: through an incoming webhook, which posts each digest as a message of its own, or as a
//! bot, which posts the digests of a burst into one thread.

use std::fmt;

use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::adapters::attempt::Attempt;
use crate::adapters::chat::ChatUrl;
use crate::adapters::http::exchange::{Exchange, HttpRequest, authorization};
use crate::adapters::http::url::parse_base;
use crate::adapters::secret::{Credential, CredentialError, word};
use crate::message::compose::{Budget, compose};
use crate::message::markdown::{self, Markup};
use crate::model::digest::Digest;
use crate::protocol::notify::{Accepted, DeliverError};

/// A post has at most 16,383 characters (developers.mattermost.com, Create a post). People do not
/// read that much.
const BUDGET: Budget = Budget {
    size: |content| markdown::message(content, Markup::CommonMark).chars().count(),
    size_max: 9_000,
};

const SERVICE: &str = "Mattermost";

/// Where digests are posted. Prints without credentials.
#[derive(Clone)]
pub enum MattermostChannel {
    Webhook(ChatUrl),
    Bot { server: Url, token: String, channel_id: String },
}

/// The first post of a burst; as JSON the reference that [`Accepted`] carries.
#[derive(Debug, Serialize, Deserialize)]
struct RootPost {
    root: String,
}

#[derive(Debug, Default, Deserialize)]
struct MattermostAnswer {
    /// Of a post.
    #[serde(default)]
    id: String,
}

impl MattermostChannel {
    /// The URL of an incoming webhook, or `{"url": "https://…", "token": "…", "channel_id": "…"}`.
    ///
    /// # Errors
    /// When it is neither.
    pub fn parse(credential: &Credential) -> Result<Self, CredentialError> {
        let (token, channel_id) = match (credential.field("token"), credential.field("channel_id"))
        {
            (Some(token), Some(channel_id)) => (token, channel_id),
            (Some(_), None) => return Err(CredentialError::Field("channel_id", "is missing")),
            (None, Some(_)) => return Err(CredentialError::Field("token", "is missing")),
            (None, None) => {
                return ChatUrl::parse(credential, "the webhook of Mattermost").map(Self::Webhook);
            }
        };
        let (token, channel_id) = (word(token, "token")?, word(channel_id, "channel_id")?);
        let server = credential.field("url").ok_or(CredentialError::Field("url", "is missing"))?;
        let server = parse_base(server, "the server of Mattermost")?;
        Ok(Self::Bot { server, token: token.to_owned(), channel_id: channel_id.to_owned() })
    }
}

impl fmt::Debug for MattermostChannel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Webhook(url) => write!(f, "MattermostChannel({url:?})"),
            Self::Bot { channel_id, .. } => write!(f, "MattermostChannel(bot in {channel_id})"),
        }
    }
}

/// Posts the digest once.
///
/// # Errors
/// [`Retry`](DeliverError::Retry) after 429, 5xx and a lost connection;
/// [`Denied`](DeliverError::Denied) after 401, 403 and 404;
/// [`Refused`](DeliverError::Refused) after any other 4xx.
pub async fn deliver<X: Exchange>(
    attempt: &Attempt<'_, X>,
    channel: &MattermostChannel,
) -> Result<Accepted, DeliverError> {
    match channel {
        MattermostChannel::Webhook(webhook) => post(attempt, webhook).await,
        MattermostChannel::Bot { server, token, channel_id } => {
            post_as_bot(attempt, server, token, channel_id).await
        }
    }
}

/// The text of the message.
pub fn text(digest: &Digest) -> String {
    markdown::message(&compose(digest, &BUDGET), Markup::CommonMark)
}

async fn post<X: Exchange>(
    attempt: &Attempt<'_, X>,
    webhook: &ChatUrl,
) -> Result<Accepted, DeliverError> {
    let body = json!({"text": text(attempt.digest)});
    let request = HttpRequest::json(Method::POST, webhook.url().clone(), &body);
    let answer = attempt.send(request).await.map_err(|error| error.failure(SERVICE))?;
    match answer.status == 200 && answer.body.trim_ascii() == b"ok" {
        true => Ok(Accepted::default()),
        false => Err(answer.failure(SERVICE, None)),
    }
}

async fn post_as_bot<X: Exchange>(
    attempt: &Attempt<'_, X>,
    server: &Url,
    token: &str,
    channel_id: &str,
) -> Result<Accepted, DeliverError> {
    let root = attempt.joins.and_then(|joins| serde_json::from_str::<RootPost>(joins).ok());
    let mut root = root.map(|post| post.root);
    loop {
        let body = bot_body(attempt.digest, channel_id, root.as_deref());
        let url = server.join("api/v4/posts").expect("invariant: the path is a relative URL");
        let authorization = authorization("Bearer", token);
        let request = HttpRequest::json(Method::POST, url, &body).authorized(&authorization);
        let answer = attempt.send(request).await.map_err(|error| error.failure(SERVICE))?;
        // The first post was deleted: the digest begins a new thread.
        if root.is_some() && matches!(answer.status, 400 | 404) {
            root = None;
            continue;
        }
        let posted = answer.json::<MattermostAnswer>().unwrap_or_default();
        if answer.status != 201 || posted.id.is_empty() {
            return Err(answer.failure(SERVICE, None));
        }
        let root = RootPost { root: root.unwrap_or(posted.id) };
        let message = serde_json::to_string(&root).expect("invariant: a text always serializes");
        return Ok(Accepted { message: Some(message), related: None });
    }
}

fn bot_body(digest: &Digest, channel_id: &str, root: Option<&str>) -> Value {
    json!({
        "channel_id": channel_id,
        "message": text(digest),
        "root_id": root.unwrap_or_default(),
    })
}
