//! The content of any digest, and the text that a terminal or a mail shows of it.

use proptest::prelude::*;

use super::compose::{Budget, compose};
use super::content::Content;
use super::plain;
use super::subject::subject;
use crate::model::digest::{Digest, HeldAlerts};
use crate::model::history::{Mark, News};
use crate::model::name::Severity;
use crate::model::pattern::pattern_id;
use crate::model::tally::{AlertCount, Tally, Ungrouped};
use crate::model::time::Timestamp;
use digests::{
    burst_over, flood_in_burst, late, patterns_beyond_the_tally, single, twenty_patterns,
};

pub(crate) mod any;
pub(crate) mod digests;

fn content(digest: &Digest) -> Content {
    compose(digest, &Budget::UNLIMITED)
}

fn view(digest: &Digest) -> String {
    plain::view(&content(digest), 100, false)
}

fn shown(digest: &Digest) -> String {
    format!("{}\n\n{}", content(digest).notification, view(digest))
}

/// The digest, in which the smallest group is new and the next ones are back and a spike.
fn with_news(digest: &Digest) -> Digest {
    let mut digest = digest.clone();
    let kinds = [
        News::New,
        News::Back { silent_ms: 12 * 24 * 3_600_000 + 5 },
        News::Spike { alerts_in_hour: 347, usual: 10 },
    ];
    let patterns: Vec<String> =
        digest.groups().into_iter().rev().map(|(pattern, _)| pattern_id(pattern)).collect();
    digest.tally.news = patterns.into_iter().zip(kinds).collect();
    digest
}

#[test]
fn news_come_first_and_say_what_they_are() {
    let before = Timestamp::from_millis(digests::START - 252_000);
    let mark = Some(Mark { at: before, text: "deploy v42".to_owned() });
    let shown = view(&Digest { mark, ..with_news(&flood_in_burst()) });
    let lines = shown.lines().filter(|line| {
        ["new", "back", "usual rate", "deploy"].iter().any(|word| line.contains(word))
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
      1 pattern is new, 1 is back, 1 is far above the usual rate · 4 min 12 s after deploy v42
      1 alert at 14:15:06, first to occur · new · app orders-db-1
      5 alerts in 19 s from 14:15:21 · back after 12 days · app invoice-mailer
      21 alerts in 19 s from 14:15:15 · 34 times the usual rate · app order-worker
    ");
    let first = content(&with_news(&flood_in_burst()));
    assert!(first.notification.contains("No space left on device"), "{}", first.notification);
    let after = Timestamp::from_millis(digests::START + 1_000);
    let mark = Some(Mark { at: after, text: "flag <on>".to_owned() });
    let only = view(&Digest { mark, ..with_news(&single()) });
    assert!(only.contains("New on critical · flag <on> at 14:15:07 UTC"), "{only}");
    // A pattern without a sample.
    let mut digest = twenty_patterns();
    let (pattern, group) = digest.tally.groups.pop_last().unwrap();
    let count = AlertCount { alerts: group.alerts, span: group.span };
    digest.tally.ungrouped = Ungrouped([(pattern.clone(), count)].into());
    digest.tally.news = [(pattern_id(&pattern), News::New)].into();
    let shown = view(&digest);
    for part in ["1 pattern is new", "• 1 alert · new · ", "+ 7 more patterns"] {
        assert!(shown.contains(part), "{part}\n{shown}");
    }
}

#[test]
fn the_worst_groups_come_first() {
    let mut digest = flood_in_burst();
    let smallest = digest.groups().last().unwrap().0.to_owned();
    for (pattern, group) in &mut digest.tally.groups {
        let own = if *pattern == smallest { Severity::Critical } else { Severity::Warning };
        group.severities = [(own, group.alerts)].into();
        *digest.tally.severities.entry(own).or_default() += group.alerts;
    }
    // News are in the order of their severity, too.
    let largest = digest.groups()[1].0.to_owned();
    digest.tally.news = [(pattern_id(&largest), News::New)].into();
    let shown = view(&digest);
    let lines = shown.lines().filter(|line| {
        ["critical,", "· critical", "· warning"].iter().any(|word| line.contains(word))
    });
    insta::assert_snapshot!(lines.collect::<Vec<_>>().join("\n"), @"
    1 critical, 186 warning
    1 alert at 14:15:06, first to occur · critical · app orders-db-1
    112 alerts in 38 s from 14:15:08 · warning · new · apps checkout, cart · accounts 111122223333,
    48 alerts in 35 s from 14:15:12 · warning · app payments-api
    21 alerts in 19 s from 14:15:15 · warning · app order-worker
    5 alerts in 19 s from 14:15:21 · warning · app invoice-mailer
    ");
    assert!(content(&digest).notification.contains("No space left on device"));
    // One alert of a group is worse than the others.
    let mut mixed = digest.clone();
    let group = mixed.tally.groups.get_mut(&largest).unwrap();
    group.severities = [(Severity::Warning, group.alerts - 1), (Severity::Critical, 1)].into();
    let line = format!("1 critical, {} warning", group.alerts - 1);
    assert!(view(&mixed).contains(&line), "{line}\n{}", view(&mixed));
    digest.tally.severities.remove(&Severity::Warning);
    let all_alike = view(&digest);
    assert!(!all_alike.contains("· critical"), "{all_alike}");
}

#[test]
fn a_flood_shows_its_largest_groups_and_its_first_alert() {
    insta::assert_snapshot!(shown(&flood_in_burst()), @r#"
    🔴 [CRITICAL] 187 alerts · checkout: Connection pool exhausted: 50/50 in use, waited 1000ms for orders-db-1.cluster-c9x2.eu-west-1.rds.amazonaws.com:5432

    🔴 [CRITICAL] 187 alerts
      5 patterns · 4 accounts · 6 log groups · apps checkout, payments-api, cart +3 more
      23 Nov 2026, 14:15:06–14:15:47 UTC (41 s)
      ▁▁▂▂▂▃▂▄▃▃▄▄▄▄▅▅▅▆▃▅█▂ peak 23 in 2 s
      Part of a burst since 14:03:06 UTC: 1,204 alerts in 12 min 45 s, 187 since the last message
      Logs Insights

      112 alerts in 38 s from 14:15:08 · apps checkout, cart · accounts 111122223333, 444455556666 · 2
        log groups
        2026-11-23T14:15:08Z 7f3c1000 ERROR [CRITICAL] Connection pool exhausted: 50/50 in use, waited
          1000ms for orders-db-1.cluster-c9x2.eu-west-1.rds.amazonaws.com:5432
      CloudWatch · account 111122223333 · eu-west-1 · /aws/lambda/checkout

      48 alerts in 35 s from 14:15:12 · app payments-api
        [CRITICAL] POST /v1/orders answered 503, giving up after 3 tries
        {"ts":"2026-11-23T14:15:12Z","level":"error","trace":"4bf92f3577b34da6a3ce929d0e0e1000","msg":
          "[CRITICAL] POST /v1/orders answered 503, giving up after 3
          tries","order":"ord-1000","upstream":"checkout"}
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
        2026-11-23 14:15:06 UTC::@:[4127]:[CRITICAL] could not extend file "base/16401/24612": No
          space left on device
      CloudWatch · account 000011112222 · eu-west-1 · /aws/rds/instance/orders-db-1/postgresql

      route critical · epoch 41
    "#);
}

#[test]
fn a_mail_prints_its_links() {
    let late = Digest { escalated: Some("slack:ops refused it".into()), ..single() };
    insta::assert_snapshot!(format!("{}\n\n{}", subject(&content(&late)), plain::mail(&content(&late), 100)), @r"
    Fallback: [CRITICAL] No space left on device - 1 alert

    🔴 [CRITICAL] No space left on device · 1 alert
      ⚠️ Sent to slack:app-alerts as the fallback: slack:ops refused it
      app orders-db-1
      23 Nov 2026, 14:15:06 UTC

        [CRITICAL] No space left on device
      account 000011112222 · eu-west-1 · /aws/rds/instance/orders-db-1/postgresql
      https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/$252Faws$252Frds$252Finstance$252Forders-db-1$252Fpostgresql/log-events/2026$252F11$252F23$252F$255B$2524LATEST$255D5f0c1e$3Fstart$3D1795443276000$26end$3D1795443336000

      Logs Insights: https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:logs-insights$3FqueryDetail$3D$257E$2528end$257E$25272026-11-23T14*3a15*3a07.000Z$257Estart$257E$25272026-11-23T14*3a15*3a05.000Z$257EtimeType$257E$2527ABSOLUTE$257Etz$257E$2527UTC$257EeditorString$257E$2527fields*20*40timestamp*2c*20*40logStream*2c*20*40message*0a*7c*20filter*20*40message*20like*20*2f*5c*5bCRITICAL*5c*5d*5cs*2bNo*5cs*2bspace*5cs*2bleft*5cs*2bon*5cs*2bdevice*2f*0a*7c*20sort*20*40timestamp*20asc*0a*7c*20limit*201000$257Esource$257E$2528$257E$2527*2faws*2frds*2finstance*2forders-db-1*2fpostgresql$2529$2529
      route critical · epoch 41
    ");
    let long = Digest { route: "r".parse().unwrap(), ..flood_in_burst() };
    let markers = ["[É]".to_owned(), "x".repeat(200)].map(|marker| (marker, 1));
    let tally = Tally { markers: markers.into(), ..long.tally.clone() };
    insta::assert_snapshot!(subject(&content(&Digest { tally, ..long })), @"[?] xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx 187 alerts");
}

#[test]
fn a_single_alert_is_shown_once() {
    insta::assert_snapshot!(shown(&single()), @r"
    🔴 [CRITICAL] 1 alert · orders-db-1: No space left on device

    🔴 [CRITICAL] No space left on device · 1 alert
      app orders-db-1
      23 Nov 2026, 14:15:06 UTC
      Logs Insights

        [CRITICAL] No space left on device
      CloudWatch · account 000011112222 · eu-west-1 · /aws/rds/instance/orders-db-1/postgresql

      route critical · epoch 41
    ");
}

#[test]
fn a_finished_burst_is_a_short_message() {
    insta::assert_snapshot!(shown(&burst_over()), @r#"
    ✅ Over: 1,204 alerts on critical in 12 min 45 s

    ✅ Over: 1,204 alerts on critical in 12 min 45 s
      23 Nov 2026, 14:03:06–14:15:51 UTC (12 min 45 s), nothing since
      route critical · epoch 41
    "#);
}

#[test]
fn a_message_shows_that_it_waited_was_muted_or_was_for_another_target() {
    insta::assert_snapshot!(shown(&late()), @r"
    ⚠️ Fallback · 🔴 [CRITICAL] 1 alert · orders-db-1: No space left on device

    🔴 [CRITICAL] No space left on device · 1 alert
      ⚠️ Sent to sns:oncall as the fallback: slack:app-alerts has not taken a message since
        2026-11-23T13:28:06.000Z
      app orders-db-1
      23 Nov 2026, 14:15:06 UTC
      Part of a burst since 14:03:06 UTC: 1,204 alerts in 12 min 45 s, 1 since the last message
      3 windows in one message, held back since 13:28:06 UTC
      1,042 alerts were muted before this
      Logs Insights

        [CRITICAL] No space left on device
      CloudWatch · account 000011112222 · eu-west-1 · /aws/rds/instance/orders-db-1/postgresql

      route critical · epoch 41
    ");
    let over = Digest { ends_burst: true, ..late() };
    let facts = plain::view(&content(&over), 200, false);
    insta::assert_snapshot!(facts.lines().find(|line| line.contains("burst")).unwrap().trim(), @"The burst is over: 1,204 alerts in 12 min 45 s, 1 since the last message, nothing since 14:15:51 UTC");
    insta::assert_snapshot!(view(&Digest { muted: 1, ..burst_over() }), @r#"
    ✅ Over: 1,204 alerts on critical in 12 min 45 s
      23 Nov 2026, 14:03:06–14:15:51 UTC (12 min 45 s), nothing since
      1 alert was muted before this
      route critical · epoch 41
    "#);
    let held = |included, left_out| {
        let held = Some(HeldAlerts { included, left_out });
        let shown = plain::view(&content(&Digest { held, ..late() }), 200, false);
        shown
            .lines()
            .find(|line| line.contains("threshold") || line.contains(" held before"))
            .unwrap()
            .trim()
            .to_owned()
    };
    insta::assert_snapshot!(held(4, 0), @"4 of these were held until the threshold was reached");
    insta::assert_snapshot!(held(1, 1_042), @"1 of these was held until the threshold was reached; not in this message: 1,042 alerts held before");
    insta::assert_snapshot!(held(0, 1), @"not in this message: 1 alert held before");
}

#[test]
fn a_message_says_that_alerts_are_missing() {
    let (route, target) = ("critical".parse().unwrap(), "slack:a".parse().unwrap());
    insta::assert_snapshot!(view(&Digest::lost(&route, &target, None, (3, 5))), @r"
    🟠 Alerts on critical are missing
      ⚠️ 3 summaries of alerts are missing in the outbox table, so no message counts them. The audit
        table has the alerts.
      route critical · epochs 3–5
    ");
}

#[test]
fn patterns_without_room_are_counted() {
    let counts = |digest: &Digest| {
        let has_count =
            |line: &&str| ["pattern", "epochs", "first"].iter().any(|word| line.contains(word));
        view(digest).lines().filter(has_count).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(counts(&twenty_patterns()) + "\n\n" + &counts(&patterns_beyond_the_tally()), @r#"
    20 patterns · account 1 · log group /ecs/a · app a
    2 alerts in 5 s from 14:15:06, first to occur · app a
    + 7 more patterns, 7 alerts

    21+ patterns · account 1 · log group /ecs/a · app a
    2 alerts in 5 s from 14:15:06, first to occur · app a
    + at least 8 more patterns, 12 alerts
    route critical · epochs 39–41
    "#);
}

#[test]
fn a_number_of_patterns_is_exact_if_it_can_be() {
    let numbers = |digest: &Digest| {
        let shown = view(digest);
        let line = |word: &str| {
            shown.lines().find(|line| line.contains(word)).unwrap_or_default().trim().to_owned()
        };
        (line(" patterns").split(" · ").next().unwrap().to_owned(), line("more pattern"))
    };
    let digest = |ungrouped: usize, other: u64| {
        let digest = twenty_patterns();
        let span = digest.tally.span.unwrap();
        let counted = |n| (format!("[CRITICAL] pattern {n}"), AlertCount { alerts: 2, span });
        let ungrouped = Ungrouped((0..ungrouped).map(counted).collect());
        let alerts = digest.tally.alerts + ungrouped.alerts() + other;
        Digest { tally: Tally { ungrouped, other, alerts, ..digest.tally.clone() }, ..digest }
    };
    let cases = [
        ((0, 0), ("20 patterns", "+ 7 more patterns, 7 alerts")),
        ((3, 0), ("23 patterns", "+ 10 more patterns, 13 alerts")),
        // One alert has one pattern.
        ((3, 1), ("24 patterns", "+ 11 more patterns, 14 alerts")),
        ((3, 2), ("24+ patterns", "+ at least 11 more patterns, 15 alerts")),
    ];
    for ((ungrouped, other), expected) in cases {
        let (facts, left_out) = numbers(&digest(ungrouped, other));
        assert_eq!((facts.as_str(), left_out.as_str()), expected);
    }
}

#[test]
fn a_small_budget_drops_links_first_and_then_groups() {
    fn links(content: &Content) -> usize {
        let details = content.groups.iter().filter(|group| group.link.is_some());
        let lines = content.more_groups.iter().filter(|group| group.link.is_some());
        details.count() + lines.count()
    }
    /// A link counts 10, a detail 5, a line 1.
    fn size(content: &Content) -> usize {
        10 * links(content) + 5 * content.groups.len() + content.more_groups.len()
    }
    let digest = twenty_patterns();
    let shape = |size_max| {
        let content = compose(&digest, &Budget { size, size_max });
        let left_out = content.left_out.unwrap();
        let shown = content.groups.len() + content.more_groups.len();
        assert_eq!((left_out.patterns, left_out.is_minimum), (20 - shown, false));
        (content.groups.len(), content.more_groups.len(), links(&content))
    };
    assert_eq!(shape(0), (0, 0, 0));
    assert_eq!(shape(4), (0, 4, 0));
    assert_eq!(shape(15), (1, 0, 1));
    assert_eq!(shape(24), (2, 4, 1));
    assert_eq!(shape(5 * 15 + 8 * 11), (5, 8, 13));
    assert_eq!(shape(usize::MAX), (5, 8, 13));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    /// SNS takes 256 KiB, and a subject of fewer than 100 ASCII characters that does not begin with
    /// a blank.
    #[test]
    fn any_digest_makes_a_mail(digest in any::digest()) {
        let content = content(&digest);
        let subject = subject(&content);
        prop_assert!((1..100).contains(&subject.len()) && !subject.starts_with(' '), "{subject:?}");
        prop_assert!(subject.bytes().all(|b| (b' '..=b'~').contains(&b)), "{subject:?}");
        let text = plain::mail(&content, 100);
        prop_assert!(text.len() < 256 * 1024 && !text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn log_text_does_not_drive_a_terminal(digest in any::digest(), width in 0..200_usize) {
        let content = content(&digest);
        let plain = plain::view(&content, width, false);
        prop_assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "{plain:?}");
        prop_assert!(plain.lines().all(|line| line.chars().count() <= width.max(40)), "{plain}");
        let colored = plain::view(&content, width, true);
        prop_assert_eq!(without_our_escapes(&colored), plain);
    }

    #[test]
    fn every_alert_is_in_a_group_or_left_out(digest in any::digest(), size_max in 0..20_usize) {
        let size = |content: &Content| content.groups.len() + content.more_groups.len();
        let content = compose(&digest, &Budget { size, size_max });
        let groups = content.groups.iter().map(|group| group.alerts);
        let shown: u64 = groups.chain(content.more_groups.iter().map(|group| group.alerts)).sum();
        prop_assert!(size(&content) <= size_max);
        prop_assert_eq!(shown + content.left_out.map_or(0, |left_out| left_out.alerts), digest.tally.alerts);
    }
}

/// Takes away `ESC [ … m` and the two halves of a link.
fn without_our_escapes(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let mut plain = parts.next().unwrap().to_owned();
    for part in parts {
        plain += match part.as_bytes()[0] {
            b'[' => part.split_once('m').unwrap().1,
            b']' => "",
            b'\\' => &part[1..],
            _ => panic!("{part:?}"),
        };
    }
    plain
}
