//! Whether the messages of a burst have mentioned people. It is a part of the reference to the burst, so the
//! first message that is severe enough mentions them, and no other.

use serde::{Deserialize, Serialize};

/// As JSON the reference of an incoming webhook, and a part of that of a bot.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BurstMentions {
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mentioned: bool,
}

impl BurstMentions {
    /// Those of the burst that `joins` refers to; none without a reference, or with one of another version.
    pub fn read(joins: Option<&str>) -> Self {
        joins.and_then(|joins| serde_json::from_str(joins).ok()).unwrap_or_default()
    }

    /// `None` if there is nothing to remember.
    pub fn reference(self) -> Option<String> {
        let reference = || serde_json::to_string(&self).expect("invariant: it is plain JSON data");
        self.mentioned.then(reference)
    }
}
