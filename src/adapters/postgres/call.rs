//! One statement, repeated until it has an outcome or the deadline is near. An attempt that was cut off
//! may still take effect, so each caller makes the repetition harmless with a condition or a key.

use std::time::Duration;

use futures::future::try_join;
use tokio_postgres::Row;
use tokio_postgres::types::{ToSql, Type};

use super::error::{StatementError, leaves_connection_usable, statement_error};
use super::value::unconditional;
use super::{ATTEMPT_MAX, PostgresStore};
use crate::model::error::Cause;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::retry::{AttemptError, RetryPolicy, retry};
use crate::protocol::store::StoreError;

pub(super) const RETRY: RetryPolicy =
    RetryPolicy::new(Duration::from_millis(20), Duration::from_secs(2));

/// The shortest limit that the server is given for a statement.
const STATEMENT_MIN: Duration = Duration::from_millis(50);

/// A parameter of a statement, and its type.
pub(super) type Parameter<'a> = (&'a (dyn ToSql + Sync), Type);

/// The outcome of a statement.
pub(super) enum Outcome {
    Rows(Vec<Row>),
    /// It undid itself, because its condition does not hold.
    Undone,
    /// It took longer than its limit. It may still take effect.
    Slow(Cause),
}

/// How to handle a statement that takes longer than its limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum WhenSlow {
    Repeat,
    Return,
}

impl<C: Clock> PostgresStore<C> {
    /// The rows that a statement returns.
    pub(super) async fn rows(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        deadline: Deadline,
    ) -> Result<Vec<Row>, StoreError> {
        self.rows_within(ATTEMPT_MAX, sql, parameters, deadline).await
    }

    /// [`Self::rows`] of a statement that may take so long.
    pub(super) async fn rows_within(
        &self,
        limit: Duration,
        sql: &str,
        parameters: &[Parameter<'_>],
        deadline: Deadline,
    ) -> Result<Vec<Row>, StoreError> {
        let rows = self.rows_if_holds(limit, sql, parameters, deadline).await?;
        rows.ok_or_else(unconditional)
    }

    /// `None`: the statement undid itself, because its condition does not hold.
    pub(super) async fn rows_if_holds(
        &self,
        limit: Duration,
        sql: &str,
        parameters: &[Parameter<'_>],
        deadline: Deadline,
    ) -> Result<Option<Vec<Row>>, StoreError> {
        match self.outcome(limit, sql, parameters, WhenSlow::Repeat, deadline).await? {
            Outcome::Rows(rows) => Ok(Some(rows)),
            Outcome::Undone => Ok(None),
            Outcome::Slow(cause) => Err(StoreError::Unavailable(cause)),
        }
    }

    /// The outcome of a statement that may take so long.
    pub(super) async fn outcome(
        &self,
        limit: Duration,
        sql: &str,
        parameters: &[Parameter<'_>],
        when_slow: WhenSlow,
        deadline: Deadline,
    ) -> Result<Outcome, StoreError> {
        let attempt = || async {
            match self.attempt(limit, sql, parameters, deadline).await {
                Ok(rows) => Ok(Outcome::Rows(rows)),
                Err(StatementError::Condition) => Ok(Outcome::Undone),
                Err(StatementError::Slow(cause)) if when_slow == WhenSlow::Return => {
                    Ok(Outcome::Slow(cause))
                }
                Err(StatementError::Transient(cause) | StatementError::Slow(cause)) => {
                    Err(AttemptError::Transient(StoreError::Unavailable(cause)))
                }
                Err(StatementError::Invalid(cause)) => {
                    Err(AttemptError::Permanent(StoreError::Invalid(cause)))
                }
                Err(StatementError::Refused(cause)) => {
                    Err(AttemptError::Permanent(StoreError::Refused(cause)))
                }
            }
        };
        retry(RETRY, &self.clock, deadline, || self.random.bits(), attempt).await
    }

    async fn attempt(
        &self,
        limit: Duration,
        sql: &str,
        parameters: &[Parameter<'_>],
        deadline: Deadline,
    ) -> Result<Vec<Row>, StatementError> {
        let mut lent = self.pool.lend(&self.clock, deadline).await?;
        let now = self.clock.now();
        let ends = deadline.min(Deadline::after(now, limit));
        let connection = lent.connection();
        let statement_max = statement_max(ends.remaining(now));
        let is_set = statement_max == connection.statement_max;
        connection.statement_max = statement_max;
        let client = connection.client();
        let statement = client.query_typed(sql, parameters);
        let answer = async {
            if is_set {
                return statement.await;
            }
            // Sent together: still one round trip.
            let set = format!("SET statement_timeout = {}", statement_max.as_millis());
            try_join(client.batch_execute(&set), statement).await.map(|((), rows)| rows)
        };
        let answer = self.clock.timeout(ends, answer).await;
        let answer = answer.ok_or_else(|| StatementError::Slow(Cause::no_answer()))?;
        match &answer {
            Ok(_) => lent.give_back(self.clock.now()),
            Err(error) if leaves_connection_usable(error) => lent.give_back(self.clock.now()),
            // The others are most likely broken too.
            Err(_) => self.pool.forget_idle(),
        }
        answer.map_err(|error| statement_error(&error))
    }
}

/// The limit that the server gets for a statement that has `left`. Powers of two, so that it seldom
/// changes.
fn statement_max(left: Duration) -> Duration {
    let mut max = ATTEMPT_MAX;
    while max * 2 <= left {
        max *= 2;
    }
    while max > left && max / 2 >= STATEMENT_MIN {
        max /= 2;
    }
    max
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_of_a_statement_is_within_what_is_left() {
        let ms = Duration::from_millis;
        for (left, expected) in [
            (5_000, 5_000),
            (4_999, 2_500),
            (9_999, 5_000),
            (10_000, 10_000),
            (60_000, 40_000),
            (300, 156),
            (90, 78),
            (60, 78),
            (0, 78),
        ] {
            let max = statement_max(ms(left)).as_millis();
            assert_eq!(max, expected, "{left}");
        }
    }
}
