//! One invocation of the function: what Lambda hands over, through the pipeline, into the answer that Lambda
//! understands. The runtime around it is the binary's business.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::{RawValue, to_raw_value};
use thiserror::Error;

use crate::clock::{Clock as _, Timestamp};
use crate::close::{Outcome, Sent};
use crate::consume::{Checkpoint, Consumed, Verdict, consume};
use crate::event::{self, BATCH_RECORDS_MAX, Batch, Context, Event, EventError};
use crate::metric;
use crate::queue::Postpone;
use crate::store::StoreError;
use crate::world::World;

mod due;

/// An invocation, as the runtime describes it.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    pub function: String,
    pub request_id: String,
    /// When Lambda ends the process, in milliseconds since 1970, as it says; some emulators send nonsense.
    pub deadline_ms: u64,
    /// The Region that the function runs in.
    pub region: Option<String>,
}

/// The invocation fails as a whole and comes again as a whole.
#[derive(Debug, Error)]
pub enum FunctionError {
    #[error(transparent)]
    Event(#[from] EventError),
    /// Some records must come again, and none of them has a name that Lambda knows.
    #[error("{0} of the records must come again and cannot be named: {1}")]
    Unnamed(usize, String),
    /// A notifier without a due queue would close windows before their time.
    #[error("the event is for a notifier, and DUE_QUEUE_URL is not set")]
    NoDueQueue,
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl FunctionError {
    /// The word for it in Lambda's error type, by which alarms and searches tell errors apart. It never changes.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Event(error) => error.code(),
            Self::Unnamed(..) => "RecordsUnnamed",
            Self::NoDueQueue => "NoDueQueue",
            Self::Store(error) => error.code(),
        }
    }
}

/// No invocation lives longer, so no deadline lies further ahead.
const INVOCATION_MAX: Duration = Duration::from_secs(900);

/// What is assumed when the deadline is nonsense.
const INVOCATION_ASSUMED: Duration = Duration::from_secs(30);

/// Time left to answer in.
const ANSWER_MARGIN: Duration = Duration::from_millis(1_000);

/// The answer to a batch or to due messages, as Lambda understands it.
#[derive(Debug, Default, Serialize)]
struct Answer {
    /// The state of a tumbling window, as it came.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<Box<RawValue>>,
    #[serde(rename = "batchItemFailures")]
    failures: Vec<Failure>,
}

/// What must come again: a message of a queue, or the records of a stream from this one on.
#[derive(Debug, Serialize)]
struct Failure {
    #[serde(rename = "itemIdentifier")]
    item: String,
}

/// Handles one event and answers what Lambda has to know, as JSON. The summary line goes to `log`.
///
/// # Errors
/// When the event is of no known shape, the records that must come again cannot be named, or a notifier is not
/// set up as one.
pub async fn handle<W>(
    world: &W,
    payload: &RawValue,
    invocation: &Invocation,
    log: impl FnOnce(String),
) -> Result<Box<RawValue>, FunctionError>
where
    W: World,
    W::Due: Postpone,
{
    let started = world.clock().now();
    let deadline = deadline(invocation.deadline_ms, started);
    let mut shard_id = String::new();
    let context = Context {
        name: &invocation.request_id,
        region: invocation.region.as_deref(),
        records_max: Some(BATCH_RECORDS_MAX),
    };
    let (answer, books) = match event::read(payload.get(), context)? {
        Event::Batch(batch) => {
            shard_id = batch.shard_id().unwrap_or_default().to_owned();
            // The caller's span has a place for it, which stays empty for a direct subscription.
            tracing::Span::current().record("shard.id", &shard_id);
            let consumed = consume(world, &batch, deadline).await;
            report_troubles(&batch, &consumed);
            let answer = answer(&batch, &consumed);
            (answer.map(|answer| json(&answer)), metric::of_batch(&consumed))
        }
        Event::Due(messages) => {
            let (failures, books) = due::told(world, messages, deadline).await?;
            (Ok(json(&Answer { failures, ..Answer::default() })), books)
        }
        Event::Sweep => (Ok(json(&())), due::swept(world, deadline).await?),
    };
    let of =
        metric::Invocation { function: &invocation.function, request_id: &invocation.request_id, shard_id: &shard_id };
    let now = world.clock().now();
    log(metric::line(&of, books, started.until(now), now));
    answer
}

/// When everything must be done, so that there is time left to answer.
fn deadline(deadline_ms: u64, now: Timestamp) -> Timestamp {
    let said = Timestamp::from_millis(i64::try_from(deadline_ms).unwrap_or(i64::MAX));
    let left = now.until(said);
    let left = if left.is_zero() || left > INVOCATION_MAX { INVOCATION_ASSUMED } else { left };
    now.after(left.saturating_sub(ANSWER_MARGIN.min(left / 4)))
}

/// The answer in the shape that the event asks for: partial failures for Kinesis, with the state echoed where
/// there is a tumbling window.
fn answer(batch: &Batch<'_>, consumed: &Consumed) -> Result<Answer, FunctionError> {
    let failures = match consumed.checkpoint(batch) {
        Checkpoint::Everything => Vec::new(),
        Checkpoint::Before(sequence) => vec![Failure { item: sequence.as_str().to_owned() }],
        Checkpoint::Nothing => {
            let mut reasons = consumed.verdicts.iter().filter_map(|verdict| match verdict {
                Verdict::Retry(why) => Some(why.clone()),
                Verdict::Safe | Verdict::Parked(_) => None,
            });
            let first = reasons.next().unwrap_or_default();
            return Err(FunctionError::Unnamed(1 + reasons.count(), first));
        }
    };
    Ok(Answer { state: batch.window_state.clone(), failures })
}

fn json(answer: &impl Serialize) -> Box<RawValue> {
    to_raw_value(answer).expect("invariant: an answer is plain JSON data")
}

/// What a person may have to act on, a line each; per record only where someone asks for more.
fn report_troubles(batch: &Batch<'_>, consumed: &Consumed) {
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

fn report_messages(messages: &[Sent]) {
    for sent in messages {
        match &sent.outcome {
            Outcome::Accepted => {}
            Outcome::Retry(why) => {
                tracing::warn!(route = %sent.route, target = %sent.target, alerts = sent.alerts, "{} was not told yet: {why}", sent.target);
            }
            Outcome::Parked(why) => {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_deadline_leaves_time_to_answer_whatever_was_sent() {
        let now = Timestamp::from_millis(1_795_443_306_789);
        let at = |deadline_ms: u64| now.until(deadline(deadline_ms, now)).as_millis();
        let now_ms = u64::try_from(now.as_millis()).unwrap();
        let cases = [
            (now_ms + 60_000, 59_000),
            (now_ms + 2_000, 1_500),
            (now_ms + 4, 3),
            (now_ms, 29_000),
            (600_000, 29_000),
            (0, 29_000),
            (u64::MAX, 29_000),
            (now_ms + 901_000, 29_000),
        ];
        for (deadline_ms, left) in cases {
            assert_eq!(at(deadline_ms), left, "{deadline_ms}");
        }
    }

    #[test]
    fn the_answer_has_the_shape_that_the_event_asks_for() {
        let check = |payload: &str, verdicts: &[bool], expected: Option<&str>| {
            let batch = event::parse(payload, "request").unwrap();
            let verdict = |safe: &bool| if *safe { Verdict::Safe } else { Verdict::Retry("throttled".into()) };
            let consumed = Consumed { verdicts: verdicts.iter().map(verdict).collect(), ..Consumed::default() };
            let answer = answer(&batch, &consumed).ok().map(|answer| json(&answer).get().to_owned());
            assert_eq!(answer.as_deref(), expected, "{payload} {verdicts:?}");
        };
        let record = |n: &str| format!(r#"{{"kinesis":{{"sequenceNumber":"{n}","data":""}}}}"#);
        let two = format!(r#""Records":[{},{}]"#, record("49001"), record("49002"));
        check(&format!("{{{two}}}"), &[true, true], Some(r#"{"batchItemFailures":[]}"#));
        check(&format!("{{{two}}}"), &[true, false], Some(r#"{"batchItemFailures":[{"itemIdentifier":"49002"}]}"#));
        check(&format!("{{{two}}}"), &[false, false], Some(r#"{"batchItemFailures":[{"itemIdentifier":"49001"}]}"#));
        check(r#"{"Records":[]}"#, &[], Some(r#"{"batchItemFailures":[]}"#));
        check(&format!(r#"{{"Records":[{}]}}"#, record("")), &[false], None);
        check(r#"{"awslogs":{"data":""}}"#, &[true], Some(r#"{"batchItemFailures":[]}"#));
        check(r#"{"awslogs":{"data":""}}"#, &[false], None);
        let tumbling = format!(
            r#"{{{two},"window":{{"start":"a","end":"b"}},"state":{{"n":123456789012345678901234567890,"x":[1.50]}},"isFinalInvokeForWindow":true}}"#
        );
        check(
            &tumbling,
            &[true, false],
            Some(
                r#"{"state":{"n":123456789012345678901234567890,"x":[1.50]},"batchItemFailures":[{"itemIdentifier":"49002"}]}"#,
            ),
        );
        check(&format!(r#"{{{two},"window":{{}}}}"#), &[true, true], Some(r#"{"state":{},"batchItemFailures":[]}"#));
    }
}
