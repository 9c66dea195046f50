//! What a route remembers of a pattern: when it had alerts first and last, how many, and how many in each
//! hour of the last two weeks. From this follows whether further alerts of the pattern are news.
//!
//! The clock is that of the freeze: a producer may send any timestamp. The rules are exact and small, so
//! that a reader can check them with a pencil:
//!
//! | news | if |
//! |---|---|
//! | new | the route has no history of the pattern, and has had histories for a day |
//! | back | its last alert was a week ago or longer |
//! | spike | with them, the current hour reaches ten times the usual number, and the history began a day ago or earlier |
//!
//! *Usual* is the median of the hours that had alerts. A batch job that fails each night with 500 lines
//! has a usual rate of 500, not of 21.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{EnumString, IntoStaticStr, VariantNames};

use crate::model::time::Timestamp;

/// So many hours are counted apart: two weeks.
pub const HOURS_KEPT: i64 = 14 * 24;

/// A history is forgotten this long after its last alert.
pub const HISTORY_KEPT: Duration = Duration::from_hours(90 * 24);

/// A pattern that was silent for this long is back.
pub const BACK_AFTER: Duration = Duration::from_hours(7 * 24);

/// A route has histories for this long before a pattern without one is new, and a history is this old
/// before a rate counts as usual.
const KNOWN_AFTER: Duration = Duration::from_hours(24);

/// How many times the usual rate is a spike.
pub const SPIKE: u64 = 10;

const HOUR_MS: i64 = 3_600_000;

/// The alerts of one pattern on one route.
///
/// ```
/// use stentor::model::history::{History, News};
/// use stentor::model::time::Timestamp;
///
/// let at = Timestamp::from_millis(1_795_443_306_789);
/// let since = Timestamp::from_millis(1_790_000_000_000);
/// assert_eq!(History::news(None, 3, at, Some(since)), Some(News::New));
///
/// let mut history = History::new("[CRITICAL] order <n> failed", at);
/// history.count(7, 3, at);
/// assert_eq!((history.alerts, history.epoch), (3, 7));
/// assert_eq!(History::news(Some(&history), 3, at, Some(since)), None);
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct History {
    pub pattern: String,
    /// When its first alerts were frozen.
    pub first: Timestamp,
    /// When its latest alerts were frozen.
    pub last: Timestamp,
    pub alerts: u64,
    hours: Hours,
    /// The latest epoch that is counted. Epochs are counted in order, each once.
    pub epoch: u64,
    /// Greater after each change: a process replaces the history that it has read, and no other.
    pub revision: u64,
}

/// Why alerts of a pattern are news. In order: the greatest comes first in a message.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum News {
    /// Many more than usual.
    Spike { alerts_in_hour: u64, usual: u64 },
    /// The first in a long time.
    Back { silent_ms: u64 },
    /// The first of all.
    New,
}

/// A kind of news, as in the configuration: `new`, `back` or `spike`.
#[derive(
    Copy,
    Clone,
    Debug,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    EnumString,
    VariantNames,
    IntoStaticStr,
)]
#[strum(serialize_all = "kebab-case")]
pub enum NewsKind {
    New,
    Back,
    Spike,
}

/// Alerts by hour since 1970, without the hours that had none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "Vec<(i64, u64)>", into = "Vec<(i64, u64)>")]
struct Hours(BTreeMap<i64, u64>);

/// A moment that people name, such as a deployment, for messages to refer to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Mark {
    pub at: Timestamp,
    /// `deploy v42`. At most [`MARK_BYTES_MAX`] bytes.
    pub text: String,
}

/// The longest text of a mark, in bytes.
pub const MARK_BYTES_MAX: usize = 100;

/// A message refers to marks of this long before its last alert.
pub const MARK_RECENT: Duration = Duration::from_hours(24);

/// A mark is kept for this long.
pub const MARK_KEPT: Duration = Duration::from_hours(90 * 24);

impl History {
    /// A history without alerts.
    pub fn new(pattern: &str, at: Timestamp) -> Self {
        let (pattern, hours) = (pattern.to_owned(), Hours::default());
        Self { pattern, first: at, last: at, alerts: 0, hours, epoch: 0, revision: 0 }
    }

    /// In place of a stored history that cannot be read, such as one of a later version: it has no alerts and
    /// makes no news, and counting begins again.
    pub fn begun_again(revision: u64, at: Timestamp) -> Self {
        Self { revision, ..Self::new("", at) }
    }

    /// Counts the alerts of an epoch that was frozen at `at`. An epoch that is counted already, or one
    /// before it, changes nothing. A history that is forgotten begins again.
    pub fn count(&mut self, epoch: u64, alerts: u64, at: Timestamp) {
        if epoch <= self.epoch || alerts == 0 {
            return;
        }
        if self.is_forgotten(at) {
            (self.first, self.alerts, self.hours) = (at, 0, Hours::default());
        }
        // The clocks of two processes differ, and the order is that of the epochs.
        self.last = self.last.max(at);
        self.epoch = epoch;
        self.revision += 1;
        self.alerts = self.alerts.saturating_add(alerts);
        let hour = hour(self.last);
        let count = self.hours.0.entry(hour).or_default();
        *count = count.saturating_add(alerts);
        self.hours.0 = self.hours.0.split_off(&(hour - HOURS_KEPT + 1));
    }

    /// Replaces the text of the pattern.
    pub fn rename(&mut self, pattern: &str) {
        pattern.clone_into(&mut self.pattern);
        self.revision += 1;
    }

    /// Whether `alerts` more, frozen at `at`, are news. The route has had histories since `since`.
    pub fn news(
        history: Option<&Self>,
        alerts: u64,
        at: Timestamp,
        since: Option<Timestamp>,
    ) -> Option<News> {
        let Some(history) = history.filter(|history| !history.is_forgotten(at)) else {
            return Self::are_known(since, at).then_some(News::New);
        };
        let silent = history.last.until(at);
        if silent >= BACK_AFTER {
            return Some(News::Back { silent_ms: millis(silent) });
        }
        if history.first.until(at) < KNOWN_AFTER {
            return None;
        }
        let usual = history.usual(at)?;
        let before = history.alerts_in_hour(at);
        let alerts_in_hour = before.saturating_add(alerts);
        let spike = usual.saturating_mul(SPIKE);
        (before < spike && alerts_in_hour >= spike).then_some(News::Spike { alerts_in_hour, usual })
    }

    /// Whether a route that has had histories since `since` can tell what is new.
    pub fn are_known(since: Option<Timestamp>, at: Timestamp) -> bool {
        since.is_some_and(|since| since.until(at) >= KNOWN_AFTER)
    }

    /// Whether the store may have deleted it.
    pub fn is_forgotten(&self, at: Timestamp) -> bool {
        self.last.after(HISTORY_KEPT) <= at
    }

    /// The alerts of the hour of `at`.
    pub fn alerts_in_hour(&self, at: Timestamp) -> u64 {
        self.hours.0.get(&hour(at)).copied().unwrap_or_default()
    }

    /// The median of the hours with alerts before that of `at`, rounded down; `None` if there are none.
    pub fn usual(&self, at: Timestamp) -> Option<u64> {
        let mut counts: Vec<u64> = self.hours.0.range(..hour(at)).map(|(_, n)| *n).collect();
        counts.sort_unstable();
        let (low, high) =
            (counts.get(counts.len().checked_sub(1)? / 2)?, counts.get(counts.len() / 2)?);
        Some(low.midpoint(*high))
    }

    /// The hours with alerts and how many they had, the earliest first.
    pub fn hours(&self) -> impl DoubleEndedIterator<Item = (Timestamp, u64)> {
        let begin = |hour: i64| Timestamp::from_millis(hour.saturating_mul(HOUR_MS));
        self.hours.0.iter().map(move |(hour, n)| (begin(*hour), *n))
    }
}

impl News {
    /// Greater for what comes first in a message.
    pub fn order(self) -> u8 {
        match self {
            Self::Spike { .. } => 0,
            Self::Back { .. } => 1,
            Self::New => 2,
        }
    }

    pub fn kind(self) -> NewsKind {
        match self {
            Self::New => NewsKind::New,
            Self::Back { .. } => NewsKind::Back,
            Self::Spike { .. } => NewsKind::Spike,
        }
    }

    /// `new`, `back` or `spike`, as in the configuration and in JSON.
    pub fn code(self) -> &'static str {
        self.kind().into()
    }
}

/// Hours as differences: `[[498734,3],[2,1]]` are the hours 498734 and 498736.
impl From<Hours> for Vec<(i64, u64)> {
    fn from(hours: Hours) -> Self {
        let mut before = 0;
        let difference = |(hour, n)| (hour - std::mem::replace(&mut before, hour), n);
        hours.0.into_iter().map(difference).collect()
    }
}

impl From<Vec<(i64, u64)>> for Hours {
    fn from(differences: Vec<(i64, u64)>) -> Self {
        let mut hour = 0_i64;
        let count = |(difference, n)| {
            hour = hour.saturating_add(difference);
            (hour, n)
        };
        Self(differences.into_iter().map(count).collect())
    }
}

fn hour(at: Timestamp) -> i64 {
    at.as_millis().div_euclid(HOUR_MS)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const HOUR: Duration = Duration::from_hours(1);

    fn at(hours: u32) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000).after(HOUR * hours)
    }

    /// A history of these counts at these hours.
    fn history(counts: &[(u32, u64)]) -> History {
        let mut history = History::new("p", at(counts[0].0));
        for (epoch, (hours, alerts)) in (1..).zip(counts) {
            history.count(epoch, *alerts, at(*hours));
        }
        history
    }

    #[test]
    fn what_is_news_follows_from_the_table() {
        let nightly = [(0, 500), (24, 450), (48, 520), (72, 480)];
        let silent = |hours: u64| Some(News::Back { silent_ms: hours * 3_600_000 });
        let spike = |alerts_in_hour, usual| Some(News::Spike { alerts_in_hour, usual });
        /// The history, the hour, the alerts, and what they are.
        type Case<'a> = (&'a [(u32, u64)], u32, u64, Option<News>);
        let cases: [Case<'_>; 13] = [
            (&[(0, 1)], 1, 1_000, None),
            (&[(0, 1)], 23, 1_000, None),
            (&[(0, 1)], 24, 9, None),
            (&[(0, 1)], 24, 10, spike(10, 1)),
            (&[(0, 1), (24, 4)], 24, 6, spike(10, 1)),
            (&[(0, 1), (24, 4)], 24, 5, None),
            (&[(0, 1), (24, 10)], 24, 50, None),
            (&[(0, 1), (24, 4)], 25, 20, spike(20, 2)),
            (&nightly, 96, 510, None),
            (&nightly, 96, 4_900, spike(4_900, 490)),
            (&[(0, 1)], 167, 1, None),
            (&[(0, 1)], 168, 1, silent(168)),
            (&[(0, 1)], 90 * 24, 1, Some(News::New)),
        ];
        for (counts, now, alerts, expected) in cases {
            let news = History::news(Some(&history(counts)), alerts, at(now), Some(at(0)));
            assert_eq!(news, expected, "{counts:?}, {alerts} at {now}");
        }
        for (since, new) in [(None, false), (Some(at(1)), false), (Some(at(0)), true)] {
            let news = History::news(None, 1, at(24), since);
            assert_eq!(news, new.then_some(News::New), "{since:?}");
        }
        assert!(News::New > silent(9_999).unwrap() && silent(1).unwrap() > spike(9, 1).unwrap());
    }

    #[test]
    fn an_epoch_counts_once_and_in_order() {
        let mut history = history(&[(0, 3), (1, 2)]);
        let before = history.clone();
        for epoch in [1, 2] {
            history.count(epoch, 9, at(5));
        }
        assert_eq!(history, before);
        // The clock of the second process is behind.
        history.count(3, 4, at(0));
        assert_eq!((history.alerts, history.last, history.epoch), (9, at(1), 3));
    }

    proptest! {
        #[test]
        fn a_history_is_small_exact_and_the_same_after_reading(
            counts in proptest::collection::vec((0_u32..30, 1_u64..5_000_000), 1..700),
        ) {
            let mut history = History::new(&"x".repeat(240), at(0));
            let (mut hours, mut reference) = (0, BTreeMap::<u32, u64>::new());
            for (epoch, (later, alerts)) in (1..).zip(&counts) {
                hours += later;
                history.count(epoch, *alerts, at(hours));
                *reference.entry(hours).or_default() += alerts;
            }
            prop_assert_eq!(history.alerts, counts.iter().map(|(_, n)| n).sum::<u64>());
            let kept = reference.iter().filter(|(hour, _)| hours - **hour < 336).map(|(_, n)| *n);
            prop_assert_eq!(history.hours().map(|(_, n)| n).collect::<Vec<_>>(), kept.collect::<Vec<_>>());
            let json = serde_json::to_string(&history).unwrap();
            prop_assert!(json.len() < 5_500, "{} bytes", json.len());
            prop_assert_eq!(serde_json::from_str::<History>(&json).unwrap(), history);
        }
    }
}
