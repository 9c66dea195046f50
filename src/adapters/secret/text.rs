//! The text of a secret: a JSON object from target to credential. Finds mistakes that would
//! otherwise show only when a message is due, each with its place. Nothing here repeats a value, or
//! a name that may be one.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::config::Diagnostic;
use crate::ingest::json::json_problem;
use crate::model::name::{Target, TargetKind, TargetName};

/// Credentials by the name of their target, and what is odd about their text.
#[derive(Debug)]
pub struct SecretText {
    /// Of a name that occurs twice, the last.
    pub credentials: BTreeMap<String, Value>,
    /// Names and fields that occur twice.
    pub errors: Vec<Diagnostic>,
    /// Names and fields that nothing uses.
    pub warnings: Vec<Diagnostic>,
}

/// The members of an object in their order, each with the text of its value.
struct Members<'a>(Vec<(String, &'a RawValue)>);

impl SecretText {
    /// # Errors
    /// When the text is not a JSON object.
    pub fn parse(text: &str) -> Result<Self, Diagnostic> {
        let members: Members<'_> = serde_json::from_str(text).map_err(|error| {
            let shape = "expected a JSON object from target to credential";
            let message =
                json_problem(&error).map_or_else(|| shape.to_owned(), |p| format!("not JSON: {p}"));
            Diagnostic { line: error.line(), column: error.column().max(1), message }
        })?;
        let mut secret = Self { credentials: BTreeMap::new(), errors: vec![], warnings: vec![] };
        for (name, value) in members.0 {
            secret.check(text, &name, value);
            let value: Value =
                serde_json::from_str(value.get()).expect("invariant: it was read as JSON");
            secret.credentials.insert(name, value);
        }
        Ok(secret)
    }

    fn check(&mut self, text: &str, name: &str, value: &RawValue) {
        let kind = kind_of(name);
        let shown = match kind {
            Some(_) => name,
            None => "this name",
        };
        if self.credentials.contains_key(name) {
            self.errors.push(at(text, value, format!("{shown} is here twice")));
        }
        if kind.is_none() && name.parse::<TargetName>().is_err() {
            let message = "the name of this credential is not that of a target, such as slack:ops";
            self.warnings.push(at(text, value, message.to_owned()));
        }
        let fields: Members<'_> = match serde_json::from_str(value.get()) {
            Ok(fields) => fields,
            // A URL or a key.
            Err(_) => return,
        };
        let known = kind.map(fields_of);
        let mut seen = BTreeSet::new();
        for (field, value) in fields.0 {
            let is_known = known.is_none_or(|known| known.contains(&field.as_str()));
            if !is_known {
                let known = known.unwrap_or_default().join(", ");
                let message = format!("{shown} does not use this field; its fields are {known}");
                self.warnings.push(at(text, value, message));
            }
            if !seen.insert(field) {
                self.errors.push(at(text, value, format!("a field of {shown} is here twice")));
            }
        }
    }
}

/// The fields of a credential of this kind, if it is an object: those that its adapter parses.
fn fields_of(kind: TargetKind) -> &'static [&'static str] {
    match kind {
        TargetKind::Slack => &["token", "channel"],
        TargetKind::PagerDuty => &["routing_key", "url"],
        TargetKind::Jira => &["site", "email", "token"],
        TargetKind::Jsm => &["api_key", "url"],
        TargetKind::Teams | TargetKind::Discord | TargetKind::GoogleChat => &["url"],
        TargetKind::Webhook => &["url", "secret"],
        TargetKind::Sns => &["topic_arn"],
        TargetKind::Mattermost => &["url", "token", "channel_id"],
    }
}

/// The kind of `kind:name` and `kind:*`.
fn kind_of(name: &str) -> Option<TargetKind> {
    let of_all = || name.strip_suffix(":*")?.parse().ok();
    name.parse::<Target>().ok().map(|target| target.kind).or_else(of_all)
}

/// A message at the place of a value in the text.
fn at(text: &str, value: &RawValue, message: String) -> Diagnostic {
    let offset = value.get().as_ptr().addr().saturating_sub(text.as_ptr().addr());
    let before = &text[..offset.min(text.len())];
    let start = before.rfind('\n').map_or(0, |end| end + 1);
    let line = 1 + before.matches('\n').count();
    Diagnostic { line, column: 1 + before[start..].chars().count(), message }
}

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Collect;

        impl<'de> Visitor<'de> for Collect {
            type Value = Members<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members<'de>, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }

        deserializer.deserialize_map(Collect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The errors and warnings of a text, one a line.
    fn found(text: &str) -> String {
        let secret = match SecretText::parse(text) {
            Ok(secret) => secret,
            Err(error) => return format!("error {error}"),
        };
        let errors = secret.errors.iter().map(|error| format!("error {error}"));
        let warnings = secret.warnings.iter().map(|warning| format!("warning {warning}"));
        errors.chain(warnings).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn a_mistake_has_its_place_and_nothing_of_the_text() {
        let cases = [
            (r#"{"slack:a": "https://x", "a": {"token": "t"}, "slack:*": "https://x"}"#, ""),
            ("{\n \"slack:a\": topsecret}", "error 2:14: not JSON: a syntax error"),
            ("{\"slack:a\": \"topsecret", "error 1:22: not JSON: it ends too early"),
            ("", "error 1:1: not JSON: it ends too early"),
            ("[\"topsecret\"]", "error 1:1: expected a JSON object from target to credential"),
            ("\"topsecret\"", "error 1:11: expected a JSON object from target to credential"),
            ("{\"slack:a\": 1,\n\n  \"slack:a\": 2}", "error 3:14: slack:a is here twice"),
            (
                r#"{"https://topsecret/x": 1, "https://topsecret/x": 2}"#,
                "error 1:51: this name is here twice\n\
                 warning 1:25: the name of this credential is not that of a target, such as slack:ops\n\
                 warning 1:51: the name of this credential is not that of a target, such as slack:ops",
            ),
            (
                r#"{"webhook:a": {"url": "x", "topsecret": 1, "url": "y"}}"#,
                "error 1:51: a field of webhook:a is here twice\n\
                 warning 1:41: webhook:a does not use this field; its fields are url, secret",
            ),
        ];
        for (text, expected) in cases {
            assert_eq!(found(text), expected, "{text}");
        }
    }

    #[test]
    fn the_last_of_two_credentials_is_kept() {
        let secret = SecretText::parse(r#"{"slack:a": 1, "slack:a": 2}"#).unwrap();
        assert_eq!(secret.credentials["slack:a"], 2);
    }
}
