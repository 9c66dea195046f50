//! The key of an issue, such as `PAY-123`. It becomes part of URLs, so its form is checked.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// Longer than any key.
const KEY_BYTES_MAX: usize = 80;

/// A project key, a hyphen and a number.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(super) struct IssueKey(String);

#[derive(Debug, Error)]
#[error("it is no key of an issue")]
pub(super) struct IssueKeyError;

impl TryFrom<String> for IssueKey {
    type Error = IssueKeyError;

    fn try_from(text: String) -> Result<Self, IssueKeyError> {
        let is_part = |b: u8| b.is_ascii_uppercase() || b.is_ascii_digit() || b == b'_';
        let is_key = text.split_once('-').is_some_and(|(project, number)| {
            project.starts_with(|c: char| c.is_ascii_uppercase())
                && project.bytes().all(is_part)
                && !number.is_empty()
                && number.bytes().all(|b| b.is_ascii_digit())
        });
        (is_key && text.len() <= KEY_BYTES_MAX).then_some(Self(text)).ok_or(IssueKeyError)
    }
}

impl From<IssueKey> for String {
    fn from(key: IssueKey) -> String {
        key.0
    }
}

impl fmt::Display for IssueKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_a_project_and_a_number() {
        let long = format!("PAY-{}", "1".repeat(80));
        let cases = [
            ("PAY-1", true),
            ("P2_X-1234567", true),
            ("", false),
            ("PAY", false),
            ("PAY-", false),
            ("-1", false),
            ("pay-1", false),
            ("2PAY-1", false),
            ("PAY-1/../../x", false),
            ("PAY-1?a=b", false),
            ("PAY-1-2", false),
            (&long, false),
        ];
        for (text, expected) in cases {
            assert_eq!(IssueKey::try_from(text.to_owned()).is_ok(), expected, "{text}");
        }
    }
}
