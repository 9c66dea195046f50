//! `run --deliver` and `run --show`: every target of the configuration, with the credentials of a
//! file.

use stentor::model::name::TargetKind;
use strum::VariantNames as _;

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
    Mock::given(path("/teams")).respond_with(ResponseTemplate::new(202)).mount(&server).await;
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
        "teams:typo": url("teams"),
        "https://example.com/topsecret": "swapped",
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
    let hints = text(&output.stderr);
    assert!(hints.contains("no route uses teams:typo, which has a credential"), "{hints}");
    assert!(hints.contains("a name in the file of credentials is not that of a target"), "{hints}");
    assert!(!format!("{shown}{hints}").contains("topsecret"), "{shown}{hints}");
    let requests = server.received_requests().await.unwrap();
    let paths: std::collections::BTreeSet<&str> =
        requests.iter().map(|request| request.url.path()).collect();
    assert_eq!(paths.into_iter().collect::<Vec<_>>(), ["/slack", "/teams", "/webhook"]);
    let webhook = requests.iter().find(|request| request.url.path() == "/webhook").unwrap();
    let id = webhook.headers["webhook-id"].to_str().unwrap();
    assert!(id.starts_with("local-") && id.contains("/critical/webhook:ops/1/"), "{id}");
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

/// The command line reaches every kind of target but SNS, whose test needs an emulator of AWS.
#[tokio::test(flavor = "multi_thread")]
async fn a_test_message_reaches_every_kind_of_target() {
    let server = MockServer::start().await;
    let answer = |status: u16, body: Value| ResponseTemplate::new(status).set_body_json(body);
    let google = json!({"name": "spaces/1/messages/2"});
    let issue = json!({"id": "1", "key": "PAY-1"});
    for (at, answer) in [
        ("/slack", ResponseTemplate::new(200).set_body_string("ok")),
        ("/mattermost", ResponseTemplate::new(200).set_body_string("ok")),
        ("/discord", answer(200, json!({"id": "1", "channel_id": "c"}))),
        ("/googlechat", answer(200, google)),
        ("/teams", ResponseTemplate::new(202)),
        ("/webhook", ResponseTemplate::new(204)),
        ("/v2/enqueue", answer(202, json!({"status": "success", "dedup_key": "k"}))),
        (
            "/v2/alerts",
            answer(202, json!({"result": "Request will be processed", "requestId": "r"})),
        ),
        ("/rest/api/3/search/jql", answer(200, json!({"issues": [], "isLast": true}))),
        ("/rest/api/3/issue", answer(201, issue)),
    ] {
        Mock::given(path(at)).respond_with(answer).mount(&server).await;
    }
    let url = |name: &str| json!(format!("{}/{name}", server.uri()));
    let credentials = json!({
        "slack:t": url("slack"),
        "mattermost:t": url("mattermost"),
        "discord:t": url("discord"),
        "googlechat:t": url("googlechat"),
        "teams:t": url("teams"),
        "webhook:t": {"url": url("webhook"), "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"},
        "pagerduty:t": {"routing_key": "0123456789abcdef0123456789abcdef", "url": server.uri()},
        "jsm:t": {"api_key": "topsecret", "url": server.uri()},
        "jira:t": {"site": server.uri(), "email": "ops@example.com", "token": "topsecret"},
    });
    let kinds = credentials.as_object().unwrap().keys().cloned().collect::<Vec<_>>();
    assert_eq!(kinds.len() + 1, TargetKind::VARIANTS.len(), "all kinds but SNS");
    let directory = scratch("send-test");
    let (config, secret) = (directory.join("stentor.toml"), directory.join("credentials.json"));
    let notify = kinds.join("', '");
    let text = format!(
        "[[route]]\nname='r'\nmarkers=['[A]']\nnotify=['{notify}']\n\
         [[target]]\nname='jira:t'\nproject='PAY'\n\
         [[target]]\nname='webhook:t'\nallow_private=true\n"
    );
    std::fs::write(&config, text).unwrap();
    std::fs::write(&secret, credentials.to_string()).unwrap();
    for target in &kinds {
        let options = ["send-test", target, "--config", config.to_str().unwrap(), "--credentials"];
        let output = stentor(&directory, &options).arg(&secret).output().unwrap();
        let said = text_of(&output);
        assert_eq!(said, format!("{target} accepted the message.\n"));
    }
    // Jira needs its project.
    let options = ["send-test", "jira:t", "--credentials", secret.to_str().unwrap()];
    let said = text_of(&stentor(&directory, &options).output().unwrap());
    assert!(said.contains("jira:t needs a [[target]]"), "{said}");
}

fn text_of(output: &Output) -> String {
    text(&output.stdout) + &text(&output.stderr)
}
