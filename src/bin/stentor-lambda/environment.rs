//! The environment of the functions: the variables that the template sets, and the services that
//! they name.

use std::env;

use anyhow::{Context as _, anyhow};
use aws_types::SdkConfig;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::adapters::dynamodb::{DynamoStore, Tables};
use stentor::adapters::http::Http;
use stentor::adapters::random;
use stentor::adapters::secret::{Secrets, SecretsManager};
use stentor::adapters::services::DeployedServices;
use stentor::adapters::slack::{ApiUrl, Slack};
use stentor::adapters::sns::Sns;
use stentor::adapters::sqs::{SqsDeadLetters, SqsDueQueue};
use stentor::adapters::targets::Targets;
use stentor::config::Config;
use stentor::ingest::route::{OwnLogs, Routes};
use stentor::model::name::Target;

use crate::Function;

/// The configuration in the layer of the template.
const CONFIG_PATH: &str = "/opt/stentor.toml";

/// As in the template.
const SERIES_MAX: usize = 50;

/// # Errors
/// When a variable is missing, or the configuration has mistakes.
pub(crate) async fn from_environment() -> anyhow::Result<Function> {
    let workers = std::thread::available_parallelism().map_or(1, |workers| workers.get() as u64);
    function(&variable, workers).await
}

async fn function(
    variable: &impl Fn(&str) -> Option<String>,
    workers: u64,
) -> anyhow::Result<Function> {
    let mut config = config(variable)?;
    let memory_mb = variable("AWS_LAMBDA_FUNCTION_MEMORY_SIZE").and_then(|mb| mb.parse().ok());
    if let Some(fitting) = memory_mb.map(|mb| decoded_bytes_fitting(mb, workers))
        && fitting < config.decoded_bytes_max
    {
        tracing::error!(
            error.code = "decoded-bytes-max",
            "decoded_bytes_max is {}, but the memory of the function allows only {fitting}: \
             larger records are parked",
            config.decoded_bytes_max
        );
        config.decoded_bytes_max = fitting;
    }
    let aws = stentor::adapters::aws::from_environment().load().await;
    let store = store(variable, &aws)?;
    let dlq_url =
        variable("DLQ_URL").context("DLQ_URL is not set: there is nowhere to park bad records")?;
    let secret_id = variable("STENTOR_SECRET_ID")
        .context("STENTOR_SECRET_ID is not set: there are no credentials")?;
    Ok(DeployedServices {
        routes: Routes::new(&config)?.refusing(own_logs(variable)),
        store,
        due: variable("DUE_QUEUE_URL")
            .map(|url| SqsDueQueue::new(&aws, url, SystemClock, random::from_os())),
        dead_letters: SqsDeadLetters::new(&aws, dlq_url, SystemClock, random::from_os()),
        targets: Targets::new(
            slack(variable)?,
            Secrets::new(SecretsManager::new(&aws, secret_id, SystemClock)),
            SystemClock,
        )
        .with_settings(config.targets)
        .with_stack(variable("STENTOR_STACK").unwrap_or_else(|| "stentor".to_owned()))
        .with_sns(Sns::new(&aws, SystemClock)),
    })
}

/// The database that the variables name, or the tables.
fn store(variable: &impl Fn(&str) -> Option<String>, aws: &SdkConfig) -> anyhow::Result<Database> {
    let days = match variable("ALERTS_RETENTION_DAYS") {
        Some(days) => {
            Tables::days(&days).map_err(|problem| anyhow!("ALERTS_RETENTION_DAYS: {problem}"))?
        }
        None => Tables::DAYS,
    };
    if let Some(database) = postgres(variable, aws, days)? {
        return Ok(database);
    }
    let tables = Tables {
        alerts: variable("ALERTS_TABLE").unwrap_or(Tables::default().alerts),
        outbox: variable("OUTBOX_TABLE").unwrap_or(Tables::default().outbox),
        ..Tables::default()
    };
    Ok(DynamoStore::new(aws, tables.keeping(days), SystemClock, random::from_os()).into())
}

#[cfg(feature = "postgres")]
fn postgres(
    variable: &impl Fn(&str) -> Option<String>,
    aws: &SdkConfig,
    days: u16,
) -> anyhow::Result<Option<Database>> {
    use stentor::adapters::postgres::{PostgresStore, deployed};
    let settings = deployed::settings(variable, aws)?;
    Ok(settings.map(|settings| {
        PostgresStore::new(settings, SystemClock, random::from_os()).keeping(days).into()
    }))
}

/// # Errors
/// When the variables name a database: this build has no client for it.
#[cfg(not(feature = "postgres"))]
fn postgres(
    variable: &impl Fn(&str) -> Option<String>,
    _: &SdkConfig,
    _: u16,
) -> anyhow::Result<Option<Database>> {
    match variable("DATABASE_SECRET_ID").or_else(|| variable("DATABASE_HOST")) {
        Some(_) => Err(anyhow!(
            "DATABASE_SECRET_ID: this build has no PostgreSQL: build it with the feature `postgres`"
        )),
        None => Ok(None),
    }
}

/// The settings of an invocation.
pub(crate) struct Settings {
    /// How many routes, and how many targets, have metrics of their own.
    pub(crate) series_max: usize,
    /// The target of the drill function; the others have none.
    pub(crate) drill_target: Option<Target>,
}

impl Settings {
    /// # Errors
    /// When a variable makes no sense.
    pub(crate) fn from_environment(
        variable: &impl Fn(&str) -> Option<String>,
    ) -> anyhow::Result<Self> {
        let series_max = match variable("STENTOR_SERIES_MAX") {
            Some(max) => max.parse().context("STENTOR_SERIES_MAX is not a number")?,
            None => SERIES_MAX,
        };
        let target = variable("STENTOR_DRILL_TARGET").map(|target| target.parse()).transpose();
        Ok(Self { series_max, drill_target: target.context("STENTOR_DRILL_TARGET")? })
    }
}

/// The file that `STENTOR_CONFIG` names, the file of the layer, or the built-in configuration.
fn config(variable: &impl Fn(&str) -> Option<String>) -> anyhow::Result<Config> {
    let (path, named) = match variable("STENTOR_CONFIG") {
        Some(path) => (path, true),
        None => (CONFIG_PATH.to_owned(), false),
    };
    match std::fs::read(&path) {
        Ok(bytes) => {
            let config = Config::parse_bytes(&bytes, &path)?;
            for warning in &config.warnings {
                tracing::warn!("The configuration is odd: {path}:{warning}");
            }
            Ok(config)
        }
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !named => {
            Ok(Config::builtin())
        }
        Err(error) => Err(error).with_context(|| format!("cannot read the configuration {path}")),
    }
}

/// The largest `decoded_bytes_max` that a function with this memory can keep. Each worker unpacks one
/// record at a time, and half of the memory is for all else. A record that does not fit would kill
/// the process again and again, and so hide all records behind it.
fn decoded_bytes_fitting(memory_mb: u64, workers: u64) -> u64 {
    (memory_mb << 20) / 2 / workers.max(1)
}

/// The API of slack.com, or the one at `STENTOR_SLACK_API_URL` (GovSlack has its own).
fn slack(variable: &impl Fn(&str) -> Option<String>) -> anyhow::Result<Slack> {
    let slack = Slack::new(Http::default(), SystemClock);
    let api = variable("STENTOR_SLACK_API_URL").map(|url| ApiUrl::parse(&url)).transpose();
    Ok(match api.context("STENTOR_SLACK_API_URL")? {
        Some(api) => slack.with_api(api),
        None => slack,
    })
}

/// The log groups of the pipeline's functions: this one's, and those that `STENTOR_FUNCTIONS`
/// names, separated by commas.
fn own_logs(variable: &impl Fn(&str) -> Option<String>) -> OwnLogs {
    let named = variable("STENTOR_FUNCTIONS").unwrap_or_default();
    let this = variable("AWS_LAMBDA_FUNCTION_NAME");
    let functions = named
        .split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(str::to_owned)
        .chain(this);
    let groups = functions.map(|name| format!("/aws/lambda/{name}"));
    OwnLogs {
        log_groups: groups.chain(variable("AWS_LAMBDA_LOG_GROUP_NAME")).collect(),
        ..OwnLogs::default()
    }
}

pub(crate) fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The function that a stack with this configuration runs.
    async fn started_with(config: &str) -> anyhow::Result<Function> {
        with_memory(config, "1769").await
    }

    async fn with_memory(config: &str, memory_mb: &str) -> anyhow::Result<Function> {
        let variable = |name: &str| {
            let value = match name {
                "STENTOR_CONFIG" => config,
                "AWS_LAMBDA_FUNCTION_MEMORY_SIZE" => memory_mb,
                "DLQ_URL" => "https://sqs.eu-west-1.amazonaws.com/111122223333/dead-letters",
                "DUE_QUEUE_URL" => "https://sqs.eu-west-1.amazonaws.com/111122223333/due",
                "STENTOR_SECRET_ID" => "targets",
                _ => return None,
            };
            Some(value.to_owned())
        };
        function(&variable, 2).await
    }

    #[tokio::test]
    async fn the_function_starts_with_the_example_as_it_is() {
        let example = concat!(env!("CARGO_MANIFEST_DIR"), "/config/example.toml");
        let function = started_with(example).await.expect("the example is complete");
        let config = function.routes.config();
        assert!(config.warnings.is_empty(), "{:?}", config.warnings);
        let used =
            config.routes.iter().flat_map(|route| route.notify.iter().chain(&route.fallback));
        for target in used {
            assert!(config.targets.contains_key(target), "{target} has no settings");
        }
        assert_eq!(config.decoded_bytes_max, 64 << 20, "it fits");
        let missing = started_with("missing.toml").await.map(drop).expect_err("there is no file");
        assert!(missing.to_string().contains("cannot read the configuration missing.toml"));
    }

    #[tokio::test]
    async fn records_that_do_not_fit_into_memory_are_refused() {
        let file = format!("stentor-large-records-{}.toml", std::process::id());
        let file = env::temp_dir().join(file);
        let route = "[[route]]\nname = 'a'\nmarkers = ['X']\nnotify = ['slack:a']\n";
        std::fs::write(&file, format!("decoded_bytes_max = '1GiB'\n{route}")).unwrap();
        let file = file.to_str().unwrap();
        let limit = async |memory_mb: &str| {
            with_memory(file, memory_mb).await.expect("it starts").routes.config().decoded_bytes_max
        };
        assert_eq!(limit("1024").await, 256 << 20, "a quarter: two workers, and half for all else");
        assert_eq!(limit("1000000").await, 1 << 30);
        std::fs::remove_file(file).unwrap();
        assert_eq!(decoded_bytes_fitting(1_769, 2), 1_769 << 18);
        assert!(decoded_bytes_fitting(10_240, 6) < 10 << 30, "the largest value of the key");
    }
}
