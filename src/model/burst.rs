//! A burst: consecutive windows with alerts, and how long its windows are.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::model::humanize::humanize_duration;
use crate::model::time::Timestamp;

/// Consecutive windows with alerts, as far as known at this moment.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Burst {
    /// The number of its first epoch. No other burst of the route has it.
    pub number: u64,
    /// When its first window was closed.
    pub since: Timestamp,
    /// When its latest window was closed.
    pub until: Timestamp,
    /// Alerts since it began, including those of the current digest.
    pub alerts: u64,
}

/// A thing that a target opened for a burst, such as an issue, for the messages of other targets.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Related {
    /// `PAY-123`.
    pub name: String,
    /// Where a browser shows it.
    pub url: Option<String>,
}

/// The burst of a cursor.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurstState {
    pub burst: Burst,
    /// When the latest of its windows that had alerts was closed.
    #[serde(default)]
    pub alerting_until: Timestamp,
    /// Length of its latest window in milliseconds. The next one is longer, up to `window_max`.
    pub window_ms: u64,
}

impl BurstState {
    /// The length of the next window: `window` at first, then twice the previous one, up to
    /// `window_max`.
    pub fn next_window(&self, window: Duration, window_max: Duration) -> Duration {
        match self.window_ms {
            0 => window,
            ms => Duration::from_millis(ms.saturating_mul(2)).min(window_max).max(window),
        }
    }
}

impl Burst {
    /// The duration of the burst, for a reader.
    pub fn length(&self) -> String {
        humanize_duration(self.since.until(self.until))
    }
}
