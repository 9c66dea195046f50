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
use crate::model::outbox::{Cursor, Epoch, Escalation, Held, Lease, Recipient, Settled, TargetState, Thread};
use crate::model::time::Timestamp;
use crate::protocol::notify::{Accepted, Deliver as _, DeliverError};
use crate::protocol::queue::{Park as _, Parked, What};
use crate::protocol::round::{Again, Outcome, Round, SETTLE_MARGIN, Sent};
use crate::protocol::store::{Store as _, StoreError};
use crate::protocol::world::World;

/// A lease outlives its holder by this much, so that clocks may differ.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// A target that asks for a shorter pause asks for none.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// What came of telling.
#[derive(Debug, Default)]
pub(crate) struct Telling {
    pub messages: Vec<Sent>,
    /// Present when somebody is still owed something.
    pub again: Option<Again>,
    /// A message was deferred: it stays owed, without a time to come back.
    pub deferred: bool,
}

/// Tells every target of the route what it has not been told, then the fallbacks of those that were not to be had.
pub(crate) async fn everyone<W: World>(round: &Round<'_, W>, cursor: &Cursor) -> Telling {
    let mut telling = Telling::default();
    let ticket = |recipient| Ticket { round, cursor, recipient, sealed: cursor.sealed };
    let own = cursor.targets.keys().map(|target| ticket(Recipient::Own(target)));
    let own: Vec<Telling> = join_all(own.map(|ticket| Box::pin(ticket.tell()))).await;
    let behind: Vec<&Target> =
        cursor.targets.keys().zip(&own).filter(|(_, told)| told.again.is_some()).map(|(target, _)| target).collect();
    let called_in = Box::pin(call_in_fallback(round, cursor, &behind)).await;
    own.into_iter().for_each(|told| telling.add(told));
    telling.again = Again::earlier(telling.again.take(), called_in.unwrap_or_else(|error| Some(round.failed(&error))));
    // Escalated just now, or in an earlier round.
    let configured = round.configured().and_then(|route| route.fallback.as_ref());
    let fallbacks = cursor.fallbacks.iter().chain(configured.filter(|target| !cursor.fallbacks.contains(target)));
    let told = fallbacks.map(|target| Box::pin(ticket(Recipient::Fallback(target)).tell()));
    join_all(told).await.into_iter().for_each(|told| telling.add(told));
    telling
}

/// Escalates what targets have been waiting for longer than `fallback_after`; answers when the next of them will have.
async fn call_in_fallback<W: World>(
    round: &Round<'_, W>,
    cursor: &Cursor,
    behind: &[&Target],
) -> Result<Option<Again>, StoreError> {
    let Some((fallback, after)) = round.configured().and_then(Route::escalates) else { return Ok(None) };
    let mut again = None;
    for target in behind {
        let Some(waiting_since) = waiting_since(round, cursor, target).await? else { continue };
        let at = waiting_since.after(after);
        if at <= round.now() {
            let because = format!("{target} has not taken a message since {}", waiting_since.iso());
            escalate(round, cursor, fallback, cursor.sealed, because).await?;
        } else {
            again = Again::earlier(again, Some(Again { at, why: format!("{target} is behind") }));
        }
    }
    Ok(again)
}

/// When the oldest epoch was frozen that `target` is still owed.
async fn waiting_since<W: World>(
    round: &Round<'_, W>,
    cursor: &Cursor,
    target: &Target,
) -> Result<Option<Timestamp>, StoreError> {
    let store = round.world.store();
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
async fn escalate<W: World>(
    round: &Round<'_, W>,
    cursor: &Cursor,
    fallback: &Target,
    upto: u64,
    because: String,
) -> Result<(), StoreError> {
    let store = round.world.store();
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
struct Ticket<'r, W> {
    round: &'r Round<'r, W>,
    cursor: &'r Cursor,
    recipient: Recipient<'r>,
    sealed: u64,
}

enum Told {
    /// The target has had everything that it is owed.
    Everything,
    /// It has been told or parked what was there; look again.
    Up,
    Later(Again),
    /// Its message was deferred.
    Deferred,
}

/// Why a target was not settled.
enum Unsettled {
    /// It has to be told again.
    Again(Again),
    Deferred,
}

impl<W: World> Ticket<'_, W> {
    /// Tells the target all it has not been told, and looks once more whether there is more by then.
    async fn tell(mut self) -> Telling {
        let mut messages = Vec::new();
        let mut deferred = false;
        let again = loop {
            match self.tell_once(&mut messages).await {
                Ok(Told::Everything) => break None,
                Ok(Told::Up) => {}
                Ok(Told::Later(again)) => break Some(again),
                Ok(Told::Deferred) => {
                    deferred = true;
                    break None;
                }
                Err(error) => break Some(self.round.failed(&error)),
            }
            match self.round.world.store().cursor(self.round.route, self.round.deadline).await {
                Ok(cursor) => self.sealed = cursor.sealed,
                Err(error) => break Some(self.round.failed(&error)),
            }
        };
        Telling { messages, again, deferred }
    }

    async fn tell_once(&self, messages: &mut Vec<Sent>) -> Result<Told, StoreError> {
        let Round { world, route, deadline, .. } = *self.round;
        let store = world.store();
        let state = store.target(route, self.recipient, deadline).await?;
        if self.owed(&state).is_none() {
            return Ok(Told::Everything);
        }
        let now = self.round.now();
        if let Some(again) = self.held_back(&state, now) {
            return Ok(Told::Later(again));
        }
        let owner = format!("{:016x}{:016x}", world.random(), world.random());
        let lease = Lease { owner, until: deadline.after(LEASE_MARGIN) };
        let Some(state) = store.lease(route, self.recipient, &lease, now, deadline).await? else {
            return Ok(Told::Later(self.round.later(format!("{} is being told by another process", self.target()))));
        };
        let Some((after, upto)) = self.owed(&state) else {
            // Told by another process between the two looks.
            store.release(route, self.recipient, &lease, &Held::default(), deadline).await?;
            return Ok(Told::Up);
        };
        let digest = self.digest(&state, after, upto).await?;
        let thread = state.thread.clone();
        let settled = match digest {
            None => Ok(Settled { offset: upto, thread, muted: state.muted }),
            Some(digest) if self.cursor.is_muted(now) => {
                Ok(Settled { offset: upto, thread, muted: state.muted.saturating_add(digest.tally.alerts) })
            }
            Some(digest) => Box::pin(self.hand_over(&digest, &state, upto, messages)).await,
        };
        match settled {
            Ok(settled) => {
                // Lost only if the lease ran out, and then whoever has it now tells the target again.
                if !store.settle(route, self.recipient, &lease, &settled, deadline).await? {
                    tracing::warn!(route = %route, target = %self.target(), "The lease ran out before {} was settled: it may be told twice", self.target());
                }
                Ok(Told::Up)
            }
            Err(Unsettled::Deferred) => {
                let held = Held { not_before: state.not_before, failures: state.failures };
                store.release(route, self.recipient, &lease, &held, deadline).await?;
                Ok(Told::Deferred)
            }
            Err(Unsettled::Again(again)) => {
                let held = Held { not_before: Some(again.at), failures: state.failures.saturating_add(1) };
                store.release(route, self.recipient, &lease, &held, deadline).await?;
                Ok(Told::Later(again))
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

    fn held_back(&self, state: &TargetState, now: Timestamp) -> Option<Again> {
        let target = self.target();
        let paused =
            state.not_before.map(|at| Again { at, why: format!("{target} is not called before {}", at.iso()) });
        let leased =
            state.leased_until.map(|at| Again { at, why: format!("{target} is being told by another process") });
        paused.into_iter().chain(leased).find(|again| again.at > now)
    }

    async fn digest(&self, state: &TargetState, after: u64, upto: u64) -> Result<Option<Digest>, StoreError> {
        let Round { world, route, deadline, .. } = *self.round;
        let epochs = world.store().epochs(route, after, upto, deadline).await?;
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
    async fn hand_over(
        &self,
        digest: &Digest,
        state: &TargetState,
        upto: u64,
        messages: &mut Vec<Sent>,
    ) -> Result<Settled, Unsettled> {
        let thread = state.thread.as_ref().filter(|thread| Some(thread.burst) == digest.incident);
        let (outcome, result) = match self.deliver(digest, thread).await {
            Ok(accepted) => {
                let thread = started(digest, accepted).or_else(|| thread.cloned());
                (Outcome::Accepted, Ok(Settled { offset: upto, thread, muted: 0 }))
            }
            Err(DeliverError::Retry { after, reason }) => {
                let again = self.pause(after, reason.clone(), state.failures).await;
                (Outcome::Retry(reason), Err(Unsettled::Again(again)))
            }
            Err(DeliverError::Deferred) => return Err(Unsettled::Deferred),
            Err(DeliverError::Denied { reason } | DeliverError::Refused { reason }) => {
                match self.give_up(digest, &reason).await {
                    Ok(()) => {
                        let settled = Settled { offset: upto, thread: thread.cloned(), muted: state.muted };
                        (Outcome::Parked(reason), Ok(settled))
                    }
                    Err(why) => {
                        let why = format!("refused ({reason}), and {why}");
                        let again = self.round.later_by(state.failures, why.clone());
                        (Outcome::Retry(why), Err(Unsettled::Again(again)))
                    }
                }
            }
        };
        let (route, target) = (digest.route.clone(), digest.target.clone());
        messages.push(Sent { route, target, epochs: digest.epochs, alerts: digest.tally.alerts, outcome });
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
        let until = self.round.deadline.before(SETTLE_MARGIN);
        if self.round.now() >= until {
            return Err(DeliverError::Retry { after: None, reason: "no time was left to deliver".to_owned() });
        }
        let joins = thread.map(|thread| thread.message.as_str());
        self.round.world.deliver().deliver(digest, joins, until).await
    }

    /// When to call the target again. What it asks for holds on every route.
    async fn pause(&self, after: Option<Duration>, why: String, failures: u32) -> Again {
        // A target that asks for no pause gets one that grows, or it would be called twice a second for ever.
        let Some(after) = after.filter(|after| *after >= PAUSE_MIN) else { return self.round.later_by(failures, why) };
        let at = self.round.now().after(after);
        if let Err(error) = self.round.world.store().pause(self.target(), at, self.round.deadline).await {
            // The other routes find out by asking.
            tracing::debug!(target = %self.target(), "The pause holds on this route only: {error}");
        }
        Again { at, why }
    }

    /// Parks what the target refused, and owes it to the fallback.
    async fn give_up(&self, digest: &Digest, reason: &str) -> Result<(), String> {
        let Round { world, route, deadline, .. } = *self.round;
        let what = What::Message {
            route: route.clone(),
            target: self.target().clone(),
            epochs: [digest.epochs.0, digest.epochs.1],
            tally: Box::new(digest.tally.clone()),
        };
        let parked = world.park().park(&[Parked::new(reason, self.round.now(), what)], deadline).await;
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

impl Telling {
    fn add(&mut self, more: Telling) {
        self.messages.extend(more.messages);
        self.again = Again::earlier(self.again.take(), more.again);
        self.deferred |= more.deferred;
    }
}
