//! The event source mappings of the two functions, by the rules of Lambda. For Kinesis, it sends
//! the records of a shard from the checkpoint on, until they are acknowledged. For SQS, it sends
//! messages and deletes those that did not fail.

use std::io::Write as _;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, MessageSystemAttributeName};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use flate2::{Compression, write::GzEncoder};
use futures::future::join;
use serde_json::{Value, json};
use stentor::adapters::clock::SystemClock;
use stentor::protocol::clock::Clock as _;

use crate::runtime::{Function, Outcome};

/// A shard and its checkpoint.
pub struct Shard {
    pub name: String,
    /// The records, each with its sequence number and its data in base64.
    records: Vec<(String, String)>,
    checkpoint: usize,
}

impl Shard {
    pub fn new(name: String) -> Self {
        Self { name, records: Vec::new(), checkpoint: 0 }
    }

    /// Adds a record and returns its event id.
    pub fn put(&mut self, data: String) -> String {
        let sequence = format!("49657482{:048}", self.records.len());
        let event_id = format!("{}:{sequence}", self.name);
        self.records.push((sequence, data));
        event_id
    }

    /// Whether all records are acknowledged.
    pub fn is_done(&self) -> bool {
        self.checkpoint == self.records.len()
    }

    /// All records from the checkpoint on, as one event.
    pub fn rest(&self) -> Value {
        self.event(&self.records[self.checkpoint..])
    }

    /// Processes one batch from the checkpoint on. Its size is random, because a retried batch may
    /// be cut differently. Sometimes two pollers read the shard at once, or an acknowledgement is
    /// lost.
    pub async fn poll(
        &mut self,
        consumers: &[Function],
        rng: &mut Rng,
        killed_after: Option<Duration>,
    ) {
        let end = self.records.len().min(self.checkpoint + rng.usize(1..=4));
        let batch = &self.records[self.checkpoint..end];
        let event = self.event(batch);
        let [one, two] = [(); 2].map(|()| &consumers[rng.usize(..consumers.len())]);
        let outcome = match rng.u8(..) {
            0..16 => join(one.invoke(&event, killed_after), two.invoke(&event, None)).await.0,
            _ => one.invoke(&event, killed_after).await,
        };
        let Outcome::Answered(answer) = outcome else { return };
        let failed = answer["batchItemFailures"].as_array().unwrap().iter().map(|failure| {
            let sequence = failure["itemIdentifier"].as_str().unwrap();
            batch
                .iter()
                .position(|(number, _)| number == sequence)
                .expect("only records of the batch are named")
        });
        let acknowledged = failed.min().unwrap_or(batch.len());
        if rng.u8(..) >= 16 {
            self.checkpoint += acknowledged;
        }
    }

    fn event(&self, batch: &[(String, String)]) -> Value {
        let arrived_at = SystemClock.now().as_millis() as f64 / 1000.0;
        let record = |(sequence, data): &(String, String)| {
            json!({
                "kinesis": {
                    "kinesisSchemaVersion": "1.0", "partitionKey": "p", "sequenceNumber": sequence, "data": data,
                    "approximateArrivalTimestamp": arrived_at
                },
                "eventSource": "aws:kinesis", "eventVersion": "1.0", "eventID": format!("{}:{sequence}", self.name),
                "eventName": "aws:kinesis:record", "awsRegion": "eu-west-1",
                "eventSourceARN": "arn:aws:kinesis:eu-west-1:111122223333:stream/central-logs"
            })
        };
        json!({"Records": batch.iter().map(record).collect::<Vec<_>>()})
    }
}

/// The mapping of the due queue.
pub struct DueMapping {
    pub client: Client,
    pub queue_url: String,
}

impl DueMapping {
    /// Receives the visible messages and invokes the notifier with them. `None` when there are
    /// none.
    pub async fn poll(
        &self,
        notifier: &Function,
        killed_after: Option<Duration>,
    ) -> Option<Outcome> {
        let receive =
            self.client.receive_message().queue_url(&self.queue_url).max_number_of_messages(5);
        let receive = receive.wait_time_seconds(1);
        let count = MessageSystemAttributeName::ApproximateReceiveCount;
        let messages =
            receive.message_system_attribute_names(count.clone()).send().await.unwrap().messages?;
        let record = |message: &Message| {
            let [id, receipt] =
                [message.message_id(), message.receipt_handle()].map(Option::unwrap);
            due_record(id, receipt, &message.attributes().unwrap()[&count], message.body().unwrap())
        };
        let event = json!({"Records": messages.iter().map(record).collect::<Vec<_>>()});
        let outcome = notifier.invoke(&event, killed_after).await;
        if let Outcome::Answered(answer) = &outcome {
            let failures = answer["batchItemFailures"].as_array().unwrap();
            let failed = |id: &str| failures.iter().any(|failure| failure["itemIdentifier"] == id);
            for message in messages.iter().filter(|message| !failed(message.message_id().unwrap()))
            {
                let delete = self.client.delete_message().queue_url(&self.queue_url);
                delete.receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
            }
        }
        Some(outcome)
    }
}

/// A message of the due queue, in the format of an SQS event.
pub fn due_record(id: &str, receipt: &str, receives: &str, body: &str) -> Value {
    json!({
        "messageId": id, "receiptHandle": receipt, "body": body, "attributes": {"ApproximateReceiveCount": receives},
        "messageAttributes": {}, "eventSource": "aws:sqs", "awsRegion": "us-east-1",
        "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:due"
    })
}

/// The data of a record, from ids and messages of log events.
pub fn data<'a>(log_stream: &str, events: impl IntoIterator<Item = (&'a str, String)>) -> String {
    let timestamp = SystemClock.now().as_millis();
    let event = |(id, message)| json!({"id": id, "timestamp": timestamp, "message": message});
    let message = json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/lambda/shop", "logStream": log_stream,
        "subscriptionFilters": ["all"], "logEvents": events.into_iter().map(event).collect::<Vec<_>>()
    });
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(message.to_string().as_bytes()).unwrap();
    STANDARD.encode(gzip.finish().unwrap())
}
