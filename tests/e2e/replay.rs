//! `stentor replay` as an operator uses it: the real command against SQS, Kinesis and Secrets
//! Manager (moto), the production store on the embedded engine, a webhook, and a real Ctrl-C.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use aws_sdk_kinesis as kinesis;
use aws_sdk_sqs as sqs;
use aws_sdk_sqs::types::QueueAttributeName;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use stentor::adapters::clock::SystemClock;
use stentor::adapters::replay::kinesis::KinesisStreamReader;
use stentor::ingest::decode::Poison;
use stentor::ops::replay::{Page, StreamRange, StreamReader as _};
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::Store as _;
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

use crate::emulator::Surroundings;
use crate::support::alert;
use crate::support::parked::{
    STREAM, failed_invocation, given_up, gzip, parked_message, parked_record, unstorable,
};
use crate::support::schema::Schema;

const TOO_LARGE: Poison = Poison::TooLarge { decoded_bytes_max: 64 << 20 };

async fn slack(status: u16) -> MockServer {
    let slack = MockServer::start().await;
    let answer =
        ResponseTemplate::new(status).set_body_string(if status == 200 { "ok" } else { "" });
    Mock::given(method("POST")).and(path("/hook")).respond_with(answer).mount(&slack).await;
    slack
}

/// The number of alerts that Slack received, and the number of posts.
async fn delivered(slack: &MockServer) -> (u64, usize) {
    let posts = slack.received_requests().await.unwrap();
    let alerts = posts.iter().map(|post| {
        let text = post.body_json::<Value>().unwrap()["text"].as_str().unwrap().to_owned();
        let words: Vec<&str> = text.split_whitespace().collect();
        let at = words
            .iter()
            .position(|word| word.starts_with("alert"))
            .unwrap_or_else(|| panic!("{text}"));
        words[at - 1].replace(',', "").parse::<u64>().unwrap()
    });
    (alerts.sum(), posts.len())
}

async fn output(command: Command) -> Output {
    tokio::process::Command::from(command).output().await.unwrap()
}

/// Runs a replay. Returns its JSON report and exit code.
async fn report(stack: &Surroundings, arguments: &[&str]) -> (Value, i32) {
    let has_due_queue = ["--due-queue-url", "--stack"].iter().any(|it| arguments.contains(it));
    let more: &[&str] = if has_due_queue { &[] } else { &["--no-due-queue"] };
    let arguments = [arguments, more].concat();
    let output = output(stack.stentor(&[&["replay", "--json"], &arguments[..]].concat())).await;
    let text = String::from_utf8(output.stdout).unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text} {errors}"));
    let mode = ["--dry-run", "--discard"].into_iter().find(|mode| arguments.contains(mode));
    let command = mode.map_or("replay --json".to_owned(), |mode| format!("replay {mode} --json"));
    assert_eq!(Schema::of(&command).check(&report).1, [""; 0], "{report:#}");
    (report, output.status.code().unwrap())
}

/// The number of visible messages, and of received ones.
async fn dead_letters(stack: &Surroundings) -> (u64, u64) {
    let get = sqs::Client::new(stack.aws()).get_queue_attributes().queue_url(&stack.queue_url);
    let answer = get.attribute_names(QueueAttributeName::All).send().await.unwrap();
    let of = |name: QueueAttributeName| {
        answer.attributes.as_ref().unwrap()[&name].parse::<u64>().unwrap()
    };
    (
        of(QueueAttributeName::ApproximateNumberOfMessages),
        of(QueueAttributeName::ApproximateNumberOfMessagesNotVisible),
    )
}

fn deadline() -> Deadline {
    Deadline::after(SystemClock.now(), Duration::from_secs(20))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_dead_letter_is_resolved_and_a_second_replay_sends_nothing() {
    let slack = slack(200).await;
    let stack = Surroundings::start(&format!("{}/hook", slack.uri())).await;
    let streams = kinesis::Client::new(stack.aws());
    streams.create_stream().stream_name("logs").shard_count(1).send().await.unwrap();
    let mut sequences = Vec::new();
    for n in 0..4 {
        // The third one is a poison record.
        let data = if n == 2 { b"no gzip".to_vec() } else { gzip(&format!("stream-{n}"), 0) };
        let put = streams.put_record().stream_name("logs").partition_key("p").data(data.into());
        let put = put.send().await.unwrap();
        sequences.push((put.shard_id, put.sequence_number));
    }
    let shard = sequences[0].0.clone();
    // Committed but not armed, as after a crash.
    let orphan = alert("orphan", &["alerts"]);
    stack.store.commit(&[orphan], deadline()).await;

    stack.send(&parked_record(&TOO_LARGE, "shardId-9:1", Some(&gzip("large", 65 << 20)))).await;
    stack.send(&parked_record(&unstorable(), "shardId-9:2", Some(&gzip("orphan", 0)))).await;
    stack
        .send(&parked_record(
            &Poison::NotGzip("the magic bytes 1f 8b are missing"),
            "shardId-9:3",
            Some(b"no gzip"),
        ))
        .await;
    stack
        .send(&parked_record(
            &Poison::TooLarge { decoded_bytes_max: 1 },
            &format!("{shard}:{}", sequences[3].1),
            None,
        ))
        .await;
    stack.send(&parked_message(7)).await;
    stack.send(r#"{"route":"alerts","window":1}"#).await;
    stack.send(&given_up(&shard, &sequences[0].1, &sequences[2].1, 3)).await;
    stack.send(&given_up(&shard, "0", &sequences[3].1, 40)).await;
    stack.send(&failed_invocation("async")).await;
    stack.send("hunter2").await;

    let (list, code) = report(&stack, &["--dry-run"]).await;
    assert_eq!((code, &list["selected"], stack.rows().await), (0, &json!(10), 1), "{list}");
    let count = |kind: &str| {
        let groups = list["groups"].as_array().unwrap();
        groups
            .iter()
            .filter(|group| group["kind"] == kind)
            .map(|group| group["count"].as_u64().unwrap())
            .sum::<u64>()
    };
    let kinds = ["record", "message", "due", "batch", "invocation", "unknown"];
    assert_eq!(kinds.map(count), [4, 1, 1, 2, 1, 1], "{list}");
    let planned = json!([
        {"action": "reprocess", "count": 2},
        {"action": "read-from-stream", "stream": "logs", "count": 3},
        {"action": "deliver", "target": "slack:default", "count": 1},
        {"action": "close-route", "route": "alerts", "count": 1},
        {"action": "keep", "code": "not-gzip", "count": 1},
        {"action": "keep", "code": "not-json", "count": 1},
        {"action": "keep", "code": "too-large", "count": 1},
    ]);
    assert_eq!((&list["version"], &list["planned"]), (&json!(1), &planned), "{list}");
    assert!(!list.to_string().contains("hunter2"));
    assert_eq!(dead_letters(&stack).await, (10, 0), "a list removes nothing");
    assert_eq!(delivered(&slack).await.1, 0);

    // Only the record that was parked for its size, selected by its reason.
    let (large, code) =
        report(&stack, &["--reason", "more than 67108864", "--max-decoded", "1GiB"]).await;
    assert_eq!(
        (code, &large["reprocessed"], &large["skipped"], &large["kept"]),
        (0, &json!(1), &json!(9), &json!(1)),
        "{large}"
    );
    assert_eq!(dead_letters(&stack).await, (9, 0));

    let (first, code) = report(&stack, &[]).await;
    assert_eq!(code, 1, "{first}");
    assert_eq!(first["version"], 1);
    let by_kind = [("record", 2), ("message", 1), ("due", 1), ("batch", 1), ("invocation", 1)];
    let by_kind = by_kind.map(|(kind, count)| json!({"kind": kind, "count": count}));
    assert_eq!(first["reprocessed_by_kind"], json!(by_kind), "{first:#}");
    let reason = |kind: &str| {
        let unresolved = first["unresolved"].as_array().unwrap();
        let found = unresolved
            .iter()
            .find(|one| one["kind"] == kind)
            .unwrap_or_else(|| panic!("{first:#}"));
        (found["code"].as_str().unwrap().to_owned(), found["reason"].as_str().unwrap().to_owned())
    };
    let pair = |code: &str, reason: &str| (code.to_owned(), reason.to_owned());
    let expired = "36 of 40 records are past the stream's retention; 4 were reprocessed";
    assert_eq!(reason("batch"), pair("expired", expired));
    assert_eq!(reason("unknown"), pair("not-json", "it is not JSON: a syntax error"));
    assert_eq!(reason("record"), pair("not-gzip", "the magic bytes 1f 8b are missing"));
    // The parked message has seven alerts, and each of these rows is one.
    let rows = ["large", "orphan", "stream-0", "stream-1", "stream-3", "async"].len();
    assert_eq!(stack.rows().await, rows);
    let (alerts, posts) = delivered(&slack).await;
    assert_eq!(alerts, rows as u64 + 7, "each alert is delivered once");
    assert!(posts <= 6, "{posts}");
    // What stays: unreadable, gone, unknown, and the poison record of the batch, which is parked on
    // its own.
    let (visible, hidden) = dead_letters(&stack).await;
    assert_eq!(hidden, 0);
    assert_eq!(visible, 4);

    let (second, code) = report(&stack, &[]).await;
    assert_eq!(
        (code, &second["reprocessed"], &second["kept"]),
        (1, &json!(0), &json!(0)),
        "{second:#}"
    );
    assert_eq!(delivered(&slack).await, (alerts, posts), "a second replay sends nothing");
    assert_eq!((dead_letters(&stack).await, stack.rows().await), ((visible, 0), rows));
    let (_, code) = report(&stack, &["--kind", "due,message"]).await;
    assert_eq!(code, 0, "no such dead letter is left");
}

#[tokio::test(flavor = "multi_thread")]
async fn ctrl_c_loses_nothing_and_reports_the_progress() {
    const DEAD_LETTERS: u64 = 40;
    let slack = slack(200).await;
    let stack = Surroundings::start(&format!("{}/hook", slack.uri())).await;
    for n in 0..DEAD_LETTERS {
        let id = format!("interrupted-{n}");
        stack
            .send(&parked_record(&unstorable(), &format!("shardId-9:{n}"), Some(&gzip(&id, 0))))
            .await;
    }
    let mut command =
        stack.stentor(&["replay", "--no-due-queue", "--rate", "10", "--interval", "1"]);
    let child = tokio::process::Command::from({
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    });
    let mut child = { child }.spawn().unwrap();
    // In the middle of the replay: some rows are stored, but not all.
    while stack.rows().await < 10 {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let pid = child.id().unwrap().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let output = child.wait_with_output().await.unwrap();
    let (shown, errors) =
        (String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap());
    assert_eq!(output.status.code(), Some(1), "{shown}{errors}");
    assert!(
        shown.contains("interrupted.") && shown.contains("Run the same command again"),
        "{shown}"
    );
    assert!(errors.contains("stopping after the current step"), "{errors}");
    let (left, hidden) = dead_letters(&stack).await;
    let rows = stack.rows().await as u64;
    assert!(left > 0 && hidden == 0, "{left} {hidden}: the rest is visible at once");
    assert_eq!(rows + left, DEAD_LETTERS, "resolved dead letters are deleted, the others stay");
    assert_eq!(delivered(&slack).await.0, rows, "the deleted ones were delivered before");

    let (rest, code) = report(&stack, &[]).await;
    assert_eq!((code, rest["reprocessed"].as_u64()), (0, Some(left)), "{rest:#}");
    let (alerts, posts) = delivered(&slack).await;
    assert_eq!(
        (alerts, stack.rows().await as u64, dead_letters(&stack).await),
        (DEAD_LETTERS, DEAD_LETTERS, (0, 0))
    );
    assert!(posts <= 4, "forty records are a few messages: {posts}");
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_due_queue_routes_are_armed_and_the_notifier_delivers() {
    let slack = slack(200).await;
    let stack = Surroundings::start(&format!("{}/hook", slack.uri())).await;
    let queues = sqs::Client::new(stack.aws());
    let due_url = queues.create_queue().queue_name("due").send().await.unwrap().queue_url.unwrap();
    stack.send(&parked_record(&unstorable(), "shardId-9:1", Some(&gzip("one", 0)))).await;
    // Committed by a process that crashed before it armed the route.
    stack.store.commit(&[alert("orphan", &["alerts"])], deadline()).await;
    stack.send(&parked_record(&unstorable(), "shardId-9:2", Some(&gzip("orphan", 0)))).await;
    let (first, code) = report(&stack, &["--due-queue-url", &due_url]).await;
    assert_eq!(
        (code, &first["reprocessed"], &first["duplicates"]),
        (0, &json!(2), &json!(1)),
        "{first:#}"
    );
    assert_eq!((delivered(&slack).await, dead_letters(&stack).await), ((0, 0), (0, 0)));
    let due = queues
        .receive_message()
        .queue_url(&due_url)
        .max_number_of_messages(10)
        .send()
        .await
        .unwrap();
    let due: Vec<String> =
        due.messages.unwrap().into_iter().filter_map(|message| message.body).collect();
    assert_eq!(due, [r#"{"route":"alerts","window":1}"#], "one message for both");
    // The due message in the dead-letter queue is replayed: what is owed is delivered once.
    stack.send(&due[0]).await;
    let (second, code) = report(&stack, &["--due-queue-url", &due_url]).await;
    assert_eq!(
        (code, &second["reprocessed_by_kind"]),
        (0, &json!([{"kind": "due", "count": 1}])),
        "{second:#}"
    );
    assert_eq!(delivered(&slack).await, (2, 1));
}

/// The environment names nothing, and the window of the route stays open with its burst.
#[tokio::test(flavor = "multi_thread")]
async fn the_name_of_the_stack_is_enough_and_no_live_window_is_closed() {
    let slack = slack(200).await;
    let stack = Surroundings::start(&format!("{}/hook", slack.uri())).await;
    let due_url = stack.deploy().await;
    stack.send(&parked_record(&unstorable(), "shardId-9:1", Some(&gzip("one", 0)))).await;
    let (first, code) = report(&stack, &["--stack", "stentor"]).await;
    assert_eq!((code, &first["reprocessed"]), (0, &json!(1)), "{first:#}");
    let route = "alerts".parse().unwrap();
    let before = stack.store.cursor(&route, deadline()).await.unwrap();
    assert!(before.open.is_some());

    stack.send(&parked_record(&unstorable(), "shardId-9:2", Some(&gzip("two", 0)))).await;
    stack.send(&parked_message(7)).await;
    let mut command = stack.stentor(&["replay", "--json", "--stack", "stentor"]);
    for variable in ["DLQ_URL", "STENTOR_SECRET_ID"] {
        command.env(variable, "of-another-stack");
    }
    let second = output(command).await;
    assert!(second.status.success(), "{}", String::from_utf8_lossy(&second.stderr));
    assert_eq!(delivered(&slack).await, (7, 1), "only the parked message");
    let after = stack.store.cursor(&route, deadline()).await.unwrap();
    assert_eq!((after.open, after.burst), (before.open, before.burst));
    let due = sqs::Client::new(stack.aws()).receive_message().queue_url(&due_url);
    let due = due.max_number_of_messages(10).send().await.unwrap().messages.unwrap();
    assert_eq!(due.len(), 1, "the window has its timer");
}

#[tokio::test(flavor = "multi_thread")]
async fn discarded_dead_letters_are_exported_and_can_be_replayed() {
    let slack = slack(200).await;
    let stack = Surroundings::start(&format!("{}/hook", slack.uri())).await;
    let unreadable = parked_record(&Poison::NotGzip("no magic"), "shardId-9:1", Some(b"no gzip"));
    for body in [unreadable.as_str(), &parked_message(7), "hunter2\nhunter3"] {
        stack.send(body).await;
    }
    let export = Path::new(env!("CARGO_TARGET_TMPDIR")).join("discarded.jsonl");
    for file in ["discarded.jsonl", "discarded.jsonl.replayed"] {
        std::fs::remove_file(export.with_file_name(file)).ok();
    }
    let export = export.to_str().unwrap();
    let (kept, _) = report(&stack, &["--kind", "record,unknown"]).await;
    let unresolved = kept["unresolved"].as_array().unwrap();
    let unknown = unresolved.iter().find(|one| one["kind"] == "unknown").unwrap();
    let id = unknown["id"].as_str().unwrap();

    let ids = format!("{id},no-such-id");
    let (by_id, code) = report(&stack, &["--discard", &ids, "--export", export]).await;
    assert_eq!((code, &by_id["discarded"]), (1, &json!(1)), "{by_id:#}");
    assert_eq!(by_id["missing"], json!(["no-such-id"]));
    let (by_code, code) =
        report(&stack, &["--discard", "--reason", "not-gzip", "--export", export]).await;
    assert_eq!((code, &by_code["discarded"], &by_code["skipped"]), (0, &json!(1), &json!(1)));
    assert_eq!(dead_letters(&stack).await, (1, 0), "the message is left, and visible");
    let exported = std::fs::read_to_string(export).unwrap();
    assert_eq!(exported.lines().collect::<Vec<_>>(), ["hunter2 hunter3", &unreadable]);
    let (again, _) = report(&stack, &["--file", export]).await;
    let codes = again["unresolved"].as_array().unwrap().iter().map(|one| &one["code"]);
    assert_eq!(codes.collect::<Vec<_>>(), ["not-gzip", "not-json"], "{again:#}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_message_stays_and_its_records_are_safe() {
    let slack = slack(410).await;
    let stack = Surroundings::start(&format!("{}/hook", slack.uri())).await;
    stack.send(&parked_message(3)).await;
    stack.send(&parked_record(&unstorable(), "shardId-9:1", Some(&gzip("one", 0)))).await;
    let (first, code) = report(&stack, &[]).await;
    assert_eq!(
        (code, &first["reprocessed_by_kind"]),
        (1, &json!([{"kind": "record", "count": 1}])),
        "{first:#}"
    );
    assert_eq!(first["unresolved"][0]["code"], "refused", "{first:#}");
    assert!(first["unresolved"][0]["reason"].as_str().unwrap().contains("410"), "{first:#}");
    // The message of the record was also refused and parked. The target accepts again, and receives
    // both.
    slack.reset().await;
    Mock::given(method("POST"))
        .and(path("/hook"))
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .mount(&slack)
        .await;
    let (second, code) = report(&stack, &["--kind", "message"]).await;
    assert_eq!(
        (code, &second["reprocessed_by_kind"]),
        (0, &json!([{"kind": "message", "count": 2}])),
        "{second:#}"
    );
    assert_eq!((delivered(&slack).await.0, dead_letters(&stack).await), (4, (0, 0)));
}

#[tokio::test(flavor = "multi_thread")]
async fn an_absent_queue_missing_credentials_and_a_wrong_region_are_reported_in_one_sentence() {
    let stack = Surroundings::start("https://hooks.slack.com/none").await;
    let check = async |command: Command, sentence: &str| {
        let output = output(command).await;
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.starts_with("error: ") && errors.contains(sentence), "{errors}");
        assert_eq!(errors.trim_end().lines().count(), 1, "{errors}");
    };
    let absent = stack.queue_url.replace("dlq", "no-such-queue");
    check(
        stack.stentor(&["replay", "--queue-url", &absent]),
        "no-such-queue does not exist in this account and Region",
    )
    .await;
    let elsewhere = "https://sqs.eu-west-1.amazonaws.com/123456789012/dlq";
    check(stack.stentor(&["replay", "--queue-url", elsewhere]), "add --region eu-west-1").await;
    let mut anonymous = stack.stentor(&["replay"]);
    anonymous
        .env_remove("AWS_ACCESS_KEY_ID")
        .env_remove("AWS_SECRET_ACCESS_KEY")
        .env("AWS_EC2_METADATA_DISABLED", "true");
    check(anonymous, "there are no AWS credentials: sign in").await;
    let mut unconfigured = stack.stentor(&["replay"]);
    unconfigured.env_remove("STENTOR_CONFIG");
    check(unconfigured, "name the configuration of the stack with --config").await;
    let mut nowhere = stack.stentor(&["replay"]);
    nowhere.env_remove("AWS_REGION").env("AWS_EC2_METADATA_DISABLED", "true");
    check(nowhere, "no Region is set").await;
    check(
        stack.stentor(&["replay", "--no-due-queue", "--outbox-table", "Nowhere"]),
        "the table Nowhere does not exist",
    )
    .await;
    check(
        stack.stentor(&["replay", "--no-due-queue", "--secret-id", "none"]),
        "the secret none does not exist in this account",
    )
    .await;
    check(stack.stentor(&["replay"]), "no due queue, so no timers: name the stack with --stack")
        .await;
    check(
        stack.stentor(&["replay", "--stack", "other"]),
        "the function other-notifier does not exist in this account and Region",
    )
    .await;
    check(stack.stentor(&["replay", "--discard"]), "--discard needs ids, or a filter").await;
    let denied = MockServer::start().await;
    let answer = ResponseTemplate::new(403).insert_header("x-amzn-requestid", "r").set_body_json(json!({
        "__type": "com.amazonaws.sqs#AccessDeniedException",
        "message": "User: arn:aws:iam::1:user/x is not authorized to perform: sqs:getqueueattributes on resource: q",
    }));
    Mock::given(method("POST")).respond_with(answer).mount(&denied).await;
    let mut command = stack.stentor(&["replay"]);
    command.env("AWS_ENDPOINT_URL_SQS", denied.uri());
    check(command, "these credentials may not sqs:getqueueattributes on the queue").await;
}

/// A shard that was split: its oldest records are past the retention, its iterators expire, and it
/// ends.
fn closed_shard(request: &wiremock::Request) -> ResponseTemplate {
    let body: Value = request.body_json().unwrap();
    let record = |n: u32| json!({"SequenceNumber": n.to_string(), "Data": STANDARD.encode(n.to_string()), "PartitionKey": "p", "ApproximateArrivalTimestamp": 1_795_443_306.789});
    let error = |name: &str| {
        ResponseTemplate::new(400).set_body_json(json!({"__type": name, "message": "no"}))
    };
    let answer = |body: Value| ResponseTemplate::new(200).set_body_json(body);
    let operation = request.headers["x-amz-target"].to_str().unwrap().rsplit('.').next().unwrap();
    let of = |name: &str| body[name].as_str().unwrap_or_default().to_owned();
    match (operation, of("ShardIteratorType").as_str(), of("ShardIterator").as_str()) {
        ("GetShardIterator", "AT_SEQUENCE_NUMBER", _) => error("InvalidArgumentException"),
        ("GetShardIterator", "TRIM_HORIZON", _) => answer(json!({"ShardIterator": "oldest"})),
        ("GetShardIterator", "AFTER_SEQUENCE_NUMBER", _) => {
            assert_eq!(of("StartingSequenceNumber"), "104");
            answer(json!({"ShardIterator": "fresh"}))
        }
        ("GetRecords", _, "oldest") => {
            let records = [record(103), record(104)];
            answer(
                json!({"Records": records, "NextShardIterator": "stale", "MillisBehindLatest": 1000}),
            )
        }
        ("GetRecords", _, "stale") => error("ExpiredIteratorException"),
        ("GetRecords", _, "fresh") => {
            answer(json!({"Records": [record(105), record(106)], "MillisBehindLatest": 0}))
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_closed_shard_is_read_to_its_end_without_expired_records() {
    let server = MockServer::start().await;
    Mock::given(method("POST")).respond_with(closed_shard).mount(&server).await;
    let streams = KinesisStreamReader::new(
        &stentor::adapters::aws::loopback(&server.uri()),
        SystemClock,
        fastrand::Rng::with_seed(1),
    );
    let range = StreamRange {
        stream_arn: STREAM.to_owned(),
        shard_id: "shardId-000000000000".to_owned(),
        first: "100".to_owned(),
        last: "105".to_owned(),
        records: Some(6),
    };
    let first = streams.read(&range, None, deadline()).await.unwrap();
    let numbers =
        |page: &Page| page.records.iter().map(|record| record.sequence.clone()).collect::<Vec<_>>();
    assert_eq!((numbers(&first), first.more), (vec!["103".to_owned(), "104".to_owned()], true));
    let second = streams.read(&range, Some("104"), deadline()).await.unwrap();
    assert_eq!((numbers(&second), second.more), (vec!["105".to_owned()], false));
    assert_eq!(second.records[0].data, STANDARD.encode("105"));
}

/// The output of the command in a terminal, without the parts that differ between runs.
async fn shown(stack: &Surroundings, arguments: &[&str]) -> String {
    let on_stack = ["replay", "--stack", "stentor"];
    let mut command = stack.stentor(&[&on_stack[..], arguments].concat());
    // It exports to the current directory.
    command.current_dir(env!("CARGO_TARGET_TMPDIR"));
    command.env("STENTOR_CONFIG", concat!(env!("CARGO_MANIFEST_DIR"), "/config/stentor.toml"));
    let output = output(command).await;
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    let mut text = format!(
        "$ stentor replay --stack stentor{}\n",
        arguments.iter().map(|part| format!(" {part}")).collect::<String>()
    );
    for line in String::from_utf8(output.stdout).unwrap().lines() {
        let is_id = |word: &str| word.len() == 36 && word.matches('-').count() == 4;
        if line.trim_start().starts_with("took ") || line.trim().split(", ").all(is_id) {
            continue;
        }
        text += &format!("{line}\n");
    }
    text
}

/// The session in the README. `STENTOR_UPDATE=1` updates it.
#[tokio::test(flavor = "multi_thread")]
async fn the_session_in_the_readme_is_current() {
    const BEGIN: &str = "<!-- session: begin -->\n```console\n";
    const END: &str = "```\n<!-- session: end -->";
    const DISCARD: &[&str] = &["--discard", "--reason", "not-gzip"];
    let slack = slack(200).await;
    let stack = Surroundings::start(&format!("{}/hook", slack.uri())).await;
    stack.deploy().await;
    let streams = kinesis::Client::new(stack.aws());
    streams.create_stream().stream_name("logs").shard_count(1).send().await.unwrap();
    let mut last = None;
    for n in 0..3 {
        let put = streams.put_record().stream_name("logs").partition_key("p");
        last = Some(put.data(gzip(&format!("stream-{n}"), 0).into()).send().await.unwrap());
    }
    let last = last.unwrap();
    stack
        .send(&parked_record(&TOO_LARGE, "shardId-000000000003:1", Some(&gzip("large", 65 << 20))))
        .await;
    stack
        .send(&parked_record(
            &Poison::NotGzip("the magic bytes 1f 8b are missing"),
            "shardId-000000000003:2",
            Some(b"no gzip"),
        ))
        .await;
    stack.send(&parked_message(1_204)).await;
    stack.send(&given_up(&last.shard_id, "1", &last.sequence_number, 3)).await;
    stack.send(&failed_invocation("async")).await;
    let mut session = String::new();
    for arguments in
        [&["--dry-run"][..], &["--kind", "message,batch"], &["--max-decoded", "1GiB"], DISCARD]
    {
        if !session.is_empty() {
            session.push('\n');
        }
        session += &shown(&stack, arguments).await;
    }
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/README.md");
    let readme = std::fs::read_to_string(path).unwrap();
    let (before, rest) = readme.split_once(BEGIN).unwrap();
    let (written, after) = rest.split_once(END).unwrap();
    if std::env::var_os("STENTOR_UPDATE").is_some() {
        std::fs::write(path, format!("{before}{BEGIN}{session}{END}{after}")).unwrap();
        return;
    }
    assert_eq!(session, written, "STENTOR_UPDATE=1 updates it");
}
