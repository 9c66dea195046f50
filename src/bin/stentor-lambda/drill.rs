//! The drill function, which a schedule invokes: it logs a line, and its log group has a subscription
//! to the stack as any other. It then waits until the target has the message of that line.
//! `DrillAlarm` goes off when its metric stops.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::json;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::random;
use stentor::ingest::route::Routes;
use stentor::lambda::metric::{self, InvocationMetric};
use stentor::model::name::Target;
use stentor::model::time::Timestamp;
use stentor::ops::drill::{Drill, DrillOutcome, DrillPlan};
use stentor::ops::explain::LogLine;
use stentor::protocol::clock::{Clock as _, Deadline};

use crate::Function;
use crate::environment::variable;

/// Limit of a call to the store.
const CALL_TIMEOUT: Duration = Duration::from_secs(10);

/// Time reserved for the report.
const REPORT_MARGIN: Duration = Duration::from_secs(15);

/// When Lambda ends the invocation, whose deadline is in milliseconds since 1970.
pub(crate) fn deadline_of(deadline_ms: u64) -> Timestamp {
    Timestamp::from_millis(i64::try_from(deadline_ms).unwrap_or(i64::MAX))
}

/// Runs a drill and logs its result. `account` is that of the function.
pub(crate) async fn run(
    function: &Function,
    target: &Target,
    account: &str,
    invocation: &InvocationMetric<'_>,
    deadline: Timestamp,
) {
    let timeout = SystemClock.now().until(deadline).saturating_sub(REPORT_MARGIN);
    let took = match drill(function, target, account, timeout).await {
        Ok(took) => Some(took),
        Err(error) => {
            tracing::error!(error.code = "drill-failed", "The drill failed: {error:#}");
            None
        }
    };
    let now = SystemClock.now();
    let metrics = metric::of_drill(target, took);
    let lines = metric::lines(invocation, metrics, took.unwrap_or_default(), now);
    lines.iter().for_each(|line| println!("{line}"));
}

/// The time from the line to the acceptance of its message.
async fn drill(
    function: &Function,
    target: &Target,
    account: &str,
    timeout: Duration,
) -> anyhow::Result<Duration> {
    let at = LogLine {
        message: String::new(),
        log_group: variable("AWS_LAMBDA_LOG_GROUP_NAME").unwrap_or_default(),
        log_stream: variable("AWS_LAMBDA_LOG_STREAM_NAME").unwrap_or_default(),
        account: account.to_owned(),
        region: variable("AWS_REGION"),
    };
    // As the consumer, which does not take this function for one of its own.
    let routes = Routes::new(function.routes.config())?;
    let form = |text: &str| json!({"level": "INFO", "message": text}).to_string();
    let plan = DrillPlan::new(&routes, target, None, at, random::bits(), form);
    let plan = plan.map_err(anyhow::Error::msg)?;
    let store = &function.store;
    let mut drill = Drill::begin(store, &SystemClock, &plan, deadline()).await?;
    println!("{}", plan.line);
    drill.written();
    let find = |query| async move { store.find_alert(&query, deadline).await };
    match drill.watch(timeout, find, deadline).await? {
        DrillOutcome::Arrived => {
            let last = drill.hops().last().context("a drill that arrived has hops")?;
            Ok(Duration::from_millis(last.after_ms))
        }
        DrillOutcome::Stopped(why) => Err(anyhow::anyhow!("{} did not arrive: {why}", plan.id)),
    }
}

fn deadline() -> Deadline {
    Deadline::after(SystemClock.now(), CALL_TIMEOUT)
}
