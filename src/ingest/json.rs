//! Small readers of JSON that `event` and `decode` share.

mod cursor;

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

pub(super) use cursor::{JsonCursor, has_control};

/// A JSON string, borrowed if it has no escapes. (serde borrows a `Cow` only where an attribute
/// says so, and inside an `Option` there is no place for one.)
#[derive(Deserialize)]
pub(crate) struct Text<'a>(#[serde(borrow)] pub Cow<'a, str>);

/// The string that `raw` is; `None` if it is no string.
pub(crate) fn text(raw: &RawValue) -> Option<Cow<'_, str>> {
    serde_json::from_str::<Text<'_>>(raw.get()).ok().map(|text| text.0)
}

/// What is wrong with a JSON text, without a quote from it: serde's own messages repeat values, and
/// a value may be a secret. `None`: the text is JSON, but has another shape.
pub(crate) fn json_problem(error: &serde_json::Error) -> Option<&'static str> {
    use serde_json::error::Category;
    match error.classify() {
        Category::Eof => Some("it ends too early"),
        Category::Syntax => Some("a syntax error"),
        Category::Io => Some("it cannot be read"),
        Category::Data => None,
    }
}
