//! How values are written to columns and read back. A column that has something else was written by
//! another version of this program, or by hand: a person has to look.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::error::Error;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::{BufMut as _, BytesMut};
use ring::digest::{SHA256, digest};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_postgres::Row;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::adapters::packed::unpack_json;
use crate::model::error::Cause;
use crate::model::name::Target;
use crate::model::outbox::{Claim, Cursor, TargetState, Window};
use crate::model::time::Timestamp;
use crate::protocol::store::StoreError;

/// The primary key of an alert: the first half of the SHA-256 of its id. An id may have any length and
/// any character.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct AlertKey([u8; 16]);

impl AlertKey {
    pub(super) fn of(log_id: &str) -> Self {
        let hash = digest(&SHA256, log_id.as_bytes());
        let (half, _) = hash.as_ref().split_first_chunk().expect("invariant: SHA-256 has 32 bytes");
        Self(*half)
    }
}

impl ToSql for AlertKey {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn Error + Sync + Send>> {
        out.put_slice(&self.0);
        Ok(IsNull::No)
    }

    fn accepts(ty: &Type) -> bool {
        *ty == Type::UUID
    }

    to_sql_checked!();
}

/// A text without the character that PostgreSQL cannot store. The symbol for it takes its place.
pub(super) fn text(text: &str) -> Cow<'_, str> {
    match memchr::memchr(0, text.as_bytes()) {
        None => Cow::Borrowed(text),
        Some(_) => Cow::Owned(text.replace('\0', "\u{2400}")),
    }
}

/// Numbers of windows and epochs are small; a limit may be the largest of all.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// The bits of a random number.
pub(super) fn bits(value: u64) -> i64 {
    i64::from_ne_bytes(value.to_ne_bytes())
}

pub(super) fn json(value: &impl Serialize) -> String {
    serde_json::to_string(value).expect("invariant: string keys and plain data always serialize")
}

/// A time of an audit row: in the years 1 to 9999.
pub(super) fn system_time(at: Timestamp) -> SystemTime {
    let millis = at.clamped().as_millis();
    let distance = Duration::from_millis(millis.unsigned_abs());
    if millis < 0 { UNIX_EPOCH - distance } else { UNIX_EPOCH + distance }
}

pub(super) fn timestamp(at: SystemTime) -> Timestamp {
    match at.duration_since(UNIX_EPOCH) {
        Ok(since) => Timestamp::default().after(since),
        Err(early) => Timestamp::default().before(early.duration()),
    }
}

pub(super) fn get<'r, T: FromSql<'r>>(row: &'r Row, column: &str) -> Result<T, StoreError> {
    row.try_get(column).map_err(|_| unexpected(column))
}

pub(super) fn count(row: &Row, column: &str) -> Result<u64, StoreError> {
    Ok(optional_count(row, column)?.unwrap_or(0))
}

fn optional_count(row: &Row, column: &str) -> Result<Option<u64>, StoreError> {
    let value: Option<i64> = get(row, column)?;
    value.map(|value| u64::try_from(value).map_err(|_| unexpected(column))).transpose()
}

pub(super) fn time(row: &Row, column: &str) -> Result<Option<Timestamp>, StoreError> {
    Ok(get::<Option<i64>>(row, column)?.map(Timestamp::from_millis))
}

pub(super) fn optional_json<T: DeserializeOwned>(
    row: &Row,
    column: &str,
) -> Result<Option<T>, StoreError> {
    let text: Option<&str> = get(row, column)?;
    text.map(|text| serde_json::from_str(text).map_err(|_| unexpected(column))).transpose()
}

pub(super) fn packed<T: DeserializeOwned>(row: &Row, column: &str) -> Result<T, StoreError> {
    unpack_json(get(row, column)?).ok_or_else(|| unexpected(column))
}

/// The columns of [`cursor`].
pub(super) const CURSOR: &str = "last_window, open_window, due, claimed_by, claimed_at, closing, epoch, sealed, \
     counted, counting_since, retired, burst, patterns, holding, muted_until, targets::text AS targets, fallbacks::text AS fallbacks";

pub(super) fn cursor(row: &Row) -> Result<Cursor, StoreError> {
    let claim = match (get::<Option<i64>>(row, "claimed_by")?, time(row, "claimed_at")?) {
        (Some(by), Some(at)) => Some(Claim { by: u64::from_ne_bytes(by.to_ne_bytes()), at }),
        _ => None,
    };
    let open = optional_count(row, "open_window")?.map(|number| {
        time(row, "due").map(|due| Window { number, due: due.unwrap_or_default(), claim })
    });
    let targets: Option<BTreeMap<Target, u64>> = optional_json(row, "targets")?;
    let fallbacks: Option<BTreeMap<Target, bool>> = optional_json(row, "fallbacks")?;
    Ok(Cursor {
        last_window: count(row, "last_window")?,
        open: open.transpose()?,
        closing: optional_count(row, "closing")?,
        epoch: count(row, "epoch")?,
        sealed: count(row, "sealed")?,
        burst: optional_json(row, "burst")?,
        patterns: optional_json(row, "patterns")?.unwrap_or_default(),
        holding: optional_json(row, "holding")?.unwrap_or_default(),
        counted: count(row, "counted")?,
        counting_since: time(row, "counting_since")?,
        retired: count(row, "retired")?,
        targets: targets.unwrap_or_default(),
        fallbacks: fallbacks.unwrap_or_default().into_keys().collect(),
        muted_until: time(row, "muted_until")?,
    })
}

/// The columns of [`target`].
pub(super) const TARGET: &str = "t.\"offset\", t.leased_until, t.not_before, t.turn, t.failures, t.thread, t.muted, \
     t.escalation, t.last";

pub(super) fn target(row: &Row) -> Result<TargetState, StoreError> {
    let failures = u32::try_from(count(row, "failures")?).map_err(|_| unexpected("failures"))?;
    Ok(TargetState {
        offset: optional_count(row, "offset")?,
        not_before: time(row, "not_before")?,
        turn: time(row, "turn")?,
        failures,
        leased_until: time(row, "leased_until")?,
        thread: optional_json(row, "thread")?,
        muted: count(row, "muted")?,
        escalation: optional_json(row, "escalation")?,
        last: optional_json(row, "last")?,
    })
}

pub(super) fn unexpected(column: &str) -> StoreError {
    StoreError::Refused(Cause::new(
        "unexpected-row",
        format!("column `{column}` of a row has an unexpected value"),
    ))
}

/// The error of a statement that undid itself, although it has no condition.
pub(super) fn unconditional() -> StoreError {
    StoreError::Refused(Cause::new("unconditional", "a condition failed where none was set"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_without_nul_is_not_copied() {
        assert!(matches!(text("plain ␀"), Cow::Borrowed("plain ␀")));
        assert_eq!(text("a\0b\0"), "a\u{2400}b\u{2400}");
    }

    #[test]
    fn a_key_depends_on_the_whole_id_and_never_changes() {
        // Stored rows have this key: another one would give each of them a new identity.
        let id = AlertKey::of("37-6ad72a50").0;
        assert_eq!(id, AlertKey::of("37-6ad72a50").0);
        assert_eq!(id[..4], KEY_OF_37, "{id:02x?}");
        assert_ne!(AlertKey::of("a\0"), AlertKey::of("a\u{2400}"));
    }

    /// As `sha256sum` prints it.
    const KEY_OF_37: [u8; 4] = [0x7f, 0x8c, 0x35, 0x97];

    proptest! {
        #[test]
        fn times_are_the_same_after_reading(millis in -62_135_596_800_000_i64..=253_402_300_799_999) {
            let at = Timestamp::from_millis(millis);
            prop_assert_eq!(timestamp(system_time(at)), at);
        }

        #[test]
        fn a_random_number_is_the_same_after_reading(by: u64) {
            prop_assert_eq!(u64::from_ne_bytes(bits(by).to_ne_bytes()), by);
        }
    }
}
