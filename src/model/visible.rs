//! Makes text from outside safe to show. Log lines, names, file names and the errors that quote
//! them can contain control sequences for a terminal, and characters that hide or reorder others.
//! Code that shows such text to a person calls one of these functions. Stored text is not changed.

use std::fmt::Write as _;

/// Text of several lines. Colors are removed, line breaks become `\n`, other white space becomes
/// spaces, and every other invisible character is shown by its number: `[U+202E]`. A joiner between
/// two emoji stays, because it makes one of them: 👩‍💻. So does one between two letters of a script
/// that needs it, such as Persian or Hindi.
pub fn text(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let taken = escape_sequence(rest).unwrap_or(c.len_utf8());
        rest = &rest[taken..];
        if taken > c.len_utf8() {
            continue;
        }
        match c {
            '\r' if rest.starts_with('\n') => {}
            '\n' | '\r' | '\u{b}' | '\u{c}' | '\u{85}' | '\u{2028}' | '\u{2029}' => {
                shown.push('\n')
            }
            '\t' => shown.push_str("    "),
            c if c.is_whitespace() => shown.push(' '),
            JOINER if shown.ends_with(is_emoji_part) && rest.starts_with(is_emoji) => shown.push(c),
            JOINER | NON_JOINER
                if shown.ends_with(is_joined_script) && rest.starts_with(is_joined_script) =>
            {
                shown.push(c);
            }
            c if is_invisible(c) => {
                write!(shown, "[U+{:04X}]", u32::from(c))
                    .expect("invariant: writing to a String cannot fail");
            }
            c => shown.push(c),
        }
    }
    shown
}

/// The zero width joiner and non-joiner.
const JOINER: char = '\u{200d}';
const NON_JOINER: char = '\u{200c}';

/// Whether a character is of a script in which joiners are spelling: Arabic, Syriac, N'Ko, and those
/// of India and Sri Lanka.
fn is_joined_script(c: char) -> bool {
    matches!(c, '\u{620}'..='\u{7ff}' | '\u{8a0}'..='\u{dff}') && !is_ignorable(c)
}

/// Whether a character can be the first of an emoji. Source: the Unicode property
/// Extended_Pictographic, by its blocks.
fn is_emoji(c: char) -> bool {
    matches!(c, '\u{2190}'..='\u{21ff}' | '\u{2300}'..='\u{23ff}' | '\u{2600}'..='\u{27bf}' | '\u{2b00}'..='\u{2bff}'
        | '\u{1f000}'..='\u{1faff}')
}

/// Whether a character can be the last of an emoji: also a selector of color.
fn is_emoji_part(c: char) -> bool {
    is_emoji(c) || c == '\u{fe0f}'
}

/// The same on one line: a line break becomes a space.
pub fn line(line: &str) -> String {
    text(line).replace('\n', " ")
}

/// A JSON document with the same value, in which invisible characters are escaped: `\u202e`. They
/// occur inside strings only, where JSON allows the escape.
pub fn json(document: &str) -> String {
    let mut escaped = String::with_capacity(document.len());
    for c in document.chars() {
        if c.is_ascii_whitespace() || !(is_invisible(c) || matches!(c, '\u{2028}' | '\u{2029}')) {
            escaped.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            write!(escaped, "\\u{unit:04x}").expect("invariant: writing to a String cannot fail");
        }
    }
    escaped
}

/// Whether a character is a control character, or shows nothing and may change how others look.
/// Includes the Braille blank. Excludes U+FE0F, which selects a colored emoji: it is harmless and
/// common.
pub fn is_invisible(c: char) -> bool {
    c.is_control() || c == '\u{2800}' || is_ignorable(c) && c != '\u{fe0f}'
}

/// Whether a character shows nothing by itself: direction marks and overrides, joiners and other
/// characters without width, tags, fillers. Source: the Unicode properties
/// Default_Ignorable_Code_Point and Bidi_Control, and interlinear annotation.
pub fn is_ignorable(c: char) -> bool {
    matches!(c,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}'
        | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}'
        | '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}

/// The length of the terminal control sequence (`ESC [ … letter`, mostly colors) at the start of
/// `text`.
fn escape_sequence(text: &str) -> Option<usize> {
    let parameters = text.strip_prefix("\u{1b}[")?;
    let end = parameters.find(|c: char| !matches!(c, '0'..='9' | ';' | ':' | '?' | ' '))?;
    parameters[end..].starts_with(|c: char| c.is_ascii_alphabetic()).then_some(2 + end + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invisible_characters_are_shown_by_number() {
        let cases = [
            ("plain ünï ☕", "plain ünï ☕"),
            ("\u{1b}[1;31mERROR\u{1b}[0m x", "ERROR x"),
            ("\u{1b}]0;title\u{7}", "[U+001B]]0;title[U+0007]"),
            ("abc\u{202e}gnp.exe", "abc[U+202E]gnp.exe"),
            ("a\u{200b}b\u{feff}\u{0}", "a[U+200B]b[U+FEFF][U+0000]"),
            ("\u{7f}\u{9b}2J\u{e0041}", "[U+007F][U+009B]2J[U+E0041]"),
            ("one\r\ntwo\rthree\u{2028}four", "one\ntwo\nthree\nfour"),
            ("\tx\u{a0}y", "    x y"),
            ("\u{1b}[", "[U+001B]["),
            (
                "deploy 👩\u{200d}💻 👩🏽\u{200d}🔬 🏳\u{fe0f}\u{200d}🌈",
                "deploy 👩\u{200d}💻 👩🏽\u{200d}🔬 🏳\u{fe0f}\u{200d}🌈",
            ),
            ("می\u{200c}خواهم क्\u{200d}ष", "می\u{200c}خواهم क्\u{200d}ष"),
            ("x\u{200c}م \u{200d}क", "x[U+200C]م [U+200D]क"),
            ("pass\u{200d}word 👩\u{200d}x \u{200d}👩", "pass[U+200D]word 👩[U+200D]x [U+200D]👩"),
        ];
        for (raw, shown) in cases {
            assert_eq!(text(raw), shown, "{raw:?}");
            assert_eq!(line(raw), shown.replace('\n', " "), "{raw:?}");
        }
    }

    #[test]
    fn json_keeps_its_value() {
        let odd: String =
            (0..=0x2_ffff).chain(0xe_0000..=0xe_0fff).filter_map(char::from_u32).collect();
        let value = serde_json::json!({ &odd[..99]: odd, "n": [1, null] });
        for document in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            let escaped = json(&document);
            assert_eq!(serde_json::from_str::<serde_json::Value>(&escaped).unwrap(), value);
            let is_hidden =
                |c: char| (is_invisible(c) || matches!(c, '\u{2028}' | '\u{2029}')) && c != '\n';
            assert_eq!(escaped.find(is_hidden), None);
        }
        assert_eq!(json("\"\u{202e}\u{7f}\u{e0041}é\""), r#""\u202e\u007f\udb40\udc41é""#);
    }
}
