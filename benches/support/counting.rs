//! The system's allocator with counters. A program that includes this makes it the global
//! allocator, and reads the counters while nothing else runs in the process.

#![allow(dead_code, reason = "each program counts what it asks for")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::ops::Sub;
use std::sync::atomic::{AtomicUsize, Ordering};

pub struct Counting;

/// The allocations since the process began. Memory that grows in place counts as a new allocation,
/// because it may move.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    pub times: usize,
    pub bytes: usize,
}

/// The bytes in use, and the peak since the last call of [`Held::now`].
#[derive(Clone, Copy, Debug)]
pub struct Held(usize);

static TIMES: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static HELD: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);

impl Asked {
    pub fn until_now() -> Self {
        Self { times: TIMES.load(Ordering::Relaxed), bytes: BYTES.load(Ordering::Relaxed) }
    }

    pub fn since(before: Self) -> Self {
        Self::until_now() - before
    }
}

impl Sub for Asked {
    type Output = Self;

    fn sub(self, before: Self) -> Self {
        Self { times: self.times - before.times, bytes: self.bytes - before.bytes }
    }
}

impl Held {
    /// The bytes in use at this moment. The peak counts from here.
    pub fn now() -> Self {
        let held = HELD.load(Ordering::Relaxed);
        PEAK.store(held, Ordering::Relaxed);
        Self(held)
    }

    /// The most that was held at once since then, beyond what was held then.
    pub fn peak_above(self) -> usize {
        PEAK.load(Ordering::Relaxed) - self.0
    }
}

fn note(bytes: usize) {
    TIMES.fetch_add(1, Ordering::Relaxed);
    BYTES.fetch_add(bytes, Ordering::Relaxed);
    let held = HELD.fetch_add(bytes, Ordering::Relaxed) + bytes;
    PEAK.fetch_max(held, Ordering::Relaxed);
}

// SAFETY: every call goes to the system's allocator as it came in.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size());
        // SAFETY: as above.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, bytes: usize) -> *mut u8 {
        // While it moves, both are held.
        note(bytes);
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, bytes) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
}
