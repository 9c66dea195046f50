//! Patterns over the values of a JSON message: `{ $.user.id = 1 && $.tags[*] = "x*" }`.

mod selector;

use std::fmt;

use serde_json::Value;

use super::FilterPatternError;
use super::comparison::Comparison;
use super::expr::Expr;
use super::reader::Reader;
use super::required::RequiredTexts;

use selector::Selector;

/// The most selectors with a wildcard: a quota of CloudWatch Logs.
const WILDCARDS_MAX: usize = 3;

/// The deepest nesting of parentheses. CloudWatch Logs names no limit; this bounds the recursion.
const DEPTH_MAX: usize = 32;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct JsonPattern(Expr<JsonCondition>);

#[derive(Clone, Debug, PartialEq, Eq)]
struct JsonCondition {
    selector: Selector,
    test: Test,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Test {
    Compares(Comparison),
    IsNull,
    Is(bool),
    NotExists,
}

pub(super) fn parse(reader: &mut Reader<'_>) -> Result<JsonPattern, FilterPatternError> {
    reader.expect("{")?;
    let mut wildcards = 0;
    let expr = any(reader, &mut wildcards, 0)?;
    reader.skip_blanks();
    if !reader.eat("}") {
        return Err(reader.fail("expected `&&`, `||` or `}`"));
    }
    Ok(JsonPattern(expr))
}

type Parsed = Result<Expr<JsonCondition>, FilterPatternError>;

fn any(reader: &mut Reader<'_>, wildcards: &mut usize, depth: usize) -> Parsed {
    let mut parts = vec![all(reader, wildcards, depth)?];
    while reader.eat("||") {
        parts.push(all(reader, wildcards, depth)?);
    }
    Ok(Expr::any(parts))
}

fn all(reader: &mut Reader<'_>, wildcards: &mut usize, depth: usize) -> Parsed {
    let mut parts = vec![atom(reader, wildcards, depth)?];
    while reader.eat("&&") {
        parts.push(atom(reader, wildcards, depth)?);
    }
    Ok(Expr::all(parts))
}

/// With the blanks around it.
fn atom(reader: &mut Reader<'_>, wildcards: &mut usize, depth: usize) -> Parsed {
    reader.skip_blanks();
    let at = reader.at();
    let expr = if reader.eat("(") {
        if depth == DEPTH_MAX {
            return Err(FilterPatternError::new(at, "the parentheses are nested too deeply"));
        }
        let inner = any(reader, wildcards, depth + 1)?;
        if !reader.eat(")") {
            return Err(reader.fail("expected `&&`, `||` or `)`"));
        }
        inner
    } else {
        let selector = Selector::parse(reader)?;
        *wildcards += usize::from(selector.has_wildcard());
        if *wildcards > WILDCARDS_MAX {
            return Err(FilterPatternError::new(
                at,
                format!("a pattern has at most {WILDCARDS_MAX} wildcards"),
            ));
        }
        reader.skip_blanks();
        Expr::One(JsonCondition { selector, test: test(reader)? })
    };
    reader.check_regexes()?;
    reader.skip_blanks();
    Ok(expr)
}

fn test(reader: &mut Reader<'_>) -> Result<Test, FilterPatternError> {
    if let Some(comparison) = Comparison::parse(reader)? {
        return Ok(Test::Compares(comparison));
    }
    let at = reader.at();
    let mut word = || {
        reader.skip_blanks();
        reader.take_while(|c| c.is_ascii_alphabetic())
    };
    match (word(), word()) {
        ("IS", "NULL") => Ok(Test::IsNull),
        ("IS", "TRUE") => Ok(Test::Is(true)),
        ("IS", "FALSE") => Ok(Test::Is(false)),
        ("NOT", "EXISTS") => Ok(Test::NotExists),
        _ => Err(FilterPatternError::new(
            at,
            "expected a comparison such as `= 1`, or `IS NULL`, `IS TRUE`, `IS FALSE` or `NOT EXISTS`",
        )),
    }
}

impl JsonPattern {
    pub(super) fn matches(&self, event: &Value) -> bool {
        self.0.holds(&|condition: &JsonCondition| condition.holds(event))
    }

    /// Whether its conditions contradict each other. Never true by mistake.
    pub(super) fn never_matches(&self) -> bool {
        self.0.is_contradictory(&JsonCondition::contradicts)
    }

    pub(super) fn required(&self) -> Option<RequiredTexts> {
        self.0.required(&JsonCondition::required)
    }
}

impl JsonCondition {
    /// With a wildcard, whether one of the values passes.
    fn holds(&self, event: &Value) -> bool {
        match &self.test {
            Test::NotExists => !self.selector.any(event, |_| true),
            Test::IsNull => self.selector.any(event, Value::is_null),
            Test::Is(expected) => {
                self.selector.any(event, |value| value.as_bool() == Some(*expected))
            }
            Test::Compares(comparison) => self.selector.any(event, |value| match value {
                Value::String(text) => comparison.holds(text),
                Value::Number(number) => comparison.holds(&number.to_string()),
                _ => false,
            }),
        }
    }

    /// Whether no message meets both. Only for a selector of one value: of several, each may meet another
    /// condition.
    fn contradicts(&self, other: &Self) -> bool {
        if self.selector != other.selector || self.selector.has_wildcard() {
            return false;
        }
        match (&self.test, &other.test) {
            (Test::Compares(one), Test::Compares(two)) => one.contradicts(two),
            // A value is a text, a number, a boolean or null, or it is not there.
            (one, two) => one != two,
        }
    }

    fn required(&self) -> Option<RequiredTexts> {
        let value = match &self.test {
            Test::NotExists => return None,
            Test::Compares(comparison) => comparison.required(),
            Test::IsNull | Test::Is(_) => None,
        };
        let value = value.and_then(RequiredTexts::in_json);
        value.or_else(|| RequiredTexts::key_in_json(self.selector.longest_name()))
    }
}

impl fmt::Display for JsonPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("{ ")?;
        self.0.print(f, &|condition, f| condition.fmt(f))?;
        f.write_str(" }")
    }
}

impl fmt::Display for JsonCondition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.selector)?;
        match &self.test {
            Test::Compares(comparison) => comparison.fmt(f),
            Test::IsNull => f.write_str("IS NULL"),
            Test::Is(true) => f.write_str("IS TRUE"),
            Test::Is(false) => f.write_str("IS FALSE"),
            Test::NotExists => f.write_str("NOT EXISTS"),
        }
    }
}
