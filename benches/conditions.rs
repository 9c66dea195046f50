//! What do conditions cost on log events that meet none? (Guess: with texts to search for, at most 1.15 times
//! as much as as many markers; without, twice as much.) Varied: the kind of condition, and how many routes
//! there are.
//!
//! All kinds run in turn, round after round, and each cell is the ratio of medians to markers in the same
//! row. `cargo bench --no-default-features --features libdeflate --bench conditions`; a number behind `--` is
//! the count of rounds (default 15).

#![allow(clippy::unwrap_used, reason = "a bench stops at the first surprise")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::io::Write as _;
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use stentor::config::Config;
use stentor::ingest::decode;
use stentor::ingest::event::{Data, Record};
use stentor::ingest::route::Routes;

/// The kinds, and the conditions of one route; `@` stands for its number.
const KINDS: [(&str, &str); 10] = [
    ("markers", "markers = ['FAULT_@']"),
    ("lower-case markers", "markers = ['fault_@']"),
    ("any case", "markers = ['FAULT_@']\nignore_case = true"),
    ("terms", "pattern = '?FAULT_@ ?FATAL_@'"),
    ("JSON text", "pattern = '{ $.code = \"FAULT_@\" }'"),
    ("JSON number", "pattern = '{ $.fault_@ > 500 }'"),
    ("space", "pattern = '[a, code = FAULT_@, ...]'"),
    ("fields", "fields = { code = ['FAULT_@', 'FATAL_@'] }"),
    ("regex", "regex = 'FAULT_@ (of|in) [a-z]+'"),
    ("no text", "regex = '[0-9][a-z][0-9]FAULT@$|^$'"),
];

const ROUTES: [usize; 3] = [1, 20, 200];

fn main() {
    let rounds = std::env::args().filter_map(|argument| argument.parse().ok()).next().unwrap_or(15);
    let records: Vec<Record<'_>> = (0..8).map(record).collect();
    println!(
        "| routes | markers, ms | {} |",
        KINDS[1..].iter().map(|(kind, _)| *kind).collect::<Vec<_>>().join(" | ")
    );
    println!("|{}", "---|".repeat(KINDS.len() + 1));
    for count in ROUTES {
        let medians = measure(&records, count, rounds);
        let markers = medians[0].as_secs_f64();
        let ratios =
            medians[1..].iter().map(|median| format!("{:.2}", median.as_secs_f64() / markers));
        println!("| {count} | {:.1} | {} |", markers * 1e3, ratios.collect::<Vec<_>>().join(" | "));
    }
}

fn measure(records: &[Record<'_>], count: usize, rounds: usize) -> Vec<Duration> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let kinds = KINDS.map(|(_, conditions)| routes(conditions, count));
    let mut times = vec![Vec::new(); kinds.len()];
    for _ in 0..rounds {
        for (routes, times) in kinds.iter().zip(&mut times) {
            // The first pass fills the caches, which the kind before has emptied.
            pool.install(|| alerts(routes, records));
            let start = Instant::now();
            let alerts = pool.install(|| alerts(routes, black_box(records)));
            times.push(start.elapsed());
            assert_eq!(alerts, 0);
        }
    }
    times.iter_mut().for_each(|times| times.sort_unstable());
    times.iter().map(|times| times[times.len() / 2]).collect()
}

fn routes(conditions: &str, count: usize) -> Routes {
    let mut config = String::new();
    for number in 0..count {
        let conditions = conditions.replace('@', &format!("{number:03}"));
        let _ =
            writeln!(config, "[[route]]\nname = 'r{number}'\nnotify = ['slack:a']\n{conditions}");
    }
    Routes::new(&Config::parse(&config, "bench").unwrap()).unwrap()
}

fn alerts(routes: &Routes, records: &[Record<'_>]) -> usize {
    let scanned = decode::all(records, routes.decoder(), |_, head, events| {
        routes.scan(head, events, Some("eu-west-1"), "bench")
    });
    scanned.into_iter().map(|record| record.whole().unwrap().unwrap().alerts.len()).sum()
}

/// 7,000 log events, every other one in JSON, each with ids of its own: 1.7 MB.
fn record(seed: u64) -> Record<'static> {
    let mut random = fastrand::Rng::with_seed(seed);
    let mut event = |n: u64| {
        let (id, user, ms) = (random.u128(..), random.u32(..), random.u32(..2_000));
        let message = match n % 2 {
            0 => format!(
                r#"2026-11-27T18:00:{:02}.{:03}Z INFO [http-{}] com.shop.Cart - order {user} stored in {ms} ms, request {id:032x}, \"GET /cart/{user} HTTP/1.1\" 200\n"#,
                n % 60,
                n % 1_000,
                n % 8
            ),
            _ => format!(
                r#"{{\"time\":\"2026-11-27T18:00:{:02}.{:03}Z\",\"level\":\"info\",\"logger\":\"Payment\",\"message\":\"charged {user}\",\"status\":200,\"ms\":{ms},\"trace\":\"{id:032x}\"}}"#,
                n % 60,
                n % 1_000
            ),
        };
        let (id, time) = (3 * 10_u128.pow(30) + u128::from(n), 1_795_443_306_000 + n);
        format!(r#"{{"id":"3{id:055}","timestamp":{time},"message":"{message}"}}"#)
    };
    let events: Vec<String> = (0..7_000).map(&mut event).collect();
    let text = format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"111122223333","logGroup":"/ecs/shop","logStream":"web/1","subscriptionFilters":["all"],"logEvents":[{}]}}"#,
        events.join(",")
    );
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    gzip.write_all(text.as_bytes()).unwrap();
    let data = BASE64_STANDARD.encode(gzip.finish().unwrap());
    Record::named(format!("{seed}"), Data::Base64(data.into()))
}
