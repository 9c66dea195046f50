//! The format of a token: a small subset of regular expressions that needs no compilation and is
//! matched in linear time. `rules.toml` describes it.

use std::ops::Range;

use super::word::{entropy, starts_word};

/// So many bytes after the word are judged. To judge all of a text without a limit would be
/// quadratic in a run of words.
const JUDGED_BYTES_MAX: usize = 64;

/// `[a-z]{4}(.word.|-word-)[0-9]{2,}`: words, and what is before and after them.
#[derive(Debug)]
pub(super) struct Format {
    before: Vec<Piece>,
    pub(super) words: Vec<String>,
    after: Vec<Piece>,
}

/// So many characters of a class.
#[derive(Debug)]
struct Piece {
    class: Class,
    len_min: usize,
    len_max: usize,
}

/// A set of ASCII characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Class(u128);

impl Class {
    fn contains(self, byte: u8) -> bool {
        byte.is_ascii() && self.0 >> byte & 1 == 1
    }

    fn add(&mut self, bytes: impl IntoIterator<Item = u8>) {
        self.0 |= bytes.into_iter().fold(0, |set, byte| set | 1 << byte);
    }
}

impl Format {
    /// Reads a format. The file of rules is a part of the program, so an error is a defect.
    pub(super) fn new(pattern: &str) -> Self {
        let (before, words, after) = match pattern.split_once('(') {
            Some((before, rest)) => {
                let (words, after) = rest.split_once(')').expect("invariant: the group is closed");
                (before, words.split('|').map(str::to_owned).collect(), after)
            }
            None => {
                let word = pattern.find(['[', '{', '\\']).unwrap_or(pattern.len());
                // The character before a `?` is optional.
                let (word, after) = pattern.split_at(word);
                ("", vec![word.to_owned()], after)
            }
        };
        Self { before: pieces(before), words, after: pieces(after) }
    }

    pub(super) fn starts_with_word(&self) -> bool {
        self.before.is_empty()
    }

    /// The least length of a text of the format.
    #[cfg(test)]
    pub(super) fn len_min(&self) -> usize {
        let words = self.words.iter().map(String::len).min().unwrap_or(0);
        words + self.before.iter().chain(&self.after).map(|piece| piece.len_min).sum::<usize>()
    }

    /// The token whose word is at `word`.
    pub(super) fn find(&self, bytes: &[u8], word: Range<usize>) -> Option<Range<usize>> {
        if !self.words.iter().any(|known| known.as_bytes() == &bytes[word.clone()]) {
            return None;
        }
        let start = self.start(bytes, word.start)?;
        let end = end(&self.after, bytes, word.end)?;
        let random = |part: &[u8], len_min: usize| part.len() < len_min || is_random(part);
        let judged = self.extended(&bytes[..bytes.len().min(word.end + JUDGED_BYTES_MAX)], end);
        let (before, after) = (&bytes[start..word.start], &bytes[word.end..judged]);
        // A short text after `.atlasv1.`-like words says nothing.
        let fits = if before.is_empty() {
            random(after, 1)
        } else {
            random(before, 1) && random(after, 4)
        };
        fits.then(|| start..self.extended(bytes, end))
    }

    /// The value that starts at `at`. A format without a word is a value.
    pub(super) fn value(&self, bytes: &[u8], at: usize) -> Option<Range<usize>> {
        let starts = |word: &&String| bytes[at..].starts_with(word.as_bytes());
        let word = self.words.iter().filter(starts).map(String::len).max()?;
        let end = end(&self.after, bytes, at + word)?;
        let more = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-".contains(byte);
        (!bytes.get(end).is_some_and(more)).then_some(at..end)
    }

    /// The end of a token whose last piece has no limit. Dots at its end are not part of it.
    fn extended(&self, bytes: &[u8], end: usize) -> usize {
        let Some(last) = self.after.last().filter(|last| last.len_max == usize::MAX) else {
            return end;
        };
        if end >= bytes.len() {
            return end;
        }
        let len = bytes[end..].iter().take_while(|byte| last.class.contains(**byte)).count();
        end + len - bytes[end..end + len].iter().rev().take_while(|byte| **byte == b'.').count()
    }

    fn start(&self, bytes: &[u8], mut at: usize) -> Option<usize> {
        let Some(first) = self.before.first() else {
            return starts_word(bytes, at).then_some(at);
        };
        for piece in self.before.iter().rev() {
            let belongs = |byte: &&u8| piece.class.contains(**byte);
            let len = bytes[..at].iter().rev().take(piece.len_max).take_while(belongs).count();
            at -= Some(len).filter(|len| *len >= piece.len_min)?;
        }
        // A longer run of the same characters is something else.
        let longer = |byte: &u8| byte.is_ascii_alphanumeric() && first.class.contains(*byte);
        (!bytes[..at].last().is_some_and(longer)).then_some(at)
    }
}

/// The end of the pieces at `at`; for a piece without a limit, the end of its shortest text. To
/// read on before the text is known to be a token would be quadratic in a run of words.
fn end(pieces: &[Piece], bytes: &[u8], mut at: usize) -> Option<usize> {
    for piece in pieces {
        let len_max = if piece.len_max == usize::MAX { piece.len_min } else { piece.len_max };
        let run = bytes[at..]
            .iter()
            .take(len_max)
            .take_while(|byte| piece.class.contains(**byte))
            .count();
        at += Some(run).filter(|len| *len >= piece.len_min)?;
    }
    // A longer run of the same characters is something else.
    let optional = pieces.iter().rev().take_while(|piece| piece.len_min == 0).count();
    let last = &pieces[pieces.len().saturating_sub(optional + 1)..];
    let longer = |byte: &u8| {
        last.iter()
            .any(|piece| (2..usize::MAX).contains(&piece.len_max) && piece.class.contains(*byte))
    };
    (!bytes.get(at).is_some_and(longer)).then_some(at)
}

/// Whether a token can be random: not one character repeated, not lower-case words.
pub(super) fn is_random(token: &[u8]) -> bool {
    let digits = token.iter().any(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase());
    let long_word = || token.split(|byte| !byte.is_ascii_alphabetic()).any(|word| word.len() >= 16);
    // A number has few different characters.
    let is_number = token.iter().all(u8::is_ascii_digit);
    let entropy_min = if token.len() < 12 || is_number { 1.0 } else { 2.0 };
    (digits || long_word()) && entropy(token) >= entropy_min
}

fn pieces(pattern: &str) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let mut rest = pattern;
    while !rest.is_empty() {
        let (class, after) = class(rest);
        let (len_min, len_max, after) = length(after);
        pieces.push(Piece { class, len_min, len_max });
        rest = after;
    }
    pieces
}

/// The class or the character at the start of `pattern`, and the rest.
fn class(pattern: &str) -> (Class, &str) {
    let mut class = Class(0);
    let Some(inside) = pattern.strip_prefix('[') else {
        let escaped = pattern.strip_prefix('\\').unwrap_or(pattern);
        let (literal, rest) = escaped.split_at(1);
        class.add(literal.bytes());
        return (class, rest);
    };
    let (inside, rest) = inside.split_once(']').expect("invariant: the class is closed");
    let mut inside = inside.bytes().peekable();
    while let Some(first) = inside.next() {
        match (first, inside.clone().nth(1)) {
            (b'\\', _) if inside.next_if_eq(&b'w').is_some() => {
                class.add(
                    (0..128).filter(|byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_'),
                );
            }
            (_, Some(last)) if inside.next_if_eq(&b'-').is_some() => {
                inside.next();
                class.add(first..=last);
            }
            _ => class.add([first]),
        }
    }
    (class, rest)
}

/// `{3}`, `{3,}`, `{3,5}`, `?`, or nothing.
fn length(pattern: &str) -> (usize, usize, &str) {
    if let Some(rest) = pattern.strip_prefix('?') {
        return (0, 1, rest);
    }
    let Some((inside, rest)) = pattern.strip_prefix('{').and_then(|inside| inside.split_once('}'))
    else {
        return (1, 1, pattern);
    };
    let number = |text: &str| text.parse().expect("invariant: a length is a number");
    match inside.split_once(',') {
        None => (number(inside), number(inside), rest),
        Some((least, "")) => (number(least), usize::MAX, rest),
        Some((least, most)) => (number(least), number(most), rest),
    }
}

#[cfg(test)]
impl Format {
    /// A random text of the format, and its word.
    pub(super) fn sample(&self, random: &mut fastrand::Rng) -> (String, String) {
        let text = |pieces: &[Piece], random: &mut fastrand::Rng| {
            pieces
                .iter()
                .map(|piece| {
                    piece.sample(random, piece.len_min..=piece.len_max.min(piece.len_min + 40))
                })
                .collect::<String>()
        };
        let word = self.words[random.usize(..self.words.len())].clone();
        let token = format!("{}{word}{}", text(&self.before, random), text(&self.after, random));
        // A dot at the end would be the end of a sentence.
        (token.strip_suffix('.').map_or(token.clone(), |token| format!("{token}a")), word)
    }

    /// Texts that are nearly of the format: one character too short, or too long where there is a
    /// limit.
    pub(super) fn near_misses(&self, random: &mut fastrand::Rng) -> Vec<String> {
        let word = &self.words[random.usize(..self.words.len())];
        let mut misses = Vec::new();
        let all: Vec<_> = self.before.iter().chain(&self.after).collect();
        for (miss, piece) in all.iter().enumerate().filter(|(_, piece)| piece.len_min >= 4) {
            let max = if piece.len_max == usize::MAX { 0 } else { piece.len_max + 1 };
            for len in [piece.len_min - 1, max].into_iter().filter(|len| *len > 0) {
                let parts = all.iter().enumerate().map(|(at, piece)| {
                    let len = if at == miss { len } else { piece.len_min };
                    piece.sample(random, len..=len)
                });
                let parts: Vec<_> = parts.collect();
                let (before, after) = parts.split_at(self.before.len());
                misses.push(format!("{}{word}{}", before.concat(), after.concat()));
            }
        }
        misses
    }
}

#[cfg(test)]
impl Piece {
    fn sample(&self, random: &mut fastrand::Rng, len: std::ops::RangeInclusive<usize>) -> String {
        let class: Vec<char> =
            (0..128u8).filter(|byte| self.class.contains(*byte)).map(char::from).collect();
        (0..random.usize(len)).map(|_| class[random.usize(..class.len())]).collect()
    }
}
