//! One process of a schedule: implements the ports. Each call takes time, may fail, may lose its
//! answer, and may crash the process. Mutations are here or in the engine.

use std::borrow::Borrow;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use stentor::ingest::route::Routes;
use stentor::model::alert::Alert;
use stentor::model::burst::BurstState;
use stentor::model::digest::Digest;
use stentor::model::error::Cause;
use stentor::model::history::{History, Mark};
use stentor::model::name::{RouteName, Target, TargetKind};
use stentor::model::outbox::{
    Acknowledgement, BurstPatterns, Claim, Cursor, Deferral, Epoch, Escalation, Freeze, Lease,
    Opening, Recipient, TallyPage, TallyPosition, TargetState, Window,
};
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock, Deadline};
use stentor::protocol::dead_letter::ParkedItem;
use stentor::protocol::notify::{Accepted, Deliver, DeliverError, DeliveryFailure, FailureCode};
use stentor::protocol::queue::{DeadLetterQueue, Due, DueQueue, QueueError};
use stentor::protocol::services::Services;
use stentor::protocol::store::{Commit, HistoryChange, Store, StoreError};

use super::engine::{Committed, Engine};
use super::floods;
use super::jira;
use super::ledger::Step;
use super::pagerduty;
use super::plan::Mutation;
use super::services::{Sim, State};

/// A running instance of a function.
#[derive(Clone)]
pub struct Process {
    pub sim: Arc<Sim>,
    pub id: u64,
    pub routes: &'static Routes,
    pub timed: bool,
    /// How far its clock is ahead.
    pub skew_ms: i64,
}

/// The fate of a remote call.
enum CallFate {
    Answered,
    /// The process crashes before the call, or after it took effect.
    CrashBefore,
    CrashAfter,
    Failed,
    /// The call takes effect, but its answer is lost.
    Lost,
}

impl Process {
    /// Makes a remote call. `effect` happens later, even if the process has crashed by then.
    /// `unanswered` is the result of a call without an answer. Its argument says whether the client
    /// repeats the call, after it took effect.
    pub async fn call<T: Send + 'static>(
        &self,
        name: &'static str,
        deadline: Deadline,
        effect: impl FnOnce(&mut State, &Sim) -> T + Send + 'static,
        unanswered: impl FnOnce(bool) -> T,
    ) -> T {
        let sim = &self.sim;
        sim.state.lock().unwrap().calls += 1;
        let faults = sim.plan.faults;
        let mut there = sim.between(200, 15_000);
        let back = sim.between(200, 15_000);
        if sim.happens(faults.slow) {
            there += sim.between(500_000, 40_000_000);
        }
        let fate = self.fate();
        let answer = Arc::new(Mutex::new(None));
        let id = self.id;
        if !matches!(fate, CallFate::CrashBefore | CallFate::Failed) {
            let (sim, answer) = (Arc::clone(sim), Arc::clone(&answer));
            sim.clone().executor.after(there, move || {
                let mut state = sim.state.lock().unwrap();
                state.engine.set_time(sim.now());
                let value = effect(&mut state, &sim);
                drop(state);
                sim.note(|| format!("process {id}: {name} takes effect"));
                *answer.lock().unwrap() = Some(value);
            });
        }
        match fate {
            CallFate::CrashBefore | CallFate::CrashAfter => {
                let (sim, when) = (
                    Arc::clone(sim),
                    if matches!(fate, CallFate::CrashBefore) { Duration::ZERO } else { there },
                );
                sim.note(|| format!("process {id} crashes at {name}"));
                sim.clone().executor.after(when, move || sim.kill(id));
                std::future::pending().await
            }
            CallFate::Failed | CallFate::Lost => {
                sim.note(|| format!("process {id}: {name} has no answer"));
                let patience = deadline.remaining(self.now());
                sim.executor.sleep((there + back).min(patience)).await;
                unanswered(matches!(fate, CallFate::Lost) && sim.below(2) == 0)
            }
            CallFate::Answered => {
                let patience = deadline.remaining(self.now());
                sim.executor.sleep((there + back).min(patience)).await;
                let value = answer.lock().unwrap().take();
                value.unwrap_or_else(|| unanswered(false))
            }
        }
    }

    fn fate(&self) -> CallFate {
        let (sim, faults) = (&self.sim, self.sim.plan.faults);
        if sim.happens(faults.crash) {
            return if sim.below(2) == 0 { CallFate::CrashBefore } else { CallFate::CrashAfter };
        }
        match (sim.happens(faults.fail), sim.happens(faults.lost)) {
            (true, _) => CallFate::Failed,
            (_, true) => CallFate::Lost,
            _ => CallFate::Answered,
        }
    }

    async fn ask<T: Send + 'static>(
        &self,
        name: &'static str,
        deadline: Deadline,
        effect: impl FnOnce(&mut State, &Sim) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        self.call(name, deadline, effect, |_| Err(lost())).await
    }

    /// A conditional write. A client that repeats it after a lost answer finds that its condition
    /// no longer holds.
    async fn change(
        &self,
        name: &'static str,
        deadline: Deadline,
        effect: impl FnOnce(&mut State, &Sim) -> Result<bool, StoreError> + Send + 'static,
    ) -> Result<bool, StoreError> {
        self.call(name, deadline, effect, |repeated| if repeated { Ok(false) } else { Err(lost()) })
            .await
    }

    /// The answer to a call that counts epochs of a route.
    fn counting<T>(
        &self,
        route: &RouteName,
        answer: Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        if answer.is_err() {
            let mut state = self.sim.state.lock().unwrap();
            *state.ledger.uncounted.entry(route.clone()).or_default() += 1;
        }
        answer
    }

    async fn commit_some(&self, alerts: Vec<Alert>, deadline: Deadline) -> Vec<Commit> {
        let (count, id) = (alerts.len(), self.id);
        let mutation = self.sim.plan.mutation;
        let effect = move |state: &mut State, sim: &Sim| {
            let Committed { commits, tallies } = state.engine.commit(&alerts);
            let now_us = sim.executor.now_us();
            state.ledger.committed(&alerts, &commits, &tallies, now_us);
            if let (Some(Mutation::CountOutsideTheTransaction), Engine::Memory(memory)) =
                (mutation, &mut state.engine)
                && sim.happens(sim.plan.faults.crash)
            {
                memory.uncount(&tallies);
                state.ledger.uncounted(&tallies);
            }
            *state.committed.entry(id).or_default() += commits.len();
            match mutation {
                Some(Mutation::TodaysRoutes) => {
                    commits.into_iter().zip(&alerts).map(todays).collect()
                }
                _ => commits,
            }
        };
        self.call("commit", deadline, effect, |_| vec![Commit::Failed(lost().into()); count]).await
    }
}

/// An owned recipient, for effects that happen later.
struct Owned {
    is_fallback: bool,
    target: Target,
}

impl Owned {
    fn of(recipient: Recipient<'_>) -> Self {
        Self {
            is_fallback: matches!(recipient, Recipient::Fallback(_)),
            target: recipient.target().clone(),
        }
    }

    fn get(&self) -> Recipient<'_> {
        if self.is_fallback {
            Recipient::Fallback(&self.target)
        } else {
            Recipient::Own(&self.target)
        }
    }
}

fn todays((commit, alert): (Commit, &Alert)) -> Commit {
    match commit {
        Commit::Duplicate { .. } => Commit::Duplicate { routes: Arc::clone(&alert.routes) },
        other => other,
    }
}

fn lost() -> StoreError {
    StoreError::Unavailable(Cause::no_answer())
}

impl Store for Process {
    /// So few that a window often becomes several epochs.
    const FREEZE_TALLIES_MAX: usize = 3;

    /// In several transactions of alerts for the same routes, as in production, each with its own
    /// fate.
    async fn commit(
        &self,
        alerts: &[impl Borrow<Alert> + Sync],
        deadline: Deadline,
    ) -> Vec<Commit> {
        let alerts: Vec<&Alert> = alerts.iter().map(Borrow::borrow).collect();
        let mut by_routes: BTreeMap<&[RouteName], Vec<usize>> = BTreeMap::new();
        for (at, alert) in alerts.iter().enumerate() {
            by_routes.entry(&alert.routes).or_default().push(at);
        }
        let size = 1 + self.sim.below(6);
        let parts =
            by_routes.values().flat_map(|positions| positions.chunks(size)).map(async |part| {
                let commits = self
                    .commit_some(
                        part.iter().map(|at| Alert::clone(alerts[*at])).collect(),
                        deadline,
                    )
                    .await;
                part.iter().copied().zip(commits).collect::<Vec<_>>()
            });
        let mut commits = futures::future::join_all(parts).await.concat();
        commits.sort_by_key(|(at, _)| *at);
        commits.into_iter().map(|(_, commit)| commit).collect()
    }

    async fn cursor(&self, route: &RouteName, deadline: Deadline) -> Result<Cursor, StoreError> {
        let (route, id, mutation) = (route.clone(), self.id, self.sim.plan.mutation);
        let effect = move |state: &mut State, _: &Sim| {
            let mut cursor = state.engine.cursor(&route)?;
            match mutation {
                Some(Mutation::ReadBeforeClosing) => {
                    let tallies = state.engine.tallies(&route, None, usize::MAX)?.tallies;
                    state.seen.insert((route, id), tallies);
                }
                Some(Mutation::DeliverBeforeSealed) => cursor.sealed = cursor.epoch,
                Some(Mutation::MuteForEver) if cursor.muted_until.is_some() => {
                    cursor.muted_until = Some(Timestamp::from_millis(i64::MAX));
                }
                Some(Mutation::AbandonedClose) if state.closers.get(&route) != Some(&id) => {
                    cursor.closing = None
                }
                _ => {}
            }
            Ok(cursor)
        };
        self.ask("cursor", deadline, effect).await
    }

    async fn routes(&self, deadline: Deadline) -> Result<Vec<RouteName>, StoreError> {
        self.ask("routes", deadline, |state, _| state.engine.routes()).await
    }

    async fn open(
        &self,
        route: &RouteName,
        opening: &Opening,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let (route, opening) = (route.clone(), opening.clone());
        self.change("open", deadline, move |state, _| state.engine.open(&route, &opening)).await
    }

    async fn claim(
        &self,
        route: &RouteName,
        window: u64,
        known: Option<Claim>,
        claim: Option<Claim>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let route = route.clone();
        let effect =
            move |state: &mut State, _: &Sim| state.engine.claim(&route, window, known, claim);
        self.change("claim", deadline, effect).await
    }

    async fn pull_forward(
        &self,
        route: &RouteName,
        window: &Window,
        patterns: &BurstPatterns,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let (route, window, patterns) = (route.clone(), window.clone(), *patterns);
        let effect = move |state: &mut State, _: &Sim| {
            let pulled = state.engine.pull_forward(&route, &window, &patterns)?;
            if pulled {
                // The message for the time before is on its way.
                let due = Due { route, window: window.number };
                state.ledger.may_repeat(&due);
            }
            Ok(pulled)
        };
        self.change("pull_forward", deadline, effect).await
    }

    async fn close(
        &self,
        route: &RouteName,
        window: u64,
        burst: Option<BurstState>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let (route, id, mutation) = (route.clone(), self.id, self.sim.plan.mutation);
        let effect = move |state: &mut State, _: &Sim| {
            let closed = state.engine.close(&route, window, burst)?;
            if closed {
                state.closers.insert(route.clone(), id);
                if mutation == Some(Mutation::ReadBeforeClosing) {
                    let seen = state.seen.remove(&(route.clone(), id)).unwrap_or_default();
                    state.stale.insert(route, seen);
                }
            }
            Ok(closed)
        };
        self.change("close", deadline, effect).await
    }

    async fn tallies(
        &self,
        route: &RouteName,
        position: Option<&TallyPosition>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<TallyPage, StoreError> {
        let (route, position) = (route.clone(), position.cloned());
        let effect = move |state: &mut State, _: &Sim| match state.stale.get(&route) {
            Some(stale) => Ok(TallyPage { tallies: stale.clone(), next: None }),
            None => state.engine.tallies(&route, position.as_ref(), limit),
        };
        self.ask("tallies", deadline, effect).await
    }

    async fn has_tallies(
        &self,
        route: &RouteName,
        round: u64,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let route = route.clone();
        let effect = move |state: &mut State, _: &Sim| state.engine.has_tallies(&route, round);
        self.ask("has_tallies", deadline, effect).await
    }

    async fn freeze(
        &self,
        route: &RouteName,
        freeze: &Freeze,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let (route, mut freeze) = (route.clone(), freeze.clone());
        if self.sim.plan.mutation == Some(Mutation::OweTheFirstTarget) {
            freeze.epoch.iter_mut().for_each(|epoch| epoch.owed.truncate(1));
        }
        let configured = self.routes.get(&route).map(|route| route.notify.clone());
        let effect = move |state: &mut State, sim: &Sim| {
            if let (Some(owed), Some(epoch)) = (&configured, &freeze.epoch)
                && epoch.hold.is_none()
                && epoch.owed != *owed
            {
                let what = format!("an epoch of {route} is not owed to {owed:?}");
                state.ledger.violations.push(what);
            }
            let is_owed = |epoch: &Epoch| epoch.owed.is_empty() == epoch.hold.is_some();
            if !freeze.epoch.as_ref().is_none_or(is_owed) {
                let what = format!("an epoch of {route} is owed to no target, or held and owed");
                state.ledger.violations.push(what);
            }
            let frozen = state.engine.freeze(&route, &freeze)?;
            if frozen {
                state.stale.remove(&route);
                state.ledger.frozen(&route, &freeze, sim.executor.now_us());
                state.look_after(&route);
            }
            Ok(frozen)
        };
        self.change("freeze", deadline, effect).await
    }

    async fn epochs(
        &self,
        route: &RouteName,
        after: u64,
        upto: u64,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<Epoch>, StoreError> {
        let key = route.clone();
        let effect =
            move |state: &mut State, _: &Sim| state.engine.epochs(&key, after, upto, limit);
        self.counting(route, self.ask("epochs", deadline, effect).await)
    }

    async fn target(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        deadline: Deadline,
    ) -> Result<TargetState, StoreError> {
        let (route, recipient) = (route.clone(), Owned::of(recipient));
        self.ask("target", deadline, move |state, _| state.engine.target(&route, recipient.get()))
            .await
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
        let (route, recipient, lease) = (route.clone(), Owned::of(recipient), lease.clone());
        let known = known.clone();
        self.ask("lease", deadline, move |state, _| {
            state.engine.lease(&route, recipient.get(), &lease, &known, now)
        })
        .await
    }

    async fn take_turn(
        &self,
        target: &Target,
        interval: Duration,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Timestamp, StoreError> {
        let target = target.clone();
        let effect =
            move |state: &mut State, _: &Sim| state.engine.take_turn(&target, interval, now);
        self.ask("take_turn", deadline, effect).await
    }

    async fn acknowledge(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        acknowledgement: &Acknowledgement,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let (route, recipient, lease) = (route.clone(), Owned::of(recipient), lease.clone());
        let acknowledgement = acknowledgement.clone();
        let (id, mutation, now_us) = (self.id, self.sim.plan.mutation, self.sim.executor.now_us());
        let effect = move |state: &mut State, _: &Sim| {
            let before = state.engine.target(&route, recipient.get())?;
            let cursor = state.engine.cursor(&route)?;
            let done =
                state.engine.acknowledge(&route, recipient.get(), &lease, &acknowledgement)?;
            if done && mutation == Some(Mutation::RetireForOneTarget) {
                state.engine.retire(&route, &cursor, acknowledgement.offset, &[])?;
            }
            if done {
                let after = match recipient.get() {
                    Recipient::Own(target) => cursor.delivered_to(target, &before),
                    Recipient::Fallback(_) => before.offset.unwrap_or(0),
                };
                state.ledger.moved_offset(
                    id,
                    &route,
                    recipient.get(),
                    after,
                    &acknowledgement,
                    before.muted,
                );
                if acknowledgement.muted > before.muted {
                    state.ledger.count_as_muted(&route, now_us);
                }
            }
            Ok(done)
        };
        self.change("settle", deadline, effect).await
    }

    async fn release(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        deferral: &Deferral,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let (route, recipient) = (route.clone(), Owned::of(recipient));
        let (lease, deferral, id) = (lease.clone(), deferral.clone(), self.id);
        self.change("release", deadline, move |state, sim| {
            state.jira.released(id, &route, recipient.get().target(), sim.now());
            state.engine.release(&route, recipient.get(), &lease, &deferral)
        })
        .await
    }

    async fn pause(
        &self,
        target: &Target,
        until: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let target = target.clone();
        self.ask("pause", deadline, move |state, _| state.engine.pause(&target, until)).await
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
        let (route, fallback) = (route.clone(), fallback.clone());
        let (known, escalation) = (known.clone(), escalation.clone());
        let effect = move |state: &mut State, _: &Sim| {
            state.engine.escalate(&route, &fallback, &known, offset, &escalation)
        };
        self.change("escalate", deadline, effect).await
    }

    async fn note_lag(&self, until: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        self.ask("note_lag", deadline, move |state, _| state.engine.note_lag(until)).await
    }

    async fn lagging_until(&self, deadline: Deadline) -> Result<Option<Timestamp>, StoreError> {
        self.ask("lagging_until", deadline, move |state, _| state.engine.lagging_until()).await
    }

    async fn mute(
        &self,
        route: &RouteName,
        until: Option<Timestamp>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let route = route.clone();
        self.ask("mute", deadline, move |state, _| state.engine.mute(&route, until)).await
    }

    async fn retire(
        &self,
        route: &RouteName,
        cursor: &Cursor,
        upto: u64,
        gone: &[Target],
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let (route, cursor, gone) = (route.clone(), cursor.clone(), gone.to_vec());
        let effect =
            move |state: &mut State, _: &Sim| state.engine.retire(&route, &cursor, upto, &gone);
        self.ask("retire", deadline, effect).await
    }

    async fn histories(
        &self,
        route: &RouteName,
        ids: &[String],
        deadline: Deadline,
    ) -> Result<Vec<(String, History)>, StoreError> {
        let (key, ids) = (route.clone(), ids.to_vec());
        let effect = move |state: &mut State, _: &Sim| state.engine.histories(&key, &ids);
        self.counting(route, self.ask("histories", deadline, effect).await)
    }

    async fn put_histories(
        &self,
        route: &RouteName,
        changes: &[HistoryChange],
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        if self.sim.plan.mutation == Some(Mutation::CountAhead) {
            let upto = changes.iter().map(|change| change.history.epoch).max().unwrap_or_default();
            self.set_counted(route, upto, self.now(), deadline).await?;
        }
        let (key, changes) = (route.clone(), changes.to_vec());
        let effect = move |state: &mut State, _: &Sim| state.engine.put_histories(&key, &changes);
        self.counting(route, self.change("put_histories", deadline, effect).await)
    }

    async fn set_counted(
        &self,
        route: &RouteName,
        upto: u64,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let key = route.clone();
        let effect = move |state: &mut State, _: &Sim| state.engine.set_counted(&key, upto, now);
        self.counting(route, self.ask("set_counted", deadline, effect).await)
    }

    async fn mark(&self, mark: &Mark, deadline: Deadline) -> Result<(), StoreError> {
        let mark = mark.clone();
        self.ask("mark", deadline, move |state, _| state.engine.mark(&mark)).await
    }

    async fn marks(&self, since: Timestamp, deadline: Deadline) -> Result<Vec<Mark>, StoreError> {
        self.ask("marks", deadline, move |state, _| state.engine.marks(since)).await
    }
}

impl DueQueue for Process {
    async fn send(&self, due: &Due, delay: Duration, deadline: Deadline) -> Result<(), QueueError> {
        let sim = Arc::clone(&self.sim);
        let sent = due.clone();
        // Whether the call took effect, and whether its sender has given it up.
        let fate = Arc::new(Mutex::new((false, false)));
        let seen = Arc::clone(&fate);
        let effect = move |state: &mut State, _: &Sim| {
            let mut fate = seen.lock().unwrap();
            fate.0 = true;
            if fate.1 {
                state.ledger.may_repeat(&sent);
            }
            state.ledger.sent(&sent, sim.executor.now_us(), delay);
            if !state.queue.send(&sim, sent.clone(), delay) {
                // A replay sends it again.
                state.ledger.may_repeat(&sent);
            }
            Ok(())
        };
        let unanswered = |_| {
            let mut fate = fate.lock().unwrap();
            fate.1 = true;
            if fate.0 {
                self.sim.state.lock().unwrap().ledger.may_repeat(due);
            }
            Err(QueueError::Unavailable(Cause::no_answer()))
        };
        self.call("send", deadline, effect, unanswered).await
    }
}

impl DeadLetterQueue for Process {
    async fn park(&self, items: &[ParkedItem], deadline: Deadline) -> Vec<Result<(), QueueError>> {
        let (count, items) = (items.len(), items.to_vec());
        let effect = move |state: &mut State, _: &Sim| {
            for item in &items {
                state.ledger.parked(item);
                state.dead_letters.push(item.to_json());
            }
            state.parked.extend(items);
            vec![Ok(()); count]
        };
        self.call("park", deadline, effect, |_| {
            vec![Err(QueueError::Unavailable(Cause::no_answer())); count]
        })
        .await
    }

    async fn put_back(&self, bodies: &[String], _: Deadline) -> Vec<Result<(), QueueError>> {
        panic!("the due queue has due messages only: {bodies:?}")
    }
}

impl Deliver for Process {
    async fn deliver(
        &self,
        digest: &Digest,
        joins: Option<&str>,
        deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        let has_incidents = digest.target.kind == TargetKind::PagerDuty;
        if has_incidents || self.sim.plan.mutation == Some(Mutation::MergeBursts) {
            return pagerduty::deliver(self, digest, joins, deadline).await;
        }
        if digest.target.kind == TargetKind::Jira {
            return jira::deliver(self, digest, joins, deadline).await;
        }
        if floods::is_silent(&digest.target) {
            let patience = deadline.remaining(self.now());
            self.sim.executor.sleep(patience).await;
            return Err(DeliverError::Retry {
                after: None,
                reason: DeliveryFailure::new(FailureCode::Timeout, "no answer"),
            });
        }
        let (digest, id, sent_at) = (digest.clone(), self.id, self.sim.executor.now_us());
        let effect =
            move |state: &mut State, sim: &Sim| answer(state, sim, Step::new(id, sent_at, digest));
        let unanswered = |_| {
            Err(DeliverError::Retry {
                after: None,
                reason: DeliveryFailure::new(FailureCode::Timeout, "no answer"),
            })
        };
        self.call("deliver", deadline, effect, unanswered).await
    }
}

/// The answer of a target.
fn answer(state: &mut State, sim: &Sim, delivered: Step) -> Result<Accepted, DeliverError> {
    let failure = |text: &str| DeliveryFailure::new(FailureCode::Server, text);
    let retry = |after, reason| Err(DeliverError::Retry { after, reason: failure(reason) });
    let after = Some(Duration::from_secs(1 + sim.below(40) as u64));
    if sim.plan.outage && sim.is_busy() && delivered.digest.target.name.as_str() == "two" {
        return retry(after.filter(|_| sim.below(2) == 0), "down");
    }
    if let Some(pause) = floods::refuses(state, sim, &delivered.digest.target) {
        return retry(Some(pause), "429");
    }
    let fault = if sim.happens(sim.plan.faults.target) { sim.below(5) } else { usize::MAX };
    match fault {
        0 => return retry(after, "429"),
        1 => return retry(None, "503"),
        2 => return Err(DeliverError::Refused { reason: failure("400") }),
        3 => return Err(DeliverError::Denied { reason: failure("410") }),
        _ => {}
    }
    sim.note(|| {
        format!(
            "{} receives {} alerts of {}, epochs {:?}",
            delivered.digest.target,
            delivered.digest.tally.alerts,
            delivered.digest.route,
            delivered.digest.epochs
        )
    });
    let sealed = state.engine.cursor(&delivered.digest.route).map_or(0, |cursor| cursor.sealed);
    state.ledger.delivered(delivered, sealed);
    match fault {
        4 => retry(None, "accepted, but timed out"),
        _ => Ok(Accepted { message: Some(format!("m-{}", sim.random())), related: None }),
    }
}

impl Clock for Process {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.sim.now().as_millis() + self.skew_ms)
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        self.sim.executor.sleep(duration)
    }
}

impl Services for Process {
    type Store = Self;
    type Due = Self;
    type DeadLetters = Self;
    type Deliver = Self;
    type Clock = Self;

    fn routes(&self) -> &Routes {
        self.routes
    }

    fn store(&self) -> &Self {
        self
    }

    fn due(&self) -> Option<&Self> {
        self.timed.then_some(self)
    }

    fn dead_letters(&self) -> &Self {
        self
    }

    fn deliver(&self) -> &Self {
        self
    }

    fn clock(&self) -> &Self {
        self
    }

    fn random(&self) -> u64 {
        self.sim.random()
    }
}
