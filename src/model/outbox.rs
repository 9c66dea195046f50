//! The state of a route's outbox and its rules: a [`Cursor`] over numbered windows, a log of frozen [`Epoch`]s, and for
//! each target the offset up to which epochs are delivered. [`Store`](crate::protocol::store::Store) keeps it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::name::Target;
use crate::model::tally::Tally;
use crate::model::text::humanize_duration;
use crate::model::time::Timestamp;

/// The state of a route's outbox. A route that was never touched has the default one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Cursor {
    /// Number of the latest window that was ever opened; it only grows.
    pub last_window: u64,
    pub open: Option<Window>,
    /// The window whose tallies are being frozen.
    pub closing: Option<u64>,
    /// Number of the latest epoch.
    pub epoch: u64,
    /// Latest epoch that may be delivered: a window of many tallies becomes several epochs, and
    /// nothing of it is delivered before the last is there.
    pub sealed: u64,
    pub burst: Option<BurstState>,
    /// Epochs up to this one are settled with everyone and may expire.
    pub retired: u64,
    /// Every target that epochs may be owed to, with the epoch after which it was first known.
    pub targets: BTreeMap<Target, u64>,
    /// Fallbacks that were ever called in; what each is owed stands in its [`TargetState`].
    pub fallbacks: BTreeSet<Target>,
    /// Until then nobody is told; what is frozen counts as muted.
    pub muted_until: Option<Timestamp>,
}

/// A window that collects tallies until it is due.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    pub number: u64,
    pub due: Timestamp,
    /// Its due message was sent.
    pub armed: bool,
}

/// A run of windows without a pause.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurstState {
    pub burst: Burst,
    /// Length of its latest window in milliseconds; the next is longer, up to `window_max`.
    pub window_ms: u64,
}

/// A frozen tally, and who is to be told of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Epoch {
    pub number: u64,
    pub window: u64,
    /// When it was frozen: since then its targets wait for it.
    pub at: Timestamp,
    pub tally: Tally,
    pub owed: Vec<Target>,
    pub burst: Option<Burst>,
    /// This epoch tells that the burst has ended.
    pub over: bool,
}

/// A tally as it lies in the outbox.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredTally {
    pub key: TallyKey,
    pub tally: Tally,
}

/// Where a tally lies; opaque to everyone but its store.
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
    /// Deleted, each of which must exist.
    pub tallies: Vec<TallyKey>,
    /// Written as number `after + 1`; none only in a last step. Its targets are added to the cursor's.
    pub epoch: Option<Epoch>,
    /// Replaces the cursor's.
    pub burst: Option<BurstState>,
    /// Present in the last step, which clears `closing` and seals.
    pub finish: Option<Finish>,
}

/// How the last step of a freeze leaves the cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Finish {
    /// Opens the burst's next window. Condition then: as for [`Store::open`](crate::protocol::store::Store::open).
    pub next: Option<Opening>,
}

/// A window to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    pub window: Window,
    /// The route's targets as configured. The cursor learns those that it does not know, as told up
    /// to `delivered`; one that it knows stays as it is.
    pub targets: Vec<Target>,
    pub delivered: u64,
}

/// Somebody who is told on a route, and as what. Whoever is both keeps two books.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient<'a> {
    /// Epochs name it.
    Own(&'a Target),
    /// It is told in the place of others.
    Fallback(&'a Target),
}

/// How far a recipient has been told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetState {
    /// Latest epoch that it accepted or that was parked for it; `None` when it was never told anything.
    pub offset: Option<u64>,
    /// It is not to be called before: it asked for a pause, on this route or on another, or failed lately.
    pub not_before: Option<Timestamp>,
    /// Failed attempts since it last accepted; the pause between them grows with it.
    pub failures: u32,
    /// Somebody is delivering to it, until then at the most.
    pub leased_until: Option<Timestamp>,
    /// The message that later ones of the same burst can join.
    pub thread: Option<Thread>,
    /// Alerts that were muted since it was last told anything.
    pub muted: u64,
    /// For a fallback: what it has to tell in the place of others.
    pub escalation: Option<Escalation>,
}

/// A message that a burst began with, as its channel remembers it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// Which burst: when it began.
    pub burst: Timestamp,
    /// The channel's own reference; opaque to everyone else.
    pub message: String,
}

/// What a fallback is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Escalation {
    /// Up to this epoch.
    pub upto: u64,
    /// What is wrong with the target that the messages were meant for.
    pub because: String,
}

/// How a delivery that succeeded, or that need not be made any more, leaves a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Acknowledgement {
    pub offset: u64,
    pub thread: Option<Thread>,
    pub muted: u64,
}

/// How a delivery that failed leaves a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Deferral {
    pub not_before: Option<Timestamp>,
    pub failures: u32,
}

/// The right to deliver to a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lease {
    /// Unlike any other: whoever shows it holds the lease.
    pub owner: String,
    /// Longer than the holder can live.
    pub until: Timestamp,
}

/// A run of windows without a pause, as far as it is known when the digest is made.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burst {
    /// When its first window was closed.
    pub since: Timestamp,
    /// When its latest window was closed.
    pub until: Timestamp,
    /// Alerts since it began, those of this digest included.
    pub alerts: u64,
}

impl Cursor {
    /// No burst and nothing closing: whoever speaks now speaks first.
    pub fn is_idle(&self) -> bool {
        self.burst.is_none() && self.closing.is_none()
    }

    pub fn is_muted(&self, now: Timestamp) -> bool {
        self.muted_until.is_some_and(|until| until > now)
    }

    /// The next window, due at `due`, for the `targets` that the configuration names.
    pub fn opening(&self, due: Timestamp, targets: &[Target]) -> Opening {
        let window = Window { number: self.last_window + 1, due, armed: false };
        Opening { window, targets: targets.to_vec(), delivered: self.epoch }
    }
}

impl<'a> Recipient<'a> {
    pub fn target(self) -> &'a Target {
        match self {
            Self::Own(target) | Self::Fallback(target) => target,
        }
    }
}

impl BurstState {
    /// How long the burst's next window is: `window` at first, then twice the one before, up to `window_max`.
    pub fn next_window(&self, window: Duration, window_max: Duration) -> Duration {
        match self.window_ms {
            0 => window,
            ms => Duration::from_millis(ms.saturating_mul(2)).min(window_max).max(window),
        }
    }
}

impl Burst {
    /// How long it has lasted, for people.
    pub fn length(&self) -> String {
        humanize_duration(self.since.until(self.until))
    }
}
