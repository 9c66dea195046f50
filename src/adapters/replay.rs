//! Where dead letters and the records they point to come from: an SQS queue, a local file, a Kinesis stream.

#[cfg(feature = "cli")]
pub mod file;
#[cfg(feature = "cli")]
pub mod kinesis;
#[cfg(feature = "aws")]
pub mod sqs;
