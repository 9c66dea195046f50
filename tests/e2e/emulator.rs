//! Lambda on this machine: the function under Amazon's runtime interface emulator, with moto for
//! SQS and Secrets Manager, the embedded engine behind a proxy that can fail, and a webhook.

use std::net::TcpListener;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use aws_sdk_secretsmanager as secrets;
use aws_sdk_sqs as sqs;
use serde_json::{Value, json};
use stentor::adapters::aws::loopback;
use stentor::adapters::dynamodb::DynamoStore;
use stentor::adapters::embedded::Embedded;
use tokio::sync::{RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::python::python;
use crate::support::proxy::Proxy;

/// A process that ends when this is dropped, with its child processes.
#[derive(Debug)]
struct Process(Child);

impl Process {
    fn start(command: &mut Command) -> Self {
        // Its own process group, so that its child processes can be ended with it.
        Self(
            command
                .process_group(0)
                .stdin(Stdio::null())
                .spawn()
                .unwrap_or_else(|error| panic!("{command:?}: {error}")),
        )
    }

    fn kill(&mut self) {
        let group = format!("-{}", self.0.id());
        Command::new("kill").args(["-KILL", "--", &group]).stderr(Stdio::null()).status().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Tests run concurrently, except for those that measure time or memory, which run alone.
static MACHINE: RwLock<()> = RwLock::const_new(());

/// The permission of a test to run, while this is held.
#[expect(dead_code, reason = "guards are held, not read")]
enum Share {
    Part(RwLockReadGuard<'static, ()>),
    Whole(RwLockWriteGuard<'static, ()>),
}

/// The services around the function.
pub struct Surroundings {
    engine: Embedded,
    pub store: DynamoStore,
    pub proxy: Proxy,
    _moto: Process,
    pub aws: aws_types::SdkConfig,
    pub queue_url: String,
    _share: Share,
}

/// A running function.
pub struct Function {
    process: Process,
    url: String,
    log: PathBuf,
}

/// The name of the secret.
const SECRET: &str = "stentor/targets";

impl Surroundings {
    /// `webhook` is the credential of target `slack:default`. A test has only one of these: a
    /// second one could wait for a test that waits for the first.
    pub async fn start(webhook: &str) -> Self {
        Self::with(Share::Part(MACHINE.read().await), webhook).await
    }

    /// For a test that measures: no other test runs at the same time.
    pub async fn start_alone(webhook: &str) -> Self {
        Self::with(Share::Whole(MACHINE.write().await), webhook).await
    }

    async fn with(share: Share, webhook: &str) -> Self {
        let engine = Embedded::start(None).await.unwrap();
        let store = engine.store().await.unwrap();
        let proxy = Proxy::start(engine.address()).await;
        let port = free_port();
        let server = python().with_file_name("moto_server");
        let mut command = Command::new(server);
        command
            .args(["-H", "127.0.0.1", "-p", &port.to_string()])
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        let moto = Process::start(&mut command);
        let endpoint = format!("http://127.0.0.1:{port}");
        until_it_answers(&format!("{endpoint}/moto-api/")).await;
        let aws = loopback(&endpoint);
        let queue = sqs::Client::new(&aws).create_queue().queue_name("dlq").send().await.unwrap();
        let queue_url = queue.queue_url.expect("a queue has a URL");
        let surroundings =
            Self { engine, store, proxy, _moto: moto, aws, queue_url, _share: share };
        let create = secrets::Client::new(&surroundings.aws).create_secret().name(SECRET);
        create.secret_string(secret(webhook)).send().await.unwrap();
        surroundings
    }

    /// Creates a due queue that gives up after 200 receives, and returns its URL.
    pub async fn due_queue(&self, visibility_timeout_s: u32) -> String {
        let client = sqs::Client::new(&self.aws);
        let dead_letters = client.get_queue_attributes().queue_url(&self.queue_url);
        let dead_letters = dead_letters
            .attribute_names(sqs::types::QueueAttributeName::QueueArn)
            .send()
            .await
            .unwrap();
        let (_, arn) = dead_letters.attributes.unwrap().into_iter().next().unwrap();
        let redrive = json!({"deadLetterTargetArn": arn, "maxReceiveCount": 200}).to_string();
        let queue = client.create_queue().queue_name("due");
        let queue = queue.attributes(sqs::types::QueueAttributeName::RedrivePolicy, redrive);
        let visibility = visibility_timeout_s.to_string();
        let queue = queue.attributes(sqs::types::QueueAttributeName::VisibilityTimeout, visibility);
        queue.send().await.unwrap().queue_url.unwrap()
    }

    /// Creates a due queue, and the notifier of the stack `stentor` with its environment, as the
    /// template does. Returns the URL of the due queue.
    pub async fn deploy(&self) -> String {
        const NOTIFIER: &str = r#"
import boto3, json, os
aws = lambda name: boto3.client(name, region_name="us-east-1", endpoint_url=os.environ["MOTO"],
                                aws_access_key_id="test", aws_secret_access_key="test")
role = aws("iam").create_role(RoleName="notifier", AssumeRolePolicyDocument="{}")["Role"]["Arn"]
aws("lambda").create_function(FunctionName="stentor-notifier", Runtime="provided.al2023", Role=role, Handler="x",
    Code={"ZipFile": b"zip"}, Environment={"Variables": json.loads(os.environ["VARIABLES"])})
"#;
        let due_url = self.due_queue(360).await;
        let variables = json!({
            "ALERTS_TABLE": "AppLogs", "OUTBOX_TABLE": "Outbox", "ALERTS_RETENTION_DAYS": "90",
            "DLQ_URL": self.queue_url, "DUE_QUEUE_URL": due_url, "STENTOR_SECRET_ID": SECRET,
            "STENTOR_STACK": "stentor",
        });
        let mut command = tokio::process::Command::new(python());
        command.args(["-c", NOTIFIER]).env("MOTO", self.aws.endpoint_url().unwrap());
        let output = command.env("VARIABLES", variables.to_string()).output().await.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        due_url
    }

    /// Creates another secret.
    pub async fn secret(&self, name: &str, value: &Value) {
        let create = secrets::Client::new(&self.aws).create_secret().name(name);
        create.secret_string(value.to_string()).send().await.unwrap();
    }

    /// The environment variables with which a process finds all this, without the proxy.
    pub fn environment(&self) -> Vec<(String, String)> {
        let moto = self.aws.endpoint_url().unwrap();
        let variables = [
            ("AWS_REGION", "us-east-1"),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_ENDPOINT_URL_DYNAMODB", &self.engine.endpoint()),
            ("AWS_ENDPOINT_URL_SQS", moto),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", moto),
            ("DLQ_URL", &self.queue_url),
        ];
        variables.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    /// The endpoint of DynamoDB, without the proxy.
    pub fn engine_endpoint(&self) -> String {
        self.engine.endpoint()
    }

    /// Empties the store, also for running functions.
    pub async fn renew_store(&mut self) {
        self.engine = Embedded::start(None).await.unwrap();
        self.store = self.engine.store().await.unwrap();
        self.proxy.lead_to(self.engine.address());
    }

    /// The SDK's configuration for SQS, Kinesis and Secrets Manager.
    pub fn aws(&self) -> &aws_types::SdkConfig {
        &self.aws
    }

    /// Sends a message to the dead-letter queue.
    pub async fn send(&self, body: &str) {
        let send = sqs::Client::new(&self.aws)
            .send_message()
            .queue_url(&self.queue_url)
            .message_body(body);
        send.send().await.unwrap();
    }

    /// The command line, with only the environment of this stack.
    pub fn stentor(&self, arguments: &[&str]) -> Command {
        let moto = self.aws.endpoint_url().unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
        command
            .args(arguments)
            .env_clear()
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .stdin(Stdio::null())
            .envs([
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("AWS_ENDPOINT_URL", moto),
                ("AWS_ENDPOINT_URL_DYNAMODB", &self.proxy.endpoint()),
                ("DLQ_URL", &self.queue_url),
                ("STENTOR_SECRET_ID", SECRET),
                ("STENTOR_CONFIG", "config/stentor.toml"),
            ]);
        command
    }

    /// Replaces the credential.
    pub async fn rotate(&self, webhook: &str) {
        let put = secrets::Client::new(&self.aws).put_secret_value().secret_id(SECRET);
        put.secret_string(secret(webhook)).send().await.unwrap();
    }

    /// Receives and deletes all messages of the dead-letter queue.
    pub async fn parked(&self) -> Vec<Value> {
        let client = sqs::Client::new(&self.aws);
        let mut parked = Vec::new();
        loop {
            let page = client
                .receive_message()
                .queue_url(&self.queue_url)
                .max_number_of_messages(10)
                .send()
                .await
                .unwrap();
            let messages = page.messages.unwrap_or_default();
            if messages.is_empty() {
                return parked;
            }
            for message in messages {
                parked.push(serde_json::from_str(message.body().unwrap()).unwrap());
                let delete = client.delete_message().queue_url(&self.queue_url);
                delete.receipt_handle(message.receipt_handle().unwrap()).send().await.unwrap();
            }
        }
    }

    /// Rows of the audit table.
    pub async fn rows(&self) -> usize {
        let scan = self
            .store
            .client()
            .scan()
            .table_name(&self.store.tables().alerts)
            .consistent_read(true);
        let rows: Result<Vec<_>, _> = scan.into_paginator().items().send().collect().await;
        rows.unwrap().len()
    }

    /// Starts the function under the emulator. `more` is added to its environment, and takes
    /// precedence.
    pub async fn function(&self, timeout_s: u32, more: &[(&str, &str)]) -> Function {
        let (port, runtime_port) = (free_port(), free_port());
        let log = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("function-{port}.log"));
        let out = std::fs::File::create(&log).unwrap();
        let moto = self.aws.endpoint_url().unwrap();
        let mut command = Command::new(emulator());
        command
            .args(["--runtime-interface-emulator-address", &format!("127.0.0.1:{port}")])
            .args(["--runtime-api-address", &format!("127.0.0.1:{runtime_port}")])
            .arg(env!("CARGO_BIN_EXE_stentor-lambda"))
            .env_clear()
            .envs([
                ("AWS_LAMBDA_FUNCTION_NAME", "stentor-consumer"),
                ("AWS_LAMBDA_FUNCTION_TIMEOUT", &timeout_s.to_string()),
                ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512"),
                ("AWS_REGION", "us-east-1"),
                ("AWS_ACCESS_KEY_ID", "test"),
                ("AWS_SECRET_ACCESS_KEY", "test"),
                ("AWS_ENDPOINT_URL_DYNAMODB", &self.proxy.endpoint()),
                ("AWS_ENDPOINT_URL_SQS", moto),
                ("AWS_ENDPOINT_URL_SECRETS_MANAGER", moto),
                ("DLQ_URL", &self.queue_url),
                ("STENTOR_SECRET_ID", SECRET),
            ])
            .envs(more.iter().copied())
            .stdout(out.try_clone().unwrap())
            .stderr(out);
        let process = Process::start(&mut command);
        until_it_listens(port).await;
        let url = format!("http://127.0.0.1:{port}/2015-03-31/functions/function/invocations");
        Function { process, url, log }
    }
}

impl Function {
    /// The answer of one invocation as text, because the answer to a time-out or a crash is not
    /// JSON.
    pub async fn invoke(&self, payload: &str) -> String {
        // An invocation may be silent for longer than the program waits for a server.
        let client = stentor::adapters::http::upload_client().unwrap();
        let post = client.post(&self.url).body(payload.to_owned()).timeout(Duration::from_secs(60));
        match post.send().await {
            Ok(answer) => String::from_utf8(
                stentor::adapters::http::body(answer, stentor::adapters::http::BODY_BYTES_MAX)
                    .await
                    .unwrap(),
            )
            .unwrap(),
            Err(error) => format!("no answer: {error}"),
        }
    }

    /// The answer as JSON.
    pub async fn answer(&self, payload: &str) -> Value {
        let text = self.invoke(payload).await;
        serde_json::from_str(&text).unwrap_or_else(|_| panic!("{text}\n{}", self.log()))
    }

    /// The log of the function and the emulator.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    /// The summary lines of the function, one per invocation.
    pub fn summaries(&self) -> Vec<Value> {
        let lines = self.log();
        let json = lines.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        // The lines with the metrics of a route or a target have no duration.
        json.filter(|line| line["_aws"].is_object() && line["duration"].is_number()).collect()
    }

    /// Kills the emulator and the function at once.
    pub fn kill(mut self) {
        self.process.kill();
    }
}

fn secret(webhook: &str) -> String {
    json!({ "slack:default": webhook }).to_string()
}

/// The emulator that ships inside `aws-sam-cli`.
fn emulator() -> PathBuf {
    let lib = python().parent().unwrap().with_file_name("lib");
    let version = std::fs::read_dir(lib).unwrap().next().unwrap().unwrap().path();
    let name = if cfg!(target_arch = "aarch64") {
        "aws-lambda-rie-arm64"
    } else {
        "aws-lambda-rie-x86_64"
    };
    let rie = version.join("site-packages/samcli/local/rapid").join(name);
    // A wheel does not always have the permission to execute.
    Command::new("chmod").arg("+x").arg(&rie).status().unwrap();
    rie
}

/// A free port, which no other caller in this process gets.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = 20_000 + u16::try_from(std::process::id() % 200).unwrap() * 50;
    let mut ports = std::iter::repeat_with(|| base + NEXT.fetch_add(1, Ordering::SeqCst));
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

fn client() -> reqwest::Client {
    stentor::adapters::http::client().unwrap()
}

/// Waits for a server without a limit, and reports it when it takes long.
async fn until_it_answers(url: &str) {
    for _ in 0..600 {
        if client().get(url).send().await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    panic!("{url} never answered");
}

async fn until_it_listens(port: u16) {
    for _ in 0..600 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    panic!("nothing listens on {port}");
}
