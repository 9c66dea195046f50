//! The credentials that the operator gives on the command line: a file like the secret of a stack,
//! or a webhook for all Slack targets.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;
use stentor::adapters::access::Access;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::adapters::secret::{
    Credential, ReadSecret, SecretError, SecretText, SecretVersion, Secrets,
};
use stentor::adapters::slack::WebhookUrl;
#[cfg(feature = "aws")]
use stentor::adapters::sns::Sns;
use stentor::adapters::targets::Targets;
use stentor::config::{Config, ConfigError};
use stentor::model::name::{CredentialNames, Target, TargetKind};
use stentor::protocol::clock::{Clock as _, Deadline};

use crate::args::{Aws, SlackApi};
use crate::ui::Ui;

/// The limit of Secrets Manager.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// The credential of all Slack targets that have no other.
const ALL_OF_SLACK: &str = "slack:*";

/// How messages leave this machine. Without any of it they are only shown.
#[derive(Debug, Args)]
pub(crate) struct DeliverOptions {
    /// Deliver to the targets with a credential in this file: JSON like the secret of a stack
    #[arg(long, value_name = "FILE")]
    deliver: Option<PathBuf>,
    /// Deliver messages for Slack to this incoming webhook
    #[arg(
        long,
        value_name = "URL",
        env = "STENTOR_SLACK_WEBHOOK",
        hide_env = true,
        hide_env_values = true
    )]
    slack_webhook: Option<String>,
}

/// Credentials in memory, by the name of the target. Prints without them.
#[derive(Clone)]
pub(crate) struct LocalSecret {
    /// The file or option that they are from.
    name: String,
    credentials: BTreeMap<String, Value>,
}

/// The targets that a run delivers to.
#[derive(Debug)]
pub(crate) struct LocalTargets {
    pub(crate) recipients: CredentialNames,
    pub(crate) targets: Targets<LocalSecret>,
}

impl DeliverOptions {
    /// The targets to deliver to; `None` if all messages are only shown. `stack` names their
    /// incidents.
    ///
    /// # Errors
    /// When the file or the webhook cannot be used, or a topic of SNS needs another build.
    pub(crate) async fn targets(
        &self,
        config: &Config,
        stack: String,
        slack_api: &SlackApi,
        aws: &Aws,
        ui: Ui,
    ) -> anyhow::Result<Option<LocalTargets>> {
        let Some(secret) = self.secret(ui)? else { return Ok(None) };
        secret.check(config.targets.keys())?;
        let (name, recipients) = (secret.name.clone(), secret.recipients());
        let targets = secret.targets(slack_api)?;
        let targets = targets.with_settings(config.targets.clone()).with_stack(stack);
        let is_topic = |target: &&Target| target.kind == TargetKind::Sns && recipients.has(target);
        let targets = match config.targets.keys().find(is_topic) {
            Some(topic) => with_sns(targets, aws, topic, &name).await?,
            None => targets,
        };
        Ok(Some(LocalTargets { recipients, targets }))
    }

    /// The names that have a credential.
    ///
    /// # Errors
    /// As [`DeliverOptions::targets`].
    pub(crate) fn recipients(&self) -> anyhow::Result<CredentialNames> {
        let secret = self.secret(Ui::new(true))?;
        Ok(secret.map(|secret| secret.recipients()).unwrap_or_default())
    }

    /// Whether messages leave this machine.
    pub(crate) fn is_given(&self) -> bool {
        self.deliver.is_some() || self.slack_webhook.is_some()
    }

    fn secret(&self, ui: Ui) -> anyhow::Result<Option<LocalSecret>> {
        let mut secret = match (&self.deliver, &self.slack_webhook) {
            (None, None) => return Ok(None),
            (Some(file), _) => LocalSecret::open(file, ui)?,
            (None, Some(_)) => {
                let name = "--slack-webhook".to_owned();
                LocalSecret { name, credentials: BTreeMap::new() }
            }
        };
        if let Some(webhook) = &self.slack_webhook {
            WebhookUrl::parse(webhook)?;
            secret.credentials.insert(ALL_OF_SLACK.to_owned(), Value::from(webhook.as_str()));
        }
        Ok(Some(secret))
    }
}

/// The name of this machine's "stack": that of its data directory, so that incidents of different
/// directories differ.
///
/// # Errors
/// When the store cannot be read.
pub(crate) async fn local_stack(store: &Database) -> anyhow::Result<String> {
    let deadline = Deadline::after(SystemClock.now(), Duration::from_secs(15));
    let id = store.id(deadline).await?;
    Ok(format!("local-{}", id.chars().take(8).collect::<String>()))
}

/// A topic is published with the operator's own credentials for AWS.
#[cfg(feature = "aws")]
pub(crate) async fn with_sns<R: ReadSecret>(
    targets: Targets<R>,
    aws: &Aws,
    _topic: &Target,
    _secret: &str,
) -> anyhow::Result<Targets<R>> {
    Ok(targets.with_sns(Sns::new(&aws.load().await?, SystemClock)))
}

/// # Errors
/// Always: this build has no client of SNS for the credential in `secret`.
#[cfg(not(feature = "aws"))]
pub(crate) async fn with_sns<R: ReadSecret>(
    _targets: Targets<R>,
    _aws: &Aws,
    topic: &Target,
    secret: &str,
) -> anyhow::Result<Targets<R>> {
    let lacks = anyhow::anyhow!(
        "{topic} needs the feature `aws`, and this build of stentor does not have it"
    );
    let hint = format!(
        "install it with `cargo install --locked --path . --features aws`, or remove {topic} from {secret}"
    );
    Err(crate::ui::hinted(lacks, hint))
}

impl LocalSecret {
    /// Reads a file, and shows what in it is not used.
    ///
    /// # Errors
    /// When the file cannot be read, or with every mistake in it.
    pub(crate) fn open(file: &Path, ui: Ui) -> anyhow::Result<Self> {
        let name = file.display().to_string();
        let text = read(file).with_context(|| format!("cannot read {name}"))?;
        let refused = |diagnostics| ConfigError { file: name.clone(), diagnostics };
        let secret = SecretText::parse(&text).map_err(|fault| refused(vec![fault]))?;
        if !secret.errors.is_empty() {
            return Err(refused(secret.errors).into());
        }
        for warning in &secret.warnings {
            ui.warn_at(&name, warning);
        }
        Ok(Self { name, credentials: secret.credentials })
    }

    pub(crate) fn targets(self, slack_api: &SlackApi) -> anyhow::Result<Targets<Self>> {
        Ok(Targets::new(slack_api.slack()?, Secrets::new(self), SystemClock))
    }

    /// Checks the credentials of these targets, before the first alert needs one: a target refuses
    /// a message for good if its credential has the wrong form.
    ///
    /// # Errors
    /// With every credential that its target cannot use.
    fn check<'t>(&self, targets: impl Iterator<Item = &'t Target>) -> anyhow::Result<()> {
        let mistake = |target: &Target| {
            let names = target.credential_names();
            let value = names.iter().find_map(|name| self.credentials.get(name))?;
            let error = Access::parse(target.kind, &Credential::new(value.clone())).err()?;
            Some(format!("the credential of {target}: {error}"))
        };
        let mistakes: Vec<String> = targets.filter_map(mistake).collect();
        match mistakes.is_empty() {
            true => Ok(()),
            false => bail!("{}: {}", self.name, mistakes.join("; ")),
        }
    }

    fn recipients(&self) -> CredentialNames {
        self.credentials.keys().cloned().collect()
    }
}

impl fmt::Debug for LocalSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "LocalSecret({} credentials)", self.credentials.len())
    }
}

impl ReadSecret for LocalSecret {
    fn name(&self) -> String {
        self.name.clone()
    }

    async fn read(
        &self,
        version: SecretVersion,
        _deadline: Deadline,
    ) -> Result<Option<String>, SecretError> {
        let text =
            || serde_json::to_string(&self.credentials).expect("invariant: JSON values serialize");
        Ok((version == SecretVersion::Current).then(text))
    }
}

fn read(file: &Path) -> io::Result<String> {
    let mut text = String::new();
    File::open(file)?.take(SECRET_BYTES_MAX + 1).read_to_string(&mut text)?;
    match text.len() as u64 > SECRET_BYTES_MAX {
        true => Err(io::Error::new(io::ErrorKind::InvalidData, "a secret has at most 64 KiB")),
        false => Ok(text),
    }
}
