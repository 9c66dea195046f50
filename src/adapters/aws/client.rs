//! The configuration of the AWS clients of a deployed stack: one HTTP client for all, with the TLS
//! provider of the rest of the program, and time-outs.

use std::time::Duration;

use aws_config::ConfigLoader;
use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::timeout::TimeoutConfig;

/// How long to wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long to wait for the head of an answer. The longest poll of a queue takes two seconds.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// How long one attempt may take, including its whole answer. The SDK then retries. Its default has
/// no limit. It also has no limit for the size of an answer, and reads each one into memory.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);

/// The SDK's configuration from the environment.
pub fn from_environment() -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .read_timeout(SILENCE_MAX)
        .operation_attempt_timeout(ATTEMPT_MAX)
        .build();
    aws_config::from_env().http_client(http_client()).timeout_config(timeouts)
}

/// The connection pool of all AWS clients.
fn http_client() -> SharedHttpClient {
    let client = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    SharedHttpClient::new(WhenNeeded(client))
}

/// The client without its two validations. With them, each new AWS client and each source of
/// credentials would set up TLS once as a check, including all root certificates, before a function
/// is ready for its first event.
#[derive(Debug)]
struct WhenNeeded(SharedHttpClient);

impl HttpClient for WhenNeeded {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }

    fn connector_metadata(&self) -> Option<ConnectorMetadata> {
        self.0.connector_metadata()
    }
}
