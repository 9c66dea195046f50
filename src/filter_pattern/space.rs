//! Patterns over the fields of a space-delimited message: `[ip, ..., status = 5*, bytes > 1000]`.

use std::fmt;

use super::FilterPatternError;
use super::comparison::Comparison;
use super::event_text::EventText;
use super::expr::Expr;
use super::reader::Reader;
use super::required::RequiredTexts;

/// Without an entry, everything matches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SpacePattern {
    first: Vec<Entry>,
    /// The entries after `...`, which stands for any number of fields.
    last: Option<Vec<Entry>>,
}

/// One field. CloudWatch Logs names one without a name by its number.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Entry {
    name: String,
    condition: Option<Expr<Comparison>>,
}

pub(super) fn parse(reader: &mut Reader<'_>) -> Result<SpacePattern, FilterPatternError> {
    let start = reader.at();
    reader.expect("[")?;
    let mut pattern = SpacePattern { first: Vec::new(), last: None };
    reader.skip_blanks();
    if reader.eat("]") {
        return Ok(pattern);
    }
    loop {
        reader.skip_blanks();
        let at = reader.at();
        if reader.eat("...") {
            if pattern.last.replace(Vec::new()).is_some() {
                return Err(FilterPatternError::new(at, "a pattern has at most one `...`"));
            }
        } else {
            let entry = entry(reader)?;
            if !entry.name.is_empty() && pattern.entries().any(|other| other.name == entry.name) {
                return Err(FilterPatternError::new(at, "an earlier field has this name"));
            }
            pattern.last.as_mut().unwrap_or(&mut pattern.first).push(entry);
        }
        reader.check_regexes()?;
        reader.skip_blanks();
        if reader.eat("]") {
            return Ok(pattern);
        }
        if !reader.eat(",") {
            return Err(match reader.peek() {
                None => FilterPatternError::new(start, "`[` is never closed"),
                Some(_) => reader.fail("expected `,` or `]`"),
            });
        }
    }
}

/// A name and its conditions, or nothing.
fn entry(reader: &mut Reader<'_>) -> Result<Entry, FilterPatternError> {
    let at = reader.at();
    let name = name(reader);
    if name.is_empty() {
        return Ok(Entry::default());
    }
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(FilterPatternError::new(at, "the name of a field begins with a letter or `_`"));
    }
    reader.skip_blanks();
    let condition = match Comparison::parse(reader)? {
        Some(first) => Some(conditions(reader, name, first)?),
        None => None,
    };
    Ok(Entry { name: name.to_owned(), condition })
}

/// The conditions on the field `name`, of which `first` is read.
fn conditions(
    reader: &mut Reader<'_>,
    name: &str,
    first: Comparison,
) -> Result<Expr<Comparison>, FilterPatternError> {
    let (mut any, mut all) = (Vec::new(), vec![Expr::One(first)]);
    loop {
        reader.skip_blanks();
        if reader.eat("||") {
            any.push(Expr::all(std::mem::take(&mut all)));
        } else if !reader.eat("&&") {
            break;
        }
        reader.skip_blanks();
        let at = reader.at();
        if self::name(reader) != name {
            return Err(FilterPatternError::new(at, "expected the name of this field again"));
        }
        reader.skip_blanks();
        let Some(comparison) = Comparison::parse(reader)? else {
            return Err(reader.fail("expected a comparison, such as `= 1`"));
        };
        all.push(Expr::One(comparison));
    }
    any.push(Expr::all(all));
    Ok(Expr::any(any))
}

fn name<'p>(reader: &mut Reader<'p>) -> &'p str {
    reader.take_while(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl SpacePattern {
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.first.iter().chain(self.last.iter().flatten())
    }

    pub(super) fn matches(&self, text: &EventText<'_>) -> bool {
        let words = text.words();
        let Some(last) = &self.last else { return self.matches_whole(text) };
        let Some(skipped) = words.len().checked_sub(self.first.len() + last.len()) else {
            return false;
        };
        let from_end = &words[self.first.len() + skipped..];
        let mut entries = self.first.iter().zip(words).chain(last.iter().zip(from_end));
        entries.all(|(entry, word)| entry.admits(word.text))
    }

    /// Without `...`, the last field takes the rest of the message.
    fn matches_whole(&self, text: &EventText<'_>) -> bool {
        let Some((last, first)) = self.first.split_last() else { return true };
        let words = text.words();
        let Some(word) = words.get(first.len()) else { return false };
        let rest = match words.len() == self.first.len() {
            true => word.text,
            false => text.message()[word.start..].trim_end(),
        };
        first.iter().zip(words).all(|(entry, word)| entry.admits(word.text)) && last.admits(rest)
    }

    /// Whether the conditions of a field contradict each other. Never true by mistake.
    pub(super) fn never_matches(&self) -> bool {
        let conditions = self.entries().filter_map(|entry| entry.condition.as_ref());
        let mut found = conditions.map(|one| one.is_contradictory(&Comparison::contradicts));
        found.any(|is_contradictory| is_contradictory)
    }

    pub(super) fn required(&self) -> Option<RequiredTexts> {
        let conditions = self.entries().filter_map(|entry| entry.condition.as_ref());
        let required = |condition: &Expr<Comparison>| condition.required(&Comparison::required);
        RequiredTexts::best(conditions.map(required))
    }

    /// Whether it is like `[CRITICAL]`.
    pub(super) fn is_like_a_marker(&self) -> bool {
        matches!((&self.first[..], &self.last), ([only], None) if only.condition.is_none())
    }
}

impl Entry {
    fn admits(&self, word: &str) -> bool {
        let holds =
            |condition: &Expr<Comparison>| condition.holds(&|one: &Comparison| one.holds(word));
        self.condition.as_ref().is_none_or(holds)
    }
}

impl fmt::Display for SpacePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut entries: Vec<String> = self.first.iter().map(Entry::to_string).collect();
        if let Some(last) = &self.last {
            entries.push("...".to_owned());
            entries.extend(last.iter().map(Entry::to_string));
        }
        write!(f, "[{}]", entries.join(", "))
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = &self.name;
        match &self.condition {
            None => f.write_str(name),
            Some(condition) => condition.print(f, &|one, f| write!(f, "{name} {one}")),
        }
    }
}
