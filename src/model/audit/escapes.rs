//! The escapes of JSON in a text that may be cut off, so that it is no JSON.

/// `text` with the characters that JSON escapes with a backslash. Other text stays.
pub(crate) fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, escaped)) = rest.split_once('\\') {
        plain.push_str(before);
        let mut chars = escaped.chars();
        let c = chars.next();
        rest = chars.as_str();
        plain.push(match c {
            Some('n') => '\n',
            Some('r') => '\r',
            Some('t') => '\t',
            Some('u') => match unicode(rest) {
                Some((c, after)) => {
                    rest = after;
                    c
                }
                None => 'u',
            },
            Some(other) => other,
            None => '\\',
        });
    }
    plain.push_str(rest);
    plain
}

/// The character of the digits after `\u`, perhaps of two such escapes, and what follows.
fn unicode(text: &str) -> Option<(char, &str)> {
    let (unit, after) = hex(text)?;
    if let Some(c) = char::from_u32(unit) {
        return Some((c, after));
    }
    let (low, after) = hex(after.strip_prefix("\\u")?)?;
    let pair = [u16::try_from(unit).ok()?, u16::try_from(low).ok()?];
    let c = char::decode_utf16(pair).next()?.ok()?;
    Some((c, after))
}

fn hex(text: &str) -> Option<(u32, &str)> {
    let (digits, after) = text.split_at_checked(4)?;
    let is_hex = digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((u32::from_str_radix(digits, 16).ok().filter(|_| is_hex)?, after))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_become_the_characters_that_they_stand_for() {
        for (escaped, plain) in [
            (r#"a \"b\" \n\t\r\\"#, "a \"b\" \n\t\r\\"),
            (r"\u00fc\u00DC\u20ac", "üÜ€"),
            (r"\ud83d\ude00!", "😀!"),
            (r"\ud83d", "ud83d"),
            (r"\ud83d\u0041", "ud83dA"),
            (r"\u00f", "u00f"),
            (r"\u+0fc", "u+0fc"),
            (r"\u00€", "u00€"),
            (r"end\", "end\\"),
            ("", ""),
        ] {
            assert_eq!(without_escapes(escaped), plain, "{escaped}");
        }
    }
}
