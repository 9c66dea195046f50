//! The services of `stentor run` and of a replay of its data directory: the embedded store, the
//! dead-letter file, and a notifier that shows each message to the operator, and delivers it if
//! there is a credential for its target.
//!
//! A message that is only shown counts as delivered once it is written. With a full disk or a
//! closed pipe it stays in the outbox, and the next run shows it.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::adapters::local::{FileDeadLetters, LocalDueQueue};
use stentor::adapters::slack::layout;
use stentor::adapters::targets::{self, Targets};
use stentor::config::TargetSettings;
use stentor::ingest::route::Routes;
use stentor::message::plain;
use stentor::model::digest::Digest;
use stentor::model::history::News;
use stentor::model::name::{RouteName, Severity, Target};
use stentor::model::tally::{Group, Names, Values};
use stentor::model::visible;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::notify::{Accepted, Deliver, DeliverError, DeliveryFailure, FailureCode};
use stentor::protocol::round::Delivery;
use stentor::protocol::services::Services;

use crate::credentials::{LocalSecret, LocalTargets};
use crate::signals::Shutdown;
use crate::ui;

/// The services that live input and files share.
pub(crate) struct SharedServices {
    pub routes: Routes,
    pub store: Database,
    pub park: FileDeadLetters,
    pub preview: PreviewNotifier,
}

/// Services with a timer, for live input, or without one, for files.
pub(crate) struct LocalServices<'a> {
    pub shared: &'a SharedServices,
    pub due: Option<LocalDueQueue>,
}

/// Where messages are shown.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub(crate) enum Output {
    /// On standard output, each at once.
    Text {
        /// With a link to Slack's Block Kit Builder.
        preview: bool,
    },
    /// On standard error, each at once. Standard output is for a report without messages.
    Stderr,
    /// In a report at the end. Until it is written, each delivery is deferred, which is not a
    /// failure.
    Report,
}

/// Delivers messages to targets with a credential, and shows all others.
#[derive(Debug)]
pub(crate) struct PreviewNotifier {
    targets: Option<LocalTargets>,
    body_of: Option<ShownBodies>,
    output: Output,
    shutdown: Shutdown,
    /// For [`Output::Report`].
    report: Mutex<PendingReport>,
    /// For [`Output::Report`]: what each message is about, by its last attempt.
    groups: Mutex<BTreeMap<MessageKey, MessageGroups>>,
    has_written: AtomicBool,
    /// Why the first failed write failed.
    failure: Mutex<Option<String>>,
    /// A write was given up because the reader of the output had stopped reading.
    is_blocked: AtomicBool,
}

/// The target whose messages are shown as the bodies of their requests.
#[derive(Debug)]
pub(crate) struct ShownBodies {
    target: Target,
    settings: TargetSettings,
    stack: String,
    has_message: AtomicBool,
    /// The bursts with a message that mentioned people.
    mentioned: Mutex<BTreeSet<(RouteName, u64)>>,
}

impl ShownBodies {
    pub(crate) fn new(target: Target, settings: TargetSettings, stack: String) -> Self {
        let (has_message, mentioned) = Default::default();
        Self { target, settings, stack, has_message, mentioned }
    }

    fn of(&self, digest: &Digest) -> String {
        self.has_message.store(true, Ordering::Relaxed);
        let burst = digest.incident.map(|number| (digest.route.clone(), number));
        let has_mentioned =
            burst.as_ref().is_some_and(|burst| locked(&self.mentioned).contains(burst));
        let bodies = targets::request_bodies(&self.settings, &self.stack, digest, has_mentioned);
        if let TargetSettings::Slack(settings) = &self.settings
            && !settings.mentions(digest, has_mentioned).is_empty()
        {
            locked(&self.mentioned).extend(burst);
        }
        let bodies = bodies.iter().map(|body| visible::json(&format!("{body:#}\n")));
        bodies.collect::<Vec<_>>().join("\n")
    }
}

const BLOCKED: &str = "its reader has stopped reading";

/// Route, target, and the last epoch of a message.
type MessageKey = (RouteName, Target, u64);

/// The groups of a message, the largest first.
#[derive(Clone, Debug, Default)]
pub(crate) struct MessageGroups {
    pub groups: Vec<(String, GroupSummary)>,
    /// Alerts of groups that were not kept.
    pub other: u64,
}

#[derive(Clone, Debug)]
pub(crate) struct GroupSummary {
    pub alerts: u64,
    pub apps: Names,
    pub values: Values,
    pub news: Option<News>,
    pub severity: Option<Severity>,
}

impl MessageGroups {
    fn of(digest: &Digest) -> Self {
        let group = |(pattern, group): (&str, &Group)| {
            let severity = group.severity();
            let Group { alerts, apps, values, .. } = group.clone();
            let news = digest.tally.news_of(pattern);
            (pattern.to_owned(), GroupSummary { alerts, apps, values, news, severity })
        };
        let other = digest.tally.other + digest.tally.ungrouped.alerts();
        Self { groups: digest.groups().into_iter().map(group).collect(), other }
    }
}

/// Messages that the report will contain.
#[derive(Debug, Default)]
struct PendingReport {
    messages: Vec<Digest>,
    is_written: bool,
}

impl PreviewNotifier {
    pub(crate) fn new(targets: Option<LocalTargets>, output: Output, shutdown: Shutdown) -> Self {
        let (report, groups, failure) = (Mutex::default(), Mutex::default(), Mutex::default());
        let (has_written, is_blocked) = (AtomicBool::default(), AtomicBool::default());
        Self {
            targets,
            body_of: None,
            output,
            shutdown,
            report,
            groups,
            has_written,
            failure,
            is_blocked,
        }
    }

    /// Shows the messages of this target as the body of their request.
    pub(crate) fn with_body_of(self, target: Option<ShownBodies>) -> Self {
        Self { body_of: target, ..self }
    }

    /// The target of which bodies were asked for, if it had no message.
    pub(crate) fn without_message(&self) -> Option<&Target> {
        let body_of = self.body_of.as_ref()?;
        (!body_of.has_message.load(Ordering::Relaxed)).then_some(&body_of.target)
    }

    /// Whether the messages to the target are shown and not delivered.
    pub(crate) fn only_shows(&self, target: &Target) -> bool {
        self.targets_for(target).is_none()
    }

    /// Whether a write has succeeded.
    pub(crate) fn has_written(&self) -> bool {
        self.has_written.load(Ordering::Relaxed)
    }

    /// Why a write has failed, or was given up since the last call.
    pub(crate) fn take_failure(&self) -> Option<String> {
        let blocked = self.is_blocked.swap(false, Ordering::Relaxed).then(|| BLOCKED.to_owned());
        locked(&self.failure).clone().or(blocked)
    }

    /// The messages that the report has to contain.
    pub(crate) fn pending(&self) -> Vec<Digest> {
        locked(&self.report).messages.clone()
    }

    /// Whether the report will contain the messages of the route to the target.
    pub(crate) fn is_pending(&self, route: &RouteName, target: &Target) -> bool {
        let messages = &locked(&self.report).messages;
        messages.iter().any(|digest| digest.route == *route && digest.target == *target)
    }

    /// The groups of a message.
    pub(crate) fn groups_of(&self, delivery: &Delivery) -> MessageGroups {
        let key = (delivery.route.clone(), delivery.target.clone(), delivery.epochs.1);
        locked(&self.groups).get(&key).cloned().unwrap_or_default()
    }

    /// Marks the report as written. From now on exactly the pending messages are accepted.
    pub(crate) fn report_is_written(&self) {
        locked(&self.report).is_written = true;
    }

    /// Writes to standard output. After a shutdown request it waits no longer than for a delivery.
    pub(crate) async fn print(&self, text: String) -> Result<(), String> {
        self.write(std::io::stdout(), text, None).await
    }

    fn targets_for(&self, target: &Target) -> Option<&Targets<LocalSecret>> {
        let local = self.targets.as_ref().filter(|local| local.recipients.has(target));
        local.map(|local| &local.targets)
    }

    async fn deliver_to(
        &self,
        targets: &Targets<LocalSecret>,
        digest: &Digest,
        joins: Option<&str>,
        deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        tokio::select! {
            delivered = targets.deliver(digest, joins, deadline) => delivered,
            () = self.shutdown.grace_ended() => {
                let text = format!("the run was ended before {} answered", digest.target);
                let reason = DeliveryFailure::new(FailureCode::Timeout, text);
                Err(DeliverError::Retry { after: None, reason })
            }
        }
    }

    async fn show(&self, digest: &Digest, deadline: Deadline) -> Result<(), DeliverError> {
        let shown = match self.output {
            Output::Text { preview } => {
                let text =
                    self.message(digest, preview, &console::Term::stdout(), ui::stdout_has_color());
                self.write(std::io::stdout(), text, Some(deadline)).await
            }
            Output::Stderr => {
                let text =
                    self.message(digest, false, &console::Term::stderr(), ui::stderr_has_color());
                self.write(std::io::stderr(), text, Some(deadline)).await
            }
            Output::Report => return self.add_to_report(digest),
        };
        shown.map_err(|_| DeliverError::Deferred)
    }

    /// Defers the message until the report is written. Then accepts it if the report contains it.
    fn add_to_report(&self, digest: &Digest) -> Result<(), DeliverError> {
        let mut pending = locked(&self.report);
        let is_same = |other: &Digest| other.route == digest.route && other.target == digest.target;
        if pending.is_written {
            let reported = pending
                .messages
                .iter()
                .any(|other| is_same(other) && other.epochs == digest.epochs);
            return if reported { Ok(()) } else { Err(DeliverError::Deferred) };
        }
        // A later message that begins with the same epoch contains the earlier one.
        pending.messages.retain(|other| !(is_same(other) && other.epochs.0 == digest.epochs.0));
        pending.messages.push(digest.clone());
        Err(DeliverError::Deferred)
    }

    fn message(
        &self,
        digest: &Digest,
        preview: bool,
        terminal: &console::Term,
        has_color: bool,
    ) -> String {
        let width =
            terminal.size_checked().map_or(100, |(_, columns)| usize::from(columns).min(120));
        let delivery = match self.only_shows(&digest.target) {
            true => "shown here only",
            false => "delivered",
        };
        if let Some(body_of) = self.body_of.as_ref().filter(|of| of.target == digest.target) {
            let bodies = body_of.of(digest);
            return format!("\n── {} · {delivery} ──\n\n{bodies}", digest.target);
        }
        // Every target is shown as Slack shows it.
        let content = layout::content(digest);
        let mut text = format!(
            "\n── {} · {delivery} ──\n\n{}",
            digest.target,
            plain::view(&content, width, has_color)
        );
        if preview {
            text += &format!("\n{}\n", layout::message(&content).preview_url());
        }
        text
    }

    /// Writes in a thread, because a write that blocks on its reader cannot be canceled. A failure
    /// requests a shutdown.
    async fn write(
        &self,
        mut output: impl Write + Send + 'static,
        text: String,
        deadline: Option<Deadline>,
    ) -> Result<(), String> {
        let withdrawn = Arc::new(AtomicBool::new(false));
        let is_withdrawn = Arc::clone(&withdrawn);
        let writing = tokio::task::spawn_blocking(move || {
            // It may have been given up while it was queued behind another write.
            if is_withdrawn.load(Ordering::SeqCst) {
                return Ok(());
            }
            output.write_all(text.as_bytes()).and_then(|()| output.flush())
        });
        let timeout = async {
            match deadline {
                Some(deadline) => SystemClock.sleep(deadline.remaining(SystemClock.now())).await,
                None => std::future::pending().await,
            }
        };
        let written = tokio::select! {
            written = writing => written.expect("invariant: writing does not panic").map_err(|error| error.to_string()),
            () = timeout => Err(BLOCKED.to_owned()),
            () = self.shutdown.grace_ended() => Err(BLOCKED.to_owned()),
        };
        match &written {
            Ok(()) => self.has_written.store(true, Ordering::Relaxed),
            // For example a pager that waits for its user. The next message contains this one.
            Err(reason) if reason == BLOCKED => {
                withdrawn.store(true, Ordering::SeqCst);
                self.is_blocked.store(true, Ordering::Relaxed);
            }
            Err(reason) => {
                locked(&self.failure).get_or_insert_with(|| reason.clone());
                self.shutdown.request();
            }
        }
        written
    }
}

impl Deliver for PreviewNotifier {
    async fn deliver(
        &self,
        digest: &Digest,
        joins: Option<&str>,
        deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        if self.output == Output::Report {
            let key = (digest.route.clone(), digest.target.clone(), digest.epochs.1);
            locked(&self.groups).insert(key, MessageGroups::of(digest));
        }
        let Some(targets) = self.targets_for(&digest.target) else {
            return self.show(digest, deadline).await.map(|()| Accepted::default());
        };
        if locked(&self.report).is_written {
            return Err(DeliverError::Deferred);
        }
        let accepted = self.deliver_to(targets, digest, joins, deadline).await?;
        // The target has accepted it. A failure to show it here as well does not matter.
        if self.output != Output::Report {
            let _ = self.show(digest, deadline).await;
        }
        Ok(accepted)
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Services for LocalServices<'_> {
    type Store = Database;
    type Due = LocalDueQueue;
    type DeadLetters = FileDeadLetters;
    type Deliver = PreviewNotifier;
    type Clock = SystemClock;

    fn routes(&self) -> &Routes {
        &self.shared.routes
    }

    fn store(&self) -> &Database {
        &self.shared.store
    }

    fn due(&self) -> Option<&LocalDueQueue> {
        self.due.as_ref()
    }

    fn dead_letters(&self) -> &FileDeadLetters {
        &self.shared.park
    }

    fn deliver(&self) -> &PreviewNotifier {
        &self.shared.preview
    }

    fn clock(&self) -> &SystemClock {
        &SystemClock
    }

    fn random(&self) -> u64 {
        fastrand::u64(..)
    }
}
