//! The model: what a terabyte (10^12 bytes) of decompressed logs costs, from figures and prices. The same
//! formulas stand in `docs/performance.md` for whoever wants to reckon a row by hand; keep them alike.

#![allow(dead_code, reason = "each program uses a part of it")]

use serde::Deserialize;
use serde_json::Value;
use toml::Spanned;
use toml::de::{DeString, DeTable, DeValue};

use crate::figures::{Figures, Point, Stored, path};

const TB: f64 = 1e12;
const GIB: f64 = 1024.0 * 1024.0 * 1024.0;
const HOURS_PER_MONTH: f64 = 730.0;

/// Memory at which Lambda gives a whole vCPU; less memory is proportionally less of it.
pub const VCPU_MB: f64 = 1769.0;

/// Rows beside one tally in a transaction of Stentor, and in a `BatchWriteItem` of the others.
const ROWS_PER_TRANSACTION: f64 = 99.0;
const ROWS_PER_BATCH: f64 = 25.0;
const CALLS_AT_ONCE: f64 = 8.0;

/// Deletes beside an epoch and the cursor in a transaction that freezes.
const TALLIES_PER_EPOCH: f64 = 97.0;

/// Write units of a window beside its epochs: marked as armed, closed, leased, settled, retired.
const UNITS_PER_WINDOW: f64 = 5.0;

/// DynamoDB stores this much beside each item, in the table and in the index.
const ITEM_OVERHEAD_BYTES: f64 = 100.0;

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Prices {
    pub as_of: String,
    pub lambda: Lambda,
    pub dynamodb: DynamoDb,
    pub kinesis_on_demand: OnDemand,
    pub kinesis_provisioned: Provisioned,
    pub assumed: Assumed,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Lambda {
    pub arm64_gb_second: f64,
    pub x86_64_gb_second: f64,
    pub request: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DynamoDb {
    pub write_unit: f64,
    pub read_unit: f64,
    pub storage: f64,
    pub recovery: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnDemand {
    pub stream_hour: f64,
    pub gb_in: f64,
    pub gb_out: f64,
    pub gb_month_extended: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provisioned {
    pub shard_hour: f64,
    pub shard_hour_extended: f64,
    pub put_units: f64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Assumed {
    pub architecture: Architecture,
    pub memory_mb: f64,
    pub vcpu_slowness: f64,
    pub overhead_ms: f64,
    pub call_ms: f64,
    pub call_cpu_ms: f64,
    pub arm_ms: f64,
    pub tb_per_day: f64,
    pub windows_per_day: f64,
    pub stream_retention_hours: f64,
    pub alert_retention_days: f64,
    pub shard_used: f64,
    pub index_factor: f64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
pub enum Architecture {
    #[serde(rename = "arm64")]
    Arm64,
    #[serde(rename = "x86_64")]
    X86,
}

impl Prices {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(path("prices.toml")).expect("docs/prices.toml");
        let table = DeTable::parse(&text).expect("TOML");
        serde_json::from_value(plain(table.get_ref())).expect("prices of this version of the program")
    }

    fn gb_second(&self) -> f64 {
        match self.assumed.architecture {
            Architecture::Arm64 => self.lambda.arm64_gb_second,
            Architecture::X86 => self.lambda.x86_64_gb_second,
        }
    }
}

/// The crate's `toml` is built without serde, which knows JSON.
fn plain(table: &DeTable<'_>) -> Value {
    let entry = |(key, value): (&Spanned<DeString<'_>>, &Spanned<DeValue<'_>>)| {
        let value = match value.get_ref() {
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Integer(number) => Value::from(number.as_str().parse::<f64>().expect("a decimal number")),
            DeValue::Float(number) => Value::from(number.as_str().parse::<f64>().expect("a decimal number")),
            DeValue::Table(table) => plain(table),
            other => panic!("{key:?}: neither price nor name: {other:?}"),
        };
        (key.get_ref().to_string(), value)
    };
    Value::Object(table.iter().map(entry).collect())
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    Stentor,
    Naive,
    Python,
}

impl Way {
    pub const ALL: [Self; 3] = [Self::Stentor, Self::Naive, Self::Python];

    pub fn name(self) -> &'static str {
        match self {
            Self::Stentor => "Stentor",
            Self::Naive => "naive Rust",
            Self::Python => "Python",
        }
    }

    fn ms(self, point: &Point) -> f64 {
        match self {
            Self::Stentor => point.stentor.ms,
            Self::Naive => point.naive.ms,
            Self::Python => point.python.ms,
        }
    }

    pub fn process_bytes(self, point: &Point) -> u64 {
        match self {
            Self::Stentor => point.stentor.process_bytes,
            Self::Naive => point.naive.process_bytes,
            Self::Python => point.python.process_bytes,
        }
    }
}

/// A terabyte of logs: what is used, and its dollars.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bill {
    pub billed_ms: f64,
    pub invocations: f64,
    pub gb_seconds: f64,
    pub write_units: f64,
    pub read_units: f64,
    pub lambda: f64,
    pub dynamodb: f64,
    pub storage: f64,
    pub kinesis: f64,
}

impl Bill {
    pub fn total(&self) -> f64 {
        self.lambda + self.dynamodb + self.storage + self.kinesis
    }
}

/// What a terabyte costs that comes in invocations such as `point`, of whose alerts `stored` says how large they are.
pub fn bill(prices: &Prices, point: &Point, stored: &Stored, way: Way, memory_mb: f64) -> Bill {
    let assumed = &prices.assumed;
    let invocations = TB / point.invocation.decoded_bytes as f64;
    let alerts = (point.invocation.events as f64 * point.invocation.match_ratio).round();
    let calls = match way {
        Way::Stentor => (alerts / ROWS_PER_TRANSACTION).ceil(),
        Way::Naive | Way::Python => (alerts / ROWS_PER_BATCH).ceil(),
    };
    let arms = f64::from(u8::from(way == Way::Stentor && alerts > 0.0));

    let computing_ms = way.ms(point) * assumed.vcpu_slowness + calls * assumed.call_cpu_ms;
    let waiting_ms = assumed.overhead_ms + (calls / CALLS_AT_ONCE).ceil() * assumed.call_ms + arms * assumed.arm_ms;
    let billed_ms = (computing_ms * (VCPU_MB / memory_mb).max(1.0) + waiting_ms).ceil();
    let gb_seconds = invocations * billed_ms / 1e3 * memory_mb / 1024.0;

    let of_alerts = |sum: u64| sum as f64 / stored.alerts as f64 * alerts;
    let (rows, index) = (of_alerts(stored.row_kib), of_alerts(stored.index_kib));
    let tally_kib = stored.tally_kib as f64 / stored.tallies as f64;
    let (write_units, read_units) = match way {
        Way::Stentor if alerts > 0.0 => {
            let windows = assumed.windows_per_day / assumed.tb_per_day;
            // An epoch holds up to 97 tallies, and none holds those of two windows.
            let epochs = windows + invocations * calls / TALLIES_PER_EPOCH;
            let commit = 2.0 * rows + assumed.index_factor * index + 2.0 * calls * tally_kib;
            let freeze = 2.0 * calls * tally_kib;
            let of_epoch = 2.0 * stored.epoch_kib as f64 + 2.0 + stored.epoch_kib as f64;
            let read = invocations * (arms + calls * tally_kib / 4.0);
            (invocations * (commit + freeze) + epochs * of_epoch + windows * UNITS_PER_WINDOW, read)
        }
        Way::Stentor => (0.0, 0.0),
        Way::Naive | Way::Python => (invocations * (rows + index), 0.0),
    };
    let row_bytes = of_alerts(stored.row_bytes) + ITEM_OVERHEAD_BYTES * alerts;
    let index_bytes = of_alerts(stored.index_bytes) + ITEM_OVERHEAD_BYTES * alerts;
    let months = assumed.alert_retention_days * 24.0 / HOURS_PER_MONTH;
    let kept = (row_bytes + index_bytes) * prices.dynamodb.storage + row_bytes * prices.dynamodb.recovery;

    Bill {
        billed_ms,
        invocations,
        gb_seconds,
        write_units,
        read_units,
        lambda: gb_seconds * prices.gb_second() + invocations / 1e6 * prices.lambda.request,
        dynamodb: (write_units * prices.dynamodb.write_unit + read_units * prices.dynamodb.read_unit) / 1e6,
        storage: invocations * kept / GIB * months,
        kinesis: on_demand(prices, point),
    }
}

/// A terabyte through an on-demand stream.
pub fn on_demand(prices: &Prices, point: &Point) -> f64 {
    let (price, assumed) = (&prices.kinesis_on_demand, &prices.assumed);
    let gb = TB / point.invocation.decoded_bytes as f64 * point.invocation.kinesis_kib as f64 * 1024.0 / GIB;
    let extended_months = (assumed.stream_retention_hours - 24.0).max(0.0) / HOURS_PER_MONTH;
    gb * (price.gb_in + price.gb_out + extended_months * price.gb_month_extended)
        + price.stream_hour * 24.0 / assumed.tb_per_day
}

/// A terabyte through a provisioned stream.
pub fn provisioned(prices: &Prices, point: &Point) -> f64 {
    const SHARD_BYTES_PER_HOUR: f64 = 3600.0 * 1024.0 * 1024.0;
    let (price, assumed) = (&prices.kinesis_provisioned, &prices.assumed);
    let invocations = TB / point.invocation.decoded_bytes as f64;
    let hours = invocations * point.invocation.gzip_bytes as f64 / (SHARD_BYTES_PER_HOUR * assumed.shard_used);
    let extended = if assumed.stream_retention_hours > 24.0 { price.shard_hour_extended } else { 0.0 };
    hours * (price.shard_hour + extended) + invocations * point.invocation.put_units as f64 / 1e6 * price.put_units
}

impl Figures {
    /// The full invocation of which this share of events matches.
    pub fn matching(&self, ratio: f64) -> &Point {
        let found = self.matches.iter().find(|point| point.invocation.match_ratio == ratio);
        found.expect("a ratio that was measured")
    }

    /// What was stored at this ratio, or else at the highest below it.
    pub fn stored(&self, ratio: f64) -> &Stored {
        self.store.iter().rev().find(|stored| stored.match_ratio <= ratio).unwrap_or(&self.store[0])
    }

    pub fn bill(&self, prices: &Prices, way: Way, ratio: f64) -> Bill {
        bill(prices, self.matching(ratio), self.stored(ratio), way, prices.assumed.memory_mb)
    }
}

/// The match ratio at which what DynamoDB takes of Stentor, rows kept included, reaches `other` of the bill;
/// linear between the ratios that were measured.
pub fn takes_over(figures: &Figures, prices: &Prices, other: impl Fn(&Bill) -> f64) -> Option<f64> {
    let bills: Vec<(f64, f64)> = figures
        .matches
        .iter()
        .map(|point| point.invocation.match_ratio)
        .map(|ratio| (ratio, figures.bill(prices, Way::Stentor, ratio)))
        .map(|(ratio, bill)| (ratio, bill.dynamodb + bill.storage - other(&bill)))
        .collect();
    bills.windows(2).find_map(|pair| {
        let [(low, below), (high, above)] = pair else { return None };
        (*below < 0.0 && *above >= 0.0).then(|| low + (high - low) * below / (below - above))
    })
}
