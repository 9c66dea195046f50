//! Accepted files, refused files, and the text of every diagnostic.

mod fuzz;
mod mistakes;

use std::collections::BTreeSet;

use strum::VariantNames as _;

use super::*;
use crate::model::name::TargetKind;
use crate::model::threshold::ThresholdKey;

const EXAMPLE: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/config/example.toml"));

/// A valid route, on lines 1 to 4, for files that test something else.
const ROUTE: &str = "[[route]]\nname = \"a\"\nmarkers = [\"[A]\"]\nnotify = [\"slack:a\"]\n";

/// The start of a redaction rule, on lines 1 and 2.
const RULE: &str = "[[redact.rule]]\nname = \"badge\"\n";

fn parse(text: &str) -> Config {
    Config::parse(text, "stentor.toml").unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// The diagnostics, one per line, without the name of the file.
fn diagnostics(text: &str) -> String {
    let error = Config::parse(text, "f").map(|config| panic!("{text}\n{config:?}")).unwrap_err();
    error.to_string().lines().map(|line| line.replacen("f:", "", 1)).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_builtin_configuration_is_the_documented_one() {
    let expected = Config {
        routes: vec![Route {
            name: "alerts".parse().unwrap(),
            conditions: Conditions {
                markers: vec!["[CRITICAL]".to_owned(), "[ALERT]".to_owned()],
                ..Conditions::default()
            },
            except: Vec::new(),
            notify: vec!["slack:default".parse().unwrap()],
            fallback: None,
            fallback_after: Duration::from_secs(900),
            window: Duration::from_secs(30),
            window_max: Duration::from_secs(600),
            first: First::Immediately,
            at_least: None,
            speak_on: None,
            stage: false,
            continue_: false,
            context: ContextSize::default(),
            links: Vec::new(),
            severity: None,
            severity_if: BTreeMap::new(),
        }],
        apps: Vec::new(),
        targets: [(
            "slack:default".parse().unwrap(),
            TargetSettings::Slack(SlackSettings::default()),
        )]
        .into(),
        redactor: Redactor::default(),
        decoded_bytes_max: 64 * 1024 * 1024,
        strict: false,
        warnings: Vec::new(),
    };
    assert_eq!(Config::builtin(), expected);
}

#[test]
fn the_example_file_is_valid() {
    let config = parse(EXAMPLE);
    let names: Vec<&str> = config.routes.iter().map(|route| route.name.as_str()).collect();
    assert_eq!(names, ["audit", "critical", "json-errors", "gateway", "payments", "trial", "info"]);
    assert_eq!((config.decoded_bytes_max, config.strict), (64 << 20, true));
    assert_eq!(config.redactor.custom().collect::<Vec<_>>(), ["customer", "session-id"]);
    assert_eq!(config.redactor.disabled(), ["card"]);
    let [checkout] = config.apps.as_slice() else { panic!() };
    assert_eq!(checkout.name, "checkout");
    assert!(checkout.scope.admits("1", None, "/ecs/prod", "web/a/1"));
    assert!(!checkout.scope.admits("1", None, "/ecs/prod", "api/a/1"));

    let TargetSettings::Jira(jira) = &config.targets[&"jira:PAY".parse().unwrap()] else {
        panic!()
    };
    assert_eq!((&*jira.project, &*jira.issue_type), ("PAY", "Bug"));
    assert_eq!(jira.priority[&Severity::Critical], "Highest");
    assert_eq!(jira.fields["customfield_10042"]["value"], "Production");
    assert_eq!(jira.reopen_within, Duration::from_hours(72));
    let TargetSettings::Slack(slack) = &config.targets[&"slack:app-alerts".parse().unwrap()] else {
        panic!()
    };
    assert_eq!(slack.mention, [Mention::Here, Mention::Group("S012AB3CD".to_owned())]);
    // The file shows each kind of target.
    let kinds: BTreeSet<&str> = config.targets.keys().map(|target| target.kind.as_str()).collect();
    assert_eq!(kinds, BTreeSet::from_iter(TargetKind::VARIANTS.iter().copied()));

    let [audit, critical, json, gateway, payments, trial, info] = config.routes.as_slice() else {
        panic!()
    };
    let paths: Vec<&str> = json.conditions.fields.iter().map(|field| field.path.as_str()).collect();
    assert_eq!((&*paths, json.except.len()), (&["http.status", "level"][..], 2));
    assert_eq!((gateway.conditions.patterns.len(), gateway.conditions.regexes.len()), (1, 2));
    let threshold =
        Threshold { alerts: 20, span: Duration::from_secs(600), per: ThresholdKey::App };
    assert_eq!((gateway.at_least, gateway.stage), (Some(threshold), false));
    assert_eq!((trial.at_least, trial.stage), (None, true));
    assert_eq!(payments.context, ContextSize { before: 2, after: 5 });
    assert!(audit.continue_ && audit.first == First::AfterWindow);
    assert_eq!(audit.window, Duration::from_secs(3600));
    assert_eq!((critical.window, critical.window_max), (WINDOW_DEFAULT, WINDOW_MAX_DEFAULT));
    assert!(
        critical.conditions.is_everywhere() && !critical.continue_ && critical.severity.is_none()
    );
    assert_eq!(critical.links.len(), 2);
    assert_eq!(payments.severity, Some(Severity::Critical));
    assert_eq!(critical.fallback.as_ref().unwrap().to_string(), "sns:oncall");
    assert_eq!(
        (critical.fallback_after, payments.fallback_after),
        (Duration::from_secs(600), FALLBACK_AFTER_DEFAULT)
    );
    assert!(payments.conditions.scope.admits("1", Some("us-east-2"), "/ecs/checkout", ""));
    assert!(!payments.conditions.scope.admits("1", Some("us-east-3"), "/ecs/checkout", ""));
    assert_eq!(
        (info.window, info.window_max),
        (Duration::from_secs(300), Duration::from_secs(5400))
    );
    assert_eq!(info.notify[1].to_string(), "sns:billing-events");
}

#[test]
fn the_example_file_shows_every_key() {
    let known = "window window_max first redact disable rule pattern redacts keeps \
                 decoded_bytes_max strict route name markers notify fallback fallback_after \
                 continue severity log_groups log_streams accounts regions app ignore_case pattern \
                 fields regex except apps";
    for key in known.split(' ') {
        let shown =
            |line: &str| line.trim_matches(['[', ']']).split([' ', '.']).any(|word| word == key);
        assert!(EXAMPLE.lines().any(shown), "{key}");
    }
}

#[test]
fn routes_inherit_from_the_top_of_the_file() {
    let seconds = |text: &str| {
        let route = parse(text).routes.remove(0);
        (route.window.as_secs(), route.window_max.as_secs(), route.first)
    };
    use First::{AfterWindow, Immediately};
    let top = format!("window = \"2m\"\nwindow_max = \"1h\"\nfirst = \"after-window\"\n{ROUTE}");
    assert_eq!(seconds(ROUTE), (30, 600, Immediately));
    assert_eq!(seconds(&top), (120, 3600, AfterWindow));
    let own = format!("{top}window = \"1m\"\nwindow_max = \"1m\"\nfirst = \"immediately\"\n");
    assert_eq!(seconds(&own), (60, 60, Immediately));
    // A longer window raises the default of window_max.
    assert_eq!(seconds(&format!("{ROUTE}window = \"12h\"\n")), (43_200, 43_200, Immediately));
    assert_eq!(seconds(&format!("window = \"1500ms\"\n{ROUTE}")), (1, 600, Immediately));
}

#[test]
fn values_have_more_than_one_form() {
    let bytes =
        |value: &str| parse(&format!("decoded_bytes_max = {value}\n{ROUTE}")).decoded_bytes_max;
    assert_eq!(bytes("1_048_576"), 1 << 20);
    assert_eq!(bytes("0x100000"), 1 << 20);
    assert_eq!(bytes("\"10GiB\""), 10 << 30);
    let inline = "route = [{ name = \"a\", markers = [\"x\"], notify = [\"sns:a\"] }]";
    assert_eq!(parse(inline).routes.len(), 1);
    assert_eq!(parse(&ROUTE.replace('\n', "\r\n")), parse(ROUTE));
}

#[test]
fn broken_toml_is_reported_alone() {
    let check = |text: &str, expected: &str| assert_eq!(diagnostics(text), expected, "{text}");
    check(
        "window = \n[[route]\nname = 'a\n strict true\n= 3\nredact = ['x'\n",
        "1:10: string values must be quoted, expected literal string\n\
         2:9: unclosed array table, expected `]`\n\
         4:9: key with no value, expected `=`\n\
         5:1: unquoted keys cannot be empty, expected letters, numbers, `-`, `_`\n\
         6:14: unclosed array, expected `]`",
    );
    check("window = \"1m\"\nwindow = 3\n", "2:1: duplicate key");
}

#[test]
fn deeply_nested_toml_is_refused_without_a_stack_overflow() {
    for (start, piece, expected) in [
        ("", "a.", "recursion limit"),
        ("[", "a.", "recursion limit"),
        ("window = ", "[", "max recursion depth met"),
        ("window = ", "{a=", "max recursion depth met"),
    ] {
        let found = diagnostics(&(start.to_owned() + &piece.repeat(100_000)));
        assert!(found.contains(expected), "{start}{piece}");
    }
}

#[test]
fn all_mistakes_of_a_file_are_reported() {
    let text = r#"
window = 30
window_max = "13h"
first = "now"
color = "red"
redact = ['fine']
decoded_bytes_max = "64MB"

[[route]]
name = "critical"
markers = ["[CRITICAL]", "", "[CRITICAL]"]
notify = ["slack:app-alerts", "https://hooks.slack.com/services/T0/B0/hunter2"]
log_group = ["/aws/*"]

[[route]]
name = "critical"
marker = ["[INFO]"]
regions = ["eu-*", "us-[east"]
notify = []
redact = []

    [[route]]
    name = "billing feed"
    markers = ["[INFO]"]
    window = "5m"
    window_max = "1m"
    continue = "yes"

[[route]]
name = "late"
markers = ["[ERROR]"]
notify = ["sns:late"]

[[route]]
name = "too-late"
markers = ["[ERROR] disk"]
accounts = ["111122223333"]
notify = ["sns:late"]
severity = "worst"
"#;
    insta::assert_snapshot!(Config::parse(text, "stentor.toml").unwrap_err(), @r#"
    stentor.toml:2:10: window: expected a string, found an integer
    stentor.toml:3:14: window_max: expected a duration between 1s and 12h
    stentor.toml:4:9: first: expected "immediately" or "after-window"
    stentor.toml:5:1: unknown key `color`
    stentor.toml:6:10: redact: expected a table, found an array; write [[redact.rule]] for each rule
    stentor.toml:7:21: decoded_bytes_max: expected a size in bytes, such as 67108864 or "64MiB"
    stentor.toml:11:26: markers: a marker has 1 to 256 bytes, this one has 0
    stentor.toml:11:30: markers: listed twice
    stentor.toml:12:31: notify: a URL is a credential and belongs in the secret; expected "kind:name", such as "slack:app-alerts"
    stentor.toml:13:1: unknown key `log_group`, did you mean `log_groups`?
    stentor.toml:16:8: name: the route at line 9 already has the name `critical`
    stentor.toml:17:1: unknown key `marker`, did you mean `markers`?
    stentor.toml:18:20: regions: `[` opens a class that is never closed; write `[[]` for the character itself
    stentor.toml:19:10: notify: must not be empty
    stentor.toml:20:1: unknown key `redact`; it is a table of its own, [redact]
    stentor.toml:22:5: this route has no `notify`
    stentor.toml:23:12: name: a name has only letters, digits, `.`, `_` and `-`
    stentor.toml:26:18: window_max: 1m is shorter than `window`, which is 5m
    stentor.toml:27:16: continue: expected true or false, found a string
    stentor.toml:34:1: no log event can reach this route: `late` (line 29) accepts all of them first; move it up, or set `continue = true` there
    stentor.toml:39:12: severity: expected "info", "warning", "error" or "critical"
    "#);
}

#[test]
fn no_diagnostic_repeats_a_refused_value() {
    let secret = "hunter2:/{}(";
    for key in ["window", "first", "decoded_bytes_max", "redact", "route", "x"] {
        for value in
            [format!("'{secret}'"), format!("['{secret}', '[{secret}']"), format!("'{secret}")]
        {
            let found = diagnostics(&format!("{key} = {value}\n[[route]]\n"));
            assert!(!found.contains("hunter2"), "{key}: {found}");
            let found = diagnostics(&format!(
                "[[route]]\n{key} = {value}\nname = {value}\nnotify = {value}\n"
            ));
            assert!(!found.contains("hunter2"), "{key}: {found}");
        }
    }
    assert_eq!(diagnostics(&format!("{ROUTE}'{secret}' = 1")), "5:1: unknown key");
    let multiline =
        format!("{RULE}pattern = \"\"\"(?x)\nerror: hunter2(\n\"\"\"\nredacts = ['x']\n{ROUTE}");
    assert_eq!(diagnostics(&multiline), "3:11: pattern: not a regular expression: unclosed group");
    for key in ["name", "pattern", "redacts", "keeps", "disable"] {
        for value in [format!("'{secret}'"), format!("['{secret}']"), format!("['ok', '{secret}']")]
        {
            let rest = if key == "pattern" { "" } else { "pattern = 'hunter2'\n" };
            let table = if key == "disable" { "[redact]" } else { "[[redact.rule]]" };
            let found = diagnostics(&format!("{table}\n{rest}{key} = {value}\n{ROUTE}"));
            assert!(!found.contains("hunter2"), "{key}: {found}");
        }
    }
}
