//! Delivery in production: finds the credential of a target, calls its channel, and, when the credential is
//! denied, looks once whether there is a newer one.

use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::config::{Config, Route};
use crate::digest::Digest;
use crate::name::{Target, TargetKind};
use crate::notify::slack::{Slack, WebhookUrl};
use crate::notify::{Accepted, Deliver, DeliverError};
use crate::secret::{Credential, ReadSecret, SecretError, Secrets};

/// All channels that this program can speak to.
#[derive(Debug)]
pub struct Channels<R> {
    slack: Slack,
    secrets: Secrets<R>,
}

impl<R: ReadSecret> Channels<R> {
    pub fn new(slack: Slack, secrets: Secrets<R>) -> Self {
        Self { slack, secrets }
    }

    /// The first target of the configuration that no channel here delivers to.
    pub fn without_channel(config: &Config) -> Option<&Target> {
        config.routes.iter().flat_map(Route::targets).find(|target| target.kind != TargetKind::Slack)
    }

    async fn deliver_with(
        &self,
        credential: &Credential,
        digest: &Digest,
        joins: Option<&str>,
        deadline: Timestamp,
    ) -> Result<Accepted, DeliverError> {
        let target = &digest.target;
        match target.kind {
            TargetKind::Slack => {
                let webhook = credential.as_str().ok_or("it is not a text").map(WebhookUrl::parse);
                let webhook = webhook.map_err(str::to_owned).and_then(|parsed| parsed.map_err(|bad| bad.to_string()));
                let unusable =
                    |why| DeliverError::Denied { reason: format!("the credential of {target} cannot be used: {why}") };
                self.slack.post(&webhook.map_err(unusable)?, digest, deadline).await.map(|()| Accepted::default())
            }
            TargetKind::PagerDuty | TargetKind::Jira | TargetKind::Sns => {
                Err(DeliverError::Refused { reason: format!("there is no channel for {target}") })
            }
        }
    }
}

impl<R: ReadSecret> Deliver for Channels<R> {
    async fn deliver(
        &self,
        digest: &Digest,
        joins: Option<&str>,
        deadline: Timestamp,
    ) -> Result<Accepted, DeliverError> {
        let target = &digest.target;
        let credential = match self.secrets.credential(target, SystemClock.now(), deadline).await {
            Ok(credential) => credential,
            Err(error) => return Err(no_credential(&error)),
        };
        let denied = match self.deliver_with(&credential, digest, joins, deadline).await {
            Err(DeliverError::Denied { reason }) => reason,
            outcome => return outcome,
        };
        match self.secrets.instead_of(&credential, target, SystemClock.now(), deadline).await {
            Ok(Some(fresh)) => self.deliver_with(&fresh, digest, joins, deadline).await,
            Ok(None) => Err(DeliverError::Refused { reason: denied }),
            Err(error) => Err(no_credential(&error)),
        }
    }
}

/// A secret that cannot be read may be readable later; one that has nothing for the target is for a person.
fn no_credential(error: &SecretError) -> DeliverError {
    match error {
        SecretError::Unavailable(_) => DeliverError::Retry { after: None, reason: error.to_string() },
        SecretError::Missing(_) => DeliverError::Refused { reason: error.to_string() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::SecretsManager;

    #[test]
    fn what_the_template_deploys_can_be_delivered_and_what_cannot_is_named() {
        let without = |text: &str| {
            let config = Config::parse(text, "f").unwrap();
            Channels::<SecretsManager>::without_channel(&config).map(ToString::to_string)
        };
        assert_eq!(without(include_str!("../../config/stentor.toml")), None);
        assert_eq!(without(include_str!("../../config/example.toml")).as_deref(), Some("pagerduty:db-oncall"));
    }
}
