//! Handles one invocation: reads the event, runs the consumer or the notifier, and answers in the
//! form that the trigger expects. The Lambda runtime around it belongs to the binary.

use std::time::Duration;

use serde_json::value::RawValue;

use crate::ingest::event::{self, BATCH_RECORDS_MAX, Batch, Context, Event};
use crate::lambda::batch_response::{Answer, FunctionError, ItemFailure, json};
use crate::lambda::report::report_batch;
use crate::lambda::series::SeriesNames;
use crate::lambda::{due, metric};
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::consume::{Checkpoint, Consumed, Verdict, consume};
use crate::protocol::queue::ChangeVisibility;
use crate::protocol::services::Services;

/// An invocation as the runtime describes it.
#[derive(Clone, Debug, Default)]
pub struct Invocation {
    pub function: String,
    pub request_id: String,
    /// When Lambda ends the process, in milliseconds since 1970. Some emulators send nonsense.
    pub deadline_ms: u64,
    /// The Region that the function runs in.
    pub region: Option<String>,
    /// Routes, and targets, that have metrics of their own.
    pub series_max: usize,
}

/// The longest that Lambda lets an invocation run.
const INVOCATION_MAX: Duration = Duration::from_secs(900);

/// The assumed time when the deadline is nonsense.
const INVOCATION_ASSUMED: Duration = Duration::from_secs(30);

/// Time reserved for the answer.
const ANSWER_MARGIN: Duration = Duration::from_millis(1_000);

/// Handles one event and returns the answer as JSON. `log` gets the summary line and those of the
/// series.
///
/// # Errors
/// When the event has an unknown shape, when records to retry have no sequence number, or when a
/// notifier has no due queue.
pub async fn handle<W>(
    services: &W,
    payload: &RawValue,
    invocation: &Invocation,
    log: impl FnMut(String),
) -> Result<Box<RawValue>, FunctionError>
where
    W: Services,
    W::Due: ChangeVisibility,
{
    let started = services.clock().now();
    let deadline = deadline(invocation.deadline_ms, started);
    let names = SeriesNames::of(services.routes(), invocation.series_max);
    let mut shard_id = String::new();
    let context = Context {
        name: &invocation.request_id,
        region: invocation.region.as_deref(),
        records_max: Some(BATCH_RECORDS_MAX),
    };
    let (answer, metrics) = match event::read(payload.get(), context)? {
        Event::Batch(batch) => {
            shard_id = batch.shard_id().unwrap_or_default().to_owned();
            // The caller's span has this field. It stays empty for a direct subscription.
            tracing::Span::current().record("shard.id", &shard_id);
            let consumed = consume(services, &batch, deadline).await;
            report_batch(&batch, &consumed);
            let answer = answer(&batch, &consumed);
            (answer.map(|answer| json(&answer)), metric::of_batch(&consumed, &names))
        }
        Event::Due(messages) => {
            let (failures, metrics) =
                due::handle_messages(services, messages, &names, deadline).await?;
            (Ok(json(&Answer { failures, ..Answer::default() })), metrics)
        }
        Event::Sweep => (Ok(json(&())), due::handle_sweep(services, &names, deadline).await?),
    };
    let of = metric::InvocationMetric {
        function: &invocation.function,
        request_id: &invocation.request_id,
        shard_id: &shard_id,
    };
    let now = services.clock().now();
    metric::lines(&of, metrics, started.until(now), now).into_iter().for_each(log);
    answer
}

/// The deadline for all work, which leaves time to answer.
fn deadline(deadline_ms: u64, now: Timestamp) -> Deadline {
    let said = Timestamp::from_millis(i64::try_from(deadline_ms).unwrap_or(i64::MAX));
    let left = now.until(said);
    let left = if left.is_zero() || left > INVOCATION_MAX { INVOCATION_ASSUMED } else { left };
    Deadline::after(now, left.saturating_sub(ANSWER_MARGIN.min(left / 4)))
}

/// The answer to a batch: partial failures for Kinesis, and the state of a tumbling window.
fn answer(batch: &Batch<'_>, consumed: &Consumed) -> Result<Answer, FunctionError> {
    let failures = match consumed.checkpoint(batch) {
        Checkpoint::Everything => Vec::new(),
        Checkpoint::Before(sequence) => vec![ItemFailure { item: sequence.as_str().to_owned() }],
        Checkpoint::Nothing => {
            let mut reasons = consumed.verdicts.iter().filter_map(|verdict| match verdict {
                Verdict::Retry(reason) => Some(reason),
                Verdict::Safe | Verdict::Unreadable(_) | Verdict::Parked(_) => None,
            });
            let first = reasons
                .next()
                .expect("invariant: a checkpoint before a record has a record to retry");
            return Err(FunctionError::Unnamed(1 + reasons.count(), Box::new(first.clone())));
        }
    };
    Ok(Answer { state: batch.window_state.clone(), failures })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::retry_reason::RetryReason;

    #[test]
    fn any_deadline_leaves_time_to_answer() {
        let now = Timestamp::from_millis(1_795_443_306_789);
        let at = |deadline_ms: u64| deadline(deadline_ms, now).remaining(now).as_millis();
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
    fn the_answer_has_the_shape_that_the_trigger_expects() {
        let check = |payload: &str, verdicts: &[bool], expected: Option<&str>| {
            let batch = event::parse(payload, "request").unwrap();
            let verdict = |safe: &bool| {
                if *safe { Verdict::Safe } else { Verdict::Retry(RetryReason::OutOfTime) }
            };
            let consumed = Consumed {
                verdicts: verdicts.iter().map(verdict).collect(),
                ..Consumed::default()
            };
            let answer =
                answer(&batch, &consumed).ok().map(|answer| json(&answer).get().to_owned());
            assert_eq!(answer.as_deref(), expected, "{payload} {verdicts:?}");
        };
        let record = |n: &str| format!(r#"{{"kinesis":{{"sequenceNumber":"{n}","data":""}}}}"#);
        let two = format!(r#""Records":[{},{}]"#, record("49001"), record("49002"));
        check(&format!("{{{two}}}"), &[true, true], Some(r#"{"batchItemFailures":[]}"#));
        check(
            &format!("{{{two}}}"),
            &[true, false],
            Some(r#"{"batchItemFailures":[{"itemIdentifier":"49002"}]}"#),
        );
        check(
            &format!("{{{two}}}"),
            &[false, false],
            Some(r#"{"batchItemFailures":[{"itemIdentifier":"49001"}]}"#),
        );
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
        check(
            &format!(r#"{{{two},"window":{{}}}}"#),
            &[true, true],
            Some(r#"{"state":{},"batchItemFailures":[]}"#),
        );
    }
}
