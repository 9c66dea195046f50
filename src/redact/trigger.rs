//! The automaton of all trigger words.

use std::collections::HashMap;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::PLACEHOLDER_START;
use super::rule::NameRule;
use super::table::TABLE;
use super::visible::HINTS;

/// The trigger words in one automaton.
pub(super) struct Triggers {
    pub(super) words: AhoCorasick,
    /// For each word.
    pub(super) rules: Vec<Vec<NameRule>>,
    /// For each word, the longest other word at its start, which counts if the rule of the word
    /// does not apply.
    pub(super) shorter: Vec<Option<usize>>,
    pub(super) lens: Vec<usize>,
}

pub(super) static TRIGGERS: LazyLock<Triggers> = LazyLock::new(|| {
    let hints = HINTS.iter().map(|hint| (hint.to_vec(), NameRule::Hint));
    let all =
        TABLE.words().into_iter().chain(shapes()).map(|(word, rule)| (word.into_bytes(), rule));
    let (mut words, mut rules): (Vec<Vec<u8>>, Vec<Vec<NameRule>>) = (Vec::new(), Vec::new());
    let mut by_word = HashMap::new();
    for (word, rule) in all.chain(controls()).chain(hints) {
        let at = *by_word.entry(word.to_ascii_lowercase()).or_insert(words.len());
        match rules.get_mut(at) {
            Some(others) => others.push(rule),
            None => {
                words.push(word);
                rules.push(vec![rule]);
            }
        }
    }
    let shorter = words.iter().map(|word| {
        let word = word.to_ascii_lowercase();
        (1..word.len()).rev().find_map(|len| by_word.get(&word[..len]).copied())
    });
    let shorter = shorter.collect();
    let lens = words.iter().map(Vec::len).collect();
    let words = AhoCorasick::builder()
        .ascii_case_insensitive(true)
        .match_kind(MatchKind::LeftmostLongest)
        .kind(Some(AhoCorasickKind::DFA))
        .build(words)
        .expect("invariant: a few hundred short words fit an automaton");
    Triggers { words, rules, shorter, lens }
});

/// The control characters, except white space.
fn controls() -> impl Iterator<Item = (Vec<u8>, NameRule)> {
    (0..b' ')
        .filter(|byte| !(b'\t'..=b'\r').contains(byte))
        .map(|byte| (vec![byte], NameRule::Hint))
}

/// The words of rules that are code.
fn shapes() -> impl Iterator<Item = (String, NameRule)> {
    let words = [
        (PLACEHOLDER_START, NameRule::Placeholder),
        ("-----BEGIN", NameRule::PrivateKey),
        ("-----END", NameRule::PrivateKeyEnd),
        ("Private-Lines", NameRule::Putty),
        ("AKIA", NameRule::AwsKey),
        ("ASIA", NameRule::AwsKey),
        ("ABIA", NameRule::AwsKey),
        ("ACCA", NameRule::AwsKey),
        ("eyJ", NameRule::Jwt),
        (".ey", NameRule::JwtPayload),
        ("://", NameRule::Url),
        (r":\/\/", NameRule::Url),
        (r":\\/\\/", NameRule::Url),
        ("insert into", NameRule::Insert),
        ("replace into", NameRule::Insert),
        ("@tcp(", NameRule::Dsn),
        ("@unix(", NameRule::Dsn),
        ("bearer", NameRule::Scheme("bearer")),
        ("basic", NameRule::Scheme("basic-auth")),
    ];
    // So short a word counts only after the end of another one.
    let vault = [" ", "\t", "=", ":", "/", "\"", "'"]
        .map(|before| (format!("{before}s."), NameRule::Vault));
    words.map(|(word, rule)| (word.to_owned(), rule)).into_iter().chain(vault)
}
