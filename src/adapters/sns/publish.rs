//! Publishes messages to topics.

use std::fmt;

use aws_sdk_sns::Client;
use aws_sdk_sns::config::{Builder, Config, Region, retry::RetryConfig};
use aws_sdk_sns::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_sns::operation::publish::PublishError;
use aws_sdk_sns::types::MessageAttributeValue;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use thiserror::Error;

use super::message::{SnsAttribute, message};
use crate::adapters::clock::SystemClock;
use crate::adapters::content_hash::ContentHash;
use crate::config::SnsFormat;
use crate::model::digest::Digest;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::notify::{DeliverError, DeliveryFailure, FailureCode};

/// Error codes of conditions that pass (SNS API reference, Publish and common errors).
const TRANSIENT: [&str; 6] = [
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalError",
    "InternalFailure",
    "RequestExpired",
    "ServiceUnavailable",
];

/// Error codes for too many requests.
const THROTTLED: [&str; 3] = ["KMSThrottling", "Throttled", "Throttling"];

/// Error codes for a topic that does not exist or may not be used. Another topic may work.
const DENIED: [&str; 13] = [
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

/// The ARN of a topic. Prints its Region only.
#[derive(Clone, PartialEq, Eq)]
pub struct Topic {
    arn: String,
    region: String,
}

/// A text is not the ARN of a topic.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("it is not the ARN of an SNS topic")]
pub struct TopicError;

/// Publishes to topics in any Region.
#[derive(Clone, Debug)]
pub struct Sns<C = SystemClock> {
    client: Client,
    clock: C,
}

impl Topic {
    /// # Errors
    /// When the text is not `arn:PARTITION:sns:REGION:ACCOUNT:NAME`.
    pub fn parse(text: &str) -> Result<Self, TopicError> {
        let parts: Vec<&str> = text.trim().split(':').collect();
        match parts[..] {
            ["arn", partition, "sns", region, account, name]
                if [partition, region, account, name].iter().all(|part| !part.is_empty()) =>
            {
                Ok(Self { arn: parts.join(":"), region: region.to_owned() })
            }
            _ => Err(TopicError),
        }
    }
}

impl fmt::Debug for Topic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Topic(… in {})", self.region)
    }
}

impl<C> Sns<C> {
    /// A client without retries: only the caller knows whether a message may be repeated.
    pub fn new(config: &aws_types::SdkConfig, clock: C) -> Self {
        let config = Builder::from(config).retry_config(RetryConfig::disabled()).build();
        Self { client: Client::from_conf(config), clock }
    }
}

impl<C: Clock> Sns<C> {
    /// Publishes the digest once. Returns before `deadline`.
    ///
    /// # Errors
    /// [`Retry`](DeliverError::Retry) after throttling, a failure of SNS or a lost connection;
    /// [`Denied`](DeliverError::Denied) if the topic does not exist or may not be used;
    /// [`Refused`](DeliverError::Refused) after anything else.
    pub async fn publish(
        &self,
        topic: &Topic,
        stack: &str,
        digest: &Digest,
        format: SnsFormat,
        deadline: Deadline,
    ) -> Result<(), DeliverError> {
        let message = message(stack, digest, format);
        let attributes = message.attributes.iter();
        let attributes = attributes.map(|(key, value)| ((*key).to_owned(), attribute(value)));
        let fifo = topic.arn.ends_with(".fifo");
        // A topic answers in its own Region only.
        let in_region = Config::builder().region(Region::new(topic.region.clone()));
        let call = self
            .client
            .publish()
            .topic_arn(&topic.arn)
            .subject(message.subject)
            .message(message.text)
            .set_message_structure(message.structure.map(str::to_owned))
            .set_message_attributes(Some(attributes.collect()))
            .set_message_group_id(fifo.then(|| digest.route.to_string()))
            .set_message_deduplication_id(fifo.then(|| deduplication_id(stack, digest)))
            .customize()
            .config_override(in_region)
            .send();
        match self.clock.timeout(deadline, call).await {
            // An answer of status 200 without an id is not from SNS.
            Some(Ok(answer)) => match answer.message_id.filter(|id| !id.is_empty()) {
                Some(_) => Ok(()),
                None => Err(retry(FailureCode::Server, "SNS answered without a message id")),
            },
            Some(Err(error)) => Err(deliver_error(&error)),
            None => Err(retry(FailureCode::Timeout, "SNS did not answer in time")),
        }
    }
}

/// The id of the message, by which a topic that keeps the order recognizes a repeated one: a hash,
/// because an id has at most 128 characters. Other epochs are another message.
fn deduplication_id(stack: &str, digest: &Digest) -> String {
    let (Digest { route, target, .. }, (first, last)) = (digest, digest.epochs);
    ContentHash::of(&[&format!("{stack}/{route}/{target}/{first}-{last}")]).to_string()
}

fn attribute(value: &SnsAttribute) -> MessageAttributeValue {
    let (kind, text) = value.encoded();
    let value = MessageAttributeValue::builder().data_type(kind).string_value(text).build();
    value.expect("invariant: the type is given")
}

/// The class of an error by its code. The text of the error names roles and topics, so it is not
/// part of the reason.
fn deliver_error(error: &SdkError<PublishError, HttpResponse>) -> DeliverError {
    tracing::debug!("SNS did not publish: {}", crate::model::error::chain(error));
    let Some(answer) = error.as_service_error() else {
        return retry(FailureCode::Unreachable, "SNS could not be reached");
    };
    // A proxy answered: SNS sends a code with every error.
    let Some(code) = answer.code() else {
        return retry(FailureCode::Server, "SNS answered without an error code");
    };
    let is_server_error =
        error.raw_response().is_some_and(|answer| answer.status().as_u16() >= 500);
    let failure = |of| DeliveryFailure::new(of, format!("SNS answered {code}"));
    match code {
        code if THROTTLED.contains(&code) => to_retry(failure(FailureCode::RateLimited)),
        code if is_server_error || TRANSIENT.contains(&code) => {
            to_retry(failure(FailureCode::Server))
        }
        code if DENIED.contains(&code) => {
            DeliverError::Denied { reason: failure(FailureCode::Auth) }
        }
        _ => DeliverError::Refused { reason: failure(FailureCode::Client) },
    }
}

fn retry(code: FailureCode, text: &str) -> DeliverError {
    to_retry(DeliveryFailure::new(code, text))
}

/// SNS does not say when to try again.
fn to_retry(reason: DeliveryFailure) -> DeliverError {
    DeliverError::Retry { after: None, reason }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_is_an_arn_with_all_its_parts() {
        let region = |text: &str| Topic::parse(text).map(|topic| topic.region);
        assert_eq!(
            region(" arn:aws:sns:eu-west-1:123456789012:oncall\n"),
            Ok("eu-west-1".to_owned())
        );
        assert_eq!(
            region("arn:aws-us-gov:sns:us-gov-west-1:123456789012:on.fifo"),
            Ok("us-gov-west-1".to_owned())
        );
        for text in [
            "",
            "oncall",
            "arn:aws:sqs:eu-west-1:123456789012:oncall",
            "arn:aws:sns:eu-west-1:123456789012:",
            "arn:aws:sns::123456789012:oncall",
            "arn:aws:sns:eu-west-1:123456789012:oncall:subscription",
        ] {
            assert_eq!(region(text), Err(TopicError), "{text}");
        }
    }
}
