//! Posts digests to Slack. An incoming webhook posts each digest as a message of its own. A bot
//! ([`bot`]) keeps one message per burst up to date and posts the digests into its thread.
//! [`layout`] makes the messages; `answer` reads Slack's answers; `error` decides what a failure
//! means.
//!
//! A webhook's URL and a token are credentials: no log, error or debug output has them.

use std::fmt;

use reqwest::{RequestBuilder, Response, Url};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::adapters::clock::SystemClock;
use crate::adapters::http::Http;
use crate::adapters::http::url::{UrlError, parse_base, parse_confidential};
use crate::config::Mention;
use crate::model::digest::Digest;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::notify::DeliverError;
use error::SlackFailure;
use layout::SlackMessage;

mod answer;
pub mod blocks;
pub mod bot;
mod error;
pub mod layout;
pub mod mentions;
mod snippet;

/// The URL of an incoming webhook. Prints as its host only.
#[derive(Clone)]
pub struct WebhookUrl(Url);

/// The base URL of the Web API, with a slash at its end.
#[derive(Clone, Debug)]
pub struct ApiUrl(Url);

/// Posts to webhooks and as a bot.
#[derive(Clone, Debug)]
pub struct Slack<C = SystemClock> {
    http: Http,
    api: ApiUrl,
    clock: C,
}

impl WebhookUrl {
    /// Takes HTTPS, and plain HTTP for a loopback address, where tests listen.
    ///
    /// # Errors
    /// When the text is not a URL, or the message would be sent unencrypted.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        parse_confidential(text, "the webhook").map(Self)
    }
}

impl ApiUrl {
    /// Takes HTTPS, and plain HTTP for a loopback address.
    ///
    /// # Errors
    /// When the text is not a URL, or tokens would be sent unencrypted.
    pub fn parse(text: &str) -> Result<Self, UrlError> {
        parse_base(text, "Slack's API").map(Self)
    }
}

impl Default for ApiUrl {
    fn default() -> Self {
        Self(Url::parse("https://slack.com/api/").expect("invariant: the literal is a URL"))
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({}/…)", self.0.host_str().unwrap_or("?"))
    }
}

impl<C> Slack<C> {
    pub fn new(http: impl Into<Http>, clock: C) -> Self {
        Self { http: http.into(), api: ApiUrl::default(), clock }
    }

    /// The client that sends.
    pub fn http(&self) -> Http {
        self.http.clone()
    }

    /// Bots use this API instead of the one at slack.com.
    pub fn with_api(self, api: ApiUrl) -> Self {
        Self { api, ..self }
    }
}

impl<C: Clock> Slack<C> {
    /// Posts the digest to a webhook once, with `mentions` above it. Returns before `deadline`.
    ///
    /// # Errors
    /// [`Retry`](DeliverError::Retry) after 429, 5xx, a lost connection, and a success or redirect
    /// that is not Slack's own `ok`; Slack may have posted the message all the same.
    /// [`Denied`](DeliverError::Denied) after 401, 403, 404 and 410.
    /// [`Refused`](DeliverError::Refused) after any other 4xx.
    pub async fn post(
        &self,
        webhook: &WebhookUrl,
        digest: &Digest,
        mentions: &[Mention],
        deadline: Deadline,
    ) -> Result<(), DeliverError> {
        let message = layout::render(digest).mentioning(mentions);
        Ok(self.post_to(webhook, &message, deadline).await?)
    }

    async fn post_to(
        &self,
        webhook: &WebhookUrl,
        message: &SlackMessage,
        deadline: Deadline,
    ) -> Result<(), SlackFailure> {
        let request = self.http.get()?.post(webhook.0.clone());
        let answer = self.send(request, message, deadline).await?;
        answer::check_webhook(answer, self.clock.now()).await
    }

    fn method(&self, name: &str) -> Url {
        self.api.0.join(name).expect("invariant: the name of a method is a relative URL")
    }

    /// Reads the answer of a method as `T`; `None` if it is something else.
    async fn read_method<T: DeserializeOwned>(
        &self,
        answer: Response,
    ) -> Result<Option<T>, SlackFailure> {
        let answer = answer::check_status(answer, self.clock.now()).await?;
        answer::read_method_as(answer, self.clock.now()).await
    }

    async fn check_upload(&self, answer: Response) -> Result<(), SlackFailure> {
        answer::check_status(answer, self.clock.now()).await.map(drop)
    }

    /// Sends `body` as JSON. Returns the answer if its status is 200.
    async fn send(
        &self,
        request: RequestBuilder,
        body: &impl Serialize,
        deadline: Deadline,
    ) -> Result<Response, SlackFailure> {
        let left = deadline.remaining(self.clock.now());
        let body = serde_json::to_vec(body).expect("invariant: a message is plain JSON data");
        let request = request
            .header("content-type", "application/json; charset=utf-8")
            .body(body)
            .timeout(left);
        let answer = request.send().await?;
        answer::check_status(answer, self.clock.now()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_https_or_loopback() {
        let cases = [
            ("https://hooks.slack.com/services/T0/B0/x", Ok(())),
            ("http://127.0.0.1:8080/x", Ok(())),
            ("http://[::1]:8080/x", Ok(())),
            ("http://localhost/x", Ok(())),
            ("http://hooks.slack.com/services/T0/B0/x", Err(UrlError::NotHttps("the webhook"))),
            ("http://127.0.0.1.example.com/x", Err(UrlError::NotHttps("the webhook"))),
            ("ftp://127.0.0.1/x", Err(UrlError::NotHttps("the webhook"))),
            ("hooks.slack.com", Err(UrlError::Invalid("the webhook"))),
            ("", Err(UrlError::Invalid("the webhook"))),
        ];
        for (text, expected) in cases {
            assert_eq!(WebhookUrl::parse(text).map(drop), expected, "{text}");
        }
    }

    #[test]
    fn a_webhook_does_not_print_its_path() {
        let webhook =
            WebhookUrl::parse("https://hooks.slack.com/services/T0/B0/topsecret").unwrap();
        assert_eq!(format!("{webhook:?}"), "WebhookUrl(hooks.slack.com/…)");
    }

    #[test]
    fn the_methods_of_an_api_are_below_its_url() {
        let method = |text: &str| {
            ApiUrl::parse(text).map(|api| api.0.join("chat.update").unwrap().to_string())
        };
        let cases = [
            ("https://slack-gov.com/api/", Ok("https://slack-gov.com/api/chat.update".to_owned())),
            ("https://slack-gov.com/api", Ok("https://slack-gov.com/api/chat.update".to_owned())),
            ("http://127.0.0.1:8080", Ok("http://127.0.0.1:8080/chat.update".to_owned())),
            ("http://slack.com/api/", Err(UrlError::NotHttps("Slack's API"))),
            ("slack.com/api", Err(UrlError::Invalid("Slack's API"))),
        ];
        for (text, expected) in cases {
            assert_eq!(method(text), expected, "{text}");
        }
    }
}
