//! Delivery in production: finds the credential of a target and sends the digest to Slack or SNS.
//! When the credential is denied, it reads the secret again, and retries once with a newer
//! credential.

use crate::adapters::clock::SystemClock;
use crate::adapters::secret::{Credential, ReadSecret, SecretError, Secrets};
use crate::adapters::slack::bot::Bot;
use crate::adapters::slack::{Slack, WebhookUrl};
#[cfg(feature = "stack")]
use crate::adapters::sns::{Sns, Topic};
use crate::config::{Config, Route};
use crate::model::digest::Digest;
use crate::model::name::{Target, TargetKind};
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::notify::{Accepted, Deliver, DeliverError};

/// All kinds of targets that this program can deliver to.
#[derive(Debug)]
pub struct Targets<R, C = SystemClock> {
    slack: Slack<C>,
    #[cfg(feature = "stack")]
    sns: Option<Sns<C>>,
    secrets: Secrets<R>,
    clock: C,
}

impl<R: ReadSecret, C: Clock> Targets<R, C> {
    pub fn new(slack: Slack<C>, secrets: Secrets<R>, clock: C) -> Self {
        Self {
            slack,
            #[cfg(feature = "stack")]
            sns: None,
            secrets,
            clock,
        }
    }

    /// Also delivers to topics of SNS.
    #[cfg(feature = "stack")]
    pub fn with_sns(self, sns: Sns<C>) -> Self {
        Self { sns: Some(sns), ..self }
    }

    async fn deliver_with(
        &self,
        credential: &Credential,
        digest: &Digest,
        joins: Option<&str>,
        deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        let target = &digest.target;
        match target.kind {
            TargetKind::Slack => self.slack(credential, digest, joins, deadline).await,
            #[cfg(feature = "stack")]
            TargetKind::Sns => self.sns(credential, digest, deadline).await,
            #[cfg(not(feature = "stack"))]
            TargetKind::Sns => Err(no_channel(target)),
            TargetKind::PagerDuty | TargetKind::Jira => Err(no_channel(target)),
        }
    }

    /// A string is a webhook; an object with `token` and `channel` is a bot.
    async fn slack(
        &self,
        credential: &Credential,
        digest: &Digest,
        joins: Option<&str>,
        deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        let unusable = |why: String| unusable(&digest.target, &why);
        if let Some(webhook) = credential.as_str() {
            let webhook = WebhookUrl::parse(webhook).map_err(|bad| unusable(bad.to_string()))?;
            return self.slack.post(&webhook, digest, deadline).await.map(|()| Accepted::default());
        }
        let (Some(token), Some(channel)) = (credential.field("token"), credential.field("channel"))
        else {
            return Err(unusable(
                "it is neither a text nor an object with a token and a channel".to_owned(),
            ));
        };
        let bot = Bot::new(token, channel).map_err(|bad| unusable(bad.to_string()))?;
        self.slack.post_as_bot(&bot, digest, joins, deadline).await
    }

    /// The credential is the ARN of a topic, as a string or as the `topic_arn` of an object.
    #[cfg(feature = "stack")]
    async fn sns(
        &self,
        credential: &Credential,
        digest: &Digest,
        deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        let sns = self.sns.as_ref().ok_or_else(|| no_channel(&digest.target))?;
        let arn = credential.as_str().or_else(|| credential.field("topic_arn")).unwrap_or_default();
        let topic = Topic::parse(arn).map_err(|bad| unusable(&digest.target, &bad.to_string()))?;
        sns.publish(&topic, digest, deadline).await.map(|()| Accepted::default())
    }
}

/// The first target of the configuration that a deployed stack cannot deliver to.
pub fn undeliverable(config: &Config) -> Option<&Target> {
    config
        .routes
        .iter()
        .flat_map(Route::targets)
        .find(|target| !matches!(target.kind, TargetKind::Slack | TargetKind::Sns))
}

impl<R: ReadSecret, C: Clock> Deliver for Targets<R, C> {
    async fn deliver(
        &self,
        digest: &Digest,
        joins: Option<&str>,
        deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        let target = &digest.target;
        let credential = match self.secrets.credential(target, self.clock.now(), deadline).await {
            Ok(credential) => credential,
            Err(error) => return Err(no_credential(&error)),
        };
        let denied = match self.deliver_with(&credential, digest, joins, deadline).await {
            Err(DeliverError::Denied { reason }) => reason,
            outcome => return outcome,
        };
        match self.secrets.replacement(&credential, target, self.clock.now(), deadline).await {
            Ok(Some(fresh)) => self.deliver_with(&fresh, digest, joins, deadline).await,
            Ok(None) => Err(DeliverError::Refused { reason: denied }),
            Err(error) => Err(no_credential(&error)),
        }
    }
}

fn no_channel(target: &Target) -> DeliverError {
    DeliverError::Refused { reason: format!("there is no channel for {target}") }
}

/// Another credential may be usable.
fn unusable(target: &Target, why: &str) -> DeliverError {
    DeliverError::Denied { reason: format!("the credential of {target} cannot be used: {why}") }
}

/// An unreadable secret may be readable later. A missing credential needs a person.
fn no_credential(error: &SecretError) -> DeliverError {
    match error {
        SecretError::Unavailable(_) => {
            DeliverError::Retry { after: None, reason: error.to_string() }
        }
        SecretError::Missing(_) => DeliverError::Refused { reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_undeliverable_target_is_named() {
        let without = |text: &str| {
            let config = Config::parse(text, "f").unwrap();
            undeliverable(&config).map(ToString::to_string)
        };
        assert_eq!(without(include_str!("../../config/stentor.toml")), None);
        assert_eq!(without(include_str!("../../config/example.toml")), None);
        let pager =
            "[[route]]\nname = 'a'\nmarkers = ['[A]']\nnotify = ['slack:a', 'pagerduty:db']";
        assert_eq!(without(pager).as_deref(), Some("pagerduty:db"));
    }
}
