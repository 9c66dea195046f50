//! The kinds of Block Kit blocks that Stentor posts, as Slack's JSON (docs.slack.dev, Block Kit).
//! Slack refuses empty texts and empty lists, so the constructors make none: they return `None`.

use std::ops::Not;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::model::truncate::truncated;

/// Slack takes 75 characters.
const BUTTON_BYTES_MAX: usize = 75;

/// One block of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Block {
    /// `plain_text` of at most 150 characters.
    Header {
        text: TextObject,
    },
    Divider,
    RichText {
        elements: Vec<RichText>,
    },
    /// Small print. At most 10 elements.
    Context {
        elements: Vec<TextObject>,
    },
    /// Buttons. At most 25 elements.
    Actions {
        elements: Vec<Button>,
    },
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TextObject {
    PlainText {
        text: String,
        emoji: bool,
    },
    /// Markup: `&`, `<` and `>` in it have a meaning.
    Mrkdwn {
        text: String,
    },
}

/// A button that opens a link. Its text has at most 75 characters.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename = "button")]
pub struct Button {
    pub text: TextObject,
    pub url: String,
    /// Unique in its block.
    pub action_id: String,
}

/// An element of a `rich_text` block.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type")]
pub enum RichText {
    #[serde(rename = "rich_text_section")]
    Section { elements: Vec<Element> },
    #[serde(rename = "rich_text_preformatted")]
    Preformatted { elements: Vec<Element> },
    /// Of sections.
    #[serde(rename = "rich_text_list")]
    List { style: ListStyle, elements: Vec<RichText> },
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ListStyle {
    Bullet,
}

/// A piece of rich text. `Text` has no markup, so it cannot mention a user or a channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Element {
    Text {
        text: String,
        #[serde(default, skip_serializing_if = "Style::is_plain")]
        style: Style,
    },
    Link {
        url: String,
        text: String,
    },
    /// `@here`, `@channel` or `@everyone`, from the configuration.
    Broadcast {
        range: String,
    },
    /// A mention of a user group, from the configuration.
    Usergroup {
        usergroup_id: String,
    },
    /// A mention of a user, from the configuration.
    User {
        user_id: String,
    },
    /// A moment in the reader's time zone. `timestamp` is in seconds.
    Date {
        timestamp: i64,
        format: String,
        fallback: String,
    },
}

#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Style {
    #[serde(skip_serializing_if = "Not::not")]
    pub bold: bool,
    #[serde(skip_serializing_if = "Not::not")]
    pub code: bool,
}

impl Block {
    pub fn header(text: &str) -> Option<Self> {
        some(text).map(|text| Self::Header { text: TextObject::PlainText { text, emoji: true } })
    }

    pub fn rich_text(elements: impl IntoIterator<Item = RichText>) -> Option<Self> {
        filled(elements).map(|elements| Self::RichText { elements })
    }

    pub fn actions(buttons: impl IntoIterator<Item = Button>) -> Option<Self> {
        filled(buttons).map(|elements| Self::Actions { elements })
    }

    pub fn context(elements: impl IntoIterator<Item = TextObject>) -> Option<Self> {
        filled(elements).map(|elements| Self::Context { elements })
    }
}

impl Button {
    pub fn new(text: &str, url: &str, number: usize) -> Option<Self> {
        let text = TextObject::plain(&truncated(text, BUTTON_BYTES_MAX))?;
        Some(Self { text, url: url.to_owned(), action_id: format!("link-{number}") })
    }
}

impl TextObject {
    pub fn plain(text: &str) -> Option<Self> {
        some(text).map(|text| Self::PlainText { text, emoji: false })
    }
}

impl RichText {
    pub fn section(elements: impl IntoIterator<Item = Element>) -> Option<Self> {
        filled(elements).map(|elements| Self::Section { elements })
    }

    pub fn preformatted(text: &str) -> Option<Self> {
        Element::text(text, Style::default())
            .map(|text| Self::Preformatted { elements: vec![text] })
    }

    pub fn bullets(sections: impl IntoIterator<Item = RichText>) -> Option<Self> {
        filled(sections).map(|elements| Self::List { style: ListStyle::Bullet, elements })
    }
}

impl Element {
    pub fn text(text: &str, style: Style) -> Option<Self> {
        some(text).map(|text| Self::Text { text, style })
    }
}

impl Style {
    pub const BOLD: Self = Self { bold: true, code: false };
    pub const CODE: Self = Self { bold: false, code: true };

    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "the signature that serde's skip_serializing_if wants"
    )]
    fn is_plain(&self) -> bool {
        *self == Self::default()
    }
}

/// How much of Slack's limit for a whole message a part uses: the bytes of all its strings, types
/// and URLs among them. Slack does not document how it counts. Reports of refused messages speak of
/// 10,600 bytes to 13,200 characters of text; this count is higher than any of theirs.
pub fn size(part: &impl Serialize) -> usize {
    let value = serde_json::to_value(part).expect("invariant: blocks are plain JSON data");
    string_bytes(&value)
}

fn string_bytes(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(string_bytes).sum(),
        Value::Object(fields) => fields.values().map(string_bytes).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn some(text: &str) -> Option<String> {
    (!text.is_empty()).then(|| text.to_owned())
}

fn filled<T>(elements: impl IntoIterator<Item = T>) -> Option<Vec<T>> {
    let elements: Vec<T> = elements.into_iter().collect();
    (!elements.is_empty()).then_some(elements)
}
