//! Arms routes: opens a window on every route that has undelivered alerts, and sends the due
//! message of that window.
//!
//! Arming comes after the commit and before the acknowledgement. Because of that order, no
//! acknowledged record can be forgotten.

use std::time::Duration;

use crate::config::{First, Route};
use crate::model::name::RouteName;
use crate::model::outbox::{Cursor, Window};
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::queue::{Due, DueQueue as _};
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::services::Services;
use crate::protocol::store::Store as _;

/// A due message that is overdue by this much counts as lost, and is sent again.
const LOST_AFTER: Duration = Duration::from_secs(180);

/// Opens a window on `route` unless one is open, and sends its due message.
///
/// # Errors
/// When the store or the due queue does not answer before the deadline. The records that touch the
/// route are not safe.
pub async fn arm<W: Services>(
    services: &W,
    route: &RouteName,
    deadline: Deadline,
) -> Result<(), RetryReason> {
    loop {
        let cursor = services.store().cursor(route, deadline).await?;
        if let Some(open) = &cursor.open {
            return ensure_armed(services, route, open, deadline).await;
        }
        let configured = services.routes().get(route);
        let due = first_due(services, &cursor, configured);
        let targets = configured.map_or(&[][..], |route| &route.notify);
        // A window is open now, from this call or from another process; the next turn reads it.
        services.store().open(route, &cursor.opening(due, targets), deadline).await?;
    }
}

/// Sends the due message of an open window, unless it was sent and is not lost.
///
/// # Errors
/// As [`arm`].
pub async fn ensure_armed<W: Services>(
    services: &W,
    route: &RouteName,
    open: &Window,
    deadline: Deadline,
) -> Result<(), RetryReason> {
    let Some(queue) = services.due() else { return Ok(()) };
    let now = services.clock().now();
    if open.armed && now < open.due.after(LOST_AFTER) {
        return Ok(());
    }
    let due = Due { route: route.clone(), window: open.number };
    queue.send(&due, now.until(open.due), deadline).await.map_err(RetryReason::DueQueue)?;
    // Only after the send: a window that is marked without a message would wait for the sweep.
    if !open.armed {
        services.store().mark_armed(route, open.number, deadline).await?;
    }
    Ok(())
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
