//! What the routes remember of their patterns, and the marks of people: the tables `patterns` and `marks`.

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::PostgresStore;
use super::call::Parameter;
use super::value::{self, number};
use crate::adapters::packed::pack_json;
use crate::model::history::{HISTORY_KEPT, History, MARK_KEPT, Mark};
use crate::model::name::RouteName;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::{HistoryChange, StoreError};

/// A history that replaces none: no revision has this number.
const NO_REVISION: i64 = -1;

impl<C: Clock> PostgresStore<C> {
    pub(super) async fn histories_of(
        &self,
        route: &RouteName,
        ids: &[String],
        deadline: Deadline,
    ) -> Result<Vec<(String, History)>, StoreError> {
        let sql =
            "SELECT id, revision, history FROM stentor.patterns WHERE route = $1 AND id = ANY ($2)";
        let parameters: [Parameter<'_>; 2] =
            [(&route.as_str(), Type::TEXT), (&ids, Type::TEXT_ARRAY)];
        let rows = self.rows(sql, &parameters, deadline).await?;
        rows.iter().map(|row| self.history(route, row)).collect()
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
        let sql = "SELECT id, revision, history FROM stentor.patterns WHERE route = $1 ORDER BY id";
        let rows = self.rows(sql, &[(&route.as_str(), Type::TEXT)], deadline).await?;
        rows.iter().map(|row| self.history(route, row)).collect()
    }

    fn history(&self, route: &RouteName, row: &Row) -> Result<(String, History), StoreError> {
        let id: String = value::get(row, "id")?;
        let history = value::packed(row, "history").or_else(|error| {
            tracing::warn!(%route, pattern = id, "A history cannot be read and begins again: {error}");
            Ok(History::begun_again(value::count(row, "revision")?, self.clock.now()))
        });
        history.map(|history| (id, history))
    }

    /// The rows are locked in the order of their ids, so two processes cannot wait for each other.
    pub(super) async fn replace_histories(
        &self,
        route: &RouteName,
        changes: &[HistoryChange],
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let sql = "INSERT INTO stentor.patterns AS p (route, id, revision, replaced, history, expires_at) \
            SELECT $1, n.id, n.revision, n.known, n.history, to_timestamp(n.expires_at / 1000.0) \
            FROM unnest($2, $3, $4, $5, $6) AS n(id, known, revision, history, expires_at) ORDER BY n.id \
            ON CONFLICT (route, id) DO UPDATE SET revision = EXCLUDED.revision, replaced = EXCLUDED.replaced, \
                history = EXCLUDED.history, expires_at = EXCLUDED.expires_at \
            WHERE p.revision = EXCLUDED.replaced RETURNING 1";
        let ids: Vec<&str> = changes.iter().map(|change| change.id.as_str()).collect();
        let known: Vec<i64> =
            changes.iter().map(|change| change.known.map_or(NO_REVISION, number)).collect();
        let revisions: Vec<i64> =
            changes.iter().map(|change| number(change.history.revision)).collect();
        let histories: Vec<Vec<u8>> =
            changes.iter().map(|change| pack_json(&change.history)).collect();
        let expires = |change: &HistoryChange| change.history.last.after(HISTORY_KEPT).as_millis();
        let expires: Vec<i64> = changes.iter().map(expires).collect();
        let parameters: [Parameter<'_>; 6] = [
            (&route.as_str(), Type::TEXT),
            (&ids, Type::TEXT_ARRAY),
            (&known, Type::INT8_ARRAY),
            (&revisions, Type::INT8_ARRAY),
            (&histories, Type::BYTEA_ARRAY),
            (&expires, Type::INT8_ARRAY),
        ];
        let replaced = self.rows(sql, &parameters, deadline).await?;
        Ok(replaced.len() == changes.len())
    }

    pub(super) async fn set_counted_upto(
        &self,
        route: &RouteName,
        upto: u64,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let sql = "UPDATE stentor.cursors SET counted = $2, counting_since = COALESCE(counting_since, $3) \
            WHERE route = $1 AND counted < $2";
        let parameters: [Parameter<'_>; 3] = [
            (&route.as_str(), Type::TEXT),
            (&number(upto), Type::INT8),
            (&now.as_millis(), Type::INT8),
        ];
        self.rows(sql, &parameters, deadline).await.map(drop)
    }

    pub(super) async fn put_mark(&self, mark: &Mark, deadline: Deadline) -> Result<(), StoreError> {
        let sql = "INSERT INTO stentor.marks (id, at, text, expires_at) \
            VALUES ($1, $2, $3, to_timestamp($4 / 1000.0)) ON CONFLICT DO NOTHING";
        let expires = mark.at.after(MARK_KEPT).as_millis();
        let parameters: [Parameter<'_>; 4] = [
            (&value::bits(self.random.bits()), Type::INT8),
            (&mark.at.as_millis(), Type::INT8),
            (&value::text(&mark.text), Type::TEXT),
            (&expires, Type::INT8),
        ];
        self.rows(sql, &parameters, deadline).await.map(drop)
    }

    pub(super) async fn marks_since(
        &self,
        since: Timestamp,
        deadline: Deadline,
    ) -> Result<Vec<Mark>, StoreError> {
        let sql = "SELECT at, text FROM stentor.marks WHERE at >= $1 ORDER BY at";
        let rows = self.rows(sql, &[(&since.as_millis(), Type::INT8)], deadline).await?;
        let mark = |row| {
            let at = value::time(row, "at")?.unwrap_or_default();
            Ok(Mark { at, text: value::get(row, "text")? })
        };
        rows.iter().map(mark).collect()
    }
}
