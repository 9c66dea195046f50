//! Whether what is deployed is what the program relies on. Looking (`look`) and judging are apart: here are facts,
//! as AWS tells them, and what they mean, each with what to do about it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde::Serialize;

use crate::config::{Config, Route};
use crate::model::name::Target;
use crate::model::text::humanize_duration;

/// Something that was looked at; `Err`: what AWS said instead, as a sentence.
pub type Fact<T> = Result<T, String>;

/// What was found. `None`: it was not asked for, or there is none.
#[derive(Clone, Debug)]
pub struct Snapshot {
    pub function: String,
    pub alerts: Fact<Table>,
    pub outbox: Fact<Table>,
    pub dead_letters: Fact<Queue>,
    pub due: Option<Fact<Queue>>,
    /// The names in the secret, never the values.
    pub credentials: Fact<BTreeSet<String>>,
    pub mappings: Fact<Vec<Mapping>>,
    /// Retention of the streams that are mapped, by ARN.
    pub streams: BTreeMap<String, Fact<Duration>>,
    /// Subscription filters on the functions' own log groups: group and filter.
    pub own_logs: Fact<Vec<(String, String)>>,
    /// Account policies that read the functions' own log groups: group and policy.
    pub policies: Fact<Vec<(String, String)>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Table {
    pub name: String,
    /// Hash key, and range key if there is one.
    pub keys: Vec<String>,
    pub by_hour: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    pub url: String,
    pub arn: String,
    pub retention: Duration,
    pub message_bytes_max: u64,
    /// The queue that takes what was received too often.
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
    /// `None`: records are tried for as long as the stream keeps them.
    pub age_max: Option<Duration>,
    /// `None`: without a limit.
    pub attempts_max: Option<u32>,
}

/// What a fact means.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Finding {
    pub good: bool,
    pub what: String,
    /// What to do; none where it is good.
    pub remedy: Option<String>,
}

const RETENTION_MAX: Duration = Duration::from_hours(14 * 24);
const MESSAGE_BYTES_MAX: u64 = 1 << 20;

/// Judges what was found, in the order in which one would mend it.
pub fn evaluate(snapshot: &Snapshot, config: &Config) -> Vec<Finding> {
    let mut found = Found::default();
    found.table(&snapshot.alerts, "alerts", &["log_id"], &["hour", "timestamp"]);
    found.table(&snapshot.outbox, "outbox", &["pk", "sk"], &[]);
    found.dead_letters(&snapshot.dead_letters);
    found.due(snapshot);
    found.credentials(&snapshot.credentials, config);
    found.mappings(snapshot);
    found.own_logs(&snapshot.own_logs, "subscription filter");
    found.own_logs(&snapshot.policies, "account policy");
    found.0
}

#[derive(Default)]
struct Found(Vec<Finding>);

impl Found {
    fn check(&mut self, good: bool, what: impl Into<String>, otherwise: &str, remedy: impl Into<String>) {
        let (what, remedy) = match good {
            true => (what.into(), None),
            false => (otherwise.to_owned(), Some(remedy.into())),
        };
        self.0.push(Finding { good, what, remedy });
    }

    /// What could not be looked at is a finding of its own.
    fn known<'f, T>(&mut self, fact: &'f Fact<T>, what: &str) -> Option<&'f T> {
        match fact {
            Ok(fact) => Some(fact),
            Err(why) => {
                self.check(false, "", &format!("{what} cannot be looked at"), why.as_str());
                None
            }
        }
    }

    fn table(&mut self, table: &Fact<Table>, which: &str, keys: &[&str], by_hour: &[&str]) {
        let Some(table) = self.known(table, &format!("the {which} table")) else { return };
        let good = table.keys == keys && table.by_hour == by_hour;
        let keys = keys.join(", ");
        let index = match by_hour {
            [] => String::new(),
            columns => format!(" and an index by_hour over {}", columns.join(", ")),
        };
        self.check(
            good,
            format!("table {} has its keys", table.name),
            &format!("table {} has other keys", table.name),
            format!("the program needs {keys}{index}: make the table with template.yaml, under another name"),
        );
    }

    fn dead_letters(&mut self, queue: &Fact<Queue>) {
        let Some(queue) = self.known(queue, "the dead-letter queue") else { return };
        self.check(
            queue.retention >= RETENTION_MAX,
            "dead-letter queue keeps letters for 14 days",
            &format!("dead-letter queue keeps letters for {} only", humanize_duration(queue.retention)),
            "set its MessageRetentionPeriod to 1209600",
        );
        self.check(
            queue.message_bytes_max >= MESSAGE_BYTES_MAX,
            "dead-letter queue takes 1 MiB",
            &format!("dead-letter queue takes {} bytes only", queue.message_bytes_max),
            "set its MaximumMessageSize to 1048576, or large records cannot be parked",
        );
    }

    fn due(&mut self, snapshot: &Snapshot) {
        let Some(due) = &snapshot.due else {
            let what = "no due queue: the function tells what it took in itself, one message for each invocation";
            return self.check(true, what, "", "");
        };
        let Some(due) = self.known(due, "the due queue") else { return };
        let dead_letters = snapshot.dead_letters.as_ref().map(|queue| queue.arn.as_str()).unwrap_or_default();
        self.check(
            due.redrives_to.as_deref().is_some_and(|to| dead_letters.is_empty() || to == dead_letters),
            "due queue hands what it gives up on to the dead-letter queue",
            "due queue does not hand what it gives up on to the dead-letter queue",
            format!("set its RedrivePolicy to {dead_letters}"),
        );
    }

    fn credentials(&mut self, names: &Fact<BTreeSet<String>>, config: &Config) {
        let Some(names) = self.known(names, "the secret") else { return };
        let targets: BTreeSet<&Target> = config.routes.iter().flat_map(Route::targets).collect();
        for target in targets {
            self.check(
                names.contains(&target.to_string()) || names.contains(target.name.as_str()),
                format!("secret has a credential for {target}"),
                &format!("secret has no credential for {target}"),
                format!("add \"{target}\" to it with `aws secretsmanager put-secret-value`"),
            );
        }
    }

    fn mappings(&mut self, snapshot: &Snapshot) {
        let Some(mappings) = self.known(&snapshot.mappings, "the event source mappings") else { return };
        let streams = || mappings.iter().filter(|mapping| mapping.source_arn.contains(":kinesis:"));
        if streams().next().is_none() {
            let what = format!("no stream feeds {}: it lives on direct subscriptions", snapshot.function);
            self.check(true, what, "", "");
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
        self.check(
            mapping.enabled,
            format!("mapping of {source} is enabled"),
            &format!("mapping of {source} is disabled"),
            "enable it: nothing comes in through it",
        );
        self.check(
            mapping.reports_item_failures,
            format!("mapping of {source} takes partial failures"),
            &format!("mapping of {source} takes no partial failures"),
            "set FunctionResponseTypes to ReportBatchItemFailures, or one failed record repeats its whole batch",
        );
        if mapping.source_arn.contains(":kinesis:") {
            self.check(
                mapping.on_failure.is_some(),
                format!("mapping of {source} parks what it gives up on"),
                &format!("mapping of {source} drops what it gives up on"),
                "set DestinationConfig.OnFailure to the dead-letter queue",
            );
        }
    }

    /// What Lambda gives up on is read from the stream again, so it must be there a while longer.
    fn stream(&mut self, mapping: &Mapping, retention: Option<&Fact<Duration>>) {
        let stream = mapping.source_arn.rsplit('/').next().unwrap_or_default();
        let Some(retention) = retention.and_then(|fact| self.known(fact, &format!("stream {stream}"))) else { return };
        let kept = humanize_duration(*retention);
        let half = (*retention / 2).as_secs();
        let remedy = format!("set MaximumRecordAgeInSeconds to {half}, half of what the stream keeps");
        match mapping.age_max {
            Some(age) => self.check(
                age < *retention,
                format!("stream {stream} keeps records for {kept}, and they are tried for {}", humanize_duration(age)),
                &format!("stream {stream} keeps records for {kept}, no longer than they are tried"),
                remedy,
            ),
            None => self.check(false, "", &format!("records of {stream} are tried until they are gone"), remedy),
        }
        if let Some(attempts) = mapping.attempts_max {
            let what = format!("records of {stream} are given up after {attempts} attempts");
            self.check(
                false,
                "",
                &what,
                "set MaximumRetryAttempts to -1: a store that is away for a minute is no reason",
            );
        }
    }

    fn own_logs(&mut self, readers: &Fact<Vec<(String, String)>>, kind: &str) {
        let Some(readers) = self.known(readers, &format!("whether a {kind} reads the functions' own logs")) else {
            return;
        };
        if readers.is_empty() {
            self.check(true, format!("no {kind} reads the functions' own logs"), "", "");
        }
        for (group, reader) in readers {
            self.check(
                false,
                "",
                &format!("{kind} {reader} reads {group}"),
                "take it away, or exclude the group: what the function logs comes back to it",
            );
        }
    }
}

#[cfg(test)]
mod tests;
