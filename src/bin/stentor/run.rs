//! `stentor run`: the whole pipeline on this machine. Files are ingested one after the other, and
//! each route that they touched is closed once, at the end. Standard input and pipes are ingested
//! as their lines arrive, with timed windows as in a deployment.

mod files;
mod live;
mod owed;
mod report;
mod session;

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{anyhow, bail};
use clap::Args;
use stentor::adapters::local::FileDeadLetters;
use stentor::config::{Config, TargetSettings};
use stentor::ingest::route::Routes;
use stentor::model::name::{CredentialNames, Target, TargetName};

use crate::Exit;
use crate::args::{Aws, Configuration, SlackApi};
use crate::credentials::{DeliverOptions, local_stack};
use crate::data_dir::DataDir;
use crate::input::InputSource;
use crate::preview::{Output, PreviewNotifier, SharedServices, ShownBodies};
use crate::signals::Shutdown;
use crate::store::StoreOption;
use crate::ui::{self, Ui};
use session::Session;

/// Run events, log files or standard input through the pipeline on this machine
#[derive(Debug, Args)]
#[command(
    after_help = "Examples: stentor run app.log rotated.log.gz\n          stentor run events/kinesis-burst.json\n          tail -f app.log | stentor run -"
)]
pub(crate) struct RunArguments {
    /// Log files, exports to S3 or Lambda events, plain or packed (gzip, zstd); - reads standard
    /// input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    configuration: Configuration,
    /// Directory of the embedded database, unless --store names another, and of the dead letters
    #[arg(long, value_name = "DIR", default_value = ".stentor")]
    data_dir: PathBuf,
    #[command(flatten)]
    store: StoreOption,
    #[command(flatten)]
    deliver: DeliverOptions,
    #[command(flatten)]
    slack_api: SlackApi,
    #[command(flatten)]
    aws: Aws,
    /// Print the messages for this target as the body of the request, without the credential
    #[arg(long, value_name = "TARGET", conflicts_with = "json")]
    show: Option<Target>,
    /// Also print a link that shows each message in Slack's Block Kit Builder
    #[arg(long)]
    preview: bool,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Seconds to keep trying to store and to deliver, in total
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..))]
    timeout: u32,
}

pub(crate) async fn run(arguments: &RunArguments, ui: Ui) -> anyhow::Result<Exit> {
    let started = Instant::now();
    let config = arguments.configuration.read(ui)?;
    let shown = arguments.show.as_ref().map(|target| shown_target(target, &config)).transpose()?;
    hint_unused(&arguments.deliver.recipients()?, &config, ui);
    let sources = arguments
        .files
        .iter()
        .map(|file| InputSource::of(file))
        .collect::<anyhow::Result<Vec<_>>>()?;
    let shutdown = Shutdown::on_signals()?;
    let mut data = DataDir::open_to_run(&arguments.data_dir)?;
    let (engine, store) = arguments.store.start(&mut data).await?;
    let stack = local_stack(&store).await?;
    let body_of = shown.map(|(target, settings)| ShownBodies::new(target, settings, stack.clone()));
    let targets =
        arguments.deliver.targets(&config, stack, &arguments.slack_api, &arguments.aws, ui).await?;
    let output = match arguments.json {
        true => Output::Report,
        false => Output::Text { preview: arguments.preview },
    };
    let shared = SharedServices {
        routes: Routes::new(&config)?,
        store,
        park: FileDeadLetters::new(data.dead_letters()),
        preview: PreviewNotifier::new(targets, output, shutdown.clone()).with_body_of(body_of),
    };
    let session = Session::new(&shared, shutdown, Duration::from_secs(arguments.timeout.into()));
    session.ingest_all(sources, ui).await?;
    match arguments.json {
        true => print_json(&session, started.elapsed()).await?,
        false => print_text(&session, started.elapsed()).await?,
    }
    if let Some(target) = shared.preview.without_message() {
        ui.note(format_args!("no message for {target}"));
    }
    let exit = session.report().exit();
    engine.stop().await?;
    Ok(exit)
}

/// A credential without a target is a likely mistake: the messages of the target that was meant are
/// only shown. A name that is no target is not repeated, because it may be a credential.
fn hint_unused(recipients: &CredentialNames, config: &Config, ui: Ui) {
    for name in recipients.unused(config.targets.keys()) {
        match name.parse::<Target>() {
            Ok(target) => ui.hint(format_args!("no route uses {target}, which has a credential")),
            Err(_) if name.parse::<TargetName>().is_ok() => {
                ui.hint("a name in the file of credentials is that of no target");
            }
            // For all targets of a kind; or the reader of the file has warned of it.
            Err(_) => {}
        }
    }
}

/// A target whose messages are to be shown as bodies, and its settings.
fn shown_target(target: &Target, config: &Config) -> anyhow::Result<(Target, TargetSettings)> {
    match config.targets.get(target) {
        Some(settings) => Ok((target.clone(), settings.clone())),
        None => bail!("--show: no route of the configuration uses {target}"),
    }
}

async fn print_text(session: &Session<'_>, elapsed: Duration) -> anyhow::Result<()> {
    let preview = &session.shared.preview;
    if let Some(reason) = preview.take_failure() {
        return Err(not_shown(&reason));
    }
    let dead_letters = session.shared.park.path().display().to_string();
    let report = session.report().text(&dead_letters, elapsed);
    let gap = if preview.has_written() { "\n" } else { "" };
    preview.print(format!("{gap}{report}")).await.map_err(|reason| cannot_write(&reason))
}

/// The messages are part of the report, so they are acknowledged only after it is written. After a
/// crash in between, the next run reports them again.
async fn print_json(session: &Session<'_>, elapsed: Duration) -> anyhow::Result<()> {
    let preview = &session.shared.preview;
    session.report_pending();
    let report = ui::json(&session.report().json(preview, elapsed));
    preview.print(report).await.map_err(|reason| not_shown(&reason))?;
    preview.report_is_written();
    session.close_reported().await;
    Ok(())
}

fn cannot_write(reason: &str) -> anyhow::Error {
    anyhow!("cannot write to standard output: {reason}")
}

fn not_shown(reason: &str) -> anyhow::Error {
    ui::hinted(
        cannot_write(reason),
        "every alert is stored; the next run shows the messages that were not shown",
    )
}
