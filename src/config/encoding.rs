//! Tells which encoding a file has that is not UTF-8: editors and shells on Windows write others.

use super::problem::ConfigDiagnostic;

/// # Errors
/// Where the first byte is that is not UTF-8, and what the file looks like instead.
pub(super) fn utf8(bytes: &[u8]) -> Result<&str, ConfigDiagnostic> {
    if is_utf16(bytes) {
        return Err(ConfigDiagnostic {
            line: 1,
            column: 1,
            message: "this file is UTF-16; save it as UTF-8".to_owned(),
        });
    }
    std::str::from_utf8(bytes).map_err(|error| {
        let good = String::from_utf8_lossy(&bytes[..error.valid_up_to()]);
        let message = match error.error_len() {
            None => "this is not UTF-8: the file ends within a character",
            Some(_) => "this is not UTF-8 but looks like Latin-1 or Windows-1252; save the file as UTF-8",
        };
        let line = 1 + good.matches('\n').count();
        let column = 1 + good.rsplit('\n').next().unwrap_or_default().chars().count();
        ConfigDiagnostic { line, column, message: message.to_owned() }
    })
}

/// A byte order mark, or every other byte of what would be ASCII is zero. No TOML holds a zero.
fn is_utf16(bytes: &[u8]) -> bool {
    let zeros = bytes.iter().filter(|byte| **byte == 0).count();
    bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") || zeros > bytes.len() / 3
}
