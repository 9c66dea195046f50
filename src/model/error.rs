//! Errors as data and as text.

use std::borrow::Cow;
use std::error::Error;
use std::fmt::{self, Write as _};

/// Why a call failed: a code for programs and a message for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cause {
    /// The error code of AWS, such as `AccessDeniedException`. Where AWS did not answer, a code of
    /// this program in kebab case, such as `no-answer`.
    pub code: Cow<'static, str>,
    pub message: String,
}

impl Cause {
    pub fn new(code: impl Into<Cow<'static, str>>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    fn is_own(&self) -> bool {
        self.code.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'-')
    }

    /// The deadline passed before the call returned. It may still have taken effect.
    pub fn no_answer() -> Self {
        Self::new("no-answer", "the deadline passed")
    }
}

/// A code of AWS is a name that people search for. A code of this program is for programs, and its
/// message says the same.
impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.is_own() {
            true => f.write_str(&self.message),
            false => write!(f, "{}: {}", self.code, self.message),
        }
    }
}

/// An error and its sources on one line. The SDK's own text for a lost connection is only
/// "dispatch failure".
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, ": {cause}").expect("invariant: writing to a String cannot fail");
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cause_shows_the_code_of_aws_and_not_its_own() {
        let denied = Cause::new("AccessDeniedException", "not authorized");
        assert_eq!(denied.to_string(), "AccessDeniedException: not authorized");
        let queue = Cause::new("AWS.SimpleQueueService.NonExistentQueue", "no such queue");
        assert_eq!(queue.to_string(), "AWS.SimpleQueueService.NonExistentQueue: no such queue");
        assert_eq!(
            Cause::new("file-not-written", "dlq.jsonl: full").to_string(),
            "dlq.jsonl: full"
        );
        assert_eq!(Cause::no_answer().to_string(), "the deadline passed");
    }
}
