//! `ops::trace` follows an alert from its commit to its targets.

use std::time::Duration;

use stentor::adapters::embedded::Embedded;
use stentor::model::audit::AuditRow;
use stentor::ops::trace::{AlertPlace, RouteTrace, TraceState, Wait, trace};
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::close::close;
use stentor::protocol::consume::consume;
use stentor::protocol::notify::{DeliverError, DeliveryFailure, FailureCode};
use stentor::protocol::store::{RETIRED_KEPT, Store as _};

use crate::support::{CrashSwitch, Process, batch, record};

const ROUTE: &str = "critical";

async fn ingest(process: &Process<'_>, name: &str) {
    let line = "[CRITICAL] pool exhausted";
    consume(process, &batch(vec![record(name, &[line])]), process.deadline()).await;
}

/// The row whose record has this name.
async fn row(process: &Process<'_>, name: &str) -> AuditRow {
    let rows = process.rows().await;
    let id = rows
        .iter()
        .map(|row| row["log_id"].as_s().unwrap())
        .find(|id| id.starts_with(&format!("{name}-0")))
        .unwrap_or_else(|| panic!("no row of {name} in {rows:?}"));
    let deadline = Deadline::after(process.clock.for_store().now(), Duration::from_secs(9));
    process.store.inner.alert(id, deadline).await.unwrap().unwrap()
}

async fn traced(process: &Process<'_>, row: &AuditRow) -> RouteTrace {
    let deadline = || process.deadline();
    let route = ROUTE.parse().unwrap();
    trace(&process.store, row, &route, 0, process.clock.now(), deadline).await.unwrap()
}

/// The state of each target and why it waits, as text.
fn targets(traced: &RouteTrace) -> Vec<String> {
    let text = |one: &stentor::ops::trace::TargetTrace| {
        let wait = one.wait.map(|(wait, _)| format!(" {}", wait.code())).unwrap_or_default();
        format!("{} {}{wait}", one.target, one.state.code())
    };
    traced.targets.iter().map(text).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_is_followed_to_each_target() {
    let engine = Embedded::start(None).await.unwrap();
    let switch = CrashSwitch::default();
    let process = Process::start(&engine, &switch, true).await;
    let route = ROUTE.parse().unwrap();
    ingest(&process, "a").await;
    let first = row(&process, "a").await;
    let collecting = traced(&process, &first).await;
    assert_eq!(
        (&collecting.place, collecting.open.map(|(n, _)| n)),
        (&AlertPlace::Window, Some(1))
    );
    assert_eq!(targets(&collecting), ["slack:one collecting", "slack:two collecting"]);
    assert!(!collecting.is_delivered());

    let reason = DeliveryFailure::new(FailureCode::RateLimited, "429");
    let busy = DeliverError::Retry { after: Some(Duration::from_secs(600)), reason };
    process.targets.answers.lock().unwrap().insert("slack:two".parse().unwrap(), vec![busy]);
    process.clock.forward(Duration::from_secs(60));
    close(&process, &route, 0, process.deadline()).await;
    let owed = traced(&process, &first).await;
    let AlertPlace::Epochs(epochs) = &owed.place else { panic!("{owed:?}") };
    assert_eq!((epochs.len(), epochs[0].number, epochs[0].window), (1, 1, 1));
    assert_eq!(targets(&owed), ["slack:one acknowledged", "slack:two owed paused"]);
    let (_, until) = owed.targets[1].wait.unwrap();
    let left = process.clock.now().until(until.unwrap());
    assert!((590..=600).contains(&left.as_secs()), "{left:?}");
    assert_eq!((owed.targets[0].offset, owed.targets[1].failures), (Some(1), 1));
    assert!(!owed.is_delivered());

    process.clock.forward(Duration::from_secs(601));
    let due = traced(&process, &first).await;
    assert_eq!(due.targets[1].wait, Some((Wait::Due, None)));
    close(&process, &route, 0, process.deadline()).await;
    let delivered = traced(&process, &first).await;
    assert!(delivered.is_delivered(), "{delivered:?}");
    assert_eq!(delivered.targets[1].state, TraceState::Acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_is_named_and_alike_epochs_are_all_listed() {
    let engine = Embedded::start(None).await.unwrap();
    let switch = CrashSwitch::default();
    let process = Process::start(&engine, &switch, true).await;
    let route = ROUTE.parse().unwrap();
    // The same line at the same time, in three windows: only a sample says which epoch has it.
    for name in ["a", "b", "c"] {
        ingest(&process, name).await;
        process.clock.forward(Duration::from_secs(300));
        if name == "c" {
            let until = process.clock.now().after(Duration::from_secs(3_600));
            process.store.mute(&route, Some(until), process.deadline()).await.unwrap();
        }
        close(&process, &route, 0, process.deadline()).await;
    }
    let third = traced(&process, &row(&process, "c").await).await;
    let AlertPlace::Epochs(epochs) = &third.place else { panic!("{third:?}") };
    assert_eq!(epochs.iter().map(|epoch| epoch.number).collect::<Vec<_>>(), [3]);
    assert!(third.muted_until.is_some() && third.is_delivered());
    assert_eq!(third.targets.iter().map(|target| target.muted).collect::<Vec<_>>(), [1, 1]);

    // A row that is no sample may be in any of them.
    let other = AuditRow { log_id: "other".to_owned(), ..row(&process, "c").await };
    let unknown = traced(&process, &other).await;
    let AlertPlace::Epochs(epochs) = &unknown.place else { panic!("{unknown:?}") };
    assert_eq!(epochs.len(), 3, "a row does not name its epoch");
    let elsewhere = AuditRow { marker: "[OTHER]".to_owned(), ..other };
    let place = traced(&process, &elsewhere).await.place;
    assert_eq!(place, AlertPlace::Missing, "no epoch of its time is gone yet");
    process.clock.forward(RETIRED_KEPT);
    assert_eq!(traced(&process, &elsewhere).await.place, AlertPlace::Expired);
}
