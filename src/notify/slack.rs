//! Slack by incoming webhook. What is said stands in [`render`]; here it is sent, and Slack's answer is
//! turned into what to do next. The webhook's URL is the credential: it is never logged, shown or
//! part of an error.

use std::fmt;
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{StatusCode, Url};
use thiserror::Error;

use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::digest::Digest;
use crate::notify::DeliverError;

pub mod render;
pub mod terminal;

/// Where an incoming webhook listens. Prints as its host only.
#[derive(Clone)]
pub struct WebhookUrl(Url);

/// A text is no webhook that messages may be sent to. The text is not repeated: it may hold a credential.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BadWebhook {
    #[error("the webhook is not a URL")]
    NotAUrl,
    #[error("the webhook must be an https:// URL")]
    NotHttps,
}

/// Sends to webhooks.
#[derive(Clone, Debug)]
pub struct Slack {
    http: reqwest::Client,
}

impl WebhookUrl {
    /// HTTPS only; plain HTTP is allowed to this machine itself, where tests listen.
    ///
    /// # Errors
    /// When the text is no URL, or its scheme would send the message in the clear.
    pub fn parse(text: &str) -> Result<Self, BadWebhook> {
        let url = Url::parse(text.trim()).map_err(|_| BadWebhook::NotAUrl)?;
        let is_loopback = match url.host_str() {
            Some("localhost") => true,
            Some(host) => host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
            None => return Err(BadWebhook::NotAUrl),
        };
        match url.scheme() {
            "https" => Ok(Self(url)),
            "http" if is_loopback => Ok(Self(url)),
            _ => Err(BadWebhook::NotHttps),
        }
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({}/…)", self.0.host_str().unwrap_or("?"))
    }
}

impl Slack {
    pub fn new(http: reqwest::Client) -> Self {
        Self { http }
    }

    /// Posts the digest once, and is done or has given up by `deadline`.
    ///
    /// # Errors
    /// 429, 5xx and a lost connection are worth a retry (Slack may have shown the message all the same:
    /// a 5xx says nothing about that); 401, 403, 404 and 410 speak of the webhook; anything else but 200 is final.
    pub async fn post(&self, webhook: &WebhookUrl, digest: &Digest, deadline: Timestamp) -> Result<(), DeliverError> {
        let left = SystemClock.now().until(deadline);
        let body = serde_json::to_vec(&render::render(digest)).expect("invariant: a message is plain JSON data");
        let request = self
            .http
            .post(webhook.0.clone())
            .header("content-type", "application/json; charset=utf-8")
            .body(body)
            .timeout(left);
        let answer = request.send().await.map_err(lost)?;
        let (status, after) = (answer.status(), retry_after(answer.headers()));
        let reason = || async {
            format!("Slack answered {}: {}", status.as_u16(), word_of(&answer.text().await.unwrap_or_default()))
        };
        match status {
            StatusCode::OK => Ok(()),
            StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => {
                Err(DeliverError::Retry { after, reason: reason().await })
            }
            status if status.is_server_error() => Err(DeliverError::Retry { after, reason: reason().await }),
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
                Err(DeliverError::Denied { reason: reason().await })
            }
            _ => Err(DeliverError::Refused { reason: reason().await }),
        }
    }
}

/// A connection that failed. `reqwest` puts the URL into its errors; it comes out here.
fn lost(error: reqwest::Error) -> DeliverError {
    let what = match &error {
        error if error.is_timeout() => "Slack did not answer in time",
        error if error.is_connect() => "Slack could not be reached",
        _ => "the connection to Slack was lost",
    };
    tracing::debug!("{what}: {:?}", error.without_url());
    DeliverError::Retry { after: None, reason: what.to_owned() }
}

/// Seconds, as Slack sends them. An absurd value is cut to an hour: the message waits, it is not given up.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_hours(1);
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST))
}

/// Slack's error word (`no_service`, `invalid_payload`). Anything else, a proxy's page for one, is not repeated.
fn word_of(body: &str) -> &str {
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
    match body.trim() {
        word if (1..=64).contains(&word.len()) && word.chars().all(is_word) => word,
        _ => "no known error word",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_https_or_on_this_machine() {
        let cases = [
            ("https://hooks.slack.com/services/T0/B0/x", Ok(())),
            ("http://127.0.0.1:8080/x", Ok(())),
            ("http://[::1]:8080/x", Ok(())),
            ("http://localhost/x", Ok(())),
            ("http://hooks.slack.com/services/T0/B0/x", Err(BadWebhook::NotHttps)),
            ("http://127.0.0.1.example.com/x", Err(BadWebhook::NotHttps)),
            ("ftp://127.0.0.1/x", Err(BadWebhook::NotHttps)),
            ("hooks.slack.com", Err(BadWebhook::NotAUrl)),
            ("", Err(BadWebhook::NotAUrl)),
        ];
        for (text, expected) in cases {
            assert_eq!(WebhookUrl::parse(text).map(drop), expected, "{text}");
        }
    }

    #[test]
    fn a_webhook_does_not_print_its_path() {
        let webhook = WebhookUrl::parse("https://hooks.slack.com/services/T0/B0/topsecret").expect("a good one");
        assert_eq!(format!("{webhook:?}"), "WebhookUrl(hooks.slack.com/…)");
    }
}
