//! The statement of a JSON line, also of one in the text of another, as log routers write it.

mod fields;
mod template;

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

use self::fields::{Field, attributes, field, fields, first_text, string};
use self::template::{is_rendered_elsewhere, rendered};
use super::continuation::{is_exception, is_frame};
use super::lead::{is_all_lead, is_level, lead_bytes};
use super::lines::says_nothing;
use super::{DEPTH_MAX, Found, find_marker, one_line, read};
use crate::model::truncate::truncated;

/// Keys whose values say what happened, the best first.
const MESSAGE_KEYS: &[&str] = &[
    "message",
    "msg",
    "renderedMessage",
    "@m",
    "@mt",
    "messageTemplate",
    "log",
    "@message",
    "short_message",
    "body",
    "text",
    "event",
    "errorMessage",
    "error_message",
    "error.message",
    "exception.message",
    "exception_message",
    "error",
    "err",
    "exception",
    "exc_info",
    "reason",
    "description",
    "detail",
    "title",
    "cause",
    "stack",
    "stackTrace",
    "stack_trace",
    "stringValue",
];
/// Keys whose values say why it happened. The message may be the same for other causes.
const CAUSE_KEYS: &[&str] = &[
    "error",
    "err",
    "errorMessage",
    "error_message",
    "error.message",
    "exception",
    "exception.message",
    "exception_message",
    "thrown",
    "exc_info",
    "@x",
    "reason",
    "cause",
];
/// The ends of keys of a stack trace, which names the deepest cause.
const STACK_KEY_ENDS: &[&str] = &["stack", "stacktrace", "stack_trace", "traceback", "exc_info"];
/// A shorter text is no stack trace.
const STACK_BYTES_MIN: usize = 24;
/// Objects that hold such keys.
const HOLDERS: &[&str] = &[
    "message",
    "msg",
    "error",
    "err",
    "exception",
    "fields",
    "event",
    "log",
    "data",
    "body",
    "detail",
    "attributes",
    "details",
    "record",
    "payload",
];
/// Keys whose values tell errors apart, when the message does not.
const KIND_KEYS: &[&str] = &[
    "eventName",
    "errorType",
    "error_type",
    "error.type",
    "exceptionType",
    "exception_type",
    "exception.type",
    "exception_class",
    "exceptionClass",
    "errorCode",
    "error_code",
    "error.code",
    "code",
    "status",
    "statusCode",
    "status_code",
];
/// The same within `error` and its like.
const KIND_KEYS_OF_ERROR: &[&str] =
    &["type", "name", "class", "kind", "code", "errorType", "errorCode", "status", "statusCode"];
/// Kinds that say nothing.
const COMMON_KINDS: &[&str] = &["error", "exception", "object", "string", "null"];
const LEVEL_KEYS: &[&str] = &[
    "level",
    "lvl",
    "severity",
    "severity_text",
    "log_level",
    "loglevel",
    "log.level",
    "levelname",
    "level_name",
    "@l",
];

const KINDS_MAX: usize = 3;
const KIND_BYTES_MAX: usize = 80;
/// A cause is cut to this.
const CAUSE_BYTES_MAX: usize = 160;
/// An object without a message is described by so many of its members.
const MEMBERS_MAX: usize = 8;
const MEMBER_BYTES_MAX: usize = 60;

/// The statement of the JSON object that `text` holds after a lead. `None` if it holds none, or
/// none that says something.
pub(super) fn read_object(text: &str, marker: &str, depth: usize) -> Option<Found> {
    let open = memchr(b'{', text.as_bytes())?;
    let before = &text[..open];
    if before.contains('\n') && !before.trim().is_empty() {
        return None;
    }
    let lead = &before[lead_bytes(before)..];
    let is_only_lead = says_nothing(lead);
    let is_document = is_only_lead || find_marker(text, marker).is_some_and(|at| at >= open);
    if !is_document {
        return None;
    }
    let fields = fields(&text[open..]);
    if fields.is_empty() {
        return None;
    }
    match with_marker(&fields, marker, depth).or_else(|| by_key(&fields, marker, depth)) {
        Some(found) => {
            let range = offset(text, found.value);
            Some(Found { text: described(found, &fields, depth), range })
        }
        None => {
            let members = members(&fields, depth);
            (!members.is_empty()).then_some(Found { text: members, range: open..text.len() })
        }
    }
}

/// The value that carries the message.
struct Carrier<'a> {
    text: String,
    value: &'a str,
    /// The key says that the text is an error's, so the kind of the error belongs in front.
    is_error: bool,
}

/// The text value that contains the marker, at any depth.
fn with_marker<'a>(fields: &[Field<'a>], marker: &str, depth: usize) -> Option<Carrier<'a>> {
    if marker.is_empty() {
        return None;
    }
    fields.iter().find_map(|field| {
        if is_level_key(&field.key) {
            return None;
        }
        match field.value.as_bytes().first()? {
            b'"' => {
                let has_escape = || memchr(b'\\', field.value.as_bytes()).is_some();
                if find_marker(field.value, marker).is_none() && !has_escape() {
                    return None;
                }
                let text = string(field.value)?;
                let carries = text.contains(marker)
                    && text.trim() != marker.trim()
                    && !is_rendered_elsewhere(&field.key, fields);
                carries.then(|| carrier(field, text, fields, marker, depth))?
            }
            b'{' if depth < DEPTH_MAX && field.value.contains(marker) => {
                with_marker(&self::fields(field.value), marker, depth + 1)
            }
            _ => None,
        }
    })
}

/// The value under the best key.
fn by_key<'a>(fields: &[Field<'a>], marker: &str, depth: usize) -> Option<Carrier<'a>> {
    let of_key = |key: &&str| {
        let field = field(fields, key)?;
        match field.value.as_bytes().first()? {
            b'"' => carrier(field, string(field.value)?, fields, marker, depth),
            b'{' if depth < DEPTH_MAX && HOLDERS.contains(key) => {
                let inner = self::fields(field.value);
                let found = by_key(&inner, marker, depth + 1)?;
                let is_error = found.is_error || is_error_key(key);
                let text = with_cause(found.text, found.value, &inner, depth + 1);
                Some(Carrier { text: with_kinds_of(&inner, text, is_error), is_error, ..found })
            }
            b'[' => first_text(field.value).and_then(|value| {
                let field = Field { key: field.key.clone(), value };
                carrier(&field, string(value)?, fields, marker, depth)
            }),
            _ => None,
        }
    };
    let nested = || {
        HOLDERS.iter().find_map(|key| {
            let field = field(fields, key).filter(|field| field.value.starts_with('{'))?;
            (depth < DEPTH_MAX)
                .then(|| by_key(&self::fields(field.value), marker, depth + 1))
                .flatten()
        })
    };
    let listed = || {
        let is_list = field(fields, "attributes")?.value.starts_with('[');
        (is_list && depth < DEPTH_MAX)
            .then(|| by_key(&attributes(fields), marker, depth + 1))
            .flatten()
    };
    MESSAGE_KEYS.iter().find_map(of_key).or_else(nested).or_else(listed)
}

/// `field` as the carrier of the message, if its text says something. `fields` are all of its
/// object.
fn carrier<'a>(
    field: &Field<'a>,
    text: String,
    fields: &[Field<'_>],
    marker: &str,
    depth: usize,
) -> Option<Carrier<'a>> {
    let found = read(&rendered(&field.key, Cow::Owned(text), fields), marker, depth + 1);
    let is_error = is_error_key(&field.key);
    (!says_nothing(&found.text) || is_error && !found.text.is_empty() && found.text != marker)
        .then_some(Carrier { text: found.text, value: field.value, is_error })
}

fn is_error_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("err") || key.contains("exception")
}

/// The text with its cause and the kinds of error, if it does not name them: `KeyError: 'total'`,
/// `refund failed: card is expired (PaymentDeclined, status 402)`.
fn described(carrier: Carrier<'_>, fields: &[Field<'_>], depth: usize) -> String {
    let text = with_cause(carrier.text, carrier.value, fields, depth);
    let attributes = attributes(fields);
    let text = match attributes.is_empty() {
        true => text,
        false => with_cause(text, carrier.value, &attributes, depth),
    };
    let mut kinds = kinds(fields, KIND_KEYS, &text);
    kinds.extend(self::kinds(&attributes, KIND_KEYS, &text));
    for holder in fields.iter().filter(|field| {
        matches!(&*field.key, "error" | "err" | "exception") && field.value.starts_with('{')
    }) {
        kinds.extend(self::kinds(&self::fields(holder.value), KIND_KEYS_OF_ERROR, &text));
    }
    joined(text, kinds, carrier.is_error)
}

/// The text with the first cause that it does not name, and with the deepest cause of a stack
/// trace: the message and the first cause can be the same for two failures. `carrier` is the value
/// of the text itself.
fn with_cause(text: String, carrier: &str, fields: &[Field<'_>], depth: usize) -> String {
    let cause = CAUSE_KEYS.iter().find_map(|key| {
        let field = field(fields, key).filter(|field| !std::ptr::eq(field.value, carrier))?;
        let cause = match field.value.as_bytes().first()? {
            b'"' => read(&string(field.value)?, "", depth + 1).text,
            b'{' if depth < DEPTH_MAX => {
                let inner = self::fields(field.value);
                let found = by_key(&inner, "", depth + 1)?;
                let cause = truncated(&with_kinds_of(&inner, found.text, true), CAUSE_BYTES_MAX);
                return says_more(&text, &cause)
                    .then(|| with_cause(cause, found.value, &inner, depth + 1));
            }
            _ => return None,
        };
        let cause = truncated(&cause, CAUSE_BYTES_MAX);
        says_more(&text, &cause).then_some(cause)
    });
    let text = match cause {
        Some(cause) => followed(text, &cause),
        None => text,
    };
    let stack = fields.iter().find_map(|field| {
        let is_stack = field.value.len() >= STACK_BYTES_MIN
            && field.value.starts_with('"')
            && is_stack_key(&field.key)
            && !std::ptr::eq(field.value, carrier);
        if !is_stack {
            return None;
        }
        let cause = read(&string(field.value)?, "", depth + 1).text;
        let cause = truncated(&cause, CAUSE_BYTES_MAX);
        let names_error = !is_frame(&cause) && (cause.contains(": ") || is_exception(&cause));
        (names_error && says_more(&text, &cause)).then_some(cause)
    });
    match stack {
        Some(cause) => followed(text, &cause),
        None => text,
    }
}

fn followed(text: String, cause: &str) -> String {
    format!("{}: {cause}", text.trim_end_matches([':', '.', ' ']))
}

fn is_stack_key(key: &str) -> bool {
    let ends = |end: &&str| {
        key.len()
            .checked_sub(end.len())
            .and_then(|at| key.get(at..))
            .is_some_and(|last| last.eq_ignore_ascii_case(end))
    };
    STACK_KEY_ENDS.iter().any(ends)
}

/// Whether a cause says more than the text. It does not if it is the text with its kind in front:
/// `KeyError: 'total'`.
fn says_more(text: &str, cause: &str) -> bool {
    const WORDS_BYTES_MIN: usize = 12;
    let is_same = cause.match_indices(": ").any(|(at, _)| {
        let words = &cause[at + 2..];
        let before = text.strip_suffix(words).map(str::trim_end);
        before.is_some_and(|before| {
            words.len() >= WORDS_BYTES_MIN || before.is_empty() || before.ends_with([']', ':', ')'])
        })
    });
    !says_nothing(cause) && !text.contains(cause) && !is_same
}

fn with_kinds_of(fields: &[Field<'_>], text: String, is_error: bool) -> String {
    let kinds = kinds(fields, KIND_KEYS_OF_ERROR, &text);
    joined(text, kinds, is_error)
}

fn joined(text: String, mut kinds: Vec<String>, is_error: bool) -> String {
    let mut seen = Vec::new();
    kinds.retain(|kind| {
        !seen.contains(kind) && {
            seen.push(kind.clone());
            true
        }
    });
    kinds.truncate(KINDS_MAX);
    match (kinds.is_empty(), is_error) {
        (true, _) => text,
        (false, true) => format!("{}: {text}", kinds.join(" · ")),
        (false, false) => format!("{text} ({})", kinds.join(", ")),
    }
}

fn kinds(fields: &[Field<'_>], keys: &[&str], text: &str) -> Vec<String> {
    let of_key = |key: &&str| {
        let field = field(fields, key)?;
        let value = match field.value.as_bytes().first()? {
            b'"' => string(field.value)?,
            b'0'..=b'9' => field.value.to_owned(),
            _ => return None,
        };
        let value = one_line(&value).into_owned();
        let is_number = value.bytes().all(|b| b.is_ascii_digit());
        let says_nothing = value.is_empty()
            || value.len() > KIND_BYTES_MAX
            || COMMON_KINDS.contains(&&*value.to_ascii_lowercase())
            || is_level(&value)
            || matches!(&*value, "0" | "200")
            || text.contains(&value);
        let name = if key.to_ascii_lowercase().contains("status") { "status" } else { "code" };
        (!says_nothing).then(|| if is_number { format!("{name} {value}") } else { value })
    };
    keys.iter().filter_map(of_key).collect()
}

/// What an object says that has no message: its members, texts first, without times and ids.
fn members(fields: &[Field<'_>], depth: usize) -> String {
    let (mut texts, mut others) = (Vec::new(), Vec::new());
    collect_members(fields, depth, &mut texts, &mut others);
    texts.truncate(MEMBERS_MAX);
    if !texts.is_empty() {
        texts.extend(others);
        texts.truncate(MEMBERS_MAX);
    }
    texts.join(" ")
}

fn collect_members(
    fields: &[Field<'_>],
    depth: usize,
    texts: &mut Vec<String>,
    others: &mut Vec<String>,
) {
    for field in fields.iter().filter(|field| !is_level_key(&field.key)) {
        match field.value.as_bytes().first() {
            Some(b'"') => {
                let Some(value) = string(field.value) else { continue };
                let value = truncated(&one_line(&value), MEMBER_BYTES_MAX);
                let quote = if value.contains(' ') { "\"" } else { "" };
                // A time or an id would be the lead of a line.
                if !value.is_empty() && (is_level(&value) || !is_all_lead(&value)) {
                    texts.push(format!("{}={quote}{value}{quote}", field.key));
                }
            }
            Some(b'{') if depth < DEPTH_MAX => {
                collect_members(&self::fields(field.value), depth + 1, texts, others);
            }
            Some(b'0'..=b'9' | b'-' | b't' | b'f') => {
                others.push(format!("{}={}", field.key, field.value));
            }
            _ => {}
        }
    }
}

/// The values of the level fields in the object at the start of `text`, and the text of its line.
pub(super) fn levels_and_line(text: &str) -> (Vec<String>, Option<String>) {
    let fields = fields(text);
    let value = |field: &Field<'_>| match field.value.as_bytes().first()? {
        b'"' => string(field.value),
        _ => Some(field.value.to_owned()),
    };
    let levels = fields.iter().filter(|field| is_level_key(&field.key)).filter_map(value);
    let line = ["log", "message", "msg"].iter().find_map(|key| field(&fields, key));
    (levels.collect(), line.and_then(|line| string(line.value)))
}

fn is_level_key(key: &str) -> bool {
    LEVEL_KEYS.iter().any(|level| level.eq_ignore_ascii_case(key))
}

fn offset(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}
