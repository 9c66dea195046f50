//! Conditions joined by `&&` and `||`.

use std::fmt;

use super::required::RequiredTexts;

/// In canonical form: no list has one element, or an element of its own kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Expr<C> {
    One(C),
    All(Vec<Expr<C>>),
    Any(Vec<Expr<C>>),
}

impl<C> Expr<C> {
    pub(super) fn all(parts: Vec<Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        only(flat).unwrap_or_else(Self::All)
    }

    pub(super) fn any(parts: Vec<Self>) -> Self {
        let mut flat = Vec::new();
        for part in parts {
            match part {
                Self::Any(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        only(flat).unwrap_or_else(Self::Any)
    }

    pub(super) fn holds(&self, condition: &impl Fn(&C) -> bool) -> bool {
        match self {
            Self::One(one) => condition(one),
            Self::All(parts) => parts.iter().all(|part| part.holds(condition)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(condition)),
        }
    }

    /// One condition is enough for `&&`; `||` needs the texts of each.
    pub(super) fn required(
        &self,
        condition: &impl Fn(&C) -> Option<RequiredTexts>,
    ) -> Option<RequiredTexts> {
        match self {
            Self::One(one) => condition(one),
            Self::All(parts) => {
                RequiredTexts::best(parts.iter().map(|part| part.required(condition)))
            }
            Self::Any(parts) => {
                RequiredTexts::union(parts.iter().map(|part| part.required(condition)))
            }
        }
    }

    /// Whether no value can meet it, as far as pairs of conditions show: of two that `contradict` each
    /// other, both have to hold. Never true by mistake.
    pub(super) fn is_contradictory(&self, contradict: &impl Fn(&C, &C) -> bool) -> bool {
        let one = |part: &Self| part.is_contradictory(contradict);
        match self {
            Self::One(_) => false,
            Self::Any(parts) => parts.iter().all(one),
            Self::All(parts) => {
                let alone: Vec<&C> = parts.iter().filter_map(Self::alone).collect();
                let mut pairs = alone
                    .iter()
                    .enumerate()
                    .flat_map(|(n, a)| alone[..n].iter().map(move |b| (a, b)));
                parts.iter().any(one) || pairs.any(|(a, b)| contradict(a, b))
            }
        }
    }

    fn alone(&self) -> Option<&C> {
        match self {
            Self::One(condition) => Some(condition),
            Self::All(_) | Self::Any(_) => None,
        }
    }

    pub(super) fn is_any(&self) -> bool {
        matches!(self, Self::Any(_))
    }

    /// Prints with `condition`, and with parentheses where the precedence needs them.
    pub(super) fn print(
        &self,
        f: &mut fmt::Formatter<'_>,
        condition: &impl Fn(&C, &mut fmt::Formatter<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let (parts, separator) = match self {
            Self::One(one) => return condition(one, f),
            Self::All(parts) => (parts, " && "),
            Self::Any(parts) => (parts, " || "),
        };
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                f.write_str(separator)?;
            }
            if part.is_any() {
                f.write_str("(")?;
                part.print(f, condition)?;
                f.write_str(")")?;
            } else {
                part.print(f, condition)?;
            }
        }
        Ok(())
    }
}

/// The only element, or all of them.
fn only<T>(mut parts: Vec<T>) -> Result<T, Vec<T>> {
    match parts.len() {
        1 => Ok(parts.remove(0)),
        _ => Err(parts),
    }
}
