//! Whether a consumer is behind its stream: one item `#lag` / `stream` of the outbox. Many consumers
//! are behind at once, so each process writes it only now and then.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use super::DynamoStore;
use super::item;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;

/// A partition that no route has: route names contain no `#`.
const LAG: &str = "#lag";

const STREAM: &str = "stream";

/// A thousand processes make about thirty writes a second; one item takes a thousand. Much shorter
/// than a note holds, so that a lag which lasts has no gap.
const NOTED_EVERY: Duration = Duration::from_secs(30);

/// When this process has last noted that it is behind.
#[derive(Debug, Default)]
pub(super) struct NotedLag(AtomicI64);

impl NotedLag {
    fn is_recent(&self, now: Timestamp) -> bool {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed)).after(NOTED_EVERY) > now
    }

    fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::Relaxed);
    }
}

impl<C: Clock> DynamoStore<C> {
    pub(super) async fn note_lag_until(
        &self,
        until: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        if self.noted_lag.is_recent(now) {
            return Ok(());
        }
        let mut entry = item::key(LAG, STREAM);
        entry.insert("until".to_owned(), item::moment(until));
        self.put(entry, deadline).await?;
        self.noted_lag.set(now);
        Ok(())
    }

    pub(super) async fn noted_lag_until(
        &self,
        deadline: Deadline,
    ) -> Result<Option<Timestamp>, StoreError> {
        match self.get(LAG, STREAM, deadline).await? {
            Some(entry) => item::time(&entry, "until"),
            None => Ok(None),
        }
    }
}
