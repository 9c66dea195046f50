//! Options that several commands share. The same option has the same name, variable and meaning in
//! each.

use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use aws_types::SdkConfig;
use clap::Args;
use stentor::adapters::aws::diagnose;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::adapters::dynamodb::{DynamoStore, Tables};
use stentor::adapters::http;
use stentor::adapters::random;
use stentor::adapters::slack::{ApiUrl, Slack};
use stentor::config::{self, Config};
use stentor::model::time::Timestamp;
use stentor::protocol::clock::Clock as _;
use stentor::protocol::store::StoreError;

use crate::stack::{Stack, StackSettings};
use crate::ui::Ui;

/// The largest configuration. Ten thousand routes take about 2 MB.
const CONFIG_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// The longest duration that jiff parses.
const DAYS_MAX: u32 = 7_304_484;

/// The configuration file.
#[derive(Debug, Args)]
pub(crate) struct Configuration {
    /// Configuration file [default: [CRITICAL] and [ALERT] to slack:default]
    #[arg(long, value_name = "FILE", env = "STENTOR_CONFIG", hide_env = true)]
    pub config: Option<PathBuf>,
}

/// The AWS account and Region.
#[derive(Debug, Args)]
pub(crate) struct Aws {
    /// Region of the stack [default: AWS_REGION, or the profile's]
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(long, value_name = "REGION")]
    pub region: Option<String>,
    /// Profile of the AWS configuration [default: AWS_PROFILE]
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(long, value_name = "NAME")]
    pub profile: Option<String>,
}

/// The endpoint of Slack's bots.
#[derive(Debug, Args)]
pub(crate) struct SlackApi {
    /// Base URL of Slack's Web API, if it is not slack.com's
    #[arg(long, value_name = "URL", env = "STENTOR_SLACK_API_URL", hide_env = true)]
    pub slack_api: Option<String>,
}

/// The DynamoDB table of the outbox.
#[derive(Debug, Args)]
pub(crate) struct OutboxTable {
    /// DynamoDB table of the outbox
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(
        id = "outbox_table",
        long = "outbox-table",
        value_name = "TABLE",
        env = "OUTBOX_TABLE",
        hide_env = true,
        default_value = "Outbox"
    )]
    name: String,
}

impl OutboxTable {
    /// That of the stack, or the one that the option names.
    pub(crate) fn of(&self, settings: &StackSettings) -> Option<String> {
        settings.setting("OUTBOX_TABLE", Some(&self.name))
    }
}

/// The DynamoDB tables of a stack.
#[derive(Debug, Args)]
pub(crate) struct TableNames {
    #[command(flatten)]
    pub stack: Stack,
    /// DynamoDB table of the alerts
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(
        long,
        value_name = "TABLE",
        env = "ALERTS_TABLE",
        hide_env = true,
        default_value = "AppLogs"
    )]
    pub alerts_table: String,
    #[command(flatten)]
    pub outbox: OutboxTable,
    /// How long a row of the alerts table is kept
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(
        long,
        value_name = "DAYS",
        env = "ALERTS_RETENTION_DAYS",
        hide_env = true,
        default_value_t = 90,
        value_parser = clap::value_parser!(u16).range(i64::from(Tables::RETENTION_DAYS_MIN)..)
    )]
    pub alerts_retention_days: u16,
}

impl Configuration {
    /// Reads the file, and shows its warnings.
    ///
    /// # Errors
    /// When the file cannot be read, or with every mistake in it.
    pub(crate) fn read(&self, ui: Ui) -> anyhow::Result<Config> {
        match &self.config {
            Some(file) => read_config(file, ui),
            None => Ok(Config::builtin()),
        }
    }
}

impl SlackApi {
    /// # Errors
    /// When the URL is not https, or there are no root certificates.
    pub(crate) fn slack(&self) -> anyhow::Result<Slack> {
        let slack =
            Slack::new(http::client().context("cannot set up the HTTP client")?, SystemClock);
        Ok(match &self.slack_api {
            Some(api) => slack.with_api(ApiUrl::parse(api).context("--slack-api")?),
            None => slack,
        })
    }

    /// The same with the URL in `settings`, if it has one.
    ///
    /// # Errors
    /// As [`SlackApi::slack`].
    #[cfg(feature = "aws")]
    pub(crate) fn of(&self, settings: &StackSettings) -> anyhow::Result<Slack> {
        let slack_api = settings.setting("STENTOR_SLACK_API_URL", self.slack_api.as_deref());
        Self { slack_api }.slack()
    }
}

fn read_config(file: &Path, ui: Ui) -> anyhow::Result<Config> {
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
    for warning in &config.warnings {
        ui.warn_at(&name, warning);
    }
    Ok(config)
}

impl Aws {
    /// The SDK's configuration, with a Region and with credentials. Both are checked here, before
    /// any call fails for the lack of them.
    ///
    /// # Errors
    /// When there is no Region, or there are no credentials.
    #[cfg(feature = "aws")]
    pub(crate) async fn load(&self) -> anyhow::Result<SdkConfig> {
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
        let Some(provider) = aws.credentials_provider() else {
            bail!("{}", diagnose::NO_CREDENTIALS)
        };
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
    #[expect(clippy::unused_async, reason = "it is async with the clients")]
    pub(crate) async fn load(&self) -> anyhow::Result<SdkConfig> {
        Err(needs_aws())
    }
}

/// The error of a command that works on a deployed stack, in a build that has no clients for one.
#[cfg(not(feature = "aws"))]
pub(crate) fn needs_aws() -> anyhow::Error {
    crate::ui::hinted(
        anyhow!("this needs the feature `aws`, and this build of stentor does not have it"),
        "install it with `cargo install --locked --path . --features aws`; --data-dir and --credentials work without",
    )
}

/// The Region of the environment, as Lambda sets it.
pub(crate) fn region_of_environment() -> Option<String> {
    let variable = |name| std::env::var(name).ok().filter(|region| !region.is_empty());
    variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"))
}

impl TableNames {
    /// The store of the stack, or the one that the options name.
    ///
    /// # Errors
    /// When the functions of the stack cannot be read.
    pub(crate) async fn store(&self, aws: &SdkConfig) -> anyhow::Result<Database> {
        let settings = self.stack.settings(aws).await?;
        deployed_store(&settings, aws, self.of(&settings)?)
    }

    /// The tables in `settings`, or those of the options.
    ///
    /// # Errors
    /// When the retention in `settings` makes no sense.
    pub(crate) fn of(&self, settings: &StackSettings) -> anyhow::Result<Tables> {
        let default = Tables::default();
        let tables = Tables {
            alerts: settings
                .setting("ALERTS_TABLE", Some(&self.alerts_table))
                .unwrap_or(default.alerts),
            outbox: self.outbox.of(settings).unwrap_or(default.outbox),
            ..default
        };
        Ok(tables.keeping(retention_days(settings, self.alerts_retention_days)?))
    }
}

/// For how many days the stack keeps rows, or the option says.
///
/// # Errors
/// When the stack has a number that its functions refuse.
fn retention_days(settings: &StackSettings, option: u16) -> anyhow::Result<u16> {
    const VARIABLE: &str = "ALERTS_RETENTION_DAYS";
    match settings.setting(VARIABLE, Some(&option.to_string())) {
        Some(days) => Tables::days(&days).map_err(|why| anyhow!("{VARIABLE} of the stack: {why}")),
        None => Ok(Tables::DAYS),
    }
}

/// The database that a stack names, or the tables.
///
/// # Errors
/// When a setting of the database is wrong.
pub(crate) fn deployed_store(
    settings: &StackSettings,
    aws: &SdkConfig,
    tables: Tables,
) -> anyhow::Result<Database> {
    Ok(match postgres_store(settings, aws, &tables)? {
        Some(database) => database,
        None => DynamoStore::new(aws, tables, SystemClock, random::from_os()).into(),
    })
}

#[cfg(all(feature = "aws", feature = "postgres"))]
fn postgres_store(
    settings: &StackSettings,
    aws: &SdkConfig,
    tables: &Tables,
) -> anyhow::Result<Option<Database>> {
    use stentor::adapters::postgres::{PostgresStore, deployed};
    let variable = |name: &str| settings.setting(name, None);
    let days = u16::try_from(tables.alerts_ttl.as_secs() / 86_400).unwrap_or(u16::MAX);
    let database = deployed::settings(&variable, aws)?;
    Ok(database.map(|database| {
        PostgresStore::new(database, SystemClock, random::from_os()).keeping(days).into()
    }))
}

/// # Errors
/// When the stack names a database: this build has no client for it.
#[cfg(not(all(feature = "aws", feature = "postgres")))]
fn postgres_store(
    settings: &StackSettings,
    _: &SdkConfig,
    _: &Tables,
) -> anyhow::Result<Option<Database>> {
    let named = ["DATABASE_SECRET_ID", "DATABASE_HOST"]
        .into_iter()
        .find(|name| settings.setting(name, None).is_some());
    match named {
        Some(name) => bail!("the stack sets {name}: this needs the features `aws` and `postgres`"),
        None => Ok(None),
    }
}

/// An error of the store, with what to do about it.
pub(crate) fn explain_store_error(error: &StoreError, what: &str) -> anyhow::Error {
    anyhow!("{}", diagnose::explain(error.cause(), what))
}

/// Parses a size such as `64MiB` or `1GiB`.
pub(crate) fn bytes(text: &str) -> Result<u64, String> {
    config::bytes(text)
        .filter(|bytes| *bytes > 0)
        .ok_or_else(|| "expected a size such as 64MiB or 1GiB".to_owned())
}

/// Parses a share.
pub(crate) fn share(text: &str) -> Result<f64, String> {
    let share: Option<f64> = text.parse().ok();
    share
        .filter(|share| (0.0..=1.0).contains(share))
        .ok_or_else(|| "expected a number from 0 to 1".to_owned())
}

/// Parses the number of an AWS account.
pub(crate) fn account(text: &str) -> Result<String, String> {
    match text.len() == 12 && text.bytes().all(|byte| byte.is_ascii_digit()) {
        true => Ok(text.to_owned()),
        false => Err("an AWS account has 12 digits".to_owned()),
    }
}

/// Parses a point in time: a duration ago (`2h`, `7d`, `1h30m ago`), a date, or ISO 8601.
pub(crate) fn point_in_time(text: &str) -> Result<Timestamp, String> {
    // `14:15` is a time of day to its reader, though jiff parses it as a duration.
    let duration = || {
        config::duration_with_days(text.strip_suffix(" ago").unwrap_or(text))
            .filter(|_| !text.contains(':'))
    };
    let date = || Timestamp::from_iso(&format!("{text}T00:00:00Z"));
    let ago = duration().map(|duration| SystemClock.now().before(duration));
    ago.or_else(|| Timestamp::from_iso(text)).or_else(date).ok_or_else(|| {
        format!(
            "expected a duration ago (2h, 7d; at most {DAYS_MAX}d) or a date (2026-11-23, 2026-11-23T14:00:00Z)"
        )
    })
}

/// The same for the end of a period: a date stands for the end of its day.
pub(crate) fn end_of_period(text: &str) -> Result<Timestamp, String> {
    Timestamp::from_iso(&format!("{text}T23:59:59.999Z")).map_or_else(|| point_in_time(text), Ok)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_whose_retention_makes_no_sense_is_refused() {
        let days = |stack: &[(&str, &str)]| {
            let days = retention_days(&StackSettings::of(stack), 365);
            days.map_err(|error| error.to_string())
        };
        assert_eq!(days(&[("ALERTS_RETENTION_DAYS", "400")]), Ok(400));
        assert_eq!(days(&[]), Ok(90), "the default of the functions, and not the option");
        assert_eq!(retention_days(&StackSettings::default(), 365).ok(), Some(365), "no stack");
        for bad in ["20", "ninety", "70000"] {
            let error = days(&[("ALERTS_RETENTION_DAYS", bad)]).unwrap_err();
            assert!(error.starts_with("ALERTS_RETENTION_DAYS of the stack: expected"), "{error}");
        }
    }

    #[test]
    fn a_point_in_time_is_a_duration_ago_or_a_date() {
        let ago = |text: &str| {
            point_in_time(text).expect("a point in time").until(SystemClock.now()).as_secs()
        };
        assert!((7_200..7_205).contains(&ago("2h")) && (604_800..604_805).contains(&ago("7d")));
        assert!((5_400..5_405).contains(&ago("1h30m ago")));
        assert_eq!(
            point_in_time("2026-11-23T14:15:06Z").map(Timestamp::as_millis),
            Ok(1_795_443_306_000)
        );
        assert_eq!(point_in_time("2026-11-23").map(Timestamp::as_millis), Ok(1_795_392_000_000));
        assert_eq!(end_of_period("2026-11-23").map(Timestamp::as_millis), Ok(1_795_478_399_999));
        assert_eq!(end_of_period("2026-11-23T14:15:06Z"), point_in_time("2026-11-23T14:15:06Z"));
        assert!(point_in_time(&format!("{DAYS_MAX}d")).is_ok());
        let too_long = point_in_time(&format!("{}d", DAYS_MAX + 1)).unwrap_err();
        assert!(too_long.contains("at most 7304484d"), "{too_long}");
        for bad in ["yesterday", "", "14:15:06", "-2h", "2026-11-23 14:15"] {
            assert!(point_in_time(bad).is_err() && end_of_period(bad).is_err(), "{bad}");
        }
    }
}
