//! Jira Cloud (REST API 3). An issue is about a burst (`burst`) or about a pattern (`pattern`),
//! as the configuration says. The target's state has the keys of a burst's issues
//! (`reference`).
//!
//! Jira has no idempotency key. An issue whose creation had no answer is found by its label
//! (`label`), but only after a pause, because the search is a few seconds behind. If it takes
//! longer than that, a second issue is created; the end of the burst closes both. A comment without
//! an answer is repeated.

use crate::adapters::attempt::Attempt;
use crate::adapters::http::exchange::Exchange;
use crate::config::{IssuePer, JiraSettings};
use crate::model::digest::Digest;
use crate::protocol::notify::{Accepted, DeliverError};
pub use api::INDEX_DELAY;
use api::Jira;
use issue::IssueBody;
use reference::BurstIssues;
use site::Site;

mod adf;
mod api;
mod burst;
mod issue;
mod key;
mod label;
mod pattern;
mod reference;
pub mod site;
mod split;

/// Reports the digest once.
///
/// # Errors
/// [`Retry`](DeliverError::Retry) after 408, 409, 429, 5xx and a lost connection; with a pause of a
/// minute if an issue may have been created.
/// [`Denied`](DeliverError::Denied) after 401, 403 and 404, and for a project that the account
/// cannot see.
/// [`Refused`](DeliverError::Refused) after any other 4xx, such as a field that Jira does not take.
pub async fn deliver<X: Exchange>(
    attempt: &Attempt<'_, X>,
    site: &Site,
    settings: &JiraSettings,
) -> Result<Accepted, DeliverError> {
    let jira = Jira { attempt, site, settings };
    match settings.issue_per {
        IssuePer::Burst => burst::deliver(&jira).await,
        IssuePer::Pattern => pattern::deliver(&jira).await,
    }
}

/// The bodies of the requests that create the issues of a digest, if none of them exists.
pub fn issues(settings: &JiraSettings, stack: &str, digest: &Digest) -> Vec<IssueBody> {
    match settings.issue_per {
        IssuePer::Burst => vec![IssueBody::of_burst(settings, stack, digest)],
        IssuePer::Pattern => {
            let parts = split::split(digest, &BurstIssues::default());
            parts.iter().map(|part| IssueBody::of_pattern(settings, stack, part)).collect()
        }
    }
}
