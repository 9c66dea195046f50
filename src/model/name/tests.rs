//! Valid and invalid names, and the severity of markers.

use proptest::prelude::*;

use super::*;

#[test]
fn names_have_letters_digits_and_three_punctuation_marks() {
    let longest = "x".repeat(NAME_BYTES_MAX);
    for valid in ["a", "0", "db-oncall", "Team.Billing_2", longest.as_str()] {
        assert_eq!(valid.parse::<RouteName>().unwrap().as_str(), valid);
    }
    let too_long = "x".repeat(NAME_BYTES_MAX + 1);
    for invalid in ["", "-a", ".a", "_a", "a b", "a#1", "a:b", "a/b", "é", "a\n", too_long.as_str()]
    {
        assert!(invalid.parse::<RouteName>().is_err(), "{invalid:?}");
        assert!(invalid.parse::<TargetName>().is_err(), "{invalid:?}");
    }
}

#[test]
fn a_target_is_a_kind_and_a_name() {
    for valid in ["slack:app-alerts", "pagerduty:db-oncall", "jira:OPS", "sns:all.regions"] {
        let target: Target = valid.parse().unwrap();
        assert_eq!(target.to_string(), valid);
        assert_eq!(target.kind.as_str(), valid.split(':').next().unwrap());
    }
    for invalid in [
        "",
        "slack",
        "slack:",
        ":a",
        "Slack:a",
        "carrier-pigeon:a",
        "slack:a:b",
        "slack:#a",
        "slack: a",
    ] {
        assert!(invalid.parse::<Target>().is_err(), "{invalid:?}");
    }
}

#[test]
fn errors_never_repeat_the_refused_text() {
    for secret in [
        "https://hooks.slack.com/services/T0/B0/hunter2",
        "hunter2/",
        "hunter2:x",
        "slack:hunter2/",
    ] {
        let target = secret.parse::<Target>().unwrap_err();
        let route = secret.parse::<RouteName>().unwrap_err();
        assert!(!format!("{target} {target:?} {route} {route:?}").contains("hunter2"));
    }
    let url = "https://hooks.slack.com/services/T0/B0/x".parse::<Target>().unwrap_err();
    assert!(url.to_string().starts_with("a URL is a credential"));
}

#[test]
fn names_are_strings_in_json_and_are_checked_when_read() {
    let route: RouteName = "critical".parse().unwrap();
    let target: Target = "pagerduty:db-oncall".parse().unwrap();
    let json = serde_json::to_string(&(&route, &target, target.kind, Severity::Error)).unwrap();
    assert_eq!(json, r#"["critical","pagerduty:db-oncall","pagerduty","error"]"#);
    let back: (RouteName, Target, TargetKind, Severity) = serde_json::from_str(&json).unwrap();
    assert_eq!(back, (route, target, TargetKind::PagerDuty, Severity::Error));
    assert!(serde_json::from_str::<RouteName>(r#""a#b""#).is_err());
    assert!(serde_json::from_str::<Target>(r#""slack""#).is_err());
}

#[test]
fn severities_are_ordered_and_read_back() {
    use Severity::*;
    assert!(Critical > Error && Error > Warning && Warning > Info);
    for severity in [Critical, Error, Warning, Info] {
        assert_eq!(severity.as_str().parse(), Ok(severity));
    }
    assert!("Critical".parse::<Severity>().is_err());
}

#[test]
fn a_marker_names_its_severity() {
    use Severity::*;
    for (marker, expected) in [
        ("[CRITICAL]", Critical),
        ("[ALERT]", Critical),
        ("FATAL:", Critical),
        ("<emerg>", Critical),
        ("kernel panic", Critical),
        ("[crit]", Critical),
        ("[ERROR]", Error),
        ("level=error", Error),
        ("\"level\":\"ERR\"", Error),
        ("java.lang.OutOfMemoryError", Error),
        ("SEVERE", Error),
        ("[WARN]", Warning),
        ("WARNING", Warning),
        ("[INFO]", Info),
        ("NOTICE", Info),
        ("DEBUG", Info),
        ("INFO or ERROR", Error),
        ("transferred", Warning),
        ("search criteria", Warning),
        ("[PAYMENT-DECLINED]", Warning),
        ("7", Warning),
        ("", Warning),
    ] {
        assert_eq!(Severity::of_marker(marker), expected, "{marker}");
    }
}

proptest! {
    #[test]
    fn any_text_is_refused_or_read_unchanged(
        text in "\\PC{0,70}|(slack|sns):[a-zA-Z0-9._#:-]{0,70}",
    ) {
        if let Ok(target) = text.parse::<Target>() {
            prop_assert_eq!(target.to_string(), text.clone());
            prop_assert_eq!(text.matches([':', '#']).count(), 1);
        }
        if let Ok(name) = text.parse::<RouteName>() {
            prop_assert_eq!(name.as_str(), text);
        }
    }
}
