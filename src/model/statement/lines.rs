//! The statement of text in lines: a log line, a logfmt line, or a stack trace.

use std::ops::Range;
use std::sync::LazyLock;

use memchr::memmem::Finder;
use memchr::{memchr, memchr_iter, memchr3};

use super::continuation::{is_exception, is_frame};
use super::lead::{is_level, lead_bytes, lead_end};
use super::{Found, find_marker, is_label, is_separator, one_line};

/// How many lines after the marker are searched for what it announces.
const LINES_MAX: usize = 2_000;

/// Keys of a logfmt line, or of an object as a runtime prints it, whose values say what happened.
const MESSAGE_KEYS: &[&str] = &["msg", "message", "error", "err", "errorMessage", "event"];

/// The words before a cause in a chain of exceptions: of Java, and of .NET. Their searchers are
/// built once, because that takes longer than a search.
const CAUSES: [&str; 2] = ["Caused by: ", "---> "];
static CAUSE_FINDERS: LazyLock<[Finder<'static>; 2]> = LazyLock::new(|| CAUSES.map(Finder::new));

/// A line, or a part of one, and where it is in the text.
#[derive(Clone, Copy)]
struct Line<'a> {
    text: &'a str,
    start: usize,
}

pub(super) fn read(text: &str, marker: &str) -> Found {
    let marker = marker.trim();
    let at = find_marker(text, marker);
    let line = match at {
        Some(at) => line_at(text, at),
        None => lines(text, 0)
            .find(|line| !line.text.trim().is_empty())
            .unwrap_or(Line { text: "", start: 0 }),
    };
    let marker_at = at.map(|at| at - line.start);
    let content = content(line, marker, marker_at);
    let has_pairs = memchr_iter(b'=', line.text.as_bytes()).nth(1).is_some();
    let of_line = || logfmt(line, marker).filter(|_| content.start > line.start);
    if let Some(found) = has_pairs.then(|| logfmt(content, marker).or_else(of_line)).flatten() {
        return found;
    }
    let label = if is_labeled(content, marker) { marker } else { "" };
    let said = &content.text[label.len()..];
    let said = said.trim_start_matches(is_separator);
    let lead = lead_end(said);
    let is_all_lead = lead == said.len();
    let said = if is_all_lead { said } else { &said[lead..] };
    if !is_all_lead && !says_nothing(said) {
        return match cause(text, line).filter(|cause| !repeats(said, cause.text)) {
            None => labeled(label, said, content.range()),
            Some(cause) => {
                let said = said.trim_end_matches(|c| is_separator(c) || c == '.');
                labeled(label, &[said, ": ", cause.text].concat(), content.range())
            }
        };
    }
    match announced(text, line, said) {
        Some(what) => labeled(label, what.text, what.range()),
        None => whole(line, label, said, content),
    }
}

/// The exception behind a line that has a stack trace below it: of a traceback its last line, of
/// chained exceptions the deepest. Without it, two causes of one failure would look the same.
fn cause<'a>(text: &'a str, line: Line<'a>) -> Option<Line<'a>> {
    let rest = &text[line.end()..];
    if rest.is_empty() {
        return None;
    }
    let mut below = lines(text, line.end()).skip(1).take(LINES_MAX);
    let next = below.find(|line| !line.text.trim().is_empty())?;
    let next = next.from(lead_bytes(next.text));
    if next.text.starts_with("Traceback ") {
        return traceback(below);
    }
    let is_exception = is_exception(next.text);
    if !is_exception && !is_frame(next.text.trim_start()) {
        return None;
    }
    let has_causes = CAUSE_FINDERS.iter().any(|finder| finder.find(rest.as_bytes()).is_some());
    let deepest = || below.filter_map(caused_by).last();
    has_causes.then(deepest).flatten().or(is_exception.then_some(next))
}

/// Whether a line says already what its cause says. A few characters prove nothing: they may be a
/// number.
fn repeats(said: &str, cause: &str) -> bool {
    const WORDS_BYTES_MIN: usize = 8;
    let cause = cause.trim();
    let words = cause.rsplit(": ").next().unwrap_or_default();
    said.contains(cause) || words.len() >= WORDS_BYTES_MIN && said.contains(words)
}

fn caused_by(line: Line<'_>) -> Option<Line<'_>> {
    CAUSES.iter().find_map(|cause| {
        let at = line.text.find(cause)?;
        line.text[..at].trim().is_empty().then(|| line.from(at + cause.len()))
    })
}

/// The line of a statement that nothing follows: as much of it as says something.
fn whole(line: Line<'_>, label: &str, said: &str, content: Line<'_>) -> Found {
    if !said.trim_matches(|c: char| is_separator(c) || c == '"').is_empty() {
        return labeled(label, said, content.range());
    }
    let before = line.text[lead_bytes(line.text)..].trim();
    let text = if before.is_empty() { line.text } else { before };
    Found { text: one_line(text).into_owned(), range: line.range() }
}

fn labeled(label: &str, said: &str, range: Range<usize>) -> Found {
    let said = one_line(said);
    let text = match (label, said.is_empty()) {
        ("", _) => said.into_owned(),
        (label, true) => label.to_owned(),
        (label, false) => [label, " ", &*said].concat(),
    };
    Found { text, range }
}

/// The part of the marker's line that says something: from a marker that labels it, else without
/// its lead.
fn content<'a>(line: Line<'a>, marker: &str, marker_at: Option<usize>) -> Line<'a> {
    if let Some(at) = marker_at.filter(|_| is_label(marker)) {
        let after = line.text[at + marker.len()..]
            .trim_matches(|c: char| is_separator(c) || c == '"' || c == '\'');
        if !after.is_empty() {
            return line.from(at);
        }
    }
    let lead = lead_bytes(line.text);
    // A level that is the marker is not a part of the lead, but its label.
    line.from(marker_at.map_or(lead, |at| lead.min(at)))
}

fn is_labeled(content: Line<'_>, marker: &str) -> bool {
    !marker.is_empty() && is_label(marker) && content.text.starts_with(marker)
}

/// Whether a text only announces what follows it.
pub(super) fn says_nothing(text: &str) -> bool {
    let bare = text.trim_matches(|c: char| {
        is_separator(c) || matches!(c, '"' | '\'' | '`' | '[' | ']' | '{' | '}' | '(' | ')')
    });
    // Trimmed at both ends, as the text is.
    let is_announcement = || {
        const ANNOUNCEMENTS: &[&str] = &[
            "traceback (most recent call last",
            "traceback",
            "stack trace",
            "stacktrace",
            "php fatal error",
            "php parse error",
            "php warning",
            "fatal error",
            "uncaught exception",
            "unhandled exception",
            "unhandled promise rejection",
            "uncaught error",
            "exception",
            "an exception occurred",
            "an error occurred",
            "exception occurred",
            "error occurred",
            "panic",
            "error",
            "stdout",
            "stderr",
        ];
        ANNOUNCEMENTS.iter().any(|words| bare.eq_ignore_ascii_case(words))
    };
    // The longest level field and the longest announcement are shorter.
    const LONGEST: usize = 40;
    !bare.contains(char::is_alphanumeric)
        || bare.len() <= LONGEST && (is_level(bare) || is_level_field(bare) || is_announcement())
}

/// `level: 'CRITICAL'`, as a runtime prints an object.
fn is_level_field(text: &str) -> bool {
    let Some((key, value)) = text.split_once([':', '=']) else { return false };
    let bare = |text: &str| text.trim().trim_matches(['"', '\'', ',']).to_ascii_lowercase();
    matches!(&*bare(key), "level" | "severity" | "lvl" | "loglevel" | "log_level" | "log.level")
        && is_level(&bare(value))
}

/// What a line that says nothing announces: the exception of a traceback, the deepest cause of a
/// Java exception, the message of an object in several lines, or else the next line.
fn announced<'a>(text: &'a str, line: Line<'a>, said: &str) -> Option<Line<'a>> {
    let after = || lines(text, line.end()).skip(1).take(LINES_MAX);
    if said.trim_start().starts_with("Traceback") {
        return traceback(after());
    }
    if is_level_field(said.trim_matches(is_separator)) {
        return lines(text, 0).take(LINES_MAX).find_map(object_field);
    }
    let causes = after().filter_map(caused_by);
    let is_traceback = |line: &Line<'_>| line.text.trim_start().starts_with("Traceback");
    causes.last().or_else(|| {
        let mut following = after().map(|line| line.from(lead_bytes(line.text)));
        let next = following.find(|line| is_traceback(line) || !says_nothing(line.text))?;
        match is_traceback(&next) {
            true => traceback(lines(text, next.end()).skip(1).take(LINES_MAX)),
            false => Some(next),
        }
    })
}

/// The exception at the end of a Python traceback: the first line that is not indented. Of chained
/// tracebacks the last one, which is the exception that was not handled.
fn traceback<'a>(lines: impl Iterator<Item = Line<'a>>) -> Option<Line<'a>> {
    let (mut exception, mut has_frames, mut is_over) = (None, false, false);
    for line in lines {
        let text = line.text;
        if text.trim().is_empty() {
            continue;
        }
        if text.starts_with(char::is_whitespace) {
            has_frames |= text.trim_start().starts_with("File ");
            continue;
        }
        if text.starts_with("Traceback") {
            (has_frames, is_over) = (false, false);
        } else if !is_over && (has_frames || exception.is_none()) {
            exception = Some(line);
            is_over = true;
        }
    }
    exception
}

/// `message: 'pool is empty',` of an object in several lines.
fn object_field(line: Line<'_>) -> Option<Line<'_>> {
    let indent = line.text.len() - line.text.trim_start().len();
    let (key, value) = line.text[indent..].split_once(':')?;
    let key = key.trim().trim_matches(['"', '\'']);
    let value_start = line.text.len() - value.len();
    let skipped = value.len() - value.trim_start_matches([' ', '"', '\'', '`']).len();
    let value = value[skipped..].trim_end_matches([',', ' ']).trim_end_matches(['"', '\'', '`']);
    let is_message = MESSAGE_KEYS.contains(&key) && !value.is_empty() && value != "{";
    is_message.then(|| Line { text: value, start: line.start + value_start + skipped })
}

/// The value of `msg=` in a line of several `key=value` pairs, and of `error=` after it.
fn logfmt(line: Line<'_>, marker: &str) -> Option<Found> {
    let pairs = pairs(line);
    if pairs.len() < 2 {
        return None;
    }
    let of = |key: &str| pairs.iter().find(|(known, _)| *known == key).map(|(_, value)| *value);
    let with_marker = pairs.iter().find(|(key, value)| {
        !marker.is_empty()
            && value.text.contains(marker)
            && !is_level_key(key)
            && value.text.trim() != marker
    });
    let message =
        with_marker.map(|(_, value)| *value).or_else(|| quoted_start(line)).or_else(|| {
            let starts_at_pair =
                line.text[..pairs[0].1.start - line.start].trim_start().starts_with(pairs[0].0);
            MESSAGE_KEYS.iter().filter(|_| starts_at_pair).find_map(|key| of(key))
        })?;
    let text = unescaped(message.text);
    let text = match ["error", "err"]
        .iter()
        .find_map(|key| of(key))
        .filter(|error| error.start != message.start)
    {
        Some(error) if !error.text.is_empty() => format!("{text}: {}", unescaped(error.text)),
        _ => text,
    };
    let (label, said) = match text.find(marker).filter(|_| !marker.is_empty() && is_label(marker)) {
        Some(at) => (marker, text[at + marker.len()..].trim_start_matches(is_separator)),
        None => ("", &*text),
    };
    (!says_nothing(said)).then(|| labeled(label, said, message.range()))
}

/// The message at the start of a line of klog: `"Error syncing pod" err="…" pod="…"`.
fn quoted_start(line: Line<'_>) -> Option<Line<'_>> {
    let quoted = line.text.strip_prefix('"')?;
    let length = quoted_bytes(quoted).filter(|length| quoted[length + 1..].starts_with(' '))?;
    Some(Line { text: &quoted[..length], start: line.start + 1 })
}

fn is_level_key(key: &str) -> bool {
    matches!(key, "level" | "lvl" | "severity" | "log_level" | "loglevel")
}

/// The `key=value` and `key="value"` pairs of a line, in order.
fn pairs(line: Line<'_>) -> Vec<(&str, Line<'_>)> {
    let (text, mut pairs, mut at) = (line.text, Vec::new(), 0);
    while let Some(equals) = memchr(b'=', &text.as_bytes()[at..]).map(|found| at + found) {
        let key_start = text[at..equals]
            .rfind(|c: char| !(c.is_alphanumeric() || "_-.@".contains(c)))
            .map_or(at, |last| {
                at + last + text[at + last..].chars().next().map_or(1, char::len_utf8)
            });
        let key = &text[key_start..equals];
        let is_at_word = key_start == 0 || text[..key_start].ends_with([' ', '\t', ',', '{']);
        let value = &text[equals + 1..];
        let (skipped, length, end) = match value.as_bytes().first() {
            Some(b'"') => match quoted_bytes(&value[1..]) {
                Some(length) => (1, length, length + 2),
                None => (1, value.len() - 1, value.len()),
            },
            _ => {
                let length = value.find(char::is_whitespace).unwrap_or(value.len());
                (0, length, length)
            }
        };
        if !key.is_empty() && is_at_word {
            let start = equals + 1 + skipped;
            pairs.push((
                key,
                Line { text: &text[start..start + length], start: line.start + start },
            ));
            at = equals + 1 + end;
        } else {
            at = equals + 1;
        }
    }
    pairs
}

/// The length of a quoted text without its closing quote.
fn quoted_bytes(text: &str) -> Option<usize> {
    let mut is_escaped = false;
    text.bytes().position(|byte| {
        let closes = byte == b'"' && !is_escaped;
        is_escaped = byte == b'\\' && !is_escaped;
        closes
    })
}

fn unescaped(text: &str) -> String {
    match text.contains('\\') {
        true => text.replace("\\\"", "\"").replace("\\n", " ").replace("\\t", " "),
        false => text.to_owned(),
    }
}

fn line_at(text: &str, at: usize) -> Line<'_> {
    let start = match may_have_line_end(&text[..at]) {
        true => text[..at].rfind(is_line_end).map_or(0, |end| text.ceil_char_boundary(end + 1)),
        false => 0,
    };
    let end = match may_have_line_end(&text[at..]) {
        true => text[at..].find(is_line_end).map_or(text.len(), |found| at + found),
        false => text.len(),
    };
    Line { text: &text[start..end], start }
}

/// Whether a text has a first byte of a line end. Most log events are one line.
fn may_have_line_end(text: &str) -> bool {
    let bytes = text.as_bytes();
    memchr3(b'\n', b'\r', 0xe2, bytes).is_some() || memchr3(0xb, 0xc, 0xc2, bytes).is_some()
}

/// The lines of `text` from the byte `from`.
fn lines(text: &str, from: usize) -> impl Iterator<Item = Line<'_>> {
    text[from..].split(is_line_end).map(move |line| Line {
        text: line,
        start: line.as_ptr() as usize - text.as_ptr() as usize,
    })
}

/// Every character that ends a line: some runtimes separate the lines of one log event by CR.
fn is_line_end(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}')
}

impl<'a> Line<'a> {
    fn from(self, at: usize) -> Self {
        Self { text: &self.text[at..], start: self.start + at }
    }

    fn end(self) -> usize {
        self.start + self.text.len()
    }

    fn range(self) -> Range<usize> {
        self.start..self.end()
    }
}
