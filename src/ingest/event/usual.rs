//! The quick way into a Kinesis event as AWS writes it. Nearly all of its megabytes are the base64 texts
//! at `data`, and a JSON parser looks at each byte of them several times. Here one walk goes from string
//! to string, by a search for the quote that ends each.
//!
//! Left to `event`: every other event. Whatever is unusual, here, is `None`: blanks, escapes, a field that is
//! missing, twice there or of another type. Left to `decode`: control characters in a base64 text, for which a
//! parser would refuse the whole event; so it is one record that cannot be read, and not all of them.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr2;
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::{Batch, Data, Record, SequenceNumber, no_state};

/// A Kinesis event in which every record has all its fields, each written without an escape.
pub(super) fn parse(payload: &str) -> Option<Batch<'_>> {
    let mut walk = Walk { payload, at: 0, ending: None };
    let mut records = Vec::new();
    walk.eat("{\"Records\":[")?;
    if walk.eat("]").is_none() {
        loop {
            records.push(walk.record()?);
            if walk.ends("]")? {
                break;
            }
        }
    }
    Some(Batch { records, window_state: window_state(&payload[walk.at..])? })
}

/// What follows the records, if it is what follows records: the window, if there is one.
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
    let rest: Rest<'_> = serde_json::from_str(&object).ok().filter(|rest: &Rest<'_>| rest.records.is_none())?;
    Some(rest.window.map(|_| rest.state.unwrap_or_else(no_state)))
}

struct Walk<'p> {
    payload: &'p str,
    at: usize,
    /// How the record before ended.
    ending: Option<Ending<'p>>,
}

/// What stands behind the id of a record, to its brace: in all records of a shard the same.
#[derive(Clone, Copy)]
struct Ending<'p> {
    text: &'p str,
    region: &'p str,
    stream_arn: &'p str,
}

/// The fields at `kinesis`, as far as they have come.
#[derive(Default)]
struct Kinesis<'p> {
    sequence_number: Option<&'p str>,
    partition_key: Option<&'p str>,
    arrived_at: Option<&'p str>,
    /// Where it stands.
    data: Option<Range<usize>>,
}

impl<'p> Walk<'p> {
    fn record(&mut self) -> Option<Record<'p>> {
        let start = self.at;
        let (mut event_id, mut region, mut stream_arn, mut kinesis) = (None, None, None, None);
        // Where the ending begins, if all that is wanted of it comes behind the id; and whether it is the known one.
        let (mut ending, mut is_known) = (None, false);
        self.eat("{")?;
        loop {
            // The same in every record, and nobody wants them.
            self.is_next(r#""eventSource":"aws:kinesis","eventVersion":"1.0","#);
            self.is_next(r#""eventName":"aws:kinesis:record","#);
            if self.is_next(r#""kinesis":"#) {
                once(&mut kinesis, self.kinesis()?)?;
            } else if self.is_next(r#""eventID":"#) {
                once(&mut event_id, self.string()?)?;
                if region.is_none() && stream_arn.is_none() {
                    ending = Some(self.at);
                    if let Some(known) = self.ending.filter(|known| self.is_next(known.text)) {
                        (region, stream_arn, is_known) = (Some(known.region), Some(known.stream_arn), true);
                        break;
                    }
                }
            } else if self.is_next(r#""awsRegion":"#) {
                once(&mut region, self.string()?)?;
            } else if self.is_next(r#""eventSourceARN":"#) {
                once(&mut stream_arn, self.string()?)?;
            } else {
                self.other()?;
            }
            if self.ends("}")? {
                break;
            }
        }
        let (kinesis, event_id, region, stream_arn) = (kinesis?, event_id?, region?, stream_arn?);
        let data = kinesis.data?;
        let control = |text: &str| text.bytes().fold(false, |any, byte| any | (byte < b' '));
        let unseen_to = ending.filter(|_| is_known).unwrap_or(self.at);
        if control(&self.payload[start..data.start]) || control(&self.payload[data.end..unseen_to]) {
            return None;
        }
        if !is_known {
            self.ending = ending.map(|from| Ending { text: &self.payload[from..self.at], region, stream_arn });
        }
        Some(Record {
            event_id: Cow::Borrowed(event_id),
            sequence: SequenceNumber::new(Cow::Borrowed(kinesis.sequence_number?)),
            region: Some(Cow::Borrowed(region)),
            stream_arn: Some(Cow::Borrowed(stream_arn)),
            partition_key: Some(Cow::Borrowed(kinesis.partition_key?)),
            arrived_at: Some(Cow::Borrowed(kinesis.arrived_at?)),
            data: Data::Base64(Cow::Borrowed(&self.payload[data])),
        })
    }

    fn kinesis(&mut self) -> Option<Kinesis<'p>> {
        let mut kinesis = Kinesis::default();
        self.eat("{")?;
        self.is_next(r#""kinesisSchemaVersion":"1.0","#);
        loop {
            if self.is_next(r#""partitionKey":"#) {
                once(&mut kinesis.partition_key, self.string()?)?;
            } else if self.is_next(r#""sequenceNumber":"#) {
                once(&mut kinesis.sequence_number, self.string()?)?;
            } else if self.is_next(r#""data":"#) {
                let length = self.string()?.len();
                once(&mut kinesis.data, self.at - 1 - length..self.at - 1)?;
            } else if self.is_next(r#""approximateArrivalTimestamp":"#) {
                once(&mut kinesis.arrived_at, self.number()?)?;
            } else {
                self.other()?;
            }
            if self.ends("}")? {
                return Some(kinesis);
            }
        }
    }

    /// A field that nobody wants.
    fn other(&mut self) -> Option<()> {
        self.string()?;
        self.eat(":")?;
        self.string().map(drop)
    }

    /// A string without escapes.
    fn string(&mut self) -> Option<&'p str> {
        self.eat("\"")?;
        let rest = &self.payload[self.at..];
        let length = memchr2(b'"', b'\\', rest.as_bytes())?;
        self.at += length;
        self.eat("\"")?;
        Some(&rest[..length])
    }

    /// Seconds, with or without a fraction.
    fn number(&mut self) -> Option<&'p str> {
        let rest = &self.payload[self.at..];
        let digits = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count();
        let mut length = digits(rest);
        if rest[length..].starts_with('.') {
            match digits(&rest[length + 1..]) {
                0 => return None,
                fraction => length += 1 + fraction,
            }
        }
        self.at += length;
        // JSON has no numbers with leading zeros.
        matches!(rest.as_bytes().first(), Some(b'1'..=b'9')).then(|| &rest[..length])
    }

    /// Whether `end` follows, or else a comma.
    fn ends(&mut self, end: &str) -> Option<bool> {
        match self.eat(end) {
            Some(()) => Some(true),
            None => self.eat(",").map(|()| false),
        }
    }

    /// Whether `token` is next, and if so, goes behind it.
    #[inline(always)]
    fn is_next(&mut self, token: &str) -> bool {
        self.eat(token).is_some()
    }

    #[inline(always)]
    fn eat(&mut self, token: &str) -> Option<()> {
        let is_next = self.payload.as_bytes()[self.at..].starts_with(token.as_bytes());
        is_next.then(|| self.at += token.len())
    }
}

/// A parser would take a field that is there twice for a mistake.
fn once<T>(field: &mut Option<T>, value: T) -> Option<()> {
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

    fn check(payload: &str, is_usual: bool) {
        let usual = parse(payload);
        assert_eq!(usual.is_some(), is_usual, "{payload:.200}");
        if let Some(usual) = usual {
            let Ok(Event::Batch(whole)) = any(payload, "request".into()) else { panic!("a batch: {payload:.200}") };
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

    /// In the order in which AWS writes them, so that a record may end as the one before.
    #[test]
    fn an_ending_is_taken_from_the_record_before_only_if_it_is_the_same() {
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
        // The region first, so that the ending does not have all: it is each record's own.
        let region_first = |id: &str, region: &str| {
            format!(
                r#"{{"awsRegion":"{region}","kinesis":{{"partitionKey":"p","sequenceNumber":"{id}","data":"YQ==","approximateArrivalTimestamp":1.5}},"eventID":"s:{id}","eventSourceARN":"a"}}"#
            )
        };
        check(&format!(r#"{{"Records":[{},{}]}}"#, region_first("1", "r"), region_first("2", "q")), true);
        // The id first, so that all of the record is its ending.
        let whole = r#"{"eventID":"s:1","kinesis":{"partitionKey":"p","sequenceNumber":"1","data":"YQ==","approximateArrivalTimestamp":1.5},"awsRegion":"r","eventSourceARN":"a"}"#;
        check(&format!(r#"{{"Records":[{whole}]}}"#), true);
        check(&format!(r#"{{"Records":[{whole},{}]}}"#, whole.replace("s:1", "s:2").replace("\"1\"", "\"2\"")), true);
    }

    #[test]
    fn a_control_character_in_one_text_is_the_matter_of_its_record() {
        let payload = sample("kinesis-burst.json");
        let value: Value = serde_json::from_str(&payload).unwrap();
        let bad = value.to_string().replacen("\"data\":\"H", "\"data\":\"\n", 1);
        let batch = parse(&bad).expect("its records");
        let decoder = crate::ingest::decode::Decoder { decoded_bytes_max: 1 << 24, needles: None };
        let read = crate::ingest::decode::all(&batch.records, &decoder, |_, _, events| events.each(|_| ()));
        assert_eq!(read.iter().filter(|record| matches!(record.poison, Some(Poison::BadBase64(_)))).count(), 1);
        assert!(read.len() > 1 && read[1..].iter().all(|record| record.poison.is_none()), "{read:?}");
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
