//! When this process has last noted that it is behind its stream, so that a lag that lasts is not
//! written with each batch.

use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use crate::model::time::Timestamp;

/// A thousand processes make about thirty writes a second; one item of DynamoDB takes a thousand.
/// Much shorter than a note holds, so that a lag which lasts has no gap.
const NOTED_EVERY: Duration = Duration::from_secs(30);

#[derive(Debug, Default)]
pub(super) struct NotedLag(AtomicI64);

impl NotedLag {
    pub(super) fn is_recent(&self, now: Timestamp) -> bool {
        Timestamp::from_millis(self.0.load(Ordering::Relaxed)).after(NOTED_EVERY) > now
    }

    pub(super) fn set(&self, now: Timestamp) {
        self.0.store(now.as_millis(), Ordering::Relaxed);
    }
}
