//! A pattern as people name it: by its text, as messages and `stentor patterns` show it, or by the id that
//! links have.

use crate::model::pattern::{VALUE, pattern_id};

/// The digits of an id.
const ID_DIGITS: usize = 16;

/// Selects the rows of a pattern.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PatternFilter {
    /// 16 hexadecimal digits.
    Id(String),
    /// The parts of a text between its `<…>`, each of which stands for any text: a message shows it where
    /// the patterns of a group differ.
    Text(Vec<String>),
}

impl PatternFilter {
    /// The filter that `text` names.
    ///
    /// ```
    /// use stentor::model::audit::PatternFilter;
    ///
    /// let filter = PatternFilter::parse("order <n> failed: no space on <…>");
    /// assert!(filter.admits("order <n> failed: no space on /var/log"));
    /// assert!(!filter.admits("order <n> failed"));
    /// ```
    #[must_use]
    pub fn parse(text: &str) -> Self {
        let is_id = text.len() == ID_DIGITS && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        match is_id {
            true => Self::Id(text.to_ascii_lowercase()),
            false => Self::Text(text.split(VALUE).map(str::to_owned).collect()),
        }
    }

    /// Whether a row with this pattern is selected.
    pub fn admits(&self, pattern: &str) -> bool {
        match self {
            Self::Id(id) => pattern_id(pattern) == *id,
            Self::Text(parts) => has_parts(pattern, parts),
        }
    }
}

/// Whether `text` is these parts with any text between two of them.
fn has_parts(text: &str, parts: &[String]) -> bool {
    let [first, between @ .., last] = parts else {
        return parts.first().is_some_and(|only| only == text);
    };
    let Some(mut rest) = text.strip_prefix(first.as_str()) else { return false };
    for part in between {
        let Some((_, after)) = rest.split_once(part.as_str()) else { return false };
        rest = after;
    }
    rest.ends_with(last.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_named_by_its_text_or_its_id() {
        let admits = |filter: &str, pattern: &str| PatternFilter::parse(filter).admits(pattern);
        for (filter, pattern) in [
            ("[C] order <n> failed", "[C] order <n> failed"),
            ("user <…> has no <…>", "user ann has no <n>"),
            ("user <…> has no <…>", "user <…> has no <…>"),
            ("<…>", "anything"),
            ("<…>a<…>", "a"),
            ("a<…>b<…>c", "abbc"),
            ("", ""),
            (&pattern_id("[C] order <n> failed"), "[C] order <n> failed"),
            (&pattern_id("user <…>").to_uppercase(), "user <n>"),
        ] {
            assert!(admits(filter, pattern), "{filter} {pattern}");
        }
        for (filter, pattern) in [
            ("[C] order <n> failed", "[C] order <n> failed again"),
            ("order <n> failed", "[C] order <n> failed"),
            ("user <…> has no <…>", "user ann has none"),
            ("a<…>a", "a"),
            ("a<…>b<…>b", "ab"),
            ("0123456789abcdef", "0123456789abcdef"),
            ("", "a"),
        ] {
            assert!(!admits(filter, pattern), "{filter} {pattern}");
        }
    }
}
