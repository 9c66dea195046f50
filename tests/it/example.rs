//! `config/example.toml` deploys as it is, with the credentials that its comments show. No target
//! of it is one that this program refuses.

use std::collections::BTreeSet;
use std::time::Duration;

use serde_json::{Map, Value, json};
use stentor::adapters::access::Access;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::http;
use stentor::adapters::secret::{Credential, SecretText, Secrets};
use stentor::adapters::slack::{ApiUrl, Slack};
use stentor::adapters::targets::Targets;
use stentor::config::{Config, TargetSettings};
use stentor::model::digest::Digest;
use stentor::model::name::{Target, TargetKind};
use stentor::model::tally::Tally;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::notify::{Deliver as _, DeliverError};
use strum::VariantNames as _;

use crate::support::target_services::Secret;

const EXAMPLE: &str = include_str!("../../config/example.toml");

/// No program listens here.
const CLOSED: &str = "http://127.0.0.1:9";

/// The secret in the comments: lines such as `#   "slack:ops": "https://…"`.
fn secret() -> String {
    let entries = EXAMPLE.lines().filter_map(|line| line.strip_prefix("#   "));
    let entries = entries.filter(|entry| entry.starts_with('"'));
    format!("{{{}}}", entries.collect::<Vec<_>>().join(",\n"))
}

fn config() -> Config {
    Config::parse(EXAMPLE, "config/example.toml").unwrap()
}

/// The same credential for a service on a closed port.
fn unreachable(name: &str, credential: &Value) -> Value {
    match credential {
        Value::String(url) if url.starts_with("https://") => {
            let (_, rest) =
                url.strip_prefix("https://").unwrap().split_once('/').unwrap_or_default();
            json!(format!("{CLOSED}/{rest}"))
        }
        Value::String(key) if name.starts_with("pagerduty:") => {
            json!({"routing_key": key, "url": CLOSED})
        }
        Value::String(key) if name.starts_with("jsm:") => json!({"api_key": key, "url": CLOSED}),
        Value::Object(fields) => {
            let field = |(key, value): (&String, &Value)| (key.clone(), unreachable("", value));
            fields.iter().map(field).collect::<Map<_, _>>().into()
        }
        other => other.clone(),
    }
}

#[test]
fn the_comments_show_a_credential_for_each_target() {
    let secret = SecretText::parse(&secret()).unwrap();
    assert_eq!((secret.errors, secret.warnings), (vec![], vec![]));
    let config = config();
    let mut kinds = BTreeSet::new();
    for target in config.targets.keys() {
        let names = target.credential_names();
        let name = names.iter().find(|name| secret.credentials.contains_key(*name));
        let name = name.unwrap_or_else(|| panic!("no credential for {target}"));
        let credential = Credential::new(secret.credentials[name].clone());
        let access = Access::parse(target.kind, &credential);
        assert!(access.is_ok(), "{target}: {}", access.unwrap_err());
        kinds.insert(target.kind.as_str());
    }
    assert_eq!(kinds, TargetKind::VARIANTS.iter().copied().collect(), "a kind without an example");
    // Each entry is used, and a line above it says what the target gets.
    let lines: Vec<&str> = EXAMPLE.lines().collect();
    for name in secret.credentials.keys() {
        let is_used = |target: &Target| target.credential_names().contains(name);
        assert!(config.targets.keys().any(is_used), "{name} is no target");
        let at =
            lines.iter().position(|line| line.starts_with(&format!("#   \"{name}\""))).unwrap();
        assert!(lines[at - 1].starts_with("# ") && lines[at - 1].contains(':'), "{name}");
    }
}

/// The README's table has a row for each kind, with the credential and what people get.
#[test]
fn the_readme_shows_each_kind_of_target() {
    let readme = include_str!("../../README.md");
    for kind in TargetKind::VARIANTS {
        let is_row =
            |line: &&str| line.starts_with('|') && line.contains(&format!("`{kind}:NAME`"));
        let row = readme.lines().find(is_row).unwrap_or_else(|| panic!("no row for {kind}"));
        assert_eq!(row.matches('|').count(), 4, "{row}");
    }
}

/// A service that is down is tried again. A target that this program cannot use at all would be
/// refused, and its messages parked.
#[tokio::test]
async fn no_target_of_the_example_is_refused() {
    let secret = SecretText::parse(&secret()).unwrap().credentials;
    let secret: Map<String, Value> =
        secret.iter().map(|(name, value)| (name.clone(), unreachable(name, value))).collect();
    let slack =
        Slack::new(http::client().unwrap(), SystemClock).with_api(ApiUrl::parse(CLOSED).unwrap());
    let settings = config().targets;
    let targets =
        Targets::new(slack, Secrets::new(Secret(Value::from(secret).to_string())), SystemClock)
            .with_settings(settings.clone());
    for (target, settings) in settings {
        // SNS needs a client of AWS, which this build may not have.
        if target.kind == TargetKind::Sns {
            assert!(matches!(settings, TargetSettings::Sns(_)));
            continue;
        }
        let alert = crate::support::alert("1", &["critical"]);
        let route = "critical".parse().unwrap();
        let digest = Digest::new(&route, &target, None, (1, 1), Tally::of([&alert]));
        let deadline = Deadline::after(SystemClock.now(), Duration::from_secs(20));
        let refused = targets.deliver(&digest, None, deadline).await.unwrap_err();
        let is_down = matches!(&refused, DeliverError::Retry { reason, .. } if reason.text.contains("could not be reached"));
        assert!(is_down, "{target}: {refused:?}");
    }
}
