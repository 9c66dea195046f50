//! Dead letters as the functions and Lambda write them.

use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use stentor::adapters::clock::SystemClock;
use stentor::ingest::decode::Poison;
use stentor::model::digest::Digest;
use stentor::model::tally::Tally;
use stentor::protocol::clock::Clock as _;
use stentor::protocol::dead_letter::{ParkCode, ParkedItem, ParkedMessage, ParkedWork};

pub const STREAM: &str = "arn:aws:kinesis:us-east-1:123456789012:stream/logs";

/// A subscription message of one `[CRITICAL]` line, as CloudWatch Logs compresses it. The padding
/// is JSON white space.
pub fn gzip(id: &str, spaces: usize) -> Vec<u8> {
    let message = json!({
        "messageType": "DATA_MESSAGE",
        "owner": "123456789012",
        "logGroup": "/aws/lambda/shop",
        "logStream": "stream",
        "logEvents": [{"id": id, "timestamp": 1_795_443_306_789_i64, "message": format!("[CRITICAL] order {id} failed")}],
    });
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    write!(encoder, "{message}{}", " ".repeat(spaces)).unwrap();
    encoder.finish().unwrap()
}

pub fn parked_record(poison: &Poison, event_id: &str, data: Option<&[u8]>) -> String {
    let what = ParkedWork::Record {
        event_id: event_id.to_owned(),
        stream_arn: Some(STREAM.to_owned()),
        region: None,
        partition_key: Some("p".to_owned()),
        arrived_at: Some("1795443306.789".to_owned()),
        data: data.map(|data| STANDARD.encode(data)),
    };
    ParkedItem::new(poison.code(), poison.to_string(), SystemClock.now(), what).to_json()
}

/// A message to Slack that was refused.
pub fn parked_message(alerts: u64) -> String {
    let tally = Tally {
        alerts,
        other: alerts,
        markers: [("[ALERT]".to_owned(), alerts)].into(),
        ..Tally::default()
    };
    let (route, target) = ("alerts".parse().unwrap(), "slack:default".parse().unwrap());
    let message = ParkedMessage::of(&Digest::new(&route, &target, None, (1, 2), tally));
    let what = ParkedWork::Message(Box::new(message));
    ParkedItem::new(
        ParkCode::Refused,
        "Slack answered 410: channel_is_archived",
        SystemClock.now(),
        what,
    )
    .to_json()
}

pub fn unstorable() -> Poison {
    Poison::Unstorable("once".to_owned())
}

/// The dead letter of a batch that the event source mapping gave up on.
pub fn given_up(shard: &str, first: &str, last: &str, records: usize) -> String {
    json!({
        "requestContext": {
            "requestId": "r",
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:stentor-consumer",
            "condition": "RecordAgeExceeded",
            "approximateInvokeCount": 7,
        },
        "version": "1.0",
        "timestamp": SystemClock.now().iso(),
        "KinesisBatchInfo": {
            "shardId": shard,
            "startSequenceNumber": first,
            "endSequenceNumber": last,
            "approximateArrivalOfFirstRecord": "2026-11-23T14:15:06Z",
            "approximateArrivalOfLastRecord": "2026-11-23T14:15:07Z",
            "batchSize": records,
            "streamArn": STREAM,
        },
    })
    .to_string()
}

/// The dead letter of an asynchronous invocation that failed its retries.
pub fn failed_invocation(id: &str) -> String {
    json!({
        "version": "1.0",
        "timestamp": SystemClock.now().iso(),
        "requestContext": {
            "requestId": "r",
            "functionArn": "arn:aws:lambda:us-east-1:123456789012:function:stentor-consumer:$LATEST",
            "condition": "RetriesExhausted",
            "approximateInvokeCount": 3,
        },
        "requestPayload": {"awslogs": {"data": STANDARD.encode(gzip(id, 0))}},
        "responseContext": {"statusCode": 200, "executedVersion": "$LATEST", "functionError": "Unhandled"},
    })
    .to_string()
}
