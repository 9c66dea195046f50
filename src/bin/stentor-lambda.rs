//! The Lambda functions. Reads the environment once, and then handles invocations until Lambda ends
//! the process.

#![warn(unreachable_pub)]

use std::env;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::{DynamoStore, Tables};
use stentor::adapters::http::{self, Http};
use stentor::adapters::secret::{Secrets, SecretsManager};
use stentor::adapters::services::DeployedServices;
use stentor::adapters::slack::{ApiUrl, Slack};
use stentor::adapters::sns::Sns;
use stentor::adapters::sqs::{SqsDeadLetters, SqsDueQueue};
use stentor::adapters::targets::{Targets, undeliverable};
use stentor::config::Config;
use stentor::ingest::route::{OwnLogs, Routes};
use stentor::lambda::answer::FunctionError;
use stentor::lambda::handler::{Invocation, handle};
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::Store as _;
use tracing::Instrument as _;
use tracing_subscriber::filter::{self, LevelFilter};
use tracing_subscriber::prelude::*;

/// The configuration in the layer of the template.
const CONFIG_PATH: &str = "/opt/stentor.toml";

/// The error type of a function that cannot start.
const CANNOT_START: &str = "configuration-invalid";

/// The error of an invocation. Its code becomes the error type; by default the runtime would use
/// the name of a Rust type.
struct Failure(FunctionError);

/// The runtime logs it.
impl fmt::Debug for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "The invocation failed: {}", self.0)
    }
}

impl From<Failure> for Diagnostic {
    fn from(Failure(error): Failure) -> Self {
        Self { error_type: error.code().to_owned(), error_message: error.to_string() }
    }
}

/// The services of both functions. Without a due queue the consumer closes the routes that it
/// touched before it answers.
type Function = DeployedServices<SqsDeadLetters>;

#[tokio::main]
async fn main() -> Result<(), Error> {
    log_as_json();
    let function = match from_environment().await {
        Ok(function) => Arc::new(function),
        Err(error) => {
            tracing::error!(error.code = CANNOT_START, "The function cannot start: {error:#}");
            report_start(&error).await;
            return Err(error.into());
        }
    };
    tokio::spawn(warm(Arc::clone(&function)));
    lambda_runtime::run(service_fn(|event| invoke(&function, event))).await
}

/// Reports to Lambda why the function cannot start. Otherwise Lambda reports only that the process
/// ended.
async fn report_start(error: &anyhow::Error) {
    let (Some(api), Ok(client)) = (variable("AWS_LAMBDA_RUNTIME_API"), http::client()) else {
        return;
    };
    let diagnostic =
        Diagnostic { error_type: CANNOT_START.to_owned(), error_message: format!("{error:#}") };
    let body = serde_json::to_vec(&diagnostic).expect("invariant: two texts always serialize");
    let request = client
        .post(format!("http://{api}/2018-06-01/runtime/init/error"))
        .header("content-type", "application/json")
        .header("lambda-runtime-function-error-type", CANNOT_START)
        .timeout(Duration::from_secs(2))
        .body(body);
    if let Err(error) = request.send().await {
        tracing::warn!("The reason could not be reported to Lambda: {error}");
    }
}

async fn invoke(
    function: &Function,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Box<RawValue>, Failure> {
    let context = event.context;
    if let Some(account) =
        context.invoked_function_arn.split(':').nth(4).filter(|account| !account.is_empty())
    {
        // Fails when the account is known already; it never changes.
        let _ = function.routes.own().account.set(account.to_owned());
    }
    let span = tracing::info_span!(
        "invocation",
        request.id = context.request_id,
        shard.id = tracing::field::Empty
    );
    let invocation = Invocation {
        function: context.env_config.function_name.clone(),
        request_id: context.request_id,
        deadline_ms: context.deadline,
        region: variable("AWS_REGION"),
    };
    // Boxed: the future of a whole invocation, inside those of the runtime, nests deeper than the
    // compiler looks.
    let handled =
        Box::pin(handle(function, &event.payload, &invocation, |line| println!("{line}")));
    handled.instrument(span).await.map_err(Failure)
}

/// Opens the connection to the store during initialization, so that the first record does not wait
/// for it.
async fn warm(function: Arc<Function>) {
    let deadline = Deadline::after(SystemClock.now(), Duration::from_secs(2));
    if let Err(error) = function.store.routes(deadline).await {
        tracing::warn!("The store did not answer during initialization: {error}");
    }
}

async fn from_environment() -> anyhow::Result<Function> {
    let config = config()?;
    if let Some(target) = undeliverable(&config) {
        bail!("the configuration names {target}, and this version delivers to Slack and SNS only");
    }
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
        store: DynamoStore::new(&aws, tables, SystemClock, fastrand::Rng::new()),
        due: variable("DUE_QUEUE_URL")
            .map(|url| SqsDueQueue::new(&aws, url, SystemClock, fastrand::Rng::new())),
        dead_letters: SqsDeadLetters::new(&aws, dlq_url, SystemClock, fastrand::Rng::new()),
        targets: Targets::new(
            slack()?,
            Secrets::new(SecretsManager::new(&aws, secret_id, SystemClock)),
            SystemClock,
        )
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

fn variable(name: &str) -> Option<String> {
    env::var(name).ok().filter(|value| !value.is_empty())
}

/// One JSON object per line, with the fields of the invocation's span. `AWS_LAMBDA_LOG_LEVEL` is
/// Lambda's own setting.
fn log_as_json() {
    let level = variable("AWS_LAMBDA_LOG_LEVEL")
        .and_then(|level| level.parse().ok())
        .unwrap_or(LevelFilter::INFO);
    let ours = filter::Targets::new()
        .with_default(LevelFilter::WARN)
        .with_target("stentor", level)
        .with_target("stentor_lambda", level);
    let lines = tracing_subscriber::fmt::layer()
        .json()
        .flatten_event(true)
        .with_current_span(true)
        .with_span_list(false);
    tracing_subscriber::registry().with(lines.with_target(false).with_filter(ours)).init();
}

#[cfg(test)]
mod tests {
    use stentor::ingest::event::EventError;
    use stentor::model::error::Cause;
    use stentor::protocol::retry_reason::RetryReason;
    use stentor::protocol::store::StoreError;

    use super::*;

    #[test]
    fn the_error_type_is_the_code_of_the_error() {
        let problem = "a syntax error";
        let cause = || Cause::new("ThrottlingException", "slow down");
        let cases = [
            (EventError::NotJson { problem, line: 1, column: 2 }.into(), "event-not-json"),
            (EventError::Unknown.into(), "event-unknown"),
            (EventError::ForNotifier.into(), "event-for-notifier"),
            (EventError::UnnamedMessage.into(), "event-unnamed-message"),
            (FunctionError::Unnamed(2, Box::new(RetryReason::OutOfTime)), "records-unnamed"),
            (FunctionError::NoDueQueue, "no-due-queue"),
            (StoreError::Unavailable(cause()).into(), "store-unavailable"),
            (StoreError::Refused(cause()).into(), "store-refused"),
            (StoreError::Invalid(cause()).into(), "store-invalid"),
        ];
        for (error, code) in cases {
            let error: FunctionError = error;
            let message = error.to_string();
            let diagnostic = Diagnostic::from(Failure(error));
            assert_eq!(
                (diagnostic.error_type, diagnostic.error_message),
                (code.to_owned(), message)
            );
        }
    }
}
