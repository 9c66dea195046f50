//! `stentor mute` on the tables of a stack.

use std::process::Command;
use std::time::Duration;

use stentor::adapters::clock::SystemClock;
use stentor::adapters::embedded::Embedded;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::store::Store as _;

#[tokio::test(flavor = "multi_thread")]
async fn a_route_of_a_stack_is_muted_in_its_table() {
    let engine = Embedded::start(None).await.unwrap();
    let store = engine.store().await.unwrap();
    let environment = [
        ("AWS_REGION", "us-east-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
    ];
    let mute = async |arguments: &[&str], environment: &[(&str, &str)]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_stentor"));
        command.args(arguments).env_clear().current_dir(env!("CARGO_MANIFEST_DIR"));
        command
            .env("AWS_ENDPOINT_URL_DYNAMODB", engine.endpoint())
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command.envs(environment.iter().copied());
        tokio::process::Command::from(command).output().await.unwrap()
    };
    let is_muted = async || {
        let now = SystemClock.now();
        store
            .cursor(&"alerts".parse().unwrap(), Deadline::after(now, Duration::from_secs(9)))
            .await
            .unwrap()
            .is_muted(now)
    };
    assert!(mute(&["mute", "alerts", "--for", "30m"], &environment).await.status.success());
    assert!(is_muted().await);
    assert!(mute(&["unmute", "alerts"], &environment).await.status.success());
    assert!(!is_muted().await);
    let nowhere = ["mute", "alerts", "--for", "1h", "--outbox-table", "Nowhere"];
    for (arguments, environment, expected) in [
        (&["unmute", "alerts"][..], &environment[1..], "no Region is set"),
        (&["unmute", "alerts"], &environment[..1], "there are no AWS credentials"),
        (&nowhere, &environment, "the table Nowhere does not exist in this account and Region"),
    ] {
        let output = mute(arguments, environment).await;
        assert_eq!(output.status.code(), Some(2));
        assert!(
            String::from_utf8_lossy(&output.stderr).contains(expected),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
