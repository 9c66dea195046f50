//! A tally: the counts and samples of some alerts of one route. It fits one database item, and
//! tallies merge in any order. A commit writes a tally with the rows that it counts, a freeze
//! merges the tallies of a window into an epoch, and a delivery merges epochs into a digest.
//!
//! Counts are always exact. Detail is limited: if a tally has more patterns, names or text than its
//! size allows, the smallest groups lose their samples and move to `ungrouped`. Where even the
//! patterns are too many, the smallest are dropped, and their counts move to `other`.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::model::alert::{Alert, AlertOnRoute, LogContext};
use crate::model::cluster::{Cluster, ClusterPlace, cluster};
use crate::model::history::News;
use crate::model::name::Severity;
use crate::model::pattern::{Pattern, VALUE_BYTES_MAX};
use crate::model::time::Timestamp;
use crate::model::truncate::{around, truncate, truncated, truncated_start};

#[cfg(feature = "cli")]
mod erase;
mod news;
mod ungrouped;

pub use ungrouped::{AlertCount, Ungrouped};

/// The largest tally that a commit writes, in bytes of JSON.
pub const TALLY_BYTES_MAX: usize = 8 * 1024;
/// The largest merged tally of an epoch or a digest, in bytes of JSON. The limit of a DynamoDB item
/// is 400 KB. A transaction contains one epoch and 97 deletes, and a message shows far less.
pub const EPOCH_BYTES_MAX: usize = 48 * 1024;

const SAMPLE_BYTES_MAX: usize = 1024;
const SAMPLE_STATEMENT_BYTES_MAX: usize = 300;
const SAMPLE_CONTEXT_BYTES_MAX: usize = 300;
/// The limits to which samples are cut, one after the other, before a group is dropped.
const SAMPLE_BYTES_SHORT: [usize; 3] = [512, 256, 120];
/// A place of a pattern keeps so many distinct values.
const VALUES_MAX: usize = 4;
const NAMES_MAX: usize = 12;
const SLICES_MAX: i64 = 40;

/// Counts and samples of some alerts. `Tally::default()` counts none.
///
/// ```
/// use std::sync::Arc;
///
/// use stentor::model::alert::{Alert, AlertId, Origin};
/// use stentor::model::pattern::Pattern;
/// use stentor::model::tally::Tally;
/// use stentor::model::time::Timestamp;
///
/// let origin = Arc::new(Origin::new("123456789012", "/aws/lambda/shop", "s", None, "shard:1"));
/// let alert = |id: &str, message: &str| Alert {
///     id: AlertId::new(id, &origin),
///     timestamp: Timestamp::from_millis(1_795_443_306_789),
///     marker: "[CRITICAL]".into(),
///     message: message.to_owned(),
///     left_out: 0,
///     context: None,
///     statement: None,
///     pattern: Pattern::of(message, "[CRITICAL]"),
///     routes: Arc::from(["critical".parse().unwrap()]),
///     severities: [].into(),
///     account_id: "123456789012".into(),
///     region: None,
///     origin: Arc::clone(&origin),
/// };
/// let first = Tally::of(&[alert("1", "[CRITICAL] order 7 failed")]);
/// let second = Tally::of(&[alert("2", "[CRITICAL] order 8 failed")]);
///
/// let sum = Tally::sum([&first, &second]);
/// assert_eq!(sum, Tally::sum([&second, &first]));
/// assert_eq!(sum.groups["[CRITICAL] order <n> failed"].alerts, 2);
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// The number of alerts: always the sum over `groups`, `ungrouped` and `other`.
    pub alerts: u64,
    /// `None` if there are no alerts.
    pub span: Option<Span>,
    /// Alerts by marker.
    pub markers: BTreeMap<String, u64>,
    /// Alerts by severity, of those that got one by the conditions of the route.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub severities: BTreeMap<Severity, u64>,
    /// Alerts by pattern.
    pub groups: BTreeMap<String, Group>,
    /// Alerts of patterns whose samples did not fit.
    #[serde(default, skip_serializing_if = "Ungrouped::is_empty")]
    pub ungrouped: Ungrouped,
    /// Alerts of patterns that did not fit.
    pub other: u64,
    /// The patterns that are news, by id ([`pattern_id`](crate::model::pattern::pattern_id)).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub news: BTreeMap<String, News>,
    pub accounts: Names,
    pub log_groups: Names,
    pub apps: Names,
    pub histogram: Histogram,
}

/// Earliest and latest timestamp of some alerts.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Span {
    pub first: Timestamp,
    pub last: Timestamp,
}

/// Alerts that share a pattern.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Group {
    pub alerts: u64,
    /// Alerts by severity, of those that got one by the conditions of the route.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub severities: BTreeMap<Severity, u64>,
    pub span: Span,
    /// The earliest of the worst of them, redacted and cut to 1 KiB or less.
    pub sample: Sample,
    pub accounts: Names,
    pub log_groups: Names,
    pub apps: Names,
    #[serde(default, skip_serializing_if = "Values::is_empty")]
    pub values: Values,
}

/// What stands at the placeholders of a pattern: for each placeholder, by its number, the alerts by
/// value. A placeholder is absent if it has more than four values, or one that is not kept. Then it
/// stays absent, so the counts of a placeholder are always those of all alerts of the group.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Values(pub BTreeMap<usize, BTreeMap<String, u64>>);

/// One alert of a group, and where to find it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sample {
    pub id: String,
    pub timestamp: Timestamp,
    pub marker: String,
    /// By the conditions of the route.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The statement of the log event; `None` if `message` is no more than that.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub statement: Option<String>,
    /// The log event from its statement on, or more of it if it is short.
    pub message: String,
    /// The size of the whole log event.
    #[serde(default)]
    pub message_bytes: u64,
    /// The nearest of the log events before and after it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<String>,
    pub account_id: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
    pub log_group: String,
    pub log_stream: String,
    pub app_name: String,
}

/// Alerts by account, log group or application: the most frequent names, and the rest as a sum.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Names {
    pub seen: BTreeMap<String, u64>,
    /// Alerts of names that did not fit.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub other: u64,
}

/// Alerts by slice of time. Slices are `1 << shift` milliseconds wide and aligned to multiples of
/// their width, so two histograms of different widths merge exactly. There are at most 40 slices
/// from the first to the last.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    pub shift: u8,
    /// From slice number (timestamp >> shift) to alerts.
    pub slices: BTreeMap<i64, u64>,
}

impl Tally {
    /// Counts alerts of one route. The result fits [`TALLY_BYTES_MAX`].
    pub fn of<'a>(alerts: impl IntoIterator<Item = impl Into<AlertOnRoute<'a>>>) -> Self {
        let mut tally = Self::default();
        for alert in alerts {
            tally.count(alert.into());
        }
        tally.shrink_to(TALLY_BYTES_MAX);
        tally
    }

    /// The sum of `tallies`. The result fits [`EPOCH_BYTES_MAX`].
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

    fn count(&mut self, AlertOnRoute { alert, severity }: AlertOnRoute<'_>) {
        let span = Span { first: alert.timestamp, last: alert.timestamp };
        let origin = &alert.origin;
        self.alerts += 1;
        self.span = Some(self.span.map_or(span, |known| known.with(span)));
        add(&mut self.markers, &alert.marker, 1);
        add_severities(&mut self.severities, severity.map(|severity| (severity, 1)));
        self.accounts.add(&alert.account_id, 1);
        self.log_groups.add(&origin.log_group, 1);
        self.apps.add(&origin.app_name, 1);
        self.histogram.add(alert.timestamp, 1);
        let pattern = alert.pattern.as_str();
        if !self.groups.contains_key(pattern) {
            self.groups.insert(pattern.to_owned(), Group::empty(alert, severity, span));
        }
        let group = self.groups.get_mut(pattern).expect("invariant: inserted above");
        group.values.add(&alert.pattern, group.alerts == 0);
        group.alerts += 1;
        add_severities(&mut group.severities, severity.map(|severity| (severity, 1)));
        group.span = group.span.with(span);
        group.accounts.add(&alert.account_id, 1);
        group.log_groups.add(&origin.log_group, 1);
        group.apps.add(&origin.app_name, 1);
        if (Reverse(severity), alert.timestamp, alert.id.as_str()) < group.sample.order() {
            group.sample = Sample::of(alert, severity);
        }
    }

    /// Adds the counts of `more`. Does not limit the size: see [`Tally::sum`].
    fn merge(&mut self, more: &Tally) {
        self.alerts += more.alerts;
        self.span = match (self.span, more.span) {
            (Some(a), Some(b)) => Some(a.with(b)),
            (a, b) => a.or(b),
        };
        for (marker, n) in &more.markers {
            add(&mut self.markers, marker, *n);
        }
        add_severities(&mut self.severities, more.severities.clone());
        for (pattern, group) in &more.groups {
            match self.groups.get_mut(pattern) {
                Some(known) => known.merge(group),
                None => drop(self.groups.insert(pattern.clone(), group.clone())),
            }
        }
        self.ungrouped.merge(&more.ungrouped);
        self.other += more.other;
        self.merge_news(&more.news);
        self.accounts.merge(&more.accounts);
        self.log_groups.merge(&more.log_groups);
        self.apps.merge(&more.apps);
        self.histogram.merge(&more.histogram);
    }

    /// The tally with one group for similar patterns, for a reader. Not for storing: the patterns
    /// of two windows may form other clusters together.
    #[must_use]
    pub fn clustered(mut self) -> Self {
        let all = self.groups.keys().chain(self.ungrouped.0.keys());
        let patterns: BTreeSet<&str> = all.map(String::as_str).collect();
        let patterns: Vec<&str> = patterns.into_iter().collect();
        let clusters = cluster(&patterns);
        if clusters.len() == self.groups.len() + self.ungrouped.len() {
            return self;
        }
        let groups: Vec<Option<Group>> =
            patterns.iter().map(|pattern| self.groups.get(*pattern).cloned()).collect();
        let counts: Vec<Option<AlertCount>> =
            patterns.iter().map(|pattern| self.ungrouped.0.get(*pattern).copied()).collect();
        self.news = self.news_of_clusters(&patterns, &clusters);
        (self.groups, self.ungrouped) = Default::default();
        for cluster in clusters {
            let mut count: Option<AlertCount> = None;
            for more in cluster.members.iter().filter_map(|at| counts[*at]) {
                count.get_or_insert(AlertCount { alerts: 0, ..more }).merge(more);
            }
            let Some(mut merged) = Group::merged(&groups, &cluster) else {
                count
                    .into_iter()
                    .for_each(|count| self.ungrouped.add(cluster.pattern.clone(), count));
                continue;
            };
            if let Some(count) = count {
                merged.count_ungrouped(count, &self);
            }
            match self.groups.get_mut(&cluster.pattern) {
                // Two clusters that look the same to the reader.
                Some(known) => {
                    known.merge(&merged);
                    known.values = Values::default();
                }
                None => drop(self.groups.insert(cluster.pattern, merged)),
            }
        }
        self.shrink_to(EPOCH_BYTES_MAX);
        self
    }

    /// Drops detail until the tally fits `bytes_max`: first the values and what is around the
    /// samples, then long samples, then the mildest and smallest groups. Counts stay exact.
    ///
    /// News has no part in it: it is as large as the patterns that are left, and what is new must not make
    /// room for itself.
    fn shrink_to(&mut self, bytes_max: usize) {
        let news = std::mem::take(&mut self.news);
        self.shrink_detail_to(bytes_max);
        self.news = self.known_news(news);
    }

    fn shrink_detail_to(&mut self, bytes_max: usize) {
        self.for_all_names(Names::shrink);
        if self.json_bytes() <= bytes_max {
            return;
        }
        for group in self.groups.values_mut() {
            group.values = Values::default();
            (group.sample.before, group.sample.after) = (None, None);
        }
        if self.json_bytes() <= bytes_max {
            return;
        }
        for sample_bytes_max in SAMPLE_BYTES_SHORT {
            for group in self.groups.values_mut() {
                truncate(&mut group.sample.message, sample_bytes_max);
            }
            if self.json_bytes() <= bytes_max {
                return;
            }
        }
        let (dropped, mut ungrouped_bytes) = self.ungrouped.shrink(bytes_max);
        self.other += dropped;
        let mut bytes = self.json_bytes() + "\"ungrouped\":{},".len();
        for pattern in self.least_first() {
            if bytes <= bytes_max {
                return;
            }
            let Some(group) = self.groups.remove(&pattern) else { continue };
            bytes -= json_bytes(&group) + pattern.len();
            let count = AlertCount::of(&group);
            match self.ungrouped.room(&pattern, count, ungrouped_bytes, bytes_max) {
                Some(more) => {
                    (bytes, ungrouped_bytes) = (bytes + more, ungrouped_bytes + more);
                    self.ungrouped.add(pattern, count);
                }
                None => self.other += group.alerts,
            }
        }
        // Only very long names can still be too large.
        if self.json_bytes() > bytes_max {
            self.for_all_names(Names::clear);
        }
        debug_assert!(self.json_bytes() <= bytes_max, "a tally without names and groups is small");
    }

    fn least_first(&self) -> Vec<String> {
        let mut order: Vec<_> = self.groups.iter().collect();
        order.sort_by_key(|(pattern, group)| (group.severity(), group.alerts, Reverse(*pattern)));
        order.into_iter().map(|(pattern, _)| pattern.clone()).collect()
    }

    fn for_all_names(&mut self, change: fn(&mut Names)) {
        let of_groups = self
            .groups
            .values_mut()
            .flat_map(|g| [&mut g.accounts, &mut g.log_groups, &mut g.apps]);
        of_groups
            .chain([&mut self.accounts, &mut self.log_groups, &mut self.apps])
            .for_each(change);
    }

    fn json_bytes(&self) -> usize {
        json_bytes(self)
    }
}

impl Span {
    fn with(self, other: Self) -> Self {
        Self { first: self.first.min(other.first), last: self.last.max(other.last) }
    }
}

impl Group {
    /// The worst severity that one of its alerts got by the conditions of the route.
    pub fn severity(&self) -> Option<Severity> {
        self.severities.keys().next_back().copied()
    }

    /// A group with `alert` as its sample, which does not count it yet.
    fn empty(alert: &Alert, severity: Option<Severity>, span: Span) -> Self {
        Self {
            alerts: 0,
            severities: BTreeMap::new(),
            span,
            sample: Sample::of(alert, severity),
            accounts: Names::default(),
            log_groups: Names::default(),
            apps: Names::default(),
            values: Values::default(),
        }
    }

    /// The groups of a cluster as one. `None`: no pattern of it has one.
    fn merged(groups: &[Option<Group>], cluster: &Cluster) -> Option<Self> {
        let with_values = |(member, at): (usize, &usize)| {
            let group = groups[*at].as_ref()?;
            let values = group.values.at(cluster, member, group.alerts);
            Some(Group { values, ..group.clone() })
        };
        let mut members = cluster.members.iter().enumerate().filter_map(with_values);
        let mut merged = members.next()?;
        members.for_each(|group| merged.merge(&group));
        Some(merged)
    }

    fn merge(&mut self, more: &Group) {
        self.alerts += more.alerts;
        add_severities(&mut self.severities, more.severities.clone());
        self.values.merge(&more.values);
        self.span = self.span.with(more.span);
        self.accounts.merge(&more.accounts);
        self.log_groups.merge(&more.log_groups);
        self.apps.merge(&more.apps);
        if more.sample.order() < self.sample.order() {
            self.sample = more.sample.clone();
        }
    }
}

impl Values {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Counts an alert. `is_first`: it is the first alert of its group.
    fn add(&mut self, pattern: &Pattern, is_first: bool) {
        if is_first {
            self.0 = pattern
                .values()
                .map(|(place, value)| (place, BTreeMap::from([(value.to_owned(), 1)])))
                .collect();
            return;
        }
        if self.is_empty() {
            return;
        }
        let mut values = pattern.values().peekable();
        self.0.retain(|place, known| {
            while values.next_if(|(other, _)| other < place).is_some() {}
            let Some((_, value)) = values.next_if(|(other, _)| other == place) else {
                return false;
            };
            add(known, value, 1);
            known.len() <= VALUES_MAX
        });
    }

    fn merge(&mut self, more: &Self) {
        self.0.retain(|place, known| {
            let Some(more) = more.0.get(place) else { return false };
            for (value, n) in more {
                add(known, value, *n);
            }
            known.len() <= VALUES_MAX
        });
    }

    /// The values of a group with `alerts` alerts at the places of its cluster, of which it is a
    /// member.
    fn at(&self, cluster: &Cluster, member: usize, alerts: u64) -> Self {
        let values = |place: &ClusterPlace| match place {
            ClusterPlace::Text(text) if text.len() <= VALUE_BYTES_MAX => {
                Some(BTreeMap::from([(text.clone(), alerts)]))
            }
            ClusterPlace::Placeholder(n) => self.0.get(n).cloned(),
            ClusterPlace::Text(_) | ClusterPlace::Unknown => None,
        };
        let places = cluster.places.iter().enumerate();
        Self(places.filter_map(|(n, members)| Some((n, values(&members[member])?))).collect())
    }
}

impl Sample {
    fn of(alert: &Alert, severity: Option<Severity>) -> Self {
        let statement = alert.statement();
        let context = |side: fn(&LogContext) -> String| {
            alert.context.as_deref().map(side).filter(|text| !text.is_empty())
        };
        let start = match alert.message.len() > SAMPLE_BYTES_MAX {
            // Some of what is before the statement, such as the members of an object.
            true => around(&alert.message, alert.statement_start(), SAMPLE_BYTES_MAX).start,
            false => 0,
        };
        Self {
            id: alert.id.to_string(),
            timestamp: alert.timestamp,
            marker: alert.marker.to_string(),
            severity,
            statement: Some(truncated(&statement, SAMPLE_STATEMENT_BYTES_MAX))
                .filter(|statement| *statement != alert.message),
            message: truncated(&alert.message[start..], SAMPLE_BYTES_MAX),
            message_bytes: (alert.message.len() + alert.left_out) as u64,
            before: context(|context| truncated_start(&context.before, SAMPLE_CONTEXT_BYTES_MAX)),
            after: context(|context| truncated(&context.after, SAMPLE_CONTEXT_BYTES_MAX)),
            account_id: alert.account_id.to_string(),
            region: alert.region.as_deref().map(str::to_owned),
            log_group: alert.origin.log_group.clone(),
            log_stream: alert.origin.log_stream.clone(),
            app_name: alert.origin.app_name.clone(),
        }
    }

    /// The statement of the log event.
    pub fn statement(&self) -> &str {
        self.statement.as_deref().unwrap_or(&self.message)
    }

    /// A group keeps the smallest sample in this order, so that the order of merging does not
    /// matter.
    fn order(&self) -> (Reverse<Option<Severity>>, Timestamp, &str) {
        (Reverse(self.severity), self.timestamp, &self.id)
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

    fn clear(&mut self) {
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
        while let (Some((first, _)), Some((last, _))) =
            (self.slices.first_key_value(), self.slices.last_key_value())
        {
            // In 128 bits: a producer may send any number as a timestamp.
            if i128::from(*last) - i128::from(*first) < i128::from(SLICES_MAX) {
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

fn add_severities(
    counts: &mut BTreeMap<Severity, u64>,
    more: impl IntoIterator<Item = (Severity, u64)>,
) {
    for (severity, alerts) in more {
        *counts.entry(severity).or_default() += alerts;
    }
}

/// Copies a name only when it is new.
fn add(counts: &mut BTreeMap<String, u64>, name: &str, alerts: u64) {
    match counts.get_mut(name) {
        Some(n) => *n += alerts,
        None => drop(counts.insert(name.to_owned(), alerts)),
    }
}

fn json_bytes(value: &impl Serialize) -> usize {
    let mut bytes = ByteCount(0);
    serde_json::to_writer(&mut bytes, value)
        .expect("invariant: plain data with string keys is valid JSON");
    bytes.0
}

/// A writer that only counts.
struct ByteCount(usize);

impl Write for ByteCount {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0 += bytes.len();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's skip_serializing_if requires this signature"
)]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests;
