//! Partitions for the days to come, and the end of what has expired: the function `stentor.maintain` of
//! the migrations. Without it, rows of later days go to the default partition, and nothing expires. A process
//! that does not know for how long rows are kept makes partitions and drops nothing.

use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio_postgres::types::Type;

use super::{ATTEMPT_MAX, PostgresStore};
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::StoreError;

/// A process maintains the tables this often. A call deletes at most 20,000 rows of a table, so that a
/// process alone keeps up with five million alerts a day.
const MAINTAINED_EVERY: Duration = Duration::from_secs(5 * 60);

impl<C: Clock> PostgresStore<C> {
    pub(super) async fn maintain_tables(&self, deadline: Deadline) -> Result<(), StoreError> {
        let now = self.clock.now();
        let last = self.maintained_at.load(Ordering::Relaxed);
        let is_due = now.as_millis().saturating_sub(last) >= MAINTAINED_EVERY.as_millis() as i64;
        if !is_due {
            return Ok(());
        }
        self.maintained_at.store(now.as_millis(), Ordering::Relaxed);
        let sql = "SELECT made, dropped, deleted FROM stentor.maintain($1)";
        let days = self.kept_days.map(i32::from);
        let rows = self.rows_within(ATTEMPT_MAX, sql, &[(&days, Type::INT4)], deadline).await?;
        if let Some(row) = rows.first() {
            let made: i32 = super::value::get(row, "made")?;
            let dropped: i32 = super::value::get(row, "dropped")?;
            let deleted: i64 = super::value::get(row, "deleted")?;
            tracing::debug!(
                partitions.made = made,
                partitions.dropped = dropped,
                rows.deleted = deleted,
                "Maintained the tables"
            );
        }
        Ok(())
    }
}
