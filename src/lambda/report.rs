//! What an invocation logs about its records and messages.

use crate::ingest::event::Batch;
use crate::protocol::consume::{Consumed, Verdict};
use crate::protocol::round::{Delivery, DeliveryOutcome};

/// What a person may have to act on, a line each; per record only where someone asks for more.
pub(super) fn report_troubles(batch: &Batch<'_>, consumed: &Consumed) {
    let counts = &consumed.counts;
    for (record, verdict) in batch.records.iter().zip(&consumed.verdicts) {
        match verdict {
            Verdict::Safe => {}
            Verdict::Parked(poison) => tracing::debug!(record.event_id = %record.event_id, "Parked a record: {poison}"),
            Verdict::Retry(why) => {
                tracing::debug!(record.event_id = %record.event_id, "A record must come again: {why}")
            }
        }
    }
    let retry = consumed.verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Retry(why) => Some(why),
        Verdict::Safe | Verdict::Parked(_) => None,
    });
    if let Some(why) = retry {
        tracing::warn!(records.retried = counts.records_retried, "Records must come again: {why}");
    }
    let poison = consumed.verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Parked(poison) => Some(poison),
        Verdict::Safe | Verdict::Retry(_) => None,
    });
    if let Some(poison) = poison {
        tracing::warn!(records.parked = counts.records_parked, "Parked records, the first for: {poison}");
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
    for sent in messages {
        match &sent.outcome {
            DeliveryOutcome::Accepted => {}
            DeliveryOutcome::Retry(why) => {
                tracing::warn!(route = %sent.route, target = %sent.target, alerts = sent.alerts, "{} was not told yet: {why}", sent.target);
            }
            DeliveryOutcome::Parked(why) => {
                tracing::error!(route = %sent.route, target = %sent.target, alerts = sent.alerts, "Parked a message: {why}");
            }
        }
    }
}

/// Said once in the life of a process: each warning is a line in the very log that it warns of.
fn warn_of_own_logs(events: u64) {
    static WARNED: std::sync::Once = std::sync::Once::new();
    WARNED.call_once(|| {
        tracing::warn!(
            events.own = events,
            "The stream carries this function's own logs; they are refused. Remove the subscription."
        );
    });
}
