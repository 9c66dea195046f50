//! Explains whether a line is an alert: which route accepts it, why the others do not, its redacted
//! text and its pattern. Pure. It calls the code of the pipeline.

use strum::{IntoStaticStr, VariantNames};

use crate::ingest::logs::{LogBatch, LogEvent};
use crate::ingest::route::{RouteTest, Routes, Unmet};
use crate::model::app::AppSource;
use crate::model::name::{RouteName, Severity};
use crate::model::pattern::Pattern;

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
    /// The marker that the first accepting route found, or its name if it has no markers; `None` if
    /// no route accepts the line.
    pub marker: Option<String>,
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
    /// With [`MatchResult::NoField`], the path of the field.
    pub field: Option<String>,
    /// The severity of the alert on this route; `None` if the route does not accept the line.
    pub severity: Option<Severity>,
}

/// Whether a route accepts a line, and why not. The codes are stable.
#[derive(Copy, Clone, Debug, IntoStaticStr, PartialEq, Eq, PartialOrd, Ord, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum MatchResult {
    Accepted,
    /// The route accepts the line, and later routes are tried too.
    AcceptedAndContinued,
    /// The line has none of the route's markers.
    NoMarker,
    /// The line matches none of the route's filter patterns.
    NoPattern,
    /// The line is not JSON, or a field has none of the values.
    NoField,
    /// None of the route's regular expressions matches.
    NoRegex,
    /// The line is from another account, Region, log group or log stream.
    OutOfScope,
    /// The line is from another app.
    OtherApp,
    /// An `except` of the route leaves the line out.
    Excepted,
    /// An earlier route accepted the line.
    AcceptedEarlier,
}

impl MatchResult {
    /// A stable kebab-case word.
    pub fn code(self) -> &'static str {
        self.into()
    }

    /// A few words for many lines: `left out by `except``.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Accepted | Self::AcceptedAndContinued => "accepted",
            Self::NoMarker => "without a marker",
            Self::NoPattern => "that match no pattern",
            Self::NoField => "without the fields",
            Self::NoRegex => "that match no regular expression",
            Self::OutOfScope => "from elsewhere",
            Self::OtherApp => "of other apps",
            Self::Excepted => "left out by `except`",
            Self::AcceptedEarlier => "taken by an earlier route",
        }
    }

    pub fn is_accepted(self) -> bool {
        matches!(self, Self::Accepted | Self::AcceptedAndContinued)
    }
}

impl RouteMatch {
    /// The result for people, after "the line": `has [ALERT]`.
    pub fn reason(&self) -> String {
        let met = match &self.marker {
            Some(marker) => format!("has {marker}"),
            None => "meets its conditions".to_owned(),
        };
        let but = |reason: &str| match &self.marker {
            Some(marker) => format!("has {marker}, but {reason}"),
            None => reason.to_owned(),
        };
        match self.result {
            MatchResult::Accepted => met,
            MatchResult::AcceptedAndContinued => format!("{met}; later routes are tried too"),
            MatchResult::NoMarker => "has none of its markers".to_owned(),
            MatchResult::NoPattern => but("does not match its pattern"),
            MatchResult::NoField => {
                let path = self.field.as_deref().unwrap_or_default();
                but(&format!("has none of the values in `{path}`"))
            }
            MatchResult::NoRegex => but("does not match its regular expression"),
            MatchResult::OutOfScope => {
                format!("{met}, but its account, Region, log group or log stream does not match")
            }
            MatchResult::OtherApp => format!("{met}, but its app does not match"),
            MatchResult::Excepted => format!("{met}, but the route leaves it out by `except`"),
            MatchResult::AcceptedEarlier => format!("{met}, but an earlier route accepted it"),
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
    let accepting = hit.as_ref().map_or_else(Vec::new, |hit| {
        routes.severity_on_each(hit, &event, &batch, line.region.as_deref())
    });
    let (redacted, _) = routes.stored(&line.message, hit.as_ref().map_or("", |hit| &hit.marker));
    Explanation {
        routes: route_matches(routes, &event, &batch, line.region.as_deref(), &accepting),
        pattern: hit.as_ref().map(|hit| Pattern::of(&redacted, &hit.marker).as_str().to_owned()),
        app: origin.app_name.clone(),
        app_source: origin.app_source,
        marker: hit.map(|hit| hit.marker.to_string()),
        redacted,
        redacted_by: routes.redactor().rules_applied(&line.message),
    }
}

fn route_matches(
    routes: &Routes,
    event: &LogEvent<'_>,
    batch: &LogBatch<'_>,
    region: Option<&str>,
    accepting: &[(RouteName, Severity)],
) -> Vec<RouteMatch> {
    let of_test = |test: RouteTest<'_>| {
        let accepted = accepting.iter().find(|(route, _)| *route == test.route.name);
        let severity = accepted.map(|(_, severity)| *severity);
        RouteMatch { severity, ..match_of(&test, accepted.is_some()) }
    };
    routes.tried(event, batch, region).into_iter().map(of_test).collect()
}

/// The result of a route. `is_reached`: no earlier route took the line.
pub(super) fn match_of(test: &RouteTest<'_>, is_reached: bool) -> RouteMatch {
    let RouteTest { route, marker, unmet } = test;
    let result = match unmet {
        Some(Unmet::Markers) => MatchResult::NoMarker,
        Some(Unmet::Pattern) => MatchResult::NoPattern,
        Some(Unmet::Field(_)) => MatchResult::NoField,
        Some(Unmet::Regex) => MatchResult::NoRegex,
        Some(Unmet::Scope) => MatchResult::OutOfScope,
        Some(Unmet::App) => MatchResult::OtherApp,
        Some(Unmet::Except) => MatchResult::Excepted,
        None if !is_reached => MatchResult::AcceptedEarlier,
        None if route.continue_ => MatchResult::AcceptedAndContinued,
        None => MatchResult::Accepted,
    };
    let field = match unmet {
        Some(Unmet::Field(path)) => Some(path.clone()),
        _ => None,
    };
    let marker = marker.as_ref().map(|marker| marker.to_string());
    RouteMatch { route: route.name.clone(), result, marker, field, severity: None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

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
            severity_if = { info = { markers = ["order"] } }
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
        assert_eq!(*billing.redacted_by, ["password".to_owned()]);
        let severities = billing.routes.iter().map(|route| route.severity);
        let critical = Some(Severity::Critical);
        assert_eq!(severities.collect::<Vec<_>>(), [Some(Severity::Info), critical, None]);
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
        let reason =
            "has [CRITICAL], but its account, Region, log group or log stream does not match";
        assert_eq!(other.routes[0].reason(), reason);
        let quiet = line("all is well", "/aws/lambda/shop", "2222");
        assert_eq!(results(&quiet), [MatchResult::NoMarker; 3]);
        assert_eq!((quiet.marker, quiet.pattern), (None, None));
    }
}
