//! The meaning of `[[app]]`: names for the apps of log groups and log streams.

use super::diagnostic::Diagnostics;
use super::scope::Scope;
use super::scope_keys::scope;
use super::value::{Fields, TomlValue};
use crate::model::app::APP_NAME_BYTES_MAX;
use crate::model::visible;

/// The most `[[app]]` tables of a file.
pub const APPS_MAX: usize = 1_000;

/// One `[[app]]`: the name of the app that writes the log events of a scope.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct App {
    /// 1 to [`APP_NAME_BYTES_MAX`] bytes. Several apps may have the same name.
    pub name: String,
    /// Where a log event has to come from. At least one of the lists has a pattern.
    pub scope: Scope,
}

/// The apps of a file, in its order.
pub(super) fn apps(
    value: Option<TomlValue<'_>>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Vec<App>> {
    let Some(value) = value else { return Some(Vec::new()) };
    if value.is_table() {
        diagnostics.error(value, "an app is written [[app]], with two brackets on each side");
        return None;
    }
    let elements = diagnostics.read(value, TomlValue::array)?;
    if elements.len() > APPS_MAX {
        diagnostics.error(value, format_args!("a file has at most {APPS_MAX} of them"));
        return None;
    }
    let mut known: Vec<(usize, App)> = Vec::new();
    let mut is_valid = true;
    for element in elements {
        let offset = element.offset();
        let fields = diagnostics.read(element, TomlValue::table);
        let Some(app) = fields.and_then(|fields| app(offset, fields, diagnostics)) else {
            is_valid = false;
            continue;
        };
        if let Some((earlier, _)) =
            known.iter().find(|(_, earlier)| earlier.scope.covers(&app.scope))
        {
            let line = diagnostics.line(*earlier);
            diagnostics.error_at(
                offset,
                format!(
                    "no log event can reach this app: the one at line {line} accepts all of them \
                     first; move it up"
                ),
            );
        }
        known.push((offset, app));
    }
    is_valid.then(|| known.into_iter().map(|(_, app)| app).collect())
}

/// An app that begins at `offset`. An unknown key may be a misspelled scope, so it makes the app
/// invalid.
fn app(offset: usize, mut fields: Fields<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<App> {
    let name = fields.require("name").and_then(|value| diagnostics.read(value, name));
    let scope = scope(&mut fields, diagnostics);
    let misplaced = |key: &str| match key {
        "markers" | "notify" | "severity" => Some("it belongs in a [[route]]"),
        "window" | "window_max" | "first" | "decoded_bytes_max" | "strict" => {
            Some("it belongs above [[app]]")
        }
        _ => None,
    };
    let keys = fields.finish(diagnostics, misplaced);
    for missing in keys.missing {
        diagnostics.error_at(offset, format!("this app has no `{missing}`"));
    }
    let app = App { name: name?, scope: scope? };
    if keys.has_unknown {
        return None;
    }
    if app.scope == Scope::default() {
        diagnostics.error_at(
            offset,
            "this app has no `log_groups`, `log_streams`, `accounts` or `regions`, so all alerts \
             would get its name",
        );
        return None;
    }
    Some(app)
}

fn name(value: TomlValue<'_>) -> Result<String, String> {
    let name = value.str()?;
    let bytes = name.len();
    if !(1..=APP_NAME_BYTES_MAX).contains(&bytes) {
        return Err(format!(
            "the name of an app has 1 to {APP_NAME_BYTES_MAX} bytes, this one has {bytes}"
        ));
    }
    if name.trim() != name || name.chars().any(|c| c.is_control() || visible::is_invisible(c)) {
        return Err("the name of an app has no control or invisible characters, and no blanks \
                    around it"
            .to_owned());
    }
    Ok(name.to_owned())
}
