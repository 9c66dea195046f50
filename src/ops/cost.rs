//! Estimates what Stentor costs: from a volume of logs and a price list to dollars per service.
//!
//! Three pure steps. A [`Workload`] describes the logs and the deployment. [`Usage::of`] derives
//! what AWS meters in a month, from how the code and the template work. [`Bill::of`] multiplies
//! that by [`Prices`]. Every number in between is a named [`Assumption`] with its reason.
//! `docs/cost.md` explains the model.
//!
//! It leaves out free tiers, discounts, taxes, retries and cold starts.

mod assumption;
mod bill;
mod prices;
mod usage;

pub use assumption::{ASSUMPTIONS, Assumption, Basis};
pub use bill::{Bill, Charge};
pub use prices::{BUILTIN, Meter, Price, Prices, Service};
pub use usage::{LineItem, Usage, Volume};

use serde::Serialize;

/// As in AWS's pricing calculator.
const HOURS_PER_MONTH: f64 = 730.0;
const DAYS_PER_MONTH: f64 = HOURS_PER_MONTH / 24.0;

/// The largest record that a stream takes, and the largest event of an asynchronous invocation.
const RECORD_BYTES_MAX: f64 = 1024.0 * 1024.0;

/// The logs to process, and the deployment that does it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Workload {
    /// Logs as CloudWatch Logs counts them, uncompressed; a TB is 10^12 bytes.
    pub tb_per_day: f64,
    /// Share of the log events that become alerts.
    pub match_ratio: f64,
    /// Average size of the message of a log event.
    pub event_bytes: u32,
    /// The same, of a log event that becomes an alert.
    pub alert_bytes: u32,
    /// Log events that CloudWatch Logs puts into one record.
    pub events_per_record: u32,
    /// Times by which gzip shrinks the log events of a large record.
    pub compression: f64,
    pub subscription: Subscription,
    pub architecture: Architecture,
    pub stream_retention_hours: u32,
    pub routes: u32,
    pub targets_per_route: u32,
    /// Subscribed log groups in the account of the stack.
    pub log_groups: u32,
}

/// Where subscriptions send log events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Subscription {
    /// To an on-demand stream, which invokes the consumer with batches.
    Stream,
    /// To the consumer, with one invocation per record.
    Direct,
}

/// The processor of the functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Architecture {
    #[serde(rename = "arm64")]
    Arm64,
    #[serde(rename = "x86_64")]
    X86,
}

impl Default for Workload {
    /// A terabyte a day of lines such as `stentor sample` writes, deployed as the template does.
    fn default() -> Self {
        Self {
            tb_per_day: 1.0,
            match_ratio: 0.001,
            event_bytes: 190,
            alert_bytes: 320,
            events_per_record: 100,
            compression: 4.7,
            subscription: Subscription::Stream,
            architecture: Architecture::Arm64,
            stream_retention_hours: 168,
            routes: 1,
            targets_per_route: 1,
            log_groups: 20,
        }
    }
}

impl Workload {
    /// Bytes of the average record as it is sent: gzip.
    pub fn record_bytes(&self) -> f64 {
        let event = assumption::EVENT_JSON_BYTES.value + f64::from(self.event_bytes);
        assumption::RECORD_GZIP_BYTES.value
            + f64::from(self.events_per_record) * event / self.compression
    }

    /// Whether CloudWatch Logs can send records of this size.
    pub fn fits_a_record(&self) -> bool {
        self.record_bytes() <= RECORD_BYTES_MAX
    }
}

#[cfg(test)]
mod tests;
