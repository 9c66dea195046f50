//! Progress on stderr, for work that takes longer than a moment and a person who watches.

use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

/// Nothing is drawn before this has passed: most runs are over by then.
const PATIENCE: Duration = Duration::from_millis(800);

/// Bytes read of bytes to read.
#[derive(Debug)]
pub struct Progress {
    started: Instant,
    bytes_all: u64,
    bytes: u64,
    /// In the files before.
    bytes_before: u64,
    /// `indicatif` itself stays silent when stderr is no terminal.
    bar: Option<ProgressBar>,
}

impl Progress {
    pub fn new(bytes_all: u64) -> Self {
        Self { started: Instant::now(), bytes_all, bytes: 0, bytes_before: 0, bar: None }
    }

    /// `bytes` of the current file are read.
    pub fn advance_to(&mut self, bytes: u64) {
        self.bytes = self.bytes_before + bytes;
        if self.bar.is_none() && self.started.elapsed() > PATIENCE {
            let style = ProgressStyle::with_template("{bar:30} {bytes}/{total_bytes} {bytes_per_sec} {eta} left");
            self.bar =
                Some(ProgressBar::new(self.bytes_all).with_style(style.expect("invariant: a constant template")));
        }
        if let Some(bar) = &self.bar {
            bar.set_position(self.bytes);
        }
    }

    pub fn next_file(&mut self) {
        self.bytes_before = self.bytes;
    }

    pub fn finish(self) {
        if let Some(bar) = self.bar {
            bar.finish_and_clear();
        }
    }
}
