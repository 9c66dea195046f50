//! The port to time. Code that waits takes a [`Clock`]; a simulation passes its own and runs an
//! hour in a millisecond.

use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use futures::future::{Either, select};

use crate::model::time::Timestamp;

/// Tells the time and waits.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;

    /// The output of `future`, or `None` when the deadline passes first. A deadline in the past
    /// still polls `future` once.
    fn timeout<F>(
        &self,
        deadline: Deadline,
        future: F,
    ) -> impl Future<Output = Option<F::Output>> + Send
    where
        F: Future<Output: Send> + Send,
    {
        async move {
            let left = pin!(self.sleep(deadline.remaining(self.now())));
            match select(pin!(future), left).await {
                Either::Left((output, _)) => Some(output),
                Either::Right(((), _)) => None,
            }
        }
    }
}

/// The moment by which a call must return. It is set once, by the invocation or the command, and
/// passed down.
#[derive(Copy, Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Deadline(Timestamp);

impl Deadline {
    pub const fn at(time: Timestamp) -> Self {
        Self(time)
    }

    /// `duration` after `now`.
    pub fn after(now: Timestamp, duration: Duration) -> Self {
        Self(now.after(duration))
    }

    pub const fn time(self) -> Timestamp {
        self.0
    }

    /// This deadline less `margin`, for work that must leave time for more work.
    #[must_use]
    pub fn earlier(self, margin: Duration) -> Self {
        Self(self.0.before(margin))
    }

    /// The time left; zero when the deadline has passed.
    pub fn remaining(self, now: Timestamp) -> Duration {
        now.until(self.0)
    }

    pub fn has_passed(self, now: Timestamp) -> bool {
        now >= self.0
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use futures::future::{pending, ready};

    use super::*;

    /// Stands still; each sleep ends at once.
    struct Still(Timestamp);

    impl Clock for Still {
        fn now(&self) -> Timestamp {
            self.0
        }

        fn sleep(&self, _: Duration) -> impl Future<Output = ()> + Send {
            ready(())
        }
    }

    #[test]
    fn a_deadline_counts_down_and_does_not_go_below_zero() {
        let (now, deadline) =
            (Timestamp::from_millis(10), Deadline::at(Timestamp::from_millis(25)));
        assert_eq!(deadline.remaining(now), Duration::from_millis(15));
        assert_eq!(deadline.earlier(Duration::from_millis(15)), Deadline::at(now));
        assert!(
            deadline.earlier(Duration::from_millis(15)).has_passed(now)
                && !deadline.has_passed(now)
        );
        assert_eq!(Deadline::at(now).remaining(Timestamp::from_millis(11)), Duration::ZERO);
    }

    #[test]
    fn timeout_prefers_the_output() {
        let (clock, deadline) = (Still(Timestamp::default()), Deadline::at(Timestamp::default()));
        assert_eq!(clock.timeout(deadline, ready(7)).now_or_never(), Some(Some(7)));
        assert_eq!(clock.timeout(deadline, pending::<u8>()).now_or_never(), Some(None));
    }
}
