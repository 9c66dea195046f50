//! Where a replay parks what it cannot get rid of: in the queue that it replays, or beside the file.

use stentor::clock::Timestamp;
use stentor::queue::local::LocalPark;
use stentor::queue::sqs::SqsPark;
use stentor::queue::{Park, Parked, QueueError};

/// Either of the two.
pub enum DeadLetters {
    Queue(SqsPark),
    File(LocalPark),
}

impl Park for DeadLetters {
    async fn park(&self, items: &[Parked], deadline: Timestamp) -> Vec<Result<(), QueueError>> {
        match self {
            Self::Queue(queue) => queue.park(items, deadline).await,
            Self::File(file) => file.park(items, deadline).await,
        }
    }
}
