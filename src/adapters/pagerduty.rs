//! Incidents at PagerDuty, through the Events API v2
//! (developer.pagerduty.com/docs/events-api-v2-overview). Each digest of a burst is one event. A
//! trigger joins the open incident of its key, so it can be repeated; the end of the burst resolves
//! what the burst has opened.
//!
//! PagerDuty opens a new incident for a trigger that comes after the resolution of its key. So the
//! key has the number of the burst, and no trigger of a burst follows its end
//! ([`Merging::Burst`](crate::model::name::Merging)). A digest without a burst, such as that of a
//! replayed dead letter, has a key of its own, and a person has to resolve its incident.

use std::fmt;
use std::time::Duration;

use reqwest::{Method, Url};
use serde::{Deserialize, Serialize};

use crate::adapters::attempt::Attempt;
use crate::adapters::http::exchange::{Exchange, HttpAnswer, HttpRequest, quote};
use crate::adapters::http::url::parse_endpoint;
use crate::adapters::incident::{Incidents, key, resolves};
use crate::adapters::secret::{Credential, CredentialError, word};
use crate::message::compose::{Budget, compose};
use crate::message::content::{Content, Link};
use crate::message::document::{Document, document};
use crate::model::burst::Related;
use crate::model::digest::Digest;
use crate::model::name::Severity;
use crate::model::tally::Sample;
use crate::model::time::Timestamp;
use crate::model::truncate::truncated;
use crate::model::visible;
use crate::protocol::notify::{Accepted, DeliverError};

const SERVICE: &str = "PagerDuty";

/// The service region of the United States.
const URL_DEFAULT: &str = "https://events.pagerduty.com";

const PATH: &str = "v2/enqueue";

const ROUTING_KEY_BYTES: usize = 32;

/// PagerDuty takes 255 characters.
const DEDUP_KEY_BYTES_MAX: usize = 255;

/// PagerDuty takes 1,024 characters.
const SUMMARY_BYTES_MAX: usize = 1_024;

/// No limit is documented for the other texts.
const FIELD_BYTES_MAX: usize = 255;

/// PagerDuty takes events of 512 KB. Its readers look at the first groups.
const DETAILS_BYTES_MAX: usize = 64_000;

const LINKS_MAX: usize = 10;

/// The wait after 429 without `Retry-After`: half of the minute over which PagerDuty counts.
const RATE_LIMIT_WAIT: Duration = Duration::from_secs(30);

/// Moments outside the years 2000 to 2099 are a mistake of their producer. PagerDuty uses its own
/// time instead.
const PLAUSIBLE_MS: std::ops::Range<i64> = 946_684_800_000..4_102_444_800_000;

/// An integration of a PagerDuty service. Prints the host only.
#[derive(Clone)]
pub struct Integration {
    url: Url,
    routing_key: String,
}

/// The body of a request, except for the routing key.
#[derive(Debug, Serialize)]
pub struct PagerDutyEvent {
    event_action: &'static str,
    dedup_key: String,
    #[serde(flatten)]
    trigger: Option<Trigger>,
}

/// The other fields of a trigger.
#[derive(Debug, Serialize)]
struct Trigger {
    payload: Payload,
    links: Vec<EventLink>,
    client: &'static str,
}

#[derive(Debug, Serialize)]
struct Payload {
    summary: String,
    source: String,
    severity: Severity,
    #[serde(skip_serializing_if = "Option::is_none")]
    timestamp: Option<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    component: String,
    group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    class: String,
    custom_details: Document,
}

#[derive(Debug, Serialize)]
struct EventLink {
    href: String,
    text: String,
}

#[derive(Serialize)]
struct Body<'a> {
    routing_key: &'a str,
    #[serde(flatten)]
    event: &'a PagerDutyEvent,
}

/// The body of a refusal.
#[derive(Deserialize)]
struct Refusal {
    #[serde(default)]
    message: String,
    #[serde(default)]
    errors: Vec<String>,
}

impl Integration {
    /// The routing key, or `{"routing_key": "…", "url": "https://events.eu.pagerduty.com"}`.
    ///
    /// # Errors
    /// When the key does not have 32 characters, or the URL is not HTTPS.
    pub fn parse(credential: &Credential) -> Result<Self, CredentialError> {
        let routing_key = credential.as_str().or_else(|| credential.field("routing_key"));
        let shape = "a routing key, or an object with a routing_key";
        let routing_key = word(routing_key.ok_or(CredentialError::Shape(shape))?, "routing_key")?;
        if routing_key.len() != ROUTING_KEY_BYTES {
            return Err(CredentialError::Field("routing_key", "does not have 32 characters"));
        }
        let url = parse_endpoint(credential.field("url").unwrap_or(URL_DEFAULT), PATH, "its url")?;
        Ok(Self { url, routing_key: routing_key.to_owned() })
    }

    fn request(&self, event: &PagerDutyEvent) -> HttpRequest {
        let body = Body { routing_key: &self.routing_key, event };
        HttpRequest::json(Method::POST, self.url.clone(), &body)
    }

    /// Only 202 says that PagerDuty has the event.
    fn outcome(&self, answer: &HttpAnswer) -> Result<(), DeliverError> {
        let refusal: Option<Refusal> = answer.json();
        let detail = refusal.map(|Refusal { message, errors }| {
            let mut texts = [vec![message], errors].concat();
            texts.retain(|text| !text.trim().is_empty());
            quote(&texts.join(": "), &[&self.routing_key])
        });
        match (answer.status, answer.failure(SERVICE, detail.as_deref())) {
            (202, _) => Ok(()),
            // Most likely the routing key: PagerDuty has no other status for one that it does not
            // know, and the rest of the body is within its limits.
            (400, DeliverError::Refused { reason }) => Err(DeliverError::Denied { reason }),
            (429, DeliverError::Retry { after, reason }) => {
                Err(DeliverError::Retry { after: after.or(Some(RATE_LIMIT_WAIT)), reason })
            }
            (_, failure) => Err(failure),
        }
    }
}

impl fmt::Debug for Integration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Integration({}/…)", self.url.host_str().unwrap_or("?"))
    }
}

/// Sends the digest once: one event, and for the end of a burst one for each severity that the burst
/// may have an incident for.
///
/// # Errors
/// [`Retry`](DeliverError::Retry) after 429, 5xx, any 2xx or 3xx but 202, and a lost connection;
/// [`Denied`](DeliverError::Denied) after 400, 401, 403, 404 and 410;
/// [`Refused`](DeliverError::Refused) after any other 4xx.
pub async fn deliver<X: Exchange>(
    attempt: &Attempt<'_, X>,
    integration: &Integration,
) -> Result<Accepted, DeliverError> {
    let Attempt { stack, digest, joins, .. } = *attempt;
    let mut opened = None;
    for event in events(stack, digest, joins) {
        let answer = attempt.send(integration.request(&event)).await;
        integration.outcome(&answer.map_err(|error| error.failure(SERVICE))?)?;
        opened = event.trigger.and(Some(event.dedup_key));
    }
    let message = || Incidents::read(joins).after(digest).reference();
    let related = |key| Related { name: format!("{SERVICE} {key}"), url: None };
    Ok(Accepted { message: opened.is_some().then(message), related: opened.map(related) })
}

/// The events for a digest: one trigger, or the resolutions. None for an empty digest that ends no
/// burst, because it reports nothing.
pub fn events(stack: &str, digest: &Digest, joins: Option<&str>) -> Vec<PagerDutyEvent> {
    let incidents = Incidents::read(joins);
    let dedup_key = |severity| key(stack, digest, severity, DEDUP_KEY_BYTES_MAX);
    if resolves(digest) {
        let resolve = |severity| PagerDutyEvent {
            event_action: "resolve",
            dedup_key: dedup_key(severity),
            trigger: None,
        };
        return incidents.to_resolve().into_iter().map(resolve).collect();
    }
    if digest.is_quiet() {
        return Vec::new();
    }
    let severity = incidents.severity(digest);
    vec![PagerDutyEvent {
        event_action: "trigger",
        dedup_key: dedup_key(severity),
        trigger: Some(trigger(stack, digest, severity)),
    }]
}

fn trigger(stack: &str, digest: &Digest, severity: Severity) -> Trigger {
    let content = compose(digest, &Budget::UNLIMITED);
    let largest = digest.groups().first().copied();
    let sample = largest.map(|(_, group)| &group.sample);
    let first = digest.tally.span.map(|span| span.first);
    let payload = Payload {
        summary: truncated(&content.notification, SUMMARY_BYTES_MAX),
        source: sample.map_or_else(|| field(stack), source),
        severity,
        timestamp: first.filter(is_plausible).map(Timestamp::iso),
        component: sample.map(|sample| field(&sample.app_name)).unwrap_or_default(),
        group: field(digest.route.as_str()),
        class: largest.map(|(pattern, _)| field(pattern)).unwrap_or_default(),
        custom_details: document(stack, digest, DETAILS_BYTES_MAX),
    };
    Trigger { payload, links: links(digest, &content), client: "Stentor" }
}

/// Where the sample was logged: `111122223333 eu-west-1 /ecs/orders`.
fn source(sample: &Sample) -> String {
    let region = sample.region.as_deref().unwrap_or_default();
    let parts = [&*sample.account_id, region, &*sample.log_group];
    let known: Vec<&str> = parts.into_iter().filter(|part| !part.trim().is_empty()).collect();
    match known.is_empty() {
        true => "unknown".to_owned(),
        false => field(&known.join(" ")),
    }
}

/// The links of the message, and links to the incidents of other targets, and to the log events of the groups.
fn links(digest: &Digest, content: &Content) -> Vec<EventLink> {
    let related = digest.related.iter().filter_map(|related| {
        Some(EventLink { href: related.url.clone()?, text: field(&related.name) })
    });
    let linked = |link: &Option<Link>, place: &str| {
        let Link { url, text } = link.clone()?;
        Some(EventLink { href: url, text: field(&format!("{text}: {place}")) })
    };
    let groups = content.groups.iter();
    let groups = groups.filter_map(|group| linked(&group.link, &group.place.to_string()));
    let more = content.more_groups.iter();
    let more = more.filter_map(|group| linked(&group.link, &format!("account {}", group.account)));
    let own = content.all_links();
    let own = own.map(|link| EventLink { href: link.url.clone(), text: field(&link.text) });
    own.chain(related).chain(groups).chain(more).take(LINKS_MAX).collect()
}

fn is_plausible(at: &Timestamp) -> bool {
    PLAUSIBLE_MS.contains(&at.as_millis())
}

/// One line that fits a field.
fn field(text: &str) -> String {
    truncated(visible::line(text).trim(), FIELD_BYTES_MAX)
}

#[cfg(test)]
mod tests;
