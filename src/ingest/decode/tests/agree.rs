//! The prefilter and the parser agree: on messages of any style, on mutated messages, on every
//! sample, and with either backend of gzip.

use std::ops::ControlFlow;

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::ingest::event::{self, Event};
use crate::ingest::logs::LogEvent;
use crate::model::statement;

/// Each set uses another search.
const MARKERS: [&[&str]; 5] = [
    &["[CRITICAL]", "[ALERT]"],
    &["[ALERT]", "ERROR", "CRITICAL"],
    &["alert", "[ALERT]"],
    &["A"],
    &["a", "L"],
];

/// The head of a message, how many events it has, and those with a marker.
type Outcome = Decoded<(LogBatch<'static>, u64)>;

fn outcome(
    records: &[Record<'_>],
    markers: &[&str],
    prefilter: Option<MarkerPrefilter>,
) -> Vec<Outcome> {
    let decoder = Decoder { decoded_bytes_max: MAX, prefilter };
    all(records, &decoder, |_, head, events| {
        let mut marked = LogBatch { events: Vec::new(), ..owned(head) };
        let count = events.each(|event| {
            let plain = statement::without_sequences(&event.message);
            if markers.iter().any(|marker| plain.contains(marker)) {
                marked.events.push(owned_event(event));
            }
        })?;
        Ok((marked, count))
    })
}

fn owned(batch: &LogBatch<'_>) -> LogBatch<'static> {
    let own = |text: &Cow<'_, str>| Cow::Owned(text.to_string());
    LogBatch {
        owner: own(&batch.owner),
        log_group: own(&batch.log_group),
        log_stream: own(&batch.log_stream),
        events: batch.events.iter().map(owned_event).collect(),
    }
}

fn owned_event(event: &LogEvent<'_>) -> LogEvent<'static> {
    let own = |text: &Cow<'_, str>| Cow::Owned(text.to_string());
    LogEvent {
        id: own(&event.id),
        timestamp: event.timestamp,
        message: own(&event.message),
        account: event.account.as_ref().map(own),
        region: event.region.as_ref().map(own),
    }
}

/// The prefilter gives the parser's answer for a valid message. For an invalid one it gives the
/// same poison, or none if the fault is in a text without a marker, which it does not check; and it
/// finds the same alerts.
fn agree(records: &[Record<'_>]) -> ControlFlow<String> {
    for markers in MARKERS {
        let prefilter = MarkerPrefilter::new(markers.iter().copied());
        assert!(prefilter.is_some());
        let both =
            outcome(records, markers, None).into_iter().zip(outcome(records, markers, prefilter));
        for (parsed, prefiltered) in both {
            let marked =
                |outcome: &Outcome| outcome.content.as_ref().map(|(batch, _)| batch.clone());
            let same_poison = prefiltered.poison.is_none() || prefiltered.poison == parsed.poison;
            let same_alerts = parsed.content.is_none() || marked(&parsed) == marked(&prefiltered);
            if parsed != prefiltered && (parsed.poison.is_none() || !same_poison || !same_alerts) {
                return ControlFlow::Break(format!("{markers:?}\n{parsed:?}\n{prefiltered:?}"));
            }
        }
    }
    ControlFlow::Continue(())
}

/// Texts of raw JSON.
fn text() -> impl Strategy<Value = String> {
    let pieces = select(vec![
        "[ALERT]",
        "[CRITICAL]",
        "ERROR",
        "alert",
        r"\u005bALERT]",
        r"[\u0041LERT]",
        r"[ALERT\u005D",
        r"\\u005bALERT]",
        r"\\\u005bALERT]",
        r"\u0061lert",
        r"\u001b[31m",
        r"\u001B[0;1m",
        r"\u001b]8;;x\u0007",
        r"\u001b(B",
        r"\u001b",
        r"[\u001b[31mALERT\u001b[m]",
        r"A\u001b[1m\u001b[31mLERT",
        r"A\u001b[\u0031mLERT",
        r"al\u001b[31mert",
        "[ALE",
        "RT]",
        "A",
        "x",
        r#"\""#,
        r"\\",
        r#"\\\""#,
        r"\n",
        r"\/",
        r"\u00e9",
        r"\ud83d\ude00",
        "é",
        r#"\"},{\"id\":\"7\",\"message\":\"[ALERT]\"}]}"#,
        r#"},{"#,
        "0123456789 0123456789 0123456789 ",
    ]);
    prop::collection::vec(pieces, 0..6).prop_map(|pieces| pieces.concat())
}

/// A value of any type, including objects that look like events.
fn value() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        text().prop_map(|text| format!("\"{text}\"")),
        select(vec!["null", "true", "-1.5e3", "7", "{}", "[]"]).prop_map(str::to_owned),
    ];
    leaf.prop_recursive(2, 6, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 1..3)
                .prop_map(|values| format!("[{}]", values.join(","))),
            (
                select(vec!["id", "message", "@aws.account", "@aws.region", "[ALERT]", "a b"]),
                inner.clone()
            )
                .prop_map(|(key, value)| format!("{{\"{key}\":{value}}}")),
            inner.prop_map(|value| format!(
                r#"{{"id":"1","timestamp":2,"message":"[ALERT]","x":{value}}}"#
            )),
        ]
    })
}

fn id() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => "[0-9]{56}".prop_map(|digits| format!("\"{digits}\"")),
        1 => "[0-9a-f]{0,60}".prop_map(|id| format!("\"{id}\"")),
        1 => "[1-9][0-9]{0,60}",
    ]
}

fn timestamp() -> impl Strategy<Value = String> {
    prop_oneof![6 => "1[0-9]{12}", 1 => "-?[0-9]{1,20}", 1 => Just("\"1\"".to_owned())]
}

/// One log event, mostly as AWS writes it.
fn event() -> impl Strategy<Value = String> {
    let fields = (id(), timestamp(), text(), prop::option::weighted(0.3, value()));
    (fields, 0..12_u8).prop_map(|((id, timestamp, message, more), style)| {
        let extracted =
            more.as_ref().map_or(String::new(), |more| format!(",\"extractedFields\":{more}"));
        let other = more.as_ref().map_or(String::new(), |more| format!(",\"other\":{more}"));
        match style {
            0 => {
                format!(r#"{{"message":"{message}","id":{id},"timestamp":{timestamp}{extracted}}}"#)
            }
            1 => format!(r#"{{ "id" : {id}, "timestamp":{timestamp},"message":"{message}" }}"#),
            2 => format!(r#"{{"id":{id},"timestamp":{timestamp},"message":"{message}"{other}}}"#),
            3 => format!(r#"{{"id":{id}{other},"timestamp":{timestamp},"message":"{message}"}}"#),
            4 => format!(
                r#"{{"id":{id},"timestamp":{timestamp},"message":"{message}"{extracted},"x":1}}"#
            ),
            _ => {
                format!(r#"{{"id":{id},"timestamp":{timestamp},"message":"{message}"{extracted}}}"#)
            }
        }
    })
}

/// A message, mostly as AWS writes it.
fn message() -> impl Strategy<Value = String> {
    let blank = select(vec!["", "", "", "", "", "", " ", "\n"]);
    let field = |usual: &'static str, others: Vec<&'static str>| prop_oneof![9 => Just(usual), 1 => select(others)];
    (
        field(
            r#""messageType":"DATA_MESSAGE","#,
            vec![r#""messageType":"CONTROL_MESSAGE","#, "", r#""messageType":7,"#],
        ),
        field(r#""owner":"111122223333","#, vec![r#""owner":"1","owner":"2","#, r#""owner":null,"#, ""]),
        field(r#""logGroup":"/aws/lambda/a","#, vec![r#""logGroup":"/[ALERT]","#, r#""logGroup":"a\/b","#]),
        field(r#""subscriptionFilters":["f"],"#, vec![r#""policyLevel":"x","#, r#""new":{"id":"1"},"#, r#""n":7,"#]),
        prop::collection::vec(event(), 0..5),
        (blank.clone(), blank.clone(), blank),
        field("", vec![r#","policyLevel":"ACCOUNT_LEVEL_POLICY""#, r#","owner":"9""#, r#","x":[{"id":"1"}]"#]),
        any::<bool>(),
    )
        .prop_map(|(kind, owner, group, more, events, (a, b, c), tail, kind_last)| {
            let (first, last) = if kind_last { ("", kind) } else { (kind, "") };
            let events = events.join(&format!(",{b}"));
            format!(
                r#"{{{first}{owner}{group}"logStream":"[s]",{more}{last}"logEvents":{a}[{b}{events}]{a}{tail}}}{c}"#
            )
        })
}

fn packed(text: &[u8]) -> [Record<'static>; 1] {
    [record(STANDARD.encode(gzip(text)))]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn prefilter_and_parser_agree(message in message()) {
        prop_assert_eq!(agree(&packed(message.as_bytes())), ControlFlow::Continue(()), "{}", message);
    }

    #[test]
    fn prefilter_and_parser_agree_on_mutated_messages(
        message in message(),
        at in any::<Index>(),
        removed in 0..4_usize,
        added in select(vec!["", "\"", "\\", "{", "}", "[", "]", ",", ":", "u", " ", "\u{0}", "7", "]}"]),
    ) {
        let mut bytes = message.clone().into_bytes();
        let at = at.index(bytes.len());
        bytes.splice(at..(at + removed).min(bytes.len()), added.bytes());
        prop_assert_eq!(agree(&packed(&bytes)), ControlFlow::Continue(()), "{:?}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn both_gzip_backends_give_the_same_answers(
        texts in prop::collection::vec("[ab]{0,300}", 1..4),
        at in any::<Index>(),
        change in prop::option::of((any::<u8>(), 0..3_usize)),
        trailing in select(vec![&b""[..], b"x", b"\x1f\x8b", b"\0\0"]),
        decoded_bytes_max in 0..600_u64,
    ) {
        let mut stream: Vec<u8> = texts.iter().flat_map(|text| gzip(text.as_bytes())).collect();
        stream.extend_from_slice(trailing);
        if let Some((byte, removed)) = change {
            let at = at.index(stream.len());
            stream.splice(at..(at + removed).min(stream.len()), [byte]);
        }
        let (mut one, mut other) = (Vec::new(), vec![7; 9]);
        let portable = gzip::portable(&stream, decoded_bytes_max, &mut one);
        prop_assert_eq!(gzip::inflate(&stream, decoded_bytes_max, &mut other), portable.clone());
        if portable.is_ok() {
            prop_assert_eq!(one, other);
        }
    }
}

#[test]
fn prefilter_and_parser_agree_on_every_sample() {
    let samples = std::fs::read_dir(concat!(env!("CARGO_MANIFEST_DIR"), "/events")).unwrap();
    let paths = samples
        .map(|sample| sample.unwrap().path())
        .filter(|path| path.extension().is_some_and(|e| e == "json"));
    for path in paths {
        let payload = std::fs::read_to_string(&path).unwrap();
        // The events of a notifier have no records.
        let Event::Batch(batch) = event::read(&payload, "sample").unwrap() else { continue };
        for markers in MARKERS {
            let prefilter = MarkerPrefilter::new(markers.iter().copied());
            let (parsed, prefiltered) = (
                outcome(&batch.records, markers, None),
                outcome(&batch.records, markers, prefilter),
            );
            assert_eq!(parsed, prefiltered, "{}", path.display());
        }
    }
}

/// If these were in doubt, the parser would read everything.
#[test]
fn messages_in_the_usual_shape_are_never_in_doubt() {
    let id = "3".repeat(56);
    let event = |message: &str, more: &str| {
        format!(r#"{{"id":"{id}","timestamp":1795443306789,"message":"{message}"{more}}}"#)
    };
    let message = |events: &[String], tail: &str| {
        format!(
            r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"g","logStream":"s","subscriptionFilters":["f"],"policyLevel":"p","logEvents":[{}]{tail}}}"#,
            events.join(",")
        )
    };
    let extracted = r#","extractedFields":{"@aws.account":"9","x":"{\"id\":\"1\"}"}"#;
    let markers = MarkerPrefilter::new(["[ALERT]"]).unwrap();
    let check = |text: &str, expected: Option<(u64, usize)>| {
        let mut candidates = Vec::new();
        let found = super::prefilter(text.as_bytes(), &markers, &mut candidates);
        assert_eq!(found.map(|found| (found.events, candidates.len())), expected, "{text}");
    };
    check(&message(&[], ""), Some((0, 0)));
    check(
        &message(&[event("a", ""), event("[ALERT]", ""), event("x[ALERT]", extracted)], ""),
        Some((3, 2)),
    );
    check(
        &message(
            &[event(r#"{\"a\":\"C:\\\\\",\"b\":\"[ALE\u0052T]\"}\\"#, ""), event("", extracted)],
            "",
        ),
        Some((2, 1)),
    );
    // Colored lines are no candidates, unless a marker may be divided.
    let colored = [
        event(r"\u001b[32m INFO \u001b[0m[\u001b[1;34mINFO\u001b[m] x", ""),
        event(r"[\u001b[31mALERT\u001b[m] x", ""),
    ];
    check(&message(&colored, ""), Some((2, 1)));
    check(&message(&[event("a", "")], r#","policyLevel":"x""#), Some((1, 0)));
    check(&message(&[event("a", "")], r#","owner":"x""#), None);
    check(&format!("{} ", message(&[event("a", "")], "")), None);
}
