//! The command line. Each command is a file; here is only what they share: how arguments are read,
//! and what the exit code says. 0: done; 1: something was refused, parked or is still owed; 2: the
//! command line or the configuration is wrong.

use std::fmt::Debug;
use std::io::{IsTerminal as _, Write as _};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use serde::Serialize;
use stentor::config::ConfigError;
use stentor::model::visible;
use tracing::Level;
use tracing::field::Field;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::field::MakeExt as _;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::fmt;
use tracing_subscriber::fmt::format::{Writer, debug_fn};
use tracing_subscriber::prelude::*;

mod alerts;
mod args;
mod check;
mod completions;
mod cost;
mod data_dir;
mod mute;
mod preview;
mod progress;
mod replay;
mod run;
mod sample;
mod send_test;
mod signals;

/// One clear message for a flood of log lines, and no alert lost.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 110)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Say more on stderr; twice for every step
    #[arg(short, long, action = clap::ArgAction::Count, global = true, display_order = 900)]
    verbose: u8,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Arguments),
    Replay(replay::Arguments),
    Alerts(alerts::Arguments),
    Check(check::Arguments),
    Sample(sample::Arguments),
    Cost(cost::Arguments),
    Mute(mute::Mute),
    Unmute(mute::Unmute),
    SendTest(send_test::Arguments),
    Completions(completions::Completions),
    Man(completions::Man),
}

/// What a command came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Exit {
    Done,
    Unfinished,
}

fn main() -> ExitCode {
    let arguments = Arguments::try_parse().unwrap_or_else(|error| refuse(&error));
    log_to_stderr(arguments.verbose);
    let result = match arguments.command {
        Command::Run(arguments) => run::run(&arguments),
        Command::Replay(arguments) => replay::replay(&arguments),
        Command::Alerts(arguments) => alerts::alerts(&arguments),
        Command::Check(arguments) => check::check(&arguments),
        Command::Completions(arguments) => completions::completions(&arguments),
        Command::Man(arguments) => completions::man(&arguments),
        Command::Sample(arguments) => sample::sample(&arguments),
        Command::Cost(arguments) => cost::cost(&arguments),
        Command::Mute(arguments) => mute::mute(&arguments),
        Command::Unmute(arguments) => mute::unmute(&arguments),
        Command::SendTest(arguments) => send_test::send_test(&arguments),
    };
    match result {
        Ok(Exit::Done) => ExitCode::SUCCESS,
        Ok(Exit::Unfinished) => ExitCode::from(1),
        Err(error) => {
            // A diagnostic of a configuration begins with its place, where editors look for it.
            let text = match error.downcast_ref::<ConfigError>() {
                Some(diagnostics) => diagnostics.to_string(),
                None => format!("stentor: {error:#}"),
            };
            eprintln!("{}", visible::text(&text));
            ExitCode::from(2)
        }
    }
}

fn log_to_stderr(verbose: u8) {
    let level = match verbose {
        0 => Level::WARN,
        1 => Level::INFO,
        _ => Level::DEBUG,
    };
    // The embedded engine logs every failed condition as a warning; they are this program's daily bread.
    let ours =
        Targets::new().with_default(LevelFilter::ERROR).with_targets([("stentor", level), ("dynoxide", Level::ERROR)]);
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = lines.with_target(false).without_time().fmt_fields(debug_fn(write_field).delimited(" "));
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}

/// A field of a log line. Its value may quote text from outside.
fn write_field(writer: &mut Writer<'_>, field: &Field, value: &dyn Debug) -> std::fmt::Result {
    let value = visible::text(&format!("{value:?}"));
    match field.name() {
        "message" => write!(writer, "{value}"),
        // What a library that uses the `log` crate adds.
        name if name.starts_with("log.") => Ok(()),
        name => write!(writer, "{name}={value}"),
    }
}

/// Ends with what is wrong with the command line, which repeats the argument, or with the help that was asked for.
fn refuse(error: &clap::Error) -> ! {
    use clap::error::ErrorKind;
    let is_wrong = error.use_stderr() && error.kind() != ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand;
    if !is_wrong {
        error.exit();
    }
    eprint!("{}", visible::text(&error.render().to_string()));
    std::process::exit(error.exit_code())
}

fn print_json(value: &impl Serialize) -> anyhow::Result<()> {
    print(&json_text(value)?)
}

/// A value as JSON that is safe for a terminal, with a line break at its end.
fn json_text(value: &impl Serialize) -> anyhow::Result<String> {
    let document = serde_json::to_string_pretty(value).context("cannot write JSON")?;
    Ok(format!("{}\n", visible::json(&document)))
}

fn print(text: &str) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes()).and_then(|()| out.flush()).context("cannot write to standard output")
}
