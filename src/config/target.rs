//! How targets are used: the settings of each kind. A target without settings needs none, except
//! Jira, which needs a project.

use std::collections::BTreeMap;
use std::time::Duration;

use strum::{EnumString, VariantNames};

use crate::model::digest::Digest;
use crate::model::name::{Severity, TargetKind};

/// The settings of one target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TargetSettings {
    Slack(SlackSettings),
    Jira(JiraSettings),
    Jsm(JsmSettings),
    Teams(TeamsSettings),
    Webhook(WebhookSettings),
    Sns(SnsSettings),
    /// The kind has no settings.
    None,
}

/// Of `slack:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SlackSettings {
    /// Mentioned in messages. Default: none.
    pub mention: Vec<Mention>,
    /// The lowest severity with which a message mentions anyone. Default: info.
    pub mention_from: Severity,
    /// Default: the first message of a burst that is severe enough.
    pub mention_on: MentionOn,
}

/// A person or group that is mentioned.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mention {
    /// `@here`.
    Here,
    /// `@channel`.
    Channel,
    /// `@everyone`.
    Everyone,
    /// A user group by its id, `S012AB3CD`.
    Group(String),
    /// A user by its id, `U012AB3CD`.
    User(String),
}

/// Which messages mention anyone.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum MentionOn {
    /// The first message of a burst that is severe enough.
    #[default]
    First,
    /// Every message that reports alerts.
    Every,
}

/// Of `jira:NAME`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct JiraSettings {
    /// The key of the project, `PAY`.
    pub project: String,
    /// The name of the issue type. Default: `Task`.
    pub issue_type: String,
    /// The name of the priority for a severity. Default: none, so Jira's own default applies.
    pub priority: BTreeMap<Severity, String>,
    /// Added to the labels of each issue. Default: none.
    pub labels: Vec<String>,
    /// Further fields of each issue, by the names of Jira's API. Default: none.
    pub fields: serde_json::Map<String, serde_json::Value>,
    pub issue_per: IssuePer,
    /// The name of the transition when the burst is over. Default: `Done`.
    pub done: String,
    /// The name of the transition that opens an issue again. Default: `To Do`.
    pub reopen: String,
    /// An issue that was done less than this time ago is opened again. Default: none is.
    pub reopen_within: Duration,
}

/// The subject of one issue.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum IssuePer {
    #[default]
    Burst,
    Pattern,
}

/// Of `jsm:NAME`.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct JsmSettings {
    /// Default: those of the integration.
    pub responders: Vec<Responder>,
    /// Default: none.
    pub tags: Vec<String>,
}

/// Who is notified: `team:NAME`, `user:MAIL`, `schedule:NAME` or `escalation:NAME`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Responder {
    pub kind: ResponderKind,
    pub name: String,
}

#[derive(
    Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, EnumString, VariantNames, strum::Display,
)]
#[strum(serialize_all = "lowercase")]
pub enum ResponderKind {
    Team,
    User,
    Schedule,
    Escalation,
}

/// Of `teams:NAME`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct TeamsSettings {
    pub shape: TeamsShape,
}

/// The body that the workflow expects.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "lowercase")]
pub enum TeamsShape {
    /// A message with the card as its attachment, as the template of Teams expects.
    #[default]
    Message,
    /// The card alone.
    Card,
}

/// Of `webhook:NAME`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct WebhookSettings {
    /// Whether the host may have a private address. Default: false.
    pub allow_private: bool,
}

/// Of `sns:NAME`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct SnsSettings {
    pub format: SnsFormat,
}

/// The content for the subscriptions of the topic.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum SnsFormat {
    /// Text for people, JSON for programs.
    #[default]
    Text,
    /// The notification that Amazon Q shows as a card in Slack and Teams.
    AmazonQ,
}

impl TargetSettings {
    /// The settings without a `[[target]]`; `None` for a kind that needs one.
    pub fn default_of(kind: TargetKind) -> Option<Self> {
        Some(match kind {
            TargetKind::Jira => return None,
            TargetKind::Slack => Self::Slack(SlackSettings::default()),
            TargetKind::Jsm => Self::Jsm(JsmSettings::default()),
            TargetKind::Teams => Self::Teams(TeamsSettings::default()),
            TargetKind::Webhook => Self::Webhook(WebhookSettings::default()),
            TargetKind::Sns => Self::Sns(SnsSettings::default()),
            TargetKind::PagerDuty
            | TargetKind::Discord
            | TargetKind::GoogleChat
            | TargetKind::Mattermost => Self::None,
        })
    }
}

impl SlackSettings {
    /// The mentions of the message for `digest`. `has_mentioned`: an earlier message of its burst had them.
    pub fn mentions(&self, digest: &Digest, has_mentioned: bool) -> &[Mention] {
        let is_first = !has_mentioned || self.mention_on == MentionOn::Every;
        let is_wanted = !digest.is_quiet() && is_first && digest.severity >= self.mention_from;
        if is_wanted { &self.mention } else { &[] }
    }
}

impl Default for SlackSettings {
    fn default() -> Self {
        Self { mention: Vec::new(), mention_from: Severity::Info, mention_on: MentionOn::First }
    }
}
