//! Questions to the audit table, as values: which alerts, from when to when. Pure; a store answers them.

use std::time::Duration;

use regex::Regex;
use serde::Serialize;

use crate::clock::Timestamp;
use crate::name::RouteName;
use crate::visible;

/// Which alerts, the latest first.
#[derive(Clone, Debug)]
pub struct Question {
    pub since: Timestamp,
    /// Included.
    pub until: Timestamp,
    pub app: Option<String>,
    pub route: Option<RouteName>,
    /// Found in the message.
    pub grep: Option<Regex>,
}

/// A row of the audit table, in the words of its columns; empty where it has none.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Row {
    pub log_id: String,
    /// ISO 8601, UTC.
    pub timestamp: String,
    pub marker: String,
    pub app_name: String,
    /// Redacted.
    pub message: String,
    pub routes: Vec<String>,
    pub account_id: String,
    pub region: String,
    pub log_group: String,
    pub log_stream: String,
    pub pattern: String,
    pub source: String,
}

impl Row {
    /// The names of the columns, in the order in which [`Row::csv`] writes them.
    pub const COLUMNS: [&'static str; 12] = [
        "log_id",
        "timestamp",
        "marker",
        "app_name",
        "message",
        "routes",
        "account_id",
        "region",
        "log_group",
        "log_stream",
        "pattern",
        "source",
    ];

    /// The row as a line of comma-separated values (RFC 4180), without its end.
    pub fn csv(&self) -> String {
        self.cells().map(|cell| quoted(&cell)).join(",")
    }

    /// The row with every text on one line and safe to show.
    #[must_use]
    pub fn visible(&self) -> Self {
        let line = |text: &String| visible::line(text);
        Self {
            log_id: line(&self.log_id),
            timestamp: line(&self.timestamp),
            marker: line(&self.marker),
            app_name: line(&self.app_name),
            message: line(&self.message),
            routes: self.routes.iter().map(line).collect(),
            account_id: line(&self.account_id),
            region: line(&self.region),
            log_group: line(&self.log_group),
            log_stream: line(&self.log_stream),
            pattern: line(&self.pattern),
            source: line(&self.source),
        }
    }

    fn cells(&self) -> [String; 12] {
        let Self { log_id, timestamp, marker, app_name, message, routes, .. } = self.clone();
        let Self { account_id, region, log_group, log_stream, pattern, source, .. } = self.clone();
        let routes = routes.join(" ");
        [
            log_id, timestamp, marker, app_name, message, routes, account_id, region, log_group, log_stream, pattern,
            source,
        ]
    }
}

impl Question {
    /// The hours that the question spans, `2026-11-23T14`, the latest first.
    pub fn hours(&self) -> impl Iterator<Item = String> + use<> {
        const HOUR: Duration = Duration::from_hours(1);
        let millis = i64::try_from(HOUR.as_millis()).expect("invariant: an hour fits");
        let hour_of = move |at: Timestamp| at.as_millis().div_euclid(millis);
        let (first, last) = (hour_of(self.since), hour_of(self.until));
        (first..=last).rev().map(move |hour| Timestamp::from_millis(hour * millis).iso()[..13].to_owned())
    }

    /// Whether a row that the index brought is meant: what no index knows is looked for here.
    pub fn admits(&self, row: &Row) -> bool {
        self.grep.as_ref().is_none_or(|grep| grep.is_match(&row.message))
    }
}

/// A cell is quoted where it must be. A spreadsheet takes a text that begins with one of `=+-@` for a formula,
/// and log lines come from anyone: it gets an apostrophe, which spreadsheets hide.
fn quoted(cell: &str) -> String {
    let cell = match cell.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        true => format!("'{cell}"),
        false => cell.to_owned(),
    };
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_spans_its_hours_from_the_latest_on() {
        let at = |text: &str| Timestamp::from_iso(text).unwrap();
        let hours = |since: &str, until: &str| {
            let (since, until) = (at(since), at(until));
            Question { since, until, app: None, route: None, grep: None }.hours().collect::<Vec<_>>()
        };
        assert_eq!(hours("2026-11-23T14:59:59Z", "2026-11-23T15:00:00Z"), ["2026-11-23T15", "2026-11-23T14"]);
        assert_eq!(hours("2026-11-23T14:01:00Z", "2026-11-23T14:02:00Z"), ["2026-11-23T14"]);
        assert_eq!(hours("2026-11-22T23:00:00Z", "2026-11-23T01:00:00Z").len(), 3);
        assert!(hours("2026-11-23T15:00:00Z", "2026-11-23T13:00:00Z").is_empty());
    }

    #[test]
    fn a_cell_is_quoted_where_it_must_be_and_is_never_a_formula() {
        for (cell, expected) in [
            ("plain", "plain"),
            ("a, b", "\"a, b\""),
            ("say \"no\"", "\"say \"\"no\"\"\""),
            ("two\nlines", "\"two\nlines\""),
            ("=1+1", "'=1+1"),
            ("", ""),
        ] {
            assert_eq!(quoted(cell), expected);
        }
        let row = Row { message: "x".into(), ..Row::default() };
        assert_eq!(row.csv().split(',').count(), Row::COLUMNS.len());
    }
}
