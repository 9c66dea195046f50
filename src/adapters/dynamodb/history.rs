//! What the routes remember of their patterns, and the marks of people: the partitions `<route>#patterns`
//! and `#marks` of the outbox.

use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::DynamoStore;
use super::expression::Expression;
use super::item::{self, Item};
use super::items::BatchRead;
use crate::model::history::{HISTORY_KEPT, History, MARK_KEPT, Mark};
use crate::model::name::RouteName;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::{HistoryChange, StoreError};

/// A partition that no route has: route names contain no `#`.
const MARKS: &str = "#marks";

/// Histories that are written at the same time.
const WRITTEN_AT_ONCE: usize = 16;

fn partition(route: &RouteName) -> String {
    format!("{route}#patterns")
}

impl<C: Clock> DynamoStore<C> {
    pub(super) async fn histories_of(
        &self,
        route: &RouteName,
        ids: &[String],
        deadline: Deadline,
    ) -> Result<Vec<(String, History)>, StoreError> {
        let partition = partition(route);
        let keys = ids.iter().map(|id| item::key(&partition, id)).collect();
        let table = &self.tables.outbox;
        let batch = BatchRead { table, is_consistent: true, columns: &[], keys };
        let items = self.get_batch(batch, deadline).await?;
        items.iter().map(|item| self.history(route, item)).collect()
    }

    pub(super) async fn replace_histories(
        &self,
        route: &RouteName,
        changes: &[HistoryChange],
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let partition = partition(route);
        let partition = partition.as_str();
        let put = |change: &HistoryChange| {
            let HistoryChange { id, known, history } = change;
            let id = id.clone();
            let replaced = Expression::default()
                .set("history", item::packed(history))
                .set("revision", item::number(history.revision))
                .set("expires_at", item::expiry(history.last, HISTORY_KEPT));
            let replaced = match known {
                // It may have expired meanwhile.
                Some(known) => replaced.when_any(&[
                    ("revision", "=", Some(item::number(*known))),
                    ("revision", "absent", None),
                ]),
                None => replaced.when_absent("revision"),
            };
            async move { self.update(partition, &id, &replaced, deadline).await }
        };
        let puts = stream::iter(changes.iter().map(put)).buffer_unordered(WRITTEN_AT_ONCE);
        puts.try_fold(true, async |all, done| Ok(all && done)).await
    }

    /// Every history of a route, by the ids of the patterns.
    ///
    /// # Errors
    /// When the store is unavailable.
    pub async fn all_histories(
        &self,
        route: &RouteName,
        deadline: Deadline,
    ) -> Result<Vec<(String, History)>, StoreError> {
        let items = self.query(&partition(route), "0", "g", deadline).await?;
        items.iter().map(|item| self.history(route, item)).collect()
    }

    fn history(&self, route: &RouteName, item: &Item) -> Result<(String, History), StoreError> {
        let id = item::sort_key(item).unwrap_or_default();
        let history = item::history(item).or_else(|error| {
            tracing::warn!(%route, pattern = id, "A history cannot be read and begins again: {error}");
            Ok(History::begun_again(item::count(item, "revision")?, self.clock.now()))
        });
        history.map(|history| (id, history))
    }

    pub(super) async fn put_mark(&self, mark: &Mark, deadline: Deadline) -> Result<(), StoreError> {
        // Two marks of one moment have different keys.
        let sort = format!("{}#{}", mark.at.clamped().iso(), self.unique());
        let mut entry = item::key(MARKS, &sort);
        entry.insert("mark".to_owned(), item::json(mark));
        entry.insert("expires_at".to_owned(), item::expiry(mark.at, MARK_KEPT));
        self.put(entry, deadline).await
    }

    pub(super) async fn marks_since(
        &self,
        since: Timestamp,
        deadline: Deadline,
    ) -> Result<Vec<Mark>, StoreError> {
        let marks = self.query(MARKS, &since.clamped().iso(), "~", deadline).await?;
        marks.iter().map(item::mark).collect()
    }
}
