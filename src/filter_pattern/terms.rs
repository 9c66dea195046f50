//! Patterns of terms: `ERROR`, `?ERROR ?"timed out"`, `ERROR -debug`, `%time.?out%`. A term is a
//! substring of the message, case-sensitive.

use std::fmt;

use super::FilterPatternError;
use super::aws_regex::AwsRegex;
use super::reader::{Reader, quote};
use super::required::RequiredTexts;

/// Without a term, everything matches.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Terms {
    /// All of them have to occur.
    required: Vec<Term>,
    /// `?`: one of them has to occur. CloudWatch Logs ignores them beside other terms.
    optional: Vec<Term>,
    /// `-`: none of them may occur.
    excluded: Vec<Term>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Term {
    Text(String),
    Regex(AwsRegex),
}

pub(super) fn parse(reader: &mut Reader<'_>) -> Result<Terms, FilterPatternError> {
    let mut terms = Terms::default();
    loop {
        reader.skip_blanks();
        let at = reader.at();
        let list = match reader.peek() {
            None => return Ok(terms),
            Some('?') => &mut terms.optional,
            Some('-') => &mut terms.excluded,
            Some(_) => &mut terms.required,
        };
        let has_sign = reader.eat("?") || reader.eat("-");
        let term = term(reader)?;
        match term.is_blank() {
            false => list.push(term),
            true if has_sign => return Err(FilterPatternError::new(at, "the term is blank")),
            // As documented, `" "` matches everything.
            true => {}
        }
    }
}

fn term(reader: &mut Reader<'_>) -> Result<Term, FilterPatternError> {
    match reader.peek() {
        Some('"') => return Ok(Term::Text(reader.quoted()?)),
        Some('%') => return Ok(Term::Regex(reader.regex()?)),
        _ => {}
    }
    let word = reader.take_while(is_word);
    match reader.peek() {
        Some(c) if !c.is_whitespace() => {
            Err(reader.fail("a term with other than letters, digits and `_` needs double quotes"))
        }
        _ if word.is_empty() => Err(reader.fail("expected a term")),
        _ => Ok(Term::Text(word.to_owned())),
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

impl Terms {
    pub(super) fn matches(&self, message: &str) -> bool {
        let occurs = |term: &Term| term.occurs_in(message);
        self.required.iter().all(occurs)
            && !self.excluded.iter().any(occurs)
            && (self.optional.is_empty()
                || self.ignores_optional()
                || self.optional.iter().any(occurs))
    }

    pub(super) fn ignores_optional(&self) -> bool {
        let has_others = !self.required.is_empty() || !self.excluded.is_empty();
        has_others && !self.optional.is_empty()
    }

    /// Whether a term that has to occur contains one that may not. Never true by mistake.
    pub(super) fn never_matches(&self) -> bool {
        let texts = |terms: &[Term]| {
            let text = |term: &Term| match term {
                Term::Text(text) => Some(text.clone()),
                Term::Regex(_) => None,
            };
            terms.iter().filter_map(text).collect::<Vec<String>>()
        };
        let (required, excluded) = (texts(&self.required), texts(&self.excluded));
        required.iter().any(|text| excluded.iter().any(|part| text.contains(part.as_str())))
    }

    pub(super) fn required(&self) -> Option<RequiredTexts> {
        match self.optional.is_empty() || self.ignores_optional() {
            true => RequiredTexts::best(self.required.iter().map(Term::required)),
            false => RequiredTexts::union(self.optional.iter().map(Term::required)),
        }
    }
}

impl Term {
    fn occurs_in(&self, message: &str) -> bool {
        match self {
            Self::Text(text) => message.contains(text.as_str()),
            Self::Regex(regex) => regex.is_match(message),
        }
    }

    fn is_blank(&self) -> bool {
        matches!(self, Self::Text(text) if text.trim().is_empty())
    }

    fn required(&self) -> Option<RequiredTexts> {
        match self {
            Self::Text(text) => RequiredTexts::one(text),
            Self::Regex(regex) => RequiredTexts::of_regex(regex.translated()),
        }
    }
}

impl fmt::Display for Terms {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lists = [("", &self.required), ("?", &self.optional), ("-", &self.excluded)];
        let terms =
            lists.iter().flat_map(|(sign, terms)| terms.iter().map(move |term| (sign, term)));
        for (index, (sign, term)) in terms.enumerate() {
            let blank = if index == 0 { "" } else { " " };
            write!(f, "{blank}{sign}{term}")?;
        }
        Ok(())
    }
}

impl fmt::Display for Term {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(word) if word.chars().all(is_word) => f.write_str(word),
            Self::Text(text) => f.write_str(&quote(text)),
            Self::Regex(regex) => regex.fmt(f),
        }
    }
}
