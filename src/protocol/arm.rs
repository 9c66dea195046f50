//! Arms routes: opens a window on every route that has undelivered alerts, and sends the due
//! message of that window.
//!
//! Arming comes after the commit and before the acknowledgement. Because of that order, no
//! acknowledged record can be forgotten: the sweep finds every open window.
//!
//! The due message only makes it soon. One process claims to send it, in the write that opens the
//! window, so a window has one message however many processes arm its route.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::config::{First, Route};
use crate::model::history::History;
use crate::model::name::RouteName;
use crate::model::outbox::{BurstPatterns, Claim, Cursor, Window};
use crate::model::pattern::pattern_id;
use crate::model::pattern_set::PatternSet;
use crate::model::threshold::ThresholdKey;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::freeze::speaks_on_news;
use crate::protocol::queue::{Due, DueQueue as _};
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::services::Services;
use crate::protocol::store::Store as _;

/// A due message that is overdue by this much counts as lost, and is sent again.
pub const LOST_AFTER: Duration = Duration::from_secs(180);

/// The most windows of a burst that end earlier because of new patterns. A route that speaks on news, whose
/// bursts may never end, has as many in each hour.
const PULLED_MAX: u32 = 16;

/// A batch is not acknowledged before its routes are armed, so histories get this part of the time.
const NEWS_PART: u32 = 4;

const HOUR_MS: i64 = 3_600_000;

/// The new alerts of a route for which it is armed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FreshAlerts {
    pub alerts: u64,
    pub patterns: PatternSet,
    /// Alerts by pattern, at most [`FRESH_PATTERNS_MAX`] of them, and those of duplicates: a crash may have
    /// lost the news about them. Only for a route that speaks on news.
    pub by_pattern: BTreeMap<String, u64>,
}

/// One more pattern than a route asks its histories about.
pub const FRESH_PATTERNS_MAX: usize = 101;

/// Opens a window on `route` unless one is open, and sends its due message. The open window ends earlier
/// if an alert is news to the route, has a pattern that is new in the burst, or may reach its threshold.
///
/// # Errors
/// When the store or the due queue does not answer before the deadline. The records that touch the
/// route are not safe.
pub async fn arm<W: Services>(
    services: &W,
    route: &RouteName,
    fresh: &FreshAlerts,
    deadline: Deadline,
) -> Result<(), RetryReason> {
    let claim = claim(services);
    loop {
        let cursor = services.store().cursor(route, deadline).await?;
        let is_news = is_news(services, route, &cursor, fresh, deadline).await;
        let pulled = pulled_forward(services, route, &cursor, (fresh, is_news), claim);
        if let Some((pulled, patterns)) = pulled {
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
        let due = first_due(services, &cursor, configured, (fresh, is_news));
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

/// Whether an alert is news to a route that speaks on news, and true for other routes. What is not known is
/// news: the histories cannot be read, or have begun only today.
async fn is_news<W: Services>(
    services: &W,
    route: &RouteName,
    cursor: &Cursor,
    fresh: &FreshAlerts,
    deadline: Deadline,
) -> bool {
    let configured = services.routes().get(route);
    let Some(kinds) = configured.and_then(|route| route.speak_on.as_ref()) else { return true };
    let now = services.clock().now();
    let since = cursor.counting_since;
    let is_readable = (1..FRESH_PATTERNS_MAX).contains(&fresh.by_pattern.len());
    if !is_readable || !History::are_known(since, now) {
        return true;
    }
    if cursor.open.as_ref().is_some_and(|open| open.due <= now) {
        // Nothing ends earlier.
        return false;
    }
    let mut alerts: BTreeMap<String, u64> = BTreeMap::new();
    for (pattern, n) in &fresh.by_pattern {
        *alerts.entry(pattern_id(pattern)).or_default() += n;
    }
    let ids: Vec<String> = alerts.keys().cloned().collect();
    let patience = deadline.remaining(now) / NEWS_PART;
    let deadline = Deadline::after(now, patience);
    let histories = match services.store().histories(route, &ids, deadline).await {
        Ok(histories) => histories.into_iter().collect::<BTreeMap<_, _>>(),
        Err(error) => {
            tracing::debug!(route = %route, "It is not known what is news: {error}");
            return true;
        }
    };
    let news = |(id, n): (String, u64)| History::news(histories.get(&id), n, now, since);
    alerts.into_iter().filter_map(news).any(|news| kinds.contains(&news.kind()))
}

/// The open window as it should be, and the patterns of the burst from then on: if it would keep news
/// waiting for longer than the first window does, or alerts that reach the threshold of the route.
fn pulled_forward<W: Services>(
    services: &W,
    route: &RouteName,
    cursor: &Cursor,
    (fresh, is_news): (&FreshAlerts, bool),
    claim: Claim,
) -> Option<(Window, BurstPatterns)> {
    let (open, route) = (cursor.open.as_ref()?, services.routes().get(route)?);
    let now = services.clock().now();
    let known = cursor.patterns.known;
    let speaks = speaks_on_news(route, cursor, now);
    let (pulled, hour) = pulled_so_far(cursor, speaks, now);
    let is_new_in_burst = cursor.burst.is_some()
        && pulled < PULLED_MAX
        && (speaks || !known.has_all(&fresh.patterns));
    let (due, patterns) = if !is_news || (speaks && fresh.by_pattern.is_empty()) {
        return None;
    } else if reaches_threshold(cursor, route, fresh, now) == Some(true) {
        (now, cursor.patterns)
    } else if speaks && cursor.is_idle() {
        // It waits for its digest.
        let is_first = delivers_at_once(cursor, route, fresh, now);
        (if is_first { now } else { now.after(route.window) }, cursor.patterns)
    } else if is_new_in_burst {
        let mut patterns =
            BurstPatterns { known: fresh.patterns, pulled: pulled + 1, pulled_in: hour };
        patterns.known.add(&known);
        (now.after(route.window), patterns)
    } else {
        return None;
    };
    if open.due <= due || services.due().is_none() {
        return None;
    }
    Some((Window { number: open.number, due, claim: Some(claim) }, patterns))
}

/// How many windows of the burst have ended earlier, of a route that speaks on news in this hour; and the hour.
fn pulled_so_far(cursor: &Cursor, speaks: bool, now: Timestamp) -> (u32, i64) {
    let BurstPatterns { pulled, pulled_in, .. } = cursor.patterns;
    let hour = if speaks { now.as_millis().div_euclid(HOUR_MS) } else { 0 };
    (if speaks && pulled_in != hour { 0 } else { pulled }, hour)
}

/// Whether the route is quiet and sends its first message at once. One that holds its alerts may do so if
/// its threshold is reached.
fn delivers_at_once(cursor: &Cursor, route: &Route, fresh: &FreshAlerts, now: Timestamp) -> bool {
    cursor.is_idle()
        && route.first == First::Immediately
        && reaches_threshold(cursor, route, fresh, now) != Some(false)
}

/// Whether a route that holds its alerts may deliver at once because of `fresh`. `None`: it does not hold
/// them.
fn reaches_threshold(
    cursor: &Cursor,
    route: &Route,
    fresh: &FreshAlerts,
    now: Timestamp,
) -> Option<bool> {
    if route.stage {
        return Some(false);
    }
    let threshold = route.at_least.as_ref().filter(|_| cursor.burst.is_none())?;
    // The number does not tell patterns or apps apart. Each batch would end a window that is held again.
    let is_exact = threshold.per == ThresholdKey::Route;
    let is_soon = is_exact && route.first == First::Immediately && fresh.alerts > 0;
    Some(is_soon && cursor.holding.may_reach(threshold, route.window, now, fresh.alerts))
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

/// A quiet route may deliver at once, if its threshold is reached. During a burst, or while a window is
/// closing, the next window waits. A route that speaks on news waits for its digest.
fn first_due<W: Services>(
    services: &W,
    cursor: &Cursor,
    route: Option<&Route>,
    (fresh, is_news): (&FreshAlerts, bool),
) -> Timestamp {
    let now = services.clock().now();
    let Some(route) = route else { return now };
    if services.due().is_none() {
        return now;
    }
    if !is_news {
        return now.after(route.window_max);
    }
    if delivers_at_once(cursor, route, fresh, now) {
        return now;
    }
    if speaks_on_news(route, cursor, now) {
        let (pulled, _) = pulled_so_far(cursor, true, now);
        return now.after(if pulled < PULLED_MAX { route.window } else { route.window_max });
    }
    let burst = cursor.burst.unwrap_or_default();
    now.after(burst.next_window(route.window, route.window_max))
}
