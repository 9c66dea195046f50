//! What a word is, by its characters alone: a time, an address, a host name, a number with a unit,
//! and so on.

use std::net::{Ipv4Addr, Ipv6Addr};

// The kinds of the bytes of a word, one bit each. The union of the bits limits what a word can be.
pub(super) const DIGIT: u8 = 1 << 0;
/// `a` to `f`.
pub(super) const HEX: u8 = 1 << 1;
/// Any other letter.
pub(super) const LETTER: u8 = 1 << 2;
const DOT: u8 = 1 << 3;
const COLON: u8 = 1 << 4;
/// Other punctuation between the parts of a word.
const JOINT: u8 = 1 << 5;
/// A byte that takes a closer look: of a character that is not ASCII, or a backslash.
const SPECIAL: u8 = 1 << 6;
const AT: u8 = 1 << 7;

/// The kind of each byte; 0 for bytes that are not part of a word.
const KINDS: [u8; 256] = {
    let (mut kinds, mut byte) = ([0; 256], 0);
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' | b'A'..=b'F' => HEX,
            b'g'..=b'z' | b'G'..=b'Z' => LETTER,
            b'.' => DOT,
            b':' => COLON,
            b'@' => AT,
            b'_' | b'-' | b'/' | b'%' | b'+' | b'$' | b'~' | b'#' => JOINT,
            b'\\' | 0x80.. => SPECIAL,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

fn kind(byte: u8) -> u8 {
    KINDS[usize::from(byte)]
}

/// A byte that is not part of a word, nor the start of a character beyond ASCII.
pub(super) fn is_separator(byte: u8) -> bool {
    kind(byte) == 0
}

/// Punctuation between the parts of a word.
pub(super) fn is_joint(byte: u8) -> bool {
    kind(byte) & (DOT | COLON | JOINT | AT) != 0 || byte == b'\\'
}

/// The end of the word at the start of `text`, and the union of the kinds of its bytes.
pub(super) fn word_end(text: &str) -> (usize, u8) {
    let (bytes, mut at, mut kinds) = (text.as_bytes(), 0, 0);
    while let Some(&byte) = bytes.get(at) {
        let kind = kind(byte);
        if kind != 0 && kind != SPECIAL {
            kinds |= kind;
            at += 1;
            continue;
        }
        let (kind, length) = special(text, at);
        if length == 0 {
            break;
        }
        kinds |= kind;
        at += length;
    }
    (at, kinds)
}

/// The kind and the length of a backslash or a character beyond ASCII at `at`; the length is 0 if
/// it is not part of a word.
fn special(text: &str, at: usize) -> (u8, usize) {
    match text[at..].chars().next() {
        Some('\\') if !is_escaped_quote(&text.as_bytes()[at..]) => (JOINT, 1),
        Some(c) if !c.is_ascii() && c.is_alphanumeric() => (LETTER, c.len_utf8()),
        _ => (0, 0),
    }
}

/// `\"` or `\'`, as JSON within JSON has them.
pub(super) fn is_escaped_quote(bytes: &[u8]) -> bool {
    matches!(bytes, [b'\\', b'"' | b'\'', ..])
}

/// The kind of a word, by its characters.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    /// Nothing in it changes between occurrences, as far as one can see.
    Text,
    Time,
    /// An address after this many slashes.
    Address(usize),
    /// A name or an address after a slash and a name.
    SlashAddress(usize),
    Id,
    Number {
        has_unit: bool,
    },
    /// A host after this many slashes.
    Host(usize),
    Mail,
    /// A URL, and the length of its scheme with `://`.
    Url(usize),
    /// A name with digits in it.
    Parts,
}

/// The shape of `word`; `kinds` is the union of the kinds of its bytes.
pub(super) fn of(word: &str, kinds: u8) -> Shape {
    if kinds & (DIGIT | DOT | AT | COLON) == 0 {
        return Shape::Text;
    }
    if kinds == DIGIT {
        return if word.len() < ID_DIGITS_MIN {
            Shape::Number { has_unit: false }
        } else {
            Shape::Id
        };
    }
    if kinds & AT != 0 && is_mail(word) {
        return Shape::Mail;
    }
    if kinds & (COLON | JOINT) == COLON | JOINT
        && let Some(at) = word.find("://")
    {
        return Shape::Url(at + 3);
    }
    let slashes = word.bytes().position(|byte| byte != b'/').unwrap_or(word.len());
    let host = &word[slashes..];
    if kinds & DIGIT != 0 {
        if kinds & DOT != 0 && is_ipv4(host)
            || kinds & COLON != 0 && is_ipv6(host)
            || kinds & (COLON | JOINT) != 0 && is_mac(host)
        {
            return Shape::Address(slashes);
        }
        if kinds & (COLON | JOINT) != 0 && is_time(word, kinds) {
            return Shape::Time;
        }
        if kinds & LETTER == 0 && is_id(word) {
            return Shape::Id;
        }
        if let Some(has_unit) = number(word) {
            return Shape::Number { has_unit };
        }
    }
    if kinds & DOT != 0 {
        match host.bytes().position(|byte| byte == b'/') {
            None if slashes <= 1 && is_host(host) => return Shape::Host(slashes),
            Some(at) if slashes == 0 && is_ipv4(&host[at + 1..]) => return Shape::SlashAddress(at),
            _ => {}
        }
    }
    if kinds & DIGIT == 0 { Shape::Text } else { Shape::Parts }
}

/// `2026-11-23T14:15:16.123Z`, `2026-11-23`, `14:15:16`, `14:15:16.123`, `23/11/26`, `0:15`.
fn is_time(word: &str, kinds: u8) -> bool {
    let shape = word
        .as_bytes()
        .first_chunk()
        .map(|start: &[u8; 8]| start.map(|byte| if byte.is_ascii_digit() { b'9' } else { byte }));
    let starts_as_date = matches!(
        shape.as_ref(),
        Some(b"9999-99-" | b"9999/99/" | b"99:99:99" | b"99/99/99" | b"99-99-99")
    );
    starts_as_date || kinds & COLON != 0 && is_clock(word)
}

/// `0:15`, `123:15:16`, `0:15.2`.
fn is_clock(word: &str) -> bool {
    let (mut fields, mut field) = ([0; 3], 0);
    let mut bytes = word.bytes();
    for byte in bytes.by_ref() {
        match byte {
            b'0'..=b'9' => fields[field] += 1,
            b':' if field < 2 => field += 1,
            b'.' if field > 0 => break,
            _ => return false,
        }
    }
    let first_max = if field == 1 { 2 } else { 4 };
    field > 0
        && (1..=first_max).contains(&fields[0])
        && fields[1..=field].iter().all(|digits| *digits == 2)
        && bytes.all(|byte| byte.is_ascii_digit())
}

/// IPv4 with or without a port or a prefix length.
pub(super) fn is_ipv4(word: &str) -> bool {
    if !word.starts_with(|c: char| c.is_ascii_digit()) {
        return false;
    }
    let end = word.bytes().position(|byte| matches!(byte, b':' | b'/')).unwrap_or(word.len());
    let rest = word.get(end + 1..).unwrap_or_default();
    // The longest is 255.255.255.255.
    end <= 15
        && rest.bytes().all(|byte| byte.is_ascii_digit())
        && word[..end].parse::<Ipv4Addr>().is_ok()
}

fn is_ipv6(word: &str) -> bool {
    const LONGEST: usize = 45;
    // A time has two colons at most, each with digits around it.
    let is_possible = word.len() <= LONGEST
        && (word.contains("::") || word.bytes().filter(|byte| *byte == b':').count() > 2);
    is_possible && word.parse::<Ipv6Addr>().is_ok()
}

/// `5c:50:15:4c:18:13`, and longer ones.
fn is_mac(word: &str) -> bool {
    matches!(word.len(), 17 | 20 | 23)
        && word.bytes().enumerate().all(|(at, byte)| match at % 3 {
            2 => byte == word.as_bytes()[2] && matches!(byte, b':' | b'-'),
            _ => byte.is_ascii_hexdigit(),
        })
}

/// So many decimal digits are an id.
const ID_DIGITS_MIN: usize = 16;

/// A UUID, or more hexadecimal digits than a number for a reader has.
fn is_id(word: &str) -> bool {
    if word.len() < 8 {
        return false;
    }
    let (mut hex, mut dashes, mut has_letters) = (0, 0, false);
    for byte in word.bytes() {
        match byte {
            b'0'..=b'9' => hex += 1,
            b'-' => dashes += 1,
            _ if byte.is_ascii_hexdigit() => (hex, has_letters) = (hex + 1, true),
            _ => return false,
        }
    }
    hex >= 8 && (has_letters || dashes == 0 && hex >= ID_DIGITS_MIN || dashes == 4)
}

pub(super) const UUID_BYTES: usize = 36;

/// Whether a UUID stands at the start of `text`, and no more of a word after it than punctuation.
pub(super) fn starts_with_uuid(text: &str) -> bool {
    let Some(uuid) = text.as_bytes().first_chunk::<UUID_BYTES>() else { return false };
    uuid[8] == b'-'
        && uuid.iter().enumerate().all(|(at, byte)| match at {
            8 | 13 | 18 | 23 => *byte == b'-',
            _ => byte.is_ascii_hexdigit(),
        })
        && text.as_bytes().get(UUID_BYTES).is_none_or(|byte| is_joint(*byte) && *byte != b'-')
}

/// Whether a number has a unit: `12ms`, `-1.5`, `80%`, `1e9`, `1m20s`, `0x1f`; `None` if `word` is
/// not a number.
fn number(word: &str) -> Option<bool> {
    let number = match word.as_bytes() {
        [b'-' | b'+' | b'~', ..] => &word[1..],
        _ => word,
    };
    if !number.starts_with(|c: char| c.is_ascii_digit()) {
        return None;
    }
    if let Some(hex) = number.strip_prefix("0x").or_else(|| number.strip_prefix("0X")) {
        return hex.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(false);
    }
    if is_code(number) {
        return Some(false);
    }
    let end = number
        .bytes()
        .position(|byte| !(byte.is_ascii_digit() || byte == b'.'))
        .unwrap_or(number.len());
    let unit = &number[end..];
    if unit.is_empty() {
        return Some(false);
    }
    let exponent = unit.trim_start_matches(['e', 'E']).trim_start_matches(['-', '+']);
    if unit.starts_with(['e', 'E'])
        && !exponent.is_empty()
        && exponent.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Some(false);
    }
    let is_letters = unit.bytes().all(|byte| byte.is_ascii_alphabetic());
    let is_unit = unit == "%" || unit == "µs" || is_letters && (unit.len() <= 3 || is_unit(unit));
    (is_unit || is_duration(number)).then_some(true)
}

/// A code of capitals and digits, such as an SQLSTATE: `40P01`.
fn is_code(word: &str) -> bool {
    (2..=8).contains(&word.len())
        && word.starts_with(|c: char| c.is_ascii_digit())
        && word.bytes().all(|byte| byte.is_ascii_digit() || byte.is_ascii_uppercase())
        && word.bytes().filter(u8::is_ascii_digit).count() >= 2
}

/// `1m20s`, `2h5m0.5s`.
fn is_duration(word: &str) -> bool {
    let mut rest = word;
    while !rest.is_empty() {
        let unit = rest.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.');
        let after = unit.trim_start_matches(|c: char| c.is_alphabetic());
        let name = &unit[..unit.len() - after.len()];
        if unit.len() == rest.len()
            || !matches!(name, "d" | "h" | "m" | "s" | "ms" | "us" | "µs" | "ns")
        {
            return false;
        }
        rest = after;
    }
    true
}

/// A unit that is a word of its own: `12 seconds`, `1.5 MB`.
pub(super) fn is_unit(word: &str) -> bool {
    const UNITS: &[&str] = &[
        "ns", "us", "ms", "sec", "secs", "second", "seconds", "min", "mins", "minute", "minutes",
        "hour", "hours", "hrs", "day", "days", "kb", "mb", "gb", "tb", "kib", "mib", "gib", "tib",
    ];
    word.len() <= 7
        && (word == "s" || word == "B" || UNITS.iter().any(|unit| word.eq_ignore_ascii_case(unit)))
}

/// `19xx` or `20xx`.
pub(super) fn is_year(word: &str) -> bool {
    matches!(word.as_bytes(), [b'1', b'9', a, b] | [b'2', b'0', a, b] if a.is_ascii_digit() && b.is_ascii_digit())
}

/// `Jan` or `January`.
pub(super) fn is_month(word: &str) -> bool {
    starts_as(
        word,
        &["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"],
    )
}

/// `Mon` or `Monday`.
pub(super) fn is_weekday(word: &str) -> bool {
    starts_as(word, &["mon", "tue", "wed", "thu", "fri", "sat", "sun"])
}

fn starts_as(word: &str, names: &[&str]) -> bool {
    let is_name =
        (3..=9).contains(&word.len()) && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    is_name && names.iter().any(|name| word[..3].eq_ignore_ascii_case(name))
}

fn is_mail(word: &str) -> bool {
    let Some((user, host)) = word.split_once('@') else { return false };
    let is_name = |name: &str| {
        name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
    };
    let labels = || host.split('.');
    !user.is_empty()
        && user.bytes().all(|byte| {
            byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'%' | b'+' | b'-')
        })
        && labels().count() >= 2
        && labels().all(|label| !label.is_empty() && is_name(label))
}

/// A host name with at least one dot, with or without a port.
///
/// Names of classes and of files look similar. A host name ends with a domain that is common for
/// hosts, or has a port, or has digits in one of three labels.
pub(super) fn is_host(word: &str) -> bool {
    const ENDS: &[&str] = &[
        "com",
        "net",
        "org",
        "edu",
        "gov",
        "mil",
        "int",
        "io",
        "dev",
        "app",
        "co",
        "cloud",
        "ai",
        "info",
        "biz",
        "home",
        "arpa",
        "tv",
        "me",
        "local",
        "internal",
        "lan",
        "corp",
        "localdomain",
        "svc",
        "intranet",
        "de",
        "uk",
        "fr",
        "nl",
        "eu",
        "cn",
        "jp",
        "kr",
        "hk",
        "tw",
        "in",
        "ru",
        "br",
        "mx",
        "us",
        "ca",
        "au",
        "it",
        "es",
        "pl",
        "se",
        "ch",
        "at",
        "be",
        "cz",
    ];
    const LONGEST_END: usize = 11;
    const PACKAGES: &[&str] = &[
        "com", "org", "net", "java", "javax", "io", "edu", "sun", "jdk", "android", "scala",
        "kotlin", "akka", "de", "cn",
    ];
    const SOURCES: &[&str] = &[
        "py", "js", "ts", "go", "rs", "java", "rb", "c", "cc", "cpp", "h", "php", "kt", "scala",
        "cs", "sh", "pl", "jsx", "tsx", "vue", "ex", "exs", "swift", "m",
    ];
    let (name, port) = match word.bytes().position(|byte| byte == b':') {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    };
    if port.is_some_and(|port| port.is_empty() || !port.bytes().all(|byte| byte.is_ascii_digit())) {
        return false;
    }
    let Some(dot) = name.bytes().rposition(|byte| byte == b'.') else { return false };
    let (before, last) = (&name[..dot], &name[dot + 1..]);
    let first = &before[..before.bytes().position(|byte| byte == b'.').unwrap_or(before.len())];
    let is_lower = || !name.bytes().any(|byte| byte.is_ascii_uppercase());
    let has_port =
        || port.is_some_and(|port| port.len() >= 2) && !SOURCES.contains(&last) && is_lower();
    let has_digits = || {
        first.len() < before.len() && before.bytes().any(|byte| byte.is_ascii_digit()) && is_lower()
    };
    let ends_as_host = || last.len() <= LONGEST_END && ENDS.contains(&last);
    let has_labels = || {
        let is_label_byte =
            |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_') || byte >= 0x80;
        let mut before = b'.';
        name.bytes().all(|byte| {
            let is_valid = is_label_byte(byte) || byte == b'.' && before != b'.';
            before = byte;
            is_valid
        })
    };
    !last.is_empty()
        && last.bytes().all(|byte| byte.is_ascii_alphabetic())
        && (ends_as_host() || has_port() || has_digits())
        && !PACKAGES.iter().any(|package| first.eq_ignore_ascii_case(package))
        && has_labels()
}

/// The end of the name of a Kubernetes pod. Kubernetes leaves out vowels and digits that look like
/// letters (source: `k8s.io/apimachinery/pkg/util/rand`).
pub(super) fn is_pod_suffix(name: &str) -> bool {
    name.len() == 5 && name.bytes().all(|byte| b"bcdfghjklmnpqrstvwxz2456789".contains(&byte))
}
