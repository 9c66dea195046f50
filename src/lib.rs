//! Stentor turns the log floods of many AWS accounts into one clear message per window, keeps every
//! alert for audit, and never loses one.
//!
//! ```text
//! bytes ─event::parse→ Batch { records }                    a bad record is a value, never a failed batch
//!       ─decode::until→ head and events, and Poison          parallel, size and time capped; markers in raw text first
//!       ─routes.scan→  [Alert]                               markers confirmed, conditions, secrets redacted
//!       ─commit→       row and count in one transaction      existing row = duplicate = dropped
//!       ─arm→ ─park→   every touched route has an open window and a due message; bad records are parked
//!       ─checkpoint→   the earliest record that is not safe
//!
//! due   ─close→        tallies → epoch → digest ─deliver→ target ─settle→ offset
//! ```
//!
//! What holds, whatever crashes (`ARCHITECTURE.md` says why, and which test keeps each):
//!
//! 1. Nothing is lost: a record is acknowledged only when its alerts have rows and their routes armed
//!    windows, or when it is parked.
//! 2. Counted once: a row exists exactly when one tally or epoch counts it.
//! 3. A bad record never blocks a shard.
//! 4. Nothing is acknowledged past the earliest record that must come again.
//! 5. At most one message per route, window and target without a fault.
//! 6. Settled after accepted, never the reverse.
//! 7. The books balance.
//!
//! In reading order: what comes in ([`event`], [`decode`]), what counts ([`route`], [`redact`],
//! [`alert`], [`tally`]), the protocol ([`consume`], [`arm`], [`notifier`], [`close`], [`freeze`], [`tell`]) with its contracts
//! ([`world`], [`store`], [`queue`], [`notify`]), what a reader sees ([`digest`], [`visible`]), what an operator
//! asks for ([`replay`], [`audit`], [`explain`], [`check`]). The modules from
//! `event` to `digest` and `freeze` are pure: no SDK, no clock, no environment. Only the binaries know
//! everyone.

pub mod alert;
pub mod arm;
pub mod audit;
pub mod aws;
pub mod check;
pub mod clock;
pub mod close;
pub mod config;
pub mod consume;
pub mod decode;
pub mod digest;
#[cfg(feature = "cli")]
pub mod embedded;
pub mod event;
pub mod explain;
pub mod freeze;
pub mod function;
pub mod metric;
pub mod name;
pub mod notifier;
pub mod notify;
pub mod queue;
pub mod redact;
pub mod replay;
pub mod route;
#[cfg(feature = "cli")]
pub mod sample;
pub mod secret;
pub mod store;
pub mod tally;
pub mod tell;
pub mod visible;
pub mod world;
