//! The world of a deployed stack: DynamoDB, SQS and the channels, for the functions and for whoever sits at a terminal.
//! They differ in where they park.

use crate::adapters::channels::Channels;
use crate::adapters::clock::SystemClock;
use crate::adapters::dynamodb::DynamoStore;
use crate::adapters::secret::SecretsManager;
use crate::adapters::sqs::SqsDueQueue;
use crate::ingest::route::Routes;
use crate::protocol::queue::DeadLetterQueue;
use crate::protocol::services::Services;

/// Without a due queue, whoever touches a route closes it.
pub struct Deployed<P> {
    pub routes: Routes,
    pub store: DynamoStore,
    pub due: Option<SqsDueQueue>,
    pub park: P,
    pub channels: Channels<SecretsManager>,
}

impl<P: DeadLetterQueue> Services for Deployed<P> {
    type Store = DynamoStore;
    type Due = SqsDueQueue;
    type DeadLetters = P;
    type Deliver = Channels<SecretsManager>;
    type Clock = SystemClock;

    fn routes(&self) -> &Routes {
        &self.routes
    }

    fn store(&self) -> &DynamoStore {
        &self.store
    }

    fn due(&self) -> Option<&SqsDueQueue> {
        self.due.as_ref()
    }

    fn dead_letters(&self) -> &P {
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
