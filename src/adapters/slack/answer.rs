//! What Slack's answers mean: worth a retry, a matter of the credential, or final. A webhook says it with the status;
//! the Web API mostly says 200, and an error word beside `"ok": false`.
//!
//! Only Slack's own words count as acceptance. A captive portal, a proxy or a mistyped URL can answer 200, too, and an
//! alert that such a page took would be lost without a trace. An answer that Slack never gives is worth a retry.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::adapters::clock::SystemClock;
use crate::adapters::http::{self, BODY_BYTES_MAX};
use crate::model::time::Timestamp;
use crate::protocol::clock::Clock as _;
use crate::protocol::notify::DeliverError;

/// Words for what passes by itself (docs.slack.dev, chat.postMessage and chat.update). After some of them Slack may
/// have shown the message all the same: of `fatal_error` and `internal_error` it says so.
const PASSING: [&str; 10] = [
    "external_channel_migrating",
    "fatal_error",
    "internal_error",
    "message_limit_exceeded",
    "org_login_required",
    "rate_limited",
    "ratelimited",
    "request_timeout",
    "service_unavailable",
    "team_added_to_org",
];

/// Words for a token that is not good for the channel, or a channel that is not good for messages: another credential
/// may do.
const DENYING: [&str; 25] = [
    "access_denied",
    "accesslimited",
    "account_inactive",
    "channel_not_found",
    "channel_type_not_supported",
    "ekm_access_denied",
    "enterprise_is_restricted",
    "invalid_auth",
    "is_archived",
    "is_inactive",
    "messages_tab_disabled",
    "missing_scope",
    "no_permission",
    "not_allowed_token_type",
    "not_authed",
    "not_in_channel",
    "restricted_action",
    "restricted_action_read_only_channel",
    "restricted_action_thread_only_channel",
    "team_access_not_granted",
    "team_not_found",
    "token_expired",
    "token_revoked",
    "two_factor_setup_required",
    "user_not_found",
];

/// Words for a message that cannot be joined (any more), or that is not where it was.
const GONE: [&str; 8] = [
    "cannot_reply_to_message",
    "channel_not_found",
    "is_archived",
    "message_not_found",
    "not_in_channel",
    "restricted_action_non_threadable_channel",
    "restricted_action_thread_locked",
    "thread_not_found",
];

const NO_WORD: &str = "no known error word";

const BETWEEN: &str = "something between here and Slack answered";

/// The most that is read of the answer of a method. It repeats the message, which has some 10 KB and which JSON makes
/// several times longer; an answer that is cut short would count as none, and the message would be repeated for ever.
const METHOD_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// A method of the Web API did not do what it was called for.
#[derive(Debug)]
pub(super) struct Failed {
    /// Slack's error word; empty where there was none.
    word: String,
    pub error: DeliverError,
}

/// A method of the Web API did it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Done {
    /// The channel's id, whatever name it was called by.
    pub channel: Option<String>,
    /// The message's id in the channel.
    pub ts: Option<String>,
    pub message: Option<Posted>,
}

/// The message as Slack took it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Posted {
    pub thread_ts: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Verdict {
    ok: bool,
    error: Option<String>,
    /// With `missing_scope`: the scope.
    needed: Option<String>,
}

impl Failed {
    /// The message that was to be joined or updated is out of reach, which says nothing about a new one.
    pub fn is_gone(&self) -> bool {
        GONE.contains(&&*self.word)
    }
}

impl From<DeliverError> for Failed {
    fn from(error: DeliverError) -> Self {
        Self { word: String::new(), error }
    }
}

/// `answer` itself if its status is 200.
pub(super) async fn successful(answer: Response) -> Result<Response, DeliverError> {
    let (status, after) = (answer.status(), retry_after(answer.headers()));
    if status == StatusCode::OK {
        return Ok(answer);
    }
    if status.is_success() || status.is_redirection() {
        // Retried and not parked: the secret is read again every five minutes, so a corrected URL delivers what is owed.
        let reason = format!("Slack answered {}: {BETWEEN}, or the URL is wrong", status.as_u16());
        return Err(DeliverError::Retry { after, reason });
    }
    let body = http::body(answer, BODY_BYTES_MAX).await.unwrap_or_default();
    let word = word_of(&body).unwrap_or(NO_WORD);
    let reason = format!("Slack answered {}: {word}", status.as_u16());
    Err(match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT | StatusCode::LOCKED | StatusCode::TOO_EARLY => {
            DeliverError::Retry { after, reason }
        }
        status if status.is_server_error() => DeliverError::Retry { after, reason },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
            DeliverError::Denied { reason }
        }
        _ => DeliverError::Refused { reason },
    })
}

/// What a webhook says in an answer of status 200: `ok` if it is an incoming one, `{"ok": true}` if it starts a workflow.
pub(super) async fn of_webhook(answer: Response) -> Result<(), DeliverError> {
    let after = retry_after(answer.headers());
    let body = http::body(answer, BODY_BYTES_MAX).await.map_err(lost)?;
    let verdict = Verdict::of(&body).unwrap_or_default();
    if verdict.ok || body.trim_ascii() == b"ok" {
        return Ok(());
    }
    let said = verdict.error.as_deref().map_or(&*body, str::as_bytes);
    let reason = format!("Slack's webhook answered 200 without `ok`: {}", word_of(said).unwrap_or(BETWEEN));
    Err(DeliverError::Retry { after, reason })
}

/// What a method of the Web API says in an answer of status 200.
pub(super) async fn of_method(answer: Response) -> Result<Done, Failed> {
    let after = retry_after(answer.headers());
    let body = http::body(answer, METHOD_BYTES_MAX).await.map_err(lost)?;
    let Some(verdict) = Verdict::of(&body) else {
        return Err(DeliverError::Retry { after, reason: "Slack's API answered 200 without JSON".to_owned() }.into());
    };
    if verdict.ok {
        return Ok(serde_json::from_slice(&body).unwrap_or_default());
    }
    Err(verdict.failed(after))
}

impl Verdict {
    /// `None` for a body that Slack never sends.
    fn of(body: &[u8]) -> Option<Self> {
        // An array would do for serde.
        body.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(body).ok())?
    }

    fn failed(self, after: Option<Duration>) -> Failed {
        let word = word_of(self.error.as_deref().unwrap_or_default().as_bytes()).unwrap_or(NO_WORD);
        let scope = self.needed.as_deref().filter(|scope| is_scope(scope));
        let reason = match scope {
            Some(scope) => format!("Slack answered {word}: the token needs {scope}"),
            None => format!("Slack answered {word}"),
        };
        Failed { word: word.to_owned(), error: error_of(word, after, reason) }
    }
}

fn error_of(word: &str, after: Option<Duration>, reason: String) -> DeliverError {
    match word {
        word if PASSING.contains(&word) => DeliverError::Retry { after, reason },
        word if DENYING.contains(&word) => DeliverError::Denied { reason },
        _ => DeliverError::Refused { reason },
    }
}

/// A connection that failed. `reqwest` puts the URL into its errors; it comes out here.
pub(super) fn lost(error: reqwest::Error) -> DeliverError {
    let what = match &error {
        error if error.is_timeout() => "Slack did not answer in time",
        error if error.is_connect() => "Slack could not be reached",
        _ => "the connection to Slack was lost",
    };
    tracing::debug!("{what}: {:?}", error.without_url());
    DeliverError::Retry { after: None, reason: what.to_owned() }
}

/// Seconds, as Slack sends them, or a date, as a proxy may. An absurd value is cut to an hour: the message waits, it is
/// not given up.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_hours(1);
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let wait = whole_seconds(text).or_else(|| until(text, SystemClock.now()))?;
    Some(wait.min(LONGEST))
}

/// Rounded up.
fn whole_seconds(text: &str) -> Option<Duration> {
    // "inf" and "1e9" are numbers as well.
    let is_plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.');
    let seconds = text.parse::<f64>().ok().filter(|_| is_plain)?;
    Some(Duration::try_from_secs_f64(seconds.ceil()).unwrap_or(Duration::MAX))
}

/// How far ahead a date is; `None` when it has passed.
fn until(text: &str, now: Timestamp) -> Option<Duration> {
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    let wait = now.until(Timestamp::from_millis(at.as_millisecond()));
    (!wait.is_zero()).then_some(wait)
}

/// Slack's error word (`no_service`, `invalid_payload`). Anything else, a proxy's page for one, is not repeated.
fn word_of(body: &[u8]) -> Option<&str> {
    let word = str::from_utf8(body).ok()?.trim();
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
    ((1..=64).contains(&word.len()) && word.chars().all(is_word)).then_some(word)
}

/// `chat:write`, or several with commas between.
fn is_scope(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b":._,".contains(&b))
}
