//! The percent-encoding of URLs. Source: RFC 3986.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};

const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
const RESERVED_IN_PATH: &AsciiSet = &RESERVED.remove(b'/');

/// Encodes all but unreserved characters, so that `text` is one part of a path or a query.
pub fn part(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED)
}

/// The same, except for the slashes between the parts of a path.
pub fn path(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, RESERVED_IN_PATH)
}

#[cfg(test)]
mod tests {
    #[test]
    fn reserved_characters_are_encoded() {
        let key = "day=2026-11-28/a b+ü~.gz";
        assert_eq!(super::path(key).to_string(), "day%3D2026-11-28/a%20b%2B%C3%BC~.gz");
        assert_eq!(super::part("a/b").to_string(), "a%2Fb");
    }
}
