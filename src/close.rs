//! The notifier: close a window that is due, freeze what it collected, tell every target what it has
//! not been told, settle. Anybody may call it for any route at any time: who comes too early, too late
//! or twice finds nothing to do, and whoever comes after a crash finishes what was begun.
//!
//! Two orders must never be turned round: tallies are listed only after `closing` is set, and a
//! target is settled only after it has accepted.

use std::time::Duration;

use futures::future::join_all;

use crate::arm::{ArmError, ensure_armed};
use crate::clock::{Clock as _, Timestamp};
use crate::digest::Digest;
use crate::freeze::{self, Context};
use crate::name::{RouteName, Target};
use crate::notify::{Deliver as _, DeliverError};
use crate::queue::{Park as _, Parked, What};
use crate::store::{Cursor, Epoch, FREEZE_TALLIES_MAX, Lease, Store as _, StoreError};
use crate::world::World;

/// A lease outlives its holder by this much, so that clocks may differ.
const LEASE_MARGIN: Duration = Duration::from_secs(10);

/// Kept free before the deadline, for settling what was accepted.
const SETTLE_MARGIN: Duration = Duration::from_millis(500);

/// Epochs that one round lets expire at the most; after a long outage it takes several rounds.
const RETIRED_AT_ONCE: u64 = 25;

const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// What came of one round.
#[derive(Debug, Default)]
pub struct Closed {
    pub messages: Vec<Sent>,
    /// Present when something is left to do: when to come back.
    pub again: Option<Again>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Again {
    pub at: Timestamp,
    pub why: String,
}

/// A message, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sent {
    pub route: RouteName,
    pub target: Target,
    /// First and last epoch that it tells of.
    pub epochs: (u64, u64),
    pub alerts: u64,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The target has it.
    Accepted,
    /// Not yet; why.
    Retry(String),
    /// It was refused and lies in the dead-letter queue; why.
    Parked(String),
}

/// One round for `route`. `attempt` counts from 0 and lengthens the pause that is asked for.
pub async fn close<W: World>(world: &W, route: &RouteName, attempt: u32, deadline: Timestamp) -> Closed {
    let round = Round { world, route, attempt, deadline };
    match round.close_what_is_due().await {
        Ok(cursor) => round.tell_everyone(cursor).await,
        Err(error) => Closed { messages: Vec::new(), again: Some(round.later(error.to_string())) },
    }
}

/// Rounds until nothing is left to do or the deadline is near, for those who have no timer to come
/// back with. Whatever another process holds a lease on is waited for.
pub async fn settle<W: World>(world: &W, route: &RouteName, deadline: Timestamp) -> Closed {
    let mut all = Closed::default();
    for attempt in 0.. {
        let round = close(world, route, attempt, deadline).await;
        all.messages.extend(round.messages);
        all.again = round.again;
        let Some(again) = &all.again else { break };
        let now = world.clock().now();
        if again.at.after(SETTLE_MARGIN) >= deadline {
            break;
        }
        world.clock().sleep(now.until(again.at)).await;
    }
    all
}

/// The arguments of [`close`], which everything here needs.
struct Round<'a, W> {
    world: &'a W,
    route: &'a RouteName,
    attempt: u32,
    deadline: Timestamp,
}

impl<W: World> Round<'_, W> {
    /// Closes the open window if it is due, finishes whatever is closing, and answers the cursor at rest.
    async fn close_what_is_due(&self) -> Result<Cursor, StoreError> {
        let store = self.world.store();
        loop {
            let cursor = store.cursor(self.route, self.deadline).await?;
            let context = self.context();
            match (&cursor.closing, &cursor.open) {
                (Some(window), _) => self.freeze(&cursor, *window).await?,
                (None, Some(open)) if !context.timed || open.due <= context.now => {
                    let burst = freeze::burst_at_close(&cursor, &context);
                    store.close(self.route, open.number, burst, self.deadline).await?;
                }
                _ => return Ok(cursor),
            }
        }
    }

    /// Turns the tallies of the closing window into epochs. Stops as soon as a condition fails: then
    /// somebody else is at it, and the caller reads the cursor again.
    async fn freeze(&self, cursor: &Cursor, window: u64) -> Result<(), StoreError> {
        let store = self.world.store();
        // Listed after `closing` was set and read back. Whoever commits before this sees its tally
        // taken along; whoever commits later finds the window not open, and opens the next.
        let parcels = store.tallies(self.route, self.deadline).await?;
        let mut cursor = cursor.clone();
        let mut rest = parcels.as_slice();
        loop {
            let (now, later) = rest.split_at(rest.len().min(FREEZE_TALLIES_MAX));
            let step = freeze::step(&cursor, window, now, later.is_empty(), &self.context());
            if !store.freeze(self.route, &step, self.deadline).await? || later.is_empty() {
                return Ok(());
            }
            cursor = freeze::advance(cursor, &step);
            rest = later;
        }
    }

    async fn tell_everyone(&self, cursor: Cursor) -> Closed {
        let told =
            join_all(cursor.targets.iter().map(|(target, since)| self.tell(target, *since, cursor.sealed))).await;
        let mut closed = Closed::default();
        for (messages, again) in told {
            closed.messages.extend(messages);
            closed.again = earlier(closed.again, again);
        }
        if closed.again.is_none() {
            closed.again = self.leave(&cursor).await.err().map(|error| self.later(error.to_string()));
        }
        closed
    }

    /// Before this route is left alone: settled epochs may expire, and an open window is armed.
    async fn leave(&self, cursor: &Cursor) -> Result<(), ArmError> {
        let upto = cursor.sealed.min(cursor.retired + RETIRED_AT_ONCE);
        if cursor.retired < upto
            && let Err(error) = self.world.store().retire(self.route, cursor.retired, upto, self.deadline).await
        {
            // Housekeeping: nobody has to come again for it, the next round does it.
            tracing::debug!(route = %self.route, "Settled epochs stay for now: {error}");
        }
        match &cursor.open {
            Some(open) => ensure_armed(self.world, self.route, open, self.deadline).await,
            None => Ok(()),
        }
    }

    /// Tells `target` all it has not been told, and looks once more whether there is more by then.
    async fn tell(&self, target: &Target, since: u64, mut sealed: u64) -> (Vec<Sent>, Option<Again>) {
        let mut messages = Vec::new();
        loop {
            match self.tell_once(target, since, sealed, &mut messages).await {
                Ok(Told::Everything) => return (messages, None),
                Ok(Told::Up) => {}
                Ok(Told::Later(again)) => return (messages, Some(again)),
                Err(error) => return (messages, Some(self.later(error.to_string()))),
            }
            match self.world.store().cursor(self.route, self.deadline).await {
                Ok(cursor) => sealed = cursor.sealed,
                Err(error) => return (messages, Some(self.later(error.to_string()))),
            }
        }
    }

    async fn tell_once(
        &self,
        target: &Target,
        since: u64,
        sealed: u64,
        messages: &mut Vec<Sent>,
    ) -> Result<Told, StoreError> {
        let store = self.world.store();
        let state = store.target(self.route, target, self.deadline).await?;
        if state.offset.unwrap_or(since) >= sealed {
            return Ok(Told::Everything);
        }
        let now = self.world.clock().now();
        if let Some(at) = state.not_before.filter(|at| *at > now) {
            return Ok(Told::Later(Again { at, why: format!("{target} asked for a pause") }));
        }
        if let Some(at) = state.leased_until.filter(|at| *at > now) {
            return Ok(Told::Later(Again { at, why: format!("{target} is being told by another process") }));
        }
        let owner = format!("{:016x}{:016x}", self.world.random(), self.world.random());
        let lease = Lease { owner, until: self.deadline.after(LEASE_MARGIN) };
        let Some(state) = store.lease(self.route, target, &lease, now, self.deadline).await? else {
            return Ok(Told::Later(self.later(format!("{target} is being told by another process"))));
        };
        let after = state.offset.unwrap_or(since);
        let epochs = store.epochs(self.route, after, sealed, self.deadline).await?;
        let owed: Vec<&Epoch> = epochs.iter().filter(|epoch| epoch.owed.contains(target)).collect();
        let outcome = match Digest::merged(self.route, target, self.world.routes().get(self.route), &owed) {
            Some(digest) => Some(self.hand_over(&digest, messages).await),
            None => None,
        };
        match outcome {
            None | Some(Ok(())) => {
                // Lost only if the lease ran out, and then whoever has it now tells the target again.
                let settled = store.settle(self.route, target, &lease, sealed.max(after), self.deadline).await?;
                if !settled {
                    tracing::warn!(route = %self.route, target = %target, "The lease ran out before {target} was settled: it may be told twice");
                }
                Ok(Told::Up)
            }
            Some(Err(again)) => {
                store.release(self.route, target, &lease, Some(again.at), self.deadline).await?;
                Ok(Told::Later(again))
            }
        }
    }

    /// Delivers or parks the digest; `Ok` when it need not be told again.
    async fn hand_over(&self, digest: &Digest, messages: &mut Vec<Sent>) -> Result<(), Again> {
        let (outcome, result) = match self.deliver(digest).await {
            Ok(()) => (Outcome::Accepted, Ok(())),
            Err(DeliverError::Retry { after, reason }) => {
                let again = match after {
                    Some(after) => {
                        Again { at: self.world.clock().now().after(after.max(BACKOFF_FIRST)), why: reason.clone() }
                    }
                    None => self.later(reason.clone()),
                };
                (Outcome::Retry(reason), Err(again))
            }
            Err(DeliverError::Denied { reason } | DeliverError::Refused { reason }) => self.park(digest, reason).await,
        };
        let (route, target) = (digest.route.clone(), digest.target.clone());
        messages.push(Sent { route, target, epochs: digest.epochs, alerts: digest.tally.alerts, outcome });
        result
    }

    async fn deliver(&self, digest: &Digest) -> Result<(), DeliverError> {
        let configured = self.world.routes().get(self.route);
        if !configured.is_some_and(|route| route.notify.contains(&digest.target)) {
            let reason = "the configuration no longer has this route or this target of it".to_owned();
            return Err(DeliverError::Refused { reason });
        }
        let until = self.deadline.before(SETTLE_MARGIN);
        if self.world.clock().now() >= until {
            return Err(DeliverError::Retry { after: None, reason: "no time was left to deliver".to_owned() });
        }
        self.world.deliver().deliver(digest, until).await
    }

    async fn park(&self, digest: &Digest, reason: String) -> (Outcome, Result<(), Again>) {
        let what = What::Message {
            route: digest.route.clone(),
            target: digest.target.clone(),
            epochs: [digest.epochs.0, digest.epochs.1],
            tally: Box::new(digest.tally.clone()),
        };
        let parked = Parked::new(reason.clone(), self.world.clock().now(), what);
        match self.world.park().park(&[parked], self.deadline).await.into_iter().next() {
            Some(Ok(())) => (Outcome::Parked(reason), Ok(())),
            Some(Err(error)) => {
                let why = format!("refused ({reason}), and it could not be parked: {error}");
                (Outcome::Retry(why.clone()), Err(self.later(why)))
            }
            None => unreachable!("invariant: park answers once for each item"),
        }
    }

    fn context(&self) -> Context<'_> {
        Context {
            route: self.world.routes().get(self.route),
            timed: self.world.due().is_some(),
            now: self.world.clock().now(),
        }
    }

    /// A pause that grows with the attempts, with jitter so that those who collided do not meet again.
    fn later(&self, why: String) -> Again {
        let longest = BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(self.attempt)).min(BACKOFF_MAX);
        let half = u64::try_from(longest.as_millis() / 2).unwrap_or(u64::MAX).max(1);
        let pause = Duration::from_millis(half + self.world.random() % half);
        Again { at: self.world.clock().now().after(pause), why }
    }
}

enum Told {
    /// The target has had everything up to the sealed epoch.
    Everything,
    /// It has been told or parked what was there; look again.
    Up,
    Later(Again),
}

fn earlier(a: Option<Again>, b: Option<Again>) -> Option<Again> {
    match (a, b) {
        (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
        (a, b) => a.or(b),
    }
}
