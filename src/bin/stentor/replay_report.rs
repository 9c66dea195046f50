//! What a replay tells the operator: what was settled, what stays and why, and, for a dry run, what there is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use stentor::model::text::{count_alerts, humanize_duration, thousands};
use stentor::model::visible;
use stentor::ops::replay::dead_letter::Kind;
use stentor::ops::replay::listing::Listing;
use stentor::ops::replay::{Report, Unresolved};
use stentor::protocol::round::{Delivery, DeliveryOutcome};

/// Ids of letters that are named for one word of a reason; `--json` names all, with the whole reason.
const IDS_SHOWN: usize = 3;

/// The object that `--json` prints.
pub fn json(report: &Report, elapsed: Duration) -> Value {
    let counts = &report.counts;
    let stays = report
        .stays
        .iter()
        .map(|dead_letter| json!({"id": dead_letter.id, "kind": dead_letter.kind, "code": dead_letter.code, "why": dead_letter.why}));
    let message = |sent: &Delivery| {
        json!({
            "route": sent.route,
            "epoch": sent.epochs.1,
            "target": sent.target,
            "alerts": sent.alerts,
            "outcome": outcome(&sent.outcome),
        })
    };
    json!({
        "received": report.received,
        "skipped": report.skipped,
        "settled": report.reprocessed(),
        "settled_by_kind": by_kind(&report.reprocessed),
        "stays": stays.collect::<Vec<_>>(),
        "records": counts.records,
        "records_gone": report.records_gone,
        "events": counts.events,
        "unmatched": counts.unmatched,
        "duplicates": counts.duplicates,
        "kept": counts.kept,
        "retried": counts.retried,
        "messages": ended(report).map(message).collect::<Vec<_>>(),
        "interrupted": report.interrupted,
        "trouble": report.ended_by.as_ref().map(ToString::to_string),
        "elapsed_ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
    })
}

/// The same for people. `left`: what the source still has, about.
pub fn text(report: &Report, left: Option<u64>, elapsed: Duration) -> String {
    let mut text = String::new();
    let stay = report.stays.len() as u64;
    line(&mut text, "letters", &{
        let skipped = part(report.skipped, "not meant");
        format!(
            "{}: {} settled{}{skipped}",
            thousands(report.received),
            thousands(report.reprocessed()),
            part(stay, "stay")
        )
    });
    if !report.reprocessed.is_empty() {
        let kinds = report.reprocessed.iter().map(|(kind, n)| counted(*n, *kind));
        line(&mut text, "settled", &kinds.collect::<Vec<_>>().join(" · "));
    }
    let counts = &report.counts;
    if counts.events > 0 {
        let events = format!(
            "{}: {} unmatched · {} duplicates · {} kept{}",
            thousands(counts.events),
            thousands(counts.unmatched),
            thousands(counts.duplicates),
            thousands(counts.kept),
            part(counts.retried, "not stored")
        );
        line(&mut text, "log events", &events);
    }
    for sent in ended(report) {
        let how = match &sent.outcome {
            DeliveryOutcome::Accepted => "sent".to_owned(),
            DeliveryOutcome::Retry(why) => format!("not sent: {}", visible::line(why)),
            DeliveryOutcome::Parked(why) => format!("parked: {}", visible::line(why)),
        };
        line(&mut text, "message", &format!("{} to {} · {how}", count_alerts(sent.alerts), sent.target));
    }
    line(&mut text, "took", &humanize_duration(elapsed));
    stays(&mut text, report);
    ends(&mut text, report, left);
    text
}

fn stays(text: &mut String, report: &Report) {
    let mut by_word: BTreeMap<(Kind, &str), Vec<&Unresolved>> = BTreeMap::new();
    for dead_letter in &report.stays {
        let word = || dead_letter.why.split(": ").next().unwrap_or_default();
        let word = dead_letter.code.as_deref().unwrap_or_else(word);
        by_word.entry((dead_letter.kind, word)).or_default().push(dead_letter);
    }
    if !by_word.is_empty() {
        put(text, format_args!("\n  stay where they are\n"));
    }
    for ((kind, word), dead_letters) in by_word {
        let n = dead_letters.len();
        let why = match &dead_letters[..] {
            [Unresolved { code: Some(code), why, .. }] => format!("{code}: {why}"),
            [only] => only.why.clone(),
            _ => word.to_owned(),
        };
        let why = visible::line(&why);
        let more = if n > IDS_SHOWN { ", …" } else { "" };
        let shown = dead_letters
            .iter()
            .take(IDS_SHOWN)
            .map(|dead_letter| visible::line(&dead_letter.id))
            .collect::<Vec<_>>()
            .join(", ");
        put(text, format_args!("    {}: {why}\n      {shown}{more}\n", counted(n as u64, kind)));
    }
}

/// Where it stands, when it did not come to its end by itself.
fn ends(text: &mut String, report: &Report, left: Option<u64>) {
    let left = left.map_or_else(String::new, |left| format!(" About {} are left.", thousands(left)));
    let reprocessed = thousands(report.reprocessed());
    if let Some(ended_by) = &report.ended_by {
        let ended_by = visible::line(&ended_by.to_string());
        put(text, format_args!("\n  ended early: {ended_by}\n  {reprocessed} are settled; nothing is lost.{left}\n"));
    } else if report.interrupted {
        put(text, format_args!("\n  interrupted: {reprocessed} are settled, the others lie where they were.{left} "));
        put(text, format_args!("The same command goes on.\n"));
    }
}

/// The object that `--dry-run --json` prints.
pub fn listing_json(listing: &Listing) -> Value {
    let group = |(group, dead_letters): (&stentor::ops::replay::listing::Group, &u64)| {
        json!({
            "kind": group.kind,
            "code": group.code,
            "account": group.account,
            "age": group.age,
            "letters": dead_letters,
        })
    };
    json!({
        "letters": listing.dead_letters,
        "skipped": listing.skipped,
        "alerts": listing.alerts,
        "groups": listing.groups.iter().map(group).collect::<Vec<_>>(),
        "would": listing.would,
    })
}

/// What there is, and what would become of it.
pub fn listing_text(listing: &Listing) -> String {
    let mut text = String::new();
    line(&mut text, "letters", &format!("{}{}", thousands(listing.dead_letters), part(listing.skipped, "not meant")));
    if listing.groups.is_empty() {
        return text;
    }
    let reasons = listing.groups.keys().map(|group| visible::line(&group.code).chars().count());
    let width = reasons.max().unwrap_or(0).clamp(6, 48);
    put(&mut text, format_args!("\n  {:<11} {:<width$} {:<13} {:<6} letters\n", "kind", "reason", "account", "age"));
    for (group, dead_letters) in &listing.groups {
        let reason: String = visible::line(&group.code).chars().take(width).collect();
        let (kind, account, age) = (group.kind, visible::line(&group.account), group.age.as_str());
        let dead_letters = thousands(*dead_letters);
        put(&mut text, format_args!("  {kind:<11} {reason:<width$} {account:<13} {age:<6} {dead_letters:>7}\n"));
    }
    put(&mut text, format_args!("\n  a replay would\n"));
    for (would, dead_letters) in &listing.would {
        put(&mut text, format_args!("  {:>7}  {}\n", thousands(*dead_letters), visible::line(would)));
    }
    if listing.alerts > 0 {
        let what = count_alerts(listing.alerts);
        put(&mut text, format_args!("\n  {what} in the records; those that are stored already count as duplicates\n"));
    }
    text
}

/// Messages as they ended: an attempt that was repeated says nothing.
fn ended(report: &Report) -> impl Iterator<Item = &Delivery> {
    let ended = |at: usize, sent: &Delivery| {
        let is_retried = |later: &Delivery| (&later.route, &later.target) == (&sent.route, &sent.target);
        !matches!(sent.outcome, DeliveryOutcome::Retry(_)) || !report.messages[at + 1..].iter().any(is_retried)
    };
    report.messages.iter().enumerate().filter(move |(at, sent)| ended(*at, sent)).map(|(_, sent)| sent)
}

fn outcome(outcome: &DeliveryOutcome) -> &'static str {
    match outcome {
        DeliveryOutcome::Accepted => "accepted",
        DeliveryOutcome::Retry(_) => "retry",
        DeliveryOutcome::Parked(_) => "parked",
    }
}

fn by_kind(reprocessed: &BTreeMap<Kind, u64>) -> Value {
    reprocessed.iter().map(|(kind, n)| (kind.to_string(), json!(n))).collect::<serde_json::Map<_, _>>().into()
}

/// `1 record`, `12 batches`.
fn counted(n: u64, kind: Kind) -> String {
    let plural = match kind {
        _ if n == 1 => "",
        Kind::Batch => "es",
        Kind::Due | Kind::Unknown => "",
        Kind::Record | Kind::Message | Kind::Invocation => "s",
    };
    format!("{} {kind}{plural}", thousands(n))
}

fn part(n: u64, what: &str) -> String {
    if n == 0 { String::new() } else { format!(" · {} {what}", thousands(n)) }
}

fn line(text: &mut String, label: &str, value: &str) {
    put(text, format_args!("  {label:<12}{value}\n"));
}

fn put(text: &mut String, arguments: std::fmt::Arguments<'_>) {
    text.write_fmt(arguments).expect("invariant: writing to a String cannot fail");
}
