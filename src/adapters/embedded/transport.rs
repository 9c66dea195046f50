//! The way from the client of the store to the engine of the same process. Transactions are handed
//! to the engine as values, because most of the time of its HTTP server is spent on parsing a
//! request several times. All other calls use the server.
//!
//! SQLite does not sync the disk at each transaction here. An answer to a write waits for a sync that
//! began after it, and transactions that wait at the same time share one. So an answer means, as it
//! does with a sync for each, that the write outlives a power failure.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient,
    SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_runtime_api::http::StatusCode;
use aws_smithy_types::body::SdkBody;
use dynoxide::actions::transact_write_items::TransactWriteItemsRequest;
use tokio::task::spawn_blocking;

/// Tokens of finished transactions that are remembered. More than transactions are in flight.
const TOKENS_MAX: usize = 64;

/// A client that reaches the engine in this process.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    engine: Arc<Engine>,
    server: SharedHttpClient,
}

#[derive(Debug)]
struct Connector {
    engine: Arc<Engine>,
    server: SharedHttpConnector,
}

struct Engine {
    database: dynoxide::Database,
    finished: Finished,
    log: Option<SyncedLog>,
}

/// The last transactions by their tokens, and whether they are finished. An attempt that took too
/// long continues, and its repetition waits for it.
#[derive(Debug, Default)]
struct Finished(Mutex<VecDeque<(String, Arc<Mutex<bool>>)>>);

/// SQLite's write-ahead log. It begins with the oldest transaction that may not be on the disk.
#[derive(Debug)]
struct SyncedLog {
    path: PathBuf,
    /// Writes that are in the log.
    written: AtomicU64,
    /// How many of them are on the disk. Locked during a sync.
    synced: tokio::sync::Mutex<u64>,
}

impl Transport {
    /// `database_path` is that of `database`, unless it is in memory.
    ///
    /// # Errors
    /// When the database does not take the setting.
    pub(super) fn new(
        database: dynoxide::Database,
        database_path: Option<&str>,
        server: SharedHttpClient,
    ) -> anyhow::Result<Self> {
        // The engine's name for SQLite's usual settings. They sync the log at checkpoints only.
        database.disable_bulk_loading()?;
        let log = database_path.map(|path| SyncedLog {
            path: format!("{path}-wal").into(),
            written: AtomicU64::new(0),
            synced: tokio::sync::Mutex::new(0),
        });
        let engine = Arc::new(Engine { database, finished: Finished::default(), log });
        Ok(Self { engine, server })
    }
}

impl HttpClient for Transport {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        SharedHttpConnector::new(Connector {
            engine: Arc::clone(&self.engine),
            server: self.server.http_connector(settings, components),
        })
    }
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (engine, server) = (Arc::clone(&self.engine), self.server.clone());
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap_or_default();
            let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
            let transaction = match operation.as_str() {
                "TransactWriteItems" => {
                    request.body().bytes().and_then(|body| serde_json::from_slice(body).ok())
                }
                _ => None,
            };
            let answer = match transaction {
                Some(transaction) => engine.transact(transaction).await?,
                // The server also words the errors of a request that cannot be read.
                None => server.call(request).await?,
            };
            if is_write(&operation)
                && answer.status().is_success()
                && let Some(log) = &engine.log
            {
                log.sync().await.map_err(|error| ConnectorError::io(error.into()))?;
            }
            Ok(answer)
        })
    }
}

fn is_write(operation: &str) -> bool {
    !["GetItem", "BatchGetItem", "Query", "Scan", "DescribeTable", "ListTables"]
        .contains(&operation)
}

impl Engine {
    async fn transact(
        self: &Arc<Self>,
        mut transaction: TransactWriteItemsRequest,
    ) -> Result<HttpResponse, ConnectorError> {
        // The engine would compute a hash of all items for it.
        let token = transaction.client_request_token.take();
        let engine = Arc::clone(self);
        let done = spawn_blocking(move || {
            let slot = token.map(|token| engine.finished.slot(token)).unwrap_or_default();
            let mut is_finished = slot.lock().unwrap_or_else(PoisonError::into_inner);
            if *is_finished {
                return Ok(());
            }
            engine.database.transact_write_items(transaction)?;
            *is_finished = true;
            Ok::<_, dynoxide::DynoxideError>(())
        });
        match done.await {
            Ok(Ok(())) => Ok(response(200, "{}".to_owned())),
            Ok(Err(error)) => Ok(response(error.status_code(), error.to_json())),
            Err(error) => Err(ConnectorError::other(error.into(), None)),
        }
    }
}

fn response(status: u16, body: String) -> HttpResponse {
    let status = StatusCode::try_from(status).unwrap_or_else(|_| {
        StatusCode::try_from(500).expect("invariant: it is the status of a server's error")
    });
    let mut response = HttpResponse::new(status, SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    response
}

impl Finished {
    fn slot(&self, token: String) -> Arc<Mutex<bool>> {
        let mut slots = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, slot)) = slots.iter().find(|(known, _)| *known == token) {
            return Arc::clone(slot);
        }
        if slots.len() == TOKENS_MAX {
            slots.pop_front();
        }
        let slot = Arc::<Mutex<bool>>::default();
        slots.push_back((token, Arc::clone(&slot)));
        slot
    }
}

impl SyncedLog {
    /// Waits until every write that was answered before this call is on the disk.
    async fn sync(&self) -> io::Result<()> {
        let own = self.written.fetch_add(1, Ordering::SeqCst) + 1;
        let mut synced = self.synced.lock().await;
        if *synced >= own {
            return Ok(());
        }
        let written = self.written.load(Ordering::SeqCst);
        let path = self.path.clone();
        // Opened each time: SQLite may have replaced it.
        let sync = move || match File::open(path) {
            Ok(log) => log.sync_data(),
            // All of it is in the database.
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(error) => Err(error),
        };
        spawn_blocking(sync).await.map_err(io::Error::other)??;
        *synced = written;
        Ok(())
    }
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("log", &self.log).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_remembered_until_many_others_came() {
        let finished = Finished::default();
        *finished.slot("first".to_owned()).lock().unwrap() = true;
        (2..TOKENS_MAX).for_each(|n| drop(finished.slot(n.to_string())));
        assert!(*finished.slot("first".to_owned()).lock().unwrap());
        (0..TOKENS_MAX).for_each(|n| drop(finished.slot(format!("later {n}"))));
        assert!(!*finished.slot("first".to_owned()).lock().unwrap());
        assert_eq!(finished.0.lock().unwrap().len(), TOKENS_MAX);
    }
}
