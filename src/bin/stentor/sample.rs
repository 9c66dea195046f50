//! `stentor sample` generates realistic Lambda events of any size.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};
use clap::builder::RangedU64ValueParser;
use clap::{Args, ValueEnum};
use stentor::model::humanize::thousands;
use stentor::ops::sample::{
    SampleEvent, SampleOptions, SampleShape, event, fixtures, fixtures_readme,
};

use crate::Exit;
use crate::args::share;
use crate::ui;

/// Ten times what Lambda passes to one invocation.
const RECORDS_MAX: u64 = 100_000;

/// A record of this size decodes to hundreds of megabytes.
const EVENTS_PER_RECORD_MAX: u64 = 1_000_000;

/// Log events in total. The event is built in memory.
const EVENTS_MAX: usize = 10_000_000;

const SOURCES_MAX: u64 = 10_000;

/// Generate a Lambda event with log data, for trials and measurements
#[derive(Debug, Args)]
#[command(
    after_help = "Example: stentor sample --records 200 --events-per-record 400 --match-ratio 0.01 > big.json"
)]
pub(crate) struct SampleArguments {
    /// Records in the event
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = up_to(RECORDS_MAX))]
    records: usize,
    /// Log events in each record
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = up_to(EVENTS_PER_RECORD_MAX))]
    events_per_record: usize,
    /// Log events per request; those of one request share its ids and compress better
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = up_to(EVENTS_PER_RECORD_MAX))]
    events_per_request: usize,
    /// Share of the log events with a marker, 0 to 1
    #[arg(long, value_name = "SHARE", default_value_t = 0.1, value_parser = share)]
    match_ratio: f64,
    /// Share of the records, and of the events in a record, that are duplicates
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    duplicates: f64,
    /// Share of the records that are poison
    #[arg(long, value_name = "SHARE", default_value_t = 0.0, value_parser = share)]
    poison: f64,
    /// Marker of the alerts; may be repeated
    #[arg(long = "marker", value_name = "TEXT", default_values = ["[CRITICAL]", "[ALERT]"])]
    markers: Vec<String>,
    /// Number of accounts
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = sources())]
    accounts: usize,
    /// Number of log groups
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = sources())]
    log_groups: usize,
    /// Seconds from the first to the last event
    #[arg(long, value_name = "SECONDS", default_value_t = 60)]
    span: u32,
    /// Seed; the same seed generates the same event
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Kind of the event: kinesis or subscription
    #[arg(long, value_enum, value_name = "SHAPE", hide_possible_values = true, default_value_t = ShapeName::Kinesis)]
    shape: ShapeName,
    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write the named samples and their README to this directory
    #[arg(long, value_name = "DIR", exclusive = true)]
    fixtures: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum ShapeName {
    Kinesis,
    Subscription,
}

pub(crate) fn sample(arguments: &SampleArguments) -> anyhow::Result<Exit> {
    match &arguments.fixtures {
        Some(directory) => write_fixtures(directory)?,
        None => {
            arguments.check()?;
            let event = event(&arguments.options());
            match &arguments.output {
                Some(path) => {
                    let written = File::create(path).and_then(|file| write_event(&event, file));
                    written.with_context(|| cannot_write(path))?;
                }
                None => ui::written(write_event(&event, io::stdout().lock()))?,
            }
        }
    }
    Ok(Exit::Done)
}

impl SampleArguments {
    fn check(&self) -> anyhow::Result<()> {
        let events = self.records.saturating_mul(self.events_per_record);
        if events > EVENTS_MAX {
            let (events, max) = (thousands(events as u64), thousands(EVENTS_MAX as u64));
            bail!("--records times --events-per-record is {events}; the limit is {max} log events");
        }
        Ok(())
    }

    fn options(&self) -> SampleOptions {
        SampleOptions {
            records: self.records,
            events_per_record: self.events_per_record,
            events_per_request: self.events_per_request,
            match_ratio: self.match_ratio,
            markers: self.markers.clone(),
            duplicates: self.duplicates,
            poison: self.poison,
            accounts: self.accounts,
            log_groups: self.log_groups,
            seed: self.seed,
            span_ms: i64::from(self.span) * 1000,
            shape: match self.shape {
                ShapeName::Kinesis => SampleShape::Kinesis,
                ShapeName::Subscription => SampleShape::Subscription,
            },
            ..SampleOptions::default()
        }
    }
}

fn write_fixtures(directory: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    for (name, _, event) in fixtures() {
        write(&directory.join(name), &event.pretty())?;
    }
    write(&directory.join("README.md"), &fixtures_readme())
}

/// Writes what `SampleEvent::pretty` returns, without a copy of the text in memory.
fn write_event(event: &SampleEvent, out: impl Write) -> io::Result<()> {
    let mut out = BufWriter::new(out);
    serde_json::to_writer_pretty(&mut out, event)?;
    out.write_all(b"\n")?;
    out.flush()
}

fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| cannot_write(path))
}

fn cannot_write(path: &Path) -> String {
    format!("cannot write {}", path.display())
}

fn up_to(max: u64) -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(0..=max)
}

fn sources() -> RangedU64ValueParser<usize> {
    RangedU64ValueParser::new().range(1..=SOURCES_MAX)
}
