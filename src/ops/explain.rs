//! Why a line is told, or is not: which route takes it and which do not and why, what redaction leaves of it, and
//! as what it is grouped. Pure; it asks the same code that the pipeline runs.

use serde::Serialize;

use crate::config::{Config, Route};
use crate::ingest::logs::{LogBatch, LogEvent};
use crate::ingest::route::Routes;
use crate::model::name::{RouteName, Severity};
use crate::model::pattern::Pattern;

/// A line, and where it comes from.
#[derive(Clone, Debug, Default)]
pub struct Line {
    pub message: String,
    pub log_group: String,
    pub account: String,
    pub region: Option<String>,
}

/// What becomes of a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Every route, in the order in which they are tried.
    pub routes: Vec<RouteMatch>,
    /// The marker that the first route found; `None`: no route takes the line.
    pub marker: Option<String>,
    pub severity: Option<&'static str>,
    /// The line as it is stored and shown.
    pub redacted: String,
    /// Lines with the same text here are one group in a message.
    pub pattern: Option<String>,
}

/// A route that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct RouteMatch {
    pub route: RouteName,
    pub takes: bool,
    pub reason: String,
}

/// Explains a line.
pub fn explain(routes: &Routes, line: &Line) -> Explanation {
    let event = LogEvent {
        id: "explain".into(),
        timestamp: 0,
        message: line.message.as_str().into(),
        account: None,
        region: None,
    };
    let batch = LogBatch {
        owner: line.account.as_str().into(),
        log_group: line.log_group.as_str().into(),
        ..LogBatch::default()
    };
    let hit = routes.hit(&event, &batch, line.region.as_deref());
    let taken = hit.as_ref().map_or(&[][..], |hit| &*hit.routes);
    let (redacted, _) = routes.stored(&line.message, hit.as_ref().map_or("", |hit| &hit.marker));
    Explanation {
        routes: tried(routes.config(), line, taken),
        pattern: hit.as_ref().map(|hit| Pattern::of(&redacted, &hit.marker).as_str().to_owned()),
        severity: hit.as_ref().and_then(|hit| {
            let configured = routes.get(hit.routes.first()?)?.severity;
            Some(configured.unwrap_or_else(|| Severity::of_marker(&hit.marker)).as_str())
        }),
        marker: hit.map(|hit| hit.marker.to_string()),
        redacted,
    }
}

fn tried(config: &Config, line: &Line, taken: &[RouteName]) -> Vec<RouteMatch> {
    let one = |route: &Route| {
        let takes = taken.contains(&route.name);
        RouteMatch { route: route.name.clone(), takes, reason: reason(route, line, takes) }
    };
    config.routes.iter().map(one).collect()
}

fn reason(route: &Route, line: &Line, takes: bool) -> String {
    let found = route.markers.iter().find(|marker| line.message.contains(marker.as_str()));
    let Some(marker) = found else { return "has none of its markers".to_owned() };
    if takes {
        let then = if route.continue_ { "; later routes are tried, too" } else { "" };
        return format!("has {marker}{then}");
    }
    match route.scope.admits(&line.account, line.region.as_deref(), &line.log_group) {
        true => format!("has {marker}, but a route before it took the line"),
        false => format!("has {marker}, but does not come from where the route looks"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_explained_route_by_route() {
        let config = r#"
            [[route]]
            name = "audit"
            markers = ["[CRITICAL]"]
            notify = ["slack:audit"]
            accounts = ["111111111111"]
            continue = true
            [[route]]
            name = "billing"
            markers = ["[CRITICAL]"]
            log_groups = ["/aws/lambda/billing*"]
            notify = ["slack:billing"]
            [[route]]
            name = "all"
            markers = ["[CRITICAL]", "[ALERT]"]
            notify = ["slack:all"]
        "#;
        let routes = Routes::new(&Config::parse(config, "test").unwrap()).unwrap();
        let line = |message: &str, log_group: &str, account: &str| {
            let line =
                Line { message: message.into(), log_group: log_group.into(), account: account.into(), region: None };
            explain(&routes, &line)
        };
        let takes = |explanation: &Explanation| explanation.routes.iter().map(|tried| tried.takes).collect::<Vec<_>>();
        let billing = line("[CRITICAL] order 17 password=hunter2hunter2", "/aws/lambda/billing-x", "111111111111");
        assert_eq!(takes(&billing), [true, true, false]);
        assert_eq!(billing.routes[2].reason, "has [CRITICAL], but a route before it took the line");
        assert!(!billing.redacted.contains("hunter2") && billing.severity == Some("critical"));
        assert!(billing.pattern.as_ref().is_some_and(|pattern| !pattern.contains("17")), "{billing:?}");
        let other = line("[CRITICAL] x", "/aws/lambda/shop", "2222");
        assert_eq!(takes(&other), [false, false, true]);
        assert_eq!(other.routes[0].reason, "has [CRITICAL], but does not come from where the route looks");
        let quiet = line("all is well", "/aws/lambda/shop", "2222");
        assert_eq!((takes(&quiet), quiet.marker, quiet.pattern), (vec![false; 3], None, None));
    }
}
