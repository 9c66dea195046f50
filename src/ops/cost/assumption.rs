//! The coefficients of the model, each with its unit, its basis and its reason.

use serde::Serialize;

/// A coefficient of the model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Assumption {
    /// Stable, kebab-case.
    pub code: &'static str,
    pub value: f64,
    pub unit: &'static str,
    pub basis: Basis,
    pub why: &'static str,
}

/// The basis of a coefficient.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// Measured by a test or a bench, which `why` names.
    Measured,
    /// The code works like that, and a test fails when it no longer does.
    Code,
    /// `template.yaml` says so, and a test fails when it no longer does.
    Template,
    /// AWS documents it.
    Documented,
    /// An estimate.
    Assumed,
}

macro_rules! assumptions {
    ($($name:ident = $code:literal, $value:expr, $unit:literal, $basis:ident, $why:literal;)*) => {
        $(pub(super) const $name: Assumption =
            Assumption { code: $code, value: $value, unit: $unit, basis: Basis::$basis, why: $why };)*

        /// All of them, in the order in which the model uses them.
        pub const ASSUMPTIONS: &[Assumption] = &[$($name),*];
    };
}

assumptions! {
    // ---- Records ----
    EVENT_JSON_BYTES = "event-json-bytes", 110.0, "bytes", Measured,
        "JSON around each log event: id, time stamp, names, escapes (tests/it/cost.rs)";
    RECORD_JSON_BYTES = "record-json-bytes", 195.0, "bytes", Measured,
        "JSON around the log events of a record: owner, log group, log stream (tests/it/cost.rs)";
    RECORD_GZIP_BYTES = "record-gzip-bytes", 400.0, "bytes", Measured,
        "packed size of a record beyond that of its log events (tests/it/cost.rs)";
    RECORD_ROUNDING_BYTES = "record-rounding-bytes", 512.0, "bytes", Documented,
        "Kinesis charges each record rounded up to 1 KiB: half of that on average";

    // ---- Batches ----
    SHARDS_MIN = "shards-min", 4.0, "shards", Documented, "an on-demand stream starts with four";
    STREAM_HEADROOM = "stream-headroom", 2.0, "times", Documented,
        "an on-demand stream has room for twice its highest peak of 30 days";
    PEAK_TO_MEAN = "peak-to-mean", 2.0, "times", Assumed, "the busiest minutes against the average";
    SHARD_BYTES_PER_SECOND = "shard-bytes-per-second", 1_048_576.0, "bytes/s", Documented,
        "the capacity of one shard";
    POLL_SECONDS = "poll-seconds", 1.0, "s", Documented,
        "Lambda reads a shard once a second; the template's batching window is no longer by default";

    // ---- The consumer's time ----
    MEMORY_MB = "memory-mb", 1_769.0, "MB", Template, "one whole vCPU";
    INVOCATION_MS = "invocation-ms", 2.5, "ms", Assumed,
        "runtime, summary line, rounding up to a millisecond";
    DECODE_MS_PER_MB = "decode-ms-per-mb", 1.0, "ms/MB", Measured,
        "decompress and search 10^6 bytes (cargo bench --bench invocation)";
    ALERT_MS = "alert-ms", 0.0022, "ms", Measured,
        "redact a match, find its pattern, count it (cargo bench --bench invocation)";
    VCPU_SLOWDOWN = "vcpu-slowdown", 2.0, "times", Assumed, "a vCPU of Lambda against the measured core";
    TRANSACTION_MS = "transaction-ms", 20.0, "ms", Assumed, "wait for one transaction";
    TRANSACTION_CPU_MS = "transaction-cpu-ms", 1.0, "ms", Assumed, "sign and encrypt one transaction";
    TRANSACTIONS_AT_ONCE = "transactions-at-once", 8.0, "transactions", Code,
        "of one invocation (src/adapters/dynamodb/commit.rs)";
    ARM_MS = "arm-ms", 5.0, "ms", Assumed, "wait for the cursor of a route";

    // ---- What a commit writes ----
    ROWS_PER_TRANSACTION = "rows-per-transaction", 99.0, "rows", Code,
        "a transaction has 100 items, one of them the tally (tests/it/cost.rs)";
    TRANSACTION_UNITS_PER_KIB = "transaction-units-per-kib", 2.0, "units", Documented,
        "write units for each KiB of an item";
    INDEX_UNITS_PER_KIB = "index-units-per-kib", 1.0, "units", Measured,
        "a transaction charges its index rows once (tests/it/cost.rs, with an engine that follows captures from AWS)";
    ITEM_ROUNDING_KIB = "item-rounding-kib", 0.5, "KiB", Documented,
        "an item is rounded up to 1 KiB: half of that on average, and never less than 1 KiB in all";
    ROW_BYTES = "row-bytes", 350.0, "bytes", Measured, "a row without its message (tests/it/cost.rs)";
    INDEX_ROW_BYTES = "index-row-bytes", 154.0, "bytes", Measured,
        "a row of the index (tests/it/cost.rs)";
    MESSAGE_BYTES_MAX = "message-bytes-max", 16_384.0, "bytes", Code, "longer messages are cut";
    TALLY_BYTES = "tally-bytes", 400.0, "bytes", Measured, "a deflated tally without patterns (tests/it/cost.rs)";
    TALLY_ALERT_BYTES = "tally-alert-bytes", 205.0, "bytes", Measured,
        "growth of a tally per alert, most of them of different patterns (tests/it/cost.rs)";
    TALLY_MAX = "tally-bytes-max", 2_550.0, "bytes", Measured,
        "a deflated tally of 8 KiB, which drops further detail (tests/it/cost.rs)";

    // ---- Windows ----
    WINDOWS_PER_ALERT_MAX = "windows-per-alert-max", 2.0, "windows", Code,
        "a lone alert has a window, and the one after it ends the burst";
    WINDOWS_PER_DAY_MAX = "windows-per-day-max", 144.0, "windows", Code,
        "of a route that never falls silent: window_max, ten minutes each";
    TALLIES_PER_EPOCH = "tallies-per-epoch", 97.0, "tallies", Code,
        "a transaction of a freeze has 100 items, three for epoch, cursor and margin";
    EPOCH_BYTES = "epoch-bytes", 550.0, "bytes", Measured, "a deflated epoch without patterns (tests/it/cost.rs)";
    EPOCH_BYTES_MAX = "epoch-bytes-max", 4_200.0, "bytes", Measured,
        "an epoch with all patterns of `stentor sample` (tests/it/cost.rs)";
    WINDOW_WRITES = "window-writes", 4.0, "units", Code,
        "open, close, count and retire the epochs of a window (tests/it/cost.rs)";
    PATTERNS_PER_WINDOW = "patterns-per-window", 3.0, "patterns", Assumed,
        "the patterns of a window, each with a history";
    HISTORY_UNITS = "history-units", 1.0, "units", Code,
        "a history is read and written once in a window, each in one unit (tests/it/cost.rs)";
    TARGET_WRITES = "target-writes", 3.0, "units", Code,
        "lease, turn and acknowledge (tests/it/cost.rs)";
    CURSOR_UNITS = "cursor-units", 2.0, "units", Code,
        "each epoch is written with the cursor, in a transaction (tests/it/cost.rs)";
    WINDOW_READS = "window-reads", 10.0, "units", Code,
        "the cursor, eight partitions of tallies, the marks (tests/it/cost.rs)";
    TARGET_READS = "target-reads", 5.0, "units", Code,
        "its state twice, two units each, and the cursor (tests/it/cost.rs)";
    SWEEPS_PER_HOUR = "sweeps-per-hour", 60.0, "sweeps", Template, "the schedule of the sweep";
    SWEEP_READS = "sweep-reads", 1.0, "units", Code, "the list of routes (tests/it/cost.rs)";
    SWEEP_ROUTE_READS = "sweep-route-reads", 2.0, "units", Code,
        "the cursor, a partition of tallies (tests/it/cost.rs)";
    NOTIFIER_MS = "notifier-ms", 400.0, "ms", Assumed, "a due message: about twelve calls, and Slack's answer";
    SWEEP_MS = "sweep-ms", 10.0, "ms", Assumed, "a sweep without routes";
    SWEEP_ROUTE_MS = "sweep-route-ms", 0.7, "ms", Assumed, "each route: 10 ms, sixteen routes at once";
    DUE_REQUESTS = "due-requests", 3.0, "requests", Code, "a due message is sent, received and deleted";
    QUEUE_POLLS_PER_HOUR = "queue-polls-per-hour", 900.0, "requests", Documented,
        "Lambda polls an empty queue with five long polls of 20 seconds";
    MESSAGE_BYTES = "message-bytes", 10_000.0, "bytes", Assumed, "a message to a target, with TLS";
    SECRET_READS_PER_HOUR = "secret-reads-per-hour", 15.0, "requests", Code,
        "the sweep reads the credentials every four minutes";

    // ---- What is kept ----
    ITEM_OVERHEAD_BYTES = "item-overhead-bytes", 100.0, "bytes", Documented,
        "added by DynamoDB to each item, in the table and in the index";
    ALERT_DAYS = "alert-days", 90.0, "days", Code, "how long rows are kept";
    EPOCH_DAYS = "epoch-days", 30.0, "days", Code, "how long delivered epochs are kept";

    // ---- CloudWatch ----
    METRICS = "metrics", 26.0, "metrics", Code, "15 of the consumer, 11 of the notifier";
    SERIES_MAX = "series-max", 50.0, "series", Template,
        "routes, and targets, that have metrics of their own; the others share one (MetricSeriesMax)";
    ALARMS = "alarms", 26.0, "alarms", Template,
        "metrics that alarms watch, each of which counts as an alarm, without those of all subscriptions";
    CONSUMER_LOG_BYTES = "consumer-log-bytes", 1_130.0, "bytes", Measured,
        "the summary line of an invocation (tests/it/cost.rs)";
    NOTIFIER_LOG_BYTES = "notifier-log-bytes", 770.0, "bytes", Measured,
        "the summary line of an invocation (tests/it/cost.rs)";
    SERIES_LOG_BYTES = "series-log-bytes", 270.0, "bytes", Measured,
        "the line of a route or target in an invocation, and 26 bytes that CloudWatch Logs adds (tests/it/cost.rs)";
    PLATFORM_LOG_BYTES = "platform-log-bytes", 700.0, "bytes", Assumed,
        "Lambda's own two lines, and 26 bytes that CloudWatch Logs adds to each";
    LOG_DAYS = "log-days", 30.0, "days", Template, "LogRetentionDays";
    LOG_PACKED = "log-packed", 0.15, "times", Documented,
        "stored size of a log against its ingested size, as in AWS's price examples";
}
