//! A small set of patterns that never forgets one: a Bloom filter. It has the same size however many
//! patterns it has seen, so a cursor can keep it. It may claim to know a pattern that it has not
//! seen, the more likely the more it has seen: one in a hundred for 64 patterns, one in four for
//! 400.

use std::fmt::Write as _;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

const WORDS: usize = 16;
const BITS: u64 = 64 * WORDS as u64;

/// Patterns that were seen. A text of 256 hexadecimal digits in JSON.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq)]
pub struct PatternSet([u64; WORDS]);

impl PatternSet {
    pub fn insert(&mut self, pattern: &str) {
        for bit in bits(pattern) {
            self.0[(bit / 64) as usize] |= 1 << (bit % 64);
        }
    }

    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(word, more)| *word |= more);
    }

    /// Whether it knows every pattern of `other`.
    pub fn has_all(&self, other: &Self) -> bool {
        self.0.iter().zip(other.0).all(|(known, wanted)| known & wanted == wanted)
    }
}

/// The three bits of a pattern. The hash is FNV-1a, because the set is stored, and another version
/// of the program must find the same bits.
fn bits(pattern: &str) -> [u64; 3] {
    let mix = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let hash = pattern.bytes().fold(0xcbf2_9ce4_8422_2325, mix);
    // The low bits of the hash of a short text are the best mixed; this spreads them.
    let hash = (hash ^ (hash >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    [hash >> 54, hash >> 44, hash >> 34].map(|bits| bits % BITS)
}

impl Serialize for PatternSet {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut text = String::with_capacity(16 * WORDS);
        for word in self.0 {
            write!(text, "{word:016x}").expect("invariant: a string takes any text");
        }
        serializer.serialize_str(&text)
    }
}

impl<'de> Deserialize<'de> for PatternSet {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let mut words = [0; WORDS];
        let digits = text.as_bytes().chunks(16);
        if text.len() != 16 * WORDS {
            return Err(D::Error::custom("a set of patterns has 256 digits"));
        }
        for (word, digits) in words.iter_mut().zip(digits) {
            let digits = std::str::from_utf8(digits).map_err(D::Error::custom)?;
            *word = u64::from_str_radix(digits, 16).map_err(D::Error::custom)?;
        }
        Ok(Self(words))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn of(patterns: &[String]) -> PatternSet {
        let mut set = PatternSet::default();
        patterns.iter().for_each(|pattern| set.insert(pattern));
        set
    }

    proptest! {
        #[test]
        fn it_has_what_was_inserted(known: Vec<String>, more: Vec<String>) {
            let mut set = of(&known);
            set.add(&of(&more));
            prop_assert!(set.has_all(&of(&known)) && set.has_all(&of(&more)));
            let json = serde_json::to_string(&set).unwrap();
            prop_assert_eq!(json.len(), 258);
            prop_assert_eq!(serde_json::from_str::<PatternSet>(&json).unwrap(), set);
        }
    }

    #[test]
    fn it_rarely_knows_what_it_has_not_seen() {
        let pattern = |n: usize| format!("connection to shard <n> failed: code {n}");
        let wrong = |seen: usize| {
            let set = of(&(0..seen).map(pattern).collect::<Vec<_>>());
            (1_000..2_000).filter(|n| set.has_all(&of(&[pattern(*n)]))).count()
        };
        assert!(wrong(64) <= 20, "{} of 1,000 with 64", wrong(64));
        assert!(wrong(400) <= 400, "{} of 1,000 with 400", wrong(400));
    }

    #[test]
    fn other_texts_are_no_set() {
        for text in [
            "\"\"",
            "7",
            "\"00\"",
            &format!("\"{}\"", "g".repeat(256)),
            &format!("\"{}\"", "é".repeat(128)),
        ] {
            assert!(serde_json::from_str::<PatternSet>(text).is_err(), "{text}");
        }
    }
}
