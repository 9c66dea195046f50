//! A world in which a record that cannot be read stays where it is. A replayed record lies in the
//! dead-letter queue already; to park it again would make a second letter of it with each replay.

use crate::ingest::route::Routes;
use crate::protocol::clock::Deadline;
use crate::protocol::queue::{DeadLetterQueue, ParkedItem, ParkedWork, QueueError};
use crate::protocol::services::Services;

/// The same world, but for where records are parked.
pub(super) struct Keeping<'w, W: Services> {
    services: &'w W,
    park: Stay<'w, W::DeadLetters>,
}

/// Parks messages, and says of records that they are safe, which they are: their letter stays.
pub(super) struct Stay<'w, P> {
    park: &'w P,
}

impl<'w, W: Services> Keeping<'w, W> {
    pub fn new(services: &'w W) -> Self {
        Self { services, park: Stay { park: services.dead_letters() } }
    }
}

impl<P: DeadLetterQueue> DeadLetterQueue for Stay<'_, P> {
    async fn park(&self, items: &[ParkedItem], deadline: Deadline) -> Vec<Result<(), QueueError>> {
        let is_record = |item: &ParkedItem| matches!(item.what, ParkedWork::Record { .. });
        let messages: Vec<ParkedItem> = items.iter().filter(|item| !is_record(item)).cloned().collect();
        let mut answers = match messages.is_empty() {
            true => Vec::new().into_iter(),
            false => self.park.park(&messages, deadline).await.into_iter(),
        };
        let lost = || Err(QueueError("the queue answered for fewer messages than it was given".to_owned()));
        let answer = |item| if is_record(item) { Ok(()) } else { answers.next().unwrap_or_else(lost) };
        items.iter().map(answer).collect()
    }
}

impl<'w, W: Services> Services for Keeping<'w, W> {
    type Store = W::Store;
    type Due = W::Due;
    type DeadLetters = Stay<'w, W::DeadLetters>;
    type Deliver = W::Deliver;
    type Clock = W::Clock;

    fn routes(&self) -> &Routes {
        self.services.routes()
    }

    fn store(&self) -> &W::Store {
        self.services.store()
    }

    fn due(&self) -> Option<&W::Due> {
        self.services.due()
    }

    fn dead_letters(&self) -> &Stay<'w, W::DeadLetters> {
        &self.park
    }

    fn deliver(&self) -> &W::Deliver {
        self.services.deliver()
    }

    fn clock(&self) -> &W::Clock {
        self.services.clock()
    }

    fn random(&self) -> u64 {
        self.services.random()
    }
}
