//! Spans of time and sizes as people write them: `"1h30m"`, `"64MiB"`.
//!
//! The parser of durations is our own because the usual one, `humantime` 2.4, panics on some sums
//! near 2⁶⁴ seconds and knows months and years, which no window should be measured in.

use std::time::Duration;

/// The units of time, the largest first, each with its milliseconds.
const TIME_UNITS: [(&str, u64); 4] = [("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The units of size with their bytes.
const SIZE_UNITS: [(&str, u64); 4] = [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads `"1500ms"`, `"30s"` or `"1h30m"`: whole numbers with their units, the larger unit first,
/// nothing between.
pub fn duration(text: &str) -> Option<Duration> {
    let mut rest = text;
    let mut total: u64 = 0;
    let mut units = TIME_UNITS.iter();
    while !rest.is_empty() {
        let (number, unit, after) = number_and_unit(rest)?;
        // The iterator is not wound back, so a unit can come neither twice nor after a smaller one.
        let (_, unit_ms) = units.find(|(name, _)| *name == unit)?;
        total = total.checked_add(number.checked_mul(*unit_ms)?)?;
        rest = after;
    }
    (!text.is_empty()).then_some(Duration::from_millis(total))
}

/// Reads `"64MiB"`: a whole number and one of B, KiB, MiB, GiB. The result is in bytes.
pub fn bytes(text: &str) -> Option<u64> {
    let (number, unit, after) = number_and_unit(text)?;
    let (_, unit_bytes) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    if after.is_empty() { number.checked_mul(*unit_bytes) } else { None }
}

/// Writes a duration the way [`duration`] reads it; less than a millisecond is dropped.
pub(super) fn spell(duration: Duration) -> String {
    let mut rest = duration.as_millis();
    let mut text = String::new();
    for (unit, unit_ms) in TIME_UNITS {
        let unit_ms = u128::from(unit_ms);
        if rest >= unit_ms {
            text += &format!("{}{unit}", rest / unit_ms);
            rest %= unit_ms;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

/// Splits `"30s…"` into 30, `"s"` and what follows.
fn number_and_unit(text: &str) -> Option<(u64, &str, &str)> {
    let unit_at = text.find(|c: char| !c.is_ascii_digit())?;
    let (number, rest) = text.split_at(unit_at);
    let after_at = rest.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len());
    let (unit, after) = rest.split_at(after_at);
    Some((number.parse().ok()?, unit, after))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn durations_are_numbers_with_units() {
        let check = |text: &str, ms: Option<u64>| assert_eq!(duration(text), ms.map(Duration::from_millis), "{text:?}");
        check("30s", Some(30_000));
        check("1500ms", Some(1_500));
        check("5m", Some(300_000));
        check("1h30m", Some(5_400_000));
        check("1h1m1s1ms", Some(3_661_001));
        check("90s", Some(90_000));
        check("0s", Some(0));
        for bad in ["", "30", "s", "-1s", "+1s", "1.5s", "30 s", " 30s", "1s1s", "30m1h", "1d", "30S", "30secs", "5µs"]
        {
            check(bad, None);
        }
        check("18446744073709551615ms", Some(u64::MAX));
        check("18446744073709551616ms", None);
        check("18446744073709551615h", None);
        check("5124095576030h999999999999999999m", None);
    }

    #[test]
    fn sizes_are_a_number_with_a_unit() {
        let check = |text: &str, expected| assert_eq!(bytes(text), expected, "{text:?}");
        check("64MiB", Some(64 << 20));
        check("512B", Some(512));
        check("1GiB", Some(1 << 30));
        for bad in ["", "64", "MiB", "64MB", "64 MiB", "64mib", "1MiB1B", "-1MiB", "99999999999GiB"] {
            check(bad, None);
        }
    }

    proptest! {
        #[test]
        fn what_is_spelled_reads_back(ms in any::<u64>()) {
            let spelled = spell(Duration::from_millis(ms));
            prop_assert_eq!(duration(&spelled), Some(Duration::from_millis(ms)));
        }

        #[test]
        fn no_text_panics(text in "\\PC{0,20}|([0-9]{1,20}[hms]{0,2}){0,4}") {
            duration(&text);
            bytes(&text);
        }
    }
}
