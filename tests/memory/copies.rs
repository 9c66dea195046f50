//! How often a message is copied on its way from a decoded event to the request that stores it:
//! once for the alert and once for the request, however often that is sent.

use std::time::Duration;

use stentor::adapters::clock::SystemClock;
use stentor::config::Config;
use stentor::ingest::route::Routes;
use stentor::model::alert::Alert;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::{Commit, Store as _};

use crate::connector::{Way, store};
use crate::counting::Asked;
use crate::flood::{alerts, record};

/// Four full transactions.
const ALERTS: usize = 4 * 99;

/// Longer than what a tally holds of a message, or a pattern reads of it.
const BYTES: usize = 4_000;

/// A request has room for the escapes of its texts, an eighth; nothing else may grow with a
/// message.
const COPIES_MAX: f64 = 1.2;

/// The allocations for each alert: to scan a flood of messages of so many bytes, and then to commit
/// it.
async fn asked(bytes: usize, way: &Way) -> [Asked; 2] {
    let (routes, record) = (Routes::new(&Config::builtin()).unwrap(), record(ALERTS, bytes));
    // The first time the searches also make their caches.
    drop(alerts(&routes, &record));
    let before = Asked::until_now();
    let alerts = alerts(&routes, &record);
    let scanned = Asked::since(before);
    [scanned, committed(way, &alerts).await]
}

async fn committed(way: &Way, alerts: &[Alert]) -> Asked {
    // No server listens there: the connector answers first.
    let store = store(way, "http://127.0.0.1:9");
    let deadline = Deadline::after(SystemClock.now(), Duration::from_secs(20));
    store.commit(&alerts[..1], deadline).await;
    let before = Asked::until_now();
    let commits = store.commit(alerts, deadline).await;
    let asked = Asked::since(before);
    assert!(commits.iter().all(|commit| *commit == Commit::Fresh));
    asked
}

#[tokio::main(flavor = "current_thread")]
pub async fn a_message_is_copied_once_for_the_alert_and_once_for_the_request() {
    for refuses_once in [false, true] {
        let way = Way { answers: true, refuses_once, ..Way::default() };
        let (small, large) = (asked(BYTES, &way).await, asked(2 * BYTES, &way).await);
        for (step, [small, large]) in
            ["scan", "commit"].into_iter().zip([[small[0], large[0]], [small[1], large[1]]])
        {
            let copies = (large.bytes as f64 - small.bytes as f64) / (ALERTS * BYTES) as f64;
            let times = large.times / ALERTS;
            println!(
                "{step}, refused {refuses_once}: {times} allocations for each alert, {copies:.2} copies"
            );
            assert!(copies <= COPIES_MAX, "{step}: {copies:.2} copies of a message");
            assert!(times <= 14, "{step}: {times} allocations for each alert");
        }
    }
}
