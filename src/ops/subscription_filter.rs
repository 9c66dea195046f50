//! The filter pattern of a subscription filter that passes every log event that a route may accept. All
//! others cost no Kinesis, no decoding and no time.
//!
//! It is made of the texts that the routes require, so it passes more than the routes accept, and never
//! less, with two exceptions: a marker or a match that terminal colors divide, which a substring does not
//! find; and log events that only belong to an alert, which are the lines of a stack trace that arrive one
//! by one and the neighbors of a `context`.

use crate::config::{Config, Route};
use crate::filter_pattern::{FilterPattern, PATTERN_CHARS_MAX, RequiredTexts};
use crate::ingest::route;
use crate::model::name::RouteName;

/// A filter pattern for subscription filters.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionFilter {
    /// Empty if it passes everything.
    pub pattern: String,
    /// Why it passes everything.
    pub passes_all: Option<PassesAll>,
}

/// Why no filter pattern leaves anything out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PassesAll {
    /// These routes require no text.
    Routes(Vec<RouteName>),
    /// The texts of the routes do not fit a pattern.
    TooLong,
}

impl SubscriptionFilter {
    pub fn of(config: &Config) -> Self {
        if let Some(pattern) = only_pattern(config) {
            return Self::fitting(pattern.to_string(), config);
        }
        let of_route = |route: &Route| route::required_texts(route).and_then(|texts| terms(&texts));
        let by_route: Vec<_> =
            config.routes.iter().map(|route| (&route.name, of_route(route))).collect();
        let without = by_route.iter().filter(|(_, terms)| terms.is_none());
        let without: Vec<RouteName> = without.map(|(name, _)| (*name).clone()).collect();
        if !without.is_empty() {
            return Self::everything(PassesAll::Routes(without));
        }
        let pattern =
            joined(by_route.into_iter().filter_map(|(_, terms)| terms).flatten().collect());
        Self::fitting(pattern, config)
    }

    fn fitting(pattern: String, config: &Config) -> Self {
        let routes = || config.routes.iter().map(|route| route.name.clone()).collect();
        match pattern.chars().count() {
            0 => Self::everything(PassesAll::Routes(routes())),
            1..=PATTERN_CHARS_MAX => Self { pattern, passes_all: None },
            _ => Self::everything(PassesAll::TooLong),
        }
    }

    fn everything(why: PassesAll) -> Self {
        Self { pattern: String::new(), passes_all: Some(why) }
    }
}

/// The pattern of the only route. Its other conditions only leave out more.
fn only_pattern(config: &Config) -> Option<&FilterPattern> {
    match &config.routes[..] {
        [Route { conditions, .. }] => match &conditions.patterns[..] {
            [pattern] => Some(pattern),
            _ => None,
        },
        _ => None,
    }
}

/// Terms of which one is in each message with one of the texts; `None` if a text has no part that a
/// term can say.
fn terms(texts: &RequiredTexts) -> Option<Vec<String>> {
    // Without its backslash, an escape needs no quotes.
    let escapes = texts.escape_texts().map(|escape| escape[1..].to_owned());
    let terms: Option<Vec<String>> =
        texts.iter().map(|text| term(text).map(str::to_owned)).collect();
    Some(terms?.into_iter().chain(escapes).collect())
}

/// The longest part without a character whose meaning in quotes AWS does not document.
fn term(text: &str) -> Option<&str> {
    let parts = text.split(|c: char| matches!(c, '"' | '\\') || c.is_control());
    parts.max_by_key(|part| part.len()).filter(|part| !part.trim().is_empty())
}

/// Without the terms that contain another one.
fn joined(mut terms: Vec<String>) -> String {
    terms.sort_unstable_by_key(|term| term.len());
    let mut kept: Vec<String> = Vec::new();
    for term in terms {
        if !kept.iter().any(|other| term.contains(other.as_str())) {
            kept.push(term);
        }
    }
    kept.sort_unstable();
    let sign = if kept.len() == 1 { "" } else { "?" };
    let is_word =
        |term: &str| term.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    let written = kept.iter().map(|term| match is_word(term) {
        true => format!("{sign}{term}"),
        false => format!("{sign}\"{term}\""),
    });
    written.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use proptest::sample::{select, subsequence};

    use super::*;
    use crate::filter_pattern::EventText;
    use crate::ingest::logs::{LogBatch, LogEvent};
    use crate::ingest::route::Routes;

    /// A configuration with a route for each of `conditions`.
    fn config(conditions: &[&str]) -> Config {
        let route = |(n, keys): (usize, &&str)| {
            format!(
                "[[route]]\nname = 'r{n}'\nnotify = ['slack:a']\n{}\n",
                keys.replace("; ", "\n")
            )
        };
        let text: String = conditions.iter().enumerate().map(route).collect();
        Config::parse(&text, "test").unwrap()
    }

    #[test]
    fn the_pattern_has_the_texts_of_all_routes() {
        let check = |conditions: &[&str], expected: &str| {
            assert_eq!(SubscriptionFilter::of(&config(conditions)).pattern, expected);
        };
        check(&["markers = ['[CRITICAL]', '[ALERT]']"], r#"?"[ALERT]" ?"[CRITICAL]""#);
        check(&["markers = ['ERROR', '[ERROR] x']"], "ERROR");
        check(&["markers = ['say \"hello\"']"], "hello");
        check(&["pattern = '{ $.ms > 500 }'; regex = 'x'"], "{ $.ms > 500 }");
        check(&["pattern = '{ $.ms > 500 }'", "markers = ['FATAL']"], "?FATAL ?ms ?u006 ?u007");
        check(&["fields = { level = 'FATAL' }", "regex = 'time.?out'"], "?FATAL ?time ?u004 ?u005");
    }

    #[test]
    fn the_routes_that_need_everything_are_named() {
        let why = |conditions: &[&str]| SubscriptionFilter::of(&config(conditions)).passes_all;
        let routes = Some(PassesAll::Routes(vec!["r1".parse().unwrap()]));
        assert_eq!(why(&["markers = ['ERROR']", "regex = '[0-9]{3}'"]), routes);
        let many: Vec<String> = (0..100).map(|n| format!("'{n:02}{}'", "x".repeat(20))).collect();
        assert_eq!(why(&[&format!("markers = [{}]", many.join(", "))]), Some(PassesAll::TooLong));
    }

    const CONDITIONS: [&str; 12] = [
        "markers = ['[ALERT]']",
        "markers = ['say \"x\"', 'C:\\temp']",
        "markers = ['timed out']; ignore_case = true",
        "markers = ['é']",
        "pattern = '?ERROR ?\"timed out\"'",
        "pattern = 'ERROR -health'",
        "pattern = '{ $.level = \"fat*\" || $.ms > 500 }'",
        "pattern = '[a, b = ERR*, ...]'",
        "fields = { level = ['fatal', 'a\"b'], 'http.status' = '5*' }",
        "fields = { level = 'FATAL' }; ignore_case = true",
        "regex = '(?i)time.?out|\\[alert\\]'",
        "regex = 'ERR'; except = { markers = ['health'] }",
    ];

    const MESSAGES: [&str; 20] = [
        "[ALERT]",
        "say \"x\"",
        "C:\\temp",
        "TIMED out",
        "é",
        "ERROR",
        "timed out",
        "ERROR health",
        r#"{"level":"fatal","http":{"status":503}}"#,
        r#"{"l\u0065vel":"f\u0061tal","http.status":"5\u0030"}"#,
        r#"{"level":"a\"b","http":{"status":5e2}}"#,
        r#"{"ms":501}"#,
        r#"{"\u006ds":501}"#,
        "{\"level\":\"FATAL\"}",
        "x ERRX",
        "x \"ERR y\"",
        "TimeXOut",
        "[alert]",
        "quiet",
        "",
    ];

    proptest! {
        #[test]
        fn each_accepted_log_event_passes(
            conditions in subsequence(CONDITIONS.to_vec(), 1..4),
            messages in prop::collection::vec(select(MESSAGES.to_vec()), 1..4),
            joint in select(vec!["", " ", "\n"]),
        ) {
            let config = config(&conditions);
            let found = SubscriptionFilter::of(&config);
            let filter: FilterPattern = found.pattern.parse().unwrap();
            let message = messages.join(joint);
            let event = LogEvent {
                id: "1".into(),
                timestamp: 0,
                message: message.as_str().into(),
                account: None,
                region: None,
            };
            let routes = Routes::new(&config).unwrap();
            let is_accepted = routes.hit(&event, &LogBatch::default(), None).is_some();
            let passes = filter.matches(&EventText::new(&message));
            prop_assert!(passes || !is_accepted, "{} on {:?}", found.pattern, message);
        }
    }
}
