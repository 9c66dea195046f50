//! The dead letters that a replay has received and not deleted. A dead letter that cannot be
//! reprocessed is held until the end: were it visible again, the replay would receive it again.

use std::collections::BTreeMap;
use std::time::Duration;

use super::source::{DeadLetterSource, Receipt, ReceivedMessage, VISIBILITY_TIMEOUT};
use crate::model::time::Timestamp;
use crate::protocol::clock::Deadline;

/// Receipts, and until when each message is hidden from other readers.
#[derive(Debug, Default)]
pub(super) struct Held {
    hidden_until: BTreeMap<Receipt, Timestamp>,
}

impl Held {
    pub(super) fn add(&mut self, received: &[ReceivedMessage], now: Timestamp) {
        let until = now.after(VISIBILITY_TIMEOUT);
        self.hidden_until.extend(received.iter().map(|message| (message.receipt.clone(), until)));
    }

    pub(super) fn remove(&mut self, receipt: &Receipt) {
        self.hidden_until.remove(receipt);
    }

    /// Hides again the messages whose visibility timeout is half over.
    pub(super) async fn renew<D: DeadLetterSource>(
        &mut self,
        source: &D,
        now: Timestamp,
        deadline: Deadline,
    ) {
        let half_time = now.after(VISIBILITY_TIMEOUT / 2);
        let due = self.hidden_until.iter().filter(|(_, until)| **until <= half_time);
        let receipts: Vec<Receipt> = due.map(|(receipt, _)| receipt.clone()).collect();
        if receipts.is_empty() {
            return;
        }
        source.hide(&receipts, VISIBILITY_TIMEOUT, deadline).await;
        let until = now.after(VISIBILITY_TIMEOUT);
        self.hidden_until.extend(receipts.into_iter().map(|receipt| (receipt, until)));
    }

    /// Makes every message visible again.
    pub(super) async fn release<D: DeadLetterSource>(&mut self, source: &D, deadline: Deadline) {
        let receipts: Vec<Receipt> = std::mem::take(&mut self.hidden_until).into_keys().collect();
        if !receipts.is_empty() {
            source.hide(&receipts, Duration::ZERO, deadline).await;
        }
    }
}
