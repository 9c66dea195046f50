//! What does a commit cost on each engine? In one run: the time and the round trips of a batch of new
//! alerts, of the same batch again, and of one of which half is new; next to the client, and a round trip
//! of two milliseconds away. (Guess: on PostgreSQL the disk decides; on DynamoDB the number of requests.)
//!
//! `cargo run --profile dist --features lambda --example engines` prints a table; a number behind `--` is
//! the count of alerts. It needs a PostgreSQL server, which it starts itself with `fsync` on, as in
//! production. DynamoDB Local takes part if Java and npm are there.

#![allow(clippy::unwrap_used, reason = "a bench stops at the first surprise")]
#![allow(dead_code, reason = "it uses a part of what the tests share")]

#[path = "../tests/support/engines.rs"]
mod engines;
#[path = "support/flood.rs"]
mod flood;
#[path = "../tests/support/postgres.rs"]
mod postgres;
#[path = "../tests/support/tcp.rs"]
mod tcp;

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use engines::{EngineKind, TestEngine};
use flood::{alerts, record};
use postgres::{PostgresDatabase, PostgresServer};
use stentor::adapters::aws::loopback;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::adapters::dynamodb::{DynamoStore, Tables};
use stentor::adapters::postgres::{PostgresSettings, PostgresStore};
use stentor::config::Config;
use stentor::ingest::route::Routes;
use stentor::model::alert::{Alert, AlertId};
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::{Commit, Store as _};
use tcp::TcpProxy;

const BATCHES: usize = 5;

#[tokio::main]
async fn main() {
    let count = std::env::args().filter_map(|argument| argument.parse().ok()).next();
    let count = count.unwrap_or(2_000);
    let routes = Routes::new(&Config::builtin()).unwrap();
    let record = record(count, 600);
    let alerts = alerts(&routes, &record);
    println!("{count} alerts of 600 bytes; the median of {BATCHES} batches\n");
    println!(
        "| engine | away | new: ms | alerts/s | round trips | again: ms | round trips | half new: ms | round trips |"
    );
    println!("|---|---|---|---|---|---|---|---|---|");
    let java = std::process::Command::new("java").arg("-version").output().is_ok();
    let local = java.then_some(EngineKind::DynamoDbLocal);
    for kind in [EngineKind::Dynoxide, EngineKind::Postgres].into_iter().chain(local) {
        for away in [Duration::ZERO, Duration::from_millis(2)] {
            let (engine, proxy) = far(kind, away).await;
            let store = store(&engine, proxy.port());
            measure(&format!("{kind:?} | {} ms", away.as_millis()), &store, &proxy, &alerts).await;
        }
    }
}

async fn far(kind: EngineKind, away: Duration) -> (TestEngine, TcpProxy) {
    let engine = match kind {
        EngineKind::Postgres => TestEngine::Postgres(durable()),
        kind => TestEngine::start(kind).await,
    };
    engine.store().await;
    let port = match &engine {
        TestEngine::Dynoxide(engine) => engine.address().port(),
        TestEngine::DynamoDbLocal(_) => engines::dynamodb_local_port(),
        TestEngine::Postgres(database) => database.port,
    };
    (engine, TcpProxy::start_far(port, away).await)
}

/// A database on a server that writes as in production.
fn durable() -> PostgresDatabase {
    static SERVER: OnceLock<PostgresServer> = OnceLock::new();
    static DATABASES: AtomicU32 = AtomicU32::new(0);
    let server = SERVER.get_or_init(|| PostgresServer::start_with(&["fsync=on"]));
    let name = format!("bench_{}", DATABASES.fetch_add(1, Ordering::Relaxed));
    server.create(&name, None);
    server.migrate(&name);
    PostgresDatabase { name, port: server.port }
}

fn store(engine: &TestEngine, port: u16) -> Database {
    let dynamo = |tables: &Tables| {
        let config = loopback(&format!("http://127.0.0.1:{port}"));
        DynamoStore::new(&config, tables.clone(), SystemClock, fastrand::Rng::new()).into()
    };
    match engine {
        TestEngine::Dynoxide(_) => dynamo(&Tables::default()),
        TestEngine::DynamoDbLocal(tables) => dynamo(tables),
        TestEngine::Postgres(database) => {
            let url = postgres::url(port, &database.name);
            let settings = PostgresSettings::parse(&url, None).unwrap();
            PostgresStore::new(settings, SystemClock, fastrand::Rng::new()).into()
        }
    }
}

/// The alerts under other ids, which are numbered: ranges that overlap have ids in common.
fn named(alerts: &[Alert], from: usize) -> Vec<Alert> {
    let name = |(n, alert): (usize, &Alert)| Alert {
        id: AlertId::from(format!("{:056}-0123456789abcdef", from + n)),
        ..alert.clone()
    };
    alerts.iter().enumerate().map(name).collect()
}

async fn measure(name: &str, store: &Database, proxy: &TcpProxy, alerts: &[Alert]) {
    // The first one also connects.
    committed(store, proxy, &named(&alerts[..1], usize::MAX / 2), 1).await;
    let count = alerts.len();
    let mut cells = Vec::new();
    for step in 0..3 {
        let mut took = Vec::new();
        for batch in 0..BATCHES {
            let first = batch * 2 * count + if step == 2 { count / 2 } else { 0 };
            let expected = [count, 0, count - count / 2][step];
            took.push(committed(store, proxy, &named(alerts, first), expected).await);
        }
        took.sort_by_key(|(time, _)| *time);
        cells.push(took[BATCHES / 2]);
    }
    let ms = |(time, _): (Duration, u64)| time.as_secs_f64() * 1000.0;
    let [new, again, half] = cells[..] else { unreachable!("three steps") };
    println!(
        "| {name} | {:.0} | {:.0} | {} | {:.0} | {} | {:.0} | {} |",
        ms(new),
        count as f64 / new.0.as_secs_f64(),
        new.1,
        ms(again),
        again.1,
        ms(half),
        half.1
    );
}

async fn committed(
    store: &Database,
    proxy: &TcpProxy,
    alerts: &[Alert],
    expected: usize,
) -> (Duration, u64) {
    let (before, started) = (proxy.round_trips(), Instant::now());
    let deadline = Deadline::after(SystemClock.now(), Duration::from_secs(120));
    let commits = store.commit(alerts, deadline).await;
    let took = (started.elapsed(), proxy.round_trips() - before);
    let fresh = commits.iter().filter(|commit| **commit == Commit::Fresh).count();
    assert_eq!(fresh, expected, "{:?}", commits.first());
    took
}
