//! Which share of a log each route takes, and why it does not take the rest. Pure. It calls the code of
//! the pipeline, line by line.

use std::collections::BTreeMap;

use crate::ingest::logs::{LogBatch, LogEvent};
use crate::ingest::route::Routes;
use crate::model::name::RouteName;
use crate::model::truncate::{truncate, truncated};
use crate::ops::explain::{MatchResult, RouteMatch, match_of};

/// So many lines are shown of each route.
const EXAMPLES_MAX: usize = 3;
const EXAMPLE_BYTES_MAX: usize = 400;
/// More of a line is not redacted for an example.
const LINE_BYTES_MAX: usize = 16 * 1024;

/// Counts the lines of a log by route.
pub struct ShareCounter<'r> {
    routes: &'r Routes,
    shares: LogShares,
}

/// The shares of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LogShares {
    pub lines: u64,
    /// Every route, in the order of the configuration.
    pub routes: Vec<RouteShare>,
    /// The lines that no route accepts.
    pub unmatched: LineShare,
}

/// The lines of a route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteShare {
    pub route: RouteName,
    /// Those that it accepts.
    pub accepted: LineShare,
    /// Those that it does not accept, by the first reason.
    pub others: BTreeMap<MatchResult, u64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LineShare {
    pub lines: u64,
    /// The first of them that differ, redacted and shortened.
    pub examples: Vec<String>,
}

impl<'r> ShareCounter<'r> {
    pub fn new(routes: &'r Routes) -> Self {
        let share = |name: &RouteName| RouteShare {
            route: name.clone(),
            accepted: LineShare::default(),
            others: BTreeMap::new(),
        };
        let shares = routes.iter().map(|route| share(&route.name)).collect();
        Self { routes, shares: LogShares { routes: shares, ..LogShares::default() } }
    }

    /// Counts a log event of `head`.
    pub fn add(&mut self, event: &LogEvent<'_>, head: &LogBatch<'_>, region: Option<&str>) {
        let routes = self.routes;
        let mut is_taken = false;
        let mut is_over = false;
        let example = || {
            let mut line = event.message.to_string();
            truncate(&mut line, LINE_BYTES_MAX);
            truncated(routes.stored(&line, "").0.trim(), EXAMPLE_BYTES_MAX)
        };
        for (share, tried) in self.shares.routes.iter_mut().zip(routes.tried(event, head, region)) {
            let RouteMatch { result, .. } = match_of(&tried, !is_over);
            match result.is_accepted() {
                true => share.accepted.add(example),
                false => *share.others.entry(result).or_default() += 1,
            }
            is_taken |= result.is_accepted();
            is_over |= result == MatchResult::Accepted;
        }
        self.shares.lines += 1;
        if !is_taken {
            self.shares.unmatched.add(example);
        }
    }

    pub fn finish(self) -> LogShares {
        self.shares
    }
}

impl LineShare {
    fn add(&mut self, example: impl FnOnce() -> String) {
        self.lines += 1;
        if self.examples.len() < EXAMPLES_MAX {
            let example = example();
            if !example.is_empty() && !self.examples.contains(&example) {
                self.examples.push(example);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn each_line_counts_for_the_routes_that_accept_it() {
        let config = r#"
            [[route]]
            name = "audit"
            markers = ["[CRITICAL]"]
            notify = ["slack:a"]
            continue = true
            [[route]]
            name = "billing"
            markers = ["[CRITICAL]", "[ALERT]"]
            except = { markers = ["synthetic"] }
            notify = ["slack:b"]
            [[route]]
            name = "all"
            regex = "."
            notify = ["slack:c"]
            log_groups = ["/ecs/*"]
        "#;
        let routes = Routes::new(&Config::parse(config, "test").unwrap()).unwrap();
        let mut counter = ShareCounter::new(&routes);
        let head = LogBatch { log_group: "/aws/lambda/x".into(), ..LogBatch::default() };
        let lines = [
            "[CRITICAL] a password=hunter2",
            "[CRITICAL] a password=hunter2",
            "[ALERT] b",
            "[ALERT] synthetic",
            "quiet",
        ];
        for line in lines {
            let event = LogEvent {
                id: "1".into(),
                timestamp: 0,
                message: line.into(),
                account: None,
                region: None,
            };
            // It counts as the pipeline does.
            let before: Vec<u64> =
                counter.shares.routes.iter().map(|share| share.accepted.lines).collect();
            counter.add(&event, &head, None);
            let after = counter.shares.routes.iter().map(|share| share.accepted.lines);
            let taken: Vec<&RouteName> = counter
                .shares
                .routes
                .iter()
                .zip(after.zip(before))
                .filter(|(_, (after, before))| after > before)
                .map(|(share, _)| &share.route)
                .collect();
            let hit = routes.hit(&event, &head, None);
            let hit = hit.as_ref().map_or(&[][..], |hit| &*hit.routes);
            assert_eq!(taken, hit.iter().collect::<Vec<_>>(), "{line}");
        }
        let shares = counter.finish();
        assert_eq!(shares.lines, 5);
        let [audit, billing, all] = &shares.routes[..] else { panic!() };
        assert_eq!(audit.accepted.lines, 2);
        assert_eq!(audit.accepted.examples, ["[CRITICAL] a password=[redacted:password]"]);
        assert_eq!(audit.others, [(MatchResult::NoMarker, 3)].into());
        assert_eq!(billing.accepted.lines, 3);
        assert_eq!(billing.others, [(MatchResult::NoMarker, 1), (MatchResult::Excepted, 1)].into());
        assert_eq!((all.accepted.lines, &all.others), (0, &[(MatchResult::OutOfScope, 5)].into()));
        assert_eq!(shares.unmatched.lines, 2);
        assert_eq!(shares.unmatched.examples, ["[ALERT] synthetic", "quiet"]);
    }
}
