//! The notifier: what a due message, or the sweep, sets going. Each due message closes its route and has everyone
//! told; whatever is left to do decides when the message has to come back. The sweep does the same for every route
//! that there ever was, so that nothing waits for a message that was lost.
//!
//! How messages arrive and go back is left to `function`, and to the simulator.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;

use crate::model::name::RouteName;
use crate::model::time::Timestamp;
use crate::protocol::arm::{ArmError, arm};
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::close::{Closed, close};
use crate::protocol::queue::Due;
use crate::protocol::round::{Delivery, RetryAt};
use crate::protocol::services::Services;
use crate::protocol::store::{Store as _, StoreError};

/// Routes that a sweep looks at together.
const SWEPT_AT_ONCE: usize = 8;

/// A due message as it was received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub due: Due,
    /// How often it was received before.
    pub attempt: u32,
}

/// What came of some due messages.
#[derive(Debug, Default)]
pub struct Notified {
    pub messages: Vec<Delivery>,
    /// For each due message, in their order: when it has to come back, if it has to.
    pub retry: Vec<Option<RetryAt>>,
}

/// What came of a sweep.
#[derive(Debug, Default)]
pub struct Swept {
    /// Routes that were looked at.
    pub routes: u64,
    pub messages: Vec<Delivery>,
    /// Routes where something is left to do, and what.
    pub unfinished: Vec<(RouteName, RetryAt)>,
}

/// Closes the route of each due message, once however many messages there are for it, and has everyone told.
pub async fn notify<W: Services>(services: &W, received: &[Received], deadline: Deadline) -> Notified {
    let mut attempts: BTreeMap<&RouteName, u32> = BTreeMap::new();
    for message in received {
        let attempt = attempts.entry(&message.due.route).or_insert(message.attempt);
        *attempt = message.attempt.min(*attempt);
    }
    let closed =
        attempts.iter().map(async |(route, attempt)| (*route, close(services, route, *attempt, deadline).await));
    let closed: BTreeMap<&RouteName, Closed> = join_all(closed).await.into_iter().collect();
    let now = services.clock().now();
    let retry = received.iter().map(|message| come_back(&message.due, &closed[&message.due.route], now)).collect();
    Notified { retry, messages: closed.into_values().flat_map(|closed| closed.messages).collect() }
}

/// A message whose window is still open is the only timer that the window has. (A queue delays by less than the
/// longest window, and clocks differ.)
fn come_back(due: &Due, closed: &Closed, now: Timestamp) -> Option<RetryAt> {
    let waits = closed.open.as_ref().filter(|open| open.number == due.window && open.due > now);
    let rest = waits.map(|open| RetryAt { at: open.due, why: format!("window {} is not due yet", open.number) });
    RetryAt::earlier(closed.retry.clone(), rest)
}

/// Closes whatever is due, on every route, and has everyone told who is still owed something. Alerts that were committed
/// and for which nobody opened a window get one: whoever committed them died, and nobody came after.
///
/// # Errors
/// When the store does not say which routes there are.
pub async fn sweep<W: Services>(services: &W, deadline: Deadline) -> Result<Swept, StoreError> {
    let known = services.store().routes(deadline).await?;
    let configured = services.routes().config().routes.iter().map(|route| route.name.clone());
    let routes: BTreeSet<RouteName> = known.into_iter().chain(configured).collect();
    let mut swept = Swept { routes: routes.len() as u64, ..Swept::default() };
    let closing = routes.into_iter().map(async |route| {
        let closed = sweep_one(services, &route, deadline).await;
        (route, closed)
    });
    let mut closing = stream::iter(closing).buffer_unordered(SWEPT_AT_ONCE);
    while let Some((route, closed)) = closing.next().await {
        swept.messages.extend(closed.messages);
        swept.unfinished.extend(closed.retry.map(|retry| (route, retry)));
    }
    Ok(swept)
}

async fn sweep_one<W: Services>(services: &W, route: &RouteName, deadline: Deadline) -> Closed {
    let mut closed = close(services, route, 0, deadline).await;
    if closed.open.is_none()
        && closed.retry.is_none()
        && let Err(error) = open_for_stragglers(services, route, deadline).await
    {
        closed.retry = Some(RetryAt { at: services.clock().now(), why: error.to_string() });
    }
    closed
}

/// A consumer that died after it committed left a tally; its batch came again under a configuration that knows nothing
/// of the route, or never came again.
async fn open_for_stragglers<W: Services>(services: &W, route: &RouteName, deadline: Deadline) -> Result<(), ArmError> {
    if !services.store().tallies(route, deadline).await?.is_empty() {
        arm(services, route, deadline).await?;
    }
    Ok(())
}
