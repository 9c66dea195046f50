//! The Lambda functions. Reads the environment once, and then handles invocations until Lambda ends
//! the process.

#![warn(unreachable_pub)]

mod drill;
mod environment;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use lambda_runtime::{Diagnostic, Error, LambdaEvent, service_fn};
use serde_json::value::RawValue;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::http;
use stentor::adapters::services::DeployedServices;
use stentor::adapters::sqs::SqsDeadLetters;
use stentor::lambda::batch_response::{FunctionError, json};
use stentor::lambda::handler::{Invocation, handle};
use stentor::lambda::metric::InvocationMetric;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::Store as _;
use tracing::Instrument as _;
use tracing_subscriber::filter::{self, LevelFilter};
use tracing_subscriber::prelude::*;

use crate::environment::{Settings, from_environment, variable};

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
    let started = async {
        let settings = Settings::from_environment(&variable)?;
        anyhow::Ok((from_environment().await?, settings))
    };
    let (function, settings) = match started.await {
        Ok((function, settings)) => (Arc::new(function), settings),
        Err(error) => {
            tracing::error!(error.code = CANNOT_START, "The function cannot start: {error:#}");
            report_start(&error).await;
            return Err(error.into());
        }
    };
    tokio::spawn(warm(Arc::clone(&function)));
    lambda_runtime::run(service_fn(|event| invoke(&function, &settings, event))).await
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
    settings: &Settings,
    event: LambdaEvent<Box<RawValue>>,
) -> Result<Box<RawValue>, Failure> {
    let context = event.context;
    let account = context.invoked_function_arn.split(':').nth(4).unwrap_or_default();
    if !account.is_empty() {
        // Fails when the account is known already; it never changes.
        let _ = function.routes.own().account.set(account.to_owned());
    }
    let span = tracing::info_span!(
        "invocation",
        request.id = context.request_id,
        shard.id = tracing::field::Empty
    );
    if let Some(target) = &settings.drill_target {
        let name = InvocationMetric {
            function: &context.env_config.function_name,
            request_id: &context.request_id,
            shard_id: "",
        };
        let deadline = drill::deadline_of(context.deadline);
        Box::pin(drill::run(function, target, account, &name, deadline)).instrument(span).await;
        return Ok(json(&()));
    }
    let invocation = Invocation {
        function: context.env_config.function_name.clone(),
        request_id: context.request_id,
        deadline_ms: context.deadline,
        region: variable("AWS_REGION"),
        series_max: settings.series_max,
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
