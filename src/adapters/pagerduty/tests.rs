//! The requests for any digest, and the meaning of each answer.

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::adapters::incident::Incidents;
use crate::adapters::tests::meaning;
use crate::message::tests::{any, digests};
use crate::model::burst::Burst;
use crate::model::tally::Tally;

const KEY: &str = "R0ut1ngK3yR0ut1ngK3yR0ut1ngK3y00";

fn integration() -> Integration {
    Integration::parse(&Credential::new(json!(KEY))).unwrap()
}

fn digest() -> Digest {
    Digest { incident: Some(38), ..digests::digest(digests::flood()) }
}

/// The end of the same burst.
fn end() -> Digest {
    let burst = Burst { number: 38, alerts: 187, ..Burst::default() };
    let over = digests::digest(Tally::default());
    Digest { burst: Some(burst), ends_burst: true, incident: Some(38), ..over }
}

fn sent(digest: &Digest, joins: Option<&str>) -> Vec<Value> {
    let body = |event: &PagerDutyEvent| {
        serde_json::from_slice(&integration().request(event).body).unwrap()
    };
    events("prod", digest, joins).iter().map(body).collect()
}

#[test]
fn a_trigger_says_what_where_and_how_bad() {
    let [mut body] = <[Value; 1]>::try_from(sent(&digest(), None)).unwrap();
    let details = body["payload"]["custom_details"].take();
    assert_eq!(details["alerts"], 187);
    assert_eq!(details["incident"], "prod/critical/38");
    let links = body["links"].take();
    assert_eq!(links.as_array().unwrap().len(), 6);
    assert_eq!(links[0]["text"], "Logs Insights");
    insta::assert_snapshot!(
        links[1]["text"].as_str().unwrap(),
        @"CloudWatch: account 111122223333 · eu-west-1 · /aws/lambda/checkout"
    );
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap(), @r#"
    {
      "client": "Stentor",
      "dedup_key": "prod/critical/38/critical",
      "event_action": "trigger",
      "links": null,
      "payload": {
        "class": "[CRITICAL] Connection pool exhausted: <n>/<n> in use, waited <n> for <host>",
        "component": "checkout",
        "custom_details": null,
        "group": "critical",
        "severity": "critical",
        "source": "111122223333 eu-west-1 /aws/lambda/checkout",
        "summary": "🔴 [CRITICAL] 187 alerts · checkout: Connection pool exhausted: 50/50 in use, waited 1000ms for orders-db-1.cluster-c9x2.eu-west-1.rds.amazonaws.com:5432",
        "timestamp": "2026-11-23T14:15:06.000Z"
      },
      "routing_key": "R0ut1ngK3yR0ut1ngK3yR0ut1ngK3y00"
    }
    "#);
}

#[test]
fn a_worse_severity_has_its_own_incident_and_the_end_resolves_both() {
    let mild = Digest { severity: Severity::Warning, ..digest() };
    let known = Incidents::default().after(&mild).reference();
    let keys = |digest: &Digest, joins| -> Vec<Value> {
        sent(digest, joins).into_iter().map(|mut body| body["dedup_key"].take()).collect()
    };
    assert_eq!(keys(&mild, None), ["prod/critical/38/warning"]);
    assert_eq!(keys(&mild, Some(&known)), ["prod/critical/38/warning"]);
    assert_eq!(keys(&digest(), Some(&known)), ["prod/critical/38/critical"]);
    let both = Incidents::read(Some(&known)).after(&digest()).reference();
    assert_eq!(sent(&mild, Some(&both))[0]["payload"]["severity"], "critical");
    let ends = ["prod/critical/38/warning", "prod/critical/38/critical"];
    assert_eq!(keys(&end(), Some(&both)), ends);
    assert_eq!(
        sent(&end(), Some(&known)),
        [json!({"routing_key": KEY, "event_action": "resolve", "dedup_key": ends[0]})]
    );
    assert_eq!(sent(&end(), None).len(), 4, "nothing is known");
}

#[test]
fn an_empty_digest_reports_nothing() {
    let replayed = Digest { ends_burst: false, incident: None, burst: None, ..end() };
    assert!(sent(&replayed, None).is_empty());
    let without_burst = Digest { incident: None, ..digest() };
    assert_eq!(sent(&without_burst, None)[0]["dedup_key"], "prod/critical/41-41/critical");
}

#[test]
fn a_credential_is_a_key_of_32_characters() {
    let parse = |credential| Integration::parse(&Credential::new(credential));
    let url = |credential| parse(credential).unwrap().url.to_string();
    assert_eq!(url(json!(KEY)), "https://events.pagerduty.com/v2/enqueue");
    for region in ["https://events.eu.pagerduty.com", "https://events.eu.pagerduty.com/v2/enqueue"]
    {
        let credential = json!({"routing_key": KEY, "url": region});
        assert_eq!(url(credential), "https://events.eu.pagerduty.com/v2/enqueue");
    }
    let cases = [
        (json!({"key": KEY}), "expected a routing key, or an object with a routing_key"),
        (json!([KEY]), "expected a routing key, or an object with a routing_key"),
        (json!(&KEY[1..]), "its routing_key does not have 32 characters"),
        (
            json!({"routing_key": KEY, "url": "http://events.example"}),
            "its url must be an https:// URL",
        ),
    ];
    for (credential, problem) in cases {
        assert_eq!(parse(credential).unwrap_err().to_string(), problem);
    }
    let shown =
        format!("{:?} {:?}", integration(), integration().request(&events("p", &end(), None)[0]));
    assert!(!shown.contains(KEY) && shown.contains("events.pagerduty.com"), "{shown}");
}

#[test]
fn every_answer_has_its_class() {
    let invalid = r#"{"status":"invalid event","message":"Event object is invalid","errors":["Length of 'routing_key' is incorrect (should be 32 characters)"]}"#;
    let accepted = r#"{"status":"success","message":"Event processed","dedup_key":"k"}"#;
    let foreign = |status: u16| {
        format!(
            "retry: the answer has status {status}, which PagerDuty does not send: check the URL, and any proxy on the way"
        )
    };
    let cases = [
        (202, None, accepted, "accepted".to_owned()),
        (202, None, "", "accepted".to_owned()),
        (200, None, accepted, foreign(200)),
        (204, None, "", foreign(204)),
        (302, None, "", foreign(302)),
        (
            400,
            None,
            invalid,
            "denied: PagerDuty answered 400: Event object is invalid: Length of 'routing_key' is incorrect (should be 32 characters)".to_owned(),
        ),
        (400, None, "<html>", "denied: PagerDuty answered 400".to_owned()),
        (403, None, "", "denied: PagerDuty answered 403".to_owned()),
        (404, None, "", "denied: PagerDuty answered 404".to_owned()),
        (413, None, "", "refused: PagerDuty answered 413".to_owned()),
        (
            429,
            None,
            r#"{"status":"throttle exceeded","message":"Requests for this service are arriving too quickly."}"#,
            "retry in 30 s: PagerDuty answered 429: Requests for this service are arriving too quickly.".to_owned(),
        ),
        (429, Some(90), "", "retry in 90 s: PagerDuty answered 429".to_owned()),
        (500, None, "", "retry: PagerDuty answered 500".to_owned()),
        (503, Some(7), "", "retry in 7 s: PagerDuty answered 503".to_owned()),
    ];
    for (status, after, body, expected) in cases {
        let retry_after = after.map(Duration::from_secs);
        let answer = HttpAnswer { status, retry_after, body: body.as_bytes().to_vec() };
        let class = meaning(integration().outcome(&answer));
        assert_eq!(class, expected, "{status}");
    }
}

#[test]
fn a_reason_has_no_routing_key_and_one_line() {
    let body = json!({"message": format!("{KEY}\u{1b}[2J\n"), "errors": ["x".repeat(999)]});
    let body = body.to_string().into_bytes();
    let answer = HttpAnswer { status: 400, retry_after: None, body };
    let reason = integration().outcome(&answer).unwrap_err().to_string();
    assert!(!reason.contains(KEY) && reason.len() < 300, "{reason}");
    assert!(!reason.contains(char::is_control), "{reason}");
    let body = br#"{"message":"","errors":["", "no"]}"#.to_vec();
    let answer = HttpAnswer { status: 400, retry_after: None, body };
    let reason = integration().outcome(&answer).unwrap_err().to_string();
    assert!(reason.ends_with("400: no"), "{reason}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// developer.pagerduty.com/docs/events-api-v2/trigger-events
    #[test]
    fn every_digest_fits(
        digest in any::digest(), incident in proptest::option::of(proptest::num::u64::ANY),
        stack in "[a-zA-Z][a-zA-Z0-9-]{0,127}",
        joins in select(vec![None, Some(r#"{"open":["info","critical"]}"#), Some("")]),
    ) {
        let digest = Digest { incident, ..digest };
        for event in events(&stack, &digest, joins) {
            let body = integration().request(&event).body;
            prop_assert!(body.len() <= 512_000, "{} bytes", body.len());
            let body: Value = serde_json::from_slice(&body).unwrap();
            let chars = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
            prop_assert!((1..=255).contains(&chars(&body["dedup_key"])));
            let payload = &body["payload"];
            if body["event_action"] == "resolve" {
                prop_assert!(digest.tally.is_empty());
                continue;
            }
            prop_assert!((1..=1_024).contains(&chars(&payload["summary"])));
            for required in ["source", "group"] {
                prop_assert!((1..=255).contains(&chars(&payload[required])), "{required}");
            }
            let severity: Severity = payload["severity"].as_str().unwrap().parse().unwrap();
            prop_assert!(severity >= digest.severity);
            let details = &payload["custom_details"];
            let groups = details["groups"].as_array().unwrap().iter();
            let shown: u64 = groups.map(|group| group["alerts"].as_u64().unwrap()).sum();
            prop_assert_eq!(shown + details["other_alerts"].as_u64().unwrap(), digest.tally.alerts);
            let links = body["links"].as_array().unwrap();
            prop_assert!(links.len() <= LINKS_MAX);
            for link in links {
                prop_assert!(link["href"].as_str().unwrap().starts_with("https://"));
            }
        }
    }
}
