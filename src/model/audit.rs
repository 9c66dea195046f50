//! Queries of the audit table, and its rows. A store runs the queries.

use regex::Regex;
use serde::Serialize;

use crate::model::name::RouteName;
use crate::model::pattern::Pattern;
use crate::model::statement;
use crate::model::time::Timestamp;
use crate::model::visible;

mod escapes;
mod pattern_filter;

pub(crate) use escapes::without_escapes;
pub use pattern_filter::PatternFilter;

/// Selects alerts. The result has the latest first.
#[derive(Clone, Debug)]
pub struct AlertQuery {
    pub since: Timestamp,
    /// Inclusive.
    pub until: Timestamp,
    pub app: Option<String>,
    pub route: Option<RouteName>,
    pub account: Option<String>,
    pub pattern: Option<PatternFilter>,
    /// Matches the message or what it says: see [`AlertQuery::select`].
    pub grep: Option<Regex>,
    /// Only what follows this place.
    pub after: Option<RowPosition>,
}

/// A place in the result of a query: that of a row, which may be gone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowPosition {
    pub timestamp: Timestamp,
    pub log_id: String,
}

/// A row of the audit table, with the names of its columns. An absent value is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct AuditRow {
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
    /// The log events around it, redacted.
    pub context_before: String,
    pub context_after: String,
}

/// An erased message begins with this; a date and a bracket follow.
pub(crate) const TOMBSTONE: &str = "[erased on ";

impl AuditRow {
    /// The names of the columns.
    pub const COLUMNS: [&'static str; 14] = [
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
        "context_before",
        "context_after",
    ];

    /// Whether its message was erased.
    pub fn is_erased(&self) -> bool {
        let date = self.message.strip_prefix(TOMBSTONE).and_then(|rest| rest.strip_suffix(']'));
        date.is_some_and(|date| date.len() == "2026-11-28".len())
    }

    /// Only the row of a message that was cut has its pattern. That of others is found again.
    pub fn find_pattern(&mut self) {
        if self.pattern.is_empty() {
            Pattern::of(&self.message, &self.marker).as_str().clone_into(&mut self.pattern);
        }
    }

    /// The row with every text on one line and safe for a terminal.
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
            context_before: line(&self.context_before),
            context_after: line(&self.context_after),
        }
    }

    /// The cells for a spreadsheet, in the order of [`AuditRow::COLUMNS`]. A spreadsheet may read a
    /// log line as a formula, so such a cell begins with an apostrophe, which spreadsheets hide.
    pub fn cells(&self) -> [String; 14] {
        [
            &self.log_id,
            &self.timestamp,
            &self.marker,
            &self.app_name,
            &self.message,
            &self.routes.join(" "),
            &self.account_id,
            &self.region,
            &self.log_group,
            &self.log_stream,
            &self.pattern,
            &self.source,
            &self.context_before,
            &self.context_after,
        ]
        .map(|cell| if may_be_formula(cell) { format!("'{cell}") } else { cell.clone() })
    }
}

impl AlertQuery {
    /// All alerts of a period, both ends included.
    #[must_use]
    pub fn between(since: Timestamp, until: Timestamp) -> Self {
        Self {
            since,
            until,
            app: None,
            route: None,
            account: None,
            pattern: None,
            grep: None,
            after: None,
        }
    }

    /// The time of the latest row that the result can have.
    pub fn latest(&self) -> Timestamp {
        self.after.as_ref().map_or(self.until, |after| self.until.min(after.timestamp))
    }

    /// The row with its pattern, if it meets the conditions that an index cannot apply. The
    /// pattern of other rows is not looked for, which would take most of the time.
    pub fn select(&self, mut row: AuditRow) -> Option<AuditRow> {
        let is_of_account = self.account.as_ref().is_none_or(|account| *account == row.account_id);
        if !is_of_account || !self.greps(&row) {
            return None;
        }
        row.find_pattern();
        let has_pattern = self.pattern.as_ref().is_none_or(|filter| filter.admits(&row.pattern));
        has_pattern.then_some(row)
    }

    /// The expression matches the message as it is stored, or the text in it that a reader sees: its
    /// statement, and the message without the escapes of JSON, which may be cut off in its middle.
    fn greps(&self, row: &AuditRow) -> bool {
        let Some(grep) = &self.grep else { return true };
        let says = || statement::find(&row.message, &row.marker).text;
        grep.is_match(&row.message)
            || grep.is_match(&says())
            || row.message.contains('\\') && grep.is_match(&without_escapes(&row.message))
    }
}

/// Whether a cell begins, perhaps after trimming, with a sign that opens a formula, in either
/// width. A leading tab or carriage return suffices (OWASP, "CSV Injection").
fn may_be_formula(cell: &str) -> bool {
    let trimmed = cell.trim_start_matches(|c: char| c.is_whitespace() || visible::is_invisible(c));
    cell.starts_with(['\t', '\r'])
        || trimmed.starts_with(['=', '+', '-', '@', '＝', '＋', '－', '＠'])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message_cell(message: &str) -> String {
        AuditRow { message: message.to_owned(), ..AuditRow::default() }.cells()[4].clone()
    }

    #[test]
    fn cells_are_in_the_order_of_the_columns() {
        let row = AuditRow {
            log_id: "log_id".into(),
            timestamp: "timestamp".into(),
            marker: "marker".into(),
            app_name: "app_name".into(),
            message: "message".into(),
            routes: vec!["routes".into()],
            account_id: "account_id".into(),
            region: "region".into(),
            log_group: "log_group".into(),
            log_stream: "log_stream".into(),
            pattern: "pattern".into(),
            source: "source".into(),
            context_before: "context_before".into(),
            context_after: "context_after".into(),
        };
        assert_eq!(row.cells(), AuditRow::COLUMNS);
        let json = serde_json::to_value(&row).unwrap();
        assert!(AuditRow::COLUMNS.iter().all(|column| json.get(column).is_some()));
    }

    #[test]
    fn an_expression_matches_what_a_message_says() {
        let matches = |expression: &str, message: &str| {
            let at = Timestamp::from_millis(0);
            let grep = Some(Regex::new(expression).unwrap());
            let query = AlertQuery { grep, ..AlertQuery::between(at, at) };
            let (message, marker) = (message.to_owned(), "[C]".to_owned());
            query.select(AuditRow { message, marker, ..AuditRow::default() }).is_some()
        };
        let json = r#"{"level":"ERROR","message":"[C] no \"stock\" in\n\tC:\\shop"}"#;
        let cut = &json[17..json.len() - 1];
        for message in [json, cut] {
            assert!(matches(r#"no "stock" in"#, message), "{message}");
            assert!(matches(r"in\s+C:\\shop", message), "{message}");
            assert!(matches(r#"no \\"stock"#, message), "as it is stored: {message}");
            assert!(!matches("no stock", message), "{message}");
        }
        assert!(matches(r"^\[C\] no", json), "an anchor is that of the statement, too");
        assert!(matches("", "") && !matches("x", "\\"));
    }

    /// Prefixes that a program may trim before it looks for a formula.
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
    fn no_cell_is_a_formula() {
        for before in BEFORE {
            for sign in ['=', '+', '-', '@', '＝', '＋', '－', '＠'] {
                let cell = format!("{before}{sign}1+1");
                assert_eq!(message_cell(&cell), format!("'{cell}"), "{cell:?}");
            }
            let harmless = format!("{before}1 = 1");
            let expected = match before.starts_with(['\t', '\r']) {
                true => format!("'{harmless}"),
                false => harmless.clone(),
            };
            assert_eq!(message_cell(&harmless), expected, "{harmless:?}");
        }
        assert_eq!(message_cell(""), "");
    }
}
