//! The queues in SQS. The dead-letter queue: batches of ten within one MiB, failed entries tried again, ASCII only.
//! The due queue: delayed messages, and visibility as the way to put them off.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::SendMessageBatchRequestEntry;
use tokio::time::timeout;

use crate::aws::chain;
use crate::clock::{Clock as _, SystemClock, Timestamp};
use crate::queue::{Due, DueQueue, Park, Parked, Postpone, QueueError};

const BATCH_ENTRIES_MAX: usize = 10;

/// A message, and a batch, may have 1,048,576 bytes; the difference is for what a batch adds.
const BATCH_BYTES_MAX: usize = 1_040_000;

/// The longest delay of a message; a window that is longer has its message come back until it is due.
const DELAY_MAX: Duration = Duration::from_secs(900);

/// The longest visibility time-out, counted from when the message was received: so much less as an invocation lasts.
const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 3600 - 900);

const BACKOFF_FIRST: Duration = Duration::from_millis(50);
const BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Parks in an SQS queue.
#[derive(Clone, Debug)]
pub struct SqsPark {
    client: Client,
    queue_url: String,
}

/// Due messages in an SQS queue.
#[derive(Clone, Debug)]
pub struct SqsDue {
    client: Client,
    queue_url: String,
}

impl SqsDue {
    /// `config` is the SDK's; `queue_url` that of the due queue.
    pub fn new(config: &aws_config::SdkConfig, queue_url: String) -> Self {
        Self { client: Client::new(config), queue_url }
    }
}

impl DueQueue for SqsDue {
    async fn send(&self, due: &Due, delay: Duration, deadline: Timestamp) -> Result<(), QueueError> {
        let body = serde_json::to_string(due).expect("invariant: names and numbers always serialise");
        let delay = whole_seconds(delay.min(DELAY_MAX));
        let send = || self.client.send_message().queue_url(&self.queue_url).message_body(&body).delay_seconds(delay);
        until_done(deadline, || async { send().send().await.map(drop).map_err(|error| chain(&error)) }).await
    }
}

impl Postpone for SqsDue {
    async fn postpone(&self, receipt: &str, delay: Duration, deadline: Timestamp) -> Result<(), QueueError> {
        let timeout = whole_seconds(delay.min(VISIBILITY_MAX));
        let change = || {
            let call = self.client.change_message_visibility().queue_url(&self.queue_url);
            call.receipt_handle(receipt).visibility_timeout(timeout)
        };
        until_done(deadline, || async { change().send().await.map(drop).map_err(|error| chain(&error)) }).await
    }
}

/// Rounded up: a message that comes too early comes for nothing.
fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

/// Makes a call again and again until it succeeds or the deadline is near; `Err` says what was said last.
async fn until_done<F>(deadline: Timestamp, call: impl Fn() -> F) -> Result<(), QueueError>
where
    F: Future<Output = Result<(), String>>,
{
    let mut pause = BACKOFF_FIRST;
    loop {
        let left = SystemClock.now().until(deadline);
        let answer = timeout(left, call()).await.unwrap_or_else(|_| Err("no answer before the deadline".to_owned()));
        let Err(why) = answer else { return Ok(()) };
        if pause >= SystemClock.now().until(deadline) {
            return Err(QueueError(why));
        }
        SystemClock.sleep(pause).await;
        pause = (pause * 2).min(BACKOFF_MAX);
    }
}

impl SqsPark {
    /// `config` is the SDK's; `queue_url` that of the dead-letter queue.
    pub fn new(config: &aws_config::SdkConfig, queue_url: String) -> Self {
        Self { client: Client::new(config), queue_url }
    }

    /// Sends one batch until each entry is accepted or the deadline is near; `Err` names what was said last.
    async fn send(&self, bodies: &[(usize, String)], deadline: Timestamp) -> Vec<(usize, Result<(), QueueError>)> {
        let mut waiting: Vec<&(usize, String)> = bodies.iter().collect();
        let mut pause = BACKOFF_FIRST;
        loop {
            let why = match self.send_once(&waiting, deadline).await {
                Ok(failed) if failed.is_empty() => return answers(bodies, &[], ""),
                Ok(failed) => {
                    waiting.retain(|(index, _)| failed.iter().any(|(at, _)| at == index));
                    failed.into_iter().map(|(_, why)| why).next().unwrap_or_default()
                }
                Err(why) => why,
            };
            if pause >= SystemClock.now().until(deadline) {
                return answers(bodies, &waiting, &why);
            }
            SystemClock.sleep(pause).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }

    /// One call; the entries that SQS did not take, and why. (HTTP 200 says nothing about an entry.)
    async fn send_once(
        &self,
        entries: &[&(usize, String)],
        deadline: Timestamp,
    ) -> Result<Vec<(usize, String)>, String> {
        let entry = |(index, body): &&(usize, String)| {
            let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body);
            entry.build().expect("invariant: id and body are set")
        };
        let entries = entries.iter().map(entry).collect();
        let call = self.client.send_message_batch().queue_url(&self.queue_url).set_entries(Some(entries)).send();
        let answer = timeout(SystemClock.now().until(deadline), call)
            .await
            .map_err(|_| "no answer before the deadline".to_owned())?
            .map_err(|error| chain(&error))?;
        let failed = answer.failed.into_iter().filter_map(|failed| {
            let why = format!("{}: {}", failed.code, failed.message.unwrap_or_default());
            failed.id.parse().ok().map(|index| (index, why))
        });
        Ok(failed.collect())
    }
}

impl Park for SqsPark {
    async fn park(&self, items: &[Parked], deadline: Timestamp) -> Vec<Result<(), QueueError>> {
        let bodies: Vec<(usize, String)> = items.iter().map(body).enumerate().collect();
        let mut results = vec![Ok(()); items.len()];
        for batch in batches(&bodies) {
            for (index, result) in self.send(batch, deadline).await {
                results[index] = result;
            }
        }
        results
    }
}

/// The body of a message; without the record's bytes where they do not fit (shard and sequence number
/// lead back to them while the stream keeps them).
fn body(parked: &Parked) -> String {
    let body = parked.to_json();
    match body.len() > BATCH_BYTES_MAX {
        true => parked.clone().without_data().to_json(),
        false => body,
    }
}

fn batches(bodies: &[(usize, String)]) -> Vec<&[(usize, String)]> {
    let mut batches = Vec::new();
    let mut rest = bodies;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |(_, body): &&(usize, String)| {
            bytes += body.len();
            bytes <= BATCH_BYTES_MAX
        };
        let length = rest.iter().take(BATCH_ENTRIES_MAX).take_while(fits).count().max(1);
        let (batch, later) = rest.split_at(length);
        batches.push(batch);
        rest = later;
    }
    batches
}

fn answers(all: &[(usize, String)], failed: &[&(usize, String)], why: &str) -> Vec<(usize, Result<(), QueueError>)> {
    let failed = |index: usize| failed.iter().any(|(at, _)| *at == index);
    let answer = |index| if failed(index) { Err(QueueError(why.to_owned())) } else { Ok(()) };
    all.iter().map(|(index, _)| (*index, answer(*index))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_never_shorter_than_was_asked_for() {
        for (millis, seconds) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (899_999, 900)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis}");
        }
    }

    #[test]
    fn batches_keep_to_ten_entries_and_one_mebibyte() {
        let check = |sizes: &[usize], expected: &[usize]| {
            let bodies: Vec<_> = sizes.iter().map(|bytes| "x".repeat(*bytes)).enumerate().collect();
            let lengths: Vec<usize> = batches(&bodies).iter().map(|batch| batch.len()).collect();
            assert_eq!(lengths, expected, "{sizes:?}");
        };
        check(&[], &[]);
        check(&[1; 23], &[10, 10, 3]);
        check(&[700_000, 300_000, 300_000, 800_000], &[2, 1, 1]);
        check(&[2_000_000, 1], &[1, 1]);
    }
}
