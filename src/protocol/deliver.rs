//! Delivers frozen epochs to the targets of a route. Each target has its own offset and lease, so a
//! failing target delays no other. All epochs since a target's offset become one message.
//!
//! The order that must never change: an offset moves only after the target accepted the message, or
//! after a refused message is in the dead-letter queue and its fallback is owed the epochs.

mod message;

use std::sync::Arc;
use std::time::Duration;

use futures::future::{BoxFuture, Shared, join, join_all, try_join, try_join_all};
use futures::{FutureExt as _, TryFutureExt as _};

use crate::config::Route;
use crate::model::digest::Digest;
use crate::model::history::Mark;
use crate::model::name::Target;
use crate::model::outbox::{
    AcknowledgedAs, Acknowledgement, Cursor, Deferral, Epoch, Lease, Recipient, TargetState, Thread,
};
use crate::model::time::Timestamp;
use crate::protocol::backoff::RetryAt;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::dead_letter::{ParkCode, ParkedItem, ParkedMessage, ParkedWork};
use crate::protocol::escalate::{Waiting, escalate, escalate_overdue, waiting_since};
use crate::protocol::notify::{Accepted, Deliver as _, DeliverError, DeliveryFailure, FailureCode};
use crate::protocol::queue::DeadLetterQueue as _;
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::round::{ACKNOWLEDGE_MARGIN, ATTEMPT_MAX, Delivery, DeliveryOutcome, Round};
use crate::protocol::services::Services;
use crate::protocol::store::{Store as _, StoreError};

/// A lease outlasts its holder's deadline by this much, because clocks differ.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// A turn lasts this long. A recipient that comes later takes another one, so that routes which were
/// late together are spread again.
const TURN_KEPT: Duration = Duration::from_secs(30);

/// A turn that comes this soon is waited for.
const TURN_WAIT: Duration = Duration::from_secs(1);

/// The result of delivering to one or more targets.
#[derive(Debug, Default)]
pub(crate) struct DeliveryReport {
    pub messages: Vec<Delivery>,
    /// Present when a target is still owed epochs.
    pub retry: Option<RetryAt>,
    /// A message was deferred. It stays owed, without a time for the next attempt.
    pub deferred: bool,
    /// When the oldest epoch was frozen that a target is still owed.
    pub oldest_debt: Option<Timestamp>,
}

/// Delivers owed epochs to every target of the route, then to the fallbacks of targets that failed.
/// `frozen` is the latest epoch, if the round has it.
pub(crate) async fn deliver_all<W: Services>(
    round: &Round<'_, W>,
    cursor: &Cursor,
    frozen: Option<&Epoch>,
) -> DeliveryReport {
    let now = round.now();
    let deadline = Deadline::after(now, MARKS_PATIENCE).min(round.deadline);
    let marks = round.services.store().marks(now.before(MARKS_READ), deadline);
    let marks: Marks<'_> = marks.map_ok(Arc::from).boxed().shared();
    let delivery = |recipient| TargetDelivery {
        round,
        cursor,
        recipient,
        sealed: cursor.sealed,
        frozen,
        marks: marks.clone(),
    };
    let own = cursor.targets.keys().map(|target| delivery(Recipient::Own(target)));
    let own = join_all(own.map(|delivery| Box::pin(delivery.run())));
    // They are read together with the state of the targets.
    let (own, _) = join(own, marks.clone()).await;
    let failed = cursor.targets.keys().zip(&own).filter(|(_, report)| report.retry.is_some());
    let behind = failed.map(|(target, _)| waiting_since(round, cursor, target));
    let escalated = async {
        let waiting: Vec<Waiting<'_>> = try_join_all(behind).await?.into_iter().flatten().collect();
        let oldest_debt = waiting.iter().map(|waiting| waiting.since).min();
        let next_escalation = escalate_overdue(round, cursor, &waiting).await?;
        Ok::<_, StoreError>((oldest_debt, next_escalation))
    };
    let escalated = Box::pin(escalated).await;

    let mut report = DeliveryReport::default();
    own.into_iter().for_each(|delivered| report.add(delivered));
    let (oldest_debt, next_escalation) =
        escalated.unwrap_or_else(|error| (None, Some(round.retry(error))));
    report.oldest_debt = oldest_debt;
    report.retry = RetryAt::earlier(report.retry.take(), next_escalation);

    // The cursor lists the fallbacks of earlier rounds; this round may have added the configured
    // one.
    let configured = round.configured().and_then(|route| route.fallback.as_ref());
    let fallbacks = cursor
        .fallbacks
        .iter()
        .chain(configured.filter(|target| !cursor.fallbacks.contains(target)));
    let deliveries = fallbacks.map(|target| Box::pin(delivery(Recipient::Fallback(target)).run()));
    join_all(deliveries).await.into_iter().for_each(|delivered| report.add(delivered));
    report
}

/// The delivery to one target that may be owed epochs.
struct TargetDelivery<'r, W> {
    round: &'r Round<'r, W>,
    cursor: &'r Cursor,
    recipient: Recipient<'r>,
    sealed: u64,
    frozen: Option<&'r Epoch>,
    marks: Marks<'r>,
}

/// The marks of the last week, the earliest first. Read once, for all targets.
type Marks<'r> = Shared<BoxFuture<'r, Result<Arc<[Mark]>, StoreError>>>;

/// A message does not wait for marks.
const MARKS_PATIENCE: Duration = Duration::from_secs(2);

/// Older marks matter to no message. A message may be late.
const MARKS_READ: Duration = Duration::from_hours(7 * 24);

enum Step {
    /// The target has received everything that it is owed.
    Done,
    /// A message was delivered or parked. Check again for more.
    Progress,
    Retry(RetryAt),
    Deferred,
}

/// Why the offset does not move.
enum NotDelivered {
    Retry(RetryAt),
    Deferred,
}

impl<W: Services> TargetDelivery<'_, W> {
    /// Delivers everything that the target is owed, including epochs that are sealed meanwhile.
    async fn run(mut self) -> DeliveryReport {
        let mut messages = Vec::new();
        let mut deferred = false;
        let retry = loop {
            match self.step(&mut messages).await {
                Ok(Step::Done) => break None,
                Ok(Step::Progress) => {}
                Ok(Step::Retry(retry)) => break Some(retry),
                Ok(Step::Deferred) => {
                    deferred = true;
                    break None;
                }
                Err(error) => break Some(self.round.retry(error)),
            }
            match self.round.services.store().cursor(self.round.route, self.round.deadline).await {
                Ok(cursor) => self.sealed = cursor.sealed,
                Err(error) => break Some(self.round.retry(error)),
            }
        };
        DeliveryReport { messages, retry, deferred, oldest_debt: None }
    }

    async fn step(&self, messages: &mut Vec<Delivery>) -> Result<Step, StoreError> {
        let Round { services, route, deadline, .. } = *self.round;
        let store = services.store();
        let state = store.target(route, self.recipient, deadline).await?;
        let end = self.end_of_incident(&state).await?;
        if self.owed(&state).is_none() && end.is_none() {
            return Ok(Step::Done);
        }
        let thread = state.thread.clone();
        let now = self.round.now();
        if let Some(retry) = self.waits(&state, now).or_else(|| self.leased(&state, now)) {
            return Ok(Step::Retry(retry));
        }
        let owner = format!("{:016x}{:016x}", services.random(), services.random());
        let lease = Lease { owner, until: deadline.time().after(LEASE_MARGIN) };
        let leased = store.lease(route, self.recipient, &lease, &state, now, deadline).await?;
        let Some(state) = leased else {
            // Another process has it, or has delivered since the state was read.
            return Ok(Step::Progress);
        };
        let release = async |deferral| {
            store.release(route, self.recipient, &lease, &deferral, deadline).await
        };
        // Another process may have failed since the state was read.
        let now = self.round.now();
        if let Some(retry) = self.waits(&state, now) {
            release(Deferral::of(&state)).await?;
            return Ok(Step::Retry(retry));
        }
        let end = end.filter(|_| state.thread == thread);
        let is_muted = self.cursor.is_muted(now);
        // A held epoch needs no turn.
        let may_be_held = self.round.configured().is_some_and(Route::may_hold);
        let is_silent = is_muted || may_be_held;
        let turn = async { if is_silent { Ok(now) } else { self.turn(&state, now).await } };
        let (next, mut turn) = try_join(self.next(&state, end), turn).await?;
        if may_be_held && !is_muted && matches!(next, Some((Some(_), _))) {
            turn = self.turn(&state, now).await?;
        }
        let Some((digest, upto)) = next else {
            // Another process delivered between the read and the lease.
            release(Deferral::of(&state)).await?;
            return Ok(Step::Progress);
        };
        let soon = now.after(TURN_WAIT);
        if now < turn && turn <= soon && digest.is_some() {
            services.clock().sleep(now.until(turn)).await;
        } else if turn > soon && digest.is_some() {
            release(Deferral { turn: Some(turn), ..Deferral::of(&state) }).await?;
            let reason = RetryReason::Paced { target: self.target().clone(), at: turn };
            return Ok(Step::Retry(RetryAt { at: turn, reason }));
        }
        let thread = state.thread.clone();
        let result = match digest {
            None => {
                let (muted, result) = (state.muted, AcknowledgedAs::Skipped);
                Ok(Acknowledgement { offset: upto, thread, muted, result })
            }
            Some(digest) if is_muted && digest.lost_epochs == 0 && !self.resolves(&digest) => {
                let muted = state.muted.saturating_add(digest.tally.alerts);
                let result = AcknowledgedAs::Muted;
                Ok(Acknowledgement { offset: upto, thread, muted, result })
            }
            Some(digest) => {
                let result = Box::pin(self.attempt(&digest, &state, upto, messages)).await;
                match self.is_fallback() && self.resolves(&digest) {
                    // Without a thread, a fallback has no incident to resolve.
                    true => result.map(|done| Acknowledgement { thread: None, ..done }),
                    false => result,
                }
            }
        };
        match result {
            Ok(acknowledgement) => self.acknowledge(&lease, &acknowledgement, deadline).await,
            Err(NotDelivered::Deferred) => {
                release(Deferral { turn: Some(turn), ..Deferral::of(&state) }).await?;
                Ok(Step::Deferred)
            }
            Err(NotDelivered::Retry(retry)) => {
                let failures = state.failures.saturating_add(1);
                release(Deferral { not_before: Some(retry.at), failures, turn: None }).await?;
                Ok(Step::Retry(retry))
            }
        }
    }

    async fn acknowledge(
        &self,
        lease: &Lease,
        acknowledgement: &Acknowledgement,
        deadline: Deadline,
    ) -> Result<Step, StoreError> {
        let (route, target) = (self.round.route, self.target());
        let store = self.round.services.store();
        if !store.acknowledge(route, self.recipient, lease, acknowledgement, deadline).await? {
            // The lease expired, so its next holder delivers the same epochs.
            tracing::warn!(
                route = %route,
                target = %target,
                "The lease expired before the delivery to {target} was acknowledged; it may get the message twice"
            );
        }
        Ok(Step::Progress)
    }

    /// When this recipient may send one message: `now`, or its turn among the routes that share the
    /// target.
    async fn turn(&self, state: &TargetState, now: Timestamp) -> Result<Timestamp, StoreError> {
        let interval = self.target().kind.interval();
        let has_come = |turn: Timestamp| turn <= now && now < turn.after(TURN_KEPT);
        if interval.is_zero() || state.turn.is_some_and(has_come) {
            return Ok(now);
        }
        let Round { services, deadline, .. } = *self.round;
        services.store().take_turn(self.target(), interval, now, deadline).await
    }

    /// The epochs `(after, upto]` that the target may be owed; `None` when it is owed nothing.
    fn owed(&self, state: &TargetState) -> Option<(u64, u64)> {
        self.recipient.owed(self.cursor, self.sealed, state)
    }

    fn is_fallback(&self) -> bool {
        matches!(self.recipient, Recipient::Fallback(_))
    }

    fn target(&self) -> &Target {
        self.recipient.target()
    }

    /// A pause, or a turn that has not come.
    fn waits(&self, state: &TargetState, now: Timestamp) -> Option<RetryAt> {
        let target = || self.target().clone();
        let paused = |until| RetryReason::Paused { target: target(), until };
        let paused = state.not_before.map(|at| RetryAt { at, reason: paused(at) });
        let paced = |at| RetryReason::Paced { target: target(), at };
        let paced = state.turn.map(|at| RetryAt { at, reason: paced(at) });
        paused.into_iter().chain(paced).find(|retry| retry.at > now)
    }

    fn leased(&self, state: &TargetState, now: Timestamp) -> Option<RetryAt> {
        let at = state.leased_until.filter(|until| *until > now)?;
        Some(RetryAt { at, reason: RetryReason::Leased { target: self.target().clone() } })
    }

    /// Whether the digest resolves an incident. It does so although the route is muted: it disturbs
    /// no one, and an incident that stays open hides the next one.
    fn resolves(&self, digest: &Digest) -> bool {
        digest.ends_burst && digest.tally.is_empty() && self.target().kind.has_incidents()
    }

    /// Delivers the digest, or parks it when the target refuses it.
    async fn attempt(
        &self,
        digest: &Digest,
        state: &TargetState,
        upto: u64,
        messages: &mut Vec<Delivery>,
    ) -> Result<Acknowledgement, NotDelivered> {
        let thread = state.thread.as_ref().filter(|thread| Some(thread.burst) == digest.incident);
        let now = self.round.now();
        let until = self.round.deadline.earlier(ACKNOWLEDGE_MARGIN);
        let until = until.min(Deadline::after(now, ATTEMPT_MAX));
        if until.has_passed(now) {
            let reason = RetryReason::NotTried { target: self.target().clone() };
            return Err(NotDelivered::Retry(self.round.retry_after(state.failures, reason)));
        }
        let (outcome, failure, result) = match self.deliver(digest, thread, until).await {
            Ok(accepted) => {
                let thread = started(digest, accepted).or_else(|| thread.cloned());
                let result = AcknowledgedAs::Accepted;
                let acknowledgement = Acknowledgement { offset: upto, thread, muted: 0, result };
                (DeliveryOutcome::Accepted, None, Ok(acknowledgement))
            }
            Err(DeliverError::Retry { after, reason: DeliveryFailure { code, text } }) => {
                let retry =
                    self.round.pause(self.target(), after, text.clone(), state.failures).await;
                (DeliveryOutcome::Retry(text), Some(code), Err(NotDelivered::Retry(retry)))
            }
            Err(DeliverError::Deferred) => return Err(NotDelivered::Deferred),
            Err(
                ref error @ (DeliverError::Denied { ref reason }
                | DeliverError::Refused { ref reason }),
            ) => {
                let code = if matches!(error, DeliverError::Denied { .. }) {
                    ParkCode::Denied
                } else {
                    ParkCode::Refused
                };
                let failure = Some(reason.code);
                let reason = reason.to_string();
                match self.give_up(digest, code, &reason).await {
                    Ok(()) => {
                        let acknowledgement = Acknowledgement {
                            offset: upto,
                            thread: thread.cloned(),
                            muted: state.muted,
                            result: AcknowledgedAs::Parked,
                        };
                        (DeliveryOutcome::Parked(reason), failure, Ok(acknowledgement))
                    }
                    Err(problem) => {
                        let why = RetryReason::GiveUp {
                            target: self.target().clone(),
                            refusal: reason,
                            problem,
                        };
                        let text = why.to_string();
                        let retry = self.round.retry_after(state.failures, why);
                        (DeliveryOutcome::Retry(text), failure, Err(NotDelivered::Retry(retry)))
                    }
                }
            }
        };
        let (route, target) = (digest.route.clone(), digest.target.clone());
        // How long alerts were held says nothing about a delivery.
        let is_first = digest.burst.is_none() && digest.held.is_none();
        let first = digest.tally.span.filter(|_| is_first);
        messages.push(Delivery {
            first_after: first.map(|span| span.first.until(self.round.now())),
            route,
            target,
            epochs: digest.epochs,
            alerts: digest.tally.alerts,
            outcome,
            failure,
        });
        result
    }

    async fn deliver(
        &self,
        digest: &Digest,
        thread: Option<&Thread>,
        until: Deadline,
    ) -> Result<Accepted, DeliverError> {
        if !self.is_configured() {
            let reason = "the configuration no longer has this route, or this target of it";
            let reason = DeliveryFailure::new(FailureCode::Client, reason);
            return Err(DeliverError::Refused { reason });
        }
        let joins = thread.map(|thread| thread.message.as_str());
        self.round.services.deliver().deliver(digest, joins, until).await
    }

    fn is_configured(&self) -> bool {
        match (self.round.configured(), self.recipient) {
            (Some(route), Recipient::Own(_)) => route.notify.contains(self.target()),
            (Some(route), Recipient::Fallback(_)) => route.fallback.as_ref() == Some(self.target()),
            (None, _) => false,
        }
    }

    /// Parks a refused digest, and owes its epochs to the fallback.
    async fn give_up(&self, digest: &Digest, code: ParkCode, reason: &str) -> Result<(), String> {
        let Round { services, deadline, .. } = *self.round;
        let work = ParkedWork::Message(Box::new(ParkedMessage::of(digest)));
        let item = ParkedItem::new(code, reason, self.round.now(), work);
        let parked = services.dead_letters().park(&[item], deadline).await;
        let answer = parked.into_iter().next().expect("invariant: park answers once for each item");
        answer.map_err(|error| format!("it could not be parked: {error}"))?;
        let fallback = self.round.configured().and_then(|route| route.fallback.as_ref());
        if let (Recipient::Own(_), Some(fallback)) = (self.recipient, fallback) {
            let reason = format!("{} refused it: {reason}", self.target());
            escalate(self.round, self.cursor, fallback, digest.epochs.1, reason)
                .await
                .map_err(|error| format!("the escalation to {fallback} failed: {error}"))?;
        }
        Ok(())
    }
}

/// The thread that a first message of a burst starts.
fn started(digest: &Digest, accepted: Accepted) -> Option<Thread> {
    let Accepted { message, related } = accepted;
    Some(Thread { burst: digest.incident?, message: message?, related })
}

impl DeliveryReport {
    fn add(&mut self, more: DeliveryReport) {
        self.messages.extend(more.messages);
        self.retry = RetryAt::earlier(self.retry.take(), more.retry);
        self.deferred |= more.deferred;
    }
}
