use std::io::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};
use proptest::prelude::*;

use super::*;

mod agree;

const MAX: u64 = 1 << 20;
const DATA: &str = r#"{"messageType":"DATA_MESSAGE","owner":"123456789012","logGroup":"/aws/lambda/a","logStream":"s","new":{"x":[1]},
    "policyLevel":"ACCOUNT_LEVEL_POLICY","logEvents":[{"id":"1","timestamp":7,"message":"[CRITICAL] a"},{"id":2,"timestamp":8,"message":"\u005bALERT]","extractedFields":{"@aws.account":"9","n":4}}]}"#;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(text).expect("in memory");
    encoder.finish().expect("in memory")
}

fn record(data: String) -> Record<'static> {
    Record::named("r".into(), Data::Base64(data.into()))
}

fn decoder(markers: &[&str]) -> Decoder {
    Decoder { decoded_bytes_max: MAX, prefilter: MarkerPrefilter::new(markers.iter().copied()) }
}

/// The texts of a record; none for a control message.
fn decode(bytes: &[u8]) -> Result<Vec<String>, Poison> {
    let records = [record(STANDARD.encode(bytes))];
    let texts = |_: &Record<'_>, _: &LogBatch<'_>, events: Events<'_>| {
        let mut texts = Vec::new();
        events.each(|event| texts.push(event.message.to_string()))?;
        Ok(texts)
    };
    let [parsed, prefiltered] = [decoder(&[]), decoder(&["[ALERT]", "[CRITICAL]"])]
        .map(|decoder| all(&records, &decoder, texts).remove(0));
    assert_eq!(parsed, prefiltered, "every event of these tests is an alert, or they are poison");
    parsed.whole().map(Option::unwrap_or_default)
}

fn described(poison: &Poison) -> String {
    format!("{}: {poison}", poison.code())
}

#[test]
fn a_data_message_may_have_unknown_fields_escapes_and_numeric_ids() {
    assert_eq!(
        decode(&gzip(DATA.as_bytes())),
        Ok(vec!["[CRITICAL] a".to_owned(), "[ALERT]".to_owned()])
    );
    let Ok((Message::Data(batch), None)) = parse::message(DATA) else { panic!("a data message") };
    assert_eq!((batch.events[1].id.as_ref(), batch.events[1].account.as_deref()), ("2", Some("9")));
    assert!(
        matches!(batch.log_group, Cow::Borrowed("/aws/lambda/a")),
        "a name without escapes is borrowed"
    );
}

#[test]
fn a_control_message_needs_no_log_group() {
    assert_eq!(decode(&gzip(br#"{"messageType":"CONTROL_MESSAGE","logEvents":[]}"#)), Ok(vec![]));
}

#[test]
fn every_gzip_member_is_read() {
    let (one, two) = DATA.as_bytes().split_at(100);
    assert_eq!(decode(&[gzip(one), gzip(b""), gzip(two)].concat()).map(|t| t.len()), Ok(2));
}

#[test]
fn every_poison_has_its_code_and_reason() {
    let whole = gzip(DATA.as_bytes());
    let mut corrupt = whole.clone();
    let at = corrupt.len() - 8;
    corrupt[at] ^= 1;
    let mut zlib = ZlibEncoder::new(Vec::new(), Compression::default());
    zlib.write_all(DATA.as_bytes()).expect("in memory");
    let event = |event: &str| {
        gzip(
            format!(
                r#"{{"messageType":"DATA_MESSAGE","owner":"o","logGroup":"g","logStream":"s","logEvents":[{event}]}}"#
            )
            .as_bytes(),
        )
    };
    let long = format!(r#"{{"id":"{}","timestamp":1,"message":""}}"#, "1".repeat(2000));
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (vec![], "not-gzip: the record is empty"),
        (b"plain text".to_vec(), "not-gzip: the magic bytes 1f 8b are missing"),
        (DATA.as_bytes().to_vec(), "not-gzip: it looks like uncompressed JSON"),
        (zlib.finish().expect("in memory"), "not-gzip: it looks like zlib"),
        (whole[..5].to_vec(), "truncated-gzip: the stream ends after 0 decoded bytes"),
        (whole[..whole.len() - 3].to_vec(), "truncated-gzip: the stream ends after"),
        ([whole.clone(), whole[..30].to_vec()].concat(), "truncated-gzip: the stream ends after"),
        (
            [whole.clone(), b"junk!".to_vec()].concat(),
            "trailing-bytes: 5 bytes after the gzip stream are no gzip member",
        ),
        ([whole, vec![0; 3]].concat(), "trailing-bytes: 3 bytes"),
        (corrupt, "corrupt-gzip: "),
        (gzip(&vec![b' '; MAX as usize + 1]), "too-large: decodes to more than 1048576 bytes"),
        (gzip(b"{\"messageType\":\"\xff\"}"), "not-utf8: invalid UTF-8 at decoded byte 16"),
        (gzip(b""), "not-json: it ends too early at line 1"),
        (gzip(b"{\"messageType\":\nhunter2"), "not-json: a syntax error at line 2"),
        (gzip(b"{} {}"), "not-a-subscription: unexpected fields"),
        (
            gzip(DATA.replace("DATA_M", "OTHER_M").as_bytes()),
            "not-a-subscription: messageType is neither",
        ),
        (
            gzip(DATA.replace("logGroup", "group").as_bytes()),
            "not-a-subscription: a data message without logGroup",
        ),
        (
            gzip(DATA.replace("logEvents", "events").as_bytes()),
            "not-a-subscription: a data message without logEvents",
        ),
        (
            event(r#"{"id":"1","timestamp":"hunter2","message":""}"#),
            "bad-event: 1 of 1 log events cannot be read; the first is number 1: an unexpected shape at its column 31",
        ),
        (
            event(r#"{"id":"","timestamp":1,"message":""}"#),
            "bad-event: 1 of 1 log events cannot be read; the first is number 1: a log event without a usable id",
        ),
        (
            event(&long),
            "bad-event: 1 of 1 log events cannot be read; the first is number 1: a log event without",
        ),
    ];
    for (bytes, reason) in cases {
        let poison = described(&decode(&bytes).expect_err(reason));
        assert!(
            poison.starts_with(reason) && !poison.contains("hunter2"),
            "{poison:?} is not {reason:?}"
        );
    }
    let bad = all(&[record("YW!j".into())], &decoder(&[]), |_, _, _| Ok(()))
        .remove(0)
        .whole()
        .expect_err("no base64");
    assert_eq!(described(&bad), "bad-base64: no base64 character at offset 2");
}

#[test]
fn a_stream_that_decodes_to_exactly_the_limit_is_read() {
    let padded = format!("{DATA}{}", " ".repeat(MAX as usize - DATA.len()));
    assert_eq!(decode(&gzip(padded.as_bytes())).map(|t| t.len()), Ok(2));
}

#[test]
fn a_panic_poisons_only_its_record() {
    let records: Vec<_> = (0..4)
        .map(|i| record(STANDARD.encode(gzip(DATA.replace("/a", &i.to_string()).as_bytes()))))
        .collect();
    let results = all(&records, &decoder(&[]), |_, head, _| match head.log_group.chars().last() {
        Some('2') => panic!("a defect"),
        last => Ok(last),
    });
    let ends: Vec<_> =
        results.into_iter().map(|record| record.whole().map(Option::flatten)).collect();
    assert_eq!(ends, [Ok(Some('0')), Ok(Some('1')), Err(Poison::Panic), Ok(Some('3'))]);
}

/// The texts of the events that can be read, and the poison.
fn salvaged(decoder: &Decoder, bytes: &[u8]) -> (Vec<String>, String) {
    let texts = |_: &Record<'_>, _: &LogBatch<'_>, events: Events<'_>| {
        let mut texts = Vec::new();
        events.each(|event| texts.push(event.message.to_string()))?;
        Ok(texts)
    };
    let decoded = all(&[record(STANDARD.encode(gzip(bytes)))], decoder, texts).remove(0);
    (
        decoded.content.unwrap_or_default(),
        decoded.poison.as_ref().map(described).unwrap_or_default(),
    )
}

#[test]
fn the_events_next_to_a_bad_one_are_read() {
    let event = |digit: char, message: &str| {
        let id = String::from_iter([digit; 56]);
        format!(r#"{{"id":"{id}","timestamp":1795443306789,"message":"{message}"}}"#)
    };
    let first_and_last = |bad: &[u8]| {
        let head = r#"{"messageType":"DATA_MESSAGE","owner":"o","logGroup":"g","logStream":"s","logEvents":["#;
        [
            head.as_bytes(),
            event('1', "[ALERT] one").as_bytes(),
            b",",
            bad,
            b",",
            event('3', "[ALERT] three").as_bytes(),
            b"]}",
        ]
        .concat()
    };
    let bad_event = "bad-event: 1 of 3 log events cannot be read; the first is number 2: ";
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (b"null".to_vec(), bad_event),
        (b"7".to_vec(), bad_event),
        (b"[]".to_vec(), bad_event),
        (b"{}".to_vec(), bad_event),
        (br#"{"id":"2","timestamp":1.5,"message":"[ALERT] two"}"#.to_vec(), bad_event),
        (br#"{"id":"2","timestamp":1,"message":null,"x":"[ALERT]"}"#.to_vec(), bad_event),
        (br#"{"id":"2","id":"2","timestamp":1,"message":"[ALERT] two"}"#.to_vec(), bad_event),
        (br#"{"id":"","timestamp":1,"message":"[ALERT] two"}"#.to_vec(), bad_event),
        (event('2', r"[ALERT] \ud800 alone").into_bytes(), bad_event),
        (event('2', r"[ALERT] no \q escape").into_bytes(), "not-json: "),
        (event('2', "[ALERT] a raw\ttab").into_bytes(), "not-json: "),
    ];
    // Compact, as CloudWatch Logs writes it, and with blanks, which the prefilter leaves to the
    // parser.
    let spaced = |text: &[u8]| [text, b"\n"].concat();
    for (bad, reason) in cases {
        for text in [first_and_last(&bad), spaced(&first_and_last(&bad))] {
            for markers in [&["[ALERT]"][..], &[]] {
                let (mut texts, poison) = salvaged(&decoder(markers), &text);
                let shown = String::from_utf8_lossy(&text).into_owned();
                // An invalid string is repaired, so its event is an alert too.
                if !reason.starts_with("bad-event") && texts.len() == 3 {
                    texts.remove(1);
                }
                assert_eq!(texts, ["[ALERT] one", "[ALERT] three"], "{shown}: {poison}");
                assert!(poison.starts_with(reason), "{shown}: {poison}");
            }
        }
    }
    let no_utf8 = first_and_last(
        &[event('2', "[ALERT] ").trim_end_matches("\"}").as_bytes(), b"\xff\"}"].concat(),
    );
    let (texts, poison) = salvaged(&decoder(&["[ALERT]"]), &no_utf8);
    assert_eq!(texts, ["[ALERT] one", "[ALERT] \u{fffd}", "[ALERT] three"]);
    assert!(poison.starts_with("not-utf8: "), "{poison}");
}

#[test]
fn a_batch_that_is_cut_short_is_read_from_the_start_without_gaps() {
    let records: Vec<_> = (0..50_usize)
        .map(|i| {
            record(STANDARD.encode(gzip(
                DATA.replace("lambda/a", &format!("lambda/{}", "x".repeat(50 - i))).as_bytes(),
            )))
        })
        .collect();
    for most in [0, 1, 2, 17, 50, 90] {
        let asked = AtomicUsize::new(0);
        let is_over = || asked.fetch_add(1, Ordering::SeqCst) >= most;
        let read = until(&records, &decoder(&[]), is_over, |_, head, _| Ok(head.log_group.len()));
        let lengths: Vec<usize> = read.into_iter().map(|record| record.content.unwrap()).collect();
        let expected: Vec<usize> =
            (0..most.min(50)).map(|i| "/aws/lambda/".len() + 50 - i).collect();
        assert_eq!(lengths, expected);
    }
}

proptest! {
    #[test]
    fn no_input_panics_and_no_truncated_stream_is_read(bytes in any::<Vec<u8>>(), cut in 1..200_usize) {
        let _ = decode(&bytes);
        let whole = gzip(DATA.as_bytes());
        prop_assert!(decode(&whole[..whole.len().saturating_sub(cut)]).is_err());
    }
}
