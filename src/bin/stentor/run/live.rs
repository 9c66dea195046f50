//! Standard input and pipes: an event as a whole, lines as they arrive. Windows end by the clock,
//! and lines are ingested even while a target keeps a message waiting.

use std::cell::Cell;
use std::io::Cursor;
use std::path::Path;
use std::time::{Duration, Instant};

use stentor::adapters::clock::SystemClock;
use stentor::adapters::local::LocalDueQueue;
use stentor::ingest::event::Batch;
use stentor::model::visible;
use stentor::protocol::clock::Clock as _;
use stentor::protocol::close::close;
use stentor::protocol::consume::{Consumed, Verdict, ingest_and_park};
use stentor::protocol::queue::{Due, DueQueue as _};
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::sync::oneshot;
use tokio::time::sleep;

use super::session::Session;
use crate::input::lines::{self, LineOrigin};
use crate::input::stream::Stream;
use crate::input::{self, EVENT_BYTES_MAX, InputKind, Refusal, line_too_long};
use crate::preview::LocalServices;

/// Lines that could not be stored are tried again after this time.
const STORE_RETRY: Duration = Duration::from_millis(500);

impl Session<'_> {
    /// Ingests `path`, or standard input without one.
    pub(super) async fn ingest_stream(&self, path: Option<&Path>) -> anyhow::Result<()> {
        let started = SystemClock.now();
        let name = path.map_or_else(|| input::STDIN.to_owned(), |path| path.display().to_string());
        let mut stream = Stream::open(path, started)?;
        let origin = match path {
            Some(_) => LineOrigin { name: name.clone(), ..LineOrigin::stdin(started) },
            None => LineOrigin::stdin(started),
        };
        let ingested = match stream.kind(&self.shutdown).await {
            Ok(InputKind::Lines) => self.ingest_live(&mut stream, &origin, &name).await?,
            Ok(InputKind::Messages) => self.ingest_message_stream(&mut stream, &name).await,
            Ok(InputKind::Event) => self.ingest_event_stream(&mut stream, &origin, &name).await,
            Err(refusal) => Err(refusal),
        };
        if let Err(refusal) = ingested {
            self.refuse(&name, &refusal);
        }
        Ok(())
    }

    async fn ingest_event_stream(
        &self,
        stream: &mut Stream,
        origin: &LineOrigin,
        name: &str,
    ) -> Result<(), Refusal> {
        let payload = stream.read_all(EVENT_BYTES_MAX, &self.shutdown).await?;
        self.ingest_payload(payload, 0, origin, name).await
    }

    async fn ingest_message_stream(&self, stream: &mut Stream, name: &str) -> Result<(), Refusal> {
        let messages = stream.read_all(EVENT_BYTES_MAX, &self.shutdown).await?;
        self.ingest_messages(Cursor::new(messages), 0, name, || ()).await
    }

    /// The outer error is that of the notifier, the inner that of the input.
    async fn ingest_live(
        &self,
        stream: &mut Stream,
        origin: &LineOrigin,
        name: &str,
    ) -> anyhow::Result<Result<(), Refusal>> {
        self.had_timer.set(true);
        let (due, timer) = LocalDueQueue::new(SystemClock);
        let services = LocalServices { shared: self.shared, due: Some(due) };
        let (ended, end) = oneshot::channel();
        let ended_at = Cell::new(None);
        let consumer = async {
            let ingested = self.ingest_live_lines(&services, stream, origin, name).await;
            ended_at.set(Some(Instant::now()));
            // The notifier has dropped the receiver if it has failed.
            let _ = ended.send(());
            ingested
        };
        let (ingested, notified) = futures::join!(consumer, self.notify(&services, timer, end));
        // A delivery that was under way when the input ended takes from the time that is left.
        self.spend(ended_at.get().map(|at: Instant| at.elapsed()).unwrap_or_default());
        notified.map(|()| ingested)
    }

    async fn ingest_live_lines(
        &self,
        services: &LocalServices<'_>,
        stream: &mut Stream,
        origin: &LineOrigin,
        name: &str,
    ) -> Result<(), Refusal> {
        loop {
            let lines = stream.gather(&self.shutdown).await?;
            if let Some(number) = stream.take_cut() {
                self.refuse(name, &line_too_long(&number.to_string()));
            }
            if lines.is_empty() {
                return Ok(());
            }
            self.ingest_until_stored(services, &lines::batch(&lines, origin, SystemClock.now()))
                .await;
        }
    }

    /// A pipe delivers its lines only once. Retries until they are stored, while their writer
    /// waits, or until a shutdown is requested.
    async fn ingest_until_stored(&self, services: &LocalServices<'_>, batch: &Batch<'_>) {
        let mut consumed = ingest_and_park(services, batch, self.deadline()).await;
        while let Some(reason) = first_retry(&consumed)
            && !self.shutdown.is_requested()
        {
            tracing::warn!("The lines are not stored yet, will retry: {reason}");
            tokio::select! {
                () = sleep(STORE_RETRY) => {}
                _ = self.shutdown.requested() => {}
            }
            let earlier = consumed;
            consumed = ingest_and_park(services, batch, self.deadline()).await;
            consumed.follow(earlier);
        }
        self.add(batch, consumed);
    }

    /// Handles due messages until the input has ended.
    async fn notify(
        &self,
        services: &LocalServices<'_>,
        mut timer: UnboundedReceiver<Due>,
        mut end: oneshot::Receiver<()>,
    ) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                biased;
                _ = &mut end => return Ok(()),
                Some(due) = timer.recv() => self.close_due(services, due).await?,
            }
        }
    }

    /// Closes the route of a due message. If work remains, sends the message again for later.
    async fn close_due(&self, services: &LocalServices<'_>, due: Due) -> anyhow::Result<()> {
        let closed = close(services, &due.route, 0, self.deadline()).await;
        self.add_deliveries(closed.messages);
        if let (Some(retry), Some(queue)) = (closed.retry, &services.due) {
            // The failure before a pause was reported already.
            if !retry.reason.follows_a_failure() {
                tracing::warn!(route = %due.route, "Route {} is not finished, will retry: {}", due.route, retry.reason);
            }
            queue.send(&due, SystemClock.now().until(retry.at), self.deadline()).await?;
        }
        Ok(())
    }
}

fn first_retry(consumed: &Consumed) -> Option<String> {
    consumed.verdicts.iter().find_map(|verdict| match verdict {
        Verdict::Retry(reason) => Some(visible::line(&reason.to_string())),
        Verdict::Safe | Verdict::Unreadable(_) | Verdict::Parked(_) => None,
    })
}
