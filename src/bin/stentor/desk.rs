//! The world of a run: the embedded store, the dead-letter file, and a desk on which messages are laid
//! out for the operator, and posted to Slack if a webhook was given.

use std::sync::Mutex;

use stentor::clock::{SystemClock, Timestamp};
use stentor::digest::Digest;
use stentor::name::TargetKind;
use stentor::notify::slack::{Slack, WebhookUrl};
use stentor::notify::{Accepted, Deliver, DeliverError};
use stentor::queue::local::{LocalDue, LocalPark};
use stentor::route::Routes;
use stentor::store::dynamodb::DynamoStore;
use stentor::world::World;

/// What a run shares between its two ways of keeping time.
pub struct Shared {
    pub routes: Routes,
    pub store: DynamoStore,
    pub park: LocalPark,
    pub desk: Desk,
}

/// A world with a timer (lines that arrive) or without one (files).
pub struct Local<'a> {
    pub shared: &'a Shared,
    pub due: Option<LocalDue>,
}

/// Takes messages. Slack targets are posted to the webhook if there is one; everything else is laid
/// out only, which counts as delivered: the operator is the reader.
#[derive(Debug)]
pub struct Desk {
    webhook: Option<(Slack, WebhookUrl)>,
    /// Messages that were taken since they were last looked at.
    taken: Mutex<Vec<Digest>>,
}

impl Desk {
    pub fn new(webhook: Option<(Slack, WebhookUrl)>) -> Self {
        Self { webhook, taken: Mutex::default() }
    }

    /// Whether messages of this kind really leave the machine.
    pub fn posts(&self, kind: TargetKind) -> bool {
        self.webhook.is_some() && kind == TargetKind::Slack
    }

    /// The messages since the last call, in the order in which they were accepted.
    pub fn take(&self) -> Vec<Digest> {
        std::mem::take(&mut *self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner))
    }
}

impl Deliver for Desk {
    async fn deliver(
        &self,
        digest: &Digest,
        _joins: Option<&str>,
        deadline: Timestamp,
    ) -> Result<Accepted, DeliverError> {
        if let (Some((slack, webhook)), TargetKind::Slack) = (&self.webhook, digest.target.kind) {
            slack.post(webhook, digest, deadline).await?;
        }
        self.taken.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(digest.clone());
        Ok(Accepted::default())
    }
}

impl World for Local<'_> {
    type Store = DynamoStore;
    type Due = LocalDue;
    type Park = LocalPark;
    type Deliver = Desk;
    type Clock = SystemClock;

    fn routes(&self) -> &Routes {
        &self.shared.routes
    }

    fn store(&self) -> &DynamoStore {
        &self.shared.store
    }

    fn due(&self) -> Option<&LocalDue> {
        self.due.as_ref()
    }

    fn park(&self) -> &LocalPark {
        &self.shared.park
    }

    fn deliver(&self) -> &Desk {
        &self.shared.desk
    }

    fn clock(&self) -> &SystemClock {
        &SystemClock
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}
