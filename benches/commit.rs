//! What does a commit of 10,000 alerts cost? Two tables: what is taken from the heap for each
//! alert, and how long it takes with so many transactions in flight. (Guess: a message is copied
//! once for the alert and once for the request; more in flight helps until the client has its hands
//! full or the table refuses, whichever comes first.)
//!
//! `cargo run --profile dist --features lambda --example commit` prints both; a number behind `--`
//! is the count of alerts.

#![allow(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

#[path = "support/connector.rs"]
mod connector;
#[path = "support/counting.rs"]
mod counting;
#[path = "support/flood.rs"]
mod flood;

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use connector::{Way, store};
use counting::{Asked, Counting};
use flood::{alerts, record};
use stentor::adapters::clock::SystemClock;
use stentor::adapters::embedded::Embedded;
use stentor::config::Config;
use stentor::ingest::route::Routes;
use stentor::model::alert::Alert;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::{Commit, Store as _};

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const NOWHERE: &str = "http://127.0.0.1:9";
const IN_FLIGHT: [usize; 6] = [1, 2, 4, 8, 16, 32];

#[tokio::main(flavor = "current_thread")]
async fn main() {
    let count =
        std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(10_000);
    heap(count).await;
    in_flight(count).await;
}

fn soon() -> Deadline {
    Deadline::after(SystemClock.now(), Duration::from_secs(600))
}

fn routes() -> Routes {
    Routes::new(&Config::builtin()).unwrap()
}

/// The allocations of each step for an alert, by the size of the message. Bytes that grow with the
/// message are copies of it; a tally holds only short messages as a whole.
async fn heap(count: usize) {
    const BYTES: [usize; 3] = [1_000, 4_000, 8_000];
    const STEPS: [&str; 3] =
        ["decoded event to alert", "alert to request", "the same, refused once and sent again"];
    let mut asked = [[Asked::until_now(); BYTES.len()]; STEPS.len()];
    for (size, bytes) in BYTES.into_iter().enumerate() {
        let (routes, record) = (routes(), record(count, bytes));
        // The first time the searches also make their caches.
        drop(alerts(&routes, &record));
        let before = Asked::until_now();
        let alerts = alerts(&routes, &record);
        asked[0][size] = Asked::since(before);
        for (step, refuses_once) in [(1, false), (2, true)] {
            let way = Way { answers: true, refuses_once, ..Way::default() };
            asked[step][size] = committed(&way, &alerts).await;
        }
    }
    println!(
        "| for each alert | allocations | bytes, message of 1,000 | of 4,000 | of 8,000 | copies of the message |"
    );
    println!("|---|---|---|---|---|---|");
    let each = |asked: usize| asked as f64 / count as f64;
    for (step, asked) in STEPS.iter().zip(asked) {
        let [short, long, longer] = asked.map(|asked| each(asked.bytes));
        let copies = (longer - long) / (BYTES[2] - BYTES[1]) as f64;
        let times = each(asked[0].times);
        println!("| {step} | {times:.1} | {short:.0} | {long:.0} | {longer:.0} | {copies:.2} |");
    }
}

async fn committed(way: &Way, alerts: &[Alert]) -> Asked {
    let store = store(way, NOWHERE);
    // The first call also sets up the client.
    store.commit(&alerts[..1], soon()).await;
    let before = Asked::until_now();
    let commits = store.commit(alerts, soon()).await;
    let asked = Asked::since(before);
    assert!(commits.iter().all(|commit| *commit == Commit::Fresh));
    asked
}

/// How long the commit takes, by the number of transactions in flight and by who stands behind the
/// store.
async fn in_flight(count: usize) {
    let alerts = alerts(&routes(), &record(count, 600));
    let far = |ms| Way { answers: true, latency: Duration::from_millis(ms), ..Way::default() };
    let table = Way { units_per_second: Some(4_000.0), ..far(15) };
    println!(
        "\n| in flight | engine | engine, 15 ms away | 5 ms | 15 ms | 60 ms | 15 ms, 4,000 units/s | refused of sent |"
    );
    println!("|---|---|---|---|---|---|---|---|");
    for in_flight in IN_FLIGHT {
        let here = on_engine(&Way::default(), &alerts, in_flight).await;
        let near = on_engine(
            &Way { latency: Duration::from_millis(15), ..Way::default() },
            &alerts,
            in_flight,
        )
        .await;
        let mut cells = vec![here, near];
        for way in [far(5), far(15), far(60), table.clone()] {
            cells.push(timed(&way, NOWHERE, &alerts, in_flight).await);
        }
        let cells: Vec<String> =
            cells.iter().map(|took| format!("{:.2} s", took.as_secs_f64())).collect();
        let seen = |count: &std::sync::atomic::AtomicU64| count.swap(0, Ordering::Relaxed);
        let (sent, refused) = (seen(&table.seen.transactions), seen(&table.seen.refused));
        println!("| {in_flight} | {} | {refused} of {sent} |", cells.join(" | "));
    }
}

async fn on_engine(way: &Way, alerts: &[Alert], in_flight: usize) -> Duration {
    // In a runtime of its own, as it is a process of its own elsewhere.
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let engine = runtime.spawn(async {
        let engine = Embedded::start(None).await.unwrap();
        engine.store().await.unwrap();
        engine
    });
    let engine = engine.await.unwrap();
    let took = timed(way, &engine.endpoint(), alerts, in_flight).await;
    runtime.shutdown_background();
    took
}

async fn timed(way: &Way, endpoint: &str, alerts: &[Alert], in_flight: usize) -> Duration {
    let store = store(way, endpoint).with_in_flight(in_flight);
    let started = Instant::now();
    let commits = store.commit(alerts, soon()).await;
    let took = started.elapsed();
    assert!(commits.iter().all(|commit| *commit == Commit::Fresh));
    took
}
