//! Each command with `--json` prints what `docs/json.md` documents.

use super::*;
use crate::support::parked::{
    failed_invocation, given_up, gzip, parked_message, parked_record, unstorable,
};
use crate::support::schema::{Schema, check_documents};

fn json_of(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{}", text(&output.stderr)))
}

#[test]
fn a_planted_fault_in_a_document_is_found() {
    let schema = Schema::of("run --json");
    let with = |pointer: &str, value: Option<Value>| {
        let mut document = schema.example.clone();
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = document.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        match value {
            Some(value) => drop(parent.insert(name.to_owned(), value)),
            None => drop(parent.remove(name).unwrap()),
        }
        schema.check(&document).1
    };
    assert_eq!(with("/kept", Some(json!(1))), [""; 0]);
    assert_eq!(with("/kept", None), ["kept is missing"]);
    assert_eq!(with("/messages/0/target", None), ["messages[].target is missing"]);
    assert_eq!(with("/keep", Some(json!(1))), ["keep is not documented"]);
    assert_eq!(
        with("/routes/alerts", Some(json!("1"))),
        [r#"routes.* is "1", documented as Integer"#]
    );
    assert_eq!(with("/messages/0/reason", Some(json!(null))), [""; 0]);
    assert_eq!(with("/messages/0/outcome", Some(json!("sent"))).len(), 1);
    assert_eq!(with("/version", Some(json!(null))).len(), 1);
}

#[test]
fn every_command_with_json_has_a_section() {
    let directory = scratch("json-commands");
    let help = |arguments: &[&str]| text(&stentor(&directory, arguments).output().unwrap().stdout);
    let all = help(&["--help"]);
    let commands = all
        .lines()
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty());
    let commands = commands
        .filter(|line| !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next());
    let with_json: Vec<&str> = commands
        .filter(|command| *command != "help" && help(&[command, "--help"]).contains(" --json "))
        .collect();
    assert!(with_json.len() > 3, "{with_json:?}");
    for command in with_json {
        assert!(Schema::of(&format!("{command} --json")).paths().contains("version"), "{command}");
    }
}

/// Webhooks that accept, refuse and postpone every message.
async fn webhooks() -> MockServer {
    let slack = MockServer::start().await;
    let postponed = ResponseTemplate::new(429).insert_header("retry-after", "3600");
    for (name, answer) in [
        ("/accepts", ResponseTemplate::new(200).set_body_string("ok")),
        ("/refuses", ResponseTemplate::new(410)),
        ("/postpones", postponed),
    ] {
        Mock::given(path(name)).respond_with(answer).mount(&slack).await;
    }
    slack
}

fn mute(directory: &Path, data: &Path) {
    std::fs::create_dir_all(data).unwrap();
    let arguments = ["mute", "alerts", "--for", "1h", "--data-dir", data.to_str().unwrap()];
    let output = stentor(directory, &arguments).output().unwrap();
    assert!(output.status.success(), "{}", text(&output.stderr));
}

#[tokio::test(flavor = "multi_thread")]
async fn run_prints_the_documented_json() {
    let slack = webhooks().await;
    let run = |test: &str, webhook: &str, has_dead_letters: bool| {
        let directory = scratch(test);
        if !has_dead_letters {
            std::fs::create_dir_all(directory.join("data/dlq.jsonl")).unwrap();
        }
        let broken = directory.join("broken.json");
        std::fs::write(&broken, "{\"Records\": [").unwrap();
        let lines = directory.join("app.log");
        std::fs::write(&lines, "[ALERT] ledger answered 503\n[ALERT] ledger answered 401\n")
            .unwrap();
        let webhook = format!("{}/{webhook}", slack.uri());
        let inputs =
            ["events/kinesis-poison.json", broken.to_str().unwrap(), lines.to_str().unwrap()];
        json_of(&super::run(
            &directory,
            &[&inputs[..], &["--json", "--slack-webhook", &webhook]].concat(),
        ))
    };
    let muted = {
        let directory = scratch("json-muted");
        mute(&directory, &directory.join("data"));
        json_of(&super::run(&directory, &["events/subscription.json", "--json"]))
    };
    let held = {
        let directory = scratch("json-held");
        let config = directory.join("stentor.toml");
        let route = |name: &str, more: &str| {
            format!(
                "[[route]]\nname = '{name}'\nmarkers = ['[CRITICAL]', '[ALERT]']\n\
                 notify = ['slack:default']\ncontinue = true\n{more}\n"
            )
        };
        let routes = [route("few", "at_least = '90 in 10m'"), route("trial", "stage = true")];
        std::fs::write(&config, routes.concat()).unwrap();
        let config = config.to_str().unwrap();
        json_of(&super::run(
            &directory,
            &["events/subscription.json", "--json", "--config", config],
        ))
    };
    // One run parks its records and its message. The next cannot park, and its message is
    // postponed. The route of the third is muted, and those of the last hold their alerts.
    let documents = [
        run("json-refused", "refuses", true),
        run("json-postponed", "postpones", false),
        muted,
        held,
    ];
    check_documents("run --json", &documents, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn replay_prints_the_documented_json() {
    let slack = webhooks().await;
    let directory = scratch("json-replay");
    let due = r#"{"route":"alerts","window":1}"#.to_owned();
    let dead_letters = [
        parked_record(&unstorable(), "shardId-9:1", Some(&gzip("a", 0))),
        parked_record(&unstorable(), "shardId-9:2", Some(b"not gzip")),
        given_up("shardId-9", "1", "2", 2),
        failed_invocation("b"),
        parked_message(3),
        due,
        "odd".to_owned(),
    ];
    let file = directory.join("dead-letters.jsonl");
    std::fs::write(&file, dead_letters.join("\n")).unwrap();
    let place = ["--data-dir", directory.to_str().unwrap(), "--file", file.to_str().unwrap()];
    let replay = |webhook: &str, more: &[&str]| {
        let webhook = format!("{}/{webhook}", slack.uri());
        let options = ["replay", "--json", "--slack-webhook", &webhook];
        json_of(&stentor(&directory, &[&options[..], &place, more].concat()).output().unwrap())
    };
    check_documents("replay --dry-run --json", &[replay("accepts", &["--dry-run"])], &[]);
    let replays = [replay("refuses", &[]), replay("accepts", &[])];
    mute(&directory, &directory);
    std::fs::write(&file, parked_record(&unstorable(), "shardId-9:3", Some(&gzip("c", 0))))
        .unwrap();
    let muted = replay("accepts", &[]);
    // The first replay is refused, and the second accepted. The route of the last is muted. A file does not fail in the middle: a
    // unit test covers the error of a source.
    check_documents("replay --json", &[&replays[..], &[muted]].concat(), &["source_error."]);
}

#[test]
fn alerts_prints_the_documented_json() {
    let directory = scratch("json-alerts");
    run(&directory, &["events/kinesis-system-fields.json"]);
    let data = directory.join("data");
    let query =
        ["alerts", "--json", "--since", "2000-01-01", "--until", "9999-12-31", "--data-dir"];
    let output =
        stentor(&directory, &[&query[..], &[data.to_str().unwrap()]].concat()).output().unwrap();
    let rows: Vec<Value> =
        text(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3, "{}", text(&output.stderr));
    check_documents("alerts --json", &rows, &[]);
}

#[tokio::test(flavor = "multi_thread")]
async fn trace_prints_the_documented_json() {
    let slack = webhooks().await;
    let trace = |directory: &Path, id: &str, options: &[&str]| {
        let data = directory.join("data");
        let arguments = [&["trace", id, "--data-dir", data.to_str().unwrap()], options].concat();
        stentor(directory, &arguments).output().unwrap()
    };
    let alert = |directory: &Path| {
        let data = directory.join("data");
        let query =
            ["alerts", "--json", "--since", "2000-01-01", "--data-dir", data.to_str().unwrap()];
        let output = stentor(directory, &query).output().unwrap();
        let row: Value =
            serde_json::from_str(text(&output.stdout).lines().next().unwrap()).unwrap();
        row["log_id"].as_str().unwrap().to_owned()
    };
    let mut documents = Vec::new();
    for (test, webhook, code, shown) in [
        ("json-trace", "accepts", 0, "slack:default            has acknowledged it"),
        (
            "json-trace-owed",
            "postpones",
            1,
            "slack:default            is owed it: the next attempt comes",
        ),
    ] {
        let directory = scratch(test);
        let webhook = format!("{}/{webhook}", slack.uri());
        super::run(&directory, &["events/subscription.json", "--slack-webhook", &webhook]);
        let id = alert(&directory);
        let output = trace(&directory, &id, &["--json"]);
        assert_eq!(output.status.code(), Some(code), "{}", text(&output.stdout));
        documents.push(json_of(&output));
        let output = trace(&directory, &id, &[]);
        assert!(text(&output.stdout).contains(shown), "{}", text(&output.stdout));
    }
    let delivered = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli/json-trace");
    let unknown = trace(&delivered, "unknown", &[]);
    assert_eq!(unknown.status.code(), Some(2));
    assert!(text(&unknown.stderr).contains("there is no alert `unknown` in the database file "));
    assert_eq!(documents[1]["routes"][0]["targets"][0]["wait"], "paused");
    check_documents("trace --json", &documents, &[]);
}

#[test]
fn patterns_prints_the_documented_json() {
    let directory = scratch("json-patterns");
    let log = directory.join("app.log");
    std::fs::write(&log, "2026-11-23T10:00:00Z ERROR order 7 failed\norder 8 failed\nno time\n")
        .unwrap();
    run(&directory, &["events/kinesis-system-fields.json"]);
    let data = directory.join("data");
    let stored =
        ["patterns", "--json", "--since", "2000-01-01", "--data-dir", data.to_str().unwrap()];
    let stored = json_of(&stentor(&directory, &stored).output().unwrap());
    let patterns = |more: &[&str]| {
        let file = log.to_str().unwrap();
        let arguments = [&["patterns", file, "--json"], more].concat();
        json_of(&stentor(&directory, &arguments).output().unwrap())
    };
    let documents =
        [patterns(&[]), patterns(&["--new-since", "2026-11-01", "--limit", "1"]), stored];
    check_documents("patterns --json", &documents, &[]);
}

#[test]
fn check_prints_the_documented_json() {
    let directory = scratch("json-check");
    let config = directory.join("odd.toml");
    let odd = "[[route]]\nname = \"a\"\nmarkers = [\"[ALERT]\"]\nnotify = [\"slack:x\"]\nregions = [\"eu-wset-1\"]\n";
    std::fs::write(&config, odd).unwrap();
    let check = |more: &[&str]| {
        json_of(&stentor(&directory, &[&["check", "--json"], more].concat()).output().unwrap())
    };
    let (trial, log) = (directory.join("trial.toml"), directory.join("app.log"));
    std::fs::write(
        &trial,
        "[[route]]\nname = 'a'\nmarkers = ['[A]']\nnotify = ['slack:x']\nstage = true\n",
    )
    .unwrap();
    std::fs::write(&log, "[A] b\nquiet\n").unwrap();
    let documents = [
        check(&["--config", config.to_str().unwrap()]),
        check(&["--message", "[ALERT] disk full password=hunter2"]),
        check(&["--message", "quiet"]),
        check(&["--config", trial.to_str().unwrap(), "--file", log.to_str().unwrap()]),
    ];
    // The texts of the example, too.
    let schema = Schema::of("check --json");
    let example = directory.join("example.toml");
    let routes = [("billing", "[BILLING]", ""), ("alerts", "[ALERT]", "severity = 'error'\n")]
        .map(|(name, marker, more)| {
            format!("[[route]]\nname = '{name}'\nmarkers = ['{marker}']\nnotify = ['slack:x']\nregions = ['eu-wset-1']\n{more}")
        });
    let routes = routes.concat().replacen("regions = ['eu-wset-1']\nseverity", "severity", 1);
    let app = "[[app]]\nname = 'checkout'\nlog_groups = ['/aws/lambda/*']\n";
    std::fs::write(&example, routes + app).unwrap();
    let line = "[ALERT] login of 17 failed password=Tr0ub4dor&3";
    let found = check(&["--config", example.to_str().unwrap(), "--message", line]);
    for field in ["routes", "apps", "warnings", "explanation"] {
        assert_eq!(found[field], schema.example[field], "the example of {field}");
    }
    // Findings need a deployed stack. A unit test covers them, and `cargo e2e check`.
    check_documents("check --json", &documents, &["findings[]"]);
}
