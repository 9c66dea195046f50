//! Slack's webhooks, which can fail, and the messages that they accepted.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::Value;
use wiremock::matchers::method;
use wiremock::{Mock, MockServer, Request, Respond, ResponseTemplate};

/// Webhooks at `/{function}/{target}`, which show the poster and the target.
pub struct Webhooks {
    server: MockServer,
    posts: Arc<Mutex<Vec<Post>>>,
}

/// The answer to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum HookAnswer {
    Accepted,
    /// The message is accepted, and the answer takes this long.
    Slow(Duration),
    /// 429, with these seconds in `Retry-After`.
    Limited(u64),
    /// 500, and the message is not shown.
    Failed,
    /// 410: the channel is gone.
    Refused,
}

/// A message that arrived.
#[derive(Clone, Debug)]
pub struct Post {
    pub function: String,
    pub target: String,
    pub route: String,
    /// The first and the last epoch of the message.
    pub epochs: (u64, u64),
    /// The number of alerts in the headline. Zero in the final message of a burst.
    pub alerts: u64,
    pub arrived: Instant,
    pub answer: HookAnswer,
}

struct Hook<F> {
    decide: F,
    posts: Arc<Mutex<Vec<Post>>>,
}

impl Webhooks {
    pub async fn start(decide: impl Fn() -> HookAnswer + Send + Sync + 'static) -> Self {
        let (server, posts) = (MockServer::start().await, Arc::default());
        let hook = Hook { decide, posts: Arc::clone(&posts) };
        Mock::given(method("POST")).respond_with(hook).mount(&server).await;
        Self { server, posts }
    }

    /// The secret of a function: its own webhook for each target.
    pub fn credentials(&self, function: &str, targets: &[&str]) -> Value {
        let hook = |target: &&str| {
            (format!("slack:{target}"), format!("{}/{function}/{target}", self.server.uri()))
        };
        targets.iter().map(hook).collect()
    }

    pub fn posts(&self) -> Vec<Post> {
        self.posts.lock().unwrap().clone()
    }
}

impl<F: Fn() -> HookAnswer + Send + Sync> Respond for Hook<F> {
    fn respond(&self, request: &Request) -> ResponseTemplate {
        let answer = (self.decide)();
        self.posts.lock().unwrap().push(Post::of(request, answer));
        match answer {
            HookAnswer::Accepted => ResponseTemplate::new(200).set_body_string("ok"),
            HookAnswer::Slow(delay) => {
                ResponseTemplate::new(200).set_body_string("ok").set_delay(delay)
            }
            HookAnswer::Limited(seconds) => {
                ResponseTemplate::new(429).insert_header("retry-after", seconds.to_string())
            }
            HookAnswer::Failed => ResponseTemplate::new(500).set_body_string("rollup_error"),
            HookAnswer::Refused => {
                ResponseTemplate::new(410).set_body_string("channel_is_archived")
            }
        }
    }
}

impl Post {
    /// Whether Slack shows the message, even if its answer does not arrive.
    pub fn is_accepted(&self) -> bool {
        matches!(self.answer, HookAnswer::Accepted | HookAnswer::Slow(_))
    }

    pub fn tells(&self, epoch: u64) -> bool {
        (self.epochs.0..=self.epochs.1).contains(&epoch)
    }

    fn of(request: &Request, answer: HookAnswer) -> Self {
        let arrived = Instant::now();
        let message: Value = request.body_json().unwrap();
        let blocks = message["blocks"].as_array().unwrap();
        let (function, target) = request.url.path()[1..].split_once('/').unwrap();
        // "route critical · epochs 3–5"
        let signature = blocks.last().unwrap()["elements"][0]["text"].as_str().unwrap();
        let (route, epochs) =
            signature.strip_prefix("route ").unwrap().split_once(" · epoch").unwrap();
        let numbers: Vec<u64> =
            epochs.trim_start_matches(['s', ' ']).split('–').map(|n| n.parse().unwrap()).collect();
        Self {
            function: function.to_owned(),
            target: format!("slack:{target}"),
            route: route.to_owned(),
            epochs: (numbers[0], numbers[numbers.len() - 1]),
            alerts: alerts(blocks[0]["text"]["text"].as_str().unwrap()),
            arrived,
            answer,
        }
    }
}

/// "🔴 [CRITICAL] 1,204 alerts" → 1204
fn alerts(headline: &str) -> u64 {
    let words: Vec<&str> = headline.split(' ').collect();
    match words[..] {
        [.., count, "alert" | "alerts"] => count.replace(',', "").parse().unwrap(),
        _ => 0,
    }
}
