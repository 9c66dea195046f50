//! Erasure in the outbox: the tallies, the epochs and the patterns of all routes. The same on each engine.

use std::ops::AddAssign;

use crate::adapters::database::Database;
use crate::model::history::History;
use crate::model::name::RouteName;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::{HistoryChange, Store, StoreError};
use crate::redact::erase::Erasure;

/// Epochs of one read.
const EPOCHS_AT_ONCE: usize = 8;

/// The number of items that held the subject.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct ErasedOutbox {
    /// Tallies of windows that are open or closing.
    pub tallies: u64,
    /// Frozen epochs, delivered or not.
    pub epochs: u64,
    /// Patterns that routes remember.
    pub patterns: u64,
}

impl AddAssign for ErasedOutbox {
    fn add_assign(&mut self, more: Self) {
        self.tallies += more.tallies;
        self.epochs += more.epochs;
        self.patterns += more.patterns;
    }
}

/// Erases the subject from the outbox, or only counts what holds it if this is a dry run.
///
/// # Errors
/// When a call does not return by its `deadline`. A part may be erased then.
pub async fn erase_outbox<C: Clock>(
    database: &Database<C>,
    erasure: &Erasure,
    is_dry_run: bool,
    deadline: impl Fn() -> Deadline,
) -> Result<ErasedOutbox, StoreError> {
    let mut erased = ErasedOutbox::default();
    for route in database.routes(deadline()).await? {
        let work = RouteErasure { database, route: &route, erasure, is_dry_run };
        // Before the epochs: a tally that is frozen meanwhile is then in one of them.
        erased.tallies += work.tallies(&deadline).await?;
        erased.epochs += work.epochs(&deadline).await?;
        erased.patterns += work.patterns(&deadline).await?;
    }
    Ok(erased)
}

struct RouteErasure<'a, C> {
    database: &'a Database<C>,
    route: &'a RouteName,
    erasure: &'a Erasure,
    is_dry_run: bool,
}

impl<C: Clock> RouteErasure<'_, C> {
    async fn tallies(&self, deadline: &impl Fn() -> Deadline) -> Result<u64, StoreError> {
        let (mut count, mut next) = (0, None);
        loop {
            let limit = <Database<C> as Store>::FREEZE_TALLIES_MAX;
            let page = self.database.tallies(self.route, next.as_ref(), limit, deadline()).await?;
            for stored in &page.tallies {
                let Some(tally) = self.erasure.tally(&stored.tally) else { continue };
                let is_erased = self.is_dry_run
                    || self
                        .database
                        .replace_tally(self.route, &stored.key, &tally, deadline())
                        .await?;
                count += u64::from(is_erased);
            }
            next = page.next;
            if next.is_none() {
                return Ok(count);
            }
        }
    }

    /// A history that is counted on meanwhile is read again.
    async fn patterns(&self, deadline: &impl Fn() -> Deadline) -> Result<u64, StoreError> {
        let mut count = 0;
        loop {
            let histories = self.database.all_histories(self.route, deadline()).await?;
            let holds = |history: &History| self.erasure.is_in_pattern(&history.pattern);
            let erased = histories.into_iter().filter(|(_, history)| holds(history));
            let changes: Vec<HistoryChange> = erased
                .map(|(id, mut history)| {
                    let known = Some(history.revision);
                    history.rename(self.erasure.tombstone());
                    HistoryChange { id, known, history }
                })
                .collect();
            count = count.max(changes.len() as u64);
            if changes.is_empty()
                || self.is_dry_run
                || self.database.put_histories(self.route, &changes, deadline()).await?
            {
                return Ok(count);
            }
        }
    }

    async fn epochs(&self, deadline: &impl Fn() -> Deadline) -> Result<u64, StoreError> {
        let upto = self.database.cursor(self.route, deadline()).await?.epoch;
        let (mut count, mut after) = (0, 0);
        loop {
            let page =
                self.database.epochs(self.route, after, upto, EPOCHS_AT_ONCE, deadline()).await?;
            let Some(last) = page.last() else { return Ok(count) };
            after = last.number;
            for epoch in page.iter().filter(|epoch| self.erasure.epoch(epoch).is_some()) {
                let is_erased = self.is_dry_run
                    || self
                        .database
                        .erase_epoch(self.route, epoch.number, self.erasure, deadline())
                        .await?;
                count += u64::from(is_erased);
            }
        }
    }
}
