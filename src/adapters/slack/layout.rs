//! Content → Slack message: which block shows which part of the content, within Slack's limits.
//! Log text goes into `rich_text` and `plain_text` only, which have no markup, so it cannot mention
//! a user or a channel. The one other text, [`SlackMessage::text`], is escaped.

use serde::Serialize;
use serde_json::json;

use super::blocks::{Block, Button, Element, RichText, Style, TextObject, size};
use crate::config::Mention;
use crate::message::burst;
use crate::message::compose::{Budget, URL_BYTES_MAX, compose};
use crate::message::content::{Content, GroupDetail, HEADLINE_BYTES_MAX, Inline, Line, Link};
use crate::model::digest::Digest;
use crate::model::time::Timestamp;

#[cfg(test)]
mod golden;
#[cfg(test)]
mod tests;

/// Slack refuses messages of more than about 12,000 characters (`msg_blocks_too_long`,
/// undocumented). The distance allows for what else it may count.
const BUDGET: Budget = Budget { size: size_before_end, size_max: 9_000 };

/// Kept free for the end of the message: the count of the groups that are left out, and the
/// reference.
const END_BYTES: usize = 400;

// A header takes 150 characters. A URL takes 3,000; in a context block it is part of a text, for
// which 2,000 are safe.
const _: () = assert!(HEADLINE_BYTES_MAX <= 150 && URL_BYTES_MAX < 2_000);

/// What is posted: the body for an incoming webhook and, with a `channel`, for `chat.postMessage`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct SlackMessage {
    /// One line of mrkdwn: the notification, and the message where blocks cannot be shown.
    pub text: String,
    pub blocks: Vec<Block>,
    // A console link leads to a sign-in page, and a preview of that is useless.
    unfurl_links: bool,
    unfurl_media: bool,
}

/// The content of a digest, with as many groups as Slack has room for.
pub fn content(digest: &Digest) -> Content {
    compose(digest, &BUDGET)
}

/// The message for a digest. Total: any digest gives a message within Slack's limits.
pub fn render(digest: &Digest) -> SlackMessage {
    message(&content(digest))
}

/// The message for `content`, which must fit: see [`content`].
pub fn message(content: &Content) -> SlackMessage {
    let blocks =
        before_groups(content).into_iter().chain(groups(content)).chain(end(content)).collect();
    SlackMessage::new(&content.notification, blocks)
}

/// The message above a thread, after `digest` was added to the thread. `opening` is [`opening`] of
/// the first digest.
pub fn burst_message(digest: &Digest, opening: &[Block]) -> SlackMessage {
    let content = burst::compose(digest);
    let divider = (!opening.is_empty()).then_some(Block::Divider);
    let blocks =
        headline_and_facts(&content).into_iter().chain(divider).chain(opening.iter().cloned());
    SlackMessage::new(&content.notification, blocks.chain(end(&content)).collect())
}

/// The blocks that a message above a thread keeps: what began the burst.
pub fn opening(digest: &Digest) -> Vec<Block> {
    burst::opening(digest).iter().flat_map(detail).collect()
}

impl SlackMessage {
    /// The message with mentions above everything else.
    pub fn mentioning(mut self, mentions: &[Mention]) -> Self {
        let blank = || Element::text(" ", Style::default());
        let elements = mentions.iter().flat_map(|name| [Some(mention(name)), blank()]).flatten();
        if let Some(block) = Block::rich_text(RichText::section(elements)) {
            self.blocks.insert(0, block);
        }
        self
    }

    fn new(notification: &str, blocks: Vec<Block>) -> Self {
        Self { text: escaped(notification), blocks, unfurl_links: false, unfurl_media: false }
    }

    /// A link that opens the message in Slack's Block Kit Builder. The message is in the fragment
    /// of the URL, which a browser does not send.
    pub fn preview_url(&self) -> String {
        let payload = json!({"blocks": self.blocks}).to_string();
        format!("https://app.slack.com/block-kit-builder/#{}", percent_encoded(&payload))
    }
}

fn mention(mention: &Mention) -> Element {
    let broadcast = |range: &str| Element::Broadcast { range: range.to_owned() };
    match mention {
        Mention::Here => broadcast("here"),
        Mention::Channel => broadcast("channel"),
        Mention::Everyone => broadcast("everyone"),
        Mention::Group(id) => Element::Usergroup { usergroup_id: id.clone() },
        Mention::User(id) => Element::User { user_id: id.clone() },
    }
}

fn size_before_end(content: &Content) -> usize {
    let lines = content.more_groups.iter().map(|group| size(&section(&group.line())));
    let blocks = before_groups(content).into_iter().chain(details(content)).collect::<Vec<_>>();
    escaped(&content.notification).len() + size(&blocks) + lines.sum::<usize>() + END_BYTES
}

fn before_groups(content: &Content) -> Vec<Block> {
    let divider = (content.alerts > 0).then_some(Block::Divider);
    headline_and_facts(content).into_iter().chain(divider).collect()
}

fn headline_and_facts(content: &Content) -> Vec<Block> {
    let facts: Vec<Line> = content.facts.lines().cloned().collect();
    let facts = section(&facts.join(&Inline::Plain("\n".to_owned())));
    let buttons = content.all_links().enumerate();
    let buttons = buttons.filter_map(|(n, link)| Button::new(&link.text, &link.url, n));
    let header = Block::header(&content.headline).into_iter();
    header.chain(Block::rich_text(facts)).chain(Block::actions(buttons)).collect()
}

fn groups(content: &Content) -> impl Iterator<Item = Block> {
    let lines = content.more_groups.iter().filter_map(|group| section(&group.line()));
    let left_out = content.left_out.and_then(|left_out| section(&left_out.line()));
    details(content).chain(Block::rich_text(RichText::bullets(lines).into_iter().chain(left_out)))
}

fn details(content: &Content) -> impl Iterator<Item = Block> {
    content.groups.iter().flat_map(detail)
}

/// A group: its summary and excerpt, then where the excerpt was logged.
fn detail(group: &GroupDetail) -> impl Iterator<Item = Block> + use<> {
    let text = section(&group.summary).into_iter().chain(RichText::preformatted(&group.excerpt));
    let link = group
        .link
        .as_ref()
        .map(|Link { url, text }| TextObject::Mrkdwn { text: format!("<{url}|{text}>") });
    let place = TextObject::plain(&group.place.to_string());
    Block::rich_text(text).into_iter().chain(Block::context(link.into_iter().chain(place)))
}

fn end(content: &Content) -> Option<Block> {
    Block::context(TextObject::plain(&content.reference.to_string()))
}

fn section(line: &[Inline]) -> Option<RichText> {
    RichText::section(line.iter().flat_map(elements))
}

fn elements(inline: &Inline) -> Vec<Element> {
    match inline {
        Inline::Plain(text) => Element::text(text, Style::default()).into_iter().collect(),
        Inline::Strong(text) => Element::text(text, Style::BOLD).into_iter().collect(),
        Inline::Code(text) => Element::text(text, Style::CODE).into_iter().collect(),
        Inline::Link(Link { url, text }) => {
            vec![Element::Link { url: url.clone(), text: text.clone().into_owned() }]
        }
        Inline::LocalTime { at, utc } => local_time(*at, utc).unwrap_or_default(),
    }
}

/// ` · Today at 3:15 PM your time`. `None` for a date with which Slack may not cope.
fn local_time(at: Timestamp, utc: &str) -> Option<Vec<Element>> {
    const YEARS_2000_TO_2099: std::ops::Range<i64> = 946_684_800..4_102_444_800;
    let timestamp = at.as_millis().div_euclid(1000);
    let format = "{date_short_pretty} at {time}".to_owned();
    let date = Element::Date { timestamp, format, fallback: utc.to_owned() };
    let plain = |text| Element::text(text, Style::default());
    YEARS_2000_TO_2099
        .contains(&timestamp)
        .then(|| plain(" · ").into_iter().chain([date]).chain(plain(" your time")).collect())
}

/// Makes text literal where Slack reads mrkdwn. (docs.slack.dev: exactly these three characters are
/// escaped.)
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Percent-encoded for the fragment of a URL.
fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len() * 2), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                encoded.push(char::from(byte))
            }
            _ => {
                write!(encoded, "%{byte:02X}").expect("invariant: writing to a String cannot fail")
            }
        }
        encoded
    })
}
