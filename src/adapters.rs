//! Implementations of the ports of the protocol and of the operator's commands: DynamoDB, SQS,
//! Secrets Manager, Kinesis, the embedded engine, local files, and each kind of target.
//!
//! An adapter knows its port and its SDK, and not the SDK of another. It takes the time from the
//! clock that it is given.

pub mod access;
pub mod attempt;
pub mod aws;
pub mod chat;
pub mod clock;
mod content_hash;
pub mod database;
pub mod discord;
pub mod dynamodb;
#[cfg(feature = "cli")]
pub mod embedded;
#[cfg(feature = "cli")]
pub mod erase;
pub mod google_chat;
pub mod http;
pub mod incident;
#[cfg(feature = "aws")]
pub mod inspect;
pub mod jira;
pub mod jsm;
#[cfg(feature = "cli")]
pub mod local;
#[cfg(feature = "aws")]
pub mod log_line;
pub mod mattermost;
mod noted_lag;
mod packed;
pub mod pagerduty;
#[cfg(feature = "export")]
pub mod parquet;
#[cfg(feature = "postgres")]
pub mod postgres;
pub mod random;
pub mod replay;
#[cfg(feature = "aws")]
pub mod s3;
pub mod secret;
#[cfg(feature = "stack")]
pub mod services;
pub mod slack;
pub mod sns;
#[cfg(feature = "stack")]
pub mod sqs;
#[cfg(feature = "aws")]
pub mod stack;
pub mod targets;
pub mod teams;
#[cfg(test)]
mod tests;
pub mod webhook;
