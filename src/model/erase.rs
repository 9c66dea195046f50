//! Erasure: which rows, tallies and epochs hold a text about a person, and what they hold without it.
//!
//! A row that is erased stays a row, and so do its counts. Its key is what makes a redelivered alert a
//! duplicate: without the row, the alert would be stored and delivered again.

use regex::{Regex, RegexBuilder};

use crate::model::audit::{AuditRow, without_escapes};
use crate::model::outbox::Epoch;
use crate::model::tally::Tally;
use crate::model::time::Timestamp;

/// A shorter subject would be found everywhere.
pub const SUBJECT_CHARS_MIN: usize = 4;

/// A message may be JSON in JSON in JSON.
const ESCAPES_MAX: usize = 3;

const TOMBSTONE: &str = "[erased on ";

/// The text to erase, and what takes its place.
#[derive(Clone, Debug)]
pub struct Erasure {
    subject: Regex,
    tombstone: String,
}

/// The new content of a row. The columns that it does not name stay, except for those that belong to the
/// message: `pattern`, `context_before` and `context_after` are removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ErasedRow {
    pub log_id: String,
    pub message: String,
    pub app_name: Option<String>,
    pub log_group: Option<String>,
    pub log_stream: Option<String>,
    pub source: Option<String>,
}

impl Erasure {
    /// Erases the texts that contain `subject`, in upper or lower case.
    ///
    /// # Errors
    /// When the subject is too short, for people.
    pub fn new(subject: &str, now: Timestamp) -> Result<Self, String> {
        let subject = subject.trim();
        if subject.chars().count() < SUBJECT_CHARS_MIN {
            return Err(format!("expected at least {SUBJECT_CHARS_MIN} characters"));
        }
        let subject = RegexBuilder::new(&regex::escape(subject)).case_insensitive(true).build();
        let subject = subject.map_err(|_| "the text is too long".to_owned())?;
        Ok(Self { subject, tombstone: format!("{TOMBSTONE}{}]", &now.iso()[..10]) })
    }

    /// The text that replaces an erased one.
    pub fn tombstone(&self) -> &str {
        &self.tombstone
    }

    /// Whether `text` contains the subject, as it is or behind the escapes of JSON.
    pub fn is_in(&self, text: &str) -> bool {
        if self.subject.is_match(text) {
            return true;
        }
        let mut plain = text.to_owned();
        for _ in 0..ESCAPES_MAX {
            if !plain.contains('\\') {
                return false;
            }
            plain = without_escapes(&plain);
            if self.subject.is_match(&plain) {
                return true;
            }
        }
        false
    }

    /// The new content of `row`; `None` if it does not hold the subject.
    pub fn row(&self, row: &AuditRow) -> Option<ErasedRow> {
        let texts = [&row.message, &row.context_before, &row.context_after, &row.pattern];
        let of_message = !row.is_erased() && texts.into_iter().any(|text| self.is_in(text));
        let replaced = |text: &str| self.is_in(text).then(|| self.tombstone.clone());
        let erased = ErasedRow {
            log_id: row.log_id.clone(),
            message: if row.is_erased() { row.message.clone() } else { self.tombstone.clone() },
            app_name: replaced(&row.app_name),
            log_group: replaced(&row.log_group),
            log_stream: replaced(&row.log_stream),
            source: replaced(&row.source),
        };
        let origins = [&erased.app_name, &erased.log_group, &erased.log_stream, &erased.source];
        (of_message || origins.into_iter().any(Option::is_some)).then_some(erased)
    }

    /// The same tally without the subject; `None` if it does not hold it. Its counts are the same.
    pub fn tally(&self, tally: &Tally) -> Option<Tally> {
        let erased = tally.erased(&|text| self.is_in(text), &self.tombstone);
        (erased != *tally).then_some(erased)
    }

    /// The same epoch without the subject; `None` if it does not hold it.
    pub fn epoch(&self, epoch: &Epoch) -> Option<Epoch> {
        let tally = self.tally(&epoch.tally)?;
        Some(Epoch { tally, ..epoch.clone() })
    }
}

impl AuditRow {
    /// Whether its message was erased.
    pub fn is_erased(&self) -> bool {
        let date = self.message.strip_prefix(TOMBSTONE).and_then(|rest| rest.strip_suffix(']'));
        date.is_some_and(|date| date.len() == "2026-11-28".len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn erasure(subject: &str) -> Erasure {
        Erasure::new(subject, Timestamp::from_millis(1_795_443_306_789)).unwrap()
    }

    fn row(message: &str) -> AuditRow {
        AuditRow { log_id: "37".to_owned(), message: message.to_owned(), ..AuditRow::default() }
    }

    #[test]
    fn a_subject_is_found_in_any_case_and_behind_escapes() {
        let ann = erasure(" Jürgen@example.org ");
        for text in [
            "user jürgen@example.org failed",
            "user JÜRGEN@EXAMPLE.ORG failed",
            r#"{"user":"j\u00fcrgen@example.org"}"#,
            r#"{"log":"{\"user\":\"J\\u00DCrgen@example.org\"}"}"#,
        ] {
            assert!(ann.is_in(text), "{text}");
            assert!(ann.row(&row(text)).is_some(), "{text}");
        }
        for text in ["", "jürgen@example.com", r"\", r"jürgen@example\"] {
            assert!(!ann.is_in(text), "{text}");
        }
        assert!(erasure(r"C:\users\ann").is_in(r"C:\users\ann"), "as it is");
        assert!(erasure(r"C:\users\ann").is_in(r#"{"path":"C:\\users\\ann"}"#));
        assert!(erasure("a.*d").row(&row("abcd")).is_none(), "no expression");
    }

    #[test]
    fn a_short_subject_is_refused() {
        for short in ["", "ann", "   ann   ", "äöü"] {
            assert!(Erasure::new(short, Timestamp::default()).is_err(), "{short}");
        }
        assert!(Erasure::new("anna", Timestamp::default()).is_ok());
    }

    #[test]
    fn a_row_keeps_its_key_and_loses_what_it_says() {
        let ann = erasure("user-4711");
        let found = AuditRow {
            context_before: "login of user-4711".to_owned(),
            log_stream: "desk/user-4711".to_owned(),
            ..row("[CRITICAL] payment failed")
        };
        let erased = ann.row(&found).expect("its context has the subject");
        assert_eq!((&*erased.log_id, &*erased.message), ("37", "[erased on 2026-11-23]"));
        assert_eq!(erased.log_stream.as_deref(), Some("[erased on 2026-11-23]"));
        assert_eq!((erased.app_name, erased.log_group, erased.source), (None, None, None));
        assert_eq!(ann.row(&row("[CRITICAL] user-4712")), None);
    }

    #[test]
    fn an_erased_row_is_not_erased_again() {
        let erased = row(erasure("user-4711").tombstone());
        assert!(erased.is_erased());
        assert_eq!(erasure("erased on").row(&erased), None);
        let place = AuditRow { log_group: "user-4711".to_owned(), ..erased.clone() };
        assert_eq!(erasure("user-4711").row(&place).unwrap().message, erased.message);
        assert!(!row("[erased on the way]").is_erased());
    }
}
