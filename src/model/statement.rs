//! The statement of a log event: the one line that says what happened.
//!
//! A log event holds more than that: a timestamp, a level, a request id, the fields of a structured
//! line, a stack trace. [`find`] takes the statement out of all common layouts. Patterns, samples,
//! notifications and one-line summaries use it, so they all speak of the same thing.
//!
//! The function is pure, total and linear in the length of the message, of which it reads at most
//! 1 MiB.

mod ansi;
mod continuation;
mod lead;
mod level;
mod lines;
mod structured;

use std::borrow::Cow;
use std::ops::Range;

use memchr::{memchr_iter, memmem};

use crate::model::truncate::truncate;

pub use continuation::Continuation;
pub use level::level;

/// The longest statement, in bytes. The rest of a longer one is cut off.
pub const STATEMENT_BYTES_MAX: usize = 1024;

/// So much of a message is read, around the marker. CloudWatch's own limit of an event is 1 MiB.
const READ_BYTES_MAX: usize = 1 << 20;

/// JSON in JSON in JSON, and so on, is read to this depth.
const DEPTH_MAX: usize = 4;

/// The statement of a log event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Statement {
    /// One line without escape sequences; blanks are collapsed. Begins with the marker if the
    /// marker labels the text, as `[CRITICAL]` does.
    pub text: String,
    /// The bytes of the message that the text comes from.
    pub range: Range<usize>,
}

/// Text that was found, and the bytes of the text that was searched from which it comes.
struct Found {
    text: String,
    range: Range<usize>,
}

/// The statement of `message`, in which `marker` was found. Total: an unknown layout has its line
/// with the marker as the statement, and without the marker its first line.
///
/// ```
/// use stentor::model::statement::find;
///
/// let line = "2026-11-23T14:15:16Z 4f1d2c3b-0a1b-4c2d-8e3f-5a6b7c8d9e0f ERROR [CRITICAL] pool is empty";
/// assert_eq!(find(line, "[CRITICAL]").text, "[CRITICAL] pool is empty");
///
/// let json = r#"{"level":"ERROR","errorType":"KeyError","errorMessage":"'total'"}"#;
/// assert_eq!(find(json, r#""level":"ERROR""#).text, "KeyError: 'total'");
/// ```
pub fn find(message: &str, marker: &str) -> Statement {
    let Statement { mut text, range } = find_whole(message, marker);
    truncate(&mut text, STATEMENT_BYTES_MAX);
    Statement { text, range }
}

/// `message` without the sequences that color and control a terminal.
pub fn without_sequences(message: &str) -> Cow<'_, str> {
    ansi::Plain::of(message).text
}

/// Like [`find`], but without a limit of the text, for a message whose secrets are still in it: a
/// limit could cut a secret in two, and half a secret is not recognized.
pub fn find_whole(message: &str, marker: &str) -> Statement {
    let window = window(message, marker);
    let plain = ansi::Plain::of(&message[window.clone()]);
    let Found { text, range } = read(&plain.text, marker, 0);
    let range = plain.original(range);
    Statement { text, range: window.start + range.start..window.start + range.end }
}

/// The part of a message that is read.
fn window(message: &str, marker: &str) -> Range<usize> {
    if message.len() <= READ_BYTES_MAX {
        return 0..message.len();
    }
    let at = memmem::find(message.as_bytes(), marker.as_bytes()).unwrap_or(0);
    let start = at.saturating_sub(READ_BYTES_MAX / 2);
    message.floor_char_boundary(start)..message.floor_char_boundary(start + READ_BYTES_MAX)
}

/// Whether the marker labels a line, as `[CRITICAL]` and `FATAL` do, and is not itself a part of
/// the sentence, as `Task timed out after` is.
pub fn is_label(marker: &str) -> bool {
    let brackets = [('[', ']'), ('(', ')'), ('<', '>'), ('{', '}'), ('*', '*'), ('#', '#')];
    let mut chars = marker.chars();
    let ends = chars.next().zip(chars.next_back());
    ends.is_some_and(|ends| brackets.contains(&ends))
        || marker.chars().any(char::is_uppercase)
            && !marker.contains(|c: char| c.is_lowercase() || c.is_whitespace())
}

/// `statement` without the marker, for a place that has already named it. Keeps a marker that is a
/// part of the sentence, and one that stands alone.
pub fn without_label<'a>(statement: &'a str, marker: &str) -> &'a str {
    let marker = marker.trim();
    let rest = statement.strip_prefix(marker).filter(|_| is_label(marker));
    let rest = rest.map(|rest| rest.trim_start_matches(is_separator));
    rest.filter(|rest| !rest.is_empty()).unwrap_or(statement)
}

fn read(text: &str, marker: &str, depth: usize) -> Found {
    let structured =
        (depth < DEPTH_MAX).then(|| structured::read_object(text, marker, depth)).flatten();
    structured.unwrap_or_else(|| lines::read(text, marker))
}

/// Where `marker` is in `text`. Its first byte is rare in most logs, so a search for that byte beats a
/// searcher that has to be built first.
fn find_marker(text: &str, marker: &str) -> Option<usize> {
    let (text, marker) = (text.as_bytes(), marker.as_bytes());
    let first = *marker.first()?;
    memchr_iter(first, text).find(|at| text[*at..].starts_with(marker))
}

/// `text` on one line: control characters and blanks become single spaces.
fn one_line(text: &str) -> Cow<'_, str> {
    let text = text.trim();
    // Without branches, so the compiler can look at many bytes at once.
    let bytes = text.as_bytes();
    let is_ascii = bytes.iter().fold(true, |all, byte| all & matches!(byte, b' '..=b'~'));
    let pairs = bytes.iter().zip(bytes.get(1..).unwrap_or_default());
    if is_ascii && !pairs.fold(false, |any, (a, b)| any | (*a == b' ') & (*b == b' ')) {
        return Cow::Borrowed(text);
    }
    let is_odd = |c: char| c != ' ' && (c.is_whitespace() || c.is_control());
    if !text.contains(is_odd) && !text.contains("  ") {
        return Cow::Borrowed(text);
    }
    let words =
        text.split(|c: char| c.is_whitespace() || c.is_control()).filter(|word| !word.is_empty());
    Cow::Owned(words.collect::<Vec<_>>().join(" "))
}

/// Whether a character separates the parts of a line without meaning anything by itself.
fn is_separator(c: char) -> bool {
    c.is_whitespace()
        || c.is_control()
        || matches!(c, ':' | '-' | '|' | '–' | '—' | ',' | ';' | '>' | '=' | '•' | '·')
}

#[cfg(test)]
mod tests;
