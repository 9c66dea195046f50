//! Alerts of Jira Service Management Operations, through the Integration Events API
//! (developer.atlassian.com/cloud/jira/service-desk-ops/rest/v1/api-group-integration-events), and of
//! Opsgenie, whose Alert API has the same requests.
//!
//! Each digest creates the alert of its alias. While that alert is open, this only raises its
//! count, so the later digests of a burst also become notes. A note alone would not do: a person
//! may have closed the alert, and a note on a closed alert wakes no one. The end of the burst closes
//! what the burst has opened.
//!
//! The service answers before it processes a request: an accepted alert may still be dropped by a
//! rule of the integration.

use std::collections::BTreeMap;
use std::fmt;

use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};

use crate::adapters::attempt::Attempt;
use crate::adapters::http::exchange::{Exchange, HttpAnswer, HttpRequest, authorization, quote};
use crate::adapters::http::url::parse_endpoint;
use crate::adapters::incident::{Incidents, key, resolves};
use crate::adapters::secret::{Credential, CredentialError, word};
use crate::config::{JsmSettings, Responder, ResponderKind};
use crate::message::compose::{Budget, compose};
use crate::message::plain;
use crate::model::burst::Related;
use crate::model::digest::Digest;
use crate::model::name::Severity;
use crate::model::tally::{Names, Sample};
use crate::model::time::Timestamp;
use crate::model::truncate::truncated;
use crate::model::visible;
use crate::protocol::notify::{Accepted, DeliverError};

const SERVICE: &str = "Jira Service Management";

/// Opsgenie has `https://api.opsgenie.com` and `https://api.eu.opsgenie.com` instead.
const URL_DEFAULT: &str = "https://api.atlassian.com/jsm/ops/integration";

const PATH: &str = "v2/alerts";

/// The limits of the service, in characters. Of an alias it takes 512, in older documents 250.
const MESSAGE_BYTES_MAX: usize = 130;
const ALIAS_BYTES_MAX: usize = 250;
const DESCRIPTION_BYTES_MAX: usize = 15_000;
const SOURCE_BYTES_MAX: usize = 100;
const ENTITY_BYTES_MAX: usize = 512;

/// The service takes 8,000 characters for all details, with their names.
const DETAIL_BYTES_MAX: usize = 600;

/// Characters per line of the description.
const WIDTH: usize = 100;

/// An integration of a team. Prints the host only.
#[derive(Clone)]
pub struct AlertIntegration {
    url: Url,
    api_key: String,
}

/// A request. Its JSON is the body.
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub enum AlertRequest {
    Create(Box<CreateAlert>),
    Note(AlertNote),
    Close(AlertNote),
}

#[derive(Debug, Serialize)]
pub struct CreateAlert {
    message: String,
    alias: String,
    description: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    responders: Vec<BTreeMap<&'static str, String>>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    tags: Vec<String>,
    details: BTreeMap<&'static str, String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    entity: String,
    source: String,
    priority: &'static str,
}

#[derive(Debug, Serialize)]
pub struct AlertNote {
    /// A part of the path.
    #[serde(skip)]
    alias: String,
    note: String,
    source: String,
}

/// The body of a refusal.
#[derive(Deserialize)]
struct RequestProblem {
    message: String,
    #[serde(default)]
    errors: BTreeMap<String, String>,
}

/// The body of an acceptance.
#[derive(Deserialize)]
struct RequestReceipt {
    #[serde(rename = "requestId")]
    _request_id: String,
}

impl AlertIntegration {
    /// The API key, or `{"api_key": "…", "url": "https://api.opsgenie.com"}`.
    ///
    /// # Errors
    /// When the key cannot be part of a header, or the URL is not HTTPS.
    pub fn parse(credential: &Credential) -> Result<Self, CredentialError> {
        let api_key = credential.as_str().or_else(|| credential.field("api_key"));
        let shape = "an API key, or an object with an api_key";
        let api_key = word(api_key.ok_or(CredentialError::Shape(shape))?, "api_key")?;
        let url = parse_endpoint(credential.field("url").unwrap_or(URL_DEFAULT), PATH, "its url")?;
        Ok(Self { url, api_key: api_key.to_owned() })
    }

    fn request(&self, request: &AlertRequest) -> HttpRequest {
        let mut url = self.url.clone();
        let action = match request {
            AlertRequest::Create(_) => None,
            AlertRequest::Note(note) => Some((&note.alias, "notes")),
            AlertRequest::Close(note) => Some((&note.alias, "close")),
        };
        if let Some((alias, action)) = action {
            let mut path = url.path_segments_mut().expect("invariant: it is an HTTP URL");
            path.push(alias).push(action);
            drop(path);
            url.query_pairs_mut().append_pair("identifierType", "alias");
        }
        let authorization = authorization("GenieKey", &self.api_key);
        HttpRequest::json(Method::POST, url, request).authorized(&authorization)
    }

    async fn send<X: Exchange>(
        &self,
        attempt: &Attempt<'_, X>,
        request: &AlertRequest,
    ) -> Result<(), DeliverError> {
        let answer = attempt.send(self.request(request)).await;
        let answer = answer.map_err(|error| error.failure(SERVICE))?;
        self.outcome(&answer)
    }

    /// The documents say 202. 200 counts if the body is that of the service, and not of a proxy.
    fn outcome(&self, answer: &HttpAnswer) -> Result<(), DeliverError> {
        match answer.status {
            202 => return Ok(()),
            200 if answer.json::<RequestReceipt>().is_some() => return Ok(()),
            _ => {}
        }
        let problem: Option<RequestProblem> = answer.json();
        let detail = problem.map(|RequestProblem { message, errors }| {
            let errors = errors.iter().map(|(field, problem)| format!("{field}: {problem}"));
            let texts: Vec<String> = [message].into_iter().chain(errors).collect();
            quote(&texts.join("; "), &[&self.api_key])
        });
        Err(answer.failure(SERVICE, detail.as_deref()))
    }
}

impl fmt::Debug for AlertIntegration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AlertIntegration({}/…)", self.url.host_str().unwrap_or("?"))
    }
}

/// Sends the digest once.
///
/// # Errors
/// [`Retry`](DeliverError::Retry) after 429, 5xx, any 2xx or 3xx but 200 and 202, and a lost
/// connection; [`Denied`](DeliverError::Denied) after 401, 403, 404 and 410;
/// [`Refused`](DeliverError::Refused) after any other 4xx.
pub async fn deliver<X: Exchange>(
    attempt: &Attempt<'_, X>,
    integration: &AlertIntegration,
    settings: &JsmSettings,
) -> Result<Accepted, DeliverError> {
    let Attempt { stack, digest, joins, .. } = *attempt;
    let mut opened = None;
    for request in requests(stack, digest, joins, settings) {
        let outcome = integration.send(attempt, &request).await;
        match (request, outcome) {
            (AlertRequest::Create(alert), Ok(())) => opened = Some(alert.alias),
            (_, Ok(())) => {}
            (_, Err(error @ DeliverError::Retry { .. })) => return Err(error),
            // The alert has the digest already.
            (AlertRequest::Note(_), Err(error)) => {
                tracing::warn!(target = %digest.target, "The alert has no note of the digest: {error}");
            }
            (_, Err(error)) => return Err(error),
        }
    }
    let message = || Incidents::read(joins).after(digest).reference();
    let related = |alias| Related { name: format!("JSM {alias}"), url: None };
    Ok(Accepted { message: opened.is_some().then(message), related: opened.map(related) })
}

/// The requests for a digest: an alert and perhaps a note, or the ends of the alerts of a burst.
/// None for an empty digest that ends no burst, because it reports nothing.
pub fn requests(
    stack: &str,
    digest: &Digest,
    joins: Option<&str>,
    settings: &JsmSettings,
) -> Vec<AlertRequest> {
    let incidents = Incidents::read(joins);
    let content = compose(digest, &Budget::UNLIMITED);
    let note = |severity, note: &str| AlertNote {
        alias: alias(stack, digest, severity),
        note: truncated(note, DESCRIPTION_BYTES_MAX),
        source: source(stack),
    };
    if resolves(digest) {
        let close = |severity| AlertRequest::Close(note(severity, &content.headline));
        return incidents.to_resolve().into_iter().map(close).collect();
    }
    if digest.is_quiet() {
        return Vec::new();
    }
    let severity = incidents.severity(digest);
    let text = plain::mail(&content, WIDTH);
    let largest = digest.groups().first().copied();
    let create = CreateAlert {
        message: truncated(&content.notification, MESSAGE_BYTES_MAX),
        alias: alias(stack, digest, severity),
        description: truncated(&text, DESCRIPTION_BYTES_MAX),
        responders: settings.responders.iter().map(responder).collect(),
        tags: settings.tags.clone(),
        details: details(stack, digest),
        entity: largest.map(|(_, group)| entity(&group.sample)).unwrap_or_default(),
        source: source(stack),
        priority: priority(severity),
    };
    let mut requests = vec![AlertRequest::Create(Box::new(create))];
    if incidents.is_open(severity) {
        requests.push(AlertRequest::Note(note(severity, &text)));
    }
    requests
}

/// The key of the incident with `:`, because an alias is a part of a path.
fn alias(stack: &str, digest: &Digest, severity: Severity) -> String {
    key(stack, digest, severity, ALIAS_BYTES_MAX).replace('/', ":")
}

fn source(stack: &str) -> String {
    line(&format!("Stentor {stack}"), SOURCE_BYTES_MAX)
}

/// The app or, if it has no name, the log group.
fn entity(sample: &Sample) -> String {
    let name = if sample.app_name.trim().is_empty() { &sample.log_group } else { &sample.app_name };
    line(name, ENTITY_BYTES_MAX)
}

fn priority(severity: Severity) -> &'static str {
    match severity {
        Severity::Critical => "P1",
        Severity::Error => "P2",
        Severity::Warning => "P3",
        Severity::Info => "P5",
    }
}

fn responder(responder: &Responder) -> BTreeMap<&'static str, String> {
    let (kind, name) = match responder.kind {
        ResponderKind::Team => ("team", "name"),
        ResponderKind::User => ("user", "username"),
        ResponderKind::Schedule => ("schedule", "name"),
        ResponderKind::Escalation => ("escalation", "name"),
    };
    BTreeMap::from([("type", kind.to_owned()), (name, responder.name.clone())])
}

/// Facts for the rules of the service.
fn details(stack: &str, digest: &Digest) -> BTreeMap<&'static str, String> {
    let tally = &digest.tally;
    let time = |at: Option<Timestamp>| at.map(Timestamp::iso).unwrap_or_default();
    let related = digest.related.iter();
    let related = related.map(|Related { name, url }| match url {
        Some(url) => format!("{name} {url}"),
        None => name.clone(),
    });
    let links = digest.links.iter().map(|link| format!("{} {}", link.name, link.url));
    let details = [
        ("incident", digest.incident_id(stack)),
        ("stack", stack.to_owned()),
        ("route", digest.route.to_string()),
        ("severity", digest.severity.to_string()),
        ("alerts", tally.alerts.to_string()),
        ("first", time(tally.span.map(|span| span.first))),
        ("last", time(tally.span.map(|span| span.last))),
        ("accounts", names(&tally.accounts)),
        ("apps", names(&tally.apps)),
        ("log_groups", names(&tally.log_groups)),
        ("related", related.collect::<Vec<_>>().join(", ")),
        ("links", links.collect::<Vec<_>>().join(", ")),
    ];
    let details = details.map(|(name, text)| (name, line(&text, DETAIL_BYTES_MAX)));
    details.into_iter().filter(|(_, text)| !text.is_empty()).collect()
}

fn names(names: &Names) -> String {
    let names: Vec<&str> = names.seen.keys().map(String::as_str).collect();
    names.join(", ")
}

fn line(text: &str, bytes_max: usize) -> String {
    truncated(visible::line(text).trim(), bytes_max)
}

#[cfg(test)]
mod tests;
