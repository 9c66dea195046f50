//! Queries of the alerts table. The index by hour has each hour in sixteen partitions. A query
//! merges their pages, the latest row first, and never holds all rows. The index does not contain
//! the messages, so the rows are then read from the table.

use std::cmp::Ordering;
use std::collections::{HashMap, VecDeque};
use std::pin::pin;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::future::try_join_all;
use futures::{StreamExt as _, stream};
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::DynamoStore;
use super::call::call_error;
use super::item::{self, HOUR_SHARDS, Item};
use super::items::{BATCH_KEYS_MAX, BatchRead};
use crate::adapters::packed::unpack_event_id;
use crate::model::alert::AlertId;
use crate::model::audit::{AlertQuery, AuditRow, RowPosition};
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;

const INDEX: &str = "by_hour";

/// The longest key of an item, in bytes.
const KEY_BYTES_MAX: usize = 2_048;

/// Hours that are queried concurrently.
const HOURS_AHEAD: usize = 8;

/// Pages of rows that are read concurrently, once a query wants more than a few.
const PAGES_AT_ONCE: usize = 8;

/// Rows in the first page of a partition: a query may want no more.
const PAGE_ROWS_FIRST: i32 = 200;

/// Rows in a later page. They take less than the MB that DynamoDB returns at most.
const PAGE_ROWS: i32 = 1_000;

/// Rows of one hour, the latest first. Rows of the same time are in the order of their partitions, the
/// last partition first, and then in that of the index.
struct Hour<'a, C> {
    store: &'a DynamoStore<C>,
    query: &'a AlertQuery,
    shards: Vec<Shard>,
}

/// One partition of an hour, and how far it was read.
struct Shard {
    partition: String,
    /// The latest row to read.
    until: Timestamp,
    page: VecDeque<Item>,
    next: Option<Item>,
    page_rows: i32,
    is_finished: bool,
}

impl<C: Clock> DynamoStore<C> {
    /// Finds alerts page by page. `show` gets the rows in order, the latest first, and returns
    /// whether it wants more.
    ///
    /// # Errors
    /// When a call does not return by its `deadline`, or the error of `show`.
    pub async fn find_alerts<E: From<StoreError>>(
        &self,
        query: &AlertQuery,
        deadline: impl Fn() -> Deadline,
        mut show: impl FnMut(AuditRow) -> Result<bool, E>,
    ) -> Result<(), E> {
        let hours = self.hours(query, deadline()).await?;
        let hours = stream::iter(hours).map(async |hour| {
            let mut hour = Hour::of(self, query, &hour);
            hour.fill(deadline()).await.map(|()| hour)
        });
        let mut hours = pin!(hours.buffered(HOURS_AHEAD));
        let mut pages_at_once = 1;
        while let Some(hour) = hours.next().await {
            let mut hour = hour?;
            loop {
                let mut pages = Vec::new();
                while pages.len() < pages_at_once {
                    let items = hour.next_rows(deadline()).await?;
                    if items.is_empty() {
                        break;
                    }
                    let deadline = &deadline;
                    pages.push(async move { self.with_messages(items, deadline()).await });
                }
                if pages.is_empty() {
                    break;
                }
                let rows: Vec<Vec<AuditRow>> = try_join_all(pages).await?;
                let rows = rows.into_par_iter().flatten();
                let selected: Vec<Option<AuditRow>> = rows.map(|row| query.select(row)).collect();
                for row in selected.into_iter().flatten() {
                    if !show(row)? {
                        return Ok(());
                    }
                }
                pages_at_once = PAGES_AT_ONCE.min(pages_at_once * 2);
            }
        }
        Ok(())
    }

    /// The row of an alert; `None` if there is none.
    ///
    /// # Errors
    /// When the call does not return by its `deadline`.
    pub async fn alert(
        &self,
        log_id: &str,
        deadline: Deadline,
    ) -> Result<Option<AuditRow>, StoreError> {
        // DynamoDB refuses a key of another size.
        if !(1..=KEY_BYTES_MAX).contains(&log_id.len()) {
            return Ok(None);
        }
        let key = Item::from([("log_id".to_owned(), item::text(log_id))]);
        let mut row = self.with_messages(vec![key], deadline).await?.pop();
        row.iter_mut().for_each(AuditRow::find_pattern);
        Ok(row)
    }

    /// The whole rows of these items of the index, in the same order, without those that have
    /// expired since.
    async fn with_messages(
        &self,
        items: Vec<Item>,
        deadline: Deadline,
    ) -> Result<Vec<AuditRow>, StoreError> {
        let id = |item: &Item| item.get("log_id").cloned();
        let key = |item: &Item| Some(Item::from([("log_id".to_owned(), id(item)?)]));
        let keys = items.iter().filter_map(key).collect();
        let table = &self.tables.alerts;
        let batch = BatchRead { table, is_consistent: true, columns: &[], keys };
        let rows = self.get_batch(batch, deadline).await?.into_iter();
        let mut rows: HashMap<String, Item> = rows.map(|row| (text(&row, "log_id"), row)).collect();
        Ok(items
            .iter()
            .filter_map(|item| rows.remove(&text(item, "log_id")))
            .map(|item| row(&item))
            .collect())
    }
}

impl<'a, C: Clock> Hour<'a, C> {
    fn of(store: &'a DynamoStore<C>, query: &'a AlertQuery, hour: &str) -> Self {
        let shards = (0..HOUR_SHARDS).map(|shard| Shard::of(query, hour, shard)).collect();
        Self { store, query, shards }
    }

    /// Fills the page of each partition, because the latest row may be in any of them.
    async fn fill(&mut self, deadline: Deadline) -> Result<(), StoreError> {
        let (store, query) = (self.store, self.query);
        let wanting = self.shards.iter_mut().filter(|shard| shard.wants_page());
        try_join_all(wanting.map(|shard| shard.fill(store, query, deadline))).await.map(drop)
    }

    /// The next rows of the hour, at most [`BATCH_KEYS_MAX`]. Empty at its end.
    async fn next_rows(&mut self, deadline: Deadline) -> Result<Vec<Item>, StoreError> {
        let mut items = Vec::new();
        while items.len() < BATCH_KEYS_MAX {
            if self.shards.iter().any(Shard::wants_page) {
                self.fill(deadline).await?;
            }
            let latest = self.shards.iter_mut().filter(|shard| !shard.page.is_empty());
            // The last of those with the same time.
            let Some(shard) = latest.reduce(|a, b| if b.latest() >= a.latest() { b } else { a })
            else {
                break;
            };
            items.extend(shard.page.pop_front());
        }
        Ok(items)
    }
}

impl Shard {
    /// A partition of an hour, from the place on at which the query continues.
    fn of(query: &AlertQuery, hour: &str, number: u32) -> Self {
        let partition = format!("{hour}#{number}");
        let (mut until, mut next) = (query.latest(), None);
        // Earlier hours are behind the place as a whole.
        if let Some(after) = &query.after
            && after.timestamp == until
            && after.timestamp.iso().starts_with(hour)
        {
            let place = AlertId::from(after.log_id.clone()).shard(HOUR_SHARDS);
            match number.cmp(&place) {
                Ordering::Less => {}
                Ordering::Equal => next = Some(index_key(after, &partition)),
                Ordering::Greater => until = until.before(Duration::from_millis(1)),
            }
        }
        Self {
            partition,
            until,
            page: VecDeque::new(),
            next,
            page_rows: PAGE_ROWS_FIRST,
            // DynamoDB refuses a range that ends before it begins.
            is_finished: until < query.since,
        }
    }

    fn wants_page(&self) -> bool {
        self.page.is_empty() && !self.is_finished
    }

    /// The time of its first row.
    fn latest(&self) -> Option<&str> {
        self.page.front()?.get("timestamp")?.as_s().ok().map(String::as_str)
    }

    /// Reads pages until one has a row or none are left. A filtered page may be empty.
    async fn fill(
        &mut self,
        store: &DynamoStore<impl Clock>,
        query: &AlertQuery,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        while self.wants_page() {
            let (filter, names, values) = filter(query);
            let query = || {
                let call = store
                    .client
                    .query()
                    .table_name(&store.tables.alerts)
                    .index_name(INDEX)
                    .scan_index_forward(false)
                    .limit(self.page_rows)
                    .key_condition_expression(
                        "#hour = :hour AND #timestamp BETWEEN :since AND :until",
                    )
                    .expression_attribute_names("#hour", "hour")
                    .expression_attribute_names("#timestamp", "timestamp")
                    .expression_attribute_values(":hour", item::text(&self.partition))
                    .expression_attribute_values(":since", item::text(query.since.iso()))
                    .expression_attribute_values(":until", item::text(self.until.iso()))
                    .set_filter_expression(filter.clone())
                    .set_exclusive_start_key(self.next.clone());
                let call = names
                    .iter()
                    .fold(call, |call, (name, of)| call.expression_attribute_names(*name, *of));
                let call = values.iter().fold(call, |call, (name, value)| {
                    call.expression_attribute_values(*name, item::text(value.as_str()))
                });
                async { call.send().await.map_err(call_error) }
            };
            let page = store.read(deadline, query).await?;
            self.page = page.items.unwrap_or_default().into();
            self.next = page.last_evaluated_key;
            self.is_finished = self.next.is_none();
            self.page_rows = PAGE_ROWS;
        }
        Ok(())
    }
}

/// The key of a row in the index.
fn index_key(row: &RowPosition, partition: &str) -> Item {
    Item::from([
        ("log_id".to_owned(), item::text(&row.log_id)),
        ("hour".to_owned(), item::text(partition)),
        ("timestamp".to_owned(), item::text(row.timestamp.iso())),
    ])
}

type Filter = (Option<String>, Vec<(&'static str, &'static str)>, Vec<(&'static str, String)>);

/// The conditions that DynamoDB checks, so that other rows are not sent.
fn filter(query: &AlertQuery) -> Filter {
    let (mut conditions, mut names, mut values) = (Vec::new(), Vec::new(), Vec::new());
    if let Some(app) = &query.app {
        conditions.push("#app = :app");
        names.push(("#app", "app_name"));
        values.push((":app", app.clone()));
    }
    if let Some(route) = &query.route {
        conditions.push("contains(#routes, :route)");
        names.push(("#routes", "routes"));
        values.push((":route", route.to_string()));
    }
    let filter = (!conditions.is_empty()).then(|| conditions.join(" AND "));
    (filter, names, values)
}

/// The row as it is stored: it may have no pattern.
fn row(item: &Item) -> AuditRow {
    let routes = item
        .get("routes")
        .and_then(|value| value.as_l().ok())
        .map(Vec::as_slice)
        .unwrap_or_default();
    AuditRow {
        log_id: text(item, "log_id"),
        timestamp: text(item, "timestamp"),
        app_name: text(item, "app_name"),
        routes: routes.iter().filter_map(|route| route.as_s().ok().cloned()).collect(),
        account_id: text(item, "account_id"),
        region: text(item, "region"),
        log_group: text(item, "log_group"),
        log_stream: text(item, "log_stream"),
        pattern: text(item, "pattern"),
        source: source(item),
        marker: text(item, "marker"),
        message: text(item, "message"),
        context_before: text(item, "context_before"),
        context_after: text(item, "context_after"),
    }
}

/// The id of a Kinesis event in its packed form, or another text.
fn source(item: &Item) -> String {
    let packed = item.get("source").and_then(|value| value.as_b().ok());
    packed
        .and_then(|packed| unpack_event_id(packed.as_ref()))
        .unwrap_or_else(|| text(item, "source"))
}

fn text(item: &Item, name: &str) -> String {
    item.get(name).and_then(|value: &AttributeValue| value.as_s().ok()).cloned().unwrap_or_default()
}
