//! The commands other than `run`: help that fits a screen, completions, the manual, queries of the
//! audit table, checks of a configuration, and replays of files.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::Duration;

use base64::Engine as _;
use serde_json::Value;
use stentor::adapters::clock::SystemClock;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::Clock as _;

fn stentor(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
    command.args(arguments).env_clear().current_dir(env!("CARGO_MANIFEST_DIR")).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn scratch(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("operator").join(test);
    std::fs::remove_dir_all(&directory).ok();
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

#[test]
fn every_help_fits_a_screen_and_shows_an_example() {
    let all = text(&stentor(&["--help"]).stdout);
    let commands = all
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let is_name = |line: &&str| line.starts_with("  ") && !line.starts_with("   ");
    let commands: Vec<&str> =
        commands.filter(is_name).filter_map(|line| line.split_whitespace().next()).collect();
    assert!(commands.len() > 6 && commands.contains(&"replay"), "{commands:?}");
    for command in commands.into_iter().filter(|command| *command != "help") {
        let help = text(&stentor(&[command, "--help"]).stdout);
        assert!(help.lines().count() <= 33, "{command}: {} lines\n{help}", help.lines().count());
        assert!(help.lines().all(|line| line.chars().count() <= 110), "{help}");
        assert!(help.contains(&format!("stentor {command}")) && help.contains("Example"), "{help}");
    }
}

#[test]
fn shells_and_man_know_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let script = text(&stentor(&["completions", shell]).stdout);
        for word in ["replay", "max-decoded", "alerts", "check"] {
            assert!(script.contains(word), "{shell}: {word}");
        }
    }
    assert!(text(&stentor(&["man"]).stdout).contains(".TH stentor 1"));
    let pages = scratch("man");
    assert!(stentor(&["man", "--output", pages.to_str().unwrap()]).status.success());
    let page = std::fs::read_to_string(pages.join("stentor-replay.1")).unwrap();
    assert!(page.contains("dry\\-run"), "{page}");
}

#[test]
fn a_configuration_is_checked_and_a_line_explained() {
    let good = stentor(&["check", "--config", "config/stentor.toml"]);
    assert_eq!((good.status.code(), text(&good.stderr)), (Some(0), String::new()));
    assert!(
        text(&good.stdout).starts_with("✓ the configuration is valid: 1 route"),
        "{}",
        text(&good.stdout)
    );
    let example = stentor(&["check", "--config", "config/example.toml"]);
    assert_eq!((example.status.code(), text(&example.stderr)), (Some(0), String::new()));
    let bad = scratch("check").join("bad.toml");
    std::fs::write(
        &bad,
        "window = \"0s\"\n[[route]]\nname = \"a\"\nmarkers = []\nnotify = [\"pigeon:x\"]\n",
    )
    .unwrap();
    let output = stentor(&["check", "--config", bad.to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(2));
    // Each diagnostic begins with its place, so that an editor finds it.
    let lines = text(&output.stderr).lines().map(str::to_owned).collect::<Vec<_>>();
    let places: Vec<&str> =
        lines[..3].iter().map(|line| line.split(": ").next().unwrap()).collect();
    assert_eq!(places, ["1:10", "4:11", "5:11"].map(|place| format!("{}:{place}", bad.display())));
    assert_eq!(lines[3..], [format!("error: {} has 3 errors", bad.display())]);

    let line = "[ALERT] login of 17 failed password=hunter2hunter2";
    let delivered =
        text(&stentor(&["check", "--message", line, "--log-group", "/aws/lambda/shop"]).stdout);
    for part in [
        "✓ route alerts: the line has [ALERT]",
        "[redacted",
        "grouped as  [ALERT] login of <n> failed",
    ] {
        assert!(delivered.contains(part), "{part}\n{delivered}");
    }
    assert!(!delivered.contains("hunter2"), "{delivered}");
    let quiet = text(&stentor(&["check", "--message", "all is well"]).stdout);
    assert!(quiet.contains("✗ route alerts") && quiet.contains("no route accepts it"), "{quiet}");
}

#[test]
fn alerts_filters_and_limits_its_rows() {
    let directory = scratch("alerts");
    let log = directory.join("shop.log");
    let now = SystemClock.now().iso();
    let lines: String =
        (0..130).map(|n| format!("{now} [CRITICAL] order {n} =failed, \"badly\"\n")).collect();
    std::fs::write(&log, format!("{lines}{now} [ALERT] disk full\n{now} quiet\n")).unwrap();
    let data = directory.join("data");
    let data = data.to_str().unwrap();
    assert!(
        stentor(&["run", log.to_str().unwrap(), "--data-dir", data, "--json"]).status.success()
    );
    let ask = |more: &[&str]| {
        let output = stentor(&[&["alerts", "--data-dir", data], more].concat());
        (text(&output.stdout).lines().map(str::to_owned).collect::<Vec<_>>(), text(&output.stderr))
    };
    let (hundred, more) = ask(&["--json"]);
    assert_eq!(hundred.len(), 100);
    assert!(
        more.starts_with("hint: more than 100 alerts match; --limit 0 shows all, --after "),
        "{more}"
    );
    let (_, more) = ask(&["--json", "--limit", "1"]);
    assert!(more.starts_with("hint: more than 1 alert matches; --limit 0 shows all"), "{more}");
    let (all, nothing) = ask(&["--json", "--limit", "0"]);
    assert_eq!((all.len(), nothing.as_str()), (131, ""));
    let ids: std::collections::BTreeSet<String> = all
        .iter()
        .map(|row| serde_json::from_str::<Value>(row).unwrap()["log_id"].to_string())
        .collect();
    assert_eq!(ids.len(), 131, "each row once");
    assert_eq!(ask(&["--grep", "disk|order 12 "]).0.len(), 2);
    assert_eq!(ask(&["--app", "shop.log", "--route", "alerts", "--limit", "0"]).0.len(), 131);
    assert_eq!(ask(&["--app", "none"]).0.len(), 0);
    assert_eq!(ask(&["--route", "none"]).0.len(), 0);
    let (none, printed) = ask(&["--until", "10m"]);
    assert!(none.is_empty() && printed.starts_with("no alerts from "), "{printed}");
    let (csv, _) = ask(&["--csv", "--grep", "order 7 "]);
    assert!(
        csv[0].starts_with("log_id,timestamp,marker,") && csv[1].contains("\"\"badly\"\""),
        "{csv:?}"
    );
}

/// Runs an event with a log event `[CRITICAL] nth <n>` for each of these times, in ms. Returns the
/// data directory.
fn stored(test: &str, times: &[i64]) -> String {
    let directory = scratch(test);
    let event = |(n, time): (usize, &i64)| serde_json::json!({"id": n.to_string(), "timestamp": time, "message": format!("[CRITICAL] nth {n}")});
    let events: Vec<Value> = times.iter().enumerate().map(event).collect();
    let batch = serde_json::json!({"messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/lambda/shop",
        "logStream": "s", "subscriptionFilters": ["f"], "logEvents": events});
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(batch.to_string().as_bytes()).unwrap();
    let data = base64::engine::general_purpose::STANDARD.encode(packed.finish().unwrap());
    let file = directory.join("event.json");
    std::fs::write(&file, serde_json::json!({"awslogs": {"data": data}}).to_string()).unwrap();
    let data = directory.join("data").to_str().unwrap().to_owned();
    let run = stentor(&["run", file.to_str().unwrap(), "--data-dir", &data, "--json"]);
    assert!(run.status.success(), "{}", text(&run.stdout));
    data
}

/// The numbers of the events that `stentor alerts` prints, in its order, and its hints.
fn query(data: &str, more: &[&str]) -> (Vec<usize>, String) {
    let output = stentor(&[&["alerts", "--data-dir", data], more].concat());
    assert!(output.status.success(), "{}", text(&output.stderr));
    let nth = |line: &str| line.rsplit(' ').next().unwrap().parse().unwrap();
    (text(&output.stdout).lines().map(nth).collect(), text(&output.stderr))
}

const HOUR_MS: i64 = 3_600_000;

#[test]
fn a_long_period_with_few_alerts_is_read_at_once() {
    let now = SystemClock.now().as_millis();
    // One a month, and some in the same hour.
    let times: Vec<i64> = (0..12)
        .map(|n| now - n * 30 * 24 * HOUR_MS - 5_000)
        .chain([now - 6_000, now - 7_000])
        .collect();
    let data = stored("long", &times);
    let all = [0, 12, 13, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11];
    let until_end = ["--since", "1970-01-01", "--until", "9999-12-31"];
    for span in
        [&["--since", "365d"][..], &["--since", "10000d"], &["--since", "1970-01-01"], &until_end]
    {
        let started = std::time::Instant::now();
        assert_eq!(query(&data, span), (all.to_vec(), String::new()), "{span:?}");
        // One query for each hour of the first period would take 40 s.
        assert!(started.elapsed() < Duration::from_secs(10), "{span:?}: {:?}", started.elapsed());
    }
    assert_eq!(query(&data, &["--since", "65d"]).0, all[..5]);
    assert_eq!(query(&data, &["--since", "100d", "--until", "20d"]).0, [1, 2, 3]);
}

#[test]
fn hints_lead_to_alerts_with_impossible_times() {
    let now = SystemClock.now().as_millis();
    let times = [
        now - 1_000,
        now + HOUR_MS,
        now + 90 * HOUR_MS,
        0,
        now / 1_000,
        now * 1_000,
        now * 1_000_000,
        -1,
        i64::MIN,
        i64::MAX,
    ];
    let data = stored("impossible", &times);
    let (found, printed) = query(&data, &[]);
    assert_eq!(found, [0]);
    assert_eq!(
        printed,
        "hint: 5 more alerts have a time in the future; --until 9999-12-31 shows them\n\
         hint: 4 more alerts have a time before 2000; --since 0001-01-01 shows them\n"
    );
    let (found, printed) = query(&data, &["--until", "9999-12-31"]);
    assert_eq!((found.len(), printed.as_str()), (6, ""));
    let (found, printed) = query(&data, &["--since", "0001-01-01"]);
    assert_eq!(
        (found, printed.as_str()),
        (
            vec![0, 4, 3, 7, 8],
            "hint: 5 more alerts have a time in the future; --until 9999-12-31 shows them\n"
        )
    );
    let (found, printed) = query(&data, &["--since", "0001-01-01", "--until", "9999-12-31"]);
    assert_eq!((found.len(), printed.as_str()), (10, ""));
    // With --until there is no hint, only the note that nothing matches.
    assert_eq!(query(&data, &["--since", "2h", "--until", "1h"]).1.lines().count(), 1);
    let (none, printed) = query(&data, &["--grep", "nth 2", "--since", "2h"]);
    assert!(
        none.is_empty()
            && printed.contains("1 more alert has a time in the future")
            && !printed.contains("before 2000"),
        "{printed}"
    );
}

#[test]
fn a_date_includes_its_whole_day() {
    let at = |text: &str| Timestamp::from_iso(text).unwrap().as_millis();
    let times =
        [at("2026-11-01T00:00:00Z"), at("2026-11-30T23:59:59.999Z"), at("2026-12-01T00:00:00Z")];
    let data = stored("day", &times);
    let november = ["--since", "2026-11-01", "--until", "2026-11-30"];
    assert_eq!(query(&data, &november).0, [1, 0]);
    assert_eq!(query(&data, &["--since", "2026-11-30", "--until", "2026-11-30"]).0, [1]);
}

#[test]
fn a_file_is_replayed_once_and_does_not_change() {
    let directory = scratch("file");
    let data = directory.join("data");
    let data = data.to_str().unwrap();
    let replay = |more: &[&str]| -> (Value, i32) {
        let output = stentor(&[&["replay", "--data-dir", data, "--json"], more].concat());
        let report = serde_json::from_slice(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
        (report, output.status.code().unwrap())
    };
    // `stentor run` parks ten records. One is too large, but fits the new limit.
    stentor(&["run", "events/kinesis-poison.json", "--data-dir", data, "--json"]);
    let parked = std::fs::read_to_string(directory.join("data/dlq.jsonl")).unwrap();
    let (first, code) = replay(&["--max-decoded", "1GiB"]);
    assert_eq!(
        (code, &first["received"], &first["reprocessed"]),
        (1, &Value::from(10), &Value::from(1)),
        "{first:#}"
    );
    // Its alerts are those of the record with bad UTF-8, which the run has stored and sent.
    assert_eq!((&first["kept"], &first["duplicates"]), (&Value::from(0), &Value::from(4)));
    assert_eq!(first["messages"], Value::Array(Vec::new()));
    let (second, _) = replay(&["--max-decoded", "1GiB"]);
    assert_eq!((&second["received"], &second["reprocessed"]), (&Value::from(9), &Value::from(0)));
    assert_eq!(std::fs::read_to_string(directory.join("data/dlq.jsonl")).unwrap(), parked);

    // The object of an S3 destination: the metadata, and the event as a string.
    let event = std::fs::read_to_string("events/kinesis-burst.json").unwrap();
    let object = serde_json::json!({
        "requestContext": {"condition": "RetryAttemptsExhausted"},
        "version": "1.0",
        "KinesisBatchInfo": {"shardId": "shardId-0", "startSequenceNumber": "1", "endSequenceNumber": "2",
                             "batchSize": 12, "streamArn": "arn:aws:kinesis:us-east-1:1:stream/logs"},
        "payload": event,
    });
    let file = directory.join("object.json");
    std::fs::write(&file, serde_json::to_string_pretty(&object).unwrap()).unwrap();
    let file = file.to_str().unwrap();
    let (first, code) = replay(&["--file", file]);
    assert_eq!((code, &first["kept"]), (0, &Value::from(180)));
    assert_eq!(first["reprocessed_by_kind"], serde_json::json!([{"kind": "batch", "count": 1}]));
    assert_eq!(first["messages"].as_array().unwrap().len(), 1, "one message for all of it");
    let (second, code) = replay(&["--file", file]);
    assert_eq!(
        (code, &second["received"], &second["messages"]),
        (0, &Value::from(0), &Value::Array(vec![]))
    );
}
