//! The body of a new issue, and the limits of its fields.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::config::IssuePer;
use crate::message::tests::any;
use crate::message::tests::digests::{digest, flood, late, single};
use crate::model::name::Severity;
use std::time::Duration;

fn settings() -> JiraSettings {
    JiraSettings {
        project: "PAY".to_owned(),
        issue_type: "Bug".to_owned(),
        priority: [(Severity::Critical, "Highest".to_owned())].into(),
        labels: vec!["oncall".to_owned()],
        fields: Map::from_iter([
            ("components".to_owned(), json!([{"name": "api"}])),
            ("summary".to_owned(), json!("ours wins")),
        ]),
        issue_per: IssuePer::Burst,
        done: "Done".to_owned(),
        reopen: "To Do".to_owned(),
        reopen_within: Duration::ZERO,
    }
}

fn body(digest: &Digest) -> Value {
    serde_json::to_value(IssueBody::of_burst(&settings(), "prod", digest)).unwrap()
}

#[test]
fn an_issue_has_the_fields_of_the_configuration_and_ours() {
    let mut body = body(&Digest { incident: Some(7), ..single() });
    body["fields"]["description"]["content"] = json!("…");
    insta::assert_snapshot!(serde_json::to_string_pretty(&body).unwrap(), @r#"
    {
      "fields": {
        "components": [
          {
            "name": "api"
          }
        ],
        "description": {
          "content": "…",
          "type": "doc",
          "version": 1
        },
        "issuetype": {
          "name": "Bug"
        },
        "labels": [
          "stentor",
          "prod/critical",
          "prod/critical/7",
          "oncall"
        ],
        "priority": {
          "name": "Highest"
        },
        "project": {
          "key": "PAY"
        },
        "summary": "[CRITICAL] No space left on device"
      },
      "properties": [
        {
          "key": "stentor",
          "value": {
            "alerts": 1,
            "epoch": 41,
            "since": 1795443306000,
            "until": 1795443306000
          }
        }
      ]
    }
    "#);
    let quiet = self::body(&Digest { severity: Severity::Info, ..single() });
    assert!(quiet["fields"].get("priority").is_none(), "Jira's own default");
}

#[test]
fn a_title_has_no_number_that_would_soon_be_wrong() {
    let title = |digest: &Digest| body(digest)["fields"]["summary"].as_str().unwrap().to_owned();
    insta::assert_snapshot!(title(&single()), @"[CRITICAL] No space left on device");
    insta::assert_snapshot!(title(&digest(flood())), @"[CRITICAL] Connection pool exhausted: 50/50 in use, waited 1000ms for orders-db-1.cluster-c9x2.eu-west-1.rds.amazonaws.com:5432 and others on critical");
    insta::assert_snapshot!(title(&late()), @"[CRITICAL] No space left on device");
}

#[test]
fn an_entry_is_the_same_for_the_same_alerts_only() {
    let entry = LastEntry::of(&single());
    assert_eq!(LastEntry::of(&single()), entry);
    let json = serde_json::to_value(&entry).unwrap();
    assert_eq!(serde_json::from_value::<LastEntry>(json).unwrap(), entry, "kept by Jira");
    let more = Digest { epochs: (41, 42), ..digest(flood()) };
    let others = [Digest { epochs: (40, 41), ..single() }, more];
    for other in others {
        assert_ne!(LastEntry::of(&other), entry);
    }
}

proptest! {
    #[test]
    fn any_digest_has_an_issue_within_the_limits(digest in any::digest(), stack in any::<String>()) {
        let body = serde_json::to_value(IssueBody::of_burst(&settings(), &stack, &digest)).unwrap();
        let summary = body["fields"]["summary"].as_str().unwrap();
        prop_assert!((1..=255).contains(&summary.chars().count()) && !summary.contains(char::is_control), "{summary:?}");
        let labels = body["fields"]["labels"].as_array().unwrap();
        for label in labels.iter().map(|label| label.as_str().unwrap()) {
            prop_assert!(label.chars().count() <= 255 && !label.contains(char::is_whitespace), "{label:?}");
        }
        prop_assert!(body["fields"]["description"].to_string().chars().count() <= 32_767);
        prop_assert!(body["properties"][0]["value"].to_string().len() < 1_000);
    }
}
