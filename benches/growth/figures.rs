//! What was measured, as it lies in `docs/performance.json`. A field's last word is its unit.

#![allow(dead_code, reason = "each program uses a part of it")]

use serde::{Deserialize, Serialize};

#[derive(Debug, Serialize, Deserialize)]
pub struct Figures {
    pub machine: Machine,
    /// Rounds of which the medians are.
    pub rounds: usize,
    /// More and more records of 1,000 log events in an invocation.
    pub logs: Vec<Point>,
    /// The same logs on more and more threads, Stentor alone.
    pub threads: Vec<Threads>,
    /// The same logs, in which more and more events carry a marker.
    pub matches: Vec<Point>,
    /// What a commit of the alerts of one invocation writes.
    pub store: Vec<Stored>,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Machine {
    pub processor: String,
    pub cores: usize,
    /// Processes that wanted a core, on average over the minute before and the minute in which it ended.
    /// More than this program's own one: the times are too long.
    pub load_before: f64,
    pub load_after: f64,
}

/// One invocation.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Invocation {
    pub records: u64,
    pub events: u64,
    /// Share of the events that carry a marker.
    pub match_ratio: f64,
    /// What Lambda hands over: JSON, with base64 in it.
    pub payload_bytes: u64,
    pub gzip_bytes: u64,
    pub decoded_bytes: u64,
    /// The records as an on-demand stream charges them, each rounded up to 1 KiB.
    pub kinesis_kib: u64,
    /// The records as a provisioned stream charges them, in units of 25 KB.
    pub put_units: u64,
}

/// One invocation, each way.
#[derive(Debug, Serialize, Deserialize)]
pub struct Point {
    pub invocation: Invocation,
    /// As in production: each match becomes an alert, redacted and with its pattern.
    pub stentor: Cost,
    /// Finding alone, as the others do, and keeping nothing.
    pub stentor_finds: Cost,
    pub naive: Cost,
    pub python: Cost,
    /// libdeflate on gzip that lies ready, into a warm buffer: the limit.
    pub inflate_ms: f64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Cost {
    pub ms: f64,
    /// The most that an invocation held of the heap, beyond its payload. Not known of Python.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub heap_bytes: Option<u64>,
    /// The most memory that a process which read the payload and handled it once ever had (`VmHWM`).
    pub process_bytes: u64,
}

#[derive(Debug, Serialize, Deserialize)]
pub struct Threads {
    pub shape: String,
    pub threads: usize,
    pub ms: f64,
    pub heap_bytes: u64,
}

/// What lies in the tables after the alerts of one invocation were committed to an empty store.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Stored {
    pub match_ratio: f64,
    pub events: u64,
    pub decoded_bytes: u64,
    pub alerts: u64,
    /// Sums over items: rows and rows of the index.
    pub row_bytes: u64,
    pub index_bytes: u64,
    /// Sums over items, each rounded up to 1 KiB as write units are.
    pub row_kib: u64,
    pub index_kib: u64,
    pub tallies: u64,
    pub tally_kib: u64,
    /// The epoch into which up to 97 of these tallies are frozen.
    pub epoch_kib: u64,
}

impl Figures {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(path("performance.json")).expect("docs/performance.json");
        serde_json::from_str(&text).expect("figures of this version of the program")
    }
}

pub fn path(name: &str) -> std::path::PathBuf {
    std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("docs").join(name)
}
