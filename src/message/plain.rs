//! Content as plain text, for a terminal or a mail: lines with indentation and, for a terminal that
//! knows them, with colors and links. Log text cannot drive the terminal, because the content
//! spells out control characters (`message::tests::log_text_does_not_drive_a_terminal`).

use std::ops::Range;

use super::content::{Content, Inline, Link, Status, plain};
use crate::model::name::Severity;

const WIDTH_MIN: usize = 40;
const INDENT: usize = 2;
const EXCERPT_INDENT: usize = 4;
/// The further indent of the later lines of a paragraph.
const HANG: usize = 2;

/// `content` in lines of at most `width` (but at least 40) characters. With `color`, the text has
/// the escape sequences of a terminal, and links that can be clicked.
///
/// ```
/// use stentor::message::compose::{Budget, compose};
/// use stentor::message::plain;
/// use stentor::model::digest::Digest;
/// use stentor::model::tally::Tally;
///
/// let (route, target) = ("critical".parse()?, "slack:ops".parse()?);
/// let digest = Digest::new(&route, &target, None, (3, 4), Tally::default());
/// let text = plain::view(&compose(&digest, &Budget::UNLIMITED), 80, false);
/// assert_eq!(text, "✅ Nothing new on critical\n  route critical · epochs 3–4\n");
/// # Ok::<(), stentor::model::name::NameError>(())
/// ```
pub fn view(content: &Content, width: usize, color: bool) -> String {
    drawn(
        content,
        Page { text: String::new(), width: width.max(WIDTH_MIN), color, prints_urls: false },
    )
}

/// `content` without any escape sequence, each link on a line of its own: for mail.
pub fn mail(content: &Content, width: usize) -> String {
    drawn(
        content,
        Page { text: String::new(), width: width.max(WIDTH_MIN), color: false, prints_urls: true },
    )
}

fn drawn(content: &Content, mut page: Page) -> String {
    page.paragraph(0, status_color(content.status), &[Inline::Strong(content.headline.clone())]);
    content.facts.lines().for_each(|line| page.paragraph(INDENT, "", line));
    if !page.prints_urls {
        page.paragraph(INDENT, "", &content.link_line());
    }
    if content.alerts > 0 {
        page.text.push('\n');
    }
    for group in &content.groups {
        page.paragraph(INDENT, "", &group.summary);
        group.excerpt.lines().for_each(|line| page.paragraph(EXCERPT_INDENT, "", &[plain(line)]));
        page.small_print(group.link.as_ref(), group.place.to_string());
    }
    for group in &content.more_groups {
        page.paragraph(INDENT, "", &[vec![plain("• ")], group.line()].concat());
    }
    if let Some(left_out) = &content.left_out {
        page.paragraph(INDENT, "", &left_out.line());
    }
    if page.prints_urls {
        page.urls(content);
    }
    page.small_print(None, content.reference.to_string());
    page.text.truncate(page.text.trim_end().len() + 1);
    page.text
}

struct Page {
    text: String,
    width: usize,
    color: bool,
    /// Links cannot be clicked, so their URLs are printed on lines of their own.
    prints_urls: bool,
}

impl Page {
    /// The links of the message, each on a line of its own.
    fn urls(&mut self, content: &Content) {
        for Link { url, text } in content.all_links() {
            self.text.push_str(&format!("{:INDENT$}{text}: {url}\n", ""));
        }
    }

    /// A line of little weight, and an empty one.
    fn small_print(&mut self, link: Option<&Link>, text: String) {
        let linked = link
            .filter(|_| !self.prints_urls)
            .map(|link| [Inline::Link(link.clone()), plain(" · ")]);
        let line: Vec<_> = linked.into_iter().flatten().chain([plain(text)]).collect();
        self.paragraph(INDENT, "2", &line);
        if let Some(link) = link.filter(|_| self.prints_urls) {
            self.text.push_str(&format!("{:INDENT$}{}\n", "", link.url));
        }
        self.text.push('\n');
    }

    /// A line of the content, broken into as many lines as it needs; nothing for an empty one.
    fn paragraph(&mut self, indent: usize, tint: &str, line: &[Inline]) {
        let text: String = line.iter().map(Inline::as_str).collect();
        for (n, segment) in wrapped(&text, self.width - indent - HANG).into_iter().enumerate() {
            let indent = if n == 0 { indent } else { indent + HANG };
            self.text.push_str(&" ".repeat(indent));
            self.segment(segment, tint, line);
            self.text.push('\n');
        }
    }

    /// The pieces of `line` within `segment` of its text.
    fn segment(&mut self, segment: Range<usize>, tint: &str, line: &[Inline]) {
        let mut at = 0;
        for inline in line {
            let text = inline.as_str();
            let (start, end) =
                (segment.start.clamp(at, at + text.len()), segment.end.clamp(at, at + text.len()));
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
            Inline::Plain(_) | Inline::LocalTime { .. } => "",
        };
        let codes: Vec<&str> =
            [style, tint].into_iter().filter(|code| self.color && !code.is_empty()).collect();
        let mut shown = text.to_owned();
        if !codes.is_empty() {
            shown = format!("\u{1b}[{}m{shown}\u{1b}[0m", codes.join(";"));
        }
        if let (Inline::Link(Link { url, .. }), true) = (inline, self.color) {
            // OSC 8. A terminal that does not know it shows the text alone.
            shown = format!("\u{1b}]8;;{url}\u{1b}\\{shown}\u{1b}]8;;\u{1b}\\");
        }
        self.text.push_str(&shown);
    }
}

fn status_color(status: Status) -> &'static str {
    match status {
        Status::Quiet => "32",
        Status::Alerting(Severity::Critical | Severity::Error) => "31",
        Status::Alerting(Severity::Warning) => "33",
        Status::Alerting(Severity::Info) => "34",
    }
}

/// Breaks `text` into lines of at most `width` characters: at blanks, or within a word that is too
/// long.
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
