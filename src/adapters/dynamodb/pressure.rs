//! How much a store writes at once. Additive increase and multiplicative decrease, as in TCP: a
//! throttle halves it, and each success adds a little. All invocations of a process share it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use super::commit::TRANSACTION_ITEMS_MAX;

/// The items that a success adds to later transactions.
const ITEMS_STEP: usize = 4;

/// The limits that a store keeps, because its table was throttled before.
#[derive(Debug)]
pub(super) struct Pressure {
    in_flight_max: usize,
    limits: Mutex<Limits>,
}

#[derive(Debug)]
struct Limits {
    /// Items of a transaction.
    items: usize,
    /// Transactions in flight.
    in_flight: usize,
    /// How often the limits were halved.
    raised: u64,
}

impl Pressure {
    pub(super) fn new(in_flight_max: usize) -> Self {
        let limits = Limits { items: TRANSACTION_ITEMS_MAX, in_flight: in_flight_max, raised: 0 };
        Self { in_flight_max, limits: Mutex::new(limits) }
    }

    /// The most items of a transaction. With one row and its tally it is two.
    pub(super) fn items(&self) -> usize {
        self.limits().items
    }

    /// The most transactions in flight.
    pub(super) fn in_flight(&self) -> usize {
        self.limits().in_flight
    }

    /// Identifies the present limits, for [`Self::raise`].
    pub(super) fn now(&self) -> u64 {
        self.limits().raised
    }

    /// A transaction that began under the limits of `began` was throttled. Those in flight together
    /// count as one: they were sent under the same limits.
    pub(super) fn raise(&self, began: u64) {
        let mut limits = self.limits();
        if limits.raised == began {
            limits.raised += 1;
            limits.items = (limits.items / 2).max(2);
            limits.in_flight = (limits.in_flight / 2).max(1);
        }
    }

    /// A transaction succeeded.
    pub(super) fn ease(&self) {
        let mut limits = self.limits();
        limits.items = (limits.items + ITEMS_STEP).min(TRANSACTION_ITEMS_MAX);
        limits.in_flight = (limits.in_flight + 1).min(self.in_flight_max);
    }

    fn limits(&self) -> MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn throttles_halve_the_limits_and_successes_restore_them() {
        let pressure = Pressure::new(8);
        let limits = || (pressure.items(), pressure.in_flight());
        let began = pressure.now();
        (0..8).for_each(|_| pressure.raise(began));
        assert_eq!(limits(), (50, 4), "transactions in flight together count as one");
        (0..20).for_each(|_| pressure.raise(pressure.now()));
        assert_eq!(limits(), (2, 1), "one row and its tally");
        pressure.ease();
        assert_eq!(limits(), (6, 2));
        (0..99).for_each(|_| pressure.ease());
        assert_eq!(limits(), (100, 8));
    }
}
