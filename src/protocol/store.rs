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
use std::future::Future;
use std::sync::Arc;

use thiserror::Error;

use crate::model::alert::Alert;
use crate::model::error::Cause;
use crate::model::name::{RouteName, Target};
use crate::model::outbox::{
    Acknowledgement, BurstState, Cursor, Deferral, Epoch, Escalation, Freeze, Lease, Opening, Recipient, StoredTally,
    TargetState,
};
use crate::model::time::Timestamp;
use crate::protocol::clock::Deadline;

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

    /// What the service said.
    pub fn cause(&self) -> &Cause {
        match self {
            Self::Unavailable(cause) | Self::Refused(cause) | Self::Invalid(cause) => cause,
        }
    }
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
        deadline: Deadline,
    ) -> impl Future<Output = Vec<Commit>> + Send;

    /// The cursor as of now (a consistent read).
    fn cursor(&self, route: &RouteName, deadline: Deadline) -> impl Future<Output = Result<Cursor, StoreError>> + Send;

    /// Every route that ever had a window, those that are gone from the configuration included.
    fn routes(&self, deadline: Deadline) -> impl Future<Output = Result<Vec<RouteName>, StoreError>> + Send;

    /// Opens a window. Condition: none is open, and the latest is the one before it.
    fn open(
        &self,
        route: &RouteName,
        opening: &Opening,
        deadline: Deadline,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Notes that the due message of `window` was sent. Condition: it is still the open one.
    fn mark_armed(
        &self,
        route: &RouteName,
        window: u64,
        deadline: Deadline,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// `closing = window`, none open, `burst` as given. Condition: `window` is the open one, and nothing is closing.
    fn close(
        &self,
        route: &RouteName,
        window: u64,
        burst: Option<BurstState>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// All tallies of a route, as of one moment after the call (consistent reads).
    fn tallies(
        &self,
        route: &RouteName,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Vec<StoredTally>, StoreError>> + Send;

    /// Moves tallies into an epoch, wholly or not at all. Conditions: see [`Freeze`].
    fn freeze(
        &self,
        route: &RouteName,
        freeze: &Freeze,
        deadline: Deadline,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The epochs in `(after, upto]`, in order.
    fn epochs(
        &self,
        route: &RouteName,
        after: u64,
        upto: u64,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Vec<Epoch>, StoreError>> + Send;

    fn target(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<TargetState, StoreError>> + Send;

    /// Takes the lease. Condition: nobody has one that lasts beyond `now`, or it is this one. Answers the state under
    /// the lease, or `None` when the condition did not hold.
    fn lease(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        now: Timestamp,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Option<TargetState>, StoreError>> + Send;

    /// Sets the offset and what goes with it, and frees the lease; the target has no failures then.
    /// Condition: the lease is the holder's.
    fn acknowledge(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        acknowledgement: &Acknowledgement,
        deadline: Deadline,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Frees the lease without having delivered. Condition: it is the holder's.
    fn release(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        held: &Deferral,
        deadline: Deadline,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Nobody calls `target` before `until`, on whichever route.
    fn pause(
        &self,
        target: &Target,
        until: Timestamp,
        deadline: Deadline,
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
        deadline: Deadline,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// Mutes a route until then, or no longer.
    fn mute(
        &self,
        route: &RouteName,
        until: Option<Timestamp>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Lets the epochs in `(after, upto]` expire: every target has been told of them.
    fn retire(
        &self,
        route: &RouteName,
        after: u64,
        upto: u64,
        deadline: Deadline,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
