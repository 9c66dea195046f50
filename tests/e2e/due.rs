//! When messages are delivered: at once, after a long window, after a pause, by the sweep. Runs the
//! two functions as processes, with a due queue whose delays are real.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crate::deployment::Deployment;
use crate::emulator::Surroundings;
use crate::mapping::{Shard, data, due_record};
use crate::runtime::Outcome;
use crate::support::parked::{given_up, parked_message};
use crate::webhooks::HookAnswer;
use serde_json::{Value, json};
use wiremock::matchers::header;
use wiremock::{Mock, MockServer, ResponseTemplate};

/// Long enough for a loaded machine.
const LONG: Duration = Duration::from_secs(60);

/// An event with a record of these lines.
fn event(lines: &[&str]) -> Value {
    let mut shard = Shard::new("shardId-000000000000".to_owned());
    shard.put(data("stream", lines.iter().map(|line| (*line, (*line).to_owned()))));
    shard.rest()
}

fn answered(failures: &[&str]) -> Outcome {
    let failures: Vec<Value> = failures.iter().map(|id| json!({"itemIdentifier": id})).collect();
    Outcome::Answered(json!({"batchItemFailures": failures}))
}

#[tokio::test(flavor = "multi_thread")]
async fn the_first_alert_of_a_quiet_route_is_delivered_within_about_a_second() {
    let config = "[[route]]\nname=\"critical\"\nmarkers=[\"[CRITICAL]\"]\nnotify=[\"slack:one\"]";
    let surroundings = Surroundings::start_alone("").await;
    let deployment =
        Deployment::within(surroundings, "quiet", config, &[], || HookAnswer::Accepted).await;
    let (consumer, notifier) = (&deployment.consumers[0], &deployment.notifiers[0]);
    // Started and connected, like functions that are called once a minute.
    assert_eq!(consumer.invoke(&json!({"Records": []}), None).await, answered(&[]));
    assert_eq!(
        notifier.invoke(&json!({"stentor": "sweep"}), None).await,
        Outcome::Answered(Value::Null)
    );
    let began = Instant::now();
    assert_eq!(consumer.invoke(&event(&["[CRITICAL] pool exhausted"]), None).await, answered(&[]));
    assert_eq!(deployment.slack.posts().len(), 0, "the consumer delivers nothing");
    assert_eq!(deployment.due.poll(notifier, None).await, Some(answered(&[])));
    let posts = deployment.slack.posts();
    let took = posts[0].arrived.duration_since(began);
    println!("from the consumer's invocation to the message: {took:?}");
    assert_eq!((posts.len(), posts[0].alerts), (1, 1));
    assert!(took < Duration::from_secs(3), "{took:?}");
    assert_eq!(deployment.due_messages().await, 1, "the due message of the next window");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_due_message_of_a_long_window_is_postponed_and_kept() {
    let sqs = MockServer::start().await;
    for (operation, answer) in
        [("SendMessage", json!({"MessageId": "m"})), ("ChangeMessageVisibility", json!({}))]
    {
        let answer = ResponseTemplate::new(200).set_body_json(answer);
        let operation = header("x-amz-target", format!("AmazonSQS.{operation}"));
        Mock::given(operation).respond_with(answer).mount(&sqs).await;
    }
    let config = r#"
        window = "1h"
        window_max = "2h"
        first = "after-window"
        [[route]]
        name = "daily"
        markers = ["[INFO]"]
        notify = ["slack:one"]
    "#;
    let to_us = [("AWS_ENDPOINT_URL_SQS", &*sqs.uri())];
    let deployment =
        Deployment::start("long-window", config, &to_us, || HookAnswer::Accepted).await;
    assert_eq!(
        deployment.consumers[0].invoke(&event(&["[INFO] 17 invoices"]), None).await,
        answered(&[])
    );
    let [sent] = &calls(&sqs).await[..] else { panic!("one call") };
    assert_eq!(sent["DelaySeconds"], 900, "the longest delay of SQS");
    let body = sent["MessageBody"].as_str().unwrap();
    assert_eq!(body, r#"{"route":"daily","window":1}"#);
    // The message arrives twice, while the window is still open.
    let records =
        [due_record("one", "receipt-1", "1", body), due_record("two", "receipt-2", "7", body)];
    let outcome = deployment.notifiers[0].invoke(&json!({"Records": records}), None).await;
    assert_eq!(outcome, answered(&["one", "two"]), "SQS deletes what is not named");
    assert_eq!(deployment.slack.posts().len(), 0);
    let [_, put_off @ ..] = &calls(&sqs).await[..] else { panic!("calls") };
    for receipt in ["receipt-1", "receipt-2"] {
        let call = put_off.iter().find(|call| call["ReceiptHandle"] == receipt).unwrap();
        let rest_s = call["VisibilityTimeout"].as_u64().unwrap();
        assert!((3_500..=3_600).contains(&rest_s), "the rest of the hour: {call}");
    }
}

/// The bodies of all SQS calls so far.
async fn calls(sqs: &MockServer) -> Vec<Value> {
    sqs.received_requests()
        .await
        .unwrap()
        .iter()
        .map(|request| request.body_json().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pause_from_slack_applies_to_every_route() {
    let config = r#"
        [[route]]
        name = "critical"
        markers = ["[CRITICAL]"]
        notify = ["slack:one"]
        [[route]]
        name = "alert"
        markers = ["[ALERT]"]
        notify = ["slack:one"]
    "#;
    let calls = AtomicU64::new(0);
    let decide = move || {
        if calls.fetch_add(1, Ordering::SeqCst) == 0 {
            HookAnswer::Limited(4)
        } else {
            HookAnswer::Accepted
        }
    };
    let deployment = Deployment::start("pause", config, &[], decide).await;
    let (consumer, notifier) = (&deployment.consumers[0], &deployment.notifiers[0]);
    assert_eq!(consumer.invoke(&event(&["[CRITICAL] pool exhausted"]), None).await, answered(&[]));
    deployment.due.poll(notifier, None).await;
    assert_eq!(deployment.slack.posts().len(), 1);
    assert_eq!(deployment.due_messages().await, 2, "the retried one, and that of the next window");
    assert_eq!(consumer.invoke(&event(&["[ALERT] card refused"]), None).await, answered(&[]));
    let began = Instant::now();
    while deployment.slack.posts().len() < 3 {
        assert!(began.elapsed() < LONG, "{:?}\n{}", deployment.slack.posts(), notifier.log());
        deployment.due.poll(notifier, None).await;
    }
    let posts = deployment.slack.posts();
    let limited = posts[0].arrived;
    let after: Vec<Duration> =
        posts[1..].iter().map(|post| post.arrived.duration_since(limited)).collect();
    println!("asked to wait for 4 s; told after {after:?}");
    assert!(
        after.iter().all(|after| (Duration::from_secs(4)..Duration::from_secs(15)).contains(after)),
        "{after:?}"
    );
    let routes: Vec<&str> = posts[1..].iter().map(|post| post.route.as_str()).collect();
    assert!(routes.contains(&"critical") && routes.contains(&"alert"), "{routes:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_sweep_replaces_a_lost_due_message_and_dead_letters_are_put_back() {
    let config = "[[route]]\nname=\"critical\"\nmarkers=[\"[CRITICAL]\"]\nnotify=[\"slack:one\"]";
    let deployment = Deployment::start("lost", config, &[], || HookAnswer::Accepted).await;
    let (consumer, notifier, due) =
        (&deployment.consumers[0], &deployment.notifiers[0], &deployment.due);
    assert_eq!(consumer.invoke(&event(&["[CRITICAL] pool exhausted"]), None).await, answered(&[]));
    due.client.purge_queue().queue_url(&due.queue_url).send().await.unwrap();
    assert_eq!(
        notifier.invoke(&json!({"stentor": "sweep"}), None).await,
        Outcome::Answered(Value::Null)
    );
    assert_eq!(deployment.slack.posts().len(), 1, "{}", notifier.log());
    // Dead letters that someone moved to the due queue.
    let dead_letters =
        [parked_message(3), given_up("shardId-0", "1", "9", 9), "\"hello\"".to_owned()];
    for body in &dead_letters {
        let send = due.client.send_message().queue_url(&due.queue_url).message_body(body);
        send.send().await.unwrap();
    }
    assert_eq!(due.poll(notifier, None).await, Some(answered(&[])));
    let parked = deployment.surroundings.parked().await;
    let moved = dead_letters.map(|body| serde_json::from_str::<Value>(&body).unwrap());
    assert!(parked.len() == 3 && moved.iter().all(|one| parked.contains(one)), "{parked:?}");
    assert_eq!(
        (deployment.slack.posts().len(), deployment.due_messages().await),
        (1, 1),
        "the due message of the next window"
    );
}
