//! The world of a deployed stack, as the command line sees it: the tables, the dead-letter queue and the
//! credentials of the functions, used by somebody who sits at a terminal.

use stentor::clock::{SystemClock, Timestamp};
use stentor::notify::channels::Channels;
use stentor::queue::local::LocalPark;
use stentor::queue::sqs::{SqsDue, SqsPark};
use stentor::queue::{Park, Parked, QueueError};
use stentor::route::Routes;
use stentor::secret::SecretsManager;
use stentor::store::dynamodb::DynamoStore;
use stentor::world::World;

/// The functions' world. Where no due queue is named, whoever replays closes what he touched.
pub struct Deployed {
    pub routes: Routes,
    pub store: DynamoStore,
    pub due: Option<SqsDue>,
    pub park: DeadLetters,
    pub channels: Channels<SecretsManager>,
}

/// Where a replay parks what it cannot get rid of.
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

impl World for Deployed {
    type Store = DynamoStore;
    type Due = SqsDue;
    type Park = DeadLetters;
    type Deliver = Channels<SecretsManager>;
    type Clock = SystemClock;

    fn routes(&self) -> &Routes {
        &self.routes
    }

    fn store(&self) -> &DynamoStore {
        &self.store
    }

    fn due(&self) -> Option<&SqsDue> {
        self.due.as_ref()
    }

    fn park(&self) -> &DeadLetters {
        &self.park
    }

    fn deliver(&self) -> &Channels<SecretsManager> {
        &self.channels
    }

    fn clock(&self) -> &SystemClock {
        &SystemClock
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}
