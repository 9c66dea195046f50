//! Routes with a threshold, and staged routes.

use super::*;

const CONFIG: &str = r#"
[[route]]
name     = "timeouts"
markers  = ["timed out"]
notify   = ["slack:ops"]
at_least = "5 in 10m"

[[route]]
name    = "trial"
markers = ["[WARN]"]
notify  = ["slack:ops"]
stage   = true
"#;

/// Runs with these lines in a file of their own.
fn run_lines(directory: &Path, file: &str, lines: &str, options: &[&str]) -> Output {
    let (config, log) = (directory.join("stentor.toml"), directory.join(file));
    std::fs::write(&config, CONFIG).unwrap();
    std::fs::write(&log, lines).unwrap();
    let inputs = [log.to_str().unwrap(), "--config", config.to_str().unwrap()];
    run(directory, &[&inputs[..], options].concat())
}

fn report_of(directory: &Path, file: &str, lines: &str) -> Value {
    let output = run_lines(directory, file, lines, &["--json"]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

fn trace(directory: &Path, message: &str) -> String {
    let data = directory.join("data");
    let data = data.to_str().unwrap();
    let query =
        ["alerts", "--json", "--since", "2000-01-01", "--grep", message, "--data-dir", data];
    let rows = text(&stentor(directory, &query).output().unwrap().stdout);
    let row: Value = serde_json::from_str(rows.lines().next().unwrap()).unwrap();
    let trace = ["trace", row["log_id"].as_str().unwrap(), "--data-dir", data];
    text(&stentor(directory, &trace).output().unwrap().stdout)
}

#[test]
fn alerts_are_held_until_there_are_enough() {
    let directory = scratch("held");
    let lines = "a timed out\nb timed out\nc timed out\n";
    let held = report_of(&directory, "1.log", lines);
    assert_eq!((&held["kept"], &held["messages"]), (&json!(3), &json!([])));
    let of = |alerts: u64| json!([{"route": "timeouts", "alerts": alerts, "below_threshold": 0}]);
    assert_eq!(held["held"], of(3));
    let traced = trace(&directory, "a timed out");
    assert!(traced.contains("held: the threshold was not reached"), "{traced}");
    assert!(
        traced.contains("slack:ops                is not owed it while it is held"),
        "{traced}"
    );
    assert!(traced.contains("holds 3 alerts"), "{traced}");

    let output = run_lines(&directory, "2.log", "d timed out\ne timed out\n", &[]);
    let shown = text(&output.stdout);
    assert!(shown.contains("5 alerts"), "{shown}");
    assert!(shown.contains("3 of these were held until the threshold was reached"), "{shown}");
    assert!(!shown.contains("held: alerts"), "{shown}");
    let traced = trace(&directory, "a timed out");
    assert!(traced.contains("held until the message about epoch 2"), "{traced}");
    assert!(traced.contains("has acknowledged it"), "{traced}");

    // The count begins again.
    let again = report_of(&directory, "3.log", "f timed out\n");
    assert_eq!((&again["messages"], &again["held"]), (&json!([]), &of(1)));
    let output = run_lines(&directory, "4.log", "g timed out\n", &[]);
    let shown = text(&output.stdout);
    assert!(shown.contains("held: alerts are stored and counted, but not delivered"), "{shown}");
    assert!(shown.contains("timeouts: 2 alerts of at least 5 in 10 min"), "{shown}");
}

#[test]
fn a_staged_route_delivers_nothing_and_says_so() {
    let directory = scratch("staged");
    let lines = "[WARN] a\n".repeat(40);
    let staged = report_of(&directory, "1.log", &lines);
    assert_eq!((&staged["kept"], &staged["messages"]), (&json!(40), &json!([])));
    assert_eq!((&staged["held"], &staged["staged"]), (&json!([]), &json!(["trial"])));
    let output = run_lines(&directory, "2.log", "[WARN] b\n", &[]);
    let shown = text(&output.stdout);
    assert!(shown.contains("trial is staged"), "{shown}");
    let traced = trace(&directory, "\\[WARN\\] b");
    assert!(traced.contains("held: the route was staged"), "{traced}");
}
