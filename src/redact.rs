//! Replaces secrets in log text before any of it is stored or shown.
//!
//! One automaton with all trigger words (`password`, `AKIA`, `://`, …) scans the text once. Only
//! the text around a hit is examined further. A hit is the *shape* of a known credential, the *name*
//! of a secret, or the name of a *vendor* whose keys have a known length. After a name, the value is
//! redacted up to the end that its syntax defines: JSON at any level of escaping, query strings,
//! headers, XML, YAML, command lines. Card numbers and a few other secrets have no trigger word; they
//! are searched for in the text between the hits. A secret becomes `[redacted:<name of the rule>]`;
//! its name and the syntax around it are kept.
//!
//! In doubt, text is redacted. A secret without a name and without a known shape is kept, unless a
//! rule of the configuration matches it. Half a secret has no shape, so `Redactor::excerpt` redacts a
//! long text before it cuts it.
//!
//! The time is linear in the length of any text: a lookahead is bounded, or it ends before the next
//! hit, or its text is redacted and not read again. `time_is_linear_in_hostile_text` checks this.
//!
//! | module | does |
//! |---|---|
//! | `rules.toml`, `table` | the rules, and how they are read |
//! | `format` | the formats of tokens |
//! | `rule` | the kinds of rules, and the patterns around values |
//! | `trigger` | the automaton of trigger words |
//! | `word` | what the characters of a word say about it |
//! | `scan` | values after names, and where they end |
//! | `shape` | credentials with a known shape |
//! | `vendor` | keys after the name of a vendor |
//! | `run` | tokens, and secrets without a name, in long runs of letters and digits |
//! | `card` | card numbers |
//! | `visible` | text with invisible or encoded characters |
//! | `excerpt` | long texts |

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::ops::Range;

use regex::{Regex, RegexSet};

use card::find_cards;
use excerpt::Marks;
use rule::PLACEHOLDER;
use run::find_in_runs;
use scan::Scan;
use table::TABLE;
use visible::{Spelling, Visible};

mod card;
mod excerpt;
mod format;
mod rule;
mod run;
mod scan;
mod shape;
mod table;
mod trigger;
mod vendor;
mod visible;
mod word;

/// Redacts with the built-in rules and with the rules of the configuration.
///
/// ```
/// use stentor::redact::Redactor;
///
/// let redactor = Redactor::new(["customer-[0-9]+"]).unwrap();
/// assert_eq!(
///     redactor.redact("login customer-77 password=hunter2 ok"),
///     "login [redacted:custom] password=[redacted:password] ok"
/// );
/// ```
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    custom: Vec<(String, Regex)>,
    /// All of `custom`, to find in one pass which of them match.
    custom_set: RegexSet,
    /// The names of the built-in rules that do not apply.
    disabled: Vec<String>,
}

/// A rule of the configuration.
///
/// ```
/// use stentor::redact::{CustomRule, Redactor};
///
/// let badge = CustomRule {
///     name: "badge",
///     pattern: "badge (?<secret>[0-9]{6})",
///     redacts: vec!["badge 123456 at the door"],
///     keeps: vec!["badge 12"],
/// };
/// let redactor = Redactor::with_rules(&[badge]).unwrap();
/// assert_eq!(redactor.redact("badge 654321"), "badge [redacted:badge]");
/// ```
#[derive(Debug, Clone, Default)]
pub struct CustomRule<'p> {
    /// What the placeholder says: lower-case letters and `-`.
    pub name: &'p str,
    /// A regular expression. Of a match, the group named `secret` is redacted, or all of it if there is no such group.
    pub pattern: &'p str,
    /// Texts that the pattern must match.
    pub redacts: Vec<&'p str>,
    /// Texts that it must not match.
    pub keeps: Vec<&'p str>,
}

/// An invalid rule of the configuration.
#[derive(Debug, thiserror::Error)]
#[error("redaction pattern {index}: {reason}")]
pub struct BadPattern {
    /// Its place in the list, from 0.
    pub index: usize,
    /// One line for its author.
    pub reason: String,
}

/// The names of the built-in rules, in alphabetical order.
pub fn rule_names() -> BTreeSet<&'static str> {
    let table = &*TABLE;
    let tokens = table.tokens.iter().map(|token| token.name);
    let vendors = table.vendors.iter().map(|vendor| vendor.name);
    let patterns = table.patterns.iter().map(|pattern| pattern.name);
    let names = table.names.iter().map(|(name, _)| name.kind);
    tokens.chain(vendors).chain(patterns).chain(names).chain(trigger::NAMES_IN_CODE).collect()
}

impl Redactor {
    /// The built-in rules and the regular expressions `custom`. Only the built-in rules guarantee linear time; a pattern
    /// such as `a.*b|a` can take longer.
    ///
    /// # Errors
    /// Every pattern that is not a regular expression or matches the empty text.
    pub fn new<'p>(custom: impl IntoIterator<Item = &'p str>) -> Result<Redactor, Vec<BadPattern>> {
        let rule = |pattern| CustomRule { name: "custom", pattern, ..CustomRule::default() };
        Self::with_rules(&custom.into_iter().map(rule).collect::<Vec<_>>())
    }

    /// The built-in rules and the rules `custom`.
    ///
    /// # Errors
    /// As [`Redactor::new`], and every rule with an invalid name or a wrong example.
    pub fn with_rules(custom: &[CustomRule<'_>]) -> Result<Redactor, Vec<BadPattern>> {
        let (mut valid, mut bad) = (Vec::new(), Vec::new());
        for (index, rule) in custom.iter().enumerate() {
            match compile(rule) {
                Ok(regex) => valid.push((rule.name.to_owned(), regex)),
                Err(reason) => bad.push(BadPattern { index, reason }),
            }
        }
        if !bad.is_empty() {
            return Err(bad);
        }
        let custom_set =
            RegexSet::new(valid.iter().map(|(_, regex)| regex.as_str())).map_err(|error| {
                let reason = format!("too large together with the others: {error}");
                vec![BadPattern { index: valid.len() - 1, reason }]
            })?;
        Ok(Redactor { custom: valid, custom_set, disabled: Vec::new() })
    }

    /// Without the built-in rules of these names. [`rule_names`] lists all; an unknown name has no effect.
    #[must_use]
    pub fn without<'n>(mut self, names: impl IntoIterator<Item = &'n str>) -> Redactor {
        self.disabled.extend(names.into_iter().map(str::to_owned));
        self
    }

    /// `text` without its secrets; borrowed if it has none. Redacted text does not change if it is
    /// redacted again.
    pub fn redact<'t>(&self, text: &'t str) -> Cow<'t, str> {
        self.redact_marked(text, false, &mut Marks::default(), &mut |_| {})
    }

    /// The names of the rules that apply to `text`, each once, in the order of their first secret.
    pub fn rules_applied(&self, text: &str) -> Vec<String> {
        let mut applied: Vec<String> = Vec::new();
        self.redact_marked(text, false, &mut Marks::default(), &mut |name| {
            if applied.iter().all(|known| known != name) {
                applied.push(name.to_owned());
            }
        });
        applied
    }

    /// [`Redactor::redact`] that also updates `marks` and names the rule of each secret. `cut` says that the text is
    /// longer than `text`.
    fn redact_marked<'t>(
        &self,
        text: &'t str,
        cut: bool,
        marks: &mut Marks,
        applied: &mut dyn FnMut(&str),
    ) -> Cow<'t, str> {
        let mut text = Cow::Borrowed(text);
        // A secret next to another can hide it. In millions of texts of
        // `redacting_twice_changes_nothing`, the second pass found all of these.
        for _ in 0..3 {
            let spans = self.find(&text, cut);
            if spans.is_empty() {
                break;
            }
            spans.iter().for_each(|span| applied(&span.kind));
            let redacted = render(&text, &spans, marks);
            text = Cow::Owned(redacted);
        }
        text
    }

    fn find<'t>(&'t self, text: &'t str, cut: bool) -> Vec<Span<'t>> {
        let (mut spans, spelling) = self.find_as_written(text, cut);
        let mut has_encoded = spelling.has_encoded;
        if spelling.has_invisible {
            let visible = Visible::of(text, false);
            let (found, spelling) = self.find_as_written(&visible.text, cut);
            has_encoded |= spelling.has_encoded;
            // Only in a terminal title, which is invisible, does the written text count.
            let hidden = |at| visible.hides(text, at);
            spans.retain(|span| {
                hidden(span.range.start) && hidden(text.floor_char_boundary(span.range.end - 1))
            });
            spans.extend(found.into_iter().map(|span| span.moved(|range| visible.raw(range))));
        }
        if has_encoded {
            let decoded = Visible::of(text, true);
            let (found, _) = self.find_as_written(&decoded.text, cut);
            spans.extend(found.into_iter().map(|span| span.moved(|range| decoded.raw(range))));
        }
        if has_encoded || spelling.has_invisible { merge(spans) } else { spans }
    }

    fn find_as_written<'t>(&'t self, text: &'t str, cut: bool) -> (Vec<Span<'t>>, Spelling) {
        let Scan { mut spans, spelling, .. } =
            Scan { cut, disabled: &self.disabled, ..Scan::new(text) }.run();
        find_in_runs(text, &mut spans);
        spans.retain(|span| self.applies(&span.kind));
        self.find_custom(text, &mut spans);
        let mut spans = merge(spans);
        if self.applies("card") {
            find_cards(text, &mut spans);
        }
        (spans, spelling)
    }

    fn applies(&self, name: &str) -> bool {
        self.disabled.iter().all(|disabled| disabled != name)
    }

    fn find_custom(&self, text: &str, spans: &mut Vec<Span<'_>>) {
        let hits = self.custom_set.matches(text);
        if !hits.matched_any() {
            return;
        }
        let placeholders: Vec<_> = PLACEHOLDER.find_iter(text).map(|found| found.range()).collect();
        let rules = hits.iter().map(|index| &self.custom[index]);
        for (name, found) in rules
            .flat_map(|(name, regex)| regex.captures_iter(text).map(move |found| (name, found)))
        {
            let secret = found.name("secret").unwrap_or_else(|| found.get_match()).range();
            // A wide pattern may match a placeholder, which is not a secret.
            let next = placeholders.partition_point(|placeholder| placeholder.end <= secret.start);
            if !secret.is_empty()
                && placeholders.get(next).is_none_or(|next| next.start >= secret.end)
            {
                spans.push(span(secret, name.clone()));
            }
        }
    }
}

fn compile(rule: &CustomRule<'_>) -> Result<Regex, String> {
    // The error has several lines, with a drawing. The last one has the reason.
    let last =
        |error: regex::Error| error.to_string().lines().last().unwrap_or("").trim().to_owned();
    let regex = Regex::new(rule.pattern).map_err(last)?;
    if regex.is_match("") {
        return Err("matches the empty text".into());
    }
    if rule.name.is_empty()
        || !rule.name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    {
        return Err(format!("the name `{}` is not made of lower-case letters and `-`", rule.name));
    }
    let wrong = |examples: &[&str], matches: bool| {
        examples.iter().position(|text| regex.is_match(text) != matches)
    };
    match (wrong(&rule.redacts, true), wrong(&rule.keeps, false)) {
        (Some(at), _) => Err(format!("does not match example {} under `redacts`", at + 1)),
        (_, Some(at)) => Err(format!("matches example {} under `keeps`", at + 1)),
        (None, None) => Ok(regex),
    }
}

/// A part of the text to redact, its kind, and the quote to put around the placeholder.
struct Span<'t> {
    range: Range<usize>,
    kind: Cow<'static, str>,
    quote: Cow<'t, str>,
}

impl Span<'_> {
    /// The same span in another text.
    fn moved<'t>(self, to: impl FnOnce(Range<usize>) -> Range<usize>) -> Span<'t> {
        Span { range: to(self.range), kind: self.kind, quote: Cow::Owned(self.quote.into_owned()) }
    }
}

fn span<'t>(range: Range<usize>, kind: impl Into<Cow<'static, str>>) -> Span<'t> {
    Span { range, kind: kind.into(), quote: Cow::Borrowed("") }
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
    let (mut copied, mut last_quote) = (0, "");
    for Span { range, kind, quote } in spans {
        let gap = &text[copied..range.start];
        let quote = if quote.is_empty() { missing_quote(gap, last_quote) } else { quote };
        out.push_str(gap);
        let start = out.len();
        for piece in [quote, PLACEHOLDER_START, kind, "]", quote] {
            out.push_str(piece);
        }
        before.moved(marks, range, start..out.len());
        (copied, last_quote) = (range.end, quote);
    }
    out + &text[copied..]
}

/// The quotes for a placeholder that replaces a number of JSON, as in `"pin": 7` or
/// `"pins": [1, 7]`: those of its name. `gap` is the text since the last placeholder, whose quotes
/// were `last_quote`.
fn missing_quote<'t>(gap: &'t str, last_quote: &'t str) -> &'t str {
    let blank = [' ', '\t'];
    let list = gap.trim_end_matches(|c: char| c.is_ascii_digit() || " \t\n,.-".contains(c));
    if list.is_empty() && gap.contains(',') {
        return last_quote;
    }
    let name = list.strip_suffix('[').unwrap_or(gap).trim_end_matches(blank);
    let name = name.strip_suffix(':').map_or("", |name| name.trim_end_matches(blank));
    let quote = name.strip_suffix(['"', '\'']).map(|inside| inside.trim_end_matches('\\').len());
    quote.map_or("", |at| &name[at..])
}

const PLACEHOLDER_START: &str = "[redacted:";

/// The end of the placeholder that starts at `at`, if there is one.
fn placeholder_end(text: &str, at: usize) -> Option<usize> {
    let kind = text[at..].strip_prefix(PLACEHOLDER_START)?;
    let rest = kind.trim_start_matches(|c: char| c.is_ascii_lowercase() || c == '-');
    (rest.len() < kind.len() && rest.starts_with(']')).then(|| text.len() - rest.len() + 1)
}

#[cfg(test)]
mod tests;
