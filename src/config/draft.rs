//! A route while it is read: each setting may be missing or unreadable.

use std::time::Duration;

use super::{First, Route, Scope, WINDOW_DEFAULT, WINDOW_MAX_DEFAULT};
use crate::model::name::{RouteName, Severity, Target};

/// A route as far as it could be read.
pub(super) struct Draft {
    /// Where the route begins.
    pub(super) at: usize,
    pub(super) name: Option<RouteName>,
    pub(super) markers: Option<Vec<String>>,
    pub(super) scope: Option<Scope>,
    pub(super) continue_: Option<bool>,
    /// Whether there is no unknown key, which may have been meant for any of the above.
    pub(super) is_clear: bool,
    pub(super) notify: Option<Vec<Target>>,
    pub(super) fallback: Option<Option<Target>>,
    pub(super) fallback_after: Option<Duration>,
    pub(super) windows: Windows,
    pub(super) first: Option<First>,
    pub(super) severity: Option<Option<Severity>>,
}

/// `window` and `window_max`, in force together.
#[derive(Clone, Copy, Default)]
pub(super) struct Windows {
    pub(super) window: Setting,
    pub(super) window_max: Setting,
}

#[derive(Clone, Copy, Default)]
pub(super) enum Setting {
    /// Nobody said anything, so the default applies.
    #[default]
    Silent,
    Given(Duration),
    /// Given and already reported.
    Unreadable,
}

impl Draft {
    pub(super) fn finish(self) -> Option<Route> {
        Some(Route {
            name: self.name?,
            markers: self.markers?,
            scope: self.scope?,
            notify: self.notify?,
            fallback: self.fallback?,
            fallback_after: self.fallback_after?,
            window: self.windows.window()?,
            window_max: self.windows.window_max()?,
            first: self.first?,
            continue_: self.continue_?,
            severity: self.severity?,
        })
    }
}

impl Windows {
    pub(super) fn window(self) -> Option<Duration> {
        match self.window {
            Setting::Silent => Some(WINDOW_DEFAULT),
            Setting::Given(window) => Some(window),
            Setting::Unreadable => None,
        }
    }

    pub(super) fn window_max(self) -> Option<Duration> {
        match self.window_max {
            Setting::Silent => self.window().map(|window| window.max(WINDOW_MAX_DEFAULT)),
            Setting::Given(window_max) => Some(window_max),
            Setting::Unreadable => None,
        }
    }
}
