//! The queues in SQS. The dead-letter queue: batches of ten within one MiB, failed entries tried again, ASCII only.
//! The due queue: delayed messages, and visibility as the way to put them off.
//!
//! HTTP 200 says nothing about a message. One is sent when SQS gives it an id, or names it as successful: a proxy or a
//! mock that answers 200 with nothing in it has kept nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{BatchResultErrorEntry, SendMessageBatchRequestEntry};
use futures::stream::{self, StreamExt as _};
use tokio::time::timeout;

use crate::adapters::aws::{cause, is_refusal};
use crate::adapters::clock::SystemClock;
use crate::model::error::Cause;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::queue::{ChangeVisibility, DeadLetterQueue, Due, DueQueue, ParkedItem, QueueError};

const BATCH_ENTRIES_MAX: usize = 10;

/// Batches on their way at the same time: a poisoned stream parks thousands of records in one invocation.
const BATCHES_AT_ONCE: usize = 8;

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
pub struct SqsDeadLetters {
    client: Client,
    queue_url: String,
}

/// Due messages in an SQS queue.
#[derive(Clone, Debug)]
pub struct SqsDueQueue {
    client: Client,
    queue_url: String,
}

impl SqsDueQueue {
    /// `config` is the SDK's; `queue_url` that of the due queue.
    pub fn new(config: &aws_types::SdkConfig, queue_url: String) -> Self {
        Self { client: Client::new(config), queue_url }
    }
}

impl DueQueue for SqsDueQueue {
    async fn send(&self, due: &Due, delay: Duration, deadline: Deadline) -> Result<(), QueueError> {
        let body = serde_json::to_string(due).expect("invariant: names and numbers always serialise");
        let delay = whole_seconds(delay.min(DELAY_MAX));
        let send = || self.client.send_message().queue_url(&self.queue_url).message_body(&body).delay_seconds(delay);
        until_done(deadline, || async {
            let sent = send().send().await.map_err(|error| cause(&error))?;
            let id = sent.message_id.filter(|id| !id.is_empty());
            id.map(drop).ok_or_else(|| Cause::new("unreadable-answer", "SQS answered without the id of a message"))
        })
        .await
    }
}

impl ChangeVisibility for SqsDueQueue {
    async fn change_visibility(&self, receipt: &str, delay: Duration, deadline: Deadline) -> Result<(), QueueError> {
        let timeout = whole_seconds(delay.min(VISIBILITY_MAX));
        let change = || {
            let call = self.client.change_message_visibility().queue_url(&self.queue_url);
            call.receipt_handle(receipt).visibility_timeout(timeout)
        };
        until_done(deadline, || async { change().send().await.map(drop).map_err(|error| cause(&error)) }).await
    }
}

/// Rounded up: a message that comes too early comes for nothing.
fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

/// Makes a call again and again until it succeeds or the deadline is near; `Err` says what was said last.
async fn until_done<F>(deadline: Deadline, call: impl Fn() -> F) -> Result<(), QueueError>
where
    F: Future<Output = Result<(), Cause>>,
{
    let mut pause = BACKOFF_FIRST;
    loop {
        let left = deadline.remaining(SystemClock.now());
        let answer = timeout(left, call()).await.unwrap_or_else(|_| Err(Cause::no_answer()));
        let Err(cause) = answer else { return Ok(()) };
        if pause >= deadline.remaining(SystemClock.now()) {
            return Err(queue_error(cause));
        }
        SystemClock.sleep(pause).await;
        pause = (pause * 2).min(BACKOFF_MAX);
    }
}

fn queue_error(cause: Cause) -> QueueError {
    match &*cause.code {
        "BatchRequestTooLong" | "InvalidMessageContents" | "invalid-request" => QueueError::Invalid(cause),
        _ if is_refusal(&cause) => QueueError::Refused(cause),
        _ => QueueError::Unavailable(cause),
    }
}

impl SqsDeadLetters {
    /// `config` is the SDK's; `queue_url` that of the dead-letter queue.
    pub fn new(config: &aws_types::SdkConfig, queue_url: String) -> Self {
        Self { client: Client::new(config), queue_url }
    }

    /// Sends one batch until each entry is accepted or the deadline is near. Returns the entries that were not
    /// accepted, and what was said last.
    async fn send(&self, bodies: &[(usize, String)], deadline: Deadline) -> Vec<(usize, QueueError)> {
        let mut waiting: Vec<&(usize, String)> = bodies.iter().collect();
        let mut pause = BACKOFF_FIRST;
        // Without a call: thousands of calls that are cut off at once take seconds, too.
        if deadline.has_passed(SystemClock.now()) {
            return bodies.iter().map(|(index, _)| (*index, queue_error(Cause::no_answer()))).collect();
        }
        loop {
            let answer = self.send_once(&waiting, deadline).await;
            let failure_of = |index: usize| match &answer {
                Ok(answer) => answer.of(index).err(),
                Err(why) => Some(why.clone()),
            };
            waiting.retain(|(index, _)| failure_of(*index).is_some());
            if waiting.is_empty() || pause >= deadline.remaining(SystemClock.now()) {
                let failed = waiting.iter().filter_map(|(index, _)| Some((*index, queue_error(failure_of(*index)?))));
                return failed.collect();
            }
            SystemClock.sleep(pause).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }

    /// One call.
    async fn send_once(&self, entries: &[&(usize, String)], deadline: Deadline) -> Result<BatchAnswer, Cause> {
        let entry = |(index, body): &&(usize, String)| {
            let entry = SendMessageBatchRequestEntry::builder().id(index.to_string()).message_body(body);
            entry.build().expect("invariant: id and body are set")
        };
        let entries = entries.iter().map(entry).collect();
        let call = self.client.send_message_batch().queue_url(&self.queue_url).set_entries(Some(entries)).send();
        let answer = timeout(deadline.remaining(SystemClock.now()), call)
            .await
            .map_err(|_| Cause::no_answer())?
            .map_err(|error| cause(&error))?;
        Ok(BatchAnswer::new(answer.successful.iter().map(|entry| entry.id()), &answer.failed))
    }
}

/// What SQS says of the entries of a batch call, whose ids are numbers.
#[derive(Debug)]
pub(crate) struct BatchAnswer {
    successful: BTreeSet<usize>,
    failed: BTreeMap<usize, Cause>,
}

impl BatchAnswer {
    pub(crate) fn new<'a>(successful: impl Iterator<Item = &'a str>, failed: &[BatchResultErrorEntry]) -> Self {
        let failure = |entry: &BatchResultErrorEntry| {
            let cause = Cause::new(entry.code.clone(), entry.message().unwrap_or("no message"));
            Some((entry.id.parse().ok()?, cause))
        };
        Self {
            successful: successful.filter_map(|id| id.parse().ok()).collect(),
            failed: failed.iter().filter_map(failure).collect(),
        }
    }

    /// `Ok` when the entry is successful; why it is not. An entry that the answer does not name is not.
    pub(crate) fn of(&self, index: usize) -> Result<(), Cause> {
        match self.failed.get(&index) {
            Some(cause) => Err(cause.clone()),
            None if self.successful.contains(&index) => Ok(()),
            None => Err(Cause::new("unreadable-answer", "SQS answered, but not for this entry")),
        }
    }
}

impl DeadLetterQueue for SqsDeadLetters {
    async fn park(&self, items: &[ParkedItem], deadline: Deadline) -> Vec<Result<(), QueueError>> {
        let bodies: Vec<(usize, String)> = items.iter().map(body).enumerate().collect();
        let sends: Vec<_> = batches(&bodies).into_iter().map(|batch| self.send(batch, deadline)).collect();
        let failed = stream::iter(sends).buffer_unordered(BATCHES_AT_ONCE).concat().await;
        let mut results = vec![Ok(()); items.len()];
        for (index, error) in failed {
            results[index] = Err(error);
        }
        results
    }
}

/// The body of a message; without the record's bytes where they do not fit (shard and sequence number
/// lead back to them while the stream keeps them).
fn body(parked: &ParkedItem) -> String {
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

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::{Value, json};
    use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};

    use super::*;
    use crate::ingest::decode::PoisonCode;
    use crate::model::time::Timestamp;
    use crate::protocol::queue::ParkedWork;

    /// The answers, the entries of each call if all goes well, and which of the two messages are safe.
    type Case<'a> = (&'a [&'static str], Option<&'a [&'a str]>, [bool; 2]);

    /// An SQS with these answers, the last of which it gives for ever.
    async fn queue(answers: &[&'static str]) -> MockServer {
        let left = Mutex::new(answers.to_vec());
        let answer = move |_: &Request| {
            let mut left = left.lock().unwrap();
            let next = if left.len() > 1 { left.remove(0) } else { left[0] };
            ResponseTemplate::new(200).set_body_raw(next, "application/x-amz-json-1.0")
        };
        let server = MockServer::start().await;
        Mock::given(matchers::any()).respond_with(answer).mount(&server).await;
        server
    }

    async fn calls(server: &MockServer) -> Vec<Value> {
        server.received_requests().await.unwrap().iter().map(|request| request.body_json().unwrap()).collect()
    }

    fn parked() -> ParkedItem {
        let what = ParkedWork::Record {
            event_id: "shard:1".to_owned(),
            stream_arn: None,
            region: None,
            partition_key: None,
            arrived_at: None,
            data: None,
        };
        ParkedItem::new(PoisonCode::NotGzip, "it looks like zlib", Timestamp::from_millis(0), what)
    }

    #[tokio::test]
    async fn a_message_is_parked_once_sqs_names_it_as_successful() {
        let both = r#"{"Successful":[{"Id":"0","MessageId":"a"},{"Id":"1","MessageId":"b"}]}"#;
        let first = r#"{"Successful":[{"Id":"0","MessageId":"a"}]}"#;
        let second = r#"{"Successful":[{"Id":"1","MessageId":"b"}],"Failed":[]}"#;
        let failed = r#"{"Failed":[{"Id":"0","Code":"Busy","Message":"later","SenderFault":false}],"Successful":[{"Id":"1","MessageId":"b"}]}"#;
        let neither = r#"{"Failed":[{"Id":"0","Code":"Busy","SenderFault":false}]}"#;
        let contradiction = r#"{"Successful":[{"Id":"0","MessageId":"a"},{"Id":"1","MessageId":"b"}],"Failed":[{"Id":"0","Code":"Busy","SenderFault":false}]}"#;
        let others = r#"{"Successful":[{"Id":"7","MessageId":"a"},{"Id":"x","MessageId":"b"}]}"#;
        let cases: [Case<'_>; 12] = [
            (&[both], Some(&["01"]), [true, true]),
            (&[first, second], Some(&["01", "1"]), [true, true]),
            (&[failed, first], Some(&["01", "0"]), [true, true]),
            (&[neither, both], Some(&["01", "01"]), [true, true]),
            (&["{}", "", both], Some(&["01", "01", "01"]), [true, true]),
            (&[contradiction, first], Some(&["01", "0"]), [true, true]),
            (&[first], None, [true, false]),
            (&[failed], None, [false, true]),
            (&[others], None, [false, false]),
            (&["{}"], None, [false, false]),
            (&[""], None, [false, false]),
            (&["<html>"], None, [false, false]),
        ];
        for (answers, entries, safe) in cases {
            let server = queue(answers).await;
            let park =
                SqsDeadLetters::new(&crate::adapters::aws::loopback(&server.uri()), format!("{}/1/dlq", server.uri()));
            let patience = if entries.is_some() { Duration::from_secs(30) } else { Duration::from_millis(400) };
            let results = park.park(&[parked(), parked()], Deadline::after(SystemClock.now(), patience)).await;
            assert_eq!(results.iter().map(Result::is_ok).collect::<Vec<_>>(), safe, "{answers:?}: {results:?}");
            if let Some(entries) = entries {
                let ids = |call: &Value| {
                    call["Entries"].as_array().unwrap().iter().map(|entry| entry["Id"].as_str().unwrap()).collect()
                };
                assert_eq!(calls(&server).await.iter().map(ids).collect::<Vec<String>>(), entries, "{answers:?}");
            }
        }
    }

    #[tokio::test]
    async fn a_due_message_is_sent_once_sqs_gives_it_an_id() {
        let due = Due { route: "alerts".parse().unwrap(), window: 3 };
        let sent = r#"{"MessageId":"m"}"#;
        let cases: [(&[&'static str], usize, bool); 5] = [
            (&[sent], 1, true),
            (&["{}", "", r#"{"MessageId":""}"#, sent], 4, true),
            (&["{}"], 0, false),
            (&[""], 0, false),
            (&[r#"{"MessageId":""}"#], 0, false),
        ];
        for (answers, times, is_sent) in cases {
            let server = queue(answers).await;
            let queue =
                SqsDueQueue::new(&crate::adapters::aws::loopback(&server.uri()), format!("{}/1/due", server.uri()));
            let patience = if is_sent { Duration::from_secs(30) } else { Duration::from_millis(300) };
            let result = queue.send(&due, Duration::ZERO, Deadline::after(SystemClock.now(), patience)).await;
            assert_eq!(result.is_ok(), is_sent, "{answers:?}: {result:?}");
            let calls = calls(&server).await;
            assert!(!is_sent || calls.len() == times, "{answers:?}: {calls:?}");
            assert_eq!(calls[0]["MessageBody"], json!(r#"{"route":"alerts","window":3}"#));
        }
    }

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
