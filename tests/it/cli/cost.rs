//! `stentor cost`: the table, the JSON object, and the errors.

use std::process::Output;

use serde_json::Value;

use super::{Path, scratch, stentor, text};
use crate::support::schema::check_documents;

fn cost(arguments: &[&str]) -> Output {
    stentor(Path::new("."), &[&["cost"], arguments].concat()).output().unwrap()
}

fn json(arguments: &[&str]) -> Value {
    let output = cost(&[arguments, &["--json"]].concat());
    assert_eq!((text(&output.stderr).as_str(), output.status.code()), ("", Some(0)));
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn a_bill_has_a_line_for_each_service_and_says_what_it_assumes() {
    let output = cost(&["--tb-per-day", "2.5", "--match-ratio", "0.0005"]);
    assert_eq!(output.status.code(), Some(0));
    insta::assert_snapshot!(text(&output.stdout), @r"
    logs        2.5 TB a day in log events of 190 bytes
    records     100 log events each, 4.7 times smaller with gzip
    alerts      6,578,947 a day: 0.05 % of the log events
    consumer    3,367,549 invocations a day, from 40 shards
    messages    at most 144 a day
    prices      us-east-1, 2025-07

                                                        quantity a month       $/month        $/TB
    Kinesis Data Streams                                                      3,828.46       50.35
      the stream                                               730 hours         29.20        0.38
      records written                                          27,191 GB      2,175.27       28.61
      records read                                             27,191 GB      1,087.63       14.30
      kept beyond 24 hours                               5,364 GB-months        536.37        7.05
    DynamoDB                                                                    959.99       12.62
      rows written                                     462 million units        288.73        3.80
      their index                                      200 million units        125.07        1.64
      tallies, put and deleted                         473 million units        295.89        3.89
      windows and epochs written                      14.4 million units          9.01        0.12
      histories of patterns written                   0.01 million units          0.01        0.00
      cursors, tallies, epochs, histories read         108 million units         13.55        0.18
      sweeps                                          0.13 million units          0.02        0.00
      rows kept for 90 days                                568 GB-months        142.07        1.87
      their point-in-time recovery                         428 GB-months         85.64        1.13
    CloudWatch, with the functions' logs                                        115.25        1.52
      own logs ingested                                           197 GB         98.37        1.29
      own logs kept for 30 days                           29.1 GB-months          0.87        0.01
      metrics                                                 26 metrics          7.80        0.10
      metrics by route and by target                        2.00 metrics          0.60        0.01
      alarms                                                   26 alarms          2.60        0.03
      LogsDeliveryAlarm, one metric a log group                20 metrics          2.00        0.03
      the dashboard                                          1 dashboard          3.00        0.04
    Lambda                                                                       86.70        1.14
      invocations                                            102 million         20.50        0.27
      the consumer                                  4,961,837 GB-seconds         66.16        0.87
      the notifier                                      3,836 GB-seconds          0.05        0.00
    SQS                                                                           0.27        0.00
      due messages                                          0.01 million          0.01        0.00
      Lambda's polls of the due queue                       0.66 million          0.26        0.00
    Secrets Manager                                                               0.45        0.01
      the secret                                                1 secret          0.40        0.01
      reads of it                                          1.09 x 10,000          0.05        0.00
    Data transfer                                                                 0.00        0.00
    CloudWatch Logs subscriptions                                                 0.00        0.00
    total                                                                     4,991.13       65.64

    not included: ingestion by CloudWatch Logs                               35,409.66      465.66

    estimated, not measured (--json has all 62 coefficients)
    peak-to-mean          2 times       the busiest minutes against the average
    invocation-ms         2.5 ms        runtime, summary line, rounding up to a millisecond
    vcpu-slowdown         2 times       a vCPU of Lambda against the measured core
    transaction-ms        20 ms         wait for one transaction
    transaction-cpu-ms    1 ms          sign and encrypt one transaction
    arm-ms                5 ms          wait for the cursor of a route
    patterns-per-window   3 patterns    the patterns of a window, each with a history
    notifier-ms           400 ms        a due message: about twelve calls, and Slack's answer
    sweep-ms              10 ms         a sweep without routes
    sweep-route-ms        0.7 ms        each route: 10 ms, sixteen routes at once
    message-bytes         10000 bytes   a message to a target, with TLS
    platform-log-bytes    700 bytes     Lambda's own two lines, and 26 bytes that CloudWatch Logs adds to each
    ");
}

#[test]
fn a_small_team_does_without_a_stream() {
    let output = cost(&[
        "--tb-per-day=0.001",
        "--subscription=direct",
        "--architecture=x86_64",
        "--log-groups=0",
    ]);
    let shown = text(&output.stdout);
    assert!(
        shown.contains("invocations a day, one a record") && !shown.contains("Kinesis"),
        "{shown}"
    );
}

#[test]
fn the_json_object_has_the_documented_shape_and_stable_codes() {
    let bill = json(&[]);
    check_documents("cost --json", &[bill.clone(), json(&["--subscription=direct"])], &[]);
    let codes = |list: &Value| {
        list.as_array()
            .unwrap()
            .iter()
            .map(|one| one["code"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    insta::assert_snapshot!(codes(&bill["services"]).join(" "), @"kinesis dynamodb cloudwatch lambda sqs secrets-manager data-transfer cloudwatch-logs");
    let charges: Vec<String> = bill["services"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|service| codes(&service["charges"]))
        .collect();
    insta::assert_snapshot!(charges.join(" "), @"kinesis-stream kinesis-in kinesis-out kinesis-retention dynamodb-rows dynamodb-index dynamodb-tallies dynamodb-windows dynamodb-patterns dynamodb-reads dynamodb-sweeps dynamodb-stored dynamodb-recovery cloudwatch-own-logs cloudwatch-own-logs-stored cloudwatch-metrics cloudwatch-series cloudwatch-alarms cloudwatch-delivery-alarm cloudwatch-dashboard lambda-requests lambda-consumer lambda-notifier sqs-due sqs-polls secrets-stored secrets-reads data-out logs-delivered");
    let of_services = bill["services"].as_array().unwrap().iter();
    let sum: f64 = of_services.map(|service| service["usd_per_month"].as_f64().unwrap()).sum();
    assert!((sum - bill["total"]["usd_per_month"].as_f64().unwrap()).abs() < 0.01);
}

#[test]
fn the_built_in_prices_can_be_printed_edited_and_passed() {
    let directory = scratch("cost");
    let printed = cost(&["--print-prices"]);
    assert_eq!(printed.status.code(), Some(0));
    let (same, dear) = (directory.join("same.toml"), directory.join("dear.toml"));
    std::fs::write(&same, &printed.stdout).unwrap();
    let edited = text(&printed.stdout)
        .replace("usd = 0.625", "usd = 6.25")
        .replace("us-east-1", "eu-west-1");
    std::fs::write(&dear, edited).unwrap();
    assert_eq!(json(&["--prices", same.to_str().unwrap()]), json(&[]));
    let dear = json(&["--prices", dear.to_str().unwrap()]);
    assert_eq!(dear["prices"]["region"], "eu-west-1");
    let dynamodb = |bill: &Value| {
        let services = bill["services"].as_array().unwrap().iter();
        let dynamodb = services.filter(|service| service["code"] == "dynamodb");
        dynamodb.map(|service| service["usd_per_month"].as_f64().unwrap()).sum::<f64>()
    };
    assert!(dynamodb(&dear) > 5.0 * dynamodb(&json(&[])));
}

#[test]
fn a_wrong_price_list_is_refused_with_file_and_line() {
    let directory = scratch("cost-wrong");
    let file = directory.join("prices.toml");
    std::fs::write(
        &file,
        text(&cost(&["--print-prices"]).stdout).replace("usd = 0.625", "usd = \"0.625\""),
    )
    .unwrap();
    let output = cost(&["--prices", file.to_str().unwrap()]);
    let file_name = file.display();
    let expected = format!(
        "{file_name}:25:33: usd: expected a number of dollars, found a string\n\
         error: {file_name} has 1 error\n"
    );
    assert_eq!((text(&output.stderr), output.status.code()), (expected, Some(2)));
    let missing = directory.join("none.toml");
    let output = cost(&["--prices", missing.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        text(&output.stderr).contains(&format!("cannot read the price list {}", missing.display()))
    );
    std::fs::write(&file, vec![b'#'; (1 << 20) + 1]).unwrap();
    let output = cost(&["--prices", file.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("is larger than 1 MiB"));
}

#[test]
fn a_wrong_option_is_named_with_what_it_takes() {
    for (arguments, name, expected) in [
        (&["--tb-per-day", "0"][..], "--tb-per-day", "a number from 0.000000001 to 1000000"),
        (&["--tb-per-day", "nan"], "--tb-per-day", "a number from 0.000000001 to 1000000"),
        (&["--tb-per-day", "2e6"], "--tb-per-day", "a number from 0.000000001 to 1000000"),
        (&["--match-ratio", "1.5"], "--match-ratio", "expected a number from 0 to 1"),
        (&["--match-ratio", "5%"], "--match-ratio", "expected a number from 0 to 1"),
        (&["--event-bytes", "0"], "--event-bytes", "0 is not in 1..=1048576"),
        (&["--alert-bytes", "x"], "--alert-bytes", "invalid digit"),
        (&["--compression", "0.5"], "--compression", "a number from 1 to 1032"),
        (
            &["--stream-retention-hours", "24"],
            "--stream-retention-hours",
            "the template allows 48, 72, 168",
        ),
        (&["--targets-per-route", "101"], "--targets-per-route", "101 is not in 1..=100"),
        (&["--subscription", "kafka"], "--subscription", "stream, direct"),
        (&["--architecture", "riscv"], "--architecture", "arm64, x86_64"),
        (&["--print-prices", "--json"], "--print-prices", "cannot be used with"),
        (
            &["--events-per-record", "100000"],
            "--events-per-record 100000",
            "a record would have 6,383,378 bytes of gzip",
        ),
    ] {
        let output = cost(arguments);
        let shown = text(&output.stderr);
        assert_eq!(
            (output.status.code(), text(&output.stdout).as_str()),
            (Some(2), ""),
            "{arguments:?} {shown}"
        );
        assert!(shown.contains(name) && shown.contains(expected), "{arguments:?} {shown}");
    }
}

/// Columns are apart, whatever the volume, and no number overflows.
#[test]
fn every_volume_and_price_gives_a_table_and_numbers() {
    let directory = scratch("cost-extremes");
    let prices = directory.join("prices.toml");
    let builtin = text(&stentor(&directory, &["cost", "--print-prices"]).output().unwrap().stdout);
    let highest = regex::Regex::new("usd = [0-9.]+").unwrap().replace_all(&builtin, "usd = 10000");
    std::fs::write(&prices, &*highest).unwrap();
    for volume in ["0.000000001", "1", "1000000"] {
        for more in [&[][..], &["--prices", prices.to_str().unwrap()]] {
            let workload = ["cost", "--tb-per-day", volume, "--match-ratio", "1"];
            let print = |last: &[&str]| {
                let output =
                    stentor(&directory, &[&workload, more, last].concat()).output().unwrap();
                assert!(output.status.success(), "{}", text(&output.stderr));
                text(&output.stdout)
            };
            let shown = print(&[]);
            let table = shown.lines().skip_while(|line| !line.contains("$/month")).skip(1);
            for line in table.take_while(|line| !line.contains("estimated")) {
                let cells: Vec<&str> =
                    line.split("  ").map(str::trim).filter(|cell| !cell.is_empty()).collect();
                let is_apart = cells.iter().all(|cell| cell.matches('.').count() <= 1);
                assert!(line.is_empty() || (cells.len() >= 3 && is_apart), "{line}\n{shown}");
                assert!(!line.contains("184,467,440"), "an overflow: {line}");
            }
            let report: Value = serde_json::from_str(&print(&["--json"])).unwrap();
            assert!(report["total"]["usd_per_tb"].is_number(), "{report}");
        }
    }
    for (option, bad) in [("--tb-per-day", "0"), ("--tb-per-day", "1e-300")] {
        let output = stentor(&directory, &["cost", option, bad]).output().unwrap();
        let errors = text(&output.stderr);
        assert!(errors.contains("a number from 0.000000001 to 1000000"), "{errors}");
    }
}
