//! Explains the errors of AWS calls to an operator: what failed, and what to do about it. Only the
//! command line uses it. The functions log the code and the message as they are.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::adapters::aws::cause;
use crate::model::error::Cause;

pub const NO_CREDENTIALS: &str = "there are no AWS credentials: sign in (`aws sso login`) and name the profile with \
                                  --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

pub const NO_REGION: &str = "no Region is set: name the stack's with --region or AWS_REGION";

/// Explains the error of a call. `what` names the resource, such as "the queue https://…".
pub fn explain_error<E>(error: &SdkError<E, HttpResponse>, what: &str) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    explain(&cause(error), what)
}

/// Explains a cause by its code.
pub fn explain(cause: &Cause, what: &str) -> String {
    let Cause { code, message } = cause;
    match &**code {
        "NonExistentQueue"
        | "QueueDoesNotExist"
        | "InvalidAddress"
        | "ResourceNotFoundException"
        | "ResourceNotFound" => {
            format!("{what} does not exist in this account and Region: check its name, --region and --profile")
        }
        "AccessDenied" | "AccessDeniedException" | "AuthorizationError" | "UnauthorizedOperation" => {
            let action = action(message).unwrap_or("do this");
            format!("these credentials may not {action} on {what}: allow that, or choose others with --profile")
        }
        "ExpiredToken" | "ExpiredTokenException" | "RequestExpired" => {
            "the AWS credentials have expired: sign in again (`aws sso login`)".to_owned()
        }
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "IncompleteSignature" => {
            "AWS does not know these credentials: check --profile or the access key, and the clock of this machine"
                .to_owned()
        }
        "no-credentials" => NO_CREDENTIALS.to_owned(),
        "unreachable" | "no-answer" if what.starts_with("the database file") => {
            format!("{what} cannot be used in time: another process may be busy with it ({message})")
        }
        // A database has an address, and no Region.
        "unreachable" | "no-answer" if what.starts_with("the database") => {
            format!("{what} cannot be reached: check its address and the network ({message})")
        }
        "unreachable" | "no-answer" => {
            format!("{what} cannot be reached: check the network and --region ({message})")
        }
        _ => format!("{what}: {cause}"),
    }
}

/// The action in "User: … is not authorized to perform: sqs:receivemessage on resource: …". AWS has
/// no field for it.
fn action(message: &str) -> Option<&str> {
    let (_, after) = message.split_once("not authorized to perform: ")?;
    after.split([' ', ',']).next().filter(|action| action.contains(':'))
}

#[cfg(test)]
mod tests {
    use aws_sdk_dynamodb::Client;
    use aws_sdk_dynamodb::config::{ProvideCredentials, SharedCredentialsProvider};

    use super::*;

    #[test]
    fn each_common_error_is_explained_with_a_remedy() {
        let check = |code: &'static str, message: &str, begins: &str, advises: &str| {
            let text = explain(&Cause::new(code, message), "the queue Q");
            assert!(text.starts_with(begins) && text.contains(advises), "{code}\n{text}");
            assert!(!text.contains('\n'), "{text}");
        };
        check("NonExistentQueue", "gone", "the queue Q does not exist", "--region");
        check("QueueDoesNotExist", "gone", "the queue Q does not exist", "--profile");
        check("ResourceNotFoundException", "not found", "the queue Q does not exist", "--region");
        let denied = "User: arn:aws:sts::1:assumed-role/x is not authorized to perform: sqs:receivemessage on \
                      resource: arn:aws:sqs:q because";
        check(
            "AccessDeniedException",
            denied,
            "these credentials may not sqs:receivemessage on the queue Q",
            "allow",
        );
        check(
            "AccessDenied",
            "no",
            "these credentials may not do this on the queue Q",
            "--profile",
        );
        check("ExpiredToken", "old", "the AWS credentials have expired", "sign in again");
        check("UnrecognizedClientException", "who", "AWS does not know these credentials", "clock");
        check("unreachable", "dns error", "the queue Q cannot be reached", "(dns error)");
        check("no-answer", "the deadline passed", "the queue Q cannot be reached", "--region");
        check("InternalError", "oh: no", "the queue Q: InternalError: oh: no", "oh");
    }

    /// A source of credentials that has none.
    #[derive(Debug)]
    struct None;

    impl ProvideCredentials for None {
        fn provide_credentials<'a>(
            &'a self,
        ) -> aws_credential_types::provider::future::ProvideCredentials<'a>
        where
            Self: 'a,
        {
            use aws_credential_types::provider::{error::CredentialsError, future};
            future::ProvideCredentials::ready(Err(CredentialsError::not_loaded("none here")))
        }
    }

    #[tokio::test]
    async fn missing_credentials_and_a_closed_port_have_codes() {
        let config = crate::adapters::aws::loopback("http://127.0.0.1:1");
        let error = Client::new(&config).list_tables().send().await.unwrap_err();
        assert_eq!(cause(&error).code, "unreachable", "{error:?}");
        let without = SharedCredentialsProvider::new(None);
        let config = config.into_builder().credentials_provider(without).build();
        let error = Client::new(&config).list_tables().send().await.unwrap_err();
        assert_eq!(explain_error(&error, "the table T"), NO_CREDENTIALS, "{error:?}");
    }
}
