//! A text in which `*` stands for any characters.

use std::fmt;

use super::reader::quote;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wildcard {
    /// The texts between the stars; at least one, and some may be empty.
    pieces: Vec<String>,
}

impl Wildcard {
    pub(super) fn new(text: &str) -> Self {
        Self { pieces: text.split('*').map(str::to_owned).collect() }
    }

    /// Whether the whole text matches. Each piece is searched for once, after the one before it.
    pub(super) fn matches(&self, text: &str) -> bool {
        let [first, rest @ ..] = &self.pieces[..] else { return false };
        let Some((last, middle)) = rest.split_last() else { return text == first };
        let inner = text.strip_prefix(first.as_str());
        let Some(mut inner) = inner.and_then(|inner| inner.strip_suffix(last.as_str())) else {
            return false;
        };
        for piece in middle {
            let Some(at) = inner.find(piece.as_str()) else { return false };
            inner = &inner[at + piece.len()..];
        }
        true
    }

    /// The only text that matches, if there is no star.
    pub(super) fn literal(&self) -> Option<&str> {
        match &self.pieces[..] {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The longest text that every match has.
    pub(super) fn longest_piece(&self) -> &str {
        self.pieces.iter().max_by_key(|piece| piece.len()).map_or("", String::as_str)
    }
}

impl fmt::Display for Wildcard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&quote(&self.pieces.join("*")))
    }
}
