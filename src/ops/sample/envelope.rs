//! The events of Lambda, with all fields in their order. `payload` and `poison` write the `data`
//! fields.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use super::rng::Rng;

pub(super) const SHARD: &str = "shardId-000000000003";
pub(super) const STREAM_ARN: &str = "arn:aws:kinesis:eu-west-1:111122223333:stream/central-logs";
/// The first 22 of the 56 digits of a sequence number, from a real stream.
const NUMBER_START: &str = "4965748213390527418806";
const GAP_MAX: u64 = 10_u64.pow(18);
const ROLE_ARN: &str = "arn:aws:iam::111122223333:role/stentor-consumer";
const DUE_QUEUE_ARN: &str = "arn:aws:sqs:eu-west-1:111122223333:stentor-DueMessages";

/// The payload of an invocation. Its JSON is what Lambda sends.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum SampleEvent {
    Kinesis(KinesisEvent),
    Subscription(SubscriptionEvent),
    /// Messages of the due queue, for the notifier.
    Due(SqsEvent),
    /// The event of the schedule, for the notifier.
    Sweep(SweepEvent),
}

/// `{"Records":[…]}`, with the fields of a tumbling window if the mapping has one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KinesisEvent {
    #[serde(rename = "Records")]
    pub records: Vec<SampleRecord>,
    #[serde(flatten)]
    pub tumbling: Option<Tumbling>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SampleRecord {
    pub kinesis: KinesisData,
    pub event_source: &'static str,
    pub event_version: &'static str,
    /// `<shard>:<sequence number>`
    #[serde(rename = "eventID")]
    pub event_id: String,
    pub event_name: &'static str,
    pub invoke_identity_arn: &'static str,
    pub aws_region: &'static str,
    #[serde(rename = "eventSourceARN")]
    pub event_source_arn: &'static str,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct KinesisData {
    pub kinesis_schema_version: &'static str,
    pub partition_key: String,
    /// 56 decimal digits, increasing within the event.
    pub sequence_number: String,
    /// Base64 of gzip of JSON, except in a poison record.
    pub data: String,
    /// Seconds since 1970, with a fraction of at most three digits.
    pub approximate_arrival_timestamp: f64,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Tumbling {
    pub window: SampleWindow,
    /// The answer of the previous invocation in the window, which is any JSON. `{}` in the first.
    pub state: Value,
    pub shard_id: &'static str,
    #[serde(rename = "eventSourceARN")]
    pub event_source_arn: &'static str,
    pub is_final_invoke_for_window: bool,
    pub is_window_terminated_early: bool,
}

/// ISO 8601, whole seconds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleWindow {
    pub start: &'static str,
    pub end: &'static str,
}

/// `{"awslogs":{"data":"…"}}`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SubscriptionEvent {
    pub awslogs: SampleData,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SampleData {
    pub data: String,
}

/// `{"Records":[…]}`
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SqsEvent {
    #[serde(rename = "Records")]
    pub records: Vec<SqsMessage>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SqsMessage {
    pub message_id: String,
    pub receipt_handle: String,
    pub body: String,
    pub attributes: SqsAttributes,
    pub message_attributes: BTreeMap<String, Value>,
    pub event_source: &'static str,
    #[serde(rename = "eventSourceARN")]
    pub event_source_arn: &'static str,
    pub aws_region: &'static str,
}

/// Numbers are strings. Times are in milliseconds since 1970.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "PascalCase")]
pub struct SqsAttributes {
    /// Includes this time.
    pub approximate_receive_count: String,
    pub sent_timestamp: String,
    pub approximate_first_receive_timestamp: String,
}

/// The event that the schedule of the template sends.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SweepEvent {
    pub stentor: &'static str,
}

impl SampleEvent {
    pub(super) fn kinesis(records: Vec<SampleRecord>) -> Self {
        Self::Kinesis(KinesisEvent { records, tumbling: None })
    }

    pub(super) fn subscription(data: String) -> Self {
        Self::Subscription(SubscriptionEvent { awslogs: SampleData { data } })
    }

    /// Messages of the due queue. Each has its body, how often it was received, and when it was
    /// sent.
    pub(super) fn due(messages: Vec<(String, u32, i64)>) -> Self {
        let message =
            |(number, (body, receives, sent_ms)): (usize, (String, u32, i64))| SqsMessage {
                message_id: format!("5f0c{number:04}-8d1e-4c52-b7a9-3e6d0f2a9b14"),
                receipt_handle: format!("AQEB-sample-{number}"),
                body,
                attributes: SqsAttributes {
                    approximate_receive_count: receives.to_string(),
                    sent_timestamp: sent_ms.to_string(),
                    approximate_first_receive_timestamp: (sent_ms + 14).to_string(),
                },
                message_attributes: BTreeMap::new(),
                event_source: "aws:sqs",
                event_source_arn: DUE_QUEUE_ARN,
                aws_region: "eu-west-1",
            };
        Self::Due(SqsEvent { records: messages.into_iter().enumerate().map(message).collect() })
    }

    /// The `data` fields in order: one of each record, or the one of a subscription.
    pub fn data(&self) -> Vec<&str> {
        match self {
            Self::Kinesis(event) => event.records.iter().map(|r| r.kinesis.data.as_str()).collect(),
            Self::Subscription(event) => vec![event.awslogs.data.as_str()],
            Self::Due(_) | Self::Sweep(_) => Vec::new(),
        }
    }

    /// Indented JSON with a final newline, as in the files of `events/`.
    pub fn pretty(&self) -> String {
        let text = serde_json::to_string_pretty(self);
        text.expect("invariant: strings and numbers always serialize") + "\n"
    }
}

/// Numbers the records of one shard. A Lambda event never has records from two.
pub(super) struct Shard {
    last: u128,
    last_ms: i64,
    rng: Rng,
}

impl Shard {
    /// Sequence numbers depend on `start_ms`, so those of a later event are greater.
    pub(super) fn new(start_ms: i64, seed: u64) -> Self {
        let mut rng = Rng::new(!seed);
        let last = start_ms as u128 * 10_u128.pow(21) + u128::from(rng.between(0, GAP_MAX));
        Self { last, last_ms: start_ms, rng }
    }

    /// The next record. It does not arrive earlier than the previous one.
    pub(super) fn record(
        &mut self,
        partition_key: String,
        data: String,
        arrived_ms: i64,
    ) -> SampleRecord {
        self.last += u128::from(self.rng.between(1, GAP_MAX));
        self.last_ms = self.last_ms.max(arrived_ms);
        let sequence_number = format!("{NUMBER_START}{:034}", self.last);
        let event_id = format!("{SHARD}:{sequence_number}");
        SampleRecord {
            kinesis: KinesisData {
                kinesis_schema_version: "1.0",
                partition_key,
                sequence_number,
                data,
                approximate_arrival_timestamp: self.last_ms as f64 / 1000.0,
            },
            event_source: "aws:kinesis",
            event_version: "1.0",
            event_id,
            event_name: "aws:kinesis:record",
            invoke_identity_arn: ROLE_ARN,
            aws_region: "eu-west-1",
            event_source_arn: STREAM_ARN,
        }
    }
}
