//! How much a commit writes in one statement. A statement that takes longer than its limit writes
//! nothing, so a slow database would do nothing but fail: such a statement halves what the next one
//! writes, and quick ones let it grow again. All calls of a process share it.

use std::sync::atomic::{AtomicUsize, Ordering};

/// The most bytes of one statement. Its text is in memory twice: in the alerts, and as it is sent.
pub(super) const BYTES_MAX: usize = 4 << 20;

/// How many bytes a quick statement adds to later ones.
const STEP: usize = BYTES_MAX / 25;

/// The most bytes of a statement at present.
#[derive(Debug)]
pub(super) struct StatementSize(AtomicUsize);

impl Default for StatementSize {
    fn default() -> Self {
        Self(AtomicUsize::new(BYTES_MAX))
    }
}

impl StatementSize {
    pub(super) fn max(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }

    /// A statement of so many bytes took longer than its limit.
    pub(super) fn too_slow(&self, bytes: usize) {
        self.0.fetch_min((bytes / 2).max(1), Ordering::Relaxed);
    }

    /// A statement took much less than its limit.
    pub(super) fn quick(&self) {
        let grown = |max: usize| Some((max + STEP).min(BYTES_MAX));
        let _ = self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, grown);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_statements_halve_the_size_and_quick_ones_restore_it() {
        let size = StatementSize::default();
        assert_eq!(size.max(), BYTES_MAX);
        size.too_slow(1_000);
        size.too_slow(1_000);
        assert_eq!(size.max(), 500, "two statements at once count as one");
        size.too_slow(1);
        assert_eq!(size.max(), 1, "one row is always sent");
        (0..24).for_each(|_| size.quick());
        assert!((BYTES_MAX - 2 * STEP..BYTES_MAX).contains(&size.max()), "{}", size.max());
        (0..2).for_each(|_| size.quick());
        assert_eq!(size.max(), BYTES_MAX);
    }
}
