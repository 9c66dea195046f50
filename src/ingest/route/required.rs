//! The texts that a search can look for, so that no log event that a route accepts is missed: one of
//! them is in its message, perhaps with terminal sequences in it.

use aho_corasick::{AhoCorasick, BuildError};

use super::condition::MessageText;
use crate::config::{Conditions, Config, Route};
use crate::filter_pattern::{RequiredTexts, longest_unescaped};

/// The texts of a configuration, without duplicates; `None` if a route accepts messages without any.
pub(super) fn of_config(config: &Config) -> Option<RequiredTexts> {
    RequiredTexts::union(config.routes.iter().map(of_route))
}

/// The texts of a route; `None` if none is in every log event that it accepts.
pub fn of_route(route: &Route) -> Option<RequiredTexts> {
    let Conditions { markers, ignore_case, patterns, fields, regexes, .. } = &route.conditions;
    let of_markers = match ignore_case {
        true => RequiredTexts::union(markers.iter().map(|text| RequiredTexts::in_any_case(text))),
        false => RequiredTexts::any_of(markers.iter().cloned()),
    };
    let of_patterns = RequiredTexts::union(patterns.iter().map(|pattern| pattern.required()));
    let of_regexes = RequiredTexts::union(regexes.iter().map(|regex| regex.required()));
    let of_fields = fields.iter().map(|field| field.required(*ignore_case));
    RequiredTexts::best([of_markers, of_patterns, of_regexes].into_iter().chain(of_fields))
}

/// Whether a search in raw text finds the log events that the route accepts. Without it, every log
/// event is parsed.
pub fn is_searchable(route: &Route) -> bool {
    of_route(route).is_some_and(|texts| texts.iter().all(|text| searchable(text).is_some()))
}

/// Finds out quickly that no route accepts a message.
pub(super) struct QuickSearch(Option<AhoCorasick>);

impl QuickSearch {
    pub(super) fn new(config: &Config, texts: Option<&RequiredTexts>) -> Result<Self, BuildError> {
        // Of one route with markers only, the own search is enough.
        let is_needed = match &config.routes[..] {
            [only] => only.conditions.markers.is_empty(),
            _ => true,
        };
        let texts = texts.filter(|_| is_needed);
        let search = |texts: &RequiredTexts| {
            AhoCorasick::new(texts.with_escapes().map(|text| text.into_owned().into_bytes()))
        };
        texts.map(search).transpose().map(Self)
    }

    pub(super) fn may_be_accepted(&self, message: &MessageText<'_>) -> bool {
        let is_in = |search: &AhoCorasick| {
            search.is_match(message.message())
                || message.plain().is_some_and(|plain| search.is_match(plain))
        };
        self.0.as_ref().is_none_or(is_in)
    }
}

/// The longest part of a text that raw JSON writes as it is or byte by byte; `None` if it is of no use.
pub(super) fn searchable(text: &str) -> Option<&str> {
    longest_unescaped(text).filter(|part| part.len() >= 2 || part.len() == text.len())
}
