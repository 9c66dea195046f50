//! The port to time. Code that has to wait is handed a [`Clock`]; a simulation passes its own and runs an hour in a
//! millisecond.

use std::future::Future;
use std::time::Duration;

use crate::model::time::Timestamp;

/// What tells the time and waits.
pub trait Clock: Send + Sync {
    fn now(&self) -> Timestamp;
    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send;
}
