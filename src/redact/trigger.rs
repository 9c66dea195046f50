//! The automaton of all trigger words.

use std::collections::HashMap;
use std::sync::LazyLock;

use aho_corasick::{AhoCorasick, AhoCorasickKind, MatchKind};

use super::PLACEHOLDER_START;
use super::rule::Rule;
use super::table::TABLE;
use super::visible::HINTS;

/// The trigger words in one automaton.
pub(super) struct Triggers {
    pub(super) words: AhoCorasick,
    /// For each word.
    pub(super) rules: Vec<Vec<Rule>>,
    /// For each word, the longest other word at its start, which counts if the rule of the word
    /// does not apply.
    pub(super) shorter: Vec<Option<usize>>,
    pub(super) lens: Vec<usize>,
}

pub(super) static TRIGGERS: LazyLock<Triggers> = LazyLock::new(|| {
    let hints = HINTS.iter().map(|hint| (hint.to_vec(), Rule::Hint));
    let all =
        TABLE.words().into_iter().chain(shapes()).map(|(word, rule)| (word.into_bytes(), rule));
    let (mut words, mut rules): (Vec<Vec<u8>>, Vec<Vec<Rule>>) = (Vec::new(), Vec::new());
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
fn controls() -> impl Iterator<Item = (Vec<u8>, Rule)> {
    (0..b' ').filter(|byte| !(b'\t'..=b'\r').contains(byte)).map(|byte| (vec![byte], Rule::Hint))
}

/// The words of rules that are code.
fn shapes() -> impl Iterator<Item = (String, Rule)> {
    let words = [
        (PLACEHOLDER_START, Rule::Placeholder),
        ("-----BEGIN", Rule::PrivateKey),
        ("-----END", Rule::PrivateKeyEnd),
        ("Private-Lines", Rule::Putty),
        ("AKIA", Rule::AwsKey),
        ("ASIA", Rule::AwsKey),
        ("ABIA", Rule::AwsKey),
        ("ACCA", Rule::AwsKey),
        ("eyJ", Rule::Jwt),
        (".ey", Rule::JwtPayload),
        ("://", Rule::Url),
        (r":\/\/", Rule::Url),
        (r":\\/\\/", Rule::Url),
        ("insert into", Rule::Insert),
        ("replace into", Rule::Insert),
        ("@tcp(", Rule::Dsn),
        ("@unix(", Rule::Dsn),
        ("bearer", Rule::Scheme("bearer")),
        ("basic", Rule::Scheme("basic-auth")),
    ];
    // So short a word counts only after the end of another one.
    let vault =
        [" ", "\t", "=", ":", "/", "\"", "'"].map(|before| (format!("{before}s."), Rule::Vault));
    words.map(|(word, rule)| (word.to_owned(), rule)).into_iter().chain(vault)
}
