//! No log, error, panic or debug output repeats a credential, whatever a credentials file holds and
//! whatever the service answers, such as the request itself.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use serde_json::{Value, json};
use stentor::adapters::access::Access;
use stentor::adapters::clock::SystemClock;
use stentor::adapters::http;
use stentor::adapters::secret::{Credential, SecretText, Secrets};
use stentor::adapters::slack::{ApiUrl, Slack};
use stentor::adapters::targets::Targets;
use stentor::config::Config;
use stentor::model::burst::Burst;
use stentor::model::digest::{Digest, MergedEpochs};
use stentor::model::name::{Target, TargetKind};
use stentor::model::outbox::Epoch;
use stentor::model::tally::Tally;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::notify::Deliver as _;
use strum::VariantNames as _;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::service::Log;
use crate::support::target_services::Secret;

/// How a service answers, with `REQUEST` for the head and the body of the request as JSON text,
/// `TARGET` for its path and query, and `KEY` for its `authorization`.
#[derive(Clone, Debug)]
struct Answer {
    status: u16,
    headers: String,
    body: String,
}

/// Answers every request as it was told to.
struct EchoService {
    origin: String,
    answer: Arc<Mutex<Answer>>,
}

impl EchoService {
    async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let none = Answer { status: 500, headers: String::new(), body: String::new() };
        let answer = Arc::new(Mutex::new(none));
        let shared = Arc::clone(&answer);
        tokio::spawn(async move {
            while let Ok((connection, _)) = listener.accept().await {
                let answer = shared.lock().unwrap().clone();
                tokio::spawn(async move { respond(connection, &answer).await });
            }
        });
        Self { origin, answer }
    }
}

/// Reads one request, and answers it. `None` if the client is gone.
async fn respond(mut connection: TcpStream, answer: &Answer) -> Option<()> {
    let mut request = Vec::new();
    let end = loop {
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end;
        }
        if connection.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8_lossy(&request[..end]).into_owned();
    let header = |name: &str| {
        let lines = head.lines().filter_map(|line| line.split_once(": "));
        lines.filter(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, v)| v.to_owned()).next()
    };
    let length: usize = header("content-length").and_then(|n| n.parse().ok()).unwrap_or(0);
    while request.len() < end + 4 + length {
        if connection.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    let body = String::from_utf8_lossy(&request[end + 4..]).into_owned();
    // Within a string of JSON.
    let quoted = |text: &str| {
        let quoted = Value::from(text).to_string();
        quoted[1..quoted.len() - 1].to_owned()
    };
    let target = head.split(' ').nth(1).unwrap_or_default();
    let filled = |text: &str| {
        text.replace("REQUEST", &quoted(&format!("{head} {body}")))
            .replace("TARGET", &quoted(target))
            .replace("KEY", &quoted(&header("authorization").unwrap_or_default()))
    };
    let (status, headers, body) = (answer.status, filled(&answer.headers), filled(&answer.body));
    let headers = headers.replace(['\r', '\n'], " ");
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status} X\r\n{headers}content-length: {length}\r\nconnection: close\r\n\r\n{body}"
    );
    let text = text.replace("NEXT ", "\r\n");
    connection.write_all(text.as_bytes()).await.ok()
}

fn answers() -> impl Strategy<Value = Answer> {
    let status = prop_oneof![
        Just(200_u16),
        Just(201),
        Just(202),
        Just(302),
        Just(307),
        Just(400),
        Just(401),
        Just(404),
        Just(409),
        Just(410),
        Just(422),
        Just(429),
        Just(500),
        Just(503),
    ];
    let headers = prop_oneof![
        Just(""),
        Just("location: https://elsewhere.exampleTARGETNEXT "),
        Just("location: /KEYNEXT "),
        Just("retry-after: KEYNEXT "),
        Just("x-problem: TARGETNEXT "),
    ];
    let body = prop_oneof![
        Just("REQUEST"),
        Just("TARGET"),
        Just("KEY"),
        Just(""),
        Just("{\"message\": \"REQUEST\", \"errors\": [\"KEY\", \"TARGET\"]}"),
        Just("{\"message\": \"KEY\", \"errors\": {\"KEY\": \"TARGET\"}}"),
        Just("{\"errorMessages\": [\"KEY\", \"REQUEST\"], \"errors\": {\"project\": \"TARGET\"}}"),
        Just("{\"ok\": false, \"error\": \"SECRET\", \"needed\": \"SECRET\"}"),
        Just("{\"ok\": false, \"error\": \"missing_scope\", \"needed\": \"SECRET\"}"),
        Just("{\"error\": {\"message\": \"KEY REQUEST\"}, \"code\": 10003}"),
        Just("{\"name\": \"KEY\", \"id\": \"KEY\", \"channel_id\": \"KEY\", \"ok\": true}"),
        Just("{\"issues\": [{\"key\": \"KEY\", \"fields\": {\"labels\": [\"KEY\"]}}]}"),
        Just("{\"message\": \"REQUEST"),
        Just("SECRET"),
    ];
    (status, headers, body).prop_map(|(status, headers, body)| Answer {
        status,
        headers: headers.to_owned(),
        body: body.to_owned(),
    })
}

/// The text of a secret that no other text contains. The first are valid for some kind of target,
/// the last for none.
fn secrets() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-z]{20,40}",
        "[a-zA-Z0-9]{32}",
        "xoxb-[0-9]{10}-[a-zA-Z0-9]{24}",
        "[!-~]{16,60}",
        "[a-z]{8}[ -~]{8,30}[a-z]{8}",
        "[a-z]{8}\\PC{8,20}[a-z]{8}",
        "[a-z]{8}[\r\n\t\u{1b}\u{0}\u{202e}é]{1,6}[a-z]{8}",
    ]
}

/// The values that a file may have for a target: those of the documents, and mistakes.
fn credential(shape: usize, origin: &str, secret: &str) -> Value {
    let signing = format!("whsec_{}", STANDARD.encode(format!("{secret:*<24}")));
    let shapes = [
        json!(format!("{origin}/{secret}")),
        json!(format!("{origin}/hook?key=k&token={secret}")),
        json!(secret),
        json!({"url": format!("{origin}/{secret}")}),
        json!({"url": format!("{origin}/x"), "secret": signing}),
        json!({"url": format!("{origin}/{secret}"), "secret": [signing, secret]}),
        json!({"token": secret, "channel": "#alerts"}),
        json!({"url": origin, "token": secret, "channel_id": "c"}),
        json!({"routing_key": secret, "url": origin}),
        json!({"api_key": secret, "url": origin}),
        json!({"site": origin, "email": "ops@example.com", "token": secret}),
        json!({"site": format!("{origin}/{secret}"), "email": secret, "token": secret}),
        json!({"topic_arn": format!("arn:aws:sns:eu-west-1:1:{secret}")}),
        json!([secret]),
        json!({secret: secret}),
        json!(format!("https://{}@127.0.0.1:1/", escaped(secret))),
    ];
    shapes[shape % shapes.len()].clone()
}

/// The texts that stand for the secret: itself, and as it is in a URL or a header. Those that are
/// too short to tell are left out.
fn leaks(secret: &str, credential: &Value) -> Vec<String> {
    let basic = STANDARD.encode(format!("ops@example.com:{}", secret.trim()));
    let both = STANDARD.encode(format!("{0}:{0}", secret.trim()));
    let mut url = of_url(secret);
    url.extend([secret.to_owned(), secret.trim().to_owned(), basic, both]);
    url.extend(credential["secret"].as_str().map(str::to_owned));
    url.retain(|text| text.len() >= 8);
    url
}

/// Percent-encoded.
fn escaped(text: &str) -> String {
    let bytes = text.bytes().map(|b| match b {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' => char::from(b).to_string(),
        _ => format!("%{b:02X}"),
    });
    bytes.collect()
}

/// The secret as a segment of a path and as the value of a query.
fn of_url(secret: &str) -> Vec<String> {
    let url = |text: &str| reqwest::Url::parse(text).ok();
    let of_path = url(&format!("http://x/{secret}")).map(|url| url.path()[1..].to_owned());
    let of_query = url(&format!("http://x/?q={secret}"))
        .and_then(|url| url.query().map(|q| q[2..].to_owned()));
    [Some(escaped(secret)), of_path, of_query].into_iter().flatten().collect()
}

fn digest(target: &Target) -> Digest {
    let burst = Burst { number: 1, alerts: 1, ..Burst::default() };
    let epoch = Epoch {
        number: 1,
        window: 1,
        at: Timestamp::default(),
        tally: Tally::of([&crate::support::alert("1", &["critical"])]),
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

/// Everything that an operator may see of one attempt.
async fn seen(
    client: &reqwest::Client,
    kind: TargetKind,
    origin: &str,
    (name, credential): (&str, &Value),
) -> String {
    let target: Target = format!("{kind}:x").parse().unwrap();
    let config = format!(
        "[[route]]\nname = 'critical'\nmarkers = ['[CRITICAL]']\nnotify = ['{target}']\n\
         [[target]]\nname = '{target}'\n{}",
        match kind {
            TargetKind::Jira => "project = 'PAY'\n",
            TargetKind::Webhook => "allow_private = true\n",
            _ => "",
        }
    );
    let config = Config::parse(&config, "test").unwrap();
    let text = json!({name: credential, "x": credential}).to_string();
    let read = SecretText::parse(&text);
    let broken = SecretText::parse(&text[..text.len() - 2]).map(|_| ());
    let parsed = Credential::new(credential.clone());
    let access = Access::parse(kind, &parsed);
    let reasons = access.as_ref().err().map(ToString::to_string);
    let slack = Slack::new(client.clone(), SystemClock)
        .with_api(ApiUrl::parse(&format!("{origin}/api")).unwrap());
    let targets =
        Targets::new(slack, Secrets::new(Secret(text)), SystemClock).with_settings(config.targets);
    let deadline = Deadline::after(SystemClock.now(), Duration::from_secs(20));
    let delivered = targets.deliver(&digest(&target), None, deadline).await;
    let shown = match &delivered {
        Ok(accepted) => format!("{:?}", accepted.related),
        Err(error) => format!("{error} {error:?}"),
    };
    let text = read.map(|read| (read.errors, read.warnings));
    format!("{text:?} {broken:?} {parsed:?} {access:?} {reasons:?} {targets:?} {shown}")
}

/// Each kind of target, with any credential and any answer.
#[test]
fn nothing_repeats_a_credential_whatever_the_service_answers() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let service = runtime.block_on(EchoService::start());
    let client = http::client().unwrap();
    let log = Log::default();
    let (subscriber, _other) = log.subscriber();
    let _guard = tracing::subscriber::set_default(subscriber);
    let config = ProptestConfig { cases: 16, failure_persistence: None, ..Default::default() };
    let cases = (secrets(), any::<bool>(), answers());
    let tried = TestRunner::new(config).run(&cases, |(secret, as_name, answer)| {
        for kind in TargetKind::VARIANTS {
            let kind: TargetKind = kind.parse().unwrap();
            for shape in 0..16 {
                let credential = credential(shape, &service.origin, &secret);
                // The parts of the answer that are the secret alone.
                let body = answer.body.replace("SECRET", &secret.replace(['"', '\\'], "'"));
                *service.answer.lock().unwrap() = Answer { body, ..answer.clone() };
                let name = if as_name { secret.clone() } else { format!("{kind}:x") };
                let shown =
                    runtime.block_on(seen(&client, kind, &service.origin, (&name, &credential)));
                let shown = shown + &log.take();
                for leak in leaks(&secret, &credential) {
                    prop_assert!(
                        !shown.contains(&leak),
                        "{kind} {credential}: {leak:?} is in {shown}"
                    );
                }
            }
        }
        Ok(())
    });
    assert!(tried.is_ok(), "{}", tried.unwrap_err());
}
