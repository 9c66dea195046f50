//! One HTTP request and its answer, as a port. In production `reqwest` sends; in a simulation, a
//! stand-in of the service answers.
//!
//! A URL, a header and a body may hold credentials: no log, error or debug output has them.

use std::fmt;
use std::time::Duration;

use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderValue};
use reqwest::{Method, Url};
use thiserror::Error;

use super::{BODY_BYTES_MAX, Http, body, guard, retry_after};
use crate::model::truncate::truncated;
use crate::model::visible;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::notify::{DeliverError, DeliveryFailure, FailureCode};

/// The longest text of a service that becomes part of a reason, in bytes.
const QUOTE_BYTES_MAX: usize = 200;

/// A request. Prints its method and host only.
#[derive(Clone)]
pub struct HttpRequest {
    pub method: Method,
    pub url: Url,
    pub headers: HeaderMap,
    /// JSON; empty for a request without a body.
    pub body: Vec<u8>,
    /// Whether the status is the whole answer. Then the body is not read.
    pub is_status_enough: bool,
}

/// An answer of any status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpAnswer {
    pub status: u16,
    /// The wait that the answer asks for, at most an hour.
    pub retry_after: Option<Duration>,
    /// At most [`BODY_BYTES_MAX`]. Empty if the status is enough.
    pub body: Vec<u8>,
}

/// There is no answer. The service may have received the request all the same, unless it was
/// unreachable.
#[derive(Copy, Clone, Debug, Error, PartialEq, Eq)]
pub enum ExchangeError {
    #[error("did not answer in time")]
    TimedOut,
    #[error("could not be reached")]
    Unreachable,
    #[error("closed the connection before it answered")]
    ConnectionLost,
    /// The address of the host is one that webhooks may not be sent to.
    #[error("has a private address, which `allow_private` has to allow")]
    PrivateAddress,
}

/// Sends requests.
#[trait_variant::make(Send)]
pub trait Exchange: Send + Sync {
    /// Sends once. Returns before `deadline`, and follows no redirect.
    ///
    /// # Errors
    /// When no answer came.
    async fn exchange(
        &self,
        request: HttpRequest,
        deadline: Deadline,
    ) -> Result<HttpAnswer, ExchangeError>;
}

/// Sends with the client that all channels share.
#[derive(Clone, Debug)]
pub struct HttpExchange<C> {
    http: Http,
    clock: C,
}

impl HttpRequest {
    /// A request with a JSON body.
    pub fn json(method: Method, url: Url, body: &impl serde::Serialize) -> Self {
        let body = serde_json::to_vec(body).expect("invariant: a message is plain JSON data");
        Self { method, url, headers: HeaderMap::new(), body, is_status_enough: false }
    }

    /// The same with an `authorization` header.
    #[must_use]
    pub fn authorized(mut self, value: &HeaderValue) -> Self {
        self.headers.insert(AUTHORIZATION, value.clone());
        self
    }
}

/// The value of an `authorization` header, such as `Bearer …`. Prints without the key.
///
/// # Panics
/// When the key has other than ASCII characters, or one that controls.
pub fn authorization(scheme: &str, key: &str) -> HeaderValue {
    let value = HeaderValue::from_str(&format!("{scheme} {key}"));
    let mut value = value.expect("invariant: a key is one word of ASCII characters");
    value.set_sensitive(true);
    value
}

impl fmt::Debug for HttpRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = self.url.host_str().unwrap_or("?");
        write!(f, "HttpRequest({} {host}/…, {} bytes)", self.method, self.body.len())
    }
}

impl HttpAnswer {
    pub fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// The body, if it is a JSON document of this shape.
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> Option<T> {
        serde_json::from_slice(&self.body).ok()
    }

    /// The consequence of an answer that is no success, as most services mean it: a retry after
    /// 408, 423, 425, 429 and 5xx, and after a success or redirect that the service never sends;
    /// another credential after 401, 403, 404 and 410; the end after any other status. `detail` is
    /// what the service says about it: see [`quote`].
    pub fn failure(&self, service: &str, detail: Option<&str>) -> DeliverError {
        let status = self.status;
        let reason = match detail.filter(|detail| !detail.is_empty()) {
            Some(detail) => format!("{service} answered {status}: {detail}"),
            None => format!("{service} answered {status}"),
        };
        let failure = |text| DeliveryFailure::new(FailureCode::of_status(status), text);
        match status {
            408 | 423 | 425 | 429 | 500..=599 => {
                DeliverError::Retry { after: self.retry_after, reason: failure(reason) }
            }
            401 | 403 | 404 | 410 => DeliverError::Denied { reason: failure(reason) },
            200..=399 => DeliverError::Retry {
                after: self.retry_after,
                reason: failure(format!(
                    "the answer has status {status}, which {service} does not send: check the URL, and any proxy on the way"
                )),
            },
            _ => DeliverError::Refused { reason: failure(reason) },
        }
    }
}

impl ExchangeError {
    /// The delivery can be tried again.
    pub fn failure(self, service: &str) -> DeliverError {
        let reason = DeliveryFailure::new(self.code(), format!("{service} {self}"));
        match self {
            Self::PrivateAddress => DeliverError::Denied { reason },
            _ => DeliverError::Retry { after: None, reason },
        }
    }

    pub fn code(self) -> FailureCode {
        match self {
            Self::TimedOut => FailureCode::Timeout,
            Self::Unreachable | Self::ConnectionLost => FailureCode::Unreachable,
            Self::PrivateAddress => FailureCode::Auth,
        }
    }
}

/// What a service says, as a part of a reason: one line of at most 200 bytes, without the
/// `secrets` of the request, which some services repeat.
pub fn quote(text: &str, secrets: &[&str]) -> String {
    let secrets = secrets.iter().filter(|secret| !secret.is_empty());
    let text = secrets.fold(text.to_owned(), |text, secret| text.replace(secret, "…"));
    let line = visible::line(&text);
    truncated(&line, QUOTE_BYTES_MAX)
}

impl<C> HttpExchange<C> {
    pub fn new(http: impl Into<Http>, clock: C) -> Self {
        Self { http: http.into(), clock }
    }
}

impl<C: Clock> Exchange for HttpExchange<C> {
    async fn exchange(
        &self,
        request: HttpRequest,
        deadline: Deadline,
    ) -> Result<HttpAnswer, ExchangeError> {
        if self.http.is_public_only && guard::is_private_literal(&request.url) {
            return Err(ExchangeError::PrivateAddress);
        }
        let HttpRequest { method, url, mut headers, body: content, is_status_enough } = request;
        headers.values_mut().for_each(|value| value.set_sensitive(true));
        let mut call = self.http.get()?.request(method, url).headers(headers);
        if !content.is_empty() {
            call = call.header("content-type", "application/json; charset=utf-8").body(content);
        }
        let answer = call.timeout(deadline.remaining(self.clock.now())).send().await?;
        let status = answer.status().as_u16();
        let retry_after = retry_after(answer.headers(), self.clock.now());
        // The status of a failure says enough without a body.
        let mut content = Vec::new();
        if !is_status_enough {
            content = match body(answer, BODY_BYTES_MAX).await {
                Err(error) if status < 300 => return Err(error.into()),
                body => body.unwrap_or_default(),
            };
        }
        Ok(HttpAnswer { status, retry_after, body: content })
    }
}

/// The text of `reqwest`'s errors has the URL, which may be a credential; only the kind is kept.
impl From<reqwest::Error> for ExchangeError {
    fn from(error: reqwest::Error) -> Self {
        let kind = match &error {
            error if guard::is_private(error) => Self::PrivateAddress,
            error if error.is_timeout() => Self::TimedOut,
            error if error.is_connect() => Self::Unreachable,
            _ => Self::ConnectionLost,
        };
        tracing::debug!("The service {kind}: {:?}", error.without_url());
        kind
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_a_failure_agrees_with_its_consequence() {
        for status in 200..=599 {
            let answer = HttpAnswer { status, retry_after: None, body: Vec::new() };
            let (consequence, code) = match answer.failure("Slack", None) {
                DeliverError::Retry { reason, .. } => ("retry", reason.code),
                DeliverError::Denied { reason } => ("denied", reason.code),
                DeliverError::Refused { reason } => ("refused", reason.code),
                DeliverError::Deferred => panic!("{status}"),
            };
            let expected = match status {
                429 => ("retry", FailureCode::RateLimited),
                408 => ("retry", FailureCode::Timeout),
                423 | 425 => ("retry", FailureCode::Client),
                401 | 403 | 404 | 410 => ("denied", FailureCode::Auth),
                400..=499 => ("refused", FailureCode::Client),
                _ => ("retry", FailureCode::Server),
            };
            assert_eq!((consequence, code), expected, "{status}");
        }
    }
}
