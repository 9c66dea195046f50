//! `stentor drill` sends a line through a deployed stack: into a log group, and from there through
//! its subscription, the stream and the tables to a target. It watches the tables and prints the
//! time of each hop. It tells a delivery from a mute and from a parked message.

use std::time::Duration;

use anyhow::{anyhow, bail};
use clap::Args;
use regex::Regex;
use serde::Serialize;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::DynamoStore;
use stentor::adapters::random;
use stentor::config::{self, Config, Route};
use stentor::ingest::route::Routes;
use stentor::model::audit::{AlertQuery, AuditRow};
use stentor::model::humanize::humanize_duration;
use stentor::model::name::{RouteName, Target};
use stentor::model::outbox::AcknowledgedAs;
use stentor::model::time::Timestamp;
use stentor::ops::explain::{LogLine, MatchResult, RouteMatch, explain as explain_line};
use stentor::ops::trace::{AlertPlace, RouteTrace, TraceState, trace};
use stentor::protocol::clock::Clock as _;
use stentor::protocol::store::{Store as _, StoreError};

use crate::Exit;
use crate::args::{Aws, Configuration, TableNames, region_of_environment};
use crate::json::{VERSION, millis};
use crate::trace::{deadline, explain};
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

/// Between two looks at the tables.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Clocks differ.
const CLOCK_MARGIN: Duration = Duration::from_secs(60);

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

/// How a drill has ended.
enum Outcome {
    Arrived,
    /// Why the line did not arrive.
    Stopped(String),
}

/// A place that the line has reached.
#[derive(Clone, Debug, Serialize)]
struct Hop {
    hop: &'static str,
    at: String,
    after_ms: u64,
}

/// A drill, and how far its line has come.
struct Drill<'a> {
    arguments: &'a DrillArguments,
    store: DynamoStore,
    route: &'a RouteName,
    id: String,
    began: Timestamp,
    hops: Vec<Hop>,
    row: Option<AuditRow>,
    /// The last epoch of the route before the line.
    after: u64,
    epoch: Option<u64>,
}

pub(crate) async fn drill(arguments: &DrillArguments, ui: Ui) -> anyhow::Result<Exit> {
    let config = arguments.configuration.read(ui)?;
    let route = arguments.route_of(&config)?;
    let aws = arguments.aws.load().await?;
    let mut drill = Drill {
        arguments,
        store: arguments.tables.store(&aws).await?,
        route: &route.name,
        id: format!("drill-{:016x}", random::bits()),
        began: SystemClock.now(),
        hops: Vec::new(),
        row: None,
        after: 0,
        epoch: None,
    };
    drill.prepare().await?;
    let Some(marker) = route.conditions.markers.first() else {
        bail!("route {} has no markers, so a drill cannot write a line for it", route.name);
    };
    let line = format!("{marker} {}: a test of the alerts; there is nothing to do", drill.id);
    arguments.check(&Routes::new(&config)?, &route.name, &line, &drill.id)?;
    write(&aws, &arguments.log_group, &line, drill.began).await.map_err(|error| anyhow!(error))?;
    drill.note("written", SystemClock.now());
    let outcome = drill.watch().await?;
    drill.finish(outcome)
}

impl DrillArguments {
    fn route_of<'c>(&self, config: &'c Config) -> anyhow::Result<&'c Route> {
        let is_meant = |route: &&Route| match &self.route {
            Some(name) => route.name == *name,
            None => route.notify.contains(&self.target) && !route.conditions.markers.is_empty(),
        };
        match config.routes.iter().find(is_meant) {
            Some(route) if route.notify.contains(&self.target) => Ok(route),
            Some(route) => bail!("route {} does not notify {}", route.name, self.target),
            None => match &self.route {
                Some(name) => bail!("no route `{name}` in the configuration"),
                None => {
                    bail!("no route of the configuration has markers and notifies {}", self.target)
                }
            },
        }
    }

    /// Checks that the route takes the line, before anyone waits for it.
    fn check(
        &self,
        routes: &Routes,
        route: &RouteName,
        line: &str,
        id: &str,
    ) -> anyhow::Result<()> {
        let line = LogLine {
            message: line.to_owned(),
            log_group: self.log_group.clone(),
            log_stream: STREAM.to_owned(),
            account: String::new(),
            region: self.aws.region.clone().or_else(region_of_environment),
        };
        let explanation = explain_line(routes, &line);
        let tried = explanation.routes.iter().find(|tried| tried.route == *route);
        // The account of the log group is not known here.
        let scope = routes.get(route).map(|route| &route.conditions.scope);
        let is_unclear = |tried: &RouteMatch| {
            let has_accounts = scope.is_some_and(|scope| !scope.accounts.is_empty());
            tried.result == MatchResult::OutOfScope && has_accounts
        };
        let is_refused = |tried: &&RouteMatch| !tried.result.is_accepted() && !is_unclear(tried);
        if let Some(tried) = tried.filter(is_refused) {
            bail!("route {route} would not accept the line: {}", tried.reason());
        }
        if !explanation.redacted.contains(id) {
            bail!("a rule of redaction would hide the id of the line");
        }
        Ok(())
    }
}

impl Drill<'_> {
    /// Remembers which epochs are older than the line. A mute would swallow it.
    async fn prepare(&mut self) -> anyhow::Result<()> {
        let cursor = self.store.cursor(self.route, deadline()).await;
        let cursor = cursor.map_err(|error| self.explain(&error))?;
        self.after = cursor.epoch;
        match cursor.muted_until.filter(|_| cursor.is_muted(self.began)) {
            Some(until) => bail!(
                "route {} is muted until {}: unmute it, or choose another with --route",
                self.route,
                until.iso()
            ),
            None => Ok(()),
        }
    }

    /// Watches the tables until the drill is over.
    async fn watch(&mut self) -> anyhow::Result<Outcome> {
        let end = self.began.after(self.arguments.timeout);
        loop {
            let looked = self.look().await;
            if let Some(outcome) = looked.map_err(|error| self.explain(&error))? {
                return Ok(outcome);
            }
            if SystemClock.now() >= end {
                return Ok(Outcome::Stopped(self.where_it_is()));
            }
            SystemClock.sleep(POLL_EVERY).await;
        }
    }

    /// Looks once. `None` while the line is on its way.
    async fn look(&mut self) -> Result<Option<Outcome>, StoreError> {
        if self.row.is_none() {
            self.row = self.find_row().await?;
            if self.row.is_some() {
                self.note("stored", SystemClock.now());
            }
        }
        let Some(row) = &self.row else { return Ok(None) };
        if !row.routes.iter().any(|route| route == self.route.as_str()) {
            let routes = row.routes.join(", ");
            let why = format!("an earlier route accepted the line: {routes}");
            return Ok(Some(Outcome::Stopped(why)));
        }
        let now = SystemClock.now();
        let traced = trace(&self.store, row, self.route, self.after, now, deadline).await?;
        Ok(self.judge(&traced))
    }

    fn judge(&mut self, traced: &RouteTrace) -> Option<Outcome> {
        let AlertPlace::Epochs(epochs) = &traced.place else { return None };
        let epoch = epochs.last()?;
        if self.epoch.is_none() {
            self.epoch = Some(epoch.number);
            self.note("frozen", epoch.frozen_at);
        }
        let target = traced.targets.iter().find(|one| one.target == self.arguments.target)?;
        if target.state == TraceState::NotOwed {
            let why = format!("{} is not owed the epoch", target.target);
            return Some(Outcome::Stopped(why));
        }
        let last = target.last.filter(|_| target.state == TraceState::Acknowledged)?;
        Some(match last.result {
            AcknowledgedAs::Accepted => {
                self.note("accepted", last.at);
                Outcome::Arrived
            }
            AcknowledgedAs::Muted => Outcome::Stopped("the route was muted meanwhile".to_owned()),
            AcknowledgedAs::Parked => {
                Outcome::Stopped(format!("{} refused the message, which is parked", target.target))
            }
            AcknowledgedAs::Skipped => {
                Outcome::Stopped("nothing was owed to the target".to_owned())
            }
        })
    }

    async fn find_row(&self) -> Result<Option<AuditRow>, StoreError> {
        let query = AlertQuery {
            since: self.began.before(CLOCK_MARGIN),
            until: SystemClock.now().after(CLOCK_MARGIN),
            app: None,
            route: None,
            grep: Some(Regex::new(&self.id).expect("invariant: an id is an expression")),
        };
        let mut found = None;
        let take = |row| {
            found = Some(row);
            Ok::<_, StoreError>(false)
        };
        self.store.find_alerts(&query, deadline, take).await?;
        Ok(found)
    }

    fn where_it_is(&self) -> String {
        let timeout = humanize_duration(self.arguments.timeout);
        let place = match (&self.row, self.epoch) {
            (None, _) => {
                "is not in the audit table: check the subscription of the log group, LagAlarm and StoppedAlarm"
            }
            (Some(_), None) => "waits in its window: check SweepAlarm and NotifierErrorsAlarm",
            (Some(_), Some(_)) => "is owed to the target: `stentor trace` says why",
        };
        format!("after {timeout} the line {place}")
    }

    fn note(&mut self, hop: &'static str, at: Timestamp) {
        self.hops.push(Hop { hop, at: at.iso(), after_ms: millis(self.began.until(at)) });
    }

    fn finish(self, outcome: Outcome) -> anyhow::Result<Exit> {
        let reason = match outcome {
            Outcome::Arrived => None,
            Outcome::Stopped(why) => Some(why),
        };
        let (arrived, target) = (reason.is_none(), &self.arguments.target);
        let log_id = self.row.as_ref().map(|row| row.log_id.as_str());
        if self.arguments.json {
            ui::print_json(&PrintedDrill {
                version: VERSION,
                id: &self.id,
                route: self.route.as_str(),
                target: target.to_string(),
                arrived,
                log_id,
                epoch: self.epoch,
                hops: &self.hops,
                reason,
            })?;
        } else {
            let hop = |hop: &Hop| {
                let after = humanize_duration(Duration::from_millis(hop.after_ms));
                format!("  {:<10} {}  after {after}\n", hop.hop, hop.at)
            };
            let hops: String = self.hops.iter().map(hop).collect();
            let result = match &reason {
                None => format!("{target} accepted {}.", self.id),
                Some(reason) => format!("{} did not arrive: {reason}.", self.id),
            };
            ui::print(&format!("{hops}{result}\n"))?;
        }
        Ok(if arrived { Exit::Done } else { Exit::Unfinished })
    }

    fn explain(&self, error: &StoreError) -> anyhow::Error {
        explain(error, &format!("{} or {}", self.store.tables().alerts, self.store.tables().outbox))
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
