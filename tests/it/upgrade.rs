//! The data of the previous version under this one: rows, tallies, epochs, cursors, targets, due
//! messages and dead letters, as that version wrote them. Each release adds a file to `upgrade/`: name it
//! in `PREVIOUS`, and run the test with `STENTOR_LEAVE_DATA=1`. A file that exists is never written again.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};
use stentor::adapters::embedded::Embedded;
use stentor::protocol::clock::Clock as _;
use stentor::protocol::close::close;
use stentor::protocol::consume::consume;
use stentor::protocol::dead_letter::ParkedItem;
use stentor::protocol::notify::{DeliverError, DeliveryFailure, FailureCode};
use stentor::protocol::queue::Due;
use stentor::protocol::store::{Store as _, StoreError};

use crate::support::{CrashSwitch, Process, batch, poison, record};

/// The file of the version before this one. Before the first release it is that of this version.
const PREVIOUS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/upgrade/0.2.0.json");

/// One epoch that each target has, one that `slack:two` does not have yet, and a window with alerts.
const LINES: [[&str; 2]; 3] = [
    ["[CRITICAL] pool exhausted after 120 ms", "[INFO] started"],
    ["[CRITICAL] pool exhausted after 250 ms", "[CRITICAL] disk full"],
    ["[CRITICAL] out of memory", "[CRITICAL] disk full"],
];

/// The data that one version leaves for the next, as JSON.
async fn leave() -> Value {
    let engine = Embedded::start(None).await.unwrap();
    let switch = CrashSwitch::default();
    let process = Process::start(&engine, &switch, true).await;
    let route = "critical".parse().unwrap();
    for (n, lines) in LINES.iter().enumerate() {
        let name = format!("shardId-000000000000:4959000000000000{n}");
        consume(&process, &batch(vec![record(&name, lines)]), process.deadline()).await;
        if n == 1 {
            let reason = DeliveryFailure::new(FailureCode::RateLimited, "429");
            let busy = DeliverError::Retry { after: Some(Duration::from_secs(60)), reason };
            let mut answers = process.targets.answers.lock().unwrap();
            answers.insert("slack:two".parse().unwrap(), vec![busy]);
        }
        if n < 2 {
            process.clock.forward(Duration::from_secs(130));
            close(&process, &route, 0, process.deadline()).await;
        }
    }
    // A record that cannot be read, a message that a target refuses, a mute and a lag.
    consume(&process, &batch(vec![poison("shardId-000000000000:1")]), process.deadline()).await;
    let refused =
        DeliverError::Refused { reason: DeliveryFailure::new(FailureCode::Client, "404") };
    process.targets.answers.lock().unwrap().insert("slack:one".parse().unwrap(), vec![refused]);
    let info = "info".parse().unwrap();
    close(&process, &info, 0, process.deadline()).await;
    let later = process.clock.now().after(Duration::from_secs(600));
    process.store.mute(&info, Some(later), process.deadline()).await.unwrap();
    process.store.note_lag(later, process.deadline()).await.unwrap();

    let parked = process.dead_letters.parked.lock().unwrap().clone();
    assert_eq!(parked.len(), 2, "a record and a message");
    let due = process.due.as_ref().unwrap().sent.lock().unwrap().clone();
    json!({
        "AppLogs": items(&process, &process.store.inner.tables().alerts).await,
        "Outbox": items(&process, &process.store.inner.tables().outbox).await,
        "due": due.iter().map(|(due, _)| due).collect::<Vec<_>>(),
        "dead_letters": parked.iter().map(ParkedItem::to_json).collect::<Vec<_>>(),
    })
}

async fn items(process: &Process<'_>, table: &str) -> Vec<Value> {
    let scan = process.store.inner.client().scan().table_name(table).consistent_read(true);
    let found = scan.into_paginator().items().send().collect::<Result<Vec<_>, _>>().await.unwrap();
    let mut items: Vec<Value> = found
        .into_iter()
        .map(|item| {
            let sorted: BTreeMap<_, _> =
                item.iter().map(|(name, value)| (name, json_of(value))).collect();
            json!(sorted)
        })
        .collect();
    items.sort_by_cached_key(Value::to_string);
    items
}

/// A value as DynamoDB writes it in JSON.
fn json_of(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(number) => json!({"N": number}),
        AttributeValue::B(bytes) => json!({"B": STANDARD.encode(bytes.as_ref())}),
        AttributeValue::Bool(is) => json!({"BOOL": is}),
        AttributeValue::Ss(texts) => json!({"SS": texts}),
        AttributeValue::L(list) => json!({"L": list.iter().map(json_of).collect::<Vec<_>>()}),
        AttributeValue::M(map) => {
            json!({"M": map.iter().map(|(name, value)| (name.clone(), json_of(value))).collect::<Map<_, _>>()})
        }
        other => panic!("add {other:?} here"),
    }
}

fn value_of(json: &Value) -> AttributeValue {
    let (kind, value) = json.as_object().unwrap().iter().next().unwrap();
    let text = || value.as_str().unwrap().to_owned();
    match kind.as_str() {
        "S" => AttributeValue::S(text()),
        "N" => AttributeValue::N(text()),
        "B" => AttributeValue::B(Blob::new(STANDARD.decode(text()).unwrap())),
        "BOOL" => AttributeValue::Bool(value.as_bool().unwrap()),
        "SS" => {
            let texts = value.as_array().unwrap().iter();
            AttributeValue::Ss(texts.map(|text| text.as_str().unwrap().to_owned()).collect())
        }
        "L" => AttributeValue::L(value.as_array().unwrap().iter().map(value_of).collect()),
        "M" => {
            let map = value.as_object().unwrap().iter();
            AttributeValue::M(map.map(|(name, value)| (name.clone(), value_of(value))).collect())
        }
        other => panic!("add {other} here"),
    }
}

/// Puts the data of the previous version into the tables of a process of this one.
async fn inherit(process: &Process<'_>, left: &Value) {
    let tables = process.store.inner.tables();
    for (name, table) in [("AppLogs", &tables.alerts), ("Outbox", &tables.outbox)] {
        for item in left[name].as_array().unwrap() {
            let mut put = process.store.inner.client().put_item().table_name(table);
            for (attribute, value) in item.as_object().unwrap() {
                put = put.item(attribute, value_of(value));
            }
            put.send().await.unwrap();
        }
    }
}

async fn previous() -> Value {
    if std::env::var_os("STENTOR_LEAVE_DATA").is_some() {
        assert!(!std::path::Path::new(PREVIOUS).exists(), "{PREVIOUS} belongs to its version");
        let left = serde_json::to_string_pretty(&leave().await).unwrap();
        std::fs::write(PREVIOUS, left + "\n").unwrap();
    }
    serde_json::from_slice(&std::fs::read(PREVIOUS).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_of_the_previous_version_is_delivered() {
    let left = previous().await;
    let engine = Embedded::start(None).await.unwrap();
    let switch = CrashSwitch::default();
    let process = Process::start(&engine, &switch, true).await;
    inherit(&process, &left).await;
    assert_eq!(process.rows_and_counts("critical").await, (5, 5));
    assert_eq!(process.rows_and_counts("info").await, (1, 1));

    // A record that comes again is a duplicate.
    let again = record("shardId-000000000000:49590000000000000", &LINES[0]);
    let consumed = consume(&process, &batch(vec![again]), process.deadline()).await;
    assert_eq!((consumed.counts.duplicates, consumed.counts.kept), (2, 0));

    // The open window is closed, and each target gets what it is owed.
    process.clock.forward(Duration::from_secs(700));
    for _ in 0..2 {
        close(&process, &"critical".parse().unwrap(), 0, process.deadline()).await;
        process.clock.forward(Duration::from_secs(700));
    }
    assert_eq!(process.delivered("critical", "slack:one"), 2, "the window");
    assert_eq!(
        process.delivered("critical", "slack:two"),
        4,
        "the window and the epoch it is owed"
    );
    let row = &left["AppLogs"][0]["log_id"]["S"];
    let row = process.store.inner.alert(row.as_str().unwrap(), process.deadline()).await.unwrap();
    assert!(row.is_some_and(|row| row.message.contains('[') && !row.pattern.is_empty()));

    for body in left["due"].as_array().unwrap() {
        serde_json::from_value::<Due>(body.clone()).unwrap();
    }
    for body in left["dead_letters"].as_array().unwrap() {
        ParkedItem::from_json(body.as_str().unwrap()).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn data_of_a_version_that_is_not_known_is_refused_and_not_lost() {
    let left = previous().await;
    let engine = Embedded::start(None).await.unwrap();
    let switch = CrashSwitch::default();
    let process = Process::start(&engine, &switch, true).await;
    inherit(&process, &left).await;
    // A form of the tally that this version cannot unpack.
    let outbox = &process.store.inner.tables().outbox;
    for item in left["Outbox"].as_array().unwrap().iter().filter(|item| item["tally"].is_object()) {
        let mut put = process.store.inner.client().put_item().table_name(outbox);
        for (attribute, value) in item.as_object().unwrap() {
            let later = AttributeValue::B(Blob::new(*b"a later form"));
            let value = if attribute == "tally" { later } else { value_of(value) };
            put = put.item(attribute, value);
        }
        put.send().await.unwrap();
    }
    process.clock.forward(Duration::from_secs(700));
    close(&process, &"critical".parse().unwrap(), 0, process.deadline()).await;
    let route = "critical".parse().unwrap();
    let page = process.store.tallies(&route, None, 9, process.deadline());
    assert!(matches!(page.await, Err(StoreError::Refused(_))), "a person has to look");
    assert_eq!(process.delivered("critical", "slack:one"), 0, "no message without its alerts");
}
