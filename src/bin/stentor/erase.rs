//! `stentor erase` removes what the stored alerts say about a person. Rows and counts stay: see
//! `redact::erase`. Without `--yes` it only lists what would go.

use std::collections::BTreeMap;
use std::io::Write as _;

use anyhow::bail;
use clap::Args;
use serde::Serialize;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::adapters::erase::{ErasedOutbox, erase_outbox};
use stentor::model::audit::{AlertQuery, AuditRow, RowPosition};
use stentor::model::humanize::{count, count_alerts};
use stentor::model::time::Timestamp;
use stentor::protocol::clock::Clock as _;
use stentor::protocol::store::StoreError;
use stentor::redact::erase::{ErasedRow, Erasure};

use crate::Exit;
use crate::alert_filters::{OriginFilters, PeriodFilters};
use crate::args::explain_store_error;
use crate::audit_table::{AuditTable, deadline};
use crate::json::VERSION;
use crate::ui::{self, TextReport, Ui};

const EXAMPLES: &str = if cfg!(feature = "aws") {
    "Examples: stentor erase --stack stentor --subject ann@example.org          what would be erased\n          \
               stentor erase --stack stentor --subject ann@example.org --yes --json > erased.json"
} else {
    "Examples: stentor erase --data-dir .stentor --subject ann@example.org          what would be erased\n          \
     stentor erase --data-dir .stentor --subject ann@example.org --yes --json > erased.json"
};

/// Erase what stored alerts say about a person; lists it unless --yes is given
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct EraseArguments {
    /// Text that identifies the person, in upper or lower case: a mail address, a name, an id
    #[arg(long, value_name = "TEXT")]
    subject: String,
    #[command(flatten)]
    origin: OriginFilters,
    #[command(flatten)]
    period: PeriodFilters,
    /// Erase; cannot be undone
    #[arg(long)]
    yes: bool,
    /// Print a JSON report, to be kept: it does not contain the subject, unless a filter does
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    table: AuditTable,
}

/// Rows that are erased at once.
const ROWS_AT_ONCE: usize = 500;

/// Where the text may be, too, and how it goes from there. docs/operations.md says more.
const ELSEWHERE: [(&str, &str); 8] = [
    ("targets", "messages that targets have received: delete them there"),
    (
        "dead-letters",
        "dead letters and failed batches: replay or discard them; they expire after 14 days",
    ),
    ("marks", "marks of `stentor mark`: they expire after 90 days"),
    ("stream", "records in the stream: they expire after its retention"),
    ("log-groups", "the log groups that the alerts came from, and the logs of the functions"),
    ("backups", "backups, snapshots and point-in-time recovery: they expire"),
    (
        "exports",
        "files that `stentor export`, `stentor alerts` and table exports wrote: delete them",
    ),
    ("database-pages", "free pages of a database file, and its write-ahead log: run VACUUM"),
];

/// `stentor erase --json`.
#[derive(Debug, Serialize)]
struct EraseReport {
    version: u32,
    erased: bool,
    at: String,
    place: String,
    since: String,
    until: String,
    app: Option<String>,
    route: Option<String>,
    account: Option<String>,
    tombstone: String,
    alerts: u64,
    unchanged: u64,
    counts: Vec<ErasedCount>,
    tallies: u64,
    epochs: u64,
    patterns: u64,
    outbox_searched: bool,
    not_covered: Vec<&'static str>,
}

#[derive(Debug, Serialize)]
struct ErasedCount {
    day: String,
    app: String,
    alerts: u64,
}

/// The rows that were found so far.
#[derive(Debug, Default)]
struct Found {
    alerts: u64,
    /// Those of them that were gone before they could be erased, or that the store is about to delete.
    unchanged: u64,
    /// Alerts by day and app.
    counts: BTreeMap<(String, String), u64>,
}

pub(crate) async fn erase(arguments: &EraseArguments, ui: Ui) -> anyhow::Result<Exit> {
    let now = SystemClock.now();
    let erasure = match Erasure::new(&arguments.subject, now) {
        Ok(erasure) => erasure,
        Err(why) => bail!("--subject: {why}"),
    };
    let query = arguments.period.query(&arguments.origin)?;
    let work = async |store: &Database| arguments.erase(store, erasure, &query, ui).await;
    match arguments.yes {
        true => arguments.table.change(work).await,
        false => arguments.table.query(work).await,
    }
}

impl EraseArguments {
    async fn erase(
        &self,
        store: &Database,
        mut erasure: Erasure,
        query: &AlertQuery,
        ui: Ui,
    ) -> anyhow::Result<Exit> {
        if self.yes {
            // A role that may not do it fails before anything is erased.
            let allowed = store.erase_rows(&[erasure.no_row()], deadline()).await;
            allowed.map_err(|error| explain(&error, store))?;
        }
        let mut found = Found::default();
        if !self.yes || self.covers_outbox() {
            // The patterns come from the rows, so they are noted before the rows lose them.
            found = self.list_rows(store, &mut erasure, query).await?;
        }
        let explain = |error: StoreError| explain_store_error(&error, &store.outbox_place());
        let mut outbox = self.erase_outbox(store, &erasure, !self.yes).await.map_err(explain)?;
        if self.yes {
            found = self.erase_rows(store, &erasure, query).await?;
            // A tally is stored with its rows, so that of each row that was found is there by now.
            let erased = self.erase_outbox(store, &erasure, false).await;
            outbox += erased.map_err(|error| partly(explain(error), &found))?;
        }
        let unchanged = found.unchanged;
        let report = self.report(store, query, (found, outbox), &erasure);
        match self.json {
            true => ui::print_json(&report)?,
            false => ui::print(&text(&report))?,
        }
        if self.yes {
            ui.hint("run it again in a minute: a function may write what it had read before");
        }
        if unchanged > 0 {
            let unchanged = count_alerts(unchanged);
            ui.hint(format_args!(
                "{unchanged} could not be changed: the store is about to delete them"
            ));
        }
        if !self.yes && report.alerts + report.tallies + report.epochs + report.patterns > 0 {
            ui.hint("nothing was erased; --yes erases it, which cannot be undone");
        }
        Ok(Exit::Done)
    }

    async fn erase_outbox(
        &self,
        store: &Database,
        erasure: &Erasure,
        is_dry_run: bool,
    ) -> Result<ErasedOutbox, StoreError> {
        match self.covers_outbox() {
            true => erase_outbox(store, erasure, is_dry_run, deadline).await,
            false => Ok(ErasedOutbox::default()),
        }
    }

    /// A tally or an epoch does not say which of its alerts is of an account or of a day.
    fn covers_outbox(&self) -> bool {
        self.origin.is_empty() && self.period.is_empty()
    }

    /// Finds the rows that hold the subject, and notes their patterns. A dry run shows them.
    async fn list_rows(
        &self,
        store: &Database,
        erasure: &mut Erasure,
        query: &AlertQuery,
    ) -> anyhow::Result<Found> {
        let mut found = Found::default();
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let mut written = Ok(());
        let list = |row: AuditRow| {
            if let Some(erased) = erasure.row(&row) {
                found.add(&row, &erased);
                erasure.note_pattern(&row);
                if !self.yes && !self.json {
                    let row = row.visible();
                    let (at, app, message) = (row.timestamp, row.app_name, row.message);
                    written = writeln!(out, "{at}  {app:<20} {}  {message}", row.account_id);
                }
            }
            Ok::<_, StoreError>(written.is_ok())
        };
        store.find_alerts(query, deadline, list).await.map_err(|error| explain(&error, store))?;
        ui::written(written.and_then(|()| out.flush()))?;
        Ok(found)
    }

    /// Erases the rows that hold the subject, some at a time.
    async fn erase_rows(
        &self,
        store: &Database,
        erasure: &Erasure,
        query: &AlertQuery,
    ) -> anyhow::Result<Found> {
        let (mut found, mut query) = (Found::default(), query.clone());
        loop {
            let mut rows: Vec<(AuditRow, ErasedRow)> = Vec::new();
            let collect = |row: AuditRow| {
                rows.extend(erasure.row(&row).map(|erased| (row, erased)));
                Ok::<_, StoreError>(rows.len() < ROWS_AT_ONCE)
            };
            let searched = store.find_alerts(&query, deadline, collect).await;
            searched.map_err(|error| partly(explain(&error, store), &found))?;
            let (rows, erased): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
            if !erased.is_empty() {
                let changed = store.erase_rows(&erased, deadline()).await;
                let changed = changed.map_err(|error| partly(explain(&error, store), &found))?;
                found.unchanged += (erased.len() as u64).saturating_sub(changed);
            }
            rows.iter().zip(&erased).for_each(|(row, erased)| found.add(row, erased));
            let Some(last) = rows.last().filter(|_| rows.len() == ROWS_AT_ONCE) else {
                return Ok(found);
            };
            query.after = Timestamp::from_iso(&last.timestamp)
                .map(|timestamp| RowPosition { timestamp, log_id: last.log_id.clone() });
        }
    }

    fn report(
        &self,
        store: &Database,
        query: &AlertQuery,
        (found, outbox): (Found, ErasedOutbox),
        erasure: &Erasure,
    ) -> EraseReport {
        let counts = found.counts.into_iter();
        let (place, tombstone) = (store.alerts_place(), erasure.tombstone().to_owned());
        EraseReport {
            version: VERSION,
            erased: self.yes,
            at: SystemClock.now().iso(),
            // A data directory can have any name.
            place: if erasure.is_in(&place) { tombstone.clone() } else { place },
            since: query.since.iso(),
            until: query.until.iso(),
            app: query.app.clone(),
            route: query.route.as_ref().map(ToString::to_string),
            account: query.account.clone(),
            tombstone,
            alerts: found.alerts,
            unchanged: found.unchanged,
            counts: counts.map(|((day, app), alerts)| ErasedCount { day, app, alerts }).collect(),
            tallies: outbox.tallies,
            epochs: outbox.epochs,
            patterns: outbox.patterns,
            outbox_searched: self.covers_outbox(),
            not_covered: ELSEWHERE.iter().map(|(code, _)| *code).collect(),
        }
    }
}

impl Found {
    /// The report does not show the subject, so neither does it in the name of an app.
    fn add(&mut self, row: &AuditRow, erased: &ErasedRow) {
        self.alerts += 1;
        let day = row.timestamp.get(..10).unwrap_or_default();
        let app = erased.app_name.as_ref().unwrap_or(&row.app_name);
        *self.counts.entry((day.to_owned(), app.clone())).or_default() += 1;
    }
}

fn text(report: &EraseReport) -> String {
    let mut text = TextReport::new();
    let verb = if report.erased { "erased" } else { "would be erased" };
    text.line(1, format_args!("{verb}: {} in {}", count_alerts(report.alerts), report.place));
    if !report.counts.is_empty() {
        let rows = report
            .counts
            .iter()
            .map(|ErasedCount { day, app, alerts }| [day.clone(), app.clone(), alerts.to_string()]);
        text.blank_line();
        text.table(["day", "app", "alerts"], &[2], rows);
        text.blank_line();
    }
    match report.outbox_searched {
        true => text.line(
            1,
            format_args!(
                "{verb}: samples in {} and {} of the outbox, and {}",
                count(report.tallies, "tally", "tallies"),
                count(report.epochs, "epoch", "epochs"),
                count(report.patterns, "pattern", "patterns")
            ),
        ),
        false => text.line(
            1,
            "not searched: the outbox, whose samples have no period, app or account; erase without filters to include it",
        ),
    }
    text.list(
        "not covered, because it is not in these tables",
        ELSEWHERE.iter().map(|(_, what)| (*what).to_owned()),
    );
    text.into_text()
}

fn explain(error: &StoreError, store: &Database) -> anyhow::Error {
    explain_store_error(error, &store.alerts_place())
}

/// An error after some rows were erased.
fn partly(error: anyhow::Error, found: &Found) -> anyhow::Error {
    match found.alerts {
        0 => error,
        alerts => ui::hinted(
            error,
            format!("{} were erased before; run the same command again", count_alerts(alerts)),
        ),
    }
}
