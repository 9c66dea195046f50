//! The members of a JSON object, as far as it can be read.

use std::borrow::Cow;
use std::fmt;

use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use serde_json::value::RawValue;

/// A member of an object; its value is a part of the searched text.
pub(super) struct Field<'a> {
    pub(super) key: Cow<'a, str>,
    pub(super) value: &'a str,
}

/// The field of this name, in any case.
pub(super) fn field<'f, 'a>(fields: &'f [Field<'a>], key: &str) -> Option<&'f Field<'a>> {
    fields.iter().find(|field| field.key.eq_ignore_ascii_case(key))
}

/// The members of the object at the start of `text`: all of a complete one, and as many as there
/// are of one that is cut off.
pub(super) fn fields(text: &str) -> Vec<Field<'_>> {
    struct Fields<'a, 'f>(&'f mut Vec<Field<'a>>);

    impl<'a> Visitor<'a> for Fields<'a, '_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some((Key(key), value)) = map.next_entry::<Key<'a>, &'a RawValue>()? {
                self.0.push(Field { key, value: value.get() });
            }
            Ok(())
        }
    }

    /// Borrowed if it has no escapes.
    #[derive(Deserialize)]
    struct Key<'a>(#[serde(borrow)] Cow<'a, str>);

    let mut fields = Vec::new();
    // An error says where the object is cut off or no longer JSON; what came before it counts.
    let _ = serde_json::Deserializer::from_str(text).deserialize_map(Fields(&mut fields));
    fields
}

pub(super) fn string(value: &str) -> Option<String> {
    serde_json::from_str(value).ok()
}

/// The first text of an array.
pub(super) fn first_text(array: &str) -> Option<&str> {
    let values: Vec<&RawValue> = serde_json::from_str(array).ok()?;
    values.into_iter().map(RawValue::get).find(|value| value.starts_with('"'))
}

/// The attributes of a record of OpenTelemetry: an object, or a list of keys and values.
pub(super) fn attributes<'a>(of: &[Field<'a>]) -> Vec<Field<'a>> {
    #[derive(Deserialize)]
    struct Attribute<'a> {
        #[serde(borrow)]
        key: Cow<'a, str>,
        #[serde(borrow)]
        value: &'a RawValue,
    }

    let Some(attributes) = field(of, "attributes") else { return Vec::new() };
    match attributes.value.as_bytes().first() {
        Some(b'{') => fields(attributes.value),
        Some(b'[') => {
            let listed: Vec<Attribute<'a>> =
                serde_json::from_str(attributes.value).unwrap_or_default();
            let any_value = |value: &'a RawValue| fields(value.get()).into_iter().next();
            let field = |Attribute { key, value }| Some(Field { key, ..any_value(value)? });
            listed.into_iter().filter_map(field).collect()
        }
        _ => Vec::new(),
    }
}
