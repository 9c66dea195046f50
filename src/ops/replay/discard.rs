//! Deletes dead letters that no one needs, such as records that can never be read. Each is exported
//! first, so it can still be replayed from the export.

use std::collections::BTreeSet;

use super::options::ReplayOptions;
use super::pages::Pages;
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

    fn selected(&self) -> u64 {
        self.discarded + self.undeleted.len() as u64
    }

    fn add(&mut self, receipts: Vec<Receipt>, answers: Vec<Result<(), SourceError>>) {
        for (receipt, answer) in receipts.into_iter().zip(answers) {
            self.missing.remove(&receipt.id);
            match answer {
                Ok(()) => self.discarded += 1,
                Err(error) => self.undeleted.push((receipt.id, error)),
            }
        }
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
    let mut pages = Pages::new(source, options, clock);
    let ended = loop {
        let has_all = !options.ids.is_empty() && result.missing.is_empty();
        if has_all {
            break Ok(());
        }
        let page = match pages.next(result.selected()).await {
            Ok(page) if page.is_empty() => break Ok(()),
            Ok(page) => page,
            Err(error) => break Err(error),
        };
        let (selected, others): (Vec<_>, Vec<_>) =
            page.into_iter().partition(|message| is_selected(message, options));
        result.skipped += others.len() as u64;
        let bodies: Vec<&str> = selected.iter().map(|message| message.body.as_str()).collect();
        // Exported first: a crash in between leaves it in both places.
        if let Err(error) = export(&bodies) {
            break Err(error);
        }
        let receipts: Vec<Receipt> = selected.into_iter().map(|message| message.receipt).collect();
        let answers = pages.delete(&receipts).await;
        result.add(receipts, answers);
    };
    result.interrupted = pages.end().await;
    ended.map(|()| result)
}

fn is_selected(message: &ReceivedMessage, options: &ReplayOptions) -> bool {
    let dead_letter = recognize::read(message);
    // A replay takes those of an unknown age, too. A deletion must not.
    let has_age = options.since.is_none() || dead_letter.parked_at.is_some();
    has_age && options.select(&message.receipt.id, &dead_letter)
}
