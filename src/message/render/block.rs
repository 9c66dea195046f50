//! The few kinds of Block Kit blocks that a digest is shown with, and their JSON. Log text goes into
//! `rich_text` and `plain_text` only: neither has markup, so nothing in it can mention anyone. Empty
//! text, which Slack refuses, is left out here and nowhere else.

use serde_json::{Value, json};

use crate::model::time::Timestamp;

/// One block of the message.
pub enum Block {
    /// At most 150 characters.
    Header(String),
    Divider,
    Text(Vec<Part>),
    /// Small print.
    Context {
        link: Option<Link>,
        text: String,
    },
}

/// One element of a `rich_text` block.
pub enum Part {
    Lines(Vec<Line>),
    /// Log text as it was written.
    Sample(String),
    List(Vec<Line>),
}

pub type Line = Vec<Inline>;

/// A piece of a line.
#[derive(Clone)]
pub enum Inline {
    Plain(String),
    Strong(String),
    Code(String),
    Link(Link),
    /// ` · Today at 3:15 PM your time`: a moment on the clock of whoever reads the message.
    Local {
        at: Timestamp,
        fallback: String,
    },
}

/// A link into the console. Its `url` is made by [`console_url`](crate::model::tally::Sample::console_url), which
/// leaves nothing in it that mrkdwn reads.
#[derive(Clone)]
pub struct Link {
    pub url: String,
    pub text: &'static str,
}

impl Block {
    /// `None` when there is nothing in it to show.
    pub fn json(&self) -> Option<Value> {
        match self {
            Block::Header(text) => some(text)
                .map(|text| json!({"type": "header", "text": {"type": "plain_text", "text": text, "emoji": true}})),
            Block::Divider => Some(json!({"type": "divider"})),
            Block::Text(parts) => {
                filled(parts.iter().filter_map(Part::json)).map(|parts| json!({"type": "rich_text", "elements": parts}))
            }
            Block::Context { link, text } => {
                let link = link
                    .as_ref()
                    .map(|Link { url, text }| json!({"type": "mrkdwn", "text": format!("<{url}|{text}>")}));
                let text = some(text).map(|text| json!({"type": "plain_text", "text": text, "emoji": false}));
                filled(link.into_iter().chain(text)).map(|elements| json!({"type": "context", "elements": elements}))
            }
        }
    }

    /// How much of what Slack takes in one message it uses up: the bytes of all its strings, the names of
    /// types and the links among them. Slack's own measure is not documented (reports speak of 10,600 bytes
    /// to 13,200 characters of text); this one counts bytes, types and links, which is more than any of them did.
    pub fn weight(&self) -> usize {
        self.json().as_ref().map_or(0, weight)
    }
}

impl Part {
    fn json(&self) -> Option<Value> {
        match self {
            Part::Lines(lines) => section(&lines.join(&Inline::plain("\n"))),
            Part::Sample(text) => some(text)
                .map(|text| json!({"type": "rich_text_preformatted", "elements": [{"type": "text", "text": text}]})),
            Part::List(lines) => filled(lines.iter().filter_map(|line| section(line)))
                .map(|lines| json!({"type": "rich_text_list", "style": "bullet", "elements": lines})),
        }
    }
}

impl Inline {
    pub fn plain(text: impl Into<String>) -> Self {
        Self::Plain(text.into())
    }

    /// What is left of it where there are no styles and links, and nobody's clock is known.
    pub fn as_str(&self) -> &str {
        match self {
            Inline::Plain(text) | Inline::Strong(text) | Inline::Code(text) => text,
            Inline::Link(link) => link.text,
            Inline::Local { .. } => "",
        }
    }

    fn json(&self) -> Vec<Value> {
        let text = |text: &str| json!({"type": "text", "text": text});
        match self {
            inline if inline.is_empty() => vec![],
            Inline::Plain(plain) => vec![text(plain)],
            Inline::Strong(text) => vec![json!({"type": "text", "text": text, "style": {"bold": true}})],
            Inline::Code(text) => vec![json!({"type": "text", "text": text, "style": {"code": true}})],
            Inline::Link(Link { url, text }) => vec![json!({"type": "link", "url": url, "text": text})],
            Inline::Local { at, fallback } => {
                let seconds = at.as_millis().div_euclid(1000);
                let format = "{date_short_pretty} at {time}";
                let date = json!({"type": "date", "timestamp": seconds, "format": format, "fallback": fallback});
                vec![text(" · "), date, text(" your time")]
            }
        }
    }

    fn is_empty(&self) -> bool {
        !matches!(self, Inline::Local { .. }) && self.as_str().is_empty()
    }
}

/// The weight of one line of text, counted as in [`Block::weight`].
pub fn line_weight(line: &Line) -> usize {
    section(line).as_ref().map_or(0, weight)
}

fn weight(value: &Value) -> usize {
    match value {
        Value::String(text) => text.len(),
        Value::Array(values) => values.iter().map(weight).sum(),
        Value::Object(fields) => fields.values().map(weight).sum(),
        Value::Null | Value::Bool(_) | Value::Number(_) => 0,
    }
}

fn section(line: &[Inline]) -> Option<Value> {
    filled(line.iter().flat_map(Inline::json)).map(|line| json!({"type": "rich_text_section", "elements": line}))
}

fn some(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

fn filled(values: impl Iterator<Item = Value>) -> Option<Vec<Value>> {
    let values: Vec<Value> = values.collect();
    (!values.is_empty()).then_some(values)
}
