//! Slack, spoken to in two ways: an incoming webhook takes each message as a new one; with a bot's token ([`bot`])
//! a burst is one message in the channel that is kept up to date, and each digest a reply in its thread. What is said
//! stands in [`layout`], what Slack's answers mean in `answer`. A webhook's URL and a token are credentials: they are
//! never logged, shown or part of an error.

use std::fmt;

use reqwest::{RequestBuilder, Response, Url};
use serde::Serialize;
use thiserror::Error;

use crate::adapters::clock::SystemClock;
use crate::adapters::http::Http;
use crate::model::digest::Digest;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::notify::DeliverError;

mod answer;
pub mod blocks;
pub mod bot;
pub mod layout;

/// Where an incoming webhook listens. Prints as its host only.
#[derive(Clone)]
pub struct WebhookUrl(Url);

/// Where the methods of the Web API are, with a slash at its end.
#[derive(Clone, Debug)]
pub struct ApiUrl(Url);

/// A text is no place that messages may be sent to. The text is not repeated: it may hold a credential.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum BadUrl {
    #[error("{0} is not a URL")]
    NotAUrl(&'static str),
    #[error("{0} must be an https:// URL")]
    NotHttps(&'static str),
}

/// Sends to webhooks, and as a bot.
#[derive(Clone, Debug)]
pub struct Slack {
    http: Http,
    api: ApiUrl,
}

impl WebhookUrl {
    /// HTTPS only; plain HTTP is allowed to this machine itself, where tests listen.
    ///
    /// # Errors
    /// When the text is no URL, or its scheme would send the message in the clear.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        confidential(text, "the webhook").map(Self)
    }
}

impl ApiUrl {
    /// As for a webhook: HTTPS, or this machine itself.
    ///
    /// # Errors
    /// When the text is no URL, or its scheme would send tokens in the clear.
    pub fn parse(text: &str) -> Result<Self, BadUrl> {
        let mut url = confidential(text, "Slack's API")?;
        if !url.path().ends_with('/') {
            url.set_path(&format!("{}/", url.path()));
        }
        Ok(Self(url))
    }
}

impl Default for ApiUrl {
    fn default() -> Self {
        Self(Url::parse("https://slack.com/api/").expect("invariant: it is a URL"))
    }
}

/// A URL behind which nobody on the way reads along. `what` names it in the error.
fn confidential(text: &str, what: &'static str) -> Result<Url, BadUrl> {
    let url = Url::parse(text.trim()).map_err(|_| BadUrl::NotAUrl(what))?;
    let is_loopback = match url.host_str() {
        Some("localhost") => true,
        Some(host) => host.trim_matches(['[', ']']).parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback()),
        None => return Err(BadUrl::NotAUrl(what)),
    };
    match url.scheme() {
        "https" => Ok(url),
        "http" if is_loopback => Ok(url),
        _ => Err(BadUrl::NotHttps(what)),
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({}/…)", self.0.host_str().unwrap_or("?"))
    }
}

impl Slack {
    pub fn new(http: impl Into<Http>) -> Self {
        Self { http: http.into(), api: ApiUrl::default() }
    }

    /// Bots speak to this API, and not to that of slack.com.
    pub fn with_api(self, api: ApiUrl) -> Self {
        Self { api, ..self }
    }

    /// Posts the digest to a webhook once, and is done or has given up by `deadline`.
    ///
    /// # Errors
    /// 429, 5xx and a lost connection are worth a retry (Slack may have shown the message all the same:
    /// a 5xx says nothing about that), and so is a success or a redirect that is not Slack's own `ok`; 401, 403, 404 and
    /// 410 speak of the webhook; any other 4xx is final.
    pub async fn post(&self, webhook: &WebhookUrl, digest: &Digest, deadline: Deadline) -> Result<(), DeliverError> {
        let request = self.http.get().map_err(answer::lost)?.post(webhook.0.clone());
        answer::of_webhook(send(request, &layout::render(digest), deadline).await?).await
    }
}

/// The answer to `body`, if its status is that of success.
async fn send(request: RequestBuilder, body: &impl Serialize, deadline: Deadline) -> Result<Response, DeliverError> {
    let left = deadline.remaining(SystemClock.now());
    let body = serde_json::to_vec(body).expect("invariant: a message is plain JSON data");
    let request = request.header("content-type", "application/json; charset=utf-8").body(body).timeout(left);
    answer::successful(request.send().await.map_err(answer::lost)?).await
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
            ("http://hooks.slack.com/services/T0/B0/x", Err(BadUrl::NotHttps("the webhook"))),
            ("http://127.0.0.1.example.com/x", Err(BadUrl::NotHttps("the webhook"))),
            ("ftp://127.0.0.1/x", Err(BadUrl::NotHttps("the webhook"))),
            ("hooks.slack.com", Err(BadUrl::NotAUrl("the webhook"))),
            ("", Err(BadUrl::NotAUrl("the webhook"))),
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

    #[test]
    fn an_api_is_confidential_too_and_its_methods_are_below_it() {
        let method = |text: &str| ApiUrl::parse(text).map(|api| api.0.join("chat.update").unwrap().to_string());
        let cases = [
            ("https://slack-gov.com/api/", Ok("https://slack-gov.com/api/chat.update".to_owned())),
            ("https://slack-gov.com/api", Ok("https://slack-gov.com/api/chat.update".to_owned())),
            ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080/chat.update".to_owned())),
            ("http://slack.com/api/", Err(BadUrl::NotHttps("Slack's API"))),
            ("slack.com/api", Err(BadUrl::NotAUrl("Slack's API"))),
        ];
        for (text, expected) in cases {
            assert_eq!(method(text), expected, "{text}");
        }
    }
}
