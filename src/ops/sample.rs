//! Generates realistic Lambda events with CloudWatch Logs subscription data, for `stentor sample`,
//! the benches and the tests.
//!
//! [`event`] generates one event of any size from [`SampleOptions`] and a seed. [`fixtures()`] returns
//! the small named samples of `events/`, some of them written by hand. Events are typed and
//! serialize in the field order of Lambda, so files do not depend on the features of `serde_json`.
//!
//! [`Plan`] has the exact counts of an event before it is generated. It does not know what Stentor
//! does with the event.

mod apps;
mod envelope;
mod fixtures;
mod payload;
mod poison;
mod rng;
#[cfg(test)]
mod tests;

pub use envelope::{
    KinesisData, KinesisEvent, SampleData, SampleEvent, SampleRecord, SampleWindow,
    SubscriptionEvent, Tumbling,
};
pub use fixtures::{fixtures, fixtures_readme};
pub use poison::PoisonKind;

use apps::SampleApp;
use envelope::Shard;
use payload::{Ids, MS_MAX, SampleLogEvent, SampleSource};
use rng::{Rng, SampleClock};

/// 2025-11-03T09:15:00Z, a Monday morning.
pub const START_MS: i64 = 1_762_161_300_000;

/// The size and content of a generated event. The same options generate the same event, except for
/// the gzip bytes, which may depend on the backend of `flate2`. Shares are clamped to 0…1.
#[derive(Debug, Clone, PartialEq)]
pub struct SampleOptions {
    /// Records in the event. A subscription event always has one.
    pub records: usize,
    /// Log events in each readable record, including repeated ones.
    pub events_per_record: usize,
    /// Log events that an application writes for one request, with the same timestamp and the same
    /// ids in their text. The more there are, the better a record compresses: 5 : 1 with one, 8 : 1
    /// with four. Zero counts as one.
    pub events_per_request: usize,
    /// Share of the distinct events that carry a marker. The others carry none.
    pub match_ratio: f64,
    /// Markers, which the alerts carry verbatim. Most carry the first.
    pub markers: Vec<String>,
    /// Share of records that repeat an earlier record with a new sequence number, and share of
    /// events that repeat an earlier event of their record.
    pub duplicates: f64,
    /// Share of poison records. Their kinds cycle through [`PoisonKind::ALL`].
    pub poison: f64,
    /// Number of accounts. Zero counts as one.
    pub accounts: usize,
    /// Number of log groups. Every second record is from the first. Zero counts as one.
    pub log_groups: usize,
    pub seed: u64,
    /// Time of the first event in ms since 1970, 0…2^47.
    pub start_ms: i64,
    /// Time from the first event to the last.
    pub span_ms: i64,
    pub shape: SampleShape,
}

impl Default for SampleOptions {
    fn default() -> Self {
        Self {
            records: 10,
            events_per_record: 50,
            events_per_request: 1,
            match_ratio: 0.1,
            markers: vec!["[CRITICAL]".to_owned(), "[ALERT]".to_owned()],
            duplicates: 0.0,
            poison: 0.0,
            accounts: 4,
            log_groups: 8,
            seed: 1,
            start_ms: START_MS,
            span_ms: 60_000,
            shape: SampleShape::Kinesis,
        }
    }
}

/// The kind of event source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SampleShape {
    /// An event source mapping: `{"Records":[…]}`, all from one shard, as in every real invocation.
    Kinesis,
    /// A direct subscription: `{"awslogs":{"data":"…"}}`.
    Subscription,
}

/// The exact counts of an event, before it is generated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Plan {
    /// All records: poison, repeats and originals.
    pub records: usize,
    pub poison: usize,
    /// Records that repeat an earlier one.
    pub repeats: usize,
    /// Log events in the readable records, including repeated ones.
    pub events: usize,
    /// The same without repeated ones.
    pub distinct_events: usize,
    /// Distinct events that carry a marker: `round(match_ratio × distinct_events)`.
    pub marked: usize,
}

impl Plan {
    pub fn of(options: &SampleOptions) -> Self {
        let records = match options.shape {
            SampleShape::Kinesis => options.records,
            SampleShape::Subscription => 1,
        };
        let poison = share(records, options.poison);
        let readable = records - poison;
        // A repeat needs an original.
        let repeats = share(records, options.duplicates).min(readable.saturating_sub(1));
        let distinct_events = (readable - repeats) * distinct_per_record(options);
        Self {
            records,
            poison,
            repeats,
            events: readable * options.events_per_record,
            distinct_events,
            marked: share(distinct_events, options.match_ratio),
        }
    }

    fn originals(&self) -> usize {
        self.records - self.poison - self.repeats
    }
}

/// Generates a Lambda event.
pub fn event(options: &SampleOptions) -> SampleEvent {
    let mut writer = Writer::new(options);
    match options.shape {
        SampleShape::Kinesis => SampleEvent::kinesis(writer.records()),
        SampleShape::Subscription => SampleEvent::subscription(writer.single()),
    }
}

fn share(total: usize, ratio: f64) -> usize {
    (total as f64 * ratio.clamp(0.0, 1.0)).round() as usize
}

fn distinct_per_record(options: &SampleOptions) -> usize {
    let all = options.events_per_record;
    all - share(all, options.duplicates).min(all.saturating_sub(1))
}

#[derive(Clone, Copy, PartialEq)]
enum Slot {
    Original,
    Repeat,
    Poison(PoisonKind),
}

/// Generates records one after another. All its random numbers come from one seed.
struct Writer<'a> {
    options: &'a SampleOptions,
    plan: Plan,
    markers: Vec<&'a str>,
    rng: Rng,
    ids: Ids,
    /// Distinct events, and marked events, that are still to be written.
    left: usize,
    left_marked: usize,
    originals: usize,
    /// Time of the latest event.
    now_ms: i64,
}

impl<'a> Writer<'a> {
    fn new(options: &'a SampleOptions) -> Self {
        let plan = Plan::of(options);
        Self {
            options,
            plan,
            // An empty marker is in every line, so it marks none.
            markers: options.markers.iter().map(String::as_str).filter(|m| !m.is_empty()).collect(),
            rng: Rng::new(options.seed),
            ids: Ids::new(options.seed),
            left: plan.distinct_events,
            left_marked: plan.marked,
            originals: 0,
            now_ms: options.start_ms.clamp(0, MS_MAX),
        }
    }

    fn records(&mut self) -> Vec<SampleRecord> {
        let mut shard = Shard::new(self.now_ms, self.options.seed);
        let mut originals: Vec<(String, String)> = Vec::with_capacity(self.plan.originals());
        let mut records = Vec::with_capacity(self.plan.records);
        for slot in self.slots() {
            let (key, data) = match slot {
                Slot::Original => self.original(),
                Slot::Repeat => originals[self.rng.below(originals.len())].clone(),
                Slot::Poison(kind) => self.poison(kind),
            };
            let arrived_ms = self.now_ms + self.rng.between(400, 1500) as i64;
            if slot == Slot::Original {
                originals.push((key.clone(), data.clone()));
            }
            records.push(shard.record(key, data, arrived_ms));
        }
        records
    }

    fn single(&mut self) -> String {
        match self.plan.poison {
            0 => self.original().1,
            _ => self.poison(PoisonKind::ALL[0]).1,
        }
    }

    /// The kind of each record. An original comes before the first repeat.
    fn slots(&mut self) -> Vec<Slot> {
        let mut slots = vec![Slot::Original; self.plan.originals()];
        slots.resize(slots.len() + self.plan.repeats, Slot::Repeat);
        let kinds = PoisonKind::ALL.into_iter().cycle().take(self.plan.poison);
        slots.resize(self.plan.records, Slot::Poison(PoisonKind::ALL[0]));
        self.rng.shuffle(&mut slots);
        let poisoned = slots.iter_mut().filter(|slot| matches!(slot, Slot::Poison(_)));
        poisoned.zip(kinds).for_each(|(slot, kind)| *slot = Slot::Poison(kind));
        let first = |wanted| slots.iter().position(|slot| *slot == wanted);
        if let (Some(original), Some(repeat)) = (first(Slot::Original), first(Slot::Repeat))
            && repeat < original
        {
            slots.swap(original, repeat);
        }
        slots
    }

    /// The partition key and data of a readable record.
    fn original(&mut self) -> (String, String) {
        let (app, source) = self.source(self.originals);
        self.originals += 1;
        self.ids.end_put();
        let distinct = distinct_per_record(self.options);
        let per_request = self.options.events_per_request.max(1);
        let mut events: Vec<SampleLogEvent> =
            (0..distinct).map(|ordinal| self.event(app, ordinal % per_request == 0)).collect();
        for _ in distinct..self.options.events_per_record {
            let repeat = events[self.rng.below(distinct)].clone();
            events.push(repeat);
        }
        let data = payload::data(&payload::text(&source, &events));
        (source.partition_key, data)
    }

    /// The partition key and data of a poison record. The damaged message has an alert, which the
    /// plan does not count.
    fn poison(&mut self, kind: PoisonKind) -> (String, String) {
        let (app, source) = self.source(self.originals);
        self.ids.end_put();
        let events = [true, false].map(|marked| {
            self.rng.end_request();
            self.event_at(app, self.now_ms, marked)
        });
        let data = kind.data(&payload::text(&source, &events));
        (source.partition_key, data)
    }

    /// Every second record is from the first log group, because a real burst has a main source. The
    /// other groups take turns.
    fn source(&self, ordinal: usize) -> (&'static SampleApp, SampleSource) {
        let groups = self.options.log_groups.max(1);
        let turn = ordinal / 2;
        let group = match (ordinal % 2, groups) {
            (0, _) | (_, 1) => 0,
            _ => 1 + turn % (groups - 1),
        };
        let account = turn % self.options.accounts.max(1);
        apps::source(self.options.seed, group, account, ordinal % 3, &SampleClock::of(self.now_ms))
    }

    /// Selection sampling (Knuth, algorithm S) picks the marked events: in random places, and
    /// exactly as many as planned.
    fn event(&mut self, app: &SampleApp, starts_request: bool) -> SampleLogEvent {
        let marked = self.rng.below(self.left) < self.left_marked;
        if starts_request {
            self.begin_request();
        }
        self.left -= 1;
        self.left_marked -= usize::from(marked);
        self.event_at(app, self.now_ms, marked)
    }

    /// Requests are spread over the span in order. The first is at its start.
    fn begin_request(&mut self) {
        self.rng.end_request();
        let written = self.plan.distinct_events - self.left;
        let jitter = if written == 0 { 0 } else { self.rng.below(1000) };
        let progress = (written as f64 + jitter as f64 / 1000.0) / self.plan.distinct_events as f64;
        let elapsed_ms = (self.options.span_ms.max(0) as f64 * progress) as i64;
        self.now_ms = self.options.start_ms.clamp(0, MS_MAX).saturating_add(elapsed_ms).min(MS_MAX);
    }

    fn event_at(&mut self, app: &SampleApp, timestamp: i64, marked: bool) -> SampleLogEvent {
        self.now_ms = timestamp;
        let clock = SampleClock::of(timestamp);
        let message = match marked {
            true => app.alert(&mut self.rng, &clock, &self.markers),
            false => without(&self.markers, (app.plain)(&mut self.rng, &clock)),
        };
        SampleLogEvent { id: self.ids.next(timestamp), timestamp, message }
    }
}

/// Removes markers from an ordinary line, which may contain one that is a common word (`ERROR`).
fn without(markers: &[&str], mut line: String) -> String {
    for marker in markers {
        if line.contains(marker) {
            line = line.replace(marker, "·");
        }
    }
    line
}
