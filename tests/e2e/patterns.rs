//! `stentor patterns` and `stentor alerts` on the tables of a stack.

use std::path::Path;
use std::process::Output;

use stentor::adapters::embedded::Embedded;
use tokio::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn the_alerts_of_a_stack_are_listed_with_their_patterns() {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("e2e-patterns");
    std::fs::remove_dir_all(&directory).ok();
    let stentor = |arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
        command.args(arguments).env_clear().current_dir(env!("CARGO_MANIFEST_DIR"));
        command
    };
    let data = directory.to_str().unwrap();
    let run = stentor(&["run", "events/kinesis-burst.json", "--data-dir", data]);
    assert!({ run }.output().await.unwrap().status.success());
    let engine = Embedded::start(Some(&directory.join("stentor.db"))).await.unwrap();
    let on_stack = async |arguments: &[&str]| -> Output {
        let mut command = stentor(arguments);
        command
            .env("AWS_ENDPOINT_URL_DYNAMODB", engine.endpoint())
            .envs([("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test")])
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command.output().await.unwrap()
    };
    let since = ["--since", "2000-01-01", "--region", "us-east-1"];
    let output = on_stack(&[&["patterns", "--json"], &since[..]].concat()).await;
    let report: serde_json::Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(report["lines"], 180);
    let output = on_stack(&[&["alerts", "--json", "--limit", "0"], &since[..]].concat()).await;
    assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), 180);
    let nowhere = ["--alerts-table", "Nowhere"];
    for command in ["patterns", "alerts"] {
        let arguments = [&[command], &since[..], &nowhere].concat();
        for (arguments, expected) in [
            (&arguments[..], "the table Nowhere does not exist in this account and Region"),
            (&[command], "no Region is set"),
        ] {
            let output = on_stack(arguments).await;
            let error = String::from_utf8_lossy(&output.stderr).into_owned();
            assert_eq!(output.status.code(), Some(2), "{error}");
            assert!(error.contains(expected), "{error}");
        }
    }
    engine.stop().await.unwrap();
}
