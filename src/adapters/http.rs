//! The HTTP client that all channels share: one connection pool, one TLS stack (rustls with ring,
//! as in the AWS clients), and one bounded way to read the body of an answer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The most that is read of an answer that only reports success or an error.
pub const BODY_BYTES_MAX: usize = 64 << 10;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// The longest wait for the head of an answer, and for each further piece of the body. The caller
/// sets the deadline of the whole exchange, which may be minutes away.
const READ_TIMEOUT: Duration = Duration::from_secs(15);

/// A client that is built on first use. Building it reads every root certificate of the system,
/// which takes longer than the rest of a function's start, and a consumer needs no client. Clones
/// share it.
#[derive(Clone, Debug, Default)]
pub struct Http(Arc<OnceLock<reqwest::Client>>);

impl Http {
    /// The client.
    ///
    /// # Errors
    /// As [`client`].
    pub fn get(&self) -> reqwest::Result<&reqwest::Client> {
        if let Some(client) = self.0.get() {
            return Ok(client);
        }
        let client = client()?;
        Ok(self.0.get_or_init(|| client))
    }
}

impl From<reqwest::Client> for Http {
    fn from(client: reqwest::Client) -> Self {
        Self(Arc::new(OnceLock::from(client)))
    }
}

/// A client that follows no redirect, so that a credential is never sent to another host.
///
/// # Errors
/// When the system has no usable root certificates.
pub fn client() -> reqwest::Result<reqwest::Client> {
    // Fails only if a provider is installed already.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("stentor/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_TIMEOUT)
        .read_timeout(READ_TIMEOUT)
        .redirect(reqwest::redirect::Policy::none())
        .build()
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
