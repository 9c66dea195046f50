//! `stentor alerts`: questions to the audit table. Rows are shown as they come; an answer of a million rows needs
//! no more memory than one of ten.

use std::io::{IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use regex::Regex;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::DynamoStore;
use stentor::adapters::embedded::Embedded;
use stentor::model::audit::{AlertQuery, AuditRow};
use stentor::model::name::RouteName;
use stentor::model::time::Timestamp;
use stentor::model::visible;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::StoreError;

use crate::Exit;
use crate::args::{Aws, TableNames, last_moment, moment, store_trouble};
use crate::data_dir::{Copied, DataDir};

/// Ask the audit table which alerts there were; the latest come first.
#[derive(Debug, Args)]
#[command(after_help = "Examples: stentor alerts --since 2h --app checkout --grep 'timeout|refused'\n          \
                        stentor alerts --since 2026-11-01 --until 2026-11-30 --limit 0 --csv > november.csv")]
pub struct Arguments {
    /// Only those of this app, the name that its log group ends with
    #[arg(long, value_name = "NAME")]
    app: Option<String>,
    /// Only those on this route
    #[arg(long, value_name = "NAME")]
    route: Option<RouteName>,
    /// From then on: 2h, 7d, 2026-11-23, 2026-11-23T14:00:00Z
    #[arg(long, value_name = "WHEN", default_value = "1h", value_parser = moment)]
    since: Timestamp,
    /// Until then; a date includes its day. Without it, until now
    #[arg(long, value_name = "WHEN", value_parser = last_moment)]
    until: Option<Timestamp>,
    /// Only those whose message this regular expression finds
    #[arg(long, value_name = "REGEX")]
    grep: Option<Regex>,
    /// At most so many; 0: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    limit: u64,
    /// One JSON object a line
    #[arg(long, conflicts_with = "csv")]
    json: bool,
    /// Comma-separated values with a header; on a terminal, control characters are spelled out
    #[arg(long)]
    csv: bool,
    /// Instead of a stack: what `stentor run` keeps there
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    tables: TableNames,
    #[command(flatten)]
    aws: Aws,
}

/// An alert before this has a time that its sender got wrong: in seconds, or none.
const PLAUSIBLE_SINCE: &str = "2000-01-01T00:00:00Z";

/// Alerts outside the span that are counted, at the most.
const OUTSIDE_MAX: u64 = 100;

/// The ends of time.
const BEGINNING: Timestamp = Timestamp::from_millis(i64::MIN);
const END: Timestamp = Timestamp::from_millis(i64::MAX);

/// What ends an answer early: the store, or standard output.
enum Ended {
    Store(StoreError),
    Output(std::io::Error),
}

impl From<StoreError> for Ended {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

pub fn alerts(arguments: &Arguments) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    runtime.block_on(async {
        match &arguments.data_dir {
            None => arguments.ask(&arguments.tables.store(&arguments.aws.load().await?)).await,
            Some(directory) if !directory.exists() => bail!("there is no {}", directory.display()),
            Some(directory) => arguments.ask_directory(directory).await,
        }
    })
}

impl Arguments {
    async fn ask_directory(&self, directory: &Path) -> anyhow::Result<Exit> {
        let mut data = DataDir::open(directory)?;
        let copied = if data.is_writable() { None } else { Some(Copied::of(directory)?) };
        let (engine, store) = match &copied {
            None => data.start().await?,
            Some(copied) => {
                let engine = Embedded::start(Some(&copied.database())).await?;
                let store = engine.store().await?;
                (engine, store)
            }
        };
        let exit = self.ask(&store).await?;
        engine.stop().await?;
        Ok(exit)
    }

    async fn ask(&self, store: &DynamoStore) -> anyhow::Result<Exit> {
        let query = self.query();
        if query.since > query.until {
            bail!("--since is later than --until");
        }
        let mut out = std::io::BufWriter::new(std::io::stdout().lock());
        let mut shown = 0;
        let mut more = false;
        if self.csv {
            writeln!(out, "{}", csv_line(AuditRow::COLUMNS)).context("cannot write to standard output")?;
        }
        let width = width();
        let show = |row: AuditRow| {
            if self.limit > 0 && shown == self.limit {
                more = true;
                return Ok(false);
            }
            shown += 1;
            writeln!(out, "{}", self.line(&row, width)).map_err(Ended::Output).map(|()| true)
        };
        let asked = store.find_alerts(&query, soon, show).await;
        let flushed = out.flush();
        match (asked, flushed) {
            // `stentor alerts | head` has what it wanted.
            (Err(Ended::Output(error)), _) | (Ok(()), Err(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
                return Ok(Exit::Done);
            }
            (Err(Ended::Store(error)), _) => {
                return Err(store_trouble(&error, &format!("the table {}", store.tables().alerts)));
            }
            (Err(Ended::Output(error)), _) | (Ok(()), Err(error)) => {
                return Err(error).context("cannot write to standard output");
            }
            (Ok(()), Ok(())) => {}
        }
        if more {
            eprintln!("stentor: there are more than {shown}; --limit 0 shows all");
        } else if shown == 0 {
            eprintln!("stentor: no alerts from {} to {}", query.since.iso(), query.until.iso());
        }
        if self.until.is_none() {
            let hinted = self.hint_at_wrong_times(store, &query).await;
            hinted.map_err(|error| store_trouble(&error, &format!("the table {}", store.tables().alerts)))?;
        }
        Ok(Exit::Done)
    }

    /// A sender may date an alert wrongly. Without a hint it would be overlooked.
    async fn hint_at_wrong_times(&self, store: &DynamoStore, query: &AlertQuery) -> Result<(), StoreError> {
        let later = AlertQuery { since: query.until.after(Duration::from_millis(1)), until: END, ..query.clone() };
        hint(count(store, &later).await?, "later: add --until 9999-12-31");
        let plausible = Timestamp::from_iso(PLAUSIBLE_SINCE).expect("invariant: it is a date");
        let until = plausible.min(query.since).before(Duration::from_millis(1));
        // Dates begin with the year 1.
        if until.iso() == query.since.iso() {
            return Ok(());
        }
        let earlier = AlertQuery { since: BEGINNING, until, ..query.clone() };
        hint(count(store, &earlier).await?, "before 2000: add --since 0001-01-01");
        Ok(())
    }

    fn query(&self) -> AlertQuery {
        AlertQuery {
            since: self.since,
            until: self.until.unwrap_or_else(|| SystemClock.now()),
            app: self.app.clone(),
            route: self.route.clone(),
            grep: self.grep.clone(),
        }
    }

    fn line(&self, row: &AuditRow, width: Option<usize>) -> String {
        if self.json {
            return visible::json(&serde_json::to_string(row).expect("invariant: a row is plain data"));
        }
        let shown = row.visible();
        if self.csv {
            // A file gets the text as it was stored.
            return csv_line(if width.is_some() { shown.cells() } else { row.cells() });
        }
        // The marker stands in the message already.
        let line = format!("{}  {:<20} {}  {}", shown.timestamp, shown.app_name, shown.account_id, shown.message);
        match width {
            Some(width) => console::truncate_str(&line, width, "…").into_owned(),
            None => line,
        }
    }
}

/// One line of comma-separated values (RFC 4180), without the line break.
fn csv_line<const N: usize>(cells: [impl AsRef<[u8]>; N]) -> String {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(cells).expect("invariant: writing to memory cannot fail");
    let line = writer.into_inner().expect("invariant: writing to memory cannot fail");
    let mut line = String::from_utf8(line).expect("invariant: cells are UTF-8");
    line.truncate(line.len() - "\n".len());
    line
}

/// For each call to the store.
fn soon() -> Deadline {
    Deadline::after(SystemClock.now(), Duration::from_secs(30))
}

/// How many alerts the question finds, up to [`OUTSIDE_MAX`].
async fn count(store: &DynamoStore, query: &AlertQuery) -> Result<u64, StoreError> {
    let mut count = 0;
    let counting = |_| {
        count += 1;
        Ok::<_, StoreError>(count < OUTSIDE_MAX)
    };
    store.find_alerts(query, soon, counting).await?;
    Ok(count)
}

fn hint(count: u64, how: &str) {
    match count {
        0 => {}
        1 => eprintln!("stentor: 1 more is dated {how}"),
        OUTSIDE_MAX.. => eprintln!("stentor: {OUTSIDE_MAX} or more are dated {how}"),
        _ => eprintln!("stentor: {count} more are dated {how}"),
    }
}

/// The width of the terminal, if there is one.
fn width() -> Option<usize> {
    std::io::stdout().is_terminal().then(|| usize::from(console::Term::stdout().size().1))
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;

    #[test]
    fn csv_is_spelled_out_for_a_terminal_and_exact_for_a_file() {
        let odd = "=a\u{1b}]0;t\u{7}\u{9b}2J\u{202e}\nb";
        let row = AuditRow { app_name: odd.to_owned(), ..AuditRow::default() };
        let line = |options: &[&str], width: Option<usize>| {
            let command = crate::Arguments::try_parse_from([&["stentor", "alerts"], options].concat()).unwrap().command;
            let crate::Command::Alerts(arguments) = command else { panic!("another command") };
            arguments.line(&row, width)
        };
        assert_eq!(line(&["--csv"], None), format!(",,,\"'{odd}\",,,,,,,,"));
        let shown = "=a[U+001B]]0;t[U+0007][U+009B]2J[U+202E] b";
        assert_eq!(line(&["--csv"], Some(80)), format!(",,,'{shown},,,,,,,,"));
        for width in [None, Some(200)] {
            assert_eq!(line(&[], width), format!("  {shown}   "));
            assert!(line(&["--json"], width).contains(r#""app_name":"=a\u001b]0;t\u0007\u009b2J\u202e\nb""#));
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
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(line.as_bytes());
            let records: Vec<Vec<String>> = reader.deserialize().collect::<Result<_, _>>().unwrap();
            assert_eq!(records, [row.cells()], "{odd:?}");
        }
    }
}
