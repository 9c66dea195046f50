//! Questions to the audit table, as values: which alerts, from when to when. Pure; a store answers them.

use regex::Regex;
use serde::Serialize;

use crate::model::name::RouteName;
use crate::model::time::Timestamp;
use crate::model::visible;

/// Which alerts, the latest first.
#[derive(Clone, Debug)]
pub struct AlertQuery {
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

impl AlertQuery {
    /// Whether a row that the index brought is meant: what no index knows is looked for here.
    pub fn admits(&self, row: &Row) -> bool {
        self.grep.as_ref().is_none_or(|grep| grep.is_match(&row.message))
    }
}

/// Quotes a cell where it must be quoted. A spreadsheet may read a log line as a formula, so such a cell gets an
/// apostrophe, which spreadsheets hide.
fn quoted(cell: &str) -> String {
    let cell = if may_be_formula(cell) { format!("'{cell}") } else { cell.to_owned() };
    match cell.contains([',', '"', '\n', '\r']) {
        true => format!("\"{}\"", cell.replace('"', "\"\"")),
        false => cell,
    }
}

/// Whether a cell begins with a sign that opens a formula, in either width, or would after a trim. A leading tab or
/// carriage return suffices (OWASP, "CSV Injection").
fn may_be_formula(cell: &str) -> bool {
    let trimmed = cell.trim_start_matches(|c: char| c.is_whitespace() || visible::acts_unseen(c));
    cell.starts_with(['\t', '\r']) || trimmed.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;

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

    /// What stands before the sign, so that a program which trims it finds a formula.
    const BEFORE: [&str; 18] = [
        "",
        " ",
        "   ",
        "\n",
        "\r\n",
        "\t",
        "\r",
        "\u{a0}",
        "\u{3000}",
        "\u{2003}",
        "\u{feff}",
        "\u{200b}",
        "\u{202e}",
        "\u{2066}",
        "\0",
        "\u{1b}",
        "\u{ad}",
        " \u{feff}\n",
    ];

    #[test]
    fn a_formula_is_none_behind_what_a_spreadsheet_may_trim() {
        for before in BEFORE {
            for sign in ['=', '+', '-', '@', '＝', '＋', '－', '＠'] {
                let cell = format!("{before}{sign}1+1");
                assert_eq!(read_csv(&quoted(&cell)), [[format!("'{cell}")]], "{cell:?}");
            }
            let harmless = format!("{before}1 = 1");
            let expected = if before.starts_with(['\t', '\r']) { format!("'{harmless}") } else { harmless.clone() };
            assert_eq!(read_csv(&quoted(&harmless)), [[expected]], "{harmless:?}");
        }
    }

    #[test]
    fn odd_values_read_back_as_twelve_columns() {
        let odd = BEFORE.map(|before| format!("{before}=x")).into_iter().chain(
            [
                "a,b",
                "\"",
                "\"\"",
                "a\"b",
                ",",
                ",,,",
                "\n",
                "\r",
                "\r\n",
                "\n\n",
                "\"\n\"",
                "a\r\nb,\"c\"",
                "'",
                "'=",
                ";",
                "|",
                "\u{2028}",
                "\u{85}",
            ]
            .map(str::to_owned),
        );
        let mut rows = 0;
        for value in odd {
            let everywhere = Row { log_id: value.clone(), source: value.clone(), ..Row::default() };
            let inside = Row { message: value.clone(), app_name: value.clone(), ..Row::default() };
            for row in [everywhere, inside] {
                let read = read_csv(&row.csv());
                assert_eq!((read.len(), read[0].len()), (1, Row::COLUMNS.len()), "{value:?}");
                for (read, cell) in read[0].iter().zip(row.cells()) {
                    assert_eq!(read.strip_prefix('\'').filter(|_| !cell.starts_with('\'')).unwrap_or(read), cell);
                }
                rows += 1;
            }
        }
        assert_eq!(rows, 72);
    }

    /// Reads comma-separated values as RFC 4180 has them; a line may end in CR, LF or both.
    fn read_csv(text: &str) -> Vec<Vec<String>> {
        let (mut rows, mut is_quoted) = (vec![vec![String::new()]], false);
        let mut chars = text.chars().peekable();
        while let Some(c) = chars.next() {
            let row = rows.last_mut().unwrap();
            match c {
                '"' if is_quoted && chars.next_if_eq(&'"').is_some() => row.last_mut().unwrap().push('"'),
                '"' => is_quoted = !is_quoted,
                ',' if !is_quoted => row.push(String::new()),
                '\n' | '\r' if !is_quoted => rows.push(vec![String::new()]),
                c => row.last_mut().unwrap().push(c),
            }
        }
        rows
    }
}
