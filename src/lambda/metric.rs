//! The summary line of an invocation: a sentence for people, and metrics in CloudWatch's embedded
//! metric format (at most 100 metrics per directive). [`super::series`] adds lines by route
//! and by target.
//!
//! The `metrics` crate is not used. The counts are a value already
//! ([`Counts`](crate::protocol::consume::Counts)), which tests and the simulator check; a global
//! recorder would keep a second copy.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::lambda::emf::{self, Metric};
use crate::lambda::series::{self, Series, SeriesNames};
use crate::model::name::Target;
use crate::model::time::Timestamp;
use crate::protocol::consume::Consumed;
use crate::protocol::notifier::{Notified, Swept};
use crate::protocol::round::{Delivery, DeliveryOutcome};

/// The invocation that a line describes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct InvocationMetric<'a> {
    pub function: &'a str,
    pub request_id: &'a str,
    /// Shard of the first record; empty for a direct subscription.
    pub shard_id: &'a str,
}

/// The metrics of one invocation.
#[derive(Debug)]
pub struct InvocationMetrics {
    /// One sentence for people.
    summary: String,
    metrics: Vec<Metric>,
    series: Vec<Series>,
    /// Further fields of the line.
    details: Map<String, Value>,
}

/// The metrics of a batch.
pub fn of_batch<'a>(consumed: &'a Consumed, names: &SeriesNames<'a>) -> InvocationMetrics {
    let counts = &consumed.counts;
    let mut metrics = vec![
        count("records", counts.records),
        count("records_parked", counts.records_parked),
        count("records_retried", counts.records_retried),
        count("control_messages", counts.control_messages),
        count("events", counts.events),
        count("events_own", counts.events_own),
        count("unmatched", counts.unmatched),
        count("duplicates", counts.duplicates),
        count("kept", counts.kept),
        count("retried", counts.retried),
        count("unbalanced", u64::from(!counts.balance())),
    ];
    metrics.extend(of_messages(&consumed.messages));
    let summary = format!(
        "Consumed {} records: {} parked, {} to retry; kept {} of {} events",
        counts.records, counts.records_parked, counts.records_retried, counts.kept, counts.events
    );
    let mut series = series::of_targets(&consumed.messages, names);
    series.extend(series::of_routes("kept", &consumed.kept_by_route, names));
    series.extend(series::of_routes("held", &consumed.held, names));
    InvocationMetrics {
        summary,
        metrics,
        series,
        details: Map::from_iter([("routes".to_owned(), json!(consumed.kept_by_route))]),
    }
}

/// The metrics of `due` messages, of which `unfinished` have work left and the oldest was sent `age`
/// ago. A message is as old as its window before anything is late.
pub fn of_due<'a>(
    due: u64,
    unfinished: u64,
    age: Duration,
    notified: &'a Notified,
    names: &SeriesNames<'a>,
) -> InvocationMetrics {
    let mut metrics = vec![
        count("due", due),
        count("unfinished", unfinished),
        Metric::milliseconds("due_age_ms", age),
    ];
    metrics.extend(of_messages(&notified.messages));
    let delivered = accepted(&notified.messages);
    let summary =
        format!("Delivered {delivered} messages; {unfinished} of {due} routes have work left");
    let mut series = series::of_targets(&notified.messages, names);
    series.extend(series::of_routes("held", &notified.held, names));
    InvocationMetrics { summary, metrics, series, details: Map::new() }
}

/// The metrics of a sweep.
pub fn of_sweep<'a>(
    swept: &'a Swept,
    now: Timestamp,
    names: &SeriesNames<'a>,
) -> InvocationMetrics {
    let unfinished = swept.unfinished.len() as u64;
    let debt = swept.oldest_debt.map_or(Duration::ZERO, |since| since.until(now));
    let mut metrics = vec![
        count("swept", swept.routes),
        count("unfinished", unfinished),
        count("sweep_unfinished", swept.unreached),
        Metric::milliseconds("oldest_debt_ms", debt),
    ];
    metrics.extend(of_messages(&swept.messages));
    let mut summary = format!(
        "Delivered {} messages; {unfinished} of {} routes have work left",
        accepted(&swept.messages),
        swept.routes
    );
    if swept.unreached > 0 {
        summary += &format!("; there was no time for {} more", swept.unreached);
    }
    let mut series = series::of_targets(&swept.messages, names);
    series.extend(series::of_routes("held", &swept.held, names));
    InvocationMetrics { summary, metrics, series, details: Map::new() }
}

/// The metric of a drill that took so long to arrive; `None` if it did not.
pub fn of_drill(target: &Target, took: Option<Duration>) -> InvocationMetrics {
    let (summary, metrics) = match took {
        Some(took) => {
            let summary = format!("{target} has the message of the drill");
            (summary, vec![Metric::milliseconds("drill_ms", took)])
        }
        None => (format!("{target} does not have the message of the drill"), Vec::new()),
    };
    InvocationMetrics { summary, metrics, series: Vec::new(), details: Map::new() }
}

/// The lines of one invocation, the summary first: JSON objects without line breaks.
pub fn lines(
    invocation: &InvocationMetric<'_>,
    invocation_metrics: InvocationMetrics,
    duration: Duration,
    now: Timestamp,
) -> Vec<String> {
    let InvocationMetrics { summary, mut metrics, series, details } = invocation_metrics;
    metrics.push(Metric::milliseconds("duration", duration));
    let mut fields = Map::new();
    fields.insert("message".to_owned(), json!(summary));
    fields.insert("function".to_owned(), json!(invocation.function));
    fields.insert("request.id".to_owned(), json!(invocation.request_id));
    fields.insert("shard.id".to_owned(), json!(invocation.shard_id));
    fields.extend(details);
    let summary = emf::line(&["function"], &metrics, fields, now);
    let series = series.into_iter().map(|series| series.line(invocation.function, now));
    [summary].into_iter().chain(series).collect()
}

fn of_messages(messages: &[Delivery]) -> Vec<Metric> {
    let of_kind = |kind: fn(&DeliveryOutcome) -> bool| {
        messages.iter().filter(|sent| kind(&sent.outcome)).count() as u64
    };
    let mut metrics = vec![
        count("messages_accepted", of_kind(|outcome| *outcome == DeliveryOutcome::Accepted)),
        count("messages_retried", of_kind(|outcome| matches!(outcome, DeliveryOutcome::Retry(_)))),
        count("messages_parked", of_kind(|outcome| matches!(outcome, DeliveryOutcome::Parked(_)))),
    ];
    // The slowest of the invocation.
    let accepted = messages.iter().filter(|sent| sent.outcome == DeliveryOutcome::Accepted);
    if let Some(first) = accepted.filter_map(|sent| sent.first_after).max() {
        metrics.push(Metric::milliseconds("first_message_ms", first));
    }
    metrics
}

fn accepted(messages: &[Delivery]) -> usize {
    messages.iter().filter(|sent| sent.outcome == DeliveryOutcome::Accepted).count()
}

fn count(name: &'static str, value: u64) -> Metric {
    Metric::count(name, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::protocol::consume::Counts;

    #[test]
    fn every_metric_of_the_directive_is_in_the_line() {
        let counts = Counts {
            records: 2,
            events: 5,
            unmatched: 3,
            kept: 1,
            duplicates: 1,
            ..Counts::default()
        };
        let consumed = Consumed { counts, ..Consumed::default() };
        let invocation =
            InvocationMetric { function: "consumer", request_id: "r-1", shard_id: "shardId-0" };
        let series = SeriesNames::default();
        let one_line = |metrics, duration, now| {
            let [line] = &lines(&invocation, metrics, duration, now)[..] else {
                panic!("no series")
            };
            line.clone()
        };
        let batch = of_batch(&consumed, &series);
        let text = one_line(batch, Duration::from_millis(12), Timestamp::from_millis(99));
        assert!(!text.contains('\n'));
        let line: Value = serde_json::from_str(&text).unwrap();
        let directive = &line["_aws"]["CloudWatchMetrics"][0];
        let names = directive["Metrics"]
            .as_array()
            .unwrap()
            .iter()
            .map(|metric| metric["Name"].as_str().unwrap());
        assert_eq!(names.clone().filter(|name| line[name].is_u64()).count(), names.count());
        assert_eq!(directive["Dimensions"], json!([["function"]]));
        assert_eq!(
            (&line["kept"], &line["unbalanced"], &line["duration"]),
            (&json!(1), &json!(0), &json!(12))
        );
        assert_eq!((&line["request.id"], &line["shard.id"]), (&json!("r-1"), &json!("shardId-0")));
        assert_eq!(
            line["message"],
            json!("Consumed 2 records: 0 parked, 0 to retry; kept 1 of 5 events")
        );
        assert_eq!(line["routes"], json!({}));
        let notified = Notified::default();
        let due = of_due(2, 1, Duration::from_millis(7), &notified, &series);
        let text = one_line(due, Duration::ZERO, Timestamp::default());
        assert!(text.contains(r#""due_age_ms":7"#), "{text}");
        assert!(
            text.contains(r#""message":"Delivered 0 messages; 1 of 2 routes have work left""#),
            "{text}"
        );
    }
}
