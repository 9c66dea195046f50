//! Random numbers for an adapter with concurrent calls.

use std::sync::{Mutex, PoisonError};

/// A generator behind a lock.
#[derive(Debug)]
pub(crate) struct Random(Mutex<fastrand::Rng>);

impl Random {
    pub(crate) fn new(rng: fastrand::Rng) -> Self {
        Self(Mutex::new(rng))
    }

    /// 64 random bits.
    pub(crate) fn bits(&self) -> u64 {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).u64(..)
    }
}
