//! Fits text from outside into a message: makes it visible, cuts it to its room, and turns markup into literal text.
//! Where it stands on the page is decided elsewhere.

use crate::model::text::truncate;
use crate::model::visible;

/// Stands for an empty name: Slack refuses empty text, and a gap tells nothing.
const NAMELESS: &str = "(none)";

/// A name or a title on one line, at most `bytes_max` bytes, never empty.
pub fn name(text: &str, bytes_max: usize) -> String {
    let mut name = one_line(text);
    if name.is_empty() {
        name.push_str(NAMELESS);
    }
    truncate(&mut name, bytes_max);
    name
}

/// Like [`name`], but cut in the middle: the end of a title is its count.
pub fn title(text: &str, bytes_max: usize) -> String {
    const TAIL_BYTES: usize = 60;
    let title = name(text, usize::MAX);
    if title.len() <= bytes_max {
        return title;
    }
    let tail = &title[title.ceil_char_boundary(title.len() - TAIL_BYTES.min(title.len()))..];
    let mut head = title.clone();
    truncate(&mut head, bytes_max.saturating_sub(tail.len()));
    head + tail
}

/// The telling part of a log message: from the line that holds `marker` on, without empty lines, at most
/// `lines_max` lines and `bytes_max` bytes. Of a long line the surroundings of the marker are kept. May be empty.
pub fn excerpt(message: &str, marker: &str, lines_max: usize, bytes_max: usize) -> String {
    let text = visible::text(message);
    let marker = visible::text(marker);
    let lines: Vec<&str> = text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let start = lines.iter().position(|line| line.contains(&marker)).unwrap_or(0);
    let Some(first) = lines.get(start) else { return String::new() };
    let mut shown = around(first, &marker, bytes_max);
    for line in lines.iter().skip(start + 1).take(lines_max.saturating_sub(1)) {
        shown.push('\n');
        shown.push_str(line);
    }
    if lines.len() - start > lines_max {
        shown.push_str("\n…");
    }
    truncate(&mut shown, bytes_max);
    shown
}

/// What a message says in one line: its text from `marker` on.
pub fn from_marker(message: &str, marker: &str, bytes_max: usize) -> String {
    let text = visible::text(message);
    let marker = visible::text(marker);
    let at = text.find(&marker).unwrap_or(0);
    let mut said = one_line(text[at..].lines().find(|line| !line.trim().is_empty()).unwrap_or(""));
    truncate(&mut said, bytes_max);
    said
}

/// The same without the marker, for a place that has already named it.
pub fn after_marker(message: &str, marker: &str, bytes_max: usize) -> String {
    let said = from_marker(message, marker, usize::MAX);
    let rest = said.strip_prefix(&*one_line(marker)).unwrap_or(&said);
    // In a JSON line the marker opens a string; what follows that string is other fields.
    let is_json = message.trim_start().starts_with('{');
    let rest = if is_json { rest.split('"').next().unwrap_or(rest) } else { rest };
    let mut rest = rest.trim_start_matches([' ', ':', '-', '|', '–', '—']).trim_end().to_owned();
    if rest.is_empty() {
        rest = said;
    }
    truncate(&mut rest, bytes_max);
    rest
}

/// Makes text literal where Slack reads mrkdwn. (docs.slack.dev: exactly these three are escaped.)
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// Percent-encoded for the fragment of a URL.
pub fn percent_encoded(text: &str) -> String {
    use std::fmt::Write as _;
    text.bytes().fold(String::with_capacity(text.len() * 2), |mut encoded, byte| {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => encoded.push(char::from(byte)),
            _ => write!(encoded, "%{byte:02X}").expect("invariant: writing to a String cannot fail"),
        }
        encoded
    })
}

fn one_line(text: &str) -> String {
    visible::text(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `line` cut to `bytes_max`, but not in front of what it is shown for.
fn around(line: &str, marker: &str, bytes_max: usize) -> String {
    let at = line.find(marker).unwrap_or(0);
    if line.len() <= bytes_max || at <= bytes_max / 2 {
        return line.to_owned();
    }
    format!("…{}", &line[line.ceil_char_boundary(at - bytes_max / 4)..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_keeps_what_the_marker_is_about() {
        let cases = [
            ("[C] one\n\n  two\nthree\nfour", 3, 99, "[C] one\n  two\nthree\n…"),
            ("=== banner ===\n[C] x", 3, 99, "[C] x"),
            ("no marker\nnext", 1, 99, "no marker\n…"),
            ("0123456789012345678901234567890123456789 [C] why", 3, 30, "…456789 [C] why"),
            ("[C] 0123456789", 3, 10, "[C] 012…"),
            ("\n \n", 3, 99, ""),
        ];
        for (message, lines, bytes, shown) in cases {
            assert_eq!(excerpt(message, "[C]", lines, bytes), shown, "{message:?}");
        }
    }

    #[test]
    fn one_line_says_what_happened() {
        let cases = [
            ("2026-11-23 ERROR [C] pool empty\nat x", "[C] pool empty", "pool empty"),
            (r#"{"lvl":"e","msg":"[C] pool empty","svc":"a"}"#, r#"[C] pool empty","svc":"a"}"#, "pool empty"),
            ("[C]: pool\tempty", "[C]: pool empty", "pool empty"),
            ("[C]", "[C]", "[C]"),
            ("pool empty", "pool empty", "pool empty"),
            ("", "", ""),
        ];
        for (message, from, after) in cases {
            assert_eq!(
                (&*from_marker(message, "[C]", 99), &*after_marker(message, "[C]", 99)),
                (from, after),
                "{message}"
            );
        }
    }

    #[test]
    fn a_name_is_never_empty_and_a_title_keeps_its_count() {
        assert_eq!(name(" \n", 80), "(none)");
        assert_eq!(name("a\nb\tc", 80), "a b c");
        let long = format!("[{}] 1,204 alerts", "x".repeat(300));
        assert!(
            title(&long, 150).len() <= 150 && title(&long, 150).ends_with("] 1,204 alerts"),
            "{}",
            title(&long, 150)
        );
        assert_eq!(title("[CRITICAL] 2 alerts", 150), "[CRITICAL] 2 alerts");
    }
}
