//! DynamoDB on this machine, without an AWS account: the engine `dynoxide` behind its own HTTP
//! server on a free loopback port. All calls go through the real client; `transport` shortens the
//! way of transactions. In a SQLite file the data outlives the process, and several processes may
//! use the file at the same time, each with its own engine. In memory it serves tests.

mod transport;

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::adapters::aws::loopback;
use crate::adapters::clock::SystemClock;
use crate::adapters::dynamodb::{DynamoStore, Tables};
use crate::protocol::clock::{Clock, Deadline};
use transport::Transport;

/// How long the creation of the tables may take.
const TABLES_MAX: Duration = Duration::from_secs(30);

/// Messages of SQLite and of the engine about a file that is not a database, or damaged.
const DAMAGED: [&str; 3] = ["not a database", "not a valid SQLite database", "malformed"];

/// The text of SQLite for a disk that is full or fails, and for some damaged files.
const DISK_ERROR: &str = "disk I/O error";

/// A running engine. It ends with [`Embedded::stop`], or with its runtime.
#[derive(Debug)]
pub struct Embedded {
    /// The path of its file, unless it is in memory.
    database: Option<String>,
    address: SocketAddr,
    transport: Transport,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), String>>,
}

impl Embedded {
    /// Starts the engine on `database`, which is created if it is absent, or in memory.
    ///
    /// # Errors
    /// When the file is not a database or cannot be written, or no port is free.
    pub async fn start(database: Option<&Path>) -> anyhow::Result<Self> {
        let name = |path: &Path| {
            path.to_str()
                .map(str::to_owned)
                .with_context(|| format!("{} is not a UTF-8 path", path.display()))
        };
        let database = database.map(name).transpose()?;
        let engine = match &database {
            Some(name) => {
                dynoxide::Database::new(name).map_err(|error| unusable(name, &error.to_string()))?
            }
            None => dynoxide::Database::memory().context("cannot open a database in memory")?,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
            .await
            .context("no loopback port is free")?;
        let address = listener.local_addr()?;
        let server = aws_smithy_http_client::Builder::new().build_http();
        let transport =
            Transport::new(engine.clone(), database.as_deref(), server).map_err(|error| {
                unusable(database.as_deref().unwrap_or("in memory"), &error.to_string())
            })?;
        let (stop, stopped) = oneshot::channel::<()>();
        // A dropped sender also stops the server.
        let server = tokio::spawn(dynoxide::server::serve_with_shutdown(listener, engine, async {
            let _ = stopped.await;
        }));
        Ok(Self { database, address, transport, stop, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A store on this engine. Creates its tables.
    ///
    /// # Errors
    /// When the tables cannot be created.
    pub async fn store(&self) -> anyhow::Result<DynamoStore> {
        self.store_with(SystemClock).await
    }

    /// [`Self::store`] with a clock, which dates the items and measures deadlines.
    ///
    /// # Errors
    /// When the tables cannot be created.
    pub async fn store_with<C: Clock>(&self, clock: C) -> anyhow::Result<DynamoStore<C>> {
        let deadline = Deadline::after(clock.now(), TABLES_MAX);
        let mut store = DynamoStore::new(
            &loopback(&self.endpoint()).into_builder().http_client(self.transport.clone()).build(),
            Tables::default(),
            clock,
            crate::adapters::random::from_os(),
        );
        let created = store.create_tables(deadline).await;
        created.map_err(|error| match &self.database {
            Some(name) => unusable(name, &error.to_string()),
            None => anyhow!(error),
        })?;
        store.set_file(self.database.clone());
        Ok(store)
    }

    /// Lets running requests finish, then closes the database.
    ///
    /// # Errors
    /// When the server failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        drop(self.transport);
        let _ = self.stop.send(());
        self.server.await.context("the embedded engine panicked")?.map_err(|error| anyhow!(error))
    }
}

/// Why a database file cannot be used, and what the operator can do.
fn unusable(name: &str, why: &str) -> anyhow::Error {
    if why.contains(DISK_ERROR) {
        return anyhow!(
            "cannot use the database {name}: {DISK_ERROR}: make room if the disk is full; if the file is damaged, move it away, with {name}-wal and {name}-shm if they exist"
        );
    }
    match DAMAGED.iter().any(|words| why.contains(words)) {
        true => anyhow!(
            "{name} is damaged, or is not a database of stentor: move it away, with {name}-wal and {name}-shm if they exist, and run again"
        ),
        false => anyhow!("cannot use the database {name}: {why}"),
    }
}
