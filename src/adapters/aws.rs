//! How the AWS clients are set up: one HTTP client for all of them, with the TLS provider that the
//! rest of the program uses, and a time-out for each phase of a call.

use std::error::Error;
use std::time::Duration;

use aws_config::{BehaviorVersion, ConfigLoader, Region, SdkConfig};
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::config::{Credentials, SharedCredentialsProvider, SharedHttpClient};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::connector_metadata::ConnectorMetadata;
use aws_smithy_runtime_api::client::http::{HttpClient, HttpConnectorSettings, SharedHttpConnector};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::timeout::TimeoutConfig;

use crate::model::error::{Cause, chain};

pub mod diagnose;

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

/// The code and the message of a failed call, without the namespace that some services put before their codes.
pub fn cause<E>(error: &SdkError<E, HttpResponse>) -> Cause
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(service) = error.as_service_error() {
        let code = service.code().and_then(|code| code.rsplit('#').next()).unwrap_or("unknown-error");
        let code = code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code);
        return Cause::new(code.to_owned(), service.message().unwrap_or("no message"));
    }
    let code = match error {
        _ if lacks_credentials(error) => "no-credentials",
        SdkError::ConstructionFailure(_) => "invalid-request",
        SdkError::TimeoutError(_) | SdkError::DispatchFailure(_) => "unreachable",
        _ => "unreadable-answer",
    };
    Cause::new(code, chain(error))
}

fn lacks_credentials(error: &(dyn Error + 'static)) -> bool {
    let mut sources = std::iter::successors(Some(error), |error| (*error).source());
    sources.any(|error| error.is::<CredentialsError>())
}

/// Whether an error stays until a person has changed something: a missing resource, permission or key.
pub fn is_refusal(cause: &Cause) -> bool {
    match &*cause.code {
        "AccessDenied"
        | "AccessDeniedException"
        | "AuthorizationError"
        | "InvalidAddress"
        | "InvalidClientTokenId"
        | "InvalidSecurity"
        | "NonExistentQueue"
        | "QueueDoesNotExist"
        | "ResourceNotFound"
        | "ResourceNotFoundException"
        | "UnauthorizedOperation"
        | "UnrecognizedClientException"
        | "UnsupportedOperation"
        | "no-credentials" => true,
        code => code.starts_with("KMS.") && code != "KMS.ThrottlingException",
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
