//! `run --deliver` and `run --show`: every target of the configuration, with the credentials of a
//! file.

use super::*;

const CONFIG: &str = r#"
[[route]]
name    = "critical"
markers = ["[CRITICAL]"]
notify  = ["slack:ops", "teams:ops", "discord:ops", "webhook:ops"]
[[target]]
name          = "webhook:ops"
allow_private = true
"#;

/// Only targets with a credential are delivered to; all others are shown.
#[tokio::test(flavor = "multi_thread")]
async fn a_run_delivers_to_every_target_with_a_credential() {
    let server = MockServer::start().await;
    Mock::given(method("POST"))
        .respond_with(ResponseTemplate::new(200).set_body_string("ok"))
        .mount(&server)
        .await;
    let directory = scratch("deliver");
    let (config, secret) = (directory.join("stentor.toml"), directory.join("credentials.json"));
    std::fs::write(&config, CONFIG).unwrap();
    let url = |name: &str| format!("{}/{name}?topsecret", server.uri());
    let credentials = json!({
        "slack:*": url("slack"),
        "teams:ops": url("teams"),
        "webhook:ops": {"url": url("webhook"), "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
    });
    std::fs::write(&secret, credentials.to_string()).unwrap();
    let options = [
        "run",
        "events/subscription.json",
        "--config",
        config.to_str().unwrap(),
        "--deliver",
        secret.to_str().unwrap(),
    ];
    let output = stentor(&directory, &options).output().unwrap();
    let shown = text(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", text(&output.stderr));
    for (target, how) in [
        ("slack:ops", "delivered"),
        ("teams:ops", "delivered"),
        ("discord:ops", "shown here only"),
        ("webhook:ops", "delivered"),
    ] {
        assert!(shown.contains(&format!("── {target} · {how} ──")), "{target}: {shown}");
    }
    assert!(!shown.contains("topsecret"), "{shown}");
    let requests = server.received_requests().await.unwrap();
    let paths: std::collections::BTreeSet<&str> =
        requests.iter().map(|request| request.url.path()).collect();
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), ["/slack", "/teams", "/webhook"]);
    let webhook = requests.iter().find(|request| request.url.path() == "/webhook").unwrap();
    let id = webhook.headers["webhook-id"].to_str().unwrap();
    assert!(id.starts_with("local-") && id.ends_with("/critical/webhook:ops/1"), "{id}");
}

#[test]
fn a_run_shows_the_body_of_a_request() {
    let directory = scratch("show");
    let config = directory.join("stentor.toml");
    std::fs::write(&config, CONFIG).unwrap();
    let run = |target: &str| {
        let options = ["run", "events/subscription.json", "--config", config.to_str().unwrap()];
        let output =
            stentor(&directory, &[&options[..], &["--show", target]].concat()).output().unwrap();
        (text(&output.stdout), text(&output.stderr), output.status.code())
    };
    let (shown, errors, code) = run("teams:ops");
    assert_eq!(code, Some(0), "{errors}");
    let (_, after) = shown.split_once("── teams:ops · shown here only ──").unwrap();
    let body = after.split("\n── ").next().unwrap();
    let body: Value = serde_json::Deserializer::from_str(body).into_iter().next().unwrap().unwrap();
    assert_eq!(body["attachments"][0]["content"]["type"], "AdaptiveCard");
    let (_, errors, code) = run("teams:other");
    assert!(
        code == Some(2) && errors.contains("no route of the configuration uses teams:other"),
        "{errors}"
    );
}

#[test]
fn an_unusable_file_of_credentials_is_refused_without_its_text() {
    let directory = scratch("bad-credentials");
    let secret = directory.join("credentials.json");
    let run = |more: &[&str]| {
        let output = stentor(&directory, &[&["run", "events/subscription.json"], more].concat())
            .output()
            .unwrap();
        (text(&output.stderr), output.status.code())
    };
    let (errors, code) = run(&["--deliver", secret.to_str().unwrap()]);
    assert!(code == Some(2) && errors.contains("cannot read"), "{errors}");
    std::fs::write(&secret, "\"topsecret\"").unwrap();
    let (errors, code) = run(&["--deliver", secret.to_str().unwrap()]);
    assert!(
        code == Some(2)
            && errors.contains("is not a JSON object from target to credential")
            && !errors.contains("topsecret"),
        "{errors}"
    );
}
