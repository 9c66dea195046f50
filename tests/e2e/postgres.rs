//! The functions on PostgreSQL: the variables of the template, a secret as RDS writes it, and the role
//! that has only what the functions need.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde_json::{Value, json};
use stentor::adapters::clock::SystemClock;
use stentor::adapters::postgres::PostgresStore;
use stentor::adapters::postgres::schema::Roles;
use stentor::protocol::clock::{Clock as _, Deadline};

use crate::deployment::Deployment;
use crate::emulator::Surroundings;
use crate::mapping::{Shard, data};
use crate::runtime::Outcome;
use crate::support::postgres::{self, PASSWORD, PostgresServer};
use crate::webhooks::HookAnswer;

const DATABASE: &str = "logs";
const ROLE: &str = "stentor_function";
const SECRET: &str = "stentor/database";

/// A server with the schema, and a role of the functions.
pub struct FunctionDatabase {
    pub server: Arc<PostgresServer>,
    /// As the owner.
    pub store: PostgresStore,
}

impl FunctionDatabase {
    pub async fn start() -> Self {
        let server = Arc::new(PostgresServer::start());
        server.create(DATABASE, None);
        server.query(DATABASE, &format!("CREATE ROLE {ROLE} LOGIN PASSWORD '{PASSWORD}'"));
        let store = postgres::store(&postgres::url(server.port, DATABASE), SystemClock);
        let roles = Roles { function: Some(ROLE.to_owned()), reader: None };
        let deadline = Deadline::after(SystemClock.now(), std::time::Duration::from_secs(60));
        store.migrate(&roles, deadline).await.unwrap();
        Self { server, store }
    }

    /// The functions of a stack with this database. DynamoDB is out of their reach.
    pub async fn deploy(
        &self,
        name: &str,
        config: &str,
        decide: impl Fn() -> HookAnswer + Send + Sync + 'static,
    ) -> Deployment {
        let surroundings = Surroundings::start("").await;
        let secret = json!({
            "engine": "postgres", "host": "127.0.0.1", "port": self.server.port, "username": ROLE,
            "password": PASSWORD, "dbname": DATABASE,
        });
        surroundings.secret(SECRET, &secret).await;
        let moto = surroundings.aws.endpoint_url().unwrap().to_owned();
        let more = [
            ("DATABASE_SECRET_ID", SECRET),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", &moto),
            ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9"),
        ];
        Deployment::within(surroundings, name, config, &more, decide).await
    }

    /// The event id and the routes of each row.
    pub fn rows(&self) -> BTreeMap<String, BTreeSet<String>> {
        let sql =
            "SELECT COALESCE(json_agg(json_build_array(log_id, routes)), '[]') FROM stentor.alerts";
        let rows: Vec<(String, BTreeSet<String>)> =
            serde_json::from_str(&self.server.query(DATABASE, sql)).unwrap();
        let event_id = |id: &str| id.rsplit_once('-').unwrap().0.to_owned();
        let ids: BTreeMap<_, _> =
            rows.iter().map(|(id, routes)| (event_id(id), routes.clone())).collect();
        assert_eq!(ids.len(), rows.len(), "no alert has two rows");
        let keys = self.server.query(DATABASE, "SELECT count(*) FROM stentor.alert_ids");
        assert_eq!(keys, rows.len().to_string(), "each row has its key");
        ids
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_functions_work_on_postgres() {
    let config = "[[route]]\nname=\"critical\"\nmarkers=[\"[CRITICAL]\"]\nnotify=[\"slack:one\"]";
    let database = FunctionDatabase::start().await;
    let deployment = database.deploy("postgres", config, || HookAnswer::Accepted).await;
    let (consumer, notifier) = (&deployment.consumers[0], &deployment.notifiers[0]);
    let mut shard = Shard::new("shardId-000000000000".to_owned());
    let lines = ["[CRITICAL] pool exhausted", "[INFO] started", "[CRITICAL] disk full\0"];
    shard.put(data("stream", lines.iter().map(|line| (*line, (*line).to_owned()))));
    let done = Outcome::Answered(json!({"batchItemFailures": []}));
    // The second time, both alerts are duplicates.
    for _ in 0..2 {
        assert_eq!(consumer.invoke(&shard.rest(), None).await, done, "{}", consumer.log());
    }
    let kept = |summary: &Value| (summary["kept"].as_u64(), summary["duplicates"].as_u64());
    let summaries = consumer.summaries();
    let mut counts: Vec<_> = summaries.values().map(kept).collect();
    counts.sort();
    assert_eq!(counts, [(Some(0), Some(2)), (Some(2), Some(0))], "{summaries:?}");
    assert_eq!(deployment.due.poll(notifier, None).await, Some(done), "{}", notifier.log());
    let posts = deployment.slack.posts();
    assert_eq!((posts.len(), posts[0].alerts), (1, 2));
    assert_eq!(database.rows().len(), 2);
    // The sweep finds nothing to do, and maintains the tables.
    let swept = notifier.invoke(&json!({"stentor": "sweep"}), None).await;
    assert_eq!(swept, Outcome::Answered(Value::Null), "{}", notifier.log());
    assert_eq!(deployment.slack.posts().len(), 1);
    for function in [consumer, notifier] {
        let log = function.log();
        assert!(!log.contains(PASSWORD) && !log.contains("ERROR"), "{log}");
    }
}
