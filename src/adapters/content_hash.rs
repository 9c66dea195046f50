//! A hash that recognizes content: dead letters that a file has already, and names that are too long
//! for a service.

use std::fmt;

use ring::digest::{Context, SHA256};

/// The first half of a SHA-256. A collision would lose a dead letter, so a checksum is not enough.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct ContentHash(u128);

impl ContentHash {
    const DIGITS: usize = 32;

    /// The hash of these parts as one text.
    pub(super) fn of(parts: &[&str]) -> Self {
        let mut hash = Context::new(&SHA256);
        parts.iter().for_each(|part| hash.update(part.as_bytes()));
        let hash = hash.finish();
        let (half, _) = hash.as_ref().split_first_chunk().expect("invariant: SHA-256 has 32 bytes");
        Self(u128::from_be_bytes(*half))
    }

    /// Reads the output of `Display`. `None` for anything else, such as a part of it.
    #[cfg(any(test, feature = "cli"))]
    pub(super) fn parse(text: &str) -> Option<Self> {
        let digits = Some(text).filter(|text| text.len() == Self::DIGITS)?;
        u128::from_str_radix(digits, 16).ok().map(Self)
    }
}

impl fmt::Display for ContentHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:01$x}", self.0, Self::DIGITS)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_that_is_cut_off_is_none() {
        let whole = ContentHash::of(&["{\"a\"", ":1}"]);
        let text = whole.to_string();
        assert_eq!(text, "015abd7f5cc57a2dd94b7590f04ad808", "half of the SHA-256");
        assert_eq!(ContentHash::parse(&text), Some(whole));
        for bad in ["", &text[..31], "00000009-0123", &format!("{text}0"), &text.replace('1', "g")]
        {
            assert_eq!(ContentHash::parse(bad), None, "{bad}");
        }
        assert_eq!(ContentHash(7).to_string().len(), ContentHash::DIGITS);
    }
}
