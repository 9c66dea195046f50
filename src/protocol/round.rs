//! One round of closing a route and delivering to its targets: its arguments, its pauses and its
//! results.

use std::time::Duration;

use crate::config::Route;
use crate::model::name::{RouteName, Target};
use crate::model::outbox::Claim;
use crate::model::time::Timestamp;
use crate::protocol::arm::claim;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::notify::FailureCode;
use crate::protocol::services::Services;

/// The longest that one attempt to deliver may take. A target that takes the connection and says
/// nothing delays the other routes of the invocation by this much.
pub const ATTEMPT_MAX: Duration = Duration::from_secs(10);

/// Time reserved before the deadline for acknowledging a message that a target accepted.
pub const ACKNOWLEDGE_MARGIN: Duration = Duration::from_millis(500);

/// Epochs that are read at once. Each has at most some 50 KB of JSON, and every target of a route reads
/// its own.
pub(crate) const EPOCHS_AT_ONCE: usize = 8;

/// A message, and its outcome.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    pub route: RouteName,
    pub target: Target,
    /// First and last epoch that the message covers.
    pub epochs: (u64, u64),
    pub alerts: u64,
    /// From the first log event to the outcome; only for the first message of a burst.
    pub first_after: Option<Duration>,
    pub outcome: DeliveryOutcome,
    /// Why the target did not accept it, as far as known.
    pub failure: Option<FailureCode>,
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
    /// No process closes a window at its time after this one, so every window is due now.
    pub is_last: bool,
    /// With which this round claims to send due messages.
    pub claim: Claim,
    pub deadline: Deadline,
}

impl<'a, W: Services> Round<'a, W> {
    pub(crate) fn new(
        services: &'a W,
        route: &'a RouteName,
        attempt: u32,
        deadline: Deadline,
    ) -> Self {
        Self { services, route, attempt, is_last: false, claim: claim(services), deadline }
    }

    /// The route's configuration; `None` when the route has been removed from it.
    pub(crate) fn configured(&self) -> Option<&Route> {
        self.services.routes().get(self.route)
    }

    pub(crate) fn now(&self) -> Timestamp {
        self.services.clock().now()
    }
}
