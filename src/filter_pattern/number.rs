//! Numbers of patterns and messages. Whole numbers are compared exactly.

use std::cmp::Ordering;
use std::fmt;

#[derive(Clone, Copy, Debug)]
pub(super) enum Number {
    Whole(i128),
    /// Finite.
    Real(f64),
}

impl Number {
    /// `[+-]digits[.digits][e[+-]digits]`; `None` for any other text, and for a number that is too
    /// large.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, Some(exponent)),
            None => (unsigned, None),
        };
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((whole, fraction)) => (whole, Some(fraction)),
            None => (mantissa, None),
        };
        let exponent = exponent.map(|digits| digits.strip_prefix(['+', '-']).unwrap_or(digits));
        let parts = [Some(whole), fraction, exponent];
        if !parts.into_iter().flatten().all(is_digits) {
            return None;
        }
        let exact = if fraction.or(exponent).is_none() { text.parse().ok() } else { None };
        match exact {
            Some(whole) => Some(Self::Whole(whole)),
            None => text.parse().ok().filter(|real: &f64| real.is_finite()).map(Self::Real),
        }
    }

    pub(super) fn order(self, other: Self) -> Ordering {
        match (self, other) {
            (Self::Whole(one), Self::Whole(two)) => one.cmp(&two),
            _ => self.real().partial_cmp(&other.real()).expect("invariant: both are finite"),
        }
    }

    fn real(self) -> f64 {
        match self {
            Self::Whole(whole) => whole as f64,
            Self::Real(real) => real,
        }
    }
}

impl PartialEq for Number {
    fn eq(&self, other: &Self) -> bool {
        self.order(*other).is_eq()
    }
}

impl Eq for Number {}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Whole(whole) => whole.fmt(f),
            Self::Real(real) if (1e-6..1e15).contains(&real.abs()) => real.fmt(f),
            Self::Real(real) => write!(f, "{real:e}"),
        }
    }
}

fn is_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}
