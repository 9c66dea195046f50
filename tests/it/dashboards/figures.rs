//! The figures of the pictures: what the functions write in an hour of simulated time. Three routes
//! have bursts; one target limits the rate, one is down for a while, and one refuses a message.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::DynamoStore;
use stentor::adapters::embedded::Embedded;
use stentor::ingest::route::Routes;
use stentor::lambda::handler::{Invocation, handle};
use stentor::model::digest::Digest;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock, Deadline};
use stentor::protocol::dead_letter::ParkedItem;
use stentor::protocol::notify::{Accepted, Deliver, DeliverError, DeliveryFailure, FailureCode};
use stentor::protocol::queue::{ChangeVisibility, DeadLetterQueue, Due, DueQueue, QueueError};
use stentor::protocol::services::Services;

use crate::support;

pub const MINUTES: usize = 60;
pub const CONSUMER: &str = "stentor-consumer";
pub const NOTIFIER: &str = "stentor-notifier";

const START_MS: i64 = 1_795_442_400_000;
const MINUTE_MS: i64 = 60_000;
const STEP_MS: i64 = 20_000;

const CONFIG: &str = r#"
[[route]]
name    = "payments"
markers = ["[PAYMENTS]"]
notify  = ["slack:payments", "pagerduty:oncall"]
[[route]]
name    = "checkout"
markers = ["[CHECKOUT]"]
notify  = ["slack:checkout"]
[[route]]
name    = "search"
markers = ["[SEARCH]"]
notify  = ["slack:search"]
"#;

/// The statistics of CloudWatch over the values of a minute.
#[derive(Clone, Copy, Debug)]
pub struct Statistics {
    sum: u64,
    max: u64,
    min: u64,
    samples: u64,
}

/// The figures of each metric and its dimensions (`kept function=stentor-consumer route=search`), by
/// minute.
pub type Figures = BTreeMap<String, Vec<Option<Statistics>>>;

impl Statistics {
    pub fn of(self, statistic: &str) -> u64 {
        match statistic {
            "Sum" => self.sum,
            "Maximum" => self.max,
            "Minimum" => self.min,
            "SampleCount" => self.samples,
            other => panic!("no statistic {other}"),
        }
    }
}

/// Runs the hour.
pub async fn recorded() -> Figures {
    let engine = Embedded::start(None).await.unwrap();
    let now_ms = Arc::new(AtomicI64::new(START_MS));
    let clock = HourClock { now_ms: Arc::clone(&now_ms), is_store: false };
    let store = HourClock { now_ms: Arc::clone(&now_ms), is_store: true };
    let services = Hour {
        routes: support::routes(CONFIG),
        store: engine.store_with(store).await.unwrap(),
        due: DueMessages { clock: clock.clone(), messages: Mutex::default() },
        clock,
    };
    let mut figures = Figures::new();
    for step in 0..MINUTES as i64 * MINUTE_MS / STEP_MS {
        let at = START_MS + step * STEP_MS;
        now_ms.store(at, Ordering::SeqCst);
        invoke(&services, CONSUMER, &records(step), &mut figures).await;
        let due = services.due.visible(at);
        if !due.is_empty() {
            let event = json!({"Records": due});
            let answer = invoke(&services, NOTIFIER, &event, &mut figures).await;
            services.due.delete_all_but(&due, &answer);
        }
        if at % MINUTE_MS == 0 {
            now_ms.fetch_add(5_000, Ordering::SeqCst);
            invoke(&services, NOTIFIER, &json!({"stentor": "sweep"}), &mut figures).await;
        }
    }
    figures
}

async fn invoke(services: &Hour, function: &str, event: &Value, figures: &mut Figures) -> Value {
    let payload = RawValue::from_string(event.to_string()).unwrap();
    let now = services.clock.now().as_millis();
    let invocation = Invocation {
        function: function.to_owned(),
        request_id: "8f507cfc-1b2c-4d5e-9f60-112233445566".to_owned(),
        deadline_ms: u64::try_from(now).unwrap() + 60_000,
        region: Some("eu-west-1".to_owned()),
        series_max: 50,
    };
    let mut lines = Vec::new();
    let answer = handle(services, &payload, &invocation, |line| lines.push(line)).await.unwrap();
    lines.iter().for_each(|line| add(figures, line));
    serde_json::from_str(answer.get()).unwrap()
}

/// Reads a line as CloudWatch does.
fn add(figures: &mut Figures, line: &str) {
    let line: Value = serde_json::from_str(line).unwrap();
    let directive = &line["_aws"]["CloudWatchMetrics"][0];
    assert_eq!(directive["Namespace"], "Stentor");
    let minute = (line["_aws"]["Timestamp"].as_i64().unwrap() - START_MS) / MINUTE_MS;
    let dimensions = directive["Dimensions"][0].as_array().unwrap().iter();
    let dimensions: Vec<String> = dimensions
        .map(|name| {
            let name = name.as_str().unwrap();
            format!(" {name}={}", line[name].as_str().unwrap())
        })
        .collect();
    for metric in directive["Metrics"].as_array().unwrap() {
        let name = metric["Name"].as_str().unwrap();
        let value = line[name].as_u64().unwrap();
        let key = format!("{name}{}", dimensions.concat());
        let minutes = figures.entry(key).or_insert_with(|| vec![None; MINUTES]);
        let Some(known) = minutes.get_mut(usize::try_from(minute).unwrap()) else { continue };
        let one = Statistics { sum: value, max: value, min: value, samples: 1 };
        *known = Some(known.map_or(one, |known| Statistics {
            sum: known.sum + value,
            max: known.max.max(value),
            min: known.min.min(value),
            samples: known.samples + 1,
        }));
    }
}

/// The log events of a step, in one record; one record of the hour cannot be read.
fn records(step: i64) -> Value {
    let minute = step * STEP_MS / MINUTE_MS;
    let alerts = |marker: &str, count: i64| {
        let line = move |n| format!("[{marker}] request {step}-{n} failed: timeout after 30 s");
        (0..count).map(line).collect::<Vec<_>>()
    };
    let wave = |middle: i64, width: i64, height: i64| {
        (height - height * (minute - middle).abs() / width).max(0)
    };
    let mut lines = alerts("CHECKOUT", wave(24, 12, 40));
    lines.extend(alerts("PAYMENTS", wave(40, 6, 12)));
    lines.extend(alerts("SEARCH", i64::from(step % 21 == 3)));
    lines.extend((0..200 + 10 * (step % 7)).map(|n| format!("request {step}-{n} served in 12 ms")));
    let event = |(n, line): (usize, &String)| {
        let timestamp = START_MS + step * STEP_MS - 4_000 + n as i64;
        json!({"id": format!("{step}-{n}"), "timestamp": timestamp, "message": line})
    };
    let message = json!({
        "messageType": "DATA_MESSAGE", "owner": "123456789012", "logGroup": "/shop/web",
        "logStream": "web-1", "logEvents": lines.iter().enumerate().map(event).collect::<Vec<_>>(),
    });
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(message.to_string().as_bytes()).unwrap();
    let mut data = vec![STANDARD.encode(gzip.finish().unwrap())];
    data.extend((step == 100).then(|| STANDARD.encode("not gzip")));
    let record = |(n, data): (usize, String)| {
        let sequence = format!("{}", 49_000_000 + step * 10 + n as i64);
        json!({
            "eventSource": "aws:kinesis", "eventID": format!("shardId-000000000000:{sequence}"),
            "kinesis": {"sequenceNumber": sequence, "partitionKey": "p", "data": data},
        })
    };
    json!({"Records": data.into_iter().enumerate().map(record).collect::<Vec<_>>()})
}

struct Hour {
    routes: Routes,
    store: DynamoStore<HourClock>,
    due: DueMessages,
    clock: HourClock,
}

/// Stands still within an invocation, except for sleeps. The store sleeps in real time, because its
/// calls take real time.
#[derive(Clone, Debug)]
struct HourClock {
    now_ms: Arc<AtomicI64>,
    is_store: bool,
}

impl Clock for HourClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_millis(self.now_ms.load(Ordering::SeqCst))
    }

    async fn sleep(&self, duration: Duration) {
        if self.is_store {
            return SystemClock.sleep(duration).await;
        }
        let ms = i64::try_from(duration.as_millis()).unwrap();
        self.now_ms.fetch_add(ms, Ordering::SeqCst);
        tokio::task::yield_now().await;
    }
}

/// The due queue. A message is its event for the notifier, and the time at which it is visible.
struct DueMessages {
    clock: HourClock,
    messages: Mutex<BTreeMap<String, (i64, Value)>>,
}

impl DueMessages {
    fn visible(&self, at: i64) -> Vec<Value> {
        let mut messages = self.messages.lock().unwrap();
        let visible = messages.values_mut().filter(|(since, _)| *since <= at);
        let receive = |(since, message): &mut (i64, Value)| {
            *since = at + 360_000;
            let receives = &mut message["attributes"]["ApproximateReceiveCount"];
            *receives = json!((receives.as_str().unwrap().parse::<u32>().unwrap() + 1).to_string());
            message.clone()
        };
        visible.map(receive).take(5).collect()
    }

    fn delete_all_but(&self, received: &[Value], answer: &Value) {
        let failed = answer["batchItemFailures"].as_array().unwrap();
        let is_failed = |id: &str| failed.iter().any(|one| one["itemIdentifier"] == id);
        let ids = received.iter().map(|message| message["messageId"].as_str().unwrap());
        let mut messages = self.messages.lock().unwrap();
        ids.filter(|id| !is_failed(id)).for_each(|id| drop(messages.remove(id)));
    }
}

impl DueQueue for DueMessages {
    async fn send(&self, due: &Due, delay: Duration, _: Deadline) -> Result<(), QueueError> {
        let (now, id) = (self.clock.now(), format!("{}-{}", due.route, due.window));
        let message = json!({
            "messageId": id, "receiptHandle": id, "body": json!(due).to_string(),
            "attributes": {"ApproximateReceiveCount": "0", "SentTimestamp": now.as_millis().to_string()},
            "messageAttributes": {}, "eventSource": "aws:sqs",
        });
        self.messages.lock().unwrap().insert(id, (now.after(delay).as_millis(), message));
        Ok(())
    }
}

impl ChangeVisibility for DueMessages {
    async fn change_visibility(
        &self,
        receipt: &str,
        delay: Duration,
        _: Deadline,
    ) -> Result<(), QueueError> {
        if let Some((at, _)) = self.messages.lock().unwrap().get_mut(receipt) {
            *at = self.clock.now().after(delay).as_millis();
        }
        Ok(())
    }
}

impl DeadLetterQueue for Hour {
    async fn park(&self, items: &[ParkedItem], _: Deadline) -> Vec<Result<(), QueueError>> {
        vec![Ok(()); items.len()]
    }

    async fn put_back(&self, bodies: &[String], _: Deadline) -> Vec<Result<(), QueueError>> {
        panic!("{bodies:?}")
    }
}

impl Deliver for Hour {
    async fn deliver(
        &self,
        digest: &Digest,
        _: Option<&str>,
        _: Deadline,
    ) -> Result<Accepted, DeliverError> {
        let minute = (self.clock.now().as_millis() - START_MS) / MINUTE_MS;
        let failure = |code, text: &str| DeliveryFailure::new(code, text);
        let retry = |after, reason| Err(DeliverError::Retry { after, reason });
        match (&*digest.target.to_string(), minute) {
            ("slack:checkout", 22..=29) => {
                let after = Some(Duration::from_secs(30));
                retry(after, failure(FailureCode::RateLimited, "Slack answered 429"))
            }
            ("pagerduty:oncall", 38..=44) => {
                retry(None, failure(FailureCode::Server, "PagerDuty answered 503"))
            }
            ("slack:search", 50..=55) => {
                let reason = failure(FailureCode::Auth, "Slack answered 404: no_service");
                Err(DeliverError::Refused { reason })
            }
            _ => Ok(Accepted::default()),
        }
    }
}

impl Services for Hour {
    type Store = DynamoStore<HourClock>;
    type Due = DueMessages;
    type DeadLetters = Self;
    type Deliver = Self;
    type Clock = HourClock;

    fn routes(&self) -> &Routes {
        &self.routes
    }

    fn store(&self) -> &DynamoStore<HourClock> {
        &self.store
    }

    fn due(&self) -> Option<&DueMessages> {
        Some(&self.due)
    }

    fn dead_letters(&self) -> &Self {
        self
    }

    fn deliver(&self) -> &Self {
        self
    }

    fn clock(&self) -> &HourClock {
        &self.clock
    }

    fn random(&self) -> u64 {
        u64::MAX / 2
    }
}
