//! Digest → SNS message: text for people, JSON for programs, or the notification of Amazon Q; and
//! the attributes by which subscriptions filter. Within SNS's limit of 256 KiB for everything.

use std::collections::BTreeMap;

use serde_json::{Map, Value, json};

use crate::config::SnsFormat;
use crate::message::compose::{Budget, compose};
use crate::message::content::{Content, Status};
use crate::message::document::document;
use crate::message::plain;
use crate::message::subject::subject;
use crate::model::digest::Digest;
use crate::model::tally::Names;
use crate::model::truncate::truncated;
use crate::model::visible;

/// Characters per line. Many mail programs use a proportional font, so lines need not fit a
/// terminal.
const WIDTH: usize = 100;

/// The text for people, as a part of a JSON document. Each of its quotes takes two bytes there.
const TEXT_BYTES_MAX: usize = 60_000;

/// The document for programs. SNS takes one for each protocol.
const DOCUMENT_BYTES_MAX: usize = 19_000;
const PROGRAMS: [&str; 5] = ["firehose", "http", "https", "lambda", "sqs"];

/// The size of the card of Amazon Q: people open the console for more.
const CARD_BYTES_MAX: usize = 3_000;
const CARD_TITLE_BYTES_MAX: usize = 250;

/// The most accounts or apps in an attribute, and the longest of them.
const ATTRIBUTE_NAMES_MAX: usize = 10;
const ATTRIBUTE_NAME_BYTES_MAX: usize = 128;

/// A message and its attributes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnsMessage {
    pub subject: String,
    pub text: String,
    /// `json` if `text` has a text for each protocol.
    pub structure: Option<&'static str>,
    pub attributes: BTreeMap<&'static str, SnsAttribute>,
}

/// The value of an attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SnsAttribute {
    Text(String),
    /// A filter policy matches each of the texts.
    List(Vec<String>),
}

impl SnsMessage {
    /// The parameters of the request, as `stentor run --show` prints them.
    pub fn parameters(&self) -> Value {
        let attributes = self.attributes.iter().map(|(key, value)| {
            let (kind, text) = value.encoded();
            ((*key).to_owned(), json!({"DataType": kind, "StringValue": text}))
        });
        json!({
            "Subject": self.subject,
            "Message": self.text,
            "MessageStructure": self.structure,
            "MessageAttributes": attributes.collect::<Map<String, Value>>(),
        })
    }
}

impl SnsAttribute {
    /// The type and the value as SNS takes them.
    pub fn encoded(&self) -> (&'static str, String) {
        match self {
            Self::Text(text) => ("String", text.clone()),
            Self::List(texts) => ("String.Array", json!(texts).to_string()),
        }
    }
}

/// The message for a digest. Total: any digest gives a message within SNS's limits.
pub fn message(stack: &str, digest: &Digest, format: SnsFormat) -> SnsMessage {
    let content = compose(digest, &BUDGET);
    let (text, structure) = match format {
        SnsFormat::Text => (per_protocol(stack, digest, &content).to_string(), Some("json")),
        SnsFormat::AmazonQ => (card(stack, digest).to_string(), None),
    };
    SnsMessage { subject: subject(&content), text, structure, attributes: attributes(digest) }
}

const BUDGET: Budget =
    Budget { size: |content| json_len(&plain::mail(content, WIDTH)), size_max: TEXT_BYTES_MAX };

fn per_protocol(stack: &str, digest: &Digest, content: &Content) -> Value {
    let document = document(stack, digest, DOCUMENT_BYTES_MAX);
    let document = serde_json::to_string(&document).expect("invariant: a document is plain data");
    let mut texts = json!({
        "default": plain::mail(content, WIDTH),
        // A text message has at most 1,600 characters, and costs by the 140 bytes.
        "sms": content.notification,
    });
    for program in PROGRAMS {
        texts[program] = document.as_str().into();
    }
    texts
}

/// The custom notification of Amazon Q (docs.aws.amazon.com/chatbot, Custom notifications).
fn card(stack: &str, digest: &Digest) -> Value {
    const CARD: Budget =
        Budget { size: |content| json_len(&plain::mail(content, WIDTH)), size_max: CARD_BYTES_MAX };
    let content = compose(digest, &CARD);
    let (_, body) = plain::mail(&content, WIDTH).split_once('\n').map_or_else(
        || (String::new(), String::new()),
        |(first, rest)| (first.to_owned(), rest.to_owned()),
    );
    let state = match content.status {
        Status::Quiet => "over",
        Status::Alerting(severity) => severity.as_str(),
    };
    json!({
        "version": "1.0",
        "source": "custom",
        "id": format!("{}/{}-{}", digest.incident_id(stack), digest.epochs.0, digest.epochs.1),
        "content": {
            "textType": "client-markdown",
            "title": truncated(&inert(&content.headline), CARD_TITLE_BYTES_MAX),
            // Between fences nothing is markup.
            "description": format!("```\n{}\n```", inert(body.trim_end())),
            "keywords": [digest.route.to_string(), state],
        },
        "metadata": {
            "threadId": digest.incident_id(stack),
            "summary": inert(&content.notification),
            "eventType": format!("stentor.{state}"),
        },
    })
}

/// Text that mentions no one in Slack or Teams and ends no fence.
fn inert(text: &str) -> String {
    text.replace('`', "'").replace('@', "@\u{200b}").replace('<', "<\u{200b}")
}

fn attributes(digest: &Digest) -> BTreeMap<&'static str, SnsAttribute> {
    let text = |text: &str| SnsAttribute::Text(text.to_owned());
    let lists = [("account", &digest.tally.accounts), ("app", &digest.tally.apps)];
    let lists = lists.into_iter().filter_map(|(key, names)| Some((key, list(names)?)));
    let status = if digest.ends_burst { "over" } else { "alerting" };
    [
        ("route", text(digest.route.as_str())),
        ("severity", text(digest.severity.as_str())),
        ("status", text(status)),
    ]
    .into_iter()
    .chain(lists)
    .collect()
}

/// The most frequent names. SNS refuses an empty list.
fn list(names: &Names) -> Option<SnsAttribute> {
    let mut seen: Vec<(&String, &u64)> = names.seen.iter().collect();
    seen.sort_by(|(a, x), (b, y)| (y, a).cmp(&(x, b)));
    let names =
        seen.into_iter().map(|(name, _)| truncated(&visible::line(name), ATTRIBUTE_NAME_BYTES_MAX));
    let names: Vec<String> =
        names.filter(|name| !name.is_empty()).take(ATTRIBUTE_NAMES_MAX).collect();
    (!names.is_empty()).then_some(SnsAttribute::List(names))
}

fn json_len(text: &str) -> usize {
    serde_json::to_string(text).map_or(usize::MAX, |json| json.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::tests::any;

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, ..ProptestConfig::default() })]

        /// Subject, message and attributes are 256 KiB at most (SNS API reference, Publish).
        #[test]
        fn any_digest_fits_a_message(digest in any::digest()) {
            for format in [SnsFormat::Text, SnsFormat::AmazonQ] {
                let message = message("stack", &digest, format);
                let attributes =
                    message.attributes.iter().map(|(key, value)| key.len() + 20 + value.encoded().1.len());
                let bytes = message.text.len() + message.subject.len() + attributes.sum::<usize>();
                prop_assert!(bytes < 256 << 10, "{bytes}");
                prop_assert!(message.attributes.len() <= 10);
                prop_assert!(serde_json::from_str::<Value>(&message.text).is_ok());
            }
        }
    }
}
