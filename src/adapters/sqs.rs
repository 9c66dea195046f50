//! The queues in SQS. The dead-letter queue takes batches of ten messages within one MiB, in ASCII,
//! and retries failed entries. The due queue has delayed messages, and postpones them by their
//! visibility.
//!
//! Status 200 alone says nothing about a message. It is sent when SQS returns its id, or names it
//! as successful. A proxy that answers 200 with an empty body has stored nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::config::timeout::TimeoutConfig;
use aws_sdk_sqs::types::{BatchResultErrorEntry, SendMessageBatchRequestEntry};
use futures::stream::{self, StreamExt as _};

use crate::adapters::aws::{cause, is_refusal};
use crate::adapters::clock::SystemClock;
use crate::adapters::random::Random;
use crate::model::error::Cause;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::dead_letter::ParkedItem;
use crate::protocol::queue::{ChangeVisibility, DeadLetterQueue, Due, DueQueue, QueueError};
use crate::protocol::retry::{AttemptError, Backoff, RetryPolicy, retry};

const BATCH_ENTRIES_MAX: usize = 10;

/// Batches in flight. A stream of poison records parks thousands of them in one invocation.
const BATCHES_AT_ONCE: usize = 8;

/// A message and a batch may have 1,048,576 bytes. The difference is for the overhead of a batch.
const BATCH_BYTES_MAX: usize = 1_040_000;

/// The longest delay of a message. The message of a longer window is postponed until it is due.
const DELAY_MAX: Duration = Duration::from_secs(900);

/// The longest visibility time-out, less the length of an invocation, because it counts from the
/// receive call.
const VISIBILITY_MAX: Duration = Duration::from_secs(12 * 3600 - 900);

const CONNECT_MAX: Duration = Duration::from_secs(2);
const ATTEMPT_MAX: Duration = Duration::from_secs(5);

const RETRY: RetryPolicy = RetryPolicy::new(Duration::from_millis(50), Duration::from_secs(1));

/// The dead-letter queue.
#[derive(Debug)]
pub struct SqsDeadLetters<C = SystemClock>(SqsQueue<C>);

/// The due queue.
#[derive(Debug)]
pub struct SqsDueQueue<C = SystemClock>(SqsQueue<C>);

/// A queue, and the retries of its calls.
#[derive(Debug)]
pub(crate) struct SqsQueue<C> {
    pub client: Client,
    pub url: String,
    pub clock: C,
    random: Random,
}

impl<C> SqsDueQueue<C> {
    /// `config` is the SDK's. `rng` makes the jitter of retries.
    pub fn new(
        config: &aws_types::SdkConfig,
        queue_url: String,
        clock: C,
        rng: fastrand::Rng,
    ) -> Self {
        Self(SqsQueue::new(config, queue_url, clock, rng))
    }
}

impl<C: Clock> DueQueue for SqsDueQueue<C> {
    async fn send(&self, due: &Due, delay: Duration, deadline: Deadline) -> Result<(), QueueError> {
        let body =
            serde_json::to_string(due).expect("invariant: names and numbers always serialize");
        let delay = whole_seconds(delay.min(DELAY_MAX));
        let SqsQueue { client, url, .. } = &self.0;
        let send =
            || client.send_message().queue_url(url).message_body(&body).delay_seconds(delay).send();
        let attempt = || async {
            let sent = send().await.map_err(|error| cause(&error))?;
            match sent.message_id {
                Some(id) if !id.is_empty() => Ok(()),
                _ => {
                    Err(Cause::new("unreadable-answer", "SQS answered without the id of a message"))
                }
            }
        };
        self.0.retry(deadline, attempt).await
    }
}

impl<C: Clock> ChangeVisibility for SqsDueQueue<C> {
    async fn change_visibility(
        &self,
        receipt: &str,
        delay: Duration,
        deadline: Deadline,
    ) -> Result<(), QueueError> {
        let timeout = whole_seconds(delay.min(VISIBILITY_MAX));
        let SqsQueue { client, url, .. } = &self.0;
        let change = || {
            let call = client.change_message_visibility().queue_url(url);
            call.receipt_handle(receipt).visibility_timeout(timeout).send()
        };
        self.0
            .retry(deadline, || async { change().await.map(drop).map_err(|error| cause(&error)) })
            .await
    }
}

/// Rounded up, because a message that arrives too early has no use.
fn whole_seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_millis().div_ceil(1000)).unwrap_or(i32::MAX)
}

impl<C> SqsDeadLetters<C> {
    /// `config` is the SDK's. `rng` makes the jitter of retries.
    pub fn new(
        config: &aws_types::SdkConfig,
        queue_url: String,
        clock: C,
        rng: fastrand::Rng,
    ) -> Self {
        Self(SqsQueue::new(config, queue_url, clock, rng))
    }
}

impl<C: Clock> DeadLetterQueue for SqsDeadLetters<C> {
    async fn park(&self, items: &[ParkedItem], deadline: Deadline) -> Vec<Result<(), QueueError>> {
        self.put_back(&items.iter().map(body).collect::<Vec<_>>(), deadline).await
    }

    async fn put_back(&self, bodies: &[String], deadline: Deadline) -> Vec<Result<(), QueueError>> {
        let sends: Vec<_> =
            batches(bodies).into_iter().map(|batch| self.send(batch, deadline)).collect();
        stream::iter(sends).buffered(BATCHES_AT_ONCE).concat().await
    }
}

impl<C: Clock> SqsDeadLetters<C> {
    async fn send(&self, bodies: &[String], deadline: Deadline) -> Vec<Result<(), QueueError>> {
        let SqsQueue { client, url, .. } = &self.0;
        let send = |entries: Vec<(usize, &String)>| {
            let entry = |(index, body): (usize, &String)| {
                let entry = SendMessageBatchRequestEntry::builder()
                    .id(index.to_string())
                    .message_body(body);
                entry.build().expect("invariant: id and body are set")
            };
            let entries = entries.into_iter().map(entry).collect();
            let call = client.send_message_batch().queue_url(url).set_entries(Some(entries)).send();
            async {
                let answer = call.await.map_err(|error| cause(&error))?;
                Ok(BatchAnswer::new(
                    answer.successful.iter().map(|entry| entry.id()),
                    &answer.failed,
                ))
            }
        };
        let results = self.0.retry_entries(bodies, deadline, send).await;
        results.into_iter().map(|result| result.map_err(queue_error)).collect()
    }
}

impl<C> SqsQueue<C> {
    pub(crate) fn new(
        config: &aws_types::SdkConfig,
        url: String,
        clock: C,
        rng: fastrand::Rng,
    ) -> Self {
        // A connection that died while the sandbox was frozen costs one attempt, not an invocation.
        let timeouts = TimeoutConfig::builder()
            .connect_timeout(CONNECT_MAX)
            .operation_attempt_timeout(ATTEMPT_MAX)
            .build();
        let config = aws_sdk_sqs::config::Builder::from(config).timeout_config(timeouts).build();
        Self { client: Client::from_conf(config), url, clock, random: Random::new(rng) }
    }
}

impl<C: Clock> SqsQueue<C> {
    /// Repeats a call until it succeeds, fails for good, or the deadline is near.
    async fn retry<F>(&self, deadline: Deadline, attempt: impl Fn() -> F) -> Result<(), QueueError>
    where
        F: Future<Output = Result<(), Cause>> + Send,
    {
        let attempt = || {
            let attempt = attempt();
            async {
                attempt.await.map_err(|cause| match is_permanent(&cause) {
                    true => AttemptError::Permanent(cause),
                    false => AttemptError::Transient(cause),
                })
            }
        };
        retry(RETRY, &self.clock, deadline, || self.random.bits(), attempt)
            .await
            .map_err(queue_error)
    }

    /// Makes a batch call and repeats it for the entries that SQS did not name as successful, until
    /// there are none, the call fails for good, or the deadline is near. The results have the order
    /// of `entries`.
    pub(crate) async fn retry_entries<'e, T, F>(
        &self,
        entries: &'e [T],
        deadline: Deadline,
        call: impl Fn(Vec<(usize, &'e T)>) -> F,
    ) -> Vec<Result<(), Cause>>
    where
        F: Future<Output = Result<BatchAnswer, Cause>> + Send,
    {
        let mut results: Vec<Result<(), Cause>> =
            entries.iter().map(|_| Err(Cause::no_answer())).collect();
        // Even a call that is cut off at once takes time, and there may be thousands.
        if deadline.has_passed(self.clock.now()) {
            return results;
        }
        let mut backoff = Backoff::new(RETRY, &self.clock, deadline);
        loop {
            let waiting =
                entries.iter().enumerate().filter(|(index, _)| results[*index].is_err()).collect();
            let answer = self
                .clock
                .timeout(deadline, call(waiting))
                .await
                .unwrap_or_else(|| Err(Cause::no_answer()));
            for (index, result) in
                results.iter_mut().enumerate().filter(|(_, result)| result.is_err())
            {
                *result = answer.as_ref().map_err(Cause::clone).and_then(|answer| answer.of(index));
            }
            let is_final = answer.is_err_and(|cause| is_permanent(&cause))
                || results.iter().all(Result::is_ok);
            if is_final || !backoff.wait(self.random.bits()).await {
                return results;
            }
        }
    }
}

fn is_permanent(cause: &Cause) -> bool {
    is_invalid(cause) || is_refusal(cause)
}

fn is_invalid(cause: &Cause) -> bool {
    matches!(&*cause.code, "BatchRequestTooLong" | "InvalidMessageContents" | "invalid-request")
}

fn queue_error(cause: Cause) -> QueueError {
    match &cause {
        cause if is_invalid(cause) => QueueError::Invalid(cause.clone()),
        cause if is_refusal(cause) => QueueError::Refused(cause.clone()),
        _ => QueueError::Unavailable(cause),
    }
}

/// The answer to a batch call. The ids of its entries are their numbers.
#[derive(Debug)]
pub(crate) struct BatchAnswer {
    successful: BTreeSet<usize>,
    failed: BTreeMap<usize, Cause>,
}

impl BatchAnswer {
    pub(crate) fn new<'a>(
        successful: impl Iterator<Item = &'a str>,
        failed: &[BatchResultErrorEntry],
    ) -> Self {
        let failure = |entry: &BatchResultErrorEntry| {
            let cause = Cause::new(entry.code.clone(), entry.message().unwrap_or("no message"));
            Some((entry.id.parse().ok()?, cause))
        };
        Self {
            successful: successful.filter_map(|id| id.parse().ok()).collect(),
            failed: failed.iter().filter_map(failure).collect(),
        }
    }

    /// `Ok` when the answer names the entry as successful, otherwise the reason.
    pub(crate) fn of(&self, index: usize) -> Result<(), Cause> {
        match self.failed.get(&index) {
            Some(cause) => Err(cause.clone()),
            None if self.successful.contains(&index) => Ok(()),
            None => Err(Cause::new("unreadable-answer", "SQS answered, but not for this entry")),
        }
    }
}

/// The body of a message. A record that is too large is left out: its shard and sequence number
/// lead to it as long as the stream retains it.
fn body(parked: &ParkedItem) -> String {
    let body = parked.to_json();
    match body.len() > BATCH_BYTES_MAX {
        true => parked.clone().without_data().to_json(),
        false => body,
    }
}

fn batches(bodies: &[String]) -> Vec<&[String]> {
    let mut batches = Vec::new();
    let mut rest = bodies;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = |body: &&String| {
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

    use fastrand::Rng;
    use serde_json::{Value, json};
    use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};

    use super::*;
    use crate::ingest::decode::PoisonCode;
    use crate::model::time::Timestamp;
    use crate::protocol::dead_letter::ParkedWork;

    /// The answers, the entries of each call if all goes well, and which of the two messages are
    /// safe.
    type Case<'a> = (&'a [&'static str], Option<&'a [&'a str]>, [bool; 2]);

    /// A fake SQS with these answers, the last of which it repeats.
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
        server
            .received_requests()
            .await
            .unwrap()
            .iter()
            .map(|request| request.body_json().unwrap())
            .collect()
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
            let (aws, url) =
                (crate::adapters::aws::loopback(&server.uri()), format!("{}/1/dlq", server.uri()));
            let park = SqsDeadLetters::new(&aws, url, SystemClock, Rng::with_seed(1));
            let patience = if entries.is_some() {
                Duration::from_secs(30)
            } else {
                Duration::from_millis(400)
            };
            let results = park
                .park(&[parked(), parked()], Deadline::after(SystemClock.now(), patience))
                .await;
            assert_eq!(
                results.iter().map(Result::is_ok).collect::<Vec<_>>(),
                safe,
                "{answers:?}: {results:?}"
            );
            if let Some(entries) = entries {
                let ids = |call: &Value| {
                    call["Entries"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|entry| entry["Id"].as_str().unwrap())
                        .collect()
                };
                assert_eq!(
                    calls(&server).await.iter().map(ids).collect::<Vec<String>>(),
                    entries,
                    "{answers:?}"
                );
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
            let (aws, url) =
                (crate::adapters::aws::loopback(&server.uri()), format!("{}/1/due", server.uri()));
            let queue = SqsDueQueue::new(&aws, url, SystemClock, Rng::with_seed(1));
            let patience =
                if is_sent { Duration::from_secs(30) } else { Duration::from_millis(300) };
            let result = queue
                .send(&due, Duration::ZERO, Deadline::after(SystemClock.now(), patience))
                .await;
            assert_eq!(result.is_ok(), is_sent, "{answers:?}: {result:?}");
            let calls = calls(&server).await;
            assert!(!is_sent || calls.len() == times, "{answers:?}: {calls:?}");
            assert_eq!(calls[0]["MessageBody"], json!(r#"{"route":"alerts","window":3}"#));
        }
    }

    #[tokio::test]
    async fn a_refusal_ends_the_attempts() {
        let server = MockServer::start().await;
        let refusal = ResponseTemplate::new(400).set_body_raw(
            r#"{"__type":"com.amazonaws.sqs#QueueDoesNotExist","message":"no such queue"}"#,
            "application/x-amz-json-1.0",
        );
        Mock::given(matchers::any()).respond_with(refusal).mount(&server).await;
        let aws = crate::adapters::aws::loopback(&server.uri());
        let url = || format!("{}/1/gone", server.uri());
        let deadline = Deadline::after(SystemClock.now(), Duration::from_secs(300));
        let due = Due { route: "alerts".parse().unwrap(), window: 3 };
        let due_queue = SqsDueQueue::new(&aws, url(), SystemClock, Rng::with_seed(1));
        let error = due_queue.send(&due, Duration::ZERO, deadline).await.unwrap_err();
        assert_eq!(error.code(), "queue-refused", "{error}");
        let dead_letters = SqsDeadLetters::new(&aws, url(), SystemClock, Rng::with_seed(1));
        let results = dead_letters.park(&[parked(), parked()], deadline).await;
        assert!(results.iter().all(|result| *result == Err(error.clone())), "{results:?}");
        assert_eq!(calls(&server).await.len(), 2);
    }

    #[test]
    fn a_delay_is_rounded_up_to_whole_seconds() {
        for (millis, seconds) in [(0, 0), (1, 1), (1_000, 1), (1_001, 2), (899_999, 900)] {
            assert_eq!(whole_seconds(Duration::from_millis(millis)), seconds, "{millis}");
        }
    }

    #[test]
    fn batches_keep_to_ten_entries_and_one_mebibyte() {
        let check = |sizes: &[usize], expected: &[usize]| {
            let bodies: Vec<_> = sizes.iter().map(|bytes| "x".repeat(*bytes)).collect();
            let lengths: Vec<usize> = batches(&bodies).iter().map(|batch| batch.len()).collect();
            assert_eq!(lengths, expected, "{sizes:?}");
        };
        check(&[], &[]);
        check(&[1; 23], &[10, 10, 3]);
        check(&[700_000, 300_000, 300_000, 800_000], &[2, 1, 1]);
        check(&[2_000_000, 1], &[1, 1]);
    }
}
