//! Close a window that is due, freeze what it collected, have every target told what it has not been told. Anybody
//! may call it for any route at any time: who comes too early, too late or twice finds nothing to do, and whoever
//! comes after a crash finishes what was begun.
//!
//! The order that must never be turned round: tallies are listed only after `closing` is set.

use std::time::Duration;

use crate::arm::ensure_armed;
use crate::clock::{Clock as _, Timestamp};
use crate::config::Route;
use crate::freeze::{self, Context};
use crate::name::{RouteName, Target};
use crate::store::{Cursor, Store, StoreError, Window};
use crate::tell::{self, SETTLE_MARGIN, Telling};
use crate::world::World;

/// Epochs that one round lets expire at the most; after a long outage it takes several rounds.
const RETIRED_AT_ONCE: u64 = 25;

const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// What came of one round.
#[derive(Debug, Default)]
pub struct Closed {
    pub messages: Vec<Sent>,
    /// The window that was open when nothing was left to close.
    pub open: Option<Window>,
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
        Err(error) => Closed { again: Some(round.failed(&error)), ..Closed::default() },
    }
}

/// Rounds until nothing is left to do or the deadline is near, for those who have no timer to come
/// back with. Whatever another process holds a lease on is waited for.
pub async fn settle<W: World>(world: &W, route: &RouteName, deadline: Timestamp) -> Closed {
    let mut all = Closed::default();
    for attempt in 0.. {
        let round = close(world, route, attempt, deadline).await;
        all.messages.extend(round.messages);
        all.open = round.open;
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
pub(crate) struct Round<'a, W> {
    pub world: &'a W,
    pub route: &'a RouteName,
    pub attempt: u32,
    pub deadline: Timestamp,
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
            let (now, later) = rest.split_at(rest.len().min(W::Store::FREEZE_TALLIES_MAX));
            let step = freeze::step(&cursor, window, now, later.is_empty(), &self.context());
            if !store.freeze(self.route, &step, self.deadline).await? || later.is_empty() {
                return Ok(());
            }
            cursor = freeze::advance(cursor, &step);
            rest = later;
        }
    }

    async fn tell_everyone(&self, cursor: Cursor) -> Closed {
        // First of all: however long the telling takes, the next window has its timer.
        let armed = match &cursor.open {
            Some(open) => ensure_armed(self.world, self.route, open, self.deadline).await,
            None => Ok(()),
        };
        // Boxed: the calls of the SDK nest deep, and what is on the stack here is there in every poll.
        let Telling { messages, mut again, deferred } = Box::pin(tell::everyone(self, &cursor)).await;
        if again.is_none() && !deferred {
            self.retire(&cursor).await;
        }
        again = Again::earlier(again, armed.err().map(|error| self.later(error.to_string())));
        Closed { messages, open: cursor.open, again }
    }

    /// Lets epochs expire that everyone has been told of.
    async fn retire(&self, cursor: &Cursor) {
        let upto = cursor.sealed.min(cursor.retired + RETIRED_AT_ONCE);
        if cursor.retired < upto
            && let Err(error) = self.world.store().retire(self.route, cursor.retired, upto, self.deadline).await
        {
            // Housekeeping: nobody has to come again for it, the next round does it.
            tracing::debug!(route = %self.route, "Settled epochs stay for now: {error}");
        }
    }

    fn context(&self) -> Context<'_> {
        Context { route: self.configured(), timed: self.world.due().is_some(), now: self.now() }
    }

    /// The route as configured; `None` when it is gone.
    pub(crate) fn configured(&self) -> Option<&Route> {
        self.world.routes().get(self.route)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.world.clock().now()
    }

    pub(crate) fn failed(&self, error: &StoreError) -> Again {
        self.later(error.to_string())
    }

    pub(crate) fn later(&self, why: String) -> Again {
        self.later_by(self.attempt, why)
    }

    /// A pause that grows with the failures before, with jitter so that those who collided do not meet again.
    pub(crate) fn later_by(&self, failures: u32, why: String) -> Again {
        let longest = BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(failures)).min(BACKOFF_MAX);
        let half = u64::try_from(longest.as_millis() / 2).unwrap_or(u64::MAX).max(1);
        let pause = Duration::from_millis(half + self.world.random() % half);
        Again { at: self.now().after(pause), why }
    }
}

impl Again {
    pub(crate) fn earlier(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}
