//! Questions to the audit table. `calendar` knows the hours that have alerts, and the index by hour has each of them in
//! sixteen partitions. An answer is put together from their pages, the latest first, and never held as a whole. The
//! messages, which the index does not carry, are fetched for the rows that are wanted.

use std::collections::{HashMap, VecDeque};
use std::pin::pin;

use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes};
use futures::future::try_join_all;
use futures::{StreamExt as _, stream};

use super::DynamoStore;
use super::call::call_error;
use super::item::{self, HOUR_SHARDS, Item};
use crate::model::audit::{AlertQuery, AuditRow};
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;

const INDEX: &str = "by_hour";

/// BatchGetItem takes 100 keys.
const KEYS_MAX: usize = 100;

/// Hours that are asked for at the same time, and rows that one answer of a partition brings.
const HOURS_AHEAD: usize = 8;
const PAGE_ROWS: i32 = 200;

/// Rows of one hour, the latest first.
struct Hour<'a, C> {
    store: &'a DynamoStore<C>,
    question: &'a AlertQuery,
    shards: Vec<Shard>,
}

/// One partition of an hour, as far as it was read.
#[derive(Default)]
struct Shard {
    partition: String,
    page: VecDeque<Item>,
    next: Option<Item>,
    begun: bool,
}

impl<C: Clock> DynamoStore<C> {
    /// Answers a question page by page; `show` gets the rows in their order, and says whether it wants more.
    ///
    /// # Errors
    /// When the table does not answer before `deadline`, which is one for each call, or what `show` says.
    pub async fn ask<E: From<StoreError>>(
        &self,
        question: &AlertQuery,
        deadline: impl Fn() -> Deadline,
        mut show: impl FnMut(AuditRow) -> Result<bool, E>,
    ) -> Result<(), E> {
        let hours = self.hours(question, deadline()).await?;
        let hours = stream::iter(hours).map(async |hour| {
            let mut hour = Hour::of(self, question, &hour);
            hour.fill(deadline()).await.map(|()| hour)
        });
        let mut hours = pin!(hours.buffered(HOURS_AHEAD));
        while let Some(hour) = hours.next().await {
            let mut hour = hour?;
            loop {
                let items = hour.some(deadline()).await?;
                if items.is_empty() {
                    break;
                }
                for row in self.with_messages(items, deadline()).await? {
                    if question.admits(&row) && !show(row)? {
                        return Ok(());
                    }
                }
            }
        }
        Ok(())
    }

    /// The rows with what the index does not carry, in the same order. A row that has expired meanwhile is left out.
    async fn with_messages(&self, items: Vec<Item>, deadline: Deadline) -> Result<Vec<AuditRow>, StoreError> {
        let id = |item: &Item| item.get("log_id").cloned();
        let mut wanted: Vec<Item> =
            items.iter().filter_map(|item| Some(Item::from([("log_id".to_owned(), id(item)?)]))).collect();
        let mut rows: HashMap<String, Item> = HashMap::new();
        while !wanted.is_empty() {
            let get = || {
                let keys = KeysAndAttributes::builder().set_keys(Some(wanted.clone()));
                let keys = keys.build().expect("invariant: keys are set");
                let call = self.client.batch_get_item().request_items(&self.tables.alerts, keys);
                async { call.send().await.map_err(call_error) }
            };
            let page = self.read(deadline, get).await?;
            for row in page.responses.unwrap_or_default().into_values().flatten() {
                rows.insert(text(&row, "log_id"), row);
            }
            wanted = page.unprocessed_keys.unwrap_or_default().into_values().flat_map(|keys| keys.keys).collect();
        }
        Ok(items.iter().filter_map(|item| rows.remove(&text(item, "log_id"))).map(|item| row(&item)).collect())
    }
}

impl<'a, C: Clock> Hour<'a, C> {
    fn of(store: &'a DynamoStore<C>, question: &'a AlertQuery, hour: &str) -> Self {
        let partitions = (0..HOUR_SHARDS).map(|shard| format!("{hour}#{shard}"));
        let shards = partitions.map(|partition| Shard { partition, ..Shard::default() }).collect();
        Self { store, question, shards }
    }

    /// The latest row is known only when each partition shows its latest.
    async fn fill(&mut self, deadline: Deadline) -> Result<(), StoreError> {
        let (store, question) = (self.store, self.question);
        try_join_all(self.shards.iter_mut().map(|shard| shard.fill(store, question, deadline))).await.map(drop)
    }

    /// The next rows of the hour, at most as many as can be fetched at once; empty at its end.
    async fn some(&mut self, deadline: Deadline) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        while items.len() < KEYS_MAX {
            self.fill(deadline).await?;
            let latest = self.shards.iter_mut().filter(|shard| !shard.page.is_empty());
            let Some(shard) = latest.max_by_key(|shard| text(&shard.page[0], "timestamp")) else { break };
            items.extend(shard.page.pop_front());
        }
        Ok(items)
    }
}

impl Shard {
    /// Reads pages until there is a row to show, or none are left: filtered pages may be empty.
    async fn fill(
        &mut self,
        store: &DynamoStore<impl Clock>,
        question: &AlertQuery,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        while self.page.is_empty() && (!self.begun || self.next.is_some()) {
            let (filter, names, values) = filter(question);
            let query = || {
                let call = store
                    .client
                    .query()
                    .table_name(&store.tables.alerts)
                    .index_name(INDEX)
                    .scan_index_forward(false)
                    .limit(PAGE_ROWS)
                    .key_condition_expression("#hour = :hour AND #timestamp BETWEEN :since AND :until")
                    .expression_attribute_names("#hour", "hour")
                    .expression_attribute_names("#timestamp", "timestamp")
                    .expression_attribute_values(":hour", item::text(&self.partition))
                    .expression_attribute_values(":since", item::text(question.since.iso()))
                    .expression_attribute_values(":until", item::text(question.until.iso()))
                    .set_filter_expression(filter.clone())
                    .set_exclusive_start_key(self.next.clone());
                let call = names.iter().fold(call, |call, (name, of)| call.expression_attribute_names(*name, *of));
                let call = values.iter().fold(call, |call, (name, value)| {
                    call.expression_attribute_values(*name, item::text(value.as_str()))
                });
                async { call.send().await.map_err(call_error) }
            };
            let page = store.read(deadline, query).await?;
            self.page = page.items.unwrap_or_default().into();
            self.next = page.last_evaluated_key;
            self.begun = true;
        }
        Ok(())
    }
}

type Filter = (Option<String>, Vec<(&'static str, &'static str)>, Vec<(&'static str, String)>);

/// What DynamoDB can leave out itself, so that it is not sent.
fn filter(question: &AlertQuery) -> Filter {
    let (mut conditions, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(app) = &question.app {
        conditions.push("#app = :app");
        names.push(("#app", "app_name"));
        values.push((":app", app.clone()));
    }
    if let Some(route) = &question.route {
        conditions.push("contains(#routes, :route)");
        names.push(("#routes", "routes"));
        values.push((":route", route.to_string()));
    }
    let filter = (!conditions.is_empty()).then(|| conditions.join(" AND "));
    (filter, names, values)
}

fn row(item: &Item) -> AuditRow {
    let routes = item.get("routes").and_then(|value| value.as_l().ok()).map(Vec::as_slice).unwrap_or_default();
    AuditRow {
        log_id: text(item, "log_id"),
        timestamp: text(item, "timestamp"),
        marker: text(item, "marker"),
        app_name: text(item, "app_name"),
        message: text(item, "message"),
        routes: routes.iter().filter_map(|route| route.as_s().ok().cloned()).collect(),
        account_id: text(item, "account_id"),
        region: text(item, "region"),
        log_group: text(item, "log_group"),
        log_stream: text(item, "log_stream"),
        pattern: text(item, "pattern"),
        source: text(item, "source"),
    }
}

fn text(item: &Item, name: &str) -> String {
    item.get(name).and_then(|value: &AttributeValue| value.as_s().ok()).cloned().unwrap_or_default()
}
