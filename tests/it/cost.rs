//! Compares the coefficients of `stentor cost` with the production code: the sizes of records, rows
//! and tallies, and the units that the embedded engine charges for commits, bursts and sweeps. The
//! engine charges as DynamoDB does, and its authors captured from AWS what an index costs in a
//! transaction.

use std::io::Read as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::{CrashSwitch, Process, batch, record};
use aws_sdk_dynamodb::types::AttributeValue;
use aws_smithy_runtime_api::client::http::{
    HttpClient as _, HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::byte_stream::ByteStream;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::MultiGzDecoder;
use flate2::write::DeflateEncoder;
use serde_json::{Value, json};
use stentor::adapters::aws::loopback;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::table::BY_HOUR_COLUMNS;
use stentor::adapters::dynamodb::{DynamoStore, Tables};
use stentor::adapters::embedded::Embedded;
use stentor::config::Config;
use stentor::ingest::decode;
use stentor::ingest::event::{self, Data};
use stentor::ingest::route::Routes;
use stentor::model::alert::Alert;
use stentor::model::name::RouteName;
use stentor::model::tally::Tally;
use stentor::ops::cost::{ASSUMPTIONS, Workload};
use stentor::ops::sample::{self, SampleEvent, SampleOptions};
use stentor::protocol::clock::{Clock, Deadline};
use stentor::protocol::close::close;
use stentor::protocol::consume::consume;
use stentor::protocol::notifier::sweep;
use stentor::protocol::store::{Commit, Store as _};

/// The value of a coefficient.
#[track_caller]
fn model(code: &str) -> f64 {
    ASSUMPTIONS
        .iter()
        .find(|assumption| assumption.code == code)
        .unwrap_or_else(|| panic!("no {code}"))
        .value
}

#[track_caller]
fn within(share: f64, found: f64, expected: f64, what: &str) {
    println!("{what}: found {found:.3}, the model says {expected:.3}");
    assert!(
        (found / expected - 1.0).abs() <= share,
        "{what}: found {found}, the model says {expected}"
    );
}

/// Records of log events from many places, as an invocation has them.
fn payload(records: usize, events_per_record: usize, match_ratio: f64) -> String {
    let options = SampleOptions {
        records,
        events_per_record,
        match_ratio,
        accounts: 20,
        log_groups: 50,
        ..SampleOptions::default()
    };
    let SampleEvent::Kinesis(event) = sample::event(&options) else {
        panic!("the default shape is Kinesis")
    };
    serde_json::to_string(&json!({"Records": event.records})).unwrap()
}

/// Alerts of many places and patterns.
fn alerts(n: usize) -> Vec<Alert> {
    let text = payload(n, 1, 1.0);
    let batch = event::parse(&text, "cost").unwrap();
    let routes = Routes::new(&Config::builtin()).unwrap();
    let read = decode::all(&batch.records, routes.decoder(), |record, head, events| {
        routes.scan(head, events, record.region.as_deref(), &record.event_id)
    });
    let alerts: Vec<Alert> =
        read.into_iter().flat_map(|record| record.content.unwrap().alerts).collect();
    assert_eq!(alerts.len(), n);
    alerts
}

fn average(of: impl Iterator<Item = usize>, n: usize) -> f64 {
    of.sum::<usize>() as f64 / n as f64
}

#[test]
fn records_are_as_large_as_the_model_says() {
    for events_per_record in [10_usize, 20, 100, 1_000] {
        let text = payload((2_000 / events_per_record).max(20), events_per_record, 0.001);
        let batch = event::parse(&text, "cost").unwrap();
        let (mut records, mut packed, mut unpacked, mut messages, mut events) = (0, 0, 0, 0, 0);
        for record in &batch.records {
            let Data::Base64(data) = &record.data else { panic!("a record of a stream") };
            let gzip = STANDARD.decode(data.as_bytes()).unwrap();
            let mut json = Vec::new();
            MultiGzDecoder::new(&gzip[..]).read_to_end(&mut json).unwrap();
            let message: Value = serde_json::from_slice(&json).unwrap();
            for event in message["logEvents"].as_array().unwrap() {
                messages += event["message"].as_str().unwrap().len();
                events += 1;
            }
            (records, packed, unpacked) = (records + 1, packed + gzip.len(), unpacked + json.len());
        }
        let workload = Workload {
            event_bytes: u32::try_from(messages / events).unwrap(),
            events_per_record: u32::try_from(events_per_record).unwrap(),
            ..Workload::default()
        };
        let (records, events) = (f64::from(records), events as f64);
        let json = records * model("record-json-bytes")
            + events * model("event-json-bytes")
            + messages as f64;
        within(0.02, unpacked as f64, json, "JSON");
        within(0.1, packed as f64 / records, workload.record_bytes(), "gzip of a record");
        within(
            0.05,
            f64::from(Workload::default().event_bytes),
            messages as f64 / events,
            "the default log event",
        );
    }
}

#[test]
fn tallies_and_epochs_are_as_large_as_the_model_says() {
    let packed_bytes = |tally: &Tally| {
        let mut packed = DeflateEncoder::new(Vec::new(), Compression::default());
        serde_json::to_writer(&mut packed, tally).unwrap();
        packed.finish().unwrap().len() as f64
    };
    let alerts = alerts(1_000);
    for n in [1, 5, 10, 20, 99] {
        // Chunks of the same size vary with the patterns that they happen to have.
        let tallies: Vec<Tally> = alerts.chunks_exact(n).map(Tally::of).collect();
        let found = tallies.iter().map(packed_bytes).sum::<f64>() / tallies.len() as f64;
        let grown = model("tally-bytes") + model("tally-alert-bytes") * n as f64;
        within(0.25, found, grown.min(model("tally-bytes-max")), &format!("a tally of {n} alerts"));
    }
    let tallies: Vec<Tally> = alerts.chunks(10).take(97).map(Tally::of).collect();
    within(
        0.15,
        packed_bytes(&Tally::sum(&tallies)),
        model("epoch-bytes-max"),
        "an epoch of all patterns",
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_takes_the_units_that_the_model_says() {
    const ALERTS: usize = 1_000;
    let engine = Embedded::start(None).await.unwrap();
    engine.store().await.unwrap();
    let meter = Meter::default();
    let store = metered(&engine, &meter, SystemClock);
    let alerts = alerts(ALERTS);
    let commits =
        store.commit(&alerts, Deadline::after(SystemClock.now(), Duration::from_secs(100))).await;
    assert!(commits.iter().all(|commit| *commit == Commit::Fresh));
    let found = meter.take();
    assert_eq!(found.transactions, ALERTS.div_ceil(model("rows-per-transaction") as usize) as u64);
    assert_eq!(found.writes, 2.0, "the hour and the route");

    let message = average(alerts.iter().map(|alert| alert.message.len()), ALERTS);
    within(0.05, f64::from(Workload::default().alert_bytes), message, "the default alert");

    let rows = items(&store, &store.tables().alerts).await;
    let row = |item: &Item| item.iter().map(attribute_bytes).sum::<usize>();
    let index = |item: &Item| {
        let carried = |name: &str| {
            ["log_id", "hour", "timestamp"].contains(&name) || BY_HOUR_COLUMNS.contains(&name)
        };
        item.iter().filter(|(name, _)| carried(name)).map(attribute_bytes).sum::<usize>()
    };
    let (row_bytes, index_bytes) =
        (average(rows.iter().map(row), ALERTS), average(rows.iter().map(index), ALERTS));
    within(0.02, row_bytes - message, model("row-bytes"), "a row without its message");
    within(0.02, index_bytes, model("index-row-bytes"), "a row of the index");

    // What the engine charged is what the rules say of these sizes...
    let kib = |bytes: usize| bytes.div_ceil(1024) as f64;
    let tallies: Vec<Item> = items(&store, &store.tables().outbox).await;
    let tallies = tallies.iter().filter(|item| item.contains_key("tally"));
    let in_transaction = model("transaction-units-per-kib");
    let row_units = rows.iter().map(|item| in_transaction * kib(row(item))).sum::<f64>();
    let index_units =
        rows.iter().map(|item| model("index-units-per-kib") * kib(index(item))).sum::<f64>();
    let tally_units = tallies.map(|item| in_transaction * kib(row(item))).sum::<f64>();
    assert_eq!(found.transaction_units, row_units + index_units + tally_units);
    // ... and near to what the model makes of their averages.
    let charged = |bytes: f64| (bytes / 1024.0 + model("item-rounding-kib")).max(1.0);
    // These rows are all below a KiB. Others vary more, so the model is on the safe side.
    within(0.35, row_units / ALERTS as f64, in_transaction * charged(row_bytes), "units of a row");
    within(0.1, index_units / ALERTS as f64, charged(index_bytes), "units of a row of the index");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_and_a_sweep_take_the_units_that_the_model_says() {
    let engine = Embedded::start(None).await.unwrap();
    let switch = CrashSwitch::default();
    let mut process = Process::start(&engine, &switch, true).await;
    let meter = Meter::default();
    process.store.inner = metered(&engine, &meter, process.clock.for_store());
    let route: RouteName = "critical".parse().unwrap();
    let targets = process.routes.get(&route).unwrap().notify.len() as f64;

    // Three windows with an alert each, and the one that ends the burst.
    let (alerts, windows) = (3.0, 4.0);
    for number in 1..=4 {
        if number < 4 {
            let alert = batch(vec![record(&format!("{number}"), &["[CRITICAL] pool exhausted"])]);
            consume(&process, &alert, process.deadline()).await;
        }
        let closed = close(&process, &route, 0, process.deadline()).await;
        assert_eq!(closed.messages.len() as f64, targets);
        process.clock.forward(Duration::from_secs(200));
    }
    let sent = process.due.as_ref().unwrap().sent.lock().unwrap().len();
    assert_eq!(sent as f64, windows, "a due message for each window");

    // All items are small: a KiB each, or a unit of 4 KiB to read.
    let found = meter.take();
    let in_transaction = model("transaction-units-per-kib");
    let rows = alerts * (in_transaction + model("index-units-per-kib"));
    let tallies = alerts * 2.0 * in_transaction;
    let epochs = windows * (in_transaction + model("cursor-units"));
    assert_eq!(found.transaction_units, rows + tallies + epochs);
    let of_windows = windows * (model("window-writes") + targets * model("target-writes"));
    let (retired, first_hour, first_of_route) = (windows, 1.0, 1.0);
    // The freeze of a window opens the one that follows, at no cost of its own.
    let opened_by_freezes = windows - 1.0;
    // All alerts have one pattern.
    let histories = alerts * model("history-units");
    assert_eq!(
        found.writes,
        of_windows + retired + first_hour + first_of_route + histories - opened_by_freezes
    );
    let of_windows = windows * (model("window-reads") + targets * model("target-reads"));
    // A consumer reads the cursor to arm the route. The end of the burst asks whether a consumer is
    // behind.
    let lag = 1.0;
    assert_eq!(found.reads, of_windows + alerts + histories + lag);

    sweep(&process, process.deadline()).await.unwrap();
    let of_two_routes = 2.0 * model("sweep-route-reads");
    let found = meter.take();
    assert_eq!(found.reads, model("sweep-reads") + of_two_routes);
    assert_eq!((found.writes, found.transactions), (0.0, 0));
}

/// The units that the engine charged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Charged {
    transactions: u64,
    transaction_units: f64,
    /// Other writes.
    writes: f64,
    reads: f64,
}

#[derive(Clone, Debug, Default)]
struct Meter(Arc<Mutex<Charged>>);

impl Meter {
    /// The units since the last call.
    fn take(&self) -> Charged {
        std::mem::take(&mut *self.0.lock().unwrap())
    }

    fn add(&self, operation: &str, units: f64) {
        let mut charged = self.0.lock().unwrap();
        match operation {
            "TransactWriteItems" => {
                charged.transactions += 1;
                charged.transaction_units += units;
            }
            "PutItem" | "UpdateItem" | "DeleteItem" => charged.writes += units,
            "GetItem" | "Query" | "BatchGetItem" => charged.reads += units,
            "Scan" => {}
            other => panic!("{other} is not in the model"),
        }
    }
}

/// Asks for the consumed capacity with each request, and adds it up.
#[derive(Debug)]
struct Metered {
    meter: Meter,
    engine: SharedHttpConnector,
}

/// The production store on this engine, metered.
fn metered<C: Clock>(engine: &Embedded, meter: &Meter, clock: C) -> DynamoStore<C> {
    let network = aws_smithy_http_client::Builder::new().build_http();
    let meter = meter.clone();
    let client = http_client_fn(move |settings, components| {
        let engine = network.http_connector(settings, components);
        SharedHttpConnector::new(Metered { meter: meter.clone(), engine })
    });
    let config = loopback(&engine.endpoint()).into_builder().http_client(client).build();
    DynamoStore::new(&config, Tables::default(), clock, fastrand::Rng::with_seed(1))
}

impl HttpConnector for Metered {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let (meter, engine) = (self.meter.clone(), self.engine.clone());
        HttpConnectorFuture::new(async move {
            let target = request.headers().get("x-amz-target").unwrap().to_owned();
            let mut body: Value = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
            body["ReturnConsumedCapacity"] = json!("TOTAL");
            let body = body.to_string();
            request.headers_mut().insert("content-length", body.len().to_string());
            *request.body_mut() = SdkBody::from(body);

            let answer: HttpResponse = engine.call(request).await?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            let body = ByteStream::new(answer.into_body()).collect().await;
            let body = body.map_err(|error| ConnectorError::io(error.into()))?.into_bytes();
            let operation = target.rsplit('.').next().unwrap();
            meter.add(operation, units(&serde_json::from_slice(&body).unwrap_or_default()));
            let mut again = HttpResponse::new(status, SdkBody::from(body));
            for (name, value) in &headers {
                again.headers_mut().insert(name.to_owned(), value.to_owned());
            }
            Ok(again)
        })
    }
}

fn units(answer: &Value) -> f64 {
    let of = |one: &Value| one["CapacityUnits"].as_f64().unwrap_or_default();
    match &answer["ConsumedCapacity"] {
        Value::Array(tables) => tables.iter().map(of).sum(),
        one => of(one),
    }
}

type Item = std::collections::HashMap<String, AttributeValue>;

async fn items(store: &DynamoStore, table: &str) -> Vec<Item> {
    let pages = store.client().scan().table_name(table).into_paginator().items().send();
    pages.collect::<Result<_, _>>().await.unwrap()
}

/// Name and value, as DynamoDB counts them.
fn attribute_bytes((name, value): (&String, &AttributeValue)) -> usize {
    fn of(value: &AttributeValue) -> usize {
        match value {
            AttributeValue::S(text) => text.len(),
            AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
            AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + of(value)).sum::<usize>(),
            AttributeValue::Ss(texts) => texts.iter().map(String::len).sum(),
            AttributeValue::B(bytes) => bytes.as_ref().len(),
            AttributeValue::Bool(_) => 1,
            other => panic!("{other:?}"),
        }
    }
    name.len() + of(value)
}
