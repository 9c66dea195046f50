//! The limits of each chat and webhook hold for any digest. And what the tests of several adapters
//! share.

use proptest::prelude::*;
use serde_json::Value;

use super::{discord, google_chat, mattermost, teams, webhook};
use crate::config::{TeamsSettings, TeamsShape};
use crate::message::tests::any;
use crate::protocol::notify::DeliverError;

/// The meaning of an answer as text: `retry in 30 s: …`.
pub(super) fn meaning(outcome: Result<(), DeliverError>) -> String {
    match outcome {
        Ok(()) => "accepted".to_owned(),
        Err(DeliverError::Retry { after: Some(after), reason }) => {
            format!("retry in {} s: {reason}", after.as_secs())
        }
        Err(DeliverError::Retry { after: None, reason }) => format!("retry: {reason}"),
        Err(DeliverError::Denied { reason }) => format!("denied: {reason}"),
        Err(DeliverError::Refused { reason }) => format!("refused: {reason}"),
        Err(DeliverError::Deferred) => "deferred".to_owned(),
    }
}

fn chars(value: &Value) -> usize {
    value.as_str().unwrap().chars().count()
}

/// Adaptive cards refuse an empty text.
fn has_empty_text(value: &Value) -> bool {
    match value {
        Value::Object(fields) => {
            fields.get("text").is_some_and(|text| text == "") || fields.values().any(has_empty_text)
        }
        Value::Array(items) => items.iter().any(has_empty_text),
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_digest_fits_its_target(digest in any::digest()) {
        let embed = &discord::body(&digest)["embeds"][0];
        prop_assert!((1..=256).contains(&chars(&embed["title"])));
        prop_assert!((1..=4_096).contains(&chars(&embed["description"])), "{}", chars(&embed["description"]));
        prop_assert!((1..=4_096).contains(&chars(&google_chat::body("stack", &digest)["text"])));
        prop_assert!(mattermost::text(&digest).chars().count() <= 16_383);
        for shape in [TeamsShape::Message, TeamsShape::Card] {
            let body = teams::body(&digest, TeamsSettings { shape });
            prop_assert!(body.to_string().len() <= 24_576, "{}", body.to_string().len());
            prop_assert!(!has_empty_text(&body), "{body:#}");
        }
        let event = serde_json::to_value(webhook::event("stack", &digest)).unwrap();
        prop_assert!(event.to_string().len() < 20_480, "{}", event.to_string().len());
        let groups = event["data"]["groups"].as_array().unwrap().iter();
        let shown: u64 = groups.map(|group| group["alerts"].as_u64().unwrap()).sum();
        prop_assert_eq!(shown + event["data"]["other_alerts"].as_u64().unwrap(), digest.tally.alerts);
    }
}
