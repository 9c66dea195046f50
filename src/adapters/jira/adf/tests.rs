//! The document of any digest is one that Jira takes.

use proptest::prelude::*;

use super::*;
use crate::message::tests::any;
use crate::message::tests::digests::{all, flood_in_burst};
use crate::model::humanize::count_alerts;

#[path = "../../../../tests/support/adf.rs"]
mod checker;

fn check(digest: &Digest) -> Result<String, String> {
    checker::text(&serde_json::to_value(render(digest)).unwrap())
}

#[test]
fn a_document_says_what_every_message_says() {
    insta::assert_snapshot!(check(&flood_in_burst()).unwrap(), @r#"
    🔴 [CRITICAL] 187 alerts
    5 patterns · 4 accounts · 6 log groups · apps checkout, payments-api, cart +3 more
    23 Nov 2026, 14:15:06–14:15:47 UTC (41 s)
    ▁▁▂▂▂▃▂▄▃▃▄▄▄▄▅▅▅▆▃▅█▂ peak 23 in 2 s
    Part of a burst since 14:03:06 UTC: 1,204 alerts in 12 min 45 s, 187 since the last message
    Logs Insights
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

proptest! {
    #[test]
    fn any_digest_has_a_valid_document(digest in any::digest()) {
        let text = check(&digest);
        prop_assert!(text.is_ok(), "{text:?}");
        let alerts = count_alerts(digest.tally.alerts);
        prop_assert!(digest.tally.is_empty() || text.unwrap().contains(&alerts));
    }
}
