//! Alerts of patterns without a group: a tally that has no room for their samples still knows how
//! many patterns they have.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Group, Names, Span, Tally, json_bytes};
use crate::model::time::Timestamp;

/// At most this part of a tally is for patterns without a group.
const PART_OF_TALLY: usize = 6;

/// Alerts by pattern. A pattern can have a group, too, from another tally.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Ungrouped(pub BTreeMap<String, AlertCount>);

/// How many alerts, and when.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "(u64, Timestamp, Timestamp)", into = "(u64, Timestamp, Timestamp)")]
pub struct AlertCount {
    pub alerts: u64,
    pub span: Span,
}

impl Ungrouped {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The number of patterns.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn alerts(&self) -> u64 {
        self.0.values().fold(0, |sum, count| sum.saturating_add(count.alerts))
    }

    pub(super) fn merge(&mut self, more: &Self) {
        for (pattern, count) in &more.0 {
            match self.0.get_mut(pattern) {
                Some(known) => known.merge(*count),
                None => drop(self.0.insert(pattern.clone(), *count)),
            }
        }
    }

    pub(super) fn add(&mut self, pattern: String, count: AlertCount) {
        self.0.entry(pattern).and_modify(|known| known.merge(count)).or_insert(count);
    }

    /// Drops the smallest until the rest fits a tally of `bytes_max`. Returns the alerts of those,
    /// and the bytes that are left.
    pub(super) fn shrink(&mut self, bytes_max: usize) -> (u64, usize) {
        let mut order: Vec<_> =
            self.0.iter().map(|(pattern, count)| (count.alerts, pattern.clone())).collect();
        order.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| b.1.cmp(&a.1)));
        let (mut dropped, mut bytes) = (0, json_bytes(self));
        for (alerts, pattern) in order {
            if bytes <= bytes_max / PART_OF_TALLY {
                break;
            }
            if let Some(count) = self.0.remove(&pattern) {
                bytes -= entry_bytes(&pattern, count);
                dropped += alerts;
            }
        }
        (dropped, bytes)
    }

    /// Whether there is room for `pattern` in a tally of `bytes_max`, and the bytes that it adds to
    /// the `bytes` of the others.
    pub(super) fn room(
        &self,
        pattern: &str,
        count: AlertCount,
        bytes: usize,
        bytes_max: usize,
    ) -> Option<usize> {
        let more = entry_bytes(pattern, count);
        (bytes + more <= bytes_max / PART_OF_TALLY).then_some(more)
    }
}

/// The bytes of `"pattern":[7,1795443306000,1795443306000],`.
fn entry_bytes(pattern: &str, count: AlertCount) -> usize {
    json_bytes(&pattern) + json_bytes(&count) + ":,".len()
}

impl AlertCount {
    pub(super) fn of(group: &Group) -> Self {
        Self { alerts: group.alerts, span: group.span }
    }

    pub(super) fn merge(&mut self, more: Self) {
        self.alerts += more.alerts;
        self.span = self.span.with(more.span);
    }
}

impl From<(u64, Timestamp, Timestamp)> for AlertCount {
    fn from((alerts, first, last): (u64, Timestamp, Timestamp)) -> Self {
        Self { alerts, span: Span { first, last } }
    }
}

impl From<AlertCount> for (u64, Timestamp, Timestamp) {
    fn from(count: AlertCount) -> Self {
        (count.alerts, count.span.first, count.span.last)
    }
}

impl Group {
    /// Counts alerts of its pattern without a sample, of a tally with these names.
    pub(super) fn count_ungrouped(&mut self, count: AlertCount, of: &Tally) {
        self.alerts += count.alerts;
        self.span = self.span.with(count.span);
        // They have no values, and no names of their own.
        self.values.0.clear();
        for (names, all) in [
            (&mut self.accounts, &of.accounts),
            (&mut self.log_groups, &of.log_groups),
            (&mut self.apps, &of.apps),
        ] {
            names.add_unnamed(count.alerts, all);
        }
    }
}

impl Names {
    /// Counts alerts whose name is one of `all`.
    fn add_unnamed(&mut self, alerts: u64, all: &Self) {
        match all.seen.keys().next() {
            Some(only) if all.seen.len() == 1 && all.other == 0 => self.add(only, alerts),
            _ => self.other += alerts,
        }
    }
}
