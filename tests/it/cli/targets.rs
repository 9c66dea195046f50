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
        "topsecret": "swapped",
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
    assert!(hints.contains("a name in the file of credentials is that of no target"), "{hints}");
    assert!(
        hints.contains("warning: the name of this credential is not that of a target"),
        "{hints}"
    );
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
    let (shown, ..) = run("teams:ops");
    assert!(!shown.contains("teams:ops"), "all alerts are duplicates now: {shown}");
    let (_, errors, code) = run("teams:ops");
    assert_eq!((&*errors, code), ("no message for teams:ops\n", Some(0)));
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
    let cases = [
        ("\"topsecret\"", "expected a JSON object from target to credential"),
        ("{\n  \"slack:a\": topsecret}", "credentials.json:2:15: not JSON: a syntax error"),
        ("{\"slack:a\": 1, \"slack:a\": 2}", ":1:27: slack:a is here twice"),
    ];
    for (content, expected) in cases {
        std::fs::write(&secret, content).unwrap();
        let (errors, code) = run(&["--deliver", secret.to_str().unwrap()]);
        assert!(
            code == Some(2) && errors.contains(expected) && !errors.contains("topsecret"),
            "{errors}"
        );
    }
}

/// A receiver that stores ids would take a second test for a repetition.
#[tokio::test(flavor = "multi_thread")]
async fn each_test_message_to_a_webhook_has_an_id_of_its_own() {
    let server = MockServer::start().await;
    Mock::given(path("/hook")).respond_with(ResponseTemplate::new(204)).mount(&server).await;
    let directory = scratch("send-test-ids");
    let (config, secret) = (directory.join("stentor.toml"), directory.join("credentials.json"));
    std::fs::write(&config, CONFIG).unwrap();
    let url = format!("{}/hook", server.uri());
    let credentials =
        json!({"webhook:ops": {"url": url, "secret": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}});
    std::fs::write(&secret, credentials.to_string()).unwrap();
    for _ in 0..3 {
        let options =
            ["send-test", "webhook:ops", "--config", config.to_str().unwrap(), "--credentials"];
        let output = stentor(&directory, &options).arg(&secret).output().unwrap();
        assert_eq!(text_of(&output), "webhook:ops accepted the message.\n");
    }
    let requests = server.received_requests().await.unwrap();
    let ids: std::collections::BTreeSet<&str> =
        requests.iter().map(|request| request.headers["webhook-id"].to_str().unwrap()).collect();
    assert_eq!(ids.len(), 3, "{ids:?}");
}

/// A mistake that would show only when a message is due.
#[test]
fn a_credential_that_cannot_be_meant_is_named() {
    let directory = scratch("odd-credentials");
    let secret = directory.join("credentials.json");
    let content = r#"{"slack:a": {"token": "xoxb-topsecret", "target": "topsecret"}}"#;
    std::fs::write(&secret, content).unwrap();
    let options = ["send-test", "slack:b", "--credentials", secret.to_str().unwrap()];
    let output = stentor(&directory, &options).output().unwrap();
    let said = text_of(&output);
    let file = secret.display();
    for expected in [
        format!(
            "{file}:1:51: warning: slack:a does not use this field; its fields are token, channel"
        ),
        format!("{file} has no credential for slack:b"),
    ] {
        assert!(said.contains(&expected), "{expected} is missing in {said}");
    }
    assert!(!said.contains("topsecret") && !said.contains("the secret"), "{said}");
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

/// A run with one route to PagerDuty, and the actions and keys of the events that it sent.
struct PagerDutyRun {
    server: MockServer,
    directory: PathBuf,
}

impl PagerDutyRun {
    async fn new(test: &str) -> Self {
        let server = MockServer::start().await;
        let accepted = json!({"status": "success", "dedup_key": "k"});
        let accepted = ResponseTemplate::new(202).set_body_json(accepted);
        Mock::given(path("/v2/enqueue")).respond_with(accepted).mount(&server).await;
        let directory = scratch(test);
        let config =
            "[[route]]\nname='r'\nmarkers=['[CRITICAL]']\nnotify=['pagerduty:db', 'slack:x']\n";
        std::fs::write(directory.join("stentor.toml"), config).unwrap();
        let key = "0123456789abcdef0123456789abcdef";
        let credentials = json!({"pagerduty:db": {"routing_key": key, "url": server.uri()}});
        std::fs::write(directory.join("credentials.json"), credentials.to_string()).unwrap();
        Self { server, directory }
    }

    fn command(&self, input: &str) -> Command {
        let file = |name: &str| self.directory.join(name).display().to_string();
        let (config, secret) = (file("stentor.toml"), file("credentials.json"));
        stentor(&self.directory, &["run", input, "--config", &config, "--deliver", &secret])
    }

    async fn events(&self) -> Vec<(String, String)> {
        let requests = self.server.received_requests().await.unwrap();
        let event = |request: &Request| {
            let body: Value = request.body_json().unwrap();
            let text = |name: &str| body[name].as_str().unwrap().to_owned();
            (text("event_action"), text("dedup_key"))
        };
        requests.iter().map(event).collect()
    }

    /// Checks that the only incident was opened and then resolved. A trigger may be repeated before
    /// that, if its answer was not stored.
    async fn check_resolved(&self) {
        let events = self.events().await;
        let (last, before) = events.split_last().unwrap();
        let (_, key) = last;
        assert_eq!(last.0, "resolve", "{events:?}");
        let opens = |(action, of): &(String, String)| action == "trigger" && of == key;
        assert!(!before.is_empty() && before.iter().all(opens), "{events:?}");
    }
}

/// Whether its input ends at once, or a signal ends it.
#[tokio::test(flavor = "multi_thread")]
async fn the_end_of_a_run_resolves_what_its_bursts_opened() {
    for (test, is_signaled) in [("resolves-at-end", false), ("resolves-on-signal", true)] {
        let run = PagerDutyRun::new(test).await;
        let mut child = run
            .command("-")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        writeln!(stdin, "[CRITICAL] no").unwrap();
        if is_signaled {
            let mut shown = BufReader::new(child.stdout.take().unwrap()).lines();
            shown
                .find(|line| line.as_ref().unwrap().contains("pagerduty:db · delivered"))
                .unwrap()
                .unwrap();
            let pid = rustix::process::Pid::from_child(&child);
            rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
            // The rest of the output needs a reader.
            std::thread::spawn(move || shown.count());
        } else {
            drop(stdin);
        }
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{test}: {}", text(&output.stderr));
        run.check_resolved().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_later_run_resolves_what_a_killed_one_left_open() {
    let run = PagerDutyRun::new("resolves-later").await;
    let mut child = run.command("-").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    writeln!(child.stdin.as_ref().unwrap(), "[CRITICAL] no").unwrap();
    let shown = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    // Both targets have the message, so the burst is stored.
    assert_eq!(shown.filter(|line| line.starts_with("── ")).take(2).count(), 2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(run.events().await.len(), 1);
    let output = run.command("events/kinesis-empty.json").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    run.check_resolved().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_target_that_is_owed_a_message_is_named_with_its_reason() {
    let server = MockServer::start().await;
    for (at, status) in [("/one", 503), ("/two", 502)] {
        Mock::given(path(at)).respond_with(ResponseTemplate::new(status)).mount(&server).await;
    }
    let directory = scratch("owed-targets");
    let (config, secret) = (directory.join("stentor.toml"), directory.join("credentials.json"));
    let route =
        "[[route]]\nname='r'\nmarkers=['[CRITICAL]']\nnotify=['slack:a', 'slack:b', 'discord:c']\n";
    std::fs::write(&config, route).unwrap();
    let url = |name: &str| json!(format!("{}/{name}", server.uri()));
    let credentials = json!({"slack:a": url("one"), "discord:c": url("two")});
    std::fs::write(&secret, credentials.to_string()).unwrap();
    let arguments = |json: &'static str| {
        let file = |path: &Path| path.to_str().unwrap().to_owned();
        let (config, secret) = (file(&config), file(&secret));
        let run = [
            "run",
            "events/subscription.json",
            "--timeout",
            "2",
            json,
            "--config",
            &config,
            "--deliver",
            &secret,
        ];
        let output = stentor(&directory, &run).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{}", text(&output.stderr));
        text(&output.stdout)
    };
    let report: Value = serde_json::from_str(&arguments("--json")).unwrap();
    let owed = report["undelivered"][0]["targets"].as_array().unwrap();
    let said: Vec<(&str, &str)> = owed
        .iter()
        .map(|one| (one["target"].as_str().unwrap(), one["reason"].as_str().unwrap()))
        .collect();
    let expected = [
        ("slack:a", "Slack answered 503: no known error code"),
        ("discord:c", "Discord answered 502"),
    ];
    assert_eq!(said, expected, "{report}");
    let shown = arguments("--preview");
    let (_, list) = shown.split_once("not delivered yet").unwrap();
    assert!(list.contains("r to discord:c: ") && list.contains("r to slack:a: "), "{list}");
    assert!(!list.contains("paused until") && !list.contains("slack:b"), "{list}");
    assert_eq!(list.matches("; next attempt ").count(), 2, "{list}");
}

/// A target refuses a message for good if its credential has the wrong form, so it is found first.
#[test]
fn credentials_of_the_wrong_form_are_reported_before_anything_is_read() {
    let directory = scratch("wrong-form");
    let (config, secret) = (directory.join("stentor.toml"), directory.join("credentials.json"));
    std::fs::write(&config, CONFIG.replace("\"teams:ops\"", "\"pagerduty:ops\"")).unwrap();
    let credentials = json!({
        "slack:*": {"token": "xoxb-topsecret"},
        "pagerduty:ops": "topsecret",
        "webhook:ops": "http://example.com/topsecret",
        "jira:other": "not used",
    });
    std::fs::write(&secret, credentials.to_string()).unwrap();
    let [config, secret] = [&config, &secret].map(|path| path.to_str().unwrap());
    let options = ["run", "events/subscription.json", "--config", config, "--deliver", secret];
    let output = stentor(&directory, &options).output().unwrap();
    let errors = text(&output.stderr);
    assert_eq!(output.status.code(), Some(2), "{errors}");
    for expected in [
        "credentials.json: the credential of slack:ops: expected the URL of a webhook, or an",
        "the credential of pagerduty:ops: its routing_key does not have 32 characters",
        "the credential of webhook:ops: ",
    ] {
        assert!(errors.contains(expected), "{expected}: {errors}");
    }
    assert!(!errors.contains("topsecret") && !errors.contains("of jira:other"), "{errors}");
    assert!(output.stdout.is_empty(), "{}", text(&output.stdout));
}
