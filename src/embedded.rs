//! DynamoDB on this machine, for who has no AWS account at hand: the engine `dynoxide` behind its own
//! HTTP server on a free loopback port, so that everything goes through the real client. In a SQLite
//! file it outlives the process; in memory it serves tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::aws::loopback;
use crate::clock::{Clock as _, SystemClock};
use crate::store::dynamodb::{DynamoStore, Tables};

/// A running engine. It ends with [`Embedded::stop`], or with the runtime that it was started on.
#[derive(Debug)]
pub struct Embedded {
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Result<(), String>>,
}

impl Embedded {
    /// Starts the engine on `database` (made if it is not there), or in memory.
    ///
    /// # Errors
    /// When the file is no database or cannot be written, or no port is free.
    pub async fn start(database: Option<&Path>) -> anyhow::Result<Self> {
        let engine = match database {
            Some(path) => {
                let name = path.to_str().with_context(|| format!("{} is not a UTF-8 path", path.display()))?;
                dynoxide::Database::new(name).with_context(|| format!("cannot open the database {name}"))?
            }
            None => dynoxide::Database::memory().context("cannot open a database in memory")?,
        };
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.context("no loopback port is free")?;
        let address = listener.local_addr()?;
        let (stop, stopped) = oneshot::channel::<()>();
        // A dropped sender stops the server as well as a message.
        let server = tokio::spawn(dynoxide::server::serve_with_shutdown(listener, engine, async {
            let _ = stopped.await;
        }));
        Ok(Self { address, stop, server })
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// A store on this engine, its tables made.
    ///
    /// # Errors
    /// When the tables cannot be made.
    pub async fn store(&self) -> anyhow::Result<DynamoStore> {
        let store = DynamoStore::new(&loopback(&self.endpoint()), Tables::default(), fastrand::Rng::new());
        store.create_tables(SystemClock.now().after(Duration::from_secs(30))).await?;
        Ok(store)
    }

    /// Lets running requests finish, then closes the database.
    ///
    /// # Errors
    /// When the server failed.
    pub async fn stop(self) -> anyhow::Result<()> {
        let _ = self.stop.send(());
        self.server.await.context("the embedded engine panicked")?.map_err(|error| anyhow!(error))
    }
}
