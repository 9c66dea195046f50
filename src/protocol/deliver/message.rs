//! The next message to a target: which of the owed epochs it covers, and what it says about other
//! targets.

use futures::future::{try_join, try_join_all};

use super::TargetDelivery;
use crate::model::burst::Related;
use crate::model::digest::{Digest, MergedEpochs};
use crate::model::history::{MARK_RECENT, Mark};
use crate::model::outbox::{Epoch, Recipient, TargetState};
use crate::model::threshold::{Hold, Released};
use crate::protocol::resolve::end_of_incident;
use crate::protocol::round::{EPOCHS_AT_ONCE, Round};
use crate::protocol::services::Services;
use crate::protocol::store::{Store as _, StoreError};

impl<W: Services> TargetDelivery<'_, W> {
    /// The next message, and the offset after it; `None` if there is nothing to do. A fallback
    /// resolves the incident of the burst that `end` ends when it is owed nothing more of it.
    pub(super) async fn next(
        &self,
        state: &TargetState,
        end: Option<Epoch>,
    ) -> Result<Option<(Option<Digest>, u64)>, StoreError> {
        let owed = self.owed(state);
        let end = end.filter(|end| owed.is_none_or(|(after, _)| end.number <= after));
        match (owed, end) {
            (_, Some(end)) => {
                let offset = end.number.max(state.offset.unwrap_or_default());
                let mut ending = MergedEpochs::default();
                ending.add(&end);
                Ok(Some((self.addressed(state, ending).await?, offset)))
            }
            (Some((after, upto)), None) => self.digest(state, after, upto).await.map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The epoch that ends the burst for which a fallback has an incident open. Other targets are
    /// owed the end of each burst.
    pub(super) async fn end_of_incident(
        &self,
        state: &TargetState,
    ) -> Result<Option<Epoch>, StoreError> {
        let has_incidents = self.target().kind.has_incidents();
        if !(self.is_fallback() && has_incidents && self.is_configured()) {
            return Ok(None);
        }
        end_of_incident(self.round, self.cursor, state).await
    }

    /// The next message out of the epochs `(after, upto]`, and the last epoch that it deals with.
    /// `None` if the target is owed none of the epochs up to that one.
    async fn digest(
        &self,
        state: &TargetState,
        after: u64,
        upto: u64,
    ) -> Result<(Option<Digest>, u64), StoreError> {
        let Round { services, route, deadline, .. } = *self.round;
        let merging = self.target().kind.merging();
        let is_owed = |epoch: &Epoch| {
            epoch.hold.is_none() && (self.is_fallback() || epoch.owed.contains(self.target()))
        };
        let (mut merged, mut last) = (MergedEpochs::default(), after);
        'reading: while last < upto {
            let is_next = |epoch: &&Epoch| epoch.number == last + 1 && epoch.number == upto;
            let epochs = match self.frozen.filter(is_next) {
                Some(epoch) => vec![epoch.clone()],
                None => {
                    services.store().epochs(route, last, upto, EPOCHS_AT_ONCE, deadline).await?
                }
            };
            if epochs.is_empty() && merged.is_empty() {
                return self.lost(state, (last + 1, upto)).await;
            }
            if epochs.is_empty() {
                break;
            }
            for epoch in epochs {
                // Epochs have consecutive numbers. A gap has a message of its own.
                if epoch.number > last + 1 && merged.is_empty() {
                    return self.lost(state, (last + 1, epoch.number - 1)).await;
                }
                if epoch.number > last + 1 {
                    break 'reading;
                }
                if is_owed(&epoch) {
                    if !merging.joins(&merged, &epoch) {
                        break 'reading;
                    }
                    if let Some(released) = epoch.released {
                        self.add_held(&mut merged, released, epoch.number).await?;
                    }
                    merged.add(&epoch);
                }
                last = epoch.number;
            }
        }
        Ok((self.addressed(state, merged).await?, last))
    }

    /// Adds the held epochs before `epoch` that it releases. The target has passed them, and they are kept
    /// for long enough.
    async fn add_held(
        &self,
        merged: &mut MergedEpochs,
        released: Released,
        epoch: u64,
    ) -> Result<(), StoreError> {
        let Round { services, route, deadline, .. } = *self.round;
        let (mut after, upto) = (released.after, epoch.saturating_sub(1));
        loop {
            let epochs =
                services.store().epochs(route, after, upto, EPOCHS_AT_ONCE, deadline).await?;
            let Some(last) = epochs.last() else { return Ok(()) };
            after = last.number;
            let is_held = |epoch: &&Epoch| epoch.hold == Some(Hold::Threshold);
            epochs.iter().filter(is_held).for_each(|epoch| merged.add_held(epoch));
        }
    }

    /// The report of epochs that the store does not have, and the last of them. Someone deleted them,
    /// or restored the table from a backup. `None` if they have expired after all.
    async fn lost(
        &self,
        state: &TargetState,
        (first, last): (u64, u64),
    ) -> Result<(Option<Digest>, u64), StoreError> {
        let Round { services, route, deadline, .. } = *self.round;
        let retired = services.store().cursor(route, deadline).await?.retired;
        if retired >= first {
            return Ok((None, last.min(retired)));
        }
        tracing::error!(
            route = %route,
            target = %self.target(),
            error.code = "epochs-lost",
            "Epochs {first} to {last} of {route} are missing in the outbox; {} hears of it",
            self.target()
        );
        let severity = self.round.configured().and_then(|route| route.severity);
        let digest = Digest::lost(route, self.target(), severity, (first, last));
        Ok((Some(Digest { muted: state.muted, ..digest }), last))
    }

    /// The message about some epochs to this target; `None` if there are none.
    async fn addressed(
        &self,
        state: &TargetState,
        epochs: MergedEpochs,
    ) -> Result<Option<Digest>, StoreError> {
        let severity = self.round.configured().and_then(|route| route.severity);
        let digest = epochs.digest(self.round.route, self.target(), severity);
        let escalation = state.escalation.as_ref().filter(|_| self.is_fallback());
        let escalated = escalation.map(|escalation| escalation.reason.clone());
        let Some(digest) = digest else { return Ok(None) };
        let mark = async { Ok(self.mark(&digest).await) };
        let (related, mark) = try_join(self.related(&digest), mark).await?;
        let links = self.round.configured().map(|route| route.links(&digest)).unwrap_or_default();
        Ok(Some(Digest { muted: state.muted, escalated, related, links, mark, ..digest }))
    }

    /// The latest mark of the day before the last alert; `None` if marks cannot be read.
    async fn mark(&self, digest: &Digest) -> Option<Mark> {
        let span = digest.tally.span?;
        let marks = match self.marks.clone().await {
            Ok(marks) => marks,
            Err(error) => {
                let (route, code) = (self.round.route, error.code());
                tracing::warn!(%route, error.code = code, "Marks cannot be read, so a message has none: {error}");
                return None;
            }
        };
        let is_before =
            |mark: &&Mark| mark.at <= span.last && span.last <= mark.at.after(MARK_RECENT);
        marks.iter().rev().find(is_before).cloned()
    }

    /// The things that the other targets of the route opened for the same burst.
    async fn related(&self, digest: &Digest) -> Result<Vec<Related>, StoreError> {
        let Round { services, route, deadline, .. } = *self.round;
        let Some(burst) = digest.incident else { return Ok(Vec::new()) };
        let others = self.cursor.targets.keys().filter(|target| target.kind.has_incidents());
        let others = others.filter(|target| *target != self.target());
        let states =
            others.map(|target| services.store().target(route, Recipient::Own(target), deadline));
        let states = try_join_all(states).await?;
        let threads = states.into_iter().filter_map(|state| state.thread);
        Ok(threads.filter(|thread| thread.burst == burst).filter_map(|t| t.related).collect())
    }
}
