//! The named samples of `events/`: small and fixed, each for one situation. The burst is generated.
//! The others are written by hand, because their exact bytes matter; `scenario` has their texts.

mod scenario;
#[cfg(test)]
mod tests;

use serde_json::json;

use super::envelope::{
    KinesisEvent, SHARD, STREAM_ARN, SampleEvent, SampleWindow, SweepEvent, Tumbling,
};
use super::payload;
use super::poison::PoisonKind;
use super::{START_MS, SampleOptions, event};
use crate::protocol::queue::Due;
use scenario::{SampleLine, checkout, kinesis, payload_of, payments, source, verbatim};

/// File name, description and event of each sample. Every call returns the same events, except for
/// the gzip bytes, which may depend on the backend of `flate2`.
pub fn fixtures() -> Vec<(&'static str, &'static str, SampleEvent)> {
    vec![
        (
            "kinesis-burst.json",
            "a valid burst: 12 records from 4 accounts and 7 log groups within 10 minutes; 180 of 300 log events are \
             alerts, mostly of one failure and its consequences, and some contain secrets",
            burst(),
        ),
        (
            "kinesis-control.json",
            "two control messages with a data record between them: one as CloudWatch Logs sends it, one without \
             logGroup and logStream",
            control(),
        ),
        (
            "kinesis-duplicates.json",
            "one log event twice in a record, the same record with another sequence number, and one of its log \
             events in another record",
            duplicates(),
        ),
        (
            "kinesis-poison.json",
            "ten bad records, each for a different reason, between eleven good records with alerts; the ninth is a \
             gzip bomb, and the tenth contains two bytes of invalid UTF-8, but its alerts are kept",
            poison(),
        ),
        (
            "kinesis-multimember.json",
            "one message in three gzip members, split inside a marker and inside a character",
            multimember(),
        ),
        (
            "kinesis-escapes.json",
            "markers and text in JSON escapes, control characters, right-to-left text, emoji and chat markup; the \
             last three lines only look like alerts",
            escapes(),
        ),
        (
            "kinesis-system-fields.json",
            "policyLevel, and extractedFields with the account, the Region and values of every JSON type",
            system_fields(),
        ),
        ("kinesis-empty.json", "no records", SampleEvent::kinesis(Vec::new())),
        (
            "kinesis-tumbling.json",
            "an invocation by a mapping with a tumbling window; the answer must contain the state",
            tumbling(),
        ),
        (
            "kinesis-own-logs.json",
            "a record of log group /aws/lambda/stentor-consumer that quotes alerts, which the consumer must ignore, \
             and a good record",
            own_logs(),
        ),
        (
            "kinesis-formats.json",
            "the formats of seven services: JSON, JSON in JSON from a container, logfmt, colors, a traceback in one log \
             event, and a stack trace whose lines are log events",
            formats(),
        ),
        (
            "kinesis-secrets.json",
            "one alert for each kind of secret, and a last one with texts that only look like secrets",
            secrets(),
        ),
        (
            "subscription.json",
            "a direct subscription, which has awslogs.data instead of Kinesis records",
            SampleEvent::subscription(payload::data(&payload_of(&checkout(), scenario::CHECKOUT))),
        ),
        (
            "sqs-due.json",
            "for the notifier: the first window of route alerts is due; the same due message again, received for the \
             fourth time; and a due message of an unknown route, which is a no-op",
            due(),
        ),
        (
            "sweep.json",
            "for the notifier: the event that the schedule sends once a minute",
            SampleEvent::Sweep(SweepEvent { stentor: "sweep" }),
        ),
    ]
}

/// `events/README.md`.
pub fn fixtures_readme() -> String {
    let files: Vec<String> =
        fixtures().iter().map(|(file, shows, _)| format!("- `{file}`: {shows}\n")).collect();
    format!(
        "# Sample events\n\n\
         Each file is an event as Lambda passes it to the consumer or to the notifier, and shows one situation.\n\
         `stentor sample --fixtures events` creates them; edit `src/ops/sample/fixtures.rs`, not the files. To run one:\n\
         \n    cargo run --release -- run events/kinesis-burst.json\n\n{}",
        files.concat()
    )
}

fn burst() -> SampleEvent {
    event(&SampleOptions {
        records: 12,
        events_per_record: 25,
        match_ratio: 0.6,
        log_groups: 7,
        span_ms: 600_000,
        ..SampleOptions::default()
    })
}

fn control() -> SampleEvent {
    let bare = scenario::CONTROL.replace(r#""logGroup":"","logStream":"","#, "");
    kinesis(vec![
        ("control", payload::data(scenario::CONTROL.as_bytes())),
        ("payments", payload::data(&payload_of(&payments(), scenario::PAYMENTS))),
        ("control", payload::data(bare.as_bytes())),
    ])
}

/// Two log events are the same if their source and their time are: see [`SampleLine`].
fn duplicates() -> SampleEvent {
    let [first, second, third] = scenario::PAYMENTS else { unreachable!("invariant: three lines") };
    let twice = payload::data(&payload_of(&payments(), &[*first, *second, *first]));
    let overlap = payload::data(&payload_of(&payments(), &[*second, *third]));
    kinesis(vec![("payments", twice.clone()), ("payments", twice), ("payments", overlap)])
}

fn poison() -> SampleEvent {
    let good = |turn: usize| {
        let part: Vec<SampleLine> =
            scenario::CHECKOUT.iter().map(|(ms, text)| (ms + 4_000 * turn as i64, *text)).collect();
        ("checkout", payload::data(&payload_of(&checkout(), &part)))
    };
    let message = payload_of(&payments(), scenario::PAYMENTS);
    let bad = PoisonKind::ALL.iter().enumerate();
    let pairs = bad.flat_map(|(turn, kind)| [good(turn), ("payments", kind.data(&message))]);
    kinesis(pairs.chain([good(PoisonKind::ALL.len())]).collect())
}

fn multimember() -> SampleEvent {
    let text = payload_of(&payments(), scenario::MULTIMEMBER);
    let cut = |at: &str, into: usize| {
        let found = text.windows(at.len()).position(|bytes| bytes == at.as_bytes());
        found.expect("invariant: the text holds it") + into
    };
    let (marker, character) = (cut("[CRITICAL]", 5), cut("ü", 1));
    let parts = [&text[..marker], &text[marker..character], &text[character..]];
    kinesis(vec![("payments", payload::base64(&parts.map(payload::gzip).concat()))])
}

fn escapes() -> SampleEvent {
    let lines: Vec<(SampleLine, &str)> = scenario::ESCAPES.iter().map(|line| (*line, "")).collect();
    kinesis(vec![("notify", payload::data(&verbatim(&scenario::notify(), "", &lines)))])
}

fn system_fields() -> SampleEvent {
    let source = source("444455556666", "/ecs/ledger", "ledger/api/5f1c0a", "ledger");
    let policy = r#""policyLevel":"ACCOUNT_LEVEL_POLICY","#;
    let text = verbatim(&source, policy, scenario::SYSTEM_FIELDS);
    kinesis(vec![("ledger", payload::data(&text))])
}

fn tumbling() -> SampleEvent {
    let records = match burst() {
        SampleEvent::Kinesis(burst) => burst.records.into_iter().take(2).collect(),
        SampleEvent::Subscription(_) | SampleEvent::Due(_) | SampleEvent::Sweep(_) => Vec::new(),
    };
    let window = SampleWindow { start: "2025-11-03T09:14:00Z", end: "2025-11-03T09:18:00Z" };
    SampleEvent::Kinesis(KinesisEvent {
        records,
        tumbling: Some(Tumbling {
            window,
            state: json!({ "batches": 2, "seen": { "payments-api": "17" } }),
            shard_id: SHARD,
            event_source_arn: STREAM_ARN,
            is_final_invoke_for_window: false,
            is_window_terminated_early: false,
        }),
    })
}

fn own_logs() -> SampleEvent {
    let stream = "2025/11/03/[$LATEST]0d5ff1a2c3b4e5f60718293a4b5c6d7e";
    // Lambda emulators use this account. A log group with the same name in another account is not
    // our own.
    let own = source("012345678912", "/aws/lambda/stentor-consumer", stream, "stentor");
    kinesis(vec![
        ("stentor", payload::data(&payload_of(&own, scenario::OWN_LOGS))),
        ("payments", payload::data(&payload_of(&payments(), scenario::PAYMENTS))),
    ])
}

fn formats() -> SampleEvent {
    let records = scenario::FORMATS.iter().map(|(owner, log_group, log_stream, lines)| {
        let key = log_group.rsplit('/').next().unwrap_or_default();
        let source = source(owner, log_group, log_stream, key);
        (key, payload::data(&payload_of(&source, lines)))
    });
    kinesis(records.collect())
}

fn due() -> SampleEvent {
    let body = |route: &str, window| {
        let due = Due { route: route.parse().expect("invariant: a valid name"), window };
        serde_json::to_string(&due).expect("invariant: names and numbers always serialize")
    };
    let first = body("alerts", 1);
    SampleEvent::due(vec![
        (first.clone(), 1, START_MS),
        (first, 4, START_MS),
        (body("billing", 7), 1, START_MS + 30_000),
    ])
}

fn secrets() -> SampleEvent {
    let source = source("333344445555", "/ecs/legacy-portal", "portal/web/8842aa", "portal");
    let lines: Vec<SampleLine> =
        scenario::SECRETS.iter().zip(0..).map(|(text, n)| (n * 750, *text)).collect();
    kinesis(vec![("portal", payload::data(&payload_of(&source, &lines)))])
}
