//! How the AWS clients are set up: one HTTP client for all of them, with the TLS provider that the
//! rest of the program uses.

use std::error::Error;
use std::fmt::Write as _;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;

#[cfg(feature = "aws")]
pub mod deployed;
pub mod trouble;

/// The connection pool that AWS clients share.
pub fn http_client() -> SharedHttpClient {
    let client = aws_smithy_http_client::Builder::new().tls_provider(Provider::Rustls(CryptoMode::Ring)).build_https();
    SharedHttpClient::new(WhenNeeded(client))
}

/// The client as it is, but for its two validations, which are the default's: none. With them each AWS client that is
/// made, and each source of credentials, would set up TLS once to see whether it can, all root certificates included,
/// before a function is ready for its first event.
#[derive(Debug)]
struct WhenNeeded(SharedHttpClient);

impl HttpClient for WhenNeeded {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}

/// For an engine on this machine, which checks no credentials.
pub fn loopback(endpoint: &str) -> SdkConfig {
    let credentials = Credentials::new("local", "local", None, None, "loopback");
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::from_static("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .http_client(aws_smithy_http_client::Builder::new().build_http())
        .sleep_impl(TokioSleep::new())
        .endpoint_url(endpoint)
        .build()
}

/// An error with its causes, in one line. The SDK's own text for a lost connection is "dispatch failure".
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, ": {cause}").expect("invariant: writing to a String cannot fail");
        source = cause.source();
    }
    text
}
