//! `stentor patterns` reads any log in bounded memory.

use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::Value;

use crate::measured::{measured, scratch};

const RESIDENT_BYTES_MAX: u64 = 256 * 1024 * 1024;

const LINES: usize = 20_000;

/// A line of 300 MiB, and 6 MB of lines that have nothing in common.
fn log(directory: &Path) -> PathBuf {
    let mut random = fastrand::Rng::with_seed(7);
    let file = directory.join("app.log.gz");
    let mut gzip = GzEncoder::new(std::fs::File::create(&file).unwrap(), Compression::fast());
    for _ in 0..300 {
        gzip.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    for _ in 0..LINES {
        let mut line = String::from("\n");
        for _ in 0..30 {
            let word: String = (0..8).map(|_| random.lowercase()).collect();
            write!(line, "{word} ").unwrap();
        }
        gzip.write_all(line.as_bytes()).unwrap();
    }
    gzip.finish().unwrap();
    file
}

pub fn the_patterns_of_any_log_are_found_in_bounded_memory() {
    let directory = scratch("patterns");
    let file = log(&directory);
    let patterns = |more: &[&str]| {
        let done =
            measured(&directory, &[&["patterns", file.to_str().unwrap(), "--json"], more].concat());
        // The report is complete but for the line that was cut, which the command says.
        assert!(done.stderr.contains("is longer than 16 MiB"), "{}", done.stderr);
        assert_eq!(done.code, 1, "{}", done.stderr);
        let resident = done.peak_bytes;
        assert!(resident < RESIDENT_BYTES_MAX, "{more:?}: {} MiB resident", resident >> 20);
        done.stdout
    };
    let report: Value = serde_json::from_str(&patterns(&[])).unwrap();
    assert_eq!(report["lines"], LINES + 1);
    assert!(report["other_lines"].as_u64().unwrap() > 0, "the limit was reached");
    let assigned = patterns(&["--assign"]);
    let last: Value = serde_json::from_str(assigned.lines().last().unwrap()).unwrap();
    assert_eq!((assigned.lines().count(), &last["line"]), (LINES + 1, &Value::from(LINES + 1)));
}
