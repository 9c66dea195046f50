//! The regular expressions of CloudWatch Logs: a small subset of the usual syntax, without groups.
//! An expression is read character by character and written for the `regex` crate, so no syntax of
//! that crate passes unseen. Its engine takes linear time.

use std::fmt;
use std::iter::Peekable;
use std::str::CharIndices;

use regex::{Regex, RegexBuilder};

use super::FilterPatternError;

/// The largest number in `{…}`. CloudWatch Logs names none; this bounds the compiled size.
const REPEAT_MAX: u32 = 1_000;

/// The largest compiled size, in bytes.
const SIZE_MAX: usize = 1 << 20;

/// The characters that stand for themselves, besides letters and digits.
const SYMBOLS: &str = ":_#=@/;,- ";

/// The characters with a meaning, which a backslash takes away.
const OPERATORS: &str = "^$?[]{}|\\*+.";

#[derive(Clone, Debug)]
pub(super) struct AwsRegex {
    source: String,
    regex: Regex,
}

impl AwsRegex {
    /// Offsets of errors are in `source`.
    pub(super) fn new(source: &str) -> Result<Self, FilterPatternError> {
        if source.is_empty() {
            return Err(FilterPatternError::new(0, "the regular expression is empty"));
        }
        let translated = Translation::of(source)?;
        let regex = RegexBuilder::new(&translated).size_limit(SIZE_MAX).build();
        let regex =
            regex.map_err(|_| FilterPatternError::new(0, "the regular expression is too large"))?;
        Ok(Self { source: source.to_owned(), regex })
    }

    pub(super) fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The same expression in the syntax of the `regex` crate.
    pub(super) fn translated(&self) -> &str {
        self.regex.as_str()
    }
}

impl PartialEq for AwsRegex {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl Eq for AwsRegex {}

impl fmt::Display for AwsRegex {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "%{}%", self.source)
    }
}

struct Translation<'s> {
    chars: Peekable<CharIndices<'s>>,
    end: usize,
    written: String,
}

impl<'s> Translation<'s> {
    fn of(source: &'s str) -> Result<String, FilterPatternError> {
        let (chars, end) = (source.char_indices().peekable(), source.len());
        let mut translation = Self { chars, end, written: String::new() };
        // Whether a quantifier may follow.
        let mut repeatable = false;
        while let Some((at, c)) = translation.chars.next() {
            repeatable = match c {
                '^' | '$' | '|' => {
                    translation.written.push(c);
                    false
                }
                '*' | '+' | '?' | '{' if !repeatable => {
                    return Err(FilterPatternError::new(
                        at,
                        format!("there is nothing that `{c}` repeats"),
                    ));
                }
                '*' | '+' | '?' => {
                    translation.written.push(c);
                    false
                }
                '{' => {
                    translation.counted(at)?;
                    false
                }
                '}' | ']' => {
                    return Err(FilterPatternError::new(
                        at,
                        format!("`{c}` without its opening bracket"),
                    ));
                }
                '.' => {
                    translation.written.push('.');
                    true
                }
                '[' => {
                    translation.class(at)?;
                    true
                }
                '\\' => {
                    let escape = translation.escape(at)?;
                    translation.written.push_str(&escape.in_pattern());
                    true
                }
                c => {
                    translation.literal(at, c)?;
                    true
                }
            };
        }
        Ok(translation.written)
    }

    fn literal(&mut self, at: usize, c: char) -> Result<(), FilterPatternError> {
        if !is_literal(c) {
            return Err(unsupported(at, c));
        }
        self.written.push_str(&escaped(c));
        Ok(())
    }

    /// `{n}`, `{n,}`, `{n,m}` or `{,m}`, after the brace.
    fn counted(&mut self, at: usize) -> Result<(), FilterPatternError> {
        let fewest = self.count()?;
        let has_comma = self.chars.next_if(|(_, c)| *c == ',').is_some();
        let most = if has_comma { self.count()? } else { fewest };
        if self.chars.next_if(|(_, c)| *c == '}').is_none() || fewest.or(most).is_none() {
            return Err(FilterPatternError::new(
                at,
                "expected a number of repetitions, such as {3} or {3,5}",
            ));
        }
        let from = fewest.unwrap_or(0);
        match most {
            Some(most) if most < from => Err(FilterPatternError::new(
                at,
                "the numbers of the repetition are in the wrong order",
            )),
            Some(most) => {
                self.written.push_str(&format!("{{{from},{most}}}"));
                Ok(())
            }
            None => {
                self.written.push_str(&format!("{{{from},}}"));
                Ok(())
            }
        }
    }

    fn count(&mut self) -> Result<Option<u32>, FilterPatternError> {
        let (start, mut count) = (self.position(), None);
        while let Some(digit) = self.chars.peek().and_then(|(_, c)| c.to_digit(10)) {
            self.chars.next();
            count = Some(count.unwrap_or(0) * 10 + digit);
            if count > Some(REPEAT_MAX) {
                return Err(FilterPatternError::new(
                    start,
                    format!("repeats more than {REPEAT_MAX} times"),
                ));
            }
        }
        Ok(count)
    }

    /// `[…]`, after the opening bracket.
    fn class(&mut self, at: usize) -> Result<(), FilterPatternError> {
        let unclosed = || FilterPatternError::new(at, "`[` opens a class that is never closed");
        self.written.push('[');
        if self.chars.next_if(|(_, c)| *c == '^').is_some() {
            self.written.push('^');
        }
        let mut is_empty = true;
        loop {
            let (at, c) = self.chars.next().ok_or_else(unclosed)?;
            if c == ']' {
                break;
            }
            is_empty = false;
            let from = self.class_item(at, c)?;
            self.written.push_str(&from.in_class());
            let mut ahead = self.chars.clone();
            let is_range = ahead.next().is_some_and(|(_, c)| c == '-')
                && ahead.peek().is_some_and(|(_, c)| *c != ']');
            if is_range {
                self.chars.next();
                let (at, c) = self.chars.next().ok_or_else(unclosed)?;
                let to = self.class_item(at, c)?;
                match (from, to) {
                    (ClassItem::Char(from), ClassItem::Char(to)) if from <= to => {
                        self.written.push_str(&format!("-{}", escaped(to)));
                    }
                    _ => {
                        return Err(FilterPatternError::new(
                            at,
                            "a range in a class runs backwards",
                        ));
                    }
                }
            }
        }
        if is_empty {
            return Err(FilterPatternError::new(at, "the class is empty"));
        }
        self.written.push(']');
        Ok(())
    }

    fn class_item(&mut self, at: usize, c: char) -> Result<ClassItem, FilterPatternError> {
        match c {
            '\\' => self.escape(at),
            c if is_literal(c) || OPERATORS.contains(c) => Ok(ClassItem::Char(c)),
            c => Err(unsupported(at, c)),
        }
    }

    /// The escape after a backslash.
    fn escape(&mut self, at: usize) -> Result<ClassItem, FilterPatternError> {
        let c = self.chars.next().map(|(_, c)| c);
        match c {
            Some('x') => {
                let mut digit = || self.chars.next().and_then(|(_, c)| c.to_digit(16));
                let code = digit().zip(digit()).map(|(high, low)| 16 * high + low);
                let c = code.filter(|code| *code < 0x80).and_then(char::from_u32);
                c.map(ClassItem::Char).ok_or_else(|| {
                    FilterPatternError::new(
                        at,
                        "expected two hexadecimal digits from 00 to 7F after `\\x`",
                    )
                })
            }
            Some('d') => Ok(ClassItem::Set("0-9", false)),
            Some('D') => Ok(ClassItem::Set("0-9", true)),
            Some('s') => Ok(ClassItem::Set(r" \t\n\r\x0B\x0C", false)),
            Some('S') => Ok(ClassItem::Set(r" \t\n\r\x0B\x0C", true)),
            Some('w') => Ok(ClassItem::Set("A-Za-z0-9_", false)),
            Some('W') => Ok(ClassItem::Set("A-Za-z0-9_", true)),
            Some(c) if OPERATORS.contains(c) || SYMBOLS.contains(c) => Ok(ClassItem::Char(c)),
            _ => Err(FilterPatternError::new(at, "this escape is not supported")),
        }
    }

    fn position(&mut self) -> usize {
        self.chars.peek().map_or(self.end, |(at, _)| *at)
    }
}

/// A character, or the ASCII characters of `\d` and the like, which may be negated.
#[derive(Clone, Copy)]
enum ClassItem {
    Char(char),
    Set(&'static str, bool),
}

impl ClassItem {
    fn in_pattern(self) -> String {
        match self {
            Self::Char(c) => escaped(c),
            Self::Set(..) => self.in_class(),
        }
    }

    fn in_class(self) -> String {
        match self {
            Self::Char(c) => escaped(c),
            Self::Set(set, negated) => format!("[{}{set}]", if negated { "^" } else { "" }),
        }
    }
}

fn is_literal(c: char) -> bool {
    c.is_ascii_alphanumeric() || SYMBOLS.contains(c)
}

/// A character that stands for itself, inside a class and outside.
fn escaped(c: char) -> String {
    match c.is_ascii_alphanumeric() {
        true => c.to_string(),
        false => format!("\\x{:02X}", u32::from(c)),
    }
}

fn unsupported(at: usize, c: char) -> FilterPatternError {
    match c {
        '(' | ')' => FilterPatternError::new(
            at,
            "a regular expression has no parentheses; write \\x28 for one",
        ),
        _ => FilterPatternError::new(at, "this character is not allowed in a regular expression"),
    }
}
