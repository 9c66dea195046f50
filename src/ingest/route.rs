//! Decides which log events become alerts, and of which routes. One pass rejects the messages
//! without any text that a route requires (`required`), such as its markers. Then routes are tried
//! in the order of the configuration; the first whose conditions hold (`condition`) accepts the log
//! event, and later ones are tried only if it has `continue`.
//!
//! Left to others: the prefilter on raw text, which rejects most messages before this (`decode`),
//! and making the alert (`alert`).

mod alert;
mod condition;
mod required;

use std::ops::ControlFlow;
use std::sync::{Arc, OnceLock};

use aho_corasick::BuildError;
use anyhow::bail;

use crate::config::{Config, ContextSize, Route};
use crate::filter_pattern::RequiredTexts;
use crate::ingest::decode::{Decoder, Events, MarkerPrefilter, Poison};
use crate::ingest::lines::{AroundLimits, LineFilter};
use crate::ingest::logs::{LogBatch, LogEvent};
use crate::ingest::origin::Origins;
use crate::model::alert::{Alert, Origin};
use crate::model::name::{RouteName, Severity};
use crate::model::pattern::Patterns;
use crate::redact::Redactor;

pub use condition::Unmet;
use condition::{EventPlace, MessageText, PreparedRoute};
use required::{QuickSearch, searchable};
pub use required::{is_searchable, of_route as required_texts};

/// The routes of a configuration, ready to search.
pub struct Routes {
    config: Config,
    decoder: Decoder,
    line_filter: LineFilter,
    quick: QuickSearch,
    /// In the order of the configuration.
    prepared: Vec<PreparedRoute>,
    /// Whether a route wants the log events around an alert.
    has_context: bool,
    /// Whether a route sets severities by conditions.
    has_severities: bool,
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

/// The routes that accept a log event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hit {
    /// The marker that the first of them found, or its name if it has no markers.
    pub marker: Arc<str>,
    /// Never empty; in the order of the configuration.
    pub routes: Arc<[RouteName]>,
}

/// A route that was tested on a log event.
#[derive(Clone, Debug)]
pub struct RouteTest<'r> {
    pub route: &'r Route,
    /// The first of its markers in the message.
    pub marker: Option<Arc<str>>,
    /// The first of its conditions that does not hold.
    pub unmet: Option<Unmet>,
}

impl Routes {
    /// # Errors
    /// When markers cannot be compiled. `Config::parse` refuses these, so only a configuration from
    /// another source can have them.
    pub fn new(config: &Config) -> anyhow::Result<Self> {
        let texts = required::of_config(config);
        let prepared: Result<Vec<_>, BuildError> =
            config.routes.iter().map(PreparedRoute::new).collect();
        let (Ok(prepared), Ok(quick)) = (prepared, QuickSearch::new(config, texts.as_ref())) else {
            bail!("the conditions of the configuration cannot be searched for");
        };
        let texts = texts.filter(|_| !config.strict);
        let has_context = config.routes.iter().any(|route| route.context != ContextSize::default());
        let has_severities = config.routes.iter().any(|route| !route.severity_if.is_empty());
        Ok(Self {
            has_context,
            has_severities,
            config: config.clone(),
            decoder: decoder(config, texts.as_ref()),
            line_filter: line_filter(config, texts.as_ref()),
            quick,
            prepared,
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
            let place = EventPlace::new(&self.config, event, head, region);
            let origin = origins.of(event);
            alerts.push(self.alert(&place, neighbors, hit, &origin, &mut patterns));
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
        let message = MessageText::new(&event.message);
        if !self.quick.may_be_accepted(&message) {
            return None;
        }
        let place = EventPlace::new(&self.config, event, batch, region);
        let mut hit: Option<Hit> = None;
        for prepared in &self.prepared {
            let Some(marker) = prepared.accept(&message, &place) else { continue };
            let alone = &prepared.alone;
            hit = Some(match hit {
                None => Hit { marker: Arc::clone(marker), routes: Arc::clone(alone) },
                Some(Hit { marker, routes }) => {
                    Hit { marker, routes: routes.iter().chain(&**alone).cloned().collect() }
                }
            });
            if !prepared.continue_ {
                break;
            }
        }
        hit
    }

    /// The severities of an alert of `routes`, on those that set one by conditions. `message` has the log
    /// events that continue that of `place`.
    fn severities(
        &self,
        routes: &[RouteName],
        message: &str,
        place: &EventPlace<'_>,
    ) -> Vec<(RouteName, Severity)> {
        if !self.has_severities {
            return Vec::new();
        }
        let message = MessageText::new(message);
        let accepting = self.prepared.iter().zip(self.iter());
        let accepting = accepting.filter(|(_, route)| routes.contains(&route.name));
        let severity = |(prepared, route): (&PreparedRoute, &Route)| {
            Some((route.name.clone(), prepared.severity(&message, place)?))
        };
        accepting.filter_map(severity).collect()
    }

    /// The severity on each of the routes that accept the log event.
    pub fn severity_on_each(
        &self,
        hit: &Hit,
        event: &LogEvent<'_>,
        batch: &LogBatch<'_>,
        region: Option<&str>,
    ) -> Vec<(RouteName, Severity)> {
        let place = EventPlace::new(&self.config, event, batch, region);
        let own = self.severities(&hit.routes, &event.message, &place);
        let severity = |name: &RouteName| {
            let own = own.iter().find(|(route, _)| route == name).map(|(_, severity)| *severity);
            let configured = || self.get(name)?.severity;
            own.or_else(configured).unwrap_or_else(|| Severity::of_marker(&hit.marker))
        };
        hit.routes.iter().map(|name| (name.clone(), severity(name))).collect()
    }

    /// Tests the conditions of each route, in the order of the configuration, whether or not an
    /// earlier one accepts the log event.
    pub fn tried(
        &self,
        event: &LogEvent<'_>,
        batch: &LogBatch<'_>,
        region: Option<&str>,
    ) -> Vec<RouteTest<'_>> {
        let message = MessageText::new(&event.message);
        let place = EventPlace::new(&self.config, event, batch, region);
        let tried = |(route, prepared): (_, &PreparedRoute)| {
            let marker = prepared.marker(&message).cloned();
            RouteTest { route, marker, unmet: prepared.unmet(&message, &place) }
        };
        self.config.routes.iter().zip(&self.prepared).map(tried).collect()
    }

    /// Whether some route accepts the message from somewhere.
    fn accepts_message(&self, message: &str) -> bool {
        let message = MessageText::new(message);
        self.quick.may_be_accepted(&message)
            && self.prepared.iter().any(|prepared| prepared.accepts_message(&message))
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

/// With a prefilter on raw text, if there are texts to search for.
fn decoder(config: &Config, texts: Option<&RequiredTexts>) -> Decoder {
    let prefilter = texts.and_then(|texts| {
        let parts: Option<Vec<&str>> = texts.iter().map(searchable).collect();
        MarkerPrefilter::with_json_escapes(parts?, texts.escapes())
    });
    Decoder { decoded_bytes_max: config.decoded_bytes_max, prefilter }
}

/// Every line is a candidate if there are no texts to search for.
fn line_filter(config: &Config, texts: Option<&RequiredTexts>) -> LineFilter {
    let most = |size: fn(&ContextSize) -> usize| {
        config.routes.iter().map(|route| size(&route.context)).max().unwrap_or(0)
    };
    let (before, after) = (most(|context| context.before), most(|context| context.after));
    let (joined, after_bytes) = (alert::JOINED_EVENTS_MAX, 2 * alert::JOINED_BYTES_MAX);
    let texts: Vec<_> = texts.into_iter().flat_map(RequiredTexts::with_escapes).collect();
    let limits = AroundLimits { before, joined, after, after_bytes };
    LineFilter::new(texts.iter().map(|text| &**text), limits)
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
