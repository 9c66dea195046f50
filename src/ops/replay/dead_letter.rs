//! What lies in the dead-letter queue, told apart by its shape: what this program parked, a due message
//! that SQS gave up on, and what Lambda reports when it gives up on a batch or an invocation. Pure: what
//! becomes of a letter is the parent's business. Nothing here quotes a letter that it cannot read.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use strum::IntoStaticStr;
use thiserror::Error;

use crate::ingest::json::{json_problem, text};
use crate::model::name::{RouteName, Target};
use crate::model::tally::Tally;
use crate::model::time::Timestamp;
use crate::model::visible;
use crate::protocol::queue::{Due, PARKED_FORMAT, ParkedItem, ParkedWork};

/// The longest body that is opened. The largest that is known is what Lambda writes into S3: an invocation's payload has
/// 6 MB, and the string that it becomes is longer by its escapes. A record of Kinesis has at most 14 MB in base64.
pub const LETTER_BYTES_MAX: usize = 32 << 20;

/// A message of the dead-letter queue, not yet opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    pub receipt: Receipt,
    pub body: String,
    /// When the queue got it.
    pub sent_at: Option<Timestamp>,
}

/// What a letter is known and settled by, without its body.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receipt {
    /// For people: the message id, or file and line.
    pub id: String,
    /// For the source: the receipt handle, or the position.
    pub receipt: String,
}

/// What kind of message a letter is; the words of `--kind`.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A record that could not be read or stored.
    Record,
    /// A message that a target refused.
    Message,
    /// A due message that was received too often.
    Due,
    /// A batch that the event source mapping gave up on.
    Batch,
    /// An asynchronous invocation that failed its retries.
    Invocation,
    Unknown,
}

/// A letter, opened.
#[derive(Debug, PartialEq)]
pub struct DeadLetter {
    pub kind: Kind,
    /// Why it was parked, as a stable word: the code that this program parked it with, the condition that Lambda
    /// reports, `received-too-often`, or why it cannot be opened.
    pub code: String,
    /// The same for people.
    pub reason: String,
    /// The account that it comes from, as far as the envelope says it.
    pub account: Option<String>,
    /// When it was put there.
    pub parked_at: Option<Timestamp>,
    pub content: Content,
}

#[derive(Debug, PartialEq)]
pub enum Content {
    /// The bytes of a record.
    Record(ParkedRecord),
    /// A place in a stream: the records have to be read from there.
    Range(Range),
    Message(ParkedMessage),
    Due(Due),
    /// The payload of an invocation.
    Payload(Payload),
    /// It is left where it is; why.
    Unknown(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedRecord {
    pub event_id: String,
    pub stream_arn: Option<String>,
    /// Of a direct subscription.
    pub region: Option<String>,
    pub partition_key: Option<String>,
    pub arrived_at: Option<String>,
    /// Base64.
    pub data: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    pub json: String,
    /// The Region of the function, as far as the envelope says it.
    pub region: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedMessage {
    pub route: RouteName,
    pub target: Target,
    pub epochs: (u64, u64),
    pub tally: Box<Tally>,
}

/// Records of a shard, from one sequence number to another, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    pub stream_arn: String,
    pub shard_id: String,
    pub first: String,
    pub last: String,
    /// How many there were.
    pub records: Option<u64>,
}

impl Kind {
    pub const ALL: [Self; 6] = [Self::Record, Self::Message, Self::Due, Self::Batch, Self::Invocation, Self::Unknown];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Record => "record",
            Self::Message => "message",
            Self::Due => "due",
            Self::Batch => "batch",
            Self::Invocation => "invocation",
            Self::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let words = || Self::ALL.map(Self::as_str).join(", ");
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| format!("a kind is one of {}", words()))
    }
}

/// Why a letter cannot be opened.
#[derive(Copy, Clone, Debug, Error, IntoStaticStr)]
#[strum(serialize_all = "kebab-case")]
enum Unreadable {
    #[error("it is longer than 32 MiB")]
    TooLong,
    #[error("it is not JSON: {0}")]
    NotJson(&'static str),
    #[error("it is not a JSON object")]
    NotAnObject,
    #[error("it has none of the shapes that are known")]
    UnknownShape,
    #[error("a later version of this program parked it")]
    LaterVersion,
    #[error("it says that this program parked it, and has not that shape")]
    NotAParkedItem,
    #[error("it names a route and is no due message")]
    NotADueMessage,
    #[error("it names no shard and sequence numbers")]
    NoRange,
}

/// The envelopes that Lambda and this program use, whichever it is. Every field is optional and of any
/// type: what we do not need must never make a letter unreadable.
#[derive(Default, Deserialize)]
struct Envelope<'b> {
    #[serde(borrow)]
    stentor: Option<&'b RawValue>,
    #[serde(borrow)]
    route: Option<&'b RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'b RawValue>,
    #[serde(borrow, rename = "requestContext")]
    context: Option<&'b RawValue>,
    #[serde(borrow, rename = "KinesisBatchInfo")]
    batch: Option<&'b RawValue>,
    /// Of an asynchronous invocation.
    #[serde(borrow, rename = "requestPayload")]
    request_payload: Option<&'b RawValue>,
    /// Of a batch, where the destination is S3.
    #[serde(borrow)]
    payload: Option<&'b RawValue>,
    /// An event as it is, without an envelope.
    #[serde(borrow, rename = "Records")]
    records: Option<&'b RawValue>,
    #[serde(borrow)]
    awslogs: Option<&'b RawValue>,
}

#[derive(Deserialize)]
struct RequestContext<'b> {
    #[serde(borrow)]
    condition: Option<&'b RawValue>,
    #[serde(borrow, rename = "functionArn")]
    function_arn: Option<&'b RawValue>,
}

/// Opens a letter. Whatever its body is, the answer is a value.
pub fn open(dead_letter: &ReceivedMessage) -> DeadLetter {
    if dead_letter.body.len() > LETTER_BYTES_MAX {
        return DeadLetter { parked_at: dead_letter.sent_at, ..unknown(Unreadable::TooLong) };
    }
    let opened = match serde_json::from_str::<Envelope<'_>>(&dead_letter.body) {
        Ok(envelope) => envelope.open(&dead_letter.body),
        Err(error) => unknown(json_problem(&error).map_or(Unreadable::NotAnObject, Unreadable::NotJson)),
    };
    DeadLetter { parked_at: opened.parked_at.or(dead_letter.sent_at), ..opened }
}

impl Envelope<'_> {
    fn open(&self, body: &str) -> DeadLetter {
        match self.stentor {
            // The schedule's own event; EventBridge Scheduler parks it as it is.
            Some(what) if what.get() == r#""sweep""# => {
                return self.given_up(Kind::Invocation, self.payload(body.to_owned()));
            }
            Some(_) => return parked(body),
            None => {}
        }
        let opened = if let Some(batch) = self.batch {
            self.batch(batch)
        } else if let Some(payload) = self.request_payload {
            self.given_up(Kind::Invocation, self.payload(json_of(payload)))
        } else if self.route.is_some() {
            due(body)
        } else if self.records.is_some() || self.awslogs.is_some() {
            self.given_up(Kind::Invocation, self.payload(body.to_owned()))
        } else {
            unknown(Unreadable::UnknownShape)
        };
        let parked_at = self.timestamp.and_then(text).and_then(|at| Timestamp::from_iso(&at));
        DeadLetter { parked_at, ..opened }
    }

    fn batch(&self, batch: &RawValue) -> DeadLetter {
        let content = match (self.payload, range(batch)) {
            (Some(payload), _) => self.payload(json_of(payload)),
            (None, Some(range)) => Content::Range(range),
            (None, None) => return unknown(Unreadable::NoRange),
        };
        let account = range(batch).and_then(|range| account_of(&range.stream_arn));
        DeadLetter { account, ..self.given_up(Kind::Batch, content) }
    }

    /// `requestContext.condition` says why Lambda gave up: `RetryAttemptsExhausted`, `RecordAgeExceeded`, …
    fn given_up(&self, kind: Kind, content: Content) -> DeadLetter {
        let condition = self.of_context(|context| context.condition).map(|condition| visible::line(&condition));
        DeadLetter {
            kind,
            code: condition.clone().unwrap_or_else(|| "given-up".to_owned()),
            reason: condition.unwrap_or_else(|| "Lambda gave up".to_owned()),
            account: self.function_arn().and_then(|arn| account_of(&arn)),
            parked_at: None,
            content,
        }
    }

    fn payload(&self, json: String) -> Content {
        Content::Payload(Payload { json, region: self.function_arn().and_then(|arn| region_of(&arn)) })
    }

    fn function_arn(&self) -> Option<String> {
        self.of_context(|context| context.function_arn)
    }

    /// A text of `requestContext`.
    fn of_context(&self, field: impl for<'c> Fn(&RequestContext<'c>) -> Option<&'c RawValue>) -> Option<String> {
        let context: RequestContext<'_> = serde_json::from_str(self.context?.get()).ok()?;
        field(&context).and_then(text).map(Cow::into_owned)
    }
}

fn parked(body: &str) -> DeadLetter {
    let parked = match ParkedItem::from_json(body) {
        Ok(parked) if parked.stentor <= PARKED_FORMAT => parked,
        Ok(_) => return unknown(Unreadable::LaterVersion),
        Err(_) => return unknown(Unreadable::NotAParkedItem),
    };
    let (kind, account, content) = match parked.what {
        ParkedWork::Record { event_id, stream_arn, region, partition_key, arrived_at, data } => {
            let account = stream_arn.as_deref().and_then(account_of);
            let content = match data {
                Some(data) => {
                    Content::Record(ParkedRecord { event_id, stream_arn, region, partition_key, arrived_at, data })
                }
                None => place_of(&event_id, stream_arn),
            };
            (Kind::Record, account, content)
        }
        ParkedWork::Message { route, target, epochs: [from, to], tally } => {
            let account = match tally.accounts.seen.len() {
                1 if tally.accounts.other == 0 => tally.accounts.seen.keys().next().cloned(),
                _ => None,
            };
            (Kind::Message, account, Content::Message(ParkedMessage { route, target, epochs: (from, to), tally }))
        }
    };
    let parked_at = Timestamp::from_iso(&parked.parked_at);
    let (code, reason) = (visible::line(&parked.code), visible::line(&parked.reason));
    DeadLetter { kind, code, reason, account, parked_at, content }
}

/// Where a record lies whose bytes did not fit a queue message: its event id is `shardId-…:sequence number`.
fn place_of(event_id: &str, stream_arn: Option<String>) -> Content {
    match (event_id.split_once(':'), stream_arn) {
        (Some((shard, sequence)), Some(stream_arn)) => Content::Range(Range {
            stream_arn,
            shard_id: shard.to_owned(),
            first: sequence.to_owned(),
            last: sequence.to_owned(),
            records: Some(1),
        }),
        _ => Content::Unknown("its bytes were left out, and it names no place in a stream".to_owned()),
    }
}

fn due(body: &str) -> DeadLetter {
    match serde_json::from_str(body) {
        Ok(due) => DeadLetter {
            kind: Kind::Due,
            code: "received-too-often".to_owned(),
            reason: "received too often".to_owned(),
            account: None,
            parked_at: None,
            content: Content::Due(due),
        },
        Err(_) => unknown(Unreadable::NotADueMessage),
    }
}

fn range(batch: &RawValue) -> Option<Range> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct BatchInfo {
        stream_arn: String,
        shard_id: String,
        start_sequence_number: String,
        end_sequence_number: String,
        batch_size: Option<u64>,
    }
    let info: BatchInfo = serde_json::from_str(batch.get()).ok()?;
    Some(Range {
        stream_arn: info.stream_arn,
        shard_id: info.shard_id,
        first: info.start_sequence_number,
        last: info.end_sequence_number,
        records: info.batch_size,
    })
}

/// A payload is an object, or a text that holds one.
fn json_of(payload: &RawValue) -> String {
    text(payload).map_or_else(|| payload.get().to_owned(), |text| text.into_owned())
}

fn unknown(why: Unreadable) -> DeadLetter {
    DeadLetter {
        kind: Kind::Unknown,
        code: <&str>::from(why).to_owned(),
        reason: why.to_string(),
        account: None,
        parked_at: None,
        content: Content::Unknown(why.to_string()),
    }
}

/// The account in `arn:aws:kinesis:eu-west-1:123456789012:stream/logs`.
fn account_of(arn: &str) -> Option<String> {
    part(arn, 4)
}

/// The Region of an ARN.
pub(super) fn region_of(arn: &str) -> Option<String> {
    part(arn, 3)
}

fn part(arn: &str, n: usize) -> Option<String> {
    arn.split(':').nth(n).filter(|part| !part.is_empty()).map(visible::line)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn opened(body: &str) -> DeadLetter {
        let receipt = Receipt { id: "1".into(), receipt: "1".into() };
        open(&ReceivedMessage { receipt, body: body.into(), sent_at: Some(Timestamp::from_millis(5)) })
    }

    const BATCH: &str = r#"{"requestContext":{"requestId":"r","functionArn":"arn:aws:lambda:eu-west-1:123456789012:function:f",
        "condition":"RecordAgeExceeded","approximateInvokeCount":9},"version":"1.0","timestamp":"2026-11-23T14:15:06.789Z",
        "KinesisBatchInfo":{"shardId":"shardId-000000000001","startSequenceNumber":"49001","endSequenceNumber":"49007",
        "approximateArrivalOfFirstRecord":"2026-11-22T14:15:06Z","approximateArrivalOfLastRecord":"2026-11-22T14:16:06Z",
        "batchSize":7,"streamArn":"arn:aws:kinesis:eu-west-1:222222222222:stream/logs"}}"#;

    #[test]
    fn every_kind_is_told_by_its_shape() {
        let record = r#"{"stentor":2,"code":"not-gzip","reason":"odd","parked_at":"2026-11-23T14:15:06.789Z","kind":"record","event_id":"shardId-0:7","stream_arn":"arn:aws:kinesis:eu-west-1:222222222222:stream/logs"DATA}"#;
        let with_data = record.replace("DATA", r#","data":"YQ==""#);
        let s3 = BATCH.replacen('{', r#"{"payload":"{\"Records\":[]}","#, 1);
        let s3_object = BATCH.replacen('{', r#"{"payload":{"Records":[]},"#, 1);
        let invocation = r#"{"requestContext":{"condition":"RetriesExhausted"},"requestPayload":{"awslogs":{"data":"x"}},"responsePayload":{}}"#;
        let check = |body: &str, kind: Kind, code: &str, content: &str| {
            let opened = opened(body);
            let shown = format!("{:?}", opened.content);
            assert_eq!((opened.kind, &*opened.code), (kind, code), "{body}");
            assert!(shown.starts_with(content), "{shown}\n{body}");
        };
        check(&with_data, Kind::Record, "not-gzip", "Record(");
        check(&record.replace("DATA", ""), Kind::Record, "not-gzip", "Range(Range { stream_arn: \"arn:aws:kinesis");
        let version_1 = with_data.replace(r#":2,"code":"not-gzip","reason":""#, r#":1,"reason":"not-gzip: "#);
        check(&version_1, Kind::Record, "not-gzip", "Record(");
        assert_eq!(opened(&version_1), opened(&with_data));
        check(&with_data.replace(":2,", ":3,"), Kind::Unknown, "later-version", "Unknown(");
        check(BATCH, Kind::Batch, "RecordAgeExceeded", "Range(");
        check(
            &s3,
            Kind::Batch,
            "RecordAgeExceeded",
            "Payload(Payload { json: \"{\\\"Records\\\":[]}\", region: Some(\"eu-west-1\") }",
        );
        check(
            &s3_object,
            Kind::Batch,
            "RecordAgeExceeded",
            "Payload(Payload { json: \"{\\\"Records\\\":[]}\", region: Some(\"eu-west-1\") }",
        );
        check(invocation, Kind::Invocation, "RetriesExhausted", "Payload(Payload { json: \"{\\\"awslogs");
        check(r#"{"awslogs":{"data":"x"}}"#, Kind::Invocation, "given-up", "Payload(");
        check(r#"{"stentor":"sweep"}"#, Kind::Invocation, "given-up", "Payload(");
        check(r#"{"route":"alerts","window":3}"#, Kind::Due, "received-too-often", "Due(");
        check(r#"{"route":"alerts"}"#, Kind::Unknown, "not-a-due-message", "Unknown(");
        check(r#"{"stentor":1}"#, Kind::Unknown, "not-a-parked-item", "Unknown(");
        check("{}", Kind::Unknown, "unknown-shape", "Unknown(");
        check("[1]", Kind::Unknown, "not-an-object", "Unknown(");
        check("hunter2", Kind::Unknown, "not-json", "Unknown(\"it is not JSON: a syntax error\")");
    }

    #[test]
    fn account_and_time_come_from_the_envelope_or_from_the_queue() {
        let batch = opened(BATCH);
        assert_eq!(batch.account.as_deref(), Some("222222222222"));
        assert_eq!(batch.parked_at.map(Timestamp::as_millis), Some(1_795_443_306_789));
        assert_eq!(opened("{}").parked_at, Some(Timestamp::from_millis(5)));
    }
}
