//! A digest → one digest for each pattern, and one for the rest.

use super::label;
use super::reference::BurstIssues;
use crate::model::digest::Digest;
use crate::model::pattern::pattern_id;
use crate::model::tally::{Group, Tally};

/// The most issues that one digest is reported to, without the one for the rest.
pub(super) const PATTERNS_MAX: usize = 10;

/// The most issues of a burst, without the one for the rest.
pub(super) const BURST_PATTERNS_MAX: usize = 30;

/// The part of a digest that one issue is about.
#[derive(Clone, Debug)]
pub(super) struct PatternDigest {
    /// The name of the pattern in labels.
    pub(super) name: String,
    pub(super) digest: Digest,
}

/// The parts of `digest`, in the order of its groups, the rest at the end. Their counts add up to
/// those of the digest. `known` limits the number of issues.
pub(super) fn split(digest: &Digest, known: &BurstIssues) -> Vec<PatternDigest> {
    let mut parts: Vec<(String, Vec<Tally>)> = Vec::new();
    let mut rest = Vec::new();
    let mut new_max = BURST_PATTERNS_MAX.saturating_sub(known.len());
    for (pattern, group) in digest.groups() {
        let name = label::pattern_name(pattern);
        let tally = tally_of(digest, pattern, group);
        if let Some((_, tallies)) = parts.iter_mut().find(|(known, _)| *known == name) {
            tallies.push(tally);
            continue;
        }
        let is_new = known.get(&name).is_none();
        if parts.len() == PATTERNS_MAX || is_new && new_max == 0 {
            rest.push(tally);
            continue;
        }
        new_max -= usize::from(is_new);
        parts.push((name, vec![tally]));
    }
    let Tally { other, span, ref ungrouped, .. } = digest.tally;
    let alerts = ungrouped.alerts() + other;
    if alerts > 0 {
        let ungrouped = ungrouped.clone();
        rest.push(Tally { alerts, ungrouped, other, span, ..Tally::default() });
    }
    // A report of missing alerts has no pattern.
    if !rest.is_empty() || digest.lost_epochs > 0 {
        parts.push((label::REST.to_owned(), rest));
    }
    let parts = parts.into_iter().enumerate();
    parts.map(|(at, (name, tallies))| part(digest, at == 0, name, &tallies)).collect()
}

/// The facts of the whole digest go to the first part only.
fn part(digest: &Digest, is_first: bool, name: String, tallies: &[Tally]) -> PatternDigest {
    let whole = digest.clone();
    let digest = Digest {
        tally: Tally::sum(tallies),
        burst: None,
        backlog: whole.backlog.filter(|_| is_first),
        muted: if is_first { whole.muted } else { 0 },
        held: whole.held.filter(|_| is_first),
        ..whole
    };
    PatternDigest { name, digest }
}

fn tally_of(digest: &Digest, pattern: &str, group: &Group) -> Tally {
    let news = digest.tally.news_of(pattern);
    Tally {
        news: news.map(|news| (pattern_id(pattern), news)).into_iter().collect(),
        alerts: group.alerts,
        span: Some(group.span),
        markers: [(group.sample.marker.clone(), group.alerts)].into(),
        groups: [(pattern.to_owned(), group.clone())].into(),
        accounts: group.accounts.clone(),
        log_groups: group.log_groups.clone(),
        apps: group.apps.clone(),
        ..Tally::default()
    }
}

#[cfg(test)]
mod tests;
