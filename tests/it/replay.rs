//! The core of a replay, which is killed before and after every call that it makes.

use std::convert::Infallible;
use std::sync::Mutex;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use stentor::adapters::embedded::Embedded;
use stentor::ingest::event::Data;
use stentor::model::error::Cause;
use stentor::ops::replay::{
    DeadLetterSource, Options, Receipt, ReceivedMessage, Report, SourceError, VISIBILITY_TIMEOUT, replay,
};
use stentor::protocol::clock::Deadline;
use stentor::protocol::close::drain;

use crate::support::parked::{failed_invocation, gzip, parked_record, unstorable};
use crate::support::{Crash, Lifeline, Process, half_bad};

/// A dead-letter queue in memory, its calls passing the lifeline.
struct FakeLetters<'a> {
    lifeline: &'a Lifeline,
    /// Letters, and whether somebody has them in hand.
    dead_letters: Mutex<Vec<(ReceivedMessage, bool)>>,
}

impl<'a> FakeLetters<'a> {
    fn of(lifeline: &'a Lifeline, bodies: &[String]) -> Self {
        let dead_letter = |(n, body): (usize, &String)| {
            let receipt = Receipt { id: n.to_string(), receipt: n.to_string() };
            (ReceivedMessage { receipt, body: body.clone(), sent_at: None }, false)
        };
        Self { lifeline, dead_letters: Mutex::new(bodies.iter().enumerate().map(dead_letter).collect()) }
    }

    /// The process that had letters in hand is gone, and the time-out has passed.
    fn come_back(&self) {
        self.dead_letters.lock().unwrap().iter_mut().for_each(|(_, held)| *held = false);
    }

    fn left(&self) -> usize {
        self.dead_letters.lock().unwrap().len()
    }
}

fn lost(cause: Cause) -> SourceError {
    SourceError::Unavailable(cause.to_string())
}

impl DeadLetterSource for &FakeLetters<'_> {
    async fn receive(&self, max: usize, _deadline: Deadline) -> Result<Vec<ReceivedMessage>, SourceError> {
        let receive = async {
            let mut dead_letters = self.dead_letters.lock().unwrap();
            let free = dead_letters.iter_mut().filter(|(_, held)| !held).take(max);
            free.map(|(dead_letter, held)| {
                *held = true;
                dead_letter.clone()
            })
            .collect()
        };
        self.lifeline.call("receive", receive).await.map_err(lost)
    }

    async fn delete(&self, receipts: &[Receipt], _deadline: Deadline) -> Vec<Result<(), SourceError>> {
        let delete = async {
            self.dead_letters.lock().unwrap().retain(|(dead_letter, _)| !receipts.contains(&dead_letter.receipt))
        };
        vec![self.lifeline.call("delete", delete).await.map_err(lost); receipts.len()]
    }

    async fn hide(&self, receipts: &[Receipt], hidden_for: Duration, _deadline: Deadline) {
        let hide = async {
            let mut dead_letters = self.dead_letters.lock().unwrap();
            dead_letters
                .iter_mut()
                .filter(|(dead_letter, _)| receipts.contains(&dead_letter.receipt))
                .for_each(|(_, held)| *held = !hidden_for.is_zero());
        };
        self.lifeline.call("hide", hide).await.ok();
    }
}

async fn replay_once(process: &Process<'_>, dead_letters: &FakeLetters<'_>) -> Report {
    let options = Options { step_timeout: Duration::from_secs(10), ..Options::default() };
    Box::pin(replay(process, &dead_letters, &None::<Infallible>, &options, |_| {})).await
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_lost_when_a_replay_crashes_at_any_call() {
    for timed in [false, true] {
        let calls = Box::pin(crashed_replay(timed, NEVER)).await;
        assert!(calls > 10, "{calls}");
        for at in 0..calls {
            // A lost answer and a call that is not made leave the same behind but for what the call did.
            let crash = if timed == at.is_multiple_of(2) { Crash::Before(at) } else { Crash::After(at) };
            Box::pin(crashed_replay(timed, crash)).await;
        }
    }
}

#[tokio::test]
async fn letters_in_hand_are_hidden_again_while_work_lasts() {
    let lifeline = Lifeline::default();
    let engine = Embedded::start(None).await.unwrap();
    let process = Process::start(&engine, &lifeline, false).await;
    let dead_letters = FakeLetters::of(&lifeline, &vec!["hunter2".to_owned(); 12]);
    // One in twenty seconds, and what cannot be read is kept in hand to the end.
    let options = Options { rate: Some(0.05), max: Some(10), ..Options::default() };
    let report = Box::pin(replay(&process, &&dead_letters, &None::<Infallible>, &options, |_| {})).await;
    assert_eq!(
        (report.unresolved.len(), report.received, dead_letters.left()),
        (10, 10, 12),
        "no more than were asked for"
    );
    let hidden = lifeline.log().iter().filter(|call| **call == "hide").count();
    assert!((3..10).contains(&hidden), "hidden again at half time, and given back: {hidden}");
    assert!(dead_letters.dead_letters.lock().unwrap().iter().all(|(_, held)| !held));
}

/// A parked record with a good event, `<record>-1`, and a bad one.
fn parked_half_bad(record: &str) -> String {
    match half_bad(record, "[CRITICAL] order failed").data {
        Data::Base64(data) => parked_record(&unstorable(), "shardId-9:2", Some(&STANDARD.decode(&*data).unwrap())),
        data => panic!("{data:?}"),
    }
}

#[tokio::test]
async fn the_good_events_of_a_record_that_stays_are_told_once() {
    let lifeline = Lifeline::default();
    let engine = Embedded::start(None).await.unwrap();
    let process = Process::start(&engine, &lifeline, false).await;
    let dead_letters = FakeLetters::of(&lifeline, &[parked_half_bad("a")]);
    let first = replay_once(&process, &dead_letters).await;
    assert_eq!((first.counts.kept, first.unresolved.len(), dead_letters.left()), (1, 1, 1), "{first:?}");
    let failure = &first.unresolved[0].failure;
    assert_eq!((failure.code(), &failure.to_string()[..6]), ("bad-event", "1 of 2"), "{failure:?}");
    assert_eq!(process.delivered("critical", "slack:one"), 1);
    dead_letters.come_back();
    let second = replay_once(&process, &dead_letters).await;
    assert_eq!((second.counts.kept, second.counts.duplicates, dead_letters.left()), (0, 1, 1), "{second:?}");
    assert_eq!(process.delivered("critical", "slack:one"), 1);
}

const NEVER: Crash = Crash::Before(u64::MAX);

/// A replay that dies at a call, and the next, which finishes; answers how many calls the first made.
async fn crashed_replay(timed: bool, crash: Crash) -> u64 {
    let lifeline = Lifeline::default();
    let engine = Embedded::start(None).await.unwrap();
    let process = Process::start(&engine, &lifeline, timed).await;
    let records = ["a", "b"].map(|id| parked_record(&unstorable(), "shardId-9:1", Some(&gzip(id, 0))));
    let due = r#"{"route":"critical","window":1}"#.to_owned();
    let bodies = [&records[..], &[parked_half_bad("d"), failed_invocation("c"), due, "hunter2".to_owned()]].concat();
    let dead_letters = FakeLetters::of(&lifeline, &bodies);
    lifeline.restart(Some(crash));
    replay_once(&process, &dead_letters).await;
    let calls = lifeline.calls();
    lifeline.restart(None);
    dead_letters.come_back();
    process.clock.forward(VISIBILITY_TIMEOUT);
    let report = replay_once(&process, &dead_letters).await;
    assert_eq!(report.unresolved.len(), 2, "{crash:?} {:?}", report.unresolved);
    assert_eq!(dead_letters.left(), 2, "{crash:?}: the unknown one and the record with a bad event stay");
    // Whoever comes once every window is due: with a timer, the notifier.
    process.clock.forward(Duration::from_secs(600));
    let route = "critical".parse().unwrap();
    Box::pin(drain(&process, &route, process.deadline())).await;
    assert_eq!(process.rows_and_counts("critical").await, (4, 4), "{crash:?}");
    for target in ["slack:one", "slack:two"] {
        // A crash between acceptance and settlement repeats a message, and nothing else does.
        let delivered = process.delivered("critical", target);
        assert!(delivered == 4 || delivered > 4 && crash != NEVER, "{timed} {crash:?}: {target} {delivered}");
    }
    calls
}
