//! Letters in SQS. A receive call looks at every server of the queue (long polling), so an empty answer says
//! that there is nothing to be had now.

use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{
    ChangeMessageVisibilityBatchRequestEntry, DeleteMessageBatchRequestEntry, MessageSystemAttributeName,
    QueueAttributeName,
};
use tokio::time::timeout;

use super::letter::{Letter, Ticket};
use super::{Letters, SourceError, VISIBLE_AFTER};
use crate::aws::trouble;
use crate::clock::{Clock as _, SystemClock, Timestamp};

/// How long a receive call waits for a message.
const WAIT: Duration = Duration::from_secs(2);

/// Entries in one batch call.
const ENTRIES_MAX: usize = 10;

const BACKOFF_FIRST: Duration = Duration::from_millis(100);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// The dead-letter queue.
#[derive(Clone, Debug)]
pub struct SqsLetters {
    client: Client,
    queue_url: String,
}

impl SqsLetters {
    pub fn new(config: &aws_config::SdkConfig, queue_url: String) -> Self {
        Self { client: Client::new(config), queue_url }
    }

    /// Messages that can be received, about.
    ///
    /// # Errors
    /// When the queue does not answer, or not to these credentials.
    pub async fn count(&self, deadline: Timestamp) -> Result<u64, SourceError> {
        let name = QueueAttributeName::ApproximateNumberOfMessages;
        let call = self.client.get_queue_attributes().queue_url(&self.queue_url).attribute_names(name.clone()).send();
        let answer = self.before(deadline, call).await?.map_err(|error| self.trouble(&error))?;
        let attributes = answer.attributes.unwrap_or_default();
        Ok(attributes.get(&name).and_then(|count| count.parse().ok()).unwrap_or(0))
    }

    /// One call that takes away up to ten; those that were not, and why.
    async fn delete_once(
        &self,
        tickets: &[(usize, &Ticket)],
        deadline: Timestamp,
    ) -> Result<Vec<(usize, String)>, SourceError> {
        let entry = |(index, ticket): &(usize, &Ticket)| {
            let entry = DeleteMessageBatchRequestEntry::builder().id(index.to_string()).receipt_handle(&ticket.receipt);
            entry.build().expect("invariant: id and receipt are set")
        };
        let entries = tickets.iter().map(entry).collect();
        let call = self.client.delete_message_batch().queue_url(&self.queue_url).set_entries(Some(entries)).send();
        let answer = self.before(deadline, call).await?.map_err(|error| self.trouble(&error))?;
        let failed = answer.failed.into_iter().filter_map(|failed| Some((failed.id.parse().ok()?, failed.code)));
        Ok(failed.collect())
    }

    /// Takes away up to ten, and tries again until the deadline: a letter that is settled and stays is
    /// settled twice.
    async fn delete_all(&self, tickets: &[Ticket], deadline: Timestamp) -> Vec<Result<(), SourceError>> {
        let mut answers = vec![Ok(()); tickets.len()];
        let mut waiting: Vec<(usize, &Ticket)> = tickets.iter().enumerate().collect();
        let mut pause = BACKOFF_FIRST;
        loop {
            match self.delete_once(&waiting, deadline).await {
                Ok(failed) => {
                    waiting.retain(|(index, _)| failed.iter().any(|(at, _)| at == index));
                    answers.fill(Ok(()));
                    for (index, why) in failed {
                        answers[index] = Err(SourceError(why));
                    }
                }
                Err(error) => waiting.iter().for_each(|(index, _)| answers[*index] = Err(error.clone())),
            }
            if waiting.is_empty() || SystemClock.now().after(pause) >= deadline {
                return answers;
            }
            SystemClock.sleep(pause).await;
            pause = (pause * 2).min(BACKOFF_MAX);
        }
    }

    async fn before<T>(&self, deadline: Timestamp, call: impl Future<Output = T>) -> Result<T, SourceError> {
        let late = |_| SourceError(trouble::of_text("no answer before the deadline", &self.name()));
        timeout(SystemClock.now().until(deadline), call).await.map_err(late)
    }

    fn trouble<E>(
        &self,
        error: &aws_sdk_sqs::error::SdkError<E, aws_smithy_runtime_api::client::orchestrator::HttpResponse>,
    ) -> SourceError
    where
        E: aws_sdk_sqs::error::ProvideErrorMetadata + std::error::Error + 'static,
    {
        SourceError(trouble::sentence(error, &self.name()))
    }

    fn name(&self) -> String {
        format!("the queue {}", self.queue_url)
    }
}

impl Letters for SqsLetters {
    async fn receive(&self, max: usize, deadline: Timestamp) -> Result<Vec<Letter>, SourceError> {
        let call = self
            .client
            .receive_message()
            .queue_url(&self.queue_url)
            .max_number_of_messages(i32::try_from(max).unwrap_or(i32::MAX))
            .visibility_timeout(seconds(VISIBLE_AFTER))
            .wait_time_seconds(seconds(WAIT))
            .message_system_attribute_names(MessageSystemAttributeName::SentTimestamp)
            .send();
        let answer = self.before(deadline, call).await?.map_err(|error| self.trouble(&error))?;
        Ok(answer.messages.unwrap_or_default().into_iter().filter_map(letter).collect())
    }

    async fn delete(&self, tickets: &[Ticket], deadline: Timestamp) -> Vec<Result<(), SourceError>> {
        let mut answers = Vec::with_capacity(tickets.len());
        for some in tickets.chunks(ENTRIES_MAX) {
            answers.extend(self.delete_all(some, deadline).await);
        }
        answers
    }

    async fn hide(&self, tickets: &[Ticket], hidden_for: Duration, deadline: Timestamp) {
        for some in tickets.chunks(ENTRIES_MAX) {
            let entry = |(index, ticket): (usize, &Ticket)| {
                let entry = ChangeMessageVisibilityBatchRequestEntry::builder()
                    .id(index.to_string())
                    .receipt_handle(&ticket.receipt)
                    .visibility_timeout(seconds(hidden_for));
                entry.build().expect("invariant: id and receipt are set")
            };
            let entries = some.iter().enumerate().map(entry).collect();
            let call = self.client.change_message_visibility_batch().queue_url(&self.queue_url);
            let call = call.set_entries(Some(entries)).send();
            let why = match self.before(deadline, call).await {
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => self.trouble(&error),
                Err(late) => late,
            };
            tracing::debug!("Letters may come again: {why}");
        }
    }
}

fn letter(message: aws_sdk_sqs::types::Message) -> Option<Letter> {
    let sent_at = message.attributes.as_ref().and_then(|of| of.get(&MessageSystemAttributeName::SentTimestamp));
    let sent_at = sent_at.and_then(|millis| millis.parse().ok()).map(Timestamp::from_millis);
    let ticket = Ticket { id: message.message_id.unwrap_or_default(), receipt: message.receipt_handle? };
    Some(Letter { ticket, body: message.body.unwrap_or_default(), sent_at })
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
    use super::*;

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
