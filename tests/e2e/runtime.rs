//! Lambda's runtime API for one process. The process polls it for invocations, one at a time. Some
//! invocations kill it with SIGKILL, and the next one starts it again.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use stentor::adapters::clock::SystemClock;
use stentor::protocol::clock::Clock as _;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Long enough for a loaded machine: a process that takes longer does not start at all.
const START_MAX: Duration = Duration::from_secs(30);

/// A function with one process at a time.
pub struct Function {
    pub name: &'static str,
    /// The time-out of an invocation, after which the process is killed.
    timeout: Duration,
    environment: Vec<(String, String)>,
    log: PathBuf,
    /// Held during an invocation.
    running: tokio::sync::Mutex<Option<Running>>,
    invocations: Mutex<Vec<Invocation>>,
}

/// One invocation, as seen from outside.
#[derive(Clone, Debug)]
pub struct Invocation {
    pub request_id: String,
    pub began: Instant,
    pub outcome: Outcome,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    Answered(Value),
    /// The function returned an error.
    Failed(String),
    /// The process was killed before it answered.
    Killed,
    TimedOut,
}

impl Invocation {
    pub fn is_killed(&self) -> bool {
        self.outcome == Outcome::Killed
    }
}

struct Running {
    process: Child,
    api: RuntimeApi,
}

impl Drop for Running {
    fn drop(&mut self) {
        // Sends SIGKILL. The process has no child processes.
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Function {
    /// `environment` is the whole environment of the process, except for the variables that Lambda
    /// sets.
    pub fn new(name: &'static str, timeout: Duration, environment: Vec<(String, String)>) -> Self {
        static LOGS: AtomicU64 = AtomicU64::new(0);
        let log =
            format!("{name}-{}-{}.log", std::process::id(), LOGS.fetch_add(1, Ordering::SeqCst));
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(log);
        let (running, invocations) = (tokio::sync::Mutex::default(), Mutex::default());
        Self { name, timeout, environment, log, running, invocations }
    }

    /// Starts the process unless it runs, sends it the event, and waits for the answer or for the
    /// moment to kill the process.
    pub async fn invoke(&self, event: &Value, killed_after: Option<Duration>) -> Outcome {
        let mut running = self.running.lock().await;
        if running.is_none() {
            *running = Some(self.start().await);
        }
        let api = &running.as_ref().expect("just started").api;
        let (taken, answer) = api.attempt(event.to_string(), self.timeout);
        let (request_id, began) = match timeout(START_MAX, taken).await {
            Ok(Ok(taken)) => taken,
            _ => panic!("{} does not start:\n{}", self.name, self.log()),
        };
        let limit = killed_after.unwrap_or(self.timeout);
        let outcome = match timeout(limit, answer).await {
            Ok(Ok(outcome)) => outcome,
            _ => {
                *running = None;
                if killed_after.is_some() { Outcome::Killed } else { Outcome::TimedOut }
            }
        };
        let invocation = Invocation { request_id, began, outcome: outcome.clone() };
        self.invocations.lock().unwrap().push(invocation);
        outcome
    }

    /// Calls a function with each invocation so far, in order.
    pub fn invocations<T>(&self, look: impl FnOnce(&[Invocation]) -> T) -> T {
        look(&self.invocations.lock().unwrap())
    }

    /// The most memory that the running process ever had resident (`VmHWM`), without the pages of
    /// its binary and other files (`RssFile`). Those depend on how the binary was linked. They only
    /// grow while memory is not short, so the difference never exceeds the true peak.
    #[cfg(target_os = "linux")]
    pub async fn peak_bytes(&self) -> u64 {
        let running = self.running.lock().await;
        let id = running.as_ref().expect("the process runs").process.id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).unwrap();
        let bytes = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
            value.trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
        };
        let (peak, of_files) = (bytes("VmHWM:"), bytes("RssFile:"));
        println!("resident at most {peak} bytes; {of_files} of files");
        peak - of_files
    }

    /// The log of all its processes.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The summary lines, by request id.
    pub fn summaries(&self) -> HashMap<String, Value> {
        let log = self.log();
        let json = log.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        // The lines with the metrics of a route or a target have no duration.
        let is_summary = |line: &Value| line["_aws"].is_object() && line["duration"].is_number();
        let summaries = json.filter(is_summary);
        summaries.map(|line| (line["request.id"].as_str().unwrap().to_owned(), line)).collect()
    }

    async fn start(&self) -> Running {
        let api = RuntimeApi::start(self.name).await;
        let log = OpenOptions::new().create(true).append(true).open(&self.log).unwrap();
        let process = Command::new(env!("CARGO_BIN_EXE_stentor-lambda"))
            .env_clear()
            .envs([
                ("AWS_LAMBDA_RUNTIME_API", api.address.to_string()),
                ("AWS_LAMBDA_FUNCTION_NAME", self.name.to_owned()),
            ])
            .envs([
                ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "1769"),
            ])
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        Running { process, api }
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        // The log stays below target/tmp, to find the reason of a failure.
        if !std::thread::panicking() {
            let _ = std::fs::remove_file(&self.log);
        }
    }
}

/// The server that a process polls.
struct RuntimeApi {
    address: SocketAddr,
    calls: mpsc::UnboundedSender<Call>,
    server: JoinHandle<()>,
}

/// The request id, and when the process received it.
type Taken = (String, Instant);

struct Call {
    event: String,
    timeout: Duration,
    taken: oneshot::Sender<Taken>,
    answer: oneshot::Sender<Outcome>,
}

struct State {
    name: &'static str,
    calls: tokio::sync::Mutex<mpsc::UnboundedReceiver<Call>>,
    answers: Mutex<HashMap<String, oneshot::Sender<Outcome>>>,
}

impl Drop for RuntimeApi {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl RuntimeApi {
    async fn start(name: &'static str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (calls, receiver) = mpsc::unbounded_channel();
        let state = Arc::new(State {
            name,
            calls: tokio::sync::Mutex::new(receiver),
            answers: Mutex::default(),
        });
        let server = tokio::spawn(async move {
            while let Ok((process, _)) = listener.accept().await {
                let state = Arc::clone(&state);
                tokio::spawn(async move { serve(process, &state).await });
            }
        });
        Self { address, calls, server }
    }

    /// Returns when the process has received the event, with a receiver of its result.
    fn attempt(
        &self,
        event: String,
        timeout: Duration,
    ) -> (oneshot::Receiver<Taken>, oneshot::Receiver<Outcome>) {
        let ((taken, is_taken), (answer, answered)) = (oneshot::channel(), oneshot::channel());
        self.calls
            .send(Call { event, timeout, taken, answer })
            .expect("the server outlives its address");
        (is_taken, answered)
    }
}

/// Serves the requests of one connection until either side closes it.
async fn serve(process: TcpStream, state: &State) {
    let mut process = BufReader::new(process);
    while let Some((path, body)) = read_request(&mut process).await {
        let answer = match path.rsplit('/').collect::<Vec<_>>()[..] {
            ["next", ..] => match state.calls.lock().await.recv().await {
                Some(call) => state.next(call),
                None => return,
            },
            ["response", id, ..] => {
                state.done(id, Outcome::Answered(serde_json::from_str(&body).unwrap()))
            }
            ["error", id, ..] => state.done(id, Outcome::Failed(body)),
            _ => panic!("the runtime API has no {path}"),
        };
        if process.get_mut().write_all(answer.as_bytes()).await.is_err() {
            return;
        }
    }
}

impl State {
    fn next(&self, call: Call) -> String {
        static REQUESTS: AtomicU64 = AtomicU64::new(0);
        let id = format!("request-{:06}", REQUESTS.fetch_add(1, Ordering::SeqCst));
        let deadline_ms = SystemClock.now().after(call.timeout).as_millis();
        self.answers.lock().unwrap().insert(id.clone(), call.answer);
        // The receiver is dropped only if the process was killed before.
        let _ = call.taken.send((id.clone(), Instant::now()));
        let headers = [
            format!("lambda-runtime-aws-request-id: {id}"),
            format!("lambda-runtime-deadline-ms: {deadline_ms}"),
            format!(
                "lambda-runtime-invoked-function-arn: arn:aws:lambda:us-east-1:111122223333:function:{}",
                self.name
            ),
            format!("content-length: {}", call.event.len()),
        ];
        format!("HTTP/1.1 200 OK\r\n{}\r\n\r\n{}", headers.join("\r\n"), call.event)
    }

    fn done(&self, id: &str, outcome: Outcome) -> String {
        if let Some(answer) = self.answers.lock().unwrap().remove(id) {
            let _ = answer.send(outcome);
        }
        "HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n".to_owned()
    }
}

/// The path and the body of an HTTP/1.1 request with a content length.
async fn read_request(stream: &mut BufReader<TcpStream>) -> Option<(String, String)> {
    let (mut path, mut length) = (None, 0);
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        let header = line.trim_end().to_ascii_lowercase();
        if path.is_none() {
            path = Some(line.split(' ').nth(1)?.to_owned());
        } else if let Some(value) = header.strip_prefix("content-length:") {
            length = value.trim().parse().ok()?;
        } else if header.is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((path?, String::from_utf8(body).ok()?))
}
