//! Why work has to be retried.

use strum::VariantNames;
use thiserror::Error;

use crate::model::name::{RouteName, Target};
use crate::model::time::Timestamp;
use crate::protocol::queue::QueueError;
use crate::protocol::store::StoreError;

/// Why a record, a route or a due message is not finished. The text is for people; programs compare
/// [`RetryReason::code`].
#[derive(Clone, Debug, Error, PartialEq, Eq, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum RetryReason {
    #[error("no time was left to read it")]
    OutOfTime,
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("the due queue did not accept a message: {0}")]
    DueQueue(QueueError),
    #[error("parking failed: {0}")]
    Park(QueueError),
    #[error("window {window} is not due yet")]
    NotDue { window: u64 },
    #[error("another process is delivering to {target}")]
    Leased { target: Target },
    #[error("{target} is paused until {}", until.iso())]
    Paused { target: Target, until: Timestamp },
    #[error("other routes also have messages for {target}; the turn of this one is {}", at.iso())]
    Paced { target: Target, at: Timestamp },
    #[error("no time was left to deliver to {target}")]
    NotTried { target: Target },
    #[error("delivery to {target} failed: {reason}")]
    Delivery { target: Target, reason: String },
    /// The target refused the message, and the message could not be parked or handed to the
    /// fallback.
    #[error("{target} refused the message ({refusal}), and {problem}")]
    GiveUp { target: Target, refusal: String, problem: String },
    #[error("{target} is behind; its fallback is not due yet")]
    Behind { target: Target },
    #[error("route {route}: {reason}")]
    Route { route: RouteName, reason: Box<RetryReason> },
}

impl RetryReason {
    /// Whether nothing was attempted, so that the reason before says more.
    pub fn follows_a_failure(&self) -> bool {
        matches!(self, Self::Paused { .. } | Self::Paced { .. } | Self::NotTried { .. })
    }

    /// A stable kebab-case code. That of a store error says whether a retry can help. Both queues
    /// have the same error codes, so here the code says which queue.
    pub fn code(&self) -> &'static str {
        match self {
            Self::OutOfTime => "out-of-time",
            Self::Store(error) => error.code(),
            Self::DueQueue(_) => "due-queue",
            Self::Park(_) => "park",
            Self::NotDue { .. } => "not-due",
            Self::Leased { .. } => "leased",
            Self::Paused { .. } => "paused",
            Self::Paced { .. } => "paced",
            Self::NotTried { .. } => "not-tried",
            Self::Delivery { .. } => "delivery",
            Self::GiveUp { .. } => "give-up",
            Self::Behind { .. } => "behind",
            Self::Route { reason, .. } => reason.code(),
        }
    }
}
