//! Which dead letters a replay retries, and how fast.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::recognize::{DeadLetter, DeadLetterKind};
use crate::model::name::{CredentialNames, Target};
use crate::model::time::Timestamp;
use crate::protocol::clock::Deadline;

/// Dead letters that are received together. SQS returns at most ten.
const RECEIVED_MAX: usize = 10;

/// The longest step. The visibility timeout has room for two.
pub const STEP_TIMEOUT_MAX: Duration = Duration::from_secs(120);

/// The filters and the pace of a replay. The default retries everything, as fast as it can.
#[derive(Clone, Debug)]
pub struct ReplayOptions {
    /// Ids of the dead letters to retry; empty for all. See [`Receipt::id`](super::Receipt::id).
    pub ids: BTreeSet<String>,
    /// Kinds to retry; empty for all.
    pub kinds: Vec<DeadLetterKind>,
    /// The targets that messages can be delivered to; `None` for all. A message to another one is
    /// left in the queue.
    pub delivers_to: Option<CredentialNames>,
    /// The code to retry, or a part of the reason.
    pub reason: Option<String>,
    /// Retries dead letters that were parked at this time or later, or at an unknown time.
    pub since: Option<Timestamp>,
    /// Dead letters per second.
    pub rate: Option<f64>,
    /// Dead letters in all, without those that the filters skip.
    pub max: Option<u64>,
    /// How long one step may take, such as the delivery of one message. At most
    /// [`STEP_TIMEOUT_MAX`].
    pub step_timeout: Duration,
    /// The Region of the functions, and so of the direct subscriptions that they received.
    pub region: Option<String>,
    /// Stops the replay after the current step.
    pub cancel: CancellationToken,
}

impl Default for ReplayOptions {
    fn default() -> Self {
        Self {
            ids: BTreeSet::new(),
            kinds: Vec::new(),
            delivers_to: None,
            reason: None,
            since: None,
            rate: None,
            max: None,
            step_timeout: Duration::from_secs(60),
            region: None,
            cancel: CancellationToken::new(),
        }
    }
}

impl ReplayOptions {
    /// Whether no filter is set.
    pub fn selects_all(&self) -> bool {
        self.ids.is_empty()
            && self.kinds.is_empty()
            && self.reason.is_none()
            && self.since.is_none()
    }

    /// Whether the filters select a dead letter with this id.
    pub fn select(&self, id: &str, dead_letter: &DeadLetter) -> bool {
        let has_reason =
            |part: &String| dead_letter.code == *part || dead_letter.reason.contains(part.as_str());
        (self.ids.is_empty() || self.ids.contains(id))
            && (self.kinds.is_empty() || self.kinds.contains(&dead_letter.kind))
            && self.reason.as_ref().is_none_or(has_reason)
            && self.since.is_none_or(|since| dead_letter.parked_at.is_none_or(|at| at >= since))
    }

    /// Whether messages can be delivered to the target.
    pub(super) fn delivers_to(&self, target: &Target) -> bool {
        self.delivers_to.as_ref().is_none_or(|names| names.has(target))
    }

    /// How many dead letters to receive next, when so many are selected already.
    pub(super) fn receive_max(&self, selected: u64) -> usize {
        let left = self.max.map_or(u64::MAX, |max| max.saturating_sub(selected));
        usize::try_from(left).unwrap_or(usize::MAX).min(RECEIVED_MAX)
    }

    /// The deadline of a step that starts now.
    pub(super) fn deadline(&self, now: Timestamp) -> Deadline {
        Deadline::after(now, self.step_timeout.min(STEP_TIMEOUT_MAX))
    }
}

#[cfg(test)]
mod tests {
    use super::super::recognize::{DeadLetterContent, Unrecognized};
    use super::*;

    #[test]
    fn filters_select_by_id_kind_reason_and_time() {
        let at = Timestamp::from_millis;
        let dead_letter = |kind, code: &str, parked_at| DeadLetter {
            kind,
            code: code.into(),
            reason: "decodes to more than 1 bytes".into(),
            account: None,
            parked_at,
            content: DeadLetterContent::Unknown(Unrecognized::UnknownShape),
        };
        let all = ReplayOptions::default();
        let records =
            ReplayOptions { kinds: vec![DeadLetterKind::Record], ..ReplayOptions::default() };
        let by_code =
            ReplayOptions { reason: Some("too-large".into()), ..ReplayOptions::default() };
        let by_text =
            ReplayOptions { reason: Some("more than".into()), ..ReplayOptions::default() };
        let late = ReplayOptions { since: Some(at(10)), ..ReplayOptions::default() };
        let parked = dead_letter(DeadLetterKind::Record, "too-large", Some(at(10)));
        let by_id = ReplayOptions { ids: ["a".to_owned()].into(), ..ReplayOptions::default() };
        for options in [&all, &by_id, &records, &by_code, &by_text, &late] {
            assert!(options.select("a", &parked), "{options:?}");
        }
        assert!(!by_id.select("b", &parked));
        assert!(!records.select("a", &dead_letter(DeadLetterKind::Message, "refused", None)));
        assert!(!by_code.select("a", &dead_letter(DeadLetterKind::Record, "not-gzip", None)));
        assert!(!late.select("a", &dead_letter(DeadLetterKind::Record, "too-large", Some(at(9)))));
        assert!(
            late.select("a", &dead_letter(DeadLetterKind::Record, "too-large", None)),
            "of unknown age: rather too many"
        );
    }
}
