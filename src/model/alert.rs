//! An alert: a log event that a route accepted, as it is stored and shown. Its text is redacted.
//!
//! Left to others: deciding which log events become alerts (`ingest::route`).

use std::fmt;
use std::sync::Arc;

use crate::model::app::{self, AppSource};
use crate::model::name::{RouteName, Severity};
use crate::model::pattern::Pattern;
use crate::model::statement;
use crate::model::time::Timestamp;

/// The limit of a stored message, in bytes.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// The limit of the log events on one side of an alert, in bytes.
pub const CONTEXT_BYTES_MAX: usize = 4 * 1024;

/// One alert: a row of the audit table, and one count in a tally of each of its routes. Alerts of a
/// batch share equal texts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub id: AlertId,
    pub timestamp: Timestamp,
    /// The marker that was found, as written in the configuration.
    pub marker: Arc<str>,
    /// Redacted; at most [`MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
    /// The bytes of the log event that `message` leaves out.
    pub left_out: usize,
    /// The log events around it, if the route wants them.
    pub context: Option<Box<LogContext>>,
    /// The statement of the log event if `message` leaves out any of it: what is left may not show
    /// it. Redacted.
    pub statement: Option<Box<str>>,
    pub pattern: Pattern,
    /// The routes that accepted it, in the order of the configuration. Never empty.
    pub routes: Arc<[RouteName]>,
    /// Its severity on the routes that set one by conditions.
    pub severities: Box<[(RouteName, Severity)]>,
    /// The account of the application: `@aws.account` if system fields are emitted, else the owner
    /// of the log group.
    pub account_id: Arc<str>,
    pub region: Option<Arc<str>>,
    pub origin: Arc<Origin>,
}

/// An alert, as one of its routes counts it.
#[derive(Copy, Clone, Debug)]
pub struct AlertOnRoute<'a> {
    pub alert: &'a Alert,
    /// `None` if the route sets no severity by conditions.
    pub severity: Option<Severity>,
}

/// Log events of the same record before and after an alert, which are no alerts themselves. Each
/// side is redacted, and at most [`CONTEXT_BYTES_MAX`] bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogContext {
    pub before: String,
    pub after: String,
}

/// Where log events of one app in one subscription message come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// The account that owns the log group.
    pub owner: Arc<str>,
    pub log_group: String,
    pub log_stream: String,
    pub app_name: String,
    /// The source of this name.
    pub app_source: AppSource,
    /// The Region of the stream or function, if the record has it.
    pub region: Option<Arc<str>>,
    /// The record: Kinesis event id (shard and sequence number), or the request id.
    pub source: String,
    /// The end of the ids of its alerts.
    id_suffix: String,
}

/// The identity of an alert: `<event id>-<8 hex digits>`. The digits are a stable hash of owner,
/// log group and log stream, because CloudWatch does not document how far its event ids are unique.
///
/// ```
/// use stentor::model::alert::{AlertId, Origin};
///
/// let origin = Origin::new("123456789012", "/aws/lambda/a", "x", Some("eu-west-1"), "shardId-0:1");
/// assert_eq!(AlertId::new("37", &origin).as_str(), "37-6ad72a50");
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(Box<str>);

impl Origin {
    pub fn new(
        owner: &str,
        log_group: &str,
        log_stream: &str,
        region: Option<&str>,
        source: &str,
    ) -> Self {
        let (app_name, app_source) = app::of_place(log_group, log_stream);
        Self {
            id_suffix: format!("-{:08x}", hash_of([owner, log_group, log_stream])),
            owner: owner.into(),
            app_name: app_name.to_owned(),
            app_source,
            log_group: log_group.to_owned(),
            log_stream: log_stream.to_owned(),
            region: region.map(Arc::from),
            source: source.to_owned(),
        }
    }

    /// The same origin, with another name of the app.
    #[must_use]
    pub fn with_app(&self, app_name: &str, app_source: AppSource) -> Self {
        Self { app_name: app_name.to_owned(), app_source, ..self.clone() }
    }
}

impl Alert {
    /// The statement of the log event.
    pub fn statement(&self) -> String {
        match &self.statement {
            Some(statement) => statement.to_string(),
            None => statement::find(&self.message, &self.marker).text,
        }
    }

    /// Where `message` says it.
    pub fn statement_start(&self) -> usize {
        statement::find(&self.message, &self.marker).range.start
    }

    pub fn on(&self, route: &RouteName) -> AlertOnRoute<'_> {
        let own = self.severities.iter().find(|(name, _)| name == route);
        AlertOnRoute { alert: self, severity: own.map(|(_, severity)| *severity) }
    }

    /// The memory of the alert in bytes, without the texts that it shares with others.
    pub fn bytes(&self) -> usize {
        let context = self.context.as_ref().map_or(0, |context| {
            size_of::<LogContext>() + context.before.capacity() + context.after.capacity()
        });
        let texts = self.message.capacity() + self.id.as_str().len() + context;
        size_of::<Self>() + size_of_val(&*self.severities) + texts
    }
}

impl<'a> From<&'a Alert> for AlertOnRoute<'a> {
    /// The alert on a route that sets no severity by conditions.
    fn from(alert: &'a Alert) -> Self {
        Self { alert, severity: None }
    }
}

impl AlertId {
    pub fn new(event_id: &str, origin: &Origin) -> Self {
        Self([event_id, &origin.id_suffix].concat().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A number below `shards` that depends on the whole id and never changes. It distributes the
    /// rows of one hour over that many index partitions.
    pub fn shard(&self, shards: u32) -> u32 {
        hash_of([self.as_str()]) % shards
    }
}

impl fmt::Display for AlertId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<String> for AlertId {
    fn from(id: String) -> Self {
        Self(id.into())
    }
}

/// CRC-32 over the parts, each followed by a NUL, which none of them can contain. The hashers of
/// `std` may change between releases, but stored ids must not.
fn hash_of<const N: usize>(parts: [&str; N]) -> u32 {
    let mut crc = flate2::Crc::new();
    for part in parts {
        crc.update(part.as_bytes());
        crc.update(&[0]);
    }
    crc.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_depends_on_owner_group_and_stream_and_never_changes() {
        let id = |owner, group, stream| {
            AlertId::new("37", &Origin::new(owner, group, stream, None, "s")).to_string()
        };
        // Stored rows have this hash: another value would give each of them a new identity.
        assert_eq!(id("123456789012", "/aws/lambda/a", "x"), "37-6ad72a50");
        assert_ne!(
            id("123456789012", "/aws/lambda/a", "x"),
            id("123456789012", "/aws/lambda/", "ax")
        );
        assert_ne!(
            id("123456789012", "/aws/lambda/a", "x"),
            id("123456789013", "/aws/lambda/a", "x")
        );
    }
}
