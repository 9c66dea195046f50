//! Why Slack did not do what it was asked, and what that means for the delivery: worth a retry, a
//! fault of the credential, or final.

use std::time::Duration;

use thiserror::Error;

use crate::protocol::notify::{DeliverError, DeliveryFailure, FailureCode};

/// Error codes of conditions that pass (docs.slack.dev, chat.postMessage and chat.update). Slack
/// may have posted the message all the same: the documentation says so for `fatal_error` and
/// `internal_error`.
const TRANSIENT: [&str; 10] = [
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

/// Error codes for a token that may not post to the channel, or a channel that takes no messages.
/// Another credential may work.
const DENIED: [&str; 25] = [
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

/// Error codes for a message that does not exist any more, or that takes no replies.
const PARENT_GONE: [&str; 8] = [
    "cannot_reply_to_message",
    "channel_not_found",
    "is_archived",
    "message_not_found",
    "not_in_channel",
    "restricted_action_non_threadable_channel",
    "restricted_action_thread_locked",
    "thread_not_found",
];

/// A request to Slack failed. `after` is the wait that the answer asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SlackFailure {
    pub(super) error: SlackError,
    pub(super) after: Option<Duration>,
}

#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub(super) enum SlackError {
    #[error("Slack did not answer in time")]
    TimedOut,
    #[error("Slack could not be reached")]
    Unreachable,
    #[error("the connection to Slack was lost")]
    ConnectionLost,
    /// A status of success or redirection that Slack never sends: the answer is that of a proxy or
    /// of another server.
    #[error(
        "the answer has status {0}, which Slack does not send: check the URL, and any proxy on the way"
    )]
    ForeignStatus(u16),
    #[error("Slack answered {status}: {}", or(code, UNKNOWN))]
    Status { status: u16, code: Option<ErrorCode> },
    /// The answer of a webhook with status 200.
    #[error("the webhook answered 200 without `ok`: {}", or(code, "the answer is not from Slack"))]
    NotAccepted { code: Option<ErrorCode> },
    /// The answer of a method with status 200.
    #[error("Slack's API answered 200 without JSON")]
    NotJson,
    /// A method answered `"ok": false`.
    #[error("Slack answered {}", or(code, UNKNOWN))]
    Method { code: Option<ErrorCode> },
    /// A method answered `missing_scope`.
    #[error("Slack answered missing_scope: the token needs {scope}")]
    MissingScope { scope: String },
}

/// Slack's own code for an error, such as `no_service` or `invalid_payload`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ErrorCode(String);

const UNKNOWN: &str = "no known error code";

/// The consequence of an error for the delivery.
enum Class {
    Transient,
    Denied,
    Final,
}

impl ErrorCode {
    /// `None` for other text, such as the page of a proxy, which may hold anything and is not
    /// repeated.
    pub(super) fn parse(text: &[u8]) -> Option<Self> {
        let code = str::from_utf8(text).ok()?.trim();
        let is_code = (1..=64).contains(&code.len())
            && code.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
        is_code.then(|| Self(code.to_owned()))
    }
}

impl SlackError {
    /// The message to reply to or to update is out of reach. A new message may still be accepted.
    pub(super) fn is_parent_gone(&self) -> bool {
        matches!(self, Self::Method { code: Some(ErrorCode(code)) } if PARENT_GONE.contains(&code.as_str()))
    }

    fn class(&self) -> Class {
        match self {
            Self::TimedOut | Self::Unreachable | Self::ConnectionLost => Class::Transient,
            // Not final: the secret is read again every five minutes, and a corrected URL delivers
            // what is owed.
            Self::ForeignStatus(_) | Self::NotAccepted { .. } | Self::NotJson => Class::Transient,
            // Request Timeout, Locked, Too Early, Too Many Requests.
            Self::Status { status: 408 | 423 | 425 | 429 | 500..=599, .. } => Class::Transient,
            // Unauthorized, Forbidden, Not Found, Gone.
            Self::Status { status: 401 | 403 | 404 | 410, .. } | Self::MissingScope { .. } => {
                Class::Denied
            }
            Self::Status { .. } | Self::Method { code: None } => Class::Final,
            Self::Method { code: Some(ErrorCode(code)) } => match code.as_str() {
                code if TRANSIENT.contains(&code) => Class::Transient,
                code if DENIED.contains(&code) => Class::Denied,
                _ => Class::Final,
            },
        }
    }

    fn code(&self) -> FailureCode {
        let by_class = || match self.class() {
            Class::Denied => FailureCode::Auth,
            Class::Transient => FailureCode::Server,
            Class::Final => FailureCode::Client,
        };
        match self {
            Self::TimedOut => FailureCode::Timeout,
            Self::Unreachable | Self::ConnectionLost => FailureCode::Unreachable,
            Self::Status { status, .. } => FailureCode::of_status(*status),
            Self::Method { code: Some(ErrorCode(code)) } => match code.as_str() {
                "message_limit_exceeded" | "rate_limited" | "ratelimited" => {
                    FailureCode::RateLimited
                }
                "request_timeout" => FailureCode::Timeout,
                _ => by_class(),
            },
            _ => by_class(),
        }
    }
}

impl From<SlackError> for SlackFailure {
    fn from(error: SlackError) -> Self {
        Self { error, after: None }
    }
}

/// The text of `reqwest`'s errors has the URL, which may be a webhook's; only the kind is kept.
impl From<reqwest::Error> for SlackFailure {
    fn from(error: reqwest::Error) -> Self {
        let kind = match &error {
            error if error.is_timeout() => SlackError::TimedOut,
            error if error.is_connect() => SlackError::Unreachable,
            _ => SlackError::ConnectionLost,
        };
        tracing::debug!("{kind}: {:?}", error.without_url());
        kind.into()
    }
}

impl From<SlackFailure> for DeliverError {
    fn from(SlackFailure { error, after }: SlackFailure) -> Self {
        let reason = DeliveryFailure::new(error.code(), error.to_string());
        match error.class() {
            Class::Transient => Self::Retry { after, reason },
            Class::Denied => Self::Denied { reason },
            Class::Final => Self::Refused { reason },
        }
    }
}

fn or<'a>(code: &'a Option<ErrorCode>, unknown: &'a str) -> &'a str {
    code.as_ref().map_or(unknown, |ErrorCode(code)| code)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_code_of_an_error_agrees_with_its_class() {
        let method = |code: &str| SlackError::Method { code: ErrorCode::parse(code.as_bytes()) };
        for code in TRANSIENT {
            let expected = match code {
                "message_limit_exceeded" | "rate_limited" | "ratelimited" => {
                    FailureCode::RateLimited
                }
                "request_timeout" => FailureCode::Timeout,
                _ => FailureCode::Server,
            };
            assert_eq!(method(code).code(), expected, "{code}");
        }
        for code in DENIED {
            assert_eq!(method(code).code(), FailureCode::Auth, "{code}");
        }
        assert_eq!(method("invalid_blocks").code(), FailureCode::Client);
        assert_eq!(method("no code").code(), FailureCode::Client);
        let scope = "chat:write".to_owned();
        assert_eq!(SlackError::MissingScope { scope }.code(), FailureCode::Auth);
        assert_eq!(SlackError::NotJson.code(), FailureCode::Server);
        assert_eq!(SlackError::ConnectionLost.code(), FailureCode::Unreachable);
        assert_eq!(SlackError::Status { status: 429, code: None }.code(), FailureCode::RateLimited);
    }
}
