//! One open issue per route and pattern, over all bursts. The largest groups of a digest have
//! issues of their own; the route has one more issue for the rest. The end of a burst closes the
//! issues that it used.
//!
//! The issues of a digest are independent: a failure of one does not hold the others back. The
//! retry goes through all of them again. An issue that has the digest already does not get it again,
//! because it carries a note of its latest entry ([`LastEntry`](super::issue)).

use std::time::Duration;

use super::api::{FoundIssue, Jira, after_index};
use super::issue::IssueBody;
use super::key::IssueKey;
use super::label;
use super::reference::BurstIssues;
use super::split::{PatternDigest, split};
use crate::adapters::http::exchange::Exchange;
use crate::protocol::notify::{Accepted, DeliverError, DeliveryFailure, FailureCode};

pub(super) async fn deliver<X: Exchange>(jira: &Jira<'_, X>) -> Result<Accepted, DeliverError> {
    let mut issues = BurstIssues::read(jira.attempt.joins, jira.site, jira.settings);
    if jira.attempt.digest.is_quiet() {
        return end(jira, &issues).await;
    }
    let mut progress = Progress::default();
    let parts = split(jira.attempt.digest, &issues);
    let mut others = Vec::new();
    for part in &parts {
        let known = issues.get(&part.name).cloned();
        match report(jira, part, known.as_slice()).await {
            Ok(Some(key)) => progress.report(&mut issues, part, key),
            Ok(None) => others.push(part),
            Err(error) => progress.fail(part, error)?,
        }
    }
    // Also for a known issue that takes no comment: an earlier attempt may have created another
    // one, without an answer.
    let found = match find(jira, &others).await {
        Ok(found) => found,
        Err(error) => {
            others.drain(..).try_for_each(|part| progress.fail(part, error.clone()))?;
            Vec::new()
        }
    };
    for part in others {
        let label = jira.pattern_label(&part.name);
        let keys = found.iter().filter(|issue| issue.has_label(&label));
        let keys: Vec<IssueKey> = keys.map(|issue| issue.key.clone()).collect();
        match report_or_create(jira, part, &keys, &mut progress).await {
            Ok(key) => progress.report(&mut issues, part, key),
            Err(error) => progress.fail(part, error)?,
        }
    }
    progress.into_result().map(|()| issues.accepted(jira.site))
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

/// The issues of these patterns, the latest first.
async fn find<X: Exchange>(
    jira: &Jira<'_, X>,
    parts: &[&PatternDigest],
) -> Result<Vec<FoundIssue>, DeliverError> {
    if parts.is_empty() {
        return Ok(Vec::new());
    }
    let labels: Vec<String> = parts.iter().map(|part| jira.pattern_label(&part.name)).collect();
    let settings = jira.settings;
    jira.search(&label::open_query(&settings.project, &labels, settings.reopen_within)).await
}

/// Reports a part of the digest to an open issue, else to one that can be opened again. `None` if
/// none of them takes it.
async fn report<X: Exchange>(
    jira: &Jira<'_, X>,
    part: &PatternDigest,
    keys: &[IssueKey],
) -> Result<Option<IssueKey>, DeliverError> {
    let mut done = Vec::new();
    for key in keys {
        match jira.issue(key).await? {
            Some(issue) if issue.is_done => done.push(issue),
            Some(issue) if jira.report(&issue, &part.digest).await? => return Ok(Some(issue.key)),
            _ => {}
        }
    }
    if jira.settings.reopen_within.is_zero() {
        return Ok(None);
    }
    for issue in done {
        if jira.reopen(&issue).await? && jira.report(&issue, &part.digest).await? {
            return Ok(Some(issue.key));
        }
    }
    Ok(None)
}

async fn report_or_create<X: Exchange>(
    jira: &Jira<'_, X>,
    part: &PatternDigest,
    keys: &[IssueKey],
    progress: &mut Progress,
) -> Result<IssueKey, DeliverError> {
    if let Some(key) = report(jira, part, keys).await? {
        return Ok(key);
    }
    let body = IssueBody::of_pattern(jira.settings, jira.attempt.stack, part);
    let key = jira.create(&body).await?;
    progress.has_created = true;
    Ok(key)
}

impl<X> Jira<'_, X> {
    fn pattern_label(&self, name: &str) -> String {
        label::pattern(self.attempt.stack, self.attempt.digest, name)
    }
}

/// How far the attempt has come, and the failures that kept some issues from the report.
#[derive(Default)]
struct Progress {
    is_begun: bool,
    has_created: bool,
    retry: Option<(Option<Duration>, DeliveryFailure)>,
    refusal: Option<DeliveryFailure>,
}

impl Progress {
    fn report(&mut self, issues: &mut BurstIssues, part: &PatternDigest, key: IssueKey) {
        self.is_begun = true;
        issues.set(&part.name, key);
    }

    /// # Errors
    /// When nothing has happened yet, and another credential may reach all issues.
    fn fail(&mut self, part: &PatternDigest, error: DeliverError) -> Result<(), DeliverError> {
        tracing::debug!("The issue of {} has no report of the digest: {error}", part.name);
        match error {
            DeliverError::Denied { .. } if !self.is_begun && self.retry.is_none() => {
                return Err(error);
            }
            DeliverError::Retry { after, reason } => {
                let (known, first) = self.retry.take().unwrap_or((None, reason));
                self.retry = Some((known.max(after), first));
            }
            DeliverError::Denied { reason } | DeliverError::Refused { reason } => {
                self.refusal.get_or_insert(reason);
            }
            error @ DeliverError::Deferred => {
                let failure = DeliveryFailure::new(FailureCode::Client, error.to_string());
                self.refusal.get_or_insert(failure);
            }
        }
        Ok(())
    }

    /// A retry comes first: it may be all that is missing. It waits until the search finds the
    /// issues that this attempt created. So does a refusal after a creation: the digest may come again,
    /// because it could not be parked, or the next one does. That attempt creates nothing, and is refused.
    fn into_result(self) -> Result<(), DeliverError> {
        let error = match (self.retry, self.refusal) {
            (Some((after, reason)), _) => DeliverError::Retry { after, reason },
            (None, Some(reason)) if self.has_created => DeliverError::Retry { after: None, reason },
            (None, Some(reason)) => DeliverError::Refused { reason },
            (None, None) => return Ok(()),
        };
        Err(if self.has_created { after_index(error) } else { error })
    }
}
