//! The outside world as the protocol sees it, in one bundle of contracts. Production bundles
//! DynamoDB, queues and channels; a simulation bundles itself.

use crate::ingest::route::Routes;
use crate::protocol::clock::Clock;
use crate::protocol::notify::Deliver;
use crate::protocol::queue::{DeadLetterQueue, DueQueue};
use crate::protocol::store::Store;

/// Everything that `consume` and `close` talk to.
pub trait Services: Send + Sync {
    type Store: Store;
    type Due: DueQueue;
    type DeadLetters: DeadLetterQueue;
    type Deliver: Deliver;
    type Clock: Clock;

    fn routes(&self) -> &Routes;
    fn store(&self) -> &Self::Store;
    /// `None`: there is no timer. Windows are due at once, whoever touches a route closes it, and
    /// there are no bursts.
    fn due(&self) -> Option<&Self::Due>;
    fn dead_letters(&self) -> &Self::DeadLetters;
    fn deliver(&self) -> &Self::Deliver;
    fn clock(&self) -> &Self::Clock;
    /// 64 random bits: they tell lease holders apart and spread retries over time.
    fn random(&self) -> u64;
}
