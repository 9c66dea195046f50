//! The subject of a mail, and the title of an issue.

use super::content::Content;
use super::{compose, facts, text};
use crate::model::digest::Digest;

/// SNS takes fewer than 100 characters, all of them printable ASCII (SNS API reference, Publish).
const SUBJECT_BYTES_MAX: usize = 99;

/// The longest title of an issue, in bytes. Jira takes 255 characters.
pub const ISSUE_TITLE_BYTES_MAX: usize = 255;

/// The title in printable ASCII, at most 99 characters: `Fallback: [CRITICAL] 1 alert`.
pub fn subject(content: &Content) -> String {
    let fallback = if content.is_fallback { "Fallback: " } else { "" };
    let title = text::title(&format!("{fallback}{}", content.title), SUBJECT_BYTES_MAX)
        .replace('…', "...")
        .replace('·', "-");
    title.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}

/// The title of an issue that more alerts will be added to, so it has no number: `[CRITICAL] no
/// space left on device`. Never empty, on one line.
pub fn issue_title(digest: &Digest) -> String {
    let Some((pattern, group)) = digest.groups().first().copied() else {
        let title = match digest.tally.is_empty() {
            true => digest.title(),
            false => format!("Alerts of many patterns on {}", digest.route),
        };
        return text::name(&title, ISSUE_TITLE_BYTES_MAX);
    };
    let quote = compose::quote_with_marker(pattern, group);
    match facts::has_one_group(digest) {
        true => quote,
        false => format!("{quote} and others on {}", digest.route),
    }
}
