//! The parts of a digest: how many, and that nothing is lost between them.

use std::collections::BTreeSet;

use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::message::tests::any;
use crate::message::tests::digests::{
    digest, flood, flood_in_burst, patterns_beyond_the_tally, twenty_patterns,
};

/// As many issues of other patterns.
fn known(count: usize) -> BurstIssues {
    let issues: Vec<_> =
        (0..count).map(|n| json!([format!("p-{n}"), format!("PAY-{}", n + 1)])).collect();
    serde_json::from_value(json!({"site": "x", "project": "PAY", "issues": issues})).unwrap()
}

fn alerts(parts: &[PatternDigest]) -> Vec<(&str, u64)> {
    parts.iter().map(|part| (part.name.as_str(), part.digest.tally.alerts)).collect()
}

#[test]
fn the_largest_patterns_have_issues_and_the_rest_shares_one() {
    let parts = split(&twenty_patterns(), &BurstIssues::default());
    assert_eq!(parts.len(), PATTERNS_MAX + 1);
    assert_eq!(parts[PATTERNS_MAX].name, "p-rest");
    let parts = split(&digest(flood()), &BurstIssues::default());
    assert_eq!(
        alerts(&parts).iter().map(|(_, alerts)| alerts).collect::<Vec<_>>(),
        [&112, &48, &21, &5, &1]
    );
    assert!(parts.iter().all(|part| part.digest.tally.groups.len() == 1));
}

#[test]
fn a_report_of_missing_alerts_has_an_issue() {
    let (route, target) = ("critical".parse().unwrap(), "jira:pay".parse().unwrap());
    let parts = split(&Digest::lost(&route, &target, None, (3, 5)), &BurstIssues::default());
    assert_eq!(alerts(&parts), [("p-rest", 0)]);
    assert_eq!(parts[0].digest.lost_epochs, 3);
}

#[test]
fn a_burst_has_a_limited_number_of_issues() {
    for (count, expected) in [(0, 10), (25, 5), (29, 1), (30, 0), (31, 0)] {
        let parts = split(&twenty_patterns(), &known(count));
        assert_eq!(parts.len(), expected + 1, "{count} issues before");
    }
    let mut full = known(BURST_PATTERNS_MAX);
    let name = split(&twenty_patterns(), &BurstIssues::default())[3].name.clone();
    let key = full.keys().next().unwrap().clone();
    full.set(&name, key);
    let parts = split(&twenty_patterns(), &full);
    assert_eq!([&*parts[0].name, &*parts[1].name], [&*name, "p-rest"], "one that exists is used");
}

#[test]
fn only_the_first_part_says_how_many_alerts_were_muted() {
    let digest = Digest { muted: 3, ..flood_in_burst() };
    let parts = split(&digest, &BurstIssues::default());
    assert!(parts.len() > 1 && parts.iter().all(|part| part.digest.burst.is_none()));
    assert_eq!(parts.iter().map(|part| part.digest.muted).sum::<u64>(), 3);
}

#[test]
fn alerts_of_unknown_patterns_are_in_the_rest() {
    let digest = patterns_beyond_the_tally();
    let parts = split(&digest, &BurstIssues::default());
    assert!(parts.last().unwrap().digest.tally.other >= digest.tally.other);
}

proptest! {
    #[test]
    fn the_counts_add_up(digest in any::digest(), count in 0..40_usize) {
        let parts = split(&digest, &known(count));
        let sum: u64 = parts.iter().map(|part| part.digest.tally.alerts).sum();
        prop_assert_eq!(sum, digest.tally.alerts);
        prop_assert!(parts.len() <= PATTERNS_MAX + 1);
        let names: BTreeSet<&str> = parts.iter().map(|part| part.name.as_str()).collect();
        prop_assert_eq!(names.len(), parts.len());
        prop_assert!(parts.iter().all(|part| part.digest.tally.alerts > 0));
    }
}
