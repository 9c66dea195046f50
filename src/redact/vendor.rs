//! Keys without a format of their own, after a name that has the name of their vendor in it.

use std::ops::Range;

use super::rule::{KEY_WORDS, VALUE_OF_ID, VENDOR_LINK, VENDOR_SENTENCE};
use super::table::Vendor;
use super::word::{has_part, is_key};
use super::{Span, span};

/// `datadog_key=…`, `"Algolia": "…"`, `Datadog API key …`: the value after the vendor's name at
/// `hit`, if it has the length and the characters of the vendor's keys.
pub(super) fn key(
    text: &str,
    vendor: &'static Vendor,
    hit: &Range<usize>,
) -> Option<Span<'static>> {
    let start = linked(text, vendor, hit);
    let key = start.and_then(|start| value(text.as_bytes(), vendor, start));
    let key = key.or_else(|| {
        let sentence = VENDOR_SENTENCE.find(&text[hit.end..])?;
        value(text.as_bytes(), vendor, hit.end + sentence.end())
    })?;
    Some(span(key, vendor.name))
}

/// The start of a value after a separator.
fn linked(text: &str, vendor: &Vendor, hit: &Range<usize>) -> Option<usize> {
    let bytes = text.as_bytes();
    let link = VENDOR_LINK.captures(&text[hit.end..])?;
    let tail = link.name("tail").map_or("", |tail| tail.as_str()).as_bytes();
    if has_part(tail, VALUE_OF_ID)
        || vendor.named && !names_key(tail) && !names_key(&bytes[..hit.start])
    {
        return None;
    }
    Some(hit.end + link.get_match().end())
}

/// The key at `start`.
fn value(bytes: &[u8], vendor: &Vendor, start: usize) -> Option<Range<usize>> {
    let fits = |value: &Range<usize>| is_key(&bytes[value.clone()]);
    vendor.values.iter().find_map(|format| format.value(bytes, start).filter(fits))
}

/// Whether a word such as `key` is in the last part of `name`: `api_key_heroku`.
fn names_key(name: &[u8]) -> bool {
    let name = &name[name.len().saturating_sub(40)..];
    let name = name
        .rsplit(|byte| !byte.is_ascii_alphanumeric() && !b"_.-".contains(byte))
        .next()
        .unwrap_or_default();
    let name = name.to_ascii_lowercase();
    KEY_WORDS.iter().any(|word| name.windows(word.len()).any(|part| part == *word))
}
