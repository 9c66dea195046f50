//! Queues for a single process: a timer in memory, and parked messages as lines of a file.
//!
//! The timer forgets when the process ends. That is safe: a due message is a hint, and whoever
//! starts next sweeps over every route.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};

use crate::clock::Timestamp;
use crate::queue::{Due, DueQueue, Park, Parked, QueueError};

/// A due queue within the process; each message arrives at its receiver after its delay.
#[derive(Clone, Debug)]
pub struct LocalDue {
    sender: UnboundedSender<Due>,
}

/// The dead-letter queue as a file of JSON lines.
#[derive(Debug)]
pub struct LocalPark {
    path: PathBuf,
    /// Opened at the first message: most runs park nothing.
    file: Mutex<Option<File>>,
}

impl LocalDue {
    pub fn new() -> (Self, UnboundedReceiver<Due>) {
        let (sender, receiver) = unbounded_channel();
        (Self { sender }, receiver)
    }
}

impl DueQueue for LocalDue {
    async fn send(&self, due: &Due, delay: Duration, _deadline: Timestamp) -> Result<(), QueueError> {
        let (sender, due) = (self.sender.clone(), due.clone());
        tokio::spawn(async move {
            tokio::time::sleep(delay).await;
            // The receiver is gone when the process is about to end.
            let _ = sender.send(due);
        });
        Ok(())
    }
}

impl LocalPark {
    /// Parks in `path`, which is made when it is needed and only ever appended to.
    pub fn new(path: PathBuf) -> Self {
        Self { path, file: Mutex::new(None) }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    fn append(&self, items: &[Parked]) -> std::io::Result<()> {
        let mut lines = Vec::new();
        for item in items {
            lines.extend_from_slice(item.to_json().as_bytes());
            lines.push(b'\n');
        }
        let mut file = self.file.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let file = match &mut *file {
            Some(file) => file,
            closed => closed.insert(OpenOptions::new().create(true).append(true).open(&self.path)?),
        };
        file.write_all(&lines)?;
        // A record is let go once it is parked, so it has to be on the disk.
        file.sync_data()
    }
}

impl Park for LocalPark {
    async fn park(&self, items: &[Parked], _deadline: Timestamp) -> Vec<Result<(), QueueError>> {
        let result = self.append(items).map_err(|error| QueueError(format!("{}: {error}", self.path.display())));
        vec![result; items.len()]
    }
}
