//! Redacts the lines of a log one after the other, each with the line before it in mind: a name
//! such as `token:` can stand on the line before its value, and a private key has many lines.

use std::borrow::Cow;

use crate::redact::Redactor;

/// So much of the end of a line is kept for the next one.
const BEFORE_BYTES_MAX: usize = 200;
/// The longest line of a private key.
const KEY_LINE_BYTES_MAX: usize = 80;

pub(super) struct LineRedactor<'r> {
    redactor: &'r Redactor,
    /// The end of the line before, if it can make a secret of the next one.
    before: String,
    in_private_key: bool,
}

impl<'r> LineRedactor<'r> {
    pub(super) fn new(redactor: &'r Redactor) -> Self {
        Self { redactor, before: String::new(), in_private_key: false }
    }

    pub(super) fn redact<'l>(&mut self, line: &'l str) -> Cow<'l, str> {
        let text = line.trim_ascii_end();
        if self.in_private_key && !is_key_line(text) {
            self.in_private_key = false;
            self.before.clear();
        }
        let redacted = match self.before.is_empty() {
            true => self.redactor.redact(line),
            false => {
                let start = self.before.len() + 1;
                let both = format!("{}\n{line}", self.before);
                Cow::Owned(self.redactor.redact_part(&both, start..both.len()).into_owned())
            }
        };
        self.remember(text);
        redacted
    }

    fn remember(&mut self, text: &str) {
        let begins_key = text.ends_with("PRIVATE KEY-----") && text.contains("-----BEGIN");
        // The first line of a key counts for all its lines, and a blank line between does not.
        if !begins_key && (self.in_private_key || text.is_empty()) {
            self.in_private_key &= !text.contains("-----END");
            if self.in_private_key || text.is_empty() {
                return;
            }
        }
        self.in_private_key = begins_key;
        self.before.clear();
        if begins_key || text.ends_with([':', '=', '|', '>']) {
            let from = text.ceil_char_boundary(text.len().saturating_sub(BEFORE_BYTES_MAX));
            self.before.push_str(&text[from..]);
        }
    }
}

/// Whether a line can be one of a private key.
fn is_key_line(text: &str) -> bool {
    text.len() <= KEY_LINE_BYTES_MAX && (text.contains("-----") || !text.trim_ascii().contains(' '))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(lines: &[(&str, &str)]) {
        let redactor = Redactor::default();
        let mut lines_of = LineRedactor::new(&redactor);
        for (line, expected) in lines {
            assert_eq!(lines_of.redact(line), *expected, "{line}");
        }
    }

    #[test]
    fn a_value_on_the_line_after_its_name_is_redacted() {
        check(&[
            ("token:", "token:"),
            ("  abc123def456", "  [redacted:token]"),
            ("  abc123def456", "  abc123def456"),
            ("password: |", "password: |"),
            ("", ""),
            ("  hunter2 and more", "  [redacted:password]"),
            ("api_key =", "api_key ="),
            ("abc123def456", "[redacted:api-key]"),
            ("token: # of the bot", "token: # of the bot"),
            ("  expired", "  expired"),
        ]);
    }

    #[test]
    fn the_lines_of_a_private_key_are_redacted() {
        let begin = concat!("-----BEGIN PRIVATE", " KEY-----");
        let end = concat!("-----END PRIVATE", " KEY-----");
        check(&[
            (begin, "[redacted:private-key]"),
            ("MIIEvQIBADANBgkq", "[redacted:private-key]"),
            ("hkiG9w0BAQ==", "[redacted:private-key]"),
            (end, "[redacted:private-key]"),
            ("MIIEvQIBADANBgkq", "MIIEvQIBADANBgkq"),
            (begin, "[redacted:private-key]"),
            ("an order was lost", "an order was lost"),
            ("MIIEvQIBADANBgkq", "MIIEvQIBADANBgkq"),
        ]);
    }
}
