//! What the keys of `stentor.toml` mean.
//!
//! Each function reads one thing and answers `None` where it cannot, having reported why. What is
//! readable is read even beside something that is not, because a file is judged whole.

use std::ops::RangeInclusive;
use std::time::Duration;

use regex::Regex;
use toml::de::DeTable;

use super::draft::{Draft, Setting, Windows};
use super::quantity::{self, spell};
use super::spanned::{Diagnostic, Diagnostics, Fields, Value, distinct, list_or_none, optional, warn_of};
use super::{
    Config, DECODED_BYTES_MAX_DEFAULT, FALLBACK_AFTER_DEFAULT, First, Glob, MARKER_BYTES_MAX, Scope, WINDOW_LIMIT,
    WINDOW_MIN, region, shadowing,
};
use crate::model::name::{RouteName, Target};
use crate::model::visible;

/// What `decoded_bytes_max` may be. No Lambda function has more memory than the upper end.
const DECODED_BYTES: RangeInclusive<u64> = (1 << 10)..=(10 << 30);

/// The keys that mean something above the routes only, and in a route only.
const FILE_KEYS: [&str; 3] = ["redact", "decoded_bytes_max", "strict"];
const ROUTE_KEYS: [&str; 10] = [
    "name",
    "markers",
    "notify",
    "fallback",
    "fallback_after",
    "continue",
    "severity",
    "log_groups",
    "accounts",
    "regions",
];

/// Digits of an account id.
const ACCOUNT_DIGITS: usize = 12;

/// Ordinary lines, some without a digit: a pattern of `redact` that matches all of them is hardly meant.
const ORDINARY_LINES: [&str; 5] = [
    "2026-11-23T14:15:06Z [CRITICAL] connection to db-3 refused, giving up after 3 tries",
    "GET /health HTTP/1.1 200 12ms",
    "java.lang.IllegalStateException: the pool is exhausted",
    "The order could not be stored",
    r#"{"level":"error","message":"cache miss","service":"checkout"}"#,
];

/// What a route inherits from the top of the file.
#[derive(Clone, Copy)]
struct Inherited {
    windows: Windows,
    first: Option<First>,
}

pub(super) fn config(root: &DeTable<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<Config> {
    let mut fields = Fields::new(root);
    let inherited = Inherited {
        windows: windows(&mut fields, Windows::default(), diagnostics),
        first: optional(fields.take("first"), First::default(), diagnostics, first),
    };
    let patterns = fields.take("redact");
    let redact = list_or_none(patterns, diagnostics, redaction);
    warn_of(patterns, diagnostics, odd_redaction);
    let decoded_bytes_max = optional(fields.take("decoded_bytes_max"), DECODED_BYTES_MAX_DEFAULT, diagnostics, size);
    let strict = optional(fields.take("strict"), false, diagnostics, Value::bool);
    let drafts = fields.require("route").and_then(|value| drafts(value, inherited, diagnostics));

    let misplaced = |key: &str| ROUTE_KEYS.contains(&key).then_some("it belongs in a [[route]]");
    if !fields.finish(diagnostics, misplaced).missing.is_empty() {
        diagnostics.add_at(0, "there is no [[route]], so nobody would be told anything");
    }
    let drafts = drafts?;
    shadowing::check(&drafts, diagnostics);

    Some(Config {
        routes: drafts.into_iter().map(Draft::finish).collect::<Option<_>>()?,
        redact: redact?,
        decoded_bytes_max: decoded_bytes_max?,
        strict: strict?,
        warnings: Vec::new(),
    })
}

fn drafts(routes: Value<'_>, inherited: Inherited, diagnostics: &mut Diagnostics<'_>) -> Option<Vec<Draft>> {
    if routes.is_table() {
        diagnostics.add(routes.diagnostic("a route is written [[route]], with two brackets on each side"));
        return None;
    }
    let elements = diagnostics.keep(routes.array())?;
    if elements.len() == 0 {
        diagnostics.add(routes.diagnostic("must not be empty, or nobody would be told anything"));
        return None;
    }
    let mut drafts = Vec::new();
    for element in elements {
        if let Some(fields) = diagnostics.keep(element.table()) {
            drafts.push(draft(element.at(), fields, &drafts, inherited, diagnostics));
        }
    }
    Some(drafts)
}

fn draft(
    at: usize,
    mut fields: Fields<'_>,
    earlier: &[Draft],
    inherited: Inherited,
    diagnostics: &mut Diagnostics<'_>,
) -> Draft {
    let notify = fields.require("notify").and_then(|value| distinct(value, diagnostics, Value::parse));
    let (fallback, fallback_after) = escalation(&mut fields, notify.as_deref(), diagnostics);
    let mut draft = Draft {
        at,
        is_clear: true,
        name: fields.require("name").and_then(|value| name(value, earlier, diagnostics)),
        markers: fields.require("markers").and_then(|value| {
            warn_of(Some(value), diagnostics, odd_marker);
            distinct(value, diagnostics, marker)
        }),
        scope: scope(&mut fields, diagnostics),
        continue_: optional(fields.take("continue"), false, diagnostics, Value::bool),
        fallback,
        fallback_after,
        notify,
        windows: windows(&mut fields, inherited.windows, diagnostics),
        first: match fields.take("first") {
            Some(value) => diagnostics.keep(first(value)),
            None => inherited.first,
        },
        severity: optional(fields.take("severity"), None, diagnostics, |v| v.parse().map(Some)),
    };
    let misplaced = |key: &str| FILE_KEYS.contains(&key).then_some("it belongs above the first [[route]]");
    let leftover = fields.finish(diagnostics, misplaced);
    for missing in leftover.missing {
        diagnostics.add_at(at, format!("this route has no `{missing}`"));
    }
    draft.is_clear = !leftover.any_unknown;
    draft
}

fn windows(fields: &mut Fields<'_>, inherited: Windows, diagnostics: &mut Diagnostics<'_>) -> Windows {
    let (window_here, max_here) = (fields.take("window"), fields.take("window_max"));
    let windows = Windows {
        window: setting(window_here, inherited.window, diagnostics),
        window_max: setting(max_here, inherited.window_max, diagnostics),
    };
    // A pair that is inherited whole was judged where it was written.
    if let Some(window) = windows.window()
        && let Some(window_max) = windows.window_max()
        && window > window_max
    {
        let (window, window_max) = (spell(window), spell(window_max));
        if let Some(value) = max_here {
            diagnostics.add(value.diagnostic(format!("{window_max} is shorter than `window`, which is {window}")));
        } else if let Some(value) = window_here {
            diagnostics.add(value.diagnostic(format!("{window} is longer than `window_max`, which is {window_max}")));
        }
    }
    windows
}

fn setting(value: Option<Value<'_>>, inherited: Setting, diagnostics: &mut Diagnostics<'_>) -> Setting {
    match value {
        Some(value) => diagnostics.keep(window(value)).map_or(Setting::Unreadable, Setting::Given),
        None => inherited,
    }
}

fn window(value: Value<'_>) -> Result<Duration, Diagnostic> {
    let window = quantity::duration(value.str()?)
        .ok_or_else(|| value.diagnostic("expected a duration, such as \"30s\", \"5m\" or \"1h30m\""))?;
    if (WINDOW_MIN..=WINDOW_LIMIT).contains(&window) {
        Ok(window)
    } else {
        let (min, max) = (spell(WINDOW_MIN), spell(WINDOW_LIMIT));
        Err(value.diagnostic(format!("expected a duration between {min} and {max}")))
    }
}

fn first(value: Value<'_>) -> Result<First, Diagnostic> {
    match value.str()? {
        "immediately" => Ok(First::Immediately),
        "after-window" => Ok(First::AfterWindow),
        _ => Err(value.diagnostic("expected \"immediately\" or \"after-window\"")),
    }
}

fn size(value: Value<'_>) -> Result<u64, Diagnostic> {
    let bytes = match value.integer() {
        Some(bytes) => bytes,
        None => match value.str() {
            Ok(text) => Some(
                quantity::bytes(text)
                    .ok_or_else(|| value.diagnostic("expected a size in bytes, such as 67108864 or \"64MiB\""))?,
            ),
            Err(_) => return Err(value.mismatch("an integer or a string")),
        },
    };
    bytes
        .filter(|bytes| DECODED_BYTES.contains(bytes))
        .ok_or_else(|| value.diagnostic("expected a size between 1KiB and 10GiB"))
}

fn redaction(value: Value<'_>) -> Result<String, Diagnostic> {
    let pattern = value.str()?;
    let regex = Regex::new(pattern).map_err(|error| value.diagnostic(regex_reason(&error)))?;
    if regex.is_match("") {
        return Err(value.diagnostic("matches the empty text, so it would redact between all characters"));
    }
    if ORDINARY_LINES.iter().all(|line| hides_most(&regex, line)) {
        return Err(value.diagnostic("matches nearly any text, so it would redact whole messages"));
    }
    Ok(pattern.to_owned())
}

/// Whether a pattern matches more than half of a line.
fn hides_most(regex: &Regex, line: &str) -> bool {
    regex.find_iter(line).map(|found| found.len()).sum::<usize>() > line.len() / 2
}

fn odd_redaction(value: Value<'_>) -> Option<Diagnostic> {
    let regex = Regex::new(value.str().ok()?).ok()?;
    ORDINARY_LINES.iter().all(|line| regex.is_match(line)).then(|| value.diagnostic("matches most lines"))
}

/// Why a pattern does not compile, without the pattern, which the error's own text repeats: it may
/// spell out what must not be seen.
fn regex_reason(error: &regex::Error) -> String {
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

fn name(value: Value<'_>, earlier: &[Draft], diagnostics: &mut Diagnostics<'_>) -> Option<RouteName> {
    let name: RouteName = diagnostics.keep(value.parse())?;
    if let Some(other) = earlier.iter().find(|other| other.name.as_ref() == Some(&name)) {
        let line = diagnostics.line(other.at);
        diagnostics.add(value.diagnostic(format!("`{name}` is the name of the route at line {line} already")));
    }
    Some(name)
}

/// `fallback` and `fallback_after`. A fallback is told when a target of `notify` is not to be had, so it has to be
/// another.
fn escalation(
    fields: &mut Fields<'_>,
    notify: Option<&[Target]>,
    diagnostics: &mut Diagnostics<'_>,
) -> (Option<Option<Target>>, Option<Duration>) {
    let (fallback, after) = (fields.take("fallback"), fields.take("fallback_after"));
    if let (None, Some(after)) = (fallback, after) {
        diagnostics.add(after.diagnostic("this route has no `fallback` that it could be for"));
    }
    let other = |value: Value<'_>| {
        let target: Target = value.parse()?;
        match notify.is_some_and(|targets| targets.contains(&target)) {
            true => Err(value.diagnostic(format!("{target} is in `notify`; a fallback is for when that fails"))),
            false => Ok(Some(target)),
        }
    };
    (optional(fallback, None, diagnostics, other), optional(after, FALLBACK_AFTER_DEFAULT, diagnostics, window))
}

fn marker(value: Value<'_>) -> Result<String, Diagnostic> {
    let marker = value.str()?;
    let bytes = marker.len();
    if !(1..=MARKER_BYTES_MAX).contains(&bytes) {
        return Err(value.diagnostic(format!("a marker has 1 to {MARKER_BYTES_MAX} bytes, this one has {bytes}")));
    }
    if marker.chars().all(|c| c.is_whitespace() || visible::acts_unseen(c)) {
        return Err(value.diagnostic("a marker needs a character that can be seen"));
    }
    Ok(marker.to_owned())
}

fn odd_marker(value: Value<'_>) -> Option<Diagnostic> {
    let is_short = value.str().ok()?.trim().chars().count() == 1;
    is_short.then(|| value.diagnostic("a marker of one character is found in many lines that are no alert"))
}

fn scope(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<Scope> {
    let log_groups = places(fields.take("log_groups"), diagnostics, Value::parse);
    let accounts = places(fields.take("accounts"), diagnostics, account);
    let listed = fields.take("regions");
    let regions = places(listed, diagnostics, region);
    warn_of(listed, diagnostics, odd_region);
    Some(Scope { log_groups: log_groups?, accounts: accounts?, regions: regions? })
}

/// One list of a scope. An empty one would admit everything, and reads as if it admitted nothing.
fn places<'a>(
    list: Option<Value<'a>>,
    diagnostics: &mut Diagnostics<'_>,
    read: impl FnMut(Value<'a>) -> Result<Glob, Diagnostic>,
) -> Option<Vec<Glob>> {
    let globs = list_or_none(list, diagnostics, read)?;
    match list {
        Some(list) if globs.is_empty() => {
            diagnostics.add(list.diagnostic("must not be empty; leave the key out to admit everything"));
            None
        }
        _ => Some(globs),
    }
}

fn account(value: Value<'_>) -> Result<Glob, Diagnostic> {
    let glob: Glob = value.parse()?;
    let is_number = || value.str().is_ok_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match glob.width() {
        None | Some(ACCOUNT_DIGITS) if !glob.is_literal() || is_number() => Ok(glob),
        _ if glob.is_literal() => Err(value.diagnostic("an account id has 12 digits")),
        _ => Err(value.diagnostic("an account id has 12 digits, and this pattern fits another length only")),
    }
}

fn region(value: Value<'_>) -> Result<Glob, Diagnostic> {
    let glob: Glob = value.parse()?;
    match glob.is_literal() && !region::has_shape(value.str()?) {
        true => Err(value.diagnostic("expected a Region, such as \"eu-west-1\"")),
        false => Ok(glob),
    }
}

/// A Region may be newer than this program, so an unknown one is no mistake.
fn odd_region(value: Value<'_>) -> Option<Diagnostic> {
    let text = value.str().ok()?;
    let glob: Glob = text.parse().ok()?;
    if region::KNOWN.iter().any(|known| glob.matches(known)) {
        return None;
    }
    Some(match (glob.is_literal(), region::closest(text)) {
        (true, Some(meant)) => value.diagnostic(format!("no known Region, did you mean `{meant}`?")),
        (true, None) => value.diagnostic("no known Region"),
        (false, _) => value.diagnostic("fits no known Region"),
    })
}
