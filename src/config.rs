//! `stentor.toml`: which log lines matter, and who is told how often.
//!
//! A file is read once, when a program starts, and either yields a [`Config`] in which everything
//! holds that the rest of the program relies on, or [`ConfigError`]: all mistakes at once, each with
//! its line and column. Nothing is guessed: an unknown key is a mistake, and so is a route that no
//! event can reach. No message repeats a value that it refuses, because credentials get pasted
//! there.
//!
//! Below it: `spanned` reads TOML without knowing any key, `read` knows what the keys mean, `shadowing`
//! finds routes in the shadow of others, `scope` and `glob` say where a route applies, `quantity`
//! reads durations and sizes, `region` knows the Regions, `encoding` what is not UTF-8, `problem` turns offsets into
//! lines.
//!
//! Left to others: finding the file and the environment (the binaries), matching markers (`route`),
//! compiling the patterns of `redact` (`redact`), and the credentials of targets (`secret`).

mod draft;
mod encoding;
mod glob;
mod problem;
mod quantity;
mod read;
mod region;
mod scope;
mod shadowing;
mod spanned;
#[cfg(test)]
mod tests;

use std::time::Duration;

use toml::de::DeTable;

use crate::model::name::{RouteName, Severity, Target};

pub use glob::{GLOB_BYTES_MAX, Glob, GlobError};
pub use problem::{ConfigDiagnostic, ConfigError};
pub use quantity::{bytes, duration, duration_with_days};
pub use scope::Scope;

/// `window` where the file is silent.
pub const WINDOW_DEFAULT: Duration = Duration::from_secs(30);

/// The shortest window.
pub const WINDOW_MIN: Duration = Duration::from_secs(1);

/// The longest window, as `window` and as `window_max`. Beyond the 900 s by which SQS can delay a
/// message, a window ends by a message that is delayed again.
pub const WINDOW_LIMIT: Duration = Duration::from_secs(12 * 60 * 60);

/// `window_max` where the file is silent, unless `window` is longer still.
pub const WINDOW_MAX_DEFAULT: Duration = Duration::from_secs(10 * 60);

/// `fallback_after` where the file is silent.
pub const FALLBACK_AFTER_DEFAULT: Duration = Duration::from_secs(15 * 60);

/// `decoded_bytes_max` where the file is silent: 64 MiB.
pub const DECODED_BYTES_MAX_DEFAULT: u64 = 64 << 20;

/// The longest marker, in bytes.
pub const MARKER_BYTES_MAX: usize = 256;

/// What applies when there is no file.
const BUILTIN: &str = r#"
[[route]]
name    = "alerts"
markers = ["[CRITICAL]", "[ALERT]"]
notify  = ["slack:default"]
"#;

/// The whole configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// In the order of the file, in which they are tried; at least one, each with its own name.
    /// A route that those before it leave nothing is refused where `shadowing` can tell.
    pub routes: Vec<Route>,
    /// Regular expressions, in the syntax of the `regex` crate, for what must not leave beside what
    /// is always redacted. Each compiles and none matches the empty text. Default: none.
    pub redact: Vec<String>,
    /// The most that one record may unpack to, in bytes, 1 KiB to 10 GiB. A record beyond it is
    /// parked. Default: [`DECODED_BYTES_MAX_DEFAULT`].
    pub decoded_bytes_max: u64,
    /// Whether every record is parsed and validated in full. Otherwise the texts of log events without a marker are
    /// not looked at, beyond checksum, structure and UTF-8. Default: false.
    pub strict: bool,
    /// Likely mistakes, in the order of the file. The program that reads the file shows them.
    pub warnings: Vec<ConfigDiagnostic>,
}

/// One `[[route]]`: which events it takes, and what becomes of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Unique within the configuration.
    pub name: RouteName,
    /// Substrings of the message, case sensitive; one of them suffices. At least one, no two alike,
    /// each of 1 to [`MARKER_BYTES_MAX`] bytes.
    pub markers: Vec<String>,
    /// Where an event has to come from. Default: anywhere.
    pub scope: Scope,
    /// Who is told. At least one, no two alike.
    pub notify: Vec<Target>,
    /// Who is told in the place of a target that refuses or stays behind; none of `notify`. Default: nobody.
    pub fallback: Option<Target>,
    /// For how long a message waits for its target before the fallback is told, [`WINDOW_MIN`] to
    /// [`WINDOW_LIMIT`]. Default: [`FALLBACK_AFTER_DEFAULT`].
    pub fallback_after: Duration,
    /// How long alerts are gathered into one message, [`WINDOW_MIN`] to [`WINDOW_LIMIT`].
    /// Default: the file's, else [`WINDOW_DEFAULT`].
    pub window: Duration,
    /// How long windows become while a burst lasts, `window` to [`WINDOW_LIMIT`].
    /// Default: the file's, else [`WINDOW_MAX_DEFAULT`], else `window` if that is longer.
    pub window_max: Duration,
    /// When a quiet route speaks. Default: the file's, else [`First::Immediately`].
    pub first: First,
    /// `continue`: let later routes take the same event too. Default: false.
    pub continue_: bool,
    /// How bad the alerts are. Default: none, by which each says it with its marker
    /// ([`Severity::of_marker`]).
    pub severity: Option<Severity>,
}

/// When the first alert of a route that was quiet is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum First {
    /// At once, as a window of its own: `"immediately"`.
    #[default]
    Immediately,
    /// When the window that it opened ends: `"after-window"`.
    AfterWindow,
}

impl Route {
    /// The fallback, and after how long it is called in.
    pub fn escalates(&self) -> Option<(&Target, Duration)> {
        Some((self.fallback.as_ref()?, self.fallback_after))
    }

    /// Everyone whom this route may tell.
    pub fn targets(&self) -> impl Iterator<Item = &Target> {
        self.notify.iter().chain(&self.fallback)
    }
}

impl Config {
    /// What applies when there is no file: one route, `alerts`, that takes `[CRITICAL]` and
    /// `[ALERT]` from anywhere to `slack:default`, and every default.
    pub fn builtin() -> Config {
        Config::parse(BUILTIN, "built-in").expect("invariant: the built-in configuration is valid")
    }

    /// [`Config::parse`] of a file as it was read.
    ///
    /// # Errors
    ///
    /// As [`Config::parse`], and when the file is not UTF-8.
    pub fn parse_bytes(bytes: &[u8], file: &str) -> Result<Config, ConfigError> {
        let text =
            encoding::utf8(bytes).map_err(|problem| ConfigError { file: file.to_owned(), problems: vec![problem] })?;
        Config::parse(text, file)
    }

    /// Reads a configuration. `file` is what [`ConfigError`] call it; nothing is opened.
    ///
    /// # Errors
    ///
    /// All mistakes of the text. While its TOML is broken only that is reported, because what the
    /// parser recovers from broken TOML is a guess.
    pub fn parse(text: &str, file: &str) -> Result<Config, ConfigError> {
        let (root, errors) = DeTable::parse_recoverable(text);
        let mut diagnostics = spanned::Diagnostics::new(text);
        for error in &errors {
            diagnostics.add_at(error.span().map_or(text.len(), |span| span.start), error.message());
        }
        let config = if diagnostics.is_empty() { read::config(root.get_ref(), &mut diagnostics) } else { None };
        if diagnostics.is_empty() {
            let config = config.expect("invariant: whatever cannot be read is a fault");
            Ok(Config { warnings: diagnostics.into_warnings(), ..config })
        } else {
            Err(diagnostics.into_problems(file))
        }
    }
}
