//! The meaning of `[redact]`: built-in rules that do not apply, and rules of the user.

use super::diagnostic::Diagnostics;
use super::value::{Fields, TomlValue, closest, distinct_list};
use crate::redact::{CustomRule, Redactor, RuleName, RulePattern, rule_names};

/// Keys that are valid above `[redact]`.
const KEYS_ABOVE: [&str; 5] = ["window", "window_max", "first", "decoded_bytes_max", "strict"];

/// Keys of a rule.
const RULE_KEYS: [&str; 4] = ["name", "pattern", "redacts", "keeps"];

/// A shorter name suggests no longer one.
const NAME_PART_BYTES_MIN: usize = 3;

pub(super) fn redactor(
    value: Option<TomlValue<'_>>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Redactor> {
    let Some(value) = value else { return Some(Redactor::default()) };
    if !value.is_table() {
        let message = value.mismatch("a table");
        diagnostics.error(value, format_args!("{message}; write [[redact.rule]] for each rule"));
        return None;
    }
    let mut fields = diagnostics.read(value, TomlValue::table)?;
    let disabled = fields
        .take("disable")
        .map_or(Some(Vec::new()), |value| distinct_list(value, diagnostics, built_in_rule));
    let listed = fields.take("rule");
    let rules = listed.map_or(Some(Vec::new()), |rules| self::rules(rules, diagnostics));
    let misplaced = |key: &str| match key {
        _ if KEYS_ABOVE.contains(&key) => Some("it belongs above [redact]"),
        _ if RULE_KEYS.contains(&key) => Some("it belongs in a [[redact.rule]]"),
        _ => None,
    };
    fields.finish(diagnostics, misplaced);
    let redactor = Redactor::new(rules?, disabled?);
    redactor.map_err(|message| diagnostics.error(listed.unwrap_or(value), message)).ok()
}

/// The name of a built-in rule.
fn built_in_rule(value: TomlValue<'_>) -> Result<&'static str, String> {
    let text = value.str()?;
    let known: Vec<&'static str> = rule_names().into_iter().collect();
    if let Some(name) = known.iter().find(|name| **name == text) {
        return Ok(name);
    }
    let lower = text.to_ascii_lowercase();
    let contains = || known.iter().copied().find(|name| name.contains(&lower));
    let meant = closest(&lower, &known)
        .or_else(|| (lower.len() >= NAME_PART_BYTES_MIN).then(contains).flatten());
    Err(match meant {
        Some(meant) => format!("unknown rule, did you mean `{meant}`?"),
        None => "unknown rule; `stentor check --message LINE` names the rules that apply to a line"
            .to_owned(),
    })
}

fn rules(value: TomlValue<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<Vec<CustomRule>> {
    if value.is_table() {
        let message = "a rule is written [[redact.rule]], with two brackets on each side";
        diagnostics.error(value, message);
        return None;
    }
    let elements = diagnostics.read(value, TomlValue::array)?;
    let mut names: Vec<(usize, RuleName)> = Vec::new();
    let rules: Vec<Option<CustomRule>> = elements
        .map(|element| {
            let fields = diagnostics.read(element, TomlValue::table)?;
            rule(element.offset(), fields, &mut names, diagnostics)
        })
        .collect();
    rules.into_iter().collect()
}

/// A rule that begins at `offset`. `names` has the names of the rules before it, and where these
/// begin.
fn rule(
    offset: usize,
    mut fields: Fields<'_>,
    names: &mut Vec<(usize, RuleName)>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<CustomRule> {
    let name = fields.require("name").and_then(|value| {
        let name = diagnostics.read(value, |value| RuleName::new(value.str()?))?;
        if let Some((other, _)) = names.iter().find(|(_, other)| *other == name) {
            let line = diagnostics.line(*other);
            let name = name.as_str();
            diagnostics.error(
                value,
                format_args!("the rule at line {line} already has the name `{name}`"),
            );
            return None;
        }
        names.push((offset, name.clone()));
        Some(name)
    });
    let pattern = fields.require("pattern").and_then(|value| {
        let pattern = diagnostics.read(value, |value| RulePattern::new(value.str()?))?;
        if pattern.matches_most_lines() {
            diagnostics.warn(value, "matches most lines");
        }
        Some(pattern)
    });
    let redacts = fields.require("redacts").and_then(|value| {
        let valid = examples(value, diagnostics, |text| {
            pattern.as_ref().map_or(Ok(()), |pattern| pattern.check_redacted(text))
        });
        if value.array().is_ok_and(|examples| examples.len() == 0) {
            diagnostics.error(value, "must not be empty; list a line that the rule redacts");
            return None;
        }
        valid
    });
    let keeps = fields.take("keeps").map_or(Some(()), |value| {
        examples(value, diagnostics, |text| {
            pattern.as_ref().map_or(Ok(()), |pattern| pattern.check_kept(text))
        })
    });
    for missing in fields.finish(diagnostics, |_| None).missing {
        let remedy = if missing == "redacts" { "; list a line that the rule redacts" } else { "" };
        diagnostics.error_at(offset, format!("this rule has no `{missing}`{remedy}"));
    }
    let rule = CustomRule { name: name?, pattern: pattern? };
    redacts.and(keeps).map(|()| rule)
}

/// Checks each example of a list.
fn examples(
    value: TomlValue<'_>,
    diagnostics: &mut Diagnostics<'_>,
    check: impl Fn(&str) -> Result<(), String>,
) -> Option<()> {
    let elements = diagnostics.read(value, TomlValue::array)?;
    let valid: Vec<Option<()>> = elements
        .enumerate()
        .map(|(index, element)| {
            let number = index + 1;
            diagnostics.read(element, |element| {
                check(element.str()?).map_err(|reason| format!("example {number}: {reason}"))
            })
        })
        .collect();
    valid.into_iter().collect()
}
