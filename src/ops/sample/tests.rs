//! Checks the samples with base64, flate2 and serde_json only: the code under test does not read
//! its own output.

use std::collections::HashSet;
use std::io::Read;

use base64::{Engine, engine::general_purpose::STANDARD};
use flate2::read::{GzDecoder, MultiGzDecoder, ZlibDecoder};
use proptest::prelude::*;
use serde_json::Value;

use super::rng::SampleClock;
use super::*;

pub(super) fn unpacked(data: &str) -> Vec<u8> {
    let bytes = STANDARD.decode(data).unwrap();
    let mut text = Vec::new();
    MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
    text
}

fn message(data: &str) -> Value {
    serde_json::from_slice(&unpacked(data)).unwrap()
}

fn log_events(message: &Value) -> &[Value] {
    message["logEvents"].as_array().unwrap()
}

/// The top of a 56-digit number without its lowest 144 bits, by halving the decimal 144 times.
fn shifted(id: &str) -> i64 {
    let mut digits: Vec<u8> = id.bytes().map(|byte| byte - b'0').collect();
    for _ in 0..144 {
        let mut rest = 0;
        for digit in &mut digits {
            let part = rest * 10 + *digit;
            (*digit, rest) = (part / 2, part % 2);
        }
    }
    digits.iter().fold(0, |number, digit| number * 10 + i64::from(*digit))
}

#[test]
fn ids_carry_their_timestamp() {
    // The sample in AWS's own documentation ("Validate the flow of log events", an older edition).
    let real = "31953106606966983378809025079804211143289615424298221568";
    assert_eq!(shifted(real), 1_432_826_855_000);
    assert_eq!(
        payload::id(1_432_826_855_000, 93_901_774_216_521_307, 11_551_569_037_146_259_456),
        real
    );
    assert_eq!(payload::id(0, 0, 0), "0".repeat(56));
    assert_eq!(shifted(&payload::id(START_MS, u64::MAX, u64::MAX)), START_MS);
    assert_eq!(payload::id(START_MS, 0, 0).len(), 56);
}

#[test]
fn neighbors_of_one_call_have_neighboring_ids() {
    // Two events of a public sample, 388 ms apart.
    let (first, second) = (1_498_548_236_012, 1_498_548_236_400);
    let (high, low) = (0x015c_e86f_81c4_18da, 0x6d43_7dc8_7f07_0000);
    assert_eq!(
        payload::id(first, high, low),
        "33418742379011144044923130086453437181614530551221780480"
    );
    assert_eq!(
        payload::id(second, high, low + 1),
        "33418742387663833181953011865369295871402094815542181889"
    );
}

#[test]
fn times_follow_the_calendar() {
    let check = |ms, expected: &str| assert_eq!(SampleClock::of(ms).iso(), expected);
    check(0, "1970-01-01T00:00:00.000Z");
    check(START_MS, "2025-11-03T09:15:00.000Z");
    check(1_709_251_199_999, "2024-02-29T23:59:59.999Z");
    check(951_782_400_000, "2000-02-29T00:00:00.000Z");
    check(1_735_689_600_000, "2025-01-01T00:00:00.000Z");
    assert_eq!(SampleClock::of(START_MS).web(), "03/Nov/2025:09:15:00 +0000");
    assert_eq!(SampleClock::of(START_MS).syslog(), "Nov  3 09:15:00");
}

fn options() -> impl Strategy<Value = SampleOptions> {
    let sizes = (0..12_usize, 0..9_usize, 0..5_usize, 0..20_usize, 0..5_usize);
    let shares = (0.0..=1.0, 0.0..=1.0, 0.0..=1.0);
    (sizes, shares, any::<u64>(), 0..100_000_i64, any::<bool>()).prop_map(
        |(
            (records, events, accounts, groups, events_per_request),
            (ratio, duplicates, poison),
            seed,
            span_ms,
            direct,
        )| SampleOptions {
            records,
            events_per_record: events,
            events_per_request,
            match_ratio: ratio,
            duplicates,
            poison,
            accounts,
            log_groups: groups,
            seed,
            span_ms,
            shape: if direct { SampleShape::Subscription } else { SampleShape::Kinesis },
            ..SampleOptions::default()
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn counts_are_as_planned(options in options()) {
        let plan = Plan::of(&options);
        let made = event(&options);
        prop_assert_eq!(made.data().len(), plan.records);
        let good: Vec<Value> = made.data().into_iter().filter_map(readable).collect();
        prop_assert_eq!(good.len(), plan.records - plan.poison);
        let contents: HashSet<String> = good.iter().map(Value::to_string).collect();
        if options.events_per_record > 0 {
            prop_assert_eq!(contents.len(), good.len() - plan.repeats);
        }
        let events: Vec<&Value> = good.iter().flat_map(log_events).collect();
        prop_assert_eq!(events.len(), plan.events);
        prop_assert!(good.iter().all(|m| log_events(m).len() == options.events_per_record));

        let distinct: HashSet<(&str, &str)> = events.iter().map(|e| (text(e, "id"), text(e, "message"))).collect();
        let ids: HashSet<&str> = distinct.iter().map(|(id, _)| *id).collect();
        prop_assert_eq!((ids.len(), distinct.len()), (plan.distinct_events, plan.distinct_events));
        let marked = distinct.iter().filter(|(_, m)| options.markers.iter().any(|marker| m.contains(marker)));
        prop_assert_eq!(marked.count(), plan.marked);
        for event in events {
            let at = event["timestamp"].as_i64().unwrap();
            prop_assert!((START_MS..=START_MS + options.span_ms).contains(&at));
            prop_assert_eq!(shifted(text(event, "id")), at);
        }
    }

    #[test]
    fn records_are_numbered_like_those_of_one_shard(options in options()) {
        let SampleEvent::Kinesis(made) = event(&SampleOptions { shape: SampleShape::Kinesis, ..options }) else { unreachable!() };
        for record in &made.records {
            let number = &record.kinesis.sequence_number;
            prop_assert!(number.len() == 56 && number.bytes().all(|byte| byte.is_ascii_digit()));
            prop_assert_eq!(&record.event_id, &format!("shardId-000000000003:{number}"));
        }
        for pair in made.records.windows(2) {
            prop_assert!(pair[0].kinesis.sequence_number < pair[1].kinesis.sequence_number);
            let arrivals = [&pair[0], &pair[1]].map(|r| r.kinesis.approximate_arrival_timestamp);
            prop_assert!(arrivals[0] <= arrivals[1]);
        }
    }
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

/// The message, if it can be read: gzip with nothing after it, and at most a MiB, which is much
/// more than any of these samples has and keeps the tests from inflating bombs.
pub(super) fn readable(data: &str) -> Option<Value> {
    const MOST: u64 = 1 << 20;
    let bytes = STANDARD.decode(data).ok()?;
    let mut text = Vec::new();
    MultiGzDecoder::new(&bytes[..]).take(MOST).read_to_end(&mut text).ok()?;
    let message: Value = serde_json::from_slice(&text).ok()?;
    (message["logEvents"].is_array() && (text.len() as u64) < MOST).then_some(message)
}

#[test]
fn the_seed_determines_the_event() {
    let contents = |seed| {
        let made = event(&SampleOptions { seed, duplicates: 0.2, ..SampleOptions::default() });
        let SampleEvent::Kinesis(made) = made else { unreachable!() };
        let numbers: Vec<String> = made.records.iter().map(|r| r.event_id.clone()).collect();
        let messages: Vec<Value> = made.records.iter().map(|r| message(&r.kinesis.data)).collect();
        (numbers, messages)
    };
    assert_eq!(contents(7), contents(7));
    assert_ne!(contents(7), contents(8));
}

#[test]
fn lines_of_a_request_share_its_time_and_ids() {
    let options = SampleOptions {
        events_per_request: 4,
        log_groups: 1,
        match_ratio: 0.0,
        ..SampleOptions::default()
    };
    let messages: Vec<Value> = event(&options).data().into_iter().map(message).collect();
    let thread = |event: &Value| {
        let (_, behind) =
            text(event, "message").split_once("[nio-8080-exec-").expect("payments-api");
        behind.split_once(']').unwrap().0.to_owned()
    };
    let mut threads = HashSet::new();
    for request in messages.iter().flat_map(|record| log_events(record).chunks(4)) {
        let shared: HashSet<_> =
            request.iter().map(|event| (event["timestamp"].as_i64(), thread(event))).collect();
        assert_eq!(shared.len(), 1, "{shared:?}");
        threads.extend(shared);
    }
    assert!(threads.len() > messages.len(), "each request has its own time and thread");

    let bytes = |events_per_request| {
        let made = event(&SampleOptions {
            events_per_request,
            events_per_record: 2_000,
            ..options.clone()
        });
        made.data().into_iter().map(str::len).sum::<usize>()
    };
    assert!(bytes(4) * 3 < bytes(1) * 2, "{} {}", bytes(4), bytes(1));
}

#[test]
fn every_account_and_log_group_occurs() {
    let made = event(&SampleOptions {
        records: 40,
        accounts: 5,
        log_groups: 19,
        ..SampleOptions::default()
    });
    let messages: Vec<Value> = made.data().into_iter().map(message).collect();
    let distinct = |field| messages.iter().map(|m| text(m, field)).collect::<HashSet<_>>().len();
    assert_eq!((distinct("owner"), distinct("logGroup")), (5, 19));
}

#[test]
fn ordinary_lines_carry_no_marker() {
    let markers = ["ERROR", "[INFO]", "\"level\":\"INFO\"", ""].map(str::to_owned).to_vec();
    let options =
        SampleOptions { markers: markers.clone(), match_ratio: 0.3, ..SampleOptions::default() };
    let messages: Vec<Value> = event(&options).data().into_iter().map(message).collect();
    let lines = messages.iter().flat_map(log_events).map(|event| text(event, "message"));
    let marked = lines.filter(|line| markers[..3].iter().any(|marker| line.contains(marker)));
    assert_eq!(marked.count(), Plan::of(&options).marked);
}

#[test]
fn lines_have_a_realistic_length() {
    let made = event(&SampleOptions { match_ratio: 0.5, records: 40, ..SampleOptions::default() });
    let messages: Vec<Value> = made.data().into_iter().map(message).collect();
    for event in messages.iter().flat_map(log_events) {
        let line = text(event, "message");
        assert!((80..=450).contains(&line.len()), "{} bytes: {line}", line.len());
    }
}

#[test]
fn alerts_need_no_marker() {
    let options =
        SampleOptions { markers: Vec::new(), match_ratio: 1.0, ..SampleOptions::default() };
    let data = event(&options);
    assert_eq!(log_events(&message(data.data()[0])).len(), options.events_per_record);
}

#[test]
fn poison_has_the_damage_of_its_kind() {
    let good = br#"{"messageType":"DATA_MESSAGE","logEvents":[{"message":"[ALERT] disk full"}]}"#;
    let gzip = |bytes: &[u8]| {
        let mut text = Vec::new();
        GzDecoder::new(bytes).read_to_end(&mut text).map(|_| text)
    };
    for kind in PoisonKind::ALL {
        let data = kind.data(good);
        assert!(readable(&data).is_none(), "{}", kind.name());
        let bytes = STANDARD.decode(&data);
        let Ok(bytes) = bytes else {
            assert_eq!(kind, PoisonKind::BadBase64);
            continue;
        };
        let mut text = Vec::new();
        match kind {
            PoisonKind::BadBase64 => panic!("this is base64"),
            PoisonKind::NotGzip => assert_eq!(bytes, good),
            PoisonKind::Zlib => {
                ZlibDecoder::new(&bytes[..]).read_to_end(&mut text).unwrap();
                assert_eq!(text, good);
            }
            PoisonKind::TruncatedGzip => {
                let failure = gzip(&bytes).unwrap_err();
                assert_eq!(failure.kind(), std::io::ErrorKind::UnexpectedEof);
            }
            PoisonKind::TrailingBytes => {
                assert_eq!(gzip(&bytes).unwrap(), good, "a decoder of one member does not notice");
                assert!(MultiGzDecoder::new(&bytes[..]).read_to_end(&mut text).is_err());
            }
            PoisonKind::WrongChecksum => {
                assert!(GzDecoder::new(&bytes[..]).read_to_end(&mut text).is_err());
                assert_eq!(text, good, "only the checksum is wrong");
            }
            PoisonKind::NotJson => {
                assert!(serde_json::from_slice::<Value>(&gzip(&bytes).unwrap()).is_err())
            }
            PoisonKind::NotSubscription => {
                let other: Value = serde_json::from_slice(&gzip(&bytes).unwrap()).unwrap();
                assert_eq!(other["messageType"], Value::Null);
            }
            PoisonKind::Bomb => assert_bomb(&bytes, good),
            PoisonKind::InvalidUtf8 => {
                let text = gzip(&bytes).unwrap();
                assert!(std::str::from_utf8(&text).is_err());
                assert!(serde_json::from_str::<Value>(&String::from_utf8_lossy(&text)).is_ok());
            }
        }
    }
}

/// The length in the trailer is the decoded size. A debug build inflates a small bomb to check its
/// checksum, because inflating 64 MiB takes ten seconds.
fn assert_bomb(bytes: &[u8], good: &[u8]) {
    assert!(bytes.len() < 70_000, "{} bytes", bytes.len());
    let length = u32::from_le_bytes(*bytes.last_chunk().unwrap());
    assert_eq!(length as usize, good.len() + (64 << 20));

    let mib = if cfg!(debug_assertions) { 2 } else { 64 };
    let mut text = Vec::new();
    GzDecoder::new(&poison::bomb(good, mib)[..]).read_to_end(&mut text).unwrap();
    assert!(text.starts_with(good));
    assert!(text[good.len()..] == vec![b' '; mib << 20]);
}

#[test]
fn poison_cycles_through_the_kinds() {
    let slots = |poison| {
        let options =
            SampleOptions { records: 20, events_per_record: 1, poison, ..SampleOptions::default() };
        let slots = Writer::new(&options).slots();
        let kind = |slot| {
            if let Slot::Poison(kind) = slot { Some(kind) } else { None }
        };
        slots.into_iter().filter_map(kind).collect::<Vec<_>>()
    };
    assert_eq!(slots(0.5), PoisonKind::ALL);
    assert_eq!(slots(1.0), [PoisonKind::ALL, PoisonKind::ALL].concat());
}
