//! Microsoft Teams through a workflow of Power Automate ("Post to a channel when a webhook request
//! is received"). The workflow accepts a request before it posts the card, and drops a card that it
//! cannot post. So the card has only elements that need no markup, and stays below the limits.

use reqwest::Method;
use serde_json::{Value, json};

use crate::adapters::attempt::Attempt;
use crate::adapters::chat::ChatUrl;
use crate::adapters::http::exchange::{Exchange, HttpRequest};
use crate::config::{TeamsSettings, TeamsShape};
use crate::message::compose::{Budget, compose};
use crate::message::content::{Content, GroupDetail, Inline, Link, Status};
use crate::model::digest::Digest;
use crate::model::name::Severity;
use crate::protocol::notify::{Accepted, DeliverError};

/// Teams refuses a message of about 28 KB (learn.microsoft.com/connectors/teams).
const CARD_BYTES_MAX: usize = 24_000;

/// The envelope, and the count of the groups that are left out.
const END_BYTES: usize = 1_000;

const BUDGET: Budget = Budget {
    size: |content| card(content).to_string().len(),
    size_max: CARD_BYTES_MAX - END_BYTES,
};

const SERVICE: &str = "Teams";

/// Posts the digest once. [`Accepted`] means that the workflow has it.
///
/// # Errors
/// [`Retry`](DeliverError::Retry) after 429, 5xx and a lost connection;
/// [`Denied`](DeliverError::Denied) after 401, 403, 404 and 410;
/// [`Refused`](DeliverError::Refused) after any other 4xx.
pub async fn deliver<X: Exchange>(
    attempt: &Attempt<'_, X>,
    workflow: &ChatUrl,
    settings: TeamsSettings,
) -> Result<Accepted, DeliverError> {
    let body = body(attempt.digest, settings);
    let request = HttpRequest::json(Method::POST, workflow.url().clone(), &body);
    let answer = attempt.send(request).await.map_err(|error| error.failure(SERVICE))?;
    match answer.status {
        202 => Ok(Accepted::default()),
        400 => Err(answer.failure(SERVICE, Some(wrong_shape(settings)))),
        _ => Err(answer.failure(SERVICE, None)),
    }
}

fn wrong_shape(settings: TeamsSettings) -> &'static str {
    match settings.shape {
        TeamsShape::Message => "the workflow may expect shape = \"card\"",
        TeamsShape::Card => "the workflow may expect shape = \"message\"",
    }
}

/// The body of the request.
pub fn body(digest: &Digest, settings: TeamsSettings) -> Value {
    let content = compose(digest, &BUDGET);
    let card = card(&content);
    match settings.shape {
        TeamsShape::Card => card,
        TeamsShape::Message => json!({
            "type": "message",
            "summary": content.notification,
            "attachments": [{
                "contentType": "application/vnd.microsoft.card.adaptive",
                "contentUrl": null,
                "content": card,
            }],
        }),
    }
}

fn card(content: &Content) -> Value {
    let color = match content.status {
        Status::Quiet => "good",
        Status::Alerting(Severity::Critical | Severity::Error) => "attention",
        Status::Alerting(Severity::Warning) => "warning",
        Status::Alerting(Severity::Info) => "accent",
    };
    let headline = json!({"type": "TextRun", "text": content.headline, "weight": "bolder", "size": "large", "color": color});
    let facts = content.facts.lines().filter_map(|line| text(line));
    let more = content.more_groups.iter().filter_map(|group| text(&group.line()));
    let left_out = content.left_out.and_then(|left_out| text(&left_out.line()));
    let reference = json!({"type": "TextRun", "text": content.reference.to_string(), "size": "small", "isSubtle": true});
    let body: Vec<Value> = [rich_text(vec![headline])]
        .into_iter()
        .chain(facts)
        .chain(actions(content.all_links()))
        .chain(content.groups.iter().flat_map(group))
        .chain(more)
        .chain(left_out)
        .chain([rich_text(vec![reference])])
        .collect();
    json!({
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.2",
        // The line of the notification.
        "fallbackText": content.notification,
        "body": body,
        "msteams": {"width": "full"},
    })
}

/// A group: its summary and excerpt, then where the excerpt was logged.
fn group(group: &GroupDetail) -> Vec<Value> {
    let mut elements: Vec<Value> = text(&group.summary).into_iter().collect();
    if !group.excerpt.trim().is_empty() {
        // A run does not break lines everywhere.
        let items: Vec<Value> =
            group.excerpt.lines().filter(|line| !line.is_empty()).map(excerpt_line).collect();
        elements.push(json!({"type": "Container", "style": "emphasis", "items": items}));
    }
    let place = json!({"type": "TextRun", "text": group.place.to_string(), "size": "small", "isSubtle": true});
    elements.push(rich_text(vec![place]));
    elements.extend(actions(&group.link));
    elements
}

/// A button for each link; none without links.
fn actions<'l>(links: impl IntoIterator<Item = &'l Link>) -> Option<Value> {
    let open = |link: &Link| json!({"type": "Action.OpenUrl", "title": link.text, "url": link.url});
    let actions: Vec<Value> = links.into_iter().map(open).collect();
    (!actions.is_empty()).then(|| json!({"type": "ActionSet", "actions": actions}))
}

fn excerpt_line(line: &str) -> Value {
    let run = json!({"type": "TextRun", "text": line, "fontType": "monospace", "size": "small"});
    json!({"type": "RichTextBlock", "spacing": "none", "inlines": [run]})
}

/// Text runs have no markup, unlike a text block. An empty one is not valid.
fn text(line: &[Inline]) -> Option<Value> {
    let runs: Vec<Value> = line.iter().filter_map(run).collect();
    (!runs.is_empty()).then(|| rich_text(runs))
}

fn rich_text(inlines: Vec<Value>) -> Value {
    json!({"type": "RichTextBlock", "inlines": inlines})
}

fn run(inline: &Inline) -> Option<Value> {
    let text = inline.as_str();
    Some(match inline {
        _ if text.is_empty() => return None,
        Inline::Plain(_) | Inline::LocalTime { .. } => json!({"type": "TextRun", "text": text}),
        Inline::Strong(_) => json!({"type": "TextRun", "text": text, "weight": "bolder"}),
        Inline::Code(_) => json!({"type": "TextRun", "text": text, "fontType": "monospace"}),
        Inline::Link(link) => {
            let open = json!({"type": "Action.OpenUrl", "url": link.url});
            json!({"type": "TextRun", "text": text, "selectAction": open})
        }
    })
}
