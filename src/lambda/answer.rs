//! What an invocation answers: the response that the trigger understands, or an error.

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use thiserror::Error;

use crate::ingest::event::EventError;
use crate::protocol::store::StoreError;

/// The invocation fails as a whole and comes again as a whole.
#[derive(Debug, Error)]
pub enum FunctionError {
    #[error(transparent)]
    Event(#[from] EventError),
    /// Some records must come again, and none of them has a name that Lambda knows.
    #[error("{0} of the records must come again and cannot be named: {1}")]
    Unnamed(usize, String),
    /// A notifier without a due queue would close windows before their time.
    #[error("the event is for a notifier, and DUE_QUEUE_URL is not set")]
    NoDueQueue,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FunctionError {
    /// The word for it in Lambda's error type, by which alarms and searches tell errors apart. It never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Event(error) => error.code(),
            Self::Unnamed(..) => "RecordsUnnamed",
            Self::NoDueQueue => "NoDueQueue",
            Self::Store(error) => error.code(),
        }
    }
}

/// The answer to a batch or to due messages, as Lambda understands it.
#[derive(Debug, Default, Serialize)]
pub(super) struct Answer {
    /// The state of a tumbling window, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<Box<RawValue>>,
    #[serde(rename = "batchItemFailures")]
    pub failures: Vec<Failure>,
}

/// What must come again: a message of a queue, or the records of a stream from this one on.
#[derive(Debug, Serialize)]
pub(super) struct Failure {
    #[serde(rename = "itemIdentifier")]
    pub item: String,
}

pub(super) fn json(answer: &impl Serialize) -> Box<RawValue> {
    to_raw_value(answer).expect("invariant: an answer is plain JSON data")
}
