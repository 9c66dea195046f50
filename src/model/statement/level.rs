//! The level of a log event, which is not a part of its statement.

use memchr::memchr_iter;

use super::ansi::Plain;
use super::lead::{is_level, lead_end};
use super::structured::levels_and_line;

/// The level is searched for in so much of a log event.
const HEAD_BYTES: usize = 16 * 1024;
/// A longer text is not a level.
const LEVEL_BYTES_MAX: usize = 16;
/// JSON in JSON is read to this depth.
const DEPTH_MAX: usize = 2;

/// The level that a log event states, as it is written: in front of the text, or in a field of JSON
/// or logfmt.
///
/// ```
/// use stentor::model::statement::level;
///
/// assert_eq!(level("2026-11-23T14:15:16Z ERROR pool is empty").as_deref(), Some("ERROR"));
/// assert_eq!(level(r#"{"level":"warn","msg":"pool is small"}"#).as_deref(), Some("warn"));
/// assert_eq!(level("the error is gone"), None);
/// ```
pub fn level(message: &str) -> Option<String> {
    let head = &message[..message.floor_char_boundary(HEAD_BYTES)];
    of(&Plain::of(head).text, 0)
}

fn of(text: &str, depth: usize) -> Option<String> {
    let text = text.trim_start();
    let line = text.lines().next().unwrap_or_default();
    let (lead, rest) = text.split_at(lead_end(line));
    if rest.starts_with('{') && depth < DEPTH_MAX {
        let (levels, line) = levels_and_line(rest);
        let stated = levels.into_iter().find(|level| is_short(level));
        let in_line = || line.and_then(|line| of(&line, depth + 1));
        return stated.or_else(in_line).or_else(|| in_words(lead));
    }
    in_words(lead).or_else(|| in_logfmt(line))
}

fn in_words(lead: &str) -> Option<String> {
    let mut words = lead.split(|c: char| !c.is_ascii_alphanumeric());
    words.find(|word| is_level(word)).map(str::to_owned)
}

fn in_logfmt(line: &str) -> Option<String> {
    memchr_iter(b'=', line.as_bytes()).find_map(|equals| {
        let before = &line[..equals];
        let key = before.rsplit([' ', '\t', ',', '{']).next().unwrap_or(before);
        let value = line[equals + 1..].trim_start_matches(['"', '\'']);
        let value = value.split([' ', '"', '\'', ',']).next().unwrap_or(value);
        let is_key = ["level", "lvl", "severity"].contains(&key);
        (is_key && is_short(value)).then(|| value.to_owned())
    })
}

/// Whether a value can be a level.
fn is_short(value: &str) -> bool {
    (1..=LEVEL_BYTES_MAX).contains(&value.len())
        && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_event_states_its_level() {
        let cases = [
            ("2026-11-23T14:15:16Z ERROR pool is empty", "ERROR"),
            ("[WARN] [2026-11-23 14:15:16] pool is small", "WARN"),
            ("Error: pool is empty", "Error"),
            ("\u{1b}[31mERROR\u{1b}[0m pool is empty", "ERROR"),
            ("\n2026-11-23T14:15:16Z FATAL\nx", "FATAL"),
            (r#"{"msg":"x","Level":"Fatal"}"#, "Fatal"),
            (r#"{"msg":"x","log.level":"warn"}"#, "warn"),
            (r#"{"level":50,"msg":"x"}"#, "50"),
            (r#"2026-11-23T14:15:16Z stdout F {"level":"error","msg":"x"}"#, "error"),
            (r#"{"log":"{\"level\":\"error\",\"msg\":\"x\"}\n","stream":"stderr"}"#, "error"),
            (r#"{"log":"2026-11-23T14:15:16Z ERROR x","stream":"stderr"}"#, "ERROR"),
            ("ts=1 level=error msg=\"disk is full\"", "error"),
            ("severity=\"CRITICAL\" x=1", "CRITICAL"),
            ("the error is gone", ""),
            ("an ERROR in the middle", ""),
            ("level=a-very-long-text-that-is-none x=1", ""),
            (r#"{"level":{"a":1}}"#, ""),
            ("", ""),
        ];
        for (message, expected) in cases {
            assert_eq!(level(message).unwrap_or_default(), expected, "{message}");
        }
    }
}
