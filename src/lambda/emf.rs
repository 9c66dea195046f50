//! A log line in CloudWatch's embedded metric format, from which CloudWatch reads metrics (at most
//! 100 a line). A line has one value for each dimension.

use std::time::Duration;

use serde_json::{Map, Value, json};

use crate::model::time::Timestamp;

const NAMESPACE: &str = "Stentor";

/// A metric and its value.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub unit: &'static str,
    pub value: u64,
}

impl Metric {
    pub fn count(name: &'static str, value: u64) -> Self {
        Self { name, unit: "Count", value }
    }

    pub fn milliseconds(name: &'static str, duration: Duration) -> Self {
        let value = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
        Self { name, unit: "Milliseconds", value }
    }
}

/// A JSON object without line breaks. `fields` has the values of the dimensions, and others.
pub(super) fn line(
    dimensions: &[&str],
    metrics: &[Metric],
    fields: Map<String, Value>,
    now: Timestamp,
) -> String {
    let definitions: Vec<Value> =
        metrics.iter().map(|metric| json!({"Name": metric.name, "Unit": metric.unit})).collect();
    let directive =
        json!({"Namespace": NAMESPACE, "Dimensions": [dimensions], "Metrics": definitions});
    let mut line = Map::new();
    line.insert(
        "_aws".to_owned(),
        json!({"Timestamp": now.as_millis(), "CloudWatchMetrics": [directive]}),
    );
    line.extend(fields);
    line.extend(metrics.iter().map(|metric| (metric.name.to_owned(), json!(metric.value))));
    Value::Object(line).to_string()
}
