//! The store that a command works on: a PostgreSQL database that `--store` names, or another that the
//! command names in its own way.

use std::convert::Infallible;
use std::fmt;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::adapters::embedded::Embedded;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::Store as _;

use crate::args::explain_store_error;
use crate::data_dir::DataDir;
use crate::stack::Stack;

/// How long it may take to reach a database.
const REACHED_WITHIN: Duration = Duration::from_secs(15);

const OPTION: &str = "--store";
const VARIABLE: &str = "STENTOR_STORE";

#[derive(Debug, Args)]
pub(crate) struct StoreOption {
    /// PostgreSQL database: postgres://USER@HOST/DATABASE, with PGPASSWORD
    #[cfg_attr(not(feature = "postgres"), arg(hide = true))]
    #[arg(
        id = "store",
        long = "store",
        value_name = "URL",
        value_parser = StoreUrl::from_text
    )]
    url: Option<StoreUrl>,
}

/// Has a password, so it is never printed. For the same reason it is checked only when it is used: an
/// error of the arguments quotes them.
#[derive(Clone)]
struct StoreUrl(String);

impl StoreUrl {
    #[expect(clippy::unnecessary_wraps, reason = "clap wants a result")]
    fn from_text(text: &str) -> Result<Self, Infallible> {
        Ok(Self(text.to_owned()))
    }
}

impl fmt::Debug for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StoreUrl(…)")
    }
}

/// An engine in this process, to be stopped when the store is no longer needed.
pub(crate) struct RunningEngine(Option<Embedded>);

impl RunningEngine {
    /// For a database elsewhere.
    pub(crate) fn none() -> Self {
        Self(None)
    }

    /// # Errors
    /// When the engine has failed.
    pub(crate) async fn stop(self) -> anyhow::Result<()> {
        match self.0 {
            Some(engine) => engine.stop().await,
            None => Ok(()),
        }
    }
}

impl StoreOption {
    /// The database, if one is named. It answers. The option wins over the variable, and so does `other`, the
    /// option that names another store.
    ///
    /// # Errors
    /// When two options name a store, the URL is wrong, or the database cannot be used.
    pub(crate) async fn connect(&self, other: Option<&str>) -> anyhow::Result<Option<Database>> {
        let (name, url) = match (self.named(), other) {
            (Some((OPTION, _)), Some(other)) => {
                bail!("{OPTION} and {other} name two stores: give one of them")
            }
            (Some(named), None) => named,
            _ => return Ok(None),
        };
        let database = postgres::store(name, &url)?.into();
        reach(&database).await?;
        Ok(Some(database))
    }

    /// Whether the option is given. The variable does not count.
    pub(crate) fn is_given(&self) -> bool {
        self.url.is_some()
    }

    /// The name of the option or the variable that names the database, and the URL.
    fn named(&self) -> Option<(&'static str, String)> {
        let option = self.url.as_ref().map(|url| (OPTION, url.0.clone()));
        let variable = || std::env::var(VARIABLE).ok().filter(|url| !url.is_empty());
        option.or_else(|| variable().map(|url| (VARIABLE, url)))
    }

    /// The database, or that of the data directory.
    ///
    /// # Errors
    /// As [`Self::connect`] and [`DataDir::start`].
    pub(crate) async fn start(
        &self,
        data: &mut DataDir,
    ) -> anyhow::Result<(RunningEngine, Database)> {
        match self.connect(None).await? {
            Some(database) => Ok((RunningEngine::none(), database)),
            None => {
                let (engine, store) = data.start().await?;
                Ok((RunningEngine(Some(engine)), store.into()))
            }
        }
    }

    /// The database, for `migrate`: it may have no schema.
    ///
    /// # Errors
    /// When no URL is given, or it is wrong.
    #[cfg(feature = "postgres")]
    pub(crate) fn unchecked(&self) -> anyhow::Result<stentor::adapters::postgres::PostgresStore> {
        let (name, url) = self.named().context("name the database with --store postgres://…")?;
        postgres::store(name, &url)
    }
}

/// The option that names another store than a database.
pub(crate) fn other_store(data_dir: Option<&Path>, stack: &Stack) -> Option<&'static str> {
    match data_dir {
        Some(_) => Some("--data-dir"),
        None => stack.is_named().then_some("--stack"),
    }
}

/// A wrong address or password is reported before anything is read.
async fn reach(database: &Database) -> anyhow::Result<()> {
    let deadline = Deadline::after(SystemClock.now(), REACHED_WITHIN);
    let routes = database.routes(deadline).await;
    routes.map(drop).map_err(|error| explain_store_error(&error, &database.outbox_place()))
}

#[cfg(feature = "postgres")]
mod postgres {
    use stentor::adapters::dynamodb::Tables;
    use stentor::adapters::postgres::{PostgresSettings, PostgresStore};
    use stentor::adapters::random;

    use super::*;

    /// # Errors
    /// When the URL is wrong. Does not repeat it.
    pub(super) fn store(name: &str, url: &str) -> anyhow::Result<PostgresStore> {
        let password = std::env::var("PGPASSWORD").ok().filter(|password| !password.is_empty());
        let settings = PostgresSettings::parse(url, password.as_deref());
        let settings = settings.map_err(|error| anyhow!("{name}: {error}"))?;
        let store = PostgresStore::new(settings, SystemClock, random::from_os());
        match std::env::var("ALERTS_RETENTION_DAYS").ok().filter(|days| !days.is_empty()) {
            Some(days) => {
                let days = Tables::days(&days);
                Ok(store.keeping(days.map_err(|why| anyhow!("ALERTS_RETENTION_DAYS: {why}"))?))
            }
            None => Ok(store),
        }
    }
}

#[cfg(not(feature = "postgres"))]
mod postgres {
    use super::*;

    /// # Errors
    /// Always: this build has no client for PostgreSQL.
    pub(super) fn store(
        name: &str,
        _: &str,
    ) -> anyhow::Result<stentor::adapters::dynamodb::DynamoStore> {
        Err(crate::ui::hinted(
            anyhow!(
                "{name} needs the feature `postgres`, and this build of stentor does not have it"
            ),
            "install it with `cargo install --locked --path . --features postgres`",
        ))
    }
}
