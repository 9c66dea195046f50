//! Time as a value. The library never asks the machine for the time: a moment comes in as a [`Timestamp`].

use std::time::Duration;

use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use time::format_description::FormatItem;
use time::format_description::well_known::Rfc3339;
use time::macros::format_description;

/// Milliseconds since 1970-01-01T00:00:00Z, the unit of CloudWatch Logs and of the Lambda deadline.
#[derive(Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(i64);

const ISO_MILLIS: &[FormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");

/// The years that ISO 8601 writes with four digits. A producer may send any number as a time stamp;
/// what lies outside is shown as the nearest end.
const RANGE_MS: std::ops::RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment and `duration` more; stays at the end of time instead of wrapping.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment less `duration`; stays at the beginning of time instead of wrapping.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// How long from this moment until `later`; zero when it has passed.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0).try_into().unwrap_or(0))
    }

    /// ISO 8601, UTC, milliseconds: `2026-11-23T14:05:06.789Z`.
    pub fn iso(self) -> String {
        self.date_time()
            .format(ISO_MILLIS)
            .expect("invariant: a date within RANGE_MS has every component of ISO_MILLIS")
    }

    /// Reads ISO 8601 with an offset, as [`Timestamp::iso`] and AWS write it; finer than milliseconds is cut.
    pub fn from_iso(text: &str) -> Option<Self> {
        let at = OffsetDateTime::parse(text, &Rfc3339).ok()?;
        i64::try_from(at.unix_timestamp_nanos().div_euclid(1_000_000)).ok().map(Self)
    }

    /// The moment as calendar date and time of day in UTC, for code that formats it otherwise.
    pub fn date_time(self) -> OffsetDateTime {
        let clamped = self.0.clamp(*RANGE_MS.start(), *RANGE_MS.end());
        OffsetDateTime::from_unix_timestamp_nanos(i128::from(clamped) * 1_000_000)
            .expect("invariant: RANGE_MS lies within the dates that `time` knows")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_is_utc_with_milliseconds() {
        let cases = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1_795_443_306_789, "2026-11-23T14:15:06.789Z"),
            (-1, "1969-12-31T23:59:59.999Z"),
            (i64::MAX, "9999-12-31T23:59:59.999Z"),
            (i64::MIN, "0001-01-01T00:00:00.000Z"),
        ];
        for (millis, iso) in cases {
            assert_eq!(Timestamp::from_millis(millis).iso(), iso, "{millis}");
        }
    }

    #[test]
    fn iso_reads_back_and_takes_what_aws_writes() {
        for (iso, millis) in [
            ("2026-11-23T14:15:06.789Z", Some(1_795_443_306_789)),
            ("2026-11-23T16:15:06.789123+02:00", Some(1_795_443_306_789)),
            ("2026-11-23T14:15:06Z", Some(1_795_443_306_000)),
            ("1969-12-31T23:59:59.9995Z", Some(-1)),
            ("2026-11-23", None),
            ("", None),
        ] {
            assert_eq!(Timestamp::from_iso(iso).map(Timestamp::as_millis), millis, "{iso}");
        }
    }

    #[test]
    fn arithmetic_saturates() {
        let end = Timestamp::from_millis(i64::MAX);
        assert_eq!(end.after(Duration::MAX), end);
        assert_eq!(end.until(Timestamp::default()), Duration::ZERO);
        assert_eq!(Timestamp::from_millis(5).until(Timestamp::from_millis(12)), Duration::from_millis(7));
    }
}
