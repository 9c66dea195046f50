//! What stands in front of the statement of a line: timestamps, levels, request ids, and the like.

use super::is_separator;

/// Levels in capitals, as loggers write them.
const LEVELS: &[&str] = &[
    "TRACE",
    "DEBUG",
    "INFO",
    "NOTICE",
    "WARN",
    "WARNING",
    "ERROR",
    "ERR",
    "CRIT",
    "CRITICAL",
    "SEVERE",
    "FATAL",
    "ALERT",
    "EMERG",
    "EMERGENCY",
    "PANIC",
    "LOG",
];
const MONTHS: &[&str] =
    &["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: &[&str] = &["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// The length of the lead of `line`. It never covers the whole of a line that says something.
pub(super) fn lead_bytes(line: &str) -> usize {
    let end = lead_end(line);
    if end == line.len() { 0 } else { end }
}

/// Whether nothing follows the lead of `line`.
pub(super) fn is_all_lead(line: &str) -> bool {
    lead_end(line) == line.len()
}

/// The same, but all of `line` if nothing follows its lead.
pub(super) fn lead_end(line: &str) -> usize {
    let mut at = 0;
    loop {
        let rest = &line[at..];
        let skipped = rest.len() - rest.trim_start_matches(is_separator).len();
        at += skipped;
        let Some(bytes) = part_bytes(&rest[skipped..]) else { return at };
        at += bytes;
    }
}

/// Whether `word` is a level, in any case.
pub(super) fn is_level(word: &str) -> bool {
    LEVELS.iter().any(|level| word.eq_ignore_ascii_case(level))
}

/// The length of one part of a lead at the start of `rest`. Most words are none, which their first
/// byte shows.
fn part_bytes(rest: &str) -> Option<usize> {
    let first = *rest.as_bytes().first()?;
    let is_word = match first {
        b'[' => return bracketed(rest).or_else(|| layout(rest)),
        b'(' | b'<' => return bracketed(rest),
        b'+' | b'0'..=b'9' | b'A'..=b'Z' => true,
        // Other words in lower case are parts only with a colon after them.
        b'a'..=b'f' => true,
        b'r' if rest.starts_with("requestId:") => return labeled_id(rest),
        b'g'..=b'z' => false,
        _ => return None,
    };
    let bytes = rest.as_bytes();
    let word_bytes = bytes
        .iter()
        .position(|byte| byte.is_ascii_whitespace() || !byte.is_ascii())
        .filter(|at| bytes[*at].is_ascii())
        .unwrap_or_else(|| rest.find(char::is_whitespace).unwrap_or(rest.len()));
    let word = &rest[..word_bytes];
    if !is_word && !word.ends_with([':', ',', ';', '|']) {
        return matches!(word, "stdout" | "stderr").then_some(word_bytes);
    }
    let of_letter = || match first {
        b'0'..=b'9' => layout(rest),
        b'R' => labeled_id(rest),
        b'A'..=b'Z' => klog(rest).or_else(|| month_day(rest)),
        _ => None,
    };
    of_letter()
        .or_else(|| is_plain_part(word).then_some(word_bytes))
        .or_else(|| is_ruby(word, &rest[word_bytes..]).then_some(word_bytes))
        .or_else(|| {
            matches!(word, "F" | "P").then_some(word_bytes).filter(|_| rest.len() > word_bytes)
        })
}

/// `[ERROR]`, `[2026-11-23 14:15:16,123]`, `(WARN)`, `<id>`.
fn bracketed(rest: &str) -> Option<usize> {
    let close = match rest.as_bytes()[0] {
        b'[' => ']',
        b'(' => ')',
        b'<' => '>',
        _ => return None,
    };
    let end = rest.find(close).filter(|end| *end <= 64)?;
    let inside = rest[1..end].trim();
    let is_lead = |word: &str| {
        is_plain_part(word)
            || is_level(word)
            || is_zone(word)
            || MONTHS.contains(&word)
            || DAYS.contains(&word)
    };
    let mut words = inside.split_whitespace().peekable();
    words.peek()?;
    let is_number =
        |word: &str| word.trim_start_matches('#').bytes().all(|byte| byte.is_ascii_digit());
    words.all(|word| is_lead(word) || is_number(word)).then_some(end + 1)
}

/// The header of klog: `E1123 14:15:06.789012       1 leaderelection.go:332] `.
fn klog(rest: &str) -> Option<usize> {
    const HEADER_BYTES_MAX: usize = 160;
    let mut words = rest.split_ascii_whitespace();
    let is_header = words.next().is_some_and(is_klog)
        && words.next().is_some_and(is_time)
        && words.next().is_some_and(|word| word.bytes().all(|byte| byte.is_ascii_digit()));
    let place = words.next().filter(|place| is_header && place.contains(".go:"))?;
    let end = place.as_ptr() as usize - rest.as_ptr() as usize + place.find(']')? + 1;
    (end <= HEADER_BYTES_MAX).then_some(end)
}

/// What a layout of Java writes between the level and the logger: the process and the thread, as in
/// `7 --- [nio-8080-exec-7] c.e.shop.Cart : ` and `[main] c.e.shop.Cart - `.
fn layout(rest: &str) -> Option<usize> {
    const LAYOUT_BYTES_MAX: usize = 160;
    if !rest.starts_with(|c: char| c == '[' || c.is_ascii_alphanumeric()) {
        return None;
    }
    let mut at = 0;
    loop {
        let part = rest[at..].trim_start_matches(' ');
        at = rest.len() - part.len();
        let bytes = match part.as_bytes().first()? {
            b'[' => part.find(']')? + 1,
            _ => part.find(' ')?,
        };
        let word = &part[..bytes];
        if at > LAYOUT_BYTES_MAX {
            return None;
        }
        if is_logger(word) {
            let after = part[bytes..].trim_start_matches(' ');
            let is_end = after.starts_with(": ") || after.starts_with("- ");
            return (is_end && at > 0).then_some(at);
        }
        let is_process = word == "---" || word.bytes().all(|byte| byte.is_ascii_digit());
        if !(word.starts_with('[') || is_process) {
            return None;
        }
        at += bytes;
    }
}

/// `c.e.shop.CartController`: dots, and a class at the end that is no exception.
fn is_logger(word: &str) -> bool {
    let Some((package, class)) = word.rsplit_once('.') else { return false };
    let is_name = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '$');
    class.starts_with(|c: char| c.is_ascii_uppercase())
        && package.starts_with(|c: char| c.is_ascii_lowercase())
        && word.chars().all(is_name)
        && !class.ends_with("Exception")
        && !class.ends_with("Error")
}

/// `F, [2026-11-23T14:15:06.789012 #17]`, of Ruby's logger.
fn is_ruby(word: &str, after: &str) -> bool {
    matches!(word, "D," | "I," | "W," | "E," | "F," | "A,") && after.starts_with(" [")
}

/// `Nov 23 14:15:16`, `Mon Nov 23 14:15:16 2026`.
fn month_day(rest: &str) -> Option<usize> {
    let mut words = rest.split_whitespace();
    let mut first = words.next()?;
    if DAYS.contains(&first.trim_end_matches(',')) {
        first = words.next()?;
    }
    let day = words.next()?;
    let time = words.next()?;
    let is_day = day.len() <= 2 && day.bytes().all(|b| b.is_ascii_digit());
    let end = |word: &str| word.as_ptr() as usize - rest.as_ptr() as usize + word.len();
    if !(MONTHS.contains(&first) && is_day && is_time(time)) {
        return None;
    }
    let year =
        words.next().filter(|word| word.len() == 4 && word.bytes().all(|b| b.is_ascii_digit()));
    Some(end(year.unwrap_or(time)))
}

/// `RequestId: 4f1d2c3b-…`, with an optional colon after it.
fn labeled_id(rest: &str) -> Option<usize> {
    let after = rest.strip_prefix("RequestId:").or_else(|| rest.strip_prefix("requestId:"))?;
    let id = after.trim_start();
    let bytes = id.find(char::is_whitespace).unwrap_or(id.len());
    is_uuid(id[..bytes].trim_end_matches(is_separator)).then(|| rest.len() - id.len() + bytes)
}

fn is_plain_part(word: &str) -> bool {
    let bare = word.trim_end_matches([':', ',', ';', '|']);
    let has_colon = bare.len() < word.len();
    match bare.as_bytes() {
        [b'0'..=b'9', ..] => {
            is_date(bare) || is_time(bare) || is_uuid(bare) || is_epoch(bare) || is_trace_root(bare)
        }
        [b'A'..=b'Z', ..] => {
            LEVELS.contains(&bare)
                || is_named(bare, has_colon)
                || is_uuid(bare)
                || is_trace_root(bare)
                || is_klog(bare)
                || matches!(bare, "UTC" | "GMT" | "Z")
        }
        [b'a'..=b'z', ..] => is_named(bare, has_colon) || is_uuid(bare),
        _ => bare == "+0000",
    }
}

/// A level with a colon, in any case: `Error:`. A panic says what happened by itself.
fn is_named(word: &str, has_colon: bool) -> bool {
    has_colon && is_level(word) && !word.eq_ignore_ascii_case("panic")
}

/// `2026-11-23`, `2026/11/23`, `2026-11-23T14:15:16.123Z`, `23/Nov/2026:14:15:16`,
/// `23-Nov-2026`.
fn is_date(word: &str) -> bool {
    let shape = shape::<8>(word);
    matches!(shape.as_ref().map(|s| &s[..]), Some(b"9999-99-" | b"9999/99/" | b"9999.99."))
        || matches!(
            word.as_bytes(),
            [b'0'..=b'9', b'0'..=b'9', a @ (b'/' | b'-'), b'A'..=b'Z', _, _, b, b'0'..=b'9', ..] if a == b
        )
}

/// `14:15:16`, `14:15:16.123`, `14:15:16,123Z`.
fn is_time(word: &str) -> bool {
    let is_clock = shape::<8>(word).is_some_and(|shape| &shape == b"99:99:99");
    is_clock && word[8..].bytes().all(|b| b.is_ascii_digit() || b".,:+-Z".contains(&b))
}

/// The first bytes of a word, with `9` for each digit.
fn shape<const N: usize>(word: &str) -> Option<[u8; N]> {
    let start: &[u8; N] = word.as_bytes().first_chunk()?;
    Some(start.map(|byte| if byte.is_ascii_digit() { b'9' } else { byte }))
}

fn is_zone(word: &str) -> bool {
    let digits = word.trim_start_matches(['+', '-']);
    matches!(word, "UTC" | "GMT" | "Z")
        || digits.len() < word.len()
            && digits.len() == 4
            && digits.bytes().all(|b| b.is_ascii_digit())
}

pub(super) fn is_uuid(word: &str) -> bool {
    let bytes = word.as_bytes();
    let is_dash = |at: usize| matches!(at, 8 | 13 | 18 | 23);
    bytes.len() == 36
        && bytes
            .iter()
            .enumerate()
            .all(|(at, b)| if is_dash(at) { *b == b'-' } else { b.is_ascii_hexdigit() })
}

/// Seconds or milliseconds since 1970, of this century.
fn is_epoch(word: &str) -> bool {
    let whole = word.split('.').next().unwrap_or(word);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    matches!(whole.len(), 10 | 13)
        && word.starts_with('1')
        && digits(whole)
        && word.split('.').skip(1).all(digits)
}

/// `1-5759e988-bd862e3fe1be46a994272793`, of AWS X-Ray.
fn is_trace_root(word: &str) -> bool {
    word.strip_prefix("Root=").unwrap_or(word).split('-').map(str::len).eq([1, 8, 24])
        && word.trim_start_matches("Root=").bytes().all(|b| b.is_ascii_hexdigit() || b == b'-')
}

/// `E1123`, with which klog of Kubernetes begins a line.
fn is_klog(word: &str) -> bool {
    matches!(word.as_bytes(), [b'I' | b'W' | b'E' | b'F', rest @ ..] if rest.len() == 4 && rest.iter().all(u8::is_ascii_digit))
}
