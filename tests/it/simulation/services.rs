//! A running schedule: its time, its random numbers, its processes, and the rest of the platform:
//! tables, queues, and the ledger of all effects.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::Duration;

use stentor::config::Config;
use stentor::ingest::route::Routes;
use stentor::model::name::{RouteName, Target};
use stentor::model::outbox::StoredTally;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::dead_letter::ParkedItem;

use super::dead_letters::DeadLetters;
use super::engine::Engine;
use super::executor::{Executor, TaskId};
use super::floods::{self, Channel};
use super::jira::Jira;
use super::ledger::Ledger;
use super::pagerduty::PagerDuty;
use super::plan::Plan;
use super::process::Process;
use super::queue::Queue;

/// Windows are short, so that a schedule has many, and fallbacks are used early.
pub const CONFIGURATIONS: [&str; 13] = [
    r#"
    window = "5s"
    window_max = "40s"
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]"]
    notify = ["slack:one", "slack:two"]
    [[route]]
    name = "info"
    markers = ["[INFO]"]
    notify = ["slack:one"]
    "#,
    r#"
    window = "5s"
    window_max = "20s"
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]"]
    notify = ["slack:one"]
    fallback = "slack:two"
    fallback_after = "30s"
    [[route]]
    name = "info"
    markers = ["[INFO]"]
    notify = ["slack:two"]
    first = "after-window"
    "#,
    r#"
    window = "8s"
    window_max = "8s"
    first = "after-window"
    [[route]]
    name = "audit"
    markers = ["[CRITICAL]", "[INFO]"]
    notify = ["slack:two"]
    continue = true
    severity = "error"
    severity_if = { critical = { markers = ["[CRITICAL]"] }, warning = { regex = "[02468]" } }
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]"]
    notify = ["slack:one"]
    fallback = "slack:three"
    fallback_after = "1m"
    "#,
    r#"
    window = "3s"
    window_max = "1m"
    [[route]]
    name = "everything"
    markers = ["[CRITICAL]", "[INFO]"]
    notify = ["slack:three"]
    "#,
    // The default windows.
    r#"
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]"]
    notify = ["slack:one"]
    "#,
    // Routes whose severity rises, by marker and by conditions.
    r#"
    window = "5s"
    window_max = "20s"
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]", "[INFO]"]
    notify = ["pagerduty:one", "pagerduty:two"]
    continue = true
    [[route]]
    name = "conditions"
    markers = ["[CRITICAL]", "[INFO]"]
    notify = ["pagerduty:two"]
    severity = "info"
    severity_if = { error = { markers = ["[CRITICAL]"] }, critical = { regex = "[CRITICAL].*[02468]" } }
    "#,
    // An incident is the fallback.
    r#"
    window = "5s"
    window_max = "20s"
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]"]
    notify = ["slack:two", "slack:one"]
    fallback = "pagerduty:one"
    fallback_after = "30s"
    [[route]]
    name = "info"
    markers = ["[INFO]"]
    notify = ["pagerduty:two"]
    fallback = "slack:one"
    fallback_after = "30s"
    "#,
    r#"
    window = "5s"
    window_max = "40s"
    [[target]]
    name = "jira:burst"
    project = "SIM"
    [[target]]
    name = "jira:again"
    project = "SIM"
    reopen_within = "10m"
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]"]
    notify = ["jira:burst", "slack:one"]
    [[route]]
    name = "info"
    markers = ["[INFO]"]
    notify = ["jira:again"]
    "#,
    r#"
    window = "5s"
    window_max = "20s"
    [[target]]
    name = "jira:pattern"
    project = "SIM"
    issue_per = "pattern"
    [[target]]
    name = "jira:two"
    project = "SIM"
    issue_per = "pattern"
    reopen_within = "10m"
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]"]
    notify = ["jira:pattern"]
    [[route]]
    name = "info"
    markers = ["[INFO]"]
    notify = ["jira:two"]
    first = "after-window"
    "#,
    r#"
    window = "5s"
    window_max = "20s"
    [[target]]
    name = "jira:fallback"
    project = "SIM"
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]"]
    notify = ["slack:two"]
    fallback = "jira:fallback"
    fallback_after = "30s"
    [[route]]
    name = "info"
    markers = ["[INFO]"]
    notify = ["slack:one"]
    "#,
    // Thresholds, and a staged route.
    r#"
    window = "5s"
    window_max = "20s"
    [[route]]
    name = "audit"
    markers = ["[CRITICAL]", "[INFO]"]
    notify = ["slack:three"]
    stage = true
    continue = true
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]"]
    notify = ["slack:one", "pagerduty:one"]
    at_least = "4 in 30s"
    [[route]]
    name = "info"
    markers = ["[INFO]"]
    notify = ["slack:two"]
    at_least = "2 in 1m"
    first = "after-window"
    "#,
    // A threshold with a fallback.
    r#"
    window = "5s"
    window_max = "40s"
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]", "[INFO]"]
    notify = ["slack:two"]
    at_least = "3 in 20s"
    per = "pattern"
    fallback = "slack:one"
    fallback_after = "30s"
    "#,
    // Routes that speak on news.
    r#"
    window = "5s"
    window_max = "40s"
    [[route]]
    name = "critical"
    markers = ["[CRITICAL]"]
    notify = ["slack:one", "slack:two"]
    speak_on = ["new"]
    [[route]]
    name = "info"
    markers = ["[INFO]"]
    notify = ["slack:one"]
    speak_on = ["spike"]
    "#,
];

pub fn routes(configuration: usize) -> &'static Routes {
    static ROUTES: OnceLock<Vec<Routes>> = OnceLock::new();
    static FLOODS: OnceLock<Vec<Routes>> = OnceLock::new();
    let parse = |text: &str| Routes::new(&Config::parse(text, "simulation").unwrap()).unwrap();
    if let Some(flood) = configuration.checked_sub(FLOOD) {
        let all = || floods::configurations().iter().map(|text| parse(text)).collect();
        return &FLOODS.get_or_init(all)[flood];
    }
    &ROUTES.get_or_init(|| CONFIGURATIONS.iter().map(|text| parse(text)).collect())
        [configuration % CONFIGURATIONS.len()]
}

/// The configurations from this number on are those of `floods`.
pub const FLOOD: usize = 1_000;

/// The time-out of a function. Its deadline is a second earlier.
const FUNCTION_TIMEOUT: Duration = Duration::from_secs(21);
const DEADLINE: Duration = Duration::from_secs(20);

/// A running schedule.
pub struct Sim {
    pub plan: Plan,
    pub executor: Executor,
    rng: Mutex<fastrand::Rng>,
    pub state: Mutex<State>,
    history: Option<Mutex<Vec<String>>>,
}

pub struct State {
    pub engine: Engine,
    pub ledger: Ledger,
    pub pagerduty: PagerDuty,
    pub queue: Queue,
    pub parked: Vec<ParkedItem>,
    pub configuration: usize,
    /// The task of each running process.
    processes: BTreeMap<u64, TaskId>,
    last_process: u64,
    /// For `Mutation::ReadBeforeClosing`: the tallies when a process last read the cursor, and
    /// those that it uses for a closing window.
    pub seen: BTreeMap<(RouteName, u64), Vec<StoredTally>>,
    pub stale: BTreeMap<RouteName, Vec<StoredTally>>,
    /// For `Mutation::AbandonedClose`.
    pub closers: BTreeMap<RouteName, u64>,
    /// For `Mutation::AcknowledgeBeforeArm`: the alerts that a process has committed.
    pub committed: BTreeMap<u64, usize>,
    pub dead_letters: DeadLetters,
    pub jira: Jira,
    /// The channels that limit the rate of messages, if the plan says so.
    pub channels: BTreeMap<Target, Channel>,
    /// Remote calls.
    pub calls: u64,
    pub finished: bool,
}

impl State {
    /// Called after a change that may have left acknowledged alerts behind.
    pub fn look_after(&mut self, route: &RouteName) {
        let cursor = self.engine.cursor(route).unwrap();
        if cursor.open.is_none() && cursor.closing.is_none() {
            self.ledger.at_rest(route);
        }
    }
}

impl Sim {
    pub fn new(plan: Plan, engine: Engine, history: bool) -> Arc<Self> {
        let state = State {
            engine,
            ledger: Ledger::default(),
            pagerduty: PagerDuty::default(),
            queue: Queue::default(),
            parked: Vec::new(),
            configuration: plan.configuration,
            processes: BTreeMap::new(),
            last_process: 0,
            seen: BTreeMap::new(),
            stale: BTreeMap::new(),
            closers: BTreeMap::new(),
            committed: BTreeMap::new(),
            dead_letters: DeadLetters::default(),
            jira: Jira::default(),
            channels: BTreeMap::new(),
            calls: 0,
            finished: false,
        };
        Arc::new(Self {
            executor: Executor::default(),
            rng: Mutex::new(fastrand::Rng::with_seed(plan.seed)),
            state: Mutex::new(state),
            history: history.then(Mutex::default),
            plan,
        })
    }

    pub fn now(&self) -> Timestamp {
        Self::time(Duration::from_micros(self.executor.now_us()))
    }

    /// The time after a part of the schedule.
    pub fn time(elapsed: Duration) -> Timestamp {
        // A fixed date, so that nothing depends on the system clock.
        Timestamp::from_millis(1_795_000_000_000).after(elapsed)
    }

    pub fn random(&self) -> u64 {
        self.rng.lock().unwrap().u64(..)
    }

    /// A whole number below `n`.
    pub fn below(&self, n: usize) -> usize {
        self.rng.lock().unwrap().usize(0..n.max(1))
    }

    /// Returns true with this probability in thousandths. Always false after the faults have ended.
    pub fn happens(&self, chance: u32) -> bool {
        chance > 0 && self.is_busy() && self.rng.lock().unwrap().u32(0..1000) < chance
    }

    pub fn is_busy(&self) -> bool {
        u128::from(self.executor.now_us()) < self.plan.busy.as_micros()
    }

    pub fn between(&self, from_us: u64, to_us: u64) -> Duration {
        Duration::from_micros(self.rng.lock().unwrap().u64(from_us..to_us))
    }

    pub fn note(&self, line: impl FnOnce() -> String) {
        if let Some(history) = &self.history {
            let at = Duration::from_micros(self.executor.now_us());
            history.lock().unwrap().push(format!("{:>12.6} {}", at.as_secs_f64(), line()));
        }
    }

    pub fn history(&self) -> Vec<String> {
        self.history.as_ref().map(|history| history.lock().unwrap().clone()).unwrap_or_default()
    }

    pub fn is_idle(&self) -> bool {
        self.state.lock().unwrap().processes.is_empty()
    }

    /// Runs `body` as a function. `None` when it was killed.
    pub fn invoke<T, B, F>(
        self: &Arc<Self>,
        what: &'static str,
        body: B,
    ) -> impl Future<Output = (u64, Option<T>)> + Send + use<T, B, F>
    where
        T: Send + 'static,
        B: FnOnce(Process, Deadline) -> F,
        F: Future<Output = T> + Send + 'static,
    {
        self.invoke_for(what, FUNCTION_TIMEOUT, body)
    }

    /// Runs `body` as a process, which is killed after `timeout`.
    pub fn invoke_for<T, B, F>(
        self: &Arc<Self>,
        what: &'static str,
        timeout: Duration,
        body: B,
    ) -> impl Future<Output = (u64, Option<T>)> + Send + use<T, B, F>
    where
        T: Send + 'static,
        B: FnOnce(Process, Deadline) -> F,
        F: Future<Output = T> + Send + 'static,
    {
        let (sender, receiver) = futures::channel::oneshot::channel();
        let mut state = self.state.lock().unwrap();
        state.last_process += 1;
        let id = state.last_process;
        let timed = !self.plan.inline;
        if what == "replay" {
            state.ledger.replayers.insert(id);
        }
        let skew_ms = self.plan.skew.as_millis() as usize;
        let skew_ms = self.below(2 * skew_ms + 1) as i64 - skew_ms as i64;
        let routes = routes(state.configuration);
        let process = Process { sim: Arc::clone(self), id, routes, timed, skew_ms };
        drop(state);
        self.note(|| format!("process {id} starts: {what}, {skew_ms} ms ahead"));
        let deadline = Deadline::after(process.now(), DEADLINE);
        let body = body(process, deadline);
        let sim = Arc::clone(self);
        let task = self.executor.spawn(async move {
            let value = body.await;
            sim.note(|| format!("process {id} has ended"));
            sim.state.lock().unwrap().processes.remove(&id);
            // The receiver is dropped for a process whose result is not awaited.
            let _ = sender.send(value);
        });
        // The sender is dropped with the task, which ends the wait.
        self.state.lock().unwrap().processes.insert(id, task);
        let sim = Arc::clone(self);
        self.executor.after(timeout, move || sim.kill(id));
        async move { (id, receiver.await.ok()) }
    }

    pub fn kill(&self, process: u64) {
        let killed = self.state.lock().unwrap().processes.remove(&process);
        if let Some(task) = killed {
            self.note(|| format!("process {process} is killed"));
            self.executor.kill(task);
        }
    }
}
