//! The exit codes that the README documents.

use super::*;

/// The exit code of a command in `directory`, and what it wrote to standard error.
fn exit(directory: &Path, arguments: &[&str]) -> (i32, String) {
    let output = stentor(directory, arguments).current_dir(directory).output().unwrap();
    (output.status.code().unwrap(), text(&output.stderr))
}

#[test]
fn the_exit_code_says_whether_the_command_is_done() {
    let directory = scratch("exit-codes");
    let event = |name: &str| {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("events").join(name).display().to_string()
    };
    let (good, poison) = (event("subscription.json"), event("kinesis-poison.json"));
    std::fs::write(directory.join("credentials.json"), "{}").unwrap();
    std::fs::write(directory.join("broken.toml"), "window = \"0s\"").unwrap();
    let data = ["--data-dir", "data"];
    let cases: [(i32, &[&str]); 18] = [
        (0, &["--help"]),
        (0, &["--version"]),
        (0, &["check"]),
        (0, &["run", &good]),
        (0, &["replay", data[0], data[1]]),
        (0, &["alerts", data[0], data[1], "--app", "none"]),
        (0, &["unmute", "alerts", data[0], data[1]]),
        (1, &["run", &poison]),
        (1, &["replay", data[0], data[1]]),
        (1, &["send-test", "slack:none", "--credentials", "credentials.json"]),
        (2, &[]),
        (2, &["sing"]),
        (2, &["run"]),
        (2, &["run", "missing.json"]),
        (2, &["check", "--config", "broken.toml"]),
        (2, &["alerts", "--data-dir", "missing"]),
        (2, &["alerts", data[0], data[1], "--since", "1h", "--until", "2h"]),
        (2, &["mute", "none", "--for", "1h", data[0], data[1]]),
    ];
    for (expected, arguments) in cases {
        let (code, errors) = exit(&directory, arguments);
        assert_eq!(code, expected, "{arguments:?}: {errors}");
        // A command that is not done says why, or shows the help.
        let is_explained = errors.contains("error: ") || errors.contains("Usage: ");
        assert_eq!(code == 2, is_explained, "{arguments:?}: {errors}");
    }
}

/// A closed output takes nothing, and one that is open for reading only takes every write as a
/// success. Neither may count as shown.
#[test]
fn a_command_without_an_output_does_nothing_and_says_so() {
    let directory = scratch("no-output");
    let log = directory.join("app.log");
    std::fs::write(&log, "[CRITICAL] x\n").unwrap();
    let (log, data) = (log.to_str().unwrap(), directory.join("data"));
    let data = data.to_str().unwrap();
    let commands: [&[&str]; 7] = [
        &["run", log, "--data-dir", data],
        &["run", log, "--data-dir", data, "--json"],
        &["alerts", "--data-dir", data],
        &["patterns", log],
        &["check"],
        &["sample"],
        &["--version"],
    ];
    for (redirection, fault) in
        [(">&-", "it is closed"), ("1</dev/null", "it is open for reading only")]
    {
        let script = format!("exec \"$@\" {redirection}");
        for arguments in commands {
            let output = Command::new("sh")
                .args(["-c", &script, "sh", env!("CARGO_BIN_EXE_stentor")])
                .args(arguments)
                .output()
                .unwrap();
            let errors = text(&output.stderr);
            assert_eq!(output.status.code(), Some(2), "{arguments:?}: {errors}");
            let expected = format!("error: cannot write to standard output: {fault}\n");
            assert!(errors.starts_with(&expected), "{arguments:?}: {errors}");
        }
    }
    let (report, code) = report(&directory, &[log]);
    assert_eq!((code, &report["kept"]), (0, &json!(1)), "{report}");
    assert_eq!(report["messages"][0]["alerts"], 1, "{report}");
}

/// `stentor patterns … | head` shows what `head` wants, and no error.
#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let directory = scratch("seen-enough");
    let log = directory.join("app.log");
    std::fs::write(&log, "[CRITICAL] x\n".repeat(200_000)).unwrap();
    let log = log.to_str().unwrap();
    let commands: [&[&str]; 4] = [
        &["patterns", log, "--assign", "--json"],
        &["patterns", log],
        &["sample", "--records", "50"],
        &["cost"],
    ];
    for arguments in commands {
        let script = "\"$@\" | head -c 1 >/dev/null; exit ${PIPESTATUS[0]}";
        let output = Command::new("bash")
            .args(["-c", script, "bash", env!("CARGO_BIN_EXE_stentor")])
            .args(arguments)
            .output()
            .unwrap();
        let errors = text(&output.stderr);
        assert_eq!((output.status.code(), errors.as_str()), (Some(0), ""), "{arguments:?}");
    }
    let full = Command::new("sh")
        .args(["-c", "\"$0\" --help >/dev/full", env!("CARGO_BIN_EXE_stentor")])
        .output()
        .unwrap();
    assert_eq!(full.status.code(), Some(2));
}

#[test]
fn a_variable_without_a_value_counts_as_not_set() {
    let directory = scratch("empty-variables");
    let event = Path::new(env!("CARGO_MANIFEST_DIR")).join("events/subscription.json");
    let commands: [&[&str]; 4] = [
        &["check"],
        &["run", event.to_str().unwrap()],
        &["replay", "--data-dir", "data"],
        &["unmute", "alerts", "--data-dir", "data"],
    ];
    for arguments in commands {
        let mut command = stentor(&directory, arguments);
        for variable in [
            "STENTOR_CONFIG",
            "STENTOR_SLACK_WEBHOOK",
            "STENTOR_SLACK_API_URL",
            "STENTOR_SECRET_ID",
            "DLQ_URL",
            "DUE_QUEUE_URL",
            "ALERTS_TABLE",
            "OUTBOX_TABLE",
        ] {
            command.env(variable, "");
        }
        let output = command.current_dir(&directory).output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    }
    // An empty argument is a mistake.
    let (code, errors) = exit(&directory, &["check", "--config", ""]);
    assert!(code == 2 && errors.contains("a value is required for '--config <FILE>'"), "{errors}");
}

#[test]
fn a_wrong_value_is_refused_with_its_reason() {
    let directory = scratch("wrong-values");
    std::fs::create_dir(directory.join("data")).unwrap();
    let cases: [(&[&str], &str); 6] = [
        (&["check", "--message", "x", "--account", "abc"], "an AWS account has 12 digits"),
        (&["sample", "--accounts", "0"], "0 is not in 1..=10000"),
        (&["sample", "--log-groups", "0"], "0 is not in 1..=10000"),
        (
            &["alerts", "--data-dir", "data", "--until", "2h"],
            "--until is before the default start, 1h ago: add --since",
        ),
        (
            &["alerts", "--data-dir", "data", "--since", "1h", "--until", "2h"],
            "--since must be before --until",
        ),
        (&["alerts", "--data-dir", "data", "--since", "9999999d"], "at most 7304484d"),
    ];
    for (arguments, expected) in cases {
        let (code, errors) = exit(&directory, arguments);
        assert!(code == 2 && errors.contains(expected), "{arguments:?}: {errors}");
    }
}

/// In a build without the clients for AWS. `--all-features` has them.
#[cfg(not(feature = "aws"))]
#[test]
fn a_command_that_needs_aws_names_the_feature() {
    let directory = scratch("no-aws");
    std::fs::create_dir(directory.join("data")).unwrap();
    std::fs::write(directory.join("credentials.json"), "{}").unwrap();
    let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/dlq";
    let cases: [&[&str]; 7] = [
        &["alerts"],
        &["mute", "alerts", "--for", "1h"],
        &["unmute", "alerts"],
        &["check", "--aws"],
        &["replay", "--queue-url", url],
        &["replay", "--data-dir", "data", "--queue-url", url],
        &["send-test", "slack:x", "--secret-id", "targets"],
    ];
    for arguments in cases {
        let (code, errors) = exit(&directory, arguments);
        let expected = "error: this needs the feature `aws`, and this build of stentor does not have it\n\
                        hint: install it with `cargo install --locked --path . --features aws`; \
                        --data-dir and --credentials work without\n";
        assert_eq!((code, &*errors), (2, expected), "{arguments:?}");
    }
    let file = directory.join("credentials.json").display().to_string();
    let (code, errors) = exit(&directory, &["send-test", "sns:x", "--credentials", &file]);
    let expected = format!(
        "error: sns:x needs the feature `aws`, and this build of stentor does not have it\n\
         hint: install it with `cargo install --locked --path . --features aws`, or remove sns:x from {file}\n"
    );
    assert_eq!((code, errors), (2, expected));
    let stack = [
        "--queue-url",
        "--due-queue-url",
        "--secret-id",
        "--alerts-table",
        "--outbox-table",
        "--region",
        "--profile",
        "--aws",
        "--function",
    ];
    for command in ["alerts", "mute", "unmute", "check", "replay", "send-test"] {
        let help = text(&stentor(&directory, &[command, "--help"]).output().unwrap().stdout);
        for option in stack {
            let is_offered = help.split_whitespace().any(|word| word == option);
            assert!(!is_offered, "{command} offers {option}:\n{help}");
        }
    }
    let help = text(&stentor(&directory, &["--help"]).output().unwrap().stdout);
    assert!(help.contains("Deployed stacks need the feature `aws`"), "{help}");
}
