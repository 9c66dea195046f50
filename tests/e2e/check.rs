//! `stentor check --aws`: a stack as the template creates it, and one with faults.

use serde_json::Value;

use crate::emulator::Surroundings;
use crate::python::python;
use crate::support::schema::Schema;

/// A stack as the template creates it, without the parts that `SPOIL` removes.
const STACK: &str = r#"
import boto3, json, os
spoil = os.environ["SPOIL"] == "1"
aws = lambda name: boto3.client(name, region_name="us-east-1", endpoint_url=os.environ["MOTO"],
                                aws_access_key_id="test", aws_secret_access_key="test")
if not spoil:
    aws("kinesis").create_stream(StreamName="logs", ShardCount=1)
    aws("kinesis").increase_stream_retention_period(StreamName="logs", RetentionPeriodHours=48)
    sqs = aws("sqs")
    sqs.set_queue_attributes(QueueUrl=os.environ["DLQ_URL"],
                             Attributes={"MessageRetentionPeriod": "1209600", "MaximumMessageSize": "1048576"})
    arn = sqs.get_queue_attributes(QueueUrl=os.environ["DLQ_URL"], AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    own = sqs.create_queue(QueueName="due-dead-letters")["QueueUrl"]
    own = sqs.get_queue_attributes(QueueUrl=own, AttributeNames=["QueueArn"])["Attributes"]["QueueArn"]
    due = sqs.create_queue(QueueName="due", Attributes={
        "RedrivePolicy": json.dumps({"deadLetterTargetArn": own, "maxReceiveCount": 20})})["QueueUrl"]
    role = aws("iam").create_role(RoleName="r", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
    aws("lambda").create_function(FunctionName="stentor-consumer", Runtime="provided.al2023", Role=role, Handler="x",
        Code={"ZipFile": b"zip"}, Environment={"Variables": {"ALERTS_TABLE": "AppLogs", "OUTBOX_TABLE": "Outbox",
        "DLQ_URL": os.environ["DLQ_URL"], "DUE_QUEUE_URL": due, "STENTOR_SECRET_ID": "stentor/targets"}})
    aws("lambda").create_event_source_mapping(FunctionName="stentor-consumer", StartingPosition="TRIM_HORIZON",
        EventSourceArn="arn:aws:kinesis:us-east-1:123456789012:stream/logs",
        FunctionResponseTypes=["ReportBatchItemFailures"], MaximumRecordAgeInSeconds=86400, MaximumRetryAttempts=-1,
        DestinationConfig={"OnFailure": {"Destination": arn}})
    aws("logs").create_log_group(logGroupName="/aws/lambda/stentor-consumer")
else:
    mapping = aws("lambda").list_event_source_mappings(FunctionName="stentor-consumer")["EventSourceMappings"][0]
    aws("lambda").update_event_source_mapping(UUID=mapping["UUID"], FunctionResponseTypes=[], MaximumRecordAgeInSeconds=604800)
    aws("sqs").set_queue_attributes(QueueUrl=os.environ["DLQ_URL"], Attributes={"MessageRetentionPeriod": "345600"})
    aws("logs").put_subscription_filter(logGroupName="/aws/lambda/stentor-consumer", filterName="all", filterPattern="",
        destinationArn="arn:aws:kinesis:us-east-1:123456789012:stream/logs", roleArn="arn:aws:iam::123456789012:role/r")
    aws("secretsmanager").put_secret_value(SecretId="stentor/targets", SecretString="{}")
"#;

async fn make(stack: &Surroundings, spoil: &str) {
    let moto = stack.aws().endpoint_url().unwrap();
    let mut command = tokio::process::Command::new(python());
    command
        .args(["-c", STACK])
        .env("MOTO", moto)
        .env("DLQ_URL", &stack.queue_url)
        .env("SPOIL", spoil);
    let output = command.output().await.unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

/// The findings that are not good, and the number of all findings. moto does not support account
/// policies.
async fn faults(stack: &Surroundings) -> (Vec<String>, usize) {
    let command = stack.stentor(&["check", "--aws", "--json"]);
    let output = tokio::process::Command::from(command).output().await.unwrap();
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    assert_eq!(Schema::of("check --json").check(&report).1, [""; 0], "{report:#}");
    let findings = report["findings"].as_array().unwrap();
    let bad = findings.iter().filter(|finding| finding["good"] == false);
    assert!(
        bad.clone()
            .all(|finding| finding["remedy"].as_str().is_some_and(|remedy| !remedy.is_empty()))
    );
    let bad = bad.map(|finding| {
        format!("{}: {}", finding["code"].as_str().unwrap(), finding["text"].as_str().unwrap())
    });
    (
        bad.filter(|text| text != "readable: the account policies cannot be read").collect(),
        findings.len(),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployment_is_checked_against_its_requirements() {
    let stack = Surroundings::start("https://hooks.slack.com/none").await;
    let absent =
        tokio::process::Command::from(stack.stentor(&["check", "--aws"])).output().await.unwrap();
    assert_eq!(absent.status.code(), Some(2));
    assert!(
        text(&absent.stderr).contains("the function stentor-consumer does not exist"),
        "{}",
        text(&absent.stderr)
    );
    make(&stack, "0").await;
    assert_eq!(faults(&stack).await, (vec![], 12));
    make(&stack, "1").await;
    let (faults, _) = faults(&stack).await;
    let expected = [
        "dead-letter-retention: the dead-letter queue keeps messages for 4 d only",
        "credential: the secret has no credential for slack:default",
        "mapping-item-failures: the mapping of logs does not accept partial failures",
        "stream-retention: the stream logs keeps records for 2 d, no longer than they are retried",
        "own-logs-filter: the subscription filter all reads /aws/lambda/stentor-consumer",
    ];
    assert_eq!(faults, expected);
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
