//! The content of a message, independent of any channel. [`compose`](super::compose::compose) makes
//! it from a digest.
//!
//! All text is safe to show: control characters are spelled out, and names and excerpts are cut to
//! size. It is not escaped: a layout escapes the characters that its channel reads as markup.

use std::borrow::Cow;
use std::fmt;

use crate::model::humanize::{count, count_alerts};
use crate::model::name::{RouteName, Severity};
use crate::model::time::Timestamp;

/// The longest headline, in bytes. Slack's header holds no more, and every other channel has room
/// for it.
pub const HEADLINE_BYTES_MAX: usize = 150;

/// Everything that a message says, in reading order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Content {
    pub status: Status,
    /// The markers and the number of alerts, on one line of any length: `[CRITICAL] 1,204 alerts`.
    pub title: String,
    /// The title with the sign of its status: `🔴 [CRITICAL] 1,204 alerts`. At most
    /// [`HEADLINE_BYTES_MAX`] bytes.
    pub headline: String,
    /// One line for a lock screen: the headline, and how the most frequent alert begins.
    pub notification: String,
    /// The message goes to a fallback, instead of the target that it was meant for.
    pub is_fallback: bool,
    /// How many alerts the message is about: the sum over `groups`, `more_groups` and `left_out`.
    pub alerts: u64,
    pub facts: Facts,
    /// The links that the route gives to readers.
    pub links: Vec<Link>,
    /// A query for all log events of the first group.
    pub query: Option<Link>,
    /// The first groups, each with its sample.
    pub groups: Vec<GroupDetail>,
    /// The next groups, each in one line.
    pub more_groups: Vec<GroupLine>,
    pub left_out: Option<LeftOut>,
    pub reference: Reference,
}

/// Whether the message reports alerts.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub enum Status {
    Alerting(Severity),
    /// Nothing new, or the end of a burst.
    Quiet,
}

/// Facts about all alerts of the message, one line each. An empty line is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// Why a fallback gets this message.
    pub fallback: Line,
    /// How many patterns are news, and what people marked before the alerts.
    pub news: Line,
    /// How many alerts of each severity, if conditions of the route gave them several.
    pub severities: Line,
    /// How many patterns, from which accounts, log groups and apps.
    pub scope: Line,
    /// From the first alert to the last, in UTC and in the reader's own time.
    pub period: Line,
    /// The alerts over time as a sparkline, with its peak.
    pub timeline: Line,
    /// How long the burst has lasted so far, or that it is over.
    pub burst: Line,
    /// How many windows had to wait for this message.
    pub backlog: Line,
    /// How many epochs are missing.
    pub lost: Line,
    /// How many alerts were muted before it.
    pub muted: Line,
    /// How many alerts were held until the threshold of the route was reached.
    pub held: Line,
    /// The things that other targets opened for the same burst, such as an issue.
    pub related: Line,
    /// The latest message of the burst in one line.
    pub latest: Line,
}

/// A group with its sample.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupDetail {
    pub alerts: u64,
    /// How many alerts, when, with which values, and from where. Only the values for an only group,
    /// because the facts say the rest.
    pub summary: Line,
    /// The part of a real log event that matters, in several lines; may be empty.
    pub excerpt: String,
    pub place: Place,
    pub link: Option<Link>,
}

/// A group in one line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupLine {
    pub alerts: u64,
    /// How many alerts, what they say, and in which apps.
    pub summary: Line,
    pub account: String,
    pub link: Option<Link>,
}

/// The groups for which there was no room.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
pub struct LeftOut {
    pub patterns: usize,
    /// There may be more patterns: the tally kept only the number of their alerts.
    pub is_minimum: bool,
    pub alerts: u64,
}

/// Where a sample was logged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    pub account: String,
    pub region: Option<String>,
    pub log_group: String,
}

/// Where the alerts of a message are stored, for an operator who looks them up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reference {
    pub route: RouteName,
    /// The first and the last epoch, both included.
    pub epochs: (u64, u64),
}

/// A link to a log event in the CloudWatch console, or to what another target opened. The console
/// opens in the account that the browser is signed in to, so a layout shows the account next to
/// it. The URL holds no character that markup gives a meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Link {
    pub url: String,
    pub text: Cow<'static, str>,
}

pub type Line = Vec<Inline>;

/// A piece of a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inline {
    Plain(String),
    Strong(String),
    /// Text as an application logged it.
    Code(String),
    Link(Link),
    /// A moment for a channel that knows the reader's time zone. `utc` is the moment as text.
    LocalTime {
        at: Timestamp,
        utc: String,
    },
}

impl Status {
    pub fn sign(self) -> &'static str {
        match self {
            Self::Quiet => "✅",
            Self::Alerting(Severity::Critical) => "🔴",
            Self::Alerting(Severity::Error) => "🟠",
            Self::Alerting(Severity::Warning) => "🟡",
            Self::Alerting(Severity::Info) => "🔵",
        }
    }
}

impl Facts {
    /// The lines that have text, in reading order.
    pub fn lines(&self) -> impl Iterator<Item = &Line> {
        let Self {
            fallback,
            lost,
            news,
            severities,
            scope,
            period,
            timeline,
            burst,
            backlog,
            muted,
            held,
            related,
            latest,
        } = self;
        [
            fallback, lost, news, severities, scope, period, timeline, burst, backlog, muted, held,
            related, latest,
        ]
        .into_iter()
        .filter(|line| !line.is_empty())
    }
}

impl Content {
    /// The links of the route, and the query.
    pub fn all_links(&self) -> impl Iterator<Item = &Link> {
        self.links.iter().chain(&self.query)
    }

    /// All of them in one line; empty without any.
    pub fn link_line(&self) -> Line {
        let links: Vec<Line> =
            self.all_links().map(|link| vec![Inline::Link(link.clone())]).collect();
        links.join(&plain(" · "))
    }
}

impl GroupLine {
    /// The summary, then the link and the account.
    pub fn line(&self) -> Line {
        let link = self
            .link
            .clone()
            .map(|link| vec![Inline::Link(link), plain(format!(" account {}", self.account))]);
        joined([self.summary.clone(), link.unwrap_or_default()])
    }
}

impl LeftOut {
    /// `+ 14 more patterns, 312 alerts`.
    pub fn line(&self) -> Line {
        let at_least = if self.is_minimum { "at least " } else { "" };
        let patterns = count(self.patterns as u64, "more pattern", "more patterns");
        vec![plain(format!("+ {at_least}{patterns}, ")), Inline::Strong(count_alerts(self.alerts))]
    }
}

impl Inline {
    /// The text without its style; empty for a moment, which only some channels can show.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Plain(text) | Self::Strong(text) | Self::Code(text) => text,
            Self::Link(link) => &link.text,
            Self::LocalTime { .. } => "",
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "account {}", self.account)?;
        if let Some(region) = &self.region {
            write!(f, " · {region}")?;
        }
        write!(f, " · {}", self.log_group)
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.epochs {
            (first, last) if first < last => {
                write!(f, "route {} · epochs {first}–{last}", self.route)
            }
            (_, last) => write!(f, "route {} · epoch {last}", self.route),
        }
    }
}

pub(super) fn plain(text: impl Into<String>) -> Inline {
    Inline::Plain(text.into())
}

/// A line of plain text; empty if the text is.
pub(super) fn plain_line(text: impl Into<String>) -> Line {
    let text = text.into();
    if text.is_empty() { vec![] } else { vec![plain(text)] }
}

/// The parts that have text, with dots between them.
pub(super) fn joined<const N: usize>(parts: [Line; N]) -> Line {
    let parts: Vec<Line> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    parts.join(&plain(" · "))
}
