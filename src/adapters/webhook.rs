//! Signed webhooks as Standard Webhooks 1.0.0 describes them
//! (github.com/standard-webhooks/standard-webhooks). The id of a message stays the same however
//! often it is sent, so a receiver that stores ids gets every message exactly once.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use reqwest::header::{HeaderName, HeaderValue};
use reqwest::{Method, Url};
use ring::hmac;
use serde::Serialize;

use crate::adapters::attempt::Attempt;
use crate::adapters::http::exchange::{Exchange, HttpRequest};
use crate::adapters::http::url::parse_confidential;
use crate::adapters::secret::{Credential, CredentialError};
use crate::message::document::{Document, document};
use crate::model::digest::Digest;
use crate::model::time::Timestamp;
use crate::protocol::notify::{Accepted, DeliverError};

/// The specification recommends less than 20 KB for the whole body.
const DOCUMENT_BYTES_MAX: usize = 19_000;

/// The most keys. Two are enough for a rotation.
const KEYS_MAX: usize = 5;

const SERVICE: &str = "the webhook";

/// An endpoint and its keys. Prints the host only.
#[derive(Clone)]
pub struct Endpoint {
    url: Url,
    keys: Vec<hmac::Key>,
}

/// The body.
#[derive(Debug, Serialize)]
pub struct WebhookEvent {
    r#type: &'static str,
    /// The end of the last alert, or of the burst: the same in every attempt.
    timestamp: String,
    data: Document,
}

impl Endpoint {
    /// `{"url": "https://…", "secret": "whsec_…"}`. During a rotation `secret` is a list: each
    /// message is signed with every key.
    ///
    /// # Errors
    /// When the URL is not HTTPS, or a key is not `whsec_` and 24 to 64 bytes in base64.
    pub fn parse(credential: &Credential) -> Result<Self, CredentialError> {
        let secrets = credential.list("secret");
        let (Some(url), false) = (credential.field("url"), secrets.is_empty()) else {
            return Err(CredentialError::Shape("an object with a url and a secret"));
        };
        let url = parse_confidential(url, SERVICE)?;
        let keys = secrets.into_iter().take(KEYS_MAX).map(key);
        let keys = keys.collect::<Option<_>>().ok_or(CredentialError::Field(
            "secret",
            "is not `whsec_` and 24 to 64 bytes in base64",
        ))?;
        Ok(Self { url, keys })
    }

    /// One signature per key, separated by blanks.
    fn signatures(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let signed = [format!("{id}.{seconds}.").as_bytes(), body].concat();
        let signature = |key| STANDARD.encode(hmac::sign(key, &signed));
        let signatures = self.keys.iter().map(|key| format!("v1,{}", signature(key)));
        signatures.collect::<Vec<_>>().join(" ")
    }
}

fn key(secret: &str) -> Option<hmac::Key> {
    let bytes = STANDARD.decode(secret.trim().strip_prefix("whsec_")?).ok()?;
    (24..=64).contains(&bytes.len()).then(|| hmac::Key::new(hmac::HMAC_SHA256, &bytes))
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({}/…)", self.url.host_str().unwrap_or("?"))
    }
}

/// Sends the digest once.
///
/// # Errors
/// [`Retry`](DeliverError::Retry) after 429, 5xx, redirects and a lost connection;
/// [`Denied`](DeliverError::Denied) after 401, 403, 404, 410 and for a private address;
/// [`Refused`](DeliverError::Refused) after any other 4xx.
pub async fn deliver<X: Exchange>(
    attempt: &Attempt<'_, X>,
    endpoint: &Endpoint,
) -> Result<Accepted, DeliverError> {
    let request = request(attempt.stack, attempt.digest, endpoint, attempt.now);
    let answer = attempt.send(request).await.map_err(|error| error.failure(SERVICE))?;
    match answer.is_success() {
        true => Ok(Accepted::default()),
        false => Err(answer.failure(SERVICE, None)),
    }
}

/// The body of the request.
pub fn event(stack: &str, digest: &Digest) -> WebhookEvent {
    let data = document(stack, digest, DOCUMENT_BYTES_MAX);
    WebhookEvent { r#type: "stentor.digest", timestamp: time(digest).iso(), data }
}

fn request(stack: &str, digest: &Digest, endpoint: &Endpoint, now: Timestamp) -> HttpRequest {
    let mut request = HttpRequest::json(Method::POST, endpoint.url.clone(), &event(stack, digest));
    // A receiver says with any 2xx that it has the message, whatever comes after that.
    request.is_status_enough = true;
    let (id, seconds) = (id(stack, digest), now.as_millis().div_euclid(1_000));
    let signatures = endpoint.signatures(&id, seconds, &request.body);
    let headers = [
        ("webhook-id", id),
        ("webhook-timestamp", seconds.to_string()),
        ("webhook-signature", signatures),
    ];
    for (name, value) in headers {
        let value = HeaderValue::from_str(&value).expect("invariant: names are ASCII");
        request.headers.insert(HeaderName::from_static(name), value);
    }
    request
}

/// The id of the message: its stack, route, target, epochs and time. The time tells it from one of
/// an earlier stack of the same name, whose epochs began at 1, too. An id has no dot.
fn id(stack: &str, digest: &Digest) -> String {
    let (Digest { route, target, .. }, (first, last)) = (digest, digest.epochs);
    let epochs = if first == last { first.to_string() } else { format!("{first}-{last}") };
    format!("{stack}/{route}/{target}/{epochs}/{}", time(digest).as_millis()).replace('.', "~")
}

/// The time of the last alert, or of the end of the burst: the same in every attempt.
fn time(digest: &Digest) -> Timestamp {
    let until = digest.burst.filter(|_| digest.ends_burst).map(|burst| burst.until);
    until.or(digest.tally.span.map(|span| span.last)).unwrap_or_default()
}
