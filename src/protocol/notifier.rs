//! Handles due messages and sweeps. Remaining work determines when a due message becomes visible
//! again. The sweep closes and delivers on every route that ever existed, so nothing depends on a
//! message that was lost.
//!
//! Left to `lambda` and to the simulator: how messages arrive and how they become visible again.

use std::collections::{BTreeMap, BTreeSet};

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;

use crate::model::name::RouteName;
use crate::model::time::Timestamp;
use crate::protocol::arm::arm;
use crate::protocol::backoff::RetryAt;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::close::{Closed, close};
use crate::protocol::queue::Due;
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::round::Delivery;
use crate::protocol::services::Services;
use crate::protocol::store::{Store as _, StoreError};

/// Routes that a sweep handles concurrently.
const SWEPT_AT_ONCE: usize = 8;

/// A due message as received.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Received {
    pub due: Due,
    /// How often it was received before.
    pub attempt: u32,
}

/// The result of handling some due messages.
#[derive(Debug, Default)]
pub struct Notified {
    pub messages: Vec<Delivery>,
    /// For each due message, in their order: when it must become visible again, if at all.
    pub retry: Vec<Option<RetryAt>>,
}

/// The result of a sweep.
#[derive(Debug, Default)]
pub struct Swept {
    /// Number of routes that were checked.
    pub routes: u64,
    pub messages: Vec<Delivery>,
    /// Routes with work left.
    pub unfinished: Vec<(RouteName, RetryAt)>,
}

/// Closes the route of each due message and delivers. Several messages of one route close it once.
pub async fn notify<W: Services>(
    services: &W,
    received: &[Received],
    deadline: Deadline,
) -> Notified {
    let mut attempts: BTreeMap<&RouteName, u32> = BTreeMap::new();
    for message in received {
        let attempt = attempts.entry(&message.due.route).or_insert(message.attempt);
        *attempt = message.attempt.min(*attempt);
    }
    let closed = attempts
        .iter()
        .map(async |(route, attempt)| (*route, close(services, route, *attempt, deadline).await));
    let closed: BTreeMap<&RouteName, Closed> = join_all(closed).await.into_iter().collect();
    let now = services.clock().now();
    let retry = received
        .iter()
        .map(|message| visible_again(&message.due, &closed[&message.due.route], now))
        .collect();
    Notified { retry, messages: closed.into_values().flat_map(|closed| closed.messages).collect() }
}

/// The message of an open window stays, because it is the only timer of that window. It can arrive
/// early: SQS delays a message by 15 minutes at most, windows are longer, and clocks differ.
fn visible_again(due: &Due, closed: &Closed, now: Timestamp) -> Option<RetryAt> {
    let open = closed.open.as_ref().filter(|open| open.number == due.window && open.due > now);
    let not_due = open
        .map(|open| RetryAt { at: open.due, reason: RetryReason::NotDue { window: open.number } });
    RetryAt::earlier(closed.retry.clone(), not_due)
}

/// Closes due windows and delivers owed epochs on every route. Opens a window for tallies that have
/// none: their consumer committed them and crashed before it armed the route.
///
/// # Errors
/// When the store cannot list the routes.
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
        && let Err(reason) = arm_orphans(services, route, deadline).await
    {
        closed.retry = Some(RetryAt { at: services.clock().now(), reason });
    }
    closed
}

/// A consumer that crashed after its commit leaves tallies without a window. Its batch may come
/// again under a configuration without this route, or never.
async fn arm_orphans<W: Services>(
    services: &W,
    route: &RouteName,
    deadline: Deadline,
) -> Result<(), RetryReason> {
    let mut position = None;
    loop {
        let page = services.store().tallies(route, position.as_ref(), 1, deadline).await?;
        if !page.tallies.is_empty() {
            return arm(services, route, deadline).await;
        }
        position = page.next;
        if position.is_none() {
            return Ok(());
        }
    }
}
