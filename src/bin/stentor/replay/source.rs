//! Where a replay receives dead letters: from an SQS queue or a file.

use std::time::Duration;

use stentor::adapters::replay::file::FileDeadLetterSource;
#[cfg(feature = "aws")]
use stentor::adapters::replay::sqs::SqsDeadLetterSource;
use stentor::ops::replay::{DeadLetterSource, Receipt, ReceivedMessage, SourceError};
use stentor::protocol::clock::Deadline;

/// Where dead letters are received.
pub(super) enum ReplaySource {
    #[cfg(feature = "aws")]
    Queue(SqsDeadLetterSource),
    File(FileDeadLetterSource),
}

impl DeadLetterSource for ReplaySource {
    async fn receive(
        &self,
        max: usize,
        deadline: Deadline,
    ) -> Result<Vec<ReceivedMessage>, SourceError> {
        match self {
            #[cfg(feature = "aws")]
            Self::Queue(queue) => queue.receive(max, deadline).await,
            Self::File(file) => file.receive(max, deadline).await,
        }
    }

    async fn delete(
        &self,
        receipts: &[Receipt],
        deadline: Deadline,
    ) -> Vec<Result<(), SourceError>> {
        match self {
            #[cfg(feature = "aws")]
            Self::Queue(queue) => queue.delete(receipts, deadline).await,
            Self::File(file) => file.delete(receipts, deadline).await,
        }
    }

    async fn hide(&self, receipts: &[Receipt], hidden_for: Duration, deadline: Deadline) {
        match self {
            #[cfg(feature = "aws")]
            Self::Queue(queue) => queue.hide(receipts, hidden_for, deadline).await,
            Self::File(file) => file.hide(receipts, hidden_for, deadline).await,
        }
    }
}

impl ReplaySource {
    /// The same source, whose dead letters are discarded when they are deleted.
    pub(super) fn discarding(self) -> Self {
        match self {
            #[cfg(feature = "aws")]
            Self::Queue(queue) => Self::Queue(queue),
            Self::File(file) => Self::File(file.discarding()),
        }
    }

    /// How many dead letters there are, approximately.
    #[cfg_attr(
        not(feature = "aws"),
        expect(unused_variables, reason = "a file is counted at once")
    )]
    pub(super) async fn count(&self, deadline: Deadline) -> Result<u64, SourceError> {
        match self {
            #[cfg(feature = "aws")]
            Self::Queue(queue) => queue.count(deadline).await,
            Self::File(file) => file.count(),
        }
    }

    /// How many dead letters were skipped because the destination has them. A queue has none of
    /// them: a dead letter that succeeds is deleted.
    pub(super) fn already_replayed(&self) -> u64 {
        match self {
            #[cfg(feature = "aws")]
            Self::Queue(_) => 0,
            Self::File(file) => file.already_replayed(),
        }
    }
}
