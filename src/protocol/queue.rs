//! What the protocol needs of a queue: a timer for windows that survives crashes, and a place for
//! what cannot be processed or delivered, where nothing is forgotten.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::model::error::Cause;
use crate::model::name::RouteName;
use crate::protocol::clock::Deadline;
use crate::protocol::dead_letter::ParkedItem;

/// "Route R's window w is due": a hint. One too many is harmless, a lost one is made good by the
/// sweep.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Due {
    pub route: RouteName,
    pub window: u64,
}

/// Why a queue did not take a message. The caller must not acknowledge the work that the message
/// stands for.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum QueueError {
    /// Throttled or unreachable until the deadline. A later call may succeed.
    #[error("the queue is unavailable: {0}")]
    Unavailable(Cause),
    /// A missing queue or permission. No call succeeds until a person has changed something.
    #[error("the queue refused the message: {0}")]
    Refused(Cause),
    /// The queue can never hold this message.
    #[error("the queue cannot hold the message: {0}")]
    Invalid(Cause),
}

impl QueueError {
    /// The stable code of the variant.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "queue-unavailable",
            Self::Refused(_) => "queue-refused",
            Self::Invalid(_) => "queue-invalid",
        }
    }
}

/// Sends due messages that arrive after a delay.
#[trait_variant::make(Send)]
pub trait DueQueue: Send + Sync {
    async fn send(&self, due: &Due, delay: Duration, deadline: Deadline) -> Result<(), QueueError>;
}

/// A due queue whose received messages can be delayed.
#[trait_variant::make(Send)]
pub trait ChangeVisibility: Send + Sync {
    /// The message behind `receipt` comes back after `delay`, unless it is deleted before.
    async fn change_visibility(
        &self,
        receipt: &str,
        delay: Duration,
        deadline: Deadline,
    ) -> Result<(), QueueError>;
}

/// Keeps what could not be processed or delivered.
#[trait_variant::make(Send)]
pub trait DeadLetterQueue: Send + Sync {
    /// Parks each item; the answers stand in the order of `items`. `Ok` means that it is safe.
    async fn park(&self, items: &[ParkedItem], deadline: Deadline) -> Vec<Result<(), QueueError>>;

    /// Parks messages as they are; the answers stand in the order of `bodies`.
    async fn put_back(&self, bodies: &[String], deadline: Deadline) -> Vec<Result<(), QueueError>>;
}
