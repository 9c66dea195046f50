//! Examines a hit: whether there is a secret, and where it starts and ends in the syntax around it.
//!
//! Left to `shape`: secrets that are recognized by their shape alone.

use std::ops::Range;

use aho_corasick::Input;
use regex::Regex;

use super::rule::*;
use super::sentence::{announced, code_before, is_harmless, trimmed};
use super::table::TABLE;
use super::trigger::TRIGGERS;
use super::vendor::key;
use super::visible::Spelling;
use super::word::{has_title_words, is_mixed, lists, starts_word, turns};
use super::{Span, placeholder_end, span};

/// The text between a name and its value: `"` and `:` in `"name": 7`.
pub(super) struct Joint<'t> {
    pub(super) close: &'t str,
    pub(super) sep: &'t str,
    /// Whether there are spaces before the separator, and after it.
    pub(super) blanks: (bool, bool),
}

pub(super) const NO_LINK: Joint<'static> = Joint { close: "", sep: "=", blanks: (false, false) };

/// The start of a value, and the quote or the indentation that defines its end.
pub(super) struct ValueStart<'t> {
    pub(super) start: usize,
    pub(super) quote: &'t str,
    pub(super) indent: &'t str,
}

impl ValueStart<'_> {
    pub(super) fn is_bare(&self) -> bool {
        self.quote.is_empty()
    }
}

pub(super) struct Scan<'t> {
    pub(super) text: &'t str,
    pub(super) bytes: &'t [u8],
    /// The text before it is finished.
    pub(super) at: usize,
    pub(super) spans: Vec<Span<'t>>,
    /// No JWT starts before it.
    pub(super) no_jwt_before: usize,
    /// No list starts before it.
    pub(super) no_list_before: usize,
    /// The original text is longer.
    pub(super) cut: bool,
    /// The names of rules that do not apply.
    pub(super) disabled: &'t [&'static str],
    /// The spelling of the finished text.
    pub(super) spelling: Spelling,
}

impl<'t> Scan<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Scan {
            text,
            bytes: text.as_bytes(),
            at: 0,
            spans: Vec::new(),
            no_jwt_before: 0,
            no_list_before: 0,
            cut: false,
            disabled: &[],
            spelling: Spelling::default(),
        }
    }

    pub(super) fn run(mut self) -> Self {
        let triggers = &*TRIGGERS;
        while let Some(hit) = triggers.words.find(Input::new(self.text).range(self.at..)) {
            self.at = hit.end();
            let mut word = Some(hit.pattern().as_usize());
            let mut span = None;
            while let Some(at) = word.filter(|_| span.is_none()) {
                let hit = hit.start()..hit.start() + triggers.lens[at];
                span = triggers.rules[at].iter().find_map(|rule| self.examine(*rule, hit.clone()));
                word = triggers.shorter[at];
            }
            let Some(span) = span else {
                // Another word can start in this one: `kucoin_secret`.
                let first = triggers.rules[hit.pattern()].first();
                if matches!(
                    first,
                    Some(NameRule::Token(_) | NameRule::Vendor(_) | NameRule::Pattern(_))
                ) {
                    self.at = self.at.min(hit.start() + 1);
                }
                continue;
            };
            // Another secret may precede it: `https://ghp_…:x-oauth-basic@github.com`.
            if span.range.start > hit.end() {
                let text = &self.text[..span.range.start];
                let between = Scan { at: hit.end(), disabled: self.disabled, ..Scan::new(text) };
                let between = between.run();
                self.spans.extend(between.spans);
                self.spelling |= between.spelling;
            }
            self.push(span);
        }
        self
    }

    pub(super) fn examine(&mut self, rule: NameRule, hit: Range<usize>) -> Option<Span<'t>> {
        match rule {
            NameRule::Name(name)
                if name.style == ValueStyle::Cookie && self.cookie_object(name, hit.end) =>
            {
                Some(span(hit.start..hit.start, ""))
            }
            NameRule::Insert => self.inserted(hit.end).then(|| span(hit.start..hit.start, "")),
            NameRule::Name(name) => self.named(name, hit),
            NameRule::Scheme(kind) => self.scheme(kind, hit),
            NameRule::Token(token) => TABLE.tokens[token].find(self.bytes, hit),
            NameRule::Vendor(vendor) => key(self.text, &TABLE.vendors[vendor], &hit),
            NameRule::Pattern(pattern) => self.pattern(&TABLE.patterns[pattern], hit.end),
            NameRule::Vault => self.vault(hit.end),
            NameRule::Putty => self.putty(hit.end),
            NameRule::Dsn => self.dsn_password(hit.start),
            NameRule::PrivateKeyEnd => Some(span(self.pem_end(hit.start)?, "private-key")),
            NameRule::Jwt => self.jwt(hit.start),
            NameRule::JwtPayload => self.jwt_payload(hit.start),
            NameRule::AwsKey => self.aws_key(hit.start),
            NameRule::PrivateKey => Some(span(self.pem(hit.start)?, "private-key")),
            NameRule::Url => self.url_password(hit.end),
            NameRule::Hint => {
                self.spelling.add(&self.text[hit.start..]);
                None
            }
            NameRule::Placeholder => Some(span(hit.start..hit.start, "")),
        }
    }

    /// Adds a span to be redacted. The text of the span is still scanned.
    pub(super) fn add(&mut self, span: Span<'t>) {
        let Range { start, end } = span.range;
        if start < end
            && placeholder_end(self.text, start).is_none()
            && !self.disabled.contains(&&*span.kind)
        {
            self.spans.push(span);
        }
    }

    /// Adds a span, unless it is a placeholder already.
    pub(super) fn push(&mut self, span: Span<'t>) {
        let Range { start, end } = span.range;
        let quoted = self.text[start..].starts_with(&*span.quote);
        if let Some(end) =
            placeholder_end(self.text, if quoted { start + span.quote.len() } else { start })
        {
            self.at = self.at.max(end);
        } else if start < end && !self.disabled.contains(&&*span.kind) {
            // Its end may be the name of another secret: `password: token: 7`.
            self.at = self.at.max(start).max(end.saturating_sub(64));
            self.spans.push(span);
        }
    }

    // Values after names.

    pub(super) fn named(&self, name: Name, hit: Range<usize>) -> Option<Span<'t>> {
        let whole_word =
            matches!(name.style, ValueStyle::Word | ValueStyle::Digits | ValueStyle::Phrase);
        if whole_word && !self.is_word(&hit) {
            return None;
        }
        if name.kind == "secret"
            && self.bytes[hit.end..].starts_with(b"_")
            && let Some(token) = self.notion(&hit)
        {
            return Some(token);
        }
        let in_name = |byte: &&u8| byte.is_ascii_alphanumeric() || b"_.-".contains(byte);
        let rest = hit.end + self.bytes[hit.end..].iter().take(64).take_while(in_name).count();
        // The dash of `password->x` is not part of the name.
        let rest = if self.bytes[..rest].ends_with(b"-") && self.bytes[rest..].starts_with(b">") {
            rest - 1
        } else {
            rest
        };
        let plural = name.is_plural_with(&self.text[hit.end..rest])?;
        let before = self.bytes[..hit.start].iter().rev().take(64);
        let first = hit.start - before.take_while(|byte| in_name(byte) || **byte == b':').count();
        let outside = &self.bytes[..first];
        match outside {
            [.., b'<'] => return self.element(name, rest),
            [.., b'<', b'/'] => return None,
            _ if name.style == ValueStyle::Pass && self.ends_other_word(hit.start) => return None,
            [.., b'"' | b'\'' | b'\\'] if self.is_attribute(first) => {
                return self.attribute(name, rest);
            }
            _ => {}
        }
        if matches!(self.bytes.get(rest), Some(b'&' | b'\\' | b'%'))
            && let Some(secret) = self.escaped_element(first, rest)
        {
            return Some(span(secret, name.kind));
        }
        if self.bytes[rest..].starts_with(b"</")
            && let Some(value) = NAMED_ELEMENT.find(&self.text[rest..])
        {
            return self.element(name, rest + value.end() - 1);
        }
        let word = &self.text[hit.clone()];
        if word == "AUTH"
            && first == hit.start
            && let Some(secret) = self.redis_auth(hit.end)
        {
            return Some(secret);
        }
        if word.eq_ignore_ascii_case("token") && self.is_page_or_request(hit.start) {
            return None;
        }
        let alone = outside.last().is_none_or(|byte| *byte <= b' ' || b"\"'`[(,".contains(byte));
        let flag = alone && self.bytes[first] == b'-';
        if name.sentence == Some(SentenceValue::Code)
            && let Some(code) = code_before(self.text, first)
        {
            return Some(span(code, name.kind));
        }
        // Most hits are in prose, where another word follows.
        let next = self.bytes[rest..].iter().find(|byte| !b" \t".contains(byte))?;
        let tab = self.bytes[rest] == b'\t';
        if !flag && !tab && next.is_ascii_alphanumeric() && !b"iIwWvV".contains(next) {
            return announced(self.text, name, first, rest);
        }
        let found = LINK.captures(&self.text[rest..])?;
        let at = rest + found.get_match().end();
        let part = |group| found.name(group).map_or("", |part| part.as_str());
        let blanks = (!part("gap").is_empty(), !part("space").is_empty());
        let link = Joint { close: part("close"), sep: part("sep"), blanks };
        // `…:123456789012:secret:prod/db` is an ARN, `//auth:80/` a host with a port.
        let place = matches!(&self.bytes[..hit.start], [.., b'0'..=b'9' | b'*', b':'])
            || outside.ends_with(b"//") && PORT.is_match(&self.text[at..]);
        // The result of a test: `--- PASS: TestFoo`.
        let result = word == "PASS" && first == hit.start && link.sep == ":" && {
            let value = self.bytes[at..].split(u8::is_ascii_whitespace).next()?;
            !is_mixed(&value[..value.len().min(64)])
        };
        if result {
            return None;
        }
        if let Some(weak) = found.name("weak") {
            return self.weakly_joined(name, weak.as_str(), at);
        }
        if found.name("part").is_some() {
            let end =
                self.text[at..].find(['\r', '\n', '\\']).map_or(self.text.len(), |end| at + end);
            return (name.style != ValueStyle::Digits).then(|| span(at..end, name.kind));
        }
        if matches!(link.sep, ":" | "=")
            && let Some(secret) = self.next_line(name, at)
        {
            return Some(span(secret, name.kind));
        }
        if place && link.sep == ":"
            || link.close.is_empty() && NO_OPENING.is_match(&self.text[at..])
        {
            None
        } else if !link.sep.is_empty() {
            self.paired(name, plural, &link, at)
        } else if !part("item").is_empty() && !flag {
            self.next_item(name, at)
        } else if !part("is").is_empty() && name.style == ValueStyle::Digits {
            self.paired(name, plural, &NO_LINK, at)
        } else if !part("is").is_empty() {
            let secret = announced(self.text, name, first, rest);
            secret.or_else(|| self.loosely_joined(name, at, true))
        } else if flag && at > rest {
            self.loosely_joined(name, at, false)
        } else if name.kind == "password"
            && self.bytes[at - 1] == b' '
            && let Some(found) = QUOTED.captures(&self.text[at..])
        {
            // SQL: `ALTER ROLE app PASSWORD '…'`.
            let quoted = found.get(1).or(found.get(2))?;
            // `password "must have a digit"`.
            if SENTENCE_WORD.is_match(quoted.as_str()) {
                return None;
            }
            Some(span(at + quoted.start()..at + quoted.end(), name.kind))
        } else {
            announced(self.text, name, first, rest)
        }
    }

    /// Whether the hit is a whole word: `pin` and `userPin`, not `spin` or `pinned`.
    fn is_word(&self, hit: &Range<usize>) -> bool {
        let camel = self.bytes[hit.start].is_ascii_uppercase();
        let starts = self.bytes[..hit.start].last().is_none_or(|before| {
            !before.is_ascii_alphabetic() || camel && before.is_ascii_lowercase()
        });
        starts && !self.bytes.get(hit.end).is_some_and(u8::is_ascii_lowercase)
    }

    /// `nextToken`, `Idempotency-Token`; `clientToken` only before a UUID, because Vault's is a
    /// secret.
    fn is_page_or_request(&self, token: usize) -> bool {
        let before = &self.bytes[token.saturating_sub(24)..token];
        let before = before
            .strip_suffix(b"_")
            .or(before.strip_suffix(b"-"))
            .or(before.strip_suffix(b" "))
            .unwrap_or(before);
        let ends = |word: &str| {
            let end = before.len().checked_sub(word.len()).map(|start| &before[start..]);
            end.is_some_and(|end| end.eq_ignore_ascii_case(word.as_bytes()))
        };
        PAGE_OR_REQUEST.split_ascii_whitespace().any(ends)
            || ends("client") && {
                let value = self.text[token + "token".len()..]
                    .trim_start_matches(['"', '\'', '\\', ':', '=', ' ']);
                UUID.is_match(value)
            }
    }

    /// Notion's `secret_…`, 43 letters and digits.
    fn notion(&self, hit: &Range<usize>) -> Option<Span<'t>> {
        let body = hit.end + 1;
        let end = self.run_end(body, |byte| byte.is_ascii_alphanumeric());
        let digit = self.bytes[body..end].iter().any(u8::is_ascii_digit);
        (end - body >= 40 && digit && starts_word(self.bytes, hit.start))
            .then(|| span(hit.start..end, "notion-token"))
    }

    /// `AUTH hunter2`, a command of Redis.
    fn redis_auth(&self, at: usize) -> Option<Span<'t>> {
        let found = REDIS_AUTH.captures(&self.text[at..])?;
        let secret = found.name("secret")?;
        let fits = found.name("quoted").is_some() || is_random(secret.as_str(), 6);
        fits.then(|| span(at + secret.start()..at + secret.end(), "auth"))
    }

    /// `password,hunter2` in a table, `token -> abc123`: only a random value is a secret.
    fn weakly_joined(&self, name: Name, joint: &str, at: usize) -> Option<Span<'t>> {
        let table = matches!(joint, "|" | ",");
        let ends = |c: char| c <= ' ' || "|,;\"'`)]}\\".contains(c);
        let at = self.opening(at).start;
        let value = self.text[at..self.text.floor_char_boundary(at + 256)].split(ends).next()?;
        let named = matches!(
            name.style,
            ValueStyle::Plain | ValueStyle::Pass | ValueStyle::Word | ValueStyle::Path
        );
        let fits = named && is_random(value, 6) && (!table || name.kind == "password");
        fits.then(|| span(at..at + value.len(), name.kind))
    }

    /// A value alone on the line after its name: an indented password, or a random value.
    fn next_line(&self, name: Name, at: usize) -> Option<Range<usize>> {
        // A quick test, because most values are on the same line.
        if !matches!(self.bytes.get(at), Some(b'\r' | b'\n' | b'\\' | b'#')) {
            return None;
        }
        let found = NEXT_LINE.captures(&self.text[at..])?;
        let secret = found.name("secret")?;
        let text = secret.as_str();
        let named =
            text.ends_with([':', '{', '[', '(']) || text.trim_end_matches('=').contains(['=', '"']);
        let indented = !found["indent"].is_empty();
        let is_secret = name.kind == "password" && (indented || is_random(text, 6))
            || is_random(text, 6) && (!is_harmless(text.as_bytes()) || UUID.is_match(text))
            || indented && is_base64(text.as_bytes());
        let fits = !named && placeholder_end(text, 0).is_none() && is_secret;
        fits.then(|| at + secret.start()..at + secret.end())
    }

    /// `--password hunter2`, or in a sentence `password is hunter2`, but not
    /// `password is required`.
    pub(super) fn loosely_joined(
        &self,
        name: Name,
        at: usize,
        in_sentence: bool,
    ) -> Option<Span<'t>> {
        let value = self.opening(at);
        let text = &self.text[value.start..];
        let word = text.as_bytes().split(|byte| *byte <= b' ').next()?;
        let word = &word[..word.len().min(64)];
        let random = || word.len() > 3 && is_mixed(word) && !is_harmless(trimmed(word, true));
        let fits = if in_sentence {
            !value.is_bare() || random()
        } else {
            !text.starts_with('-') && !SENTENCE_WORD.is_match(text)
        };
        fits.then(|| span(value.start..self.end(&value, &NO_LINK).0, name.kind))
    }

    /// `pass` in `bypass`, but not in `dbpass` or `userPass`.
    pub(super) fn ends_other_word(&self, pass: usize) -> bool {
        let before = self.bytes[pass.saturating_sub(4)..pass].to_ascii_lowercase();
        let camel = self.bytes[pass] == b'P'
            && self.bytes[..pass].last().is_some_and(u8::is_ascii_lowercase);
        let words: [&[u8]; 7] = [b"by", b"com", b"im", b"over", b"sur", b"tres", b"nder"];
        !camel && words.iter().any(|word| before.ends_with(word))
    }

    /// `<password type="text">hunter2</password>`. `at` is in the tag.
    pub(super) fn element(&self, name: Name, at: usize) -> Option<Span<'t>> {
        let tag = at + self.text[at..].find(['<', '>'])?;
        if self.bytes[tag] == b'<' || self.bytes[tag - 1] == b'/' {
            return None;
        }
        let start = tag + 1;
        let text = &self.text[start..];
        if let Some(data) = text.strip_prefix("<![CDATA[") {
            let end = data.find("]]>").unwrap_or(data.len());
            let start = self.text.len() - data.len();
            return Some(span(start..start + end, name.kind));
        }
        let end = match text.find('<') {
            Some(end) if text[end..].starts_with("</") => start + end,
            Some(_) => return None,
            None => self.bare_end(start, &NO_LINK),
        };
        let blank = self.text[start..end].trim_ascii().is_empty();
        (!blank).then(|| span(start..end, name.kind))
    }

    /// `["X-Api-Key", "abc123def"]`: the value is the next item, if it is random.
    /// `["password", "email"]` lists names.
    fn next_item(&self, name: Name, at: usize) -> Option<Span<'t>> {
        let value = self.opening(at);
        if value.is_bare() {
            return None;
        }
        let text = &self.text[value.start..];
        let ends = |c: char| c <= ' ' || "\"'\\,;".contains(c);
        let word = text[..text.floor_char_boundary(256)].split(ends).next()?;
        let digits = word.bytes().filter(u8::is_ascii_digit).count();
        let before = &self.text[self.text.floor_char_boundary(at.saturating_sub(80))..at];
        let is_first = before.trim_end().strip_suffix(',').is_some_and(|before| {
            let open = before.rfind(['(', '[']);
            open.is_some_and(|open| !before[open..].contains(','))
        });
        let is_pair = is_first && PAIR_END.is_match(&text[word.len()..]);
        let is_uuid = || UUID.is_match(word);
        let is_key = || {
            turns(&word.as_bytes().to_ascii_lowercase()) >= 2
                && (name.kind == "api-key" || !is_uuid())
        };
        let secret = is_pair && is_random(word, 6) && (name.kind == "password" || is_key())
            || is_random(word, 8) && digits >= 2 && !is_uuid()
            || PAIR.is_match(text);
        let scheme = || self.known_scheme(&value).or_else(|| self.other_scheme(name, &value));
        if secret || scheme().is_some() { self.paired(name, false, &NO_LINK, at) } else { None }
    }

    /// Whether the text at `at` is the name in an XML element: `<property name="…">`.
    fn is_attribute(&self, at: usize) -> bool {
        let before = &self.bytes[at.saturating_sub(80)..at];
        let open = before.iter().rev().take_while(|byte| b"\"'\\".contains(byte)).count();
        let tag = &before[..before.len() - open];
        let ends = |word: &[u8]| {
            tag.len() > word.len() && tag[tag.len() - word.len()..].eq_ignore_ascii_case(word)
        };
        (ends(b" name=") || ends(b" key=")) && before.contains(&b'<')
    }

    /// `&lt;password&gt;hunter2&lt;/password&gt;`. The name is between `first` and `rest`.
    fn escaped_element(&self, first: usize, rest: usize) -> Option<Range<usize>> {
        let text = self.text;
        // The letters of `\u003c` and `%3C` look like those of a name.
        let opens = |open: &str| {
            text[..first].ends_with(open)
                || text.get(first.wrapping_sub(1)..).is_some_and(|text| text.starts_with(open))
        };
        let (open, close) = ESCAPED_TAGS
            .iter()
            .find(|(open, close)| text[rest..].starts_with(close) && opens(open))?;
        let start = rest + close.len();
        let end = start + text[start..].find(open)?;
        let fits = start < end && !text[start..end].contains('\n');
        fits.then_some(start..end)
    }

    /// The value after such a name, in the element or as the attribute `value`.
    fn attribute(&self, name: Name, at: usize) -> Option<Span<'t>> {
        let tag = &self.text[at..self.text.floor_char_boundary(at + 200)];
        let close = tag.len() - tag.trim_start_matches(['"', '\'', '\\']).len();
        let inside = tag.find(['<', '>'])?;
        if let Some(value) = VALUE_ELEMENT.find(&tag[inside..]) {
            return self.element(name, at + inside + value.end() - 1);
        }
        if let Some(value) = VALUE_ATTRIBUTE.find(&tag[close..inside]) {
            return self.paired(name, false, &NO_LINK, at + close + value.end());
        }
        self.element(name, at + close)
    }

    /// `name=value`, `"name": "value"` and similar. The decision to redact comes before the search
    /// for the end: a value that is read to its end is redacted, so no text is read repeatedly.
    pub(super) fn paired(
        &self,
        name: Name,
        plural: bool,
        link: &Joint<'t>,
        at: usize,
    ) -> Option<Span<'t>> {
        let value = self.opening(at);
        let value = match WRAPPED.find(&self.text[value.start..]) {
            Some(wrapper) if value.is_bare() => self.opening(value.start + wrapper.end()),
            _ => value,
        };
        let text = &self.text[value.start..];
        let scheme = self.known_scheme(&value);
        if placeholder_end(text, 0).is_none() {
            if scheme.is_none() && self.is_harmless(name, plural, link, &value) {
                return None;
            }
            let tuple = || {
                name.style == ValueStyle::Auth
                    && (text.starts_with("(\"") || text.starts_with("('"))
            };
            if value.is_bare() && (text.starts_with('[') || tuple()) {
                return self.list(name, plural, link, value.start + 1);
            }
        }
        let (kind, mut lead) =
            scheme.or_else(|| self.other_scheme(name, &value)).unwrap_or((name.kind, 0));
        let cookie =
            matches!(name.style, ValueStyle::Cookie | ValueStyle::SetCookie) && PAIR.is_match(text);
        if cookie {
            lead = text.find('=').map_or(0, |equals| equals + 1);
        }
        let start = value.start + lead;
        let value = ValueStart { start, ..value };
        let exact = match name.style {
            ValueStyle::Phrase => PHRASE.find(text),
            ValueStyle::Session => SESSION.find(text),
            ValueStyle::Digits => DIGITS.find(text),
            _ => None,
        };
        if let Some(exact) = exact {
            return Some(span(value.start..value.start + exact.end(), kind));
        }
        let (mut end, closed) = self.end(&value, link);
        if name.kind == "password" && value.is_bare() && link.blanks.1 {
            end = self.words_end(start).unwrap_or(end);
        }
        match (name.style, value.is_bare()) {
            (ValueStyle::Cookie, true) if cookie => end = self.chain_end(end, &NEXT_COOKIE, link),
            (ValueStyle::Auth, true) if lead > 0 && kind == name.kind => {
                end = self.chain_end(end, &NEXT_PARAMETER, link)
            }
            (ValueStyle::SetCookie, false) => {
                end = self.text[start..end].find(';').map_or(end, |found| start + found)
            }
            _ => {}
        }
        if let Some(closed) = closed
            && let Some(changed) = CHANGED.find(&self.text[closed..])
        {
            let next = ValueStart { start: closed + changed.end(), ..value };
            end = self.end(&next, link).0;
        }
        // A private key without a closing quote ends with its last line.
        if closed.is_none() {
            let pem =
                self.text[start..end].find("-----BEGIN").and_then(|found| self.pem(start + found));
            end = pem.map_or(end, |pem| pem.end.max(end));
        }
        Some(span(start..end, kind))
    }

    /// The end of a password of several plain words, if it ends the line.
    fn words_end(&self, at: usize) -> Option<usize> {
        let words = WORDS
            .find(&self.text[at..])?
            .as_str()
            .trim_end_matches(['"', '\\', '\r', '\n', '\t', ' ']);
        let sentence = words.split(' ').any(|word| lists(SENTENCE_WORDS, word));
        (!sentence).then(|| at + words.len())
    }

    /// Whether the value is empty or not a secret.
    pub(super) fn is_harmless(
        &self,
        name: Name,
        plural: bool,
        link: &Joint<'t>,
        value: &ValueStart<'t>,
    ) -> bool {
        let text = &self.text[value.start..];
        let whole = |pattern: &Regex| {
            let found = pattern.find(text);
            found.is_some_and(|found| self.ends(value.start + found.end(), value, link))
        };
        let password = name.kind == "password";
        if whole(&NULL) || MASKED.is_match(text) || text.starts_with("arn:aws") {
            return true;
        }
        let status: &[&Regex] =
            if password { &[&PASSWORD_STATUS] } else { &[&STATUS, &ERROR_NAME] };
        if status.iter().any(|status| whole(status)) {
            return true;
        }
        let ends = |c: char| c <= ' ' || "\"'`,;&".contains(c);
        let word = text[..text.floor_char_boundary(256)].split(ends).next().unwrap_or("");
        let other = match name.style {
            ValueStyle::Path => whole(&PATH),
            ValueStyle::Key => whole(&PLAIN_KEY) || PROSE.is_match(text),
            ValueStyle::Digits => {
                !DIGITS.is_match(text) || word.bytes().filter(u8::is_ascii_digit).count() < 3
            }
            ValueStyle::Session => {
                !SESSION.is_match(text) || word.starts_with("0x") || !is_mixed(word.as_bytes())
            }
            ValueStyle::Phrase => !PHRASE.is_match(text) && !is_random(word, 16),
            ValueStyle::Auth if link.sep == ":" && !link.blanks.1 && link.close.is_empty() => {
                ONE_CASE.is_match(text)
            }
            // `auth: kerberos` names a method.
            ValueStyle::Auth => {
                OBJECT.is_match(text)
                    || whole(&PLAIN_WORD) && self.other_scheme(name, value).is_none()
            }
            _ => !password && OBJECT.is_match(text),
        };
        let number = || text.bytes().take_while(u8::is_ascii_digit).count();
        let short_number = name.style == ValueStyle::Plain
            && !password
            && (1..4).contains(&number())
            && whole(&NUMBER);
        let other = other || short_number || whole(&FILE);
        if other
            || !value.is_bare()
            || matches!(name.style, ValueStyle::Digits | ValueStyle::Session | ValueStyle::Phrase)
        {
            return other;
        }
        // A message: `invalid token: unexpected end`, `dial tcp auth:8080`, `token.go:17`.
        let message = match link.blanks {
            (true, true) if link.sep == ":" && link.close.ends_with(['"', '\'']) && !password => {
                CAUSE.is_match(text)
            }
            _ if link.sep != ":" || !link.close.trim_start_matches([')', ']']).is_empty() => false,
            // A password may be a word.
            (_, true) if password => PROSE.is_match(text) && SENTENCE_WORD.is_match(text),
            (_, true) => PROSE.is_match(text) || MARKER.is_match(text),
            (_, false) if password => false,
            (_, false) => whole(&LINE_OR_PORT) || whole(&TAG),
        };
        let short = |text: &str| text.bytes().take_while(u8::is_ascii_digit).count() < 4;
        let escape =
            text.starts_with('\\') && text.trim_start_matches('\\').starts_with(['n', 'r', 't']);
        message
            || escape
            || NESTED.is_match(text)
            || plural && (whole(&NUMBER) || PAIR.is_match(text))
            || matches!(name.style, ValueStyle::Pass | ValueStyle::Word)
                && short(text)
                && whole(&LINE_OR_PORT)
            || link.sep == "=" && link.blanks == (false, true) && PAIR.is_match(text)
    }

    pub(super) fn known_scheme(&self, value: &ValueStart<'t>) -> Option<(&'static str, usize)> {
        // A quick test, because most values start with another letter.
        let start = self.bytes.get(value.start).filter(|byte| byte.eq_ignore_ascii_case(&b'b'));
        let found = start.and_then(|_| SCHEME.captures(&self.text[value.start..]))?;
        match found["scheme"].to_ascii_lowercase().as_str() {
            "bearer" => Some(("bearer", found["lead"].len())),
            "basic" => Some(("basic-auth", found["lead"].len())),
            _ => None,
        }
    }

    /// After the name of an authorization, a scheme is any word before a value with a digit.
    pub(super) fn other_scheme(
        &self,
        name: Name,
        value: &ValueStart<'t>,
    ) -> Option<(&'static str, usize)> {
        if name.style != ValueStyle::Auth {
            return None;
        }
        let found = SCHEME.captures(&self.text[value.start..])?;
        let (scheme, lead) = (found["scheme"].to_ascii_lowercase(), found["lead"].len());
        let start = value.start + lead;
        let secret = self.bytes[start..].split(|byte| *byte <= b' ').next()?;
        let known =
            "apikey aws4-hmac-sha256 digest hawk mac negotiate ntlm oauth sharedkey signature";
        let fits = lists(known, &scheme)
            || placeholder_end(self.text, start).is_some()
            || !scheme.contains(|c: char| c.is_ascii_digit())
                && secret.iter().take(64).any(u8::is_ascii_digit);
        fits.then_some((name.kind, lead))
    }

    /// `["a","b"]`, `[a b]`: all items become one placeholder.
    pub(super) fn list(
        &self,
        name: Name,
        plural: bool,
        link: &Joint<'t>,
        from: usize,
    ) -> Option<Span<'t>> {
        let blanks_end = |at| self.run_end(at, |byte| byte.is_ascii_whitespace());
        let mut item = self.opening(blanks_end(from));
        let first = &self.text[item.start..];
        let nothing = NULL.find(first);
        let nothing = nothing.is_some_and(|found| self.ends(item.start + found.end(), &item, link));
        let counted = plural && NUMBER.is_match(first);
        let names = plural && item.is_bare() && SECRET_NAMES.is_match(first);
        let nested = item.is_bare() && (counted || names || first.starts_with(['[', '{', ']']));
        if (nested || nothing) && placeholder_end(first, 0).is_none() {
            return None;
        }
        let quote =
            if item.is_bare() { link.close.trim_start_matches([']', ')']) } else { item.quote };
        let start = item.start - item.quote.len();
        loop {
            let (end, quote_end) = self.end(&item, link);
            let mut end = quote_end.unwrap_or(end);
            if name.style == ValueStyle::Cookie && item.is_bare() {
                end = self.chain_end(end, &NEXT_COOKIE, link);
            }
            while item.is_bare() && self.bytes.get(end) == Some(&b' ') {
                end = self.bare_end(self.run_end(end, |byte| byte == b' '), link);
            }
            let next = blanks_end(end);
            if self.bytes.get(next) != Some(&b',') {
                return Some(Span {
                    range: start..end,
                    kind: name.kind.into(),
                    quote: quote.into(),
                });
            }
            item = self.opening(blanks_end(next + 1));
        }
    }

    // Starts and ends of values.

    pub(super) fn opening(&self, at: usize) -> ValueStart<'t> {
        let text = &self.text[at..];
        if let Some(found) = OPENING.captures(text) {
            let quote = found.get(1).map_or("", |quote| quote.as_str());
            return ValueStart { start: at + found.get_match().end(), quote, indent: "" };
        }
        let block = if text.starts_with(['|', '>']) { BLOCK.captures(text) } else { None };
        let (lead, indent) = block.map_or((0, ""), |found| {
            (found.get_match().end(), found.get(1).map_or("", |indent| indent.as_str()))
        });
        ValueStart { start: at + lead, quote: "", indent }
    }

    /// The end of the value, and the end of its closing quote.
    pub(super) fn end(&self, value: &ValueStart<'t>, link: &Joint<'t>) -> (usize, Option<usize>) {
        if !value.is_bare() {
            return match self.closing(value.start, value.quote) {
                Some(quote) => (quote.start, Some(quote.end)),
                None if self.cut => (self.text.len(), None),
                None => (self.line_end(value.start), None),
            };
        }
        if value.indent.is_empty() {
            return (self.bare_end(value.start, link), None);
        }
        let mut end = self.line_end(value.start);
        while self.text[end..].strip_prefix('\n').is_some_and(|line| line.starts_with(value.indent))
        {
            end = self.line_end(end + 1);
        }
        (end, None)
    }

    /// The quote that closes `open`.
    ///
    /// With `n` bytes of backslashes and quote in `open`, a quote after a run of backslashes is
    /// part of the value if the run and the quote are an even multiple of `n` long: then the quote
    /// itself is escaped. Otherwise it closes. If a letter or digit follows it, the next such quote
    /// on the line closes instead, or none.
    pub(super) fn closing(&self, from: usize, open: &str) -> Option<Range<usize>> {
        let Some(mark) = open.bytes().last().filter(|mark| b"\"'`".contains(mark)) else {
            let close =
                ["“”", "‘’"].iter().find_map(|pair| pair.strip_prefix(open)).unwrap_or(open);
            let at = from + self.text[from..self.line_end(from)].find(close)?;
            return Some(at..at + close.len());
        };
        let (mut at, mut slashes, mut doubtful) = (from, 0, false);
        while let Some(&byte) = self.bytes.get(at) {
            let (level, run) = (open.len(), slashes + 1);
            slashes = if byte == b'\\' { run } else { 0 };
            if byte == b'\n' && doubtful {
                return None;
            }
            if byte != mark || run % level == 0 && run / level % 2 == 0 {
                at += 1;
                continue;
            }
            let next = self.run_end(at, |byte| byte == mark);
            if !self.bytes.get(next).is_some_and(u8::is_ascii_alphanumeric) {
                return Some(at - (run - 1) % level..at + 1);
            }
            (at, doubtful) = (next, true);
        }
        None
    }

    /// Whether a value ends at `at`.
    pub(super) fn ends(&self, at: usize, value: &ValueStart<'t>, link: &Joint<'t>) -> bool {
        match self.bytes.get(at) {
            None | Some(0..=b' ') if value.is_bare() => true,
            None => true,
            Some(_) if !value.is_bare() => self.text[at..].starts_with(value.quote),
            // Spaces, quotes and delimiters end it if they are encoded like the separator.
            Some(b'%') if link.sep.starts_with('%') => {
                let percent = &link.sep[..link.sep.len() - 2];
                let code = self.text[at..].strip_prefix(percent).and_then(|code| code.get(..2));
                code.is_some_and(|code| {
                    lists("20 22 26 2c 3b 5d 7d 0a 0d", &code.to_ascii_lowercase())
                })
            }
            Some(byte) if !SOFT.contains(byte) => false,
            Some(_) if link.sep.ends_with([':', 'a', 'A']) => {
                BEFORE_COLON.is_match(&self.text[at..])
            }
            Some(_) => BEFORE_EQUALS.is_match(&self.text[at..]),
        }
    }

    pub(super) fn bare_end(&self, from: usize, link: &Joint<'t>) -> usize {
        let bare = ValueStart { start: from, quote: "", indent: "" };
        let mut at = from;
        while !self.ends(at, &bare, link) {
            let soft = SOFT.contains(&self.bytes[at]);
            at = if soft { self.run_end(at, |byte| SOFT_RUN.contains(&byte)) } else { at + 1 };
        }
        at
    }

    pub(super) fn chain_end(&self, mut end: usize, next: &Regex, link: &Joint<'t>) -> usize {
        while let Some(found) = next.find(&self.text[end..]) {
            end = self.bare_end(end + found.end(), link);
        }
        end
    }

    pub(super) fn line_end(&self, at: usize) -> usize {
        self.run_end(at, |byte| byte != b'\n')
    }

    /// Like [`Scan::run_end`], for at most `len_max` bytes.
    pub(super) fn run_end_within(
        &self,
        at: usize,
        len_max: usize,
        belongs: impl Fn(u8) -> bool,
    ) -> usize {
        at + self.bytes[at..].iter().take(len_max).take_while(|byte| belongs(**byte)).count()
    }

    /// The end of the run of bytes at `at` for which `belongs` is true.
    pub(super) fn run_end(&self, at: usize, belongs: impl Fn(u8) -> bool) -> usize {
        let run = self.bytes[at..].iter().position(|&byte| !belongs(byte));
        run.map_or(self.bytes.len(), |run| at + run)
    }

    pub(super) fn group(&self, pattern: &Regex, at: usize) -> Option<Range<usize>> {
        let secret = pattern.captures(&self.text[at..])?.name("secret")?;
        Some(at + secret.start()..at + secret.end())
    }
}

/// The brackets of a tag in text that is escaped in XML, in JSON or in a URL.
const ESCAPED_TAGS: [(&str, &str); 6] = [
    ("&lt;", "&gt;"),
    ("&amp;lt;", "&amp;gt;"),
    ("\\u003c", "\\u003e"),
    ("\\u003C", "\\u003E"),
    ("%3C", "%3E"),
    ("%3c", "%3e"),
];

/// Letters of both cases in turn, but no words.
fn is_base64(text: &[u8]) -> bool {
    let only = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_-".contains(byte);
    text.len() >= 16 && text.iter().all(only) && turns(text) >= 6 && !has_title_words(text)
}

/// At least `len_min` characters, with digits and letters among them.
fn is_random(word: &str, len_min: usize) -> bool {
    word.len() >= len_min && is_mixed(word.as_bytes())
}
