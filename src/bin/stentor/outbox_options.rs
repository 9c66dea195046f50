//! The options that name the outbox, for commands that change it: that of a stack, of a database, or of a data
//! directory.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use stentor::adapters::database::Database;
use stentor::adapters::dynamodb::Tables;

use crate::args::{Aws, OutboxTable, deployed_store};
use crate::data_dir::DataDir;
use crate::stack::Stack;
use crate::store::{StoreOption, other_store};

/// Limit of the calls to the store.
pub(crate) const STORE_TIMEOUT: Duration = Duration::from_secs(20);

/// Where the state of the routes is.
#[derive(Debug, Args)]
pub(crate) struct OutboxOptions {
    #[command(flatten)]
    stack: Stack,
    #[command(flatten)]
    table: OutboxTable,
    /// Use the data directory of `stentor run` instead of a stack
    #[arg(long, value_name = "DIR", conflicts_with = "stack")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    aws: Aws,
}

impl OutboxOptions {
    /// Runs `work` on the store that has the outbox.
    ///
    /// # Errors
    /// When the store cannot be opened, and those of `work`.
    pub(crate) async fn with_database<T>(
        &self,
        work: impl AsyncFnOnce(&Database) -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let other = other_store(self.data_dir.as_deref(), &self.stack);
        if let Some(database) = self.store.connect(other).await? {
            return work(&database).await;
        }
        if let Some(path) = &self.data_dir {
            let (engine, store) = DataDir::open_existing(path)?.start().await?;
            let done = work(&store.into()).await;
            engine.stop().await?;
            return done;
        }
        let aws = self.aws.load().await?;
        let settings = self.stack.settings(&aws).await?;
        let outbox = self.table.of(&settings);
        let default = Tables::default();
        let tables = Tables { outbox: outbox.unwrap_or(default.outbox.clone()), ..default };
        work(&deployed_store(&settings, &aws, tables)?).await
    }
}
