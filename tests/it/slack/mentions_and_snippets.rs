//! Mentions of people, and the snippet with the groups that did not fit.

use std::time::Duration;

use crate::support::alert_with;
use crate::support::target_services::Secret;
use serde_json::{Value, json};
use stentor::adapters::clock::SystemClock;
use stentor::adapters::http;
use stentor::adapters::secret::Secrets;
use stentor::adapters::slack::{ApiUrl, Slack};
use stentor::adapters::targets::Targets;
use stentor::config::Config;
use stentor::model::burst::Burst;
use stentor::model::digest::Digest;
use stentor::model::name::Severity;
use stentor::model::tally::Tally;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::notify::{Accepted, Deliver as _};
use wiremock::matchers::{any, path};
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const CONFIG: &str = r#"
[[route]]
name    = "critical"
markers = ["[CRITICAL]"]
notify  = ["slack:ops"]
[[target]]
name         = "slack:ops"
mention      = ["@here", "S012AB3CD", "U012AB3CD"]
mention_from = "error"
"#;

/// As many groups as no message has room for.
fn digest(groups: usize, severity: Severity, burst: Option<Burst>) -> Digest {
    let words = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"];
    let alerts: Vec<_> = (0..groups)
        .map(|n| {
            let text = format!("[CRITICAL] <!channel> {} {} is broken", words[n % 8], words[n / 8]);
            alert_with(&n.to_string(), &["critical"], &text)
        })
        .collect();
    Digest {
        // Not clustered.
        tally: Tally::of(&alerts),
        burst,
        incident: Some(7),
        ..Digest::new(
            &"critical".parse().unwrap(),
            &"slack:ops".parse().unwrap(),
            Some(severity),
            (7, 7),
            Tally::default(),
        )
    }
}

async fn deliver(
    server: &MockServer,
    credential: Value,
    digest: &Digest,
    joins: Option<&str>,
) -> Accepted {
    let api = ApiUrl::parse(&format!("{}/api", server.uri())).unwrap();
    let slack = Slack::new(http::client().unwrap(), SystemClock).with_api(api);
    let secret = Secrets::new(Secret(json!({"slack:ops": credential}).to_string()));
    let config = Config::parse(CONFIG, "f").unwrap();
    let targets = Targets::new(slack, secret, SystemClock).with_settings(config.targets);
    let deadline = Deadline::after(SystemClock.now(), Duration::from_secs(10));
    targets.deliver(digest, joins, deadline).await.unwrap()
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

#[tokio::test]
async fn people_are_mentioned_in_the_first_message_of_a_burst_that_is_severe_enough() {
    let server = MockServer::start().await;
    let posted = json!({"ok": true, "channel": "C1", "ts": "1.1", "message": {"thread_ts": "1.1"}});
    let posted = ResponseTemplate::new(200).set_body_json(posted);
    Mock::given(path("/api/chat.postMessage")).respond_with(posted.clone()).mount(&server).await;
    Mock::given(path("/api/chat.update")).respond_with(posted).mount(&server).await;
    let ok = ResponseTemplate::new(200).set_body_string("ok");
    Mock::given(any()).respond_with(ok).mount(&server).await;
    let at = Timestamp::from_millis(1_795_443_216_000);
    let later = Some(Burst { number: 7, since: at, until: at, alerts: 42 });
    let (webhook, bot) = (json!(server.uri()), json!({"token": "xoxb-1", "channel": "#a"}));
    let bursts = [
        (&webhook, vec![(Severity::Critical, true), (Severity::Critical, false)]),
        (
            &webhook,
            vec![(Severity::Warning, false), (Severity::Error, true), (Severity::Info, false)],
        ),
        (&bot, vec![(Severity::Error, true), (Severity::Critical, false)]),
        (&bot, vec![(Severity::Info, false), (Severity::Error, true), (Severity::Error, false)]),
    ];
    let messages = bursts.into_iter().flat_map(|(credential, messages)| {
        let messages = messages.into_iter().enumerate();
        messages.map(move |(n, (severity, is_mentioned))| (credential, n, severity, is_mentioned))
    });
    let mut joins: Option<String> = None;
    for (credential, n, severity, is_mentioned) in messages {
        let (burst, known) = if n == 0 { (None, None) } else { (later, joins.as_deref()) };
        let accepted =
            deliver(&server, credential.clone(), &digest(1, severity, burst), known).await;
        joins = accepted.message.or(joins.filter(|_| n > 0));
        let all = requests(&server).await;
        let is_message = |request: &&Request| !request.url.path().ends_with("chat.update");
        let body: Value = all.iter().rfind(is_message).unwrap().body_json().unwrap();
        let first = &body["blocks"][0]["elements"][0]["elements"];
        let mentions = json!([
            {"type": "broadcast", "range": "here"}, {"type": "text", "text": " "},
            {"type": "usergroup", "usergroup_id": "S012AB3CD"}, {"type": "text", "text": " "},
            {"type": "user", "user_id": "U012AB3CD"}, {"type": "text", "text": " "},
        ]);
        assert_eq!(*first == mentions, is_mentioned, "{severity}: {body:#}");
        // Log text mentions no one.
        let broadcasts = body.to_string().matches("broadcast").count();
        assert_eq!(broadcasts, usize::from(is_mentioned), "{body:#}");
    }
}

#[tokio::test]
async fn groups_without_room_follow_as_a_snippet_that_may_fail() {
    for upload in [200, 500] {
        let server = MockServer::start().await;
        let posted = json!({"ok": true, "channel": "C1", "ts": "1.1", "message": {}});
        let url = format!("{}/upload?topsecret", server.uri());
        let place = json!({"ok": true, "upload_url": url, "file_id": "F1"});
        for (at, answer) in [
            ("/api/chat.postMessage", ResponseTemplate::new(200).set_body_json(posted)),
            ("/api/files.getUploadURLExternal", ResponseTemplate::new(200).set_body_json(place)),
            ("/upload", ResponseTemplate::new(upload)),
            (
                "/api/files.completeUploadExternal",
                ResponseTemplate::new(200).set_body_json(json!({"ok": true})),
            ),
        ] {
            Mock::given(path(at)).respond_with(answer).mount(&server).await;
        }
        let bot = json!({"token": "xoxb-7-topsecret", "channel": "#alerts"});
        deliver(&server, bot.clone(), &digest(2, Severity::Critical, None), None).await;
        assert_eq!(requests(&server).await.len(), 1, "everything fits");
        let large = digest(40, Severity::Critical, None);
        let groups = large.tally.groups.len() + large.tally.ungrouped.len();
        let accepted = deliver(&server, bot, &large, None).await;
        assert!(accepted.message.is_some(), "the message counts, not the snippet");
        let requests = requests(&server).await;
        let paths: Vec<&str> = requests.iter().skip(1).map(|request| request.url.path()).collect();
        let all = [
            "/api/chat.postMessage",
            "/api/files.getUploadURLExternal",
            "/upload",
            "/api/files.completeUploadExternal",
        ];
        assert_eq!(paths, if upload == 200 { &all[..] } else { &all[..3] });
        let uploaded = &requests[3];
        assert!(!uploaded.headers.contains_key("authorization"), "the token stays with the API");
        let text = String::from_utf8(uploaded.body.clone()).unwrap();
        assert!(groups > 13, "more than a message shows");
        assert_eq!(text.matches("is broken").count(), groups, "{text}");
        if upload == 200 {
            let complete: Value = requests[4].body_json().unwrap();
            assert_eq!(
                (&complete["channel_id"], &complete["thread_ts"]),
                (&json!("C1"), &json!("1.1"))
            );
        }
    }
}
