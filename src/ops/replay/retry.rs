//! How each kind of dead letter is retried: through the stage at which it failed.

use std::collections::BTreeSet;

use super::engine::{Engine, ReplayOutcome};
use super::recognize::{DeadLetterContent, ParkedRecord, Payload, region_of};
use super::report::ReplayFailure;
use super::source::{DeadLetterSource, StreamRange, StreamReader, StreamRecord};
use crate::ingest::decode::Poison;
use crate::ingest::event::{self, Batch, Context, Data, DueMessage, Event, Record};
use crate::model::digest::Digest;
use crate::model::name::RouteName;
use crate::protocol::close::drain;
use crate::protocol::consume::{Consumed, Verdict, ingest, park_all, parked};
use crate::protocol::dead_letter::{ParkedItem, ParkedMessage};
use crate::protocol::notifier;
use crate::protocol::notify::{Deliver as _, DeliverError};
use crate::protocol::queue::{Due, DueQueue as _};
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::round::{Delivery, DeliveryOutcome, Round};
use crate::protocol::services::Services;

/// The outcome of some records that belong to one dead letter.
#[derive(Default)]
struct Ingested {
    routes: BTreeSet<RouteName>,
    /// The first reason for which a record has to be retried.
    retry: Option<RetryReason>,
    /// The unreadable records. They are not parked yet.
    unreadable: Vec<(Poison, ParkedItem)>,
}

impl<W: Services, D: DeadLetterSource, R: StreamReader> Engine<'_, W, D, R> {
    pub(super) async fn retry(&mut self, content: DeadLetterContent) -> ReplayOutcome {
        match content {
            DeadLetterContent::Record(record) => self.retry_records(&[record]).await.remove(0),
            DeadLetterContent::Range(range) => self.retry_range(&range).await,
            DeadLetterContent::Message(message) => self.retry_message(*message).await,
            DeadLetterContent::Due(due) => self.retry_due(&due).await,
            DeadLetterContent::Payload(payload) => self.retry_payload(&payload).await,
            DeadLetterContent::Unknown(unrecognized) => Err(unrecognized.into()),
        }
    }

    /// Ingests parked records. Returns one outcome for each. A record that is still unreadable is
    /// in the queue already, so it is not parked.
    pub(super) async fn retry_records(&mut self, records: &[ParkedRecord]) -> Vec<ReplayOutcome> {
        let batch =
            Batch { records: records.iter().map(parked_record).collect(), window_state: None };
        let consumed = self.ingest(&batch).await;
        let outcome = |(index, verdict): (usize, &Verdict)| match verdict {
            Verdict::Safe => Ok(routes_of(&consumed, index)),
            Verdict::Unreadable(poison) | Verdict::Parked(poison) => Err(poison.clone().into()),
            Verdict::Retry(reason) => Err(reason.clone().into()),
        };
        consumed.verdicts.iter().enumerate().map(outcome).collect()
    }

    async fn ingest(&mut self, batch: &Batch<'_>) -> Consumed {
        let consumed = Box::pin(ingest(self.services, batch, self.deadline())).await;
        self.report.counts += consumed.counts;
        self.report.routes.extend(consumed.touched.keys().cloned());
        if self.services.due().is_none() {
            self.undelivered.extend(consumed.touched.keys().cloned());
        }
        consumed
    }

    /// Ingests records that belong to one dead letter.
    async fn ingest_part(&mut self, batch: &Batch<'_>) -> Ingested {
        let consumed = self.ingest(batch).await;
        let now = self.now();
        let mut ingested = Ingested::default();
        for (record, verdict) in batch.records.iter().zip(consumed.verdicts) {
            match verdict {
                Verdict::Safe => {}
                Verdict::Unreadable(poison) | Verdict::Parked(poison) => {
                    let item = parked(record, &poison, now);
                    ingested.unreadable.push((poison, item));
                }
                Verdict::Retry(reason) => ingested.retry = ingested.retry.or(Some(reason)),
            }
        }
        ingested.routes = consumed.touched.into_keys().collect();
        ingested
    }

    /// A dead letter that is one record (`is_single`) stays in the queue while the record is
    /// unreadable. The unreadable records among several are parked one by one, so that their dead
    /// letter can be deleted; but only if nothing else keeps it, or each replay would park them
    /// again.
    async fn park_unreadable(&mut self, ingested: Ingested, is_single: bool) -> ReplayOutcome {
        let Ingested { routes, retry, unreadable } = ingested;
        if let Some(reason) = retry {
            return Err(reason.into());
        }
        let (mut poison, items): (Vec<Poison>, Vec<ParkedItem>) = unreadable.into_iter().unzip();
        if is_single && !poison.is_empty() {
            return Err(poison.remove(0).into());
        }
        let answers = park_all(self.services, &items, self.deadline()).await;
        answers.into_iter().collect::<Result<(), _>>().map_err(ReplayFailure::Park)?;
        Ok(routes)
    }

    async fn retry_payload(&mut self, payload: &Payload) -> ReplayOutcome {
        match event::read(&payload.json, context_of(payload, self.options.region.as_deref()))? {
            Event::Batch(batch) => {
                let ingested = self.ingest_part(&batch).await;
                self.park_unreadable(ingested, batch.records.len() == 1).await
            }
            Event::Due(messages) => self.retry_due_messages(&messages).await,
            Event::Sweep => self.sweep().await,
        }
    }

    async fn retry_due_messages(&mut self, messages: &[DueMessage]) -> ReplayOutcome {
        for message in messages {
            let due =
                serde_json::from_str(&message.body).map_err(|_| ReplayFailure::NotADueMessage)?;
            self.retry_due(&due).await?;
        }
        Ok(BTreeSet::new())
    }

    async fn sweep(&mut self) -> ReplayOutcome {
        let swept = Box::pin(notifier::sweep(self.services, self.deadline())).await;
        let swept = swept.map_err(RetryReason::from)?;
        self.report.messages.extend(swept.messages);
        match swept.unfinished.into_iter().next() {
            Some((route, retry)) => {
                Err(RetryReason::Route { route, reason: Box::new(retry.reason) }.into())
            }
            None => Ok(BTreeSet::new()),
        }
    }

    /// Reads the records of a range page by page and ingests them. If the stream no longer has some
    /// of them, the dead letter stays: it is their only trace.
    async fn retry_range(&mut self, range: &StreamRange) -> ReplayOutcome {
        let (mut found, mut first, mut after) = (0, None, None::<String>);
        let mut all = Ingested::default();
        loop {
            let page = self
                .streams
                .read(range, after.as_deref(), self.deadline())
                .await
                .map_err(ReplayFailure::Stream)?;
            found += page.records.len() as u64;
            first = first.or_else(|| page.records.first().map(|record| record.sequence.clone()));
            after = page.records.last().map(|record| record.sequence.clone()).or(after);
            let records = page.records.iter().map(|record| stream_record(range, record)).collect();
            all.add(self.ingest_part(&Batch { records, window_state: None }).await);
            if !page.more || all.retry.is_some() {
                break;
            }
            if self.options.cancel.is_cancelled() {
                return Err(ReplayFailure::Interrupted { found, shard_id: range.shard_id.clone() });
            }
            self.renew().await;
        }
        match expired(range, found, first.as_deref()) {
            Some(failure) if all.retry.is_none() => Err(failure),
            _ => self.park_unreadable(all, range.records == Some(1)).await,
        }
    }

    /// Delivers a parked message to the target that refused it, and to no other.
    async fn retry_message(&mut self, message: ParkedMessage) -> ReplayOutcome {
        if !self.options.delivers_to(&message.target) {
            return Err(ReplayFailure::NotDeliverable(message.target));
        }
        let route = self.services.routes().get(&message.route);
        let digest = message.digest(route.and_then(|route| route.severity));
        let links = route.map(|route| route.links(&digest)).unwrap_or_default();
        let digest = Digest { links, ..digest };
        let delivered = self.deliver(&digest).await;
        let outcome = match &delivered {
            Ok(()) => DeliveryOutcome::Accepted,
            Err(failure) => DeliveryOutcome::Retry(failure.to_string()),
        };
        self.report.messages.push(Delivery {
            first_after: None,
            alerts: digest.tally.alerts,
            route: digest.route,
            target: digest.target,
            epochs: digest.epochs,
            outcome,
            failure: None,
        });
        delivered.map(|()| BTreeSet::new())
    }

    /// Attempts to deliver until the target answers or the step has no time left.
    async fn deliver(&mut self, digest: &Digest) -> Result<(), ReplayFailure> {
        let deadline = self.deadline();
        let round = Round::new(self.services, &digest.route, 0, deadline);
        for failures in 0.. {
            let target = digest.target.clone();
            let (after, reason) =
                match self.services.deliver().deliver(digest, None, deadline).await {
                    Ok(_) => break,
                    Err(DeliverError::Retry { after, reason }) => (after, reason.text),
                    Err(DeliverError::Refused { reason }) => {
                        return Err(ReplayFailure::Refused { target, reason: reason.text });
                    }
                    Err(DeliverError::Denied { reason }) => {
                        return Err(ReplayFailure::Denied { target, reason: reason.text });
                    }
                    Err(error @ DeliverError::Deferred) => {
                        return Err(
                            RetryReason::Delivery { target, reason: error.to_string() }.into()
                        );
                    }
                };
            let retry = round.retry_after(failures, RetryReason::Delivery { target, reason });
            let at = retry.at.max(self.now().after(after.unwrap_or_default()));
            if deadline.has_passed(at) || !self.sleep_until(at).await {
                return Err(retry.reason.into());
            }
        }
        Ok(())
    }

    /// Closes the route of a due message if its window is due, and delivers what is owed. If its
    /// window is still open, the message goes back into the due queue: the window has no other
    /// timer.
    async fn retry_due(&mut self, due: &Due) -> ReplayOutcome {
        let deadline = self.deadline();
        let closed = Box::pin(drain(self.services, &due.route, deadline)).await;
        self.report.messages.extend(closed.messages);
        self.report.routes.insert(due.route.clone());
        if let Some(retry) = closed.retry {
            return Err(retry.reason.into());
        }
        let open = closed.open.filter(|open| open.number == due.window);
        if let (Some(open), Some(queue)) = (open, self.services.due()) {
            queue
                .send(due, self.now().until(open.due), deadline)
                .await
                .map_err(RetryReason::DueQueue)?;
        }
        Ok(BTreeSet::new())
    }
}

impl Ingested {
    fn add(&mut self, more: Self) {
        self.routes.extend(more.routes);
        self.retry = self.retry.take().or(more.retry);
        self.unreadable.extend(more.unreadable);
    }
}

/// The routes that one record of a batch touched.
fn routes_of(consumed: &Consumed, index: usize) -> BTreeSet<RouteName> {
    let touched = consumed.touched.iter().filter(|(_, records)| records.contains(&index));
    touched.map(|(route, _)| route.clone()).collect()
}

/// `region`: the Region of the functions, where the envelope does not say it.
pub(super) fn context_of<'c>(payload: &'c Payload, region: Option<&'c str>) -> Context<'c> {
    Context { name: "replay", region: payload.region.as_deref().or(region), records_max: None }
}

pub(super) fn parked_record(parked: &ParkedRecord) -> Record<'_> {
    let mut record =
        Record::named(parked.event_id.clone(), Data::Base64(parked.data.as_str().into()));
    let region = || parked.stream_arn.as_deref().and_then(region_of);
    record.region = parked.region.clone().or_else(region).map(Into::into);
    record.stream_arn = parked.stream_arn.as_deref().map(Into::into);
    record.partition_key = parked.partition_key.as_deref().map(Into::into);
    record.arrived_at = parked.arrived_at.as_deref().map(Into::into);
    record
}

fn stream_record<'r>(range: &'r StreamRange, read: &'r StreamRecord) -> Record<'r> {
    let event_id = format!("{}:{}", range.shard_id, read.sequence);
    let mut record = Record::named(event_id, Data::Base64(read.data.as_str().into()));
    record.region = region_of(&range.stream_arn).map(Into::into);
    record.stream_arn = Some(range.stream_arn.as_str().into());
    record.partition_key = read.partition_key.as_deref().map(Into::into);
    // Seconds, as an event source mapping writes it.
    record.arrived_at =
        read.arrived_at.map(|at| format!("{:.3}", at.as_millis() as f64 / 1000.0).into());
    record
}

/// The failure of a range of which some records are missing. A stream expires its oldest records
/// first, so a range of an unknown length is complete if its first record is there.
fn expired(range: &StreamRange, found: u64, first: Option<&str>) -> Option<ReplayFailure> {
    match range.records {
        Some(records) if found < records => {
            Some(ReplayFailure::Expired { expired: records - found, records, found })
        }
        Some(_) => None,
        None if first == Some(range.first.as_str()) => None,
        None => Some(ReplayFailure::FirstExpired { found }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_past_the_retention_are_counted() {
        let missing = |records, found, first| {
            let range = StreamRange {
                stream_arn: "arn".into(),
                shard_id: "shardId-0".into(),
                first: "5".into(),
                last: "9".into(),
                records,
            };
            expired(&range, found, first).map_or(0, |failure| failure.records_expired())
        };
        assert_eq!(missing(Some(5), 5, Some("5")), 0);
        assert_eq!(missing(Some(5), 2, Some("8")), 3);
        assert_eq!(missing(Some(5), 0, None), 5);
        assert_eq!(missing(None, 3, Some("5")), 0);
        assert_eq!(missing(None, 3, Some("6")), 1);
    }
}
