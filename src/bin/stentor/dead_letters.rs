//! Where a replay parks what it cannot get rid of: in the queue that it replays, or beside the file.

use stentor::adapters::local::FileDeadLetters;
use stentor::adapters::sqs::SqsDeadLetters;
use stentor::protocol::clock::Deadline;
use stentor::protocol::queue::{DeadLetterQueue, ParkedItem, QueueError};

/// Either of the two.
pub enum DeadLetters {
    Queue(SqsDeadLetters),
    File(FileDeadLetters),
}

impl DeadLetterQueue for DeadLetters {
    async fn park(&self, items: &[ParkedItem], deadline: Deadline) -> Vec<Result<(), QueueError>> {
        match self {
            Self::Queue(queue) => queue.park(items, deadline).await,
            Self::File(file) => file.park(items, deadline).await,
        }
    }
}
