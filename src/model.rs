//! The data of Stentor and its rules: alerts, patterns, tallies, epochs and digests. Plain data and
//! pure functions: no I/O, no clock, no configuration.

pub mod alert;
pub mod audit;
pub mod digest;
pub mod error;
pub mod name;
pub mod outbox;
pub mod pattern;
pub mod tally;
pub mod text;
pub mod time;
pub mod visible;
