//! What only the store on DynamoDB has: the number and the size of its requests, the attributes of its
//! items, and the index by hour.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use fastrand::Rng;
use futures::future::join;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::{DynamoStore, Tables};
use stentor::adapters::embedded::Embedded;
use stentor::model::alert::Alert;
use stentor::model::audit::AlertQuery;
use stentor::model::outbox::{Epoch, Finish, Freeze, Lease, Recipient};
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock, Deadline};
use stentor::protocol::store::{Commit, Store as _, StoreError};

use super::{acknowledgement, counted, deferral, failure, opening, route, soon, target};
use crate::support::alert;
use crate::support::proxy::{Proxy, ProxyAction};

/// The number of requests of one commit by operation, and the result of each alert.
async fn requests(proxy: &Proxy, alerts: &[Alert]) -> (BTreeMap<String, usize>, Vec<Commit>) {
    let store = DynamoStore::new(
        &stentor::adapters::aws::loopback(&proxy.endpoint()),
        Tables::default(),
        SystemClock,
        Rng::new(),
    );
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let counted = Arc::clone(&seen);
    proxy.decide(move |operation, _| {
        *counted.lock().unwrap().entry(operation.to_owned()).or_default() += 1;
        ProxyAction::Pass
    });
    let commits =
        store.commit(alerts, Deadline::after(SystemClock.now(), Duration::from_secs(300))).await;
    let seen = seen.lock().unwrap().clone();
    (seen, commits)
}

#[tokio::test(flavor = "multi_thread")]
async fn ten_thousand_alerts_take_the_fewest_transactions() {
    const ALERTS: usize = 10_000;
    /// 100 items, one of them the tally.
    const ROWS_MAX: usize = 99;
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let proxy = Proxy::start(engine.address()).await;
    let alerts: Vec<Alert> = (0..ALERTS).map(|n| alert(&format!("{n}"), &["critical"])).collect();
    let count =
        |seen: &BTreeMap<String, usize>, operation| seen.get(operation).copied().unwrap_or(0);
    let fresh =
        |commits: &[Commit]| commits.iter().filter(|commit| **commit == Commit::Fresh).count();

    // No row exists: each transaction is sent once.
    let (seen, commits) = requests(&proxy, &alerts).await;
    let chunks = ALERTS.div_ceil(ROWS_MAX);
    assert_eq!(
        (fresh(&commits), count(&seen, "TransactWriteItems"), seen.len()),
        (ALERTS, chunks, 3),
        "{seen:?}"
    );
    assert_eq!(count(&seen, "UpdateItem"), 1, "the hour of all of them is registered once");
    assert_eq!(count(&seen, "PutItem"), 1, "and so is the route");
    assert_eq!(counted(&store, "critical").await, ALERTS as u64);

    // Every other row exists, which is the worst mix. The first transactions fail, and say which
    // rows exist. Then the rows are read before they are sent.
    const IN_FLIGHT: usize = 8;
    let half: Vec<Alert> = (ALERTS / 2..ALERTS)
        .flat_map(|n| {
            [alert(&format!("{n}"), &["critical"]), alert(&format!("new {n}"), &["critical"])]
        })
        .collect();
    let (seen, commits) = requests(&proxy, &half).await;
    assert_eq!(fresh(&commits), ALERTS / 2);
    assert_eq!(count(&seen, "BatchGetItem"), chunks - IN_FLIGHT, "{seen:?}");
    assert_eq!(count(&seen, "TransactWriteItems"), chunks + IN_FLIGHT, "{seen:?}");
    assert_eq!(counted(&store, "critical").await, (ALERTS + ALERTS / 2) as u64);

    // All rows exist, as when a batch is retried: nothing is sent again.
    let (seen, commits) = requests(&proxy, &half).await;
    assert_eq!(
        (fresh(&commits), count(&seen, "TransactWriteItems"), count(&seen, "BatchGetItem")),
        (0, IN_FLIGHT, chunks - IN_FLIGHT)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_throttled_commit_writes_less_at_once() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let proxy = Proxy::start(engine.address()).await;
    proxy.decide(|operation, _| match operation {
        "TransactWriteItems" => ProxyAction::ThrottleAbove(20),
        _ => ProxyAction::Pass,
    });
    let throttled = DynamoStore::new(
        &stentor::adapters::aws::loopback(&proxy.endpoint()),
        Tables::default(),
        SystemClock,
        Rng::with_seed(1),
    );
    let alerts: Vec<Alert> = (0..600).map(|n| alert(&format!("{n}"), &["critical"])).collect();
    let commits = throttled.commit(&alerts, soon()).await;
    assert!(commits.iter().all(|commit| *commit == Commit::Fresh), "{commits:?}");
    assert_eq!(counted(&store, "critical").await, 600);
    // 600 rows in transactions of at most 19 rows are 32; each success tries a little more.
    let sent = proxy.seen();
    assert!(sent < 200, "{sent} requests");
}

#[tokio::test]
async fn a_row_has_the_columns_that_auditors_need() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    store.commit(&[alert("37", &["critical", "audit"])], soon()).await;
    let page = store.client().scan().table_name("AppLogs").send().await.unwrap();
    let row = &page.items()[0];
    let text = |name: &str| row[name].as_s().unwrap().as_str();
    assert!(text("log_id").starts_with("37-"));
    assert_eq!(text("timestamp"), "2026-11-23T14:15:06.789Z");
    assert_eq!((text("marker"), text("app_name")), ("[CRITICAL]", "shop"));
    assert_eq!(text("message"), "[CRITICAL] order 37 failed");
    assert!(!row.contains_key("pattern"), "a query finds it again");
    assert_eq!(
        (text("account_id"), text("log_group"), text("source")),
        ("123456789012", "/aws/lambda/shop", "test")
    );
    assert!(text("hour").starts_with("2026-11-23T14#"));
    let days = (row["expires_at"].as_n().unwrap().parse::<i64>().unwrap()
        - SystemClock.now().as_millis() / 1000)
        / 86_400;
    assert!((89..=90).contains(&days), "{days}");
}

/// A stopped clock. A sleep on it takes real time, as a call to the engine does.
struct StoppedClock(Timestamp);

impl Clock for StoppedClock {
    fn now(&self) -> Timestamp {
        self.0
    }

    fn sleep(&self, duration: Duration) -> impl Future<Output = ()> + Send {
        SystemClock.sleep(duration)
    }
}

#[tokio::test]
async fn items_expire_by_the_clock_of_the_store() {
    const DAY_S: i64 = 86_400;
    let engine = Embedded::start(None).await.unwrap();
    let now_s = 4_000_000_000;
    let now = Timestamp::from_millis(now_s * 1000);
    let store = engine.store_with(StoppedClock(now)).await.unwrap();
    let deadline = Deadline::after(now, Duration::from_secs(20));
    assert_eq!(store.commit(&[alert("1", &["critical"])], deadline).await, [Commit::Fresh]);
    store.open(&route(), &opening(1), deadline).await.unwrap();
    store.close(&route(), 1, None, deadline).await.unwrap();
    let tallies = store.tallies(&route(), None, usize::MAX, deadline).await.unwrap().tallies;
    let epoch = Epoch {
        number: 1,
        window: 1,
        at: now,
        tally: tallies[0].tally.clone(),
        owed: vec![target()],
        burst: None,
        ends_burst: false,
        hold: None,
        released: None,
    };
    let tallies = vec![tallies[0].key.clone()];
    let finish = Some(Finish::default());
    let freeze = Freeze {
        closing: 1,
        after: 0,
        tallies,
        epoch: Some(epoch),
        patterns: Default::default(),
        burst: None,
        holding: Default::default(),
        finish,
    };
    assert!(store.freeze(&route(), &freeze, deadline).await.unwrap());
    let cursor = store.cursor(&route(), deadline).await.unwrap();
    store.retire(&route(), &cursor, 1, &[], deadline).await.unwrap();
    let expiries = async |table: &str| {
        let page = store.client().scan().table_name(table).send().await.unwrap();
        let expiry = |item: &HashMap<String, AttributeValue>| {
            item.get("expires_at")?.as_n().ok()?.parse::<i64>().ok()
        };
        let mut expiries: Vec<i64> = page.items().iter().filter_map(expiry).collect();
        expiries.sort_unstable();
        expiries
    };
    assert_eq!(expiries("AppLogs").await, [now_s + 90 * DAY_S]);
    // A retired epoch, and the hours that have alerts.
    assert_eq!(expiries("Outbox").await, [now_s + 30 * DAY_S, now_s + 92 * DAY_S]);
}

#[tokio::test]
async fn no_row_is_stored_before_its_hour_is_registered() {
    let engine = Embedded::start(None).await.unwrap();
    engine.store().await.unwrap();
    let proxy = Proxy::start(engine.address()).await;
    let store = DynamoStore::new(
        &stentor::adapters::aws::loopback(&proxy.endpoint()),
        Tables::default(),
        SystemClock,
        Rng::new(),
    );
    let (everything, soon) =
        ((i64::MIN, i64::MAX), || Deadline::after(SystemClock.now(), Duration::from_millis(600)));
    let found = async || {
        let (since, until) =
            (Timestamp::from_millis(everything.0), Timestamp::from_millis(everything.1));
        let question = AlertQuery::between(since, until);
        let mut found = 0;
        store
            .find_alerts(&question, soon, |_| {
                found += 1;
                Ok::<_, StoreError>(true)
            })
            .await
            .unwrap();
        found
    };
    // The registration fails: nothing is committed.
    let committed = Arc::new(Mutex::new(0));
    let counted = Arc::clone(&committed);
    proxy.decide(move |operation, _| match operation {
        "UpdateItem" => ProxyAction::Throttle,
        // The route, which is registered at the same time.
        "PutItem" => ProxyAction::Pass,
        _ => {
            *counted.lock().unwrap() += 1;
            ProxyAction::Pass
        }
    });
    let commits = store.commit(&[alert("1", &["critical"])], soon()).await;
    assert!(matches!(commits[..], [Commit::Failed(_)]), "{commits:?}");
    assert_eq!(*committed.lock().unwrap(), 0);
    // The commit fails after the registration, as in a crash. An hour without rows is harmless.
    proxy.decide(|operation, _| {
        if operation == "TransactWriteItems" { ProxyAction::Throttle } else { ProxyAction::Pass }
    });
    let commits = store.commit(&[alert("1", &["critical"])], soon()).await;
    assert!(matches!(commits[..], [Commit::Failed(_)]), "{commits:?}");
    assert_eq!(found().await, 0);
    // After that, the hour costs no request.
    proxy.decide(|_, _| ProxyAction::Pass);
    assert_eq!(store.commit(&[alert("1", &["critical"])], soon()).await, [Commit::Fresh]);
    assert_eq!(proxy.seen(), 1);
    assert_eq!(found().await, 1);
    // Another process registers the hour itself, even if it finds only duplicates.
    let other = DynamoStore::new(
        &stentor::adapters::aws::loopback(&proxy.endpoint()),
        Tables::default(),
        SystemClock,
        Rng::new(),
    );
    proxy.decide(|_, _| ProxyAction::Pass);
    let commits = other.commit(&[alert("1", &["critical"])], soon()).await;
    assert!(matches!(commits[..], [Commit::Duplicate { .. }]), "{commits:?}");
    assert_eq!(proxy.seen(), 3, "the hour, the route, the transaction, which finds the row");
}

#[tokio::test]
async fn an_unreachable_store_fails_at_the_deadline() {
    // No server listens on port 9.
    let config = stentor::adapters::aws::loopback("http://127.0.0.1:9");
    let store =
        DynamoStore::new(&config, Tables::default(), SystemClock, fastrand::Rng::with_seed(1));
    let started = SystemClock.now();
    let commits = store
        .commit(&[alert("1", &["critical"])], Deadline::after(started, Duration::from_millis(300)))
        .await;
    assert!(
        matches!(
            commits.iter().map(failure).collect::<Vec<_>>()[..],
            [Some(StoreError::Unavailable(_))]
        ),
        "{commits:?}"
    );
    assert!(started.until(SystemClock.now()) < Duration::from_secs(3));
}

#[tokio::test]
async fn a_missing_table_is_named_at_once() {
    let engine = Embedded::start(None).await.unwrap();
    let tables = Tables { alerts: "Elsewhere".to_owned(), ..Tables::default() };
    let store = DynamoStore::new(
        &stentor::adapters::aws::loopback(&engine.endpoint()),
        tables,
        SystemClock,
        fastrand::Rng::with_seed(1),
    );
    let commits = store.commit(&[alert("1", &["critical"])], soon()).await;
    let [Some(StoreError::Refused(cause))] = commits.iter().map(failure).collect::<Vec<_>>()[..]
    else {
        panic!("{commits:?}")
    };
    assert_eq!(cause.code, "ResourceNotFoundException", "{cause}");
    assert!(matches!(store.alerts_table_id(soon()).await, Err(StoreError::Refused(_))));
}

#[tokio::test]
async fn stored_items_outlive_the_process() {
    let directory = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join("store-outlives");
    std::fs::remove_dir_all(&directory).ok();
    std::fs::create_dir_all(&directory).unwrap();
    let database = directory.join("stentor.db");
    let engine = Embedded::start(Some(&database)).await.unwrap();
    engine.store().await.unwrap().commit(&[alert("1", &["critical"])], soon()).await;
    engine.stop().await.unwrap();
    let engine = Embedded::start(Some(&database)).await.unwrap();
    let commits = engine.store().await.unwrap().commit(&[alert("1", &["critical"])], soon()).await;
    assert_eq!(commits, [Commit::Duplicate { routes: [route()].into() }]);
    let hours = engine.store().await.unwrap();
    let by_hour =
        hours.client().scan().table_name("AppLogs").index_name("by_hour").send().await.unwrap();
    let row = &by_hour.items()[0];
    assert!(row.contains_key("app_name") && !row.contains_key("message"), "{row:?}");
    assert_eq!(row["timestamp"], AttributeValue::S("2026-11-23T14:15:06.789Z".to_owned()));
}

/// The answers to an acknowledgement and a release get lost. The repetitions find their own writes.
#[tokio::test(flavor = "multi_thread")]
async fn a_settlement_whose_answer_is_lost_succeeds() {
    let engine = Embedded::start(None).await.unwrap();
    engine.store().await.unwrap();
    let proxy = Proxy::start(engine.address()).await;
    let store = DynamoStore::new(
        &stentor::adapters::aws::loopback(&proxy.endpoint()),
        Tables::default(),
        SystemClock,
        Rng::new(),
    );
    let (route, target, now) = (route(), target(), SystemClock.now());
    let (own, fallback) = (Recipient::Own(&target), Recipient::Fallback(&target));
    let lease = Lease { owner: "ann".to_owned(), until: now.after(Duration::from_secs(60)) };
    for recipient in [own, fallback] {
        let known = store.target(&route, recipient, soon()).await.unwrap();
        store.lease(&route, recipient, &lease, &known, now, soon()).await.unwrap().unwrap();
    }
    proxy.decide(|operation, n| match operation {
        "UpdateItem" if n < 2 => ProxyAction::SwallowAnswer,
        _ => ProxyAction::Pass,
    });
    let (accepted, later) = (acknowledgement(3), deferral(Some(now)));
    let (acknowledged, released) = join(
        store.acknowledge(&route, own, &lease, &accepted, soon()),
        store.release(&route, fallback, &lease, &later, soon()),
    )
    .await;
    assert_eq!((acknowledged, released), (Ok(true), Ok(true)));
    assert!(proxy.seen() > 2, "the answers were lost");
    assert_eq!(store.target(&route, own, soon()).await.unwrap().offset, Some(3));
    assert_eq!(store.target(&route, fallback, soon()).await.unwrap().not_before, Some(now));
}
