//! Jira in a schedule. The production adapter delivers to a stand-in of a Jira site, over calls
//! that are slow, fail, lose their answers and crash like any other. The search is seconds to
//! minutes behind, and people close and delete issues.
//!
//! The rules:
//! - a second issue for the same burst or pattern is explained by an issue that the search did not
//!   know yet, and whose key did not reach the state of the target;
//! - accepted alerts are in the description or a comment of an issue;
//! - a comment is not repeated if the issue has a note of it;
//! - a burst that is over has no open issue.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stentor::adapters::attempt::Attempt;
use stentor::adapters::http::exchange::{Exchange, ExchangeError, HttpAnswer, HttpRequest};
use stentor::adapters::jira::site::Site;
use stentor::adapters::jira::{self, INDEX_DELAY};
use stentor::adapters::secret::Credential;
use stentor::config::{IssuePer, JiraSettings, TargetSettings};
use stentor::model::digest::Digest;
use stentor::model::humanize::count_alerts;
use stentor::model::name::{RouteName, Target, TargetKind};
use stentor::model::time::Timestamp;
use stentor::protocol::clock::Deadline;
use stentor::protocol::dead_letter::ParkedWork;
use stentor::protocol::notify::{Accepted, DeliverError};

use super::ledger::Step;
use super::plan::Mutation;
use super::process::Process;
use super::services::{CONFIGURATIONS, Sim, State, routes};
use crate::support::jira::{Issue, JiraRequest, JiraSite};

const PROJECT: &str = "SIM";
const STACK: &str = "sim";

/// The site, and what its requests were about.
pub struct Jira {
    site: JiraSite,
    attempts: Vec<JiraAttempt>,
    /// The attempt that created an issue, or last changed its labels.
    owners: BTreeMap<String, usize>,
    /// When the end of a burst was accepted, by the label of the burst.
    ended: BTreeMap<String, Timestamp>,
    /// Open issues of such a burst that the attempt could not know.
    excused: BTreeSet<String>,
    violations: Vec<String>,
}

/// One call of the adapter.
struct JiraAttempt {
    process: u64,
    /// It waits for no one: it has no lease.
    is_replay: bool,
    digest: Digest,
    joins: String,
    /// The issues that its searches returned, by label.
    found: BTreeSet<(String, String)>,
    /// The notes that it read, by issue.
    notes: BTreeMap<String, Value>,
    /// When its process gave back the lease.
    released_at: Option<Timestamp>,
}

impl JiraAttempt {
    /// Whether the state of the target has the issue.
    fn joined(&self, key: &str) -> bool {
        self.joins.contains(&format!("\"{key}\""))
    }

    fn knows(&self, label: &str, key: &str) -> bool {
        self.joined(key) || self.found.contains(&(label.to_owned(), key.to_owned()))
    }
}

impl Default for Jira {
    fn default() -> Self {
        let authorization = "Basic YUBiLmV4YW1wbGU6dA==";
        Self {
            site: JiraSite::new(PROJECT, authorization),
            attempts: Vec::new(),
            owners: BTreeMap::new(),
            ended: BTreeMap::new(),
            excused: BTreeSet::new(),
            violations: Vec::new(),
        }
    }
}

impl Jira {
    /// A process has stated when to retry a delivery, and its lease has ended.
    pub fn released(&mut self, process: u64, route: &RouteName, target: &Target, now: Timestamp) {
        let is_meant = |attempt: &&mut JiraAttempt| {
            let digest = &attempt.digest;
            attempt.process == process && (&digest.route, &digest.target) == (route, target)
        };
        if let Some(attempt) = self.attempts.iter_mut().rev().find(is_meant) {
            attempt.released_at.get_or_insert(now);
        }
    }

    /// Whether the issue should have been found: its creator came back in time to say that the
    /// delivery must wait, and the search knew the issue before that.
    fn was_findable(&self, key: &str, issue: &Issue, label: &str) -> bool {
        let creator = self.owners.get(key).map(|at| &self.attempts[*at]);
        let released_at = creator.and_then(|creator| creator.released_at);
        let found_from = issue.found_from(label);
        released_at.zip(found_from).is_some_and(|(at, found)| found <= at.after(INDEX_DELAY))
    }
}

/// The production adapter over the stand-in.
struct StandIn {
    process: Process,
    attempt: usize,
}

impl Exchange for StandIn {
    async fn exchange(
        &self,
        request: HttpRequest,
        deadline: Deadline,
    ) -> Result<HttpAnswer, ExchangeError> {
        let (asked, attempt) = (asked(&request), self.attempt);
        let effect = move |state: &mut State, sim: &Sim| Ok(answer(state, sim, attempt, &asked));
        self.process.call("jira", deadline, effect, |_| Err(ExchangeError::ConnectionLost)).await
    }
}

fn asked(request: &HttpRequest) -> JiraRequest {
    let path = request.url.path().strip_prefix("/rest/api/3/").unwrap();
    let query = request.url.query().map(|query| format!("?{query}")).unwrap_or_default();
    JiraRequest {
        method: request.method.to_string(),
        path: format!("{path}{query}"),
        body: serde_json::from_slice(&request.body).unwrap_or_default(),
        authorization: Some(request.headers["authorization"].to_str().unwrap().to_owned()),
    }
}

/// Delivers a digest instead of [`Process::deliver`](Process).
pub async fn deliver(
    process: &Process,
    digest: &Digest,
    joins: Option<&str>,
    deadline: Deadline,
) -> Result<Accepted, DeliverError> {
    let settings = settings(&digest.target);
    let (sim, mutation) = (&process.sim, process.sim.plan.mutation);
    if mutation == Some(Mutation::JiraKeepsIssuesOpen) && digest.ends_burst {
        return Ok(Accepted { message: joins.map(str::to_owned), related: None });
    }
    let attempt = begin(process, digest, joins.unwrap_or_default());
    let sent_at = sim.executor.now_us();
    let exchange = StandIn { process: process.clone(), attempt };
    let joins = joins.filter(|_| mutation != Some(Mutation::JiraForgetsIssues));
    let call =
        Attempt { exchange: &exchange, stack: STACK, digest, joins, now: sim.now(), deadline };
    let result = jira::deliver(&call, &site(), settings).await;
    match result {
        Ok(accepted) => {
            let mut state = sim.state.lock().unwrap();
            state.jira.check_accepted(attempt, settings, sim.now());
            let sealed = state.engine.cursor(&digest.route).map_or(0, |cursor| cursor.sealed);
            state.ledger.delivered(Step::new(process.id, sent_at, digest.clone()), sealed);
            Ok(accepted)
        }
        Err(DeliverError::Retry { reason, .. })
            if mutation == Some(Mutation::JiraRetriesAtOnce) =>
        {
            Err(DeliverError::Retry { after: None, reason })
        }
        Err(error) => {
            sim.note(|| format!("process {}: jira: {error}", process.id));
            Err(error)
        }
    }
}

/// The settings of a target, also of one that the configuration no longer has: its dead letters
/// are replayed.
fn settings(target: &Target) -> &'static JiraSettings {
    let mut configurations = (0..CONFIGURATIONS.len()).map(|n| routes(n).config());
    match configurations.find_map(|config| config.targets.get(target)) {
        Some(TargetSettings::Jira(settings)) => settings,
        other => panic!("{target}: {other:?}"),
    }
}

fn site() -> Site {
    let credential =
        json!({"site": "https://sim.atlassian.net", "email": "a@b.example", "token": "t"});
    Site::parse(&Credential::new(credential)).unwrap()
}

fn begin(process: &Process, digest: &Digest, joins: &str) -> usize {
    let state = &mut process.sim.state.lock().unwrap();
    let is_replay = state.ledger.replayers.contains(&process.id);
    let jira = &mut state.jira;
    jira.attempts.push(JiraAttempt {
        process: process.id,
        is_replay,
        digest: digest.clone(),
        joins: joins.to_owned(),
        found: BTreeSet::new(),
        notes: BTreeMap::new(),
        released_at: None,
    });
    jira.attempts.len() - 1
}

/// The answer of the site.
fn answer(state: &mut State, sim: &Sim, attempt: usize, asked: &JiraRequest) -> HttpAnswer {
    let seconds = 1 + sim.below(40) as u64;
    let failure = |status, after: Option<u64>| HttpAnswer {
        status,
        retry_after: after.map(Duration::from_secs),
        body: b"{\"errorMessages\":[\"planned\"]}".to_vec(),
    };
    let target = &state.jira.attempts[attempt].digest.target;
    let is_down = sim.plan.outage && sim.is_busy() && target.name.as_str() == "two";
    // An attempt has several requests.
    let is_faulty = sim.happens(sim.plan.faults.target / 4);
    let fault = if is_faulty { sim.below(10) } else { usize::MAX };
    match fault {
        _ if is_down => return failure(503, None),
        0..=2 => return failure(429, Some(seconds)),
        3..=4 => return failure(503, Some(seconds).filter(|_| sim.below(2) == 0)),
        5 => return failure(401, None),
        // The adapter accepts that an issue has no such transition.
        6 if !asked.path.ends_with("/transitions") => return failure(400, None),
        _ => {}
    }
    let now = sim.now();
    state.jira.check_request(attempt, asked);
    let (status, body) = state.jira.site.answer(asked, now, index_delay(sim));
    sim.note(|| {
        let (method, path) = (&asked.method, &asked.path);
        match method.as_str() {
            "POST" if path.starts_with("search") => {
                format!("jira finds {body} for {}", asked.body["jql"])
            }
            _ => format!("jira answers {status} to {method} {path}"),
        }
    });
    state.jira.record(attempt, asked, status, &body);
    match fault {
        7.. if fault != usize::MAX => failure(502, None),
        _ => HttpAnswer { status, retry_after: None, body: body.to_string().into_bytes() },
    }
}

/// Seconds, at times minutes.
fn index_delay(sim: &Sim) -> Duration {
    match sim.below(20) {
        0 => sim.between(60_000_000, 200_000_000),
        1..=4 => sim.between(10_000_000, 55_000_000),
        _ => sim.between(100_000, 10_000_000),
    }
}

impl Jira {
    /// Checks a request right before it takes effect.
    fn check_request(&mut self, attempt: usize, asked: &JiraRequest) {
        let parts: Vec<&str> = asked.path.split(['/', '?']).collect();
        match (&*asked.method, &parts[..]) {
            ("POST", ["issue"]) => {
                let label = asked.body["fields"]["labels"][2].as_str().unwrap().to_owned();
                self.check_only(attempt, &label, None);
            }
            ("PUT", ["issue", key]) => {
                let labels = asked.body["update"]["labels"].as_array().unwrap();
                let added = labels.iter().find_map(|label| label["add"].as_str()).unwrap();
                self.check_only(attempt, &added.to_owned(), Some(key));
            }
            ("POST", ["issue", key, "comment"]) => self.check_comment(attempt, key, asked),
            _ => {}
        }
    }

    /// Checks that no other issue has this label, as far as the attempt can know.
    fn check_only(&mut self, attempt: usize, label: &String, this: Option<&str>) {
        let asking = &self.attempts[attempt];
        let is_pattern = label.contains("/p-");
        for (key, issue) in &self.site.issues {
            let is_other = this != Some(key)
                && issue.labels.contains(label)
                && !issue.is_deleted
                && !(is_pattern && issue.is_done);
            let is_known = asking.knows(label, key);
            let was_findable = !asking.is_replay && self.was_findable(key, issue, label);
            if is_other && (is_known || was_findable) {
                let process = asking.process;
                self.violations.push(format!(
                    "process {process} makes a second issue for {label}, after {key}"
                ));
            }
        }
    }

    fn check_comment(&mut self, attempt: usize, key: &str, asked: &JiraRequest) {
        let asking = &self.attempts[attempt];
        let Some(note) = asking.notes.get(key) else { return };
        let text = crate::support::adf::text(&asked.body["body"]).unwrap_or_default();
        let headline = text.lines().next().unwrap_or_default();
        let same = match note["alerts"].as_u64() {
            Some(0) => asking.digest.tally.is_empty(),
            Some(alerts) => headline.ends_with(&format!(" {}", count_alerts(alerts))),
            None => false,
        };
        if same && note["epoch"] == asking.digest.epochs.0 {
            let process = asking.process;
            self.violations
                .push(format!("process {process} repeats a comment on {key}: {headline}"));
        }
    }

    fn record(&mut self, attempt: usize, asked: &JiraRequest, status: u16, body: &Value) {
        let parts: Vec<&str> = asked.path.split(['/', '?']).collect();
        let asking = &mut self.attempts[attempt];
        match (&*asked.method, &parts[..], status) {
            ("POST", ["search", "jql"], 200) => {
                for issue in body["issues"].as_array().unwrap() {
                    let text = |value: &Value| value.as_str().unwrap().to_owned();
                    let labels = issue["fields"]["labels"].as_array().unwrap().iter();
                    asking.found.extend(labels.map(|label| (text(label), text(&issue["key"]))));
                }
            }
            ("POST", ["issue"], 201) => {
                self.owners.insert(body["key"].as_str().unwrap().to_owned(), attempt);
            }
            ("PUT", ["issue", key], 204) => drop(self.owners.insert((*key).to_owned(), attempt)),
            ("GET", ["issue", key, _], 200) => {
                asking.notes.insert((*key).to_owned(), body["properties"]["stentor"].clone());
            }
            // Its attempt was over long before, so it may undo what a later one did.
            ("POST", ["issue", key, "transitions"], 204) => {
                let is_open = !self.site.issues[*key].is_done;
                if is_open && self.is_late(attempt) {
                    self.excused.insert((*key).to_owned());
                }
            }
            // A person was faster.
            ("POST", ["issue", _, "transitions"], 400) => {}
            (_, _, 400..) if status != 404 => {
                self.violations
                    .push(format!("jira refuses {} {}: {body}", asked.method, asked.path));
            }
            _ => {}
        }
    }

    /// Whether another attempt for the same target has begun since.
    fn is_late(&self, attempt: usize) -> bool {
        let of = |digest: &Digest| (digest.route.clone(), digest.target.clone());
        let asking = of(&self.attempts[attempt].digest);
        self.attempts[attempt + 1..].iter().any(|later| of(&later.digest) == asking)
    }

    /// Checks the promise of an accepted digest.
    fn check_accepted(&mut self, attempt: usize, settings: &JiraSettings, now: Timestamp) {
        let digest = self.attempts[attempt].digest.clone();
        for told in parts(&digest, settings.issue_per) {
            let entries = self.site.issues.values().flat_map(|issue| &issue.entries);
            if !entries.into_iter().any(|entry| told.is_in(entry)) {
                self.violations.push(format!("no issue has {told:?}"));
            }
        }
        if digest.ends_burst && digest.tally.is_empty() {
            self.check_end(attempt, settings, now);
        }
    }

    fn check_end(&mut self, attempt: usize, settings: &JiraSettings, now: Timestamp) {
        let ending = &self.attempts[attempt];
        let label = ending.digest.incident_id(STACK);
        for (key, issue) in &self.site.issues {
            let is_of_burst = match settings.issue_per {
                IssuePer::Burst => ending.joined(key) || issue.labels.contains(&label),
                IssuePer::Pattern => ending.joined(key),
            };
            if !is_of_burst || issue.is_done || issue.is_deleted {
                continue;
            }
            if ending.knows(&label, key) {
                self.violations.push(format!("{label} is over, but {key} is open"));
            } else {
                self.excused.insert(key.clone());
            }
        }
        self.ended.insert(label, now);
    }
}

/// The entries that an issue needs for a digest.
#[derive(Debug)]
struct Told {
    route: RouteName,
    epochs: (u64, u64),
    alerts: u64,
    /// A text of its sample.
    text: String,
}

/// One for the whole digest, or one for each pattern.
fn parts(digest: &Digest, issue_per: IssuePer) -> Vec<Told> {
    let told = |alerts, text: &str| Told {
        route: digest.route.clone(),
        epochs: digest.epochs,
        alerts,
        text: text.to_owned(),
    };
    match issue_per {
        _ if digest.tally.is_empty() => vec![],
        IssuePer::Burst => vec![told(digest.tally.alerts, "")],
        IssuePer::Pattern => {
            let groups = digest.tally.groups.values();
            groups.map(|group| told(group.alerts, &group.sample.message)).collect()
        }
    }
}

impl Told {
    /// Whether an entry says it. An earlier attempt may have covered fewer epochs, if the others
    /// have none of its alerts.
    fn is_in(&self, entry: &str) -> bool {
        let reference = format!("route {} · epoch", self.route);
        let reference = entry.lines().last().and_then(|line| line.strip_prefix(&reference));
        let numbers = reference.map(|numbers| numbers.trim_start_matches('s').trim().split('–'));
        let numbers: Vec<u64> =
            numbers.into_iter().flatten().filter_map(|n| n.parse().ok()).collect();
        let (Some(first), Some(last)) = (numbers.first(), numbers.last()) else { return false };
        let headline = entry.lines().next().unwrap_or_default();
        *first == self.epochs.0
            && *last <= self.epochs.1
            && headline.ends_with(&format!(" {}", count_alerts(self.alerts)))
            && entry.contains(&self.text)
    }
}

/// People close an issue, and delete one.
pub fn people(sim: &Arc<Sim>) {
    let targets = &routes(sim.plan.configuration).config().targets;
    let has_jira = targets.keys().any(|target| target.kind == TargetKind::Jira);
    if !has_jira || sim.plan.is_without_faults() {
        return;
    }
    let busy_ms = usize::try_from(sim.plan.busy.as_millis()).unwrap();
    for is_deleted in [false, true] {
        if sim.below(4) > 0 {
            continue;
        }
        let at = Arc::clone(sim);
        sim.executor.after(Duration::from_millis(sim.below(busy_ms) as u64), move || {
            let (now, visible_at) = (at.now(), at.now().after(index_delay(&at)));
            let mut state = at.state.lock().unwrap();
            let count = state.jira.site.issues.len();
            let Some((key, issue)) = state.jira.site.issues.iter_mut().nth(at.below(count)) else {
                return;
            };
            at.note(|| format!("a person {} {key}", if is_deleted { "deletes" } else { "closes" }));
            match is_deleted {
                true => issue.delete(visible_at),
                false => issue.set_done(true, now, visible_at),
            }
        });
    }
}

/// The violations, after everything has come to rest.
pub fn verdict(sim: &Sim) -> Vec<String> {
    let mut state = sim.state.lock().unwrap();
    let mut violations = std::mem::take(&mut state.jira.violations);
    let open: Vec<(String, Vec<String>, Timestamp)> = state
        .jira
        .site
        .issues
        .iter()
        .filter(|(key, issue)| {
            !issue.is_done && !issue.is_deleted && !state.jira.excused.contains(*key)
        })
        .map(|(key, issue)| (key.clone(), issue.labels.clone(), issue.created_at))
        .collect();
    for (key, labels, created_at) in open {
        let owner = &state.jira.attempts[state.jira.owners[&key]].digest;
        let (route, target) = (owner.route.clone(), owner.target.clone());
        let Some(burst) =
            labels[2..].iter().find_map(|label| label.rsplit('/').next()?.parse::<u64>().ok())
        else {
            continue;
        };
        let Some(end) = state.ledger.end_of(&route, burst) else { continue };
        let is_parked = state.parked.iter().any(|item| match &item.what {
            ParkedWork::Message(parked) => {
                let (from, to) = parked.epochs;
                (&parked.route, &parked.target) == (&route, &target) && (from..=to).contains(&end)
            }
            _ => false,
        });
        let label = format!("{STACK}/{route}/{burst}");
        let is_late = state.jira.ended.get(&label).is_some_and(|ended| created_at > *ended);
        if !is_parked && !is_late && !sim.plan.redeploy {
            violations.push(format!("burst {burst} of {route} is over, but {key} is open"));
        }
    }
    violations
}
