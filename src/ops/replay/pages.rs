//! Reads the dead letters of a source page by page, for callers that retry nothing. Each stays
//! hidden from other readers until the end; were it visible again, it would be received again.

use super::held::Held;
use super::options::ReplayOptions;
use super::source::{DeadLetterSource, Receipt, ReceivedMessage, SourceError};
use crate::protocol::clock::Clock;

/// A reading of a source. It has to be [ended](Pages::end).
pub(super) struct Pages<'a, D, C> {
    source: &'a D,
    options: &'a ReplayOptions,
    clock: &'a C,
    held: Held,
    is_interrupted: bool,
}

impl<'a, D: DeadLetterSource, C: Clock> Pages<'a, D, C> {
    pub(super) fn new(source: &'a D, options: &'a ReplayOptions, clock: &'a C) -> Self {
        Self { source, options, clock, held: Held::default(), is_interrupted: false }
    }

    /// The next dead letters. Empty at the end: there are no more, `options.max` are `selected`, or
    /// `options.cancel` is cancelled.
    pub(super) async fn next(
        &mut self,
        selected: u64,
    ) -> Result<Vec<ReceivedMessage>, SourceError> {
        let now = self.clock.now();
        self.held.renew(self.source, now, self.options.deadline(now)).await;
        let max = self.options.receive_max(selected);
        self.is_interrupted = self.options.cancel.is_cancelled();
        if self.is_interrupted || max == 0 {
            return Ok(Vec::new());
        }
        let received = self.source.receive(max, self.options.deadline(now)).await?;
        self.held.add(&received, self.clock.now());
        Ok(received)
    }

    /// Deletes dead letters of this reading. Returns one answer for each receipt, in their order.
    pub(super) async fn delete(&mut self, receipts: &[Receipt]) -> Vec<Result<(), SourceError>> {
        if receipts.is_empty() {
            return Vec::new();
        }
        let answers = self.source.delete(receipts, self.options.deadline(self.clock.now())).await;
        for (receipt, _) in receipts.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()) {
            self.held.remove(receipt);
        }
        answers
    }

    /// Makes all that was not deleted visible again. Returns whether the reading was cancelled.
    pub(super) async fn end(mut self) -> bool {
        self.held.release(self.source, self.options.deadline(self.clock.now())).await;
        self.is_interrupted
    }
}
