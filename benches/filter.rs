//! What does the choice of markers cost? (Guess: markers with a rare first byte are nearly free,
//! Teddy adds a tenth, and a marker that can hide behind escapes costs the full parse.) Varied: the
//! markers.

#[path = "support/mod.rs"]
mod support;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use stentor::config::Config;
use stentor::ingest::route::Routes;
use support::{SHAPES, decoded_bytes, payload, pool, stentor};

fn filter(criterion: &mut Criterion) {
    let text = payload(SHAPES[0].1, 0.001);
    let pool = pool(1);
    let mut group = criterion.benchmark_group("filter");
    group.sample_size(10).throughput(Throughput::Bytes(decoded_bytes(&text)));
    let sets: [(&str, &[&str]); 5] = [
        ("one first byte", &["[CRITICAL]", "[ALERT]"]),
        ("three first bytes", &["[CRITICAL]", "PAYMENT_DECLINED", "OutOfMemoryError"]),
        ("lower case", &["[CRITICAL]", "pool exhausted", "deadlock"]),
        ("a common word", &["[CRITICAL]", "payment"]),
        ("escapable", &["[CRITICAL]", "\"level\":\"FATAL\""]),
    ];
    for (name, markers) in sets {
        let config =
            format!("[[route]]\nname = \"a\"\nmarkers = {markers:?}\nnotify = [\"slack:a\"]\n");
        let routes = Routes::new(&Config::parse(&config, "bench").expect("a configuration"))
            .expect("it compiles");
        group.bench_function(name, |bench| {
            bench.iter(|| pool.install(|| stentor(&routes, routes.decoder(), &text)))
        });
    }
}

criterion_group!(benches, filter);
criterion_main!(benches);
