//! Every scanner gives the answer of a scan byte by byte.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// Scans the string whose content begins at `from`. The output has all offsets that were passed to
/// `on_byte`.
#[derive(Clone, Copy)]
struct Scan<'t> {
    text: &'t [u8],
    from: usize,
    with_backslashes: bool,
}

impl WithScanner for Scan<'_> {
    type Output = (Option<ScannedString>, Vec<usize>);

    fn with_scanner<V: Vector>(self, scanner: StringScanner<V>) -> Self::Output {
        let Self { text, from, with_backslashes } = self;
        let scanner = scanner.with_backslashes(with_backslashes);
        let mut offsets = Vec::new();
        let scanned = scanner.scan(text, from, |at, byte| {
            assert_eq!(byte, text[at]);
            offsets.push(at);
            false
        });
        // `candidate` is the first offset at which `on_byte` is true.
        let first_from =
            |least| scanner.scan(text, from, |at, _| at >= least).map(|scanned| scanned.candidate);
        for (at, next) in offsets.iter().zip(offsets.iter().skip(1).chain([&NOWHERE])) {
            assert_eq!(first_from(*at), scanned.map(|_| *at));
            assert_eq!(first_from(at + 1), scanned.map(|_| *next));
        }
        (scanned, offsets)
    }
}

/// The end of the string and the offsets, by definition.
fn expected(scan: Scan<'_>, first_bytes: &[u8]) -> (Option<usize>, Vec<usize>) {
    let Scan { text, from, with_backslashes } = scan;
    let (mut offsets, mut escaped) = (Vec::new(), false);
    for (at, byte) in text.iter().enumerate().skip(from) {
        match byte {
            b'"' if !escaped => return (Some(at), offsets),
            b'u' if escaped => offsets.push(at),
            b'\\' if escaped && with_backslashes => offsets.push(at),
            byte if first_bytes.contains(byte) => offsets.push(at),
            _ => {}
        }
        escaped = *byte == b'\\' && !escaped;
    }
    (None, offsets)
}

/// The output of each scanner that this processor has, by its name.
fn outputs<W: WithScanner + Copy>(first_bytes: &[u8], work: W) -> Vec<(&'static str, W::Output)> {
    let mut outputs = vec![
        ("portable", Portable::new(first_bytes).run(work)),
        ("dispatched", dispatch(first_bytes, work)),
    ];
    #[cfg(target_arch = "x86_64")]
    outputs.extend(Avx2::new(first_bytes).map(|vector| ("AVX2", vector.run(work))));
    outputs
}

fn check(text: &[u8], from: usize, first_bytes: &[u8]) -> Result<(), TestCaseError> {
    check_scan(Scan { text, from, with_backslashes: false }, first_bytes)?;
    check_scan(Scan { text, from, with_backslashes: true }, first_bytes)
}

fn check_scan(scan: Scan<'_>, first_bytes: &[u8]) -> Result<(), TestCaseError> {
    let Scan { text, from, .. } = scan;
    for (name, (scanned, offsets)) in outputs(first_bytes, scan) {
        let found = (scanned.map(|scanned| scanned.end), offsets);
        prop_assert_eq!(found, expected(scan, first_bytes), "{}", name);
        let Some(scanned) = scanned else { continue };
        prop_assert!(
            !scanned.is_ascii || text[from..scanned.end].is_ascii(),
            "{name}: ASCII was claimed wrongly"
        );
        prop_assert!(scanned.is_ascii || !text.is_ascii(), "{name}: ASCII was denied wrongly");
    }
    Ok(())
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::collection::vec(select(b"\"\\\\u[EK?".to_vec()), 1..4),
        1 => prop::collection::vec(Just(b'\\'), 1..70),
        2 => prop::collection::vec(select(b"abc 019".to_vec()), 0..90),
        1 => prop::collection::vec(any::<u8>(), 0..70),
        1 => any::<u8>().prop_map(|byte| vec![byte; 64]),
    ];
    prop::collection::vec(piece, 0..30).prop_map(|pieces| pieces.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn every_scanner_agrees_with_a_scan_byte_by_byte(text in text(), from in any::<Index>()) {
        let from = from.index(text.len() + 1);
        for first_bytes in [&b""[..], b"[", b"[E", b"[E?"] {
            check(&text, from, first_bytes)?;
        }
    }
}

#[test]
fn no_other_byte_is_taken_for_a_special_one() {
    for byte in 0..=u8::MAX {
        let mut text = [byte; 130];
        text[129] = b'"';
        if byte != b'"' && byte != b'\\' {
            check(&text, 0, b"[E?").unwrap_or_else(|error| panic!("{byte:#x}: {error}"));
        }
    }
}

/// Otherwise these tests would compare the portable scanner with itself.
#[test]
fn the_vector_scanner_is_tested_where_the_processor_has_it() {
    let outputs = outputs(b"[", Scan { text: b"\"", from: 0, with_backslashes: false });
    let has = |name| outputs.iter().any(|(other, _)| *other == name);
    #[cfg(target_arch = "x86_64")]
    assert_eq!(has("AVX2"), is_x86_feature_detected!("avx2"));
    assert!(has("portable"));
}
