//! The tests that need nothing but Rust, in one program: each further one would compile the whole protocol again.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod architecture;
mod cli;
mod cost;
mod dist;
mod invariants;
mod operator;
mod replay;
mod simulation;
mod slack;
mod store;
#[path = "../support/mod.rs"]
mod support;
