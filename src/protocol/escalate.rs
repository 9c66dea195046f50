//! Escalates to the fallback of a route what another target refused, or has owed for too long.
//!
//! One offset per fallback is enough because an escalation starts at the lowest offset of all
//! targets: everything before the fallback's offset was delivered to the fallback or to every
//! target.

use futures::future::try_join_all;

use crate::config::Route;
use crate::model::name::Target;
use crate::model::outbox::{Cursor, Escalation, Recipient};
use crate::model::time::Timestamp;
use crate::protocol::backoff::RetryAt;
use crate::protocol::retry_reason::RetryReason;
use crate::protocol::round::{EPOCHS_AT_ONCE, Round};
use crate::protocol::services::Services;
use crate::protocol::store::{Store as _, StoreError};

/// A target that is behind.
pub(crate) struct Waiting<'a> {
    pub target: &'a Target,
    /// When the oldest epoch that it is owed was frozen.
    pub since: Timestamp,
}

/// Escalates for each target that has waited for `fallback_after`. Returns when the next of them is
/// due for escalation.
pub(crate) async fn escalate_overdue<W: Services>(
    round: &Round<'_, W>,
    cursor: &Cursor,
    waiting: &[Waiting<'_>],
) -> Result<Option<RetryAt>, StoreError> {
    let Some((fallback, after)) = round.configured().and_then(Route::escalation) else {
        return Ok(None);
    };
    let mut retry = None;
    for Waiting { target, since } in waiting {
        let at = since.after(after);
        if at <= round.now() {
            let reason = format!("{target} has not accepted a message since {}", since.iso());
            escalate(round, cursor, fallback, cursor.sealed, reason).await?;
        } else {
            let reason = RetryReason::Behind { target: Target::clone(target) };
            retry = RetryAt::earlier(retry, Some(RetryAt { at, reason }));
        }
    }
    Ok(retry)
}

/// `target`, if it is owed an epoch.
pub(crate) async fn waiting_since<'a, W: Services>(
    round: &Round<'_, W>,
    cursor: &Cursor,
    target: &'a Target,
) -> Result<Option<Waiting<'a>>, StoreError> {
    let store = round.services.store();
    let state = store.target(round.route, Recipient::Own(target), round.deadline).await?;
    let mut after = cursor.delivered_to(target, &state);
    loop {
        let epochs =
            store.epochs(round.route, after, cursor.sealed, EPOCHS_AT_ONCE, round.deadline).await?;
        if let Some(owed) = epochs.iter().find(|epoch| epoch.owed.contains(target)) {
            return Ok(Some(Waiting { target, since: owed.at }));
        }
        match epochs.last() {
            Some(last) => after = last.number,
            None => return Ok(None),
        }
    }
}

/// Owes `fallback` every epoch up to `upto` that some target of the route has not received. Epochs
/// that the fallback is owed already stay owed, and those that it received are not delivered again.
pub(crate) async fn escalate<W: Services>(
    round: &Round<'_, W>,
    cursor: &Cursor,
    fallback: &Target,
    upto: u64,
    reason: String,
) -> Result<(), StoreError> {
    let store = round.services.store();
    let lowest = lowest_offset(round, cursor).await?.unwrap_or(upto);
    loop {
        let known =
            store.target(round.route, Recipient::Fallback(fallback), round.deadline).await?;
        let offset = known.offset.unwrap_or(0);
        let owed_upto = known.escalation.as_ref().map_or(0, |escalation| escalation.upto);
        if owed_upto >= upto {
            return Ok(());
        }
        let offset = if offset < owed_upto { offset } else { offset.max(lowest) };
        let escalation = Escalation { upto, reason: reason.clone() };
        if store
            .escalate(round.route, fallback, &known, offset, &escalation, round.deadline)
            .await?
        {
            return Ok(());
        }
        // Another process moved the fallback's offset or escalation, or the answer was lost: read
        // it again.
    }
}

/// The epoch up to which every target of the route is acknowledged; `None` without targets.
pub(crate) async fn lowest_offset<W: Services>(
    round: &Round<'_, W>,
    cursor: &Cursor,
) -> Result<Option<u64>, StoreError> {
    let store = round.services.store();
    let offsets = cursor.targets.keys().map(async |target| {
        let state = store.target(round.route, Recipient::Own(target), round.deadline).await?;
        Ok::<u64, StoreError>(cursor.delivered_to(target, &state))
    });
    Ok(try_join_all(offsets).await?.into_iter().min())
}
