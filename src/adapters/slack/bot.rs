//! Slack as a bot: a burst is one message in the channel. It begins with the first digest. Each
//! later digest becomes a reply in the thread, and then the message is updated
//! ([`layout::burst_message`]). The channel shows how things stand, and the thread how they got
//! there.
//!
//! Only the reply counts: once Slack has accepted it, the digest is delivered, even if the update
//! fails. The next update makes up for one that failed.

use std::fmt;

use reqwest::header::{AUTHORIZATION, HeaderValue};
use serde::{Deserialize, Serialize};
use serde_json::json;
use thiserror::Error;

use super::Slack;
use super::answer::{self, MethodAnswer};
use super::blocks::Block;
use super::error::SlackFailure;
use super::layout::{self, SlackMessage};
use super::mentions::BurstMentions;
use crate::config::Mention;
use crate::model::digest::Digest;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::notify::{Accepted, DeliverError};

/// A bot and its channel. Prints without the token.
#[derive(Clone)]
pub struct Bot {
    authorization: HeaderValue,
    /// The channel's id (`C0123`) or name (`#alerts`), as the credential has it.
    channel: String,
}

/// Why a credential is not that of a bot. The text does not repeat it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BotError {
    #[error("the token is empty, or has a character that no token has")]
    Token,
    #[error("the channel is empty")]
    Channel,
}

/// The message above a thread; as JSON the reference that [`Accepted`] carries.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Parent {
    /// The channel's id: names change, and `chat.update` does not take them.
    pub(super) channel: String,
    pub(super) ts: String,
    /// The channel in the credential. If that changes, a new message begins.
    configured: String,
    /// The part of the message that stays.
    opening: Vec<Block>,
    #[serde(flatten)]
    mentions: BurstMentions,
}

/// The body of `chat.postMessage`.
#[derive(Serialize)]
struct Post<'a> {
    channel: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    thread_ts: Option<&'a str>,
    #[serde(flatten)]
    message: SlackMessage,
}

impl Bot {
    /// # Errors
    /// When the token cannot be a header, or the channel is empty.
    pub fn new(token: &str, channel: &str) -> Result<Self, BotError> {
        let (token, channel) = (token.trim(), channel.trim().to_owned());
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(BotError::Token);
        }
        if channel.is_empty() {
            return Err(BotError::Channel);
        }
        let mut authorization =
            HeaderValue::from_str(&format!("Bearer {token}")).map_err(|_| BotError::Token)?;
        authorization.set_sensitive(true);
        Ok(Self { authorization, channel })
    }
}

impl Bot {
    pub(super) fn authorization(&self) -> HeaderValue {
        self.authorization.clone()
    }
}

impl fmt::Debug for Bot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bot(… in {})", self.channel)
    }
}

impl<C: Clock> Slack<C> {
    /// Posts the digest once with `mentions` above it, as a reply to the message that `joins` refers to. If that message is
    /// in another channel or gone, the digest becomes a new message. Returns before `deadline`.
    ///
    /// # Errors
    /// As [`Slack::post`]; with status 200 the error code decides.
    pub async fn post_as_bot(
        &self,
        bot: &Bot,
        digest: &Digest,
        mentions: &[Mention],
        joins: Option<&str>,
        deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        let content = layout::content(digest);
        let message = layout::message(&content).mentioning(mentions);
        let parent = joins.and_then(Parent::read);
        let parent = parent.filter(|parent| parent.configured == bot.channel);
        let has_mentioned = BurstMentions::read(joins).mentioned;
        let Some(mut parent) = self.post_in_thread(bot, digest, message, parent, deadline).await?
        else {
            return Ok(Accepted::default());
        };
        parent.mentions.mentioned = has_mentioned || !mentions.is_empty();
        if content.left_out.is_some() {
            self.attach_listing(bot, digest, &parent, deadline).await;
        }
        Ok(Accepted { message: Some(parent.reference()), related: None })
    }

    /// Returns the message that later ones join; `None` if Slack has not named it.
    async fn post_in_thread(
        &self,
        bot: &Bot,
        digest: &Digest,
        message: SlackMessage,
        parent: Option<Parent>,
        deadline: Deadline,
    ) -> Result<Option<Parent>, SlackFailure> {
        let Some(parent) = parent else {
            return self.start_thread(bot, digest, message, deadline).await;
        };
        match self.reply(bot, digest, message.clone(), parent, deadline).await {
            Err(failure) if failure.error.is_parent_gone() => {
                tracing::info!(target = %digest.target, "The message of this burst is gone, {} gets a new one", digest.target);
                self.start_thread(bot, digest, message, deadline).await
            }
            replied => replied,
        }
    }

    async fn start_thread(
        &self,
        bot: &Bot,
        digest: &Digest,
        message: SlackMessage,
        deadline: Deadline,
    ) -> Result<Option<Parent>, SlackFailure> {
        let post = Post { channel: &bot.channel, thread_ts: None, message };
        let answer = self.call(bot, "chat.postMessage", &post, deadline).await?;
        Ok(posted_parent(bot, digest, answer))
    }

    async fn reply(
        &self,
        bot: &Bot,
        digest: &Digest,
        message: SlackMessage,
        parent: Parent,
        deadline: Deadline,
    ) -> Result<Option<Parent>, SlackFailure> {
        let post = Post { channel: &parent.channel, thread_ts: Some(&parent.ts), message };
        let answer = self.call(bot, "chat.postMessage", &post, deadline).await?;
        if answer.message.as_ref().is_some_and(|posted| posted.thread_ts.is_none()) {
            // Slack accepts a reply to a deleted message, and posts it outside any thread.
            return Ok(posted_parent(bot, digest, answer));
        }
        let renewed = match self.update_parent(bot, digest, &parent, deadline).await {
            Ok(renewed) => renewed,
            Err(SlackFailure { error, .. }) => {
                tracing::warn!(target = %digest.target, "{} has the reply, but not the update above it: {error}", digest.target);
                None
            }
        };
        Ok(Some(renewed.unwrap_or(parent)))
    }

    /// Makes the message above the thread show the current state. If the message was deleted, a new
    /// one is posted, and later digests reply to that.
    async fn update_parent(
        &self,
        bot: &Bot,
        digest: &Digest,
        parent: &Parent,
        deadline: Deadline,
    ) -> Result<Option<Parent>, SlackFailure> {
        let message = layout::burst_message(digest, &parent.opening);
        let Parent { channel, ts, configured, opening, .. } = parent;
        // Unlike a post, an update looks for names and links in the text unless told not to.
        let update = json!({"channel": channel, "ts": ts, "text": message.text, "blocks": message.blocks, "parse": "none"});
        match self.call(bot, "chat.update", &update, deadline).await {
            Err(failure) if failure.error.is_parent_gone() => {}
            updated => return updated.map(|_| None),
        }
        let post = Post { channel, thread_ts: None, message };
        let answer = self.call(bot, "chat.postMessage", &post, deadline).await?;
        let (configured, opening) = (configured.clone(), opening.clone());
        let mentions = BurstMentions::default();
        Ok(answer.channel.zip(answer.ts).map(|(channel, ts)| Parent {
            channel,
            ts,
            configured,
            opening,
            mentions,
        }))
    }

    pub(super) async fn call(
        &self,
        bot: &Bot,
        method: &str,
        body: &impl Serialize,
        deadline: Deadline,
    ) -> Result<MethodAnswer, SlackFailure> {
        let request = self
            .http
            .get()?
            .post(self.method(method))
            .header(AUTHORIZATION, bot.authorization.clone());
        let answer = self.send(request, body, deadline).await?;
        answer::read_method(answer, self.clock.now()).await
    }
}

/// The digest is a message of its own. Later ones can reply to it if Slack has named it.
fn posted_parent(bot: &Bot, digest: &Digest, answer: MethodAnswer) -> Option<Parent> {
    let (opening, mentions) = (layout::opening(digest), BurstMentions::default());
    let (channel, ts) = (answer.channel?, answer.ts?);
    Some(Parent { channel, ts, configured: bot.channel.clone(), opening, mentions })
}

impl Parent {
    fn reference(&self) -> String {
        serde_json::to_string(self).expect("invariant: a reference is plain JSON data")
    }

    /// `None` for the reference of another channel, or of another version.
    pub(super) fn read(reference: &str) -> Option<Self> {
        serde_json::from_str(reference).ok()
    }
}
