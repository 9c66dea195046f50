//! Deletes dead letters that no one needs, such as records that can never be read. Each is exported
//! first, so it can still be replayed from the export.

use std::collections::BTreeSet;

use super::engine::RECEIVED_MAX;
use super::held::Held;
use super::options::ReplayOptions;
use super::recognize;
use super::source::{DeadLetterSource, Receipt, ReceivedMessage, SourceError};
use crate::protocol::clock::Clock;

/// The result of [`discard`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Discarded {
    /// Dead letters that were exported and deleted.
    pub discarded: u64,
    /// Dead letters that the filters skipped.
    pub skipped: u64,
    /// The selected ids of which the source has no dead letter.
    pub missing: BTreeSet<String>,
    /// Ids of the dead letters that were exported and could not be deleted, with the reason.
    pub undeleted: Vec<(String, SourceError)>,
    /// Ctrl-C stopped it.
    pub interrupted: bool,
}

impl Discarded {
    /// Whether every selected dead letter is deleted.
    pub fn is_complete(&self) -> bool {
        self.missing.is_empty() && self.undeleted.is_empty() && !self.interrupted
    }
}

/// Exports and deletes the dead letters of `source` that `options` select, at most `options.max`.
/// `export` returns when the bodies are safe.
///
/// # Errors
/// When the source or the export fails. Dead letters that were not deleted are still in the source.
pub async fn discard<D: DeadLetterSource>(
    source: &D,
    options: &ReplayOptions,
    clock: &impl Clock,
    mut export: impl FnMut(&[&str]) -> Result<(), SourceError>,
) -> Result<Discarded, SourceError> {
    let mut result = Discarded { missing: options.ids.clone(), ..Discarded::default() };
    let mut held = Held::default();
    let ended = loop {
        let selected = result.discarded + result.undeleted.len() as u64;
        let left = options.max.map_or(u64::MAX, |max| max.saturating_sub(selected));
        let has_all = !options.ids.is_empty() && result.missing.is_empty();
        result.interrupted = options.cancel.is_cancelled();
        if result.interrupted || has_all || left == 0 {
            break Ok(());
        }
        let max = usize::try_from(left).unwrap_or(usize::MAX).min(RECEIVED_MAX);
        let received = match source.receive(max, options.deadline(clock.now())).await {
            Ok(received) if received.is_empty() => break Ok(()),
            Ok(received) => received,
            Err(error) => break Err(error),
        };
        held.add(&received, clock.now());
        let is_selected = |message: &ReceivedMessage| {
            let dead_letter = recognize::read(message);
            // A replay takes those of an unknown age, too. A deletion must not.
            let has_age = options.since.is_none() || dead_letter.parked_at.is_some();
            has_age && options.select(&message.receipt.id, &dead_letter)
        };
        let (selected, others): (Vec<_>, Vec<_>) = received.into_iter().partition(is_selected);
        result.skipped += others.len() as u64;
        let bodies: Vec<&str> = selected.iter().map(|message| message.body.as_str()).collect();
        if let Err(error) = export(&bodies) {
            break Err(error);
        }
        result.delete(source, &mut held, selected, options, clock).await;
        held.renew(source, clock.now(), options.deadline(clock.now())).await;
    };
    held.release(source, options.deadline(clock.now())).await;
    ended.map(|()| result)
}

impl Discarded {
    async fn delete<D: DeadLetterSource>(
        &mut self,
        source: &D,
        held: &mut Held,
        exported: Vec<ReceivedMessage>,
        options: &ReplayOptions,
        clock: &impl Clock,
    ) {
        let receipts: Vec<Receipt> = exported.into_iter().map(|message| message.receipt).collect();
        let answers = match receipts.is_empty() {
            true => Vec::new(),
            false => source.delete(&receipts, options.deadline(clock.now())).await,
        };
        for (receipt, answer) in receipts.into_iter().zip(answers) {
            self.missing.remove(&receipt.id);
            match answer {
                Ok(()) => {
                    held.remove(&receipt);
                    self.discarded += 1;
                }
                Err(error) => self.undeleted.push((receipt.id, error)),
            }
        }
    }
}
