//! One remote call, repeated until it has an outcome or the deadline is near. Throttles, conflicts
//! and lost connections are retried. A condition that did not hold is an outcome. Everything else
//! needs a person.

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
use super::item::Item;
use crate::adapters::aws::cause;
use crate::model::error::Cause;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::retry::{AttemptError, RetryPolicy, retry};
use crate::protocol::store::StoreError;

const RETRY: RetryPolicy = RetryPolicy::new(Duration::from_millis(20), Duration::from_secs(2));

/// How an attempt failed. A variant is what to do about it.
#[derive(Debug)]
pub(super) enum CallError {
    /// Try again after a pause.
    Transient(Cause),
    /// A condition did not hold: that of a single write, or of at least one item of a transaction.
    Condition,
    /// The request can never succeed.
    Invalid(Cause),
    /// No request succeeds until a person has changed something.
    Refused(Cause),
}

/// The outcome of a transaction that only puts new items.
#[derive(Debug)]
pub(super) enum Written {
    Done,
    /// Some items exist: for each put, in order, the item that DynamoDB found in its place. It may
    /// not have found all of them.
    Exists(Vec<Option<Item>>),
    /// The table or the account is at its limit. Nothing was written.
    Throttled(Cause),
}

/// The outcome of a conditional call.
#[derive(Debug)]
pub(super) enum CallOutcome<T> {
    Done(T),
    Condition,
}

impl<C: Clock> DynamoStore<C> {
    /// Repeats `attempt` until it has an outcome or the deadline is near. An attempt that the
    /// deadline cuts off may still take effect, so each caller makes the repetition harmless, with
    /// a condition or a token.
    pub(super) async fn call<T, F>(
        &self,
        deadline: Deadline,
        attempt: impl Fn() -> F,
    ) -> Result<CallOutcome<T>, StoreError>
    where
        T: Send,
        F: Future<Output = Result<T, CallError>> + Send,
    {
        let attempt = || {
            let attempt = attempt();
            async {
                match attempt.await {
                    Ok(done) => Ok(CallOutcome::Done(done)),
                    Err(CallError::Condition) => Ok(CallOutcome::Condition),
                    Err(CallError::Transient(cause)) => {
                        Err(AttemptError::Transient(StoreError::Unavailable(cause)))
                    }
                    Err(CallError::Invalid(cause)) => {
                        Err(AttemptError::Permanent(StoreError::Invalid(cause)))
                    }
                    Err(CallError::Refused(cause)) => {
                        Err(AttemptError::Permanent(StoreError::Refused(cause)))
                    }
                }
            }
        };
        retry(RETRY, &self.clock, deadline, || self.random.bits(), attempt).await
    }

    /// [`Self::call`] for a call without a condition, or whose attempt takes it as an answer.
    pub(super) async fn read<T, F>(
        &self,
        deadline: Deadline,
        attempt: impl Fn() -> F,
    ) -> Result<T, StoreError>
    where
        T: Send,
        F: Future<Output = Result<T, CallError>> + Send,
    {
        match self.call(deadline, attempt).await? {
            CallOutcome::Done(done) => Ok(done),
            CallOutcome::Condition => Err(StoreError::Refused(unconditional())),
        }
    }

    /// [`Self::call`] for a conditional write. Returns whether it took effect.
    pub(super) async fn write<T, F>(
        &self,
        deadline: Deadline,
        attempt: impl Fn() -> F,
    ) -> Result<bool, StoreError>
    where
        T: Send,
        F: Future<Output = Result<T, CallError>> + Send,
    {
        Ok(matches!(self.call(deadline, attempt).await?, CallOutcome::Done(_)))
    }

    /// [`Self::write`] of a transaction.
    pub(super) async fn transact(
        &self,
        items: Vec<TransactWriteItem>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        // All attempts have the same token, so DynamoDB ignores the repetition of an attempt whose
        // answer was lost.
        let token = self.unique();
        let transact = || {
            let call = self
                .client
                .transact_write_items()
                .client_request_token(&token)
                .set_transact_items(Some(items.clone()));
            async { call.send().await.map_err(transaction_error) }
        };
        self.write(deadline, transact).await
    }

    /// [`Self::transact`] of a request that is serialized already, token included. It replaces the
    /// empty body of the SDK's request before that is signed. All attempts share the bytes. A
    /// throttle ends the attempts: the caller sends less.
    pub(super) async fn transact_written(
        &self,
        request: Vec<u8>,
        deadline: Deadline,
    ) -> Result<Written, StoreError> {
        let bytes = request.len();
        let written = Arc::new(SdkBody::from(request));
        let transact = || {
            let written = Arc::clone(&written);
            let call =
                self.client.transact_write_items().customize().mutate_request(move |request| {
                    request.headers_mut().insert("content-length", bytes.to_string());
                    *request.body_mut() =
                        written.try_clone().expect("invariant: a body in memory can be cloned");
                });
            async { call.send().await.map_or_else(written_error, |_| Ok(Written::Done)) }
        };
        self.read(deadline, transact).await
    }
}

/// Classifies the error of a transaction that only puts new items.
fn written_error(
    error: SdkError<TransactWriteItemsError, HttpResponse>,
) -> Result<Written, CallError> {
    let items = match error.as_service_error() {
        Some(TransactWriteItemsError::TransactionCanceledException(cancelled)) => {
            let reasons = cancelled.cancellation_reasons().iter();
            reasons.map(|reason| reason.item().cloned()).collect()
        }
        _ => Vec::new(),
    };
    match transaction_error(error) {
        CallError::Condition => Ok(Written::Exists(items)),
        CallError::Transient(cause) if THROTTLES.contains(&&*cause.code) => {
            Ok(Written::Throttled(cause))
        }
        error => Err(error),
    }
}

/// The codes of a throttled request, and of a throttled item in a transaction.
const THROTTLES: [&str; 5] = [
    "ThrottlingException",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
];

fn unconditional() -> Cause {
    Cause::new("ConditionalCheckFailedException", "a condition failed where none was set")
}

/// Classifies the error of any operation but a transaction.
pub(super) fn call_error<E>(error: SdkError<E, HttpResponse>) -> CallError
where
    E: ProvideErrorMetadata + Error + 'static,
{
    let status = error.raw_response().map(|response| response.status().as_u16());
    let cause = cause(&error);
    if error.as_service_error().is_none() {
        return match error {
            SdkError::ConstructionFailure(_) => CallError::Invalid(cause),
            _ => CallError::Transient(cause),
        };
    }
    match &*cause.code {
        "ConditionalCheckFailedException" => CallError::Condition,
        "ValidationException" => CallError::Invalid(cause),
        "ThrottlingException"
        | "ProvisionedThroughputExceededException"
        | "RequestLimitExceeded"
        | "TransactionConflictException"
        | "TransactionInProgressException"
        | "InternalServerError"
        | "ServiceUnavailable" => CallError::Transient(cause),
        _ if status.is_some_and(|status| status >= 500 || status == 429) => {
            CallError::Transient(cause)
        }
        _ => CallError::Refused(cause),
    }
}

/// Classifies the error of a transaction, which is cancelled with one reason for each item, in
/// order. Conflicts and throttles say nothing about other items. A failed condition does: the row
/// that it names exists. So it decides.
fn transaction_error(error: SdkError<TransactWriteItemsError, HttpResponse>) -> CallError {
    let cancelled = error.as_service_error().and_then(|service| match service {
        TransactWriteItemsError::TransactionCanceledException(cancelled) => Some(cancelled),
        _ => None,
    });
    let Some(cancelled) = cancelled else { return call_error(error) };
    let codes = || {
        cancelled
            .cancellation_reasons()
            .iter()
            .filter_map(|reason| reason.code())
            .filter(|code| *code != "None")
    };
    if codes().any(|code| code == "ConditionalCheckFailed") {
        return CallError::Condition;
    }
    let code = codes().next().unwrap_or("TransactionCanceledException");
    let cause = Cause::new(code.to_owned(), "the transaction was cancelled");
    match code {
        "ValidationError" | "ItemCollectionSizeLimitExceeded" => CallError::Invalid(cause),
        _ => CallError::Transient(cause),
    }
}
