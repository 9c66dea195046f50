//! Metrics by route and by target, one log line for each set of dimensions, because a line in the
//! embedded metric format has one value for each dimension.
//!
//! CloudWatch charges for each series in the hours in which it gets data. So nothing is written for
//! a count of zero, and only so many routes and targets have series of their own. The first routes
//! of the configuration come first; all others share one name.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, json};

use crate::ingest::route::Routes;
use crate::lambda::emf::{self, Metric};
use crate::model::name::{RouteName, Target};
use crate::model::time::Timestamp;
use crate::protocol::round::{Delivery, DeliveryOutcome};

/// The name that all others share. No route or target can have it.
pub const OTHER: &str = "(other)";

/// The routes and targets with series of their own.
#[derive(Debug, Default)]
pub struct SeriesNames<'a> {
    routes: BTreeSet<&'a RouteName>,
    targets: BTreeSet<&'a Target>,
    is_off: bool,
}

impl<'a> SeriesNames<'a> {
    /// The first `max` routes and the first `max` targets of the configuration; with 0 there are no
    /// series.
    pub fn of(routes: &'a Routes, max: usize) -> Self {
        let mut targets = BTreeSet::new();
        for target in routes.iter().flat_map(|route| route.notify.iter().chain(&route.fallback)) {
            if targets.len() < max {
                targets.insert(target);
            }
        }
        let routes = routes.iter().map(|route| &route.name).take(max).collect();
        Self { routes, targets, is_off: max == 0 }
    }

    fn route(&self, route: &'a RouteName) -> &'a str {
        if self.routes.contains(route) { route.as_str() } else { OTHER }
    }

    fn target(&self, target: &Target) -> String {
        match self.targets.contains(target) {
            true => target.to_string(),
            false => OTHER.to_owned(),
        }
    }
}

/// Metrics with the same dimensions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// Names and values, without that of the function.
    dimensions: Vec<(&'static str, String)>,
    metrics: Vec<Metric>,
}

/// The alerts by route: those that were `kept`, or `held`.
pub fn of_routes<'a>(
    metric: &'static str,
    alerts: &'a BTreeMap<RouteName, u64>,
    names: &SeriesNames<'a>,
) -> impl Iterator<Item = Series> + use<'a> {
    let mut by_name: BTreeMap<&str, u64> = BTreeMap::new();
    for (route, alerts) in alerts.iter().filter(|_| !names.is_off) {
        *by_name.entry(names.route(route)).or_default() += alerts;
    }
    by_name.into_iter().map(move |(route, alerts)| Series {
        dimensions: vec![("route", route.to_owned())],
        metrics: vec![Metric::count(metric, alerts)],
    })
}

/// The messages by target: those that it accepted, and for each reason those that are retried or
/// parked.
pub fn of_targets(messages: &[Delivery], names: &SeriesNames<'_>) -> Vec<Series> {
    let mut counts: BTreeMap<(String, Option<&str>, &'static str), u64> = BTreeMap::new();
    for Delivery { target, outcome, failure, .. } in messages.iter().filter(|_| !names.is_off) {
        let (name, reason) = match (outcome, failure) {
            (DeliveryOutcome::Accepted, _) => ("messages_accepted", None),
            (DeliveryOutcome::Retry(_), Some(failure)) => {
                ("messages_retried", Some(failure.as_str()))
            }
            (DeliveryOutcome::Parked(_), Some(failure)) => {
                ("messages_parked", Some(failure.as_str()))
            }
            (DeliveryOutcome::Retry(_) | DeliveryOutcome::Parked(_), None) => continue,
        };
        *counts.entry((names.target(target), reason, name)).or_default() += 1;
    }
    let series = counts.into_iter().map(|((target, reason, name), value)| Series {
        dimensions: [("target", target)]
            .into_iter()
            .chain(reason.map(|reason| ("reason", reason.to_owned())))
            .collect(),
        metrics: vec![Metric::count(name, value)],
    });
    series.collect()
}

impl Series {
    /// The log line: a JSON object without line breaks.
    pub(super) fn line(self, function: &str, now: Timestamp) -> String {
        let Self { dimensions, metrics } = self;
        let mut names = vec!["function"];
        names.extend(dimensions.iter().map(|(name, _)| *name));
        let mut fields = Map::new();
        fields.insert("function".to_owned(), json!(function));
        fields.extend(dimensions.into_iter().map(|(name, value)| (name.to_owned(), json!(value))));
        emf::line(&names, &metrics, fields, now)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::config::Config;
    use crate::protocol::notify::FailureCode;

    const CONFIG: &str = r#"
[[route]]
name    = "billing"
markers = ["[BILLING]"]
notify  = ["slack:billing", "pagerduty:oncall"]
[[route]]
name    = "critical"
markers = ["[CRITICAL]"]
notify  = ["slack:billing", "slack:ops"]
"#;

    fn lines(series: impl IntoIterator<Item = Series>) -> Vec<Value> {
        let line = |series: Series| series.line("stentor-consumer", Timestamp::from_millis(99));
        series.into_iter().map(|series| serde_json::from_str(&line(series)).unwrap()).collect()
    }

    #[test]
    fn each_series_has_its_dimensions_and_the_rest_share_one() {
        let routes = Routes::new(&Config::parse(CONFIG, "test.toml").unwrap()).unwrap();
        let name = |name: &str| name.parse::<RouteName>().unwrap();
        let kept = BTreeMap::from([(name("billing"), 3), (name("critical"), 4), (name("gone"), 5)]);
        let values = |max: usize| -> Vec<(String, u64)> {
            let lines = lines(of_routes("kept", &kept, &SeriesNames::of(&routes, max)));
            let value = |line: &Value| {
                assert_eq!(
                    line["_aws"]["CloudWatchMetrics"],
                    json!([{"Namespace": "Stentor", "Dimensions": [["function", "route"]],
                            "Metrics": [{"Name": "kept", "Unit": "Count"}]}])
                );
                (line["route"].as_str().unwrap().to_owned(), line["kept"].as_u64().unwrap())
            };
            lines.iter().map(value).collect()
        };
        let owned = |values: &[(&str, u64)]| -> Vec<(String, u64)> {
            values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect()
        };
        assert_eq!(values(50), owned(&[(OTHER, 5), ("billing", 3), ("critical", 4)]));
        assert_eq!(values(1), owned(&[(OTHER, 9), ("billing", 3)]));
        assert_eq!(values(0), []);
    }

    #[test]
    fn a_failure_has_its_reason() {
        let routes = Routes::new(&Config::parse(CONFIG, "test.toml").unwrap()).unwrap();
        let sent = |target: &str, outcome, failure| Delivery {
            route: "billing".parse().unwrap(),
            target: target.parse().unwrap(),
            epochs: (1, 1),
            alerts: 1,
            first_after: None,
            outcome,
            failure,
        };
        let retried = || DeliveryOutcome::Retry("Slack answered 429".to_owned());
        let parked = DeliveryOutcome::Parked("Slack answered 404".to_owned());
        let messages = [
            sent("slack:billing", DeliveryOutcome::Accepted, None),
            sent("slack:billing", retried(), Some(FailureCode::RateLimited)),
            sent("slack:billing", retried(), Some(FailureCode::RateLimited)),
            sent("slack:billing", retried(), Some(FailureCode::Server)),
            sent("slack:ops", parked, Some(FailureCode::Auth)),
            sent("slack:billing", retried(), None),
        ];
        let found: Vec<String> = lines(of_targets(&messages, &SeriesNames::of(&routes, 2)))
            .iter()
            .map(|line| {
                let directive = &line["_aws"]["CloudWatchMetrics"][0];
                let dimensions = directive["Dimensions"][0].as_array().unwrap().iter();
                let values: Vec<&str> =
                    dimensions.map(|name| line[name.as_str().unwrap()].as_str().unwrap()).collect();
                let name = directive["Metrics"][0]["Name"].as_str().unwrap();
                format!("{} {name} {}", values.join(" "), line[name])
            })
            .collect();
        assert_eq!(
            found,
            [
                "stentor-consumer (other) auth messages_parked 1",
                "stentor-consumer slack:billing messages_accepted 1",
                "stentor-consumer slack:billing rate-limited messages_retried 2",
                "stentor-consumer slack:billing server messages_retried 1",
            ]
        );
        assert_eq!(of_targets(&messages, &SeriesNames::of(&routes, 0)), []);
    }
}
