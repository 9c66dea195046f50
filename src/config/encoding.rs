//! Recognizes files that are not UTF-8. Editors and shells on Windows write other encodings.

use super::diagnostic::Diagnostic;

/// # Errors
/// The place of the first byte that is not UTF-8, and the encoding that the file seems to have.
pub(crate) fn utf8(bytes: &[u8]) -> Result<&str, Diagnostic> {
    if is_utf16(bytes) {
        let message = "this file is UTF-16; save it as UTF-8".to_owned();
        return Err(Diagnostic { line: 1, column: 1, message });
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let valid = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let message = match error.error_len() {
            None => "this is not UTF-8: the file ends within a character",
            Some(_) => {
                "this is not UTF-8 but looks like Latin-1 or Windows-1252; save the file as UTF-8"
            }
        };
        let line = 1 + valid.matches('\n').count();
        let column = 1 + valid.rsplit('\n').next().unwrap_or_default().chars().count();
        Diagnostic { line, column, message: message.to_owned() }
    })
}

/// A byte order mark, or many zero bytes: in UTF-16, every other byte of ASCII text is zero. TOML
/// contains no zero byte.
fn is_utf16(bytes: &[u8]) -> bool {
    let zeros = bytes.iter().filter(|byte| **byte == 0).count();
    bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || zeros > bytes.len() / 3
}
