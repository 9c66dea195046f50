//! The template of a message with its values, as Serilog writes it: `Order {OrderId} failed`.

use std::borrow::Cow;

use super::fields::{Field, field, fields};

/// Keys of a template.
const TEMPLATE_KEYS: &[&str] = &["messageTemplate", "@mt"];
/// Keys of the same message with its values.
const RENDERED_KEYS: &[&str] = &["renderedMessage", "@m"];
/// The longest value that is not a number or a text.
const VALUE_BYTES_MAX: usize = 60;

/// Whether another field has the message of this template.
pub(super) fn is_rendered_elsewhere(template: &str, of: &[Field<'_>]) -> bool {
    is_template(template) && RENDERED_KEYS.iter().any(|key| field(of, key).is_some())
}

/// `text`, which is under `key`, with the values of the other fields `of` if it is a template. A
/// text is in quotes, as Serilog renders it.
pub(super) fn rendered<'t>(key: &str, text: Cow<'t, str>, of: &[Field<'_>]) -> Cow<'t, str> {
    if !is_template(key) || !text.contains(['{', '}']) {
        return text;
    }
    let properties = field(of, "properties").map(|field| fields(field.value)).unwrap_or_default();
    let value = |hole: &str| {
        let name = hole.trim_start_matches(['@', '$']);
        let name = &name[..name.find([',', ':']).unwrap_or(name.len())];
        let value = field(&properties, name).or_else(|| field(of, name))?.value;
        (value.starts_with('"') || value.len() <= VALUE_BYTES_MAX).then_some(value)
    };
    let (mut out, mut rest) = (String::with_capacity(text.len() + 32), &*text);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, brace) = rest.split_at(at);
        out.push_str(before);
        let hole = brace[1..].split_once('}').map(|(hole, _)| hole);
        rest = if brace[1..].starts_with(&brace[..1]) {
            out.push_str(&brace[..1]);
            &brace[2..]
        } else if let Some((hole, value)) =
            hole.filter(|_| brace.starts_with('{')).and_then(|hole| Some((hole, value(hole)?)))
        {
            out.push_str(value);
            &brace[hole.len() + 2..]
        } else {
            out.push_str(&brace[..1]);
            &brace[1..]
        };
    }
    out.push_str(rest);
    Cow::Owned(out)
}

fn is_template(key: &str) -> bool {
    TEMPLATE_KEYS.iter().any(|template| template.eq_ignore_ascii_case(key))
}
