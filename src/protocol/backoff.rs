//! The back-off of a route and of its targets: how long to wait after a failure.

use std::time::Duration;

use crate::model::name::Target;
use crate::model::time::Timestamp;
use crate::protocol::retry::RetryPolicy;
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::round::Round;
use crate::protocol::services::Services;
use crate::protocol::store::Store as _;

/// From half a second to five minutes, doubled with each failure.
const RETRY: RetryPolicy = RetryPolicy::new(Duration::from_millis(500), Duration::from_secs(300));

/// A shorter pause than this counts as no request for a pause.
const PAUSE_MIN: Duration = Duration::from_millis(500);

/// When to retry, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryAt {
    pub at: Timestamp,
    pub reason: RetryReason,
}

impl<W: Services> Round<'_, W> {
    /// Retries after a pause that grows with the attempts of this round's caller.
    pub(crate) fn retry(&self, reason: impl Into<RetryReason>) -> RetryAt {
        self.retry_after(self.attempt, reason.into())
    }

    /// Retries after the pause that follows this many earlier failures.
    pub(crate) fn retry_after(&self, failures: u32, reason: RetryReason) -> RetryAt {
        let pause = RETRY.pause(failures, self.services.random());
        RetryAt { at: self.now().after(pause), reason }
    }

    /// When to call the target again. A pause that the target asked for applies to all its routes.
    pub(crate) async fn pause(
        &self,
        target: &Target,
        after: Option<Duration>,
        reason: String,
        failures: u32,
    ) -> RetryAt {
        let reason = RetryReason::Delivery { target: target.clone(), reason };
        // Without a pause of its own choice, the target gets one that grows.
        let Some(after) = after.filter(|after| *after >= PAUSE_MIN) else {
            return self.retry_after(failures, reason);
        };
        let at = self.now().after(after);
        if let Err(error) = self.services.store().pause(target, at, self.deadline).await {
            // Other routes will be asked to pause when they call the target.
            tracing::debug!(target = %target, "The pause applies to this route only: {error}");
        }
        RetryAt { at, reason }
    }
}

impl RetryAt {
    /// With the reason of an `earlier` round, if this one attempted nothing.
    #[must_use]
    pub fn after(self, earlier: Option<Self>) -> Self {
        match earlier {
            Some(Self { reason, .. }) if self.reason.follows_a_failure() => {
                Self { at: self.at, reason }
            }
            _ => self,
        }
    }

    /// The earlier one, if there is any.
    pub(crate) fn earlier(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}
