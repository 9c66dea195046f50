//! The clients of a deployed stack: one HTTP client for all of them, with the TLS provider that the rest of the program
//! uses, and a time-out for each phase of a call.

use std::time::Duration;

use aws_config::ConfigLoader;
use aws_sdk_dynamodb::config::SharedHttpClient;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::timeout::TimeoutConfig;

/// How long to wait for a connection.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// How long to wait for the head of an answer. The longest poll of a queue takes two seconds.
const SILENCE_MAX: Duration = Duration::from_secs(20);

/// How long one attempt of a call may take, its whole answer included; the SDK then tries again where it may. By itself
/// it would wait for ever. It has no bound for the size of an answer: it reads each one into memory.
const ATTEMPT_MAX: Duration = Duration::from_secs(30);

/// The SDK's configuration as the environment has it.
pub fn from_environment() -> ConfigLoader {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(CONNECT_MAX)
        .read_timeout(SILENCE_MAX)
        .operation_attempt_timeout(ATTEMPT_MAX)
        .build();
    aws_config::from_env().http_client(http_client()).timeout_config(timeouts)
}

/// The connection pool that AWS clients share.
fn http_client() -> SharedHttpClient {
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
