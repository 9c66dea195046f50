//! `stentor patterns --explain ID`: what each route remembers of a pattern, and why a message would call it
//! news or not.

use std::collections::BTreeMap;

use anyhow::anyhow;
use serde::Serialize;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::database::Database;
use stentor::model::cluster::cluster;
use stentor::model::history::{BACK_AFTER, History, News, SPIKE};
use stentor::model::humanize::{count_alerts, humanize_duration, thousands};
use stentor::model::name::RouteName;
use stentor::model::pattern::pattern_id;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::Clock as _;
use stentor::protocol::store::Store as _;

use crate::Exit;
use crate::audit_table::deadline;
use crate::json;
use crate::trace::explain;
use crate::ui::{self, TextReport, hinted};

/// A pattern on a route.
struct Known {
    route: RouteName,
    id: String,
    history: History,
}

#[derive(Debug, Serialize)]
struct PrintedExplanation {
    version: u32,
    pattern_id: String,
    histories: Vec<PrintedHistory>,
}

#[derive(Debug, Serialize)]
struct PrintedHistory {
    route: String,
    pattern_id: String,
    pattern: String,
    first: String,
    last: String,
    alerts: u64,
    /// The median of the hours that had alerts, in the last two weeks.
    usual_in_hour: Option<u64>,
    alerts_in_hour: u64,
    /// The kind of news that a further alert would be now.
    next_alert: Option<&'static str>,
    hours: BTreeMap<String, u64>,
}

/// Prints the histories of the pattern with this id, or of the patterns that a message shows as one.
pub(super) async fn explain_pattern(
    store: &Database,
    id: &str,
    prints_json: bool,
) -> anyhow::Result<Exit> {
    let now = SystemClock.now();
    let known = find(store, id).await?;
    if known.is_empty() {
        let error = anyhow!("no route remembers a pattern `{id}` in {}", store.outbox_place());
        let hint = "`stentor patterns` prints the id of each pattern; a pattern is remembered when its window is closed";
        return Err(hinted(error, hint));
    }
    match prints_json {
        true => {
            let histories = known.iter().map(|known| PrintedHistory::new(known, now)).collect();
            let version = json::VERSION;
            ui::print_json(&PrintedExplanation { version, pattern_id: id.to_owned(), histories })?;
        }
        false => {
            let mut report = TextReport::new();
            known.iter().for_each(|known| add(&mut report, known, now));
            ui::print(&report.into_text())?;
        }
    }
    Ok(Exit::Done)
}

async fn find(store: &Database, id: &str) -> anyhow::Result<Vec<Known>> {
    let place = store.outbox_place();
    let routes = store.routes(deadline()).await.map_err(|error| explain(&error, &place))?;
    let mut found = Vec::new();
    for route in routes {
        let histories = store.all_histories(&route, deadline()).await;
        let mut histories = histories.map_err(|error| explain(&error, &place))?;
        // One that cannot be read has none.
        histories.retain(|(_, history)| history.alerts > 0);
        let members = members(id, &histories);
        let histories = histories.into_iter().filter(|(id, _)| members.contains(id));
        found.extend(histories.map(|(id, history)| Known { route: route.clone(), id, history }));
    }
    Ok(found)
}

/// The ids of the patterns that are meant. A message shows similar patterns as one.
fn members(id: &str, histories: &[(String, History)]) -> Vec<String> {
    if histories.iter().any(|(known, _)| known == id) {
        return vec![id.to_owned()];
    }
    let patterns: Vec<&str> =
        histories.iter().map(|(_, history)| history.pattern.as_str()).collect();
    let clusters = cluster(&patterns).into_iter();
    let meant = clusters.filter(|cluster| pattern_id(&cluster.pattern) == id);
    meant.flat_map(|cluster| cluster.members).map(|at| histories[at].0.clone()).collect()
}

impl PrintedHistory {
    fn new(Known { route, id, history }: &Known, now: Timestamp) -> Self {
        Self {
            route: route.to_string(),
            pattern_id: id.clone(),
            pattern: history.pattern.clone(),
            first: history.first.iso(),
            last: history.last.iso(),
            alerts: history.alerts,
            usual_in_hour: history.usual(now),
            alerts_in_hour: history.alerts_in_hour(now),
            next_alert: History::news(Some(history), 1, now, Some(history.first)).map(News::code),
            hours: history.hours().map(|(hour, n)| (hour.iso(), n)).collect(),
        }
    }
}

fn add(report: &mut TextReport, Known { route, id, history }: &Known, now: Timestamp) {
    report.heading(format_args!("{route} · {id}"));
    report.line(2, &history.pattern);
    let History { first, last, alerts, .. } = history;
    let ago = humanize_duration(last.until(now));
    report.line(
        2,
        format_args!(
            "{} from {} to {} ({ago} ago)",
            count_alerts(*alerts),
            first.iso(),
            last.iso()
        ),
    );
    let (usual, here) = (history.usual(now), thousands(history.alerts_in_hour(now)));
    report.line(2, match usual {
        Some(usual) => format!(
            "usual: {} an hour, the median of the earlier hours with alerts in two weeks; {here} in this hour",
            thousands(usual)
        ),
        None => format!("usual: not known; {here} in this hour"),
    });
    report.line(2, verdict(history, now));
}

/// The kind of news that a further alert would be, and the condition for another kind.
fn verdict(history: &History, now: Timestamp) -> String {
    let is_spike = |usual: u64| history.alerts_in_hour(now) >= usual.saturating_mul(SPIKE);
    match (History::news(Some(history), 1, now, Some(history.first)), history.usual(now)) {
        (Some(News::New), _) => {
            "a further alert is new: the last one is more than 90 days old".to_owned()
        }
        (Some(News::Back { .. }), _) => format!(
            "a further alert is back: there was none for {} or longer",
            humanize_duration(BACK_AFTER)
        ),
        (Some(News::Spike { .. }), _) => {
            format!("with a further alert, this hour is a spike: {SPIKE} times the usual rate")
        }
        (None, Some(usual)) if is_spike(usual) => {
            "this hour is a spike, which one message has said".to_owned()
        }
        (None, Some(usual)) => format!(
            "a further alert is no news; {} in one hour are a spike, from a day after the first",
            count_alerts(usual.saturating_mul(SPIKE))
        ),
        (None, None) => "a further alert is no news; a spike needs a day of history".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_is_found_by_its_id_and_by_that_of_its_cluster() {
        let patterns = ["no space on /tmp", "no space on /var", "disk full"];
        let histories: Vec<(String, History)> = patterns
            .iter()
            .map(|pattern| (pattern_id(pattern), History::new(pattern, Timestamp::default())))
            .collect();
        let id = |n: usize| histories[n].0.clone();
        assert_eq!(members(&id(2), &histories), [id(2)]);
        assert_eq!(members(&id(0), &histories), [id(0)]);
        let shown = cluster(&patterns);
        let of_both = shown.iter().find(|cluster| cluster.members.len() == 2).unwrap();
        assert_eq!(members(&pattern_id(&of_both.pattern), &histories), [id(0), id(1)]);
        assert_eq!(members("0123456789abcdef", &histories), [] as [String; 0]);
    }

    #[test]
    fn the_verdict_says_what_would_be_news() {
        let hour = std::time::Duration::from_hours(1);
        let began = Timestamp::from_millis(1_795_000_000_000);
        let mut history = History::new("p", began);
        history.count(1, 12, began);
        let verdict = |hours: u32, history: &History| verdict(history, began.after(hour * hours));
        insta::assert_snapshot!(verdict(0, &history), @"a further alert is no news; a spike needs a day of history");
        insta::assert_snapshot!(verdict(30, &history), @"a further alert is no news; 120 alerts in one hour are a spike, from a day after the first");
        insta::assert_snapshot!(verdict(24 * 8, &history), @"a further alert is back: there was none for 7 d or longer");
        insta::assert_snapshot!(verdict(24 * 91, &history), @"a further alert is new: the last one is more than 90 days old");
        history.count(2, 200, began.after(hour * 30));
        insta::assert_snapshot!(verdict(30, &history), @"this hour is a spike, which one message has said");
    }
}
