//! The ports of a replay: a source of dead letters, and streams from which records are read again.

use std::convert::Infallible;
use std::time::Duration;

use thiserror::Error;

use crate::model::time::Timestamp;
use crate::protocol::clock::Deadline;

/// For how long a received dead letter is hidden from other readers. A replay renews it at half
/// time, between two steps.
pub const VISIBILITY_TIMEOUT: Duration = Duration::from_secs(300);

/// Why a source of dead letters or records failed. The text says what to do about it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum SourceError {
    /// Throttled, unreachable, or damaged. A later replay may succeed.
    #[error("{0}")]
    Unavailable(String),
    /// A missing resource or permission. No replay succeeds until a person has changed something.
    #[error("{0}")]
    Refused(String),
}

impl SourceError {
    /// The stable code of the variant.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unavailable(_) => "source-unavailable",
            Self::Refused(_) => "source-refused",
        }
    }
}

/// A source of dead letters: an SQS queue, a file, or the simulator's queue.
#[trait_variant::make(Send)]
pub trait DeadLetterSource: Send + Sync {
    /// Up to `max` dead letters, which no other reader receives for [`VISIBILITY_TIMEOUT`]. An empty
    /// answer means that there are no more now.
    async fn receive(
        &self,
        max: usize,
        deadline: Deadline,
    ) -> Result<Vec<ReceivedMessage>, SourceError>;

    /// Deletes dead letters. Returns one answer for each receipt, in their order.
    async fn delete(
        &self,
        receipts: &[Receipt],
        deadline: Deadline,
    ) -> Vec<Result<(), SourceError>>;

    /// Hides dead letters for `hidden_for` from now; zero makes them visible at once. A failure has no
    /// answer: the dead letter is received again, which is harmless.
    async fn hide(&self, receipts: &[Receipt], hidden_for: Duration, deadline: Deadline);
}

/// A message of a dead-letter queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReceivedMessage {
    pub receipt: Receipt,
    pub body: String,
    /// When the message was sent to the queue, if the source knows it.
    pub sent_at: Option<Timestamp>,
}

/// Identifies a received message.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Receipt {
    /// For people: the message id, or file and line.
    pub id: String,
    /// For the source: the receipt handle, or the position.
    pub receipt: String,
}

/// Reads records of a stream again.
#[trait_variant::make(Send)]
pub trait StreamReader: Send + Sync {
    /// Records of `range` in their order, from its beginning or after the sequence number `after`.
    async fn read(
        &self,
        range: &StreamRange,
        after: Option<&str>,
        deadline: Deadline,
    ) -> Result<Page, SourceError>;
}

/// Records of a shard between two sequence numbers, both included.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRange {
    pub stream_arn: String,
    pub shard_id: String,
    pub first: String,
    pub last: String,
    /// How many records the range had, if the dead letter says it.
    pub records: Option<u64>,
}

/// Some records of a range.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    pub records: Vec<StreamRecord>,
    /// Whether the range continues after these records.
    pub more: bool,
}

/// A record of a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamRecord {
    pub sequence: String,
    pub partition_key: Option<String>,
    pub arrived_at: Option<Timestamp>,
    /// Base64, as an event source mapping would deliver it.
    pub data: String,
}

/// A type for `None`, where no streams are read.
impl StreamReader for Infallible {
    async fn read(
        &self,
        _range: &StreamRange,
        _after: Option<&str>,
        _deadline: Deadline,
    ) -> Result<Page, SourceError> {
        match *self {}
    }
}

/// `None` reads no stream.
impl<R: StreamReader> StreamReader for Option<R> {
    async fn read(
        &self,
        range: &StreamRange,
        after: Option<&str>,
        deadline: Deadline,
    ) -> Result<Page, SourceError> {
        match self {
            Some(streams) => streams.read(range, after, deadline).await,
            None => Err(SourceError::Refused(format!(
                "the records are in {}, and this replay reads no stream",
                range.stream_arn
            ))),
        }
    }
}
