//! Secrets without a name and without a word that a scan could look for: secret keys of AWS, tokens of Discord and
//! Facebook, and lines of a private key. All are long runs of letters and digits, which are rare in ordinary text.

use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::format::entropy;
use super::scan::line_break_before;
use super::{Span, span};

/// The length of a secret key of AWS. All other secrets here are longer.
const RUN_LEN_MIN: usize = 40;
/// The length of the lines in a PEM file: OpenSSL, OpenSSH.
const PEM_LINES: [usize; 2] = [64, 70];

/// Adds the secrets between `spans`. A run of 40 bytes has one at each 40th place, so it is enough to read that one.
pub(super) fn find_bare<'t>(text: &'t str, spans: &mut Vec<Span<'t>>) {
    let starts = [0].into_iter().chain(spans.iter().map(|span| span.range.end));
    let ends = spans.iter().map(|span| span.range.start).chain([text.len()]);
    let mut found = Vec::new();
    for (start, end) in starts.zip(ends) {
        let bytes = &text.as_bytes()[..end];
        let (mut done, mut probe) = (start, start + RUN_LEN_MIN - 1);
        while probe < end {
            if !in_run(bytes[probe]) {
                probe += RUN_LEN_MIN;
                continue;
            }
            let first = probe - bytes[done..probe].iter().rev().take_while(|byte| in_run(**byte)).count();
            done = probe + bytes[probe..].iter().take_while(|byte| in_run(**byte)).count();
            probe = done + RUN_LEN_MIN;
            // `\n` is a line break.
            let first = if bytes[..first].ends_with(b"\\") && b"nrt".contains(&bytes[first]) { first + 1 } else { first };
            if done - first >= RUN_LEN_MIN {
                secrets_in_run(text, first..done, &mut found);
            }
        }
    }
    if !found.is_empty() {
        spans.append(&mut found);
        spans.sort_by_key(|span| span.range.start);
    }
}

fn in_run(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"+/_.-|%".contains(&byte)
}

fn secrets_in_run(text: &str, run: Range<usize>, found: &mut Vec<Span<'_>>) {
    let bytes = text.as_bytes();
    if let Some(lines) = pem_lines(text, &run) {
        // The last line of a key can be shorter than a run.
        match found.last_mut().filter(|last| line_break_before(&bytes[..run.start]) == last.range.end) {
            Some(last) => last.range.end = lines.end,
            None => found.push(span(lines, "private-key")),
        }
        return;
    }
    let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
    let dotted = |byte: &u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
    let barred = |byte: &u8| byte.is_ascii_alphanumeric() || b"_-|%".contains(byte);
    let parts = |belongs: &dyn Fn(&u8) -> bool, is: &dyn Fn(&[u8]) -> bool, name, found: &mut Vec<Span<'_>>| {
        let mut at = run.start;
        for part in bytes[run.clone()].split(|byte| !belongs(byte)) {
            if is(part) {
                found.push(span(at..at + part.len(), name));
            }
            at += part.len() + 1;
        }
    };
    parts(&base64, &is_aws_secret, "aws-secret", found);
    parts(&dotted, &is_discord_token, "discord-token", found);
    parts(&barred, &is_facebook_token, "facebook-token", found);
}

/// 40 random characters. A hash has one case, a path or a class name has words, and encoded text can be read.
fn is_aws_secret(part: &[u8]) -> bool {
    part.len() == RUN_LEN_MIN && is_key_material(part, 4.3)
}

/// The id of the bot, which is a number in Base64; a time; a signature.
fn is_discord_token(part: &[u8]) -> bool {
    let mut fields = part.split(|byte| *byte == b'.');
    let (Some(id), Some(time), Some(signature), None) = (fields.next(), fields.next(), fields.next(), fields.next()) else {
        return false;
    };
    let number = URL_SAFE_NO_PAD.decode(id).is_ok_and(|id| id.len() >= 17 && id.iter().all(u8::is_ascii_digit));
    number && (6..=7).contains(&time.len()) && (27..=38).contains(&signature.len())
}

/// The id of an app and its secret: `123456789012345|…`.
fn is_facebook_token(part: &[u8]) -> bool {
    let digits = part.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = &part[digits..];
    let secret = rest.strip_prefix(b"%7C").or(rest.strip_prefix(b"|")).or(rest.strip_prefix(b"%"));
    let fits = |secret: &[u8]| {
        (27..=40).contains(&secret.len()) && !secret.iter().any(|byte| b"|%".contains(byte)) && turns(secret) >= 6
    };
    (15..=16).contains(&digits) && secret.is_some_and(fits)
}

/// A whole line of random Base64, and the shorter last line after it.
fn pem_lines(text: &str, run: &Range<usize>) -> Option<Range<usize>> {
    let bytes = text.as_bytes();
    let line = &bytes[run.clone()];
    let starts = run.start == 0 || line_break_before(&bytes[..run.start]) < run.start;
    let line_break = |at: usize| match &bytes[at..] {
        [] => Some(0),
        [b'\n', ..] => Some(1),
        [b'\r', b'\n', ..] | [b'\\', b'n', ..] => Some(2),
        _ => None,
    };
    let next = run.end + line_break(run.end)?;
    let base64 = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
    let key = starts && PEM_LINES.contains(&line.len()) && line.iter().all(|byte| base64(&byte));
    // A certificate is public.
    if !key || !is_key_material(line, 4.6) || text.contains("CERTIFICATE-----") || text.contains("PUBLIC KEY-----") {
        return None;
    }
    let last = bytes[next..].iter().take(line.len()).take_while(base64).count();
    let short = (1..line.len()).contains(&last) && line_break(next + last).is_some();
    Some(run.start..if short { next + last } else { run.end })
}

/// Whether Base64 text is random: all kinds of characters in turn, and not text when it is decoded.
fn is_key_material(part: &[u8], entropy_min: f64) -> bool {
    let has = |is: fn(&u8) -> bool| part.iter().any(is);
    let mixed = has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    mixed && turns(part) >= part.len() * 7 / 20 && entropy(part) >= entropy_min && !is_encoded_text(part)
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

/// Whether a part of Base64 text, which may start anywhere, is text when it is decoded.
fn is_encoded_text(part: &[u8]) -> bool {
    let is_text = |from: usize| {
        let aligned = &part[from..from + (part.len() - from) / 4 * 4];
        let Ok(decoded) = STANDARD.decode(aligned) else { return false };
        let text = String::from_utf8_lossy(&decoded);
        // The first and the last character can be cut.
        let bad = |c: &char| *c == char::REPLACEMENT_CHARACTER || c.is_control() && !c.is_whitespace();
        text.chars().filter(bad).count() <= 2
    };
    (0..4).any(is_text)
}
