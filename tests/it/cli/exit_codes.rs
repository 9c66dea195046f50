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

/// In a build without the clients for AWS. `--all-features` has them.
#[cfg(not(feature = "aws"))]
#[test]
fn a_command_that_needs_aws_names_the_feature() {
    let directory = scratch("no-aws");
    std::fs::create_dir(directory.join("data")).unwrap();
    std::fs::write(directory.join("credentials.json"), "{}").unwrap();
    let url = "https://sqs.eu-west-1.amazonaws.com/123456789012/dlq";
    let cases: [&[&str]; 8] = [
        &["alerts"],
        &["mute", "alerts", "--for", "1h"],
        &["unmute", "alerts"],
        &["check", "--aws"],
        &["replay", "--queue-url", url],
        &["replay", "--data-dir", "data", "--queue-url", url],
        &["send-test", "slack:x", "--secret-id", "targets"],
        &["send-test", "sns:x", "--credentials", "credentials.json"],
    ];
    for arguments in cases {
        let (code, errors) = exit(&directory, arguments);
        let expected = "error: this needs the feature `aws`, and this build of stentor does not have it\n\
                        hint: install it with `cargo install --locked --path . --features aws`; \
                        --data-dir and --credentials work without\n";
        assert_eq!((code, &*errors), (2, expected), "{arguments:?}");
    }
}
