//! `stentor.toml`: which log events become alerts, which targets receive them, and how often.
//!
//! A file is read once, when a program starts. The result is either a [`Config`] that the rest of
//! the program can rely on, or a [`ConfigError`] with every mistake at once, each with line and
//! column. An unknown key is a mistake, and so is a route that no log event can reach. No message
//! repeats a refused value, because users paste credentials into configuration files.
//!
//! | module | does |
//! |---|---|
//! | `read` | knows the keys and what they mean |
//! | `value` | reads TOML values and tables, without knowing any key |
//! | `redaction`, `app`, `target_keys`, `condition_keys`, `scope_keys`, `link_keys` | know the keys of `[redact]`, `[[app]]`, `[[target]]`, conditions, a scope and links |
//! | `target` | how each kind of target is used |
//! | `diagnostic` | collects mistakes and warnings, and finds their lines |
//! | `shadowing` | finds routes that no log event can reach |
//! | `conditions`, `scope`, `glob` | decide which log events a route accepts |
//! | `quantity`, `region`, `encoding` | durations and sizes; Regions; files that are not UTF-8 |
//!
//! Left to others: finding the file (the binaries), searching for markers (`ingest::route`),
//! redaction (`redact`), and the credentials of targets
//! (`adapters::secret`).

mod app;
mod condition_keys;
mod conditions;
mod diagnostic;
mod draft;
mod encoding;
mod glob;
mod link_keys;
mod quantity;
mod read;
mod redaction;
mod region;
mod scope;
mod scope_keys;
mod shadowing;
mod target;
mod target_keys;
#[cfg(test)]
mod tests;
mod value;

use std::collections::BTreeMap;
use std::time::Duration;

use strum::{EnumString, VariantNames};
use toml::de::DeTable;

use crate::model::digest::{Digest, ReaderLink};
use crate::model::history::NewsKind;
use crate::model::name::{RouteName, Severity, Target};
use crate::model::reader_link::LinkTemplate;
use crate::model::threshold::Threshold;
use crate::redact::Redactor;

pub(crate) use diagnostic::Diagnostics;
pub(crate) use encoding::utf8;
pub(crate) use value::{Fields, TomlValue};

pub use app::{APPS_MAX, App};
pub use conditions::{Conditions, FieldCondition, TextRegex};
pub use diagnostic::{ConfigError, Diagnostic};
pub use glob::{GLOB_BYTES_MAX, Glob, GlobError};
pub use quantity::{bytes, duration, duration_with_days};
pub use scope::Scope;
pub use target::{
    IssuePer, JiraSettings, JsmSettings, Mention, MentionOn, Responder, ResponderKind,
    SlackSettings, SnsFormat, SnsSettings, TargetSettings, TeamsSettings, TeamsShape,
    WebhookSettings,
};

/// The default of `window`.
pub const WINDOW_DEFAULT: Duration = Duration::from_secs(30);

/// The shortest window.
pub const WINDOW_MIN: Duration = Duration::from_secs(1);

/// The longest window, for `window` and for `window_max`. SQS delays a message by at most 900 s, so
/// a longer window ends with a message that is delayed again.
pub const WINDOW_LIMIT: Duration = Duration::from_hours(12);

/// The most log events on one side of an alert that become part of it.
pub const CONTEXT_EVENTS_MAX: usize = 20;

/// The default of `window_max`, unless `window` is longer.
pub const WINDOW_MAX_DEFAULT: Duration = Duration::from_mins(10);

/// The default of `fallback_after`.
pub const FALLBACK_AFTER_DEFAULT: Duration = Duration::from_mins(15);

/// The default of `decoded_bytes_max`: 64 MiB.
pub const DECODED_BYTES_MAX_DEFAULT: u64 = 64 << 20;

/// The longest span of a threshold.
pub const THRESHOLD_SPAN_MAX: Duration = Duration::from_hours(24);

/// The most links of a route, its runbook included.
pub const LINKS_MAX: usize = 6;

/// The longest marker, in bytes.
pub const MARKER_BYTES_MAX: usize = 256;

const BUILTIN: &str = r#"
[[route]]
name    = "alerts"
markers = ["[CRITICAL]", "[ALERT]"]
notify  = ["slack:default"]
"#;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// In the order of the file, in which they are tried. At least one; names are unique. The
    /// parser refuses a route that earlier routes leave no log event, where it can tell.
    pub routes: Vec<Route>,
    /// In the order of the file: the first that admits a log event names its app. At most
    /// [`APPS_MAX`]. Default: none.
    pub apps: Vec<App>,
    /// How each target of the routes is used.
    pub targets: BTreeMap<Target, TargetSettings>,
    /// Redacts with the rules of `[redact]`. Default: all built-in rules.
    pub redactor: Redactor,
    /// The decoded size that a record may have, in bytes, 1 KiB to 10 GiB. A larger one is parked.
    /// Default: [`DECODED_BYTES_MAX_DEFAULT`].
    pub decoded_bytes_max: u64,
    /// Whether every record is parsed and validated in full. Otherwise, log events without a marker
    /// are checked for checksum, structure and UTF-8 only. Default: false.
    pub strict: bool,
    /// Likely mistakes, in the order of the file, for the caller to show.
    pub warnings: Vec<Diagnostic>,
}

/// One `[[route]]`: the log events that it accepts, and what happens with them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Unique within the configuration.
    pub name: RouteName,
    /// The log events that it accepts. At least one condition is on the message.
    pub conditions: Conditions,
    /// The log events that it leaves out although they meet its conditions: those that one of these
    /// accepts. Default: none.
    pub except: Vec<Conditions>,
    /// The targets of its messages. At least one, all different.
    pub notify: Vec<Target>,
    /// The target that is used when one of `notify` refuses a message or stays behind. It is none
    /// of `notify`. Default: none.
    pub fallback: Option<Target>,
    /// How long a message waits for its target until the fallback receives it, [`WINDOW_MIN`] to
    /// [`WINDOW_LIMIT`]. Default: [`FALLBACK_AFTER_DEFAULT`].
    pub fallback_after: Duration,
    /// The period of one message, [`WINDOW_MIN`] to [`WINDOW_LIMIT`].
    /// Default: the file's, else [`WINDOW_DEFAULT`].
    pub window: Duration,
    /// The length to which windows grow during a burst, `window` to [`WINDOW_LIMIT`].
    /// Default: the file's, else [`WINDOW_MAX_DEFAULT`], else `window` if that is longer.
    pub window_max: Duration,
    /// When a quiet route sends its first message. Default: the file's, else
    /// [`First::Immediately`].
    pub first: First,
    /// How many alerts it holds back until it sends a message. Default: none.
    pub at_least: Option<Threshold>,
    /// The news that end a window at once. All other windows have the length `window_max`. Default: none, so
    /// that all alerts are news.
    pub speak_on: Option<Vec<NewsKind>>,
    /// Whether it stores and counts its alerts but delivers nothing. Default: false.
    pub stage: bool,
    /// `continue`: whether later routes are tried for the same log event. Default: false.
    pub continue_: bool,
    /// How many log events before and after an alert become part of it, each at most
    /// [`CONTEXT_EVENTS_MAX`]. Default: none.
    pub context: ContextSize,
    /// `runbook` and `links`: links for the readers of its messages, the runbook first. At most
    /// [`LINKS_MAX`]. Default: none.
    pub links: Vec<LinkTemplate>,
    /// The severity of its alerts. Default: none, so that the marker decides, or the name of a route
    /// without markers ([`Severity::of_marker`]).
    pub severity: Option<Severity>,
    /// The severity of an alert that meets conditions: the worst for which one of these accepts it, and
    /// `severity` if there is none. Default: none.
    pub severity_if: BTreeMap<Severity, Vec<Conditions>>,
}

/// How many log events around an alert become part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ContextSize {
    pub before: usize,
    pub after: usize,
}

/// When the first alert of a quiet route is delivered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, EnumString, VariantNames)]
#[strum(serialize_all = "kebab-case")]
pub enum First {
    /// At once, in a window of its own.
    #[default]
    Immediately,
    /// When the window that it opened ends.
    AfterWindow,
}

impl Route {
    /// The fallback, and how long a message waits for it.
    pub fn escalation(&self) -> Option<(&Target, Duration)> {
        Some((self.fallback.as_ref()?, self.fallback_after))
    }

    /// Whether some of its alerts may be held: stored and counted, and not delivered.
    pub fn may_hold(&self) -> bool {
        self.at_least.is_some() || self.stage
    }

    /// The links of a message.
    pub fn links(&self, digest: &Digest) -> Vec<ReaderLink> {
        self.links.iter().filter_map(|link| link.link(digest)).collect()
    }

    /// All targets that this route may deliver to.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.notify.iter().chain(&self.fallback)
    }
}

impl Config {
    /// The configuration without a file: one route, `alerts`, that accepts `[CRITICAL]` and
    /// `[ALERT]` from anywhere, delivers to `slack:default`, and has every default.
    pub fn builtin() -> Config {
        Config::parse(BUILTIN, "built-in").expect("invariant: the built-in configuration is valid")
    }

    /// [`Config::parse`] for the bytes of a file.
    ///
    /// # Errors
    ///
    /// Those of [`Config::parse`], or that the file is not UTF-8.
    pub fn parse_bytes(bytes: &[u8], file: &str) -> Result<Config, ConfigError> {
        match utf8(bytes) {
            Ok(text) => Config::parse(text, file),
            Err(diagnostic) => {
                Err(ConfigError { file: file.to_owned(), diagnostics: vec![diagnostic] })
            }
        }
    }

    /// Parses a configuration. `file` is only a name for [`ConfigError`]; nothing is opened.
    ///
    /// ```
    /// use stentor::config::Config;
    ///
    /// let text = r#"
    ///     window = "1m"
    ///
    ///     [[route]]
    ///     name    = "payments"
    ///     markers = ["PAYMENT_DECLINED"]
    ///     notify  = ["slack:payments"]
    /// "#;
    /// let config = Config::parse(text, "stentor.toml")?;
    /// assert_eq!(config.routes[0].window.as_secs(), 60);
    ///
    /// let error = Config::parse(&text.replace("markers", "marker"), "stentor.toml").unwrap_err();
    /// assert_eq!(
    ///     error.to_string(),
    ///     "stentor.toml:6:5: unknown key `marker`, did you mean `markers`?"
    /// );
    /// # Ok::<(), stentor::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// All mistakes of the text. Broken TOML is reported alone, because the parser only guesses
    /// what the rest of such a file means.
    pub fn parse(text: &str, file: &str) -> Result<Config, ConfigError> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut diagnostics = Diagnostics::new(text);
        for error in &errors {
            let offset = error.span().map_or(text.len(), |span| span.start);
            diagnostics.error_at(offset, error.message());
        }
        let config = match errors.is_empty() {
            true => read::config(root.get_ref(), &mut diagnostics),
            false => None,
        };
        let warnings = diagnostics.finish(file)?;
        let config = config.expect("invariant: a configuration is read or has an error");
        Ok(Config { warnings, ..config })
    }
}
