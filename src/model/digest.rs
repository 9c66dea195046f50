//! A digest: the content of one message to one target, independent of any format. It is the merged
//! tally of the epochs that the target has not received, with the texts and the order for a reader.
//!
//! Left to others: the layout of a message (`message`), which adds no facts of its own.

use std::time::Duration;

use crate::model::burst::{Burst, Related};
use crate::model::humanize::count_alerts;
use crate::model::name::{RouteName, Severity, Target};
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
    /// Why a fallback receives this instead of the target.
    pub escalated: Option<String>,
    /// What other targets opened for the same burst, as far as known.
    pub related: Vec<Related>,
}

/// Windows that waited, most likely because the target was down.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Backlog {
    pub windows: u64,
    /// When the first of them was ready to be delivered.
    pub since: Timestamp,
}

impl Digest {
    /// The digest of `epochs`, which are in order; `None` if there are none. `configured` is the
    /// severity of the route in the configuration.
    pub fn merged(
        route: &RouteName,
        target: &Target,
        configured: Option<Severity>,
        epochs: &[&Epoch],
    ) -> Option<Self> {
        let (first, last) = (epochs.first()?, epochs.last()?);
        let tally = Tally::sum(epochs.iter().map(|epoch| &epoch.tally)).clustered();
        let severity = severity(configured, &tally);
        // More alerts than in this digest: earlier messages were about the same burst.
        let burst = last.burst.filter(|burst| last.ends_burst || burst.alerts > tally.alerts);
        let backlog = Backlog::of(epochs);
        let epochs = (first.number, last.number);
        Some(Self {
            route: route.clone(),
            target: target.clone(),
            severity,
            epochs,
            tally,
            burst,
            ends_burst: last.ends_burst,
            incident: last.burst.map(|burst| burst.number),
            backlog,
            muted: 0,
            escalated: None,
            related: Vec::new(),
        })
    }

    /// The digest of a parked message, to deliver it again. Its burst is long over.
    pub fn parked(
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
            escalated: None,
            related: Vec::new(),
        }
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

    /// `[CRITICAL] 1,204 alerts` for one or two markers; with more, it has the route's name
    /// instead.
    pub fn title(&self) -> String {
        let route = &self.route;
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

    /// The groups, the largest first; among equal ones, the earliest first.
    pub fn groups(&self) -> Vec<(&str, &Group)> {
        let mut groups: Vec<_> =
            self.tally.groups.iter().map(|(pattern, group)| (pattern.as_str(), group)).collect();
        groups.sort_by(|(a, x), (b, y)| {
            (y.alerts, x.span.first, *a).cmp(&(x.alerts, y.span.first, *b))
        });
        groups
    }
}

impl Backlog {
    /// `None` for the epochs of one window.
    fn of(epochs: &[&Epoch]) -> Option<Self> {
        let since = epochs.first()?.at;
        let next = epochs.windows(2).filter(|pair| pair[0].window != pair[1].window).count();
        (next > 0).then(|| Self { windows: next as u64 + 1, since })
    }
}

/// The severity of the route, else the worst of its markers.
fn severity(configured: Option<Severity>, tally: &Tally) -> Severity {
    let of_markers = || tally.markers.keys().map(|marker| Severity::of_marker(marker)).max();
    configured.or_else(of_markers).unwrap_or(Severity::Info)
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

    #[test]
    fn a_backlog_counts_windows_not_epochs() {
        let epoch = |number: u64, window: u64| Epoch {
            number,
            window,
            at: Timestamp::from_millis(1_000 * i64::try_from(number).unwrap()),
            tally: Tally::default(),
            owed: vec![],
            burst: None,
            ends_burst: false,
        };
        let cases: [(&[Epoch], Option<u64>); 4] = [
            (&[epoch(4, 1)], None),
            (&[epoch(4, 1), epoch(5, 1)], None),
            (&[epoch(4, 1), epoch(5, 2)], Some(2)),
            (&[epoch(4, 1), epoch(5, 1), epoch(6, 3), epoch(7, 4), epoch(8, 4)], Some(3)),
        ];
        for (epochs, windows) in cases {
            let epochs: Vec<&Epoch> = epochs.iter().collect();
            let since = Timestamp::from_millis(4_000);
            assert_eq!(Backlog::of(&epochs), windows.map(|windows| Backlog { windows, since }));
        }
    }
}
