//! Finds routes that no event can reach.
//!
//! Routes are tried in order and the first that fits takes the event. So a route is dead when each
//! of its markers is taken before by a route with the same or a wider scope that does not
//! `continue`. The check errs towards silence: whoever is reported is dead, but some dead routes
//! are not found, such as one whose scope only several others cover between them, and no route is
//! held against others while it has a key that may be a misspelled `continue` or scope.

use std::collections::BTreeSet;

use super::draft::Draft;
use super::spanned::Diagnostics;

pub(super) fn check(drafts: &[Draft], diagnostics: &mut Diagnostics<'_>) {
    for (index, draft) in drafts.iter().enumerate() {
        if let Some(takers) = takers(&drafts[..index], draft) {
            let takers: Vec<String> = takers.into_iter().map(|i| describe(&drafts[i], diagnostics)).collect();
            let takes = if takers.len() == 1 { "takes" } else { "take" };
            diagnostics.add_at(
                draft.at,
                format!(
                    "this route can never be reached: {} {takes} all of its events first; \
                     move it up, or set `continue = true` there",
                    takers.join(" and ")
                ),
            );
        }
    }
}

/// The earlier routes that between them leave `draft` nothing, as indexes; `None` if something may
/// get through, or if too much is unreadable to tell.
fn takers(earlier: &[Draft], draft: &Draft) -> Option<BTreeSet<usize>> {
    let markers = draft.markers.as_ref()?;
    markers.iter().map(|marker| earlier.iter().position(|other| takes(other, draft, marker))).collect()
}

/// Whether `earlier` takes each event of `later` that has this marker. A message with `[ERROR]` in
/// it has `ERROR` in it, so a marker takes all markers that contain it.
fn takes(earlier: &Draft, later: &Draft, marker: &str) -> bool {
    let (Some(outer), Some(inner)) = (&earlier.scope, &later.scope) else {
        return false;
    };
    let Some(markers) = &earlier.markers else {
        return false;
    };
    earlier.is_clear
        && earlier.continue_ == Some(false)
        && markers.iter().any(|taken| marker.contains(taken.as_str()))
        && outer.covers(inner)
}

fn describe(draft: &Draft, diagnostics: &Diagnostics<'_>) -> String {
    let line = diagnostics.line(draft.at);
    match &draft.name {
        Some(name) => format!("`{name}` (line {line})"),
        None => format!("the route at line {line}"),
    }
}
