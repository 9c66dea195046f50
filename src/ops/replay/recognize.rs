//! A dead letter, recognized by its shape: a record or message that Stentor parked, a due message
//! that SQS gave up on, or a batch or invocation that Lambda gave up on. Pure. No text here quotes
//! a body that cannot be read, which may hold a secret.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use strum::{Display, EnumString, IntoStaticStr, VariantNames};
use thiserror::Error;

use super::source::{ReceivedMessage, StreamRange};
use crate::ingest::json::{json_problem, text};
use crate::model::time::Timestamp;
use crate::model::visible;
use crate::protocol::dead_letter::{PARKED_FORMAT, ParkedItem, ParkedMessage, ParkedWork};
use crate::protocol::queue::Due;

/// The longest body that is read. The longest known one is an object that Lambda writes to S3: the
/// payload of an invocation has up to 6 MB, and more as an escaped JSON string. A Kinesis record
/// has at most 14 MB in base64.
pub const BODY_BYTES_MAX: usize = 32 << 20;

/// The kind of a dead letter, as `--kind` takes it.
#[derive(
    Copy,
    Clone,
    Debug,
    Display,
    EnumString,
    IntoStaticStr,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    VariantNames,
)]
#[serde(rename_all = "kebab-case")]
#[strum(serialize_all = "kebab-case")]
pub enum DeadLetterKind {
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
    /// A message of no known shape.
    Unknown,
}

/// A dead letter whose body has been read.
#[derive(Debug, PartialEq)]
pub struct DeadLetter {
    pub kind: DeadLetterKind,
    /// Why it was parked, as a stable word: the code that Stentor parked it with, the condition
    /// that Lambda reports (`RecordAgeExceeded`), `received-too-often`, `given-up`, or a code of
    /// [`Unrecognized`].
    pub code: String,
    /// The same for people.
    pub reason: String,
    /// The account that it comes from, if the envelope says it.
    pub account: Option<String>,
    pub parked_at: Option<Timestamp>,
    pub content: DeadLetterContent,
}

/// The work in a dead letter.
#[derive(Debug, PartialEq)]
pub enum DeadLetterContent {
    Record(ParkedRecord),
    /// Records that have to be read from their stream.
    Range(StreamRange),
    Message(Box<ParkedMessage>),
    Due(Due),
    /// The payload of an invocation.
    Payload(Payload),
    /// Nothing that a replay can retry.
    Unknown(Unrecognized),
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParkedRecord {
    pub event_id: String,
    pub stream_arn: Option<String>,
    /// The Region of a direct subscription. A stream has it in its ARN.
    pub region: Option<String>,
    pub partition_key: Option<String>,
    pub arrived_at: Option<String>,
    /// Base64.
    pub data: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Payload {
    pub json: String,
    /// The Region of the function, if the envelope says it.
    pub region: Option<String>,
}

/// Why a dead letter holds nothing that a replay can retry.
#[derive(Copy, Clone, Debug, Error, IntoStaticStr, PartialEq, Eq, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum Unrecognized {
    #[error("it is longer than {} MiB", BODY_BYTES_MAX >> 20)]
    TooLong,
    #[error("it is not JSON: {0}")]
    NotJson(&'static str),
    #[error("it is not a JSON object")]
    NotAnObject,
    #[error("it has no known shape")]
    UnknownShape,
    #[error("a later version of Stentor parked it")]
    LaterVersion,
    #[error("it has the field of a parked item, but not its shape")]
    NotAParkedItem,
    #[error("it names a route, but is not a due message")]
    NotADueMessage,
    #[error("it does not name a shard and sequence numbers")]
    NoRange,
    #[error("it has no data, and does not name a place in a stream")]
    NoData,
}

impl Unrecognized {
    /// A stable kebab-case word.
    pub fn code(self) -> &'static str {
        self.into()
    }
}

/// The envelopes that Lambda and Stentor use, all in one. Every field is optional and of any type:
/// a field that is not needed must not make a dead letter unreadable.
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
    /// The event of an asynchronous invocation.
    #[serde(borrow, rename = "requestPayload")]
    request_payload: Option<&'b RawValue>,
    /// The event of a batch, if the destination is S3.
    #[serde(borrow)]
    payload: Option<&'b RawValue>,
    /// An event without an envelope.
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

/// Reads the body of a dead letter. A body that cannot be read is [`DeadLetterKind::Unknown`], never an
/// error.
pub fn read(message: &ReceivedMessage) -> DeadLetter {
    if message.body.len() > BODY_BYTES_MAX {
        return DeadLetter { parked_at: message.sent_at, ..unknown(Unrecognized::TooLong) };
    }
    let dead_letter = match serde_json::from_str::<Envelope<'_>>(&message.body) {
        Ok(envelope) => envelope.read(&message.body),
        Err(error) => {
            unknown(json_problem(&error).map_or(Unrecognized::NotAnObject, Unrecognized::NotJson))
        }
    };
    DeadLetter { parked_at: dead_letter.parked_at.or(message.sent_at), ..dead_letter }
}

impl Envelope<'_> {
    fn read(&self, body: &str) -> DeadLetter {
        match self.stentor {
            // The event of the schedule, which EventBridge Scheduler parks unchanged.
            Some(event) if event.get() == r#""sweep""# => {
                return self.given_up(DeadLetterKind::Invocation, self.payload(body.to_owned()));
            }
            Some(_) => return parked(body),
            None => {}
        }
        let dead_letter = if let Some(batch) = self.batch {
            self.batch(batch)
        } else if let Some(payload) = self.request_payload {
            self.given_up(DeadLetterKind::Invocation, self.payload(json_of(payload)))
        } else if self.route.is_some() {
            due(body)
        } else if self.records.is_some() || self.awslogs.is_some() {
            self.given_up(DeadLetterKind::Invocation, self.payload(body.to_owned()))
        } else {
            unknown(Unrecognized::UnknownShape)
        };
        let parked_at = self.timestamp.and_then(text).and_then(|at| Timestamp::from_iso(&at));
        DeadLetter { parked_at, ..dead_letter }
    }

    fn batch(&self, batch: &RawValue) -> DeadLetter {
        let content = match (self.payload, range(batch)) {
            (Some(payload), _) => self.payload(json_of(payload)),
            (None, Some(range)) => DeadLetterContent::Range(range),
            (None, None) => return unknown(Unrecognized::NoRange),
        };
        let account = range(batch).and_then(|range| account_of(&range.stream_arn));
        DeadLetter { account, ..self.given_up(DeadLetterKind::Batch, content) }
    }

    /// `requestContext.condition` is why Lambda gave up: `RetryAttemptsExhausted`,
    /// `RecordAgeExceeded`.
    fn given_up(&self, kind: DeadLetterKind, content: DeadLetterContent) -> DeadLetter {
        let condition = self
            .context_text(|context| context.condition)
            .map(|condition| visible::line(&condition));
        DeadLetter {
            kind,
            code: condition.clone().unwrap_or_else(|| "given-up".to_owned()),
            reason: condition.unwrap_or_else(|| "Lambda gave up".to_owned()),
            account: self.function_arn().and_then(|arn| account_of(&arn)),
            parked_at: None,
            content,
        }
    }

    fn payload(&self, json: String) -> DeadLetterContent {
        DeadLetterContent::Payload(Payload {
            json,
            region: self.function_arn().and_then(|arn| region_of(&arn)),
        })
    }

    fn function_arn(&self) -> Option<String> {
        self.context_text(|context| context.function_arn)
    }

    /// A string of `requestContext`.
    fn context_text(
        &self,
        field: impl for<'c> Fn(&RequestContext<'c>) -> Option<&'c RawValue>,
    ) -> Option<String> {
        let context: RequestContext<'_> = serde_json::from_str(self.context?.get()).ok()?;
        field(&context).and_then(text).map(Cow::into_owned)
    }
}

fn parked(body: &str) -> DeadLetter {
    let parked = match ParkedItem::from_json(body) {
        Ok(parked) if parked.stentor <= PARKED_FORMAT => parked,
        Ok(_) => return unknown(Unrecognized::LaterVersion),
        Err(_) => return unknown(Unrecognized::NotAParkedItem),
    };
    let (kind, account, content) = match parked.what {
        ParkedWork::Record { event_id, stream_arn, region, partition_key, arrived_at, data } => {
            let account = stream_arn.as_deref().and_then(account_of);
            let content = match data {
                Some(data) => DeadLetterContent::Record(ParkedRecord {
                    event_id,
                    stream_arn,
                    region,
                    partition_key,
                    arrived_at,
                    data,
                }),
                None => place_of(&event_id, stream_arn),
            };
            (DeadLetterKind::Record, account, content)
        }
        ParkedWork::Message(message) => {
            let accounts = &message.tally.accounts;
            let account = match accounts.seen.len() {
                1 if accounts.other == 0 => accounts.seen.keys().next().cloned(),
                _ => None,
            };
            (DeadLetterKind::Message, account, DeadLetterContent::Message(message))
        }
    };
    let parked_at = Timestamp::from_iso(&parked.parked_at);
    let (code, reason) = (visible::line(&parked.code), visible::line(&parked.reason));
    DeadLetter { kind, code, reason, account, parked_at, content }
}

/// The place of a record whose bytes did not fit into a queue message. Its event id is
/// `shardId-…:sequence number`.
fn place_of(event_id: &str, stream_arn: Option<String>) -> DeadLetterContent {
    match (event_id.split_once(':'), stream_arn) {
        (Some((shard, sequence)), Some(stream_arn)) => DeadLetterContent::Range(StreamRange {
            stream_arn,
            shard_id: shard.to_owned(),
            first: sequence.to_owned(),
            last: sequence.to_owned(),
            records: Some(1),
        }),
        _ => DeadLetterContent::Unknown(Unrecognized::NoData),
    }
}

fn due(body: &str) -> DeadLetter {
    match serde_json::from_str(body) {
        Ok(due) => DeadLetter {
            kind: DeadLetterKind::Due,
            code: "received-too-often".to_owned(),
            reason: "received too often".to_owned(),
            account: None,
            parked_at: None,
            content: DeadLetterContent::Due(due),
        },
        Err(_) => unknown(Unrecognized::NotADueMessage),
    }
}

fn range(batch: &RawValue) -> Option<StreamRange> {
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
    Some(StreamRange {
        stream_arn: info.stream_arn,
        shard_id: info.shard_id,
        first: info.start_sequence_number,
        last: info.end_sequence_number,
        records: info.batch_size,
    })
}

/// A payload is an object, or a string that holds one.
fn json_of(payload: &RawValue) -> String {
    text(payload).map_or_else(|| payload.get().to_owned(), |text| text.into_owned())
}

fn unknown(why: Unrecognized) -> DeadLetter {
    DeadLetter {
        kind: DeadLetterKind::Unknown,
        code: why.code().to_owned(),
        reason: why.to_string(),
        account: None,
        parked_at: None,
        content: DeadLetterContent::Unknown(why),
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
    use super::super::source::Receipt;
    use super::*;

    fn dead_letter(body: &str) -> DeadLetter {
        let receipt = Receipt { id: "1".into(), receipt: "1".into() };
        read(&ReceivedMessage {
            receipt,
            body: body.into(),
            sent_at: Some(Timestamp::from_millis(5)),
        })
    }

    const BATCH: &str = r#"{"requestContext":{"requestId":"r","functionArn":"arn:aws:lambda:eu-west-1:123456789012:function:f",
        "condition":"RecordAgeExceeded","approximateInvokeCount":9},"version":"1.0","timestamp":"2026-11-23T14:15:06.789Z",
        "KinesisBatchInfo":{"shardId":"shardId-000000000001","startSequenceNumber":"49001","endSequenceNumber":"49007",
        "approximateArrivalOfFirstRecord":"2026-11-22T14:15:06Z","approximateArrivalOfLastRecord":"2026-11-22T14:16:06Z",
        "batchSize":7,"streamArn":"arn:aws:kinesis:eu-west-1:222222222222:stream/logs"}}"#;

    #[test]
    fn a_kind_is_recognized_by_its_shape() {
        let record = r#"{"stentor":2,"code":"not-gzip","reason":"odd","parked_at":"2026-11-23T14:15:06.789Z","kind":"record","event_id":"shardId-0:7","stream_arn":"arn:aws:kinesis:eu-west-1:222222222222:stream/logs"DATA}"#;
        let with_data = record.replace("DATA", r#","data":"YQ==""#);
        let s3 = BATCH.replacen('{', r#"{"payload":"{\"Records\":[]}","#, 1);
        let s3_object = BATCH.replacen('{', r#"{"payload":{"Records":[]},"#, 1);
        let invocation = r#"{"requestContext":{"condition":"RetriesExhausted"},"requestPayload":{"awslogs":{"data":"x"}},"responsePayload":{}}"#;
        let check = |body: &str, kind: DeadLetterKind, code: &str, content: &str| {
            let read = dead_letter(body);
            let shown = format!("{:?}", read.content);
            assert_eq!((read.kind, &*read.code), (kind, code), "{body}");
            assert!(shown.starts_with(content), "{shown}\n{body}");
        };
        check(&with_data, DeadLetterKind::Record, "not-gzip", "Record(");
        check(
            &record.replace("DATA", ""),
            DeadLetterKind::Record,
            "not-gzip",
            "Range(StreamRange { stream_arn: \"arn:aws:kinesis",
        );
        let version_1 =
            with_data.replace(r#":2,"code":"not-gzip","reason":""#, r#":1,"reason":"not-gzip: "#);
        check(&version_1, DeadLetterKind::Record, "not-gzip", "Record(");
        assert_eq!(dead_letter(&version_1), dead_letter(&with_data));
        check(
            &with_data.replace(":2,", ":3,"),
            DeadLetterKind::Unknown,
            "later-version",
            "Unknown(",
        );
        check(BATCH, DeadLetterKind::Batch, "RecordAgeExceeded", "Range(");
        check(
            &s3,
            DeadLetterKind::Batch,
            "RecordAgeExceeded",
            "Payload(Payload { json: \"{\\\"Records\\\":[]}\", region: Some(\"eu-west-1\") }",
        );
        check(
            &s3_object,
            DeadLetterKind::Batch,
            "RecordAgeExceeded",
            "Payload(Payload { json: \"{\\\"Records\\\":[]}\", region: Some(\"eu-west-1\") }",
        );
        check(
            invocation,
            DeadLetterKind::Invocation,
            "RetriesExhausted",
            "Payload(Payload { json: \"{\\\"awslogs",
        );
        check(r#"{"awslogs":{"data":"x"}}"#, DeadLetterKind::Invocation, "given-up", "Payload(");
        check(r#"{"stentor":"sweep"}"#, DeadLetterKind::Invocation, "given-up", "Payload(");
        check(
            r#"{"route":"alerts","window":3}"#,
            DeadLetterKind::Due,
            "received-too-often",
            "Due(",
        );
        check(r#"{"route":"alerts"}"#, DeadLetterKind::Unknown, "not-a-due-message", "Unknown(");
        check(r#"{"stentor":1}"#, DeadLetterKind::Unknown, "not-a-parked-item", "Unknown(");
        check("{}", DeadLetterKind::Unknown, "unknown-shape", "Unknown(");
        check("[1]", DeadLetterKind::Unknown, "not-an-object", "Unknown(");
        check(
            "hunter2",
            DeadLetterKind::Unknown,
            "not-json",
            "Unknown(NotJson(\"a syntax error\"))",
        );
    }

    #[test]
    fn account_and_time_come_from_the_envelope_or_from_the_queue() {
        let batch = dead_letter(BATCH);
        assert_eq!(batch.account.as_deref(), Some("222222222222"));
        assert_eq!(batch.parked_at.map(Timestamp::as_millis), Some(1_795_443_306_789));
        assert_eq!(dead_letter("{}").parked_at, Some(Timestamp::from_millis(5)));
    }
}
