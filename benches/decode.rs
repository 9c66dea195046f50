//! How fast does a payload become log events that count? (Guess: two thirds of it is inflate,
//! whatever the ratio of matches, until every event matches.) Varied: shape of the records and
//! share of matches.

#[path = "support/mod.rs"]
mod support;

use criterion::{BenchmarkId, Criterion, Throughput, criterion_group, criterion_main};
use support::{
    Inflate, RATIOS, SHAPES, decoded_bytes, miniz, naive, payload, pool, routes, stentor, strict,
};

fn decode(criterion: &mut Criterion) {
    let routes = routes();
    let (strict, pool) = (strict(&routes), pool(1));
    let mut group = criterion.benchmark_group("decode");
    group.sample_size(10);
    for (name, parts) in SHAPES {
        for ratio in RATIOS {
            let text = payload(parts, ratio);
            let mut inflate = Inflate::of(&text);
            let id = |way: &str| BenchmarkId::new(way, format!("{name} {} %", ratio * 100.0));
            group.throughput(Throughput::Bytes(decoded_bytes(&text)));
            group.bench_function(id("inflate alone"), |bench| bench.iter(|| inflate.run()));
            group.bench_function(id("stentor"), |bench| {
                bench.iter(|| pool.install(|| stentor(&routes, routes.decoder(), &text)));
            });
            group.bench_function(id("strict"), |bench| {
                bench.iter(|| pool.install(|| stentor(&routes, &strict, &text)))
            });
            group.bench_function(id("naive"), |bench| bench.iter(|| naive(&text, miniz)));
        }
    }
}

criterion_group!(benches, decode);
criterion_main!(benches);
