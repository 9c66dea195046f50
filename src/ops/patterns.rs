//! The patterns of a log: what its lines say, and how often. Counts any lines, with or without a
//! marker. Pure.
//!
//! Memory is limited however long the log is: from `PATTERNS_MAX` patterns on, similar ones are
//! counted as one, and the rarest are dropped and counted together.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};

use crate::model::cluster::cluster;
use crate::model::pattern::Patterns;
use crate::model::statement;
use crate::model::time::Timestamp;
use crate::model::truncate::truncated;
use crate::redact::Redactor;
use neighbor::LineRedactor;

mod neighbor;

/// So many patterns are counted apart.
const PATTERNS_MAX: usize = 10_000;
/// A line is redacted and masked up to here.
const LINE_BYTES_MAX: usize = 16 * 1024;
const SAMPLE_BYTES_MAX: usize = 400;
/// So many levels and markers of a pattern are counted.
const LABELS_MAX: usize = 8;
/// So many lines get their patterns together, if these take so many bytes. Clusters take about 40
/// times as many.
const ASSIGNED_LINES_MAX: usize = 1_000_000;
const ASSIGNED_BYTES_MAX: usize = 4 << 20;

/// The line of a log.
#[derive(Copy, Clone, Debug)]
pub struct PatternLine<'l> {
    pub text: &'l str,
    /// Its pattern is that of the line with this marker; empty: that of the first line.
    pub marker: &'l str,
    /// Its pattern if it is known; empty: it is found in the text.
    pub pattern: &'l str,
    pub timestamp: Option<Timestamp>,
}

/// Counts the lines of a log by pattern.
pub struct PatternCounter<'r> {
    redactor: LineRedactor<'r>,
    patterns: Patterns,
    counts: HashMap<String, Count>,
    lines: u64,
    /// Lines of patterns that were dropped.
    other: u64,
}

#[derive(Clone, Debug)]
struct Count {
    lines: u64,
    /// The number of the first line.
    first_line: u64,
    first: Option<Timestamp>,
    last: Option<Timestamp>,
    /// The first line.
    sample: String,
    levels: BTreeMap<String, u64>,
    markers: BTreeMap<String, u64>,
}

/// The patterns of a log.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PatternSummary {
    pub lines: u64,
    /// The most frequent first; among equal ones, the one that occurred first.
    pub patterns: Vec<PatternCount>,
    /// Lines of patterns that were too rare to keep.
    pub other: u64,
}

/// How often a pattern occurs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PatternCount {
    pub pattern: String,
    pub lines: u64,
    /// Of the lines that have a time.
    pub first: Option<Timestamp>,
    pub last: Option<Timestamp>,
    /// The first line, redacted and shortened.
    pub sample: String,
    /// Lines by the level that they state, which is not a part of the pattern.
    pub levels: BTreeMap<String, u64>,
    /// Lines by the marker that was found in them, if one was searched for.
    pub markers: BTreeMap<String, u64>,
}

/// Assigns a pattern to each line of a log, or of a part of it: a long log needs one assigner after
/// the other.
pub struct PatternAssigner<'r> {
    redactor: LineRedactor<'r>,
    patterns: Patterns,
    masks: HashMap<String, usize>,
    masks_bytes: usize,
    lines: Vec<usize>,
}

impl<'r> PatternCounter<'r> {
    pub fn new(redactor: &'r Redactor) -> Self {
        Self {
            redactor: LineRedactor::new(redactor),
            patterns: Patterns::default(),
            counts: HashMap::new(),
            lines: 0,
            other: 0,
        }
    }

    pub fn add(&mut self, line: PatternLine<'_>) {
        let text = head(line.text);
        let redacted = self.redactor.redact(text);
        let statement = statement::find(&redacted, line.marker).text;
        let pattern = match line.pattern {
            "" => Cow::Owned(self.patterns.of_line(&statement).to_string()),
            known => Cow::Borrowed(known),
        };
        self.lines += 1;
        let more = Count {
            lines: 1,
            first_line: self.lines,
            first: line.timestamp,
            last: line.timestamp,
            sample: String::new(),
            levels: statement::level(&redacted).map(|level| (level, 1)).into_iter().collect(),
            markers: Some(line.marker.to_owned())
                .filter(|marker| !marker.is_empty())
                .map(|marker| (marker, 1))
                .into_iter()
                .collect(),
        };
        if let Some(count) = self.counts.get_mut(&*pattern) {
            count.add(more);
            return;
        }
        let sample = truncated(&statement, SAMPLE_BYTES_MAX);
        self.counts.insert(pattern.into_owned(), Count { sample, ..more });
        if self.counts.len() >= PATTERNS_MAX {
            self.compact();
        }
    }

    /// Counts similar patterns as one. If most of them are still there, drops the rarer half.
    fn compact(&mut self) {
        self.patterns = Patterns::default();
        let mut counts = self.clustered();
        if counts.len() > PATTERNS_MAX / 2 {
            counts.sort_by(most_frequent_first);
            self.other +=
                counts.drain(PATTERNS_MAX / 2..).map(|(_, count)| count.lines).sum::<u64>();
        }
        self.counts = counts.into_iter().collect();
    }

    fn clustered(&mut self) -> Vec<(String, Count)> {
        let (patterns, counts): (Vec<String>, Vec<Count>) =
            std::mem::take(&mut self.counts).into_iter().unzip();
        let mut clustered: HashMap<String, Count> = HashMap::new();
        for cluster in cluster(&patterns.iter().map(String::as_str).collect::<Vec<_>>()) {
            for member in cluster.members {
                match clustered.get_mut(&cluster.pattern) {
                    Some(known) => known.add(counts[member].clone()),
                    None => drop(clustered.insert(cluster.pattern.clone(), counts[member].clone())),
                }
            }
        }
        clustered.into_iter().collect()
    }

    pub fn finish(mut self) -> PatternSummary {
        let mut counts = self.clustered();
        counts.sort_by(most_frequent_first);
        let pattern = |(pattern, count): (String, Count)| {
            let Count { lines, first, last, sample, levels, markers, .. } = count;
            PatternCount { pattern, lines, first, last, sample, levels, markers }
        };
        PatternSummary {
            lines: self.lines,
            patterns: counts.into_iter().map(pattern).collect(),
            other: self.other,
        }
    }
}

fn most_frequent_first(a: &(String, Count), b: &(String, Count)) -> std::cmp::Ordering {
    b.1.lines.cmp(&a.1.lines).then(a.1.first_line.cmp(&b.1.first_line))
}

impl Count {
    fn add(&mut self, more: Self) {
        self.lines += more.lines;
        self.first = self.first.into_iter().chain(more.first).min();
        self.last = self.last.into_iter().chain(more.last).max();
        add_labels(&mut self.levels, more.levels);
        add_labels(&mut self.markers, more.markers);
        if more.first_line < self.first_line {
            (self.first_line, self.sample) = (more.first_line, more.sample);
        }
    }
}

/// Adds counts by label. Labels beyond a limit are left out.
fn add_labels(known: &mut BTreeMap<String, u64>, more: BTreeMap<String, u64>) {
    for (label, lines) in more {
        if known.len() < LABELS_MAX || known.contains_key(&label) {
            *known.entry(label).or_default() += lines;
        }
    }
}

impl PatternCount {
    /// Whether all its lines are from `since` on; `None` if none of them has a time.
    pub fn is_new(&self, since: Timestamp) -> Option<bool> {
        self.first.map(|first| first >= since)
    }
}

impl<'r> PatternAssigner<'r> {
    pub fn new(redactor: &'r Redactor) -> Self {
        Self {
            redactor: LineRedactor::new(redactor),
            patterns: Patterns::default(),
            masks: HashMap::new(),
            masks_bytes: 0,
            lines: Vec::new(),
        }
    }

    pub fn add(&mut self, line: PatternLine<'_>) {
        let redacted = self.redactor.redact(head(line.text));
        let mask = self.patterns.of_line(&statement::find(&redacted, line.marker).text);
        let at = match self.masks.get(mask.as_str()) {
            Some(known) => *known,
            None => {
                let next = self.masks.len();
                self.masks_bytes += mask.as_str().len();
                self.masks.insert(mask.to_string(), next);
                next
            }
        };
        self.lines.push(at);
    }

    /// Whether it should take no more lines, because memory is limited.
    pub fn is_full(&self) -> bool {
        self.lines.len() >= ASSIGNED_LINES_MAX || self.masks_bytes >= ASSIGNED_BYTES_MAX
    }

    /// The pattern of each line, in order.
    pub fn finish(self) -> impl Iterator<Item = String> {
        let mut masks: Vec<(String, usize)> = self.masks.into_iter().collect();
        masks.sort_by_key(|(_, at)| *at);
        let mut patterns = vec![String::new(); masks.len()];
        for cluster in cluster(&masks.iter().map(|(mask, _)| mask.as_str()).collect::<Vec<_>>()) {
            for member in cluster.members {
                patterns[member].clone_from(&cluster.pattern);
            }
        }
        self.lines.into_iter().map(move |at| patterns[at].clone())
    }
}

fn head(text: &str) -> &str {
    &text[..text.floor_char_boundary(LINE_BYTES_MAX)]
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::redact::{CustomRule, RuleName, RulePattern};

    fn summary(lines: &[&str]) -> PatternSummary {
        let redactor = Redactor::default();
        let mut counter = PatternCounter::new(&redactor);
        for (line, at) in lines.iter().zip(0..) {
            let timestamp = (at % 2 == 0).then(|| Timestamp::from_millis(at));
            counter.add(PatternLine { text: line, marker: "", pattern: "", timestamp });
        }
        counter.finish()
    }

    #[test]
    fn patterns_are_counted_with_their_times_and_a_sample() {
        let summary = summary(&[
            "order 1 failed",
            "started",
            "order 2 failed",
            "order 3 failed",
            "no db in /a",
            "no db in /b",
        ]);
        let counts: Vec<_> = summary
            .patterns
            .iter()
            .map(|p| (p.pattern.as_str(), p.lines, p.sample.as_str()))
            .collect();
        let expected = [
            ("order <n> failed", 3, "order 1 failed"),
            ("no db in <…>", 2, "no db in /a"),
            ("started", 1, "started"),
        ];
        assert_eq!((summary.lines, summary.other, &counts[..]), (6, 0, &expected[..]));
        let times = |at: usize| (summary.patterns[at].first, summary.patterns[at].last);
        assert_eq!(times(0), (Some(Timestamp::from_millis(0)), Some(Timestamp::from_millis(2))));
        assert_eq!(times(2), (None, None));
        let since = |at: usize, millis| summary.patterns[at].is_new(Timestamp::from_millis(millis));
        assert_eq!((since(0, 0), since(0, 1), since(2, 0)), (Some(true), Some(false), None));
    }

    #[test]
    fn a_known_pattern_is_counted_as_it_is() {
        let redactor = Redactor::default();
        let mut counter = PatternCounter::new(&redactor);
        for pattern in ["order <n> failed", ""] {
            let text = "… order 7 failed";
            counter.add(PatternLine { text, marker: "", pattern, timestamp: None });
        }
        let mut patterns: Vec<_> =
            counter.finish().patterns.into_iter().map(|count| count.pattern).collect();
        patterns.sort();
        assert_eq!(patterns, ["order <n> failed", "… order <n> failed"]);
    }

    #[test]
    fn an_assigner_is_full_before_it_takes_much_memory() {
        let redactor = Redactor::default();
        let mut assigner = PatternAssigner::new(&redactor);
        let mut lines = 0;
        while !assigner.is_full() {
            let letters = |n: u32| ['a', 'b', 'c', 'd'][(n % 4) as usize];
            let word: String = (0..10).map(|at| letters(lines >> (2 * at))).collect();
            let text = format!("{word} ").repeat(90);
            assigner.add(PatternLine { text: &text, marker: "", pattern: "", timestamp: None });
            lines += 1;
        }
        assert!((10_000..30_000).contains(&lines), "{lines}");
    }

    #[test]
    fn memory_is_limited_and_every_line_is_counted() {
        let redactor = Redactor::default();
        let mut counter = PatternCounter::new(&redactor);
        let letters = |mut n: u64| {
            let mut word = String::new();
            while n > 0 {
                word.push(char::from(b'a' + u8::try_from(n % 26).unwrap()));
                n /= 26;
            }
            word
        };
        let lines = 2 * PATTERNS_MAX as u64;
        for n in 1..=lines {
            // Too different for clusters.
            let text = format!("{} {}", letters(n * 7_919), letters(n * 104_729));
            counter.add(PatternLine { text: &text, marker: "", pattern: "", timestamp: None });
            counter.add(PatternLine {
                text: "disk is full",
                marker: "",
                pattern: "",
                timestamp: None,
            });
            assert!(counter.counts.len() <= PATTERNS_MAX);
        }
        let summary = counter.finish();
        let counted =
            summary.patterns.iter().map(|pattern| pattern.lines).sum::<u64>() + summary.other;
        assert_eq!((summary.lines, counted), (2 * lines, 2 * lines));
        assert!(summary.other > 0);
        assert_eq!(
            (summary.patterns[0].pattern.as_str(), summary.patterns[0].lines),
            ("disk is full", lines)
        );
    }

    #[test]
    fn each_line_gets_the_pattern_of_its_cluster_without_secrets() {
        let redactor = Redactor::new(
            vec![CustomRule {
                name: RuleName::new("customer").unwrap(),
                pattern: RulePattern::new("customer-[a-z]+").unwrap(),
            }],
            vec![],
        )
        .unwrap();
        let mut assigner = PatternAssigner::new(&redactor);
        let lines = ["no db in /a", "[C] customer-ann left", "no db in /b", ""];
        lines.iter().for_each(|text| {
            assigner.add(PatternLine { text, marker: "", pattern: "", timestamp: None })
        });
        assert!(!assigner.is_full());
        let patterns: Vec<String> = assigner.finish().collect();
        assert_eq!(patterns, ["no db in <…>", "[C] [redacted:customer] left", "no db in <…>", ""]);
    }
}
