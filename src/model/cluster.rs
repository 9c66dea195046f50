//! Clusters: similar patterns of one digest as one. A mask replaces what looks like a value by
//! itself, but not a table name or a user name among other words. Here, the patterns themselves
//! show which words are values: those that differ while all other words are the same.
//!
//! Two causes must stay apart, so a difference is a value only if there is evidence: it looks like
//! one (placeholders, paths), or many different words stand at its place. A word that tells what
//! happened (`refused`, `full`, `OutOfMemoryError`), or that follows `error` and the like, is never
//! a value.
//!
//! The result depends only on the set of patterns. The time is O(n · t · log(n · t)) for n patterns
//! of t tokens, in at most `ROUNDS_MAX` rounds.

use std::collections::HashMap;

use crate::model::pattern::{VALUE, placeholder_at};

/// So many different plain words at one place are values.
const WORDS_MIN: usize = 5;
/// So many different words at the start of a line, where the subject stands.
const FIRST_WORDS_MIN: usize = 12;
/// So many different names with dots and the like.
const NAMES_MIN: usize = 4;
/// Each round finds the values next to those of the round before.
const ROUNDS_MAX: usize = 4;

/// Patterns that say the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// The text that they share, with `<…>` where they differ.
    pub pattern: String,
    /// Which of the patterns, in order. Never empty.
    pub members: Vec<usize>,
    /// For each placeholder in `pattern`: what each member has there.
    pub places: Vec<Vec<ClusterPlace>>,
}

/// The content of a pattern at a place of its cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ClusterPlace {
    /// A text that is not masked in this pattern.
    Text(String),
    /// The placeholder with this number.
    Placeholder(usize),
    /// Several placeholders, or a part of a word.
    Unknown,
}

/// Clusters `patterns`, which are distinct. The clusters are in the order of their first patterns
/// in alphabetical order.
pub fn cluster(patterns: &[&str]) -> Vec<Cluster> {
    let mut order: Vec<usize> = (0..patterns.len()).collect();
    order.sort_by_key(|i| patterns[*i]);
    let lines: Vec<Line> = order.iter().map(|i| Line::of(patterns[*i])).collect();
    let mut words = Words::default();
    let wildcard = words.id(WILDCARD);
    let mut templates: Vec<Template> = Vec::new();
    let mut known: HashMap<Vec<u32>, usize> = HashMap::new();
    for (at, line) in lines.iter().enumerate() {
        let tokens: Vec<u32> = line.tokens.iter().map(|token| words.id(&token.norm)).collect();
        let template = *known.entry(tokens).or_insert_with_key(|tokens| {
            templates.push(Template { tokens: tokens.clone(), lines: vec![] });
            templates.len() - 1
        });
        templates[template].lines.push(at);
    }
    for _ in 0..ROUNDS_MAX {
        let Some(merged) = round(&templates, &words, wildcard) else { break };
        templates = merged;
    }
    let clusters = templates.into_iter().map(|template| {
        let lines: Vec<&Line> = template.lines.iter().map(|at| &lines[*at]).collect();
        let (pattern, places) = shown(&lines);
        Cluster { pattern, members: template.lines.iter().map(|at| order[*at]).collect(), places }
    });
    clusters.collect()
}

/// A pattern as tokens.
struct Line<'p> {
    text: &'p str,
    tokens: Vec<Token>,
}

/// A word or a punctuation mark.
struct Token {
    start: usize,
    end: usize,
    /// Its text with `*` for each placeholder. A token without letters and digits of its own is
    /// just `*`.
    norm: String,
    /// The number of placeholders before it in the pattern.
    places_before: usize,
}

/// Lines whose tokens are equal except for values.
struct Template {
    tokens: Vec<u32>,
    lines: Vec<usize>,
}

/// The distinct tokens.
#[derive(Default)]
struct Words {
    ids: HashMap<String, u32>,
    words: Vec<Word>,
}

struct Word {
    text: String,
    kind: Kind,
    /// A word after this one tells what happened.
    announces_cause: bool,
}

/// How much a word looks like a value.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// Punctuation, or a word that tells what happened.
    Constant,
    Plain,
    /// With dots or digits inside.
    Name,
    /// A placeholder, a word with one, or a path.
    Value,
}

const WILDCARD: &str = "*";

impl<'p> Line<'p> {
    fn of(text: &'p str) -> Self {
        let mut line = Self { text, tokens: Vec::new() };
        let (mut at, mut places) = (0, 0);
        // The word that is being read.
        let mut word: Option<Token> = None;
        while let Some(c) = text[at..].chars().next() {
            let placeholder = if c == '<' { placeholder_at(text, at) } else { 0 };
            let end = at + placeholder.max(c.len_utf8());
            let is_separator =
                placeholder == 0 && (c.is_whitespace() || "=,;()[]{}|\"'`<>".contains(c));
            if is_separator {
                line.add_word(word.take());
                if !c.is_whitespace() {
                    line.add(Token { start: at, end, norm: c.to_string(), places_before: places });
                }
            } else {
                let word = word.get_or_insert_with(|| Token {
                    start: at,
                    end,
                    norm: String::new(),
                    places_before: places,
                });
                word.end = end;
                if placeholder > 0 {
                    places += 1;
                    word.norm.push('*');
                } else {
                    word.norm.push(c);
                }
            }
            at = end;
        }
        line.add_word(word);
        line
    }

    /// Adds a word, and the punctuation at its end as a token of its own.
    fn add_word(&mut self, word: Option<Token>) {
        let Some(mut word) = word else { return };
        let body = word.norm.trim_end_matches(['.', ':', '!', '?']).len();
        if body == 0 || body == word.norm.len() {
            return self.add(word);
        }
        let tail = word.norm.split_off(body);
        let split = word.end - tail.len();
        let places_before = word.places_before + word.norm.matches('*').count();
        let end = std::mem::replace(&mut word.end, split);
        self.add(word);
        self.add(Token { start: split, end, norm: tail, places_before });
    }

    /// Adds a token. A list of values becomes one value, and empty brackets contain one.
    fn add(&mut self, mut token: Token) {
        if token.norm.contains('*') && !token.norm.contains(char::is_alphanumeric) {
            token.norm = WILDCARD.to_owned();
        }
        if token.norm.contains('*') {
            if let Some(last) = self.tokens.last_mut().filter(|last| last.norm == token.norm) {
                last.end = token.end;
                return;
            }
            if let [.., value, separator] = &mut *self.tokens
                && token.norm == WILDCARD
                && value.norm == WILDCARD
                && matches!(&*separator.norm, "," | "|")
            {
                value.end = token.end;
                self.tokens.pop();
                return;
            }
        }
        if token.norm == ")" && self.tokens.last().is_some_and(|last| last.norm == "(") {
            let Token { start, places_before, .. } = token;
            self.tokens.push(Token { start, end: start, norm: WILDCARD.to_owned(), places_before });
        }
        self.tokens.push(token);
    }

    fn token_text(&self, at: usize) -> &'p str {
        &self.text[self.tokens[at].start..self.tokens[at].end]
    }
}

impl Words {
    fn id(&mut self, text: &str) -> u32 {
        if let Some(id) = self.ids.get(text) {
            return *id;
        }
        let id = u32::try_from(self.words.len()).unwrap_or(u32::MAX);
        self.words.push(Word::of(text));
        self.ids.insert(text.to_owned(), id);
        id
    }

    fn get(&self, id: u32) -> &Word {
        &self.words[id as usize]
    }

    fn text(&self, id: u32) -> &str {
        &self.get(id).text
    }

    /// How much the token at `at` looks like a value, given the word before it.
    fn kind(&self, tokens: &[u32], at: usize) -> Kind {
        let kind = self.get(tokens[at]).kind;
        if !matches!(kind, Kind::Plain | Kind::Name) {
            return kind;
        }
        let before =
            tokens[..at].iter().rev().map(|id| self.get(*id)).find(|word| has_word(&word.text));
        if before.is_some_and(|word| word.announces_cause) { Kind::Constant } else { kind }
    }

    /// Where the statement starts: after leading brackets such as `[CRITICAL]`.
    fn body(&self, tokens: &[u32]) -> usize {
        const BRACKET_TOKENS_MAX: usize = 8;
        let mut at = 0;
        while at < tokens.len() && self.text(tokens[at]) == "[" {
            let close =
                tokens[at..].iter().take(BRACKET_TOKENS_MAX).position(|id| self.text(*id) == "]");
            let Some(close) = close else { break };
            at += close + 1;
        }
        at
    }
}

impl Word {
    fn of(text: &str) -> Self {
        Self {
            kind: Kind::of(text),
            announces_cause: {
                let last = text.rsplit(|c: char| !c.is_ascii_alphabetic()).next().unwrap_or(text);
                is_any(CAUSE_WORDS, last)
            },
            text: text.to_owned(),
        }
    }
}

impl Kind {
    fn of(text: &str) -> Self {
        if !has_word(text) {
            return if text == WILDCARD { Self::Value } else { Self::Constant };
        }
        if tells(text) {
            return Self::Constant;
        }
        if text.contains('*') {
            return Self::Value;
        }
        let slashes = text.bytes().filter(|byte| matches!(byte, b'/' | b'\\')).count();
        if slashes > 0 {
            return if text.starts_with(['/', '\\']) || slashes > 1 {
                Self::Value
            } else {
                Self::Name
            };
        }
        let is_plain = text.chars().all(|c| c.is_alphabetic() || c == '-' || c == '\'');
        if is_plain { Self::Plain } else { Self::Name }
    }
}

/// Whether a word tells what happened.
fn tells(word: &str) -> bool {
    const ENDS: &[&str] = &[
        "exception",
        "exceptions",
        "error",
        "errors",
        "failure",
        "failures",
        "timeout",
        "timeouts",
        "fault",
        "faults",
    ];
    let ends_with = |end: &&str| {
        word.len() >= end.len()
            && word.is_char_boundary(word.len() - end.len())
            && word[word.len() - end.len()..].eq_ignore_ascii_case(end)
    };
    let is_verb = word.len() >= 5
        && word.bytes().all(|byte| byte.is_ascii_lowercase())
        && ["ed", "ing", "able", "ible"]
            .iter()
            .any(|end| word.len() >= end.len() + 3 && word.ends_with(end));
    is_verb || is_any(TELLING_WORDS, word) || ENDS.iter().any(ends_with)
}

/// `words` are sorted and in lower case.
fn is_any(words: &[&str], word: &str) -> bool {
    word.len() <= 16 && words.binary_search(&&*word.to_ascii_lowercase()).is_ok()
}

fn has_word(text: &str) -> bool {
    text.contains(|c: char| c.is_alphanumeric() || c == '_')
}

/// Merges templates that differ in values only; `None` if there are none.
fn round(templates: &[Template], words: &Words, wildcard: u32) -> Option<Vec<Template>> {
    let kinds: Vec<Vec<Kind>> = templates
        .iter()
        .map(|template| {
            (0..template.tokens.len()).map(|at| words.kind(&template.tokens, at)).collect()
        })
        .collect();
    let mut keys = keys(templates, &kinds);
    keys.sort_unstable();
    let mut sets = Sets::new(templates.len());
    let mut has_merged = false;
    for same in keys.chunk_by(|a, b| (a.hash, a.place) == (b.hash, b.place)) {
        let alike = alike(same, templates, &kinds, words);
        for other in alike.iter().skip(1) {
            has_merged |= sets.join(alike[0], *other);
        }
    }
    has_merged.then(|| merged(templates, &mut sets, wildcard))
}

/// A template without the tokens that may be values.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    /// Of all other tokens, their places and the number of tokens.
    hash: u128,
    /// The place of the token that is left out; `None` if all that look like names or values are.
    place: Option<usize>,
    template: usize,
}

fn keys(templates: &[Template], kinds: &[Vec<Kind>]) -> Vec<Key> {
    let mut keys = Vec::new();
    for (template, (Template { tokens, .. }, kinds)) in templates.iter().zip(kinds).enumerate() {
        let hashes: Vec<u128> = tokens.iter().enumerate().map(|(at, id)| hash(at, *id)).collect();
        let length = hash(tokens.len(), u32::MAX);
        let whole = hashes.iter().fold(length, |sum, hash| sum.wrapping_add(*hash));
        let mut without_values = whole;
        let mut values = 0;
        for (at, hash) in hashes.iter().enumerate() {
            if kinds[at] > Kind::Constant {
                keys.push(Key { hash: whole.wrapping_sub(*hash), place: Some(at), template });
            }
            if kinds[at] >= Kind::Name {
                without_values = without_values.wrapping_sub(*hash);
                values += 1;
            }
        }
        if values > 1 {
            keys.push(Key { hash: without_values, place: None, template });
        }
    }
    keys
}

/// A hash of a token at its place: two rounds of SplitMix64, for 128 bits.
fn hash(place: usize, id: u32) -> u128 {
    let mix = |seed: u64| {
        let mut z = seed
            .wrapping_add((place as u64) << 32 | u64::from(id))
            .wrapping_mul(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    };
    u128::from(mix(0x2545_f491_4f6c_dd1d)) << 64 | u128::from(mix(0x9e6c_63d0_676a_9a99))
}

/// Those of the templates with the same key that differ in values only.
fn alike(same: &[Key], templates: &[Template], kinds: &[Vec<Kind>], words: &Words) -> Vec<usize> {
    let &[Key { place, template: first, .. }, _, ..] = same else { return vec![] };
    let tokens = &templates[first].tokens;
    let body = words.body(tokens);
    let is_left_out = |at: usize| place.map_or(kinds[first][at] >= Kind::Name, |place| place == at);
    // Without a word in common, the lines say nothing in common.
    if !(body..tokens.len()).any(|at| !is_left_out(at) && has_word(words.text(tokens[at]))) {
        return vec![];
    }
    let templates_of = |least: Kind| {
        let kind = |key: &Key| place.map_or(Kind::Name, |place| kinds[key.template][place]);
        same.iter()
            .filter(move |key| kind(key) >= least)
            .map(|key| key.template)
            .collect::<Vec<_>>()
    };
    let Some(place) = place else {
        let all_values =
            same.iter().all(|key| kinds[key.template].iter().all(|kind| *kind != Kind::Name));
        return if all_values || same.len() >= NAMES_MIN {
            templates_of(Kind::Name)
        } else {
            vec![]
        };
    };
    let first_word =
        (body..tokens.len()).find(|at| has_word(words.text(tokens[*at]))).unwrap_or(body);
    let (values, names) = (templates_of(Kind::Value), templates_of(Kind::Name));
    if same.len() >= if place <= first_word { FIRST_WORDS_MIN } else { WORDS_MIN } {
        templates_of(Kind::Plain)
    } else if names.len() >= NAMES_MIN {
        names
    } else {
        values
    }
}

fn merged(templates: &[Template], sets: &mut Sets, wildcard: u32) -> Vec<Template> {
    let mut merged: Vec<Template> = Vec::new();
    let mut at_of: HashMap<usize, usize> = HashMap::new();
    for (at, template) in templates.iter().enumerate() {
        let root = sets.root(at);
        let Some(known) = at_of.get(&root) else {
            at_of.insert(root, merged.len());
            merged
                .push(Template { tokens: template.tokens.clone(), lines: template.lines.clone() });
            continue;
        };
        let known = &mut merged[*known];
        for (token, other) in known.tokens.iter_mut().zip(&template.tokens) {
            if token != other {
                *token = wildcard;
            }
        }
        known.lines.extend(&template.lines);
    }
    for template in &mut merged {
        template.lines.sort_unstable();
    }
    merged
}

/// Disjoint sets of templates. The root of a set is its smallest member.
struct Sets(Vec<usize>);

impl Sets {
    fn new(len: usize) -> Self {
        Self((0..len).collect())
    }

    fn root(&mut self, mut at: usize) -> usize {
        while self.0[at] != at {
            self.0[at] = self.0[self.0[at]];
            at = self.0[at];
        }
        at
    }

    /// Whether they were apart.
    fn join(&mut self, a: usize, b: usize) -> bool {
        let (a, b) = (self.root(a), self.root(b));
        self.0[a.max(b)] = a.min(b);
        a != b
    }
}

/// The text that the lines share, and what each has at its placeholders.
fn shown(lines: &[&Line]) -> (String, Vec<Vec<ClusterPlace>>) {
    let first = lines[0];
    let (mut pattern, mut places) = (String::new(), Vec::new());
    let mut end = 0;
    for (at, token) in first.tokens.iter().enumerate() {
        pattern.push_str(&first.text[end..token.start]);
        end = token.end;
        let text = first.token_text(at);
        if lines.iter().any(|line| line.token_text(at) != text) {
            pattern.push_str(VALUE);
            places.push(lines.iter().map(|line| line.place(at)).collect());
        } else {
            pattern.push_str(text);
            let count = placeholders(text);
            let placeholder = |n| {
                lines
                    .iter()
                    .map(|line| ClusterPlace::Placeholder(line.tokens[at].places_before + n))
                    .collect()
            };
            places.extend((0..count).map(placeholder));
        }
    }
    pattern.push_str(&first.text[end..]);
    (pattern, places)
}

impl Line<'_> {
    fn place(&self, at: usize) -> ClusterPlace {
        let text = self.token_text(at);
        match placeholders(text) {
            0 => ClusterPlace::Text(text.to_owned()),
            _ if placeholder_at(text, 0) == text.len() => {
                ClusterPlace::Placeholder(self.tokens[at].places_before)
            }
            _ => ClusterPlace::Unknown,
        }
    }
}

fn placeholders(text: &str) -> usize {
    text.match_indices('<').filter(|(at, _)| placeholder_at(text, *at) > 0).count()
}

/// After these words, the next one tells what happened. Sorted.
const CAUSE_WORDS: &[&str] = &[
    "action",
    "because",
    "cause",
    "code",
    "due",
    "err",
    "errno",
    "error",
    "errorcode",
    "errors",
    "errortype",
    "event",
    "eventtype",
    "exception",
    "failed",
    "failure",
    "fatal",
    "fault",
    "level",
    "method",
    "msg",
    "outcome",
    "panic",
    "reason",
    "result",
    "signal",
    "state",
    "status",
    "type",
];

/// Words that tell what happened. Sorted.
const TELLING_WORDS: &[&str] = &[
    "abort",
    "aborted",
    "accepted",
    "active",
    "added",
    "after",
    "alert",
    "allowed",
    "available",
    "bad",
    "before",
    "begin",
    "boot",
    "broken",
    "can't",
    "canceled",
    "cancelled",
    "cannot",
    "close",
    "closed",
    "closing",
    "commit",
    "complete",
    "completed",
    "conflict",
    "connect",
    "connected",
    "corrupt",
    "corrupted",
    "could",
    "couldn't",
    "crashed",
    "create",
    "created",
    "critical",
    "deadlock",
    "debug",
    "delete",
    "deleted",
    "denied",
    "died",
    "disable",
    "disabled",
    "disconnect",
    "disconnected",
    "done",
    "down",
    "duplicate",
    "empty",
    "enable",
    "enabled",
    "end",
    "error",
    "errors",
    "exceeded",
    "exception",
    "exhausted",
    "expired",
    "fail",
    "failed",
    "failing",
    "fails",
    "failure",
    "failures",
    "false",
    "fatal",
    "finish",
    "finished",
    "forbidden",
    "found",
    "full",
    "get",
    "good",
    "healthy",
    "in",
    "inactive",
    "info",
    "insert",
    "interrupted",
    "invalid",
    "killed",
    "leak",
    "locked",
    "login",
    "logout",
    "lost",
    "many",
    "mismatch",
    "missing",
    "never",
    "nil",
    "no",
    "none",
    "not",
    "null",
    "off",
    "ok",
    "on",
    "oom",
    "open",
    "opened",
    "opening",
    "out",
    "overflow",
    "panic",
    "pending",
    "post",
    "put",
    "reachable",
    "read",
    "receive",
    "received",
    "refused",
    "rejected",
    "removed",
    "reset",
    "restart",
    "restarted",
    "restarting",
    "retry",
    "retrying",
    "rollback",
    "running",
    "select",
    "send",
    "sent",
    "shutdown",
    "start",
    "started",
    "starting",
    "startup",
    "stop",
    "stopped",
    "stopping",
    "succeeded",
    "success",
    "successful",
    "successfully",
    "terminated",
    "throttled",
    "timed",
    "timeout",
    "too",
    "true",
    "unable",
    "unauthorized",
    "unavailable",
    "underflow",
    "unhealthy",
    "unknown",
    "unlocked",
    "unreachable",
    "unsuccessful",
    "up",
    "update",
    "updated",
    "valid",
    "warning",
    "with",
    "without",
    "won't",
    "write",
    "wrong",
    "yes",
];

#[cfg(test)]
mod tests;
