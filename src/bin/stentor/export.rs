//! `stentor export` writes the rows of the audit table to a file, to a folder with a part for each day, or to
//! such a folder of S3, where Athena reads them. Memory depends on the size of a part, not on the number of
//! rows.

use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use clap::Args;
use serde::Serialize;
use stentor::adapters::database::Database;
use stentor::model::audit::{AlertQuery, AuditRow, RowPosition};
use stentor::model::humanize::{count, count_alerts};
use stentor::model::time::Timestamp;
use stentor::protocol::store::StoreError;

use crate::Exit;
use crate::alert_filters::{ContentFilters, OriginFilters, PeriodFilters};
use crate::args::explain_store_error;
use crate::audit_table::{AuditTable, deadline};
use crate::json::VERSION;
use crate::signals::Shutdown;
use crate::ui::{self, Ui};

mod bucket;
mod output;
mod part;
mod place;

use output::{NewFile, PartOutput};
use part::{ExportFormat, Part};
use place::{ExportPlace, refuse_data_dir};

const EXAMPLES: &str = if cfg!(feature = "aws") {
    "Examples: stentor export --stack stentor --since 2026-11-01 --until 2026-11-30 --to s3://my-bucket/alerts\n          \
               stentor export --stack stentor --app checkout --to checkout.jsonl.gz"
} else {
    "Examples: stentor export --data-dir .stentor --since 2026-11-01 --until 2026-11-30 --to alerts/\n          \
     stentor export --data-dir .stentor --app checkout --to checkout.jsonl.gz"
};

/// Write alerts as Parquet or JSON lines, to a file or to S3 for Athena
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ExportArguments {
    /// FILE, FOLDER/ or s3://BUCKET/FOLDER, in folders by day; - is standard output
    #[arg(long, value_name = "PLACE")]
    to: String,
    /// Format [default: jsonl for -, *.jsonl and *.jsonl.gz, else parquet]
    #[arg(long, value_name = "FORMAT")]
    format: Option<ExportFormat>,
    #[command(flatten)]
    origin: OriginFilters,
    #[command(flatten)]
    period: PeriodFilters,
    #[command(flatten)]
    content: ContentFilters,
    /// Print a JSON report
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    table: AuditTable,
}

/// A file in a folder is closed when it has this many bytes. An object of S3 is in memory until then.
const PART_BYTES: u64 = 32 << 20;

/// `stentor export --json`.
#[derive(Debug, Serialize)]
struct ExportReport {
    version: u32,
    to: String,
    since: String,
    until: String,
    alerts: u64,
    bytes: u64,
    files: Vec<ExportedFile>,
}

#[derive(Debug, Serialize)]
struct ExportedFile {
    name: String,
    day: Option<String>,
    alerts: u64,
    bytes: u64,
}

/// Why reading rows ends early.
enum ReadError {
    Store(StoreError),
    Output(anyhow::Error),
}

impl From<StoreError> for ReadError {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

struct Export<'a> {
    place: ExportPlace,
    format: ExportFormat,
    /// The names of parts in a folder begin with this.
    prefix: String,
    store: &'a Database,
    files: Vec<ExportedFile>,
}

pub(crate) async fn export(arguments: &ExportArguments, ui: Ui) -> anyhow::Result<Exit> {
    let query = arguments.content.of(arguments.period.query(&arguments.origin)?);
    let place = ExportPlace::of(&arguments.to, &arguments.table).await?;
    let (format, prefix) = (arguments.format(&place)?, arguments.prefix());
    if arguments.json && matches!(place, ExportPlace::Stdout) {
        bail!("--json and --to - both print to standard output: name a file");
    }
    let shutdown = Shutdown::on_signals()?;
    let report = arguments.table.query(async |store| {
        let mut export = Export { place, format, prefix, store, files: Vec::new() };
        let written = tokio::select! {
            written = export.write(&query) => written,
            _ = shutdown.requested() => Err(anyhow!("interrupted")),
        };
        match written {
            Ok(()) => {
                let report = arguments.report(&query, export.files);
                if report.alerts == 0 {
                    arguments.origin.hint_at_routes(store, ui).await;
                }
                Ok(report)
            }
            Err(error) => Err(export.partly(error)),
        }
    });
    let report = report.await?;
    let text = || {
        let files = count(report.files.len() as u64, "file", "files");
        format!(
            "exported {} to {}: {files}, {} bytes",
            count_alerts(report.alerts),
            report.to,
            report.bytes
        )
    };
    match arguments.to.as_str() {
        "-" => ui.note(text()),
        _ if arguments.json => ui::print_json(&report)?,
        _ => ui::print(&format!("{}\n", text()))?,
    }
    Ok(Exit::Done)
}

impl ExportArguments {
    /// # Errors
    /// When neither the option nor the name of the file says it.
    fn format(&self, place: &ExportPlace) -> anyhow::Result<ExportFormat> {
        let named = self.format.or_else(|| ExportFormat::of_name(&self.to));
        match (named, place) {
            (Some(format), _) => Ok(format),
            (None, ExportPlace::Stdout) => Ok(ExportFormat::Jsonl),
            (None, ExportPlace::Folder(_) | ExportPlace::Bucket(_)) => Ok(ExportFormat::Parquet),
            (None, ExportPlace::File(_)) => Err(ui::hinted(
                anyhow!("--to {}: the name does not say which format", self.to),
                "end it in .parquet, .jsonl or .jsonl.gz, or in / for a folder, or add --format; `stentor alerts --csv --limit 0` prints CSV",
            )),
        }
    }

    /// The same for the same period and filters: an export that is repeated replaces its files.
    fn prefix(&self) -> String {
        let moment = |at: Option<Timestamp>, open: &str| match at {
            Some(at) => at.iso()[..19].replace(['-', ':'], ""),
            None => open.to_owned(),
        };
        let period =
            format!("{}-{}", moment(self.period.since, "first"), moment(self.period.until, "last"));
        let filters = format!("{:?} {:?}", self.origin, self.content);
        let mut crc = flate2::Crc::new();
        crc.update(filters.as_bytes());
        match self.origin.is_empty() && self.content.is_empty() {
            true => format!("alerts-{period}"),
            false => format!("alerts-{period}-{:08x}", crc.sum()),
        }
    }

    fn report(&self, query: &AlertQuery, files: Vec<ExportedFile>) -> ExportReport {
        ExportReport {
            version: VERSION,
            to: self.to.clone(),
            since: query.since.iso(),
            until: query.until.iso(),
            alerts: files.iter().map(|file| file.alerts).sum(),
            bytes: files.iter().map(|file| file.bytes).sum(),
            files,
        }
    }
}

impl Export<'_> {
    /// Writes part after part. Each is finished before the next is read, and nothing is read meanwhile.
    async fn write(&mut self, query: &AlertQuery) -> anyhow::Result<()> {
        let mut query = query.clone();
        loop {
            let (part, last) = self.read_part(&query).await?;
            if let Some(part) = part {
                self.finish(part).await?;
            }
            match last {
                Some(last) => query.after = Some(last),
                None => return Ok(()),
            }
        }
    }

    /// Reads the rows of one part. Returns the last one if there are more.
    async fn read_part(
        &self,
        query: &AlertQuery,
    ) -> anyhow::Result<(Option<Part>, Option<RowPosition>)> {
        // A file is written even if it is empty; a folder gets no empty file.
        let mut part = match self.place.is_folder() {
            true => None,
            false => Some(self.part(None)?),
        };
        let (mut last, mut has_more) = (None, false);
        let take = |row: AuditRow| {
            let day = self.place.is_folder().then(|| row.timestamp[..10].to_owned());
            if let Some(part) = &part
                && self.place.is_folder()
                && (part.day != day || part.bytes() >= PART_BYTES)
            {
                has_more = true;
                return Ok(false);
            }
            let part = match &mut part {
                Some(part) => part,
                None => part.insert(self.part(day).map_err(ReadError::Output)?),
            };
            let timestamp = Timestamp::from_iso(&row.timestamp).unwrap_or_default();
            last = Some(RowPosition { timestamp, log_id: row.log_id.clone() });
            part.add(row).map_err(ReadError::Output).map(|()| true)
        };
        match self.store.find_alerts(query, deadline, take).await {
            Ok(()) => Ok((part, last.filter(|_| has_more))),
            Err(ReadError::Output(error)) => Err(error),
            Err(ReadError::Store(error)) => {
                Err(explain_store_error(&error, &self.store.alerts_place()))
            }
        }
    }

    /// The next part.
    fn part(&self, day: Option<String>) -> anyhow::Result<Part> {
        let number = self.files.iter().filter(|file| file.day == day).count();
        let end = match self.format {
            ExportFormat::Jsonl => "jsonl.gz",
            ExportFormat::Parquet => "parquet",
        };
        let folder = day.as_deref().unwrap_or_default();
        let in_folder = format!("day={folder}/{}-{number:04}.{end}", self.prefix);
        let (name, output) = match &self.place {
            ExportPlace::Stdout => (
                "standard output".to_owned(),
                PartOutput::Stdout(std::io::BufWriter::new(std::io::stdout())),
            ),
            ExportPlace::File(path) => {
                (path.display().to_string(), PartOutput::Disk(NewFile::create(path)?))
            }
            ExportPlace::Folder(root) => {
                let path = root.join(&in_folder);
                create_folder(path.parent().unwrap_or(root))?;
                // A folder may be a link.
                refuse_data_dir(&path)?;
                (in_folder, PartOutput::Disk(NewFile::create(&path)?))
            }
            ExportPlace::Bucket(_) => (in_folder, PartOutput::Memory(Vec::new())),
        };
        Part::new(name, day, self.format, output)
    }

    async fn finish(&mut self, part: Part) -> anyhow::Result<()> {
        let (name, day, alerts) = (part.name.clone(), part.day.clone(), part.alerts);
        let finished = part.finish()?;
        if let (ExportPlace::Bucket(bucket), Some(body)) = (&mut self.place, finished.body) {
            bucket.put(&name, body).await?;
        }
        self.files.push(ExportedFile { name, day, alerts, bytes: finished.bytes });
        Ok(())
    }

    /// An error after some files were written.
    fn partly(&self, error: anyhow::Error) -> anyhow::Error {
        if error.is::<ui::OutputClosed>() || self.files.is_empty() {
            return error;
        }
        let files = count(self.files.len() as u64, "file was", "files were");
        ui::hinted(
            error,
            format!(
                "{files} written before; the same command writes them again, under the same names"
            ),
        )
    }
}

/// Alerts are private.
fn create_folder(path: &Path) -> anyhow::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    let created = std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    created.with_context(|| format!("cannot create the folder {}", path.display()))
}
