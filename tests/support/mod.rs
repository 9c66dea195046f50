//! Shared by the tests of the protocol: the production store on the embedded engine, small fakes of
//! queues and targets, and a switch that "crashes" the process at any of its remote calls.
#![allow(dead_code, reason = "each test binary uses its own part of this")]

pub(crate) mod adf;
#[cfg(feature = "postgres")]
pub mod engines;
pub(crate) mod jira;
pub mod parked;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod proxy;
pub mod schema;
pub mod service;
pub mod target_services;
#[cfg(feature = "postgres")]
pub mod tcp;

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::DynamoStore;
use stentor::adapters::embedded::Embedded;
use stentor::config::Config;
use stentor::ingest::event::{Batch, Data, Record};
use stentor::ingest::logs::{LogBatch, LogEvent, Message};
use stentor::ingest::route::Routes;
use stentor::model::alert::{Alert, AlertId, Origin};
use stentor::model::burst::BurstState;
use stentor::model::digest::Digest;
use stentor::model::error::Cause;
use stentor::model::history::{History, Mark};
use stentor::model::name::{RouteName, Target};
use stentor::model::outbox::{
    Acknowledgement, BurstPatterns, Claim, Cursor, Deferral, Epoch, Escalation, Freeze, Lease,
    Opening, Recipient, TallyPage, TallyPosition, TargetState, Window,
};
use stentor::model::pattern::Pattern;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock, Deadline};
use stentor::protocol::dead_letter::ParkedItem;
use stentor::protocol::notify::{Accepted, Deliver, DeliverError, DeliveryFailure, FailureCode};
use stentor::protocol::queue::{ChangeVisibility, DeadLetterQueue, Due, DueQueue, QueueError};
use stentor::protocol::services::Services;
use stentor::protocol::store::{Commit, HistoryChange, Store, StoreError};

/// Where a process crashes: before its nth remote call takes effect, or after it and before the
/// answer arrives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    Before(u64),
    After(u64),
}

/// Counts the remote calls of a process, and crashes it at one of them.
#[derive(Debug, Default)]
pub struct CrashSwitch {
    calls: AtomicU64,
    crash: Mutex<Option<Crash>>,
    log: Mutex<Vec<&'static str>>,
}

impl CrashSwitch {
    /// Starts a new process, which crashes at `crash`.
    pub fn restart(&self, crash: Option<Crash>) {
        self.calls.store(0, Ordering::SeqCst);
        *self.crash.lock().unwrap() = crash;
        self.log.lock().unwrap().clear();
    }

    pub fn calls(&self) -> u64 {
        self.calls.load(Ordering::SeqCst)
    }

    /// The names of the calls of this process, in order.
    pub fn log(&self) -> Vec<&'static str> {
        self.log.lock().unwrap().clone()
    }

    /// Makes a remote call. Calls after the crash have no effect.
    pub async fn call<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = T>,
    ) -> Result<T, Cause> {
        let n = self.calls.fetch_add(1, Ordering::SeqCst);
        self.log.lock().unwrap().push(name);
        let crash = *self.crash.lock().unwrap();
        match crash {
            Some(Crash::Before(at)) if n >= at => Err(crashed()),
            Some(Crash::After(at)) if n > at => Err(crashed()),
            Some(Crash::After(at)) if n == at => {
                call.await;
                Err(crashed())
            }
            _ => Ok(call.await),
        }
    }
}

fn crashed() -> Cause {
    Cause::new("crashed", "the process has crashed")
}

/// The production store on an engine in memory, whose calls pass the crash switch.
pub struct CrashingStore<'a> {
    pub inner: DynamoStore<StoreClock>,
    crash_switch: &'a CrashSwitch,
}

impl CrashingStore<'_> {
    async fn through<T>(
        &self,
        name: &'static str,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        self.crash_switch
            .call(name, call)
            .await
            .unwrap_or_else(|cause| Err(StoreError::Unavailable(cause)))
    }
}

impl Store for CrashingStore<'_> {
    async fn commit(
        &self,
        alerts: &[impl Borrow<Alert> + Sync],
        deadline: Deadline,
    ) -> Vec<Commit> {
        let commits = self.crash_switch.call("commit", self.inner.commit(alerts, deadline)).await;
        commits.unwrap_or_else(|cause| {
            vec![Commit::Failed(StoreError::Unavailable(cause).into()); alerts.len()]
        })
    }

    async fn cursor(&self, route: &RouteName, deadline: Deadline) -> Result<Cursor, StoreError> {
        self.through("cursor", self.inner.cursor(route, deadline)).await
    }

    async fn routes(&self, deadline: Deadline) -> Result<Vec<RouteName>, StoreError> {
        self.through("routes", self.inner.routes(deadline)).await
    }

    async fn open(
        &self,
        route: &RouteName,
        opening: &Opening,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.through("open", self.inner.open(route, opening, deadline)).await
    }

    async fn claim(
        &self,
        route: &RouteName,
        window: u64,
        known: Option<Claim>,
        claim: Option<Claim>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.through("claim", self.inner.claim(route, window, known, claim, deadline)).await
    }

    async fn pull_forward(
        &self,
        route: &RouteName,
        window: &Window,
        patterns: &BurstPatterns,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let pulled = self.inner.pull_forward(route, window, patterns, deadline);
        self.through("pull_forward", pulled).await
    }

    async fn close(
        &self,
        route: &RouteName,
        window: u64,
        burst: Option<BurstState>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.through("close", self.inner.close(route, window, burst, deadline)).await
    }

    async fn tallies(
        &self,
        route: &RouteName,
        position: Option<&TallyPosition>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<TallyPage, StoreError> {
        self.through("tallies", self.inner.tallies(route, position, limit, deadline)).await
    }

    async fn has_tallies(
        &self,
        route: &RouteName,
        round: u64,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.through("has_tallies", self.inner.has_tallies(route, round, deadline)).await
    }

    async fn freeze(
        &self,
        route: &RouteName,
        freeze: &Freeze,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.through("freeze", self.inner.freeze(route, freeze, deadline)).await
    }

    async fn epochs(
        &self,
        route: &RouteName,
        after: u64,
        upto: u64,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<Epoch>, StoreError> {
        self.through("epochs", self.inner.epochs(route, after, upto, limit, deadline)).await
    }

    async fn target(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        deadline: Deadline,
    ) -> Result<TargetState, StoreError> {
        self.through("target", self.inner.target(route, recipient, deadline)).await
    }

    async fn lease(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        known: &TargetState,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Option<TargetState>, StoreError> {
        let lease = self.inner.lease(route, recipient, lease, known, now, deadline);
        self.through("lease", lease).await
    }

    async fn take_turn(
        &self,
        target: &Target,
        interval: Duration,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Timestamp, StoreError> {
        self.through("take_turn", self.inner.take_turn(target, interval, now, deadline)).await
    }

    async fn acknowledge(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        acknowledgement: &Acknowledgement,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.through(
            "acknowledge",
            self.inner.acknowledge(route, recipient, lease, acknowledgement, deadline),
        )
        .await
    }

    async fn release(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        deferral: &Deferral,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.through("release", self.inner.release(route, recipient, lease, deferral, deadline))
            .await
    }

    async fn pause(
        &self,
        target: &Target,
        until: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.through("pause", self.inner.pause(target, until, deadline)).await
    }

    async fn escalate(
        &self,
        route: &RouteName,
        fallback: &Target,
        known: &TargetState,
        offset: u64,
        escalation: &Escalation,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.through(
            "escalate",
            self.inner.escalate(route, fallback, known, offset, escalation, deadline),
        )
        .await
    }

    async fn note_lag(&self, until: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        self.through("note_lag", self.inner.note_lag(until, deadline)).await
    }

    async fn lagging_until(&self, deadline: Deadline) -> Result<Option<Timestamp>, StoreError> {
        self.through("lagging_until", self.inner.lagging_until(deadline)).await
    }

    async fn mute(
        &self,
        route: &RouteName,
        until: Option<Timestamp>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.through("mute", self.inner.mute(route, until, deadline)).await
    }

    async fn retire(
        &self,
        route: &RouteName,
        cursor: &Cursor,
        upto: u64,
        gone: &[Target],
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.through("retire", self.inner.retire(route, cursor, upto, gone, deadline)).await
    }

    async fn histories(
        &self,
        route: &RouteName,
        ids: &[String],
        deadline: Deadline,
    ) -> Result<Vec<(String, History)>, StoreError> {
        self.through("histories", self.inner.histories(route, ids, deadline)).await
    }

    async fn put_histories(
        &self,
        route: &RouteName,
        changes: &[HistoryChange],
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.through("put_histories", self.inner.put_histories(route, changes, deadline)).await
    }

    async fn set_counted(
        &self,
        route: &RouteName,
        upto: u64,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.through("set_counted", self.inner.set_counted(route, upto, now, deadline)).await
    }

    async fn mark(&self, mark: &Mark, deadline: Deadline) -> Result<(), StoreError> {
        self.through("mark", self.inner.mark(mark, deadline)).await
    }

    async fn marks(&self, since: Timestamp, deadline: Deadline) -> Result<Vec<Mark>, StoreError> {
        self.through("marks", self.inner.marks(since, deadline)).await
    }
}

/// A due queue that keeps its messages until a test takes them.
pub struct FakeDueQueue<'a> {
    crash_switch: &'a CrashSwitch,
    pub sent: Mutex<Vec<(Due, Duration)>>,
}

impl DueQueue for FakeDueQueue<'_> {
    async fn send(
        &self,
        due: &Due,
        delay: Duration,
        _deadline: Deadline,
    ) -> Result<(), QueueError> {
        let send = async { self.sent.lock().unwrap().push((due.clone(), delay)) };
        self.crash_switch.call("send", send).await.map_err(QueueError::Unavailable)
    }
}

impl ChangeVisibility for FakeDueQueue<'_> {
    async fn change_visibility(
        &self,
        _receipt: &str,
        _delay: Duration,
        _deadline: Deadline,
    ) -> Result<(), QueueError> {
        Ok(())
    }
}

/// A dead-letter queue in memory.
pub struct FakeDeadLetters<'a> {
    crash_switch: &'a CrashSwitch,
    pub parked: Mutex<Vec<ParkedItem>>,
    pub put_back: Mutex<Vec<String>>,
}

impl DeadLetterQueue for FakeDeadLetters<'_> {
    async fn park(&self, items: &[ParkedItem], _deadline: Deadline) -> Vec<Result<(), QueueError>> {
        let park = async { self.parked.lock().unwrap().extend_from_slice(items) };
        let result = self.crash_switch.call("park", park).await.map_err(QueueError::Unavailable);
        vec![result; items.len()]
    }

    async fn put_back(&self, bodies: &[String], _: Deadline) -> Vec<Result<(), QueueError>> {
        let put = async { self.put_back.lock().unwrap().extend_from_slice(bodies) };
        let result = self.crash_switch.call("put_back", put).await.map_err(QueueError::Unavailable);
        vec![result; bodies.len()]
    }
}

/// Targets that accept every digest, unless `answers` says otherwise.
pub struct FakeTargets<'a> {
    crash_switch: &'a CrashSwitch,
    /// The accepted digests, in order.
    pub accepted: Mutex<Vec<Digest>>,
    /// Answers of a target, in order, before it accepts.
    pub answers: Mutex<BTreeMap<Target, Vec<DeliverError>>>,
}

impl Deliver for FakeTargets<'_> {
    async fn deliver(
        &self,
        digest: &Digest,
        _joins: Option<&str>,
        _deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        let deliver = async {
            if let Some(answers) = self.answers.lock().unwrap().get_mut(&digest.target)
                && !answers.is_empty()
            {
                return Err(answers.remove(0));
            }
            self.accepted.lock().unwrap().push(digest.clone());
            Ok(Accepted::default())
        };
        let crashed = |cause: Cause| {
            Err(DeliverError::Retry {
                after: None,
                reason: DeliveryFailure::new(FailureCode::Timeout, cause.to_string()),
            })
        };
        self.crash_switch.call("deliver", deliver).await.unwrap_or_else(crashed)
    }
}

/// The system clock plus an offset that a test adds to. A sleep adds its duration to the offset and
/// returns at once.
#[derive(Debug, Default)]
pub struct ForwardClock {
    ahead_ms: Arc<AtomicI64>,
    /// Each reading adds this to the offset.
    pub tick_ms: AtomicI64,
}

/// The time of a [`ForwardClock`] for a store whose calls take real time: reading it adds nothing,
/// and a sleep takes real time.
#[derive(Debug)]
pub struct StoreClock {
    ahead_ms: Arc<AtomicI64>,
}

impl ForwardClock {
    pub fn forward(&self, by: Duration) {
        self.ahead_ms.fetch_add(i64::try_from(by.as_millis()).unwrap(), Ordering::SeqCst);
    }

    pub fn for_store(&self) -> StoreClock {
        StoreClock { ahead_ms: Arc::clone(&self.ahead_ms) }
    }
}

impl Clock for StoreClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(SystemClock.now().as_millis() + self.ahead_ms.load(Ordering::SeqCst))
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        SystemClock.sleep(duration)
    }
}

impl Clock for ForwardClock {
    fn now(&self) -> Timestamp {
        let tick = self.tick_ms.load(Ordering::SeqCst);
        let ahead = self.ahead_ms.fetch_add(tick, Ordering::SeqCst) + tick;
        Timestamp::from_millis(SystemClock.now().as_millis() + ahead)
    }

    async fn sleep(&self, duration: Duration) {
        self.forward(duration);
        tokio::task::yield_now().await;
    }
}

/// One process: the protocol with the production store on an engine in memory, and fakes for the
/// rest.
pub struct Process<'a> {
    pub routes: Routes,
    pub store: CrashingStore<'a>,
    pub due: Option<FakeDueQueue<'a>>,
    pub dead_letters: FakeDeadLetters<'a>,
    pub targets: FakeTargets<'a>,
    pub clock: ForwardClock,
    pub crash_switch: &'a CrashSwitch,
}

pub const CONFIG: &str = r#"
    window = "30s"
    window_max = "2m"
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]"]
    notify = ["slack:one", "slack:two"]
    [[route]]
    name = "info"
    markers = ["[INFO]"]
    notify = ["slack:one"]
"#;

impl<'a> Process<'a> {
    pub async fn start(engine: &Embedded, crash_switch: &'a CrashSwitch, timed: bool) -> Self {
        let clock = ForwardClock::default();
        let store = engine.store_with(clock.for_store()).await.unwrap();
        Self {
            routes: routes(CONFIG),
            store: CrashingStore { inner: store, crash_switch },
            due: timed.then(|| FakeDueQueue { crash_switch, sent: Mutex::default() }),
            dead_letters: FakeDeadLetters {
                crash_switch,
                parked: Mutex::default(),
                put_back: Mutex::default(),
            },
            targets: FakeTargets {
                crash_switch,
                accepted: Mutex::default(),
                answers: Mutex::default(),
            },
            clock,
            crash_switch,
        }
    }

    pub fn deadline(&self) -> Deadline {
        Deadline::after(self.clock.now(), Duration::from_secs(20))
    }

    /// The number of alerts of `route` that `target` accepted, over all messages.
    pub fn delivered(&self, route: &str, target: &str) -> u64 {
        let accepted = self.targets.accepted.lock().unwrap();
        let of = |digest: &&Digest| {
            digest.route.as_str() == route && digest.target.to_string() == target
        };
        accepted.iter().filter(of).map(|digest| digest.tally.alerts).sum()
    }

    pub fn messages(&self) -> usize {
        self.targets.accepted.lock().unwrap().len()
    }

    /// The number of rows of a route, and the number that its tallies and epochs count. The two
    /// must always be equal.
    pub async fn rows_and_counts(&self, route: &str) -> (u64, u64) {
        let name: RouteName = route.parse().unwrap();
        let rows = self.rows().await;
        let of_route = |row: &&BTreeMap<String, AttributeValue>| {
            row["routes"].as_l().unwrap().contains(&AttributeValue::S(route.to_owned()))
        };
        let deadline = Deadline::after(self.clock.for_store().now(), Duration::from_secs(20));
        let store = &self.store.inner;
        let tallies = store.tallies(&name, None, usize::MAX, deadline).await.unwrap().tallies;
        let latest = store.cursor(&name, deadline).await.unwrap().epoch;
        let epochs = store.epochs(&name, 0, latest, usize::MAX, deadline).await.unwrap();
        let counted = tallies.iter().map(|stored| stored.tally.alerts).sum::<u64>()
            + epochs.iter().map(|epoch| epoch.tally.alerts).sum::<u64>();
        (rows.iter().filter(of_route).count() as u64, counted)
    }

    /// All rows of the audit table.
    pub async fn rows(&self) -> Vec<BTreeMap<String, AttributeValue>> {
        let store = &self.store.inner;
        let scan = store.client().scan().table_name(&store.tables().alerts).consistent_read(true);
        let pages =
            scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.unwrap();
        pages.into_iter().map(|row| row.into_iter().collect()).collect()
    }
}

impl<'a> Services for Process<'a> {
    type Store = CrashingStore<'a>;
    type Due = FakeDueQueue<'a>;
    type DeadLetters = FakeDeadLetters<'a>;
    type Deliver = FakeTargets<'a>;
    type Clock = ForwardClock;

    fn routes(&self) -> &Routes {
        &self.routes
    }

    fn store(&self) -> &CrashingStore<'a> {
        &self.store
    }

    fn due(&self) -> Option<&FakeDueQueue<'a>> {
        self.due.as_ref()
    }

    fn dead_letters(&self) -> &FakeDeadLetters<'a> {
        &self.dead_letters
    }

    fn deliver(&self) -> &FakeTargets<'a> {
        &self.targets
    }

    fn clock(&self) -> &ForwardClock {
        &self.clock
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}

pub fn routes(config: &str) -> Routes {
    Routes::new(&Config::parse(config, "test").unwrap()).unwrap()
}

/// A record of a shard with the given lines. The event ids are `<record>-<n>`.
pub fn record(name: &str, lines: &[&str]) -> Record<'static> {
    let event = |(n, line): (usize, &&str)| LogEvent {
        id: format!("{name}-{n}").into(),
        timestamp: 1_795_443_306_789 + n as i64,
        message: (*line).to_owned().into(),
        account: None,
        region: None,
    };
    let logs = LogBatch {
        owner: "123456789012".into(),
        log_group: "/aws/lambda/shop".into(),
        log_stream: "stream".into(),
        events: lines.iter().enumerate().map(event).collect(),
    };
    Record::named(name.to_owned(), Data::Message(Message::Data(logs)))
}

/// A record whose first event is `line`, with the id `<record>-1`, and whose second event is
/// invalid.
pub fn record_with_bad_event(name: &str, line: &str) -> Record<'static> {
    let message = format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/lambda/shop","logStream":"stream",
        "logEvents":[{{"id":"{name}-1","timestamp":1795443306789,"message":"{line}"}},null]}}"#
    );
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(message.as_bytes()).unwrap();
    Record::named(name.to_owned(), Data::Base64(STANDARD.encode(gzip.finish().unwrap()).into()))
}

/// A record that cannot be decoded.
pub fn poison(name: &str) -> Record<'static> {
    Record::named(name.to_owned(), Data::Base64("bm8gZ3ppcA==".into()))
}

pub fn batch(records: Vec<Record<'static>>) -> Batch<'static> {
    Batch { records, ..Batch::default() }
}

/// An alert of route `critical`, for tests of the store.
pub fn alert(id: &str, routes: &[&str]) -> Alert {
    alert_with(id, routes, &format!("[CRITICAL] order {id} failed"))
}

/// The same with another message.
pub fn alert_with(id: &str, routes: &[&str], message: &str) -> Alert {
    let origin =
        Origin::new("123456789012", "/aws/lambda/shop", "stream", Some("eu-west-1"), "test");
    let message = message.to_owned();
    Alert {
        id: AlertId::new(id, &origin),
        timestamp: Timestamp::from_millis(1_795_443_306_789),
        marker: "[CRITICAL]".into(),
        pattern: Pattern::of(&message, "[CRITICAL]"),
        message,
        left_out: 0,
        context: None,
        statement: None,
        routes: routes.iter().map(|route| route.parse().unwrap()).collect(),
        severities: [].into(),
        account_id: "123456789012".into(),
        region: None,
        origin: origin.into(),
    }
}
