//! Close a window that is due, freeze what it collected, have every target told what it has not been told. Anybody
//! may call it for any route at any time: who comes too early, too late or twice finds nothing to do, and whoever
//! comes after a crash finishes what was begun.
//!
//! The order that must never be turned round: tallies are listed only after `closing` is set.

use crate::model::name::RouteName;
use crate::model::outbox::{Cursor, Window};
use crate::protocol::arm::ensure_armed;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::deliver::{self, DeliveryReport};
use crate::protocol::freeze::{self, Context};
use crate::protocol::round::{ACKNOWLEDGE_MARGIN, Delivery, RetryAt, Round};
use crate::protocol::services::Services;
use crate::protocol::store::{Store, StoreError};

/// Epochs that one round lets expire at the most; after a long outage it takes several rounds.
const RETIRED_AT_ONCE: u64 = 25;

/// What came of one round.
#[derive(Debug, Default)]
pub struct Closed {
    pub messages: Vec<Delivery>,
    /// The window that was open when nothing was left to close.
    pub open: Option<Window>,
    /// Present when something is left to do: when to come back.
    pub retry: Option<RetryAt>,
}

/// One round for `route`. `attempt` counts from 0 and lengthens the pause that is asked for.
pub async fn close<W: Services>(services: &W, route: &RouteName, attempt: u32, deadline: Deadline) -> Closed {
    let round = Round { services, route, attempt, deadline };
    match close_what_is_due(&round).await {
        Ok(cursor) => deliver_frozen(&round, cursor).await,
        Err(error) => Closed { retry: Some(round.retry_on(&error)), ..Closed::default() },
    }
}

/// Rounds until nothing is left to do or the deadline is near, for those who have no timer to come
/// back with. Whatever another process holds a lease on is waited for.
pub async fn drain<W: Services>(services: &W, route: &RouteName, deadline: Deadline) -> Closed {
    let mut all = Closed::default();
    for attempt in 0.. {
        let round = close(services, route, attempt, deadline).await;
        all.messages.extend(round.messages);
        all.open = round.open;
        all.retry = round.retry;
        let Some(retry) = &all.retry else { break };
        let now = services.clock().now();
        if deadline.earlier(ACKNOWLEDGE_MARGIN).has_passed(retry.at) {
            break;
        }
        services.clock().sleep(now.until(retry.at)).await;
    }
    all
}

/// Closes the open window if it is due, finishes whatever is closing, and answers the cursor at rest.
async fn close_what_is_due<W: Services>(round: &Round<'_, W>) -> Result<Cursor, StoreError> {
    let store = round.services.store();
    loop {
        let cursor = store.cursor(round.route, round.deadline).await?;
        let context = context(round);
        match (&cursor.closing, &cursor.open) {
            (Some(window), _) => freeze_window(round, &cursor, *window).await?,
            (None, Some(open)) if !context.timed || open.due <= context.now => {
                let burst = freeze::burst_at_close(&cursor, &context);
                store.close(round.route, open.number, burst, round.deadline).await?;
            }
            _ => return Ok(cursor),
        }
    }
}

/// Turns the tallies of the closing window into epochs. Stops as soon as a condition fails: then
/// somebody else is at it, and the caller reads the cursor again.
async fn freeze_window<W: Services>(round: &Round<'_, W>, cursor: &Cursor, window: u64) -> Result<(), StoreError> {
    let store = round.services.store();
    // Listed after `closing` was set and read back. Whoever commits before this sees its tally
    // taken along; whoever commits later finds the window not open, and opens the next.
    let stored = store.tallies(round.route, round.deadline).await?;
    let mut cursor = cursor.clone();
    let mut rest = stored.as_slice();
    loop {
        let (now, later) = rest.split_at(rest.len().min(W::Store::FREEZE_TALLIES_MAX));
        let step = freeze::step(&cursor, window, now, later.is_empty(), &context(round));
        if !store.freeze(round.route, &step, round.deadline).await? || later.is_empty() {
            return Ok(());
        }
        cursor = freeze::advance(cursor, &step);
        rest = later;
    }
}

async fn deliver_frozen<W: Services>(round: &Round<'_, W>, cursor: Cursor) -> Closed {
    // First of all: however long the telling takes, the next window has its timer.
    let armed = match &cursor.open {
        Some(open) => ensure_armed(round.services, round.route, open, round.deadline).await,
        None => Ok(()),
    };
    // Boxed: the calls of the SDK nest deep, and what is on the stack here is there in every poll.
    let DeliveryReport { messages, mut retry, deferred } = Box::pin(deliver::deliver_all(round, &cursor)).await;
    if retry.is_none() && !deferred {
        retire(round, &cursor).await;
    }
    retry = RetryAt::earlier(retry, armed.err().map(|error| round.retry(error.to_string())));
    Closed { messages, open: cursor.open, retry }
}

/// Lets epochs expire that everyone has been told of.
async fn retire<W: Services>(round: &Round<'_, W>, cursor: &Cursor) {
    let upto = cursor.sealed.min(cursor.retired + RETIRED_AT_ONCE);
    if cursor.retired < upto
        && let Err(error) = round.services.store().retire(round.route, cursor.retired, upto, round.deadline).await
    {
        // Housekeeping: nobody has to come again for it, the next round does it.
        tracing::debug!(route = %round.route, "Settled epochs stay for now: {error}");
    }
}

fn context<'r, W: Services>(round: &'r Round<'_, W>) -> Context<'r> {
    Context { route: round.configured(), timed: round.services.due().is_some(), now: round.now() }
}
