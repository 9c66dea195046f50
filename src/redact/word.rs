//! Judges words by their characters. Knows no rules.

pub(super) fn lists(words: &str, word: &str) -> bool {
    words.split_ascii_whitespace().any(|listed| listed == word)
}

/// Whether one of `words` is a part of `text`, as in `txn_id`, `txnId` and `TXN-ID`.
pub(super) fn has_part(text: &[u8], words: &str) -> bool {
    text.split(|byte| !byte.is_ascii_alphabetic()).any(|mut rest| {
        let upper = rest.iter().all(u8::is_ascii_uppercase);
        while let [_, others @ ..] = rest {
            let len =
                1 + others.iter().take_while(|byte| upper || byte.is_ascii_lowercase()).count();
            let part = rest[..len].to_ascii_lowercase();
            if std::str::from_utf8(&part).is_ok_and(|part| lists(words, part)) {
                return true;
            }
            rest = &rest[len..];
        }
        false
    })
}

/// Whether a word can start at `at`: not after a letter or digit, except for those of an escape.
pub(super) fn starts_word(bytes: &[u8], at: usize) -> bool {
    match &bytes[..at] {
        [.., b'\\', b'n' | b'r' | b't'] | [.., b'\\', b'u', _, _, _, _] => true,
        [.., b'%', a, b] if a.is_ascii_hexdigit() && b.is_ascii_hexdigit() => true,
        [.., last] => !last.is_ascii_alphanumeric(),
        [] => true,
    }
}

pub(super) fn is_mixed(word: &[u8]) -> bool {
    word.iter().any(u8::is_ascii_digit) && word.iter().any(u8::is_ascii_alphabetic)
}

/// The start of the line break, escaped or not, at the end of `bytes`; the end if there is none.
pub(super) fn line_break_before(bytes: &[u8]) -> usize {
    let rest = bytes.strip_suffix(b"\n").map(|rest| rest.strip_suffix(b"\r").unwrap_or(rest));
    let escaped =
        || bytes.strip_suffix(b"\\n").map(|rest| rest.strip_suffix(b"\\r").unwrap_or(rest));
    rest.or_else(escaped).map_or(bytes.len(), <[u8]>::len)
}

/// How often letters and digits of another kind follow each other. Separators do not count.
pub(super) fn turns(part: &[u8]) -> usize {
    let kind = |byte: &u8| match byte {
        b'0'..=b'9' => Some(0),
        b'A'..=b'Z' => Some(1),
        b'a'..=b'z' => Some(2),
        _ => None,
    };
    let differ = |pair: &&[u8]| matches!((kind(&pair[0]), kind(&pair[1])), (Some(one), Some(next)) if one != next);
    part.windows(2).filter(differ).count()
}

/// The entropy per character, in bits.
pub(super) fn entropy(text: &[u8]) -> f64 {
    let mut counts = [0u16; 128];
    for byte in text.iter().take(1024) {
        counts[usize::from(*byte & 127)] += 1;
    }
    let len = text.len().min(1024) as f64;
    let bits = |count: &u16| f64::from(*count) / len * (len / f64::from(*count)).log2();
    counts.iter().filter(|count| **count > 0).map(bits).sum()
}

/// The length of all parts, between `.`, `-`, `_` and `/`, in which letters and digits follow each
/// other at least `turns_min` times, or letters of both cases do at least twice as often.
pub(super) fn mixed_len(value: &[u8], turns_min: usize) -> usize {
    let parts = value.split(|byte| b"._-/".contains(byte));
    let mixed = |part: &&[u8]| {
        turns(&part.to_ascii_lowercase()) >= turns_min
            || is_mixed(part) && turns(part) >= 2 * turns_min
    };
    parts.filter(mixed).map(<[u8]>::len).sum()
}

/// Whether most letters are those of words such as `Converter`.
pub(super) fn has_title_words(value: &[u8]) -> bool {
    let (mut in_words, mut at) = (0, 0);
    while at < value.len() {
        let rest = value[at + 1..].iter().take_while(|byte| byte.is_ascii_lowercase()).count();
        if value[at].is_ascii_uppercase() && rest >= 3 {
            in_words += 1 + rest;
        }
        at += 1 + rest;
    }
    2 * in_words > value.iter().filter(|byte| byte.is_ascii_alphabetic()).count()
}

/// Whether a value of the right length is random: the kinds of characters take turns, unlike in
/// `backup2024`.
pub(super) fn is_key(value: &[u8]) -> bool {
    let random = turns(&value.to_ascii_lowercase()) >= 3 || turns(value) >= 6;
    random && entropy(value) >= if value.len() < 20 { 2.3 } else { 2.7 }
}
