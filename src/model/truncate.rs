//! Texts cut to a limit in bytes.

use std::ops::Range;

const ELLIPSIS: char = '…';

/// Cuts `text` to `bytes_max` bytes, including a final `…`. Returns whether it did.
pub fn truncate(text: &mut String, bytes_max: usize) -> bool {
    if text.len() <= bytes_max {
        return false;
    }
    text.truncate(kept(text, bytes_max).len());
    text.push(ELLIPSIS);
    text.shrink_to_fit();
    true
}

/// Like [`truncate`], as a copy.
pub fn truncated(text: &str, bytes_max: usize) -> String {
    match text.len() <= bytes_max {
        true => text.to_owned(),
        false => format!("{}{ELLIPSIS}", kept(text, bytes_max)),
    }
}

/// The end of `text`: at most `bytes_max` bytes, including a `…` at its start.
pub fn truncated_start(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let start = text.len() - bytes_max.saturating_sub(ELLIPSIS.len_utf8());
    format!("{ELLIPSIS}{}", &text[text.ceil_char_boundary(start)..])
}

/// The bytes of `text` to keep if only `bytes_max` are: its start, or the text around `focus` if
/// little of the text after `focus` would be kept.
pub fn around(text: &str, focus: usize, bytes_max: usize) -> Range<usize> {
    if text.len() <= bytes_max {
        return 0..text.len();
    }
    let start = if focus <= bytes_max / 4 * 3 { 0 } else { focus - bytes_max / 4 };
    let start = text.ceil_char_boundary(start.min(text.len() - bytes_max));
    start..text.floor_char_boundary(start + bytes_max)
}

/// The part before the ellipsis of a text that is longer than `bytes_max`.
fn kept(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max.saturating_sub(ELLIPSIS.len_utf8()))]
}
