//! Reads records of a stream by shard and range of sequence numbers. A shard that was split or
//! merged stays readable as long as the stream retains its records. An expired iterator is replaced
//! by one after the last record that was read. Records past the retention are missing from the
//! pages; the caller counts.

use std::sync::Mutex;
use std::time::Duration;

use aws_sdk_kinesis::Client;
use aws_sdk_kinesis::error::{ProvideErrorMetadata as _, SdkError};
use aws_sdk_kinesis::operation::get_records::{GetRecordsError, GetRecordsOutput};
use aws_sdk_kinesis::operation::get_shard_iterator::GetShardIteratorError;
use aws_sdk_kinesis::types::{Record, ShardIteratorType};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::source_error;
use crate::adapters::aws::cause;
use crate::adapters::clock::SystemClock;
use crate::adapters::random::Random;
use crate::model::error::Cause;
use crate::model::time::Timestamp;
use crate::ops::replay::{Page, SourceError, StreamRange, StreamReader, StreamRecord};
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::retry::{AttemptError, RetryPolicy, retry};

/// Records of one page. A call returns at most 10 MiB.
const PAGE_RECORDS_MAX: i32 = 500;

/// A shard allows five calls per second for all its readers together.
const RETRY: RetryPolicy = RetryPolicy::new(Duration::from_millis(250), Duration::from_secs(5));

/// A stream of this account and Region.
#[derive(Debug)]
pub struct KinesisStreamReader<C = SystemClock> {
    client: Client,
    clock: C,
    random: Random,
    /// The end of the last page: shard, last sequence number, and the iterator after it.
    place: Mutex<Option<(String, String, String)>>,
}

/// The result of a call for records.
enum Answer {
    Records(GetRecordsOutput),
    /// The iterator has expired, which happens after five minutes.
    Expired,
}

impl<C> KinesisStreamReader<C> {
    /// `config` is the SDK's. `rng` makes the jitter of retries.
    pub fn new(config: &aws_types::SdkConfig, clock: C, rng: fastrand::Rng) -> Self {
        Self {
            client: Client::new(config),
            clock,
            random: Random::new(rng),
            place: Mutex::new(None),
        }
    }
}

impl<C: Clock> KinesisStreamReader<C> {
    /// The iterator of the previous page, or a new one. `None` when the shard no longer exists.
    async fn iterator(
        &self,
        range: &StreamRange,
        after: Option<&str>,
        deadline: Deadline,
    ) -> Result<Option<String>, SourceError> {
        let place = self.place.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        match (place, after) {
            (Some((shard, last, iterator)), Some(after))
                if shard == range.shard_id && last == after =>
            {
                Ok(Some(iterator))
            }
            (_, Some(after)) => self.new_iterator(range, Some((after, true)), deadline).await,
            (_, None) => self.new_iterator(range, Some((&range.first, false)), deadline).await,
        }
    }

    /// An iterator at a sequence number or after it. If the number has expired, at the oldest
    /// record of the shard.
    async fn new_iterator(
        &self,
        range: &StreamRange,
        at: Option<(&str, bool)>,
        deadline: Deadline,
    ) -> Result<Option<String>, SourceError> {
        let mut at = at;
        loop {
            let call = self
                .client
                .get_shard_iterator()
                .stream_arn(&range.stream_arn)
                .shard_id(&range.shard_id);
            let call = match at {
                Some((number, behind)) => call
                    .shard_iterator_type(match behind {
                        true => ShardIteratorType::AfterSequenceNumber,
                        false => ShardIteratorType::AtSequenceNumber,
                    })
                    .starting_sequence_number(number),
                None => call.shard_iterator_type(ShardIteratorType::TrimHorizon),
            };
            match self.clock.timeout(deadline, call.send()).await {
                Some(Ok(answer)) => return Ok(answer.shard_iterator),
                Some(Err(error)) if at.is_some() && is_out_of_range(&error) => at = None,
                Some(Err(error)) if is_gone(&error) => return Ok(None),
                Some(Err(error)) => return Err(source_error(&cause(&error), &name(range))),
                None => return Err(source_error(&Cause::no_answer(), &name(range))),
            }
        }
    }

    /// One page of records. Repeats the call while the shard throttles it.
    async fn records(
        &self,
        range: &StreamRange,
        iterator: &str,
        deadline: Deadline,
    ) -> Result<Answer, SourceError> {
        let attempt = || {
            let call =
                self.client.get_records().stream_arn(&range.stream_arn).shard_iterator(iterator);
            let call = call.limit(PAGE_RECORDS_MAX).send();
            async {
                let error = match call.await {
                    Ok(answer) => return Ok(Answer::Records(answer)),
                    Err(error) => error,
                };
                match error.as_service_error() {
                    Some(GetRecordsError::ExpiredIteratorException(_)) => Ok(Answer::Expired),
                    Some(GetRecordsError::ProvisionedThroughputExceededException(_)) => {
                        Err(AttemptError::Transient(cause(&error)))
                    }
                    _ => Err(AttemptError::Permanent(cause(&error))),
                }
            }
        };
        let answer = retry(RETRY, &self.clock, deadline, || self.random.bits(), attempt).await;
        answer.map_err(|cause: Cause| source_error(&cause, &name(range)))
    }

    /// The first page that reaches the range, or the last page. An empty page may be followed by
    /// others.
    async fn some_records(
        &self,
        range: &StreamRange,
        after: Option<&str>,
        deadline: Deadline,
    ) -> Result<(Vec<Record>, Option<String>), SourceError> {
        let Some(mut iterator) = self.iterator(range, after, deadline).await? else {
            return Ok((Vec::new(), None));
        };
        loop {
            let answer = match self.records(range, &iterator, deadline).await? {
                Answer::Records(answer) => answer,
                Answer::Expired => {
                    match self.new_iterator(range, Some(behind(range, after)), deadline).await? {
                        Some(fresh) => {
                            iterator = fresh;
                            continue;
                        }
                        None => return Ok((Vec::new(), None)),
                    }
                }
            };
            let at_the_tip = answer.millis_behind_latest.unwrap_or(0) == 0;
            let reaches = answer
                .records
                .iter()
                .any(|record| is_at_least(&record.sequence_number, &range.first));
            match answer.next_shard_iterator {
                Some(next) if !reaches && !at_the_tip => iterator = next,
                next => return Ok((answer.records, next)),
            }
        }
    }
}

impl<C: Clock> StreamReader for KinesisStreamReader<C> {
    async fn read(
        &self,
        range: &StreamRange,
        after: Option<&str>,
        deadline: Deadline,
    ) -> Result<Page, SourceError> {
        let (records, next) = self.some_records(range, after, deadline).await?;
        let passed =
            records.last().is_some_and(|last| is_at_least(&last.sequence_number, &range.last));
        let page = page(range, records);
        let more = !passed && next.is_some() && !page.records.is_empty();
        if let (true, Some(next), Some(last)) = (more, next, page.records.last()) {
            let place = (range.shard_id.clone(), last.sequence.clone(), next);
            *self.place.lock().unwrap_or_else(std::sync::PoisonError::into_inner) = Some(place);
        }
        Ok(Page { more, ..page })
    }
}

/// The records within the range. A page may have others before and after it.
fn page(range: &StreamRange, records: Vec<Record>) -> Page {
    let is_meant = |record: &Record| {
        is_at_least(&record.sequence_number, &range.first)
            && is_at_least(&range.last, &record.sequence_number)
    };
    let read = |record: Record| StreamRecord {
        arrived_at: record
            .approximate_arrival_timestamp
            .and_then(|at| at.to_millis().ok())
            .map(Timestamp::from_millis),
        data: STANDARD.encode(record.data.into_inner()),
        sequence: record.sequence_number,
        partition_key: record.partition_key,
    };
    Page { records: records.into_iter().filter(is_meant).map(read).collect(), more: false }
}

fn behind<'r>(range: &'r StreamRange, after: Option<&'r str>) -> (&'r str, bool) {
    after.map_or((range.first.as_str(), false), |after| (after, true))
}

/// Compares sequence numbers, which are decimal and too long for any number type.
fn is_at_least(number: &str, least: &str) -> bool {
    let key = |number: &'_ str| {
        let digits = number.trim_start_matches('0').to_owned();
        (digits.len(), digits)
    };
    key(number) >= key(least)
}

/// Whether the sequence number is older than the records that the shard retains.
fn is_out_of_range(error: &SdkError<GetShardIteratorError, HttpResponse>) -> bool {
    error
        .as_service_error()
        .and_then(|error| error.code())
        .is_some_and(|code| code == "InvalidArgumentException")
}

/// Whether the shard no longer exists.
fn is_gone(error: &SdkError<GetShardIteratorError, HttpResponse>) -> bool {
    let message = error.as_service_error().and_then(|error| error.message()).unwrap_or_default();
    error.as_service_error().is_some_and(GetShardIteratorError::is_resource_not_found_exception)
        && message.to_lowercase().contains("shard")
}

fn name(range: &StreamRange) -> String {
    format!("the stream {}", range.stream_arn)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sequence_numbers_are_compared_as_numbers() {
        let cases =
            [("7", "7", true), ("10", "9", true), ("9", "10", false), ("0009", "10", false)];
        for (number, least, expected) in cases {
            assert_eq!(is_at_least(number, least), expected, "{number} {least}");
        }
        let long = "49590338271490256608559692538361571095921575989136588898";
        assert!(is_at_least(long, &long[..55]) && !is_at_least(&long[..55], long));
    }
}
