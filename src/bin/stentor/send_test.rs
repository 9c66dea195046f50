//! `stentor send-test` delivers one message marked [TEST] as the notifier does: with the secret,
//! the credential and the channel of the target. It shows a mistake before the first incident.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use serde::de::IgnoredAny;
use stentor::adapters::clock::SystemClock;
#[cfg(feature = "aws")]
use stentor::adapters::secret::SecretsManager;
use stentor::adapters::secret::{ReadSecret, SecretError, SecretVersion, Secrets};
#[cfg(feature = "aws")]
use stentor::adapters::sns::Sns;
use stentor::adapters::targets::Targets;
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

use crate::args::{Aws, SlackApi};
use crate::{Exit, ui};

const EXAMPLES: &str = if cfg!(feature = "aws") {
    "Examples: stentor send-test slack:app-alerts --secret-id \"$CREDENTIALS_ARN\"\n          \
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
    /// Secret with the credentials of the targets
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(long, value_name = "NAME", env = "STENTOR_SECRET_ID", hide_env = true)]
    secret_id: Option<String>,
    /// Read the credentials from this file instead of a secret
    #[arg(long, value_name = "FILE", required_unless_present = "secret_id")]
    credentials: Option<PathBuf>,
    #[command(flatten)]
    slack_api: SlackApi,
    #[command(flatten)]
    aws: Aws,
}

/// The text of a file with the content of a secret.
struct SecretFile(String);

/// The limit of Secrets Manager.
const SECRET_BYTES_MAX: u64 = 64 << 10;

/// Limit of the delivery.
const DELIVERY_TIMEOUT: Duration = Duration::from_secs(20);

const MARKER: &str = "[TEST]";
const TEXT: &str = "[TEST] Stentor can deliver to this target. Nothing is wrong: this message is from `stentor send-test`.";

pub(crate) async fn send_test(arguments: &SendTestArguments) -> anyhow::Result<Exit> {
    match &arguments.credentials {
        Some(file) if arguments.target.kind != TargetKind::Sns => {
            send(arguments, arguments.targets(SecretFile::open(file)?)?).await
        }
        _ => send_with_stack(arguments).await,
    }
}

/// With the secret of a stack, or a topic of its account.
#[cfg(feature = "aws")]
async fn send_with_stack(arguments: &SendTestArguments) -> anyhow::Result<Exit> {
    let aws = arguments.aws.load().await?;
    let sns = Sns::new(&aws, SystemClock);
    match (&arguments.credentials, &arguments.secret_id) {
        (Some(file), _) => {
            send(arguments, arguments.targets(SecretFile::open(file)?)?.with_sns(sns)).await
        }
        (None, Some(secret_id)) => {
            let secret = SecretsManager::new(&aws, secret_id.clone(), SystemClock);
            send(arguments, arguments.targets(secret)?.with_sns(sns)).await
        }
        (None, None) => bail!("pass --secret-id or --credentials"),
    }
}

#[cfg(not(feature = "aws"))]
async fn send_with_stack(_arguments: &SendTestArguments) -> anyhow::Result<Exit> {
    Err(crate::args::needs_aws())
}

impl SendTestArguments {
    fn targets<R: ReadSecret>(&self, secret: R) -> anyhow::Result<Targets<R>> {
        Ok(Targets::new(self.slack_api.slack()?, Secrets::new(secret), SystemClock))
    }
}

async fn send(
    arguments: &SendTestArguments,
    targets: Targets<impl ReadSecret>,
) -> anyhow::Result<Exit> {
    let target = &arguments.target;
    let now = SystemClock.now();
    let delivery =
        targets.deliver(&digest(target, now), None, Deadline::after(now, DELIVERY_TIMEOUT)).await;
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
        account_id: origin.owner.clone(),
        region: None,
        origin: origin.into(),
    };
    Digest {
        route: "send-test".parse().expect("invariant: it is a name"),
        target: target.clone(),
        severity: Severity::Info,
        epochs: (0, 0),
        tally: Tally::of([&alert]),
        burst: None,
        ends_burst: false,
        incident: None,
        backlog: None,
        muted: 0,
        escalated: None,
        related: vec![],
    }
}

impl ReadSecret for SecretFile {
    async fn read(
        &self,
        version: SecretVersion,
        _deadline: Deadline,
    ) -> Result<Option<String>, SecretError> {
        Ok((version == SecretVersion::Current).then(|| self.0.clone()))
    }
}

impl SecretFile {
    /// # Errors
    /// When the file cannot be read, or is not like a secret.
    fn open(file: &Path) -> anyhow::Result<Self> {
        let text = read(file).with_context(|| format!("cannot read {}", file.display()))?;
        // The message of serde would quote the secret.
        if serde_json::from_str::<BTreeMap<String, IgnoredAny>>(&text).is_err() {
            bail!("{} is not a JSON object from target to credential", file.display());
        }
        Ok(Self(text))
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
