//! The consumer: the stages of an alert's life in their order, and nothing else. Decode, scan and
//! redact in parallel; commit; park what cannot be read; arm. A record is acknowledged only when all
//! of that is done for it, so [`Consumed::checkpoint`] is the one place where a record is let go.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ops::AddAssign;

use futures::future::join_all;

use crate::alert::Alert;
use crate::arm::arm;
use crate::clock::{Clock as _, Timestamp};
use crate::close::{Sent, settle};
use crate::decode::{self, Events, LogBatch, Poison};
use crate::event::{Batch, Data, Record, SequenceNumber};
use crate::name::RouteName;
use crate::queue::{Park as _, Parked, What};
use crate::route::Scanned;
use crate::store::{Commit, Store as _, StoreError};
use crate::world::World;

/// What became of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Each of its alerts has a row, and each of their routes an armed window.
    Safe,
    /// It cannot be read or stored, and lies in the dead-letter queue with this reason.
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
    pub messages: Vec<Sent>,
}

/// The books of a batch. Records: `records = safe + parked + retried`. Events of the records that
/// were not parked: `events = unmatched + duplicates + kept + retried`.
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
pub async fn consume<W: World>(world: &W, batch: &Batch<'_>, deadline: Timestamp) -> Consumed {
    let mut consumed = take(world, batch, deadline).await;
    if world.due().is_none() {
        let routes: Vec<RouteName> = consumed.touched.keys().cloned().collect();
        for (route, closed) in
            routes.iter().zip(join_all(routes.iter().map(|route| settle(world, route, deadline))).await)
        {
            consumed.messages.extend(closed.messages);
            if let Some(again) = closed.again {
                consumed.retry(route, &again.why);
            }
        }
    }
    consumed.count_records();
    consumed
}

/// Takes a batch in: afterwards every alert of its safe records has a row, is counted, and has an
/// armed window on each of its routes. Nothing is told yet.
pub async fn take<W: World>(world: &W, batch: &Batch<'_>, deadline: Timestamp) -> Consumed {
    let scanned = scan(world, batch);
    let alerts = Distinct::of(&scanned);
    let commits = match &alerts.distinct[..] {
        [] => Vec::new(),
        distinct => world.store().commit(distinct, deadline).await,
    };
    debug_assert_eq!(commits.len(), alerts.distinct.len());
    let mut consumed = alerts.consumed(&commits);
    drop(scanned);
    // A queue that is out of reach must not use up the time in which the good records can be told of.
    let now = world.clock().now();
    park(world, batch, &mut consumed, now.after(now.until(deadline) / 2)).await;
    arm_touched(world, &mut consumed, deadline).await;
    consumed.count_records();
    consumed
}

/// What a record holds; nothing, if it is a control message.
type Held = Result<Option<Scanned>, Poison>;

fn scan<W: World>(world: &W, batch: &Batch<'_>) -> Vec<Held> {
    let routes = world.routes();
    let read = |record: &Record<'_>, head: &LogBatch<'_>, events: Events<'_>| {
        routes.scan(head, events, record.region.as_deref(), &record.event_id)
    };
    decode::all(&batch.records, routes.decoder(), read)
}

/// The alerts of a batch, where they were found: of nothing but alerts there can be a hundred megabytes.
struct Distinct<'a> {
    /// Each alert once, in the order of first occurrence.
    distinct: Vec<&'a Alert>,
    /// Each record, and the positions of its alerts in `distinct`; one that occurs again is a repetition within the batch.
    records: Vec<(&'a Held, Vec<usize>)>,
}

impl<'a> Distinct<'a> {
    fn of(scanned: &'a [Held]) -> Self {
        let alerts = |held: &'a Held| held.iter().flatten().flat_map(|scanned| &scanned.alerts);
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

    /// Verdicts before parking and arming, the routes touched, and the books of the events. `commits`: what became of
    /// each of the alerts.
    fn consumed(&self, commits: &[Commit]) -> Consumed {
        let mut consumed = Consumed::default();
        // An alert counts as kept once; wherever else it occurs it is a duplicate.
        let mut kept = vec![false; self.distinct.len()];
        for (index, (held, alerts)) in self.records.iter().enumerate() {
            let verdict = match held {
                Ok(_) => alerts.iter().map(|at| &commits[*at]).fold(Verdict::Safe, worse),
                Err(poison) => Verdict::Parked(poison.clone()),
            };
            for at in alerts {
                for route in touched_by(self.distinct[*at], &commits[*at]) {
                    consumed.touch(route, index);
                }
            }
            // A parked record comes again as a whole, so none of its events is counted now.
            if let (Ok(held), false) = (held, matches!(verdict, Verdict::Parked(_))) {
                consumed.counts.add(held.as_ref(), alerts.len());
                for at in alerts {
                    let first = !std::mem::replace(&mut kept[*at], true);
                    consumed.count(self.distinct[*at], &commits[*at], first);
                }
            }
            consumed.verdicts.push(verdict);
        }
        consumed
    }
}

/// The verdict on a record, given one more of its alerts. One that must come again outweighs one that
/// can never be stored: parking comes when the others are safe.
fn worse(verdict: Verdict, commit: &Commit) -> Verdict {
    match (verdict, commit) {
        (Verdict::Retry(why), _) => Verdict::Retry(why),
        (verdict, Commit::Fresh | Commit::Duplicate { .. }) => verdict,
        (_, Commit::Failed(error)) => match &**error {
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
    fn add(&mut self, held: Option<&Scanned>, alerts: usize) {
        match held {
            None => self.control_messages += 1,
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

    /// The records that touch `route` must come again.
    fn retry(&mut self, route: &RouteName, why: &str) {
        for index in self.touched.get(route).into_iter().flatten() {
            if self.verdicts[*index] == Verdict::Safe {
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

/// Parks the records that cannot be read. One that cannot be parked either must come again.
async fn park<W: World>(world: &W, batch: &Batch<'_>, consumed: &mut Consumed, deadline: Timestamp) {
    let now = world.clock().now();
    let poisoned: Vec<(usize, Parked)> = consumed
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
    let (indices, items): (Vec<usize>, Vec<Parked>) = poisoned.into_iter().unzip();
    for (index, answer) in indices.into_iter().zip(world.park().park(&items, deadline).await) {
        if let Err(error) = answer {
            consumed.verdicts[index] = Verdict::Retry(format!("it cannot be read and could not be parked: {error}"));
        }
    }
}

/// A record that cannot be read, ready to be parked.
pub(crate) fn parked(record: &Record<'_>, poison: &Poison, now: Timestamp) -> Parked {
    let owned = |text: &Option<std::borrow::Cow<'_, str>>| text.as_deref().map(str::to_owned);
    let what = What::Record {
        event_id: record.event_id.to_string(),
        stream_arn: owned(&record.stream_arn),
        partition_key: owned(&record.partition_key),
        arrived_at: owned(&record.arrived_at),
        data: match &record.data {
            Data::Base64(data) => Some(data.to_string()),
            Data::Message(_) | Data::Missing(_) => None,
        },
    };
    Parked::new(poison.to_string(), now, what)
}

async fn arm_touched<W: World>(world: &W, consumed: &mut Consumed, deadline: Timestamp) {
    let routes: Vec<RouteName> = consumed.touched.keys().cloned().collect();
    let armed = join_all(routes.iter().map(|route| arm(world, route, deadline))).await;
    for (route, result) in routes.iter().zip(armed) {
        if let Err(error) = result {
            consumed.retry(route, &error.to_string());
        }
    }
}
