//! The queues of a single process: due messages in memory, and dead letters as lines of a file.
//!
//! Due messages are lost when the process ends. That is safe: a due message is a hint, and the next
//! process begins with a sweep.

use std::collections::BTreeSet;
use std::fs::{File, OpenOptions};
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::adapters::clock::SystemClock;
use crate::adapters::content_hash::ContentHash;
use crate::model::error::Cause;
use crate::ops::replay::SourceError;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::dead_letter::{ParkedItem, ParkedWork};
use crate::protocol::queue::{DeadLetterQueue, Due, DueQueue, QueueError};

/// The longest line of a file of dead letters that is read.
const LINE_BYTES_MAX: u64 = 32 << 20;

/// A due queue within the process. Each message arrives at the receiver after its delay.
#[derive(Clone, Debug)]
pub struct LocalDueQueue<C = SystemClock> {
    sender: UnboundedSender<Due>,
    clock: C,
}

/// The dead-letter queue as a file of JSON lines.
#[derive(Debug)]
pub struct FileDeadLetters {
    path: PathBuf,
    /// The records in the file, once they are known. Held while lines are written.
    records: Mutex<Option<BTreeSet<ContentHash>>>,
}

impl<C> LocalDueQueue<C> {
    pub fn new(clock: C) -> (Self, UnboundedReceiver<Due>) {
        let (sender, receiver) = unbounded_channel();
        (Self { sender, clock }, receiver)
    }
}

impl<C: Clock + Clone + 'static> DueQueue for LocalDueQueue<C> {
    async fn send(
        &self,
        due: &Due,
        delay: Duration,
        _deadline: Deadline,
    ) -> Result<(), QueueError> {
        let (sender, clock, due) = (self.sender.clone(), self.clock.clone(), due.clone());
        tokio::spawn(async move {
            clock.sleep(delay).await;
            // The receiver is dropped when the process ends.
            let _ = sender.send(due);
        });
        Ok(())
    }
}

impl FileDeadLetters {
    /// Parks in `path`. The file is created by the first write, and only appended to.
    pub fn new(path: PathBuf) -> Self {
        Self { path, records: Mutex::default() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Appends dead letters of another source as they are.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn export(&self, bodies: &[&str]) -> Result<(), SourceError> {
        self.append_bodies(bodies).map_err(|error| {
            SourceError::Refused(format!("cannot write {}: {error}", self.path.display()))
        })
    }

    /// Each body becomes one line. JSON has no line breaks within its texts.
    fn append_bodies(&self, bodies: &[impl AsRef<str>]) -> io::Result<()> {
        let line = |body: &str| body.replace(['\r', '\n'], " ") + "\n";
        let lines: String = bodies.iter().map(|body| line(body.as_ref())).collect();
        append_lines(&self.path, lines.as_bytes())
    }

    /// A record that the file has already is not written again: a second run over the same input
    /// parks the same records.
    fn append(&self, items: &[ParkedItem]) -> io::Result<()> {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let known = match &mut *records {
            Some(known) => known,
            unknown => unknown.insert(read_records(&self.path)?),
        };
        let (mut lines, mut added) = (Vec::new(), BTreeSet::new());
        for item in items {
            if let Some(record) = record_hash(item)
                && (known.contains(&record) || !added.insert(record))
            {
                continue;
            }
            lines.extend_from_slice(item.to_json().as_bytes());
            lines.push(b'\n');
        }
        append_lines(&self.path, &lines)?;
        known.append(&mut added);
        Ok(())
    }
}

/// Identifies a record by its event id and its bytes. When and why it was parked does not matter.
fn record_hash(item: &ParkedItem) -> Option<ContentHash> {
    match &item.what {
        ParkedWork::Record { event_id, data, .. } => {
            Some(ContentHash::of(&[event_id, "\0", data.as_deref().unwrap_or_default()]))
        }
        ParkedWork::Message(_) => None,
    }
}

/// The records in a file of dead letters. It may have other lines.
fn read_records(path: &Path) -> io::Result<BTreeSet<ContentHash>> {
    let mut file = match File::open(path) {
        Ok(file) => BufReader::new(file),
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(BTreeSet::new()),
        Err(error) => return Err(error),
    };
    let (mut records, mut line) = (BTreeSet::new(), Vec::new());
    // A longer line is no dead letter of this program, and neither are its parts.
    while file.by_ref().take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? > 0 {
        let item = str::from_utf8(&line).ok().and_then(|line| ParkedItem::from_json(line).ok());
        records.extend(item.as_ref().and_then(record_hash));
        line.clear();
    }
    Ok(records)
}

/// Appends whole lines to a file that only its owner may read, and creates it if it is absent. `Ok`
/// means that the lines are on the disk. An error removes them again where possible. Where it is
/// not, as after a crash, part of a line may remain, and the next call begins with a new line.
pub(crate) fn append_lines(path: &Path, lines: &[u8]) -> io::Result<()> {
    let mut file = open_private(path)?;
    // Without the lock, another process may append at the same time, and its lines must not be cut
    // off.
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
    // A parked record is acknowledged, so it must be on the disk.
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

/// Earlier versions created files that others could read. An error here does not prevent parking.
#[cfg(unix)]
fn tighten(file: &File, path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;

    let is_open_to_others =
        |metadata: &std::fs::Metadata| metadata.permissions().mode() & 0o077 != 0;
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

    async fn put_back(
        &self,
        bodies: &[String],
        _deadline: Deadline,
    ) -> Vec<Result<(), QueueError>> {
        let result = self.append_bodies(bodies).map_err(|error| queue_error(&self.path, &error));
        vec![result; bodies.len()]
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
