//! What the protocol needs of a channel: one attempt to tell one target one digest, and an answer
//! that says what to do next.

use std::future::Future;
use std::time::Duration;

use thiserror::Error;

use crate::model::digest::Digest;
use crate::protocol::clock::Deadline;

/// The target did not take the message.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DeliverError {
    /// Not now: rate limited, broken, out of reach. `after` is the wait that the target asked for.
    #[error("{reason}")]
    Retry { after: Option<Duration>, reason: String },
    /// Not with this credential: a revoked webhook, an archived channel. A fresh one may do; if not, it is final.
    #[error("{reason}")]
    Denied { reason: String },
    /// Not ever, in this form.
    #[error("{reason}")]
    Refused { reason: String },
    /// Not in this round, and it is no failure of the target: it stays owed, and nothing is noted against it.
    #[error("it is not delivered yet")]
    Deferred,
}

/// The target took the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The channel's reference to the message, where later ones can join it.
    pub message: Option<String>,
}

/// Delivers to targets.
pub trait Deliver: Send + Sync {
    /// Tries once to deliver `digest` to `digest.target`. `Ok` means that the target has accepted it.
    /// `joins` is the reference to the message that the burst began with, if there is one.
    /// The call ends before `deadline`: a process that is frozen and wakes up later must not send.
    fn deliver(
        &self,
        digest: &Digest,
        joins: Option<&str>,
        deadline: Deadline,
    ) -> impl Future<Output = Result<Accepted, DeliverError>> + Send;
}
