//! Floods: many routes, a channel that limits the rate, targets that are down or say nothing. Each
//! has a budget of messages, of receives and of time.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use stentor::ingest::event::{Batch, Data, Record};
use stentor::ingest::logs::{LogBatch, LogEvent, Message};
use stentor::model::name::Target;
use stentor::protocol::arm::LOST_AFTER;
use stentor::protocol::consume::{Verdict, consume};
use stentor::protocol::notifier::{Swept, sweep};

use super::engine::{Engine, Memory};
use super::plan::{Faults, Plan};
use super::schedule::sweep_for_ever;
use super::services::{FLOOD, Sim, State};

/// Routes that share a channel.
const SHARING: usize = 300;

/// Targets that never answer, each with a route of its own, and routes with a healthy target.
const SILENT: usize = 50;
const HEALTHY: usize = 10;

/// Routes without alerts.
const IDLE: usize = 2_000;

/// The configurations of the floods.
pub fn configurations() -> [String; 5] {
    let route = |n: usize, target: String, more: &str| {
        format!(
            "[[route]]\nname = \"r{n}\"\nmarkers = [\"[R{n}]\"]\nnotify = [\"{target}\"]\n{more}\n"
        )
    };
    let short = "window = \"8s\"\nwindow_max = \"8s\"";
    let all = |targets: Vec<String>| {
        targets.into_iter().enumerate().map(|(n, target)| route(n, target, "")).collect::<String>()
    };
    let silent = (0..SILENT).map(|n| format!("webhook:silent{n}"));
    let healthy = (0..HEALTHY).map(|n| format!("webhook:healthy{n}"));
    [
        route(0, "slack:two".to_owned(), short),
        all(vec!["slack:one".to_owned(); SHARING]),
        all(silent.chain(healthy).collect()),
        all(vec!["slack:one".to_owned(); IDLE]),
        super::month::CONFIGURATION.to_owned(),
    ]
}

/// A channel that takes one message a second, and two at once.
#[derive(Clone, Copy)]
pub struct Channel {
    tokens: f64,
    at_us: u64,
}

/// The pause that a channel asks for, if it has too many messages.
pub fn refuses(state: &mut State, sim: &Sim, target: &Target) -> Option<Duration> {
    let pause = sim.plan.rate_limit?;
    let now_us = sim.executor.now_us();
    let full = Channel { tokens: 2.0, at_us: now_us };
    let channel = state.channels.entry(target.clone()).or_insert(full);
    let refilled = (now_us - channel.at_us) as f64 / 1e6;
    *channel = Channel { tokens: (channel.tokens + refilled).min(2.0), at_us: now_us };
    match channel.tokens >= 1.0 {
        true => {
            channel.tokens -= 1.0;
            None
        }
        false => Some(pause),
    }
}

/// Whether the target takes a connection and says nothing.
pub fn is_silent(target: &Target) -> bool {
    target.name.as_str().starts_with("silent")
}

pub fn flood(configuration: usize, plan: impl FnOnce(Plan) -> Plan) -> Arc<Sim> {
    let quiet = Plan {
        faults: Faults::default(),
        configuration: FLOOD + configuration,
        redeploy: false,
        mutes: false,
        inline: false,
        outage: false,
        two_pollers: false,
        busy: Duration::from_secs(3_600),
        notifiers: Some(10),
        ..Plan::of(1, None)
    };
    Sim::new(plan(quiet), Engine::Memory(Memory::new(None)), false)
}

/// Consumes an alert of each of these routes at this time, and expects that the record is safe.
fn alert(sim: &Arc<Sim>, at: Duration, routes: std::ops::Range<usize>) {
    let later = Arc::clone(sim);
    sim.executor.after(at, move || {
        let sim = later;
        sim.clone().executor.spawn(async move {
            let name = format!("{}-{}", at.as_millis(), routes.start);
            let event = |n: usize| LogEvent {
                id: format!("{name}-{n}").into(),
                timestamp: 1_795_000_000_000,
                message: format!("[R{n}] down").into(),
                account: None,
                region: None,
            };
            let data = Data::Message(Message::Data(LogBatch {
                owner: "123456789012".into(),
                log_group: "/aws/lambda/shop".into(),
                log_stream: "stream".into(),
                events: routes.map(event).collect(),
            }));
            let batch =
                Batch { records: vec![Record::named(name.clone(), data)], ..Batch::default() };
            let body = |process, deadline| async move { consume(&process, &batch, deadline).await };
            let (_, consumed) = sim.invoke("consume", body).await;
            assert_eq!(consumed.unwrap().verdicts, [Verdict::Safe], "at {at:?}");
        });
    });
}

pub fn run_for(sim: &Arc<Sim>, length: Duration) {
    let at = Arc::clone(sim);
    sim.executor.after(length, move || at.state.lock().unwrap().finished = true);
    let at = Arc::clone(sim);
    sim.executor.run(move || at.state.lock().unwrap().finished);
}

/// When each route had its first message.
fn first_messages(sim: &Sim) -> BTreeMap<String, Duration> {
    let mut first = BTreeMap::new();
    for delivered in &sim.state.lock().unwrap().ledger.delivered {
        let sent_at = Duration::from_micros(delivered.sent_at());
        first.entry(delivered.digest.route.to_string()).or_insert(sent_at);
    }
    first
}

fn seconds(from: u64, to: u64, step: usize) -> impl Iterator<Item = Duration> {
    (from..to).step_by(step).map(Duration::from_secs)
}

/// A thousand invocations find the window overdue, because no notifier runs.
#[test]
fn an_overdue_window_has_one_due_message_for_each_time_that_it_counts_as_lost() {
    let sim = flood(0, |plan| Plan { notifiers: Some(0), ..plan });
    seconds(0, 1_000, 1).for_each(|at| alert(&sim, at, 0..1));
    run_for(&sim, Duration::from_secs(1_100));
    let state = sim.state.lock().unwrap();
    assert_eq!(state.ledger.violations, [""; 0]);
    let most = 1 + 1_000 / LOST_AFTER.as_secs() as usize;
    assert!((2..=most).contains(&state.queue.live_max), "{} due messages", state.queue.live_max);
}

#[test]
fn a_route_has_three_due_messages_however_long_its_target_is_down() {
    let sim = flood(0, |plan| Plan { outage: true, ..plan });
    sweep_for_ever(&sim);
    seconds(0, 2_400, 2).for_each(|at| alert(&sim, at, 0..1));
    run_for(&sim, Duration::from_secs(2_400));
    let state = sim.state.lock().unwrap();
    let (live, receives) = (state.queue.live_max, state.queue.receives);
    // Of the open window, of the one that is being closed, and of the one before it.
    assert!(live <= 3, "{live} due messages at once");
    // A window every eight seconds.
    assert!(receives <= 2_400 / 8 * 2, "{receives} receives");
    assert!(state.ledger.delivered.is_empty());
}

#[test]
fn routes_that_share_a_channel_take_turns() {
    let (sharing, second) = (SHARING as u64, Duration::from_secs(1));
    for pause in [second, second * 30] {
        let sim = flood(1, |plan| Plan { rate_limit: Some(pause), ..plan });
        sweep_for_ever(&sim);
        alert(&sim, Duration::ZERO, 0..SHARING);
        run_for(&sim, second * 420);
        let first = first_messages(&sim);
        assert_eq!(first.len(), SHARING);
        let last = *first.values().max().unwrap();
        assert!(last <= second * 360, "{sharing} first messages took {last:?}");
        let state = sim.state.lock().unwrap();
        assert_eq!(state.queue.dead_letters, [""; 0]);
        let receives = state.queue.receives_max();
        assert!(receives <= 5, "a due message was received {receives} times");
    }
}

#[test]
fn targets_that_say_nothing_delay_no_other_target() {
    let sim = flood(2, |plan| plan);
    sweep_for_ever(&sim);
    seconds(0, 600, 20).for_each(|at| alert(&sim, at, 0..SILENT));
    let began: Vec<Duration> = seconds(60, 600, 60).take(HEALTHY).collect();
    for (n, at) in began.iter().enumerate() {
        alert(&sim, *at, SILENT + n..SILENT + n + 1);
    }
    run_for(&sim, Duration::from_secs(700));
    let first = first_messages(&sim);
    assert_eq!(first.len(), began.len());
    for (n, at) in began.into_iter().enumerate() {
        let waited = first[&format!("r{}", SILENT + n)] - at;
        assert!(waited <= Duration::from_secs(5), "healthy route {n} waited {waited:?}");
    }
}

#[test]
fn a_sweep_reads_an_idle_route_twice() {
    let sim = flood(3, |plan| plan);
    let (at, swept) = (Arc::clone(&sim), Arc::new(std::sync::Mutex::new(None::<Swept>)));
    let result = Arc::clone(&swept);
    sim.executor.spawn(async move {
        let body = |process, deadline| async move { sweep(&process, deadline).await };
        let (_, swept) = at.invoke("sweep", body).await;
        *result.lock().unwrap() = swept.and_then(Result::ok);
    });
    run_for(&sim, Duration::from_secs(60));
    let swept = swept.lock().unwrap().take().expect("the sweep ends in time");
    assert_eq!((swept.routes, swept.unreached, swept.unfinished), (IDLE as u64, 0, vec![]));
    assert_eq!(sim.state.lock().unwrap().calls, 1 + 2 * IDLE as u64);
}
