//! The directory that a run keeps its state in: the embedded database and the file of parked records.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

/// A data directory that no other process uses while this value lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held for its lock, which the system frees even after a SIGKILL.
    _lock: File,
}

impl DataDir {
    /// Makes the directory if it is not there, and locks it.
    ///
    /// # Errors
    /// When it cannot be made or written, or another process has it.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("cannot make the data directory {}", path.display()))?;
        let name = path.join("lock");
        let lock = File::create(&name).with_context(|| format!("cannot write to {}", name.display()))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path: path.to_owned(), _lock: lock }),
            Err(TryLockError::WouldBlock) => {
                bail!("another stentor uses {}: wait for it, or name another --data-dir", path.display())
            }
            Err(TryLockError::Error(error)) => Err(error).with_context(|| format!("cannot lock {}", name.display())),
        }
    }

    pub fn database(&self) -> PathBuf {
        self.path.join("stentor.db")
    }

    pub fn dead_letters(&self) -> PathBuf {
        self.path.join("dlq.jsonl")
    }
}
