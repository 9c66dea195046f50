//! A threshold: a route with `at_least = "5 in 10m"` holds its alerts until it has had five of them in
//! ten minutes. A burst begins with the message that reports all of these. Held alerts are stored, counted
//! and frozen like all others, but no target is owed them.
//!
//! An alert counts from the time when its window was frozen, by the clock of the process that froze it,
//! and not from its own timestamp. A producer may send any timestamp, and an alert that comes late still
//! has to count. The process that freezes a window is the only one that counts it, in the write that makes
//! the epoch, so the count is exact for any number of shards.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{EnumString, VariantNames};

use crate::model::humanize::{humanize_duration, thousands};
use crate::model::tally::Tally;
use crate::model::time::Timestamp;

/// The most alerts that a threshold may ask for.
pub const THRESHOLD_ALERTS_MAX: u64 = 1_000_000;

/// Windows that are held, apart from those that end shortly after one another and are kept as one.
const HELD_MAX: u32 = 64;

/// Counters of patterns or apps in all held windows together. Beyond that, the threshold counts as
/// reached.
const KEYS_MAX: usize = 256;

/// The most held epochs that a message includes. Older ones are only counted.
const RELEASED_EPOCHS_MAX: u64 = 1_000;

/// `at_least = "5 in 10m"`, and what is counted apart.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Threshold {
    /// 2 to [`THRESHOLD_ALERTS_MAX`].
    pub alerts: u64,
    pub span: Duration,
    pub per: ThresholdKey,
}

/// The alerts that a threshold counts together.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Hash, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum ThresholdKey {
    /// All alerts of the route together.
    #[default]
    Route,
    Pattern,
    App,
}

/// Why an epoch is owed to no target.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Hold {
    /// The threshold is not reached. A later epoch may release it.
    Threshold,
    /// The route is staged.
    Stage,
}

/// The held epochs that the message about an epoch includes.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Released {
    /// It includes the held epochs after this one.
    pub after: u64,
    /// The alerts of those.
    pub alerts: u64,
    /// Alerts that were held since the last message and are too old to be part of it.
    pub expired: u64,
}

/// The alerts that a route holds.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holding {
    /// The oldest first.
    windows: Vec<HeldWindow>,
    /// Alerts since the last message that no longer count.
    #[serde(default, skip_serializing_if = "is_zero")]
    expired: u64,
    /// The window in which the threshold was reached, if no burst has begun. The rest of that window is
    /// not held.
    #[serde(default, skip_serializing_if = "is_zero")]
    reached_in: u64,
}

/// One or more windows that were frozen at about the same time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct HeldWindow {
    at: Timestamp,
    /// The first epoch.
    epoch: u64,
    alerts: u64,
    /// Alerts by the hash of their pattern or app.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    keys: BTreeMap<String, u64>,
    /// Alerts whose pattern or app is not known.
    #[serde(default, skip_serializing_if = "is_zero")]
    other: u64,
}

/// Whether an epoch is held.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    Hold(Holding),
    /// The threshold is reached. `None`: nothing was held before.
    Release(Option<Released>),
}

impl fmt::Display for Threshold {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in {}", thousands(self.alerts), humanize_duration(self.span))
    }
}

impl Threshold {
    /// For how long a held window counts. Alerts that are `span` apart at most are frozen this much
    /// apart at most, because each waits for the end of its window.
    fn kept(&self, window: Duration) -> Duration {
        let kept = self.span.saturating_add(window);
        kept.saturating_add(kept / HELD_MAX)
    }
}

impl Holding {
    /// Nothing is held, because the threshold is reached in `window`.
    pub fn reached_in(window: u64) -> Self {
        Self { reached_in: window, ..Self::default() }
    }

    /// Whether the threshold was reached in `window`.
    pub fn is_reached_in(&self, window: u64) -> bool {
        self.reached_in == window
    }

    /// The alerts that counted when the last window was frozen, and those that no longer did.
    pub fn alerts(&self) -> (u64, u64) {
        (self.counted(), self.expired)
    }

    /// Whether `alerts` more may reach the threshold. They do, unless they differ in what is counted
    /// apart.
    pub fn may_reach(
        &self,
        threshold: &Threshold,
        window: Duration,
        now: Timestamp,
        alerts: u64,
    ) -> bool {
        let held = self.clone().without_expired(threshold.kept(window), now);
        held.most(threshold.per).saturating_add(alerts) >= threshold.alerts
    }

    /// Decides about `epoch`, frozen at `now` out of `tallies`.
    pub fn decide<'a>(
        &self,
        threshold: &Threshold,
        window: Duration,
        tallies: impl IntoIterator<Item = &'a Tally>,
        epoch: u64,
        now: Timestamp,
    ) -> Decision {
        let kept = threshold.kept(window);
        let before = self.clone().without_expired(kept, now);
        let released = before.released(epoch);
        let mut held = before;
        held.add(threshold.per, tallies, epoch, now, kept / HELD_MAX);
        let keys: usize = held.windows.iter().map(|window| window.keys.len()).sum();
        if held.most(threshold.per) >= threshold.alerts || keys > KEYS_MAX {
            return Decision::Release(released);
        }
        Decision::Hold(held)
    }

    /// The held epochs that the message about `epoch` includes; `None` if nothing was held.
    pub fn released(&self, epoch: u64) -> Option<Released> {
        let first = self.windows.first().map_or(epoch, |window| window.epoch);
        let after = first.saturating_sub(1).max(epoch.saturating_sub(1 + RELEASED_EPOCHS_MAX));
        let released = Released { after, alerts: self.counted(), expired: self.expired };
        (released.alerts > 0 || released.expired > 0).then_some(released)
    }

    fn counted(&self) -> u64 {
        self.windows.iter().fold(0, |sum, window| sum.saturating_add(window.alerts))
    }

    /// The most alerts of one key. Those whose key is not known count for each key, so that a route is
    /// never silent because a tally was too large.
    fn most(&self, per: ThresholdKey) -> u64 {
        if per == ThresholdKey::Route {
            return self.counted();
        }
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (key, alerts) in self.windows.iter().flat_map(|window| &window.keys) {
            let sum = sums.entry(key).or_default();
            *sum = sum.saturating_add(*alerts);
        }
        let other = self.windows.iter().fold(0_u64, |sum, held| sum.saturating_add(held.other));
        sums.into_values().max().unwrap_or_default().saturating_add(other)
    }

    fn without_expired(mut self, kept: Duration, now: Timestamp) -> Self {
        let expired = self.windows.iter().take_while(|held| held.at.after(kept) <= now).count();
        for held in self.windows.drain(..expired) {
            self.expired = self.expired.saturating_add(held.alerts);
        }
        self
    }

    fn add<'a>(
        &mut self,
        per: ThresholdKey,
        tallies: impl IntoIterator<Item = &'a Tally>,
        epoch: u64,
        now: Timestamp,
        apart: Duration,
    ) {
        let is_recent = |held: &HeldWindow| now < held.at.after(apart);
        if !self.windows.last().is_some_and(is_recent) {
            // The clocks of two processes differ, and the order is that of the windows.
            let at = self.windows.last().map_or(now, |held| held.at.max(now));
            let window = HeldWindow { at, epoch, alerts: 0, keys: BTreeMap::new(), other: 0 };
            self.windows.push(window);
        }
        let Some(held) = self.windows.last_mut() else { return };
        tallies.into_iter().for_each(|tally| held.add(per, tally));
    }
}

impl HeldWindow {
    fn add(&mut self, per: ThresholdKey, tally: &Tally) {
        self.alerts = self.alerts.saturating_add(tally.alerts);
        match per {
            ThresholdKey::Route => {}
            ThresholdKey::Pattern => {
                let groups = tally.groups.iter().map(|(pattern, group)| (pattern, group.alerts));
                let ungrouped = tally.ungrouped.0.iter();
                let ungrouped = ungrouped.map(|(pattern, count)| (pattern, count.alerts));
                self.add_keys(groups.chain(ungrouped), tally.other);
            }
            ThresholdKey::App => {
                let seen = tally.apps.seen.iter().map(|(app, alerts)| (app, *alerts));
                self.add_keys(seen, tally.apps.other);
            }
        }
    }

    fn add_keys<'a>(&mut self, keys: impl Iterator<Item = (&'a String, u64)>, other: u64) {
        for (key, alerts) in keys {
            let sum = self.keys.entry(hash(key)).or_default();
            *sum = sum.saturating_add(alerts);
        }
        self.other = self.other.saturating_add(other);
    }
}

/// FNV-1a in 32 bits, because it is stored, and another version of the program must find the same. Two
/// patterns with one hash count together.
fn hash(key: &str) -> String {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    format!("{:08x}", key.bytes().fold(0x811c_9dc5, mix))
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes a reference")]
fn is_zero(n: &u64) -> bool {
    *n == 0
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::tally::{AlertCount, Names, Span, Ungrouped};

    const WINDOW: Duration = Duration::from_secs(30);

    fn five_in_ten_minutes(per: ThresholdKey) -> Threshold {
        Threshold { alerts: 5, span: Duration::from_secs(600), per }
    }

    fn at(seconds: u64) -> Timestamp {
        Timestamp::from_millis(1_795_000_000_000).after(Duration::from_secs(seconds))
    }

    fn some(alerts: u64) -> Tally {
        Tally { alerts, other: alerts, ..Tally::default() }
    }

    /// Freezes windows of so many alerts at these seconds, and returns what each decision was.
    fn decisions(threshold: &Threshold, windows: &[(u64, u64)]) -> Vec<Option<Released>> {
        let mut holding = Holding::default();
        let mut released = vec![];
        for (epoch, (seconds, alerts)) in (1..).zip(windows) {
            match holding.decide(threshold, WINDOW, [&some(*alerts)], epoch, at(*seconds)) {
                Decision::Hold(held) => {
                    holding = held;
                    released.push(None);
                }
                Decision::Release(held) => {
                    holding = Holding::default();
                    let nothing = Released { after: epoch - 1, alerts: 0, expired: 0 };
                    released.push(Some(held.unwrap_or(nothing)));
                }
            }
        }
        released
    }

    #[test]
    fn a_route_is_silent_until_it_has_enough_alerts_in_the_span() {
        let threshold = five_in_ten_minutes(ThresholdKey::Route);
        let released = |after, alerts, expired| Some(Released { after, alerts, expired });
        let check = |windows: &[(u64, u64)], last: Option<Released>| {
            let found = decisions(&threshold, windows);
            assert_eq!(found.last(), Some(&last), "{windows:?}");
            assert!(found.iter().rev().skip(1).all(Option::is_none), "{windows:?}: {found:?}");
        };
        check(&[(0, 4)], None);
        check(&[(0, 5)], released(0, 0, 0));
        check(&[(0, 4), (600, 1)], released(0, 4, 0));
        check(&[(0, 4), (629, 1)], released(0, 4, 0));
        check(&[(0, 4), (645, 1)], None);
        check(&[(0, 3), (300, 1), (645, 4)], released(1, 1, 3));
        check(&[(0, 4), (5_000, 4), (10_000, 4)], None);
        check(&[(0, 4), (5_000, 4), (10_000, 5)], released(2, 0, 8));
        // The clock of the second process is behind.
        check(&[(60, 4), (55, 1)], released(0, 4, 0));
    }

    #[test]
    fn what_is_counted_apart_reaches_the_threshold_alone() {
        let span = Span { first: at(0), last: at(0) };
        let of_patterns = |patterns: &[(&str, u64)], other: u64| {
            let count = |alerts| AlertCount { alerts, span };
            let counts = patterns.iter().map(|(name, n)| ((*name).to_owned(), count(*n)));
            let alerts = patterns.iter().map(|(_, n)| n).sum::<u64>() + other;
            Tally { alerts, ungrouped: Ungrouped(counts.collect()), other, ..Tally::default() }
        };
        let threshold = five_in_ten_minutes(ThresholdKey::Pattern);
        let decide = |holding: &Holding, tally: &Tally, epoch| match holding.decide(
            &threshold,
            WINDOW,
            [tally],
            epoch,
            at(epoch * 60),
        ) {
            Decision::Hold(held) => Ok(held),
            Decision::Release(released) => Err(released),
        };
        let first = of_patterns(&[("a", 4), ("b", 4), ("c", 3)], 0);
        let held = decide(&Holding::default(), &first, 1).unwrap();
        let held = decide(&held, &of_patterns(&[("d", 4)], 0), 2).unwrap();
        let released = Released { after: 0, alerts: 15, expired: 0 };
        assert_eq!(decide(&held, &of_patterns(&[("b", 1)], 0), 3), Err(Some(released)));
        // One alert of a pattern that the tally had no room for may be of any pattern.
        assert_eq!(decide(&held, &of_patterns(&[], 1), 3), Err(Some(released)));
        assert!(decide(&held, &of_patterns(&[("c", 1)], 0), 3).is_ok());
        // More patterns than a cursor has room for.
        let many: Vec<String> = (0..=KEYS_MAX).map(|n| format!("pattern {n}")).collect();
        let many: Vec<(&str, u64)> = many.iter().map(|pattern| (pattern.as_str(), 1)).collect();
        assert!(decide(&Holding::default(), &of_patterns(&many, 0), 1).is_err());
        assert!(decide(&Holding::default(), &of_patterns(&many[1..], 0), 1).is_ok());

        let threshold = five_in_ten_minutes(ThresholdKey::App);
        let of_apps = |apps: &[(&str, u64)], other| {
            let seen = apps.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect();
            let alerts = apps.iter().map(|(_, n)| n).sum::<u64>() + other;
            Tally { alerts, apps: Names { seen, other }, ..Tally::default() }
        };
        let decide = |tally: &Tally| {
            let decision = Holding::default().decide(&threshold, WINDOW, [tally], 1, at(0));
            matches!(decision, Decision::Release(_))
        };
        assert!(!decide(&of_apps(&[("cart", 4), ("auth", 4)], 0)));
        assert!(decide(&of_apps(&[("cart", 4), ("auth", 4)], 1)));
        assert!(decide(&of_apps(&[("cart", 5), ("auth", 1)], 0)));
    }

    proptest! {
        /// The reference keeps each alert with the time when it was frozen.
        #[test]
        fn the_count_is_that_of_the_span(
            windows in proptest::collection::vec((1_u64..2_000, 1_u64..4), 1..60),
            alerts in 2_u64..12, span in 30_u64..7_200,
        ) {
            let span = Duration::from_secs(span);
            let threshold = Threshold { alerts, span, per: ThresholdKey::Route };
            let (mut now, mut holding) = (0, Holding::default());
            let mut reference: Vec<u64> = vec![];
            for (epoch, (pause, n)) in (1..).zip(windows) {
                now += pause * 100;
                reference.extend((0..n).map(|_| now));
                let within = |ms: u128| {
                    let recent = reference.iter().filter(|at| u128::from(now - **at) <= ms);
                    recent.count() as u64
                };
                let time = Timestamp::from_millis(i64::try_from(now).unwrap());
                let decision = holding.decide(&threshold, WINDOW, [&some(n)], epoch, time);
                let json = match &decision {
                    Decision::Hold(held) => serde_json::to_string(held).unwrap(),
                    Decision::Release(_) => String::new(),
                };
                prop_assert!(json.len() < 8_000, "{} bytes", json.len());
                match decision {
                    Decision::Hold(held) => {
                        prop_assert!(within((span + WINDOW).as_millis()) < alerts);
                        prop_assert_eq!(&serde_json::from_str::<Holding>(&json).unwrap(), &held);
                        holding = held;
                    }
                    Decision::Release(_) => {
                        prop_assert!(within(threshold.kept(WINDOW).as_millis()) >= alerts);
                        (holding, reference) = (Holding::default(), vec![]);
                    }
                }
            }
        }
    }
}
