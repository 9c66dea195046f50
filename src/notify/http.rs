//! The HTTP client that all channels share: one connection pool, one TLS stack (rustls with ring, the
//! same that the AWS clients use).

use std::sync::{Arc, OnceLock};
use std::time::Duration;

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
        .connect_timeout(Duration::from_secs(5))
        .redirect(reqwest::redirect::Policy::none())
        .build()
}
