//! `stentor alerts` finds what the alerts of a run were about.

use super::*;

/// A JSON line of 100 KiB, with `message` behind its other members.
fn long_line(level: &str, message: &str) -> String {
    let noise: String = (0..5_000).map(|n| format!("\"k{n}\":\"value of {n}\",")).collect();
    let line = format!("{{\"level\":\"{level}\",{noise}\"message\":{}}}", json!(message));
    assert!(line.len() > 100 * 1024);
    line
}

#[test]
fn an_expression_finds_what_is_stored_of_a_long_message() {
    let directory = scratch("alerts-grep");
    let (log, config) = (directory.join("app.log"), directory.join("stentor.toml"));
    let lines = [
        long_line("INFO", "[CRITICAL] no \"stock\" of apples"),
        long_line("FATAL", "no \"stock\" of pears"),
        long_line("INFO", "all is well"),
    ];
    std::fs::write(&log, lines.join("\n")).unwrap();
    let markers = r#"markers = ["[CRITICAL]", '"level":"FATAL"']"#;
    std::fs::write(
        &config,
        format!("[[route]]\nname = \"a\"\n{markers}\nnotify = [\"slack:a\"]\n"),
    )
    .unwrap();
    let arguments = ["--config", config.to_str().unwrap(), log.to_str().unwrap()];
    assert_eq!(report(&directory, &arguments).0["kept"], json!(2));
    let data = directory.join("data");
    let found = |expression: &str| {
        let arguments =
            ["alerts", "--data-dir", data.to_str().unwrap(), "--json", "--grep", expression];
        let output = stentor(&directory, &arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
        let rows = text(&output.stdout);
        assert!(rows.lines().all(|row| row.len() < 40_000), "a stored message is cut");
        rows.lines().count()
    };
    assert_eq!((found("apples"), found("pears")), (1, 1));
    assert_eq!(found(r#"no "stock" of (apples|pears)"#), 2, "without the escapes of JSON");
    assert_eq!(found("well"), 0);
    assert_eq!(found("value of 7\""), 0, "what is cut off is not stored");
}
