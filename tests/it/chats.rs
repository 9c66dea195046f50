//! Delivery to webhooks and simple chats: what is sent, and what each answer means.

use std::time::Duration;

use crate::support::alert;
use crate::support::target_services::Secret;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use standardwebhooks::Webhook;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::http;
use stentor::adapters::secret::Secrets;
use stentor::adapters::slack::Slack;
use stentor::adapters::targets::Targets;
use stentor::config::{TargetSettings, WebhookSettings};
use stentor::model::burst::Burst;
use stentor::model::digest::Digest;
use stentor::model::name::Severity;
use stentor::model::tally::Tally;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::notify::{Accepted, Deliver as _, DeliverError};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, ResponseTemplate};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const NEW_SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

fn digest(target: &str) -> Digest {
    let since = Timestamp::from_millis(1_795_443_216_000);
    let until = Timestamp::from_millis(1_795_443_306_000);
    Digest {
        burst: Some(Burst { number: 5, since, until, alerts: 42 }),
        incident: Some(5),
        ..Digest::new(
            &"critical".parse().unwrap(),
            &target.parse().unwrap(),
            Some(Severity::Critical),
            (7, 7),
            Tally::of(&[alert("1", &["critical"]), alert("2", &["critical"])]),
        )
    }
}

/// A server that gives these answers one after the other, and then always the last one.
async fn server(answers: Vec<ResponseTemplate>) -> MockServer {
    let server = MockServer::start().await;
    let last = answers.len() - 1;
    for (n, answer) in answers.into_iter().enumerate() {
        let mock =
            Mock::given(any()).respond_with(answer).with_priority(u8::try_from(n + 1).unwrap());
        let mock = if n == last { mock } else { mock.up_to_n_times(1) };
        mock.mount(&server).await;
    }
    server
}

async fn deliver(
    target: &str,
    credential: &Value,
    joins: Option<&str>,
) -> Result<Accepted, DeliverError> {
    let settings = TargetSettings::Webhook(WebhookSettings { allow_private: true });
    let slack = Slack::new(http::client().unwrap(), SystemClock);
    let secret = Secrets::new(Secret(json!({target: credential}).to_string()));
    let webhook = "webhook:hook".parse().unwrap();
    let targets =
        Targets::new(slack, secret, SystemClock).with_settings([(webhook, settings)].into());
    let deadline = Deadline::after(SystemClock.now(), Duration::from_secs(10));
    targets.deliver(&digest(target), joins, deadline).await
}

async fn requests(server: &MockServer) -> Vec<Request> {
    server.received_requests().await.unwrap()
}

fn body(request: &Request) -> Value {
    request.body_json().unwrap()
}

#[tokio::test]
async fn a_webhook_is_signed_with_every_key_and_keeps_its_id() {
    let server = server(vec![ResponseTemplate::new(503), ResponseTemplate::new(204)]).await;
    let credential = json!({"url": server.uri(), "secret": [NEW_SECRET, SECRET]});
    let failed = deliver("webhook:hook", &credential, None).await;
    assert!(matches!(failed, Err(DeliverError::Retry { .. })), "{failed:?}");
    deliver("webhook:hook", &credential, None).await.unwrap();
    let requests = requests(&server).await;
    assert_eq!(requests.len(), 2);
    for request in &requests {
        assert_eq!(request.headers["webhook-id"], "stentor/critical/webhook:hook/7/1795443306789");
        for secret in [SECRET, NEW_SECRET] {
            let headers: HeaderMap = request.headers.clone();
            Webhook::new(secret).unwrap().verify(&request.body, &headers).unwrap();
        }
        let body = body(request);
        assert_eq!(body["type"], "stentor.digest");
        assert_eq!(body["data"]["incident"], "stentor/critical/5");
        assert_eq!(body["data"]["alerts"], 2);
    }
    assert_eq!(requests[0].body, requests[1].body, "a repeated message is the same");
}

/// The receiver has the message when its status arrives. Repeated, it would have it twice.
#[tokio::test]
async fn a_webhook_accepts_by_its_status_alone() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let receiver = tokio::spawn(async move {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 64 << 10];
        assert!(connection.read(&mut request).await.unwrap() > 0);
        let head = b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok";
        connection.write_all(head).await.unwrap();
        // The rest of the body never comes.
        while connection.read(&mut request).await.is_ok_and(|read| read > 0) {}
    });
    let credential = json!({"url": url, "secret": SECRET});
    deliver("webhook:hook", &credential, None).await.unwrap();
    receiver.abort();
}

#[tokio::test]
async fn a_webhook_follows_no_redirect_and_reaches_no_private_address() {
    let elsewhere = server(vec![ResponseTemplate::new(200)]).await;
    let moved = ResponseTemplate::new(307).insert_header("location", &*elsewhere.uri());
    let server = server(vec![moved]).await;
    let credential = json!({"url": server.uri(), "secret": SECRET});
    let failed = deliver("webhook:hook", &credential, None).await;
    assert!(matches!(failed, Err(DeliverError::Retry { .. })), "{failed:?}");
    assert!(requests(&elsewhere).await.is_empty());

    // Without `allow_private`: an address, and a name that resolves to one.
    let port = server.address().port();
    for host in ["127.0.0.1", "localhost"] {
        let url = format!("http://{host}:{port}/topsecret");
        let credential = json!({"url": url, "secret": SECRET});
        let failed = deliver("webhook:guarded", &credential, None).await.unwrap_err();
        let DeliverError::Refused { reason } = &failed else { panic!("{failed:?}") };
        assert!(
            reason.text.contains("private address") && !reason.text.contains("topsecret"),
            "{reason}"
        );
    }
    assert_eq!(requests(&server).await.len(), 1, "the redirect only");
}

#[tokio::test]
async fn each_status_has_its_meaning_and_no_error_has_the_credential() {
    let targets = ["webhook:hook", "teams:ops", "discord:ops", "googlechat:ops", "mattermost:ops"];
    for target in targets {
        // A success without the words of the service is that of a proxy.
        let proxy = if target == "webhook:hook" { None } else { Some((200, "retry")) };
        for (status, expected) in proxy.into_iter().chain([
            (302, "retry"),
            (400, "refused"),
            (401, "refused"),
            (403, "refused"),
            (404, "refused"),
            (410, "refused"),
            (413, "refused"),
            (429, "retry"),
            (500, "retry"),
            (503, "retry"),
        ]) {
            let answer = ResponseTemplate::new(status).insert_header("retry-after", "7");
            let server = server(vec![answer]).await;
            let url = format!("{}/topsecret?sig=topsecret", server.uri());
            let credential = match target {
                "webhook:hook" => json!({"url": url, "secret": SECRET}),
                _ => json!(url),
            };
            let error = deliver(target, &credential, None).await.unwrap_err();
            let class = match &error {
                DeliverError::Retry { after, .. } => {
                    assert_eq!(*after, Some(Duration::from_secs(7)), "{target} {status}");
                    "retry"
                }
                DeliverError::Refused { .. } => "refused",
                other => panic!("{other:?}"),
            };
            assert_eq!(class, expected, "{target} {status}: {error}");
            let text = format!("{error} {error:?}");
            assert!(!text.contains("topsecret"), "{text}");
        }
    }
}

#[tokio::test]
async fn a_credential_that_cannot_be_used_is_refused_without_its_text() {
    let bad = [
        ("webhook:hook", json!("https://example.com/topsecret")),
        ("webhook:hook", json!({"url": "https://example.com", "secret": "topsecret"})),
        ("webhook:hook", json!({"url": "http://example.com/topsecret", "secret": SECRET})),
        ("webhook:hook", json!({"url": "https://example.com", "secret": "whsec_dG9wc2VjcmV0"})),
        ("teams:ops", json!("http://example.com/topsecret")),
        ("discord:ops", json!(["topsecret"])),
        ("googlechat:ops", json!("topsecret")),
        ("mattermost:ops", json!({"token": "topsecret", "channel_id": "", "url": "https://x.org"})),
        ("mattermost:ops", json!({"token": "topsecret", "channel_id": "c"})),
        ("mattermost:ops", json!({"token": "topsecret", "url": "https://x.org"})),
        ("mattermost:ops", json!({"channel_id": "topsecret", "url": "https://x.org"})),
    ];
    for (target, credential) in bad {
        let error = deliver(target, &credential, None).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(
            matches!(error, DeliverError::Refused { .. }) && !text.contains("topsecret"),
            "{text}"
        );
        assert!(text.contains("the credential of"), "{text}");
    }
}

#[tokio::test]
async fn teams_gets_a_card_in_either_shape() {
    let server = server(vec![ResponseTemplate::new(202)]).await;
    deliver("teams:ops", &json!(server.uri()), None).await.unwrap();
    let message = body(&requests(&server).await[0]);
    assert_eq!(message["type"], "message");
    let card = &message["attachments"][0]["content"];
    assert_eq!(card["type"], "AdaptiveCard");
    assert!(card["body"][0]["inlines"][0]["text"].as_str().unwrap().contains("[CRITICAL]"));
}

#[tokio::test]
async fn a_burst_is_one_thread_where_the_chat_has_threads() {
    // Google Chat finds the thread by its key.
    let google = server(vec![
        ResponseTemplate::new(200).set_body_json(json!({"name": "spaces/1/messages/2"})),
    ])
    .await;
    deliver("googlechat:ops", &json!(format!("{}/v1?key=k", google.uri())), None).await.unwrap();
    let request = &requests(&google).await[0];
    assert_eq!(body(request)["thread"]["threadKey"], "stentor/critical/5");
    let query = request.url.query().unwrap();
    assert_eq!(query, "key=k&messageReplyOption=REPLY_MESSAGE_FALLBACK_TO_NEW_THREAD");

    // A bot of Mattermost replies to the first post, until that is deleted.
    let posted = ResponseTemplate::new(201).set_body_json(json!({"id": "p1"}));
    let again = ResponseTemplate::new(201).set_body_json(json!({"id": "p2"}));
    let gone = ResponseTemplate::new(400)
        .set_body_json(json!({"id": "api.post.create_post.root_id.app_error"}));
    let new = ResponseTemplate::new(201).set_body_json(json!({"id": "p3"}));
    let mattermost = server(vec![posted, again, gone, new]).await;
    let bot = json!({"url": mattermost.uri(), "token": "topsecret", "channel_id": "c1"});
    let first = deliver("mattermost:ops", &bot, None).await.unwrap().message.unwrap();
    let second = deliver("mattermost:ops", &bot, Some(&first)).await.unwrap().message.unwrap();
    assert_eq!(second, first);
    let third = deliver("mattermost:ops", &bot, Some(&second)).await.unwrap().message.unwrap();
    assert_ne!(third, first);
    let roots: Vec<Value> = requests(&mattermost)
        .await
        .iter()
        .map(|request| body(request)["root_id"].clone())
        .collect();
    assert_eq!(roots, [json!(""), json!("p1"), json!("p1"), json!("")]);

    // A forum of Discord needs a thread; a channel does not.
    let needs =
        ResponseTemplate::new(400).set_body_json(json!({"code": 220_001, "message": "topsecret"}));
    let begun = ResponseTemplate::new(200).set_body_json(json!({"id": "1", "channel_id": "t1"}));
    let discord = server(vec![needs, begun]).await;
    let webhook = json!(format!("{}/webhooks", discord.uri()));
    let first = deliver("discord:ops", &webhook, None).await.unwrap().message.unwrap();
    deliver("discord:ops", &webhook, Some(&first)).await.unwrap();
    let requests = requests(&discord).await;
    assert!(body(&requests[1])["thread_name"].as_str().unwrap().contains("[CRITICAL]"));
    assert_eq!(requests[2].url.query(), Some("wait=true&thread_id=t1"));
    let channel = server(vec![
        ResponseTemplate::new(200).set_body_json(json!({"id": "1", "channel_id": "c"})),
    ])
    .await;
    let accepted = deliver("discord:ops", &json!(channel.uri()), None).await.unwrap();
    assert_eq!(accepted.message, None, "each digest is a message of its own");
    let sent = body(&self::requests(&channel).await[0]);
    assert_eq!(sent["allowed_mentions"], json!({"parse": []}));
}
