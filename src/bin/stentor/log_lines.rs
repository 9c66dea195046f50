//! The log on standard error. A line that repeats, such as the warning about a target that is down,
//! is shown once a minute with the number of its repetitions.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use stentor::model::humanize::count;
use tracing_subscriber::fmt::MakeWriter;

/// A line is not repeated for this time.
const SHOWN_EVERY: Duration = Duration::from_secs(60);

/// The most lines that are remembered.
const LINES_MAX: usize = 256;

/// Writes lines to standard error. Clones share what was shown.
#[derive(Clone, Debug, Default)]
pub(crate) struct LogLines {
    shown: Arc<Mutex<BTreeMap<Vec<u8>, Shown>>>,
}

#[derive(Debug)]
struct Shown {
    at: Instant,
    /// How often it came since then.
    repeated: u64,
}

impl LogLines {
    /// Shows how often lines were repeated since they were shown.
    pub(crate) fn finish(&self) {
        let mut out = io::stderr().lock();
        for (line, Shown { repeated, .. }) in std::mem::take(&mut *self.shown()) {
            if repeated > 0 {
                let _ = out.write_all(&counted(&line, repeated));
            }
        }
    }

    /// The text to write for a line at this time; `None` for one that was shown a moment ago.
    fn show(&self, line: &[u8], now: Instant) -> Option<Vec<u8>> {
        let mut shown = self.shown();
        match shown.get_mut(line) {
            Some(earlier) if now.duration_since(earlier.at) < SHOWN_EVERY => {
                earlier.repeated += 1;
                None
            }
            Some(earlier) => {
                let repeated = std::mem::take(&mut earlier.repeated);
                earlier.at = now;
                Some(counted(line, repeated))
            }
            None => {
                if shown.len() >= LINES_MAX {
                    shown.clear();
                }
                shown.insert(line.to_owned(), Shown { at: now, repeated: 0 });
                Some(line.to_owned())
            }
        }
    }

    fn shown(&self) -> MutexGuard<'_, BTreeMap<Vec<u8>, Shown>> {
        self.shown.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line with the number of its repetitions at the end.
fn counted(line: &[u8], repeated: u64) -> Vec<u8> {
    let mut line = line.to_owned();
    if repeated > 0 {
        let text = line.strip_suffix(b"\n").map_or(line.len(), <[u8]>::len);
        line.truncate(text);
        let times = count(repeated, "time", "times");
        line.extend_from_slice(format!(" (repeated {times})\n").as_bytes());
    }
    line
}

impl Write for LogLines {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        if let Some(shown) = self.show(line, Instant::now()) {
            io::stderr().lock().write_all(&shown)?;
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

impl MakeWriter<'_> for LogLines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_repeats_is_shown_once_a_minute_with_its_count() {
        let (log, start) = (LogLines::default(), Instant::now());
        let shown = |line: &str, seconds| {
            let shown = log.show(line.as_bytes(), start + Duration::from_secs(seconds));
            shown.map(|line| String::from_utf8(line).unwrap())
        };
        let cases = [
            ("a\n", 0, Some("a\n")),
            ("b\n", 1, Some("b\n")),
            ("a\n", 2, None),
            ("a\n", 59, None),
            ("b\n", 59, None),
            ("a\n", 60, Some("a (repeated 2 times)\n")),
            ("a\n", 61, None),
            ("a\n", 120, Some("a (repeated 1 time)\n")),
        ];
        for (line, seconds, expected) in cases {
            assert_eq!(shown(line, seconds).as_deref(), expected, "{line} {seconds}");
        }
        for n in 0..2 * LINES_MAX {
            assert!(shown(&n.to_string(), 200).is_some());
        }
        assert!(log.shown().len() <= LINES_MAX);
    }
}
