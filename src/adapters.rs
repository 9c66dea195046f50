//! Implementations of the protocol's ports and of the operator's: DynamoDB, SQS, Slack, SNS, Secrets Manager, the
//! embedded engine and the local data directory. An adapter knows its port and its SDK, and no other adapter's.

pub mod aws;
pub mod channels;
pub mod clock;
#[cfg(feature = "stack")]
pub mod deployed;
pub mod dynamodb;
#[cfg(feature = "cli")]
pub mod embedded;
pub mod http;
#[cfg(feature = "aws")]
pub mod inspect;
pub mod local;
mod random;
pub mod replay;
pub mod secret;
pub mod slack;
#[cfg(feature = "stack")]
pub mod sns;
#[cfg(feature = "stack")]
pub mod sqs;
