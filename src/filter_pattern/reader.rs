//! Reads the characters of a pattern, and the tokens that its forms share.

use super::FilterPatternError;
use super::aws_regex::AwsRegex;

/// The most regular expressions of a JSON or space-delimited pattern: a quota of CloudWatch Logs.
const REGEXES_MAX: usize = 2;

pub(super) struct Reader<'p> {
    text: &'p str,
    at: usize,
    regexes: usize,
}

impl<'p> Reader<'p> {
    pub(super) fn new(text: &'p str) -> Self {
        Self { text, at: 0, regexes: 0 }
    }

    pub(super) fn at(&self) -> usize {
        self.at
    }

    pub(super) fn rest(&self) -> &'p str {
        &self.text[self.at..]
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.rest().chars().next()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let c = self.peek()?;
        self.at += c.len_utf8();
        Some(c)
    }

    /// Skips `token` if it is next.
    pub(super) fn eat(&mut self, token: &str) -> bool {
        let is_next = self.rest().starts_with(token);
        if is_next {
            self.at += token.len();
        }
        is_next
    }

    pub(super) fn expect(&mut self, token: &str) -> Result<(), FilterPatternError> {
        match self.eat(token) {
            true => Ok(()),
            false => Err(self.fail(format!("expected `{token}`"))),
        }
    }

    pub(super) fn skip_blanks(&mut self) {
        self.take_while(char::is_whitespace);
    }

    pub(super) fn take_while(&mut self, is_part: impl Fn(char) -> bool) -> &'p str {
        let rest = self.rest();
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += end;
        &rest[..end]
    }

    /// A text in double quotes, in which `\"` is a quote and `\\` a backslash.
    pub(super) fn quoted(&mut self) -> Result<String, FilterPatternError> {
        let start = self.at;
        self.expect("\"")?;
        let mut text = String::new();
        loop {
            match self.next() {
                Some('"') => return Ok(text),
                Some('\\') if self.rest().starts_with(['"', '\\']) => text.extend(self.next()),
                Some(c) => text.push(c),
                None => return Err(FilterPatternError::new(start, "the quote is never closed")),
            }
        }
    }

    /// A regular expression between percent signs.
    pub(super) fn regex(&mut self) -> Result<AwsRegex, FilterPatternError> {
        let start = self.at;
        self.expect("%")?;
        let source = self.take_while(|c| c != '%');
        if !self.eat("%") {
            return Err(FilterPatternError::new(
                start,
                "the `%` of the regular expression is never closed",
            ));
        }
        self.regexes += 1;
        AwsRegex::new(source)
            .map_err(|error| FilterPatternError::new(start + 1 + error.at, error.reason))
    }

    /// Fails if the pattern, which is not of terms, has too many regular expressions.
    pub(super) fn check_regexes(&self) -> Result<(), FilterPatternError> {
        match self.regexes > REGEXES_MAX {
            true => {
                Err(self.fail(format!("a pattern has at most {REGEXES_MAX} regular expressions")))
            }
            false => Ok(()),
        }
    }

    /// An error at the next character.
    pub(super) fn fail(&self, reason: impl Into<String>) -> FilterPatternError {
        FilterPatternError::new(self.at, reason)
    }
}

/// Writes a text so that [`Reader::quoted`] reads it.
pub(super) fn quote(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}
