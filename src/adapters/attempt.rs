//! One attempt to deliver a digest: what the adapter of every target needs.

use crate::adapters::http::exchange::{Exchange, ExchangeError, HttpAnswer, HttpRequest};
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

impl<X: Exchange> Attempt<'_, X> {
    pub async fn send(&self, request: HttpRequest) -> Result<HttpAnswer, ExchangeError> {
        self.exchange.exchange(request, self.deadline).await
    }

    /// The name of the incident that the digest is about.
    pub fn incident_id(&self) -> String {
        self.digest.incident_id(self.stack)
    }
}
