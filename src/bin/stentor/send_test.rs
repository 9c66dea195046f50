//! `stentor send-test` delivers one message marked [TEST] as the notifier does: with the secret,
//! the credential and the channel of the target. It shows a mistake before the first incident.

use std::collections::BTreeMap;
use std::path::PathBuf;

use anyhow::bail;
use clap::Args;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::secret::ReadSecret;
#[cfg(feature = "aws")]
use stentor::adapters::secret::{Secrets, SecretsManager};
#[cfg(feature = "aws")]
use stentor::adapters::sns::Sns;
use stentor::adapters::targets::Targets;
use stentor::config::TargetSettings;
use stentor::model::alert::{Alert, AlertId, Origin};
use stentor::model::digest::Digest;
use stentor::model::humanize::humanize_duration;
use stentor::model::name::{Severity, Target, TargetKind};
use stentor::model::pattern::Pattern;
use stentor::model::tally::Tally;
use stentor::model::time::Timestamp;
use stentor::model::visible;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::notify::{Deliver as _, DeliverError};
use stentor::protocol::round::ATTEMPT_MAX;

use crate::Exit;
use crate::args::{Aws, Configuration, SlackApi};
use crate::credentials::{LocalSecret, with_sns};
use crate::stack::Stack;
use crate::ui::{self, Ui};

const EXAMPLES: &str = if cfg!(feature = "aws") {
    "Examples: stentor send-test slack:app-alerts --stack stentor\n          \
                        stentor send-test slack:app-alerts --credentials credentials.json"
} else {
    "Example: stentor send-test slack:app-alerts --credentials credentials.json"
};

/// Send a message marked [TEST] to a target, and show the target's answer
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct SendTestArguments {
    /// Target, such as slack:app-alerts
    target: Target,
    #[command(flatten)]
    stack: Stack,
    /// Secret with the credentials of the targets
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(long, value_name = "NAME", env = "STENTOR_SECRET_ID", hide_env = true)]
    secret_id: Option<String>,
    /// Read the credentials from this file instead of a secret
    #[arg(long, value_name = "FILE", required_unless_present_any = ["secret_id", "stack"], conflicts_with = "stack")]
    credentials: Option<PathBuf>,
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    slack_api: SlackApi,
    #[command(flatten)]
    aws: Aws,
}

const MARKER: &str = "[TEST]";
const TEXT: &str = "[TEST] Stentor can deliver to this target. Nothing is wrong: this message is from `stentor send-test`.";

pub(crate) async fn send_test(arguments: &SendTestArguments, ui: Ui) -> anyhow::Result<Exit> {
    let settings = arguments.settings(ui)?;
    match &arguments.credentials {
        Some(file) => {
            let targets = LocalSecret::open(file, ui)?.targets(&arguments.slack_api)?;
            let (target, name) = (&arguments.target, file.display().to_string());
            let targets = match target.kind {
                TargetKind::Sns => with_sns(targets, &arguments.aws, target, &name).await?,
                _ => targets,
            };
            send(arguments, targets.with_settings(settings)).await
        }
        None => send_with_secret(arguments, settings).await,
    }
}

/// With the secret of a stack.
#[cfg(feature = "aws")]
async fn send_with_secret(
    arguments: &SendTestArguments,
    settings: BTreeMap<Target, TargetSettings>,
) -> anyhow::Result<Exit> {
    let aws = arguments.aws.load().await?;
    let stack = arguments.stack.settings(&aws).await?;
    let Some(secret_id) = stack.setting("STENTOR_SECRET_ID", arguments.secret_id.as_deref()) else {
        bail!("no credentials: name the stack with --stack, or its secret with --secret-id");
    };
    let secret = SecretsManager::new(&aws, secret_id, SystemClock);
    let targets = Targets::new(arguments.slack_api.of(&stack)?, Secrets::new(secret), SystemClock);
    let targets = targets.with_sns(Sns::new(&aws, SystemClock)).with_settings(settings);
    send(arguments, targets).await
}

#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "it is async with the clients")]
async fn send_with_secret(
    _arguments: &SendTestArguments,
    _settings: BTreeMap<Target, TargetSettings>,
) -> anyhow::Result<Exit> {
    Err(crate::args::needs_aws())
}

impl SendTestArguments {
    /// Those of the configuration, of which the target may be no part yet.
    fn settings(&self, ui: Ui) -> anyhow::Result<BTreeMap<Target, TargetSettings>> {
        let settings = self.configuration.read(ui)?.targets;
        let target = &self.target;
        if !settings.contains_key(target) && TargetSettings::default_of(target.kind).is_none() {
            bail!("{target} needs a [[target]]: name the configuration that has it with --config");
        }
        Ok(settings)
    }
}

async fn send(
    arguments: &SendTestArguments,
    targets: Targets<impl ReadSecret>,
) -> anyhow::Result<Exit> {
    let target = &arguments.target;
    let now = SystemClock.now();
    let delivery =
        targets.deliver(&digest(target, now), None, Deadline::after(now, ATTEMPT_MAX)).await;
    let (answer, exit) = match delivery {
        Ok(_) => ("accepted the message".to_owned(), Exit::Done),
        Err(error) => (explain(&error), Exit::Unfinished),
    };
    ui::print(&format!("{}.\n", visible::line(&format!("{target} {answer}"))))?;
    Ok(exit)
}

fn explain(error: &DeliverError) -> String {
    match error {
        DeliverError::Retry { after: Some(after), reason } => {
            format!(
                "did not accept the message: {reason}. Try again in {}",
                humanize_duration(*after)
            )
        }
        DeliverError::Retry { after: None, reason } => {
            format!("did not accept the message: {reason}. Stentor would retry an alert")
        }
        DeliverError::Denied { reason } | DeliverError::Refused { reason } => {
            format!("refused the message: {reason}. Stentor would park an alert")
        }
        DeliverError::Deferred => format!("did not accept the message: {error}"),
    }
}

/// The digest of a window with one alert.
fn digest(target: &Target, now: Timestamp) -> Digest {
    let origin = Origin::new("", "stentor", "send-test", None, "send-test");
    let alert = Alert {
        id: AlertId::new(&format!("test-{}", now.as_millis()), &origin),
        timestamp: now,
        marker: MARKER.into(),
        pattern: Pattern::of(TEXT, MARKER),
        message: TEXT.to_owned(),
        left_out: 0,
        context: None,
        statement: None,
        routes: [].into(),
        severities: [].into(),
        account_id: origin.owner.clone(),
        region: None,
        origin: origin.into(),
    };
    Digest::new(
        &"send-test".parse().expect("invariant: it is a name"),
        target,
        Some(Severity::Info),
        (0, 0),
        Tally::of([&alert]),
    )
}
