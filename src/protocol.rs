//! The protocol that never loses an alert and counts each one once: consume (commit, arm), notify (close, freeze,
//! deliver), and the ports it needs: [`store`], [`queue`], [`notify`] and [`clock`], bundled in [`world`].

pub mod arm;
pub mod clock;
pub mod close;
pub mod consume;
pub mod freeze;
pub mod notifier;
pub mod notify;
pub mod queue;
pub mod round;
pub mod store;
pub mod tell;
pub mod world;
