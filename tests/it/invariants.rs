//! The invariants of the protocol, each under every crash that one process can suffer: before and
//! after each of its remote calls, with a timer and without. The store is the production one, on an
//! engine in memory. Concurrent processes and random schedules are left to the simulation.

use std::time::Duration;

use crate::support::{Crash, CrashSwitch, Process, batch, poison, record, record_with_bad_event};
use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use stentor::adapters::embedded::Embedded;
use stentor::ingest::decode::Poison;
use stentor::ingest::event::{self, Batch, Record};
use stentor::lambda::handler::{Invocation, handle};
use stentor::model::name::RouteName;
use stentor::model::outbox::Recipient;
use stentor::model::pattern::{Pattern, pattern_id};
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::close::{Closed, close, drain};
use stentor::protocol::consume::{Checkpoint, Consumed, Verdict, consume};
use stentor::protocol::dead_letter::ParkedWork;
use stentor::protocol::notify::{DeliverError, DeliveryFailure, FailureCode};
use stentor::protocol::retry_reason::RetryReason;
use stentor::protocol::services::Services as _;
use stentor::protocol::store::Store as _;

fn the_batch() -> Batch<'static> {
    batch(vec![
        record("a", &["[CRITICAL] one", "quiet", "[INFO] two"]),
        poison("b"),
        record("c", &["[CRITICAL] three", "[CRITICAL] four"]),
        record_with_bad_event("d", "[INFO] five"),
    ])
}

const ROUTES: [&str; 2] = ["critical", "info"];

/// Acts as a shard: sends the batch until it is acknowledged.
async fn deliver_batch(process: &Process<'_>, crash: Option<Crash>) -> Consumed {
    process.crash_switch.restart(crash);
    let mut consumed = consume(process, &the_batch(), process.deadline()).await;
    while consumed.checkpoint(&the_batch()) != Checkpoint::Everything {
        process.crash_switch.restart(None);
        // The leases of a crashed process expire.
        process.clock.forward(Duration::from_secs(60));
        consumed = consume(process, &the_batch(), process.deadline()).await;
    }
    consumed
}

/// Acts as the due queue and the sweep: delivers every due message, and closes every route until it
/// is at rest.
async fn notify_until_quiet(process: &Process<'_>, crash: Option<Crash>) {
    process.crash_switch.restart(crash);
    for round in 0..20 {
        process.clock.forward(Duration::from_secs(200));
        let mut busy = false;
        for route in ROUTES {
            let route: RouteName = route.parse().unwrap();
            let Closed { retry, .. } = close(process, &route, 0, process.deadline()).await;
            let cursor = process.store.inner.cursor(&route, process.deadline()).await.unwrap();
            busy |= retry.is_some() || cursor.open.is_some() || cursor.closing.is_some();
        }
        // Each later round is another process.
        process.crash_switch.restart(None);
        if !busy && round > 0 {
            return;
        }
    }
    panic!("a route never came to rest");
}

async fn assert_nothing_lost_and_counted_once(process: &Process<'_>, context: &str) {
    assert_eq!(process.rows().await.len(), 5, "{context}: one row for each alert");
    assert_eq!(process.rows_and_counts("critical").await, (3, 3), "{context}");
    assert_eq!(process.rows_and_counts("info").await, (2, 2), "{context}");
    for (route, target, alerts) in
        [("critical", "slack:one", 3), ("critical", "slack:two", 3), ("info", "slack:one", 2)]
    {
        assert!(
            process.delivered(route, target) >= alerts,
            "{context}: {target} did not receive all of {route}"
        );
    }
    let parked = process.dead_letters.parked.lock().unwrap();
    for bad in ["b", "d"] {
        let is_bad = |parked: &stentor::protocol::dead_letter::ParkedItem| matches!(&parked.what, ParkedWork::Record { event_id, .. } if event_id == bad);
        assert!(parked.iter().any(is_bad), "{context}: the poison record {bad} is parked");
    }
}

/// Runs `scenario` once without a crash, to count its remote calls, and then with a crash at each
/// of them.
async fn at_every_crash<F>(timed: bool, scenario: impl Fn(Option<Crash>, bool) -> F)
where
    F: Future<Output = u64>,
{
    let calls = scenario(None, timed).await;
    assert!(calls > 5, "the scenario makes remote calls");
    for n in 0..calls {
        scenario(Some(Crash::Before(n)), timed).await;
        scenario(Some(Crash::After(n)), timed).await;
    }
}

async fn consumer_crashes(crash: Option<Crash>, timed: bool) -> u64 {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, timed).await;
    crash_switch.restart(crash);
    let first = consume(&process, &the_batch(), process.deadline()).await;
    let calls = crash_switch.calls();
    let acknowledged = first.checkpoint(&the_batch()) == Checkpoint::Everything;
    let context = format!("{crash:?} in the consumer, timed {timed}, acknowledged {acknowledged}");
    if !acknowledged {
        process.clock.forward(Duration::from_secs(60));
        deliver_batch(&process, None).await;
    }
    if timed {
        notify_until_quiet(&process, None).await;
    }
    assert_nothing_lost_and_counted_once(&process, &context).await;
    assert_repeats_only_where_excused(&process, crash.is_some() && !timed, &context);
    calls
}

async fn notifier_crashes(crash: Option<Crash>, timed: bool) -> u64 {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, timed).await;
    deliver_batch(&process, None).await;
    crash_switch.restart(crash);
    for route in ROUTES {
        close(&process, &route.parse().unwrap(), 0, process.deadline()).await;
    }
    let calls = crash_switch.calls();
    notify_until_quiet(&process, None).await;
    let context = format!("{crash:?} in the notifier");
    assert_nothing_lost_and_counted_once(&process, &context).await;
    assert_repeats_only_where_excused(&process, crash.is_some(), &context);
    calls
}

/// Without a fault each target receives each alert once. A crash excuses at most one repetition: of
/// the message that was accepted and not acknowledged.
fn assert_repeats_only_where_excused(process: &Process<'_>, excused: bool, context: &str) {
    let accepted = process.targets.accepted.lock().unwrap();
    let report: Vec<_> = accepted.iter().filter(|digest| !digest.tally.is_empty()).collect();
    let repeated = report.len().saturating_sub(3);
    assert!(
        repeated <= usize::from(excused),
        "{context}: {} messages for 3 windows and targets",
        report.len()
    );
}

#[tokio::test]
async fn nothing_is_lost_when_the_consumer_crashes_at_any_call() {
    at_every_crash(true, consumer_crashes).await;
}

#[tokio::test]
async fn nothing_is_lost_when_a_consumer_without_a_timer_crashes_at_any_call() {
    at_every_crash(false, consumer_crashes).await;
}

#[tokio::test]
async fn nothing_is_lost_when_the_notifier_crashes_at_any_call() {
    at_every_crash(true, notifier_crashes).await;
}

#[tokio::test]
async fn the_consumer_commits_then_arms_and_only_then_acknowledges() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    crash_switch.restart(None);
    let consumed =
        consume(&process, &batch(vec![record("a", &["[INFO] x"])]), process.deadline()).await;
    assert_eq!(crash_switch.log(), ["commit", "cursor", "open", "send"]);
    assert_eq!(consumed.verdicts, [Verdict::Safe]);
    crash_switch.restart(Some(Crash::Before(3)));
    let consumed = consume(
        &process,
        &batch(vec![record("b", &["[CRITICAL] x"]), record("c", &["quiet"])]),
        process.deadline(),
    )
    .await;
    assert!(
        matches!(consumed.verdicts[..], [Verdict::Retry(_), Verdict::Safe]),
        "not armed is not safe: {consumed:?}"
    );
}

#[tokio::test]
async fn the_first_message_of_a_quiet_route_takes_seven_calls_in_a_row() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    consume(&process, &batch(vec![record("a", &["[INFO] x"])]), process.deadline()).await;
    crash_switch.restart(None);
    close(&process, &"info".parse().unwrap(), 0, process.deadline()).await;
    let log = crash_switch.log();
    let before: Vec<_> = log.iter().copied().take_while(|call| *call != "deliver").collect();
    // The due message is sent and the epoch is counted beside the delivery. Marks are read with the
    // target, and the turn is taken with the lease.
    let beside = ["send", "put_histories", "set_counted", "marks", "take_turn"];
    let in_a_row = before.iter().copied().filter(|call| !beside.contains(call));
    let expected = ["cursor", "close", "tallies", "histories", "freeze", "target", "lease"];
    assert_eq!(in_a_row.collect::<Vec<_>>(), expected, "{log:?}");
}

/// A later version of the program has written them, or a person.
#[tokio::test]
async fn a_mark_or_a_history_that_cannot_be_read_delays_no_message() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let put = async |partition: &str, sort: &str, name: &str| {
        let put = process.store.inner.client().put_item().table_name("Outbox");
        let put = put.item("pk", text(partition)).item("sk", text(sort));
        put.item(name, text("unknown")).send().await.unwrap();
    };
    put("#marks", &format!("{}#1", process.clock.now().iso()), "mark").await;
    let pattern = Pattern::of("[INFO] x", "[INFO]");
    put("info#patterns", &pattern_id(pattern.as_str()), "history").await;
    consume(&process, &batch(vec![record("a", &["[INFO] x"])]), process.deadline()).await;
    let closed = close(&process, &"info".parse().unwrap(), 0, process.deadline()).await;
    assert_eq!(closed.retry, None);
    assert_eq!(process.delivered("info", "slack:one"), 1);
}

#[tokio::test]
async fn a_new_pattern_in_a_burst_is_reported_soon_but_not_for_ever() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    let route: RouteName = "critical".parse().unwrap();
    let window = process.routes.get(&route).unwrap().window;
    let mut number = 0;
    let mut alert = async |text: &str| {
        number += 1;
        let line = format!("[CRITICAL] {text}");
        let batch = batch(vec![record(&format!("{number}"), &[&line])]);
        let consumed = consume(&process, &batch, process.deadline()).await;
        assert_eq!(consumed.verdicts, [Verdict::Safe]);
    };
    let next_due = async || {
        let cursor = process.store().cursor(&route, process.deadline()).await.unwrap();
        process.clock.now().until(cursor.open.unwrap().due)
    };
    // The windows of a burst become longer.
    for _ in 0..4 {
        alert("the pool is exhausted").await;
        process.clock.forward(next_due().await);
        close(&process, &route, 0, process.deadline()).await;
    }
    let long = next_due().await;
    assert!(long > window * 2, "{long:?}");
    alert("the pool is exhausted").await;
    // The clock of a process moves a little with each call.
    let is_near = |due: Duration, expected: Duration| due.abs_diff(expected) < window / 30;
    assert!(is_near(next_due().await, long), "a known pattern waits");
    alert("no space left on device").await;
    assert!(is_near(next_due().await, window), "a new one does not");
    let sent = process.due.as_ref().unwrap().sent.lock().unwrap().last().cloned().unwrap();
    assert!(sent.0.route == route && is_near(sent.1, window), "{sent:?}");
    // Patterns that are new all the time change no more than 16 windows of a burst.
    let words = "abcdefghijklmnopqrstuvwxyz".chars().map(|letter| String::from(letter).repeat(5));
    let mut pulled = 0;
    for word in words {
        alert(&format!("{word} has failed")).await;
        pulled += usize::from(next_due().await <= window);
        process.clock.forward(next_due().await);
        close(&process, &route, 0, process.deadline()).await;
    }
    assert_eq!(pulled, 16);
}

/// A shard that is throttled has no alerts for a while, and then those of that time.
#[tokio::test]
async fn a_burst_is_not_over_while_a_consumer_is_behind() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    let route: RouteName = "critical".parse().unwrap();
    let arrived = |name: &str, lines: &[&str], ago: Duration| {
        let seconds = process.clock.now().before(ago).as_millis() as f64 / 1000.0;
        Record { arrived_at: Some(format!("{seconds:.3}").into()), ..record(name, lines) }
    };
    let consume_one = async |record| {
        let consumed = consume(&process, &batch(vec![record]), process.deadline()).await;
        assert_eq!(consumed.verdicts, [Verdict::Safe]);
    };
    // Returns whether the burst has ended.
    let close_next = async || {
        let cursor = process.store().cursor(&route, process.deadline()).await.unwrap();
        let Some(open) = cursor.open else { return true };
        process.clock.forward(process.clock.now().until(open.due));
        close(&process, &route, 0, process.deadline()).await;
        process.targets.accepted.lock().unwrap().iter().any(|digest| digest.ends_burst)
    };
    consume_one(arrived("a", &["[CRITICAL] x"], Duration::ZERO)).await;
    assert!(!close_next().await, "the first message");
    consume_one(arrived("quiet", &["nothing"], Duration::from_secs(90))).await;
    assert!(!close_next().await, "a window without alerts, but a record is 90 s old");
    let before = process.clock.now();
    let mut windows = 0;
    while !close_next().await {
        windows += 1;
        assert!(windows < 20);
    }
    let lasted = before.until(process.clock.now());
    assert!(Duration::from_secs(120) < lasted && windows > 1, "{lasted:?} in {windows} windows");
    let accepted = process.targets.accepted.lock().unwrap();
    let shape: Vec<_> = accepted.iter().map(|d| (d.tally.alerts, d.ends_burst)).collect();
    assert_eq!(shape, [(1, false), (1, false), (0, true), (0, true)], "for each of two targets");
}

/// A mute keeps alerts quiet, and not the report that some of them are lost.
#[tokio::test]
async fn epochs_that_someone_deleted_are_reported() {
    for is_muted in [false, true] {
        Box::pin(deleted_epochs_are_reported(is_muted)).await;
    }
}

async fn deleted_epochs_are_reported(is_muted: bool) {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    let route: RouteName = "critical".parse().unwrap();
    let down = DeliverError::Retry {
        after: None,
        reason: DeliveryFailure::new(FailureCode::RateLimited, "down"),
    };
    process.targets.answers.lock().unwrap().insert("slack:two".parse().unwrap(), vec![down; 3]);
    for n in 0..3 {
        let batch = batch(vec![record(&format!("{n}"), &["[CRITICAL] x"])]);
        consume(&process, &batch, process.deadline()).await;
        process.clock.forward(Duration::from_secs(200));
        close(&process, &route, 0, process.deadline()).await;
    }
    let store = &process.store.inner;
    for epoch in [1, 2] {
        let delete = store.client().delete_item().table_name(&store.tables().outbox);
        let delete = delete.key("pk", AttributeValue::S(route.to_string()));
        let sort = AttributeValue::S(format!("epoch#{epoch:020}"));
        delete.key("sk", sort).send().await.unwrap();
    }
    process.clock.forward(Duration::from_secs(600));
    if is_muted {
        let until = process.clock.now().after(Duration::from_secs(3_600));
        store.mute(&route, Some(until), process.deadline()).await.unwrap();
    }
    while close(&process, &route, 0, process.deadline()).await.retry.is_some() {
        process.clock.forward(Duration::from_secs(10));
    }
    let accepted = process.targets.accepted.lock().unwrap();
    let two = accepted.iter().filter(|digest| digest.target.name.as_str() == "two");
    let two: Vec<_> = two.map(|digest| (digest.epochs, digest.lost_epochs)).collect();
    assert_eq!(two[0], ((1, 2), 2), "muted {is_muted}: {two:?}");
    assert_eq!(two.len() == 1, is_muted, "{two:?}");
    assert!(two[1..].iter().all(|(epochs, lost)| epochs.0 >= 3 && *lost == 0), "{two:?}");
}

/// It may be a dead letter that someone moved. SQS deletes it only if it is in the other queue.
#[tokio::test]
async fn a_message_that_cannot_be_put_back_stays_in_the_due_queue() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    let message = json!({
        "messageId": "m", "receiptHandle": "r", "body": "hello", "eventSource": "aws:sqs",
        "attributes": {"ApproximateReceiveCount": "1"},
    });
    let event = RawValue::from_string(json!({"Records": [message]}).to_string()).unwrap();
    for (crash, failures) in [(Some(Crash::Before(0)), 1), (None, 0)] {
        crash_switch.restart(crash);
        let invocation = Invocation {
            function: "notifier".to_owned(),
            request_id: "r".to_owned(),
            deadline_ms: u64::try_from(process.clock.now().as_millis()).unwrap() + 60_000,
            region: None,
            series_max: 0,
        };
        let answer = Box::pin(handle(&process, &event, &invocation, |_| {})).await.unwrap();
        let answer: Value = serde_json::from_str(answer.get()).unwrap();
        assert_eq!(answer["batchItemFailures"].as_array().unwrap().len(), failures, "{answer}");
    }
    assert_eq!(*process.dead_letters.put_back.lock().unwrap(), ["hello"]);
}

#[tokio::test]
async fn a_redelivery_arms_what_a_crashed_consumer_committed() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    let one = || batch(vec![record("a", &["[CRITICAL] x"])]);
    crash_switch.restart(Some(Crash::After(0)));
    consume(&process, &one(), process.deadline()).await;
    assert!(process.due.as_ref().unwrap().sent.lock().unwrap().is_empty());
    // The current configuration routes the line elsewhere. The row has the route that it was
    // committed for.
    let mut process = process;
    process.routes = crate::support::routes(
        "[[route]]\nname=\"other\"\nmarkers=[\"[CRITICAL]\"]\nnotify=[\"slack:x\"]",
    );
    crash_switch.restart(None);
    let consumed = consume(&process, &one(), process.deadline()).await;
    assert_eq!((consumed.counts.duplicates, consumed.counts.kept), (1, 0));
    let sent = process.due.as_ref().unwrap().sent.lock().unwrap().clone();
    assert_eq!(sent.iter().map(|(due, _)| due.route.as_str()).collect::<Vec<_>>(), ["critical"]);
}

#[tokio::test]
async fn a_poison_record_is_parked_and_blocks_no_other_unless_parking_fails() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, false).await;
    let consumed = deliver_batch(&process, None).await;
    assert!(matches!(
        consumed.verdicts[..],
        [Verdict::Safe, Verdict::Parked(_), Verdict::Safe, Verdict::Parked(_)]
    ));
    crash_switch.restart(Some(Crash::Before(0)));
    let consumed =
        consume(&process, &batch(vec![record("x", &["quiet"]), poison("y")]), process.deadline())
            .await;
    assert!(
        matches!(consumed.verdicts[..], [Verdict::Safe, Verdict::Retry(_)]),
        "{:?}",
        consumed.verdicts
    );
}

/// Parking acknowledges the record, so its good alerts must be as safe as those of any other.
#[tokio::test]
async fn a_record_with_a_bad_event_is_not_parked_before_its_alerts_are_delivered() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, false).await;
    let down = DeliverError::Retry {
        after: Some(Duration::from_secs(300)),
        reason: DeliveryFailure::new(FailureCode::RateLimited, "429"),
    };
    process.targets.answers.lock().unwrap().insert("slack:one".parse().unwrap(), vec![down]);
    let only = || batch(vec![record_with_bad_event("d", "[INFO] five")]);
    let consumed = consume(&process, &only(), process.deadline()).await;
    assert!(matches!(consumed.verdicts[..], [Verdict::Retry(_)]), "{:?}", consumed.verdicts);
    assert!(process.dead_letters.parked.lock().unwrap().is_empty());
    process.clock.forward(Duration::from_secs(301));
    let consumed = consume(&process, &only(), process.deadline()).await;
    assert!(matches!(consumed.verdicts[..], [Verdict::Parked(_)]), "{:?}", consumed.verdicts);
    assert_eq!(
        (process.delivered("info", "slack:one"), process.dead_letters.parked.lock().unwrap().len()),
        (1, 1)
    );
}

/// Without a timer the consumer delivers last, so the counts are final only after that.
#[tokio::test]
async fn a_record_whose_route_is_not_delivered_counts_as_retried() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, false).await;
    let down = DeliverError::Retry {
        after: Some(Duration::from_secs(300)),
        reason: DeliveryFailure::new(FailureCode::RateLimited, "429"),
    };
    process.targets.answers.lock().unwrap().insert("slack:one".parse().unwrap(), vec![down]);
    let records = vec![record("a", &["[INFO] owed"]), record("b", &["quiet"])];
    let consumed = consume(&process, &batch(records), process.deadline()).await;
    assert!(
        matches!(consumed.verdicts[..], [Verdict::Retry(_), Verdict::Safe]),
        "{:?}",
        consumed.verdicts
    );
    assert_eq!((consumed.counts.records, consumed.counts.records_retried), (2, 1));
}

/// An invocation with little time, on a machine on which each reading of the clock takes long.
#[test]
fn a_batch_longer_than_an_invocation_is_finished_by_later_ones() {
    // One worker reads, so that the order in which the clock is read does not depend on the
    // scheduler.
    let workers = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    workers.install(|| runtime.block_on(answered_in_time()));
}

async fn answered_in_time() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    let records = || {
        (0..300)
            .map(|n| record(&format!("r{n}"), &["[CRITICAL] x", "quiet", "[CRITICAL] y"]))
            .collect()
    };
    process.clock.tick_ms.store(25, std::sync::atomic::Ordering::SeqCst);
    let (mut acknowledged, mut invocations) = (0, 0);
    while acknowledged < 300 {
        let mut batch: Batch<'static> = batch(records());
        let rest = batch.records.split_off(acknowledged);
        let batch = Batch { records: rest, ..Batch::default() };
        crash_switch.restart(None);
        let deadline = process.deadline();
        let consumed = consume(&process, &batch, deadline).await;
        assert!(!deadline.has_passed(process.clock.now()), "there is time left to answer");
        let safe =
            consumed.verdicts.iter().take_while(|verdict| **verdict == Verdict::Safe).count();
        assert!(safe > 0, "each invocation makes progress: {:?}", consumed.verdicts.first());
        assert_eq!(consumed.counts.records, batch.records.len() as u64);
        assert!(consumed.counts.balance());
        acknowledged += safe;
        invocations += 1;
    }
    assert!(invocations > 1, "one invocation was not enough");
    assert_eq!(process.rows_and_counts("critical").await, (600, 600));
}

#[tokio::test]
async fn alerts_that_do_not_fit_the_memory_are_committed_in_steps() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    let long = format!("[CRITICAL] {}", "long ".repeat(3_000));
    let lines = vec![&*long; 150];
    let records = (0..20).map(|n| record(&format!("r{n}"), &lines)).collect();
    crash_switch.restart(None);
    let consumed = consume(
        &process,
        &batch(records),
        Deadline::after(process.clock.now(), Duration::from_secs(300)),
    )
    .await;
    assert_eq!(consumed.counts.kept, 3_000, "{:?}", consumed.counts);
    let commits = crash_switch.log().iter().filter(|call| **call == "commit").count();
    assert!((2..=4).contains(&commits), "45 MB of alerts took {commits} steps");
    assert_eq!(process.rows_and_counts("critical").await, (3_000, 3_000));
}

/// Kinesis acknowledges a prefix. Tries all vectors of up to 6 verdicts, for records with and
/// without a sequence number.
#[test]
fn nothing_is_acknowledged_past_the_first_record_to_retry() {
    for length in 0..=6_u32 {
        for case in 0..8_usize.pow(length) {
            let bits: Vec<usize> = (0..length).map(|i| case / 8_usize.pow(i) % 8).collect();
            let records: Vec<String> = bits
                .iter()
                .enumerate()
                .map(|(i, bit)| match bit % 2 {
                    0 => format!(r#"{{"kinesis":{{"sequenceNumber":"{i}","data":""}}}}"#),
                    _ => r#"{"kinesis":{"data":""}}"#.to_owned(),
                })
                .collect();
            let payload = format!(r#"{{"Records":[{}]}}"#, records.join(","));
            let batch = event::parse(&payload, "request").unwrap();
            let verdict = |bit: &usize| match bit / 2 {
                0 => Verdict::Safe,
                1 => Verdict::Parked(Poison::Panic),
                2 => Verdict::Unreadable(Poison::Panic),
                _ => Verdict::Retry(RetryReason::OutOfTime),
            };
            let consumed =
                Consumed { verdicts: bits.iter().map(verdict).collect(), ..Consumed::default() };
            let earliest = bits.iter().position(|bit| bit / 2 >= 2);
            match consumed.checkpoint(&batch) {
                Checkpoint::Everything => assert_eq!(earliest, None, "{payload} {bits:?}"),
                Checkpoint::Nothing => {
                    let before = &bits[..=earliest.expect("something must be retried")];
                    assert!(
                        before.iter().all(|bit| bit % 2 == 1),
                        "an earlier record had a sequence number: {payload} {bits:?}"
                    );
                }
                Checkpoint::Before(sequence) => {
                    let at: usize = sequence.as_str().parse().unwrap();
                    assert!(
                        at <= earliest.expect("something must be retried"),
                        "acknowledged too far: {payload} {bits:?}"
                    );
                    assert_eq!(bits[at] % 2, 0, "only sequence numbers of the batch are returned");
                }
            }
        }
    }
}

#[tokio::test]
async fn one_message_per_window_and_target_for_any_number_of_consumers() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    for shard in 0..7 {
        let lines = vec!["[INFO] x"; 30];
        consume(
            &process,
            &batch(vec![record(&format!("shard-{shard}"), &lines)]),
            process.deadline(),
        )
        .await;
    }
    notify_until_quiet(&process, None).await;
    let accepted = process.targets.accepted.lock().unwrap();
    let shape: Vec<_> = accepted.iter().map(|d| (d.tally.alerts, d.ends_burst)).collect();
    assert_eq!(
        shape,
        [(210, false), (0, true)],
        "one message for the window, one that the burst is over"
    );
}

#[tokio::test]
async fn concurrent_notifiers_deliver_once() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    consume(&process, &batch(vec![record("a", &["[CRITICAL] x"; 250])]), process.deadline()).await;
    let route: RouteName = "critical".parse().unwrap();
    let deadline = process.deadline();
    let notifier = || close(&process, &route, 0, deadline);
    futures::future::join_all([notifier(), notifier(), notifier(), notifier()]).await;
    assert_eq!(
        (process.delivered("critical", "slack:one"), process.delivered("critical", "slack:two")),
        (250, 250)
    );
    assert_eq!(process.messages(), 2);
}

#[tokio::test]
async fn a_target_that_was_down_gets_one_message_and_no_other_target_gets_a_second() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    let down = DeliverError::Retry {
        after: Some(Duration::from_secs(300)),
        reason: DeliveryFailure::new(FailureCode::RateLimited, "429"),
    };
    process.targets.answers.lock().unwrap().insert("slack:two".parse().unwrap(), vec![down]);
    let route: RouteName = "critical".parse().unwrap();
    consume(&process, &batch(vec![record("a", &["[CRITICAL] x"])]), process.deadline()).await;
    let closed = close(&process, &route, 0, process.deadline()).await;
    let wait = process.clock.now().until(closed.retry.expect("slack:two is owed").at);
    assert!((290..=300).contains(&wait.as_secs()), "Retry-After holds: {wait:?}");
    consume(
        &process,
        &batch(vec![record("b", &["[CRITICAL] y", "[CRITICAL] z"])]),
        process.deadline(),
    )
    .await;
    process.clock.forward(Duration::from_secs(31));
    close(&process, &route, 0, process.deadline()).await;
    assert_eq!(process.delivered("critical", "slack:two"), 0, "not before its Retry-After");
    process.clock.forward(Duration::from_secs(300));
    close(&process, &route, 0, process.deadline()).await;
    let accepted = process.targets.accepted.lock().unwrap();
    let of = |target: &str| -> Vec<_> {
        let digests =
            accepted.iter().filter(|d| d.target.to_string() == target && !d.tally.is_empty());
        digests.map(|d| (d.epochs, d.tally.alerts)).collect()
    };
    assert_eq!(of("slack:one"), [((1, 1), 1), ((2, 2), 2)]);
    assert_eq!(of("slack:two").len(), 1);
    assert_eq!(of("slack:two")[0].1, 3);
}

#[tokio::test]
async fn a_deferred_message_stays_owed_and_counts_as_no_failure() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, true).await;
    let deferred = vec![DeliverError::Deferred];
    process.targets.answers.lock().unwrap().insert("slack:two".parse().unwrap(), deferred);
    let route: RouteName = "critical".parse().unwrap();
    consume(&process, &batch(vec![record("a", &["[CRITICAL] x"])]), process.deadline()).await;
    let closed = close(&process, &route, 0, process.deadline()).await;
    assert_eq!(
        (closed.retry, process.delivered("critical", "slack:two")),
        (None, 0),
        "no other round is needed"
    );
    let two = "slack:two".parse().unwrap();
    let state =
        process.store().target(&route, Recipient::Own(&two), process.deadline()).await.unwrap();
    assert_eq!(
        (state.offset, state.failures, state.not_before, state.leased_until),
        (None, 0, None, None)
    );
    assert_eq!(
        process.store().cursor(&route, process.deadline()).await.unwrap().retired,
        0,
        "its epoch is needed"
    );
    close(&process, &route, 0, process.deadline()).await;
    assert_eq!(
        (process.delivered("critical", "slack:one"), process.delivered("critical", "slack:two")),
        (1, 1)
    );
}

#[tokio::test]
async fn a_refused_message_is_parked_and_then_acknowledged() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, false).await;
    let refused = DeliverError::Refused {
        reason: DeliveryFailure::new(FailureCode::Auth, "Slack answered 410: channel_is_archived"),
    };
    process.targets.answers.lock().unwrap().insert("slack:two".parse().unwrap(), vec![refused]);
    crash_switch.restart(None);
    consume(&process, &batch(vec![record("a", &["[CRITICAL] x"])]), process.deadline()).await;
    let log = crash_switch.log();
    let (park, acknowledged_at) =
        (log.iter().position(|c| *c == "park"), log.iter().rposition(|c| *c == "acknowledge"));
    assert!(park.is_some() && park < acknowledged_at, "{log:?}");
    let parked = process.dead_letters.parked.lock().unwrap();
    let ParkedWork::Message(message) = &parked[0].what else { panic!("a message") };
    let found = (message.target.to_string(), message.tally.alerts, message.epochs);
    assert_eq!(found, ("slack:two".to_owned(), 1, (1, 1)));
    assert_eq!(process.delivered("critical", "slack:one"), 1, "the other target is not affected");
}

#[tokio::test]
async fn a_route_that_is_no_longer_configured_is_parked_not_lost() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let mut process = Process::start(&engine, &crash_switch, true).await;
    consume(&process, &batch(vec![record("a", &["[INFO] x"])]), process.deadline()).await;
    process.routes = crate::support::routes(
        "[[route]]\nname=\"other\"\nmarkers=[\"[X]\"]\nnotify=[\"slack:x\"]",
    );
    drain(&process, &"info".parse().unwrap(), process.deadline()).await;
    let parked = process.dead_letters.parked.lock().unwrap();
    assert!(matches!(&parked[..], [only] if only.reason.contains("no longer")), "{parked:?}");
}

#[tokio::test]
async fn the_counts_of_a_batch_balance() {
    let engine = Embedded::start(None).await.unwrap();
    let crash_switch = CrashSwitch::default();
    let process = Process::start(&engine, &crash_switch, false).await;
    let twice = || {
        let mut batch = the_batch();
        batch.records.push(record("a", &["[CRITICAL] one", "quiet", "[INFO] two"]));
        batch.records.push(record("e", &[]));
        batch
    };
    for (crash, kept, duplicates, retried) in
        [(Some(Crash::Before(0)), 0, 0, 7), (None, 5, 2, 0), (None, 0, 7, 0)]
    {
        crash_switch.restart(crash);
        let consumed = consume(&process, &twice(), process.deadline()).await;
        let counts = consumed.counts;
        assert_eq!(
            (counts.kept, counts.duplicates, counts.retried),
            (kept, duplicates, retried),
            "{crash:?}"
        );
        assert_eq!(
            counts.events,
            counts.unmatched + counts.duplicates + counts.kept + counts.retried
        );
        let safe = consumed.verdicts.iter().filter(|v| **v == Verdict::Safe).count() as u64;
        assert_eq!(counts.records, safe + counts.records_parked + counts.records_retried);
        assert_eq!(counts.records, 6);
    }
}
