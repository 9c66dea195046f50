//! Names that are stored: they are parts of DynamoDB keys and of queued messages.
//!
//! A [`RouteName`] or [`Target`] is always well formed, so the parts of a key cannot run into each
//! other: `#` and `:` separate them and never occur inside a name. Which names exist is a matter of
//! [`config`](crate::config).
//!
//! Errors never repeat the refused text. Users paste a webhook URL, which is a credential, where a
//! name belongs, and errors end up in logs.

use std::borrow::Borrow;
use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use strum::{Display, EnumString, IntoStaticStr, VariantNames};
use thiserror::Error;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Why a text is not a valid name. Says what is expected, never what was found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NameError(String);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// A letter or digit, then letters, digits, `.`, `_` and `-`, all ASCII; at most
        /// [`NAME_BYTES_MAX`] bytes. Case-sensitive. Cheap to clone. A string in JSON.
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                check_name(text)?;
                Ok(Self(text.into()))
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> String {
                name.as_str().to_owned()
            }
        }

        impl Borrow<str> for $name {
            fn borrow(&self) -> &str {
                self.as_str()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

name! {
    /// The name of a route, such as `critical`; unique within a configuration.
    RouteName
}

name! {
    /// The name of a target among those of its kind, such as `app-alerts`. The secret has the
    /// credential under this name.
    TargetName
}

/// The destination of a digest, written `kind:name`, such as `slack:app-alerts`, also in JSON.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    /// The service.
    pub kind: TargetKind,
    /// The channel, project or topic of that service.
    pub name: TargetName,
}

impl FromStr for Target {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        if text.contains("://") {
            return Err(expected(
                "a URL is a credential and belongs in the secret; \
                 expected \"kind:name\", such as \"slack:app-alerts\"",
            ));
        }
        let Some((kind, name)) = text.split_once(':') else {
            return Err(expected("expected \"kind:name\", such as \"slack:app-alerts\""));
        };
        let kind = kind.parse().map_err(|_| unknown_kind())?;
        Ok(Target { kind, name: name.parse()? })
    }
}

impl Target {
    /// The names under which a secret may have the credential, the most specific first:
    /// `slack:app-alerts`; `app-alerts`, if names are unique over all kinds; and `slack:*` for all
    /// targets of a kind.
    pub fn credential_names(&self) -> [String; 3] {
        [self.to_string(), self.name.to_string(), format!("{}:*", self.kind)]
    }
}

/// The names under which credentials are known.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CredentialNames(BTreeSet<String>);

impl CredentialNames {
    /// Whether there is a credential for the target.
    pub fn has(&self, target: &Target) -> bool {
        target.credential_names().iter().any(|name| self.0.contains(name))
    }

    /// The names that none of these targets has.
    pub fn unused<'a>(
        &'a self,
        targets: impl Iterator<Item = &'a Target> + Clone,
    ) -> impl Iterator<Item = &'a str> {
        let is_used = move |name: &&String| {
            targets.clone().any(|target| target.credential_names().contains(name))
        };
        self.0.iter().filter(move |name| !is_used(name)).map(String::as_str)
    }
}

impl FromIterator<String> for CredentialNames {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(names.into_iter().collect())
    }
}

impl TryFrom<String> for Target {
    type Error = NameError;

    fn try_from(text: String) -> Result<Self, NameError> {
        text.parse()
    }
}

impl From<Target> for String {
    fn from(target: Target) -> String {
        target.to_string()
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.kind, self.name)
    }
}

/// The part of a [`Target`] before the colon: a service that receives messages.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum TargetKind {
    /// A Slack channel, through an incoming webhook or a bot.
    Slack,
    /// A PagerDuty service, through an integration of Events API v2.
    PagerDuty,
    /// A project in Jira Cloud.
    Jira,
    /// Operations alerts of Jira Service Management, or Opsgenie.
    Jsm,
    /// A Microsoft Teams channel, through a workflow.
    Teams,
    /// An HTTPS endpoint that takes signed webhooks.
    Webhook,
    /// An Amazon SNS topic.
    Sns,
    /// A Discord channel, through a webhook.
    Discord,
    /// A Google Chat space, through a webhook.
    GoogleChat,
    /// A Mattermost channel, through an incoming webhook.
    Mattermost,
}

/// Which of the epochs that a target is owed one message covers. Different targets need different
/// messages: people want one for everything, an incident belongs to one burst, and a program that
/// stores the ids of messages needs the same message again after a lost answer.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Merging {
    /// All of them.
    All,
    /// Those of one burst. The epoch that ends a burst has a message of its own, so a request that
    /// opens an incident never comes after the one that resolves it.
    Burst,
    /// One. A repeated message has the same content as the first.
    Single,
}

impl TargetKind {
    pub fn merging(self) -> Merging {
        match self {
            Self::PagerDuty | Self::Jira | Self::Jsm => Merging::Burst,
            Self::Webhook => Merging::Single,
            Self::Slack
            | Self::Teams
            | Self::Sns
            | Self::Discord
            | Self::GoogleChat
            | Self::Mattermost => Merging::All,
        }
    }

    /// The time between two messages that the service documents for one channel; zero if it takes as
    /// many as there are. All routes that share a target share this.
    pub fn interval(self) -> Duration {
        Duration::from_millis(match self {
            Self::Slack | Self::GoogleChat => 1_000,
            // 30 a minute.
            Self::Discord => 2_000,
            // 120 a minute.
            Self::PagerDuty => 500,
            // Four a second.
            Self::Teams => 250,
            Self::Jira | Self::Jsm | Self::Webhook | Self::Sns | Self::Mattermost => 0,
        })
    }

    /// Whether a message opens something that the end of the burst has to resolve.
    pub fn has_incidents(self) -> bool {
        self.merging() == Merging::Burst
    }

    /// The word in a configuration and in JSON.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

/// How bad an alert is. Ordered: `max` of several is the worst of them.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    PartialOrd,
    Ord,
    Hash,
    Serialize,
    Deserialize,
    Display,
    EnumString,
    IntoStaticStr,
    VariantNames,
)]
#[serde(rename_all = "lowercase")]
#[strum(serialize_all = "lowercase")]
pub enum Severity {
    /// For information.
    Info,
    /// Worth a look during working hours.
    Warning,
    /// Something failed.
    Error,
    /// Worth waking a person.
    Critical,
}

impl Severity {
    /// From the mildest to the worst.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// The severity that the words of a marker name: `[CRITICAL]` is critical, `level=error` is an
    /// error. The worst of several words counts. A marker without such a word is a warning.
    pub fn of_marker(marker: &str) -> Severity {
        marker
            .split(|c: char| !c.is_ascii_alphabetic())
            .filter_map(severity_of_word)
            .max()
            .unwrap_or(Severity::Warning)
    }

    /// The word in a configuration and in JSON.
    pub fn as_str(self) -> &'static str {
        self.into()
    }
}

fn unknown_kind() -> NameError {
    let (last, rest) = TargetKind::VARIANTS.split_last().expect("invariant: the enum has variants");
    NameError(format!(
        "unknown kind of target, expected {} or {last} before the colon",
        rest.join(", ")
    ))
}

fn expected(message: &str) -> NameError {
    NameError(message.to_owned())
}

fn check_name(text: &str) -> Result<(), NameError> {
    let starts_well = text.starts_with(|c: char| c.is_ascii_alphanumeric());
    if !starts_well {
        return Err(expected("a name starts with a letter or digit"));
    }
    if !text.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b)) {
        return Err(expected("a name has only letters, digits, `.`, `_` and `-`"));
    }
    if text.len() > NAME_BYTES_MAX {
        return Err(NameError(format!(
            "a name has at most {NAME_BYTES_MAX} bytes, this one has {}",
            text.len()
        )));
    }
    Ok(())
}

fn severity_of_word(word: &str) -> Option<Severity> {
    let word = word.to_ascii_uppercase();
    let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    // Only as whole words: "transferred" contains ERR, "criteria" contains CRIT.
    if word == "CRIT" || has(&["CRITICAL", "FATAL", "EMERG", "PANIC", "ALERT"]) {
        Some(Severity::Critical)
    } else if word == "ERR" || has(&["ERROR", "SEVERE"]) {
        Some(Severity::Error)
    } else if has(&["WARN"]) {
        Some(Severity::Warning)
    } else if has(&["INFO", "NOTICE", "DEBUG"]) {
        Some(Severity::Info)
    } else {
        None
    }
}

#[cfg(test)]
mod tests;
