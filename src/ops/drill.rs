//! A drill: a line that goes the whole way, from a log group through its subscription, the stream and
//! the tables to a target. The caller writes the line; the drill then watches the tables until the
//! target has accepted its message. It tells a delivery from a mute and from a parked message.

use std::time::Duration;

use regex::Regex;
use serde::Serialize;
use thiserror::Error;

use crate::config::{Config, Route};
use crate::ingest::route::Routes;
use crate::model::audit::{AlertQuery, AuditRow};
use crate::model::humanize::humanize_duration;
use crate::model::name::{RouteName, Target};
use crate::model::outbox::AcknowledgedAs;
use crate::model::time::Timestamp;
use crate::ops::explain::{LogLine, MatchResult, RouteMatch, explain};
use crate::ops::trace::{AlertPlace, RouteTrace, TraceState, trace};
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::{Store, StoreError};

/// Between two looks at the tables.
const POLL_EVERY: Duration = Duration::from_secs(1);

/// Clocks differ.
const CLOCK_MARGIN: Duration = Duration::from_secs(60);

/// The line of a drill, and the target that must accept its message.
#[derive(Clone, Debug)]
pub struct DrillPlan {
    pub route: RouteName,
    pub target: Target,
    /// In the line, so that its alert can be found.
    pub id: String,
    /// The log event to write.
    pub line: String,
}

/// How a drill has ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DrillOutcome {
    Arrived,
    /// Why the line did not arrive.
    Stopped(String),
}

/// A place that the line has reached.
#[derive(Clone, Debug, Serialize)]
pub struct Hop {
    pub hop: &'static str,
    pub at: String,
    pub after_ms: u64,
}

/// Why a drill cannot go on.
#[derive(Clone, Debug, Error)]
pub enum DrillError {
    #[error("route {0} is muted until {until}", until = .1.iso())]
    Muted(RouteName, Timestamp),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A drill, and how far its line has come.
pub struct Drill<'a, S, C> {
    store: &'a S,
    clock: &'a C,
    plan: &'a DrillPlan,
    began: Timestamp,
    /// The last epoch of the route before the line.
    after: u64,
    row: Option<AuditRow>,
    epoch: Option<u64>,
    hops: Vec<Hop>,
}

impl DrillPlan {
    /// A line for `target` on `route`, or on the first route that has markers and notifies the
    /// target. `at` is the place of the line, without its text. `form` makes a log event of a text.
    ///
    /// # Errors
    /// A sentence, when no route fits or the route would not take the line.
    pub fn new(
        routes: &Routes,
        target: &Target,
        route: Option<&RouteName>,
        at: LogLine,
        bits: u64,
        form: impl Fn(&str) -> String,
    ) -> Result<Self, String> {
        let route = route_for(routes.config(), target, route)?;
        let Some(marker) = route.conditions.markers.first() else {
            return Err(format!(
                "route {} has no markers, so a drill cannot write a line for it",
                route.name
            ));
        };
        let id = format!("drill-{bits:016x}");
        let line = form(&format!("{marker} {id}: a test of the alerts; there is nothing to do"));
        let plan = Self { route: route.name.clone(), target: target.clone(), id, line };
        plan.check(routes, LogLine { message: plan.line.clone(), ..at })?;
        Ok(plan)
    }

    /// Checks that the route takes the line, before anyone waits for it.
    fn check(&self, routes: &Routes, line: LogLine) -> Result<(), String> {
        let is_account_known = !line.account.is_empty();
        let explanation = explain(routes, &line);
        let tried = explanation.routes.iter().find(|tried| tried.route == self.route);
        let scope = routes.get(&self.route).map(|route| &route.conditions.scope);
        let is_unclear = |tried: &RouteMatch| {
            let has_accounts = scope.is_some_and(|scope| !scope.accounts.is_empty());
            tried.result == MatchResult::OutOfScope && has_accounts && !is_account_known
        };
        let is_refused = |tried: &&RouteMatch| !tried.result.is_accepted() && !is_unclear(tried);
        if let Some(tried) = tried.filter(is_refused) {
            return Err(format!(
                "route {} would not accept the line: {}",
                self.route,
                tried.reason()
            ));
        }
        if !explanation.redacted.contains(&self.id) {
            return Err("a rule of redaction would hide the id of the line".to_owned());
        }
        Ok(())
    }
}

fn route_for<'c>(
    config: &'c Config,
    target: &Target,
    named: Option<&RouteName>,
) -> Result<&'c Route, String> {
    let is_meant = |route: &&Route| match named {
        Some(name) => route.name == *name,
        None => {
            let is_fit = !route.conditions.markers.is_empty() && !route.may_hold();
            route.notify.contains(target) && is_fit
        }
    };
    match (config.routes.iter().find(is_meant), named) {
        (Some(route), _) if route.may_hold() => Err(format!(
            "route {} has a threshold or is staged, so it would hold the line",
            route.name
        )),
        (Some(route), _) if route.notify.contains(target) => Ok(route),
        (Some(route), _) => Err(format!("route {} does not notify {target}", route.name)),
        (None, Some(name)) => Err(format!("no route `{name}` in the configuration")),
        (None, None) => Err(format!(
            "no route of the configuration has markers, notifies {target} and delivers at once"
        )),
    }
}

impl<'a, S: Store, C: Clock> Drill<'a, S, C> {
    /// Remembers which epochs are older than the line, which is not written yet.
    ///
    /// # Errors
    /// When the route is muted, which would swallow the line, or the store does not answer.
    pub async fn begin(
        store: &'a S,
        clock: &'a C,
        plan: &'a DrillPlan,
        deadline: Deadline,
    ) -> Result<Self, DrillError> {
        let began = clock.now();
        let cursor = store.cursor(&plan.route, deadline).await?;
        match cursor.muted_until.filter(|_| cursor.is_muted(began)) {
            Some(until) => Err(DrillError::Muted(plan.route.clone(), until)),
            None => Ok(Self {
                store,
                clock,
                plan,
                began,
                after: cursor.epoch,
                row: None,
                epoch: None,
                hops: Vec::new(),
            }),
        }
    }

    /// The time of the line.
    pub fn began(&self) -> Timestamp {
        self.began
    }

    /// The places that the line has reached, in order.
    pub fn hops(&self) -> &[Hop] {
        &self.hops
    }

    /// The row of the line, once it is stored.
    pub fn row(&self) -> Option<&AuditRow> {
        self.row.as_ref()
    }

    /// The epoch of the line, once its window has ended.
    pub fn epoch(&self) -> Option<u64> {
        self.epoch
    }

    /// Notes that the line is written.
    pub fn written(&mut self) {
        self.note("written", self.clock.now());
    }

    /// Watches the tables until the target has accepted the line, or something else has become of
    /// it, for `timeout` at most. `find` gets the latest alert of a query, with a time-out of its own.
    ///
    /// # Errors
    /// When the store does not answer.
    pub async fn watch<F>(
        &mut self,
        timeout: Duration,
        find: impl Fn(AlertQuery) -> F,
        deadline: impl Fn() -> Deadline,
    ) -> Result<DrillOutcome, StoreError>
    where
        F: Future<Output = Result<Option<AuditRow>, StoreError>>,
    {
        let end = self.began.after(timeout);
        loop {
            if self.row.is_none() {
                self.row = find(self.query()).await?;
                if self.row.is_some() {
                    self.note("stored", self.clock.now());
                }
            }
            if let Some(outcome) = self.look(&deadline).await? {
                return Ok(outcome);
            }
            if self.clock.now() >= end {
                return Ok(DrillOutcome::Stopped(self.place(timeout)));
            }
            self.clock.sleep(POLL_EVERY).await;
        }
    }

    fn query(&self) -> AlertQuery {
        let grep = Regex::new(&self.plan.id).expect("invariant: an id is an expression");
        let (since, until) =
            (self.began.before(CLOCK_MARGIN), self.clock.now().after(CLOCK_MARGIN));
        AlertQuery { grep: Some(grep), ..AlertQuery::between(since, until) }
    }

    /// `None` while the line is on its way.
    async fn look(
        &mut self,
        deadline: &impl Fn() -> Deadline,
    ) -> Result<Option<DrillOutcome>, StoreError> {
        let Some(row) = &self.row else { return Ok(None) };
        let route = &self.plan.route;
        if !row.routes.iter().any(|taken| taken == route.as_str()) {
            let routes = row.routes.join(", ");
            let why = format!("an earlier route accepted the line: {routes}");
            return Ok(Some(DrillOutcome::Stopped(why)));
        }
        let now = self.clock.now();
        let traced = trace(self.store, row, route, self.after, now, deadline).await?;
        Ok(self.judge(&traced))
    }

    fn judge(&mut self, traced: &RouteTrace) -> Option<DrillOutcome> {
        let AlertPlace::Epochs(epochs) = &traced.place else { return None };
        let epoch = epochs.last()?;
        if self.epoch.is_none() {
            self.epoch = Some(epoch.number);
            self.note("frozen", epoch.frozen_at);
        }
        let target = traced.targets.iter().find(|one| one.target == self.plan.target)?;
        let stopped = |why: String| Some(DrillOutcome::Stopped(why));
        if target.state == TraceState::NotOwed {
            return stopped(format!("{} is not owed the epoch", target.target));
        }
        let last = target.last.filter(|_| target.state == TraceState::Acknowledged)?;
        match last.result {
            AcknowledgedAs::Accepted => {
                self.note("accepted", last.at);
                Some(DrillOutcome::Arrived)
            }
            AcknowledgedAs::Muted => stopped("the route was muted meanwhile".to_owned()),
            AcknowledgedAs::Parked => {
                stopped(format!("{} refused the message, which is parked", target.target))
            }
            AcknowledgedAs::Skipped => stopped("nothing was owed to the target".to_owned()),
        }
    }

    /// Where the line was when the time was over.
    fn place(&self, timeout: Duration) -> String {
        let timeout = humanize_duration(timeout);
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
        let after_ms = u64::try_from(self.began.until(at).as_millis()).unwrap_or(u64::MAX);
        self.hops.push(Hop { hop, at: at.iso(), after_ms });
    }
}
