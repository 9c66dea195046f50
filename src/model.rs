//! The data of Stentor and its rules: alerts, patterns, tallies, epochs and digests. Plain data and
//! pure functions: no I/O, no clock, no configuration.

pub mod alert;
pub mod app;
pub mod audit;
pub mod burst;
pub mod cluster;
pub mod digest;
pub mod error;
pub mod history;
pub mod humanize;
pub mod line_time;
pub mod name;
pub mod outbox;
pub mod pattern;
pub mod pattern_set;
pub mod percent;
pub mod reader_link;
pub mod statement;
pub mod tally;
pub mod threshold;
pub mod time;
pub mod truncate;
pub mod visible;
