//! The fast path for a Kinesis event as AWS writes it. Nearly all of its megabytes are the base64
//! texts at `data`, and a JSON parser looks at each byte of them several times. Here a cursor goes
//! from string to string.
//!
//! Left to `event`: every other event. Whatever is unusual is `None`: blanks, escapes, a field that
//! is missing, repeated or of another type. Left to `decode`: control characters in a base64 text.
//! A parser would refuse the whole event for them, and so one bad record would take the others
//! along.

use std::borrow::Cow;
use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{Batch, Data, Record, SequenceNumber, no_state};
use crate::ingest::json::{JsonCursor, has_control};

/// Reads a Kinesis event in which every record has all its fields, each without an escape.
pub(super) fn parse(payload: &str) -> Option<Batch<'_>> {
    let mut cursor = JsonCursor::new(payload.as_bytes());
    let mut records = Vec::new();
    cursor.expect(b"{\"Records\":[")?;
    if !cursor.eat(b"]") {
        loop {
            records.push(record(payload, &mut cursor)?);
            if cursor.ends(b']')? {
                break;
            }
        }
    }
    Some(Batch { records, window_state: window_state(&payload[cursor.position()..])? })
}

/// What follows the records, if it is valid there: the window and its state.
fn window_state(rest: &str) -> Option<Option<Box<RawValue>>> {
    #[derive(Deserialize)]
    struct Rest<'r> {
        #[serde(borrow)]
        window: Option<&'r RawValue>,
        state: Option<Box<RawValue>>,
        #[serde(rename = "Records")]
        records: Option<IgnoredAny>,
    }
    if rest == "}" {
        return Some(None);
    }
    let object = ["{", rest.strip_prefix(',')?].concat();
    let rest: Rest<'_> =
        serde_json::from_str(&object).ok().filter(|rest: &Rest<'_>| rest.records.is_none())?;
    Some(rest.window.map(|_| rest.state.unwrap_or_else(no_state)))
}

/// The fields of a record, by their place in the payload.
#[derive(Default)]
struct Fields {
    event_id: Option<Range<usize>>,
    region: Option<Range<usize>>,
    stream_arn: Option<Range<usize>>,
    sequence_number: Option<Range<usize>>,
    partition_key: Option<Range<usize>>,
    arrived_at: Option<Range<usize>>,
    data: Option<Range<usize>>,
    has_kinesis: bool,
}

fn record<'p>(payload: &'p str, cursor: &mut JsonCursor<'p>) -> Option<Record<'p>> {
    let start = cursor.position();
    let fields = fields(cursor)?;
    let data = fields.data?;
    let text = payload.as_bytes();
    if has_control(&text[start..data.start]) || has_control(&text[data.end..cursor.position()]) {
        return None;
    }
    let borrowed = |field: Option<Range<usize>>| Some(Cow::Borrowed(&payload[field?]));
    Some(Record {
        event_id: borrowed(fields.event_id)?,
        sequence: SequenceNumber::new(borrowed(fields.sequence_number)?),
        region: Some(borrowed(fields.region)?),
        stream_arn: Some(borrowed(fields.stream_arn)?),
        partition_key: Some(borrowed(fields.partition_key)?),
        arrived_at: Some(borrowed(fields.arrived_at)?),
        data: Data::Base64(Cow::Borrowed(&payload[data])),
    })
}

fn fields(cursor: &mut JsonCursor<'_>) -> Option<Fields> {
    let mut fields = Fields::default();
    cursor.expect(b"{")?;
    loop {
        // The same in every record, and not needed.
        cursor.eat(br#""eventSource":"aws:kinesis","eventVersion":"1.0","#);
        cursor.eat(br#""eventName":"aws:kinesis:record","#);
        if cursor.eat(br#""kinesis":"#) {
            if std::mem::replace(&mut fields.has_kinesis, true) {
                return None;
            }
            kinesis(cursor, &mut fields)?;
        } else if cursor.eat(br#""eventID":"#) {
            set(&mut fields.event_id, cursor.string()?)?;
        } else if cursor.eat(br#""awsRegion":"#) {
            set(&mut fields.region, cursor.string()?)?;
        } else if cursor.eat(br#""eventSourceARN":"#) {
            set(&mut fields.stream_arn, cursor.string()?)?;
        } else {
            skip_field(cursor)?;
        }
        if cursor.ends(b'}')? {
            return Some(fields);
        }
    }
}

/// The object at `kinesis`.
fn kinesis(cursor: &mut JsonCursor<'_>, fields: &mut Fields) -> Option<()> {
    cursor.expect(b"{")?;
    cursor.eat(br#""kinesisSchemaVersion":"1.0","#);
    loop {
        if cursor.eat(br#""partitionKey":"#) {
            set(&mut fields.partition_key, cursor.string()?)?;
        } else if cursor.eat(br#""sequenceNumber":"#) {
            set(&mut fields.sequence_number, cursor.string()?)?;
        } else if cursor.eat(br#""data":"#) {
            set(&mut fields.data, cursor.string()?)?;
        } else if cursor.eat(br#""approximateArrivalTimestamp":"#) {
            set(&mut fields.arrived_at, cursor.number()?)?;
        } else {
            skip_field(cursor)?;
        }
        if cursor.ends(b'}')? {
            return Some(());
        }
    }
}

/// A field that is not needed.
fn skip_field(cursor: &mut JsonCursor<'_>) -> Option<()> {
    cursor.string()?;
    cursor.expect(b":")?;
    cursor.string().map(drop)
}

/// To a parser a repeated field is an error.
fn set<T>(field: &mut Option<T>, value: T) -> Option<()> {
    field.replace(value).is_none().then_some(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::Value;

    use super::*;
    use crate::ingest::decode::Poison;
    use crate::ingest::event::{Event, any};

    fn sample(name: &str) -> String {
        fs::read_to_string(format!("{}/events/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    /// Whether the fast path reads the payload; if it does, it reads what the parser reads.
    fn check(payload: &str, is_read: bool) {
        let fast = parse(payload);
        assert_eq!(fast.is_some(), is_read, "{payload:.200}");
        if let Some(fast) = fast {
            let Ok(Event::Batch(parsed)) = any(payload, "request".into()) else {
                panic!("a batch: {payload:.200}")
            };
            assert_eq!(format!("{fast:?}"), format!("{parsed:?}"));
        }
    }

    #[test]
    fn the_fast_path_and_the_parser_agree() {
        for name in [
            "kinesis-burst.json",
            "kinesis-tumbling.json",
            "kinesis-empty.json",
            "kinesis-escapes.json",
        ] {
            // Without blanks, as Lambda writes it.
            let value: Value = serde_json::from_str(&sample(name)).unwrap();
            check(&value.to_string(), true);
        }
    }

    #[test]
    fn fields_may_differ_from_record_to_record() {
        let record = |id: &str, ending: &str| {
            format!(
                r#"{{"kinesis":{{"kinesisSchemaVersion":"1.0","partitionKey":"p{id}","sequenceNumber":"{id}","data":"YQ==","approximateArrivalTimestamp":1.5}},"eventSource":"aws:kinesis","eventVersion":"1.0","eventID":"s:{id}"{ending}}}"#
            )
        };
        let ending = |region: &str, arn: &str| {
            format!(
                r#","eventName":"aws:kinesis:record","invokeIdentityArn":"i","awsRegion":"{region}","eventSourceARN":"{arn}""#
            )
        };
        let batch = |endings: &[&str]| {
            let records: Vec<String> =
                (1..).zip(endings).map(|(id, ending)| record(&format!("{id}"), ending)).collect();
            format!(r#"{{"Records":[{}]}}"#, records.join(","))
        };
        let (one, other) = (ending("eu-west-1", "a"), ending("us-east-1", "b"));
        check(&batch(&[&one, &one, &other, &other, &one]), true);
        check(&batch(&[&one, &ending("eu-west-1", "a2"), &ending("eu-west-10", "a")]), true);
        check(&batch(&[&one, &one, ""]), false);
        check(&batch(&[&one, &format!("{one},\"x\":1"), &one]), false);
        check(&batch(&[&one, &format!("{one},\"awsRegion\":\"x\"")]), false);
        check(&batch(&[&one, "", &one]), false);
        check(&batch(&[&one, &one.replace("\"i\"", "\"\n\"")]), false);
        let region_first = |id: &str, region: &str| {
            format!(
                r#"{{"awsRegion":"{region}","kinesis":{{"partitionKey":"p","sequenceNumber":"{id}","data":"YQ==","approximateArrivalTimestamp":1.5}},"eventID":"s:{id}","eventSourceARN":"a"}}"#
            )
        };
        check(
            &format!(r#"{{"Records":[{},{}]}}"#, region_first("1", "r"), region_first("2", "q")),
            true,
        );
        let whole = r#"{"eventID":"s:1","kinesis":{"partitionKey":"p","sequenceNumber":"1","data":"YQ==","approximateArrivalTimestamp":1.5},"awsRegion":"r","eventSourceARN":"a"}"#;
        check(&format!(r#"{{"Records":[{whole}]}}"#), true);
        check(
            &format!(
                r#"{{"Records":[{whole},{}]}}"#,
                whole.replace("s:1", "s:2").replace("\"1\"", "\"2\"")
            ),
            true,
        );
    }

    #[test]
    fn a_control_character_in_data_affects_only_its_record() {
        let payload = sample("kinesis-burst.json");
        let value: Value = serde_json::from_str(&payload).unwrap();
        let bad = value.to_string().replacen("\"data\":\"H", "\"data\":\"\n", 1);
        let batch = parse(&bad).expect("its records");
        let decoder =
            crate::ingest::decode::Decoder { decoded_bytes_max: 1 << 24, prefilter: None };
        let read = crate::ingest::decode::all(&batch.records, &decoder, |_, _, events| {
            events.each(|_| ())
        });
        assert_eq!(
            read.iter()
                .filter(|record| matches!(record.poison, Some(Poison::BadBase64(_))))
                .count(),
            1
        );
        assert!(
            read.len() > 1 && read[1..].iter().all(|record| record.poison.is_none()),
            "{read:?}"
        );
    }

    #[test]
    fn any_other_shape_is_left_to_the_parser() {
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
        check(&event("\"data\":\"YQ==\",\"more\":\"\n\"", ""), false);
        check(&event(r#""data":"YQ==""#, r#","window":{},"state":{"data":"x"}"#), true);
        check(&event(r#""data":"YQ==","data":"""#, ""), false);
        check(&event(r#""data":7"#, ""), false);
        check(&event(r#""data":"YQ==","retries":7"#, ""), false);
        check(&event(r#""data":"YQ==""#, r#","Records":[]"#), false);
        check(&event(r#""data":"YQ==""#, r#","window":{},"state":7,"shardId":"s""#), true);
        check(&event(r#""data":"YQ==""#, r#","window":null,"state":7"#), true);
        check(&event(r#""data":"YQ==""#, "").replace("1.5", "1"), true);
        for number in ["01.5", "1.", "", "-1", "1e3"] {
            check(&event(r#""data":"YQ==""#, "").replace("1.5", number), false);
        }
        let whole = event(r#""data":"YQ==""#, r#","window":{},"state":{}"#);
        for end in 0..whole.len() {
            check(&whole[..end], false);
        }
        check(r#"{"Records":[{"kinesis":{"data":"YQ=="}}]}"#, false);
        check(r#"{"awslogs":{"data":"YQ=="}}"#, false);
        check(r#"{"data":"YQ=="#, false);
    }
}
