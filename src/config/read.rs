//! The meaning of the keys of `stentor.toml`.
//!
//! A function that takes a [`Diagnostics`] reports what it cannot read and returns `None`. Reading
//! goes on after an error, so that all errors of a file are found.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::de::DeTable;

use super::condition_keys::{CONDITION_KEYS, conditions, exceptions, severity_if};
use super::diagnostic::Diagnostics;
use super::draft::{Draft, Setting, Windows};
use super::quantity::{self, spell};
use super::value::{Fields, TomlValue, filled_list, optional};
use super::{
    CONTEXT_EVENTS_MAX, Conditions, Config, ContextSize, DECODED_BYTES_MAX_DEFAULT,
    FALLBACK_AFTER_DEFAULT, First, THRESHOLD_SPAN_MAX, WINDOW_LIMIT, WINDOW_MIN, app, link_keys,
    redaction, shadowing, target_keys,
};
use crate::model::history::NewsKind;
use crate::model::name::{RouteName, Target};
use crate::model::threshold::{THRESHOLD_ALERTS_MAX, Threshold, ThresholdKey};
use crate::redact::Redactor;

/// The range of `decoded_bytes_max`. No Lambda function has more memory than the upper end.
const DECODED_BYTES: RangeInclusive<u64> = (1 << 10)..=(10 << 30);

/// The most targets of a route. The write that opens its first window names each of them, and
/// DynamoDB takes an expression of 4 KB: about 105 targets.
const NOTIFY_MAX: usize = 64;

/// Keys that are valid above the routes only.
const FILE_KEYS: [&str; 2] = ["decoded_bytes_max", "strict"];

/// Keys that are valid in a route only, besides its conditions.
const ROUTE_KEYS: [&str; 15] = [
    "name",
    "except",
    "notify",
    "fallback",
    "fallback_after",
    "at_least",
    "per",
    "speak_on",
    "stage",
    "continue",
    "context",
    "runbook",
    "links",
    "severity",
    "severity_if",
];

/// The settings above the routes, which each route inherits.
#[derive(Clone, Copy)]
struct Inherited {
    windows: Windows,
    first: Option<First>,
}

pub(super) fn config(root: &DeTable<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<Config> {
    let mut fields = Fields::new(root);
    let inherited = Inherited {
        windows: windows(&mut fields, Windows::default(), diagnostics),
        first: optional(fields.take("first"), First::default(), diagnostics, TomlValue::variant),
    };
    let apps = app::apps(fields.take("app"), diagnostics);
    let targets = target_keys::targets(fields.take("target"), diagnostics);
    let redactor = redaction::redactor(fields.take("redact"), diagnostics);
    let decoded_bytes_max =
        optional(fields.take("decoded_bytes_max"), DECODED_BYTES_MAX_DEFAULT, diagnostics, size);
    let strict = optional(fields.take("strict"), false, diagnostics, TomlValue::bool);
    let drafts = fields
        .require("route")
        .and_then(|value| drafts(value, inherited, redactor.as_ref(), diagnostics));

    let misplaced = |key: &str| {
        let is_of_route = ROUTE_KEYS.contains(&key) || CONDITION_KEYS.contains(&key);
        is_of_route.then_some("it belongs in a [[route]]")
    };
    if !fields.finish(diagnostics, misplaced).missing.is_empty() {
        diagnostics.error_at(0, "there is no [[route]], so no alert would be found");
    }
    let drafts = drafts?;
    shadowing::check(&drafts, diagnostics);
    let targets = targets.and_then(|targets| targets.finish(&drafts, diagnostics));

    Some(Config {
        routes: drafts.into_iter().map(Draft::finish).collect::<Option<_>>()?,
        apps: apps?,
        targets: targets?,
        redactor: redactor?,
        decoded_bytes_max: decoded_bytes_max?,
        strict: strict?,
        warnings: Vec::new(),
    })
}

fn drafts(
    routes: TomlValue<'_>,
    inherited: Inherited,
    redactor: Option<&Redactor>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Vec<Draft>> {
    if routes.is_table() {
        diagnostics.error(routes, "a route is written [[route]], with two brackets on each side");
        return None;
    }
    let elements = diagnostics.read(routes, TomlValue::array)?;
    if elements.len() == 0 {
        diagnostics.error(routes, "must not be empty, or no alert would be found");
        return None;
    }
    let mut drafts = Vec::new();
    for element in elements {
        if let Some(fields) = diagnostics.read(element, TomlValue::table) {
            let draft =
                draft(element.offset(), fields, &drafts, (inherited, redactor), diagnostics);
            drafts.push(draft);
        }
    }
    Some(drafts)
}

fn draft(
    offset: usize,
    mut fields: Fields<'_>,
    earlier: &[Draft],
    (inherited, redactor): (Inherited, Option<&Redactor>),
    diagnostics: &mut Diagnostics<'_>,
) -> Draft {
    let places = places([fields.take("notify"), fields.take("fallback")]);
    let notify = fields.require("notify").and_then(|value| {
        let targets = filled_list(value, diagnostics, TomlValue::parse)?;
        if targets.len() > NOTIFY_MAX {
            diagnostics
                .error(value, format_args!("has {}, of at most {NOTIFY_MAX}", targets.len()));
            return None;
        }
        Some(targets)
    });
    let (fallback, fallback_after) = escalation(&mut fields, notify.as_deref(), diagnostics);
    let windows = windows(&mut fields, inherited.windows, diagnostics);
    let at_least = threshold(&mut fields, windows, diagnostics);
    let speak_on = speak_on(fields.take("speak_on"), at_least.flatten(), diagnostics);
    let mut draft = Draft {
        offset,
        has_unknown_key: false,
        name: fields.require("name").and_then(|value| name(value, earlier, diagnostics)),
        conditions: conditions(&mut fields, redactor, diagnostics),
        except: exceptions(fields.take("except"), redactor, diagnostics),
        continue_: optional(fields.take("continue"), false, diagnostics, TomlValue::bool),
        fallback,
        fallback_after,
        places,
        notify,
        windows,
        at_least,
        speak_on,
        stage: optional(fields.take("stage"), false, diagnostics, TomlValue::bool),
        first: match fields.take("first") {
            Some(value) => diagnostics.read(value, TomlValue::variant),
            None => inherited.first,
        },
        context: context(&mut fields, diagnostics),
        links: link_keys::links(&mut fields, diagnostics),
        severity: optional(fields.take("severity"), None, diagnostics, |value| {
            value.variant().map(Some)
        }),
        severity_if: severity_if(fields.take("severity_if"), redactor, diagnostics),
    };
    let misplaced = |key: &str| match key {
        "redact" => Some("it is a table of its own, [redact]"),
        "app" => Some("it is a table of its own, [[app]]; the condition is `apps`"),
        "target" => Some("it is a table of its own, [[target]]"),
        _ if FILE_KEYS.contains(&key) => Some("it belongs above the first [[route]]"),
        _ => None,
    };
    let keys = fields.finish(diagnostics, misplaced);
    for missing in keys.missing {
        diagnostics.error_at(offset, format!("this route has no `{missing}`"));
    }
    draft.has_unknown_key = keys.has_unknown;
    let accepts_any = |conditions: &Conditions| !conditions.has_message_condition();
    // An unknown key may be a misspelled condition.
    if !keys.has_unknown && draft.conditions.as_ref().is_some_and(accepts_any) {
        let message = "this route has no `markers`, `pattern`, `fields` or `regex`";
        diagnostics.error_at(offset, message);
    }
    draft
}

/// Where the targets of `notify` and `fallback` are named.
fn places(values: [Option<TomlValue<'_>>; 2]) -> BTreeMap<Target, usize> {
    let mut places = BTreeMap::new();
    for value in values.into_iter().flatten() {
        let elements = value.array().map_or_else(|_| vec![value], Iterator::collect);
        for element in elements {
            if let Ok(target) = element.parse() {
                places.entry(target).or_insert(element.offset());
            }
        }
    }
    places
}

/// `context = { before = 2, after = 5 }`.
fn context(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<ContextSize> {
    let Some(value) = fields.take("context") else { return Some(ContextSize::default()) };
    let mut sizes = diagnostics.read(value, TomlValue::table)?;
    let count = |value: TomlValue<'_>| {
        let count = value.integer().flatten().and_then(|count| usize::try_from(count).ok());
        count
            .filter(|count| *count <= CONTEXT_EVENTS_MAX)
            .ok_or_else(|| format!("expected a number from 0 to {CONTEXT_EVENTS_MAX}"))
    };
    let before = optional(sizes.take("before"), 0, diagnostics, count);
    let after = optional(sizes.take("after"), 0, diagnostics, count);
    let keys = sizes.finish(diagnostics, |_| None);
    if keys.has_unknown {
        return None;
    }
    Some(ContextSize { before: before?, after: after? })
}

fn windows(
    fields: &mut Fields<'_>,
    inherited: Windows,
    diagnostics: &mut Diagnostics<'_>,
) -> Windows {
    let (own_window, own_max) = (fields.take("window"), fields.take("window_max"));
    let windows = Windows {
        window: setting(own_window, inherited.window, diagnostics),
        window_max: setting(own_max, inherited.window_max, diagnostics),
    };
    // An inherited pair is compared where it is written.
    if let Some(window) = windows.window()
        && let Some(window_max) = windows.window_max()
        && window > window_max
    {
        let (window, window_max) = (spell(window), spell(window_max));
        if let Some(value) = own_max {
            diagnostics.error(
                value,
                format_args!("{window_max} is shorter than `window`, which is {window}"),
            );
        } else if let Some(value) = own_window {
            diagnostics.error(
                value,
                format_args!("{window} is longer than `window_max`, which is {window_max}"),
            );
        }
    }
    windows
}

fn setting(
    value: Option<TomlValue<'_>>,
    inherited: Setting,
    diagnostics: &mut Diagnostics<'_>,
) -> Setting {
    match value {
        Some(value) => diagnostics.read(value, window).map_or(Setting::Invalid, Setting::Given),
        None => inherited,
    }
}

fn window(value: TomlValue<'_>) -> Result<Duration, String> {
    let window = quantity::duration(value.str()?)
        .ok_or("expected a duration, such as \"30s\", \"5m\" or \"1h30m\"")?;
    if (WINDOW_MIN..=WINDOW_LIMIT).contains(&window) {
        Ok(window)
    } else {
        Err(format!(
            "expected a duration between {} and {}",
            spell(WINDOW_MIN),
            spell(WINDOW_LIMIT)
        ))
    }
}

fn size(value: TomlValue<'_>) -> Result<u64, String> {
    let bytes = match (value.integer(), value.str()) {
        (Some(bytes), _) => bytes,
        (None, Ok(text)) => Some(
            quantity::bytes(text)
                .ok_or("expected a size in bytes, such as 67108864 or \"64MiB\"")?,
        ),
        (None, Err(_)) => return Err(value.mismatch("an integer or a string")),
    };
    let bytes = bytes.filter(|bytes| DECODED_BYTES.contains(bytes));
    bytes.ok_or_else(|| "expected a size between 1KiB and 10GiB".to_owned())
}

fn name(
    value: TomlValue<'_>,
    earlier: &[Draft],
    diagnostics: &mut Diagnostics<'_>,
) -> Option<RouteName> {
    let name: RouteName = diagnostics.read(value, TomlValue::parse)?;
    if let Some(other) = earlier.iter().find(|other| other.name.as_ref() == Some(&name)) {
        let line = diagnostics.line(other.offset);
        diagnostics
            .error(value, format_args!("the route at line {line} already has the name `{name}`"));
    }
    Some(name)
}

/// `at_least = "5 in 10m"` and `per`. `None`: an error was reported.
fn threshold(
    fields: &mut Fields<'_>,
    windows: Windows,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Option<Threshold>> {
    let (at_least, per) = (fields.take("at_least"), fields.take("per"));
    if let (None, Some(per)) = (at_least, per) {
        diagnostics.error(per, "this route has no `at_least`");
    }
    let per = optional(per, ThresholdKey::Route, diagnostics, TomlValue::variant);
    let Some(value) = at_least else { return per.map(|_| None) };
    let (alerts, span) = diagnostics.read(value, |value| quantity::rate(value.str()?))?;
    if !(2..=THRESHOLD_ALERTS_MAX).contains(&alerts) {
        diagnostics.error(value, format_args!("expected 2 to {THRESHOLD_ALERTS_MAX} alerts"));
        return None;
    }
    if span > THRESHOLD_SPAN_MAX {
        diagnostics.error(value, format_args!("expected {} at most", spell(THRESHOLD_SPAN_MAX)));
        return None;
    }
    if let Some(window) = windows.window()
        && span < window
    {
        let (span, window) = (spell(span), spell(window));
        let message = format!("{span} is shorter than `window`, which is {window}");
        diagnostics.error(value, message);
        return None;
    }
    Some(Some(Threshold { alerts, span, per: per? }))
}

/// The windows of a route that speaks on news are too long for a threshold. `None`: an error was reported.
fn speak_on(
    value: Option<TomlValue<'_>>,
    at_least: Option<Threshold>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Option<Vec<NewsKind>>> {
    let Some(value) = value else { return Some(None) };
    if at_least.is_some() {
        diagnostics.error(value, "a route has `at_least` or `speak_on`, not both");
        return None;
    }
    filled_list(value, diagnostics, TomlValue::variant).map(Some)
}

/// `fallback` and `fallback_after`. A fallback replaces a target of `notify` that fails, so it has
/// to be another one.
fn escalation(
    fields: &mut Fields<'_>,
    notify: Option<&[Target]>,
    diagnostics: &mut Diagnostics<'_>,
) -> (Option<Option<Target>>, Option<Duration>) {
    let (fallback, after) = (fields.take("fallback"), fields.take("fallback_after"));
    if let (None, Some(after)) = (fallback, after) {
        diagnostics.error(after, "this route has no `fallback`");
    }
    let fallback_target = |value: TomlValue<'_>| {
        let target: Target = value.parse()?;
        match notify.is_some_and(|targets| targets.contains(&target)) {
            true => Err(format!("{target} is in `notify`; a fallback is for when that fails")),
            false => Ok(Some(target)),
        }
    };
    (
        optional(fallback, None, diagnostics, fallback_target),
        optional(after, FALLBACK_AFTER_DEFAULT, diagnostics, window),
    )
}
