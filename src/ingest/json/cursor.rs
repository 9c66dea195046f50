//! A cursor over compact JSON, as AWS writes it: without blanks, and with short strings that have
//! no escapes.
//!
//! Every method answers `None` or `false` for anything else. That says nothing about the text: a
//! full parser has to read it then.

use std::ops::Range;

use memchr::memchr2;

pub(in crate::ingest) struct JsonCursor<'t> {
    text: &'t [u8],
    at: usize,
}

impl<'t> JsonCursor<'t> {
    pub(crate) fn new(text: &'t [u8]) -> Self {
        Self { text, at: 0 }
    }

    /// All of the text.
    pub(crate) fn text(&self) -> &'t [u8] {
        self.text
    }

    pub(crate) fn position(&self) -> usize {
        self.at
    }

    pub(crate) fn seek(&mut self, position: usize) {
        self.at = position;
    }

    /// Skips `token` if it is next.
    #[inline(always)]
    pub(crate) fn eat<const N: usize>(&mut self, token: &[u8; N]) -> bool {
        let is_next = self.text.get(self.at..).and_then(<[u8]>::first_chunk) == Some(token);
        if is_next {
            self.at += N;
        }
        is_next
    }

    /// Skips `token`, which has to be next.
    #[inline(always)]
    pub(crate) fn expect<const N: usize>(&mut self, token: &[u8; N]) -> Option<()> {
        self.eat(token).then_some(())
    }

    pub(crate) fn byte(&mut self) -> Option<u8> {
        let byte = self.text.get(self.at).copied();
        self.at += usize::from(byte.is_some());
        byte
    }

    /// Skips `end`, or else a comma; whether it was `end`.
    pub(crate) fn ends(&mut self, end: u8) -> Option<bool> {
        match self.byte()? {
            b',' => Some(false),
            byte => (byte == end).then_some(true),
        }
    }

    /// Skips a string without escapes; where its content is. Check it with [`has_control`].
    pub(crate) fn string(&mut self) -> Option<Range<usize>> {
        self.expect(b"\"")?;
        let start = self.at;
        self.at += memchr2(b'"', b'\\', &self.text[start..])?;
        let content = start..self.at;
        self.expect(b"\"").map(|()| content)
    }

    /// Skips a string or a list of strings.
    pub(crate) fn skip_strings(&mut self) -> Option<()> {
        if !self.eat(b"[") {
            return self.string().map(drop);
        }
        if self.eat(b"]") {
            return Some(());
        }
        loop {
            self.string()?;
            if self.ends(b']')? {
                return Some(());
            }
        }
    }

    /// Skips a positive number with an optional fraction; where it is.
    pub(crate) fn number(&mut self) -> Option<Range<usize>> {
        let start = self.at;
        // JSON has no leading zeros.
        if !matches!(self.text.get(start)?, b'1'..=b'9') {
            return None;
        }
        self.skip_digits();
        if self.eat(b".") && self.skip_digits() == 0 {
            return None;
        }
        Some(start..self.at)
    }

    fn skip_digits(&mut self) -> usize {
        let digits = self.text[self.at..].iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        digits
    }

    /// Skips the rest of an object or list, whatever is nested in it, with the brace that closes
    /// it. Checks only that strings end and that there are as many closing braces as opening ones.
    pub(crate) fn skip_nested(&mut self) -> Option<()> {
        let mut depth = 1_usize;
        while depth > 0 {
            match self.byte()? {
                b'{' | b'[' => depth += 1,
                b'}' | b']' => depth -= 1,
                b'"' => self.skip_string()?,
                _ => {}
            }
        }
        Some(())
    }

    /// Skips the rest of a string, which may have escapes.
    pub(crate) fn skip_string(&mut self) -> Option<()> {
        loop {
            self.at += memchr2(b'"', b'\\', self.text.get(self.at..)?)?;
            match self.byte()? {
                b'"' => return Some(()),
                _ => self.at += 1,
            }
        }
    }
}

/// Whether the text has control characters, which JSON does not allow in strings.
pub(in crate::ingest) fn has_control(text: &[u8]) -> bool {
    text.iter().fold(false, |any, byte| any | (*byte < b' '))
}
