//! The time that a log line bears: in front of it, as most loggers write it, or in a field of JSON
//! or logfmt. Pure.
//!
//! A time without an offset is in UTC. One without a year, as in syslog, is the last such time
//! before now.

use std::fmt;
use std::time::Duration;

use jiff::civil::DateTime;
use jiff::tz::Offset;
use memchr::{memchr, memchr_iter};
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use serde::{Deserialize, Deserializer as _};
use serde_json::value::RawValue;

use crate::model::time::Timestamp;

/// Keys of a time in JSON and logfmt, in lower case.
const KEYS: [&str; 12] = [
    "time",
    "timestamp",
    "@timestamp",
    "ts",
    "@t",
    "date",
    "datetime",
    "asctime",
    "eventtime",
    "timeunixnano",
    "instant",
    "t",
];
const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"];

/// A time is searched for in so much of a line.
const HEAD_BYTES: usize = 512;
/// So many words, such as a level, can be before a time.
const WORDS_BEFORE_MAX: usize = 3;
/// A clock may be this much ahead.
const AHEAD_MAX: Duration = Duration::from_hours(24);

/// The time of `line`, which was read at `now`.
///
/// ```
/// use stentor::model::line_time::of_line;
/// use stentor::model::time::Timestamp;
///
/// let now = Timestamp::from_iso("2026-11-26T12:00:00Z").unwrap();
/// let iso = |line| of_line(line, now).map(Timestamp::iso).unwrap_or_default();
/// assert_eq!(iso("2026-11-26 10:00:00 +0200 started"), "2026-11-26T08:00:00.000Z");
/// assert_eq!(iso("Dec  3 10:00:00 web-1 app[7]: started"), "2025-12-03T10:00:00.000Z");
/// assert_eq!(iso(r#"{"level":"info","ts":1795443306.5}"#), "2026-11-23T14:15:06.500Z");
/// ```
pub fn of_line(line: &str, now: Timestamp) -> Option<Timestamp> {
    let head = &line[..line.floor_char_boundary(HEAD_BYTES)];
    let start = head.trim_start();
    if start.starts_with('{') {
        return of_json(line.trim_start(), now);
    }
    at_start(start, now).or_else(|| of_access_log(head, now)).or_else(|| of_logfmt(head, now))
}

/// A time at the start, or after a level and the like.
fn at_start(head: &str, now: Timestamp) -> Option<Timestamp> {
    let mut rest = without_priority(head);
    for _ in 0..=WORDS_BEFORE_MAX {
        rest = rest.trim_start_matches([' ', '\t', '|', '-', ':']);
        if let Some(time) = Reader(rest.trim_start_matches('[')).time(now) {
            return Some(time);
        }
        let end = match rest.as_bytes().first()? {
            b'[' => 1 + memchr(b']', rest.as_bytes())?,
            _ => rest.find([' ', '\t']).unwrap_or(rest.len()),
        };
        let word = rest[..end].trim_matches(['[', ']', ':']);
        let is_level = word.len() >= 3 && word.bytes().all(|byte| byte.is_ascii_uppercase());
        if !rest.starts_with('[') && !is_level {
            return None;
        }
        rest = &rest[end..];
    }
    None
}

/// The text after the priority and the version of syslog: `<34>1 `.
fn without_priority(head: &str) -> &str {
    let rest = head.strip_prefix('<').and_then(|rest| rest.split_once('>'));
    let is_priority = |text: &str| text.len() <= 3 && text.bytes().all(|b| b.is_ascii_digit());
    match rest.filter(|(priority, _)| is_priority(priority)) {
        Some((_, rest)) => rest.strip_prefix("1 ").unwrap_or(rest),
        None => head,
    }
}

/// `127.0.0.1 - bob [10/Oct/2000:13:55:36 -0700] "GET / …`.
fn of_access_log(head: &str, now: Timestamp) -> Option<Timestamp> {
    memchr_iter(b'[', head.as_bytes())
        .filter(|at| head.as_bytes().get(at + 3) == Some(&b'/'))
        .find_map(|at| Reader(&head[at + 1..]).time(now))
}

/// `time="2026-11-23T14:15:06Z" level=error`.
fn of_logfmt(head: &str, now: Timestamp) -> Option<Timestamp> {
    memchr_iter(b'=', head.as_bytes()).find_map(|equals| {
        let before = &head[..equals];
        let key = &before[before.rfind([' ', '\t', '"', ',', '{']).map_or(0, |at| at + 1)..];
        let value = head[equals + 1..].trim_start_matches(['"', '\'']);
        is_key(key).then(|| of_text(value, now))?
    })
}

/// The first member of an object that is a time.
fn of_json(line: &str, now: Timestamp) -> Option<Timestamp> {
    struct Members<'f>(&'f mut Option<Timestamp>, Timestamp);

    impl<'de> Visitor<'de> for Members<'_> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
            while let Some(key) = map.next_key::<std::borrow::Cow<'de, str>>()? {
                if !is_key(&key) {
                    map.next_value::<IgnoredAny>()?;
                    continue;
                }
                *self.0 = of_value(map.next_value::<&'de RawValue>()?.get(), self.1);
                if self.0.is_some() {
                    // The rest need not be read.
                    return Err(A::Error::custom("found"));
                }
            }
            Ok(())
        }
    }

    let mut found = None;
    // A member before a mistake counts.
    let _ = serde_json::Deserializer::from_str(line).deserialize_map(Members(&mut found, now));
    found
}

fn is_key(key: &str) -> bool {
    key.len() <= 12 && KEYS.iter().any(|known| known.eq_ignore_ascii_case(key))
}

/// A value of JSON.
fn of_value(value: &str, now: Timestamp) -> Option<Timestamp> {
    /// As Log4j and Google write it.
    #[derive(Deserialize)]
    struct Instant {
        #[serde(alias = "epochSecond")]
        seconds: i64,
        #[serde(alias = "nanoOfSecond", default)]
        nanos: i64,
    }

    match value.as_bytes().first()? {
        b'"' => of_text(value.trim_matches('"'), now),
        b'{' => {
            let instant: Instant = serde_json::from_str(value).ok()?;
            let millis = instant.seconds.checked_mul(1_000)?;
            Some(Timestamp::from_millis(millis.checked_add(instant.nanos / 1_000_000)?))
        }
        _ => of_epoch(value),
    }
}

fn of_text(text: &str, now: Timestamp) -> Option<Timestamp> {
    Reader(text).time(now).or_else(|| of_epoch(text))
}

/// Seconds, milliseconds, microseconds or nanoseconds since 1970, which their size tells.
fn of_epoch(text: &str) -> Option<Timestamp> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (whole, rest) = text.split_at(digits);
    let whole: i64 = whole.parse().ok()?;
    let is_end = |rest: &str| {
        rest.chars().next().is_none_or(|c| c.is_whitespace() || matches!(c, '"' | '\'' | ',' | ']'))
    };
    let (millis, rest) = fraction(rest);
    let millis = match digits {
        10 => whole.checked_mul(1_000)? + millis,
        13 => whole,
        16 => whole / 1_000,
        19 => whole / 1_000_000,
        _ => return None,
    };
    is_end(rest).then(|| Timestamp::from_millis(millis))
}

/// `.789Z` → 789 and `Z`.
fn fraction(text: &str) -> (i64, &str) {
    let Some(digits) = text.strip_prefix(['.', ',']) else { return (0, text) };
    let end = digits.bytes().take_while(u8::is_ascii_digit).count();
    let millis = digits[..end].bytes().chain(*b"000").take(3);
    (millis.fold(0, |millis, digit| 10 * millis + i64::from(digit - b'0')), &digits[end..])
}

/// The text that is still to be read.
#[derive(Clone, Copy)]
struct Reader<'a>(&'a str);

/// A date; syslog writes none with a year.
struct Date {
    year: Option<i16>,
    month: i8,
    day: i8,
}

/// A time of day, with its milliseconds.
struct Clock {
    hour: i8,
    minute: i8,
    second: i8,
    millis: i64,
}

impl<'a> Reader<'a> {
    fn time(mut self, now: Timestamp) -> Option<Timestamp> {
        let mut date = self.date()?;
        let clock = self.clock()?;
        // `Mon Nov 23 14:15:16 2026`.
        if date.year.is_none() {
            let mut after = self;
            date.year = after.eat(' ').and_then(|()| after.digits(4)).filter(|_| after.is_end());
            self = if date.year.is_some() { after } else { self };
        }
        let offset = self.offset().unwrap_or(Offset::UTC);
        let at = |year: i16| {
            let Clock { hour, minute, second, millis } = clock;
            let civil = DateTime::new(year, date.month, date.day, hour, minute, second, 0).ok()?;
            let at = offset.to_timestamp(civil).ok()?;
            Some(Timestamp::from_millis(at.as_millisecond() + millis))
        };
        match date.year {
            Some(year) => at(year),
            None => {
                let this = now.date_time().year();
                let until = now.after(AHEAD_MAX);
                (this - 8..=this + 1).rev().filter_map(at).find(|at| *at <= until)
            }
        }
    }

    /// `2026-11-23`, `2026/11/23`, `23/Nov/2026`, `23-Nov-2026`, `23 Nov 2026`, `Nov 23`, `E1123`;
    /// a day of the week may precede it. Reads what follows it, too.
    fn date(&mut self) -> Option<Date> {
        if let Some(rest) = DAYS.iter().find_map(|day| self.0.strip_prefix(day)) {
            self.0 = rest.trim_start_matches([',', ' ']);
        }
        match self.0.as_bytes() {
            [b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', b'0'..=b'9', ..] => {
                let year = self.digits(4);
                let joint = self.0.chars().next().filter(|c| matches!(c, '-' | '/' | '.'))?;
                self.eat(joint)?;
                let month = self.digits(2)?;
                self.eat(joint)?;
                let day = self.digits(2)?;
                self.eat_one_of(&['T', 't', ' '])?;
                Some(Date { year, month, day })
            }
            [b'0'..=b'9', ..] => {
                let day = self.day()?;
                let joint = self.0.chars().next().filter(|c| matches!(c, '-' | '/' | ' '))?;
                self.eat(joint)?;
                let month = self.month()?;
                self.eat(joint)?;
                let year = self.digits(4);
                self.eat_one_of(&[':', ' '])?;
                Some(Date { year: Some(year?), month, day })
            }
            [
                b'I' | b'W' | b'E' | b'F',
                b'0'..=b'1',
                b'0'..=b'9',
                b'0'..=b'3',
                b'0'..=b'9',
                b' ',
                ..,
            ] => {
                self.0 = &self.0[1..];
                let (month, day) = (self.digits(2)?, self.digits(2)?);
                self.eat(' ')?;
                Some(Date { year: None, month, day })
            }
            _ => {
                let month = self.month()?;
                self.eat(' ')?;
                let _ = self.eat(' ');
                let day = self.day()?;
                self.eat(' ')?;
                Some(Date { year: None, month, day })
            }
        }
    }

    fn clock(&mut self) -> Option<Clock> {
        let hour = self.digits(2)?;
        self.eat(':')?;
        let minute = self.digits(2)?;
        self.eat(':')?;
        let second: i8 = self.digits(2)?;
        let (millis, rest) = fraction(self.0);
        self.0 = rest;
        // A leap second.
        Some(Clock { hour, minute, second: second.min(59), millis })
    }

    /// `Z`, `+02:00`, `-0530`, `+02`, and after a blank only in full: `+0200`.
    fn offset(mut self) -> Option<Offset> {
        let is_apart = self.eat(' ').is_some();
        let sign = match self.eat_one_of(&['+', '-'])? {
            '+' => 1,
            _ => -1,
        };
        let hours: i32 = self.digits(2)?;
        let has_colon = self.eat(':').is_some();
        let minutes: Option<i32> = self.digits(2);
        let is_whole = minutes.is_some_and(|minutes| minutes % 15 == 0) && self.is_end();
        if (is_apart || has_colon) && minutes.is_none() || is_apart && !is_whole {
            return None;
        }
        let minutes = minutes.unwrap_or(0);
        (minutes < 60).then(|| Offset::from_seconds(sign * (hours * 3_600 + minutes * 60)).ok())?
    }

    fn month(&mut self) -> Option<i8> {
        let month = (1..).zip(MONTHS).find(|(_, name)| self.0.starts_with(name))?;
        self.0 = &self.0[month.1.len()..];
        Some(month.0)
    }

    fn day(&mut self) -> Option<i8> {
        self.digits(2).or_else(|| self.digits(1))
    }

    /// A number of exactly so many digits.
    fn digits<N: std::str::FromStr>(&mut self, count: usize) -> Option<N> {
        let (digits, rest) = self.0.split_at_checked(count)?;
        let number = digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())??;
        self.0 = rest;
        Some(number)
    }

    fn eat(&mut self, c: char) -> Option<()> {
        self.0 = self.0.strip_prefix(c)?;
        Some(())
    }

    fn eat_one_of(&mut self, set: &[char]) -> Option<char> {
        let found = self.0.chars().next().filter(|c| set.contains(c))?;
        self.0 = &self.0[found.len_utf8()..];
        Some(found)
    }

    fn is_end(&self) -> bool {
        !self.0.starts_with(|c: char| c.is_alphanumeric() || c == ':')
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NOW: &str = "2026-11-26T12:00:00Z";

    fn time(line: &str) -> String {
        let now = Timestamp::from_iso(NOW).unwrap();
        of_line(line, now).map(Timestamp::iso).unwrap_or_default()
    }

    /// Each row is a line and its time; a row of a kind has the time of the kind.
    #[track_caller]
    fn check(expected: &str, lines: &[&str]) {
        for line in lines {
            assert_eq!(time(line), expected, "{line}");
        }
    }

    #[test]
    fn a_time_is_in_front_of_a_line() {
        check(
            "2026-11-23T14:15:06.000Z",
            &[
                "2026-11-23T14:15:06Z x",
                "2026-11-23t14:15:06 x",
                "[2026-11-23 14:15:06] x",
                "2026/11/23 14:15:06 x",
                "2026.11.23 14:15:06 x",
                "2026-11-23T16:15:06+02:00 x",
                "2026-11-23T16:15:06+02 x",
                "2026-11-23 16:15:06 +0200 x",
                "2026-11-23 16:15:06 +02:00 x",
                "2026-11-23 08:45:06 -0530",
                "[2026-11-23 16:15:06 +0200] x",
                "2026-11-23 14:15:06 UTC x",
                "2026-11-23 14:15:06 - x",
                "2026-11-23 14:15:06 -1234 orders are left",
                "2026-11-23 14:15:06 +1 more",
                "[CRITICAL] 2026-11-23 14:15:06 x",
                "ERROR: 2026-11-23 14:15:06 x",
                "ERROR [main] [x y] 2026-11-23 14:15:06 x",
                "[23-Nov-2026 14:15:06 UTC] PHP Fatal error: x",
                "Mon, 23 Nov 2026 16:15:06 +0200 x",
                "Mon Nov 23 14:15:06 2026 x",
                "[Mon Nov 23 14:15:06 2026] [core:error] x",
                "  2026-11-23 14:15:06 x",
            ],
        );
        check(
            "2026-11-23T14:15:06.789Z",
            &[
                "2026-11-23T14:15:06.789Z x",
                "2026-11-23 14:15:06,789 x",
                "2026-11-23T14:15:06.789123456Z x",
                "2026-11-23 16:15:06.789 +0200 x",
                "[Mon Nov 23 14:15:06.789123 2026] [core:error] x",
            ],
        );
        check("2026-11-23T14:15:06.700Z", &["2026-11-23 14:15:06,7 x"]);
    }

    #[test]
    fn syslog_has_a_time() {
        check(
            "2026-11-23T14:15:06.000Z",
            &[
                "Nov 23 14:15:06 web-1 sshd[7]: x",
                "<34>Nov 23 14:15:06 web-1 sshd[7]: x",
                "<165>1 2026-11-23T14:15:06Z web-1 app 7 ID47 - x",
                "<165>1 2026-11-23T16:15:06+02:00 web-1 app 7 ID47 - x",
                "Mon Nov 23 14:15:06 x",
            ],
        );
        check("2026-11-23T14:15:06.789Z", &["E1123 14:15:06.789012       1 a.go:1] x"]);
        // The last one before now.
        check("2026-11-03T10:00:00.000Z", &["Nov  3 10:00:00 web-1 x"]);
        check("2026-11-27T11:00:00.000Z", &["Nov 27 11:00:00 web-1 x"]);
        check("2025-11-27T13:00:00.000Z", &["Nov 27 13:00:00 web-1 x"]);
        check("2025-12-31T23:59:59.000Z", &["Dec 31 23:59:59 web-1 x"]);
        check("2024-02-29T10:00:00.000Z", &["Feb 29 10:00:00 web-1 x"]);
    }

    #[test]
    fn the_log_of_a_web_server_has_a_time() {
        check(
            "2000-10-10T20:55:36.000Z",
            &[
                r#"127.0.0.1 - frank [10/Oct/2000:13:55:36 -0700] "GET /a.gif HTTP/1.0" 200 2326"#,
                r#"example.com:80 [x] 127.0.0.1 - - [10/Oct/2000:20:55:36 +0000] "GET / HTTP/1.1""#,
                "[10/Oct/2000:13:55:36 -0700] x",
            ],
        );
    }

    #[test]
    fn json_has_a_time() {
        check(
            "2026-11-23T14:15:06.000Z",
            &[
                r#"{"time":"2026-11-23T14:15:06Z","msg":"x"}"#,
                r#"{"msg":"x","timestamp":"2026-11-23 14:15:06"}"#,
                r#"{"@timestamp":"2026-11-23T16:15:06.000+02:00"}"#,
                r#"{"level":1,"ts":1795443306}"#,
                r#"{"ts":1795443306000}"#,
                r#"{"ts":"1795443306000000"}"#,
                r#"{"timeUnixNano":"1795443306000000000"}"#,
                r#"{"Timestamp":"2026-11-23T14:15:06Z "}"#,
                r#"{"@t":"2026-11-23T14:15:06.0000000Z","@mt":"x"}"#,
                r#"{"time":"23/Nov/2026:14:15:06 +0000"}"#,
                r#"{"instant":{"epochSecond":1795443306,"nanoOfSecond":0}}"#,
                r#"{"time":null,"ts":1795443306}"#,
                r#"{"time":"2026-11-23T14:15:06Z","cut":"of"#,
            ],
        );
        check(
            "2026-11-23T14:15:06.137Z",
            &[
                r#"{"ts":1795443306.137}"#,
                r#"{"date":1795443306.137421,"log":"x"}"#,
                r#"{"instant":{"epochSecond":1795443306,"nanoOfSecond":137000000}}"#,
            ],
        );
    }

    #[test]
    fn logfmt_has_a_time() {
        check(
            "2026-11-23T14:15:06.000Z",
            &[
                r#"time=2026-11-23T14:15:06Z level=error msg="x""#,
                r#"level=error time="2026-11-23 14:15:06" msg="x""#,
                "level=error ts=1795443306 msg=x",
                r#"level=error ts="1795443306000" msg=x"#,
                "t=2026-11-23T14:15:06+0000 lvl=error",
            ],
        );
        check("2026-11-23T14:15:06.137Z", &["ts=1795443306.137 msg=x"]);
    }

    #[test]
    fn other_numbers_are_no_times() {
        check(
            "",
            &[
                "",
                "no time at all, and ünïcode äöü",
                "2026-13-23T14:15:06Z",
                "2026-11-23T25:15:06Z",
                "2026-11-23",
                "1795443306 orders are left",
                "Nov 31 10:00:00 x",
                "Nov is a month",
                "Mon",
                "<34>x",
                "<",
                "[",
                "[x",
                "a [10/Foo/2000:13:55:36 -0700] x",
                r#"{"time":"noon","ts":7}"#,
                r#"{"time":12.5}"#,
                r#"{"duration":1795443306}"#,
                "{",
                "uptime=1795443306 x=1",
                "time=12ms x=1",
                "ts=17954433061 x",
                "order 2026-11-23 14:15:06 was shipped",
            ],
        );
    }

    proptest! {
        #[test]
        fn any_line_is_read(line in r#"([ -~]|\PC|2026-11-23|14:15:06|Nov |[\[\]{}":=+<>é]|"ts":|1795443306){0,20}"#) {
            time(&line);
        }

        #[test]
        fn a_time_is_read_in_each_format(millis in 1_000_000_000_000_i64..=1_795_000_000_000) {
            let at = Timestamp::from_millis(millis);
            let iso = at.iso();
            let whole = at.date_time().strftime("%d/%b/%Y:%H:%M:%S +0000").to_string();
            prop_assert_eq!(time(&format!("{iso} x")), iso.clone());
            prop_assert_eq!(time(&format!(r#"{{"a":1,"time":"{iso}"}}"#)), iso.clone());
            prop_assert_eq!(time(&format!("level=info ts={millis} x=1")), iso.clone());
            prop_assert_eq!(&time(&format!("h - - [{whole}] x"))[..19], &iso[..19]);
        }
    }
}
