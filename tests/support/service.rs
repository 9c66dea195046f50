//! A service that accepts each request unless other answers are queued, and what its tests need: a
//! secret during a rotation, and the log of the program.

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex};

use serde_json::Value;
use stentor::adapters::secret::{ReadSecret, SecretError, SecretVersion};
use stentor::protocol::clock::Deadline;
use stentor::protocol::notify::DeliverError;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

pub struct Service {
    pub server: MockServer,
    answers: Answers,
}

#[derive(Clone)]
struct Answers {
    usual: ResponseTemplate,
    queued: Arc<Mutex<VecDeque<ResponseTemplate>>>,
}

impl Service {
    pub async fn start(usual: ResponseTemplate) -> Self {
        let (server, answers) =
            (MockServer::start().await, Answers { usual, queued: Arc::default() });
        Mock::given(any()).respond_with(answers.clone()).mount(&server).await;
        Self { server, answers }
    }

    /// Queues an answer.
    pub fn answer(&self, answer: ResponseTemplate) {
        self.answers.queued.lock().unwrap().push_back(answer);
    }

    /// The requests since the last call: path with query, and body.
    pub async fn requests(&self) -> Vec<(String, Value)> {
        let requests = self.server.received_requests().await.unwrap();
        self.server.reset().await;
        Mock::given(any()).respond_with(self.answers.clone()).mount(&self.server).await;
        let request = |request: &Request| {
            let query = request.url.query().map(|query| format!("?{query}")).unwrap_or_default();
            (format!("{}{query}", request.url.path()), request.body_json().unwrap())
        };
        requests.iter().map(request).collect()
    }
}

impl Respond for Answers {
    fn respond(&self, _request: &Request) -> ResponseTemplate {
        self.queued.lock().unwrap().pop_front().unwrap_or_else(|| self.usual.clone())
    }
}

/// A secret with a version before the last rotation.
pub struct RotatedSecret {
    pub current: String,
    pub previous: String,
}

impl ReadSecret for RotatedSecret {
    async fn read(
        &self,
        version: SecretVersion,
        _deadline: Deadline,
    ) -> Result<Option<String>, SecretError> {
        Ok(Some(match version {
            SecretVersion::Current => self.current.clone(),
            SecretVersion::Previous => self.previous.clone(),
        }))
    }
}

/// The class and the reason of an error: `retry in 30 s: …`.
pub fn described(error: &DeliverError) -> String {
    match error {
        DeliverError::Retry { after: Some(after), reason } => {
            format!("retry in {} s: {reason}", after.as_secs())
        }
        DeliverError::Retry { after: None, reason } => format!("retry: {reason}"),
        DeliverError::Denied { reason } => format!("denied: {reason}"),
        DeliverError::Refused { reason } => format!("refused: {reason}"),
        DeliverError::Deferred => "deferred".to_owned(),
    }
}

/// The log of a program.
#[derive(Clone, Default)]
pub struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    pub fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }

    /// The text since the last call.
    pub fn take(&self) -> String {
        String::from_utf8(std::mem::take(&mut self.0.lock().unwrap())).unwrap()
    }

    /// A subscriber that writes every event here. Set it, and keep the second one alive: with a
    /// single subscriber, a log statement caches whether the thread that reaches it first wants it.
    pub fn subscriber(&self) -> (impl tracing::Subscriber + Send + Sync, tracing::Dispatch) {
        let log = self.clone();
        let lines = tracing_subscriber::fmt()
            .with_max_level(tracing::Level::TRACE)
            .with_writer(move || log.clone());
        (lines.finish(), tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default()))
    }
}

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
