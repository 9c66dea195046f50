//! The document of any digest is one that Jira takes.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::message::tests::any;
use crate::message::tests::digests::{all, flood_in_burst};

/// Checks a node as Jira does. Returns its text, one line per paragraph.
fn read(node: &Value) -> Result<String, String> {
    let fields: Vec<&str> =
        node.as_object().ok_or("no object")?.keys().map(String::as_str).collect();
    let kind = node["type"].as_str().ok_or("a node without a type")?;
    let (expected, children): (&[&str], &[&str]) = match kind {
        "doc" => (&["content", "type", "version"], &["paragraph", "codeBlock", "bulletList"]),
        "paragraph" | "codeBlock" => (&["content", "type"], &["text"]),
        "bulletList" => (&["content", "type"], &["listItem"]),
        "listItem" => (&["content", "type"], &["paragraph"]),
        "text" => return text_of(node, &fields),
        _ => return Err(format!("unknown node {kind}")),
    };
    let mut fields = fields;
    fields.sort_unstable();
    if fields != expected {
        return Err(format!("{kind} with fields {fields:?}"));
    }
    let content = node["content"].as_array().filter(|content| !content.is_empty());
    let content = content.ok_or(format!("{kind} without content"))?;
    let mut text = String::new();
    for child in content {
        let child_kind = child["type"].as_str().unwrap_or_default();
        if !children.contains(&child_kind) {
            return Err(format!("{child_kind} in {kind}"));
        }
        if kind == "codeBlock" && child.get("marks").is_some() {
            return Err("marks in codeBlock".to_owned());
        }
        text += &read(child)?;
    }
    let end = if matches!(kind, "paragraph" | "codeBlock") { "\n" } else { "" };
    Ok(text + end)
}

fn text_of(node: &Value, fields: &[&str]) -> Result<String, String> {
    if fields.iter().any(|field| !["marks", "text", "type"].contains(field)) {
        return Err(format!("text with fields {fields:?}"));
    }
    let text = node["text"].as_str().filter(|text| !text.is_empty()).ok_or("an empty text")?;
    let marks =
        node.get("marks").map_or(Some(&[][..]), |marks| marks.as_array().map(Vec::as_slice));
    let marks = marks.ok_or("marks that are no list")?;
    if node.get("marks").is_some() && marks.is_empty() {
        return Err("an empty list of marks".to_owned());
    }
    let kinds: Vec<&str> = marks.iter().map(|mark| mark["type"].as_str().unwrap_or("?")).collect();
    match kinds[..] {
        [] | ["strong"] | ["code"] => {}
        ["link"] => {
            let href = marks[0]["attrs"]["href"].as_str().unwrap_or_default();
            let url = reqwest::Url::parse(href).map_err(|bad| format!("{href:?} {bad}"))?;
            if url.scheme() != "https" {
                return Err(format!("a link to {href:?}"));
            }
        }
        _ => return Err(format!("marks {kinds:?}")),
    }
    Ok(text.to_owned())
}

fn check(digest: &Digest) -> Result<String, String> {
    let json = serde_json::to_value(render(digest)).unwrap();
    if json["version"] != 1 {
        return Err("version".to_owned());
    }
    let bytes = json.to_string().len();
    if bytes > ADF_BYTES_MAX {
        return Err(format!("{bytes} bytes"));
    }
    read(&json)
}

#[test]
fn a_document_says_what_every_message_says() {
    insta::assert_snapshot!(check(&flood_in_burst()).unwrap(), @r#"
    🔴 [CRITICAL] 187 alerts
    5 patterns · 4 accounts · 6 log groups · apps checkout, payments-api, cart +3 more
    23 Nov 2026, 14:15:06–14:15:47 UTC (41 s)
    ▁▁▂▂▂▃▂▄▃▃▄▄▄▄▅▅▅▆▃▅█▂ peak 23 in 2 s
    Part of a burst since 14:03:06 UTC: 1,204 alerts in 12 min 45 s, 187 since the last message
    112 alerts in 38 s from 14:15:08 · apps checkout, cart · accounts 111122223333, 444455556666 · 2 log groups
    2026-11-23T14:15:08Z 7f3c1000 ERROR [CRITICAL] Connection pool exhausted: 50/50 in use, waited 1000ms for orders-db-1.cluster-c9x2.eu-west-1.rds.amazonaws.com:5432
    CloudWatch · account 111122223333 · eu-west-1 · /aws/lambda/checkout
    48 alerts in 35 s from 14:15:12 · app payments-api
    [CRITICAL] POST /v1/orders answered 503, giving up after 3 tries
    {"ts":"2026-11-23T14:15:12Z","level":"error","trace":"4bf92f3577b34da6a3ce929d0e0e1000","msg":"[CRITICAL] POST /v1/orders answered 503, giving up after 3 tries","order":"ord-1000","upstream":"checkout"}
    CloudWatch · account 777788889999 · eu-west-1 · /ecs/payments-api
    21 alerts in 19 s from 14:15:15 · app order-worker
    [CRITICAL] could not store order 1000: deadlock detected
    org.postgresql.util.PSQLException: ERROR: deadlock detected
      Detail: Process 1000 waits for ShareLock on transaction 91000; blocked by process 71000.
    … 306 bytes more
    CloudWatch · account 111122223333 · eu-west-1 · /ecs/order-worker
    5 alerts in 19 s from 14:15:21 · app invoice-mailer
    [CRITICAL] no invoice for order 1000 after 10 s, customer <!channel> was told "try later"
    CloudWatch · account 444455556666 · eu-west-1 · /aws/lambda/invoice-mailer
    1 alert at 14:15:06, first to occur · app orders-db-1
    2026-11-23 14:15:06 UTC::@:[4127]:[CRITICAL] could not extend file "base/16401/24612": No space left on device
    CloudWatch · account 000011112222 · eu-west-1 · /aws/rds/instance/orders-db-1/postgresql
    route critical · epoch 41
    "#);
}

#[test]
fn every_kind_of_digest_has_a_document() {
    for (name, digest) in all() {
        let text = check(&digest).unwrap_or_else(|bad| panic!("{name}: {bad}"));
        assert!(text.contains("route critical"), "{name}: {text}");
    }
}

/// The check itself can fail.
#[test]
fn a_document_that_jira_refuses_is_found() {
    let doc = |content: Value| json!({"type": "doc", "version": 1, "content": content});
    let paragraph = |content: Value| doc(json!([{"type": "paragraph", "content": content}]));
    let text = |text: &str, marks: Value| json!([{"type": "text", "text": text, "marks": marks}]);
    let cases = [
        (doc(json!([])), "doc without content"),
        (doc(json!([{"type": "table"}])), "table in doc"),
        (paragraph(json!([])), "paragraph without content"),
        (paragraph(json!([{"type": "text", "text": ""}])), "an empty text"),
        (paragraph(text("x", json!([]))), "an empty list of marks"),
        (
            paragraph(text("x", json!([{"type": "code"}, {"type": "strong"}]))),
            "marks [\"code\", \"strong\"]",
        ),
        (
            paragraph(text("x", json!([{"type": "link", "attrs": {"href": "javascript:x"}}]))),
            "a link to \"javascript:x\"",
        ),
        (
            doc(json!([{"type": "codeBlock", "content": text("x", json!([{"type": "code"}]))}])),
            "marks in codeBlock",
        ),
    ];
    for (document, expected) in cases {
        assert_eq!(read(&document), Err(expected.to_owned()), "{document}");
    }
}

proptest! {
    #[test]
    fn any_digest_has_a_valid_document(digest in any::digest()) {
        let text = check(&digest);
        prop_assert!(text.is_ok(), "{text:?}");
        let alerts = crate::model::humanize::count_alerts(digest.tally.alerts);
        prop_assert!(digest.tally.is_empty() || text.unwrap().contains(&alerts));
    }
}
