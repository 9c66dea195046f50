//! Replay: what lies in the dead-letter queue goes once more the way that it failed on. A record goes
//! through the whole consumer, a message to its target, a due message to the closing of its route, a
//! batch that Lambda gave up on is read from its stream.
//!
//! A letter is deleted only after its work is settled: its alerts committed and their routes armed or, where
//! there is no due queue, told. Whatever ends a replay before that leaves the letter where it is, and the next
//! replay finds what was committed as duplicates. Nothing here asks the machine for the time or sleeps
//! but through [`Services::clock`]; a simulation drives the same code as one more actor.
//!
//! Left to others: what a letter is (`dead_letter`), where letters and records come from (`sqs`, `file`,
//! `kinesis`), what a dry run counts (`listing`), and what an operator sees of it (the binary).

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::time::Duration;

use thiserror::Error;

use crate::ingest::event::{self, Batch, Context, Data, DueMessage, Event, Record};
use crate::model::digest::Digest;
use crate::model::name::RouteName;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::close::drain;
use crate::protocol::consume::{Consumed, Counts, Verdict, ingest, parked};
use crate::protocol::notifier;
use crate::protocol::notify::{Deliver as _, DeliverError};
use crate::protocol::queue::{DeadLetterQueue as _, Due, DueQueue as _, ParkedItem};
use crate::protocol::round::{Delivery, DeliveryOutcome};
use crate::protocol::services::Services;

pub mod dead_letter;
pub mod listing;

use dead_letter::{
    Content, DeadLetter, Kind, ParkedMessage, ParkedRecord, Payload, Range, Receipt, ReceivedMessage, open, region_of,
};

/// For how long a letter that is being worked on is hidden from others. It is asked for again at half time,
/// between two steps, and a step is shorter than that.
pub const VISIBLE_AFTER: Duration = Duration::from_secs(300);

/// The longest that one step may take: [`VISIBLE_AFTER`] has room for two.
pub const PATIENCE_MAX: Duration = Duration::from_secs(120);

/// Letters that are received together; SQS hands out no more.
const RECEIVED_MAX: usize = 10;

/// Without a due queue, routes are closed by the replay itself: once for this many letters, or after
/// this time, so that ten thousand parked records become a few messages and not ten thousand.
const WAITING_MAX: usize = 1_000;
const WAITING_FOR: Duration = Duration::from_secs(30);

const BACKOFF_FIRST: Duration = Duration::from_millis(500);

/// Why a source of dead letters or records failed. The text says what to do about it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SourceError {
    /// Throttled, unreachable, or damaged. A later replay may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// A missing resource or permission. No replay succeeds until a person has changed something.
    #[error("{0}")]
    Refused(String),
}

impl SourceError {
    /// The stable code of the variant.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "source-unavailable",
            Self::Refused(_) => "source-refused",
        }
    }
}

/// Where letters lie.
pub trait DeadLetterSource: Send + Sync {
    /// Up to `max` letters, which nobody else gets for [`VISIBLE_AFTER`]. None: there are no more now.
    fn receive(
        &self,
        max: usize,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Vec<ReceivedMessage>, SourceError>> + Send;

    /// Takes letters away for good; the answers stand in the order of `tickets`.
    fn delete(
        &self,
        tickets: &[Receipt],
        deadline: Deadline,
    ) -> impl Future<Output = Vec<Result<(), SourceError>>> + Send;

    /// Hides letters for `hidden_for` from now. Zero: they are there again at once. What cannot be
    /// hidden any longer comes again, which is harmless.
    fn hide(&self, tickets: &[Receipt], hidden_for: Duration, deadline: Deadline) -> impl Future<Output = ()> + Send;
}

/// Where records can be read again.
pub trait Streams: Send + Sync {
    /// Records of `range` in their order, those behind sequence number `after` if one is given.
    fn read(
        &self,
        range: &Range,
        after: Option<&str>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Page, SourceError>> + Send;
}

/// Some records of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub records: Vec<StreamRecord>,
    /// Whether the range goes on behind the last of them.
    pub more: bool,
}

/// A record as a stream keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRecord {
    pub sequence: String,
    pub partition_key: Option<String>,
    pub arrived_at: Option<Timestamp>,
    /// Base64, as the event source mapping would hand it over.
    pub data: String,
}

/// Where there is no stream to read from.
impl<S: Streams> Streams for Option<S> {
    async fn read(&self, range: &Range, after: Option<&str>, deadline: Deadline) -> Result<Page, SourceError> {
        match self {
            Some(streams) => streams.read(range, after, deadline).await,
            None => {
                Err(SourceError::Refused(format!("the records are in {}, which is not read here", range.stream_arn)))
            }
        }
    }
}

/// Who watches, and may want it to end.
pub trait Operator: Send + Sync {
    fn watch(&self, report: &Report);
    /// Asked between two steps; what is being worked on is finished.
    fn wants_to_stop(&self) -> bool;
}

/// Which letters, and how fast.
#[derive(Clone, Debug)]
pub struct Options {
    /// Empty: every kind.
    pub kinds: Vec<Kind>,
    /// The code, or a part of the reason.
    pub reason: Option<String>,
    /// Parked at this moment or later.
    pub since: Option<Timestamp>,
    /// Letters per second.
    pub rate: Option<f64>,
    /// Letters at the most.
    pub max: Option<u64>,
    /// How long a step keeps trying; at most [`PATIENCE_MAX`] counts.
    pub patience: Duration,
    /// The Region that the functions run in; a direct subscription comes from there.
    pub region: Option<String>,
}

impl Default for Options {
    fn default() -> Self {
        let patience = Duration::from_secs(60);
        Self { kinds: Vec::new(), reason: None, since: None, rate: None, max: None, patience, region: None }
    }
}

impl Options {
    /// Whether a letter is meant.
    pub fn admit(&self, opened: &DeadLetter) -> bool {
        (self.kinds.is_empty() || self.kinds.contains(&opened.kind))
            && self.reason.as_ref().is_none_or(|part| opened.code == *part || opened.reason.contains(part.as_str()))
            && self.since.is_none_or(|since| opened.parked_at.is_none_or(|at| at >= since))
    }
}

/// What a replay came to, so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Letters that were received.
    pub received: u64,
    /// Letters that the filters left alone.
    pub skipped: u64,
    /// Letters settled and deleted, by kind.
    pub reprocessed: BTreeMap<Kind, u64>,
    /// Letters that stay where they are, in order.
    pub stays: Vec<Unresolved>,
    /// The books of the records.
    pub counts: Counts,
    pub messages: Vec<Delivery>,
    /// Records that a stream no longer has.
    pub records_gone: u64,
    /// The operator ended it.
    pub interrupted: bool,
    /// The source failed, and ended it.
    pub ended_by: Option<SourceError>,
}

/// A letter that stays, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    pub id: String,
    pub kind: Kind,
    /// Of a record that cannot be read.
    pub code: Option<String>,
    pub why: String,
}

impl Report {
    /// Letters that were taken up: those that were settled and those that stay.
    pub fn done(&self) -> u64 {
        self.reprocessed.values().sum::<u64>() + self.stays.len() as u64
    }

    pub fn reprocessed(&self) -> u64 {
        self.reprocessed.values().sum()
    }

    /// Whether everything that was meant is settled.
    pub fn is_clean(&self) -> bool {
        self.stays.is_empty() && self.ended_by.is_none() && !self.interrupted
    }
}

/// Replays what `dead_letters` has, until it has no more, `options.max` is reached or the operator wants to stop.
pub async fn replay<W: Services, L: DeadLetterSource, S: Streams, O: Operator>(
    services: &W,
    dead_letters: &L,
    streams: &S,
    options: &Options,
    operator: &O,
) -> Report {
    let started = services.clock().now();
    let mut replay = Replay {
        services,
        dead_letters,
        streams,
        options,
        operator,
        started,
        taken: 0,
        waiting: Vec::new(),
        untold: BTreeSet::new(),
        hidden: BTreeMap::new(),
        report: Report::default(),
    };
    replay.all().await;
    replay.tell().await;
    replay.give_back().await;
    replay.report
}

struct Replay<'a, W, L, S, O> {
    services: &'a W,
    dead_letters: &'a L,
    streams: &'a S,
    options: &'a Options,
    operator: &'a O,
    started: Timestamp,
    /// Letters taken up.
    taken: u64,
    /// Letters whose alerts are committed, and whose routes are still to be told.
    waiting: Vec<Waiting>,
    /// Routes to be told where there is no due queue, also those of a letter that stays: a part of it may be committed.
    untold: BTreeSet<RouteName>,
    /// Letters in hand, and until when nobody else sees them. Those that stay are kept until the end, or
    /// they would be received again and again.
    hidden: BTreeMap<Receipt, Timestamp>,
    report: Report,
}

struct Waiting {
    receipt: Receipt,
    kind: Kind,
    routes: BTreeSet<RouteName>,
    since: Timestamp,
}

/// What came of records.
#[derive(Default)]
struct BatchOutcome {
    routes: BTreeSet<RouteName>,
    /// Why one of them must come again.
    retry: Option<String>,
    /// Those that cannot be read, ready to be parked.
    unreadable: Vec<ParkedItem>,
}

impl BatchOutcome {
    fn add(&mut self, more: Self) {
        self.routes.extend(more.routes);
        self.retry = self.retry.take().or(more.retry);
        self.unreadable.extend(more.unreadable);
    }
}

/// How one letter ended.
enum DeadLetterOutcome {
    /// Its work is settled once these routes are told; none: it is settled.
    Safe(BTreeSet<RouteName>),
    /// It is one record, which cannot be read.
    Unreadable {
        code: String,
        why: String,
    },
    Unresolved(String),
}

impl<W: Services, L: DeadLetterSource, S: Streams, O: Operator> Replay<'_, W, L, S, O> {
    async fn all(&mut self) {
        loop {
            if self.operator.wants_to_stop() {
                self.report.interrupted = true;
                return;
            }
            let wanted = self.wanted();
            if wanted == 0 {
                return;
            }
            match self.dead_letters.receive(wanted, self.deadline()).await {
                Ok(received) if received.is_empty() => return,
                Ok(received) => self.take_up(received).await,
                Err(error) => {
                    self.report.ended_by = Some(error);
                    return;
                }
            }
            self.pace().await;
        }
    }

    /// How many letters to receive next.
    fn wanted(&self) -> usize {
        let left = self.options.max.map_or(u64::MAX, |max| max.saturating_sub(self.taken));
        let per_second = self.options.rate.map_or(RECEIVED_MAX, |rate| rate as usize);
        usize::try_from(left).unwrap_or(usize::MAX).min(per_second.clamp(1, RECEIVED_MAX))
    }

    async fn take_up(&mut self, received: Vec<ReceivedMessage>) {
        let until = self.services.clock().now().after(VISIBLE_AFTER);
        self.hidden.extend(received.iter().map(|dead_letter| (dead_letter.receipt.clone(), until)));
        let mut records = Vec::new();
        let mut others = Vec::new();
        for dead_letter in received {
            self.report.received += 1;
            let opened = open(&dead_letter);
            if !self.options.admit(&opened) {
                self.report.skipped += 1;
                continue;
            }
            self.taken += 1;
            match opened.content {
                Content::Record(record) => records.push((dead_letter.receipt, record)),
                content => others.push((dead_letter.receipt, opened.kind, content)),
            }
        }
        self.records(records).await;
        for (receipt, kind, content) in others {
            if self.operator.wants_to_stop() {
                self.report.interrupted = true;
                return;
            }
            let fate = Box::pin(self.one(content)).await;
            self.ends(receipt, kind, fate).await;
        }
    }

    /// Parked records, together: the more are committed at once, the fewer transactions.
    async fn records(&mut self, records: Vec<(Receipt, ParkedRecord)>) {
        if records.is_empty() {
            return;
        }
        let batch =
            Batch { records: records.iter().map(|(_, record)| record_of(record)).collect(), window_state: None };
        let mut consumed = self.take_in(&batch).await;
        self.count(&mut consumed);
        for (index, (receipt, _)) in records.into_iter().enumerate() {
            let fate = match &consumed.verdicts[index] {
                Verdict::Safe => DeadLetterOutcome::Safe(touched_by(&consumed, index)),
                Verdict::Unreadable(poison) | Verdict::Parked(poison) => {
                    DeadLetterOutcome::Unreadable { code: poison.code().to_string(), why: poison.to_string() }
                }
                Verdict::Retry(why) => DeadLetterOutcome::Unresolved(why.to_string()),
            };
            self.ends(receipt, Kind::Record, fate).await;
        }
    }

    async fn one(&mut self, content: Content) -> DeadLetterOutcome {
        match content {
            Content::Record(record) => {
                let came = self.consume(&Batch { records: vec![record_of(&record)], window_state: None }).await;
                self.ended(came, true).await
            }
            Content::Range(range) => self.range(&range).await,
            Content::Message(message) => self.message(message).await,
            Content::Due(due) => self.due(&due).await,
            Content::Payload(payload) => self.payload(&payload).await,
            Content::Unknown(why) => DeadLetterOutcome::Unresolved(why),
        }
    }

    /// Ingests a batch. Unreadable records are returned, and not parked yet: a dead letter that is one such record is
    /// in the queue already.
    async fn consume(&mut self, batch: &Batch<'_>) -> BatchOutcome {
        let mut consumed = self.take_in(batch).await;
        self.count(&mut consumed);
        let now = self.services.clock().now();
        let mut came = BatchOutcome::default();
        for (record, verdict) in batch.records.iter().zip(&consumed.verdicts) {
            match verdict {
                Verdict::Safe => {}
                Verdict::Unreadable(poison) | Verdict::Parked(poison) => {
                    came.unreadable.push(parked(record, poison, now))
                }
                Verdict::Retry(why) => came.retry = came.retry.or_else(|| Some(why.to_string())),
            }
        }
        came.routes = consumed.touched.into_keys().collect();
        came
    }

    /// A letter that is one record stays when the record cannot be read. The bad ones among several are parked
    /// each for itself, so that their letter can go; but only once nothing else keeps it, or each replay would
    /// park them again.
    async fn ended(&mut self, came: BatchOutcome, alone: bool) -> DeadLetterOutcome {
        if let Some(why) = came.retry {
            return DeadLetterOutcome::Unresolved(why);
        }
        if let (true, Some(record)) = (alone, came.unreadable.first()) {
            return DeadLetterOutcome::Unreadable { code: record.code.to_string(), why: record.reason.clone() };
        }
        if !came.unreadable.is_empty() {
            let answers = self.services.dead_letters().park(&came.unreadable, self.deadline()).await;
            if let Some(error) = answers.into_iter().find_map(Result::err) {
                return DeadLetterOutcome::Unresolved(format!(
                    "some of its records cannot be read and could not be parked: {error}"
                ));
            }
        }
        DeadLetterOutcome::Safe(came.routes)
    }

    /// Boxed, as everything here that goes deep into the store: what is on the stack is there in every poll.
    async fn take_in(&self, batch: &Batch<'_>) -> Consumed {
        Box::pin(ingest(self.services, batch, self.deadline())).await
    }

    fn count(&mut self, consumed: &mut Consumed) {
        self.report.counts += consumed.counts;
        if self.services.due().is_none() {
            self.untold.extend(consumed.touched.keys().cloned());
        }
        self.report.messages.append(&mut consumed.messages);
    }

    async fn payload(&mut self, payload: &Payload) -> DeadLetterOutcome {
        match event::read(&payload.json, context_of(payload, self.options.region.as_deref())) {
            Ok(Event::Batch(batch)) => {
                let came = self.consume(&batch).await;
                self.ended(came, batch.records.len() == 1).await
            }
            Ok(Event::Due(messages)) => self.due_messages(messages).await,
            Ok(Event::Sweep) => self.sweep().await,
            Err(error) => DeadLetterOutcome::Unresolved(error.to_string()),
        }
    }

    async fn due_messages(&mut self, messages: Vec<DueMessage>) -> DeadLetterOutcome {
        for message in messages {
            let fate = match serde_json::from_str(&message.body) {
                Ok(due) => self.due(&due).await,
                Err(_) => DeadLetterOutcome::Unresolved("one of its messages is no due message".to_owned()),
            };
            if let DeadLetterOutcome::Unresolved(_) = fate {
                return fate;
            }
        }
        DeadLetterOutcome::Safe(BTreeSet::new())
    }

    async fn sweep(&mut self) -> DeadLetterOutcome {
        match Box::pin(notifier::sweep(self.services, self.deadline())).await {
            Ok(swept) => {
                self.report.messages.extend(swept.messages);
                let unfinished = swept.unfinished.into_iter().next();
                unfinished.map_or_else(
                    || DeadLetterOutcome::Safe(BTreeSet::new()),
                    |(route, retry)| DeadLetterOutcome::Unresolved(format!("route {route}: {}", retry.reason)),
                )
            }
            Err(error) => DeadLetterOutcome::Unresolved(error.to_string()),
        }
    }

    /// Records of a stream, page by page. What the stream no longer has keeps the letter where it is: it is
    /// the only trace that is left of them.
    async fn range(&mut self, range: &Range) -> DeadLetterOutcome {
        let (mut found, mut first, mut after) = (0, None, None::<String>);
        let mut all = BatchOutcome::default();
        loop {
            let page = match self.streams.read(range, after.as_deref(), self.deadline()).await {
                Ok(page) => page,
                Err(error) => return DeadLetterOutcome::Unresolved(error.to_string()),
            };
            found += page.records.len() as u64;
            first = first.or_else(|| page.records.first().map(|record| record.sequence.clone()));
            after = page.records.last().map(|record| record.sequence.clone()).or(after);
            let records = page.records.iter().map(|record| stream_record_of(range, record)).collect();
            all.add(self.consume(&Batch { records, window_state: None }).await);
            if !page.more || all.retry.is_some() {
                break;
            }
            if self.operator.wants_to_stop() {
                return DeadLetterOutcome::Unresolved(format!(
                    "interrupted after {found} records of {}",
                    range.shard_id
                ));
            }
            self.keep_hidden().await;
        }
        match gone(range, found, first.as_deref()) {
            Some((gone, why)) if all.retry.is_none() => {
                self.report.records_gone += gone;
                DeadLetterOutcome::Unresolved(why)
            }
            _ => self.ended(all, range.records == Some(1)).await,
        }
    }

    /// Delivers a parked message to the target that did not get it.
    async fn message(&mut self, message: ParkedMessage) -> DeadLetterOutcome {
        let ParkedMessage { route, target, epochs, tally } = message;
        let digest = Digest::parked(
            &route,
            &target,
            self.services.routes().get(&route).and_then(|route| route.severity),
            epochs,
            *tally,
        );
        let (outcome, fate) = match self.deliver(&digest).await {
            Ok(()) => (DeliveryOutcome::Accepted, DeadLetterOutcome::Safe(BTreeSet::new())),
            Err(why) => (DeliveryOutcome::Retry(why.clone()), DeadLetterOutcome::Unresolved(why)),
        };
        self.report.messages.push(Delivery { route, target, epochs, alerts: digest.tally.alerts, outcome });
        fate
    }

    /// Tries until the target has accepted or refused, or this step has no time left.
    async fn deliver(&self, digest: &Digest) -> Result<(), String> {
        let deadline = self.deadline();
        let mut pause = BACKOFF_FIRST;
        loop {
            let (after, reason) = match self.services.deliver().deliver(digest, None, deadline).await {
                Ok(_) => return Ok(()),
                Err(DeliverError::Retry { after, reason }) => (after, reason),
                Err(DeliverError::Denied { reason } | DeliverError::Refused { reason }) => return Err(reason),
                Err(error @ DeliverError::Deferred) => return Err(error.to_string()),
            };
            let wait = after.unwrap_or(pause).max(BACKOFF_FIRST);
            if wait >= deadline.remaining(self.services.clock().now()) || !self.sleep(wait).await {
                return Err(reason);
            }
            pause *= 2;
        }
    }

    /// A route that a due message spoke of: closed if it is due, and everyone told who is owed something. A message
    /// whose window is still open is the only timer that the window has, and goes back into the due queue.
    async fn due(&mut self, due: &Due) -> DeadLetterOutcome {
        let deadline = self.deadline();
        let closed = Box::pin(drain(self.services, &due.route, deadline)).await;
        self.report.messages.extend(closed.messages);
        if let Some(retry) = closed.retry {
            return DeadLetterOutcome::Unresolved(retry.reason.to_string());
        }
        let waits = closed.open.filter(|open| open.number == due.window);
        if let (Some(open), Some(queue)) = (waits, self.services.due()) {
            let delay = self.services.clock().now().until(open.due);
            if let Err(error) = queue.send(due, delay, deadline).await {
                return DeadLetterOutcome::Unresolved(format!(
                    "its window is open, and the due queue does not take it: {error}"
                ));
            }
        }
        DeadLetterOutcome::Safe(BTreeSet::new())
    }

    /// With a due queue a letter is settled as soon as its routes are armed. Without one it waits for them to be
    /// told: nobody else would.
    async fn ends(&mut self, receipt: Receipt, kind: Kind, fate: DeadLetterOutcome) {
        match fate {
            DeadLetterOutcome::Unreadable { code, why } => self.stays(&receipt, kind, Some(code), why),
            DeadLetterOutcome::Unresolved(why) => self.stays(&receipt, kind, None, why),
            DeadLetterOutcome::Safe(routes) if routes.is_empty() || self.services.due().is_some() => {
                self.delete(vec![(receipt, kind)]).await;
            }
            DeadLetterOutcome::Safe(routes) => {
                self.waiting.push(Waiting { receipt, kind, routes, since: self.services.clock().now() });
            }
        }
        let overdue = |waiting: &Waiting| waiting.since.after(WAITING_FOR) <= self.services.clock().now();
        if self.waiting.len() >= WAITING_MAX || self.waiting.first().is_some_and(overdue) {
            self.tell().await;
        }
        self.keep_hidden().await;
        self.operator.watch(&self.report);
    }

    /// Tells the routes that letters wait for, then lets go of the letters.
    async fn tell(&mut self) {
        let waiting = std::mem::take(&mut self.waiting);
        let mut routes = std::mem::take(&mut self.untold);
        routes.extend(waiting.iter().flat_map(|waiting| waiting.routes.iter().cloned()));
        let mut untold = BTreeMap::new();
        for route in routes {
            self.keep_hidden().await;
            let closed = Box::pin(drain(self.services, &route, self.deadline())).await;
            self.report.messages.extend(closed.messages);
            if let Some(retry) = closed.retry {
                untold.insert(route, retry.reason.to_string());
            }
        }
        let mut reprocessed = Vec::new();
        for Waiting { receipt, kind, routes, .. } in waiting {
            match routes.iter().find_map(|route| untold.get_key_value(route)) {
                Some((route, why)) => self.stays(&receipt, kind, None, format!("committed; route {route}: {why}")),
                None => reprocessed.push((receipt, kind)),
            }
        }
        self.delete(reprocessed).await;
        self.operator.watch(&self.report);
    }

    async fn delete(&mut self, reprocessed: Vec<(Receipt, Kind)>) {
        if reprocessed.is_empty() {
            return;
        }
        let (tickets, kinds): (Vec<Receipt>, Vec<Kind>) = reprocessed.into_iter().unzip();
        let answers = self.dead_letters.delete(&tickets, self.deadline()).await;
        for ((receipt, kind), answer) in tickets.into_iter().zip(kinds).zip(answers) {
            match answer {
                Ok(()) => {
                    self.hidden.remove(&receipt);
                    *self.report.reprocessed.entry(kind).or_default() += 1;
                }
                Err(error) => self.stays(&receipt, kind, None, format!("settled, and could not be deleted: {error}")),
            }
        }
    }

    fn stays(&mut self, receipt: &Receipt, kind: Kind, code: Option<String>, why: String) {
        let why = crate::model::visible::line(&why);
        tracing::debug!(dead_letter.id = %receipt.id, dead_letter.kind = %kind, dead_letter.code = code, "A letter stays: {why}");
        self.report.stays.push(Unresolved { id: receipt.id.clone(), kind, code, why });
    }

    /// Asks for more time for the letters in hand, when half of it is over.
    async fn keep_hidden(&mut self) {
        let now = self.services.clock().now();
        let soon = now.after(VISIBLE_AFTER / 2);
        let tickets: Vec<Receipt> =
            self.hidden.iter().filter(|(_, until)| **until <= soon).map(|(receipt, _)| receipt.clone()).collect();
        if tickets.is_empty() {
            return;
        }
        self.dead_letters.hide(&tickets, VISIBLE_AFTER, self.deadline()).await;
        let until = now.after(VISIBLE_AFTER);
        self.hidden.extend(tickets.into_iter().map(|receipt| (receipt, until)));
    }

    /// What stays is there for the next at once.
    async fn give_back(&mut self) {
        let tickets: Vec<Receipt> = std::mem::take(&mut self.hidden).into_keys().collect();
        if !tickets.is_empty() {
            self.dead_letters.hide(&tickets, Duration::ZERO, self.deadline()).await;
        }
        self.operator.watch(&self.report);
    }

    /// Waits until the rate allows the next letters.
    async fn pace(&mut self) {
        let Some(rate) = self.options.rate.filter(|rate| *rate > 0.0) else { return };
        let next = self.started.after(Duration::from_secs_f64(self.taken as f64 / rate));
        self.sleep(self.services.clock().now().until(next)).await;
        self.keep_hidden().await;
    }

    /// Sleeps, unless the operator wants to stop meanwhile; tells whether it slept through.
    async fn sleep(&self, duration: Duration) -> bool {
        const LOOK_AGAIN: Duration = Duration::from_millis(250);
        let end = Deadline::after(self.services.clock().now(), duration);
        loop {
            let left = end.remaining(self.services.clock().now());
            if left.is_zero() {
                return true;
            }
            if self.operator.wants_to_stop() {
                return false;
            }
            self.services.clock().sleep(left.min(LOOK_AGAIN)).await;
        }
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(self.services.clock().now(), self.options.patience.min(PATIENCE_MAX))
    }
}

/// The routes that one record of a batch touched.
fn touched_by(consumed: &Consumed, index: usize) -> BTreeSet<RouteName> {
    let touched = consumed.touched.iter().filter(|(_, records)| records.contains(&index));
    touched.map(|(route, _)| route.clone()).collect()
}

/// `region`: where the functions run.
fn context_of<'c>(payload: &'c Payload, region: Option<&'c str>) -> Context<'c> {
    Context { name: "replay", region: payload.region.as_deref().or(region), records_max: None }
}

fn record_of(parked: &ParkedRecord) -> Record<'_> {
    let mut record = Record::named(parked.event_id.clone(), Data::Base64(parked.data.as_str().into()));
    let region = || parked.stream_arn.as_deref().and_then(region_of);
    record.region = parked.region.clone().or_else(region).map(Into::into);
    record.stream_arn = parked.stream_arn.as_deref().map(Into::into);
    record.partition_key = parked.partition_key.as_deref().map(Into::into);
    record.arrived_at = parked.arrived_at.as_deref().map(Into::into);
    record
}

fn stream_record_of<'r>(range: &'r Range, record: &'r StreamRecord) -> Record<'r> {
    let event_id = format!("{}:{}", range.shard_id, record.sequence);
    let mut whole = Record::named(event_id, Data::Base64(record.data.as_str().into()));
    whole.region = region_of(&range.stream_arn).map(Into::into);
    whole.stream_arn = Some(range.stream_arn.as_str().into());
    whole.partition_key = record.partition_key.as_deref().map(Into::into);
    // Seconds, as the event source mapping writes it.
    whole.arrived_at = record.arrived_at.map(|at| format!("{:.3}", at.as_millis() as f64 / 1000.0).into());
    whole
}

/// How many records of a range are missing, and what to say about it. A stream forgets its oldest first.
fn gone(range: &Range, found: u64, first: Option<&str>) -> Option<(u64, String)> {
    match range.records {
        Some(records) if found < records => {
            let gone = records - found;
            Some((gone, format!("{gone} of {records} records are past the stream's retention; {found} were replayed")))
        }
        Some(_) => None,
        None if first == Some(range.first.as_str()) => None,
        None => Some((1, format!("the first records are past the stream's retention; {found} were replayed"))),
    }
}

#[cfg(test)]
mod tests;
