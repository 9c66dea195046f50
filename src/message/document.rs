//! A digest as a JSON document, for programs: the body of a signed webhook, and what SNS sends to
//! queues and functions. `docs/webhook.schema.json` describes it; a test compares the two.

use std::collections::BTreeMap;

use serde::Serialize;

use super::compose::{self, Budget};
use super::console_link::console_url;
use super::plain;
use crate::model::digest::Digest;
use crate::model::history::News;
use crate::model::name::Severity;
use crate::model::pattern::pattern_id;
use crate::model::tally::{Group, Names};
use crate::model::truncate::truncated;
use crate::model::visible;

/// The version of the document. It changes with a field that is renamed or removed, or whose
/// meaning changes; a new field leaves it as it is.
pub const DOCUMENT_VERSION: u32 = 1;

/// The longest message of a sample, in bytes.
const MESSAGE_BYTES_MAX: usize = 1_024;

/// The longest text for people, in bytes.
const TEXT_BYTES_MAX: usize = 3_000;

/// The most that the names of one kind take, in bytes of JSON.
const NAMES_BYTES_MAX: usize = 1_500;

/// Characters per line of the text, and the unit of the limits for names.
const WIDTH: usize = 100;

/// The content of a message, as data.
#[derive(Clone, Debug, Serialize)]
pub struct Document {
    pub version: u32,
    /// The name of the incident: `STACK/ROUTE/BURST`.
    pub incident: String,
    pub route: String,
    pub target: String,
    pub severity: &'static str,
    /// `alerting`, or `over` for the end of a burst.
    pub status: &'static str,
    /// First and last epoch of the route that the message covers.
    pub epochs: [u64; 2],
    /// The headline, for people.
    pub title: String,
    /// One line for people.
    pub summary: String,
    /// The message for people, as plain text.
    pub text: String,
    /// How many alerts the message is about: the sum over `groups` and `other_alerts`.
    pub alerts: u64,
    pub first: Option<String>,
    pub last: Option<String>,
    pub burst: Option<DocumentBurst>,
    /// Alerts that were not delivered because the route was muted.
    pub muted: u64,
    /// Alerts of the message that were held until the threshold of the route was reached.
    pub held: u64,
    /// Alerts before them that did not reach the threshold, and are in no message.
    pub below_threshold: u64,
    /// Summaries that are missing in the outbox; no message counts their alerts.
    pub lost_epochs: u64,
    /// Why a fallback gets the message.
    pub fallback_reason: Option<String>,
    /// Alerts by marker.
    pub markers: BTreeMap<String, u64>,
    /// Alerts by severity, on a route that sets severities by conditions; empty on any other.
    pub severities: BTreeMap<Severity, u64>,
    pub accounts: BTreeMap<String, u64>,
    pub apps: BTreeMap<String, u64>,
    pub log_groups: BTreeMap<String, u64>,
    /// The groups of similar alerts: first the worst, then those that are news, then the largest.
    pub groups: Vec<DocumentGroup>,
    /// Alerts of groups for which there was no room.
    pub other_alerts: u64,
    /// The things that other targets opened for the same burst.
    pub related: Vec<DocumentRelated>,
    /// The links that the route gives to readers, and a query of CloudWatch Logs Insights for the
    /// first group.
    pub links: Vec<DocumentLink>,
}

/// The burst that the alerts are part of, as far as known.
#[derive(Clone, Debug, Serialize)]
pub struct DocumentBurst {
    pub number: u64,
    pub since: String,
    pub until: String,
    /// Alerts since it began, including those of the message.
    pub alerts: u64,
}

/// Similar alerts.
#[derive(Clone, Debug, Serialize)]
pub struct DocumentGroup {
    /// The statement, with `<…>` where the alerts differ.
    pub pattern: String,
    /// The id of the pattern, as in links and in `stentor patterns`.
    pub pattern_id: String,
    /// `new`, `back` or `spike`, if alerts of the pattern are news.
    pub news: Option<&'static str>,
    pub alerts: u64,
    /// The worst severity of its alerts; `None` on a route that sets none by conditions.
    pub severity: Option<Severity>,
    pub first: String,
    pub last: String,
    pub accounts: BTreeMap<String, u64>,
    pub apps: BTreeMap<String, u64>,
    pub sample: DocumentSample,
}

/// The first alert of a group.
#[derive(Clone, Debug, Serialize)]
pub struct DocumentSample {
    /// The id of the log event.
    pub id: String,
    pub time: String,
    pub marker: String,
    /// The text of the log event, at most 1,024 bytes. Characters that hide or reorder text are
    /// spelled out, because some services show it to people.
    pub message: String,
    pub account: String,
    pub region: Option<String>,
    pub log_group: String,
    pub log_stream: String,
    pub app: String,
    /// A link to the CloudWatch console.
    pub url: Option<String>,
}

/// A thing that another target opened.
#[derive(Clone, Debug, Serialize)]
pub struct DocumentRelated {
    pub name: String,
    pub url: Option<String>,
}

/// A link for people.
#[derive(Clone, Debug, Serialize)]
pub struct DocumentLink {
    pub name: String,
    pub url: String,
}

/// The document of `digest`, with as many groups as fit `bytes_max` bytes of JSON. A document
/// without groups has at most about 17 KB.
pub fn document(stack: &str, digest: &Digest, bytes_max: usize) -> Document {
    let mut document = without_groups(stack, digest);
    for (pattern, group) in digest.groups() {
        document.groups.push(self::group(digest, pattern, group));
        document.other_alerts -= group.alerts;
        if json_len(&document) > bytes_max {
            document.groups.pop();
            document.other_alerts += group.alerts;
            break;
        }
    }
    document
}

fn without_groups(stack: &str, digest: &Digest) -> Document {
    let content = compose::compose(digest, &Budget::UNLIMITED);
    let tally = &digest.tally;
    let burst = digest.burst.map(|burst| DocumentBurst {
        number: burst.number,
        since: burst.since.iso(),
        until: burst.until.iso(),
        alerts: burst.alerts,
    });
    let related = digest.related.iter();
    let related = related.map(|other| DocumentRelated {
        name: truncated(&other.name, WIDTH),
        url: other.url.clone(),
    });
    let links = content.all_links();
    let links =
        links.map(|link| DocumentLink { name: link.text.to_string(), url: link.url.clone() });
    Document {
        version: DOCUMENT_VERSION,
        incident: digest.incident_id(stack),
        route: digest.route.to_string(),
        target: digest.target.to_string(),
        severity: digest.severity.as_str(),
        status: if digest.ends_burst { "over" } else { "alerting" },
        epochs: [digest.epochs.0, digest.epochs.1],
        title: content.headline.clone(),
        summary: content.notification.clone(),
        text: truncated(&plain::mail(&content, WIDTH), TEXT_BYTES_MAX),
        alerts: tally.alerts,
        first: tally.span.map(|span| span.first.iso()),
        last: tally.span.map(|span| span.last.iso()),
        burst,
        muted: digest.muted,
        held: digest.held.map_or(0, |held| held.included),
        below_threshold: digest.held.map_or(0, |held| held.left_out),
        lost_epochs: digest.lost_epochs,
        fallback_reason: digest.escalated.as_deref().map(|reason| truncated(reason, 4 * WIDTH)),
        markers: most_frequent(&tally.markers),
        severities: tally.severities.clone(),
        accounts: names(&tally.accounts),
        apps: names(&tally.apps),
        log_groups: names(&tally.log_groups),
        groups: Vec::new(),
        other_alerts: tally.alerts,
        related: related.collect(),
        links: links.collect(),
    }
}

fn group(digest: &Digest, pattern: &str, group: &Group) -> DocumentGroup {
    let sample = &group.sample;
    DocumentGroup {
        pattern: truncated(&visible::line(pattern), MESSAGE_BYTES_MAX),
        pattern_id: pattern_id(pattern),
        news: digest.tally.news_of(pattern).map(News::code),
        alerts: group.alerts,
        severity: group.severity(),
        first: group.span.first.iso(),
        last: group.span.last.iso(),
        accounts: names(&group.accounts),
        apps: names(&group.apps),
        sample: DocumentSample {
            id: sample.id.clone(),
            time: sample.timestamp.iso(),
            marker: truncated(&sample.marker, 2 * WIDTH),
            message: truncated(&visible::text(&sample.message), MESSAGE_BYTES_MAX),
            account: truncated(&sample.account_id, WIDTH),
            region: sample.region.as_deref().map(|region| truncated(region, WIDTH)),
            log_group: truncated(&sample.log_group, 6 * WIDTH),
            log_stream: truncated(&sample.log_stream, 6 * WIDTH),
            app: truncated(&sample.app_name, 2 * WIDTH),
            url: console_url(sample).filter(|url| url.len() <= compose::URL_BYTES_MAX),
        },
    }
}

fn names(names: &Names) -> BTreeMap<String, u64> {
    most_frequent(&names.seen)
}

/// The most frequent names, as many as fit.
fn most_frequent(names: &BTreeMap<String, u64>) -> BTreeMap<String, u64> {
    let mut names: Vec<(&String, u64)> = names.iter().map(|(name, n)| (name, *n)).collect();
    names.sort_by(|(a, x), (b, y)| (y, a).cmp(&(x, b)));
    let mut left = NAMES_BYTES_MAX;
    let names = names.into_iter().map(|(name, n)| (truncated(name, 2 * WIDTH), n));
    names
        .take_while(|(name, _)| {
            let bytes = json_len(name) + 24;
            let fits = bytes <= left;
            left = left.saturating_sub(bytes);
            fits
        })
        .collect()
}

fn json_len(value: &impl Serialize) -> usize {
    serde_json::to_vec(value).map_or(usize::MAX, |json| json.len())
}
