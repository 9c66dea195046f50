//! The outbox of a route and its rules: a [`Cursor`] over numbered windows, a log of frozen
//! [`Epoch`]s, and for each target the offset up to which epochs are delivered. A
//! [`Store`](crate::protocol::store::Store) keeps it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::burst::{Burst, BurstState, Related};
use crate::model::name::Target;
use crate::model::pattern_set::PatternSet;
use crate::model::tally::Tally;
use crate::model::threshold::{Hold, Holding, Released};
use crate::model::time::Timestamp;

/// The state of a route. The default is that of a route that never had an alert.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Number of the latest window that was opened. It only grows.
    pub last_window: u64,
    pub open: Option<Window>,
    /// The window whose tallies are being frozen.
    pub closing: Option<u64>,
    /// Number of the latest epoch.
    pub epoch: u64,
    /// Latest epoch that may be delivered. A window of many tallies becomes several epochs, and
    /// none of them is delivered before the last one is frozen.
    pub sealed: u64,
    pub burst: Option<BurstState>,
    pub patterns: BurstPatterns,
    /// The alerts that wait for the threshold of the route.
    pub holding: Holding,
    /// The histories of the patterns count the epochs up to this one.
    pub counted: u64,
    /// When the first epoch was counted.
    pub counting_since: Option<Timestamp>,
    /// Epochs up to this one are acknowledged for all targets and may expire.
    pub retired: u64,
    /// Every target that may be owed epochs, with the latest epoch when it was added.
    pub targets: BTreeMap<Target, u64>,
    /// Fallbacks that were used at least once. The [`TargetState`] says what each is owed.
    pub fallbacks: BTreeSet<Target>,
    /// Until then nothing is delivered; alerts that are frozen count as muted.
    pub muted_until: Option<Timestamp>,
}

/// The patterns of the burst. A pattern that is not among them is news, and the window that it is in
/// ends earlier.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurstPatterns {
    pub known: PatternSet,
    /// How many windows of the burst ended earlier; of a route that speaks on news, in this hour.
    pub pulled: u32,
    /// The hour since 1970 in which they did, of a route that speaks on news.
    #[serde(default)]
    pub pulled_in: i64,
}

/// A window that collects tallies until it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub number: u64,
    pub due: Timestamp,
    /// The process that sends its due message; `None` when that failed.
    pub claim: Option<Claim>,
}

/// The duty to send the due message of a window. One process has it at a time, so a window has one
/// due message however many processes arm its route.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// A random number that identifies the process, and the call within it.
    pub by: u64,
    pub at: Timestamp,
}

/// A frozen tally, and the targets that are owed it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    pub number: u64,
    pub window: u64,
    /// When it was frozen. Its targets have been waiting since then.
    pub at: Timestamp,
    pub tally: Tally,
    pub owed: Vec<Target>,
    pub burst: Option<Burst>,
    /// Whether this epoch ends its burst.
    pub ends_burst: bool,
    /// Present if it is owed to no target for now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hold: Option<Hold>,
    /// The held epochs that the message about this one includes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub released: Option<Released>,
}

/// A tally in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTally {
    pub key: TallyKey,
    pub tally: Tally,
}

/// A part of the tallies of a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TallyPage {
    pub tallies: Vec<StoredTally>,
    /// Where the next page begins; `None` after the last one.
    pub next: Option<TallyPosition>,
}

/// A place among the tallies of a route; opaque to all but its store.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TallyPosition(pub String);

/// The key of a tally; opaque to all but its store.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TallyKey {
    pub(crate) partition: String,
    pub(crate) sort: String,
}

impl TallyKey {
    /// For implementations of [`Store`](crate::protocol::store::Store).
    pub fn new(partition: String, sort: String) -> Self {
        Self { partition, sort }
    }
}

/// One step of turning the tallies of a closing window into epochs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Freeze {
    /// Condition: this window is closing.
    pub closing: u64,
    /// Condition: this is the latest epoch.
    pub after: u64,
    /// Tallies to delete. Condition: each of them exists.
    pub tallies: Vec<TallyKey>,
    /// The epoch to write, with number `after + 1`; `None` only in a last step. Its targets are
    /// added to those of the cursor.
    pub epoch: Option<Epoch>,
    /// Replaces the burst of the cursor.
    pub burst: Option<BurstState>,
    /// Replaces the patterns of the burst.
    pub patterns: BurstPatterns,
    /// Replaces what the cursor holds.
    pub holding: Holding,
    /// Present in the last step, which clears `closing` and seals the epochs.
    pub finish: Option<Finish>,
}

/// The last step of a freeze.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finish {
    /// The next window of the burst, if it goes on. Condition: that of
    /// [`Store::open`](crate::protocol::store::Store::open).
    pub next: Option<Opening>,
}

/// A window to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    pub window: Window,
    /// The targets that the cursor does not know yet. It adds them with `delivered` as their offset,
    /// unless another process has added them.
    pub targets: Vec<Target>,
    pub delivered: u64,
}

/// A target in one of its two roles. A target with both roles has a separate state for each.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient<'a> {
    /// Epochs name it.
    Own(&'a Target),
    /// It replaces other targets.
    Fallback(&'a Target),
}

/// The delivery state of a recipient.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetState {
    /// Latest epoch that it accepted or that was parked for it; `None` before the first.
    pub offset: Option<u64>,
    /// No delivery before then: it asked for a pause, on any route, or failed recently.
    pub not_before: Option<Timestamp>,
    /// Its turn among the routes that share the target.
    pub turn: Option<Timestamp>,
    /// Failed attempts since it last accepted a message. The pause between attempts grows with
    /// them.
    pub failures: u32,
    /// A process may be delivering to it until then.
    pub leased_until: Option<Timestamp>,
    /// The message that later messages of the same burst can join.
    pub thread: Option<Thread>,
    /// Alerts that were muted since its last message.
    pub muted: u64,
    /// The epochs that a fallback has to deliver instead of other targets.
    pub escalation: Option<Escalation>,
    /// For people: no rule depends on it.
    pub last: Option<LastAcknowledged>,
}

/// The last acknowledgement. An older version of the program does not write it, so it may
/// be about an earlier offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LastAcknowledged {
    pub offset: u64,
    pub result: AcknowledgedAs,
    pub at: Timestamp,
}

/// The outcome of epochs that are acknowledged.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AcknowledgedAs {
    /// The target accepted the message.
    #[default]
    Accepted,
    /// The route was muted.
    Muted,
    /// The target refused the message, which is in the dead-letter queue.
    Parked,
    /// The target was not owed them, because they are held or for another reason, or they were lost.
    Skipped,
}

/// The first message of a burst.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The number of the burst.
    pub burst: u64,
    /// The reference of the message; opaque to all but the adapter of the target.
    pub message: String,
    /// The thing that the target opened, for the messages of other targets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub related: Option<Related>,
}

/// The note that a fallback is owed epochs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// The last epoch that it is owed.
    pub upto: u64,
    /// The failure of the target that the fallback replaces.
    pub reason: String,
}

/// The state of a target after a delivery that succeeded or is no longer necessary.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledgement {
    pub offset: u64,
    pub thread: Option<Thread>,
    pub muted: u64,
    pub result: AcknowledgedAs,
}

/// The state of a target after a delivery that failed or has to wait.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deferral {
    pub not_before: Option<Timestamp>,
    pub failures: u32,
    pub turn: Option<Timestamp>,
}

/// The exclusive right to deliver to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// A unique token that identifies the holder.
    pub owner: String,
    /// Later than the holder can live.
    pub until: Timestamp,
}

impl Cursor {
    /// Whether there is no burst and no closing window, so that the next alert is a first one.
    pub fn is_idle(&self) -> bool {
        self.burst.is_none() && self.closing.is_none()
    }

    pub fn is_muted(&self, now: Timestamp) -> bool {
        self.muted_until.is_some_and(|until| until > now)
    }

    /// The next window, due at `due`, for the configured `targets`.
    pub fn opening(&self, due: Timestamp, targets: &[Target], claim: Claim) -> Opening {
        let window = Window { number: self.last_window + 1, due, claim: Some(claim) };
        // An update expression has at most 4 KB, so it names new targets only.
        let unknown = targets.iter().filter(|target| !self.targets.contains_key(target));
        Opening { window, targets: unknown.cloned().collect(), delivered: self.epoch }
    }

    /// The epoch up to which `target` has received what it is owed, or was not owed anything: it was
    /// not known then, or it was not configured for a while and those epochs have expired.
    pub fn delivered_to(&self, target: &Target, state: &TargetState) -> u64 {
        let since = self.targets.get(target).copied().unwrap_or_default();
        state.offset.unwrap_or_default().max(since).max(self.retired)
    }

    /// The latest window that is closing or closed.
    pub fn last_closed(&self) -> u64 {
        match &self.open {
            Some(open) => open.number.saturating_sub(1),
            None => self.last_window,
        }
    }
}

impl TargetState {
    /// Whether it is free, and as `deferral` leaves it.
    pub fn is_released_as(&self, deferral: &Deferral) -> bool {
        self.leased_until.is_none() && Deferral::of(self) == *deferral
    }
}

impl Deferral {
    /// Leaves everything as it is.
    pub fn of(state: &TargetState) -> Self {
        Self { not_before: state.not_before, failures: state.failures, turn: state.turn }
    }
}

impl<'a> Recipient<'a> {
    pub fn target(self) -> &'a Target {
        match self {
            Self::Own(target) | Self::Fallback(target) => target,
        }
    }

    /// The epochs `(after, upto]` that it may be owed, of those up to `sealed`; `None` when it is
    /// owed nothing.
    pub fn owed(self, cursor: &Cursor, sealed: u64, state: &TargetState) -> Option<(u64, u64)> {
        let (after, upto) = match self {
            Self::Own(target) => (cursor.delivered_to(target, state), sealed),
            Self::Fallback(_) => {
                let upto = state.escalation.as_ref()?.upto;
                (state.offset.unwrap_or_default().max(cursor.retired), upto)
            }
        };
        (after < upto).then_some((after, upto))
    }
}
