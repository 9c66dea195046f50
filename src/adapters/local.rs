//! Queues for a single process: a timer in memory, and parked messages as lines of a file.
//!
//! The timer forgets when the process ends. That is safe: a due message is a hint, and whoever
//! starts next sweeps over every route.

use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::adapters::clock::SystemClock;
use crate::model::error::Cause;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::queue::{DeadLetterQueue, Due, DueQueue, ParkedItem, QueueError};

/// A due queue within the process; each message arrives at its receiver after its delay.
#[derive(Clone, Debug)]
pub struct LocalDueQueue<C = SystemClock> {
    sender: UnboundedSender<Due>,
    clock: C,
}

/// The dead-letter queue as a file of JSON lines.
#[derive(Debug)]
pub struct FileDeadLetters {
    path: PathBuf,
    /// Held while something is written.
    writing: Mutex<()>,
}

impl<C> LocalDueQueue<C> {
    pub fn new(clock: C) -> (Self, UnboundedReceiver<Due>) {
        let (sender, receiver) = unbounded_channel();
        (Self { sender, clock }, receiver)
    }
}

impl<C: Clock + Clone + 'static> DueQueue for LocalDueQueue<C> {
    async fn send(&self, due: &Due, delay: Duration, _deadline: Deadline) -> Result<(), QueueError> {
        let (sender, clock, due) = (self.sender.clone(), self.clock.clone(), due.clone());
        tokio::spawn(async move {
            clock.sleep(delay).await;
            // The receiver is gone when the process is about to end.
            let _ = sender.send(due);
        });
        Ok(())
    }
}

impl FileDeadLetters {
    /// Parks in `path`, which is made when it is needed and only ever appended to.
    pub fn new(path: PathBuf) -> Self {
        Self { path, writing: Mutex::new(()) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&self, items: &[ParkedItem]) -> io::Result<()> {
        let mut lines = Vec::new();
        for item in items {
            lines.extend_from_slice(item.to_json().as_bytes());
            lines.push(b'\n');
        }
        let _writing = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        append_lines(&self.path, &lines)
    }
}

/// Appends whole lines to a file that only its owner may read, and makes it if it is not there. The lines are on the
/// disk when this returns `Ok`. When it fails nothing of them is left if that can be helped; if it cannot, as after a
/// crash, half a line is left, and the next call begins a new line behind it.
pub(crate) fn append_lines(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = open_private(path)?;
    // Without the lock another process may append at the same time, and its lines must not be cut off.
    let is_alone = file.lock().is_ok();
    let length = file.seek(SeekFrom::End(0))?;
    let written = write_lines(&mut file, length, lines);
    if written.is_err() && is_alone {
        let _ = file.set_len(length);
    }
    written
}

fn write_lines(file: &mut File, length: u64, lines: &[u8]) -> io::Result<()> {
    let mut last = *b"\n";
    if length > 0 {
        file.seek(SeekFrom::End(-1))?;
        file.read_exact(&mut last)?;
    }
    if last != *b"\n" {
        file.write_all(b"\n")?;
    }
    file.write_all(lines)?;
    // A record is let go once it is parked, so it has to be on the disk.
    file.sync_data()
}

fn open_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.create(true).read(true).append(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let file = options.open(path)?;
    #[cfg(unix)]
    tighten(&file, path);
    Ok(file)
}

/// Earlier versions made files that others could read. To park is more important than to succeed here.
#[cfg(unix)]
fn tighten(file: &File, path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;

    let is_open_to_others = |metadata: &std::fs::Metadata| metadata.permissions().mode() & 0o077 != 0;
    let tightened = match file.metadata() {
        Ok(metadata) if metadata.is_file() && is_open_to_others(&metadata) => {
            file.set_permissions(std::fs::Permissions::from_mode(0o600))
        }
        Ok(_) => Ok(()),
        Err(error) => Err(error),
    };
    if let Err(error) = tightened {
        tracing::warn!("Others can read {}: {error}", path.display());
    }
}

impl DeadLetterQueue for FileDeadLetters {
    async fn park(&self, items: &[ParkedItem], _deadline: Deadline) -> Vec<Result<(), QueueError>> {
        let result = self.append(items).map_err(|error| queue_error(&self.path, &error));
        vec![result; items.len()]
    }
}

fn queue_error(path: &Path, error: &io::Error) -> QueueError {
    let cause = Cause::new("file-not-written", format!("{}: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::NotFound
        | io::ErrorKind::IsADirectory
        | io::ErrorKind::ReadOnlyFilesystem => QueueError::Refused(cause),
        _ => QueueError::Unavailable(cause),
    }
}
