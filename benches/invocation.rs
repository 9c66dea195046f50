//! How fast is a whole invocation: payload, alerts, commit, armed windows, answer? (Guess: as fast
//! as `decode` where few events match; where all do, redaction, patterns and tallies take most of
//! it.) The store is the simulator's, in memory and empty each time, so what is left of a commit is
//! what it does for the alerts, not how far the store is. Varied: shape of the records and share of
//! matches.

#[allow(dead_code, clippy::unwrap_used, reason = "the simulator uses all of it")]
#[path = "../tests/it/simulation/engine.rs"]
mod engine;
#[path = "../tests/support/engines.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the bench starts no engine")]
mod engines;
#[path = "../tests/support/postgres.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the bench starts no engine")]
mod postgres;
#[path = "support/services.rs"]
mod services;
#[path = "support/mod.rs"]
mod support;
#[path = "../tests/support/tcp.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "the bench starts no engine")]
mod tcp;

use criterion::{BatchSize, BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use serde_json::value::RawValue;
use services::Fresh;
use stentor::lambda::handler::{Invocation, handle};
use support::{RATIOS, SHAPES, decoded_bytes, payload, pool, routes, stentor};
use tokio::runtime::Runtime;

/// The faults that the simulator's engine can inject. The bench injects none.
mod plan {
    #[allow(dead_code, reason = "the engine names them")]
    #[derive(Clone, Copy, PartialEq, Eq)]
    pub enum Mutation {
        OverwriteHistories,
        ShortLease,
        ClaimWhatOthersClaimed,
        FreezeWithoutClosing,
        SettleBeforeAcceptance,
        DeliverHeld,
        ForgetHeld,
        ReleaseNothing,
        ShareSeverities,
    }
}

fn invocation(criterion: &mut Criterion) {
    let (routes, pool) = (routes(), pool(1));
    let runtime =
        tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    let mut group = criterion.benchmark_group("invocation");
    group.sample_size(10);
    for (name, parts) in SHAPES {
        for ratio in RATIOS {
            let text = payload(parts, ratio);
            let bytes = decoded_bytes(&text);
            let matched = pool.install(|| stentor(&routes, routes.decoder(), &text)).matched;
            let event: Box<RawValue> = serde_json::from_str(&text).expect("JSON");
            let route = &routes.iter().next().expect("there is one").name;
            let services = pool.install(|| invoke(&runtime, Fresh::new(&routes), &event));
            assert_eq!(services.counted(route), matched, "every alert is counted");
            group.throughput(Throughput::Bytes(bytes));
            group.bench_function(
                BenchmarkId::new("stentor", format!("{name} {} %", ratio * 100.0)),
                |bench| {
                    let once = |services| pool.install(|| invoke(&runtime, services, &event));
                    bench.iter_batched(|| Fresh::new(&routes), once, BatchSize::PerIteration);
                },
            );
        }
    }
}

/// One invocation. It returns its services, so that the time to drop them is not counted.
fn invoke<'a>(runtime: &Runtime, services: Fresh<'a>, event: &RawValue) -> Fresh<'a> {
    let called = Invocation {
        function: "bench".to_owned(),
        request_id: "bench".to_owned(),
        ..Invocation::default()
    };
    let answer = runtime.block_on(handle(&services, event, &called, drop)).expect("an answer");
    assert_eq!(answer.get(), r#"{"batchItemFailures":[]}"#);
    services
}

criterion_group!(benches, invocation);
criterion_main!(benches);
