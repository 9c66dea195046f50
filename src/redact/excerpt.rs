//! The redacted excerpt of a text that may be very long. Only a part of the text is read, so the
//! time does not depend on its length.
//!
//! The part that is read has a margin on each side of the excerpt, so that a secret across the edge
//! of the excerpt is recognized. A run of letters and digits longer than the margin may be part of
//! a secret, so it is left out. A secret with spaces that starts before the margin is not
//! recognized.

use std::borrow::Cow;
use std::ops::Range;

use super::Redactor;
use crate::model::humanize::humanize_bytes;
use crate::model::truncate::around;

/// How much is read on each side of the excerpt.
pub(super) const MARGIN_BYTES: usize = 8 * 1024;
/// The longest note on left-out text, in bytes.
const NOTE_BYTES_MAX: usize = 32;

/// Offsets in a text that is being redacted.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    pub(super) from: usize,
    pub(super) focus: usize,
    pub(super) to: usize,
}

impl Marks {
    /// Updates `moved` after the text at `old` has become the text at `new`. `self` has the offsets
    /// before the first replacement.
    pub(super) fn moved(self, moved: &mut Self, old: &Range<usize>, new: Range<usize>) {
        let shift = |mark: usize, moved: &mut usize, inside: usize| {
            if mark >= old.end {
                *moved = mark - old.end + new.end;
            } else if mark > old.start {
                *moved = inside;
            }
        };
        shift(self.from, &mut moved.from, new.start);
        shift(self.focus, &mut moved.focus, new.start);
        shift(self.to, &mut moved.to, new.end);
    }
}

impl Redactor {
    /// At most `bytes_max` bytes of `text`, redacted, with `[14 KB left out]…` where text is left
    /// out; and the number of bytes that are. The excerpt begins with the text, unless `focus` is
    /// far from there: then it is around `focus`. Time and memory do not depend on the length of
    /// `text`.
    pub fn excerpt(&self, text: &str, focus: usize, bytes_max: usize) -> (String, usize) {
        let kept = match text.len() <= bytes_max + 2 * MARGIN_BYTES {
            true => 0..text.len(),
            false => without_long_runs(text, around(text, focus, bytes_max)),
        };
        let window = text.floor_char_boundary(kept.start.saturating_sub(MARGIN_BYTES))
            ..text.ceil_char_boundary(text.len().min(kept.end + MARGIN_BYTES));
        let (start, cut) = (window.start, window.end < text.len());
        let focus = focus.clamp(kept.start, kept.end);
        let mut marks =
            Marks { from: kept.start - start, focus: focus - start, to: kept.end - start };
        let redacted = self.redact_marked(&text[window], cut, &mut marks, &mut |_| {});
        let left_out = (kept.start, text.len() - kept.end);
        fit(&redacted[marks.from..marks.to], marks.focus - marks.from, left_out, bytes_max)
    }

    /// The bytes `part` of `text`, redacted as a part of it: a name or a quote in front of the part
    /// can make a secret of it.
    pub fn redact_part<'t>(&self, text: &'t str, part: Range<usize>) -> Cow<'t, str> {
        let window = text.floor_char_boundary(part.start.saturating_sub(MARGIN_BYTES))
            ..text.ceil_char_boundary(text.len().min(part.end + MARGIN_BYTES));
        let (start, cut) = (window.start, window.end < text.len());
        let (from, to) = (part.start - start, part.end - start);
        let mut marks = Marks { from, focus: from, to };
        match self.redact_marked(&text[window], cut, &mut marks, &mut |_| {}) {
            Cow::Borrowed(redacted) => Cow::Borrowed(&redacted[marks.from..marks.to]),
            Cow::Owned(redacted) => Cow::Owned(redacted[marks.from..marks.to].to_owned()),
        }
    }
}

/// `kept` without runs of letters and digits that are longer than the margin.
fn without_long_runs(text: &str, kept: Range<usize>) -> Range<usize> {
    let bytes = text.as_bytes();
    let belongs = |byte: &u8| byte.is_ascii_alphanumeric() || b"+/=_.~%-".contains(byte);
    let Range { mut start, mut end } = kept;
    if start > MARGIN_BYTES && bytes[start - MARGIN_BYTES..start].iter().all(belongs) {
        start += bytes[start..end].iter().take_while(|byte| belongs(byte)).count();
    }
    if text.len() - end > MARGIN_BYTES && bytes[end..end + MARGIN_BYTES].iter().all(belongs) {
        end -= bytes[start..end].iter().rev().take_while(|byte| belongs(byte)).count();
    }
    start..end
}

/// Cuts redacted text to `bytes_max` bytes, including the notes on what is left out. `left` and
/// `right` are the bytes that are already left out on that side.
fn fit(
    text: &str,
    focus: usize,
    (left, right): (usize, usize),
    bytes_max: usize,
) -> (String, usize) {
    let notes_max = match (left, right) {
        (0, 0) if text.len() <= bytes_max => return (text.to_owned(), 0),
        _ => 2 * NOTE_BYTES_MAX,
    };
    let kept = around(text, focus, bytes_max - notes_max);
    let (left, right) = (left + kept.start, right + text.len() - kept.end);
    let note = |bytes: usize| format!("[{} left out]", humanize_bytes(bytes as u64));
    let before = if left > 0 { note(left) + "…" } else { String::new() };
    let after = if right > 0 { format!("…{}", note(right)) } else { String::new() };
    ([&*before, &text[kept], &*after].concat(), left + right)
}

#[cfg(test)]
mod tests {
    use super::*;

    const BYTES_MAX: usize = 16 * 1024;

    fn excerpt(text: &str, marker: &str) -> (String, bool) {
        let (excerpt, left_out) =
            Redactor::default().excerpt(text, text.find(marker).unwrap_or(0), BYTES_MAX);
        assert!(
            excerpt.len() <= BYTES_MAX && excerpt.capacity() <= BYTES_MAX,
            "{} {}",
            excerpt.len(),
            excerpt.capacity()
        );
        (excerpt, left_out > 0)
    }

    #[test]
    fn a_long_text_is_cut_around_the_marker() {
        let words = |bytes: usize| "word ".repeat(bytes / 5);
        let cases = [
            ("as is".to_owned(), false, "as is", "as is"),
            (words(16_000), false, "word ", "word "),
            ("é".repeat(20_000), true, "éé", "éé…[23 KB left out]"),
            (format!("[X] why {}", words(20_000)), true, "[X] why word", "…[3.6 KB left out]"),
            (format!("[X] why {}", words(1 << 20)), true, "[X] why word", "…[1.0 MB left out]"),
            (format!("{}[X] why", "a".repeat(20_000)), true, "[3.6 KB left out]…aaa", "aaa[X] why"),
            (format!("{}[X] why", words(1 << 20)), true, "[1.0 MB left out]…", "word [X] why"),
            (
                format!("{}[X] why {}", words(1 << 20), words(1 << 20)),
                true,
                "[1.0 MB left out]…",
                "…[1.0 MB left out]",
            ),
            (
                format!("{} [X] why {}", "a".repeat(1 << 20), "b".repeat(1 << 20)),
                true,
                "[1.0 MB left out]… [X] why …",
                "… [X] why …[1.0 MB left out]",
            ),
            (
                format!("{} [X] why", "password=abc ".repeat(1 << 17)),
                true,
                "[1.7 MB left out]…",
                "=[redacted:password]  [X] why",
            ),
            (
                format!("[X] why {}", "key: \"pass".repeat(1 << 17)),
                true,
                "[X] why key: ",
                "…[1.2 MB left out]",
            ),
        ];
        for (text, expected, start, end) in cases {
            let (excerpt, cut) = excerpt(&text, "[X] why");
            let shown = || {
                (
                    excerpt.chars().take(40).collect::<String>(),
                    excerpt.chars().rev().take(40).collect::<String>(),
                )
            };
            assert!(
                cut == expected && excerpt.starts_with(start) && excerpt.ends_with(end),
                "{start} {:?}",
                shown()
            );
            assert!(
                !text.contains("[X] why") || excerpt.contains("[X] why"),
                "{start} {:?}",
                shown()
            );
        }
    }

    #[test]
    fn no_part_of_a_secret_survives_the_cut() {
        let long = "Zq7".repeat(700);
        let secrets = [
            ("password=", "Zq7Xw9Zq7Xw9Zq7Xw9", " "),
            ("{\"password\":\"", "Zq7 Xw9 Zq7 Xw9 Zq7 Xw9", "\"} "),
            ("Authorization: Bearer ", &long, " "),
            (concat!("gh", "p_"), "Zq7Xw9Zq7Xw9Zq7Xw9Zq7Xw9Zq7Xw9Zq7Xw9", " "),
            (concat!("eyJ", "hbGciOiJIUzI1NiJ9."), &long, ".Zq7Xw9Zq7 "),
            ("https://user:", "Zq7Xw9Zq7Xw9", "@host/ "),
            (concat!("-----BEGIN PRIVATE", " KEY-----\n"), &long, "\n-----END PRIVATE KEY----- "),
        ];
        for (before, secret, after) in secrets {
            let secret = format!("{before}{secret}{after}");
            // The excerpt ends at 16 KiB, or starts 4 KiB before the marker.
            for at in (0..secret.len() + 40).step_by(secret.len() / 20 + 1) {
                let pad = BYTES_MAX + 20 - at;
                let text =
                    format!("[X] {}{secret}{}", "ab, ".repeat(pad / 4), "c d ".repeat(10_000));
                let (kept, _) = excerpt(&text, "[X]");
                assert!(
                    !kept.contains("Zq7") && !kept.contains("Xw9"),
                    "{before} {at} {:?}",
                    kept.split_at(16_000).1
                );
                let text = format!(
                    "{}{secret}{}[X] why",
                    "ab, ".repeat(10_000),
                    "c d ".repeat((4096 + 20 - at.min(4000)) / 4)
                );
                let (kept, _) = excerpt(&format!("{text} {}", "c d ".repeat(10_000)), "[X]");
                assert!(
                    !kept.contains("Zq7") && !kept.contains("Xw9"),
                    "{before} {at} {:?}",
                    kept.split_at(4000).0
                );
            }
        }
    }
}
