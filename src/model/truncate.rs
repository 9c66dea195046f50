//! Texts cut to a limit in bytes.

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

/// The part before the ellipsis of a text that is longer than `bytes_max`.
fn kept(text: &str, bytes_max: usize) -> &str {
    &text[..text.floor_char_boundary(bytes_max.saturating_sub(ELLIPSIS.len_utf8()))]
}
