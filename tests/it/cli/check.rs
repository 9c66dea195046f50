//! The output of `stentor check` for a configuration and for a line.

use super::*;

const CONFIG: &str = r#"
[redact]
disable = ["card"]
[[redact.rule]]
name = "badge"
pattern = 'badge (?<secret>[0-9]{6})'
redacts = ["badge 123456"]
[[route]]
name = "all"
markers = ["[ALERT]"]
notify = ["slack:x"]
"#;

fn check(name: &str, arguments: &[&str]) -> String {
    let directory = scratch(name);
    let config = directory.join("own.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let arguments = [&["check", "--config", config.to_str().unwrap()], arguments].concat();
    let output = stentor(&directory, &arguments).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    assert_eq!(text(&output.stderr), "");
    text(&output.stdout)
}

#[test]
fn a_disabled_rule_is_visible() {
    insta::assert_snapshot!(check("check-rules", &[]), @r"
    ✓ the configuration is valid: 1 route
      route  markers  from        notify   window
      all    [ALERT]  everywhere  slack:x  30 s to 10 min
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
      shown as    [ALERT] badge [redacted:badge] password=[redacted:password] card 4111111111111111 token=[redacted:token]
      redacted by badge, password, token
      grouped as  [ALERT] badge [redacted:badge] password=[redacted:password] card <id> token=[redacted:token]
    ");
    let flag = "--password=hunter2 [ALERT]";
    assert!(check("check-line", &["--message", flag]).contains("--password=[redacted:password]"));
    insta::assert_snapshot!(check("check-line", &["--message", "[ALERT] badge 1"]), @r"
    ✓ route all: the line has [ALERT]
      marker      [ALERT], critical
      shown as    [ALERT] badge 1
      grouped as  [ALERT] badge <n>
    ");
}
