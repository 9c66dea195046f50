//! The contract of the store, condition by condition. It holds for any implementation; these tests
//! run it on DynamoDB.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::ForwardClock;
use crate::support::alert;
use crate::support::proxy::{Proxy, ProxyAction};
use aws_sdk_dynamodb::types::AttributeValue;
use fastrand::Rng;
use futures::future::join_all;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::{DynamoStore, Tables};
use stentor::adapters::embedded::Embedded;
use stentor::model::alert::{Alert, MESSAGE_BYTES_MAX};
use stentor::model::audit::AlertQuery;
use stentor::model::burst::Burst;
use stentor::model::burst::BurstState;
use stentor::model::name::{RouteName, Target};
use stentor::model::outbox::{
    AcknowledgedAs, Acknowledgement, Claim, Cursor, Deferral, Epoch, Escalation, Finish, Freeze,
    Lease, Opening, Recipient, TargetState, Thread, Window,
};
use stentor::model::tally::Tally;
use stentor::model::threshold::Holding;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock, Deadline};
use stentor::protocol::store::{Commit, Store, StoreError};

fn soon() -> Deadline {
    Deadline::after(SystemClock.now(), Duration::from_secs(20))
}

fn failure(commit: &Commit) -> Option<&StoreError> {
    match commit {
        Commit::Failed(error) => Some(error),
        Commit::Fresh | Commit::Duplicate { .. } => None,
    }
}

fn route() -> RouteName {
    "critical".parse().unwrap()
}

fn target() -> Target {
    "slack:one".parse().unwrap()
}

fn opening(number: u64) -> Opening {
    let window = Window { number, due: Timestamp::from_millis(number as i64), claim: None };
    Opening { window, targets: vec![target()], delivered: 0 }
}

fn acknowledgement(offset: u64) -> Acknowledgement {
    Acknowledgement { offset, ..Acknowledgement::default() }
}

fn held(not_before: Option<Timestamp>) -> Deferral {
    Deferral { not_before, failures: 1, turn: None }
}

/// Leases [`target`] on [`route`] after reading its state.
async fn leased(
    store: &impl Store,
    lease: &Lease,
    now: Timestamp,
) -> Result<Option<TargetState>, StoreError> {
    let (route, target) = (route(), target());
    let recipient = Recipient::Own(&target);
    let known = store.target(&route, recipient, soon()).await?;
    store.lease(&route, recipient, lease, &known, now, soon()).await
}

async fn counted(store: &impl Store, route: &str) -> u64 {
    let stored =
        store.tallies(&route.parse().unwrap(), None, usize::MAX, soon()).await.unwrap().tallies;
    stored.iter().map(|stored| stored.tally.alerts).sum()
}

#[tokio::test]
async fn commit_keeps_each_alert_once_and_counts_what_it_keeps() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    // More alerts than two transactions hold, with different sets of routes.
    let mut alerts: Vec<Alert> = (0..230).map(|n| alert(&format!("a{n}"), &["critical"])).collect();
    alerts.extend((0..70).map(|n| alert(&format!("b{n}"), &["critical", "audit"])));
    let commits = store.commit(&alerts, soon()).await;
    assert!(commits.iter().all(|commit| *commit == Commit::Fresh));
    assert_eq!((counted(&store, "critical").await, counted(&store, "audit").await), (300, 70));

    // Every third alert is new. The others return the routes that they were written for, not the
    // current ones.
    let retry: Vec<Alert> = (0..300)
        .map(|n| match n % 3 {
            0 => alert(&format!("c{n}"), &["other"]),
            _ if n < 230 => alert(&format!("a{n}"), &["other"]),
            _ => alert(&format!("b{}", n - 230), &["other"]),
        })
        .collect();
    let commits = store.commit(&retry, soon()).await;
    for (n, commit) in commits.iter().enumerate() {
        match (n % 3, commit) {
            (0, Commit::Fresh) => {}
            (_, Commit::Duplicate { routes }) => {
                assert_eq!(routes.len(), if n < 230 { 1 } else { 2 }, "{n}")
            }
            other => panic!("{n}: {other:?}"),
        }
    }
    assert_eq!((counted(&store, "critical").await, counted(&store, "other").await), (300, 100));
}

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
async fn concurrent_commits_of_the_same_alerts_count_them_once() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let alerts: Vec<Alert> = (0..150).map(|n| alert(&format!("{n}"), &["critical"])).collect();
    // Overlapping parts in different orders, so that whole transactions and parts of them collide.
    let parts: Vec<Vec<Alert>> = vec![
        alerts.clone(),
        alerts.iter().rev().cloned().collect(),
        alerts[40..120].to_vec(),
        alerts[..90].iter().step_by(2).cloned().collect(),
    ];
    let all = join_all(parts.iter().map(|part| store.commit(part, soon()))).await;
    let fresh = all.iter().flatten().filter(|commit| **commit == Commit::Fresh).count();
    assert!(all.iter().flatten().all(|commit| !matches!(commit, Commit::Failed(_))));
    assert_eq!((fresh, counted(&store, "critical").await), (150, 150));
}

#[tokio::test]
async fn an_invalid_alert_does_not_fail_the_others() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let mut alerts: Vec<Alert> = (0..40).map(|n| alert(&format!("{n}"), &["critical"])).collect();
    // A key of more than 2,048 bytes is always refused.
    alerts[17] = alert(&"x".repeat(3000), &["critical"]);
    let commits = store.commit(&alerts, soon()).await;
    for (n, commit) in commits.iter().enumerate() {
        match n {
            17 => assert!(matches!(failure(commit), Some(StoreError::Invalid(_))), "{commit:?}"),
            _ => assert_eq!(*commit, Commit::Fresh, "{n}"),
        }
    }
    assert_eq!(counted(&store, "critical").await, 39);
}

#[tokio::test]
async fn the_largest_alerts_fit_their_transactions() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let large = |n| Alert {
        message: "é".repeat(MESSAGE_BYTES_MAX / 2),
        ..alert(&format!("{n}"), &["critical"])
    };
    let alerts: Vec<Alert> = (0..100).map(large).collect();
    assert!(store.commit(&alerts, soon()).await.iter().all(|commit| *commit == Commit::Fresh));
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
        holding: Holding::default(),
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
async fn a_window_is_opened_armed_and_closed_once() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let (route, at) = (route(), soon());
    assert_eq!(store.cursor(&route, at).await.unwrap(), Default::default());
    assert!(store.open(&route, &opening(1), at).await.unwrap());
    assert!(!store.open(&route, &opening(1), at).await.unwrap(), "one is open");
    assert!(!store.open(&route, &opening(2), at).await.unwrap(), "one is open");
    let claim = |by| Some(Claim { by, at: Timestamp::from_millis(7) });
    assert!(!store.claim(&route, 2, None, claim(1), at).await.unwrap(), "another is open");
    assert!(store.claim(&route, 1, None, claim(u64::MAX), at).await.unwrap());
    assert!(!store.claim(&route, 1, None, claim(2), at).await.unwrap(), "it is claimed");
    assert!(!store.claim(&route, 1, claim(1), claim(2), at).await.unwrap(), "by another process");
    assert_eq!(store.cursor(&route, at).await.unwrap().open.unwrap().claim, claim(u64::MAX));
    assert!(store.claim(&route, 1, claim(u64::MAX), None, at).await.unwrap());
    assert!(store.claim(&route, 1, None, claim(3), at).await.unwrap());
    let burst = Burst { alerts: 7, ..Burst::default() };
    let burst = Some(BurstState { burst, window_ms: 5, ..BurstState::default() });
    assert!(!store.close(&route, 2, burst, at).await.unwrap(), "another is open");
    assert!(store.close(&route, 1, burst, at).await.unwrap());
    assert!(!store.close(&route, 1, burst, at).await.unwrap(), "none is open");
    assert!(!store.claim(&route, 1, claim(3), None, at).await.unwrap(), "it is closed");
    assert!(!store.open(&route, &opening(1), at).await.unwrap(), "numbers only grow");
    assert!(
        store.open(&route, &opening(2), at).await.unwrap(),
        "the next window may open while one is closing"
    );
    assert!(!store.close(&route, 2, burst, at).await.unwrap(), "one is closing");
    let cursor = store.cursor(&route, at).await.unwrap();
    assert_eq!((cursor.last_window, cursor.closing, cursor.burst), (2, Some(1), burst));
    assert_eq!(
        cursor.open,
        Some(Window { number: 2, due: Timestamp::from_millis(2), claim: None })
    );
    assert_eq!(cursor.targets, [(target(), 0)].into());
    assert_eq!(store.routes(at).await.unwrap(), [], "a route is registered before its first alert");
    store.commit(&[alert("1", &["critical"])], at).await;
    assert_eq!(store.routes(at).await.unwrap(), [route]);
}

#[tokio::test]
async fn a_freeze_moves_all_tallies_into_an_epoch_or_none() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let (route, at) = (route(), soon());
    let alerts: Vec<Alert> = (0..300).map(|n| alert(&format!("{n}"), &["critical"])).collect();
    store.commit(&alerts, at).await;
    store.open(&route, &opening(1), at).await.unwrap();
    let stored = store.tallies(&route, None, usize::MAX, at).await.unwrap().tallies;
    assert!(stored.len() >= 3);
    let epoch = |number, part: &[stentor::model::outbox::StoredTally]| Epoch {
        number,
        window: 1,
        at: Timestamp::from_millis(number as i64),
        tally: Tally::sum(part.iter().map(|stored| &stored.tally)),
        owed: vec![target(), "slack:new".parse().unwrap()],
        burst: None,
        ends_burst: false,
        hold: None,
        released: None,
    };
    let keys = |part: &[stentor::model::outbox::StoredTally]| {
        part.iter().map(|stored| stored.key.clone()).collect()
    };
    let (first, rest) = stored.split_at(1);
    let one = Freeze {
        closing: 1,
        after: 0,
        tallies: keys(first),
        epoch: Some(epoch(1, first)),
        patterns: Default::default(),
        burst: None,
        holding: Holding::reached_in(7),
        finish: None,
    };
    assert!(!store.freeze(&route, &one, at).await.unwrap(), "the window is not closing");
    store.close(&route, 1, None, at).await.unwrap();
    assert!(
        !store.freeze(&route, &Freeze { closing: 2, ..one.clone() }, at).await.unwrap(),
        "another is closing"
    );
    assert!(
        !store.freeze(&route, &Freeze { after: 1, ..one.clone() }, at).await.unwrap(),
        "another epoch is the latest"
    );
    assert!(store.freeze(&route, &one, at).await.unwrap());
    let retry = Freeze { after: 1, epoch: Some(epoch(2, first)), ..one.clone() };
    assert!(!store.freeze(&route, &retry, at).await.unwrap(), "a tally is counted once");
    let cursor = store.cursor(&route, at).await.unwrap();
    assert_eq!(
        (cursor.epoch, cursor.sealed, cursor.closing),
        (1, 0, Some(1)),
        "no epoch is sealed before the last one"
    );
    assert_eq!(cursor.holding, Holding::reached_in(7));
    let known: Vec<_> =
        cursor.targets.iter().map(|(target, since)| (target.to_string(), *since)).collect();
    assert_eq!(known, [("slack:new".to_owned(), 0), ("slack:one".to_owned(), 0)]);

    let next = Opening { targets: vec![], ..opening(2) };
    let finish = Some(Finish { next: Some(next) });
    let last = Freeze {
        closing: 1,
        after: 1,
        tallies: keys(rest),
        epoch: Some(epoch(2, rest)),
        patterns: Default::default(),
        burst: None,
        holding: Holding::default(),
        finish,
    };
    // Another process has opened the next window: the successor must not replace it.
    assert!(store.open(&route, &opening(2), at).await.unwrap());
    assert!(!store.freeze(&route, &last, at).await.unwrap());
    let last = Freeze { finish: Some(Finish::default()), ..last };
    assert!(store.freeze(&route, &last, at).await.unwrap());
    let cursor = store.cursor(&route, at).await.unwrap();
    assert_eq!(cursor.holding, Holding::default(), "a freeze replaces what the cursor holds");
    let cursor = store.cursor(&route, at).await.unwrap();
    assert_eq!((cursor.epoch, cursor.sealed, cursor.closing), (2, 2, None));
    assert_eq!(counted(&store, "critical").await, 0);
    let epochs = store.epochs(&route, 0, 2, usize::MAX, at).await.unwrap();
    assert_eq!(epochs.iter().map(|epoch| epoch.tally.alerts).sum::<u64>(), 300);
    assert_eq!(store.epochs(&route, 1, 1, usize::MAX, at).await.unwrap(), []);
    let old = Cursor { epoch: 1, ..cursor.clone() };
    store.retire(&route, &old, 2, &[target()], at).await.unwrap();
    assert_eq!(store.cursor(&route, at).await.unwrap(), cursor, "an epoch was frozen since");
    store.retire(&route, &cursor, 2, &[target()], at).await.unwrap();
    let retired = store.cursor(&route, at).await.unwrap();
    assert!(retired.retired == 2 && !retired.targets.contains_key(&target()), "{retired:?}");
    assert_eq!(
        store.epochs(&route, 1, 2, usize::MAX, at).await.unwrap().len(),
        1,
        "a retired epoch still exists"
    );
}

#[tokio::test]
async fn a_target_has_one_lease_at_a_time() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let (route, target, at) = (route(), target(), soon());
    let now = SystemClock.now();
    let lease = |owner: &str, until| Lease { owner: owner.to_owned(), until };
    let ann = lease("ann", now.after(Duration::from_secs(60)));
    let bob = lease("bob", now.after(Duration::from_secs(60)));
    assert_eq!(
        store.target(&route, Recipient::Own(&target), at).await.unwrap(),
        Default::default()
    );
    assert!(leased(&store, &ann, now).await.unwrap().is_some());
    assert!(
        leased(&store, &ann, now).await.unwrap().is_some(),
        "a repeated request has the same result"
    );
    assert_eq!(leased(&store, &bob, now).await.unwrap(), None, "ann has it");
    assert!(
        !store
            .acknowledge(&route, Recipient::Own(&target), &bob, &acknowledgement(9), at)
            .await
            .unwrap(),
        "only the holder acknowledges"
    );
    assert!(
        !store.release(&route, Recipient::Own(&target), &bob, &held(None), at).await.unwrap(),
        "only the holder releases"
    );
    assert!(
        store
            .acknowledge(&route, Recipient::Own(&target), &ann, &acknowledgement(3), at)
            .await
            .unwrap()
    );
    assert!(
        !store
            .acknowledge(&route, Recipient::Own(&target), &ann, &acknowledgement(4), at)
            .await
            .unwrap(),
        "acknowledging releases the lease"
    );
    let state = leased(&store, &bob, now).await.unwrap().expect("it is free");
    assert_eq!(state.offset, Some(3));
    assert!(
        store.release(&route, Recipient::Own(&target), &bob, &held(Some(now)), at).await.unwrap()
    );
    assert_eq!(
        store.target(&route, Recipient::Own(&target), at).await.unwrap().not_before,
        Some(now)
    );
    assert!(leased(&store, &ann, now).await.unwrap().is_some());
    let late = now.after(Duration::from_secs(61));
    assert!(leased(&store, &bob, late).await.unwrap().is_some(), "ann's lease has expired");
    assert!(
        !store
            .acknowledge(&route, Recipient::Own(&target), &ann, &acknowledgement(5), at)
            .await
            .unwrap(),
        "ann is too late"
    );
}

#[tokio::test]
async fn an_acknowledged_delivery_clears_the_failures_of_its_target() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let (route, target, at, now) = (route(), target(), soon(), SystemClock.now());
    let ann = Lease { owner: "ann".to_owned(), until: now.after(Duration::from_secs(60)) };
    leased(&store, &ann, now).await.unwrap();
    assert!(
        store
            .release(
                &route,
                Recipient::Own(&target),
                &ann,
                &Deferral { not_before: Some(now), failures: 3, turn: Some(now) },
                at
            )
            .await
            .unwrap()
    );
    let state = leased(&store, &ann, now).await.unwrap().unwrap();
    assert_eq!((state.failures, state.not_before, state.turn), (3, Some(now), Some(now)));
    let thread = Some(Thread { burst: 3, message: "C1/17.1".to_owned(), related: None });
    let delivered = Acknowledgement {
        offset: 4,
        thread: thread.clone(),
        muted: 7,
        ..Acknowledgement::default()
    };
    assert!(
        store.acknowledge(&route, Recipient::Own(&target), &ann, &delivered, at).await.unwrap()
    );
    let state = async || store.target(&route, Recipient::Own(&target), at).await.unwrap();
    let last = |state: &TargetState| state.last.map(|last| (last.offset, last.result));
    let first = state().await;
    assert_eq!(last(&first), Some((4, AcknowledgedAs::Accepted)));
    let expected = TargetState { offset: Some(4), thread, muted: 7, ..TargetState::default() };
    assert_eq!(TargetState { last: None, ..first }, expected);
    leased(&store, &ann, now).await.unwrap();
    store
        .acknowledge(&route, Recipient::Own(&target), &ann, &acknowledgement(5), at)
        .await
        .unwrap();
    let expected = TargetState { offset: Some(5), ..TargetState::default() };
    assert_eq!(TargetState { last: None, ..state().await }, expected);
}

/// A process may leave out a note that follows another one closely.
#[tokio::test]
async fn a_lag_that_a_process_notes_is_read_by_another() {
    let engine = Embedded::start(None).await.unwrap();
    engine.store().await.unwrap();
    let began = SystemClock.now();
    let at = |seconds: u64| began.after(Duration::from_secs(seconds));
    let deadline = Deadline::after(began, Duration::from_secs(600));
    let clock = ForwardClock::default();
    let noting = engine.store_with(clock.for_store()).await.unwrap();
    let reading = engine.store().await.unwrap();
    let until = async || reading.lagging_until(deadline).await.unwrap();
    assert_eq!(until().await, None);
    noting.note_lag(at(300), deadline).await.unwrap();
    assert_eq!(until().await, Some(at(300)));
    clock.forward(Duration::from_secs(10));
    noting.note_lag(at(310), deadline).await.unwrap();
    assert!([Some(at(300)), Some(at(310))].contains(&until().await));
    clock.forward(Duration::from_secs(30));
    noting.note_lag(at(340), deadline).await.unwrap();
    assert_eq!(until().await, Some(at(340)));
}

#[tokio::test]
async fn a_pause_holds_on_every_route() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let (route, target, at, now) = (route(), target(), soon(), SystemClock.now());
    let (soon, later) = (now.after(Duration::from_secs(5)), now.after(Duration::from_secs(90)));
    store.pause(&target, later, at).await.unwrap();
    assert_eq!(
        store.target(&route, Recipient::Own(&target), at).await.unwrap().not_before,
        Some(later)
    );
    assert_eq!(
        store
            .target(&route, Recipient::Own(&"slack:other".parse().unwrap()), at)
            .await
            .unwrap()
            .not_before,
        None
    );
    let ann = Lease { owner: "ann".to_owned(), until: later };
    leased(&store, &ann, now).await.unwrap();
    store.release(&route, Recipient::Own(&target), &ann, &held(Some(soon)), at).await.unwrap();
    assert_eq!(
        store.target(&route, Recipient::Own(&target), at).await.unwrap().not_before,
        Some(later),
        "the later of the two"
    );
    store.pause(&target, soon, at).await.unwrap();
    let state = store.target(&route, Recipient::Own(&target), at).await.unwrap();
    assert_eq!(state.not_before, Some(later), "a shorter pause changes nothing");
}

#[tokio::test]
async fn turns_at_a_target_are_an_interval_apart_and_after_a_pause() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let (target, now) = (target(), Timestamp::from_millis(1_000_000));
    let after_ms = |ms| now.after(Duration::from_millis(ms));
    let take =
        async |now| store.take_turn(&target, Duration::from_secs(1), now, soon()).await.unwrap();
    let turns = [take(now).await, take(now).await, take(after_ms(300)).await];
    assert_eq!(turns, [now, after_ms(1_000), after_ms(2_000)]);
    assert_eq!(take(after_ms(7_000)).await, after_ms(7_000), "it was idle");
    store.pause(&target, after_ms(60_000), soon()).await.unwrap();
    assert_eq!(take(after_ms(9_000)).await, after_ms(60_000));
    store.pause(&target, after_ms(30_000), soon()).await.unwrap();
    assert_eq!(take(after_ms(9_000)).await, after_ms(61_000));
}

#[tokio::test]
async fn a_lease_that_arrives_after_the_delivery_has_no_effect() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let (route, target, at, now) = (route(), target(), soon(), SystemClock.now());
    let recipient = Recipient::Own(&target);
    let ann = Lease { owner: "ann".to_owned(), until: now.after(Duration::from_secs(60)) };
    let known = store.target(&route, recipient, at).await.unwrap();
    assert!(store.lease(&route, recipient, &ann, &known, now, at).await.unwrap().is_some());
    assert!(store.acknowledge(&route, recipient, &ann, &acknowledgement(1), at).await.unwrap());
    assert_eq!(store.lease(&route, recipient, &ann, &known, now, at).await.unwrap(), None);
    assert_eq!(store.target(&route, recipient, at).await.unwrap().leased_until, None);
}

#[tokio::test]
async fn an_escalation_is_recorded_once_and_the_cursor_knows_the_fallback() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let (route, fallback, at) = (route(), target(), soon());
    let escalation = |upto| Escalation { upto, reason: "it was down".to_owned() };
    let unknown = TargetState::default();
    assert!(store.escalate(&route, &fallback, &unknown, 2, &escalation(5), at).await.unwrap());
    let known = store.target(&route, Recipient::Fallback(&fallback), at).await.unwrap();
    assert_eq!((known.offset, &known.escalation), (Some(2), &Some(escalation(5))));
    assert!(store.cursor(&route, at).await.unwrap().fallbacks.contains(&fallback));
    assert!(
        !store.escalate(&route, &fallback, &unknown, 3, &escalation(6), at).await.unwrap(),
        "the state has changed"
    );
    assert!(store.escalate(&route, &fallback, &known, 2, &escalation(6), at).await.unwrap());
    let moved = TargetState {
        offset: Some(5),
        ..store.target(&route, Recipient::Fallback(&fallback), at).await.unwrap()
    };
    let own = store.target(&route, Recipient::Own(&fallback), at).await.unwrap();
    assert_eq!(
        own,
        TargetState::default(),
        "what it is owed as a fallback is separate from what it is owed itself"
    );
    assert!(
        !store.escalate(&route, &fallback, &moved, 5, &escalation(7), at).await.unwrap(),
        "the offset differs"
    );
}

#[tokio::test]
async fn a_route_is_muted_and_unmuted_in_any_state_of_its_window() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let (route, at) = (route(), soon());
    store.mute(&route, Some(at.time()), at).await.unwrap();
    assert!(store.open(&route, &opening(1), at).await.unwrap(), "a muted route collects");
    let cursor = store.cursor(&route, at).await.unwrap();
    assert_eq!(
        (cursor.muted_until, cursor.open.map(|open| open.number)),
        (Some(at.time()), Some(1))
    );
    store.mute(&route, None, at).await.unwrap();
    assert_eq!(store.cursor(&route, at).await.unwrap().muted_until, None);
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
        let question = AlertQuery { since, until, app: None, route: None, grep: None };
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

/// Accounts have tables of the same name.
#[tokio::test]
async fn the_id_of_a_table_tells_it_from_others_of_its_name() {
    let (one, other) = (Embedded::start(None).await.unwrap(), Embedded::start(None).await.unwrap());
    let id = async |engine: &Embedded| {
        engine.store().await.unwrap().alerts_table_id(soon()).await.unwrap()
    };
    assert_eq!(id(&one).await, id(&one).await);
    assert_ne!(id(&one).await, id(&other).await);
}
