//! The services of a deployed stack, for the functions and for the operator's commands: the
//! database, SQS and the targets. The two differ in the dead-letter queue.

use crate::adapters::clock::SystemClock;
use crate::adapters::database::Database;
use crate::adapters::random;
use crate::adapters::secret::SecretsManager;
use crate::adapters::sqs::SqsDueQueue;
use crate::adapters::targets::Targets;
use crate::ingest::route::Routes;
use crate::protocol::queue::DeadLetterQueue;
use crate::protocol::services::Services;

/// Without a due queue, each process that ingests alerts of a route also closes it.
pub struct DeployedServices<P> {
    pub routes: Routes,
    pub store: Database,
    pub due: Option<SqsDueQueue>,
    pub dead_letters: P,
    pub targets: Targets<SecretsManager>,
}

impl<P: DeadLetterQueue> Services for DeployedServices<P> {
    type Store = Database;
    type Due = SqsDueQueue;
    type DeadLetters = P;
    type Deliver = Targets<SecretsManager>;
    type Clock = SystemClock;

    fn routes(&self) -> &Routes {
        &self.routes
    }

    fn store(&self) -> &Database {
        &self.store
    }

    fn due(&self) -> Option<&SqsDueQueue> {
        self.due.as_ref()
    }

    fn dead_letters(&self) -> &P {
        &self.dead_letters
    }

    fn deliver(&self) -> &Targets<SecretsManager> {
        &self.targets
    }

    fn clock(&self) -> &SystemClock {
        &SystemClock
    }

    fn random(&self) -> u64 {
        random::bits()
    }
}
