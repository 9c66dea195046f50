//! A proxy in front of the engine that fails like DynamoDB: it throttles, or does not answer.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// Chooses what to do with a request, by the name of its operation and its number.
type Decide = dyn Fn(&str, u64) -> ProxyAction + Send + Sync;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyAction {
    Pass,
    Throttle,
    /// Throttles a request that puts more items than this.
    ThrottleAbove(usize),
    /// Answers with an empty success. The request does not reach the engine.
    Accept,
    /// Never answers. The request does not reach the engine.
    Swallow,
    /// Never answers, but the request takes effect.
    SwallowAnswer,
}

pub struct Proxy {
    address: SocketAddr,
    engine: Arc<watch::Sender<SocketAddr>>,
    decide: Arc<watch::Sender<Arc<Decide>>>,
    seen: Arc<AtomicU64>,
}

impl Proxy {
    pub async fn start(engine: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let pass: Arc<Decide> = Arc::new(|_, _| ProxyAction::Pass);
        let decide = Arc::new(watch::Sender::new(pass));
        let seen = Arc::new(AtomicU64::new(0));
        let engine = Arc::new(watch::Sender::new(engine));
        let (engines, decisions, count) =
            (Arc::clone(&engine), Arc::clone(&decide), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (engines, decisions, count) =
                    (Arc::clone(&engines), Arc::clone(&decisions), Arc::clone(&count));
                tokio::spawn(async move { serve(client, &engines, &decisions, &count).await });
            }
        });
        Self { address, engine, decide, seen }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sends later requests to this engine.
    pub fn lead_to(&self, engine: SocketAddr) {
        self.engine.send_replace(engine);
    }

    /// Sets the decision about each later request, by its operation and its number since this call.
    pub fn decide(&self, decide: impl Fn(&str, u64) -> ProxyAction + Send + Sync + 'static) {
        self.seen.store(0, Ordering::SeqCst);
        self.decide.send_replace(Arc::new(decide));
    }

    /// Requests since the last decision.
    pub fn seen(&self) -> u64 {
        self.seen.load(Ordering::SeqCst)
    }
}

/// Serves the requests of one connection until it closes.
async fn serve(
    client: TcpStream,
    engines: &watch::Sender<SocketAddr>,
    decide: &watch::Sender<Arc<Decide>>,
    seen: &AtomicU64,
) {
    let mut client = BufReader::new(client);
    while let Some((request, operation)) = read_message(&mut client).await {
        let n = seen.fetch_add(1, Ordering::SeqCst);
        let decision = decide.borrow().clone();
        let engine = *engines.borrow();
        let answer = match decision(&operation, n) {
            ProxyAction::Pass => forward(engine, &request).await,
            ProxyAction::Throttle => throttled(),
            ProxyAction::ThrottleAbove(items) if puts(&request) > items => throttled(),
            ProxyAction::ThrottleAbove(_) => forward(engine, &request).await,
            ProxyAction::Accept => answer("200 OK", "{}"),
            ProxyAction::Swallow => std::future::pending().await,
            ProxyAction::SwallowAnswer => {
                forward(engine, &request).await;
                std::future::pending().await
            }
        };
        if client.get_mut().write_all(&answer).await.is_err() {
            return;
        }
    }
}

fn puts(request: &[u8]) -> usize {
    String::from_utf8_lossy(request).matches(r#"{"Put":"#).count()
}

async fn forward(engine: SocketAddr, request: &[u8]) -> Vec<u8> {
    let mut engine = BufReader::new(TcpStream::connect(engine).await.unwrap());
    engine.get_mut().write_all(request).await.unwrap();
    read_message(&mut engine).await.map(|(answer, _)| answer).unwrap_or_default()
}

/// An HTTP/1.1 message with a content length, as bytes, and the name of its operation, if it has
/// one.
async fn read_message(stream: &mut BufReader<TcpStream>) -> Option<(Vec<u8>, String)> {
    let (mut message, mut length, mut operation) = (Vec::new(), 0, String::new());
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        message.extend_from_slice(line.as_bytes());
        let header = line.trim_end().to_ascii_lowercase();
        if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        }
        if header.starts_with("x-amz-target:") {
            operation = line.trim_end().rsplit('.').next()?.to_owned();
        }
        if header.is_empty() {
            break;
        }
    }
    let head = message.len();
    message.resize(head + length, 0);
    stream.read_exact(&mut message[head..]).await.ok()?;
    Some((message, operation))
}

fn throttled() -> Vec<u8> {
    answer(
        "400 Bad Request",
        r#"{"__type":"com.amazonaws.dynamodb.v20120810#ProvisionedThroughputExceededException","message":"throttled by the test"}"#,
    )
}

fn answer(status: &str, body: &str) -> Vec<u8> {
    let head = format!("HTTP/1.1 {status}\r\ncontent-type: application/x-amz-json-1.0\r\n");
    format!("{head}content-length: {}\r\n\r\n{body}", body.len()).into_bytes()
}
