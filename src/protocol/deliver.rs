//! Telling a route's targets what was frozen: each has its own offset, its own lease and its own bad days. Whatever
//! a target missed it gets as one message. A target that refuses, or stays behind for too long, has a fallback told
//! in its place.
//!
//! The order that must never be turned round: a target is settled only after it has accepted, or after what it
//! refused lies in the dead-letter queue and its fallback is owed it.

use std::time::Duration;

use futures::future::{join_all, try_join_all};

use crate::config::Route;
use crate::model::digest::Digest;
use crate::model::name::Target;
use crate::model::outbox::{
    Acknowledgement, Cursor, Deferral, Epoch, Escalation, Lease, Recipient, TargetState, Thread,
};
use crate::model::time::Timestamp;
use crate::protocol::notify::{Accepted, Deliver as _, DeliverError};
use crate::protocol::queue::{DeadLetterQueue as _, ParkedItem, ParkedWork};
use crate::protocol::round::{ACKNOWLEDGE_MARGIN, Delivery, DeliveryOutcome, RetryAt, Round};
use crate::protocol::services::Services;
use crate::protocol::store::{Store as _, StoreError};

/// A lease outlives its holder by this much, so that clocks may differ.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// A target that asks for a shorter pause asks for none.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// What came of telling.
#[derive(Debug, Default)]
pub(crate) struct DeliveryReport {
    pub messages: Vec<Delivery>,
    /// Present when somebody is still owed something.
    pub retry: Option<RetryAt>,
    /// A message was deferred: it stays owed, without a time to come back.
    pub deferred: bool,
}

/// Tells every target of the route what it has not been told, then the fallbacks of those that were not to be had.
pub(crate) async fn deliver_all<W: Services>(round: &Round<'_, W>, cursor: &Cursor) -> DeliveryReport {
    let mut report = DeliveryReport::default();
    let delivery = |recipient| TargetDelivery { round, cursor, recipient, sealed: cursor.sealed };
    let own = cursor.targets.keys().map(|target| delivery(Recipient::Own(target)));
    let own: Vec<DeliveryReport> = join_all(own.map(|delivery| Box::pin(delivery.run()))).await;
    let behind: Vec<&Target> = cursor
        .targets
        .keys()
        .zip(&own)
        .filter(|(_, delivered)| delivered.retry.is_some())
        .map(|(target, _)| target)
        .collect();
    let escalated = Box::pin(escalate_overdue(round, cursor, &behind)).await;
    own.into_iter().for_each(|delivered| report.add(delivered));
    report.retry =
        RetryAt::earlier(report.retry.take(), escalated.unwrap_or_else(|error| Some(round.retry_on(&error))));
    // Escalated just now, or in an earlier round.
    let configured = round.configured().and_then(|route| route.fallback.as_ref());
    let fallbacks = cursor.fallbacks.iter().chain(configured.filter(|target| !cursor.fallbacks.contains(target)));
    let delivered = fallbacks.map(|target| Box::pin(delivery(Recipient::Fallback(target)).run()));
    join_all(delivered).await.into_iter().for_each(|delivered| report.add(delivered));
    report
}

/// Escalates what targets have been waiting for longer than `fallback_after`; answers when the next of them will have.
async fn escalate_overdue<W: Services>(
    round: &Round<'_, W>,
    cursor: &Cursor,
    behind: &[&Target],
) -> Result<Option<RetryAt>, StoreError> {
    let Some((fallback, after)) = round.configured().and_then(Route::escalates) else { return Ok(None) };
    let mut retry = None;
    for target in behind {
        let Some(waiting_since) = waiting_since(round, cursor, target).await? else { continue };
        let at = waiting_since.after(after);
        if at <= round.now() {
            let because = format!("{target} has not taken a message since {}", waiting_since.iso());
            escalate(round, cursor, fallback, cursor.sealed, because).await?;
        } else {
            retry = RetryAt::earlier(retry, Some(RetryAt { at, why: format!("{target} is behind") }));
        }
    }
    Ok(retry)
}

/// When the oldest epoch was frozen that `target` is still owed.
async fn waiting_since<W: Services>(
    round: &Round<'_, W>,
    cursor: &Cursor,
    target: &Target,
) -> Result<Option<Timestamp>, StoreError> {
    let store = round.services.store();
    let state = store.target(round.route, Recipient::Own(target), round.deadline).await?;
    let since = cursor.targets.get(target).copied().unwrap_or_default();
    let epochs = store.epochs(round.route, state.offset.unwrap_or(since), cursor.sealed, round.deadline).await?;
    Ok(epochs.iter().find(|epoch| epoch.owed.contains(target)).map(|epoch| epoch.at))
}

/// Owes `fallback` everything up to `upto` that any target of the route still lacks. What it was owed before stays
/// owed; what it was told before is not told again.
///
/// Starting at the hindmost of all targets, and not only at the one that fails, keeps one offset enough: whatever
/// lies before the fallback's offset was told to it, or to everyone.
async fn escalate<W: Services>(
    round: &Round<'_, W>,
    cursor: &Cursor,
    fallback: &Target,
    upto: u64,
    because: String,
) -> Result<(), StoreError> {
    let store = round.services.store();
    let offsets = cursor.targets.iter().map(async |(target, since)| {
        let state = store.target(round.route, Recipient::Own(target), round.deadline).await?;
        Ok::<u64, StoreError>(state.offset.unwrap_or(*since))
    });
    let hindmost = try_join_all(offsets).await?.into_iter().min().unwrap_or(upto);
    loop {
        let known = store.target(round.route, Recipient::Fallback(fallback), round.deadline).await?;
        let offset = known.offset.unwrap_or(0);
        let owed_upto = known.escalation.as_ref().map_or(0, |escalation| escalation.upto);
        if owed_upto >= upto {
            return Ok(());
        }
        let offset = if offset < owed_upto { offset } else { offset.max(hindmost) };
        let escalation = Escalation { upto, because: because.clone() };
        if store.escalate(round.route, fallback, &known, offset, &escalation, round.deadline).await? {
            return Ok(());
        }
        // It was told, or owed more, in between. (Or the answer was lost: then the next turn finds it done.)
    }
}

/// One target that may be owed something.
struct TargetDelivery<'r, W> {
    round: &'r Round<'r, W>,
    cursor: &'r Cursor,
    recipient: Recipient<'r>,
    sealed: u64,
}

enum Step {
    /// The target has had everything that it is owed.
    Done,
    /// It has been told or parked what was there; look again.
    Progress,
    Retry(RetryAt),
    /// Its message was deferred.
    Deferred,
}

/// Why a target was not settled.
enum NotDelivered {
    /// It has to be told again.
    Retry(RetryAt),
    Deferred,
}

impl<W: Services> TargetDelivery<'_, W> {
    /// Tells the target all it has not been told, and looks once more whether there is more by then.
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
                Err(error) => break Some(self.round.retry_on(&error)),
            }
            match self.round.services.store().cursor(self.round.route, self.round.deadline).await {
                Ok(cursor) => self.sealed = cursor.sealed,
                Err(error) => break Some(self.round.retry_on(&error)),
            }
        };
        DeliveryReport { messages, retry, deferred }
    }

    async fn step(&self, messages: &mut Vec<Delivery>) -> Result<Step, StoreError> {
        let Round { services, route, deadline, .. } = *self.round;
        let store = services.store();
        let state = store.target(route, self.recipient, deadline).await?;
        if self.owed(&state).is_none() {
            return Ok(Step::Done);
        }
        let now = self.round.now();
        if let Some(retry) = self.paused(&state, now) {
            return Ok(Step::Retry(retry));
        }
        let owner = format!("{:016x}{:016x}", services.random(), services.random());
        let lease = Lease { owner, until: deadline.time().after(LEASE_MARGIN) };
        let Some(state) = store.lease(route, self.recipient, &lease, now, deadline).await? else {
            return Ok(Step::Retry(self.round.retry(format!("{} is being told by another process", self.target()))));
        };
        let Some((after, upto)) = self.owed(&state) else {
            // Told by another process between the two looks.
            store.release(route, self.recipient, &lease, &Deferral::default(), deadline).await?;
            return Ok(Step::Progress);
        };
        let digest = self.digest(&state, after, upto).await?;
        let thread = state.thread.clone();
        let acknowledgement = match digest {
            None => Ok(Acknowledgement { offset: upto, thread, muted: state.muted }),
            Some(digest) if self.cursor.is_muted(now) => {
                Ok(Acknowledgement { offset: upto, thread, muted: state.muted.saturating_add(digest.tally.alerts) })
            }
            Some(digest) => Box::pin(self.attempt(&digest, &state, upto, messages)).await,
        };
        match acknowledgement {
            Ok(acknowledgement) => {
                // Lost only if the lease ran out, and then whoever has it now tells the target again.
                if !store.acknowledge(route, self.recipient, &lease, &acknowledgement, deadline).await? {
                    tracing::warn!(route = %route, target = %self.target(), "The lease ran out before {} was settled: it may be told twice", self.target());
                }
                Ok(Step::Progress)
            }
            Err(NotDelivered::Deferred) => {
                let held = Deferral { not_before: state.not_before, failures: state.failures };
                store.release(route, self.recipient, &lease, &held, deadline).await?;
                Ok(Step::Deferred)
            }
            Err(NotDelivered::Retry(retry)) => {
                let held = Deferral { not_before: Some(retry.at), failures: state.failures.saturating_add(1) };
                store.release(route, self.recipient, &lease, &held, deadline).await?;
                Ok(Step::Retry(retry))
            }
        }
    }

    /// The epochs `(after, upto]` that the target may be owed; `None` when it is owed nothing.
    fn owed(&self, state: &TargetState) -> Option<(u64, u64)> {
        let (after, upto) = match self.recipient {
            Recipient::Own(target) => {
                let since = self.cursor.targets.get(target).copied().unwrap_or_default();
                (state.offset.unwrap_or(since), self.sealed)
            }
            Recipient::Fallback(_) => (state.offset.unwrap_or(0), state.escalation.as_ref()?.upto),
        };
        (after < upto).then_some((after, upto))
    }

    fn target(&self) -> &Target {
        self.recipient.target()
    }

    fn paused(&self, state: &TargetState, now: Timestamp) -> Option<RetryAt> {
        let target = self.target();
        let paused =
            state.not_before.map(|at| RetryAt { at, why: format!("{target} is not called before {}", at.iso()) });
        let leased =
            state.leased_until.map(|at| RetryAt { at, why: format!("{target} is being told by another process") });
        paused.into_iter().chain(leased).find(|retry| retry.at > now)
    }

    async fn digest(&self, state: &TargetState, after: u64, upto: u64) -> Result<Option<Digest>, StoreError> {
        let Round { services, route, deadline, .. } = *self.round;
        let epochs = services.store().epochs(route, after, upto, deadline).await?;
        let is_owed =
            |epoch: &&Epoch| matches!(self.recipient, Recipient::Fallback(_)) || epoch.owed.contains(self.target());
        let owed: Vec<&Epoch> = epochs.iter().filter(is_owed).collect();
        let digest =
            Digest::merged(route, self.target(), self.round.configured().and_then(|route| route.severity), &owed);
        let escalated = match self.recipient {
            Recipient::Own(_) => None,
            Recipient::Fallback(_) => state.escalation.as_ref().map(|escalation| escalation.because.clone()),
        };
        Ok(digest.map(|digest| Digest { muted: state.muted, escalated, ..digest }))
    }

    /// Delivers or parks the digest.
    async fn attempt(
        &self,
        digest: &Digest,
        state: &TargetState,
        upto: u64,
        messages: &mut Vec<Delivery>,
    ) -> Result<Acknowledgement, NotDelivered> {
        let thread = state.thread.as_ref().filter(|thread| Some(thread.burst) == digest.incident);
        let (outcome, result) = match self.deliver(digest, thread).await {
            Ok(accepted) => {
                let thread = started(digest, accepted).or_else(|| thread.cloned());
                (DeliveryOutcome::Accepted, Ok(Acknowledgement { offset: upto, thread, muted: 0 }))
            }
            Err(DeliverError::Retry { after, reason }) => {
                let retry = self.pause(after, reason.clone(), state.failures).await;
                (DeliveryOutcome::Retry(reason), Err(NotDelivered::Retry(retry)))
            }
            Err(DeliverError::Deferred) => return Err(NotDelivered::Deferred),
            Err(DeliverError::Denied { reason } | DeliverError::Refused { reason }) => {
                match self.give_up(digest, &reason).await {
                    Ok(()) => {
                        let acknowledgement =
                            Acknowledgement { offset: upto, thread: thread.cloned(), muted: state.muted };
                        (DeliveryOutcome::Parked(reason), Ok(acknowledgement))
                    }
                    Err(why) => {
                        let why = format!("refused ({reason}), and {why}");
                        let retry = self.round.retry_after(state.failures, why.clone());
                        (DeliveryOutcome::Retry(why), Err(NotDelivered::Retry(retry)))
                    }
                }
            }
        };
        let (route, target) = (digest.route.clone(), digest.target.clone());
        messages.push(Delivery { route, target, epochs: digest.epochs, alerts: digest.tally.alerts, outcome });
        result
    }

    async fn deliver(&self, digest: &Digest, thread: Option<&Thread>) -> Result<Accepted, DeliverError> {
        let configured = match (self.round.configured(), self.recipient) {
            (Some(route), Recipient::Own(_)) => route.notify.contains(self.target()),
            (Some(route), Recipient::Fallback(_)) => route.fallback.as_ref() == Some(self.target()),
            (None, _) => false,
        };
        if !configured {
            let reason = "the configuration no longer has this route or this target of it".to_owned();
            return Err(DeliverError::Refused { reason });
        }
        let until = self.round.deadline.earlier(ACKNOWLEDGE_MARGIN);
        if until.has_passed(self.round.now()) {
            return Err(DeliverError::Retry { after: None, reason: "no time was left to deliver".to_owned() });
        }
        let joins = thread.map(|thread| thread.message.as_str());
        self.round.services.deliver().deliver(digest, joins, until).await
    }

    /// When to call the target again. What it asks for holds on every route.
    async fn pause(&self, after: Option<Duration>, why: String, failures: u32) -> RetryAt {
        // A target that asks for no pause gets one that grows, or it would be called twice a second for ever.
        let Some(after) = after.filter(|after| *after >= PAUSE_MIN) else {
            return self.round.retry_after(failures, why);
        };
        let at = self.round.now().after(after);
        if let Err(error) = self.round.services.store().pause(self.target(), at, self.round.deadline).await {
            // The other routes find out by asking.
            tracing::debug!(target = %self.target(), "The pause holds on this route only: {error}");
        }
        RetryAt { at, why }
    }

    /// Parks what the target refused, and owes it to the fallback.
    async fn give_up(&self, digest: &Digest, reason: &str) -> Result<(), String> {
        let Round { services, route, deadline, .. } = *self.round;
        let what = ParkedWork::Message {
            route: route.clone(),
            target: self.target().clone(),
            epochs: [digest.epochs.0, digest.epochs.1],
            tally: Box::new(digest.tally.clone()),
        };
        let parked = services.dead_letters().park(&[ParkedItem::new(reason, self.round.now(), what)], deadline).await;
        let answer = parked.into_iter().next().expect("invariant: park answers once for each item");
        answer.map_err(|error| format!("it could not be parked: {error}"))?;
        let fallback = self.round.configured().and_then(|route| route.fallback.as_ref());
        if let (Recipient::Own(_), Some(fallback)) = (self.recipient, fallback) {
            let because = format!("{} refused it: {reason}", self.target());
            escalate(self.round, self.cursor, fallback, digest.epochs.1, because)
                .await
                .map_err(|error| format!("{fallback} could not be called in: {error}"))?;
        }
        Ok(())
    }
}

fn started(digest: &Digest, accepted: Accepted) -> Option<Thread> {
    Some(Thread { burst: digest.incident?, message: accepted.message? })
}

impl DeliveryReport {
    fn add(&mut self, more: DeliveryReport) {
        self.messages.extend(more.messages);
        self.retry = RetryAt::earlier(self.retry.take(), more.retry);
        self.deferred |= more.deferred;
    }
}
