//! Keys without a format of their own, after a name that has the name of their vendor in it.

use std::ops::Range;

use super::card::has_part;
use super::format::entropy;
use super::rule::{KEY_WORDS, VALUE_OF_ID, VENDOR_LINK};
use super::scan::Scan;
use super::table::Vendor;
use super::{Span, span};

impl<'t> Scan<'t> {
    /// `datadog_key=…`, `"Algolia": "…"`. The value has the length and the characters of the vendor's keys.
    pub(super) fn vendor(&self, vendor: &'static Vendor, hit: &Range<usize>) -> Option<Span<'t>> {
        let link = VENDOR_LINK.captures(&self.text[hit.end..])?;
        let tail = link.name("tail").map_or("", |tail| tail.as_str()).as_bytes();
        if has_part(tail, VALUE_OF_ID) || vendor.named && !has_part(tail, KEY_WORDS) && !names_key(&self.bytes[..hit.start])
        {
            return None;
        }
        let start = hit.end + link.get_match().end();
        let fits = |value: &Range<usize>| is_key(&self.bytes[value.clone()]);
        let value = vendor.values.iter().find_map(|format| format.value(self.bytes, start).filter(fits))?;
        Some(span(value, vendor.name))
    }
}

/// Whether a word such as `key` is at the end of `before`: `api_key_heroku`.
fn names_key(before: &[u8]) -> bool {
    let in_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let len = before.iter().rev().take(40).take_while(in_name).count();
    has_part(&before[before.len() - len..], KEY_WORDS)
}

/// Whether a value of the right length is random: letters and digits take turns, unlike in `backup2024`.
fn is_key(value: &[u8]) -> bool {
    let classes = |byte: &u8| (byte.is_ascii_digit(), byte.is_ascii_alphabetic());
    let turns = value.windows(2).filter(|pair| classes(&pair[0]) != classes(&pair[1])).count();
    turns >= 3 && entropy(value) >= if value.len() < 20 { 2.3 } else { 2.7 }
}
