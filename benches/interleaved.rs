//! How many times as fast as naive Rust is each way through an invocation, and how near to the
//! limit?
//!
//! All ways run in turn, round after round, so that a machine that slows down slows all of them;
//! each cell is the ratio of medians. `cargo bench --bench interleaved` prints a table for each
//! kind of logs; a number behind `--` is the count of rounds (default 15).

#[path = "support/child.rs"]
mod child;
#[path = "support/mod.rs"]
mod support;

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use child::Child;
use support::{
    Inflate, LOGS, Logs, RATIOS, decoded_bytes, miniz, naive, payload_of, pool, routes, stentor,
    strict, zlib_rs,
};

const WAYS: [&str; 7] = [
    "naive Rust (miniz)",
    "naive Rust on zlib-rs",
    "Python handler",
    "Stentor, `strict = true`",
    "Stentor",
    "Stentor, two threads",
    "inflate alone (libdeflate, hot buffer): the limit",
];
const NAIVE: usize = 0;
const STENTOR: usize = 4;
const TWO_THREADS: usize = 5;
const LIMIT: usize = 6;
const PYTHON: usize = 2;

fn main() {
    let rounds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(15);
    LOGS.iter().for_each(|logs| table(logs, rounds));
}

fn table(logs: &Logs, rounds: usize) {
    let columns: Vec<_> = logs
        .shapes
        .iter()
        .flat_map(|(name, parts)| RATIOS.map(|ratio| (*name, *parts, ratio)))
        .collect();
    let mut medians = Vec::new();
    for (name, parts, ratio) in &columns {
        let text = payload_of(logs.per_request, parts, *ratio);
        let (payload, decoded) = (text.len() as f64 / 1e6, decoded_bytes(&text) as f64 / 1e6);
        eprintln!(
            "{}, {name} {} %: {payload:.1} MB of payload, {decoded:.1} MB of logs",
            logs.name,
            ratio * 100.0
        );
        medians.push(measure(&text, rounds));
    }
    println!("\n{}:\n", logs.name);
    let header: Vec<String> =
        columns.iter().map(|(name, _, ratio)| format!("{name} {} %", ratio * 100.0)).collect();
    println!(
        "| as fast as naive Rust, times | {} |\n|---|{}",
        header.join(" | "),
        "---|".repeat(header.len())
    );
    for (way, name) in WAYS.iter().enumerate() {
        row(name, &medians, |all| format!("{:.2}", all[NAIVE] / all[way]));
    }
    row("Stentor, share of the limit", &medians, |all| {
        format!("{:.0} %", 100.0 * all[LIMIT] / all[STENTOR])
    });
    row("Stentor, times the Python handler", &medians, |all| {
        format!("{:.1}", all[PYTHON] / all[STENTOR])
    });
    row("two threads, times one", &medians, |all| {
        format!("{:.2}", all[STENTOR] / all[TWO_THREADS])
    });
    row("Stentor, ms", &medians, |all| format!("{:.1}", all[STENTOR]));
    row("the limit, ms", &medians, |all| format!("{:.1}", all[LIMIT]));
}

fn row(name: &str, medians: &[[f64; WAYS.len()]], cell: impl Fn(&[f64; WAYS.len()]) -> String) {
    let cells: Vec<String> = medians.iter().map(cell).collect();
    println!("| {name} | {} |", cells.join(" | "));
}

/// The median of each way, in milliseconds.
fn measure(payload: &str, rounds: usize) -> [f64; WAYS.len()] {
    let routes = routes();
    let (strict, quick) = (strict(&routes), routes.decoder().clone());
    let (one, two) = (pool(1), pool(2));
    let mut inflate = Inflate::of(payload);
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("interleaved.json");
    std::fs::write(&file, payload).expect("a scratch file");
    let mut python = Child::python(&file);
    let expected = naive(payload, miniz);
    assert_eq!(one.install(|| stentor(&routes, &quick, payload)), expected);
    assert_eq!(python.found, expected);
    let mut times = [const { Vec::new() }; WAYS.len()];
    for _ in 0..rounds {
        let round = [
            time(|| naive(payload, miniz)),
            time(|| naive(payload, zlib_rs)),
            python.retry(),
            time(|| one.install(|| stentor(&routes, &strict, payload))),
            time(|| one.install(|| stentor(&routes, &quick, payload))),
            time(|| two.install(|| stentor(&routes, &quick, payload))),
            time(|| inflate.run()),
        ];
        times.iter_mut().zip(round).for_each(|(times, time)| times.push(time.as_secs_f64() * 1e3));
    }
    times.map(|mut times| {
        times.sort_by(f64::total_cmp);
        times[times.len() / 2]
    })
}

fn time<T>(run: impl FnOnce() -> T) -> Duration {
    let started = Instant::now();
    black_box(run());
    started.elapsed()
}
