//! The answer of an invocation: the response that the trigger expects, or an error.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use thiserror::Error;

use crate::ingest::event::EventError;
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::store::StoreError;

/// The invocation fails, and Lambda retries it as a whole.
#[derive(Debug, Error)]
pub enum FunctionError {
    #[error(transparent)]
    Event(#[from] EventError),
    /// Records need a retry, and none of them has a sequence number for Lambda.
    #[error("{0} records need a retry but have no sequence number; the first: {1}")]
    Unnamed(usize, Box<RetryReason>),
    /// Without a due queue a notifier would close windows too early.
    #[error("the event is for a notifier, but DUE_QUEUE_URL is not set")]
    NoDueQueue,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FunctionError {
    /// A stable kebab-case word. It is the `errorType` of the invocation, for alarms and searches.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Event(error) => error.code(),
            Self::Unnamed(..) => "records-unnamed",
            Self::NoDueQueue => "no-due-queue",
            Self::Store(error) => error.code(),
        }
    }
}

/// The answer to a batch or to due messages.
#[derive(Debug, Default, Serialize)]
pub(super) struct Answer {
    /// The state of a tumbling window, returned unchanged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Box<RawValue>>,
    #[serde(rename = "batchItemFailures")]
    pub failures: Vec<ItemFailure>,
}

/// An item to retry: a message of a queue, or a record of a stream with all records after it.
#[derive(Debug, Serialize)]
pub(super) struct ItemFailure {
    #[serde(rename = "itemIdentifier")]
    pub item: String,
}

/// An answer of the function.
pub fn json(answer: &impl Serialize) -> Box<RawValue> {
    to_raw_value(answer).expect("invariant: an answer is plain JSON data")
}
