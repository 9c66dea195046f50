//! A small reader of TOML that knows where everything stands, and no key of ours.
//!
//! Reading a value gives the value or a [`Diagnostic`]; [`Diagnostics`] keeps the faults and lets the reading
//! go on, so that one run finds them all.

use std::collections::BTreeSet;
use std::fmt::Display;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::problem::{ConfigDiagnostic, ConfigError};

/// How many edits a misspelled key may be away from the one that is suggested.
const EDITS_MAX: usize = 2;

/// A longer key is not repeated in a message: it may be a credential that slipped before the `=`.
const SHOWN_KEY_BYTES_MAX: usize = 32;

/// A mistake, at a byte offset of the text.
#[derive(Debug)]
pub(super) struct Diagnostic {
    at: usize,
    message: String,
}

/// The mistakes found so far in one text.
pub(super) struct Diagnostics<'t> {
    text: &'t str,
    found: Vec<Diagnostic>,
    warnings: Vec<Diagnostic>,
}

impl<'t> Diagnostics<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Diagnostics { text, found: Vec::new(), warnings: Vec::new() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.found.is_empty()
    }

    pub(super) fn add(&mut self, diagnostic: Diagnostic) {
        self.found.push(diagnostic);
    }

    /// Keeps what is likely a mistake, and does not make the file one.
    pub(super) fn warn(&mut self, diagnostic: Diagnostic) {
        self.warnings.push(diagnostic);
    }

    pub(super) fn add_at(&mut self, at: usize, message: impl Into<String>) {
        self.add(Diagnostic { at, message: message.into() });
    }

    /// The value, or nothing, with the fault kept. So `None` always means: already reported.
    pub(super) fn keep<T>(&mut self, result: Result<T, Diagnostic>) -> Option<T> {
        result.map_err(|diagnostic| self.add(diagnostic)).ok()
    }

    /// The line of an offset, counted from 1.
    pub(super) fn line(&self, at: usize) -> usize {
        1 + self.text.bytes().take(at).filter(|b| *b == b'\n').count()
    }

    pub(super) fn into_problems(self, file: &str) -> ConfigError {
        ConfigError { file: file.to_owned(), problems: located(self.text, self.found) }
    }

    pub(super) fn into_warnings(self) -> Vec<ConfigDiagnostic> {
        located(self.text, self.warnings)
    }
}

/// Sorts the faults and walks the text once to find their lines and columns.
fn located(text: &str, mut diagnostics: Vec<Diagnostic>) -> Vec<ConfigDiagnostic> {
    diagnostics.sort_by_key(|diagnostic| diagnostic.at);
    let mut chars = text.char_indices().peekable();
    let (mut line, mut column) = (1, 1);
    let mut problems = Vec::with_capacity(diagnostics.len());
    for Diagnostic { at, message } in diagnostics {
        while let Some((_, c)) = chars.next_if(|(index, _)| *index < at) {
            (line, column) = if c == '\n' { (line + 1, 1) } else { (line, column + 1) };
        }
        problems.push(ConfigDiagnostic { line, column, message });
    }
    problems
}

/// A value and the key that it belongs to; an element of an array has the array's key.
#[derive(Clone, Copy)]
pub(super) struct Value<'a> {
    key: &'static str,
    node: &'a Spanned<DeValue<'a>>,
}

impl<'a> Value<'a> {
    pub(super) fn at(self) -> usize {
        self.node.span().start
    }

    pub(super) fn diagnostic(self, message: impl Display) -> Diagnostic {
        Diagnostic { at: self.at(), message: format!("{}: {message}", self.key) }
    }

    pub(super) fn mismatch(self, expected: &str) -> Diagnostic {
        let found = match self.node.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        self.diagnostic(format_args!("expected {expected}, found {found}"))
    }

    pub(super) fn bool(self) -> Result<bool, Diagnostic> {
        self.node.get_ref().as_bool().ok_or_else(|| self.mismatch("true or false"))
    }

    pub(super) fn str(self) -> Result<&'a str, Diagnostic> {
        self.node.get_ref().as_str().ok_or_else(|| self.mismatch("a string"))
    }

    /// The string, made into something else that can say why it cannot.
    pub(super) fn parse<T>(self) -> Result<T, Diagnostic>
    where
        T: std::str::FromStr<Err: Display>,
    {
        self.str()?.parse().map_err(|error| self.diagnostic(error))
    }

    /// The integer, if it is one; the inner `None` is one that is negative or too large.
    pub(super) fn integer(self) -> Option<Option<u64>> {
        let integer = self.node.get_ref().as_integer()?;
        Some(u64::from_str_radix(integer.as_str(), integer.radix()).ok())
    }

    pub(super) fn array(self) -> Result<impl ExactSizeIterator<Item = Value<'a>>, Diagnostic> {
        let array = self.node.get_ref().as_array().ok_or_else(|| self.mismatch("an array"))?;
        Ok(array.iter().map(move |node| Value { key: self.key, node }))
    }

    pub(super) fn table(self) -> Result<Fields<'a>, Diagnostic> {
        let table = self.node.get_ref().as_table().ok_or_else(|| self.mismatch("a table"))?;
        Ok(Fields::new(table))
    }

    pub(super) fn is_table(self) -> bool {
        self.node.get_ref().is_table()
    }
}

/// What was wrong with the keys of a table.
pub(super) struct Leftover {
    /// The required keys that are absent, without those that are only misspelled. Not reported.
    pub(super) missing: Vec<&'static str>,
    /// Whether there were keys that nobody asked for. Reported.
    pub(super) any_unknown: bool,
}

/// The keys of a table, asked for one by one; what was never asked for is unknown.
pub(super) struct Fields<'a> {
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    pub(super) fn new(table: &'a DeTable<'a>) -> Self {
        Fields { table, known: Vec::new(), missing: Vec::new() }
    }

    pub(super) fn take(&mut self, key: &'static str) -> Option<Value<'a>> {
        self.known.push(key);
        self.table.get(key).map(|node| Value { key, node })
    }

    /// Like [`Fields::take`], for a key that must not be absent.
    pub(super) fn require(&mut self, key: &'static str) -> Option<Value<'a>> {
        let value = self.take(key);
        if value.is_none() {
            self.missing.push(key);
        }
        value
    }

    /// Reports every key that nobody asked for, with the known key that it resembles, or with what
    /// `hint` knows about it.
    pub(super) fn finish(
        mut self,
        diagnostics: &mut Diagnostics<'_>,
        hint: impl Fn(&str) -> Option<&'static str>,
    ) -> Leftover {
        let mut any_unknown = false;
        for key in self.table.keys() {
            let (at, key) = (key.span().start, key.get_ref().as_ref());
            if self.known.contains(&key) {
                continue;
            }
            any_unknown = true;
            let shown = if is_plain(key) { format!("unknown key `{key}`") } else { "unknown key".to_owned() };
            if let Some(hint) = hint(key) {
                diagnostics.add_at(at, format!("{shown}; {hint}"));
            } else if let Some(meant) = closest(key, &self.known) {
                self.missing.retain(|missing| *missing != meant);
                diagnostics.add_at(at, format!("{shown}, did you mean `{meant}`?"));
            } else {
                diagnostics.add_at(at, shown);
            }
        }
        Leftover { missing: self.missing, any_unknown }
    }
}

/// The value, or its default if it is absent.
pub(super) fn optional<'a, T>(
    value: Option<Value<'a>>,
    default: T,
    diagnostics: &mut Diagnostics<'_>,
    read: impl FnOnce(Value<'a>) -> Result<T, Diagnostic>,
) -> Option<T> {
    match value {
        Some(value) => diagnostics.keep(read(value)),
        None => Some(default),
    }
}

/// All elements, none if the list is absent.
pub(super) fn list_or_none<'a, T>(
    value: Option<Value<'a>>,
    diagnostics: &mut Diagnostics<'_>,
    read: impl FnMut(Value<'a>) -> Result<T, Diagnostic>,
) -> Option<Vec<T>> {
    match value {
        Some(value) => list(value, diagnostics, read),
        None => Some(Vec::new()),
    }
}

/// Warns of each element of a list that `look` finds fault with.
pub(super) fn warn_of<'a>(
    list: Option<Value<'a>>,
    diagnostics: &mut Diagnostics<'_>,
    look: impl Fn(Value<'a>) -> Option<Diagnostic>,
) {
    let elements = list.and_then(|list| list.array().ok());
    elements.into_iter().flatten().filter_map(look).for_each(|diagnostic| diagnostics.warn(diagnostic));
}

/// A list with something in it and nothing twice.
pub(super) fn distinct<'a, T: Ord + Clone>(
    value: Value<'a>,
    diagnostics: &mut Diagnostics<'_>,
    read: impl Fn(Value<'a>) -> Result<T, Diagnostic>,
) -> Option<Vec<T>> {
    let mut seen = BTreeSet::new();
    let items = list(value, diagnostics, |element| {
        let item = read(element)?;
        if seen.insert(item.clone()) { Ok(item) } else { Err(element.diagnostic("listed twice")) }
    })?;
    if items.is_empty() {
        diagnostics.add(value.diagnostic("must not be empty"));
        return None;
    }
    Some(items)
}

/// All elements, or nothing if one of them is at fault; the others are looked at all the same.
fn list<'a, T>(
    value: Value<'a>,
    diagnostics: &mut Diagnostics<'_>,
    mut read: impl FnMut(Value<'a>) -> Result<T, Diagnostic>,
) -> Option<Vec<T>> {
    let elements = diagnostics.keep(value.array())?;
    let items: Vec<Option<T>> = elements.map(|element| diagnostics.keep(read(element))).collect();
    items.into_iter().collect()
}

fn is_plain(key: &str) -> bool {
    key.len() <= SHOWN_KEY_BYTES_MAX && key.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-')
}

fn closest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    if key.len() > SHOWN_KEY_BYTES_MAX {
        return None;
    }
    let edits = |other: &&str| strsim::osa_distance(key, other);
    known.iter().copied().min_by_key(edits).filter(|best| edits(best) <= EDITS_MAX)
}
