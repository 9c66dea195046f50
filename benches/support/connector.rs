//! A connection between the production store and its engine in a bench. It takes as long as a
//! network, refuses more than a table takes, or answers by itself, so that only the client's work
//! is left.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpClient, SharedHttpConnector,
    http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use stentor::adapters::aws::loopback;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::{DynamoStore, Tables};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep};

/// A way to a store.
#[derive(Clone, Debug, Default)]
pub struct Way {
    /// The time of a request without the engine's own work.
    pub latency: Duration,
    /// The write units that the table takes in a second. A request beyond them is refused as
    /// DynamoDB does it.
    pub units_per_second: Option<f64>,
    /// Refuses each transaction once, because of a conflict, so the same bytes are sent again.
    pub refuses_once: bool,
    /// The connector answers by itself: every transaction succeeds.
    pub answers: bool,
    pub seen: Arc<Seen>,
}

/// The requests that passed.
#[derive(Debug, Default)]
pub struct Seen {
    pub transactions: AtomicU64,
    pub refused: AtomicU64,
}

#[derive(Debug)]
struct Connector {
    way: Way,
    behind: SharedHttpConnector,
    units: Arc<Mutex<(f64, Instant)>>,
}

/// The production store, this way, to the engine at `endpoint`.
pub fn store(way: &Way, endpoint: &str) -> DynamoStore {
    let network = aws_smithy_http_client::Builder::new().build_http();
    DynamoStore::new(
        &loopback_by(way, network, endpoint),
        Tables::default(),
        SystemClock,
        fastrand::Rng::new(),
    )
}

fn loopback_by(way: &Way, network: SharedHttpClient, endpoint: &str) -> aws_types::SdkConfig {
    let way = way.clone();
    // A second's worth at first.
    let units = Arc::new(Mutex::new((way.units_per_second.unwrap_or_default(), Instant::now())));
    let client = http_client_fn(move |settings, components| {
        let behind = network.http_connector(settings, components);
        SharedHttpConnector::new(Connector { way: way.clone(), behind, units: Arc::clone(&units) })
    });
    loopback(endpoint).into_builder().http_client(client).build()
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (way, behind, units) = (self.way.clone(), self.behind.clone(), Arc::clone(&self.units));
        HttpConnectorFuture::new(async move {
            let transaction = request
                .headers()
                .get("x-amz-target")
                .is_some_and(|of| of.ends_with("TransactWriteItems"));
            let number = match transaction {
                true => way.seen.transactions.fetch_add(1, Ordering::Relaxed),
                false => 0,
            };
            sleep(way.latency).await;
            let refused = transaction
                && match way.units_per_second {
                    Some(rate) => {
                        !take(&units, rate, cost(request.body().bytes().unwrap_or_default())).await
                    }
                    None => way.refuses_once && number % 2 == 0,
                };
            if refused {
                way.seen.refused.fetch_add(1, Ordering::Relaxed);
                let body = match way.units_per_second {
                    Some(_) => {
                        r#"{"__type":"com.amazonaws.dynamodb.v20120810#ThrottlingException"}"#
                    }
                    None => {
                        r#"{"__type":"com.amazonaws.dynamodb.v20120810#TransactionConflictException"}"#
                    }
                };
                return Ok(answer(400, body));
            }
            match way.answers {
                true => Ok(answer(200, "{}")),
                false => behind.call(request).await,
            }
        })
    }
}

fn answer(status: u16, body: &'static str) -> HttpResponse {
    HttpResponse::new(status.try_into().expect("a status"), body.into())
}

/// A transaction costs two write units for each KB of each item, begun or full.
fn cost(transaction: &[u8]) -> f64 {
    let items = memchr::memmem::find_iter(transaction, br#"{"Put":"#).count();
    2.0 * (transaction.len() as f64 / 1024.0).max(items as f64)
}

/// Takes `cost` units out of what has come in since the last call, if they are there.
async fn take(units: &Mutex<(f64, Instant)>, rate: f64, cost: f64) -> bool {
    let mut units = units.lock().await;
    let now = Instant::now();
    *units = ((units.0 + rate * (now - units.1).as_secs_f64()).min(rate), now);
    let enough = units.0 >= cost;
    if enough {
        units.0 -= cost;
    }
    enough
}
