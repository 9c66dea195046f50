//! What an invocation takes from the heap while records are read: the buffers of the workers and
//! little else.

use stentor::config::Config;
use stentor::ingest::decode;
use stentor::ingest::event::{self, Data};
use stentor::ingest::route::Routes;
use stentor::ops::sample::{SampleOptions, event};

use crate::counting::Held;

const MB: usize = 1_000_000;
const THREADS: usize = 2;

/// The most that was held at once while `payload` was read, beyond what was held before.
fn peak_of(payload: &str, routes: &Routes) -> usize {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().unwrap();
    let before = Held::now();
    pool.install(|| {
        let batch = event::parse(payload, "test").unwrap();
        let events: u64 =
            decode::all(&batch.records, routes.decoder(), |_, _, events| events.each(|_| ()))
                .into_iter()
                .map(|record| record.content.unwrap_or_default())
                .sum();
        assert!(events > 0);
    });
    before.peak_above()
}

/// Bytes of gzip in all, and of the largest record: raw and gzip.
fn sizes(payload: &str) -> (usize, usize) {
    let batch = event::parse(payload, "test").unwrap();
    let sizes = batch.records.iter().map(|record| match &record.data {
        Data::Base64(text) => {
            let trailer = &text.as_bytes()[text.len() - 8..];
            let trailer =
                base64::Engine::decode(&base64::engine::general_purpose::STANDARD, trailer)
                    .unwrap();
            let raw = u32::from_le_bytes(trailer[trailer.len() - 4..].try_into().unwrap());
            (text.len() / 4 * 3, raw as usize)
        }
        other => panic!("{other:?}"),
    });
    let sizes: Vec<(usize, usize)> = sizes.collect();
    let largest = sizes.iter().map(|(gzip, raw)| gzip + raw).max().unwrap();
    (sizes.iter().map(|(gzip, _)| gzip).sum(), largest)
}

pub fn the_heap_holds_the_buffers_of_the_workers_and_little_else() {
    let routes = Routes::new(&Config::builtin()).unwrap();
    for (records, events_per_record) in [(6, 4_000), (400, 60)] {
        for match_ratio in [0.001, 1.0] {
            let options = SampleOptions {
                records,
                events_per_record,
                match_ratio,
                ..SampleOptions::default()
            };
            let payload = serde_json::to_string(&event(&options)).unwrap();
            let (gzip, largest) = sizes(&payload);
            let (peak, most) = (peak_of(&payload, &routes), gzip + THREADS * largest + MB);
            println!("{records} records, {match_ratio}: {peak} bytes of at most {most}");
            assert!(
                peak <= most,
                "{records} records, {match_ratio}: {peak} bytes, more than {most}"
            );
        }
    }
}
