//! The Slack message as text for a terminal: the same blocks, drawn with indentation and, if asked for, with colours and
//! clickable links. What log text could do to a terminal, [`render`](super::render) has taken out of it before
//! (`render::tests::a_terminal_is_not_driven_by_log_text`).

use std::ops::Range;

use super::render::block::{Block, Inline, Link, Part};
use super::render::compose;
use crate::model::digest::Digest;
use crate::model::name::Severity;

const WIDTH_MIN: usize = 40;
const INDENT: usize = 2;
const SAMPLE_INDENT: usize = 4;
/// How much further the later lines of a paragraph are indented than its first.
const HANG: usize = 2;

/// `digest` as [`render`](super::render::render) tells it to Slack, in lines of at most `width` (but at least 40)
/// characters. `color` is for a terminal that knows escape sequences; without it the text has none.
pub fn view(digest: &Digest, width: usize, color: bool) -> String {
    drawn(digest, Page { text: String::new(), width: width.max(WIDTH_MIN), color, spells_links: false })
}

/// The same without any escape sequence, each link of a sample written out: for mail and the like.
pub fn plain(digest: &Digest, width: usize) -> String {
    drawn(digest, Page { text: String::new(), width: width.max(WIDTH_MIN), color: false, spells_links: true })
}

fn drawn(digest: &Digest, mut page: Page) -> String {
    for block in compose(digest) {
        match block {
            Block::Header(title) => page.paragraph(0, severity_color(digest), &[Inline::Strong(title)]),
            Block::Divider => page.text.push('\n'),
            Block::Text(parts) => parts.iter().for_each(|part| page.part(part)),
            Block::Context { link, text } => page.small_print(link, text),
        }
    }
    page.text.truncate(page.text.trim_end().len() + 1);
    page.text
}

struct Page {
    text: String,
    width: usize,
    color: bool,
    /// Links cannot be clicked, so they stand on lines of their own.
    spells_links: bool,
}

impl Page {
    fn small_print(&mut self, link: Option<Link>, text: String) {
        let spelled = link.as_ref().filter(|_| self.spells_links).map(|link| format!("{:INDENT$}{}\n", "", link.url));
        let link = link.filter(|_| !self.spells_links).map(|link| [Inline::Link(link), Inline::plain(" · ")]);
        let line: Vec<_> = link.into_iter().flatten().chain([Inline::Plain(text)]).collect();
        self.paragraph(INDENT, "2", &line);
        self.text.push_str(&spelled.unwrap_or_default());
        self.text.push('\n');
    }

    fn part(&mut self, part: &Part) {
        match part {
            Part::Lines(lines) => lines.iter().for_each(|line| self.paragraph(INDENT, "", line)),
            Part::Sample(text) => {
                text.lines().for_each(|line| self.paragraph(SAMPLE_INDENT, "", &[Inline::plain(line)]));
            }
            Part::List(lines) => {
                for line in lines {
                    self.paragraph(INDENT, "", &[&[Inline::plain("• ")], line.as_slice()].concat());
                }
            }
        }
    }

    /// A line of the message in as many lines as it takes; nothing for an empty one.
    fn paragraph(&mut self, indent: usize, tint: &str, line: &[Inline]) {
        let text: String = line.iter().map(Inline::as_str).collect();
        for (n, segment) in wrapped(&text, self.width - indent - HANG).into_iter().enumerate() {
            let indent = if n == 0 { indent } else { indent + HANG };
            self.text.push_str(&" ".repeat(indent));
            self.segment(segment, tint, line);
            self.text.push('\n');
        }
    }

    /// The part of `line` that lies within `segment` of its text.
    fn segment(&mut self, segment: Range<usize>, tint: &str, line: &[Inline]) {
        let mut at = 0;
        for inline in line {
            let text = inline.as_str();
            let (start, end) = (segment.start.clamp(at, at + text.len()), segment.end.clamp(at, at + text.len()));
            if start < end {
                self.inline(inline, tint, &text[start - at..end - at]);
            }
            at += text.len();
        }
    }

    fn inline(&mut self, inline: &Inline, tint: &str, text: &str) {
        let style = match inline {
            _ if !self.color => "",
            Inline::Strong(_) => "1",
            Inline::Code(_) => "36",
            Inline::Link(_) => "4",
            Inline::Plain(_) | Inline::Local { .. } => "",
        };
        let codes: Vec<&str> = [style, tint].into_iter().filter(|code| self.color && !code.is_empty()).collect();
        let mut shown = text.to_owned();
        if !codes.is_empty() {
            shown = format!("\u{1b}[{}m{shown}\u{1b}[0m", codes.join(";"));
        }
        if let (Inline::Link(Link { url, .. }), true) = (inline, self.color) {
            // OSC 8, a link as terminals know it; those that do not show the text alone.
            shown = format!("\u{1b}]8;;{url}\u{1b}\\{shown}\u{1b}]8;;\u{1b}\\");
        }
        self.text.push_str(&shown);
    }
}

fn severity_color(digest: &Digest) -> &'static str {
    match digest.severity {
        _ if digest.tally.is_empty() => "32",
        Severity::Critical | Severity::Error => "31",
        Severity::Warning => "33",
        Severity::Info => "34",
    }
}

/// Where `text` is broken so that no line has more than `width` characters: at blanks, or within a word that is too long.
fn wrapped(text: &str, width: usize) -> Vec<Range<usize>> {
    let mut lines = Vec::new();
    let mut start = 0;
    while let Some((limit, last)) = text[start..].char_indices().nth(width) {
        let reach = start + limit + last.len_utf8();
        let blank = text[start..reach].rfind(' ').map(|at| start + at);
        match blank.filter(|&blank| !text[start..blank].trim().is_empty()) {
            Some(blank) => {
                lines.push(start..blank);
                start = blank + 1;
            }
            None => {
                lines.push(start..start + limit);
                start += limit;
            }
        }
    }
    if start < text.len() {
        lines.push(start..text.len());
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_break_at_blanks_and_in_long_words() {
        let cases: [(&str, &[&str]); 6] = [
            ("", &[]),
            ("one two", &["one two"]),
            ("one two three", &["one two", "three"]),
            ("one two3 four5", &["one two3", "four5"]),
            ("0123456789", &["01234567", "89"]),
            ("      ünï ünï", &["      ün", "ï ünï"]),
        ];
        for (text, lines) in cases {
            let broken: Vec<_> = wrapped(text, 8).into_iter().map(|line| &text[line]).collect();
            assert_eq!(broken, lines, "{text:?}");
        }
    }
}
