//! A world in which a record that cannot be read stays where it is. A replayed record lies in the
//! dead-letter queue already; to park it again would make a second letter of it with each replay.

use crate::ingest::route::Routes;
use crate::model::time::Timestamp;
use crate::protocol::queue::{Park, Parked, QueueError, What};
use crate::protocol::world::World;

/// The same world, but for where records are parked.
pub(super) struct Keeping<'w, W: World> {
    world: &'w W,
    park: Stay<'w, W::Park>,
}

/// Parks messages, and says of records that they are safe, which they are: their letter stays.
pub(super) struct Stay<'w, P> {
    park: &'w P,
}

impl<'w, W: World> Keeping<'w, W> {
    pub fn new(world: &'w W) -> Self {
        Self { world, park: Stay { park: world.park() } }
    }
}

impl<P: Park> Park for Stay<'_, P> {
    async fn park(&self, items: &[Parked], deadline: Timestamp) -> Vec<Result<(), QueueError>> {
        let is_record = |item: &Parked| matches!(item.what, What::Record { .. });
        let messages: Vec<Parked> = items.iter().filter(|item| !is_record(item)).cloned().collect();
        let mut answers = match messages.is_empty() {
            true => Vec::new().into_iter(),
            false => self.park.park(&messages, deadline).await.into_iter(),
        };
        let lost = || Err(QueueError("the queue answered for fewer messages than it was given".to_owned()));
        let answer = |item| if is_record(item) { Ok(()) } else { answers.next().unwrap_or_else(lost) };
        items.iter().map(answer).collect()
    }
}

impl<'w, W: World> World for Keeping<'w, W> {
    type Store = W::Store;
    type Due = W::Due;
    type Park = Stay<'w, W::Park>;
    type Deliver = W::Deliver;
    type Clock = W::Clock;

    fn routes(&self) -> &Routes {
        self.world.routes()
    }

    fn store(&self) -> &W::Store {
        self.world.store()
    }

    fn due(&self) -> Option<&W::Due> {
        self.world.due()
    }

    fn park(&self) -> &Stay<'w, W::Park> {
        &self.park
    }

    fn deliver(&self) -> &W::Deliver {
        self.world.deliver()
    }

    fn clock(&self) -> &W::Clock {
        self.world.clock()
    }

    fn random(&self) -> u64 {
        self.world.random()
    }
}
