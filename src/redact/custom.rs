//! Rules of the configuration: a name, a regular expression, and examples that it must and must not
//! match.

use std::ops::Range;

use regex::Regex;

use super::table::rule_names;

/// The longest name of a rule.
const NAME_BYTES_MAX: usize = 40;

/// Ordinary log lines, some without a digit. A pattern that matches all of them is probably a
/// mistake.
const ORDINARY_LINES: [&str; 5] = [
    "2026-11-23T14:15:06Z [CRITICAL] connection to db-3 refused, giving up after 3 tries",
    "GET /health HTTP/1.1 200 12ms",
    "java.lang.IllegalStateException: the pool is exhausted",
    "The order could not be stored",
    r#"{"level":"error","message":"cache miss","service":"checkout"}"#,
];

/// The name of a rule of the configuration, which the placeholder shows: lower-case letters and
/// `-`. No built-in rule has it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RuleName(String);

/// A regular expression that redacts what it matches, or what its group `secret` matches.
#[derive(Clone, Debug)]
pub struct RulePattern(Regex);

/// A rule of the configuration.
///
/// ```
/// use stentor::redact::{CustomRule, Redactor, RuleName, RulePattern};
///
/// let name = RuleName::new("badge")?;
/// let pattern = RulePattern::new("badge (?<secret>[0-9]{6})")?;
/// pattern.check_redacted("badge 123456 at the door")?;
/// pattern.check_kept("badge 12")?;
/// let redactor = Redactor::new(vec![CustomRule { name, pattern }], vec![])?;
/// assert_eq!(redactor.redact("badge 654321"), "badge [redacted:badge]");
/// # Ok::<(), String>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomRule {
    pub name: RuleName,
    pub pattern: RulePattern,
}

impl RuleName {
    /// # Errors
    /// When it cannot be a placeholder, or a built-in rule has it.
    pub fn new(name: &str) -> Result<Self, String> {
        let fits = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-');
        if !fits || !(1..=NAME_BYTES_MAX).contains(&name.len()) || name.starts_with('-') {
            return Err(format!(
                "the name of a rule has 1 to {NAME_BYTES_MAX} lower-case letters and `-`"
            ));
        }
        match rule_names().contains(name) {
            true => Err(format!("`{name}` is the name of a built-in rule")),
            false => Ok(Self(name.to_owned())),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl RulePattern {
    /// # Errors
    /// When it is not a regular expression, or would redact nearly everything. The message does not
    /// repeat the pattern, which may contain a secret.
    pub fn new(pattern: &str) -> Result<Self, String> {
        let regex = Regex::new(pattern).map_err(|error| regex_message(&error))?;
        if regex.is_match("") {
            return Err(
                "matches the empty text, so it would redact between all characters".to_owned()
            );
        }
        let pattern = Self(regex);
        match ORDINARY_LINES.iter().all(|line| pattern.hides_most(line)) {
            true => Err("matches nearly any text, so it would redact whole messages".to_owned()),
            false => Ok(pattern),
        }
    }

    /// Whether it matches in all ordinary log lines.
    pub fn matches_most_lines(&self) -> bool {
        ORDINARY_LINES.iter().all(|line| self.0.is_match(line))
    }

    /// # Errors
    /// Why nothing of `example` is redacted.
    pub fn check_redacted(&self, example: &str) -> Result<(), String> {
        if !self.0.is_match(example) {
            return Err("the pattern does not match it".to_owned());
        }
        match self.secrets(example).next() {
            Some(_) => Ok(()),
            None => Err("the pattern matches it, but its group `secret` is empty".to_owned()),
        }
    }

    /// # Errors
    /// Where something of `example` is redacted.
    pub fn check_kept(&self, example: &str) -> Result<(), String> {
        match self.secrets(example).next() {
            None => Ok(()),
            Some(secret) => {
                let first = example[..secret.start].chars().count() + 1;
                let last = example[..secret.end].chars().count();
                Err(format!("the pattern redacts its characters {first} to {last}"))
            }
        }
    }

    /// The ranges that are redacted, none of them empty.
    pub(super) fn secrets(&self, text: &str) -> impl Iterator<Item = Range<usize>> {
        let found = self.0.captures_iter(text);
        let secrets =
            found.map(|found| found.name("secret").unwrap_or_else(|| found.get_match()).range());
        secrets.filter(|secret| !secret.is_empty())
    }

    pub(super) fn as_str(&self) -> &str {
        self.0.as_str()
    }

    /// Whether it redacts more than half of a line.
    fn hides_most(&self, line: &str) -> bool {
        self.secrets(line).map(|secret| secret.len()).sum::<usize>() > line.len() / 2
    }
}

impl PartialEq for RulePattern {
    fn eq(&self, other: &Self) -> bool {
        self.as_str() == other.as_str()
    }
}

impl Eq for RulePattern {}

/// Why a pattern does not compile. The error's own text repeats the pattern.
pub(crate) fn regex_message(error: &regex::Error) -> String {
    let reason = match error {
        regex::Error::Syntax(text) => text.rsplit_once("\nerror: ").map(|(_, reason)| reason),
        regex::Error::CompiledTooBig(_) => Some("it is too big when compiled"),
        _ => None,
    };
    match reason {
        Some(reason) => format!("not a regular expression: {reason}"),
        None => "not a regular expression".to_owned(),
    }
}
