//! The tables: in memory, with every condition of the store's contract, or in a production store on
//! an engine. Each operation takes effect at one moment of virtual time. `process`
//! adds the latency and the faults.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::model::alert::{Alert, AlertId};
use stentor::model::burst::BurstState;
use stentor::model::history::{History, Mark};
use stentor::model::name::{RouteName, Target};
use stentor::model::outbox::{
    Acknowledgement, BurstPatterns, Claim, Cursor, Deferral, Epoch, Escalation, Freeze, Lease,
    Opening, Recipient, StoredTally, TallyKey, TallyPage, TallyPosition, TargetState, Window,
};
use stentor::model::tally::Tally;
use stentor::model::threshold::Holding;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock, Deadline};
use stentor::protocol::store::{Commit, HistoryChange, Store as _, StoreError};

use super::engines::{EngineKind, TestEngine};
use super::plan::Mutation;

type Answer<T> = Result<T, StoreError>;

/// The result of a commit: the answers, and the tallies that it wrote.
pub struct Committed {
    pub commits: Vec<Commit>,
    pub tallies: Vec<(RouteName, TallyKey)>,
}

/// The tables.
pub enum Engine {
    Memory(Memory),
    Production(Box<Production>),
}

#[derive(Default)]
pub struct Memory {
    mutation: Option<Mutation>,
    rows: BTreeMap<AlertId, Vec<RouteName>>,
    registered: BTreeSet<RouteName>,
    routes: BTreeMap<RouteName, Outbox>,
    paused: BTreeMap<Target, Timestamp>,
    /// The first turn that is not taken.
    turns: BTreeMap<Target, Timestamp>,
    lagging_until: Option<Timestamp>,
    marks: Vec<Mark>,
    tallies_written: u64,
}

#[derive(Default)]
struct Outbox {
    cursor: Cursor,
    tallies: BTreeMap<TallyKey, Tally>,
    epochs: BTreeMap<u64, Epoch>,
    /// By the id of the pattern.
    histories: BTreeMap<String, History>,
    /// By whether it is a fallback, and the target.
    targets: BTreeMap<(bool, Target), (TargetState, Option<String>)>,
}

/// The production store, called one operation at a time.
pub struct Production {
    runtime: tokio::runtime::Runtime,
    /// The engine stops with the runtime.
    _engine: TestEngine,
    store: Database<SimulatedTime>,
    time: SimulatedTime,
}

/// The time of the schedule, as of the latest operation. A sleep takes real time, as a call to the
/// engine does.
#[derive(Clone, Default)]
struct SimulatedTime(Arc<AtomicI64>);

impl Clock for SimulatedTime {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed))
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        SystemClock.sleep(duration)
    }
}

impl Production {
    pub fn start(kind: EngineKind) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .unwrap();
        let time = SimulatedTime::default();
        let (engine, store) = runtime.block_on(async {
            let engine = TestEngine::start(kind).await;
            let store = engine.store_with(time.clone()).await;
            (engine, store)
        });
        Self { runtime, _engine: engine, store, time }
    }

    fn soon(&self) -> Deadline {
        Deadline::after(self.time.now(), Duration::from_secs(20))
    }

    fn all_tallies(&self, alerts: &[impl Borrow<Alert> + Sync]) -> Vec<(RouteName, TallyKey)> {
        let mut routes: Vec<&RouteName> =
            alerts.iter().map(Borrow::borrow).flat_map(|alert| &*alert.routes).collect();
        routes.sort();
        routes.dedup();
        let keys = |route: &RouteName| {
            let all = self.store.tallies(route, None, usize::MAX, self.soon());
            let stored = self.runtime.block_on(all).unwrap().tallies;
            stored.into_iter().map(|stored| (route.clone(), stored.key)).collect::<Vec<_>>()
        };
        routes.into_iter().flat_map(keys).collect()
    }
}

/// A text that sorts as the keys of a route do.
fn name(key: &TallyKey) -> String {
    format!("{key:?}")
}

fn key(recipient: Recipient<'_>) -> (bool, Target) {
    (matches!(recipient, Recipient::Fallback(_)), recipient.target().clone())
}

impl Engine {
    /// Sets the time of the next operation.
    pub fn set_time(&self, now: Timestamp) {
        if let Self::Production(production) = self {
            production.time.0.store(now.as_millis(), Ordering::Relaxed);
        }
    }

    pub fn commit(&mut self, alerts: &[impl Borrow<Alert> + Sync]) -> Committed {
        match self {
            Self::Memory(memory) => memory.commit(alerts),
            Self::Production(production) => {
                let before = production.all_tallies(alerts);
                let commits =
                    production.runtime.block_on(production.store.commit(alerts, production.soon()));
                let mut tallies = production.all_tallies(alerts);
                tallies.retain(|tally| !before.contains(tally));
                Committed { commits, tallies }
            }
        }
    }

    pub fn cursor(&mut self, route: &RouteName) -> Answer<Cursor> {
        match self {
            Self::Memory(memory) => Ok(memory.outbox(route).cursor.clone()),
            Self::Production(production) => {
                production.runtime.block_on(production.store.cursor(route, production.soon()))
            }
        }
    }

    pub fn routes(&mut self) -> Answer<Vec<RouteName>> {
        match self {
            Self::Memory(memory) => Ok(memory.registered.iter().cloned().collect()),
            Self::Production(production) => {
                production.runtime.block_on(production.store.routes(production.soon()))
            }
        }
    }

    pub fn open(&mut self, route: &RouteName, opening: &Opening) -> Answer<bool> {
        match self {
            Self::Memory(memory) => Ok(memory.outbox(route).open(opening)),
            Self::Production(production) => production.runtime.block_on(production.store.open(
                route,
                opening,
                production.soon(),
            )),
        }
    }

    pub fn claim(
        &mut self,
        route: &RouteName,
        window: u64,
        known: Option<Claim>,
        claim: Option<Claim>,
    ) -> Answer<bool> {
        match self {
            Self::Memory(memory) => {
                let unconditional = memory.mutation == Some(Mutation::ClaimWhatOthersClaimed);
                let by = |claim: Option<Claim>| claim.map(|claim| claim.by);
                let open = memory.outbox(route).cursor.open.as_mut();
                let holds = |open: &&mut Window| {
                    open.number == window && (unconditional || by(open.claim) == by(known))
                };
                let Some(open) = open.filter(holds) else { return Ok(false) };
                open.claim = claim;
                Ok(true)
            }
            Self::Production(production) => {
                let claim = production.store.claim(route, window, known, claim, production.soon());
                production.runtime.block_on(claim)
            }
        }
    }

    pub fn pull_forward(
        &mut self,
        route: &RouteName,
        window: &Window,
        patterns: &BurstPatterns,
    ) -> Answer<bool> {
        match self {
            Self::Memory(memory) => {
                let cursor = &mut memory.outbox(route).cursor;
                let open = cursor.open.as_mut().filter(|open| open.number == window.number);
                let Some(open) = open.filter(|open| open.due > window.due) else {
                    return Ok(false);
                };
                (*open, cursor.patterns) = (window.clone(), *patterns);
                Ok(true)
            }
            Self::Production(production) => {
                let pulled =
                    production.store.pull_forward(route, window, patterns, production.soon());
                production.runtime.block_on(pulled)
            }
        }
    }

    pub fn close(
        &mut self,
        route: &RouteName,
        window: u64,
        burst: Option<BurstState>,
    ) -> Answer<bool> {
        match self {
            Self::Memory(memory) => {
                let cursor = &mut memory.outbox(route).cursor;
                let holds = cursor.closing.is_none()
                    && cursor.open.as_ref().is_some_and(|open| open.number == window);
                if holds {
                    (cursor.closing, cursor.open, cursor.burst) = (Some(window), None, burst);
                }
                Ok(holds)
            }
            Self::Production(production) => production.runtime.block_on(production.store.close(
                route,
                window,
                burst,
                production.soon(),
            )),
        }
    }

    pub fn tallies(
        &mut self,
        route: &RouteName,
        position: Option<&TallyPosition>,
        limit: usize,
    ) -> Answer<TallyPage> {
        match self {
            Self::Memory(memory) => Ok(memory.outbox(route).page(position, limit)),
            Self::Production(production) => {
                let tallies = production.store.tallies(route, position, limit, production.soon());
                production.runtime.block_on(tallies)
            }
        }
    }

    pub fn has_tallies(&mut self, route: &RouteName, round: u64) -> Answer<bool> {
        match self {
            // Two parts.
            Self::Memory(memory) => {
                let is_in_part = |key: &TallyKey| name(key).len() as u64 % 2 == round % 2;
                Ok(memory.outbox(route).tallies.keys().any(is_in_part))
            }
            Self::Production(production) => {
                let has_tallies = production.store.has_tallies(route, round, production.soon());
                production.runtime.block_on(has_tallies)
            }
        }
    }

    pub fn freeze(&mut self, route: &RouteName, freeze: &Freeze) -> Answer<bool> {
        match self {
            Self::Memory(memory) => {
                let unconditional = memory.mutation == Some(Mutation::FreezeWithoutClosing);
                let forgets = memory.mutation == Some(Mutation::ForgetHeld);
                let frozen = memory.outbox(route).freeze(freeze, unconditional);
                if forgets {
                    memory.outbox(route).cursor.holding = Holding::default();
                }
                Ok(frozen)
            }
            Self::Production(production) => production.runtime.block_on(production.store.freeze(
                route,
                freeze,
                production.soon(),
            )),
        }
    }

    pub fn epochs(
        &mut self,
        route: &RouteName,
        after: u64,
        upto: u64,
        limit: usize,
    ) -> Answer<Vec<Epoch>> {
        match self {
            Self::Memory(memory) => {
                let mutation = memory.mutation;
                let Outbox { epochs, cursor, .. } = memory.outbox(route);
                let mut epochs: Vec<Epoch> = epochs
                    .values()
                    .filter(|epoch| (after + 1..=upto).contains(&epoch.number))
                    .take(limit)
                    .cloned()
                    .collect();
                for epoch in &mut epochs {
                    match mutation {
                        Some(Mutation::DeliverHeld) if epoch.hold.is_some() => {
                            epoch.hold = None;
                            epoch.owed = cursor.targets.keys().cloned().collect();
                        }
                        Some(Mutation::ReleaseNothing) => epoch.released = None,
                        _ => {}
                    }
                }
                Ok(epochs)
            }
            Self::Production(production) => production.runtime.block_on(production.store.epochs(
                route,
                after,
                upto,
                limit,
                production.soon(),
            )),
        }
    }

    pub fn target(&mut self, route: &RouteName, target: Recipient<'_>) -> Answer<TargetState> {
        match self {
            Self::Memory(memory) => Ok(memory.target(route, target)),
            Self::Production(production) => production.runtime.block_on(production.store.target(
                route,
                target,
                production.soon(),
            )),
        }
    }

    pub fn lease(
        &mut self,
        route: &RouteName,
        target: Recipient<'_>,
        lease: &Lease,
        known: &TargetState,
        now: Timestamp,
    ) -> Answer<Option<TargetState>> {
        match self {
            Self::Memory(memory) => Ok(memory.lease(route, target, lease, known, now)),
            Self::Production(production) => production.runtime.block_on(production.store.lease(
                route,
                target,
                lease,
                known,
                now,
                production.soon(),
            )),
        }
    }

    pub fn take_turn(
        &mut self,
        target: &Target,
        interval: Duration,
        now: Timestamp,
    ) -> Answer<Timestamp> {
        match self {
            Self::Memory(memory) => {
                let next = memory.turns.entry(target.clone()).or_default();
                let turn = now.max(*next);
                *next = turn.after(interval);
                Ok(turn)
            }
            Self::Production(production) => {
                let turn = production.store.take_turn(target, interval, now, production.soon());
                production.runtime.block_on(turn)
            }
        }
    }

    pub fn acknowledge(
        &mut self,
        route: &RouteName,
        target: Recipient<'_>,
        lease: &Lease,
        acknowledgement: &Acknowledgement,
    ) -> Answer<bool> {
        match self {
            Self::Memory(memory) => {
                let Some(state) = memory.held(route, target, lease) else { return Ok(false) };
                let (offset, thread) =
                    (Some(acknowledgement.offset), acknowledgement.thread.clone());
                let escalation = state.escalation.take();
                *state = TargetState {
                    offset,
                    thread,
                    muted: acknowledgement.muted,
                    escalation,
                    ..TargetState::default()
                };
                Ok(true)
            }
            Self::Production(production) => {
                production.runtime.block_on(production.store.acknowledge(
                    route,
                    target,
                    lease,
                    acknowledgement,
                    production.soon(),
                ))
            }
        }
    }

    pub fn release(
        &mut self,
        route: &RouteName,
        target: Recipient<'_>,
        lease: &Lease,
        deferral: &Deferral,
    ) -> Answer<bool> {
        match self {
            Self::Memory(memory) => {
                let Some(state) = memory.held(route, target, lease) else { return Ok(false) };
                (state.leased_until, state.not_before, state.failures, state.turn) =
                    (None, deferral.not_before, deferral.failures, deferral.turn);
                Ok(true)
            }
            Self::Production(production) => production.runtime.block_on(production.store.release(
                route,
                target,
                lease,
                deferral,
                production.soon(),
            )),
        }
    }

    pub fn pause(&mut self, target: &Target, until: Timestamp) -> Answer<()> {
        match self {
            Self::Memory(memory) => {
                for times in [&mut memory.paused, &mut memory.turns] {
                    let known = times.entry(target.clone()).or_default();
                    *known = until.max(*known);
                }
                Ok(())
            }
            Self::Production(production) => production.runtime.block_on(production.store.pause(
                target,
                until,
                production.soon(),
            )),
        }
    }

    pub fn escalate(
        &mut self,
        route: &RouteName,
        fallback: &Target,
        known: &TargetState,
        offset: u64,
        escalation: &Escalation,
    ) -> Answer<bool> {
        match self {
            Self::Memory(memory) => {
                Ok(memory.outbox(route).escalate(fallback, known, offset, escalation))
            }
            Self::Production(production) => {
                let escalate = production.store.escalate(
                    route,
                    fallback,
                    known,
                    offset,
                    escalation,
                    production.soon(),
                );
                production.runtime.block_on(escalate)
            }
        }
    }

    pub fn note_lag(&mut self, until: Timestamp) -> Answer<()> {
        match self {
            Self::Memory(memory) => {
                memory.lagging_until = Some(until);
                Ok(())
            }
            Self::Production(production) => {
                production.runtime.block_on(production.store.note_lag(until, production.soon()))
            }
        }
    }

    pub fn lagging_until(&mut self) -> Answer<Option<Timestamp>> {
        match self {
            Self::Memory(memory) => Ok(memory.lagging_until),
            Self::Production(production) => {
                production.runtime.block_on(production.store.lagging_until(production.soon()))
            }
        }
    }

    pub fn mute(&mut self, route: &RouteName, until: Option<Timestamp>) -> Answer<()> {
        match self {
            Self::Memory(memory) => {
                memory.outbox(route).cursor.muted_until = until;
                Ok(())
            }
            Self::Production(production) => {
                production.runtime.block_on(production.store.mute(route, until, production.soon()))
            }
        }
    }

    pub fn retire(
        &mut self,
        route: &RouteName,
        known: &Cursor,
        upto: u64,
        gone: &[Target],
    ) -> Answer<()> {
        match self {
            Self::Memory(memory) => {
                let Outbox { cursor, epochs, .. } = memory.outbox(route);
                if (cursor.retired, cursor.epoch) == (known.retired, known.epoch) {
                    cursor.retired = upto;
                    cursor.targets.retain(|target, _| !gone.contains(target));
                    // As if they expired at once. A message may include held ones long after that.
                    epochs.retain(|number, epoch| *number > upto || epoch.hold.is_some());
                }
                Ok(())
            }
            Self::Production(production) => {
                let retire = production.store.retire(route, known, upto, gone, production.soon());
                production.runtime.block_on(retire)
            }
        }
    }

    pub fn histories(
        &mut self,
        route: &RouteName,
        ids: &[String],
    ) -> Answer<Vec<(String, History)>> {
        match self {
            Self::Memory(memory) => {
                let stored = &memory.outbox(route).histories;
                let found = ids.iter().filter_map(|id| stored.get_key_value(id));
                Ok(found.map(|(id, history)| (id.clone(), history.clone())).collect())
            }
            Self::Production(production) => {
                let histories = production.store.histories(route, ids, production.soon());
                production.runtime.block_on(histories)
            }
        }
    }

    pub fn put_histories(&mut self, route: &RouteName, changes: &[HistoryChange]) -> Answer<bool> {
        match self {
            Self::Memory(memory) => {
                let overwrites = memory.mutation == Some(Mutation::OverwriteHistories);
                let stored = &mut memory.outbox(route).histories;
                let mut all = true;
                for HistoryChange { id, known, history } in changes {
                    let revision = stored.get(id).map(|history| history.revision);
                    match revision.is_none() || revision == *known || overwrites {
                        true => drop(stored.insert(id.clone(), history.clone())),
                        false => all = false,
                    }
                }
                Ok(all)
            }
            Self::Production(production) => {
                let put = production.store.put_histories(route, changes, production.soon());
                production.runtime.block_on(put)
            }
        }
    }

    pub fn set_counted(&mut self, route: &RouteName, upto: u64, now: Timestamp) -> Answer<()> {
        match self {
            Self::Memory(memory) => {
                let cursor = &mut memory.outbox(route).cursor;
                cursor.counted = cursor.counted.max(upto);
                cursor.counting_since.get_or_insert(now);
                Ok(())
            }
            Self::Production(production) => {
                let counted = production.store.set_counted(route, upto, now, production.soon());
                production.runtime.block_on(counted)
            }
        }
    }

    pub fn mark(&mut self, mark: &Mark) -> Answer<()> {
        match self {
            Self::Memory(memory) => {
                memory.marks.push(mark.clone());
                Ok(())
            }
            Self::Production(production) => {
                production.runtime.block_on(production.store.mark(mark, production.soon()))
            }
        }
    }

    pub fn marks(&mut self, since: Timestamp) -> Answer<Vec<Mark>> {
        match self {
            Self::Memory(memory) => {
                Ok(memory.marks.iter().filter(|mark| mark.at >= since).cloned().collect())
            }
            Self::Production(production) => {
                production.runtime.block_on(production.store.marks(since, production.soon()))
            }
        }
    }
}

impl Memory {
    pub fn new(mutation: Option<Mutation>) -> Self {
        Self { mutation, ..Self::default() }
    }

    fn outbox(&mut self, route: &RouteName) -> &mut Outbox {
        self.routes.entry(route.clone()).or_insert_with(|| {
            // A route that can tell what is new.
            let counting_since = Some(Timestamp::default());
            Outbox { cursor: Cursor { counting_since, ..Cursor::default() }, ..Outbox::default() }
        })
    }

    fn commit(&mut self, alerts: &[impl Borrow<Alert> + Sync]) -> Committed {
        let mut commits = Vec::new();
        let mut fresh: BTreeMap<RouteName, Vec<&Alert>> = BTreeMap::new();
        for alert in alerts.iter().map(Borrow::borrow) {
            commits.push(match self.rows.get(&alert.id) {
                Some(routes) => Commit::Duplicate { routes: routes[..].into() },
                None => {
                    self.rows.insert(alert.id.clone(), alert.routes.to_vec());
                    self.registered.extend(alert.routes.iter().cloned());
                    for route in &*alert.routes {
                        fresh.entry(route.clone()).or_default().push(alert);
                    }
                    Commit::Fresh
                }
            });
        }
        let tallies = fresh.into_iter().map(|(route, alerts)| {
            self.tallies_written += 1;
            let key = TallyKey::new(route.to_string(), format!("{:09}", self.tallies_written));
            let shares = self.mutation == Some(Mutation::ShareSeverities);
            let alerts = alerts
                .into_iter()
                .map(|alert| alert.on(if shares { &alert.routes[0] } else { &route }));
            self.outbox(&route).tallies.insert(key.clone(), Tally::of(alerts));
            (route, key)
        });
        Committed { tallies: tallies.collect(), commits }
    }

    /// Removes tallies, as if a commit that counts in a second step had crashed before it.
    pub fn uncount(&mut self, tallies: &[(RouteName, TallyKey)]) {
        for (route, key) in tallies {
            self.outbox(route).tallies.remove(key);
        }
    }

    fn target(&mut self, route: &RouteName, target: Recipient<'_>) -> TargetState {
        let paused = self.paused.get(target.target()).copied();
        let mut state = self.outbox(route).targets.entry(key(target)).or_default().0.clone();
        state.not_before = state.not_before.max(paused);
        state
    }

    fn lease(
        &mut self,
        route: &RouteName,
        target: Recipient<'_>,
        lease: &Lease,
        known: &TargetState,
        now: Timestamp,
    ) -> Option<TargetState> {
        let mutation = self.mutation;
        let outbox = self.outbox(route);
        let sealed = outbox.cursor.sealed;
        let (state, holder) = outbox.targets.entry(key(target)).or_default();
        let free = state.leased_until.is_none_or(|until| until <= now)
            || holder.as_ref() == Some(&lease.owner);
        if !free || state.offset != known.offset {
            return None;
        }
        let until = match mutation {
            Some(Mutation::ShortLease) => now.after(Duration::from_millis(200)),
            _ => lease.until,
        };
        (state.leased_until, *holder) = (Some(until), Some(lease.owner.clone()));
        let seen = state.clone();
        if mutation == Some(Mutation::SettleBeforeAcceptance) {
            state.offset = Some(sealed);
        }
        Some(seen)
    }

    /// The state of a target, if it has this lease.
    fn held(
        &mut self,
        route: &RouteName,
        target: Recipient<'_>,
        lease: &Lease,
    ) -> Option<&mut TargetState> {
        let (state, holder) = self.outbox(route).targets.get_mut(&key(target))?;
        (holder.as_ref() == Some(&lease.owner)).then(|| {
            *holder = None;
            state
        })
    }
}

impl Outbox {
    fn page(&self, position: Option<&TallyPosition>, limit: usize) -> TallyPage {
        let after = |key: &TallyKey| position.is_none_or(|TallyPosition(last)| name(key) > *last);
        let mut tallies: Vec<StoredTally> = self
            .tallies
            .iter()
            .filter(|(key, _)| after(key))
            .take(limit.saturating_add(1))
            .map(|(key, tally)| StoredTally { key: key.clone(), tally: tally.clone() })
            .collect();
        let has_more = tallies.len() > limit;
        tallies.truncate(limit);
        let next = has_more.then(|| tallies.last().map(|last| TallyPosition(name(&last.key))));
        TallyPage { tallies, next: next.flatten() }
    }

    fn open(&mut self, opening: &Opening) -> bool {
        let cursor = &mut self.cursor;
        if cursor.open.is_some() || cursor.last_window + 1 != opening.window.number {
            return false;
        }
        (cursor.open, cursor.last_window) = (Some(opening.window.clone()), opening.window.number);
        for target in &opening.targets {
            cursor.targets.entry(target.clone()).or_insert(opening.delivered);
        }
        true
    }

    fn freeze(&mut self, freeze: &Freeze, unconditional: bool) -> bool {
        let successor = freeze.finish.as_ref().and_then(|finish| finish.next.as_ref());
        let holds = (unconditional || self.cursor.closing == Some(freeze.closing))
            && self.cursor.epoch == freeze.after
            && freeze.tallies.iter().all(|key| self.tallies.contains_key(key))
            && successor.is_none_or(|next| {
                self.cursor.open.is_none() && self.cursor.last_window + 1 == next.window.number
            });
        if !holds {
            return false;
        }
        for key in &freeze.tallies {
            self.tallies.remove(key);
        }
        (self.cursor.burst, self.cursor.patterns) = (freeze.burst, freeze.patterns);
        self.cursor.holding = freeze.holding.clone();
        if let Some(epoch) = &freeze.epoch {
            for target in &epoch.owed {
                self.cursor.targets.entry(target.clone()).or_insert(freeze.after);
            }
            self.cursor.epoch = epoch.number;
            self.epochs.insert(epoch.number, epoch.clone());
        }
        if freeze.finish.is_some() {
            (self.cursor.closing, self.cursor.sealed) = (None, self.cursor.epoch);
            successor.map(|next| self.open(next));
        }
        true
    }

    fn escalate(
        &mut self,
        fallback: &Target,
        known: &TargetState,
        offset: u64,
        escalation: &Escalation,
    ) -> bool {
        let (state, _) = self.targets.entry(key(Recipient::Fallback(fallback))).or_default();
        if (state.offset, &state.escalation) != (known.offset, &known.escalation) {
            return false;
        }
        (state.offset, state.escalation) = (Some(offset), Some(escalation.clone()));
        self.cursor.fallbacks.insert(fallback.clone());
        true
    }
}
