//! The bodies of requests: an issue to create, a comment, and the note on an issue of what it was
//! told last.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::adf::{self, AdfDocument};
use super::label;
use super::split::PatternDigest;
use crate::config::JiraSettings;
use crate::message::subject::issue_title;
use crate::model::digest::Digest;

/// The issue property with the [`LastEntry`].
pub(super) const PROPERTY: &str = "stentor";

/// An issue to create: the body of `POST /rest/api/3/issue`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct IssueBody {
    fields: Map<String, Value>,
    properties: [IssueProperty; 1],
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct IssueProperty {
    key: &'static str,
    value: LastEntry,
}

/// The body of a comment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct CommentBody {
    body: AdfDocument,
}

/// The subject of the latest entry of an issue, its description or a comment. Two attempts to
/// deliver the same alerts have the same. A later attempt may cover more epochs: then all numbers
/// but the first epoch can differ, and the issue gets the larger digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LastEntry {
    epoch: u64,
    alerts: u64,
    /// The times of the first and last alert in milliseconds, or those of a burst that is over.
    /// They tell two stacks of one name apart.
    since: i64,
    until: i64,
}

impl IssueBody {
    /// The issue for `digest`, with our labels and those of the configuration.
    fn new(settings: &JiraSettings, digest: &Digest, labels: &[String]) -> Self {
        let mut fields = settings.fields.clone();
        let labels: Vec<&String> = labels.iter().chain(&settings.labels).collect();
        let mut set = |name: &str, value: Value| drop(fields.insert(name.to_owned(), value));
        set("project", json!({"key": settings.project}));
        set("issuetype", json!({"name": settings.issue_type}));
        set("summary", issue_title(digest).into());
        set("description", json!(adf::render(digest)));
        set("labels", json!(labels));
        if let Some(priority) = settings.priority.get(&digest.severity) {
            set("priority", json!({"name": priority}));
        }
        let property = IssueProperty { key: PROPERTY, value: LastEntry::of(digest) };
        Self { fields, properties: [property] }
    }

    /// The issue of the burst that `digest` is about.
    pub(super) fn of_burst(settings: &JiraSettings, stack: &str, digest: &Digest) -> Self {
        let labels = [
            label::STENTOR.to_owned(),
            label::route(stack, digest),
            label::incident(stack, digest),
        ];
        Self::new(settings, digest, &labels)
    }

    /// The issue of a pattern, or of the rest.
    pub(super) fn of_pattern(settings: &JiraSettings, stack: &str, part: &PatternDigest) -> Self {
        let PatternDigest { name, digest } = part;
        let labels = [
            label::STENTOR.to_owned(),
            label::route(stack, digest),
            label::pattern(stack, digest, name),
        ];
        Self::new(settings, digest, &labels)
    }
}

impl CommentBody {
    pub(super) fn of(digest: &Digest) -> Self {
        Self { body: adf::render(digest) }
    }
}

impl LastEntry {
    pub(super) fn of(digest: &Digest) -> Self {
        let over = digest.burst.map(|burst| (burst.since, burst.until));
        let span = digest.tally.span.map(|span| (span.first, span.last));
        let (since, until) = span.or(over).unwrap_or_default();
        Self {
            epoch: digest.epochs.0,
            alerts: digest.tally.alerts,
            since: since.as_millis(),
            until: until.as_millis(),
        }
    }
}

#[cfg(test)]
mod tests;
