//! Whatever reads a string with vectors reads it as one does byte by byte.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;

/// The string whose inside begins at `from`, and all places at which one has to look.
#[derive(Clone, Copy)]
struct Look<'t> {
    text: &'t [u8],
    from: usize,
}

impl Reader for Look<'_> {
    type Found = (Option<Inside>, Vec<usize>);

    fn read_with(self, stops: impl Stops) -> Self::Found {
        let Self { text, from } = self;
        let mut looked = Vec::new();
        let inside = stops.read(text, from, |at, byte| {
            assert_eq!(byte, text[at]);
            looked.push(at);
            false
        });
        // Each of these places is the first at which a look finds something.
        let suspect_from = |least| stops.read(text, from, |at, _| at >= least).map(|inside| inside.suspect);
        for (at, next) in looked.iter().zip(looked.iter().skip(1).chain([&NOWHERE])) {
            assert_eq!(suspect_from(*at), inside.map(|_| *at));
            assert_eq!(suspect_from(at + 1), inside.map(|_| *next));
        }
        (inside, looked)
    }
}

/// By the definition.
fn expected(text: &[u8], from: usize, wanted: &[u8]) -> (Option<usize>, Vec<usize>) {
    let (mut looked, mut escaped) = (Vec::new(), false);
    for (at, byte) in text.iter().enumerate().skip(from) {
        match byte {
            b'"' if !escaped => return (Some(at), looked),
            b'u' if escaped => looked.push(at),
            byte if wanted.contains(byte) => looked.push(at),
            _ => {}
        }
        escaped = *byte == b'\\' && !escaped;
    }
    (None, looked)
}

/// What each way of reading that this processor has found, by its name.
fn everybody<const N: usize, R: Reader + Copy>(wanted: [u8; N], reader: R) -> Vec<(&'static str, R::Found)> {
    let mut found = vec![("portable", Portable(wanted).lend(reader)), ("fastest", fastest(wanted, reader))];
    #[cfg(target_arch = "x86_64")]
    found.extend(Blocks::<Avx2, N>::new(wanted).map(|stops| ("AVX2", stops.lend(reader))));
    found
}

fn check<const N: usize>(text: &[u8], from: usize, wanted: [u8; N]) -> Result<(), TestCaseError> {
    for (who, (inside, looked)) in everybody(wanted, Look { text, from }) {
        prop_assert_eq!((inside.map(|inside| inside.end), looked), expected(text, from, &wanted), "{}", who);
        let Some(inside) = inside else { continue };
        prop_assert!(!inside.is_ascii || text[from..inside.end].is_ascii(), "{who}: a claim too many");
        prop_assert!(inside.is_ascii || !text.is_ascii(), "{who}: a claim too few");
    }
    Ok(())
}

fn text() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        4 => prop::collection::vec(select(b"\"\\\\u[EK{".to_vec()), 1..4),
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
    fn vectors_read_a_string_as_single_bytes_do(text in text(), from in any::<Index>()) {
        let from = from.index(text.len() + 1);
        check(&text, from, [])?;
        check(&text, from, *b"[")?;
        check(&text, from, *b"[E")?;
        check(&text, from, *b"[E{")?;
    }
}

/// A byte that is not wanted is never taken for one that is, whatever its halves.
#[test]
fn every_byte_is_told_from_those_that_are_wanted() {
    for byte in 0..=u8::MAX {
        let mut text = [byte; 130];
        text[129] = b'"';
        if byte != b'"' && byte != b'\\' {
            check(&text, 0, *b"[E?").unwrap_or_else(|error| panic!("{byte:#x}: {error}"));
        }
    }
}

/// Else these tests would compare one reader with itself.
#[test]
fn this_machine_has_a_way_with_vectors() {
    let found = everybody(*b"[", Look { text: b"\"", from: 0 });
    let has = |name| found.iter().any(|(who, _)| *who == name);
    #[cfg(target_arch = "x86_64")]
    assert_eq!(has("AVX2"), is_x86_feature_detected!("avx2"));
    assert!(has("portable"));
}
