//! A schedule from beginning to end: shards with their event source mappings, the queue, the sweep,
//! mutes and deployments. Then the faults stop and everything must come to rest. Then the verdict.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use stentor::config::Route;
use stentor::ingest::event::{Batch, Data, Record, SequenceNumber};
use stentor::ingest::logs::{LogBatch, LogEvent, Message};
use stentor::model::digest::Digest;
use stentor::model::name::RouteName;
use stentor::model::outbox::Recipient;
use stentor::protocol::clock::Deadline;
use stentor::protocol::consume::{Checkpoint, Consumed, consume};
use stentor::protocol::notifier::sweep;

use super::dead_letters::{DeadLetters, data, replay_now_and_then};
use super::engine::{Engine, Memory, Production};
use super::plan::{Mutation, Plan};
use super::process::Process;
use super::services::Sim;
use crate::support::engines::EngineKind;

/// No gzip.
pub const POISON: &str = "bm8gZ3ppcA==";

/// How long a schedule may take to come to rest after the last fault, in virtual time.
const PATIENCE: Duration = Duration::from_secs(5_400);

/// Without faults, a message is sent within its window and this.
const LATE: Duration = Duration::from_secs(25);

const SWEEP_EVERY: Duration = Duration::from_secs(60);

/// The result of a schedule.
pub struct Verdict {
    pub violations: Vec<String>,
    pub history: Vec<String>,
    /// The messages that targets accepted, in order.
    pub messages: Vec<Digest>,
    pub rows: usize,
}

/// A record on a shard.
struct Spec {
    number: usize,
    arrives_at: Duration,
    /// The event id and text of each line. None for a poison record.
    lines: Option<Vec<(String, &'static str)>>,
    /// Its last event is invalid: the others are ingested, and the record is parked.
    is_flawed: bool,
}

/// The records of the stream, and their state.
pub struct Shard {
    pub name: String,
    records: Vec<Spec>,
}

/// Runs a schedule over tables in memory, or over the production store on an engine.
pub fn run(plan: Plan, kind: Option<EngineKind>, history: bool) -> Verdict {
    let engine = match kind {
        Some(kind) => Engine::Production(Box::new(Production::start(kind))),
        None => Engine::Memory(Memory::new(plan.mutation)),
    };
    let sim = Sim::new(plan, engine, history);
    let shards: Vec<Arc<Shard>> = (0..sim.plan.shards).map(|n| Arc::new(shard(&sim, n))).collect();
    let work: Arc<()> = Arc::new(());
    for shard in &shards {
        let pollers = if sim.plan.two_pollers { 2 } else { 1 };
        for _ in 0..pollers {
            let (sim, shard, work) = (Arc::clone(&sim), Arc::clone(shard), Arc::clone(&work));
            let late = Duration::from_millis(sim.below(5_000) as u64);
            sim.clone().executor.spawn(async move {
                sim.executor.sleep(late).await;
                poll(&sim, &shard).await;
                drop(work);
            });
        }
    }
    people(&sim);
    super::jira::people(&sim);
    if !sim.plan.inline && sim.plan.mutation != Some(Mutation::NoSweep) {
        sweep_for_ever(&sim);
    }
    if sim.plan.is_replayed() {
        replay_now_and_then(&sim, &shards);
    }
    watch(&sim, work);
    let at = Arc::clone(&sim);
    sim.executor.run(move || at.state.lock().unwrap().finished);
    let verdict = evaluate(&sim, &shards);
    sim.executor.clear();
    verdict
}

fn shard(sim: &Sim, number: usize) -> Shard {
    let busy_ms = usize::try_from(sim.plan.busy.as_millis()).unwrap() * 3 / 4;
    // Half of the schedules have all records at once, the others spread them.
    let span_ms = if !sim.plan.steady && sim.below(2) == 0 { 2_000 } else { busy_ms };
    let mut arrivals: Vec<usize> = (0..sim.plan.records).map(|_| sim.below(span_ms)).collect();
    arrivals.sort_unstable();
    let record = |(n, at): (usize, usize)| {
        // Producers send some records twice, to any shard: the same events with another sequence
        // number.
        let origin = if sim.below(8) == 0 { 0 } else { number };
        let lines = (0..sim.below(5)).map(|i| line(origin, n, i)).collect();
        let (is_poison, is_flawed) = (sim.below(12) == 0, sim.below(12) == 0);
        let arrives_at = Duration::from_millis(at as u64);
        Spec { number: n, arrives_at, lines: (!is_poison).then_some(lines), is_flawed }
    };
    let records = arrivals.into_iter().enumerate().map(record).collect();
    Shard { name: format!("shardId-{number:012}"), records }
}

/// The text of an event depends on its id.
fn line(origin: usize, record: usize, n: usize) -> (String, &'static str) {
    const LINES: [&str; 4] = ["[CRITICAL] a", "[INFO] b", "quiet", "[CRITICAL] [INFO] c"];
    (format!("s{origin}-r{record}-{n}"), LINES[(origin + record * 3 + n) % LINES.len()])
}

impl Shard {
    fn batch(&self, from: usize, to: usize) -> Batch<'static> {
        let records = self.records[from..to].iter().map(|spec| self.record(spec)).collect();
        Batch { records, ..Batch::default() }
    }

    fn record(&self, spec: &Spec) -> Record<'static> {
        let data = match &spec.lines {
            _ if spec.is_flawed => Data::Base64(data(self, spec.number).into()),
            None => Data::Base64(POISON.into()),
            Some(lines) => Data::Message(Message::Data(LogBatch {
                owner: "123456789012".into(),
                log_group: "/aws/lambda/shop".into(),
                log_stream: "stream".into(),
                events: lines.iter().map(|(id, text)| event(id, text)).collect(),
            })),
        };
        let event_id = format!("{}:{}", self.name, spec.number);
        let sequence = SequenceNumber::new(spec.number.to_string().into());
        let arrived = Sim::time(spec.arrives_at).as_millis() as f64 / 1000.0;
        let arrived_at = Some(format!("{arrived:.3}").into());
        Record { sequence, arrived_at, ..Record::named(event_id, data) }
    }

    /// The record as CloudWatch Logs writes it. `None` for a poison record.
    pub fn message(&self, record: usize) -> Option<Value> {
        let lines = self.records[record].lines.as_ref()?;
        let event = |(id, text): &(String, &str)| json!({"id": id, "timestamp": 1_795_000_000_000_i64, "message": text});
        let flaw = self.records[record].is_flawed.then_some(Value::Null);
        let events: Vec<Value> = lines.iter().map(event).chain(flaw).collect();
        Some(json!({
            "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/lambda/shop",
            "logStream": "stream", "subscriptionFilters": ["f"], "logEvents": events,
        }))
    }

    /// Whether the record or one of its events cannot be read.
    pub fn is_bad(&self, record: usize) -> bool {
        self.records[record].lines.is_none() || self.records[record].is_flawed
    }

    /// The number of different alerts in some records.
    fn alerts(&self, sim: &Sim, from: usize, to: usize) -> usize {
        let markers = markers(sim.plan.configuration);
        let lines = self.records[from..to].iter().filter_map(|spec| spec.lines.as_ref()).flatten();
        let alerts = lines.filter(|(_, text)| markers.iter().any(|marker| text.contains(marker)));
        alerts.map(|(id, _)| id).collect::<std::collections::BTreeSet<_>>().len()
    }

    /// The number of records that have arrived.
    fn arrived(&self, now: Duration) -> usize {
        self.records.iter().take_while(|spec| spec.arrives_at <= now).count()
    }
}

fn event(id: &str, text: &'static str) -> LogEvent<'static> {
    let (id, timestamp) = (id.to_owned().into(), 1_795_000_000_000);
    LogEvent { id, timestamp, message: text.into(), account: None, region: None }
}

/// The result of an invocation for the mapping: the number of acknowledged records, or a failed
/// batch.
enum Answer {
    Acknowledged(usize),
    Failed,
}

/// The event source mapping of one shard: batches of any size, from the lowest checkpoint to the
/// end of the shard. A failed batch is split. An acknowledged batch may be delivered again. At a
/// certain age a batch is given up, and a dead letter with its position is sent, which a replay
/// reads.
async fn poll(sim: &Arc<Sim>, shard: &Arc<Shard>) {
    let (mut position, mut size_max) = (0, shard.records.len());
    while position < shard.records.len() {
        let wait = shard.records[position].arrives_at.saturating_sub(elapsed(sim));
        sim.executor.sleep(wait).await;
        let available = shard.arrived(elapsed(sim)).saturating_sub(position).max(1);
        let to = position + 1 + sim.below(available.min(size_max));
        match invoke(sim, shard, position, to).await {
            Answer::Acknowledged(records) => {
                acknowledge(sim, shard, position, position + records);
                if sim.happens(sim.plan.faults.redeliver) {
                    invoke(sim, shard, position, to).await;
                }
                size_max = if position + records == to {
                    shard.records.len()
                } else {
                    (size_max / 2).max(1)
                };
                position += records;
                if position < to {
                    sim.executor.sleep(Duration::from_secs(1)).await;
                }
            }
            Answer::Failed if sim.happens(sim.plan.faults.discard) => {
                sim.note(|| {
                    format!("the mapping gives up records {position} to {to} of {}", shard.name)
                });
                let alerts = alerts(sim, shard, position, to).map(str::to_owned).collect();
                sim.state.lock().unwrap().dead_letters.push_batch(shard, position, to, alerts);
                position = to;
            }
            Answer::Failed => {
                size_max = (size_max / 2).max(1);
                sim.executor.sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// Checks an acknowledgement: its alerts have rows, and their windows are open. (Alerts of only one
/// of two configurations are left to the sweep.)
fn acknowledge(sim: &Sim, shard: &Shard, from: usize, to: usize) {
    let events: Vec<&str> = alerts(sim, shard, from, to).collect();
    let mut state = sim.state.lock().unwrap();
    state.ledger.acknowledge(&events, sim.executor.now_us());
    for route in state.engine.routes().unwrap() {
        state.look_after(&route);
    }
}

/// The ids of the events that are alerts in every configuration of the schedule.
fn alerts<'a>(
    sim: &'a Sim,
    shard: &'a Shard,
    from: usize,
    to: usize,
) -> impl Iterator<Item = &'a str> {
    let lines = shard.records[from..to].iter().filter_map(|spec| spec.lines.as_ref()).flatten();
    lines.filter(|(_, text)| matters(sim, text)).map(|(id, _)| id.as_str())
}

/// Whether every configuration of the schedule has a marker for a line.
fn matters(sim: &Sim, text: &str) -> bool {
    let configurations =
        [0, usize::from(sim.plan.redeploy)].map(|n| markers(sim.plan.configuration + n));
    configurations.iter().all(|markers| markers.iter().any(|marker| text.contains(marker)))
}

async fn invoke(sim: &Arc<Sim>, shard: &Arc<Shard>, from: usize, to: usize) -> Answer {
    let taken = Arc::clone(shard);
    let body = move |process: Process, deadline: Deadline| async move {
        let batch = taken.batch(from, to);
        let consumed = consume(&process, &batch, deadline).await;
        let checkpoint = consumed.checkpoint(&batch);
        (consumed, checkpoint)
    };
    let (process, outcome) = sim.invoke("consume", body).await;
    if sim.plan.mutation == Some(Mutation::AcknowledgeBeforeArm)
        && sim.state.lock().unwrap().committed.get(&process) == Some(&shard.alerts(sim, from, to))
    {
        return Answer::Acknowledged(to - from);
    }
    let Some((consumed, checkpoint)) = outcome else { return Answer::Failed };
    check_books(sim, &consumed);
    match checkpoint {
        Checkpoint::Everything => Answer::Acknowledged(to - from),
        Checkpoint::Before(sequence) => {
            Answer::Acknowledged(sequence.as_str().parse::<usize>().unwrap() - from)
        }
        Checkpoint::Nothing => Answer::Failed,
    }
}

fn check_books(sim: &Sim, consumed: &Consumed) {
    let counts = &consumed.counts;
    if !counts.balance() || counts.records != consumed.verdicts.len() as u64 {
        sim.state
            .lock()
            .unwrap()
            .ledger
            .violations
            .push(format!("the counts do not balance: {counts:?}"));
    }
}

/// Mutes a route for a while, and deploys another configuration.
fn people(sim: &Arc<Sim>) {
    let busy_ms = usize::try_from(sim.plan.busy.as_millis()).unwrap();
    if sim.plan.mutes {
        let from = Duration::from_millis(sim.below(busy_ms) as u64);
        let length = Duration::from_millis(1_000 + sim.below(busy_ms / 2) as u64);
        let at = Arc::clone(sim);
        sim.executor.after(from, move || {
            let until = at.now().after(length);
            at.note(|| "critical is muted".to_owned());
            let route: RouteName = "critical".parse().unwrap();
            let mut state = at.state.lock().unwrap();
            state.engine.mute(&route, Some(until)).unwrap();
            let now_us = at.executor.now_us();
            state.ledger.mutes.push((route, now_us, now_us + length.as_micros() as u64));
        });
    }
    if sim.plan.redeploy {
        let when = Duration::from_millis(sim.below(busy_ms) as u64);
        let at = Arc::clone(sim);
        sim.executor.after(when, move || {
            at.note(|| "another configuration is deployed".to_owned());
            at.state.lock().unwrap().configuration += 1;
        });
    }
}

pub fn sweep_for_ever(sim: &Arc<Sim>) {
    let sim = Arc::clone(sim);
    sim.clone().executor.spawn(async move {
        loop {
            sim.executor.sleep(SWEEP_EVERY).await;
            // Not awaited: the next sweep starts a minute later.
            drop(sim.invoke("sweep", |process, deadline| async move {
                sweep(&process, deadline).await.map(drop)
            }));
        }
    });
}

/// Ends the schedule when everything is at rest, or the limit is reached.
fn watch(sim: &Arc<Sim>, work: Arc<()>) {
    let sim = Arc::clone(sim);
    sim.clone().executor.spawn(async move {
        sim.executor.sleep(sim.plan.busy).await;
        loop {
            sim.executor.sleep(Duration::from_secs(15)).await;
            let is_over = elapsed(&sim) > sim.plan.busy + PATIENCE;
            let at_rest =
                Arc::strong_count(&work) == 1 && sim.is_idle() && left_to_do(&sim).is_empty();
            if is_over || at_rest {
                sim.state.lock().unwrap().finished = true;
            }
        }
    });
}

/// The reasons why a schedule is not at rest.
fn left_to_do(sim: &Sim) -> Vec<String> {
    let mut state = sim.state.lock().unwrap();
    let mut left = Vec::new();
    let dead_due = std::mem::take(&mut state.queue.dead_letters);
    dead_due.into_iter().for_each(|body| state.dead_letters.push(body));
    let dead_letters = state.dead_letters.to_replay(|event| has_row(&state.ledger.rows, event));
    if sim.plan.is_replayed() && !dead_letters.is_empty() {
        left.push(format!("dead letters are not replayed: {dead_letters:?}"));
    }
    left.extend(state.ledger.waiting());
    if !state.queue.is_empty() {
        left.push("due messages are under way".to_owned());
    }
    for route in state.engine.routes().unwrap() {
        let cursor = state.engine.cursor(&route).unwrap();
        // Without a due queue, an empty window stays open until an alert touches the route.
        if !sim.plan.inline && (cursor.open.is_some() || cursor.closing.is_some()) {
            left.push(format!("{route} has a window open or closing"));
        }
        if !sim.plan.inline && cursor.counted < cursor.epoch {
            left.push(format!("the histories of {route} count epochs up to {}", cursor.counted));
        }
        for target in cursor.targets.keys() {
            let known = state.engine.target(&route, Recipient::Own(target)).unwrap();
            let offset = cursor.delivered_to(target, &known);
            if offset < cursor.sealed {
                left.push(format!(
                    "{target} stands at epoch {offset} of {} of {route}",
                    cursor.sealed
                ));
            }
        }
        // Nor is an escalation delivered that arrived after its process had crashed.
        for fallback in cursor.fallbacks.iter().filter(|_| !sim.plan.inline) {
            let known = state.engine.target(&route, Recipient::Fallback(fallback)).unwrap();
            let upto = known.escalation.map_or(0, |escalation| escalation.upto);
            // Every target has received the retired epochs, although one was slow to do so.
            if known.offset.unwrap_or(0).max(cursor.retired) < upto {
                left.push(format!("{fallback} is owed {route} up to epoch {upto}"));
            }
            let is_told = fallback.kind.has_incidents() && !sim.plan.redeploy;
            let incident = known.thread.filter(|_| is_told);
            if let Some(thread) =
                incident.filter(|thread| state.ledger.end_of(&route, thread.burst).is_some())
            {
                left.push(format!("{fallback} is owed the end of burst {}", thread.burst));
            }
        }
    }
    left
}

fn elapsed(sim: &Sim) -> Duration {
    Duration::from_micros(sim.executor.now_us())
}

fn evaluate(sim: &Sim, shards: &[Arc<Shard>]) -> Verdict {
    let jira = super::jira::verdict(sim);
    let stuck = if elapsed(sim) > sim.plan.busy + PATIENCE { left_to_do(sim) } else { Vec::new() };
    let mut state = sim.state.lock().unwrap();
    let state = &mut *state;
    let ledger = &state.ledger;
    let mut violations = ledger.violations.clone();
    if !sim.plan.inline {
        let known = state.engine.routes().unwrap();
        let wrong =
            known.iter().map(|route| super::histories::verdict(ledger, &mut state.engine, route));
        violations.extend(wrong.collect::<Vec<_>>().concat());
    }
    violations.extend(stuck);
    violations.extend(jira);
    violations.extend(ledger.unbalanced());
    violations.extend(ledger.waiting());
    violations.extend(ledger.forgotten(sim.plan.is_replayed()));
    violations.extend(ledger.repeated());
    violations.extend(state.pagerduty.violations.clone());
    violations.extend(state.pagerduty.left_open(&configured_for_ever(sim)));
    violations.extend(shards.iter().flat_map(|shard| without_row(sim, shard, &ledger.rows)));
    violations.extend(not_parked(shards, &state.parked, &state.dead_letters));
    if sim.plan.is_without_faults() {
        // With clocks that differ, a window may end before the message about the one before it.
        let is_merged = sim.plan.inline || !sim.plan.skew.is_zero();
        violations.extend(ledger.messages_too_many(is_merged));
        for route in &super::services::routes(sim.plan.configuration).config().routes {
            violations.extend(ledger.late(&route.name, route.window_max + LATE));
            violations.extend(super::thresholds::held_back(ledger, route, sim.plan.skew));
        }
    }
    if !sim.plan.redeploy {
        for route in &super::services::routes(sim.plan.configuration).config().routes {
            let is_late = !sim.plan.is_without_faults();
            violations.extend(super::thresholds::too_early(ledger, route, is_late));
        }
        let configured = &super::services::routes(sim.plan.configuration).config().routes;
        let escalating =
            configured.iter().filter_map(|route| Some((&route.name, route.fallback.as_ref()?)));
        violations
            .extend(escalating.flat_map(|(route, fallback)| ledger.not_escalated(route, fallback)));
    }
    Verdict {
        violations,
        history: sim.history(),
        messages: ledger.delivered.iter().map(|delivered| delivered.digest.clone()).collect(),
        rows: ledger.rows.len(),
    }
}

/// The routes that every configuration of the schedule has, in the same way.
fn configured_for_ever(sim: &Sim) -> Vec<Route> {
    let [first, last] = [0, usize::from(sim.plan.redeploy)]
        .map(|n| &super::services::routes(sim.plan.configuration + n).config().routes);
    let is_same = |route: &&Route| {
        last.iter().any(|other| {
            (&other.name, &other.notify, &other.fallback)
                == (&route.name, &route.notify, &route.fallback)
        })
    };
    first.iter().filter(is_same).cloned().collect()
}

type Rows = std::collections::BTreeMap<
    stentor::model::alert::AlertId,
    Vec<stentor::model::name::RouteName>,
>;

/// Lines with a marker but without a row.
fn without_row(sim: &Sim, shard: &Shard, rows: &Rows) -> Vec<String> {
    let lost = alerts(sim, shard, 0, shard.records.len()).filter(|id| !has_row(rows, id));
    lost.map(|id| format!("{id} on {} has no row", shard.name)).collect()
}

fn has_row(rows: &Rows, event: &str) -> bool {
    rows.keys().any(|row| row.as_str().rsplit_once('-').is_some_and(|(id, _)| id == event))
}

fn markers(configuration: usize) -> Vec<&'static str> {
    let routes = &super::services::routes(configuration).config().routes;
    routes.iter().flat_map(|route| &route.conditions.markers).map(String::as_str).collect()
}

/// Poison records that are not parked.
fn not_parked(
    shards: &[Arc<Shard>],
    parked: &[stentor::protocol::dead_letter::ParkedItem],
    dead_letters: &DeadLetters,
) -> Vec<String> {
    use stentor::protocol::dead_letter::ParkedWork;
    let is_parked = |name: &str| {
        parked.iter().any(
            |item| matches!(&item.what, ParkedWork::Record { event_id, .. } if event_id == name),
        )
    };
    let poison = |shard: &Arc<Shard>| {
        let poison = shard.records.iter().filter(|spec| shard.is_bad(spec.number));
        poison.map(|spec| format!("{}:{}", shard.name, spec.number)).collect::<Vec<_>>()
    };
    let lost =
        shards.iter().flat_map(poison).filter(|name| !is_parked(name) && !dead_letters.keeps(name));
    lost.map(|name| format!("the poison record {name} was not parked")).collect()
}
