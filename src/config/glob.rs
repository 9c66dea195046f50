//! Patterns for the sources of log events, and for values of their fields.
//!
//! The `globset` crate does not fit, for two reasons. It gives `{`, `\` and `**` a special meaning,
//! and it cannot tell whether one pattern covers another, which the search for shadowed routes
//! needs.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The longest pattern, in bytes: the longest name that a log group can have.
pub const GLOB_BYTES_MAX: usize = 512;

/// A pattern of 1 to [`GLOB_BYTES_MAX`] bytes. Displays as it was written.
///
/// `*` matches any characters, including `/` and none; `?` matches one character; `[a-z]`, `[!a-z]`
/// and `[^a-z]` match one character inside or outside a class, in the syntax of the `globset`
/// crate. All other characters match themselves, case-sensitive. A pattern matches a whole text.
///
/// ```
/// use stentor::config::Glob;
///
/// let glob: Glob = "/aws/lambda/payments-*".parse()?;
/// assert!(glob.matches("/aws/lambda/payments-eu/refund"));
/// assert!(!glob.matches("/aws/lambda/checkout"));
/// # Ok::<(), stentor::config::GlobError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pattern: String,
    tokens: Vec<Token>,
}

/// Why a text is not a pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GlobError {
    /// It would match nothing.
    #[error("a pattern must not be empty; leave the key out to admit everything")]
    Empty,
    /// Longer than any name that it could match.
    #[error("a pattern has at most {GLOB_BYTES_MAX} bytes")]
    TooLong,
    /// A `[` without its `]`.
    #[error("`[` opens a class that is never closed; write `[[]` for the character itself")]
    Unclosed,
    /// A range such as `z-a`.
    #[error("a range in a class runs backwards")]
    Backwards,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Token {
    /// `*`. Never two in a row: the parser merges them.
    Any,
    /// `?`
    One,
    /// `[…]`
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// A character that matches itself.
    Literal(char),
}

impl Glob {
    /// Whether the pattern matches the whole text.
    pub fn matches(&self, text: &str) -> bool {
        matches(&self.tokens, text.chars(), |token, c| token.matches(*c))
    }

    /// Whether this pattern matches everything that `other` matches. Never true by mistake; false
    /// by mistake for rare pairs, such as `?*` and `*?`.
    pub(super) fn covers(&self, other: &Glob) -> bool {
        matches(&self.tokens, other.tokens.iter(), |token, inner| token.covers(inner))
    }

    /// Whether the pattern matches its own text only.
    pub(super) fn is_literal(&self) -> bool {
        self.tokens.iter().all(|token| matches!(token, Token::Literal(_)))
    }

    /// The longest text that is in every match.
    pub(super) fn longest_literal(&self) -> String {
        let runs = self.tokens.split(|token| !matches!(token, Token::Literal(_)));
        let longest = runs.max_by_key(|run| run.len()).unwrap_or_default();
        let chars = longest.iter().filter_map(|token| match token {
            Token::Literal(c) => Some(*c),
            _ => None,
        });
        chars.collect()
    }

    /// The length in characters of the texts that match, if it is always the same.
    pub(super) fn width(&self) -> Option<usize> {
        (!self.tokens.contains(&Token::Any)).then_some(self.tokens.len())
    }

    /// Whether this is `*`, which matches even an unknown name.
    pub(super) fn is_any(&self) -> bool {
        self.tokens == [Token::Any]
    }
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(pattern: &str) -> Result<Self, GlobError> {
        match pattern.len() {
            0 => Err(GlobError::Empty),
            1..=GLOB_BYTES_MAX => {
                Ok(Glob { pattern: pattern.to_owned(), tokens: tokens(pattern)? })
            }
            _ => Err(GlobError::TooLong),
        }
    }
}

impl fmt::Display for Glob {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.pattern)
    }
}

impl Token {
    fn matches(&self, c: char) -> bool {
        match self {
            Token::Any | Token::One => true,
            Token::Class { negated, ranges } => {
                ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated
            }
            Token::Literal(own) => *own == c,
        }
    }

    /// Whether this token, which is not `*`, matches every character that `other` matches.
    fn covers(&self, other: &Token) -> bool {
        match other {
            Token::Any => false,
            Token::Literal(c) => self.matches(*c),
            Token::One | Token::Class { .. } => *self == Token::One || self == other,
        }
    }
}

/// Matches `pattern` with a sequence: the characters of a text, or the tokens of another pattern. A
/// `*` matches any of them. Going back to the last `*` is enough, so the time is at most the
/// product of the lengths.
fn matches<I>(pattern: &[Token], mut rest: I, one: impl Fn(&Token, &I::Item) -> bool) -> bool
where
    I: Iterator + Clone,
{
    let mut at = 0;
    let mut star: Option<(usize, I)> = None;
    loop {
        if pattern.get(at) == Some(&Token::Any) {
            at += 1;
            star = Some((at, rest.clone()));
            continue;
        }
        let mut ahead = rest.clone();
        match (pattern.get(at), ahead.next()) {
            (None, None) => return true,
            (Some(_), None) => return false,
            (Some(token), Some(item)) if one(token, &item) => {
                at += 1;
                rest = ahead;
            }
            _ => {
                let Some((after, swallowed)) = &mut star else {
                    return false;
                };
                swallowed.next();
                at = *after;
                rest = swallowed.clone();
            }
        }
    }
}

fn tokens(pattern: &str) -> Result<Vec<Token>, GlobError> {
    let mut tokens = Vec::new();
    let mut rest = pattern.chars();
    while let Some(c) = rest.next() {
        let token = match c {
            '*' => Token::Any,
            '?' => Token::One,
            '[' => class(&mut rest)?,
            c => Token::Literal(c),
        };
        if token != Token::Any || tokens.last() != Some(&Token::Any) {
            tokens.push(token);
        }
    }
    Ok(tokens)
}

/// The rest of a class after its `[`. A `]` in the first place and a `-` in the first or last place
/// match themselves.
fn class(rest: &mut std::str::Chars<'_>) -> Result<Token, GlobError> {
    let negated = rest.as_str().starts_with(['!', '^']);
    if negated {
        rest.next();
    }
    let mut ranges: Vec<(char, char)> = Vec::new();
    let mut open_range = false;
    loop {
        let c = rest.next().ok_or(GlobError::Unclosed)?;
        match (c, ranges.last_mut()) {
            (']', Some(_)) => break,
            ('-', Some(_)) if !open_range => open_range = true,
            (to, Some(range)) if open_range => {
                range.1 = to;
                if range.1 < range.0 {
                    return Err(GlobError::Backwards);
                }
                open_range = false;
            }
            (c, _) => ranges.push((c, c)),
        }
    }
    if open_range {
        ranges.push(('-', '-'));
    }
    Ok(Token::Class { negated, ranges })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn glob(pattern: &str) -> Glob {
        pattern.parse().unwrap()
    }

    #[test]
    fn a_pattern_matches_whole_texts() {
        let check = |pattern: &str, text: &str, matches: bool| {
            assert_eq!(glob(pattern).matches(text), matches, "{pattern} {text}");
        };
        check("/aws/app/billing*", "/aws/app/billing", true);
        check("/aws/app/billing*", "/aws/app/billing-eu/tax", true);
        check("/aws/app/billing*", "/aws/app/Billing", false);
        check("/aws/app/billing*", "x/aws/app/billing", false);
        check("*", "", true);
        check("*/prod/*", "/aws/prod/api", true);
        check("*/prod/*", "/aws/prod", false);
        check("*a*b", "xaxbxab", true);
        check("*a*b", "xaxbxa", false);
        check("a/**/b", "a/b", false);
        check("a/**/b", "a/x/y/b", true);
        check("?", "é", true);
        check("a?c", "ac", false);
        check("eu-west-[1-3]", "eu-west-2", true);
        check("eu-west-[1-3]", "eu-west-4", false);
        check("[!a]", "b", true);
        check("[^a]", "a", false);
        check("[]x-]", "]", true);
        check("[]x-]", "-", true);
        check("[--0]", "/", true);
        check("[*]", "x", false);
        check("[[]a]", "[a]", true);
        check("{a,b}", "a", false);
        check("{a,b}", "{a,b}", true);
        check(r"\*", r"\anything", true);
        check("a]", "a]", true);
    }

    #[test]
    fn a_malformed_pattern_is_refused() {
        let check = |pattern: &str, error| {
            assert_eq!(pattern.parse::<Glob>().unwrap_err(), error, "{pattern}")
        };
        check("", GlobError::Empty);
        check(&"x".repeat(GLOB_BYTES_MAX + 1), GlobError::TooLong);
        check("[", GlobError::Unclosed);
        check("[]", GlobError::Unclosed);
        check("[!]", GlobError::Unclosed);
        check("a[b", GlobError::Unclosed);
        check("[b-a]", GlobError::Backwards);
    }

    #[test]
    fn a_wider_pattern_covers_a_narrower_one() {
        let check = |wide: &str, narrow: &str, covers: bool| {
            assert_eq!(glob(wide).covers(&glob(narrow)), covers, "{wide} {narrow}");
        };
        check("*", "/aws/*", true);
        check("/aws/*", "/aws/lambda/*", true);
        check("/aws/lambda/*", "/aws/*", false);
        check("/aws/*", "/aws/*", true);
        check("/aws/**", "/aws/*", true);
        check("a*", "a", true);
        check("a", "a*", false);
        check("a?", "a*", false);
        check("a?", "ab", true);
        check("a?", "a[bc]", true);
        check("[a-c]", "[b]", false);
        check("[a-c]", "b", true);
        check("[*]", "*", false);
        check("[a-c]*", "[a-c]x*", true);
    }

    proptest! {
        #[test]
        fn a_pattern_matches_all_that_a_covered_one_matches(
            wide in "[ab*?]{1,6}|[ab*?!\\[\\]-]{1,8}",
            narrow in "[ab*?]{1,6}|[ab*?!\\[\\]-]{1,8}",
            texts in prop::collection::vec("[ab!*?\\[\\]-]{0,8}", 16),
        ) {
            let (Ok(wide), Ok(narrow)) = (wide.parse::<Glob>(), narrow.parse::<Glob>()) else {
                return Ok(());
            };
            prop_assert!(wide.covers(&wide));
            if wide.covers(&narrow) {
                for text in texts {
                    let lost = narrow.matches(&text) && !wide.matches(&text);
                    prop_assert!(!lost, "{wide} {narrow} {text}");
                }
            }
        }

        #[test]
        fn a_text_without_wildcards_matches_only_itself(text in "[^*?\\[]{1,40}", other in "\\PC{0,40}") {
            prop_assert!(glob(&text).matches(&text));
            prop_assert_eq!(glob(&text).matches(&other), text == other);
        }
    }
}
