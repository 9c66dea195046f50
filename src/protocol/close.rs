//! Closes a window that is due, freezes its tallies into epochs, and delivers what targets are
//! owed.
//!
//! [`close`] is idempotent. Any process may call it for any route at any time: an early, late or
//! repeated call is a no-op, and a call after a crash resumes the interrupted close.
//!
//! The order that must never change: tallies are listed only after `closing` is set.

use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{join3, try_join};

use crate::model::history::News;
use crate::model::name::{RouteName, Target};
use crate::model::outbox::{Cursor, Epoch, Window};
use crate::model::tally::Tally;
use crate::model::time::Timestamp;
use crate::protocol::arm::ensure_armed;
use crate::protocol::backoff::RetryAt;
use crate::protocol::clock::{Clock as _, Deadline};
use crate::protocol::deliver::{DeliveryReport, deliver_all};
use crate::protocol::freeze::{self, FreezeContext, FreezePart};
use crate::protocol::remember::Histories;
use crate::protocol::round::{ACKNOWLEDGE_MARGIN, Delivery, Round};
use crate::protocol::services::Services;
use crate::protocol::store::{Store, StoreError};

/// Epochs that one round retires at most. After a long outage this takes several rounds.
const RETIRED_AT_ONCE: u64 = 25;

/// The result of a round.
#[derive(Debug, Default)]
pub struct Closed {
    pub messages: Vec<Delivery>,
    /// The window that is open after the round.
    pub open: Option<Window>,
    /// Alerts that the round froze and holds: no target is owed them.
    pub held: u64,
    /// The latest window that is closed; 0 if it is not known.
    pub last_closed: u64,
    /// When the oldest epoch was frozen that a target is still owed, as far as known.
    pub oldest_debt: Option<Timestamp>,
    /// Present when work is left.
    pub retry: Option<RetryAt>,
}

impl Closed {
    /// Whether no later window is closed.
    pub fn is_latest(&self, window: u64) -> bool {
        window >= self.last_closed
    }
}

/// Runs one round for `route`. `attempt` counts from 0 and lengthens the pause before the next
/// attempt.
pub async fn close<W: Services>(
    services: &W,
    route: &RouteName,
    attempt: u32,
    deadline: Deadline,
) -> Closed {
    run_round(Round::new(services, route, attempt, deadline)).await
}

/// [`close`] for a process with a timer that ends: no other closes the windows of `route` at their
/// time. Closes every window now, and so ends the burst.
pub async fn end_burst<W: Services>(
    services: &W,
    route: &RouteName,
    attempt: u32,
    deadline: Deadline,
) -> Closed {
    run_round(Round { is_last: true, ..Round::new(services, route, attempt, deadline) }).await
}

/// The results of a round that has frozen a window.
#[derive(Default)]
struct Frozen {
    /// Alerts that are held.
    held: u64,
    histories: Histories,
    /// The epoch, if the window has only one. Its targets need not read it again.
    epoch: Option<Epoch>,
}

async fn run_round<W: Services>(round: Round<'_, W>) -> Closed {
    let mut frozen = Frozen::default();
    match close_due_window(&round, &mut frozen).await {
        Ok(cursor) => {
            let held = frozen.held;
            Closed { held, ..deliver_epochs(&round, cursor, frozen).await }
        }
        Err(error) => {
            Closed { held: frozen.held, retry: Some(round.retry(error)), ..Closed::default() }
        }
    }
}

/// Runs rounds until no work is left or the deadline is near, for callers without a timer. It waits
/// for leases that other processes hold.
pub async fn drain<W: Services>(services: &W, route: &RouteName, deadline: Deadline) -> Closed {
    let mut all = Closed::default();
    for attempt in 0.. {
        let round = close(services, route, attempt, deadline).await;
        all.messages.extend(round.messages);
        (all.open, all.last_closed) = (round.open, round.last_closed);
        all.oldest_debt = round.oldest_debt;
        all.held += round.held;
        all.retry = round.retry.map(|retry| retry.after(all.retry.take()));
        let Some(retry) = &all.retry else { break };
        if deadline.earlier(ACKNOWLEDGE_MARGIN).has_passed(retry.at) {
            break;
        }
        let now = services.clock().now();
        services.clock().sleep(now.until(retry.at)).await;
    }
    all
}

/// Closes the open window if it is due, finishes a close that is in progress, and returns the
/// cursor at rest.
async fn close_due_window<W: Services>(
    round: &Round<'_, W>,
    frozen: &mut Frozen,
) -> Result<Cursor, StoreError> {
    let store = round.services.store();
    // `None`: a condition did not hold, because another process was faster. Read it again.
    let mut known = None;
    loop {
        let cursor = match known.take() {
            Some(cursor) => cursor,
            None => store.cursor(round.route, round.deadline).await?,
        };
        let context = context(round);
        known = match (cursor.closing, &cursor.open) {
            (Some(window), _) => freeze_window(round, cursor, window, frozen).await?,
            (None, Some(open)) if round.is_last || !context.timed || open.due <= context.now => {
                let (window, burst) = (open.number, freeze::burst_at_close(&cursor, &context));
                let closed = store.close(round.route, window, burst, round.deadline).await?;
                closed.then_some(Cursor { open: None, closing: Some(window), burst, ..cursor })
            }
            _ => return Ok(cursor),
        }
    }
}

/// Turns the tallies of the closing window into epochs, and returns the cursor after that. `None`:
/// a condition did not hold, because another process is freezing the same window.
async fn freeze_window<W: Services>(
    round: &Round<'_, W>,
    mut cursor: Cursor,
    window: u64,
    frozen: &mut Frozen,
) -> Result<Option<Cursor>, StoreError> {
    let store = round.services.store();
    let (limit, before) = (W::Store::FREEZE_TALLIES_MAX, cursor.sealed);
    // The listing begins after `closing` was set. A commit that finished earlier is in it. A commit
    // that comes later finds the window closed and opens the next one; its tally may still be in
    // the listing, or be left for the next window.
    let mut page = store.tallies(round.route, None, limit, round.deadline).await?;
    loop {
        let is_last = page.next.is_none();
        if page.tallies.is_empty() && !is_last {
            page = store.tallies(round.route, page.next.as_ref(), limit, round.deadline).await?;
            continue;
        }
        let would_end = is_last && freeze::would_end_burst(&cursor, page.tallies.is_empty());
        let is_lagging = would_end && is_lagging(round).await?;
        let context = FreezeContext { is_lagging, ..context(round) };
        let mut tally = Tally::sum(page.tallies.iter().map(|stored| &stored.tally));
        tally.news = news(round, &mut cursor, &mut frozen.histories, &tally, context.now).await?;
        let part = FreezePart { stored: &page.tallies, tally, is_last };
        let step = freeze::step(&cursor, window, part, &context);
        let next = async {
            match &page.next {
                Some(next) => {
                    store.tallies(round.route, Some(next), limit, round.deadline).await.map(Some)
                }
                None => Ok(None),
            }
        };
        // No more than two pages are in memory, however many tallies there are.
        let (is_frozen, next) =
            try_join(store.freeze(round.route, &step, round.deadline), next).await?;
        if !is_frozen {
            return Ok(None);
        }
        cursor = freeze::advance(cursor, &step);
        if let Some(epoch) = step.epoch {
            frozen.held += if epoch.hold.is_some() { epoch.tally.alerts } else { 0 };
            frozen.histories.count(round, &mut cursor, &epoch).await;
            let is_only = is_last && cursor.sealed == before + 1;
            frozen.epoch = is_only.then_some(epoch);
        }
        match next {
            Some(next) => page = next,
            None => return Ok(Some(cursor)),
        }
    }
}

/// How long a freeze waits for the histories, and how often it begins again without them.
const NEWS_PATIENCE: Duration = Duration::from_secs(3);
const NEWS_ATTEMPTS: u32 = 2;

/// Which patterns of the next epoch are news. Alerts matter more: histories that no attempt can read are
/// not waited for, and those of a busy store only twice.
async fn news<W: Services>(
    round: &Round<'_, W>,
    cursor: &mut Cursor,
    histories: &mut Histories,
    tally: &Tally,
    now: Timestamp,
) -> Result<BTreeMap<String, News>, StoreError> {
    let deadline = Deadline::after(round.now(), NEWS_PATIENCE).min(round.deadline);
    let reading = Round { deadline, ..*round };
    match histories.news(&reading, cursor, tally, now).await {
        Ok(news) => Ok(news.unwrap_or_default()),
        Err(error @ StoreError::Unavailable(_)) if round.attempt < NEWS_ATTEMPTS => Err(error),
        Err(error) => {
            *histories = Histories::default();
            let code = error.code();
            tracing::error!(route = %round.route, error.code = code, "The histories of patterns cannot be read, so an epoch has no news: {error}");
            Ok(BTreeMap::new())
        }
    }
}

/// Whether a consumer is behind its stream. The last window of a process ends the burst all the
/// same.
async fn is_lagging<W: Services>(round: &Round<'_, W>) -> Result<bool, StoreError> {
    if round.is_last || round.services.due().is_none() {
        return Ok(false);
    }
    let until = round.services.store().lagging_until(round.deadline).await?;
    Ok(until.is_some_and(|until| until > round.now()))
}

async fn deliver_epochs<W: Services>(
    round: &Round<'_, W>,
    mut cursor: Cursor,
    frozen: Frozen,
) -> Closed {
    let Round { services, route, claim, deadline, .. } = *round;
    // The next window has its timer however long the deliveries take.
    let armed = ensure_armed(services, route, cursor.clone(), claim, deadline);
    // Every target has received every retired epoch, so an idle route costs no further call.
    let delivered = async {
        match cursor.retired < cursor.sealed {
            true => deliver_all(round, &cursor, frozen.epoch.as_ref()).await,
            false => DeliveryReport::default(),
        }
    };
    let counted = frozen.histories.settle(round, &cursor);
    // Boxed: SDK calls nest deeply, and every poll would carry their frames on this stack.
    let (armed, DeliveryReport { messages, mut retry, deferred, oldest_debt }, counted) =
        join3(Box::pin(armed), Box::pin(delivered), Box::pin(counted)).await;
    cursor.counted = counted;
    if retry.is_none() && !deferred {
        retire(round, &cursor).await;
    }
    retry = RetryAt::earlier(retry, armed.err().map(|error| round.retry(error)));
    let last_closed = cursor.last_closed();
    Closed { messages, open: cursor.open, held: 0, last_closed, oldest_debt, retry }
}

/// Lets epochs expire that every target has received, and forgets targets that the route no longer
/// has.
async fn retire<W: Services>(round: &Round<'_, W>, cursor: &Cursor) {
    // An epoch that expires can no longer be counted.
    let upto = cursor.sealed.min(cursor.counted).min(cursor.retired + RETIRED_AT_ONCE);
    // A route that is gone keeps its targets: a late alert is owed to them, and then parked.
    let is_configured =
        |target: &Target| round.configured().is_none_or(|route| route.notify.contains(target));
    let is_last = upto == cursor.sealed && cursor.closing.is_none();
    let gone = cursor.targets.keys().filter(|target| is_last && !is_configured(target));
    let gone: Vec<Target> = gone.cloned().collect();
    if cursor.retired < upto
        && let Err(error) =
            round.services.store().retire(round.route, cursor, upto, &gone, round.deadline).await
    {
        // Housekeeping needs no retry of its own: the next round retires them.
        tracing::debug!(route = %round.route, "Delivered epochs are not retired yet: {error}");
    }
}

fn context<'r, W: Services>(round: &'r Round<'_, W>) -> FreezeContext<'r> {
    FreezeContext {
        route: round.configured(),
        substitutes: round.services.routes().iter().next().map_or(&[], |route| &route.notify),
        timed: round.services.due().is_some(),
        is_lagging: false,
        claim: round.claim,
        now: round.now(),
    }
}
