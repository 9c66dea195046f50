//! The dead letters of a data directory stay whole and private.

use std::os::unix::fs::PermissionsExt as _;

use super::*;
use crate::support::parked::{gzip, parked_message, parked_record, unstorable};

#[test]
fn a_data_directory_without_parked_items_has_no_dead_letters() {
    let directory = scratch("nothing-parked");
    let replay = |arguments: &[&str]| {
        let output = stentor(&directory, &[&["replay"], arguments].concat())
            .current_dir(&directory)
            .output()
            .unwrap();
        (text(&output.stdout), text(&output.stderr), output.status.code().unwrap())
    };
    run(&directory, &["events/subscription.json"]);
    let missing = replay(&["--dry-run", "--data-dir", "data"]);
    assert_eq!((missing.0.as_str(), missing.2), ("  0 dead letters\n", 0), "{missing:?}");
    assert_eq!(replay(&["--data-dir", "data"]).2, 0);
    std::fs::write(directory.join("data/dlq.jsonl"), "").unwrap();
    assert_eq!(replay(&["--dry-run", "--data-dir", "data"]), missing);
    let (_, errors, code) = replay(&["--dry-run", "--data-dir", "elsewhere"]);
    assert!(
        code == 2 && errors.contains("the data directory elsewhere does not exist"),
        "{errors}"
    );
    assert!(!directory.join("elsewhere").exists(), "a replay does not create a data directory");
    let (_, errors, code) = replay(&["--dry-run", "--data-dir", "data", "--file", "data/dlq.json"]);
    assert!(
        code == 2 && errors.contains("cannot read data/dlq.json\n  Caused by: No such file"),
        "{errors}"
    );
}

/// An event with one record of `bytes` bytes that are not gzip.
fn bad_record(directory: &Path, bytes: usize) -> String {
    let file = directory.join(format!("bad-{bytes}.json"));
    let record = json!({"sequenceNumber": bytes.to_string(), "data": "YWJj".repeat(bytes / 3)});
    let event = json!({"Records": [{"eventID": format!("shardId-0:{bytes}"), "kinesis": record}]});
    std::fs::write(&file, event.to_string()).unwrap();
    file.to_str().unwrap().to_owned()
}

/// The codes of the dead letters in the data directory, and the number of each.
fn dead_letters(directory: &Path) -> Vec<(String, u64)> {
    let data = directory.join("data");
    let listed = stentor(
        directory,
        &["replay", "--dry-run", "--json", "--data-dir", data.to_str().unwrap()],
    );
    let listing: Value = serde_json::from_slice(&{ listed }.output().unwrap().stdout).unwrap();
    let group = |group: &Value| {
        (group["code"].as_str().unwrap().to_owned(), group["count"].as_u64().unwrap())
    };
    let mut groups: Vec<_> = listing["groups"].as_array().unwrap().iter().map(group).collect();
    groups.sort_unstable();
    groups
}

#[test]
fn a_disk_that_fills_up_during_a_write_damages_no_other_dead_letter() {
    let directory = scratch("full-disk");
    assert_eq!(run(&directory, &[&bad_record(&directory, 300)]).status.code(), Some(1));
    // A file may grow to 2 MiB (4,096 blocks of 512 bytes): enough for the database, but not for
    // this dead letter.
    let data = directory.join("data");
    let large = bad_record(&directory, 6_000_000);
    let limited = "trap '' XFSZ; ulimit -f 4096; exec \"$@\"";
    let full = [
        env!("CARGO_BIN_EXE_stentor"),
        "run",
        "--json",
        "--data-dir",
        data.to_str().unwrap(),
        &large,
    ];
    let output = Command::new("sh").args(["-c", limited, "sh"]).args(full).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    assert_eq!(report["parked"], json!([]), "it was not parked");
    assert_eq!(output.status.code(), Some(1));
    // There is room again: another record is parked, and then the first one on its second attempt.
    assert_eq!(run(&directory, &[&bad_record(&directory, 600)]).status.code(), Some(1));
    assert_eq!(dead_letters(&directory), [("not-gzip".to_owned(), 2)]);
    assert_eq!(run(&directory, &[&large]).status.code(), Some(1));
    assert_eq!(dead_letters(&directory), [("not-gzip".to_owned(), 3)]);
}

#[test]
fn a_dead_letter_that_a_crash_cut_off_damages_no_other() {
    let directory = scratch("torn");
    let data = directory.join("data");
    assert_eq!(run(&directory, &[&bad_record(&directory, 300)]).status.code(), Some(1));
    let whole = std::fs::read(data.join("dlq.jsonl")).unwrap();
    std::fs::write(data.join("dlq.jsonl"), [&whole[..], &whole[..whole.len() / 2]].concat())
        .unwrap();
    // A note of a replay that was killed while it wrote.
    std::fs::write(data.join("replayed"), "0123456789").unwrap();
    for bytes in [600, 900] {
        assert_eq!(run(&directory, &[&bad_record(&directory, bytes)]).status.code(), Some(1));
    }
    assert_eq!(dead_letters(&directory), [("not-gzip".to_owned(), 3), ("not-json".to_owned(), 1)]);
}

#[test]
fn files_with_raw_records_are_for_their_owner_only() {
    let directory = scratch("private");
    let data = directory.join("data");
    let replayed = data.join("replayed");
    let mode = |file: &Path| std::fs::metadata(file).unwrap().permissions().mode() & 0o777;
    run(&directory, &[&bad_record(&directory, 300)]);
    assert_eq!(mode(&data.join("dlq.jsonl")), 0o600);
    // The mode of an existing file is corrected.
    std::fs::set_permissions(data.join("dlq.jsonl"), std::fs::Permissions::from_mode(0o664))
        .unwrap();
    run(&directory, &[&bad_record(&directory, 600)]);
    assert_eq!(mode(&data.join("dlq.jsonl")), 0o600);
    // A record that can be read now is reprocessed and noted.
    let parked = std::fs::read_to_string(data.join("dlq.jsonl")).unwrap();
    let event: Value =
        serde_json::from_slice(&std::fs::read("events/subscription.json").unwrap()).unwrap();
    let mut dead_letter: Value = serde_json::from_str(parked.lines().next().unwrap()).unwrap();
    dead_letter["data"] = event["awslogs"]["data"].clone();
    std::fs::write(data.join("dlq.jsonl"), format!("{dead_letter}\n")).unwrap();
    std::fs::write(&replayed, "").unwrap();
    std::fs::set_permissions(&replayed, std::fs::Permissions::from_mode(0o644)).unwrap();
    let replay =
        stentor(&directory, &["replay", "--data-dir", data.to_str().unwrap()]).output().unwrap();
    assert_eq!(replay.status.code(), Some(0), "{}{}", text(&replay.stdout), text(&replay.stderr));
    assert_eq!(
        (mode(&replayed), std::fs::read_to_string(&replayed).unwrap().lines().count()),
        (0o600, 1)
    );
}

#[test]
fn a_second_run_parks_no_record_again() {
    let directory = scratch("parked-twice");
    let parked = || std::fs::read_to_string(directory.join("data/dlq.jsonl")).unwrap();
    let (first, _) = report(&directory, &["events/kinesis-poison.json"]);
    let once = parked();
    for inputs in [&["events/kinesis-poison.json"][..], &["events/kinesis-poison.json"; 2]] {
        let (again, code) = report(&directory, inputs);
        let ids = |report: &Value| {
            let parked = report["parked"].as_array().unwrap().iter();
            parked.map(|one| one["event_id"].to_string()).collect::<Vec<_>>()
        };
        let expected: Vec<String> = inputs.iter().flat_map(|_| ids(&first)).collect();
        assert_eq!((ids(&again), code), (expected, 1), "in the report");
        assert_eq!(parked(), once, "in the file");
    }
    // Other bytes under the same name are another record.
    let event = std::fs::read_to_string(bad_record(&directory, 300)).unwrap();
    let other = directory.join("other.json");
    std::fs::write(&other, event.replacen("YWJj", "YWJk", 1)).unwrap();
    run(&directory, &[&bad_record(&directory, 300)]);
    run(&directory, &[other.to_str().unwrap()]);
    assert_eq!(parked().lines().count(), once.lines().count() + 2);
}

#[test]
fn a_dead_letter_file_that_cannot_be_written_is_named_without_a_code() {
    let directory = scratch("not-written");
    std::fs::create_dir_all(directory.join("data/dlq.jsonl")).unwrap();
    let (report, code) = report(&directory, &[&bad_record(&directory, 300)]);
    let reason = report["to_retry"][0]["reason"].as_str().unwrap();
    assert!(
        reason.starts_with("parking failed: the queue refused the message: /")
            && reason.ends_with("dlq.jsonl: Is a directory (os error 21)")
            && code == 1,
        "{reason}"
    );
}

/// The record of what was replayed belongs to the destination: another one has nothing of it.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_is_replayed_once_into_each_data_directory() {
    let slack = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .mount(&slack)
        .await;
    let directory = scratch("destinations");
    let dead_letters = [
        parked_record(&unstorable(), "shardId-9:1", Some(&gzip("a", 0))),
        parked_message(3),
        r#"{"route":"alerts","window":1}"#.to_owned(),
    ];
    let (file, copy) = (directory.join("dead-letters.jsonl"), directory.join("copy.jsonl"));
    std::fs::write(&file, dead_letters.join("\n")).unwrap();
    std::fs::write(&copy, format!("\n{}\n", dead_letters.join("\n\n"))).unwrap();
    for name in ["a", "b"] {
        std::fs::create_dir(directory.join(name)).unwrap();
    }
    let replay = |data: &str, file: &Path, more: &[&str]| {
        let (data, file) = (directory.join(data), file.to_str().unwrap());
        let place = ["--data-dir", data.to_str().unwrap(), "--file", file];
        let options = ["replay", "--slack-webhook", &slack.uri()];
        let output = stentor(&directory, &[&options[..], &place, more].concat()).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let counts = |data: &str, file: &Path, more: &[&str]| {
        let report: Value =
            serde_json::from_str(&replay(data, file, &[more, &["--json"]].concat())).unwrap();
        let delivered: u64 = report["messages"].as_array().map_or(0, |messages| {
            messages.iter().map(|message| message["alerts"].as_u64().unwrap()).sum()
        });
        let n = |name: &str| report[name].as_u64();
        (n("received").or(n("selected")).unwrap(), n("already_replayed").unwrap(), delivered)
    };
    let alerts = |data: &str| {
        let arguments = ["alerts", "--json", "--since", "2000-01-01", "--data-dir", data];
        let output = stentor(&directory, &arguments).current_dir(&directory).output().unwrap();
        text(&output.stdout).lines().count()
    };
    for data in ["a", "b"] {
        assert_eq!(counts(data, &file, &[]), (3, 0, 4), "{data}: the first replay has everything");
        assert_eq!(alerts(data), 1, "{data}");
        for file in [&file, &copy] {
            assert_eq!(counts(data, file, &["--dry-run"]), (0, 3, 0), "{data}");
            assert_eq!(counts(data, file, &[]), (0, 3, 0), "{data}: a second one has nothing");
        }
    }
    let shown = replay("a", &file, &[]);
    assert!(
        shown.starts_with("  0 dead letters: 0 reprocessed\n  3 dead letters skipped: replayed"),
        "{shown}"
    );
    // A data directory whose database was deleted is another destination.
    std::fs::remove_file(directory.join("a/stentor.db")).unwrap();
    assert_eq!((counts("a", &file, &[]), alerts("a")), ((3, 0, 4), 1));
    let mut left: Vec<String> = std::fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, ["a", "b", "copy.jsonl", "dead-letters.jsonl"], "nothing is next to the file");
}

/// A message that is only shown is not delivered to Slack.
#[tokio::test(flavor = "multi_thread")]
async fn a_message_that_slack_refused_stays_until_a_webhook_accepts_it() {
    let slack = MockServer::start().await;
    let answer = |status, body| ResponseTemplate::new(status).set_body_string(body);
    let refused = answer(400, "invalid_payload");
    Mock::given(method("POST")).and(path("/refuses")).respond_with(refused).mount(&slack).await;
    Mock::given(method("POST"))
        .and(path("/accepts"))
        .respond_with(answer(200, "ok"))
        .mount(&slack)
        .await;
    let directory = scratch("refused");
    let data = directory.join("data");
    let webhook = |name: &str| format!("{}/{name}", slack.uri());
    let replay = |more: &[&str]| {
        let arguments =
            [&["replay", "--json", "--data-dir", data.to_str().unwrap()], more].concat();
        let output = stentor(&directory, &arguments).output().unwrap();
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    run(&directory, &["events/subscription.json", "--slack-webhook", &webhook("refuses")]);
    let (report, hints, code) = replay(&[]);
    assert!(
        report.contains(r#""code": "not-deliverable""#)
            && hints.contains("hint: --deliver or --slack-webhook delivers parked messages"),
        "{report}{hints}"
    );
    assert_eq!(code, Some(1), "it is not delivered");
    let (plan, _, code) = replay(&["--dry-run"]);
    assert!(plan.contains(r#""action": "keep""#) && code == Some(0), "{plan}");
    let (plan, _, _) = replay(&["--dry-run", "--slack-webhook", &webhook("accepts")]);
    assert!(plan.contains(r#""action": "deliver""#), "{plan}");
    assert_eq!(replay(&["--kind", "message"]).2, Some(2));
    let (report, hints, code) = replay(&["--slack-webhook", &webhook("accepts")]);
    assert!(report.contains(r#""reprocessed": 1"#) && code == Some(0), "{report}{hints}");
}

/// Only a target that was called has been delivered to.
#[tokio::test(flavor = "multi_thread")]
async fn a_replay_says_whether_a_message_was_delivered_or_shown() {
    let slack = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .mount(&slack)
        .await;
    let directory = scratch("shown");
    let config = directory.join("stentor.toml");
    let route =
        "[[route]]\nname = 'a'\nmarkers = ['[CRITICAL]']\nnotify = ['slack:x', 'pagerduty:y']\n";
    std::fs::write(&config, route).unwrap();
    let file = directory.join("dead-letters.jsonl");
    let parked = parked_record(&unstorable(), "shardId-9:1", Some(&gzip("a", 0)));
    std::fs::write(&file, parked).unwrap();
    for (data, more, slack) in
        [("a", &[][..], "shown"), ("b", &["--slack-webhook", &slack.uri()], "delivered")]
    {
        let data = directory.join(data);
        std::fs::create_dir(&data).unwrap();
        let place = ["--data-dir", data.to_str().unwrap(), "--file", file.to_str().unwrap()];
        let config = ["--config", config.to_str().unwrap()];
        let arguments = [&["replay"], &place[..], &config, more].concat();
        let shown = text(&stentor(&directory, &arguments).output().unwrap().stdout);
        for line in [
            format!("  message     1 alert to slack:x · {slack}\n"),
            "  message     1 alert to pagerduty:y · shown\n".to_owned(),
        ] {
            assert!(shown.contains(&line), "{line} is missing in {shown}");
        }
    }
}

/// A discarded dead letter is gone for every replay of the file, but not from its export.
#[test]
fn a_discarded_dead_letter_of_a_data_directory_can_be_replayed_from_its_export() {
    let directory = scratch("discard");
    let [data, file, export] = ["data", "letters.jsonl", "export.jsonl"]
        .map(|name| directory.join(name).to_str().unwrap().to_owned());
    std::fs::create_dir_all(&data).unwrap();
    let letters = ["a", "b"].map(|id| parked_record(&unstorable(), id, Some(&gzip(id, 0))));
    std::fs::write(&file, letters.join("\n") + "\n").unwrap();
    let replay = |arguments: &[&str]| {
        let arguments = [&["replay", "--json", "--data-dir", &data], arguments].concat();
        let output = stentor(&directory, &arguments).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout)
            .unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
    };
    let id = format!("{file}:2");
    let link = directory.join("link.jsonl");
    std::os::unix::fs::symlink(format!("{data}/dlq.jsonl"), &link).unwrap();
    let own = format!("{data}/dlq.jsonl");
    std::fs::write(&own, "").unwrap();
    for unsafe_export in [&file, &own, &format!("{data}/new"), link.to_str().unwrap()] {
        let place = ["--data-dir", &data, "--file", &file];
        let discard = ["--discard", &id, "--export", unsafe_export];
        let arguments = [&["replay"], &place[..], &discard].concat();
        let refused = stentor(&directory, &arguments).output().unwrap();
        assert_eq!(refused.status.code(), Some(2), "{unsafe_export}: {refused:?}");
    }
    std::fs::remove_file(&own).unwrap();
    let wrong = ["replay", "--data-dir", &data, "--file", &file, "--id", "wrong"];
    let wrong = stentor(&directory, &wrong).output().unwrap();
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    assert!(text(&wrong.stdout).contains("missing     wrong\n"), "{}", text(&wrong.stdout));
    let discard = replay(&["--file", &file, "--discard", &id, "--export", &export]);
    assert_eq!(discard["discarded"], 1, "{discard}");
    assert_eq!(std::fs::read_to_string(&export).unwrap(), format!("{}\n", letters[1]));
    let rest = replay(&["--file", &file]);
    assert_eq!((&rest["reprocessed"], &rest["already_replayed"]), (&json!(1), &json!(1)), "{rest}");
    let exported = replay(&["--file", &export]);
    assert_eq!((&exported["reprocessed"], &exported["kept"]), (&json!(1), &json!(1)), "{exported}");
}
