//! The HTTP client that all channels share: one connection pool, one TLS stack (rustls with ring, the
//! same that the AWS clients use), and one bounded way to read an answer.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

/// The most that is read of an answer that says what became of a request.
pub const BODY_BYTES_MAX: usize = 64 << 10;

/// How long to wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long to wait for the head of an answer, and then for each further piece of it. The caller sets the deadline of
/// the whole exchange, which may be minutes away.
const SILENCE_MAX: Duration = Duration::from_secs(15);

/// A client that is made when it is first needed. It reads every root certificate of the system, which takes longer
/// than all else that a function does before its first poll, and a consumer never needs it.
#[derive(Clone, Debug, Default)]
pub struct Http(Arc<OnceLock<reqwest::Client>>);

impl Http {
    /// The one client of this and of all its clones.
    ///
    /// # Errors
    /// As [`client`].
    pub fn get(&self) -> reqwest::Result<&reqwest::Client> {
        if let Some(client) = self.0.get() {
            return Ok(client);
        }
        let made = client()?;
        Ok(self.0.get_or_init(|| made))
    }
}

impl From<reqwest::Client> for Http {
    fn from(client: reqwest::Client) -> Self {
        Self(Arc::new(OnceLock::from(client)))
    }
}

/// A client that follows no redirect: a credential must not wander to another host.
///
/// # Errors
/// When the system has no usable root certificates.
pub fn client() -> reqwest::Result<reqwest::Client> {
    // Fails only when a provider was installed before, and then there is one.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .user_agent(concat!("stentor/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT_MAX)
        .read_timeout(SILENCE_MAX)
        .redirect(reqwest::redirect::Policy::none())
        .build()
}

/// The body of an answer, or its first `bytes_max` bytes; the connection is then dropped. Nothing else here may
/// read a body (see `clippy.toml`): a server, or a proxy on the way, may send without end.
///
/// # Errors
/// When the connection breaks, or the request's time is over, before the end or the bound is reached.
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
