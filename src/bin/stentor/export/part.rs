//! One file of an export: its name, and its rows in one of the formats.

use std::io::Write as _;

use anyhow::Context as _;
use flate2::Compression;
use flate2::write::GzEncoder;
use stentor::model::audit::AuditRow;

use super::output::PartOutput;
use crate::{json, ui};

/// The format of the rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum ExportFormat {
    // One JSON object a line, as `stentor alerts --json` prints it. No help of its own: that of the command
    // would not fit a screen.
    Jsonl,
    Parquet,
}

impl ExportFormat {
    /// The format that the name of a file stands for.
    pub(super) fn of_name(name: &str) -> Option<Self> {
        let name = name.to_ascii_lowercase();
        match name.strip_suffix(PACKED).unwrap_or(&name) {
            lines if lines.ends_with(".jsonl") => Some(Self::Jsonl),
            // Packed within.
            _ => name.ends_with(".parquet").then_some(Self::Parquet),
        }
    }
}

/// The end of the name of a file that is packed.
const PACKED: &str = ".gz";

/// A file that is being written.
pub(super) struct Part {
    pub name: String,
    /// The day of its rows, if each day has files of its own.
    pub day: Option<String>,
    pub alerts: u64,
    rows: Rows,
}

enum Rows {
    Lines(Counted),
    Packed(Box<GzEncoder<Counted>>),
    #[cfg(feature = "export")]
    Parquet(Box<stentor::adapters::parquet::ParquetWriter<Counted>>),
}

/// An output, and the bytes that it has taken.
struct Counted(PartOutput, u64);

impl std::io::Write for Counted {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let written = self.0.write(bytes)?;
        self.1 += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.0.flush()
    }
}

/// A file that was written, or is still to be sent.
pub(super) struct FinishedPart {
    pub bytes: u64,
    /// The content of an object of S3.
    pub body: Option<Vec<u8>>,
}

impl Part {
    /// # Errors
    /// When the output does not take the head of the file, or this build has no Parquet.
    pub(super) fn new(
        name: String,
        day: Option<String>,
        format: ExportFormat,
        output: PartOutput,
    ) -> anyhow::Result<Self> {
        let out = Counted(output, 0);
        let rows = match format {
            ExportFormat::Jsonl if name.to_ascii_lowercase().ends_with(PACKED) => {
                Rows::Packed(Box::new(GzEncoder::new(out, Compression::default())))
            }
            ExportFormat::Jsonl => Rows::Lines(out),
            ExportFormat::Parquet => parquet(out, &name)?,
        };
        Ok(Self { name, day, alerts: 0, rows })
    }

    /// # Errors
    /// When the output does not take the row.
    pub(super) fn add(&mut self, row: AuditRow) -> anyhow::Result<()> {
        self.alerts += 1;
        match &mut self.rows {
            Rows::Lines(out) => written(writeln!(out, "{}", line(&row)), &self.name),
            Rows::Packed(out) => written(writeln!(out, "{}", line(&row)), &self.name),
            #[cfg(feature = "export")]
            Rows::Parquet(writer) => writer.add(row).map_err(|error| of_parquet(error, &self.name)),
        }
    }

    /// The bytes that the file has so far; less than it will have.
    pub(super) fn bytes(&self) -> u64 {
        match &self.rows {
            Rows::Lines(out) => out.1,
            Rows::Packed(out) => out.get_ref().1,
            #[cfg(feature = "export")]
            Rows::Parquet(writer) => writer.bytes_written() as u64,
        }
    }

    /// Writes the end of the file.
    ///
    /// # Errors
    /// When the output does not take it.
    pub(super) fn finish(self) -> anyhow::Result<FinishedPart> {
        let name = self.name;
        let out = match self.rows {
            Rows::Lines(out) => out,
            Rows::Packed(out) => (*out).finish().with_context(|| format!("cannot write {name}"))?,
            #[cfg(feature = "export")]
            Rows::Parquet(writer) => writer.finish().map_err(|error| of_parquet(error, &name))?,
        };
        let Counted(out, bytes) = out;
        Ok(FinishedPart { bytes, body: out.finish()? })
    }
}

/// An error of standard output is told from others: its reader may have closed it.
fn written(result: std::io::Result<()>, name: &str) -> anyhow::Result<()> {
    match result {
        Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            Err(ui::OutputClosed.into())
        }
        result => result.with_context(|| format!("cannot write {name}")),
    }
}

fn line(row: &AuditRow) -> String {
    ui::json_line(&json::PrintedAlert::from(row))
}

#[cfg(feature = "export")]
fn parquet(out: Counted, name: &str) -> anyhow::Result<Rows> {
    let writer = stentor::adapters::parquet::ParquetWriter::new(out);
    Ok(Rows::Parquet(Box::new(writer.map_err(|error| of_parquet(error, name))?)))
}

#[cfg(feature = "export")]
fn of_parquet(error: parquet::errors::ParquetError, name: &str) -> anyhow::Error {
    use std::error::Error as _;
    let kind = error.source().and_then(|source| source.downcast_ref::<std::io::Error>());
    match kind.map(std::io::Error::kind) {
        Some(std::io::ErrorKind::BrokenPipe) => ui::OutputClosed.into(),
        _ => anyhow::Error::new(error).context(format!("cannot write {name}")),
    }
}

/// # Errors
/// Always: this build has no writer for Parquet.
#[cfg(not(feature = "export"))]
fn parquet(_: Counted, _: &str) -> anyhow::Result<Rows> {
    Err(ui::hinted(
        anyhow::anyhow!(
            "Parquet needs the feature `export`, and this build of stentor does not have it"
        ),
        "use --format jsonl",
    ))
}
