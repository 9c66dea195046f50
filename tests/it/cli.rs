//! The command line as an operator uses it: the binary, real files and a local webhook.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::{Value, json};
use stentor::adapters::clock::SystemClock;
use stentor::protocol::clock::Clock as _;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

use crate::support::parked::{gzip, parked_record, unstorable};

mod alerts;
mod check;
mod cost;
mod dead_letters;
mod exit_codes;
mod export;
mod held;
mod input;
mod json;
mod patterns;
mod postgres;
mod targets;
mod terminal;
mod timeout;

/// An empty directory for this test.
fn scratch(test: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(test);
    std::fs::remove_dir_all(&directory).ok();
    std::fs::create_dir_all(&directory).unwrap();
    directory
}

fn stentor(directory: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
    command
        .args(arguments)
        .env_clear()
        .env("STENTOR_NOTHING", "")
        .current_dir(env!("CARGO_MANIFEST_DIR"));
    if arguments.first() == Some(&"run") {
        command.arg("--data-dir").arg(directory.join("data"));
    }
    command
}

fn run(directory: &Path, arguments: &[&str]) -> Output {
    stentor(directory, &[&["run"], arguments].concat()).output().unwrap()
}

/// The JSON report of a run, and its exit code.
fn report(directory: &Path, arguments: &[&str]) -> (Value, i32) {
    let output = run(directory, &[arguments, &["--json"]].concat());
    let text = String::from_utf8(output.stdout).unwrap();
    let report = serde_json::from_str(&text)
        .unwrap_or_else(|_| panic!("{text} {}", String::from_utf8_lossy(&output.stderr)));
    (report, output.status.code().unwrap())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn a_burst_becomes_one_message_and_a_second_run_repeats_nothing() {
    let directory = scratch("burst");
    let (first, code) = report(&directory, &["events/kinesis-burst.json"]);
    assert_eq!(code, 0);
    assert_eq!(
        (&first["records"], &first["events"], &first["kept"]),
        (&json!(12), &json!(300), &json!(180))
    );
    assert_eq!(first["routes"], json!({"alerts": 180}));
    let mut message = first["messages"][0].clone();
    let groups = message.as_object_mut().unwrap().remove("groups").unwrap();
    let grouped: u64 =
        groups.as_array().unwrap().iter().map(|group| group["alerts"].as_u64().unwrap()).sum();
    assert_eq!(grouped, 180);
    assert_eq!(
        message,
        json!({"route": "alerts", "epoch": 1, "target": "slack:default", "alerts": 180, "outcome": "shown", "reason": null, "other_alerts": 0})
    );
    let (second, code) = report(&directory, &["events/kinesis-burst.json"]);
    assert_eq!((code, &second["kept"], &second["duplicates"]), (0, &json!(0), &json!(180)));
    assert_eq!(second["messages"], json!([]));
}

#[test]
fn the_picture_of_the_readme_is_a_real_message() {
    let readme = include_str!("../../README.md");
    let picture = readme.split("```text\n").nth(1).unwrap().split("```").next().unwrap();
    let output = run(&scratch("picture"), &["events/kinesis-formats.json"]);
    let shown = text(&output.stdout).replace('\u{a0}', " ");
    let lines: Vec<&str> =
        picture.lines().filter(|line| !line.trim().is_empty() && line.trim() != "…").collect();
    assert!(lines.len() > 10);
    for line in lines {
        assert!(shown.contains(line), "{line}\n{shown}");
    }
}

#[test]
fn every_sample_has_the_report_that_its_readme_documents() {
    // events, unmatched, duplicates, kept, parked, exit code
    let cases = [
        ("kinesis-burst.json", [300, 120, 0, 180, 0, 0]),
        ("kinesis-control.json", [3, 1, 0, 2, 0, 0]),
        ("kinesis-duplicates.json", [8, 1, 5, 2, 0, 0]),
        ("kinesis-poison.json", [36, 12, 0, 24, 10, 1]),
        ("kinesis-multimember.json", [3, 1, 0, 2, 0, 0]),
        ("kinesis-escapes.json", [13, 3, 0, 10, 0, 0]),
        ("kinesis-system-fields.json", [4, 1, 0, 3, 0, 0]),
        ("kinesis-empty.json", [0, 0, 0, 0, 0, 0]),
        ("kinesis-tumbling.json", [50, 23, 0, 27, 0, 0]),
        ("kinesis-own-logs.json", [9, 5, 0, 4, 0, 0]),
        ("kinesis-formats.json", [28, 9, 0, 19, 0, 0]),
        ("kinesis-secrets.json", [23, 0, 0, 23, 0, 0]),
        ("subscription.json", [3, 1, 0, 2, 0, 0]),
    ];
    let samples = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("events")).unwrap();
    let samples = samples
        .filter(|entry| entry.as_ref().unwrap().path().extension().is_some_and(|e| e == "json"));
    // The events of the notifier have no records.
    assert_eq!(
        samples.count(),
        cases.len() + ["sqs-due.json", "sweep.json"].len(),
        "a sample without a row here"
    );
    for (file, expected) in cases {
        let directory = scratch(file);
        let (report, code) = report(&directory, &[&format!("events/{file}")]);
        let n = |name: &str| report[name].as_u64().unwrap();
        let parked = report["parked"].as_array().unwrap().len() as u64;
        let counts = [
            n("events"),
            n("unmatched"),
            n("duplicates"),
            n("kept"),
            parked,
            u64::try_from(code).unwrap(),
        ];
        assert_eq!(counts, expected, "{file}: {report}");
    }
}

#[test]
fn every_kind_of_poison_is_parked_with_its_reason_and_its_bytes() {
    let directory = scratch("poison");
    let (report, _) = report(&directory, &["events/kinesis-poison.json"]);
    let mut codes: Vec<&str> = report["parked"]
        .as_array()
        .unwrap()
        .iter()
        .map(|parked| parked["code"].as_str().unwrap())
        .collect();
    codes.sort();
    let expected = [
        "bad-base64",
        "corrupt-gzip",
        "not-a-subscription",
        "not-gzip",
        "not-gzip",
        "not-json",
        "not-utf8",
        "too-large",
        "trailing-bytes",
        "truncated-gzip",
    ];
    assert_eq!(codes, expected);
    let dead_letters = std::fs::read_to_string(directory.join("data/dlq.jsonl")).unwrap();
    for line in dead_letters.lines() {
        let parked: Value = serde_json::from_str(line).unwrap();
        assert_eq!((&parked["stentor"], &parked["kind"]), (&json!(2), &json!("record")));
        assert!(
            parked["data"].is_string()
                && parked["parked_at"].is_string()
                && parked["event_id"].is_string()
        );
    }
    assert_eq!(dead_letters.lines().count(), 10);
}

#[test]
fn the_text_report_shows_the_counts_and_the_message_without_secrets() {
    let directory = scratch("text");
    let output = run(&directory, &["events/kinesis-secrets.json", "--preview"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    for part in [
        "records     1: 1 processed",
        "23 kept",
        "route       alerts: 23 alerts",
        "slack:default",
        "23 alerts",
    ] {
        assert!(shown.contains(part), "{part} is missing in:\n{shown}");
    }
    assert!(shown.contains("https://app.slack.com/block-kit-builder/#"));
    assert_eq!(text(&output.stderr), "", "no warnings");
}

#[test]
fn bad_input_is_reported_and_the_rest_is_ingested() {
    let directory = scratch("bad-input");
    let broken = directory.join("broken.json");
    std::fs::write(&broken, "{\"Records\": [\n  {\"kinesis\": hunter2}]}").unwrap();
    let output = run(&directory, &[broken.to_str().unwrap(), "events/subscription.json"]);
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        shown.contains("broken.json: the event is not JSON: a syntax error at line 2"),
        "{shown}"
    );
    assert!(shown.contains("2 kept") && !shown.contains("hunter2"), "{shown}");

    let usage = [
        (vec!["events/no-such-file.json"], "cannot read events/no-such-file.json"),
        (vec!["events"], "is a directory"),
        (
            vec!["events/subscription.json", "--slack-webhook", "http://example.com/topsecret"],
            "must be an https:// URL",
        ),
        (vec!["events/subscription.json", "--config", "events/README.md"], "events/README.md:"),
        (vec![], "<FILE>..."),
    ];
    for (arguments, expected) in usage {
        let output = run(&directory, &arguments);
        let errors = text(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
        assert!(
            errors.contains(expected) && !errors.contains("topsecret"),
            "{arguments:?}: {errors}"
        );
    }
}

#[test]
fn two_runs_do_not_share_a_data_directory() {
    let directory = scratch("lock");
    let mut first = stentor(&directory, &["run", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // The first run shows a message once it has the lock.
    let mut printed = BufReader::new(first.stdout.take().unwrap());
    writeln!(first.stdin.as_ref().unwrap(), "[CRITICAL] x").unwrap();
    let mut line = String::new();
    printed.read_line(&mut line).unwrap();
    let second = run(&directory, &["events/subscription.json"]);
    assert_eq!(second.status.code(), Some(2));
    assert!(text(&second.stderr).contains("another stentor run uses"), "{}", text(&second.stderr));
    drop(first.stdin.take());
    assert!(first.wait().unwrap().success());
}

#[test]
fn a_log_file_is_ingested_by_line_and_a_second_run_finds_only_the_new_lines() {
    let directory = scratch("plain");
    let log = directory.join("app.log");
    let lines =
        b"2026-11-23T14:15:06Z started\n2026-11-23T14:15:07Z [CRITICAL] one\r\n[ALERT] \xff two\n";
    std::fs::write(&log, lines).unwrap();
    let log = log.to_str().unwrap();
    let (first, code) = report(&directory, &[log]);
    assert_eq!((code, &first["events"], &first["kept"]), (0, &json!(3), &json!(2)));
    let mut file = std::fs::OpenOptions::new().append(true).open(log).unwrap();
    file.write_all(b"[CRITICAL] one\n").unwrap();
    let (second, _) = report(&directory, &[log, log]);
    assert_eq!((&second["kept"], &second["duplicates"]), (&json!(1), &json!(5)));
    assert_eq!(
        second["messages"].as_array().unwrap().len(),
        1,
        "one message for all files of a run"
    );
}

#[test]
fn standard_input_is_delivered_at_once_and_then_by_window() {
    let directory = scratch("stdin");
    let config = directory.join("stentor.toml");
    let route = "window = \"1s\"\n[[route]]\nname = \"all\"\nmarkers = [\"[CRITICAL]\"]\nnotify = [\"slack:x\"]\n";
    std::fs::write(&config, route).unwrap();
    let mut child = stentor(&directory, &["run", "-", "--config", config.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut stdin = child.stdin.take().unwrap();
    let mut shown = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut until = |part: &str| {
        shown
            .by_ref()
            .find(|line| line.contains(part))
            .unwrap_or_else(|| panic!("never shown: {part}"))
    };
    writeln!(stdin, "quiet\n[CRITICAL] first").unwrap();
    until("[CRITICAL] first · 1 alert");
    writeln!(stdin, "[CRITICAL] second\n[CRITICAL] the third").unwrap();
    until("[CRITICAL] 2 alerts");
    until("Over: 3 alerts");
    write!(stdin, "[CRITICAL] last, without a line ending").unwrap();
    drop(stdin);
    until("without a line ending · 1 alert");
    assert!(child.wait().unwrap().success());
}

#[tokio::test]
async fn a_webhook_gets_the_message_with_retries_and_its_url_is_never_shown() {
    let slack = MockServer::start().await;
    let limited = ResponseTemplate::new(429).insert_header("retry-after", "1");
    Mock::given(method("POST"))
        .and(path("/topsecret"))
        .respond_with(limited)
        .up_to_n_times(1)
        .mount(&slack)
        .await;
    let broken = ResponseTemplate::new(503);
    Mock::given(method("POST"))
        .and(path("/topsecret"))
        .respond_with(broken)
        .up_to_n_times(1)
        .mount(&slack)
        .await;
    Mock::given(method("POST"))
        .and(path("/topsecret"))
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .mount(&slack)
        .await;
    let directory = scratch("webhook");
    let url = format!("{}/topsecret", slack.uri());
    let child = stentor(
        &directory,
        &["run", "-v", "-v", "events/kinesis-burst.json", "--slack-webhook", &url],
    );
    let output = tokio::process::Command::from(child).output().await.unwrap();
    let requests: Vec<Request> = slack.received_requests().await.unwrap();
    assert_eq!(requests.len(), 3, "{}", text(&output.stderr));
    let body: Value = requests[2].body_json().unwrap();
    assert!(body["blocks"].is_array() && body["text"].as_str().unwrap().contains("180 alerts"));
    let all = format!("{}{}", text(&output.stdout), text(&output.stderr));
    assert!(all.contains("slack:default · delivered") && !all.contains("topsecret"), "{all}");
    assert_eq!(output.status.code(), Some(0));
}

#[tokio::test]
async fn a_refused_message_is_parked_and_a_late_one_is_delivered_by_the_next_run() {
    let slack = MockServer::start().await;
    let gone = ResponseTemplate::new(410).set_body_string("channel_is_archived");
    Mock::given(method("POST")).and(path("/gone")).respond_with(gone).mount(&slack).await;
    let limited = ResponseTemplate::new(429).insert_header("retry-after", "10");
    Mock::given(method("POST"))
        .and(path("/busy"))
        .respond_with(limited)
        .up_to_n_times(1)
        .mount(&slack)
        .await;
    Mock::given(method("POST"))
        .and(path("/busy"))
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .mount(&slack)
        .await;
    let post = async |test: &str, to: &str, more: &[&str]| {
        let url = format!("{}/{to}", slack.uri());
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(test);
        let arguments =
            [&["run", "events/subscription.json", "--slack-webhook", &url], more].concat();
        tokio::process::Command::from(stentor(&directory, &arguments)).output().await.unwrap()
    };
    scratch("refused");
    let output = post("refused", "gone", &[]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stdout).contains("Slack answered 410: channel_is_archived"),
        "{}",
        text(&output.stdout)
    );
    let dead_letters = std::fs::read_to_string(
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli/refused/data/dlq.jsonl"),
    )
    .unwrap();
    let parked: Value = serde_json::from_str(dead_letters.lines().next().unwrap()).unwrap();
    assert_eq!(
        (&parked["kind"], &parked["target"], &parked["epochs"]),
        (&json!("message"), &json!("slack:default"), &json!([1, 1]))
    );

    scratch("owed");
    let output = post("owed", "busy", &["--timeout", "2"]).await;
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stdout).contains("not delivered yet"), "{}", text(&output.stdout));
    // The next run delivers it, as soon as Slack allows; everything in the input is a duplicate.
    let output = post("owed", "busy", &["--timeout", "60"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stdout));
    assert!(
        text(&output.stdout).contains("2 duplicates · 0 kept")
            && text(&output.stdout).contains("2 alerts")
    );
}

#[test]
fn run_finds_the_alerts_and_the_poison_of_a_sample() {
    let directory = scratch("sample");
    let file = directory.join("big.json");
    let size = [
        "--records",
        "40",
        "--events-per-record",
        "100",
        "--events-per-request",
        "3",
        "--match-ratio",
        "0.05",
        "--duplicates",
        "0.1",
        "--poison",
        "0.1",
    ];
    let out = ["-o", file.to_str().unwrap()];
    let made = stentor(&directory, &[&["sample"], &size[..], &out[..]].concat()).output().unwrap();
    assert!(made.status.success(), "{}", text(&made.stderr));
    let (report, code) = report(&directory, &[file.to_str().unwrap()]);
    assert_eq!((code, &report["records"]), (1, &json!(40)));
    assert_eq!(report["parked"].as_array().unwrap().len(), 4);
    let n = |name: &str| report[name].as_u64().unwrap();
    assert!(n("duplicates") > 0 && n("kept") > 100);
    assert_eq!(n("events"), n("unmatched") + n("duplicates") + n("kept"));
    let refused = stentor(&directory, &["sample", "--match-ratio", "1.5"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(2));
}

#[test]
fn a_muted_route_delivers_nothing_and_then_reports_the_muted_alerts() {
    let directory = scratch("mute");
    let data = directory.join("data");
    let mute = |arguments: &[&str]| {
        let place = ["--data-dir", data.to_str().unwrap()];
        let output = stentor(&directory, &[arguments, &place].concat()).output().unwrap();
        (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
    };
    for arguments in [&["mute", "alerts", "--for", "1h"][..], &["unmute", "alerts"]] {
        let (_, errors, code) = mute(arguments);
        let expected = format!("error: the data directory {} does not exist\n", data.display());
        assert_eq!((errors, code), (expected, 2));
    }
    assert!(!data.exists(), "a mistyped directory is not created");
    std::fs::create_dir(&data).unwrap();
    let (printed, _, code) = mute(&["mute", "alerts", "--for", "1h"]);
    assert!(
        code == 0 && printed.starts_with("alerts is muted until 2") && printed.contains("(1 h)"),
        "{printed}"
    );
    let (quiet, code) = report(&directory, &["events/subscription.json"]);
    assert_eq!(
        (code, &quiet["kept"], &quiet["messages"]),
        (0, &json!(2), &json!([])),
        "counted, but not delivered"
    );
    let until = quiet["muted"][0]["until"].as_str().unwrap().to_owned();
    assert_eq!(quiet["muted"], json!([{"route": "alerts", "until": until}]));
    let says_muted = |output: Output| {
        let shown = text(&output.stdout);
        let expected = format!(
            "\n  muted: alerts are stored and counted, but not delivered\n    alerts until {until}\n"
        );
        assert!(shown.contains(&expected), "{expected} is missing in {shown}");
    };
    says_muted(run(&directory, &["events/subscription.json"]));
    let parked = parked_record(&unstorable(), "shardId-9:1", Some(&gzip("a", 0)));
    std::fs::write(data.join("dlq.jsonl"), parked).unwrap();
    says_muted(
        stentor(&directory, &["replay", "--data-dir", data.to_str().unwrap()]).output().unwrap(),
    );
    assert_eq!(mute(&["unmute", "alerts"]).0, "alerts is no longer muted.\n");
    assert_eq!(mute(&["unmute", "alerts"]).0, "alerts was not muted.\n");
    let output = run(&directory, &["events/kinesis-burst.json"]);
    let shown = text(&output.stdout);
    assert!(
        shown.contains("180 alerts\n")
            && shown.contains("3 alerts were muted before this")
            && !shown.contains("muted:"),
        "{shown}"
    );
    let (_, errors, code) = mute(&["mute", "alrets", "--for", "1h"]);
    assert_eq!((&*errors, code), ("error: no route `alrets`; did you mean `alerts`?\n", 2));
    for (arguments, expected) in [
        (&["mute", "alerts"][..], "--for <DURATION>"),
        (&["mute", "alerts", "--for", "soon"], "such as 30m, 1h30m or 2d"),
        (&["mute", "https://hooks.slack.com/topsecret", "--for", "1h"], "a name has only letters"),
    ] {
        let (_, errors, code) = mute(arguments);
        assert!(code == 2 && errors.contains(expected), "{arguments:?}: {errors}");
    }
}

#[tokio::test]
async fn send_test_delivers_a_message_and_shows_the_answer() {
    let slack = MockServer::start().await;
    Mock::given(path("/topsecret"))
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .mount(&slack)
        .await;
    let posted = json!({"ok": true, "channel": "C1", "ts": "1.1"});
    let not_in = json!({"ok": false, "error": "not_in_channel"});
    Mock::given(path("/api/chat.postMessage"))
        .respond_with(ResponseTemplate::new(200).set_body_json(posted))
        .up_to_n_times(1)
        .mount(&slack)
        .await;
    Mock::given(path("/api/chat.postMessage"))
        .respond_with(ResponseTemplate::new(200).set_body_json(not_in))
        .mount(&slack)
        .await;
    let limited = ResponseTemplate::new(429).insert_header("retry-after", "90");
    Mock::given(path("/busy")).respond_with(limited).mount(&slack).await;
    let directory = scratch("send-test");
    let credentials = directory.join("credentials.json");
    let secret = json!({
        "slack:hook": format!("{}/topsecret", slack.uri()),
        "slack:busy": format!("{}/busy", slack.uri()),
        "slack:bot": {"token": "xoxb-topsecret", "channel": "#alerts"},
    });
    std::fs::write(&credentials, secret.to_string()).unwrap();
    let api = format!("{}/api", slack.uri());
    let send = async |target: &str| {
        let file = ["--credentials", credentials.to_str().unwrap()];
        let mut command = stentor(&directory, &[&["send-test", target, "-vv"], &file[..]].concat());
        command.env("STENTOR_SLACK_API_URL", &api);
        let output = tokio::process::Command::from(command).output().await.unwrap();
        let (printed, log) = (text(&output.stdout), text(&output.stderr));
        assert!(!printed.contains("topsecret") && !log.contains("topsecret"), "{printed}{log}");
        (printed, log, output.status.code().unwrap())
    };
    let cases = [
        ("slack:hook", "slack:hook accepted the message.\n", 0),
        ("slack:bot", "slack:bot accepted the message.\n", 0),
        (
            "slack:bot",
            "slack:bot refused the message: Slack answered not_in_channel. Stentor would park an alert.\n",
            1,
        ),
        (
            "slack:busy",
            "slack:busy did not accept the message: Slack answered 429: no known error code. Try again in 1 min 30 s.\n",
            1,
        ),
        (
            "slack:none",
            "slack:none refused the message: FILE has no credential for slack:none. Stentor would park an alert.\n",
            1,
        ),
    ];
    for (target, expected, code) in cases {
        let (printed, log, exit) = send(target).await;
        let printed = printed.replace(credentials.to_str().unwrap(), "FILE");
        assert_eq!((&*printed, exit), (expected, code), "{log}");
    }
    assert_eq!(send("slack").await.2, 2);
    for (content, expected) in [
        (Some("{\"slack:hook\": topsecret}"), "credentials.json has 1 error\n"),
        (Some("[\"topsecret\"]"), "credentials.json has 1 error\n"),
        (None, "Caused by: No such file or directory (os error 2)\n"),
    ] {
        match content {
            Some(content) => std::fs::write(&credentials, content).unwrap(),
            None => std::fs::remove_file(&credentials).unwrap(),
        }
        let (printed, errors, code) = send("slack:hook").await;
        assert!(printed.is_empty() && errors.ends_with(expected) && code == 2, "{printed}{errors}");
    }
    let requests = slack.received_requests().await.unwrap();
    let body: Value = requests[0].body_json().unwrap();
    assert_eq!(
        body["blocks"][0]["text"]["text"],
        "🔵 [TEST] Stentor can deliver to this target. Nothing is wrong: this message is from `stentor sen… · 1 alert"
    );
    assert_eq!(requests[1].body_json::<Value>().unwrap()["channel"], "#alerts");
}

#[test]
fn the_help_of_a_command_fits_a_screen_and_shows_an_example() {
    let directory = scratch("help");
    for command in ["mute", "unmute", "send-test"] {
        let mut help = stentor(&directory, &["help", command]);
        let help = text(&help.output().unwrap().stdout);
        assert!(help.contains("Example"), "{help}");
        assert!(
            help.lines().count() <= 40 && help.lines().all(|line| line.chars().count() <= 100),
            "{help}"
        );
    }
}
