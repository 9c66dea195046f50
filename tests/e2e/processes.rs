//! The two functions as processes: several consumers and two notifiers on one engine, one due queue
//! (moto) and a Slack that often fails. The processes are killed again and again in the middle of
//! their work.
//!
//! On PostgreSQL, the server is stopped meanwhile, too, without a checkpoint.
//!
//! The test acts as the event source mappings and the schedule, through Lambda's runtime API. The
//! random numbers have a seed, which is printed, and can be set with `STENTOR_SEED`. A seed repeats
//! the plan, but not the scheduling of the machine.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::deployment::{Deployment, killed};
use crate::mapping::{self, Shard};
#[cfg(feature = "postgres")]
use crate::postgres::FunctionDatabase;
use crate::runtime::{Function, Outcome};
use crate::webhooks::{HookAnswer, Post};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use fastrand::Rng;
use futures::future::{join_all, join4};
use serde_json::json;
use stentor::adapters::clock::SystemClock;
use stentor::model::name::{RouteName, Target};
use stentor::model::outbox::{Epoch, Recipient};
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::Store;
use tokio::time::sleep;

const CONFIG: &str = r#"
    window     = "1s"
    window_max = "2s"

    [[route]]
    name     = "critical"
    markers  = ["[CRITICAL]"]
    notify   = ["slack:one", "slack:two"]
    continue = true

    [[route]]
    name    = "all"
    markers = ["[CRITICAL]", "[ALERT]"]
    notify  = ["slack:three"]

    [[route]]
    name    = "info"
    markers = ["[INFO]"]
    notify  = ["slack:one"]

    [[route]]
    name    = "billing"
    markers = ["[BILLING]"]
    notify  = ["slack:two"]

    [[route]]
    name    = "audit"
    markers = ["[AUDIT]"]
    notify  = ["slack:two", "slack:three"]
"#;

const ROUTES: [&str; 5] = ["critical", "all", "info", "billing", "audit"];

/// The beginnings of lines, and their routes.
const LINES: [(&str, &[&str]); 6] = [
    ("[CRITICAL]", &["critical", "all"]),
    ("[ALERT]", &["all"]),
    ("[INFO]", &["info"]),
    ("[BILLING]", &["billing"]),
    ("[AUDIT]", &["audit"]),
    ("[DEBUG]", &[]),
];

const SHARDS: usize = 4;
const CONSUMERS_KILLED: usize = 24;
const NOTIFIERS_KILLED: usize = 20;

/// How often the server of PostgreSQL is stopped.
#[cfg(feature = "postgres")]
const OUTAGES: usize = 8;

/// Long enough for a loaded machine: work that is not finished by then is stuck.
const REST_MAX: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread")]
async fn functions_that_are_killed_at_any_moment_lose_nothing_and_count_everything_once() {
    let mut seeds = seeds();
    let weather = Mutex::new(seeds.fork());
    let decide = move || bad_day(&mut weather.lock().unwrap());
    let deployment = Deployment::start("killed", CONFIG, &[], decide).await;
    let store = &deployment.surroundings.store;
    let fed = run(&deployment, store, &mut seeds, &Outages::default(), async {}).await;
    check(&deployment, store, &fed, &rows(&deployment).await, &Outages::default()).await;
}

/// The same on PostgreSQL, whose server is stopped meanwhile.
#[cfg(feature = "postgres")]
#[tokio::test(flavor = "multi_thread")]
async fn functions_on_postgres_that_are_killed_while_it_restarts_count_everything_once() {
    let mut seeds = seeds();
    let weather = Mutex::new(seeds.fork());
    let decide = move || bad_day(&mut weather.lock().unwrap());
    let database = FunctionDatabase::start().await;
    let deployment = database.deploy("killed-postgres", CONFIG, decide).await;
    let outages = Outages { expected: OUTAGES, ..Outages::default() };
    let interrupted = outages.interrupt(&database, seeds.fork());
    let fed = run(&deployment, &database.store, &mut seeds, &outages, interrupted).await;
    check(&deployment, &database.store, &fed, &database.rows(), &outages).await;
    println!("{OUTAGES} outages of the server");
}

fn seeds() -> Rng {
    let seed = std::env::var("STENTOR_SEED")
        .map_or_else(|_| fastrand::u64(..), |seed| seed.parse().unwrap());
    println!("STENTOR_SEED={seed}");
    Rng::with_seed(seed)
}

/// Feeds the shards until enough functions were killed, and then waits until all is delivered.
async fn run(
    deployment: &Deployment,
    store: &impl Store,
    seeds: &mut Rng,
    outages: &Outages,
    interrupted: impl Future<Output = ()>,
) -> Fed {
    let began = Instant::now();
    let at_rest = AtomicBool::new(false);
    let shards: Vec<_> = (0..SHARDS).map(|n| feed(deployment, n, seeds.fork(), outages)).collect();
    let queue: Vec<_> = deployment
        .notifiers
        .iter()
        .map(|one| serve(deployment, one, seeds.fork(), &at_rest))
        .collect();
    let until_rest = async {
        let fed = join_all(shards).await.into_iter().fold(Fed::default(), Fed::and);
        until_at_rest(deployment, store).await;
        at_rest.store(true, Ordering::SeqCst);
        fed
    };
    let swept = sweep(deployment, seeds.fork(), &at_rest);
    let (fed, ..) = join4(until_rest, join_all(queue), swept, interrupted).await;
    println!("at rest after {:?}", began.elapsed());
    fed
}

/// Checks that rows, counts and messages agree with what was fed.
async fn check(
    deployment: &Deployment,
    store: &impl Store,
    fed: &Fed,
    rows: &BTreeMap<String, BTreeSet<String>>,
    outages: &Outages,
) {
    assert_eq!(*rows, fed.alerts, "each alert has one row, with its routes");
    let (posts, mut repeats) = (accepted(deployment, outages), 0);
    for route in ROUTES {
        let epochs = epochs(store, route).await;
        let counted: u64 = epochs.iter().map(|epoch| epoch.tally.alerts).sum();
        let stored = rows.values().filter(|routes| routes.contains(route)).count() as u64;
        assert_eq!(counted, stored, "rows of {route}, and the count of its epochs");
        repeats += check_told(route, &epochs, &posts);
    }
    let parked = deployment.surroundings.parked().await;
    let parked: BTreeSet<&str> =
        parked.iter().map(|parked| parked["event_id"].as_str().unwrap()).collect();
    assert_eq!(
        parked,
        fed.poison.iter().map(String::as_str).collect(),
        "only poison records are parked"
    );
    let (consumers, notifiers) = (killed(&deployment.consumers), killed(&deployment.notifiers));
    println!(
        "{consumers} consumers and {notifiers} notifiers killed, {} alerts, {} messages, {repeats} epochs repeated",
        rows.len(),
        posts.len()
    );
    assert!(consumers >= CONSUMERS_KILLED && notifiers >= NOTIFIERS_KILLED);
}

// ---- The run --------------------------------------------------------------------------------

fn bad_day(rng: &mut Rng) -> HookAnswer {
    match rng.u8(..100) {
        0..10 => HookAnswer::Limited(1),
        10..20 => HookAnswer::Failed,
        20..40 => HookAnswer::Slow(Duration::from_millis(rng.u64(50..500))),
        // Longer than the function waits: the message is shown, but the function does not know.
        40..41 => HookAnswer::Slow(Duration::from_secs(6)),
        _ => HookAnswer::Accepted,
    }
}

/// When to kill an invocation, if at all: at a random moment of its usual duration.
fn death(
    functions: &[Function],
    enough: usize,
    usual: Duration,
    rng: &mut Rng,
) -> Option<Duration> {
    (rng.bool() && killed(functions) < enough).then(|| usual.mul_f64(rng.f64()))
}

fn consumer_dies(deployment: &Deployment, rng: &mut Rng) -> Option<Duration> {
    death(&deployment.consumers, CONSUMERS_KILLED, Duration::from_millis(100), rng)
}

fn notifier_dies(deployment: &Deployment, rng: &mut Rng) -> Option<Duration> {
    death(&deployment.notifiers, NOTIFIERS_KILLED, Duration::from_millis(500), rng)
}

/// When the store was out of reach.
#[derive(Default)]
struct Outages {
    expected: usize,
    past: Mutex<Vec<(Instant, Instant)>>,
}

impl Outages {
    fn are_over(&self) -> bool {
        self.past.lock().unwrap().len() >= self.expected
    }

    /// Whether the store was out of reach in this time.
    fn overlap(&self, began: Instant, ended: Option<Instant>) -> bool {
        let past = self.past.lock().unwrap();
        past.iter().any(|(from, to)| began <= *to && ended.is_none_or(|ended| *from <= ended))
    }

    /// Stops the server now and then, in the middle of the work of others.
    #[cfg(feature = "postgres")]
    async fn interrupt(&self, database: &FunctionDatabase, mut rng: Rng) {
        while !self.are_over() {
            sleep(Duration::from_millis(rng.u64(500..3_000))).await;
            let down = Duration::from_millis(rng.u64(..800));
            let server = Arc::clone(&database.server);
            let outage = tokio::task::spawn_blocking(move || {
                let began = Instant::now();
                server.stop_immediately();
                std::thread::sleep(down);
                server.restart(&[]);
                (began, Instant::now())
            });
            // The lock is not held while this waits: the others of this task ask for it.
            let outage = outage.await.unwrap();
            self.past.lock().unwrap().push(outage);
        }
    }
}

/// The records that were written to shards.
#[derive(Default)]
struct Fed {
    /// The event id and the routes of each alert.
    alerts: BTreeMap<String, BTreeSet<String>>,
    /// The event ids of poison records.
    poison: BTreeSet<String>,
}

impl Fed {
    fn and(mut self, more: Self) -> Self {
        self.alerts.extend(more.alerts);
        self.poison.extend(more.poison);
        self
    }

    fn record(&mut self, shard: &mut Shard, rng: &mut Rng) {
        if rng.u8(..) < 8 {
            self.poison.insert(shard.put(STANDARD.encode("no gzip")));
            return;
        }
        let lines = (0..rng.usize(1..=8))
            .map(|_| (format!("{:032x}", rng.u128(..)), LINES[rng.usize(..LINES.len())]));
        let lines: Vec<_> = lines.collect();
        let texts = lines
            .iter()
            .map(|(id, (marker, _))| (id.as_str(), format!("{marker} order {id} failed")));
        let data = mapping::data(&shard.name, texts);
        // A producer writes a record again when the answer was lost.
        if rng.u8(..) < 32 {
            shard.put(data.clone());
        }
        shard.put(data);
        let alerts = lines.into_iter().filter(|(_, (_, routes))| !routes.is_empty());
        self.alerts.extend(alerts.map(|(id, (_, routes))| {
            (id, routes.iter().map(|route| (*route).to_owned()).collect())
        }));
    }
}

/// Writes to a shard and lets consumers read it, until enough functions were killed and all records
/// are acknowledged.
async fn feed(deployment: &Deployment, number: usize, mut rng: Rng, outages: &Outages) -> Fed {
    let (mut shard, mut fed) = (Shard::new(format!("shardId-{number:012}")), Fed::default());
    loop {
        if shard.is_done() {
            let enough = killed(&deployment.consumers) >= CONSUMERS_KILLED && outages.are_over();
            if enough && killed(&deployment.notifiers) >= NOTIFIERS_KILLED {
                return fed;
            }
            (0..rng.usize(1..=6)).for_each(|_| fed.record(&mut shard, &mut rng));
        }
        let dies = consumer_dies(deployment, &mut rng);
        shard.poll(&deployment.consumers, &mut rng, dies).await;
        // The pace of the log. Nothing is awaited here.
        sleep(Duration::from_millis(rng.u64(..200))).await;
    }
}

/// Invokes a notifier with due messages.
async fn serve(deployment: &Deployment, notifier: &Function, mut rng: Rng, at_rest: &AtomicBool) {
    while !at_rest.load(Ordering::SeqCst) {
        let dies = notifier_dies(deployment, &mut rng);
        deployment.due.poll(notifier, dies).await;
    }
}

/// The schedule of the sweep, in seconds instead of minutes.
async fn sweep(deployment: &Deployment, mut rng: Rng, at_rest: &AtomicBool) {
    while !at_rest.load(Ordering::SeqCst) {
        let notifier = &deployment.notifiers[rng.usize(..deployment.notifiers.len())];
        notifier.invoke(&json!({"stentor": "sweep"}), notifier_dies(deployment, &mut rng)).await;
        sleep(Duration::from_millis(500)).await;
    }
}

// ---- The results --------------------------------------------------------------------

fn soon() -> Deadline {
    Deadline::after(SystemClock.now(), Duration::from_secs(20))
}

fn name(route: &str) -> RouteName {
    route.parse().unwrap()
}

async fn until_at_rest(deployment: &Deployment, store: &impl Store) {
    let began = Instant::now();
    while let Some(why) = restless(deployment, store).await {
        assert!(began.elapsed() < REST_MAX, "it does not finish: {why}");
        sleep(Duration::from_millis(200)).await;
    }
}

/// What is unfinished, if anything: an open or closing window, a target that is owed an epoch, a
/// due message.
async fn restless(deployment: &Deployment, store: &impl Store) -> Option<String> {
    for route in ROUTES {
        let cursor = store.cursor(&name(route), soon()).await.unwrap();
        if cursor.open.is_some()
            || cursor.closing.is_some()
            || cursor.burst.is_some()
            || cursor.epoch != cursor.sealed
        {
            return Some(format!("{route} is at {cursor:?}"));
        }
        if !store.tallies(&name(route), None, usize::MAX, soon()).await.unwrap().tallies.is_empty()
        {
            return Some(format!("{route} has tallies"));
        }
        for target in cursor.targets.keys() {
            let state = store.target(&name(route), Recipient::Own(target), soon()).await.unwrap();
            if state.offset != Some(cursor.sealed) {
                return Some(format!("{target} of {route} is at {state:?} of {}", cursor.sealed));
            }
        }
    }
    let due = deployment.due_messages().await;
    (due > 0).then(|| format!("{due} due messages are left"))
}

/// The event id and the routes of each row.
async fn rows(deployment: &Deployment) -> BTreeMap<String, BTreeSet<String>> {
    let store = &deployment.surroundings.store;
    let scan = store.client().scan().table_name(&store.tables().alerts).consistent_read(true);
    let rows = scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.unwrap();
    let row = |row: &HashMap<String, aws_sdk_dynamodb::types::AttributeValue>| {
        let routes =
            row["routes"].as_l().unwrap().iter().map(|route| route.as_s().unwrap().clone());
        let (event_id, _hash) = row["log_id"].as_s().unwrap().rsplit_once('-').unwrap();
        (event_id.to_owned(), routes.collect())
    };
    let ids: BTreeMap<_, _> = rows.iter().map(row).collect();
    assert_eq!(ids.len(), rows.len(), "no alert has two rows");
    ids
}

async fn epochs(store: &impl Store, route: &str) -> Vec<Epoch> {
    let cursor = store.cursor(&name(route), soon()).await.unwrap();
    store.epochs(&name(route), 0, cursor.epoch, usize::MAX, soon()).await.unwrap()
}

/// Checks that each target received each epoch with its exact count, and none twice unless a crash
/// or a lost answer excuses it. Returns the number of repetitions.
fn check_told(route: &str, epochs: &[Epoch], accepted: &[(Post, bool)]) -> usize {
    let targets: BTreeSet<&Target> = epochs.iter().flat_map(|epoch| &epoch.owed).collect();
    let mut repeats = 0;
    for target in targets {
        let of_target =
            |(post, _): &&(Post, bool)| post.route == route && post.target == target.to_string();
        let posts: Vec<&(Post, bool)> = accepted.iter().filter(of_target).collect();
        for (post, _) in &posts {
            let delivered = epochs
                .iter()
                .filter(|epoch| post.tells(epoch.number))
                .map(|epoch| epoch.tally.alerts);
            assert_eq!(post.alerts, delivered.sum::<u64>(), "{post:?}");
        }
        for epoch in epochs {
            let tellings = posts.iter().filter(|(post, _)| post.tells(epoch.number));
            let acknowledged = tellings.clone().filter(|(_, is_settled)| *is_settled).count();
            let delivered = tellings.count();
            assert!(delivered > 0, "{target} did not receive epoch {} of {route}", epoch.number);
            assert!(
                acknowledged <= 1,
                "{target} received epoch {} of {route} again without a fault",
                epoch.number
            );
            repeats += delivered - 1;
        }
    }
    repeats
}

/// The messages that Slack shows, each with whether its function received the answer and survived
/// to acknowledge it, in a store that was there.
fn accepted(deployment: &Deployment, outages: &Outages) -> Vec<(Post, bool)> {
    let posts: Vec<Post> = deployment.slack.posts().into_iter().filter(Post::is_accepted).collect();
    let mut judged = Vec::new();
    for notifier in &deployment.notifiers {
        let invocations = notifier.invocations(<[_]>::to_vec);
        let summaries = notifier.summaries();
        for (at, invocation) in invocations.iter().enumerate() {
            let next = invocations.get(at + 1).map(|next| next.began);
            let of_it = |post: &&Post| {
                let during =
                    invocation.began <= post.arrived && next.is_none_or(|next| post.arrived < next);
                post.function == notifier.name && during
            };
            let of_it: Vec<&Post> = posts.iter().filter(of_it).collect();
            let heard =
                summaries.get(&invocation.request_id).map(|summary| &summary["messages_accepted"]);
            let is_settled = matches!(invocation.outcome, Outcome::Answered(_))
                && heard == Some(&json!(of_it.len()))
                && !outages.overlap(invocation.began, next);
            judged.extend(of_it.into_iter().map(|post| (post.clone(), is_settled)));
        }
    }
    assert_eq!(judged.len(), posts.len(), "each message was posted in some invocation");
    judged
}
