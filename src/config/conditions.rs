//! The conditions of a route: which log events it accepts.
//!
//! One rule combines them. Each kind of condition that is given has to hold, and a kind holds if one of
//! its values does. `except` has conditions in the same form: a log event that they accept is left out.

use std::fmt;

use regex::Regex;
use serde_json::Value;

use super::glob::Glob;
use super::scope::{Scope, admits, covers};
use crate::filter_pattern::{FilterPattern, RequiredTexts};

/// The conditions of a route, or of its `except`. Default: everything is accepted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Conditions {
    /// Substrings of the message; one of them suffices. All different, each of 1 to
    /// [`MARKER_BYTES_MAX`](super::MARKER_BYTES_MAX) bytes.
    pub markers: Vec<String>,
    /// Whether the case of ASCII letters in markers and values of fields does not count.
    pub ignore_case: bool,
    /// `pattern`: filter patterns of CloudWatch Logs; one of them suffices.
    pub patterns: Vec<FilterPattern>,
    /// `fields`: each of them has to hold.
    pub fields: Vec<FieldCondition>,
    /// `regex`: one of them has to match a part of the message.
    pub regexes: Vec<TextRegex>,
    /// Where a log event has to come from. Default: anywhere.
    pub scope: Scope,
    /// The app of the log event; one of them suffices.
    pub apps: Vec<Glob>,
}

/// A field of a JSON message, and the values that it may have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldCondition {
    /// `http.status` is the field `status` of the object `http`, or a field whose name has the dot.
    pub path: String,
    /// One of them suffices. In lower case if the conditions ignore the case.
    pub values: Vec<Glob>,
}

/// A regular expression over messages.
#[derive(Debug, Clone)]
pub struct TextRegex(Regex);

impl Conditions {
    /// Whether there is a condition on the message, and not only on where it comes from.
    pub fn has_message_condition(&self) -> bool {
        !(self.markers.is_empty()
            && self.patterns.is_empty()
            && self.fields.is_empty()
            && self.regexes.is_empty())
    }

    /// Whether all log events from everywhere pass the conditions on where they come from.
    pub fn is_everywhere(&self) -> bool {
        self.scope.is_everything() && (self.apps.is_empty() || self.apps.iter().any(Glob::is_any))
    }

    /// Whether these accept whatever `other` accepts. Never true by mistake.
    pub(super) fn cover(&self, other: &Self) -> bool {
        let is_marked = |marker: &String| self.find_marker(other, marker);
        let covers_markers = self.markers.is_empty()
            || !other.markers.is_empty() && other.markers.iter().all(is_marked);
        covers_markers && self.cover_without_markers(other)
    }

    /// Whether a marker of these is in each message in which `other` finds `marker`. A message with
    /// `[ERROR]` also contains `ERROR`.
    pub(super) fn find_marker(&self, other: &Self, marker: &str) -> bool {
        let has_case = |text: &str| text.bytes().any(|byte| byte.is_ascii_alphabetic());
        let finds = |own: &String| match (self.ignore_case, other.ignore_case) {
            (true, _) => marker.to_ascii_lowercase().contains(&own.to_ascii_lowercase()),
            (false, true) => !has_case(own) && marker.contains(own.as_str()),
            (false, false) => marker.contains(own.as_str()),
        };
        self.markers.iter().any(finds)
    }

    /// Whether these accept whatever `other` accepts, markers aside. Never true by mistake.
    pub(super) fn cover_without_markers(&self, other: &Self) -> bool {
        let is_covered = |field: &FieldCondition| {
            let same = other.fields.iter().filter(|inner| inner.path == field.path);
            same.into_iter().any(|inner| covers(&field.values, &inner.values))
        };
        let covers_fields =
            || self.ignore_case == other.ignore_case && self.fields.iter().all(is_covered);
        self.scope.covers(&other.scope)
            && covers(&self.apps, &other.apps)
            && covers_values(&self.patterns, &other.patterns)
            && covers_values(&self.regexes, &other.regexes)
            && (self.fields.is_empty() || covers_fields())
    }
}

/// Whether each message that one of the `narrow` values matches has a match in the `wide` ones: these
/// are the same values, and perhaps more.
fn covers_values<T: PartialEq>(wide: &[T], narrow: &[T]) -> bool {
    wide.is_empty() || !narrow.is_empty() && narrow.iter().all(|value| wide.contains(value))
}

impl FieldCondition {
    /// Whether the message has such a field. A string, a number and a boolean have a value; of an
    /// array, one element suffices.
    pub fn holds(&self, event: &Value, ignore_case: bool) -> bool {
        self.holds_at(event, &self.path, ignore_case)
    }

    fn holds_at(&self, value: &Value, path: &str, ignore_case: bool) -> bool {
        let Some(object) = value.as_object() else { return false };
        let is_admitted = |value: &Value| self.admits(value, ignore_case);
        if object.get(path).is_some_and(is_admitted) {
            return true;
        }
        path.match_indices('.').any(|(dot, _)| {
            let inner = object.get(&path[..dot]);
            inner.is_some_and(|inner| self.holds_at(inner, &path[dot + 1..], ignore_case))
        })
    }

    fn admits(&self, value: &Value, ignore_case: bool) -> bool {
        let is_admitted = |text: &str| match ignore_case {
            true => admits(&self.values, &text.to_ascii_lowercase()),
            false => admits(&self.values, text),
        };
        match value {
            Value::String(text) => is_admitted(text),
            Value::Number(number) => is_admitted(&number.to_string()),
            Value::Bool(is_true) => is_admitted(if *is_true { "true" } else { "false" }),
            Value::Array(items) => {
                items.iter().any(|item| !item.is_array() && self.admits(item, ignore_case))
            }
            Value::Null | Value::Object(_) => false,
        }
    }

    /// Texts of which one is in every message with such a field.
    pub fn required(&self, ignore_case: bool) -> Option<RequiredTexts> {
        let of_value = |value: &Glob| {
            RequiredTexts::one(&value.longest_literal()).and_then(RequiredTexts::in_json)
        };
        let of_values = || RequiredTexts::union(self.values.iter().map(of_value));
        let of_key = || {
            let names = self.path.split('.');
            RequiredTexts::key_in_json(names.max_by_key(|name| name.len()).unwrap_or_default())
        };
        if ignore_case { of_key() } else { of_values().or_else(of_key) }
    }
}

impl TextRegex {
    /// # Errors
    /// When it is not a regular expression. The message does not repeat it.
    pub(super) fn new(pattern: &str) -> Result<Self, String> {
        Regex::new(pattern).map(Self).map_err(|error| crate::redact::regex_message(&error))
    }

    pub fn is_match(&self, text: &str) -> bool {
        self.0.is_match(text)
    }

    /// Whether it is certain that nothing matches, as with `[a&&b]`.
    pub(super) fn never_matches(&self) -> bool {
        let parsed = regex_syntax::parse(self.0.as_str());
        parsed.is_ok_and(|parsed| parsed.properties().minimum_len().is_none())
    }

    /// Texts of which one is in every message that matches.
    pub fn required(&self) -> Option<RequiredTexts> {
        RequiredTexts::of_regex(self.0.as_str())
    }
}

impl fmt::Display for TextRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

impl PartialEq for TextRegex {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for TextRegex {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_is_found_by_its_path_or_by_its_name_with_dots() {
        let check = |path: &str, values: &[&str], message: &str, expected: bool| {
            let values = values.iter().map(|value| value.parse().unwrap()).collect();
            let field = FieldCondition { path: path.to_owned(), values };
            let event = serde_json::from_str(message).unwrap();
            assert_eq!(field.holds(&event, false), expected, "{path} {message}");
            let texts = field.required(false);
            let has_text =
                texts.is_none_or(|texts| texts.with_escapes().any(|text| message.contains(&*text)));
            assert!(has_text || !expected, "{path} {message}");
        };
        check("level", &["fatal", "critical"], r#"{"level":"critical"}"#, true);
        check("level", &["fatal"], r#"{"level":"\u0066atal"}"#, true);
        check("level", &["fatal"], r#"{"level":"FATAL"}"#, false);
        check("level", &["fatal"], r#"{"l\u0065vel":"fatal"}"#, true);
        check("http.status", &["5*"], r#"{"http":{"status":503}}"#, true);
        check("http.status", &["5*"], r#"{"http.status":"503"}"#, true);
        check("a.b.c", &["x"], r#"{"a":{"b.c":"x"}}"#, true);
        check("a.b.c", &["x"], r#"{"a.b":{"c":"x"}}"#, true);
        check("a.b.c", &["x"], r#"{"a":{"b":{"c":["y","x"]}}}"#, true);
        check("a.b.c", &["x"], r#"{"a":{"b":[{"c":"x"}]}}"#, false);
        check("n", &["500.0"], r#"{"n":5e2}"#, true);
        check("n", &["0.5"], r#"{"n":0.50}"#, true);
        check("fatal", &["true"], r#"{"fatal":true}"#, true);
        check("x", &["*"], r#"{"x":null}"#, false);
        check("x", &["*"], r#"{"x":{"y":1}}"#, false);
        check("x", &["*"], r#"[{"x":1}]"#, false);
        check("x", &["*"], r#"{"x":[[1]]}"#, false);
    }

    #[test]
    fn the_case_of_a_value_can_be_ignored() {
        let field = FieldCondition { path: "level".into(), values: vec!["err*".parse().unwrap()] };
        let event = serde_json::from_str(r#"{"level":"ERROR"}"#).unwrap();
        assert!(field.holds(&event, true) && !field.holds(&event, false));
    }
}
