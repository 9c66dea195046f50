//! Memory stays bounded: the largest event that Lambda hands over, and a bomb.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::{Value, json};

use crate::measured::{measured, scratch};

/// Resident memory that the whole program may take, the embedded engine included.
const RESIDENT_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// An event of Kinesis records, each a megabyte of lines, one in a hundred of them an alert.
fn event(records: usize) -> (String, usize) {
    let mut random = fastrand::Rng::with_seed(7);
    let mut decoded_bytes = 0;
    let record = |n: usize| {
        let mut events = Vec::new();
        for line in 0..4_500 {
            let mark = if line % 100 == 0 { "[CRITICAL]" } else { "INFO" };
            let mut message = format!(
                "2026-11-23T14:15:06.789Z {mark} order {} of customer {} ",
                random.u32(..),
                random.u16(..)
            );
            write!(
                message,
                "was handled by worker {} in {} ms, queue length {}, ",
                random.u8(..),
                random.u16(..),
                random.u8(..)
            )
            .unwrap();
            message.push_str(
                "payment accepted, stock reserved, shipping label printed, confirmation sent, done",
            );
            events.push(
                json!({"id": format!("{n:020}{line:036}"), "timestamp": 1_795_443_306_789_i64, "message": message}),
            );
        }
        let text = json!({
            "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/aws/lambda/orders",
            "logStream": "s", "subscriptionFilters": ["all"], "logEvents": events,
        })
        .to_string();
        decoded_bytes += text.len();
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(text.as_bytes()).unwrap();
        let data = STANDARD.encode(gzip.finish().unwrap());
        json!({"eventID": format!("shardId-000000000000:{n}"), "kinesis": {"sequenceNumber": n.to_string(), "data": data}})
    };
    let records: Vec<Value> = (0..records).map(record).collect();
    (json!({ "Records": records }).to_string(), decoded_bytes)
}

/// Runs the program on `file` and answers its report and the most memory that it had resident.
fn run(file: &Path) -> (Value, u64) {
    let data = file.with_extension("data");
    let arguments = ["run", "--json", "--data-dir", data.to_str().unwrap(), file.to_str().unwrap()];
    let done = measured(Path::new("."), &arguments);
    let report = serde_json::from_str(&done.stdout).unwrap_or_else(|_| panic!("{}", done.stderr));
    (report, done.peak_bytes)
}

pub fn the_largest_event_with_forty_megabytes_of_logs_stays_small() {
    let (event, decoded_bytes) = event(40);
    assert!(
        (5_000_000..7_000_000).contains(&event.len()),
        "an event of some 6 MB: {}",
        event.len()
    );
    assert!(decoded_bytes > 40_000_000, "{decoded_bytes}");
    let file = scratch("run-event").join("event.json");
    std::fs::write(&file, event).unwrap();
    let (report, resident) = run(&file);
    assert_eq!(report["kept"], json!(40 * 45));
    assert!(resident < RESIDENT_BYTES_MAX, "{} MiB resident", resident >> 20);
}

pub fn bombs_are_parked_before_they_take_memory() {
    let bomb = {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        let blanks = vec![b' '; 1 << 20];
        for _ in 0..600 {
            gzip.write_all(&blanks).unwrap();
        }
        STANDARD.encode(gzip.finish().unwrap())
    };
    let record = |n: usize| json!({"eventID": format!("s:{n}"), "kinesis": {"sequenceNumber": n.to_string(), "data": bomb}});
    let file = scratch("run-bomb").join("event.json");
    std::fs::write(&file, json!({"Records": (0..4).map(record).collect::<Vec<_>>()}).to_string())
        .unwrap();
    let (report, resident) = run(&file);
    assert_eq!(report["parked"].as_array().unwrap().len(), 4);
    assert!(resident < RESIDENT_BYTES_MAX, "{} MiB resident", resident >> 20);
}
