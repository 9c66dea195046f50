//! Logs what a person may have to act on after an invocation.

use std::sync::Once;

use crate::ingest::event::Batch;
use crate::protocol::consume::{Consumed, Verdict};
use crate::protocol::round::{Delivery, DeliveryOutcome};

/// One warning for all records of a kind; each single record at debug level only.
pub(super) fn report_batch(batch: &Batch<'_>, consumed: &Consumed) {
    let counts = &consumed.counts;
    for (record, verdict) in batch.records.iter().zip(&consumed.verdicts) {
        match verdict {
            Verdict::Safe | Verdict::Unreadable(_) => {}
            Verdict::Parked(poison) => {
                tracing::debug!(record.event_id = %record.event_id, poison.code = %poison.code(), "Parked a record: {poison}");
            }
            Verdict::Retry(reason) => {
                tracing::debug!(record.event_id = %record.event_id, "A record needs a retry: {reason}");
            }
        }
    }
    let retried = consumed.verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Retry(reason) => Some(reason),
        Verdict::Safe | Verdict::Unreadable(_) | Verdict::Parked(_) => None,
    });
    if let Some(reason) = retried {
        let records = counts.records_retried;
        tracing::warn!(
            records.retried = records,
            retry.code = reason.code(),
            "{records} records need a retry; the first: {reason}"
        );
    }
    let parked = consumed.verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Parked(poison) => Some(poison),
        Verdict::Safe | Verdict::Unreadable(_) | Verdict::Retry(_) => None,
    });
    if let Some(poison) = parked {
        let records = counts.records_parked;
        tracing::warn!(
            records.parked = records,
            poison.code = %poison.code(),
            "Parked {records} records; the first: {poison}"
        );
    }
    report_messages(&consumed.messages);
    if counts.events_own > 0 {
        warn_of_own_logs(counts.events_own);
    }
    if !counts.balance() {
        tracing::error!("The books do not balance: {counts:?}");
    }
}

pub(super) fn report_messages(messages: &[Delivery]) {
    for Delivery { route, target, alerts, outcome, .. } in messages {
        match outcome {
            DeliveryOutcome::Accepted => {}
            DeliveryOutcome::Retry(reason) => {
                tracing::warn!(%route, %target, alerts, "Delivery to {target} failed and will be retried: {reason}");
            }
            DeliveryOutcome::Parked(reason) => {
                tracing::error!(%route, %target, alerts, "{target} refused a message, which is parked: {reason}");
            }
        }
    }
}

/// Warns once per process, because each warning adds a line to the log that it warns of.
fn warn_of_own_logs(events: u64) {
    static WARNED: Once = Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            events.own = events,
            "The stream carries the logs of this function, which are ignored. Remove their subscription."
        );
    });
}
