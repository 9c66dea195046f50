//! The effects of a schedule, alert by alert, which no process sees as a whole: where each row is
//! counted, and who received it. The verdict on a schedule is read from here.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use stentor::model::alert::{Alert, AlertId};
use stentor::model::digest::Digest;
use stentor::model::history::News;
use stentor::model::name::{RouteName, Severity, Target};
use stentor::model::outbox::{Acknowledgement, Freeze, Recipient, TallyKey};
use stentor::model::pattern::pattern_id;
use stentor::model::threshold::{Hold, Released};
use stentor::protocol::arm::LOST_AFTER;
use stentor::protocol::dead_letter::{ParkedItem, ParkedWork};
use stentor::protocol::queue::Due;
use stentor::protocol::store::Commit;

/// The effects of a schedule.
#[derive(Default)]
pub struct Ledger {
    /// Every alert with a row, and the routes that it was written for.
    pub rows: BTreeMap<AlertId, Vec<RouteName>>,
    /// The severities that conditions gave the alerts of a route.
    severities: BTreeMap<(RouteName, AlertId), Severity>,
    /// The id of the pattern of each alert.
    pub patterns: BTreeMap<AlertId, String>,
    tallies: BTreeMap<(RouteName, TallyKey), Vec<AlertId>>,
    pub epochs: BTreeMap<(RouteName, u64), Frozen>,
    pub delivered: Vec<Step>,
    /// The ranges of epochs that were parked for a target.
    parked: Vec<(RouteName, Target, (u64, u64))>,
    /// Epochs beyond the first and up to the second that a target was not told of because the route
    /// was muted.
    muted: Vec<(RouteName, Target, (u64, u64))>,
    /// When which route was muted, and until when.
    pub mutes: Vec<(RouteName, u64, u64)>,
    /// The processes that replay.
    pub replayers: BTreeSet<u64>,
    /// When each alert had its row.
    pub committed_at: BTreeMap<AlertId, u64>,
    /// The alerts whose records were acknowledged, and when.
    acknowledged: BTreeMap<AlertId, u64>,
    /// The due messages of each window.
    sent: BTreeMap<(RouteName, u64), SentDue>,
    /// How many calls that count epochs had no answer. Each may cost one epoch its news.
    pub uncounted: BTreeMap<RouteName, usize>,
    /// The violations found during the schedule.
    pub violations: Vec<String>,
}

/// How much clocks may differ, and a call may take.
const CLOCKS_US: u64 = 12_000_000;

/// A function runs this long, and clocks differ.
const MUTED_SINCE: Duration = Duration::from_secs(40);

/// The due messages of a window.
#[derive(Default)]
struct SentDue {
    count: u64,
    /// How many of them may be sent again.
    repeats: u64,
    /// When the first one is due.
    due_us: u64,
}

/// An epoch.
pub struct Frozen {
    pub window: u64,
    pub alerts: Vec<AlertId>,
    pub owed: Vec<Target>,
    /// The number of the burst that it ends.
    pub ends: Option<u64>,
    pub hold: Option<Hold>,
    pub released: Option<Released>,
    pub news: BTreeMap<String, News>,
    pub at_us: u64,
}

/// A message that a target accepted.
pub struct Step {
    process: u64,
    /// When it was sent.
    sent_at: u64,
    pub digest: Digest,
    /// Its sender acknowledged it.
    pub acknowledged: bool,
    /// It was parked, and delivered from the dead-letter queue.
    replayed: bool,
}

impl Step {
    /// When it was sent, in microseconds.
    pub fn sent_at(&self) -> u64 {
        self.sent_at
    }

    pub fn new(process: u64, sent_at: u64, digest: Digest) -> Self {
        Self { process, sent_at, digest, acknowledged: false, replayed: false }
    }
}

impl Ledger {
    pub fn committed(
        &mut self,
        alerts: &[Alert],
        commits: &[Commit],
        tallies: &[(RouteName, TallyKey)],
        now_us: u64,
    ) {
        let fresh: Vec<&Alert> = alerts
            .iter()
            .zip(commits)
            .filter(|(_, commit)| **commit == Commit::Fresh)
            .map(|(alert, _)| alert)
            .collect();
        for alert in &fresh {
            self.patterns.insert(alert.id.clone(), pattern_id(alert.pattern.as_str()));
            let severities = alert.severities.iter().cloned();
            self.severities
                .extend(severities.map(|(route, severity)| ((route, alert.id.clone()), severity)));
            self.committed_at.entry(alert.id.clone()).or_insert(now_us);
            if self.rows.insert(alert.id.clone(), alert.routes.to_vec()).is_some() {
                self.violations.push(format!("{} has two writes of its row", alert.id.as_str()));
            }
        }
        for (route, key) in tallies {
            let counted = fresh
                .iter()
                .filter(|alert| alert.routes.contains(route))
                .map(|alert| alert.id.clone());
            self.tallies.insert((route.clone(), key.clone()), counted.collect());
        }
    }

    /// Adds the alerts of records that were acknowledged at `now_us`.
    pub fn acknowledge(&mut self, events: &[&str], now_us: u64) {
        let event = |id: &AlertId| {
            id.as_str().rsplit_once('-').is_some_and(|(event, _)| events.contains(&event))
        };
        for id in self.rows.keys().filter(|id| event(id)) {
            self.acknowledged.entry(id.clone()).or_insert(now_us);
        }
    }

    /// No window of `route` is open or closing, so none of its acknowledged alerts may wait.
    pub fn at_rest(&mut self, route: &RouteName) {
        let here = self.tallies.iter().filter(|((at, _), _)| at == route).flat_map(|(_, ids)| ids);
        if let Some(id) = here.into_iter().find(|id| self.acknowledged.contains_key(id)) {
            let what = format!(
                "{} is acknowledged and counted on {route}, but no window is open",
                id.as_str()
            );
            self.violations.push(what);
        }
    }

    /// A due message was sent at `now_us`, which is due after `delay`. A window has one, one more for
    /// each that may be repeated, and one more for each time that it counts as lost.
    pub fn sent(&mut self, due: &Due, now_us: u64, delay: Duration) {
        let SentDue { count, repeats, due_us } =
            self.sent.entry((due.route.clone(), due.window)).or_default();
        *count += 1;
        if *count == 1 {
            *due_us = now_us + delay.as_micros() as u64;
        }
        let lost = (now_us + CLOCKS_US).saturating_sub(*due_us) / LOST_AFTER.as_micros() as u64;
        if *count > 1 + *repeats + lost {
            let Due { route, window } = due;
            self.violations.push(format!("window {window} of {route} has {count} due messages"));
        }
    }

    /// The sender of a due message had no answer, or the message is a dead letter.
    pub fn may_repeat(&mut self, due: &Due) {
        self.sent.entry((due.route.clone(), due.window)).or_default().repeats += 1;
    }

    /// A process crashed between the rows and their tallies.
    pub fn uncounted(&mut self, tallies: &[(RouteName, TallyKey)]) {
        for key in tallies {
            self.tallies.remove(key);
        }
    }

    pub fn frozen(&mut self, route: &RouteName, freeze: &Freeze, now_us: u64) {
        let taken =
            |key: &TallyKey| self.tallies.remove(&(route.clone(), key.clone())).unwrap_or_default();
        let alerts: Vec<AlertId> = freeze.tallies.iter().flat_map(taken).collect();
        let Some(epoch) = &freeze.epoch else { return };
        if epoch.tally.alerts != alerts.len() as u64 {
            let (n, counted) = (alerts.len(), epoch.tally.alerts);
            self.violations.push(format!(
                "epoch {} of {route} counts {counted} alerts, and has {n}",
                epoch.number
            ));
        }
        let ends = epoch.burst.filter(|_| epoch.ends_burst).map(|burst| burst.number);
        let frozen = Frozen {
            at_us: now_us,
            window: epoch.window,
            alerts,
            owed: epoch.owed.clone(),
            ends,
            hold: epoch.hold,
            released: epoch.released,
            news: epoch.tally.news.clone(),
        };
        if self.epochs.insert((route.clone(), epoch.number), frozen).is_some() {
            self.violations.push(format!("epoch {} of {route} is written twice", epoch.number));
        }
    }

    /// A target accepted a message, while epochs up to `sealed` could be delivered.
    pub fn delivered(&mut self, mut delivered: Step, sealed: u64) {
        delivered.replayed = self.replayers.contains(&delivered.process);
        if delivered.replayed && self.is_parked(&delivered.digest) {
            self.delivered.push(delivered);
            return;
        }
        if delivered.digest.epochs.1 > sealed {
            let (to, route) = (delivered.digest.epochs.1, &delivered.digest.route);
            self.violations.push(format!(
                "epoch {to} of {route} was delivered before its window was complete"
            ));
        }
        let (alerts, counted) =
            (self.alerts_in(&delivered.digest).len() as u64, delivered.digest.tally.alerts);
        if alerts != counted {
            let digest = &delivered.digest;
            let what = format!("{} received {counted} alerts of {}", digest.target, digest.route);
            self.violations.push(format!("{what}, and epochs {:?} have {alerts}", digest.epochs));
        }
        let severities = self.severities_in(&delivered.digest);
        if severities != delivered.digest.tally.severities {
            let (digest, counted) = (&delivered.digest, &delivered.digest.tally.severities);
            let what = format!("{} received {counted:?} of {}", digest.target, digest.route);
            self.violations.push(format!("{what}, and its alerts have {severities:?}"));
        }
        self.delivered.push(delivered);
    }

    fn is_parked(&self, digest: &Digest) -> bool {
        self.parked.iter().any(|(route, target, epochs)| {
            (route, target, *epochs) == (&digest.route, &digest.target, digest.epochs)
        })
    }

    pub fn parked(&mut self, item: &ParkedItem) {
        if let ParkedWork::Message(message) = &item.what {
            self.parked.push((message.route.clone(), message.target.clone(), message.epochs));
        }
    }

    /// An acknowledgement for a target, from `after` on. The target had `muted_before` muted alerts
    /// until then.
    pub fn moved_offset(
        &mut self,
        process: u64,
        route: &RouteName,
        recipient: Recipient<'_>,
        after: u64,
        acknowledgement: &Acknowledgement,
        muted_before: u64,
    ) {
        let (target, is_fallback) =
            (recipient.target(), matches!(recipient, Recipient::Fallback(_)));
        // Its latest message: the answer to an earlier one was lost, so it was sent again. One from
        // before the offset is not meant, either: another process has sent it again.
        let is_meant = |delivered: &&mut Step| {
            let digest = &delivered.digest;
            delivered.process == process
                && digest.epochs.0 > after
                && (&digest.route, &digest.target) == (route, target)
                && digest.escalated.is_some() == is_fallback
        };
        if let Some(delivered) = self.delivered.iter_mut().rev().find(is_meant) {
            delivered.acknowledged |= delivered.digest.epochs.1 <= acknowledgement.offset;
        }
        let span = (after, acknowledgement.offset);
        let epochs = (after + 1..=acknowledgement.offset)
            .filter_map(|n| self.epochs.get(&(route.clone(), n)));
        let epochs = epochs.filter(|frozen| frozen.hold.is_none());
        let owed = epochs.filter(|frozen| is_fallback || frozen.owed.contains(target));
        let own = owed.clone().map(|frozen| frozen.alerts.len() as u64).sum::<u64>();
        let released = owed.filter_map(|frozen| frozen.released);
        let owed = own + released.map(|released| released.alerts).sum::<u64>();
        if acknowledgement.muted > muted_before {
            if acknowledgement.muted - muted_before != owed {
                let muted = acknowledgement.muted - muted_before;
                self.violations.push(format!(
                    "{muted} alerts of {route} count as muted for {target}, not {owed}"
                ));
            }
            self.muted.push((route.clone(), target.clone(), span));
        }
    }

    /// Alerts of `route` count as muted since `now_us`. The process has read the cursor a while ago,
    /// and its clock may differ.
    pub fn count_as_muted(&mut self, route: &RouteName, now_us: u64) {
        let before_us = now_us.saturating_sub(MUTED_SINCE.as_micros() as u64);
        let is_muted = self.mutes.iter().any(|(at, from_us, until_us)| {
            at == route && *from_us <= now_us && before_us <= *until_us
        });
        if !is_muted {
            self.violations.push(format!("alerts of {route} count as muted, but it was not"));
        }
    }

    /// The alerts of a message.
    pub fn alerts_in(&self, digest: &Digest) -> Vec<&AlertId> {
        let mut alerts = self.own_alerts_in(digest);
        for (number, frozen) in self.meant_by(digest) {
            let Some(Released { after, .. }) = frozen.released else { continue };
            let held =
                (after + 1..number).filter_map(|n| self.epochs.get(&(digest.route.clone(), n)));
            let held = held.filter(|frozen| frozen.hold == Some(Hold::Threshold));
            alerts.extend(held.flat_map(|frozen| &frozen.alerts));
        }
        alerts
    }

    /// The same without those that were held until then.
    fn own_alerts_in(&self, digest: &Digest) -> Vec<&AlertId> {
        self.meant_by(digest).into_iter().flat_map(|(_, frozen)| &frozen.alerts).collect()
    }

    /// The alerts of a message by the severity that conditions gave them.
    fn severities_in(&self, digest: &Digest) -> BTreeMap<Severity, u64> {
        let mut severities = BTreeMap::new();
        for id in self.alerts_in(digest) {
            if let Some(severity) = self.severities.get(&(digest.route.clone(), id.clone())) {
                *severities.entry(*severity).or_default() += 1;
            }
        }
        severities
    }

    /// The epochs of a message that are not held.
    fn meant_by(&self, digest: &Digest) -> Vec<(u64, &Frozen)> {
        let (from, to) = digest.epochs;
        let epochs = self.epochs.range((digest.route.clone(), from)..=(digest.route.clone(), to));
        let is_meant = |frozen: &Frozen| {
            let is_owed = digest.escalated.is_some() || frozen.owed.contains(&digest.target);
            frozen.hold.is_none() && is_owed
        };
        let meant = epochs.filter(|(_, frozen)| is_meant(frozen));
        meant.map(|((_, number), frozen)| (*number, frozen)).collect()
    }

    /// The epoch that ended a burst.
    pub fn end_of(&self, route: &RouteName, burst: u64) -> Option<u64> {
        let mut here = self.epochs.iter().filter(|((at, _), _)| at == route);
        here.find(|(_, frozen)| frozen.ends == Some(burst)).map(|((_, number), _)| *number)
    }

    /// Checks that each row is in exactly one tally or epoch of each of its routes.
    pub fn unbalanced(&self) -> Vec<String> {
        let mut counts: BTreeMap<(&RouteName, &AlertId), u32> = BTreeMap::new();
        let tallies =
            self.tallies.iter().flat_map(|((route, _), ids)| ids.iter().map(move |id| (route, id)));
        let epochs = self
            .epochs
            .iter()
            .flat_map(|((route, _), frozen)| frozen.alerts.iter().map(move |id| (route, id)));
        for entry in tallies.chain(epochs) {
            *counts.entry(entry).or_default() += 1;
        }
        let mut wrong = Vec::new();
        for (id, routes) in &self.rows {
            for route in routes {
                let n = counts.remove(&(route, id)).unwrap_or(0);
                if n != 1 {
                    wrong.push(format!("{} is counted {n} times on {route}", id.as_str()));
                }
            }
        }
        wrong.extend(
            counts.into_keys().map(|(route, id)| {
                format!("{} has no row, but is counted on {route}", id.as_str())
            }),
        );
        wrong
    }

    /// Alerts that are still in a tally, and so will not be delivered.
    pub fn waiting(&self) -> Vec<String> {
        let waiting = self.tallies.iter().filter(|(_, ids)| !ids.is_empty());
        waiting
            .map(|((route, _), ids)| format!("{} alerts of {route} were never frozen", ids.len()))
            .collect()
    }

    /// Epochs that a target neither received nor had muted nor, without a replay, parked.
    pub fn forgotten(&self, is_replayed: bool) -> Vec<String> {
        let mut forgotten = Vec::new();
        for ((route, number), frozen) in &self.epochs {
            for target in frozen.owed.iter().filter(|_| !frozen.alerts.is_empty()) {
                let here = |other: &RouteName, of: &Target| (other, of) == (route, target);
                let delivered = self.delivered.iter().any(|delivered| {
                    here(&delivered.digest.route, &delivered.digest.target)
                        && within(*number, delivered.digest.epochs)
                });
                let parked = !is_replayed
                    && self
                        .parked
                        .iter()
                        .any(|(at, of, span)| here(at, of) && within(*number, *span));
                let muted = self.muted.iter().any(|(at, of, (after, upto))| {
                    here(at, of) && within(*number, (after + 1, *upto))
                });
                if !(delivered || parked || muted) {
                    forgotten.push(format!("{target} did not receive epoch {number} of {route}"));
                }
            }
        }
        forgotten
    }

    /// Alerts that a target received again although the first message was acknowledged.
    pub fn repeated(&self) -> Vec<String> {
        let mut acknowledgement: BTreeMap<(&RouteName, &Target, bool, &AlertId), u64> =
            BTreeMap::new();
        let mut repeated = Vec::new();
        // A replay repeats a parked message that was delivered before its dead letter was received.
        let mut delivered: Vec<&Step> =
            self.delivered.iter().filter(|delivered| !delivered.replayed).collect();
        delivered.sort_by_key(|delivered| delivered.sent_at);
        for message in delivered {
            let digest = &message.digest;
            for id in self.alerts_in(digest) {
                let key = (&digest.route, &digest.target, digest.escalated.is_some(), id);
                if let Some(process) = acknowledgement.get(&key) {
                    let what = format!(
                        "{} received {} on {} again",
                        digest.target,
                        id.as_str(),
                        digest.route
                    );
                    repeated.push(format!(
                        "{what}, by process {} after process {process}",
                        message.process
                    ));
                }
                if message.acknowledged {
                    acknowledgement.insert(key, message.process);
                }
            }
        }
        repeated
    }

    /// Checks a schedule without faults: a message that has an alert was sent at most `patience`
    /// after the record was acknowledged.
    pub fn late(&self, route: &RouteName, patience: Duration) -> Vec<String> {
        let here = self.delivered.iter().filter(|delivered| delivered.digest.route == *route);
        let mut late = Vec::new();
        for delivered in here {
            let alerts = self.own_alerts_in(&delivered.digest).into_iter();
            let since = alerts.filter_map(|id| self.acknowledged.get(id)).min();
            let Some(waited) = since.and_then(|since| delivered.sent_at.checked_sub(*since)) else {
                continue;
            };
            if waited > patience.as_micros() as u64 {
                let target = &delivered.digest.target;
                let waited = Duration::from_micros(waited);
                late.push(format!("{target} received alerts of {route} after {waited:?}"));
            }
        }
        late
    }

    /// Checks a schedule without faults: one message for each target and each window with alerts.
    /// With `merged`, a message may have several windows.
    pub fn messages_too_many(&self, merged: bool) -> Vec<String> {
        let mut windows: BTreeMap<(&RouteName, &Target), BTreeSet<u64>> = BTreeMap::new();
        for ((route, _), frozen) in
            self.epochs.iter().filter(|(_, frozen)| !frozen.alerts.is_empty())
        {
            for target in &frozen.owed {
                windows.entry((route, target)).or_default().insert(frozen.window);
            }
        }
        let mut wrong = Vec::new();
        for ((route, target), windows) in windows {
            let messages = self.delivered.iter().filter(|delivered| {
                let digest = &delivered.digest;
                (&digest.route, &digest.target) == (route, target) && !digest.tally.is_empty()
            });
            let (messages, windows) = (messages.count(), windows.len());
            if messages > windows || messages < windows && !merged {
                wrong.push(format!(
                    "{target} had {messages} messages for {windows} windows of {route}"
                ));
            }
        }
        wrong
    }

    /// Epochs that a target of `route` refused and that its fallback neither received nor had
    /// parked.
    pub fn not_escalated(&self, route: &RouteName, fallback: &Target) -> Vec<String> {
        let reached = |number: u64| {
            let delivered =
                self.delivered.iter().filter(|delivered| delivered.digest.escalated.is_some());
            let delivered = delivered.map(|delivered| {
                (&delivered.digest.route, &delivered.digest.target, delivered.digest.epochs)
            });
            let parked = self.parked.iter().map(|(at, of, span)| (at, of, *span));
            delivered
                .chain(parked)
                .any(|(at, of, span)| (at, of) == (route, fallback) && within(number, span))
        };
        let muted = |target: &Target, number: u64| {
            let mut here = self.muted.iter().filter(|(at, of, _)| (at, of) == (route, target));
            here.any(|(_, _, (after, upto))| within(number, (after + 1, *upto)))
        };
        // An epoch that could not be escalated was retried, and may then have been accepted or
        // muted.
        let taken = |target: &Target, number: u64| {
            let of = |delivered: &&Step| {
                (&delivered.digest.route, &delivered.digest.target) == (route, target)
            };
            muted(target, number)
                || self
                    .delivered
                    .iter()
                    .filter(of)
                    .any(|delivered| within(number, delivered.digest.epochs))
        };
        let has_alerts = |number: u64| {
            self.epochs
                .get(&(route.clone(), number))
                .is_some_and(|frozen| !frozen.alerts.is_empty())
        };
        let refused = self.parked.iter().filter(|(at, of, _)| at == route && of != fallback);
        let epochs =
            refused.flat_map(|(_, of, (from, to))| (*from..=*to).map(move |number| (of, number)));
        let epochs: BTreeSet<u64> = epochs
            .filter(|(of, number)| has_alerts(*number) && !taken(of, *number))
            .map(|(_, number)| number)
            .collect();
        let lost =
            epochs.into_iter().filter(|number| !reached(*number) && !muted(fallback, *number));
        lost.map(|number| {
            format!("{fallback} did not receive the refused epoch {number} of {route}")
        })
        .collect()
    }
}

fn within(number: u64, (from, to): (u64, u64)) -> bool {
    (from..=to).contains(&number)
}
