//! Time as a value. The library never reads the clock: every moment is passed in as a
//! [`Timestamp`].

use std::ops::RangeInclusive;
use std::time::Duration;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::fmt::temporal::{DateTimePrinter, Pieces};
use serde::{Deserialize, Serialize};

/// Milliseconds since 1970-01-01T00:00:00Z, the unit of CloudWatch Logs and of the Lambda deadline.
#[derive(
    Copy, Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(i64);

// Not `jiff::Timestamp`: it ends 22 hours before the year 9999 does.
const UNIX_EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

const ISO_MILLIS: DateTimePrinter = DateTimePrinter::new().precision(Some(3));

/// The years 1 to 9999, which ISO 8601 writes with four digits. A producer may send any number as a
/// timestamp; one outside this range is shown as the nearest end.
const RANGE_MS: RangeInclusive<i64> = -62_135_596_800_000..=253_402_300_799_999;

impl Timestamp {
    pub const fn from_millis(millis: i64) -> Self {
        Self(millis)
    }

    pub const fn as_millis(self) -> i64 {
        self.0
    }

    /// This moment plus `duration`. Saturates.
    #[must_use]
    pub fn after(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// This moment minus `duration`. Saturates.
    #[must_use]
    pub fn before(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)))
    }

    /// The time from this moment until `later`; zero if `later` is earlier.
    pub fn until(self, later: Self) -> Duration {
        Duration::from_millis(later.0.saturating_sub(self.0).try_into().unwrap_or(0))
    }

    /// ISO 8601, UTC, milliseconds: `2026-11-23T14:05:06.789Z`.
    pub fn iso(self) -> String {
        ISO_MILLIS.datetime_to_string(&self.date_time()) + "Z"
    }

    /// Reads ISO 8601 with an offset, as [`Timestamp::iso`] and AWS write it. Fractions of a
    /// millisecond are dropped.
    pub fn from_iso(text: &str) -> Option<Self> {
        let pieces = Pieces::parse(text).ok()?;
        let offset = SignedDuration::from_secs(pieces.to_numeric_offset()?.seconds().into());
        let since_epoch =
            pieces.date().to_datetime(pieces.time()?).duration_since(UNIX_EPOCH) - offset;
        i64::try_from(since_epoch.as_nanos().div_euclid(1_000_000)).ok().map(Self)
    }

    /// Date and time of day in UTC, for other formats. Clamped like [`Timestamp::iso`].
    pub fn date_time(self) -> DateTime {
        UNIX_EPOCH.saturating_add(SignedDuration::from_millis(self.clamped().0))
    }

    /// The nearest moment that [`Timestamp::iso`] can write.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self(self.0.clamp(*RANGE_MS.start(), *RANGE_MS.end()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_writes_utc_with_milliseconds() {
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
    fn iso_reads_its_own_output_and_that_of_aws() {
        for (iso, millis) in [
            ("2026-11-23T14:15:06.789Z", Some(1_795_443_306_789)),
            ("2026-11-23T16:15:06.789123+02:00", Some(1_795_443_306_789)),
            ("2026-11-23T14:15:06Z", Some(1_795_443_306_000)),
            ("1969-12-31T23:59:59.9995Z", Some(-1)),
            ("9999-12-31T23:59:59.999Z", Some(*RANGE_MS.end())),
            ("2026-11-23", None),
            ("2026-11-23T14:15:06", None),
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
        assert_eq!(
            Timestamp::from_millis(5).until(Timestamp::from_millis(12)),
            Duration::from_millis(7)
        );
    }
}
