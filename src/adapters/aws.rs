//! The configuration of AWS clients, and the classes of their errors.

use std::error::Error;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::config::{BehaviorVersion, Credentials, Region, SharedCredentialsProvider};
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_async::rt::sleep::TokioSleep;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_types::SdkConfig;

use crate::model::error::{Cause, chain};

#[cfg(feature = "stack")]
mod client;
pub mod diagnose;

#[cfg(feature = "stack")]
pub use client::from_environment;

/// The code and the message of a failed call, without the namespace that some services put before
/// their codes.
pub fn cause<E>(error: &SdkError<E, HttpResponse>) -> Cause
where
    E: ProvideErrorMetadata + Error + 'static,
{
    if let Some(service) = error.as_service_error() {
        let code =
            service.code().and_then(|code| code.rsplit('#').next()).unwrap_or("unknown-error");
        let code = code.strip_prefix("AWS.SimpleQueueService.").unwrap_or(code);
        return Cause::new(
            code.to_owned(),
            service.message().unwrap_or("an error without a message"),
        );
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

/// Whether an error stays until a person has changed something: a missing resource, permission or
/// key.
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
