//! One run: ingests the inputs, closes the routes, and keeps the report.

use std::cell::{Ref, RefCell};
use std::time::Duration;

use stentor::adapters::clock::SystemClock;
use stentor::ingest::event::Batch;
use stentor::model::digest::Digest;
use stentor::model::name::RouteName;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::close::{Closed, close};
use stentor::protocol::consume::{Consumed, ingest_and_park};
use stentor::protocol::round::{Delivery, DeliveryOutcome};
use stentor::protocol::store::Store as _;
use tokio::time::sleep;

use super::input::{Refusal, Source};
use super::lines::LINE_BYTES_MAX;
use super::report::RunReport;
use crate::mute::muted;
use crate::preview::{LocalServices, SharedServices};
use crate::progress::Progress;
use crate::signals::Shutdown;
use crate::ui::Ui;

pub(super) struct Session<'a> {
    pub shared: &'a SharedServices,
    pub shutdown: Shutdown,
    timeout: Duration,
    /// Never borrowed across an await: lines are ingested while messages are delivered.
    report: RefCell<RunReport>,
}

impl<'a> Session<'a> {
    /// `timeout` limits each attempt to store or to deliver.
    pub(super) fn new(shared: &'a SharedServices, shutdown: Shutdown, timeout: Duration) -> Self {
        Self { shared, shutdown, timeout, report: RefCell::default() }
    }

    /// Ingests every source. First finishes what an earlier run left behind.
    pub(super) async fn ingest_all(&self, sources: Vec<Source>, ui: Ui) -> anyhow::Result<()> {
        self.close_all().await?;
        let mut progress =
            ui.shows_progress().then(|| Progress::new(sources.iter().map(Source::bytes).sum()));
        for source in sources {
            if self.shutdown.is_requested() {
                self.refuse(&source.name(), &ended_before("it was read"));
                continue;
            }
            match source {
                Source::File(path) => self.ingest_file(&path, progress.as_mut()).await,
                Source::Stream(path) => self.ingest_stream(Some(&path)).await?,
                Source::Stdin => self.ingest_stream(None).await?,
            }
            progress.iter_mut().for_each(Progress::next_file);
        }
        progress.into_iter().for_each(Progress::finish);
        // The messages below contain what was not shown so far.
        let _ = self.shared.preview.take_failure();
        self.close_all().await?;
        self.find_muted().await
    }

    async fn find_muted(&self) -> anyhow::Result<()> {
        let store = &self.shared.store;
        let routes = store.routes(self.deadline()).await?;
        let muted = muted(store, &routes, self.deadline()).await;
        self.report.borrow_mut().set_muted(muted);
        Ok(())
    }

    pub(super) fn report(&self) -> Ref<'_, RunReport> {
        self.report.borrow()
    }

    pub(super) async fn ingest_batch(&self, services: &LocalServices<'_>, batch: &Batch<'_>) {
        let consumed = ingest_and_park(services, batch, self.deadline()).await;
        self.add(batch, consumed);
    }

    pub(super) fn add(&self, batch: &Batch<'_>, consumed: Consumed) {
        self.report.borrow_mut().add(batch, consumed);
    }

    /// Closes what is open and delivers what is pending, on every route in the store.
    pub(super) async fn close_all(&self) -> anyhow::Result<()> {
        for route in self.shared.store.routes(self.deadline()).await? {
            let closed = self.close_route(&route).await;
            self.add_deliveries(closed.messages);
            if let Some(retry) = closed.retry {
                self.report.borrow_mut().add_undelivered(route, retry.reason);
            }
        }
        Ok(())
    }

    /// Repeats rounds until nothing is left to do, the time is up or a shutdown is requested.
    async fn close_route(&self, route: &RouteName) -> Closed {
        let (services, deadline) = (self.services(), self.deadline());
        let mut all = Closed::default();
        for attempt in 0.. {
            let round = close(&services, route, attempt, deadline).await;
            all.messages.extend(round.messages);
            all.retry = round.retry;
            let Some(retry) = &all.retry else { break };
            if deadline.has_passed(retry.at) || self.shutdown.is_requested() {
                break;
            }
            tokio::select! {
                () = sleep(SystemClock.now().until(retry.at)) => {}
                // Targets that were not tried yet get one more round.
                _ = self.shutdown.requested() => {}
            }
        }
        all
    }

    /// Adds deliveries to the report. One with several attempts counts once, with its last outcome.
    pub(super) fn add_deliveries(&self, deliveries: Vec<Delivery>) {
        let is_final = |delivery: &Delivery| !matches!(delivery.outcome, DeliveryOutcome::Retry(_));
        self.report.borrow_mut().add_deliveries(deliveries.into_iter().filter(is_final));
    }

    /// Adds the messages that count as delivered once the report is written.
    pub(super) fn report_pending(&self) {
        self.report.borrow_mut().add_deliveries(self.shared.preview.pending().iter().map(accepted));
    }

    pub(super) fn refuse(&self, input: &str, refusal: &Refusal) {
        self.report.borrow_mut().add_refusal(input, refusal);
    }

    /// Services without a timer: routes are closed when the inputs have been read.
    pub(super) fn services(&self) -> LocalServices<'a> {
        LocalServices { shared: self.shared, due: None }
    }

    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(SystemClock.now(), self.timeout)
    }
}

fn accepted(digest: &Digest) -> Delivery {
    let (route, target) = (digest.route.clone(), digest.target.clone());
    Delivery {
        route,
        target,
        epochs: digest.epochs,
        alerts: digest.tally.alerts,
        outcome: DeliveryOutcome::Accepted,
    }
}

pub(super) fn line_too_long(line: &str) -> Refusal {
    Refusal(format!(
        "line {line} is longer than {} MiB: the rest of it was not read",
        LINE_BYTES_MAX >> 20
    ))
}

pub(super) fn ended_before(event: &str) -> Refusal {
    Refusal(format!("the run was ended before {event}: run it again"))
}
