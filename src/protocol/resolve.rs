//! Finds the end of a burst for a fallback that has opened an incident for it. A fallback is owed
//! what the other targets did not get, which is rarely the end of the burst, and no one else would
//! resolve its incident.

use crate::model::outbox::{Cursor, Epoch, TargetState, Thread};
use crate::protocol::escalate::lowest_offset;
use crate::protocol::round::{EPOCHS_AT_ONCE, Round};
use crate::protocol::services::Services;
use crate::protocol::store::{Store as _, StoreError};

/// The epoch that ends the burst of the incident in `state`; `None` while the burst goes on, or
/// while some target has not received all of it. Until then, more of it may be escalated, and the
/// service would open a false incident for an alert that follows the end.
pub(crate) async fn end_of_incident<W: Services>(
    round: &Round<'_, W>,
    cursor: &Cursor,
    state: &TargetState,
) -> Result<Option<Epoch>, StoreError> {
    let Some(thread) = state.thread.as_ref().filter(|thread| is_over(cursor, thread)) else {
        return Ok(None);
    };
    let Some(end) = end_of_burst(round, cursor, thread.burst).await? else { return Ok(None) };
    let lowest = lowest_offset(round, cursor).await?.unwrap_or(end.number);
    Ok((end.number <= lowest).then_some(end))
}

/// The number of a burst is that of its first epoch, so a cursor that has not sealed it is older
/// than the burst.
fn is_over(cursor: &Cursor, thread: &Thread) -> bool {
    thread.burst <= cursor.sealed
        && cursor.burst.is_none_or(|state| state.burst.number != thread.burst)
}

/// `None` if it has none, because its route was not configured for a while, or if it has expired.
async fn end_of_burst<W: Services>(
    round: &Round<'_, W>,
    cursor: &Cursor,
    burst: u64,
) -> Result<Option<Epoch>, StoreError> {
    let Round { services, route, deadline, .. } = *round;
    let is_of_burst = |epoch: &Epoch| epoch.burst.is_some_and(|known| known.number == burst);
    let mut after = burst;
    loop {
        let epochs =
            services.store().epochs(route, after, cursor.sealed, EPOCHS_AT_ONCE, deadline).await?;
        let Some(last) = epochs.last() else { return Ok(None) };
        after = last.number;
        if let Some(epoch) =
            epochs.into_iter().find(|epoch| epoch.ends_burst || !is_of_burst(epoch))
        {
            return Ok(Some(epoch).filter(|epoch| is_of_burst(epoch)));
        }
    }
}
