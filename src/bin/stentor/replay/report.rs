//! The output of `stentor replay`, as text and as JSON.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde::Serialize;
use stentor::model::text::{count_alerts, humanize_duration, thousands};
use stentor::model::visible;
use stentor::ops::replay::listing::{Action, Age, Listing};
use stentor::ops::replay::{Kind, Report, SourceError, Unresolved};
use stentor::protocol::round::{Delivery, DeliveryOutcome};

/// Ids that the text shows for one code. The JSON has them all.
const IDS_SHOWN: usize = 3;

/// The version of both documents; see docs/json.md.
const VERSION: u32 = 1;

/// `stentor replay --json`.
#[derive(Debug, Serialize)]
pub struct ReplayJson<'a> {
    version: u32,
    received: u64,
    skipped: u64,
    reprocessed: u64,
    reprocessed_by_kind: Vec<KindCount>,
    unresolved: Vec<UnresolvedJson<'a>>,
    records: u64,
    records_expired: u64,
    events: u64,
    unmatched: u64,
    duplicates: u64,
    kept: u64,
    retried: u64,
    messages: Vec<MessageJson<'a>>,
    interrupted: bool,
    source_error: Option<ErrorJson>,
    elapsed_ms: u64,
}

#[derive(Debug, Serialize)]
struct KindCount {
    kind: Kind,
    count: u64,
}

/// A dead letter that is left in the queue.
#[derive(Debug, Serialize)]
struct UnresolvedJson<'a> {
    id: &'a str,
    kind: Kind,
    code: &'static str,
    reason: String,
}

/// A message to a target.
#[derive(Debug, Serialize)]
struct MessageJson<'a> {
    route: &'a str,
    epoch: u64,
    target: String,
    alerts: u64,
    outcome: &'static str,
    reason: Option<&'a str>,
}

/// The error that ended a replay.
#[derive(Debug, Serialize)]
struct ErrorJson {
    code: &'static str,
    reason: String,
}

/// `stentor replay --dry-run --json`.
#[derive(Debug, Serialize)]
pub struct ListingJson<'a> {
    version: u32,
    selected: u64,
    skipped: u64,
    groups: Vec<GroupJson<'a>>,
    planned: Vec<Planned<'a>>,
    alerts: u64,
    interrupted: bool,
}

/// Dead letters of one kind, code, account and age.
#[derive(Debug, Serialize)]
struct GroupJson<'a> {
    kind: Kind,
    code: &'a str,
    account: Option<&'a str>,
    age: Age,
    count: u64,
}

/// A planned action, and the number of dead letters for it.
#[derive(Debug, Serialize)]
struct Planned<'a> {
    #[serde(flatten)]
    action: &'a Action,
    count: u64,
}

impl<'a> ReplayJson<'a> {
    pub fn new(report: &'a Report, elapsed: Duration) -> Self {
        let counts = &report.counts;
        Self {
            version: VERSION,
            received: report.received,
            skipped: report.skipped,
            reprocessed: report.reprocessed(),
            reprocessed_by_kind: report
                .reprocessed
                .iter()
                .map(|(kind, count)| KindCount { kind: *kind, count: *count })
                .collect(),
            unresolved: report.unresolved.iter().map(UnresolvedJson::new).collect(),
            records: counts.records,
            records_expired: report.records_expired,
            events: counts.events,
            unmatched: counts.unmatched,
            duplicates: counts.duplicates,
            kept: counts.kept,
            retried: counts.retried,
            messages: last_attempts(report).map(MessageJson::new).collect(),
            interrupted: report.interrupted,
            source_error: report.source_error.as_ref().map(ErrorJson::new),
            elapsed_ms: u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

impl<'a> UnresolvedJson<'a> {
    fn new(unresolved: &'a Unresolved) -> Self {
        let Unresolved { id, kind, failure } = unresolved;
        Self { id, kind: *kind, code: failure.code(), reason: failure.to_string() }
    }
}

impl ErrorJson {
    fn new(error: &SourceError) -> Self {
        Self { code: error.code(), reason: error.to_string() }
    }
}

impl<'a> MessageJson<'a> {
    fn new(delivery: &'a Delivery) -> Self {
        let (outcome, reason) = match &delivery.outcome {
            DeliveryOutcome::Accepted => ("accepted", None),
            DeliveryOutcome::Retry(reason) => ("retry", Some(reason.as_str())),
            DeliveryOutcome::Parked(reason) => ("parked", Some(reason.as_str())),
        };
        let (route, target) = (delivery.route.as_str(), delivery.target.to_string());
        Self { route, epoch: delivery.epochs.1, target, alerts: delivery.alerts, outcome, reason }
    }
}

impl<'a> ListingJson<'a> {
    pub fn new(listing: &'a Listing) -> Self {
        let groups = listing.groups.iter().map(|(group, count)| GroupJson {
            kind: group.kind,
            code: &group.code,
            account: group.account.as_deref(),
            age: group.age,
            count: *count,
        });
        Self {
            version: VERSION,
            selected: listing.selected,
            skipped: listing.skipped,
            groups: groups.collect(),
            planned: listing.planned.iter().map(|(action, count)| Planned { action, count: *count }).collect(),
            alerts: listing.alerts,
            interrupted: listing.interrupted,
        }
    }
}

/// The report of a replay for people. `left`: how many dead letters the source still has, approximately.
pub fn text(report: &Report, left: Option<u64>, elapsed: Duration) -> String {
    let mut text = String::new();
    let unresolved = report.unresolved.len() as u64;
    put(
        &mut text,
        format_args!(
            "  {}: {} reprocessed{}{}\n",
            count_dead_letters(report.received),
            thousands(report.reprocessed()),
            if_any(report.skipped, "skipped by filters"),
            if_any(unresolved, "left in the queue"),
        ),
    );
    if report.reprocessed.len() > 1 {
        let kinds = report.reprocessed.iter().map(|(kind, count)| count_kind(*count, *kind));
        line(&mut text, "reprocessed", &kinds.collect::<Vec<_>>().join(", "));
    }
    let counts = &report.counts;
    if counts.events > 0 {
        let not_stored = match counts.retried {
            0 => String::new(),
            retried => format!(" · {} not stored", thousands(retried)),
        };
        let events = format!(
            "{}: {} unmatched · {} duplicates · {} kept{not_stored}",
            thousands(counts.events),
            thousands(counts.unmatched),
            thousands(counts.duplicates),
            thousands(counts.kept),
        );
        line(&mut text, "log events", &events);
    }
    for delivery in last_attempts(report) {
        let outcome = match &delivery.outcome {
            DeliveryOutcome::Accepted => "delivered".to_owned(),
            DeliveryOutcome::Retry(reason) => format!("not delivered: {}", visible::line(reason)),
            DeliveryOutcome::Parked(reason) => format!("parked: {}", visible::line(reason)),
        };
        let alerts = count_alerts(delivery.alerts);
        line(&mut text, "message", &format!("{alerts} to {} · {outcome}", delivery.target));
    }
    line(&mut text, "took", &humanize_duration(elapsed));
    list_unresolved(&mut text, report);
    explain_early_end(&mut text, report, left);
    text
}

fn list_unresolved(text: &mut String, report: &Report) {
    let mut by_code: BTreeMap<(Kind, &str), Vec<&Unresolved>> = BTreeMap::new();
    for unresolved in &report.unresolved {
        by_code.entry((unresolved.kind, unresolved.failure.code())).or_default().push(unresolved);
    }
    if !by_code.is_empty() {
        put(text, format_args!("\n  left in the queue\n"));
    }
    for ((kind, code), unresolved) in by_code {
        let reason = match &unresolved[..] {
            [only] => format!(": {}", visible::line(&only.failure.to_string())),
            _ => String::new(),
        };
        let count = count_kind(unresolved.len() as u64, kind);
        let ids: Vec<String> = unresolved.iter().take(IDS_SHOWN).map(|one| visible::line(&one.id)).collect();
        let more = if unresolved.len() > IDS_SHOWN { ", …" } else { "" };
        put(text, format_args!("    {count}: {code}{reason}\n      {}{more}\n", ids.join(", ")));
    }
}

fn explain_early_end(text: &mut String, report: &Report, left: Option<u64>) {
    let left = left.map_or_else(String::new, |left| format!(" About {} are left.", thousands(left)));
    if let Some(error) = &report.source_error {
        let error = visible::line(&error.to_string());
        put(
            text,
            format_args!("\n  stopped: {error}\n  Every dead letter that was not deleted is still there.{left}\n"),
        );
    } else if report.interrupted {
        put(text, format_args!("\n  interrupted.{left} Run the same command again to continue.\n"));
    }
}

/// The dry run for people.
pub fn listing_text(listing: &Listing) -> String {
    let mut text = String::new();
    let skipped = if_any(listing.skipped, "skipped by filters");
    put(&mut text, format_args!("  {}{skipped}\n", count_dead_letters(listing.selected)));
    if listing.interrupted {
        put(&mut text, format_args!("  interrupted: there may be more\n"));
    }
    if listing.groups.is_empty() {
        return text;
    }
    let codes = listing.groups.keys().map(|group| visible::line(&group.code).chars().count());
    let width = codes.max().unwrap_or(0).clamp(6, 48);
    put(&mut text, format_args!("\n  {:<11} {:<width$} {:<13} {:<6}   count\n", "kind", "code", "account", "age"));
    for (group, count) in &listing.groups {
        let code: String = visible::line(&group.code).chars().take(width).collect();
        let (kind, account) = (group.kind, visible::line(group.account.as_deref().unwrap_or("-")));
        let (age, count) = (age_text(group.age), thousands(*count));
        put(&mut text, format_args!("  {kind:<11} {code:<width$} {account:<13} {age:<6} {count:>7}\n"));
    }
    put(&mut text, format_args!("\n  planned\n"));
    for (action, count) in &listing.planned {
        put(&mut text, format_args!("  {:>7}  {}\n", thousands(*count), visible::line(&describe(action))));
    }
    if listing.alerts > 0 {
        let alerts = count_alerts(listing.alerts);
        put(
            &mut text,
            format_args!("\n  {alerts} in the records; those that are stored already count as duplicates\n"),
        );
    }
    text
}

fn describe(action: &Action) -> String {
    match action {
        Action::Reprocess => "reprocess".to_owned(),
        Action::ReadFromStream { stream } => format!("read from the stream {stream} and reprocess"),
        Action::Deliver { target } => format!("deliver to {target}"),
        Action::CloseRoute { route } => format!("close route {route} and deliver"),
        Action::Keep { code } => format!("keep: {code}"),
    }
}

fn age_text(age: Age) -> &'static str {
    match age {
        Age::Hour => "< 1 h",
        Age::Day => "< 1 d",
        Age::Week => "< 7 d",
        Age::Older => "older",
    }
}

/// Each message with its last result: an attempt that was repeated says nothing.
fn last_attempts(report: &Report) -> impl Iterator<Item = &Delivery> {
    let is_last = |at: usize, delivery: &Delivery| {
        let is_repeated = |later: &Delivery| (&later.route, &later.target) == (&delivery.route, &delivery.target);
        !matches!(delivery.outcome, DeliveryOutcome::Retry(_)) || !report.messages[at + 1..].iter().any(is_repeated)
    };
    report.messages.iter().enumerate().filter(move |(at, delivery)| is_last(*at, delivery)).map(|(_, sent)| sent)
}

fn count_dead_letters(count: u64) -> String {
    format!("{} dead letter{}", thousands(count), if count == 1 { "" } else { "s" })
}

/// `1 record`, `12 batches`, `2 due messages`.
fn count_kind(count: u64, kind: Kind) -> String {
    let (one, many) = match kind {
        Kind::Record => ("record", "records"),
        Kind::Message => ("message", "messages"),
        Kind::Due => ("due message", "due messages"),
        Kind::Batch => ("batch", "batches"),
        Kind::Invocation => ("invocation", "invocations"),
        Kind::Unknown => ("unknown", "unknown"),
    };
    format!("{} {}", thousands(count), if count == 1 { one } else { many })
}

fn if_any(count: u64, what: &str) -> String {
    if count == 0 { String::new() } else { format!(", {} {what}", thousands(count)) }
}

fn line(text: &mut String, label: &str, value: &str) {
    put(text, format_args!("  {label:<12}{value}\n"));
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("invariant: writing to a String cannot fail");
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};
    use stentor::ops::replay::Failure;
    use stentor::ops::replay::dead_letter::Unrecognized;
    use stentor::ops::replay::listing::Group;

    use super::*;

    /// The fields in the first table of a section of docs/json.md.
    fn documented(section: &str) -> Vec<String> {
        let document = include_str!("../../../../docs/json.md");
        let (_, rest) = document.split_once(&format!("\n## `{section}`\n")).expect("a section");
        let rows = rest.lines().skip_while(|line| !line.starts_with("|---")).skip(1);
        let rows = rows.take_while(|line| line.starts_with('|'));
        rows.map(|row| row.split('`').nth(1).expect("a field").to_owned()).collect()
    }

    fn fields(value: &Value) -> Vec<String> {
        let mut fields: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        fields.sort();
        fields
    }

    fn sorted(mut fields: Vec<String>) -> Vec<String> {
        fields.sort();
        fields
    }

    fn report() -> Report {
        let failure = Failure::Unrecognized(Unrecognized::UnknownShape);
        Report {
            received: 5,
            skipped: 1,
            reprocessed: [(Kind::Record, 2), (Kind::Batch, 1)].into(),
            unresolved: vec![Unresolved { id: "dlq.jsonl:7".to_owned(), kind: Kind::Unknown, failure }],
            ..Report::default()
        }
    }

    #[test]
    fn the_json_of_a_replay_is_documented() {
        let json = serde_json::to_value(ReplayJson::new(&report(), Duration::from_millis(7))).unwrap();
        assert_eq!(fields(&json), sorted(documented("stentor replay --json")));
        assert_eq!((&json["version"], &json["reprocessed"], &json["elapsed_ms"]), (&json!(1), &json!(3), &json!(7)));
        assert_eq!(json["reprocessed_by_kind"], json!([{"kind": "record", "count": 2}, {"kind": "batch", "count": 1}]));
        let unresolved = json!([{"id": "dlq.jsonl:7", "kind": "unknown", "code": "unknown-shape", "reason": "it has no known shape"}]);
        assert_eq!(json["unresolved"], unresolved);
    }

    #[test]
    fn the_json_of_a_dry_run_is_documented() {
        let group = |account| Group { kind: Kind::Record, code: "not-gzip".to_owned(), account, age: Age::Hour };
        let actions = [
            Action::Reprocess,
            Action::ReadFromStream { stream: "logs".to_owned() },
            Action::Deliver { target: "slack:default".parse().unwrap() },
            Action::CloseRoute { route: "alerts".parse().unwrap() },
            Action::Keep { code: "not-gzip" },
        ];
        let listing = Listing {
            selected: 3,
            groups: [(group(None), 1), (group(Some("123456789012".to_owned())), 2)].into(),
            planned: actions.into_iter().zip(1..).collect(),
            ..Listing::default()
        };
        let json = serde_json::to_value(ListingJson::new(&listing)).unwrap();
        assert_eq!(fields(&json), sorted(documented("stentor replay --dry-run --json")));
        let group = |account: Value, count| json!({"kind": "record", "code": "not-gzip", "account": account, "age": "hour", "count": count});
        assert_eq!(json["groups"], json!([group(Value::Null, 1), group(json!("123456789012"), 2)]));
        let planned = json!([
            {"action": "reprocess", "count": 1},
            {"action": "read-from-stream", "stream": "logs", "count": 2},
            {"action": "deliver", "target": "slack:default", "count": 3},
            {"action": "close-route", "route": "alerts", "count": 4},
            {"action": "keep", "code": "not-gzip", "count": 5},
        ]);
        assert_eq!(json["planned"], planned);
    }

    #[test]
    fn the_text_groups_what_is_left_by_code() {
        let mut report = report();
        let failure = |code: &'static str| Failure::Unrecognized(Unrecognized::NotJson(code));
        report.unresolved.extend((1..=4).map(|n| Unresolved {
            id: n.to_string(),
            kind: Kind::Unknown,
            failure: failure("a syntax error"),
        }));
        let text = text(&report, None, Duration::from_secs(2));
        insta::assert_snapshot!(text, @r"
          5 dead letters: 3 reprocessed, 1 skipped by filters, 5 left in the queue
          reprocessed 2 records, 1 batch
          took        2 s

          left in the queue
            4 unknown: not-json
              1, 2, 3, …
            1 unknown: unknown-shape: it has no known shape
              dlq.jsonl:7
        ");
    }
}
