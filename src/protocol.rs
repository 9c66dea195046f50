//! The protocol that never loses an alert and counts each one once: consume (commit, arm), notify
//! (close, freeze, deliver), and the ports it needs: [`store`], [`queue`], [`notify`] and
//! [`clock`], bundled in [`services`].

pub mod arm;
pub mod backoff;
pub mod clock;
pub mod close;
pub mod consume;
pub mod dead_letter;
pub mod deliver;
mod escalate;
pub mod freeze;
pub mod notifier;
pub mod notify;
pub mod queue;
mod remember;
mod resolve;
pub mod retry;
pub mod retry_reason;
pub mod round;
pub mod services;
pub mod store;
