//! The hours that have alerts, so that a query over years reads only those.
//!
//! The index by hour has sixteen partitions for each hour, and DynamoDB cannot list them. So a
//! commit first registers the hours of its alerts, in an item `#hours` / `2026-11-23` of the outbox
//! that holds a set of hours. A process remembers the hours that it registered: this is one write
//! for each process and hour, and none for each alert.
//!
//! The hour is registered before its rows are written. An hour without rows costs a query sixteen
//! empty reads; a row without its hour is not found (`tests/it/store.rs`:
//! `no_row_is_stored_before_its_hour_is_registered`).

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

/// A partition that no route has: route names contain no `#`.
const HOURS: &str = "#hours";

const DAY: Duration = Duration::from_hours(24);

/// A process registers an hour again after this time, which moves the expiry of the item.
const FRESH_FOR: Duration = DAY;

/// An hour expires this much later than a row of the same commit. More than [`FRESH_FOR`], during
/// which rows are written without registering their hour again.
const OUTLIVES_ROWS_BY: Duration = Duration::from_hours(2 * 24);

/// The most hours that a process remembers. Beyond that it forgets all of them, and registers them
/// again.
const REMEMBERED_MAX: usize = 10_000;

/// Days that are registered concurrently.
const DAYS_AT_ONCE: usize = 8;

/// When this process registered which hour. Hours are numbered since 1970.
#[derive(Default)]
pub(super) struct RegisteredHours(Mutex<HashMap<i64, Timestamp>>);

impl RegisteredHours {
    fn hours(&self) -> MutexGuard<'_, HashMap<i64, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Those of `hours` that have to be registered.
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
    /// Registers the hours of these alerts that this process has not registered yet.
    pub(super) async fn register_hours<'a>(
        &self,
        alerts: impl Iterator<Item = &'a Alert>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let now = self.clock.now();
        let missing = self
            .registered_hours
            .missing(alerts.map(|alert| hour_of(alert.timestamp)).collect(), now);
        let mut days: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for hour in &missing {
            let (day, hour) = day_and_hour(*hour);
            days.entry(day).or_default().push(hour);
        }
        let register = |(day, hours)| self.register_day(day, hours, now, deadline);
        stream::iter(days.into_iter().map(register))
            .buffer_unordered(DAYS_AT_ONCE)
            .try_collect::<()>()
            .await?;
        self.registered_hours.remember(&missing, now);
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
        let added =
            Expression::default().set("expires_at", expiry).add("hours", AttributeValue::Ss(hours));
        self.update(HOURS, &day, &added, deadline).await.map(drop)
    }

    /// The registered hours that a query spans, such as `2026-11-23T14`, the latest first.
    pub(super) async fn hours(
        &self,
        query: &AlertQuery,
        deadline: Deadline,
    ) -> Result<Vec<String>, StoreError> {
        let (since, until) = (query.since.iso(), query.latest().iso());
        let days = self.query(HOURS, &since[..10], &until[..10], deadline).await?;
        let mut hours: Vec<String> = days.iter().flat_map(hours_of_day).collect();
        hours.retain(|hour| (&since[..13]..=&until[..13]).contains(&hour.as_str()));
        hours.sort_unstable_by(|a, b| b.cmp(a));
        Ok(hours)
    }
}

/// The number of the hour of a timestamp, as a row shows it. A timestamp outside the range of dates
/// counts as the nearest date.
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
    fn an_hour_has_the_name_that_its_rows_show() {
        let last_hour = 3_600_000 - 1;
        for at in [0, last_hour, 3_600_000, -1, 1_795_443_306_789, i64::MIN, i64::MAX] {
            let at = Timestamp::from_millis(at);
            let (day, hour) = day_and_hour(hour_of(at));
            assert_eq!(format!("{day}T{hour}"), at.iso()[..13], "{at:?}");
        }
    }

    #[test]
    fn an_hour_is_registered_once_a_day() {
        let registered_hours = RegisteredHours::default();
        let at = Timestamp::from_millis(1_795_443_306_789);
        assert_eq!(registered_hours.missing([1, 2].into(), at), [1, 2]);
        registered_hours.remember(&[1, 2], at);
        assert_eq!(registered_hours.missing([1, 2, 3].into(), at.after(DAY / 2)), [3]);
        assert_eq!(registered_hours.missing([1, 2].into(), at.after(DAY)), [1, 2]);
        registered_hours.remember(&(0..REMEMBERED_MAX as i64).collect::<Vec<_>>(), at);
        assert_eq!(registered_hours.hours().len(), REMEMBERED_MAX);
        registered_hours.remember(&[-1], at);
        assert_eq!(registered_hours.hours().len(), 1);
    }
}
