//! Commit: writes rows, and the tallies that count them, in one statement.
//!
//! The statement first looks for rows that exist. If it finds none, it writes the rows and the tallies.
//! If it finds some (a redelivery, another poller, a replay), it writes nothing and returns them with
//! their routes; the rest is sent again with a tally of the rest. So a batch of new alerts takes one round
//! trip, one of duplicates takes one, and a mixture takes two.
//!
//! Another process may store one of the rows after the statement has looked. Then the primary key of
//! `alert_ids` fails the statement as a whole, and the next attempt finds the row. Rows are written in the
//! order of their keys, so that two statements wait for each other in one direction only.
//!
//! A statement that takes longer than its limit is not repeated as it is: its rows are sent again in
//! halves ([`StatementSize`](super::statement_size::StatementSize)).

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use futures::{FutureExt as _, StreamExt as _};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::call::{Outcome, RETRY, WhenSlow};
use super::statement_size::BYTES_MAX;
use super::value::{self, AlertKey};
use super::{ATTEMPT_MAX, PostgresStore};
use crate::adapters::packed::pack_tallies;
use crate::model::alert::{Alert, LogContext};
use crate::model::error::Cause;
use crate::model::name::RouteName;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::retry::Backoff;
use crate::protocol::store::{Commit, StoreError};

/// The most rows of one statement, about. A short row counts as one of so many in [`BYTES_MAX`].
const ROWS_MAX: usize = 5_000;

/// A statement that takes longer than this does not let later ones grow.
const QUICK: Duration = Duration::from_millis(2_500);

/// Statements in flight, as measured by `benches/engines.rs`.
const IN_FLIGHT: usize = 2;

/// The results of some alerts, each with its position among all alerts.
type Answers = Vec<(usize, Commit)>;

/// An alert, its key, and its position among all alerts.
type Keyed<'a> = (AlertKey, usize, &'a Alert);

/// The result of a statement.
enum Put {
    /// All alerts are new, and are stored and counted.
    Done,
    /// Nothing was written: these exist, by their place in the chunk, with their routes.
    Exists(HashMap<usize, Arc<[RouteName]>>),
    /// The statement took too long. It may still take effect.
    Slow(Cause),
}

const COMMIT: &str = r#"
WITH found AS (
    SELECT i.n, c.routes FROM unnest($1::uuid[]) WITH ORDINALITY AS i (id, n) JOIN stentor.alert_ids c ON c.id = i.id
), today AS (
    SELECT (now() AT TIME ZONE 'UTC')::date AS day
), identified AS (
    INSERT INTO stentor.alert_ids (id, stored_on, "timestamp", routes)
    SELECT i.id, today.day, i.at, i.routes
    FROM today, unnest($1::uuid[], $3::timestamptz[], $7::text[]) AS i (id, at, routes)
    WHERE NOT EXISTS (SELECT FROM found) ORDER BY i.id
), stored AS (
    INSERT INTO stentor.alerts (key, stored_on, log_id, "timestamp", marker, message, app_name, routes,
        account_id, region, log_group, log_stream, source, pattern, left_out_bytes, context_before, context_after)
    SELECT i.key, today.day, i.log_id, i.at, i.marker, i.message, i.app_name, string_to_array(i.routes, ' '),
        i.account_id, i.region, i.log_group, i.log_stream, i.source, i.pattern, i.left_out, i.before, i.after
    FROM today, unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[],
        $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::int8[], $15::text[],
        $16::text[])
        AS i (key, log_id, at, marker, message, app_name, routes, account_id, region, log_group, log_stream,
            source, pattern, left_out, before, after)
    WHERE NOT EXISTS (SELECT FROM found)
), counted AS (
    INSERT INTO stentor.tallies (route, tally)
    SELECT i.route, i.tally FROM unnest($17::text[], $18::bytea[]) AS i (route, tally)
    WHERE NOT EXISTS (SELECT FROM found)
), registered AS (
    INSERT INTO stentor.routes (route)
    SELECT i.route FROM unnest($19::text[]) AS i (route) WHERE NOT EXISTS (SELECT FROM found)
    ON CONFLICT DO NOTHING
)
SELECT n, routes FROM found"#;

impl<C: Clock> PostgresStore<C> {
    pub(super) async fn commit_all<'a>(
        &self,
        alerts: impl Iterator<Item = &'a Alert> + Send,
        deadline: Deadline,
    ) -> Vec<Commit> {
        let mut chunks = Chunks(alerts.enumerate().peekable());
        let mut commits: Vec<Option<Commit>> = Vec::new();
        let mut in_flight = FuturesUnordered::new();
        loop {
            // Made one by one: each has a copy of its texts.
            while in_flight.len() < IN_FLIGHT.min(self.pool.size())
                && let Some(chunk) = chunks.next(self.statement_size.max())
            {
                commits.resize(commits.len() + chunk.len(), None);
                in_flight.push(self.commit_chunk(chunk, deadline));
            }
            let Some(answers) = in_flight.next().await else { break };
            for (at, commit) in answers {
                commits[at] = Some(commit);
            }
        }
        commits
            .into_iter()
            .map(|commit| commit.expect("invariant: each alert is in one chunk"))
            .collect()
    }

    /// Boxed, because a future cannot contain itself.
    fn commit_chunk<'f>(
        &'f self,
        mut chunk: Vec<Keyed<'f>>,
        deadline: Deadline,
    ) -> BoxFuture<'f, Answers> {
        async move {
            chunk.sort_unstable_by_key(|(id, ..)| *id);
            let mut answers = Answers::new();
            let mut backoff = Backoff::new(RETRY, &self.clock, deadline);
            while !chunk.is_empty() {
                if chunk.len() > 1 && size(&chunk) > self.statement_size.max() {
                    answers.extend(self.commit_halves(chunk, deadline).await);
                    return answers;
                }
                let began = self.clock.now();
                match self.put_and_count(&chunk, deadline).await {
                    Ok(Put::Done) => {
                        if began.until(self.clock.now()) <= QUICK {
                            self.statement_size.quick();
                        }
                        answers.extend(chunk.drain(..).map(|(_, at, _)| (at, Commit::Fresh)));
                    }
                    Ok(Put::Exists(mut existing)) => {
                        let duplicate = |place: usize| existing.remove(&place);
                        answers.extend(take(&mut chunk, duplicate));
                    }
                    Ok(Put::Slow(cause)) => {
                        self.statement_size.too_slow(size(&chunk));
                        if !backoff.wait(self.random.bits()).await {
                            answers.extend(fail(&mut chunk, StoreError::Unavailable(cause)));
                        }
                    }
                    // One row that the store cannot hold must not fail the others.
                    Err(StoreError::Invalid(_)) if chunk.len() > 1 => {
                        answers.extend(self.commit_halves(chunk, deadline).await);
                        return answers;
                    }
                    Err(error) => answers.extend(fail(&mut chunk, error)),
                }
            }
            answers
        }
        .boxed()
    }

    async fn commit_halves<'f>(&'f self, mut chunk: Vec<Keyed<'f>>, deadline: Deadline) -> Answers {
        let second = chunk.split_off(chunk.len() / 2);
        let mut answers = self.commit_chunk(chunk, deadline).await;
        answers.extend(self.commit_chunk(second, deadline).await);
        answers
    }

    /// Stores and counts the alerts of a chunk, or finds some of them and writes nothing.
    async fn put_and_count(
        &self,
        chunk: &[Keyed<'_>],
        deadline: Deadline,
    ) -> Result<Put, StoreError> {
        let columns = Columns::of(chunk);
        let (tally_routes, tallies) = tallies(chunk);
        let routes: BTreeSet<&str> = tally_routes.iter().copied().collect();
        let routes: Vec<&str> = routes.into_iter().collect();
        let texts = || Type::TEXT_ARRAY;
        let outcome = self
            .outcome(
                ATTEMPT_MAX,
                COMMIT,
                &[
                    (&columns.ids, Type::UUID_ARRAY),
                    (&columns.log_ids, texts()),
                    (&columns.timestamps, Type::TIMESTAMPTZ_ARRAY),
                    (&columns.markers, texts()),
                    (&columns.messages, texts()),
                    (&columns.app_names, texts()),
                    (&columns.routes, texts()),
                    (&columns.account_ids, texts()),
                    (&columns.regions, texts()),
                    (&columns.log_groups, texts()),
                    (&columns.log_streams, texts()),
                    (&columns.sources, texts()),
                    (&columns.patterns, texts()),
                    (&columns.left_out, Type::INT8_ARRAY),
                    (&columns.before, texts()),
                    (&columns.after, texts()),
                    (&tally_routes, texts()),
                    (&tallies, Type::BYTEA_ARRAY),
                    (&routes, texts()),
                ],
                WhenSlow::Return,
                deadline,
            )
            .await?;
        match outcome {
            Outcome::Rows(rows) => put(&rows, chunk.len()),
            Outcome::Slow(cause) => Ok(Put::Slow(cause)),
            Outcome::Undone => Err(value::unconditional()),
        }
    }
}

/// The answer to the statement for a chunk of so many alerts.
fn put(rows: &[Row], alerts: usize) -> Result<Put, StoreError> {
    let mut existing = HashMap::new();
    for row in rows {
        let place = place(value::count(row, "n")?, alerts)?;
        let routes: &str = value::get(row, "routes")?;
        let routes = routes.split(' ').filter_map(|route| route.parse().ok());
        existing.insert(place, routes.collect());
    }
    Ok(if existing.is_empty() { Put::Done } else { Put::Exists(existing) })
}

/// The place of the `n`th of so many alerts. Another place would be that of no alert, and the same chunk
/// would be sent forever.
fn place(n: u64, alerts: usize) -> Result<usize, StoreError> {
    let place = n.checked_sub(1).and_then(|place| usize::try_from(place).ok());
    place.filter(|place| *place < alerts).ok_or_else(|| value::unexpected("n"))
}

fn fail(chunk: &mut Vec<Keyed<'_>>, error: StoreError) -> Answers {
    let error = Arc::new(error);
    chunk.drain(..).map(|(_, at, _)| (at, Commit::Failed(Arc::clone(&error)))).collect()
}

/// Removes the alerts that are duplicates.
fn take(
    chunk: &mut Vec<Keyed<'_>>,
    mut duplicate: impl FnMut(usize) -> Option<Arc<[RouteName]>>,
) -> Answers {
    let (mut answers, mut place) = (Answers::new(), 0);
    chunk.retain(|(_, at, _)| {
        let routes = duplicate(place);
        place += 1;
        match routes {
            Some(routes) => {
                answers.push((*at, Commit::Duplicate { routes }));
                false
            }
            None => true,
        }
    });
    answers
}

/// The tallies of a chunk, packed, and their routes. Alerts of the same routes share a tally.
fn tallies<'a>(chunk: &[Keyed<'a>]) -> (Vec<&'a str>, Vec<Vec<u8>>) {
    let mut of_routes: BTreeMap<&'a [RouteName], Vec<&'a Alert>> = BTreeMap::new();
    for (_, _, alert) in chunk {
        of_routes.entry(&alert.routes).or_default().push(alert);
    }
    let (mut names, mut tallies) = (Vec::new(), Vec::new());
    for (routes, alerts) in of_routes {
        names.extend(routes.iter().map(RouteName::as_str));
        tallies.extend(pack_tallies(routes, &alerts));
    }
    (names, tallies)
}

/// The columns of the rows of a chunk.
#[derive(Default)]
struct Columns<'a> {
    ids: Vec<AlertKey>,
    log_ids: Vec<Cow<'a, str>>,
    timestamps: Vec<SystemTime>,
    markers: Vec<Cow<'a, str>>,
    messages: Vec<Cow<'a, str>>,
    app_names: Vec<Cow<'a, str>>,
    /// Separated by spaces, which no name has.
    routes: Vec<String>,
    account_ids: Vec<Cow<'a, str>>,
    regions: Vec<Option<Cow<'a, str>>>,
    log_groups: Vec<Cow<'a, str>>,
    log_streams: Vec<Cow<'a, str>>,
    sources: Vec<Cow<'a, str>>,
    patterns: Vec<Option<Cow<'a, str>>>,
    left_out: Vec<Option<i64>>,
    before: Vec<Option<Cow<'a, str>>>,
    after: Vec<Option<Cow<'a, str>>>,
}

impl<'a> Columns<'a> {
    fn of(chunk: &[Keyed<'a>]) -> Self {
        let mut columns = Self::default();
        for (id, _, alert) in chunk {
            columns.add(*id, alert);
        }
        columns
    }

    fn add(&mut self, id: AlertKey, alert: &'a Alert) {
        let routes: Vec<&str> = alert.routes.iter().map(RouteName::as_str).collect();
        let is_cut = alert.left_out > 0;
        let context = |side: fn(&LogContext) -> &str| {
            let text = alert.context.as_deref().map(side).filter(|text| !text.is_empty());
            text.map(value::text)
        };
        self.ids.push(id);
        self.log_ids.push(value::text(alert.id.as_str()));
        self.timestamps.push(value::system_time(alert.timestamp));
        self.markers.push(value::text(&alert.marker));
        self.messages.push(value::text(&alert.message));
        self.app_names.push(value::text(&alert.origin.app_name));
        self.routes.push(routes.join(" "));
        self.account_ids.push(value::text(&alert.account_id));
        self.regions.push(alert.region.as_deref().map(value::text));
        self.log_groups.push(value::text(&alert.origin.log_group));
        self.log_streams.push(value::text(&alert.origin.log_stream));
        self.sources.push(value::text(&alert.origin.source));
        // The pattern of a whole message can be found again.
        self.patterns.push(is_cut.then(|| value::text(alert.pattern.as_str())));
        self.left_out.push(is_cut.then(|| i64::try_from(alert.left_out).unwrap_or(i64::MAX)));
        self.before.push(context(|context| &context.before));
        self.after.push(context(|context| &context.after));
    }
}

/// The bytes that an alert counts for.
fn weight(alert: &Alert) -> usize {
    alert.bytes().max(BYTES_MAX / ROWS_MAX)
}

fn size(chunk: &[Keyed<'_>]) -> usize {
    chunk.iter().map(|(_, _, alert)| weight(alert)).sum()
}

/// Divides alerts into chunks of bounded size.
struct Chunks<I: Iterator>(std::iter::Peekable<I>);

impl<'a, I: Iterator<Item = (usize, &'a Alert)>> Chunks<I> {
    /// At least one alert, and at most so many bytes.
    fn next(&mut self, bytes_max: usize) -> Option<Vec<Keyed<'a>>> {
        let (mut chunk, mut bytes) = (Vec::new(), 0);
        while let Some((at, alert)) =
            self.0.next_if(|(_, alert)| chunk.is_empty() || bytes + weight(alert) <= bytes_max)
        {
            bytes += weight(alert);
            chunk.push((AlertKey::of(alert.id.as_str()), at, alert));
        }
        (!chunk.is_empty()).then_some(chunk)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_outside_of_the_chunk_is_an_error() {
        assert_eq!((place(1, 3), place(3, 3)), (Ok(0), Ok(2)));
        for n in [0, 4, u64::MAX] {
            assert!(matches!(place(n, 3), Err(StoreError::Refused(_))), "{n}");
        }
    }
}
