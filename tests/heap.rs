//! What an invocation takes from the heap while records are read: the buffers of the workers and little
//! else. A file of its own, because it counts every allocation of the process.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use stentor::config::Config;
use stentor::ingest::decode;
use stentor::ingest::event::{self, Data};
use stentor::ingest::route::Routes;
use stentor::ops::sample::{Options, event};

/// The system's allocator, keeping the books.
struct Counting;

static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

// SAFETY: every call goes to the system's allocator as it came in.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let held = HELD.fetch_add(layout.size(), Ordering::Relaxed) + layout.size();
        PEAK.fetch_max(held, Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const MB: usize = 1_000_000;
const THREADS: usize = 2;

/// The most that was held at once while `payload` was read, beyond what was held before.
fn peak_of(payload: &str, routes: &Routes) -> usize {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(THREADS).build().unwrap();
    let before = HELD.load(Ordering::Relaxed);
    PEAK.store(before, Ordering::Relaxed);
    pool.install(|| {
        let batch = event::parse(payload, "test").unwrap();
        let events: u64 = decode::all(&batch.records, routes.decoder(), |_, _, events| events.each(|_| ()))
            .into_iter()
            .map(|record| record.content.unwrap_or_default())
            .sum();
        assert!(events > 0);
    });
    PEAK.load(Ordering::Relaxed) - before
}

/// Bytes of gzip in all, and of the largest record: raw and gzip.
fn sizes(payload: &str) -> (usize, usize) {
    let batch = event::parse(payload, "test").unwrap();
    let sizes = batch.records.iter().map(|record| match &record.data {
        Data::Base64(text) => {
            let trailer = &text.as_bytes()[text.len() - 8..];
            let trailer = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, trailer).unwrap();
            let raw = u32::from_le_bytes(trailer[trailer.len() - 4..].try_into().unwrap());
            (text.len() / 4 * 3, raw as usize)
        }
        other => panic!("{other:?}"),
    });
    let sizes: Vec<(usize, usize)> = sizes.collect();
    let largest = sizes.iter().map(|(gzip, raw)| gzip + raw).max().unwrap();
    (sizes.iter().map(|(gzip, _)| gzip).sum(), largest)
}

#[test]
fn the_heap_holds_the_buffers_of_the_workers_and_little_else() {
    let routes = Routes::new(&Config::builtin()).unwrap();
    for (records, events_per_record) in [(6, 4_000), (400, 60)] {
        for match_ratio in [0.001, 1.0] {
            let options = Options { records, events_per_record, match_ratio, ..Options::default() };
            let payload = serde_json::to_string(&event(&options)).unwrap();
            let (gzip, largest) = sizes(&payload);
            let (peak, most) = (peak_of(&payload, &routes), gzip + THREADS * largest + MB);
            println!("{records} records, {match_ratio}: {peak} bytes of at most {most}");
            assert!(peak <= most, "{records} records, {match_ratio}: {peak} bytes, more than {most}");
        }
    }
}
