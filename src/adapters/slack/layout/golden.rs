//! The exact messages for a set of digests: those of `message::tests::digests`, and one for each
//! batch in `events/`. A change to what Slack shows is a change to `golden.jsonl`, which
//! `UPDATE_GOLDEN=1 cargo test --lib golden` writes.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::{burst_message, opening, render};
use crate::config::Config;
use crate::ingest::decode;
use crate::ingest::event::{self, Event};
use crate::ingest::route::Routes;
use crate::message::tests::digests::{self, digest};
use crate::model::alert::Alert;
use crate::model::digest::Digest;
use crate::model::tally::Tally;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn messages_equal_the_golden_ones() {
    let path = format!("{ROOT}/src/adapters/slack/layout/golden.jsonl");
    let written = messages();
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, written.join("\n") + "\n").unwrap();
    }
    let golden = fs::read_to_string(&path).unwrap();
    assert_eq!(golden.lines().count(), written.len(), "one line for each message");
    for (golden, written) in golden.lines().zip(&written) {
        let (golden, written) = (parsed(golden), parsed(written));
        assert_eq!(golden, written, "{}", written["name"]);
    }
}

/// A digest as a message of its own.
fn message(name: &str, digest: &Digest) -> String {
    json!({"name": name, "message": render(digest)}).to_string()
}

/// The message above the thread of a burst that has come to `digest`.
fn burst(name: &str, digest: &Digest) -> String {
    json!({"name": name, "burst": burst_message(digest, &opening(&digests::single()))}).to_string()
}

fn parsed(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

fn messages() -> Vec<String> {
    let known = digests::all();
    let single = known.iter().map(|(name, digest)| message(name, digest));
    let bursts = known.iter().map(|(name, digest)| burst(name, digest));
    single
        .chain(bursts)
        .chain(of_events().iter().map(|(name, digest)| message(name, digest)))
        .collect()
}

/// Each batch of `events/`, all its alerts in one digest.
fn of_events() -> Vec<(String, Digest)> {
    let routes = Routes::new(&Config::builtin()).unwrap();
    let mut files: Vec<_> = fs::read_dir(format!("{ROOT}/events"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let digest = |path: &PathBuf| {
        let payload = fs::read_to_string(path).unwrap();
        let Event::Batch(batch) = event::read(&payload, "request").unwrap() else { return None };
        let scanned = decode::all(&batch.records, routes.decoder(), |record, head, events| {
            routes.scan(head, events, record.region.as_deref(), &record.event_id)
        });
        let alerts: Vec<Alert> =
            scanned.into_iter().flat_map(|record| record.content).flat_map(|s| s.alerts).collect();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        Some((name, digest(Tally::of(&alerts))))
    };
    files.iter().filter_map(digest).collect()
}
