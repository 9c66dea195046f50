//! Reads `rules.toml`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;
use toml::de::{DeTable, DeValue};

use super::format::Format;
use super::rule::{Name, NameRule, SentenceValue, ValueStyle};
use super::{Span, span};

/// The names of the rules that are code.
const NAMES_IN_CODE: [&str; 14] = [
    "auth",
    "aws-key",
    "aws-secret",
    "basic-auth",
    "bearer",
    "card",
    "discord-token",
    "facebook-token",
    "jwt",
    "notion-token",
    "password",
    "private-key",
    "url-password",
    "vault-token",
];

/// The names of the built-in rules, in alphabetical order.
pub fn rule_names() -> BTreeSet<&'static str> {
    let table = &*TABLE;
    let tokens = table.tokens.iter().map(|token| token.name);
    let vendors = table.vendors.iter().map(|vendor| vendor.name);
    let patterns = table.patterns.iter().map(|pattern| pattern.name);
    let names = table.names.iter().map(|(name, _)| name.kind);
    tokens.chain(vendors).chain(patterns).chain(names).chain(NAMES_IN_CODE).collect()
}

/// The rules of the file. A [`NameRule`] refers to one of them by its place.
pub(super) struct RuleTable {
    pub(super) tokens: Vec<Token>,
    pub(super) vendors: Vec<Vendor>,
    pub(super) patterns: Vec<PatternRule>,
    pub(super) names: Vec<(Name, Vec<String>)>,
    /// Words between a name and its value in a sentence.
    pub(super) filler: &'static str,
    /// Words with digits that are no secrets.
    pub(super) words_with_digits: &'static str,
    /// Units of a number.
    pub(super) units: &'static str,
    /// For each name, sentences with a secret and without one.
    #[cfg(test)]
    pub(super) sentences: Vec<(&'static str, Vec<&'static str>, Vec<&'static str>)>,
    /// The words at the start of tokens.
    pub(super) starts: Starts,
}

/// Words and the places of their tokens, by the first two bytes. A longer word comes first.
pub(super) struct Starts {
    /// In order.
    known: Vec<([u8; 2], Words)>,
    /// A bit for each two bytes: most texts have none of them.
    bits: Box<[u64; 1 << 10]>,
}

/// Words, each with the place of its token.
type Words = Vec<(String, usize)>;

impl Starts {
    fn new(tokens: &[Token]) -> Self {
        let mut known: BTreeMap<[u8; 2], Words> = BTreeMap::new();
        let mut bits = Box::new([0; 1 << 10]);
        for (at, token) in tokens.iter().enumerate() {
            for word in token
                .formats
                .iter()
                .filter(|format| format.starts_with_word())
                .flat_map(|format| &format.words)
            {
                let two = [word.as_bytes()[0], word.as_bytes()[1]];
                let number = usize::from(u16::from_le_bytes(two));
                bits[number / 64] |= 1 << (number % 64);
                known.entry(two).or_default().push((word.clone(), at));
            }
        }
        known.values_mut().for_each(|words| words.sort_by_key(|(word, _)| Reverse(word.len())));
        Self { known: known.into_iter().collect(), bits }
    }

    /// Whether a word starts with these two bytes.
    pub(super) fn has(&self, first: u8, second: u8) -> bool {
        let number = usize::from(u16::from_le_bytes([first, second]));
        self.bits[number / 64] >> (number % 64) & 1 == 1
    }

    /// The words that start like `bytes`.
    pub(super) fn candidates(&self, bytes: &[u8]) -> &[(String, usize)] {
        let found = self.known.binary_search_by(|(two, _)| two[..].cmp(&bytes[..2]));
        found.map_or(&[], |at| &self.known[at].1)
    }
}

/// A token with a format of its own.
pub(super) struct Token {
    pub(super) name: &'static str,
    pub(super) formats: Vec<Format>,
    /// Only the text after the word is the secret.
    pub(super) keep_word: bool,
    /// Neither `-` nor `_` is before the word.
    pub(super) alone: bool,
    #[cfg(test)]
    pub(super) patterns: Vec<&'static str>,
    #[cfg(test)]
    pub(super) keeps: Vec<&'static str>,
}

/// A key that is recognized by the name of its vendor before it.
pub(super) struct Vendor {
    pub(super) name: &'static str,
    pub(super) words: Vec<&'static str>,
    pub(super) values: Vec<Format>,
    pub(super) named: bool,
    #[cfg(test)]
    pub(super) patterns: Vec<&'static str>,
}

/// A pattern for the text after a word.
pub(super) struct PatternRule {
    pub(super) name: &'static str,
    pub(super) after: Vec<&'static str>,
    pub(super) regex: LazyLock<Regex, Box<dyn FnOnce() -> Regex + Send>>,
    pub(super) command: bool,
    pub(super) random: bool,
    #[cfg(test)]
    pub(super) redacts: Vec<&'static str>,
    #[cfg(test)]
    pub(super) keeps: Vec<&'static str>,
}

static FILE: LazyLock<DeTable<'static>> = LazyLock::new(|| {
    DeTable::parse(include_str!("rules.toml"))
        .expect("invariant: the file of rules is TOML")
        .into_inner()
});

pub(super) static TABLE: LazyLock<RuleTable> = LazyLock::new(|| {
    let tokens: Vec<_> = rules("token").map(token).collect();
    let sentence = FILE.get("sentence").and_then(|table| table.get_ref().as_table());
    let sentence = sentence.expect("invariant: the file describes sentences");
    RuleTable {
        starts: Starts::new(&tokens),
        tokens,
        vendors: rules("vendor").map(vendor).collect(),
        patterns: rules("pattern").map(pattern).collect(),
        names: rules("name").map(name).collect(),
        filler: text(sentence, "filler"),
        words_with_digits: text(sentence, "words"),
        units: text(sentence, "units"),
        #[cfg(test)]
        sentences: rules("name")
            .map(|name| (text(name, "name"), texts(name, "redacts"), texts(name, "keeps")))
            .collect(),
    }
});

impl Token {
    /// The token whose word is at `word`.
    pub(super) fn find(&self, bytes: &[u8], word: Range<usize>) -> Option<Span<'static>> {
        if self.alone && bytes[..word.start].last().is_some_and(|before| b"-_".contains(before)) {
            return None;
        }
        let found = self.formats.iter().find_map(|format| format.find(bytes, word.clone()))?;
        let start = if self.keep_word { word.end } else { found.start };
        Some(span(start..found.end, self.name))
    }
}

impl RuleTable {
    /// The words that the scan looks for, and their rules.
    pub(super) fn words(&self) -> Vec<(String, NameRule)> {
        let mut words = Vec::new();
        for (at, token) in self.tokens.iter().enumerate() {
            // `run` finds the words at the start of a token.
            let all = token
                .formats
                .iter()
                .filter(|format| !format.starts_with_word())
                .flat_map(|format| &format.words);
            words.extend(all.map(|word| (word.clone(), NameRule::Token(at))));
        }
        for (at, vendor) in self.vendors.iter().enumerate() {
            words
                .extend(vendor.words.iter().map(|word| ((*word).to_owned(), NameRule::Vendor(at))));
        }
        for (at, pattern) in self.patterns.iter().enumerate() {
            words.extend(
                pattern.after.iter().map(|word| ((*word).to_owned(), NameRule::Pattern(at))),
            );
        }
        for (name, parts) in &self.names {
            words.extend(parts.iter().map(|word| (word.clone(), NameRule::Name(*name))));
        }
        words
    }
}

type Fields = &'static DeTable<'static>;

fn rules(kind: &str) -> impl Iterator<Item = Fields> {
    let rules = FILE.get(kind).and_then(|rules| rules.get_ref().as_array());
    let rules = rules.expect("invariant: the file has rules of each kind");
    rules.iter().filter_map(|rule| rule.get_ref().as_table())
}

fn text(fields: Fields, key: &str) -> &'static str {
    fields
        .get(key)
        .and_then(|value| value.get_ref().as_str())
        .expect("invariant: a rule has its fields")
}

fn texts(fields: Fields, key: &str) -> Vec<&'static str> {
    let texts = fields.get(key).and_then(|value| value.get_ref().as_array());
    texts
        .into_iter()
        .flat_map(|texts| texts.iter())
        .filter_map(|text| text.get_ref().as_str())
        .collect()
}

fn flag(fields: Fields, key: &str) -> bool {
    matches!(fields.get(key).map(|value| value.get_ref()), Some(DeValue::Boolean(true)))
}

fn token(fields: Fields) -> Token {
    Token {
        name: text(fields, "name"),
        formats: texts(fields, "formats").into_iter().map(Format::new).collect(),
        keep_word: flag(fields, "keep_word"),
        alone: flag(fields, "alone"),
        #[cfg(test)]
        patterns: texts(fields, "formats"),
        #[cfg(test)]
        keeps: texts(fields, "keeps"),
    }
}

fn vendor(fields: Fields) -> Vendor {
    Vendor {
        name: text(fields, "name"),
        words: texts(fields, "words"),
        values: texts(fields, "values").into_iter().map(Format::new).collect(),
        named: flag(fields, "named"),
        #[cfg(test)]
        patterns: texts(fields, "values"),
    }
}

fn pattern(fields: Fields) -> PatternRule {
    let pattern = text(fields, "pattern");
    PatternRule {
        name: text(fields, "name"),
        after: texts(fields, "after"),
        regex: LazyLock::new(Box::new(|| {
            Regex::new(pattern).expect("invariant: the built-in patterns are regular expressions")
        })),
        command: flag(fields, "command"),
        random: flag(fields, "random"),
        #[cfg(test)]
        redacts: texts(fields, "redacts"),
        #[cfg(test)]
        keeps: texts(fields, "keeps"),
    }
}

fn name(fields: Fields) -> (Name, Vec<String>) {
    let style = match text(fields, "style") {
        "plain" => ValueStyle::Plain,
        "path" => ValueStyle::Path,
        "key" => ValueStyle::Key,
        "word" => ValueStyle::Word,
        "digits" => ValueStyle::Digits,
        "phrase" => ValueStyle::Phrase,
        "session" => ValueStyle::Session,
        "pass" => ValueStyle::Pass,
        "auth" => ValueStyle::Auth,
        "cookie" => ValueStyle::Cookie,
        "set-cookie" => ValueStyle::SetCookie,
        other => unreachable!("no style {other}"),
    };
    let sentence = fields.contains_key("sentence").then(|| match text(fields, "sentence") {
        "key" => SentenceValue::Key,
        "key-or-uuid" => SentenceValue::KeyOrUuid,
        "password" => SentenceValue::Password,
        "code" => SentenceValue::Code,
        "short-code" => SentenceValue::ShortCode,
        other => unreachable!("no value {other}"),
    });
    let joints = ["", "_", "-", ".", " "];
    let joined = texts(fields, "joined")
        .into_iter()
        .flat_map(|part| joints.map(|joint| format!("{part}{joint}key")));
    let words = texts(fields, "words").into_iter().map(str::to_owned).chain(joined).collect();
    (Name { kind: text(fields, "name"), style, sentence }, words)
}
