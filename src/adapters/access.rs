//! A credential of a target, parsed for the kind of the target. One place knows which form each
//! kind needs, for the delivery and for `stentor check --aws`.

use crate::adapters::chat::ChatUrl;
use crate::adapters::jira::site::Site;
use crate::adapters::jsm::AlertIntegration;
use crate::adapters::mattermost::MattermostChannel;
use crate::adapters::pagerduty::Integration;
use crate::adapters::secret::{Credential, CredentialError};
use crate::adapters::slack::WebhookUrl;
use crate::adapters::slack::bot::Bot;
#[cfg(feature = "stack")]
use crate::adapters::sns::Topic;
use crate::adapters::webhook::Endpoint;
use crate::model::name::TargetKind;

/// The access that a credential gives.
#[derive(Clone, Debug)]
pub enum Access {
    /// An incoming webhook of Slack.
    SlackWebhook(WebhookUrl),
    SlackBot(Bot),
    PagerDuty(Integration),
    Jsm(AlertIntegration),
    Jira(Site),
    Mattermost(MattermostChannel),
    /// The webhook of Discord, Google Chat or Teams.
    Chat(ChatUrl),
    Webhook(Endpoint),
    #[cfg(feature = "stack")]
    Topic(Topic),
    /// This build does not deliver to the kind.
    #[cfg(not(feature = "stack"))]
    NotBuilt,
}

impl Access {
    /// # Errors
    /// What is wrong with the credential, without its text.
    pub fn parse(kind: TargetKind, credential: &Credential) -> Result<Self, CredentialError> {
        match kind {
            TargetKind::Slack => slack(credential),
            TargetKind::Mattermost => MattermostChannel::parse(credential).map(Self::Mattermost),
            TargetKind::Discord => {
                ChatUrl::parse(credential, "the webhook of Discord").map(Self::Chat)
            }
            TargetKind::GoogleChat => {
                ChatUrl::parse(credential, "the webhook of Google Chat").map(Self::Chat)
            }
            TargetKind::Teams => {
                ChatUrl::parse(credential, "the workflow of Teams").map(Self::Chat)
            }
            TargetKind::Webhook => Endpoint::parse(credential).map(Self::Webhook),
            #[cfg(feature = "stack")]
            TargetKind::Sns => topic(credential).map(Self::Topic),
            #[cfg(not(feature = "stack"))]
            TargetKind::Sns => Ok(Self::NotBuilt),
            TargetKind::PagerDuty => Integration::parse(credential).map(Self::PagerDuty),
            TargetKind::Jsm => AlertIntegration::parse(credential).map(Self::Jsm),
            TargetKind::Jira => Site::parse(credential).map(Self::Jira),
        }
    }
}

/// A string is a webhook; an object with `token` and `channel` is a bot.
fn slack(credential: &Credential) -> Result<Access, CredentialError> {
    if let Some(webhook) = credential.as_str() {
        return Ok(Access::SlackWebhook(WebhookUrl::parse(webhook)?));
    }
    let (Some(token), Some(channel)) = (credential.field("token"), credential.field("channel"))
    else {
        return Err(CredentialError::Shape(
            "the URL of a webhook, or an object with a token and a channel",
        ));
    };
    Ok(Access::SlackBot(Bot::new(token, channel)?))
}

/// The ARN of a topic, as a string or as the `topic_arn` of an object.
#[cfg(feature = "stack")]
fn topic(credential: &Credential) -> Result<Topic, CredentialError> {
    let arn = credential.as_str().or_else(|| credential.field("topic_arn")).unwrap_or_default();
    Topic::parse(arn).map_err(|_| CredentialError::Shape("the ARN of an SNS topic"))
}
