//! Delivery to Jira Service Management and Opsgenie: a server that answers as their API does.

use std::time::Duration;

use serde_json::{Value, json};
use stentor::adapters::clock::SystemClock;
use stentor::adapters::embedded::Embedded;
use stentor::adapters::http;
use stentor::adapters::secret::{ReadSecret, Secrets};
use stentor::adapters::slack::Slack;
use stentor::adapters::targets::Targets;
use stentor::config::Config;
use stentor::model::burst::Related;
use stentor::model::digest::Digest;
use stentor::model::name::Severity;
use stentor::model::tally::Tally;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::notify::{Accepted, Deliver as _, DeliverError};
use stentor::protocol::round::DeliveryOutcome;
use wiremock::ResponseTemplate;

use crate::support::alert;
use crate::support::service::{Log, RotatedSecret, Service, described};
use crate::support::target_services::{Secret, TargetServices};

const KEY: &str = "0d4a-topsecret-1";

const CONFIG: &str = r#"
window = "20s"
window_max = "20s"
[[route]]
name = "critical"
markers = ["[CRITICAL]"]
notify = ["jsm:ops"]
[[target]]
name = "jsm:ops"
responders = ["team:db", "escalation:night"]
tags = ["prod"]
"#;

fn credentials(service: &Service, key: &str) -> String {
    let url = format!("{}/jsm/ops/integration", service.server.uri());
    json!({"jsm:ops": {"api_key": key, "url": url}}).to_string()
}

fn targets<R: ReadSecret>(secret: R) -> Targets<R> {
    let slack = Slack::new(http::client().unwrap(), SystemClock);
    Targets::new(slack, Secrets::new(secret), SystemClock)
        .with_stack("prod".to_owned())
        .with_settings(Config::parse(CONFIG, "test").unwrap().targets)
}

/// Two alerts of a burst.
fn digest() -> Digest {
    let (route, target) = ("critical".parse().unwrap(), "jsm:ops".parse().unwrap());
    let tally = Tally::of(&[alert("1", &["critical"]), alert("2", &["critical"])]);
    let parked = Digest::new(&route, &target, Some(Severity::Critical), (7, 7), tally);
    Digest { incident: Some(7), ..parked }
}

async fn deliver(
    targets: &Targets<impl ReadSecret>,
    joins: Option<&str>,
) -> Result<Accepted, DeliverError> {
    let deadline = Deadline::after(SystemClock.now(), Duration::from_secs(10));
    targets.deliver(&digest(), joins, deadline).await
}

/// The path of each request below the base, and the alias in its body.
async fn calls(service: &Service) -> Vec<String> {
    let call = |(path, body): (String, Value)| {
        let path = path.strip_prefix("/jsm/ops/integration/v2/alerts").unwrap().to_owned();
        path + body["alias"].as_str().unwrap_or_default()
    };
    service.requests().await.into_iter().map(call).collect()
}

#[tokio::test]
async fn a_burst_is_one_alert_with_notes_that_its_end_closes() {
    let service = Service::start(ResponseTemplate::new(202)).await;
    let engine = Embedded::start(None).await.unwrap();
    let targets = targets(Secret(credentials(&service, KEY)));
    let services = TargetServices::new(&engine, CONFIG, targets).await;
    for (name, alerts) in [("a", 3), ("b", 2), ("quiet", 0), ("c", 1)] {
        let sent = services.minute(name, alerts).await;
        assert!(sent.iter().all(|sent| sent.outcome == DeliveryOutcome::Accepted), "{sent:?}");
    }
    let expected = [
        "prod:critical:1:critical",
        "prod:critical:1:critical",
        "/prod:critical:1:critical/notes?identifierType=alias",
        "/prod:critical:1:critical/close?identifierType=alias",
        "prod:critical:4:critical",
    ];
    assert_eq!(calls(&service).await, expected);
}

#[tokio::test]
async fn an_alert_has_the_settings_of_its_target() {
    let service = Service::start(ResponseTemplate::new(202)).await;
    let targets = targets(Secret(credentials(&service, KEY)));
    let accepted = deliver(&targets, None).await.unwrap();
    let name = "JSM prod:critical:7:critical".to_owned();
    assert_eq!(accepted.related, Some(Related { name, url: None }));
    assert_eq!(accepted.message.as_deref(), Some(r#"{"open":["critical"]}"#));
    let authorization =
        &service.server.received_requests().await.unwrap()[0].headers["authorization"];
    assert_eq!(authorization, &format!("GenieKey {KEY}"));
    let (_, body) = service.requests().await.remove(0);
    assert_eq!(body["tags"], json!(["prod"]));
    let responders =
        json!([{"type": "team", "name": "db"}, {"type": "escalation", "name": "night"}]);
    assert_eq!(body["responders"], responders);
}

#[tokio::test]
async fn every_answer_over_the_wire_has_its_class() {
    let service = Service::start(ResponseTemplate::new(202)).await;
    let targets = targets(Secret(credentials(&service, KEY)));
    let invalid = json!({
        "message": "Request body is not processable. Please check the errors.",
        "errors": {"message": format!("Message {KEY} can not be empty.")}, "took": 0.0, "requestId": "x",
    });
    let foreign = |status: u16| {
        format!(
            "retry: the answer has status {status}, which Jira Service Management does not send: check the URL, and any proxy on the way"
        )
    };
    let plain =
        |class: &str, status: u16| format!("{class}: Jira Service Management answered {status}");
    let cases = [
        (
            ResponseTemplate::new(422).set_body_json(invalid),
            plain("refused", 422)
                + ": Request body is not processable. Please check the errors.; message: Message … can not be empty.",
        ),
        // The secret has no other credential, so a denied one is final.
        (ResponseTemplate::new(401), plain("refused", 401)),
        (ResponseTemplate::new(403), plain("refused", 403)),
        (ResponseTemplate::new(404), plain("refused", 404)),
        (ResponseTemplate::new(429), plain("retry", 429)),
        (
            ResponseTemplate::new(429).insert_header("retry-after", "12"),
            plain("retry in 12 s", 429),
        ),
        (ResponseTemplate::new(503), plain("retry", 503)),
        (ResponseTemplate::new(200).set_body_string("<html>"), foreign(200)),
        (ResponseTemplate::new(302).insert_header("location", "/elsewhere"), foreign(302)),
    ];
    for (answer, expected) in cases {
        service.answer(answer);
        assert_eq!(described(&deliver(&targets, None).await.unwrap_err()), expected);
        assert_eq!(service.requests().await.len(), 1, "no redirect is followed");
    }
    service.answer(ResponseTemplate::new(200).set_body_json(json!({"requestId": "x"})));
    assert!(deliver(&targets, None).await.is_ok());
}

#[tokio::test]
async fn a_note_is_repeated_after_a_failure_and_not_after_a_refusal() {
    let service = Service::start(ResponseTemplate::new(202)).await;
    let targets = targets(Secret(credentials(&service, KEY)));
    let open = r#"{"open":["critical"]}"#;
    for (status, is_accepted) in [(202, true), (503, false), (429, false), (422, true), (404, true)]
    {
        service.answer(ResponseTemplate::new(202));
        service.answer(ResponseTemplate::new(status));
        let result = deliver(&targets, Some(open)).await;
        assert_eq!(result.is_ok(), is_accepted, "{status}: {result:?}");
        assert_eq!(calls(&service).await.len(), 2);
    }
}

#[tokio::test]
async fn after_a_rotation_the_other_key_is_tried() {
    let service = Service::start(ResponseTemplate::new(202)).await;
    let (current, previous) = (credentials(&service, KEY), credentials(&service, "old"));
    let targets = targets(RotatedSecret { current, previous });
    service.answer(ResponseTemplate::new(401));
    deliver(&targets, None).await.unwrap();
    let requests = service.server.received_requests().await.unwrap();
    let keys = requests.iter().map(|request| request.headers["authorization"].to_str().unwrap());
    assert_eq!(keys.collect::<Vec<_>>(), [format!("GenieKey {KEY}"), "GenieKey old".to_owned()]);
}

#[tokio::test]
async fn an_api_key_is_only_in_its_header() {
    let log = Log::default();
    let (subscriber, _second) = log.subscriber();
    let _guard = tracing::subscriber::set_default(subscriber);
    let service = Service::start(ResponseTemplate::new(202)).await;
    let targets = targets(Secret(credentials(&service, KEY)));
    let mut shown = format!("{targets:?}");
    for status in [202, 200, 302, 400, 401, 403, 422, 429, 500] {
        let body = json!({"message": KEY, "errors": {KEY: KEY}});
        service.answer(ResponseTemplate::new(status).set_body_json(body));
        shown += &format!("{:?}", deliver(&targets, None).await);
    }
    service.answer(ResponseTemplate::new(202));
    service.answer(ResponseTemplate::new(422).set_body_json(json!({"message": KEY})));
    shown += &format!("{:?}", deliver(&targets, Some(r#"{"open":["critical"]}"#)).await);
    service.answer(ResponseTemplate::new(202).set_delay(Duration::from_secs(5)));
    let soon = Deadline::after(SystemClock.now(), Duration::from_millis(200));
    let late = targets.deliver(&digest(), None, soon).await.unwrap_err();
    assert_eq!(late.to_string(), "Jira Service Management did not answer in time");
    shown += &format!("{late:?}");
    for (_, body) in service.requests().await {
        assert!(!body.to_string().contains("topsecret"));
    }
    let log = log.text();
    assert!(log.contains("connecting"), "the HTTP client logs: {log}");
    assert!(log.contains("The alert has no note of the digest"), "{log}");
    assert!(!(log + &shown).contains("topsecret"));
}
