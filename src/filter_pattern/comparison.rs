//! The comparison of a value with a text, a number or a regular expression.

use std::cmp::Ordering;
use std::fmt;

use super::FilterPatternError;
use super::aws_regex::AwsRegex;
use super::number::Number;
use super::reader::Reader;
use super::required::RequiredTexts;
use super::wildcard::Wildcard;

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Comparison {
    relation: Relation,
    operand: Operand,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relation {
    Equal,
    NotEqual,
    Less,
    Greater,
    LessOrEqual,
    GreaterOrEqual,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Operand {
    Text(Wildcard),
    Number(Number),
    Regex(AwsRegex),
}

/// Longer tokens come first.
const RELATIONS: [(&str, Relation); 6] = [
    ("!=", Relation::NotEqual),
    ("<=", Relation::LessOrEqual),
    (">=", Relation::GreaterOrEqual),
    ("<", Relation::Less),
    (">", Relation::Greater),
    ("=", Relation::Equal),
];

impl Comparison {
    /// A relation and its operand; `None` if no relation is next.
    pub(super) fn parse(reader: &mut Reader<'_>) -> Result<Option<Self>, FilterPatternError> {
        let Some((_, relation)) = RELATIONS.into_iter().find(|(token, _)| reader.eat(token)) else {
            return Ok(None);
        };
        if reader.peek() == Some('=') {
            return Err(reader.fail("expected one `=`"));
        }
        reader.skip_blanks();
        let at = reader.at();
        let operand = operand(reader)?;
        let has_order = matches!(operand, Operand::Number(_));
        match relation {
            Relation::Equal | Relation::NotEqual => Ok(Some(Self { relation, operand })),
            _ if has_order => Ok(Some(Self { relation, operand })),
            _ => Err(FilterPatternError::new(at, "`<` and `>` compare with a number only")),
        }
    }

    /// Whether the text of a string, a number or a field compares so. A number is compared by its
    /// value, also with a text that is one.
    pub(super) fn holds(&self, text: &str) -> bool {
        match self.relation {
            Relation::Equal => self.operand.is(text),
            Relation::NotEqual => !self.operand.is(text),
            Relation::Less => self.order(text).is_some_and(Ordering::is_lt),
            Relation::Greater => self.order(text).is_some_and(Ordering::is_gt),
            Relation::LessOrEqual => self.order(text).is_some_and(Ordering::is_le),
            Relation::GreaterOrEqual => self.order(text).is_some_and(Ordering::is_ge),
        }
    }

    /// Whether no text compares in both ways. Never true by mistake.
    pub(super) fn contradicts(&self, other: &Self) -> bool {
        self.rules_out(other) || other.rules_out(self)
    }

    fn rules_out(&self, other: &Self) -> bool {
        match (self.relation, &self.operand, other.relation, &other.operand) {
            // Only one text is possible.
            (Relation::Equal, Operand::Text(wildcard), ..) => {
                wildcard.literal().is_some_and(|text| !other.holds(text))
            }
            (relation, Operand::Number(number), other, Operand::Number(limit)) => {
                let order = number.order(*limit);
                match (relation, other) {
                    (Relation::Equal, Relation::Equal) => order.is_ne(),
                    (Relation::Equal, Relation::NotEqual) => order.is_eq(),
                    (Relation::Equal, Relation::Less) => order.is_ge(),
                    (Relation::Equal, Relation::LessOrEqual) => order.is_gt(),
                    (Relation::Equal, Relation::Greater) => order.is_le(),
                    (Relation::Equal, Relation::GreaterOrEqual) => order.is_lt(),
                    // Below the first number, and above the second.
                    (Relation::LessOrEqual, Relation::GreaterOrEqual) => order.is_lt(),
                    (
                        Relation::Less | Relation::LessOrEqual,
                        Relation::Greater | Relation::GreaterOrEqual,
                    ) => order.is_le(),
                    _ => false,
                }
            }
            _ => false,
        }
    }

    fn order(&self, text: &str) -> Option<Ordering> {
        match &self.operand {
            Operand::Number(number) => Some(Number::parse(text)?.order(*number)),
            Operand::Text(_) | Operand::Regex(_) => None,
        }
    }

    /// Texts that are in every text that compares so. A number can be written in many ways.
    pub(super) fn required(&self) -> Option<RequiredTexts> {
        match (&self.operand, self.relation) {
            (Operand::Text(wildcard), Relation::Equal) => {
                RequiredTexts::one(wildcard.longest_piece())
            }
            (Operand::Regex(regex), Relation::Equal) => RequiredTexts::of_regex(regex.translated()),
            _ => None,
        }
    }
}

impl Operand {
    fn is(&self, text: &str) -> bool {
        match self {
            Self::Text(wildcard) => wildcard.matches(text),
            Self::Number(number) => Number::parse(text).is_some_and(|other| other == *number),
            Self::Regex(regex) => regex.is_match(text),
        }
    }
}

fn operand(reader: &mut Reader<'_>) -> Result<Operand, FilterPatternError> {
    match reader.peek() {
        Some('"') => Ok(Operand::Text(Wildcard::new(&reader.quoted()?))),
        Some('%') => Ok(Operand::Regex(reader.regex()?)),
        _ => bare(reader),
    }
}

/// A number, or a word without quotes.
fn bare(reader: &mut Reader<'_>) -> Result<Operand, FilterPatternError> {
    let at = reader.at();
    let text = reader.take_while(|c| c.is_ascii_alphanumeric() || "_.*+-".contains(c));
    if let Some(number) = Number::parse(text) {
        return Ok(Operand::Number(number));
    }
    match text {
        "" => {
            Err(FilterPatternError::new(at, "expected a number, a text or a %regular expression%"))
        }
        "null" => Err(FilterPatternError::new(at, "null is tested with `IS NULL`")),
        _ if text.contains(['+', '-']) => Err(FilterPatternError::new(
            at,
            "a text with other than letters, digits, `_`, `.` and `*` needs double quotes",
        )),
        _ => Ok(Operand::Text(Wildcard::new(text))),
    }
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let token = RELATIONS.iter().find(|(_, relation)| *relation == self.relation);
        write!(f, "{} ", token.map_or("=", |(token, _)| token))?;
        match &self.operand {
            Operand::Text(wildcard) => wildcard.fmt(f),
            Operand::Number(number) => number.fmt(f),
            Operand::Regex(regex) => regex.fmt(f),
        }
    }
}
