//! `stentor migrate` brings a PostgreSQL database to the schema of this program, and grants the roles what
//! they need. Nothing else changes a schema.

use std::time::Duration;

use clap::Args;

use crate::Exit;
use crate::store::StoreOption;
use crate::ui::Ui;

/// Create or update the tables in a PostgreSQL database
#[derive(Debug, Args)]
#[command(
    after_help = "Example: PGPASSWORD=… stentor migrate --store postgres://owner@db.example/stentor --function-role stentor"
)]
pub(crate) struct MigrateArguments {
    #[command(flatten)]
    store: StoreOption,
    /// Role that may store and deliver alerts, but not change tables: that of the functions
    #[arg(long, value_name = "ROLE")]
    function_role: Option<String>,
    /// Role that may only read
    #[arg(long, value_name = "ROLE")]
    reader_role: Option<String>,
    /// Seconds that it may take; a later run continues
    #[arg(long, value_name = "SECONDS", default_value_t = 600, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
}

impl MigrateArguments {
    fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout.into())
    }
}

#[cfg(feature = "postgres")]
pub(crate) async fn migrate(arguments: &MigrateArguments, _: Ui) -> anyhow::Result<Exit> {
    use stentor::adapters::clock::SystemClock;
    use stentor::adapters::postgres::schema::{Roles, VERSION};
    use stentor::protocol::clock::{Clock as _, Deadline};

    let store = arguments.store.unchecked()?;
    let deadline = Deadline::after(SystemClock.now(), arguments.timeout());
    let roles =
        Roles { function: arguments.function_role.clone(), reader: arguments.reader_role.clone() };
    let migrated = store.migrate(&roles, deadline).await.map_err(|error| {
        crate::args::explain_store_error(&error, &format!("the database {}", store.place()))
    })?;
    let mut text = String::new();
    for (version, name) in &migrated.applied {
        text.push_str(&format!("applied migration {version}: {name}\n"));
    }
    text.push_str(&format!("{} has the schema version {VERSION}\n", store.place()));
    crate::ui::print(&text)?;
    Ok(Exit::Done)
}

/// # Errors
/// Always: this build has no client for PostgreSQL.
#[cfg(not(feature = "postgres"))]
pub(crate) async fn migrate(arguments: &MigrateArguments, _: Ui) -> anyhow::Result<Exit> {
    let _ = arguments.timeout();
    arguments.store.connect(None).await?;
    anyhow::bail!("name the database with --store postgres://…")
}
