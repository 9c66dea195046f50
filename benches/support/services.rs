//! A world in memory: the simulator's tables, queues that take everything, a target that hears
//! everything.

use std::borrow::Borrow;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use stentor::adapters::clock::SystemClock;
use stentor::ingest::route::Routes;
use stentor::model::alert::Alert;
use stentor::model::burst::BurstState;
use stentor::model::digest::Digest;
use stentor::model::history::{History, Mark};
use stentor::model::name::{RouteName, Target};
use stentor::model::outbox::{
    Acknowledgement, BurstPatterns, Claim, Cursor, Deferral, Epoch, Escalation, Freeze, Lease,
    Opening, Recipient, TallyPage, TallyPosition, TargetState, Window,
};
use stentor::model::time::Timestamp;
use stentor::protocol::clock::Deadline;
use stentor::protocol::dead_letter::ParkedItem;
use stentor::protocol::notify::{Accepted, Deliver, DeliverError};
use stentor::protocol::queue::{ChangeVisibility, DeadLetterQueue, Due, DueQueue, QueueError};
use stentor::protocol::services::Services;
use stentor::protocol::store::{Commit, HistoryChange, Store, StoreError};

use crate::engine::{Engine, Memory};

/// As after a deployment: nothing is stored and nothing is open.
pub struct Fresh<'a> {
    routes: &'a Routes,
    store: Tables,
}

/// The simulator's tables, each call taking effect at once.
pub struct Tables(Mutex<Engine>);

/// A queue that drops its messages.
pub struct Ignored;

impl<'a> Fresh<'a> {
    pub fn new(routes: &'a Routes) -> Self {
        Self { routes, store: Tables(Mutex::new(Engine::Memory(Memory::new(None)))) }
    }

    /// Alerts that are counted on `route`.
    pub fn counted(&self, route: &RouteName) -> u64 {
        let stored =
            self.store.engine().tallies(route, None, usize::MAX).expect("memory is in reach");
        stored.tallies.iter().map(|stored| stored.tally.alerts).sum()
    }
}

impl Tables {
    fn engine(&self) -> MutexGuard<'_, Engine> {
        self.0.lock().expect("no thread panicked")
    }
}

impl Services for Fresh<'_> {
    type Store = Tables;
    type Due = Ignored;
    type DeadLetters = Ignored;
    type Deliver = Ignored;
    type Clock = SystemClock;

    fn routes(&self) -> &Routes {
        self.routes
    }

    fn store(&self) -> &Tables {
        &self.store
    }

    fn due(&self) -> Option<&Ignored> {
        Some(&Ignored)
    }

    fn dead_letters(&self) -> &Ignored {
        &Ignored
    }

    fn deliver(&self) -> &Ignored {
        &Ignored
    }

    fn clock(&self) -> &SystemClock {
        &SystemClock
    }

    fn random(&self) -> u64 {
        4
    }
}

impl DueQueue for Ignored {
    async fn send(
        &self,
        _due: &Due,
        _delay: Duration,
        _deadline: Deadline,
    ) -> Result<(), QueueError> {
        Ok(())
    }
}

impl ChangeVisibility for Ignored {
    async fn change_visibility(
        &self,
        _receipt: &str,
        _delay: Duration,
        _deadline: Deadline,
    ) -> Result<(), QueueError> {
        Ok(())
    }
}

impl DeadLetterQueue for Ignored {
    async fn park(&self, items: &[ParkedItem], _deadline: Deadline) -> Vec<Result<(), QueueError>> {
        vec![Ok(()); items.len()]
    }

    async fn put_back(
        &self,
        bodies: &[String],
        _deadline: Deadline,
    ) -> Vec<Result<(), QueueError>> {
        vec![Ok(()); bodies.len()]
    }
}

impl Deliver for Ignored {
    async fn deliver(
        &self,
        _digest: &Digest,
        _joins: Option<&str>,
        _deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        Ok(Accepted::default())
    }
}

impl Store for Tables {
    async fn commit(
        &self,
        alerts: &[impl Borrow<Alert> + Sync],
        _deadline: Deadline,
    ) -> Vec<Commit> {
        self.engine().commit(alerts).commits
    }

    async fn cursor(&self, route: &RouteName, _deadline: Deadline) -> Result<Cursor, StoreError> {
        self.engine().cursor(route)
    }

    async fn routes(&self, _deadline: Deadline) -> Result<Vec<RouteName>, StoreError> {
        self.engine().routes()
    }

    async fn open(
        &self,
        route: &RouteName,
        opening: &Opening,
        _deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.engine().open(route, opening)
    }

    async fn claim(
        &self,
        route: &RouteName,
        window: u64,
        known: Option<Claim>,
        claim: Option<Claim>,
        _deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.engine().claim(route, window, known, claim)
    }

    async fn pull_forward(
        &self,
        route: &RouteName,
        window: &Window,
        patterns: &BurstPatterns,
        _deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.engine().pull_forward(route, window, patterns)
    }

    async fn close(
        &self,
        route: &RouteName,
        window: u64,
        burst: Option<BurstState>,
        _deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.engine().close(route, window, burst)
    }

    async fn tallies(
        &self,
        route: &RouteName,
        position: Option<&TallyPosition>,
        limit: usize,
        _deadline: Deadline,
    ) -> Result<TallyPage, StoreError> {
        self.engine().tallies(route, position, limit)
    }

    async fn has_tallies(
        &self,
        route: &RouteName,
        round: u64,
        _deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.engine().has_tallies(route, round)
    }

    async fn freeze(
        &self,
        route: &RouteName,
        freeze: &Freeze,
        _deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.engine().freeze(route, freeze)
    }

    async fn epochs(
        &self,
        route: &RouteName,
        after: u64,
        upto: u64,
        limit: usize,
        _deadline: Deadline,
    ) -> Result<Vec<Epoch>, StoreError> {
        self.engine().epochs(route, after, upto, limit)
    }

    async fn target(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        _deadline: Deadline,
    ) -> Result<TargetState, StoreError> {
        self.engine().target(route, recipient)
    }

    async fn lease(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        known: &TargetState,
        now: Timestamp,
        _deadline: Deadline,
    ) -> Result<Option<TargetState>, StoreError> {
        self.engine().lease(route, recipient, lease, known, now)
    }

    async fn take_turn(
        &self,
        target: &Target,
        interval: Duration,
        now: Timestamp,
        _deadline: Deadline,
    ) -> Result<Timestamp, StoreError> {
        self.engine().take_turn(target, interval, now)
    }

    async fn acknowledge(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        acknowledgement: &Acknowledgement,
        _deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.engine().acknowledge(route, recipient, lease, acknowledgement)
    }

    async fn release(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        deferral: &Deferral,
        _deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.engine().release(route, recipient, lease, deferral)
    }

    async fn pause(
        &self,
        target: &Target,
        until: Timestamp,
        _deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.engine().pause(target, until)
    }

    async fn escalate(
        &self,
        route: &RouteName,
        fallback: &Target,
        known: &TargetState,
        offset: u64,
        escalation: &Escalation,
        _deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.engine().escalate(route, fallback, known, offset, escalation)
    }

    async fn note_lag(&self, until: Timestamp, _deadline: Deadline) -> Result<(), StoreError> {
        self.engine().note_lag(until)
    }

    async fn lagging_until(&self, _deadline: Deadline) -> Result<Option<Timestamp>, StoreError> {
        self.engine().lagging_until()
    }

    async fn mute(
        &self,
        route: &RouteName,
        until: Option<Timestamp>,
        _deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.engine().mute(route, until)
    }

    async fn retire(
        &self,
        route: &RouteName,
        cursor: &Cursor,
        upto: u64,
        gone: &[Target],
        _deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.engine().retire(route, cursor, upto, gone)
    }

    async fn histories(
        &self,
        route: &RouteName,
        ids: &[String],
        _deadline: Deadline,
    ) -> Result<Vec<(String, History)>, StoreError> {
        self.engine().histories(route, ids)
    }

    async fn put_histories(
        &self,
        route: &RouteName,
        changes: &[HistoryChange],
        _deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.engine().put_histories(route, changes)
    }

    async fn set_counted(
        &self,
        route: &RouteName,
        upto: u64,
        now: Timestamp,
        _deadline: Deadline,
    ) -> Result<(), StoreError> {
        self.engine().set_counted(route, upto, now)
    }

    async fn mark(&self, mark: &Mark, _deadline: Deadline) -> Result<(), StoreError> {
        self.engine().mark(mark)
    }

    async fn marks(&self, since: Timestamp, _deadline: Deadline) -> Result<Vec<Mark>, StoreError> {
        self.engine().marks(since)
    }
}
