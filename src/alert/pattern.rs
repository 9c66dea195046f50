//! What "similar" means: two lines are alike when they differ only in numbers, ids, addresses, times
//! and quoted values. A pattern is the line with those masked.
//!
//! A deliberately simple reading, word by word, from left to right, in one pass: the same line gives
//! the same pattern on every machine for ever, which a learning clusterer cannot promise, and a
//! reader sees at once why two lines were put together.

use std::fmt;
use std::str;

/// A pattern is at most this many bytes; lines that agree up to there are alike.
pub const PATTERN_BYTES_MAX: usize = 240;

/// How much of a line is read to make its pattern.
const READ_BYTES_MAX: usize = 2 * 1024;

/// A log line with everything masked that changes from one occurrence to the next.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pattern(String);

impl Pattern {
    /// The pattern of that line of `message` which holds `marker` (a stack trace below it varies with
    /// the caller, and what precedes it is often a banner).
    pub fn of(message: &str, marker: &str) -> Self {
        let at = message.find(marker).unwrap_or(0);
        let from = message[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let line = message[from..].lines().next().unwrap_or("");
        let line = &line[..line.floor_char_boundary(READ_BYTES_MAX)];
        let mut masked = Masked::default();
        masked.text(line.trim());
        Self(masked.finish())
    }

    pub fn as_str(&self) -> &str {
        &self.0
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

#[derive(Default)]
struct Masked {
    text: String,
}

impl Masked {
    fn text(&mut self, line: &str) {
        let mut rest = line;
        let mut key = "";
        while let Some(first) = rest.chars().next() {
            if self.text.len() > PATTERN_BYTES_MAX {
                return;
            }
            let taken = match first {
                '"' | '\'' | '`' => self.quoted(rest, first, &mut key),
                c if is_word(c) => self.word(rest, &mut key),
                c => self.separator(c),
            };
            rest = &rest[taken..];
        }
    }

    fn finish(mut self) -> String {
        self.text.truncate(self.text.trim_end().len());
        let end = self.text.floor_char_boundary(PATTERN_BYTES_MAX);
        self.text.truncate(end);
        self.text
    }

    /// Runs of white space and control characters count as one space.
    fn separator(&mut self, c: char) -> usize {
        if !(c.is_whitespace() || c.is_control()) {
            self.text.push(c);
        } else if !self.text.ends_with(' ') {
            self.text.push(' ');
        }
        c.len_utf8()
    }

    fn word<'t>(&mut self, rest: &'t str, key: &mut &'t str) -> usize {
        let end = rest.find(|c| !is_word(c)).unwrap_or(rest.len());
        // A full stop or a colon at the end belongs to the sentence, not to the word.
        let end = rest[..end].trim_end_matches(['.', ':', '-', '/']).len().max(1);
        let end = rest.ceil_char_boundary(end);
        let word = &rest[..end];
        let mask = mask_of(word);
        // `2026-11-23 14:15:16` is one time in two words.
        let repeats_time = mask.as_deref() == Some(TIME) && self.text.trim_end().ends_with(TIME);
        if repeats_time {
            self.text.truncate(self.text.trim_end().len());
        } else {
            self.text.push_str(mask.as_deref().unwrap_or(word));
        }
        // The colon or equals sign between a key and its value is no key.
        if word.contains(char::is_alphanumeric) {
            *key = word;
        }
        end
    }

    /// A quoted part: a key stays, a telling value and a sentence are read like the rest of the line,
    /// any other value is masked as a whole. A quote without its partner nearby is only a character.
    fn quoted<'t>(&mut self, rest: &'t str, quote: char, key: &mut &'t str) -> usize {
        const PARTNER_WITHIN: usize = 512;
        let within = &rest[1..rest.floor_char_boundary(PARTNER_WITHIN.min(rest.len()))];
        let after_word = self.text.ends_with(char::is_alphanumeric);
        let closed = (!after_word).then(|| closing_quote(within, quote)).flatten();
        let Some(length) = closed else {
            self.text.push(quote);
            return 1;
        };
        let (inside, after) = (&within[..length], &rest[length + 2..]);
        let is_key = after.trim_start().starts_with([':', '=']);
        self.text.push(quote);
        if is_key {
            self.text.push_str(inside);
            *key = inside;
        } else if inside.contains(' ') || TELLING_KEYS.iter().any(|telling| key.eq_ignore_ascii_case(telling)) {
            self.text(inside);
        } else if !inside.is_empty() {
            self.text.push_str(VALUE);
        }
        self.text.push(quote);
        length + 2
    }
}

/// Where `quote` closes in `within` (bytes before it), a backslash escaping what follows.
fn closing_quote(within: &str, quote: char) -> Option<usize> {
    let mut escaped = false;
    for (at, c) in within.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            c if c == quote => return Some(at),
            _ => {}
        }
    }
    None
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/' | '@' | '%' | '+')
}

/// What stands for `word` in the pattern; `None` when the word stays as it is.
fn mask_of(word: &str) -> Option<String> {
    if !word.bytes().any(|b| b.is_ascii_digit()) {
        return None;
    }
    if is_time(word) {
        return Some(TIME.into());
    }
    if is_address(word) {
        return Some(ADDRESS.into());
    }
    if is_id(word) {
        return Some(ID.into());
    }
    if let Some(unit) = number_unit(word) {
        return Some(format!("{NUMBER}{unit}"));
    }
    Some(masked_parts(word))
}

/// `2026-11-23T14:15:16.123Z`, `2026-11-23`, `14:15:16`, `14:15:16.123`.
fn is_time(word: &str) -> bool {
    let shape: Vec<u8> = word.bytes().take(8).map(|b| if b.is_ascii_digit() { b'9' } else { b }).collect();
    shape.starts_with(b"9999-99-") || shape.starts_with(b"9999/99/") || shape.starts_with(b"99:99:99")
}

/// IPv4 with or without port, IPv6.
fn is_address(word: &str) -> bool {
    let host = word.split_once(':').map_or(word, |(host, _port)| host);
    host.parse::<std::net::Ipv4Addr>().is_ok() || word.parse::<std::net::Ipv6Addr>().is_ok()
}

/// A UUID, or hexadecimal digits that are too many for a number that somebody would read.
fn is_id(word: &str) -> bool {
    let hex = word.bytes().filter(u8::is_ascii_hexdigit).count();
    let dashes = word.bytes().filter(|b| *b == b'-').count();
    let letters = word.bytes().any(|b| b.is_ascii_alphabetic());
    hex + dashes == word.len() && hex >= 8 && (letters || dashes == 0 && hex >= 16 || dashes == 4)
}

/// The unit behind a plain number (`12ms` → `ms`, `80%` → `%`, `-1.5` → ``); `None` for anything else.
fn number_unit(word: &str) -> Option<&str> {
    let number = word.trim_start_matches(['-', '+']);
    let end = number.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(number.len());
    let unit = &number[end..];
    let is_unit = unit == "%" || unit.len() <= 3 && unit.bytes().all(|b| b.is_ascii_alphabetic());
    (end > 0 && is_unit).then_some(unit)
}

/// A name with digits in it, piece by piece: `orders-db-3` → `orders-db-<n>`, `/users/42` → `/users/<n>`,
/// `req_9f8a7c6b5d` → `req_<id>`.
fn masked_parts(word: &str) -> String {
    let mut masked = String::with_capacity(word.len());
    for part in word.split_inclusive(['-', '_', '.', ':', '/', '@', '%', '+']) {
        let name = part.trim_end_matches(['-', '_', '.', ':', '/', '@', '%', '+']);
        let digits = name.bytes().filter(u8::is_ascii_digit).count();
        match (name.chars().count(), digits) {
            (_, 0) => masked.push_str(name),
            (length, digits) if length >= 8 && digits >= 2 => masked.push_str(ID),
            _ => push_without_digits(&mut masked, name),
        }
        masked.push_str(&part[name.len()..]);
    }
    masked
}

fn push_without_digits(masked: &mut String, name: &str) {
    let mut in_number = false;
    for c in name.chars() {
        match (c.is_ascii_digit(), in_number) {
            (true, false) => masked.push_str(NUMBER),
            (true, true) => {}
            (false, _) => masked.push(c),
        }
        in_number = c.is_ascii_digit();
    }
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
