//! Commit: writes rows, and the tallies that count them, in one transaction.
//!
//! A transaction has alerts of one set of routes: as many rows as fit, and one tally for each
//! route. If rows exist already (a redelivery, another poller, a replay), the transaction fails.
//! The existing rows are then looked up and dropped as duplicates, and the rest is sent again with
//! a tally of the rest.

use std::collections::{BTreeMap, HashMap};
use std::iter::Enumerate;
use std::sync::Arc;

use aws_sdk_dynamodb::types::KeysAndAttributes;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

use super::DynamoStore;
use super::call::{CallError, call_error};
use super::commit_request::{CommitRequest, Write};
use super::item::{self, Item, TALLY_SHARDS};
use crate::model::alert::Alert;
use crate::model::error::Cause;
use crate::model::name::RouteName;
use crate::model::tally::Tally;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::{Commit, StoreError};

/// TransactWriteItems takes 100 items; BatchGetItem takes 100 keys.
const TRANSACTION_ITEMS_MAX: usize = 100;

/// Transactions in flight, as measured by `benches/commit.rs`. With eight, 10,000 alerts are stored
/// in less than a second when a request takes 60 ms, and in 0.3 s when it takes 15. More would save
/// tenths of a second, and only without throttling: a new table takes 4,000 write units per second,
/// and a row costs at least two, so twenty transactions per second are its limit.
pub(super) const IN_FLIGHT: usize = 8;

/// The results of some alerts, each with its position among all alerts.
type Answers = Vec<(usize, Commit)>;

/// Alerts of the same routes that fit one transaction, each with its position among all alerts.
#[derive(Debug)]
struct Chunk<'a> {
    routes: &'a [RouteName],
    alerts: Vec<(usize, &'a Alert)>,
}

impl<C: Clock> DynamoStore<C> {
    pub(super) async fn commit_all<'a>(
        &self,
        alerts: impl ExactSizeIterator<Item = &'a Alert> + Clone + Send,
        deadline: Deadline,
    ) -> Vec<Commit> {
        // Before any row: a row without a registered hour is not found.
        if let Err(error) = self.register_hours(alerts.clone(), deadline).await {
            return vec![Commit::Failed(Arc::new(error)); alerts.len()];
        }
        let mut commits: Vec<Option<Commit>> = vec![None; alerts.len()];
        let mut waiting = Pack::of(alerts);
        let mut in_flight = FuturesUnordered::new();
        loop {
            // Created one by one: a future of the SDK takes kilobytes.
            while in_flight.len() < self.in_flight
                && let Some(chunk) = waiting.next()
            {
                in_flight.push(self.commit_chunk(chunk, deadline));
            }
            let Some(answers) = in_flight.next().await else { break };
            for (at, commit) in answers {
                commits[at] = Some(commit);
            }
        }
        commits
            .into_iter()
            .map(|commit| commit.expect("invariant: each alert is put into one chunk"))
            .collect()
    }

    async fn commit_chunk(&self, mut chunk: Chunk<'_>, deadline: Deadline) -> Answers {
        let mut answers = Answers::new();
        while !chunk.alerts.is_empty() {
            match self.put_and_count(&chunk, deadline).await {
                Ok(true) => {
                    answers.extend(chunk.alerts.drain(..).map(|(at, _)| (at, Commit::Fresh)));
                }
                Ok(false) => match self.duplicates(&mut chunk, deadline).await {
                    Ok(duplicates) => answers.extend(duplicates),
                    Err(error) => answers.extend(chunk.fail(error)),
                },
                // One row that the store cannot hold must not fail the others.
                Err(StoreError::Invalid(_)) if chunk.alerts.len() > 1 => {
                    answers.extend(self.commit_halves(chunk, deadline).await);
                    return answers;
                }
                Err(error) => answers.extend(chunk.fail(error)),
            }
        }
        answers
    }

    /// Boxed, because a future cannot contain itself.
    fn commit_halves<'f>(
        &'f self,
        mut chunk: Chunk<'f>,
        deadline: Deadline,
    ) -> BoxFuture<'f, Answers> {
        async move {
            let second = Chunk {
                routes: chunk.routes,
                alerts: chunk.alerts.split_off(chunk.alerts.len() / 2),
            };
            let mut answers = self.commit_chunk(chunk, deadline).await;
            answers.extend(self.commit_chunk(second, deadline).await);
            answers
        }
        .boxed()
    }

    /// Writes the rows and tallies of a chunk in one transaction. Returns `false` when a row exists
    /// already.
    async fn put_and_count(
        &self,
        chunk: &Chunk<'_>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.transact_written(self.request(chunk), deadline).await
    }

    /// The request of [`Self::put_and_count`]. Its token makes a repetition harmless.
    fn request(&self, chunk: &Chunk<'_>) -> Vec<u8> {
        let now = self.clock.now();
        let tally = item::json_text(&Tally::of(chunk.alerts.iter().map(|(_, alert)| *alert)));
        let text_bytes = chunk.alerts.iter().map(|(_, alert)| alert.message.len()).sum::<usize>()
            + chunk.routes.len() * tally.len();
        let rows = chunk.alerts.iter().map(|(_, alert)| {
            let row = item::row(alert, now, self.tables.alerts_ttl);
            Write::new(&self.tables.alerts, "attribute_not_exists(log_id)", row)
        });
        let tallies = chunk.routes.iter().map(|route| {
            let partition = item::tally_partition(route, self.random.bits() % TALLY_SHARDS);
            let tally = item::tally(partition, format!("tally#{}", self.unique()), &tally);
            Write::new(&self.tables.outbox, "attribute_not_exists(pk)", tally)
        });
        CommitRequest {
            client_request_token: &self.unique(),
            transact_items: rows.chain(tallies).collect(),
        }
        .write(text_bytes)
    }

    /// Removes the alerts whose rows exist from the chunk, and returns them. An empty result is an
    /// error: the rows have expired since, and the same chunk would be sent forever.
    async fn duplicates(
        &self,
        chunk: &mut Chunk<'_>,
        deadline: Deadline,
    ) -> Result<Answers, StoreError> {
        let existing = self.existing(chunk, deadline).await?;
        let taken =
            chunk.alerts.extract_if(.., |(_, alert)| existing.contains_key(alert.id.as_str()));
        let duplicates: Answers = taken
            .map(|(at, alert)| {
                (at, Commit::Duplicate { routes: Arc::clone(&existing[alert.id.as_str()]) })
            })
            .collect();
        match duplicates.is_empty() {
            true => Err(StoreError::Unavailable(Cause::new(
                "row-unreadable",
                "rows exist but could not be read",
            ))),
            false => Ok(duplicates),
        }
    }

    /// The rows of the chunk that exist, and the routes that they were written for (consistent
    /// reads).
    async fn existing(
        &self,
        chunk: &Chunk<'_>,
        deadline: Deadline,
    ) -> Result<HashMap<String, Arc<[RouteName]>>, StoreError> {
        let id = |alert: &Alert| Item::from([("log_id".to_owned(), item::text(alert.id.as_str()))]);
        let mut wanted: Vec<Item> = chunk.alerts.iter().map(|(_, alert)| id(alert)).collect();
        let mut existing = HashMap::new();
        while !wanted.is_empty() {
            let get = || {
                let keys = KeysAndAttributes::builder()
                    .set_keys(Some(wanted.clone()))
                    .consistent_read(true)
                    .projection_expression("#id, #routes")
                    .expression_attribute_names("#id", "log_id")
                    .expression_attribute_names("#routes", "routes")
                    .build()
                    .expect("invariant: keys are set");
                let call = self.client.batch_get_item().request_items(&self.tables.alerts, keys);
                async {
                    let page = call.send().await.map_err(call_error)?;
                    let items = page
                        .responses
                        .unwrap_or_default()
                        .into_values()
                        .flatten()
                        .collect::<Vec<_>>();
                    let left = page
                        .unprocessed_keys
                        .unwrap_or_default()
                        .into_values()
                        .flat_map(|keys| keys.keys)
                        .collect::<Vec<_>>();
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
            for item in &items {
                let (id, routes) = item::existing(item)?;
                existing.insert(id, routes);
            }
            wanted = left;
        }
        Ok(existing)
    }
}

impl Chunk<'_> {
    fn fail(&mut self, error: StoreError) -> Answers {
        let error = Arc::new(error);
        self.alerts.drain(..).map(|(at, _)| (at, Commit::Failed(Arc::clone(&error)))).collect()
    }
}

/// Groups alerts by their routes into chunks that fit a transaction. An iterator, because a list of
/// all chunks would be megabytes that stay until the last one is stored.
struct Pack<'a, A> {
    alerts: Enumerate<A>,
    /// Chunks that are not full.
    open: BTreeMap<&'a [RouteName], Chunk<'a>>,
}

impl<'a, A: Iterator<Item = &'a Alert>> Pack<'a, A> {
    fn of(alerts: A) -> Self {
        Self { alerts: alerts.enumerate(), open: BTreeMap::new() }
    }
}

impl<'a, A: Iterator<Item = &'a Alert>> Iterator for Pack<'a, A> {
    type Item = Chunk<'a>;

    fn next(&mut self) -> Option<Chunk<'a>> {
        for (at, alert) in &mut self.alerts {
            let routes = &*alert.routes;
            let chunk =
                self.open.entry(routes).or_insert_with(|| Chunk { routes, alerts: Vec::new() });
            chunk.alerts.push((at, alert));
            if chunk.alerts.len() + routes.len().min(TRANSACTION_ITEMS_MAX - 1)
                >= TRANSACTION_ITEMS_MAX
            {
                return self.open.remove(routes);
            }
        }
        self.open.pop_first().map(|(_, chunk)| chunk)
    }
}
