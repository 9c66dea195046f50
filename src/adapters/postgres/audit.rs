//! Queries of the audit rows, the latest first, page by page. Each page continues after the last row of
//! the page before, so no snapshot and no cursor of the server is held meanwhile.

use std::time::{Duration, SystemTime};

use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use tokio_postgres::Row;
use tokio_postgres::types::Type;

use super::PostgresStore;
use super::call::Parameter;
use super::value::{self, AlertKey, get};
use crate::model::audit::{AlertQuery, AuditRow};
use crate::model::error::Cause;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;

/// Rows of the first page: a query may want no more.
const PAGE_ROWS_FIRST: usize = 500;

/// Rows of a later page have about so many bytes together. A row has at most 24 KiB.
const PAGE_BYTES: usize = 4 << 20;

/// Bounds of the rows of a later page, whatever the rows before it were like.
const PAGE_ROWS_MIN: usize = 100;
const PAGE_ROWS_MAX: usize = 5_000;

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
        let before = query.after.as_ref().filter(|after| after.timestamp <= query.until);
        let before = before.map(|after| value::text(&after.log_id).into_owned());
        let mut until = (value::system_time(query.latest()), before);
        let mut page_rows = PAGE_ROWS_FIRST;
        loop {
            let page = self.page(query, &until, page_rows, deadline()).await?;
            let select = |row: &Row| audit_row(row).map(|row| query.select(row));
            let selected: Vec<Option<AuditRow>> =
                page.par_iter().map(select).collect::<Result<_, _>>()?;
            for row in selected.into_iter().flatten() {
                if !show(row)? {
                    return Ok(());
                }
            }
            let Some(last) = page.last().filter(|_| page.len() == page_rows) else {
                return Ok(());
            };
            until = (get(last, "timestamp")?, Some(get(last, "log_id")?));
            let bytes: usize = page.iter().map(Row::raw_size_bytes).sum();
            let row_bytes = (bytes / page.len()).max(1);
            page_rows = (PAGE_BYTES / row_bytes).clamp(PAGE_ROWS_MIN, PAGE_ROWS_MAX);
        }
    }

    /// The page that ends the latest with `until`, or before the row with that id.
    async fn page(
        &self,
        query: &AlertQuery,
        (until, before): &(SystemTime, Option<String>),
        page_rows: usize,
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
        if let Some(account) = &query.account {
            parameters.push((account, Type::TEXT));
            sql.push_str(&format!(" AND account_id = ${}", parameters.len()));
        }
        sql.push_str(&format!(" ORDER BY \"timestamp\" DESC, log_id DESC LIMIT {page_rows}"));
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
        let mut row = rows.first().map(audit_row).transpose()?;
        row.iter_mut().for_each(AuditRow::find_pattern);
        Ok(row)
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

/// The row as it is stored: it may have no pattern.
fn audit_row(row: &Row) -> Result<AuditRow, StoreError> {
    let text = |column| get::<Option<&str>>(row, column).map(|text| text.unwrap_or("").to_owned());
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
        pattern: text("pattern")?,
        source: text("source")?,
        marker: text("marker")?,
        message: text("message")?,
        context_before: text("context_before")?,
        context_after: text("context_after")?,
    })
}
