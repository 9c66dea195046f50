//! The gallery keeps its promises, and the files in `events/` are the gallery.

use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::read::GzDecoder;
use serde_json::Value;

use super::super::tests::{readable, unpacked};
use super::{Event, gallery, gallery_readme};

fn json(event: &Event) -> Value {
    serde_json::to_value(event).unwrap()
}

fn sample(file: &str) -> Value {
    let found = gallery().into_iter().find(|(name, _, _)| *name == file);
    json(&found.unwrap().2)
}

fn data_of(sample: &Value, record: usize) -> &str {
    sample["Records"][record]["kinesis"]["data"].as_str().unwrap()
}

#[test]
fn the_gallery_is_small_and_parses() {
    let readme = gallery_readme();
    for (file, shows, event) in gallery() {
        let text = event.pretty();
        let most = if file == "kinesis-poison.json" { 120_000 } else { 60_000 };
        assert!(text.len() < most, "{file}: {} bytes", text.len());
        assert!(text.ends_with("}\n") && !shows.contains('\n'), "{file}");
        assert!(serde_json::from_str::<Value>(&text).is_ok(), "{file}");
        assert!(readme.contains(&format!("`{file}`")), "{file}");
        let unreadable = event.data().into_iter().filter(|data| readable(data).is_none()).count();
        assert_eq!(unreadable, if file == "kinesis-poison.json" { 10 } else { 0 }, "{file}");
    }
}

#[test]
fn escapes_reach_the_payload_as_they_are_written() {
    let sample = sample("kinesis-escapes.json");
    let text = String::from_utf8(unpacked(data_of(&sample, 0))).unwrap();
    for raw in [r"\u005bCRITICAL]", r"[\u0043RITICAL]", r"\ud83d\udd25", r"\/", r"\\u005b", "<!channel>", "&amp;"] {
        assert!(text.contains(raw), "{raw}");
    }
}

#[test]
fn members_part_a_marker_and_a_character() {
    let sample = sample("kinesis-multimember.json");
    let bytes = STANDARD.decode(data_of(&sample, 0)).unwrap();
    let mut first = Vec::new();
    GzDecoder::new(&bytes[..]).read_to_end(&mut first).unwrap();
    assert!(first.ends_with(b"[CRIT"));
}

/// A change here is made good with `stentor sample --gallery events`. Gzip bytes may differ, what they decode
/// to may not.
#[test]
fn the_files_in_events_are_the_gallery() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/events/");
    let decoded = |mut event: Value| {
        for record in event["Records"].as_array_mut().into_iter().flatten() {
            decode_in_place(&mut record["kinesis"]["data"]);
        }
        decode_in_place(&mut event["awslogs"]["data"]);
        event
    };
    for (file, _, event) in gallery() {
        let text = std::fs::read_to_string(format!("{folder}{file}")).unwrap();
        assert!(decoded(serde_json::from_str(&text).unwrap()) == decoded(json(&event)), "{file}");
    }
    assert_eq!(std::fs::read_to_string(format!("{folder}README.md")).unwrap(), gallery_readme());
}

/// Replaces data by its message, or by null where it cannot be read.
fn decode_in_place(data: &mut Value) {
    let message = data.as_str().and_then(readable);
    *data = message.unwrap_or(Value::Null);
}
