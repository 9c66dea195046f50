//! TOML values and tables with their places in the text. Knows none of Stentor's keys.
//!
//! A function that reads one value returns the value or a message; [`Diagnostics::read`] adds the
//! place to the message and goes on.

use std::collections::BTreeSet;
use std::fmt::Display;
use std::str::FromStr;

use serde_json::{Number, Value};
use strum::VariantNames;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::diagnostic::Diagnostics;

/// The largest edit distance at which a known key is suggested for a misspelled one.
const EDITS_MAX: usize = 2;

/// A longer key is not shown in a message: it may be a credential.
const SHOWN_KEY_BYTES_MAX: usize = 32;

/// A value and its key; an element of an array has the key of the array.
#[derive(Clone, Copy)]
pub(crate) struct TomlValue<'a> {
    key: &'static str,
    node: &'a Spanned<DeValue<'a>>,
}

impl<'a> TomlValue<'a> {
    /// The byte offset in the text.
    pub(super) fn offset(self) -> usize {
        self.node.span().start
    }

    pub(super) fn key(self) -> &'static str {
        self.key
    }

    /// The message for a value of the wrong type.
    pub(crate) fn mismatch(self, expected: &str) -> String {
        let found = match self.node.get_ref() {
            DeValue::String(_) => "a string",
            DeValue::Integer(_) => "an integer",
            DeValue::Float(_) => "a float",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Array(_) => "an array",
            DeValue::Table(_) => "a table",
        };
        format!("expected {expected}, found {found}")
    }

    pub(super) fn bool(self) -> Result<bool, String> {
        self.node.get_ref().as_bool().ok_or_else(|| self.mismatch("true or false"))
    }

    pub(crate) fn str(self) -> Result<&'a str, String> {
        self.node.get_ref().as_str().ok_or_else(|| self.mismatch("a string"))
    }

    /// A string that is parsed further.
    pub(super) fn parse<T: FromStr<Err: ToString>>(self) -> Result<T, String> {
        self.str()?.parse().map_err(|error: T::Err| error.to_string())
    }

    /// A string that names a variant of an enum.
    pub(super) fn variant<T: FromStr + VariantNames>(self) -> Result<T, String> {
        self.str()?.parse().map_err(|_| {
            let (last, rest) = T::VARIANTS.split_last().expect("invariant: the enum has variants");
            format!("expected \"{}\" or \"{last}\"", rest.join("\", \""))
        })
    }

    /// `None` if this is no integer, `Some(None)` if it is negative or too large.
    pub(crate) fn integer(self) -> Option<Option<u64>> {
        let integer = self.node.get_ref().as_integer()?;
        Some(u64::from_str_radix(integer.as_str(), integer.radix()).ok())
    }

    /// `None` if this is no number. An integer that does not fit is `NaN`.
    pub(crate) fn number(self) -> Option<f64> {
        match self.node.get_ref() {
            DeValue::Float(number) => number.as_str().parse().ok(),
            _ => self.integer().map(|integer| integer.map_or(f64::NAN, |integer| integer as f64)),
        }
    }

    pub(super) fn array(self) -> Result<impl ExactSizeIterator<Item = TomlValue<'a>>, String> {
        let array = self.node.get_ref().as_array().ok_or_else(|| self.mismatch("an array"))?;
        Ok(array.iter().map(move |node| TomlValue { key: self.key, node }))
    }

    pub(crate) fn table(self) -> Result<Fields<'a>, String> {
        let table = self.node.get_ref().as_table().ok_or_else(|| self.mismatch("a table"))?;
        Ok(Fields::new(table))
    }

    /// The keys and values of a table.
    pub(super) fn entries(self) -> Result<impl Iterator<Item = (&'a str, TomlValue<'a>)>, String> {
        let table = self.node.get_ref().as_table().ok_or_else(|| self.mismatch("a table"))?;
        let key = self.key;
        Ok(table.iter().map(move |(name, node)| (name.get_ref().as_ref(), TomlValue { key, node })))
    }

    /// The value as JSON.
    pub(super) fn json(self) -> Result<Value, String> {
        let node = |node| TomlValue { key: self.key, node };
        Ok(match self.node.get_ref() {
            DeValue::String(text) => Value::from(text.as_ref()),
            DeValue::Boolean(is_true) => Value::from(*is_true),
            DeValue::Integer(_) | DeValue::Float(_) => {
                let number = match self.integer() {
                    Some(integer) => integer.map(Number::from),
                    None => self.number().and_then(Number::from_f64),
                };
                Value::Number(number.ok_or("expected a number from 0 to 2^64 - 1")?)
            }
            DeValue::Array(array) => {
                Value::Array(array.iter().map(|item| node(item).json()).collect::<Result<_, _>>()?)
            }
            DeValue::Table(table) => {
                let fields = table.iter().map(|(key, value)| {
                    Ok((key.get_ref().as_ref().to_owned(), node(value).json()?))
                });
                Value::Object(fields.collect::<Result<_, String>>()?)
            }
            DeValue::Datetime(_) => return Err("expected a string for a date or time".to_owned()),
        })
    }

    pub(super) fn is_table(self) -> bool {
        self.node.get_ref().is_table()
    }
}

/// Messages about values.
impl Diagnostics<'_> {
    pub(crate) fn error(&mut self, value: TomlValue<'_>, message: impl Display) {
        self.error_at(value.offset(), format!("{}: {message}", value.key()));
    }

    /// An error `at` so many bytes of a string. If the text has escapes, the message names the byte instead.
    pub(super) fn error_within(&mut self, value: TomlValue<'_>, at: usize, message: impl Display) {
        let text = value.str().unwrap_or_default();
        match self.is_written_as(value.offset() + 1, text) {
            true => self.error_at(value.offset() + 1 + at, format!("{}: {message}", value.key())),
            false => self.error(value, format_args!("at its byte {at}: {message}")),
        }
    }

    /// A likely mistake, with which the file is still accepted.
    pub(super) fn warn(&mut self, value: TomlValue<'_>, message: impl Display) {
        self.warn_at(value.offset(), format!("{}: {message}", value.key()));
    }

    /// Reads a value. `None` means that an error was reported.
    pub(crate) fn read<'a, T>(
        &mut self,
        value: TomlValue<'a>,
        read: impl FnOnce(TomlValue<'a>) -> Result<T, String>,
    ) -> Option<T> {
        read(value).map_err(|message| self.error(value, message)).ok()
    }
}

/// The keys of a table, requested one by one. A key that was never requested is unknown.
pub(crate) struct Fields<'a> {
    table: &'a DeTable<'a>,
    known: Vec<&'static str>,
    missing: Vec<&'static str>,
}

/// The result of [`Fields::finish`].
pub(crate) struct KeyCheck {
    /// Required keys that are absent, except those that are only misspelled. Not yet reported.
    pub(crate) missing: Vec<&'static str>,
    /// Whether there are unknown keys. Already reported.
    pub(super) has_unknown: bool,
}

impl<'a> Fields<'a> {
    pub(crate) fn new(table: &'a DeTable<'a>) -> Self {
        Fields { table, known: Vec::new(), missing: Vec::new() }
    }

    /// The value of an optional key.
    pub(super) fn take(&mut self, key: &'static str) -> Option<TomlValue<'a>> {
        self.known.push(key);
        self.table.get(key).map(|node| TomlValue { key, node })
    }

    /// The value of a required key.
    pub(crate) fn require(&mut self, key: &'static str) -> Option<TomlValue<'a>> {
        let value = self.take(key);
        if value.is_none() {
            self.missing.push(key);
        }
        value
    }

    /// Reports every unknown key, with the hint for it, or else with the known key that it
    /// resembles.
    pub(crate) fn finish(
        mut self,
        diagnostics: &mut Diagnostics<'_>,
        hint: impl Fn(&str) -> Option<&'static str>,
    ) -> KeyCheck {
        let mut has_unknown = false;
        for key in self.table.keys() {
            let (offset, key) = (key.span().start, key.get_ref().as_ref());
            if self.known.contains(&key) {
                continue;
            }
            has_unknown = true;
            let shown = match is_plain(key) {
                true => format!("unknown key `{key}`"),
                false => "unknown key".to_owned(),
            };
            if let Some(hint) = hint(key) {
                diagnostics.error_at(offset, format!("{shown}; {hint}"));
            } else if let Some(meant) = closest(key, &self.known) {
                self.missing.retain(|missing| *missing != meant);
                diagnostics.error_at(offset, format!("{shown}, did you mean `{meant}`?"));
            } else {
                diagnostics.error_at(offset, shown);
            }
        }
        KeyCheck { missing: self.missing, has_unknown }
    }
}

/// The value, or `default` if it is absent.
pub(super) fn optional<'a, T>(
    value: Option<TomlValue<'a>>,
    default: T,
    diagnostics: &mut Diagnostics<'_>,
    read: impl FnOnce(TomlValue<'a>) -> Result<T, String>,
) -> Option<T> {
    match value {
        Some(value) => diagnostics.read(value, read),
        None => Some(default),
    }
}

/// The elements of a list; none if the list is absent.
pub(super) fn optional_list<'a, T>(
    value: Option<TomlValue<'a>>,
    diagnostics: &mut Diagnostics<'_>,
    read: impl FnMut(TomlValue<'a>) -> Result<T, String>,
) -> Option<Vec<T>> {
    match value {
        Some(value) => list(value, diagnostics, read),
        None => Some(Vec::new()),
    }
}

/// All items, or `None` if one of them cannot be read or is listed twice.
pub(super) fn distinct_items<'a, T: PartialEq>(
    elements: Vec<TomlValue<'a>>,
    diagnostics: &mut Diagnostics<'_>,
    read: impl Fn(TomlValue<'a>, &mut Diagnostics<'_>) -> Option<T>,
) -> Option<Vec<T>> {
    let (mut items, mut is_valid) = (Vec::new(), true);
    for element in elements {
        match read(element, diagnostics) {
            Some(item) if items.contains(&item) => {
                diagnostics.error(element, "listed twice");
                is_valid = false;
            }
            Some(item) => items.push(item),
            None => is_valid = false,
        }
    }
    is_valid.then_some(items)
}

/// The elements of a list that must not name anything twice.
pub(super) fn distinct_list<'a, T: Ord + Clone>(
    value: TomlValue<'a>,
    diagnostics: &mut Diagnostics<'_>,
    read: impl Fn(TomlValue<'a>) -> Result<T, String>,
) -> Option<Vec<T>> {
    let mut seen = BTreeSet::new();
    list(value, diagnostics, |element| {
        let item = read(element)?;
        if seen.insert(item.clone()) { Ok(item) } else { Err("listed twice".to_owned()) }
    })
}

/// The same, and the list must not be empty.
pub(super) fn filled_list<'a, T: Ord + Clone>(
    value: TomlValue<'a>,
    diagnostics: &mut Diagnostics<'_>,
    read: impl Fn(TomlValue<'a>) -> Result<T, String>,
) -> Option<Vec<T>> {
    let items = distinct_list(value, diagnostics, read)?;
    if items.is_empty() {
        diagnostics.error(value, "must not be empty");
        return None;
    }
    Some(items)
}

/// Warns of each element of a list for which `check` has a message.
pub(super) fn warn_elements<'a>(
    list: Option<TomlValue<'a>>,
    diagnostics: &mut Diagnostics<'_>,
    check: impl Fn(TomlValue<'a>) -> Option<String>,
) {
    for element in list.and_then(|list| list.array().ok()).into_iter().flatten() {
        if let Some(message) = check(element) {
            diagnostics.warn(element, message);
        }
    }
}

/// All elements, or `None` if one of them cannot be read. Every element is checked.
fn list<'a, T>(
    value: TomlValue<'a>,
    diagnostics: &mut Diagnostics<'_>,
    mut read: impl FnMut(TomlValue<'a>) -> Result<T, String>,
) -> Option<Vec<T>> {
    let elements = diagnostics.read(value, TomlValue::array)?;
    let items: Vec<Option<T>> =
        elements.map(|element| diagnostics.read(element, &mut read)).collect();
    items.into_iter().collect()
}

fn is_plain(key: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    key.len() <= SHOWN_KEY_BYTES_MAX && key.bytes().all(allowed)
}

/// The known word that needs the fewest edits, if it needs few.
pub(super) fn closest(key: &str, known: &[&'static str]) -> Option<&'static str> {
    if key.len() > SHOWN_KEY_BYTES_MAX {
        return None;
    }
    let edits = |other: &&str| strsim::osa_distance(key, other);
    known.iter().copied().min_by_key(edits).filter(|best| edits(best) <= EDITS_MAX)
}
