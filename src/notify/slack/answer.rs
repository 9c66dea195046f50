//! What Slack's answers mean: worth a retry, a matter of the credential, or final. A webhook says it with the status;
//! the Web API mostly says 200, and an error word beside `"ok": false`.

use std::time::Duration;

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::notify::DeliverError;

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
    let reason = format!("Slack answered {}: {}", status.as_u16(), word_of(&answer.text().await.unwrap_or_default()));
    Err(match status {
        StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT => DeliverError::Retry { after, reason },
        status if status.is_server_error() => DeliverError::Retry { after, reason },
        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::GONE => {
            DeliverError::Denied { reason }
        }
        _ => DeliverError::Refused { reason },
    })
}

/// What a method of the Web API says in an answer of status 200.
pub(super) async fn of_method(answer: Response) -> Result<Done, Failed> {
    let after = retry_after(answer.headers());
    let body = answer.text().await.map_err(lost)?;
    let Ok(verdict) = serde_json::from_str::<Verdict>(&body) else {
        // Not Slack's: a proxy on the way, perhaps, and what it says may pass.
        return Err(DeliverError::Retry { after, reason: "Slack's API answered 200 without JSON".to_owned() }.into());
    };
    if verdict.ok {
        return Ok(serde_json::from_str(&body).unwrap_or_default());
    }
    Err(verdict.failed(after))
}

impl Verdict {
    fn failed(self, after: Option<Duration>) -> Failed {
        let word = word_of(self.error.as_deref().unwrap_or_default());
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

/// Seconds, as Slack sends them. An absurd value is cut to an hour: the message waits, it is not given up.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    const LONGEST: Duration = Duration::from_hours(1);
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.trim().parse::<u64>().ok()?;
    Some(Duration::from_secs(seconds).min(LONGEST))
}

/// Slack's error word (`no_service`, `invalid_payload`). Anything else, a proxy's page for one, is not repeated.
fn word_of(text: &str) -> &str {
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
    match text.trim() {
        word if (1..=64).contains(&word.len()) && word.chars().all(is_word) => word,
        _ => "no known error word",
    }
}

/// `chat:write`, or several with commas between.
fn is_scope(text: &str) -> bool {
    (1..=100).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b":._,".contains(&b))
}
