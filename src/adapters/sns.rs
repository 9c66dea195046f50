//! SNS: a digest as plain text, published to a topic. Who reads it there, and on which device, is the topic's affair:
//! mail, text message, pager. It needs nothing outside AWS, which makes it the natural fallback.

use aws_sdk_sns::Client;
use aws_sdk_sns::config::{Builder, Config, Region, retry::RetryConfig};
use aws_sdk_sns::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sns::operation::publish::PublishError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use thiserror::Error;
use tokio::time::timeout;

use crate::adapters::clock::SystemClock;
use crate::message::compose::{Budget, compose};
use crate::message::plain;
use crate::message::subject::subject;
use crate::model::digest::Digest;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::notify::DeliverError;

/// Characters of a line. Mail is read in any font; what is not prose keeps its own length.
const WIDTH: usize = 100;

/// SNS takes 256 KiB; the rest is for the line that counts the groups left out.
const BUDGET: Budget = Budget { size: |content| plain::mail(content, WIDTH).len(), size_max: 255 << 10 };

/// Codes that pass by themselves (SNS API reference, Publish and common errors).
const PASSING: [&str; 9] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalError",
    "InternalFailure",
    "KMSThrottling",
    "RequestExpired",
    "ServiceUnavailable",
    "Throttled",
    "Throttling",
];

/// Codes that speak of the topic or of the right to use it: another topic may do.
const DENYING: [&str; 13] = [
    "AccessDenied",
    "AccessDeniedException",
    "AuthorizationError",
    "EndpointDisabled",
    "InvalidClientTokenId",
    "InvalidSecurity",
    "KMSAccessDenied",
    "KMSDisabled",
    "KMSInvalidState",
    "KMSNotFound",
    "KMSOptInRequired",
    "NotFound",
    "OptInRequired",
];

/// The ARN of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topic {
    arn: String,
    region: String,
}

/// A text is no topic.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("it is not the ARN of an SNS topic")]
pub struct BadTopic;

/// Publishes to topics of any Region.
#[derive(Clone, Debug)]
pub struct Sns {
    client: Client,
}

impl Topic {
    /// # Errors
    /// When the text is not `arn:PARTITION:sns:REGION:ACCOUNT:NAME`.
    pub fn parse(text: &str) -> Result<Self, BadTopic> {
        let parts: Vec<&str> = text.trim().split(':').collect();
        match parts[..] {
            ["arn", partition, "sns", region, account, name]
                if [partition, region, account, name].iter().all(|part| !part.is_empty()) =>
            {
                Ok(Self { arn: parts.join(":"), region: region.to_owned() })
            }
            _ => Err(BadTopic),
        }
    }
}

impl Sns {
    /// Without retries: only who calls knows whether a message may be repeated.
    pub fn new(config: &aws_types::SdkConfig) -> Self {
        let config = Builder::from(config).retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config) }
    }

    /// Publishes the digest once, and is done or has given up by `deadline`.
    ///
    /// # Errors
    /// Throttles, failures of SNS and lost connections are worth a retry; a topic that is not there or may not be
    /// used is denied; anything else is final.
    pub async fn publish(&self, topic: &Topic, digest: &Digest, deadline: Deadline) -> Result<(), DeliverError> {
        let content = compose(digest, &BUDGET);
        // A topic answers in its own Region only.
        let there = Config::builder().region(Region::new(topic.region.clone()));
        let call = self
            .client
            .publish()
            .topic_arn(&topic.arn)
            .subject(subject(&content))
            .message(plain::mail(&content, WIDTH))
            .customize()
            .config_override(there)
            .send();
        match timeout(deadline.remaining(SystemClock.now()), call).await {
            // Whatever answers 200 without it is not SNS.
            Ok(Ok(answer)) => match answer.message_id.filter(|id| !id.is_empty()) {
                Some(_) => Ok(()),
                None => {
                    let reason = "SNS answered without the id of a message".to_owned();
                    Err(DeliverError::Retry { after: None, reason })
                }
            },
            Ok(Err(error)) => Err(judged(&error)),
            Err(_) => Err(DeliverError::Retry { after: None, reason: "SNS did not answer in time".to_owned() }),
        }
    }
}

/// What SNS says beside the code names roles and topics; it stays here.
fn judged(error: &SdkError<PublishError, HttpResponse>) -> DeliverError {
    tracing::debug!("SNS did not publish: {}", crate::model::error::chain(error));
    let retry = |reason: &str| DeliverError::Retry { after: None, reason: reason.to_owned() };
    let Some(said) = error.as_service_error() else { return retry("SNS could not be reached") };
    // A page instead of an error, even with status 200: something between here and SNS answered.
    let Some(code) = said.code() else { return retry("SNS answered without an error code") };
    let is_broken = error.raw_response().is_some_and(|answer| answer.status().as_u16() >= 500);
    let reason = format!("SNS answered {code}");
    match code {
        code if is_broken || PASSING.contains(&code) => DeliverError::Retry { after: None, reason },
        code if DENYING.contains(&code) => DeliverError::Denied { reason },
        _ => DeliverError::Refused { reason },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_an_arn_with_all_its_parts() {
        let region = |text: &str| Topic::parse(text).map(|topic| topic.region);
        assert_eq!(region(" arn:aws:sns:eu-west-1:123456789012:oncall\n"), Ok("eu-west-1".to_owned()));
        assert_eq!(region("arn:aws-us-gov:sns:us-gov-west-1:123456789012:on.fifo"), Ok("us-gov-west-1".to_owned()));
        for text in [
            "",
            "oncall",
            "arn:aws:sqs:eu-west-1:123456789012:oncall",
            "arn:aws:sns:eu-west-1:123456789012:",
            "arn:aws:sns::123456789012:oncall",
            "arn:aws:sns:eu-west-1:123456789012:oncall:subscription",
        ] {
            assert_eq!(region(text), Err(BadTopic), "{text}");
        }
    }
}
