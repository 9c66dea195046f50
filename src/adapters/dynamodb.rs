//! The store on DynamoDB: two tables, transactions with conditions, nothing else. Attribute by
//! attribute it is described in `ARCHITECTURE.md`; `table` can make the tables, for tests and for the
//! embedded engine (in an account the template does).
//!
//! Retrying is done here and not by the SDK, because only this side knows the deadline of the
//! invocation and which answers are outcomes rather than errors.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;

use crate::adapters::clock::SystemClock;
use crate::adapters::random::Random;

mod audit;
mod calendar;
mod call;
mod claim;
mod commit;
mod expression;
mod item;
mod outbox;
pub mod table;
mod value;

/// The tables, and for how long rows are kept.
#[derive(Clone, Debug)]
pub struct Tables {
    pub alerts: String,
    pub outbox: String,
    /// Age at which an alert row may expire. Never less than stream and dead-letter retention
    /// together: an alert that is replayed after its row has expired would count twice.
    pub alerts_ttl: Duration,
}

/// The store on DynamoDB, through the official client.
pub struct DynamoStore<C = SystemClock> {
    client: Client,
    tables: Tables,
    in_flight: usize,
    clock: C,
    random: Random,
    registered: calendar::Registered,
}

impl Default for Tables {
    fn default() -> Self {
        const DAY: Duration = Duration::from_hours(24);
        Self { alerts: "AppLogs".to_owned(), outbox: "Outbox".to_owned(), alerts_ttl: DAY * 90 }
    }
}

impl<C> DynamoStore<C> {
    /// `config` has the Region, the credentials and the endpoint. Its retries and time-outs are replaced. `rng` makes the
    /// keys of tallies, the tokens of transactions and the jitter of retries.
    pub fn new(config: &aws_types::SdkConfig, tables: Tables, clock: C, rng: fastrand::Rng) -> Self {
        const ATTEMPT_MAX: Duration = Duration::from_secs(5);
        const CONNECT_MAX: Duration = Duration::from_secs(2);
        let timeouts =
            TimeoutConfig::builder().operation_attempt_timeout(ATTEMPT_MAX).connect_timeout(CONNECT_MAX).build();
        let config = aws_sdk_dynamodb::config::Builder::from(config)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        Self {
            client: Client::from_conf(config),
            tables,
            in_flight: commit::IN_FLIGHT,
            clock,
            random: Random::new(rng),
            registered: calendar::Registered::default(),
        }
    }

    /// The same with another number of a commit's transactions on their way at once: for the bench that looks for
    /// the right one.
    #[must_use]
    pub fn with_in_flight(self, transactions: usize) -> Self {
        Self { in_flight: transactions, ..self }
    }

    /// The client itself, for questions that are not part of the protocol.
    pub fn client(&self) -> &Client {
        &self.client
    }

    pub fn tables(&self) -> &Tables {
        &self.tables
    }

    /// 128 random bits in hexadecimal: keys of tallies, tokens of transactions.
    fn unique(&self) -> String {
        format!("{:016x}{:016x}", self.random.bits(), self.random.bits())
    }
}
