//! The HTTP client that all channels share: one connection pool, one TLS stack (rustls with ring, the
//! same that the AWS clients use).

use std::time::Duration;

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
