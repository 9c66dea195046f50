//! The outbox: the cursors, tallies, epochs and targets of each route, and the conditions on them.
//!
//! The items of `Outbox`:
//!
//! | pk | sk | attributes |
//! |---|---|---|
//! | `<route>` | `cursor` | `last_window`, `open`, `due`, `claimed_by`, `claimed_at`, `closing`, `epoch`, `sealed`, `counted`, `counting_since`, `retired`, `burst`, `patterns`, `holding`, `muted_until`, `known_since#<target>` …, `fallback#<target>` … |
//! | `<route>` | `epoch#<n>` | `epoch` (deflated JSON), `expires_at` once retired |
//! | `<route>` | `target#<name>`, `fallback#<name>` | `offset`, `lease`, `leased_until`, `not_before`, `turn`, `failures`, `thread`, `muted`, `escalation`, `last` |
//! | `<route>#<0…7>` | `tally#<unique>` | `tally` (deflated JSON) |
//! | `<route>#patterns` | `<pattern id>` | `history` (deflated JSON), `revision`, `expires_at` |
//! | `#routes` | `<route>` | none: the route has or had alerts |
//! | `#targets` | `<target>` | `not_before` and `next_turn`, for all routes |
//! | `#lag` | `stream` | `until`: until then, a consumer counts as behind its stream |
//! | `#marks` | `<UTC time>#<unique>` | `mark` (JSON), `expires_at` |
//! | `#hours` | `<UTC date>` | `hours`, the set of hours that have alerts; `expires_at` |

use std::borrow::Borrow;
use std::time::Duration;

use aws_sdk_dynamodb::types::{AttributeValue, Delete, Put, TransactWriteItem, Update};
use futures::future::{try_join, try_join_all};

use super::DynamoStore;
use super::expression::Expression;
use super::item::{self, CURSOR, Item, TALLY_SHARDS};
use crate::model::alert::Alert;
use crate::model::burst::BurstState;
use crate::model::error::Cause;
use crate::model::history::{History, Mark};
use crate::model::name::{RouteName, Target};
use crate::model::outbox::{
    Acknowledgement, BurstPatterns, Claim, Cursor, Deferral, Epoch, Escalation, Freeze,
    LastAcknowledged, Lease, Opening, Recipient, TallyKey, TallyPage, TallyPosition, TargetState,
    Window,
};
use crate::model::threshold::Holding;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::{Commit, HistoryChange, RETIRED_KEPT, Store, StoreError};

/// A partition that no route has: route names contain no `#`.
const TARGETS: &str = "#targets";

impl<C: Clock> Store for DynamoStore<C> {
    async fn commit(
        &self,
        alerts: &[impl Borrow<Alert> + Sync],
        deadline: Deadline,
    ) -> Vec<Commit> {
        self.commit_all(alerts.iter().map(Borrow::borrow), deadline).await
    }

    async fn cursor(&self, route: &RouteName, deadline: Deadline) -> Result<Cursor, StoreError> {
        let found = self.get(route.as_str(), CURSOR, deadline).await?;
        found.as_ref().map(item::cursor).transpose().map(Option::unwrap_or_default)
    }

    async fn routes(&self, deadline: Deadline) -> Result<Vec<RouteName>, StoreError> {
        self.registered(deadline).await
    }

    async fn open(
        &self,
        route: &RouteName,
        opening: &Opening,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.update(route.as_str(), CURSOR, &opened(Expression::default(), opening), deadline).await
    }

    async fn claim(
        &self,
        route: &RouteName,
        window: u64,
        known: Option<Claim>,
        claim: Option<Claim>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let known = known.map(|known| item::number(known.by));
        let claimed = claimed(Expression::default(), claim)
            .when_equal("open", item::number(window))
            .when_equal_or_absent("claimed_by", known);
        self.update(route.as_str(), CURSOR, &claimed, deadline).await
    }

    async fn pull_forward(
        &self,
        route: &RouteName,
        window: &Window,
        patterns: &BurstPatterns,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let due = item::moment(window.due);
        let pulled = claimed(Expression::default(), window.claim)
            .set("due", due.clone())
            .set("patterns", item::json(patterns))
            .when_equal("open", item::number(window.number))
            .when_any(&[("due", ">", Some(due))]);
        self.update(route.as_str(), CURSOR, &pulled, deadline).await
    }

    async fn close(
        &self,
        route: &RouteName,
        window: u64,
        burst: Option<BurstState>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let closing = Expression::default()
            .set("closing", item::number(window))
            .remove("open")
            .remove("due")
            .set_or_remove("burst", burst.as_ref().map(item::json));
        let closing =
            claimed(closing, None).when_equal("open", item::number(window)).when_absent("closing");
        self.update(route.as_str(), CURSOR, &closing, deadline).await
    }

    async fn tallies(
        &self,
        route: &RouteName,
        position: Option<&TallyPosition>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<TallyPage, StoreError> {
        let places = ShardPlaces::read(position)?;
        let limit = limit / places.unfinished().max(1);
        let pages = places.0.into_iter().enumerate().map(|(shard, place)| async move {
            let Some(after) = place else { return Ok::<_, StoreError>((Vec::new(), None)) };
            let partition = item::tally_partition(route, shard as u64);
            let start = (!after.is_empty()).then(|| item::key(&partition, &after));
            let range = ("tally#", "tally#~");
            let page = self.query_page(&partition, range, start, Some(limit), deadline).await?;
            let tallies = page.items.iter().map(item::stored).collect::<Result<Vec<_>, _>>()?;
            Ok((tallies, page.last.as_ref().and_then(item::sort_key)))
        });
        let pages = try_join_all(pages).await?;
        let places = ShardPlaces(pages.iter().map(|(_, place)| place.clone()).collect());
        let next = (places.unfinished() > 0).then(|| places.position());
        let tallies = pages.into_iter().flat_map(|(tallies, _)| tallies).collect();
        Ok(TallyPage { tallies, next })
    }

    async fn has_tallies(
        &self,
        route: &RouteName,
        round: u64,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let partition = item::tally_partition(route, round % TALLY_SHARDS);
        let range = ("tally#", "tally#~");
        let page = self.query_page(&partition, range, None, Some(1), deadline).await?;
        Ok(!page.items.is_empty())
    }

    async fn freeze(
        &self,
        route: &RouteName,
        freeze: &Freeze,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let table = &self.tables.outbox;
        let deletes = freeze.tallies.iter().map(|key| delete(table, key));
        let epoch = freeze.epoch.iter().map(|epoch| put_epoch(table, route, epoch));
        let cursor = TransactWriteItem::builder()
            .update(transact_update(table, item::key(route.as_str(), CURSOR), &frozen(freeze)))
            .build();
        self.transact(deletes.chain(epoch).chain([cursor]).collect(), deadline).await
    }

    async fn epochs(
        &self,
        route: &RouteName,
        after: u64,
        upto: u64,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<Epoch>, StoreError> {
        if after >= upto {
            // DynamoDB refuses a range that ends before it begins.
            return Ok(Vec::new());
        }
        let (from, to) = (item::epoch_sort(after + 1), item::epoch_sort(upto));
        let (mut epochs, mut start) = (Vec::new(), None);
        loop {
            let left = limit - epochs.len();
            let range = (from.as_str(), to.as_str());
            let page = self.query_page(route.as_str(), range, start, Some(left), deadline).await?;
            for item in &page.items {
                epochs.push(item::epoch(item)?);
            }
            start = page.last;
            if start.is_none() || epochs.len() >= limit {
                return Ok(epochs);
            }
        }
    }

    async fn target(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        deadline: Deadline,
    ) -> Result<TargetState, StoreError> {
        let (sort, everywhere) = (item::recipient_sort(recipient), recipient.target().to_string());
        let here = self.get(route.as_str(), &sort, deadline);
        let (here, everywhere) = try_join(here, self.get(TARGETS, &everywhere, deadline)).await?;
        let mut state = here.as_ref().map(item::target).transpose()?.unwrap_or_default();
        let paused = everywhere.as_ref().map(item::target).transpose()?.unwrap_or_default();
        // `None` is less than any timestamp.
        state.not_before = state.not_before.max(paused.not_before);
        Ok(state)
    }

    async fn lease(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        known: &TargetState,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Option<TargetState>, StoreError> {
        let taken = Expression::default()
            .set("lease", item::text(&lease.owner))
            .set("leased_until", item::moment(lease.until))
            .when_equal_or_absent("offset", known.offset.map(item::number))
            .when_any(&[
                ("lease", "absent", None),
                ("leased_until", "<=", Some(item::moment(now))),
                ("lease", "=", Some(item::text(&lease.owner))),
            ]);
        let sort = item::recipient_sort(recipient);
        let leased = self.update_and_read(route.as_str(), &sort, &taken, deadline).await?;
        let Some(leased) = leased else { return Ok(None) };
        let state = item::target(&leased)?;
        let not_before = state.not_before.max(known.not_before);
        Ok(Some(TargetState { not_before, ..state }))
    }

    async fn take_turn(
        &self,
        target: &Target,
        interval: Duration,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<Timestamp, StoreError> {
        let target = target.to_string();
        let idle =
            Expression::default().set("next_turn", item::moment(now.after(interval))).when_any(&[
                ("next_turn", "absent", None),
                ("next_turn", "<=", Some(item::moment(now))),
            ]);
        let interval_ms = u64::try_from(interval.as_millis()).unwrap_or(u64::MAX);
        let busy = Expression::default()
            .increase("next_turn", item::number(interval_ms))
            .when_any(&[("next_turn", ">", Some(item::moment(now)))]);
        loop {
            if self.update(TARGETS, &target, &idle, deadline).await? {
                return Ok(now);
            }
            if let Some(entry) = self.update_and_read(TARGETS, &target, &busy, deadline).await? {
                return Ok(item::next_turn(&entry)?.before(interval));
            }
            // The latest turn passed between the two calls, by the clock of another process.
        }
    }

    async fn acknowledge(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        acknowledgement: &Acknowledgement,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let muted = (acknowledgement.muted > 0).then(|| item::number(acknowledgement.muted));
        let Acknowledgement { offset, result, .. } = *acknowledgement;
        let last = LastAcknowledged { offset, result, at: self.clock.now() };
        let update = freed(lease)
            .set("offset", item::number(offset))
            .set("last", item::json(&last))
            .set_or_remove("thread", acknowledgement.thread.as_ref().map(item::json))
            .set_or_remove("muted", muted)
            .remove("not_before")
            .remove("turn")
            .remove("failures");
        if self.update(route.as_str(), &item::recipient_sort(recipient), &update, deadline).await? {
            return Ok(true);
        }
        // The answer to an earlier attempt may be lost. No other call writes the same time and offset.
        let stored = self.own_state(route, recipient, deadline).await?;
        Ok(stored.is_some_and(|stored| stored.last == Some(last)))
    }

    async fn release(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        deferral: &Deferral,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let released = freed(lease)
            .set_or_remove("not_before", deferral.not_before.map(item::moment))
            .set_or_remove("turn", deferral.turn.map(item::moment))
            .set("failures", item::number(deferral.failures.into()));
        if self
            .update(route.as_str(), &item::recipient_sort(recipient), &released, deadline)
            .await?
        {
            return Ok(true);
        }
        // As in `acknowledge`. If another call has written the same, the state is the wanted one, too.
        let stored = self.own_state(route, recipient, deadline).await?;
        Ok(stored.is_some_and(|stored| stored.is_released_as(deferral)))
    }

    async fn pause(
        &self,
        target: &Target,
        until: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let target = target.to_string();
        let raised = |name| {
            Expression::default()
                .set(name, item::moment(until))
                .when_any(&[(name, "absent", None), (name, "<", Some(item::moment(until)))])
        };
        let (paused, turns) = (raised("not_before"), raised("next_turn"));
        let paused = self.update(TARGETS, &target, &paused, deadline);
        let turns = self.update(TARGETS, &target, &turns, deadline);
        try_join(paused, turns).await.map(drop)
    }

    async fn escalate(
        &self,
        route: &RouteName,
        fallback: &Target,
        known: &TargetState,
        offset: u64,
        escalation: &Escalation,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let table = &self.tables.outbox;
        let owed = Expression::default()
            .set("offset", item::number(offset))
            .set("escalation", item::json(escalation))
            .when_equal_or_absent("offset", known.offset.map(item::number))
            .when_equal_or_absent("escalation", known.escalation.as_ref().map(item::json));
        let owed = transact_update(
            table,
            item::key(route.as_str(), &item::recipient_sort(Recipient::Fallback(fallback))),
            &owed,
        );
        let known =
            Expression::default().set(&item::fallback(fallback), AttributeValue::Bool(true));
        let known = transact_update(table, item::key(route.as_str(), CURSOR), &known);
        let transaction =
            [owed, known].map(|update| TransactWriteItem::builder().update(update).build());
        self.transact(transaction.into(), deadline).await
    }

    async fn note_lag(&self, until: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        self.note_lag_until(until, deadline).await
    }

    async fn lagging_until(&self, deadline: Deadline) -> Result<Option<Timestamp>, StoreError> {
        self.noted_lag_until(deadline).await
    }

    async fn mute(
        &self,
        route: &RouteName,
        until: Option<Timestamp>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let muted = Expression::default().set_or_remove("muted_until", until.map(item::moment));
        self.update(route.as_str(), CURSOR, &muted, deadline).await.map(drop)
    }

    async fn retire(
        &self,
        route: &RouteName,
        cursor: &Cursor,
        upto: u64,
        gone: &[Target],
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let after = cursor.retired;
        let expiry = item::expiry(self.clock.now(), RETIRED_KEPT);
        for number in after + 1..=upto {
            let expiring =
                Expression::default().set("expires_at", expiry.clone()).when_present("epoch");
            self.update(route.as_str(), &item::epoch_sort(number), &expiring, deadline).await?;
        }
        let retired = Expression::default()
            .set("retired", item::number(upto))
            .when_count("retired", after)
            .when_count("epoch", cursor.epoch);
        let retired = gone
            .iter()
            .fold(retired, |retired, target| retired.remove(&item::target_since(target)));
        self.update(route.as_str(), CURSOR, &retired, deadline).await.map(drop)
    }

    async fn histories(
        &self,
        route: &RouteName,
        ids: &[String],
        deadline: Deadline,
    ) -> Result<Vec<(String, History)>, StoreError> {
        self.histories_of(route, ids, deadline).await
    }

    async fn put_histories(
        &self,
        route: &RouteName,
        changes: &[HistoryChange],
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        self.replace_histories(route, changes, deadline).await
    }

    async fn set_counted(
        &self,
        route: &RouteName,
        upto: u64,
        now: Timestamp,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let upto = item::number(upto);
        let counted = Expression::default()
            .set("counted", upto.clone())
            .set_if_absent("counting_since", item::moment(now))
            .when_any(&[("counted", "absent", None), ("counted", "<", Some(upto))]);
        self.update(route.as_str(), CURSOR, &counted, deadline).await.map(drop)
    }

    async fn mark(&self, mark: &Mark, deadline: Deadline) -> Result<(), StoreError> {
        self.put_mark(mark, deadline).await
    }

    async fn marks(&self, since: Timestamp, deadline: Deadline) -> Result<Vec<Mark>, StoreError> {
        self.marks_since(since, deadline).await
    }
}

/// For each shard the sort key of the last tally that was read: empty before the first, `None` after
/// the last.
struct ShardPlaces(Vec<Option<String>>);

impl ShardPlaces {
    fn read(position: Option<&TallyPosition>) -> Result<Self, StoreError> {
        let shards = TALLY_SHARDS as usize;
        let Some(TallyPosition(text)) = position else {
            return Ok(Self(vec![Some(String::new()); shards]));
        };
        let places: Option<Vec<Option<String>>> = serde_json::from_str(text).ok();
        places.filter(|places| places.len() == shards).map(Self).ok_or_else(|| {
            StoreError::Invalid(Cause::new("bad-position", "the position is from another store"))
        })
    }

    fn position(&self) -> TallyPosition {
        TallyPosition(serde_json::to_string(&self.0).expect("invariant: texts serialize"))
    }

    fn unfinished(&self) -> usize {
        self.0.iter().flatten().count()
    }
}

/// Opens a window. Condition: it follows the last one, and none is open.
fn opened(cursor: Expression, opening: &Opening) -> Expression {
    let window = &opening.window;
    let opened = cursor
        .set("last_window", item::number(window.number))
        .set("open", item::number(window.number))
        .set("due", item::moment(window.due))
        .when_absent("open")
        .when_count("last_window", window.number - 1);
    known_since(claimed(opened, window.claim), &opening.targets, opening.delivered)
}

fn claimed(cursor: Expression, claim: Option<Claim>) -> Expression {
    cursor
        .set_or_remove("claimed_by", claim.map(|claim| item::number(claim.by)))
        .set_or_remove("claimed_at", claim.map(|claim| item::moment(claim.at)))
}

/// Adds the targets that the cursor does not know yet.
fn known_since(cursor: Expression, targets: &[Target], upto: u64) -> Expression {
    targets.iter().fold(cursor, |cursor, target| {
        cursor.set_if_absent(&item::target_since(target), item::number(upto))
    })
}

/// The update of the cursor in a freeze. Conditions: the epoch before, and the closing window.
fn frozen(freeze: &Freeze) -> Expression {
    let is_holding = freeze.holding != Holding::default();
    let mut cursor = Expression::default()
        .when_count("epoch", freeze.after)
        .when_equal("closing", item::number(freeze.closing))
        .set_or_remove("burst", freeze.burst.as_ref().map(item::json))
        .set_or_remove("patterns", freeze.burst.is_some().then(|| item::json(&freeze.patterns)))
        .set_or_remove("holding", is_holding.then(|| item::json(&freeze.holding)));
    let mut latest = freeze.after;
    if let Some(epoch) = &freeze.epoch {
        latest = epoch.number;
        cursor = known_since(cursor.set("epoch", item::number(latest)), &epoch.owed, freeze.after);
    }
    match &freeze.finish {
        None => cursor,
        Some(finish) => {
            let sealed = cursor.remove("closing").set("sealed", item::number(latest));
            finish.next.iter().fold(sealed, opened)
        }
    }
}

/// Frees a lease. Condition: the holder still has it.
fn freed(lease: &Lease) -> Expression {
    Expression::default()
        .remove("lease")
        .remove("leased_until")
        .when_equal("lease", item::text(&lease.owner))
}

fn delete(table: &str, key: &TallyKey) -> TransactWriteItem {
    let exists = Expression::default().when_present("pk");
    let delete = Delete::builder()
        .table_name(table)
        .set_key(Some(item::key(&key.partition, &key.sort)))
        .set_condition_expression(exists.condition())
        .set_expression_attribute_names(Some(exists.names))
        .build()
        .expect("invariant: table and key are set");
    TransactWriteItem::builder().delete(delete).build()
}

fn put_epoch(table: &str, route: &RouteName, epoch: &Epoch) -> TransactWriteItem {
    let mut entry = item::key(route.as_str(), &item::epoch_sort(epoch.number));
    entry.insert("epoch".to_owned(), item::packed(epoch));
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(entry))
        .build()
        .expect("invariant: table and item are set");
    TransactWriteItem::builder().put(put).build()
}

fn transact_update(table: &str, key: Item, expression: &Expression) -> Update {
    Update::builder()
        .table_name(table)
        .set_key(Some(key))
        .update_expression(expression.update())
        .set_condition_expression(expression.condition())
        .set_expression_attribute_names(Some(expression.names.clone()))
        .set_expression_attribute_values(expression.values())
        .build()
        .expect("invariant: table, key and expression are set")
}

impl<C: Clock> DynamoStore<C> {
    /// The state of a recipient, without the pause of its target on other routes.
    async fn own_state(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        deadline: Deadline,
    ) -> Result<Option<TargetState>, StoreError> {
        let entry = self.get(route.as_str(), &item::recipient_sort(recipient), deadline).await?;
        entry.as_ref().map(item::target).transpose()
    }

    /// Frees every lease. Only for a process that is the only one to deliver: any lease belongs to
    /// a process that has ended.
    ///
    /// # Errors
    /// When the store is unavailable.
    pub async fn free_leases(&self) -> Result<(), StoreError> {
        const PATIENCE: Duration = Duration::from_secs(30);
        let deadline = Deadline::after(self.clock.now(), PATIENCE);
        for route in self.routes(deadline).await? {
            let targets = self.query(route.as_str(), "target#", "target#~", deadline);
            let fallbacks = self.query(route.as_str(), "fallback#", "fallback#~", deadline);
            let (targets, fallbacks) = try_join(targets, fallbacks).await?;
            for entry in targets.iter().chain(&fallbacks) {
                let text = |name: &str| entry.get(name).and_then(|value| value.as_s().ok());
                let (Some(sort), Some(owner)) = (text("sk"), text("lease")) else { continue };
                let lease = Lease { owner: owner.clone(), until: Timestamp::default() };
                self.update(route.as_str(), sort, &freed(&lease), deadline).await?;
            }
        }
        Ok(())
    }
}
