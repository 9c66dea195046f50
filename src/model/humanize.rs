//! Counts and durations for people.

use std::time::Duration;

/// A number with its noun: `1 alert`, `1,204 alerts`.
pub fn count(n: u64, one: &str, many: &str) -> String {
    format!("{} {}", thousands(n), if n == 1 { one } else { many })
}

pub fn count_alerts(n: u64) -> String {
    count(n, "alert", "alerts")
}

/// `1204567` → `1,204,567`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut grouped = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

/// `1 byte`, `850 bytes`, `1.2 KB`, `14 KB`, `3.4 MB`. Units of 1,000.
pub fn humanize_bytes(bytes: u64) -> String {
    let rounded = |unit: u64, name| match bytes / unit {
        0..10 => format!("{}.{} {name}", bytes / unit, bytes % unit * 10 / unit),
        whole => format!("{} {name}", thousands(whole)),
    };
    match bytes {
        1 => "1 byte".to_owned(),
        0..1_000 => format!("{bytes} bytes"),
        1_000..1_000_000 => rounded(1_000, "KB"),
        _ => rounded(1_000_000, "MB"),
    }
}

/// A duration with at most two units: `850 ms`, `42 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn humanize_duration(duration: Duration) -> String {
    const UNITS: [(u64, &str); 4] = [(86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")];
    let seconds = duration.as_secs();
    if seconds == 0 {
        return format!("{} ms", duration.as_millis());
    }
    let at = UNITS.iter().position(|(unit, _)| seconds >= *unit).unwrap_or(UNITS.len() - 1);
    let (unit, name) = UNITS[at];
    let large = format!("{} {name}", thousands(seconds / unit));
    match UNITS.get(at + 1).map(|(unit_below, name)| (seconds % unit / unit_below, name)) {
        Some((n, name)) if n > 0 => format!("{large} {n} {name}"),
        _ => large,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_at_most_two_units() {
        let cases = [
            (0, "0 ms"),
            (850, "850 ms"),
            (42_000, "42 s"),
            (60_000, "1 min"),
            (200_999, "3 min 20 s"),
            (7_500_000, "2 h 5 min"),
            (3_600_000, "1 h"),
            (273_600_000, "3 d 4 h"),
        ];
        for (millis, text) in cases {
            assert_eq!(humanize_duration(Duration::from_millis(millis)), text, "{millis}");
        }
    }

    #[test]
    fn bytes_have_two_digits_at_least_from_a_kilobyte_on() {
        let cases = [
            (0, "0 bytes"),
            (1, "1 byte"),
            (999, "999 bytes"),
            (1_000, "1.0 KB"),
            (9_999, "9.9 KB"),
            (14_532, "14 KB"),
            (999_999, "999 KB"),
            (3_400_000, "3.4 MB"),
            (12_345_000_000, "12,345 MB"),
        ];
        for (bytes, text) in cases {
            assert_eq!(humanize_bytes(bytes), text);
        }
    }

    #[test]
    fn digits_are_grouped_by_three() {
        for (n, text) in [(0, "0"), (999, "999"), (1_000, "1,000"), (1_204_567, "1,204,567")] {
            assert_eq!(thousands(n), text);
        }
        assert_eq!(count_alerts(1), "1 alert");
    }
}
