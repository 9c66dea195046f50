//! A tally: what a set of alerts of one route amounts to, small enough for one database item and
//! mergeable in any order. Commit writes a tally beside the rows it counts; freezing a window merges
//! the tallies into an epoch; delivering merges epochs into a digest.
//!
//! Counts are exact whatever happens. Detail is not: when a tally has more patterns, names or text
//! than its size allows, the smallest go, and what they counted moves to "other".

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::model::alert::Alert;
use crate::model::text::{truncate, truncated};
use crate::model::time::Timestamp;

/// Serialised size of the tally that a commit writes, in bytes.
pub const TALLY_BYTES_MAX: usize = 8 * 1024;
/// Serialised size of the merged tally in an epoch or a digest, in bytes. DynamoDB takes items up to
/// 400 KB; a transaction carries one epoch beside 97 deletes, and a message shows far less.
pub const EPOCH_BYTES_MAX: usize = 48 * 1024;

const SAMPLE_BYTES_MAX: usize = 1024;
/// To what samples are cut, one after the other, before a group has to go.
const SAMPLE_BYTES_SHORT: [usize; 3] = [512, 256, 120];
const NAMES_MAX: usize = 12;
const BUCKETS_MAX: i64 = 40;

/// What some alerts amount to. `Tally::default()` is the neutral element of merging.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// How many alerts are counted: always the sum over `groups` and `other`.
    pub alerts: u64,
    /// Earliest and latest time stamp among them; `None` when nothing is counted.
    pub span: Option<Span>,
    /// Alerts by marker.
    pub markers: BTreeMap<String, u64>,
    /// Alerts by pattern: lines that are alike but for numbers, ids, addresses and quoted values.
    pub groups: BTreeMap<String, Group>,
    /// Alerts of patterns that did not fit.
    pub other: u64,
    pub accounts: Names,
    pub log_groups: Names,
    pub apps: Names,
    pub histogram: Histogram,
}

/// First and last time stamp of some alerts.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub first: Timestamp,
    pub last: Timestamp,
}

/// Alerts that share a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub alerts: u64,
    pub span: Span,
    /// The earliest of them, as it was written (redacted, cut to 1 KiB or less).
    pub sample: Sample,
    pub accounts: Names,
    pub log_groups: Names,
    pub apps: Names,
}

/// One real alert that stands for its group, and where to find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub id: String,
    pub timestamp: Timestamp,
    pub marker: String,
    pub message: String,
    pub account_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    pub log_group: String,
    pub log_stream: String,
    pub app_name: String,
}

/// Alerts by some name (account, log group, app): the most frequent ones by name, the rest as a sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    pub seen: BTreeMap<String, u64>,
    /// Alerts whose name did not fit. Not zero: there are more names than `seen` has.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other: u64,
}

/// How many alerts fell into each slice of time. Slices are `1 << shift` milliseconds wide and
/// aligned to multiples of their width, so two histograms merge exactly once the finer one is
/// coarsened; there are never more than 40 slices from first to last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    pub shift: u8,
    /// Slice number (time stamp >> shift) to alerts.
    pub slices: BTreeMap<i64, u64>,
}

impl Tally {
    /// Counts `alerts`; the result fits [`TALLY_BYTES_MAX`].
    pub fn of<'a>(alerts: impl IntoIterator<Item = &'a Alert>) -> Self {
        let mut tally = Self::default();
        for alert in alerts {
            tally.count(alert);
        }
        tally.shrink_to(TALLY_BYTES_MAX);
        tally
    }

    /// The sum of `tallies`; the result fits [`EPOCH_BYTES_MAX`].
    pub fn sum<'a>(tallies: impl IntoIterator<Item = &'a Tally>) -> Self {
        let mut sum = Self::default();
        for tally in tallies {
            sum.merge(tally);
        }
        sum.shrink_to(EPOCH_BYTES_MAX);
        sum
    }

    pub fn is_empty(&self) -> bool {
        self.alerts == 0
    }

    fn count(&mut self, alert: &Alert) {
        let span = Span { first: alert.timestamp, last: alert.timestamp };
        let origin = &alert.origin;
        self.alerts += 1;
        self.span = Some(self.span.map_or(span, |known| known.with(span)));
        add(&mut self.markers, &alert.marker, 1);
        self.accounts.add(&alert.account_id, 1);
        self.log_groups.add(&origin.log_group, 1);
        self.apps.add(&origin.app_name, 1);
        self.histogram.add(alert.timestamp, 1);
        let pattern = alert.pattern.as_str();
        if !self.groups.contains_key(pattern) {
            self.groups.insert(pattern.to_owned(), Group::none(alert, span));
        }
        let group = self.groups.get_mut(pattern).expect("invariant: it was made if it was not there");
        group.alerts += 1;
        group.span = group.span.with(span);
        group.accounts.add(&alert.account_id, 1);
        group.log_groups.add(&origin.log_group, 1);
        group.apps.add(&origin.app_name, 1);
        if (alert.timestamp, alert.id.as_str()) < group.sample.order() {
            group.sample = Sample::of(alert);
        }
    }

    /// Adds what `more` counts. Does not bound the size: see [`Tally::sum`].
    fn merge(&mut self, more: &Tally) {
        self.alerts += more.alerts;
        self.span = match (self.span, more.span) {
            (Some(a), Some(b)) => Some(a.with(b)),
            (a, b) => a.or(b),
        };
        for (marker, n) in &more.markers {
            add(&mut self.markers, marker, *n);
        }
        for (pattern, group) in &more.groups {
            match self.groups.get_mut(pattern) {
                Some(known) => known.merge(group),
                None => drop(self.groups.insert(pattern.clone(), group.clone())),
            }
        }
        self.other += more.other;
        self.accounts.merge(&more.accounts);
        self.log_groups.merge(&more.log_groups);
        self.apps.merge(&more.apps);
        self.histogram.merge(&more.histogram);
    }

    /// Gives up detail until the serialised tally fits `bytes_max`: first long samples, then the
    /// smallest groups. Never a count.
    fn shrink_to(&mut self, bytes_max: usize) {
        self.for_all_names(Names::shrink);
        if self.serialised_bytes() <= bytes_max {
            return;
        }
        for sample_bytes_max in SAMPLE_BYTES_SHORT {
            for group in self.groups.values_mut() {
                truncate(&mut group.sample.message, sample_bytes_max);
            }
            if self.serialised_bytes() <= bytes_max {
                return;
            }
        }
        let mut bytes = self.serialised_bytes();
        for pattern in self.smallest_first() {
            if bytes <= bytes_max {
                return;
            }
            let Some(group) = self.groups.remove(&pattern) else { continue };
            bytes -= serialised_bytes(&group) + pattern.len();
            self.other += group.alerts;
        }
        // What is left is bounded but for very long names, which go next.
        if self.serialised_bytes() > bytes_max {
            self.for_all_names(Names::forget);
        }
        debug_assert!(self.serialised_bytes() <= bytes_max, "a tally without names and groups is small");
    }

    fn smallest_first(&self) -> Vec<String> {
        let mut order: Vec<_> = self.groups.iter().collect();
        order.sort_by(|a, b| a.1.alerts.cmp(&b.1.alerts).then_with(|| b.0.cmp(a.0)));
        order.into_iter().map(|(pattern, _)| pattern.clone()).collect()
    }

    fn for_all_names(&mut self, change: fn(&mut Names)) {
        let of_groups = self.groups.values_mut().flat_map(|g| [&mut g.accounts, &mut g.log_groups, &mut g.apps]);
        of_groups.chain([&mut self.accounts, &mut self.log_groups, &mut self.apps]).for_each(change);
    }

    fn serialised_bytes(&self) -> usize {
        serialised_bytes(self)
    }
}

impl Span {
    fn with(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

impl Group {
    /// The group that `alert` begins and that does not count it yet.
    fn none(alert: &Alert, span: Span) -> Self {
        Self {
            alerts: 0,
            span,
            sample: Sample::of(alert),
            accounts: Names::default(),
            log_groups: Names::default(),
            apps: Names::default(),
        }
    }

    fn merge(&mut self, more: &Group) {
        self.alerts += more.alerts;
        self.span = self.span.with(more.span);
        self.accounts.merge(&more.accounts);
        self.log_groups.merge(&more.log_groups);
        self.apps.merge(&more.apps);
        if more.sample.order() < self.sample.order() {
            self.sample = more.sample.clone();
        }
    }
}

impl Sample {
    fn of(alert: &Alert) -> Self {
        Self {
            id: alert.id.to_string(),
            timestamp: alert.timestamp,
            marker: alert.marker.to_string(),
            message: truncated(&alert.message, SAMPLE_BYTES_MAX),
            account_id: alert.account_id.to_string(),
            region: alert.region.as_deref().map(str::to_owned),
            log_group: alert.origin.log_group.clone(),
            log_stream: alert.origin.log_stream.clone(),
            app_name: alert.origin.app_name.clone(),
        }
    }

    /// Which of two samples a group keeps: the earliest, so that merging in any order ends alike.
    fn order(&self) -> (Timestamp, &str) {
        (self.timestamp, &self.id)
    }
}

impl Names {
    fn add(&mut self, name: &str, alerts: u64) {
        add(&mut self.seen, name, alerts);
    }

    fn merge(&mut self, more: &Names) {
        for (name, n) in &more.seen {
            self.add(name, *n);
        }
        self.other += more.other;
    }

    fn shrink(&mut self) {
        if self.seen.len() <= NAMES_MAX {
            return;
        }
        let mut order: Vec<_> = std::mem::take(&mut self.seen).into_iter().collect();
        order.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        self.other += order.drain(NAMES_MAX..).map(|(_, n)| n).sum::<u64>();
        self.seen = order.into_iter().collect();
    }

    fn forget(&mut self) {
        self.other += std::mem::take(&mut self.seen).into_values().sum::<u64>();
    }
}

impl Histogram {
    fn add(&mut self, at: Timestamp, alerts: u64) {
        *self.slices.entry(at.as_millis() >> self.shift).or_default() += alerts;
        self.coarsen();
    }

    fn merge(&mut self, more: &Histogram) {
        if self.slices.is_empty() {
            self.clone_from(more);
            return;
        }
        let mut more = more.clone();
        self.widen_to(more.shift);
        more.widen_to(self.shift);
        for (slice, n) in more.slices {
            *self.slices.entry(slice).or_default() += n;
        }
        self.coarsen();
    }

    fn coarsen(&mut self) {
        while let (Some((first, _)), Some((last, _))) = (self.slices.first_key_value(), self.slices.last_key_value()) {
            // In 128 bits: time stamps are whatever a producer sent.
            if i128::from(*last) - i128::from(*first) < i128::from(BUCKETS_MAX) {
                return;
            }
            self.widen_to(self.shift + 1);
        }
    }

    fn widen_to(&mut self, shift: u8) {
        if shift <= self.shift {
            return;
        }
        let by = shift - self.shift;
        let mut wider = BTreeMap::new();
        for (slice, n) in std::mem::take(&mut self.slices) {
            *wider.entry(slice >> by).or_default() += n;
        }
        *self = Self { shift, slices: wider };
    }
}

/// A name is copied once, when it is first seen.
fn add(counts: &mut BTreeMap<String, u64>, name: &str, alerts: u64) {
    match counts.get_mut(name) {
        Some(n) => *n += alerts,
        None => drop(counts.insert(name.to_owned(), alerts)),
    }
}

fn serialised_bytes(value: &impl Serialize) -> usize {
    let mut bytes = Counted(0);
    serde_json::to_writer(&mut bytes, value).expect("invariant: string keys and plain data always serialise");
    bytes.0
}

/// Takes whatever is written, and keeps its length.
struct Counted(usize);

impl Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde's skip_serializing_if wants")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests;
