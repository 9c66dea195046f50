//! The HTTP client that all channels share: one connection pool, one TLS stack (rustls with ring,
//! as in the AWS clients), and one bounded way to read the body of an answer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};

use crate::model::time::Timestamp;

pub mod exchange;
mod guard;
pub mod url;

/// The most that is read of an answer that only reports success or an error.
pub const BODY_BYTES_MAX: usize = 64 << 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest wait that an answer can ask for. A longer one is cut: the message waits, it is not
/// given up.
const RETRY_AFTER_MAX: Duration = Duration::from_hours(1);

/// The longest wait for the head of an answer, and for each further piece of the body. The caller
/// sets the deadline of the whole exchange, which may be minutes away.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// A client that is built on first use. Building it reads every root certificate of the system,
/// which takes longer than the rest of a function's start, and a consumer needs no client. Clones
/// share it.
#[derive(Clone, Debug, Default)]
pub struct Http {
    built: Arc<OnceLock<reqwest::Client>>,
    is_public_only: bool,
}

impl Http {
    /// The client.
    ///
    /// # Errors
    /// As [`client`].
    pub fn get(&self) -> reqwest::Result<&reqwest::Client> {
        if let Some(client) = self.built.get() {
            return Ok(client);
        }
        let client = if self.is_public_only { guard::public_client()? } else { client()? };
        Ok(self.built.get_or_init(|| client))
    }

    /// A client that connects to public addresses only.
    pub fn public_only() -> Self {
        Self { is_public_only: true, ..Self::default() }
    }
}

impl From<reqwest::Client> for Http {
    fn from(client: reqwest::Client) -> Self {
        Self { built: Arc::new(OnceLock::from(client)), is_public_only: false }
    }
}

/// A client that follows no redirect, so that a credential is never sent to another host.
///
/// # Errors
/// When the system has no usable root certificates.
pub fn client() -> reqwest::Result<reqwest::Client> {
    builder().build()
}

/// [`client`] for requests with large bodies: the answer comes only after all of it was sent.
///
/// # Errors
/// As [`client`].
#[cfg(feature = "aws")]
pub fn upload_client() -> reqwest::Result<reqwest::Client> {
    const UPLOAD_TIMEOUT: Duration = Duration::from_mins(5);
    builder().read_timeout(UPLOAD_TIMEOUT).build()
}

fn builder() -> reqwest::ClientBuilder {
    // Fails only if a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("stentor/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
}

/// The body of an answer, or its first `bytes_max` bytes; then the connection is dropped.
/// `clippy.toml` forbids other ways to read a body: a server, or a proxy on the way, may send
/// without end.
///
/// # Errors
/// When the connection breaks, or the request times out, before the end of the body or the bound.
pub async fn body(mut answer: reqwest::Response, bytes_max: usize) -> reqwest::Result<Vec<u8>> {
    let mut body = Vec::new();
    while body.len() < bytes_max
        && let Some(chunk) = answer.chunk().await?
    {
        let room = bytes_max - body.len();
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    Ok(body)
}

/// The wait that an answer asks for: seconds, or a date, as a proxy may send. At most [`RETRY_AFTER_MAX`].
pub(super) fn retry_after(headers: &HeaderMap, now: Timestamp) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = whole_seconds(text).or_else(|| until(text, now))?;
    Some(wait.min(RETRY_AFTER_MAX))
}

/// A decimal number of seconds, rounded up.
fn whole_seconds(text: &str) -> Option<Duration> {
    // `parse` alone takes "inf" and "1e9", too.
    let is_decimal = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds = text.parse::<f64>().ok().filter(|_| is_decimal)?;
    Some(Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX))
}

/// The time until a date; `None` if it has passed.
fn until(text: &str, now: Timestamp) -> Option<Duration> {
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let wait = now.until(Timestamp::from_millis(at.as_millisecond()));
    (!wait.is_zero()).then_some(wait)
}
