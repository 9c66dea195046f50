//! Selectors: `$.users[0].name`, `$.['a.b']`, `$.tags[*]`, `$.*`.

use std::fmt;

use serde_json::Value;

use crate::filter_pattern::FilterPatternError;
use crate::filter_pattern::reader::Reader;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Selector {
    /// At least one; at most one of them is a wildcard.
    steps: Vec<Step>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
    AnyName,
    AnyIndex,
}

impl Selector {
    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<Self, FilterPatternError> {
        if !reader.eat("$") {
            return Err(reader.fail("expected a selector, such as `$.level`"));
        }
        let mut selector = Self { steps: Vec::new() };
        loop {
            let at = reader.at();
            let step = if reader.eat(".") {
                name(reader)?
            } else if reader.eat("[") {
                index(reader)?
            } else if selector.steps.is_empty() {
                return Err(reader.fail("expected `.` or `[` after `$`"));
            } else {
                return Ok(selector);
            };
            if step.is_wildcard() && selector.has_wildcard() {
                return Err(FilterPatternError::new(at, "a selector has at most one wildcard"));
            }
            selector.steps.push(step);
        }
    }

    pub(super) fn has_wildcard(&self) -> bool {
        self.steps.iter().any(Step::is_wildcard)
    }

    /// Whether a value that it selects passes `test`. Without a wildcard it selects at most one.
    pub(super) fn any(&self, event: &Value, test: impl Fn(&Value) -> bool) -> bool {
        let wildcard = self.steps.iter().position(Step::is_wildcard);
        let (before, rest) = self.steps.split_at(wildcard.unwrap_or(self.steps.len()));
        let Some(found) = follow(before, event) else { return false };
        let Some((wildcard, after)) = rest.split_first() else { return test(found) };
        let passes = |value: &Value| follow(after, value).is_some_and(&test);
        match (wildcard, found) {
            (Step::AnyName, Value::Object(fields)) => fields.values().any(passes),
            (Step::AnyIndex, Value::Array(items)) => items.iter().any(passes),
            _ => false,
        }
    }

    /// The longest name that a message has to contain.
    pub(super) fn longest_name(&self) -> &str {
        let names = self.steps.iter().filter_map(|step| match step {
            Step::Name(name) => Some(name.as_str()),
            _ => None,
        });
        names.max_by_key(|name| name.len()).unwrap_or_default()
    }
}

impl Step {
    fn is_wildcard(&self) -> bool {
        matches!(self, Self::AnyName | Self::AnyIndex)
    }
}

/// The value at the end of steps without a wildcard.
fn follow<'v>(steps: &[Step], value: &'v Value) -> Option<&'v Value> {
    steps.iter().try_fold(value, |value, step| match step {
        Step::Name(name) => value.as_object()?.get(name),
        Step::Index(index) => value.as_array()?.get(*index),
        Step::AnyName | Step::AnyIndex => None,
    })
}

/// After the dot.
fn name(reader: &mut Reader<'_>) -> Result<Step, FilterPatternError> {
    let at = reader.at();
    if reader.eat("*") {
        return Ok(Step::AnyName);
    }
    if reader.eat("['") {
        let name = reader.take_while(|c| c != '\'').to_owned();
        return match reader.eat("']") {
            true => Ok(Step::Name(name)),
            false => Err(FilterPatternError::new(at, "`['` is never closed by `']`")),
        };
    }
    match reader.take_while(is_name) {
        "" => {
            Err(reader.fail("expected a name of letters, digits, `_` and `-`, or `['any name']`"))
        }
        name => Ok(Step::Name(name.to_owned())),
    }
}

/// After the bracket.
fn index(reader: &mut Reader<'_>) -> Result<Step, FilterPatternError> {
    let step = match reader.eat("*") {
        true => Some(Step::AnyIndex),
        false => reader.take_while(|c| c.is_ascii_digit()).parse().ok().map(Step::Index),
    };
    let step = step.ok_or_else(|| reader.fail("expected an index from 0, or `*`"))?;
    reader.expect("]")?;
    Ok(step)
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '-'
}

impl fmt::Display for Selector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("$")?;
        self.steps.iter().try_for_each(|step| match step {
            Step::Name(name) if !name.is_empty() && name.chars().all(is_name) => {
                write!(f, ".{name}")
            }
            Step::Name(name) => write!(f, ".['{name}']"),
            Step::Index(index) => write!(f, "[{index}]"),
            Step::AnyName => f.write_str(".*"),
            Step::AnyIndex => f.write_str("[*]"),
        })
    }
}
