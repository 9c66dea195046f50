//! Delivery to PagerDuty: a server that answers as its Events API does.

use std::time::Duration;

use serde_json::{Value, json};
use stentor::adapters::clock::SystemClock;
use stentor::adapters::embedded::Embedded;
use stentor::adapters::http;
use stentor::adapters::secret::{ReadSecret, Secrets};
use stentor::adapters::slack::Slack;
use stentor::adapters::targets::Targets;
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

const KEY: &str = "topsecrettopsecrettopsecrettopse";
const OLD_KEY: &str = "topsecrettopsecrettopsecrettopsO";

const ROUTE: &str = r#"
window = "20s"
window_max = "20s"
[[route]]
name = "critical"
markers = ["[CRITICAL]"]
notify = ["pagerduty:db"]
"#;

fn credentials(service: &Service, key: &str) -> String {
    json!({"pagerduty:db": {"routing_key": key, "url": service.server.uri()}}).to_string()
}

fn targets<R: ReadSecret>(secret: R) -> Targets<R> {
    let slack = Slack::new(http::client().unwrap(), SystemClock);
    Targets::new(slack, Secrets::new(secret), SystemClock).with_stack("prod".to_owned())
}

/// Two alerts of a burst.
fn digest() -> Digest {
    let (route, target) = ("critical".parse().unwrap(), "pagerduty:db".parse().unwrap());
    let tally = Tally::of(&[alert("1", &["critical"]), alert("2", &["critical"])]);
    let parked = Digest::new(&route, &target, Some(Severity::Error), (7, 7), tally);
    Digest { incident: Some(7), ..parked }
}

async fn deliver(
    targets: &Targets<impl ReadSecret>,
    joins: Option<&str>,
) -> Result<Accepted, DeliverError> {
    let deadline = Deadline::after(SystemClock.now(), Duration::from_secs(10));
    targets.deliver(&digest(), joins, deadline).await
}

/// The action and the key of each event.
async fn events(service: &Service) -> Vec<String> {
    let event = |(path, body): (String, Value)| {
        assert_eq!((path.as_str(), &body["routing_key"]), ("/v2/enqueue", &json!(KEY)));
        format!(
            "{} {}",
            body["event_action"].as_str().unwrap(),
            body["dedup_key"].as_str().unwrap()
        )
    };
    service.requests().await.into_iter().map(event).collect()
}

#[tokio::test]
async fn a_burst_is_one_incident_that_its_end_resolves() {
    let service = Service::start(ResponseTemplate::new(202)).await;
    let engine = Embedded::start(None).await.unwrap();
    let targets = targets(Secret(credentials(&service, KEY)));
    let services = TargetServices::new(&engine, ROUTE, targets).await;
    for (name, alerts) in [("a", 3), ("b", 2), ("quiet", 0), ("c", 1)] {
        let sent = services.minute(name, alerts).await;
        assert!(sent.iter().all(|sent| sent.outcome == DeliveryOutcome::Accepted), "{sent:?}");
    }
    let expected = [
        "trigger prod/critical/1/critical",
        "trigger prod/critical/1/critical",
        "resolve prod/critical/1/critical",
        "trigger prod/critical/4/critical",
    ];
    assert_eq!(events(&service).await, expected);
}

/// PagerDuty refuses the end of a burst, and the dead letter is replayed later.
#[tokio::test]
async fn the_replay_of_a_parked_end_resolves_the_incident() {
    let service = Service::start(ResponseTemplate::new(202)).await;
    let engine = Embedded::start(None).await.unwrap();
    let targets = targets(Secret(credentials(&service, KEY)));
    let services = TargetServices::new(&engine, ROUTE, targets).await;
    services.minute("a", 3).await;
    service.answer(ResponseTemplate::new(413));
    let sent = services.minute("quiet", 0).await;
    assert!(matches!(&sent[..], [only] if matches!(only.outcome, DeliveryOutcome::Parked(_))));
    events(&service).await;

    let report = services.replay().await;
    assert_eq!(report.reprocessed(), 1, "{report:?}");
    let ends = ["info", "warning", "error", "critical"];
    let ends = ends.map(|severity| format!("resolve prod/critical/1/{severity}"));
    assert_eq!(events(&service).await, ends, "any of them may be open");
}

/// After an outage, a trigger covers the windows of one burst, and each end is an event of its own.
#[tokio::test]
async fn a_backlog_is_split_at_the_end_of_each_burst() {
    let service = Service::start(ResponseTemplate::new(202)).await;
    let engine = Embedded::start(None).await.unwrap();
    let targets = targets(Secret(credentials(&service, KEY)));
    let services = TargetServices::new(&engine, ROUTE, targets).await;
    for (name, alerts) in [("a", 3), ("b", 2), ("quiet", 0), ("c", 1)] {
        service.answer(ResponseTemplate::new(503));
        services.minute(name, alerts).await;
    }
    assert_eq!(events(&service).await, ["trigger prod/critical/1/critical"; 4]);
    let sent = services.minute("quiet again", 0).await;
    let alerts: Vec<_> = sent.iter().map(|sent| (sent.epochs, sent.alerts)).collect();
    assert_eq!(alerts, [((1, 2), 5), ((3, 3), 0), ((4, 4), 1), ((5, 5), 0)]);
    let expected = [
        "trigger prod/critical/1/critical",
        "resolve prod/critical/1/critical",
        "trigger prod/critical/4/critical",
        "resolve prod/critical/4/critical",
    ];
    assert_eq!(events(&service).await, expected);
}

/// The fallback is owed only what another target refused, but its incident ends with the burst, after
/// all that it is owed.
#[tokio::test]
async fn the_incident_of_a_fallback_ends_with_its_burst() {
    let service = Service::start(ResponseTemplate::new(202)).await;
    let slack = Service::start(ResponseTemplate::new(200).set_body_string("ok")).await;
    let engine = Embedded::start(None).await.unwrap();
    let mut secret: Value = serde_json::from_str(&credentials(&service, KEY)).unwrap();
    secret["slack:ops"] = json!(slack.server.uri());
    let targets = targets(Secret(secret.to_string()));
    let route = ROUTE.replace("notify", "fallback = \"pagerduty:db\"\nnotify");
    let route = route.replace("[\"pagerduty:db\"]", "[\"slack:ops\"]");
    let services = TargetServices::new(&engine, &route, targets).await;
    let refuse = || slack.answer(ResponseTemplate::new(400));
    let trigger = "trigger prod/critical/1/fallback/critical";

    refuse();
    services.minute("a", 3).await;
    assert_eq!(events(&service).await, [trigger]);
    refuse();
    service.answer(ResponseTemplate::new(503));
    services.minute("b", 2).await;
    service.answer(ResponseTemplate::new(503));
    services.minute("quiet", 0).await;
    assert_eq!(events(&service).await, [trigger; 2], "it fails although the burst is over");
    let sent = services.minute("quiet", 0).await;
    let sent: Vec<_> = sent.iter().map(|sent| (sent.epochs, sent.alerts)).collect();
    assert_eq!(sent, [((2, 2), 2), ((3, 3), 0)]);
    let end = "resolve prod/critical/1/fallback/critical";
    assert_eq!(events(&service).await, [trigger, end]);
    for _ in 0..2 {
        assert!(services.minute("quiet", 0).await.is_empty());
    }
    assert!(events(&service).await.is_empty(), "it ends once");
}

#[tokio::test]
async fn an_accepted_trigger_names_its_incident() {
    let service = Service::start(ResponseTemplate::new(202)).await;
    let targets = targets(Secret(credentials(&service, KEY)));
    let accepted = deliver(&targets, None).await.unwrap();
    let name = "PagerDuty prod/critical/7/error".to_owned();
    assert_eq!(accepted.related, Some(Related { name, url: None }));
    assert_eq!(accepted.message.as_deref(), Some(r#"{"open":["error"]}"#));
    let worse = deliver(&targets, Some(r#"{"open":["warning"]}"#)).await.unwrap();
    assert_eq!(worse.message.as_deref(), Some(r#"{"open":["warning","error"]}"#));
    let expected = ["trigger prod/critical/7/error"; 2];
    assert_eq!(events(&service).await, expected);
}

#[tokio::test]
async fn every_answer_over_the_wire_has_its_class() {
    let service = Service::start(ResponseTemplate::new(202)).await;
    let targets = targets(Secret(credentials(&service, KEY)));
    let invalid = json!({
        "status": "invalid event", "message": "Event object is invalid",
        "errors": [format!("routing key {KEY} is not known")],
    });
    let foreign = "retry: the answer has status 302, which PagerDuty does not send: check the URL, and any proxy on the way";
    let cases = [
        // The secret has no other credential, so a denied one is final.
        (
            ResponseTemplate::new(400).set_body_json(invalid),
            "refused: PagerDuty answered 400: Event object is invalid: routing key … is not known",
        ),
        (ResponseTemplate::new(403), "refused: PagerDuty answered 403"),
        (ResponseTemplate::new(404), "refused: PagerDuty answered 404"),
        (ResponseTemplate::new(413), "refused: PagerDuty answered 413"),
        (ResponseTemplate::new(429), "retry in 30 s: PagerDuty answered 429"),
        (
            ResponseTemplate::new(429).insert_header("retry-after", "120"),
            "retry in 120 s: PagerDuty answered 429",
        ),
        (ResponseTemplate::new(500), "retry: PagerDuty answered 500"),
        (ResponseTemplate::new(502).set_body_string("<html>"), "retry: PagerDuty answered 502"),
        (ResponseTemplate::new(302).insert_header("location", "/elsewhere"), foreign),
    ];
    for (answer, expected) in cases {
        service.answer(answer);
        assert_eq!(described(&deliver(&targets, None).await.unwrap_err()), expected);
        assert_eq!(service.requests().await.len(), 1, "no redirect is followed");
    }
    let nowhere = json!({"db": {"routing_key": KEY, "url": "http://127.0.0.1:1"}}).to_string();
    let error = deliver(&self::targets(Secret(nowhere)), None).await.unwrap_err();
    assert_eq!(described(&error), "retry: PagerDuty could not be reached");
}

#[tokio::test]
async fn after_a_rotation_the_other_key_is_tried() {
    let service = Service::start(ResponseTemplate::new(202)).await;
    for (current, previous) in [(KEY, OLD_KEY), (OLD_KEY, KEY)] {
        let secret = RotatedSecret {
            current: credentials(&service, current),
            previous: credentials(&service, previous),
        };
        service.answer(ResponseTemplate::new(400));
        deliver(&targets(secret), None).await.unwrap();
        let keys =
            service.requests().await.into_iter().map(|(_, mut body)| body["routing_key"].take());
        assert_eq!(keys.collect::<Vec<_>>(), [current, previous]);
    }
}

#[tokio::test]
async fn a_routing_key_is_only_in_the_body() {
    let log = Log::default();
    let (subscriber, _second) = log.subscriber();
    let _guard = tracing::subscriber::set_default(subscriber);
    let service = Service::start(ResponseTemplate::new(202)).await;
    let targets = targets(Secret(credentials(&service, KEY)));
    let mut shown = format!("{targets:?}");
    for status in [202, 200, 302, 400, 403, 429, 500] {
        service.answer(ResponseTemplate::new(status).set_body_string(KEY));
        shown += &format!("{:?}", deliver(&targets, None).await);
    }
    service.answer(ResponseTemplate::new(202).set_delay(Duration::from_secs(5)));
    let soon = Deadline::after(SystemClock.now(), Duration::from_millis(200));
    let late = targets.deliver(&digest(), None, soon).await.unwrap_err();
    assert_eq!(late.to_string(), "PagerDuty did not answer in time", "the deadline holds");
    let short = targets_with_short_key(&service);
    let unusable = deliver(&short, None).await.unwrap_err();
    assert_eq!(
        unusable.to_string(),
        "the credential of pagerduty:db cannot be used: its routing_key does not have 32 characters"
    );
    shown += &format!("{late:?} {unusable:?} {short:?}");
    let log = log.text();
    assert!(log.contains("connecting"), "the HTTP client logs: {log}");
    assert!(!(log + &shown).contains("topsecret"));
}

fn targets_with_short_key(service: &Service) -> Targets<Secret> {
    targets(Secret(credentials(service, "topsecret")))
}
