//! One round of closing a route and delivering to its targets: its arguments, its pauses and its
//! results.

use std::time::Duration;

use crate::config::Route;
use crate::model::name::{RouteName, Target};
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::retry::RetryPolicy;
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::services::Services;

const RETRY: RetryPolicy = RetryPolicy::new(Duration::from_millis(500), Duration::from_secs(300));

/// Time reserved before the deadline for acknowledging a message that a target accepted.
pub(crate) const ACKNOWLEDGE_MARGIN: Duration = Duration::from_millis(500);

/// When to retry, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryAt {
    pub at: Timestamp,
    pub reason: RetryReason,
}

/// A message, and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub route: RouteName,
    pub target: Target,
    /// First and last epoch that the message covers.
    pub epochs: (u64, u64),
    pub alerts: u64,
    pub outcome: DeliveryOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The target accepted the message.
    Accepted,
    /// The attempt failed for this reason. The message is still owed.
    Retry(String),
    /// The target refused the message for this reason. The message is in the dead-letter queue.
    Parked(String),
}

/// The arguments of [`close`](super::close::close), which every step of a round needs.
pub(crate) struct Round<'a, W> {
    pub services: &'a W,
    pub route: &'a RouteName,
    pub attempt: u32,
    pub deadline: Deadline,
}

impl<W: Services> Round<'_, W> {
    /// The route's configuration; `None` when the route has been removed from it.
    pub(crate) fn configured(&self) -> Option<&Route> {
        self.services.routes().get(self.route)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.services.clock().now()
    }

    /// Retries after a pause that grows with the attempts of this round's caller.
    pub(crate) fn retry(&self, reason: impl Into<RetryReason>) -> RetryAt {
        self.retry_after(self.attempt, reason.into())
    }

    /// Retries after the pause that follows this many earlier failures.
    pub(crate) fn retry_after(&self, failures: u32, reason: RetryReason) -> RetryAt {
        let pause = RETRY.pause(failures, self.services.random());
        RetryAt { at: self.now().after(pause), reason }
    }
}

impl RetryAt {
    /// The earlier one, if there is any.
    pub(crate) fn earlier(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}
