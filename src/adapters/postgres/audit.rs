//! Queries of the audit rows, the latest first, page by page. Each page continues after the last row of
//! the page before, so no snapshot and no cursor of the server is held meanwhile.

use std::time::{Duration, SystemTime};

use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::PostgresStore;
use super::call::Parameter;
use super::value::{self, AlertKey, get};
use crate::model::audit::{AlertQuery, AuditRow};
use crate::model::error::Cause;
use crate::model::pattern::Pattern;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;

/// Rows of one page. A row has at most 24 KiB.
const PAGE_ROWS: i64 = 500;

/// How long a page may take: rows that do not match are passed over.
const PAGE_MAX: Duration = Duration::from_secs(60);

const COLUMNS: &str = "log_id, \"timestamp\", marker, message, app_name, routes, account_id, region, log_group, \
     log_stream, source, pattern, context_before, context_after";

impl<C: Clock> PostgresStore<C> {
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
        let mut until = (value::system_time(query.until), None::<String>);
        loop {
            let page = self.page(query, &until, deadline()).await?;
            for row in &page {
                let (at, row): (SystemTime, AuditRow) = (get(row, "timestamp")?, audit_row(row)?);
                until = (at, Some(row.log_id.clone()));
                if query.admits(&row) && !show(row)? {
                    return Ok(());
                }
            }
            if (page.len() as i64) < PAGE_ROWS {
                return Ok(());
            }
        }
    }

    /// The page that ends the latest with `until`, or before the row with that id.
    async fn page(
        &self,
        query: &AlertQuery,
        (until, before): &(SystemTime, Option<String>),
        deadline: Deadline,
    ) -> Result<Vec<Row>, StoreError> {
        let since = value::system_time(query.since);
        let route = query.route.as_ref().map(ToString::to_string);
        let mut sql = format!(
            "SELECT {COLUMNS} FROM stentor.alerts WHERE \"timestamp\" >= $1 AND \"timestamp\" <= $2 \
                AND ($3::text IS NULL OR \"timestamp\" < $2 OR log_id < $3)"
        );
        let mut parameters: Vec<Parameter<'_>> =
            vec![(&since, Type::TIMESTAMPTZ), (until, Type::TIMESTAMPTZ), (before, Type::TEXT)];
        if let Some(app) = &query.app {
            parameters.push((app, Type::TEXT));
            sql.push_str(&format!(" AND app_name = ${}", parameters.len()));
        }
        if let Some(route) = &route {
            parameters.push((route, Type::TEXT));
            sql.push_str(&format!(" AND ${} = ANY (routes)", parameters.len()));
        }
        sql.push_str(&format!(" ORDER BY \"timestamp\" DESC, log_id DESC LIMIT {PAGE_ROWS}"));
        self.rows_within(PAGE_MAX, &sql, &parameters, deadline).await
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
        let sql = format!(
            "SELECT a.* FROM stentor.alert_ids c CROSS JOIN LATERAL ( \
                SELECT {COLUMNS} FROM stentor.alerts r \
                WHERE r.stored_on = c.stored_on AND r.\"timestamp\" = c.\"timestamp\" AND r.key = c.id LIMIT 1 \
            ) a WHERE c.id = $1"
        );
        let rows = self.rows(&sql, &[(&AlertKey::of(log_id), Type::UUID)], deadline).await?;
        rows.first().map(audit_row).transpose()
    }

    /// The id of this database. No other one on its server has it, not even a copy.
    ///
    /// # Errors
    /// When the call does not return by its `deadline`.
    pub async fn installation_id(&self, deadline: Deadline) -> Result<String, StoreError> {
        let sql = "SELECT md5(i.id || d.oid::text) AS id FROM stentor.installation i, pg_database d \
            WHERE d.datname = current_database()";
        let rows = self.rows(sql, &[], deadline).await?;
        let row = rows.first().ok_or_else(|| {
            StoreError::Refused(Cause::new("no-installation", "the installation has no id"))
        })?;
        get(row, "id")
    }
}

fn audit_row(row: &Row) -> Result<AuditRow, StoreError> {
    let text = |column| get::<Option<&str>>(row, column).map(|text| text.unwrap_or("").to_owned());
    let (marker, message) = (text("marker")?, text("message")?);
    let at: SystemTime = get(row, "timestamp")?;
    Ok(AuditRow {
        log_id: text("log_id")?,
        timestamp: value::timestamp(at).iso(),
        app_name: text("app_name")?,
        routes: get(row, "routes")?,
        account_id: text("account_id")?,
        region: text("region")?,
        log_group: text("log_group")?,
        log_stream: text("log_stream")?,
        pattern: match text("pattern")? {
            // Only the row of a message that was cut has it.
            absent if absent.is_empty() => Pattern::of(&message, &marker).as_str().to_owned(),
            pattern => pattern,
        },
        source: text("source")?,
        marker,
        message,
        context_before: text("context_before")?,
        context_after: text("context_after")?,
    })
}
