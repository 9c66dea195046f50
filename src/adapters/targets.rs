//! Delivery in production: finds the credential of a target, and hands the digest to the adapter of
//! its kind. When the credential is denied, it tries the current and the previous value of the
//! secret, while they differ from it.

use std::collections::BTreeMap;

use crate::adapters::attempt::{Attempt, CredentialError};
use crate::adapters::clock::SystemClock;
use crate::adapters::http::Http;
use crate::adapters::http::exchange::{Exchange, HttpExchange};
use crate::adapters::secret::{Credential, ReadSecret, SecretError, Secrets};
use crate::adapters::slack::bot::Bot;
use crate::adapters::slack::{Slack, WebhookUrl};
#[cfg(feature = "stack")]
use crate::adapters::sns::{Sns, Topic};
use crate::adapters::webhook::{self, Endpoint};
use crate::config::{TargetSettings, WebhookSettings};
use crate::model::digest::Digest;
use crate::model::name::Target;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::notify::{Accepted, Deliver, DeliverError};

/// The stack that names incidents if no other is given.
const STACK_DEFAULT: &str = "stentor";

/// All kinds of targets that this program can deliver to.
#[derive(Debug)]
pub struct Targets<R, C = SystemClock, X = HttpExchange<C>> {
    stack: String,
    settings: BTreeMap<Target, TargetSettings>,
    slack: Slack<C>,
    #[cfg(feature = "stack")]
    sns: Option<Sns<C>>,
    exchange: X,
    /// Connects to public addresses only.
    public_exchange: X,
    secrets: Secrets<R>,
    clock: C,
}

impl<R: ReadSecret, C: Clock + Clone> Targets<R, C> {
    pub fn new(slack: Slack<C>, secrets: Secrets<R>, clock: C) -> Self {
        Self {
            stack: STACK_DEFAULT.to_owned(),
            settings: BTreeMap::new(),
            exchange: HttpExchange::new(slack.http(), clock.clone()),
            public_exchange: HttpExchange::new(Http::public_only(), clock.clone()),
            slack,
            #[cfg(feature = "stack")]
            sns: None,
            secrets,
            clock,
        }
    }
}

impl<R: ReadSecret, C: Clock, X: Exchange> Targets<R, C, X> {
    /// Uses the targets as the configuration says.
    pub fn with_settings(self, settings: BTreeMap<Target, TargetSettings>) -> Self {
        Self { settings, ..self }
    }

    /// Names incidents after this stack.
    pub fn with_stack(self, stack: String) -> Self {
        Self { stack, ..self }
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
        let configured = self.settings.get(target).cloned();
        let Some(settings) = configured.or_else(|| TargetSettings::default_of(target.kind)) else {
            let reason = format!("the configuration has no [[target]] for {target}");
            return Err(DeliverError::Refused { reason });
        };
        let now = self.clock.now();
        let stack = &*self.stack;
        let attempt = Attempt { exchange: &self.exchange, stack, digest, joins, now, deadline };
        let unusable = |bad: CredentialError| unusable(target, &bad.to_string());
        match settings {
            TargetSettings::Webhook(WebhookSettings { allow_private }) => {
                let exchange = if allow_private { &self.exchange } else { &self.public_exchange };
                let endpoint = Endpoint::parse(credential).map_err(unusable)?;
                webhook::deliver(&Attempt { exchange, ..attempt }, &endpoint).await
            }
            TargetSettings::Slack(_) => self.slack(credential, digest, joins, deadline).await,
            #[cfg(feature = "stack")]
            TargetSettings::Sns(_) => self.sns(credential, digest, deadline).await,
            #[cfg(not(feature = "stack"))]
            TargetSettings::Sns(_) => Err(no_channel(target)),
            TargetSettings::None => Err(no_channel(target)),
            _ => Err(no_channel(target)),
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

impl<R: ReadSecret, C: Clock, X: Exchange> Deliver for Targets<R, C, X> {
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
        let mut denied = match self.deliver_with(&credential, digest, joins, deadline).await {
            Err(DeliverError::Denied { reason }) => reason,
            outcome => return outcome,
        };
        let others = self.secrets.others(&credential, target, self.clock.now(), deadline).await;
        for credential in others.map_err(|error| no_credential(&error))? {
            match self.deliver_with(&credential, digest, joins, deadline).await {
                Err(DeliverError::Denied { reason }) => denied = reason,
                outcome => return outcome,
            }
        }
        Err(DeliverError::Refused { reason: denied })
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
