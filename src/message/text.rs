//! Text from outside, made fit for a message: control characters are spelled out, and the text is
//! cut to its size. Markup is left as it is: the layouts escape it.

use crate::model::humanize::humanize_bytes;
use crate::model::statement;
use crate::model::tally::Sample;
use crate::model::truncate::{truncate, truncated, truncated_start};
use crate::model::visible;

/// Stands for an empty name. A channel may refuse an empty text, and a gap would tell the reader
/// nothing.
const NAMELESS: &str = "(none)";

/// An excerpt of so many lines has room for what is around the event.
const LINES_WITH_CONTEXT: usize = 5;

/// The longest note on what an excerpt leaves out, in bytes.
const NOTE_BYTES_MAX: usize = 24;

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

/// The part of a log event that matters: its statement, the line that it comes from if that says
/// more, and the lines that follow, without empty lines. At most `lines_max` lines and as many of
/// what is around the event, `bytes_max` bytes in all, with a note on what is left out.
pub(super) fn excerpt(
    statement: &str,
    sample: &Sample,
    lines_max: usize,
    bytes_max: usize,
) -> String {
    let sides = [&sample.before, &sample.after];
    let shown_sides = sides.iter().filter(|side| side.is_some()).count();
    if lines_max < LINES_WITH_CONTEXT || shown_sides == 0 {
        return event(statement, sample, lines_max, bytes_max);
    }
    // Each side has a part of the room, in few lines, the nearest to the event.
    let (side_bytes, side_lines) = (bytes_max / 4, lines_max / 2);
    let before = sample.before.iter().map(|before| {
        let before = visible::text(before);
        let lines: Vec<&str> = before.lines().collect();
        let nearest = lines[lines.len().saturating_sub(side_lines)..].join("\n");
        truncated_start(&nearest, side_bytes)
    });
    let after = sample.after.iter().map(|after| {
        let after = visible::text(after);
        let nearest = after.lines().take(side_lines).collect::<Vec<_>>().join("\n");
        truncated(&nearest, side_bytes)
    });
    let room = bytes_max - shown_sides * (side_bytes + 1);
    let event = event(statement, sample, lines_max, room);
    before.chain([event]).chain(after).collect::<Vec<_>>().join("\n")
}

/// An excerpt without what is around the event.
fn event(statement: &str, sample: &Sample, lines_max: usize, bytes_max: usize) -> String {
    let bytes_max = bytes_max.saturating_sub(NOTE_BYTES_MAX);
    let text = visible::text(&statement::without_sequences(&sample.message));
    let marker = visible::text(&sample.marker);
    let statement = one_line(statement);
    let lines: Vec<&str> =
        text.lines().map(str::trim_end).filter(|line| !line.is_empty()).collect();
    let start = lines.iter().position(|line| line.contains(&marker)).unwrap_or(0);
    let Some(first) = lines.get(start) else { return truncated(&statement, bytes_max) };
    let said = statement::without_label(&statement, &marker);
    let whole = around(first, &marker, bytes_max);
    let mut shown = match part_in(said, &one_line(&whole)) {
        Part::All => whole,
        Part::Start => statement,
        // A structured line, or one that says nothing by itself.
        Part::None => format!("{statement}\n{}", around(first, &marker, bytes_max / 2)),
    };
    let lines_max = lines_max.saturating_sub(shown.matches('\n').count());
    for line in lines.iter().skip(start + 1).take(lines_max.saturating_sub(1)) {
        shown.push('\n');
        shown.push_str(line);
    }
    let bytes = sample.message_bytes.max(sample.message.len() as u64);
    let is_cut = truncate(&mut shown, bytes_max)
        || lines.len() - start > lines_max
        || bytes > sample.message.len() as u64;
    let left_out = bytes.saturating_sub(shown.len() as u64);
    if is_cut && left_out > 0 {
        shown.push_str(&format!("\n… {} more", humanize_bytes(left_out)));
    }
    shown
}

/// How much of a statement a line shows.
enum Part {
    All,
    /// The line was cut within the statement.
    Start,
    None,
}

fn part_in(statement: &str, line: &str) -> Part {
    const START_BYTES: usize = 16;
    // An object shows it, but between quotes and other members.
    if line.starts_with('{') {
        return Part::None;
    }
    if line.contains(statement) {
        return Part::All;
    }
    let line = line.trim_end_matches('…');
    let start = &statement[..statement.floor_char_boundary(START_BYTES)];
    match line.rfind(start) {
        Some(at) if statement.starts_with(&line[at..]) => Part::Start,
        _ => Part::None,
    }
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
    use crate::model::time::Timestamp;

    #[test]
    fn an_excerpt_keeps_the_surroundings_of_the_marker() {
        let cases = [
            ("[C] one\n\n  two\nthree\nfour", 3, 99, "[C] one\n  two\nthree\n… 6 bytes more"),
            ("=== banner ===\n[C] x", 3, 99, "[C] x"),
            ("no marker\nnext", 1, 99, "no marker\n… 5 bytes more"),
            ("0123456789012345678901234567890123456789 [C] why", 3, 54, "…456789 [C] why"),
            ("[C] 0123456789", 3, 34, "[C] 012…\n… 4 bytes more"),
            ("\n \n", 3, 99, ""),
        ];
        for (message, lines, bytes, shown) in cases {
            assert_eq!(of(message, "[C]", lines, bytes), shown, "{message:?}");
        }
        let json = format!(r#"{{"msg":"[C] pool is empty","ids":[{}7]}}"#, "7,".repeat(90));
        assert_eq!(
            of(&json, "[C]", 3, 124),
            "[C] pool is empty\n{\"msg\":\"[C] pool is empty\",\"ids\":[7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7,7…\n… 117 bytes more"
        );
        let trace = "Traceback (most recent call last):\n  File \"a\"\nKeyError: 'x'";
        assert_eq!(
            of(trace, "Traceback", 3, 123),
            "KeyError: 'x'\nTraceback (most recent call last):\n  File \"a\""
        );
    }

    #[test]
    fn a_line_that_ends_within_its_statement_does_not_repeat_it() {
        let line = "2026-11-23T14:15:16Z ERROR [C] pool of the checkout is empty, 5 waiting";
        let mut sample = sample(line, "[C]");
        sample.message.truncate(50);
        let statement = sample.statement().to_owned();
        assert_eq!(
            excerpt(&statement, &sample, 3, 99),
            "[C] pool of the checkout is empty, 5 waiting\n… 27 bytes more"
        );
    }

    fn of(message: &str, marker: &str, lines_max: usize, bytes_max: usize) -> String {
        let sample = sample(message, marker);
        excerpt(sample.statement(), &sample, lines_max, bytes_max)
    }

    fn sample(message: &str, marker: &str) -> Sample {
        Sample {
            id: "1".to_owned(),
            timestamp: Timestamp::from_millis(0),
            marker: marker.to_owned(),
            severity: None,
            statement: Some(statement::find(message, marker).text),
            message: message.to_owned(),
            message_bytes: message.len() as u64,
            before: None,
            after: None,
            account_id: String::new(),
            region: None,
            log_group: String::new(),
            log_stream: String::new(),
            app_name: String::new(),
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
