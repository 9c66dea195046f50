//! What a replay tells the operator: what was settled, what stays and why, and, for a dry run, what there is.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use stentor::model::text::{count_alerts, humanize_duration, thousands};
use stentor::model::visible;
use stentor::ops::replay::letter::Kind;
use stentor::ops::replay::listing::Listing;
use stentor::ops::replay::{Report, Stays};
use stentor::protocol::round::{Outcome, Sent};

/// Ids of letters that are named for one word of a reason; `--json` names all, with the whole reason.
const IDS_SHOWN: usize = 3;

/// The object that `--json` prints.
pub fn json(report: &Report, elapsed: Duration) -> Value {
    let counts = &report.counts;
    let stays = report.stays.iter().map(|letter| json!({"id": letter.id, "kind": letter.kind, "why": letter.why}));
    let message = |sent: &Sent| {
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
        "settled": report.settled(),
        "settled_by_kind": by_kind(&report.settled),
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
        "trouble": report.trouble.as_ref().map(ToString::to_string),
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
            thousands(report.settled()),
            part(stay, "stay")
        )
    });
    if !report.settled.is_empty() {
        let kinds = report.settled.iter().map(|(kind, n)| counted(*n, *kind));
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
            Outcome::Accepted => "sent".to_owned(),
            Outcome::Retry(why) => format!("not sent: {}", visible::line(why)),
            Outcome::Parked(why) => format!("parked: {}", visible::line(why)),
        };
        line(&mut text, "message", &format!("{} to {} · {how}", count_alerts(sent.alerts), sent.target));
    }
    line(&mut text, "took", &humanize_duration(elapsed));
    stays(&mut text, report);
    ends(&mut text, report, left);
    text
}

fn stays(text: &mut String, report: &Report) {
    let mut by_word: BTreeMap<(Kind, &str), Vec<&Stays>> = BTreeMap::new();
    for letter in &report.stays {
        by_word.entry((letter.kind, letter.why.split(": ").next().unwrap_or_default())).or_default().push(letter);
    }
    if !by_word.is_empty() {
        put(text, format_args!("\n  stay where they are\n"));
    }
    for ((kind, word), letters) in by_word {
        let n = letters.len();
        let why = visible::line(if n == 1 { &letters[0].why } else { word });
        let more = if n > IDS_SHOWN { ", …" } else { "" };
        let shown =
            letters.iter().take(IDS_SHOWN).map(|letter| visible::line(&letter.id)).collect::<Vec<_>>().join(", ");
        put(text, format_args!("    {}: {why}\n      {shown}{more}\n", counted(n as u64, kind)));
    }
}

/// Where it stands, when it did not come to its end by itself.
fn ends(text: &mut String, report: &Report, left: Option<u64>) {
    let left = left.map_or_else(String::new, |left| format!(" About {} are left.", thousands(left)));
    let settled = thousands(report.settled());
    if let Some(trouble) = &report.trouble {
        let trouble = visible::line(&trouble.to_string());
        put(text, format_args!("\n  ended early: {trouble}\n  {settled} are settled; nothing is lost.{left}\n"));
    } else if report.interrupted {
        put(text, format_args!("\n  interrupted: {settled} are settled, the others lie where they were.{left} "));
        put(text, format_args!("The same command goes on.\n"));
    }
}

/// The object that `--dry-run --json` prints.
pub fn listing_json(listing: &Listing) -> Value {
    let group = |(group, letters): (&stentor::ops::replay::listing::Group, &u64)| {
        json!({
            "kind": group.kind,
            "reason": group.reason,
            "account": group.account,
            "age": group.age,
            "letters": letters,
        })
    };
    json!({
        "letters": listing.letters,
        "skipped": listing.skipped,
        "alerts": listing.alerts,
        "groups": listing.groups.iter().map(group).collect::<Vec<_>>(),
        "would": listing.would,
    })
}

/// What there is, and what would become of it.
pub fn listing_text(listing: &Listing) -> String {
    let mut text = String::new();
    line(&mut text, "letters", &format!("{}{}", thousands(listing.letters), part(listing.skipped, "not meant")));
    if listing.groups.is_empty() {
        return text;
    }
    let reasons = listing.groups.keys().map(|group| visible::line(&group.reason).chars().count());
    let width = reasons.max().unwrap_or(0).clamp(6, 48);
    put(&mut text, format_args!("\n  {:<11} {:<width$} {:<13} {:<6} letters\n", "kind", "reason", "account", "age"));
    for (group, letters) in &listing.groups {
        let reason: String = visible::line(&group.reason).chars().take(width).collect();
        let (kind, account, age) = (group.kind, visible::line(&group.account), group.age.as_str());
        let letters = thousands(*letters);
        put(&mut text, format_args!("  {kind:<11} {reason:<width$} {account:<13} {age:<6} {letters:>7}\n"));
    }
    put(&mut text, format_args!("\n  a replay would\n"));
    for (would, letters) in &listing.would {
        put(&mut text, format_args!("  {:>7}  {}\n", thousands(*letters), visible::line(would)));
    }
    if listing.alerts > 0 {
        let what = count_alerts(listing.alerts);
        put(&mut text, format_args!("\n  {what} in the records; those that are stored already count as duplicates\n"));
    }
    text
}

/// Messages as they ended: an attempt that was repeated says nothing.
fn ended(report: &Report) -> impl Iterator<Item = &Sent> {
    let ended = |at: usize, sent: &Sent| {
        let again = |later: &Sent| (&later.route, &later.target) == (&sent.route, &sent.target);
        !matches!(sent.outcome, Outcome::Retry(_)) || !report.messages[at + 1..].iter().any(again)
    };
    report.messages.iter().enumerate().filter(move |(at, sent)| ended(*at, sent)).map(|(_, sent)| sent)
}

fn outcome(outcome: &Outcome) -> &'static str {
    match outcome {
        Outcome::Accepted => "accepted",
        Outcome::Retry(_) => "retry",
        Outcome::Parked(_) => "parked",
    }
}

fn by_kind(settled: &BTreeMap<Kind, u64>) -> Value {
    settled.iter().map(|(kind, n)| (kind.to_string(), json!(n))).collect::<serde_json::Map<_, _>>().into()
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
