//! Decides which log events become alerts, and of which routes. A marker is a plain substring of
//! the decoded message. One pass with the markers of all routes rejects the messages without any.
//! Then routes are tried in the order of the configuration; the first that matches accepts the log
//! event, and later ones are tried only if it has `continue`.
//!
//! Left to others: the marker prefilter on raw text, which rejects most messages before this
//! (`decode`), and making the alert (`alert`).

mod alert;

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use aho_corasick::{AhoCorasick, BuildError, MatchKind};
use anyhow::bail;

use crate::config::{Config, ContextSize, Route};
use crate::ingest::decode::{Decoder, Events, MarkerPrefilter, Poison};
use crate::ingest::lines::{AroundLimits, LineFilter};
use crate::ingest::logs::{LogBatch, LogEvent};
use crate::ingest::origin::Origins;
use crate::model::alert::{Alert, Origin};
use crate::model::name::RouteName;
use crate::model::pattern::Patterns;
use crate::model::statement;
use crate::redact::Redactor;

/// The routes of a configuration, ready to search.
pub struct Routes {
    config: Config,
    decoder: Decoder,
    line_filter: LineFilter,
    /// The markers of all routes.
    all_markers: Markers,
    /// In the order of the routes: the markers, and the name as the only element of a list.
    by_route: Vec<(Markers, Arc<[RouteName]>)>,
    /// Whether a route wants the log events around an alert.
    has_context: bool,
    own: OwnLogs,
}

/// The log groups of this program. An alert about them would log a line that becomes the next
/// alert.
#[derive(Clone, Debug, Default)]
pub struct OwnLogs {
    pub log_groups: Vec<String>,
    /// The account of this program, once it is known. Another account may have a group of the same
    /// name.
    pub account: Arc<OnceLock<String>>,
}

/// The result of scanning one subscription message.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Scanned {
    /// Log events in the message.
    pub events: u64,
    pub alerts: Vec<Alert>,
    /// The message is a log of this program, so its events were not scanned.
    pub own: bool,
    /// The scan was stopped: `events` counts only those up to the last alert.
    pub unfinished: bool,
}

/// The routes that accept a log event, and the marker that the first of them found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    pub marker: Arc<str>,
    /// Never empty; in the order of the configuration.
    pub routes: Arc<[RouteName]>,
}

/// Markers that are searched for together.
struct Markers {
    search: AhoCorasick,
    texts: Vec<Arc<str>>,
}

impl Routes {
    /// # Errors
    /// When markers cannot be compiled. `Config::parse` refuses these, so only a configuration from
    /// another source can have them.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let markers =
            |route: &Route| Ok((Markers::new(&route.markers)?, Arc::from([route.name.clone()])));
        let by_route: Result<Vec<_>, BuildError> = config.routes.iter().map(markers).collect();
        let all_markers = Markers::new(config.routes.iter().flat_map(|route| &route.markers));
        let (Ok(by_route), Ok(all_markers)) = (by_route, all_markers) else {
            bail!("the markers of the configuration cannot be searched for");
        };
        let (decoder, line_filter) = (decoder(config), line_filter(config));
        let has_context = config.routes.iter().any(|route| route.context != ContextSize::default());
        Ok(Self {
            has_context,
            config: config.clone(),
            decoder,
            line_filter,
            all_markers,
            by_route,
            own: OwnLogs::default(),
        })
    }

    /// The decoder that lets [`Self::scan`] see every alert.
    pub fn decoder(&self) -> &Decoder {
        &self.decoder
    }

    /// The filter of lines that lets [`Self::scan`] see every alert.
    pub fn line_filter(&self) -> &LineFilter {
        &self.line_filter
    }

    /// The same routes, without the logs of this program.
    #[must_use]
    pub fn refusing(self, own: OwnLogs) -> Self {
        Self { own, ..self }
    }

    pub fn own(&self) -> &OwnLogs {
        &self.own
    }

    pub fn config(&self) -> &Config {
        &self.config
    }

    pub fn iter(&self) -> impl Iterator<Item = &Route> {
        self.config.routes.iter()
    }

    pub fn get(&self, name: &RouteName) -> Option<&Route> {
        self.config.routes.iter().find(|route| route.name == *name)
    }

    pub fn redactor(&self) -> &Redactor {
        &self.config.redactor
    }

    /// The alerts among the log events of a message, redacted, in their order. `head` has their
    /// origin.
    ///
    /// # Errors
    /// When an event cannot be read.
    pub fn scan(
        &self,
        head: &LogBatch<'_>,
        events: Events<'_>,
        region: Option<&str>,
        source: &str,
    ) -> Result<Scanned, Poison> {
        self.scan_until(head, events, region, source, || false)
    }

    /// The same, but stops before the next alert once `is_over` returns true.
    ///
    /// # Errors
    /// As [`Routes::scan`].
    pub fn scan_until(
        &self,
        head: &LogBatch<'_>,
        events: Events<'_>,
        region: Option<&str>,
        source: &str,
        is_over: impl Fn() -> bool,
    ) -> Result<Scanned, Poison> {
        if self.own.wrote(head) {
            return Ok(Scanned { events: events.each(|_| ())?, own: true, ..Scanned::default() });
        }
        let mut origins = None;
        let mut patterns = Patterns::default();
        // Room for all candidates, because nearly all of them become alerts.
        let mut alerts = Vec::with_capacity(events.candidates().unwrap_or(0));
        let mut unfinished = false;
        let events = events.each_until(|event, neighbors| {
            let Some(hit) = self.hit(event, head, region) else { return ControlFlow::Continue(()) };
            if is_over() {
                unfinished = true;
                return ControlFlow::Break(());
            }
            let origins =
                origins.get_or_insert_with(|| Origins::new(&self.config, head, region, source));
            alerts.push(self.alert(event, neighbors, hit, &origins.of(event), &mut patterns));
            ControlFlow::Continue(())
        })?;
        // The alerts stay in memory until they are committed.
        alerts.shrink_to_fit();
        let events = if unfinished { alerts.len() as u64 } else { events };
        Ok(Scanned { events, alerts, own: false, unfinished })
    }

    /// The routes that accept the log event; `None` if there are none.
    pub fn hit(
        &self,
        event: &LogEvent<'_>,
        batch: &LogBatch<'_>,
        region: Option<&str>,
    ) -> Option<Hit> {
        // A marker may have colors in it, and a color may be a part of a marker.
        let plain = statement::without_sequences(&event.message);
        // With one route, its own search below is enough.
        if self.by_route.len() > 1 && self.all_markers.first_in(&event.message, &plain).is_none() {
            return None;
        }
        let account = event.account.as_deref().unwrap_or(&batch.owner);
        let region = event.region.as_deref().or(region);
        let mut hit: Option<Hit> = None;
        for (route, (markers, alone)) in self.config.routes.iter().zip(&self.by_route) {
            if !route.scope.admits(account, region, &batch.log_group) {
                continue;
            }
            let Some(marker) = markers.first_in(&event.message, &plain) else { continue };
            hit = Some(match hit {
                None => Hit { marker: Arc::clone(marker), routes: Arc::clone(alone) },
                Some(Hit { marker, routes }) => {
                    Hit { marker, routes: routes.iter().chain(&**alone).cloned().collect() }
                }
            });
            if !route.continue_ {
                break;
            }
        }
        hit
    }

    fn has_marker(&self, message: &str) -> bool {
        let plain = statement::without_sequences(message);
        self.all_markers.first_in(message, &plain).is_some()
    }

    /// Where the log event of `batch` comes from.
    pub fn origin(
        &self,
        event: &LogEvent<'_>,
        batch: &LogBatch<'_>,
        region: Option<&str>,
    ) -> Arc<Origin> {
        Origins::new(&self.config, batch, region, "").of(event)
    }
}

impl Markers {
    fn new<'m>(markers: impl IntoIterator<Item = &'m String>) -> Result<Self, BuildError> {
        let texts: Vec<Arc<str>> =
            markers.into_iter().map(|marker| Arc::from(marker.as_str())).collect();
        let mut builder = AhoCorasick::builder();
        let search = builder
            .match_kind(MatchKind::LeftmostLongest)
            .build(texts.iter().map(|marker| marker.as_bytes()))?;
        Ok(Self { search, texts })
    }

    /// The first marker in `message`, else in `plain`, the message without terminal sequences; of
    /// two at the same place, the longer one.
    fn first_in(&self, message: &str, plain: &str) -> Option<&Arc<str>> {
        let has_sequences = plain.len() < message.len();
        let in_plain = || has_sequences.then(|| self.search.find(plain)).flatten();
        let found = self.search.find(message).or_else(in_plain)?;
        Some(&self.texts[found.pattern().as_usize()])
    }
}

/// With a marker prefilter on raw text, unless the configuration is strict. The prefilter ignores
/// scopes, which need a parsed event: they only reduce what the markers find.
fn decoder(config: &Config) -> Decoder {
    let markers = config.routes.iter().flat_map(|route| route.markers.iter().map(String::as_str));
    let prefilter = if config.strict { None } else { MarkerPrefilter::new(markers) };
    Decoder { decoded_bytes_max: config.decoded_bytes_max, prefilter }
}

/// Every line is a candidate if the configuration is strict.
fn line_filter(config: &Config) -> LineFilter {
    let routes = || config.routes.iter();
    let markers = routes()
        .flat_map(|route| route.markers.iter().map(String::as_str))
        .filter(|_| !config.strict);
    let most = |size: fn(&ContextSize) -> usize| {
        routes().map(|route| size(&route.context)).max().unwrap_or(0)
    };
    let (before, after) = (most(|context| context.before), most(|context| context.after));
    let (joined, after_bytes) = (alert::JOINED_EVENTS_MAX, 2 * alert::JOINED_BYTES_MAX);
    LineFilter::new(markers, AroundLimits { before, joined, after, after_bytes })
}

impl OwnLogs {
    fn wrote(&self, batch: &LogBatch<'_>) -> bool {
        let account = self.account.get();
        self.log_groups.iter().any(|group| *group == batch.log_group)
            && account.is_none_or(|account| *account == batch.owner)
    }
}

#[cfg(test)]
mod tests;
