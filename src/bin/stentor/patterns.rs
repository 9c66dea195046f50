//! `stentor patterns`: what the lines of a log say, and how often. It helps to choose markers, so
//! it reads all lines, with or without one.

mod explain;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::bail;
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::ingest::route::Routes;
use stentor::model::audit::{AlertQuery, AuditRow};
use stentor::model::humanize::{self, thousands};
use stentor::model::pattern::pattern_id;
use stentor::model::time::Timestamp;
use stentor::model::truncate::truncated;
use stentor::ops::patterns::{
    PatternAssigner, PatternCount, PatternCounter, PatternLine, PatternSummary,
};
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::StoreError;
use stentor::redact::Redactor;

use crate::Exit;
use crate::args::{Configuration, explain_store_error, point_in_time};
use crate::audit_table::AuditTable;
use crate::json;
use crate::log_reader::{LogReader, ReadLine};
use crate::ui::{self, Ui, percent};

const EXAMPLES: &str = if cfg!(feature = "aws") {
    "Examples: stentor patterns app.log rotated.log.gz --new-since 1d\n          \
     journalctl -o cat | stentor patterns -\n          \
     stentor patterns app.log --assign --json\n          \
     stentor patterns --since 7d --new-since 1d"
} else {
    "Examples: stentor patterns app.log rotated.log.gz --new-since 1d\n          \
     journalctl -o cat | stentor patterns -\n          \
     stentor patterns app.log --assign --json\n          \
     stentor patterns --data-dir .stentor --since 7d --new-since 1d"
};

/// List the patterns of a log, the most frequent first; needs no marker
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct PatternsArguments {
    /// Log files or Lambda events (JSON), plain, gzip or zstd; - reads standard input. Without any, the
    /// audit table
    #[arg(value_name = "FILE", conflicts_with = "data_dir")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    configuration: Configuration,
    /// Only lines from this time on: 2h, 7d, 2026-11-23, 2026-11-23T14:00:00Z; alerts of the table:
    /// 1h without it
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    since: Option<Timestamp>,
    /// Mark the patterns that first occurred at or after this time
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    new_since: Option<Timestamp>,
    /// Maximum number of patterns; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 50)]
    limit: usize,
    /// Show what each route remembers of a pattern, and when its alerts would be news
    #[arg(long, value_name = "ID", value_parser = NonEmptyStringValueParser::new(), conflicts_with_all = ["files", "since", "new_since", "limit", "assign"])]
    explain: Option<String>,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Print the pattern of each line, one JSON object per line
    #[arg(long, requires = "json", requires = "files", conflicts_with_all = ["since", "new_since", "limit"])]
    assign: bool,
    #[command(flatten)]
    table: AuditTable,
}

const SAMPLE_WIDTH: usize = 160;

const TABLE_SINCE_DEFAULT: Duration = Duration::from_hours(1);

pub(crate) async fn patterns(arguments: &PatternsArguments, ui: Ui) -> anyhow::Result<Exit> {
    if let Some(id) = &arguments.explain {
        let explain = async |store: &Database| {
            explain::explain_pattern(store, &id.to_lowercase(), arguments.json).await
        };
        return arguments.table.query(explain).await;
    }
    arguments.check_times()?;
    let config = arguments.configuration.read(ui)?;
    let routes = Routes::new(&config)?;
    let now = SystemClock.now();
    let reader = LogReader { decoded_bytes_max: config.decoded_bytes_max, now };
    let counting = Counting { redactor: routes.redactor(), reader };
    if arguments.assign {
        return counting.assign(&arguments.files).await;
    }
    let (summary, exit) = match arguments.files.is_empty() {
        true => (
            arguments
                .table
                .query(async |store| arguments.query(store, counting.redactor).await)
                .await?,
            Exit::Done,
        ),
        false => counting.count(&arguments.files, arguments.since).await?,
    };
    arguments.print(&summary, ui)?;
    Ok(exit)
}

/// Counts the lines of logs.
struct Counting<'a> {
    redactor: &'a Redactor,
    reader: LogReader,
}

impl Counting<'_> {
    async fn count(
        &self,
        files: &[PathBuf],
        since: Option<Timestamp>,
    ) -> anyhow::Result<(PatternSummary, Exit)> {
        let mut counter = PatternCounter::new(self.redactor);
        // A line without a time, such as that of a stack trace, is as old as the line before it.
        let mut last = None;
        let exit = self
            .reader
            .each_line(files, |ReadLine { text, timestamp, .. }| {
                last = timestamp.or(last);
                let is_earlier = since.is_some_and(|since| last.is_some_and(|last| last < since));
                if !is_earlier {
                    counter.add(PatternLine { text, marker: "", pattern: "", timestamp: last });
                }
                Ok(())
            })
            .await?;
        Ok((counter.finish(), exit))
    }

    async fn assign(&self, files: &[PathBuf]) -> anyhow::Result<Exit> {
        let mut assigner = PatternAssigner::new(self.redactor);
        let mut first = 1;
        let exit = self
            .reader
            .each_line(files, |ReadLine { text, .. }| {
                assigner.add(PatternLine { text, marker: "", pattern: "", timestamp: None });
                if assigner.is_full() {
                    let full =
                        std::mem::replace(&mut assigner, PatternAssigner::new(self.redactor));
                    print_assigned(full, &mut first)?;
                }
                Ok(())
            })
            .await?;
        print_assigned(assigner, &mut first)?;
        Ok(exit)
    }
}

/// Prints a line for each line, and counts on from `first`.
fn print_assigned(assigner: PatternAssigner<'_>, first: &mut u64) -> anyhow::Result<()> {
    let mut out = std::io::BufWriter::new(std::io::stdout().lock());
    for pattern in assigner.finish() {
        let assigned = json::AssignedPattern { line: *first, pattern: &pattern };
        ui::written(writeln!(out, "{}", ui::json_line(&assigned)))?;
        *first += 1;
    }
    ui::written(out.flush())
}

impl PatternsArguments {
    /// Lines before `since` are not read, so no pattern can be older than that.
    fn check_times(&self) -> anyhow::Result<()> {
        let since = match self.files.is_empty() {
            true => Some(self.table_since(SystemClock.now())),
            false => self.since,
        };
        match (since, self.new_since) {
            (Some(since), Some(new)) if new <= since && self.since.is_some() => {
                bail!("--new-since must be after --since, or every pattern would be new")
            }
            (Some(since), Some(new)) if new <= since => {
                bail!("--new-since is before the default start, 1h ago: add an earlier --since")
            }
            _ => Ok(()),
        }
    }

    /// The start of a query of the audit table.
    fn table_since(&self, now: Timestamp) -> Timestamp {
        self.since.unwrap_or_else(|| now.before(TABLE_SINCE_DEFAULT))
    }

    /// The patterns of the alerts in the audit table.
    async fn query(&self, store: &Database, redactor: &Redactor) -> anyhow::Result<PatternSummary> {
        const CALL: Duration = Duration::from_secs(30);
        let now = SystemClock.now();
        let query = AlertQuery::between(self.table_since(now), now);
        let mut counter = PatternCounter::new(redactor);
        let add = |row: AuditRow| {
            let timestamp = Timestamp::from_iso(&row.timestamp);
            counter.add(PatternLine {
                text: &row.message,
                marker: &row.marker,
                // The stored part of a long message may not show it.
                pattern: &row.pattern,
                timestamp,
            });
            Ok::<_, StoreError>(true)
        };
        let queried =
            store.find_alerts(&query, || Deadline::after(SystemClock.now(), CALL), add).await;
        queried.map_err(|error| explain_store_error(&error, &store.alerts_place()))?;
        Ok(counter.finish())
    }

    fn print(&self, summary: &PatternSummary, ui: Ui) -> anyhow::Result<()> {
        let limit = if self.limit == 0 { usize::MAX } else { self.limit };
        let shown = &summary.patterns[..summary.patterns.len().min(limit)];
        if self.json {
            return ui::print_json(&json::PatternsReport::new(summary, shown, self.new_since));
        }
        ui::print(&text(summary, shown, self.new_since))?;
        let hidden = summary.patterns.len() - shown.len();
        if hidden > 0 {
            ui.hint(format_args!(
                "{}; --limit 0 shows all",
                humanize::count(hidden as u64, "more pattern", "more patterns")
            ));
        }
        Ok(())
    }
}

fn text(summary: &PatternSummary, shown: &[PatternCount], new_since: Option<Timestamp>) -> String {
    let mut report = ui::TextReport::new();
    let patterns = humanize::count(summary.patterns.len() as u64, "pattern", "patterns");
    let lines = humanize::count(summary.lines, "line", "lines");
    report.line(0, format_args!("{lines}, {patterns}"));
    for count in shown {
        let mut facts =
            vec![format!("{} ({})", thousands(count.lines), percent(count.lines, summary.lines))];
        facts.extend(labels(&count.levels));
        // The pattern of other lines does not show the marker.
        let is_hidden = |marker: &String| !count.pattern.contains(marker.trim());
        facts.extend(labels(&count.markers).filter(|_| count.markers.keys().any(is_hidden)));
        match (count.first, count.last) {
            (Some(first), Some(last)) if first == last => facts.push(first.iso()),
            (Some(first), Some(last)) => facts.push(format!("{} to {}", first.iso(), last.iso())),
            _ => {}
        }
        if new_since.and_then(|since| count.is_new(since)) == Some(true) {
            facts.push("new".to_owned());
        }
        facts.push(pattern_id(&count.pattern));
        report.heading(facts.join(" · "));
        report.line(2, &count.pattern);
        if count.sample.trim() != count.pattern {
            report.line(2, format_args!("e.g. {}", truncated(&count.sample, SAMPLE_WIDTH)));
        }
    }
    if summary.other > 0 {
        report.heading(format_args!(
            "{} of patterns that were too rare to keep",
            thousands(summary.other)
        ));
    }
    report.into_text()
}

/// `ERROR`, or `ERROR 3, WARN 1`, the most frequent first.
fn labels(of: &BTreeMap<String, u64>) -> Option<String> {
    let mut labels: Vec<_> = of.iter().collect();
    labels.sort_by_key(|(_, lines)| Reverse(**lines));
    match &labels[..] {
        [] => None,
        [(label, _)] => Some((*label).clone()),
        _ => {
            let label = |(label, lines): (&String, &u64)| format!("{label} {}", thousands(*lines));
            Some(labels.into_iter().map(label).collect::<Vec<_>>().join(", "))
        }
    }
}
