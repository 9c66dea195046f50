//! The values that distinguish the alerts of a group, in words: `code 137 (2), 1 (1)`. A reader
//! would otherwise see only the one of the sample.

use std::collections::BTreeMap;

use super::content::{Inline, Line, plain};
use super::text;
use crate::model::humanize::thousands;
use crate::model::pattern::placeholder_at;
use crate::model::tally::Group;

/// So many placeholders of a pattern are listed.
const PLACES_MAX: usize = 2;
const VALUE_BYTES_MAX: usize = 40;
/// A number without a telling word is listed only if each value occurs so many times on average.
/// A count or an id differs more often.
const REPEATED_MIN: u64 = 3;

/// Words before a code. Sorted.
const CODE_WORDS: &[&str] = &[
    "answered",
    "code",
    "err",
    "errno",
    "error",
    "exit",
    "exited",
    "http",
    "ora",
    "rc",
    "reason",
    "responded",
    "response",
    "result",
    "returned",
    "returns",
    "severity",
    "signal",
    "sqlstate",
    "state",
    "status",
    "type",
];

/// The few values of a group, each with its alerts; empty if none of them tells the reader
/// anything.
pub(super) fn list(pattern: &str, group: &Group) -> Line {
    let places = placeholders(pattern);
    let listed = group.values.0.iter().filter_map(|(place, values)| {
        let at = *places.get(*place)?;
        let label = label(&pattern[..at]);
        let is_number = pattern[at..].starts_with("<n>");
        let is_code = || {
            CODE_WORDS.binary_search(&&*label.to_lowercase()).is_ok() || is_prefix(&pattern[..at])
        };
        let is_repeated = || group.alerts >= REPEATED_MIN * values.len() as u64;
        let tells = values.len() > 1 && (!is_number || is_code() || is_repeated());
        tells.then(|| place_line(label, values))
    });
    let lines: Vec<Line> = listed.take(PLACES_MAX).collect();
    lines.join(&plain(" · "))
}

fn place_line(label: &str, values: &BTreeMap<String, u64>) -> Line {
    let mut ranked: Vec<_> = values.iter().collect();
    ranked.sort_by(|a, b| b.1.cmp(a.1).then_with(|| a.0.cmp(b.0)));
    let mut line = Vec::new();
    if !label.is_empty() {
        line.push(plain(format!("{} ", text::name(label, VALUE_BYTES_MAX))));
    }
    for (n, (value, alerts)) in ranked.into_iter().enumerate() {
        if n > 0 {
            line.push(plain(", "));
        }
        line.push(Inline::Code(text::name(value, VALUE_BYTES_MAX)));
        line.push(plain(format!(" ({})", thousands(*alerts))));
    }
    line
}

/// Where the placeholders of a pattern are.
fn placeholders(pattern: &str) -> Vec<usize> {
    pattern
        .match_indices('<')
        .map(|(at, _)| at)
        .filter(|at| placeholder_at(pattern, *at) > 0)
        .collect()
}

/// The word before a value.
fn label(before: &str) -> &str {
    let before = before.trim_end_matches(|c: char| !c.is_alphanumeric() && c != '>' && c != ']');
    let start = before
        .rfind(|c: char| !c.is_alphanumeric() && c != '_')
        .map_or(0, |at| at + before[at..].chars().next().map_or(1, char::len_utf8));
    &before[start..]
}

/// Whether a value follows capitals directly, as in `ORA-<n>`.
fn is_prefix(before: &str) -> bool {
    let word = before.rsplit(char::is_whitespace).next().unwrap_or(before);
    let letters = word.trim_end_matches('-');
    letters.len() >= 2 && letters.bytes().all(|byte| byte.is_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::message::tests::digests::{START, alert};
    use crate::model::tally::Tally;

    fn listed(messages: &[&str]) -> String {
        let alerts = messages
            .iter()
            .zip(START..)
            .map(|(message, at)| alert("1", "/ecs/a", at, (*message).to_owned()));
        let tally = Tally::of(&alerts.collect::<Vec<_>>()).clustered();
        let (pattern, group) = tally.groups.first_key_value().unwrap();
        assert_eq!(group.alerts, messages.len() as u64, "{pattern}");
        list(pattern, group).iter().map(Inline::as_str).collect()
    }

    #[test]
    fn few_values_are_listed_if_they_tell_alerts_apart() {
        let cases: &[(&[&str], &str)] = &[
            (
                &["ledger answered 503", "ledger answered 401", "ledger answered 503"],
                "answered 503 (2), 401 (1)",
            ),
            (&["exited with code 137", "exited with code 1"], "code 1 (1), 137 (1)"),
            (
                &["job failed: SQLSTATE 40P01", "job failed: SQLSTATE 23505"],
                "SQLSTATE 23505 (1), 40P01 (1)",
            ),
            (&["ORA-00600: x", "ORA-00942: x"], "ORA 00600 (1), 00942 (1)"),
            (
                &["status=5 user=ann", "status=6 user=bob"],
                "status 5 (1), 6 (1) · user ann (1), bob (1)",
            ),
            (&["no space on /var/log", "no space on /tmp"], "on /tmp (1), /var/log (1)"),
            (&["order 7 failed", "order 8 failed"], ""),
            (&["exit 1", "exit 2", "exit 3", "exit 4", "exit 5"], ""),
            (&["exit 1", "exit 1"], ""),
            (&["took 5 ms", "took 6 ms"], ""),
        ];
        for (messages, expected) in cases {
            assert_eq!(listed(messages), *expected);
        }
        let repeated: Vec<String> = (0..12).map(|n| format!("shard {} is behind", n % 3)).collect();
        assert_eq!(
            listed(&repeated.iter().map(String::as_str).collect::<Vec<_>>()),
            "shard 0 (4), 1 (4), 2 (4)"
        );
        assert!(CODE_WORDS.is_sorted());
    }

    #[test]
    fn values_of_another_pattern_are_ignored() {
        let tally = Tally::of(&[
            alert("1", "/ecs/a", START, "code 5".to_owned()),
            alert("1", "/ecs/a", START, "code 6".to_owned()),
        ]);
        let group = tally.groups.values().next().unwrap();
        assert!(list("no placeholder", group).is_empty());
    }
}
