//! An alert: a log event that carries a marker, as it is stored and shown. Its text is already
//! redacted when it gets here. Which events become alerts is `route`'s business.

use std::fmt;
use std::sync::Arc;

use crate::model::name::RouteName;
use crate::model::pattern::Pattern;
use crate::model::time::Timestamp;

/// Stored and shown text is cut to this many bytes.
pub const MESSAGE_BYTES_MAX: usize = 16 * 1024;

/// One alert: a row of `AppLogs`, and one count in a tally of each of its routes. What many alerts of a batch have in
/// common they share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Alert {
    pub id: AlertId,
    pub timestamp: Timestamp,
    /// The marker that was found, as the configuration spells it.
    pub marker: Arc<str>,
    /// Redacted; at most [`MESSAGE_BYTES_MAX`] bytes.
    pub message: String,
    /// Whether `message` was cut.
    pub truncated: bool,
    pub pattern: Pattern,
    /// Never empty: the routes that want this alert, in the order of the configuration.
    pub routes: Arc<[RouteName]>,
    /// The account that wrote the line: `@aws.account` where system fields are emitted, else the owner of the log group.
    pub account_id: Arc<str>,
    pub region: Option<Arc<str>>,
    pub origin: Arc<Origin>,
}

/// Where the events of one subscription message come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origin {
    /// Account that owns the log group.
    pub owner: Arc<str>,
    pub log_group: String,
    pub log_stream: String,
    pub app_name: String,
    /// Region of the stream or function, when the record says it.
    pub region: Option<Arc<str>>,
    /// The record: Kinesis event id (shard and sequence number), or the request id.
    pub source: String,
    /// What ends the ids of its alerts.
    id_suffix: String,
}

/// Identity of an alert: `<event id>-<8 hex digits>`, the digits a stable hash of owner, log group and
/// log stream. How far a CloudWatch event id is unique is not documented, so it is never used alone.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AlertId(Box<str>);

impl Origin {
    pub fn new(owner: &str, log_group: &str, log_stream: &str, region: Option<&str>, source: &str) -> Self {
        Self {
            id_suffix: format!("-{:08x}", hash_of([owner, log_group, log_stream])),
            owner: owner.into(),
            app_name: app_name(log_group).to_owned(),
            log_group: log_group.to_owned(),
            log_stream: log_stream.to_owned(),
            region: region.map(Arc::from),
            source: source.to_owned(),
        }
    }
}

impl Alert {
    /// The memory that the alert needs, in bytes, less what it shares with others.
    pub fn bytes(&self) -> usize {
        size_of::<Self>() + self.message.capacity() + self.id.as_str().len()
    }
}

impl AlertId {
    pub fn new(event_id: &str, origin: &Origin) -> Self {
        Self([event_id, &origin.id_suffix].concat().into())
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// A number below `shards` that depends on the whole id and is the same for ever: it spreads the
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

/// CRC-32 over the parts, each followed by a NUL, which none of them can contain. A checksum and not
/// `std`'s hasher, because rows outlive the program that wrote them.
fn hash_of<const N: usize>(parts: [&str; N]) -> u32 {
    let mut crc = flate2::Crc::new();
    for part in parts {
        crc.update(part.as_bytes());
        crc.update(&[0]);
    }
    crc.sum()
}

/// The application that a log group belongs to, by AWS's naming habits: the part after a well-known
/// prefix, else the last part of the name.
fn app_name(log_group: &str) -> &str {
    const OWNED: &[&str] = &[
        "/aws/lambda/",
        "/aws/rds/instance/",
        "/aws/rds/cluster/",
        "/aws/ecs/containerinsights/",
        "/aws/containerinsights/",
        "/aws/codebuild/",
        "/aws/apigateway/",
        "/aws/batch/",
        "/aws/vendedlogs/states/",
        "API-Gateway-Execution-Logs_",
    ];
    let owned = OWNED.iter().find_map(|prefix| log_group.strip_prefix(prefix));
    match owned {
        Some(rest) => rest.split('/').find(|part| !part.is_empty()).unwrap_or(log_group),
        None => log_group.rsplit('/').find(|part| !part.is_empty()).unwrap_or(log_group),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_app_is_what_the_log_group_names() {
        let cases = [
            ("/aws/lambda/checkout", "checkout"),
            ("/aws/rds/instance/orders-db/postgresql", "orders-db"),
            ("/ecs/payments-api", "payments-api"),
            ("/aws/eks/prod/ingress/", "ingress"),
            ("billing", "billing"),
            ("/aws/lambda/", "/aws/lambda/"),
            ("/", "/"),
            ("", ""),
        ];
        for (log_group, app) in cases {
            assert_eq!(app_name(log_group), app, "{log_group}");
        }
    }

    #[test]
    fn an_id_depends_on_owner_group_and_stream_and_never_changes() {
        let id = |owner, group, stream| AlertId::new("37", &Origin::new(owner, group, stream, None, "s")).to_string();
        // Rows of years ago were written with this hash: a new value here is a new identity for each.
        assert_eq!(id("123456789012", "/aws/lambda/a", "x"), "37-6ad72a50");
        assert_ne!(id("123456789012", "/aws/lambda/a", "x"), id("123456789012", "/aws/lambda/", "ax"));
        assert_ne!(id("123456789012", "/aws/lambda/a", "x"), id("123456789013", "/aws/lambda/a", "x"));
    }
}
