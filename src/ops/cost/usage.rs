//! The usage that AWS meters in a month, derived from a workload.
//!
//! Everything is spread evenly over the day. That is the most expensive case for tallies, because
//! nearly every invocation then has alerts. Only the number of shards allows for peaks.

use serde::Serialize;

use super::assumption::*;
use super::prices::{Meter, Service};
use super::{Architecture, DAYS_PER_MONTH, HOURS_PER_MONTH, Subscription, Workload};

const TB: f64 = 1e12;
const MB: f64 = 1e6;
const KIB: f64 = 1024.0;
const GIB: f64 = KIB * KIB * KIB;
const MILLION: f64 = 1e6;
const SECONDS_PER_DAY: f64 = 86_400.0;

/// DynamoDB reads in units of 4 KiB.
const KIB_PER_READ: f64 = 4.0;

/// Counts per day.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Volume {
    pub events: f64,
    pub records: f64,
    pub alerts: f64,
    /// 0 without a stream.
    pub shards: f64,
    /// Of the consumer.
    pub invocations: f64,
    /// Commits to DynamoDB.
    pub transactions: f64,
    pub windows: f64,
    /// To all targets.
    pub messages: f64,
}

/// A line of the bill, before prices.
#[derive(Clone, Debug, PartialEq)]
pub struct LineItem {
    pub service: Service,
    /// Stable, kebab-case, and unique.
    pub code: &'static str,
    /// For people.
    pub name: &'static str,
    pub meter: Meter,
    /// Per month, in the unit of the meter.
    pub quantity: f64,
}

/// Everything that AWS meters in a month.
#[derive(Clone, Debug, PartialEq)]
pub struct Usage {
    /// In a day.
    pub volume: Volume,
    /// In a month.
    pub items: Vec<LineItem>,
}

impl Usage {
    /// The usage of this workload.
    pub fn of(workload: &Workload) -> Self {
        let model = Model::of(workload);
        let items = [
            model.kinesis(),
            model.dynamodb_writes(),
            model.dynamodb_reads(),
            model.dynamodb_storage(),
            model.cloudwatch(),
            model.lambda(),
            model.sqs(),
            model.secrets(),
            model.data_out(),
            model.subscriptions(),
        ];
        Self { volume: model.volume(), items: items.concat() }
    }
}

/// The quantities that several services depend on, per day.
struct Model<'a> {
    workload: &'a Workload,
    routes: f64,
    /// Per route.
    targets: f64,
    events: f64,
    records: f64,
    /// gzip, before Kinesis rounds up.
    record_bytes: f64,
    decoded_bytes: f64,
    alerts: f64,
    shards: f64,
    invocations: f64,
    /// Invocations that have at least one alert.
    busy_invocations: f64,
    /// The same, for each route.
    arms: f64,
    transactions: f64,
    tally_bytes: f64,
    windows: f64,
    epochs: f64,
    epoch_bytes: f64,
    messages: f64,
}

impl<'a> Model<'a> {
    fn of(workload: &'a Workload) -> Self {
        let (routes, targets) = (f64::from(workload.routes), f64::from(workload.targets_per_route));
        let events = workload.tb_per_day * TB / f64::from(workload.event_bytes);
        let records = events / f64::from(workload.events_per_record);
        let record_bytes = workload.record_bytes();
        let event_bytes = EVENT_JSON_BYTES.value + f64::from(workload.event_bytes);
        let alerts = events * workload.match_ratio;
        let shards = match workload.subscription {
            Subscription::Stream => shards(records * record_bytes / SECONDS_PER_DAY),
            Subscription::Direct => 0.0,
        };
        let invocations = match workload.subscription {
            Subscription::Stream => batches(records, shards),
            Subscription::Direct => records,
        };
        let arms = with_alerts(invocations * routes, alerts);
        // A transaction holds alerts of one route, or of routes that always go together.
        let transactions = arms.max(alerts / ROWS_PER_TRANSACTION.value);
        let tally_bytes = detail(TALLY_BYTES, alerts, transactions, TALLY_MAX);
        let windows =
            (alerts * WINDOWS_PER_ALERT_MAX.value).min(routes * WINDOWS_PER_DAY_MAX.value);
        let epochs = windows + transactions / TALLIES_PER_EPOCH.value;
        Self {
            workload,
            routes,
            targets,
            events,
            records,
            record_bytes,
            decoded_bytes: records * RECORD_JSON_BYTES.value + events * event_bytes,
            alerts,
            shards,
            invocations,
            busy_invocations: with_alerts(invocations, alerts),
            arms,
            transactions,
            tally_bytes,
            windows,
            epochs,
            epoch_bytes: detail(EPOCH_BYTES, alerts, epochs, EPOCH_BYTES_MAX),
            messages: windows * targets,
        }
    }

    fn volume(&self) -> Volume {
        let Self {
            events,
            records,
            alerts,
            shards,
            invocations,
            transactions,
            windows,
            messages,
            ..
        } = *self;
        Volume { events, records, alerts, shards, invocations, transactions, windows, messages }
    }

    fn kinesis(&self) -> Vec<LineItem> {
        if self.workload.subscription == Subscription::Direct {
            return Vec::new();
        }
        let gb =
            self.records * (self.record_bytes + RECORD_ROUNDING_BYTES.value) / GIB * DAYS_PER_MONTH;
        let extended_hours = f64::from(self.workload.stream_retention_hours) - 24.0;
        let extended = gb * extended_hours.max(0.0) / HOURS_PER_MONTH;
        let item = of(Service::Kinesis);
        vec![
            item("kinesis-stream", "the stream", Meter::KinesisStreamHour, HOURS_PER_MONTH),
            item("kinesis-in", "records written", Meter::KinesisGbIn, gb),
            item("kinesis-out", "records read", Meter::KinesisGbOut, gb),
            item(
                "kinesis-retention",
                "kept beyond 24 hours",
                Meter::KinesisExtendedGbMonth,
                extended,
            ),
        ]
    }

    fn dynamodb_writes(&self) -> Vec<LineItem> {
        let item = of(Service::DynamoDb);
        let writes = |code, name, units: f64| {
            item(code, name, Meter::DynamoDbWrites, units * DAYS_PER_MONTH / MILLION)
        };
        let transaction = TRANSACTION_UNITS_PER_KIB.value;
        let (row_bytes, index_bytes) = self.row_bytes();
        let rows = self.alerts * transaction * charged_kib(row_bytes);
        let index = self.alerts * INDEX_UNITS_PER_KIB.value * charged_kib(index_bytes);
        // Put by a commit and deleted by a freeze.
        let tallies = self.transactions * 2.0 * transaction * charged_kib(self.tally_bytes);
        let windows = self.windows * (WINDOW_WRITES.value + self.targets * TARGET_WRITES.value);
        // Put in a transaction with the cursor, later marked as retired.
        let epoch = charged_kib(self.epoch_bytes);
        let epochs = self.epochs * (transaction * epoch + CURSOR_UNITS.value + epoch);
        let patterns = self.windows * PATTERNS_PER_WINDOW.value * HISTORY_UNITS.value;
        vec![
            writes("dynamodb-rows", "rows written", rows),
            writes("dynamodb-index", "their index", index),
            writes("dynamodb-tallies", "tallies, put and deleted", tallies),
            writes("dynamodb-windows", "windows and epochs written", windows + epochs),
            writes("dynamodb-patterns", "histories of patterns written", patterns),
        ]
    }

    fn dynamodb_reads(&self) -> Vec<LineItem> {
        let item = of(Service::DynamoDb);
        let reads = |code, name, units: f64| {
            item(code, name, Meter::DynamoDbReads, units * DAYS_PER_MONTH / MILLION)
        };
        let to_freeze = self.transactions * self.tally_bytes / KIB / KIB_PER_READ;
        // A round that has frozen the only epoch of its window does not read it.
        let read = (self.epochs - self.windows) * self.targets;
        let to_deliver = read * (1.0 + self.epoch_bytes / KIB / KIB_PER_READ);
        let of_patterns = self.windows * PATTERNS_PER_WINDOW.value * HISTORY_UNITS.value;
        let of_windows = self.windows * (WINDOW_READS.value + self.targets * TARGET_READS.value);
        let of_routes = self.routes * SWEEP_ROUTE_READS.value;
        vec![
            reads(
                "dynamodb-reads",
                "cursors, tallies, epochs, histories read",
                self.arms + to_freeze + to_deliver + of_windows + of_patterns,
            ),
            reads("dynamodb-sweeps", "sweeps", sweeps_per_day() * (SWEEP_READS.value + of_routes)),
        ]
    }

    fn dynamodb_storage(&self) -> Vec<LineItem> {
        let item = of(Service::DynamoDb);
        let gb = |items: f64, bytes: f64| items * (bytes + ITEM_OVERHEAD_BYTES.value) / GIB;
        let rows = self.alerts * ALERT_DAYS.value;
        let (row_bytes, index_bytes) = self.row_bytes();
        let recoverable =
            gb(rows, row_bytes) + gb(self.epochs * EPOCH_DAYS.value, self.epoch_bytes);
        let stored = recoverable + gb(rows, index_bytes);
        vec![
            item("dynamodb-stored", "rows kept for 90 days", Meter::DynamoDbStored, stored),
            item(
                "dynamodb-recovery",
                "their point-in-time recovery",
                Meter::DynamoDbRecovery,
                recoverable,
            ),
        ]
    }

    fn cloudwatch(&self) -> Vec<LineItem> {
        let item = of(Service::CloudWatch);
        let consumer = self.invocations * (CONSUMER_LOG_BYTES.value + PLATFORM_LOG_BYTES.value);
        let notifier = (self.windows + sweeps_per_day())
            * (NOTIFIER_LOG_BYTES.value + PLATFORM_LOG_BYTES.value);
        let lines = with_alerts(self.invocations * series(self.routes), self.alerts)
            + self.messages.min(self.windows * series(self.targets));
        let of_series = lines * SERIES_LOG_BYTES.value;
        let gb = (consumer + notifier + of_series) * DAYS_PER_MONTH / GIB;
        let stored = gb * LOG_PACKED.value * LOG_DAYS.value / DAYS_PER_MONTH;
        let log_groups = f64::from(self.workload.log_groups);
        vec![
            item("cloudwatch-own-logs", "own logs ingested", Meter::LogsIngested, gb),
            item(
                "cloudwatch-own-logs-stored",
                "own logs kept for 30 days",
                Meter::LogsStored,
                stored,
            ),
            item("cloudwatch-metrics", "metrics", Meter::CloudWatchMetric, METRICS.value),
            item(
                "cloudwatch-series",
                "metrics by route and by target",
                Meter::CloudWatchMetric,
                self.series(),
            ),
            item("cloudwatch-alarms", "alarms", Meter::CloudWatchAlarm, ALARMS.value),
            item(
                "cloudwatch-delivery-alarm",
                "LogsDeliveryAlarm, one metric a log group",
                Meter::CloudWatchQueryMetric,
                log_groups,
            ),
            item("cloudwatch-dashboard", "the dashboard", Meter::CloudWatchDashboard, 1.0),
        ]
    }

    /// Series of routes and of targets. CloudWatch charges for the hours in which they get data.
    fn series(&self) -> f64 {
        let busy = |series: f64, events: f64| with_alerts(series * 24.0, events) / 24.0;
        let of_routes = busy(series(self.routes), self.alerts);
        of_routes + busy(series(self.routes * self.targets), self.messages)
    }

    fn lambda(&self) -> Vec<LineItem> {
        let item = of(Service::Lambda);
        let meter = match self.workload.architecture {
            Architecture::Arm64 => Meter::LambdaArm64,
            Architecture::X86 => Meter::LambdaX86,
        };
        let seconds = |code, name, ms: f64| {
            item(code, name, meter, ms / 1e3 * MEMORY_MB.value / KIB * DAYS_PER_MONTH)
        };
        let sweep_ms = SWEEP_MS.value + self.routes * SWEEP_ROUTE_MS.value;
        let requests = self.invocations + self.windows + sweeps_per_day();
        vec![
            item(
                "lambda-requests",
                "invocations",
                Meter::LambdaRequests,
                requests * DAYS_PER_MONTH / MILLION,
            ),
            seconds("lambda-consumer", "the consumer", self.consumer_ms()),
            seconds(
                "lambda-notifier",
                "the notifier",
                self.windows * NOTIFIER_MS.value + sweeps_per_day() * sweep_ms,
            ),
        ]
    }

    fn consumer_ms(&self) -> f64 {
        let computing = self.decoded_bytes / MB * DECODE_MS_PER_MB.value
            + self.alerts * ALERT_MS.value
            + self.transactions * TRANSACTION_CPU_MS.value;
        let rounds = self.busy_invocations.max(self.transactions / TRANSACTIONS_AT_ONCE.value);
        let waiting = rounds * TRANSACTION_MS.value + self.busy_invocations * ARM_MS.value;
        self.invocations * INVOCATION_MS.value + computing * VCPU_SLOWDOWN.value + waiting
    }

    fn sqs(&self) -> Vec<LineItem> {
        let item = of(Service::Sqs);
        let requests =
            |code, name, n: f64| item(code, name, Meter::SqsRequests, n * DAYS_PER_MONTH / MILLION);
        vec![
            requests("sqs-due", "due messages", self.windows * DUE_REQUESTS.value),
            requests(
                "sqs-polls",
                "Lambda's polls of the due queue",
                QUEUE_POLLS_PER_HOUR.value * 24.0,
            ),
        ]
    }

    fn secrets(&self) -> Vec<LineItem> {
        let item = of(Service::SecretsManager);
        // The sweep reads them ahead, with alerts or without.
        let reads = SECRET_READS_PER_HOUR.value * 24.0 * DAYS_PER_MONTH;
        vec![
            item("secrets-stored", "the secret", Meter::Secret, 1.0),
            item("secrets-reads", "reads of it", Meter::SecretRequests, reads / 1e4),
        ]
    }

    fn data_out(&self) -> Vec<LineItem> {
        let gb = self.messages * MESSAGE_BYTES.value / GIB * DAYS_PER_MONTH;
        vec![of(Service::DataTransfer)("data-out", "messages to targets", Meter::DataOut, gb)]
    }

    fn subscriptions(&self) -> Vec<LineItem> {
        let gb = self.records * self.record_bytes / GIB * DAYS_PER_MONTH;
        vec![of(Service::CloudWatchLogs)(
            "logs-delivered",
            "records delivered",
            Meter::LogsDelivered,
            gb,
        )]
    }

    /// Bytes of a row, and of its row in the index.
    fn row_bytes(&self) -> (f64, f64) {
        let message = f64::from(self.workload.alert_bytes).min(MESSAGE_BYTES_MAX.value);
        (ROW_BYTES.value + message, INDEX_ROW_BYTES.value)
    }
}

fn of(service: Service) -> impl Fn(&'static str, &'static str, Meter, f64) -> LineItem {
    move |code, name, meter, quantity| LineItem { service, code, name, meter, quantity }
}

/// The series of so many routes or targets. Those beyond the limit share one.
fn series(names: f64) -> f64 {
    names.min(SERIES_MAX.value + 1.0)
}

/// Shards of an on-demand stream.
fn shards(bytes_per_second: f64) -> f64 {
    let peak = bytes_per_second * PEAK_TO_MEAN.value * STREAM_HEADROOM.value;
    (peak / SHARD_BYTES_PER_SECOND.value).ceil().max(SHARDS_MIN.value)
}

/// Invocations a day: each shard is read once a second, and a batch begins with its first record.
/// The limits of a batch, 1,000 records and 6 MB, are beyond what a shard with headroom gets in a
/// second.
fn batches(records: f64, shards: f64) -> f64 {
    let per_shard_second = records / SECONDS_PER_DAY / shards;
    per_shard_second / (1.0 + per_shard_second * POLL_SECONDS.value) * shards * SECONDS_PER_DAY
}

/// How many of `places` get at least one of `alerts`, when alerts fall at random.
fn with_alerts(places: f64, alerts: f64) -> f64 {
    match places > 0.0 {
        true => places * -(-alerts / places).exp_m1(),
        false => 0.0,
    }
}

/// Bytes of a tally or epoch, when `alerts` are distributed over `among` of them.
fn detail(base: Assumption, alerts: f64, among: f64, max: Assumption) -> f64 {
    match among > 0.0 {
        true => (base.value + TALLY_ALERT_BYTES.value * alerts / among).min(max.value),
        false => 0.0,
    }
}

/// KiB of an item as writes charge it.
fn charged_kib(bytes: f64) -> f64 {
    (bytes / KIB + ITEM_ROUNDING_KIB.value).max(1.0)
}

fn sweeps_per_day() -> f64 {
    SWEEPS_PER_HOUR.value * 24.0
}
