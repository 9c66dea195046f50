//! The `--json` output of each command. `docs/json.md` documents every field. Tests compare that
//! document with these types, and `tests/it/cli/json.rs` with the output of real commands.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;
use stentor::ingest::decode::Poison;
use stentor::model::audit::AuditRow;
use stentor::model::history::News;
use stentor::model::name::{RouteName, Severity, Target};
use stentor::model::pattern::pattern_id;
use stentor::model::time::Timestamp;
use stentor::ops::check::Finding;
use stentor::ops::cost::{Assumption, Service, Volume, Workload};
use stentor::ops::explain::Explanation;
use stentor::ops::patterns::{PatternCount, PatternSummary};
use stentor::ops::replay::DeadLetterKind;
use stentor::ops::replay::listing::{Action, Age};
use stentor::ops::shares::{LogShares, RouteShare};
use stentor::protocol::retry_reason::RetryReason;
use stentor::protocol::round::{Delivery, DeliveryOutcome};

use crate::mute::HeldRoute;
use crate::preview::{GroupSummary, MessageGroups};

/// The version of every document. It changes with a field that is renamed or removed, or whose
/// meaning changes; a new field leaves it as it is.
pub(crate) const VERSION: u32 = 1;

/// `stentor run`.
#[derive(Debug, Serialize)]
pub(crate) struct PrintedRun<'a> {
    pub version: u32,
    pub records: u64,
    pub events: u64,
    pub unmatched: u64,
    pub duplicates: u64,
    pub kept: u64,
    pub retried: u64,
    pub routes: BTreeMap<&'a str, u64>,
    pub messages: Vec<PrintedMessage<'a>>,
    pub parked: Vec<PrintedRecord<'a>>,
    pub to_retry: Vec<RetriedRecord<'a>>,
    pub not_read: Vec<UnreadInput<'a>>,
    pub undelivered: Vec<UndeliveredRoute<'a>>,
    pub muted: Vec<MutedRoute<'a>>,
    pub held: Vec<PrintedHeldRoute<'a>>,
    pub staged: Vec<&'a str>,
    pub elapsed_ms: u64,
}

/// A message to a target.
#[derive(Debug, Serialize)]
pub(crate) struct PrintedMessage<'a> {
    pub route: &'a str,
    pub epoch: u64,
    pub target: String,
    pub alerts: u64,
    pub outcome: PrintedOutcome,
    pub reason: Option<&'a str>,
    #[serde(flatten)]
    pub groups: Option<Groups>,
}

/// The groups of a message.
#[derive(Debug, Serialize)]
pub(crate) struct Groups {
    /// The largest first.
    pub groups: Vec<MessageGroup>,
    pub other_alerts: u64,
}

/// Alerts of one message that say the same.
#[derive(Debug, Serialize)]
pub(crate) struct MessageGroup {
    pub pattern: String,
    pub pattern_id: String,
    /// Why its alerts are news, if they are.
    pub news: Option<&'static str>,
    /// The worst that one of them got by `severity_if`.
    pub severity: Option<&'static str>,
    pub alerts: u64,
    pub apps: BTreeMap<String, u64>,
    pub values: Vec<PlaceValues>,
}

/// The few values at a placeholder of a pattern.
#[derive(Debug, Serialize)]
pub(crate) struct PlaceValues {
    pub placeholder: usize,
    pub alerts: BTreeMap<String, u64>,
}

#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum PrintedOutcome {
    Accepted,
    /// It was written here, and not sent to the target.
    Shown,
    Retry,
    Parked,
}

/// A record in the dead-letter file.
#[derive(Debug, Serialize)]
pub(crate) struct PrintedRecord<'a> {
    event_id: &'a str,
    code: &'static str,
    reason: String,
}

/// A record that is neither stored nor parked.
#[derive(Debug, Serialize)]
pub(crate) struct RetriedRecord<'a> {
    event_id: &'a str,
    code: &'static str,
    reason: String,
}

/// An input that was not read to its end.
#[derive(Debug, Serialize)]
pub(crate) struct UnreadInput<'a> {
    pub input: &'a str,
    pub reason: &'a str,
}

/// A route with alerts that are stored and not delivered.
#[derive(Debug, Serialize)]
pub(crate) struct UndeliveredRoute<'a> {
    pub route: &'a str,
    pub code: &'static str,
    pub reason: String,
    pub targets: Vec<UndeliveredTarget<'a>>,
}

/// A target that is owed alerts.
#[derive(Debug, Serialize)]
pub(crate) struct UndeliveredTarget<'a> {
    pub target: String,
    pub reason: &'a str,
    pub next_attempt: Option<String>,
}

/// A route whose alerts are stored and not delivered until a stated time.
#[derive(Debug, Serialize)]
pub(crate) struct MutedRoute<'a> {
    route: &'a str,
    until: String,
}

/// A route whose alerts wait for its threshold.
#[derive(Debug, Serialize)]
pub(crate) struct PrintedHeldRoute<'a> {
    route: &'a str,
    alerts: u64,
    below_threshold: u64,
}

impl<'a> From<&'a HeldRoute> for PrintedHeldRoute<'a> {
    fn from(held: &'a HeldRoute) -> Self {
        let HeldRoute { route, alerts, before } = held;
        Self { route: route.as_str(), alerts: *alerts, below_threshold: *before }
    }
}

/// `stentor alerts`, one a line.
#[derive(Debug, Serialize)]
pub(crate) struct PrintedAlert<'a> {
    pub version: u32,
    pub log_id: &'a str,
    pub timestamp: &'a str,
    pub marker: &'a str,
    pub app_name: &'a str,
    pub message: &'a str,
    pub routes: &'a [String],
    pub account_id: &'a str,
    pub region: &'a str,
    pub log_group: &'a str,
    pub log_stream: &'a str,
    pub pattern: &'a str,
    pub source: &'a str,
    pub context_before: &'a str,
    pub context_after: &'a str,
}

/// `stentor patterns`.
#[derive(Debug, Serialize)]
pub(crate) struct PatternsReport<'a> {
    pub version: u32,
    pub lines: u64,
    pub patterns: Vec<LogPattern<'a>>,
    pub not_shown: u64,
    pub other_lines: u64,
}

/// A pattern of a log.
#[derive(Debug, Serialize)]
pub(crate) struct LogPattern<'a> {
    pub pattern: &'a str,
    pub pattern_id: String,
    pub lines: u64,
    pub share: f64,
    pub first: Option<String>,
    pub last: Option<String>,
    pub new: Option<bool>,
    pub sample: &'a str,
    pub levels: &'a BTreeMap<String, u64>,
    pub markers: &'a BTreeMap<String, u64>,
}

/// A line of `stentor patterns --assign`.
#[derive(Debug, Serialize)]
pub(crate) struct AssignedPattern<'a> {
    pub line: u64,
    pub pattern: &'a str,
}

/// `stentor check`.
#[derive(Debug, Serialize)]
pub(crate) struct CheckReport<'a> {
    pub version: u32,
    pub routes: Vec<&'a str>,
    pub unsearchable: Vec<&'a str>,
    pub apps: BTreeSet<&'a str>,
    pub warnings: Vec<Warning<'a>>,
    pub redaction: Redaction<'a>,
    pub staged: Vec<&'a str>,
    pub explanation: Option<LineExplanation<'a>>,
    pub shares: Option<PrintedShares<'a>>,
    pub findings: Option<Vec<CheckFinding<'a>>>,
}

impl<'a> CheckReport<'a> {
    pub(crate) fn with_findings(self, findings: Option<&'a [Finding]>) -> Self {
        let findings = findings.map(|findings| findings.iter().map(Into::into).collect());
        Self { findings, ..self }
    }
}

/// Which share of a log each route takes.
#[derive(Debug, Serialize)]
pub(crate) struct PrintedShares<'a> {
    pub lines: u64,
    pub routes: Vec<PrintedRouteShare<'a>>,
    pub unmatched: u64,
    pub unmatched_examples: &'a [String],
}

#[derive(Debug, Serialize)]
pub(crate) struct PrintedRouteShare<'a> {
    pub route: &'a str,
    pub lines: u64,
    pub examples: &'a [String],
    pub others: BTreeMap<&'static str, u64>,
}

impl<'a> From<&'a LogShares> for PrintedShares<'a> {
    fn from(shares: &'a LogShares) -> Self {
        let route = |share: &'a RouteShare| PrintedRouteShare {
            route: share.route.as_str(),
            lines: share.accepted.lines,
            examples: &share.accepted.examples,
            others: share.others.iter().map(|(why, lines)| (why.code(), *lines)).collect(),
        };
        Self {
            lines: shares.lines,
            routes: shares.routes.iter().map(route).collect(),
            unmatched: shares.unmatched.lines,
            unmatched_examples: &shares.unmatched.examples,
        }
    }
}

/// How the configuration changes the rules of redaction.
#[derive(Debug, Serialize)]
pub(crate) struct Redaction<'a> {
    pub rules: Vec<&'a str>,
    pub disabled: &'a [&'static str],
}

/// A likely mistake in the configuration.
#[derive(Debug, Serialize)]
pub(crate) struct Warning<'a> {
    pub line: usize,
    pub column: usize,
    pub message: &'a str,
}

/// The explanation of a line.
#[derive(Debug, Serialize)]
pub(crate) struct LineExplanation<'a> {
    pub routes: Vec<TriedRoute<'a>>,
    pub marker: Option<&'a str>,
    pub app: &'a str,
    pub app_source: &'static str,
    pub redacted: &'a str,
    pub redacted_by: &'a [String],
    pub pattern: Option<&'a str>,
}

/// A route that the line was compared with.
#[derive(Debug, Serialize)]
pub(crate) struct TriedRoute<'a> {
    pub route: &'a str,
    pub accepted: bool,
    pub code: &'static str,
    pub marker: Option<&'a str>,
    pub severity: Option<&'static str>,
    pub reason: String,
}

/// A finding about what is deployed.
#[derive(Debug, Serialize)]
pub(crate) struct CheckFinding<'a> {
    pub code: &'static str,
    pub good: bool,
    pub text: &'a str,
    pub remedy: Option<&'a str>,
}

/// `stentor replay`.
#[derive(Debug, Serialize)]
pub(crate) struct ReplayReport<'a> {
    pub version: u32,
    pub received: u64,
    pub skipped: u64,
    pub already_replayed: u64,
    pub missing: Vec<&'a str>,
    pub reprocessed: u64,
    pub reprocessed_by_kind: Vec<KindCount>,
    pub unresolved: Vec<UnresolvedDeadLetter<'a>>,
    pub records: u64,
    pub records_expired: u64,
    pub events: u64,
    pub unmatched: u64,
    pub duplicates: u64,
    pub kept: u64,
    pub retried: u64,
    pub messages: Vec<PrintedMessage<'a>>,
    pub muted: Vec<MutedRoute<'a>>,
    pub interrupted: bool,
    pub source_error: Option<SourceFailure>,
    pub elapsed_ms: u64,
}

#[derive(Debug, Serialize)]
pub(crate) struct KindCount {
    pub kind: DeadLetterKind,
    pub count: u64,
}

/// A dead letter that is left in the queue.
#[derive(Debug, Serialize)]
pub(crate) struct UnresolvedDeadLetter<'a> {
    pub id: &'a str,
    pub kind: DeadLetterKind,
    pub code: &'static str,
    pub reason: String,
}

/// The error of a queue or file that ended a replay.
#[derive(Debug, Serialize)]
pub(crate) struct SourceFailure {
    pub code: &'static str,
    pub reason: String,
}

/// `stentor replay --dry-run`.
#[derive(Debug, Serialize)]
pub(crate) struct DryRunReport<'a> {
    pub version: u32,
    pub selected: u64,
    pub skipped: u64,
    pub already_replayed: u64,
    pub groups: Vec<DeadLetterGroup<'a>>,
    pub planned: Vec<PlannedAction<'a>>,
    pub alerts: u64,
    pub interrupted: bool,
}

/// `stentor replay --discard`.
#[derive(Debug, Serialize)]
pub(crate) struct DiscardReport<'a> {
    pub version: u32,
    pub discarded: u64,
    pub skipped: u64,
    pub exported_to: &'a str,
    pub missing: Vec<&'a str>,
    pub undeleted: Vec<UndeletedDeadLetter<'a>>,
    pub interrupted: bool,
}

/// A dead letter that was exported and not deleted.
#[derive(Debug, Serialize)]
pub(crate) struct UndeletedDeadLetter<'a> {
    pub id: &'a str,
    pub code: &'static str,
    pub reason: String,
}

#[derive(Debug, Serialize)]
pub(crate) struct DeadLetterGroup<'a> {
    pub kind: DeadLetterKind,
    pub code: &'a str,
    pub account: Option<&'a str>,
    pub age: Age,
    pub count: u64,
}

/// A planned action, and the number of dead letters for it.
#[derive(Debug, Serialize)]
pub(crate) struct PlannedAction<'a> {
    #[serde(flatten)]
    pub action: &'a Action,
    pub count: u64,
}

/// `stentor cost`.
#[derive(Debug, Serialize)]
pub(crate) struct CostReport<'a> {
    pub version: u32,
    pub workload: &'a Workload,
    pub per_day: Volume,
    pub prices: PriceList<'a>,
    pub services: Vec<ServiceCost<'a>>,
    pub total: Cost,
    pub log_ingestion: Cost,
    pub assumptions: &'a [Assumption],
}

/// Where the prices are from.
#[derive(Debug, Serialize)]
pub(crate) struct PriceList<'a> {
    pub region: &'a str,
    pub oldest: &'a str,
    pub newest: &'a str,
}

/// Dollars, rounded to a hundredth of a cent.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Cost {
    pub usd_per_month: f64,
    pub usd_per_tb: f64,
}

/// The cost of an AWS service.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceCost<'a> {
    pub code: Service,
    #[serde(flatten)]
    pub cost: Cost,
    pub charges: Vec<ServiceCharge<'a>>,
}

/// One line of the bill of a service.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceCharge<'a> {
    pub code: &'static str,
    pub quantity: f64,
    pub unit: &'static str,
    pub usd_per_unit: f64,
    pub usd_per_month: f64,
    pub source: &'a str,
    pub date: &'a str,
}

impl<'a> PatternsReport<'a> {
    pub(crate) fn new(
        summary: &PatternSummary,
        shown: &'a [PatternCount],
        new_since: Option<Timestamp>,
    ) -> Self {
        let pattern = |count: &'a PatternCount| LogPattern {
            pattern: &count.pattern,
            pattern_id: pattern_id(&count.pattern),
            lines: count.lines,
            share: (count.lines as f64 / summary.lines.max(1) as f64 * 10_000.0).round() / 10_000.0,
            first: count.first.map(Timestamp::iso),
            last: count.last.map(Timestamp::iso),
            new: new_since.and_then(|since| count.is_new(since)),
            sample: &count.sample,
            levels: &count.levels,
            markers: &count.markers,
        };
        Self {
            version: VERSION,
            lines: summary.lines,
            patterns: shown.iter().map(pattern).collect(),
            not_shown: (summary.patterns.len() - shown.len()) as u64,
            other_lines: summary.other,
        }
    }
}

impl<'a> PrintedRecord<'a> {
    pub(crate) fn new(event_id: &'a str, poison: &Poison) -> Self {
        Self { event_id, code: poison.code().into(), reason: poison.to_string() }
    }
}

impl<'a> RetriedRecord<'a> {
    pub(crate) fn new(event_id: &'a str, reason: &RetryReason) -> Self {
        Self { event_id, code: reason.code(), reason: reason.to_string() }
    }
}

impl<'a> From<&'a (RouteName, Timestamp)> for MutedRoute<'a> {
    fn from((route, until): &'a (RouteName, Timestamp)) -> Self {
        Self { route: route.as_str(), until: until.iso() }
    }
}

pub(crate) fn millis(elapsed: Duration) -> u64 {
    u64::try_from(elapsed.as_millis()).unwrap_or(u64::MAX)
}

impl<'a> PrintedMessage<'a> {
    /// `only_shows`: whether messages to a target were not sent to it.
    pub(crate) fn new(delivery: &'a Delivery, only_shows: impl Fn(&Target) -> bool) -> Self {
        let (outcome, reason) = match &delivery.outcome {
            DeliveryOutcome::Accepted if only_shows(&delivery.target) => {
                (PrintedOutcome::Shown, None)
            }
            DeliveryOutcome::Accepted => (PrintedOutcome::Accepted, None),
            DeliveryOutcome::Retry(reason) => (PrintedOutcome::Retry, Some(reason.as_str())),
            DeliveryOutcome::Parked(reason) => (PrintedOutcome::Parked, Some(reason.as_str())),
        };
        let (route, target) = (delivery.route.as_str(), delivery.target.to_string());
        Self {
            route,
            epoch: delivery.epochs.1,
            target,
            alerts: delivery.alerts,
            outcome,
            reason,
            groups: None,
        }
    }

    pub(crate) fn with_groups(self, groups: MessageGroups) -> Self {
        let group = |(pattern, group): (String, GroupSummary)| {
            let values = group.values.0.into_iter().filter(|(_, alerts)| alerts.len() > 1);
            MessageGroup {
                pattern_id: pattern_id(&pattern),
                pattern,
                news: group.news.map(News::code),
                severity: group.severity.map(Severity::as_str),
                alerts: group.alerts,
                apps: group.apps.seen,
                values: values
                    .map(|(placeholder, alerts)| PlaceValues { placeholder, alerts })
                    .collect(),
            }
        };
        let other_alerts = groups.other;
        let groups = groups.groups.into_iter().map(group).collect();
        Self { groups: Some(Groups { groups, other_alerts }), ..self }
    }
}

impl<'a> From<&'a AuditRow> for PrintedAlert<'a> {
    fn from(row: &'a AuditRow) -> Self {
        Self {
            version: VERSION,
            log_id: &row.log_id,
            timestamp: &row.timestamp,
            marker: &row.marker,
            app_name: &row.app_name,
            message: &row.message,
            routes: &row.routes,
            account_id: &row.account_id,
            region: &row.region,
            log_group: &row.log_group,
            log_stream: &row.log_stream,
            pattern: &row.pattern,
            source: &row.source,
            context_before: &row.context_before,
            context_after: &row.context_after,
        }
    }
}

impl<'a> From<&'a Explanation> for LineExplanation<'a> {
    fn from(explanation: &'a Explanation) -> Self {
        let routes = explanation.routes.iter().map(|tried| TriedRoute {
            route: tried.route.as_str(),
            accepted: tried.result.is_accepted(),
            code: tried.result.code(),
            marker: tried.marker.as_deref(),
            severity: tried.severity.map(Severity::as_str),
            reason: tried.reason(),
        });
        Self {
            routes: routes.collect(),
            marker: explanation.marker.as_deref(),
            app: &explanation.app,
            app_source: explanation.app_source.code(),
            redacted: &explanation.redacted,
            redacted_by: &explanation.redacted_by,
            pattern: explanation.pattern.as_deref(),
        }
    }
}

impl<'a> From<&'a Finding> for CheckFinding<'a> {
    fn from(finding: &'a Finding) -> Self {
        let Finding { rule, good, text, remedy } = finding;
        Self { code: rule.code(), good: *good, text, remedy: remedy.as_deref() }
    }
}

#[cfg(test)]
mod tests {
    use stentor::ingest::decode::PoisonCode;
    use stentor::model::app::AppSource;
    use stentor::ops::check::CheckRule;
    use stentor::ops::explain::{MatchResult, RouteMatch};
    use stentor::ops::replay::recognize::Unrecognized;
    use strum::{VariantArray as _, VariantNames};

    use super::*;
    use crate::schema::{check_documents, codes};
    use stentor::ops::shares::LineShare;

    #[test]
    fn the_json_of_a_check_is_documented() {
        let finding = |good, remedy| Finding {
            rule: CheckRule::Credential,
            good,
            text: "x".to_owned(),
            remedy,
        };
        let findings = [finding(true, None), finding(false, Some("add it".to_owned()))];
        let explanation = Explanation {
            routes: vec![RouteMatch {
                route: "a".parse().unwrap(),
                result: MatchResult::NoMarker,
                marker: None,
                field: None,
                severity: None,
            }],
            marker: None,
            app: "shop".to_owned(),
            app_source: AppSource::LogStream,
            redacted: "x".to_owned(),
            redacted_by: vec!["password".to_owned()],
            pattern: None,
        };
        let share = RouteShare {
            route: "a".parse().unwrap(),
            accepted: LineShare { lines: 1, examples: vec!["x".to_owned()] },
            others: [(MatchResult::NoMarker, 2)].into(),
        };
        let unmatched = LineShare { lines: 2, examples: vec!["y".to_owned()] };
        let shares = LogShares { lines: 3, routes: vec![share], unmatched };
        let report = CheckReport {
            version: VERSION,
            routes: vec!["a"],
            unsearchable: vec!["a"],
            apps: BTreeSet::from(["shop"]),
            warnings: vec![Warning { line: 1, column: 2, message: "odd" }],
            redaction: Redaction { rules: vec!["badge"], disabled: &["card"] },
            staged: vec!["a"],
            explanation: Some((&explanation).into()),
            shares: Some((&shares).into()),
            findings: Some(findings.iter().map(Into::into).collect()),
        };
        check_documents("check --json", &[serde_json::to_value(report).unwrap()], &[]);
    }

    #[track_caller]
    fn check_codes<E: VariantNames>(title: &str) {
        assert_eq!(codes(title), E::VARIANTS.iter().map(ToString::to_string).collect(), "{title}");
    }

    #[test]
    fn every_code_is_documented() {
        let poison = PoisonCode::VARIANTS.iter().map(ToString::to_string);
        assert_eq!(codes("poison code"), poison.collect());
        check_codes::<MatchResult>("match code");
        check_codes::<AppSource>("app source");
        check_codes::<CheckRule>("rule");
        check_codes::<Action>("action");
        // `Route` has the code of its reason, and `Store` that of the error.
        let of_store = ["store-unavailable", "store-refused", "store-invalid"];
        let reasons = RetryReason::VARIANTS
            .iter()
            .filter(|name| !["route", "store"].contains(name))
            .chain(&of_store);
        assert_eq!(codes("retry code"), reasons.map(ToString::to_string).collect());
        let unresolved = codes("code of an unresolved dead letter");
        assert!(
            Unrecognized::VARIANTS.iter().all(|code| unresolved.contains(*code)),
            "{unresolved:?}"
        );
    }
}
