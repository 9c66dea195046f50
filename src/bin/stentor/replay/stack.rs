//! A replay on a deployed stack: its queues, its streams, its tables and its credentials.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::bail;
use aws_types::SdkConfig;
use stentor::adapters::aws::diagnose;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::adapters::local::FileDeadLetters;
use stentor::adapters::random;
use stentor::adapters::replay::file::FileDeadLetterSource;
use stentor::adapters::replay::kinesis::KinesisStreamReader;
use stentor::adapters::replay::sqs::{SqsDeadLetterSource, region_of};
use stentor::adapters::secret::{
    ReadSecret as _, SecretError, SecretVersion, Secrets, SecretsManager,
};
use stentor::adapters::services::DeployedServices;
use stentor::adapters::slack::Slack;
use stentor::adapters::sns::Sns;
use stentor::adapters::sqs::{SqsDeadLetters, SqsDueQueue};
use stentor::adapters::targets::Targets;
use stentor::ingest::route::Routes;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::dead_letter::ParkedItem;
use stentor::protocol::queue::{DeadLetterQueue, QueueError};
use stentor::protocol::store::Store as _;

use super::{ReplayArguments, ReplaySource};
use crate::Exit;
use crate::args::{deployed_store, explain_store_error};
use crate::ui::Ui;

/// Where records are parked.
enum Parking {
    Queue(SqsDeadLetters),
    File(FileDeadLetters),
}

impl DeadLetterQueue for Parking {
    async fn park(&self, items: &[ParkedItem], deadline: Deadline) -> Vec<Result<(), QueueError>> {
        match self {
            Self::Queue(queue) => queue.park(items, deadline).await,
            Self::File(file) => file.park(items, deadline).await,
        }
    }

    async fn put_back(&self, bodies: &[String], deadline: Deadline) -> Vec<Result<(), QueueError>> {
        match self {
            Self::Queue(queue) => queue.put_back(bodies, deadline).await,
            Self::File(file) => file.put_back(bodies, deadline).await,
        }
    }
}

/// The parts of a stack that a replay uses.
struct StackParts {
    aws: SdkConfig,
    dead_letters_url: Option<String>,
    due_messages_url: Option<String>,
    secret_id: Option<String>,
    store: Database,
    slack: Slack,
    /// Names the incidents.
    name: String,
}

impl StackParts {
    async fn of(arguments: &ReplayArguments) -> anyhow::Result<Self> {
        let ReplayArguments { tables, .. } = arguments;
        let aws = arguments.aws.load().await?;
        let settings = tables.stack.settings(&aws).await?;
        let name = settings.setting("STENTOR_STACK", Some(&arguments.stack_name));
        let name = name.unwrap_or_else(|| arguments.stack_name.clone());
        Ok(Self {
            dead_letters_url: settings.setting("DLQ_URL", arguments.queue_url.as_deref()),
            due_messages_url: settings.setting("DUE_QUEUE_URL", arguments.due_queue_url.as_deref()),
            secret_id: settings.setting("STENTOR_SECRET_ID", arguments.secret_id.as_deref()),
            store: deployed_store(&settings, &aws, tables.of(&settings)?)?,
            slack: arguments.slack_api.of(&settings)?,
            name,
            aws,
        })
    }
}

/// Replays with the tables, the credentials and the stream of a deployed stack.
pub(super) async fn replay(arguments: &ReplayArguments, ui: Ui) -> anyhow::Result<Exit> {
    if arguments.configuration.config.is_none() && arguments.discard.is_none() {
        // Without the routes of the stack, records would be deleted whose alerts were not found.
        bail!(
            "name the configuration of the stack with --config or STENTOR_CONFIG: its routes say what is an alert"
        );
    }
    let config = arguments.config(ui)?;
    let stack = StackParts::of(arguments).await?;
    let source = match (&arguments.file, &stack.dead_letters_url) {
        (Some(file), _) => {
            let receipts = receipts(file, &arguments.destination(&stack.store).await?);
            ReplaySource::File(FileDeadLetterSource::open(file, receipts)?)
        }
        (None, Some(queue_url)) => source(&stack.aws, queue_url)?,
        (None, None) => bail!("nothing to replay: name the stack with --stack, or a --file"),
    };
    let total = source.count(arguments.deadline()).await?;
    let streams = Some(KinesisStreamReader::new(&stack.aws, SystemClock, random::from_os()));
    let routes = Routes::new(&config)?;
    if arguments.dry_run {
        return arguments.list(&source, &routes, total, ui).await;
    }
    if arguments.discard.is_some() {
        return arguments.discard(source, total, ui).await;
    }
    let services = deployed(arguments, stack, routes).await?;
    arguments.replay(&services, &source, &streams, total, ui).await
}

impl ReplayArguments {
    /// What identifies the stack to which a file is replayed: names of tables repeat in accounts.
    async fn destination(&self, store: &Database) -> anyhow::Result<String> {
        let id = store.id(self.deadline()).await;
        id.map_err(|error| explain_store_error(&error, &store.alerts_place()))
    }
}

/// The queue of a stack, and the streams that its dead letters point to.
pub(super) async fn queue(
    arguments: &ReplayArguments,
    queue_url: &str,
) -> anyhow::Result<(ReplaySource, Option<KinesisStreamReader>)> {
    let aws = arguments.aws.load().await?;
    Ok((
        source(&aws, queue_url)?,
        Some(KinesisStreamReader::new(&aws, SystemClock, random::from_os())),
    ))
}

/// A queue exists in its own Region only.
fn source(aws: &SdkConfig, queue_url: &str) -> anyhow::Result<ReplaySource> {
    let set = aws.region().map(AsRef::as_ref).unwrap_or_default();
    match region_of(queue_url) {
        Some(region) if region != set => {
            bail!("the queue is in {region}, but the Region is set to {set}: add --region {region}")
        }
        _ => Ok(ReplaySource::Queue(SqsDeadLetterSource::new(
            aws,
            queue_url.to_owned(),
            SystemClock,
            random::from_os(),
        ))),
    }
}

async fn deployed(
    arguments: &ReplayArguments,
    stack: StackParts,
    routes: Routes,
) -> anyhow::Result<DeployedServices<Parking>> {
    let StackParts { aws, store, due_messages_url, dead_letters_url, .. } = stack;
    let Some(secret_id) = stack.secret_id else {
        bail!(
            "no credentials for targets: name the stack with --stack, or its secret with --secret-id"
        );
    };
    if due_messages_url.is_none() && !arguments.no_due_queue {
        // It would close windows that are open, and end their bursts.
        bail!(
            "no due queue, so no timers: name the stack with --stack, or the queue with --due-queue-url; --no-due-queue is for a stack without one"
        );
    }
    // A wrong account or Region is reported before anything is received.
    store
        .routes(Deadline::after(SystemClock.now(), Duration::from_secs(15)))
        .await
        .map_err(|error| explain_store_error(&error, &store.outbox_place()))?;
    let secrets = SecretsManager::new(&aws, secret_id.clone(), SystemClock);
    secret_trouble(secrets.read(SecretVersion::Current, arguments.deadline()).await, &secret_id)?;
    let dead_letters = match (dead_letters_url, &arguments.file) {
        (Some(url), _) => {
            Parking::Queue(SqsDeadLetters::new(&aws, url, SystemClock, random::from_os()))
        }
        (None, Some(file)) => Parking::File(FileDeadLetters::new(parked_beside(file))),
        (None, None) => bail!("no queue for parked records: name it with --queue-url"),
    };
    let due =
        due_messages_url.map(|url| SqsDueQueue::new(&aws, url, SystemClock, random::from_os()));
    let targets = Targets::new(stack.slack, Secrets::new(secrets), SystemClock)
        .with_settings(routes.config().targets.clone())
        .with_stack(stack.name)
        .with_sns(Sns::new(&aws, SystemClock));
    Ok(DeployedServices { routes, store, due, dead_letters, targets })
}

/// Without the secret, every message would be refused.
fn secret_trouble(
    read: Result<Option<String>, SecretError>,
    secret_id: &str,
) -> anyhow::Result<()> {
    match read {
        Err(SecretError::Unavailable(cause)) => {
            bail!("{}", diagnose::explain(&cause, &format!("the secret {secret_id}")))
        }
        Ok(_) | Err(SecretError::Missing { .. }) => Ok(()),
    }
}

fn parked_beside(file: &Path) -> PathBuf {
    with_suffix(file, ".parked")
}

/// The list of what was replayed from a file into a stack.
fn receipts(file: &Path, destination: &str) -> PathBuf {
    with_suffix(file, &format!(".replayed-{destination}"))
}

fn with_suffix(file: &Path, suffix: &str) -> PathBuf {
    let mut name = file.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}
