//! Erasure: rows, tallies and epochs that lose a text. No item is deleted, and no count changes.
//!
//! A tally gets another key in the transaction that changes it. A freeze that has read the old one
//! fails at its condition and reads again, so the old text cannot reach an epoch.

use aws_sdk_dynamodb::types::{Delete, Put, TransactWriteItem};
use futures::{StreamExt as _, TryStreamExt as _, stream};

use super::DynamoStore;
use super::call::call_error;
use super::expression::Expression;
use super::item::{self, Item};
use crate::model::name::RouteName;
use crate::model::outbox::TallyKey;
use crate::model::tally::Tally;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;
use crate::redact::erase::{ErasedRow, Erasure};

/// Rows that are written concurrently.
const ROWS_AT_ONCE: usize = 16;

impl<C: Clock> DynamoStore<C> {
    /// Erases rows. Returns how many there were: a row that has expired is not written again.
    ///
    /// # Errors
    /// When a call does not return by the deadline. Some rows may be erased then.
    pub async fn erase_rows(
        &self,
        rows: &[ErasedRow],
        deadline: Deadline,
    ) -> Result<u64, StoreError> {
        let erased = stream::iter(rows).map(|row| self.erase_row(row, deadline));
        let erased = erased.buffer_unordered(ROWS_AT_ONCE);
        erased.try_fold(0, async |sum, erased| Ok(sum + u64::from(erased))).await
    }

    async fn erase_row(&self, row: &ErasedRow, deadline: Deadline) -> Result<bool, StoreError> {
        let mut erased = Expression::default()
            .set("message", item::text(&row.message))
            .remove("pattern")
            .remove("context_before")
            .remove("context_after")
            .when_present("log_id");
        for (name, text) in [
            ("app_name", &row.app_name),
            ("log_group", &row.log_group),
            ("log_stream", &row.log_stream),
            ("source", &row.source),
        ] {
            if let Some(text) = text {
                erased = erased.set(name, item::text(text));
            }
        }
        let update = || {
            let call = self
                .client
                .update_item()
                .table_name(&self.tables.alerts)
                .key("log_id", item::text(&row.log_id))
                .update_expression(erased.update())
                .set_condition_expression(erased.condition())
                .set_expression_attribute_names(Some(erased.names.clone()))
                .set_expression_attribute_values(erased.values());
            async { call.send().await.map_err(call_error) }
        };
        self.write(deadline, update).await
    }

    /// Replaces a tally. Returns whether it was still there.
    ///
    /// # Errors
    /// When the call does not return by the deadline.
    pub async fn replace_tally(
        &self,
        _: &RouteName,
        key: &TallyKey,
        tally: &Tally,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        // Right behind the old one, so that a listing that has not read that finds this.
        let mut entry = item::key(&key.partition, &format!("{}e", key.sort));
        entry.insert("tally".to_owned(), item::packed(tally));
        self.transact(vec![self.delete_tally(key), self.put_tally(entry)], deadline).await
    }

    fn delete_tally(&self, key: &TallyKey) -> TransactWriteItem {
        let exists = Expression::default().when_present("pk");
        let delete = Delete::builder()
            .table_name(&self.tables.outbox)
            .set_key(Some(item::key(&key.partition, &key.sort)))
            .set_condition_expression(exists.condition())
            .set_expression_attribute_names(Some(exists.names))
            .build()
            .expect("invariant: table and key are set");
        TransactWriteItem::builder().delete(delete).build()
    }

    fn put_tally(&self, entry: Item) -> TransactWriteItem {
        let put = Put::builder().table_name(&self.tables.outbox).set_item(Some(entry));
        let put = put.build().expect("invariant: table and item are set");
        TransactWriteItem::builder().put(put).build()
    }

    /// Erases an epoch. Returns whether it held the subject.
    ///
    /// # Errors
    /// When a call does not return by the deadline.
    pub async fn erase_epoch(
        &self,
        route: &RouteName,
        number: u64,
        erasure: &Erasure,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let sort = item::epoch_sort(number);
        loop {
            let Some(found) = self.get(route.as_str(), &sort, deadline).await? else {
                return Ok(false);
            };
            let Some(erased) = erasure.epoch(&item::epoch(&found)?) else { return Ok(false) };
            let known = found.get("epoch").cloned().expect("invariant: it was read");
            let update = Expression::default().set("epoch", item::packed(&erased));
            // Another erasure may have changed it meanwhile.
            let update = update.when_equal("epoch", known);
            if self.update(route.as_str(), &sort, &update, deadline).await? {
                return Ok(true);
            }
        }
    }
}
