//! The functions and the commands for a deployed stack as real processes, against local
//! replacements of AWS: moto, Amazon's runtime interface emulator, an engine behind a proxy that
//! can fail. Needs Python 3.11. The other requirements are installed below `target/`: `cargo test
//! --locked --release --features aws,lambda --test e2e`.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod check;
mod deployment;
mod drill;
mod due;
mod emulator;
mod export;
mod function;
mod mapping;
mod mute;
mod patterns;
#[cfg(feature = "postgres")]
mod postgres;
mod processes;
mod python;
mod recorder;
mod replay;
mod resident;
mod runtime;
mod slack;
mod sns;
mod stack;
#[path = "../support/mod.rs"]
mod support;
mod webhooks;
