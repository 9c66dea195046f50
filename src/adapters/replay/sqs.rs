//! Dead letters in SQS. Receive calls use long polling, which asks every server of the queue, so an
//! empty answer means that no message is visible.

use std::time::Duration;

use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry,
    MessageSystemAttributeName, QueueAttributeName,
};

use super::source_error;
use crate::adapters::aws::cause;
use crate::adapters::clock::SystemClock;
use crate::adapters::sqs::{BatchAnswer, SqsQueue};
use crate::model::error::Cause;
use crate::model::time::Timestamp;
use crate::ops::replay::{
    DeadLetterSource, Receipt, ReceivedMessage, SourceError, VISIBILITY_TIMEOUT,
};
use crate::protocol::clock::{Clock, Deadline};

/// How long a receive call waits for a message.
const WAIT: Duration = Duration::from_secs(2);

/// The most entries of a batch call.
const ENTRIES_MAX: usize = 10;

/// The dead-letter queue as a source.
#[derive(Debug)]
pub struct SqsDeadLetterSource<C = SystemClock>(SqsQueue<C>);

impl<C> SqsDeadLetterSource<C> {
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

impl<C: Clock> SqsDeadLetterSource<C> {
    /// The approximate number of messages that can be received.
    ///
    /// # Errors
    /// When the queue does not answer, or refuses these credentials.
    pub async fn count(&self, deadline: Deadline) -> Result<u64, SourceError> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let call = self
            .0
            .client
            .get_queue_attributes()
            .queue_url(&self.0.url)
            .attribute_names(name.clone())
            .send();
        let answer = self.before(deadline, call).await?.map_err(|error| self.explain(&error))?;
        let attributes = answer.attributes.unwrap_or_default();
        Ok(attributes.get(&name).and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    /// Deletes up to ten messages. Retries until the deadline: a dead letter that stays is replayed
    /// again.
    async fn delete_some(
        &self,
        receipts: &[Receipt],
        deadline: Deadline,
    ) -> Vec<Result<(), SourceError>> {
        let SqsQueue { client, url, .. } = &self.0;
        let delete = |entries: Vec<(usize, &Receipt)>| {
            let entry = |(index, receipt): (usize, &Receipt)| {
                let id = DeleteMessageBatchRequestEntry::builder().id(index.to_string());
                id.receipt_handle(&receipt.receipt)
                    .build()
                    .expect("invariant: id and receipt are set")
            };
            let entries = entries.into_iter().map(entry).collect();
            let call =
                client.delete_message_batch().queue_url(url).set_entries(Some(entries)).send();
            async {
                let answer = call.await.map_err(|error| cause(&error))?;
                Ok(BatchAnswer::new(
                    answer.successful.iter().map(|entry| entry.id()),
                    &answer.failed,
                ))
            }
        };
        let results = self.0.retry_entries(receipts, deadline, delete).await;
        results
            .into_iter()
            .map(|result| result.map_err(|cause| source_error(&cause, &self.name())))
            .collect()
    }

    async fn before<T: Send>(
        &self,
        deadline: Deadline,
        call: impl Future<Output = T> + Send,
    ) -> Result<T, SourceError> {
        let answer = self.0.clock.timeout(deadline, call).await;
        answer.ok_or_else(|| source_error(&Cause::no_answer(), &self.name()))
    }

    fn explain<E>(
        &self,
        error: &aws_sdk_sqs::error::SdkError<
            E,
            aws_smithy_runtime_api::client::orchestrator::HttpResponse,
        >,
    ) -> SourceError
    where
        E: aws_sdk_sqs::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        source_error(&cause(error), &self.name())
    }

    fn name(&self) -> String {
        format!("the queue {}", self.0.url)
    }
}

impl<C: Clock> DeadLetterSource for SqsDeadLetterSource<C> {
    async fn receive(
        &self,
        max: usize,
        deadline: Deadline,
    ) -> Result<Vec<ReceivedMessage>, SourceError> {
        let call = self
            .0
            .client
            .receive_message()
            .queue_url(&self.0.url)
            .max_number_of_messages(i32::try_from(max).unwrap_or(i32::MAX))
            .visibility_timeout(seconds(VISIBILITY_TIMEOUT))
            .wait_time_seconds(seconds(WAIT))
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send();
        let answer = self.before(deadline, call).await?.map_err(|error| self.explain(&error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(dead_letter).collect())
    }

    async fn delete(
        &self,
        receipts: &[Receipt],
        deadline: Deadline,
    ) -> Vec<Result<(), SourceError>> {
        let mut answers = Vec::with_capacity(receipts.len());
        for some in receipts.chunks(ENTRIES_MAX) {
            answers.extend(self.delete_some(some, deadline).await);
        }
        answers
    }

    async fn hide(&self, receipts: &[Receipt], hidden_for: Duration, deadline: Deadline) {
        for some in receipts.chunks(ENTRIES_MAX) {
            let entry = |(index, receipt): (usize, &Receipt)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(&receipt.receipt)
                    .visibility_timeout(seconds(hidden_for));
                entry.build().expect("invariant: id and receipt are set")
            };
            let entries = some.iter().enumerate().map(entry).collect();
            let call = self.0.client.change_message_visibility_batch().queue_url(&self.0.url);
            let call = call.set_entries(Some(entries)).send();
            let hidden = match self.before(deadline, call).await {
                Ok(Ok(answer)) => {
                    let answer = BatchAnswer::new(
                        answer.successful.iter().map(|entry| entry.id()),
                        &answer.failed,
                    );
                    let answers = (0..some.len()).map(|index| answer.of(index));
                    answers
                        .collect::<Result<(), Cause>>()
                        .map_err(|cause| source_error(&cause, &self.name()))
                }
                Ok(Err(error)) => Err(self.explain(&error)),
                Err(late) => Err(late),
            };
            // Not retried: a dead letter that is visible too early is received twice, which is
            // harmless.
            if let Err(error) = hidden {
                tracing::debug!("Dead letters may be received again: {error}");
            }
        }
    }
}

fn dead_letter(message: aws_sdk_sqs::types::Message) -> Option<ReceivedMessage> {
    let sent_at = message
        .attributes
        .as_ref()
        .and_then(|of| of.get(&MessageSystemAttributeName::SentTimestamp));
    let sent_at = sent_at.and_then(|millis| millis.parse().ok()).map(Timestamp::from_millis);
    let receipt =
        Receipt { id: message.message_id.unwrap_or_default(), receipt: message.receipt_handle? };
    Some(ReceivedMessage { receipt, body: message.body.unwrap_or_default(), sent_at })
}

fn seconds(duration: Duration) -> i32 {
    i32::try_from(duration.as_secs()).unwrap_or(i32::MAX)
}

/// The Region that a queue's URL names: `https://sqs.eu-west-1.amazonaws.com/123456789012/dlq`.
pub fn region_of(queue_url: &str) -> Option<&str> {
    let host = queue_url.split_once("://")?.1.split('/').next()?;
    match host.split('.').collect::<Vec<_>>()[..] {
        ["sqs", region, "amazonaws", ..] | [region, "queue", "amazonaws", ..] => Some(region),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use serde_json::Value;
    use wiremock::{Mock, MockServer, Request, ResponseTemplate, matchers};

    use super::*;

    /// The answers, the entries of each call if all goes well, and which of the two dead letters
    /// are deleted.
    type Case<'a> = (&'a [&'static str], Option<&'a [&'a str]>, [bool; 2]);

    #[tokio::test]
    async fn a_dead_letter_is_deleted_once_sqs_names_it_as_successful() {
        let both = r#"{"Successful":[{"Id":"0"},{"Id":"1"}]}"#;
        let second = r#"{"Successful":[{"Id":"1"}],"Failed":[]}"#;
        let failed = r#"{"Failed":[{"Id":"0","Code":"Busy","SenderFault":false}],"Successful":[{"Id":"1"}]}"#;
        let cases: [Case<'_>; 8] = [
            (&[both], Some(&["01"]), [true, true]),
            (&["{}", "", both], Some(&["01", "01", "01"]), [true, true]),
            (&[second, both], Some(&["01", "0"]), [true, true]),
            (&[failed, both], Some(&["01", "0"]), [true, true]),
            (&[second], None, [false, true]),
            (&[failed], None, [false, true]),
            (&["{}"], None, [false, false]),
            (&[""], None, [false, false]),
        ];
        for (answers, entries, deleted) in cases {
            let left = Mutex::new(answers.to_vec());
            let answer = move |_: &Request| {
                let mut left = left.lock().unwrap();
                let next = if left.len() > 1 { left.remove(0) } else { left[0] };
                ResponseTemplate::new(200).set_body_raw(next, "application/x-amz-json-1.0")
            };
            let server = MockServer::start().await;
            Mock::given(matchers::any()).respond_with(answer).mount(&server).await;
            let (aws, url) =
                (crate::adapters::aws::loopback(&server.uri()), format!("{}/1/dlq", server.uri()));
            let dead_letters =
                SqsDeadLetterSource::new(&aws, url, SystemClock, fastrand::Rng::with_seed(1));
            let receipt = |n: u8| Receipt { id: format!("m{n}"), receipt: format!("r{n}") };
            let patience = if entries.is_some() {
                Duration::from_secs(30)
            } else {
                Duration::from_millis(400)
            };
            let results = dead_letters
                .delete(&[receipt(0), receipt(1)], Deadline::after(SystemClock.now(), patience))
                .await;
            assert_eq!(
                results.iter().map(Result::is_ok).collect::<Vec<_>>(),
                deleted,
                "{answers:?}: {results:?}"
            );
            if let Some(entries) = entries {
                let calls = server.received_requests().await.unwrap();
                let ids = |call: &Request| {
                    let body: Value = call.body_json().unwrap();
                    body["Entries"]
                        .as_array()
                        .unwrap()
                        .iter()
                        .map(|entry| entry["Id"].as_str().unwrap())
                        .collect()
                };
                assert_eq!(calls.iter().map(ids).collect::<Vec<String>>(), entries, "{answers:?}");
            }
        }
    }

    #[test]
    fn a_queue_url_names_its_region() {
        let cases = [
            ("https://sqs.eu-west-1.amazonaws.com/123456789012/dlq", Some("eu-west-1")),
            ("https://sqs.cn-north-1.amazonaws.com.cn/1/q", Some("cn-north-1")),
            ("https://us-east-1.queue.amazonaws.com/1/q", Some("us-east-1")),
            ("http://127.0.0.1:5000/1/q", None),
            ("dlq", None),
        ];
        for (url, region) in cases {
            assert_eq!(region_of(url), region, "{url}");
        }
    }
}
