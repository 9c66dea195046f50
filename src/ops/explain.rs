//! Explains whether a line is an alert: which route accepts it, why the others do not, its redacted
//! text and its pattern. Pure. It calls the code of the pipeline.

use strum::{IntoStaticStr, VariantNames};

use crate::config::{Config, Route};
use crate::ingest::logs::{LogBatch, LogEvent};
use crate::ingest::route::Routes;
use crate::model::app::AppSource;
use crate::model::name::{RouteName, Severity};
use crate::model::pattern::Pattern;
use crate::model::statement;

/// A line, and its source.
#[derive(Clone, Debug, Default)]
pub struct LogLine {
    pub message: String,
    pub log_group: String,
    pub log_stream: String,
    pub account: String,
    pub region: Option<String>,
}

/// The explanation of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Explanation {
    /// Every route, in the order of the configuration.
    pub routes: Vec<RouteMatch>,
    /// The marker that the first accepting route found; `None` if no route accepts the line.
    pub marker: Option<String>,
    pub severity: Option<&'static str>,
    /// The app that the alert would name, and what names it.
    pub app: String,
    pub app_source: AppSource,
    /// The line as it is stored and shown.
    pub redacted: String,
    /// The names of the rules that redacted something in the line, in the order of their first
    /// secret.
    pub redacted_by: Vec<String>,
    /// Alerts of one pattern are shown as one group.
    pub pattern: Option<String>,
}

/// A route, and whether it accepts the line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMatch {
    pub route: RouteName,
    pub result: MatchResult,
    /// The first marker of the route that the line has.
    pub marker: Option<String>,
}

/// Whether a route accepts a line, and why not. The codes are stable.
#[derive(Copy, Clone, Debug, IntoStaticStr, PartialEq, Eq, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum MatchResult {
    Accepted,
    /// The route accepts the line, and later routes are tried too.
    AcceptedAndContinued,
    /// The line has none of the route's markers.
    NoMarker,
    /// The line is from another account, Region or log group.
    OutOfScope,
    /// An earlier route accepted the line.
    AcceptedEarlier,
}

impl MatchResult {
    /// A stable kebab-case word.
    pub fn code(self) -> &'static str {
        self.into()
    }

    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted | Self::AcceptedAndContinued)
    }
}

impl RouteMatch {
    /// The result for people, after "the line": `has [ALERT]`.
    pub fn reason(&self) -> String {
        let marker = self.marker.as_deref().unwrap_or_default();
        match self.result {
            MatchResult::Accepted => format!("has {marker}"),
            MatchResult::AcceptedAndContinued => {
                format!("has {marker}; later routes are tried too")
            }
            MatchResult::NoMarker => "has none of its markers".to_owned(),
            MatchResult::OutOfScope => {
                format!("has {marker}, but its account, Region or log group does not match")
            }
            MatchResult::AcceptedEarlier => {
                format!("has {marker}, but an earlier route accepted it")
            }
        }
    }
}

/// Explains a line.
pub fn explain(routes: &Routes, line: &LogLine) -> Explanation {
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
        log_stream: line.log_stream.as_str().into(),
        ..LogBatch::default()
    };
    let hit = routes.hit(&event, &batch, line.region.as_deref());
    let origin = routes.origin(&event, &batch, line.region.as_deref());
    let accepting = hit.as_ref().map_or(&[][..], |hit| &*hit.routes);
    let (redacted, _) = routes.stored(&line.message, hit.as_ref().map_or("", |hit| &hit.marker));
    Explanation {
        routes: match_routes(routes.config(), line, accepting),
        pattern: hit.as_ref().map(|hit| Pattern::of(&redacted, &hit.marker).as_str().to_owned()),
        severity: hit.as_ref().and_then(|hit| {
            let configured = routes.get(hit.routes.first()?)?.severity;
            Some(configured.unwrap_or_else(|| Severity::of_marker(&hit.marker)).as_str())
        }),
        app: origin.app_name.clone(),
        app_source: origin.app_source,
        marker: hit.map(|hit| hit.marker.to_string()),
        redacted,
        redacted_by: routes.redactor().rules_applied(&line.message),
    }
}

/// Also through the colors of a terminal, as routes find it.
fn has_marker(message: &str, marker: &str) -> bool {
    message.contains(marker) || statement::without_sequences(message).contains(marker)
}

fn match_routes(config: &Config, line: &LogLine, accepting: &[RouteName]) -> Vec<RouteMatch> {
    let route_match = |route: &Route| {
        let marker = route.markers.iter().find(|marker| has_marker(&line.message, marker)).cloned();
        let result = match &marker {
            None => MatchResult::NoMarker,
            Some(_) if accepting.contains(&route.name) => {
                if route.continue_ {
                    MatchResult::AcceptedAndContinued
                } else {
                    MatchResult::Accepted
                }
            }
            Some(_)
                if route.scope.admits(&line.account, line.region.as_deref(), &line.log_group) =>
            {
                MatchResult::AcceptedEarlier
            }
            Some(_) => MatchResult::OutOfScope,
        };
        RouteMatch { route: route.name.clone(), result, marker }
    };
    config.routes.iter().map(route_match).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_explained_route_by_route() {
        let config = r#"
            [[app]]
            name = "ledger"
            log_streams = ["web/*"]
            accounts = ["111111111111"]
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
            let line = LogLine {
                message: message.into(),
                log_group: log_group.into(),
                log_stream: "web/cart/1".into(),
                account: account.into(),
                region: None,
            };
            explain(&routes, &line)
        };
        let results = |explanation: &Explanation| {
            explanation.routes.iter().map(|route| route.result).collect::<Vec<_>>()
        };
        let billing = line(
            "[CRITICAL] order 17 password=hunter2hunter2",
            "/aws/lambda/billing-x",
            "111111111111",
        );
        let expected = [
            MatchResult::AcceptedAndContinued,
            MatchResult::Accepted,
            MatchResult::AcceptedEarlier,
        ];
        assert_eq!(results(&billing), expected);
        assert_eq!(billing.routes[2].reason(), "has [CRITICAL], but an earlier route accepted it");
        assert_eq!(billing.redacted, "[CRITICAL] order 17 password=[redacted:password]");
        assert_eq!(
            (&*billing.redacted_by, billing.severity),
            (&["password".to_owned()][..], Some("critical"))
        );
        assert_eq!((&*billing.app, billing.app_source), ("ledger", AppSource::Configuration));
        assert!(
            billing.pattern.as_ref().is_some_and(|pattern| !pattern.contains("17")),
            "{billing:?}"
        );
        let other = line("[CRITICAL] x", "/aws/lambda/shop", "2222");
        assert_eq!(
            results(&other),
            [MatchResult::OutOfScope, MatchResult::OutOfScope, MatchResult::Accepted]
        );
        assert_eq!((&*other.app, other.app_source), ("shop", AppSource::LogGroup));
        let reason = "has [CRITICAL], but its account, Region or log group does not match";
        assert_eq!(other.routes[0].reason(), reason);
        let quiet = line("all is well", "/aws/lambda/shop", "2222");
        assert_eq!(results(&quiet), [MatchResult::NoMarker; 3]);
        assert_eq!((quiet.marker, quiet.pattern), (None, None));
    }
}
