//! The meaning of the keys of a scope: `log_groups`, `log_streams`, `accounts` and `regions`.

use super::diagnostic::Diagnostics;
use super::region;
use super::value::{Fields, TomlValue, optional_list, warn_elements};
use super::{Glob, Scope};

/// Digits of an account id.
const ACCOUNT_DIGITS: usize = 12;

pub(super) fn scope(fields: &mut Fields<'_>, diagnostics: &mut Diagnostics<'_>) -> Option<Scope> {
    let log_groups = globs(fields.take("log_groups"), diagnostics, TomlValue::parse);
    let log_streams = globs(fields.take("log_streams"), diagnostics, TomlValue::parse);
    let accounts = globs(fields.take("accounts"), diagnostics, account);
    let listed = fields.take("regions");
    let regions = globs(listed, diagnostics, self::region);
    warn_elements(listed, diagnostics, region_warning);
    Some(Scope {
        log_groups: log_groups?,
        log_streams: log_streams?,
        accounts: accounts?,
        regions: regions?,
    })
}

/// One list of a scope. An empty list would admit everything but reads as if it admitted nothing,
/// so it is refused.
pub(super) fn globs<'a>(
    list: Option<TomlValue<'a>>,
    diagnostics: &mut Diagnostics<'_>,
    read: impl FnMut(TomlValue<'a>) -> Result<Glob, String>,
) -> Option<Vec<Glob>> {
    let globs = optional_list(list, diagnostics, read)?;
    match list {
        Some(list) if globs.is_empty() => {
            diagnostics.error(list, "must not be empty; leave the key out to admit everything");
            None
        }
        _ => Some(globs),
    }
}

fn account(value: TomlValue<'_>) -> Result<Glob, String> {
    let glob: Glob = value.parse()?;
    let has_digits_only =
        || value.str().is_ok_and(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
    match glob.width() {
        None | Some(ACCOUNT_DIGITS) if !glob.is_literal() || has_digits_only() => Ok(glob),
        _ if glob.is_literal() => Err("an account id has 12 digits".to_owned()),
        _ => {
            Err("an account id has 12 digits, and this pattern only matches another length"
                .to_owned())
        }
    }
}

fn region(value: TomlValue<'_>) -> Result<Glob, String> {
    let glob: Glob = value.parse()?;
    match glob.is_literal() && !region::has_shape(value.str()?) {
        true => Err("expected a Region, such as \"eu-west-1\"".to_owned()),
        false => Ok(glob),
    }
}

/// Only a warning, because a Region may be newer than this program.
fn region_warning(value: TomlValue<'_>) -> Option<String> {
    let text = value.str().ok()?;
    let glob: Glob = text.parse().ok()?;
    if region::KNOWN.iter().any(|known| glob.matches(known)) {
        return None;
    }
    Some(match (glob.is_literal(), region::closest(text)) {
        (true, Some(meant)) => format!("unknown Region, did you mean `{meant}`?"),
        (true, None) => "unknown Region".to_owned(),
        (false, _) => "matches no known Region".to_owned(),
    })
}
