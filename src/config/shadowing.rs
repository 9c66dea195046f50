//! Finds routes that no log event can reach: earlier routes accept all of theirs, or their own `except`
//! leaves them all out.
//!
//! Routes are tried in order, and the first that matches accepts the log event. So a route is
//! shadowed when earlier routes without `continue` accept each of its markers in the same or a
//! wider scope, and have no other condition that it does not have, too.
//!
//! Every reported route is shadowed, but not every shadowed route is reported. Two cases are left
//! out: a scope that only several earlier routes together cover, and an earlier route with an
//! unknown key, which may be a misspelled `continue` or condition.

use std::collections::BTreeSet;

use super::diagnostic::Diagnostics;
use super::draft::Draft;

pub(super) fn check(drafts: &[Draft], diagnostics: &mut Diagnostics<'_>) {
    for (index, draft) in drafts.iter().enumerate() {
        if leaves_out_all(draft) {
            let message = "an `except` of this route leaves out all that the route accepts";
            diagnostics.error_at(draft.offset, message);
        } else if let Some(shadows) = shadows(&drafts[..index], draft) {
            let shadows: Vec<String> =
                shadows.into_iter().map(|i| describe(&drafts[i], diagnostics)).collect();
            let accept = if shadows.len() == 1 { "accepts" } else { "accept" };
            diagnostics.error_at(
                draft.offset,
                format!(
                    "no log event can reach this route: {} {accept} all of them first; \
                     move it up, or set `continue = true` there",
                    shadows.join(" and ")
                ),
            );
        }
    }
}

/// Whether one `except` covers the conditions of its route.
fn leaves_out_all(draft: &Draft) -> bool {
    let (Some(conditions), Some(except)) = (&draft.conditions, &draft.except) else { return false };
    // An unknown key may be a misspelled condition.
    !draft.has_unknown_key && except.iter().any(|except| except.cover(conditions))
}

/// The indexes of the earlier routes that together shadow `draft`; `None` if it may be reached.
fn shadows(earlier: &[Draft], draft: &Draft) -> Option<BTreeSet<usize>> {
    let conditions = draft.conditions.as_ref()?;
    let shadow =
        |marker: Option<&str>| earlier.iter().position(|other| accepts(other, draft, marker));
    match &conditions.markers[..] {
        [] => Some(BTreeSet::from([shadow(None)?])),
        markers => markers.iter().map(|marker| shadow(Some(marker))).collect(),
    }
}

/// Whether `earlier` accepts each log event of `later` that has this marker.
fn accepts(earlier: &Draft, later: &Draft, marker: Option<&str>) -> bool {
    let (Some(outer), Some(inner)) = (&earlier.conditions, &later.conditions) else {
        return false;
    };
    let (Some(left_out), Some(inner_left_out)) = (&earlier.except, &later.except) else {
        return false;
    };
    let is_marked =
        outer.markers.is_empty() || marker.is_some_and(|marker| outer.find_marker(inner, marker));
    // The later route leaves out everything that the earlier one leaves out.
    let is_left_out = |except| inner_left_out.contains(except);
    !earlier.has_unknown_key
        && earlier.continue_ == Some(false)
        && is_marked
        && outer.cover_without_markers(inner)
        && left_out.iter().all(is_left_out)
}

fn describe(draft: &Draft, diagnostics: &Diagnostics<'_>) -> String {
    let line = diagnostics.line(draft.offset);
    match &draft.name {
        Some(name) => format!("`{name}` (line {line})"),
        None => format!("the route at line {line}"),
    }
}
