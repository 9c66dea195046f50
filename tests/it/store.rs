//! The contract of the store, condition by condition. It holds for any implementation: each test runs on
//! every engine. `tests/tools/conformance.py` runs them all and prints the matrix.
//!
//! The tests of one engine only are in a file of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use crate::support::ForwardClock;
use crate::support::alert;
use crate::support::engines::{EngineKind, TestEngine};
use futures::future::{join, join_all};
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::model::alert::{Alert, LogContext, MESSAGE_BYTES_MAX, Origin};
use stentor::model::app::AppSource;
use stentor::model::audit::{AlertQuery, AuditRow};
use stentor::model::burst::Burst;
use stentor::model::burst::BurstState;
use stentor::model::history::History;
use stentor::model::name::{RouteName, Severity, Target};
use stentor::model::outbox::{
    AcknowledgedAs, Acknowledgement, BurstPatterns, Claim, Cursor, Deferral, Epoch, Escalation,
    Finish, Freeze, Lease, Opening, Recipient, TargetState, Thread, Window,
};
use stentor::model::tally::Tally;
use stentor::model::threshold::Holding;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::{Commit, HistoryChange, Store, StoreError};

mod audit;
mod dynamodb;
mod histories;
mod postgres;

/// Runs each test on each engine.
macro_rules! conformance {
    ($($test:ident)*) => {
        mod on_dynoxide {
            use super::EngineKind;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(EngineKind::Dynoxide).await;
            })*
        }
        mod on_postgres {
            use super::EngineKind;
            $(#[tokio::test(flavor = "multi_thread")]
            async fn $test() {
                super::$test(EngineKind::Postgres).await;
            })*
        }
        mod on_dynamodb_local {
            use super::EngineKind;
            $(#[tokio::test(flavor = "multi_thread")]
            #[ignore = "needs Java and npm: tests/tools/conformance.py"]
            async fn $test() {
                super::$test(EngineKind::DynamoDbLocal).await;
            })*
        }
    };
}

conformance! {
    a_history_is_replaced_by_the_process_that_knows_it
    a_history_that_cannot_be_read_begins_again
    the_epochs_that_histories_count_are_noted
    marks_are_read_in_order
    commit_keeps_each_alert_once_and_counts_what_it_keeps
    concurrent_commits_of_the_same_alerts_count_them_once
    an_invalid_alert_does_not_fail_the_others
    the_largest_alerts_fit_their_transactions
    a_window_is_opened_armed_and_closed_once
    a_freeze_moves_all_tallies_into_an_epoch_or_none
    a_target_has_one_lease_at_a_time
    an_acknowledged_delivery_clears_the_failures_of_its_target
    a_lag_that_a_process_notes_is_read_by_another
    a_pause_holds_on_every_route
    turns_at_a_target_are_an_interval_apart_and_after_a_pause
    a_lease_that_arrives_after_the_delivery_has_no_effect
    an_escalation_is_recorded_once_and_the_cursor_knows_the_fallback
    a_route_is_muted_and_unmuted_in_any_state_of_its_window
    a_window_is_pulled_forward_once
    tallies_are_read_page_by_page
    commits_that_race_with_freezes_are_counted_once
    rows_are_found_by_time_app_and_route
    a_row_shows_what_was_stored
    any_text_can_be_stored
    the_id_of_a_database_tells_it_from_others
    rows_are_found_by_account_and_pattern
    a_page_continues_behind_the_last_row
    an_erased_row_stays_what_makes_its_alert_a_duplicate
    an_erased_outbox_counts_as_before
}

use audit::{
    a_page_continues_behind_the_last_row, an_erased_outbox_counts_as_before,
    an_erased_row_stays_what_makes_its_alert_a_duplicate, rows_are_found_by_account_and_pattern,
};
use histories::{
    a_history_is_replaced_by_the_process_that_knows_it, a_history_that_cannot_be_read_begins_again,
    marks_are_read_in_order, the_epochs_that_histories_count_are_noted,
};

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

fn deferral(not_before: Option<Timestamp>) -> Deferral {
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

async fn severities(store: &impl Store, route: &str) -> BTreeMap<Severity, u64> {
    let stored =
        store.tallies(&route.parse().unwrap(), None, usize::MAX, soon()).await.unwrap().tallies;
    Tally::sum(stored.iter().map(|stored| &stored.tally)).severities
}

async fn commit_keeps_each_alert_once_and_counts_what_it_keeps(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    // More alerts than two transactions hold, with different sets of routes.
    let mut alerts: Vec<Alert> = (0..230).map(|n| alert(&format!("a{n}"), &["critical"])).collect();
    // Some have a severity of their own on one of two routes.
    let own = |n: i32| (n % 7 == 0).then(|| ("audit".parse().unwrap(), Severity::Error));
    alerts.extend((0..70).map(|n| Alert {
        severities: own(n).into_iter().collect(),
        ..alert(&format!("b{n}"), &["critical", "audit"])
    }));
    let commits = store.commit(&alerts, soon()).await;
    assert!(commits.iter().all(|commit| *commit == Commit::Fresh));
    assert_eq!((counted(&store, "critical").await, counted(&store, "audit").await), (300, 70));
    assert_eq!(severities(&store, "critical").await, BTreeMap::new());
    assert_eq!(severities(&store, "audit").await, BTreeMap::from([(Severity::Error, 10)]));

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

async fn concurrent_commits_of_the_same_alerts_count_them_once(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
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

async fn an_invalid_alert_does_not_fail_the_others(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let mut alerts: Vec<Alert> = (0..40).map(|n| alert(&format!("{n}"), &["critical"])).collect();
    // DynamoDB refuses a key of more than 2,048 bytes. PostgreSQL stores any.
    alerts[17] = alert(&"x".repeat(3000), &["critical"]);
    let is_refused = kind != EngineKind::Postgres;
    let commits = store.commit(&alerts, soon()).await;
    for (n, commit) in commits.iter().enumerate() {
        match n {
            17 if is_refused => {
                assert!(matches!(failure(commit), Some(StoreError::Invalid(_))), "{commit:?}")
            }
            _ => assert_eq!(*commit, Commit::Fresh, "{n}"),
        }
    }
    assert_eq!(counted(&store, "critical").await, if is_refused { 39 } else { 40 });
}

async fn the_largest_alerts_fit_their_transactions(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let large = |n| Alert {
        message: "é".repeat(MESSAGE_BYTES_MAX / 2),
        ..alert(&format!("{n}"), &["critical"])
    };
    let alerts: Vec<Alert> = (0..100).map(large).collect();
    assert!(store.commit(&alerts, soon()).await.iter().all(|commit| *commit == Commit::Fresh));
}

async fn a_window_is_opened_armed_and_closed_once(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
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

async fn a_freeze_moves_all_tallies_into_an_epoch_or_none(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let (route, at) = (route(), soon());
    let alerts: Vec<Alert> = (0..300).map(|n| alert(&format!("{n}"), &["critical"])).collect();
    for part in alerts.chunks(100) {
        store.commit(part, at).await;
    }
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

async fn a_target_has_one_lease_at_a_time(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
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
        !store.release(&route, Recipient::Own(&target), &bob, &deferral(None), at).await.unwrap(),
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
        store
            .release(&route, Recipient::Own(&target), &bob, &deferral(Some(now)), at)
            .await
            .unwrap()
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

async fn an_acknowledged_delivery_clears_the_failures_of_its_target(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
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
async fn a_lag_that_a_process_notes_is_read_by_another(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    engine.store().await;
    let began = SystemClock.now();
    let at = |seconds: u64| began.after(Duration::from_secs(seconds));
    let deadline = Deadline::after(began, Duration::from_secs(600));
    let clock = ForwardClock::default();
    let noting = engine.store_with(clock.for_store()).await;
    let reading = engine.store().await;
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

async fn a_pause_holds_on_every_route(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
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
    store.release(&route, Recipient::Own(&target), &ann, &deferral(Some(soon)), at).await.unwrap();
    assert_eq!(
        store.target(&route, Recipient::Own(&target), at).await.unwrap().not_before,
        Some(later),
        "the later of the two"
    );
    store.pause(&target, soon, at).await.unwrap();
    let state = store.target(&route, Recipient::Own(&target), at).await.unwrap();
    assert_eq!(state.not_before, Some(later), "a shorter pause changes nothing");
}

async fn turns_at_a_target_are_an_interval_apart_and_after_a_pause(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
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

async fn a_lease_that_arrives_after_the_delivery_has_no_effect(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let (route, target, at, now) = (route(), target(), soon(), SystemClock.now());
    let recipient = Recipient::Own(&target);
    let ann = Lease { owner: "ann".to_owned(), until: now.after(Duration::from_secs(60)) };
    let known = store.target(&route, recipient, at).await.unwrap();
    assert!(store.lease(&route, recipient, &ann, &known, now, at).await.unwrap().is_some());
    assert!(store.acknowledge(&route, recipient, &ann, &acknowledgement(1), at).await.unwrap());
    assert_eq!(store.lease(&route, recipient, &ann, &known, now, at).await.unwrap(), None);
    assert_eq!(store.target(&route, recipient, at).await.unwrap().leased_until, None);
}

async fn an_escalation_is_recorded_once_and_the_cursor_knows_the_fallback(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
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

async fn a_route_is_muted_and_unmuted_in_any_state_of_its_window(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
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

async fn a_window_is_pulled_forward_once(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let (route, at) = (route(), soon());
    let window = |due| Window {
        number: 1,
        due: Timestamp::from_millis(due),
        claim: Some(Claim { by: 7, at: Timestamp::from_millis(1) }),
    };
    let patterns = BurstPatterns { pulled: 3, ..BurstPatterns::default() };
    let pull =
        async |window: &Window| store.pull_forward(&route, window, &patterns, at).await.unwrap();
    assert!(!pull(&window(5)).await, "none is open");
    let late = Opening { window: window(1_000), ..opening(1) };
    assert!(store.open(&route, &late, at).await.unwrap());
    assert!(!pull(&window(1_000)).await, "it is due then");
    assert!(!pull(&Window { number: 2, ..window(5) }).await, "another is open");
    assert!(pull(&window(500)).await);
    assert!(!pull(&window(500)).await, "it is due then");
    let cursor = store.cursor(&route, at).await.unwrap();
    assert_eq!((cursor.open, cursor.patterns), (Some(window(500)), patterns));
}

async fn tallies_are_read_page_by_page(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let (route, at) = (route(), soon());
    for n in 0..40 {
        store.commit(&[alert(&format!("{n}"), &["critical"])], at).await;
    }
    let (mut position, mut seen) = (None, Vec::new());
    loop {
        let page = store.tallies(&route, position.as_ref(), 16, at).await.unwrap();
        assert!(page.tallies.len() <= 16, "{}", page.tallies.len());
        seen.extend(page.tallies.into_iter().map(|stored| stored.key));
        // Later commits may be among the next pages, and change nothing about the earlier ones.
        store.commit(&[alert(&format!("late {}", seen.len()), &["critical"])], at).await;
        position = page.next;
        if position.is_none() {
            break;
        }
        assert!(seen.len() < 100, "the pages do not end");
    }
    let distinct: BTreeSet<_> = seen.iter().collect();
    assert!(
        distinct.len() == seen.len() && seen.len() >= 40,
        "{} of {}",
        distinct.len(),
        seen.len()
    );
    assert!(store.has_tallies(&"other".parse().unwrap(), 0, at).await.is_ok_and(|has| !has));
    let has = join_all((0..8).map(|round| store.has_tallies(&route, round, at))).await;
    assert!(has.into_iter().any(Result::unwrap));
}

/// Closes the open window, or the next one, and freezes every tally that is listed. Returns the alerts.
async fn close_and_freeze(store: &impl Store) -> u64 {
    let (route, at) = (route(), soon());
    let mut cursor = store.cursor(&route, at).await.unwrap();
    if cursor.open.is_none() {
        let next = Opening { targets: vec![target()], ..opening(cursor.last_window + 1) };
        assert!(store.open(&route, &next, at).await.unwrap());
        cursor = store.cursor(&route, at).await.unwrap();
    }
    let window = cursor.open.unwrap().number;
    assert!(store.close(&route, window, None, at).await.unwrap());
    let stored = store.tallies(&route, None, 97, at).await.unwrap().tallies;
    let tally = Tally::sum(stored.iter().map(|stored| &stored.tally));
    let alerts = tally.alerts;
    let epoch = Epoch {
        number: cursor.epoch + 1,
        window,
        at: Timestamp::default(),
        tally,
        owed: vec![target()],
        burst: None,
        ends_burst: false,
        hold: None,
        released: None,
    };
    let freeze = Freeze {
        closing: window,
        after: cursor.epoch,
        tallies: stored.into_iter().map(|stored| stored.key).collect(),
        epoch: (alerts > 0).then_some(epoch),
        patterns: BurstPatterns::default(),
        burst: None,
        holding: Holding::default(),
        finish: Some(Finish::default()),
    };
    assert!(store.freeze(&route, &freeze, at).await.unwrap(), "no other process closes");
    alerts
}

async fn commits_that_race_with_freezes_are_counted_once(kind: EngineKind) {
    const PROCESSES: usize = 4;
    const COMMITS: usize = 12;
    let engine = TestEngine::start(kind).await;
    // Each commit repeats half of the alerts of the one before, which another process commits.
    let parts: Vec<Vec<Alert>> = (0..PROCESSES * COMMITS)
        .map(|n| (n * 5..n * 5 + 10).map(|n| alert(&format!("{n}"), &["critical"])).collect())
        .collect();
    let committed = AtomicUsize::new(0);
    let mut stores = Vec::new();
    for _ in 0..=PROCESSES {
        stores.push(engine.store().await);
    }
    let commit = async |process: usize| {
        let mut fresh = 0;
        for n in 0..COMMITS {
            let commits = stores[process].commit(&parts[n * PROCESSES + process], soon()).await;
            assert!(
                !commits.iter().any(|commit| matches!(commit, Commit::Failed(_))),
                "{commits:?}"
            );
            fresh += commits.iter().filter(|commit| **commit == Commit::Fresh).count() as u64;
        }
        committed.fetch_add(1, Ordering::SeqCst);
        fresh
    };
    let freeze = async {
        let mut frozen = 0;
        while committed.load(Ordering::SeqCst) < PROCESSES {
            frozen += close_and_freeze(&stores[PROCESSES]).await;
        }
        frozen + close_and_freeze(&stores[PROCESSES]).await
    };
    let (fresh, frozen) = join(join_all((0..PROCESSES).map(commit)), freeze).await;
    let alerts = (PROCESSES * COMMITS * 5 + 5) as u64;
    assert_eq!((fresh.iter().sum::<u64>(), frozen), (alerts, alerts));
    assert_eq!(counted(&stores[0], "critical").await, 0);
    let cursor = stores[0].cursor(&route(), soon()).await.unwrap();
    let epochs = stores[0].epochs(&route(), 0, cursor.epoch, usize::MAX, soon()).await.unwrap();
    assert_eq!(epochs.iter().map(|epoch| epoch.tally.alerts).sum::<u64>(), alerts);
    assert_eq!(found(&stores[0], &everything()).await.len() as u64, alerts, "rows");
}

fn everything() -> AlertQuery {
    AlertQuery::between(Timestamp::from_millis(i64::MIN), Timestamp::from_millis(i64::MAX))
}

async fn found(store: &Database, query: &AlertQuery) -> Vec<AuditRow> {
    let mut rows = Vec::new();
    let add = |row| {
        rows.push(row);
        Ok::<_, StoreError>(true)
    };
    store.find_alerts(query, soon, add).await.unwrap();
    rows
}

async fn rows_are_found_by_time_app_and_route(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let app = |name: &str| Arc::new(Origin::default().with_app(name, AppSource::default()));
    // More than a page, several of each millisecond.
    let usual = (0..1_200).map(|n| Alert {
        timestamp: Timestamp::from_millis(1_795_443_306_789 + n / 3),
        origin: app(if n % 2 == 0 { "even" } else { "odd" }),
        ..alert(&format!("{n}"), if n % 3 == 0 { &["critical", "audit"] } else { &["critical"] })
    });
    let odd_times = [i64::MIN, -1, 0, i64::MAX].map(|millis| Alert {
        timestamp: Timestamp::from_millis(millis),
        origin: app("clock"),
        ..alert(&format!("at {millis}"), &["critical"])
    });
    let alerts: Vec<Alert> = usual.chain(odd_times).collect();
    assert!(store.commit(&alerts, soon()).await.iter().all(|commit| *commit == Commit::Fresh));
    let all = found(&store, &everything()).await;
    assert_eq!(all.len(), 1_204);
    assert!(all.is_sorted_by(|one, next| one.timestamp >= next.timestamp), "the latest first");
    let ids: BTreeSet<&str> = all.iter().map(|row| row.log_id.as_str()).collect();
    assert_eq!(ids.len(), 1_204, "each once");
    let count = async |query: AlertQuery| found(&store, &query).await.len();
    let (since, until) =
        (Timestamp::from_millis(1_795_443_306_789), Timestamp::from_millis(1_795_443_306_790));
    assert_eq!(count(AlertQuery { since, ..everything() }).await, 1_201);
    assert_eq!(count(AlertQuery { since, until, ..everything() }).await, 6, "both ends inclusive");
    assert_eq!(count(AlertQuery { app: Some("odd".to_owned()), ..everything() }).await, 600);
    let route = Some("audit".parse().unwrap());
    assert_eq!(count(AlertQuery { route, ..everything() }).await, 400);
    let grep = Some(regex::Regex::new("order 7 failed").unwrap());
    assert_eq!(count(AlertQuery { grep, ..everything() }).await, 1);
    // A reader that has enough gets no more.
    let mut shown = 0;
    let until_enough = |_| {
        shown += 1;
        Ok::<_, StoreError>(shown < 10)
    };
    store.find_alerts(&everything(), soon, until_enough).await.unwrap();
    assert_eq!(shown, 10);
}

async fn a_row_shows_what_was_stored(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let context = LogContext { before: "one line before".to_owned(), after: String::new() };
    let stored = Alert {
        region: Some("eu-west-1".into()),
        left_out: 7,
        context: Some(Box::new(context)),
        ..alert("37", &["critical", "audit"])
    };
    store.commit(&[stored.clone(), alert("38", &["critical"])], soon()).await;
    let row = store.alert(stored.id.as_str(), soon()).await.unwrap().expect("it is stored");
    let expected = AuditRow {
        log_id: stored.id.to_string(),
        timestamp: "2026-11-23T14:15:06.789Z".to_owned(),
        marker: "[CRITICAL]".to_owned(),
        app_name: "shop".to_owned(),
        message: "[CRITICAL] order 37 failed".to_owned(),
        routes: vec!["critical".to_owned(), "audit".to_owned()],
        account_id: "123456789012".to_owned(),
        region: "eu-west-1".to_owned(),
        log_group: "/aws/lambda/shop".to_owned(),
        log_stream: stored.origin.log_stream.clone(),
        pattern: "[CRITICAL] order <n> failed".to_owned(),
        source: "test".to_owned(),
        context_before: "one line before".to_owned(),
        context_after: String::new(),
    };
    assert_eq!(row, expected);
    assert_eq!(store.alert("37", soon()).await.unwrap(), None);
}

/// PostgreSQL cannot hold a NUL, and shows a symbol in its place.
async fn any_text_can_be_stored(kind: EngineKind) {
    let engine = TestEngine::start(kind).await;
    let store = engine.store().await;
    let odd = "a\0b \u{1} \u{7f} \u{80} \u{d7ff} \u{ffff} \u{10ffff} \\ ' \" {} \u{202e}\r\n\t";
    let origin = Origin::new("123456789012", odd, "stream", None, "test");
    let stored = Alert {
        message: format!("[CRITICAL] {odd}"),
        marker: odd.into(),
        origin: Arc::new(origin),
        ..alert(odd, &["critical"])
    };
    let alerts = [stored.clone(), alert("2", &["critical"])];
    assert_eq!(store.commit(&alerts, soon()).await, [Commit::Fresh, Commit::Fresh]);
    let again = store.commit(&alerts, soon()).await;
    assert!(again.iter().all(|commit| matches!(commit, Commit::Duplicate { .. })), "{again:?}");
    assert_eq!(counted(&store, "critical").await, 2);
    let row = store.alert(stored.id.as_str(), soon()).await.unwrap().expect("it is stored");
    let shown = match kind {
        EngineKind::Postgres => odd.replace('\0', "\u{2400}"),
        EngineKind::Dynoxide | EngineKind::DynamoDbLocal => odd.to_owned(),
    };
    assert_eq!((row.message, row.log_group), (format!("[CRITICAL] {shown}"), shown));
    // An id is as a whole what tells alerts apart.
    let other = alert(&odd.replace('\0', "\u{2400}"), &["critical"]);
    assert_eq!(store.commit(&[other], soon()).await, [Commit::Fresh]);
}

async fn the_id_of_a_database_tells_it_from_others(kind: EngineKind) {
    let (one, other) = (TestEngine::start(kind).await, TestEngine::start(kind).await);
    if kind == EngineKind::DynamoDbLocal {
        // Its description of a table lacks the `TableId` of AWS.
        let id = one.store().await.id(soon()).await;
        assert!(
            matches!(&id, Err(StoreError::Invalid(cause)) if cause.code == "no-table-id"),
            "{id:?}"
        );
        return;
    }
    let id = async |engine: &TestEngine| engine.store().await.id(soon()).await.unwrap();
    assert_eq!(id(&one).await, id(&one).await);
    assert_ne!(id(&one).await, id(&other).await);
}
