//! The command line. Each command is a file. Here is what they share: arguments, logging, the async
//! runtime and the exit code.
//!
//! | exit code | meaning |
//! |---|---|
//! | 0 | done |
//! | 1 | done in part: something was parked, was not read or is not delivered yet, or a check failed |
//! | 2 | not done: the arguments, the configuration or the environment are wrong |

#![warn(unreachable_pub)]

use std::ffi::OsStr;
use std::fmt::Debug;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::builder::Resettable;
use clap::{CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use stentor::model::visible;
use tokio::runtime::Runtime;
use tracing::Level;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::prelude::*;

use log_lines::LogLines;
use ui::Ui;

mod alert_filters;
mod alerts;
mod args;
mod audit_table;
mod check;
mod completions;
mod cost;
mod credentials;
mod data_dir;
mod drill;
mod erase;
mod export;
mod filter;
mod input;
mod json;
mod log_lines;
mod log_reader;
mod mark;
mod migrate;
mod mute;
mod outbox_options;
mod patterns;
mod preview;
mod progress;
mod replay;
mod run;
mod sample;
#[cfg(test)]
#[path = "../../../tests/support/schema.rs"]
mod schema;
mod send_test;
mod signals;
mod stack;
mod stdout;
mod store;
mod trace;
mod ui;

const EXIT_CODES: &str = "Exit codes: 0 done; 1 something was parked, not read or not delivered, or a check failed;\n            \
                          2 the arguments, the configuration or the environment are wrong";

/// Turns floods of AWS log lines into one Slack message per window, and loses no alert
#[derive(Debug, Parser)]
#[command(
    version,
    max_term_width = 100,
    after_help = after_help()
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Log all repetitions, too; -vv also logs failed attempts
    #[arg(short, long, action = clap::ArgAction::Count, global = true, display_order = 900)]
    verbose: u8,
    /// Show results and errors only: no progress, warnings or hints
    #[arg(short, long, global = true, conflicts_with = "verbose", display_order = 901)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArguments),
    Replay(Box<replay::ReplayArguments>),
    Alerts(alerts::AlertsArguments),
    Export(Box<export::ExportArguments>),
    Erase(erase::EraseArguments),
    Trace(trace::TraceArguments),
    Patterns(patterns::PatternsArguments),
    Check(check::CheckArguments),
    Filter(filter::FilterArguments),
    Sample(sample::SampleArguments),
    Cost(cost::CostArguments),
    #[cfg_attr(not(feature = "postgres"), command(hide = true))]
    Migrate(migrate::MigrateArguments),
    Mute(mute::Mute),
    Unmute(mute::Unmute),
    Mark(mark::MarkArguments),
    SendTest(send_test::SendTestArguments),
    Drill(drill::DrillArguments),
    Completions(completions::Completions),
    Man(completions::Man),
}

/// How a command that could run has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done,
    Unfinished,
}

fn main() -> ExitCode {
    match stdout::check().and_then(|()| start()) {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Unfinished) => ExitCode::from(1),
        Err(error) if error.is::<ui::OutputClosed>() => ExitCode::SUCCESS,
        Err(error) => {
            ui::print_error(&error);
            ExitCode::from(2)
        }
    }
}

fn start() -> anyhow::Result<Exit> {
    let arguments = parse().unwrap_or_else(|error| exit_on_usage(&error));
    let log = LogLines::default();
    log_to_stderr(arguments.verbose, arguments.quiet, &log);
    let exit = execute(arguments);
    log.finish();
    exit
}

fn after_help() -> String {
    let without_aws = "This build works on files and data directories. Deployed stacks need the feature `aws`.\n\n";
    let limits = if cfg!(feature = "aws") { "" } else { without_aws };
    format!("{limits}{EXIT_CODES}")
}

fn parse() -> Result<Arguments, clap::Error> {
    let mut command = ignore_empty_variables(Arguments::command());
    let matches = command.try_get_matches_from_mut(std::env::args_os())?;
    Arguments::from_arg_matches(&matches).map_err(|error| error.format(&mut command))
}

/// A variable without a value counts as not set, as a shell script or a container leaves it.
fn ignore_empty_variables(command: clap::Command) -> clap::Command {
    let is_empty = |name: &OsStr| std::env::var_os(name).is_some_and(|value| value.is_empty());
    command
        .mut_args(|arg| match arg.get_env().is_some_and(is_empty) {
            true => arg.env(Resettable::Reset),
            false => arg,
        })
        .mut_subcommands(ignore_empty_variables)
}

fn execute(arguments: Arguments) -> anyhow::Result<Exit> {
    let runtime = Runtime::new().context("cannot start the async runtime")?;
    let exit = runtime.block_on(arguments.command.run(Ui::new(arguments.quiet)));
    // A thread that waits for an input or an output must not keep the process alive.
    runtime.shutdown_background();
    exit
}

impl Command {
    async fn run(self, ui: Ui) -> anyhow::Result<Exit> {
        match self {
            Self::Run(arguments) => run::run(&arguments, ui).await,
            Self::Replay(arguments) => replay::replay(&arguments, ui).await,
            Self::Alerts(arguments) => alerts::alerts(&arguments, ui).await,
            Self::Export(arguments) => export::export(&arguments, ui).await,
            Self::Erase(arguments) => erase::erase(&arguments, ui).await,
            Self::Trace(arguments) => trace::trace_alert(&arguments, ui).await,
            Self::Patterns(arguments) => patterns::patterns(&arguments, ui).await,
            Self::Check(arguments) => check::check(&arguments, ui).await,
            Self::Filter(arguments) => filter::filter(&arguments, ui),
            Self::Sample(arguments) => sample::sample(&arguments),
            Self::Cost(arguments) => cost::cost(&arguments),
            Self::Migrate(arguments) => migrate::migrate(&arguments, ui).await,
            Self::Mute(arguments) => mute::mute(&arguments, ui).await,
            Self::Unmute(arguments) => mute::unmute(&arguments, ui).await,
            Self::Mark(arguments) => mark::mark(&arguments).await,
            Self::SendTest(arguments) => send_test::send_test(&arguments, ui).await,
            Self::Drill(arguments) => drill::drill(&arguments, ui).await,
            Self::Completions(arguments) => completions::completions(&arguments),
            Self::Man(arguments) => completions::man(&arguments),
        }
    }
}

/// With `-v` every line is shown, as often as it comes.
fn log_to_stderr(verbose: u8, quiet: bool, log: &LogLines) {
    let level = match verbose {
        _ if quiet => Level::ERROR,
        0 => Level::WARN,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    // The embedded engine warns of each failed condition, and failed conditions are how duplicates
    // are found.
    let filter = Targets::new()
        .with_default(LevelFilter::ERROR)
        .with_targets([("stentor", level), ("dynoxide", Level::ERROR)]);
    let writer = match verbose {
        0 => BoxMakeWriter::new(log.clone()),
        _ => BoxMakeWriter::new(std::io::stderr),
    };
    let lines = fmt::layer().with_writer(writer).with_ansi(ui::stderr_has_color());
    let lines =
        lines.with_target(false).without_time().fmt_fields(debug_fn(write_field).delimited(" "));
    tracing_subscriber::registry().with(lines.with_filter(filter)).init();
}

/// A field of a log line. Its value may quote text from outside.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let value = visible::text(&format!("{value:?}"));
    match field.name() {
        "message" => write!(writer, "{value}"),
        // Added by libraries that use the `log` crate.
        name if name.starts_with("log.") => Ok(()),
        name => write!(writer, "{name}={value}"),
    }
}

/// Ends the process, with the help that was asked for or with the usage error. The error quotes the
/// argument, so it is made safe for a terminal.
fn exit_on_usage(error: &clap::Error) -> ! {
    use clap::error::ErrorKind;
    let is_error =
        error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !is_error {
        let is_shown = error.print().and_then(|()| std::io::stdout().flush()).is_ok();
        std::process::exit(if is_shown { error.exit_code() } else { 2 });
    }
    ui::print_usage_error(&error.render().to_string());
    std::process::exit(error.exit_code())
}
