//! Mistakes and warnings about a configuration, each with its line and column.

use std::fmt;

/// One mistake or warning, and its place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// One line of text. Never repeats a refused value.
    pub message: String,
}

impl fmt::Display for Diagnostic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

/// All mistakes of one file; never empty. Displays each on a line of its own:
/// `stentor.toml:12:9: window: expected a string, found an integer`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The name of the file, as the caller passed it.
    pub file: String,
    /// Ordered by line and column.
    pub diagnostics: Vec<Diagnostic>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, diagnostic) in self.diagnostics.iter().enumerate() {
            let separator = if index == 0 { "" } else { "\n" };
            write!(f, "{separator}{}:{diagnostic}", self.file)?;
        }
        Ok(())
    }
}

impl std::error::Error for ConfigError {}

/// Collects the mistakes and warnings of one text, so that one run finds them all.
pub(crate) struct Diagnostics<'t> {
    text: &'t str,
    /// Byte offsets and messages.
    errors: Vec<(usize, String)>,
    warnings: Vec<(usize, String)>,
}

impl<'t> Diagnostics<'t> {
    pub(crate) fn new(text: &'t str) -> Self {
        Diagnostics { text, errors: Vec::new(), warnings: Vec::new() }
    }

    pub(crate) fn error_at(&mut self, offset: usize, message: impl Into<String>) {
        self.errors.push((offset, message.into()));
    }

    /// A likely mistake, with which the file is still accepted.
    pub(super) fn warn_at(&mut self, offset: usize, message: impl Into<String>) {
        self.warnings.push((offset, message.into()));
    }

    /// Whether `text` is written at the offset as it is.
    pub(super) fn is_written_as(&self, offset: usize, text: &str) -> bool {
        self.text.get(offset..).is_some_and(|rest| rest.starts_with(text))
    }

    /// The line of an offset, counted from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        1 + self.text.bytes().take(offset).filter(|byte| *byte == b'\n').count()
    }

    /// The warnings, if there is no error.
    pub(crate) fn finish(self, file: &str) -> Result<Vec<Diagnostic>, ConfigError> {
        match self.errors.is_empty() {
            true => Ok(located(self.text, self.warnings)),
            false => Err(ConfigError {
                file: file.to_owned(),
                diagnostics: located(self.text, self.errors),
            }),
        }
    }
}

/// Turns offsets into lines and columns, in one pass over the text.
fn located(text: &str, mut messages: Vec<(usize, String)>) -> Vec<Diagnostic> {
    messages.sort_by_key(|(offset, _)| *offset);
    let mut chars = text.char_indices().peekable();
    let (mut line, mut column) = (1, 1);
    let mut diagnostics = Vec::with_capacity(messages.len());
    for (offset, message) in messages {
        while let Some((_, c)) = chars.next_if(|(index, _)| *index < offset) {
            (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        diagnostics.push(Diagnostic { line, column, message });
    }
    diagnostics
}
