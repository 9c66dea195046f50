//! The report of a run: counts, parked records, inputs that were not read, and messages.

use std::collections::BTreeMap;
use std::time::Duration;

use stentor::ingest::decode::Poison;
use stentor::ingest::event::Batch;
use stentor::ingest::route::Routes;
use stentor::model::humanize::{count_alerts, humanize_duration, thousands};
use stentor::model::name::{RouteName, Target};
use stentor::protocol::consume::{Consumed, Counts, Verdict};
use stentor::protocol::retry_reason::RetryReason;
use stentor::protocol::round::{Delivery, DeliveryOutcome};
use stentor::protocol::store::StoreError;

use super::owed::{Failures, OwedRoute, OwedTarget};
use crate::input::Refusal;
use crate::mute::{HeldRoute, QuietRoutes};
use crate::preview::PreviewNotifier;
use crate::ui::TextReport;
use crate::{Exit, json};

/// The sum over all batches of a run.
#[derive(Debug, Default)]
pub(super) struct RunReport {
    counts: Counts,
    kept_by_route: BTreeMap<RouteName, u64>,
    /// Event ids of records, and reasons.
    parked: Vec<(String, Poison)>,
    /// Event ids of records that are neither stored nor parked, and reasons.
    retried: Vec<(String, RetryReason)>,
    messages: Vec<Delivery>,
    /// Inputs that were not read to their end, and reasons.
    not_read: Vec<(String, String)>,
    /// Routes with work left, and reasons.
    undelivered: BTreeMap<RouteName, RetryReason>,
    /// The same for each of their targets, once it is known.
    owed: BTreeMap<RouteName, OwedRoute>,
    failures: Failures,
    /// Routes that deliver nothing, or less than they have.
    quiet: QuietRoutes,
    /// The thresholds of those that hold alerts.
    thresholds: BTreeMap<RouteName, String>,
    /// Those that are staged.
    staged: Vec<RouteName>,
}

impl RunReport {
    pub(super) fn add(&mut self, batch: &Batch<'_>, consumed: Consumed) {
        for (record, verdict) in batch.records.iter().zip(&consumed.verdicts) {
            let event_id = || record.event_id.to_string();
            match verdict {
                Verdict::Safe => {}
                Verdict::Parked(poison) => self.parked.push((event_id(), poison.clone())),
                Verdict::Retry(reason) => self.retried.push((event_id(), reason.clone())),
                Verdict::Unreadable(_) => {
                    unreachable!("invariant: a run parks what it cannot read")
                }
            }
        }
        self.counts += consumed.counts;
        for (route, kept) in consumed.kept_by_route {
            *self.kept_by_route.entry(route).or_default() += kept;
        }
        self.messages.extend(consumed.messages);
    }

    pub(super) fn add_deliveries(&mut self, deliveries: impl IntoIterator<Item = Delivery>) {
        self.messages.extend(deliveries);
    }

    /// Notes why the last attempt to deliver to a target failed, or that one has succeeded.
    pub(super) fn note_attempt(&mut self, delivery: &Delivery) {
        let key = (delivery.route.clone(), delivery.target.clone());
        match &delivery.outcome {
            DeliveryOutcome::Retry(reason) => drop(self.failures.insert(key, reason.clone())),
            DeliveryOutcome::Accepted | DeliveryOutcome::Parked(_) => {
                self.failures.remove(&key);
            }
        }
    }

    /// The routes with work left.
    pub(super) fn undelivered(&self) -> Vec<RouteName> {
        self.undelivered.keys().cloned().collect()
    }

    /// The routes that may have work left if the store cannot list those that have: the routes of the alerts of
    /// this run, or all.
    pub(super) fn failed_routes(
        &self,
        routes: &Routes,
        error: &StoreError,
    ) -> BTreeMap<RouteName, RetryReason> {
        let all = || routes.iter().map(|route| route.name.clone()).collect();
        let of_run: Vec<RouteName> = self.kept_by_route.keys().cloned().collect();
        let failed = if of_run.is_empty() { all() } else { of_run };
        failed.into_iter().map(|route| (route, error.clone().into())).collect()
    }

    /// Sets the targets that a route with work left owes messages.
    pub(super) fn set_owed(&mut self, route: RouteName, targets: Vec<OwedTarget>) {
        let Some(reason) = self.undelivered.get(&route) else { return };
        let mut owed = OwedRoute::new(reason.clone());
        owed.set_targets(&route, targets, &self.failures);
        self.owed.insert(route, owed);
    }

    pub(super) fn add_refusal(&mut self, input: &str, refusal: &Refusal) {
        self.not_read.push((input.to_owned(), refusal.to_string()));
    }

    /// Replaces the routes with work left. The pause after a failure does not hide the failure.
    pub(super) fn set_undelivered(&mut self, routes: BTreeMap<RouteName, RetryReason>) {
        let mut earlier = std::mem::replace(&mut self.undelivered, routes);
        for (route, reason) in &mut self.undelivered {
            if reason.follows_a_failure()
                && let Some(failure) = earlier.remove(route)
            {
                *reason = failure;
            }
        }
    }

    pub(super) fn add_undelivered(&mut self, routes: BTreeMap<RouteName, RetryReason>) {
        self.undelivered.extend(routes);
    }

    pub(super) fn set_quiet(&mut self, quiet: QuietRoutes, routes: &Routes) {
        self.quiet = quiet;
        for route in routes.iter() {
            let threshold = route.at_least.map(|threshold| threshold.to_string());
            self.thresholds.extend(threshold.map(|threshold| (route.name.clone(), threshold)));
            if route.stage && self.kept_by_route.contains_key(&route.name) {
                self.staged.push(route.name.clone());
            }
        }
    }

    /// The routes that hold alerts below a threshold, or are staged.
    fn held(&self) -> impl Iterator<Item = String> + '_ {
        let held = self.quiet.held.iter().map(|HeldRoute { route, alerts, before }| {
            let threshold = self.thresholds.get(route).map(|of| format!(" of at least {of}"));
            let before = match before {
                0 => String::new(),
                n => format!("; {} before did not reach it", count_alerts(*n)),
            };
            format!("{route}: {}{}{before}", count_alerts(*alerts), threshold.unwrap_or_default())
        });
        held.chain(self.staged.iter().map(|route| format!("{route} is staged")))
    }

    pub(super) fn exit(&self) -> Exit {
        let is_parked =
            |delivery: &Delivery| matches!(delivery.outcome, DeliveryOutcome::Parked(_));
        let is_done = self.parked.is_empty()
            && self.retried.is_empty()
            && self.not_read.is_empty()
            && self.undelivered.is_empty()
            && !self.messages.iter().any(is_parked);
        if is_done { Exit::Done } else { Exit::Unfinished }
    }

    /// `preview` tells what a message was about, and whether it was only shown.
    pub(super) fn json(
        &self,
        preview: &PreviewNotifier,
        elapsed: Duration,
    ) -> json::PrintedRun<'_> {
        let only_shows = |target: &Target| preview.only_shows(target);
        let message = |message| {
            json::PrintedMessage::new(message, only_shows).with_groups(preview.groups_of(message))
        };
        let Counts { records, events, unmatched, duplicates, kept, retried, .. } = self.counts;
        json::PrintedRun {
            version: json::VERSION,
            records,
            events,
            unmatched,
            duplicates,
            kept,
            retried,
            routes: self
                .kept_by_route
                .iter()
                .map(|(route, kept)| (route.as_str(), *kept))
                .collect(),
            messages: self.messages.iter().map(message).collect(),
            parked: self
                .parked
                .iter()
                .map(|(event_id, poison)| json::PrintedRecord::new(event_id, poison))
                .collect(),
            to_retry: self
                .retried
                .iter()
                .map(|(event_id, reason)| json::RetriedRecord::new(event_id, reason))
                .collect(),
            not_read: self
                .not_read
                .iter()
                .map(|(input, reason)| json::UnreadInput { input, reason })
                .collect(),
            undelivered: self.owed.iter().map(|(route, owed)| owed.json(route)).collect(),
            muted: self.quiet.muted.iter().map(Into::into).collect(),
            held: self.quiet.held.iter().map(Into::into).collect(),
            staged: self.staged.iter().map(RouteName::as_str).collect(),
            elapsed_ms: json::millis(elapsed),
        }
    }

    /// The report for people. `dead_letters` is the file of parked records.
    pub(super) fn text(&self, dead_letters: &str, elapsed: Duration) -> String {
        let counts = &self.counts;
        let mut text = TextReport::new();
        let processed = counts.records - counts.records_parked - counts.records_retried;
        let control = match counts.control_messages {
            0 => "processed".to_owned(),
            1 => "processed (1 control message)".to_owned(),
            n => format!("processed ({} control messages)", thousands(n)),
        };
        let failed = [(counts.records_parked, "parked"), (counts.records_retried, "to retry")];
        text.counts("records", counts.records, &[(processed, &control)], &failed);
        text.log_events(counts);
        for (route, kept) in &self.kept_by_route {
            text.entry("route", format_args!("{route}: {}", count_alerts(*kept)));
        }
        text.entry("took", humanize_duration(elapsed));
        text.muted(&self.quiet.muted);
        text.list("held: alerts are stored and counted, but not delivered", self.held());
        self.list_failures(&mut text, dead_letters);
        text.into_text()
    }

    fn list_failures(&self, text: &mut TextReport, dead_letters: &str) {
        let parked = self
            .parked
            .iter()
            .map(|(event_id, poison)| (event_id, format!("{}: {poison}", poison.code())));
        text.explained_list(&format!("parked in {dead_letters}"), parked);
        let retried = self.retried.iter().map(|(event_id, reason)| (event_id, reason.to_string()));
        text.explained_list("not stored: run the same input again", retried);
        text.list(
            "not read",
            self.not_read.iter().map(|(input, reason)| format!("{input}: {reason}")),
        );
        let parked = self.messages.iter().filter_map(|message| match &message.outcome {
            DeliveryOutcome::Parked(reason) => {
                Some(format!("{} for {}: {reason}", count_alerts(message.alerts), message.target))
            }
            DeliveryOutcome::Accepted | DeliveryOutcome::Retry(_) => None,
        });
        text.list(&format!("messages parked in {dead_letters}"), parked);
        let undelivered = self.owed.iter().flat_map(|(route, owed)| owed.lines(route));
        text.list("not delivered yet: stored, and delivered by the next run", undelivered);
    }
}
