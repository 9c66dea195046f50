//! Secrets in lists: the cookies in an object, and the values of an `INSERT` statement.
//!
//! The text of a list is scanned again for other secrets, but no list begins in another.

use super::rule::*;
use super::scan::{NO_LINK, Scan, ValueStart};
use super::span;
use super::table::TABLE;

/// A value that is not quoted is read up to here.
const BARE_BYTES_MAX: usize = 256;

impl Scan<'_> {
    /// The quoted values of an object: `"cookies": {"sid": "abc"}`. Whether there are any.
    pub(super) fn cookie_object(&mut self, name: Name, at: usize) -> bool {
        let Some(open) = COOKIE_OBJECT.find(&self.text[at..]).filter(|_| at >= self.no_list_before)
        else {
            return false;
        };
        let (before, mut at) = (self.spans.len(), at + open.end());
        while let Some(key) = COOKIE_KEY.find(&self.text[at..]) {
            let value = self.opening(at + key.end());
            if value.is_bare() {
                break;
            }
            let (end, closed) = self.end(&value, &NO_LINK);
            self.add(span(value.start..end, name.kind));
            let Some(closed) = closed else { break };
            at = closed;
        }
        self.no_list_before = at;
        self.spans.len() > before
    }

    /// The values of `INSERT INTO users (name, password) VALUES ('bob', 'hunter2')` whose columns
    /// have the name of a secret. `at` is before the table. Whether there are any.
    pub(super) fn inserted(&mut self, at: usize) -> bool {
        let Some(head) = INSERT.captures(&self.text[at..]).filter(|_| at >= self.no_list_before)
        else {
            return false;
        };
        let kinds: Vec<_> = head["columns"].split(',').map(column_kind).collect();
        if kinds.iter().all(Option::is_none) {
            return false;
        }
        let (before, mut at) = (self.spans.len(), at + head.get_match().end());
        while let Some(open) = ROW.find(&self.text[at..]) {
            at += open.end();
            for kind in &kinds {
                let value = self.opening(self.run_end(at, |byte| byte.is_ascii_whitespace()));
                let end = self.value_end(&value);
                let is_nothing = NULL.is_match(&self.text[value.start..end]);
                if let Some(kind) = kind.filter(|_| !is_nothing) {
                    self.add(span(value.start..end, kind));
                }
                // A function can be around the value.
                let close = |byte: u8| b"\\\"'`) \t".contains(&byte);
                at = self.run_end(end, close);
                if self.bytes.get(at) != Some(&b',') {
                    break;
                }
                at += 1;
            }
        }
        self.no_list_before = at;
        self.spans.len() > before
    }

    fn value_end(&self, value: &ValueStart<'_>) -> usize {
        match value.is_bare() {
            true => self.run_end_within(value.start, BARE_BYTES_MAX, |byte| {
                !b",)".contains(&byte) && byte >= b' '
            }),
            false => self.end(value, &NO_LINK).0,
        }
    }
}

/// The kind of secret in a column.
fn column_kind(column: &str) -> Option<&'static str> {
    let column = column.trim_matches(|c: char| !c.is_alphanumeric()).to_ascii_lowercase();
    TABLE.names.iter().find_map(|(name, words)| {
        let fits = matches!(name.style, ValueStyle::Plain | ValueStyle::Path | ValueStyle::Pass);
        let word = words.iter().filter(|_| fits).find(|word| column.contains(word.as_str()))?;
        let (_, rest) = column.split_once(word.as_str())?;
        name.is_plural_with(rest).map(|_| name.kind)
    })
}
