//! Text from outside, made fit for a message: control characters are spelled out, and the text is
//! cut to its size. Markup is left as it is: the layouts escape it.

use crate::model::truncate::truncate;
use crate::model::visible;

/// Stands for an empty name. A channel may refuse an empty text, and a gap would tell the reader
/// nothing.
const NAMELESS: &str = "(none)";

/// A name or a title on one line, at most `bytes_max` bytes, never empty.
pub(super) fn name(text: &str, bytes_max: usize) -> String {
    let mut name = one_line(text);
    if name.is_empty() {
        name.push_str(NAMELESS);
    }
    truncate(&mut name, bytes_max);
    name
}

/// Like [`name`], but cut in the middle, because a title ends with its count.
pub(super) fn title(text: &str, bytes_max: usize) -> String {
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

/// The part of a log event that matters: the line with `marker` and those that follow, without
/// empty lines, at most `lines_max` lines and `bytes_max` bytes. A long first line is cut around
/// the marker. May be empty.
pub(super) fn excerpt(message: &str, marker: &str, lines_max: usize, bytes_max: usize) -> String {
    let text = visible::text(message);
    let marker = visible::text(marker);
    let lines: Vec<&str> =
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
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

/// A log event in one line: its text from `marker` on.
pub(super) fn from_marker(message: &str, marker: &str, bytes_max: usize) -> String {
    let text = visible::text(message);
    let marker = visible::text(marker);
    let at = text.find(&marker).unwrap_or(0);
    let mut line = one_line(text[at..].lines().find(|line| !line.trim().is_empty()).unwrap_or(""));
    truncate(&mut line, bytes_max);
    line
}

/// A log event in one line without the marker, for a place that has already named it.
pub(super) fn after_marker(message: &str, marker: &str, bytes_max: usize) -> String {
    let line = from_marker(message, marker, usize::MAX);
    let rest = line.strip_prefix(&*one_line(marker)).unwrap_or(&line);
    // In JSON the marker is at the start of a string, and other fields follow that string.
    let is_json = message.trim_start().starts_with('{');
    let rest = if is_json { rest.split('"').next().unwrap_or(rest) } else { rest };
    let mut rest = rest.trim_start_matches([' ', ':', '-', '|', '–', '—']).trim_end().to_owned();
    if rest.is_empty() {
        rest = line;
    }
    truncate(&mut rest, bytes_max);
    rest
}

fn one_line(text: &str) -> String {
    visible::text(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `line` without its start, if it would otherwise be cut to `bytes_max` before or right after the
/// marker.
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
    fn an_excerpt_keeps_the_surroundings_of_the_marker() {
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
    fn a_line_starts_at_or_after_its_marker() {
        let cases = [
            ("2026-11-23 ERROR [C] pool empty\nat x", "[C] pool empty", "pool empty"),
            (
                r#"{"lvl":"e","msg":"[C] pool empty","svc":"a"}"#,
                r#"[C] pool empty","svc":"a"}"#,
                "pool empty",
            ),
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
