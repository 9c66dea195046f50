//! The mask of one line: the line read word by word, with a placeholder for each part that changes
//! between occurrences. One pass, no state between lines.

use std::ops::Range;

use super::shape::{self, DIGIT, HEX, LETTER, Shape};
use super::{
    ADDRESS, HOST, ID, MAIL, NUMBER, PATTERN_BYTES_MAX, TIME, VALUE, VALUE_BYTES_MAX, VALUES_MAX,
};

/// Keys of structured lines whose values describe the problem, so they are kept. Sorted.
pub(super) const TELLING_KEYS: &[&str] = &[
    "action",
    "app",
    "application",
    "cause",
    "code",
    "component",
    "err",
    "errno",
    "error",
    "error_code",
    "error_message",
    "error_type",
    "errorcode",
    "errormessage",
    "errortype",
    "event",
    "event_name",
    "eventname",
    "exception",
    "exception_type",
    "exceptiontype",
    "kind",
    "level",
    "log",
    "log_level",
    "logger",
    "loglevel",
    "lvl",
    "message",
    "method",
    "msg",
    "op",
    "operation",
    "outcome",
    "phase",
    "reason",
    "result",
    "service",
    "severity",
    "signal",
    "state",
    "status",
    "title",
    "type",
];

/// The first letters of [`TELLING_KEYS`] of each length, one bit each. Most keys are none of them.
const KEYS_BY_LENGTH: [u32; 16] = {
    let (mut letters, mut at) = ([0; 16], 0);
    while at < TELLING_KEYS.len() {
        let key = TELLING_KEYS[at].as_bytes();
        letters[key.len()] |= letter(key[0]);
        at += 1;
    }
    letters
};

/// The bit of a letter, whatever its case.
const fn letter(byte: u8) -> u32 {
    1 << (byte & 0x1f)
}

/// Words that announce the name of a user.
const ANNOUNCERS: &[&str] = &["user", "username", "login", "account", "ruser"];
/// Words before an announcing word that leave no doubt: `for user ann`.
const ANNOUNCED_BY: &[&str] =
    &["for", "invalid", "unknown", "illegal", "by", "as", "of", "such", "no"];
/// Words that follow an announcing word without being a name.
const NO_NAMES: &[&str] = &[
    "a",
    "account",
    "agent",
    "already",
    "an",
    "and",
    "at",
    "auth",
    "authentication",
    "by",
    "cannot",
    "could",
    "data",
    "did",
    "does",
    "error",
    "failed",
    "failure",
    "for",
    "from",
    "has",
    "id",
    "in",
    "input",
    "is",
    "limit",
    "locked",
    "logged",
    "login",
    "name",
    "not",
    "on",
    "or",
    "pool",
    "profile",
    "request",
    "requests",
    "service",
    "session",
    "settings",
    "store",
    "table",
    "the",
    "to",
    "unknown",
    "was",
    "with",
];

#[derive(Default)]
pub(super) struct Masker {
    text: String,
    /// One for each placeholder in `text`.
    places: Vec<Place>,
    /// The values of the places, one after the other.
    values: String,
    /// The last number had a unit.
    has_unit: bool,
    /// Where the last placeholder ends in `text`, and which it is.
    last: (usize, &'static str),
    /// The line itself contains `<`.
    has_bracket: bool,
    /// A buffer for the answer of `values`.
    answer: String,
    announced: Announced,
}

/// A placeholder in the text, and what it stands for.
struct Place {
    at: usize,
    /// Its value in `values`; empty if it tells the reader nothing.
    value: Range<usize>,
}

/// Whether the next word is the name of a user.
#[derive(Copy, Clone, Default, PartialEq, Eq)]
enum Announced {
    #[default]
    No,
    /// If what follows it looks like it.
    Maybe,
    Yes,
}

impl Masker {
    /// The mask of `line`, cut to [`PATTERN_BYTES_MAX`].
    pub(super) fn mask(&mut self, line: &str) -> &str {
        self.text.clear();
        self.places.clear();
        self.values.clear();
        (self.has_unit, self.has_bracket) = (false, false);
        (self.announced, self.last) = (Announced::No, (0, ""));
        self.text(line.trim());
        let end = bounded(&self.text).len();
        self.truncate(end);
        &self.text
    }

    /// The values of the places of the last mask, a line for each; empty lines at the end are left
    /// out. Values that tell a reader nothing (times, ids, durations, counts) are empty.
    pub(super) fn values(&mut self) -> &str {
        let mut answer = std::mem::take(&mut self.answer);
        answer.clear();
        if !self.has_bracket || !self.has_literal_placeholders() {
            self.write_values(&mut answer);
        }
        self.answer = answer;
        &self.answer
    }

    fn write_values(&self, values: &mut String) {
        let mut lines = 0;
        let kept = self.places.iter().enumerate().filter(|(_, place)| !place.value.is_empty());
        for (ordinal, place) in kept.take(VALUES_MAX) {
            (lines..ordinal).for_each(|_| values.push('\n'));
            lines = ordinal;
            values.push_str(&self.values[place.value.clone()]);
        }
    }

    /// The line itself contains a text like a placeholder, so the places cannot be counted.
    fn has_literal_placeholders(&self) -> bool {
        let placeholders = self
            .text
            .match_indices('<')
            .filter(|(at, _)| super::placeholder_at(&self.text, *at) > 0);
        placeholders.count() != self.places.len()
    }

    fn text(&mut self, line: &str) {
        let (bytes, mut at, mut key) = (line.as_bytes(), 0, "");
        while let Some(&first) = bytes.get(at) {
            if self.text.len() > PATTERN_BYTES_MAX {
                return;
            }
            let rest = &line[at..];
            at += match first {
                b'"' | b'\'' | b'`' => self.quoted(rest, 1, &mut key),
                b'\\' if shape::is_escaped_quote(rest.as_bytes()) => self.quoted(rest, 2, &mut key),
                0..=b' ' | 0x7f => self.blank(1),
                b'<' | b'>' if is_comparison(bytes, at) => 1,
                _ if shape::is_separator(first) => self.ascii_separator(first),
                _ => match shape::word_end(rest) {
                    (0, _) => self.separator(rest),
                    (end, kinds) => self.word(line, at..at + end, kinds, &mut key),
                },
            };
        }
    }

    /// Several spaces and control characters become one space.
    fn blank(&mut self, bytes: usize) -> usize {
        if !self.text.ends_with(' ') {
            self.text.push(' ');
        }
        bytes
    }

    /// A character that is not part of a word.
    fn ascii_separator(&mut self, byte: u8) -> usize {
        self.announced = Announced::No;
        self.has_bracket |= byte == b'<';
        self.text.push(char::from(byte));
        if byte == b')' && self.has_unit {
            self.drop_repeated_quantity();
        }
        1
    }

    /// The same, beyond ASCII.
    fn separator(&mut self, rest: &str) -> usize {
        let Some(c) = rest.chars().next() else { return 0 };
        if c.is_whitespace() || c.is_control() {
            return self.blank(c.len_utf8());
        }
        self.announced = Announced::No;
        self.text.push(c);
        c.len_utf8()
    }

    /// A word with the punctuation after it. `kinds` is the union of the kinds of its bytes.
    /// Returns the length of what was read.
    fn word<'t>(
        &mut self,
        line: &'t str,
        range: Range<usize>,
        kinds: u8,
        key: &mut &'t str,
    ) -> usize {
        let bytes = line.as_bytes();
        let (start, mut end) = (range.start, range.end);
        let is_bare_value = start > 0 && bytes[start - 1] == b'=' && !key.is_empty();
        // Most words consist of letters only.
        if kinds & !(HEX | LETTER) == 0 && self.announced == Announced::No && !is_bare_value {
            let word = &line[range];
            if self.last.0 + 1 != self.text.len() || !self.is_unit_of_last_number(word) {
                self.text.push_str(word);
            }
            self.announced = announces(word, "", key);
            *key = word;
            return word.len();
        }
        let grouped = grouped_digits_end(bytes, range);
        let is_grouped = grouped > end;
        end = end.max(grouped);
        let run = &line[start..end];
        // Punctuation at the end belongs to the sentence, not to the word.
        let is_end =
            |byte: u8| matches!(byte, b'.' | b':' | b'-' | b'/' | b'\\' | b'~' | b'#' | b'@');
        let core = &run[..run.bytes().rposition(|byte| !is_end(byte)).map_or(0, |last| last + 1)];
        let tail = &run[core.len()..];
        if core.is_empty() {
            self.text.push_str(run);
            return end - start;
        }
        let (begin, announced) = (self.text.len(), std::mem::take(&mut self.announced));
        if is_bare_value && !is_telling(key) {
            end += self.bare_value(core, kinds, if tail.is_empty() { &line[end..] } else { "" });
        } else if announced != Announced::No && is_name(core, announced, &line[end..]) {
            self.announced_name(core, kinds);
        } else if self.is_unit_of_last_number(core) {
            // The number stands for both.
        } else if self.follows(TIME) && shape::is_year(core) {
            self.truncate(begin - 1);
        } else if is_grouped {
            self.put_whole(NUMBER, "");
        } else {
            self.masked(core, kinds);
        }
        if self.last == (self.text.len(), TIME) && is_fraction(&bytes[end..]) {
            end += 4;
        }
        if tail.is_empty() && self.last.0 > begin {
            self.drop_repeated_word(begin);
        }
        self.text.push_str(tail);
        // The punctuation between a key and its value is not a key.
        if kinds & (DIGIT | HEX | LETTER) != 0 {
            self.announced = announces(core, tail, key);
            *key = core;
        }
        end - start
    }

    /// Whether a placeholder and a blank are the end of the text.
    fn follows(&self, placeholder: &str) -> bool {
        self.last.0 + 1 == self.text.len() && self.last.1 == placeholder && self.text.ends_with(' ')
    }

    /// Whether `word` is the unit of the number before it, which then stands for both.
    fn is_unit_of_last_number(&mut self, word: &str) -> bool {
        let is_unit = self.follows(NUMBER) && shape::is_unit(word);
        if is_unit {
            self.truncate(self.text.len() - 1);
            self.forget_last_value();
            self.has_unit = true;
        }
        is_unit
    }

    /// The value in `key=value`, with the brackets that follow it directly: `Rect(0,1)`. Returns
    /// the length of these.
    fn bare_value(&mut self, value: &str, kinds: u8, after: &str) -> usize {
        if value.eq_ignore_ascii_case("true") || value.eq_ignore_ascii_case("false") {
            self.text.push_str(value);
            return 0;
        }
        if after.starts_with(['(', '{', '[']) {
            let Some(length) = brackets(after) else {
                self.masked(value, kinds);
                return 0;
            };
            self.put(VALUE, "");
            return length;
        }
        match shape::of(value, kinds) {
            shape @ (Shape::Time
            | Shape::Address(0)
            | Shape::Id
            | Shape::Number { .. }
            | Shape::Host(0)
            | Shape::Mail) => {
                self.shaped(value, shape);
            }
            _ => self.put(VALUE, value),
        }
        0
    }

    fn announced_name(&mut self, name: &str, kinds: u8) {
        match shape::of(name, kinds) {
            shape @ (Shape::Address(0) | Shape::Host(0) | Shape::Mail) => self.shaped(name, shape),
            _ => self.put(VALUE, name),
        }
    }

    fn masked(&mut self, word: &str, kinds: u8) {
        self.shaped(word, shape::of(word, kinds));
    }

    fn shaped(&mut self, word: &str, shape: Shape) {
        match shape {
            Shape::Text => self.text.push_str(word),
            Shape::Time => self.time(),
            Shape::Address(slashes) => {
                self.text.push_str(&word[..slashes]);
                self.put_whole(ADDRESS, &word[slashes..]);
            }
            Shape::SlashAddress(at) => {
                match shape::is_host(&word[..at]) {
                    true => self.put(HOST, &word[..at]),
                    false => self.parts(&word[..at]),
                }
                self.text.push('/');
                self.put(ADDRESS, &word[at + 1..]);
            }
            Shape::Id => self.put_whole(ID, ""),
            Shape::Number { has_unit } => {
                self.has_unit = has_unit;
                self.put_whole(NUMBER, if has_unit || !is_short_number(word) { "" } else { word });
            }
            Shape::Host(slashes) => {
                self.text.push_str(&word[..slashes]);
                self.put_whole(HOST, &word[slashes..]);
            }
            Shape::Mail => self.put_whole(MAIL, ""),
            Shape::Url(at) => self.url(&word[..at], &word[at..]),
            Shape::Parts => self.parts(word),
        }
    }

    fn url(&mut self, scheme: &str, rest: &str) {
        self.text.push_str(scheme);
        let (host, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        match shape::is_host(host) || shape::is_ipv4(host) {
            true => self.put(HOST, host),
            false => self.parts(host),
        }
        self.parts(path);
    }

    /// A name with digits, part by part: `orders-db-3` → `orders-db-<n>`, `/users/42` →
    /// `/users/<n>`, `req_9f8a7c6b5d` → `req_<id>`. Masked parts in a row become one:
    /// `task_2008_0811_m_000590` → `task_<id>`.
    fn parts(&mut self, word: &str) {
        let (mut rest, mut joint) = (word, "");
        // The number of masked parts in a row, and whether they are long enough for a pod.
        let (mut row, mut is_long) = (0, false);
        while !rest.is_empty() {
            let end = match shape::starts_with_uuid(rest) {
                true => shape::UUID_BYTES,
                false => rest.bytes().position(shape::is_joint).unwrap_or(rest.len()),
            };
            let next = rest[end..]
                .bytes()
                .position(|byte| !shape::is_joint(byte))
                .map_or(rest.len(), |length| end + length);
            let (name, mut after) = (&rest[..end], &rest[end..next]);
            rest = &rest[next..];
            let is_digit_next = rest.starts_with(|c: char| c.is_ascii_digit());
            // The sign of a number: `blk_-123`.
            if after.len() > 1 && is_digit_next {
                after = after.strip_suffix(['-', '+']).unwrap_or(after);
            }
            let digits = name.bytes().filter(u8::is_ascii_digit).count();
            let is_pod = row > 0 && is_long && joint == "-" && shape::is_pod_suffix(name);
            let is_letter_between =
                || row > 0 && name.len() == 1 && is_digit_next && is_link(joint);
            let placeholder = match digits {
                _ if end == shape::UUID_BYTES && shape::starts_with_uuid(name) => Some(ID),
                0 if is_pod || is_letter_between() => Some(ID),
                0 => None,
                _ if digits == name.len() || is_hex_number(name) => Some(NUMBER),
                _ if is_pod
                    || digits >= 2 && name.len() >= 8
                    || name.len() >= 6 && is_lower_hex(name) =>
                {
                    Some(ID)
                }
                _ => None,
            };
            match placeholder {
                Some(placeholder) if row > 0 && !joint.contains(['/', '\\']) => {
                    self.truncate(self.text.len() - joint.len());
                    self.forget_last_value();
                    if self.text.ends_with(NUMBER) && (row > 1 || placeholder == ID) {
                        self.truncate(self.text.len() - NUMBER.len());
                        self.put(ID, "");
                    }
                    row += 1;
                    is_long |= digits >= 2 && name.len() >= 8;
                }
                Some(placeholder) => {
                    self.put(placeholder, if is_short_number(name) { name } else { "" });
                    row = 1;
                    is_long = digits >= 2 && name.len() >= 8;
                }
                None => {
                    self.without_digits(name);
                    (row, is_long) = (0, false);
                }
            }
            self.text.push_str(after);
            joint = after;
        }
    }

    fn without_digits(&mut self, name: &str) {
        let mut rest = name;
        while let Some(at) = rest.bytes().position(|byte| byte.is_ascii_digit()) {
            self.text.push_str(&rest[..at]);
            let after = rest[at..].trim_start_matches(|c: char| c.is_ascii_digit());
            self.put(NUMBER, &rest[at..rest.len() - after.len()]);
            rest = after;
        }
        self.text.push_str(rest);
    }

    /// `2026-11-23 14:15:16` is one time of two words, `Mon Nov 23 14:15:16 2026` of five.
    fn time(&mut self) {
        let before = self.last.0;
        if self.last.1 == TIME && before > 0 && matches!(&self.text[before..], "" | " " | "," | "T")
        {
            self.truncate(before);
            return;
        }
        if self.text.ends_with(' ') {
            self.truncate(date_start(&self.text));
        }
        self.put(TIME, "");
    }

    /// A quoted part. A key is kept, the value of a telling key and a sentence are read like the
    /// rest of the line, and any other value is masked as a whole. A quote that is not closed
    /// nearby is an ordinary character. The quote is `quote_bytes` long: `"` or `\"`.
    fn quoted<'t>(&mut self, rest: &'t str, quote_bytes: usize, key: &mut &'t str) -> usize {
        const CLOSED_WITHIN: usize = 512;
        const QUOTED_KEY_BYTES_MAX: usize = 60;
        self.announced = Announced::No;
        let quote = &rest[..quote_bytes];
        let within = &rest[quote_bytes..rest.floor_char_boundary(CLOSED_WITHIN.min(rest.len()))];
        let after_word = self.text.ends_with(char::is_alphanumeric);
        let closed = (!after_word).then(|| closing_quote(within, quote)).flatten();
        self.text.push_str(quote);
        let Some(length) = closed else { return quote_bytes };
        let (inside, after) = (&within[..length], &rest[length + 2 * quote_bytes..]);
        let is_key = length <= QUOTED_KEY_BYTES_MAX && after.trim_start().starts_with([':', '=']);
        if is_key {
            self.has_bracket |= inside.bytes().any(|byte| byte == b'<');
            self.text.push_str(inside);
            *key = inside;
        } else if inside.bytes().any(|byte| byte == b' ') || is_telling(key) {
            self.text(inside);
        } else if !inside.is_empty() {
            let has_line_break =
                length <= VALUE_BYTES_MAX && inside.bytes().any(|byte| byte == b'\n');
            self.put(VALUE, if has_line_break { "" } else { inside });
        }
        self.text.push_str(quote);
        length + 2 * quote_bytes
    }

    /// Adds a placeholder for a whole word. In a list of equal placeholders, the first stands for
    /// all.
    fn put_whole(&mut self, placeholder: &'static str, value: &str) {
        // `<n>, ` or `<n>,`
        let list = self.last.0;
        if self.last.1 == placeholder && list > 0 && matches!(&self.text[list..], "," | ", ") {
            self.truncate(list);
            self.forget_last_value();
            return;
        }
        self.put(placeholder, value);
    }

    fn put(&mut self, placeholder: &'static str, value: &str) {
        let start = self.values.len();
        if !value.is_empty() && value.len() <= VALUE_BYTES_MAX {
            self.values.push_str(value);
        }
        self.places.push(Place { at: self.text.len(), value: start..self.values.len() });
        self.text.push_str(placeholder);
        self.last = (self.text.len(), placeholder);
    }

    fn truncate(&mut self, bytes: usize) {
        self.text.truncate(bytes);
        if bytes < self.last.0 {
            self.last =
                if self.text.ends_with(self.last.1) { (bytes, self.last.1) } else { (0, "") };
        }
        while self.places.last().is_some_and(|place| place.at >= bytes) {
            self.places.pop();
        }
    }

    fn forget_last_value(&mut self) {
        if let Some(place) = self.places.last_mut() {
            place.value = 0..0;
        }
    }

    /// In `1534 bytes (1.49 KB)`, the brackets repeat the number.
    fn drop_repeated_quantity(&mut self) {
        let Some(before) = self.text.strip_suffix(" (<n>)") else { return };
        let word = before.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        if before.ends_with(NUMBER) || word.len() < before.len() && word.ends_with("<n> ") {
            self.truncate(before.len());
        }
    }

    /// In a list of words with the same mask, the first stands for all. `begin` is the start of the
    /// last word.
    fn drop_repeated_word(&mut self, begin: usize) {
        let Some((before, word)) = self.text.split_at_checked(begin) else { return };
        let Some(before) = before.strip_suffix(' ') else { return };
        let Some(earlier) = before.strip_suffix(word) else { return };
        if earlier.is_empty() || earlier.ends_with(' ') {
            self.truncate(before.len());
            self.forget_last_value();
        }
    }
}

/// The start of a text of at most [`PATTERN_BYTES_MAX`] bytes, cut between two words if possible.
fn bounded(text: &str) -> &str {
    let text = text.trim_end();
    if text.len() <= PATTERN_BYTES_MAX {
        return text;
    }
    let cut = &text[..text.floor_char_boundary(PATTERN_BYTES_MAX)];
    if text[cut.len()..].starts_with(' ') {
        return cut;
    }
    match cut.rfind(' ') {
        Some(blank) if blank > PATTERN_BYTES_MAX / 2 => &cut[..blank],
        // Not within a placeholder.
        _ => match cut.rfind('<') {
            Some(at) if super::placeholder_at(text, at) > cut.len() - at => &cut[..at],
            _ => cut,
        },
    }
}

/// `<5 ms`: a sign of a number, not a bracket.
fn is_comparison(bytes: &[u8], at: usize) -> bool {
    let starts = at == 0 || matches!(bytes[at - 1], b' ' | b'=' | b'(' | b'[' | b',' | b':');
    starts && bytes.get(at + 1).is_some_and(u8::is_ascii_digit)
}

/// The end of a number with grouped digits, `1,204,567`, if `word` is its start.
fn grouped_digits_end(bytes: &[u8], word: Range<usize>) -> usize {
    let mut end = word.end;
    let digits = match &bytes[word] {
        [b'-' | b'+', digits @ ..] => digits,
        digits => digits,
    };
    if !(1..=3).contains(&digits.len()) || !digits.iter().all(u8::is_ascii_digit) {
        return end;
    }
    while is_fraction(&bytes[end..]) {
        end += 4;
    }
    end
}

/// A comma and exactly three digits.
fn is_fraction(bytes: &[u8]) -> bool {
    match bytes {
        [b',', a, b, c, rest @ ..] => {
            [a, b, c].iter().all(|byte| byte.is_ascii_digit())
                && !rest.first().is_some_and(u8::is_ascii_digit)
        }
        _ => false,
    }
}

/// The length of the brackets at the start of `text`, if they close nearby and contain no blank.
fn brackets(text: &str) -> Option<usize> {
    const CLOSED_WITHIN: usize = 80;
    let close = match text.as_bytes().first()? {
        b'(' => b')',
        b'{' => b'}',
        _ => b']',
    };
    let end = text
        .bytes()
        .take(CLOSED_WITHIN)
        .position(|byte| byte == close || byte.is_ascii_whitespace())?;
    (text.as_bytes()[end] == close).then_some(end + 1)
}

/// Where the date at the end of `text` starts, which precedes a time: `Mon Nov <n> `,
/// `<n> Nov <n> `.
fn date_start(text: &str) -> usize {
    let (mut start, mut at, mut has_month) = (text.len(), text.len(), false);
    for _ in 0..4 {
        let Some(before) = text[..at].strip_suffix(' ') else { break };
        let word_at = before.rfind([' ', '[', '(', '"']).map_or(0, |blank| blank + 1);
        let word = before[word_at..].trim_end_matches(',');
        let is_month = shape::is_month(word);
        has_month |= is_month;
        if is_month || has_month && (shape::is_weekday(word) || word == NUMBER) {
            start = word_at;
        } else if word != NUMBER {
            break;
        }
        at = word_at;
    }
    start
}

/// Whether the key names something that describes the problem. `err.code` and `"error-code"` do by
/// their last part.
fn is_telling(key: &str) -> bool {
    let is_other = |byte: u8| !byte.is_ascii_alphanumeric() && byte != b'_' && byte < 0x80;
    let name = &key[key.bytes().rposition(is_other).map_or(0, |at| at + 1)..];
    let Some(first) = name.bytes().next() else { return false };
    let may_tell =
        KEYS_BY_LENGTH.get(name.len()).is_some_and(|letters| letters & letter(first) != 0);
    if !may_tell {
        return false;
    }
    let mut lower = [0; KEYS_BY_LENGTH.len()];
    let lower = &mut lower[..name.len()];
    lower.copy_from_slice(name.as_bytes());
    lower.make_ascii_lowercase();
    TELLING_KEYS.binary_search_by(|telling| telling.as_bytes().cmp(lower)).is_ok()
}

fn announces(word: &str, tail: &str, before: &str) -> Announced {
    let is_any =
        |words: &[&str], word: &str| words.iter().any(|other| word.eq_ignore_ascii_case(other));
    let may_announce = || matches!(word.as_bytes()[0] | 0x20, b'u' | b'l' | b'a' | b'r');
    if !(4..=8).contains(&word.len()) || !may_announce() || !is_any(ANNOUNCERS, word) {
        return Announced::No;
    }
    match tail {
        ":" => Announced::Yes,
        "" if is_any(ANNOUNCED_BY, before) => Announced::Yes,
        "" => Announced::Maybe,
        _ => Announced::No,
    }
}

fn is_name(word: &str, announced: Announced, after: &str) -> bool {
    let is_followed = || {
        [" from ", " by ", " at ", " via ", " logged "].iter().any(|next| after.starts_with(next))
    };
    let is_name = !NO_NAMES.iter().any(|other| word.eq_ignore_ascii_case(other));
    is_name && (announced == Announced::Yes || is_followed())
}

/// A number that may be a code. A longer one is a count or an id.
fn is_short_number(word: &str) -> bool {
    let number = word.trim_start_matches(['-', '+']);
    (1..=8).contains(&number.len())
        && number.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        && number.bytes().filter(u8::is_ascii_digit).count() <= 6
}

fn is_hex_number(name: &str) -> bool {
    let digits = name.strip_prefix("0x").or_else(|| name.strip_prefix("0X"));
    digits.is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
    })
}

fn is_lower_hex(name: &str) -> bool {
    name.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_link(joint: &str) -> bool {
    matches!(joint, "_" | "-" | "." | ":")
}

/// The offset of the closing `quote`. A backslash escapes the next byte, unless the quote itself
/// has one.
fn closing_quote(within: &str, quote: &str) -> Option<usize> {
    let [quote] = *quote.as_bytes() else {
        return memchr::memmem::find(within.as_bytes(), quote.as_bytes());
    };
    let mut escaped = false;
    within.bytes().position(|byte| {
        let closes = byte == quote && !escaped;
        escaped = byte == b'\\' && !escaped;
        closes
    })
}
