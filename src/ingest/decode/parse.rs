//! Parses all of a subscription message with serde. It is the reference for `prefilter`, which
//! leaves to it whatever is in doubt, and the only reader if the configuration says `strict`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::Poison;
use crate::ingest::json::{Text, json_problem, text};
use crate::ingest::logs::{LogBatch, LogEvent, Message};

/// Parses a subscription message. Unknown fields are accepted anywhere. Bad log events are left out
/// of the message, and the poison says what is wrong with them.
pub(super) fn message(text: &str) -> Result<(Message<'_>, Option<Poison>), Poison> {
    #[derive(Deserialize)]
    struct Raw<'t> {
        #[serde(borrow, rename = "messageType")]
        message_type: Cow<'t, str>,
        #[serde(borrow, default)]
        owner: Option<Text<'t>>,
        #[serde(borrow, default, rename = "logGroup")]
        log_group: Option<Text<'t>>,
        #[serde(borrow, default, rename = "logStream")]
        log_stream: Option<Text<'t>>,
        #[serde(borrow, default, rename = "logEvents")]
        log_events: Option<&'t RawValue>,
    }
    let raw: Raw<'_> = serde_json::from_str(text).map_err(|e| not_a_message(&e))?;
    match raw.message_type.as_ref() {
        "CONTROL_MESSAGE" => Ok((Message::Control, None)),
        "DATA_MESSAGE" => {
            let owner = bounded("owner", raw.owner)?;
            let log_group = bounded("logGroup", raw.log_group)?;
            let log_stream = bounded("logStream", raw.log_stream)?;
            let (events, flaw) = events(raw.log_events.ok_or_else(|| missing("logEvents"))?)?;
            Ok((Message::Data(LogBatch { owner, log_group, log_stream, events }), flaw))
        }
        _ => Err(Poison::NotASubscription(
            "messageType is neither DATA_MESSAGE nor CONTROL_MESSAGE".to_owned(),
        )),
    }
}

#[derive(Deserialize)]
struct RawEvent<'t> {
    /// Digits, as text. Some emulators send a number, which is too large for any number type.
    #[serde(borrow)]
    id: &'t RawValue,
    timestamp: i64,
    #[serde(borrow)]
    message: Cow<'t, str>,
    #[serde(borrow, default, rename = "extractedFields")]
    extracted: Option<&'t RawValue>,
}

/// The readable events, and what is wrong with the others.
fn events(raw: &RawValue) -> Result<(Vec<LogEvent<'_>>, Option<Poison>), Poison> {
    match all_events(raw) {
        Ok(events) => Ok((events, None)),
        // Again, each event by itself.
        Err(_) => good_events(raw),
    }
}

fn all_events(raw: &RawValue) -> Result<Vec<LogEvent<'_>>, Poison> {
    let raw: Vec<RawEvent<'_>> = serde_json::from_str(raw.get()).map_err(|e| not_events(&e))?;
    raw.into_iter().map(RawEvent::read).collect()
}

fn good_events(raw: &RawValue) -> Result<(Vec<LogEvent<'_>>, Option<Poison>), Poison> {
    let raw: Vec<&RawValue> = serde_json::from_str(raw.get()).map_err(|e| not_events(&e))?;
    let (events, mut bad, mut first) = (raw.len(), 0, None);
    let mut good = Vec::with_capacity(events);
    for (index, raw) in raw.into_iter().enumerate() {
        match event(raw.get().as_bytes()) {
            Ok(event) => good.push(event),
            Err(poison) => {
                bad += 1;
                first.get_or_insert((index + 1, poison));
            }
        }
    }
    let flaw = first.map(|(first, poison)| Poison::BadEvent {
        bad,
        events,
        first,
        why: poison.to_string(),
    });
    Ok((good, flaw))
}

/// Parses one log event.
pub(super) fn event(text: &[u8]) -> Result<LogEvent<'_>, Poison> {
    let unexpected = |e: serde_json::Error| {
        Poison::NotASubscription(format!("an unexpected shape at its column {}", e.column()))
    };
    serde_json::from_slice::<RawEvent<'_>>(text).map_err(unexpected)?.read()
}

/// Repairs the strings of a JSON text: a control character becomes a blank, and a backslash that
/// begins no escape is doubled.
pub(super) fn repaired(text: &str) -> String {
    let mut repaired = String::with_capacity(text.len() + 16);
    let mut is_inside = false;
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '"' => {
                is_inside = !is_inside;
                repaired.push('"');
            }
            '\0'..='\x1f' if is_inside => repaired.push(' '),
            '\\' if is_inside && is_escape(rest.as_str()) => {
                repaired.push('\\');
                repaired.extend(rest.next());
            }
            '\\' if is_inside => repaired.push_str("\\\\"),
            c => repaired.push(c),
        }
    }
    repaired
}

/// Whether a backslash before `rest` begins an escape.
fn is_escape(rest: &str) -> bool {
    match rest.as_bytes() {
        [b'u', digits @ ..] => digits.len() >= 4 && digits[..4].iter().all(u8::is_ascii_hexdigit),
        [byte, ..] => b"\"\\/bfnrt".contains(byte),
        [] => false,
    }
}

/// Parses a JSON string with its quotes.
pub(super) fn string(text: &[u8]) -> Result<Cow<'_, str>, Poison> {
    serde_json::from_slice::<Text<'_>>(text).map(|text| text.0).map_err(|e| not_events(&e))
}

impl<'t> RawEvent<'t> {
    fn read(self) -> Result<LogEvent<'t>, Poison> {
        let (account, region) = self.extracted.map_or((None, None), system_fields);
        let (id, timestamp, message) = (event_id(self.id)?, self.timestamp, self.message);
        Ok(LogEvent { id, timestamp, message, account, region })
    }
}

/// The longest name that a row can have as key or label. Those of AWS have at most 512 bytes.
pub(super) const NAME_BYTES_MAX: usize = 1024;

fn bounded<'t>(field: &str, name: Option<Text<'t>>) -> Result<Cow<'t, str>, Poison> {
    match name.map(|text| text.0) {
        Some(name) if name.len() <= NAME_BYTES_MAX => Ok(name),
        Some(_) => {
            Err(Poison::NotASubscription(format!("{field} is longer than {NAME_BYTES_MAX} bytes")))
        }
        None => Err(missing(field)),
    }
}

fn missing(field: &str) -> Poison {
    Poison::NotASubscription(format!("a data message without {field}"))
}

fn event_id(raw: &RawValue) -> Result<Cow<'_, str>, Poison> {
    let digits =
        || raw.get().bytes().all(|b| b.is_ascii_digit()).then_some(Cow::Borrowed(raw.get()));
    let id = text(raw).or_else(digits);
    id.filter(|id| (1..=NAME_BYTES_MAX).contains(&id.len()))
        .ok_or_else(|| Poison::NotASubscription("a log event without a usable id".to_owned()))
}

/// `@aws.account` and `@aws.region`. Other extracted fields may have any type, and are ignored.
fn system_fields(raw: &RawValue) -> (Option<Cow<'_, str>>, Option<Cow<'_, str>>) {
    #[derive(Deserialize)]
    struct Fields<'t> {
        #[serde(borrow, default, rename = "@aws.account")]
        account: Option<&'t RawValue>,
        #[serde(borrow, default, rename = "@aws.region")]
        region: Option<&'t RawValue>,
    }
    fn name(raw: Option<&RawValue>) -> Option<Cow<'_, str>> {
        text(raw?).filter(|name| (1..=NAME_BYTES_MAX).contains(&name.len()))
    }
    let fields: Option<Fields<'_>> = serde_json::from_str(raw.get()).ok();
    fields.map_or((None, None), |fields| (name(fields.account), name(fields.region)))
}

fn not_a_message(error: &serde_json::Error) -> Poison {
    let (line, column) = (error.line(), error.column());
    match json_problem(error) {
        Some(problem) => Poison::NotJson { problem, line, column },
        None => {
            Poison::NotASubscription(format!("unexpected fields at line {line}, column {column}"))
        }
    }
}

fn not_events(error: &serde_json::Error) -> Poison {
    Poison::NotASubscription(format!(
        "logEvents has an unexpected shape at its line {}, column {}",
        error.line(),
        error.column()
    ))
}
