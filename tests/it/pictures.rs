//! The pictures in `docs/targets.md`: what people see of one small burst at each kind of target, as
//! production composes it. `UPDATE_GOLDEN=1 cargo test --test it pictures` writes them.

use std::fmt::Write as _;

use serde_json::Value;
use stentor::adapters::slack::layout;
use stentor::adapters::targets::request_bodies;
use stentor::config::Config;
use stentor::message::plain;
use stentor::model::burst::Burst;
use stentor::model::digest::{Digest, MergedEpochs};
use stentor::model::name::{Target, TargetKind};
use stentor::model::outbox::Epoch;
use stentor::model::tally::Tally;
use stentor::model::time::Timestamp;
use strum::VariantNames as _;

use crate::support::{adf, alert_with};

const DOCUMENT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/targets.md");

/// Columns of a picture.
const WIDTH: usize = 96;

const CONFIG: &str = r#"
[[route]]
name    = "critical"
markers = ["[CRITICAL]"]
notify  = ["slack:ops", "pagerduty:ops", "jira:ops", "jsm:ops", "teams:ops", "webhook:ops", "sns:ops",
           "discord:ops", "googlechat:ops", "mattermost:ops"]
[[target]]
name    = "jira:ops"
project = "OPS"
"#;

#[test]
fn the_pictures_of_the_document_are_what_people_see() {
    let mut document = std::fs::read_to_string(DOCUMENT).unwrap();
    for kind in TargetKind::VARIANTS {
        let target: Target = format!("{kind}:ops").parse().unwrap();
        let picture = picture(&target);
        let begin = format!("<!-- picture: {kind} -->\n```text\n");
        let (before, rest) =
            document.split_once(&begin).unwrap_or_else(|| panic!("no picture of {kind}"));
        let (shown, after) = rest.split_once("```\n").unwrap();
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            document = format!("{before}{begin}{picture}```\n{after}");
            continue;
        }
        assert_eq!(shown, picture, "{kind}");
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(DOCUMENT, document).unwrap();
    }
}

/// The first message of a burst with two kinds of alerts.
fn digest(target: &Target) -> Digest {
    let texts = [
        "order 4411 failed: ledger answered 503",
        "order 4412 failed: ledger answered 503",
        "no space left on device",
    ];
    let alerts = texts
        .iter()
        .enumerate()
        .map(|(n, text)| alert_with(&n.to_string(), &["critical"], &format!("[CRITICAL] {text}")));
    let at = Timestamp::from_millis(1_795_443_307_000);
    let tally = Tally::of(&alerts.collect::<Vec<_>>());
    let burst = Burst { number: 381, since: at, until: at, alerts: tally.alerts };
    let epoch = Epoch {
        number: 381,
        window: 40,
        at,
        tally,
        owed: vec![target.clone()],
        burst: Some(burst),
        ends_burst: false,
        hold: None,
        released: None,
    };
    let mut epochs = MergedEpochs::default();
    epochs.add(&epoch);
    epochs.digest(&"critical".parse().unwrap(), target, None).unwrap()
}

fn picture(target: &Target) -> String {
    let config = Config::parse(CONFIG, "test").unwrap();
    let digest = digest(target);
    let bodies = request_bodies(&config.targets[target], "stentor", &digest, false);
    let body = &bodies[0];
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let seen = match target.kind {
        TargetKind::Slack => plain::view(&layout::content(&digest), WIDTH, false),
        TargetKind::PagerDuty => {
            let payload = &body["payload"];
            let details = outline(&payload["custom_details"]);
            let links = body["links"].as_array().into_iter().flatten();
            let links: String = links.map(|link| format!("[{}]\n", text(&link["text"]))).collect();
            let head = ["severity", "source", "component", "group", "class"]
                .map(|name| format!("{name}: {}\n", text(&payload[name])));
            format!(
                "{}\n{}custom_details:\n{details}{links}",
                text(&payload["summary"]),
                head.concat()
            )
        }
        TargetKind::Jira => {
            let description = adf::text(&body["fields"]["description"]).unwrap();
            format!("{}\n\n{description}", text(&body["fields"]["summary"]))
        }
        TargetKind::Jsm => {
            let priority = text(&body["priority"]);
            format!("{priority} {}\n\n{}", text(&body["message"]), text(&body["description"]))
        }
        TargetKind::Teams => card(&body["attachments"][0]["content"]),
        TargetKind::Webhook => {
            let head = ["type", "timestamp"].map(|name| format!("{name}: {}\n", body[name]));
            format!("{}data:\n{}", head.concat(), outline(&body["data"]))
        }
        TargetKind::Sns => {
            let message: Value = serde_json::from_str(&text(&body["Message"])).unwrap();
            format!("{}\n\n{}", text(&body["Subject"]), text(&message["default"]))
        }
        TargetKind::Discord => {
            let embed = &body["embeds"][0];
            format!("{}\n{}", text(&embed["title"]), shown(&text(&embed["description"]), "**"))
        }
        TargetKind::GoogleChat => shown(&text(&body["text"]), "*"),
        TargetKind::Mattermost => shown(&text(&body["text"]), "**"),
    };
    // The rest of a link to the console has no room.
    let link = regex::Regex::new(r"(https://[^\s\x22]{40})[^\s\x22]+").unwrap();
    let seen = link.replace_all(seen.trim(), "$1…");
    let lines = seen.lines().map(|line| line.trim_end().replace('\u{a0}', " ") + "\n");
    lines.collect()
}

/// The fields of an object, one a line, each cut at the width of a picture.
fn outline(object: &Value) -> String {
    let fields = object.as_object().unwrap().iter();
    let line = |(name, value): (&String, &Value)| {
        let line = format!("  {name}: {value}");
        match line.char_indices().nth(WIDTH) {
            Some((end, _)) => format!("{}…\n", &line[..end]),
            None => line + "\n",
        }
    };
    fields.map(line).collect()
}

/// The texts of an adaptive card, one a line. An action is a button.
fn card(element: &Value) -> String {
    let children = |name: &str| element[name].as_array().into_iter().flatten();
    match element["type"].as_str().unwrap_or_default() {
        "RichTextBlock" => {
            let runs = children("inlines").map(|run| run["text"].as_str().unwrap_or_default());
            runs.collect::<String>() + "\n"
        }
        "Container" => {
            let lines: String = children("items").map(card).collect();
            lines.lines().map(|line| format!("  {line}\n")).collect()
        }
        "ActionSet" => {
            let titles = children("actions").map(|action| action["title"].as_str().unwrap());
            titles.map(|title| format!("[{title}]\n")).collect()
        }
        _ => children("body").map(card).collect(),
    }
}

/// Markdown as a chat shows it: a link as its text, code with an indent, and no marks of emphasis.
fn shown(text: &str, emphasis: &str) -> String {
    let link =
        regex::Regex::new(r"\[([^\]]*)\]\(https://[^)]*\)|<https://[^|>]*\|([^>]*)>").unwrap();
    let escape = regex::Regex::new(r"\\(.)").unwrap();
    let mut is_code = false;
    let mut lines = String::new();
    for line in text.lines() {
        if line == "```" {
            is_code = !is_code;
        } else if is_code {
            writeln!(lines, "    {line}").unwrap();
        } else {
            let line = link.replace_all(line, "$1$2").replace(emphasis, "");
            writeln!(lines, "{}", escape.replace_all(&line, "$1")).unwrap();
        }
    }
    lines
}
