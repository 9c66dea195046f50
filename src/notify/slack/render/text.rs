//! Text from outside made fit to be shown: what is invisible becomes visible, what is long becomes
//! short, what is markup becomes text. Where it is put on the page is not decided here.

use crate::tally::cut;

/// Stands for a name that somebody left empty: Slack refuses empty text, and a gap tells nothing.
const NAMELESS: &str = "(none)";

/// A name or a title on one line, at most `bytes_max` bytes, never empty.
pub fn name(text: &str, bytes_max: usize) -> String {
    let mut name = one_line(text);
    if name.is_empty() {
        name.push_str(NAMELESS);
    }
    cut(&mut name, bytes_max);
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
    cut(&mut head, bytes_max.saturating_sub(tail.len()));
    head + tail
}

/// The telling part of a log message: from the line that holds `marker` on, without empty lines, at most
/// `lines_max` lines and `bytes_max` bytes. Of a long line the surroundings of the marker are kept. May be empty.
pub fn excerpt(message: &str, marker: &str, lines_max: usize, bytes_max: usize) -> String {
    let text = visible(message);
    let marker = visible(marker);
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
    cut(&mut shown, bytes_max);
    shown
}

/// What a message says in one line: its text from `marker` on.
pub fn from_marker(message: &str, marker: &str, bytes_max: usize) -> String {
    let text = visible(message);
    let marker = visible(marker);
    let at = text.find(&marker).unwrap_or(0);
    let mut said = one_line(text[at..].lines().find(|line| !line.trim().is_empty()).unwrap_or(""));
    cut(&mut said, bytes_max);
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
    cut(&mut rest, bytes_max);
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
    visible(text).split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `line` cut to `bytes_max`, but not in front of what it is shown for.
fn around(line: &str, marker: &str, bytes_max: usize) -> String {
    let at = line.find(marker).unwrap_or(0);
    if line.len() <= bytes_max || at <= bytes_max / 2 {
        return line.to_owned();
    }
    format!("…{}", &line[line.ceil_char_boundary(at - bytes_max / 4)..])
}

/// Text in which nothing acts: colours are gone, other control characters and what is invisible or turns
/// the direction of writing is shown by its number. Of white space only blanks and newlines are left.
fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = escape_sequence(rest).unwrap_or(c.len_utf8());
        rest = &rest[taken..];
        if taken > c.len_utf8() {
            continue;
        }
        match c {
            '\r' if rest.starts_with('\n') => {}
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => shown.push('\n'),
            '\t' => shown.push_str("    "),
            c if c.is_whitespace() => shown.push(' '),
            c if c.is_control() || acts_unseen(c) => shown.push_str(&format!("[U+{:04X}]", u32::from(c))),
            c => shown.push(c),
        }
    }
    shown
}

/// Length of the terminal control sequence (`ESC [ … letter`, mostly colours) at the start of `text`.
fn escape_sequence(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !matches!(c, '0'..='9' | ';' | ':' | '?' | ' '))?;
    parameters[end..].starts_with(|c: char| c.is_ascii_alphabetic()).then_some(2 + end + 1)
}

/// Characters that show nothing and change how others look: marks and overrides of direction, joiners
/// and other characters without width, tags, fillers. (Unicode: Default_Ignorable_Code_Point, Bidi_Control.)
fn acts_unseen(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{2800}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0e}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_unseen_is_shown() {
        let cases = [
            ("plain ünï ☕", "plain ünï ☕"),
            ("\u{1b}[1;31mERROR\u{1b}[0m x", "ERROR x"),
            ("\u{1b}]0;title\u{7}", "[U+001B]]0;title[U+0007]"),
            ("abc\u{202e}gnp.exe", "abc[U+202E]gnp.exe"),
            ("a\u{200b}b\u{feff}\u{0}", "a[U+200B]b[U+FEFF][U+0000]"),
            ("one\r\ntwo\rthree\u{2028}four", "one\ntwo\nthree\nfour"),
            ("\tx\u{a0}y", "    x y"),
            ("\u{1b}[", "[U+001B]["),
        ];
        for (text, shown) in cases {
            assert_eq!(visible(text), shown, "{text:?}");
        }
    }

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
