//! A month of alerts with planted news. Each is reported in the right message, and nowhere else.

use std::sync::Arc;
use std::time::Duration;

use stentor::ingest::event::{Batch, Data, Record};
use stentor::ingest::logs::{LogBatch, LogEvent, Message};
use stentor::model::history::NewsKind;
use stentor::model::pattern::pattern_id;
use stentor::protocol::consume::{Verdict, consume};

use super::floods::{flood, run_for};
use super::plan::Plan;
use super::services::Sim;

/// One route that sends everything, and one that speaks on news.
pub const CONFIGURATION: &str = r#"
    [[route]]
    name = "all"
    markers = ["[A]"]
    notify = ["slack:one"]
    continue = true
    [[route]]
    name = "calm"
    markers = ["[A]"]
    notify = ["slack:two"]
    window_max = "1h"
    speak_on = ["new", "back", "spike"]
"#;

const HOUR: Duration = Duration::from_hours(1);
const MINUTE: Duration = Duration::from_mins(1);

const QUEUE: &str = "[A] the queue is slow";
const BATCH: &str = "[A] the nightly export skipped a row";
const DISK: &str = "[A] the disk is full";
const CERTIFICATE: &str = "[A] the certificate has expired";

fn day(days: u32, time: Duration) -> Duration {
    HOUR * 24 * days + time
}

/// Logs `count` lines at this time, in one record.
fn log(sim: &Arc<Sim>, at: Duration, line: &'static str, count: usize) {
    let later = Arc::clone(sim);
    sim.executor.after(at, move || {
        let sim = later;
        sim.clone().executor.spawn(async move {
            let name = format!("{}-{line}", at.as_millis());
            let event = |n: usize| LogEvent {
                id: format!("{name}-{n}").into(),
                timestamp: Sim::time(at).as_millis(),
                message: line.into(),
                account: None,
                region: None,
            };
            let data = Data::Message(Message::Data(LogBatch {
                owner: "123456789012".into(),
                log_group: "/aws/lambda/shop".into(),
                log_stream: "stream".into(),
                events: (0..count).map(event).collect(),
            }));
            let batch =
                Batch { records: vec![Record::named(name.clone(), data)], ..Batch::default() };
            let body = |process, deadline| async move { consume(&process, &batch, deadline).await };
            let (_, consumed) = sim.invoke("consume", body).await;
            assert_eq!(consumed.unwrap().verdicts, [Verdict::Safe], "at {at:?}");
        });
    });
}

/// A message: when it was sent, its alerts, and the news in it.
struct Sent {
    at: Duration,
    alerts: u64,
    news: Vec<(&'static str, NewsKind)>,
}

fn sent(sim: &Sim, route: &str) -> Vec<Sent> {
    let of = |line: &'static str| {
        let pattern = pattern_id(line);
        move |id: &str| id == pattern
    };
    let lines = [QUEUE, BATCH, DISK, CERTIFICATE].map(|line| (line, of(line)));
    let state = sim.state.lock().unwrap();
    let here = state.ledger.delivered.iter().filter(|step| step.digest.route.as_str() == route);
    let message = |step: &super::ledger::Step| {
        let news = step.digest.tally.news.iter().map(|(id, news)| {
            let line = lines.iter().find(|(_, is)| is(id));
            (line.unwrap_or_else(|| panic!("{id}: {:?}", step.digest.tally)).0, news.kind())
        });
        let at = Duration::from_micros(step.sent_at());
        Sent { at, alerts: step.digest.tally.alerts, news: news.collect() }
    };
    here.map(message).collect()
}

#[test]
fn each_news_of_a_month_is_in_the_right_message_and_nowhere_else() {
    let busy = HOUR * 24 * 30;
    let sim = flood(4, |plan| Plan { busy, ..plan });
    let (mut lines, began) = (0, 10 * MINUTE);
    let mut log = |at, line, count| {
        lines += count as u64;
        log(&sim, began + at, line, count);
    };
    for hours in 0..30 * 24 {
        // The pattern is younger than a day when it is quiet for an hour.
        for minutes in [5, 25, 45] {
            log(HOUR * hours + MINUTE * minutes, QUEUE, 1);
        }
        if hours % 24 == 3 {
            log(HOUR * hours + MINUTE * 10, BATCH, 200);
        }
    }
    let planted = [
        (day(0, 5 * MINUTE), QUEUE, NewsKind::New),
        (day(0, 3 * HOUR + 10 * MINUTE), BATCH, NewsKind::New),
        (day(2, 4 * HOUR), DISK, NewsKind::New),
        (day(10, 12 * HOUR + 34 * MINUTE), CERTIFICATE, NewsKind::New),
        (day(14, 5 * HOUR), DISK, NewsKind::Back),
        (day(20, 9 * HOUR + 10 * MINUTE), QUEUE, NewsKind::Spike),
    ];
    for (at, line, kind) in &planted[2..] {
        log(*at, *line, if *kind == NewsKind::Spike { 60 } else { 1 });
    }
    run_for(&sim, busy + 2 * HOUR);
    for route in ["all", "calm"] {
        let messages = sent(&sim, route);
        assert_eq!(messages.iter().map(|message| message.alerts).sum::<u64>(), lines, "{route}");
        let mut news =
            messages.iter().flat_map(|sent| sent.news.iter().map(|news| (sent.at, *news)));
        for (at, line, kind) in planted {
            let (sent_at, found) = news.next().unwrap_or_else(|| panic!("{route}: no {kind:?}"));
            let late = sent_at.checked_sub(began + at);
            assert_eq!(found, (line, kind), "{route} at {sent_at:?}");
            assert!(late.is_some_and(|late| late < MINUTE), "{route}: {line} {late:?} late");
        }
        let more: Vec<_> = news.map(|(at, (line, kind))| (at, line, kind)).collect();
        assert_eq!(more, [], "{route}");
    }
    // Three alerts an hour are three messages an hour, or one digest.
    let (all, calm) = (sent(&sim, "all").len(), sent(&sim, "calm").len());
    assert!(all > 3 * 24 * 30, "{all}");
    assert!((24 * 30..=24 * 30 + 2 * planted.len()).contains(&calm), "{calm}");
}

/// The burst of such a route may never end, so its early windows are limited by the hour.
#[test]
fn news_ends_sixteen_windows_of_a_burst_in_an_hour() {
    let sim = flood(4, |plan| Plan { busy: HOUR * 4, ..plan });
    // The next hour of the clock.
    let began =
        HOUR - Duration::from_millis(Sim::time(Duration::ZERO).as_millis() as u64 % 3_600_000);
    // Patterns without a number, each of them new.
    let lines = ('a'..='y').flat_map(|a| ['x', 'y'].map(|b| format!("[A] {a}{b}{a} has failed")));
    for (n, line) in (0..).zip(lines) {
        log(&sim, began + MINUTE * (n + 2), Box::leak(line.into_boxed_str()), 1);
    }
    run_for(&sim, began + HOUR * 3);
    let state = sim.state.lock().unwrap();
    let calm = state.ledger.delivered.iter().filter(|step| step.digest.route.as_str() == "calm");
    let calm: Vec<_> = calm.filter(|step| !step.digest.tally.is_empty()).collect();
    let in_the_hour =
        calm.iter().filter(|step| u128::from(step.sent_at()) < (began + HOUR).as_micros());
    // The first, which begins the burst, and sixteen.
    assert_eq!(in_the_hour.count(), 17);
    assert_eq!(calm.iter().map(|step| step.digest.tally.alerts).sum::<u64>(), 50);
}
