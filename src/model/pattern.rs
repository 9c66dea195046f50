//! Patterns: the text of an alert with numbers, ids, addresses, times and quoted values replaced by
//! placeholders. Alerts with equal patterns form one group.
//!
//! The line is read word by word, from left to right, in one pass. This is simple on purpose: a
//! line has the same pattern on every machine at any time, unlike with clustering that learns, and
//! a reader sees at once why two lines are in one group.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use memchr::memmem;

/// The longest pattern, in bytes. Lines that are equal up to there have equal patterns.
pub const PATTERN_BYTES_MAX: usize = 240;

/// Only this much of a line is read.
const READ_BYTES_MAX: usize = 2 * 1024;

/// A log line with placeholders for the parts that change between occurrences. Cheap to clone.
///
/// ```
/// use stentor::model::pattern::Pattern;
///
/// let pattern = Pattern::of("[CRITICAL] pool 7 exhausted after 1500ms", "[CRITICAL]");
/// assert_eq!(pattern.as_str(), "[CRITICAL] pool <n> exhausted after <n>ms");
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

/// Makes patterns. Equal patterns share their text, because a burst has few patterns.
#[derive(Default)]
pub struct Patterns {
    masker: Masker,
    known: HashSet<Pattern>,
}

impl Pattern {
    /// The pattern of the line with the marker. The lines before it are often a banner, and a stack
    /// trace after it depends on the caller.
    pub fn of(message: &str, marker: &str) -> Self {
        Patterns::default().of(message, marker)
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Patterns {
    /// The same as [`Pattern::of`].
    pub fn of(&mut self, message: &str, marker: &str) -> Pattern {
        let at = memmem::find(message.as_bytes(), marker.as_bytes()).unwrap_or(0);
        let from =
            memchr::memrchr(b'\n', &message.as_bytes()[..at]).map_or(0, |newline| newline + 1);
        let end = memchr::memchr(b'\n', &message.as_bytes()[from..])
            .map_or(message.len(), |length| from + length);
        let line = &message[from..end];
        let line = &line[..line.floor_char_boundary(READ_BYTES_MAX)];
        self.masker.text.clear();
        self.masker.text(line.trim());
        let masked = self.masker.bounded();
        if let Some(known) = self.known.get(masked) {
            return known.clone();
        }
        let pattern = Pattern(masked.into());
        self.known.insert(pattern.clone());
        pattern
    }
}

impl Borrow<str> for Pattern {
    fn borrow(&self) -> &str {
        self.as_str()
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

const NUMBER: &str = "<n>";
const ID: &str = "<id>";
const ADDRESS: &str = "<ip>";
const TIME: &str = "<time>";
const VALUE: &str = "<…>";

/// Keys of structured lines whose values describe the problem, so they are kept.
const KEPT_KEYS: &[&str] = &[
    "level",
    "severity",
    "lvl",
    "msg",
    "message",
    "error",
    "err",
    "event",
    "type",
    "exception",
    "logger",
    "service",
    "app",
    "application",
    "component",
    "code",
    "reason",
    "status",
];

// The kinds of the bytes of a word, one bit each. The union of the bits limits what a word can be.
const DIGIT: u8 = 1 << 0;
/// `a` to `f`.
const HEX: u8 = 1 << 1;
/// Any other letter.
const LETTER: u8 = 1 << 2;
const DOT: u8 = 1 << 3;
const COLON: u8 = 1 << 4;
/// Other punctuation between the parts of a word.
const JOINT: u8 = 1 << 5;
/// A byte of a character that is not ASCII.
const NON_ASCII: u8 = 1 << 6;

/// The kind of each byte; 0 for bytes that are not part of a word.
const KINDS: [u8; 256] = {
    let (mut kinds, mut byte) = ([0; 256], 0);
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => HEX,
            b'g'..=b'z' | b'G'..=b'Z' => LETTER,
            b'.' => DOT,
            b':' => COLON,
            b'_' | b'-' | b'/' | b'@' | b'%' | b'+' => JOINT,
            0x80.. => NON_ASCII,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

fn kind(byte: u8) -> u8 {
    KINDS[usize::from(byte)]
}

#[derive(Default)]
struct Masker {
    text: String,
}

impl Masker {
    fn text(&mut self, line: &str) {
        let mut rest = line;
        let mut key = "";
        while let Some(first) = rest.bytes().next() {
            if self.text.len() > PATTERN_BYTES_MAX {
                return;
            }
            let taken = match first {
                b'"' | b'\'' | b'`' => self.quoted(rest, first, &mut key),
                0..=b' ' | 0x7f => self.blank(1),
                _ => match word_end(rest) {
                    (0, _) => self.separator(rest),
                    (end, kinds) => self.word(&rest[..end], kinds, &mut key),
                },
            };
            rest = &rest[taken..];
        }
    }

    /// The text, cut to [`PATTERN_BYTES_MAX`].
    fn bounded(&self) -> &str {
        let text = self.text.trim_end();
        &text[..text.floor_char_boundary(PATTERN_BYTES_MAX)]
    }

    /// Several spaces and control characters become one space.
    fn blank(&mut self, bytes: usize) -> usize {
        if !self.text.ends_with(' ') {
            self.text.push(' ');
        }
        bytes
    }

    /// A character that is not part of a word.
    fn separator(&mut self, rest: &str) -> usize {
        let Some(c) = rest.chars().next() else { return 0 };
        if c.is_whitespace() || c.is_control() {
            return self.blank(c.len_utf8());
        }
        self.text.push(c);
        c.len_utf8()
    }

    /// A word with the punctuation after it. `kinds` is the union of the kinds of its bytes.
    fn word<'t>(&mut self, run: &'t str, kinds: u8, key: &mut &'t str) -> usize {
        // Punctuation at the end belongs to the sentence, not to the word.
        let end = run.bytes().rposition(|byte| !b".:-/".contains(&byte)).map_or(0, |last| last + 1);
        if kinds & DIGIT == 0 {
            self.text.push_str(run);
        } else {
            self.mask(&run[..end], kinds);
            self.text.push_str(&run[end..]);
        }
        // The punctuation between a key and its value is not a key.
        if kinds & (DIGIT | HEX | LETTER) != 0 {
            *key = &run[..end];
        }
        run.len()
    }

    /// Adds the placeholder of a word with digits.
    fn mask(&mut self, word: &str, kinds: u8) {
        if is_time(word) {
            // `2026-11-23 14:15:16` is one time of two words.
            match self.text.trim_end() {
                before if before.ends_with(TIME) => self.text.truncate(before.len()),
                _ => self.text.push_str(TIME),
            }
        } else if is_address(word, kinds) {
            self.text.push_str(ADDRESS);
        } else if kinds & LETTER == 0 && is_id(word) {
            self.text.push_str(ID);
        } else if let Some(unit) = number_unit(word) {
            self.text.push_str(NUMBER);
            self.text.push_str(unit);
        } else {
            self.parts(word);
        }
    }

    /// A name with digits, part by part: `orders-db-3` → `orders-db-<n>`, `/users/42` →
    /// `/users/<n>`, `req_9f8a7c6b5d` → `req_<id>`.
    fn parts(&mut self, word: &str) {
        let mut rest = word;
        while !rest.is_empty() {
            let joint = |byte| kind(byte) & (DOT | COLON | JOINT) != 0;
            let end = rest.bytes().position(joint).unwrap_or(rest.len());
            let next = rest[end..]
                .bytes()
                .position(|byte| !joint(byte))
                .map_or(rest.len(), |joints| end + joints);
            let name = &rest[..end];
            let digits = name.bytes().filter(u8::is_ascii_digit).count();
            match digits {
                0 => self.text.push_str(name),
                2.. if name.chars().count() >= 8 => self.text.push_str(ID),
                _ => self.without_digits(name),
            }
            self.text.push_str(&rest[end..next]);
            rest = &rest[next..];
        }
    }

    fn without_digits(&mut self, name: &str) {
        let mut rest = name;
        while let Some(at) = rest.bytes().position(|byte| byte.is_ascii_digit()) {
            self.text.push_str(&rest[..at]);
            self.text.push_str(NUMBER);
            rest = rest[at..].trim_start_matches(|c: char| c.is_ascii_digit());
        }
        self.text.push_str(rest);
    }

    /// A quoted part. A key is kept, the value of a kept key and a sentence are read like the rest
    /// of the line, and any other value is masked as a whole. A quote that is not closed nearby is
    /// an ordinary character.
    fn quoted<'t>(&mut self, rest: &'t str, quote: u8, key: &mut &'t str) -> usize {
        const CLOSED_WITHIN: usize = 512;
        let within = &rest[1..rest.floor_char_boundary(CLOSED_WITHIN.min(rest.len()))];
        let after_word = self.text.ends_with(char::is_alphanumeric);
        let closed = (!after_word).then(|| closing_quote(within, quote)).flatten();
        let Some(length) = closed else {
            self.text.push(char::from(quote));
            return 1;
        };
        let (inside, after) = (&within[..length], &rest[length + 2..]);
        let is_key = after.trim_start().starts_with([':', '=']);
        self.text.push(char::from(quote));
        if is_key {
            self.text.push_str(inside);
            *key = inside;
        } else if inside.contains(' ')
            || KEPT_KEYS.iter().any(|kept| key.eq_ignore_ascii_case(kept))
        {
            self.text(inside);
        } else if !inside.is_empty() {
            self.text.push_str(VALUE);
        }
        self.text.push(char::from(quote));
        length + 2
    }
}

/// The end of the word at the start of `text`, and the union of the kinds of its bytes.
fn word_end(text: &str) -> (usize, u8) {
    let (bytes, mut at, mut kinds) = (text.as_bytes(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        match kind(*byte) {
            0 => break,
            NON_ASCII => match text[at..].chars().next() {
                Some(c) if c.is_alphanumeric() => {
                    kinds |= LETTER;
                    at += c.len_utf8();
                }
                _ => break,
            },
            kind => {
                kinds |= kind;
                at += 1;
            }
        }
    }
    (at, kinds)
}

/// The offset of the closing `quote`. A backslash escapes the next byte.
fn closing_quote(within: &str, quote: u8) -> Option<usize> {
    let mut escaped = false;
    within.bytes().position(|byte| {
        let closes = byte == quote && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}

/// `2026-11-23T14:15:16.123Z`, `2026-11-23`, `14:15:16`, `14:15:16.123`.
fn is_time(word: &str) -> bool {
    let shape = word
        .as_bytes()
        .first_chunk()
        .map(|start: &[u8; 8]| start.map(|byte| if byte.is_ascii_digit() { b'9' } else { byte }));
    matches!(shape.as_ref(), Some(b"9999-99-" | b"9999/99/" | b"99:99:99"))
}

/// IPv4 with or without a port, or IPv6.
fn is_address(word: &str, kinds: u8) -> bool {
    let host = word.split_once(':').map_or(word, |(host, _port)| host);
    kinds & DOT != 0 && kind(word.as_bytes()[0]) == DIGIT && host.parse::<Ipv4Addr>().is_ok()
        || kinds & COLON != 0 && word.parse::<Ipv6Addr>().is_ok()
}

/// A UUID, or more hexadecimal digits than a number for a reader has.
fn is_id(word: &str) -> bool {
    let hex = word.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = word.bytes().filter(|b| *b == b'-').count();
    let has_letters = word.bytes().any(|b| b.is_ascii_alphabetic());
    hex + dashes == word.len()
        && hex >= 8
        && (has_letters || dashes == 0 && hex >= 16 || dashes == 4)
}

/// The unit after a plain number: `12ms` → `ms`, `80%` → `%`, `-1.5` → ``.
fn number_unit(word: &str) -> Option<&str> {
    let number = word.trim_start_matches(['-', '+']);
    let end = number
        .bytes()
        .position(|byte| !(byte.is_ascii_digit() || byte == b'.'))
        .unwrap_or(number.len());
    let unit = &number[end..];
    let is_unit = unit == "%" || unit.len() <= 3 && unit.bytes().all(|b| b.is_ascii_alphabetic());
    (end > 0 && is_unit).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn changing_parts_are_masked_and_the_problem_is_kept() {
        let cases = [
            ("[CRITICAL] pool exhausted after 1500ms", "[CRITICAL] pool exhausted after <n>ms"),
            ("2026-11-23T14:15:16.123Z ERROR x", "<time> ERROR x"),
            ("2026-11-23 14:15:16,123 ERROR x", "<time>,<n> ERROR x"),
            ("connect to 10.0.12.7:5432 failed.", "connect to <ip> failed."),
            ("peer fe80::1ff:fe23:4567:890a gone", "peer <ip> gone"),
            ("request 550e8400-e29b-41d4-a716-446655440000 failed", "request <id> failed"),
            ("trace 4bf92f3577b34da6a3ce929d0e0e4736", "trace <id>"),
            ("GET /api/v1/orders/42?x=7 took 1.5s", "GET /api/v<n>/orders/<n>?x=<n> took <n>s"),
            ("host orders-db-3 is at 93%", "host orders-db-<n> is at <n>%"),
            ("job req_9f8a7c6b5d lost", "job req_<id> lost"),
            ("i-0abc1234def567890 stopped", "i-<id> stopped"),
            (
                r#"{"level":"ERROR","msg":"pool 7 exhausted","user":"ann"}"#,
                r#"{"level":"ERROR","msg":"pool <n> exhausted","user":"<…>"}"#,
            ),
            (r#"no table "orders_7" in 'shop'"#, r#"no table "<…>" in '<…>'"#),
            ("user='ann' can't log in", "user='<…>' can't log in"),
            ("  many\t\t spaces  ", "many spaces"),
            ("password=[redacted:password] for 7", "password=[redacted:password] for <n>"),
            ("naïve café 3 ☕", "naïve café <n> ☕"),
            ("a lone \" quote and 5", "a lone \" quote and <n>"),
            ("banner 1\nline [CRITICAL] two 2\n  at frame 3", "line [CRITICAL] two <n>"),
            ("", ""),
        ];
        for (line, pattern) in cases {
            assert_eq!(Pattern::of(line, "[CRITICAL]").as_str(), pattern, "{line}");
        }
        // One `Patterns` for all lines gives the same patterns, and equal ones share their text.
        let mut patterns = Patterns::default();
        let mut all = || cases.map(|(line, _)| patterns.of(line, "[CRITICAL]"));
        for ((first, second), (line, pattern)) in all().iter().zip(&all()).zip(cases) {
            assert_eq!(first.as_str(), pattern, "{line}");
            assert!(Arc::ptr_eq(&first.0, &second.0), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_short_pattern_without_numbers(text in any::<String>(), n in 0..u64::MAX) {
            prop_assert!(Pattern::of(&text, "x").as_str().len() <= PATTERN_BYTES_MAX);
            let (one, other) = (format!("retry {n} of job"), format!("retry {} of job", n / 3));
            prop_assert_eq!(Pattern::of(&one, "x").as_str().replace(ID, NUMBER), Pattern::of(&other, "x").as_str().replace(ID, NUMBER));
        }
    }
}
