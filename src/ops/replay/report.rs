//! The results of a replay, and why a dead letter is left in the queue.

use std::collections::{BTreeMap, BTreeSet};

use thiserror::Error;

use super::recognize::{DeadLetterKind, Unrecognized};
use super::source::SourceError;
use crate::ingest::decode::Poison;
use crate::ingest::event::EventError;
use crate::model::name::{RouteName, Target};
use crate::protocol::consume::Counts;
use crate::protocol::queue::QueueError;
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::round::Delivery;

/// The results of a replay so far.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Dead letters that were received.
    pub received: u64,
    /// Dead letters that the filters skipped.
    pub skipped: u64,
    /// The selected ids of which the source has no dead letter.
    pub missing: BTreeSet<String>,
    /// Dead letters that were reprocessed and deleted, by kind.
    pub reprocessed: BTreeMap<DeadLetterKind, u64>,
    /// Dead letters that are left in the queue, in the order in which they were retried.
    pub unresolved: Vec<Unresolved>,
    /// The counts of all records.
    pub counts: Counts,
    /// The routes that have alerts in the records, or that were closed for a due message.
    pub routes: BTreeSet<RouteName>,
    pub messages: Vec<Delivery>,
    /// Records that a stream no longer has.
    pub records_expired: u64,
    /// The replay was cancelled.
    pub interrupted: bool,
    /// The source failed, which ended the replay.
    pub source_error: Option<SourceError>,
}

/// A dead letter that is left in the queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unresolved {
    pub id: String,
    pub kind: DeadLetterKind,
    pub failure: ReplayFailure,
}

/// Why a dead letter is left in the queue. The text is for people; programs compare
/// [`ReplayFailure::code`].
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ReplayFailure {
    /// It is one record that still cannot be read or stored.
    #[error(transparent)]
    Poison(#[from] Poison),
    /// Part of its work has to be retried.
    #[error(transparent)]
    Retry(#[from] RetryReason),
    /// Its alerts are stored, and there is no due queue whose notifier would deliver them.
    #[error("stored, but not delivered: {0}")]
    NotDelivered(RetryReason),
    /// The target will not accept the message.
    #[error("{target} refused the message: {reason}")]
    Refused { target: Target, reason: String },
    /// This replay has no way to the target.
    #[error("this replay cannot deliver to {0}")]
    NotDeliverable(Target),
    /// The target did not accept the credential.
    #[error("{target} denied the credential: {reason}")]
    Denied { target: Target, reason: String },
    #[error(transparent)]
    Unrecognized(#[from] Unrecognized),
    /// The payload of an invocation is not an event.
    #[error(transparent)]
    Event(#[from] EventError),
    #[error("a message of its payload is not a due message")]
    NotADueMessage,
    #[error(transparent)]
    Stream(SourceError),
    /// The dead letter is the only trace of the missing records.
    #[error(
        "{expired} of {records} records are past the stream's retention; {found} were reprocessed"
    )]
    Expired { expired: u64, records: u64, found: u64 },
    /// As `Expired`, for a range of an unknown length.
    #[error("the first records are past the stream's retention; {found} were reprocessed")]
    FirstExpired { found: u64 },
    #[error("interrupted after {found} records of {shard_id}")]
    Interrupted { found: u64, shard_id: String },
    #[error("some of its records cannot be read, and parking them failed: {0}")]
    Park(QueueError),
    #[error("reprocessed, but not deleted: {0}")]
    Delete(SourceError),
}

impl ReplayFailure {
    pub(super) const NOT_DELIVERABLE: &str = "not-deliverable";

    /// A stable kebab-case word.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Poison(poison) => poison.code().into(),
            Self::Retry(reason) | Self::NotDelivered(reason) => reason.code(),
            Self::Refused { .. } => "refused",
            Self::Denied { .. } => "denied",
            Self::NotDeliverable(_) => Self::NOT_DELIVERABLE,
            Self::Unrecognized(unrecognized) => unrecognized.code(),
            Self::Event(error) => error.code(),
            Self::NotADueMessage => "not-a-due-message",
            Self::Stream(error) => error.code(),
            Self::Expired { .. } | Self::FirstExpired { .. } => "expired",
            Self::Interrupted { .. } => "interrupted",
            Self::Park(_) => "park",
            Self::Delete(_) => "delete",
        }
    }

    /// How many records the stream no longer has, as far as that is known.
    pub(super) fn records_expired(&self) -> u64 {
        match self {
            Self::Expired { expired, .. } => *expired,
            Self::FirstExpired { .. } => 1,
            _ => 0,
        }
    }
}

impl Report {
    /// Dead letters that were reprocessed and deleted.
    pub fn reprocessed(&self) -> u64 {
        self.reprocessed.values().sum()
    }

    /// Dead letters that were retried, with either result.
    pub fn retried(&self) -> u64 {
        self.reprocessed() + self.unresolved.len() as u64
    }

    /// Whether everything that the filters selected was reprocessed.
    pub fn is_complete(&self) -> bool {
        self.unresolved.is_empty()
            && self.missing.is_empty()
            && self.source_error.is_none()
            && !self.interrupted
    }
}
