//! What "similar" means: two lines are alike when they differ only in numbers, ids, addresses, times
//! and quoted values. A pattern is the line with those masked.
//!
//! A deliberately simple reading, word by word, from left to right, in one pass: the same line gives
//! the same pattern on every machine for ever, which a learning clusterer cannot promise, and a
//! reader sees at once why two lines were put together.

use std::borrow::Borrow;
use std::collections::HashSet;
use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use memchr::memmem;

/// A pattern is at most this many bytes; lines that agree up to there are alike.
pub const PATTERN_BYTES_MAX: usize = 240;

/// How much of a line is read to make its pattern.
const READ_BYTES_MAX: usize = 2 * 1024;

/// A log line with everything masked that changes from one occurrence to the next. Cloning copies a pointer.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(Arc<str>);

/// Makes patterns. Equal ones share their text: the lines of a burst have few.
#[derive(Default)]
pub struct Patterns {
    masked: Masked,
    known: HashSet<Pattern>,
}

impl Pattern {
    /// The pattern of that line of `message` which holds `marker` (a stack trace below it varies with
    /// the caller, and what precedes it is often a banner).
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
        let from = memchr::memrchr(b'\n', &message.as_bytes()[..at]).map_or(0, |newline| newline + 1);
        let end = memchr::memchr(b'\n', &message.as_bytes()[from..]).map_or(message.len(), |length| from + length);
        let line = &message[from..end];
        let line = &line[..line.floor_char_boundary(READ_BYTES_MAX)];
        self.masked.text.clear();
        self.masked.text(line.trim());
        let masked = self.masked.bounded();
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

/// Keys of structured lines whose values say what happened rather than to whom: they stay.
const TELLING_KEYS: &[&str] = &[
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

// What the bytes of words are: one bit each, so that the bits of a word tell what it can be.
const DIGIT: u8 = 1 << 0;
/// `a` to `f`.
const HEX: u8 = 1 << 1;
/// Any other letter.
const LETTER: u8 = 1 << 2;
const DOT: u8 = 1 << 3;
const COLON: u8 = 1 << 4;
/// What else joins the parts of a word.
const JOINT: u8 = 1 << 5;
/// A part of a character beyond ASCII, which has to be asked itself.
const BEYOND: u8 = 1 << 6;

/// The bit of each byte; none for what is no part of a word.
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
            0x80.. => BEYOND,
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
struct Masked {
    text: String,
}

impl Masked {
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

    /// What is there, as much of it as a pattern holds.
    fn bounded(&self) -> &str {
        let text = self.text.trim_end();
        &text[..text.floor_char_boundary(PATTERN_BYTES_MAX)]
    }

    /// Runs of white space and control characters count as one space.
    fn blank(&mut self, bytes: usize) -> usize {
        if !self.text.ends_with(' ') {
            self.text.push(' ');
        }
        bytes
    }

    /// A character that is no part of a word.
    fn separator(&mut self, rest: &str) -> usize {
        let Some(c) = rest.chars().next() else { return 0 };
        if c.is_whitespace() || c.is_control() {
            return self.blank(c.len_utf8());
        }
        self.text.push(c);
        c.len_utf8()
    }

    /// `run` is all that stands together, and `kinds` what its bytes are.
    fn word<'t>(&mut self, run: &'t str, kinds: u8, key: &mut &'t str) -> usize {
        // A full stop or a colon at the end belongs to the sentence, not to the word.
        let end = run.bytes().rposition(|byte| !b".:-/".contains(&byte)).map_or(0, |last| last + 1);
        if kinds & DIGIT == 0 {
            self.text.push_str(run);
        } else {
            self.mask(&run[..end], kinds);
            self.text.push_str(&run[end..]);
        }
        // The colon or equals sign between a key and its value is no key.
        if kinds & (DIGIT | HEX | LETTER) != 0 {
            *key = &run[..end];
        }
        run.len()
    }

    /// Puts what stands for a word with digits.
    fn mask(&mut self, word: &str, kinds: u8) {
        if is_time(word) {
            // `2026-11-23 14:15:16` is one time in two words.
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

    /// A name with digits in it, piece by piece: `orders-db-3` → `orders-db-<n>`, `/users/42` → `/users/<n>`,
    /// `req_9f8a7c6b5d` → `req_<id>`.
    fn parts(&mut self, word: &str) {
        let mut rest = word;
        while !rest.is_empty() {
            let joint = |byte| kind(byte) & (DOT | COLON | JOINT) != 0;
            let end = rest.bytes().position(joint).unwrap_or(rest.len());
            let behind = rest[end..].bytes().position(|byte| !joint(byte)).map_or(rest.len(), |joints| end + joints);
            let name = &rest[..end];
            let digits = name.bytes().filter(u8::is_ascii_digit).count();
            match digits {
                0 => self.text.push_str(name),
                2.. if name.chars().count() >= 8 => self.text.push_str(ID),
                _ => self.without_digits(name),
            }
            self.text.push_str(&rest[end..behind]);
            rest = &rest[behind..];
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

    /// A quoted part: a key stays, a telling value and a sentence are read like the rest of the line,
    /// any other value is masked as a whole. A quote without its partner nearby is only a character.
    fn quoted<'t>(&mut self, rest: &'t str, quote: u8, key: &mut &'t str) -> usize {
        const PARTNER_WITHIN: usize = 512;
        let within = &rest[1..rest.floor_char_boundary(PARTNER_WITHIN.min(rest.len()))];
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
        } else if inside.contains(' ') || TELLING_KEYS.iter().any(|telling| key.eq_ignore_ascii_case(telling)) {
            self.text(inside);
        } else if !inside.is_empty() {
            self.text.push_str(VALUE);
        }
        self.text.push(char::from(quote));
        length + 2
    }
}

/// Where the word at the start of `text` ends, and what its bytes are.
fn word_end(text: &str) -> (usize, u8) {
    let (bytes, mut at, mut kinds) = (text.as_bytes(), 0, 0);
    while let Some(byte) = bytes.get(at) {
        match kind(*byte) {
            0 => break,
            BEYOND => match text[at..].chars().next() {
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

/// Where `quote` closes in `within` (bytes before it), a backslash escaping what follows.
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

/// IPv4 with or without port, IPv6.
fn is_address(word: &str, kinds: u8) -> bool {
    let host = word.split_once(':').map_or(word, |(host, _port)| host);
    kinds & DOT != 0 && kind(word.as_bytes()[0]) == DIGIT && host.parse::<Ipv4Addr>().is_ok()
        || kinds & COLON != 0 && word.parse::<Ipv6Addr>().is_ok()
}

/// A UUID, or hexadecimal digits that are too many for a number that somebody would read.
fn is_id(word: &str) -> bool {
    let hex = word.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = word.bytes().filter(|b| *b == b'-').count();
    let dead_letters = word.bytes().any(|b| b.is_ascii_alphabetic());
    hex + dashes == word.len() && hex >= 8 && (dead_letters || dashes == 0 && hex >= 16 || dashes == 4)
}

/// The unit behind a plain number (`12ms` → `ms`, `80%` → `%`, `-1.5` → ``); `None` for anything else.
fn number_unit(word: &str) -> Option<&str> {
    let number = word.trim_start_matches(['-', '+']);
    let end = number.bytes().position(|byte| !(byte.is_ascii_digit() || byte == b'.')).unwrap_or(number.len());
    let unit = &number[end..];
    let is_unit = unit == "%" || unit.len() <= 3 && unit.bytes().all(|b| b.is_ascii_alphabetic());
    (end > 0 && is_unit).then_some(unit)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_changes_is_masked_and_what_tells_stays() {
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
        // One after the other they are the same, and equal ones are one.
        let mut patterns = Patterns::default();
        let mut all = || cases.map(|(line, _)| patterns.of(line, "[CRITICAL]"));
        for ((first, second), (line, pattern)) in all().iter().zip(&all()).zip(cases) {
            assert_eq!(first.as_str(), pattern, "{line}");
            assert!(Arc::ptr_eq(&first.0, &second.0), "{line}");
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_short_pattern_in_which_no_number_is_left(text in any::<String>(), n in 0..u64::MAX) {
            prop_assert!(Pattern::of(&text, "x").as_str().len() <= PATTERN_BYTES_MAX);
            let (one, other) = (format!("retry {n} of job"), format!("retry {} of job", n / 3));
            prop_assert_eq!(Pattern::of(&one, "x").as_str().replace(ID, NUMBER), Pattern::of(&other, "x").as_str().replace(ID, NUMBER));
        }
    }
}
