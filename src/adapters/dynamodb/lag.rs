//! Whether a consumer is behind its stream: one item `#lag` / `stream` of the outbox. Many consumers
//! are behind at once, so each process writes it only now and then.

use super::DynamoStore;
use super::item;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;

/// A partition that no route has: route names contain no `#`.
const LAG: &str = "#lag";

const STREAM: &str = "stream";

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
