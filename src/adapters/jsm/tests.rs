//! The requests for any digest, and the meaning of each answer.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::*;
use crate::adapters::incident::Incidents;
use crate::adapters::tests::meaning;
use crate::message::tests::{any, digests};
use crate::model::burst::Burst;
use crate::model::tally::Tally;

const KEY: &str = "5f7e2b1c-topsecret-0d4a";

fn integration() -> AlertIntegration {
    AlertIntegration::parse(&Credential::new(json!(KEY))).unwrap()
}

fn settings() -> JsmSettings {
    let responder = |kind, name: &str| Responder { kind, name: name.to_owned() };
    let responders = vec![
        responder(ResponderKind::Team, "db"),
        responder(ResponderKind::User, "ann@example.com"),
    ];
    JsmSettings { responders, tags: vec!["prod".to_owned()] }
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

/// The URLs and the bodies of the requests.
fn sent(digest: &Digest, joins: Option<&str>) -> Vec<(String, Value)> {
    let request = |request: &AlertRequest| {
        let request = integration().request(request);
        let path = request.url.to_string().replacen(URL_DEFAULT, "", 1);
        (path, serde_json::from_slice(&request.body).unwrap())
    };
    requests("prod", digest, joins, &settings()).iter().map(request).collect()
}

#[test]
fn the_first_digest_creates_an_alert() {
    let [(path, mut body)] = <[_; 1]>::try_from(sent(&digest(), None)).unwrap();
    assert_eq!(path, "/v2/alerts");
    let description = body["description"].take();
    assert!(description.as_str().unwrap().contains("deadlock detected"), "{description}");
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap(), @r#"
    {
      "alias": "prod:critical:38:critical",
      "description": null,
      "details": {
        "accounts": "000011112222, 111122223333, 444455556666, 777788889999",
        "alerts": "187",
        "apps": "cart, checkout, invoice-mailer, order-worker, orders-db-1, payments-api",
        "first": "2026-11-23T14:15:06.000Z",
        "incident": "prod/critical/38",
        "last": "2026-11-23T14:15:47.985Z",
        "log_groups": "/aws/lambda/cart, /aws/lambda/checkout, /aws/lambda/invoice-mailer, /aws/rds/instance/orders-db-1/postgresql, /ecs/order-worker, /ecs/payments-api",
        "route": "critical",
        "severity": "critical",
        "stack": "prod"
      },
      "entity": "checkout",
      "message": "🔴 [CRITICAL] 187 alerts · checkout: Connection pool exhausted: 50/50 in use, waited 1000ms for orders-db-1.cluster-c9x2.eu-…",
      "priority": "P1",
      "responders": [
        {
          "name": "db",
          "type": "team"
        },
        {
          "type": "user",
          "username": "ann@example.com"
        }
      ],
      "source": "Stentor prod",
      "tags": [
        "prod"
      ]
    }
    "#);
}

#[test]
fn a_later_digest_also_becomes_a_note_and_the_end_closes_the_alert() {
    let known = Incidents::default().after(&digest()).reference();
    let alias = "prod:critical:38:critical";
    let [(_, create), (path, note)] = <[_; 2]>::try_from(sent(&digest(), Some(&known))).unwrap();
    assert_eq!(create["alias"], alias);
    assert_eq!(path, format!("/v2/alerts/{alias}/notes?identifierType=alias"));
    assert_eq!(note["note"], create["description"]);
    let ends = sent(&end(), Some(&known));
    let over = json!({"note": "✅ Over: 187 alerts on critical in 0 ms", "source": "Stentor prod"});
    assert_eq!(ends, [(format!("/v2/alerts/{alias}/close?identifierType=alias"), over)]);
    assert_eq!(sent(&end(), None).len(), 4, "nothing is known");
    let mild = Incidents::default().after(&Digest { severity: Severity::Info, ..digest() });
    assert_eq!(sent(&digest(), Some(&mild.reference())).len(), 1, "a worse severity");
    let replayed = Digest { ends_burst: false, ..end() };
    assert!(sent(&replayed, None).is_empty());
}

#[test]
fn a_credential_is_an_api_key_and_perhaps_a_host() {
    let parse = |credential| AlertIntegration::parse(&Credential::new(credential));
    let url = |credential| parse(credential).unwrap().url.to_string();
    assert_eq!(url(json!(KEY)), "https://api.atlassian.com/jsm/ops/integration/v2/alerts");
    for host in ["https://api.eu.opsgenie.com", "https://api.eu.opsgenie.com/v2/alerts/"] {
        let credential = json!({"api_key": KEY, "url": host});
        let expected = "https://api.eu.opsgenie.com/v2/alerts";
        assert_eq!(url(credential).trim_end_matches('/'), expected);
    }
    let cases = [
        (json!({"key": KEY}), "expected an API key, or an object with an api_key"),
        (json!(""), "its api_key is not one word of ASCII characters"),
        (json!("a\nb"), "its api_key is not one word of ASCII characters"),
        (json!({"api_key": KEY, "url": "ftp://x"}), "its url must be an https:// URL"),
    ];
    for (credential, problem) in cases {
        assert_eq!(parse(credential).unwrap_err().to_string(), problem);
    }
    let request = integration().request(&requests("p", &digest(), None, &settings())[0]);
    assert_eq!(request.headers["authorization"], format!("GenieKey {KEY}"));
    let shown = format!("{:?} {request:?} {:?}", integration(), request.headers);
    assert!(!shown.contains(KEY) && shown.contains("api.atlassian.com"), "{shown}");
}

#[test]
fn every_answer_has_its_class() {
    let accepted = r#"{"result":"Request will be processed","took":0.302,"requestId":"43a29c5c-3dbf-4fa4-9c26-f4f71023e120"}"#;
    let invalid = r#"{"message":"Request body is not processable. Please check the errors.","errors":{"message":"Message can not be empty."},"took":0.0,"requestId":"x"}"#;
    let foreign = |status: u16| {
        format!(
            "retry: the answer has status {status}, which Jira Service Management does not send: check the URL, and any proxy on the way"
        )
    };
    let plain =
        |class: &str, status: u16| format!("{class}: Jira Service Management answered {status}");
    let cases = [
        (202, None, accepted, "accepted".to_owned()),
        (202, None, "", "accepted".to_owned()),
        (200, None, accepted, "accepted".to_owned()),
        (200, None, "<html>Sign in</html>", foreign(200)),
        (201, None, accepted, foreign(201)),
        (302, None, "", foreign(302)),
        (
            422,
            None,
            invalid,
            "refused: Jira Service Management answered 422: Request body is not processable. Please check the errors.; message: Message can not be empty.".to_owned(),
        ),
        (400, None, "", plain("refused", 400)),
        (401, None, r#"{"message":"Key format is not valid!","took":0.0,"requestId":"x"}"#, "denied: Jira Service Management answered 401: Key format is not valid!".to_owned()),
        (403, None, "", plain("denied", 403)),
        (404, None, "", plain("denied", 404)),
        (429, None, "", plain("retry", 429)),
        (429, Some(60), "", plain("retry in 60 s", 429)),
        (503, None, "<html>", plain("retry", 503)),
    ];
    for (status, after, body, expected) in cases {
        let retry_after = after.map(std::time::Duration::from_secs);
        let answer = HttpAnswer { status, retry_after, body: body.as_bytes().to_vec() };
        let class = meaning(integration().outcome(&answer));
        assert_eq!(class, expected, "{status}");
    }
    let body = json!({"message": format!("bad {KEY}"), "errors": {}}).to_string().into_bytes();
    let answer = HttpAnswer { status: 401, retry_after: None, body };
    let reason = integration().outcome(&answer).unwrap_err().to_string();
    assert!(reason.ends_with("bad …"), "{reason}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn every_digest_fits(
        digest in any::digest(), incident in proptest::option::of(proptest::num::u64::ANY),
        stack in "[a-zA-Z][a-zA-Z0-9-]{0,127}",
        joins in select(vec![None, Some(r#"{"open":["info","critical"]}"#), Some("")]),
    ) {
        let digest = Digest { incident, ..digest };
        let mut aliases = BTreeSet::new();
        for request in requests(&stack, &digest, joins, &settings()) {
            let sent = integration().request(&request);
            let body: Value = serde_json::from_slice(&sent.body).unwrap();
            let chars = |name: &str| body[name].as_str().map_or(0, |text| text.chars().count());
            prop_assert!((1..=100).contains(&chars("source")));
            let AlertRequest::Create(alert) = request else {
                let (AlertRequest::Note(note) | AlertRequest::Close(note)) = request else { unreachable!() };
                prop_assert!((1..=25_000).contains(&chars("note")));
                let segments: Vec<&str> = sent.url.path_segments().unwrap().collect();
                prop_assert_eq!(segments[segments.len() - 2], &*note.alias, "it needs no encoding");
                aliases.insert(note.alias);
                continue;
            };
            aliases.insert(alert.alias);
            prop_assert!((1..=130).contains(&chars("message")));
            prop_assert!((1..=15_000).contains(&chars("description")));
            prop_assert!(chars("entity") <= 512);
            let details = body["details"].as_object().unwrap();
            let details = details.iter().map(|(name, text)| name.len() + text.as_str().unwrap().len());
            prop_assert!(details.sum::<usize>() <= 8_000);
        }
        for alias in aliases {
            prop_assert!(alias.len() <= 250 && !alias.contains('/'), "{alias}");
        }
    }
}
