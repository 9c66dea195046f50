//! Reads Slack's answers. A webhook reports an error as a status; a method of the Web API mostly
//! answers 200 and reports it as `"ok": false` and a code.
//!
//! Only Slack's own words count as acceptance. A captive portal, a proxy or another server behind a
//! mistyped URL can answer 200 too, and an alert that such a server took would be lost without a
//! trace.

use reqwest::{Response, StatusCode};
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::error::{ErrorCode, SlackError, SlackFailure};
use crate::adapters::http::{self, BODY_BYTES_MAX, retry_after};
use crate::model::time::Timestamp;

/// The most that is read of a method's answer. It repeats the message, which has some 10 KB and is
/// several times longer as JSON. A cut answer would count as a failure, and the message would be
/// repeated without end.
const METHOD_BYTES_MAX: usize = 4 * BODY_BYTES_MAX;

/// A method of the Web API succeeded.
#[derive(Debug, Default, Deserialize)]
pub(super) struct MethodAnswer {
    /// The channel's id, even if the request had its name.
    pub(super) channel: Option<String>,
    /// The id of the message in the channel.
    pub(super) ts: Option<String>,
    pub(super) message: Option<PostedMessage>,
}

/// The message as Slack posted it.
#[derive(Debug, Default, Deserialize)]
pub(super) struct PostedMessage {
    pub(super) thread_ts: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Outcome {
    ok: bool,
    error: Option<String>,
    /// With `missing_scope`: the scope.
    needed: Option<String>,
}

/// `answer` itself if its status is 200.
pub(super) async fn check_status(
    answer: Response,
    now: Timestamp,
) -> Result<Response, SlackFailure> {
    let (status, after) = (answer.status(), retry_after(answer.headers(), now));
    if status == StatusCode::OK {
        return Ok(answer);
    }
    if status.is_success() || status.is_redirection() {
        return Err(SlackFailure { error: SlackError::ForeignStatus(status.as_u16()), after });
    }
    let body = http::body(answer, BODY_BYTES_MAX).await.unwrap_or_default();
    let (status, code) = (status.as_u16(), ErrorCode::parse(&body));
    Err(SlackFailure { error: SlackError::Status { status, code }, after })
}

/// Checks a webhook's answer of status 200: `ok` from an incoming webhook, `{"ok": true}` from one
/// that starts a workflow.
pub(super) async fn check_webhook(answer: Response, now: Timestamp) -> Result<(), SlackFailure> {
    let after = retry_after(answer.headers(), now);
    let body = http::body(answer, BODY_BYTES_MAX).await?;
    let outcome = Outcome::parse(&body).unwrap_or_default();
    if outcome.ok || body.trim_ascii() == b"ok" {
        return Ok(());
    }
    let code = ErrorCode::parse(outcome.error.as_deref().map_or(&*body, str::as_bytes));
    Err(SlackFailure { error: SlackError::NotAccepted { code }, after })
}

/// Reads a method's answer of status 200.
pub(super) async fn read_method(
    answer: Response,
    now: Timestamp,
) -> Result<MethodAnswer, SlackFailure> {
    read_method_as(answer, now).await.map(Option::unwrap_or_default)
}

/// The same for an answer of another shape; `None` if it has not that shape.
pub(super) async fn read_method_as<T: DeserializeOwned>(
    answer: Response,
    now: Timestamp,
) -> Result<Option<T>, SlackFailure> {
    let after = retry_after(answer.headers(), now);
    let body = http::body(answer, METHOD_BYTES_MAX).await?;
    match Outcome::parse(&body) {
        None => Err(SlackFailure { error: SlackError::NotJson, after }),
        Some(outcome) if !outcome.ok => Err(SlackFailure { error: outcome.error(), after }),
        Some(_) => Ok(serde_json::from_slice(&body).ok()),
    }
}

impl Outcome {
    /// `None` for a body that Slack never sends.
    fn parse(body: &[u8]) -> Option<Self> {
        // serde would read a struct from an array, too.
        body.trim_ascii_start().starts_with(b"{").then(|| serde_json::from_slice(body).ok())?
    }

    fn error(self) -> SlackError {
        let error = self.error.as_deref().unwrap_or_default();
        match self.needed {
            Some(scope) if error == "missing_scope" && is_scope(&scope) => {
                SlackError::MissingScope { scope }
            }
            _ => SlackError::Method { code: ErrorCode::parse(error.as_bytes()) },
        }
    }
}

/// `chat:write`, or several scopes with commas between them.
fn is_scope(text: &str) -> bool {
    (1..=100).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b":._,".contains(&b))
}
