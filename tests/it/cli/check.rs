//! The output of `stentor check` for a configuration and for a line.

use super::*;

const CONFIG: &str = r#"
[redact]
disable = ["card"]
[[redact.rule]]
name = "badge"
pattern = 'badge (?<secret>[0-9]{6})'
redacts = ["badge 123456"]
[[app]]
name = "front end"
log_streams = ["web/*"]
[[route]]
name = "all"
markers = ["[ALERT]"]
notify = ["slack:x"]
"#;

fn check(name: &str, arguments: &[&str]) -> String {
    check_config(name, CONFIG, arguments)
}

fn check_config(name: &str, text: &str, arguments: &[&str]) -> String {
    let directory = scratch(name);
    let config = directory.join("own.toml");
    std::fs::write(&config, text).unwrap();
    let arguments = [&["check", "--config", config.to_str().unwrap()], arguments].concat();
    let output = stentor(&directory, &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", super::text(&output.stderr));
    assert_eq!(super::text(&output.stderr), "");
    super::text(&output.stdout)
}

#[test]
fn a_disabled_rule_is_visible() {
    insta::assert_snapshot!(check("check-rules", &[]), @r"
    ✓ the configuration is valid: 1 route
      route  conditions  from        notify   window
      all    [ALERT]     everywhere  slack:x  30 s to 10 min
      apps that [[app]] names: front end
      redaction rules of your own: badge
      disabled redaction rules: card; their secrets are shown
    ");
}

#[test]
fn the_rules_that_apply_to_a_line_are_named() {
    let line = "[ALERT] badge 654321 password=hunter2 card 4111111111111111 token=hunter2";
    insta::assert_snapshot!(check("check-line", &["--message", line]), @r"
    ✓ route all: the line has [ALERT]
      marker      [ALERT], critical
      app         example, from the name of the log group
      shown as    [ALERT] badge [redacted:badge] password=[redacted:password] card 4111111111111111 token=[redacted:token]
      redacted by badge, password, token
      grouped as  [ALERT] badge [redacted:badge] password=[redacted:password] card <id> token=[redacted:token]
    ");
    let flag = "--password=hunter2 [ALERT]";
    assert!(check("check-line", &["--message", flag]).contains("--password=[redacted:password]"));
    insta::assert_snapshot!(check("check-line", &["--message", "[ALERT] badge 1"]), @r"
    ✓ route all: the line has [ALERT]
      marker      [ALERT], critical
      app         example, from the name of the log group
      shown as    [ALERT] badge 1
      grouped as  [ALERT] badge <n>
    ");
}

#[test]
fn the_app_of_a_line_is_shown() {
    let app = |stream: &str| {
        let shown = check("check-app", &["--message", "[ALERT] x", "--log-stream", stream]);
        shown.lines().find_map(|line| line.strip_prefix("  app         ").map(str::to_owned))
    };
    assert_eq!(app("web/1").as_deref(), Some("front end, named by the configuration"));
    let stream = "2026/11/23/cart[$LATEST]0f3c9a7e";
    assert_eq!(app(stream).as_deref(), Some("cart, from the name of the log stream"));
}

#[test]
fn regions_are_explained_where_they_are_used() {
    let of_route = format!("{CONFIG}regions = [\"eu-*\"]\n");
    let of_app = CONFIG.replace("log_streams =", "regions = [\"eu-*\"]\nlog_streams =");
    for config in [&of_route, &of_app] {
        let shown = check_config("check-regions", config, &[]);
        assert!(shown.contains("--emit-system-fields @aws.account @aws.region"), "{shown}");
    }
    assert!(!check("check-no-regions", &[]).contains("system fields"));
    let line = |region: &str| {
        let arguments = ["--message", "[ALERT] x", "--region", region];
        check_config("check-region", &of_route, &arguments)
    };
    assert!(line("eu-west-1").contains("✓ route all"), "{}", line("eu-west-1"));
    assert!(line("us-east-1").contains("✗ route all"), "{}", line("us-east-1"));
}

#[test]
fn each_condition_is_explained() {
    let config = r#"
[[route]]
name = "json"
fields = { level = "fatal", "http.status" = "5*" }
except = { markers = ["synthetic"] }
notify = ["slack:x"]
[[route]]
name = "slow"
pattern = '[..., ms > 500]'
apps = ["shop"]
notify = ["slack:x"]
"#;
    insta::assert_snapshot!(check_config("check-conditions", config, &[]), @r"
    ✓ the configuration is valid: 2 routes
      route  conditions                        from          notify   window
      json   fields http.status, level except  everywhere    slack:x  30 s to 10 min
      slow   pattern                           some sources  slack:x  30 s to 10 min
      no text to search for: slow; so every log event is parsed, which
        takes three times the time or more: see docs/conditions.md
    ");
    let line = |line: &str, expected: [&str; 2]| {
        let shown = check_config("check-conditions", config, &["--message", line]);
        let routes: Vec<&str> = shown.lines().take(2).collect();
        assert_eq!(routes, expected, "{line}");
    };
    line(
        r#"{"level":"fatal","http":{"status":404}}"#,
        [
            "✗ route json: the line has none of the values in `http.status`",
            "✗ route slow: the line does not match its pattern",
        ],
    );
    line(
        r#"{"level":"fatal","http":{"status":503}}"#,
        [
            "✓ route json: the line meets its conditions",
            "✗ route slow: the line does not match its pattern",
        ],
    );
    line(
        r#"{"level":"fatal","http":{"status":503},"by":"synthetic"}"#,
        [
            "✗ route json: the line meets its conditions, but the route leaves it out by `except`",
            "✗ route slow: the line does not match its pattern",
        ],
    );
    line(
        "GET / 501",
        [
            "✗ route json: the line has none of the values in `http.status`",
            "✗ route slow: the line meets its conditions, but its app does not match",
        ],
    );
}

#[test]
fn the_share_of_a_log_is_shown() {
    let config = r#"
[[route]]
name = "billing"
markers = ["[ALERT]", "[CRITICAL]"]
except = { markers = ["synthetic"] }
notify = ["slack:x"]
at_least = "5 in 10m"
per = "app"
[[route]]
name = "trial"
markers = ["[CRITICAL]", "[WARN]"]
notify = ["slack:x"]
stage = true
"#;
    let log = scratch("check-share-log").join("app.log");
    let lines = [
        "[ALERT] order 1 failed password=hunter2",
        "[ALERT] order 1 failed password=hunter2",
        "[CRITICAL] synthetic",
        "[WARN] disk 91 %",
        "[CRITICAL] disk full",
        "GET /health 200",
    ];
    std::fs::write(&log, lines.join("\n")).unwrap();
    let shown = check_config("check-share", config, &["--file", log.to_str().unwrap()]);
    insta::assert_snapshot!(shown, @r"
    ✓ route billing: 3 of 6 lines (50.0 %)
        e.g. [ALERT] order 1 failed password=[redacted:password]
        e.g. [CRITICAL] disk full
        others: 2 without a marker · 1 left out by `except`
    ✓ route trial: 2 of 6 lines (33.3 %)
        e.g. [CRITICAL] synthetic
        e.g. [WARN] disk 91 %
        others: 3 without a marker · 1 taken by an earlier route

      no route takes 1 of 6 lines (16.7 %)
        e.g. GET /health 200
    ");
    insta::assert_snapshot!(check_config("check-share", config, &[]), @r"
    ✓ the configuration is valid: 2 routes
      route    conditions                 from        notify   window
      billing  [ALERT] [CRITICAL] except  everywhere  slack:x  30 s to 10 min
      trial    [CRITICAL] [WARN]          everywhere  slack:x  30 s to 10 min
      billing sends no message below 5 in 10 min of one app; its alerts are held until then
      trial is staged: its alerts are stored and counted, and no target gets them
    ");
    let line = check_config("check-share", config, &["--message", "[WARN] disk 91 %"]);
    assert!(line.contains("the route is staged"), "{line}");
}

#[test]
fn the_pattern_for_subscription_filters_is_printed() {
    let filter = |name: &str, routes: &str| {
        let directory = scratch(name);
        let config = directory.join("own.toml");
        std::fs::write(&config, routes).unwrap();
        let arguments = ["filter", "--config", config.to_str().unwrap()];
        let output = stentor(&directory, &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", super::text(&output.stderr));
        (super::text(&output.stdout), super::text(&output.stderr))
    };
    let route = |name: &str, condition: &str| {
        format!("[[route]]\nname = '{name}'\n{condition}\nnotify = ['slack:x']\n")
    };
    let json = route("json", "fields = { level = 'FATAL' }");
    let marked = route("marked", "markers = ['[ALERT]']") + &json;
    let expected = "?FATAL ?\"[ALERT]\" ?u004 ?u005\n";
    let (pattern, note) = filter("filter", &marked);
    assert_eq!(pattern, expected);
    assert!(note.starts_with("CloudWatch drops all other log events:"), "{note}");
    assert!(!note.contains("context"), "{note}");
    let with_context = marked.replace("name = 'json'", "context = { after = 2 }\nname = 'json'");
    assert!(filter("filter-context", &with_context).1.contains("`context`"));
    let (pattern, note) = filter("filter-all", &(json + &route("all", "pattern = '-debug'")));
    assert_eq!(pattern, "\n");
    assert!(note.contains("no text to search for in all"), "{note}");
}
