//! Alerts over time in one line of block characters.

use crate::model::tally::Histogram;

/// The histogram as one line of block characters, the earliest on the left. Empty if there is
/// only one slice, or more than fit on a line. A slice with alerts never looks empty.
pub(super) fn sparkline(histogram: &Histogram) -> String {
    const SLICES_MAX: i128 = 64;
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let (Some((&first, _)), Some((&last, _))) =
        (histogram.slices.first_key_value(), histogram.slices.last_key_value())
    else {
        return String::new();
    };
    // No tally has so many slices, but this one may come from the table.
    if !(1..SLICES_MAX).contains(&(i128::from(last) - i128::from(first))) {
        return String::new();
    }
    let peak = u128::from(histogram.peak().0.max(1));
    let level = |n: u64| match u128::from(n) {
        0 => ' ',
        n => LEVELS[usize::try_from((n * 8).div_ceil(peak) - 1).unwrap_or(7).min(7)],
    };
    (first..=last).map(|slice| level(histogram.slices.get(&slice).copied().unwrap_or(0))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sparkline_shows_every_slice_with_alerts() {
        let line = |slices: &[(i64, u64)]| {
            sparkline(&Histogram { shift: 10, slices: slices.iter().copied().collect() })
        };
        assert_eq!(line(&[]), "");
        assert_eq!(line(&[(5, 9)]), "");
        assert_eq!(line(&[(0, 1), (1, 1000), (3, 500)]), "▁█ ▄");
    }
}
