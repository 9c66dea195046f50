//! The statement of a JSON line, also of one in the text of another, as log routers write it.

use std::fmt;
use std::ops::Range;

use serde::Deserializer as _;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::lead::{is_level, lead_bytes};
use super::lines::says_nothing;
use super::{DEPTH_MAX, Found, one_line, read};

/// Keys whose values say what happened, the best first.
const MESSAGE_KEYS: &[&str] = &[
    "message",
    "msg",
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
];
/// Objects that hold such keys.
const HOLDERS: &[&str] = &[
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
const LEVEL_KEYS: &[&str] =
    &["level", "lvl", "severity", "log_level", "loglevel", "log.level", "levelname"];

const KINDS_MAX: usize = 3;
const KIND_BYTES_MAX: usize = 80;

/// A member of an object; its value is a part of the searched text.
struct Field<'a> {
    key: String,
    value: &'a str,
}

/// The statement of the JSON object that `text` holds after a lead. `None` if it holds none, or
/// none that says something.
pub(super) fn read_object(text: &str, marker: &str, depth: usize) -> Option<Found> {
    let open = text.find('{')?;
    let before = &text[..open];
    if before.contains('\n') && !before.trim().is_empty() {
        return None;
    }
    let lead = &before[lead_bytes(before)..];
    let is_only_lead = says_nothing(lead);
    let is_document = is_only_lead
        || !marker.is_empty() && !before.contains(marker) && text[open..].contains(marker);
    if !is_document {
        return None;
    }
    let fields = fields(&text[open..]);
    if fields.is_empty() {
        return None;
    }
    let found = with_marker(&fields, marker, depth).or_else(|| by_key(&fields, marker, depth))?;
    let range = offset(text, found.value);
    Some(Found { text: described(found, &fields), range })
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
        if LEVEL_KEYS.contains(&&*field.key) {
            return None;
        }
        match field.value.as_bytes().first()? {
            b'"' => {
                if !field.value.contains(marker) && !field.value.contains('\\') {
                    return None;
                }
                let text = string(field.value)?;
                let carries = text.contains(marker) && text.trim() != marker.trim();
                carries.then(|| carrier(field, &text, marker, depth))?
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
        let field = fields.iter().find(|field| field.key == **key)?;
        match field.value.as_bytes().first()? {
            b'"' => carrier(field, &string(field.value)?, marker, depth),
            b'{' if depth < DEPTH_MAX && HOLDERS.contains(key) => {
                let inner = self::fields(field.value);
                let found = by_key(&inner, marker, depth + 1)?;
                let is_error = found.is_error || is_error_key(key);
                Some(Carrier {
                    text: with_kinds_of(&inner, found.text, is_error),
                    is_error,
                    ..found
                })
            }
            b'[' => first_text(field.value).and_then(|value| {
                let field = Field { key: field.key.clone(), value };
                carrier(&field, &string(value)?, marker, depth)
            }),
            _ => None,
        }
    };
    let nested = || {
        HOLDERS.iter().find_map(|key| {
            let field =
                fields.iter().find(|field| field.key == **key && field.value.starts_with('{'))?;
            (depth < DEPTH_MAX)
                .then(|| by_key(&self::fields(field.value), marker, depth + 1))
                .flatten()
        })
    };
    MESSAGE_KEYS.iter().find_map(of_key).or_else(nested)
}

/// `field` as the carrier of the message, if its text says something.
fn carrier<'a>(field: &Field<'a>, text: &str, marker: &str, depth: usize) -> Option<Carrier<'a>> {
    let found = read(text, marker, depth + 1);
    let is_error = is_error_key(&field.key);
    (!says_nothing(&found.text) || is_error && !found.text.is_empty() && found.text != marker)
        .then_some(Carrier { text: found.text, value: field.value, is_error })
}

fn is_error_key(key: &str) -> bool {
    let key = key.to_ascii_lowercase();
    key.contains("err") || key.contains("exception")
}

/// The text with the kinds of error that it does not name: `KeyError: 'total'`,
/// `refund failed (PaymentDeclined, status 402)`.
fn described(carrier: Carrier<'_>, fields: &[Field<'_>]) -> String {
    let mut kinds = kinds(fields, KIND_KEYS, &carrier.text);
    for holder in fields.iter().filter(|field| {
        matches!(&*field.key, "error" | "err" | "exception") && field.value.starts_with('{')
    }) {
        kinds.extend(self::kinds(&self::fields(holder.value), KIND_KEYS_OF_ERROR, &carrier.text));
    }
    joined(carrier.text, kinds, carrier.is_error)
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
        let field = fields.iter().find(|field| field.key == **key)?;
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

/// The members of the object at the start of `text`: all of a complete one, and as many as there
/// are of one that is cut off.
fn fields(text: &str) -> Vec<Field<'_>> {
    struct Fields<'a, 'f>(&'f mut Vec<Field<'a>>);

    impl<'a> Visitor<'a> for Fields<'a, '_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some((key, value)) = map.next_entry::<String, &'a RawValue>()? {
                self.0.push(Field { key, value: value.get() });
            }
            Ok(())
        }
    }

    let mut fields = Vec::new();
    // An error says where the object is cut off or no longer JSON; what came before it counts.
    let _ = serde_json::Deserializer::from_str(text).deserialize_map(Fields(&mut fields));
    fields
}

fn string(value: &str) -> Option<String> {
    serde_json::from_str(value).ok()
}

/// The first text of an array.
fn first_text(array: &str) -> Option<&str> {
    let values: Vec<&RawValue> = serde_json::from_str(array).ok()?;
    values.into_iter().map(RawValue::get).find(|value| value.starts_with('"'))
}

fn offset(text: &str, part: &str) -> Range<usize> {
    let start = part.as_ptr() as usize - text.as_ptr() as usize;
    start..start + part.len()
}
