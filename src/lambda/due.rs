//! The notifier's invocations: messages of the due queue, and the sweep. A message that has to come back is put off
//! to when it is of use, and then reported as failed, by which SQS keeps it; all others SQS deletes.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use futures::future::join_all;

use crate::ingest::event::DueMessage;
use crate::lambda::answer::{Failure, FunctionError};
use crate::lambda::metric::{self, Books};
use crate::lambda::report::report_messages;
use crate::model::time::Timestamp;
use crate::protocol::clock::Clock as _;
use crate::protocol::notifier::{Received, notify, sweep};
use crate::protocol::queue::{Due, Park as _, Parked, Postpone, What};
use crate::protocol::round::Again;
use crate::protocol::world::World;

/// Kept free before the deadline, for putting off what could not be done.
const PUT_OFF_MARGIN: Duration = Duration::from_millis(500);

/// Returns the messages that must come again, and the books.
pub(super) async fn told<W>(
    world: &W,
    messages: Vec<DueMessage>,
    deadline: Timestamp,
) -> Result<(Vec<Failure>, Books), FunctionError>
where
    W: World,
    W::Due: Postpone,
{
    let queue = world.due().ok_or(FunctionError::NoDueQueue)?;
    let due = messages.len() as u64;
    let (readable, unreadable) = sorted(messages);
    let received: Vec<Received> = readable.iter().map(|(_, received)| received.clone()).collect();
    let notified = notify(world, &received, deadline.before(PUT_OFF_MARGIN)).await;
    report_messages(&notified.messages);
    let mut failed = park_unreadable(world, unreadable, deadline).await;
    let left = readable.into_iter().zip(notified.again);
    let later: Vec<(DueMessage, Again)> = left.filter_map(|((message, _), again)| Some((message, again?))).collect();
    join_all(later.iter().map(|(message, again)| put_off(world, queue, message, again, deadline))).await;
    failed.extend(later.into_iter().map(|(message, _)| message.message_id));
    let books = metric::of_notifier(due, 0, failed.len() as u64, &notified.messages);
    Ok((failed.into_iter().map(|item| Failure { item }).collect(), books))
}

/// Sweeps, and answers the books.
pub(super) async fn swept<W: World>(world: &W, deadline: Timestamp) -> Result<Books, FunctionError> {
    world.due().ok_or(FunctionError::NoDueQueue)?;
    let swept = sweep(world, deadline).await?;
    report_messages(&swept.messages);
    Ok(metric::of_notifier(0, swept.routes, swept.unfinished.len() as u64, &swept.messages))
}

/// The messages that are due messages, and those that are not.
fn sorted(messages: Vec<DueMessage>) -> (Vec<(DueMessage, Received)>, Vec<DueMessage>) {
    let (mut readable, mut unreadable) = (Vec::new(), Vec::new());
    for message in messages {
        match serde_json::from_str::<Due>(&message.body) {
            Ok(due) => {
                let attempt = message.receives.saturating_sub(1);
                readable.push((message, Received { due, attempt }));
            }
            Err(_) => unreadable.push(message),
        }
    }
    (readable, unreadable)
}

/// Parks what is no due message; answers the ids of those that could not be parked.
async fn park_unreadable<W: World>(world: &W, messages: Vec<DueMessage>, deadline: Timestamp) -> Vec<String> {
    let now = world.clock().now();
    let parked = |message: &DueMessage| {
        let what = What::Record {
            event_id: message.message_id.clone(),
            stream_arn: None,
            region: None,
            partition_key: None,
            arrived_at: None,
            data: Some(STANDARD.encode(&message.body)),
        };
        Parked::new("not-due: a message of the due queue is not a due message", now, what)
    };
    let items: Vec<Parked> = messages.iter().map(parked).collect();
    if items.is_empty() {
        return Vec::new();
    }
    let answers = world.park().park(&items, deadline).await;
    messages
        .into_iter()
        .zip(answers)
        .filter(|(_, answer)| answer.is_err())
        .map(|(message, _)| message.message_id)
        .collect()
}

async fn put_off<W: World>(world: &W, queue: &impl Postpone, message: &DueMessage, again: &Again, deadline: Timestamp) {
    let delay = world.clock().now().until(again.at);
    tracing::info!(
        sqs.message_id = message.message_id,
        "A due message comes again in {} s: {}",
        delay.as_secs(),
        again.why
    );
    if let Err(error) = queue.postpone(&message.receipt, delay, deadline).await {
        // It comes back all the same, when the queue's own time-out has passed.
        tracing::warn!(sqs.message_id = message.message_id, "A due message could not be put off: {error}");
    }
}
