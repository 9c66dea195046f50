//! What the protocol needs of a database. Two ideas carry it (see `ARCHITECTURE.md`):
//!
//! - **commit** writes audit rows and the tally that counts them in one transaction, so that a row
//!   exists exactly when it is counted;
//! - an **outbox** per route: a [`Cursor`] over numbered windows, a log of frozen [`Epoch`]s, and for
//!   each target the offset up to which it was told.
//!
//! Every method that changes a cursor states the condition under which it takes effect, and answers
//! `false` when the condition did not hold: somebody else was faster, read again. `false` may also
//! mean that the change was made and its answer lost; callers go on from what they read, so both
//! are the same to them. Time is compared nowhere but for leases and schedules.

use std::borrow::Borrow;
use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::alert::Alert;
use crate::clock::Timestamp;
use crate::digest::Burst;
use crate::name::{RouteName, Target};
use crate::tally::Tally;

pub mod dynamodb;

/// What became of one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// The row is new, and counted.
    Fresh,
    /// The row was there, and had been counted. `routes` are those that the row was written for: they
    /// may lack an armed window, when whoever wrote the row crashed before arming.
    Duplicate { routes: Arc<[RouteName]> },
    /// Not known to be stored before the deadline. All alerts of a transaction share what it failed of.
    Failed(Arc<StoreError>),
}

/// Why a store call did not do its work.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StoreError {
    /// Throttled, in conflict or out of reach until the deadline; later it may work.
    #[error("the store is not available: {0}")]
    Unavailable(String),
    /// A wrong table, a missing permission: it will not work until a person has changed something.
    #[error("the store refuses: {0}")]
    Refused(String),
    /// The store can never take this very item.
    #[error("the store cannot hold it: {0}")]
    Invalid(String),
}

impl StoreError {
    /// As `FunctionError::code`.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "StoreUnavailable",
            Self::Refused(_) => "StoreRefused",
            Self::Invalid(_) => "StoreInvalid",
        }
    }
}

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
pub struct Parcel {
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
    /// For implementations of [`Store`].
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
    /// Opens the burst's next window. Condition then: as for [`Store::open`].
    pub next: Option<Opening>,
}

/// A window to open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Opening {
    pub window: Window,
    /// The route's targets as configured. The cursor learns those that it does not know, as told up
    /// to `told`; one that it knows stays as it is.
    pub targets: Vec<Target>,
    pub told: u64,
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
pub struct Settled {
    pub offset: u64,
    pub thread: Option<Thread>,
    pub muted: u64,
}

/// How a delivery that failed leaves a target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
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

/// The contract. `deadline` is when a method must have given up: it retries what passes (throttles,
/// conflicts, lost connections) until then.
pub trait Store: Send + Sync {
    /// A freeze takes at most so many tallies: with the epoch and the cursor they make one transaction, which has at
    /// most 100 items in DynamoDB.
    const FREEZE_TALLIES_MAX: usize = 97;

    /// Stores and counts each alert, or finds that it was before. Ids are distinct; the answers stand
    /// in the order of `alerts`. A row exists if and only if exactly one tally or epoch counts it.
    fn commit(
        &self,
        alerts: &[impl Borrow<Alert> + Sync],
        deadline: Timestamp,
    ) -> impl Future<Output = Vec<Commit>> + Send;

    /// The cursor as of now (a consistent read).
    fn cursor(&self, route: &RouteName, deadline: Timestamp)
    -> impl Future<Output = Result<Cursor, StoreError>> + Send;

    /// Every route that ever had a window, those that are gone from the configuration included.
    fn routes(&self, deadline: Timestamp) -> impl Future<Output = Result<Vec<RouteName>, StoreError>> + Send;

    /// Opens a window. Condition: none is open, and the latest is the one before it.
    fn open(
        &self,
        route: &RouteName,
        opening: &Opening,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Notes that the due message of `window` was sent. Condition: it is still the open one.
    fn mark_armed(
        &self,
        route: &RouteName,
        window: u64,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// `closing = window`, none open, `burst` as given. Condition: `window` is the open one, and nothing is closing.
    fn close(
        &self,
        route: &RouteName,
        window: u64,
        burst: Option<BurstState>,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// All tallies of a route, as of one moment after the call (consistent reads).
    fn tallies(
        &self,
        route: &RouteName,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<Vec<Parcel>, StoreError>> + Send;

    /// Moves tallies into an epoch, wholly or not at all. Conditions: see [`Freeze`].
    fn freeze(
        &self,
        route: &RouteName,
        freeze: &Freeze,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The epochs in `(after, upto]`, in order.
    fn epochs(
        &self,
        route: &RouteName,
        after: u64,
        upto: u64,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<Vec<Epoch>, StoreError>> + Send;

    fn target(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<TargetState, StoreError>> + Send;

    /// Takes the lease. Condition: nobody has one that lasts beyond `now`, or it is this one. Answers the state under
    /// the lease, or `None` when the condition did not hold.
    fn lease(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        now: Timestamp,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<Option<TargetState>, StoreError>> + Send;

    /// Sets the offset and what goes with it, and frees the lease; the target has no failures then.
    /// Condition: the lease is the holder's.
    fn settle(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        settled: &Settled,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Frees the lease without having delivered. Condition: it is the holder's.
    fn release(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        held: &Held,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Nobody calls `target` before `until`, on whichever route.
    fn pause(
        &self,
        target: &Target,
        until: Timestamp,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Owes `fallback` the epochs from its offset, which becomes `offset`, up to the escalation's; the cursor knows
    /// the fallback then. Condition: its offset and its escalation are still as in `known`.
    fn escalate(
        &self,
        route: &RouteName,
        fallback: &Target,
        known: &TargetState,
        offset: u64,
        escalation: &Escalation,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Mutes a route until then, or no longer.
    fn mute(
        &self,
        route: &RouteName,
        until: Option<Timestamp>,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Lets the epochs in `(after, upto]` expire: every target has been told of them.
    fn retire(
        &self,
        route: &RouteName,
        after: u64,
        upto: u64,
        deadline: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
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
        Opening { window, targets: targets.to_vec(), told: self.epoch }
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
