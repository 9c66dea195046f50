//! One attempt to deliver a digest: what the adapter of every target needs.

use reqwest::header::{AUTHORIZATION, HeaderValue};
use thiserror::Error;

use crate::adapters::http::exchange::{Exchange, ExchangeError, HttpAnswer, HttpRequest};
use crate::adapters::http::url::UrlError;
use crate::adapters::slack::bot::BotError;
use crate::model::digest::Digest;
use crate::model::time::Timestamp;
use crate::protocol::clock::Deadline;

/// The arguments of an attempt.
pub struct Attempt<'a, X> {
    pub exchange: &'a X,
    /// The name of the stack, with which incidents of several stacks differ.
    pub stack: &'a str,
    pub digest: &'a Digest,
    /// The reference to the first message of the burst, as the adapter returned it.
    pub joins: Option<&'a str>,
    pub now: Timestamp,
    pub deadline: Deadline,
}

/// Why a credential cannot be used. The text does not repeat it.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum CredentialError {
    #[error("expected {0}")]
    Shape(&'static str),
    #[error("its {0} is empty, or has a character that it cannot have")]
    Field(&'static str),
    #[error(transparent)]
    Url(#[from] UrlError),
    #[error(transparent)]
    Bot(#[from] BotError),
}

impl<X: Exchange> Attempt<'_, X> {
    pub async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, ExchangeError> {
        self.exchange.exchange(request, self.deadline).await
    }

    /// The name of the incident that the digest is about.
    pub fn incident_id(&self) -> String {
        self.digest.incident_id(self.stack)
    }
}

/// Adds an `authorization` header, such as `GenieKey …`.
///
/// # Errors
/// When the key cannot be part of a header.
pub fn authorize(
    request: &mut HttpRequest,
    scheme: &str,
    key: &str,
) -> Result<(), CredentialError> {
    let mut value = HeaderValue::from_str(&format!("{scheme} {key}"))
        .map_err(|_| CredentialError::Field("key"))?;
    value.set_sensitive(true);
    request.headers.insert(AUTHORIZATION, value);
    Ok(())
}
