//! `stentor trace` shows where an alert is: its row, the window or epoch of each route, and what
//! each target has received or is owed. It reads only.

use anyhow::anyhow;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use serde::Serialize;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::model::audit::AuditRow;
use stentor::model::humanize::{count_alerts, humanize_duration};
use stentor::model::name::RouteName;
use stentor::model::outbox::AcknowledgedAs;
use stentor::model::threshold::Hold;
use stentor::model::time::Timestamp;
use stentor::ops::trace::{
    AlertPlace, EpochTrace, RouteTrace, TargetTrace, TraceState, Wait, trace,
};
use stentor::protocol::clock::Clock as _;
use stentor::protocol::store::StoreError;

use crate::Exit;
use crate::args::explain_store_error;
use crate::audit_table::{AuditTable, deadline};
use crate::json::{PrintedAlert, VERSION};
use crate::ui::{self, TextReport, Ui, hinted};

const EXAMPLES: &str = if cfg!(feature = "aws") {
    "Example: stentor trace --stack stentor \"$(stentor alerts --stack stentor --limit 1 --json | jq -r .log_id)\""
} else {
    "Example: stentor trace 4f0c7a52e1b94d3f8a6d --data-dir .stentor"
};

/// Show where an alert is: its row, window, epoch and targets
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct TraceArguments {
    /// Id of the alert: log_id of `stentor alerts --json`
    #[arg(value_name = "ALERT-ID", value_parser = NonEmptyStringValueParser::new())]
    id: String,
    /// Print JSON
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    table: AuditTable,
}

/// `stentor trace --json`.
#[derive(Debug, Serialize)]
struct PrintedTrace<'a> {
    version: u32,
    alert: PrintedAlert<'a>,
    routes: Vec<PrintedRoute<'a>>,
}

#[derive(Debug, Serialize)]
struct PrintedRoute<'a> {
    route: &'a str,
    place: &'static str,
    open_window: Option<u64>,
    due: Option<String>,
    muted_until: Option<String>,
    held: u64,
    below_threshold: u64,
    epochs: Vec<PrintedEpoch>,
    targets: Vec<PrintedTarget<'a>>,
}

#[derive(Debug, Serialize)]
struct PrintedEpoch {
    epoch: u64,
    window: u64,
    frozen_at: String,
    alerts: u64,
    burst: Option<u64>,
    hold: Option<Hold>,
    released_by: Option<u64>,
}

#[derive(Debug, Serialize)]
struct PrintedTarget<'a> {
    target: String,
    fallback: bool,
    state: TraceState,
    wait: Option<Wait>,
    wait_until: Option<String>,
    offset: Option<u64>,
    last_result: Option<AcknowledgedAs>,
    last_at: Option<String>,
    failures: u32,
    muted: u64,
    escalated: Option<&'a str>,
}

pub(crate) async fn trace_alert(arguments: &TraceArguments, _: Ui) -> anyhow::Result<Exit> {
    arguments.table.query(async |store| arguments.show(store).await).await
}

impl TraceArguments {
    async fn show(&self, store: &Database) -> anyhow::Result<Exit> {
        let row = store.alert(&self.id, deadline()).await;
        let row = row.map_err(|error| explain(&error, &store.alerts_place()))?;
        let row = row.ok_or_else(|| {
            let error = anyhow!("there is no alert `{}` in {}", self.id, store.alerts_place());
            hinted(error, "`stentor alerts --json` prints the log_id of each alert")
        })?;
        let routes = traces(store, &row).await;
        let routes = routes.map_err(|error| explain(&error, &store.outbox_place()))?;
        match self.json {
            true => ui::print_json(&PrintedTrace::new(&row, &routes))?,
            false => ui::print(&text(&row, &routes))?,
        }
        let is_delivered = routes.iter().all(RouteTrace::is_delivered);
        Ok(if is_delivered { Exit::Done } else { Exit::Unfinished })
    }
}

/// The alert on each of its routes.
pub(crate) async fn traces(
    store: &Database,
    row: &AuditRow,
) -> Result<Vec<RouteTrace>, StoreError> {
    let mut traces = Vec::new();
    // A row has the names that the configuration had.
    for route in row.routes.iter().filter_map(|route| route.parse::<RouteName>().ok()) {
        traces.push(trace(store, row, &route, 0, SystemClock.now(), deadline).await?);
    }
    Ok(traces)
}

pub(crate) fn explain(error: &StoreError, place: &str) -> anyhow::Error {
    explain_store_error(error, place)
}

fn text(row: &AuditRow, routes: &[RouteTrace]) -> String {
    let mut report = TextReport::new();
    report.entry("alert", &row.log_id);
    report.entry("time", &row.timestamp);
    report.entry("app", &row.app_name);
    report.entry("from", format!("{} {} {}", row.account_id, row.log_group, row.log_stream));
    report.entry("record", &row.source);
    report.entry("message", &row.message);
    for traced in routes {
        report.heading(format!("route {}", traced.route));
        let mut lines = place(traced).into_iter();
        lines.next().into_iter().for_each(|line| report.line(2, line));
        lines.for_each(|line| report.line(3, line));
        if let Some(until) = traced.muted_until {
            report.line(2, format!("muted until {}", until.iso()));
        }
        if let Some(held) = held(traced.held) {
            report.line(2, held);
        }
        for target in &traced.targets {
            report.line(2, format!("{:<24} {}", target.target.to_string(), state(target)));
        }
    }
    report.into_text()
}

fn place(traced: &RouteTrace) -> Vec<String> {
    let epoch = |epoch: &EpochTrace| {
        let hold = match (epoch.hold, epoch.released_by) {
            (Some(Hold::Threshold), _) => ", held: the threshold was not reached".to_owned(),
            (Some(Hold::Stage), _) => ", held: the route was staged".to_owned(),
            (None, Some(later)) => format!(", held until the message about epoch {later}"),
            (None, None) => String::new(),
        };
        format!(
            "epoch {} of window {}, with {}, frozen {}{hold}",
            epoch.number,
            epoch.window,
            count_alerts(epoch.alerts),
            epoch.frozen_at.iso()
        )
    };
    match (&traced.place, traced.open) {
        (AlertPlace::Window, Some((window, due))) => {
            vec![format!("waits in window {window}, which ends {}", due.iso())]
        }
        (AlertPlace::Window, None) => vec!["waits in a window that is closing".to_owned()],
        (AlertPlace::Epochs(epochs), _) if epochs.len() == 1 => epochs.iter().map(epoch).collect(),
        (AlertPlace::Epochs(epochs), _) => {
            let lines = epochs.iter().map(epoch);
            ["in one of these epochs; a row does not name its epoch:".to_owned()]
                .into_iter()
                .chain(lines)
                .collect()
        }
        (AlertPlace::Expired, _) => {
            vec!["its epoch has expired, so each target has acknowledged it".to_owned()]
        }
        (AlertPlace::Missing, _) => {
            vec!["no tally and no epoch of the outbox counts it".to_owned()]
        }
    }
}

/// The alerts that the route holds. They need not include the traced one.
fn held((held, before): (u64, u64)) -> Option<String> {
    match (held, before) {
        (0, 0) => None,
        (held, 0) => Some(format!("holds {}", count_alerts(held))),
        (held, before) => Some(format!(
            "holds {}; {} before did not reach the threshold",
            count_alerts(held),
            count_alerts(before)
        )),
    }
}

fn state(target: &TargetTrace) -> String {
    let mut text = match target.state {
        TraceState::Collecting => "is owed nothing yet".to_owned(),
        TraceState::NotOwed => "is not owed it".to_owned(),
        TraceState::Held => "is not owed it while it is held".to_owned(),
        TraceState::Acknowledged => format!("has acknowledged it{}", acknowledged(target)),
        TraceState::Owed => format!("is owed it: {}", why(target)),
    };
    if target.is_fallback {
        text += "; fallback";
    }
    if let Some(reason) = &target.escalated {
        text += &format!(", because {reason}");
    }
    if target.muted > 0 {
        text += &format!("; {} muted since its last message", count_alerts(target.muted));
    }
    text
}

/// The last acknowledgement, which is that of the alert or a later one: only the last epoch is known to have been
/// sent or not.
fn acknowledged(target: &TargetTrace) -> String {
    let Some(last) = &target.last else { return String::new() };
    let (upto, at) = (last.offset, last.at.iso());
    let what = match last.result {
        AcknowledgedAs::Accepted => "accepted",
        AcknowledgedAs::Muted => "muted",
        AcknowledgedAs::Parked => "parked",
        AcknowledgedAs::Skipped => "not owed",
    };
    format!(": up to epoch {upto}, of which the last was {what} {at}")
}

fn why(target: &TargetTrace) -> String {
    let (wait, until) = target.wait.unwrap_or((Wait::Due, None));
    let until = until.map(until_text).unwrap_or_default();
    let failures = match target.failures {
        0 => String::new(),
        failures => format!(" after {failures} failed attempts"),
    };
    match wait {
        Wait::Muted => format!("the route is muted{until}"),
        Wait::Leased => format!("a process delivers it now, or has crashed; its lease ends{until}"),
        Wait::Paused => format!("the next attempt comes{until}{failures}"),
        Wait::Paced => format!("other routes share the target; its turn comes{until}"),
        Wait::Due => format!("the next due message or sweep delivers it{failures}"),
    }
}

fn until_text(until: Timestamp) -> String {
    let left = SystemClock.now().until(until);
    format!(" {}, in {}", until.iso(), humanize_duration(left))
}

impl<'a> PrintedTrace<'a> {
    fn new(row: &'a AuditRow, routes: &'a [RouteTrace]) -> Self {
        let routes = routes.iter().map(PrintedRoute::new).collect();
        Self { version: VERSION, alert: row.into(), routes }
    }
}

impl<'a> PrintedRoute<'a> {
    fn new(traced: &'a RouteTrace) -> Self {
        let (place, epochs) = match &traced.place {
            AlertPlace::Window => ("window", &[][..]),
            AlertPlace::Epochs(epochs) => ("epoch", &epochs[..]),
            AlertPlace::Expired => ("expired", &[][..]),
            AlertPlace::Missing => ("missing", &[][..]),
        };
        Self {
            route: traced.route.as_str(),
            place,
            open_window: traced.open.map(|(window, _)| window),
            due: traced.open.map(|(_, due)| due.iso()),
            muted_until: traced.muted_until.map(Timestamp::iso),
            held: traced.held.0,
            below_threshold: traced.held.1,
            epochs: epochs.iter().map(PrintedEpoch::new).collect(),
            targets: traced.targets.iter().map(PrintedTarget::new).collect(),
        }
    }
}

impl PrintedEpoch {
    fn new(epoch: &EpochTrace) -> Self {
        Self {
            epoch: epoch.number,
            window: epoch.window,
            frozen_at: epoch.frozen_at.iso(),
            alerts: epoch.alerts,
            burst: epoch.burst,
            hold: epoch.hold,
            released_by: epoch.released_by,
        }
    }
}

impl<'a> PrintedTarget<'a> {
    fn new(target: &'a TargetTrace) -> Self {
        Self {
            target: target.target.to_string(),
            fallback: target.is_fallback,
            state: target.state,
            wait: target.wait.map(|(wait, _)| wait),
            wait_until: target.wait.and_then(|(_, until)| until).map(Timestamp::iso),
            offset: target.offset,
            last_result: target.last.map(|last| last.result),
            last_at: target.last.map(|last| last.at.iso()),
            failures: target.failures,
            muted: target.muted,
            escalated: target.escalated.as_deref(),
        }
    }
}
