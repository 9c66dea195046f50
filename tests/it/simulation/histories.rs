//! The histories of patterns: each counts the alerts of its pattern once, and each pattern is news in the
//! first epoch that has it, and nowhere else, unless the store did not answer. A schedule is too short for
//! a pattern to come back.

use std::collections::BTreeMap;

use stentor::model::history::News;
use stentor::model::name::RouteName;

use super::engine::Engine;
use super::ledger::Ledger;

/// The mistakes in the histories and the news of a route, after a schedule, when every epoch is counted.
pub fn verdict(ledger: &Ledger, engine: &mut Engine, route: &RouteName) -> Vec<String> {
    // Epoch and alerts of each pattern, in order.
    let mut expected: BTreeMap<&str, Vec<(u64, u64)>> = BTreeMap::new();
    let here = (route.clone(), 0)..=(route.clone(), u64::MAX);
    let is_young = matches!(engine, Engine::Production(_));
    let mut without_news = ledger.uncounted.get(route).copied().unwrap_or_default();
    let mut wrong = Vec::new();
    for ((_, number), frozen) in ledger.epochs.range(here) {
        let mut alerts: BTreeMap<&str, u64> = BTreeMap::new();
        for id in &frozen.alerts {
            *alerts.entry(&ledger.patterns[id]).or_default() += 1;
        }
        let first = alerts.keys().filter(|pattern| !expected.contains_key(*pattern));
        let first: BTreeMap<String, News> =
            first.map(|pattern| ((*pattern).to_owned(), News::New)).collect();
        // The histories of a production store have begun with the schedule.
        let first = if is_young { BTreeMap::new() } else { first };
        if frozen.news.is_empty() && !first.is_empty() && without_news > 0 {
            without_news -= 1;
        } else if first != frozen.news {
            wrong.push(format!(
                "news of epoch {number} of {route}: {:?}, not {first:?}",
                frozen.news
            ));
        }
        for (pattern, n) in alerts {
            expected.entry(pattern).or_default().push((*number, n));
        }
    }
    let ids: Vec<String> = expected.keys().map(|id| (*id).to_owned()).collect();
    let stored: BTreeMap<_, _> = engine.histories(route, &ids).unwrap().into_iter().collect();
    for (pattern, epochs) in expected {
        let sum: u64 = epochs.iter().map(|(_, n)| n).sum();
        let last = epochs.last().map_or(0, |(number, _)| *number);
        let found = stored.get(pattern).map(|history| (history.alerts, history.epoch));
        if found != Some((sum, last)) {
            wrong.push(format!(
                "the history of {pattern} on {route} is {found:?}, not {sum} alerts up to epoch {last}"
            ));
        }
    }
    wrong
}
