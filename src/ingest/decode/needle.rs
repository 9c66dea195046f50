//! What to look for in raw JSON so that no marker is missed.
//!
//! A JSON writer may put any character of a string as itself or as `\u00XX`, and a few by a short
//! escape. A marker of printable ASCII other than `"`, `\` and `/` has no short escape, so in raw text
//! it stands either literally or with at least one `\u00N`, N being the high half of one of its bytes.
//! Whoever looks for the markers and for those prefixes misses none
//! (`nothing_that_the_full_parse_finds_is_missed`). What is found is a suspicion only: `route` looks at
//! the decoded message.
//!
//! Left to others: any other marker, for which [`Needles::new`] answers `None` and everything is parsed.

use std::ops::Range;

use aho_corasick::packed;
use aho_corasick::{AhoCorasick, Input};

use super::stop::are_told_by_low_halves;

/// The markers of a configuration, ready to be looked for in raw text.
#[derive(Clone, Debug)]
pub struct Needles {
    markers: Vec<Box<[u8]>>,
    /// Whether a marker has this as its second byte. (After the first bytes this sorts out nearly all that is none.)
    seconds: Box<[bool; 256]>,
    /// Bit N: some marker has a byte whose high half is N.
    high_halves: u16,
    search: Search,
}

/// How markers that stand literally are found; decided once, when the configuration is read.
#[derive(Clone, Debug)]
pub(super) enum Search {
    /// By their first bytes, while the text is walked anyway: the fastest, where these are rare.
    FirstBytes(Vec<u8>),
    /// By vectors (Teddy); exists for some processors and sets of markers only.
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

/// More first bytes cost more than a search of its own.
pub(super) const FIRST_BYTES_MAX: usize = 3;

impl Needles {
    /// `None` where a marker could stand in raw text in other ways, or none is given.
    pub fn new<'m>(markers: impl IntoIterator<Item = &'m str>) -> Option<Self> {
        let mut markers: Vec<Box<[u8]>> = markers.into_iter().map(|marker| marker.as_bytes().into()).collect();
        markers.sort_unstable();
        markers.dedup();
        let plain = |marker: &[u8]| !marker.is_empty() && marker.iter().all(|byte| is_plain(*byte));
        if markers.is_empty() || !markers.iter().all(|marker| plain(marker)) {
            return None;
        }
        let high_halves = markers.iter().flatten().fold(0, |bits, byte| bits | 1 << (byte >> 4));
        let search = Search::of(&markers, high_halves)?;
        Some(Self { seconds: seconds(&markers), markers, high_halves, search })
    }

    pub(super) fn search(&self) -> &Search {
        &self.search
    }

    /// Whether what stands behind `at` is the second byte of a marker.
    #[inline(always)]
    pub(super) fn second_at(&self, text: &[u8], at: usize) -> bool {
        text.get(at + 1).is_some_and(|second| self.seconds[usize::from(*second)])
    }

    /// Whether `\u` with `u` at `at` may stand for a byte of a marker.
    #[inline(always)]
    pub(super) fn escape_at(&self, text: &[u8], at: usize) -> bool {
        match text.get(at + 1..at + 4) {
            Some(&[b'0', b'0', digit @ b'0'..=b'9']) => self.high_halves & 1 << (digit - b'0') != 0,
            _ => false,
        }
    }

    /// Whether a marker, or what may stand for a byte of one, begins in `range`.
    #[cold]
    pub(super) fn any_in(&self, text: &[u8], mut range: Range<usize>) -> bool {
        range.any(|at| {
            let is_escape = || text[at] == b'u' && at > 0 && text[at - 1] == b'\\' && self.escape_at(text, at);
            let is_marker = || self.markers.iter().any(|marker| text[at..].starts_with(marker));
            self.second_at(text, at) && is_marker() || is_escape()
        })
    }
}

impl Search {
    fn of(markers: &[Box<[u8]>], high_halves: u16) -> Option<Self> {
        let mut firsts: Vec<u8> = markers.iter().map(|marker| marker[0]).collect();
        firsts.dedup();
        let few = firsts.len() <= FIRST_BYTES_MAX && are_told_by_low_halves(&firsts);
        if few && firsts.iter().all(|byte| is_rare(*byte)) {
            return Some(Self::FirstBytes(firsts));
        }
        let escapes =
            (2..8).filter(|half| high_halves & 1 << half != 0).map(|half| format!("\\u00{half}").into_bytes());
        let patterns: Vec<Vec<u8>> = markers.iter().map(|marker| marker.to_vec()).chain(escapes).collect();
        if let Some(packed) = packed::Searcher::new(&patterns) {
            return Some(Self::Packed(packed));
        }
        AhoCorasick::new(&patterns).ok().map(Self::Automaton)
    }

    /// Where the first marker or prefix begins at or after `from`; the end of `text` if there is none.
    /// Always the end where markers are found by their first bytes.
    pub(super) fn next(&self, text: &[u8], from: usize) -> usize {
        let found = match self {
            Self::FirstBytes(_) => None,
            Self::Packed(packed) => packed.find_in(text, (from..text.len()).into()).map(|found| found.start()),
            Self::Automaton(automaton) => automaton.find(Input::new(text).range(from..)).map(|found| found.start()),
        };
        found.unwrap_or(text.len())
    }
}

fn seconds(markers: &[Box<[u8]>]) -> Box<[bool; 256]> {
    let mut seconds = Box::new([false; 256]);
    for marker in markers {
        match marker.get(1) {
            Some(second) => seconds[usize::from(*second)] = true,
            // Anything may follow a marker of one byte.
            None => seconds.fill(true),
        }
    }
    seconds
}

/// Stands in raw JSON as itself or as `\u00XX`, and in no other way.
fn is_plain(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'/')
}

/// Seldom in log lines. A first byte like `e` would stop the walk in every word.
fn is_rare(byte: u8) -> bool {
    byte.is_ascii_uppercase() || b"[<!#$%&*;?@^`{|}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn markers_that_could_hide_are_left_to_the_full_parse() {
        for marker in ["say \"x\"", "a\\b", "a/b", "naïve", "tab\t", "\u{7f}", ""] {
            assert!(Needles::new(["[ALERT]", marker]).is_none(), "{marker:?}");
        }
        assert!(Needles::new([]).is_none());
    }

    #[test]
    fn the_search_is_chosen_by_the_markers() {
        let search = |markers: &[&str]| match Needles::new(markers.iter().copied()).unwrap().search {
            Search::FirstBytes(firsts) => String::from_utf8(firsts).unwrap(),
            Search::Packed(_) => "packed".into(),
            Search::Automaton(_) => "automaton".into(),
        };
        assert_eq!(search(&["[CRITICAL]", "[ALERT]"]), "[");
        assert_eq!(search(&["FATAL", "[ALERT]", "ERROR"]), "EF[");
        let teddy = if cfg!(target_arch = "x86_64") { "packed" } else { "automaton" };
        assert!([teddy, "automaton"].contains(&search(&["fatal", "[ALERT]"]).as_str()));
        // `L` has the low half of a backslash, and `K` that of `[`.
        for alike in [&["LEVEL=FATAL"][..], &["KERNEL", "[ALERT]"]] {
            assert!([teddy, "automaton"].contains(&search(alike).as_str()));
        }
        let many: Vec<String> = (0..200).map(|n| format!("e{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(search(&many), "automaton");
    }
}
