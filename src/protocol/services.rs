//! The bundle of ports that the protocol calls. Production bundles DynamoDB, SQS and the targets;
//! the simulator bundles itself.

use crate::ingest::route::Routes;
use crate::protocol::clock::Clock;
use crate::protocol::notify::Deliver;
use crate::protocol::queue::{DeadLetterQueue, DueQueue};
use crate::protocol::store::Store;

/// Everything outside the process that `consume` and `close` use.
pub trait Services: Send + Sync {
    type Store: Store;
    type Due: DueQueue;
    type DeadLetters: DeadLetterQueue;
    type Deliver: Deliver;
    type Clock: Clock;

    fn routes(&self) -> &Routes;
    fn store(&self) -> &Self::Store;
    /// `None`: there is no timer. Windows are due at once, each consumer closes the routes that it
    /// touched, and no burst begins.
    fn due(&self) -> Option<&Self::Due>;
    fn dead_letters(&self) -> &Self::DeadLetters;
    fn deliver(&self) -> &Self::Deliver;
    fn clock(&self) -> &Self::Clock;
    /// 64 random bits, for lease owners and for jitter.
    fn random(&self) -> u64;
}
