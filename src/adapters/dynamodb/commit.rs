//! Commit: writes rows, and the tallies that count them, in one transaction.
//!
//! A transaction has alerts of one set of routes: as many rows as fit, and one tally for each
//! route. If rows exist already (a redelivery, another poller, a replay), the transaction fails.
//! The existing rows are then looked up and dropped as duplicates, and the rest is sent again with
//! a tally of the rest.
//!
//! A transaction fails as a whole when one of its items is throttled, so a table at its limit would
//! do little but fail. Each throttle halves the size of the transactions and their number in flight,
//! and each success lets both grow again ([`Pressure`](super::pressure::Pressure)).

use std::collections::{BTreeMap, HashMap};
use std::iter::Enumerate;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures::future::{BoxFuture, try_join};
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};

use super::DynamoStore;
use super::call::Written;
use super::commit_request::{CommitRequest, Write};
use super::item::{self, Item, TALLY_SHARDS};
use super::items::BatchRead;
use crate::adapters::packed::pack_tallies;
use crate::model::alert::Alert;
use crate::model::error::Cause;
use crate::model::name::RouteName;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::retry::{Backoff, RetryPolicy};
use crate::protocol::store::{Commit, StoreError};

/// TransactWriteItems takes 100 items; BatchGetItem takes 100 keys.
pub(super) const TRANSACTION_ITEMS_MAX: usize = 100;

/// The pause after a throttle.
const THROTTLED: RetryPolicy = RetryPolicy::new(Duration::from_millis(50), Duration::from_secs(5));

/// Transactions in flight, as measured by `benches/commit.rs`. With eight, 10,000 alerts are stored
/// in less than a second when a request takes 60 ms, and in 0.3 s when it takes 15. More would save
/// tenths of a second, and only without throttling: a new table takes 4,000 write units per second,
/// and a row costs at least two, so twenty transactions per second are its limit.
pub(super) const IN_FLIGHT: usize = 8;

/// The ids of rows that exist, and the routes that they were written for.
type Existing = HashMap<String, Arc<[RouteName]>>;

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
        // Before any row: a row without a registered hour is not found, and the sweep looks for the
        // tallies of registered routes only.
        let hours = self.register_hours(alerts.clone(), deadline);
        let routes = self.register_routes(alerts.clone(), deadline);
        if let Err(error) = try_join(hours, routes).await {
            return vec![Commit::Failed(Arc::new(error)); alerts.len()];
        }
        let mut commits: Vec<Option<Commit>> = vec![None; alerts.len()];
        // A batch with one duplicate is most likely a redelivery.
        let redelivered = AtomicBool::new(false);
        let mut waiting = Pack::of(alerts);
        let mut in_flight = FuturesUnordered::new();
        loop {
            // Created one by one: a future of the SDK takes kilobytes.
            while in_flight.len() < self.pressure.in_flight()
                && let Some(chunk) = waiting.next(self.pressure.items())
            {
                in_flight.push(self.commit_chunk(chunk, &redelivered, deadline));
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

    async fn commit_chunk(
        &self,
        mut chunk: Chunk<'_>,
        redelivered: &AtomicBool,
        deadline: Deadline,
    ) -> Answers {
        let mut answers = Answers::new();
        let mut backoff = Backoff::new(THROTTLED, &self.clock, deadline);
        // A failed write of a row costs as much as a write, and fifteen times a read.
        if redelivered.load(Ordering::Relaxed) {
            match self.existing(&chunk, deadline).await {
                Ok(existing) => answers.extend(chunk.take(&existing)),
                Err(error) => answers.extend(chunk.fail(error)),
            }
        }
        while !chunk.alerts.is_empty() {
            let pressure = self.pressure.now();
            match self.put_and_count(&chunk, deadline).await {
                Ok(Written::Done) => {
                    self.pressure.ease();
                    answers.extend(chunk.alerts.drain(..).map(|(at, _)| (at, Commit::Fresh)));
                }
                Ok(Written::Exists(items)) => {
                    redelivered.store(true, Ordering::Relaxed);
                    match self.duplicates(&mut chunk, &items, deadline).await {
                        Ok(duplicates) => answers.extend(duplicates),
                        Err(error) => answers.extend(chunk.fail(error)),
                    }
                }
                Ok(Written::Throttled(cause)) => {
                    self.pressure.raise(pressure);
                    if !backoff.wait(self.random.bits()).await {
                        answers.extend(chunk.fail(StoreError::Unavailable(cause)));
                    } else if chunk.alerts.len() > 1 && chunk.items() > self.pressure.items() {
                        answers.extend(self.commit_halves(chunk, redelivered, deadline).await);
                        return answers;
                    }
                }
                // One row that the store cannot hold must not fail the others.
                Err(StoreError::Invalid(_)) if chunk.alerts.len() > 1 => {
                    answers.extend(self.commit_halves(chunk, redelivered, deadline).await);
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
        redelivered: &'f AtomicBool,
        deadline: Deadline,
    ) -> BoxFuture<'f, Answers> {
        async move {
            let second = Chunk {
                routes: chunk.routes,
                alerts: chunk.alerts.split_off(chunk.alerts.len() / 2),
            };
            let mut answers = self.commit_chunk(chunk, redelivered, deadline).await;
            answers.extend(self.commit_chunk(second, redelivered, deadline).await);
            answers
        }
        .boxed()
    }

    /// Writes the rows and tallies of a chunk in one transaction, the rows first.
    async fn put_and_count(
        &self,
        chunk: &Chunk<'_>,
        deadline: Deadline,
    ) -> Result<Written, StoreError> {
        self.transact_written(self.request(chunk), deadline).await
    }

    /// The request of [`Self::put_and_count`]. Its token makes a repetition harmless.
    fn request(&self, chunk: &Chunk<'_>) -> Vec<u8> {
        let now = self.clock.now();
        let alerts: Vec<&Alert> = chunk.alerts.iter().map(|(_, alert)| *alert).collect();
        let tallies = pack_tallies(chunk.routes, &alerts);
        let text_bytes = alerts.iter().map(|alert| alert.message.len()).sum::<usize>()
            + tallies.iter().map(Vec::len).sum::<usize>();
        let rows = chunk.alerts.iter().map(|(_, alert)| {
            let row = item::row(alert, now, self.tables.alerts_ttl);
            Write::new(&self.tables.alerts, "attribute_not_exists(log_id)", row)
        });
        let tallies = chunk.routes.iter().zip(&tallies).map(|(route, tally)| {
            let partition = item::tally_partition(route, self.random.bits() % TALLY_SHARDS);
            let tally = item::tally(partition, format!("tally#{}", self.unique()), tally);
            Write::new(&self.tables.outbox, "attribute_not_exists(pk)", tally)
        });
        CommitRequest {
            client_request_token: &self.unique(),
            transact_items: rows.chain(tallies).collect(),
        }
        .write(text_bytes)
    }

    /// Removes the alerts whose rows exist from the chunk, and returns them. `items` are the rows
    /// that the transaction found, in the order of the chunk; without any, the rows are read. An
    /// empty result is an error: the rows have expired since, and the same chunk would be sent
    /// forever.
    async fn duplicates(
        &self,
        chunk: &mut Chunk<'_>,
        items: &[Option<Item>],
        deadline: Deadline,
    ) -> Result<Answers, StoreError> {
        let rows = items.iter().take(chunk.alerts.len()).flatten().map(item::existing);
        let mut existing = rows.collect::<Result<Existing, _>>()?;
        if existing.is_empty() {
            existing = self.existing(chunk, deadline).await?;
        }
        let duplicates = chunk.take(&existing);
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
    ) -> Result<Existing, StoreError> {
        let id = |alert: &Alert| Item::from([("log_id".to_owned(), item::text(alert.id.as_str()))]);
        let keys = chunk.alerts.iter().map(|(_, alert)| id(alert)).collect();
        let (table, columns) = (&self.tables.alerts, &["log_id", "routes"]);
        let batch = BatchRead { table, is_consistent: true, columns, keys };
        let items = self.get_batch(batch, deadline).await?;
        items.iter().map(item::existing).collect()
    }
}

impl Chunk<'_> {
    /// The items of its transaction.
    fn items(&self) -> usize {
        self.alerts.len() + self.routes.len()
    }

    /// Removes the alerts whose rows exist.
    fn take(&mut self, existing: &Existing) -> Answers {
        let exists = |(_, alert): &mut (usize, &Alert)| existing.contains_key(alert.id.as_str());
        let duplicate =
            |alert: &Alert| Commit::Duplicate { routes: Arc::clone(&existing[alert.id.as_str()]) };
        let taken = self.alerts.extract_if(.., exists);
        taken.map(|(at, alert)| (at, duplicate(alert))).collect()
    }

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

impl<'a, A: Iterator<Item = &'a Alert>> Pack<'a, A> {
    /// The next chunk, whose transaction has at most `items` items, and at least one alert.
    fn next(&mut self, items: usize) -> Option<Chunk<'a>> {
        for (at, alert) in &mut self.alerts {
            let routes = &*alert.routes;
            let chunk =
                self.open.entry(routes).or_insert_with(|| Chunk { routes, alerts: Vec::new() });
            chunk.alerts.push((at, alert));
            if chunk.alerts.len() + routes.len().min(items.saturating_sub(1)) >= items {
                return self.open.remove(routes);
            }
        }
        self.open.pop_first().map(|(_, chunk)| chunk)
    }
}
