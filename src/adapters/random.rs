//! Random numbers, seeded by the operating system. Many sandboxes of a function start in the same
//! instant, so a seed from a clock would give several of them the same tokens and keys.

use std::sync::{LazyLock, Mutex, PoisonError};

use ring::rand::{SecureRandom as _, SystemRandom};

/// A generator behind a lock, for an adapter with concurrent calls.
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

/// A new generator. It is fast and not for secrets.
///
/// # Panics
/// When the operating system has no random numbers.
pub fn from_os() -> fastrand::Rng {
    let mut seed = [0; 8];
    SystemRandom::new().fill(&mut seed).expect("the operating system has random numbers");
    fastrand::Rng::with_seed(u64::from_ne_bytes(seed))
}

/// 64 random bits, of one generator for the whole process.
pub fn bits() -> u64 {
    static RANDOM: LazyLock<Random> = LazyLock::new(|| Random::new(from_os()));
    RANDOM.bits()
}
