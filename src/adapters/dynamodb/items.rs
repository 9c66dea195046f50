//! Reads and writes of items by their keys, and of a partition of the outbox. Reads of the outbox are consistent.

use aws_sdk_dynamodb::operation::update_item::UpdateItemOutput;
use aws_sdk_dynamodb::types::{KeysAndAttributes, ReturnValue};

use super::DynamoStore;
use super::call::{CallError, CallOutcome, call_error};
use super::expression::Expression;
use super::item::{self, Item};
use crate::model::error::Cause;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;

/// Some items, and the key of the last one if there are more.
pub(super) struct QueryPage {
    pub items: Vec<Item>,
    pub last: Option<Item>,
}

/// The most keys of a [`BatchRead`].
pub(super) const BATCH_KEYS_MAX: usize = 100;

/// A read of some items of a table.
pub(super) struct BatchRead<'a> {
    pub table: &'a str,
    pub is_consistent: bool,
    /// Empty for all columns.
    pub columns: &'a [&'a str],
    /// Distinct, at most [`BATCH_KEYS_MAX`].
    pub keys: Vec<Item>,
}

impl BatchRead<'_> {
    fn request(&self, keys: &[Item]) -> KeysAndAttributes {
        let mut request = KeysAndAttributes::builder()
            .set_keys(Some(keys.to_vec()))
            .consistent_read(self.is_consistent);
        let names: Vec<String> = (0..self.columns.len()).map(|n| format!("#c{n}")).collect();
        if !names.is_empty() {
            request = request.projection_expression(names.join(", "));
        }
        for (name, column) in names.iter().zip(self.columns) {
            request = request.expression_attribute_names(name, *column);
        }
        request.build().expect("invariant: keys are set")
    }
}

impl<C: Clock> DynamoStore<C> {
    /// The items that exist, in any order.
    pub(super) async fn get_batch(
        &self,
        batch: BatchRead<'_>,
        deadline: Deadline,
    ) -> Result<Vec<Item>, StoreError> {
        let mut wanted = batch.keys.clone();
        let mut found = Vec::with_capacity(wanted.len());
        while !wanted.is_empty() {
            let get = || {
                let call = self.client.batch_get_item();
                let call = call.request_items(batch.table, batch.request(&wanted));
                async {
                    let page = call.send().await.map_err(call_error)?;
                    let items = page.responses.unwrap_or_default().into_values().flatten();
                    let items: Vec<Item> = items.collect();
                    let left = page.unprocessed_keys.unwrap_or_default().into_values();
                    let left: Vec<Item> = left.flat_map(|keys| keys.keys).collect();
                    match items.is_empty() && !left.is_empty() {
                        true => Err(CallError::Transient(Cause::new(
                            "unprocessed-keys",
                            "BatchGetItem processed no key",
                        ))),
                        false => Ok((items, left)),
                    }
                }
            };
            let (items, left) = self.read(deadline, get).await?;
            found.extend(items);
            wanted = left;
        }
        Ok(found)
    }

    pub(super) async fn get(
        &self,
        partition: &str,
        sort: &str,
        deadline: Deadline,
    ) -> Result<Option<Item>, StoreError> {
        let get = || {
            let key = item::key(partition, sort);
            let call = self
                .client
                .get_item()
                .table_name(&self.tables.outbox)
                .set_key(Some(key))
                .consistent_read(true);
            async { call.send().await.map_err(call_error) }
        };
        Ok(self.read(deadline, get).await?.item)
    }

    pub(super) async fn put(&self, item: Item, deadline: Deadline) -> Result<(), StoreError> {
        let put = || {
            let call =
                self.client.put_item().table_name(&self.tables.outbox).set_item(Some(item.clone()));
            async { call.send().await.map_err(call_error) }
        };
        self.read(deadline, put).await.map(drop)
    }

    /// Returns whether the update took effect.
    pub(super) async fn update(
        &self,
        partition: &str,
        sort: &str,
        expression: &Expression,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let returned = ReturnValue::None;
        let outcome = self.send_update(partition, sort, expression, returned, deadline).await?;
        Ok(outcome.is_some())
    }

    /// The item after the update; `None` when the condition does not hold.
    pub(super) async fn update_and_read(
        &self,
        partition: &str,
        sort: &str,
        expression: &Expression,
        deadline: Deadline,
    ) -> Result<Option<Item>, StoreError> {
        let returned = ReturnValue::AllNew;
        let outcome = self.send_update(partition, sort, expression, returned, deadline).await?;
        Ok(outcome.map(|output| output.attributes.unwrap_or_default()))
    }

    async fn send_update(
        &self,
        partition: &str,
        sort: &str,
        expression: &Expression,
        returned: ReturnValue,
        deadline: Deadline,
    ) -> Result<Option<UpdateItemOutput>, StoreError> {
        let update = || {
            let call = self
                .client
                .update_item()
                .table_name(&self.tables.outbox)
                .set_key(Some(item::key(partition, sort)))
                .update_expression(expression.update())
                .set_condition_expression(expression.condition())
                .set_expression_attribute_names(Some(expression.names.clone()))
                .set_expression_attribute_values(expression.values())
                .return_values(returned.clone());
            async { call.send().await.map_err(call_error) }
        };
        match self.call(deadline, update).await? {
            CallOutcome::Done(output) => Ok(Some(output)),
            CallOutcome::Condition => Ok(None),
        }
    }

    /// All items of a partition with a sort key from `from` to `to`, both included, in order.
    pub(super) async fn query(
        &self,
        partition: &str,
        from: &str,
        to: &str,
        deadline: Deadline,
    ) -> Result<Vec<Item>, StoreError> {
        let (mut items, mut start) = (Vec::new(), None);
        loop {
            let page = self.query_page(partition, (from, to), start, None, deadline).await?;
            items.extend(page.items);
            start = page.last;
            if start.is_none() {
                return Ok(items);
            }
        }
    }

    /// The items of one page, from `start` on.
    pub(super) async fn query_page(
        &self,
        partition: &str,
        (from, to): (&str, &str),
        start: Option<Item>,
        limit: Option<usize>,
        deadline: Deadline,
    ) -> Result<QueryPage, StoreError> {
        let limit = limit.map(|limit| i32::try_from(limit).unwrap_or(i32::MAX).max(1));
        let page = || {
            let call = self
                .client
                .query()
                .table_name(&self.tables.outbox)
                .consistent_read(true)
                .key_condition_expression("#pk = :pk AND #sk BETWEEN :from AND :to")
                .expression_attribute_names("#pk", "pk")
                .expression_attribute_names("#sk", "sk")
                .expression_attribute_values(":pk", item::text(partition))
                .expression_attribute_values(":from", item::text(from))
                .expression_attribute_values(":to", item::text(to))
                .set_exclusive_start_key(start.clone())
                .set_limit(limit);
            async { call.send().await.map_err(call_error) }
        };
        let page = self.read(deadline, page).await?;
        Ok(QueryPage { items: page.items.unwrap_or_default(), last: page.last_evaluated_key })
    }
}
