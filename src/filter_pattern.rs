//! Filter patterns of CloudWatch Logs, evaluated without CloudWatch: terms (`?ERROR -debug`), JSON
//! (`{ $.level = "error" && $.ms > 500 }`) and space-delimited fields (`[ip, ..., status = 5*]`), each
//! with regular expressions (`%time.?out%`).
//!
//! A pattern that AWS rejects is rejected, with the place and the reason. `tests/table.rs` has the
//! cases: documented ones, ones that other projects observed, and ones that are undecided, which
//! `scripts/filter-pattern-oracle.py` asks AWS about. Matching takes time in proportion to the
//! message, times the number of conditions.
//!
//! | module | does |
//! |---|---|
//! | `terms`, `json`, `space` | one form of pattern each: its grammar, how it matches, how it prints |
//! | `expr` | `&&` and `||` over the conditions of a form |
//! | `comparison` | `= "x*"`, `> 500`, `!= %re%` |
//! | `aws_regex`, `wildcard`, `number` | what a value is compared with |
//! | `event_text` | a message, and what is read in it once for all patterns |
//! | `required` | texts that occur in every match, for a search before the evaluation |
//! | `reader` | the characters of a pattern |
//!
//! This module uses nothing else of the crate.

mod aws_regex;
mod comparison;
mod event_text;
mod expr;
mod json;
mod number;
mod reader;
mod required;
mod space;
mod terms;
#[cfg(test)]
mod tests;
mod wildcard;

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

pub use event_text::EventText;
pub use required::{RequiredTexts, longest_unescaped};

use json::JsonPattern;
use reader::Reader;
use space::SpacePattern;
use terms::Terms;

/// The longest pattern, in characters: the quota of `PutSubscriptionFilter`.
pub const PATTERN_CHARS_MAX: usize = 1_024;

/// A filter pattern. Displays in a canonical form that parses to the same pattern.
///
/// ```
/// use stentor::filter_pattern::{EventText, FilterPattern};
///
/// let pattern: FilterPattern = "{ $.level = error && $.ms > 500 }".parse()?;
/// assert!(pattern.matches(&EventText::new(r#"{"level":"error","ms":501.5}"#)));
/// assert_eq!(pattern.to_string(), r#"{ $.level = "error" && $.ms > 500 }"#);
///
/// let error = "{ $.level == error }".parse::<FilterPattern>().unwrap_err();
/// assert_eq!(error.to_string(), "at byte 11: expected one `=`");
/// # Ok::<(), stentor::filter_pattern::FilterPatternError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FilterPattern(Form);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    /// The empty pattern matches everything: it has no terms.
    Terms(Terms),
    Json(JsonPattern),
    Space(SpacePattern),
}

/// Why a text is not a filter pattern. Never repeats the text.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("at byte {at}: {reason}")]
pub struct FilterPatternError {
    /// The byte offset in the pattern.
    pub at: usize,
    pub reason: String,
}

impl FilterPatternError {
    fn new(at: usize, reason: impl Into<String>) -> Self {
        Self { at, reason: reason.into() }
    }
}

impl FilterPattern {
    pub fn matches(&self, text: &EventText<'_>) -> bool {
        match &self.0 {
            Form::Terms(terms) => terms.matches(text.message()),
            Form::Json(json) => text.json().is_some_and(|value| json.matches(value)),
            Form::Space(space) => space.matches(text),
        }
    }

    /// Texts of which one is in every message that matches; `None` if there are none.
    pub fn required(&self) -> Option<RequiredTexts> {
        match &self.0 {
            Form::Terms(terms) => terms.required(),
            Form::Json(json) => json.required(),
            Form::Space(space) => space.required(),
        }
    }

    /// Likely mistakes in a valid pattern.
    pub fn lints(&self) -> Vec<&'static str> {
        let found = match &self.0 {
            Form::Terms(terms) if terms.ignores_optional() => {
                Some("CloudWatch Logs ignores `?` terms beside terms without `?`")
            }
            Form::Terms(terms) if *terms == Terms::default() => Some("matches every message"),
            Form::Space(space) if space.is_like_a_marker() => Some(
                "names a field and matches any line; to search for a text in brackets, put it in \
                 double quotes",
            ),
            _ => None,
        };
        let never =
            self.never_matches().then_some("matches nothing: its conditions contradict each other");
        found.into_iter().chain(never).collect()
    }

    /// Whether it is certain that nothing matches. Never true by mistake.
    pub fn never_matches(&self) -> bool {
        match &self.0 {
            Form::Terms(terms) => terms.never_matches(),
            Form::Json(json) => json.never_matches(),
            Form::Space(space) => space.never_matches(),
        }
    }
}

impl FromStr for FilterPattern {
    type Err = FilterPatternError;

    fn from_str(text: &str) -> Result<Self, FilterPatternError> {
        let mut reader = Reader::new(text);
        if text.chars().nth(PATTERN_CHARS_MAX).is_some() {
            return Err(reader.fail(format!("has more than {PATTERN_CHARS_MAX} characters")));
        }
        reader.skip_blanks();
        let form = match reader.peek() {
            Some('{') => Form::Json(json::parse(&mut reader)?),
            Some('[') => Form::Space(space::parse(&mut reader)?),
            _ => Form::Terms(terms::parse(&mut reader)?),
        };
        reader.skip_blanks();
        match reader.peek() {
            None => Ok(Self(form)),
            Some(_) => Err(reader.fail("expected the end of the pattern")),
        }
    }
}

impl fmt::Display for FilterPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Form::Terms(terms) => terms.fmt(f),
            Form::Json(json) => json.fmt(f),
            Form::Space(space) => space.fmt(f),
        }
    }
}
