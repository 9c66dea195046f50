//! Attribute values and items that borrow their content, for requests that are only written.

use std::borrow::Cow;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

/// A value, as in `{"S": "text"}`.
#[derive(Clone, Debug, Serialize)]
pub(super) enum ItemValue<'a> {
    S(Cow<'a, str>),
    #[serde(serialize_with = "base64")]
    B(Cow<'a, [u8]>),
    N(#[serde(serialize_with = "digits")] i64),
    L(Vec<ItemValue<'a>>),
}

impl<'a> ItemValue<'a> {
    pub(super) fn text(text: impl Into<Cow<'a, str>>) -> Self {
        Self::S(text.into())
    }
}

/// An item that is only written.
pub(super) struct Columns<'a>(Vec<(&'static str, ItemValue<'a>)>);

impl<'a, const N: usize> From<[(&'static str, ItemValue<'a>); N]> for Columns<'a> {
    fn from(columns: [(&'static str, ItemValue<'a>); N]) -> Self {
        Self(columns.into())
    }
}

impl Serialize for Columns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(name, value)| (name, value)))
    }
}

impl<'a> FromIterator<(&'static str, ItemValue<'a>)> for Columns<'a> {
    fn from_iter<I: IntoIterator<Item = (&'static str, ItemValue<'a>)>>(columns: I) -> Self {
        Self(columns.into_iter().collect())
    }
}

/// DynamoDB's JSON has bytes in base64.
fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
}

/// DynamoDB's JSON has numbers as text.
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde's serialize_with requires this signature"
)]
fn digits<S: Serializer>(number: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}
