//! The consumer: the stages of an alert's life in their order, and nothing else. Decode, scan and
//! redact in parallel; commit; arm; park the records that cannot be read. A record is acknowledged only when all
//! of that is done for it, so [`Consumed::checkpoint`] is the one place where a record is let go.
//!
//! A batch whose alerts need more memory than 32 MiB is read and committed in several steps. The last
//! third of the time is kept free of reading, so that there is time to commit and to arm; the records that are not
//! read by then come again.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::AddAssign;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::future::join_all;

use crate::ingest::decode::{self, Decoded, Events, Poison};
use crate::ingest::event::{Batch, Data, Record, SequenceNumber};
use crate::ingest::logs::LogBatch;
use crate::ingest::route::Scanned;
use crate::model::alert::Alert;
use crate::model::name::RouteName;
use crate::model::time::Timestamp;
use crate::protocol::arm::arm;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::close::drain;
use crate::protocol::queue::{DeadLetterQueue as _, ParkedItem, ParkedWork};
use crate::protocol::round::Delivery;
use crate::protocol::services::Services;
use crate::protocol::store::{Commit, Store as _, StoreError};

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Each of its alerts has a row, and each of their routes an armed window.
    Safe,
    /// It, or a part of it, cannot be read or stored, and it lies in the dead-letter queue with this reason. The
    /// alerts of the other part are as safe as those of a safe record.
    Parked(Poison),
    /// It must come again.
    Retry(String),
}

/// What came of a batch.
#[derive(Debug, Default)]
pub struct Consumed {
    /// One for each record, in their order.
    pub verdicts: Vec<Verdict>,
    /// Routes that the batch touched, with the records that did.
    pub touched: BTreeMap<RouteName, BTreeSet<usize>>,
    pub counts: Counts,
    /// Alerts kept, by route.
    pub kept_by_route: BTreeMap<RouteName, u64>,
    /// Messages that were sent on the way; only where there is no due queue.
    pub messages: Vec<Delivery>,
}

/// The books of a batch. Records: `records = safe + parked + retried`. Log events that could be read, also those of
/// a parked record: `events = unmatched + duplicates + kept + retried`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub records: u64,
    pub records_parked: u64,
    pub records_retried: u64,
    pub control_messages: u64,
    /// Log events that this program wrote itself; they count nowhere else.
    pub events_own: u64,
    pub events: u64,
    pub unmatched: u64,
    pub duplicates: u64,
    pub kept: u64,
    /// Alerts that could not be committed.
    pub retried: u64,
}

/// How much of a batch is acknowledged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Checkpoint<'b> {
    Everything,
    /// Everything before this record; it and all behind it come again.
    Before(SequenceNumber<'b>),
    /// Nothing: the record that must come again cannot be named.
    Nothing,
}

/// Takes a batch in, and, where there is no due queue, closes the routes that it touched.
pub async fn consume<W: Services>(services: &W, batch: &Batch<'_>, deadline: Deadline) -> Consumed {
    let mut consumed = commit_and_arm(services, batch, deadline).await;
    if services.due().is_none() {
        let until = before_parking(services, &consumed, deadline);
        drain_touched(services, &mut consumed, until).await;
    }
    park(services, batch, &mut consumed, deadline).await;
    consumed.count_records();
    consumed
}

/// Until when routes are closed: a quarter of the time is for parking, where something is to be parked.
fn before_parking<W: Services>(services: &W, consumed: &Consumed, deadline: Deadline) -> Deadline {
    match consumed.verdicts.iter().any(|verdict| matches!(verdict, Verdict::Parked(_))) {
        true => deadline.earlier(deadline.remaining(services.clock().now()) / 4),
        false => deadline,
    }
}

/// Takes a batch in: afterwards every alert of its safe records has a row, is counted, and has an
/// armed window on each of its routes. Nothing is told yet.
pub async fn ingest<W: Services>(services: &W, batch: &Batch<'_>, deadline: Deadline) -> Consumed {
    let mut consumed = commit_and_arm(services, batch, deadline).await;
    park(services, batch, &mut consumed, deadline).await;
    consumed.count_records();
    consumed
}

/// Commits the alerts of a batch and arms their routes. The records to be parked are still to be parked.
async fn commit_and_arm<W: Services>(services: &W, batch: &Batch<'_>, deadline: Deadline) -> Consumed {
    let mut consumed = Consumed::default();
    let until = deadline.earlier(deadline.remaining(services.clock().now()) / 3);
    let mut rest = &batch.records[..];
    while !rest.is_empty() {
        let scanned = scan(services, rest, until);
        if scanned.is_empty() {
            break;
        }
        rest = &rest[scanned.len()..];
        let alerts = Distinct::of(&scanned);
        let commits = match &alerts.distinct[..] {
            [] => Vec::new(),
            distinct => services.store().commit(distinct, deadline).await,
        };
        debug_assert_eq!(commits.len(), alerts.distinct.len());
        alerts.add_to(&mut consumed, &commits);
    }
    consumed.verdicts.extend(rest.iter().map(|_| Verdict::Retry("there was no time left to read it".to_owned())));
    arm_touched(services, &mut consumed, deadline).await;
    consumed
}

/// What a record holds; nothing, if it is a control message.
type ScanResult = Decoded<Scanned>;

/// Alerts that are in memory at the same time need about so many bytes at the most, and those of one record and
/// worker more.
const ALERT_BYTES_MAX: usize = 32 << 20;

/// Reads records in their order, until their alerts fill the memory or it is `until`.
fn scan<W: Services>(services: &W, records: &[Record<'_>], until: Deadline) -> Vec<ScanResult> {
    let routes = services.routes();
    let alert_bytes = AtomicUsize::new(0);
    let is_late = || until.has_passed(services.clock().now());
    let is_over = || alert_bytes.load(Ordering::Relaxed) > ALERT_BYTES_MAX || is_late();
    let read = |record: &Record<'_>, head: &LogBatch<'_>, events: Events<'_>| {
        let scanned = routes.scan_until(head, events, record.region.as_deref(), &record.event_id, is_late)?;
        alert_bytes.fetch_add(scanned.alerts.iter().map(Alert::bytes).sum(), Ordering::Relaxed);
        Ok(scanned)
    };
    decode::until(records, routes.decoder(), is_over, read)
}

/// The alerts of a batch, where they were found: of nothing but alerts there can be a hundred megabytes.
struct Distinct<'a> {
    /// Each alert once, in the order of first occurrence.
    distinct: Vec<&'a Alert>,
    /// Each record, and the positions of its alerts in `distinct`; one that occurs again is a repetition within the batch.
    records: Vec<(&'a ScanResult, Vec<usize>)>,
}

impl<'a> Distinct<'a> {
    fn of(scanned: &'a [ScanResult]) -> Self {
        let alerts = |held: &'a ScanResult| held.content.iter().flat_map(|scanned| &scanned.alerts);
        let found = scanned.iter().flat_map(alerts).count();
        let (mut distinct, mut known) = (Vec::with_capacity(found), HashMap::with_capacity(found));
        let mut position = |alert: &'a Alert| {
            *known.entry(&alert.id).or_insert_with(|| {
                distinct.push(alert);
                distinct.len() - 1
            })
        };
        let records = scanned.iter().map(|held| (held, alerts(held).map(&mut position).collect())).collect();
        Self { distinct, records }
    }

    /// Adds verdicts as they are before arming and parking, the routes touched, and the books of the events.
    /// `commits`: what became of each of the alerts.
    fn add_to(&self, consumed: &mut Consumed, commits: &[Commit]) {
        // An alert counts as kept once; wherever else it occurs it is a duplicate.
        let mut kept = vec![false; self.distinct.len()];
        for (held, alerts) in &self.records {
            for at in alerts {
                for route in touched_by(self.distinct[*at], &commits[*at]) {
                    consumed.touch(route, consumed.verdicts.len());
                }
                let first = !std::mem::replace(&mut kept[*at], true);
                consumed.count(self.distinct[*at], &commits[*at], first);
            }
            consumed.counts.add(held, alerts.len());
            consumed.verdicts.push(alerts.iter().map(|at| &commits[*at]).fold(verdict(held), worse));
        }
    }
}

/// The verdict on a record before its alerts are looked at.
fn verdict(held: &ScanResult) -> Verdict {
    let unfinished = held.content.as_ref().is_some_and(|scanned| scanned.unfinished);
    match &held.poison {
        _ if unfinished => Verdict::Retry("the time ran out while it was read".to_owned()),
        Some(poison) => Verdict::Parked(poison.clone()),
        None => Verdict::Safe,
    }
}

/// The verdict on a record, given one more of its alerts. One that must come again outweighs one that
/// can never be stored: parking comes when the others are safe.
fn worse(verdict: Verdict, commit: &Commit) -> Verdict {
    match (verdict, commit) {
        (Verdict::Retry(why), _) => Verdict::Retry(why),
        (verdict, Commit::Fresh | Commit::Duplicate { .. }) => verdict,
        (verdict, Commit::Failed(error)) => match &**error {
            StoreError::Invalid(_) if matches!(verdict, Verdict::Parked(_)) => verdict,
            StoreError::Invalid(why) => Verdict::Parked(Poison::Unstorable(why.clone())),
            error => Verdict::Retry(error.to_string()),
        },
    }
}

/// The routes that need an armed window for the sake of this alert.
fn touched_by<'a>(alert: &'a Alert, commit: &'a Commit) -> &'a [RouteName] {
    match commit {
        Commit::Fresh => &alert.routes,
        // Not today's routes: those under which the row was counted, by whoever may not have lived to arm them.
        Commit::Duplicate { routes } => routes,
        Commit::Failed(_) => &[],
    }
}

impl Counts {
    /// Whether the books balance; if not, this program has a defect, and a person should know.
    pub fn balance(&self) -> bool {
        self.events == self.unmatched + self.duplicates + self.kept + self.retried
            && self.records_parked + self.records_retried <= self.records
    }
}

impl Counts {
    /// The events of a record; those that are alerts are counted one by one.
    fn add(&mut self, held: &ScanResult, alerts: usize) {
        match &held.content {
            None => self.control_messages += u64::from(held.poison.is_none()),
            Some(Scanned { events, own: true, .. }) => self.events_own += events,
            Some(Scanned { events, .. }) => {
                self.events += events;
                self.unmatched += events - alerts as u64;
            }
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, more: Self) {
        self.records += more.records;
        self.records_parked += more.records_parked;
        self.records_retried += more.records_retried;
        self.control_messages += more.control_messages;
        self.events_own += more.events_own;
        self.events += more.events;
        self.unmatched += more.unmatched;
        self.duplicates += more.duplicates;
        self.kept += more.kept;
        self.retried += more.retried;
    }
}

impl Consumed {
    /// A name is copied for the first of many alerts only.
    fn touch(&mut self, route: &RouteName, record: usize) {
        match self.touched.get_mut(route) {
            Some(records) => {
                records.insert(record);
            }
            None => {
                self.touched.insert(route.clone(), BTreeSet::from([record]));
            }
        }
    }

    fn count(&mut self, alert: &Alert, commit: &Commit, first: bool) {
        match commit {
            Commit::Failed(_) => self.counts.retried += 1,
            Commit::Fresh if first => {
                self.counts.kept += 1;
                for route in &*alert.routes {
                    *self.kept_by_route.entry(route.clone()).or_default() += 1;
                }
            }
            Commit::Fresh | Commit::Duplicate { .. } => self.counts.duplicates += 1,
        }
    }

    /// The records that touch `route` must come again, also those that would be parked for another part of them.
    fn retry(&mut self, route: &RouteName, why: &str) {
        for index in self.touched.get(route).into_iter().flatten() {
            if !matches!(self.verdicts[*index], Verdict::Retry(_)) {
                self.verdicts[*index] = Verdict::Retry(format!("route {route}: {why}"));
            }
        }
    }

    fn count_records(&mut self) {
        let of_kind = |kind: fn(&Verdict) -> bool| self.verdicts.iter().filter(|verdict| kind(verdict)).count() as u64;
        self.counts.records = self.verdicts.len() as u64;
        self.counts.records_parked = of_kind(|verdict| matches!(verdict, Verdict::Parked(_)));
        self.counts.records_retried = of_kind(|verdict| matches!(verdict, Verdict::Retry(_)));
    }

    /// Adds the attempt before this one at the same batch: its alerts are the duplicates of this one.
    pub fn follow(&mut self, earlier: Self) {
        self.counts.kept += earlier.counts.kept;
        self.counts.duplicates -= self.counts.duplicates.min(earlier.counts.kept);
        for (route, kept) in earlier.kept_by_route {
            *self.kept_by_route.entry(route).or_default() += kept;
        }
        self.messages.splice(0..0, earlier.messages);
    }

    /// Kinesis acknowledges prefixes only, so the earliest record that must come again hides all
    /// behind it; those are duplicates then. A record without a sequence number cannot be named, and
    /// a name that was not in the batch would fail it as a whole: name the one before it instead.
    pub fn checkpoint<'b>(&self, batch: &Batch<'b>) -> Checkpoint<'b> {
        let Some(earliest) = self.verdicts.iter().position(|verdict| matches!(verdict, Verdict::Retry(_))) else {
            return Checkpoint::Everything;
        };
        let named = batch.records[..=earliest].iter().rev().find_map(|record| record.sequence.clone());
        named.map_or(Checkpoint::Nothing, Checkpoint::Before)
    }
}

/// Closes the routes that the batch touched. The records of a route that cannot be told must come again.
async fn drain_touched<W: Services>(services: &W, consumed: &mut Consumed, deadline: Deadline) {
    let routes: Vec<RouteName> = consumed.touched.keys().cloned().collect();
    let drained = join_all(routes.iter().map(|route| drain(services, route, deadline))).await;
    for (route, closed) in routes.iter().zip(drained) {
        consumed.messages.extend(closed.messages);
        if let Some(retry) = closed.retry {
            consumed.retry(route, &retry.why);
        }
    }
}

/// Parks the records of which something cannot be read or stored; last of all, so that a queue that is out of reach
/// delays nothing else. A record that cannot be parked must come again.
async fn park<W: Services>(services: &W, batch: &Batch<'_>, consumed: &mut Consumed, deadline: Deadline) {
    let now = services.clock().now();
    let poisoned: Vec<(usize, ParkedItem)> = consumed
        .verdicts
        .iter()
        .enumerate()
        .filter_map(|(index, verdict)| match verdict {
            Verdict::Parked(poison) => Some((index, parked(&batch.records[index], poison, now))),
            Verdict::Safe | Verdict::Retry(_) => None,
        })
        .collect();
    if poisoned.is_empty() {
        return;
    }
    let (indices, items): (Vec<usize>, Vec<ParkedItem>) = poisoned.into_iter().unzip();
    for (index, answer) in indices.into_iter().zip(services.dead_letters().park(&items, deadline).await) {
        if let Err(error) = answer {
            consumed.verdicts[index] = Verdict::Retry(format!("it cannot be read and could not be parked: {error}"));
        }
    }
}

/// A record that cannot be read, ready to be parked.
pub(crate) fn parked(record: &Record<'_>, poison: &Poison, now: Timestamp) -> ParkedItem {
    let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
    let what = ParkedWork::Record {
        event_id: record.event_id.to_string(),
        stream_arn: owned(&record.stream_arn),
        region: owned(&record.region).filter(|_| record.stream_arn.is_none()),
        partition_key: owned(&record.partition_key),
        arrived_at: owned(&record.arrived_at),
        data: match &record.data {
            Data::Base64(data) => Some(data.to_string()),
            Data::Message(_) | Data::Missing(_) => None,
        },
    };
    ParkedItem::new(poison.to_string(), now, what)
}

async fn arm_touched<W: Services>(services: &W, consumed: &mut Consumed, deadline: Deadline) {
    let routes: Vec<RouteName> = consumed.touched.keys().cloned().collect();
    let armed = join_all(routes.iter().map(|route| arm(services, route, deadline))).await;
    for (route, result) in routes.iter().zip(armed) {
        if let Err(error) = result {
            consumed.retry(route, &error.to_string());
        }
    }
}
