//! Shutdown on SIGINT, SIGTERM and SIGHUP. After the first signal a run stores and delivers what it
//! has read. The second ends the process at once: what was not delivered by then stays in the
//! outbox, and the next run delivers it.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::ui;

/// A delivery in progress is given up this long after the request.
const GRACE: Duration = Duration::from_millis(1_200);

/// A delivery that starts after the request has at least this long.
const GRACE_MIN: Duration = Duration::from_millis(300);

/// Signals closer together than this are one request: `timeout` signals its child, and then the
/// child's group.
const ONE_REQUEST: Duration = Duration::from_millis(150);

/// The request to shut down. Clones share it.
#[derive(Clone, Debug)]
pub(crate) struct Shutdown {
    requested_at: watch::Sender<Option<Instant>>,
}

impl Shutdown {
    /// A shutdown that only [`Shutdown::request`] requests.
    pub(crate) fn new() -> Self {
        Self { requested_at: watch::Sender::new(None) }
    }

    /// A shutdown that a signal requests.
    ///
    /// # Errors
    /// When the system does not install the handlers.
    pub(crate) fn on_signals() -> anyhow::Result<Self> {
        let shutdown = Self::new();
        for kind in [SignalKind::interrupt(), SignalKind::terminate(), SignalKind::hangup()] {
            if kind == SignalKind::hangup() && hangup_is_ignored() {
                continue;
            }
            let mut signals = signal(kind).context("cannot listen for signals")?;
            let shutdown = shutdown.clone();
            tokio::spawn(async move {
                while signals.recv().await.is_some() {
                    shutdown.on_signal();
                }
            });
        }
        Ok(shutdown)
    }

    fn on_signal(&self) {
        let requested_at = *self.requested_at.borrow();
        match requested_at {
            None => drop(self.request()),
            Some(at) if at.elapsed() < ONE_REQUEST => {}
            Some(_) => {
                let error = anyhow::anyhow!("ended by a second signal");
                let hint = "what was stored and not yet delivered is delivered by the next run";
                ui::print_error(&ui::hinted(error, hint));
                std::process::exit(1);
            }
        }
    }

    /// Requests the shutdown. Returns whether this is the first request.
    pub(crate) fn request(&self) -> bool {
        self.requested_at.send_if_modified(|at| {
            let is_first = at.is_none();
            at.get_or_insert_with(Instant::now);
            is_first
        })
    }

    pub(crate) fn is_requested(&self) -> bool {
        self.requested_at.borrow().is_some()
    }

    /// Waits for the request. Returns its time.
    pub(crate) async fn requested(&self) -> Instant {
        let mut requested_at = self.requested_at.subscribe();
        let at = requested_at.wait_for(Option::is_some).await.map(|at| *at);
        at.ok().flatten().expect("invariant: `self` holds the sender")
    }

    /// Waits until a delivery that starts now has to be given up.
    pub(crate) async fn grace_ended(&self) {
        let started = Instant::now();
        let requested = self.requested().await;
        sleep_until((requested + GRACE).max(started + GRACE_MIN)).await;
    }
}

/// `nohup` ignores SIGHUP for the processes that it starts. A handler would undo that.
fn hangup_is_ignored() -> bool {
    const SIGHUP_BIT: u64 = 1;
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & SIGHUP_BIT != 0)
}
