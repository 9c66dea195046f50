//! Values in a sentence, after the name of a secret: `invalid token Zq51f0…`, `the OTP code is
//! 493021`.
//!
//! A sentence has no syntax that says what is a value, so only a text that looks like a secret is
//! one. Words, paths, versions, times and ids stay.

use std::ops::Range;

use super::rule::{CODE_BEFORE, Name, SentenceValue, UUID};
use super::table::TABLE;
use super::word::{has_title_words, is_key, is_mixed, lists, mixed_len, turns};
use super::{Span, span};

/// So much of a value is judged.
const JUDGED_BYTES_MAX: usize = 256;
/// So much of the text before a name can have its code.
const CODE_BEFORE_BYTES_MAX: usize = 96;
/// So many words can be between a name and its value.
const FILLER_WORDS_MAX: usize = 4;
/// The least length of a key, and of a password or a key that a word such as `is` announces.
const KEY_LEN_MIN: usize = 12;
const STRESSED_LEN_MIN: usize = 6;
/// The longest pointer in hexadecimal.
const POINTER_LEN_MAX: usize = 18;

/// The text between a name and its value.
struct Filler {
    /// Its end, which is the start of the value.
    end: usize,
    /// `is`, `was` or a separator announces the value.
    stressed: bool,
}

/// The secret after the name from `first` to `at`, if there are only a few words, a quote or a
/// bracket between them.
pub(super) fn announced(text: &str, name: Name, first: usize, at: usize) -> Option<Span<'static>> {
    let (looks, before) = (name.sentence?, &text.as_bytes()[..first]);
    let filler = filler(text, at)?;
    let rest = &text.as_bytes()[filler.end..];
    let is_password = looks == SentenceValue::Password;
    let value = trimmed(&rest[..rest.len().min(JUDGED_BYTES_MAX)], is_password);
    let once = is_password && (before.ends_with(b"time ") || before.ends_with(b"time-"));
    let fits = looks.fits(value, filler.stressed)
        || (once || filler.stressed) && is_password && is_code(value, 4..=8);
    if !fits {
        return None;
    }
    let len = match value.len() {
        JUDGED_BYTES_MAX => rest.iter().take_while(|byte| belongs(**byte, is_password)).count(),
        len => len,
    };
    Some(span(filler.end..filler.end + len, name.kind))
}

/// `493021 is your`, and perhaps a few words, before the name at `at`.
pub(super) fn code_before(text: &str, at: usize) -> Option<Range<usize>> {
    let from = text.floor_char_boundary(at.saturating_sub(CODE_BEFORE_BYTES_MAX));
    let code = CODE_BEFORE.captures(&text[from..at])?.name("secret")?;
    Some(from + code.start()..from + code.end())
}

fn filler(text: &str, mut at: usize) -> Option<Filler> {
    let bytes = text.as_bytes();
    let run_end = |at: usize, len_max: usize, belongs: fn(&u8) -> bool| {
        at + bytes[at..].iter().take(len_max).take_while(|byte| belongs(byte)).count()
    };
    let mut stressed = false;
    for _ in 0..=FILLER_WORDS_MAX {
        let start = run_end(at, 8, |byte| b" \t".contains(byte));
        if start == at {
            return None;
        }
        let end = run_end(start, 16, u8::is_ascii_alphabetic);
        let separated = matches!(bytes.get(end), Some(b':' | b'='));
        let next = end + usize::from(separated);
        let is_filler = matches!(bytes.get(next), Some(b' ' | b'\t'))
            && (start == end && separated || lists(TABLE.filler, &text[start..end]));
        if !is_filler {
            let end = run_end(start, 4, |byte| b"\\\"'`([<".contains(byte));
            return Some(Filler { end, stressed });
        }
        stressed |= separated || matches!(&text[start..end], "is" | "was");
        at = next;
    }
    None
}

/// A value without what ends it.
pub(super) fn trimmed(text: &[u8], is_password: bool) -> &[u8] {
    let len = text.iter().position(|byte| !belongs(*byte, is_password)).unwrap_or(text.len());
    let ends = |byte: &&u8| b".,:;!?)]}>".contains(byte);
    &text[..len - text[..len].iter().rev().take_while(ends).count()]
}

fn belongs(byte: u8, is_password: bool) -> bool {
    byte.is_ascii_graphic()
        && !b"\\\"'`".contains(&byte)
        && (is_password || !b",;()[]{}<>".contains(&byte))
}

impl SentenceValue {
    /// Whether `value` looks like this. A `stressed` value can be shorter.
    fn fits(self, value: &[u8], stressed: bool) -> bool {
        match self {
            Self::Code => is_code(value, 4..=8),
            Self::ShortCode => is_code(value, 3..=4),
            _ if !is_mixed(value) => false,
            Self::KeyOrUuid if is_uuid(value) => true,
            _ if is_harmless(value) => false,
            Self::Password => is_password(value, stressed),
            Self::Key | Self::KeyOrUuid => {
                let only = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-.+/=~%".contains(byte);
                let long = || value.len() >= KEY_LEN_MIN && is_long_key(value);
                value.iter().all(only) && (stressed && value.len() >= STRESSED_LEN_MIN || long())
            }
        }
    }
}

fn is_code(value: &[u8], lens: std::ops::RangeInclusive<usize>) -> bool {
    lens.contains(&value.len()) && value.iter().all(u8::is_ascii_digit)
}

/// Most of it is letters and digits in turn.
fn is_long_key(value: &[u8]) -> bool {
    let mixed = mixed_len(value, 2);
    let letters = value.iter().filter(|byte| byte.is_ascii_alphabetic()).count();
    mixed >= KEY_LEN_MIN && 2 * mixed >= value.len() && letters > 2 && is_key(value)
}

fn is_password(value: &[u8], stressed: bool) -> bool {
    let others = |byte: &u8| b"*(".contains(byte);
    let len_min =
        if stressed || turns(&value.to_ascii_lowercase()) >= 2 { STRESSED_LEN_MIN } else { 8 };
    value.len() >= len_min && (stressed || mixed_len(value, 1) > 0) && !value.iter().any(others)
}

fn is_uuid(value: &[u8]) -> bool {
    value.len() == 36 && std::str::from_utf8(value).is_ok_and(|value| UUID.is_match(value))
}

/// Letters and digits that say what they are: `sha-256`, `v2.1.0`, `15min`, `user=bob1`, a path, an
/// address, a time, an id or a pointer.
pub(super) fn is_harmless(value: &[u8]) -> bool {
    let lower = value.to_ascii_lowercase();
    let Ok(text) = std::str::from_utf8(&lower) else { return true };
    let digits = text.len() - text.trim_start_matches(|c: char| c.is_ascii_digit()).len();
    let (number, rest) = text.split_at(digits);
    let version = text.strip_prefix('v').unwrap_or(text);
    let numbers =
        version.split('.').take_while(|part| part.bytes().all(|byte| byte.is_ascii_digit()));
    let named = text.find(['=', ':']).is_some_and(|at| {
        let name = |byte: u8| byte.is_ascii_alphabetic() || b"_.-".contains(&byte);
        at > 0 && text[..at].bytes().all(name) && !text[at..].trim_start_matches('=').is_empty()
    });
    let domain = text.rsplit_once('.').map_or("", |(_, last)| last);
    lists(TABLE.words_with_digits, text)
        || !number.is_empty() && lists(TABLE.units, rest)
        || numbers.filter(|part| !part.is_empty()).count() >= 2
        || number.len() == 4 && rest.starts_with('-')
        || named
        || text.starts_with(['/', '$', '%', '{', '<', '[', '-', '~'])
        || text.starts_with("./")
        || text.contains("://")
        || (2..=5).contains(&domain.len()) && domain.bytes().all(|byte| byte.is_ascii_lowercase())
        || text.starts_with("0x") && text.len() <= POINTER_LEN_MAX
        || has_title_words(value)
        || is_uuid(value)
}

#[cfg(test)]
impl SentenceValue {
    /// A random value that looks like this.
    pub(super) fn sample(self, random: &mut fastrand::Rng) -> String {
        match self {
            Self::Code => random.u32(1_000..100_000_000).to_string(),
            Self::ShortCode => random.u32(100..10_000).to_string(),
            Self::Password | Self::Key | Self::KeyOrUuid => {
                let len = if self == Self::Password { 9 } else { 24 };
                let mut sample = || -> String {
                    std::iter::repeat_with(|| random.alphanumeric()).take(len).collect()
                };
                // A few have too few digits or too few letters.
                std::iter::repeat_with(&mut sample)
                    .find(|value| self.fits(value.as_bytes(), false))
                    .expect("invariant: nearly every value fits")
            }
        }
    }
}
