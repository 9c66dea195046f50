//! Why a record cannot be read or stored: a stable code for programs, and a text for people.

use strum::{Display, EnumDiscriminants, EnumString, IntoStaticStr, VariantArray};
use thiserror::Error;

/// Why a record cannot be read or stored. Neither code nor text quotes the record, which may hold a
/// secret.
#[derive(Clone, Debug, EnumDiscriminants, Error, PartialEq, Eq)]
#[strum_discriminants(
    name(PoisonCode),
    derive(Display, EnumString, Hash, IntoStaticStr, PartialOrd, Ord, VariantArray),
    strum(serialize_all = "kebab-case"),
    doc = "The kind of a [`Poison`], in kebab case: `not-gzip`. A code never changes: dead letters are selected by it."
)]
pub enum Poison {
    #[error("{0}")]
    NoData(String),
    #[error("{0}")]
    BadBase64(String),
    #[error("{0}")]
    NotGzip(&'static str),
    #[error("the stream ends after {decoded_bytes} decoded bytes")]
    TruncatedGzip { decoded_bytes: usize },
    #[error("{bytes} bytes after the gzip stream are no gzip member")]
    TrailingBytes { bytes: usize },
    #[error("{0}")]
    CorruptGzip(String),
    #[error("decodes to more than {decoded_bytes_max} bytes")]
    TooLarge { decoded_bytes_max: u64 },
    #[error("invalid UTF-8 at decoded byte {at}")]
    NotUtf8 { at: usize },
    #[error("{problem} at line {line}, column {column} of the decoded text")]
    NotJson { problem: &'static str, line: usize, column: usize },
    #[error("{0}")]
    NotASubscription(String),
    /// The other log events of the record can be read, and are not lost with these.
    #[error("{bad} of {events} log events cannot be read; the first is number {first}: {why}")]
    BadEvent { bad: usize, events: usize, first: usize, why: String },
    /// The store will never accept it, however often it is retried.
    #[error("{0}")]
    Unstorable(String),
    /// A defect of this program, contained in one record.
    #[error("reading the record failed unexpectedly")]
    Panic,
}

impl Poison {
    pub fn code(&self) -> PoisonCode {
        self.into()
    }
}

#[cfg(test)]
mod tests {
    use strum::VariantArray as _;

    use super::*;

    #[test]
    fn codes_never_change() {
        let codes: Vec<&str> = PoisonCode::VARIANTS.iter().map(Into::into).collect();
        let expected = [
            "no-data",
            "bad-base64",
            "not-gzip",
            "truncated-gzip",
            "trailing-bytes",
            "corrupt-gzip",
            "too-large",
            "not-utf8",
            "not-json",
            "not-a-subscription",
            "bad-event",
            "unstorable",
            "panic",
        ];
        assert_eq!(codes, expected);
        for code in PoisonCode::VARIANTS {
            assert_eq!(code.to_string().parse(), Ok(*code));
        }
    }

    #[test]
    fn the_code_is_apart_from_the_text() {
        let poison = Poison::TooLarge { decoded_bytes_max: 7 };
        assert_eq!(
            (poison.code(), poison.to_string()),
            (PoisonCode::TooLarge, "decodes to more than 7 bytes".to_owned())
        );
    }
}
