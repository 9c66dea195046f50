//! How conditions combine, and that a search before them misses nothing.

use std::fmt::Write as _;

use proptest::prelude::*;
use proptest::sample::{select, subsequence};

use super::*;
use crate::ingest::lines::{GatheredLines, LineNames, LineWindow};
use crate::model::time::Timestamp;

/// Routes with these conditions, `;` for a line break, named `r0`, `r1` and so on.
fn routes(strict: bool, conditions: &[&str]) -> Routes {
    let mut config = format!("strict = {strict}\n");
    for (index, keys) in conditions.iter().enumerate() {
        let keys = keys.replace("; ", "\n");
        let _ = writeln!(config, "[[route]]\nname = 'r{index}'\nnotify = ['slack:a']\n{keys}");
    }
    Routes::new(&Config::parse(&config, "test").unwrap_or_else(|error| panic!("{config}\n{error}")))
        .unwrap()
}

fn batch() -> LogBatch<'static> {
    LogBatch {
        owner: "111122223333".into(),
        log_group: "/ecs/prod".into(),
        log_stream: "web/shop/0f3c9a7e5d1b4c2f8a6e0f3c9a7e5d1b".into(),
        events: Vec::new(),
    }
}

fn event(message: &str) -> LogEvent<'_> {
    LogEvent { id: "1".into(), timestamp: 0, message: message.into(), account: None, region: None }
}

#[test]
fn each_kind_has_to_hold_and_one_value_of_a_kind_suffices() {
    let check = |conditions: &str, message: &str, expected: &str| {
        let hit = routes(false, &[conditions]).hit(&event(message), &batch(), Some("eu-west-1"));
        let marker = hit.map_or_else(|| "none".to_owned(), |hit| hit.marker.to_string());
        assert_eq!(marker, expected, "{conditions} on {message}");
    };
    let json = r#"{"level":"FATAL","http":{"status":503},"msg":"[ALERT] x"}"#;
    check("markers = ['[ALERT]', 'y']", json, "[ALERT]");
    check("markers = ['[alert]']; ignore_case = true", json, "[alert]");
    check("markers = ['fatal']", json, "none");
    check("pattern = '{ $.http.status >= 500 }'", json, "r0");
    check("pattern = ['nothing', '[..., b]']", json, "r0");
    check("fields = { level = 'FATAL', http.status = ['4*', '5*'] }", json, "r0");
    check("fields = { level = 'FATAL', http.status = '4*' }", json, "none");
    check("fields = { level = 'fatal' }; ignore_case = true", json, "r0");
    check("fields = { level = 'fatal' }", json, "none");
    check("regex = ['nothing', '5\\d\\d']", json, "r0");
    check("regex = '^ERROR'", "\u{1b}[31mERROR\u{1b}[m x", "r0");
    check("regex = 'x$'", "ERROR x\n", "r0");
    check("markers = ['[ALERT]']; fields = { level = 'FATAL' }; regex = 'x'", json, "[ALERT]");
    check("markers = ['[ALERT]']; fields = { level = 'FATAL' }; regex = 'y'", json, "none");
    check("markers = ['[ALERT]']; pattern = 'FATAL -x'", json, "none");
    // Where a log event comes from.
    check("markers = ['ERR']; log_streams = ['web/*']", "ERR", "ERR");
    check("markers = ['ERR']; log_streams = ['api/*']", "ERR", "none");
    check("markers = ['ERR']; apps = ['cart', 'sh?p']", "ERR", "ERR");
    check("markers = ['ERR']; apps = ['cart']", "ERR", "none");
    // Exceptions have the same rule; one of several is enough.
    check("markers = ['ERR']; except = { regex = 'health' }", "ERR health", "none");
    check("markers = ['ERR']; except = { regex = 'health' }", "ERR", "ERR");
    check(
        "markers = ['ERR']; except = { regex = 'health', log_groups = ['/ecs/*'] }",
        "ERR health",
        "none",
    );
    check(
        "markers = ['ERR']; except = { regex = 'health', log_groups = ['/aws/*'] }",
        "ERR health",
        "ERR",
    );
    check("markers = ['ERR']; except = [{ markers = ['x'] }, { apps = ['shop'] }]", "ERR", "none");
    check("markers = ['ERR']; except = { regions = ['eu-*'] }", "ERR", "none");
    check(
        "pattern = ''; except = { fields = { level = 'debug' } }",
        r#"{"level":"debug"}"#,
        "none",
    );
    check("pattern = ''; except = { fields = { level = 'debug' } }", "debug", "r0");
}

#[test]
fn the_worst_severity_whose_conditions_are_met_is_that_of_the_alert() {
    let check = |keys: &str, message: &str, expected: &[(&str, &str)]| {
        let routes = routes(false, &["markers = ['ERR']; continue = true", keys]);
        let alerts = routes.scan(&batch(), Events::of(&[event(message)]), None, "s");
        let alert = alerts.unwrap().alerts.remove(0);
        let severities = alert.severities.iter().map(|(route, severity)| (route, severity));
        let found: Vec<_> =
            severities.map(|(route, severity)| (route.as_str(), severity.as_str())).collect();
        assert_eq!(found, expected, "{keys} on {message}");
        let first = "r0".parse().unwrap();
        assert_eq!(alert.on(&first).severity, None, "of a route without conditions");
    };
    let both = "markers = ['ERR']; severity_if = { info = { apps = ['sh*'] }, \
                critical = [{ regex = 'loss' }, { markers = ['x'], regex = 'y' }] }";
    check(both, "ERR", &[("r1", "info")]);
    check(both, "ERR data loss", &[("r1", "critical")]);
    check(both, "ERR x", &[("r1", "info")]);
    check(both, "ERR x y", &[("r1", "critical")]);
    let unmet = "markers = ['ERR']; severity_if = { info = { accounts = ['9*'] } }";
    check(unmet, "ERR", &[("r1", "error")]);
    check(&format!("{unmet}; severity = 'critical'"), "ERR", &[("r1", "critical")]);
    check("markers = ['ERR']; severity = 'info'", "ERR", &[]);
    check("markers = ['other']; severity_if = { info = { regex = 'E' } }", "ERR", &[]);
    // A stack trace is a part of its alert.
    let routes =
        routes(false, &["markers = ['ERR']; severity_if = { critical = { regex = 'at a.b' } }"]);
    let trace = ["ERR: boom", "\tat a.b(c)"].map(event);
    let alerts = routes.scan(&batch(), Events::of(&trace), None, "s").unwrap().alerts;
    assert_eq!(alerts[0].severities[0].1, Severity::Critical);
}

#[test]
fn a_route_without_markers_stores_its_name_as_the_marker() {
    let routes = routes(false, &["fields = { level = 'fatal' }", "regex = 'x'"]);
    let events = [event(r#"{"level":"fatal","message":"disk 7 is full"}"#), event("x y")];
    let alerts = routes.scan(&batch(), Events::of(&events), None, "s").unwrap().alerts;
    let shown = alerts.iter().map(|alert| (&*alert.marker, alert.pattern.as_str()));
    assert_eq!(shown.collect::<Vec<_>>(), [("r0", "disk <n> is full"), ("r1", "x y")]);
}

/// A line that only continues the alert before it stays a part of it, also where it has a marker but
/// the route would not accept it.
#[test]
fn a_continuation_is_joined_unless_a_route_accepts_it() {
    let trace = ["ERROR: boom", "\tat a.b(ERROR.java:7)", "\tat FATAL.c(d)"].map(event);
    let messages = |conditions: &str| {
        let routes = routes(false, &[conditions]);
        let alerts = routes.scan(&batch(), Events::of(&trace), None, "s").unwrap().alerts;
        alerts.iter().map(|alert| alert.message.lines().count()).collect::<Vec<_>>()
    };
    assert_eq!(messages("markers = ['ERROR']"), [1, 2]);
    assert_eq!(messages("markers = ['ERROR']; except = { regex = '^\\s+at' }"), [3]);
    assert_eq!(messages("regex = '^ERROR|FATAL'"), [2, 1]);
}

/// With texts to search for, and without.
const CONDITIONS: [&str; 23] = [
    "markers = ['[ALERT]']",
    "markers = ['ERROR', 'say \"x\"']",
    "markers = ['timed out']; ignore_case = true",
    "markers = ['é']",
    "pattern = '?ERROR ?\"timed out\"'",
    "pattern = 'ERROR -health'",
    "pattern = '-health'",
    "pattern = '%tim.d? ?out|[hf]atal%'",
    "pattern = '{ $.level = \"fat*\" || $.ms > 500 }'",
    "pattern = '{ $.http.status = 503 && $.level NOT EXISTS }'",
    "pattern = '{ $.ms NOT EXISTS }'",
    "pattern = '{ $.level = \"FATAL\" || $.level = \"[ALERT]\" }'",
    "fields = { level = ['[ALERT]', 'ERROR'] }",
    "pattern = '[a, b = ERR*, ...]'",
    "pattern = '[..., ms > 500]'",
    "fields = { level = ['fatal', 'a\"b'], 'http.status' = '5*' }",
    "fields = { level = 'FATAL' }; ignore_case = true",
    "fields = { ms = [501, '2*.0'] }",
    "regex = '(?i)time.?out|\\[alert\\]'",
    "regex = '[0-9]{3}'",
    "regex = 'ERROR'; except = [{ regex = 'health' }, { log_streams = ['api/*'] }]",
    "markers = ['ERROR', 'o']; continue = true; severity_if = { info = { regex = '503' }, error = { pattern = '{ $.ms > 1 }' } }",
    "regex = 'ERR'; fields = { level = '*' }; markers = ['o']; apps = ['shop']",
];

fn message() -> impl Strategy<Value = String> {
    let pieces = select(vec![
        "[ALERT]",
        "[al\u{1b}[1mert]",
        "ERROR",
        "ER\u{1b}[31mROR",
        "Error",
        "timed out",
        "Timed\u{1b}[m out",
        "TIME OUT",
        "health",
        "say \"x\"",
        "é",
        " ",
        " ",
        "503",
        "ERR",
        "fatal",
        "o",
        "\t",
        "\\u0045RROR",
        "\u{1b}",
        "\n\tat a.b(c)",
    ]);
    let json = select(vec![
        r#"{"level":"fatal"}"#,
        r#"{"level":"f\u0061tal ERROR o"}"#,
        r#"{"l\u0065vel":"FATAL","http.status":503}"#,
        r#"{"http":{"status":503}}"#,
        r#"{"level":["x","fatal"],"http":{"status":"5\u0030x"}}"#,
        r#"{"level":"a\"b","http":{"status":5e2}}"#,
        r#"{"level":"F\u0041TAL"}"#,
        r#"{"level":"[\u0041LERT]"}"#,
        r#"{"level":"\u005bALERT]","x":"\\u0041"}"#,
        r#"{"level":"ERR\u004fR"}"#,
        r#"{"ms":501}"#,
        r#"{"ms":5.01e2}"#,
        r#"{"ms":2e2}"#,
        r#"{"ms":1}"#,
        r#"{"ms":"501","level":"h\u0061tal"}"#,
        "{}",
        "{",
    ]);
    prop_oneof![
        prop::collection::vec(pieces, 0..7).prop_map(|pieces| pieces.concat()),
        json.prop_map(str::to_owned),
    ]
}

/// A JSON string of the message, in which some characters that need no escape have one.
fn raw(message: &str, escaped: &[bool]) -> String {
    let mut escaped = escaped.iter().cycle();
    let mut raw = String::from("\"");
    for c in message.chars() {
        if *escaped.next().unwrap() {
            let mut units = [0; 2];
            c.encode_utf16(&mut units).iter().for_each(|unit| {
                let _ = write!(raw, "\\u{unit:04x}");
            });
        } else {
            let text = serde_json::to_string(&c).unwrap();
            raw.push_str(&text[1..text.len() - 1]);
        }
    }
    raw + "\""
}

fn found(scanned: Vec<Alert>) -> Vec<(String, String)> {
    let shown = |alert: Alert| {
        let Alert { marker, routes, severities, message, .. } = alert;
        (format!("{marker} {routes:?} {severities:?}"), message)
    };
    scanned.into_iter().map(shown).collect()
}

/// The alerts of a raw subscription message.
fn of_record(routes: &Routes, messages: &[String], escaped: &[bool]) -> Vec<(String, String)> {
    let event = |(n, message): (usize, &String)| {
        let message = raw(message, escaped);
        format!(r#"{{"id":"{n:056}","timestamp":{},"message":{message}}}"#, 1_795_443_306_000 + n)
    };
    let events: Vec<String> = messages.iter().enumerate().map(event).collect();
    let text = format!(
        r#"{{"messageType":"DATA_MESSAGE","owner":"1","logGroup":"/ecs/prod","logStream":"web/shop/0f3c9a7e5d1b4c2f8a6e0f3c9a7e5d1b","logEvents":[{}]}}"#,
        events.join(",")
    );
    let record = Record::named("1".into(), Data::Json(text.into_bytes().into()));
    let decoded = decode::all(&[record], routes.decoder(), |_, head, events| {
        routes.scan(head, events, None, "s")
    });
    found(decoded.into_iter().next().unwrap().content.unwrap().alerts)
}

/// The alerts of lines, which are found in place.
fn of_lines(routes: &Routes, text: &str) -> Vec<(String, String)> {
    let mut gathered = GatheredLines::default();
    let window = LineWindow {
        text: text.as_bytes(),
        block: 0..text.len(),
        is_last: true,
        offset: 0,
        lines_before: 0,
    };
    routes.line_filter().gather(&window, &mut gathered, usize::MAX);
    let now = Timestamp::from_millis(1_795_443_306_000);
    let records = gathered.records(&batch(), LineNames::Offset, now, usize::MAX);
    let records: Vec<_> =
        records.into_iter().map(|lines| Record::named("1".into(), Data::Lines(lines))).collect();
    let decoded = decode::all(&records, routes.decoder(), |_, head, events| {
        routes.scan(head, events, None, "s")
    });
    decoded.into_iter().flat_map(|record| found(record.content.unwrap().alerts)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(800))]

    #[test]
    fn the_search_before_conditions_misses_nothing(
        conditions in subsequence(CONDITIONS.to_vec(), 1..4),
        messages in prop::collection::vec(message(), 1..6),
        escaped in prop::collection::vec(prop::bool::weighted(0.2), 7),
    ) {
        let (strict, fast) = (routes(true, &conditions), routes(false, &conditions));
        let expected = of_record(&strict, &messages, &escaped);
        prop_assert_eq!(&of_record(&fast, &messages, &escaped), &expected);
        let lines = messages.join("\n");
        prop_assert_eq!(of_lines(&fast, &lines), of_lines(&strict, &lines));
        // The alerts are those of the log events that meet the conditions, one by one.
        let accepted = |message: &&String| {
            let tried = strict.tried(&event(message), &batch(), None);
            tried.iter().any(|test| test.unmet.is_none())
        };
        prop_assert_eq!(messages.iter().filter(accepted).count(), expected.len());
    }
}

/// Otherwise the property above would compare the parser with itself.
#[test]
fn most_conditions_have_texts_to_search_for() {
    let has_prefilter =
        |condition: &&&str| routes(false, &[condition]).decoder().prefilter.is_some();
    let without: Vec<_> = CONDITIONS.iter().filter(|condition| !has_prefilter(condition)).collect();
    assert_eq!(
        without,
        [
            &"markers = ['é']",
            &"pattern = '-health'",
            &"pattern = '{ $.ms NOT EXISTS }'",
            &"pattern = '[..., ms > 500]'",
            &"regex = '[0-9]{3}'"
        ]
    );
}
