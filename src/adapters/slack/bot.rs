//! Slack as a bot: a burst is one message in the channel. It begins with the first digest; each later one becomes a
//! reply in its thread, and then the message itself is brought up to date ([`layout::burst_message`]). Who looks into the
//! channel sees how things stand, who opens the thread how they came to it.
//!
//! The reply is what counts: once Slack has taken it, the digest is told, whatever becomes of the update. The next
//! update makes up for one that failed.

use std::fmt;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use super::answer::{self, Done, Failed};
use super::blocks::Block;
use super::layout::{self, Message};
use super::{Slack, send};
use crate::model::digest::Digest;
use crate::protocol::clock::Deadline;
use crate::protocol::notify::{Accepted, DeliverError};

/// A bot, and where it speaks. Prints without its token.
#[derive(Clone)]
pub struct Bot {
    authorization: HeaderValue,
    /// An id (`C0123`) or a name (`#alerts`), as a person wrote it.
    channel: String,
}

/// No bot can be made of a credential. Neither part is repeated.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BadBot {
    #[error("its token is empty, or holds what no token holds")]
    Token,
    #[error("its channel is empty")]
    Channel,
}

/// The message that a burst began with; as text the reference that [`Accepted`] carries.
#[derive(Debug, Serialize, Deserialize)]
struct Parent {
    /// The channel's id: names change, and `chat.update` does not take them.
    channel: String,
    ts: String,
    /// The channel as it was configured. Under another one a new message begins.
    configured: String,
    /// What it said at first, which it goes on saying.
    opening: Vec<Block>,
}

#[derive(Serialize)]
struct Post<'a> {
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_ts: Option<&'a str>,
    #[serde(flatten)]
    message: Message,
}

impl Bot {
    /// # Errors
    /// When the token cannot be sent as one, or there is no channel.
    pub fn new(token: &str, channel: &str) -> Result<Self, BadBot> {
        let (token, channel) = (token.trim(), channel.trim().to_owned());
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(BadBot::Token);
        }
        if channel.is_empty() {
            return Err(BadBot::Channel);
        }
        let mut authorization = HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| BadBot::Token)?;
        authorization.set_sensitive(true);
        Ok(Self { authorization, channel })
    }
}

impl fmt::Debug for Bot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bot(… in {})", self.channel)
    }
}

impl Slack {
    /// Tells the digest once, as a reply to the message that `joins` refers to or, where that is none of this
    /// channel's or gone, as a new message. Done or given up by `deadline`.
    ///
    /// # Errors
    /// As [`Slack::post`]; with status 200 the error word decides.
    pub async fn tell(
        &self,
        bot: &Bot,
        digest: &Digest,
        joins: Option<&str>,
        deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        let Some(parent) = joins.and_then(Parent::read).filter(|parent| parent.configured == bot.channel) else {
            return Ok(self.begin(bot, digest, deadline).await?);
        };
        match self.reply(bot, digest, &parent, deadline).await {
            Err(failed) if failed.is_gone() => {
                tracing::info!(target = %digest.target, "The message of this burst is gone, {} gets a new one", digest.target);
                Ok(self.begin(bot, digest, deadline).await?)
            }
            replied => Ok(replied?),
        }
    }

    async fn begin(&self, bot: &Bot, digest: &Digest, deadline: Deadline) -> Result<Accepted, Failed> {
        let post = Post { channel: &bot.channel, thread_ts: None, message: layout::render(digest) };
        let done = self.call(bot, "chat.postMessage", &post, deadline).await?;
        Ok(begun(bot, digest, done))
    }

    async fn reply(&self, bot: &Bot, digest: &Digest, parent: &Parent, deadline: Deadline) -> Result<Accepted, Failed> {
        let message = layout::render(digest);
        let post = Post { channel: &parent.channel, thread_ts: Some(&parent.ts), message };
        let done = self.call(bot, "chat.postMessage", &post, deadline).await?;
        if done.message.as_ref().is_some_and(|posted| posted.thread_ts.is_none()) {
            // A reply to a message that was deleted is not refused: it stands in the channel, on its own.
            return Ok(begun(bot, digest, done));
        }
        let reference = match self.bring_up_to_date(bot, digest, parent, deadline).await {
            Ok(renewed) => renewed.as_ref().unwrap_or(parent).reference(),
            Err(failed) => {
                tracing::warn!(target = %digest.target, "{} has the reply, but not the message above it: {}", digest.target, failed.error);
                parent.reference()
            }
        };
        Ok(Accepted { message: Some(reference) })
    }

    /// Makes the message show the burst as it stands. One that was deleted is made anew, and that one answered.
    async fn bring_up_to_date(
        &self,
        bot: &Bot,
        digest: &Digest,
        parent: &Parent,
        deadline: Deadline,
    ) -> Result<Option<Parent>, Failed> {
        let state = layout::burst_message(digest, &parent.opening);
        let Parent { channel, ts, configured, opening } = parent;
        // Unlike a post, an update would look for names and links in the text unless told not to.
        let update = json!({"channel": channel, "ts": ts, "text": state.text, "blocks": state.blocks, "parse": "none"});
        match self.call(bot, "chat.update", &update, deadline).await {
            Err(failed) if failed.is_gone() => {}
            updated => return updated.map(|_| None),
        }
        let done =
            self.call(bot, "chat.postMessage", &Post { channel, thread_ts: None, message: state }, deadline).await?;
        let (configured, opening) = (configured.clone(), opening.clone());
        Ok(done.channel.zip(done.ts).map(|(channel, ts)| Parent { channel, ts, configured, opening }))
    }

    async fn call(&self, bot: &Bot, method: &str, body: &impl Serialize, deadline: Deadline) -> Result<Done, Failed> {
        let url = self.api.0.join(method).expect("invariant: the name of a method is a relative URL");
        let request = self.http.get().map_err(answer::lost)?.post(url).header(AUTHORIZATION, bot.authorization.clone());
        answer::of_method(send(request, body, deadline).await?).await
    }
}

/// The digest stands in the channel as a message of its own, which later ones can join if Slack said where it is.
fn begun(bot: &Bot, digest: &Digest, done: Done) -> Accepted {
    let (Some(channel), Some(ts)) = (done.channel, done.ts) else { return Accepted::default() };
    let parent = Parent { channel, ts, configured: bot.channel.clone(), opening: layout::opening(digest) };
    Accepted { message: Some(parent.reference()) }
}

impl Parent {
    fn reference(&self) -> String {
        serde_json::to_string(self).expect("invariant: a reference is plain JSON data")
    }

    /// `None` for what another channel, or another version, wrote.
    fn read(reference: &str) -> Option<Self> {
        serde_json::from_str(reference).ok()
    }
}

impl From<Failed> for DeliverError {
    fn from(failed: Failed) -> Self {
        failed.error
    }
}
