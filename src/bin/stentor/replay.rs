//! `stentor replay`: what lies in the dead-letter queue, or in a file of parked messages, goes once more the
//! way that it failed on. Here is only what is around it: the world, the source, the operator.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use clap::Args;
use stentor::adapters::aws::diagnose;
use stentor::adapters::channels::Channels;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::deployed::Deployed;
use stentor::adapters::http;
use stentor::adapters::local::FileDeadLetters;
use stentor::adapters::replay::file::FileDeadLetterSource;
use stentor::adapters::replay::kinesis::KinesisStreams;
use stentor::adapters::replay::sqs::{SqsDeadLetterSource, region_of};
use stentor::adapters::secret::{ReadSecret as _, SecretError, Secrets, SecretsManager};
use stentor::adapters::slack::{Slack, WebhookUrl};
use stentor::adapters::sns::Sns;
use stentor::adapters::sqs::{SqsDeadLetters, SqsDueQueue};
use stentor::config::Config;
use stentor::ingest::route::Routes;
use stentor::model::time::Timestamp;
use stentor::ops::replay::dead_letter::{Kind, Receipt, ReceivedMessage};
use stentor::ops::replay::listing::list;
use stentor::ops::replay::{DeadLetterSource, Options, PATIENCE_MAX, SourceError, Streams, replay as replay_letters};
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::services::Services;
use stentor::protocol::store::Store as _;

use crate::Exit;
use crate::args::{Aws, Configuration, SlackApi, TableNames, bytes, moment, region_of_environment, store_trouble};
use crate::data_dir::DataDir;
use crate::dead_letters::DeadLetters;
use crate::operator::Watch;
use crate::preview::{LocalServices, Output, PreviewNotifier, SharedServices};
use crate::replay_report;
use crate::signals::Shutdown;

/// Take what was parked through the pipeline once more; nothing is deleted before it is settled.
#[derive(Debug, Args)]
#[command(after_help = "Examples: stentor replay --queue-url \"$DLQ_URL\" --dry-run\n          \
                        stentor replay --queue-url \"$DLQ_URL\" --reason too-large --max-decoded 1GiB")]
pub struct Arguments {
    /// The dead-letter queue
    #[arg(long, value_name = "URL", env = "DLQ_URL", hide_env = true)]
    queue_url: Option<String>,
    /// The due queue, if there is one: the notifier then tells, in windows
    #[arg(long, value_name = "URL", env = "DUE_QUEUE_URL", hide_env = true)]
    due_queue_url: Option<String>,
    /// Instead of a queue: parked messages, or what an S3 destination wrote
    #[arg(long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// Instead of a stack: what `stentor run` keeps there
    #[arg(long, value_name = "DIR")]
    data_dir: Option<PathBuf>,
    /// Only list what there is and what would become of it
    #[arg(long)]
    dry_run: bool,
    /// Only these: record, message, due, batch, invocation, unknown
    #[arg(long = "kind", value_name = "KIND", value_delimiter = ',')]
    kinds: Vec<Kind>,
    /// Only those with this code, or with this in their reason
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
    /// Only what was parked since: 2h, 7d, 2026-11-23
    #[arg(long, value_name = "WHEN", value_parser = moment)]
    since: Option<Timestamp>,
    /// At most so many per second
    #[arg(long, value_name = "N", value_parser = rate)]
    rate: Option<f64>,
    /// At most so many in all
    #[arg(long, value_name = "N")]
    max: Option<u64>,
    /// What a record may unpack to, for those parked for their size: 1GiB
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_decoded: Option<u64>,
    #[command(flatten)]
    configuration: Configuration,
    /// Secret with the credentials of the targets
    #[arg(long, value_name = "NAME", env = "STENTOR_SECRET_ID", hide_env = true)]
    secret_id: Option<String>,
    #[command(flatten)]
    slack_api: SlackApi,
    /// With --data-dir: post messages for Slack to this incoming webhook
    #[arg(long, value_name = "URL", env = "STENTOR_SLACK_WEBHOOK", hide_env = true, hide_env_values = true)]
    slack_webhook: Option<String>,
    #[command(flatten)]
    tables: TableNames,
    #[command(flatten)]
    aws: Aws,
    /// Print one JSON object instead of text
    #[arg(long)]
    json: bool,
    /// Seconds to keep trying with each
    #[arg(long, value_name = "SECONDS", default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..=PATIENCE_MAX.as_secs()))]
    timeout: u64,
    /// Seconds between lines of progress, without a terminal
    #[arg(long, value_name = "SECONDS", default_value_t = 10)]
    interval: u64,
}

/// Where the letters lie.
enum Source {
    Queue(SqsDeadLetterSource),
    File(FileDeadLetterSource),
}

impl DeadLetterSource for Source {
    async fn receive(&self, max: usize, deadline: Deadline) -> Result<Vec<ReceivedMessage>, SourceError> {
        match self {
            Self::Queue(queue) => queue.receive(max, deadline).await,
            Self::File(file) => file.receive(max, deadline).await,
        }
    }

    async fn delete(&self, tickets: &[Receipt], deadline: Deadline) -> Vec<Result<(), SourceError>> {
        match self {
            Self::Queue(queue) => queue.delete(tickets, deadline).await,
            Self::File(file) => file.delete(tickets, deadline).await,
        }
    }

    async fn hide(&self, tickets: &[Receipt], hidden_for: Duration, deadline: Deadline) {
        match self {
            Self::Queue(queue) => queue.hide(tickets, hidden_for, deadline).await,
            Self::File(file) => file.hide(tickets, hidden_for, deadline).await,
        }
    }
}

impl Source {
    async fn count(&self, deadline: Deadline) -> Result<u64, SourceError> {
        match self {
            Self::Queue(queue) => queue.count(deadline).await,
            Self::File(file) => file.count(),
        }
    }
}

pub fn replay(arguments: &Arguments) -> anyhow::Result<Exit> {
    let runtime = tokio::runtime::Runtime::new().context("cannot start the asynchronous runtime")?;
    let exit = runtime.block_on(async {
        match &arguments.data_dir {
            Some(directory) => arguments.on_this_machine(directory).await,
            None => arguments.on_the_stack().await,
        }
    });
    runtime.shutdown_background();
    exit
}

impl Arguments {
    /// With the tables, the credentials and the stream of a stack.
    async fn on_the_stack(&self) -> anyhow::Result<Exit> {
        if self.configuration.config.is_none() {
            // With another one a record is let go as unmatched that the stack has a route for.
            bail!("name the configuration of the stack with --config (or STENTOR_CONFIG): it says what is an alert");
        }
        let config = self.config()?;
        let aws = self.aws.load().await?;
        let source = self.source(None, Some(&aws))?;
        let all = source.count(self.deadline()).await?;
        let streams = Some(KinesisStreams::new(&aws));
        let routes = Routes::new(&config)?;
        if self.dry_run {
            return self.list(&source, &routes, all).await;
        }
        let services = self.deployed(&aws, routes).await?;
        self.replay(&services, &source, &streams, all).await
    }

    /// With the embedded database; messages are posted to the webhook, or shown here only.
    async fn on_this_machine(&self, directory: &Path) -> anyhow::Result<Exit> {
        let config = self.config()?;
        if !directory.is_dir() {
            bail!("the data directory {} does not exist", directory.display());
        }
        let mut data = DataDir::open_to_replay(directory)?;
        let aws = match &self.queue_url {
            Some(_) if self.file.is_none() => Some(self.aws.load().await?),
            _ => None,
        };
        let source = self.source(Some(data.dead_letters()), aws.as_ref())?;
        let all = source.count(self.deadline()).await?;
        let routes = Routes::new(&config)?;
        if self.dry_run {
            return self.list(&source, &routes, all).await;
        }
        if self.kinds.contains(&Kind::Message) && self.slack_webhook.is_none() {
            bail!("a parked message is for Slack: add --slack-webhook");
        }
        let webhook = self.slack_webhook.as_deref().map(WebhookUrl::parse).transpose()?;
        let posting = webhook.map(|webhook| http::client().map(|http| (Slack::new(http), webhook))).transpose()?;
        let (engine, store) = data.start().await?;
        let park = FileDeadLetters::new(data.dead_letters());
        let output = if self.json { Output::Stderr } else { Output::Text { preview: false } };
        let shared =
            SharedServices { routes, store, park, preview: PreviewNotifier::new(posting, output, Shutdown::new()) };
        let streams = aws.as_ref().map(KinesisStreams::new);
        let exit = self.replay(&LocalServices { shared: &shared, due: None }, &source, &streams, all).await?;
        engine.stop().await?;
        Ok(exit)
    }

    fn config(&self) -> anyhow::Result<Config> {
        let mut config = self.configuration.read()?;
        if let Some(bytes) = self.max_decoded {
            config.decoded_bytes_max = bytes;
        }
        Ok(config)
    }

    fn source(&self, dead_letters: Option<PathBuf>, aws: Option<&aws_config::SdkConfig>) -> anyhow::Result<Source> {
        let file = self.file.clone();
        if let (None, Some(queue_url), Some(aws)) = (&file, &self.queue_url, aws) {
            same_region(queue_url, aws)?;
            return Ok(Source::Queue(SqsDeadLetterSource::new(aws, queue_url.clone())));
        }
        Ok(Source::File(match (&file, &dead_letters) {
            (Some(file), _) => FileDeadLetterSource::open(file)?,
            (None, Some(dead_letters)) => FileDeadLetterSource::open_if_there(dead_letters)?,
            (None, None) => bail!(
                "there is nothing to replay: name the queue with --queue-url (output DeadLettersUrl of the stack), or a --file"
            ),
        }))
    }

    async fn deployed(&self, aws: &aws_config::SdkConfig, routes: Routes) -> anyhow::Result<Deployed<DeadLetters>> {
        let Some(secret_id) = self.secret_id.clone() else {
            bail!(
                "there are no credentials for targets: name the secret with --secret-id (output CredentialsArn of the stack)"
            );
        };
        let store = self.tables.store(aws);
        let table = format!("the table {}", self.tables.outbox_table);
        // The first question of all: whoever has the wrong account or Region learns it before anything is received.
        store
            .routes(Deadline::after(SystemClock.now(), Duration::from_secs(15)))
            .await
            .map_err(|error| store_trouble(&error, &table))?;
        let secrets = SecretsManager::new(aws, secret_id.clone());
        secret_trouble(secrets.read(self.deadline()).await, &secret_id)?;
        let park = match (&self.queue_url, &self.file) {
            (Some(queue_url), _) => DeadLetters::Queue(SqsDeadLetters::new(aws, queue_url.clone())),
            (None, Some(file)) => DeadLetters::File(FileDeadLetters::new(parked_beside(file))),
            (None, None) => bail!("there is nowhere to park: name the queue with --queue-url"),
        };
        let due = self.due_queue_url.clone().map(|url| SqsDueQueue::new(aws, url));
        let channels = Channels::new(self.slack_api.slack()?, Secrets::new(secrets)).with_sns(Sns::new(aws));
        Ok(Deployed { routes, store, due, park, channels })
    }

    async fn list(&self, source: &Source, routes: &Routes, all: u64) -> anyhow::Result<Exit> {
        let watch = Watch::new(all, Duration::from_secs(self.interval));
        let listing = list(source, routes, &self.options(), &SystemClock, &watch).await;
        watch.finish();
        let listing = listing?;
        match self.json {
            true => crate::print_json(&replay_report::listing_json(&listing))?,
            false => crate::print(&replay_report::listing_text(&listing))?,
        }
        Ok(Exit::Done)
    }

    async fn replay<W: Services>(
        &self,
        services: &W,
        source: &Source,
        streams: &impl Streams,
        all: u64,
    ) -> anyhow::Result<Exit> {
        let started = Instant::now();
        let watch = Watch::new(all, Duration::from_secs(self.interval));
        let report = replay_letters(services, source, streams, &self.options(), &watch).await;
        watch.finish();
        let left = source.count(self.deadline()).await.ok();
        if self.keeps_messages() && report.skipped > 0 {
            eprintln!("stentor: parked messages stay where they are: add --slack-webhook to deliver them");
        }
        match self.json {
            true => crate::print_json(&replay_report::json(&report, started.elapsed()))?,
            false => crate::print(&replay_report::text(&report, left, started.elapsed()))?,
        }
        Ok(if report.is_clean() { Exit::Done } else { Exit::Unfinished })
    }

    fn options(&self) -> Options {
        Options {
            kinds: if self.keeps_messages() { Self::kinds_without_messages() } else { self.kinds.clone() },
            reason: self.reason.clone(),
            since: self.since,
            rate: self.rate,
            max: self.max,
            patience: Duration::from_secs(self.timeout),
            region: self.aws.region.clone().or_else(region_of_environment),
        }
    }

    /// Without a webhook, a message that Slack refused would only be shown here, and its letter would be gone.
    fn keeps_messages(&self) -> bool {
        self.data_dir.is_some() && self.slack_webhook.is_none() && self.kinds.is_empty() && !self.dry_run
    }

    fn kinds_without_messages() -> Vec<Kind> {
        Kind::ALL.into_iter().filter(|kind| *kind != Kind::Message).collect()
    }

    fn deadline(&self) -> Deadline {
        Deadline::after(SystemClock.now(), Duration::from_secs(self.timeout))
    }
}

/// A queue answers in its own Region only, and elsewhere it does not exist.
fn same_region(queue_url: &str, aws: &aws_config::SdkConfig) -> anyhow::Result<()> {
    let set = aws.region().map(AsRef::as_ref).unwrap_or_default();
    match region_of(queue_url) {
        Some(region) if region != set => {
            bail!("the queue is in {region} and the Region is set to {set}: add --region {region}")
        }
        _ => Ok(()),
    }
}

/// Without the secret every message would be refused, one by one.
fn secret_trouble(read: Result<String, SecretError>, secret_id: &str) -> anyhow::Result<()> {
    match read {
        Err(SecretError::Unavailable(cause)) => {
            bail!("{}", diagnose::explain(&cause, &format!("the secret {secret_id}")))
        }
        Ok(_) | Err(SecretError::Missing(_)) => Ok(()),
    }
}

fn parked_beside(file: &Path) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(".parked");
    name.into()
}

/// Letters per second. The time between two of them has to be one that can be waited for.
fn rate(text: &str) -> Result<f64, String> {
    let rate: Option<f64> = text.parse().ok();
    rate.filter(|rate| (0.001..=1e6).contains(rate))
        .ok_or_else(|| "a rate is a number from 0.001 to 1000000".to_owned())
}
