//! Texts that a condition requires, so that a fast search for them can stand before its evaluation.
//!
//! They are derived soundly, not completely: a message without any of the texts never matches, and one
//! with a text need not match (`a_match_has_a_required_text`).

use std::borrow::Cow;
use std::collections::BTreeSet;

use regex_syntax::hir::{Class, Hir, HirKind, Literal};

/// A shorter text occurs in too many messages to be worth a search.
const TEXT_BYTES_MIN: usize = 2;

/// The most texts that a text in any case is expanded to.
const CASE_VARIANTS_MAX: usize = 8;

/// The most texts that one regular expression is expanded to.
const EXPANDED_MAX: usize = 16;

/// Texts of which at least one occurs in each message that matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequiredTexts {
    texts: BTreeSet<String>,
    /// Bit N: or an escape of JSON, for a character whose code has the high half N.
    escapes: u16,
    /// The length of the shortest text; 0 for the name of a field, which most messages of an
    /// application have.
    quality: usize,
}

impl RequiredTexts {
    /// `None` if the text is so short that a search is of no use.
    pub fn one(text: &str) -> Option<Self> {
        Self::any_of([text.to_owned()])?.if_selective()
    }

    /// One of the texts; `None` if there is none, or an empty one.
    pub fn any_of(texts: impl IntoIterator<Item = String>) -> Option<Self> {
        let texts: BTreeSet<String> = texts.into_iter().collect();
        let quality = texts.iter().map(String::len).min().filter(|shortest| *shortest > 0)?;
        Some(Self { texts, escapes: 0, quality })
    }

    /// A part of the text in any case of its ASCII letters. `None` if it is so short that a search is
    /// of no use.
    pub fn in_any_case(text: &str) -> Option<Self> {
        Self::any_of(case_variants(text))?.if_selective()
    }

    fn if_selective(self) -> Option<Self> {
        (self.quality >= TEXT_BYTES_MIN).then_some(self)
    }

    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.texts.iter().map(String::as_str)
    }

    /// Whether the escape `\u00N0` to `\u00NF` in a message may stand for a byte of a text: bit N.
    pub fn escapes(&self) -> u16 {
        self.escapes
    }

    /// The beginnings of these escapes: `\u00N`.
    pub fn escape_texts(&self) -> impl Iterator<Item = String> {
        let halves = (0..8).filter(|half| self.escapes & 1 << half != 0);
        halves.map(|half| format!("\\u00{half}"))
    }

    /// The texts, and the beginnings of the escapes.
    pub fn with_escapes(&self) -> impl Iterator<Item = Cow<'_, str>> {
        self.iter().map(Cow::Borrowed).chain(self.escape_texts().map(Cow::Owned))
    }

    /// The texts of one of several conditions, all of which have to hold: the most selective.
    pub fn best(conditions: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let rank = |one: &Self| (one.quality, std::cmp::Reverse(one.texts.len()));
        conditions.into_iter().flatten().max_by_key(rank)
    }

    /// The texts of all conditions, one of which has to hold; `None` if one has no texts.
    pub fn union(conditions: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let merge = |mut all: Self, more: Self| {
            all.texts.extend(more.texts);
            all.escapes |= more.escapes;
            all.quality = all.quality.min(more.quality);
            all
        };
        let all: Option<Vec<Self>> = conditions.into_iter().collect();
        all?.into_iter().reduce(merge)
    }

    /// The texts of a regular expression in the syntax of the `regex` crate.
    pub fn of_regex(pattern: &str) -> Option<Self> {
        Parts::of(&regex_syntax::parse(pattern).ok()?).required()
    }

    /// The same texts in a value of a JSON message: a string, which may have escapes, or a number,
    /// which may be written in other ways.
    pub fn in_json(self) -> Option<Self> {
        let inner: Option<BTreeSet<&str>> = self.iter().map(longest_unescaped).collect();
        let inner = inner?;
        if inner.iter().any(|text| text.bytes().all(is_of_number)) {
            return None;
        }
        let quality = inner.iter().map(|text| text.len()).min()?;
        let bytes = inner.iter().flat_map(|text| text.bytes());
        let escapes = bytes.fold(0, |escapes, byte| escapes | 1 << (byte >> 4));
        let texts = inner.iter().map(|text| (*text).to_owned()).collect();
        Self { texts, escapes, quality }.if_selective()
    }

    /// A name of a field in a JSON message.
    pub fn key_in_json(name: &str) -> Option<Self> {
        let key = Self::one(name)?.in_json()?;
        Some(Self { quality: 0, ..key })
    }
}

fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || b"+-.eE".contains(&byte)
}

/// The first part of the text that has few variants in upper and lower case, in all of them.
fn case_variants(text: &str) -> Vec<String> {
    let mut variants = vec![String::new()];
    for c in text.chars() {
        let cases = [c.to_ascii_lowercase(), c.to_ascii_uppercase()];
        let cases = if cases[0] == cases[1] { &cases[..1] } else { &cases[..] };
        if variants.len() * cases.len() > CASE_VARIANTS_MAX {
            break;
        }
        let with = |variant: &String, c: char| format!("{variant}{c}");
        variants = variants
            .iter()
            .flat_map(|variant| cases.iter().map(move |c| with(variant, *c)))
            .collect();
    }
    variants
}

/// The longest part that JSON writes as it is, or byte by byte as `\u00XX`.
pub fn longest_unescaped(text: &str) -> Option<&str> {
    let is_escaped = |c: char| !matches!(c, ' '..='~') || matches!(c, '"' | '\\' | '/');
    text.split(is_escaped).max_by_key(|part| part.len())
}

/// The texts that a part of a regular expression matches, as far as they are known.
struct Parts {
    /// All texts that it can match, if these are few.
    exact: Option<BTreeSet<String>>,
    required: Option<RequiredTexts>,
}

impl Parts {
    fn of(hir: &Hir) -> Self {
        match hir.kind() {
            HirKind::Empty | HirKind::Look(_) => Self::exactly([String::new()]),
            HirKind::Literal(Literal(bytes)) => match str::from_utf8(bytes) {
                Ok(text) => Self::exactly([text.to_owned()]),
                Err(_) => Self::unknown(None),
            },
            HirKind::Class(Class::Unicode(class)) => {
                let chars = class.iter().flat_map(|range| range.start()..=range.end());
                let chars: BTreeSet<String> =
                    chars.take(EXPANDED_MAX + 1).map(String::from).collect();
                match chars.len() <= EXPANDED_MAX {
                    true => Self::exactly(chars),
                    false => Self::unknown(None),
                }
            }
            HirKind::Class(Class::Bytes(_)) => Self::unknown(None),
            HirKind::Capture(capture) => Self::of(&capture.sub),
            HirKind::Repetition(repetition) => {
                let once = Self::of(&repetition.sub);
                match (repetition.min, repetition.max) {
                    (0, Some(1)) => Self::either([once, Self::exactly([String::new()])]),
                    (1, Some(1)) => once,
                    (0, _) => Self::unknown(None),
                    _ => Self::unknown(once.required()),
                }
            }
            HirKind::Concat(parts) => Self::one_after_the_other(parts.iter().map(Self::of)),
            HirKind::Alternation(parts) => Self::either(parts.iter().map(Self::of)),
        }
    }

    fn exactly(texts: impl IntoIterator<Item = String>) -> Self {
        Self { exact: Some(texts.into_iter().collect()), required: None }
    }

    fn unknown(required: Option<RequiredTexts>) -> Self {
        Self { exact: None, required }
    }

    fn required(self) -> Option<RequiredTexts> {
        let exact = self.exact.and_then(RequiredTexts::any_of);
        let exact = exact.and_then(RequiredTexts::if_selective);
        RequiredTexts::best([exact, self.required])
    }

    fn either(parts: impl IntoIterator<Item = Self>) -> Self {
        let parts: Vec<Self> = parts.into_iter().collect();
        let exact: Option<Vec<&BTreeSet<String>>> =
            parts.iter().map(|part| part.exact.as_ref()).collect();
        let exact: Option<BTreeSet<String>> =
            exact.map(|sets| sets.into_iter().flatten().cloned().collect());
        if let Some(exact) = exact.filter(|exact| exact.len() <= EXPANDED_MAX) {
            return Self::exactly(exact);
        }
        Self::unknown(RequiredTexts::union(parts.into_iter().map(Self::required)))
    }

    /// Joins neighbors whose texts are known, as long as these stay few.
    fn one_after_the_other(parts: impl Iterator<Item = Self>) -> Self {
        let nothing = || BTreeSet::from([String::new()]);
        let (mut joined, mut found, mut is_exact) = (nothing(), Vec::new(), true);
        for part in parts {
            found.push(part.required);
            let longer = part.exact.as_ref().and_then(|exact| product(&joined, exact));
            match longer {
                Some(longer) => joined = longer,
                None => {
                    is_exact = false;
                    found.push(Self::exactly(joined).required());
                    joined = part.exact.unwrap_or_else(nothing);
                }
            }
        }
        if is_exact {
            return Self::exactly(joined);
        }
        found.push(Self::exactly(joined).required());
        Self::unknown(RequiredTexts::best(found))
    }
}

/// Each text of `first` followed by each of `second`; `None` if these are many.
fn product(first: &BTreeSet<String>, second: &BTreeSet<String>) -> Option<BTreeSet<String>> {
    let all = || first.iter().flat_map(|one| second.iter().map(move |two| format!("{one}{two}")));
    (first.len() * second.len() <= EXPANDED_MAX).then(|| all().collect())
}
