//! Arm: every route that has alerts nobody was told of has an open window, and a due message for it
//! is on its way. It runs after the commit and before the acknowledgement; that order is what
//! makes an acknowledged record impossible to forget.

use std::time::Duration;

use crate::config::{First, Route};
use crate::model::name::RouteName;
use crate::model::outbox::{Cursor, Window};
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::queue::{Due, DueQueue as _};
use crate::protocol::services::Services;
use crate::protocol::store::{Store as _, StoreError};

/// How long a window may be overdue before its due message is taken for lost and sent again.
const LOST_AFTER: Duration = Duration::from_secs(180);

/// Why a route could not be armed; the records that touch it are not safe.
#[derive(Debug, thiserror::Error)]
pub enum ArmError {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the due queue does not take messages: {0}")]
    Queue(#[from] crate::protocol::queue::QueueError),
}

/// Opens a window on `route` unless one is open, and sees that it is armed.
///
/// # Errors
/// When the store or the due queue did not answer before the deadline.
pub async fn arm<W: Services>(services: &W, route: &RouteName, deadline: Deadline) -> Result<(), ArmError> {
    loop {
        let cursor = services.store().cursor(route, deadline).await?;
        if let Some(open) = &cursor.open {
            return ensure_armed(services, route, open, deadline).await;
        }
        let configured = services.routes().get(route);
        let due = first_due(services, &cursor, configured);
        let targets = configured.map_or(&[][..], |route| &route.notify);
        // Won or lost, a window is open now; the next turn sees whose.
        services.store().open(route, &cursor.opening(due, targets), deadline).await?;
    }
}

/// Sends the due message of an open window, if that has not been done or it must have been lost.
///
/// # Errors
/// As [`arm`].
pub async fn ensure_armed<W: Services>(
    services: &W,
    route: &RouteName,
    open: &Window,
    deadline: Deadline,
) -> Result<(), ArmError> {
    let Some(queue) = services.due() else { return Ok(()) };
    let now = services.clock().now();
    if open.armed && now < open.due.after(LOST_AFTER) {
        return Ok(());
    }
    let due = Due { route: route.clone(), window: open.number };
    queue.send(&due, now.until(open.due), deadline).await?;
    // Only now: a window that is marked and has no message would wait for the sweep.
    if !open.armed {
        services.store().mark_armed(route, open.number, deadline).await?;
    }
    Ok(())
}

/// A quiet route may speak at once; while there is a burst, or a window is closing, the next waits.
fn first_due<W: Services>(services: &W, cursor: &Cursor, route: Option<&Route>) -> Timestamp {
    let now = services.clock().now();
    let Some(route) = route else { return now };
    if services.due().is_none() || cursor.is_idle() && route.first == First::Immediately {
        return now;
    }
    let burst = cursor.burst.unwrap_or_default();
    now.after(burst.next_window(route.window, route.window_max))
}
