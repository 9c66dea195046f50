//! The directory that a run keeps its state in: the embedded database and the file of parked records.
//!
//! Several processes may use the database at a time: SQLite keeps their transactions apart, and leases keep two of
//! them from telling a target the same. Locks on files, which the system frees even after a SIGKILL, say who else is
//! there: there is one `run` at a time, and one `replay`, and each learns whether the other is there too. `alerts`,
//! `mute` and `unmute` tell nothing and need no lock.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use stentor::adapters::dynamodb::DynamoStore;
use stentor::adapters::embedded::Embedded;

/// A data directory, and the locks that this process holds in it.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    /// Held for its lock.
    _own: Option<File>,
    /// Shared by the processes that tell targets, and exclusive while one of them frees leases.
    tellers: Option<Tellers>,
}

#[derive(Debug)]
struct Tellers {
    lock: File,
    /// No other process tells targets.
    alone: bool,
}

impl DataDir {
    /// For a command that delivers nothing. Makes the directory if it is not there.
    ///
    /// # Errors
    /// When it cannot be made or written.
    pub fn open(path: &Path) -> anyhow::Result<Self> {
        let mut builder = DirBuilder::new();
        // Alerts and parked records are private.
        builder.recursive(true).mode(0o700);
        builder.create(path).with_context(|| format!("cannot make the data directory {}", path.display()))?;
        Ok(Self { path: path.to_owned(), _own: None, tellers: None })
    }

    /// For `run`.
    ///
    /// # Errors
    /// When the directory cannot be made or written, or another run has it.
    pub fn open_to_run(path: &Path) -> anyhow::Result<Self> {
        Self::open_to_tell(path, "lock", "run")
    }

    /// For `replay`.
    ///
    /// # Errors
    /// When the directory cannot be made or written, or another replay has it.
    pub fn open_to_replay(path: &Path) -> anyhow::Result<Self> {
        Self::open_to_tell(path, "replay.lock", "replay")
    }

    fn open_to_tell(path: &Path, lock: &str, command: &str) -> anyhow::Result<Self> {
        let data = Self::open(path)?;
        let own = data.lock_file(lock)?;
        match own.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                bail!("another stentor {command} uses {}: wait for it, or name another --data-dir", path.display())
            }
            Err(TryLockError::Error(error)) => return Err(error).with_context(|| format!("cannot lock {lock}")),
        }
        let tellers = Tellers::join(data.lock_file("tellers.lock")?).context("cannot lock tellers.lock")?;
        Ok(Self { _own: Some(own), tellers: Some(tellers), ..data })
    }

    /// Starts the engine on the database.
    ///
    /// A lease that another process left behind is freed at once where the locks prove that there is none.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub async fn start(&mut self) -> anyhow::Result<(Embedded, DynamoStore)> {
        let path = self.database();
        // Made here for its mode, which SQLite gives to the files beside it too.
        let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        made.with_context(|| format!("cannot open the database {}", path.display()))?;
        let engine = Embedded::start(Some(&path)).await?;
        let store = engine.store().await?;
        if let Some(tellers) = &mut self.tellers {
            if tellers.alone {
                store.free_leases().await.context("cannot free the leases of an earlier run")?;
            }
            tellers.admit_others().context("cannot lock tellers.lock")?;
        }
        Ok((engine, store))
    }

    /// Whether the database can be used where it is: SQLite writes files beside it, even to read.
    pub fn is_writable(&self) -> bool {
        let beside = self.path.join(format!(".writable-{:016x}", fastrand::u64(..)));
        let made = OpenOptions::new().write(true).create_new(true).open(&beside);
        let database = OpenOptions::new().append(true).open(self.database());
        made.is_ok()
            && std::fs::remove_file(&beside).is_ok()
            && database.map_or_else(|error| error.kind() == std::io::ErrorKind::NotFound, |_| true)
    }

    pub fn database(&self) -> PathBuf {
        self.path.join("stentor.db")
    }

    pub fn dead_letters(&self) -> PathBuf {
        self.path.join("dlq.jsonl")
    }

    /// Opens a file to lock it, and leaves what it holds: it may be a link to another file.
    fn lock_file(&self, name: &str) -> anyhow::Result<File> {
        let path = self.path.join(name);
        let file = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        file.with_context(|| format!("cannot write to {}", path.display()))
    }
}

impl Tellers {
    fn join(lock: File) -> std::io::Result<Self> {
        match lock.try_lock() {
            Ok(()) => Ok(Self { lock, alone: true }),
            Err(TryLockError::WouldBlock) => {
                // Waits only for one that frees leases just now.
                lock.lock_shared()?;
                Ok(Self { lock, alone: false })
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// From now on this process may hold leases, so no other must free them.
    fn admit_others(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.alone) {
            self.lock.unlock()?;
            self.lock.lock_shared()?;
        }
        Ok(())
    }
}

/// A copy of a database, for a directory that cannot be written: SQLite needs to, even to read.
#[derive(Debug)]
pub struct Copied {
    path: PathBuf,
}

impl Copied {
    /// Copies the database of `directory`, and what SQLite has not moved into it yet.
    ///
    /// # Errors
    /// When it cannot be read, or there is no room for the copy.
    pub fn of(directory: &Path) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("stentor-{:016x}", fastrand::u64(..)));
        DirBuilder::new().mode(0o700).create(&path).with_context(|| format!("cannot make {}", path.display()))?;
        let copied = Self { path };
        let copy = |name: &str| std::fs::copy(directory.join(name), copied.path.join(name));
        copy("stentor.db").with_context(|| format!("cannot copy the database of {}", directory.display()))?;
        match copy("stentor.db-wal") {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot copy the database of {}", directory.display()))?
            }
            _ => Ok(copied),
        }
    }

    pub fn database(&self) -> PathBuf {
        self.path.join("stentor.db")
    }
}

impl Drop for Copied {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            eprintln!("stentor: cannot remove {}: {error}", self.path.display());
        }
    }
}
