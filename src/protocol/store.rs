//! The port to a database. Two ideas carry it (see `ARCHITECTURE.md`):
//!
//! - **commit** writes audit rows and the tally that counts them in one transaction, so a row
//!   exists exactly when it is counted;
//! - an **outbox** per route: a [`Cursor`] over numbered windows, a log of frozen [`Epoch`]s, and
//!   for each target the offset up to which epochs are delivered.
//!
//! Every method that changes a cursor states its condition and returns `false` when the condition
//! does not hold: another process was faster, so read again. `false` may also mean that the change
//! was made and its answer lost. Callers continue from what they read, so they treat both alike. Only
//! `acknowledge` and `release` tell the two apart: after a lost answer, they return `true`.
//! Only leases and schedules compare time.

use std::borrow::Borrow;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::model::alert::Alert;
use crate::model::burst::BurstState;
use crate::model::error::Cause;
use crate::model::history::{History, Mark};
use crate::model::name::{RouteName, Target};
use crate::model::outbox::{
    Acknowledgement, BurstPatterns, Claim, Cursor, Deferral, Epoch, Escalation, Freeze, Lease,
    Opening, Recipient, TallyPage, TallyPosition, TargetState, Window,
};
use crate::model::time::Timestamp;
use crate::protocol::clock::Deadline;
use crate::protocol::retry::NoAnswer;

/// The result of committing one alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commit {
    /// The row is new, and counted.
    Fresh,
    /// The row exists and is counted. `routes` are the routes that the row was written for. They
    /// may lack an armed window, if the process that wrote the row crashed before it armed them.
    Duplicate { routes: Arc<[RouteName]> },
    /// The alert may not be stored. All alerts of a transaction share its error.
    Failed(Arc<StoreError>),
}

/// Why a store call did not do its work.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum StoreError {
    /// Throttled, in conflict or unreachable until the deadline. A later call may succeed.
    #[error("the store is unavailable: {0}")]
    Unavailable(Cause),
    /// A missing table or permission. No call succeeds until a person has changed something.
    #[error("the store refused the request: {0}")]
    Refused(Cause),
    /// The store can never hold this item.
    #[error("the store cannot hold the item: {0}")]
    Invalid(Cause),
}

impl StoreError {
    /// The stable code of the variant.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "store-unavailable",
            Self::Refused(_) => "store-refused",
            Self::Invalid(_) => "store-invalid",
        }
    }

    /// The answer of the service.
    pub fn cause(&self) -> &Cause {
        match self {
            Self::Unavailable(cause) | Self::Refused(cause) | Self::Invalid(cause) => cause,
        }
    }
}

impl From<NoAnswer> for StoreError {
    fn from(no_answer: NoAnswer) -> Self {
        Self::Unavailable(no_answer.into())
    }
}

/// A history that replaces the stored one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HistoryChange {
    /// The id of the pattern.
    pub id: String,
    /// The revision of the stored history; `None` if there is none.
    pub known: Option<u64>,
    pub history: History,
}

/// For how long an epoch is kept that every target has received, so that an operator can see what
/// was sent.
pub const RETIRED_KEPT: Duration = Duration::from_hours(24 * 30);

/// The contract. A method retries transient failures (throttling, conflicts, lost connections) until `deadline`.
#[trait_variant::make(Send)]
pub trait Store: Send + Sync {
    /// The most tallies in one freeze. With the epoch and the cursor they are one transaction,
    /// which has at most 100 items in DynamoDB.
    const FREEZE_TALLIES_MAX: usize = 97;

    /// Stores and counts each alert, or finds that it is stored. Ids are distinct. Results are in the order of `alerts`.
    /// A row exists if and only if exactly one tally or epoch counts it.
    async fn commit(&self, alerts: &[impl Borrow<Alert> + Sync], deadline: Deadline)
    -> Vec<Commit>;

    /// The cursor as of now (a consistent read).
    async fn cursor(&self, route: &RouteName, deadline: Deadline) -> Result<Cursor, StoreError>;

    /// Every route that ever had an alert, including routes that are gone from the configuration.
    async fn routes(&self, deadline: Deadline) -> Result<Vec<RouteName>, StoreError>;

    /// Opens a window. Condition: none is open, and the last window is the one before it.
    async fn open(
        &self,
        route: &RouteName,
        opening: &Opening,
        deadline: Deadline,
    ) -> Result<bool, StoreError>;

    /// Replaces the claim to send the due message of `window`. Condition: the window is open, and
    /// its claim is still `known`.
    async fn claim(
        &self,
        route: &RouteName,
        window: u64,
        known: Option<Claim>,
        claim: Option<Claim>,
        deadline: Deadline,
    ) -> Result<bool, StoreError>;

    /// Makes the open window due earlier, at `window.due`, with the claim to send a due message for that time, and
    /// replaces the patterns of the burst. Condition: it is open, and due later than that.
    async fn pull_forward(
        &self,
        route: &RouteName,
        window: &Window,
        patterns: &BurstPatterns,
        deadline: Deadline,
    ) -> Result<bool, StoreError>;

    /// Sets `closing` to `window`, leaves no window open, and sets `burst`. Condition: `window` is open, and none is
    /// closing.
    async fn close(
        &self,
        route: &RouteName,
        window: u64,
        burst: Option<BurstState>,
        deadline: Deadline,
    ) -> Result<bool, StoreError>;

    /// At most `limit` tallies of a route, from `position` on. Consistent reads: the pages from the first to the last
    /// have every tally whose commit finished before the first call, unless it was frozen meanwhile.
    async fn tallies(
        &self,
        route: &RouteName,
        position: Option<&TallyPosition>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<TallyPage, StoreError>;

    /// Whether a part of the tallies of a route has any. `round` chooses the part: consecutive rounds see all of them.
    async fn has_tallies(
        &self,
        route: &RouteName,
        round: u64,
        deadline: Deadline,
    ) -> Result<bool, StoreError>;

    /// Moves tallies into an epoch atomically. Conditions: see [`Freeze`].
    async fn freeze(
        &self,
        route: &RouteName,
        freeze: &Freeze,
        deadline: Deadline,
    ) -> Result<bool, StoreError>;

    /// The first `limit` epochs in `(after, upto]`, in order.
    async fn epochs(
        &self,
        route: &RouteName,
        after: u64,
        upto: u64,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<Epoch>, StoreError>;

    async fn target(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        deadline: Deadline,
    ) -> Result<TargetState, StoreError>;

    /// Takes the lease. Conditions: no other lease is valid at `now`, and the offset is that of `known`; a call that
    /// takes effect long after its caller has gone on finds another offset. Returns the state under the lease, or
    /// `None` when the conditions do not hold. The pause on all routes is that of `known`.
    async fn lease(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        known: &TargetState,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Option<TargetState>, StoreError>;

    /// Takes a turn at `target`, for one message on any route: at `now` or later, and `interval` after the turn before
    /// and after a pause.
    async fn take_turn(
        &self,
        target: &Target,
        interval: Duration,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Timestamp, StoreError>;

    /// Sets the offset, the thread and the muted count, clears the failures and the turn, and frees the lease.
    /// Condition: the caller holds the lease.
    async fn acknowledge(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        acknowledgement: &Acknowledgement,
        deadline: Deadline,
    ) -> Result<bool, StoreError>;

    /// Frees the lease without a delivery. Condition: the caller holds the lease.
    async fn release(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        deferral: &Deferral,
        deadline: Deadline,
    ) -> Result<bool, StoreError>;

    /// Pauses `target` on every route until `until`, and moves later turns after it. Never shortens a pause.
    async fn pause(
        &self,
        target: &Target,
        until: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError>;

    /// Sets the fallback's offset, owes it the epochs from there up to `escalation.upto`, and adds it to the cursor.
    /// Condition: its offset and escalation are still those of `known`.
    async fn escalate(
        &self,
        route: &RouteName,
        fallback: &Target,
        known: &TargetState,
        offset: u64,
        escalation: &Escalation,
        deadline: Deadline,
    ) -> Result<bool, StoreError>;

    /// Notes that a consumer is behind its stream. The note holds until `until`. A store may leave out a note that
    /// follows another one closely.
    async fn note_lag(&self, until: Timestamp, deadline: Deadline) -> Result<(), StoreError>;

    /// Until when some consumer counts as behind its stream.
    async fn lagging_until(&self, deadline: Deadline) -> Result<Option<Timestamp>, StoreError>;

    /// Mutes a route until `until`, or unmutes it.
    async fn mute(
        &self,
        route: &RouteName,
        until: Option<Timestamp>,
        deadline: Deadline,
    ) -> Result<(), StoreError>;

    /// Lets the epochs in `(cursor.retired, upto]` expire, which every target has received, and forgets the targets
    /// `gone`. Condition: no epoch was frozen and none was retired since `cursor`.
    async fn retire(
        &self,
        route: &RouteName,
        cursor: &Cursor,
        upto: u64,
        gone: &[Target],
        deadline: Deadline,
    ) -> Result<(), StoreError>;

    /// The histories that the route has of these patterns, by their ids, in any order (consistent reads). Those that it
    /// does not have are left out. At most 100 ids, which are distinct.
    async fn histories(
        &self,
        route: &RouteName,
        ids: &[String],
        deadline: Deadline,
    ) -> Result<Vec<(String, History)>, StoreError>;

    /// Replaces histories. Condition of each: the stored one has the revision [`HistoryChange::known`], or there
    /// is none. Returns whether all were replaced; some may be if not.
    async fn put_histories(
        &self,
        route: &RouteName,
        changes: &[HistoryChange],
        deadline: Deadline,
    ) -> Result<bool, StoreError>;

    /// Notes that the histories count the epochs up to `upto`, and since when they do if this is the first note.
    /// Condition: they did not count them before.
    async fn set_counted(
        &self,
        route: &RouteName,
        upto: u64,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError>;

    /// Adds a mark.
    async fn mark(&self, mark: &Mark, deadline: Deadline) -> Result<(), StoreError>;

    /// The marks from `since` on, the earliest first.
    async fn marks(&self, since: Timestamp, deadline: Deadline) -> Result<Vec<Mark>, StoreError>;

    /// Lets go what has expired, and prepares for the days to come. Most calls do nothing. A store that
    /// does this by itself leaves it out.
    fn maintain(&self, _deadline: Deadline) -> impl Future<Output = Result<(), StoreError>> {
        async { Ok(()) }
    }
}
