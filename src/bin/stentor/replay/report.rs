//! The reports of `stentor replay` and `stentor replay --dry-run`, as text and as JSON.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stentor::model::humanize::{self, count_alerts, humanize_duration, thousands};
use stentor::model::name::{RouteName, Target};
use stentor::model::time::Timestamp;
use stentor::ops::replay::listing::{Action, Age, Listing};
use stentor::ops::replay::{DeadLetterKind, Discarded, Report, Unresolved};
use stentor::protocol::consume::Counts;
use stentor::protocol::round::{Delivery, DeliveryOutcome};

use crate::json;
use crate::ui::TextReport;

/// Ids that the text shows for one code. The JSON has them all.
const IDS_SHOWN: usize = 3;

/// The report of a replay. `already_replayed`: how many dead letters the destination had already.
/// `muted`: the muted routes among those of the report. `only_shows`: whether the messages to a
/// target were not sent to it.
pub(super) fn replay_json<'a>(
    report: &'a Report,
    already_replayed: u64,
    muted: &'a [(RouteName, Timestamp)],
    only_shows: impl Fn(&Target) -> bool,
    elapsed: Duration,
) -> json::ReplayReport<'a> {
    let Counts { records, events, unmatched, duplicates, kept, retried, .. } = report.counts;
    let unresolved = report.unresolved.iter().map(|Unresolved { id, kind, failure }| {
        json::UnresolvedDeadLetter {
            id,
            kind: *kind,
            code: failure.code(),
            reason: failure.to_string(),
        }
    });
    json::ReplayReport {
        version: json::VERSION,
        received: report.received,
        skipped: report.skipped,
        already_replayed,
        missing: report.missing.iter().map(String::as_str).collect(),
        reprocessed: report.reprocessed(),
        reprocessed_by_kind: report
            .reprocessed
            .iter()
            .map(|(kind, count)| json::KindCount { kind: *kind, count: *count })
            .collect(),
        unresolved: unresolved.collect(),
        records,
        records_expired: report.records_expired,
        events,
        unmatched,
        duplicates,
        kept,
        retried,
        messages: last_attempts(report)
            .map(|message| json::PrintedMessage::new(message, &only_shows))
            .collect(),
        muted: muted.iter().map(Into::into).collect(),
        interrupted: report.interrupted,
        source_error: report
            .source_error
            .as_ref()
            .map(|error| json::SourceFailure { code: error.code(), reason: error.to_string() }),
        elapsed_ms: json::millis(elapsed),
    }
}

pub(super) fn dry_run_json(listing: &Listing, already_replayed: u64) -> json::DryRunReport<'_> {
    let groups = listing.groups.iter().map(|(group, count)| json::DeadLetterGroup {
        kind: group.kind,
        code: &group.code,
        account: group.account.as_deref(),
        age: group.age,
        count: *count,
    });
    json::DryRunReport {
        version: json::VERSION,
        selected: listing.selected,
        skipped: listing.skipped,
        already_replayed,
        groups: groups.collect(),
        planned: listing
            .planned
            .iter()
            .map(|(action, count)| json::PlannedAction { action, count: *count })
            .collect(),
        alerts: listing.alerts,
        interrupted: listing.interrupted,
    }
}

pub(super) fn discard_json<'a>(
    discarded: &'a Discarded,
    exported_to: &'a str,
) -> json::DiscardReport<'a> {
    let undeleted = discarded.undeleted.iter().map(|(id, error)| json::UndeletedDeadLetter {
        id,
        code: error.code(),
        reason: error.to_string(),
    });
    json::DiscardReport {
        version: json::VERSION,
        discarded: discarded.discarded,
        skipped: discarded.skipped,
        exported_to,
        missing: discarded.missing.iter().map(String::as_str).collect(),
        undeleted: undeleted.collect(),
        interrupted: discarded.interrupted,
    }
}

/// The same for people.
pub(super) fn discard_text(discarded: &Discarded, exported_to: &str) -> String {
    let mut text = TextReport::new();
    let skipped = if_any(discarded.skipped, "skipped by filters");
    text.line(1, format_args!("{} discarded{skipped}", count_dead_letters(discarded.discarded)));
    if discarded.discarded > 0 || !discarded.undeleted.is_empty() {
        text.entry("exported", format_args!("to {exported_to}"));
    }
    show_missing(&mut text, &discarded.missing);
    let undeleted = discarded.undeleted.iter().map(|(id, error)| (id, error.to_string()));
    text.explained_list("exported, not deleted", undeleted);
    if discarded.interrupted {
        text.heading("interrupted. Run the same command again to continue.");
    }
    text.into_text()
}

/// The same for people. `left`: how many dead letters the source still has, approximately.
pub(super) fn replay_text(
    report: &Report,
    already_replayed: u64,
    muted: &[(RouteName, Timestamp)],
    only_shows: impl Fn(&Target) -> bool,
    left: Option<u64>,
    elapsed: Duration,
) -> String {
    let mut text = TextReport::new();
    let received = count_dead_letters(report.received);
    let reprocessed = thousands(report.reprocessed());
    let skipped = if_any(report.skipped, "skipped by filters");
    let unresolved = if_any(report.unresolved.len() as u64, "left in the queue");
    text.line(1, format_args!("{received}: {reprocessed} reprocessed{skipped}{unresolved}"));
    show_already_replayed(&mut text, already_replayed);
    show_missing(&mut text, &report.missing);
    if report.reprocessed.len() > 1 {
        let kinds = report.reprocessed.iter().map(|(kind, count)| count_kind(*count, *kind));
        text.entry("reprocessed", kinds.collect::<Vec<_>>().join(", "));
    }
    if report.counts.events > 0 {
        text.log_events(&report.counts);
    }
    for delivery in last_attempts(report) {
        let outcome = match &delivery.outcome {
            DeliveryOutcome::Accepted if only_shows(&delivery.target) => "shown".to_owned(),
            DeliveryOutcome::Accepted => "delivered".to_owned(),
            DeliveryOutcome::Retry(reason) => format!("not delivered: {reason}"),
            DeliveryOutcome::Parked(reason) => format!("parked: {reason}"),
        };
        text.entry(
            "message",
            format_args!("{} to {} · {outcome}", describe_content(delivery), delivery.target),
        );
    }
    text.entry("took", humanize_duration(elapsed));
    text.muted(muted);
    text.explained_list("left in the queue", group_by_code(&report.unresolved));
    explain_early_end(&mut text, report, left);
    text.into_text()
}

/// Unresolved dead letters of one kind and code, with some of their ids.
fn group_by_code(unresolved: &[Unresolved]) -> Vec<(String, String)> {
    let mut by_code: BTreeMap<(DeadLetterKind, &str), Vec<&Unresolved>> = BTreeMap::new();
    for one in unresolved {
        by_code.entry((one.kind, one.failure.code())).or_default().push(one);
    }
    let group = |((kind, code), unresolved): ((DeadLetterKind, &str), Vec<&Unresolved>)| {
        let reason = match &unresolved[..] {
            [only] => format!(": {}", only.failure),
            _ => String::new(),
        };
        let ids: Vec<&str> = unresolved.iter().take(IDS_SHOWN).map(|one| one.id.as_str()).collect();
        let more = if unresolved.len() > IDS_SHOWN { ", …" } else { "" };
        let count = count_kind(unresolved.len() as u64, kind);
        (format!("{count}: {code}{reason}"), format!("{}{more}", ids.join(", ")))
    };
    by_code.into_iter().map(group).collect()
}

fn explain_early_end(text: &mut TextReport, report: &Report, left: Option<u64>) {
    let left =
        left.map_or_else(String::new, |left| format!(" About {} are left.", thousands(left)));
    if let Some(error) = &report.source_error {
        text.heading(format_args!("stopped: {error}"));
        text.line(1, format_args!("Every dead letter that was not deleted is still there.{left}"));
    } else if report.interrupted {
        text.heading(format_args!("interrupted.{left} Run the same command again to continue."));
    }
}

/// The report of a dry run.
pub(super) fn dry_run_text(listing: &Listing, already_replayed: u64) -> String {
    let mut text = TextReport::new();
    let skipped = if_any(listing.skipped, "skipped by filters");
    text.line(1, format_args!("{}{skipped}", count_dead_letters(listing.selected)));
    show_already_replayed(&mut text, already_replayed);
    if listing.interrupted {
        text.line(1, "interrupted: there may be more");
    }
    if listing.groups.is_empty() {
        return text.into_text();
    }
    text.blank_line();
    let groups = listing.groups.iter().map(|(group, count)| {
        let account = group.account.clone().unwrap_or_else(|| "-".to_owned());
        let age = describe_age(group.age).to_owned();
        [group.kind.to_string(), group.code.clone(), account, age, thousands(*count)]
    });
    text.table(["kind", "code", "account", "age", "count"], &[4], groups);
    text.blank_line();
    let planned =
        listing.planned.iter().map(|(action, count)| [thousands(*count), describe_action(action)]);
    text.table(["count", "planned action"], &[0], planned);
    if listing.alerts > 0 {
        let alerts = count_alerts(listing.alerts);
        text.heading(format_args!(
            "{alerts} in the records; those that are stored already count as duplicates"
        ));
    }
    text.into_text()
}

fn show_missing(text: &mut TextReport, missing: &BTreeSet<String>) {
    if !missing.is_empty() {
        let ids: Vec<&str> = missing.iter().map(String::as_str).collect();
        text.entry("missing", ids.join(", "));
    }
}

/// The content of a message. One without alerts reports the end of a burst.
fn describe_content(delivery: &Delivery) -> String {
    match delivery.alerts {
        0 => "the end of a burst".to_owned(),
        alerts => count_alerts(alerts),
    }
}

fn show_already_replayed(text: &mut TextReport, count: u64) {
    if count > 0 {
        let dead_letters = count_dead_letters(count);
        text.line(
            1,
            format_args!(
                "{dead_letters} skipped: replayed into this destination before, or discarded"
            ),
        );
    }
}

fn describe_action(action: &Action) -> String {
    match action {
        Action::Reprocess => "reprocess".to_owned(),
        Action::ReadFromStream { stream } => format!("read from the stream {stream} and reprocess"),
        Action::Deliver { target } => format!("deliver to {target}"),
        Action::CloseRoute { route } => format!("close route {route} and deliver"),
        Action::Keep { code } => format!("keep: {code}"),
    }
}

fn describe_age(age: Age) -> &'static str {
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
        let is_repeated =
            |later: &Delivery| (&later.route, &later.target) == (&delivery.route, &delivery.target);
        !matches!(delivery.outcome, DeliveryOutcome::Retry(_))
            || !report.messages[at + 1..].iter().any(is_repeated)
    };
    report
        .messages
        .iter()
        .enumerate()
        .filter(move |(at, delivery)| is_last(*at, delivery))
        .map(|(_, sent)| sent)
}

fn count_dead_letters(count: u64) -> String {
    humanize::count(count, "dead letter", "dead letters")
}

/// `1 record`, `12 batches`, `2 due messages`.
fn count_kind(count: u64, kind: DeadLetterKind) -> String {
    let (one, many) = match kind {
        DeadLetterKind::Record => ("record", "records"),
        DeadLetterKind::Message => ("message", "messages"),
        DeadLetterKind::Due => ("due message", "due messages"),
        DeadLetterKind::Batch => ("batch", "batches"),
        DeadLetterKind::Invocation => ("invocation", "invocations"),
        DeadLetterKind::Unknown => ("unknown", "unknown"),
    };
    humanize::count(count, one, many)
}

fn if_any(count: u64, what: &str) -> String {
    if count == 0 { String::new() } else { format!(", {} {what}", thousands(count)) }
}

#[cfg(test)]
mod tests {
    use stentor::ops::replay::listing::ListedGroup;
    use stentor::ops::replay::recognize::Unrecognized;
    use stentor::ops::replay::{ReplayFailure, SourceError};

    use super::*;
    use crate::schema::check_documents;

    fn report() -> Report {
        let failure = ReplayFailure::Unrecognized(Unrecognized::UnknownShape);
        Report {
            received: 5,
            skipped: 1,
            reprocessed: [(DeadLetterKind::Record, 2), (DeadLetterKind::Batch, 1)].into(),
            unresolved: vec![Unresolved {
                id: "dlq.jsonl:7".to_owned(),
                kind: DeadLetterKind::Unknown,
                failure,
            }],
            messages: vec![Delivery {
                first_after: None,
                route: "alerts".parse().unwrap(),
                target: "slack:default".parse().unwrap(),
                epochs: (1, 7),
                alerts: 3,
                outcome: DeliveryOutcome::Accepted,
                failure: None,
            }],
            ..Report::default()
        }
    }

    fn muted() -> Vec<(RouteName, Timestamp)> {
        vec![("alerts".parse().unwrap(), Timestamp::from_millis(1_795_443_306_789))]
    }

    fn listing() -> Listing {
        let group = |account| ListedGroup {
            kind: DeadLetterKind::Record,
            code: "not-gzip".to_owned(),
            account,
            age: Age::Hour,
        };
        let actions = [
            Action::Reprocess,
            Action::ReadFromStream { stream: "logs".to_owned() },
            Action::Deliver { target: "slack:default".parse().unwrap() },
            Action::CloseRoute { route: "alerts".parse().unwrap() },
            Action::Keep { code: "not-gzip" },
        ];
        Listing {
            selected: 1_204,
            groups: [(group(None), 1), (group(Some("123456789012".to_owned())), 1_203)].into(),
            planned: actions.into_iter().zip(1..).collect(),
            alerts: 2,
            ..Listing::default()
        }
    }

    fn discarded() -> Discarded {
        let error = SourceError::Unavailable("the queue does not answer".to_owned());
        Discarded {
            discarded: 2,
            skipped: 1,
            missing: ["c".to_owned()].into(),
            undeleted: vec![("b".to_owned(), error)],
            interrupted: false,
        }
    }

    #[test]
    fn the_json_of_a_discard_is_documented() {
        let json = serde_json::to_value(discard_json(&discarded(), "out.jsonl")).unwrap();
        check_documents("replay --discard --json", &[json], &[]);
    }

    #[test]
    fn a_discard_says_what_is_left() {
        insta::assert_snapshot!(discard_text(&discarded(), "out.jsonl"), @r"
        2 dead letters discarded, 1 skipped by filters
        exported    to out.jsonl
        missing     c

        exported, not deleted
          b
            the queue does not answer
        ");
    }

    #[test]
    fn the_json_of_a_replay_is_documented() {
        let source_error = Some(SourceError::Unavailable("the queue does not answer".to_owned()));
        let failed = Report { source_error, ..report() };
        let json = [report(), failed].map(|report| {
            let elapsed = Duration::from_millis(7);
            serde_json::to_value(replay_json(&report, 2, &muted(), |_| false, elapsed)).unwrap()
        });
        check_documents("replay --json", &json, &[]);
        assert_eq!((&json[0]["reprocessed"], &json[0]["elapsed_ms"]), (&3.into(), &7.into()));
    }

    #[test]
    fn the_json_of_a_dry_run_is_documented() {
        check_documents(
            "replay --dry-run --json",
            &[serde_json::to_value(dry_run_json(&listing(), 2)).unwrap()],
            &[],
        );
    }

    #[test]
    fn the_text_groups_what_is_left_by_code() {
        let mut report = report();
        let failure = |code: &'static str| ReplayFailure::Unrecognized(Unrecognized::NotJson(code));
        report.unresolved.extend((1..=4).map(|n| Unresolved {
            id: n.to_string(),
            kind: DeadLetterKind::Unknown,
            failure: failure("a syntax error"),
        }));
        let text = replay_text(&report, 1, &muted(), |_| false, None, Duration::from_secs(2));
        insta::assert_snapshot!(text, @r"
          5 dead letters: 3 reprocessed, 1 skipped by filters, 5 left in the queue
          1 dead letter skipped: replayed into this destination before, or discarded
          reprocessed 2 records, 1 batch
          message     3 alerts to slack:default · delivered
          took        2 s

          muted: alerts are stored and counted, but not delivered
            alerts until 2026-11-23T14:15:06.789Z

          left in the queue
            4 unknown: not-json
              1, 2, 3, …
            1 unknown: unknown-shape: it has no known shape
              dlq.jsonl:7
        ");
    }

    #[test]
    fn a_dry_run_shows_groups_and_planned_actions() {
        insta::assert_snapshot!(dry_run_text(&listing(), 1_000), @r"
          1,204 dead letters
          1,000 dead letters skipped: replayed into this destination before, or discarded

          kind    code      account       age    count
          record  not-gzip  -             < 1 h      1
          record  not-gzip  123456789012  < 1 h  1,203

          count  planned action
              1  reprocess
              2  read from the stream logs and reprocess
              3  deliver to slack:default
              4  close route alerts and deliver
              5  keep: not-gzip

          2 alerts in the records; those that are stored already count as duplicates
        ");
    }
}
