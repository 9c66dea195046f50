//! The data directory of `stentor run`: the embedded database, the file of dead letters, and the
//! list of the dead letters that were replayed into the database.
//!
//! Several processes can use the database at the same time. SQLite isolates their transactions, and
//! leases keep two of them from delivering the same message. File locks, which the system frees
//! even after a SIGKILL, allow one `run` and one `replay` at a time, and show each whether the
//! other is running. `alerts`, `mute` and `unmute` deliver nothing and need no lock.

use std::fs::{DirBuilder, File, OpenOptions, TryLockError};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow, bail};
use stentor::adapters::dynamodb::DynamoStore;
use stentor::adapters::embedded::Embedded;

use crate::ui::hinted;

/// The lock of the processes that deliver.
const DELIVERY_LOCK: &str = "delivery.lock";
const CANNOT_LOCK: &str = "cannot lock delivery.lock";

const DATABASE: &str = "stentor.db";

/// Whether `path`, which need not exist, is in the data directory of a run, whose files are not to be replaced.
pub(crate) fn is_in_data_dir(path: &Path) -> bool {
    // With a database elsewhere, a run leaves its locks and its dead letters.
    let is_data_dir =
        |folder: &Path| [DATABASE, DELIVERY_LOCK].iter().any(|name| folder.join(name).exists());
    let path = Path::new(".").join(path);
    let existing = path.ancestors().find_map(|path| path.canonicalize().ok());
    existing.is_some_and(|existing| existing.ancestors().any(is_data_dir))
}

/// A data directory, and the locks that this process holds in it.
#[derive(Debug)]
pub(crate) struct DataDir {
    path: PathBuf,
    /// The lock of this command. Open as long as it is held.
    _own: Option<File>,
    delivery: Option<DeliveryLock>,
}

/// The lock of the processes that deliver: shared, but exclusive while one of them frees leases.
#[derive(Debug)]
struct DeliveryLock {
    file: File,
    is_exclusive: bool,
}

impl DataDir {
    /// For a command that needs what a run has stored. A mistyped directory is not created.
    ///
    /// # Errors
    /// When there is no such directory.
    pub(crate) fn open_existing(path: &Path) -> anyhow::Result<Self> {
        Self::require(path)?;
        Self::open(path)
    }

    fn require(path: &Path) -> anyhow::Result<()> {
        match path.is_dir() {
            true => Ok(()),
            false => bail!("the data directory {} does not exist", path.display()),
        }
    }

    /// Creates the directory if it does not exist.
    fn open(path: &Path) -> anyhow::Result<Self> {
        let mut builder = DirBuilder::new();
        // Alerts and dead letters are private.
        builder.recursive(true).mode(0o700);
        builder
            .create(path)
            .with_context(|| format!("cannot create the data directory {}", path.display()))?;
        let data = Self { path: path.to_owned(), _own: None, delivery: None };
        data.forget_lost_database()?;
        Ok(data)
    }

    /// A new database has nothing of what was replayed into an earlier one.
    fn forget_lost_database(&self) -> anyhow::Result<()> {
        if self.database().try_exists().unwrap_or(true) {
            return Ok(());
        }
        let receipts = self.replayed();
        match std::fs::remove_file(&receipts) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot remove {}", receipts.display()))
            }
            _ => Ok(()),
        }
    }

    /// For `run`.
    ///
    /// # Errors
    /// When the directory cannot be created or written, or another run uses it.
    pub(crate) fn open_to_run(path: &Path) -> anyhow::Result<Self> {
        Self::open_to_deliver(path, "lock", "run")
    }

    /// For `replay`.
    ///
    /// # Errors
    /// When the directory does not exist or cannot be written, or another replay uses it.
    pub(crate) fn open_to_replay(path: &Path) -> anyhow::Result<Self> {
        Self::require(path)?;
        Self::open_to_deliver(path, "replay.lock", "replay")
    }

    fn open_to_deliver(path: &Path, lock: &str, command: &str) -> anyhow::Result<Self> {
        let data = Self::open(path)?;
        let own = data.lock_file(lock)?;
        match own.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let error =
                    anyhow!("another stentor {command} uses the data directory {}", path.display());
                return Err(hinted(error, "wait until it ends, or pass another --data-dir"));
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {lock}"));
            }
        }
        let delivery =
            DeliveryLock::acquire(data.lock_file(DELIVERY_LOCK)?).context(CANNOT_LOCK)?;
        Ok(Self { _own: Some(own), delivery: Some(delivery), ..data })
    }

    /// Starts the engine on the database.
    ///
    /// Frees the leases that a dead process left behind, if the locks prove that no process holds
    /// one.
    ///
    /// # Errors
    /// When the database cannot be used.
    pub(crate) async fn start(&mut self) -> anyhow::Result<(Embedded, DynamoStore)> {
        let path = self.database();
        // Created here for its mode, which SQLite gives to its other files too.
        let created =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        created.with_context(|| format!("cannot open the database {}", path.display()))?;
        let engine = Embedded::start(Some(&path)).await?;
        let store = engine.store().await?;
        if let Some(delivery) = &mut self.delivery {
            if delivery.is_exclusive {
                store.free_leases().await.context("cannot free the leases of an earlier run")?;
            }
            delivery.share().context(CANNOT_LOCK)?;
        }
        Ok((engine, store))
    }

    /// Whether the database can be used in place. SQLite writes files next to it even to read.
    pub(crate) fn is_writable(&self) -> bool {
        let probe = self.path.join(format!(".writable-{:016x}", fastrand::u64(..)));
        let created = OpenOptions::new().write(true).create_new(true).open(&probe);
        let database = OpenOptions::new().append(true).open(self.database());
        created.is_ok()
            && std::fs::remove_file(&probe).is_ok()
            && database.map_or_else(|error| error.kind() == std::io::ErrorKind::NotFound, |_| true)
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }

    pub(crate) fn dead_letters(&self) -> PathBuf {
        self.path.join("dlq.jsonl")
    }

    /// The file that lists the dead letters that were replayed into the database.
    pub(crate) fn replayed(&self) -> PathBuf {
        self.path.join("replayed")
    }

    /// The same for a database elsewhere, by its id.
    pub(crate) fn replayed_into(&self, id: &str) -> PathBuf {
        self.path.join(format!("replayed-{id}"))
    }

    /// Opens a file for its lock, without truncating it: it may be a link to another file.
    fn lock_file(&self, name: &str) -> anyhow::Result<File> {
        let path = self.path.join(name);
        let file =
            OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
        file.with_context(|| format!("cannot write to {}", path.display()))
    }
}

impl DeliveryLock {
    fn acquire(file: File) -> std::io::Result<Self> {
        match file.try_lock() {
            Ok(()) => Ok(Self { file, is_exclusive: true }),
            Err(TryLockError::WouldBlock) => {
                // Blocks only while another process frees leases.
                file.lock_shared()?;
                Ok(Self { file, is_exclusive: false })
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// Lets other processes deliver. This one may hold leases from now on, so no other may free
    /// them.
    fn share(&mut self) -> std::io::Result<()> {
        if std::mem::take(&mut self.is_exclusive) {
            self.file.unlock()?;
            self.file.lock_shared()?;
        }
        Ok(())
    }
}

/// A temporary copy of the database of a read-only directory: SQLite writes even to read.
#[derive(Debug)]
pub(crate) struct DatabaseCopy {
    path: PathBuf,
}

impl DatabaseCopy {
    /// Copies the database of `directory`, with the part that is still in SQLite's write-ahead log.
    ///
    /// # Errors
    /// When it cannot be read, or the temporary directory is full.
    pub(crate) fn of(directory: &Path) -> anyhow::Result<Self> {
        let path = std::env::temp_dir().join(format!("stentor-{:016x}", fastrand::u64(..)));
        DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("cannot create {}", path.display()))?;
        let copied = Self { path };
        let copy = |name: &str| std::fs::copy(directory.join(name), copied.path.join(name));
        copy("stentor.db")
            .with_context(|| format!("cannot copy the database of {}", directory.display()))?;
        match copy("stentor.db-wal") {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error)
                .with_context(|| format!("cannot copy the database of {}", directory.display()))?,
            _ => Ok(copied),
        }
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.path.join(DATABASE)
    }
}

impl Drop for DatabaseCopy {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.path) {
            tracing::warn!("Cannot remove {}: {error}", self.path.display());
        }
    }
}
