//! The meaning of `runbook` and `links`.

use strum::VariantNames as _;

use super::LINKS_MAX;
use super::diagnostic::Diagnostics;
use super::value::{Fields, TomlValue, closest};
use crate::model::reader_link::{
    LinkTemplate, Placeholder, TEMPLATE_BYTES_MAX, TemplateError, TemplateReason, UrlTemplate,
};
use crate::model::visible;

/// The longest name of a link, in bytes: that of a button in Slack.
const NAME_BYTES_MAX: usize = 40;

/// `runbook = "https://…"` and `links = { Dashboard = "https://…" }`, the runbook first.
pub(super) fn links(
    fields: &mut Fields<'_>,
    diagnostics: &mut Diagnostics<'_>,
) -> Option<Vec<LinkTemplate>> {
    let (runbook, links) = (fields.take("runbook"), fields.take("links"));
    let mut found = Vec::new();
    let mut is_valid = true;
    let mut add = |name: &str, url: Option<UrlTemplate>| match url {
        Some(url) => found.push(LinkTemplate::new(name, url)),
        None => is_valid = false,
    };
    if let Some(value) = runbook {
        add("Runbook", template(value, diagnostics));
    }
    if let Some(value) = links {
        let entries: Vec<(&str, TomlValue<'_>)> =
            diagnostics.read(value, TomlValue::entries)?.collect();
        if entries.len() >= LINKS_MAX {
            let most = LINKS_MAX - 1;
            diagnostics.error(value, format_args!("has {}, of at most {most}", entries.len()));
            return None;
        }
        for (name, value) in entries {
            let is_shown = !name.trim().is_empty() && !name.chars().any(visible::is_invisible);
            if !is_shown || name.len() > NAME_BYTES_MAX {
                let limit = format!("the name of a link has 1 to {NAME_BYTES_MAX} visible bytes");
                diagnostics.error(value, limit);
                add(name, None);
            } else {
                add(name, template(value, diagnostics));
            }
        }
    }
    is_valid.then_some(found)
}

/// Reports a mistake at its place in the URL.
fn template(value: TomlValue<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<UrlTemplate> {
    let text = diagnostics.read(value, TomlValue::str)?;
    match UrlTemplate::parse(text) {
        Ok(template) => Some(template),
        Err(TemplateError { at, reason }) => {
            diagnostics.error_within(value, at, message(&reason));
            None
        }
    }
}

fn message(reason: &TemplateReason) -> String {
    let known = || {
        let names: Vec<String> =
            Placeholder::VARIANTS.iter().map(|name| format!("{{{name}}}")).collect();
        names.join(", ")
    };
    match reason {
        TemplateReason::NotHttps => "a link begins with https://".to_owned(),
        TemplateReason::Host => {
            "expected the name of a host, without a user and without a placeholder".to_owned()
        }
        TemplateReason::Unclosed => {
            "a placeholder is written {name}; write %7B and %7D for the characters themselves"
                .to_owned()
        }
        TemplateReason::Character => {
            "this character has to be percent-encoded, such as %20 for a blank".to_owned()
        }
        TemplateReason::TooLong => format!("a link has at most {TEMPLATE_BYTES_MAX} bytes"),
        TemplateReason::UnknownPlaceholder(name) => match closest(name, Placeholder::VARIANTS) {
            Some(meant) => format!("unknown placeholder `{{{name}}}`, did you mean `{{{meant}}}`?"),
            None => format!("unknown placeholder, expected one of {}", known()),
        },
    }
}
