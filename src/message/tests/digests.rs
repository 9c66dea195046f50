//! Digests for tests, such as a flood of several patterns and a finished burst.

use std::sync::Arc;

use crate::model::alert::{Alert, AlertId, Origin};
use crate::model::burst::Burst;
use crate::model::digest::{Backlog, Digest};
use crate::model::name::Severity;
use crate::model::pattern::Pattern;
use crate::model::tally::Tally;
use crate::model::time::Timestamp;

/// 23 Nov 2026, 14:15:06 UTC.
pub(crate) const START: i64 = 1_795_443_306_000;

/// The alerts of [`flood`]: number, account, log group, start and length in the period of 42 s
/// (both in ms), text.
pub(crate) const LINES: &[(i64, &str, &str, i64, i64, &str)] = &[
    (
        74,
        "111122223333",
        "/aws/lambda/checkout",
        2_300,
        39_000,
        "2026-11-23T14:15:{ss}Z 7f3c{n} ERROR [CRITICAL] Connection pool exhausted: 50/50 in use, waited {n}ms for orders-db-1.cluster-c9x2.eu-west-1.rds.amazonaws.com:5432",
    ),
    (
        38,
        "444455556666",
        "/aws/lambda/cart",
        4_100,
        30_000,
        "2026-11-23T14:15:{ss}Z 91aa{n} ERROR [CRITICAL] Connection pool exhausted: 50/50 in use, waited {n}ms for orders-db-1.cluster-c9x2.eu-west-1.rds.amazonaws.com:5432",
    ),
    (
        48,
        "777788889999",
        "/ecs/payments-api",
        6_000,
        36_000,
        "{\"ts\":\"2026-11-23T14:15:{ss}Z\",\"level\":\"error\",\"trace\":\"4bf92f3577b34da6a3ce929d0e0e{n}\",\"msg\":\"[CRITICAL] POST /v1/orders answered 503, giving up after 3 tries\",\"order\":\"ord-{n}\",\"upstream\":\"checkout\"}",
    ),
    (
        21,
        "111122223333",
        "/ecs/order-worker",
        9_500,
        20_000,
        "[CRITICAL] could not store order {n}: deadlock detected\norg.postgresql.util.PSQLException: ERROR: deadlock detected\n  Detail: Process {n} waits for ShareLock on transaction 9{n}; blocked by process 7{n}.\n\tat org.postgresql.core.v3.QueryExecutorImpl.receiveErrorResponse(QueryExecutorImpl.java:2725)\n\tat org.postgresql.core.v3.QueryExecutorImpl.processResults(QueryExecutorImpl.java:2412)\n\tat org.postgresql.jdbc.PgStatement.executeInternal(PgStatement.java:372)\n\tat com.example.orders.Store.put(Store.java:88)",
    ),
    (
        5,
        "444455556666",
        "/aws/lambda/invoice-mailer",
        15_000,
        20_000,
        "[CRITICAL] no invoice for order {n} after 10 s, customer <!channel> was told \"try later\"",
    ),
    (
        1,
        "000011112222",
        "/aws/rds/instance/orders-db-1/postgresql",
        0,
        1,
        "2026-11-23 14:15:06 UTC::@:[4127]:[CRITICAL] could not extend file \"base/16401/24612\": No space left on device",
    ),
];

pub(crate) fn alert(account: &str, log_group: &str, at: i64, message: String) -> Alert {
    let origin = Origin::new(
        account,
        log_group,
        "2026/11/23/[$LATEST]5f0c1e",
        Some("eu-west-1"),
        "shardId-000000000000:1",
    );
    Alert {
        id: AlertId::new(&at.to_string(), &origin),
        timestamp: Timestamp::from_millis(at),
        marker: "[CRITICAL]".into(),
        pattern: Pattern::of(&message, "[CRITICAL]"),
        message,
        left_out: 0,
        context: None,
        statement: None,
        routes: ["critical".parse().unwrap()].into(),
        severities: [].into(),
        account_id: account.into(),
        region: origin.region.clone(),
        origin: Arc::new(origin),
    }
}

/// A database runs out of disk space, and the services that use it report errors.
pub(crate) fn flood() -> Tally {
    let mut alerts = Vec::new();
    for (count, account, log_group, start, width, text) in LINES {
        for n in 0..*count {
            // Denser towards the end, as retries pile up.
            let at = START + start + width - width * (count - n) * (count - n) / (count * count);
            let second = format!("{:02}", (at - START) / 1000 + 6);
            let message =
                text.replace("{ss}", &second).replace("{n}", &(1000 + 37 * n).to_string());
            alerts.push(alert(account, log_group, at, message));
        }
    }
    Tally::of(&alerts)
}

pub(crate) fn digest(tally: Tally) -> Digest {
    Digest {
        severity: Severity::Critical,
        tally,
        ..Digest::new(
            &"critical".parse().unwrap(),
            &"slack:app-alerts".parse().unwrap(),
            None,
            (41, 41),
            Tally::default(),
        )
    }
}

pub(crate) fn burst(minutes: i64, alerts: u64) -> Burst {
    Burst {
        number: 7,
        since: Timestamp::from_millis(START - minutes * 60_000),
        until: Timestamp::from_millis(START + 45_000),
        alerts,
    }
}

/// Every digest below, by name.
pub(crate) fn all() -> Vec<(&'static str, Digest)> {
    vec![
        ("flood", flood_in_burst()),
        ("single", single()),
        ("late", late()),
        ("late and over", Digest { ends_burst: true, ..late() }),
        ("patterns", twenty_patterns()),
        ("patterns, some unknown", patterns_beyond_the_tally()),
        ("over", burst_over()),
        ("over, after a mute", Digest { muted: 1, ..burst_over() }),
        ("nothing", digest(Tally::default())),
    ]
}

pub(crate) fn flood_in_burst() -> Digest {
    Digest { burst: Some(burst(12, 1_204)), ..digest(flood()) }
}

pub(crate) fn burst_over() -> Digest {
    Digest { burst: Some(burst(12, 1_204)), ends_burst: true, ..digest(Tally::default()) }
}

pub(crate) fn single() -> Digest {
    digest(Tally::of([&no_space(START)]))
}

pub(crate) fn no_space(at: i64) -> Alert {
    let (_, account, log_group, ..) = LINES[5];
    alert(account, log_group, at, "[CRITICAL] No space left on device".to_owned())
}

/// Three windows in one message to a fallback, after a mute.
pub(crate) fn late() -> Digest {
    let since = Timestamp::from_millis(START - 47 * 60_000);
    Digest {
        target: "sns:oncall".parse().unwrap(),
        burst: Some(burst(12, 1_204)),
        backlog: Some(Backlog { windows: 3, since }),
        muted: 1_042,
        escalated: Some(format!("slack:app-alerts has not taken a message since {}", since.iso())),
        ..single()
    }
}

pub(crate) fn twenty_patterns() -> Digest {
    const WORDS: [&str; 12] = [
        "disk", "queue", "cache", "login", "mail", "search", "ingest", "export", "proxy", "hook",
        "sync", "index",
    ];
    let pairs = WORDS
        .iter()
        .flat_map(|a| WORDS.iter().map(move |b| format!("[CRITICAL] {a} lost {b}")))
        .take(20);
    let alerts = pairs.enumerate().map(|(n, line)| alert("1", "/ecs/a", START + n as i64, line));
    let late = alert("1", "/ecs/a", START + 5_000, "[CRITICAL] disk lost disk".to_owned());
    let tallies: Vec<_> = alerts.chain([late]).map(|alert| Tally::of([&alert])).collect();
    digest(Tally::sum(&tallies))
}

/// Five more alerts, whose patterns the tally gave up.
pub(crate) fn patterns_beyond_the_tally() -> Digest {
    let digest = twenty_patterns();
    let tally = Tally { other: 5, alerts: digest.tally.alerts + 5, ..digest.tally.clone() };
    Digest { epochs: (39, 41), tally, ..digest }
}
