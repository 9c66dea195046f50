//! Stentor turns the log floods of many AWS accounts into one clear message per window, keeps every
//! alert for audit, and never loses one.
//!
//! # The life of an alert
//!
//! ```text
//! CONSUMER  bytes ─event::read→ Batch { records }           a bad record is a value, never a failed batch
//!                 ─decode::until→ events, or Poison         parallel; size and time are bounded; raw text first
//!                 ─routes.scan→ [Alert]                     markers, scope, redaction
//!                 ─commit→ row and tally, one transaction   an existing row is a duplicate
//!                 ─arm→ open window and due message         for every touched route
//!                 ─park→ dead-letter queue                  poison records, last
//!                 ─checkpoint→                              the earliest record that is not safe
//!
//! NOTIFIER  due   ─close→ window                            tallies of the window are frozen into an epoch
//!                 ─deliver→ target                          everything since the target's offset is one message
//!                 ─acknowledge→ offset                      moves only after the target accepted the message
//! ```
//!
//! # What holds, whatever crashes
//!
//! 1. Nothing is lost. A record is acknowledged only when its alerts have rows and their routes
//!    have armed windows, or when it is parked.
//! 2. Each alert is counted once. A row exists exactly when one tally or epoch counts it.
//! 3. A bad record never blocks a shard.
//! 4. Nothing is acknowledged past the earliest record that must come again.
//! 5. Without a fault, a target gets at most one message per route and window.
//! 6. The offset moves after acceptance, never before.
//! 7. The books balance.
//!
//! `ARCHITECTURE.md` explains why these hold and names the test for each.
//!
//! # The map
//!
//! Each folder uses only the folders above it; `tests/it/architecture.rs` checks that.
//!
//! | folder | holds |
//! |---|---|
//! | [`filter_pattern`] | filter patterns of CloudWatch Logs, parsed and evaluated |
//! | [`model`] | alerts, patterns, tallies, epochs, digests, and the rules of the outbox |
//! | [`redact`] | secrets out of text; the rules, as data |
//! | [`config`] | `stentor.toml`: parsed once, every mistake reported with line and column |
//! | [`ingest`] | event → records → log events → alerts: decode, match, redact |
//! | [`message`] | digest → content → text: what a reader sees |
//! | [`protocol`] | consume, arm, close, freeze, deliver; and the ports: store, queue, notify, clock |
//! | [`ops`] | what an operator asks for: replay, explain, check, cost |
//! | [`lambda`] | one invocation: event in, answer and metrics out |
//! | [`adapters`] | DynamoDB, SQS, Secrets Manager, each kind of target, the embedded engine, local files |
//!
//! `filter_pattern`, `model`, `redact`, `config`, `ingest` and `message` are pure: no I/O, no SDK, no
//! clock, no environment.
//! The binaries in `bin/` wire everything together, and only they read the environment.

#![warn(unreachable_pub)]
#![deny(unsafe_code)]

#[cfg(feature = "adapters")]
pub mod adapters;
pub mod config;
pub mod filter_pattern;
pub mod ingest;
pub mod lambda;
pub mod message;
pub mod model;
pub mod ops;
pub mod protocol;
pub mod redact;
