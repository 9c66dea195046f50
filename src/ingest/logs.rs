//! A message of a CloudWatch Logs subscription, as values.

use std::borrow::Cow;

/// What a subscription sent: log events, or a sign of life.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message<'t> {
    Data(LogBatch<'t>),
    /// `CONTROL_MESSAGE`: CloudWatch Logs checks whether the destination can be reached.
    Control,
}

/// The log events of one stream, in the order they were sent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogBatch<'t> {
    /// Account that owns the log group.
    pub owner: Cow<'t, str>,
    pub log_group: Cow<'t, str>,
    pub log_stream: Cow<'t, str>,
    pub events: Vec<LogEvent<'t>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEvent<'t> {
    pub id: Cow<'t, str>,
    /// Milliseconds since 1970, as the producer said.
    pub timestamp: i64,
    pub message: Cow<'t, str>,
    /// `@aws.account` and `@aws.region`, where the subscription emits system fields.
    pub account: Option<Cow<'t, str>>,
    pub region: Option<Cow<'t, str>>,
}
