//! Replays that crash before and after each of their calls.

use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::embedded::Embedded;
use stentor::ingest::event::Data;
use stentor::model::error::Cause;
use stentor::ops::replay::{
    DeadLetterSource, Receipt, ReceivedMessage, ReplayOptions, Report, SourceError,
    VISIBILITY_TIMEOUT, discard, replay,
};
use stentor::protocol::clock::Deadline;
use stentor::protocol::close::drain;

use crate::support::parked::{failed_invocation, gzip, parked_record, unstorable};
use crate::support::{Crash, CrashSwitch, Process, record_with_bad_event};

/// A dead-letter queue in memory, whose calls pass the crash switch.
struct FakeSource<'a> {
    crash_switch: &'a CrashSwitch,
    /// Dead letters, each with whether a process has received it.
    dead_letters: Mutex<Vec<(ReceivedMessage, bool)>>,
}

impl<'a> FakeSource<'a> {
    fn of(crash_switch: &'a CrashSwitch, bodies: &[String]) -> Self {
        let dead_letter = |(n, body): (usize, &String)| {
            let receipt = Receipt { id: n.to_string(), receipt: n.to_string() };
            (ReceivedMessage { receipt, body: body.clone(), sent_at: None }, false)
        };
        Self {
            crash_switch,
            dead_letters: Mutex::new(bodies.iter().enumerate().map(dead_letter).collect()),
        }
    }

    /// Makes received dead letters visible again, as after a crash and the visibility time-out.
    fn expire_visibility(&self) {
        self.dead_letters.lock().unwrap().iter_mut().for_each(|(_, held)| *held = false);
    }

    fn bodies(&self) -> Vec<String> {
        self.dead_letters.lock().unwrap().iter().map(|(one, _)| one.body.clone()).collect()
    }

    fn left(&self) -> usize {
        self.dead_letters.lock().unwrap().len()
    }
}

fn lost(cause: Cause) -> SourceError {
    SourceError::Unavailable(cause.to_string())
}

impl DeadLetterSource for &FakeSource<'_> {
    async fn receive(
        &self,
        max: usize,
        _deadline: Deadline,
    ) -> Result<Vec<ReceivedMessage>, SourceError> {
        let receive = async {
            let mut dead_letters = self.dead_letters.lock().unwrap();
            let visible = dead_letters.iter_mut().filter(|(_, hidden)| !hidden).take(max);
            visible
                .map(|(dead_letter, hidden)| {
                    *hidden = true;
                    dead_letter.clone()
                })
                .collect()
        };
        self.crash_switch.call("receive", receive).await.map_err(lost)
    }

    async fn delete(
        &self,
        receipts: &[Receipt],
        _deadline: Deadline,
    ) -> Vec<Result<(), SourceError>> {
        let delete = async {
            self.dead_letters
                .lock()
                .unwrap()
                .retain(|(dead_letter, _)| !receipts.contains(&dead_letter.receipt))
        };
        vec![self.crash_switch.call("delete", delete).await.map_err(lost); receipts.len()]
    }

    async fn hide(&self, receipts: &[Receipt], hidden_for: Duration, _deadline: Deadline) {
        let hide = async {
            let mut dead_letters = self.dead_letters.lock().unwrap();
            dead_letters
                .iter_mut()
                .filter(|(dead_letter, _)| receipts.contains(&dead_letter.receipt))
                .for_each(|(_, hidden)| *hidden = !hidden_for.is_zero());
        };
        self.crash_switch.call("hide", hide).await.ok();
    }
}

async fn replay_once(process: &Process<'_>, dead_letters: &FakeSource<'_>) -> Report {
    let options =
        ReplayOptions { step_timeout: Duration::from_secs(10), ..ReplayOptions::default() };
    Box::pin(replay(process, &dead_letters, &None::<Infallible>, &options, |_| {})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_a_replay_crashes_at_any_call() {
    for timed in [false, true] {
        let calls = Box::pin(crashed_replay(timed, NEVER)).await;
        assert!(calls > 10, "{calls}");
        for at in 0..calls {
            // A lost answer and a call that was not made differ only in the effect of the call.
            let crash =
                if timed == at.is_multiple_of(2) { Crash::Before(at) } else { Crash::After(at) };
            Box::pin(crashed_replay(timed, crash)).await;
        }
    }
}

/// A crash between the export and the deletion exports a dead letter twice, which is harmless.
#[tokio::test]
async fn a_dead_letter_is_exported_before_it_is_discarded() {
    let bodies: Vec<String> = (0..12).map(|n| format!("letter {n}")).collect();
    let ids = ["3".to_owned(), "11".to_owned()];
    let options = ReplayOptions { ids: ids.clone().into(), ..ReplayOptions::default() };
    let mut calls = 1;
    let mut at = 0;
    while at <= calls {
        for crash in [Crash::Before(at), Crash::After(at)] {
            let crash_switch = CrashSwitch::default();
            let dead_letters = FakeSource::of(&crash_switch, &bodies);
            let mut exported = Vec::new();
            crash_switch.restart(Some(crash));
            let export = |bodies: &[&str]| {
                let left = dead_letters.bodies();
                let is_there = |body: &&str| left.iter().any(|one| one == body);
                assert!(bodies.iter().all(is_there), "deleted before its export");
                exported.extend(bodies.iter().map(ToString::to_string));
                Ok(())
            };
            let first = discard(&&dead_letters, &options, &SystemClock, export).await;
            calls = crash_switch.calls();
            crash_switch.restart(None);
            dead_letters.expire_visibility();
            let left = dead_letters.bodies();
            let is_safe = |body: &String| left.contains(body) || exported.contains(body);
            assert!(bodies.iter().all(is_safe), "{crash:?}: {exported:?}");
            assert!(left.len() >= 10, "{crash:?}: no other is deleted");
            let is_done = first.is_ok_and(|discarded| discarded.is_complete());
            assert!(!is_done || left.len() == 10, "{crash:?}: {left:?}");
            assert!(is_done || at < calls, "{crash:?}: it ends without a crash");
        }
        at += 1;
    }
    assert!(calls >= 4, "{calls}");
    let crash_switch = CrashSwitch::default();
    let dead_letters = FakeSource::of(&crash_switch, &bodies);
    let full = |_: &[&str]| Err(SourceError::Refused("the disk is full".to_owned()));
    assert!(discard(&&dead_letters, &options, &SystemClock, full).await.is_err());
    assert_eq!(dead_letters.left(), bodies.len(), "nothing is deleted without its export");
}

#[tokio::test]
async fn received_dead_letters_stay_hidden_while_work_lasts() {
    let crash_switch = CrashSwitch::default();
    let engine = Embedded::start(None).await.unwrap();
    let process = Process::start(&engine, &crash_switch, false).await;
    let dead_letters = FakeSource::of(&crash_switch, &vec!["hunter2".to_owned(); 12]);
    // One dead letter in twenty seconds; an unreadable one stays hidden until the end.
    let options = ReplayOptions { rate: Some(0.05), max: Some(10), ..ReplayOptions::default() };
    let report =
        Box::pin(replay(&process, &&dead_letters, &None::<Infallible>, &options, |_| {})).await;
    assert_eq!(
        (report.unresolved.len(), report.received, dead_letters.left()),
        (10, 10, 12),
        "no more than the limit"
    );
    let hidden = crash_switch.log().iter().filter(|call| **call == "hide").count();
    assert!(
        (3..10).contains(&hidden),
        "hidden again at half time, and made visible at the end: {hidden}"
    );
    assert!(dead_letters.dead_letters.lock().unwrap().iter().all(|(_, hidden)| !hidden));
}

/// A parked record with a good event, `<record>-1`, and a bad event.
fn parked_with_bad_event(record: &str) -> String {
    match record_with_bad_event(record, "[CRITICAL] order failed").data {
        Data::Base64(data) => {
            parked_record(&unstorable(), "shardId-9:2", Some(&STANDARD.decode(&*data).unwrap()))
        }
        data => panic!("{data:?}"),
    }
}

#[tokio::test]
async fn the_good_events_of_a_record_that_stays_are_delivered_once() {
    let crash_switch = CrashSwitch::default();
    let engine = Embedded::start(None).await.unwrap();
    let process = Process::start(&engine, &crash_switch, false).await;
    let dead_letters = FakeSource::of(&crash_switch, &[parked_with_bad_event("a")]);
    let first = replay_once(&process, &dead_letters).await;
    assert_eq!(
        (first.counts.kept, first.unresolved.len(), dead_letters.left()),
        (1, 1, 1),
        "{first:?}"
    );
    let failure = &first.unresolved[0].failure;
    assert_eq!((failure.code(), &failure.to_string()[..6]), ("bad-event", "1 of 2"), "{failure:?}");
    assert_eq!(process.delivered("critical", "slack:one"), 1);
    dead_letters.expire_visibility();
    let second = replay_once(&process, &dead_letters).await;
    assert_eq!(
        (second.counts.kept, second.counts.duplicates, dead_letters.left()),
        (0, 1, 1),
        "{second:?}"
    );
    assert_eq!(process.delivered("critical", "slack:one"), 1);
}

const NEVER: Crash = Crash::Before(u64::MAX);

/// Runs a replay that crashes at a call, then one that finishes. Returns the number of calls of the
/// first.
async fn crashed_replay(timed: bool, crash: Crash) -> u64 {
    let crash_switch = CrashSwitch::default();
    let engine = Embedded::start(None).await.unwrap();
    let process = Process::start(&engine, &crash_switch, timed).await;
    let records =
        ["a", "b"].map(|id| parked_record(&unstorable(), "shardId-9:1", Some(&gzip(id, 0))));
    let due = r#"{"route":"critical","window":1}"#.to_owned();
    let bodies = [
        &records[..],
        &[parked_with_bad_event("d"), failed_invocation("c"), due, "hunter2".to_owned()],
    ]
    .concat();
    let dead_letters = FakeSource::of(&crash_switch, &bodies);
    crash_switch.restart(Some(crash));
    replay_once(&process, &dead_letters).await;
    let calls = crash_switch.calls();
    crash_switch.restart(None);
    dead_letters.expire_visibility();
    process.clock.forward(VISIBILITY_TIMEOUT);
    let report = replay_once(&process, &dead_letters).await;
    assert_eq!(report.unresolved.len(), 2, "{crash:?} {:?}", report.unresolved);
    assert_eq!(
        dead_letters.left(),
        2,
        "{crash:?}: the unknown dead letter and the record with a bad event stay"
    );
    // Every window is due. With a due queue, this is the notifier.
    process.clock.forward(Duration::from_secs(600));
    let route = "critical".parse().unwrap();
    Box::pin(drain(&process, &route, process.deadline())).await;
    assert_eq!(process.rows_and_counts("critical").await, (4, 4), "{crash:?}");
    for target in ["slack:one", "slack:two"] {
        // Only a crash between the acceptance and its acknowledgement repeats a message.
        let delivered = process.delivered("critical", target);
        assert!(
            delivered == 4 || delivered > 4 && crash != NEVER,
            "{timed} {crash:?}: {target} {delivered}"
        );
    }
    calls
}
