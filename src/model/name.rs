//! The small names that outlive a process: they are parts of DynamoDB keys and of queued messages.
//!
//! A [`RouteName`] or [`Target`] that exists is well formed, so no key built from one can run into
//! its neighbour: `#` and `:` separate the parts of a key and never occur inside a name. Which
//! names exist is for [`config`](crate::config) to say.
//!
//! Errors here never repeat the text that they refuse. Where a name belongs people paste a webhook
//! URL, which is a credential, and errors end up in logs.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The longest name, in bytes.
pub const NAME_BYTES_MAX: usize = 64;

/// Why a text is no name of the kind asked for. Says what is expected, never what was found.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0}")]
pub struct NameError(String);

macro_rules! name {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        ///
        /// A letter or digit, then letters, digits, `.`, `_` and `-`, all ASCII; at most
        /// [`NAME_BYTES_MAX`] bytes. Case counts. Cloning copies a pointer. In JSON it is a string.
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
    /// The name of a target among those of its kind, such as `app-alerts`; the credential is found
    /// under it.
    TargetName
}

/// Where a digest goes, written `kind:name`, such as `slack:app-alerts`. In JSON it is that string.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Target {
    /// The service that is told.
    pub kind: TargetKind,
    /// Which of that service's channels, projects or topics.
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
        Ok(Target { kind: kind.parse()?, name: name.parse()? })
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

/// The services that Stentor can tell; the part of a [`Target`] before the colon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TargetKind {
    /// A Slack channel, through an incoming webhook: `slack`.
    Slack,
    /// A PagerDuty service, through its Events API: `pagerduty`.
    PagerDuty,
    /// A Jira project, in which issues are opened: `jira`.
    Jira,
    /// An Amazon SNS topic: `sns`.
    Sns,
}

impl TargetKind {
    /// The word that stands for the kind in a configuration and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            TargetKind::Slack => "slack",
            TargetKind::PagerDuty => "pagerduty",
            TargetKind::Jira => "jira",
            TargetKind::Sns => "sns",
        }
    }
}

impl FromStr for TargetKind {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "slack" => Ok(TargetKind::Slack),
            "pagerduty" => Ok(TargetKind::PagerDuty),
            "jira" => Ok(TargetKind::Jira),
            "sns" => Ok(TargetKind::Sns),
            _ => Err(expected("unknown kind of target, expected slack, pagerduty, jira or sns before the colon")),
        }
    }
}

impl fmt::Display for TargetKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// How bad an alert is, the least first: `max` of several is the worst of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// Worth knowing: `info`.
    Info,
    /// Worth a look: `warning`.
    Warning,
    /// Something failed: `error`.
    Error,
    /// Wake somebody: `critical`.
    Critical,
}

impl Severity {
    /// What a marker says about itself: `[CRITICAL]` is critical, `level=error` an error, and of
    /// several words the worst counts. A marker that says nothing is a warning: somebody chose to
    /// be told, and nobody asked to be woken.
    pub fn of_marker(marker: &str) -> Severity {
        marker.split(|c: char| !c.is_ascii_alphabetic()).filter_map(severity_of_word).max().unwrap_or(Severity::Warning)
    }

    /// The word that stands for the severity in a configuration and in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Severity::Critical => "critical",
            Severity::Error => "error",
            Severity::Warning => "warning",
            Severity::Info => "info",
        }
    }
}

impl FromStr for Severity {
    type Err = NameError;

    fn from_str(text: &str) -> Result<Self, NameError> {
        match text {
            "critical" => Ok(Severity::Critical),
            "error" => Ok(Severity::Error),
            "warning" => Ok(Severity::Warning),
            "info" => Ok(Severity::Info),
            _ => Err(expected("expected \"critical\", \"error\", \"warning\" or \"info\"")),
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
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
        return Err(NameError(format!("a name has at most {NAME_BYTES_MAX} bytes, this one has {}", text.len())));
    }
    Ok(())
}

fn severity_of_word(word: &str) -> Option<Severity> {
    let word = word.to_ascii_uppercase();
    let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    // ERR and CRIT count as whole words only: they hide in "transferred" and "criteria".
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
