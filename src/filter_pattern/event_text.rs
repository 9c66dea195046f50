//! A message, and what patterns read in it. Each reading happens once, when it is first needed.

use std::cell::OnceCell;

use serde_json::Value;

/// The message of a log event. The line ending at its end is not a part of it.
#[derive(Debug)]
pub struct EventText<'m> {
    message: &'m str,
    json: OnceCell<Option<Value>>,
    words: OnceCell<Vec<Word<'m>>>,
}

/// A field of a space-delimited message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Word<'m> {
    /// Without the quotes or brackets around it.
    pub(super) text: &'m str,
    /// Where it begins in the message, with them.
    pub(super) start: usize,
}

impl<'m> EventText<'m> {
    pub fn new(message: &'m str) -> Self {
        let message = message.strip_suffix('\n').unwrap_or(message);
        let message = message.strip_suffix('\r').unwrap_or(message);
        Self { message, json: OnceCell::new(), words: OnceCell::new() }
    }

    pub fn message(&self) -> &'m str {
        self.message
    }

    /// The message as JSON; `None` unless all of it is one object or array.
    pub fn json(&self) -> Option<&Value> {
        let is_nested = || self.message.trim_start().starts_with(['{', '[']);
        let read = || is_nested().then(|| serde_json::from_str(self.message).ok()).flatten();
        self.json.get_or_init(read).as_ref()
    }

    pub(super) fn words(&self) -> &[Word<'m>] {
        self.words.get_or_init(|| words(self.message))
    }
}

/// Splits at blanks. A text in double quotes or square brackets is one word; without its end it
/// takes the rest.
fn words(line: &str) -> Vec<Word<'_>> {
    let (mut words, mut at) = (Vec::new(), 0);
    loop {
        let rest = &line[at..];
        let start = at + (rest.len() - rest.trim_start().len());
        let rest = &line[start..];
        let closing = match rest.chars().next() {
            None => return words,
            Some('"') => Some('"'),
            Some('[') => Some(']'),
            Some(_) => None,
        };
        let (text, length) = match closing {
            Some(closing) => match rest[1..].split_once(closing) {
                Some((text, _)) => (text, text.len() + 2),
                None => (&rest[1..], rest.len()),
            },
            None => {
                let text = rest.split(char::is_whitespace).next().unwrap_or(rest);
                (text, text.len())
            }
        };
        words.push(Word { text, start });
        at = start + length;
    }
}
