//! Services that deliver for real: the production store on the embedded engine, and the production
//! targets with a secret in memory.

use std::convert::Infallible;
use std::path::Path;
use std::time::Duration;

use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::DynamoStore;
use stentor::adapters::embedded::Embedded;
use stentor::adapters::local::{FileDeadLetters, LocalDueQueue};
use stentor::adapters::replay::file::FileDeadLetterSource;
use stentor::adapters::secret::{ReadSecret, SecretError, SecretVersion};
use stentor::adapters::targets::Targets;
use stentor::ingest::route::Routes;
use stentor::ops::replay::{ReplayOptions, Report, replay};
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::close::close;
use stentor::protocol::consume::consume;
use stentor::protocol::queue::Due;
use stentor::protocol::round::Delivery;
use stentor::protocol::services::Services;
use tokio::sync::mpsc::UnboundedReceiver;

use super::{ForwardClock, StoreClock, batch, record};

/// A secret in memory.
pub struct Secret(pub String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Secret(…)")
    }
}

impl ReadSecret for Secret {
    async fn read(
        &self,
        version: SecretVersion,
        _deadline: Deadline,
    ) -> Result<Option<String>, SecretError> {
        Ok((version == SecretVersion::Current).then(|| self.0.clone()))
    }
}

/// Services with a due queue that deliver through the production targets.
pub struct TargetServices {
    routes: Routes,
    store: DynamoStore<StoreClock>,
    due: LocalDueQueue,
    _timer: UnboundedReceiver<Due>,
    dead_letters: FileDeadLetters,
    targets: Targets<Secret>,
    pub clock: ForwardClock,
}

impl Services for TargetServices {
    type Store = DynamoStore<StoreClock>;
    type Due = LocalDueQueue;
    type DeadLetters = FileDeadLetters;
    type Deliver = Targets<Secret>;
    type Clock = ForwardClock;

    fn routes(&self) -> &Routes {
        &self.routes
    }

    fn store(&self) -> &DynamoStore<StoreClock> {
        &self.store
    }

    fn due(&self) -> Option<&LocalDueQueue> {
        Some(&self.due)
    }

    fn dead_letters(&self) -> &FileDeadLetters {
        &self.dead_letters
    }

    fn deliver(&self) -> &Targets<Secret> {
        &self.targets
    }

    fn clock(&self) -> &ForwardClock {
        &self.clock
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}

impl TargetServices {
    pub async fn new(engine: &Embedded, config: &str, targets: Targets<Secret>) -> Self {
        let (due, timer) = LocalDueQueue::new(SystemClock);
        let clock = ForwardClock::default();
        let file = format!("target-services-{:016x}.jsonl", fastrand::u64(..));
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(file);
        Self {
            routes: super::routes(config),
            store: engine.store_with(clock.for_store()).await.unwrap(),
            due,
            _timer: timer,
            dead_letters: FileDeadLetters::new(file),
            targets,
            clock,
        }
    }

    /// Ingests this number of alerts of route `critical`, closes the route if it is due, and lets a
    /// minute pass.
    pub async fn minute(&self, name: &str, alerts: usize) -> Vec<Delivery> {
        let deadline = Deadline::after(self.clock.now(), Duration::from_secs(30));
        if alerts > 0 {
            consume(self, &batch(vec![record(name, &vec!["[CRITICAL] no"; alerts])]), deadline)
                .await;
        }
        let closed = close(self, &"critical".parse().unwrap(), 0, deadline).await;
        self.clock.forward(Duration::from_secs(60));
        closed.messages
    }

    /// Retries all dead letters.
    pub async fn replay(&self) -> Report {
        let file = self.dead_letters.path();
        let source = FileDeadLetterSource::open(file, file.with_extension("receipts")).unwrap();
        let options = ReplayOptions::default();
        Box::pin(replay(self, &source, &None::<Infallible>, &options, |_| {})).await
    }
}
