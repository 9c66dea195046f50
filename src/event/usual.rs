//! The quick way into a Kinesis event as AWS writes it. Nearly all of its megabytes are the base64 texts
//! at `data`, and a JSON parser looks at each byte of them several times. Here they are cut out first, by
//! a search for the quote that ends them; serde parses the small rest.
//!
//! Left to `event`: every other event. Whatever is unusual, here, is `None`.

use std::borrow::Cow;

use memchr::{memchr2, memmem};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};

use super::{Batch, Data, Record, SequenceNumber};

/// In valid JSON this is a key and the beginning of its value, wherever it stands: within a string the quotes would
/// have backslashes.
const OPENING: &str = r#""data":""#;

/// A payload without the contents of its `data` strings.
struct Cut<'p> {
    payload: &'p str,
    rest: String,
    /// Each content that was cut out, and where in `rest` it is missing.
    contents: Vec<(usize, &'p str)>,
}

#[derive(Deserialize)]
struct Envelope<'r> {
    #[serde(borrow, rename = "Records")]
    records: Vec<Outer<'r>>,
    #[serde(borrow)]
    window: Option<&'r RawValue>,
    state: Option<Value>,
}

#[derive(Deserialize)]
struct Outer<'r> {
    #[serde(rename = "eventID")]
    event_id: &'r str,
    #[serde(rename = "awsRegion")]
    region: &'r str,
    #[serde(rename = "eventSourceARN")]
    stream_arn: &'r str,
    #[serde(borrow)]
    kinesis: Inner<'r>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Inner<'r> {
    sequence_number: &'r str,
    partition_key: &'r str,
    #[serde(borrow)]
    approximate_arrival_timestamp: &'r RawValue,
    data: &'r str,
}

/// A Kinesis event in which every record has all its fields, each written without an escape.
pub(super) fn parse(payload: &str) -> Option<Batch<'_>> {
    let cut = Cut::of(payload)?;
    let envelope: Envelope<'_> = serde_json::from_str(&cut.rest).ok()?;
    // A tumbling window's state may hold anything, another `data` too.
    if envelope.records.len() != cut.contents.len() {
        return None;
    }
    let records = envelope.records.iter().zip(&cut.contents);
    let records: Option<Vec<_>> = records.map(|(record, content)| cut.record(record, *content)).collect();
    let window_state = envelope.window.map(|_| envelope.state.unwrap_or_else(|| Value::Object(Map::new())));
    Some(Batch { records: records?, window_state })
}

impl<'p> Cut<'p> {
    fn of(payload: &'p str) -> Option<Self> {
        let bytes = payload.as_bytes();
        let opening = memmem::Finder::new(OPENING);
        let (mut rest, mut contents, mut done) = (String::new(), Vec::new(), 0);
        while let Some(found) = opening.find(&bytes[done..]) {
            let start = done + found + OPENING.len();
            let end = start + memchr2(b'"', b'\\', &bytes[start..])?;
            let content = &payload[start..end];
            // The parser would refuse control characters.
            if bytes[end] == b'\\' || content.bytes().fold(false, |any, byte| any | (byte < b' ')) {
                return None;
            }
            rest.push_str(&payload[done..start]);
            contents.push((rest.len(), content));
            done = end;
        }
        rest.push_str(&payload[done..]);
        Some(Self { payload, rest, contents })
    }

    /// `None` when the record's `data` is not where `content` was cut out.
    fn record(&self, record: &Outer<'_>, content: (usize, &'p str)) -> Option<Record<'p>> {
        let kinesis = &record.kinesis;
        if !kinesis.data.is_empty() || self.place(kinesis.data) != content.0 {
            return None;
        }
        Some(Record {
            event_id: self.original(record.event_id),
            sequence: SequenceNumber::new(Cow::Borrowed(kinesis.sequence_number)),
            region: Some(self.original(record.region)),
            stream_arn: Some(self.original(record.stream_arn)),
            partition_key: Some(self.original(kinesis.partition_key)),
            arrived_at: Some(self.original(kinesis.approximate_arrival_timestamp.get())),
            data: Data::Base64(Cow::Borrowed(content.1)),
        })
    }

    /// Where a part of `rest` stands in it.
    fn place(&self, part: &str) -> usize {
        part.as_ptr().addr() - self.rest.as_ptr().addr()
    }

    /// The same text in the payload, which lives longer than `rest`.
    fn original(&self, part: &str) -> Cow<'p, str> {
        let place = self.place(part);
        let cuts = self.contents.partition_point(|(at, _)| *at <= place);
        // Before the first cut both are alike; behind a cut the payload goes on where its content ends.
        let start = match self.contents[..cuts].last() {
            None => place,
            Some((at, content)) => content.as_ptr().addr() - self.payload.as_ptr().addr() + content.len() + place - at,
        };
        Cow::Borrowed(&self.payload[start..start + part.len()])
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::event::{Event, any};

    fn sample(name: &str) -> String {
        fs::read_to_string(format!("{}/events/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    fn check(payload: &str, is_usual: bool) {
        let usual = parse(payload);
        assert_eq!(usual.is_some(), is_usual, "{payload:.200}");
        if let Some(usual) = usual {
            let Ok(Event::Batch(whole)) = any(payload, "request") else { panic!("a batch: {payload:.200}") };
            assert_eq!(format!("{usual:?}"), format!("{whole:?}"));
        }
    }

    #[test]
    fn what_is_usual_is_read_as_by_the_long_way() {
        for name in ["kinesis-burst.json", "kinesis-tumbling.json", "kinesis-empty.json", "kinesis-escapes.json"] {
            // Without blanks, as Lambda writes it.
            let value: Value = serde_json::from_str(&sample(name)).unwrap();
            check(&value.to_string(), true);
        }
    }

    #[test]
    fn what_is_unusual_is_left_to_the_long_way() {
        let record = |data: &str| {
            format!(
                r#"{{"eventID":"s:1","awsRegion":"r","eventSourceARN":"a","kinesis":{{"sequenceNumber":"1","partitionKey":"p","approximateArrivalTimestamp":1.5,{data}}}}}"#
            )
        };
        let event = |data: &str, more: &str| format!(r#"{{"Records":[{}]{more}}}"#, record(data));
        check(&event(r#""data":"YQ==""#, ""), true);
        check(&event(r#""data":"""#, ""), true);
        check(&event(r#""data":"YQ\/=""#, ""), false);
        check(&event(r#""data" :"YQ==""#, ""), false);
        check(&event("\"data\":\"Y\nQ==\"", ""), false);
        check(&event(r#""data":"YQ==""#, r#","window":{},"state":{"data":"x"}"#), false);
        check(&event(r#""data" :"""#, r#","window":{},"state":{"data":"x"}"#), false);
        check(&event(r#""data" :"""#, r#","x":{"data":"x"}"#), false);
        check(&event(r#""data":"YQ==","data":"""#, ""), false);
        check(&event(r#""data":7"#, ""), false);
        check(r#"{"Records":[{"kinesis":{"data":"YQ=="}}]}"#, false);
        check(r#"{"awslogs":{"data":"YQ=="}}"#, false);
        check(r#"{"data":"YQ=="#, false);
    }
}
