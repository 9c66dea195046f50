//! What a run tells the operator: the books, what was parked and why, and the messages.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Value, json};
use stentor::ingest::decode::Poison;
use stentor::ingest::event::Batch;
use stentor::model::name::RouteName;
use stentor::model::text::{count_alerts, humanize_duration, thousands};
use stentor::model::visible;
use stentor::protocol::consume::{Consumed, Counts, Verdict};
use stentor::protocol::round::{Delivery, DeliveryOutcome};

use crate::Exit;

/// The sum over all batches of a run.
#[derive(Debug, Default)]
pub struct Report {
    counts: Counts,
    kept_by_route: BTreeMap<RouteName, u64>,
    /// Event id and poison.
    parked: Vec<(String, Poison)>,
    retried: Vec<(String, String)>,
    messages: Vec<Delivery>,
    /// Files that hold no event, and why.
    refused: Vec<String>,
    /// Routes that are still owed something, and why.
    owed: Vec<(RouteName, String)>,
}

impl Report {
    pub fn add(&mut self, batch: &Batch<'_>, consumed: Consumed) {
        for (record, verdict) in batch.records.iter().zip(&consumed.verdicts) {
            match verdict {
                Verdict::Safe => {}
                Verdict::Parked(poison) => self.parked.push((record.event_id.to_string(), poison.clone())),
                // `run` parks every batch, so this does not occur; if it did, the record would not be safe.
                Verdict::Unreadable(poison) => self.retried.push((record.event_id.to_string(), poison.to_string())),
                Verdict::Retry(why) => self.retried.push((record.event_id.to_string(), why.to_string())),
            }
        }
        self.counts += consumed.counts;
        for (route, kept) in consumed.kept_by_route {
            *self.kept_by_route.entry(route).or_default() += kept;
        }
        self.messages.extend(consumed.messages);
    }

    pub fn sent(&mut self, messages: Vec<Delivery>) {
        self.messages.extend(messages);
    }

    pub fn refuse(&mut self, why: String) {
        self.refused.push(why);
    }

    pub fn owe(&mut self, route: RouteName, why: String) {
        self.owed.push((route, why));
    }

    pub fn exit(&self) -> Exit {
        let parked_message = |sent: &Delivery| matches!(sent.outcome, DeliveryOutcome::Parked(_));
        let done = self.parked.is_empty()
            && self.retried.is_empty()
            && self.refused.is_empty()
            && self.owed.is_empty()
            && !self.messages.iter().any(parked_message);
        if done { Exit::Done } else { Exit::Unfinished }
    }

    /// The object that `--json` prints.
    pub fn json(&self, elapsed: Duration) -> Value {
        let counts = &self.counts;
        let parked = self.parked.iter().map(|(event_id, poison)| {
            json!({"event_id": event_id, "code": poison.code().to_string(), "reason": poison.to_string()})
        });
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
            "records": counts.records,
            "events": counts.events,
            "unmatched": counts.unmatched,
            "duplicates": counts.duplicates,
            "kept": counts.kept,
            "retried": counts.retried,
            "parked": parked.collect::<Vec<_>>(),
            "routes": self.kept_by_route,
            "messages": self.messages.iter().map(message).collect::<Vec<_>>(),
            "not_read": self.refused,
            "owed": self.owed.iter().map(|(route, why)| json!({"route": route, "why": why})).collect::<Vec<_>>(),
            "elapsed_ms": u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX),
        })
    }

    /// The books, for people. `dead_letters` names where parked records lie.
    pub fn text(&self, dead_letters: &str, elapsed: Duration) -> String {
        let counts = &self.counts;
        let mut text = String::new();
        let mut line = |label: &str, value: String| {
            writeln!(text, "  {label:<12}{value}").expect("invariant: writing to a String cannot fail");
        };
        let safe = counts.records - counts.records_parked - counts.records_retried;
        let control = match counts.control_messages {
            0 => String::new(),
            n => format!(" ({n} control)"),
        };
        let part = |n: u64, what: &str| if n == 0 { String::new() } else { format!(" · {} {what}", thousands(n)) };
        line(
            "records",
            format!(
                "{}: {} safe{control}{}{}",
                thousands(counts.records),
                thousands(safe),
                part(counts.records_parked, "parked"),
                part(counts.records_retried, "to come again")
            ),
        );
        line(
            "log events",
            format!(
                "{}: {} unmatched · {} duplicates · {} kept{}",
                thousands(counts.events),
                thousands(counts.unmatched),
                thousands(counts.duplicates),
                thousands(counts.kept),
                part(counts.retried, "not stored")
            ),
        );
        for (route, kept) in &self.kept_by_route {
            line("route", format!("{route}: {}", count_alerts(*kept)));
        }
        line("took", humanize_duration(elapsed));
        self.troubles(&mut text, dead_letters);
        text
    }

    fn troubles(&self, text: &mut String, dead_letters: &str) {
        let mut list = |title: String, items: Vec<String>| {
            if !items.is_empty() {
                writeln!(text, "\n  {title}").expect("invariant: writing to a String cannot fail");
                for item in items {
                    writeln!(text, "    {item}").expect("invariant: writing to a String cannot fail");
                }
            }
        };
        let pairs = |pairs: &[(String, String)]| {
            pairs.iter().map(|(id, why)| format!("{}\n      {}", visible::line(id), visible::line(why))).collect()
        };
        let dead_letters = visible::line(dead_letters);
        let parked = |(id, poison): &(String, Poison)| (id.clone(), format!("{}: {poison}", poison.code()));
        list(format!("parked in {dead_letters}"), pairs(&self.parked.iter().map(parked).collect::<Vec<_>>()));
        list("to come again: run the same input once more".to_owned(), pairs(&self.retried));
        list("not read".to_owned(), self.refused.iter().map(|why| visible::line(why)).collect());
        let parked = self.messages.iter().filter_map(|sent| match &sent.outcome {
            DeliveryOutcome::Parked(why) => {
                Some(format!("{} for {}: {}", count_alerts(sent.alerts), sent.target, visible::line(why)))
            }
            _ => None,
        });
        list(format!("messages parked in {dead_letters}"), parked.collect());
        let owed = self.owed.iter().map(|(route, why)| format!("{route}: {}", visible::line(why)));
        list("still owed: kept, and told by the next run".to_owned(), owed.collect());
    }
}

fn outcome(outcome: &DeliveryOutcome) -> &'static str {
    match outcome {
        DeliveryOutcome::Accepted => "accepted",
        DeliveryOutcome::Retry(_) => "retry",
        DeliveryOutcome::Parked(_) => "parked",
    }
}
