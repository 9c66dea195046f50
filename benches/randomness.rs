//! How long does a fresh process wait for its first TLS randomness? Guess: a system call, so
//! microseconds; a library that gathers entropy of its own takes milliseconds, in front of the
//! first handshake. Prints nanoseconds.
//!
//! `tests/tools/cold_start.py` runs it again and again, because only the first call of a process
//! counts.

use std::time::Instant;

fn main() {
    let started = Instant::now();
    let mut random = [0; 32];
    let provider = rustls::crypto::ring::default_provider();
    provider.secure_random.fill(&mut random).expect("the system has randomness");
    println!("{}", started.elapsed().as_nanos());
}
