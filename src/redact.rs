//! Replaces secrets in log text before any of it is stored or shown.
//!
//! One automaton with all trigger words (`password`, `AKIA`, `://`, …) scans the text once. Only
//! the text around a hit is examined further. A hit is the *shape* of a known credential, the
//! *name* of a secret, or the name of a *vendor* whose keys have a known length. After a name, the
//! value is redacted up to the end that its syntax defines: JSON at any level of escaping, query
//! strings, headers, XML, YAML, command lines. Card numbers and a few other secrets have no trigger
//! word; they are searched for in the text between the hits. A secret becomes
//! `[redacted:<name of the rule>]`; its name and the syntax around it are kept.
//!
//! In doubt, text is redacted. A secret without a name and without a known shape is kept, unless a
//! rule of the configuration matches it. Half a secret has no shape, so `Redactor::excerpt` redacts
//! a long text before it cuts it.
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
//! | `word` | judges words by their characters |
//! | `scan` | values after names, and where they end |
//! | `sentence` | values after names in sentences |
//! | `list` | cookies in objects, values of `INSERT` |
//! | `shape` | credentials with a known shape |
//! | `vendor` | keys after the name of a vendor |
//! | `run` | tokens, and secrets without a name, in long runs of letters and digits |
//! | `card` | card numbers |
//! | `visible` | text with invisible or encoded characters |
//! | `excerpt` | long texts |
//! | `custom` | rules of the configuration |

use std::borrow::Cow;
use std::ops::Range;

use regex::RegexSet;

use card::find_cards;
pub(crate) use custom::regex_message;
pub use custom::{CustomRule, RuleName, RulePattern};
use excerpt::Marks;
use rule::PLACEHOLDER;
use run::find_in_runs;
use scan::Scan;
pub use table::rule_names;
use visible::{Spelling, Visible};

mod card;
mod custom;
#[cfg(feature = "cli")]
pub mod erase;
mod excerpt;
mod format;
mod list;
mod rule;
mod run;
mod scan;
mod sentence;
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
/// let text = Redactor::default().redact("login of 7 failed password=hunter2").into_owned();
/// assert_eq!(text, "login of 7 failed password=[redacted:password]");
/// ```
#[derive(Debug, Clone, Default)]
pub struct Redactor {
    custom: Vec<CustomRule>,
    /// The patterns of `custom`, to find in one pass which of them match.
    custom_set: RegexSet,
    /// The names of the built-in rules that do not apply.
    disabled: Vec<&'static str>,
}

impl PartialEq for Redactor {
    fn eq(&self, other: &Self) -> bool {
        self.custom == other.custom && self.disabled == other.disabled
    }
}

impl Eq for Redactor {}

impl Redactor {
    /// The rules `custom`, and the built-in rules except those named in `disabled`; [`rule_names`]
    /// lists all. Only the built-in rules guarantee linear time; a pattern such as `a.*b|a` can
    /// take longer.
    ///
    /// # Errors
    /// When the patterns are too large together.
    pub fn new(custom: Vec<CustomRule>, disabled: Vec<&'static str>) -> Result<Redactor, String> {
        let custom_set = RegexSet::new(custom.iter().map(|rule| rule.pattern.as_str()))
            .map_err(|_| "the patterns are too large together".to_owned())?;
        Ok(Redactor { custom, custom_set, disabled })
    }

    /// The names of the rules of the configuration, in its order.
    pub fn custom(&self) -> impl Iterator<Item = &str> {
        self.custom.iter().map(|rule| rule.name.as_str())
    }

    /// The rule of the configuration that redacts a part of `marker` in a log line.
    pub fn rule_that_hides(&self, marker: &str) -> Option<&str> {
        // A rule may need the text after a marker.
        let line = format!("{marker} order 7 failed");
        let hides = |rule: &&CustomRule| {
            rule.pattern.secrets(&line).any(|found| found.start < marker.len())
        };
        self.custom.iter().find(hides).map(|rule| rule.name.as_str())
    }

    /// The names of the built-in rules that do not apply, in the order of the configuration.
    pub fn disabled(&self) -> &[&'static str] {
        &self.disabled
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

    /// [`Redactor::redact`] that also updates `marks` and names the rule of each secret. `cut` says
    /// that the text is longer than `text`.
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
        !self.disabled.contains(&name)
    }

    fn find_custom(&self, text: &str, spans: &mut Vec<Span<'_>>) {
        let hits = self.custom_set.matches(text);
        if !hits.matched_any() {
            return;
        }
        let placeholders: Vec<_> = PLACEHOLDER.find_iter(text).map(|found| found.range()).collect();
        for rule in hits.iter().map(|index| &self.custom[index]) {
            // A wide pattern may match a placeholder, which is not a secret.
            let is_placeholder = |secret: &Range<usize>| {
                let next =
                    placeholders.partition_point(|placeholder| placeholder.end <= secret.start);
                placeholders.get(next).is_some_and(|next| next.start < secret.end)
            };
            let secrets = rule.pattern.secrets(text).filter(|secret| !is_placeholder(secret));
            spans.extend(secrets.map(|secret| span(secret, rule.name.as_str().to_owned())));
        }
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
