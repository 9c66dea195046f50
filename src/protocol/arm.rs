//! Arms routes: opens a window on every route that has undelivered alerts, and sends the due
//! message of that window.
//!
//! Arming comes after the commit and before the acknowledgement. Because of that order, no
//! acknowledged record can be forgotten: the sweep finds every open window.
//!
//! The due message only makes it soon. One process claims to send it, in the write that opens the
//! window, so a window has one message however many processes arm its route.

use std::time::Duration;

use crate::config::{First, Route};
use crate::model::name::RouteName;
use crate::model::outbox::{BurstPatterns, Claim, Cursor, Window};
use crate::model::pattern_set::PatternSet;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::queue::{Due, DueQueue as _};
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::services::Services;
use crate::protocol::store::Store as _;

/// A due message that is overdue by this much counts as lost, and is sent again.
pub const LOST_AFTER: Duration = Duration::from_secs(180);

/// The most windows of a burst that end earlier because of new patterns.
const PULLED_MAX: u32 = 16;

/// Opens a window on `route` unless one is open, and sends its due message. `patterns` are those of
/// the alerts: a pattern that is new in a burst makes the open window end earlier.
///
/// # Errors
/// When the store or the due queue does not answer before the deadline. The records that touch the
/// route are not safe.
pub async fn arm<W: Services>(
    services: &W,
    route: &RouteName,
    patterns: &PatternSet,
    deadline: Deadline,
) -> Result<(), RetryReason> {
    let claim = claim(services);
    loop {
        let cursor = services.store().cursor(route, deadline).await?;
        if let Some((pulled, patterns)) = pulled_forward(services, route, &cursor, patterns, claim)
        {
            let store = services.store();
            if store.pull_forward(route, &pulled, &patterns, deadline).await? {
                return send(services, route, &pulled, claim, deadline).await;
            }
            continue;
        }
        if cursor.open.is_some() {
            return ensure_armed(services, route, cursor, claim, deadline).await;
        }
        let configured = services.routes().get(route);
        let due = first_due(services, &cursor, configured);
        let targets = configured.map_or(&[][..], |route| &route.notify);
        let opening = cursor.opening(due, targets, claim);
        if services.store().open(route, &opening, deadline).await? {
            return send(services, route, &opening.window, claim, deadline).await;
        }
        // Another process opened it, or this one did and the answer was lost.
    }
}

/// Sends the due message of the open window, unless another process has claimed it and it is not
/// lost.
///
/// # Errors
/// As [`arm`].
pub async fn ensure_armed<W: Services>(
    services: &W,
    route: &RouteName,
    mut cursor: Cursor,
    claim: Claim,
    deadline: Deadline,
) -> Result<(), RetryReason> {
    while let Some(open) = &cursor.open {
        let is_mine = |known: Claim| known.by == claim.by;
        if open.claim.is_some_and(is_mine) {
            return send(services, route, open, claim, deadline).await;
        }
        if services.due().is_none() || !is_lost(open, services.clock().now()) {
            return Ok(());
        }
        if services.store().claim(route, open.number, open.claim, Some(claim), deadline).await? {
            return send(services, route, open, claim, deadline).await;
        }
        // Another process has claimed or closed it, or this one has the claim and the answer was
        // lost.
        cursor = services.store().cursor(route, deadline).await?;
    }
    Ok(())
}

/// The open window as it should be, if it would keep a new pattern of the burst waiting for longer
/// than the first window does, and the patterns of the burst from then on.
fn pulled_forward<W: Services>(
    services: &W,
    route: &RouteName,
    cursor: &Cursor,
    patterns: &PatternSet,
    claim: Claim,
) -> Option<(Window, BurstPatterns)> {
    let BurstPatterns { known, pulled } = cursor.patterns;
    let (open, route) = (cursor.open.as_ref()?, services.routes().get(route)?);
    let due = services.clock().now().after(route.window);
    let is_news = cursor.burst.is_some() && !known.has_all(patterns) && pulled < PULLED_MAX;
    if !is_news || open.due <= due || services.due().is_none() {
        return None;
    }
    let mut patterns = BurstPatterns { known: *patterns, pulled: pulled + 1 };
    patterns.known.add(&known);
    Some((Window { number: open.number, due, claim: Some(claim) }, patterns))
}

/// A claim of this call.
pub fn claim<W: Services>(services: &W) -> Claim {
    Claim { by: services.random(), at: services.clock().now() }
}

/// Whether the window has no due message, or had one long ago.
fn is_lost(open: &Window, now: Timestamp) -> bool {
    open.claim.is_none_or(|claim| claim.at.max(open.due).after(LOST_AFTER) <= now)
}

/// Sends the due message that this process has claimed.
async fn send<W: Services>(
    services: &W,
    route: &RouteName,
    open: &Window,
    claim: Claim,
    deadline: Deadline,
) -> Result<(), RetryReason> {
    let Some(queue) = services.due() else { return Ok(()) };
    let due = Due { route: route.clone(), window: open.number };
    let delay = services.clock().now().until(open.due);
    let Err(error) = queue.send(&due, delay, deadline).await else { return Ok(()) };
    // The next process that touches the route sends it. If this fails, the sweep closes the window.
    let withdrawn = services.store().claim(route, open.number, Some(claim), None, deadline).await;
    if let Err(problem) = withdrawn {
        tracing::debug!(route = %route, "The claim of a due message stays: {problem}");
    }
    Err(RetryReason::DueQueue(error))
}

/// A quiet route may deliver at once. During a burst, or while a window is closing, the next window
/// waits.
fn first_due<W: Services>(services: &W, cursor: &Cursor, route: Option<&Route>) -> Timestamp {
    let now = services.clock().now();
    let Some(route) = route else { return now };
    if services.due().is_none() || cursor.is_idle() && route.first == First::Immediately {
        return now;
    }
    let burst = cursor.burst.unwrap_or_default();
    now.after(burst.next_window(route.window, route.window_max))
}
