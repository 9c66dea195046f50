//! The tests that need only Rust, in one program: each program compiles the protocol again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod architecture;
mod cases;
mod chats;
mod cli;
mod configuration;
mod cost;
mod dashboards;
mod dist;
mod example;
mod invariants;
mod jira;
mod jsm;
mod operator;
mod pagerduty;
mod pictures;
mod replay;
mod secrecy;
mod simulation;
mod slack;
mod store;
#[path = "../support/mod.rs"]
mod support;
mod trace;
mod upgrade;
