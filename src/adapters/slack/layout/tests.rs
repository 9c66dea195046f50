//! Slack's limits and its markup for any digest, and the message above a thread.

use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::message::tests::any;
use crate::message::tests::digests::{START, burst_over, digest, flood_in_burst, no_space};
use crate::model::humanize::count_alerts;
use crate::model::tally::{Names, Tally};

/// The text of a message, without styles and links.
fn read(message: &SlackMessage) -> String {
    let texts = strings_in_order(&json_blocks(message));
    format!("{}\n\n{}", message.text, texts.concat())
}

fn strings_in_order(blocks: &[Value]) -> Vec<String> {
    let of_element = |element: &Value| match element["elements"].as_array() {
        Some(inner) => {
            inner.iter().filter_map(|text| text["text"].as_str()).collect::<String>() + "\n"
        }
        None => {
            let text = element["text"].as_str().or_else(|| element["text"]["text"].as_str());
            text.unwrap_or_default().to_owned() + "\n"
        }
    };
    let of_block = |block: &Value| match block["elements"].as_array() {
        Some(elements) => elements.iter().map(of_element).collect::<String>(),
        None => block["text"]["text"].as_str().unwrap_or("--").to_owned() + "\n",
    };
    blocks.iter().map(of_block).collect()
}

#[test]
fn the_message_above_a_thread_shows_the_burst_and_how_it_began() {
    let opening = opening(&digest(Tally::of([&no_space(START - 12 * 60_000)])));
    insta::assert_snapshot!(read(&burst_message(&flood_in_burst(), &opening)), @r"
    🔴 [CRITICAL] 1,204 alerts in 12 min 45 s

    🔴 [CRITICAL] 1,204 alerts in 12 min 45 s
    23 Nov 2026, 14:03:06–14:15:51 UTC (12 min 45 s) · going on
    Last message: [CRITICAL] 187 alerts · Connection pool exhausted: 50/50 in use, waited 1000ms for orders-db-1.cluster-c9x2.eu-west-1.rds.amazonaws.com:5432 · all of it in the thread
    Logs Insights
    --
    First message: [CRITICAL] 1 alert · 23 Nov 2026, 14:03:06 UTC · app orders-db-1
    [CRITICAL] No space left on device
    <https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/$252Faws$252Frds$252Finstance$252Forders-db-1$252Fpostgresql/log-events/2026$252F11$252F23$252F$255B$2524LATEST$255D5f0c1e$3Fstart$3D1795442556000$26end$3D1795442616000|CloudWatch>
    account 000011112222 · eu-west-1 · /aws/rds/instance/orders-db-1/postgresql
    route critical · epoch 41
    ");
    insta::assert_snapshot!(read(&burst_message(&burst_over(), &opening)), @r"
    ✅ Over: 1,204 alerts on critical in 12 min 45 s

    ✅ Over: 1,204 alerts on critical in 12 min 45 s
    23 Nov 2026, 14:03:06–14:15:51 UTC (12 min 45 s) · nothing since
    --
    First message: [CRITICAL] 1 alert · 23 Nov 2026, 14:03:06 UTC · app orders-db-1
    [CRITICAL] No space left on device
    <https://eu-west-1.console.aws.amazon.com/cloudwatch/home?region=eu-west-1#logsV2:log-groups/log-group/$252Faws$252Frds$252Finstance$252Forders-db-1$252Fpostgresql/log-events/2026$252F11$252F23$252F$255B$2524LATEST$255D5f0c1e$3Fstart$3D1795442556000$26end$3D1795442616000|CloudWatch>
    account 000011112222 · eu-west-1 · /aws/rds/instance/orders-db-1/postgresql
    route critical · epoch 41
    ");
    // After an outage of the target, one digest has the last alerts and the end of the burst.
    let late = Digest { ends_burst: true, ..flood_in_burst() };
    insta::assert_snapshot!(read(&burst_message(&late, &[])), @r"
    ✅ Over: 1,204 alerts on critical in 12 min 45 s

    ✅ Over: 1,204 alerts on critical in 12 min 45 s
    23 Nov 2026, 14:03:06–14:15:51 UTC (12 min 45 s) · nothing since
    Last message: [CRITICAL] 187 alerts · Connection pool exhausted: 50/50 in use, waited 1000ms for orders-db-1.cluster-c9x2.eu-west-1.rds.amazonaws.com:5432 · all of it in the thread
    Logs Insights
    route critical · epoch 41
    ");
}

#[test]
fn a_preview_has_the_blocks_in_its_fragment() {
    let url = render(&digest(Tally::default())).preview_url();
    assert!(
        url.starts_with("https://app.slack.com/block-kit-builder/#%7B%22blocks%22%3A%5B%7B"),
        "{url}"
    );
    assert!(url.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.~%:/#".contains(&b)), "{url}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn any_message_is_within_the_limits(message in message()) {
        let blocks = json_blocks(&message);
        prop_assert!((1..=3_000).contains(&message.text.chars().count()) && !message.text.contains('\n'), "{}", message.text);
        prop_assert!((1..=50).contains(&blocks.len()), "{} blocks", blocks.len());
        let characters: usize = strings(&blocks).iter().map(|(_, text)| text.len()).sum();
        prop_assert!(characters + message.text.len() <= BUDGET.size_max, "{characters} characters");
        for (key, text) in strings(&blocks) {
            let max = if key == "url" { 3_000 } else { 2_000 };
            prop_assert!((1..=max).contains(&text.len()), "{key}: {text}");
            prop_assert!(!text.chars().any(|c| c.is_control() && c != '\n' || "\u{202e}\u{2066}\u{200b}\u{feff}".contains(c)), "{text:?}");
        }
        for date in elements(&blocks).into_iter().filter(|element| element["type"] == "date") {
            prop_assert!((946_684_800..4_102_444_800).contains(&date["timestamp"].as_i64().unwrap()), "{date}");
        }
        for block in &blocks {
            match block["type"].as_str().unwrap() {
                "header" => prop_assert!(block["text"]["text"].as_str().unwrap().encode_utf16().count() <= 150),
                "context" => prop_assert!(block["elements"].as_array().unwrap().len() <= 10),
                "rich_text" => prop_assert!(!block["elements"].as_array().unwrap().is_empty()),
                "actions" => prop_assert!((1..=25).contains(&block["elements"].as_array().unwrap().len())),
                other => prop_assert_eq!(other, "divider"),
            }
        }
    }

    #[test]
    fn the_only_markup_is_our_own_links(message in message()) {
        let blocks = json_blocks(&message);
        for escape in message.text.split('&').skip(1) {
            prop_assert!(["amp;", "lt;", "gt;"].iter().any(|known| escape.starts_with(known)), "{}", message.text);
        }
        prop_assert!(!message.text.contains(['<', '>']), "{}", message.text);
        let elements = blocks.iter().filter_map(|block| block["elements"].as_array()).flatten();
        for markup in elements.filter(|element| element["type"] == "mrkdwn") {
            let link = markup["text"].as_str().unwrap();
            let url = link.strip_prefix("<https://").and_then(|link| link.strip_suffix("|CloudWatch>"));
            prop_assert!(url.is_some_and(|url| !url.contains(['<', '>', '|', '&', ' ', '\n'])), "{link}");
        }
    }

    /// The opening of a burst is stored as JSON.
    #[test]
    fn blocks_read_back(message in message()) {
        let json = serde_json::to_string(&message.blocks).unwrap();
        prop_assert_eq!(serde_json::from_str::<Vec<Block>>(&json).unwrap(), message.blocks);
    }

    #[test]
    fn printed_numbers_add_up(digest in any::digest()) {
        let digest = Digest { tally: Tally { apps: Names::default(), ..digest.tally }, ..digest };
        let blocks = json_blocks(&render(&digest));
        let counts = elements(&blocks).into_iter().filter(|element| element["style"]["bold"] == true);
        let printed: u64 = counts.filter_map(|element| count_in(element["text"].as_str()?)).sum();
        let header = blocks[0]["text"]["text"].as_str().unwrap();
        if digest.tally.is_empty() {
            prop_assert_eq!(printed, 0);
        } else {
            prop_assert!(header.ends_with(&count_alerts(digest.tally.alerts)), "{}", header);
            let tally = &digest.tally;
            let is_one = tally.groups.len() == 1 && tally.ungrouped.is_empty() && tally.other == 0;
            prop_assert_eq!(printed, if is_one { 0 } else { tally.alerts });
        }
    }

}

/// Of a digest, or of a burst from one digest to another.
fn message() -> impl Strategy<Value = SlackMessage> {
    let of_burst = (any::digest(), any::digest())
        .prop_map(|(first, latest)| burst_message(&latest, &opening(&first)));
    prop_oneof![2 => any::digest().prop_map(|digest| render(&digest)), 1 => of_burst]
}

fn json_blocks(message: &SlackMessage) -> Vec<Value> {
    message.blocks.iter().map(|block| serde_json::to_value(block).unwrap()).collect()
}

/// `1,204 alerts` → 1204.
fn count_in(text: &str) -> Option<u64> {
    text.strip_suffix(" alerts").or(text.strip_suffix(" alert"))?.replace(',', "").parse().ok()
}

/// All elements of rich text, at any depth.
fn elements(blocks: &[Value]) -> Vec<&Value> {
    let mut found: Vec<&Value> =
        blocks.iter().filter(|block| block["type"] == "rich_text").collect();
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
            Value::Object(fields) => {
                open.extend(fields.iter().map(|(key, value)| (key.as_str(), value)))
            }
            _ => {}
        }
    }
    found
}
