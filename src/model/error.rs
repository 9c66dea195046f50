//! Errors as text.

use std::error::Error;
use std::fmt::Write as _;

/// An error with its causes, in one line. The SDK's own text for a lost connection is "dispatch failure".
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        write!(text, ": {cause}").expect("invariant: writing to a String cannot fail");
        source = cause.source();
    }
    text
}
