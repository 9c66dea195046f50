//! A text as a reader sees it: without colors and invisible characters, and with plain letters
//! instead of escaped and full-width ones. Secrets are searched for in this text as well, and then
//! redacted in the original.
//!
//! Line breaks and tabs are kept, because they end values. Quotes and delimiters stay escaped,
//! because quotes at the same level of escaping belong together.

use std::ops::{BitOrAssign, Range};
use std::sync::LazyLock;

use regex::Regex;

use crate::model::visible::is_ignorable;

/// The longest terminal sequence that is recognized.
const SEQUENCE_BYTES_MAX: usize = 2048;

/// The first bytes of everything that [`respelled`] finds.
pub(super) const HINTS: &[&[u8]] = &[
    b"\\u",
    b"\\x",
    b"\\033[",
    b"\\e[",
    b"%2",
    b"%3",
    b"%4",
    b"%5",
    b"%6",
    b"%7",
    b"\x7f",
    b"\xc2",
    b"\xcd\x8f",
    b"\xd8\x9c",
    b"\xe1\x85",
    b"\xe1\x9a",
    b"\xe1\x9e",
    b"\xe1\xa0",
    b"\xe2\x80",
    b"\xe2\x81",
    b"\xe2\xa0",
    b"\xe3\x80",
    b"\xe3\x85",
    b"\xef\xb8",
    b"\xef\xbb",
    b"\xef\xbc",
    b"\xef\xbd",
    b"\xef\xbe",
    b"\xef\xbf",
    b"\xf0\x9b",
    b"\xf0\x9d",
    b"\xf3\xa0",
];

/// A terminal sequence, as bytes or as escaped in JSON, C or a shell.
static SEQUENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r"(?x)^(?:
        (?:\x1b\[|\u{9b}|\\{1,8}(?:u001[bB]|x1[bB]|033|e)\[) [0-?]{0,64}[\x20-/]{0,8}[@-~]
        |(?:\x1b[\]PX^_]|[\u{90}\u{98}\u{9d}-\u{9f}]|\\{1,8}(?:u001[bB]|x1[bB])\]) [^\n\x07\x1b\u{9c}]*?
            (?:\x07|\x1b\\|\u{9c}|\\{1,8}(?:u0007|x07|(?:u001[bB]|x1[bB])\\+))
        |\x1b(?:[\x20-/]{1,4}[0-~]|[0-9=>cDEHMNOZ\\]))",
    )
    .expect("invariant: the pattern is valid")
});

/// The visible text, and the origin of each part of it.
pub(super) struct Visible {
    pub(super) text: String,
    /// In order, without gaps in the visible text.
    pieces: Vec<Piece>,
}

/// A part of the visible text: a copy, or, if the lengths differ, a decoded character.
struct Piece {
    shown: usize,
    raw: Range<usize>,
}

/// Whether a text has invisible parts, and encoded characters.
#[derive(Clone, Copy, Default)]
pub(super) struct Spelling {
    pub(super) has_invisible: bool,
    pub(super) has_encoded: bool,
}

impl Spelling {
    /// Adds the start of `text`.
    pub(super) fn add(&mut self, text: &str) {
        if self.has_invisible && self.has_encoded {
            return;
        }
        match respelled(text) {
            None => {}
            Some((_, None)) => self.has_invisible = true,
            Some((_, Some(_))) => self.has_encoded = true,
        }
    }
}

impl BitOrAssign for Spelling {
    fn bitor_assign(&mut self, other: Self) {
        self.has_invisible |= other.has_invisible;
        self.has_encoded |= other.has_encoded;
    }
}

impl Visible {
    /// `text` without its invisible parts and, if `decoded`, with its encoded characters decoded.
    pub(super) fn of(text: &str, decoded: bool) -> Self {
        let mut visible = Self { text: String::with_capacity(text.len()), pieces: Vec::new() };
        let (mut copied, mut at) = (0, 0);
        while at < text.len() {
            let Some((len, shown)) =
                respelled(&text[at..]).filter(|(_, shown)| decoded || shown.is_none())
            else {
                at = text.ceil_char_boundary(at + 1);
                continue;
            };
            visible.copy(text, copied..at);
            if let Some(c) = shown {
                visible.pieces.push(Piece { shown: visible.text.len(), raw: at..at + len });
                visible.text.push(c);
            }
            at += len;
            copied = at;
        }
        visible.copy(text, copied..at);
        visible
    }

    fn copy(&mut self, text: &str, raw: Range<usize>) {
        if !raw.is_empty() {
            self.pieces.push(Piece { shown: self.text.len(), raw: raw.clone() });
            self.text.push_str(&text[raw]);
        }
    }

    /// Whether the original has invisible text at `raw`: a terminal title.
    pub(super) fn hides(&self, text: &str, raw: usize) -> bool {
        let next = self.pieces.partition_point(|piece| piece.raw.start <= raw);
        (next == 0 || self.pieces[next - 1].raw.end <= raw) && respelled(&text[raw..]).is_none()
    }

    /// The range in the original of a range of the visible text, which is not empty.
    pub(super) fn raw(&self, shown: Range<usize>) -> Range<usize> {
        let next_of = |at: usize| self.pieces.partition_point(|piece| piece.shown <= at);
        let first = &self.pieces[next_of(shown.start) - 1];
        let next = next_of(shown.end - 1);
        let last = &self.pieces[next - 1];
        let last_end = self.pieces.get(next).map_or(self.text.len(), |next| next.shown);
        // An encoded character is never split.
        let copied = last_end - last.shown == last.raw.len();
        let end = if copied { last.raw.start + (shown.end - last.shown) } else { last.raw.end };
        first.raw.start + (shown.start - first.shown)..end
    }
}

/// An invisible part or an encoded character at the start of `text`: its length, and the visible
/// character, if there is one.
pub(super) fn respelled(text: &str) -> Option<(usize, Option<char>)> {
    match *text.as_bytes().first()? {
        b'\\' => sequence(text).or_else(|| backslash_escape(text)),
        b'%' => percent_escape(text),
        b' '..=b'~' | b'\t'..=b'\r' => None,
        _ => sequence(text).or_else(|| {
            let c = text.chars().next()?;
            Some((c.len_utf8(), shown_as(c)?))
        }),
    }
}

/// A terminal sequence, which is invisible: `ESC [ … m` sets a color, `ESC ] … BEL` a title.
fn sequence(text: &str) -> Option<(usize, Option<char>)> {
    let starts = matches!(
        text.as_bytes(),
        [0x1b | 0xc2, ..] | [b'\\', b'\\' | b'u' | b'x' | b'0' | b'e', ..]
    );
    let text = &text[..text.floor_char_boundary(SEQUENCE_BYTES_MAX)];
    starts.then(|| SEQUENCE.find(text)).flatten().map(|found| (found.len(), None))
}

/// `\u0061`, `\x61`, at any level of escaping.
fn backslash_escape(text: &str) -> Option<(usize, Option<char>)> {
    let slashes = text.bytes().take(16).take_while(|byte| *byte == b'\\').count();
    let digits = match text.as_bytes().get(slashes)? {
        b'u' => 4,
        b'x' => 2,
        _ => return None,
    };
    let len = slashes + 1 + digits;
    let c = char::from_u32(u32::from_str_radix(text.get(slashes + 1..len)?, 16).ok()?)?;
    Some((len, decoded(c).or_else(|| shown_as(c))?))
}

/// `%61`, or `%2561` if it was encoded twice.
fn percent_escape(text: &str) -> Option<(usize, Option<char>)> {
    let mut at = 1;
    while at < 7 && text[at..].starts_with("25") {
        at += 2;
    }
    let code = u8::from_str_radix(text.get(at..at + 2)?, 16).ok()?;
    let c = if code == b' ' { Some(Some(' ')) } else { decoded(char::from(code)) };
    Some((at + 2, c?))
}

/// Decodes the characters of names, but not quotes and delimiters.
fn decoded(c: char) -> Option<Option<char>> {
    (c.is_ascii_alphanumeric() || matches!(c, '_' | '-')).then_some(Some(c))
}

/// What a reader sees instead of a character: nothing, or a plain character.
fn shown_as(c: char) -> Option<Option<char>> {
    match c {
        '\u{ff01}'..='\u{ff5e}' => Some(char::from_u32(u32::from(c) - 0xfee0)),
        '\u{a0}'
        | '\u{1680}'
        | '\u{2000}'..='\u{200a}'
        | '\u{202f}'
        | '\u{205f}'
        | '\u{2800}'
        | '\u{3000}' => Some(Some(' ')),
        '\t'..='\r' | '\u{85}' => None,
        c => (c.is_control() || is_ignorable(c)).then_some(None),
    }
}
