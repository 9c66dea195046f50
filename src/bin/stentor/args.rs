//! The vocabulary that the commands share: the same option has the same name, the same variable and the same
//! meaning wherever it stands.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use aws_types::SdkConfig;
use clap::Args;
use stentor::adapters::aws::diagnose;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::{DynamoStore, Tables};
use stentor::adapters::http;
use stentor::adapters::slack::{ApiUrl, Slack};
use stentor::config::{self, Config, Diagnostic};
use stentor::model::time::Timestamp;
use stentor::model::visible;
use stentor::protocol::clock::Clock as _;
use stentor::protocol::store::StoreError;

/// The largest configuration; ten thousand routes have some 2 MB.
const CONFIG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// Which configuration.
#[derive(Debug, Args)]
pub struct Configuration {
    /// Configuration; otherwise [CRITICAL] and [ALERT] go to slack:default
    #[arg(long, value_name = "FILE", env = "STENTOR_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
}

/// Which account and Region.
#[derive(Debug, Args)]
pub struct Aws {
    /// Region of the stack; otherwise AWS_REGION or the profile's
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Profile to sign in with; otherwise AWS_PROFILE, or keys
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

/// Where Slack's bots speak.
#[derive(Debug, Args)]
pub struct SlackApi {
    /// Slack's Web API, where it is not that of slack.com
    #[arg(long, value_name = "URL", env = "STENTOR_SLACK_API_URL", hide_env = true)]
    pub slack_api: Option<String>,
}

/// Which tables.
#[derive(Debug, Args)]
pub struct TableNames {
    /// Table with a row for each alert
    #[arg(long, value_name = "TABLE", env = "ALERTS_TABLE", hide_env = true, default_value = "AppLogs")]
    pub alerts_table: String,
    /// Table of what is to be told
    #[arg(long, value_name = "TABLE", env = "OUTBOX_TABLE", hide_env = true, default_value = "Outbox")]
    pub outbox_table: String,
}

impl Configuration {
    /// # Errors
    /// When the file cannot be read, and every mistake in it. Warnings go to stderr.
    pub fn read(&self) -> anyhow::Result<Config> {
        match &self.config {
            Some(file) => read_config(file),
            None => Ok(Config::builtin()),
        }
    }
}

impl SlackApi {
    /// # Errors
    /// When the URL cannot be spoken to in secret, or there are no root certificates.
    pub fn slack(&self) -> anyhow::Result<Slack> {
        let slack = Slack::new(http::client().context("cannot set up the HTTP client")?, SystemClock);
        Ok(match &self.slack_api {
            Some(api) => slack.with_api(ApiUrl::parse(api).context("--slack-api")?),
            None => slack,
        })
    }
}

fn read_config(file: &Path) -> anyhow::Result<Config> {
    let name = file.display().to_string();
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(file).map(|file| file.take(CONFIG_BYTES_MAX + 1));
    opened
        .and_then(|mut file| file.read_to_end(&mut bytes))
        .with_context(|| format!("cannot read the configuration {name}"))?;
    if bytes.len() as u64 > CONFIG_BYTES_MAX {
        bail!("the configuration {name} is larger than {} MiB", CONFIG_BYTES_MAX >> 20);
    }
    let config = Config::parse_bytes(&bytes, &name)?;
    for Diagnostic { line, column, message } in &config.warnings {
        eprintln!("{}", visible::text(&format!("{name}:{line}:{column}: warning: {message}")));
    }
    Ok(config)
}

impl Aws {
    /// The SDK's configuration, with a Region and with credentials: what is missing is said here, once, and not
    /// by whichever call comes first.
    ///
    /// # Errors
    /// When there is no Region, or there are no credentials.
    #[cfg(feature = "aws")]
    pub async fn load(&self) -> anyhow::Result<SdkConfig> {
        let mut loader = stentor::adapters::aws::from_environment();
        if let Some(region) = &self.region {
            loader = loader.region(aws_config::Region::new(region.clone()));
        }
        if let Some(profile) = &self.profile {
            loader = loader.profile_name(profile);
        }
        let aws = loader.load().await;
        if aws.region().is_none() {
            bail!("{}", diagnose::NO_REGION);
        }
        let Some(provider) = aws.credentials_provider() else { bail!("{}", diagnose::NO_CREDENTIALS) };
        use aws_sdk_dynamodb::config::ProvideCredentials as _;
        if let Err(error) = provider.provide_credentials().await {
            tracing::info!("No credentials: {}", stentor::model::error::chain(&error));
            bail!("{}", diagnose::NO_CREDENTIALS);
        }
        Ok(aws)
    }

    /// # Errors
    /// Always: this build has no clients for a deployed stack.
    #[cfg(not(feature = "aws"))]
    #[expect(clippy::unused_async, reason = "as with the clients")]
    pub async fn load(&self) -> anyhow::Result<SdkConfig> {
        Err(needs_aws())
    }
}

/// What a command says that works on a deployed stack, in a build that cannot.
#[cfg(not(feature = "aws"))]
pub fn needs_aws() -> anyhow::Error {
    anyhow!(
        "this stentor is built without the clients for AWS and works on this machine only (--data-dir, --file): build it with \
         the feature aws, `cargo install --locked --path . --features aws`"
    )
}

/// The Region that the environment names, as a function's does.
pub fn region_of_environment() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|region| !region.is_empty());
    variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"))
}

impl TableNames {
    pub fn store(&self, aws: &SdkConfig) -> DynamoStore {
        let (alerts, outbox) = (self.alerts_table.clone(), self.outbox_table.clone());
        DynamoStore::new(aws, Tables { alerts, outbox, ..Tables::default() }, SystemClock, fastrand::Rng::new())
    }
}

/// What the store said, as a sentence.
pub fn store_trouble(error: &StoreError, what: &str) -> anyhow::Error {
    anyhow!("{}", diagnose::explain(error.cause(), what))
}

/// `1GiB`, `64MiB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    config::bytes(text)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "a size is a number with B, KiB, MiB or GiB".to_owned())
}

/// A moment: how long ago (`2h`, `7d`, `1h30m ago`), or ISO 8601.
pub fn moment(text: &str) -> Result<Timestamp, String> {
    // `14:15` is a time of day to its reader, though jiff knows such durations.
    let length =
        || config::duration_with_days(text.strip_suffix(" ago").unwrap_or(text)).filter(|_| !text.contains(':'));
    let date = || Timestamp::from_iso(&format!("{text}T00:00:00Z"));
    let ago = length().map(|length| SystemClock.now().before(length));
    ago.or_else(|| Timestamp::from_iso(text))
        .or_else(date)
        .ok_or_else(|| "expected how long ago (2h, 7d) or a date (2026-11-23, 2026-11-23T14:00:00Z)".to_owned())
}

/// The end of a period: a date stands for the end of its day.
pub fn last_moment(text: &str) -> Result<Timestamp, String> {
    Timestamp::from_iso(&format!("{text}T23:59:59.999Z")).map_or_else(|| moment(text), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_some_time_ago_or_a_date() {
        let ago = |text: &str| moment(text).expect("a moment").until(SystemClock.now()).as_secs();
        assert!((7_200..7_205).contains(&ago("2h")) && (604_800..604_805).contains(&ago("7d")));
        assert!((5_400..5_405).contains(&ago("1h30m ago")));
        assert_eq!(moment("2026-11-23T14:15:06Z").map(Timestamp::as_millis), Ok(1_795_443_306_000));
        assert_eq!(moment("2026-11-23").map(Timestamp::as_millis), Ok(1_795_392_000_000));
        assert_eq!(last_moment("2026-11-23").map(Timestamp::as_millis), Ok(1_795_478_399_999));
        assert_eq!(last_moment("2026-11-23T14:15:06Z"), moment("2026-11-23T14:15:06Z"));
        for bad in ["yesterday", "", "14:15:06", "-2h", "2026-11-23 14:15"] {
            assert!(moment(bad).is_err() && last_moment(bad).is_err(), "{bad}");
        }
    }
}
