//! The store on DynamoDB: two tables, and transactions with conditions.
//!
//! The retries are made here and not by the SDK, which knows neither the deadline of the invocation
//! nor which errors are outcomes.
//!
//! | file | holds |
//! |---|---|
//! | `outbox` | the port: cursors, tallies, epochs, targets, and the conditions on them |
//! | `commit`, `commit_request`, `pressure` | rows and tallies in one transaction, fewer at once when throttled |
//! | `hours`, `routes` | the hours and the routes that have alerts |
//! | `audit`, `erase` | queries of the alerts table; erasure |
//! | `lag` | whether a consumer is behind its stream |
//! | `item`, `value`, `expression` | the layout of the items, and how they are written |
//! | `call`, `items` | one call, with its retries; reads and writes of single items |
//! | `table` | creates the tables, for tests and for the embedded engine |

use std::collections::HashSet;
use std::sync::Mutex;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;

use crate::adapters::clock::SystemClock;
use crate::adapters::noted_lag::NotedLag;
use crate::adapters::random::Random;
use crate::model::name::RouteName;

mod audit;
mod call;
mod commit;
mod commit_request;
#[cfg(feature = "cli")]
mod erase;
mod expression;
mod history;
mod hours;
mod item;
mod items;
mod lag;
mod outbox;
mod pressure;
mod routes;
pub mod table;
mod value;

const DAY: Duration = Duration::from_hours(24);

/// The names of the tables, and how long rows are kept.
#[derive(Clone, Debug)]
pub struct Tables {
    pub alerts: String,
    pub outbox: String,
    /// The age at which an alert row expires. At least the retention of the stream plus that of the
    /// dead-letter queue: an alert that is replayed after its row has expired counts twice.
    pub alerts_ttl: Duration,
}

/// The store on DynamoDB, through the official client.
pub struct DynamoStore<C = SystemClock> {
    client: Client,
    tables: Tables,
    /// The file of a database on this machine.
    file: Option<String>,
    pressure: pressure::Pressure,
    clock: C,
    random: Random,
    registered_hours: hours::RegisteredHours,
    noted_lag: NotedLag,
    /// The routes that this process has registered.
    registered_routes: Mutex<HashSet<RouteName>>,
}

impl Default for Tables {
    fn default() -> Self {
        let alerts_ttl = DAY * u32::from(Self::DAYS);
        Self { alerts: "AppLogs".to_owned(), outbox: "Outbox".to_owned(), alerts_ttl }
    }
}

impl Tables {
    /// A stream keeps records for 7 days at most, and the dead-letter queue keeps letters for 14. An
    /// alert that comes again after its row has expired would count twice.
    pub const RETENTION_DAYS_MIN: u16 = 21;

    /// For how long rows are kept, unless told otherwise.
    pub const DAYS: u16 = 90;

    /// A number of days as text.
    ///
    /// # Errors
    /// When it is no number, or too small. The text says what is expected.
    pub fn days(text: &str) -> Result<u16, String> {
        let days: Option<u16> = text.parse().ok().filter(|days| *days >= Self::RETENTION_DAYS_MIN);
        days.ok_or_else(|| {
            format!(
                "expected a whole number of days, at least {}: within that time a record can come again",
                Self::RETENTION_DAYS_MIN
            )
        })
    }

    /// The same tables with rows that are kept for so many days.
    #[must_use]
    pub fn keeping(self, days: u16) -> Self {
        Self { alerts_ttl: DAY * u32::from(days), ..self }
    }
}

impl<C> DynamoStore<C> {
    /// `config` has the Region, the credentials and the endpoint. Its retries and time-outs are
    /// replaced. `rng` makes the keys of tallies, the tokens of transactions and the jitter of
    /// retries.
    pub fn new(
        config: &aws_types::SdkConfig,
        tables: Tables,
        clock: C,
        rng: fastrand::Rng,
    ) -> Self {
        const ATTEMPT_MAX: Duration = Duration::from_secs(5);
        const CONNECT_MAX: Duration = Duration::from_secs(2);
        let timeouts = TimeoutConfig::builder()
            .operation_attempt_timeout(ATTEMPT_MAX)
            .connect_timeout(CONNECT_MAX)
            .build();
        let config = aws_sdk_dynamodb::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        Self {
            client: Client::from_conf(config),
            tables,
            file: None,
            pressure: pressure::Pressure::new(commit::IN_FLIGHT),
            clock,
            random: Random::new(rng),
            registered_hours: hours::RegisteredHours::default(),
            registered_routes: Mutex::default(),
            noted_lag: NotedLag::default(),
        }
    }

    /// Sets the number of transactions that one commit has in flight, for the bench that measures
    /// it.
    #[must_use]
    pub fn with_in_flight(self, transactions: usize) -> Self {
        Self { pressure: pressure::Pressure::new(transactions), ..self }
    }

    /// The client, for calls that are not part of the protocol.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// For a database in a file on this machine: people know it by its path, and not by its tables.
    #[cfg(feature = "cli")]
    pub(super) fn set_file(&mut self, file: Option<String>) {
        self.file = file;
    }

    /// Where a table is, for people.
    pub(super) fn place(&self, table: &str) -> String {
        match &self.file {
            Some(file) => format!("the database file {file}"),
            None => format!("the table {table}"),
        }
    }

    /// 128 random bits in hexadecimal, for the keys of tallies and the tokens of transactions.
    fn unique(&self) -> String {
        format!("{:016x}{:016x}", self.random.bits(), self.random.bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_kept_until_no_record_can_come_again() {
        assert_eq!((Tables::days("21"), Tables::days("365")), (Ok(21), Ok(365)));
        assert_eq!(Tables::default().keeping(21).alerts_ttl.as_secs(), 21 * 86_400);
        for text in ["20", "0", "-1", "", "90d", "99999"] {
            assert!(Tables::days(text).unwrap_err().contains("at least 21"), "{text}");
        }
    }
}
