//! The verdict on routes with a threshold, and on staged ones. It knows the messages and when each alert had
//! its row, and nothing of what the protocol holds, so it finds what the protocol counts wrongly.

use std::collections::BTreeSet;
use std::time::Duration;

use stentor::config::Route;
use stentor::model::alert::AlertId;
use stentor::model::name::RouteName;
use stentor::model::threshold::{Threshold, ThresholdKey};

use super::ledger::Ledger;

/// How far clocks may differ, and how long calls may take.
const SLACK: Duration = Duration::from_secs(15);

/// Messages of `route` without enough alerts. `is_late`: calls may fail, so that a window ends much later
/// than it is due.
pub fn too_early(ledger: &Ledger, route: &Route, is_late: bool) -> Vec<String> {
    let here = ledger.delivered.iter().filter(|step| step.digest.route == route.name);
    if route.stage {
        let reported = here.filter(|step| !step.digest.is_quiet());
        return reported
            .map(|step| format!("{} is staged: {:?}", route.name, step.digest.epochs))
            .collect();
    }
    let Some(Threshold { alerts, span, .. }) = route.at_least else { return vec![] };
    // Each alert waits for the end of its window.
    let lateness = if is_late { Duration::from_secs(300) } else { Duration::ZERO };
    let within = micros(span + 2 * route.window + SLACK + lateness);
    let mut wrong = vec![];
    for step in here.filter(|step| !step.digest.is_quiet()) {
        // A later message of a burst may have any number of alerts.
        let first = step.digest.incident.unwrap_or(step.digest.epochs.0);
        let Some(frozen) = ledger.epochs.get(&(route.name.clone(), first)) else { continue };
        let since = frozen.at_us.saturating_sub(within);
        let recent =
            rows(ledger, &route.name).filter(|(_, at)| (since..=frozen.at_us).contains(at));
        let recent = recent.count() as u64;
        if recent < alerts {
            wrong.push(format!(
                "{} reports epoch {first} of {}, with {recent} alerts before it",
                step.digest.target, route.name
            ));
        }
    }
    wrong
}

/// Alerts that no message of `route` has, although there were enough of them. For a schedule without
/// faults, in which clocks differ by up to `skew` in either direction.
pub fn held_back(ledger: &Ledger, route: &Route, skew: Duration) -> Vec<String> {
    let Some(Threshold { alerts, span, .. }) = counted_together(route) else { return vec![] };
    let span = span.saturating_sub(2 * skew);
    let mut wrong = vec![];
    for target in &route.notify {
        let here = ledger.delivered.iter().map(|step| &step.digest);
        let here = here.filter(|digest| (&digest.route, &digest.target) == (&route.name, target));
        let told: BTreeSet<&AlertId> = here.flat_map(|digest| ledger.alerts_in(digest)).collect();
        let untold = rows(ledger, &route.name).filter(|(id, _)| !told.contains(id));
        let mut untold: Vec<u64> = untold.map(|(_, at)| at).collect();
        untold.sort_unstable();
        let n = usize::try_from(alerts).unwrap();
        let is_enough = |times: &&[u64]| times[n - 1] - times[0] <= micros(span);
        if let Some(times) = untold.windows(n).find(is_enough) {
            wrong.push(format!(
                "{target} was not told of {alerts} alerts of {} since {} us",
                route.name, times[0]
            ));
        }
    }
    wrong
}

/// The threshold of a route that counts all its alerts together.
fn counted_together(route: &Route) -> Option<Threshold> {
    route.at_least.filter(|threshold| threshold.per == ThresholdKey::Route && !route.stage)
}

/// The alerts of a route, and when each had its row.
fn rows<'a>(ledger: &'a Ledger, route: &'a RouteName) -> impl Iterator<Item = (&'a AlertId, u64)> {
    let here = ledger.rows.iter().filter(move |(_, routes)| routes.contains(route));
    here.filter_map(|(id, _)| Some((id, *ledger.committed_at.get(id)?)))
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap()
}
