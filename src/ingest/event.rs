//! The event of an invocation, as values. The payload is parsed borrowed and record by record, so
//! that a record that makes no sense is a value among the others and never an error of the whole
//! batch. (`aws_lambda_events` fails the batch for one bad base64 text and copies everything.)

use std::borrow::Cow;
use std::fmt;

use aws_lambda_events::sqs::{SqsEvent, SqsMessage};
use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;
use thiserror::Error;

use crate::ingest::json::{json_problem, text};
use crate::ingest::lines::LineRecord;
use crate::ingest::logs::Message;
use crate::model::time::Timestamp;

mod fast_path;

/// The event of an invocation.
#[derive(Debug)]
pub enum Event<'a> {
    /// Records of a stream, or of a direct subscription.
    Batch(Batch<'a>),
    /// Messages of the due queue.
    Due(Vec<DueMessage>),
    /// The schedule: look at every route.
    Sweep,
}

/// A message of the due queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueMessage {
    /// The id that reports a partial failure.
    pub message_id: String,
    /// The handle that changes its visibility.
    pub receipt: String,
    /// How often it was received, this time included.
    pub receives: u32,
    pub sent_at: Option<Timestamp>,
    pub body: String,
}

/// The records of one invocation, in the order of the shard.
#[derive(Debug, Default)]
pub struct Batch<'a> {
    pub records: Vec<Record<'a>>,
    /// The state of a tumbling window, which has to be handed back to the letter. Its presence says
    /// that there is one.
    pub window_state: Option<Box<RawValue>>,
}

/// The context of an invocation.
#[derive(Clone, Copy, Debug, Default)]
pub struct Context<'c> {
    /// Names the event: the request id in a function, the path on a command line. A direct
    /// subscription has no other name.
    pub name: &'c str,
    /// The Region that this runs in. CloudWatch Logs subscribes functions of its own Region only,
    /// so a direct subscription comes from there.
    pub region: Option<&'c str>,
    /// More records are an error: Lambda never sends them, and reading them would take memory and
    /// time.
    pub records_max: Option<usize>,
}

/// The largest batch size of a mapping.
pub const BATCH_RECORDS_MAX: usize = 10_000;

/// One record: where it came from and what it holds.
#[derive(Debug)]
pub struct Record<'a> {
    /// Kinesis event id (`shardId-…:sequence number`), request id, or path.
    pub event_id: Cow<'a, str>,
    /// The number that reports partial failures; only Kinesis records have one.
    pub sequence: Option<SequenceNumber<'a>>,
    pub region: Option<Cow<'a, str>>,
    pub stream_arn: Option<Cow<'a, str>>,
    pub partition_key: Option<Cow<'a, str>>,
    /// `approximateArrivalTimestamp` as Kinesis wrote it: seconds, with or without a fraction.
    pub arrived_at: Option<Cow<'a, str>>,
    pub data: Data<'a>,
}

/// The content of a record.
#[derive(Debug)]
pub enum Data<'a> {
    /// A gzip stream in base64, as subscriptions deliver it.
    Base64(Cow<'a, str>),
    /// Log events that never were packed.
    Message(Message<'a>),
    /// Lines of plain files and standard input.
    Lines(LineRecord<'a>),
    /// The JSON text of a subscription message.
    Json(Cow<'a, [u8]>),
    /// The record has no data that could be read; why.
    Missing(String),
}

/// The sequence number of a Kinesis record, never empty. An empty or unknown one in an answer makes
/// Lambda fail the whole batch, so only what came in with a record can go out.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct SequenceNumber<'a>(Cow<'a, str>);

/// The payload is not an event that this program takes.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EventError {
    #[error("the event is not JSON: {problem} at line {line}, column {column}")]
    NotJson { problem: &'static str, line: usize, column: usize },
    #[error(
        "the event is neither a Kinesis event (Records[].kinesis) nor a CloudWatch Logs subscription (awslogs.data)"
    )]
    Unknown,
    #[error("the event has {records} records; Lambda sends at most {BATCH_RECORDS_MAX}")]
    TooManyRecords { records: usize },
    #[error(
        "the event is for a notifier: messages of a due queue, or the sweep; it has no records"
    )]
    ForNotifier,
    /// It comes from a queue, and a message of it has no name to be answered by.
    #[error("the event comes from SQS, but a message of it has no messageId")]
    UnnamedMessage,
}

impl EventError {
    /// The stable code of the variant.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotJson { .. } => "event-not-json",
            Self::Unknown => "event-unknown",
            Self::ForNotifier => "event-for-notifier",
            Self::UnnamedMessage => "event-unnamed-message",
            Self::TooManyRecords { .. } => "event-too-many-records",
        }
    }
}

/// Reads what a function is invoked with.
///
/// # Errors
/// When the payload as a whole is no JSON object, of no known shape, or too large. Single bad
/// records are values.
pub fn read<'a, 'c>(
    payload: &'a str,
    context: impl Into<Context<'c>>,
) -> Result<Event<'a>, EventError> {
    let context = context.into();
    let Some(batch) = fast_path::parse(payload) else { return any(payload, context) };
    context.check(batch.records.len())?;
    Ok(Event::Batch(batch))
}

/// Reads an event of any shape.
fn any<'a>(payload: &'a str, context: Context<'_>) -> Result<Event<'a>, EventError> {
    #[derive(Deserialize)]
    struct Envelope<'a> {
        #[serde(borrow, rename = "Records")]
        records: Option<Vec<&'a RawValue>>,
        #[serde(borrow)]
        awslogs: Option<&'a RawValue>,
        #[serde(borrow)]
        window: Option<&'a RawValue>,
        state: Option<Box<RawValue>>,
        stentor: Option<Value>,
    }
    let envelope: Envelope<'a> = serde_json::from_str(payload).map_err(|e| not_an_event(&e))?;
    let window_state = envelope.window.map(|_| envelope.state.unwrap_or_else(no_state));
    let records = match envelope {
        Envelope { records: Some(records), .. } if is_from_sqs(&records) => {
            context.check(records.len())?;
            return due_messages(payload).map(Event::Due);
        }
        Envelope { records: Some(records), .. } => {
            context.check(records.len())?;
            records.into_iter().enumerate().map(|(i, raw)| kinesis(raw, context.name, i)).collect()
        }
        Envelope { awslogs: Some(awslogs), .. } => vec![subscription(awslogs, context)],
        Envelope { stentor: Some(what), .. } if what == "sweep" => return Ok(Event::Sweep),
        _ => return Err(EventError::Unknown),
    };
    Ok(Event::Batch(Batch { records, window_state }))
}

/// The state of a window that has none yet.
fn no_state() -> Box<RawValue> {
    RawValue::from_string("{}".to_owned()).expect("invariant: it is JSON")
}

impl<'c> From<&'c str> for Context<'c> {
    /// A name, and nothing else.
    fn from(name: &'c str) -> Self {
        Self { name, ..Self::default() }
    }
}

impl Context<'_> {
    fn check(&self, records: usize) -> Result<(), EventError> {
        match self.records_max {
            Some(max) if records > max => Err(EventError::TooManyRecords { records }),
            _ => Ok(()),
        }
    }
}

/// Reads a payload that has to be a batch.
///
/// # Errors
/// As [`read`], and when it is an event of another kind.
pub fn parse<'a, 'c>(
    payload: &'a str,
    context: impl Into<Context<'c>>,
) -> Result<Batch<'a>, EventError> {
    match read(payload, context)? {
        Event::Batch(batch) => Ok(batch),
        Event::Due(_) | Event::Sweep => Err(EventError::ForNotifier),
    }
}

/// All records of an event come from one source.
fn is_from_sqs(records: &[&RawValue]) -> bool {
    #[derive(Deserialize)]
    struct Source<'a> {
        #[serde(borrow, rename = "eventSource")]
        source: Option<&'a RawValue>,
    }
    let source = |raw: &RawValue| {
        serde_json::from_str::<Source<'_>>(raw.get())
            .ok()?
            .source
            .and_then(text)
            .map(Cow::into_owned)
    };
    records.first().and_then(|raw| source(raw)).is_some_and(|source| source == "aws:sqs")
}

fn due_messages(payload: &str) -> Result<Vec<DueMessage>, EventError> {
    let event: SqsEvent = serde_json::from_str(payload).map_err(|error| not_an_event(&error))?;
    let message = |message: SqsMessage| {
        let attribute = |name| message.attributes.get(name);
        let receives = attribute("ApproximateReceiveCount").and_then(|count| count.parse().ok());
        let sent_at = attribute("SentTimestamp").and_then(|millis| millis.parse().ok());
        Ok(DueMessage {
            message_id: message
                .message_id
                .filter(|id| !id.is_empty())
                .ok_or(EventError::UnnamedMessage)?,
            receipt: message.receipt_handle.unwrap_or_default(),
            receives: receives.unwrap_or(1),
            sent_at: sent_at.map(Timestamp::from_millis),
            body: message.body.unwrap_or_default(),
        })
    };
    event.records.into_iter().map(message).collect()
}

fn not_an_event(error: &serde_json::Error) -> EventError {
    match json_problem(error) {
        Some(problem) => {
            EventError::NotJson { problem, line: error.line(), column: error.column() }
        }
        None => EventError::Unknown,
    }
}

fn kinesis<'a>(raw: &'a RawValue, invocation: &str, index: usize) -> Record<'a> {
    // Every field is optional and of any type: what we do not need must never fail a record.
    #[derive(Deserialize)]
    struct Outer<'a> {
        #[serde(borrow, rename = "eventID")]
        event_id: Option<&'a RawValue>,
        #[serde(borrow, rename = "awsRegion")]
        region: Option<&'a RawValue>,
        #[serde(borrow, rename = "eventSourceARN")]
        stream_arn: Option<&'a RawValue>,
        #[serde(borrow)]
        kinesis: Option<&'a RawValue>,
    }
    #[derive(Default, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Inner<'a> {
        #[serde(borrow)]
        sequence_number: Option<&'a RawValue>,
        #[serde(borrow)]
        partition_key: Option<&'a RawValue>,
        #[serde(borrow)]
        approximate_arrival_timestamp: Option<&'a RawValue>,
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let outer: Option<Outer<'a>> = serde_json::from_str(raw.get()).ok();
    let inner: Inner<'a> = outer
        .as_ref()
        .and_then(|outer| serde_json::from_str(outer.kinesis?.get()).ok())
        .unwrap_or_default();
    let outer = outer.as_ref();
    let sequence = inner.sequence_number.and_then(text).and_then(SequenceNumber::new);
    let event_id = outer.and_then(|o| o.event_id).and_then(text);
    Record {
        event_id: event_id.unwrap_or_else(|| Cow::Owned(format!("{invocation}#{index}"))),
        sequence,
        region: outer.and_then(|o| o.region).and_then(text),
        stream_arn: outer.and_then(|o| o.stream_arn).and_then(text),
        partition_key: inner.partition_key.and_then(text),
        arrived_at: inner.approximate_arrival_timestamp.map(|raw| Cow::Borrowed(raw.get())),
        data: match inner.data.and_then(text) {
            Some(data) => Data::Base64(data),
            None => Data::Missing("the record has no text at kinesis.data".to_owned()),
        },
    }
}

fn subscription<'a>(awslogs: &'a RawValue, context: Context<'_>) -> Record<'a> {
    #[derive(Deserialize)]
    struct AwsLogs<'a> {
        #[serde(borrow)]
        data: Option<&'a RawValue>,
    }
    let data = serde_json::from_str::<AwsLogs<'a>>(awslogs.get())
        .ok()
        .and_then(|logs| logs.data)
        .and_then(text);
    let data = data.map_or_else(
        || Data::Missing("the event has no text at awslogs.data".to_owned()),
        Data::Base64,
    );
    let region = context.region.map(|region| Cow::Owned(region.to_owned()));
    Record { region, ..Record::named(context.name.to_owned(), data) }
}

impl Batch<'_> {
    /// The shard of the batch (a Kinesis batch is of one shard): what stands before the sequence
    /// number.
    pub fn shard_id(&self) -> Option<&str> {
        let first = self.records.iter().find(|record| record.sequence.is_some())?;
        first.event_id.split_once(':').map(|(shard, _)| shard)
    }
}

impl<'a> Record<'a> {
    /// When the stream got it, if the event says it.
    pub fn arrival(&self) -> Option<Timestamp> {
        let seconds: f64 = self.arrived_at.as_deref()?.parse().ok()?;
        Some(Timestamp::from_millis((seconds * 1000.0) as i64))
    }

    /// A record that is known by a name only: nothing can be reported of it by sequence number.
    pub fn named(event_id: String, data: Data<'a>) -> Self {
        Self {
            event_id: Cow::Owned(event_id),
            sequence: None,
            region: None,
            stream_arn: None,
            partition_key: None,
            arrived_at: None,
            data,
        }
    }
}

impl<'a> SequenceNumber<'a> {
    /// `None` for an empty text.
    pub fn new(number: Cow<'a, str>) -> Option<Self> {
        (!number.is_empty()).then_some(Self(number))
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for SequenceNumber<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_shapes_are_told_apart() {
        let kinesis = r#"{"Records":[{"eventID":"shardId-0:49","awsRegion":"eu-west-1","kinesis":{"sequenceNumber":"49","data":"YQ\/=","approximateArrivalTimestamp":1.5}}]}"#;
        let batch = parse(kinesis, "request").expect("a Kinesis event");
        let record = &batch.records[0];
        assert_eq!(
            (record.event_id.as_ref(), record.sequence.as_ref().map(SequenceNumber::as_str)),
            ("shardId-0:49", Some("49"))
        );
        assert_eq!(
            (record.region.as_deref(), record.arrived_at.as_deref()),
            (Some("eu-west-1"), Some("1.5"))
        );
        assert!(matches!(&record.data, Data::Base64(data) if data == "YQ/="));

        let batch = parse(r#"{"awslogs":{"data":"YQ=="}}"#, "request-7").expect("a subscription");
        assert_eq!(batch.records[0].event_id, "request-7");
        assert!(batch.records[0].sequence.is_none());
        assert!(parse(r#"{"Records":[]}"#, "").expect("an empty batch").records.is_empty());
    }

    #[test]
    fn a_queue_and_the_schedule_are_told_by_their_shape() {
        let sqs = r#"{"Records":[{"messageId":"m-1","receiptHandle":"h","body":"{}","attributes":{"ApproximateReceiveCount":"3","SentTimestamp":"1762161300000"},
            "messageAttributes":{},"eventSource":"aws:sqs","eventSourceARN":"arn","awsRegion":"eu-west-1"}]}"#;
        let Ok(Event::Due(messages)) = read(sqs, "") else { panic!("messages of a queue") };
        let expected = DueMessage {
            message_id: "m-1".into(),
            receipt: "h".into(),
            receives: 3,
            sent_at: Some(Timestamp::from_millis(1_762_161_300_000)),
            body: "{}".into(),
        };
        assert_eq!(messages, [expected]);
        let unnamed =
            r#"{"Records":[{"eventSource":"aws:sqs","attributes":{},"messageAttributes":{}}]}"#;
        assert_eq!(read(unnamed, "").map(drop), Err(EventError::UnnamedMessage));
        assert!(matches!(read(r#"{"stentor":"sweep"}"#, ""), Ok(Event::Sweep)));
        assert!(matches!(read(r#"{"Records":[]}"#, ""), Ok(Event::Batch(_))));
        assert_eq!(read("{}", "").map(drop), Err(EventError::Unknown));
        assert_eq!(read("[", "").map(drop), parse("[", "").map(drop));
    }

    #[test]
    fn a_record_that_makes_no_sense_is_a_value_among_the_others() {
        let odd = [
            "7",
            "null",
            "{}",
            r#"{"kinesis":null}"#,
            r#"{"kinesis":{"data":7,"sequenceNumber":""}}"#,
            r#"{"eventID":[],"awsRegion":{},"kinesis":{"sequenceNumber":"9"}}"#,
        ];
        let payload = format!(
            r#"{{"Records":[{},{{"kinesis":{{"data":"YQ==","sequenceNumber":"5"}}}}]}}"#,
            odd.join(",")
        );
        let batch = parse(&payload, "request").expect("the batch stands");
        assert_eq!(batch.records.len(), odd.len() + 1);
        assert!(batch.records[..odd.len()].iter().all(|r| matches!(r.data, Data::Missing(_))));
        assert_eq!(batch.records[5].sequence.as_ref().map(SequenceNumber::as_str), Some("9"));
        assert_eq!(
            batch.records[4].sequence, None,
            "an empty sequence number would fail the whole batch"
        );
        assert!(matches!(batch.records[odd.len()].data, Data::Base64(_)));
    }

    #[test]
    fn a_direct_subscription_comes_from_the_region_of_its_function() {
        let context = Context { name: "request", region: Some("eu-west-1"), ..Context::default() };
        let region = |payload: &str| {
            parse(payload, context).unwrap().records[0].region.as_deref().map(str::to_owned)
        };
        assert_eq!(region(r#"{"awslogs":{"data":"YQ=="}}"#).as_deref(), Some("eu-west-1"));
        let kinesis = r#"{"Records":[{"awsRegion":"us-east-1","kinesis":{"sequenceNumber":"1","data":"YQ=="}}]}"#;
        assert_eq!(
            region(kinesis).as_deref(),
            Some("us-east-1"),
            "that of the stream, where there is one"
        );
        assert_eq!(parse(r#"{"awslogs":{"data":""}}"#, "request").unwrap().records[0].region, None);
    }

    #[test]
    fn more_records_than_lambda_sends_are_an_error_before_any_is_read() {
        let context = Context { records_max: Some(2), ..Context::default() };
        let usual = r#"{"kinesis":{"partitionKey":"p","sequenceNumber":"1","data":"YQ==","approximateArrivalTimestamp":1.5},"eventID":"s:1","awsRegion":"r","eventSourceARN":"a"}"#;
        let sqs = r#"{"messageId":"m","body":"","attributes":{},"messageAttributes":{},"eventSource":"aws:sqs"}"#;
        for record in ["[]", usual, sqs] {
            let read = |n| {
                read(&format!(r#"{{"Records":[{}]}}"#, vec![record; n].join(",")), context)
                    .map(drop)
            };
            assert_eq!(read(2), Ok(()), "{record}");
            assert_eq!(read(3), Err(EventError::TooManyRecords { records: 3 }), "{record}");
        }
    }

    #[test]
    fn a_payload_of_no_known_shape_is_an_error_that_quotes_nothing() {
        assert_eq!(parse("{}", "").map(drop), Err(EventError::Unknown));
        assert_eq!(parse("[1]", "").map(drop), Err(EventError::Unknown));
        assert_eq!(parse(r#"{"Records":7}"#, "").map(drop), Err(EventError::Unknown));
        assert_eq!(
            parse(r#"{"Records":["#, "").map(drop),
            Err(EventError::NotJson { problem: "it ends too early", line: 1, column: 12 })
        );
        let error = parse("{\n hunter2", "").expect_err("not JSON").to_string();
        assert!(error.contains("line 2") && !error.contains("hunter2"), "{error}");
    }
}
