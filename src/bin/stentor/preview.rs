//! The world of a run: the embedded store, the dead-letter file, and a desk that hands messages to the operator, and
//! posts them to Slack if a webhook was given.
//!
//! A message that is not posted is accepted once it was written to an output, and not before: one that met a full disk
//! or a closed pipe stays owed, and the next run shows it.

use std::io::{IsTerminal as _, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use stentor::adapters::clock::SystemClock;
use stentor::adapters::dynamodb::DynamoStore;
use stentor::adapters::local::{FileDeadLetters, LocalDueQueue};
use stentor::adapters::slack::{Slack, WebhookUrl, layout};
use stentor::ingest::route::Routes;
use stentor::message::plain;
use stentor::model::digest::Digest;
use stentor::model::name::TargetKind;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::notify::{Accepted, Deliver, DeliverError};
use stentor::protocol::services::Services;

use crate::signals::Shutdown;

/// What a run shares between its two ways of keeping time.
pub struct SharedServices {
    pub routes: Routes,
    pub store: DynamoStore,
    pub park: FileDeadLetters,
    pub preview: PreviewNotifier,
}

/// A world with a timer (lines that arrive) or without one (files).
pub struct LocalServices<'a> {
    pub shared: &'a SharedServices,
    pub due: Option<LocalDueQueue>,
}

/// Where messages are written.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// As they come, to standard output.
    Text {
        /// With a link to Slack's Block Kit Builder.
        preview: bool,
    },
    /// As they come, to standard error: standard output is for a report that does not hold them.
    Stderr,
    /// Into one report at the end. Until it is written, each message is deferred: it stays owed, without a failure.
    Report,
}

/// Takes messages. Posts those for Slack if there is a webhook; writes all others for the operator to read.
#[derive(Debug)]
pub struct PreviewNotifier {
    webhook: Option<(Slack, WebhookUrl)>,
    output: Output,
    shutdown: Shutdown,
    /// For [`Output::Report`].
    report: Mutex<PendingReport>,
    /// Whether anything was written, and why writing failed.
    wrote: AtomicBool,
    failure: Mutex<Option<String>>,
    /// A write was given up, because the reader of the output does not read.
    unread: AtomicBool,
}

const UNREAD: &str = "its reader does not read";

/// Messages that wait for a report.
#[derive(Debug, Default)]
struct PendingReport {
    messages: Vec<Digest>,
    is_written: bool,
}

impl PreviewNotifier {
    pub fn new(webhook: Option<(Slack, WebhookUrl)>, output: Output, shutdown: Shutdown) -> Self {
        let (report, failure) = (Mutex::default(), Mutex::default());
        Self { webhook, output, shutdown, report, wrote: AtomicBool::default(), failure, unread: AtomicBool::default() }
    }

    /// Whether anything was written.
    pub fn wrote(&self) -> bool {
        self.wrote.load(Ordering::Relaxed)
    }

    /// Why an output did not take everything, since the last call.
    pub fn failure(&self) -> Option<String> {
        let unread = self.unread.swap(false, Ordering::Relaxed).then(|| UNREAD.to_owned());
        locked(&self.failure).clone().or(unread)
    }

    /// Messages that wait for the report.
    pub fn pending(&self) -> Vec<Digest> {
        locked(&self.report).messages.clone()
    }

    /// The report with the messages that were held is written: from now on they, and they only, are accepted.
    pub fn report_is_written(&self) {
        locked(&self.report).is_written = true;
    }

    /// Writes to standard output, and waits for it no longer than a delivery may take after a request to end.
    pub async fn print(&self, text: String) -> Result<(), String> {
        self.write(std::io::stdout(), text, None).await
    }

    fn posting(&self, kind: TargetKind) -> Option<&(Slack, WebhookUrl)> {
        self.webhook.as_ref().filter(|_| kind == TargetKind::Slack)
    }

    async fn post(&self, digest: &Digest, deadline: Deadline) -> Result<(), DeliverError> {
        let Some((slack, webhook)) = self.posting(digest.target.kind) else { return Ok(()) };
        tokio::select! {
            posted = slack.post(webhook, digest, deadline) => posted,
            () = self.shutdown.grace_ended() => {
                let reason = "the run was ended before Slack answered".to_owned();
                Err(DeliverError::Retry { after: None, reason })
            }
        }
    }

    async fn show(&self, digest: &Digest, deadline: Deadline) -> Result<(), DeliverError> {
        let shown = match self.output {
            Output::Text { preview } => {
                let text = self.message(digest, preview, console::Term::stdout(), std::io::stdout().is_terminal());
                self.write(std::io::stdout(), text, Some(deadline)).await
            }
            Output::Stderr => {
                let text = self.message(digest, false, console::Term::stderr(), std::io::stderr().is_terminal());
                self.write(std::io::stderr(), text, Some(deadline)).await
            }
            Output::Report => return self.hold(digest),
        };
        shown.map_err(|_| DeliverError::Deferred)
    }

    /// Accepts what the written report holds; until then everything is deferred.
    fn hold(&self, digest: &Digest) -> Result<(), DeliverError> {
        let mut pending = locked(&self.report);
        let is_same = |other: &Digest| other.route == digest.route && other.target == digest.target;
        if pending.is_written {
            let reported = pending.messages.iter().any(|other| is_same(other) && other.epochs == digest.epochs);
            return if reported { Ok(()) } else { Err(DeliverError::Deferred) };
        }
        // In a later window it holds the windows before, too.
        pending.messages.retain(|other| !(is_same(other) && other.epochs.0 == digest.epochs.0));
        pending.messages.push(digest.clone());
        Err(DeliverError::Deferred)
    }

    fn message(&self, digest: &Digest, preview: bool, terminal: console::Term, is_terminal: bool) -> String {
        let color = is_terminal && std::env::var_os("NO_COLOR").is_none();
        let width = terminal.size_checked().map_or(100, |(_, columns)| usize::from(columns).min(120));
        let fate = match self.posting(digest.target.kind) {
            Some(_) => "posted",
            None => "shown here only",
        };
        // Every target is shown as Slack shows it.
        let content = layout::content(digest);
        let mut text = format!("\n── {} · {fate} ──\n\n{}", digest.target, plain::view(&content, width, color));
        if preview {
            text += &format!("\n{}\n", layout::message(&content).preview_url());
        }
        text
    }

    /// A write that waits for its reader cannot be called off, so a thread makes it. A failure asks the run to end.
    async fn write(
        &self,
        mut output: impl Write + Send + 'static,
        text: String,
        deadline: Option<Deadline>,
    ) -> Result<(), String> {
        let withdrawn = Arc::new(AtomicBool::new(false));
        let is_withdrawn = Arc::clone(&withdrawn);
        let writing = tokio::task::spawn_blocking(move || {
            // It may have waited behind another write.
            match is_withdrawn.load(Ordering::SeqCst) {
                true => Ok(()),
                false => output.write_all(text.as_bytes()).and_then(|()| output.flush()),
            }
        });
        let too_late = async {
            match deadline {
                Some(deadline) => SystemClock.sleep(deadline.remaining(SystemClock.now())).await,
                None => std::future::pending().await,
            }
        };
        let written = tokio::select! {
            written = writing => written.expect("invariant: writing does not panic").map_err(|error| error.to_string()),
            () = too_late => Err(UNREAD.to_owned()),
            () = self.shutdown.grace_ended() => Err(UNREAD.to_owned()),
        };
        match &written {
            Ok(()) => self.wrote.store(true, Ordering::Relaxed),
            // A pager that waits for its user: the message comes again with the next one.
            Err(why) if why == UNREAD => {
                withdrawn.store(true, Ordering::SeqCst);
                self.unread.store(true, Ordering::Relaxed);
            }
            Err(why) => {
                locked(&self.failure).get_or_insert_with(|| why.clone());
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
        _joins: Option<&str>,
        deadline: Deadline,
    ) -> Result<Accepted, DeliverError> {
        if self.posting(digest.target.kind).is_none() {
            return self.show(digest, deadline).await.map(|()| Accepted::default());
        }
        if locked(&self.report).is_written {
            return Err(DeliverError::Deferred);
        }
        self.post(digest, deadline).await?;
        // Slack has it: whether it can be shown here as well changes nothing.
        if self.output != Output::Report {
            let _ = self.show(digest, deadline).await;
        }
        Ok(Accepted::default())
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Services for LocalServices<'_> {
    type Store = DynamoStore;
    type Due = LocalDueQueue;
    type DeadLetters = FileDeadLetters;
    type Deliver = PreviewNotifier;
    type Clock = SystemClock;

    fn routes(&self) -> &Routes {
        &self.shared.routes
    }

    fn store(&self) -> &DynamoStore {
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
