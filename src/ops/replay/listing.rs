//! The dry run: counts the dead letters by kind, code, account and age, and by what a replay would
//! do with them. It sends, stores and deletes nothing, and makes every dead letter visible again at
//! the end.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Serialize;
use strum::{IntoStaticStr, VariantNames};

use super::options::ReplayOptions;
use super::pages::Pages;
use super::recognize::{self, DeadLetter, DeadLetterContent, DeadLetterKind};
use super::report::ReplayFailure;
use super::retry::{context_of, parked_record};
use super::source::{DeadLetterSource, SourceError};
use crate::ingest::decode::{self, Decoded, Events};
use crate::ingest::event::{self, Event, Record};
use crate::ingest::logs::LogBatch;
use crate::ingest::route::Routes;
use crate::model::name::{RouteName, Target};
use crate::model::time::Timestamp;
use crate::protocol::clock::Clock;

/// The dead letters of a source.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Dead letters that the filters selected.
    pub selected: u64,
    /// Dead letters that the filters skipped.
    pub skipped: u64,
    pub groups: BTreeMap<ListedGroup, u64>,
    /// The actions of a replay, and the number of dead letters for each.
    pub planned: BTreeMap<Action, u64>,
    /// Alerts in the records that can be read here. Some of them may be stored already.
    pub alerts: u64,
    /// The listing was cancelled.
    pub interrupted: bool,
}

/// Dead letters that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedGroup {
    pub kind: DeadLetterKind,
    /// Why they were parked; see [`DeadLetter::code`].
    pub code: String,
    /// `None` if nothing says it.
    pub account: Option<String>,
    pub age: Age,
}

/// How long ago a dead letter was parked.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Age {
    /// Less than an hour.
    Hour,
    /// Less than a day.
    Day,
    /// Less than a week.
    Week,
    /// A week or more, or an unknown time.
    Older,
}

/// The action that a replay would take on a dead letter.
#[derive(Clone, Debug, IntoStaticStr, PartialEq, Eq, PartialOrd, Ord, Serialize, VariantNames)]
#[serde(tag = "action", rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Action {
    /// Ingest its records, or process its event.
    Reprocess,
    /// Read its records from a stream, and ingest them.
    ReadFromStream { stream: String },
    /// Deliver its message.
    Deliver { target: Target },
    /// Close a route, and deliver what is owed.
    CloseRoute { route: RouteName },
    /// Leave it in the queue.
    Keep { code: &'static str },
}

impl Action {
    /// A stable kebab-case word.
    pub fn code(&self) -> &'static str {
        self.into()
    }
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
}

/// Lists the dead letters of `source` that `options` select, at most `options.max`. Calls
/// `on_progress` with the number of those that were received.
///
/// # Errors
/// When the source fails.
pub async fn list<D: DeadLetterSource>(
    source: &D,
    routes: &Routes,
    options: &ReplayOptions,
    clock: &impl Clock,
    mut on_progress: impl FnMut(u64),
) -> Result<Listing, SourceError> {
    let mut listing = Listing::default();
    let mut pages = Pages::new(source, options, clock);
    let result = loop {
        let page = match pages.next(listing.selected).await {
            Ok(page) if page.is_empty() => break Ok(()),
            Ok(page) => page,
            Err(error) => break Err(error),
        };
        for message in &page {
            let dead_letter = recognize::read(message);
            match options.select(&message.receipt.id, &dead_letter) {
                true => listing.add(&dead_letter, options, routes, clock.now()),
                false => listing.skipped += 1,
            }
        }
        on_progress(listing.selected + listing.skipped);
    };
    listing.interrupted = pages.end().await;
    result.map(|()| listing)
}

impl Listing {
    fn add(
        &mut self,
        dead_letter: &DeadLetter,
        options: &ReplayOptions,
        routes: &Routes,
        now: Timestamp,
    ) {
        let Plan { action, account, alerts } = Plan::of(&dead_letter.content, routes, options);
        let account = account.or_else(|| dead_letter.account.clone());
        let age = Age::of(dead_letter.parked_at, now);
        let group =
            ListedGroup { kind: dead_letter.kind, code: dead_letter.code.clone(), account, age };
        self.selected += 1;
        self.alerts += alerts;
        *self.groups.entry(group).or_default() += 1;
        *self.planned.entry(action).or_default() += 1;
    }
}

/// The planned action for a dead letter, and facts from its records.
struct Plan {
    action: Action,
    account: Option<String>,
    alerts: u64,
}

impl Plan {
    fn of(content: &DeadLetterContent, routes: &Routes, options: &ReplayOptions) -> Self {
        let action = match content {
            DeadLetterContent::Record(record) => {
                return Self::of_records(&[parked_record(record)], routes);
            }
            DeadLetterContent::Payload(payload) => {
                match event::read(&payload.json, context_of(payload, options.region.as_deref())) {
                    Ok(Event::Batch(batch)) => return Self::of_records(&batch.records, routes),
                    Ok(Event::Due(_) | Event::Sweep) => Action::Reprocess,
                    Err(error) => Action::Keep { code: error.code() },
                }
            }
            DeadLetterContent::Range(range) => {
                Action::ReadFromStream { stream: stream_of(&range.stream_arn).to_owned() }
            }
            DeadLetterContent::Message(message) if !options.delivers_to(&message.target) => {
                Action::Keep { code: ReplayFailure::NOT_DELIVERABLE }
            }
            DeadLetterContent::Message(message) => {
                Action::Deliver { target: message.target.clone() }
            }
            DeadLetterContent::Due(due) => Action::CloseRoute { route: due.route.clone() },
            DeadLetterContent::Unknown(unrecognized) => Action::Keep { code: unrecognized.code() },
        };
        Self { action, account: None, alerts: 0 }
    }

    fn of_records(records: &[Record<'_>], routes: &Routes) -> Self {
        let scan = |record: &Record<'_>, head: &LogBatch<'_>, events: Events<'_>| {
            let scanned = routes.scan(head, events, record.region.as_deref(), &record.event_id)?;
            Ok((head.owner.to_string(), scanned.alerts.len() as u64))
        };
        let decoded = decode::all(records, routes.decoder(), scan);
        let readable = || decoded.iter().filter_map(|record| record.content.as_ref());
        let action = match &decoded[..] {
            [Decoded { poison: Some(poison), .. }] => Action::Keep { code: poison.code().into() },
            _ => Action::Reprocess,
        };
        let account = readable().next().map(|(account, _)| account.clone());
        Self { action, account, alerts: readable().map(|(_, alerts)| alerts).sum() }
    }
}

/// The name in `arn:aws:kinesis:eu-west-1:123456789012:stream/logs`.
fn stream_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}
