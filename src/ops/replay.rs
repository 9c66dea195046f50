//! Replay: retries each dead letter through the stage at which it failed. Records go through the
//! consumer, messages to their target, due messages to the closing of their route. A batch that
//! Lambda gave up on is read from its stream.
//!
//! A dead letter is deleted last: after its alerts are committed and their routes armed or, without
//! a due queue, delivered. A replay that ends earlier leaves the dead letter in the queue, and
//! the next replay finds its committed alerts as duplicates.
//!
//! Time comes from [`Services::clock`] only, so the simulator runs the same code.
//!
//! | file | holds |
//! |---|---|
//! | `source` | the ports: a source of dead letters, and streams from which records are read again |
//! | `recognize` | a dead letter, recognized by its shape |
//! | `options` | the filters and the pace of a replay |
//! | `engine` | receive, retry, delete |
//! | `retry` | how each kind of dead letter is retried |
//! | `pages` | the loop of the two that retry nothing |
//! | `held` | the received dead letters, which must stay hidden from other readers |
//! | `report` | the results, and why a dead letter is left in the queue |
//! | `listing` | the dry run |
//! | `discard` | deletes dead letters that no one needs, after they are exported |

use crate::protocol::services::Services;

mod discard;
mod engine;
mod held;
pub mod listing;
mod options;
mod pages;
pub mod recognize;
mod report;
mod retry;
mod source;

pub use discard::{Discarded, discard};
pub use options::{ReplayOptions, STEP_TIMEOUT_MAX};
pub use recognize::{DeadLetter, DeadLetterKind};
pub use report::{ReplayFailure, Report, Unresolved};
pub use source::{
    DeadLetterSource, Page, Receipt, ReceivedMessage, SourceError, StreamRange, StreamReader,
    StreamRecord, VISIBILITY_TIMEOUT,
};

/// Replays the dead letters of `source` until it has no more, `options.max` is reached or
/// `options.cancel` is cancelled. Calls `on_progress` after each dead letter.
///
/// `streams` reads again the records whose bytes are not in the dead letter.
///
/// ```
/// # use stentor::ops::replay::{DeadLetterSource, StreamReader};
/// # use stentor::protocol::services::Services;
/// use stentor::ops::replay::{DeadLetterKind, ReplayOptions, replay};
///
/// # async fn example(
/// #     services: &impl Services,
/// #     source: &impl DeadLetterSource,
/// #     streams: &impl StreamReader,
/// # ) {
/// let kinds = vec![DeadLetterKind::Record];
/// let options = ReplayOptions { kinds, max: Some(1_000), ..ReplayOptions::default() };
/// let report = replay(services, source, streams, &options, |report| {
///     eprintln!("{} of {} reprocessed", report.reprocessed(), report.received);
/// })
/// .await;
/// for unresolved in &report.unresolved {
///     let failure = &unresolved.failure;
///     eprintln!("{} is left in the queue: {}: {failure}", unresolved.id, failure.code());
/// }
/// # }
/// ```
pub async fn replay<W: Services, D: DeadLetterSource, R: StreamReader>(
    services: &W,
    source: &D,
    streams: &R,
    options: &ReplayOptions,
    mut on_progress: impl FnMut(&Report) + Send,
) -> Report {
    engine::Engine::new(services, source, streams, options, &mut on_progress).run().await
}
