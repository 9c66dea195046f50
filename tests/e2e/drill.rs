//! `stentor drill` on the stack of the template: a line goes from a log group of moto through its
//! subscription and a stream to a consumer, a notifier and a webhook. `stentor trace` then follows
//! its alert.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aws_sdk_kinesis::types::ShardIteratorType;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use crate::deployment::Deployment;
use crate::mapping::Shard;
use crate::support::schema::Schema;
use crate::webhooks::HookAnswer;

const CONFIG: &str = r#"
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]"]
    notify = ["slack:one"]
    [[route]]
    name = "info"
    markers = ["[INFO]"]
    notify = ["slack:two"]
"#;
const GROUP: &str = "/stentor/drill";
const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/logs";

/// A stream, and a log group with a subscription to it.
async fn subscribe(deployment: &Deployment) -> aws_sdk_kinesis::Client {
    let aws = deployment.surroundings.aws();
    let kinesis = aws_sdk_kinesis::Client::new(aws);
    kinesis.create_stream().stream_name("logs").shard_count(1).send().await.unwrap();
    let logs = aws_sdk_cloudwatchlogs::Client::new(aws);
    for group in [GROUP, "/stentor/unsubscribed"] {
        logs.create_log_group().log_group_name(group).send().await.unwrap();
    }
    let filter = logs.put_subscription_filter().log_group_name(GROUP).filter_name("all");
    let filter = filter.filter_pattern("").destination_arn(STREAM);
    filter.role_arn("arn:aws:iam::123456789012:role/r").send().await.unwrap();
    kinesis
}

/// The mappings of both functions, until the command ends.
async fn run_mappings(deployment: &Deployment, kinesis: &aws_sdk_kinesis::Client) {
    let (consumer, notifier) = (&deployment.consumers[0], &deployment.notifiers[0]);
    let iterator = kinesis.get_shard_iterator().stream_name("logs");
    let iterator = iterator.shard_id("shardId-000000000000");
    let iterator = iterator.shard_iterator_type(ShardIteratorType::TrimHorizon).send().await;
    let mut iterator = iterator.unwrap().shard_iterator;
    loop {
        let page = kinesis.get_records().set_shard_iterator(iterator).send().await.unwrap();
        let mut shard = Shard::new("shardId-000000000000".to_owned());
        for record in &page.records {
            shard.put(STANDARD.encode(record.data.as_ref()));
        }
        if !page.records.is_empty() {
            consumer.invoke(&shard.rest(), None).await;
        }
        iterator = page.next_shard_iterator;
        deployment.due.poll(notifier, None).await;
    }
}

/// The JSON and the exit code of a command, while the mappings run.
async fn command(
    deployment: &Deployment,
    kinesis: &aws_sdk_kinesis::Client,
    arguments: &[&str],
) -> (Value, Option<i32>, String) {
    let command = deployment.surroundings.stentor(arguments);
    let mut command = tokio::process::Command::from(command);
    let output = tokio::select! {
        output = command.output() => output.unwrap(),
        () = run_mappings(deployment, kinesis) => unreachable!("the mappings run on"),
    };
    let json = serde_json::from_slice(&output.stdout).unwrap_or_default();
    (json, output.status.code(), String::from_utf8_lossy(&output.stderr).into_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_drill_times_each_hop_and_says_where_a_line_has_stopped() {
    let is_refused = Arc::new(AtomicBool::new(false));
    let refuses = Arc::clone(&is_refused);
    let decide = move || match refuses.load(Ordering::SeqCst) {
        true => HookAnswer::Refused,
        false => HookAnswer::Accepted,
    };
    let deployment = Deployment::start("drill", CONFIG, &[], decide).await;
    let kinesis = subscribe(&deployment).await;
    let config = concat!(env!("CARGO_TARGET_TMPDIR"), "/drill.toml");
    let drill = async |group: &str, target: &str, timeout: &str| {
        let arguments = [
            "drill",
            "--log-group",
            group,
            "--target",
            target,
            "--config",
            config,
            "--timeout",
            timeout,
            "--json",
        ];
        let (report, code, error) = command(&deployment, &kinesis, &arguments).await;
        if code != Some(2) {
            assert_eq!(Schema::of("drill --json").check(&report).1, [""; 0], "{report:#}");
        }
        (report, code, error)
    };

    let (report, code, error) = drill(GROUP, "slack:one", "60s").await;
    assert_eq!((code, &report["arrived"]), (Some(0), &Value::Bool(true)), "{report:#}{error}");
    let hops = report["hops"].as_array().unwrap().iter();
    let hops: Vec<&str> = hops.map(|hop| hop["hop"].as_str().unwrap()).collect();
    assert_eq!(hops, ["written", "stored", "frozen", "accepted"]);
    let id = report["id"].as_str().unwrap();
    let posts = deployment.slack.posts();
    assert_eq!(posts.len(), 1, "{posts:?}");

    // The alert of the drill, followed on the tables of the stack.
    let log_id = report["log_id"].as_str().unwrap();
    let trace = ["trace", log_id, "--json"];
    let (traced, code, error) = command(&deployment, &kinesis, &trace).await;
    assert_eq!(code, Some(0), "{traced:#}{error}");
    assert!(traced["alert"]["message"].as_str().unwrap().contains(id));
    let target = &traced["routes"][0]["targets"][0];
    assert_eq!(
        (&target["state"], &target["last_result"]),
        (&"acknowledged".into(), &"accepted".into())
    );

    let (report, code, _) = drill("/stentor/unsubscribed", "slack:one", "3s").await;
    assert_eq!(code, Some(1));
    assert!(report["reason"].as_str().unwrap().contains("is not in the audit table"), "{report:#}");
    let (_, code, error) = drill("/stentor/absent", "slack:one", "3s").await;
    assert_eq!(code, Some(2));
    assert!(error.contains("the log group /stentor/absent does not exist"), "{error}");

    is_refused.store(true, Ordering::SeqCst);
    let (report, code, _) = drill(GROUP, "slack:two", "60s").await;
    assert_eq!(code, Some(1), "{report:#}");
    let refused = "slack:two refused the message, which is parked";
    assert_eq!(report["reason"].as_str(), Some(refused), "{report:#}");
}
