//! Erasure: which rows, tallies and epochs hold a text about a person, and what they hold without it.
//!
//! A row that is erased stays a row, and so do its counts. Its key is what makes a redelivered alert a
//! duplicate: without the row, the alert would be stored and delivered again.

use std::borrow::Cow;
use std::sync::LazyLock;

use percent_encoding::percent_decode_str;
use regex::{Captures, Regex, RegexBuilder};
use unicode_normalization::UnicodeNormalization as _;

use crate::model::audit::{AuditRow, TOMBSTONE, without_escapes};
use crate::model::outbox::Epoch;
use crate::model::tally::Tally;
use crate::model::time::Timestamp;
use crate::redact::visible::Visible;

/// A shorter subject would be found everywhere.
pub const SUBJECT_CHARS_MIN: usize = 4;

/// A message may be JSON in JSON in JSON.
const ENCODINGS_MAX: usize = 3;

/// A line may break between two words, and a form writes `+`.
const BETWEEN_WORDS: &str = r"[\s+]+";

/// A character of HTML by its number: `&#64;`, `&#x40;`.
static REFERENCE: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new("&#(?:[xX]([0-9a-fA-F]{1,6})|([0-9]{1,7}));")
        .expect("invariant: the pattern is valid")
});

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
        let subject: String = Visible::of(subject.trim(), false).text.nfkc().collect();
        if subject.chars().count() < SUBJECT_CHARS_MIN {
            return Err(format!("expected at least {SUBJECT_CHARS_MIN} characters"));
        }
        let words: Vec<String> = subject.split_whitespace().map(regex::escape).collect();
        let subject = RegexBuilder::new(&words.join(BETWEEN_WORDS)).case_insensitive(true).build();
        let subject = subject.map_err(|_| "the text is too long".to_owned())?;
        Ok(Self { subject, tombstone: format!("{TOMBSTONE}{}]", &now.iso()[..10]) })
    }

    /// The text that replaces an erased one.
    pub fn tombstone(&self) -> &str {
        &self.tombstone
    }

    /// Whether `text` contains the subject: as it is, or as a reader or a program sees it who decodes it a few
    /// times.
    pub fn is_in(&self, text: &str) -> bool {
        let mut read = Cow::Borrowed(text);
        for _ in 0..ENCODINGS_MAX {
            if self.matches(&read) {
                return true;
            }
            match decoded(&read) {
                Some(next) => read = Cow::Owned(next),
                None => return false,
            }
        }
        self.matches(&read)
    }

    /// An accent may be a part of its letter, or follow it.
    fn matches(&self, text: &str) -> bool {
        self.subject.is_match(text)
            || !text.is_ascii() && self.subject.is_match(&text.nfkc().collect::<String>())
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

/// `text` without colors and invisible characters, and with the characters that JSON, a URL or HTML encodes;
/// `None` if that is the same text.
fn decoded(text: &str) -> Option<String> {
    let mut plain = Visible::of(text, true).text;
    if plain.contains('\\') {
        plain = without_escapes(&plain);
    }
    if plain.contains('%') {
        plain = percent_decode_str(&plain).decode_utf8_lossy().into_owned();
    }
    if plain.contains("&#") {
        plain = REFERENCE.replace_all(&plain, referred).into_owned();
    }
    (plain != text).then_some(plain)
}

fn referred(found: &Captures<'_>) -> String {
    let number = |group, radix| {
        let digits = found.get(group)?;
        u32::from_str_radix(digits.as_str(), radix).ok()
    };
    let c = number(1, 16).or_else(|| number(2, 10)).and_then(char::from_u32);
    c.map_or_else(|| found[0].to_owned(), String::from)
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
            "\u{1b}[1mjürgen\u{1b}[0m@example.org",
            r"\u001b[31mjürgen@\u001b[0mexample.org",
            "jür\u{200b}gen@exam\u{ad}ple.org",
            "ju\u{308}rgen@example.org",
            "ｊürgen＠example.org",
            "GET /users?mail=j%C3%BCrgen%40example.org&x=1",
            "GET /users?mail=j%25C3%25BCrgen%2540example.org",
            "<td>J&#252;rgen&#x40;example.org</td>",
            r#"{"url":"\/users?mail=j%C3%BCrgen%40example.org"}"#,
        ] {
            assert!(ann.is_in(text), "{text}");
            assert!(ann.row(&row(text)).is_some(), "{text}");
        }
        for text in
            ["", "jürgen@example.com", r"\", r"jürgen@example\", "%", "100%25", "&#;", "&#xffffff;"]
        {
            assert!(!ann.is_in(text), "{text}");
        }
        assert!(erasure(r"C:\users\ann").is_in(r"C:\users\ann"), "as it is");
        assert!(erasure(r"C:\users\ann").is_in(r#"{"path":"C:\\users\\ann"}"#));
        for text in ["Ann Smith", "ann\n  smith", "name=Ann+Smith", "ann%20smith"] {
            assert!(erasure("ann  smith").is_in(text), "{text}");
        }
        let composed = erasure("ju\u{308}rgen");
        assert!(composed.is_in("jürgen") && composed.is_in("ju\u{308}rgen"));
        assert!(erasure("a.*d").row(&row("abcd")).is_none(), "no expression");
    }

    #[test]
    fn a_short_subject_is_refused() {
        for short in ["", "ann", "   ann   ", "äöü", "a\u{200b}\u{200b}\u{200b}b"] {
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
