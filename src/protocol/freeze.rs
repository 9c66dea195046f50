//! Freezes the tallies of a closing window into epochs. Each step is one transaction. This file
//! decides a step and has no effects; the store applies it under the conditions that the step
//! states.

use std::time::Duration;

use crate::config::Route;
use crate::model::burst::{Burst, BurstState};
use crate::model::history::History;
use crate::model::name::Target;
use crate::model::outbox::{
    BurstPatterns, Claim, Cursor, Epoch, Finish, Freeze, Opening, StoredTally,
};
use crate::model::tally::Tally;
use crate::model::threshold::{Decision, Hold, Holding, Released};
use crate::model::time::Timestamp;

/// The input of a decision besides the cursor and the tallies.
#[derive(Clone, Copy, Debug)]
pub struct FreezeContext<'a> {
    /// `None`: the configuration no longer has the route.
    pub route: Option<&'a Route>,
    /// The targets of an alert whose route is gone and never had any: those of another route.
    pub substitutes: &'a [Target],
    /// Whether windows have a timer. Without one no burst begins.
    pub timed: bool,
    /// Whether a consumer is behind its stream. Then an empty window does not mean that there are no
    /// alerts, and the burst goes on.
    pub is_lagging: bool,
    /// With which the process claims to send the due message of the next window.
    pub claim: Claim,
    pub now: Timestamp,
}

/// The burst state when a window closes. A burst begins with the first window of a quiet route and
/// lasts until a window has no alerts. One that an earlier process with a timer left open goes on
/// until then, too: what it opened outside has to be resolved. A route with a threshold begins its burst
/// when the threshold is reached ([`step`]).
pub fn burst_at_close(cursor: &Cursor, context: &FreezeContext<'_>) -> Option<BurstState> {
    let begun = || {
        let number = cursor.epoch + 1;
        let burst = Burst { number, since: context.now, ..Burst::default() };
        let holds = context.route.is_some_and(Route::may_hold);
        (context.timed && !holds).then_some(BurstState { burst, ..BurstState::default() })
    };
    let known = cursor.burst.or_else(begun)?;
    Some(BurstState { burst: Burst { until: context.now, ..known.burst }, ..known })
}

/// The tallies of one step.
#[derive(Debug)]
pub struct FreezePart<'a> {
    /// At most `Store::FREEZE_TALLIES_MAX`.
    pub stored: &'a [StoredTally],
    /// Their sum, with what is news.
    pub tally: Tally,
    /// Whether no tallies are left. A window without tallies has one step, the last.
    pub is_last: bool,
}

/// One step: the tallies become the next epoch of the closing `window`.
pub fn step(
    cursor: &Cursor,
    window: u64,
    part: FreezePart<'_>,
    context: &FreezeContext<'_>,
) -> Freeze {
    let FreezePart { stored, tally, is_last } = part;
    let patterns = with_patterns(cursor.patterns, &tally);
    let Held { hold, released, holding, burst } = held(cursor, window, stored, &tally, context);
    let alerts = if hold.is_some() { 0 } else { tally.alerts };
    let alerts = alerts.saturating_add(released.map_or(0, |released| released.alerts));
    // Epochs beyond the sealed one are from earlier steps of this window, perhaps before a crash.
    let window_is_empty = tally.is_empty() && cursor.epoch == cursor.sealed;
    let burst = burst.map(|state| BurstState {
        burst: Burst { alerts: state.burst.alerts + alerts, ..state.burst },
        alerting_until: if tally.is_empty() { state.alerting_until } else { context.now },
        ..state
    });
    let goes_on = burst.is_some_and(|state| goes_on(&state, context));
    // The first empty window ends a burst, with a final epoch, unless a consumer is behind. An empty
    // window outside a burst leaves no epoch: its tallies went with the window before.
    let ends_burst = would_end_burst(cursor, tally.is_empty()) && !goes_on;
    let epoch = (ends_burst || !tally.is_empty()).then(|| Epoch {
        number: cursor.epoch + 1,
        window,
        at: context.now,
        owed: if hold.is_some() { Vec::new() } else { owed(cursor, context) },
        tally,
        burst: burst.map(|state| state.burst),
        ends_burst,
        hold,
        released,
    });
    let burst = burst.filter(|_| !window_is_empty || goes_on);
    let patterns = burst.map_or_else(BurstPatterns::default, |_| patterns);
    let (burst, finish) = match is_last {
        true => finish(cursor, burst, context),
        false => (burst, None),
    };
    let tallies = stored.iter().map(|stored| stored.key.clone()).collect();
    let after = cursor.epoch;
    Freeze { closing: window, after, tallies, epoch, burst, patterns, holding, finish }
}

/// The decision of the threshold or the stage of a route about an epoch.
struct Held {
    hold: Option<Hold>,
    released: Option<Released>,
    holding: Holding,
    /// Without the alerts of the epoch.
    burst: Option<BurstState>,
}

/// Decides whether the next epoch is held. During a burst it is not, unless the route is staged. When
/// the threshold is reached, a burst begins.
fn held(
    cursor: &Cursor,
    window: u64,
    stored: &[StoredTally],
    tally: &Tally,
    context: &FreezeContext<'_>,
) -> Held {
    let number = cursor.epoch + 1;
    let as_before = || {
        let holding = cursor.holding.clone();
        Held { hold: None, released: None, holding, burst: cursor.burst }
    };
    if tally.is_empty() {
        return as_before();
    }
    if context.route.is_some_and(|route| route.stage) {
        return Held { hold: Some(Hold::Stage), ..as_before() };
    }
    let threshold = context.route.and_then(|route| Some((route.at_least.as_ref()?, route.window)));
    let is_over = cursor.burst.is_some() || cursor.holding.is_reached_in(window);
    let Some((threshold, length)) = threshold.filter(|_| !is_over) else {
        // There may have been a threshold until now.
        let released = cursor.holding.released(number);
        let is_reached = cursor.holding.is_reached_in(window);
        let holding = if is_reached { cursor.holding.clone() } else { Holding::default() };
        return Held { released, holding, ..as_before() };
    };
    let tallies = stored.iter().map(|stored| &stored.tally);
    match cursor.holding.decide(threshold, length, tallies, number, context.now) {
        Decision::Hold(holding) => Held { hold: Some(Hold::Threshold), holding, ..as_before() },
        Decision::Release(released) if context.timed => {
            let now = context.now;
            let burst = Burst { number, since: now, until: now, alerts: 0 };
            let burst = Some(BurstState { burst, ..BurstState::default() });
            Held { hold: None, released, holding: Holding::default(), burst }
        }
        Decision::Release(released) => {
            Held { released, holding: Holding::reached_in(window), ..as_before() }
        }
    }
}

/// Whether the closing window ends the burst, because it had no alerts and the rest of it
/// `is_empty`.
pub fn would_end_burst(cursor: &Cursor, is_empty: bool) -> bool {
    let has_alerts = |state: BurstState| state.burst.alerts > 0;
    is_empty && cursor.epoch == cursor.sealed && cursor.burst.is_some_and(has_alerts)
}

/// Whether the route sends at once only what is news. On its first day it does not know that, and is like
/// any other.
pub(crate) fn speaks_on_news(route: &Route, cursor: &Cursor, now: Timestamp) -> bool {
    route.speak_on.is_some() && History::are_known(cursor.counting_since, now)
}

/// The longest that a burst without alerts goes on because a consumer is behind. A shard may be
/// stuck for days, and an incident that stays open hides the next one.
const LAGGING_MAX: Duration = Duration::from_secs(30 * 60);

/// Whether a burst outlives an empty window. Without a timer, or without its route, there is no next
/// window.
fn goes_on(state: &BurstState, context: &FreezeContext<'_>) -> bool {
    let is_recent = context.now < state.alerting_until.after(LAGGING_MAX);
    context.is_lagging && context.timed && context.route.is_some() && is_recent
}

/// The cursor after a step.
pub fn advance(mut cursor: Cursor, step: &Freeze) -> Cursor {
    (cursor.burst, cursor.patterns) = (step.burst, step.patterns);
    cursor.holding = step.holding.clone();
    if let Some(epoch) = &step.epoch {
        cursor.epoch = epoch.number;
        for target in &epoch.owed {
            cursor.targets.entry(target.clone()).or_insert(step.after);
        }
    }
    if let Some(Finish { next }) = &step.finish {
        (cursor.closing, cursor.sealed) = (None, cursor.epoch);
        if let Some(Opening { window, .. }) = next {
            (cursor.last_window, cursor.open) = (window.number, Some(window.clone()));
        }
    }
    cursor
}

fn with_patterns(mut patterns: BurstPatterns, tally: &Tally) -> BurstPatterns {
    let groups = tally.groups.keys().chain(tally.ungrouped.0.keys());
    groups.for_each(|pattern| patterns.known.insert(pattern));
    patterns
}

/// The targets that an epoch is owed to: those of the configuration. A route that is gone from it
/// uses the targets that the cursor knows, or else those of another route, so that its last alerts
/// are parked and not forgotten.
fn owed(cursor: &Cursor, context: &FreezeContext<'_>) -> Vec<Target> {
    match context.route {
        Some(route) => route.notify.clone(),
        None if cursor.targets.is_empty() => context.substitutes.to_vec(),
        None => cursor.targets.keys().cloned().collect(),
    }
}

/// During a burst the end of a window opens the next, longer one.
fn finish(
    cursor: &Cursor,
    burst: Option<BurstState>,
    context: &FreezeContext<'_>,
) -> (Option<BurstState>, Option<Finish>) {
    let (Some(state), Some(route)) = (burst, context.route) else {
        return (None, Some(Finish::default()));
    };
    let length = match speaks_on_news(route, cursor, context.now) {
        true => route.window_max,
        false => state.next_window(route.window, route.window_max),
    };
    let state = BurstState { window_ms: millis(length), ..state };
    // The cursor already has its targets, from the epoch.
    let next = cursor
        .open
        .is_none()
        .then(|| cursor.opening(context.now.after(length), &[], context.claim));
    (Some(state), Some(Finish { next }))
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn a_lag_keeps_a_burst_going_for_half_an_hour_at_most() {
        const MINUTE: Duration = Duration::from_secs(60);
        let config = Config::builtin();
        let began = Timestamp::from_millis(1_795_000_000_000);
        let burst = Burst { number: 1, alerts: 3, ..Burst::default() };
        let state = BurstState { burst, alerting_until: began, window_ms: 30_000 };
        let cursor = Cursor {
            epoch: 1,
            sealed: 1,
            burst: Some(state),
            closing: Some(2),
            ..Cursor::default()
        };
        let context = FreezeContext {
            route: config.routes.first(),
            substitutes: &[],
            timed: true,
            is_lagging: true,
            claim: Claim { by: 1, at: began },
            now: began.after(MINUTE * 29),
        };
        let ends = |context: FreezeContext<'_>| {
            let none = FreezePart { stored: &[], tally: Tally::default(), is_last: true };
            let step = step(&cursor, 2, none, &context);
            let next = step.finish.expect("it is the last step").next;
            let ends = step.epoch.is_some_and(|epoch| epoch.ends_burst);
            assert_eq!(next.is_none(), ends, "it ends, or has a next window");
            ends
        };
        assert!(!ends(context));
        assert!(ends(FreezeContext { now: began.after(MINUTE * 31), ..context }), "a stuck shard");
        assert!(ends(FreezeContext { is_lagging: false, ..context }));
        assert!(ends(FreezeContext { timed: false, ..context }), "no timer would close it");
        assert!(ends(FreezeContext { route: None, ..context }), "the route is gone");
    }
}
