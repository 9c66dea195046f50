//! `stentor alerts` queries the audit table. Rows are printed as they arrive, so a million rows
//! need no more memory than ten.

use std::io::Write as _;
use std::time::Duration;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use clap::builder::NonEmptyStringValueParser;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::model::audit::{AlertQuery, AuditRow, RowPosition};
use stentor::model::humanize::count_alerts;
use stentor::model::time::Timestamp;
use stentor::model::visible;
use stentor::protocol::clock::Clock as _;
use stentor::protocol::store::StoreError;

use crate::alert_filters::{BEGINNING_OF_TIME, ContentFilters, END_OF_TIME, OriginFilters};
use crate::args::{end_of_period, explain_store_error, point_in_time};
use crate::audit_table::{AuditTable, deadline};
use crate::ui::{self, Ui};
use crate::{Exit, json};

const EXAMPLES: &str = if cfg!(feature = "aws") {
    "Examples: stentor alerts --since 2h --app checkout --grep 'timeout|refused'\n          \
                        stentor alerts --since 2026-11-01 --until 2026-11-30 --limit 0 --csv > november.csv"
} else {
    "Examples: stentor alerts --data-dir .stentor --since 2h --app checkout --grep 'timeout|refused'\n          \
     stentor alerts --data-dir .stentor --since 2026-11-01 --limit 0 --csv > november.csv"
};

/// Query the audit table, latest alerts first
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct AlertsArguments {
    #[command(flatten)]
    origin: OriginFilters,
    /// Start: 2h (ago), 7d, 2026-11-23 or 2026-11-23T14:00:00Z [default: 1h]
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    since: Option<Timestamp>,
    /// End; a date includes its whole day [default: now]
    #[arg(long, value_name = "TIME", value_parser = end_of_period)]
    until: Option<Timestamp>,
    #[command(flatten)]
    content: ContentFilters,
    /// Number of alerts to show; 0 shows all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// Only alerts behind the one with this log_id: the next page
    #[arg(long, value_name = "ALERT-ID", value_parser = NonEmptyStringValueParser::new())]
    after: Option<String>,
    /// Print one JSON object per line
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Print CSV with a header; on a terminal, control characters are escaped
    #[arg(long)]
    csv: bool,
    #[command(flatten)]
    table: AuditTable,
}

const SINCE_DEFAULT: Duration = Duration::from_hours(1);

/// An earlier alert has a wrong time: its sender counted in seconds, or sent none.
const EARLIEST_PLAUSIBLE: &str = "2000-01-01T00:00:00Z";

/// Alerts with wrong times are counted up to here.
const COUNTED_MAX: u64 = 100;

/// Why a query ends early.
enum QueryError {
    Store(StoreError),
    Output(std::io::Error),
}

/// The rows that were printed.
#[derive(Debug, Default)]
struct Printed {
    alerts: u64,
    /// The id of the last one.
    last: String,
    has_more: bool,
}

impl From<StoreError> for QueryError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub(crate) async fn alerts(arguments: &AlertsArguments, ui: Ui) -> anyhow::Result<Exit> {
    arguments.table.query(async |store| arguments.query(store, ui).await).await
}

impl AlertsArguments {
    async fn query(&self, store: &Database, ui: Ui) -> anyhow::Result<Exit> {
        let query = self.alert_query(store).await?;
        if query.since > query.until {
            match self.since {
                Some(_) => bail!("--since must be before --until"),
                None => bail!("--until is before the default start, 1h ago: add --since"),
            }
        }
        let Some(printed) = self.print_rows(store, &query).await? else {
            return Ok(Exit::Done);
        };
        if printed.has_more {
            let verb = if printed.alerts == 1 { "matches" } else { "match" };
            ui.hint(format_args!(
                "more than {} {verb}; --limit 0 shows all, --after {} the next ones",
                count_alerts(printed.alerts),
                printed.last
            ));
        } else if printed.alerts == 0 {
            let (since, until) = (query.since.iso(), query.latest().iso());
            ui.note(format_args!("no alerts from {since} to {until}"));
            self.origin.hint_at_routes(store, ui).await;
            if query.pattern.is_some() {
                ui.hint("`stentor patterns` prints the text and the id of each pattern");
            }
        }
        if self.until.is_none() && self.after.is_none() {
            let hinted = hint_at_wrong_times(store, &query, ui).await;
            hinted.map_err(|error| explain(&error, store))?;
        }
        Ok(Exit::Done)
    }

    /// Prints the rows up to the limit. `None` when the reader of the output has closed it, as `head`
    /// does.
    async fn print_rows(
        &self,
        store: &Database,
        query: &AlertQuery,
    ) -> anyhow::Result<Option<Printed>> {
        const CANNOT_WRITE: &str = "cannot write to standard output";
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let mut printed = Printed::default();
        if self.csv {
            writeln!(out, "{}", csv_line(AuditRow::COLUMNS)).context(CANNOT_WRITE)?;
        }
        let width = ui::stdout_width();
        let print = |row: AuditRow| {
            if self.limit > 0 && printed.alerts == self.limit {
                printed.has_more = true;
                return Ok(false);
            }
            printed.alerts += 1;
            let mut written = writeln!(out, "{}", self.format(&row, width));
            if width.is_some() {
                // A person sees each row as soon as it is found.
                written = written.and_then(|()| out.flush());
            }
            printed.last = row.log_id;
            written.map_err(QueryError::Output).map(|()| true)
        };
        let answer = store.find_alerts(query, deadline, print).await;
        match answer.and_then(|()| out.flush().map_err(QueryError::Output)) {
            Ok(()) => Ok(Some(printed)),
            Err(QueryError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                Ok(None)
            }
            Err(QueryError::Output(error)) => Err(error).context(CANNOT_WRITE),
            Err(QueryError::Store(error)) => Err(explain(&error, store)),
        }
    }

    /// # Errors
    /// When there is no alert with the id of `--after`.
    async fn alert_query(&self, store: &Database) -> anyhow::Result<AlertQuery> {
        let now = SystemClock.now();
        let since = self.since.unwrap_or_else(|| now.before(SINCE_DEFAULT));
        let query = self.origin.query(since, self.until.unwrap_or(now));
        let after = match &self.after {
            Some(log_id) => Some(position_of(store, log_id).await?),
            None => None,
        };
        Ok(AlertQuery { after, ..self.content.of(query) })
    }

    /// A row as a line. `width` is that of the terminal, if the output is one.
    fn format(&self, row: &AuditRow, width: Option<usize>) -> String {
        if self.json {
            let alert = serde_json::to_string(&json::PrintedAlert::from(row));
            return visible::json(&alert.expect("invariant: plain data always serializes"));
        }
        let shown = row.visible();
        if self.csv {
            // A file gets the text exactly as it is stored.
            return csv_line(if width.is_some() { shown.cells() } else { row.cells() });
        }
        // The message contains the marker.
        let line = format!(
            "{}  {:<20} {}  {}",
            shown.timestamp, shown.app_name, shown.account_id, shown.message
        );
        match width {
            Some(width) => console::truncate_str(&line, width, "…").into_owned(),
            None => line,
        }
    }
}

async fn position_of(store: &Database, log_id: &str) -> anyhow::Result<RowPosition> {
    let row = store.alert(log_id, deadline()).await.map_err(|error| explain(&error, store))?;
    let timestamp = row.and_then(|row| Timestamp::from_iso(&row.timestamp));
    let timestamp = timestamp.ok_or_else(|| {
        let error = anyhow!("--after: there is no alert `{log_id}` in {}", store.alerts_place());
        ui::hinted(error, "give the log_id of the last alert that you have, as --json prints it")
    })?;
    Ok(RowPosition { timestamp, log_id: log_id.to_owned() })
}

/// A line of comma-separated values (RFC 4180), without the line break.
fn csv_line<const N: usize>(cells: [impl AsRef<[u8]>; N]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells).expect("invariant: writing to memory cannot fail");
    let line = writer.into_inner().expect("invariant: writing to memory cannot fail");
    let mut line = String::from_utf8(line).expect("invariant: cells are UTF-8");
    line.truncate(line.len() - "\n".len());
    line
}

/// A sender may give an alert a wrong time. Without a hint the operator would overlook it.
async fn hint_at_wrong_times(
    store: &Database,
    query: &AlertQuery,
    ui: Ui,
) -> Result<(), StoreError> {
    let later = AlertQuery {
        since: query.until.after(Duration::from_millis(1)),
        until: END_OF_TIME,
        ..query.clone()
    };
    hint(ui, count(store, &later).await?, "in the future", "--until 9999-12-31");
    let plausible = Timestamp::from_iso(EARLIEST_PLAUSIBLE).expect("invariant: it is a date");
    let until = plausible.min(query.since).before(Duration::from_millis(1));
    // Both show as year 1, the first that a date can have: the query has covered everything.
    if until.iso() == query.since.iso() {
        return Ok(());
    }
    let earlier = AlertQuery { since: BEGINNING_OF_TIME, until, ..query.clone() };
    hint(ui, count(store, &earlier).await?, "before 2000", "--since 0001-01-01");
    Ok(())
}

/// The number of alerts that match, up to [`COUNTED_MAX`].
async fn count(store: &Database, query: &AlertQuery) -> Result<u64, StoreError> {
    let mut count = 0;
    let counting = |_| {
        count += 1;
        Ok::<_, StoreError>(count < COUNTED_MAX)
    };
    store.find_alerts(query, deadline, counting).await?;
    Ok(count)
}

fn hint(ui: Ui, count: u64, when: &str, option: &str) {
    match count {
        0 => {}
        1 => ui.hint(format_args!("1 more alert has a time {when}; {option} shows it")),
        COUNTED_MAX.. => ui.hint(format_args!(
            "{COUNTED_MAX} or more alerts have a time {when}; {option} shows them"
        )),
        _ => ui.hint(format_args!("{count} more alerts have a time {when}; {option} shows them")),
    }
}

fn explain(error: &StoreError, store: &Database) -> anyhow::Error {
    explain_store_error(error, &store.alerts_place())
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn csv_is_escaped_for_a_terminal_and_exact_for_a_file() {
        let odd = "=a\u{1b}]0;t\u{7}\u{9b}2J\u{202e}\nb";
        let row = AuditRow { app_name: odd.to_owned(), ..AuditRow::default() };
        let line = |options: &[&str], width: Option<usize>| {
            let command =
                crate::Arguments::try_parse_from([&["stentor", "alerts"], options].concat())
                    .unwrap()
                    .command;
            let crate::Command::Alerts(arguments) = command else { panic!("not `alerts`") };
            arguments.format(&row, width)
        };
        assert_eq!(line(&["--csv"], None), format!(",,,\"'{odd}\",,,,,,,,,,"));
        let shown = "=a[U+001B]]0;t[U+0007][U+009B]2J[U+202E] b";
        assert_eq!(line(&["--csv"], Some(80)), format!(",,,'{shown},,,,,,,,,,"));
        for width in [None, Some(200)] {
            assert_eq!(line(&[], width), format!("  {shown}   "));
            assert!(
                line(&["--json"], width)
                    .contains(r#""app_name":"=a\u001b]0;t\u0007\u009b2J\u202e\nb""#)
            );
        }
    }

    #[test]
    fn odd_values_read_back_from_csv() {
        for odd in [
            "a,b",
            "\"",
            "\"\"",
            "a\"b",
            ",",
            ",,,",
            "\n",
            "\r",
            "\r\n",
            "\n\n",
            "\"\n\"",
            "a\r\nb,\"c\"",
            "'",
            "'=",
            "=1+1",
            " \u{feff}\n=x",
            ";",
            "|",
            "#",
            " x ",
            "\u{2028}",
            "\u{85}",
            "",
        ] {
            let (log_id, message, source) = (odd.to_owned(), odd.to_owned(), odd.to_owned());
            let row = AuditRow { log_id, message, source, ..AuditRow::default() };
            let line = csv_line(row.cells());
            let mut reader =
                csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            let records: Vec<Vec<String>> = reader.deserialize().collect::<Result<_, _>>().unwrap();
            assert_eq!(records, [row.cells()], "{odd:?}");
        }
    }
}
