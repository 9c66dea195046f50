//! The port to targets: one attempt to deliver one digest to one target. The result says what to do
//! next.

use std::fmt;
use std::time::Duration;

use strum::{IntoStaticStr, VariantNames};
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
    Retry { after: Option<Duration>, reason: DeliveryFailure },
    /// The credential was rejected: a revoked webhook, an archived channel. One attempt with a
    /// fresh credential follows; a second rejection is final.
    #[error("{reason}")]
    Denied { reason: DeliveryFailure },
    /// The target will never accept this message.
    #[error("{reason}")]
    Refused { reason: DeliveryFailure },
    /// The message is not delivered in this round and stays owed. This is no failure of the target.
    #[error("not delivered yet")]
    Deferred,
}

/// Why a target did not accept a message: a code for metrics, and a sentence for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeliveryFailure {
    pub code: FailureCode,
    pub text: String,
}

/// The kind of a failure. Each is a value of the metric dimension `reason`, and
/// `docs/operations.md` lists them.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum FailureCode {
    /// The target wants fewer messages.
    RateLimited,
    /// The credential is missing, revoked, or not allowed to do this.
    Auth,
    /// The target does not take this message, or the configuration no longer has the target.
    Client,
    /// The target fails, or something else answers at its address.
    Server,
    /// The target did not answer in time.
    Timeout,
    /// There is no connection to the target, or it was lost.
    Unreachable,
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

impl DeliveryFailure {
    pub fn new(code: FailureCode, text: impl Into<String>) -> Self {
        Self { code, text: text.into() }
    }
}

impl fmt::Display for DeliveryFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FailureCode {
    /// The meaning of a status of HTTP that is no success.
    pub fn of_status(status: u16) -> Self {
        match status {
            429 => Self::RateLimited,
            408 => Self::Timeout,
            401 | 403 | 404 | 410 => Self::Auth,
            400..=499 => Self::Client,
            _ => Self::Server,
        }
    }

    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MANUAL: &str = include_str!("../../docs/operations.md");

    #[test]
    fn the_manual_lists_each_reason() {
        let (_, table) = MANUAL.split_once("| reason | meaning |").unwrap();
        let (table, _) = table.split_once("\n\n").unwrap();
        let rows = table.lines().filter_map(|row| row.strip_prefix("| `")?.split('`').next());
        assert_eq!(rows.collect::<Vec<_>>(), FailureCode::VARIANTS);
    }
}
