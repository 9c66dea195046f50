//! `stentor replay`: reprocesses the dead letters of a queue or a file. This file has the arguments
//! and the wiring; the replay itself is in the library.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::bail;
use clap::Args;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::local::FileDeadLetters;
use stentor::adapters::replay::file::FileDeadLetterSource;
use stentor::config::Config;
use stentor::ingest::route::Routes;
use stentor::model::name::{CredentialNames, Target};
use stentor::model::time::Timestamp;
use stentor::ops::replay::listing::list;
use stentor::ops::replay::{
    self, DeadLetterKind, ReplayFailure, ReplayOptions, STEP_TIMEOUT_MAX, StreamReader, Unresolved,
};
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::services::Services;
use strum::VariantNames as _;
use tokio_util::sync::CancellationToken;

use crate::Exit;
use crate::args::{
    Aws, Configuration, SlackApi, TableNames, bytes, explain_store_error, point_in_time,
    region_of_environment,
};
use crate::credentials::{DeliverOptions, local_stack};
use crate::data_dir::DataDir;
use crate::mute::quiet;
use crate::preview::{LocalServices, Output, PreviewNotifier, SharedServices};
use crate::progress::ReplayProgress;
use crate::signals::Shutdown;
use crate::store::{RunningEngine, StoreOption};
use crate::ui::{self, Ui};

#[cfg(not(feature = "aws"))]
mod no_stack;
mod report;
mod source;
#[cfg(feature = "aws")]
mod stack;

#[cfg(not(feature = "aws"))]
use no_stack as stack;
use source::ReplaySource;

const EXAMPLES: &str = if cfg!(feature = "aws") {
    "Examples: stentor replay --stack stentor --config stentor.toml --dry-run\n          \
                        stentor replay --stack stentor --config stentor.toml --reason too-large --max-decoded 1GiB"
} else {
    "Examples: stentor replay --data-dir .stentor --dry-run\n          \
     stentor replay --data-dir .stentor --reason too-large --max-decoded 1GiB"
};

/// Reprocess dead letters. A dead letter is deleted only after it succeeds.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct ReplayArguments {
    /// Dead-letter queue
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(long, value_name = "URL", env = "DLQ_URL", hide_env = true)]
    queue_url: Option<String>,
    /// Due queue of the stack, whose notifier delivers the messages
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(long, value_name = "URL", env = "DUE_QUEUE_URL", hide_env = true)]
    due_queue_url: Option<String>,
    /// Close each route in this process, even if its window is open: the stack has no due queue
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(long, conflicts_with = "stack")]
    no_due_queue: bool,
    /// Replay a file instead of a queue, or an object from S3
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Use the data directory of `stentor run` instead of a stack
    #[arg(long, value_name = "DIR", conflicts_with = "stack")]
    data_dir: Option<PathBuf>,
    #[command(flatten)]
    store: StoreOption,
    /// List the dead letters, and what a replay would do with them
    #[arg(long)]
    dry_run: bool,
    /// Delete these, or those that the filters select, after exporting them
    #[arg(long, value_name = "ID", num_args = 0.., value_delimiter = ',', conflicts_with = "dry_run")]
    discard: Option<Vec<String>>,
    /// File to which --discard exports; `replay --file` reads it
    #[arg(
        long,
        value_name = "FILE",
        default_value = "discarded-dead-letters.jsonl",
        requires = "discard"
    )]
    export: PathBuf,
    /// Only dead letters with these ids
    #[arg(long = "id", value_name = "ID", value_delimiter = ',', conflicts_with = "discard")]
    ids: Vec<String>,
    /// Only these kinds: record, message, due, batch, invocation, unknown
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',', value_parser = kind)]
    kinds: Vec<DeadLetterKind>,
    /// Only dead letters with this code, or with this text in their reason
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only dead letters parked since then: 2h, 7d, 2026-11-23
    #[arg(long, value_name = "WHEN", value_parser = point_in_time)]
    since: Option<Timestamp>,
    /// At most this many per second
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// At most this many in total
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// Decode records up to this size, for those that were too large: 1GiB
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_decoded: Option<u64>,
    #[command(flatten)]
    configuration: Configuration,
    /// Secret with the credentials of the targets
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(long, value_name = "NAME", env = "STENTOR_SECRET_ID", hide_env = true)]
    secret_id: Option<String>,
    /// Name of the stack, by which PagerDuty, Jira and others know its incidents
    #[cfg_attr(not(feature = "aws"), arg(hide = true))]
    #[arg(
        long,
        value_name = "NAME",
        env = "STENTOR_STACK",
        hide_env = true,
        default_value = "stentor"
    )]
    stack_name: String,
    #[command(flatten)]
    slack_api: SlackApi,
    #[command(flatten)]
    deliver: DeliverOptions,
    #[command(flatten)]
    tables: TableNames,
    #[command(flatten)]
    aws: Aws,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Seconds for each step, such as one delivery
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=STEP_TIMEOUT_MAX.as_secs()))]
    timeout: u64,
    /// Seconds between lines of progress, without a terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    interval: u64,
}

pub(crate) async fn replay(arguments: &ReplayArguments, ui: Ui) -> anyhow::Result<Exit> {
    match &arguments.data_dir {
        Some(directory) => arguments.replay_data_dir(directory, ui).await,
        None if arguments.store.is_given() => {
            bail!("--store needs --data-dir, which has the dead letters")
        }
        None => stack::replay(arguments, ui).await,
    }
}

impl ReplayArguments {
    /// Replays with the embedded database. Messages are posted to the webhook, or only shown.
    async fn replay_data_dir(&self, directory: &Path, ui: Ui) -> anyhow::Result<Exit> {
        let config = self.config(ui)?;
        let mut data = DataDir::open_to_replay(directory)?;
        let database = self.store.connect(None).await?;
        let receipts = match &database {
            None => data.replayed(),
            Some(database) => {
                let id = database.id(self.deadline()).await;
                data.replayed_into(
                    &id.map_err(|error| explain_store_error(&error, &database.alerts_place()))?,
                )
            }
        };
        let (source, streams) = match (&self.file, &self.queue_url) {
            (None, Some(queue_url)) => stack::queue(self, queue_url).await?,
            (Some(file), _) => {
                (ReplaySource::File(FileDeadLetterSource::open(file, receipts)?), None)
            }
            (None, None) => {
                let dead_letters = data.dead_letters();
                let source = FileDeadLetterSource::open_if_exists(&dead_letters, receipts)?;
                (ReplaySource::File(source), None)
            }
        };
        let total = source.count(self.deadline()).await?;
        let routes = Routes::new(&config)?;
        if self.dry_run {
            return self.list(&source, &routes, total, ui).await;
        }
        if self.discard.is_some() {
            return self.discard(source, total, ui).await;
        }
        if self.kinds.contains(&DeadLetterKind::Message) && !self.deliver.is_given() {
            bail!("parked messages are delivered: add --deliver or --slack-webhook");
        }
        let (engine, store) = match database {
            Some(database) => (RunningEngine::none(), database),
            None => self.store.start(&mut data).await?,
        };
        let stack = local_stack(&store).await?;
        let targets = self.deliver.targets(&config, stack, &self.slack_api, &self.aws, ui).await?;
        let park = FileDeadLetters::new(data.dead_letters());
        let output = if self.json { Output::Stderr } else { Output::Text { preview: false } };
        let shared = SharedServices {
            routes,
            store,
            park,
            preview: PreviewNotifier::new(targets, output, Shutdown::new()),
        };
        let services = LocalServices { shared: &shared, due: None };
        let exit = self.replay(&services, &source, &streams, total, ui).await?;
        engine.stop().await?;
        Ok(exit)
    }

    fn config(&self, ui: Ui) -> anyhow::Result<Config> {
        let mut config = self.configuration.read(ui)?;
        if let Some(bytes) = self.max_decoded {
            config.decoded_bytes_max = bytes;
        }
        Ok(config)
    }

    async fn list(
        &self,
        source: &ReplaySource,
        routes: &Routes,
        total: u64,
        ui: Ui,
    ) -> anyhow::Result<Exit> {
        let mut progress = ReplayProgress::new(total, Duration::from_secs(self.interval), ui);
        let options = self.options(progress.cancel_on_ctrl_c())?;
        let listing = list(source, routes, &options, &SystemClock, |received| {
            progress.show_counts(received, "listed")
        })
        .await;
        progress.finish();
        let listing = listing?;
        let already = source.already_replayed();
        match self.json {
            true => ui::print_json(&report::dry_run_json(&listing, already))?,
            false => ui::print(&report::dry_run_text(&listing, already))?,
        }
        Ok(Exit::Done)
    }

    /// Exports and deletes what the ids and the filters select.
    async fn discard(&self, source: ReplaySource, total: u64, ui: Ui) -> anyhow::Result<Exit> {
        let source = source.discarding();
        let progress = ReplayProgress::new(total, Duration::from_secs(self.interval), ui);
        let options = self.options(progress.cancel_on_ctrl_c())?;
        if options.selects_all() {
            bail!("--discard needs ids, or a filter such as --reason or --kind");
        }
        self.check_export()?;
        let export = FileDeadLetters::new(self.export.clone());
        let discarded =
            replay::discard(&source, &options, &SystemClock, |bodies| export.export(bodies)).await;
        progress.finish();
        let discarded = discarded?;
        let file = self.export.display().to_string();
        match self.json {
            true => ui::print_json(&report::discard_json(&discarded, &file))?,
            false => ui::print(&report::discard_text(&discarded, &file))?,
        }
        Ok(if discarded.is_complete() { Exit::Done } else { Exit::Unfinished })
    }

    /// An export must not grow the file that is read, nor a file of the data directory.
    fn check_export(&self) -> anyhow::Result<()> {
        let export = real_path(&self.export);
        let is_read = self.file.iter().any(|file| real_path(file) == export);
        if is_read {
            bail!("--export names the file that is read: name another one");
        }
        if self.data_dir.iter().any(|directory| export.starts_with(real_path(directory))) {
            bail!("--export names a file in the data directory: name one elsewhere");
        }
        Ok(())
    }

    async fn replay<W: Services>(
        &self,
        services: &W,
        source: &ReplaySource,
        streams: &impl StreamReader,
        total: u64,
        ui: Ui,
    ) -> anyhow::Result<Exit> {
        let started = Instant::now();
        let mut progress = ReplayProgress::new(total, Duration::from_secs(self.interval), ui);
        let options = self.options(progress.cancel_on_ctrl_c())?;
        let report =
            replay::replay(services, source, streams, &options, |report| progress.show(report))
                .await;
        progress.finish();
        let left = source.count(self.deadline()).await.ok();
        let is_left = |one: &Unresolved| matches!(one.failure, ReplayFailure::NotDeliverable(_));
        if self.data_dir.is_some() && report.unresolved.iter().any(is_left) {
            ui.hint("--deliver or --slack-webhook delivers parked messages");
        }
        let (already, elapsed) = (source.already_replayed(), started.elapsed());
        let muted = quiet(services.store(), &report.routes, self.deadline()).await.muted;
        let recipients = options.delivers_to.as_ref();
        let only_shows = |target: &Target| recipients.is_some_and(|known| !known.has(target));
        match self.json {
            true => {
                ui::print_json(&report::replay_json(&report, already, &muted, only_shows, elapsed))?
            }
            false => ui::print(&report::replay_text(
                &report, already, &muted, only_shows, left, elapsed,
            ))?,
        }
        Ok(if report.is_complete() { Exit::Done } else { Exit::Unfinished })
    }

    fn options(&self, cancel: CancellationToken) -> anyhow::Result<ReplayOptions> {
        let ids = self.ids.iter().chain(self.discard.iter().flatten()).cloned().collect();
        Ok(ReplayOptions {
            ids,
            kinds: self.kinds.clone(),
            delivers_to: self.recipients()?,
            reason: self.reason.clone(),
            since: self.since,
            rate: self.rate,
            max: self.max,
            step_timeout: Duration::from_secs(self.timeout),
            region: self.aws.region.clone().or_else(region_of_environment),
            cancel,
        })
    }

    /// With a data directory, the targets that messages are delivered to. A message to another
    /// target is shown. That is enough for the message of a window, but the dead letter of a parked
    /// message would be deleted.
    fn recipients(&self) -> anyhow::Result<Option<CredentialNames>> {
        self.data_dir.as_ref().map(|_| self.deliver.recipients()).transpose()
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(SystemClock.now(), Duration::from_secs(self.timeout))
    }
}

fn kind(text: &str) -> Result<DeadLetterKind, String> {
    text.parse().map_err(|_| format!("expected one of {}", DeadLetterKind::VARIANTS.join(", ")))
}

/// Without links, also of a file that does not exist yet.
fn real_path(path: &Path) -> PathBuf {
    let directory = match path.parent() {
        Some(parent) if parent != Path::new("") => parent,
        _ => Path::new("."),
    };
    let real = path.canonicalize().or_else(|_| {
        let directory = directory.canonicalize()?;
        Ok::<_, std::io::Error>(directory.join(path.file_name().unwrap_or_default()))
    });
    real.unwrap_or_else(|_| path.to_owned())
}

/// Dead letters per second.
fn rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    rate.filter(|rate| (0.001..=1e6).contains(rate))
        .ok_or_else(|| "expected a number from 0.001 to 1000000".to_owned())
}
