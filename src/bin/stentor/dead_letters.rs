//! Where a replay parks what it cannot get rid of: in the queue that it replays, or beside the file.

use stentor::adapters::local::LocalPark;
use stentor::adapters::sqs::SqsPark;
use stentor::model::time::Timestamp;
use stentor::protocol::queue::{Park, Parked, QueueError};

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
