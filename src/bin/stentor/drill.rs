//! `stentor drill` writes a line into a log group of a deployed stack, watches the tables until a
//! target has its message, and prints the time of each hop.

use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use serde::Serialize;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::adapters::random;
use stentor::config;
use stentor::ingest::route::Routes;
use stentor::model::humanize::humanize_duration;
use stentor::model::name::{RouteName, Target};
use stentor::model::time::Timestamp;
use stentor::ops::drill::{Drill, DrillError, DrillOutcome, DrillPlan, Hop};
use stentor::ops::explain::LogLine;
use stentor::protocol::store::StoreError;

use crate::Exit;
use crate::args::{Aws, Configuration, TableNames, region_of_environment};
use crate::audit_table::deadline;
use crate::json::VERSION;
use crate::trace::explain;
use crate::ui::{self, Ui};

const EXAMPLE: &str = "Example: stentor drill --stack stentor --config stentor.toml --log-group /stentor/drill --target slack:default\n\
         The log group needs a subscription to the stack, and its route must admit it.";

/// Send a line through a deployed stack to a target, and time each hop
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub(crate) struct DrillArguments {
    /// Log group to write the line into; it must exist and have a subscription to the stack
    #[arg(long, value_name = "NAME")]
    log_group: String,
    /// Target that must accept the message, such as slack:default
    #[arg(long, value_name = "TARGET")]
    target: Target,
    /// Route of the line [default: the first that has markers and the target]
    #[arg(long, value_name = "NAME")]
    route: Option<RouteName>,
    /// How long to wait for the target
    #[arg(long, value_name = "DURATION", default_value = "5m", value_parser = timeout)]
    timeout: Duration,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    configuration: Configuration,
    #[command(flatten)]
    tables: TableNames,
    #[command(flatten)]
    aws: Aws,
}

/// The log stream of the line.
const STREAM: &str = "stentor-drill";

/// `stentor drill --json`.
#[derive(Debug, Serialize)]
struct PrintedDrill<'a> {
    version: u32,
    id: &'a str,
    route: &'a str,
    target: String,
    arrived: bool,
    log_id: Option<&'a str>,
    epoch: Option<u64>,
    hops: &'a [Hop],
    reason: Option<String>,
}

pub(crate) async fn drill(arguments: &DrillArguments, ui: Ui) -> anyhow::Result<Exit> {
    let config = arguments.configuration.read(ui)?;
    let plan = arguments.plan(&Routes::new(&config)?).map_err(|problem| anyhow!(problem))?;
    let aws = arguments.aws.load().await?;
    let store = arguments.tables.store(&aws).await?;
    let (alerts, outbox) = (store.alerts_place(), store.outbox_place());
    let tables = if alerts == outbox { alerts } else { format!("{alerts} or {outbox}") };
    let explain = |error: &StoreError| explain(error, &tables);
    let begun = Drill::begin(&store, &SystemClock, &plan, deadline()).await;
    let mut drill = begun.map_err(|error| match error {
        DrillError::Muted(..) => {
            anyhow!("{error}: unmute it, or choose another with --route")
        }
        DrillError::Store(error) => explain(&error),
    })?;
    let written = write(&aws, &arguments.log_group, &plan.line, drill.began()).await;
    written.map_err(|error| anyhow!(error))?;
    drill.written();
    let find = |query| {
        let store = &store;
        async move { store.find_alert(&query, deadline).await }
    };
    let outcome = drill.watch(arguments.timeout, find, deadline).await;
    arguments.report(&plan, &drill, outcome.map_err(|error| explain(&error))?)
}

impl DrillArguments {
    fn plan(&self, routes: &Routes) -> Result<DrillPlan, String> {
        let at = LogLine {
            message: String::new(),
            log_group: self.log_group.clone(),
            log_stream: STREAM.to_owned(),
            // That of the log group is not known here.
            account: String::new(),
            region: self.aws.region.clone().or_else(region_of_environment),
        };
        let (route, bits) = (self.route.as_ref(), random::bits());
        DrillPlan::new(routes, &self.target, route, at, bits, str::to_owned)
    }

    fn report(
        &self,
        plan: &DrillPlan,
        drill: &Drill<'_, Database, SystemClock>,
        outcome: DrillOutcome,
    ) -> anyhow::Result<Exit> {
        let reason = match outcome {
            DrillOutcome::Arrived => None,
            DrillOutcome::Stopped(why) => Some(why),
        };
        let arrived = reason.is_none();
        if self.json {
            ui::print_json(&PrintedDrill {
                version: VERSION,
                id: &plan.id,
                route: plan.route.as_str(),
                target: plan.target.to_string(),
                arrived,
                log_id: drill.row().map(|row| row.log_id.as_str()),
                epoch: drill.epoch(),
                hops: drill.hops(),
                reason,
            })?;
        } else {
            let hop = |hop: &Hop| {
                let after = humanize_duration(Duration::from_millis(hop.after_ms));
                format!("  {:<10} {}  after {after}\n", hop.hop, hop.at)
            };
            let hops: String = drill.hops().iter().map(hop).collect();
            let result = match &reason {
                None => format!("{} accepted {}.", plan.target, plan.id),
                Some(reason) => format!("{} did not arrive: {reason}.", plan.id),
            };
            ui::print(&format!("{hops}{result}\n"))?;
        }
        Ok(if arrived { Exit::Done } else { Exit::Unfinished })
    }
}

#[cfg(feature = "aws")]
async fn write(
    aws: &aws_types::SdkConfig,
    log_group: &str,
    line: &str,
    at: Timestamp,
) -> Result<(), String> {
    stentor::adapters::log_line::write(aws, log_group, STREAM, line, at).await
}

/// Not reached: `Aws::load` fails in a build without clients.
#[cfg(not(feature = "aws"))]
#[expect(clippy::unused_async, reason = "it is async with the clients")]
async fn write(_: &aws_types::SdkConfig, _: &str, _: &str, _: Timestamp) -> Result<(), String> {
    Err(crate::args::needs_aws().to_string())
}

fn timeout(text: &str) -> Result<Duration, String> {
    config::duration_with_days(text)
        .filter(|duration| !duration.is_zero())
        .ok_or_else(|| "expected a duration such as 90s or 5m".to_owned())
}
