//! The outbox: the cursors, tallies, epochs and targets of each route, and the conditions on them. The
//! tables are in `migrations`.

use std::borrow::Borrow;
use std::time::Duration;

use tokio_postgres::types::Type;

use super::call::Parameter;
use super::value::{self, bits, json, number};
use super::{ATTEMPT_MAX, PostgresStore};
use crate::adapters::packed::pack_json;
use crate::model::alert::Alert;
use crate::model::burst::BurstState;
use crate::model::error::Cause;
use crate::model::history::{History, Mark};
use crate::model::name::{RouteName, Target};
use crate::model::outbox::{
    Acknowledgement, BurstPatterns, Claim, Cursor, Deferral, Epoch, Escalation, Freeze,
    LastAcknowledged, Lease, Opening, Recipient, StoredTally, TallyKey, TallyPage, TallyPosition,
    TargetState, Window,
};
use crate::model::threshold::Holding;
use crate::model::time::Timestamp;
use crate::protocol::clock::{Clock, Deadline};
use crate::protocol::store::{Commit, HistoryChange, RETIRED_KEPT, Store, StoreError};

const INT: Type = Type::INT8;
const TEXT: Type = Type::TEXT;

/// The columns of a claim.
fn claim_parts(claim: Option<Claim>) -> (Option<i64>, Option<i64>) {
    (claim.map(|claim| bits(claim.by)), claim.map(|claim| claim.at.as_millis()))
}

fn millis(at: Option<Timestamp>) -> Option<i64> {
    at.map(Timestamp::as_millis)
}

impl<C: Clock> Store for PostgresStore<C> {
    async fn commit(
        &self,
        alerts: &[impl Borrow<Alert> + Sync],
        deadline: Deadline,
    ) -> Vec<Commit> {
        self.commit_all(alerts.iter().map(Borrow::borrow), deadline).await
    }

    async fn cursor(&self, route: &RouteName, deadline: Deadline) -> Result<Cursor, StoreError> {
        let sql = format!("SELECT {} FROM stentor.cursors WHERE route = $1", value::CURSOR);
        let rows = self.rows(&sql, &[(&route.as_str(), TEXT)], deadline).await?;
        rows.first().map(value::cursor).transpose().map(Option::unwrap_or_default)
    }

    async fn routes(&self, deadline: Deadline) -> Result<Vec<RouteName>, StoreError> {
        let rows =
            self.rows("SELECT route FROM stentor.routes ORDER BY route", &[], deadline).await?;
        let name = |row| value::get::<&str>(row, "route").map(|name| name.parse().ok());
        Ok(rows.iter().map(name).collect::<Result<Vec<_>, _>>()?.into_iter().flatten().collect())
    }

    async fn open(
        &self,
        route: &RouteName,
        opening: &Opening,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let window = &opening.window;
        let (by, at) = claim_parts(window.claim);
        let targets = known_since(&opening.targets, opening.delivered);
        let sql = "UPDATE stentor.cursors SET last_window = $2, open_window = $2, due = $3, claimed_by = $4, \
                claimed_at = $5, targets = $6::text::jsonb || targets \
            WHERE route = $1 AND open_window IS NULL AND last_window = $2 - 1 RETURNING 1";
        let parameters: [Parameter<'_>; 6] = [
            (&route.as_str(), TEXT),
            (&number(window.number), INT),
            (&window.due.as_millis(), INT),
            (&by, INT),
            (&at, INT),
            (&targets, TEXT),
        ];
        self.update_cursor(route, sql, &parameters, deadline).await
    }

    async fn claim(
        &self,
        route: &RouteName,
        window: u64,
        known: Option<Claim>,
        claim: Option<Claim>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let (by, at) = claim_parts(claim);
        let sql = "UPDATE stentor.cursors SET claimed_by = $4, claimed_at = $5 \
            WHERE route = $1 AND open_window = $2 AND claimed_by IS NOT DISTINCT FROM $3 RETURNING 1";
        let parameters: [Parameter<'_>; 5] = [
            (&route.as_str(), TEXT),
            (&number(window), INT),
            (&known.map(|known| bits(known.by)), INT),
            (&by, INT),
            (&at, INT),
        ];
        self.holds(sql, &parameters, deadline).await
    }

    async fn pull_forward(
        &self,
        route: &RouteName,
        window: &Window,
        patterns: &BurstPatterns,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let (by, at) = claim_parts(window.claim);
        let sql = "UPDATE stentor.cursors SET due = $3, claimed_by = $4, claimed_at = $5, patterns = $6 \
            WHERE route = $1 AND open_window = $2 AND due > $3 RETURNING 1";
        let parameters: [Parameter<'_>; 6] = [
            (&route.as_str(), TEXT),
            (&number(window.number), INT),
            (&window.due.as_millis(), INT),
            (&by, INT),
            (&at, INT),
            (&json(patterns), TEXT),
        ];
        self.holds(sql, &parameters, deadline).await
    }

    async fn close(
        &self,
        route: &RouteName,
        window: u64,
        burst: Option<BurstState>,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE stentor.cursors SET closing = $2, open_window = NULL, due = NULL, \
                claimed_by = NULL, claimed_at = NULL, burst = $3 \
            WHERE route = $1 AND open_window = $2 AND closing IS NULL RETURNING 1";
        let burst = burst.as_ref().map(json);
        let parameters: [Parameter<'_>; 3] =
            [(&route.as_str(), TEXT), (&number(window), INT), (&burst, TEXT)];
        self.holds(sql, &parameters, deadline).await
    }

    async fn tallies(
        &self,
        route: &RouteName,
        position: Option<&TallyPosition>,
        limit: usize,
        deadline: Deadline,
    ) -> Result<TallyPage, StoreError> {
        let after = match position {
            None => i64::MIN,
            Some(TallyPosition(text)) => text.parse().map_err(|_| {
                StoreError::Invalid(Cause::new(
                    "bad-position",
                    "the position is from another store",
                ))
            })?,
        };
        let sql = "SELECT id, tally FROM stentor.tallies WHERE route = $1 AND id > $2 ORDER BY id LIMIT $3";
        let parameters: [Parameter<'_>; 3] =
            [(&route.as_str(), TEXT), (&after, INT), (&number(limit as u64), INT)];
        let rows = self.rows(sql, &parameters, deadline).await?;
        let mut tallies = Vec::with_capacity(rows.len());
        for row in &rows {
            let id: i64 = value::get(row, "id")?;
            let key = TallyKey::new(route.to_string(), id.to_string());
            tallies.push(StoredTally { key, tally: value::packed(row, "tally")? });
        }
        let last = tallies.last().filter(|_| tallies.len() >= limit);
        let next = last.map(|last| TallyPosition(last.key.sort.clone()));
        Ok(TallyPage { tallies, next })
    }

    /// In any round: the tallies of a route are in one place.
    async fn has_tallies(
        &self,
        route: &RouteName,
        _: u64,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let sql = "SELECT 1 FROM stentor.tallies WHERE route = $1 LIMIT 1";
        self.holds(sql, &[(&route.as_str(), TEXT)], deadline).await
    }

    async fn freeze(
        &self,
        route: &RouteName,
        freeze: &Freeze,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let keys: Option<Vec<i64>> =
            freeze.tallies.iter().map(|key| key.sort.parse().ok()).collect();
        let Some(keys) = keys else {
            let why = "a key of a tally is from another store";
            return Err(StoreError::Invalid(Cause::new("bad-key", why)));
        };
        let epoch = freeze.epoch.as_ref();
        let latest = epoch.map_or(freeze.after, |epoch| epoch.number);
        let owed = epoch.map_or(&[][..], |epoch| &epoch.owed);
        let next = freeze.finish.as_ref().and_then(|finish| finish.next.as_ref());
        let (by, at) = claim_parts(next.and_then(|next| next.window.claim));
        // The left side loses where both have a target.
        let opened =
            next.map_or_else(|| "{}".to_owned(), |next| known_since(&next.targets, next.delivered));
        let is_holding = freeze.holding != Holding::default();
        let parameters: [Parameter<'_>; 16] = [
            (&route.as_str(), TEXT),
            (&number(freeze.closing), INT),
            (&number(freeze.after), INT),
            (&number(latest), INT),
            (&freeze.burst.as_ref().map(json), TEXT),
            (&freeze.burst.is_some().then(|| json(&freeze.patterns)), TEXT),
            (&known_since(owed, freeze.after), TEXT),
            (&freeze.finish.is_some(), Type::BOOL),
            (&next.map(|next| number(next.window.number)), INT),
            (&next.map(|next| next.window.due.as_millis()), INT),
            (&by, INT),
            (&at, INT),
            (&opened, TEXT),
            (&keys, Type::INT8_ARRAY),
            (&epoch.map(pack_json), Type::BYTEA),
            (&is_holding.then(|| json(&freeze.holding)), TEXT),
        ];
        let rows = self.rows_if_holds(ATTEMPT_MAX, FREEZE, &parameters, deadline).await?;
        Ok(rows.is_some_and(|rows| !rows.is_empty()))
    }

    async fn epochs(
        &self,
        route: &RouteName,
        after: u64,
        upto: u64,
        limit: usize,
        deadline: Deadline,
    ) -> Result<Vec<Epoch>, StoreError> {
        let sql = "SELECT epoch FROM stentor.epochs WHERE route = $1 AND number > $2 AND number <= $3 \
            ORDER BY number LIMIT $4";
        let parameters: [Parameter<'_>; 4] = [
            (&route.as_str(), TEXT),
            (&number(after), INT),
            (&number(upto), INT),
            (&number(limit as u64), INT),
        ];
        let rows = self.rows(sql, &parameters, deadline).await?;
        rows.iter().map(|row| value::packed(row, "epoch")).collect()
    }

    async fn target(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        deadline: Deadline,
    ) -> Result<TargetState, StoreError> {
        let sql = format!(
            "SELECT {}, c.not_before AS paused_until FROM (SELECT) AS one \
             LEFT JOIN stentor.targets t ON t.route = $1 AND t.target = $2 AND t.is_fallback = $3 \
             LEFT JOIN stentor.channels c ON c.target = $2",
            value::TARGET
        );
        let (target, is_fallback) = key(recipient);
        let parameters: [Parameter<'_>; 3] =
            [(&route.as_str(), TEXT), (&target, TEXT), (&is_fallback, Type::BOOL)];
        let rows = self.rows(&sql, &parameters, deadline).await?;
        let Some(row) = rows.first() else { return Ok(TargetState::default()) };
        let state = value::target(row)?;
        // `None` is less than any timestamp.
        let not_before = state.not_before.max(value::time(row, "paused_until")?);
        Ok(TargetState { not_before, ..state })
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
        let sql = format!(
            "INSERT INTO stentor.targets AS t (route, target, is_fallback, lease, leased_until) \
             SELECT $1, $2, $3, $4, $5 WHERE $6::int8 IS NULL OR EXISTS (SELECT FROM stentor.targets o \
                WHERE o.route = $1 AND o.target = $2 AND o.is_fallback = $3) \
             ON CONFLICT (route, target, is_fallback) \
             DO UPDATE SET lease = EXCLUDED.lease, leased_until = EXCLUDED.leased_until \
             WHERE t.\"offset\" IS NOT DISTINCT FROM $6 \
                AND (t.lease IS NULL OR t.leased_until <= $7 OR t.lease = $4) \
             RETURNING {}",
            value::TARGET
        );
        let (target, is_fallback) = key(recipient);
        let parameters: [Parameter<'_>; 7] = [
            (&route.as_str(), TEXT),
            (&target, TEXT),
            (&is_fallback, Type::BOOL),
            (&lease.owner, TEXT),
            (&lease.until.as_millis(), INT),
            (&known.offset.map(number), INT),
            (&now.as_millis(), INT),
        ];
        let rows = self.rows(&sql, &parameters, deadline).await?;
        let Some(row) = rows.first() else { return Ok(None) };
        let state = value::target(row)?;
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
        let sql = "INSERT INTO stentor.channels AS c (target, next_turn) VALUES ($1, $2 + $3) \
            ON CONFLICT (target) DO UPDATE SET next_turn = GREATEST(c.next_turn, $2) + $3 \
            RETURNING next_turn - $3 AS turn";
        let interval = number(u64::try_from(interval.as_millis()).unwrap_or(u64::MAX));
        let parameters: [Parameter<'_>; 3] =
            [(&target.to_string(), TEXT), (&now.as_millis(), INT), (&interval, INT)];
        let rows = self.rows(sql, &parameters, deadline).await?;
        let turn = rows.first().map(|row| value::time(row, "turn")).transpose()?.flatten();
        Ok(turn.unwrap_or(now))
    }

    async fn acknowledge(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        lease: &Lease,
        acknowledgement: &Acknowledgement,
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE stentor.targets SET lease = NULL, leased_until = NULL, \"offset\" = $5, thread = $6, \
                muted = $7, last = $8, not_before = NULL, turn = NULL, failures = 0 \
            WHERE route = $1 AND target = $2 AND is_fallback = $3 AND lease = $4 RETURNING 1";
        let (target, is_fallback) = key(recipient);
        let Acknowledgement { offset, result, .. } = *acknowledgement;
        let last = LastAcknowledged { offset, result, at: self.clock.now() };
        let parameters: [Parameter<'_>; 8] = [
            (&route.as_str(), TEXT),
            (&target, TEXT),
            (&is_fallback, Type::BOOL),
            (&lease.owner, TEXT),
            (&number(offset), INT),
            (&acknowledgement.thread.as_ref().map(json), TEXT),
            (&number(acknowledgement.muted), INT),
            (&json(&last), TEXT),
        ];
        if self.holds(sql, &parameters, deadline).await? {
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
        let sql = "UPDATE stentor.targets SET lease = NULL, leased_until = NULL, not_before = $5, turn = $6, \
                failures = $7 \
            WHERE route = $1 AND target = $2 AND is_fallback = $3 AND lease = $4 RETURNING 1";
        let (target, is_fallback) = key(recipient);
        let parameters: [Parameter<'_>; 7] = [
            (&route.as_str(), TEXT),
            (&target, TEXT),
            (&is_fallback, Type::BOOL),
            (&lease.owner, TEXT),
            (&millis(deferral.not_before), INT),
            (&millis(deferral.turn), INT),
            (&i64::from(deferral.failures), INT),
        ];
        if self.holds(sql, &parameters, deadline).await? {
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
        let sql = "INSERT INTO stentor.channels AS c (target, not_before, next_turn) VALUES ($1, $2, $2) \
            ON CONFLICT (target) DO UPDATE SET not_before = GREATEST(c.not_before, $2), \
                next_turn = GREATEST(c.next_turn, $2)";
        let parameters: [Parameter<'_>; 2] =
            [(&target.to_string(), TEXT), (&until.as_millis(), INT)];
        self.rows(sql, &parameters, deadline).await.map(drop)
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
        // The text that is compared below is the stored one. Another version of this program may write
        // the same value as another text.
        let text = self.escalation(route, fallback, known, deadline).await?;
        let Some(text) = text else { return Ok(false) };
        let sql = "WITH owed AS ( \
                INSERT INTO stentor.targets AS t (route, target, is_fallback, \"offset\", escalation) \
                SELECT $1, $2, true, $3, $4 WHERE ($5::int8 IS NULL AND $6::text IS NULL) \
                    OR EXISTS (SELECT FROM stentor.targets o \
                        WHERE o.route = $1 AND o.target = $2 AND o.is_fallback) \
                ON CONFLICT (route, target, is_fallback) \
                DO UPDATE SET \"offset\" = EXCLUDED.\"offset\", escalation = EXCLUDED.escalation \
                WHERE t.\"offset\" IS NOT DISTINCT FROM $5 AND t.escalation IS NOT DISTINCT FROM $6 \
                RETURNING 1 \
            ) \
            INSERT INTO stentor.cursors AS c (route, fallbacks) \
            SELECT $1, jsonb_build_object($2, true) FROM owed \
            ON CONFLICT (route) DO UPDATE SET fallbacks = c.fallbacks || EXCLUDED.fallbacks RETURNING 1";
        let parameters: [Parameter<'_>; 6] = [
            (&route.as_str(), TEXT),
            (&fallback.to_string(), TEXT),
            (&number(offset), INT),
            (&json(escalation), TEXT),
            (&known.offset.map(number), INT),
            (&text, TEXT),
        ];
        self.holds(sql, &parameters, deadline).await
    }

    async fn note_lag(&self, until: Timestamp, deadline: Deadline) -> Result<(), StoreError> {
        let now = self.clock.now();
        if self.noted_lag.is_recent(now) {
            return Ok(());
        }
        let sql = "INSERT INTO stentor.lag (stream, until) VALUES ('stream', $1) \
            ON CONFLICT (stream) DO UPDATE SET until = EXCLUDED.until";
        self.rows(sql, &[(&until.as_millis(), INT)], deadline).await?;
        self.noted_lag.set(now);
        Ok(())
    }

    async fn lagging_until(&self, deadline: Deadline) -> Result<Option<Timestamp>, StoreError> {
        let rows = self.rows("SELECT until FROM stentor.lag", &[], deadline).await?;
        rows.first().map(|row| value::time(row, "until")).transpose().map(Option::flatten)
    }

    async fn mute(
        &self,
        route: &RouteName,
        until: Option<Timestamp>,
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let sql = "INSERT INTO stentor.cursors (route, muted_until) VALUES ($1, $2) \
            ON CONFLICT (route) DO UPDATE SET muted_until = EXCLUDED.muted_until";
        let parameters: [Parameter<'_>; 2] = [(&route.as_str(), TEXT), (&millis(until), INT)];
        self.rows(sql, &parameters, deadline).await.map(drop)
    }

    async fn retire(
        &self,
        route: &RouteName,
        cursor: &Cursor,
        upto: u64,
        gone: &[Target],
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        let sql = "WITH retired AS ( \
                UPDATE stentor.cursors SET retired = $3, targets = targets - $5::text[] \
                WHERE route = $1 AND retired = $2 AND epoch = $4 RETURNING 1 \
            ) \
            UPDATE stentor.epochs SET expires_at = now() + $6 * interval '1 second' \
            WHERE route = $1 AND number > $2 AND number <= $3 AND EXISTS (SELECT FROM retired)";
        let gone: Vec<String> = gone.iter().map(ToString::to_string).collect();
        let parameters: [Parameter<'_>; 6] = [
            (&route.as_str(), TEXT),
            (&number(cursor.retired), INT),
            (&number(upto), INT),
            (&number(cursor.epoch), INT),
            (&gone, Type::TEXT_ARRAY),
            (&number(RETIRED_KEPT.as_secs()), INT),
        ];
        self.rows(sql, &parameters, deadline).await.map(drop)
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
        self.set_counted_upto(route, upto, now, deadline).await
    }

    async fn mark(&self, mark: &Mark, deadline: Deadline) -> Result<(), StoreError> {
        self.put_mark(mark, deadline).await
    }

    async fn marks(&self, since: Timestamp, deadline: Deadline) -> Result<Vec<Mark>, StoreError> {
        self.marks_since(since, deadline).await
    }

    async fn maintain(&self, deadline: Deadline) -> Result<(), StoreError> {
        self.maintain_tables(deadline).await
    }
}

/// The update of the cursor locks its row, so that another freeze of the route waits and then finds
/// another epoch. If a tally is missing, the division by zero undoes everything.
const FREEZE: &str = "WITH frozen AS ( \
        UPDATE stentor.cursors SET epoch = $4, burst = $5, patterns = $6, holding = $16, \
            targets = $13::text::jsonb || $7::text::jsonb || targets, \
            closing = CASE WHEN $8 THEN NULL ELSE closing END, \
            sealed = CASE WHEN $8 THEN $4 ELSE sealed END, \
            last_window = COALESCE($9, last_window), \
            open_window = COALESCE($9, open_window), \
            due = CASE WHEN $9::int8 IS NULL THEN due ELSE $10 END, \
            claimed_by = CASE WHEN $9::int8 IS NULL THEN claimed_by ELSE $11 END, \
            claimed_at = CASE WHEN $9::int8 IS NULL THEN claimed_at ELSE $12 END \
        WHERE route = $1 AND closing = $2 AND epoch = $3 \
            AND ($9::int8 IS NULL OR (open_window IS NULL AND last_window = $9 - 1)) \
        RETURNING 1 \
    ), gone AS ( \
        DELETE FROM stentor.tallies WHERE route = $1 AND id = ANY ($14) AND EXISTS (SELECT FROM frozen) \
        RETURNING 1 \
    ), kept AS ( \
        INSERT INTO stentor.epochs (route, number, epoch) \
        SELECT $1, $4, $15 FROM frozen WHERE $15::bytea IS NOT NULL \
    ) \
    SELECT 1 / (CASE WHEN (SELECT count(*) FROM gone) = cardinality($14) THEN 1 ELSE 0 END) FROM frozen";

/// As JSON.
fn known_since(targets: &[Target], since: u64) -> String {
    json(
        &targets.iter().map(|target| (target, since)).collect::<std::collections::BTreeMap<_, _>>(),
    )
}

fn key(recipient: Recipient<'_>) -> (String, bool) {
    (recipient.target().to_string(), matches!(recipient, Recipient::Fallback(_)))
}

impl<C: Clock> PostgresStore<C> {
    /// The state of a recipient, without the pause of its target on other routes.
    async fn own_state(
        &self,
        route: &RouteName,
        recipient: Recipient<'_>,
        deadline: Deadline,
    ) -> Result<Option<TargetState>, StoreError> {
        let sql = format!(
            "SELECT {} FROM stentor.targets t \
             WHERE route = $1 AND target = $2 AND is_fallback = $3",
            value::TARGET
        );
        let (target, is_fallback) = key(recipient);
        let parameters: [Parameter<'_>; 3] =
            [(&route.as_str(), TEXT), (&target, TEXT), (&is_fallback, Type::BOOL)];
        let rows = self.rows(&sql, &parameters, deadline).await?;
        rows.first().map(value::target).transpose()
    }

    /// The text of a fallback's escalation, if it has one. `None` if it is not the known one.
    async fn escalation(
        &self,
        route: &RouteName,
        fallback: &Target,
        known: &TargetState,
        deadline: Deadline,
    ) -> Result<Option<Option<String>>, StoreError> {
        let sql = "SELECT escalation FROM stentor.targets WHERE route = $1 AND target = $2 AND is_fallback";
        let parameters: [Parameter<'_>; 2] =
            [(&route.as_str(), TEXT), (&fallback.to_string(), TEXT)];
        let rows = self.rows(sql, &parameters, deadline).await?;
        let Some(row) = rows.first() else { return Ok(known.escalation.is_none().then_some(None)) };
        let stored: Option<Escalation> = value::optional_json(row, "escalation")?;
        Ok((stored == known.escalation).then_some(value::get(row, "escalation")?))
    }

    /// Whether a statement returns a row: its condition holds.
    async fn holds(
        &self,
        sql: &str,
        parameters: &[Parameter<'_>],
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        Ok(!self.rows(sql, parameters, deadline).await?.is_empty())
    }

    /// [`Self::holds`] of an update of a cursor that may not exist yet. Then it is that of a route that
    /// never had an alert.
    async fn update_cursor(
        &self,
        route: &RouteName,
        sql: &str,
        parameters: &[Parameter<'_>],
        deadline: Deadline,
    ) -> Result<bool, StoreError> {
        if self.holds(sql, parameters, deadline).await? {
            return Ok(true);
        }
        let create =
            "INSERT INTO stentor.cursors (route) VALUES ($1) ON CONFLICT DO NOTHING RETURNING 1";
        match self.holds(create, &[(&route.as_str(), TEXT)], deadline).await? {
            true => self.holds(sql, parameters, deadline).await,
            false => Ok(false),
        }
    }
}
