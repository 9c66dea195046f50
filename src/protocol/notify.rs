//! The port to targets: one attempt to deliver one digest to one target. The result says what to do
//! next.

use std::time::Duration;

use thiserror::Error;

use crate::model::burst::Related;
use crate::model::digest::Digest;
use crate::protocol::clock::Deadline;

/// The target did not accept the message.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum DeliverError {
    /// A later attempt may succeed: rate limit, server error, time-out. `after` is the wait that
    /// the target asked for.
    #[error("{reason}")]
    Retry { after: Option<Duration>, reason: String },
    /// The credential was rejected: a revoked webhook, an archived channel. One attempt with a
    /// fresh credential follows; a second rejection is final.
    #[error("{reason}")]
    Denied { reason: String },
    /// The target will never accept this message.
    #[error("{reason}")]
    Refused { reason: String },
    /// The message is not delivered in this round and stays owed. This is no failure of the target.
    #[error("not delivered yet")]
    Deferred,
}

/// The target accepted the message.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Accepted {
    /// The target's reference to the message, where later messages can join it as a thread.
    pub message: Option<String>,
    /// The thing that the target opened, for the messages of other targets.
    pub related: Option<Related>,
}

/// Delivers to targets.
#[trait_variant::make(Send)]
pub trait Deliver: Send + Sync {
    /// Tries once to deliver `digest` to `digest.target`. `Ok` means that the target accepted it.
    /// `joins` is the reference to the first message of the burst, if there is one.
    ///
    /// The call ends before `deadline`: a process that was frozen and wakes up later must not send.
    ///
    /// # Errors
    /// See [`DeliverError`].
    async fn deliver(
        &self,
        digest: &Digest,
        joins: Option<&str>,
        deadline: Deadline,
    ) -> Result<Accepted, DeliverError>;

    /// Does ahead what the next delivery would have to wait for. Best effort; sends nothing.
    fn warm(&self, _deadline: Deadline) -> impl Future<Output = ()> {
        std::future::ready(())
    }
}
