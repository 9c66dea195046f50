//! The lines of standard input and pipes, as they arrive. A thread reads them, because a read of a
//! pipe cannot be canceled. It waits for data or for a shutdown request, so it hands over every
//! byte that it reads. The channel is short: a slow store slows the writer instead of filling the
//! memory.

use std::fs::File;
use std::io::{PipeReader, PipeWriter, Read};
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use stentor::model::time::Timestamp;
use tokio::sync::mpsc;
use tokio::time::{Instant, timeout, timeout_at};

use super::lines::{InputLine, LINE_BYTES_MAX, without_end};
use super::{Amount, Input, InputKind, Refusal};
use crate::signals::Shutdown;

/// Lines that are ingested at once, and how long the first one waits for others. Few enough for a
/// prompt shutdown, even if each line is an alert.
const LINES_MAX: usize = 2_000;
const LINES_BYTES_MAX: usize = 4 * 1024 * 1024;
const GATHER: Duration = Duration::from_millis(150);

/// The size of one read.
const PIECE_BYTES: usize = 8 * 1024;

/// Bytes that are read after a shutdown request: the capacity of a pipe. Its writer regards them as
/// delivered.
const DRAIN_BYTES: usize = 64 * 1024;

/// How long the thread may take to hand over its bytes after a shutdown request. It takes longer
/// only if it has none: it waits for a writer to open the pipe, or another process has read the
/// data.
const HAND_OVER: Duration = Duration::from_secs(1);

/// Input that arrives during the run.
#[derive(Debug)]
pub(crate) struct Stream {
    pieces: mpsc::Receiver<Result<Piece, Refusal>>,
    /// Dropped to wake the thread.
    wake: Option<PipeWriter>,
    /// Part of the id of each line: the same text in another run is another line.
    run: Timestamp,
    number: u64,
    lines: Vec<InputLine>,
    /// The size of `lines` before they were decoded.
    lines_bytes: usize,
    /// The beginning of a line that has not ended yet.
    raw: Vec<u8>,
    /// Whether the rest of a line that is too long is being skipped.
    is_skipping: bool,
    /// The number of the first such line.
    cut: Option<u64>,
    failure: Option<Refusal>,
}

#[derive(Debug)]
enum Piece {
    Kind(InputKind),
    Bytes(Vec<u8>),
}

impl Stream {
    /// Starts to read `path`, or standard input without one.
    ///
    /// # Errors
    /// When the system has no pipe or thread left.
    pub(crate) fn open(path: Option<&Path>, run: Timestamp) -> anyhow::Result<Self> {
        let (sender, pieces) = mpsc::channel(1);
        let (woken, wake) = std::io::pipe().context("cannot create a pipe")?;
        let path = path.map(Path::to_owned);
        let thread = std::thread::Builder::new().name("input".to_owned());
        thread.spawn(move || read(path, woken, &sender)).context("cannot start a thread")?;
        let (lines, raw) = (Vec::new(), Vec::new());
        let (wake, is_skipping, cut, failure) = (Some(wake), false, None, None);
        Ok(Self {
            pieces,
            wake,
            run,
            number: 0,
            lines,
            lines_bytes: 0,
            raw,
            is_skipping,
            cut,
            failure,
        })
    }

    /// The content of the input. Call this first.
    pub(crate) async fn kind(&mut self, shutdown: &Shutdown) -> Result<InputKind, Refusal> {
        match self.next(shutdown).await {
            Some(Ok(Piece::Kind(kind))) => Ok(kind),
            Some(Err(refusal)) => Err(refusal),
            Some(Ok(Piece::Bytes(_))) | None => Ok(InputKind::Lines),
        }
    }

    /// Reads an event to its end. Stops soon after `bytes_max` bytes.
    pub(crate) async fn read_all(
        &mut self,
        bytes_max: u64,
        shutdown: &Shutdown,
    ) -> Result<Vec<u8>, Refusal> {
        let mut all = Vec::new();
        while let Some(piece) = self.next(shutdown).await {
            if let Piece::Bytes(bytes) = piece? {
                all.extend_from_slice(&bytes);
            }
            if all.len() as u64 > bytes_max {
                break;
            }
        }
        Ok(all)
    }

    /// The lines that arrive within [`GATHER`] after the first, or fewer when there are many. Empty
    /// at the end.
    pub(crate) async fn gather(&mut self, shutdown: &Shutdown) -> Result<Vec<InputLine>, Refusal> {
        let mut until = None;
        while self.has_room() && self.failure.is_none() {
            let piece = match until {
                None => self.next(shutdown).await,
                Some(until) => match timeout_at(until, self.next(shutdown)).await {
                    Ok(piece) => piece,
                    Err(_elapsed) => break,
                },
            };
            match piece {
                Some(Ok(Piece::Bytes(bytes))) => self.split(&bytes),
                Some(Ok(Piece::Kind(_))) => {}
                Some(Err(refusal)) => self.failure = Some(refusal),
                None => {
                    self.end_line();
                    break;
                }
            }
            if until.is_none() && !self.lines.is_empty() {
                until = Some(Instant::now() + GATHER);
            }
        }
        if self.failure.is_some() {
            self.end_line();
        }
        match self.failure.take_if(|_| self.lines.is_empty()) {
            Some(refusal) => Err(refusal),
            None => {
                self.lines_bytes = 0;
                Ok(std::mem::take(&mut self.lines))
            }
        }
    }

    fn has_room(&self) -> bool {
        self.lines.len() < LINES_MAX && self.lines_bytes < LINES_BYTES_MAX
    }

    /// The next piece, or `None` at the end. After a shutdown request, only the bytes that the
    /// thread has read and that are left in the pipe.
    async fn next(&mut self, shutdown: &Shutdown) -> Option<Result<Piece, Refusal>> {
        if self.wake.is_some() {
            tokio::select! {
                piece = self.pieces.recv() => return piece,
                _ = shutdown.requested() => self.wake = None,
            }
        }
        let piece = timeout(HAND_OVER, self.pieces.recv()).await.unwrap_or(None);
        if piece.is_none() {
            self.pieces.close();
        }
        piece
    }

    fn split(&mut self, bytes: &[u8]) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            let ends = part.ends_with(b"\n");
            if self.is_skipping {
                self.is_skipping = !ends;
                continue;
            }
            let room = LINE_BYTES_MAX - self.raw.len();
            self.raw.extend_from_slice(&part[..part.len().min(room)]);
            if without_end(part).len() > room {
                self.is_skipping = !ends;
                self.cut.get_or_insert(self.number + 1);
            }
            if ends || self.is_skipping {
                self.end_line();
            }
        }
    }

    /// The number of the first line that was too long, since the last call.
    pub(crate) fn take_cut(&mut self) -> Option<u64> {
        self.cut.take()
    }

    fn end_line(&mut self) {
        if self.raw.is_empty() {
            return;
        }
        self.number += 1;
        let id = format!("{}-{}", self.run.as_millis(), self.number);
        self.lines.push(InputLine::new(id, &self.raw));
        self.lines_bytes += self.raw.len();
        self.raw.clear();
    }
}

/// The thread: sends the content of the input, and then its bytes. Ends with the input, at a
/// shutdown request, or without a receiver.
fn read(path: Option<PathBuf>, woken: PipeReader, sender: &mpsc::Sender<Result<Piece, Refusal>>) {
    let opened = match &path {
        // Opening a pipe waits for its writer.
        Some(path) => File::open(path),
        None => std::io::stdin().as_fd().try_clone_to_owned().map(File::from),
    };
    let input = opened.map_err(Refusal::from).and_then(|file| {
        let watched = Watched { file, woken, left: None };
        Input::read(watched, path.as_deref(), Amount::Available)
    });
    let mut input = match input {
        Ok(input) => input,
        Err(refusal) => {
            let _ = sender.blocking_send(Err(refusal));
            return;
        }
    };
    let mut next = Ok(Piece::Kind(input.kind));
    // The receiver is gone when the process is about to end.
    while sender.blocking_send(next).is_ok() {
        let mut bytes = vec![0; PIECE_BYTES];
        next = match input.text.read(&mut bytes) {
            Ok(0) => return,
            Ok(length) => {
                bytes.truncate(length);
                Ok(Piece::Bytes(bytes))
            }
            Err(error) => {
                let _ = sender.blocking_send(Err(error.into()));
                return;
            }
        };
    }
}

/// A file that is read only when it has data, and that ends at a shutdown request.
#[derive(Debug)]
struct Watched {
    file: File,
    woken: PipeReader,
    /// Bytes that may still be read after a shutdown request.
    left: Option<usize>,
}

impl Watched {
    /// Waits for data. Returns `false` if nothing more is to be read.
    fn wait(&mut self) -> std::io::Result<bool> {
        let mut watched =
            [PollFd::new(&self.file, PollFlags::IN), PollFd::new(&self.woken, PollFlags::IN)];
        while let Err(error) = poll(&mut watched, None) {
            if error != Errno::INTR {
                return Err(error.into());
            }
        }
        let [file, woken] = watched.map(|watched| !watched.revents().is_empty());
        if woken {
            self.left.get_or_insert(DRAIN_BYTES);
        }
        Ok(file && self.left != Some(0))
    }
}

impl Read for Watched {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        if !self.wait()? {
            return Ok(0);
        }
        let length = self.left.map_or(buffer.len(), |left| left.min(buffer.len()));
        let read = self.file.read(&mut buffer[..length])?;
        self.left = self.left.map(|left| left - read);
        Ok(read)
    }
}
