//! One open issue per route and pattern, over all bursts. The largest groups of a digest have
//! issues of their own; the route has one more issue for the rest. The end of a burst closes the
//! issues that it used.
//!
//! The issues of a digest are independent: a failure of one does not hold the others back. The
//! retry goes through all of them again. An issue that has the digest already does not get it again,
//! because it carries a note of its latest entry ([`LastEntry`](super::issue)).

use std::collections::BTreeMap;
use std::time::Duration;

use super::api::{FoundIssue, INDEX_DELAY, Jira};
use super::issue::IssueBody;
use super::key::IssueKey;
use super::label;
use super::reference::BurstIssues;
use super::split::{PatternDigest, split};
use crate::adapters::http::exchange::Exchange;
use crate::protocol::notify::{Accepted, DeliverError};

pub(super) async fn deliver<X: Exchange>(jira: &Jira<'_, X>) -> Result<Accepted, DeliverError> {
    let mut issues = BurstIssues::read(jira.attempt.joins, jira.site, jira.settings);
    if jira.attempt.digest.tally.is_empty() {
        return end(jira, &issues).await;
    }
    let parts = split(jira.attempt.digest, &issues);
    let found = find(jira, &issues, &parts).await?;
    let mut failures = Failures::default();
    for part in &parts {
        let known = issues.get(&part.name).into_iter().chain(&found[&*part.name]);
        match report(jira, part, known).await {
            Ok(reported) => {
                failures.has_created |= reported.is_new;
                failures.has_progress = true;
                issues.set(&part.name, reported.key);
            }
            Err(error @ DeliverError::Denied { .. }) if !failures.has_progress => {
                return Err(error);
            }
            Err(error) => failures.add(&part.name, error),
        }
    }
    failures.into_result().map(|()| issues.accepted(jira.site))
}

async fn end<X: Exchange>(
    jira: &Jira<'_, X>,
    issues: &BurstIssues,
) -> Result<Accepted, DeliverError> {
    if jira.attempt.digest.ends_burst && issues.len() > 0 {
        let labels: Vec<String> = issues.names().map(|name| jira.pattern_label(name)).collect();
        for key in jira.open_issues(issues, &labels).await? {
            if let Some(issue) = jira.issue(&key).await? {
                jira.finish(&issue).await?;
            }
        }
    }
    Ok(issues.accepted(jira.site))
}

/// The issues of patterns that the burst does not know yet, the latest first.
async fn find<X: Exchange>(
    jira: &Jira<'_, X>,
    known: &BurstIssues,
    parts: &[PatternDigest],
) -> Result<BTreeMap<String, Vec<IssueKey>>, DeliverError> {
    let mut found: BTreeMap<String, Vec<IssueKey>> =
        parts.iter().map(|part| (part.name.clone(), Vec::new())).collect();
    let unknown = parts.iter().filter(|part| known.get(&part.name).is_none());
    let labels: Vec<String> = unknown.map(|part| jira.pattern_label(&part.name)).collect();
    if labels.is_empty() {
        return Ok(found);
    }
    let settings = jira.settings;
    let query = label::open_query(&settings.project, &labels, settings.reopen_within);
    let issues: Vec<FoundIssue> = jira.search(&query).await?;
    for (name, keys) in &mut found {
        let label = jira.pattern_label(name);
        let meant = issues.iter().filter(|issue| issue.has_label(&label));
        keys.extend(meant.map(|issue| issue.key.clone()));
    }
    Ok(found)
}

struct Reported {
    key: IssueKey,
    is_new: bool,
}

/// Reports a part of the digest to the first of the `known` issues that takes it, else to a new
/// one.
async fn report<X: Exchange>(
    jira: &Jira<'_, X>,
    part: &PatternDigest,
    known: impl Iterator<Item = &IssueKey> + Send,
) -> Result<Reported, DeliverError> {
    for key in known {
        let Some(issue) = jira.issue(key).await? else { continue };
        let is_open =
            !issue.is_done || !jira.settings.reopen_within.is_zero() && jira.reopen(&issue).await?;
        if is_open && jira.report(&issue, &part.digest).await? {
            return Ok(Reported { key: issue.key, is_new: false });
        }
    }
    let body = IssueBody::of_pattern(jira.settings, jira.attempt.stack, part);
    let key = jira.create(&body).await?;
    Ok(Reported { key, is_new: true })
}

impl<X> Jira<'_, X> {
    fn pattern_label(&self, name: &str) -> String {
        label::pattern(self.attempt.stack, self.attempt.digest, name)
    }
}

/// The failures that kept some issues from the report.
#[derive(Default)]
struct Failures {
    has_progress: bool,
    has_created: bool,
    retry: Option<(Option<Duration>, String)>,
    refusal: Option<String>,
}

impl Failures {
    fn add(&mut self, name: &str, error: DeliverError) {
        tracing::debug!("The issue of {name} was not told: {error}");
        match error {
            DeliverError::Retry { after, reason } => {
                let (known, first) = self.retry.take().unwrap_or((None, reason));
                self.retry = Some((known.max(after), first));
            }
            error => drop(self.refusal.get_or_insert_with(|| error.to_string())),
        }
    }

    /// A retry comes first: it may be all that is missing. It waits until the search finds the
    /// issues that this attempt created.
    fn into_result(self) -> Result<(), DeliverError> {
        match (self.retry, self.refusal) {
            (Some((after, reason)), _) => {
                let after = after.max(self.has_created.then_some(INDEX_DELAY));
                Err(DeliverError::Retry { after, reason })
            }
            (None, Some(reason)) => Err(DeliverError::Refused { reason }),
            (None, None) => Ok(()),
        }
    }
}
