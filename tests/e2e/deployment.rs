//! The stack of the template on this machine: consumers and notifiers as processes, an engine, a
//! due queue and a dead-letter queue, and webhooks whose answers the test decides.

use std::path::Path;
use std::time::Duration;

use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::QueueAttributeName as Attribute;

use crate::emulator::Surroundings;
use crate::mapping::DueMapping;
use crate::runtime::Function;
use crate::webhooks::{HookAnswer, Webhooks};

const CONSUMERS: [&str; 3] = ["consumer-1", "consumer-2", "consumer-3"];
const NOTIFIERS: [&str; 2] = ["notifier-1", "notifier-2"];
const CONSUMER_TIMEOUT: Duration = Duration::from_secs(10);
const NOTIFIER_TIMEOUT: Duration = Duration::from_secs(4);

/// Slightly longer than a notifier may take. The template has six times the time-out.
const VISIBILITY_S: u32 = 6;

pub struct Deployment {
    pub surroundings: Surroundings,
    pub slack: Webhooks,
    pub due: DueMapping,
    pub consumers: Vec<Function>,
    pub notifiers: Vec<Function>,
}

impl Deployment {
    /// `name` is the name of the test; `config` may name the targets `slack:one`, `slack:two`,
    /// `slack:three`. `more` is added to the environment of every function, and takes precedence.
    pub async fn start(
        name: &str,
        config: &str,
        more: &[(&str, &str)],
        decide: impl Fn() -> HookAnswer + Send + Sync + 'static,
    ) -> Self {
        Self::within(Surroundings::start("").await, name, config, more, decide).await
    }

    /// As [`Deployment::start`], within `surroundings`, which may be exclusive.
    pub async fn within(
        surroundings: Surroundings,
        name: &str,
        config: &str,
        more: &[(&str, &str)],
        decide: impl Fn() -> HookAnswer + Send + Sync + 'static,
    ) -> Self {
        let slack = Webhooks::start(decide).await;
        let queue_url = surroundings.due_queue(VISIBILITY_S).await;
        let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}.toml"));
        std::fs::write(&file, config).unwrap();
        let functions = [&CONSUMERS[..], &NOTIFIERS[..]].concat().join(",");
        let common = [
            ("STENTOR_CONFIG", file.to_str().unwrap()),
            ("DUE_QUEUE_URL", &queue_url),
            ("STENTOR_FUNCTIONS", &functions),
        ];
        let with = |own: &[(&str, &str)]| {
            let named = common.iter().chain(own).chain(more);
            let named = named.map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
            surroundings.environment().into_iter().chain(named).collect::<Vec<_>>()
        };
        // No server listens there: a consumer never reads a credential.
        let consumers = with(&[
            ("STENTOR_SECRET_ID", "none"),
            ("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://127.0.0.1:9"),
        ]);
        let consumers =
            CONSUMERS.map(|name| Function::new(name, CONSUMER_TIMEOUT, consumers.clone()));
        for name in NOTIFIERS {
            surroundings.secret(name, &slack.credentials(name, &["one", "two", "three"])).await;
        }
        let notifiers = NOTIFIERS.map(|name| {
            Function::new(name, NOTIFIER_TIMEOUT, with(&[("STENTOR_SECRET_ID", name)]))
        });
        let due = DueMapping { client: Client::new(&surroundings.aws), queue_url };
        Self { surroundings, slack, due, consumers: consumers.into(), notifiers: notifiers.into() }
    }

    /// The number of messages in the due queue: visible, delayed and received.
    pub async fn due_messages(&self) -> usize {
        let names = [
            Attribute::ApproximateNumberOfMessages,
            Attribute::ApproximateNumberOfMessagesDelayed,
            Attribute::ApproximateNumberOfMessagesNotVisible,
        ];
        let get = self.due.client.get_queue_attributes().queue_url(&self.due.queue_url);
        let counts =
            get.set_attribute_names(Some(names.into())).send().await.unwrap().attributes.unwrap();
        counts.values().map(|count| count.parse::<usize>().unwrap()).sum()
    }
}

/// The number of killed invocations of these functions.
pub fn killed(functions: &[Function]) -> usize {
    functions
        .iter()
        .map(|function| {
            function.invocations(|all| all.iter().filter(|one| one.is_killed()).count())
        })
        .sum()
}
