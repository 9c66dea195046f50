//! The engine of a replay: receives dead letters, retries them, and deletes those whose work is
//! safe.

use std::collections::{BTreeMap, BTreeSet};
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

use super::held::Held;
use super::options::ReplayOptions;
use super::recognize::{self, DeadLetterContent, DeadLetterKind, ParkedRecord};
use super::report::{ReplayFailure, Report, Unresolved};
use super::source::{DeadLetterSource, Receipt, ReceivedMessage, StreamReader, VISIBILITY_TIMEOUT};
use crate::model::name::RouteName;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::close::drain;
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::services::Services;

/// Without a due queue the replay closes routes itself: once for this many dead letters, or after
/// this time, so that ten thousand parked records become a few messages.
const WAITING_MAX: usize = 1_000;
const WAITING_TIME_MAX: Duration = Duration::from_secs(30);

/// The routes that must be delivered before a dead letter can be deleted.
pub(super) type ReplayOutcome = Result<BTreeSet<RouteName>, ReplayFailure>;

/// A dead letter whose alerts are committed, and whose routes are not delivered yet.
struct Waiting {
    receipt: Receipt,
    kind: DeadLetterKind,
    routes: BTreeSet<RouteName>,
    since: Timestamp,
}

pub(super) struct Engine<'a, W, D, R> {
    pub services: &'a W,
    source: &'a D,
    pub streams: &'a R,
    pub options: &'a ReplayOptions,
    on_progress: &'a mut (dyn FnMut(&Report) + Send),
    started: Timestamp,
    /// Dead letters that the filters have selected.
    selected: u64,
    waiting: Vec<Waiting>,
    /// Without a due queue, the routes to deliver. A dead letter that failed can have some too:
    /// part of its alerts may be committed.
    pub undelivered: BTreeSet<RouteName>,
    held: Held,
    pub report: Report,
}

impl<'a, W: Services, D: DeadLetterSource, R: StreamReader> Engine<'a, W, D, R> {
    pub(super) fn new(
        services: &'a W,
        source: &'a D,
        streams: &'a R,
        options: &'a ReplayOptions,
        on_progress: &'a mut (dyn FnMut(&Report) + Send),
    ) -> Self {
        Self {
            services,
            source,
            streams,
            options,
            on_progress,
            started: services.clock().now(),
            selected: 0,
            waiting: Vec::new(),
            undelivered: BTreeSet::new(),
            held: Held::default(),
            report: Report { missing: options.ids.clone(), ..Report::default() },
        }
    }

    pub(super) async fn run(mut self) -> Report {
        self.receive_all().await;
        self.deliver_waiting().await;
        self.held.release(self.source, self.deadline()).await;
        (self.on_progress)(&self.report);
        self.report
    }

    async fn receive_all(&mut self) {
        while !self.is_interrupted() {
            let max = self.receive_max();
            let has_all = !self.options.ids.is_empty() && self.report.missing.is_empty();
            if max == 0 || has_all {
                return;
            }
            match self.source.receive(max, self.deadline()).await {
                Ok(received) if received.is_empty() => return,
                Ok(received) => self.retry_all(received).await,
                Err(error) => {
                    self.report.source_error = Some(error);
                    return;
                }
            }
            self.pace().await;
        }
    }

    /// How many dead letters to receive next.
    fn receive_max(&self) -> usize {
        let per_second = self.options.rate.map_or(usize::MAX, |rate| rate as usize);
        self.options.receive_max(self.selected).min(per_second.max(1))
    }

    async fn retry_all(&mut self, received: Vec<ReceivedMessage>) {
        self.held.add(&received, self.now());
        let (mut records, mut others) = (Vec::new(), Vec::new());
        for message in received {
            self.report.received += 1;
            let dead_letter = recognize::read(&message);
            if !self.options.select(&message.receipt.id, &dead_letter) {
                self.report.skipped += 1;
                continue;
            }
            self.selected += 1;
            self.report.missing.remove(&message.receipt.id);
            match dead_letter.content {
                DeadLetterContent::Record(record) => records.push((message.receipt, record)),
                content => others.push((message.receipt, dead_letter.kind, content)),
            }
        }
        self.retry_together(records).await;
        for (receipt, kind, content) in others {
            if self.is_interrupted() {
                return;
            }
            // Boxed, like every call that goes deep into the store: a poll carries what is on the
            // stack.
            let outcome = Box::pin(self.retry(content)).await;
            self.finish(receipt, kind, outcome).await;
        }
    }

    /// Retries parked records as one batch: the more alerts are committed together, the fewer
    /// transactions it takes.
    async fn retry_together(&mut self, records: Vec<(Receipt, ParkedRecord)>) {
        if records.is_empty() {
            return;
        }
        let (receipts, records): (Vec<Receipt>, Vec<ParkedRecord>) = records.into_iter().unzip();
        let outcomes = Box::pin(self.retry_records(&records)).await;
        for (receipt, outcome) in receipts.into_iter().zip(outcomes) {
            self.finish(receipt, DeadLetterKind::Record, outcome).await;
        }
    }

    /// With a due queue, a dead letter is deleted once its routes are armed. Without one it waits
    /// until they are delivered: no other process delivers them.
    async fn finish(&mut self, receipt: Receipt, kind: DeadLetterKind, outcome: ReplayOutcome) {
        match outcome {
            Err(failure) => self.leave(&receipt, kind, failure),
            Ok(routes) if routes.is_empty() || self.services.due().is_some() => {
                self.delete(vec![(receipt, kind)]).await;
            }
            Ok(routes) => self.waiting.push(Waiting { receipt, kind, routes, since: self.now() }),
        }
        let is_overdue = |first: &Waiting| first.since.after(WAITING_TIME_MAX) <= self.now();
        if self.waiting.len() >= WAITING_MAX || self.waiting.first().is_some_and(is_overdue) {
            self.deliver_waiting().await;
        }
        self.renew().await;
        (self.on_progress)(&self.report);
    }

    /// Delivers the routes for which dead letters wait, and then deletes these dead letters.
    async fn deliver_waiting(&mut self) {
        let mut failed = BTreeMap::new();
        for route in std::mem::take(&mut self.undelivered) {
            self.renew().await;
            let closed = Box::pin(drain(self.services, &route, self.deadline())).await;
            self.report.messages.extend(closed.messages);
            if let Some(retry) = closed.retry {
                failed.insert(route, retry.reason);
            }
        }
        let mut delivered = Vec::new();
        for Waiting { receipt, kind, routes, .. } in std::mem::take(&mut self.waiting) {
            match routes.iter().find_map(|route| failed.get_key_value(route)) {
                Some((route, reason)) => {
                    let reason = RetryReason::Route {
                        route: route.clone(),
                        reason: Box::new(reason.clone()),
                    };
                    self.leave(&receipt, kind, ReplayFailure::NotDelivered(reason));
                }
                None => delivered.push((receipt, kind)),
            }
        }
        self.delete(delivered).await;
        (self.on_progress)(&self.report);
    }

    async fn delete(&mut self, reprocessed: Vec<(Receipt, DeadLetterKind)>) {
        if reprocessed.is_empty() {
            return;
        }
        let (receipts, kinds): (Vec<Receipt>, Vec<DeadLetterKind>) =
            reprocessed.into_iter().unzip();
        let answers = self.source.delete(&receipts, self.deadline()).await;
        for ((receipt, kind), answer) in receipts.into_iter().zip(kinds).zip(answers) {
            match answer {
                Ok(()) => {
                    self.held.remove(&receipt);
                    *self.report.reprocessed.entry(kind).or_default() += 1;
                }
                Err(error) => self.leave(&receipt, kind, ReplayFailure::Delete(error)),
            }
        }
    }

    fn leave(&mut self, receipt: &Receipt, kind: DeadLetterKind, failure: ReplayFailure) {
        tracing::debug!(
            dead_letter.id = %receipt.id,
            dead_letter.kind = %kind,
            dead_letter.code = failure.code(),
            "A dead letter is left in the queue: {failure}"
        );
        self.report.records_expired += failure.records_expired();
        self.report.unresolved.push(Unresolved { id: receipt.id.clone(), kind, failure });
    }

    /// Waits until the rate allows the next dead letters.
    async fn pace(&mut self) {
        let Some(rate) = self.options.rate.filter(|rate| *rate > 0.0) else { return };
        let next = self.started.after(Duration::from_secs_f64(self.selected as f64 / rate));
        while self.now() < next {
            let wake = next.min(self.now().after(VISIBILITY_TIMEOUT / 4));
            if !self.sleep_until(wake).await {
                return;
            }
            self.renew().await;
        }
    }

    /// Returns whether it slept until `at`: a cancelled replay wakes up early.
    pub(super) async fn sleep_until(&mut self, at: Timestamp) -> bool {
        let sleep = pin!(self.services.clock().sleep(self.now().until(at)));
        let cancelled = pin!(self.options.cancel.cancelled());
        matches!(select(cancelled, sleep).await, Either::Right(_))
    }

    /// Keeps the received dead letters hidden from other readers.
    pub(super) async fn renew(&mut self) {
        let now = self.now();
        self.held.renew(self.source, now, self.options.deadline(now)).await;
    }

    fn is_interrupted(&mut self) -> bool {
        self.report.interrupted |= self.options.cancel.is_cancelled();
        self.report.interrupted
    }

    pub(super) fn now(&self) -> Timestamp {
        self.services.clock().now()
    }

    pub(super) fn deadline(&self) -> Deadline {
        self.options.deadline(self.now())
    }
}
