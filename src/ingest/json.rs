//! Small readers of JSON that `event` and `decode` share.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

/// A JSON string, borrowed when it has no escapes. (serde borrows a `Cow` only where it is told to, and
/// inside an `Option` it cannot be told.)
#[derive(Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The string that `raw` is, if it is one.
pub(crate) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

/// What is wrong with a JSON text, in words that quote nothing of it: serde's own messages repeat
/// values, and a value may be a secret. `None`: the text is JSON, but of another shape.
pub(crate) fn json_problem(error: &serde_json::Error) -> Option<&'static str> {
    use serde_json::error::Category;
    match error.classify() {
        Category::Eof => Some("it ends too early"),
        Category::Syntax => Some("a syntax error"),
        Category::Io => Some("it cannot be read"),
        Category::Data => None,
    }
}
