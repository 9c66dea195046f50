//! Erasure: which rows, tallies and epochs hold a text about a person, and what they hold without it.
//!
//! A row that is erased stays a row, and so do its counts. Its key is what makes a redelivered alert a
//! duplicate: without the row, the alert would be stored and delivered again.

use std::borrow::Cow;
use std::collections::BTreeSet;

use percent_encoding::percent_decode_str;
use regex::{Regex, RegexBuilder};
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

/// PostgreSQL stores it in place of the character 0.
const NUL_SYMBOL: char = '\u{2400}';

/// A shorter word of a subject says nothing by itself. A letter that is not ASCII may be a syllable.
const WORD_CHARS_MIN: usize = 3;
const WORD_CHARS_MIN_ELSEWHERE: usize = 2;

/// The text to erase, and what takes its place.
#[derive(Clone, Debug)]
pub struct Erasure {
    subject: Regex,
    /// In upper case.
    words: Vec<String>,
    /// Patterns of texts that hold the subject, and still say a part of it: `refund to Anna Meier <n>`.
    patterns: BTreeSet<String>,
    tombstone: String,
}

/// The new content of a row. The columns that it does not name stay, except for those that belong to the
/// message: `pattern`, `context_before` and `context_after` are removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
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
        let subject = upper(&Visible::of(subject.trim(), false).text);
        if subject.chars().count() < SUBJECT_CHARS_MIN {
            return Err(format!("expected at least {SUBJECT_CHARS_MIN} characters"));
        }
        let parts: Vec<String> = subject.split_whitespace().map(regex::escape).collect();
        let expression =
            RegexBuilder::new(&parts.join(BETWEEN_WORDS)).case_insensitive(true).build();
        Ok(Self {
            subject: expression.map_err(|_| "the text is too long".to_owned())?,
            words: words(&subject).filter(|word| is_telling(word)).map(str::to_owned).collect(),
            patterns: BTreeSet::new(),
            tombstone: format!("{TOMBSTONE}{}]", &now.iso()[..10]),
        })
    }

    /// A row that no store has. Erasing it needs the same permission as any other, and changes nothing.
    pub fn no_row(&self) -> ErasedRow {
        let log_id = "no-alert-has-this-id".to_owned();
        ErasedRow { log_id, message: self.tombstone.clone(), ..ErasedRow::default() }
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

    /// An accent may be a part of its letter, or follow it, and ß is SS in upper case.
    fn matches(&self, text: &str) -> bool {
        self.subject.is_match(text) || !text.is_ascii() && self.subject.is_match(&upper(text))
    }

    /// Notes the pattern of a row whose message holds the subject. A row may also be of the subject by its
    /// context or its origin, of which a pattern has nothing.
    pub fn note_pattern(&mut self, row: &AuditRow) {
        let AuditRow { message, pattern, .. } = row;
        if !self.patterns.contains(pattern) && self.has_part(pattern) && self.is_in(message) {
            self.patterns.insert(pattern.clone());
        }
    }

    /// Whether a pattern says who the subject is.
    pub fn is_in_pattern(&self, pattern: &str) -> bool {
        self.patterns.contains(pattern) || self.is_in(pattern)
    }

    /// Whether a pattern has a word of the subject, or ends within one. Its placeholders may stand for the
    /// rest.
    fn has_part(&self, pattern: &str) -> bool {
        let mut read = Cow::Borrowed(pattern);
        for _ in 0..=ENCODINGS_MAX {
            let plain = upper(&read);
            let last =
                words(&plain).last().filter(|last| plain.ends_with(*last) && is_telling(last));
            let is_part = |word: &String| {
                plain.contains(word.as_str()) || last.is_some_and(|last| word.starts_with(last))
            };
            if self.words.iter().any(is_part) {
                return true;
            }
            match decoded(&read) {
                Some(next) => read = Cow::Owned(next),
                None => return false,
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
        let in_pattern = |pattern: &str, is_of_subject| {
            self.is_in_pattern(pattern) || is_of_subject && self.has_part(pattern)
        };
        let erased = tally.erased(&|text| self.is_in(text), &in_pattern, &self.tombstone);
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
    plain.retain(|c| c != NUL_SYMBOL);
    if plain.contains('\\') {
        plain = without_escapes(&plain);
    }
    if plain.contains('%') {
        plain = percent_decode_str(&plain).decode_utf8_lossy().into_owned();
    }
    if plain.contains('&') {
        plain = html_escape::decode_html_entities(&plain).into_owned();
    }
    (plain != text).then_some(plain)
}

/// `text` in upper case, with accents as parts of their letters.
fn upper(text: &str) -> String {
    text.nfkc().collect::<String>().to_uppercase()
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_alphabetic()).filter(|word| !word.is_empty())
}

fn is_telling(word: &str) -> bool {
    let min = if word.is_ascii() { WORD_CHARS_MIN } else { WORD_CHARS_MIN_ELSEWHERE };
    word.chars().count() >= min
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
            "<td>J&uuml;rgen&commat;example&period;org</td>",
            "&lt;td&gt;J&amp;#252;rgen@example.org",
            "j\u{fc}\u{2400}rgen@example.org",
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
        for (subject, text) in [
            ("Straße 12", "STRASSE 12"),
            ("STRASSE 12", "straße 12"),
            ("Jürgen Weiß", "JÜRGEN WEISS"),
            ("O'Brien & Sons", "hello O&#39;Brien &amp; Sons"),
        ] {
            assert!(erasure(subject).is_in(text), "{subject}: {text}");
        }
        let composed = erasure("ju\u{308}rgen");
        assert!(composed.is_in("jürgen") && composed.is_in("ju\u{308}rgen"));
        assert!(erasure("a.*d").row(&row("abcd")).is_none(), "no expression");
    }

    /// A placeholder hides a part of the subject, and the rest is still there.
    #[test]
    fn a_pattern_of_the_subject_is_erased_and_a_general_one_stays() {
        let noted = |subject: &str, pattern: &str| {
            let mut erasure = erasure(subject);
            assert!(!erasure.is_in_pattern(pattern), "{pattern} has a placeholder");
            let of_another = AuditRow { pattern: pattern.to_owned(), ..row("another") };
            erasure.note_pattern(&AuditRow { source: subject.to_owned(), ..of_another.clone() });
            assert!(!erasure.is_in_pattern(pattern), "{pattern} is noted for its origin");
            erasure.note_pattern(&AuditRow { message: subject.to_owned(), ..of_another });
            erasure.is_in_pattern(pattern)
        };
        for (subject, pattern) in [
            ("Anna Meier 4711", "refund to Anna Meier <n> failed"),
            ("ole.hansen@mail.example", "GET /users/ole.hansen%<n>mail.example failed"),
            ("anna.müller@example.org", "anna.m\\xfcller@exam\u{feff}<host>"),
            ("anna.müller@example.org", "anna.mu\u{308}<mail>"),
            ("Lindenweg 4 Köln", "parcel for LINDENWEG <n> K&ouml;ln"),
            ("Zedekiah Quuxman", "alpha bravo si Zedekiah"),
            ("Zedekiah Quuxman", "alpha bravo si Zedek"),
        ] {
            assert!(noted(subject, pattern), "{subject}: {pattern}");
        }
        for pattern in ["payment of <mail> failed", "login from <ip>", "user <id> an"] {
            assert!(!noted("ann.lee@example.org", pattern), "{pattern}");
        }
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
