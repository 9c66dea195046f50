//! Durations and sizes as people write them: `"1h30m"`, `"64MiB"`.

use std::time::Duration;

use jiff::fmt::friendly::{Spacing, SpanParser, SpanPrinter};
use jiff::{Span, SpanRelativeTo};

/// The units of size with their bytes.
const SIZE_UNITS: [(&str, u64); 4] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads `"1500ms"`, `"30s"`, `"1h30m"`, and the longer forms that [`jiff::fmt::friendly`]
/// documents. Never negative. The largest unit is the hour: no window is as long as a day.
pub fn duration(text: &str) -> Option<Duration> {
    SpanParser::new().parse_unsigned_duration(text).ok()
}

/// The same, and also days of 24 hours and weeks: `"7d"`.
pub fn duration_with_days(text: &str) -> Option<Duration> {
    let span: Span = text.parse().ok()?;
    span.to_duration(SpanRelativeTo::days_are_24_hours()).ok()?.try_into().ok()
}

/// Reads `"5 in 10m"`: a number, and a duration as [`duration`] reads it.
///
/// # Errors
/// What is expected.
pub(super) fn rate(text: &str) -> Result<(u64, Duration), String> {
    let expected = || "expected a number and a duration, such as \"5 in 10m\"".to_owned();
    let (number, time) = text.split_once(" in ").ok_or_else(expected)?;
    let number = number.trim();
    let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
    let number = is_number.then(|| number.parse().ok()).flatten().ok_or_else(expected)?;
    Ok((number, duration(time.trim()).ok_or_else(expected)?))
}

/// Reads `"64MiB"`: a whole number and one of B, KiB, MiB, GiB. The result is in bytes.
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit())?);
    let (_, unit_bytes) = SIZE_UNITS.into_iter().find(|(name, _)| *name == unit)?;
    number.parse::<u64>().ok()?.checked_mul(unit_bytes)
}

/// Writes a duration in the form that [`duration`] reads.
pub(super) fn spell(duration: Duration) -> String {
    SpanPrinter::new().spacing(Spacing::None).unsigned_duration_to_string(&duration)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_numbers_with_units() {
        let check = |text: &str, ms: Option<u64>| {
            assert_eq!(duration(text), ms.map(Duration::from_millis), "{text:?}")
        };
        check("30s", Some(30_000));
        check("1500ms", Some(1_500));
        check("5m", Some(300_000));
        check("1h30m", Some(5_400_000));
        check("1h1m1s1ms", Some(3_661_001));
        check("90s", Some(90_000));
        check("0s", Some(0));
        check("1.5s", Some(1_500));
        check("1 hour 30 minutes", Some(5_400_000));
        for bad in [
            "", "30", "s", "-1s", " 30s", "1s1s", "30m1h", "1d", "30S", "30x", "1h ago", "PT30S",
            "inf",
        ] {
            check(bad, None);
        }
        check("18446744073709551615ms", Some(u64::MAX));
        check("18446744073709551616ms", None);
        check("18446744073709551615h", None);
        check("5124095576030h999999999999999999m", None);
    }

    #[test]
    fn days_have_24_hours() {
        let check = |text: &str, hours: Option<u64>| {
            assert_eq!(duration_with_days(text), hours.map(Duration::from_hours), "{text:?}");
        };
        check("7d", Some(168));
        check("1d12h", Some(36));
        check("1w", Some(168));
        check("2h", Some(2));
        for bad in ["", "d", "7", "-7d", "7d ago", "1mo", "1y", "9999999999999d"] {
            check(bad, None);
        }
    }

    #[test]
    fn sizes_are_a_number_with_a_unit() {
        let check = |text: &str, expected| assert_eq!(bytes(text), expected, "{text:?}");
        check("64MiB", Some(64 << 20));
        check("512B", Some(512));
        check("1GiB", Some(1 << 30));
        for bad in ["", "64", "MiB", "64MB", "64 MiB", "64mib", "1MiB1B", "-1MiB", "99999999999GiB"]
        {
            check(bad, None);
        }
    }

    proptest! {
        #[test]
        fn a_spelled_duration_reads_back(ms in any::<u64>()) {
            let spelled = spell(Duration::from_millis(ms));
            prop_assert_eq!(duration(&spelled), Some(Duration::from_millis(ms)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}|([0-9]{1,20}[hms]{0,2}){0,4}") {
            duration(&text);
            duration_with_days(&text);
            bytes(&text);
        }
    }
}
