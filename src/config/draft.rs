//! A route during reading: each setting may be absent or invalid.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Conditions, ContextSize, First, Route, WINDOW_DEFAULT, WINDOW_MAX_DEFAULT};
use crate::model::history::NewsKind;
use crate::model::name::{RouteName, Severity, Target};
use crate::model::reader_link::LinkTemplate;
use crate::model::threshold::Threshold;

/// A route as far as it could be read. `None` means that an error was reported.
pub(super) struct Draft {
    /// The byte offset at which the route begins.
    pub(super) offset: usize,
    pub(super) name: Option<RouteName>,
    pub(super) conditions: Option<Conditions>,
    pub(super) except: Option<Vec<Conditions>>,
    pub(super) continue_: Option<bool>,
    /// An unknown key may be a misspelled `continue` or condition.
    pub(super) has_unknown_key: bool,
    /// Where each target is named.
    pub(super) places: BTreeMap<Target, usize>,
    pub(super) notify: Option<Vec<Target>>,
    pub(super) fallback: Option<Option<Target>>,
    pub(super) fallback_after: Option<Duration>,
    pub(super) windows: Windows,
    pub(super) first: Option<First>,
    pub(super) at_least: Option<Option<Threshold>>,
    pub(super) speak_on: Option<Option<Vec<NewsKind>>>,
    pub(super) stage: Option<bool>,
    pub(super) context: Option<ContextSize>,
    pub(super) links: Option<Vec<LinkTemplate>>,
    pub(super) severity: Option<Option<Severity>>,
    pub(super) severity_if: Option<BTreeMap<Severity, Vec<Conditions>>>,
}

/// `window` and `window_max`: each limits the other.
#[derive(Clone, Copy, Default)]
pub(super) struct Windows {
    pub(super) window: Setting,
    pub(super) window_max: Setting,
}

#[derive(Clone, Copy, Default)]
pub(super) enum Setting {
    /// Neither the route nor the file has it, so the default applies.
    #[default]
    Absent,
    Given(Duration),
    /// Already reported.
    Invalid,
}

impl Draft {
    /// The byte offset at which the route names the target.
    pub(super) fn place_of(&self, target: &Target) -> usize {
        self.places.get(target).copied().unwrap_or(self.offset)
    }

    pub(super) fn finish(self) -> Option<Route> {
        Some(Route {
            name: self.name?,
            conditions: self.conditions?,
            except: self.except?,
            notify: self.notify?,
            fallback: self.fallback?,
            fallback_after: self.fallback_after?,
            window: self.windows.window()?,
            window_max: self.windows.window_max()?,
            first: self.first?,
            at_least: self.at_least?,
            speak_on: self.speak_on?,
            stage: self.stage?,
            continue_: self.continue_?,
            context: self.context?,
            links: self.links?,
            severity: self.severity?,
            severity_if: self.severity_if?,
        })
    }
}

impl Windows {
    pub(super) fn window(self) -> Option<Duration> {
        match self.window {
            Setting::Absent => Some(WINDOW_DEFAULT),
            Setting::Given(window) => Some(window),
            Setting::Invalid => None,
        }
    }

    pub(super) fn window_max(self) -> Option<Duration> {
        match self.window_max {
            Setting::Absent => self.window().map(|window| window.max(WINDOW_MAX_DEFAULT)),
            Setting::Given(window_max) => Some(window_max),
            Setting::Invalid => None,
        }
    }
}
