//! Handles due messages and sweeps. Remaining work determines when a due message becomes visible
//! again. The sweep closes and delivers on every route that ever existed, so nothing depends on a
//! message that was lost.
//!
//! Left to `lambda` and to the simulator: how messages arrive and how they become visible again.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::join_all;
use futures::stream;

use crate::model::name::RouteName;
use crate::model::time::Timestamp;
use crate::protocol::arm::{FreshAlerts, arm};
use crate::protocol::backoff::RetryAt;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::close::{Closed, close};
use crate::protocol::queue::Due;
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::round::Delivery;
use crate::protocol::services::Services;
use crate::protocol::store::{Store as _, StoreError};

/// Routes that a sweep handles concurrently.
const SWEPT_AT_ONCE: usize = 16;

/// A sweep begins no further route this long before its deadline.
const SWEEP_MARGIN: Duration = Duration::from_secs(2);

/// The time between two sweeps.
const SWEEP_EVERY: Duration = Duration::from_secs(60);

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
    /// Alerts that were held, by route.
    pub held: BTreeMap<RouteName, u64>,
    /// For each due message, in their order: when it must become visible again, if at all.
    pub retry: Vec<Option<RetryAt>>,
}

/// The result of a sweep.
#[derive(Debug, Default)]
pub struct Swept {
    /// Number of routes that were checked.
    pub routes: u64,
    /// Number of routes that there was no time for.
    pub unreached: u64,
    pub messages: Vec<Delivery>,
    /// Alerts that were held, by route.
    pub held: BTreeMap<RouteName, u64>,
    /// Routes with work left.
    pub unfinished: Vec<(RouteName, RetryAt)>,
    /// When the oldest epoch was frozen that a target is still owed.
    pub oldest_debt: Option<Timestamp>,
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
    let held = closed.iter().filter(|(_, closed)| closed.held > 0);
    let held = held.map(|(route, closed)| (RouteName::clone(route), closed.held)).collect();
    let messages = closed.into_values().flat_map(|closed| closed.messages).collect();
    Notified { retry, held, messages }
}

/// The message of an open window stays, because it is the only timer of that window. It can arrive
/// early: SQS delays a message by 15 minutes at most, windows are longer, and clocks differ.
///
/// The message of the latest closed window stays while work is left, unless that of the open window
/// comes in time for it. Older messages would only repeat its work, so a route has two messages,
/// and for a moment three, however long a target is down.
fn visible_again(due: &Due, closed: &Closed, now: Timestamp) -> Option<RetryAt> {
    let retry = closed.retry.clone();
    match &closed.open {
        Some(open) if open.number == due.window => {
            let reason = RetryReason::NotDue { window: open.number };
            let not_due = (open.due > now).then_some(RetryAt { at: open.due, reason });
            RetryAt::earlier(retry, not_due)
        }
        Some(open) => retry.filter(|retry| closed.is_latest(due.window) && retry.at < open.due),
        None => retry.filter(|_| closed.is_latest(due.window)),
    }
}

/// Closes due windows and delivers owed epochs on every route. Opens a window for tallies that have
/// none: their consumer committed them and crashed before it armed the route.
///
/// Each sweep begins with another route and looks at another part of the tallies, so the routes
/// that one sweep has no time for are the first of another, and an idle route costs two reads.
///
/// # Errors
/// When the store cannot list the routes.
pub async fn sweep<W: Services>(services: &W, deadline: Deadline) -> Result<Swept, StoreError> {
    let known = services.store().routes(deadline).await?;
    let configured = services.routes().config().routes.iter().map(|route| route.name.clone());
    let routes: BTreeSet<RouteName> = known.into_iter().chain(configured).collect();
    let mut routes: Vec<RouteName> = routes.into_iter().collect();
    let round = round_at(services.clock().now());
    let first = routes.len() as u64 * (round % ROTATION) / ROTATION;
    routes.rotate_left(usize::try_from(first).unwrap_or_default());
    let closing = routes.into_iter().map(async |route| {
        if deadline.earlier(SWEEP_MARGIN).has_passed(services.clock().now()) {
            return None;
        }
        let closed = sweep_one(services, &route, round, deadline).await;
        Some((route, closed))
    });
    let mut closing = stream::iter(closing).buffer_unordered(SWEPT_AT_ONCE);
    let mut swept = Swept::default();
    while let Some(closed) = closing.next().await {
        let Some((route, closed)) = closed else {
            swept.unreached += 1;
            continue;
        };
        swept.routes += 1;
        if closed.held > 0 {
            swept.held.insert(route.clone(), closed.held);
        }
        swept.messages.extend(closed.messages);
        swept.unfinished.extend(closed.retry.map(|retry| (route, retry)));
        swept.oldest_debt = swept.oldest_debt.into_iter().chain(closed.oldest_debt).min();
    }
    if let Err(error) = services.store().maintain(deadline).await {
        tracing::warn!(error.code = error.code(), "The store was not maintained: {error}");
    }
    Ok(swept)
}

/// Sweeps until the first route is the same again. Coprime to the number of parts of the tallies,
/// so each route comes first with each part.
const ROTATION: u64 = 7;

fn round_at(now: Timestamp) -> u64 {
    let length = i64::try_from(SWEEP_EVERY.as_millis()).unwrap_or(i64::MAX);
    u64::try_from(now.as_millis().div_euclid(length)).unwrap_or_default()
}

async fn sweep_one<W: Services>(
    services: &W,
    route: &RouteName,
    round: u64,
    deadline: Deadline,
) -> Closed {
    let mut closed = close(services, route, 0, deadline).await;
    if closed.open.is_none()
        && closed.retry.is_none()
        && let Err(reason) = arm_orphans(services, route, round, deadline).await
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
    round: u64,
    deadline: Deadline,
) -> Result<(), RetryReason> {
    match services.store().has_tallies(route, round, deadline).await? {
        true => arm(services, route, &FreshAlerts::default(), deadline).await,
        false => Ok(()),
    }
}
