//! The hours that have alerts, so that a question over years asks for those only.
//!
//! The index over alerts has sixteen partitions for each hour, and nothing else says which of them exist. So a commit
//! first registers the hours of its alerts: an item `#hours` / `2026-11-23` of the outbox has a set of hours. A process
//! remembers what it registered, so this is one write for each process and hour, and none for each alert.
//!
//! Registered first: an hour without a row costs a question sixteen empty queries, and a row without its hour would
//! not be found (`tests/it/store.rs`: `no_row_is_stored_before_its_hour_is_registered`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures::stream::{self, StreamExt as _, TryStreamExt as _};

use super::DynamoStore;
use super::expression::Expression;
use super::item::{self, Item};
use crate::model::alert::Alert;
use crate::model::audit::AlertQuery;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;

/// Not a route: names of routes hold no `#`.
const HOURS: &str = "#hours";

const DAY: Duration = Duration::from_hours(24);

/// A process registers an hour again after this, which moves its expiry.
const FRESH_FOR: Duration = DAY;

/// Days that an hour outlives the last of its rows, at the least one more than [`FRESH_FOR`].
const OUTLIVES_ROWS_BY: Duration = Duration::from_hours(2 * 24);

/// Hours that a process remembers. More are forgotten all at once, and registered again.
const REMEMBERED_MAX: usize = 10_000;

/// Days that are registered at the same time.
const DAYS_AT_ONCE: usize = 8;

/// The hours that this process has registered, and when; by their number since 1970.
#[derive(Default)]
pub(super) struct Registered(Mutex<HashMap<i64, Timestamp>>);

impl Registered {
    fn hours(&self) -> MutexGuard<'_, HashMap<i64, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of `hours` that have to be registered, now or again.
    fn missing(&self, hours: BTreeSet<i64>, now: Timestamp) -> Vec<i64> {
        let known = self.hours();
        let is_fresh = |at: &Timestamp| at.until(now) < FRESH_FOR;
        hours.into_iter().filter(|hour| !known.get(hour).is_some_and(is_fresh)).collect()
    }

    fn remember(&self, hours: &[i64], now: Timestamp) {
        let mut known = self.hours();
        if known.len() + hours.len() > REMEMBERED_MAX {
            known.clear();
        }
        known.extend(hours.iter().map(|hour| (*hour, now)));
    }
}

impl<C: Clock> DynamoStore<C> {
    /// Registers the hours of these alerts, unless this process has done so.
    pub(super) async fn register_hours<'a>(
        &self,
        alerts: impl Iterator<Item = &'a Alert>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let missing = self.registered.missing(alerts.map(|alert| hour_of(alert.timestamp)).collect(), now);
        let mut days: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for hour in &missing {
            let (day, hour) = day_and_hour(*hour);
            days.entry(day).or_default().push(hour);
        }
        let register = |(day, hours)| self.register_day(day, hours, now, deadline);
        stream::iter(days.into_iter().map(register)).buffer_unordered(DAYS_AT_ONCE).try_collect::<()>().await?;
        self.registered.remember(&missing, now);
        Ok(())
    }

    async fn register_day(
        &self,
        day: String,
        hours: Vec<String>,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let expiry = item::expiry(now, self.tables.alerts_ttl + OUTLIVES_ROWS_BY);
        let added = Expression::default().set("expires_at", expiry).add("hours", AttributeValue::Ss(hours));
        self.update(HOURS, &day, &added, deadline).await.map(drop)
    }

    /// The registered hours that a question spans, `2026-11-23T14`, the latest first.
    pub(super) async fn hours(&self, question: &AlertQuery, deadline: Deadline) -> Result<Vec<String>, StoreError> {
        let (since, until) = (question.since.iso(), question.until.iso());
        let days = self.query(HOURS, &since[..10], &until[..10], deadline).await?;
        let mut hours: Vec<String> = days.iter().flat_map(hours_of_day).collect();
        hours.retain(|hour| (&since[..13]..=&until[..13]).contains(&hour.as_str()));
        hours.sort_unstable_by(|a, b| b.cmp(a));
        Ok(hours)
    }
}

/// The number of an hour since 1970, of a moment as a row shows it: one that no date shows is the nearest that one does.
fn hour_of(at: Timestamp) -> i64 {
    at.clamped().as_millis().div_euclid(3_600_000)
}

/// `2026-11-23` and `14`.
fn day_and_hour(hour: i64) -> (String, String) {
    let iso = Timestamp::from_millis(hour * 3_600_000).iso();
    (iso[..10].to_owned(), iso[11..13].to_owned())
}

fn hours_of_day(day: &Item) -> Vec<String> {
    let name = day.get("sk").and_then(|value| value.as_s().ok());
    let hours = day.get("hours").and_then(|value| value.as_ss().ok());
    let (Some(name), Some(hours)) = (name, hours) else { return Vec::new() };
    hours.iter().map(|hour| format!("{name}T{hour}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_hour_is_named_as_its_rows_are() {
        let last_hour = 3_600_000 - 1;
        for at in [0, last_hour, 3_600_000, -1, 1_795_443_306_789, i64::MIN, i64::MAX] {
            let at = Timestamp::from_millis(at);
            let (day, hour) = day_and_hour(hour_of(at));
            assert_eq!(format!("{day}T{hour}"), at.iso()[..13], "{at:?}");
        }
    }

    #[test]
    fn an_hour_is_registered_once_a_day() {
        let registered = Registered::default();
        let at = Timestamp::from_millis(1_795_443_306_789);
        assert_eq!(registered.missing([1, 2].into(), at), [1, 2]);
        registered.remember(&[1, 2], at);
        assert_eq!(registered.missing([1, 2, 3].into(), at.after(DAY / 2)), [3]);
        assert_eq!(registered.missing([1, 2].into(), at.after(DAY)), [1, 2]);
        registered.remember(&(0..REMEMBERED_MAX as i64).collect::<Vec<_>>(), at);
        assert_eq!(registered.hours().len(), REMEMBERED_MAX);
        registered.remember(&[-1], at);
        assert_eq!(registered.hours().len(), 1);
    }
}
