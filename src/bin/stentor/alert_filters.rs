//! The options that select alerts of the audit table.

use anyhow::bail;
use clap::Args;
use regex::Regex;
use stentor::adapters::database::Database;
use stentor::model::audit::{AlertQuery, PatternFilter};
use stentor::model::name::RouteName;
use stentor::model::time::Timestamp;
use stentor::protocol::store::Store as _;

use crate::args::{account, end_of_period, point_in_time};
use crate::audit_table::deadline;
use crate::ui::Ui;

/// The most routes that a hint lists.
const ROUTES_LISTED_MAX: usize = 20;

pub(crate) const BEGINNING_OF_TIME: Timestamp = Timestamp::from_millis(i64::MIN);
pub(crate) const END_OF_TIME: Timestamp = Timestamp::from_millis(i64::MAX);

/// Where alerts come from, and which route took them.
#[derive(Clone, Debug, Args)]
pub(crate) struct OriginFilters {
    /// Only alerts of this app, as messages name it
    #[arg(long, value_name = "NAME")]
    pub app: Option<String>,
    /// Only alerts of this route
    #[arg(long, value_name = "NAME")]
    pub route: Option<RouteName>,
    /// Only alerts of this AWS account
    #[arg(long, value_name = "ACCOUNT", value_parser = account_or_local)]
    pub account: Option<String>,
}

/// The time of alerts, without a default.
#[derive(Clone, Debug, Args)]
pub(crate) struct PeriodFilters {
    /// Start: 2h (ago), 7d, 2026-11-23 or 2026-11-23T14:00:00Z [default: the first alert]
    #[arg(long, value_name = "TIME", value_parser = point_in_time)]
    pub since: Option<Timestamp>,
    /// End; a date includes its whole day [default: the last alert]
    #[arg(long, value_name = "TIME", value_parser = end_of_period)]
    pub until: Option<Timestamp>,
}

/// The content of alerts.
#[derive(Clone, Debug, Args)]
pub(crate) struct ContentFilters {
    /// Only alerts of this pattern: its text, in which <…> stands for any text, or its id
    #[arg(long, value_name = "PATTERN")]
    pattern: Option<String>,
    /// Only alerts whose message, as JSON or as plain text, matches this regular expression
    #[arg(long, value_name = "REGEX")]
    grep: Option<Regex>,
}

/// Log files, which `stentor run` reads, are of no account of AWS.
fn account_or_local(text: &str) -> Result<String, String> {
    match text {
        "local" => Ok(text.to_owned()),
        _ => account(text),
    }
}

impl OriginFilters {
    pub(crate) fn is_empty(&self) -> bool {
        self.app.is_none() && self.route.is_none() && self.account.is_none()
    }

    /// Names the routes of the store, if it has never had an alert of this one. For a query that found none.
    pub(crate) async fn hint_at_routes(&self, store: &Database, ui: Ui) {
        let Some(route) = &self.route else { return };
        // The query has its answer, so an error here is of no interest.
        let Ok(mut known) = store.routes(deadline()).await else { return };
        if known.contains(route) {
            return;
        }
        known.sort();
        let names: Vec<&str> =
            known.iter().map(RouteName::as_str).take(ROUTES_LISTED_MAX).collect();
        let more = if known.len() > names.len() { ", …" } else { "" };
        let has = match names.is_empty() {
            true => "it has none yet".to_owned(),
            false => format!("it has {}{more}", names.join(", ")),
        };
        ui.hint(format_args!("the store has no route `{route}`: {has}"));
    }

    /// The alerts of a period that pass.
    pub(crate) fn query(&self, since: Timestamp, until: Timestamp) -> AlertQuery {
        AlertQuery {
            app: self.app.clone(),
            route: self.route.clone(),
            account: self.account.clone(),
            ..AlertQuery::between(since, until)
        }
    }
}

impl PeriodFilters {
    pub(crate) fn is_empty(&self) -> bool {
        self.since.is_none() && self.until.is_none()
    }

    /// The alerts of the period that pass `origin`.
    ///
    /// # Errors
    /// When it ends before it begins.
    pub(crate) fn query(&self, origin: &OriginFilters) -> anyhow::Result<AlertQuery> {
        let since = self.since.unwrap_or(BEGINNING_OF_TIME);
        let query = origin.query(since, self.until.unwrap_or(END_OF_TIME));
        if query.since > query.until {
            bail!("--since must be before --until");
        }
        Ok(query)
    }
}

impl ContentFilters {
    pub(crate) fn is_empty(&self) -> bool {
        self.pattern.is_none() && self.grep.is_none()
    }

    /// Those of `query` that pass.
    pub(crate) fn of(&self, query: AlertQuery) -> AlertQuery {
        let pattern = self.pattern.as_deref().map(PatternFilter::parse);
        AlertQuery { pattern, grep: self.grep.clone(), ..query }
    }
}
