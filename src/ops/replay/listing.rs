//! A dry run: what lies in the dead-letter queue, counted by kind, reason, account and age, and what a
//! replay would do with it. Nothing is settled, sent or written, and each letter is back when the list ends.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;

use super::dead_letter::{Content, DeadLetter, Kind, ParkedRecord, Receipt, open};
use super::{
    DeadLetterSource, Operator, Options, PATIENCE_MAX, RECEIVED_MAX, Report, SourceError, VISIBLE_AFTER, context_of,
    record_of,
};
use crate::ingest::decode::{self, Decoded, Events};
use crate::ingest::event::{self, Event};
use crate::ingest::logs::LogBatch;
use crate::ingest::route::Routes;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock, Deadline};

/// What lies there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    pub dead_letters: u64,
    pub skipped: u64,
    pub groups: BTreeMap<Group, u64>,
    /// What would become of them, and of how many: "go through the consumer".
    pub would: BTreeMap<String, u64>,
    /// Alerts in the records that can be read here. How many of them are stored already is not asked.
    pub alerts: u64,
}

/// Letters that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Group {
    pub kind: Kind,
    /// The code of their reason.
    pub code: String,
    /// `-` where nothing says it.
    pub account: String,
    pub age: Age,
}

/// How long ago it was parked.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Age {
    Hour,
    Day,
    Week,
    Older,
}

impl Age {
    fn of(parked_at: Option<Timestamp>, now: Timestamp) -> Self {
        const HOUR: Duration = Duration::from_hours(1);
        match parked_at.map(|at| at.until(now)) {
            Some(age) if age < HOUR => Self::Hour,
            Some(age) if age < HOUR * 24 => Self::Day,
            Some(age) if age < HOUR * 24 * 7 => Self::Week,
            _ => Self::Older,
        }
    }

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "< 1 h",
            Self::Day => "< 1 d",
            Self::Week => "< 7 d",
            Self::Older => "older",
        }
    }
}

/// Looks at everything that `dead_letters` has.
///
/// # Errors
/// When the source does not answer.
pub async fn list<L: DeadLetterSource, O: Operator>(
    dead_letters: &L,
    routes: &Routes,
    options: &Options,
    clock: &impl Clock,
    operator: &O,
) -> Result<Listing, SourceError> {
    let deadline = || Deadline::after(clock.now(), options.patience.min(PATIENCE_MAX));
    let mut listing = Listing::default();
    let mut hidden: BTreeMap<Receipt, Timestamp> = BTreeMap::new();
    let result = loop {
        if operator.wants_to_stop() || options.max.is_some_and(|max| listing.dead_letters >= max) {
            break Ok(());
        }
        let received = match dead_letters.receive(RECEIVED_MAX, deadline()).await {
            Ok(received) if received.is_empty() => break Ok(()),
            Ok(received) => received,
            Err(error) => break Err(error),
        };
        let now = clock.now();
        for dead_letter in &received {
            listing.add(&open(dead_letter), options, routes, now);
            hidden.insert(dead_letter.receipt.clone(), now.after(VISIBLE_AFTER));
        }
        let late = |until: &Timestamp| *until <= now.after(VISIBLE_AFTER / 2);
        let retry: Vec<Receipt> =
            hidden.iter().filter(|(_, until)| late(until)).map(|(receipt, _)| receipt.clone()).collect();
        if !retry.is_empty() {
            dead_letters.hide(&retry, VISIBLE_AFTER, deadline()).await;
            hidden.extend(retry.into_iter().map(|receipt| (receipt, now.after(VISIBLE_AFTER))));
        }
        operator.watch(&Report { received: listing.dead_letters, ..Report::default() });
    };
    let tickets: Vec<Receipt> = hidden.into_keys().collect();
    if !tickets.is_empty() {
        dead_letters.hide(&tickets, Duration::ZERO, deadline()).await;
    }
    result.map(|()| listing)
}

impl Listing {
    fn add(&mut self, opened: &DeadLetter, options: &Options, routes: &Routes, now: Timestamp) {
        if !options.admit(opened) {
            self.skipped += 1;
            return;
        }
        let Forecast { would, account, alerts } = Forecast::of(&opened.content, routes, options.region.as_deref());
        let account = account.or_else(|| opened.account.clone()).unwrap_or_else(|| "-".to_owned());
        let age = Age::of(opened.parked_at, now);
        let group = Group { kind: opened.kind, code: opened.code.clone(), account, age };
        self.dead_letters += 1;
        self.alerts += alerts;
        *self.groups.entry(group).or_default() += 1;
        *self.would.entry(would).or_default() += 1;
    }
}

/// What would become of a letter.
struct Forecast {
    would: String,
    account: Option<String>,
    alerts: u64,
}

impl Forecast {
    fn of(content: &Content, routes: &Routes, region: Option<&str>) -> Self {
        let only = |would: String| Self { would, account: None, alerts: 0 };
        match content {
            Content::Record(record) => Self::record(record, routes),
            Content::Payload(payload) => match event::read(&payload.json, context_of(payload, region)) {
                Ok(Event::Batch(batch)) => Self::records(&batch.records, routes),
                Ok(Event::Due(_) | Event::Sweep) => only("have routes closed and told".to_owned()),
                Err(error) => only(format!("stay: {error}")),
            },
            Content::Range(range) => only(format!("be read from {}", stream_of(&range.stream_arn))),
            Content::Message(message) => only(format!("be sent to {}", message.target)),
            Content::Due(due) => only(format!("have route {} closed and told", due.route)),
            Content::Unknown(why) => only(format!("stay: {why}")),
        }
    }

    fn record(record: &ParkedRecord, routes: &Routes) -> Self {
        Self::records(&[record_of(record)], routes)
    }

    fn records(records: &[event::Record<'_>], routes: &Routes) -> Self {
        let read = |record: &event::Record<'_>, head: &LogBatch<'_>, events: Events<'_>| {
            let scanned = routes.scan(head, events, record.region.as_deref(), &record.event_id)?;
            Ok((head.owner.to_string(), scanned.alerts.len() as u64))
        };
        let looked_at = decode::all(records, routes.decoder(), read);
        let readable = || looked_at.iter().filter_map(|record| record.content.as_ref());
        let account = readable().next().map(|(account, _)| account.clone());
        let would = match &looked_at[..] {
            [Decoded { poison: Some(poison), .. }] => format!("stay: still {}", poison.code()),
            _ => "go through the consumer".to_owned(),
        };
        Self { would, account, alerts: readable().map(|(_, n)| n).sum() }
    }
}

fn stream_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
