//! Random values that look like those in logs, and times in the formats of logs. Pure: the seed and
//! the time are arguments.

use std::collections::BTreeMap;

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

pub(super) struct Rng {
    rng: fastrand::Rng,
    /// Values that all lines of the current request share, by name.
    request: BTreeMap<&'static str, String>,
}

impl Rng {
    pub(super) fn new(seed: u64) -> Self {
        Self { rng: fastrand::Rng::with_seed(seed), request: BTreeMap::new() }
    }

    /// The next line starts another request.
    pub(super) fn end_request(&mut self) {
        self.request.clear();
    }

    /// A value that all lines of a request share. The first line draws it.
    pub(super) fn per_request(
        &mut self,
        name: &'static str,
        draw: impl FnOnce(&mut Self) -> String,
    ) -> String {
        if let Some(known) = self.request.get(name) {
            return known.clone();
        }
        let value = draw(self);
        self.request.insert(name, value.clone());
        value
    }

    /// 0…limit−1, or 0 if the limit is 0.
    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.rng.usize(..limit.max(1))
    }

    pub(super) fn between(&mut self, low: u64, high: u64) -> u64 {
        self.rng.u64(low..=high)
    }

    pub(super) fn pick<T: Copy>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())]
    }

    pub(super) fn shuffle<T>(&mut self, all: &mut [T]) {
        self.rng.shuffle(all);
    }

    /// 1…32 hexadecimal digits.
    pub(super) fn hex(&mut self, digits: usize) -> String {
        let bits = self.rng.u128(..) >> (128 - 4 * digits);
        format!("{bits:0digits$x}")
    }

    pub(super) fn uuid(&mut self) -> String {
        let (high, low) = (self.rng.u64(..), self.rng.u64(..));
        let (a, b, c) = (high >> 32, high >> 16 & 0xffff, high & 0xfff);
        let (d, e) = (low >> 48 & 0x3fff | 0x8000, low & 0xffff_ffff_ffff);
        format!("{a:08x}-{b:04x}-4{c:03x}-{d:04x}-{e:012x}")
    }

    /// An address from a range that is reserved for documentation.
    pub(super) fn client_ip(&mut self) -> String {
        let net = self.pick(&["192.0.2", "198.51.100", "203.0.113"]);
        format!("{net}.{}", self.between(1, 254))
    }

    pub(super) fn pod_ip(&mut self) -> String {
        format!("10.{}.{}.{}", self.between(0, 3), self.between(0, 255), self.between(1, 254))
    }

    pub(super) fn price(&mut self) -> String {
        format!("{}.{:02}", self.between(4, 900), self.between(0, 99))
    }

    pub(super) fn order(&mut self) -> String {
        format!("ORD-{}", self.between(1_000_000, 9_999_999))
    }

    /// Characters of an invented credential.
    pub(super) fn token(&mut self, length: usize) -> String {
        (0..length).map(|_| self.rng.alphanumeric()).collect()
    }
}

/// A point in time, UTC, in parts.
pub(super) struct SampleClock {
    year: i64,
    month: usize,
    day: i64,
    hour: i64,
    minute: i64,
    second: i64,
    ms: i64,
}

impl SampleClock {
    /// `ms` since 1970. The calendar counts days in eras of 400 years that begin in March, so that
    /// the leap day comes last (Howard Hinnant, "chrono-compatible low-level date algorithms").
    pub(super) fn of(ms: i64) -> Self {
        let (days, rest) = (ms.div_euclid(86_400_000) + 719_468, ms.rem_euclid(86_400_000));
        let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
        let leaps = day_of_era / 1_460 - day_of_era / 36_524 + day_of_era / 146_096;
        let year_of_era = (day_of_era - leaps) / 365;
        let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
        let from_march = (5 * day_of_year + 2) / 153;
        let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
        Self {
            year: year_of_era + era * 400 + i64::from(month <= 2),
            month: month as usize,
            day: day_of_year - (153 * from_march + 2) / 5 + 1,
            hour: rest / 3_600_000,
            minute: rest / 60_000 % 60,
            second: rest / 1_000 % 60,
            ms: rest % 1_000,
        }
    }

    /// `2025-11-03`, with the given separator.
    pub(super) fn date(&self, separator: char) -> String {
        format!("{}{separator}{:02}{separator}{:02}", self.year, self.month, self.day)
    }

    /// `09:15:02`
    pub(super) fn time(&self) -> String {
        format!("{:02}:{:02}:{:02}", self.hour, self.minute, self.second)
    }

    /// `2025-11-03T09:15:02.123Z`
    pub(super) fn iso(&self) -> String {
        format!("{}T{}.{:03}Z", self.date('-'), self.time(), self.ms)
    }

    /// `2025-11-03 09:15:02.123`, the format of Java loggers.
    pub(super) fn java(&self) -> String {
        format!("{} {}.{:03}", self.date('-'), self.time(), self.ms)
    }

    /// `03/Nov/2025:09:15:02 +0000`, the common log format of web servers.
    pub(super) fn web(&self) -> String {
        format!("{:02}/{}/{}:{} +0000", self.day, MONTHS[self.month - 1], self.year, self.time())
    }

    /// `Nov  3 09:15:02`
    pub(super) fn syslog(&self) -> String {
        format!("{} {:2} {}", MONTHS[self.month - 1], self.day, self.time())
    }
}
