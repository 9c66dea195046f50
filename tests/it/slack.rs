//! Delivery to Slack. A server that answers as Slack does checks what each answer means, and how a
//! bot keeps one message per burst.

mod mentions_and_snippets;

use std::collections::VecDeque;
use std::io::Write;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::alert;
use crate::support::target_services::{Secret, TargetServices};
use futures::future::join_all;
use jiff::fmt::rfc2822::DateTimePrinter;
use serde_json::{Value, json};
use stentor::adapters::clock::SystemClock;
use stentor::adapters::embedded::Embedded;
use stentor::adapters::http;
use stentor::adapters::secret::Secrets;
use stentor::adapters::slack::bot::Bot;
use stentor::adapters::slack::layout::render;
use stentor::adapters::slack::{ApiUrl, Slack, WebhookUrl};
use stentor::adapters::targets::Targets;
use stentor::model::alert::Alert;
use stentor::model::burst::Burst;
use stentor::model::digest::Digest;
use stentor::model::name::Severity;
use stentor::model::pattern::Pattern;
use stentor::model::tally::Tally;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::notify::{Accepted, Deliver as _, DeliverError};
use stentor::protocol::round::DeliveryOutcome;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use wiremock::matchers::{header, method};
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

const TOKEN: &str = "xoxb-7-topsecret";
const ALERTS: &str = r##"{"slack:ops": {"token": "xoxb-7-topsecret", "channel": "#alerts"}}"##;

/// A Web API. Posts get the channel C0123 and timestamps that count up, unless other answers are
/// queued.
#[derive(Clone, Default)]
struct Api {
    posted: Arc<Mutex<u32>>,
    answers: Arc<Mutex<VecDeque<ResponseTemplate>>>,
}

impl Api {
    async fn start(&self) -> MockServer {
        let server = MockServer::start().await;
        let bearer = format!("Bearer {TOKEN}");
        Mock::given(method("POST"))
            .and(header("authorization", &*bearer))
            .respond_with(self.clone())
            .mount(&server)
            .await;
        server
    }

    fn answer(&self, answer: ResponseTemplate) {
        self.answers.lock().unwrap().push_back(answer);
    }

    /// Queues the answer of a method that fails.
    fn refuse(&self, code: &str) {
        self.answer(refusal(code));
    }
}

impl Respond for Api {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        if let Some(answer) = self.answers.lock().unwrap().pop_front() {
            return answer;
        }
        let body: Value = request.body_json().unwrap();
        let mut answer = json!({"ok": true, "channel": "C0123", "ts": body["ts"], "message": {}});
        if request.url.path() == "/api/chat.postMessage" {
            let mut posted = self.posted.lock().unwrap();
            *posted += 1;
            answer["ts"] = json!(format!("{posted}.000100"));
            if body["thread_ts"].is_string() {
                answer["message"]["thread_ts"] = body["thread_ts"].clone();
            }
        }
        ResponseTemplate::new(200).set_body_json(answer)
    }
}

/// Status 200, as for most errors of the Web API.
fn refusal(code: &str) -> ResponseTemplate {
    ResponseTemplate::new(200).set_body_json(json!({"ok": false, "error": code}))
}

fn targets(server: &MockServer, secret: &str) -> Targets<Secret> {
    let api = ApiUrl::parse(&format!("{}/api", server.uri())).unwrap();
    Targets::new(
        Slack::new(http::client().unwrap(), SystemClock).with_api(api),
        Secrets::new(Secret(secret.to_owned())),
        SystemClock,
    )
}

/// The latest digest of a burst: two alerts, after 40 others.
fn digest() -> Digest {
    let now = SystemClock.now();
    Digest {
        burst: Some(Burst {
            number: 7,
            since: now.before(Duration::from_secs(90)),
            until: now,
            alerts: 42,
        }),
        incident: Some(7),
        ..Digest::new(
            &"critical".parse().unwrap(),
            &"slack:ops".parse().unwrap(),
            Some(Severity::Critical),
            (7, 7),
            Tally::of(&[alert("1", &["critical"]), alert("2", &["critical"])]),
        )
    }
}

async fn deliver(targets: &Targets<Secret>, joins: Option<&str>) -> Result<Accepted, DeliverError> {
    targets
        .deliver(&digest(), joins, Deadline::after(SystemClock.now(), Duration::from_secs(10)))
        .await
}

/// A call: the method, the channel, the message that it replies to or updates, and the header of
/// its message.
type Call = (String, String, Option<String>, String);

/// All calls but the first `seen`.
async fn calls_after(server: &MockServer, seen: usize) -> Vec<Call> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let call = |request: &Request| {
        let body: Value = request.body_json().unwrap();
        let header = text(&body["blocks"][0]["text"]["text"]).unwrap();
        let method = request.url.path().rsplit('/').next().unwrap().to_owned();
        let joined = text(&body["thread_ts"]).or_else(|| text(&body["ts"]));
        (method, text(&body["channel"]).unwrap(), joined, header)
    };
    server.received_requests().await.unwrap().iter().skip(seen).map(call).collect()
}

fn post(channel: &str, thread: Option<&str>, header: &str) -> Call {
    ("chat.postMessage".into(), channel.into(), thread.map(str::to_owned), header.into())
}

fn update(ts: &str, header: &str) -> Call {
    ("chat.update".into(), "C0123".into(), Some(ts.to_owned()), header.into())
}

const REPLY: &str = "🔴 [CRITICAL] order 1 failed · 2 alerts";
const STATE: &str = "🔴 [CRITICAL] 42 alerts in 1 min 30 s";

#[tokio::test]
async fn a_burst_is_one_message_with_its_digests_in_the_thread() {
    let api = Api::default();
    let server = api.start().await;
    let engine = Embedded::start(None).await.unwrap();
    let route = "window=\"20s\"\nwindow_max=\"20s\"\n[[route]]\nname=\"critical\"\nmarkers=[\"[CRITICAL]\"]\nnotify=[\"slack:ops\"]";
    let services = TargetServices::new(&engine, route, targets(&server, ALERTS)).await;
    for (name, alerts) in [("a", 3), ("b", 2), ("c", 1)] {
        assert!(
            services
                .minute(name, alerts)
                .await
                .iter()
                .all(|sent| sent.outcome == DeliveryOutcome::Accepted)
        );
    }
    services.minute("quiet", 0).await;
    // The burst is over. The next alerts begin another one.
    services.minute("d", 5).await;
    let mut delivered = calls_after(&server, 0).await;
    for (_, _, _, header) in &mut delivered {
        // The seconds depend on how busy the machine is.
        let minutes = header.find(" min").map(|at| at + " min".len());
        header.truncate(minutes.unwrap_or(header.len()));
    }
    let thread = Some("1.000100");
    let expected = [
        post("#alerts", None, "🔴 [CRITICAL] no · 3 alerts"),
        post("C0123", thread, "🔴 [CRITICAL] no · 2 alerts"),
        update("1.000100", "🔴 [CRITICAL] 5 alerts in 1 min"),
        post("C0123", thread, "🔴 [CRITICAL] no · 1 alert"),
        update("1.000100", "🔴 [CRITICAL] 6 alerts in 2 min"),
        post("C0123", thread, "✅ Over: 6 alerts on critical in 3 min"),
        update("1.000100", "✅ Over: 6 alerts on critical in 3 min"),
        post("#alerts", None, "🔴 [CRITICAL] no · 5 alerts"),
    ];
    assert_eq!(delivered, expected);
    let last = server.received_requests().await.unwrap().remove(6).body_json::<Value>().unwrap();
    assert_eq!(last["parse"], "none", "an update would look for names in the text");
    assert!(
        last["blocks"].to_string().contains("First message: "),
        "the start of the burst stays in sight: {last}"
    );
}

#[tokio::test]
async fn a_digest_without_a_parent_message_becomes_a_new_message() {
    let api = Api::default();
    let server = api.start().await;
    let alerts = targets(&server, ALERTS);
    let other =
        targets(&server, r##"{"slack:ops": {"token": "xoxb-7-topsecret", "channel": "#other"}}"##);
    let joined = deliver(&alerts, None).await.unwrap().message.unwrap();
    let mut seen = 1;
    let mut delivered = async |targets: &Targets<Secret>, joins: &str| {
        let accepted = deliver(targets, Some(joins)).await.unwrap();
        let calls = calls_after(&server, seen).await;
        seen += calls.len();
        (calls, accepted.message.unwrap())
    };
    let (calls, same) = delivered(&alerts, &joined).await;
    assert_eq!(calls, [post("C0123", Some("1.000100"), REPLY), update("1.000100", STATE)]);
    assert_eq!(same, joined);
    let (calls, moved) = delivered(&other, &joined).await;
    assert_eq!(calls, [post("#other", None, REPLY)], "the credential has another channel now");
    assert_ne!(moved, joined);
    let (calls, _) = delivered(&alerts, "of another version").await;
    assert_eq!(calls, [post("#alerts", None, REPLY)]);
    for code in [
        "thread_not_found",
        "message_not_found",
        "channel_not_found",
        "restricted_action_thread_locked",
    ] {
        api.refuse(code);
        let (calls, _) = delivered(&alerts, &joined).await;
        assert_eq!(
            calls,
            [post("C0123", Some("1.000100"), REPLY), post("#alerts", None, REPLY)],
            "{code}"
        );
    }
    // Slack accepts a reply to a deleted message, and posts it outside any thread.
    let alone =
        json!({"ok": true, "channel": "C0123", "ts": "77.000100", "message": {"text": "x"}});
    api.answer(ResponseTemplate::new(200).set_body_json(alone));
    let (calls, alone) = delivered(&alerts, &joined).await;
    assert_eq!(calls, [post("C0123", Some("1.000100"), REPLY)]);
    let (calls, _) = delivered(&alerts, &alone).await;
    assert_eq!(calls, [post("C0123", Some("77.000100"), REPLY), update("77.000100", STATE)]);
}

#[tokio::test]
async fn an_accepted_reply_is_delivered_even_if_the_update_fails() {
    let api = Api::default();
    let server = api.start().await;
    let targets = targets(&server, ALERTS);
    let joined = deliver(&targets, None).await.unwrap().message.unwrap();
    let mut seen = 1;
    for failure in [
        ResponseTemplate::new(200)
            .set_body_json(json!({"ok": false, "error": "edit_window_closed"})),
        ResponseTemplate::new(200).set_body_json(json!({"ok": false, "error": "invalid_auth"})),
        ResponseTemplate::new(429).insert_header("retry-after", "9"),
        ResponseTemplate::new(503),
    ] {
        let accepted = json!({"ok": true, "channel": "C0123", "ts": "9.1", "message": {"thread_ts": "1.000100"}});
        api.answer(ResponseTemplate::new(200).set_body_json(accepted));
        api.answer(failure);
        assert_eq!(deliver(&targets, Some(&joined)).await.unwrap().message.as_ref(), Some(&joined));
        let calls = calls_after(&server, seen).await;
        seen += calls.len();
        assert_eq!(
            calls,
            [post("C0123", Some("1.000100"), REPLY), update("1.000100", STATE)],
            "nothing is repeated"
        );
    }
    // The message was deleted, but its thread remains: the channel gets the state of the burst as a
    // new message.
    let accepted =
        json!({"ok": true, "channel": "C0123", "ts": "9.1", "message": {"thread_ts": "1.000100"}});
    api.answer(ResponseTemplate::new(200).set_body_json(accepted));
    api.refuse("message_not_found");
    let renewed = deliver(&targets, Some(&joined)).await.unwrap().message.unwrap();
    let calls = calls_after(&server, seen).await;
    assert_eq!(calls[2], post("C0123", None, STATE));
    assert_ne!(renewed, joined);
}

#[tokio::test]
async fn every_error_of_the_web_api_has_its_class() {
    let api = Api::default();
    let server = api.start().await;
    let targets = targets(&server, ALERTS);
    let retry = |after: Option<u64>| Some(after.map(Duration::from_secs));
    let cases = [
        ("ratelimited", refusal("ratelimited").insert_header("retry-after", "12"), retry(Some(12))),
        ("rate_limited", refusal("rate_limited"), retry(None)),
        ("internal_error", refusal("internal_error"), retry(None)),
        ("fatal_error", refusal("fatal_error"), retry(None)),
        ("service_unavailable", refusal("service_unavailable"), retry(None)),
        ("request_timeout", refusal("request_timeout"), retry(None)),
        ("429", ResponseTemplate::new(429).insert_header("retry-after", "3"), retry(Some(3))),
        ("502", ResponseTemplate::new(502).set_body_string("<html>"), retry(None)),
        ("200 without JSON", ResponseTemplate::new(200).set_body_string("<html>"), retry(None)),
        // The secret has no other credential, so a denied one is final.
        ("invalid_auth", refusal("invalid_auth"), None),
        ("not_in_channel", refusal("not_in_channel"), None),
        ("channel_not_found", refusal("channel_not_found"), None),
        ("is_archived", refusal("is_archived"), None),
        ("msg_blocks_too_long", refusal("msg_blocks_too_long"), None),
        ("invalid_blocks", refusal("invalid_blocks"), None),
        ("no known error code", refusal("<b>News</b>"), None),
        ("400", ResponseTemplate::new(400), None),
        ("408", ResponseTemplate::new(408), retry(None)),
        ("423", ResponseTemplate::new(423), retry(None)),
        ("425", ResponseTemplate::new(425), retry(None)),
        ("503", ResponseTemplate::new(503).insert_header("retry-after", "1.5"), retry(Some(2))),
        // Slack's API answers 200 and never redirects.
        ("204", ResponseTemplate::new(204), retry(None)),
        ("202", ResponseTemplate::new(202).set_body_json(json!({"ok": true})), retry(None)),
        ("302", ResponseTemplate::new(302).insert_header("location", "/elsewhere"), retry(None)),
        ("200 without JSON", ResponseTemplate::new(200), retry(None)),
        ("200 without JSON", ResponseTemplate::new(200).set_body_string("ok"), retry(None)),
        ("200 without JSON", ResponseTemplate::new(200).set_body_string("[]"), retry(None)),
        ("200 without JSON", ResponseTemplate::new(200).set_body_string("{}"), retry(None)),
        (
            "200 without JSON",
            ResponseTemplate::new(200).set_body_string(r#"{"ok": "true"}"#),
            retry(None),
        ),
        (
            "200 without JSON",
            ResponseTemplate::new(200).set_body_string(r#"{"ok": true"#),
            retry(None),
        ),
        (
            "200 without JSON",
            ResponseTemplate::new(200).set_body_bytes(b"{\"ok\xff\": true}"),
            retry(None),
        ),
    ];
    for (text, answer, expected) in cases {
        api.answer(answer);
        match (deliver(&targets, None).await.unwrap_err(), expected) {
            (DeliverError::Retry { after, reason }, Some(expected)) => {
                assert_eq!(after, expected, "{text}");
                assert!(reason.text.contains(text), "{reason}");
            }
            (DeliverError::Refused { reason }, None) => {
                assert!(reason.text.contains(text), "{reason}")
            }
            (error, _) => panic!("{text}: {error:?}"),
        }
    }
    let scope = json!({"ok": false, "error": "missing_scope", "needed": "chat:write"});
    api.answer(ResponseTemplate::new(200).set_body_json(scope));
    let error = deliver(&targets, None).await.unwrap_err();
    assert_eq!(error.to_string(), "Slack answered missing_scope: the token needs chat:write");
}

/// The behavior of a server after it has sent its bytes.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Then {
    Close,
    Hang,
    /// Sends the last 64 KiB without end.
    Repeat,
}

/// The outcome of one post, with a deadline after `timeout`, to a webhook that answers with these
/// bytes.
async fn posted(answer: Vec<u8>, then: Then, timeout: Duration) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/services/topsecret", listener.local_addr().unwrap());
    let server = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        read_request(&mut stream).await;
        stream.write_all(&answer).await.ok();
        match then {
            Then::Close => {}
            Then::Hang => std::future::pending().await,
            Then::Repeat => {
                let tail = answer[answer.len().saturating_sub(1 << 16)..].to_vec();
                while stream.write_all(&tail).await.is_ok() {}
            }
        }
    });
    let slack = Slack::new(http::client().unwrap(), SystemClock);
    let result = slack
        .post(
            &WebhookUrl::parse(&url).unwrap(),
            &digest(),
            &[],
            Deadline::after(SystemClock.now(), timeout),
        )
        .await;
    server.abort();
    match result {
        Ok(()) => "accepted".to_owned(),
        Err(DeliverError::Retry { after: None, reason }) => format!("retry: {reason}"),
        Err(DeliverError::Retry { after: Some(after), reason }) => {
            format!("retry in {} s: {reason}", after.as_secs())
        }
        Err(DeliverError::Denied { reason }) => format!("denied: {reason}"),
        Err(DeliverError::Refused { reason }) => format!("refused: {reason}"),
        Err(DeliverError::Deferred) => "deferred".to_owned(),
    }
}

/// Reads a request to its end: closing a socket with unread bytes resets the connection.
async fn read_request(stream: &mut TcpStream) {
    let mut stream = tokio::io::BufReader::new(stream);
    let (mut line, mut length) = (String::new(), 0);
    while stream.read_line(&mut line).await.unwrap() > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    stream.read_exact(&mut vec![0; length]).await.unwrap();
}

fn answer(status: u16, headers: &str, body: impl AsRef<[u8]>) -> Vec<u8> {
    let body = body.as_ref();
    let head = format!("HTTP/1.1 {status} X\r\n{headers}content-length: {}\r\n\r\n", body.len());
    [head.as_bytes(), body].concat()
}

const LONG: Duration = Duration::from_secs(30);

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_accepts_only_with_a_body_of_slack() {
    let not_ok = "retry: the webhook answered 200 without `ok`: the answer is not from Slack";
    let code = "retry: the webhook answered 200 without `ok`: no_service";
    let lost = "retry: the connection to Slack was lost";
    let huge = [b"ok".to_vec(), vec![b'x'; 1 << 20]].concat();
    let cases: Vec<(Vec<u8>, &str)> = vec![
        (answer(200, "", "ok"), "accepted"),
        (answer(200, "", "ok\r\n"), "accepted"),
        (answer(200, "content-type: application/json\r\n", r#"{"ok":true}"#), "accepted"),
        (answer(200, "", " { \"response_metadata\": {}, \"ok\" : true }\n"), "accepted"),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\no\r\n1\r\nk\r\n0\r\n\r\n"
                .to_vec(),
            "accepted",
        ),
        (b"HTTP/1.1 200 OK\r\n\r\nok".to_vec(), "accepted"),
        (
            b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
                .to_vec(),
            "accepted",
        ),
        (answer(200, "", ""), not_ok),
        (answer(200, "", "<html>Sign in to WiFi topsecret</html>"), not_ok),
        (answer(200, "", "OK"), not_ok),
        (answer(200, "", "ok ok"), not_ok),
        (answer(200, "", "okay."), not_ok),
        (answer(200, "", "\"ok\""), not_ok),
        (answer(200, "", "200"), not_ok),
        (answer(200, "", "{}"), not_ok),
        (answer(200, "", "[]"), not_ok),
        (answer(200, "", r#"{"ok":"true"}"#), not_ok),
        (answer(200, "", r#"{"ok":1}"#), not_ok),
        (answer(200, "", r#"{"ok":true"#), not_ok),
        (answer(200, "", r#"{"ok":false}"#), not_ok),
        (answer(200, "", r#"{"ok":false,"error":"Top Secret!"}"#), not_ok),
        (answer(200, "", r#"{"ok":false,"error":"no_service"}"#), code),
        (answer(200, "", "no_service\n"), code),
        (answer(200, "", b"\xff\xfe\x00ok"), not_ok),
        (answer(200, "", "\u{1f}\u{8b}ok"), not_ok),
        (answer(200, "", huge), not_ok),
        (answer(200, "", "o".repeat(70)), not_ok),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\no".to_vec(), lost),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n".to_vec(), lost),
        (
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\nok\r\n0\r\n\r\n".to_vec(),
            lost,
        ),
        (Vec::new(), lost),
        (b"HTTP/1.1 2".to_vec(), lost),
        (b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), lost),
        (answer(200, &format!("x: {}\r\n", "y".repeat(1 << 20)), "ok"), lost),
        (answer(200, &"x: y\r\n".repeat(10_000), "ok"), lost),
    ];
    for (bytes, expected) in cases {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(200)]).into_owned();
        assert_eq!(posted(bytes, Then::Close, LONG).await, expected, "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_status_of_a_webhook_has_its_class() {
    let foreign = |status: u16| {
        format!(
            "retry: the answer has status {status}, which Slack does not send: check the URL, and any proxy on the way"
        )
    };
    let mut cases: Vec<(Vec<u8>, String)> = Vec::new();
    // Slack's webhooks send no other status of success, and never redirect.
    for status in [201, 202, 203, 206, 226, 300, 301, 302, 303, 304, 307, 308] {
        let body = if status == 304 { "" } else { "ok" };
        let elsewhere = "location: http://127.0.0.1:9/topsecret\r\n";
        cases.push((answer(status, elsewhere, body), foreign(status)));
    }
    cases.push((b"HTTP/1.1 204 X\r\n\r\n".to_vec(), foreign(204)));
    for (status, class) in [
        (408, "retry"),
        (423, "retry"),
        (425, "retry"),
        (429, "retry"),
        (500, "retry"),
        (502, "retry"),
        (503, "retry"),
        (504, "retry"),
        (529, "retry"),
        (599, "retry"),
        (401, "denied"),
        (403, "denied"),
        (404, "denied"),
        (410, "denied"),
        (400, "refused"),
        (405, "refused"),
        (413, "refused"),
        (422, "refused"),
    ] {
        let known = format!("{class}: Slack answered {status}: invalid_payload");
        cases.push((answer(status, "", "invalid_payload\n"), known));
        let unknown = format!("{class}: Slack answered {status}: no known error code");
        cases.push((answer(status, "", "<html>topsecret"), unknown.clone()));
        cases.push((answer(status, "", b"\xff"), unknown.clone()));
        // The status counts even if the body is cut.
        cases.push((
            format!("HTTP/1.1 {status} X\r\ncontent-length: 9\r\n\r\ninv").into_bytes(),
            unknown,
        ));
    }
    for (bytes, expected) in cases {
        let shown = String::from_utf8_lossy(&bytes).into_owned();
        assert_eq!(posted(bytes, Then::Close, LONG).await, expected, "{shown}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn retry_after_is_kept_and_bounded() {
    let at = |ahead: i64| {
        let when = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead);
        DateTimePrinter::new().timestamp_to_rfc9110_string(&when).unwrap()
    };
    let cases = [
        ("30".to_owned(), Some(30..=30)),
        (" 7 ".to_owned(), Some(7..=7)),
        ("0".to_owned(), Some(0..=0)),
        ("1.5".to_owned(), Some(2..=2)),
        ("0.001".to_owned(), Some(1..=1)),
        ("3600".to_owned(), Some(3600..=3600)),
        ("3601".to_owned(), Some(3600..=3600)),
        ("99999".to_owned(), Some(3600..=3600)),
        ("9".repeat(400), Some(3600..=3600)),
        // Up to a minute may pass on a busy machine.
        (at(600), Some(540..=600)),
        (at(1_000_000), Some(3600..=3600)),
        ("Friday, 31-Dec-99 23:59:59 GMT".to_owned(), None),
        (at(-60), None),
        ("-5".to_owned(), None),
        ("1e9".to_owned(), None),
        ("inf".to_owned(), None),
        ("NaN".to_owned(), None),
        (".".to_owned(), None),
        ("soon".to_owned(), None),
        (String::new(), None),
    ];
    for (header, expected) in cases {
        for status in [429, 503] {
            let outcome = posted(
                answer(status, &format!("retry-after: {header}\r\n"), ""),
                Then::Close,
                LONG,
            )
            .await;
            let wait = outcome.strip_prefix("retry in ").and_then(|rest| rest.split_once(": "));
            let wait = wait.map(|(wait, _)| wait.trim_end_matches(" s").parse::<u64>().unwrap());
            match (&expected, wait) {
                (None, None) => assert!(outcome.starts_with("retry: "), "{header}: {outcome}"),
                (Some(range), Some(wait)) => assert!(range.contains(&wait), "{header}: {outcome}"),
                _ => panic!("{header}: {outcome}"),
            }
        }
    }
}

/// Slack's API repeats the message in its answer. A cut answer would be a failure, and the message
/// would be posted again.
#[test]
fn an_answer_that_repeats_the_largest_message_is_read_whole() {
    for text in ["ж", "&", "\"", "🔴"] {
        let alert_of = |letter: char| {
            let message = format!("[CRITICAL] fault{letter} in {letter}\n{}", text.repeat(4_000));
            Alert {
                pattern: Pattern::of(&message, "[CRITICAL]"),
                message,
                ..alert(&letter.to_string(), &["critical"])
            }
        };
        let alerts: Vec<Alert> = ('a'..='z').map(alert_of).collect();
        let message =
            serde_json::to_string(&render(&Digest { tally: Tally::of(&alerts), ..digest() }))
                .unwrap();
        // Slack escapes markup, slashes and all characters outside ASCII.
        let escaped = message.replace('&', "&amp;").replace('/', "\\/");
        let bytes: usize =
            escaped.chars().map(|c| if c.is_ascii() { 1 } else { 6 * c.len_utf16() }).sum();
        assert!(message.len() > 5_000, "{text}: a large message has {} bytes", message.len());
        assert!(bytes < http::BODY_BYTES_MAX, "{text}: {bytes}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_endless_answer_ends_at_the_deadline_or_at_its_bound() {
    let soon = Duration::from_millis(500);
    let late = "retry: Slack did not answer in time";
    let not_ok = "retry: the webhook answered 200 without `ok`: the answer is not from Slack";
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/html\r\n";
    let body = "ok ".repeat(1 << 15);
    let cases = [
        (String::new(), Then::Hang, soon, late),
        // A read times out long before this deadline.
        (String::new(), Then::Hang, Duration::from_secs(600), late),
        ("HTTP/1.1 100 Continue\r\n\r\n".to_owned(), Then::Repeat, soon, late),
        (head.to_owned(), Then::Hang, soon, late),
        (format!("{head}content-length: 2\r\n\r\no"), Then::Hang, soon, late),
        (format!("{head}\r\nok"), Then::Hang, soon, late),
        (format!("{head}\r\n{body}"), Then::Repeat, LONG, not_ok),
        (format!("{head}content-length: 99999999999\r\n\r\n{body}"), Then::Repeat, LONG, not_ok),
        (
            format!("HTTP/1.1 500 X\r\n\r\n{body}"),
            Then::Repeat,
            LONG,
            "retry: Slack answered 500: no known error code",
        ),
        (
            format!("HTTP/1.1 410 X\r\n\r\n{body}"),
            Then::Repeat,
            LONG,
            "denied: Slack answered 410: no known error code",
        ),
    ];
    let posts = cases.into_iter().map(async |(bytes, then, timeout, expected)| {
        let began = std::time::Instant::now();
        let shown = bytes.chars().take(100).collect::<String>();
        assert_eq!(posted(bytes.into_bytes(), then, timeout).await, expected, "{shown}");
        assert!(began.elapsed() < Duration::from_secs(60), "{shown}");
    });
    join_all(posts).await;
}

#[tokio::test]
async fn an_unusable_credential_is_reported_without_its_text() {
    let api = Api::default();
    let server = api.start().await;
    let cases = [
        (r#"{"ops": {"token": "", "channel": "C1"}}"#, "the token is empty"),
        (
            r#"{"ops": {"token": "xoxb-7\ntopsecret", "channel": "C1"}}"#,
            "the token is empty, or has a character",
        ),
        (r#"{"ops": {"token": "xoxb-7-topsecret", "channel": " "}}"#, "the channel is empty"),
        (
            r#"{"ops": {"token": "xoxb-7-topsecret"}}"#,
            "expected the URL of a webhook, or an object with a token and a channel",
        ),
        (
            r#"{"ops": ["xoxb-7-topsecret"]}"#,
            "expected the URL of a webhook, or an object with a token and a channel",
        ),
        (r#"{"ops": "http://example.com/topsecret"}"#, "the webhook must be an https:// URL"),
    ];
    for (secret, expected) in cases {
        let error = deliver(&targets(&server, secret), None).await.unwrap_err();
        assert!(matches!(error, DeliverError::Refused { .. }), "{error:?}");
        assert!(
            error.to_string().contains(expected) && !error.to_string().contains("topsecret"),
            "{error}"
        );
    }
    assert_eq!(calls_after(&server, 0).await, []);
}

#[tokio::test]
async fn a_token_is_only_in_its_header() {
    let log = Log::default();
    let lines = tracing_subscriber::fmt().with_max_level(tracing::Level::TRACE).with_writer({
        let log = log.clone();
        move || log.clone()
    });
    // With a single subscriber, a log statement caches whether the thread that reaches it first
    // wants it. That may be the thread of another test, and the statement would stay silent here.
    // With two subscribers it is not cached.
    let _second = tracing::Dispatch::new(tracing::subscriber::NoSubscriber::default());
    let _guard = tracing::subscriber::set_default(lines.finish());
    let api = Api::default();
    let server = api.start().await;
    let targets = targets(&server, ALERTS);
    let joined = deliver(&targets, None).await.unwrap().message.unwrap();
    for code in ["invalid_auth", "ratelimited", "invalid_blocks"] {
        api.refuse(code);
        let error = deliver(&targets, Some(&joined)).await.unwrap_err();
        log.clone().write_all(format!("{error} {error:?}").as_bytes()).unwrap();
    }
    let slow = ResponseTemplate::new(200).set_delay(Duration::from_secs(5));
    api.answer(slow);
    let late = targets
        .deliver(&digest(), None, Deadline::after(SystemClock.now(), Duration::from_millis(200)))
        .await;
    let error = late.unwrap_err();
    assert_eq!(error.to_string(), "Slack did not answer in time", "the deadline holds");
    let bot = Bot::new(TOKEN, "#alerts").unwrap();
    log.clone().write_all(format!("{error:?} {targets:?} {bot:?} {joined}").as_bytes()).unwrap();
    for request in server.received_requests().await.unwrap() {
        assert!(!String::from_utf8_lossy(&request.body).contains("topsecret"));
    }
    let log = String::from_utf8(log.0.lock().unwrap().clone()).unwrap();
    assert!(
        log.contains("chat.postMessage") || log.contains("connecting"),
        "the HTTP client logs: {log}"
    );
    assert!(!log.contains("topsecret"), "{log}");
}

/// The log of a program.
#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        Write::write(&mut *self.0.lock().unwrap(), bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
