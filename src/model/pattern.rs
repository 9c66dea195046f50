//! Patterns: the text of an alert with numbers, ids, addresses, hosts, times, user names and quoted
//! values replaced by placeholders. Alerts with equal patterns form one group.
//!
//! The line is read word by word, from left to right, in one pass. This is simple on purpose: a
//! line has the same pattern on every machine at any time, unlike with clustering that learns, and
//! a reader sees at once why two lines are in one group. Similar patterns of one digest are
//! clustered on top of it ([`cluster`](super::cluster)).

mod mask;
mod shape;

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use mask::Masker;

use crate::model::statement;

/// The longest pattern, in bytes. Lines that are equal up to there have equal patterns.
pub const PATTERN_BYTES_MAX: usize = 240;

/// The longest value of a place, in bytes.
pub const VALUE_BYTES_MAX: usize = 24;

/// So many values of a line are kept, the first ones.
pub const VALUES_MAX: usize = 8;

/// Only this much of a line is read.
const READ_BYTES_MAX: usize = 2 * 1024;

const NUMBER: &str = "<n>";
const ID: &str = "<id>";
const ADDRESS: &str = "<ip>";
const HOST: &str = "<host>";
const MAIL: &str = "<mail>";
const TIME: &str = "<time>";
/// The placeholder of a value of any kind.
pub const VALUE: &str = "<…>";

/// The length of the placeholder at `at`; 0 if there is none.
pub fn placeholder_at(text: &str, at: usize) -> usize {
    let found =
        [NUMBER, ID, ADDRESS, HOST, MAIL, TIME, VALUE].iter().find(|p| text[at..].starts_with(**p));
    found.map_or(0, |placeholder| placeholder.len())
}

/// A log line with placeholders for the parts that change between occurrences. Cheap to clone.
///
/// Two patterns are equal if their texts are. Each also has the values of its line at the places
/// of the placeholders, as far as they may distinguish alerts: codes, names, hosts.
///
/// ```
/// use stentor::model::pattern::Pattern;
///
/// let pattern = Pattern::of("[CRITICAL] pool 7 exhausted after 1500ms", "[CRITICAL]");
/// assert_eq!(pattern.as_str(), "[CRITICAL] pool <n> exhausted after <n>");
/// assert_eq!(pattern.values().collect::<Vec<_>>(), [(0, "7")]);
/// ```
#[derive(Clone, Debug, Default)]
pub struct Pattern {
    text: Arc<str>,
    /// A line for each place; the line is empty if the place has no value worth keeping.
    values: Option<Arc<str>>,
}

/// Makes patterns. Equal patterns share their text, because a burst has few patterns.
#[derive(Default)]
pub struct Patterns {
    masker: Masker,
    known: HashSet<Pattern>,
    /// The last one. The next is often the same.
    last: Pattern,
}

impl Pattern {
    /// The pattern of the [statement](statement::find) of `message`.
    pub fn of(message: &str, marker: &str) -> Self {
        Patterns::default().of_line(&statement::find(message, marker).text)
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Values of the line, each with the number of its placeholder in the pattern, from 0 on.
    pub fn values(&self) -> impl Iterator<Item = (usize, &str)> {
        let lines = self.values.iter().flat_map(|values| values.split('\n'));
        lines.enumerate().filter(|(_, value)| !value.is_empty())
    }
}

impl Patterns {
    /// The pattern of a line.
    pub fn of_line(&mut self, line: &str) -> Pattern {
        let text = self.masker.mask(&line[..line.floor_char_boundary(READ_BYTES_MAX)]);
        if *self.last.text != *text {
            if let Some(known) = self.known.get(text) {
                self.last = known.clone();
            } else {
                self.last = Pattern { text: text.into(), values: None };
                self.known.insert(self.last.clone());
            }
        }
        let values = self.masker.values();
        Pattern {
            text: Arc::clone(&self.last.text),
            values: (!values.is_empty()).then(|| values.into()),
        }
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl Hash for Pattern {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.text.hash(state);
    }
}

impl Borrow<str> for Pattern {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// An id of a pattern: the same on every machine, for links. Placeholders are alike, because the patterns
/// of one window may be clustered into `user <…> failed`, and those of the next into `user <n> failed`.
pub fn pattern_id(pattern: &str) -> String {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let (mut hash, mut at) = (0xcbf2_9ce4_8422_2325, 0);
    while let Some(c) = pattern[at..].chars().next() {
        match placeholder_at(pattern, at) {
            0 => {
                hash = pattern[at..at + c.len_utf8()].bytes().fold(hash, mix);
                at += c.len_utf8();
            }
            placeholder => {
                hash = mix(hash, 0);
                at += placeholder;
            }
        }
    }
    format!("{hash:016x}")
}

#[cfg(test)]
mod tests;
