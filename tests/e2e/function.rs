//! The function as it is deployed: the release binary under Amazon's runtime interface emulator,
//! real queues and secrets (moto), the engine behind a proxy that can fail, a webhook, and SIGKILL.

use std::path::Path;

use crate::emulator::Surroundings;
use crate::support::proxy::ProxyAction;
use serde_json::{Value, json};
use wiremock::matchers::{method, path};
use wiremock::{Mock, MockServer, ResponseTemplate};

fn sample(name: &str) -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("events").join(name))
        .unwrap()
}

/// Adds a webhook at `/{name}` that answers with `status` and `body`.
async fn webhook(slack: &MockServer, name: &str, status: u16, body: &str) -> String {
    let answer = ResponseTemplate::new(status).set_body_string(body);
    Mock::given(method("POST"))
        .and(path(format!("/{name}")))
        .respond_with(answer)
        .mount(slack)
        .await;
    format!("{}/{name}", slack.uri())
}

async fn posts(slack: &MockServer, name: &str) -> usize {
    let requests = slack.received_requests().await.unwrap();
    requests.iter().filter(|request| request.url.path() == format!("/{name}")).count()
}

fn everything() -> Value {
    json!({"batchItemFailures": []})
}

/// The sequence number of a record of an event.
fn sequence(event: &str, record: usize) -> String {
    let event: Value = serde_json::from_str(event).unwrap();
    event["Records"][record]["kinesis"]["sequenceNumber"].as_str().unwrap().to_owned()
}

/// The checkpoint of an answer.
fn checkpoint(answer: &Value) -> &str {
    assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), 1, "{answer}");
    answer["batchItemFailures"][0]["itemIdentifier"].as_str().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_sample_is_answered_stored_parked_and_delivered() {
    // Rows, parked records, posts, events of Stentor's own logs.
    let cases = [
        ("kinesis-burst.json", [180, 0, 1, 0]),
        ("kinesis-tumbling.json", [27, 0, 1, 0]),
        ("kinesis-control.json", [2, 0, 1, 0]),
        ("kinesis-duplicates.json", [2, 0, 1, 0]),
        ("kinesis-poison.json", [24, 10, 1, 0]),
        ("kinesis-multimember.json", [2, 0, 1, 0]),
        ("kinesis-escapes.json", [10, 0, 1, 0]),
        ("kinesis-system-fields.json", [3, 0, 1, 0]),
        ("kinesis-empty.json", [0, 0, 0, 0]),
        ("kinesis-own-logs.json", [2, 0, 1, 6]),
        ("kinesis-formats.json", [19, 0, 1, 0]),
        ("kinesis-secrets.json", [23, 0, 1, 0]),
        ("subscription.json", [2, 0, 1, 0]),
    ];
    let slack = MockServer::start().await;
    let mut surroundings = Surroundings::start(&webhook(&slack, "hook", 200, "ok").await).await;
    let function = surroundings.function(30, &[]).await;
    for (name, expected) in cases {
        surroundings.renew_store().await;
        let posts_before = posts(&slack, "hook").await;
        let answer = function.answer(&sample(name)).await;
        match name {
            "kinesis-tumbling.json" => {
                let event: Value = serde_json::from_str(&sample(name)).unwrap();
                assert_eq!(answer, json!({"batchItemFailures": [], "state": event["state"]}));
            }
            _ => assert_eq!(answer, everything(), "{name}"),
        }
        let summary = function.summaries().pop().unwrap_or_else(|| panic!("{}", function.log()));
        let after = (surroundings.rows().await, posts(&slack, "hook").await);
        let parked = surroundings.parked().await;
        let own = usize::try_from(summary["events_own"].as_u64().unwrap()).unwrap();
        assert_eq!(
            [after.0, parked.len(), after.1 - posts_before, own],
            expected,
            "{name}: {summary}"
        );
        assert!(
            parked.iter().all(|parked| parked["kind"] == "record" && parked["data"].is_string())
        );
        let n = |metric: &str| summary[metric].as_u64().unwrap();
        assert_eq!(
            n("events"),
            n("unmatched") + n("duplicates") + n("kept") + n("retried"),
            "{name}"
        );
        assert_eq!((n("unbalanced"), n("records_parked")), (0, parked.len() as u64), "{name}");
        assert!(summary["request.id"].as_str().unwrap().len() > 8, "{summary}");
        // The same event again: every alert is a duplicate, nothing is sent, and poison records are
        // parked again.
        function.answer(&sample(name)).await;
        assert_eq!((surroundings.rows().await, posts(&slack, "hook").await), after, "{name} again");
        assert_eq!(surroundings.parked().await.len(), parked.len(), "{name} again");
    }
    let log = function.log();
    assert!(!log.contains(&slack.uri()), "no webhook in the log");
    assert_eq!(log.matches("carries the logs of this function").count(), 1, "warns once");
    let warning = log.lines().find(|line| line.contains("records; the first: ")).unwrap();
    assert!(
        warning.contains(r#""request.id":"#) && warning.contains(r#""shard.id":"shardId-"#),
        "{warning}"
    );
}

/// One event of your choice:
/// `STENTOR_EVENT=events/kinesis-poison.json cargo test --test function one_event -- --nocapture`.
#[tokio::test(flavor = "multi_thread")]
async fn one_event_is_answered() {
    let event =
        std::env::var("STENTOR_EVENT").unwrap_or_else(|_| "events/subscription.json".to_owned());
    let payload =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(&event)).unwrap();
    let slack = MockServer::start().await;
    let surroundings = Surroundings::start(&webhook(&slack, "hook", 200, "ok").await).await;
    let function = surroundings.function(30, &[]).await;
    let answer = function.answer(&payload).await;
    println!("{}\n\nanswer: {answer}", function.log());
    for parked in surroundings.parked().await {
        println!("parked: {} {}", parked["event_id"], parked["reason"]);
    }
    for request in slack.received_requests().await.unwrap() {
        println!("Slack:  {}", request.body_json::<Value>().unwrap()["text"]);
    }
    assert!(answer["batchItemFailures"].is_array(), "{answer}");
}

#[tokio::test(flavor = "multi_thread")]
async fn throttling_is_retried_and_an_unavailable_store_is_a_partial_failure() {
    let slack = MockServer::start().await;
    let surroundings = Surroundings::start(&webhook(&slack, "hook", 200, "ok").await).await;
    let function = surroundings.function(20, &[]).await;
    // Two of three requests are throttled, of any operation.
    surroundings
        .proxy
        .decide(|_, n| if n % 3 == 2 { ProxyAction::Pass } else { ProxyAction::Throttle });
    assert_eq!(function.answer(&sample("kinesis-burst.json")).await, everything());
    assert_eq!([surroundings.rows().await, posts(&slack, "hook").await], [180, 1]);

    // All commits fail. The first record of the sample is a control message, which is safe.
    let function = surroundings.function(3, &[]).await;
    surroundings.proxy.decide(|operation, _| {
        if operation == "TransactWriteItems" { ProxyAction::Throttle } else { ProxyAction::Pass }
    });
    let event = sample("kinesis-control.json");
    let answer = function.answer(&event).await;
    let first_with_alerts = (0..3).find(|record| checkpoint(&answer) == sequence(&event, *record));
    assert!(first_with_alerts.is_some(), "only records of the event are named: {answer}");
    assert_eq!(surroundings.rows().await, 180);
    let summary = function.summaries().pop().unwrap();
    assert_eq!((&summary["retried"], &summary["records_retried"]), (&json!(2), &json!(1)));
    surroundings.proxy.decide(|_, _| ProxyAction::Pass);
    assert_eq!(function.answer(&event).await, everything());
    assert_eq!(surroundings.rows().await, 182);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_store_is_given_up_before_the_function_times_out() {
    let slack = MockServer::start().await;
    let surroundings = Surroundings::start(&webhook(&slack, "hook", 200, "ok").await).await;
    let function = surroundings.function(3, &[]).await;
    surroundings.proxy.decide(|operation, _| {
        if operation == "TransactWriteItems" { ProxyAction::Swallow } else { ProxyAction::Pass }
    });
    let event = sample("kinesis-burst.json");
    assert_eq!(checkpoint(&function.answer(&event).await), sequence(&event, 0));
    // A commit whose answer is lost counts once.
    surroundings.proxy.decide(|operation, n| match operation {
        "TransactWriteItems" if n < 2 => ProxyAction::SwallowAnswer,
        _ => ProxyAction::Pass,
    });
    function.answer(&event).await;
    surroundings.proxy.decide(|_, _| ProxyAction::Pass);
    assert_eq!(function.answer(&event).await, everything());
    assert_eq!(surroundings.rows().await, 180);
    let body: Value = slack.received_requests().await.unwrap().last().unwrap().body_json().unwrap();
    assert!(body["text"].as_str().unwrap().contains("180 alerts"), "{}", body["text"]);
    assert_eq!(posts(&slack, "hook").await, 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_poison_record_that_cannot_be_parked_is_the_checkpoint() {
    let slack = MockServer::start().await;
    let surroundings = Surroundings::start(&webhook(&slack, "hook", 200, "ok").await).await;
    // No server listens there.
    let function =
        surroundings.function(4, &[("AWS_ENDPOINT_URL_SQS", "http://127.0.0.1:9")]).await;
    let event = sample("kinesis-poison.json");
    let answer = function.answer(&event).await;
    let at = (0..21)
        .find(|record| sequence(&event, *record) == checkpoint(&answer))
        .expect("it is in the event");
    assert_eq!(
        surroundings.rows().await,
        24,
        "the good records and the good events of a bad one are stored"
    );
    assert_eq!(posts(&slack, "hook").await, 1, "and delivered");
    let function = surroundings.function(20, &[]).await;
    assert_eq!(function.answer(&event).await, everything());
    let parked = surroundings.parked().await;
    assert_eq!((parked.len(), surroundings.rows().await), (10, 24));
    let is_parked = |record: &usize| {
        let number = sequence(&event, *record);
        parked.iter().any(|parked| parked["event_id"].as_str().unwrap().ends_with(&number))
    };
    assert_eq!((0..21).find(is_parked), Some(at), "the checkpoint was the earliest poison");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_webhook_is_replaced_by_either_version_of_the_secret() {
    let slack = MockServer::start().await;
    let once = ResponseTemplate::new(200).set_body_string("ok");
    Mock::given(method("POST"))
        .and(path("/old"))
        .respond_with(once)
        .up_to_n_times(1)
        .mount(&slack)
        .await;
    let (old, new) =
        (webhook(&slack, "old", 404, "no_service").await, webhook(&slack, "new", 200, "ok").await);
    let surroundings = Surroundings::start(&old).await;
    let function = surroundings.function(20, &[]).await;
    assert_eq!(function.answer(&sample("subscription.json")).await, everything());
    assert_eq!(
        (posts(&slack, "old").await, surroundings.parked().await.len()),
        (1, 0),
        "it still works"
    );
    // The webhook is revoked and replaced in the secret: the next message uses the new one.
    surroundings.rotate(&new).await;
    assert_eq!(function.answer(&sample("kinesis-multimember.json")).await, everything());
    let counts =
        [posts(&slack, "old").await, posts(&slack, "new").await, surroundings.parked().await.len()];
    assert_eq!(counts, [2, 1, 0]);
    // The secret gets a revoked webhook: the one before the rotation still works.
    surroundings.rotate(&old).await;
    let function = surroundings.function(20, &[]).await;
    assert_eq!(function.answer(&sample("kinesis-control.json")).await, everything());
    let counts =
        [posts(&slack, "old").await, posts(&slack, "new").await, surroundings.parked().await.len()];
    assert_eq!(counts, [3, 2, 0]);
    // Both versions are revoked: the message is parked with Slack's code.
    surroundings.rotate(&webhook(&slack, "revoked", 404, "no_service").await).await;
    let function = surroundings.function(20, &[]).await;
    assert_eq!(function.answer(&sample("kinesis-formats.json")).await, everything());
    let parked = surroundings.parked().await;
    assert_eq!(
        (&parked[0]["kind"], &parked[0]["target"]),
        (&json!("message"), &json!("slack:default"))
    );
    assert_eq!(parked[0]["reason"], json!("Slack answered 404: no_service"));
    let counts = [parked.len(), posts(&slack, "revoked").await, posts(&slack, "old").await];
    assert_eq!(counts, [1, 1, 4]);
    assert!(!function.log().contains(&old), "no webhook in the log");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_credential_is_named_and_parked() {
    let slack = MockServer::start().await;
    let surroundings = Surroundings::start(&webhook(&slack, "hook", 200, "ok").await).await;
    let config = Path::new(env!("CARGO_TARGET_TMPDIR")).join("missing-credential.toml");
    std::fs::write(
        &config,
        "[[route]]\nname=\"r\"\nmarkers=[\"[ALERT]\",\"[CRITICAL]\"]\nnotify=[\"slack:absent\"]\n",
    )
    .unwrap();
    let function = surroundings.function(20, &[("STENTOR_CONFIG", config.to_str().unwrap())]).await;
    assert_eq!(function.answer(&sample("subscription.json")).await, everything());
    let parked = surroundings.parked().await;
    assert_eq!(parked[0]["reason"], json!("the secret has no credential for slack:absent"));
}

/// CloudWatch Logs delivers only to functions of its own Region.
#[tokio::test(flavor = "multi_thread")]
async fn a_direct_subscription_matches_a_route_of_the_functions_region() {
    let slack = MockServer::start().await;
    let mut surroundings = Surroundings::start(&webhook(&slack, "hook", 200, "ok").await).await;
    for (regions, rows) in [("us-east-1", 2), ("eu-*", 0)] {
        surroundings.renew_store().await;
        let config = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("region-{rows}.toml"));
        let route = format!(
            "[[route]]\nname=\"r\"\nmarkers=[\"[ALERT]\",\"[CRITICAL]\"]\nregions=[\"{regions}\"]\nnotify=[\"slack:default\"]\n"
        );
        std::fs::write(&config, route).unwrap();
        let function =
            surroundings.function(20, &[("STENTOR_CONFIG", config.to_str().unwrap())]).await;
        assert_eq!(function.answer(&sample("subscription.json")).await, everything());
        assert_eq!(surroundings.rows().await, rows, "{regions}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn records_are_retried_while_slack_hangs_or_limits_and_delivered_once() {
    let slack = MockServer::start().await;
    let slow = ResponseTemplate::new(200).set_delay(std::time::Duration::from_secs(60));
    Mock::given(method("POST")).respond_with(slow).up_to_n_times(1).mount(&slack).await;
    let limited = ResponseTemplate::new(429).insert_header("retry-after", "2");
    Mock::given(method("POST")).respond_with(limited).up_to_n_times(1).mount(&slack).await;
    let surroundings = Surroundings::start(&webhook(&slack, "hook", 200, "ok").await).await;
    let event = sample("kinesis-burst.json");
    let function = surroundings.function(3, &[]).await;
    let answer = function.answer(&event).await;
    assert_eq!(checkpoint(&answer), sequence(&event, 0), "stored, but not delivered yet");
    assert_eq!(surroundings.rows().await, 180);
    let function = surroundings.function(25, &[]).await;
    assert_eq!(function.answer(&event).await, everything());
    assert_eq!(
        posts(&slack, "hook").await,
        3,
        "one that hung, one that was limited, one that was accepted"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_function_loses_nothing_and_counts_once() {
    let slack = MockServer::start().await;
    let surroundings = Surroundings::start(&webhook(&slack, "hook", 200, "ok").await).await;
    let event = sample("kinesis-burst.json");
    // Killed while the answer to one of these is lost: the registration of the hour, the first
    // commit, the close, the freeze.
    for swallowed in 0..7 {
        let function = surroundings.function(5, &[]).await;
        surroundings.proxy.decide(move |_, n| {
            if n == swallowed + 1 { ProxyAction::SwallowAnswer } else { ProxyAction::Pass }
        });
        tokio::select! {
            _ = function.invoke(&event) => {}
            () = until_seen(&surroundings, swallowed + 2) => {}
        }
        function.kill();
    }
    surroundings.proxy.decide(|_, _| ProxyAction::Pass);
    let function = surroundings.function(30, &[]).await;
    assert_eq!(function.answer(&event).await, everything(), "{}", function.log());
    assert_eq!(surroundings.rows().await, 180);
    let delivered: Vec<String> = slack
        .received_requests()
        .await
        .unwrap()
        .iter()
        .map(|request| request.body_json::<Value>().unwrap()["text"].as_str().unwrap().to_owned())
        .collect();
    assert!(matches!(&delivered[..], [one] if one.contains("180 alerts")), "{delivered:?}");
}

async fn until_seen(surroundings: &Surroundings, requests: u64) {
    while surroundings.proxy.seen() < requests {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_event_is_an_error_that_says_so() {
    let slack = MockServer::start().await;
    let surroundings = Surroundings::start(&webhook(&slack, "hook", 200, "ok").await).await;
    let function = surroundings.function(10, &[]).await;
    let answer = function.answer(r#"{"hello": "hunter2"}"#).await;
    let message = answer["errorMessage"].as_str().unwrap();
    assert!(
        message.contains("neither a Kinesis event") && !message.contains("hunter2"),
        "{answer}"
    );
    assert_eq!(
        function.answer(&sample("kinesis-empty.json")).await,
        everything(),
        "the next event is processed"
    );
}
