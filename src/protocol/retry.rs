//! Retries: how long to wait before the next attempt, and the loop around an attempt.
//!
//! Which errors deserve another attempt is up to the caller. So is the randomness, which keeps a
//! simulation repeatable.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use crate::model::error::Cause;
use crate::protocol::clock::{Clock, Deadline};

/// How long to wait between attempts. The pause doubles with each failure, from `first` up to
/// `max`. Half of it is jitter, so that processes that failed together do not try again together.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    first: Duration,
    max: Duration,
}

impl RetryPolicy {
    /// # Panics
    /// When `first` is zero or longer than `max`. In a constant, that is a compile error.
    pub const fn new(first: Duration, max: Duration) -> Self {
        assert!(
            !first.is_zero() && first.as_nanos() <= max.as_nanos(),
            "the first pause must be above 0 and at most max"
        );
        Self { first, max }
    }

    /// The pause before the next attempt, after `failures` failures before the latest. `random` is
    /// 64 random bits. At least half of the longest pause for this number of failures.
    pub fn pause(self, failures: u32, random: u64) -> Duration {
        let longest = self.first.saturating_mul(2_u32.saturating_pow(failures)).min(self.max);
        let half = longest / 2;
        let jitter_max = u64::try_from(half.as_nanos()).unwrap_or(u64::MAX - 1);
        half + Duration::from_nanos(random % (jitter_max + 1))
    }
}

/// How an attempt failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AttemptError<E> {
    /// Another attempt may succeed.
    Transient(E),
    /// No attempt can succeed.
    Permanent(E),
}

/// The deadline passed before the attempt returned. The attempt may still have taken effect.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct NoAnswer;

impl From<NoAnswer> for Cause {
    fn from(NoAnswer: NoAnswer) -> Self {
        Self::no_answer()
    }
}

/// Repeats `attempt` until it succeeds, fails for good, or the deadline leaves no time for another.
///
/// An attempt that the deadline cuts off may still take effect, so attempts must be idempotent.
///
/// # Errors
/// The error of the last attempt, or [`NoAnswer`] when the deadline cut it off.
pub async fn retry<T, E, F>(
    policy: RetryPolicy,
    clock: &impl Clock,
    deadline: Deadline,
    random: impl Fn() -> u64,
    mut attempt: impl FnMut() -> F,
) -> Result<T, E>
where
    T: Send,
    E: Display + From<NoAnswer> + Send,
    F: Future<Output = Result<T, AttemptError<E>>> + Send,
{
    let mut backoff = Backoff::new(policy, clock, deadline);
    loop {
        // Boxed, because the futures of a client are large, and too deep for the compiler inside
        // those of the protocol.
        let error = match clock.timeout(deadline, Box::pin(attempt())).await {
            None => return Err(NoAnswer.into()),
            Some(Ok(done)) => return Ok(done),
            Some(Err(AttemptError::Permanent(error))) => return Err(error),
            Some(Err(AttemptError::Transient(error))) => error,
        };
        tracing::debug!(retry.failures = backoff.failures + 1, "An attempt failed: {error}");
        if !backoff.wait(random()).await {
            return Err(error);
        }
    }
}

/// The pauses between the attempts of one call, for loops that [`retry`] does not fit.
#[derive(Debug)]
pub struct Backoff<'c, C> {
    policy: RetryPolicy,
    clock: &'c C,
    deadline: Deadline,
    failures: u32,
}

impl<'c, C: Clock> Backoff<'c, C> {
    pub fn new(policy: RetryPolicy, clock: &'c C, deadline: Deadline) -> Self {
        Self { policy, clock, deadline, failures: 0 }
    }

    /// Waits until the next attempt. Returns `false`, at once, when the deadline would pass before.
    pub async fn wait(&mut self, random: u64) -> bool {
        let pause = self.policy.pause(self.failures, random);
        if pause >= self.deadline.remaining(self.clock.now()) {
            return false;
        }
        self.failures += 1;
        self.clock.sleep(pause).await;
        true
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use futures::FutureExt as _;
    use futures::future::{pending, ready};
    use proptest::prelude::*;

    use super::*;
    use crate::model::time::Timestamp;

    const POLICY: RetryPolicy =
        RetryPolicy::new(Duration::from_millis(100), Duration::from_secs(1));

    /// A clock that only sleeping moves.
    #[derive(Default)]
    struct Jump(Mutex<Timestamp>);

    impl Clock for Jump {
        fn now(&self) -> Timestamp {
            *self.0.lock().unwrap()
        }

        async fn sleep(&self, duration: Duration) {
            let mut now = self.0.lock().unwrap();
            *now = now.after(duration);
        }
    }

    proptest! {
        #[test]
        fn a_pause_is_half_to_all_of_its_longest(first in 1_u64..1_000_000, factor in 1_u64..10_000, failures: u32, random: u64) {
            let (first, max) = (Duration::from_nanos(first), Duration::from_nanos(first * factor));
            let pause = RetryPolicy::new(first, max).pause(failures, random);
            let longest = if failures < 32 { (first * (1 << failures.min(31))).min(max) } else { max };
            prop_assert!((longest / 2..=longest).contains(&pause), "{pause:?} {longest:?}");
        }
    }

    #[test]
    fn pauses_double_up_to_the_maximum() {
        let shortest =
            (0..6).map(|failures| POLICY.pause(failures, 0).as_millis()).collect::<Vec<_>>();
        assert_eq!(shortest, [50, 100, 200, 400, 500, 500]);
        let longest = (0..6).map(|failures| {
            POLICY.pause(failures, 50_000_000 * (1 << failures.min(3))).as_millis()
        });
        assert_eq!(longest.collect::<Vec<_>>()[..4], [100, 200, 400, 800]);
        assert!(
            RetryPolicy::new(Duration::MAX, Duration::MAX).pause(u32::MAX, u64::MAX)
                >= Duration::MAX / 2
        );
    }

    #[test]
    #[should_panic(expected = "at most max")]
    fn a_policy_needs_a_first_pause_below_its_maximum() {
        RetryPolicy::new(Duration::from_secs(2), Duration::from_secs(1));
    }

    /// Attempts until `deadline_ms`, each with the next of `results`; how many there were, the end
    /// of the last pause, and the result.
    fn attempts(
        deadline_ms: i64,
        results: &[Result<u8, AttemptError<&str>>],
    ) -> (usize, i64, Result<u8, Cause>) {
        let clock = Jump::default();
        let made = Mutex::new(0);
        let attempt = || {
            let mut made = made.lock().unwrap();
            *made += 1;
            let result = results[(*made - 1).min(results.len() - 1)].clone();
            ready(result.map_err(|failure| match failure {
                AttemptError::Transient(text) => {
                    AttemptError::Transient(Cause::new("transient", text))
                }
                AttemptError::Permanent(text) => {
                    AttemptError::Permanent(Cause::new("permanent", text))
                }
            }))
        };
        let deadline = Deadline::at(Timestamp::from_millis(deadline_ms));
        let result = retry(POLICY, &clock, deadline, || 0, attempt).now_or_never().unwrap();
        (made.into_inner().unwrap(), clock.now().as_millis(), result)
    }

    #[test]
    fn an_attempt_is_repeated_until_it_succeeds_or_fails_for_good() {
        let again = Err(AttemptError::Transient("busy"));
        assert_eq!(attempts(10_000, &[Ok(1)]), (1, 0, Ok(1)));
        assert_eq!(attempts(10_000, &[again.clone(), again.clone(), Ok(2)]), (3, 150, Ok(2)));
        let refused = Err(AttemptError::Permanent("no"));
        assert_eq!(
            attempts(10_000, &[again.clone(), refused]),
            (2, 50, Err(Cause::new("permanent", "no")))
        );
    }

    #[test]
    fn no_pause_ends_at_or_after_the_deadline() {
        let busy = Err(Cause::new("transient", "busy"));
        let again = [Err(AttemptError::Transient("busy"))];
        // The pauses are 50, 100 and 200 ms.
        for (deadline_ms, made, end) in
            [(0, 1, 0), (50, 1, 0), (51, 2, 50), (150, 2, 50), (151, 3, 150), (349, 3, 150)]
        {
            assert_eq!(attempts(deadline_ms, &again), (made, end, busy.clone()), "{deadline_ms}");
        }
    }

    #[test]
    fn an_attempt_without_an_answer_ends_at_the_deadline() {
        let clock = Jump::default();
        let deadline = Deadline::at(Timestamp::from_millis(70));
        let silent = || pending::<Result<u8, AttemptError<Cause>>>();
        let result = retry(POLICY, &clock, deadline, || 0, silent).now_or_never();
        assert_eq!((result, clock.now().as_millis()), (Some(Err(Cause::no_answer())), 70));
    }
}
