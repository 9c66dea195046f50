//! A flood of alerts, from events that are decoded already.

use stentor::ingest::decode::{self};
use stentor::ingest::event::{Data, Record};
use stentor::ingest::logs::{LogBatch, LogEvent, Message};
use stentor::ingest::route::Routes;
use stentor::model::alert::Alert;

/// A record of `events` marked events with messages of `message_bytes` each.
pub fn record(events: usize, message_bytes: usize) -> Record<'static> {
    let event = |n: usize| LogEvent {
        id: format!("{n:056}").into(),
        timestamp: 1_795_443_306_789 + n as i64,
        message: message(n, message_bytes).into(),
        account: None,
        region: None,
    };
    let logs = LogBatch {
        owner: "123456789012".into(),
        log_group: "/aws/lambda/checkout".into(),
        log_stream: "2026/11/23/[$LATEST]0123456789abcdef0123456789abcdef".into(),
        events: (0..events).map(event).collect(),
    };
    Record::named("shardId-000000000000:1".to_owned(), Data::Message(Message::Data(logs)))
}

/// A line with a trace under it, of exactly so many bytes: with quotes and ends of lines, as real
/// ones.
fn message(n: usize, bytes: usize) -> String {
    let mut text =
        format!("[CRITICAL] payment \"{n}\" declined: upstream answered 503 after {} ms", n % 977);
    while text.len() < bytes {
        text.push_str("\n    at com.example.checkout.Payments.submit(Payments.java:118)");
    }
    text.truncate(bytes);
    text
}

/// The alerts of a record, on the calling thread.
pub fn alerts(routes: &Routes, record: &Record<'_>) -> Vec<Alert> {
    let scan = |record: &Record<'_>, head: &LogBatch<'_>, events: decode::Events<'_>| {
        routes.scan(head, events, record.region.as_deref(), &record.event_id)
    };
    let scanned = decode::all(std::slice::from_ref(record), routes.decoder(), scan);
    scanned.into_iter().flat_map(|record| record.content.expect("data").alerts).collect()
}
