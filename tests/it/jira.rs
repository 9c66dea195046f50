//! The Jira adapter over HTTP, against a stand-in of the site: its requests, the meaning of each
//! answer, and that no error repeats the credential.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use crate::support::alert;
use crate::support::jira::{JiraRequest, JiraSite};
use crate::support::target_services::{Secret, TargetServices};
use serde_json::{Value, json};
use stentor::adapters::clock::SystemClock;
use stentor::adapters::embedded::Embedded;
use stentor::adapters::http;
use stentor::adapters::secret::Secrets;
use stentor::adapters::slack::Slack;
use stentor::adapters::targets::Targets;
use stentor::config::Config;
use stentor::model::alert::Alert;
use stentor::model::burst::{Burst, Related};
use stentor::model::digest::Digest;
use stentor::model::name::Severity;
use stentor::model::tally::Tally;
use stentor::model::time::Timestamp;
use stentor::protocol::clock::{Clock as _, Deadline};
use stentor::protocol::notify::{
    Accepted, Deliver as _, DeliverError, DeliveryFailure, FailureCode,
};
use stentor::protocol::round::DeliveryOutcome;
use wiremock::matchers::any;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// An issue is named in the messages of the other targets of its route, from the next one on.
#[tokio::test]
async fn a_message_to_slack_names_the_issue_of_the_burst() {
    let (server, mock) = Server::start().await;
    let slack = MockServer::start().await;
    let ok = ResponseTemplate::new(200).set_body_string("ok");
    Mock::given(any()).respond_with(ok).mount(&slack).await;
    let engine = Embedded::start(None).await.unwrap();
    let config = "window='20s'\nwindow_max='20s'\n[[route]]\nname='critical'\n\
                  markers=['[CRITICAL]']\nnotify=['slack:ops', 'jira:PAY']\n\
                  [[target]]\nname='jira:PAY'\nproject='PAY'\n";
    let jira = json!({"site": mock.uri(), "email": "ops@example.com", "token": "topsecret"});
    let credentials = json!({"slack:ops": slack.uri(), "jira:PAY": jira});
    let services = TargetServices::new(&engine, config, targets_with(credentials, "")).await;
    for (name, alerts) in [("a", 3), ("b", 2), ("quiet", 0)] {
        let sent = services.minute(name, alerts).await;
        assert!(sent.iter().all(|one| one.outcome == DeliveryOutcome::Accepted), "{sent:?}");
    }
    assert!(server.is_done("PAY-1"), "the burst is over");
    let requests = slack.received_requests().await.unwrap();
    let bodies: Vec<String> =
        requests.iter().map(|request| String::from_utf8(request.body.clone()).unwrap()).collect();
    assert_eq!(bodies.len(), 3, "{bodies:?}");
    let link = format!("{}/browse/PAY-1", mock.uri());
    for later in &bodies[1..] {
        assert!(later.contains("Also: ") && later.contains(&link), "{later}");
    }
}

/// `ops@example.com:topsecret`.
const BASIC: &str = "Basic b3BzQGV4YW1wbGUuY29tOnRvcHNlY3JldA==";

/// A site on a server. Queued answers replace those of the stand-in.
#[derive(Clone)]
struct Server {
    site: Arc<Mutex<JiraSite>>,
    /// For requests of this method whose path ends so: the answer, and whether the request takes
    /// effect all the same.
    answers: Arc<Mutex<VecDeque<Planned>>>,
    log: Arc<Mutex<Vec<String>>>,
    delay: Arc<Mutex<Duration>>,
}

struct Planned {
    method: &'static str,
    end: &'static str,
    answer: ResponseTemplate,
    takes_effect: bool,
}

impl Server {
    async fn start() -> (Self, MockServer) {
        let server = Self {
            site: Arc::new(Mutex::new(JiraSite::new("PAY", BASIC))),
            answers: Arc::default(),
            log: Arc::default(),
            delay: Arc::default(),
        };
        let mock = MockServer::start().await;
        Mock::given(any()).respond_with(server.clone()).mount(&mock).await;
        (server, mock)
    }

    fn plan(&self, method: &'static str, end: &'static str, answer: ResponseTemplate) {
        let planned = Planned { method, end, answer, takes_effect: false };
        self.answers.lock().unwrap().push_back(planned);
    }

    /// The request takes effect, but its answer is this one.
    fn lose(&self, method: &'static str, end: &'static str, answer: ResponseTemplate) {
        let planned = Planned { method, end, answer, takes_effect: true };
        self.answers.lock().unwrap().push_back(planned);
    }

    /// The requests since the last call, without their bodies.
    fn requests(&self) -> Vec<String> {
        std::mem::take(&mut *self.log.lock().unwrap())
    }

    /// The first lines of the entries of an issue.
    fn entries(&self, key: &str) -> Vec<String> {
        let site = self.site.lock().unwrap();
        let first = |entry: &String| entry.lines().next().unwrap_or_default().to_owned();
        site.issues[key].entries.iter().map(first).collect()
    }

    fn keys(&self) -> Vec<String> {
        self.site.lock().unwrap().issues.keys().cloned().collect()
    }

    fn is_done(&self, key: &str) -> bool {
        self.site.lock().unwrap().issues[key].is_done
    }

    fn labels(&self, key: &str) -> Vec<String> {
        self.site.lock().unwrap().issues[key].labels.clone()
    }

    fn delete(&self, key: &str) {
        self.site.lock().unwrap().issues.get_mut(key).unwrap().delete(SystemClock.now());
    }
}

impl Respond for Server {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let path = request.url.path().strip_prefix("/rest/api/3/").expect("version 3");
        let query = request.url.query().map(|query| format!("?{query}")).unwrap_or_default();
        let method = request.method.as_str().to_owned();
        self.log.lock().unwrap().push(format!("{method} {path}"));
        let asked = JiraRequest {
            method: method.clone(),
            path: format!("{path}{query}"),
            body: request.body_json().unwrap_or_default(),
            authorization: request
                .headers
                .get("authorization")
                .map(|value| value.to_str().unwrap().to_owned()),
        };
        let mut answers = self.answers.lock().unwrap();
        let planned =
            answers.iter().position(|one| one.method == method && path.ends_with(one.end));
        let planned = planned.and_then(|at| answers.remove(at));
        if let Some(planned) = &planned
            && !planned.takes_effect
        {
            return planned.answer.clone();
        }
        let delay = *self.delay.lock().unwrap();
        let (status, body) = self.site.lock().unwrap().answer(&asked, SystemClock.now(), delay);
        match planned {
            Some(planned) => planned.answer,
            None if body.is_null() => ResponseTemplate::new(status),
            None => ResponseTemplate::new(status).set_body_json(body),
        }
    }
}

fn targets(mock: &MockServer, settings: &str) -> Targets<Secret> {
    let credential = json!({"site": mock.uri(), "email": "ops@example.com", "token": "topsecret"});
    targets_with(json!({"jira:PAY": credential}), settings)
}

fn targets_with(secret: Value, settings: &str) -> Targets<Secret> {
    let config = format!(
        "[[route]]\nname = \"critical\"\nmarkers = [\"[CRITICAL]\"]\nnotify = [\"jira:PAY\"]\n\
         [[target]]\nname = \"jira:PAY\"\nproject = \"PAY\"\n{settings}"
    );
    let config = Config::parse(&config, "test").unwrap();
    Targets::new(
        Slack::new(http::client().unwrap(), SystemClock),
        Secrets::new(Secret(secret.to_string())),
        SystemClock,
    )
    .with_settings(config.targets)
    .with_stack("prod".to_owned())
}

/// Alerts number `from` to `to` in epoch `from` of burst `burst`.
fn digest(burst: u64, from: u64, to: u64) -> Digest {
    let alerts: Vec<Alert> = (from..=to).map(|n| alert(&n.to_string(), &["critical"])).collect();
    Digest {
        incident: Some(burst),
        ..Digest::new(
            &"critical".parse().unwrap(),
            &"jira:PAY".parse().unwrap(),
            Some(Severity::Critical),
            (from, from),
            Tally::of(&alerts),
        )
    }
}

fn end(burst: u64, epoch: u64) -> Digest {
    let (since, until) = (Timestamp::from_millis(1_000), Timestamp::from_millis(61_000));
    let ended = Burst { number: burst, since, until, alerts: 3 };
    Digest {
        epochs: (epoch, epoch),
        tally: Tally::default(),
        burst: Some(ended),
        ends_burst: true,
        ..digest(burst, epoch, epoch)
    }
}

/// Alerts with these texts.
fn several(burst: u64, epoch: u64, texts: &[&str]) -> Digest {
    let alert = |(n, text): (usize, &&str)| {
        let message = format!("[CRITICAL] {text}");
        let pattern = stentor::model::pattern::Pattern::of(&message, "[CRITICAL]");
        Alert { message, pattern, ..alert(&format!("{epoch}{n}"), &["critical"]) }
    };
    let alerts: Vec<Alert> = texts.iter().enumerate().map(alert).collect();
    Digest { tally: Tally::of(&alerts), ..digest(burst, epoch, epoch) }
}

async fn deliver(
    targets: &Targets<Secret>,
    digest: &Digest,
    joins: Option<&str>,
) -> Result<Accepted, DeliverError> {
    let deadline = Deadline::after(SystemClock.now(), Duration::from_secs(10));
    targets.deliver(digest, joins, deadline).await
}

async fn accepted(targets: &Targets<Secret>, digest: &Digest, joins: Option<&str>) -> Accepted {
    deliver(targets, digest, joins).await.unwrap()
}

fn retry_after(result: Result<Accepted, DeliverError>) -> Option<u64> {
    match result {
        Err(DeliverError::Retry { after, .. }) => after.map(|after| after.as_secs()),
        other => panic!("{other:?}"),
    }
}

fn json_body(status: u16, body: Value) -> ResponseTemplate {
    ResponseTemplate::new(status).set_body_json(body)
}

#[tokio::test]
async fn a_burst_is_one_issue_from_its_first_digest_to_its_end() {
    let (jira, mock) = Server::start().await;
    let targets = targets(&mock, "type = \"Bug\"\npriority = { critical = \"Highest\" }");
    let first = accepted(&targets, &digest(7, 7, 8), None).await;
    assert_eq!(jira.requests(), ["POST search/jql", "POST issue"]);
    let url = Some(format!("{}/browse/PAY-1", mock.uri()));
    assert_eq!(first.related, Some(Related { name: "PAY-1".to_owned(), url }));
    assert_eq!(jira.labels("PAY-1"), ["stentor", "prod/critical", "prod/critical/7"]);
    let fields = jira.site.lock().unwrap().issues["PAY-1"].fields.clone();
    assert_eq!(fields["issuetype"]["name"], "Bug");
    assert_eq!(fields["priority"]["name"], "Highest");
    assert_eq!(fields["summary"], "[CRITICAL] order 7 failed");

    let joins = first.message.clone();
    let second = accepted(&targets, &digest(7, 9, 9), joins.as_deref()).await;
    assert_eq!(second, first, "the same reference and link");
    let comment =
        ["GET issue/PAY-1", "POST issue/PAY-1/comment", "PUT issue/PAY-1/properties/stentor"];
    assert_eq!(jira.requests(), comment);

    let last = accepted(&targets, &end(7, 10), joins.as_deref()).await;
    assert_eq!(last, first);
    let transition = ["GET issue/PAY-1/transitions", "POST issue/PAY-1/transitions"];
    assert_eq!(jira.requests(), [&["POST search/jql"][..], &comment, &transition].concat());
    assert!(jira.is_done("PAY-1"));
    assert_eq!(
        jira.entries("PAY-1"),
        [
            "🔴 [CRITICAL] order 7 failed · 2 alerts",
            "🔴 [CRITICAL] order 9 failed · 1 alert",
            "✅ Over: 3 alerts on critical in 1 min",
        ]
    );
    accepted(&targets, &end(7, 10), joins.as_deref()).await;
    let again = ["POST search/jql", "GET issue/PAY-1"];
    assert_eq!(jira.requests(), again, "nothing is repeated");
}

#[tokio::test]
async fn an_issue_whose_creation_had_no_answer_is_found_after_a_pause() {
    let lost = || ResponseTemplate::new(201).set_delay(Duration::from_secs(30));
    let cases = [
        ("timed out", lost()),
        ("5xx", ResponseTemplate::new(502)),
        ("5xx that asks for less", ResponseTemplate::new(503).insert_header("retry-after", "2")),
        ("another server", ResponseTemplate::new(200).set_body_string("<html>")),
        ("no key", json_body(201, json!({"id": "1"}))),
        ("a key that is none", json_body(201, json!({"key": "../1"}))),
    ];
    for (name, answer) in cases {
        let (jira, mock) = Server::start().await;
        let targets = targets(&mock, "");
        jira.lose("POST", "issue", answer);
        let deadline = Deadline::after(SystemClock.now(), Duration::from_millis(900));
        let result = targets.deliver(&digest(7, 7, 7), None, deadline).await;
        assert_eq!(retry_after(result), Some(60), "{name}");
        jira.requests();
        let found = accepted(&targets, &digest(7, 7, 7), None).await;
        assert_eq!(found.related.unwrap().name, "PAY-1", "{name}");
        assert_eq!(
            jira.requests(),
            ["POST search/jql", "GET issue/PAY-1"],
            "{name}: it has the digest already"
        );
        // A later attempt has more alerts.
        let more = Digest { epochs: (7, 9), ..digest(7, 7, 9) };
        accepted(&targets, &more, None).await;
        assert_eq!(jira.entries("PAY-1").len(), 2, "{name}");
        assert_eq!(jira.keys(), ["PAY-1"], "{name}");
    }
}

#[tokio::test]
async fn an_issue_that_is_gone_is_replaced() {
    let (jira, mock) = Server::start().await;
    let targets = targets(&mock, "");
    let first = accepted(&targets, &digest(7, 7, 7), None).await.message;
    jira.delete("PAY-1");
    let second = accepted(&targets, &digest(7, 8, 8), first.as_deref()).await;
    assert_eq!(second.related.unwrap().name, "PAY-2");
    // Deleted after it was read, and one with as many comments as it can have.
    let joins = second.message.as_deref();
    for status in [404, 413] {
        jira.plan("POST", "PAY-2/comment", ResponseTemplate::new(status));
        let digest = digest(7, u64::from(status), u64::from(status));
        let next = accepted(&targets, &digest, joins).await;
        assert_eq!(next.related.unwrap().name, "PAY-3", "{status}: created, then found");
    }
    // The end of a burst needs no issue.
    jira.keys().iter().for_each(|key| jira.delete(key));
    accepted(&targets, &end(7, 500), second.message.as_deref()).await;
    assert_eq!(accepted(&targets, &end(7, 500), None).await, Accepted::default());
    assert_eq!(jira.keys().len(), 3);
}

#[tokio::test]
async fn the_reference_of_another_project_is_not_used() {
    let (jira, mock) = Server::start().await;
    let targets = targets(&mock, "");
    let other = json!({"site": "other.example/", "project": "PAY", "issues": [["burst", "PAY-9"]]});
    for joins in [other.to_string(), "of another version".to_owned()] {
        accepted(&targets, &digest(7, 7, 7), Some(&joins)).await;
        assert!(!jira.requests().contains(&"GET issue/PAY-9".to_owned()));
    }
    assert_eq!(jira.keys(), ["PAY-1"]);
}

#[tokio::test]
async fn an_issue_that_was_done_recently_is_opened_again() {
    let (jira, mock) = Server::start().await;
    let reopening = targets(&mock, "reopen_within = \"1h\"");
    let first = accepted(&reopening, &digest(7, 7, 7), None).await.message;
    accepted(&reopening, &end(7, 8), first.as_deref()).await;
    assert!(jira.is_done("PAY-1"));
    jira.requests();
    // The transition has no answer, after the label was changed: the next attempt goes on there.
    jira.plan("POST", "transitions", ResponseTemplate::new(503));
    assert_eq!(retry_after(deliver(&reopening, &digest(9, 9, 9), None).await), Some(60));
    assert_eq!(jira.labels("PAY-1"), ["stentor", "prod/critical", "prod/critical/9"]);
    assert!(jira.is_done("PAY-1"));
    let second = accepted(&reopening, &digest(9, 9, 9), None).await;
    assert_eq!(second.related.unwrap().name, "PAY-1");
    assert!(!jira.is_done("PAY-1"));
    accepted(&reopening, &end(9, 10), second.message.as_deref()).await;
    assert!(jira.is_done("PAY-1"));

    // Without the transition, or without permission to change labels: a new issue.
    jira.site.lock().unwrap().transitions[1].clear();
    let third = accepted(&reopening, &digest(11, 11, 11), None).await;
    assert_eq!(third.related.unwrap().name, "PAY-2");
    jira.site.lock().unwrap().transitions[1] = vec!["To Do"];
    accepted(&reopening, &end(11, 12), third.message.as_deref()).await;
    let refused = json!({"errors": {"labels": "Field 'labels' cannot be set."}});
    jira.plan("PUT", "issue/PAY-2", json_body(400, refused));
    let fourth = accepted(&reopening, &digest(13, 13, 13), None).await;
    assert_eq!(fourth.related.unwrap().name, "PAY-3");

    let (jira, mock) = Server::start().await;
    let never = targets(&mock, "");
    let first = accepted(&never, &digest(7, 7, 7), None).await.message;
    accepted(&never, &end(7, 8), first.as_deref()).await;
    accepted(&never, &digest(9, 9, 9), None).await;
    assert_eq!(jira.keys(), ["PAY-1", "PAY-2"]);
}

#[tokio::test]
async fn a_missing_transition_is_no_failure() {
    let (jira, mock) = Server::start().await;
    let closed = targets(&mock, "done = \"Closed\"");
    let first = accepted(&closed, &digest(7, 7, 7), None).await.message;
    accepted(&closed, &end(7, 8), first.as_deref()).await;
    assert!(!jira.is_done("PAY-1"));
    assert_eq!(jira.entries("PAY-1").len(), 2, "the end is told all the same");
    // Names are compared without their case; one that needs a field is refused.
    let done = targets(&mock, "done = \"DONE\"");
    let needs = json!({"errors": {"resolution": "Resolution is required."}});
    jira.plan("POST", "transitions", json_body(400, needs));
    accepted(&done, &end(7, 8), first.as_deref()).await;
    assert!(!jira.is_done("PAY-1"));
    accepted(&done, &end(7, 8), first.as_deref()).await;
    assert!(jira.is_done("PAY-1"));
}

#[tokio::test]
async fn a_pattern_has_one_open_issue_over_all_bursts() {
    let (jira, mock) = Server::start().await;
    let targets = targets(&mock, "issue_per = \"pattern\"");
    let texts = ["disk full", "disk full", "no memory"];
    let first = accepted(&targets, &several(7, 7, &texts), None).await;
    assert_eq!(jira.requests(), ["POST search/jql", "POST issue", "POST issue"]);
    assert_eq!(first.related.clone().unwrap().name, "PAY-1", "that of the largest group");
    assert_eq!(jira.entries("PAY-1"), ["🔴 [CRITICAL] disk full · 2 alerts"]);
    assert_eq!(jira.entries("PAY-2"), ["🔴 [CRITICAL] no memory · 1 alert"]);
    let joins = first.message.as_deref();
    let second = accepted(&targets, &several(7, 8, &["no memory", "no disk"]), joins).await;
    assert_eq!(jira.entries("PAY-2").len(), 2);
    assert_eq!(jira.entries("PAY-3"), ["🔴 [CRITICAL] no disk · 1 alert"]);
    jira.requests();
    accepted(&targets, &end(7, 9), second.message.as_deref()).await;
    assert!(["PAY-1", "PAY-2", "PAY-3"].iter().all(|key| jira.is_done(key)));
    assert_eq!(jira.requests().len(), 1 + 3 * 3);
    assert_eq!(jira.entries("PAY-1").len(), 1, "the status says that it is over");
    // Done, so the next burst has a new issue; one that is open is used again.
    let third = accepted(&targets, &several(10, 10, &["disk full"]), None).await;
    assert_eq!(third.related.unwrap().name, "PAY-4");
    let fourth = accepted(&targets, &several(11, 11, &["disk full"]), None).await;
    assert_eq!(fourth.related.unwrap().name, "PAY-4");
}

#[tokio::test]
async fn a_pattern_that_was_done_recently_is_opened_again() {
    let (jira, mock) = Server::start().await;
    let targets = targets(&mock, "issue_per = \"pattern\"\nreopen_within = \"1h\"");
    let first = accepted(&targets, &several(7, 7, &["disk full"]), None).await.message;
    accepted(&targets, &end(7, 8), first.as_deref()).await;
    let second = accepted(&targets, &several(9, 9, &["disk full", "no memory"]), None).await;
    assert_eq!(jira.keys(), ["PAY-1", "PAY-2"]);
    assert!(!jira.is_done("PAY-1"));
    accepted(&targets, &end(9, 10), second.message.as_deref()).await;
    jira.site.lock().unwrap().transitions[1].clear();
    accepted(&targets, &several(11, 11, &["disk full"]), None).await;
    assert_eq!(jira.keys(), ["PAY-1", "PAY-2", "PAY-3"], "it cannot be opened again");
}

#[tokio::test]
async fn one_issue_that_fails_does_not_hold_the_others_back() {
    let (jira, mock) = Server::start().await;
    let targets = targets(&mock, "issue_per = \"pattern\"");
    let texts = ["one thing", "other one", "third kind"];
    let first = accepted(&targets, &several(7, 7, &texts), None).await.message;
    let limited = ResponseTemplate::new(429)
        .insert_header("retry-after", "9")
        .insert_header("ratelimit-reason", "jira-per-issue-on-write");
    jira.plan("POST", "PAY-2/comment", limited);
    let next = several(7, 8, &texts);
    let result = deliver(&targets, &next, first.as_deref()).await;
    assert_eq!(retry_after(result), Some(9));
    let entries = || ["PAY-1", "PAY-2", "PAY-3"].map(|key| jira.entries(key).len());
    assert_eq!(entries(), [2, 1, 2]);
    accepted(&targets, &next, first.as_deref()).await;
    assert_eq!(entries(), [2, 2, 2], "the retry repeats no comment");
    // After an issue was created, the retry waits until the search finds it.
    jira.plan("POST", "PAY-2/comment", ResponseTemplate::new(503));
    let more = several(7, 9, &["other one", "fourth of all"]);
    assert_eq!(retry_after(deliver(&targets, &more, first.as_deref()).await), Some(60));
    accepted(&targets, &more, first.as_deref()).await;
    assert_eq!(jira.keys().len(), 4);
    // If one issue refuses, the digest is refused in the end, after the others have it.
    let bad = json!({"errors": {"comment": "Comment body is not valid!"}});
    jira.plan("POST", "PAY-1/comment", json_body(400, bad));
    let last = several(7, 10, &texts);
    let error = deliver(&targets, &last, first.as_deref()).await.unwrap_err();
    let reason = DeliveryFailure::new(
        FailureCode::Client,
        "Jira answered 400: comment: Comment body is not valid!",
    );
    assert_eq!(error, DeliverError::Refused { reason });
    assert_eq!(entries(), [2, 4, 3]);
}

/// A digest that is refused may come again: it could not be parked. The search must know by then what was
/// created.
#[tokio::test]
async fn a_refusal_after_a_creation_waits_for_the_search() {
    let (jira, mock) = Server::start().await;
    let targets = targets(&mock, "issue_per = \"pattern\"");
    let digest = several(7, 7, &["one thing", "other one"]);
    let refuse = || {
        let errors = json!({"errors": {"priority": "Field 'priority' is required."}});
        jira.plan("POST", "issue", json_body(400, errors));
    };
    refuse();
    assert_eq!(retry_after(deliver(&targets, &digest, None).await), Some(60));
    assert_eq!(jira.keys(), ["PAY-1"], "the other one");
    refuse();
    let again = deliver(&targets, &digest, None).await.unwrap_err();
    assert!(matches!(again, DeliverError::Refused { .. }), "{again:?}");
    assert_eq!((jira.keys(), jira.entries("PAY-1").len()), (vec!["PAY-1".to_owned()], 1));
}

#[tokio::test]
async fn many_patterns_share_an_issue() {
    let (jira, mock) = Server::start().await;
    let targets = targets(&mock, "issue_per = \"pattern\"");
    let words = [
        "alpha", "beta", "gamma", "delta", "kappa", "lambda", "omega", "sigma", "theta", "zeta",
        "eta", "iota",
    ];
    let texts: Vec<String> = words
        .iter()
        .enumerate()
        .map(|(n, word)| {
            // Different sentences, which are not clustered.
            format!("{word} {} refused", vec![*word; n + 1].join(" "))
        })
        .collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let first = accepted(&targets, &several(7, 7, &texts), None).await;
    assert_eq!(jira.keys().len(), 11);
    assert!(jira.labels("PAY-11").contains(&"prod/critical/p-rest".to_owned()));
    assert_eq!(jira.entries("PAY-11"), ["🔴 [CRITICAL] 2 alerts"]);
    accepted(&targets, &end(7, 8), first.message.as_deref()).await;
    assert!(jira.keys().iter().all(|key| jira.is_done(key)));
}

#[tokio::test]
async fn every_answer_has_its_class() {
    let (jira, mock) = Server::start().await;
    let targets = targets(&mock, "");
    let fields = json!({"errorMessages": [], "errors": {"priority": "The priority selected is invalid.", "customfield_1": "x"}});
    let project =
        json!({"errorMessages": [], "errors": {"project": "Specify a valid project ID or key"}});
    let cases = [
        (
            "POST",
            "search/jql",
            ResponseTemplate::new(429).insert_header("retry-after", "30"),
            Ok(Some(30)),
        ),
        ("POST", "search/jql", ResponseTemplate::new(500), Ok(None)),
        ("POST", "search/jql", ResponseTemplate::new(200).set_body_string("<html>"), Ok(None)),
        (
            "POST",
            "search/jql",
            json_body(200, json!({"issues": [{"key": "x", "fields": {"labels": []}}]})),
            Ok(None),
        ),
        (
            "POST",
            "search/jql",
            ResponseTemplate::new(302).insert_header("location", "/x"),
            Ok(None),
        ),
        ("POST", "search/jql", ResponseTemplate::new(401), Err("Jira answered 401")),
        ("POST", "search/jql", ResponseTemplate::new(410), Err("Jira answered 410")),
        (
            "POST",
            "search/jql",
            json_body(
                400,
                json!({"errorMessages": ["The value 'PAY' does not exist for the field 'project'."]}),
            ),
            Err("Jira answered 400: The value 'PAY' does not exist for the field 'project'."),
        ),
        (
            "POST",
            "issue",
            ResponseTemplate::new(429).insert_header("retry-after", "7"),
            Ok(Some(7)),
        ),
        ("POST", "issue", ResponseTemplate::new(401), Err("Jira answered 401")),
        ("POST", "issue", ResponseTemplate::new(403), Err("Jira answered 403")),
        ("POST", "issue", ResponseTemplate::new(404), Err("Jira answered 404")),
        (
            "POST",
            "issue",
            json_body(400, fields),
            Err("Jira answered 400: customfield_1: x; priority: The priority selected is invalid."),
        ),
        (
            "POST",
            "issue",
            json_body(400, project),
            Err("Jira answered 400: project: Specify a valid project ID or key"),
        ),
        (
            "POST",
            "issue",
            ResponseTemplate::new(400).set_body_string("<html>"),
            Err("Jira answered 400"),
        ),
    ];
    for (method, end, answer, expected) in cases {
        jira.plan(method, end, answer);
        let result = deliver(&targets, &digest(7, 7, 7), None).await;
        match (result, expected) {
            (Err(DeliverError::Retry { after, .. }), Ok(expected)) => {
                assert_eq!(after.map(|after| after.as_secs()), expected, "{end}");
            }
            (Err(DeliverError::Refused { reason }), Err(expected)) => {
                assert_eq!(reason.text, expected);
            }
            (result, expected) => panic!("{end}: {result:?}, not {expected:?}"),
        }
    }
    assert!(jira.keys().is_empty());
    let first = accepted(&targets, &digest(7, 7, 7), None).await.message;
    for (status, after) in [(409, None), (503, None)] {
        jira.plan("POST", "comment", ResponseTemplate::new(status));
        assert_eq!(retry_after(deliver(&targets, &digest(7, 8, 8), first.as_deref()).await), after);
    }
    // Without the note, the comment counts all the same.
    jira.plan("PUT", "stentor", ResponseTemplate::new(403));
    accepted(&targets, &digest(7, 8, 8), first.as_deref()).await;
    assert_eq!(jira.entries("PAY-1").len(), 2);
}

/// Jira answers an expired token like an anonymous user, who sees nothing.
#[tokio::test]
async fn an_expired_token_makes_no_issue_disappear() {
    let (jira, mock) = Server::start().await;
    let good = targets(&mock, "");
    let first = accepted(&good, &digest(7, 7, 7), None).await.message;
    let credential = json!({"site": mock.uri(), "email": "ops@example.com", "token": "expired"});
    let expired = targets_with(json!({"jira:PAY": credential}), "");
    let unseen = "Jira answered 400: The value 'PAY' does not exist for the field 'project'.";
    let cases = [
        (digest(7, 8, 8), first.as_deref(), "Jira answered 401"),
        (end(7, 9), first.as_deref(), unseen),
        (digest(7, 8, 8), None, unseen),
        (end(7, 9), None, unseen),
    ];
    for (digest, joins, expected) in cases {
        let error = deliver(&expired, &digest, joins).await.unwrap_err();
        assert_eq!(
            error,
            DeliverError::Refused { reason: DeliveryFailure::new(FailureCode::Auth, expected) }
        );
    }
    assert_eq!(jira.keys(), ["PAY-1"]);
    // A public project: the search is empty.
    jira.plan("POST", "search/jql", json_body(200, json!({"issues": []})));
    let error = deliver(&expired, &end(7, 9), None).await.unwrap_err();
    assert_eq!(
        error,
        DeliverError::Refused {
            reason: DeliveryFailure::new(FailureCode::Auth, "Jira answered 401")
        }
    );
}

#[tokio::test]
async fn no_error_repeats_the_credential_or_grows() {
    let (jira, mock) = Server::start().await;
    let targets = targets(&mock, "");
    let echo =
        "Basic b3BzQGV4YW1wbGUuY29tOnRvcHNlY3JldA== of ops@example.com with topsecret ".repeat(99);
    for (end, status) in [("search/jql", 400), ("issue", 400), ("issue", 403), ("search/jql", 503)]
    {
        let body = json!({"errorMessages": [&echo], "errors": {&*echo: &echo}});
        jira.plan("POST", end, json_body(status, body));
        let error = deliver(&targets, &digest(7, 7, 7), None).await.unwrap_err();
        let text = format!("{error} {error:?}");
        assert!(text.len() < 700, "{text}");
        for secret in ["topsecret", "ops@example.com", "b3Bz"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    for bad in [
        json!("topsecret"),
        json!({"site": "http://jira.example", "email": "a@b", "token": "topsecret"}),
    ] {
        let targets = targets_with(json!({"jira:PAY": bad}), "");
        let error = deliver(&targets, &digest(7, 7, 7), None).await.unwrap_err();
        assert!(
            error.to_string().contains("jira:PAY") && !error.to_string().contains("topsecret"),
            "{error}"
        );
    }
}
