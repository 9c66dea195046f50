//! The common parts of the benches: payloads of fixed seeds, the baselines, and the path through
//! Stentor's own code. Each takes the payload of an invocation and returns the same [`Found`], so
//! none can win by doing less.

#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "each bench uses a part of it, and stops at the first surprise"
)]

use std::io::{Read, Write as _};

use aws_lambda_events::cloudwatch_logs::{LogData, LogEntry};
use aws_lambda_events::kinesis::KinesisEvent;
use base64::Engine as _;
use base64::engine::general_purpose::PAD;
use base64::engine::simd::Simd;
use flate2::Crc;
use miniz_oxide::inflate::stream::{InflateState, inflate};
use miniz_oxide::{DataFormat, MZFlush};
use stentor::config::Config;
use stentor::ingest::decode::{self, Decoder};
use stentor::ingest::event::{self, Data};
use stentor::ingest::route::Routes;
use stentor::ops::sample::{SampleEvent, SampleOptions, event};

pub const MARKERS: [&str; 2] = ["[CRITICAL]", "[ALERT]"];

/// Logs that fill a payload to nearly the 6 MB that Lambda hands over.
pub struct Logs {
    pub name: &'static str,
    /// Log events that each request writes. Three make them pack 7 to 8 times, ones 4 to 5 times.
    pub per_request: usize,
    pub shapes: [(&'static str, Parts<'static>); 3],
}

/// Records, and log events in each.
pub type Parts<'p> = &'p [(usize, usize)];

pub const SHAPES: [(&str, Parts<'static>); 3] =
    [("large", &[(10, 7_000)]), ("small", &[(900, 60)]), ("mixed", &[(5, 7_000), (450, 60)])];

pub const LOGS: [Logs; 2] = [
    Logs { name: "one line a request", per_request: 1, shapes: SHAPES },
    Logs {
        name: "three lines a request",
        per_request: 3,
        shapes: [
            ("large", &[(16, 7_000)]),
            ("small", &[(1_350, 60)]),
            ("mixed", &[(8, 7_000), (675, 60)]),
        ],
    },
];

/// Shares of the log events that carry a marker.
pub const RATIOS: [f64; 3] = [0.001, 0.05, 1.0];

/// What was found: log events in all, those with a marker, and the bytes of their messages.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    pub events: u64,
    pub matched: u64,
    pub bytes: u64,
}

impl std::iter::Sum for Found {
    fn sum<I: Iterator<Item = Self>>(parts: I) -> Self {
        parts.fold(Self::default(), |all, part| Self {
            events: all.events + part.events,
            matched: all.matched + part.matched,
            bytes: all.bytes + part.bytes,
        })
    }
}

/// The payload of an invocation, the same every time; each line has ids of its own.
pub fn payload(parts: Parts<'_>, match_ratio: f64) -> String {
    payload_of(1, parts, match_ratio)
}

/// The same with so many lines for each request.
pub fn payload_of(events_per_request: usize, parts: Parts<'_>, match_ratio: f64) -> String {
    let mut all = Vec::new();
    for (seed, (records, events_per_record)) in (1..).zip(parts) {
        let options = SampleOptions {
            records: *records,
            events_per_record: *events_per_record,
            events_per_request,
            match_ratio,
            accounts: 20,

            log_groups: 50,
            seed,
            ..SampleOptions::default()
        };
        let SampleEvent::Kinesis(part) = event(&options) else {
            unreachable!("the default shape is Kinesis")
        };
        all.extend(part.records);
    }
    format!(r#"{{"Records":{}}}"#, serde_json::to_string(&all).unwrap())
}

/// Decompressed bytes of all records.
pub fn decoded_bytes(payload: &str) -> u64 {
    let mut inflate = Inflate::of(payload);
    inflate.run()
}

/// Stentor: each event that a route takes goes to a sink, none is collected.
pub fn stentor(routes: &Routes, decoder: &Decoder, payload: &str) -> Found {
    let batch = event::parse(payload, "bench").unwrap();
    let found = decode::all(&batch.records, decoder, |record, head, events| {
        let mut found = Found::default();
        let count = events.each(|event| {
            if routes.hit(event, head, record.region.as_deref()).is_some() {
                found.matched += 1;
                found.bytes += event.message.len() as u64;
            }
        })?;
        Ok(Found { events: count, ..found })
    });
    found.into_iter().map(|record| record.content.expect("data")).sum()
}

pub fn routes() -> Routes {
    Routes::new(&Config::builtin()).unwrap()
}

/// The plain parse of everything, as with `strict = true`.
pub fn strict(routes: &Routes) -> Decoder {
    Decoder { prefilter: None, ..routes.decoder().clone() }
}

/// What one writes first: the types of `aws_lambda_events`, owned all the way, a fresh buffer for
/// each step, `contains`.
pub fn naive(payload: &str, unpack: fn(&[u8]) -> Vec<u8>) -> Found {
    let event: KinesisEvent = serde_json::from_str(payload).unwrap();
    let (mut events, mut matched) = (0, Vec::new());
    for record in event.records {
        let text = String::from_utf8(unpack(&record.kinesis.data)).unwrap();
        let message: LogData = serde_json::from_str(&text).unwrap();
        events += message.log_events.len() as u64;
        let marked = |event: &LogEntry| MARKERS.iter().any(|marker| event.message.contains(marker));
        matched.extend(message.log_events.into_iter().filter(marked));
    }
    let bytes = matched.iter().map(|event| event.message.len() as u64).sum();
    Found { events, matched: matched.len() as u64, bytes }
}

/// `flate2` as it comes: it runs on `miniz_oxide` unless it is told otherwise. Here it is told, for
/// all of the build; so this calls `miniz_oxide` the way `flate2` does.
pub fn miniz(gzip: &[u8]) -> Vec<u8> {
    struct Deflate<'g> {
        rest: &'g [u8],
        state: Box<InflateState>,
    }
    impl Read for Deflate<'_> {
        fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
            let result = inflate(&mut self.state, self.rest, into, MZFlush::None);
            self.rest = &self.rest[result.bytes_consumed..];
            Ok(result.bytes_written)
        }
    }
    const HEADER: usize = 10;
    let (body, trailer) = gzip.split_at(gzip.len() - 8);
    let (mut text, mut crc) = (Vec::new(), Crc::new());
    Deflate { rest: &body[HEADER..], state: InflateState::new_boxed(DataFormat::Raw) }
        .read_to_end(&mut text)
        .unwrap();
    crc.update(&text);
    assert_eq!(crc.sum().to_le_bytes(), trailer[..4]);
    text
}

pub fn zlib_rs(gzip: &[u8]) -> Vec<u8> {
    let mut decoder = flate2::write::MultiGzDecoder::new(Vec::new());
    decoder.write_all(gzip).unwrap();
    decoder.finish().unwrap()
}

/// The limit: nothing but libdeflate on gzip that lies ready, into a buffer that is warm.
pub struct Inflate {
    gzip: Vec<Vec<u8>>,
    text: Vec<u8>,
    decompressor: *mut libdeflate_sys::libdeflate_decompressor,
}

impl Inflate {
    pub fn of(payload: &str) -> Self {
        let batch = event::parse(payload, "bench").unwrap();
        let gzip = batch.records.iter().map(|record| match &record.data {
            Data::Base64(text) => Simd::standard(PAD).decode(text.as_bytes()).unwrap(),
            other => panic!("{other:?}"),
        });
        // SAFETY: it takes nothing and answers a decompressor of our own, freed with us.
        let decompressor = unsafe { libdeflate_sys::libdeflate_alloc_decompressor() };
        Self { gzip: gzip.collect(), text: vec![0; 16 << 20], decompressor }
    }

    pub fn run(&mut self) -> u64 {
        let mut all = 0;
        for gzip in &self.gzip {
            let mut written = 0;
            // SAFETY: slices of the lengths given, and an out-parameter on our stack.
            let result = unsafe {
                libdeflate_sys::libdeflate_gzip_decompress(
                    self.decompressor,
                    gzip.as_ptr().cast(),
                    gzip.len(),
                    self.text.as_mut_ptr().cast(),
                    self.text.len(),
                    &raw mut written,
                )
            };
            assert_eq!(result, 0);
            all += written as u64;
        }
        all
    }
}

impl Drop for Inflate {
    fn drop(&mut self) {
        // SAFETY: ours, and freed once.
        unsafe { libdeflate_sys::libdeflate_free_decompressor(self.decompressor) }
    }
}

/// Workers that run on the calling thread alone, or on `threads`.
pub fn pool(threads: usize) -> rayon::ThreadPool {
    rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap()
}
