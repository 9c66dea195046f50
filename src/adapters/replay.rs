//! The sources of a replay: dead letters from an SQS queue or a local file, and the records that
//! they point to from a Kinesis stream.

#[cfg(feature = "aws")]
use crate::adapters::aws::{diagnose, is_refusal};
#[cfg(feature = "aws")]
use crate::model::error::Cause;
#[cfg(feature = "aws")]
use crate::ops::replay::SourceError;

#[cfg(feature = "cli")]
pub mod file;
#[cfg(feature = "aws")]
pub mod kinesis;
#[cfg(feature = "aws")]
pub mod sqs;

/// Explains why an AWS service failed as a source. `what` names the resource, such as "the queue
/// https://…".
#[cfg(feature = "aws")]
fn source_error(cause: &Cause, what: &str) -> SourceError {
    let text = diagnose::explain(cause, what);
    match is_refusal(cause) {
        true => SourceError::Refused(text),
        false => SourceError::Unavailable(text),
    }
}
