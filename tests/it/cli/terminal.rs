//! No command lets text from outside control the terminal.

use super::*;

/// Sequences that control a terminal or hide text, for log lines, file names and events.
const PAYLOADS: [&str; 44] = [
    "\u{1b}]52;c;Zm9v\u{7}",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]0;title\u{1b}\\",
    "\u{1b}]8;;http://evil.example\u{7}",
    "\u{1b}c",
    "\u{1b}[?1049h",
    "\u{1b}[2J\u{1b}[H",
    "\u{1b}[31m",
    "\u{1b}[6n",
    "\u{1b}P$q\u{1b}\\",
    "\u{1b}_x\u{1b}\\",
    "\u{1b}#8",
    "\u{1b}",
    "\u{9b}31m",
    "\u{9d}0;title\u{9c}",
    "\u{90}q\u{9c}",
    "\u{85}",
    "\u{1}",
    "\u{7}",
    "\u{8}",
    "\r",
    "\u{e}",
    "\u{7f}",
    "\u{80}",
    "\u{ad}",
    "\u{61c}",
    "\u{180e}",
    "\u{200b}",
    "\u{200c}",
    "\u{200d}",
    "\u{200e}",
    "\u{200f}",
    "\u{2028}",
    "\u{2029}",
    "\u{202a}",
    "\u{202b}",
    "\u{202d}",
    "\u{202e}",
    "\u{2066}",
    "\u{2069}",
    "\u{feff}",
    "\u{fff9}",
    "\u{fffb}",
    "\u{e0041}",
];

fn controls_a_terminal(c: char) -> bool {
    let hides = matches!(c, '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}');
    hides || (c.is_control() && c != '\n' && c != '\t')
}

/// Checks both outputs of a command.
fn check_harmless(what: &str, output: &Output) {
    for (name, bytes) in [("stdout", &output.stdout), ("stderr", &output.stderr)] {
        let shown = String::from_utf8(bytes.clone()).unwrap();
        let at = shown.char_indices().find(|(_, c)| controls_a_terminal(*c));
        assert_eq!(at, None, "{what}, {name}: {shown:?}");
    }
}

/// All payloads, each between two words.
fn all_payloads() -> String {
    PAYLOADS.iter().enumerate().map(|(n, payload)| format!(" w{n}{payload}x")).collect()
}

/// Runs a command to its end.
fn execute(directory: &Path, arguments: &[&str]) -> Output {
    stentor(directory, arguments).output().unwrap()
}

#[test]
fn an_explained_line_is_shown_with_its_control_characters_spelled_out() {
    let directory = scratch("terminal-check");
    let line = format!("[CRITICAL] {}", all_payloads());
    for more in [&[][..], &["--json"]] {
        let output = execute(&directory, &[&["check", "--message", &line], more].concat());
        assert!(output.status.success(), "{}", text(&output.stderr));
        check_harmless("check --message", &output);
    }
    let output =
        execute(&directory, &["check", "--message", "[CRITICAL] a\u{202e}b\u{1b}]0;x\u{7}"]);
    let shown = text(&output.stdout);
    assert!(shown.contains("shown as    [CRITICAL] a[U+202E]b[U+001B]]0;x[U+0007]\n"), "{shown}");
}

#[test]
fn a_configuration_cannot_control_the_terminal() {
    let directory = scratch("terminal-config");
    let bare: String = all_payloads().chars().filter(|c| *c != '\r').collect();
    let toml_text: String = bare.chars().map(|c| format!("\\U{:08X}", u32::from(c))).collect();
    let route = |marker: &str| {
        format!("[[route]]\nname = \"a\"\nmarkers = [\"{marker}\"]\nnotify = [\"slack:x\"]\n")
    };
    let named = directory.join("c\u{1b}]0;t\u{7}\u{202e}.toml");
    let files = [
        (directory.join("good.toml"), route(&toml_text[..200]), 0),
        (named.clone(), route(""), 2),
        (directory.join("key.toml"), format!("\"{}\" = 1\n{}", &toml_text[..200], route("[A]")), 2),
        (directory.join("raw.toml"), format!("window = \"{bare}\n{}", route("[A]")), 2),
        (directory.join("none\u{202e}\u{9b}.toml"), String::new(), 2),
    ];
    for (file, toml, code) in files {
        std::fs::write(&file, toml).unwrap();
        for more in [&[][..], &["--message", "[A] x"], &["--json"]] {
            let output = execute(
                &directory,
                &[&["check", "--config", file.to_str().unwrap()], more].concat(),
            );
            assert_eq!(output.status.code(), Some(code), "{file:?} {}", text(&output.stderr));
            check_harmless("check --config", &output);
        }
    }
    let output =
        run(&directory, &["events/subscription.json", "--config", named.to_str().unwrap()]);
    check_harmless("run --config", &output);
}

#[test]
fn arguments_that_are_refused_cannot_control_the_terminal() {
    let directory = scratch("terminal-arguments");
    let payload = all_payloads();
    let attached = format!("--limit={payload}");
    let option = format!("--{payload}");
    let usage: [&[&str]; 9] = [
        &[&payload],
        &["mute", &payload, "--for", "1h"],
        &["mute", "alerts", "--for", &payload],
        &["alerts", &attached],
        &["alerts", &option],
        &["alerts", "--grep", "(\u{1b}]0;x\u{7}\u{202e}"],
        &["send-test", &payload, "--credentials", "x"],
        &["send-test", "slack:x", "--credentials", &payload],
        &["replay", "--kind", &payload],
    ];
    for arguments in usage {
        let output = execute(&directory, arguments);
        assert_ne!(output.status.code(), Some(0), "{arguments:?}");
        check_harmless(&format!("{arguments:?}"), &output);
    }
}

#[test]
fn file_names_parked_ids_and_reasons_cannot_control_the_terminal() {
    let directory = scratch("terminal-run");
    let payload = "w\u{1b}]0;t\u{7}\u{9b}2J\u{202e}\u{200b}\u{e0041}\u{7f}";
    let broken = directory.join(format!("bad{payload}.json"));
    std::fs::write(&broken, "{").unwrap();
    let forged = directory.join("forged.json");
    let arn = format!("arn:aws:kinesis:eu-west-1:{payload}:stream/x");
    let record = json!({"eventID": payload, "eventSource": "aws:kinesis", "eventSourceARN": arn,
        "kinesis": {"sequenceNumber": payload, "partitionKey": payload, "data": "bm8=",
        "approximateArrivalTimestamp": 1}});
    std::fs::write(&forged, json!({"Records": [record]}).to_string()).unwrap();
    for more in [&[][..], &["--json"], &["-v", "-v"]] {
        let files = [broken.to_str().unwrap(), forged.to_str().unwrap()];
        let output = run(&directory, &[&files, more].concat());
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        check_harmless("run", &output);
    }
    let data = directory.join("data");
    let parked = std::fs::read_to_string(data.join("dlq.jsonl")).unwrap();
    let odd = json!({"stentor": 2, "code": payload, "reason": payload, "parked_at": payload, "kind": "record", "event_id": payload,
        "stream_arn": arn, "data": "bm8="});
    std::fs::write(data.join("dlq.jsonl"), format!("{parked}{odd}\n")).unwrap();
    for more in [&[][..], &["--json"], &["--dry-run"], &["--dry-run", "--json"], &["-v", "-v"]] {
        let output = execute(
            &directory,
            &[&["replay", "--data-dir", data.to_str().unwrap()], more].concat(),
        );
        check_harmless("replay", &output);
        assert!(text(&output.stdout).contains("record"), "{}", text(&output.stdout));
    }
    let missing = directory.join(payload);
    for arguments in [&["run"][..], &["replay", "--file"], &["alerts", "--data-dir"]] {
        let output = execute(&directory, &[arguments, &[missing.to_str().unwrap()]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        check_harmless(&format!("{arguments:?}"), &output);
    }
}

#[test]
fn stored_alerts_cannot_control_the_terminal() {
    let directory = scratch("terminal-alerts");
    let payload = "\u{1b}]0;t\u{7}\u{9b}2J\u{202e}\u{200b}\u{e0041}\u{7f}";
    let now = SystemClock.now().as_millis();
    let events: Vec<Value> = PAYLOADS
        .iter()
        .enumerate()
        .map(|(n, payload)| {
            json!({"id": format!("{n}{payload}"), "timestamp": now, "message": format!("[CRITICAL] {n}{payload}x")})
        })
        .collect();
    let batch = json!({"messageType": "DATA_MESSAGE", "owner": format!("12{payload}"),
        "logGroup": format!("/aws/lambda/{payload}"), "logStream": payload, "subscriptionFilters": [payload],
        "logEvents": events});
    let file = directory.join("forged.json");
    std::fs::write(&file, subscription(&batch).to_string()).unwrap();
    let delivered = run(&directory, &[file.to_str().unwrap()]);
    assert_eq!(delivered.status.code(), Some(0), "{}", text(&delivered.stdout));
    check_harmless("run", &delivered);
    let data = directory.join("data");
    for more in [&[][..], &["--json"]] {
        let output = execute(
            &directory,
            &[&["alerts", "--data-dir", data.to_str().unwrap()], more].concat(),
        );
        assert_eq!(text(&output.stdout).lines().count(), PAYLOADS.len());
        check_harmless("alerts", &output);
    }
    let json = execute(&directory, &["alerts", "--json", "--data-dir", data.to_str().unwrap()]);
    let row: Value = serde_json::from_str(text(&json.stdout).lines().next().unwrap()).unwrap();
    assert_eq!(row["account_id"], format!("12{payload}"));
}

#[test]
fn a_warning_of_a_configuration_does_not_fail_the_command() {
    let directory = scratch("terminal-warnings");
    let config = directory.join("odd.toml");
    let odd = "[[route]]\nname = \"a\"\nmarkers = [\"[CRITICAL]\"]\nnotify = [\"slack:x\"]\nregions = [\"eu-wset-1\"]\n";
    std::fs::write(&config, odd).unwrap();
    let config = config.to_str().unwrap();
    let message = "regions: unknown Region, did you mean `eu-west-1`?";
    for arguments in [&["check"][..], &["run", "events/subscription.json"]] {
        let output = execute(&directory, &[arguments, &["--config", config]].concat());
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
        assert_eq!(
            text(&output.stderr),
            format!("{config}:5:12: warning: {message}\n"),
            "{arguments:?}"
        );
    }
    let checked = execute(&directory, &["check", "--json", "--config", config]);
    assert_eq!(
        serde_json::from_slice::<Value>(&checked.stdout).unwrap()["warnings"],
        json!([{"line": 5, "column": 12, "message": message}])
    );
}

#[test]
fn colors_follow_the_environment() {
    let directory = scratch("terminal-colors");
    let missing = ["check", "--config", "none.toml"];
    for (variables, has_color) in [
        (&[][..], false),
        (&[("CLICOLOR_FORCE", "1")], true),
        (&[("CLICOLOR_FORCE", "1"), ("NO_COLOR", "1")], false),
    ] {
        let output = |arguments: &[&str]| {
            stentor(&directory, arguments).envs(variables.iter().copied()).output().unwrap()
        };
        let shown =
            [output(&["check"]).stdout, output(&missing).stderr, output(&["--nothing"]).stderr];
        for shown in shown.map(|bytes| text(&bytes)) {
            assert_eq!(shown.contains('\u{1b}'), has_color, "{variables:?}: {shown}");
        }
        let delivered = stentor(&scratch("terminal-colored"), &["run", "events/subscription.json"])
            .envs(variables.iter().copied())
            .output()
            .unwrap();
        assert_eq!(text(&delivered.stdout).contains('\u{1b}'), has_color, "{variables:?}");
    }
}

#[test]
fn a_quiet_command_shows_results_and_errors_only() {
    let directory = scratch("terminal-quiet");
    let config = directory.join("odd.toml");
    let odd = "[[route]]\nname = \"a\"\nmarkers = [\"[A]\"]\nnotify = [\"slack:x\"]\nregions = [\"eu-wset-1\"]\n";
    std::fs::write(&config, odd).unwrap();
    run(&directory, &["events/kinesis-burst.json"]);
    let data = directory.join("data");
    let limited =
        ["alerts", "--since", "2000-01-01", "--limit", "1", "--data-dir", data.to_str().unwrap()];
    let checked = ["check", "--config", config.to_str().unwrap()];
    let empty = [
        "alerts",
        "--since",
        "2000-01-01",
        "--until",
        "2000-01-02",
        "--data-dir",
        data.to_str().unwrap(),
    ];
    for arguments in [&limited[..], &checked, &empty] {
        let (loud, quiet) =
            (execute(&directory, arguments), execute(&directory, &[arguments, &["-q"]].concat()));
        assert_eq!(quiet.stdout, loud.stdout, "{arguments:?}");
        assert_eq!(
            (loud.stderr.is_empty(), text(&quiet.stderr)),
            (false, String::new()),
            "{arguments:?}"
        );
    }
    let failed = execute(&directory, &["check", "-q", "--config", "none.toml"]);
    assert!(text(&failed.stderr).starts_with("error: cannot read the configuration none.toml\n"));
    assert_eq!(execute(&directory, &["check", "-q", "-v"]).status.code(), Some(2));
}

/// The event of a direct subscription for a batch.
fn subscription(batch: &Value) -> Value {
    use base64::Engine as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(batch.to_string().as_bytes()).unwrap();
    let data = base64::engine::general_purpose::STANDARD.encode(packed.finish().unwrap());
    json!({"awslogs": {"data": data}})
}
