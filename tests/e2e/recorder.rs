//! An endpoint for all services of AWS that notes each call and passes it on: to the embedded engine
//! or to moto. The access key of a call says who makes it.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};
use stentor::adapters::http;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub struct Recorder {
    address: SocketAddr,
    shared: Arc<Shared>,
    server: JoinHandle<()>,
}

struct Shared {
    engine: String,
    moto: String,
    client: reqwest::Client,
    calls: Mutex<Vec<Value>>,
}

struct Request {
    method: String,
    path: String,
    headers: HashMap<String, String>,
    body: Vec<u8>,
}

impl Recorder {
    pub async fn start(engine: &str, moto: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            engine: engine.to_owned(),
            moto: moto.to_owned(),
            client: http::client().unwrap(),
            calls: Mutex::default(),
        });
        let server = tokio::spawn({
            let shared = Arc::clone(&shared);
            async move {
                while let Ok((caller, _)) = listener.accept().await {
                    let shared = Arc::clone(&shared);
                    tokio::spawn(async move { serve(caller, &shared).await });
                }
            }
        });
        Self { address, shared, server }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Writes the calls so far into a file, a line each.
    pub fn write(&self, name: &str) -> PathBuf {
        let file = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name);
        let calls = self.shared.calls.lock().unwrap();
        let lines: String = calls.iter().map(|call| format!("{call}\n")).collect();
        std::fs::write(&file, lines).unwrap();
        file
    }
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Serves the requests of one connection until either side closes it.
async fn serve(caller: TcpStream, shared: &Shared) {
    let mut caller = BufReader::new(caller);
    while let Some(request) = read(&mut caller).await {
        let answer = shared.pass_on(request).await;
        if caller.get_mut().write_all(&answer).await.is_err() {
            return;
        }
    }
}

impl Shared {
    async fn pass_on(&self, request: Request) -> Vec<u8> {
        // Credential=KEY/date/region/service/aws4_request
        let header = |name: &str| request.headers.get(name).map_or("", String::as_str);
        let credential = header("authorization").split("Credential=").nth(1).unwrap_or_default();
        let parts: Vec<&str> = credential.split('/').collect();
        let (principal, service) = (parts[0], parts.get(3).copied().unwrap_or_default());
        self.calls.lock().unwrap().push(json!({
            "principal": principal, "service": service, "target": header("x-amz-target"),
            "path": request.path, "body": String::from_utf8_lossy(&request.body),
        }));
        if header("x-amz-target").ends_with(".DescribeAccountPolicies") {
            // moto does not know this one.
            let body = r#"{"accountPolicies":[]}"#;
            return format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len())
                .into();
        }
        let upstream = if service == "dynamodb" { &self.engine } else { &self.moto };
        let method = request.method.parse().unwrap();
        let mut passed = self.client.request(method, format!("{upstream}{}", request.path));
        for (name, value) in &request.headers {
            if !["host", "content-length", "connection", "accept-encoding"].contains(&&**name) {
                passed = passed.header(name, value);
            }
        }
        let answer = passed.body(request.body).send().await.unwrap();
        let mut head = format!("HTTP/1.1 {}\r\n", answer.status());
        for (name, value) in answer.headers() {
            if !["content-length", "transfer-encoding", "connection"].contains(&name.as_str()) {
                head += &format!("{name}: {}\r\n", value.to_str().unwrap());
            }
        }
        let body = http::body(answer, 8 << 20).await.unwrap();
        head += &format!("content-length: {}\r\n\r\n", body.len());
        [head.into_bytes(), body].concat()
    }
}

/// An HTTP/1.1 request whose body has a content length.
async fn read(stream: &mut BufReader<TcpStream>) -> Option<Request> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await.ok()? == 0 {
            return None;
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let mut first = lines.first()?.split(' ').map(str::to_owned);
    let (method, path) = (first.next()?, first.next()?);
    let header = |line: &String| {
        let (name, value) = line.split_once(':')?;
        Some((name.to_ascii_lowercase(), value.trim().to_owned()))
    };
    let headers: HashMap<String, String> = lines[1..].iter().filter_map(header).collect();
    if headers.get("expect").is_some_and(|what| what == "100-continue") {
        stream.get_mut().write_all(b"HTTP/1.1 100 Continue\r\n\r\n").await.ok()?;
    }
    let length = headers.get("content-length").map_or(Ok(0), |length| length.parse()).ok()?;
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some(Request { method, path, headers, body })
}
