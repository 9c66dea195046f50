//! Links that a route gives to the readers of its messages: a runbook, a dashboard. A template has
//! placeholders, such as `{app}`, for what the most frequent alerts of the message have in common.

use strum::{Display, EnumString, VariantNames};

use crate::model::digest::{Digest, ReaderLink};
use crate::model::pattern::pattern_id;
use crate::model::percent;
use crate::model::tally::Sample;

/// The longest template, in bytes.
pub const TEMPLATE_BYTES_MAX: usize = 1_000;

/// The longest link, in bytes. Chats and mail programs break or refuse links of 2,000 bytes and
/// more.
pub const URL_BYTES_MAX: usize = 1_900;

/// A link with a name, and placeholders in its URL.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkTemplate {
    pub name: String,
    url: UrlTemplate,
}

/// An `https` URL with placeholders, none of them in the name of the host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UrlTemplate(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Text(String),
    Value(Placeholder),
}

/// The value that a placeholder stands for.
#[derive(Copy, Clone, Debug, PartialEq, Eq, Display, EnumString, VariantNames)]
#[strum(serialize_all = "snake_case")]
pub enum Placeholder {
    App,
    Account,
    Region,
    LogGroup,
    LogStream,
    /// The same for all alerts of a pattern.
    PatternId,
    Marker,
    Route,
}

/// Why a text is not a template. Never repeats the text: a URL may hold a credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateError {
    /// The byte offset in the text.
    pub at: usize,
    pub reason: TemplateReason,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TemplateReason {
    NotHttps,
    Host,
    Unclosed,
    Character,
    TooLong,
    /// With its name, if that is a plain word.
    UnknownPlaceholder(String),
}

const SCHEME: &str = "https://";

impl UrlTemplate {
    /// # Errors
    /// Where the text is no template, and why.
    pub fn parse(text: &str) -> Result<Self, TemplateError> {
        let error = |at, reason| Err(TemplateError { at, reason });
        let Some(rest) = text.strip_prefix(SCHEME) else {
            return error(0, TemplateReason::NotHttps);
        };
        if text.len() > TEMPLATE_BYTES_MAX {
            return error(0, TemplateReason::TooLong);
        }
        let host = &rest[..rest.find(['/', '?', '#']).unwrap_or(rest.len())];
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b".-:".contains(&byte);
        if !host.bytes().all(is_host) || !host.starts_with(|c: char| c.is_ascii_alphanumeric()) {
            return error(SCHEME.len(), TemplateReason::Host);
        }
        let mut parts = vec![Part::Text(text[..SCHEME.len() + host.len()].to_owned())];
        let mut at = SCHEME.len() + host.len();
        while at < text.len() {
            let rest = &text[at..];
            let end = rest.find(['{', '}']).unwrap_or(rest.len());
            if let Some(odd) = rest[..end].find(|c| !is_url_char(c)) {
                return error(at + odd, TemplateReason::Character);
            }
            parts.push(Part::Text(rest[..end].to_owned()));
            at += end;
            let Some(placeholder) = text[at..].strip_prefix('{') else {
                match at < text.len() {
                    true => return error(at, TemplateReason::Unclosed),
                    false => break,
                }
            };
            let Some(end) = placeholder.find('}') else {
                return error(at, TemplateReason::Unclosed);
            };
            let name = &placeholder[..end];
            let Ok(known) = name.parse() else {
                return error(at, TemplateReason::UnknownPlaceholder(plain_word(name)));
            };
            parts.push(Part::Value(known));
            at += end + "{}".len();
        }
        Ok(Self(parts))
    }

    /// The URL for a digest. `None` if it is too long, or if the digest has no alert to take a value
    /// from.
    fn url(&self, digest: &Digest) -> Option<String> {
        let groups = digest.groups();
        let largest = groups.first();
        let mut url = String::new();
        for part in &self.0 {
            match part {
                Part::Text(text) => url.push_str(text),
                Part::Value(Placeholder::Route) => url.extend(percent::part(digest.route.as_str())),
                Part::Value(placeholder) => {
                    let (pattern, group) = largest?;
                    url.extend(percent::part(&placeholder.value(pattern, &group.sample)));
                }
            }
        }
        Some(url).filter(|url| url.len() <= URL_BYTES_MAX)
    }
}

impl LinkTemplate {
    pub fn new(name: impl Into<String>, url: UrlTemplate) -> Self {
        Self { name: name.into(), url }
    }

    /// The link for a digest, about its most frequent alerts.
    pub fn link(&self, digest: &Digest) -> Option<ReaderLink> {
        Some(ReaderLink { name: self.name.clone(), url: self.url.url(digest)? })
    }
}

impl Placeholder {
    fn value(self, pattern: &str, sample: &Sample) -> String {
        match self {
            Self::App => sample.app_name.clone(),
            Self::Account => sample.account_id.clone(),
            Self::Region => sample.region.clone().unwrap_or_default(),
            Self::LogGroup => sample.log_group.clone(),
            Self::LogStream => sample.log_stream.clone(),
            Self::PatternId => pattern_id(pattern),
            Self::Marker => sample.marker.clone(),
            Self::Route => String::new(),
        }
    }
}

/// Characters that a URL may have as they are, without those that mean something in markup.
fn is_url_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || "-._~:/?#[]@!$&()*+,;=%".contains(c)
}

/// A name that can be shown.
fn plain_word(name: &str) -> String {
    let is_plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if is_plain && name.len() <= 20 { name.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::tally::{Group, Names, Span, Tally, Values};
    use crate::model::time::Timestamp;

    fn digest(alerts: u64) -> Digest {
        let at = Timestamp::from_millis(1_795_443_306_789);
        let sample = Sample {
            id: "1".into(),
            timestamp: at,
            marker: "[CRITICAL]".into(),
            severity: None,
            statement: None,
            message: "[CRITICAL] order 7 failed".into(),
            message_bytes: 25,
            before: None,
            after: None,
            account_id: "111122223333".into(),
            region: None,
            log_group: "/ecs/prod web?".into(),
            log_stream: "web/é".into(),
            app_name: "shop".into(),
        };
        let group = Group {
            alerts,
            severities: Default::default(),
            span: Span { first: at, last: at },
            sample,
            accounts: Names::default(),
            log_groups: Names::default(),
            apps: Names::default(),
            values: Values::default(),
        };
        let mut tally = Tally { alerts, ..Tally::default() };
        if alerts > 0 {
            tally.groups.insert("[CRITICAL] order <n> failed".into(), group);
        }
        let (route, target) = ("critical".parse().unwrap(), "slack:a".parse().unwrap());
        Digest::new(&route, &target, None, (1, 1), tally)
    }

    fn url(template: &str, digest: &Digest) -> Option<String> {
        let template = LinkTemplate::new("x", UrlTemplate::parse(template).unwrap());
        template.link(digest).map(|link| link.url)
    }

    #[test]
    fn values_are_encoded() {
        let check = |template: &str, expected: &str| {
            assert_eq!(url(template, &digest(3)).as_deref(), Some(expected), "{template}");
        };
        check("https://wiki", "https://wiki");
        check("https://wiki:8443/{app}?a={account}", "https://wiki:8443/shop?a=111122223333");
        check(
            "https://w/{log_group}/{log_stream}",
            "https://w/%2Fecs%2Fprod%20web%3F/web%2F%C3%A9",
        );
        check("https://w/#{marker}&r={region}", "https://w/#%5BCRITICAL%5D&r=");
        check("https://w/{route}/(x)", "https://w/critical/(x)");
        let id = pattern_id("[CRITICAL] order <n> failed");
        check("https://w/{pattern_id}", &format!("https://w/{id}"));
        // The end of a burst has no alerts.
        assert_eq!(url("https://w/{app}", &digest(0)), None);
        assert_eq!(url("https://w/{route}", &digest(0)).as_deref(), Some("https://w/critical"));
    }

    #[test]
    fn other_texts_are_refused() {
        let check = |text: &str, at: usize, reason: TemplateReason| {
            assert_eq!(UrlTemplate::parse(text), Err(TemplateError { at, reason }), "{text}");
        };
        let unknown = |name: &str| TemplateReason::UnknownPlaceholder(name.to_owned());
        check("http://w/", 0, TemplateReason::NotHttps);
        check("javascript:alert(1)", 0, TemplateReason::NotHttps);
        check("https://", 8, TemplateReason::Host);
        check("https://{app}.w/", 8, TemplateReason::Host);
        check("https://user:pw@w/", 8, TemplateReason::Host);
        check("https://w/{app", 10, TemplateReason::Unclosed);
        check("https://w/a}", 11, TemplateReason::Unclosed);
        check("https://w/{ap}", 10, unknown("ap"));
        check("https://w/{hunter2!}", 10, unknown(""));
        check("https://w/{}", 10, unknown(""));
        check("https://w/a b", 11, TemplateReason::Character);
        check("https://w/|x>", 10, TemplateReason::Character);
        check("https://w/é", 10, TemplateReason::Character);
        check(&format!("https://w/{}", "a".repeat(1_000)), 0, TemplateReason::TooLong);
    }

    proptest! {
        #[test]
        fn a_link_holds_no_markup(template in "https://w[/?#][a-z{}_*|<>() \"']{0,30}", app in "\\PC{0,40}") {
            let Ok(template) = UrlTemplate::parse(&template) else { return Ok(()) };
            let mut digest = digest(3);
            digest.tally.groups.values_mut().for_each(|group| group.sample.app_name.clone_from(&app));
            let Some(link) = LinkTemplate::new("x", template).link(&digest) else { return Ok(()) };
            prop_assert!(link.url.chars().all(is_url_char), "{}", link.url);
            prop_assert!(link.url.len() <= URL_BYTES_MAX);
        }
    }
}
