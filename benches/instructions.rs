//! How many instructions does an invocation take? Unlike time, that does not depend on what else
//! the machine does, so `tests/tools/instructions.sh` makes it a check of the gate.
//!
//! `make DIR` writes payloads; `nothing|inflate-ready|inflate|naive|stentor FILE` does that, once.
//! What comes before the work is subtracted: `nothing` reads the file, `inflate-ready` also unpacks
//! its base64. `alerts-once FILE` and `alerts-twice FILE` also make the alerts, with their
//! redaction, statements, patterns and tallies; `hits-once` and `hits-twice` only find them. They
//! print the number of alerts.

#[path = "support/mod.rs"]
mod support;

use std::hint::black_box;

use stentor::ingest::route::Routes;
use stentor::ingest::{decode, event};
use stentor::model::alert::Alert;
use stentor::model::tally::Tally;
use support::{Inflate, LOGS, miniz, naive, payload_of, routes, stentor};

fn main() {
    let arguments: Vec<String> =
        std::env::args().skip(1).filter(|argument| argument != "--bench").collect();
    let [way, path] = &arguments[..] else { return };
    if way == "make" {
        for logs in LOGS {
            for (name, parts) in &logs.shapes[..2] {
                let path = format!("{path}/{name}-{}.json", logs.per_request);
                std::fs::write(path, payload_of(logs.per_request, parts, 0.001))
                    .expect("a scratch directory");
            }
        }
        let alerts = payload_of(1, &[(2, 500)], 1.0);
        std::fs::write(format!("{path}/alerts.json"), alerts).expect("a scratch directory");
        return;
    }
    let text = std::fs::read_to_string(path).expect("a payload");
    // On the calling thread: a worker's waiting is no work.
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .use_current_thread()
        .build()
        .expect("a pool");
    let routes = routes();
    match way.as_str() {
        "inflate-ready" => drop(black_box(Inflate::of(&text))),
        "inflate" => drop(black_box(Inflate::of(&text).run())),
        "naive" => drop(black_box(naive(&text, miniz))),
        "stentor" => drop(black_box(pool.install(|| stentor(&routes, routes.decoder(), &text)))),
        "hits-once" | "hits-twice" => {
            for _ in 0..if way == "hits-once" { 1 } else { 2 } {
                black_box(pool.install(|| stentor(&routes, routes.decoder(), &text)));
            }
        }
        "alerts-once" | "alerts-twice" => {
            let once = || pool.install(|| alerts(&routes, &text));
            let count = once();
            println!("{}", if way == "alerts-once" { count } else { once() });
        }
        _ => {}
    }
}

/// Makes the alerts of a payload, and a tally of those of each record. Returns their number.
fn alerts(routes: &Routes, payload: &str) -> usize {
    let batch = event::parse(payload, "bench").expect("a payload");
    let scanned = decode::all(&batch.records, routes.decoder(), |record, head, events| {
        routes.scan(head, events, record.region.as_deref(), &record.event_id)
    });
    let records = scanned.into_iter().filter_map(|record| record.content);
    let records: Vec<Vec<Alert>> = records.map(|scanned| scanned.alerts).collect();
    for alerts in &records {
        black_box(Tally::of(alerts));
    }
    records.iter().map(Vec::len).sum()
}
