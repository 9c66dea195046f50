//! A digest: the content of one message to one target, independent of any format. It is the merged
//! tally of the epochs that the target has not received, with the texts and the order for a reader.
//!
//! Left to others: the layout of a message (`message`), which adds no facts of its own.

use std::cmp::Reverse;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::burst::{Burst, Related};
use crate::model::history::{Mark, News};
use crate::model::humanize::count_alerts;
use crate::model::name::{Merging, RouteName, Severity, Target};
use crate::model::outbox::Epoch;
use crate::model::tally::{Group, Histogram, Tally};
use crate::model::time::Timestamp;

/// One message to one target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Digest {
    pub route: RouteName,
    pub target: Target,
    pub severity: Severity,
    /// First and last epoch, both included.
    pub epochs: (u64, u64),
    /// Its groups are those of similar patterns.
    pub tally: Tally,
    /// Present if an earlier message was about the same burst, or if the burst has ended.
    pub burst: Option<Burst>,
    /// The burst has ended: its last window had no alerts.
    pub ends_burst: bool,
    /// The number of the burst of the last epoch, by which messages of one burst are kept together.
    /// `None` without a due queue.
    pub incident: Option<u64>,
    /// Present if the message covers several windows, because they could not be delivered one by
    /// one.
    pub backlog: Option<Backlog>,
    /// Alerts that were not delivered because the route was muted. Not in the tally.
    pub muted: u64,
    /// Present if the threshold of the route was reached, and alerts were held until then.
    pub held: Option<HeldAlerts>,
    /// Epochs that the store no longer had. Their alerts are not in the tally.
    pub lost_epochs: u64,
    /// Why a fallback receives this instead of the target.
    pub escalated: Option<String>,
    /// The things that other targets opened for the same burst, as far as known.
    pub related: Vec<Related>,
    /// The links that the route gives to readers.
    pub links: Vec<ReaderLink>,
    /// The latest mark before the last of its alerts.
    pub mark: Option<Mark>,
}

/// A link for the readers of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReaderLink {
    pub name: String,
    pub url: String,
}

/// Alerts that were held until the threshold of their route was reached.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldAlerts {
    /// Those that are in the tally.
    pub included: u64,
    /// Those that were too old to count when the threshold was reached. Not in the tally.
    pub left_out: u64,
}

/// Windows that waited, most likely because the target was down.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    pub windows: u64,
    /// When the first of them was ready to be delivered.
    pub since: Timestamp,
}

impl Digest {
    /// The digest of these epochs, outside any burst.
    pub fn new(
        route: &RouteName,
        target: &Target,
        configured: Option<Severity>,
        epochs: (u64, u64),
        tally: Tally,
    ) -> Self {
        let severity = severity(configured, &tally);
        Self {
            route: route.clone(),
            target: target.clone(),
            severity,
            epochs,
            tally: tally.clustered(),
            burst: None,
            ends_burst: false,
            incident: None,
            backlog: None,
            muted: 0,
            held: None,
            lost_epochs: 0,
            escalated: None,
            related: Vec::new(),
            links: Vec::new(),
            mark: None,
        }
    }

    /// The report that the store no longer has these epochs.
    pub fn lost(
        route: &RouteName,
        target: &Target,
        configured: Option<Severity>,
        epochs: (u64, u64),
    ) -> Self {
        let severity = Some(configured.unwrap_or(Severity::Error));
        let lost_epochs = (epochs.1 + 1).saturating_sub(epochs.0);
        Self { lost_epochs, ..Self::new(route, target, severity, epochs, Tally::default()) }
    }

    /// The name of the incident that this digest is about: `STACK/ROUTE/BURST`. All targets derive
    /// their keys from it. A digest without a burst is an incident of its own, which its epochs
    /// name: `STACK/ROUTE/FIRST-LAST`.
    pub fn incident_id(&self, stack: &str) -> String {
        let (route, (first, last)) = (&self.route, self.epochs);
        match self.incident {
            Some(burst) => format!("{stack}/{route}/{burst}"),
            None => format!("{stack}/{route}/{first}-{last}"),
        }
    }

    /// Whether it reports no alerts: nothing is new, or a burst is over.
    pub fn is_quiet(&self) -> bool {
        self.tally.is_empty() && self.lost_epochs == 0
    }

    /// `[CRITICAL] 1,204 alerts` for one or two markers; with more, it has the route's name
    /// instead.
    pub fn title(&self) -> String {
        let route = &self.route;
        if self.tally.is_empty() && self.lost_epochs > 0 {
            return format!("Alerts on {route} are missing");
        }
        if self.tally.is_empty() {
            return self.burst.map_or_else(
                || format!("Nothing new on {route}"),
                |burst| self.final_title(burst),
            );
        }
        format!("{} {}", self.markers(), count_alerts(self.tally.alerts))
    }

    /// The title of a digest with one group, of which `statement` is the statement:
    /// `[CRITICAL] no space left on device · 1,204 alerts`.
    pub fn title_of(&self, statement: &str) -> String {
        let markers = self.markers();
        // A marker that is a part of the sentence, or all of it.
        let markers = if statement.contains(&markers) { String::new() } else { markers + " " };
        format!("{markers}{statement} · {}", count_alerts(self.tally.alerts))
    }

    /// The burst as a whole: `[CRITICAL] 1,204 alerts in 12 min 45 s`, or that it is over.
    pub fn burst_title(&self) -> String {
        match self.burst {
            None => self.title(),
            Some(burst) if self.ends_burst => self.final_title(burst),
            Some(burst) => {
                format!("{} {} in {}", self.markers(), count_alerts(burst.alerts), burst.length())
            }
        }
    }

    fn final_title(&self, burst: Burst) -> String {
        format!("Over: {} on {} in {}", count_alerts(burst.alerts), self.route, burst.length())
    }

    fn markers(&self) -> String {
        match self.tally.markers.len() {
            1..=2 => self.tally.markers.keys().map(String::as_str).collect::<Vec<_>>().join(" "),
            _ => self.route.to_string(),
        }
    }

    /// The groups: first the worst, then those that are news, then the largest, and among equal ones
    /// the earliest.
    pub fn groups(&self) -> Vec<(&str, &Group)> {
        let mut groups: Vec<_> =
            self.tally.groups.iter().map(|(pattern, group)| (pattern.as_str(), group)).collect();
        groups.sort_by_cached_key(|(pattern, group)| {
            let news = self.tally.news_of(pattern).map(News::order);
            (
                Reverse(group.severity()),
                Reverse(news),
                Reverse(group.alerts),
                group.span.first,
                *pattern,
            )
        });
        groups
    }
}

/// The most epochs that one message about a burst covers.
const BURST_EPOCHS_MAX: u64 = 64;

impl Merging {
    /// Whether the next owed `epoch` belongs to the message that has the `merged` epochs so far.
    pub fn joins(self, merged: &MergedEpochs, epoch: &Epoch) -> bool {
        let Some(last) = &merged.last else { return true };
        match self {
            Self::All => true,
            Self::Single => false,
            Self::Burst => {
                let number = |burst: Option<Burst>| burst.map(|burst| burst.number);
                !last.ends_burst
                    && !epoch.ends_burst
                    && number(last.burst) == number(epoch.burst)
                    && merged.count < BURST_EPOCHS_MAX
            }
        }
    }
}

/// Owed epochs, merged one by one, so that their number takes no memory.
#[derive(Debug, Default)]
pub struct MergedEpochs {
    /// Number of the first epoch, and when it was ready.
    first: Option<(u64, Timestamp)>,
    last: Option<LastEpoch>,
    count: u64,
    windows: u64,
    tally: Tally,
    /// Held alerts that are in the tally, and all that were held.
    held: (u64, u64),
}

/// The parts of the last epoch that a digest needs.
#[derive(Debug)]
struct LastEpoch {
    number: u64,
    window: u64,
    burst: Option<Burst>,
    ends_burst: bool,
}

impl MergedEpochs {
    /// Adds the next epoch.
    pub fn add(&mut self, epoch: &Epoch) {
        self.first.get_or_insert((epoch.number, epoch.at));
        let is_next_window = self.last.as_ref().is_none_or(|last| last.window != epoch.window);
        self.windows += u64::from(is_next_window);
        let held = epoch.released.map_or(0, |held| held.alerts.saturating_add(held.expired));
        self.held.1 = self.held.1.saturating_add(held);
        self.count += 1;
        let Epoch { number, window, burst, ends_burst, .. } = *epoch;
        self.last = Some(LastEpoch { number, window, burst, ends_burst });
        self.tally = Tally::sum([&self.tally, &epoch.tally]);
    }

    /// Adds an epoch that the next epoch releases. It is about the same alerts as the message, but not a
    /// part of what its target was owed.
    pub fn add_held(&mut self, epoch: &Epoch) {
        self.held.0 = self.held.0.saturating_add(epoch.tally.alerts);
        self.tally = Tally::sum([&self.tally, &epoch.tally]);
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Their digest; `None` if there are none. `configured` is the severity of the route in the
    /// configuration.
    pub fn digest(
        self,
        route: &RouteName,
        target: &Target,
        configured: Option<Severity>,
    ) -> Option<Digest> {
        let ((first, since), last) = (self.first?, self.last?);
        let (windows, alerts) = (self.windows, self.tally.alerts);
        let (included, all) = self.held;
        let held = HeldAlerts { included, left_out: all.saturating_sub(included) };
        Some(Digest {
            // More alerts than in this digest: earlier messages were about the same burst.
            burst: last.burst.filter(|burst| last.ends_burst || burst.alerts > alerts),
            ends_burst: last.ends_burst,
            incident: last.burst.map(|burst| burst.number),
            held: (all > 0).then_some(held),
            backlog: (windows > 1).then_some(Backlog { windows, since }),
            ..Digest::new(route, target, configured, (first, last.number), self.tally)
        })
    }
}

/// The worst severity of an alert. Those without their own have the severity of the route, else that of the
/// worst marker.
fn severity(configured: Option<Severity>, tally: &Tally) -> Severity {
    let with_own = tally.severities.values().fold(0, |sum: u64, n| sum.saturating_add(*n));
    let own = tally.severities.keys().next_back().copied();
    let of_markers = || tally.markers.keys().map(|marker| Severity::of_marker(marker)).max();
    let of_others = || configured.or_else(of_markers).unwrap_or(Severity::Info);
    match own {
        Some(own) if with_own >= tally.alerts => own,
        Some(own) => own.max(of_others()),
        None => of_others(),
    }
}

impl Histogram {
    /// The largest number of alerts in one slice, and the width of a slice.
    pub fn peak(&self) -> (u64, Duration) {
        (
            self.slices.values().copied().max().unwrap_or(0),
            Duration::from_millis(1_u64 << self.shift.min(62)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn epoch(number: u64, window: u64) -> Epoch {
        Epoch {
            number,
            window,
            at: Timestamp::from_millis(1_000 * i64::try_from(number).unwrap()),
            tally: Tally::default(),
            owed: vec![],
            burst: None,
            ends_burst: false,
            hold: None,
            released: None,
        }
    }

    #[test]
    fn the_severity_of_a_digest_is_the_worst_of_its_alerts() {
        use Severity::{Critical, Error, Info, Warning};
        let check = |configured, markers: &[&str], own: &[(Severity, u64)], expected| {
            let markers = markers.iter().map(|marker| ((*marker).to_owned(), 1)).collect();
            let severities = own.iter().copied().collect();
            let tally = Tally { alerts: 3, markers, severities, ..Tally::default() };
            assert_eq!(severity(configured, &tally), expected, "{configured:?} {own:?}");
        };
        check(None, &["[INFO]", "[ERROR]"], &[], Error);
        check(Some(Critical), &["[INFO]"], &[], Critical);
        // Conditions gave all of them a severity.
        check(Some(Error), &["[CRITICAL]"], &[(Info, 3)], Info);
        check(None, &["[CRITICAL]"], &[(Info, 2), (Warning, 1)], Warning);
        // An earlier configuration had none for some of them.
        check(Some(Error), &["[CRITICAL]"], &[(Info, 2)], Error);
        check(None, &["[CRITICAL]"], &[(Info, 2)], Critical);
        check(Some(Warning), &["[INFO]"], &[(Error, u64::MAX), (Info, 2)], Error);
    }

    #[test]
    fn a_backlog_counts_windows_not_epochs() {
        // The windows of the epochs from number 4 on.
        let cases: [(&[u64], Option<u64>); 4] =
            [(&[1], None), (&[1, 1], None), (&[1, 2], Some(2)), (&[1, 1, 3, 4, 4], Some(3))];
        let (route, target) = ("r".parse().unwrap(), "slack:a".parse().unwrap());
        for (of_epochs, windows) in cases {
            let mut merged = MergedEpochs::default();
            for (number, window) in (4..).zip(of_epochs) {
                merged.add(&epoch(number, *window));
            }
            let digest = merged.digest(&route, &target, None).unwrap();
            let since = Timestamp::from_millis(4_000);
            assert_eq!(digest.backlog, windows.map(|windows| Backlog { windows, since }));
            assert_eq!(digest.epochs, (4, 3 + of_epochs.len() as u64));
        }
    }

    /// `1 1 1! 4` is three epochs of burst 1, the last of which ends it, and one of burst 4. The
    /// sizes of the messages.
    fn messages(merging: Merging, epochs: &str) -> Vec<u64> {
        let of = |(number, text): (usize, &str)| Epoch {
            burst: text
                .trim_end_matches('!')
                .parse()
                .ok()
                .map(|number| Burst { number, ..Burst::default() }),
            ends_burst: text.ends_with('!'),
            ..epoch(number as u64, number as u64)
        };
        let mut messages = vec![];
        let mut merged = MergedEpochs::default();
        for epoch in epochs.split_whitespace().enumerate().map(of) {
            if !merging.joins(&merged, &epoch) {
                messages.push(std::mem::take(&mut merged).count);
            }
            merged.add(&epoch);
        }
        messages.push(merged.count);
        messages
    }

    #[test]
    fn the_kind_of_a_target_decides_which_epochs_one_message_covers() {
        let cases: [(&str, &[u64]); 10] = [
            ("1", &[1]),
            ("1 1 1", &[3]),
            ("1 1 1!", &[2, 1]),
            ("1! 2", &[1, 1]),
            ("1! 2!", &[1, 1]),
            ("1 4 4", &[1, 2]),
            ("1 4!", &[1, 1]),
            ("- - -", &[3]),
            ("- - 3", &[2, 1]),
            ("3 -", &[1, 1]),
        ];
        for (epochs, of_bursts) in cases {
            let count = epochs.split_whitespace().count();
            assert_eq!(messages(Merging::Burst, epochs), of_bursts, "{epochs}");
            assert_eq!(messages(Merging::All, epochs), [count as u64], "{epochs}");
            assert_eq!(messages(Merging::Single, epochs), vec![1; count], "{epochs}");
        }
        assert_eq!(messages(Merging::Burst, &"1 ".repeat(150)), [64, 64, 22]);
    }
}
