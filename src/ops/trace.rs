//! Where an alert is: the window or epoch of each of its routes, and what each target has received
//! or is owed.
//!
//! A row does not name the epoch that counts it, because a commit writes it before there is one. So
//! an epoch is found by its content: the time, the marker and the pattern of the alert. Several may
//! fit. And a target has an offset and the time of its last acknowledgement only: when it accepted an
//! earlier epoch is not stored.

use serde::Serialize;
use strum::{IntoStaticStr, VariantNames};

use crate::model::audit::AuditRow;
use crate::model::name::{RouteName, Target};
use crate::model::outbox::{Cursor, Epoch, LastAcknowledged, Recipient, TargetState};
use crate::model::tally::{Span, Tally};
use crate::model::threshold::Hold;
use crate::model::time::Timestamp;
use crate::protocol::clock::Deadline;
use crate::protocol::round::EPOCHS_AT_ONCE;
use crate::protocol::store::{RETIRED_KEPT, Store, StoreError};

/// An alert on one of its routes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteTrace {
    pub route: RouteName,
    pub place: AlertPlace,
    /// The window that is open now, and when it is due.
    pub open: Option<(u64, Timestamp)>,
    pub muted_until: Option<Timestamp>,
    /// Alerts that the route holds, and those before them that did not reach the threshold.
    pub held: (u64, u64),
    pub targets: Vec<TargetTrace>,
}

/// The part of the outbox that counts the alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertPlace {
    /// A tally of the window that is open or closing.
    Window,
    /// One of these epochs: the only one that can, or all that can.
    Epochs(Vec<EpochTrace>),
    /// An epoch that has expired, which happens only after each target has acknowledged it.
    Expired,
    /// Nothing that the outbox has.
    Missing,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EpochTrace {
    pub number: u64,
    pub window: u64,
    pub frozen_at: Timestamp,
    pub alerts: u64,
    pub burst: Option<u64>,
    /// Why no target is owed it.
    pub hold: Option<Hold>,
    /// The epoch whose message includes it, although it was held.
    pub released_by: Option<u64>,
    owed: Vec<Target>,
}

/// An alert at one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetTrace {
    pub target: Target,
    pub is_fallback: bool,
    pub state: TraceState,
    /// Why it is owed and not delivered yet.
    pub wait: Option<(Wait, Option<Timestamp>)>,
    /// Latest epoch that it has acknowledged.
    pub offset: Option<u64>,
    /// The last acknowledgement, if it is known.
    pub last: Option<LastAcknowledged>,
    pub failures: u32,
    /// Alerts that were muted since its last message.
    pub muted: u64,
    /// Why a fallback is owed epochs.
    pub escalated: Option<String>,
}

#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, IntoStaticStr, VariantNames)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum TraceState {
    /// The window has not ended, so nothing is owed yet.
    Collecting,
    /// The target has accepted the epoch, or it was muted, or parked for the target.
    Acknowledged,
    Owed,
    /// The epoch is held: the threshold of the route is not reached, or the route is staged.
    Held,
    /// The target is not owed the epoch: it was added to the route later, or it is a fallback that
    /// was not needed.
    NotOwed,
}

/// Why an epoch that is owed is not delivered yet.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, IntoStaticStr, VariantNames)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum Wait {
    /// The route is muted: the next round counts the epoch as muted.
    Muted,
    /// A process is delivering to the target.
    Leased,
    /// The target asked for a pause, or the last attempt failed.
    Paused,
    /// Other routes share the target, and the turn of this one has not come.
    Paced,
    /// Nothing holds it up: the next due message or sweep delivers it.
    Due,
}

impl TraceState {
    pub fn code(self) -> &'static str {
        self.into()
    }
}

impl Wait {
    pub fn code(self) -> &'static str {
        self.into()
    }
}

impl RouteTrace {
    /// Whether each target has what it is owed of the alert. A held alert is not owed.
    pub fn is_delivered(&self) -> bool {
        let is_done = |target: &TargetTrace| {
            matches!(
                target.state,
                TraceState::Acknowledged | TraceState::NotOwed | TraceState::Held
            )
        };
        self.place != AlertPlace::Missing && self.targets.iter().all(is_done)
    }
}

/// Traces the alert of a row on one of its routes, in the epochs after `after`: 0 for all of them.
///
/// # Errors
/// When the store cannot be read.
pub async fn trace<S: Store>(
    store: &S,
    row: &AuditRow,
    route: &RouteName,
    after: u64,
    now: Timestamp,
    deadline: impl Fn() -> Deadline,
) -> Result<RouteTrace, StoreError> {
    // Before the epochs: a window that is frozen meanwhile is then seen twice, not missed.
    let is_waiting = is_waiting(store, row, route, &deadline).await?;
    let cursor = store.cursor(route, deadline()).await?;
    let epochs = epochs(store, row, route, (after, cursor.epoch), &deadline).await?;
    let place = match (epochs.is_empty(), is_waiting) {
        (false, _) => AlertPlace::Epochs(epochs),
        (true, true) => AlertPlace::Window,
        (true, false) if cursor.retired > 0 && has_expired(row, now) => AlertPlace::Expired,
        (true, false) => AlertPlace::Missing,
    };
    let own = cursor.targets.keys().map(Recipient::Own);
    let fallbacks = cursor.fallbacks.iter().map(Recipient::Fallback);
    let mut targets = Vec::new();
    for recipient in own.chain(fallbacks) {
        let state = store.target(route, recipient, deadline()).await?;
        targets.push(target(&cursor, recipient, &state, &place, now));
    }
    let open = cursor.open.as_ref().map(|window| (window.number, window.due));
    let muted_until = cursor.muted_until.filter(|_| cursor.is_muted(now));
    let held = cursor.holding.alerts();
    Ok(RouteTrace { route: route.clone(), place, open, muted_until, held, targets })
}

/// Whether the epoch of an alert may have expired. A younger one is missing if it is not there.
fn has_expired(row: &AuditRow, now: Timestamp) -> bool {
    Timestamp::from_iso(&row.timestamp).is_none_or(|at| at.after(RETIRED_KEPT) <= now)
}

/// Whether a tally that is not frozen can count the alert.
async fn is_waiting<S: Store>(
    store: &S,
    row: &AuditRow,
    route: &RouteName,
    deadline: &impl Fn() -> Deadline,
) -> Result<bool, StoreError> {
    let mut next = None;
    loop {
        let page = store.tallies(route, next.as_ref(), S::FREEZE_TALLIES_MAX, deadline()).await?;
        if page.tallies.iter().any(|stored| counts(&stored.tally, row).is_some()) {
            return Ok(true);
        }
        next = page.next;
        if next.is_none() {
            return Ok(false);
        }
    }
}

/// The epochs that can count the alert; only one if that one is certain.
async fn epochs<S: Store>(
    store: &S,
    row: &AuditRow,
    route: &RouteName,
    (mut after, upto): (u64, u64),
    deadline: &impl Fn() -> Deadline,
) -> Result<Vec<EpochTrace>, StoreError> {
    let mut found: Vec<EpochTrace> = Vec::new();
    let mut is_certain = false;
    loop {
        let page = store.epochs(route, after, upto, EPOCHS_AT_ONCE, deadline()).await?;
        let Some(last) = page.last() else { return Ok(found) };
        after = last.number;
        for epoch in page {
            found.iter_mut().for_each(|held| held.release(&epoch));
            match counts(&epoch.tally, row).filter(|_| !is_certain) {
                Some(true) => (found, is_certain) = (vec![EpochTrace::of(epoch)], true),
                Some(false) => found.push(EpochTrace::of(epoch)),
                None => {}
            }
        }
        let is_held = |epoch: &EpochTrace| epoch.hold == Some(Hold::Threshold);
        if is_certain && !found.iter().any(is_held) {
            return Ok(found);
        }
    }
}

/// Whether a tally can count the alert: `None` if not, `Some(true)` if the alert is a sample of it.
fn counts(tally: &Tally, row: &AuditRow) -> Option<bool> {
    let at = Timestamp::from_iso(&row.timestamp)?;
    let is_within = |span: &Span| span.first <= at && at <= span.last;
    tally.span.filter(is_within)?;
    tally.markers.get(&row.marker)?;
    if row.is_erased() {
        // Its pattern is gone with its message.
        return Some(tally.groups.values().any(|group| group.sample.id == row.log_id));
    }
    match tally.groups.get(&row.pattern) {
        Some(group) => is_within(&group.span).then_some(group.sample.id == row.log_id),
        None => (!tally.ungrouped.is_empty() || tally.other > 0).then_some(false),
    }
}

impl EpochTrace {
    fn of(epoch: Epoch) -> Self {
        Self {
            number: epoch.number,
            window: epoch.window,
            frozen_at: epoch.at,
            alerts: epoch.tally.alerts,
            burst: epoch.burst.map(|burst| burst.number),
            hold: epoch.hold,
            released_by: None,
            owed: epoch.owed,
        }
    }

    /// Notes that the message about a later epoch includes this one.
    fn release(&mut self, later: &Epoch) {
        let is_released = later.released.is_some_and(|released| released.after < self.number);
        if is_released && self.hold == Some(Hold::Threshold) {
            (self.hold, self.released_by) = (None, Some(later.number));
            self.owed.clone_from(&later.owed);
        }
    }

    /// The epoch whose message has its alerts.
    fn delivered_as(&self) -> u64 {
        self.released_by.unwrap_or(self.number)
    }
}

fn target(
    cursor: &Cursor,
    recipient: Recipient<'_>,
    state: &TargetState,
    place: &AlertPlace,
    now: Timestamp,
) -> TargetTrace {
    let is_fallback = matches!(recipient, Recipient::Fallback(_));
    let traced = match place {
        AlertPlace::Window if is_fallback => TraceState::NotOwed,
        AlertPlace::Window => TraceState::Collecting,
        AlertPlace::Expired => TraceState::Acknowledged,
        AlertPlace::Missing => TraceState::NotOwed,
        AlertPlace::Epochs(epochs) => state_of(cursor, recipient, state, epochs),
    };
    TargetTrace {
        target: recipient.target().clone(),
        is_fallback,
        state: traced,
        wait: (traced == TraceState::Owed).then(|| wait(cursor, state, now)),
        offset: state.offset,
        last: state.last.filter(|last| Some(last.offset) == state.offset),
        failures: state.failures,
        muted: state.muted,
        escalated: state.escalation.as_ref().map(|escalation| escalation.reason.clone()),
    }
}

/// The state of the worst of the epochs.
fn state_of(
    cursor: &Cursor,
    recipient: Recipient<'_>,
    state: &TargetState,
    epochs: &[EpochTrace],
) -> TraceState {
    let is_owed = |epoch: &&EpochTrace| match recipient {
        Recipient::Own(target) => epoch.owed.contains(target),
        Recipient::Fallback(_) => {
            let upto = state.escalation.as_ref().map(|escalation| escalation.upto);
            epoch.hold.is_none() && upto.is_some_and(|upto| epoch.delivered_as() <= upto)
        }
    };
    let acknowledged = match recipient {
        Recipient::Own(target) => cursor.delivered_to(target, state),
        Recipient::Fallback(_) => state.offset.unwrap_or_default(),
    };
    match epochs.iter().filter(is_owed).map(EpochTrace::delivered_as).max() {
        None if epochs.iter().any(|epoch| epoch.hold.is_some()) => TraceState::Held,
        None => TraceState::NotOwed,
        Some(last) if last <= acknowledged => TraceState::Acknowledged,
        Some(_) => TraceState::Owed,
    }
}

/// Why the target does not have what it is owed, and until when that holds.
fn wait(cursor: &Cursor, state: &TargetState, now: Timestamp) -> (Wait, Option<Timestamp>) {
    let later = |at: Option<Timestamp>| at.filter(|at| *at > now);
    if cursor.is_muted(now) {
        return (Wait::Muted, cursor.muted_until);
    }
    let waits = [
        (Wait::Leased, later(state.leased_until)),
        (Wait::Paused, later(state.not_before)),
        (Wait::Paced, later(state.turn)),
    ];
    waits.into_iter().find(|(_, until)| until.is_some()).unwrap_or((Wait::Due, None))
}
