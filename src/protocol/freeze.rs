//! Freeze: what a closing window collected becomes epochs, step by step, each step one transaction.
//! Deciding a step is pure; the conditions under which it takes effect are the store's.

use std::time::Duration;

use crate::config::Route;
use crate::model::outbox::Burst;
use crate::model::outbox::{BurstState, Cursor, Epoch, Finish, Freeze, StoredTally};
use crate::model::tally::Tally;
use crate::model::time::Timestamp;

/// What deciding needs to know beside the cursor and the tallies.
#[derive(Clone, Copy, Debug)]
pub struct Context<'a> {
    /// `None`: the route is gone from the configuration.
    pub route: Option<&'a Route>,
    /// Whether windows have a timer; without one there are no bursts.
    pub timed: bool,
    pub now: Timestamp,
}

/// The burst state with which a window is closed: a burst begins with the first window of a quiet
/// route, and lasts as long as windows bring something.
pub fn burst_at_close(cursor: &Cursor, context: &Context<'_>) -> Option<BurstState> {
    if !context.timed {
        return None;
    }
    let begun = BurstState { burst: Burst { since: context.now, ..Burst::default() }, window_ms: 0 };
    let known = cursor.burst.unwrap_or(begun);
    Some(BurstState { burst: Burst { until: context.now, ..known.burst }, ..known })
}

/// One step: `stored` (at most `Store::FREEZE_TALLIES_MAX`) become the next epoch. `window` is closing; `last`
/// says that no more of its tallies are left. Without parcels there is one step, the last.
pub fn step(cursor: &Cursor, window: u64, stored: &[StoredTally], last: bool, context: &Context<'_>) -> Freeze {
    let tally = Tally::sum(stored.iter().map(|stored| &stored.tally));
    // Epochs beyond the sealed one are this window's: an earlier step's, perhaps before a crash.
    let window_is_empty = tally.is_empty() && cursor.epoch == cursor.sealed;
    let burst = cursor
        .burst
        .map(|state| BurstState { burst: Burst { alerts: state.burst.alerts + tally.alerts, ..state.burst }, ..state });
    // A burst ends with the first window that brings nothing, and says so; a window that was
    // opened for nothing (its tallies went with the one before) says nothing.
    let over = window_is_empty && burst.is_some_and(|state| state.burst.alerts > 0);
    let epoch = (over || !tally.is_empty()).then(|| Epoch {
        number: cursor.epoch + 1,
        window,
        at: context.now,
        owed: owed(cursor, context),
        tally,
        burst: burst.map(|state| state.burst),
        over,
    });
    let burst = burst.filter(|_| !window_is_empty);
    let (burst, finish) = match last {
        true => finish(cursor, burst, context),
        false => (burst, None),
    };
    let tallies = stored.iter().map(|stored| stored.key.clone()).collect();
    Freeze { closing: window, after: cursor.epoch, tallies, epoch, burst, finish }
}

/// The cursor after a step took effect, as far as the next step of the same window needs it.
pub fn advance(mut cursor: Cursor, step: &Freeze) -> Cursor {
    cursor.epoch = step.epoch.as_ref().map_or(cursor.epoch, |epoch| epoch.number);
    cursor.burst = step.burst;
    cursor
}

/// Whom an epoch is owed to: the targets of the configuration. When the route is gone from it, those
/// that the route is known to have had, so that what it still collected is parked and not forgotten.
fn owed(cursor: &Cursor, context: &Context<'_>) -> Vec<crate::model::name::Target> {
    match context.route {
        Some(route) => route.notify.clone(),
        None => cursor.targets.keys().cloned().collect(),
    }
}

/// While a burst lasts, the end of a window is the beginning of the next, which is longer.
fn finish(cursor: &Cursor, burst: Option<BurstState>, context: &Context<'_>) -> (Option<BurstState>, Option<Finish>) {
    let (Some(state), Some(route)) = (burst, context.route) else {
        return (None, Some(Finish::default()));
    };
    let length = state.next_window(route.window, route.window_max);
    let state = BurstState { window_ms: millis(length), ..state };
    // Its targets came with the epoch already.
    let next = cursor.open.is_none().then(|| cursor.opening(context.now.after(length), &[]));
    (Some(state), Some(Finish { next }))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
