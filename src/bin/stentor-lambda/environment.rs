//! The environment of the functions: the variables that the template sets, and the services that
//! they name.

use std::env;

use anyhow::Context as _;
use stentor::adapters::clock::SystemClock;
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

use crate::Function;

/// The configuration in the layer of the template.
const CONFIG_PATH: &str = "/opt/stentor.toml";

pub(crate) async fn from_environment() -> anyhow::Result<Function> {
    let config = config()?;
    let aws = stentor::adapters::aws::from_environment().load().await;
    let tables = Tables {
        alerts: variable("ALERTS_TABLE").unwrap_or(Tables::default().alerts),
        outbox: variable("OUTBOX_TABLE").unwrap_or(Tables::default().outbox),
        ..Tables::default()
    };
    let dlq_url =
        variable("DLQ_URL").context("DLQ_URL is not set: there is nowhere to park bad records")?;
    let secret_id = variable("STENTOR_SECRET_ID")
        .context("STENTOR_SECRET_ID is not set: there are no credentials")?;
    Ok(DeployedServices {
        routes: Routes::new(&config)?.refusing(own_logs()),
        store: DynamoStore::new(&aws, tables, SystemClock, random::from_os()),
        due: variable("DUE_QUEUE_URL")
            .map(|url| SqsDueQueue::new(&aws, url, SystemClock, random::from_os())),
        dead_letters: SqsDeadLetters::new(&aws, dlq_url, SystemClock, random::from_os()),
        targets: Targets::new(
            slack()?,
            Secrets::new(SecretsManager::new(&aws, secret_id, SystemClock)),
            SystemClock,
        )
        .with_settings(config.targets)
        .with_stack(variable("STENTOR_STACK").unwrap_or_else(|| "stentor".to_owned()))
        .with_sns(Sns::new(&aws, SystemClock)),
    })
}

/// The file that `STENTOR_CONFIG` names, the file of the layer, or the built-in configuration.
fn config() -> anyhow::Result<Config> {
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

/// The API of slack.com, or the one at `STENTOR_SLACK_API_URL` (GovSlack has its own).
fn slack() -> anyhow::Result<Slack> {
    let slack = Slack::new(Http::default(), SystemClock);
    let api = variable("STENTOR_SLACK_API_URL").map(|url| ApiUrl::parse(&url)).transpose();
    Ok(match api.context("STENTOR_SLACK_API_URL")? {
        Some(api) => slack.with_api(api),
        None => slack,
    })
}

/// The log groups of the pipeline's functions: this one's, and those that `STENTOR_FUNCTIONS`
/// names, separated by commas.
fn own_logs() -> OwnLogs {
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
