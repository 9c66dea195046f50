//! The meaning of the keys of conditions, in a route and in its `except` and `severity_if`.

use std::collections::BTreeMap;

use super::conditions::{Conditions, FieldCondition, TextRegex};
use super::diagnostic::Diagnostics;
use super::scope_keys::{globs, scope};
use super::value::{Fields, TomlValue, distinct_items, filled_list, optional, warn_elements};
use super::{Glob, MARKER_BYTES_MAX};
use crate::filter_pattern::FilterPattern;
use crate::model::name::Severity;
use crate::model::visible;
use crate::redact::Redactor;

/// The most tables of an `except`, and of a severity.
const TABLES_MAX: usize = 100;

/// The longest path of `fields`, in bytes, and the most names in it.
const PATH_BYTES_MAX: usize = 256;
const PATH_NAMES_MAX: usize = 8;

/// The keys of conditions. The file has none of them above its routes.
pub(super) const CONDITION_KEYS: [&str; 10] = [
    "markers",
    "ignore_case",
    "pattern",
    "fields",
    "regex",
    "log_groups",
    "log_streams",
    "accounts",
    "regions",
    "apps",
];

/// The conditions of a table. Whether there are any is left to the caller.
pub(super) fn conditions(
    fields: &mut Fields<'_>,
    redactor: Option<&Redactor>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Conditions> {
    let ignore_case = optional(fields.take("ignore_case"), false, diagnostics, TomlValue::bool);
    let markers = fields.take("markers").map_or(Some(Vec::new()), |value| {
        warn_elements(Some(value), diagnostics, |marker| marker_warning(marker, redactor));
        filled_list(value, diagnostics, marker)
    });
    let patterns = fields
        .take("pattern")
        .map_or(Some(Vec::new()), |value| one_or_more(value, diagnostics, pattern));
    let field_conditions = fields.take("fields").map_or(Some(Vec::new()), |value| {
        field_conditions(value, ignore_case == Some(true), diagnostics)
    });
    let regexes = fields
        .take("regex")
        .map_or(Some(Vec::new()), |value| one_or_more(value, diagnostics, regex));
    let scope = scope(fields, diagnostics);
    let apps = globs(fields.take("apps"), diagnostics, TomlValue::parse);
    Some(Conditions {
        markers: markers?,
        ignore_case: ignore_case?,
        patterns: patterns?,
        fields: field_conditions?,
        regexes: regexes?,
        scope: scope?,
        apps: apps?,
    })
}

/// `except`: one table, or a list of tables.
pub(super) fn exceptions(
    value: Option<TomlValue<'_>>,
    redactor: Option<&Redactor>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Vec<Conditions>> {
    let Some(value) = value else { return Some(Vec::new()) };
    tables(value, "so the route would accept nothing", redactor, diagnostics)
}

/// `severity_if = { critical = { regex = "data loss" } }`.
pub(super) fn severity_if(
    value: Option<TomlValue<'_>>,
    redactor: Option<&Redactor>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<BTreeMap<Severity, Vec<Conditions>>> {
    let Some(value) = value else { return Some(BTreeMap::new()) };
    let mut of_severities = diagnostics.read(value, TomlValue::table)?;
    let mut all = Some(BTreeMap::new());
    for severity in Severity::ALL {
        let Some(value) = of_severities.take(severity.as_str()) else { continue };
        match (
            tables(value, "so all alerts would have this severity", redactor, diagnostics),
            &mut all,
        ) {
            (Some(conditions), Some(all)) => drop(all.insert(severity, conditions)),
            _ => all = None,
        }
    }
    let keys = of_severities.finish(diagnostics, |_| None);
    all.filter(|_| !keys.has_unknown)
}

/// One table of conditions, or a list of such tables. `effect` is that of a table without any.
fn tables(
    value: TomlValue<'_>,
    effect: &str,
    redactor: Option<&Redactor>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Vec<Conditions>> {
    let tables: Vec<TomlValue<'_>> = match value.is_table() {
        true => vec![value],
        false => diagnostics
            .read(value, |value| value.array().map_err(|_| value.mismatch("a table")))?
            .collect(),
    };
    if tables.is_empty() {
        diagnostics.error(value, "must not be empty");
        return None;
    }
    if tables.len() > TABLES_MAX {
        diagnostics.error(value, format_args!("expected at most {TABLES_MAX} tables"));
        return None;
    }
    let all: Vec<Option<Conditions>> =
        tables.into_iter().map(|one| table(one, effect, redactor, diagnostics)).collect();
    all.into_iter().collect()
}

fn table(
    table: TomlValue<'_>,
    effect: &str,
    redactor: Option<&Redactor>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Conditions> {
    let mut fields = diagnostics.read(table, TomlValue::table)?;
    let conditions = conditions(&mut fields, redactor, diagnostics);
    if fields.finish(diagnostics, |_| None).has_unknown {
        return None;
    }
    let conditions = conditions?;
    let without = Conditions { ignore_case: conditions.ignore_case, ..Conditions::default() };
    if conditions == without {
        diagnostics.error(table, format_args!("has no condition, {effect}"));
        return None;
    }
    Some(conditions)
}

/// A value, or a list of at least one.
fn one_or_more<T: PartialEq>(
    value: TomlValue<'_>,
    diagnostics: &mut Diagnostics<'_>,
    read: impl Fn(TomlValue<'_>, &mut Diagnostics<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let elements: Vec<TomlValue<'_>> = match value.array() {
        Ok(elements) => elements.collect(),
        Err(_) => vec![value],
    };
    if elements.is_empty() {
        diagnostics.error(value, "must not be empty");
        return None;
    }
    distinct_items(elements, diagnostics, read)
}

/// Reports a mistake at its place in the pattern.
fn pattern(value: TomlValue<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<FilterPattern> {
    let text = diagnostics.read(value, TomlValue::str)?;
    match text.parse::<FilterPattern>() {
        Ok(pattern) => {
            pattern.lints().into_iter().for_each(|lint| diagnostics.warn(value, lint));
            Some(pattern)
        }
        Err(error) => {
            diagnostics.error_within(value, error.at, &error.reason);
            None
        }
    }
}

fn regex(value: TomlValue<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<TextRegex> {
    let regex = diagnostics.read(value, |value| TextRegex::new(value.str()?))?;
    if regex.is_match("") {
        diagnostics.warn(value, "matches every message");
    }
    if regex.never_matches() {
        diagnostics.warn(value, "matches nothing");
    }
    Some(regex)
}

/// `fields = { level = "fatal", "http.status" = ["5*", 429] }`.
fn field_conditions(
    value: TomlValue<'_>,
    ignore_case: bool,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Vec<FieldCondition>> {
    let mut conditions = Some(Vec::new());
    let mut tables = vec![(String::new(), value)];
    while let Some((path, value)) = tables.pop() {
        let entries: Vec<_> = diagnostics.read(value, TomlValue::entries)?.collect();
        if entries.is_empty() {
            diagnostics.error(value, "must not be empty");
            return None;
        }
        for (name, value) in entries {
            let path = if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") };
            if path.len() > PATH_BYTES_MAX || path.split('.').count() > PATH_NAMES_MAX {
                let limits = format!("{PATH_NAMES_MAX} names and {PATH_BYTES_MAX} bytes");
                diagnostics.error(value, format_args!("a path has at most {limits}"));
                conditions = None;
            } else if value.is_table() {
                // `http.status` without quotes is a table in a table.
                tables.push((path, value));
            } else {
                let read = |value: TomlValue<'_>, diagnostics: &mut Diagnostics<'_>| {
                    diagnostics.read(value, |value| field_value(value, ignore_case))
                };
                let values = one_or_more(value, diagnostics, read);
                let condition = values.map(|values| FieldCondition { path, values });
                conditions = conditions.zip(condition).map(|(mut conditions, condition)| {
                    conditions.push(condition);
                    conditions
                });
            }
        }
    }
    conditions
}

/// A pattern, a whole number or a boolean.
fn field_value(value: TomlValue<'_>, ignore_case: bool) -> Result<Glob, String> {
    let text = match (value.str(), value.integer(), value.bool()) {
        (Ok(text), ..) => text.to_owned(),
        (_, Some(Some(number)), _) => number.to_string(),
        (.., Ok(is_true)) => is_true.to_string(),
        _ => return Err(value.mismatch("a string, a whole number, true or false")),
    };
    let text = if ignore_case { text.to_ascii_lowercase() } else { text };
    text.parse().map_err(|error: super::GlobError| error.to_string())
}

fn marker(value: TomlValue<'_>) -> Result<String, String> {
    let marker = value.str()?;
    let bytes = marker.len();
    if !(1..=MARKER_BYTES_MAX).contains(&bytes) {
        return Err(format!("a marker has 1 to {MARKER_BYTES_MAX} bytes, this one has {bytes}"));
    }
    if marker.chars().all(|c| c.is_whitespace() || visible::is_invisible(c)) {
        return Err("a marker needs a visible character".to_owned());
    }
    Ok(marker.to_owned())
}

fn marker_warning(value: TomlValue<'_>, redactor: Option<&Redactor>) -> Option<String> {
    let marker = value.str().ok()?;
    if marker.trim().chars().count() == 1 {
        return Some("a marker of one character matches many lines that are not alerts".to_owned());
    }
    let rule = redactor?.rule_that_hides(marker)?;
    Some(format!("the rule `{rule}` redacts this marker, so no alert shows it"))
}
