//! Credentials that are recognized by their shape, without a name.

use std::ops::Range;

use regex::Regex;

use super::rule::*;
use super::run::PREFIX_BYTES_MAX;
use super::scan::{NO_LINK, Scan};
use super::table::PatternRule;
use super::word::{is_key, is_mixed, line_break_before, starts_word};
use super::{Span, placeholder_end, span};

impl<'t> Scan<'t> {
    /// An authorization scheme and its credential, without a name before them.
    pub(super) fn scheme(&self, kind: &'static str, hit: Range<usize>) -> Option<Span<'t>> {
        let Some(head) = self.group(&BEARER, hit.end) else {
            let name = Name { kind, style: ValueStyle::Plain, sentence: None };
            return if kind == "bearer" { self.named(name, hit) } else { None };
        };
        let secret = &self.text[head.clone()];
        let quote = |byte: Option<&u8>| byte.is_some_and(|byte| b"\"'\\".contains(byte));
        let quoted = quote(self.bytes.get(head.end));
        let digit = secret.contains(|c: char| c.is_ascii_digit());
        let random = match secret.len() {
            0..6 => false,
            6..8 => digit && kind == "bearer",
            8..20 => digit || quoted && quote(self.bytes[..hit.start].last()),
            _ => digit || kind == "bearer",
        };
        // `Bearer realm="…"` is a challenge.
        let is_challenge = quoted && !digit && secret.ends_with('=');
        (random && !is_challenge)
            .then(|| span(head.start..self.bare_end(head.start, &NO_LINK).max(head.end), kind))
    }

    pub(super) fn pattern(&self, pattern: &'static PatternRule, at: usize) -> Option<Span<'t>> {
        if pattern.command {
            return self.command(&pattern.regex, at, pattern.name);
        }
        let secret = self.group(&pattern.regex, at)?;
        if placeholder_end(self.text, secret.start).is_some() {
            return None;
        }
        (!pattern.random || is_key(&self.bytes[secret.clone()])).then(|| span(secret, pattern.name))
    }

    /// A password as an option of a command line. A number may be a port.
    fn command(&self, pattern: &Regex, at: usize, name: &'static str) -> Option<Span<'t>> {
        let line = &self.text[at..self.text.floor_char_boundary(at + 300)];
        let line = line.split(['\n', '|']).next()?;
        let found = pattern.captures(line)?;
        let start = at + found.get_match().end();
        // Another rule may apply to the same command.
        if placeholder_end(self.text, start).is_some() {
            return None;
        }
        // A quote around user and password ends the password.
        for (group, quote) in [("single", '\''), ("double", '"')] {
            if found.name(group).is_some() {
                let end = self.text[start..at + line.len()]
                    .find(quote)
                    .map_or(at + line.len(), |end| start + end);
                return (start < end).then(|| span(start..end, name));
            }
        }
        let value = self.opening(start);
        self.bytes.get(value.start).filter(|first| **first > b' ' && !b",\"'-".contains(first))?;
        let end = self.end(&value, &NO_LINK).0;
        let ports =
            self.bytes[value.start..end].iter().all(|byte| byte.is_ascii_digit() || *byte == b':');
        (!ports).then(|| span(value.start..end, name))
    }

    /// The 24 characters after the `s.` of old Vault tokens.
    pub(super) fn vault(&self, at: usize) -> Option<Span<'t>> {
        let end = self.run_end_within(at, 25, |byte| byte.is_ascii_alphanumeric());
        let token = &self.bytes[at..end];
        (token.len() == 24 && is_mixed(token)).then(|| span(at..end, "vault-token"))
    }

    /// The lines of a private key in a PuTTY file.
    pub(super) fn putty(&self, at: usize) -> Option<Span<'t>> {
        let start = at + PUTTY.find(&self.text[at..])?.end();
        let (mut line, mut end) = (start, start);
        loop {
            let line_end =
                self.run_end(line, |byte| byte.is_ascii_alphanumeric() || b"+/=".contains(&byte));
            let line_break = LINE_BREAK.find(&self.text[line_end..]);
            if line_end == line || line_break.is_none() && line_end < self.text.len() {
                break;
            }
            end = line_end;
            line = line_end + line_break.map_or(0, |found| found.len());
        }
        (end > start).then(|| span(start..end, "private-key"))
    }

    /// `user:password` before `@tcp(`, the format of Go.
    pub(super) fn dsn_password(&self, at: usize) -> Option<Span<'t>> {
        let before = &self.bytes[at.saturating_sub(200)..at];
        let blank = |byte: &u8| *byte <= b' ' || b"\"'`".contains(byte);
        let user = before.iter().rposition(blank).map_or(0, |blank| blank + 1);
        let colon = before[user..].iter().position(|byte| *byte == b':')?;
        Some(span(at - before.len() + user + colon + 1..at, "url-password"))
    }

    pub(super) fn jwt(&mut self, start: usize) -> Option<Span<'t>> {
        let belongs = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-');
        if start < self.no_jwt_before || !self.text[start..].starts_with("eyJ") {
            return None;
        }
        let header = self.run_end(start, belongs);
        // The result depends on the text after the header, so it is the same for each `eyJ` in it.
        self.no_jwt_before = header;
        let mut end = header;
        for _ in 0..4 {
            if self.bytes.get(end) == Some(&b'.') {
                end = self.run_end(end + 1, belongs);
            }
        }
        let end = start + self.text[start..end].trim_end_matches('.').len();
        (header > start + 8 && end > header + 8).then(|| span(start..end, "jwt"))
    }

    /// A JWT whose header has another spelling: a space or a line break after its first brace.
    /// `dot` is before the payload.
    pub(super) fn jwt_payload(&self, dot: usize) -> Option<Span<'t>> {
        let belongs = |byte: u8| byte.is_ascii_alphanumeric() || b"/+_-".contains(&byte);
        let header = self.bytes[..dot]
            .iter()
            .rev()
            .take_while(|byte| byte.is_ascii_alphanumeric() || b"_-".contains(byte));
        let start = dot - header.count();
        let payload = self.run_end(dot + 1, belongs);
        let fits = dot - start >= 17 && payload - dot >= 17 && self.text[start..].starts_with("ey");
        let signature = self.bytes.get(payload).filter(|byte| fits && **byte == b'.')?;
        let end = self.run_end(payload + usize::from(*signature == b'.'), belongs);
        Some(span(start..self.run_end_within(end, 2, |byte| byte == b'='), "jwt"))
    }

    /// The id of an access key, and the secret on either side of it.
    pub(super) fn aws_key(&mut self, start: usize) -> Option<Span<'t>> {
        if !AWS_ID.is_match(&self.text[start..]) || !starts_word(self.bytes, start) {
            return None;
        }
        let end = start + 20;
        let base64 = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'+');
        // A hexadecimal hash has the same length, but one case.
        let mixed = |range: &Range<usize>| {
            let key = &self.bytes[range.clone()];
            key.iter().any(u8::is_ascii_uppercase) && key.iter().any(u8::is_ascii_lowercase)
        };
        let whole = |range: &Range<usize>| {
            self.bytes[range.clone()].iter().all(base64)
                && !self.bytes[..range.start].last().is_some_and(base64)
        };
        let gap = self.bytes[..start].iter().rev().take(9).position(base64);
        let before = gap.and_then(|gap| Some((start - gap).checked_sub(40)?..start - gap));
        let before = before.filter(|range| whole(range) && mixed(range));
        let after = self.group(&AWS_SECRET, end).filter(mixed);
        self.spans.extend(before.map(|before| span(before, "aws-secret")));
        self.spans.push(span(start..end, "aws-key"));
        self.at = end;
        after.map(|after| span(after, "aws-secret"))
    }

    /// A private key from its first line to its last, or to the end of the text.
    pub(super) fn pem(&self, start: usize) -> Option<Range<usize>> {
        let body = start + PEM.find(&self.text[start..])?.end();
        let last = self.text[body..].find("-----END").map(|last| body + last);
        let end = last.and_then(|last| Some(last + PEM_END.find(&self.text[last..])?.end()));
        Some(start..end.unwrap_or(self.text.len()))
    }

    /// The lines of a private key before its last line, which is at `at`.
    pub(super) fn pem_end(&self, at: usize) -> Option<Range<usize>> {
        let end = at + PEM_KEY_END.find(&self.text[at..])?.end();
        // As in a log, each line can have a prefix.
        let before = self.bytes[..at].iter().rev().take(PREFIX_BYTES_MAX + 1);
        let prefix = match before.take_while(|byte| **byte != b'\n').count() {
            len @ 1..=PREFIX_BYTES_MAX if self.bytes[at - 1] == b' ' => len,
            _ => 0,
        };
        let (mut start, mut line_start) = (at, at - prefix);
        loop {
            let line_end = line_break_before(&self.bytes[..line_start]);
            let base64 = |byte: &&u8| byte.is_ascii_alphanumeric() || b"+/=".contains(byte);
            let mut line = self.bytes[..line_end].iter().rev().take_while(base64).count();
            if matches!(self.bytes[..line_end - line], [.., b'\\'])
                && self.bytes[line_end - line] == b'n'
            {
                line -= 1;
            }
            let first = (line_end - line)
                .checked_sub(prefix)
                .filter(|first| prefix == 0 || *first == 0 || self.bytes[*first - 1] == b'\n');
            // Only the last line of a key is short.
            if line_end == line_start || line == 0 || line < 16 && start < at || first.is_none() {
                return Some(start..end);
            }
            (start, line_start) = (line_end - line, line_end - line - prefix);
        }
    }

    /// The password of `url` after a user with an `@`: `smtp://bob@example.com:hunter2@mail`.
    fn password_after_mail(&self, start: usize, url: &[u8]) -> Option<Span<'t>> {
        let authority = url.split(|byte| *byte <= b' ' || b"\"'<>`/?#\\".contains(byte)).next()?;
        let end = authority.iter().rposition(|byte| *byte == b'@')?;
        let colon = authority[..end].iter().position(|byte| *byte == b':')?;
        (colon + 1 < end).then(|| span(start + colon + 1..start + end, "url-password"))
    }

    /// `start` is after `://`. A user that is random is a token.
    pub(super) fn url_password(&self, start: usize) -> Option<Span<'t>> {
        let blank = |byte: &u8| *byte <= b' ' || b"\"'<>`".contains(byte);
        let path = |byte: &u8| b"/?#\\".contains(byte);
        let url = &self.bytes[start..self.bytes.len().min(start + 512)];
        let colon =
            url.iter().position(|byte| b":@[".contains(byte) || path(byte) || blank(byte))?;
        if url[colon] == b'@' && colon >= 20 && is_key(&url[..colon]) {
            return Some(span(start..start + colon, "url-password"));
        } else if url[colon] == b'@' {
            return self.password_after_mail(start, url);
        } else if url[colon] != b':' {
            return None;
        }
        let rest = &url[colon + 1..];
        let authority = rest.split(|byte| path(byte) || blank(byte)).next()?;
        let password = match authority.iter().rposition(|byte| *byte == b'@') {
            // The text before the slash is not a port, so the slash is part of the password.
            None if !authority.iter().all(u8::is_ascii_digit) => {
                rest.split(blank).next()?.iter().position(|byte| *byte == b'@')?
            }
            at => at?,
        };
        let from = start + colon + 1;
        Some(span(from..from + password, "url-password"))
    }
}
