//! The price list: a TOML file with every price that the model needs, each with its source and
//! date.

use serde::Serialize;
use toml::de::DeTable;

use crate::config::{ConfigError, Diagnostics, Fields, TomlValue, utf8};
use crate::model::time::Timestamp;

/// The built-in price list, as `stentor cost --print-prices` prints it.
pub const BUILTIN: &str = include_str!("prices.toml");

/// The version of the file's format.
const VERSION: u64 = 1;

/// The form of a price, for error messages.
const PRICE: &str = r#"{ usd = 0.0, date = "2025-07", source = "…" }"#;

/// A source is a link or a short note.
const SOURCE_BYTES_MAX: usize = 200;

/// Dollars. A larger price is a typing error, and its product with a volume may overflow.
const USD_MAX: f64 = 10_000.0;

/// The services on the bill, the largest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Service {
    Kinesis,
    #[serde(rename = "dynamodb")]
    DynamoDb,
    #[serde(rename = "cloudwatch")]
    CloudWatch,
    Lambda,
    Sqs,
    SecretsManager,
    DataTransfer,
    #[serde(rename = "cloudwatch-logs")]
    CloudWatchLogs,
}

/// Everything that AWS meters and that has a price.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Meter {
    KinesisStreamHour,
    KinesisGbIn,
    KinesisGbOut,
    KinesisExtendedGbMonth,
    LambdaRequests,
    LambdaArm64,
    LambdaX86,
    DynamoDbWrites,
    DynamoDbReads,
    DynamoDbStored,
    DynamoDbRecovery,
    CloudWatchMetric,
    CloudWatchAlarm,
    CloudWatchQueryMetric,
    CloudWatchDashboard,
    LogsDelivered,
    LogsIngested,
    LogsStored,
    SqsRequests,
    Secret,
    SecretRequests,
    DataOut,
}

/// A meter, its place in the price list, and the unit that its price is for.
struct Entry {
    meter: Meter,
    table: &'static str,
    key: &'static str,
    unit: &'static str,
}

const fn entry(meter: Meter, table: &'static str, key: &'static str, unit: &'static str) -> Entry {
    Entry { meter, table, key, unit }
}

/// By `Meter as usize`.
const ENTRIES: [Entry; 22] = [
    entry(Meter::KinesisStreamHour, "kinesis", "stream_hour", "hours"),
    entry(Meter::KinesisGbIn, "kinesis", "gb_in", "GB"),
    entry(Meter::KinesisGbOut, "kinesis", "gb_out", "GB"),
    entry(Meter::KinesisExtendedGbMonth, "kinesis", "extended_gb_month", "GB-months"),
    entry(Meter::LambdaRequests, "lambda", "million_requests", "million"),
    entry(Meter::LambdaArm64, "lambda", "arm64_gb_second", "GB-seconds"),
    entry(Meter::LambdaX86, "lambda", "x86_64_gb_second", "GB-seconds"),
    entry(Meter::DynamoDbWrites, "dynamodb", "million_write_units", "million units"),
    entry(Meter::DynamoDbReads, "dynamodb", "million_read_units", "million units"),
    entry(Meter::DynamoDbStored, "dynamodb", "stored_gb_month", "GB-months"),
    entry(Meter::DynamoDbRecovery, "dynamodb", "recovery_gb_month", "GB-months"),
    entry(Meter::CloudWatchMetric, "cloudwatch", "metric_month", "metrics"),
    entry(Meter::CloudWatchAlarm, "cloudwatch", "alarm_month", "alarms"),
    entry(Meter::CloudWatchQueryMetric, "cloudwatch", "query_metric_month", "metrics"),
    entry(Meter::CloudWatchDashboard, "cloudwatch", "dashboard_month", "dashboards"),
    entry(Meter::LogsDelivered, "cloudwatch_logs", "delivered_gb", "GB"),
    entry(Meter::LogsIngested, "cloudwatch_logs", "ingested_gb", "GB"),
    entry(Meter::LogsStored, "cloudwatch_logs", "stored_gb_month", "GB-months"),
    entry(Meter::SqsRequests, "sqs", "million_requests", "million"),
    entry(Meter::Secret, "secrets_manager", "secret_month", "secrets"),
    entry(Meter::SecretRequests, "secrets_manager", "ten_thousand_requests", "x 10,000"),
    entry(Meter::DataOut, "data_transfer", "gb_out", "GB"),
];

/// The tables of a price list.
const TABLES: [&str; 8] = [
    "kinesis",
    "lambda",
    "dynamodb",
    "cloudwatch",
    "cloudwatch_logs",
    "sqs",
    "secrets_manager",
    "data_transfer",
];

/// One price.
#[derive(Clone, Debug, PartialEq)]
pub struct Price {
    /// Dollars for one of the meter's [unit](Meter::unit).
    pub usd: f64,
    /// The page or contract to compare with.
    pub source: String,
    /// `2025-07` or `2025-07-31`: when the source had this price.
    pub date: String,
}

/// All prices of one Region.
#[derive(Clone, Debug, PartialEq)]
pub struct Prices {
    pub region: String,
    /// By `Meter as usize`.
    prices: Vec<Price>,
}

impl Service {
    /// All, in the order of the bill.
    pub const ALL: [Self; 8] = [
        Self::Kinesis,
        Self::DynamoDb,
        Self::CloudWatch,
        Self::Lambda,
        Self::Sqs,
        Self::SecretsManager,
        Self::DataTransfer,
        Self::CloudWatchLogs,
    ];

    /// As AWS writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kinesis => "Kinesis Data Streams",
            Self::DynamoDb => "DynamoDB",
            Self::CloudWatch => "CloudWatch, with the functions' logs",
            Self::Lambda => "Lambda",
            Self::Sqs => "SQS",
            Self::SecretsManager => "Secrets Manager",
            Self::DataTransfer => "Data transfer",
            Self::CloudWatchLogs => "CloudWatch Logs subscriptions",
        }
    }
}

impl Meter {
    /// The unit of the price.
    pub fn unit(self) -> &'static str {
        ENTRIES[self as usize].unit
    }
}

impl Prices {
    /// The prices that are built in.
    ///
    /// # Panics
    /// Never: a test parses them.
    pub fn builtin() -> Self {
        Self::parse(BUILTIN, "prices.toml").expect("invariant: the built-in price list is complete")
    }

    /// [`Prices::parse`] for the bytes of a file.
    ///
    /// # Errors
    /// Those of [`Prices::parse`], or that the file is not UTF-8.
    pub fn parse_bytes(bytes: &[u8], file: &str) -> Result<Self, ConfigError> {
        match utf8(bytes) {
            Ok(text) => Self::parse(text, file),
            Err(diagnostic) => {
                Err(ConfigError { file: file.to_owned(), diagnostics: vec![diagnostic] })
            }
        }
    }

    /// Parses a price list. `file` is only a name for [`ConfigError`].
    ///
    /// # Errors
    /// Every mistake of the text, each with its place.
    pub fn parse(text: &str, file: &str) -> Result<Self, ConfigError> {
        let mut diagnostics = Diagnostics::new(text);
        let prices = match DeTable::parse(text) {
            Ok(root) => read(root.get_ref(), &mut diagnostics),
            Err(error) => {
                diagnostics.error_at(error.span().map_or(0, |span| span.start), error.message());
                None
            }
        };
        diagnostics.finish(file)?;
        Ok(prices.expect("invariant: a price list is read or has an error"))
    }

    /// The price of one unit of `meter`.
    pub fn of(&self, meter: Meter) -> &Price {
        &self.prices[meter as usize]
    }

    /// The dates of the oldest and the newest price.
    pub fn dates(&self) -> (&str, &str) {
        let dates = || self.prices.iter().map(|price| price.date.as_str());
        (dates().min().unwrap_or_default(), dates().max().unwrap_or_default())
    }
}

fn read(root: &DeTable<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<Prices> {
    let mut fields = Fields::new(root);
    let version = fields.require("version").and_then(|value| diagnostics.read(value, version));
    let region = fields.require("region").and_then(|value| diagnostics.read(value, text));
    let mut prices = Vec::new();
    for table in TABLES {
        prices.extend(
            fields
                .require(table)
                .and_then(|value| read_table(table, value, diagnostics))
                .into_iter()
                .flatten(),
        );
    }
    for missing in fields.finish(diagnostics, |_| None).missing {
        diagnostics.error_at(0, format!("`{missing}` is missing"));
    }
    prices.sort_by_key(|(meter, _)| *meter);
    version?;
    let region = region?;
    let is_complete = prices.len() == ENTRIES.len();
    is_complete
        .then(|| Prices { region, prices: prices.into_iter().map(|(_, price)| price).collect() })
}

fn read_table(
    table: &str,
    value: TomlValue<'_>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Vec<(Meter, Price)>> {
    let mut fields = diagnostics.read(value, TomlValue::table)?;
    let mut prices = Vec::new();
    for entry in ENTRIES.iter().filter(|entry| entry.table == table) {
        let price = fields.require(entry.key).and_then(|value| read_price(value, diagnostics));
        prices.extend(price.map(|price| (entry.meter, price)));
    }
    report_missing(value, fields, diagnostics);
    Some(prices)
}

fn read_price(value: TomlValue<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<Price> {
    let mut fields =
        diagnostics.read(value, |value| value.table().map_err(|_| value.mismatch(PRICE)))?;
    let usd = fields.require("usd").and_then(|value| diagnostics.read(value, dollars));
    let date = fields.require("date").and_then(|value| diagnostics.read(value, date));
    let source = fields.require("source").and_then(|value| diagnostics.read(value, text));
    report_missing(value, fields, diagnostics);
    Some(Price { usd: usd?, source: source?, date: date? })
}

fn report_missing(value: TomlValue<'_>, fields: Fields<'_>, diagnostics: &mut Diagnostics<'_>) {
    for missing in fields.finish(diagnostics, |_| None).missing {
        diagnostics.error(value, format_args!("`{missing}` is missing"));
    }
}

fn version(value: TomlValue<'_>) -> Result<(), String> {
    match value.integer() {
        Some(Some(VERSION)) => Ok(()),
        _ => Err("this program reads version 1".to_owned()),
    }
}

fn dollars(value: TomlValue<'_>) -> Result<f64, String> {
    let usd = value.number().ok_or_else(|| value.mismatch("a number of dollars"))?;
    match (0.0..=USD_MAX).contains(&usd) {
        true => Ok(usd),
        false => Err(format!("a price is 0 to {USD_MAX}")),
    }
}

fn date(value: TomlValue<'_>) -> Result<String, String> {
    let text = value.str()?;
    let is_date = |pattern: &str| {
        let fits = |(byte, like): (u8, u8)| {
            if like == b'0' { byte.is_ascii_digit() } else { byte == like }
        };
        text.len() == pattern.len() && text.bytes().zip(pattern.bytes()).all(fits)
    };
    let day = match (is_date("0000-00"), is_date("0000-00-00")) {
        (true, _) => format!("{text}-01"),
        (_, true) => text.to_owned(),
        _ => return Err("a date is 2025-07 or 2025-07-31".to_owned()),
    };
    match Timestamp::from_iso(&format!("{day}T00:00:00Z")) {
        Some(_) => Ok(text.to_owned()),
        None => Err(format!("{text} is not a date")),
    }
}

fn text(value: TomlValue<'_>) -> Result<String, String> {
    let text = value.str()?;
    match text.trim().is_empty() || text.len() > SOURCE_BYTES_MAX {
        true => Err(format!("expected 1 to {SOURCE_BYTES_MAX} bytes")),
        false => Ok(text.to_owned()),
    }
}
