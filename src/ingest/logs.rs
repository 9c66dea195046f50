//! The content of a message of a CloudWatch Logs subscription.

use std::borrow::Cow;

/// A message of a subscription.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'t> {
    Data(LogBatch<'t>),
    /// `CONTROL_MESSAGE`: CloudWatch Logs checks whether the destination is reachable.
    Control,
}

/// Log events of one log stream, in the order in which they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogBatch<'t> {
    /// The account that owns the log group.
    pub owner: Cow<'t, str>,
    pub log_group: Cow<'t, str>,
    pub log_stream: Cow<'t, str>,
    pub events: Vec<LogEvent<'t>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent<'t> {
    pub id: Cow<'t, str>,
    /// Milliseconds since 1970, from the producer.
    pub timestamp: i64,
    pub message: Cow<'t, str>,
    /// `@aws.account` and `@aws.region`, if the subscription emits system fields.
    pub account: Option<Cow<'t, str>>,
    pub region: Option<Cow<'t, str>>,
}
