//! Delivery in production: finds the credential of a target, and hands the digest to the adapter of
//! its kind. When the credential is denied, it tries the current and the previous value of the
//! secret, while they differ from it.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::{Value, json};

use crate::adapters::access::Access;
use crate::adapters::attempt::Attempt;
use crate::adapters::clock::SystemClock;
use crate::adapters::http::Http;
use crate::adapters::http::exchange::{Exchange, HttpExchange};
use crate::adapters::secret::{Credential, ReadSecret, SecretError, Secrets};
use crate::adapters::slack::mentions::BurstMentions;
use crate::adapters::slack::{Slack, layout};
#[cfg(feature = "stack")]
use crate::adapters::sns::Sns;
use crate::adapters::{
    discord, google_chat, jira, jsm, mattermost, pagerduty, sns, teams, webhook,
};
use crate::config::TargetSettings;
use crate::model::digest::Digest;
use crate::model::name::{Target, TargetKind};
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::notify::{Accepted, Deliver, DeliverError, DeliveryFailure, FailureCode};

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

    /// Tries once with one credential, which no error repeats, whatever the service answers.
    async fn deliver_with(
        &self,
        credential: &Credential,
        digest: &Digest,
        joins: Option<&str>,
        deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        let tried = self.try_with(credential, digest, joins, deadline).await;
        tried.map_err(|error| without(credential, error))
    }

    async fn try_with(
        &self,
        credential: &Credential,
        digest: &Digest,
        joins: Option<&str>,
        deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        let target = &digest.target;
        let configured = self.settings.get(target).cloned();
        let Some(settings) = configured.or_else(|| TargetSettings::default_of(target.kind)) else {
            let text = format!("the configuration has no [[target]] for {target}");
            return Err(refused(FailureCode::Client, text));
        };
        let now = self.clock.now();
        let stack = &*self.stack;
        let attempt = Attempt { exchange: &self.exchange, stack, digest, joins, now, deadline };
        let access = Access::parse(target.kind, credential)
            .map_err(|error| unusable(target, &error.to_string()))?;
        match (access, settings) {
            (Access::SlackWebhook(webhook), TargetSettings::Slack(settings)) => {
                let has_mentioned = BurstMentions::read(joins).mentioned;
                let mentions = settings.mentions(digest, has_mentioned);
                self.slack.post(&webhook, digest, mentions, deadline).await?;
                let burst = BurstMentions { mentioned: has_mentioned || !mentions.is_empty() };
                Ok(Accepted { message: burst.reference(), related: None })
            }
            (Access::SlackBot(bot), TargetSettings::Slack(settings)) => {
                let mentions = settings.mentions(digest, BurstMentions::read(joins).mentioned);
                self.slack.post_as_bot(&bot, digest, mentions, joins, deadline).await
            }
            (Access::Webhook(endpoint), TargetSettings::Webhook(settings)) => {
                let exchange = match settings.allow_private {
                    true => &self.exchange,
                    false => &self.public_exchange,
                };
                webhook::deliver(&Attempt { exchange, ..attempt }, &endpoint).await
            }
            (Access::Chat(workflow), TargetSettings::Teams(settings)) => {
                teams::deliver(&attempt, &workflow, settings).await
            }
            (Access::Chat(webhook), _) if target.kind == TargetKind::Discord => {
                discord::deliver(&attempt, &webhook).await
            }
            (Access::Chat(webhook), _) => google_chat::deliver(&attempt, &webhook).await,
            (Access::Mattermost(channel), _) => mattermost::deliver(&attempt, &channel).await,
            (Access::Jira(site), TargetSettings::Jira(settings)) => {
                jira::deliver(&attempt, &site, &settings).await
            }
            (Access::Jsm(integration), TargetSettings::Jsm(settings)) => {
                jsm::deliver(&attempt, &integration, &settings).await
            }
            (Access::PagerDuty(integration), _) => pagerduty::deliver(&attempt, &integration).await,
            #[cfg(feature = "stack")]
            (Access::Topic(topic), TargetSettings::Sns(settings)) => {
                let Some(sns) = &self.sns else { return Err(no_channel(target)) };
                let format = settings.format;
                let published = sns.publish(&topic, stack, digest, format, deadline).await;
                published.map(|()| Accepted::default())
            }
            _ => Err(no_channel(target)),
        }
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
        Err(refused(FailureCode::Auth, denied.text))
    }

    /// Reads the secret, and sets up the HTTP client with its root certificates.
    async fn warm(&self, deadline: Deadline) {
        if let Err(error) = self.slack.http().get() {
            tracing::debug!("The HTTP client is not set up: {error}");
        }
        self.secrets.warm(self.clock.now(), deadline).await;
    }
}

/// The bodies of the requests that open what a digest is about, as `stentor run --show` prints them:
/// without the credential. `has_mentioned`: an earlier message of the burst mentioned people.
pub fn request_bodies(
    settings: &TargetSettings,
    stack: &str,
    digest: &Digest,
    has_mentioned: bool,
) -> Vec<Value> {
    let one = |body: Value| vec![body];
    match settings {
        TargetSettings::Slack(settings) => {
            let mentions = settings.mentions(digest, has_mentioned);
            one(json!(layout::render(digest).mentioning(mentions)))
        }
        TargetSettings::Teams(settings) => one(teams::body(digest, *settings)),
        TargetSettings::Webhook(_) => one(json!(webhook::event(stack, digest))),
        TargetSettings::Sns(settings) => {
            one(sns::message::message(stack, digest, settings.format).parameters())
        }
        TargetSettings::Jira(settings) => all(&jira::issues(settings, stack, digest)),
        TargetSettings::Jsm(settings) => all(&jsm::requests(stack, digest, None, settings)),
        TargetSettings::None => match digest.target.kind {
            TargetKind::PagerDuty => all(&pagerduty::events(stack, digest, None)),
            TargetKind::Discord => one(discord::body(digest)),
            TargetKind::GoogleChat => one(google_chat::body(stack, digest)),
            _ => one(json!({"text": mattermost::text(digest)})),
        },
    }
}

fn all(bodies: &[impl Serialize]) -> Vec<Value> {
    bodies.iter().map(|body| json!(body)).collect()
}

fn no_channel(target: &Target) -> DeliverError {
    refused(FailureCode::Client, format!("there is no channel for {target}"))
}

fn refused(code: FailureCode, text: String) -> DeliverError {
    DeliverError::Refused { reason: DeliveryFailure { code, text } }
}

fn without(credential: &Credential, error: DeliverError) -> DeliverError {
    let hidden =
        |DeliveryFailure { code, text }| DeliveryFailure { code, text: credential.hide_in(text) };
    match error {
        DeliverError::Retry { after, reason } => {
            DeliverError::Retry { after, reason: hidden(reason) }
        }
        DeliverError::Denied { reason } => DeliverError::Denied { reason: hidden(reason) },
        DeliverError::Refused { reason } => DeliverError::Refused { reason: hidden(reason) },
        DeliverError::Deferred => DeliverError::Deferred,
    }
}

/// Another credential may be usable.
fn unusable(target: &Target, why: &str) -> DeliverError {
    let text = format!("the credential of {target} cannot be used: {why}");
    DeliverError::Denied { reason: DeliveryFailure { code: FailureCode::Auth, text } }
}

/// An unreadable secret may be readable later. A missing credential needs a person.
fn no_credential(error: &SecretError) -> DeliverError {
    let reason = DeliveryFailure::new(FailureCode::Auth, error.to_string());
    match error {
        SecretError::Unavailable(_) => DeliverError::Retry { after: None, reason },
        SecretError::Missing { .. } => DeliverError::Refused { reason },
    }
}
