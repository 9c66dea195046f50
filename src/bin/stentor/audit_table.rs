//! The audit table that a command queries: that of a stack, of a database, or of a data directory.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::adapters::embedded::Embedded;
use stentor::protocol::clock::{Clock as _, Deadline};

use crate::args::{Aws, TableNames};
use crate::data_dir::{DataDir, DatabaseCopy};
use crate::store::{StoreOption, other_store};

#[derive(Debug, Args)]
pub(crate) struct AuditTable {
    /// Query the data directory of `stentor run` instead of a stack
    #[arg(long, value_name = "DIR", conflicts_with = "stack")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    tables: TableNames,
    #[command(flatten)]
    aws: Aws,
}

/// Limit of a call to the store.
const CALL_TIMEOUT: Duration = Duration::from_secs(30);

/// That of a call to the store that begins now.
pub(crate) fn deadline() -> Deadline {
    Deadline::after(SystemClock.now(), CALL_TIMEOUT)
}

impl AuditTable {
    /// Runs `query` on the store that has the table.
    ///
    /// # Errors
    /// When the store cannot be opened, and those of `query`.
    pub(crate) async fn query<T>(
        &self,
        query: impl AsyncFnOnce(&Database) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let other = other_store(self.data_dir.as_deref(), &self.tables.stack);
        if let Some(database) = self.store.connect(other).await? {
            return query(&database).await;
        }
        match &self.data_dir {
            None => query(&self.tables.store(&self.aws.load().await?).await?).await,
            Some(directory) => query_directory(directory, query).await,
        }
    }

    /// [`Self::query`] for a command that changes the table.
    ///
    /// # Errors
    /// Also when the data directory cannot be written.
    pub(crate) async fn change<T>(
        &self,
        change: impl AsyncFnOnce(&Database) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        if let Some(directory) = &self.data_dir
            && !DataDir::open_existing(directory)?.is_writable()
        {
            bail!("the data directory {} cannot be written", directory.display());
        }
        self.query(change).await
    }

    /// The SDK's configuration, for a command that needs another service.
    ///
    /// # Errors
    /// When there is no Region, or there are no credentials.
    #[cfg(feature = "aws")]
    pub(crate) async fn aws(&self) -> anyhow::Result<aws_types::SdkConfig> {
        self.aws.load().await
    }
}

/// On a copy of the database if the directory cannot be written.
async fn query_directory<T>(
    directory: &Path,
    query: impl AsyncFnOnce(&Database) -> anyhow::Result<T>,
) -> anyhow::Result<T> {
    let mut data = DataDir::open_existing(directory)?;
    let copy = if data.is_writable() { None } else { Some(DatabaseCopy::of(directory)?) };
    let (engine, store) = match &copy {
        None => data.start().await?,
        Some(copy) => {
            let engine = Embedded::start(Some(&copy.database())).await?;
            let store = engine.store().await?;
            (engine, store)
        }
    };
    let answer = query(&store.into()).await?;
    engine.stop().await?;
    Ok(answer)
}
