//! Takes secrets out of log text before anything of it is stored or shown.
//!
//! One automaton over all trigger words (`password`, `AKIA`, `://`, …) walks the text once, and only around a hit does
//! anything look closer. A hit is either the *shape* of a known credential or the *name* of a secret; then the value
//! behind it goes, up to the end that its syntax gives it: JSON at any level of escaping, query strings, headers, XML,
//! YAML, command lines. Card numbers have no trigger word and are looked for between what was found. A secret becomes
//! `[redacted:<kind>]`; its name and the syntax around it stay.
//!
//! In doubt it redacts. It judges by syntax, not by entropy: a secret that nobody named and that has no known shape
//! stays, and is a case for the patterns of the configuration. Half a secret has no shape, so a long text is cut by
//! `Redactor::excerpt`.
//!
//! Time is linear in the text, whatever it says: a look ahead is bounded, or it ends before the next hit, or what it
//! passed over goes and is not looked at again (`time_is_linear_in_hostile_text`).

use std::borrow::Cow;
use std::ops::Range;

use regex::{Regex, RegexSet};

use card::find_cards;
use excerpt::Marks;
use rule::PLACEHOLDER;
use scan::Scan;
use visible::{Spelling, Visible};

mod card;
mod excerpt;
mod rule;
mod scan;
mod shape;
mod visible;

/// The built-in rules and the patterns of the configuration.
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    extra: Vec<Regex>,
    /// All of `extra` in one pass: tells which of them need a pass of their own.
    screen: RegexSet,
}

/// A pattern of the configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("redaction pattern {index}: {reason}")]
pub struct BadPattern {
    /// Its place in the list that was given, from 0.
    pub index: usize,
    /// One line for the person who wrote it.
    pub reason: String,
}

impl Redactor {
    /// The built-in rules, and `extra` regular expressions: the group named `secret` of each match goes, or else all
    /// of it. (Linear time is promised for the built-in rules; a pattern like `a.*b|a` can take more.)
    ///
    /// # Errors
    /// Every pattern that is no regular expression or matches the empty text.
    pub fn new<'p>(extra: impl IntoIterator<Item = &'p str>) -> Result<Redactor, Vec<BadPattern>> {
        let (mut good, mut bad) = (Vec::new(), Vec::new());
        for (index, pattern) in extra.into_iter().enumerate() {
            match compile(pattern) {
                Ok(regex) => good.push(regex),
                Err(reason) => bad.push(BadPattern { index, reason }),
            }
        }
        if !bad.is_empty() {
            return Err(bad);
        }
        let screen = RegexSet::new(good.iter().map(Regex::as_str)).map_err(|error| {
            let reason = format!("too large together with the others: {error}");
            vec![BadPattern { index: good.len() - 1, reason }]
        })?;
        Ok(Redactor { extra: good, screen })
    }

    /// `text` without its secrets; borrowed when it has none. Redacting twice is redacting once.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.redact_marked(text, false, &mut Marks::default())
    }

    /// The same, with where the marks are afterwards. The text was `cut` if it goes on behind its end.
    fn redact_marked<'t>(&self, text: &'t str, cut: bool, marks: &mut Marks) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        // A secret may have hidden another by standing so close that it seemed part of something. A second look found
        // all such in millions of texts of `twice_is_once`.
        for _ in 0..3 {
            let spans = self.find(&text, cut);
            if spans.is_empty() {
                break;
            }
            let redacted = render(&text, &spans, marks);
            text = Cow::Owned(redacted);
        }
        text
    }

    fn find<'t>(&self, text: &'t str, cut: bool) -> Vec<Span<'t>> {
        let (mut spans, spelling) = self.find_as_written(text, cut);
        let mut spelled = spelling.otherwise;
        if spelling.unseen {
            let shown = Visible::of(text, false);
            let (seen, spelling) = self.find_as_written(&shown.text, cut);
            spelled |= spelling.otherwise;
            // The title that a sequence sets may hold a secret, too. All else is judged by what shows.
            spans.retain(|span| shown.hides(text, span.range.start));
            spans.extend(seen.into_iter().map(|span| span.moved(|range| shown.raw(range))));
        }
        if spelled {
            let decoded = Visible::of(text, true);
            let (seen, _) = self.find_as_written(&decoded.text, cut);
            spans.extend(seen.into_iter().map(|span| span.moved(|range| decoded.raw(range))));
        }
        if spelled || spelling.unseen { merge(spans) } else { spans }
    }

    fn find_as_written<'t>(&self, text: &'t str, cut: bool) -> (Vec<Span<'t>>, Spelling) {
        let Scan { mut spans, spelling, .. } = Scan { cut, ..Scan::new(text) }.run();
        self.find_extra(text, &mut spans);
        let mut spans = merge(spans);
        find_cards(text, &mut spans);
        (spans, spelling)
    }

    fn find_extra(&self, text: &str, spans: &mut Vec<Span<'_>>) {
        let hits = self.screen.matches(text);
        if !hits.matched_any() {
            return;
        }
        let placeholders: Vec<_> = PLACEHOLDER.find_iter(text).map(|found| found.range()).collect();
        for found in hits.iter().flat_map(|index| self.extra[index].captures_iter(text)) {
            let secret = found.name("secret").unwrap_or_else(|| found.get_match()).range();
            // However wide the pattern, a placeholder is no secret.
            let next = placeholders.partition_point(|placeholder| placeholder.end <= secret.start);
            if !secret.is_empty() && placeholders.get(next).is_none_or(|next| next.start >= secret.end) {
                spans.push(span(secret, "custom"));
            }
        }
    }
}

fn compile(pattern: &str) -> Result<Regex, String> {
    // The parser's report is a drawing of several lines; the last one says it.
    let last = |error: regex::Error| error.to_string().lines().last().unwrap_or("").trim().to_owned();
    let regex = Regex::new(pattern).map_err(last)?;
    if regex.is_match("") { Err("matches the empty text".into()) } else { Ok(regex) }
}

/// A stretch of the text that goes, what it is, and the quote to put around its replacement.
struct Span<'t> {
    range: Range<usize>,
    kind: &'static str,
    quote: Cow<'t, str>,
}

impl Span<'_> {
    /// The same in another text.
    fn moved<'t>(self, to: impl FnOnce(Range<usize>) -> Range<usize>) -> Span<'t> {
        Span { range: to(self.range), kind: self.kind, quote: Cow::Owned(self.quote.into_owned()) }
    }
}

fn span<'t>(range: Range<usize>, kind: &'static str) -> Span<'t> {
    Span { range, kind, quote: Cow::Borrowed("") }
}

fn merge(mut spans: Vec<Span<'_>>) -> Vec<Span<'_>> {
    spans.sort_by_key(|span| span.range.start);
    let mut merged: Vec<Span<'_>> = Vec::with_capacity(spans.len());
    for span in spans {
        match merged.last_mut() {
            Some(Span { range, .. }) if span.range.start < range.end => {
                range.end = range.end.max(span.range.end);
            }
            _ => merged.push(span),
        }
    }
    merged
}

fn render(text: &str, spans: &[Span<'_>], marks: &mut Marks) -> String {
    let before = *marks;
    let mut out = String::with_capacity(text.len() + 24 * spans.len());
    let (mut done, mut last) = (0, "");
    for Span { range, kind, quote } in spans {
        let gap = &text[done..range.start];
        let quote = if quote.is_empty() { missing_quote(gap, last) } else { quote };
        out.push_str(gap);
        let put = out.len();
        for piece in [quote, PLACEHOLDER_START, kind, "]", quote] {
            out.push_str(piece);
        }
        before.moved(marks, range, put..out.len());
        (done, last) = (range.end, quote);
    }
    out + &text[done..]
}

/// JSON has no bare words: what replaces the 7 of `"pin": 7` or `"pins": [1, 7]` gets quotes, like those of its name.
/// `last` were the quotes of what stands before the gap.
fn missing_quote<'t>(gap: &'t str, last: &'t str) -> &'t str {
    let blank = [' ', '\t'];
    let list = gap.trim_end_matches(|c: char| c.is_ascii_digit() || " \t\n,.-".contains(c));
    if list.is_empty() && gap.contains(',') {
        return last;
    }
    let name = list.strip_suffix('[').unwrap_or(gap).trim_end_matches(blank);
    let name = name.strip_suffix(':').map_or("", |name| name.trim_end_matches(blank));
    let quote = name.strip_suffix(['"', '\'']).map(|inside| inside.trim_end_matches('\\').len());
    quote.map_or("", |at| &name[at..])
}

const PLACEHOLDER_START: &str = "[redacted:";

/// Where the placeholder that starts at `at` ends, if there is one.
fn placeholder_end(text: &str, at: usize) -> Option<usize> {
    let kind = text[at..].strip_prefix(PLACEHOLDER_START)?;
    let rest = kind.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '-');
    (rest.len() < kind.len() && rest.starts_with(']')).then(|| text.len() - rest.len() + 1)
}

#[cfg(test)]
mod tests;
