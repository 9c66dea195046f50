//! One remote call: tried until it has an outcome or the deadline is near. Throttles, conflicts and
//! lost connections pass and are retried with full jitter; what a condition decided is an outcome;
//! everything else needs a person.

use std::error::Error;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::TransactWriteItem;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_types::body::SdkBody;

use super::DynamoStore;
use crate::adapters::aws::cause;
use crate::adapters::clock::SystemClock;
use crate::model::error::Cause;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::store::StoreError;

const BACKOFF_FIRST: Duration = Duration::from_millis(20);
const BACKOFF_MAX: Duration = Duration::from_secs(2);

/// How an attempt failed. A variant is what to do about it.
#[derive(Debug)]
pub(super) enum Failure {
    /// Try again, after a pause.
    Passing(Cause),
    /// A condition did not hold: of a single write, or of at least one item of a transaction.
    Condition,
    /// The request can never succeed.
    Invalid(Cause),
    /// Nothing will, until somebody has changed something.
    Refused(Cause),
}

/// What came of a conditional call.
#[derive(Debug)]
pub(super) enum Outcome<T> {
    Done(T),
    Condition,
}

impl DynamoStore {
    /// Repeats `attempt` until it has an outcome or the deadline is near.
    pub(super) async fn call<T, F>(&self, deadline: Deadline, attempt: impl Fn() -> F) -> Result<Outcome<T>, StoreError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        let clock = SystemClock;
        let mut pause_max = BACKOFF_FIRST;
        loop {
            let left = deadline.remaining(clock.now());
            // An attempt that is cut off may still have taken effect. Each caller's condition or token
            // makes the repetition harmless.
            let result = match tokio::time::timeout(left, attempt()).await {
                Ok(result) => result,
                Err(_) => return Err(StoreError::Unavailable(Cause::no_answer())),
            };
            let why = match result {
                Ok(done) => return Ok(Outcome::Done(done)),
                Err(Failure::Condition) => return Ok(Outcome::Condition),
                Err(Failure::Invalid(why)) => return Err(StoreError::Invalid(why)),
                Err(Failure::Refused(why)) => return Err(StoreError::Refused(why)),
                Err(Failure::Passing(why)) => why,
            };
            let pause = self.jittered(pause_max);
            if pause >= deadline.remaining(clock.now()) {
                return Err(StoreError::Unavailable(why));
            }
            tracing::debug!(store.pause_ms = pause.as_millis() as u64, "Retrying the store: {why}");
            clock.sleep(pause).await;
            pause_max = (pause_max * 2).min(BACKOFF_MAX);
        }
    }

    /// [`Self::call`] for a call that has no condition.
    pub(super) async fn read<T, F>(&self, deadline: Deadline, attempt: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        match self.call(deadline, attempt).await? {
            Outcome::Done(done) => Ok(done),
            Outcome::Condition => Err(StoreError::Refused(unconditional())),
        }
    }

    /// [`Self::call`] for a conditional write: whether it took effect.
    pub(super) async fn write<T, F>(&self, deadline: Deadline, attempt: impl Fn() -> F) -> Result<bool, StoreError>
    where
        F: Future<Output = Result<T, Failure>>,
    {
        Ok(matches!(self.call(deadline, attempt).await?, Outcome::Done(_)))
    }

    /// [`Self::write`] of a transaction.
    pub(super) async fn transact(&self, items: Vec<TransactWriteItem>, deadline: Deadline) -> Result<bool, StoreError> {
        // The same token for the same items makes the repetition of a call whose answer was lost harmless.
        let token = self.unique();
        let transact = || {
            let call =
                self.client.transact_write_items().client_request_token(&token).set_transact_items(Some(items.clone()));
            async { call.send().await.map_err(transaction_failure) }
        };
        self.write(deadline, transact).await
    }

    /// [`Self::transact`] of a request that is written already, token included. The SDK's own is empty and stands in
    /// for it until it is signed; every attempt sends the same bytes, shared and not copied.
    pub(super) async fn transact_written(&self, request: Vec<u8>, deadline: Deadline) -> Result<bool, StoreError> {
        let bytes = request.len();
        let written = Arc::new(SdkBody::from(request));
        let transact = || {
            let written = Arc::clone(&written);
            let call = self.client.transact_write_items().customize().mutate_request(move |request| {
                request.headers_mut().insert("content-length", bytes.to_string());
                *request.body_mut() = written.try_clone().expect("invariant: it lies in memory");
            });
            async { call.send().await.map_err(transaction_failure) }
        };
        self.write(deadline, transact).await
    }

    /// A random part of `pause_max`: full jitter, so that those who collided do not meet again.
    fn jittered(&self, pause_max: Duration) -> Duration {
        let nanos = u64::try_from(pause_max.as_nanos()).unwrap_or(u64::MAX).max(1);
        Duration::from_nanos(self.random() % nanos)
    }
}

fn unconditional() -> Cause {
    Cause::new("ConditionalCheckFailedException", "a condition failed where none was set")
}

/// Reads the failure of any operation but a transaction.
pub(super) fn failure<E>(error: SdkError<E, HttpResponse>) -> Failure
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let cause = cause(&error);
    if error.as_service_error().is_none() {
        return match error {
            SdkError::ConstructionFailure(_) => Failure::Invalid(cause),
            _ => Failure::Passing(cause),
        };
    }
    match &*cause.code {
        "ConditionalCheckFailedException" => Failure::Condition,
        "ValidationException" => Failure::Invalid(cause),
        "ThrottlingException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "InternalServerError"
        | "ServiceUnavailable" => Failure::Passing(cause),
        _ if status.is_some_and(|status| status >= 500 || status == 429) => Failure::Passing(cause),
        _ => Failure::Refused(cause),
    }
}

/// Reads the failure of a transaction. It is cancelled with one reason for each item, in order.
/// Conflicts and throttles say nothing about who won, so a transaction that failed for them and for a
/// condition is decided by the condition: the row it names is there, whatever else happens.
fn transaction_failure(error: SdkError<TransactWriteItemsError, HttpResponse>) -> Failure {
    let cancelled = error.as_service_error().and_then(|service| match service {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => Some(cancelled),
        _ => None,
    });
    let Some(cancelled) = cancelled else { return failure(error) };
    let codes =
        || cancelled.cancellation_reasons().iter().filter_map(|reason| reason.code()).filter(|code| *code != "None");
    if codes().any(|code| code == "ConditionalCheckFailed") {
        return Failure::Condition;
    }
    let code = codes().next().unwrap_or("TransactionCanceledException");
    let cause = Cause::new(code.to_owned(), "the transaction was cancelled");
    match code {
        "ValidationError" | "ItemCollectionSizeLimitExceeded" => Failure::Invalid(cause),
        _ => Failure::Passing(cause),
    }
}
