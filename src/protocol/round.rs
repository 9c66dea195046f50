//! One round of closing a route and telling its targets: its arguments, its pauses, and what it answers.

use std::time::Duration;

use crate::config::Route;
use crate::model::name::{RouteName, Target};
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::services::Services;
use crate::protocol::store::StoreError;

const BACKOFF_FIRST: Duration = Duration::from_millis(500);
const BACKOFF_MAX: Duration = Duration::from_secs(300);

/// Kept free before the deadline, for settling what was accepted.
pub(crate) const ACKNOWLEDGE_MARGIN: Duration = Duration::from_millis(500);

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetryAt {
    pub at: Timestamp,
    pub why: String,
}

/// A message, and what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub route: RouteName,
    pub target: Target,
    /// First and last epoch that it tells of.
    pub epochs: (u64, u64),
    pub alerts: u64,
    pub outcome: DeliveryOutcome,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryOutcome {
    /// The target has it.
    Accepted,
    /// Not yet; why.
    Retry(String),
    /// It was refused and lies in the dead-letter queue; why.
    Parked(String),
}

/// The arguments of [`close`](super::close::close), which everything here needs.
pub(crate) struct Round<'a, W> {
    pub services: &'a W,
    pub route: &'a RouteName,
    pub attempt: u32,
    pub deadline: Deadline,
}

impl<W: Services> Round<'_, W> {
    /// The route as configured; `None` when it is gone.
    pub(crate) fn configured(&self) -> Option<&Route> {
        self.services.routes().get(self.route)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.services.clock().now()
    }

    pub(crate) fn retry_on(&self, error: &StoreError) -> RetryAt {
        self.retry(error.to_string())
    }

    pub(crate) fn retry(&self, why: String) -> RetryAt {
        self.retry_after(self.attempt, why)
    }

    /// A pause that grows with the failures before, with jitter so that those who collided do not meet again.
    pub(crate) fn retry_after(&self, failures: u32, why: String) -> RetryAt {
        let longest = BACKOFF_FIRST.saturating_mul(2_u32.saturating_pow(failures)).min(BACKOFF_MAX);
        let half = u64::try_from(longest.as_millis() / 2).unwrap_or(u64::MAX).max(1);
        let pause = Duration::from_millis(half + self.services.random() % half);
        RetryAt { at: self.now().after(pause), why }
    }
}

impl RetryAt {
    pub(crate) fn earlier(a: Option<Self>, b: Option<Self>) -> Option<Self> {
        match (a, b) {
            (Some(a), Some(b)) => Some(if b.at < a.at { b } else { a }),
            (a, b) => a.or(b),
        }
    }
}
