//! Measures. All ways run in turn, round after round, so that a machine that slows down slows all of
//! them. Heap is what the allocator below counts; the memory of a process is what the kernel says of a
//! child that handled the payload once.

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicIsize, Ordering};
use std::time::{Duration, Instant};

use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::table::BY_HOUR_COLUMNS;
use stentor::adapters::embedded::Embedded;
use stentor::ingest::decode;
use stentor::ingest::event::{self, Data};
use stentor::ingest::route::Routes;
use stentor::model::alert::Alert;
use stentor::model::tally::Tally;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::{Commit, Store as _};

use crate::child::Child;
use crate::figures::{Cost, Figures, Invocation, Machine, Point, Stored, Threads};
use crate::support::{Found, Inflate, decoded_bytes, miniz, naive, payload, pool, routes, stentor as scan};

/// Log events in a record.
const EVENTS: usize = 1_000;

/// Records in an invocation; the last come near the 6 MB that Lambda hands over.
const RECORDS: [usize; 7] = [1, 2, 4, 8, 16, 32, 68];
const FULL: usize = 68;

const RATIOS: [f64; 7] = [0.0, 0.001, 0.01, 0.05, 0.2, 0.5, 1.0];

/// Of the invocations whose size or threads change: nearly nothing matches, as on a good day.
const QUIET: f64 = 0.001;

/// Kept to what an engine in memory commits in seconds; what a commit writes grows with the alerts.
const STORED: [f64; 3] = [0.001, 0.01, 0.05];

/// Freezing takes so many tallies into an epoch.
const TALLIES_PER_EPOCH: usize = 97;

/// The system's allocator, which keeps the books while it is told to; at other times it costs a glance at a flag.
pub struct Counting;

static COUNTS: AtomicBool = AtomicBool::new(false);
static HELD: AtomicIsize = AtomicIsize::new(0);
static PEAK: AtomicIsize = AtomicIsize::new(0);

// SAFETY: every call goes to the system's allocator as it came in.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        if COUNTS.load(Ordering::Relaxed) {
            let size = layout.size().cast_signed();
            PEAK.fetch_max(HELD.fetch_add(size, Ordering::Relaxed) + size, Ordering::Relaxed);
        }
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        if COUNTS.load(Ordering::Relaxed) {
            HELD.fetch_sub(layout.size().cast_signed(), Ordering::Relaxed);
        }
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

/// The most that `run` held at once beyond what was held before.
fn peak_of<T>(run: impl FnOnce() -> T) -> u64 {
    HELD.store(0, Ordering::Relaxed);
    PEAK.store(0, Ordering::Relaxed);
    COUNTS.store(true, Ordering::Relaxed);
    drop(black_box(run()));
    COUNTS.store(false, Ordering::Relaxed);
    PEAK.load(Ordering::Relaxed).unsigned_abs() as u64
}

pub fn all(rounds: usize) -> Figures {
    let load_before = load();
    let logs = RECORDS.iter().map(|records| point(*records, QUIET, rounds)).collect();
    let matches = RATIOS.iter().map(|ratio| point(FULL, *ratio, rounds)).collect();
    let shapes: [(&str, &[(usize, usize)]); 2] =
        [("68 records of 1,000 log events", &[(FULL, EVENTS)]), ("10 records of 7,000 log events", &[(10, 7_000)])];
    let threads = shapes.iter().flat_map(|(shape, parts)| threads(shape, parts, rounds)).collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().expect("a runtime");
    let store = STORED.iter().map(|ratio| runtime.block_on(stored(*ratio))).collect();
    let machine = Machine { processor: processor(), cores: cores(), load_before, load_after: load() };
    Figures { machine, rounds, logs, threads, matches, store }
}

fn cores() -> usize {
    std::thread::available_parallelism().expect("a number").get()
}

fn processor() -> String {
    let text = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = text.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    name.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn load() -> f64 {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split_whitespace().next().and_then(|load| load.parse().ok()).unwrap_or_default()
}

fn point(records: usize, match_ratio: f64, rounds: usize) -> Point {
    let text = payload(&[(records, EVENTS)], match_ratio);
    let file = scratch(&text);
    let (routes, one) = (routes(), pool(1));
    let mut inflate = Inflate::of(&text);
    let mut python = Child::python(&file);
    let expected = naive(&text, miniz);
    assert_eq!(one.install(|| scan(&routes, routes.decoder(), &text)), expected);
    assert_eq!(python.found, expected);
    let mut times = [const { Vec::new() }; 5];
    for _ in 0..rounds {
        let round = [
            time(|| one.install(|| alerts(&routes, &text))),
            time(|| one.install(|| scan(&routes, routes.decoder(), &text))),
            time(|| naive(&text, miniz)),
            python.retry(),
            time(|| inflate.run()),
        ];
        times.iter_mut().zip(round).for_each(|(times, time)| times.push(time));
    }
    let [stentor_ms, finds_ms, naive_ms, python_ms, inflate_ms] = times.map(median_ms);
    let point = Point {
        invocation: invocation(&text, expected, match_ratio),
        stentor: Cost {
            ms: stentor_ms,
            heap_bytes: Some(heap(1, || alerts(&routes, &text))),
            process_bytes: rust("stentor", &file).peak_bytes(),
        },
        stentor_finds: Cost {
            ms: finds_ms,
            heap_bytes: Some(heap(1, || scan(&routes, routes.decoder(), &text))),
            process_bytes: rust("stentor-finds", &file).peak_bytes(),
        },
        naive: Cost {
            ms: naive_ms,
            heap_bytes: Some(peak_of(|| naive(&text, miniz))),
            process_bytes: rust("naive", &file).peak_bytes(),
        },
        python: Cost { ms: python_ms, heap_bytes: None, process_bytes: Child::python(&file).peak_bytes() },
        inflate_ms,
    };
    eprintln!("{records} records, {} %: {point:?}", match_ratio * 100.0);
    point
}

/// A pool of its own: workers keep their buffers, and those belong to the invocation, too.
fn heap<T: Send>(threads: usize, run: impl FnOnce() -> T + Send) -> u64 {
    let fresh = pool(threads);
    peak_of(|| fresh.install(run))
}

fn invocation(text: &str, found: Found, match_ratio: f64) -> Invocation {
    let batch = event::parse(text, "bench").expect("a payload");
    let gzip: Vec<u64> = batch.records.iter().map(|record| gzip_bytes(&record.data)).collect();
    Invocation {
        records: gzip.len() as u64,
        events: found.events,
        match_ratio,
        payload_bytes: text.len() as u64,
        gzip_bytes: gzip.iter().sum(),
        decoded_bytes: decoded_bytes(text),
        kinesis_kib: gzip.iter().map(|bytes| bytes.div_ceil(1024)).sum(),
        put_units: gzip.iter().map(|bytes| bytes.div_ceil(25_000)).sum(),
    }
}

fn gzip_bytes(data: &Data<'_>) -> u64 {
    match data {
        Data::Base64(text) => (text.len() / 4 * 3 - text.bytes().rev().take_while(|byte| *byte == b'=').count()) as u64,
        other => panic!("{other:?}"),
    }
}

fn threads(shape: &str, parts: &[(usize, usize)], rounds: usize) -> Vec<Threads> {
    let text = payload(parts, QUIET);
    let routes = routes();
    // Four threads on two cores would say something about the scheduler.
    let counts: Vec<usize> = [1, 2, 4].into_iter().filter(|count| *count <= cores()).collect();
    let pools: Vec<_> = counts.iter().map(|count| pool(*count)).collect();
    let mut times = vec![Vec::new(); pools.len()];
    for _ in 0..rounds {
        for (times, pool) in times.iter_mut().zip(&pools) {
            times.push(time(|| pool.install(|| alerts(&routes, &text))));
        }
    }
    let of = |(threads, times)| Threads {
        shape: shape.to_owned(),
        threads,
        ms: median_ms(times),
        heap_bytes: heap(threads, || alerts(&routes, &text)),
    };
    counts.into_iter().zip(times).map(of).collect()
}

fn time<T>(run: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    black_box(run());
    started.elapsed()
}

fn median_ms(mut times: Vec<Duration>) -> f64 {
    times.sort();
    (times[times.len() / 2].as_secs_f64() * 1e6).round() / 1e3
}

/// Commits the alerts of an invocation to an empty store, through the production code, and looks at what lies there.
async fn stored(match_ratio: f64) -> Stored {
    let text = payload(&[(FULL, EVENTS)], match_ratio);
    let (events, alerts) = alerts(&routes(), &text);
    let engine = Embedded::start(None).await.expect("an engine");
    let store = engine.store().await.expect("its tables");
    let commits = store.commit(&alerts, Deadline::after(SystemClock.now(), Duration::from_secs(300))).await;
    assert!(commits.iter().all(|commit| matches!(commit, Commit::Fresh)));
    let rows = items(&store, &store.tables().alerts).await;
    let tallies = items(&store, &store.tables().outbox).await;
    let row = |item: &Item| item.iter().map(bytes).sum();
    let indexed = |item: &Item| {
        let carried = |name: &str| ["log_id", "hour", "timestamp"].contains(&name) || BY_HOUR_COLUMNS.contains(&name);
        item.iter().filter(|(name, _)| carried(name)).map(bytes).sum()
    };
    let parsed: Vec<Tally> = tallies
        .iter()
        .take(TALLIES_PER_EPOCH)
        .map(|item| serde_json::from_str(item["tally"].as_s().expect("text")).expect("a tally"))
        .collect();
    let epoch = serde_json::to_vec(&Tally::sum(&parsed)).expect("plain data").len();
    Stored {
        match_ratio,
        events,
        decoded_bytes: decoded_bytes(&text),
        alerts: rows.len() as u64,
        row_bytes: rows.iter().map(row).sum::<usize>() as u64,
        index_bytes: rows.iter().map(indexed).sum::<usize>() as u64,
        row_kib: rows.iter().map(row).map(kib).sum(),
        index_kib: rows.iter().map(indexed).map(kib).sum(),
        tallies: tallies.len() as u64,
        tally_kib: tallies.iter().map(row).map(kib).sum(),
        epoch_kib: kib(epoch),
    }
}

/// Log events in all, and the alerts among them, as `consume` has them before it commits.
fn alerts(routes: &Routes, text: &str) -> (u64, Vec<Alert>) {
    let batch = event::parse(text, "bench").expect("a payload");
    let read = decode::all(&batch.records, routes.decoder(), |record, head, events| {
        routes.scan(head, events, record.region.as_deref(), &record.event_id)
    });
    let read: Vec<_> = read.into_iter().map(|record| record.content.expect("data")).collect();
    (read.iter().map(|record| record.events).sum(), read.into_iter().flat_map(|record| record.alerts).collect())
}

type Item = std::collections::HashMap<String, aws_sdk_dynamodb::types::AttributeValue>;

async fn items(store: &stentor::adapters::dynamodb::DynamoStore, table: &str) -> Vec<Item> {
    let pages = store.client().scan().table_name(table).into_paginator().items().send();
    pages.collect::<Result<_, _>>().await.expect("a scan")
}

/// Name and value, as DynamoDB counts them.
fn bytes((name, value): (&String, &aws_sdk_dynamodb::types::AttributeValue)) -> usize {
    use aws_sdk_dynamodb::types::AttributeValue as Value;
    fn of(value: &Value) -> usize {
        match value {
            Value::S(text) => text.len(),
            Value::N(digits) => digits.len().div_ceil(2) + 1,
            Value::L(list) => 3 + list.iter().map(|value| 1 + of(value)).sum::<usize>(),
            Value::Bool(_) => 1,
            other => panic!("{other:?}"),
        }
    }
    name.len() + of(value)
}

fn kib(bytes: usize) -> u64 {
    bytes.div_ceil(1024) as u64
}

/// The payload as a file, for children.
fn scratch(text: &str) -> PathBuf {
    let file = std::env::temp_dir().join(format!("stentor-growth-{}.json", std::process::id()));
    std::fs::write(&file, text).expect("a scratch file");
    file
}

/// Handles the payload of `file` once, says what it found, and waits for the end of its input, as `handler.py` does.
pub fn child(way: &str, file: &str) {
    let text = std::fs::read_to_string(file).expect("a payload");
    let routes = routes();
    let found = match way {
        "stentor" => {
            let (events, alerts) = pool(1).install(|| alerts(&routes, &text));
            let bytes = alerts.iter().map(|alert| alert.message.len() as u64).sum();
            Found { events, matched: alerts.len() as u64, bytes }
        }
        "stentor-finds" => pool(1).install(|| scan(&routes, routes.decoder(), &text)),
        "naive" => naive(&text, miniz),
        other => panic!("no way is called {other}"),
    };
    println!("{} {} {}", found.events, found.matched, found.bytes);
    let _ = std::io::stdin().read_line(&mut String::new());
}

/// This program as a child that handles a payload in one way.
fn rust(way: &str, file: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().expect("this program"));
    Child::start(command.arg("child").arg(way).arg(file))
}
