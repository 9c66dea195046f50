//! The subject of a mail.

use super::content::Content;
use super::text;

/// SNS takes fewer than 100 characters, all of them printable ASCII (SNS API reference, Publish).
const SUBJECT_BYTES_MAX: usize = 99;

/// The title in printable ASCII, at most 99 characters: `Fallback: [CRITICAL] 1 alert`.
pub fn subject(content: &Content) -> String {
    let fallback = if content.is_fallback { "Fallback: " } else { "" };
    let title = text::title(&format!("{fallback}{}", content.title), SUBJECT_BYTES_MAX)
        .replace('…', "...")
        .replace('·', "-");
    title.chars().map(|c| if c.is_ascii_graphic() || c == ' ' { c } else { '?' }).collect()
}
