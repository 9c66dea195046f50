//! One issue per burst. The first digest opens it, each later one is a comment, and the end of the
//! burst closes it.

use super::api::{FoundIssue, Jira, after_index};
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
    if attempt.digest.is_quiet() {
        return end(jira, &issues).await;
    }
    let key = match report(jira, issues.get(BURST)).await? {
        Some(key) => key,
        None => {
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

/// Reports the digest to the issue of the burst. `None` if there is none that takes it. The search
/// comes also after an issue that is known takes no comment: an earlier attempt may have created
/// another one, without an answer.
async fn report<X: Exchange>(
    jira: &Jira<'_, X>,
    known: Option<&IssueKey>,
) -> Result<Option<IssueKey>, DeliverError> {
    let (settings, attempt) = (jira.settings, jira.attempt);
    if let Some(key) = known
        && let Some(issue) = jira.issue(key).await?
        && jira.report(&issue, attempt.digest).await?
    {
        return Ok(Some(issue.key));
    }
    let incident = label::incident(attempt.stack, attempt.digest);
    let route = label::route(attempt.stack, attempt.digest);
    let query = label::burst_query(&settings.project, &incident, &route, settings.reopen_within);
    let found = jira.search(&query).await?;
    let others = found.iter().filter(|issue| Some(&issue.key) != known);
    for issue in others.clone().filter(|issue| issue.has_label(&incident)) {
        let Some(issue) = jira.issue(&issue.key).await? else { continue };
        // The index is behind: a later burst has taken the issue over.
        if !issue.labels.contains(&incident) {
            continue;
        }
        if issue.is_done && !settings.reopen_within.is_zero() {
            // An earlier attempt took it over, and was cut off.
            jira.reopen(&issue).await?;
        }
        if jira.report(&issue, attempt.digest).await? {
            return Ok(Some(issue.key));
        }
    }
    let is_of_route = |issue: &&FoundIssue| {
        issue.labels().iter().any(|label| label::is_incident_of(&route, label))
    };
    match others.clone().find(is_of_route) {
        Some(previous) => take_over(jira, &previous.key, &incident, &route).await,
        None => Ok(None),
    }
}

/// Makes the issue of an earlier burst that of this one, opens it, and reports the digest. `None` if
/// it cannot be opened.
///
/// The label comes first: an attempt that is cut off after it finds the issue by the label.
async fn take_over<X: Exchange>(
    jira: &Jira<'_, X>,
    previous: &IssueKey,
    incident: &str,
    route: &str,
) -> Result<Option<IssueKey>, DeliverError> {
    let Some(issue) = jira.issue(previous).await? else { return Ok(None) };
    let reopen = match issue.is_done {
        true => match jira.transition_to(&issue.key, &jira.settings.reopen).await? {
            Some(id) => Some(id),
            None => return Ok(None),
        },
        false => None,
    };
    // From here on, the label may have changed.
    let taken = async {
        let earlier: Vec<&String> =
            issue.labels.iter().filter(|label| label::is_incident_of(route, label)).collect();
        let is_ours = jira.relabel(&issue.key, &earlier, incident).await?;
        let is_open = match reopen {
            Some(id) if is_ours => jira.transition(&issue.key, &id).await?,
            Some(_) => false,
            None => is_ours,
        };
        Ok(is_open && jira.report(&issue, jira.attempt.digest).await?)
    };
    let is_told = taken.await.map_err(after_index)?;
    Ok(is_told.then_some(issue.key))
}
