//! The dead-letter queue of a replay: an SQS queue or a file. Dead letters are received from it, and
//! records that are still unreadable are parked in it.

use std::time::Duration;

use stentor::adapters::local::FileDeadLetters;
use stentor::adapters::replay::file::FileDeadLetterSource;
use stentor::adapters::replay::sqs::SqsDeadLetterSource;
use stentor::adapters::sqs::SqsDeadLetters;
use stentor::ops::replay::{DeadLetterSource, Receipt, ReceivedMessage, SourceError};
use stentor::protocol::clock::Deadline;
use stentor::protocol::queue::{DeadLetterQueue, ParkedItem, QueueError};

/// Where dead letters are received.
pub enum Source {
    Queue(SqsDeadLetterSource),
    File(FileDeadLetterSource),
}

impl DeadLetterSource for Source {
    async fn receive(&self, max: usize, deadline: Deadline) -> Result<Vec<ReceivedMessage>, SourceError> {
        match self {
            Self::Queue(queue) => queue.receive(max, deadline).await,
            Self::File(file) => file.receive(max, deadline).await,
        }
    }

    async fn delete(&self, receipts: &[Receipt], deadline: Deadline) -> Vec<Result<(), SourceError>> {
        match self {
            Self::Queue(queue) => queue.delete(receipts, deadline).await,
            Self::File(file) => file.delete(receipts, deadline).await,
        }
    }

    async fn hide(&self, receipts: &[Receipt], hidden_for: Duration, deadline: Deadline) {
        match self {
            Self::Queue(queue) => queue.hide(receipts, hidden_for, deadline).await,
            Self::File(file) => file.hide(receipts, hidden_for, deadline).await,
        }
    }
}

impl Source {
    /// How many dead letters there are, approximately.
    pub async fn count(&self, deadline: Deadline) -> Result<u64, SourceError> {
        match self {
            Self::Queue(queue) => queue.count(deadline).await,
            Self::File(file) => file.count(),
        }
    }
}

/// Where records are parked.
pub enum Parking {
    Queue(SqsDeadLetters),
    File(FileDeadLetters),
}

impl DeadLetterQueue for Parking {
    async fn park(&self, items: &[ParkedItem], deadline: Deadline) -> Vec<Result<(), QueueError>> {
        match self {
            Self::Queue(queue) => queue.park(items, deadline).await,
            Self::File(file) => file.park(items, deadline).await,
        }
    }
}
