//! From the bytes of a record to its log events: base64, gzip, JSON. In parallel over the records of
//! a batch, order kept, the decoded size capped. A record that cannot be read is a [`Poison`], a
//! value with its reason; what becomes of it is `consume`'s business.
//!
//! The text of a record lives only while the record is looked at: [`all`] hands each message to the
//! caller's `read` on the worker that decoded it and keeps what `read` returns. So memory is bounded
//! by the workers, not by the batch. It is also the seam for a faster path: whoever can find markers
//! in raw bytes changes this file, and nobody else notices.

use std::borrow::Cow;
use std::io::Read as _;
use std::panic::{AssertUnwindSafe, catch_unwind};

use flate2::bufread::GzDecoder;
use rayon::prelude::*;
use serde::Deserialize;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::event::{Data, Record, Text, json_problem, text};

/// What a subscription sent: log events, or a sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'t> {
    Data(LogBatch<'t>),
    /// `CONTROL_MESSAGE`: CloudWatch Logs checks whether the destination can be reached.
    Control,
}

/// The log events of one stream, in the order they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogBatch<'t> {
    /// Account that owns the log group.
    pub owner: Cow<'t, str>,
    pub log_group: Cow<'t, str>,
    pub log_stream: Cow<'t, str>,
    pub events: Vec<LogEvent<'t>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent<'t> {
    pub id: Cow<'t, str>,
    /// Milliseconds since 1970, as the producer said.
    pub timestamp: i64,
    pub message: Cow<'t, str>,
    /// `@aws.account` and `@aws.region`, where the subscription emits system fields.
    pub account: Option<Cow<'t, str>>,
    pub region: Option<Cow<'t, str>>,
}

/// Why a record cannot be read. The text starts with a word that stays the same for ever: parked
/// messages are selected by it. It never quotes the record, which may hold a secret.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum Poison {
    #[error("no-data: {0}")]
    NoData(String),
    #[error("bad-base64: {0}")]
    Base64(String),
    #[error("not-gzip: {0}")]
    NotGzip(&'static str),
    #[error("truncated-gzip: the stream ends after {decoded_bytes} decoded bytes")]
    Truncated { decoded_bytes: usize },
    #[error("trailing-bytes: {bytes} bytes after the gzip stream are no gzip member")]
    TrailingBytes { bytes: usize },
    #[error("corrupt-gzip: {0}")]
    Corrupt(String),
    #[error("too-large: decodes to more than {decoded_bytes_max} bytes")]
    TooLarge { decoded_bytes_max: u64 },
    #[error("not-utf8: invalid UTF-8 at decoded byte {at}")]
    NotUtf8 { at: usize },
    #[error("not-json: {problem} at line {line}, column {column} of the decoded text")]
    NotJson { problem: &'static str, line: usize, column: usize },
    #[error("not-a-subscription: {0}")]
    NotSubscription(String),
    /// The store will never take it, whatever is retried.
    #[error("unstorable: {0}")]
    Unstorable(String),
    /// A defect of this program, kept to one record.
    #[error("panic: reading the record failed unexpectedly")]
    Panic,
}

/// Decodes every record and passes its message to `read`, in parallel. The results stand in the order
/// of `records`. A record never decodes to more than `decoded_bytes_max` bytes.
pub fn all<T: Send>(
    records: &[Record<'_>],
    decoded_bytes_max: u64,
    read: impl Fn(&Record<'_>, &Message<'_>) -> Result<T, Poison> + Sync,
) -> Vec<Result<T, Poison>> {
    // A panic is a defect, and it must stay with its record: the others of the batch are innocent.
    let guarded = |record| catch_unwind(AssertUnwindSafe(|| one(record, decoded_bytes_max, &read)));
    records.par_iter().map(|record| guarded(record).unwrap_or(Err(Poison::Panic))).collect()
}

fn one<T>(
    record: &Record<'_>,
    decoded_bytes_max: u64,
    read: impl Fn(&Record<'_>, &Message<'_>) -> Result<T, Poison>,
) -> Result<T, Poison> {
    match &record.data {
        Data::Message(message) => read(record, message),
        Data::Missing(why) => Err(Poison::NoData(why.clone())),
        Data::Base64(_) => {
            let gzip = record.bytes().transpose().map_err(|e| bad_base64(&e))?.unwrap_or_default();
            let text = inflate(&gzip, decoded_bytes_max)?;
            drop(gzip);
            let text = str::from_utf8(&text).map_err(|e| Poison::NotUtf8 { at: e.valid_up_to() })?;
            read(record, &message(text)?)
        }
    }
}

/// The library's own text names the offending byte, that is, a byte of the record: keep to its place.
fn bad_base64(error: &base64::DecodeError) -> Poison {
    use base64::DecodeError;
    Poison::Base64(match error {
        DecodeError::InvalidByte(at, _) => format!("no base64 character at offset {at}"),
        DecodeError::InvalidLastSymbol { offset, .. } => {
            format!("the last character, at offset {offset}, is impossible")
        }
        DecodeError::InvalidLength(_) => "the text has an impossible length".to_owned(),
        DecodeError::InvalidPadding => "the padding is wrong".to_owned(),
    })
}

/// All members of a gzip stream, checksums verified. A decoder that stops after the first member, or
/// that takes a cut stream for a whole one, loses log lines without a word; hence one member at a time.
fn inflate(mut gzip: &[u8], decoded_bytes_max: u64) -> Result<Vec<u8>, Poison> {
    if !gzip.starts_with(&[0x1f, 0x8b]) {
        return Err(Poison::NotGzip(resembles(gzip)));
    }
    let mut text = Vec::with_capacity(size_hint(gzip, decoded_bytes_max));
    while !gzip.is_empty() {
        if !text.is_empty() && !gzip.starts_with(&[0x1f, 0x8b]) {
            return Err(Poison::TrailingBytes { bytes: gzip.len() });
        }
        let room = decoded_bytes_max - text.len() as u64;
        let mut member = GzDecoder::new(gzip);
        // One byte more than there is room for tells "exactly full" from "too large".
        let read = member.by_ref().take(room + 1).read_to_end(&mut text);
        if text.len() as u64 > decoded_bytes_max {
            return Err(Poison::TooLarge { decoded_bytes_max });
        }
        read.map_err(|error| bad_gzip(&error, text.len()))?;
        gzip = member.into_inner();
    }
    Ok(text)
}

/// The trailer's size field, believed only as far as deflate can expand (1,032 to 1) and the limit allows.
fn size_hint(gzip: &[u8], decoded_bytes_max: u64) -> usize {
    const DEFLATE_RATIO_MAX: usize = 1032;
    let claimed = gzip.last_chunk::<4>().map_or(0, |isize| u32::from_le_bytes(*isize) as usize);
    let possible = gzip.len().saturating_mul(DEFLATE_RATIO_MAX);
    claimed.min(possible).min(usize::try_from(decoded_bytes_max).unwrap_or(usize::MAX))
}

fn bad_gzip(error: &std::io::Error, decoded_bytes: usize) -> Poison {
    match error.kind() {
        std::io::ErrorKind::UnexpectedEof => Poison::Truncated { decoded_bytes },
        // The decoder's texts are fixed sentences ("corrupt gzip stream does not have a matching checksum").
        _ => Poison::Corrupt(error.to_string()),
    }
}

fn resembles(bytes: &[u8]) -> &'static str {
    match bytes {
        [] => "the record is empty",
        [b'{' | b'[', ..] => "it looks like uncompressed JSON",
        [0x28, 0xb5, 0x2f, 0xfd, ..] => "it looks like zstd",
        // RFC 1950: compression method 8, and the first two bytes are a multiple of 31.
        [first, second, ..] if first & 0x0f == 8 && (u16::from(*first) << 8 | u16::from(*second)) % 31 == 0 => {
            "it looks like zlib"
        }
        _ => "the magic bytes 1f 8b are missing",
    }
}

/// The text of a subscription message. Unknown fields are accepted wherever they stand.
fn message(text: &str) -> Result<Message<'_>, Poison> {
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
        "CONTROL_MESSAGE" => Ok(Message::Control),
        "DATA_MESSAGE" => Ok(Message::Data(LogBatch {
            owner: bounded("owner", raw.owner)?,
            log_group: bounded("logGroup", raw.log_group)?,
            log_stream: bounded("logStream", raw.log_stream)?,
            events: events(raw.log_events.ok_or_else(|| missing("logEvents"))?)?,
        })),
        _ => Err(Poison::NotSubscription("messageType is neither DATA_MESSAGE nor CONTROL_MESSAGE".to_owned())),
    }
}

fn events(raw: &RawValue) -> Result<Vec<LogEvent<'_>>, Poison> {
    #[derive(Deserialize)]
    struct Raw<'t> {
        /// Digits, as text; some emulators send them as a number, which no number type can hold.
        #[serde(borrow)]
        id: &'t RawValue,
        timestamp: i64,
        #[serde(borrow)]
        message: Cow<'t, str>,
        #[serde(borrow, default, rename = "extractedFields")]
        extracted: Option<&'t RawValue>,
    }
    let events: Vec<Raw<'_>> = serde_json::from_str(raw.get()).map_err(|e| not_events(&e))?;
    let mut read = Vec::with_capacity(events.len());
    for raw in events {
        let (account, region) = raw.extracted.map_or((None, None), system_fields);
        let (id, timestamp, message) = (event_id(raw.id)?, raw.timestamp, raw.message);
        read.push(LogEvent { id, timestamp, message, account, region });
    }
    Ok(read)
}

/// The longest name that a row can be keyed by or labelled with; AWS's own are at most 512 bytes.
const NAME_BYTES_MAX: usize = 1024;

fn bounded<'t>(field: &str, name: Option<Text<'t>>) -> Result<Cow<'t, str>, Poison> {
    match name.map(|text| text.0) {
        Some(name) if name.len() <= NAME_BYTES_MAX => Ok(name),
        Some(_) => Err(Poison::NotSubscription(format!("{field} is longer than {NAME_BYTES_MAX} bytes"))),
        None => Err(missing(field)),
    }
}

fn missing(field: &str) -> Poison {
    Poison::NotSubscription(format!("a data message without {field}"))
}

fn event_id(raw: &RawValue) -> Result<Cow<'_, str>, Poison> {
    let digits = || raw.get().bytes().all(|b| b.is_ascii_digit()).then_some(Cow::Borrowed(raw.get()));
    let id = text(raw).or_else(digits);
    id.filter(|id| (1..=NAME_BYTES_MAX).contains(&id.len()))
        .ok_or_else(|| Poison::NotSubscription("a log event without a usable id".to_owned()))
}

/// `@aws.account` and `@aws.region`. The other extracted fields are of any type and nobody's business.
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
        None => Poison::NotSubscription(format!("unexpected fields at line {line}, column {column}")),
    }
}

fn not_events(error: &serde_json::Error) -> Poison {
    Poison::NotSubscription(format!(
        "logEvents has an unexpected shape at its line {}, column {}",
        error.line(),
        error.column()
    ))
}

#[cfg(test)]
mod tests;
