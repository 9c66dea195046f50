//! The requests of one attempt, and what Jira's answers mean.
//!
//! Jira may answer an expired token like an anonymous user: nothing is found. So a missing issue
//! counts as deleted only if the account is known to Jira.

use std::collections::BTreeMap;
use std::time::Duration;

use reqwest::Method;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::issue::{CommentBody, IssueBody, LastEntry, PROPERTY};
use super::key::IssueKey;
use super::label;
use super::reference::BurstIssues;
use super::site::Site;
use crate::adapters::attempt::Attempt;
use crate::adapters::http::exchange::{Exchange, ExchangeError, HttpAnswer, quote};
use crate::config::JiraSettings;
use crate::model::digest::Digest;
use crate::protocol::notify::{DeliverError, DeliveryFailure, FailureCode};

pub(super) const SERVICE: &str = "Jira";

/// An issue may have been created without an answer. After this time, the search most likely finds
/// it: Jira's index follows within seconds.
pub const INDEX_DELAY: Duration = Duration::from_secs(60);

/// The most issues that a search returns. Their keys and labels fit a bounded answer.
const FOUND_MAX: usize = 25;

/// An attempt, with the site and the settings that it is for.
pub(super) struct Jira<'a, X> {
    pub(super) attempt: &'a Attempt<'a, X>,
    pub(super) site: &'a Site,
    pub(super) settings: &'a JiraSettings,
}

/// An issue as the search found it, a while ago.
#[derive(Debug, Deserialize)]
pub(super) struct FoundIssue {
    pub(super) key: IssueKey,
    fields: FoundFields,
}

#[derive(Debug, Deserialize)]
struct FoundFields {
    labels: Vec<String>,
}

/// An issue as it is now.
#[derive(Debug)]
pub(super) struct CurrentIssue {
    /// Not always the one that was asked for: an issue can move to another project.
    pub(super) key: IssueKey,
    pub(super) is_done: bool,
    pub(super) labels: Vec<String>,
    last: Option<LastEntry>,
}

#[derive(Debug, Deserialize)]
struct SearchAnswer {
    issues: Vec<FoundIssue>,
}

#[derive(Debug, Deserialize)]
struct IssueAnswer {
    key: IssueKey,
    fields: CurrentFields,
    #[serde(default)]
    properties: BTreeMap<String, Value>,
}

#[derive(Debug, Deserialize)]
struct CurrentFields {
    labels: Vec<String>,
    status: IssueStatus,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase")]
struct IssueStatus {
    status_category: StatusCategory,
}

#[derive(Debug, Deserialize)]
struct StatusCategory {
    key: String,
}

#[derive(Debug, Deserialize)]
struct CreateAnswer {
    key: IssueKey,
}

#[derive(Debug, Deserialize)]
struct TransitionsAnswer {
    transitions: Vec<Transition>,
}

#[derive(Debug, Deserialize)]
struct Transition {
    id: String,
    name: String,
}

/// The body of an answer that reports an error.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Problem {
    error_messages: Vec<Value>,
    /// By field.
    errors: BTreeMap<String, Value>,
}

/// A retry waits until the search finds what the attempt has changed.
pub(super) fn after_index(error: DeliverError) -> DeliverError {
    match error {
        DeliverError::Retry { after, reason } => {
            DeliverError::Retry { after: after.max(Some(INDEX_DELAY)), reason }
        }
        error => error,
    }
}

impl FoundIssue {
    pub(super) fn labels(&self) -> &[String] {
        &self.fields.labels
    }

    pub(super) fn has_label(&self, label: &str) -> bool {
        self.fields.labels.iter().any(|known| known == label)
    }
}

impl<X: Exchange> Jira<'_, X> {
    /// The issues that a query finds. The index may be some seconds behind.
    pub(super) async fn search(&self, jql: &str) -> Result<Vec<FoundIssue>, DeliverError> {
        let body = json!({"jql": jql, "fields": ["labels"], "maxResults": FOUND_MAX});
        let answer = self.read(Method::POST, "search/jql", Some(&body)).await?;
        match (answer.status, answer.json::<SearchAnswer>()) {
            (200, Some(SearchAnswer { issues })) => Ok(issues),
            _ => Err(match self.failure(&answer) {
                // The query is well formed, so the account cannot see the project.
                DeliverError::Refused { reason } => DeliverError::Denied { reason },
                error => error,
            }),
        }
    }

    /// The issues of a burst: those that are known, and other open ones with one of these labels.
    /// There are others if the answer to a creation was lost and the search did not find the issue
    /// in time.
    pub(super) async fn open_issues(
        &self,
        known: &BurstIssues,
        labels: &[String],
    ) -> Result<Vec<IssueKey>, DeliverError> {
        let query = label::open_query(&self.settings.project, labels, Duration::ZERO);
        let found = self.search(&query).await?;
        let mut keys: Vec<IssueKey> = known.keys().cloned().collect();
        for issue in found {
            let is_meant = labels.iter().any(|label| issue.has_label(label));
            if is_meant && !keys.contains(&issue.key) {
                keys.push(issue.key);
            }
        }
        if keys.is_empty() {
            self.check_login().await?;
        }
        Ok(keys)
    }

    /// `None` if there is no such issue.
    pub(super) async fn issue(&self, key: &IssueKey) -> Result<Option<CurrentIssue>, DeliverError> {
        let path = format!("issue/{key}?fields=labels,status&properties={PROPERTY}");
        let answer = self.read(Method::GET, &path, None::<&()>).await?;
        match (answer.status, answer.json::<IssueAnswer>()) {
            (200, Some(IssueAnswer { key, fields, mut properties })) => {
                let last =
                    properties.remove(PROPERTY).and_then(|json| serde_json::from_value(json).ok());
                let is_done = fields.status.status_category.key == "done";
                Ok(Some(CurrentIssue { key, is_done, labels: fields.labels, last }))
            }
            (404, _) => self.check_login().await.map(|()| None),
            _ => Err(self.failure(&answer)),
        }
    }

    /// Creates an issue. It may exist although there is no answer, so a retry waits until the
    /// search would find it.
    pub(super) async fn create(&self, body: &IssueBody) -> Result<IssueKey, DeliverError> {
        let uncertain = |code, reason: String, after: Option<Duration>| {
            let text = format!("{reason}; the issue may have been created");
            let reason = DeliveryFailure { code, text };
            after_index(DeliverError::Retry { after, reason })
        };
        let answer = match self.send(Method::POST, "issue", Some(body)).await {
            Ok(answer) => answer,
            Err(error @ (ExchangeError::Unreachable | ExchangeError::PrivateAddress)) => {
                return Err(error.failure(SERVICE));
            }
            Err(error) => return Err(uncertain(error.code(), format!("{SERVICE} {error}"), None)),
        };
        match (answer.status, answer.json::<CreateAnswer>()) {
            (201, Some(CreateAnswer { key })) => Ok(key),
            (200..=399 | 408 | 500..=599, _) => {
                let reason = format!("{SERVICE} answered {} to the creation", answer.status);
                let code = FailureCode::of_status(answer.status);
                Err(uncertain(code, reason, answer.retry_after))
            }
            _ => Err(self.failure(&answer)),
        }
    }

    /// Reports a digest in a comment, unless it is what the issue was told last. False if the issue
    /// takes no comment: it was deleted meanwhile, or has as many as it can have.
    pub(super) async fn report(
        &self,
        issue: &CurrentIssue,
        digest: &Digest,
    ) -> Result<bool, DeliverError> {
        let entry = LastEntry::of(digest);
        if issue.last.as_ref() == Some(&entry) {
            return Ok(true);
        }
        let path = format!("issue/{}/comment", issue.key);
        let answer = self.read(Method::POST, &path, Some(&CommentBody::of(digest))).await?;
        match answer.status {
            200 | 201 => {}
            404 | 413 => return Ok(false),
            _ => return Err(self.failure(&answer)),
        }
        self.note(&issue.key, &entry).await;
        Ok(true)
    }

    /// Notes what the issue was told. Without the note, only a repeated attempt would repeat the
    /// comment, so a failure does not matter.
    async fn note(&self, key: &IssueKey, entry: &LastEntry) {
        let path = format!("issue/{key}/properties/{PROPERTY}");
        let outcome = self.read(Method::PUT, &path, Some(entry)).await;
        let outcome = outcome.and_then(|answer| match answer.status {
            200 | 201 => Ok(()),
            _ => Err(self.failure(&answer)),
        });
        if let Err(error) = outcome {
            tracing::debug!(issue = %key, "{key} has no note of its latest comment: {error}");
        }
    }

    /// Makes the transition that ends the work on an issue, if it has that.
    pub(super) async fn finish(&self, issue: &CurrentIssue) -> Result<(), DeliverError> {
        if issue.is_done {
            return Ok(());
        }
        if let Some(id) = self.transition_to(&issue.key, &self.settings.done).await? {
            self.transition(&issue.key, &id).await?;
        }
        Ok(())
    }

    /// Opens an issue again. False if it cannot be. A person or a replay may have been faster.
    pub(super) async fn reopen(&self, issue: &CurrentIssue) -> Result<bool, DeliverError> {
        let id = self.transition_to(&issue.key, &self.settings.reopen).await?;
        if let Some(id) = id
            && self.transition(&issue.key, &id).await?
        {
            return Ok(true);
        }
        Ok(self.issue(&issue.key).await?.is_some_and(|issue| !issue.is_done))
    }

    /// The id of the transition with this name. `None`, with a warning, if the issue has none in
    /// its status.
    pub(super) async fn transition_to(
        &self,
        key: &IssueKey,
        name: &str,
    ) -> Result<Option<String>, DeliverError> {
        let path = format!("issue/{key}/transitions");
        let answer = self.read(Method::GET, &path, None::<&()>).await?;
        let transitions = match (answer.status, answer.json::<TransitionsAnswer>()) {
            (200, Some(TransitionsAnswer { transitions })) => transitions,
            (404, _) => Vec::new(),
            _ => return Err(self.failure(&answer)),
        };
        let is_meant = |known: &Transition| known.name.to_lowercase() == name.to_lowercase();
        let id = transitions.into_iter().find(is_meant).map(|known| known.id);
        if id.is_none() {
            let target = &self.attempt.digest.target;
            tracing::warn!(target = %target, issue = %key, "{key} has no transition {name:?} in its status; its status stays");
        }
        Ok(id)
    }

    /// False, with a warning, if Jira refuses the transition, such as one that needs a field.
    pub(super) async fn transition(&self, key: &IssueKey, id: &str) -> Result<bool, DeliverError> {
        let body = json!({"transition": {"id": id}});
        let path = format!("issue/{key}/transitions");
        let answer = self.read(Method::POST, &path, Some(&body)).await?;
        self.accepted_unless_refused(key, "transition", &answer)
    }

    /// Replaces labels. False, with a warning, if Jira refuses that.
    pub(super) async fn relabel(
        &self,
        key: &IssueKey,
        removed: &[&String],
        added: &str,
    ) -> Result<bool, DeliverError> {
        let removed = removed.iter().map(|label| json!({"remove": label}));
        let labels: Vec<Value> = removed.chain([json!({"add": added})]).collect();
        let body = json!({"update": {"labels": labels}});
        let answer = self.read(Method::PUT, &format!("issue/{key}"), Some(&body)).await?;
        self.accepted_unless_refused(key, "change of labels", &answer)
    }

    fn accepted_unless_refused(
        &self,
        key: &IssueKey,
        what: &str,
        answer: &HttpAnswer,
    ) -> Result<bool, DeliverError> {
        if answer.is_success() {
            return Ok(true);
        }
        match self.failure(answer) {
            error @ DeliverError::Retry { .. } => Err(error),
            error @ DeliverError::Denied { .. } if answer.status == 401 => Err(error),
            error => {
                let target = &self.attempt.digest.target;
                tracing::warn!(target = %target, issue = %key, "{key} refused the {what}: {error}");
                Ok(false)
            }
        }
    }

    /// Whether Jira knows the account: it says so without a doubt only here.
    async fn check_login(&self) -> Result<(), DeliverError> {
        let answer = self.read(Method::GET, "myself", None::<&()>).await?;
        if answer.status == 200 { Ok(()) } else { Err(self.failure(&answer)) }
    }

    /// A request that can be repeated.
    async fn read(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<HttpAnswer, DeliverError> {
        self.send(method, path, body).await.map_err(|error| error.failure(SERVICE))
    }

    async fn send(
        &self,
        method: Method,
        path: &str,
        body: Option<&impl Serialize>,
    ) -> Result<HttpAnswer, ExchangeError> {
        self.attempt.send(self.site.request(method, path, body)).await
    }

    /// The consequence of an answer that is no success. A project that is unknown may be one that
    /// another account can see.
    fn failure(&self, answer: &HttpAnswer) -> DeliverError {
        let problem = answer.json::<Problem>().unwrap_or_default();
        let detail = problem.text().map(|text| quote(&text, &self.site.secrets()));
        match (answer.status, answer.failure(SERVICE, detail.as_deref())) {
            (400, DeliverError::Refused { reason }) if problem.errors.contains_key("project") => {
                DeliverError::Denied { reason }
            }
            // Another change to the issue is under way.
            (409, DeliverError::Refused { reason }) => {
                DeliverError::Retry { after: answer.retry_after, reason }
            }
            (_, error) => error,
        }
    }
}

impl Problem {
    /// `priority: the name is not valid; …`. `None` if Jira gives no reason.
    fn text(&self) -> Option<String> {
        let text = |value: &Value| value.as_str().map(str::to_owned);
        let messages = self.error_messages.iter().filter_map(text);
        let fields = self.errors.iter().filter_map(|(field, why)| Some((field, text(why)?)));
        let fields = fields.map(|(field, why)| format!("{field}: {why}"));
        let all: Vec<String> = messages.chain(fields).collect();
        (!all.is_empty()).then(|| all.join("; "))
    }
}
