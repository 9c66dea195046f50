//! A simulation of the protocol: thousands of schedules in virtual time run the production
//! `consume`, `close` and `notify` with every known fault of the platform. A ledger records all
//! effects.
//!
//! `STENTOR_SIM_SEEDS=n` sets the number of schedules. `STENTOR_SIM_SEED=s` runs one and prints its
//! history.

use std::env;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

mod dead_letters;
mod engine;
mod executor;
mod floods;
mod histories;
mod jira;
mod ledger;
mod month;
mod pagerduty;
mod plan;
mod process;
mod queue;
mod schedule;
mod services;
mod thresholds;

use crate::support::engines::{self, EngineKind};
use plan::{Faults, Mutation, Plan};
use schedule::{Verdict, run};

const SEEDS: u64 = 20_000;

fn number(name: &str) -> Option<u64> {
    env::var(name)
        .ok()
        .map(|text| text.parse().unwrap_or_else(|_| panic!("{name} is no number: {text}")))
}

/// Runs `seeds` schedules on all processors, until one has violations. Returns the lowest such seed
/// that ran, with its violations.
fn search(seeds: u64, mutation: Option<Mutation>) -> Option<(u64, Verdict)> {
    let (next, found) = (AtomicU64::new(0), Mutex::new(None::<(u64, Verdict)>));
    let work = || {
        // The library decodes in parallel; a schedule runs on one thread.
        let alone =
            rayon::ThreadPoolBuilder::new().num_threads(1).use_current_thread().build().unwrap();
        alone.install(|| {
            while found.lock().unwrap().is_none() {
                let seed = next.fetch_add(1, Ordering::Relaxed);
                if seed >= seeds {
                    return;
                }
                let verdict = run(Plan::of(seed, mutation), None, false);
                let mut found = found.lock().unwrap();
                if !verdict.violations.is_empty()
                    && found.as_ref().is_none_or(|(known, _)| seed < *known)
                {
                    *found = Some((seed, verdict));
                }
            }
        });
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(work))));
    found.into_inner().unwrap()
}

/// A simulator that finds nothing proves nothing, so it must find each planted mutation.
#[test]
fn every_mutation_is_caught() {
    for mutation in Mutation::ALL {
        let caught = search(SEEDS, Some(mutation));
        let (seed, verdict) = caught.unwrap_or_else(|| panic!("{mutation:?} was never caught"));
        println!("{mutation:?}: seed {seed}: {}", verdict.violations[0]);
    }
}

/// Fewer schedules, because the production stores are slower than the tables in memory.
fn on_production_store(kind: EngineKind) {
    for seed in 0..number("STENTOR_SIM_STORE_SEEDS").unwrap_or(24) {
        let verdict = run(Plan::of(seed, None), Some(kind), false);
        if !verdict.violations.is_empty() {
            fail(seed, &verdict);
        }
    }
}

#[test]
fn the_production_store_keeps_the_invariants() {
    on_production_store(EngineKind::Dynoxide);
}

#[test]
fn the_store_on_postgres_keeps_the_invariants() {
    on_production_store(EngineKind::Postgres);
}

#[test]
#[ignore = "needs Java and npm: tests/tools/conformance.py"]
fn the_store_on_dynamodb_local_keeps_the_invariants() {
    on_production_store(EngineKind::DynamoDbLocal);
}

/// An hour of constant alerts: the first message at once, then windows of 30, 60, 120, 240, 480 and
/// 600 s, and the final message. That is 1 + 5 that double + 5 of the longest + 1, and one that the
/// end of the hour may cut.
#[test]
fn an_hour_long_burst_is_a_dozen_messages() {
    let busy = Duration::from_secs(4_800);
    for seed in 0..20 {
        let quiet = Plan {
            faults: Faults::default(),
            inline: false,
            redeploy: false,
            mutes: false,
            ..Plan::of(seed, None)
        };
        let plan = Plan {
            configuration: 4,
            shards: 3,
            records: 400,
            steady: true,
            two_pollers: false,
            busy,
            ..quiet
        };
        let verdict = run(plan, None, false);
        if !verdict.violations.is_empty() {
            fail(seed, &verdict);
        }
        let messages = &verdict.messages;
        assert!(
            (10..=13).contains(&messages.len()),
            "seed {seed}: {} messages in an hour",
            messages.len()
        );
        let (last, rest) = messages.split_last().unwrap();
        assert!(
            last.ends_burst
                && last.tally.is_empty()
                && rest.iter().all(|digest| !digest.ends_burst),
            "seed {seed}: one final message"
        );
        let mut since_the_burst_began = 0;
        for (n, digest) in rest.iter().enumerate() {
            since_the_burst_began += digest.tally.alerts;
            let said = digest.burst.map(|burst| burst.alerts);
            assert_eq!(
                said,
                (n > 0).then_some(since_the_burst_began),
                "seed {seed}: total of message {n}"
            );
        }
        assert_eq!(last.burst.map(|burst| burst.alerts), Some(since_the_burst_began));
        assert_eq!(since_the_burst_began, verdict.rows as u64);
    }
}

fn fail(seed: u64, verdict: &Verdict) -> ! {
    panic!("STENTOR_SIM_SEED={seed}:\n  {}", verdict.violations.join("\n  "));
}

#[test]
fn every_schedule_keeps_the_invariants() {
    if let Some(seed) = number("STENTOR_SIM_SEED") {
        let verdict = run(Plan::of(seed, None), None, true);
        println!("{:#?}\n{}", Plan::of(seed, None), verdict.history.join("\n"));
        println!("{} rows, {} messages", verdict.rows, verdict.messages.len());
        if !verdict.violations.is_empty() {
            fail(seed, &verdict);
        }
        return;
    }
    if let Some((seed, verdict)) = search(number("STENTOR_SIM_SEEDS").unwrap_or(SEEDS), None) {
        fail(seed, &verdict);
    }
}
