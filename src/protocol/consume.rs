//! The consumer: the stages of an alert's life, in order. It decodes, matches and redacts in
//! parallel, commits, arms, and parks the records that cannot be read. [`Consumed::checkpoint`] is
//! the only place that acknowledges a record, after all of that is done for it.
//!
//! A batch whose alerts exceed 32 MiB of memory is read and committed in several steps. Reading
//! uses two thirds of the time at most, so that committing and arming have time; records that are
//! not read by then are retried.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::AddAssign;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures::{StreamExt as _, stream};

use crate::ingest::decode::{self, Decoded, Events, Poison};
use crate::ingest::event::{Batch, Data, Record, SequenceNumber};
use crate::ingest::logs::LogBatch;
use crate::ingest::route::Scanned;
use crate::model::alert::Alert;
use crate::model::error::Cause;
use crate::model::name::RouteName;
use crate::model::pattern_set::PatternSet;
use crate::model::time::Timestamp;
use crate::protocol::arm::{FRESH_PATTERNS_MAX, FreshAlerts, arm};
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::close::drain;
use crate::protocol::dead_letter::{ParkedItem, ParkedWork};
use crate::protocol::queue::{DeadLetterQueue as _, QueueError};
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::round::Delivery;
use crate::protocol::services::Services;
use crate::protocol::store::{Commit, Store as _, StoreError};

/// The outcome for a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Each of its alerts has a row, and each of their routes an armed window.
    Safe,
    /// The record, or a part of it, cannot be read or stored, and it is not parked yet. Its
    /// readable alerts are safe.
    Unreadable(Poison),
    /// An unreadable record that is in the dead-letter queue.
    Parked(Poison),
    Retry(RetryReason),
}

impl Verdict {
    /// Whether the record can be acknowledged.
    fn is_final(&self) -> bool {
        matches!(self, Self::Safe | Self::Parked(_))
    }
}

/// The outcome of a batch.
#[derive(Debug, Default)]
pub struct Consumed {
    /// One for each record, in their order.
    pub verdicts: Vec<Verdict>,
    /// Routes that have alerts in the batch, with the indexes of their records.
    pub touched: BTreeMap<RouteName, BTreeSet<usize>>,
    /// The patterns of the alerts kept, by route.
    pub patterns: BTreeMap<RouteName, PatternSet>,
    /// The alerts kept and the duplicates by pattern, for each route that speaks on news.
    pub by_pattern: BTreeMap<RouteName, BTreeMap<String, u64>>,
    pub counts: Counts,
    /// Alerts kept, by route.
    pub kept_by_route: BTreeMap<RouteName, u64>,
    /// Messages that were sent; only without a due queue.
    pub messages: Vec<Delivery>,
    /// Alerts that were held, by route; only without a due queue.
    pub held: BTreeMap<RouteName, u64>,
}

/// The books of a batch. Records: `records = safe + parked + retried`, where `parked` includes
/// records that the caller of [`ingest`] has yet to park. Readable log events, including those of
/// parked records: `events = unmatched + duplicates + kept + retried`.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    pub records: u64,
    pub records_parked: u64,
    pub records_retried: u64,
    pub control_messages: u64,
    /// Log events that this program wrote itself. No other count includes them.
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
    /// Everything before this record. It and all records after it are retried.
    Before(SequenceNumber<'b>),
    /// Nothing, because the record to retry has no name.
    Nothing,
}

/// Ingests a batch. Without a due queue, also closes the routes that it touched.
pub async fn consume<W: Services>(services: &W, batch: &Batch<'_>, deadline: Deadline) -> Consumed {
    let mut consumed = ingest(services, batch, deadline).await;
    if services.due().is_none() {
        let until = before_parking(services, &consumed, deadline);
        drain_touched(services, &mut consumed, until).await;
    }
    park_unreadable(services, batch, &mut consumed, deadline).await;
    if services.due().is_some() {
        note_lag(services, batch, deadline).await;
    }
    consumed
}

/// The deadline for closing routes. A quarter of the remaining time is reserved for parking, if
/// there is work to park.
fn before_parking<W: Services>(services: &W, consumed: &Consumed, deadline: Deadline) -> Deadline {
    if consumed.verdicts.iter().any(|verdict| matches!(verdict, Verdict::Unreadable(_))) {
        deadline.earlier(deadline.remaining(services.clock().now()) / 4)
    } else {
        deadline
    }
}

/// Ingests a batch and parks its unreadable records. Delivers nothing.
pub async fn ingest_and_park<W: Services>(
    services: &W,
    batch: &Batch<'_>,
    deadline: Deadline,
) -> Consumed {
    let mut consumed = ingest(services, batch, deadline).await;
    park_unreadable(services, batch, &mut consumed, deadline).await;
    consumed
}

/// How far behind its stream a consumer is before it says so. Half a minute is usual.
const LAG_MIN: Duration = Duration::from_secs(60);

/// For how long a lag that was noted holds. A consumer that is still behind notes it again.
const LAG_KEPT: Duration = Duration::from_secs(300);

/// The longest that a consumer tries to note it.
const LAG_NOTE_MAX: Duration = Duration::from_secs(1);

/// Notes that this consumer is behind its stream, so that no burst ends because its alerts are late.
async fn note_lag<W: Services>(services: &W, batch: &Batch<'_>, deadline: Deadline) {
    let now = services.clock().now();
    let latest = batch.records.iter().filter_map(Record::arrival).max();
    if latest.is_none_or(|arrived| now < arrived.after(LAG_MIN)) {
        return;
    }
    // A store that does not answer must not make the lag larger.
    let deadline = deadline.min(Deadline::after(now, LAG_NOTE_MAX));
    if let Err(error) = services.store().note_lag(now.after(LAG_KEPT), deadline).await {
        // The burst may end early, and its next alert begins another.
        tracing::debug!("The lag of the stream could not be noted: {error}");
    }
}

/// Ingests a batch: every alert of its safe records has a row, is counted, and has an armed window
/// on each of its routes. Delivers and parks nothing: a record with [`Verdict::Unreadable`] is for
/// the caller to park, and a checkpoint does not pass it.
pub async fn ingest<W: Services>(services: &W, batch: &Batch<'_>, deadline: Deadline) -> Consumed {
    let routes = services.routes().config().routes.iter();
    let speaking = routes.filter(|route| route.speak_on.is_some());
    let by_pattern = speaking.map(|route| (route.name.clone(), BTreeMap::new())).collect();
    let mut consumed = Consumed { by_pattern, ..Consumed::default() };
    let left = deadline.remaining(services.clock().now());
    let until = deadline.earlier(left / 3);
    let before_arming = deadline.earlier((left / 10).max(ARMING_MARGIN).min(left / 2));
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
            distinct => services.store().commit(distinct, before_arming).await,
        };
        debug_assert_eq!(commits.len(), alerts.distinct.len());
        alerts.add_to(&mut consumed, &commits);
    }
    consumed.verdicts.extend(rest.iter().map(|_| Verdict::Retry(RetryReason::OutOfTime)));
    arm_touched(services, &mut consumed, deadline).await;
    consumed.count_records();
    consumed
}

/// Time reserved for arming the routes whose alerts are stored. A store that throttles takes all the
/// time that a commit has, and nothing would be acknowledged.
const ARMING_MARGIN: Duration = Duration::from_secs(3);

/// Routes that are armed or closed concurrently. Each may need a connection, and a function has
/// 1,024 file descriptors.
const ROUTES_AT_ONCE: usize = 64;

/// A scanned record. A control message has no content.
type ScanResult = Decoded<Scanned>;

/// The memory for the alerts of one step, in bytes. Each worker may exceed it by the alerts of one
/// record.
const ALERT_BYTES_MAX: usize = 32 << 20;

/// Reads records in order until their alerts fill the memory or `until` has passed.
fn scan<W: Services>(services: &W, records: &[Record<'_>], until: Deadline) -> Vec<ScanResult> {
    let routes = services.routes();
    let alert_bytes = AtomicUsize::new(0);
    let is_late = || until.has_passed(services.clock().now());
    let is_over = || alert_bytes.load(Ordering::Relaxed) > ALERT_BYTES_MAX || is_late();
    let read = |record: &Record<'_>, head: &LogBatch<'_>, events: Events<'_>| {
        let scanned =
            routes.scan_until(head, events, record.region.as_deref(), &record.event_id, is_late)?;
        alert_bytes.fetch_add(scanned.alerts.iter().map(Alert::bytes).sum(), Ordering::Relaxed);
        Ok(scanned)
    };
    decode::until(records, routes.decoder(), is_over, read)
}

/// The alerts of a batch, borrowed from the scanned records: a batch can hold a hundred megabytes
/// of them.
struct Distinct<'a> {
    /// Each alert once, in the order of first occurrence.
    distinct: Vec<&'a Alert>,
    /// Each record with the positions of its alerts in `distinct`. Equal positions are repetitions
    /// within the batch.
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
        let records =
            scanned.iter().map(|held| (held, alerts(held).map(&mut position).collect())).collect();
        Self { distinct, records }
    }

    /// Adds the verdicts before arming and parking, the touched routes, and the counts. `commits`
    /// holds the result for each distinct alert.
    fn add_to(&self, consumed: &mut Consumed, commits: &[Commit]) {
        // The first occurrence of an alert counts as kept, any other as a duplicate.
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
            consumed
                .verdicts
                .push(alerts.iter().map(|at| &commits[*at]).fold(verdict(held), worse));
        }
    }
}

/// The verdict on a record without regard to its alerts.
fn verdict(held: &ScanResult) -> Verdict {
    let unfinished = held.content.as_ref().is_some_and(|scanned| scanned.unfinished);
    match &held.poison {
        _ if unfinished => Verdict::Retry(RetryReason::OutOfTime),
        Some(poison) => Verdict::Unreadable(poison.clone()),
        None => Verdict::Safe,
    }
}

/// The verdict on a record after one more of its alerts. An alert to retry outweighs an alert that
/// can never be stored: the record is parked once its other alerts are safe.
fn worse(verdict: Verdict, commit: &Commit) -> Verdict {
    match (verdict, commit) {
        (Verdict::Retry(why), _) => Verdict::Retry(why),
        (verdict, Commit::Fresh | Commit::Duplicate { .. }) => verdict,
        (verdict, Commit::Failed(error)) => match &**error {
            StoreError::Invalid(_) if matches!(verdict, Verdict::Unreadable(_)) => verdict,
            StoreError::Invalid(cause) => {
                Verdict::Unreadable(Poison::Unstorable(cause.to_string()))
            }
            error => Verdict::Retry(error.clone().into()),
        },
    }
}

/// The routes that need an armed window for this alert.
fn touched_by<'a>(alert: &'a Alert, commit: &'a Commit) -> &'a [RouteName] {
    match commit {
        Commit::Fresh => &alert.routes,
        // The routes under which the row was counted: the process that counted it may have crashed
        // before it armed them.
        Commit::Duplicate { routes } => routes,
        Commit::Failed(_) => &[],
    }
}

impl Counts {
    /// Whether the books balance. If not, this program has a defect that a person should see.
    pub fn balance(&self) -> bool {
        self.events == self.unmatched + self.duplicates + self.kept + self.retried
            && self.records_parked + self.records_retried <= self.records
    }
}

impl Counts {
    /// Adds the events of a record, except its alerts, which are counted one by one.
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
    /// Copies the name only for the first alert of a route.
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
                    let patterns = self.patterns.entry(route.clone()).or_default();
                    patterns.insert(alert.pattern.as_str());
                    self.add_pattern(route, alert);
                }
            }
            Commit::Fresh => self.counts.duplicates += 1,
            Commit::Duplicate { routes } => {
                self.counts.duplicates += 1;
                routes.iter().for_each(|route| self.add_pattern(route, alert));
            }
        }
    }

    /// Counts the pattern of an alert on a route that speaks on news.
    fn add_pattern(&mut self, route: &RouteName, alert: &Alert) {
        let Some(counts) = self.by_pattern.get_mut(route) else { return };
        if let Some(n) = counts.get_mut(alert.pattern.as_str()) {
            *n += 1;
        } else if counts.len() < FRESH_PATTERNS_MAX {
            counts.insert(alert.pattern.to_string(), 1);
        }
    }

    /// Retries the records that touch `route`, including those that would be parked for another
    /// part of them.
    fn retry(&mut self, route: &RouteName, reason: RetryReason) {
        let reason = RetryReason::Route { route: route.clone(), reason: Box::new(reason) };
        for index in self.touched.get(route).into_iter().flatten() {
            if !matches!(self.verdicts[*index], Verdict::Retry(_)) {
                self.verdicts[*index] = Verdict::Retry(reason.clone());
            }
        }
    }

    fn count_records(&mut self) {
        let of_kind = |kind: fn(&Verdict) -> bool| {
            self.verdicts.iter().filter(|verdict| kind(verdict)).count() as u64
        };
        self.counts.records = self.verdicts.len() as u64;
        self.counts.records_parked =
            of_kind(|verdict| matches!(verdict, Verdict::Unreadable(_) | Verdict::Parked(_)));
        self.counts.records_retried = of_kind(|verdict| matches!(verdict, Verdict::Retry(_)));
    }

    /// Adds the previous attempt at the same batch, whose kept alerts are duplicates in this one.
    pub fn follow(&mut self, earlier: Self) {
        self.counts.kept += earlier.counts.kept;
        self.counts.duplicates -= self.counts.duplicates.min(earlier.counts.kept);
        for (route, kept) in earlier.kept_by_route {
            *self.kept_by_route.entry(route).or_default() += kept;
        }
        self.messages.splice(0..0, earlier.messages);
    }

    /// How much of the batch to acknowledge. Kinesis acknowledges prefixes only, so the earliest
    /// record to retry brings back all records after it, as duplicates. A record without a sequence
    /// number has no name, and an unknown name would fail the whole batch: the checkpoint is the
    /// last named record before it.
    pub fn checkpoint<'b>(&self, batch: &Batch<'b>) -> Checkpoint<'b> {
        let Some(earliest) = self.verdicts.iter().position(|verdict| !verdict.is_final()) else {
            return Checkpoint::Everything;
        };
        let named =
            batch.records[..=earliest].iter().rev().find_map(|record| record.sequence.clone());
        named.map_or(Checkpoint::Nothing, Checkpoint::Before)
    }
}

/// Closes the touched routes. The records of a route with undelivered alerts are retried.
async fn drain_touched<W: Services>(services: &W, consumed: &mut Consumed, deadline: Deadline) {
    let routes: Vec<RouteName> = consumed.touched.keys().cloned().collect();
    let draining = routes.into_iter().map(async |route| {
        let drained = drain(services, &route, deadline).await;
        (route, drained)
    });
    let mut draining = stream::iter(draining).buffered(ROUTES_AT_ONCE);
    while let Some((route, closed)) = draining.next().await {
        consumed.messages.extend(closed.messages);
        if closed.held > 0 {
            consumed.held.insert(route.clone(), closed.held);
        }
        if let Some(retry) = closed.retry {
            consumed.retry(&route, retry.reason);
        }
    }
    consumed.count_records();
}

/// Parks the records that are unreadable. Parking comes last, so that an unreachable queue delays
/// nothing else. A record that cannot be parked is retried.
async fn park_unreadable<W: Services>(
    services: &W,
    batch: &Batch<'_>,
    consumed: &mut Consumed,
    deadline: Deadline,
) {
    let now = services.clock().now();
    let unreadable: Vec<(usize, Poison)> = consumed
        .verdicts
        .iter()
        .enumerate()
        .filter_map(|(index, verdict)| match verdict {
            Verdict::Unreadable(poison) => Some((index, poison.clone())),
            Verdict::Safe | Verdict::Parked(_) | Verdict::Retry(_) => None,
        })
        .collect();
    if unreadable.is_empty() {
        return;
    }
    let items: Vec<ParkedItem> = unreadable
        .iter()
        .map(|(index, poison)| parked(&batch.records[*index], poison, now))
        .collect();
    let answers = park_all(services, &items, deadline).await;
    for ((index, poison), answer) in unreadable.into_iter().zip(answers) {
        consumed.verdicts[index] = match answer {
            Ok(()) => Verdict::Parked(poison),
            Err(error) => Verdict::Retry(RetryReason::Park(error)),
        };
    }
    consumed.count_records();
}

/// Parks items. Returns one answer for each, in their order.
pub(crate) async fn park_all<W: Services>(
    services: &W,
    items: &[ParkedItem],
    deadline: Deadline,
) -> Vec<Result<(), QueueError>> {
    if items.is_empty() {
        return Vec::new();
    }
    let mut answers = services.dead_letters().park(items, deadline).await;
    let missing = || {
        Err(QueueError::Unavailable(Cause::new(
            "unreadable-answer",
            "the queue did not answer for each item",
        )))
    };
    answers.resize_with(items.len(), missing);
    answers
}

/// The dead letter of a poison record.
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
            Data::Message(_) | Data::Lines(_) | Data::Json(_) | Data::Missing(_) => None,
        },
    };
    ParkedItem::new(poison.code(), poison.to_string(), now, what)
}

async fn arm_touched<W: Services>(services: &W, consumed: &mut Consumed, deadline: Deadline) {
    let fresh = |route| FreshAlerts {
        alerts: consumed.kept_by_route.get(route).copied().unwrap_or_default(),
        patterns: consumed.patterns.get(route).copied().unwrap_or_default(),
        by_pattern: consumed.by_pattern.get(route).cloned().unwrap_or_default(),
    };
    let routes: Vec<(RouteName, FreshAlerts)> =
        consumed.touched.keys().map(|route| (route.clone(), fresh(route))).collect();
    let arming = routes.into_iter().map(async |(route, fresh)| {
        let armed = arm(services, &route, &fresh, deadline).await;
        (route, armed)
    });
    let mut arming = stream::iter(arming).buffer_unordered(ROUTES_AT_ONCE);
    while let Some((route, result)) = arming.next().await {
        if let Err(reason) = result {
            consumed.retry(&route, reason);
        }
    }
}
