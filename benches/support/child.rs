//! A way through an invocation that is a process of its own. It handles a payload once, prints what
//! it found, and handles the payload again for each line that it reads.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{self, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Duration;

use crate::support::Found;

/// A process that has handled its payload once.
pub struct Child {
    process: process::Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
    pub found: Found,
}

impl Child {
    /// `baseline/handler.py` with the payload that lies in `file`.
    pub fn python(file: &Path) -> Self {
        let mut command = Command::new("python3");
        Self::start(
            command
                .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/benches/baseline/handler.py"))
                .arg(file),
        )
    }

    fn start(command: &mut Command) -> Self {
        let mut process =
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("a child");
        let (input, output) =
            (process.stdin.take().expect("piped"), process.stdout.take().expect("piped"));
        let mut child =
            Self { process, input, output: BufReader::new(output), found: Found::default() };
        let [events, matched, bytes] = child.numbers();
        child.found = Found { events, matched, bytes };
        child
    }

    /// The time it takes to handle the payload again, as it reports itself.
    pub fn retry(&mut self) -> Duration {
        self.input.write_all(b"\n").expect("it listens");
        let [nanoseconds] = self.numbers();
        Duration::from_nanos(nanoseconds)
    }

    fn numbers<const N: usize>(&mut self) -> [u64; N] {
        let mut line = String::new();
        self.output.read_line(&mut line).expect("it answers");
        let numbers: Vec<u64> =
            line.split_whitespace().map(|number| number.parse().expect("a number")).collect();
        numbers.try_into().expect("as many as agreed")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
