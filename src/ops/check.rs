//! Evaluates a deployment: compares a snapshot of what is deployed with what Stentor relies on.
//! Each finding has a stable code and, where it is bad, a remedy. An adapter takes the snapshot.

use std::collections::BTreeMap;
use std::time::Duration;

use strum::{IntoStaticStr, VariantNames};

use crate::model::humanize::humanize_duration;
use crate::model::name::Target;

/// A part of the deployment, or why it could not be read.
pub type Inspected<T> = Result<T, String>;

/// A snapshot of a deployment.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub function: String,
    pub alerts: Inspected<TableState>,
    pub outbox: Inspected<TableState>,
    pub dead_letters: Inspected<Queue>,
    /// `None`: the function has no due queue.
    pub due: Option<Inspected<Queue>>,
    /// The state of the credential of each target, never its value.
    pub credentials: Inspected<BTreeMap<Target, CredentialState>>,
    pub mappings: Inspected<Vec<Mapping>>,
    /// The retention of each stream that has a mapping, by ARN.
    pub streams: BTreeMap<String, Inspected<Duration>>,
    /// Subscription filters on the functions' own log groups: log group and filter.
    pub own_logs: Inspected<Vec<(String, String)>>,
    /// Account policies that read the functions' own log groups: log group and policy.
    pub policies: Inspected<Vec<(String, String)>>,
}

/// Whether the secret has a credential for a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CredentialState {
    Valid,
    Missing,
    /// The mistake in it, without its text.
    Malformed(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TableState {
    pub name: String,
    /// The hash key, and the range key if there is one.
    pub keys: Vec<String>,
    /// The keys of the index `by_hour`.
    pub by_hour: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    pub url: String,
    pub arn: String,
    pub retention: Duration,
    pub message_bytes_max: u64,
    /// The queue that receives messages which were received too often.
    pub redrives_to: Option<String>,
}

/// An event source mapping.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    pub function: String,
    pub source_arn: String,
    pub enabled: bool,
    pub reports_item_failures: bool,
    pub on_failure: Option<String>,
    /// `None`: records are retried until they expire.
    pub age_max: Option<Duration>,
    /// `None`: without a limit.
    pub attempts_max: Option<u32>,
}

/// The result of one rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    pub rule: CheckRule,
    pub good: bool,
    pub text: String,
    /// `None` if the finding is good.
    pub remedy: Option<String>,
}

/// A rule, by its stable code: `dead-letter-retention`.
#[derive(Copy, Clone, Debug, IntoStaticStr, PartialEq, Eq, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum CheckRule {
    /// A part of the deployment can be read.
    Readable,
    TableKeys,
    DeadLetterRetention,
    DeadLetterSize,
    DueQueue,
    DueQueueRedrive,
    Credential,
    StreamMapping,
    MappingEnabled,
    MappingItemFailures,
    MappingOnFailure,
    StreamRetention,
    RetryAttempts,
    OwnLogsFilter,
    OwnLogsPolicy,
}

impl CheckRule {
    /// A stable kebab-case word.
    pub fn code(self) -> &'static str {
        self.into()
    }
}

const RETENTION_MAX: Duration = Duration::from_hours(14 * 24);
const MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// Evaluates a snapshot. The findings are in the order in which an operator would fix them.
pub fn evaluate(snapshot: &Snapshot) -> Vec<Finding> {
    let mut findings = Findings::default();
    findings.table(&snapshot.alerts, "alerts", &["log_id"], &["hour", "timestamp"]);
    findings.table(&snapshot.outbox, "outbox", &["pk", "sk"], &[]);
    findings.dead_letters(&snapshot.dead_letters);
    findings.due(snapshot);
    findings.credentials(&snapshot.credentials);
    findings.mappings(snapshot);
    if let Some(filters) = findings.readable(&snapshot.own_logs, "the subscription filters") {
        findings.own_logs(CheckRule::OwnLogsFilter, filters, "subscription filter");
    }
    if let Some(policies) = findings.readable(&snapshot.policies, "the account policies") {
        findings.own_logs(CheckRule::OwnLogsPolicy, policies, "account policy");
    }
    findings.0
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn good(&mut self, rule: CheckRule, text: impl Into<String>) {
        self.0.push(Finding { rule, good: true, text: text.into(), remedy: None });
    }

    fn bad(&mut self, rule: CheckRule, text: impl Into<String>, remedy: impl Into<String>) {
        self.0.push(Finding { rule, good: false, text: text.into(), remedy: Some(remedy.into()) });
    }

    /// A part that could not be read is a finding of its own, with the error as its remedy.
    fn readable<'f, T>(&mut self, part: &'f Inspected<T>, name: &str) -> Option<&'f T> {
        match part {
            Ok(part) => Some(part),
            Err(error) => {
                self.bad(CheckRule::Readable, format!("{name} cannot be read"), error.as_str());
                None
            }
        }
    }

    fn table(
        &mut self,
        table: &Inspected<TableState>,
        which: &str,
        keys: &[&str],
        by_hour: &[&str],
    ) {
        let Some(table) = self.readable(table, &format!("the {which} table")) else { return };
        if table.keys == keys && table.by_hour == by_hour {
            return self.good(
                CheckRule::TableKeys,
                format!("the table {} has the right keys", table.name),
            );
        }
        let keys = keys.join(", ");
        let index = match by_hour {
            [] => String::new(),
            columns => format!(" and an index by_hour over {}", columns.join(", ")),
        };
        self.bad(
            CheckRule::TableKeys,
            format!("the table {} has other keys", table.name),
            format!("Stentor needs {keys}{index}: create the table with template.yaml, under another name"),
        );
    }

    fn dead_letters(&mut self, queue: &Inspected<Queue>) {
        let Some(queue) = self.readable(queue, "the dead-letter queue") else { return };
        if queue.retention >= RETENTION_MAX {
            self.good(
                CheckRule::DeadLetterRetention,
                "the dead-letter queue keeps messages for 14 days",
            );
        } else {
            let kept = humanize_duration(queue.retention);
            self.bad(
                CheckRule::DeadLetterRetention,
                format!("the dead-letter queue keeps messages for {kept} only"),
                "set its MessageRetentionPeriod to 1209600",
            );
        }
        if queue.message_bytes_max >= MESSAGE_BYTES_MAX {
            self.good(CheckRule::DeadLetterSize, "the dead-letter queue accepts messages of 1 MiB");
        } else {
            self.bad(
                CheckRule::DeadLetterSize,
                format!(
                    "the dead-letter queue accepts messages of {} bytes only",
                    queue.message_bytes_max
                ),
                "set its MaximumMessageSize to 1048576, or large records cannot be parked",
            );
        }
    }

    fn due(&mut self, snapshot: &Snapshot) {
        let Some(due) = &snapshot.due else {
            let text =
                "there is no due queue: the consumer delivers one message per invocation and route";
            return self.good(CheckRule::DueQueue, text);
        };
        let Some(due) = self.readable(due, "the due queue") else { return };
        let dead_letters =
            snapshot.dead_letters.as_ref().map(|queue| queue.arn.as_str()).unwrap_or_default();
        match due.redrives_to.as_deref() {
            Some(to) if to != dead_letters => self.good(
                CheckRule::DueQueueRedrive,
                "the due queue sends exhausted messages to a queue of their own",
            ),
            // The console then offers to move dead letters to the due queue.
            Some(_) => self.bad(
                CheckRule::DueQueueRedrive,
                "the due queue sends exhausted messages to the dead-letter queue",
                "set its RedrivePolicy to another queue, or a redrive destroys dead letters",
            ),
            None => self.bad(
                CheckRule::DueQueueRedrive,
                "the due queue receives exhausted messages again and again",
                "set its RedrivePolicy to a queue of its own",
            ),
        }
    }

    fn credentials(&mut self, states: &Inspected<BTreeMap<Target, CredentialState>>) {
        let Some(states) = self.readable(states, "the secret") else { return };
        for (target, state) in states {
            let remedy =
                || format!("put \"{target}\" into it with `aws secretsmanager put-secret-value`");
            match state {
                CredentialState::Valid => self.good(
                    CheckRule::Credential,
                    format!("the secret has a credential for {target}"),
                ),
                CredentialState::Missing => self.bad(
                    CheckRule::Credential,
                    format!("the secret has no credential for {target}"),
                    remedy(),
                ),
                CredentialState::Malformed(why) => self.bad(
                    CheckRule::Credential,
                    format!("the credential for {target} cannot be used: {why}"),
                    remedy(),
                ),
            }
        }
    }

    fn mappings(&mut self, snapshot: &Snapshot) {
        let Some(mappings) = self.readable(&snapshot.mappings, "the event source mappings") else {
            return;
        };
        let streams = || mappings.iter().filter(|mapping| mapping.source_arn.contains(":kinesis:"));
        if streams().next().is_none() {
            let function = &snapshot.function;
            self.good(
                CheckRule::StreamMapping,
                format!("{function} has no stream: it receives direct subscriptions"),
            );
        }
        for mapping in mappings {
            self.mapping(mapping);
        }
        for mapping in streams() {
            self.stream(mapping, snapshot.streams.get(&mapping.source_arn));
        }
    }

    fn mapping(&mut self, mapping: &Mapping) {
        let source = mapping.source_arn.rsplit([':', '/']).next().unwrap_or_default();
        if mapping.enabled {
            self.good(CheckRule::MappingEnabled, format!("the mapping of {source} is enabled"));
        } else {
            let text = format!("the mapping of {source} is disabled");
            self.bad(
                CheckRule::MappingEnabled,
                text,
                "enable it: the function receives nothing from it",
            );
        }
        if mapping.reports_item_failures {
            self.good(
                CheckRule::MappingItemFailures,
                format!("the mapping of {source} accepts partial failures"),
            );
        } else {
            self.bad(
                CheckRule::MappingItemFailures,
                format!("the mapping of {source} does not accept partial failures"),
                "set FunctionResponseTypes to ReportBatchItemFailures, or one failed record repeats its whole batch",
            );
        }
        if !mapping.source_arn.contains(":kinesis:") {
            return;
        }
        if mapping.on_failure.is_some() {
            self.good(
                CheckRule::MappingOnFailure,
                format!("the mapping of {source} has an on-failure destination"),
            );
        } else {
            self.bad(
                CheckRule::MappingOnFailure,
                format!("the mapping of {source} drops records after its last attempt"),
                "set DestinationConfig.OnFailure to an S3 bucket, which gets the records, too",
            );
        }
    }

    /// Replay reads from the stream what Lambda has given up on, so records must be kept longer
    /// than they are retried.
    fn stream(&mut self, mapping: &Mapping, retention: Option<&Inspected<Duration>>) {
        let stream = mapping.source_arn.rsplit('/').next().unwrap_or_default();
        let retention =
            retention.and_then(|part| self.readable(part, &format!("the stream {stream}")));
        let Some(retention) = retention else { return };
        let kept = humanize_duration(*retention);
        let half = (*retention / 2).as_secs();
        let remedy =
            format!("set MaximumRecordAgeInSeconds to {half}, half of the retention of the stream");
        match mapping.age_max {
            Some(age) if age < *retention => {
                let retried = humanize_duration(age);
                let text = format!(
                    "the stream {stream} keeps records for {kept}, and they are retried for {retried}"
                );
                self.good(CheckRule::StreamRetention, text);
            }
            Some(_) => {
                let text = format!(
                    "the stream {stream} keeps records for {kept}, no longer than they are retried"
                );
                self.bad(CheckRule::StreamRetention, text, remedy);
            }
            None => {
                self.bad(
                    CheckRule::StreamRetention,
                    format!("records of {stream} are retried until they expire"),
                    remedy,
                );
            }
        }
        if let Some(attempts) = mapping.attempts_max {
            self.bad(
                CheckRule::RetryAttempts,
                format!("records of {stream} are given up after {attempts} attempts"),
                "set MaximumRetryAttempts to -1, or an outage of a minute parks every batch",
            );
        }
    }

    fn own_logs(&mut self, rule: CheckRule, readers: &[(String, String)], kind: &str) {
        if readers.is_empty() {
            self.good(rule, format!("no {kind} reads the functions' own logs"));
        }
        for (group, reader) in readers {
            self.bad(
                rule,
                format!("the {kind} {reader} reads {group}"),
                "remove it or exclude the log group, or the function receives its own log lines",
            );
        }
    }
}

#[cfg(test)]
mod tests;
