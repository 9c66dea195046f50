//! The `data` field as CloudWatch Logs writes it: a subscription message as JSON, gzip and base64.
//! And the ids of its log events.

use std::io::Write;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::{Compression, write::GzEncoder};
use serde::Serialize;

use super::rng::Rng;

/// The latest time that fits into an event id: 2^47 ms, in the year 6429.
pub(super) const MS_MAX: i64 = 1 << 47;

/// The name of the subscription filter in every message.
pub(super) const FILTER: &str = "central-logs";

/// The source of a record's log events. A subscription filter partitions by log stream, so the
/// stream has the partition key.
pub(super) struct SampleSource {
    pub owner: String,
    pub log_group: String,
    pub log_stream: String,
    pub partition_key: String,
}

#[derive(Debug, Clone, Serialize)]
pub(super) struct SampleLogEvent {
    pub id: String,
    pub timestamp: i64,
    pub message: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    message_type: &'static str,
    owner: &'a str,
    log_group: &'a str,
    log_stream: &'a str,
    subscription_filters: [&'static str; 1],
    log_events: &'a [SampleLogEvent],
}

/// A data message as JSON.
pub(super) fn text(source: &SampleSource, events: &[SampleLogEvent]) -> Vec<u8> {
    let message = Message {
        message_type: "DATA_MESSAGE",
        owner: &source.owner,
        log_group: &source.log_group,
        log_stream: &source.log_stream,
        subscription_filters: [FILTER],
        log_events: events,
    };
    serde_json::to_vec(&message).expect("invariant: strings and numbers always serialize")
}

/// The `data` field for a message.
pub(super) fn data(text: &[u8]) -> String {
    base64(&gzip(text))
}

pub(super) fn base64(bytes: &[u8]) -> String {
    STANDARD.encode(bytes)
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(6));
    let packed = encoder.write_all(bytes).and_then(|()| encoder.finish());
    packed.expect("invariant: writing to memory does not fail")
}

/// Generates event ids like those of CloudWatch Logs. Below the timestamp they have the time of the
/// `PutLogEvents` call, bits that all events of the call share, and the index of the event in the
/// call. Source: ids in public samples, where neighbors differ by `(later - earlier) << 144` and
/// the number of events between them.
pub(super) struct Ids {
    rng: Rng,
    /// The number of the call, which keeps its ids distinct from all others.
    puts: u64,
    high: u64,
    low: u64,
    index: u64,
}

impl Ids {
    /// The most log events in one `PutLogEvents` call.
    const EVENTS_MAX: u64 = 10_000;

    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Rng::new(seed.rotate_left(32)),
            puts: 0,
            high: 0,
            low: 0,
            index: Self::EVENTS_MAX,
        }
    }

    /// The next event starts another call.
    pub(super) fn end_put(&mut self) {
        self.index = Self::EVENTS_MAX;
    }

    pub(super) fn next(&mut self, timestamp: i64) -> String {
        if self.index == Self::EVENTS_MAX {
            self.puts += 1;
            let put_ms = timestamp as u64 + self.rng.between(100, 5_000);
            self.high = put_ms << 16 | self.rng.between(0, 0xffff);
            self.low = self.rng.between(0, 0xffff) << 48 | (self.puts & 0xffff_ffff) << 16;
            self.index = 0;
        }
        self.index += 1;
        id(timestamp, self.high, self.low | (self.index - 1))
    }
}

/// An event id: 56 decimal digits of a number whose bits above the lowest 144 are the timestamp in
/// ms (test: `ids_carry_their_timestamp`). `high` and `low` are the lowest 128 bits.
pub(super) fn id(timestamp: i64, high: u64, low: u64) -> String {
    const GROUP: u128 = 10_u128.pow(18);
    let mut limbs = [(timestamp as u64) << 16, high, low];
    let mut groups = [0_u64; 4];
    // Long division by 10^18, once per group of eighteen digits, the lowest first.
    for group in groups.iter_mut().rev() {
        let mut rest = 0_u128;
        for limb in &mut limbs {
            let part = rest << 64 | u128::from(*limb);
            *limb = (part / GROUP) as u64;
            rest = part % GROUP;
        }
        *group = rest as u64;
    }
    let [a, b, c, d] = groups;
    format!("{a:02}{b:018}{c:018}{d:018}")
}
