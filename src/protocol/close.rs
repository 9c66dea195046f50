//! Closes a window that is due, freezes its tallies into epochs, and delivers what targets are
//! owed.
//!
//! [`close`] is idempotent. Any process may call it for any route at any time: an early, late or
//! repeated call is a no-op, and a call after a crash resumes the interrupted close.
//!
//! The order that must never change: tallies are listed only after `closing` is set.

use futures::future::try_join;

use crate::model::name::RouteName;
use crate::model::outbox::{Cursor, Window};
use crate::protocol::arm::ensure_armed;
use crate::protocol::backoff::RetryAt;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::deliver::{DeliveryReport, deliver_all};
use crate::protocol::freeze::{self, FreezeContext};
use crate::protocol::round::{ACKNOWLEDGE_MARGIN, Delivery, Round};
use crate::protocol::services::Services;
use crate::protocol::store::{Store, StoreError};

/// Epochs that one round retires at most. After a long outage this takes several rounds.
const RETIRED_AT_ONCE: u64 = 25;

/// The result of a round.
#[derive(Debug, Default)]
pub struct Closed {
    pub messages: Vec<Delivery>,
    /// The window that is open after the round.
    pub open: Option<Window>,
    /// Present when work is left.
    pub retry: Option<RetryAt>,
}

/// Runs one round for `route`. `attempt` counts from 0 and lengthens the pause before the next
/// attempt.
pub async fn close<W: Services>(
    services: &W,
    route: &RouteName,
    attempt: u32,
    deadline: Deadline,
) -> Closed {
    run_round(Round { services, route, attempt, is_last: false, deadline }).await
}

/// [`close`] for a process with a timer that ends: no other closes the windows of `route` at their
/// time. Closes every window now, and so ends the burst.
pub async fn end_burst<W: Services>(
    services: &W,
    route: &RouteName,
    attempt: u32,
    deadline: Deadline,
) -> Closed {
    run_round(Round { services, route, attempt, is_last: true, deadline }).await
}

async fn run_round<W: Services>(round: Round<'_, W>) -> Closed {
    match close_due_window(&round).await {
        Ok(cursor) => deliver_epochs(&round, cursor).await,
        Err(error) => Closed { retry: Some(round.retry(error)), ..Closed::default() },
    }
}

/// Runs rounds until no work is left or the deadline is near, for callers without a timer. It waits
/// for leases that other processes hold.
pub async fn drain<W: Services>(services: &W, route: &RouteName, deadline: Deadline) -> Closed {
    let mut all = Closed::default();
    for attempt in 0.. {
        let round = close(services, route, attempt, deadline).await;
        all.messages.extend(round.messages);
        all.open = round.open;
        all.retry = round.retry.map(|retry| retry.after(all.retry.take()));
        let Some(retry) = &all.retry else { break };
        if deadline.earlier(ACKNOWLEDGE_MARGIN).has_passed(retry.at) {
            break;
        }
        let now = services.clock().now();
        services.clock().sleep(now.until(retry.at)).await;
    }
    all
}

/// Closes the open window if it is due, finishes a close that is in progress, and returns the
/// cursor at rest.
async fn close_due_window<W: Services>(round: &Round<'_, W>) -> Result<Cursor, StoreError> {
    let store = round.services.store();
    loop {
        let cursor = store.cursor(round.route, round.deadline).await?;
        let context = context(round);
        match (&cursor.closing, &cursor.open) {
            (Some(window), _) => freeze_window(round, &cursor, *window).await?,
            (None, Some(open)) if round.is_last || !context.timed || open.due <= context.now => {
                let burst = freeze::burst_at_close(&cursor, &context);
                store.close(round.route, open.number, burst, round.deadline).await?;
            }
            _ => return Ok(cursor),
        }
    }
}

/// Turns the tallies of the closing window into epochs. It stops at the first condition that does
/// not hold: another process is freezing the same window, and the caller reads the cursor again.
async fn freeze_window<W: Services>(
    round: &Round<'_, W>,
    cursor: &Cursor,
    window: u64,
) -> Result<(), StoreError> {
    let store = round.services.store();
    let limit = W::Store::FREEZE_TALLIES_MAX;
    // The listing begins after `closing` was set and read back. A commit that finished earlier is in
    // it. A commit that comes later finds the window closed and opens the next one; its tally may
    // still be in the listing, or be left for the next window.
    let mut page = store.tallies(round.route, None, limit, round.deadline).await?;
    let mut cursor = cursor.clone();
    loop {
        let is_last = page.next.is_none();
        if page.tallies.is_empty() && !is_last {
            page = store.tallies(round.route, page.next.as_ref(), limit, round.deadline).await?;
            continue;
        }
        let step = freeze::step(&cursor, window, &page.tallies, is_last, &context(round));
        let next = async {
            match &page.next {
                Some(next) => {
                    store.tallies(round.route, Some(next), limit, round.deadline).await.map(Some)
                }
                None => Ok(None),
            }
        };
        // No more than two pages are in memory, however many tallies there are.
        let (is_frozen, next) =
            try_join(store.freeze(round.route, &step, round.deadline), next).await?;
        match next {
            Some(next) if is_frozen => page = next,
            _ => return Ok(()),
        }
        cursor = freeze::advance(cursor, &step);
    }
}

async fn deliver_epochs<W: Services>(round: &Round<'_, W>, cursor: Cursor) -> Closed {
    // Arming comes first: the next window has its timer however long the deliveries take.
    let armed = match &cursor.open {
        Some(open) => ensure_armed(round.services, round.route, open, round.deadline).await,
        None => Ok(()),
    };
    // Boxed: SDK calls nest deeply, and every poll would carry their frames on this stack.
    let DeliveryReport { messages, mut retry, deferred } =
        Box::pin(deliver_all(round, &cursor)).await;
    if retry.is_none() && !deferred {
        retire(round, &cursor).await;
    }
    retry = RetryAt::earlier(retry, armed.err().map(|error| round.retry(error)));
    Closed { messages, open: cursor.open, retry }
}

/// Lets epochs expire that every target has received.
async fn retire<W: Services>(round: &Round<'_, W>, cursor: &Cursor) {
    let upto = cursor.sealed.min(cursor.retired + RETIRED_AT_ONCE);
    if cursor.retired < upto
        && let Err(error) =
            round.services.store().retire(round.route, cursor.retired, upto, round.deadline).await
    {
        // Housekeeping needs no retry of its own: the next round retires them.
        tracing::debug!(route = %round.route, "Delivered epochs are not retired yet: {error}");
    }
}

fn context<'r, W: Services>(round: &'r Round<'_, W>) -> FreezeContext<'r> {
    FreezeContext {
        route: round.configured(),
        timed: round.services.due().is_some(),
        now: round.now(),
    }
}
