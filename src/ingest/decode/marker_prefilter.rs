//! The texts to search for in raw JSON so that no marker is missed.
//!
//! A JSON writer may put any character of a string as itself or as `\u00XX`, and a few characters
//! as a short escape. A marker of printable ASCII other than `"`, `\` and `/` has no short escape.
//! So in raw text it appears literally, or with at least one `\u00N`, where N is the high half of
//! one of its bytes. Searching for the markers and these prefixes is therefore complete
//! (`prefilter_and_parser_agree`). Sequences that color a terminal may stand between its bytes. Each
//! begins with `\u001b`, the only way to write that character. A hit proves nothing: `route` looks at
//! the decoded message.
//!
//! Left to others: any other marker. [`MarkerPrefilter::new`] answers `None`, and every event is
//! parsed.

use std::ops::Range;

use aho_corasick::packed;
use aho_corasick::{AhoCorasick, Input};

use super::string_scan::{FIRST_BYTES_MAX, have_distinct_low_halves};

/// The markers of a configuration, ready to be searched for in raw text.
#[derive(Clone, Debug)]
pub struct MarkerPrefilter {
    markers: Vec<Box<[u8]>>,
    /// Whether some marker has this as its second byte. After the first byte this excludes nearly
    /// all text without a marker.
    second_bytes: Box<[bool; 256]>,
    /// Whether some marker has this before its last byte, where a sequence can divide it.
    inner_bytes: Box<[bool; 256]>,
    /// Bit N: some marker has a byte whose high half is N.
    high_halves: u16,
    /// Bit N: an escape for a byte whose high half is N, in the JSON that a message is, counts as a
    /// marker.
    json_escapes: u16,
    search: Search,
}

/// How literal markers are found. It is chosen once, when the configuration is read.
#[derive(Clone, Debug)]
enum Search {
    /// By their first bytes, while strings are scanned anyway. The fastest way where these bytes
    /// are rare.
    FirstBytes(Vec<u8>),
    /// With vector instructions (Teddy). Exists for some processors and sets of markers only.
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
}

impl MarkerPrefilter {
    /// `None` if a marker could appear in raw text in other ways, or if there is no marker.
    pub fn new<'m>(markers: impl IntoIterator<Item = &'m str>) -> Option<Self> {
        Self::with_json_escapes(markers, 0)
    }

    /// The same, and messages with the text `\u00N` may carry a marker if bit N of `json_escapes` is
    /// set.
    pub fn with_json_escapes<'m>(
        markers: impl IntoIterator<Item = &'m str>,
        json_escapes: u16,
    ) -> Option<Self> {
        let mut markers: Vec<Box<[u8]>> =
            markers.into_iter().map(|marker| marker.as_bytes().into()).collect();
        markers.sort_unstable();
        markers.dedup();
        let is_searchable =
            |marker: &[u8]| !marker.is_empty() && marker.iter().all(|byte| is_searchable(*byte));
        if markers.is_empty() || !markers.iter().all(|marker| is_searchable(marker)) {
            return None;
        }
        // In raw text an escape of the message is `\\u00N`, or one of its characters is escaped.
        let escape: &[u8] = if json_escapes == 0 { b"" } else { b"\\u0" };
        let bytes = markers.iter().flat_map(|marker| marker.iter()).chain(escape);
        let high_halves = bytes.fold(0, |bits, byte| bits | 1 << (byte >> 4));
        let search = Search::new(&markers, high_halves)?;
        let (second_bytes, inner_bytes) = (second_bytes(&markers), inner_bytes(&markers));
        Some(Self { markers, second_bytes, inner_bytes, high_halves, json_escapes, search })
    }

    /// The bytes for which the string scan has to stop. Empty if [`Self::next`] finds the markers.
    pub(super) fn first_bytes(&self) -> &[u8] {
        match &self.search {
            Search::FirstBytes(bytes) => bytes,
            Search::Packed(_) | Search::Automaton(_) => &[],
        }
    }

    /// Whether the byte after `at` is the second byte of a marker.
    #[inline(always)]
    pub(super) fn second_byte_at(&self, text: &[u8], at: usize) -> bool {
        text.get(at + 1).is_some_and(|second| self.second_bytes[usize::from(*second)])
    }

    /// Whether the escape whose `u` is at `at` may stand for a byte of a marker, or may begin a
    /// sequence that divides one. Calls nothing, because it is a part of the scan's loop.
    #[inline(always)]
    pub(super) fn may_be_escaped_at(&self, text: &[u8], at: usize) -> bool {
        match text.get(at + 1..at + 4) {
            Some(b"001") => {
                text.get(at - 2).is_some_and(|before| self.inner_bytes[usize::from(*before)])
            }
            Some(&[b'0', b'0', digit @ b'0'..=b'9']) => self.high_halves & 1 << (digit - b'0') != 0,
            _ => false,
        }
    }

    pub(super) fn has_json_escapes(&self) -> bool {
        self.json_escapes != 0
    }

    /// Whether the backslash at `at`, which is escaped itself, begins an escape that counts as a
    /// marker. Calls nothing, because it is a part of the scan's loop.
    #[inline(always)]
    pub(super) fn json_escape_at(&self, text: &[u8], at: usize) -> bool {
        match text.get(at + 1..at + 5) {
            Some(&[b'u', b'0', b'0', digit @ b'0'..=b'9']) => {
                self.json_escapes & 1 << (digit - b'0') != 0
            }
            _ => false,
        }
    }

    /// Whether a terminal sequence whose `u` is at `at` may stand between the bytes of a marker.
    #[inline(never)]
    fn may_divide_at(&self, text: &[u8], at: usize) -> bool {
        let (before, sequence) = text.split_at(at - 1);
        if !starts_sequence(sequence) {
            return false;
        }
        let next = byte_after_sequences(sequence);
        self.markers.iter().any(|marker| {
            (1..marker.len()).any(|bytes| {
                before.ends_with(&marker[..bytes])
                    && next.is_none_or(|next| next == marker[bytes] || next == b'\\')
            })
        })
    }

    /// Whether a marker, or an escape that may stand for a byte of one, begins in `range`.
    #[cold]
    pub(super) fn any_in(&self, text: &[u8], mut range: Range<usize>) -> bool {
        range.any(|at| {
            let is_escape = || {
                text[at] == b'u'
                    && at > 0
                    && text[at - 1] == b'\\'
                    && self.may_be_escaped_at(text, at)
                    && (!starts_sequence(&text[at - 1..]) || self.may_divide_at(text, at))
            };
            let is_json_escape = || {
                text[at] == b'\\'
                    && at > 0
                    && text[at - 1] == b'\\'
                    && self.json_escape_at(text, at)
            };
            let is_marker = || self.markers.iter().any(|marker| text[at..].starts_with(marker));
            self.second_byte_at(text, at) && is_marker() || is_escape() || is_json_escape()
        })
    }

    /// The offset of the first marker or prefix at or after `from`. The end of `text` if there is
    /// none, and always if markers are found by their first bytes.
    pub(super) fn next(&self, text: &[u8], from: usize) -> usize {
        let mut from = from;
        loop {
            let found = match &self.search {
                Search::FirstBytes(_) => None,
                Search::Packed(packed) => {
                    packed.find_in(text, (from..text.len()).into()).map(|found| found.start())
                }
                Search::Automaton(automaton) => {
                    automaton.find(Input::new(text).range(from..)).map(|found| found.start())
                }
            };
            match found {
                Some(at) if starts_sequence(&text[at..]) && !self.may_divide_at(text, at + 1) => {
                    from = at + 1;
                }
                found => return found.unwrap_or(text.len()),
            }
        }
    }
}

impl Search {
    fn new(markers: &[Box<[u8]>], high_halves: u16) -> Option<Self> {
        let mut first_bytes: Vec<u8> = markers.iter().map(|marker| marker[0]).collect();
        first_bytes.dedup();
        let can_be_scanned =
            first_bytes.len() <= FIRST_BYTES_MAX && have_distinct_low_halves(&first_bytes);
        if can_be_scanned && first_bytes.iter().all(|byte| is_rare(*byte)) {
            return Some(Self::FirstBytes(first_bytes));
        }
        let escapes = (2..8)
            .filter(|half| high_halves & 1 << half != 0)
            .map(|half| format!("\\u00{half}").into_bytes());
        let sequences = SEQUENCE_STARTS.map(<[u8]>::to_vec);
        let literals = markers.iter().map(|marker| marker.to_vec());
        let patterns: Vec<Vec<u8>> = literals.chain(escapes).chain(sequences).collect();
        if let Some(packed) = packed::Searcher::new(&patterns) {
            return Some(Self::Packed(packed));
        }
        AhoCorasick::new(&patterns).ok().map(Self::Automaton)
    }
}

/// The character ESC in raw text.
const SEQUENCE_STARTS: [&[u8]; 2] = [b"\\u001b", b"\\u001B"];

fn starts_sequence(text: &[u8]) -> bool {
    SEQUENCE_STARTS.iter().any(|start| text.starts_with(start))
}

/// The byte after the color sequences at the start of `text`; `None` if the sequence is of another
/// kind, has an escape in it, or has no end.
fn byte_after_sequences(mut text: &[u8]) -> Option<u8> {
    while starts_sequence(text) {
        let sequence = text[SEQUENCE_STARTS[0].len()..].strip_prefix(b"[")?;
        let end = sequence.iter().position(|byte| !matches!(byte, b' '..=b'?'))?;
        if sequence[end] == b'\\' {
            return None;
        }
        text = &sequence[end + 1..];
    }
    text.first().copied()
}

fn second_bytes(markers: &[Box<[u8]>]) -> Box<[bool; 256]> {
    let mut second_bytes = Box::new([false; 256]);
    for marker in markers {
        match marker.get(1) {
            Some(second) => second_bytes[usize::from(*second)] = true,
            // Any byte may follow a marker of one byte.
            None => second_bytes.fill(true),
        }
    }
    second_bytes
}

fn inner_bytes(markers: &[Box<[u8]>]) -> Box<[bool; 256]> {
    let mut inner_bytes = Box::new([false; 256]);
    for marker in markers {
        marker[..marker.len() - 1].iter().for_each(|byte| inner_bytes[usize::from(*byte)] = true);
    }
    inner_bytes
}

/// Whether raw JSON has this byte as itself or as `\u00XX`, and in no other way.
fn is_searchable(byte: u8) -> bool {
    matches!(byte, b' '..=b'~') && !matches!(byte, b'"' | b'\\' | b'/')
}

/// Whether log lines seldom have this byte. A first byte like `e` would stop the scan in every
/// word.
fn is_rare(byte: u8) -> bool {
    byte.is_ascii_uppercase() || b"[<!#$%&*;?@^`{|}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_with_a_short_escape_or_outside_ascii_is_left_to_the_parser() {
        for marker in ["say \"x\"", "a\\b", "a/b", "naïve", "tab\t", "\u{7f}", ""] {
            assert!(MarkerPrefilter::new(["[ALERT]", marker]).is_none(), "{marker:?}");
        }
        assert!(MarkerPrefilter::new([]).is_none());
    }

    #[test]
    fn the_search_depends_on_the_markers() {
        let search = |markers: &[&str]| match MarkerPrefilter::new(markers.iter().copied())
            .unwrap()
            .search
        {
            Search::FirstBytes(bytes) => String::from_utf8(bytes).unwrap(),
            Search::Packed(_) => "packed".into(),
            Search::Automaton(_) => "automaton".into(),
        };
        assert_eq!(search(&["[CRITICAL]", "[ALERT]"]), "[");
        assert_eq!(search(&["FATAL", "[ALERT]", "ERROR"]), "EF[");
        let teddy = if cfg!(target_arch = "x86_64") { "packed" } else { "automaton" };
        assert!([teddy, "automaton"].contains(&search(&["fatal", "[ALERT]"]).as_str()));
        // `L` has the low half of the backslash, and `K` that of `[`.
        for markers in [&["LEVEL=FATAL"][..], &["KERNEL", "[ALERT]"]] {
            assert!([teddy, "automaton"].contains(&search(markers).as_str()));
        }
        let many: Vec<String> = (0..200).map(|n| format!("e{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(search(&many), "automaton");
    }
}
