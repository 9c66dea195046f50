//! The system clock.

use std::future::Future;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::time::Timestamp;
use crate::protocol::clock::Clock;

/// The system clock and tokio's timer.
#[derive(Copy, Clone, Debug, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        match SystemTime::now().duration_since(UNIX_EPOCH) {
            Ok(since) => Timestamp::default().after(since),
            Err(early) => Timestamp::default().before(early.duration()),
        }
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        tokio::time::sleep(duration)
    }
}
