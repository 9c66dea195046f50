//! One issue per burst. The first digest opens it, each later one is a comment, and the end of the
//! burst closes it.

use super::api::{CurrentIssue, FoundIssue, Jira};
use super::issue::IssueBody;
use super::key::IssueKey;
use super::label;
use super::reference::BurstIssues;
use crate::adapters::http::exchange::Exchange;
use crate::protocol::notify::{Accepted, DeliverError};

/// The name of the one issue.
const BURST: &str = "burst";

pub(super) async fn deliver<X: Exchange>(jira: &Jira<'_, X>) -> Result<Accepted, DeliverError> {
    let attempt = jira.attempt;
    let mut issues = BurstIssues::read(attempt.joins, jira.site, jira.settings);
    if attempt.digest.tally.is_empty() {
        return end(jira, &issues).await;
    }
    let key = match find(jira, issues.get(BURST)).await? {
        Some(issue) if jira.report(&issue, attempt.digest).await? => issue.key,
        _ => {
            let body = IssueBody::of_burst(jira.settings, attempt.stack, attempt.digest);
            jira.create(&body).await?
        }
    };
    issues.set(BURST, key);
    Ok(issues.accepted(jira.site))
}

/// Reports the end in every issue of the burst. There are several if the answer to a creation was
/// lost and the search did not find the issue in time.
async fn end<X: Exchange>(
    jira: &Jira<'_, X>,
    issues: &BurstIssues,
) -> Result<Accepted, DeliverError> {
    let digest = jira.attempt.digest;
    let incident = label::incident(jira.attempt.stack, digest);
    let keys = jira.open_issues(issues, &[incident]).await?;
    for key in &keys {
        let Some(issue) = jira.issue(key).await? else { continue };
        jira.report(&issue, digest).await?;
        if digest.ends_burst {
            jira.finish(&issue).await?;
        }
    }
    Ok(issues.accepted(jira.site))
}

/// The issue that the digest belongs to, open.
async fn find<X: Exchange>(
    jira: &Jira<'_, X>,
    known: Option<&IssueKey>,
) -> Result<Option<CurrentIssue>, DeliverError> {
    if let Some(key) = known
        && let Some(issue) = jira.issue(key).await?
    {
        return Ok(Some(issue));
    }
    let (settings, attempt) = (jira.settings, jira.attempt);
    let incident = label::incident(attempt.stack, attempt.digest);
    let route = label::route(attempt.stack, attempt.digest);
    let query = label::burst_query(&settings.project, &incident, &route, settings.reopen_within);
    let found = jira.search(&query).await?;
    for issue in found.iter().filter(|issue| issue.has_label(&incident)) {
        let Some(issue) = jira.issue(&issue.key).await? else { continue };
        if issue.is_done && !settings.reopen_within.is_zero() {
            // An earlier attempt took it over, and was cut off.
            jira.reopen(&issue).await?;
        }
        return Ok(Some(issue));
    }
    let is_of_route = |issue: &&FoundIssue| {
        issue.labels().iter().any(|label| label::is_incident_of(&route, label))
    };
    match found.iter().find(is_of_route) {
        Some(previous) => take_over(jira, previous, &incident, &route).await,
        None => Ok(None),
    }
}

/// Makes the issue of an earlier burst that of this one, and opens it. `None` if it cannot be.
///
/// The label comes first: an attempt that is cut off after it finds the issue by the label.
async fn take_over<X: Exchange>(
    jira: &Jira<'_, X>,
    previous: &FoundIssue,
    incident: &str,
    route: &str,
) -> Result<Option<CurrentIssue>, DeliverError> {
    let Some(issue) = jira.issue(&previous.key).await? else { return Ok(None) };
    let reopen = match issue.is_done {
        true => match jira.transition_to(&issue.key, &jira.settings.reopen).await? {
            Some(id) => Some(id),
            None => return Ok(None),
        },
        false => None,
    };
    let earlier: Vec<&String> =
        previous.labels().iter().filter(|label| label::is_incident_of(route, label)).collect();
    if !jira.relabel(&issue.key, &earlier, incident).await? {
        return Ok(None);
    }
    if let Some(id) = reopen
        && !jira.transition(&issue.key, &id).await?
    {
        return Ok(None);
    }
    Ok(Some(issue))
}
