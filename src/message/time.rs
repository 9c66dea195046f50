//! Moments and spans in words. All in UTC, because logs are; a channel that knows the reader's time
//! zone adds local time.

use std::time::Duration;

use super::content::Inline;
use crate::model::humanize::humanize_duration;
use crate::model::tally::Span;
use crate::model::time::Timestamp;

const DATE: &str = "%-d %b %Y";
const TIME: &str = "%H:%M:%S";

/// A shorter span shows its length, a longer one its end.
const SHORT: Duration = Duration::from_secs(60);

/// `23 Nov 2026, 14:15:06–14:15:48 UTC (42 s)`.
pub(super) fn period(span: Span) -> String {
    let (first, last) = (clock(span.first, span.first), clock(span.last, span.first));
    let length = span.first.until(span.last);
    if first == last {
        return format!("{}, {first} UTC", date(span.first));
    }
    format!("{}, {first}–{last} UTC ({})", date(span.first), humanize_duration(length))
}

/// The span of a group, to follow its count: ` at 14:15:06`, ` in 38 s from 14:15:06` or
/// ` from 14:15:06 to 14:20:44`. A date is added only if it differs from that of the start of
/// `whole`.
pub(super) fn within(span: Span, whole: Span) -> String {
    let (first, last) = (clock(span.first, whole.first), clock(span.last, whole.first));
    match span.first.until(span.last) {
        Duration::ZERO => format!(" at {first}"),
        length if length < SHORT => format!(" in {} from {first}", humanize_duration(length)),
        _ => format!(" from {first} to {last}"),
    }
}

/// The time of day; with the date if it is another day than `day`.
pub(super) fn clock(at: Timestamp, day: Timestamp) -> String {
    let time = formatted(at, TIME);
    if at.date_time().date() == day.date_time().date() {
        time
    } else {
        format!("{} {time}", date(at))
    }
}

/// The moment for the reader's time zone.
pub(super) fn local(at: Timestamp) -> Inline {
    Inline::LocalTime { at, utc: format!("{} {} UTC", date(at), formatted(at, TIME)) }
}

fn date(at: Timestamp) -> String {
    formatted(at, DATE)
}

fn formatted(at: Timestamp, format: &str) -> String {
    at.date_time().strftime(format).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(first: i64, last: i64) -> Span {
        Span { first: Timestamp::from_millis(first), last: Timestamp::from_millis(last) }
    }

    const NOON: i64 = 1_795_435_200_000;

    #[test]
    fn a_period_shows_the_date_once() {
        let cases = [
            (NOON, NOON, "23 Nov 2026, 12:00:00 UTC"),
            (NOON, NOON + 850, "23 Nov 2026, 12:00:00 UTC"),
            (NOON, NOON + 42_000, "23 Nov 2026, 12:00:00–12:00:42 UTC (42 s)"),
            (NOON, NOON + 86_400_000, "23 Nov 2026, 12:00:00–24 Nov 2026 12:00:00 UTC (1 d)"),
            (i64::MIN, i64::MIN, "1 Jan 0001, 00:00:00 UTC"),
        ];
        for (first, last, text) in cases {
            assert_eq!(period(from(first, last)), text);
        }
    }

    #[test]
    fn a_short_span_shows_its_length() {
        let whole = from(NOON, NOON + 600_000);
        let cases = [
            (NOON, NOON, " at 12:00:00"),
            (NOON, NOON + 850, " in 850 ms from 12:00:00"),
            (NOON, NOON + 42_000, " in 42 s from 12:00:00"),
            (NOON, NOON + 338_000, " from 12:00:00 to 12:05:38"),
            (NOON - 86_400_000, NOON, " from 22 Nov 2026 12:00:00 to 12:00:00"),
        ];
        for (first, last, text) in cases {
            assert_eq!(within(from(first, last), whole), text);
        }
    }
}
