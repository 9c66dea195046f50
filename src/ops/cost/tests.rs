#![cfg(feature = "adapters")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::time::Duration;

use proptest::prelude::*;

use super::assumption::*;
use super::*;
use crate::adapters::clock::SystemClock;
use crate::adapters::dynamodb::{DynamoStore, Tables};
use crate::config::Config;
use crate::lambda::metric;
use crate::lambda::series::SeriesNames;
use crate::model::alert::MESSAGE_BYTES_MAX as CODE_MESSAGE_BYTES_MAX;
use crate::model::time::Timestamp;
use crate::protocol::consume::Consumed;
use crate::protocol::notifier::{Notified, Swept};
use crate::protocol::round::{Delivery, DeliveryOutcome};
use crate::protocol::store::Store as _;

const TEMPLATE: &str = include_str!("../../../template.yaml");

/// Round numbers: a thousand log events a second, ten records a second, one alert a second.
fn round() -> Workload {
    Workload {
        tb_per_day: 0.0864,
        match_ratio: 0.001,
        event_bytes: 1000,
        alert_bytes: 218,
        events_per_record: 100,
        compression: 11.1,
        routes: 1,
        targets_per_route: 2,
        log_groups: 7,
        ..Workload::default()
    }
}

fn quantity(workload: &Workload, code: &str) -> f64 {
    let usage = Usage::of(workload);
    let item = usage.items.iter().find(|item| item.code == code);
    item.unwrap_or_else(|| panic!("no item {code}")).quantity
}

#[track_caller]
fn close(found: f64, expected: f64) {
    assert!((found - expected).abs() <= expected.abs() * 1e-4, "{found} instead of {expected}");
}

fn total(workload: &Workload) -> f64 {
    Bill::of(&Usage::of(workload), &Prices::builtin(), workload.tb_per_day).total()
}

#[test]
fn a_day_of_round_numbers_through_a_stream() {
    let Volume { events, records, alerts, shards, invocations, transactions, windows, messages } =
        Usage::of(&round()).volume;
    close(events, 86_400_000.0);
    close(records, 864_000.0);
    close(alerts, 86_400.0);
    // 10 records of 400 + 100 x 1,110 / 11.1 bytes a second, times 4 for peak and headroom: less
    // than a shard.
    close(shards, 4.0);
    // 2.5 records a second and shard: a batch begins 0.4 s after the last one ended, and takes one
    // second.
    close(invocations, 4.0 * 86_400.0 / 1.4);
    // 0.35 alerts an invocation: 1 - 0.704688 of them have one.
    close(transactions, 246_857.142_86 * 0.295_312);
    close(windows, 144.0);
    close(messages, 288.0);
}

#[test]
fn a_month_of_round_numbers_through_a_stream() {
    let expect = |code, expected| close(quantity(&round(), code), expected);
    let days = 30.416_667;
    // A record is 10,400 bytes, and half a KiB for rounding up.
    let gb = 864_000.0 * 10_912.0 / 1_073_741_824.0 * days;
    expect("kinesis-stream", 730.0);
    expect("kinesis-in", gb);
    expect("kinesis-out", gb);
    expect("kinesis-retention", gb * 144.0 / 730.0);
    expect("logs-delivered", gb * 10_400.0 / 10_912.0);

    // 350 + 218 bytes and a half KiB, in a transaction; the index never less than 1 KiB.
    expect("dynamodb-rows", 86_400.0 * 2.0 * (568.0 / 1024.0 + 0.5) * days / 1e6);
    expect("dynamodb-index", 86_400.0 * days / 1e6);
    // 1.18519 alerts in each of 72,899.9 tallies of 643 bytes; put and deleted, both in
    // transactions.
    let transactions = 72_899.9;
    expect("dynamodb-tallies", transactions * 4.0 * (642.963 / 1024.0 + 0.5) * days / 1e6);
    // 144 windows and 751.55 full transactions of 97 tallies; the epochs are as large as they get.
    let epochs = 144.0 + transactions / 97.0;
    let epoch_kib = 4_200.0 / 1024.0 + 0.5;
    expect(
        "dynamodb-windows",
        (144.0 * (4.0 + 2.0 * 3.0) + epochs * (3.0 * epoch_kib + 2.0)) * days / 1e6,
    );
    let frozen = transactions * 642.963 / 4096.0;
    expect("dynamodb-patterns", 144.0 * 3.0 * days / 1e6);
    let delivered = (epochs - 144.0) * 2.0 * (1.0 + 4_200.0 / 4096.0);
    expect(
        "dynamodb-reads",
        (transactions + frozen + delivered + 144.0 * (10.0 + 2.0 * 5.0 + 3.0)) * days / 1e6,
    );
    expect("dynamodb-sweeps", 1440.0 * (1.0 + 2.0) * days / 1e6);
    let gib = 1_073_741_824.0;
    let (rows, kept_epochs) = (86_400.0 * 90.0, epochs * 30.0 * 4_300.0 / gib);
    // The row and its index, each with 100 bytes that DynamoDB adds.
    expect("dynamodb-stored", rows * (668.0 + 254.0) / gib + kept_epochs);
    expect("dynamodb-recovery", rows * 668.0 / gib + kept_epochs);

    let invocations = 246_857.142_86;
    expect("lambda-requests", (invocations + 144.0 + 1440.0) * days / 1e6);
    // 864,000 x 195 + 86.4 million x 1,110 bytes at 1 ms a MB, on a processor half as fast as the
    // measured one.
    let computing = 96_072.5 + 86_400.0 * 0.0022 + transactions;
    let consumer_ms = invocations * 2.5 + computing * 2.0 + transactions * 25.0;
    expect("lambda-consumer", consumer_ms / 1e3 * 1769.0 / 1024.0 * days);
    expect("lambda-notifier", (144.0 * 400.0 + 1440.0 * 10.7) / 1e3 * 1769.0 / 1024.0 * days);

    let own = invocations * (CONSUMER_LOG_BYTES.value + 700.0)
        + 1584.0 * (NOTIFIER_LOG_BYTES.value + 700.0)
        + (transactions + 288.0) * SERIES_LOG_BYTES.value;
    expect("cloudwatch-own-logs", own * days / gib);
    expect("cloudwatch-own-logs-stored", own * 30.0 * 0.15 / gib);
    expect("cloudwatch-metrics", 26.0);
    // A route and two targets: 3,600 alerts and 12 messages an hour leave few hours without one.
    expect("cloudwatch-series", 3.0 - 2.0 * (-6.0_f64).exp());
    expect("cloudwatch-alarms", 26.0);
    expect("cloudwatch-delivery-alarm", 7.0);
    expect("cloudwatch-dashboard", 1.0);
    expect("sqs-due", 144.0 * 3.0 * days / 1e6);
    expect("sqs-polls", 657_000.0 / 1e6);
    expect("secrets-reads", 360.0 * days / 1e4);
    expect("data-out", 288.0 * 10_000.0 * days / gib);
}

#[test]
fn direct_subscriptions_invoke_once_a_record_and_need_no_stream() {
    let direct = Workload { subscription: Subscription::Direct, ..round() };
    let usage = Usage::of(&direct);
    close(usage.volume.invocations, 864_000.0);
    assert_eq!(usage.volume.shards, 0.0);
    assert!(usage.items.iter().all(|item| item.service != Service::Kinesis));
    let x86 = Workload { architecture: Architecture::X86, ..direct };
    let meters = |workload: &Workload| {
        Usage::of(workload).items.into_iter().map(|item| item.meter).collect::<Vec<_>>()
    };
    assert!(
        meters(&x86).contains(&Meter::LambdaX86) && !meters(&x86).contains(&Meter::LambdaArm64)
    );
}

#[test]
fn without_alerts_nothing_is_written() {
    let usage = Usage::of(&Workload { match_ratio: 0.0, ..round() });
    let writes = usage.items.iter().filter(|item| item.meter == Meter::DynamoDbWrites);
    assert_eq!(writes.map(|item| item.quantity).sum::<f64>(), 0.0);
    assert_eq!((usage.volume.windows, usage.volume.messages), (0.0, 0.0));
}

#[test]
fn a_full_transaction_has_99_rows() {
    let flood = Workload { tb_per_day: 100.0, match_ratio: 1.0, ..Workload::default() };
    let volume = Usage::of(&flood).volume;
    close(volume.transactions, volume.alerts / 99.0);
}

#[test]
fn a_bill_is_usage_times_prices() {
    let workload = round();
    let (usage, prices) = (Usage::of(&workload), Prices::builtin());
    let bill = Bill::of(&usage, &prices, workload.tb_per_day);
    close(
        bill.service(Service::Kinesis),
        730.0 * 0.04 + quantity(&workload, "kinesis-in") * 0.12 + 0.1 * 52.687_8,
    );
    close(bill.service(Service::Sqs), (0.657 + 0.01314) * 0.4);
    close(bill.service(Service::CloudWatchLogs), 0.0);
    close(bill.total(), Service::ALL.iter().map(|service| bill.service(*service)).sum());
    // 0.0864 TB a day are 2.628 TB a month.
    close(bill.per_tb(2.628), 1.0);
    close(bill.ingestion(), 2.628e12 / 1_073_741_824.0 * 0.5);
}

proptest! {
    #[test]
    fn more_never_costs_less(workload in workloads(), by in 1.0..20.0_f64, more in 1..50_u32) {
        let least = total(&workload) - 1e-9;
        let larger = [
            Workload { tb_per_day: workload.tb_per_day * by, ..workload.clone() },
            Workload { match_ratio: (workload.match_ratio * by).min(1.0), ..workload.clone() },
            Workload { alert_bytes: workload.alert_bytes + more, ..workload.clone() },
            Workload { routes: workload.routes + more, ..workload.clone() },
            Workload { targets_per_route: workload.targets_per_route + more, ..workload.clone() },
            Workload { log_groups: workload.log_groups + more, ..workload.clone() },
            Workload { stream_retention_hours: 168, ..workload.clone() },
            Workload { architecture: Architecture::X86, ..workload.clone() },
        ];
        for larger in larger {
            prop_assert!(total(&larger) >= least, "{workload:?} {larger:?}");
        }
    }

    #[test]
    fn every_quantity_is_a_number(workload in workloads()) {
        for LineItem { code, quantity, .. } in Usage::of(&workload).items {
            prop_assert!(quantity.is_finite() && quantity >= 0.0, "{code} {quantity}");
        }
    }

    /// Or there would be more invocations than [`POLL_SECONDS`] makes.
    #[test]
    fn no_batch_reaches_its_limits(workload in workloads()) {
        prop_assume!(workload.subscription == Subscription::Stream && workload.fits_a_record());
        let volume = Usage::of(&workload).volume;
        let records = volume.records / volume.invocations;
        prop_assert!(records < template("BatchSize") && records * workload.record_bytes() < 4_400_000.0, "{volume:?}");
    }

    /// Each price counts, and in proportion.
    #[test]
    fn the_bill_follows_the_prices(workload in workloads()) {
        let usage = Usage::of(&workload);
        let cheap = Prices::builtin();
        let dearer = BUILTIN.replace("usd = 3.", "usd = 4.").replace("usd = 0.", "usd = 1.");
        let dear = Prices::parse(&dearer, "dear.toml").unwrap();
        let (cheap, dear) = (Bill::of(&usage, &cheap, 1.0), Bill::of(&usage, &dear, 1.0));
        for (cheap, dear) in cheap.charges.iter().zip(&dear.charges) {
            prop_assert!(dear.usd_per_month > cheap.usd_per_month || cheap.item.quantity == 0.0);
        }
    }
}

fn workloads() -> impl Strategy<Value = Workload> {
    let size = (1e-6..1e4_f64, 0.0..1.0_f64, 1..5_000_u32, 1..20_000_u32);
    let record = (
        1..5_000_u32,
        1.0..50.0_f64,
        prop_oneof![Just(Subscription::Stream), Just(Subscription::Direct)],
    );
    (size, record, 1..200_u32, 1..20_u32).prop_map(|(size, record, routes, targets_per_route)| {
        let (tb_per_day, match_ratio, event_bytes, alert_bytes) = size;
        let (events_per_record, compression, subscription) = record;
        // Where little matches is where it is decided which part of the bill is the largest.
        let match_ratio = match_ratio.powi(8);
        Workload {
            tb_per_day,
            match_ratio,
            event_bytes,
            alert_bytes,
            events_per_record,
            compression,
            subscription,
            routes,
            targets_per_route,
            ..Workload::default()
        }
    })
}

#[test]
fn golden_bills() {
    let base = Workload::default();
    let cases = [
        ("default", base.clone()),
        ("nothing matches", Workload { match_ratio: 0.0, ..base.clone() }),
        ("one in a million", Workload { match_ratio: 1e-6, ..base.clone() }),
        ("1 %", Workload { match_ratio: 0.01, ..base.clone() }),
        ("5 %", Workload { match_ratio: 0.05, ..base.clone() }),
        ("10 GB a day", Workload { tb_per_day: 0.01, ..base.clone() }),
        ("100 TB a day", Workload { tb_per_day: 100.0, ..base.clone() }),
        (
            "10 GB a day, direct",
            Workload { tb_per_day: 0.01, subscription: Subscription::Direct, ..base.clone() },
        ),
        ("direct", Workload { subscription: Subscription::Direct, ..base.clone() }),
        ("records of 10 events", Workload { events_per_record: 10, ..base.clone() }),
        ("packs 8 times", Workload { compression: 8.0, ..base.clone() }),
        ("50 routes", Workload { routes: 50, targets_per_route: 2, ..base.clone() }),
        ("1,000 routes", Workload { routes: 1_000, ..base.clone() }),
        (
            "a filter sends the matches",
            Workload {
                tb_per_day: 0.00168,
                match_ratio: 1.0,
                event_bytes: 320,
                events_per_record: 5,
                ..base
            },
        ),
    ];
    let mut table = format!("{:<28}", "dollars a month");
    for service in ["kinesis", "dynamodb", "watch", "lambda", "sqs", "secrets", "out", "total"] {
        write!(table, "{service:>11}").unwrap();
    }
    for (name, workload) in cases {
        let bill = Bill::of(&Usage::of(&workload), &Prices::builtin(), workload.tb_per_day);
        write!(table, "\n{name:<28}").unwrap();
        for service in &Service::ALL[..7] {
            write!(table, "{:>11.2}", bill.service(*service)).unwrap();
        }
        write!(table, "{:>11.2}", bill.total()).unwrap();
    }
    insta::assert_snapshot!(table, @r"
    dollars a month                 kinesis   dynamodb      watch     lambda        sqs    secrets        out      total
    default                         1548.91     692.97      56.35      37.83       0.27       0.45       0.00    2336.78
    nothing matches                 1548.91       0.02      50.65      12.80       0.26       0.45       0.00    1613.09
    one in a million                1548.91       1.10      51.28      12.94       0.27       0.45       0.00    1614.95
    1 %                             1548.91    5438.87      56.45      38.48       0.27       0.45       0.00    7083.44
    5 %                             1548.91   26221.53      56.45      40.97       0.27       0.45       0.00   27868.59
    10 GB a day                       44.40       9.55      21.67       2.60       0.27       0.45       0.00      78.94
    100 TB a day                  151999.77   69157.90    3991.81    3729.60       0.27       0.45       0.00  228879.80
    10 GB a day, direct                0.00       9.82      29.99       5.15       0.27       0.45       0.00      45.69
    direct                             0.00     971.95    1411.67     509.41       0.27       0.45       0.00    2893.76
    records of 10 events            3258.81     741.75      79.87      56.46       0.27       0.45       0.00    4137.62
    packs 8 times                   1000.40     657.30      41.53      25.01       0.27       0.45       0.00    1724.97
    50 routes                       1548.91     981.86     100.69      45.13       0.53       0.45       0.37    2677.94
    1,000 routes                    1548.91    1089.56     104.38      85.23       5.52       0.45       3.67    2837.73
    a filter sends the matches        34.89     572.44      23.84       7.04       0.27       0.45       0.00     638.93
    ");
}

#[test]
fn coefficients_have_codes_and_reasons_of_their_own() {
    let codes: BTreeSet<&str> = ASSUMPTIONS.iter().map(|assumption| assumption.code).collect();
    assert_eq!(codes.len(), ASSUMPTIONS.len());
    let items = Usage::of(&round()).items;
    let item_codes: BTreeSet<&str> = items.iter().map(|item| item.code).collect();
    assert_eq!(item_codes.len(), items.len());
    let is_kebab = |code: &&str| {
        code.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-')
    };
    assert!(codes.iter().chain(&item_codes).all(is_kebab));
    assert!(
        ASSUMPTIONS.iter().all(|assumption| assumption.value > 0.0 && !assumption.why.is_empty())
    );
}

#[test]
fn what_the_code_decides_is_as_the_model_says() {
    assert_eq!(MESSAGE_BYTES_MAX.value, CODE_MESSAGE_BYTES_MAX as f64);
    assert_eq!(TALLIES_PER_EPOCH.value, DynamoStore::<SystemClock>::FREEZE_TALLIES_MAX as f64);
    assert_eq!(Tables::default().alerts_ttl, Duration::from_hours(24) * ALERT_DAYS.value as u32);
    let window_max = Config::builtin().routes[0].window_max;
    assert_eq!(window_max.as_secs_f64() * WINDOWS_PER_DAY_MAX.value, 86_400.0);
}

/// A number of the template.
fn template(key: &str) -> f64 {
    let (_, rest) = TEMPLATE.split_once(&format!(" {key}: ")).unwrap_or_else(|| panic!("no {key}"));
    rest.lines().next().unwrap().parse().unwrap()
}

/// The default of a parameter of the template.
fn default_of(parameter: &str) -> f64 {
    let (_, rest) = TEMPLATE.split_once(&format!("\n  {parameter}:\n")).unwrap();
    let (_, default) = rest.split_once("Default: ").unwrap();
    default.lines().next().unwrap().trim_matches('"').parse().unwrap()
}

#[test]
fn what_the_template_decides_is_as_the_model_says() {
    assert!(default_of("BatchingWindowSeconds") <= POLL_SECONDS.value);
    assert_eq!(
        default_of("StreamRetentionHours"),
        f64::from(Workload::default().stream_retention_hours)
    );
    assert_eq!(default_of("AlertsRetentionDays"), ALERT_DAYS.value);
    assert_eq!(default_of("MetricSeriesMax"), SERIES_MAX.value);
    assert_eq!(template("MemorySize"), MEMORY_MB.value);
    assert_eq!(TEMPLATE.matches("Schedule: rate(1 minute)").count(), 1);
    assert_eq!(SWEEPS_PER_HOUR.value, 60.0);
    // The alarm of the drill exists only with a drill.
    let metrics =
        TEMPLATE.matches("MetricName: ").count() - TEMPLATE.matches("MetricName: drill_").count();
    let over_a_query = TEMPLATE.matches("SELECT ").count();
    assert_eq!((metrics, over_a_query), (ALARMS.value as usize, 1));
    assert!(
        TEMPLATE.contains("StreamMode: ON_DEMAND")
            && TEMPLATE.contains("BillingMode: PAY_PER_REQUEST")
    );
    assert_eq!(default_of("LogRetentionDays"), LOG_DAYS.value);
}

#[test]
fn the_functions_write_as_many_metrics_and_log_bytes_as_the_model_says() {
    let of = metric::InvocationMetric {
        function: "stentor-consumer",
        request_id: "8f507cfc-1b2c-4d5e-9f60-112233445566",
        shard_id: "shardId-000000000012",
    };
    let lines = |metrics| {
        let now = Timestamp::from_millis(1_795_443_306_789);
        metric::lines(&of, metrics, Duration::from_millis(12), now)
    };
    let summary = |metrics| lines(metrics).swap_remove(0);
    let names = SeriesNames::default();
    let consumer = summary(metric::of_batch(&Consumed::default(), &names));
    let first = Delivery {
        route: "r".parse().unwrap(),
        target: "slack:a".parse().unwrap(),
        epochs: (1, 1),
        alerts: 1,
        first_after: Some(Duration::from_secs(2)),
        outcome: DeliveryOutcome::Accepted,
        failure: None,
    };
    let notified = Notified { messages: vec![first], ..Notified::default() };
    let due = lines(metric::of_due(1, 0, Duration::ZERO, &notified, &names));
    let swept = metric::of_sweep(&Swept::default(), Timestamp::from_millis(0), &names);
    let notifier = summary(swept);
    let metrics = |lines: &[&str]| -> BTreeSet<String> {
        let names = lines.iter().flat_map(|line| line.split(r#"{"Name":""#).skip(1));
        names.map(|rest| rest.split('"').next().unwrap().to_owned()).collect()
    };
    let all = metrics(&[&consumer]).len() + metrics(&[&due[0], &notifier]).len();
    assert_eq!(all as f64, METRICS.value);
    let series = format!("{:26}{}", "", due[1]);
    for (line, model) in
        [(consumer, CONSUMER_LOG_BYTES), (notifier, NOTIFIER_LOG_BYTES), (series, SERIES_LOG_BYTES)]
    {
        let bytes = line.len() as f64;
        assert!(
            (bytes / model.value - 1.0).abs() < 0.05,
            "{} is {bytes} bytes: {line}",
            model.code
        );
    }
}

#[test]
fn the_built_in_price_list_is_complete_and_dated() {
    let prices = Prices::builtin();
    assert_eq!(prices.region, "us-east-1");
    assert_eq!(prices.of(Meter::DynamoDbWrites).usd, 0.625);
    assert_eq!(prices.of(Meter::KinesisStreamHour).usd, 0.04);
    assert_eq!(prices.of(Meter::DataOut).usd, 0.09);
    assert_eq!(prices.dates(), ("2025-07", "2025-07"));
}

#[test]
fn every_mistake_in_a_price_list_is_reported_with_its_line() {
    let problems = |change: &dyn Fn(String) -> String| {
        Prices::parse(&change(BUILTIN.to_owned()), "prices.toml").unwrap_err().to_string()
    };
    let replaced = |from: &'static str, to: &'static str| {
        assert!(BUILTIN.contains(from), "{from}");
        problems(&move |text: String| text.replacen(from, to, 1))
    };
    insta::assert_snapshot!(Prices::parse("", "prices.toml").unwrap_err(), @r"
    prices.toml:1:1: `version` is missing
    prices.toml:1:1: `region` is missing
    prices.toml:1:1: `kinesis` is missing
    prices.toml:1:1: `lambda` is missing
    prices.toml:1:1: `dynamodb` is missing
    prices.toml:1:1: `cloudwatch` is missing
    prices.toml:1:1: `cloudwatch_logs` is missing
    prices.toml:1:1: `sqs` is missing
    prices.toml:1:1: `secrets_manager` is missing
    prices.toml:1:1: `data_transfer` is missing
    ");
    insta::assert_snapshot!(Prices::parse("version = ", "prices.toml").unwrap_err(), @"prices.toml:1:11: string values must be quoted, expected literal string");
    insta::assert_snapshot!(replaced("usd = 0.625", "usd = \"0.625\""), @"prices.toml:25:33: usd: expected a number of dollars, found a string");
    insta::assert_snapshot!(replaced("usd = 0.625", "usd = -1"), @"prices.toml:25:33: usd: a price is 0 to 10000");
    insta::assert_snapshot!(replaced("usd = 0.625", "usd = nan"), @"prices.toml:25:33: usd: a price is 0 to 10000");
    insta::assert_snapshot!(replaced("usd = 0.625", "usd = 1e308"), @"prices.toml:25:33: usd: a price is 0 to 10000");
    insta::assert_snapshot!(replaced("usd = 0.625, ", ""), @"prices.toml:25:25: million_write_units: `usd` is missing");
    insta::assert_snapshot!(replaced("gb_in  ", "gb_inn "), @"prices.toml:14:1: unknown key `gb_inn`, did you mean `gb_in`?");
    insta::assert_snapshot!(replaced("date = \"2025-07\"", "date = \"July\""), @"prices.toml:13:46: date: a date is 2025-07 or 2025-07-31");
    insta::assert_snapshot!(replaced("date = \"2025-07\"", "date = \"2025-13\""), @"prices.toml:13:46: date: 2025-13 is not a date");
    insta::assert_snapshot!(replaced("date = \"2025-07\"", "date = \"2025-02-29\""), @"prices.toml:13:46: date: 2025-02-29 is not a date");
    insta::assert_snapshot!(replaced("[sqs]", "[sns]"), @"prices.toml:44:2: unknown key `sns`, did you mean `sqs`?");
    insta::assert_snapshot!(replaced("version = 1", "version = 2"), @"prices.toml:9:11: version: this program reads version 1");
    insta::assert_snapshot!(replaced("region = \"us-east-1\"", "region = \"\""), @"prices.toml:10:10: region: expected 1 to 200 bytes");
    insta::assert_snapshot!(replaced("stream_hour           = {", "stream_hour = 0.04\nx = {"), @r#"
    prices.toml:13:15: stream_hour: expected { usd = 0.0, date = "2025-07", source = "…" }, found a float
    prices.toml:14:1: unknown key `x`
    "#);
    // All at once.
    insta::assert_snapshot!(problems(&|text| text.replace("usd = 0.40", "usd = true").replace("0.30", "-0.3")), @r"
    prices.toml:32:33: usd: a price is 0 to 10000
    prices.toml:45:33: usd: expected a number of dollars, found a boolean
    prices.toml:48:33: usd: expected a number of dollars, found a boolean
    ");
    assert!(Prices::parse_bytes(b"version = 1 # \xe9", "prices.toml").is_err());
}

/// The numbers of a price list may be integers, and underscored.
#[test]
fn a_price_is_any_number_that_toml_has() {
    for (number, expected) in
        [("1", 1.0), ("0", 0.0), ("1_000.5", 1000.5), ("6.25e-1", 0.625), ("+2.0", 2.0)]
    {
        let text = BUILTIN.replacen("usd = 0.625", &format!("usd = {number}"), 1);
        assert_eq!(
            Prices::parse(&text, "prices.toml").unwrap().of(Meter::DynamoDbWrites).usd,
            expected,
            "{number}"
        );
    }
}
