//! Remembers the patterns of a route: their [histories](crate::model::history) count each frozen epoch once.
//!
//! An epoch is counted after it is frozen, from the log of epochs. The cursor says up to which epoch the
//! histories count, and each history has the number of the latest epoch that it counts. So counting
//! may stop at any point and begin again: an epoch changes a history once, and in order. The next
//! freeze reads the histories, so what came before is counted first. If there is no time for that, or
//! a history cannot be read, the epoch has no news, and everything else goes on.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;

use crate::model::history::{History, News};
use crate::model::outbox::{Cursor, Epoch};
use crate::model::tally::Tally;
use crate::model::time::Timestamp;
use crate::protocol::round::{EPOCHS_AT_ONCE, Round};
use crate::protocol::services::Services;
use crate::protocol::store::{HistoryChange, Store as _, StoreError};

/// Epochs of an earlier process that a round counts at most. After a long outage this takes several
/// rounds.
const CAUGHT_UP_AT_ONCE: u64 = 200;

/// A round keeps so many histories, and epochs that the store does not count yet.
const HISTORIES_MAX: usize = 500;
const UNCOUNTED_MAX: u64 = 64;

/// Histories that are read at once, and written at once.
const READ_AT_ONCE: usize = 100;
const WRITTEN_AT_ONCE: usize = 100;

/// How often a round begins again because another process counts the same epochs.
const CONFLICTS_MAX: usize = 3;

/// The histories that a round has read, with the epochs that it has frozen.
#[derive(Debug, Default)]
pub(crate) struct Histories {
    known: BTreeMap<String, Known>,
    /// They count the epochs up to this one, and none after it. 0: they are empty.
    upto: u64,
}

/// A history, and its state in the store.
#[derive(Debug, Default)]
struct Known {
    /// The revision of the stored history; `None` if there is none.
    stored: Option<u64>,
    history: Option<History>,
}

impl Histories {
    /// Which patterns of the next epoch are news. `None`: it is not known, because the histories do not
    /// count all epochs before it.
    pub(crate) async fn news<W: Services>(
        &mut self,
        round: &Round<'_, W>,
        cursor: &mut Cursor,
        tally: &Tally,
        now: Timestamp,
    ) -> Result<Option<BTreeMap<String, News>>, StoreError> {
        if self.upto != cursor.epoch {
            // Another process has frozen an epoch meanwhile.
            *self = Self::default();
        }
        if !tally.is_empty() && self.upto != cursor.epoch && !self.catch_up(round, cursor).await? {
            return Ok(None);
        }
        if cursor.counted == cursor.epoch {
            self.upto = cursor.epoch;
        }
        let patterns = tally.by_pattern_id();
        self.read(round, patterns.keys()).await?;
        let news = patterns.into_iter().filter_map(|(id, (_, alerts))| {
            let history = self.known.get(&id).and_then(|known| known.history.as_ref());
            Some((id, History::news(history, alerts, now, cursor.counting_since)?))
        });
        Ok(Some(news.collect()))
    }

    /// Counts an epoch that the round has frozen. The histories of its patterns have been read for its
    /// news. If the store is unavailable, the epoch is counted later.
    pub(crate) async fn count<W: Services>(
        &mut self,
        round: &Round<'_, W>,
        cursor: &mut Cursor,
        epoch: &Epoch,
    ) {
        if epoch.number != self.upto + 1 {
            // They lag behind.
            return;
        }
        self.add(epoch);
        let is_full = self.known.len() > HISTORIES_MAX
            || self.upto.saturating_sub(cursor.counted) >= UNCOUNTED_MAX;
        if is_full && let Err(error) = self.write(round, cursor).await {
            note(round, &error);
        }
    }

    /// Writes what the round has counted, and counts what earlier processes have left. Returns the epoch
    /// up to which the stored histories count.
    pub(crate) async fn settle<W: Services>(
        mut self,
        round: &Round<'_, W>,
        cursor: &Cursor,
    ) -> u64 {
        let mut cursor = cursor.clone();
        let settled = async {
            if self.upto > cursor.counted {
                self.write(round, &mut cursor).await?;
            }
            self.catch_up(round, &mut cursor).await
        };
        if let Err(error) = settled.await {
            note(round, &error);
        }
        cursor.counted
    }

    /// Counts the epochs up to the latest one. Returns whether there was time for all.
    async fn catch_up<W: Services>(
        &mut self,
        round: &Round<'_, W>,
        cursor: &mut Cursor,
    ) -> Result<bool, StoreError> {
        let Round { services, route, deadline, .. } = *round;
        let last = cursor.epoch.min(cursor.counted.saturating_add(CAUGHT_UP_AT_ONCE));
        let mut conflicts = 0;
        while cursor.counted < last {
            let after = cursor.counted;
            let epochs =
                services.store().epochs(route, after, last, EPOCHS_AT_ONCE, deadline).await?;
            let tallies = epochs.iter().map(|epoch| epoch.tally.by_pattern_id());
            let ids: BTreeSet<String> = tallies.flat_map(BTreeMap::into_keys).collect();
            self.read(round, ids.iter()).await?;
            epochs.iter().for_each(|epoch| self.add(epoch));
            // Epochs that are gone cannot be counted.
            self.upto = if epochs.is_empty() { last } else { self.upto };
            if !self.write(round, cursor).await? {
                conflicts += 1;
                if conflicts > CONFLICTS_MAX {
                    return Ok(false);
                }
            }
        }
        Ok(cursor.counted >= cursor.epoch)
    }

    fn add(&mut self, epoch: &Epoch) {
        for (id, (pattern, alerts)) in epoch.tally.by_pattern_id() {
            let Known { history, .. } = self.known.entry(id).or_default();
            let history = history.get_or_insert_with(|| History::new(pattern, epoch.at));
            if history.alerts == 0 {
                pattern.clone_into(&mut history.pattern);
            }
            history.count(epoch.number, alerts, epoch.at);
        }
        self.upto = self.upto.max(epoch.number);
    }

    /// Reads the histories that it does not have. Ids are distinct.
    async fn read<'i, W: Services>(
        &mut self,
        round: &Round<'_, W>,
        ids: impl Iterator<Item = &'i String>,
    ) -> Result<(), StoreError> {
        let Round { services, route, deadline, .. } = *round;
        let unknown: Vec<String> =
            ids.filter(|id| !self.known.contains_key(*id)).cloned().collect();
        let pages = unknown.chunks(READ_AT_ONCE);
        let pages = pages.map(|ids| services.store().histories(route, ids, deadline));
        for (id, history) in try_join_all(pages).await?.into_iter().flatten() {
            let known = Known { stored: Some(history.revision), history: Some(history) };
            self.known.insert(id, known);
        }
        for id in unknown {
            self.known.entry(id).or_default();
        }
        Ok(())
    }

    /// Writes the histories that have changed, and forgets all. Returns `false` if another process was
    /// faster.
    async fn write<W: Services>(
        &mut self,
        round: &Round<'_, W>,
        cursor: &mut Cursor,
    ) -> Result<bool, StoreError> {
        let Round { services, route, deadline, .. } = *round;
        let Self { known, upto } = std::mem::take(self);
        let changes: Vec<HistoryChange> = known.into_iter().filter_map(changed).collect();
        for some in changes.chunks(WRITTEN_AT_ONCE) {
            if !services.store().put_histories(route, some, deadline).await? {
                return Ok(false);
            }
        }
        if upto > cursor.counted {
            let now = round.now();
            services.store().set_counted(route, upto, now, deadline).await?;
            cursor.counted = upto;
            cursor.counting_since.get_or_insert(now);
        }
        Ok(true)
    }
}

/// Housekeeping needs no retry of its own: the next round goes on.
fn note<W: Services>(round: &Round<'_, W>, error: &StoreError) {
    let (route, code) = (round.route, error.code());
    match error {
        StoreError::Unavailable(_) => {
            tracing::debug!(%route, error.code = code, "The histories of patterns are not counted yet: {error}");
        }
        _ => {
            tracing::warn!(%route, error.code = code, "The histories of patterns are not counted: {error}");
        }
    }
}

fn changed((id, known): (String, Known)) -> Option<HistoryChange> {
    let history = known.history?;
    let is_changed = known.stored.is_none_or(|stored| history.revision > stored);
    is_changed.then_some(HistoryChange { id, known: known.stored, history })
}
