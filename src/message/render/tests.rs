//! Messages as a reader sees them, and Slack's limits for any digest whatever.

use proptest::prelude::*;

use super::*;
use crate::message::plain;
use crate::message::tests::any;
use crate::message::tests::digests::*;
use crate::model::tally::{Names, Tally};

fn shown(digest: &Digest) -> String {
    format!("{}\n\n{}", render(digest).text, plain::view(digest, 100, false))
}

#[test]
fn a_flood_is_told_by_its_largest_groups_and_its_first_line() {
    insta::assert_snapshot!(shown(&flood_in_burst()), @r#"
    🔴 [CRITICAL] 187 alerts · checkout: Connection pool exhausted: 50/50 in use, waited 1000ms for orders-db-1.cluster-c9x2.eu-west-1.rds.amazonaws.com:5432

    🔴 [CRITICAL] 187 alerts
      5 patterns · 4 accounts · 6 log groups · apps checkout, payments-api, cart +3 more
      23 Nov 2026, 14:15:06–14:15:47 UTC (41 s)
      ▁▁▂▂▂▃▂▄▃▃▄▄▄▄▅▅▅▆▃▅█▂ peak 23 in 2 s
      Part of a burst since 14:03:06 UTC: 1,204 alerts in 12 min 45 s, 187 since the last message

      112 alerts in 38 s from 14:15:08 · apps checkout, cart · accounts 111122223333, 444455556666 · 2
        log groups
        2026-11-23T14:15:08Z 7f3c1000 ERROR [CRITICAL] Connection pool exhausted: 50/50 in use, waited
          1000ms for orders-db-1.cluster-c9x2.eu-west-1.rds.amazonaws.com:5432
      CloudWatch · account 111122223333 · eu-west-1 · /aws/lambda/checkout

      48 alerts in 35 s from 14:15:12 · app payments-api
        {"ts":"2026-11-23T14:15:12Z","level":"error","trace":"4bf92f3577b34da6a3ce929d0e0e1000","msg":
          "[CRITICAL] POST /v1/orders answered 503, giving up after 3
          tries","order":"ord-1000","upstream":"checkout"}
      CloudWatch · account 777788889999 · eu-west-1 · /ecs/payments-api

      21 alerts in 19 s from 14:15:15 · app order-worker
        [CRITICAL] could not store order 1000: deadlock detected
        org.postgresql.util.PSQLException: ERROR: deadlock detected
          Detail: Process 1000 waits for ShareLock on transaction 91000; blocked by process 71000.
        …
      CloudWatch · account 111122223333 · eu-west-1 · /ecs/order-worker

      5 alerts in 19 s from 14:15:21 · app invoice-mailer
        [CRITICAL] no invoice for order 1000 after 10 s, customer <!channel> was told "try later"
      CloudWatch · account 444455556666 · eu-west-1 · /aws/lambda/invoice-mailer

      1 alert at 14:15:06, the first · app orders-db-1
        2026-11-23 14:15:06 UTC::@:[4127]:[CRITICAL] could not extend file "base/16401/24612": No
          space left on device
      CloudWatch · account 000011112222 · eu-west-1 · /aws/rds/instance/orders-db-1/postgresql

      route critical · epoch 41
    "#);
}

#[test]
fn a_mail_has_its_links_written_out() {
    let late = Digest { escalated: Some("slack:ops refused it".into()), ..single() };
    insta::assert_snapshot!(format!("{}\n\n{}", subject(&late), plain::plain(&late, 100)), @r#"
    Fallback: [CRITICAL] 1 alert

    🔴 [CRITICAL] 1 alert
      ⚠️ Sent to slack:app-alerts as the fallback: slack:ops refused it
      app orders-db-1
      23 Nov 2026, 14:15:06 UTC

        [CRITICAL] No space left on device
      account 000011112222 · eu-west-1 · /aws/rds/instance/orders-db-1/postgresql
      https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/$252Faws$252Frds$252Finstance$252Forders-db-1$252Fpostgresql/log-events/2026$252F11$252F23$252F$255B$2524LATEST$255D5f0c1e$3Fstart$3D1795443276000$26end$3D1795443336000

      route critical · epoch 41
    "#);
    let long = Digest { route: "r".parse().unwrap(), ..flood_in_burst() };
    let markers = ["[É]".to_owned(), "x".repeat(200)].map(|marker| (marker, 1));
    let tally = Tally { markers: markers.into(), ..long.tally.clone() };
    insta::assert_snapshot!(subject(&Digest { tally, ..long }), @"[?] xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx...xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx 187 alerts");
}

#[test]
fn a_single_alert_is_told_once() {
    insta::assert_snapshot!(shown(&single()), @r#"
    🔴 [CRITICAL] 1 alert · orders-db-1: No space left on device

    🔴 [CRITICAL] 1 alert
      app orders-db-1
      23 Nov 2026, 14:15:06 UTC

        [CRITICAL] No space left on device
      CloudWatch · account 000011112222 · eu-west-1 · /aws/rds/instance/orders-db-1/postgresql

      route critical · epoch 41
    "#);
}

#[test]
fn a_burst_that_is_over_is_one_short_message() {
    insta::assert_snapshot!(shown(&burst_over()), @r#"
    ✅ Over: 1,204 alerts on critical in 12 min 45 s

    ✅ Over: 1,204 alerts on critical in 12 min 45 s
      23 Nov 2026, 14:03:06–14:15:51 UTC (12 min 45 s), nothing since
      route critical · epoch 41
    "#);
}

/// The blocks of a message as a reader sees them, styles and links left out.
fn read(message: &Message) -> String {
    let texts = strings_in_order(&message.blocks);
    format!("{}\n\n{}", message.text, texts.concat())
}

fn strings_in_order(blocks: &[Value]) -> Vec<String> {
    let of_element = |element: &Value| match element["elements"].as_array() {
        Some(inner) => inner.iter().filter_map(|text| text["text"].as_str()).collect::<String>() + "\n",
        None => element["text"].as_str().unwrap_or_default().to_owned() + "\n",
    };
    let of_block = |block: &Value| match block["elements"].as_array() {
        Some(elements) => elements.iter().map(of_element).collect::<String>(),
        None => block["text"]["text"].as_str().unwrap_or("--").to_owned() + "\n",
    };
    blocks.iter().map(of_block).collect()
}

#[test]
fn the_message_above_a_thread_tells_of_the_whole_burst_and_keeps_what_began_it() {
    let opening = opening(&digest(Tally::of([&no_space(START - 12 * 60_000)])));
    insta::assert_snapshot!(read(&state(&flood_in_burst(), &opening)), @r#"
    🔴 [CRITICAL] 1,204 alerts in 12 min 45 s

    🔴 [CRITICAL] 1,204 alerts in 12 min 45 s
    23 Nov 2026, 14:03:06–14:15:51 UTC (12 min 45 s) · going on
    Last told: [CRITICAL] 187 alerts · Connection pool exhausted: 50/50 in use, waited 1000ms for orders-db-1.cluster-c9x2.eu-west-1.rds.amazonaws.com:5432 · all of it in the thread
    --
    First told: [CRITICAL] 1 alert · 23 Nov 2026, 14:03:06 UTC · app orders-db-1
    [CRITICAL] No space left on device
    <https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/$252Faws$252Frds$252Finstance$252Forders-db-1$252Fpostgresql/log-events/2026$252F11$252F23$252F$255B$2524LATEST$255D5f0c1e$3Fstart$3D1795442556000$26end$3D1795442616000|CloudWatch>
    account 000011112222 · eu-west-1 · /aws/rds/instance/orders-db-1/postgresql
    route critical · epoch 41
    "#);
    insta::assert_snapshot!(read(&state(&burst_over(), &opening)), @r#"
    ✅ Over: 1,204 alerts on critical in 12 min 45 s

    ✅ Over: 1,204 alerts on critical in 12 min 45 s
    23 Nov 2026, 14:03:06–14:15:51 UTC (12 min 45 s) · nothing since
    --
    First told: [CRITICAL] 1 alert · 23 Nov 2026, 14:03:06 UTC · app orders-db-1
    [CRITICAL] No space left on device
    <https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/$252Faws$252Frds$252Finstance$252Forders-db-1$252Fpostgresql/log-events/2026$252F11$252F23$252F$255B$2524LATEST$255D5f0c1e$3Fstart$3D1795442556000$26end$3D1795442616000|CloudWatch>
    account 000011112222 · eu-west-1 · /aws/rds/instance/orders-db-1/postgresql
    route critical · epoch 41
    "#);
    // The target was down: the last alerts, and that it is over, come at once.
    let late = Digest { over: true, ..flood_in_burst() };
    insta::assert_snapshot!(read(&state(&late, &[])), @r#"
    ✅ Over: 1,204 alerts on critical in 12 min 45 s

    ✅ Over: 1,204 alerts on critical in 12 min 45 s
    23 Nov 2026, 14:03:06–14:15:51 UTC (12 min 45 s) · nothing since
    Last told: [CRITICAL] 187 alerts · Connection pool exhausted: 50/50 in use, waited 1000ms for orders-db-1.cluster-c9x2.eu-west-1.rds.amazonaws.com:5432 · all of it in the thread
    route critical · epoch 41
    "#);
}

#[test]
fn what_was_held_back_muted_or_meant_for_another_is_said() {
    insta::assert_snapshot!(shown(&late()), @r#"
    ⚠️ Fallback · 🔴 [CRITICAL] 1 alert · orders-db-1: No space left on device

    🔴 [CRITICAL] 1 alert
      ⚠️ Sent to sns:oncall as the fallback: slack:app-alerts has not taken a message since
        2026-11-23T13:28:06.000Z
      app orders-db-1
      23 Nov 2026, 14:15:06 UTC
      Part of a burst since 14:03:06 UTC: 1,204 alerts in 12 min 45 s, 1 since the last message
      3 windows in one message, held back since 13:28:06 UTC
      1,042 alerts were muted before this

        [CRITICAL] No space left on device
      CloudWatch · account 000011112222 · eu-west-1 · /aws/rds/instance/orders-db-1/postgresql

      route critical · epoch 41
    "#);
    let over = Digest { over: true, ..late() };
    let line = |digest: &Digest| {
        plain::view(digest, 200, false).lines().find(|line| line.contains("burst")).unwrap().trim().to_owned()
    };
    insta::assert_snapshot!(line(&over), @"The burst is over: 1,204 alerts in 12 min 45 s, 1 since the last message, nothing since 14:15:51 UTC");
    insta::assert_snapshot!(plain::view(&Digest { muted: 1, ..burst_over() }, 100, false), @r#"
    ✅ Over: 1,204 alerts on critical in 12 min 45 s
      23 Nov 2026, 14:03:06–14:15:51 UTC (12 min 45 s), nothing since
      1 alert was muted before this
      route critical · epoch 41
    "#);
}

#[test]
fn patterns_beyond_the_room_are_counted() {
    let counts = |digest: &Digest| {
        let delivered = |line: &&str| ["pattern", "epochs", "first"].iter().any(|word| line.contains(word));
        plain::view(digest, 100, false).lines().filter(delivered).collect::<Vec<_>>().join("\n")
    };
    insta::assert_snapshot!(counts(&twenty_patterns()) + "\n\n" + &counts(&patterns_beyond_the_tally()), @r#"
    20 patterns · account 1 · log group /ecs/a · app a
    2 alerts in 5 s from 14:15:06, the first · app a
    + 7 more patterns, 7 alerts

    21+ patterns · account 1 · log group /ecs/a · app a
    2 alerts in 5 s from 14:15:06, the first · app a
    + at least 8 more patterns, 12 alerts
    route critical · epochs 39–41
    "#);
}

/// `docs/message.png` is drawn from this message. When it has changed on purpose:
/// `UPDATE_MESSAGE=1 cargo test the_picture`, then `node tests/tools/picture/render.mjs
/// tests/tools/picture/message.json docs/message.png`.
#[test]
fn the_picture_shows_the_message_of_today() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/tools/picture/message.json");
    let message = serde_json::to_string_pretty(&render(&flood_in_burst())).unwrap() + "\n";
    if std::env::var_os("UPDATE_MESSAGE").is_some() {
        std::fs::write(path, &message).unwrap();
    }
    assert_eq!(std::fs::read_to_string(path).unwrap(), message);
}

#[test]
fn a_preview_holds_the_blocks_in_its_fragment() {
    let url = render(&digest(Tally::default())).preview_url();
    assert!(url.starts_with("https://app.slack.com/block-kit-builder/#%7B%22blocks%22%3A%5B%7B"), "{url}");
    assert!(url.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%:/#".contains(&b)), "{url}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_message_keeps_within_the_limits(message in message()) {
        prop_assert!((1..=3_000).contains(&message.text.chars().count()) && !message.text.contains('\n'), "{}", message.text);
        prop_assert!((1..=50).contains(&message.blocks.len()), "{} blocks", message.blocks.len());
        let characters: usize = strings(&message.blocks).iter().map(|(_, text)| text.len()).sum();
        prop_assert!(characters + message.text.len() <= MESSAGE_WEIGHT_MAX, "{characters} characters");
        for (key, text) in strings(&message.blocks) {
            let max = if key == "url" { 3_000 } else { 2_000 };
            prop_assert!((1..=max).contains(&text.len()), "{key}: {text}");
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n' || "\u{202e}\u{2066}\u{200b}\u{feff}".contains(c)), "{text:?}");
        }
        for date in elements(&message.blocks).into_iter().filter(|element| element["type"] == "date") {
            prop_assert!((946_684_800..4_102_444_800).contains(&date["timestamp"].as_i64().unwrap()), "{date}");
        }
        for block in &message.blocks {
            match block["type"].as_str().unwrap() {
                "header" => prop_assert!(block["text"]["text"].as_str().unwrap().encode_utf16().count() <= 150),
                "context" => prop_assert!(block["elements"].as_array().unwrap().len() <= 10),
                "rich_text" => prop_assert!(!block["elements"].as_array().unwrap().is_empty()),
                other => prop_assert_eq!(other, "divider"),
            }
        }
    }

    #[test]
    fn nothing_in_a_message_is_markup_but_our_own_links(message in message()) {
        for escape in message.text.split('&').skip(1) {
            prop_assert!(["amp;", "lt;", "gt;"].iter().any(|known| escape.starts_with(known)), "{}", message.text);
        }
        prop_assert!(!message.text.contains(['<', '>']), "{}", message.text);
        let elements = message.blocks.iter().filter_map(|block| block["elements"].as_array()).flatten();
        for markup in elements.filter(|element| element["type"] == "mrkdwn") {
            let link = markup["text"].as_str().unwrap();
            let url = link.strip_prefix("<https://").and_then(|link| link.strip_suffix("|CloudWatch>"));
            prop_assert!(url.is_some_and(|url| !url.contains(['<', '>', '|', '&', ' ', '\n'])), "{link}");
        }
    }

    #[test]
    fn printed_numbers_add_up(digest in any::digest()) {
        let digest = Digest { tally: Tally { apps: Names::default(), ..digest.tally }, ..digest };
        let message = render(&digest);
        let counts = elements(&message.blocks).into_iter().filter(|element| element["style"]["bold"] == true);
        let printed: u64 = counts.filter_map(|element| count_in(element["text"].as_str()?)).sum();
        let header = message.blocks[0]["text"]["text"].as_str().unwrap();
        if digest.tally.is_empty() {
            prop_assert_eq!(printed, 0);
        } else {
            prop_assert!(header.ends_with(&count_alerts(digest.tally.alerts)), "{}", header);
            prop_assert_eq!(printed, if is_one_group(&digest) { 0 } else { digest.tally.alerts });
        }
    }

    /// What SNS takes: 256 KiB; a subject of fewer than 100 characters of ASCII, the first of them not a blank.
    #[test]
    fn any_digest_makes_a_mail(digest in any::digest()) {
        let subject = subject(&digest);
        prop_assert!((1..100).contains(&subject.len()) && !subject.starts_with(' '), "{subject:?}");
        prop_assert!(subject.bytes().all(|b| (b' '..=b'~').contains(&b)), "{subject:?}");
        let text = plain::plain(&digest, 100);
        prop_assert!(text.len() < 256 * 1024 && !text.chars().any(|c| c.is_control() && c != '\n'), "{text:?}");
    }

    #[test]
    fn a_terminal_is_not_driven_by_log_text(digest in any::digest(), width in 0..200_usize) {
        let plain = plain::view(&digest, width, false);
        prop_assert!(!plain.chars().any(|c| c.is_control() && c != '\n'), "{plain:?}");
        prop_assert!(plain.lines().all(|line| line.chars().count() <= width.max(40)), "{plain}");
        let colored = plain::view(&digest, width, true);
        prop_assert_eq!(without_our_escapes(&colored), plain);
    }
}

/// Of a digest, or of a burst that began with one and has come to another.
fn message() -> impl Strategy<Value = Message> {
    let as_state = (any::digest(), any::digest()).prop_map(|(first, latest)| state(&latest, &opening(&first)));
    prop_oneof![2 => any::digest().prop_map(|digest| render(&digest)), 1 => as_state]
}

/// `1,204 alerts` → 1204.
fn count_in(text: &str) -> Option<u64> {
    text.strip_suffix(" alerts").or(text.strip_suffix(" alert"))?.replace(',', "").parse().ok()
}

/// All elements of rich text, at any depth.
fn elements(blocks: &[Value]) -> Vec<&Value> {
    let mut found: Vec<&Value> = blocks.iter().filter(|block| block["type"] == "rich_text").collect();
    let mut at = 0;
    while let Some(value) = found.get(at).copied() {
        found.extend(value["elements"].as_array().into_iter().flatten());
        at += 1;
    }
    found
}

/// All strings with the keys they are under.
fn strings(blocks: &[Value]) -> Vec<(&str, &str)> {
    let mut found = Vec::new();
    let mut open: Vec<(&str, &Value)> = blocks.iter().map(|block| ("", block)).collect();
    while let Some((key, value)) = open.pop() {
        match value {
            Value::String(text) => found.push((key, text.as_str())),
            Value::Array(values) => open.extend(values.iter().map(|value| (key, value))),
            Value::Object(fields) => open.extend(fields.iter().map(|(key, value)| (key.as_str(), value))),
            _ => {}
        }
    }
    found
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
