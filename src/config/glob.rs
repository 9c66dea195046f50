//! Patterns for log groups, accounts and regions.
//!
//! Not `globset`, for two reasons: it gives `{`, `\` and `**` a meaning that nobody asked for here,
//! and it cannot tell whether one pattern covers another, by which a route that no event can reach
//! is found.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

/// The longest pattern, in bytes: the longest name that a log group can have.
pub const GLOB_BYTES_MAX: usize = 512;

/// One pattern, checked, of 1 to [`GLOB_BYTES_MAX`] bytes. Displays as it was written.
///
/// `*` stands for any characters, `/` among them, or none; `?` for one character; `[a-z]`, `[!a-z]`
/// and `[^a-z]` for one character in or outside a class, read as the `globset` crate reads classes.
/// All else stands for itself, case counts, and a pattern fits a whole text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glob {
    pattern: String,
    tokens: Vec<Token>,
}

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub enum GlobError {
    /// Nothing has an empty name.
    #[error("a pattern must not be empty; leave the key out to admit everything")]
    Empty,
    /// Longer than anything that it could fit.
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
    /// `*`. Never two in a row: the parser folds them.
    Any,
    /// `?`
    One,
    /// `[…]`
    Class { negated: bool, ranges: Vec<(char, char)> },
    /// A character that stands for itself.
    Literal(char),
}

impl Glob {
    /// Whether the whole text fits.
    pub fn matches(&self, text: &str) -> bool {
        fits(&self.tokens, text.chars(), |token, c| token.takes(*c))
    }

    /// Whether everything that fits `other` fits this pattern too. Never wrongly yes; wrongly no
    /// for rare pairs, such as `?*` and `*?`.
    pub(super) fn covers(&self, other: &Glob) -> bool {
        fits(&self.tokens, other.tokens.iter(), |token, inner| token.covers(inner))
    }

    /// Whether it fits one text only, its own.
    pub(super) fn is_literal(&self) -> bool {
        self.tokens.iter().all(|token| matches!(token, Token::Literal(_)))
    }

    /// How many characters a text has that fits, if all such texts have the same.
    pub(super) fn width(&self) -> Option<usize> {
        (!self.tokens.contains(&Token::Any)).then_some(self.tokens.len())
    }

    /// Whether this is `*`, which fits even what is not known.
    pub(super) fn is_any(&self) -> bool {
        self.tokens == [Token::Any]
    }
}

impl FromStr for Glob {
    type Err = GlobError;

    fn from_str(pattern: &str) -> Result<Self, GlobError> {
        match pattern.len() {
            0 => Err(GlobError::Empty),
            1..=GLOB_BYTES_MAX => Ok(Glob { pattern: pattern.to_owned(), tokens: tokens(pattern)? }),
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
    fn takes(&self, c: char) -> bool {
        match self {
            Token::Any | Token::One => true,
            Token::Class { negated, ranges } => ranges.iter().any(|(from, to)| (*from..=*to).contains(&c)) != *negated,
            Token::Literal(own) => *own == c,
        }
    }

    /// Whether this token, one of those that take one character, takes each that `other` could
    /// take.
    fn covers(&self, other: &Token) -> bool {
        match other {
            Token::Any => false,
            Token::Literal(c) => self.takes(*c),
            Token::One | Token::Class { .. } => *self == Token::One || self == other,
        }
    }
}

/// Tries `pattern` against a sequence of things: the characters of a text, or the tokens of another
/// pattern, of which `*` can swallow any. Steps back to the last `*` only, which is enough, so the
/// time is at most the product of the lengths.
fn fits<I>(pattern: &[Token], mut rest: I, takes: impl Fn(&Token, &I::Item) -> bool) -> bool
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
            (Some(token), Some(item)) if takes(token, &item) => {
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

/// The rest of a class after its `[`. A `]` that comes first and a `-` that comes first or last
/// stand for themselves.
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
    fn a_pattern_fits_whole_texts() {
        let check = |pattern: &str, text: &str, fits: bool| {
            assert_eq!(glob(pattern).matches(text), fits, "{pattern} {text}");
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
    fn a_pattern_can_be_wrong() {
        let check = |pattern: &str, error| assert_eq!(pattern.parse::<Glob>().unwrap_err(), error, "{pattern}");
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
        fn what_a_covered_pattern_fits_its_cover_fits(
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
        fn a_text_without_signs_fits_itself_alone(text in "[^*?\\[]{1,40}", other in "\\PC{0,40}") {
            prop_assert!(glob(&text).matches(&text));
            prop_assert_eq!(glob(&text).matches(&other), text == other);
        }
    }
}
