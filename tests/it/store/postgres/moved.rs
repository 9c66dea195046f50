//! A server that moves to another address.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use fastrand::Rng;
use stentor::adapters::postgres::{Login, PostgresSettings, PostgresStore};
use stentor::protocol::clock::Deadline;
use stentor::protocol::store::Store as _;

use super::by;
use crate::support::ForwardClock;
use crate::support::postgres::{PASSWORD, PostgresDatabase};
use crate::support::tcp::TcpProxy;

/// The secret names another host, and the old one does not answer any more.
#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_moves_is_found_by_its_secret() {
    let database = PostgresDatabase::empty();
    let proxy = TcpProxy::start(database.port).await;
    let port = Arc::new(AtomicU16::new(proxy.port()));
    let secret = {
        let (port, name) = (Arc::clone(&port), database.name.clone());
        move |_: Deadline| {
            let text = serde_json::json!({
                "host": "127.0.0.1", "port": port.load(Ordering::SeqCst), "username": "stentor",
                "password": PASSWORD, "dbname": name,
            });
            let read: futures::future::BoxFuture<'static, _> =
                Box::pin(futures::future::ready(Ok(Some(text.to_string()))));
            read
        }
    };
    let login = Login::secret(Box::new(secret), Default::default(), None);
    let clock = ForwardClock::default();
    let settings = PostgresSettings::new(login, "the test".to_owned(), None);
    let store = PostgresStore::new(settings, clock.for_store(), Rng::new());
    store.routes(by(&clock, 10)).await.unwrap();
    proxy.stop();
    port.store(database.port, Ordering::SeqCst);
    clock.forward(Duration::from_secs(60));
    store.routes(by(&clock, 10)).await.unwrap();
}
