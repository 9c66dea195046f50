//! Secrets in long runs of letters and digits: tokens that start with the word of their format, and
//! secrets without any word: secret keys of AWS, tokens of Discord and Facebook, and lines of a
//! private key.
//!
//! Long runs are rare in ordinary text. So the words of tokens are looked for in runs only, and are
//! not in the automaton, which would be slower with each word.

use std::cell::OnceCell;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};

use super::table::TABLE;
use super::word::{entropy, line_break_before, turns};
use super::{Span, span};

/// The least length of a token. A test checks it.
pub(super) const RUN_LEN_MIN: usize = 15;
/// The length of a secret key of AWS. All other secrets without a word are longer.
const BARE_LEN_MIN: usize = 40;
/// The length of the lines in a PEM file: OpenSSL, OpenSSH.
const PEM_LINES: [usize; 2] = [64, 70];

/// The longest prefix of a line in a log.
pub(super) const PREFIX_BYTES_MAX: usize = 160;
const LINE_BREAKS: [&[u8]; 3] = [b"\n", b"\r\n", b"\\n"];

/// Adds the secrets of all runs. A run of 15 bytes has one at each 15th place, so it is enough to
/// read that one.
pub(super) fn find_in_runs<'t>(text: &'t str, found: &mut Vec<Span<'t>>) {
    let bytes = text.as_bytes();
    let mut runs = Runs { text, bytes, public: OnceCell::new(), found };
    let (mut done, mut probe) = (0, RUN_LEN_MIN - 1);
    while probe < bytes.len() {
        // Of 15 bytes around the place, one is 8 before it or 7 after it.
        let near = |at: usize| bytes.get(at).is_some_and(|byte| in_run(*byte));
        if !in_run(bytes[probe]) || !near(probe.wrapping_sub(8)) && !near(probe + 7) {
            probe += RUN_LEN_MIN;
            continue;
        }
        let mut first =
            probe - bytes[done..probe].iter().rev().take_while(|byte| in_run(**byte)).count();
        done = bytes[probe..]
            .iter()
            .position(|byte| !in_run(*byte))
            .map_or(bytes.len(), |len| probe + len);
        // `\n` is a line break.
        if bytes[..first].ends_with(b"\\") && b"nrt".contains(&bytes[first]) {
            first += 1;
        }
        if done - first >= RUN_LEN_MIN {
            done = runs.examine(first..done);
        }
        probe = done + RUN_LEN_MIN;
    }
}

// The kinds of characters in a run.
const DIGIT: u8 = 1;
const UPPER: u8 = 2;
const LOWER: u8 = 4;
const PATH: u8 = 8;
const BAR: u8 = 16;
const PERCENT: u8 = 32;
const DASH: u8 = 64;
const OTHER: u8 = 128;

/// The kind of each byte that can be in a run. The others are 0.
const KINDS: [u8; 256] = {
    let (mut kinds, mut byte) = ([0; 256], 0);
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'A'..=b'Z' => UPPER,
            b'a'..=b'z' => LOWER,
            b'.' | b'/' => PATH,
            b'|' => BAR,
            b'%' => PERCENT,
            b'_' | b'-' => DASH,
            b'+' | b'=' | b'~' => OTHER,
            _ => 0,
        };
        byte += 1;
    }
    kinds
};

fn is_letter_or_digit(byte: u8) -> bool {
    KINDS[usize::from(byte)] & (DIGIT | UPPER | LOWER) > 0
}

/// The characters of the words of tokens, and of secrets without a word.
pub(super) fn in_run(byte: u8) -> bool {
    KINDS[usize::from(byte)] > 0
}

struct Runs<'t, 'f> {
    text: &'t str,
    bytes: &'t [u8],
    /// Whether the text has a certificate or a public key.
    public: OnceCell<bool>,
    found: &'f mut Vec<Span<'t>>,
}

impl Runs<'_, '_> {
    /// Adds the secrets in the run. Returns the end of what is examined.
    fn examine(&mut self, run: Range<usize>) -> usize {
        let (before, end) = (self.found.len(), run.end);
        let kinds =
            self.bytes[run.clone()].iter().fold(0, |kinds, byte| kinds | KINDS[usize::from(*byte)]);
        // A path or the name of a class. A token with a dot or a slash is so long that it has a
        // digit.
        let path = kinds & PATH > 0 && kinds & (DIGIT | DASH) == 0;
        if !path {
            self.tokens(run.clone(), kinds & PERCENT > 0);
        }
        if self.found.len() == before && run.len() >= BARE_LEN_MIN && kinds & DIGIT > 0 {
            self.bare(run, kinds);
        }
        self.found[before..].iter().map(|found| found.range.end).fold(end, usize::max)
    }

    /// Tokens at the starts of words in the run.
    fn tokens(&mut self, run: Range<usize>, encoded: bool) {
        let (bytes, starts) = (self.bytes, &TABLE.starts);
        let mut at = run.start;
        while at + RUN_LEN_MIN <= run.end {
            // The next place at which a word starts as a token does.
            let mut inside = at > run.start && is_letter_or_digit(bytes[at - 1]);
            let next = (at..=run.end - RUN_LEN_MIN).find(|&at| {
                let starts_word = !inside || encoded && at >= 3 && bytes[at - 3] == b'%';
                inside = is_letter_or_digit(bytes[at]);
                starts_word && inside && starts.has(bytes[at], bytes[at + 1])
            });
            let Some(next) = next else { return };
            at = next + 1;
            if let Some(token) = self.token(next) {
                at = token.range.end;
                self.found.push(token);
            }
        }
    }

    fn token(&self, at: usize) -> Option<Span<'static>> {
        let bytes = self.bytes;
        let table = &*TABLE;
        table.starts.candidates(&bytes[at..]).iter().find_map(|(word, token)| {
            let token = &table.tokens[*token];
            let whole = bytes[at..].starts_with(word.as_bytes());
            whole.then(|| token.find(bytes, at..at + word.len())).flatten()
        })
    }

    fn bare(&mut self, run: Range<usize>, kinds: u8) {
        let mixed = kinds & UPPER > 0 && kinds & LOWER > 0;
        if let Some(lines) = if mixed { self.pem_lines(&run) } else { None } {
            let before = line_break_before(&self.bytes[..run.start]);
            let last = self
                .found
                .last_mut()
                .filter(|last| last.kind == "private-key" && last.range.end == before);
            match last {
                Some(last) => last.range.end = lines.end,
                None => self.found.push(span(lines, "private-key")),
            }
            return;
        }
        if mixed {
            self.parts(&run, b"+/", "aws-secret", is_aws_secret);
        }
        if mixed && kinds & PATH > 0 {
            self.parts(&run, b"_.-", "discord-token", is_discord_token);
        }
        if kinds & (BAR | PERCENT) > 0 {
            self.parts(&run, b"_-|%", "facebook-token", is_facebook_token);
        }
    }

    /// Adds the parts of letters, digits and `others` that are secrets.
    fn parts(
        &mut self,
        run: &Range<usize>,
        others: &[u8],
        name: &'static str,
        is: fn(&[u8]) -> bool,
    ) {
        let mut at = run.start;
        for part in self.bytes[run.clone()]
            .split(|byte| !byte.is_ascii_alphanumeric() && !others.contains(byte))
        {
            if part.len() >= BARE_LEN_MIN && is(part) {
                self.found.push(span(at..at + part.len(), name));
            }
            at += part.len() + 1;
        }
    }

    /// A whole line of random Base64, and the shorter last line after it.
    fn pem_lines(&self, run: &Range<usize>) -> Option<Range<usize>> {
        let bytes = self.bytes;
        let line = &bytes[run.clone()];
        let starts = self.starts_line(run);
        let line_break = |at: usize| match &bytes[at..] {
            [] => Some(0),
            [b'\n', ..] => Some(1),
            [b'\r', b'\n', ..] | [b'\\', b'n', ..] => Some(2),
            _ => None,
        };
        let next = run.end + line_break(run.end)?;
        let base64 = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
        let key =
            starts && PEM_LINES.contains(&line.len()) && line.iter().all(|byte| base64(&byte));
        if !key || !is_key_material(line, 4.6) || self.is_public() {
            return None;
        }
        let last = bytes[next..].iter().take(line.len()).take_while(base64).count();
        let short = (1..line.len()).contains(&last) && line_break(next + last).is_some();
        Some(run.start..if short { next + last } else { run.end })
    }

    /// Whether only blanks precede the run on its line, or a prefix as of a log, and the line
    /// before or after it ends with such a run, too.
    fn starts_line(&self, run: &Range<usize>) -> bool {
        let bytes = self.bytes;
        let near = &bytes[run.start.saturating_sub(PREFIX_BYTES_MAX)..run.start];
        let prefix = &near[line_start(near)..];
        if prefix.iter().all(|byte| b" \t".contains(byte)) {
            return prefix.len() < near.len() || prefix.len() == run.start;
        }
        let before = run.start - prefix.len();
        let follows = self.found.last().is_some_and(|last| {
            last.kind == "private-key" && last.range.end == line_break_before(&bytes[..before])
        });
        let precedes = || {
            let next = LINE_BREAKS.iter().find(|next| bytes[run.end..].starts_with(next))?;
            let next = &bytes[run.end + next.len()..];
            let next = &next[..next.len().min(PREFIX_BYTES_MAX + run.len())];
            let content = next.get(prefix.len()..prefix.len() + run.len())?;
            let ends = &next[prefix.len() + run.len()..];
            let ends = ends.is_empty() || LINE_BREAKS.iter().any(|next| ends.starts_with(next));
            let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/".contains(byte);
            (ends && content.iter().all(base64) && is_key_material(content, 4.6)).then_some(())
        };
        prefix.ends_with(b" ") && (follows || precedes().is_some())
    }

    fn is_public(&self) -> bool {
        let public = ["CERTIFICATE-----", "PUBLIC KEY-----"];
        *self.public.get_or_init(|| public.iter().any(|word| self.text.contains(word)))
    }
}

/// The start of the last line of `bytes`.
fn line_start(bytes: &[u8]) -> usize {
    let raw = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
    let escaped = bytes.windows(2).rposition(|pair| pair == b"\\n").map_or(0, |at| at + 2);
    raw.max(escaped)
}

/// 40 random characters. A hash has one case, a path or a class name has words, and encoded text
/// can be read.
fn is_aws_secret(part: &[u8]) -> bool {
    part.len() == BARE_LEN_MIN && is_key_material(part, 4.3)
}

/// The id of the bot, which is a number in Base64; a time; a signature.
fn is_discord_token(part: &[u8]) -> bool {
    let mut fields = part.split(|byte| *byte == b'.');
    let (Some(id), Some(time), Some(signature), None) =
        (fields.next(), fields.next(), fields.next(), fields.next())
    else {
        return false;
    };
    let number = URL_SAFE_NO_PAD
        .decode(id)
        .is_ok_and(|id| id.len() >= 17 && id.iter().all(u8::is_ascii_digit));
    number && (6..=7).contains(&time.len()) && (27..=38).contains(&signature.len())
}

/// The id of an app and its secret: `123456789012345|…`.
fn is_facebook_token(part: &[u8]) -> bool {
    let digits = part.iter().take_while(|byte| byte.is_ascii_digit()).count();
    let rest = &part[digits..];
    let secret = rest.strip_prefix(b"%7C").or(rest.strip_prefix(b"|")).or(rest.strip_prefix(b"%"));
    let fits = |secret: &[u8]| {
        (27..=40).contains(&secret.len())
            && !secret.iter().any(|byte| b"|%".contains(byte))
            && turns(secret) >= 6
    };
    (15..=16).contains(&digits) && secret.is_some_and(fits)
}

/// Whether Base64 text is random: all kinds of characters in turn, and not text when it is decoded.
fn is_key_material(part: &[u8], entropy_min: f64) -> bool {
    let has = |is: fn(&u8) -> bool| part.iter().any(is);
    let mixed =
        has(u8::is_ascii_uppercase) && has(u8::is_ascii_lowercase) && has(u8::is_ascii_digit);
    mixed
        && turns(part) >= part.len() * 7 / 20
        && entropy(part) >= entropy_min
        && !is_encoded_text(part)
}

/// Whether a part of Base64 text, which may start anywhere, is text when it is decoded.
fn is_encoded_text(part: &[u8]) -> bool {
    let is_text = |from: usize| {
        let aligned = &part[from..from + (part.len() - from) / 4 * 4];
        let Ok(decoded) = STANDARD.decode(aligned) else { return false };
        let text = String::from_utf8_lossy(&decoded);
        // The first and the last character can be cut.
        let bad =
            |c: &char| *c == char::REPLACEMENT_CHARACTER || c.is_control() && !c.is_whitespace();
        text.chars().filter(bad).count() <= 2
    };
    (0..4).any(is_text)
}
