//! One run: ingests the inputs, closes the routes, and keeps the report.

use std::cell::{Cell, Ref, RefCell};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use futures::stream::FuturesUnordered;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::local::LocalDueQueue;
use stentor::ingest::event::Batch;
use stentor::model::digest::Digest;
use stentor::model::humanize::humanize_duration;
use stentor::model::name::RouteName;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::close::{Closed, end_burst};
use stentor::protocol::consume::{Consumed, Verdict, ingest_and_park};
use stentor::protocol::retry_reason::RetryReason;
use stentor::protocol::round::{ACKNOWLEDGE_MARGIN, Delivery, DeliveryOutcome};
use stentor::protocol::store::Store as _;
use tokio::time::sleep;

use super::owed::owed_targets;
use super::report::RunReport;
use crate::input::{InputSource, Refusal};
use crate::mute::quiet;
use crate::preview::{LocalServices, SharedServices};
use crate::progress::Progress;
use crate::signals::Shutdown;
use crate::ui::Ui;

/// The least time of a step, even if none is left: enough to show a message.
const STEP_MIN: Duration = Duration::from_secs(1);

/// After this time the next route is closed too.
const NEXT_ROUTE: Duration = Duration::from_millis(250);

pub(super) struct Session<'a> {
    pub shared: &'a SharedServices,
    pub shutdown: Shutdown,
    timeout: Duration,
    /// How long the steps took that failed.
    spent: Cell<Duration>,
    /// Whether windows had a timer, which may have begun bursts.
    pub had_timer: Cell<bool>,
    /// Never borrowed across an await: lines are ingested while messages are delivered.
    report: RefCell<RunReport>,
}

impl<'a> Session<'a> {
    /// `timeout` limits how long the run keeps trying to store and to deliver, in all. Steps that
    /// succeed do not count: a large file may take longer. Lines of a pipe are retried until they
    /// are stored.
    pub(super) fn new(shared: &'a SharedServices, shutdown: Shutdown, timeout: Duration) -> Self {
        let (spent, had_timer, report) = (Cell::default(), Cell::default(), RefCell::default());
        Self { shared, shutdown, timeout, spent, had_timer, report }
    }

    /// Ingests every source. First finishes what an earlier run left behind, which leaves half of
    /// the time for the alerts of this run.
    pub(super) async fn ingest_all(&self, sources: Vec<InputSource>, ui: Ui) -> anyhow::Result<()> {
        self.close_all(self.timeout / 2).await;
        let mut progress = ui
            .shows_progress()
            .then(|| Progress::new(sources.iter().map(InputSource::bytes).sum()));
        for source in sources {
            if self.shutdown.is_requested() {
                self.refuse(&source.name(), &ended_before("it was read"));
                continue;
            }
            if self.is_out_of_time() {
                self.refuse(&source.name(), &self.out_of_time());
                continue;
            }
            match source {
                InputSource::File(path) => self.ingest_file(&path, progress.as_mut()).await,
                InputSource::Stream(path) => self.ingest_stream(Some(&path)).await?,
                InputSource::Stdin => self.ingest_stream(None).await?,
            }
            progress.iter_mut().for_each(Progress::next_file);
        }
        progress.into_iter().for_each(Progress::finish);
        // The messages below contain what was not shown so far.
        let _ = self.shared.preview.take_failure();
        self.close_all(self.timeout).await;
        self.maintain().await;
        self.find_owed().await;
        self.find_quiet().await;
        Ok(())
    }

    /// Acknowledges the messages that were in the report. A route that was undelivered stays so.
    pub(super) async fn close_reported(&self) {
        let deadline = self.deadline_after(self.time_left());
        let failed = match self.shared.store.routes(deadline).await {
            Ok(routes) => self.close_routes(routes, deadline).await,
            Err(error) => self.report.borrow().failed_routes(&self.shared.routes, &error),
        };
        self.report.borrow_mut().add_undelivered(failed);
    }

    /// As a sweep does in a deployment.
    async fn maintain(&self) {
        if let Err(error) = self.shared.store.maintain(self.deadline()).await {
            tracing::warn!("The store was not maintained: {error}");
        }
    }

    /// For the report only: without an answer of the store, the route has its own reason.
    async fn find_owed(&self) {
        let (store, now) = (&self.shared.store, SystemClock.now());
        let undelivered = self.report.borrow().undelivered();
        for route in undelivered {
            let deadline = self.deadline_after(Duration::ZERO);
            let mut owed = owed_targets(store, &route, now, deadline).await.unwrap_or_default();
            // Messages in the report are acknowledged once it is written.
            owed.retain(|owed| !self.shared.preview.is_pending(&route, &owed.target));
            self.report.borrow_mut().set_owed(route, owed);
        }
    }

    /// For the report only, so a store that does not answer is no failure of the run.
    async fn find_quiet(&self) {
        let store = &self.shared.store;
        if let Ok(routes) = store.routes(self.deadline()).await {
            let quiet = quiet(store, &routes, self.deadline()).await;
            self.report.borrow_mut().set_quiet(quiet, &self.shared.routes);
        }
    }

    pub(super) fn report(&self) -> Ref<'_, RunReport> {
        self.report.borrow()
    }

    pub(super) async fn ingest_batch(&self, services: &LocalServices<'_>, batch: &Batch<'_>) {
        let started = Instant::now();
        let deadline = self.deadline_after(self.time_left());
        let consumed = ingest_and_park(services, batch, deadline).await;
        if consumed.verdicts.iter().any(|verdict| matches!(verdict, Verdict::Retry(_))) {
            self.spend(started.elapsed());
        }
        self.add(batch, consumed);
    }

    pub(super) fn add(&self, batch: &Batch<'_>, consumed: Consumed) {
        self.report.borrow_mut().add(batch, consumed);
    }

    /// Closes what is open and delivers what is pending, on every route in the store. Keeps trying
    /// for `limit`, or what is left of the timeout.
    async fn close_all(&self, limit: Duration) {
        let started = Instant::now();
        let deadline = self.deadline_after(limit.min(self.time_left()));
        let failed = match self.shared.store.routes(deadline).await {
            Ok(routes) => self.close_routes(routes, deadline).await,
            Err(error) => self.report.borrow().failed_routes(&self.shared.routes, &error),
        };
        if !failed.is_empty() {
            self.spend(started.elapsed());
        }
        self.report.borrow_mut().set_undelivered(failed);
    }

    /// Closes one route after the other, so that messages are shown in their order. A route that
    /// takes long does not delay the next one.
    async fn close_routes(
        &self,
        routes: Vec<RouteName>,
        deadline: Deadline,
    ) -> BTreeMap<RouteName, RetryReason> {
        let close = async |route: RouteName| {
            let closed = self.close_route(&route, deadline).await;
            (route, closed)
        };
        let mut failed = BTreeMap::new();
        let mut done = |(route, closed): (RouteName, Closed)| {
            self.add_deliveries(closed.messages);
            failed.extend(closed.retry.map(|retry| (route, retry.reason)));
        };
        let mut closing = FuturesUnordered::new();
        for route in routes {
            closing.push(close(route));
            tokio::select! {
                Some(closed) = closing.next() => done(closed),
                () = sleep(NEXT_ROUTE.min(deadline.remaining(SystemClock.now()))) => {}
            }
        }
        while let Some(closed) = closing.next().await {
            done(closed);
        }
        failed
    }

    /// Repeats rounds until nothing is left to do, the time is up or a shutdown is requested. Ends
    /// the burst of the route: no window is closed at its time from now on.
    async fn close_route(&self, route: &RouteName, deadline: Deadline) -> Closed {
        let due = self.had_timer.get().then(|| LocalDueQueue::new(SystemClock).0);
        let services = LocalServices { due, ..self.services() };
        let deadline = deadline.max(self.deadline_after(Duration::ZERO));
        let mut all = Closed::default();
        for attempt in 0.. {
            let round = end_burst(&services, route, attempt, deadline).await;
            all.messages.extend(round.messages);
            all.retry = round.retry.map(|retry| retry.after(all.retry.take()));
            let Some(retry) = &all.retry else { break };
            // Later there is no time for a delivery.
            let last = deadline.earlier(ACKNOWLEDGE_MARGIN);
            if last.has_passed(retry.at) || self.shutdown.is_requested() {
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
        let mut report = self.report.borrow_mut();
        deliveries.iter().for_each(|delivery| report.note_attempt(delivery));
        report.add_deliveries(deliveries.into_iter().filter(is_final));
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

    /// The deadline of a step that does not count.
    pub(super) fn deadline(&self) -> Deadline {
        Deadline::after(SystemClock.now(), self.timeout)
    }

    /// The deadline of a step that may take so long, or [`STEP_MIN`].
    fn deadline_after(&self, duration: Duration) -> Deadline {
        Deadline::after(SystemClock.now(), duration.max(STEP_MIN.min(self.timeout)))
    }

    pub(super) fn spend(&self, duration: Duration) {
        self.spent.set(self.spent.get() + duration);
    }

    fn time_left(&self) -> Duration {
        self.timeout.saturating_sub(self.spent.get())
    }

    /// Whether failures have used up the timeout, so that nothing more is to be read.
    pub(super) fn is_out_of_time(&self) -> bool {
        self.time_left() < STEP_MIN / 2
    }

    pub(super) fn out_of_time(&self) -> Refusal {
        Refusal(format!(
            "storing and delivering failed for {}: run it again",
            humanize_duration(self.timeout)
        ))
    }
}

fn accepted(digest: &Digest) -> Delivery {
    let (route, target) = (digest.route.clone(), digest.target.clone());
    Delivery {
        first_after: None,
        route,
        target,
        epochs: digest.epochs,
        alerts: digest.tally.alerts,
        outcome: DeliveryOutcome::Accepted,
        failure: None,
    }
}

pub(super) fn ended_before(event: &str) -> Refusal {
    Refusal(format!("the run was ended before {event}: run it again"))
}
