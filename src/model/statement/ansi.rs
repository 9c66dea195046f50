//! Text without the sequences that color and control a terminal.

use std::borrow::Cow;
use std::ops::Range;

use memchr::memchr;

/// Each sequence begins with it.
const ESCAPE: u8 = 0x1b;

/// The longest sequence that is recognized.
const SEQUENCE_BYTES_MAX: usize = 2048;

/// A text without terminal sequences, and where its parts come from.
pub(super) struct Plain<'a> {
    pub(super) text: Cow<'a, str>,
    /// Where sequences were removed: an offset in `text`, and how many bytes of the original are
    /// missing before it. In ascending order.
    removed: Vec<(usize, usize)>,
}

impl<'a> Plain<'a> {
    pub(super) fn of(original: &'a str) -> Self {
        let Some(first) = memchr(ESCAPE, original.as_bytes()) else {
            return Self { text: Cow::Borrowed(original), removed: Vec::new() };
        };
        let (mut text, mut removed) = (String::with_capacity(original.len()), Vec::new());
        let (mut copied, mut at) = (0, first);
        while let Some(found) = memchr(ESCAPE, &original.as_bytes()[at..]) {
            at += found;
            match sequence_bytes(&original[at..]) {
                None => at += 1,
                Some(bytes) => {
                    text.push_str(&original[copied..at]);
                    at += bytes;
                    copied = at;
                    removed.push((text.len(), copied - text.len()));
                }
            }
        }
        text.push_str(&original[copied..]);
        Self { text: Cow::Owned(text), removed }
    }

    /// The bytes of the original that `range` of the text comes from.
    pub(super) fn original(&self, range: Range<usize>) -> Range<usize> {
        let missing_before = |at: usize, is_start: bool| {
            let is_before =
                |&(offset, _): &(usize, usize)| if is_start { offset <= at } else { offset < at };
            let count = self.removed.partition_point(is_before);
            count.checked_sub(1).map_or(0, |last| self.removed[last].1)
        };
        range.start + missing_before(range.start, true)
            ..range.end + missing_before(range.end, range.is_empty())
    }
}

/// The length of the sequence at the start of `text`: CSI (`ESC [ … letter`, mostly colors), OSC
/// (`ESC ] … BEL`, mostly links and titles) or two characters.
fn sequence_bytes(text: &str) -> Option<usize> {
    let bytes = &text.as_bytes()[..text.len().min(SEQUENCE_BYTES_MAX)];
    match bytes {
        [0x1b, b'[', rest @ ..] => control_bytes(rest).map(|n| 2 + n),
        [0x1b, b']' | b'P' | b'X' | b'^' | b'_', rest @ ..] => string_bytes(rest).map(|n| 2 + n),
        [0x1b, b'(' | b')' | b'*' | b'+', b' '..=b'~', ..] => Some(3),
        [
            0x1b,
            b'=' | b'>' | b'c' | b'D' | b'E' | b'H' | b'M' | b'N' | b'O' | b'Z' | b'7' | b'8'
            | b'\\',
            ..,
        ] => Some(2),
        _ => None,
    }
}

fn control_bytes(rest: &[u8]) -> Option<usize> {
    let end = rest.iter().position(|byte| !matches!(byte, b' '..=b'?'))?;
    matches!(rest[end], b'@'..=b'~').then_some(end + 1)
}

/// A string of a sequence ends with BEL or `ESC \`, on its own line.
fn string_bytes(rest: &[u8]) -> Option<usize> {
    let end = rest.iter().position(|byte| matches!(byte, 0x07 | 0x1b | b'\n' | b'\r'))?;
    match &rest[end..] {
        [0x07, ..] => Some(end + 1),
        [0x1b, b'\\', ..] => Some(end + 2),
        _ => None,
    }
}
