//! What AWS says when it does not do what it was asked, as one explain that says what to do about it. For
//! the command line: somebody sits there and can do it. The functions log what was said as it is.

use std::error::Error;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use crate::model::error::chain;

pub const NO_CREDENTIALS: &str = "there are no AWS credentials: sign in (`aws sso login`) and name the profile with \
                                  --profile, or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY";

pub const NO_REGION: &str = "no Region is set: name the stack's with --region or AWS_REGION";

/// `what` is the thing that was asked for, as people name it: "the queue https://…".
pub fn explain<E>(error: &SdkError<E, HttpResponse>, what: &str) -> String
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error.as_service_error() {
        Some(service) => said(service.code().unwrap_or_default(), service.message().unwrap_or_default(), what),
        None => unsaid(&chain(error), what),
    }
}

/// The same for a text that begins with the code, as the store's errors do.
pub fn of_text(text: &str, what: &str) -> String {
    match text.split_once(": ") {
        Some((code, message)) if !code.contains(' ') => said(code, message, what),
        _ => unsaid(text, what),
    }
}

/// The service has answered.
fn said(code: &str, message: &str, what: &str) -> String {
    let code = code.rsplit(['#', '.']).next().unwrap_or_default();
    match code {
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
            "AWS does not know these credentials: check --profile or the access key, and this machine's clock"
                .to_owned()
        }
        "" => format!("{what}: AWS answered with an error that has no name"),
        _ => format!("{what}: {code}: {message}"),
    }
}

/// There was no answer.
fn unsaid(text: &str, what: &str) -> String {
    let lower = text.to_lowercase();
    let speaks_of = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    if speaks_of(&["credential"]) {
        NO_CREDENTIALS.to_owned()
    } else if speaks_of(&["region must be set", "missing region", "region was not", "no region"]) {
        NO_REGION.to_owned()
    } else if speaks_of(&["dispatch failure", "dns", "connect", "timed out", "timeout", "no answer"]) {
        format!("{what} cannot be reached: check the network and --region ({text})")
    } else {
        format!("{what}: {text}")
    }
}

/// The action in "User: … is not authorized to perform: sqs:receivemessage on resource: …".
fn action(message: &str) -> Option<&str> {
    let (_, after) = message.split_once("not authorized to perform: ")?;
    after.split([' ', ',']).next().filter(|action| action.contains(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_common_trouble_is_a_sentence_that_says_what_to_do() {
        let check = |text: &str, begins: &str, advises: &str| {
            let explain = of_text(text, "the queue Q");
            assert!(explain.starts_with(begins) && explain.contains(advises), "{text}\n{explain}");
            assert!(!explain.contains('\n'), "{explain}");
        };
        check("AWS.SimpleQueueService.NonExistentQueue: gone", "the queue Q does not exist", "--region");
        check("com.amazonaws.sqs#QueueDoesNotExist: gone", "the queue Q does not exist", "--profile");
        check("ResourceNotFoundException: Requested resource not found", "the queue Q does not exist", "--region");
        let denied = "AccessDeniedException: User: arn:aws:sts::1:assumed-role/x is not authorized to perform: \
                      sqs:receivemessage on resource: arn:aws:sqs:q because";
        check(denied, "these credentials may not sqs:receivemessage on the queue Q", "allow that");
        check("AccessDenied: no", "these credentials may not do this on the queue Q", "--profile");
        check("ExpiredToken: old", "the AWS credentials have expired", "sign in again");
        check("UnrecognizedClientException: who", "AWS does not know these credentials", "clock");
        check("dispatch failure: other: no providers in chain provided credentials", "there are no AWS", "--profile");
        check(
            "failed to construct request: A region must be set when sending requests",
            "no Region is set",
            "--region",
        );
        check("dispatch failure: io error: dns error: failed to lookup", "the queue Q cannot be reached", "--region");
        check("InternalError: oh: no", "the queue Q: InternalError: oh: no", "oh");
    }
}
