//! The labels by which issues are found again, and the queries (JQL) that find them. A label has
//! no blanks, and none of ours has a character that JQL gives a meaning.

use std::time::Duration;

use crate::adapters::content_hash::ContentHash;
use crate::model::digest::Digest;
use crate::model::pattern::placeholder_at;

/// The longest label, in bytes.
const LABEL_BYTES_MAX: usize = 255;

/// Every issue has this label.
pub(super) const STENTOR: &str = "stentor";

/// The name of the issue for all patterns without one of their own.
pub(super) const REST: &str = "p-rest";

/// The route: `STACK/ROUTE`.
pub(super) fn route(stack: &str, digest: &Digest) -> String {
    label(&format!("{stack}/{}", digest.route))
}

/// The burst: `STACK/ROUTE/BURST`, the name of the incident.
pub(super) fn incident(stack: &str, digest: &Digest) -> String {
    label(&digest.incident_id(stack))
}

/// A pattern of the route: `STACK/ROUTE/p-HASH`.
pub(super) fn pattern(stack: &str, digest: &Digest, name: &str) -> String {
    label(&format!("{stack}/{}/{name}", digest.route))
}

/// The name of a pattern within its route. Placeholders are alike: the patterns of one window may
/// be clustered into `user <…> failed`, and those of the next into `user <n> failed`.
pub(super) fn pattern_name(pattern: &str) -> String {
    let (mut plain, mut at) = (String::with_capacity(pattern.len()), 0);
    while let Some(c) = pattern[at..].chars().next() {
        match placeholder_at(pattern, at) {
            0 => {
                plain.push(c);
                at += c.len_utf8();
            }
            placeholder => {
                plain.push('\0');
                at += placeholder;
            }
        }
    }
    format!("p-{}", ContentHash::of(&[&plain]))
}

/// Whether `label` names a burst of the route with the label `route`.
pub(super) fn is_incident_of(route: &str, label: &str) -> bool {
    let name = label.strip_prefix(route).and_then(|rest| rest.strip_prefix('/'));
    name.is_some_and(|name| name.starts_with(|c: char| c.is_ascii_digit()))
}

/// The issue of a burst and, with `reopen_within`, those of earlier bursts that were done so
/// recently.
pub(super) fn burst_query(
    project: &str,
    incident: &str,
    route: &str,
    reopen_within: Duration,
) -> String {
    let this = format!("labels = \"{incident}\"");
    let found = match done_since(reopen_within) {
        Some(since) => format!("({this} OR (labels = \"{route}\" AND {since}))"),
        None => this,
    };
    format!("project = \"{project}\" AND {found} ORDER BY created DESC")
}

/// The open issues with one of these labels and, with `reopen_within`, those that were done so
/// recently.
pub(super) fn open_query(project: &str, labels: &[String], reopen_within: Duration) -> String {
    let labels: Vec<String> = labels.iter().map(|label| format!("\"{label}\"")).collect();
    let labels = format!("labels in ({})", labels.join(", "));
    let status = match done_since(reopen_within) {
        Some(since) => format!("(statusCategory != Done OR ({since}))"),
        None => "statusCategory != Done".to_owned(),
    };
    format!("project = \"{project}\" AND {labels} AND {status} ORDER BY created DESC")
}

/// `None` without a period.
fn done_since(period: Duration) -> Option<String> {
    let minutes = period.as_secs().div_ceil(60);
    (minutes > 0)
        .then(|| format!("statusCategory = Done AND statusCategoryChangedDate >= -{minutes}m"))
}

/// `text` as a label. One that is too long ends with its hash.
fn label(text: &str) -> String {
    let is_fit = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\\' | ',');
    let fit: String = text.chars().map(|c| if is_fit(c) { c } else { '_' }).collect();
    if fit.len() <= LABEL_BYTES_MAX {
        return fit;
    }
    let hash = ContentHash::of(&[text]).to_string();
    format!("{}-{hash}", &fit[..fit.floor_char_boundary(LABEL_BYTES_MAX - hash.len() - 1)])
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::message::tests::any;

    #[test]
    fn a_pattern_has_the_same_name_whatever_its_placeholders() {
        let name = pattern_name("user <n> failed");
        assert_eq!(
            name, "p-3de0eced45c41c3b99c808afb4cdb76b",
            "stored in Jira, so it must not change"
        );
        assert_eq!(pattern_name("user <…> failed"), name);
        for other in ["user failed", "user <x> failed", "user <n> <n> failed", ""] {
            assert_ne!(pattern_name(other), name, "{other}");
        }
    }

    #[test]
    fn only_a_burst_is_an_incident() {
        let cases = [
            ("prod/critical/7", true),
            ("prod/critical/7-9", true),
            ("prod/critical", false),
            ("prod/critical/p-00", false),
            ("prod/critical2/7", false),
            ("stentor", false),
        ];
        for (label, expected) in cases {
            assert_eq!(is_incident_of("prod/critical", label), expected, "{label}");
        }
    }

    #[test]
    fn queries_find_open_issues_and_recently_done_ones() {
        let labels = ["a".to_owned(), "b".to_owned()];
        insta::assert_snapshot!(
            [
                burst_query("PAY", "prod/x/7", "prod/x", Duration::ZERO),
                burst_query("PAY", "prod/x/7", "prod/x", Duration::from_secs(5_401)),
                open_query("PAY", &labels, Duration::ZERO),
                open_query("PAY", &labels, Duration::from_secs(60)),
            ]
            .join("\n"),
            @r#"
    project = "PAY" AND labels = "prod/x/7" ORDER BY created DESC
    project = "PAY" AND (labels = "prod/x/7" OR (labels = "prod/x" AND statusCategory = Done AND statusCategoryChangedDate >= -91m)) ORDER BY created DESC
    project = "PAY" AND labels in ("a", "b") AND statusCategory != Done ORDER BY created DESC
    project = "PAY" AND labels in ("a", "b") AND (statusCategory != Done OR (statusCategory = Done AND statusCategoryChangedDate >= -1m)) ORDER BY created DESC
    "#
        );
    }

    proptest! {
        #[test]
        fn a_label_has_no_blank_and_fits(digest in any::digest(), stack in any::<String>(), pattern in any::<String>()) {
            for label in [route(&stack, &digest), incident(&stack, &digest), super::pattern(&stack, &digest, &pattern_name(&pattern))] {
                prop_assert!((1..=LABEL_BYTES_MAX).contains(&label.len()), "{label}");
                prop_assert!(!label.contains(|c: char| c.is_whitespace() || c.is_control() || c == '"' || c == '\\'), "{label}");
            }
        }

        #[test]
        fn long_labels_stay_different(text in "[a-z]{260,300}", end in "[A-Z]") {
            prop_assert_ne!(label(&text), label(&(text.clone() + &end)));
        }
    }
}
