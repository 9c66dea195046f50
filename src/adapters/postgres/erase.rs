//! Erasure: rows, tallies and epochs that lose a text. No row is deleted, and no count changes. The role of
//! the functions may not change an audit row, so the owner does it.
//!
//! A tally gets another id in the statement that changes it. A freeze that has read the old one deletes fewer
//! tallies than it counts, fails and reads again, so the old text cannot reach an epoch.

use tokio_postgres::types::Type;

use super::PostgresStore;
use super::call::Parameter;
use super::value::{self, AlertKey, get, number};
use crate::adapters::packed::pack_json;
use crate::model::error::Cause;
use crate::model::name::RouteName;
use crate::model::outbox::{Epoch, TallyKey};
use crate::model::tally::Tally;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;
use crate::redact::erase::{ErasedRow, Erasure};

const ERASE_ROWS: &str = r#"
WITH erased AS (
    UPDATE stentor.alerts r SET message = e.message, pattern = NULL, context_before = NULL, context_after = NULL,
        app_name = coalesce(e.app_name, r.app_name), log_group = coalesce(e.log_group, r.log_group),
        log_stream = coalesce(e.log_stream, r.log_stream), source = coalesce(e.source, r.source)
    FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[])
            AS e (id, message, app_name, log_group, log_stream, source)
        JOIN stentor.alert_ids c ON c.id = e.id
    WHERE r.stored_on = c.stored_on AND r."timestamp" = c."timestamp" AND r.key = c.id
    RETURNING 1
)
SELECT count(*) AS n FROM erased"#;

impl<C: Clock> PostgresStore<C> {
    /// Erases rows. Returns how many there were: a row that has expired is not written again.
    ///
    /// # Errors
    /// When the call does not return by the deadline.
    pub async fn erase_rows(
        &self,
        rows: &[ErasedRow],
        deadline: Deadline,
    ) -> Result<u64, StoreError> {
        let keys: Vec<AlertKey> = rows.iter().map(|row| AlertKey::of(&row.log_id)).collect();
        let messages: Vec<&str> = rows.iter().map(|row| &*row.message).collect();
        let column = |of: fn(&ErasedRow) -> &Option<String>| {
            rows.iter().map(|row| of(row).as_deref()).collect::<Vec<_>>()
        };
        let parameters: [Parameter<'_>; 6] = [
            (&keys, Type::UUID_ARRAY),
            (&messages, Type::TEXT_ARRAY),
            (&column(|row| &row.app_name), Type::TEXT_ARRAY),
            (&column(|row| &row.log_group), Type::TEXT_ARRAY),
            (&column(|row| &row.log_stream), Type::TEXT_ARRAY),
            (&column(|row| &row.source), Type::TEXT_ARRAY),
        ];
        let answer = self.rows(ERASE_ROWS, &parameters, deadline).await.map_err(needs_owner)?;
        answer.first().map_or(Ok(0), |row| value::count(row, "n"))
    }

    /// Replaces a tally. Returns whether it was still there.
    ///
    /// # Errors
    /// When the call does not return by the deadline.
    pub async fn replace_tally(
        &self,
        route: &RouteName,
        key: &TallyKey,
        tally: &Tally,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let id: i64 = key.sort.parse().map_err(|_| {
            StoreError::Invalid(Cause::new("bad-key", "a key of a tally is from another store"))
        })?;
        let sql = "WITH gone AS ( \
                DELETE FROM stentor.tallies WHERE route = $1 AND id = $2 RETURNING route \
            ) INSERT INTO stentor.tallies (route, tally) SELECT route, $3 FROM gone RETURNING 1";
        let parameters: [Parameter<'_>; 3] =
            [(&route.as_str(), Type::TEXT), (&id, Type::INT8), (&pack_json(tally), Type::BYTEA)];
        Ok(!self.rows(sql, &parameters, deadline).await?.is_empty())
    }

    /// Erases an epoch. Returns whether it held the subject.
    ///
    /// # Errors
    /// When a call does not return by the deadline.
    pub async fn erase_epoch(
        &self,
        route: &RouteName,
        epoch: u64,
        erasure: &Erasure,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let key: [Parameter<'_>; 2] = [(&route.as_str(), Type::TEXT), (&number(epoch), Type::INT8)];
        let read = "SELECT epoch FROM stentor.epochs WHERE route = $1 AND number = $2";
        // Another erasure may change it meanwhile.
        let write = "UPDATE stentor.epochs SET epoch = $3 \
            WHERE route = $1 AND number = $2 AND epoch = $4 RETURNING 1";
        loop {
            let rows = self.rows(read, &key, deadline).await?;
            let Some(row) = rows.first() else { return Ok(false) };
            let found: Epoch = value::packed(row, "epoch")?;
            let Some(erased) = erasure.epoch(&found) else { return Ok(false) };
            let (erased, known) = (pack_json(&erased), get::<&[u8]>(row, "epoch")?);
            let parameters = [&key[..], &[(&erased, Type::BYTEA), (&known, Type::BYTEA)]].concat();
            if !self.rows(write, &parameters, deadline).await?.is_empty() {
                return Ok(true);
            }
        }
    }
}

/// The role of the functions may not do it, and should not.
fn needs_owner(error: StoreError) -> StoreError {
    match error {
        StoreError::Refused(cause) if cause.code == "42501" => StoreError::Refused(Cause::new(
            "not-owner",
            "this role may not change audit rows: use the role that ran `stentor migrate`",
        )),
        error => error,
    }
}
