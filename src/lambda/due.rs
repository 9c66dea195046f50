//! The invocations of the notifier: messages of the due queue, and the sweep. A message with work
//! left is made invisible until that work is due and reported as failed, so that SQS keeps it. SQS
//! deletes all others.

use std::time::Duration;

use futures::future::{join, join_all};

use crate::ingest::event::DueMessage;
use crate::lambda::batch_response::{FunctionError, ItemFailure};
use crate::lambda::metric::{self, InvocationMetrics};
use crate::lambda::report::report_messages;
use crate::lambda::series::SeriesNames;
use crate::protocol::backoff::RetryAt;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::notifier::{Received, notify, sweep};
use crate::protocol::notify::Deliver as _;
use crate::protocol::queue::{ChangeVisibility, DeadLetterQueue as _, Due};
use crate::protocol::services::Services;

/// Time reserved before the deadline for changing the visibility of messages.
const VISIBILITY_MARGIN: Duration = Duration::from_millis(500);

/// Returns the messages to retry, and the metrics.
pub(super) async fn handle_messages<W>(
    services: &W,
    messages: Vec<DueMessage>,
    names: &SeriesNames<'_>,
    deadline: Deadline,
) -> Result<(Vec<ItemFailure>, InvocationMetrics), FunctionError>
where
    W: Services,
    W::Due: ChangeVisibility,
{
    let queue = services.due().ok_or(FunctionError::NoDueQueue)?;
    let due = messages.len() as u64;
    let now = services.clock().now();
    let sent = messages.iter().filter_map(|message| message.sent_at).min();
    let age = sent.map_or(Duration::ZERO, |sent| sent.until(now));
    let (readable, others) = split(messages);
    let received: Vec<Received> = readable.iter().map(|(_, received)| received.clone()).collect();
    let notified = notify(services, &received, deadline.earlier(VISIBILITY_MARGIN)).await;
    report_messages(&notified.messages);
    let mut failed = put_back(services, others, deadline).await;
    let left = readable.into_iter().zip(notified.retry.clone());
    let later: Vec<(DueMessage, RetryAt)> =
        left.filter_map(|((message, _), retry)| Some((message, retry?))).collect();
    join_all(later.iter().map(|(message, retry)| hide(services, queue, message, retry, deadline)))
        .await;
    failed.extend(later.into_iter().map(|(message, _)| message.message_id));
    let metrics = metric::of_due(due, failed.len() as u64, age, &notified, names);
    Ok((failed.into_iter().map(|item| ItemFailure { item }).collect(), metrics))
}

/// Sweeps, and returns the metrics.
pub(super) async fn handle_sweep<W: Services>(
    services: &W,
    names: &SeriesNames<'_>,
    deadline: Deadline,
) -> Result<InvocationMetrics, FunctionError> {
    services.due().ok_or(FunctionError::NoDueQueue)?;
    // A quiet route then waits neither for the secret nor for the HTTP client.
    let (swept, ()) = join(sweep(services, deadline), services.deliver().warm(deadline)).await;
    let swept = swept?;
    report_messages(&swept.messages);
    Ok(metric::of_sweep(&swept, services.clock().now(), names))
}

/// Splits the messages into due messages and others.
fn split(messages: Vec<DueMessage>) -> (Vec<(DueMessage, Received)>, Vec<DueMessage>) {
    let (mut readable, mut others) = (Vec::new(), Vec::new());
    for message in messages {
        match serde_json::from_str::<Due>(&message.body) {
            Ok(due) => {
                let attempt = message.receives.saturating_sub(1);
                readable.push((message, Received { due, attempt }));
            }
            Err(_) => others.push(message),
        }
    }
    (readable, others)
}

/// Puts the others into the dead-letter queue as they are: they may be dead letters, moved by hand.
/// Returns the ids of those that could not be put there.
async fn put_back<W: Services>(
    services: &W,
    messages: Vec<DueMessage>,
    deadline: Deadline,
) -> Vec<String> {
    if messages.is_empty() {
        return Vec::new();
    }
    let (ids, bodies): (Vec<String>, Vec<String>) =
        messages.into_iter().map(|message| (message.message_id, message.body)).unzip();
    let answers = services.dead_letters().put_back(&bodies, deadline).await;
    tracing::error!(
        sqs.message_ids = ids.join(", "),
        error.code = "not-due",
        "{} messages of the due queue are not due messages; {} of them are in the dead-letter queue now",
        ids.len(),
        answers.iter().filter(|answer| answer.is_ok()).count()
    );
    ids.into_iter().zip(answers).filter(|(_, answer)| answer.is_err()).map(|(id, _)| id).collect()
}

async fn hide<W: Services>(
    services: &W,
    queue: &impl ChangeVisibility,
    message: &DueMessage,
    retry: &RetryAt,
    deadline: Deadline,
) {
    let delay = services.clock().now().until(retry.at);
    tracing::info!(
        sqs.message_id = message.message_id,
        "A due message becomes visible again in {} s: {}",
        delay.as_secs(),
        retry.reason
    );
    if let Err(error) = queue.change_visibility(&message.receipt, delay, deadline).await {
        // It becomes visible anyway when the visibility timeout of the queue ends.
        tracing::warn!(
            sqs.message_id = message.message_id,
            "The visibility of a due message could not be changed: {error}"
        );
    }
}
