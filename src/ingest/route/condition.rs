//! Tests the conditions of a route on a log event. `config::conditions` says how they combine.

use std::borrow::Cow;
use std::cell::OnceCell;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, BuildError, MatchKind};

use crate::config::{Conditions, Config, Route};
use crate::filter_pattern::EventText;
use crate::ingest::logs::{LogBatch, LogEvent};
use crate::ingest::origin::Origins;
use crate::model::name::{RouteName, Severity};
use crate::model::statement;

/// A route, ready to test.
pub(super) struct PreparedRoute {
    conditions: PreparedConditions,
    except: Vec<PreparedConditions>,
    /// The severities by conditions, the worst first.
    severity_if: Vec<(Severity, Vec<PreparedConditions>)>,
    /// The severity without them.
    severity: Option<Severity>,
    /// The name of the route: the only element of a list, and in place of a marker.
    pub(super) alone: Arc<[RouteName]>,
    name: Arc<str>,
    pub(super) continue_: bool,
}

/// Conditions, ready to test.
struct PreparedConditions {
    conditions: Conditions,
    markers: Option<Markers>,
}

/// Markers that are searched for together.
struct Markers {
    search: AhoCorasick,
    texts: Vec<Arc<str>>,
}

/// The first condition that a log event does not meet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unmet {
    Markers,
    Pattern,
    /// With the path of the field.
    Field(String),
    Regex,
    /// The account, Region, log group or log stream.
    Scope,
    App,
    /// An `except` accepts it.
    Except,
}

/// A message, as conditions see it.
pub(super) struct MessageText<'m> {
    message: &'m str,
    /// Without terminal sequences: a marker may have colors in it, and a color may be a part of a
    /// marker.
    plain: Cow<'m, str>,
    /// As CloudWatch Logs sees it.
    event: EventText<'m>,
}

/// Where a log event comes from.
pub(super) struct EventPlace<'e> {
    config: &'e Config,
    event: &'e LogEvent<'e>,
    batch: &'e LogBatch<'e>,
    region: Option<&'e str>,
    app: OnceCell<String>,
}

impl<'m> MessageText<'m> {
    pub(super) fn new(message: &'m str) -> Self {
        let plain = statement::without_sequences(message);
        Self { message, plain, event: EventText::new(message) }
    }

    pub(super) fn message(&self) -> &'m str {
        self.message
    }

    /// The text without terminal sequences, if it has any.
    pub(super) fn plain(&self) -> Option<&str> {
        (self.plain.len() < self.message.len()).then_some(&*self.plain)
    }
}

impl<'e> EventPlace<'e> {
    pub(super) fn new(
        config: &'e Config,
        event: &'e LogEvent<'e>,
        batch: &'e LogBatch<'e>,
        region: Option<&'e str>,
    ) -> Self {
        Self { config, event, batch, region, app: OnceCell::new() }
    }

    pub(super) fn event(&self) -> &'e LogEvent<'e> {
        self.event
    }

    /// The name that its alert has. Computed alone, so that it does not depend on other log events.
    fn app(&self) -> &str {
        let find = || Origins::new(self.config, self.batch, self.region, "").of(self.event);
        self.app.get_or_init(|| find().app_name.clone())
    }
}

impl PreparedRoute {
    pub(super) fn new(route: &Route) -> Result<Self, BuildError> {
        let severity_if = route.severity_if.iter().rev();
        let severity_if: Result<Vec<_>, _> = severity_if
            .map(|(severity, all)| Ok((*severity, PreparedConditions::all(all)?)))
            .collect();
        Ok(Self {
            conditions: PreparedConditions::new(&route.conditions)?,
            except: PreparedConditions::all(&route.except)?,
            severity_if: severity_if?,
            severity: route.severity,
            alone: Arc::from([route.name.clone()]),
            name: route.name.as_str().into(),
            continue_: route.continue_,
        })
    }

    /// The marker of the log event, or the name of a route without markers; `None` if the route
    /// does not accept the log event.
    pub(super) fn accept(
        &self,
        message: &MessageText<'_>,
        place: &EventPlace<'_>,
    ) -> Option<&Arc<str>> {
        let Self { conditions, except, name, .. } = self;
        if !conditions.admits_place(place) {
            return None;
        }
        let marker = match &conditions.markers {
            Some(markers) => markers.first_in(message)?,
            None => name,
        };
        let is_accepted = conditions.unmet_beside_markers(message).is_none()
            && conditions.admits_app(place)
            && !any_met(except, message, place);
        is_accepted.then_some(marker)
    }

    /// The severity of an alert of the route; `None` if it sets none by conditions.
    pub(super) fn severity(
        &self,
        message: &MessageText<'_>,
        place: &EventPlace<'_>,
    ) -> Option<Severity> {
        if self.severity_if.is_empty() {
            return None;
        }
        let is_met = |(_, all): &&(_, Vec<_>)| any_met(all, message, place);
        let met = self.severity_if.iter().find(is_met).map(|(severity, _)| *severity);
        let of_marker = || Severity::of_marker(self.marker(message).unwrap_or(&self.name));
        met.or(self.severity).or_else(|| Some(of_marker()))
    }

    pub(super) fn unmet(&self, message: &MessageText<'_>, place: &EventPlace<'_>) -> Option<Unmet> {
        let excepted = || any_met(&self.except, message, place).then_some(Unmet::Except);
        self.conditions.unmet(message, place).or_else(excepted)
    }

    /// The first marker of the route in the message.
    pub(super) fn marker(&self, message: &MessageText<'_>) -> Option<&Arc<str>> {
        self.conditions.markers.as_ref()?.first_in(message)
    }

    /// Whether the route accepts the message from somewhere.
    pub(super) fn accepts_message(&self, message: &MessageText<'_>) -> bool {
        let excepts = |except: &PreparedConditions| {
            except.conditions.is_everywhere() && except.unmet_in_message(message).is_none()
        };
        self.conditions.unmet_in_message(message).is_none() && !self.except.iter().any(excepts)
    }
}

/// Whether the log event meets one of `all`.
fn any_met(all: &[PreparedConditions], message: &MessageText<'_>, place: &EventPlace<'_>) -> bool {
    all.iter().any(|conditions| conditions.unmet(message, place).is_none())
}

impl PreparedConditions {
    fn all(conditions: &[Conditions]) -> Result<Vec<Self>, BuildError> {
        conditions.iter().map(Self::new).collect()
    }

    fn new(conditions: &Conditions) -> Result<Self, BuildError> {
        let markers = match &conditions.markers[..] {
            [] => None,
            texts => Some(Markers::new(texts, conditions.ignore_case)?),
        };
        Ok(Self { conditions: conditions.clone(), markers })
    }

    fn unmet(&self, message: &MessageText<'_>, place: &EventPlace<'_>) -> Option<Unmet> {
        let out_of_scope = || (!self.admits_place(place)).then_some(Unmet::Scope);
        let of_other_app = || (!self.admits_app(place)).then_some(Unmet::App);
        self.unmet_in_message(message).or_else(out_of_scope).or_else(of_other_app)
    }

    fn unmet_in_message(&self, message: &MessageText<'_>) -> Option<Unmet> {
        if self.markers.as_ref().is_some_and(|markers| markers.first_in(message).is_none()) {
            return Some(Unmet::Markers);
        }
        self.unmet_beside_markers(message)
    }

    fn unmet_beside_markers(&self, message: &MessageText<'_>) -> Option<Unmet> {
        let Conditions { patterns, fields, regexes, ignore_case, .. } = &self.conditions;
        let text = &message.event;
        if !patterns.is_empty() && !patterns.iter().any(|pattern| pattern.matches(text)) {
            return Some(Unmet::Pattern);
        }
        for field in fields {
            if !text.json().is_some_and(|json| field.holds(json, *ignore_case)) {
                return Some(Unmet::Field(field.path.clone()));
            }
        }
        let matches = |text: &str| regexes.iter().any(|regex| regex.is_match(text));
        let is_matched = || matches(text.message()) || message.plain().is_some_and(&matches);
        (!regexes.is_empty() && !is_matched()).then_some(Unmet::Regex)
    }

    fn admits_place(&self, place: &EventPlace<'_>) -> bool {
        let EventPlace { event, batch, region, .. } = place;
        let account = event.account.as_deref().unwrap_or(&batch.owner);
        let region = event.region.as_deref().or(*region);
        self.conditions.scope.admits(account, region, &batch.log_group, &batch.log_stream)
    }

    fn admits_app(&self, place: &EventPlace<'_>) -> bool {
        let apps = &self.conditions.apps;
        apps.is_empty() || apps.iter().any(|app| app.matches(place.app()))
    }
}

impl Markers {
    fn new(markers: &[String], ignore_case: bool) -> Result<Self, BuildError> {
        let mut builder = AhoCorasick::builder();
        let search = builder
            .match_kind(MatchKind::LeftmostLongest)
            .ascii_case_insensitive(ignore_case)
            .build(markers)?;
        Ok(Self { search, texts: markers.iter().map(|marker| marker.as_str().into()).collect() })
    }

    /// The first marker in the message, else in its text without terminal sequences; of two at the
    /// same place, the longer one.
    fn first_in(&self, message: &MessageText<'_>) -> Option<&Arc<str>> {
        let in_plain = || self.search.find(message.plain()?);
        let found = self.search.find(message.message()).or_else(in_plain)?;
        Some(&self.texts[found.pattern().as_usize()])
    }
}
