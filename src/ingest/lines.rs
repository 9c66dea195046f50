//! Lines of plain text that may carry a marker. They are found in place, in blocks of the input. Only
//! they are copied, with the lines around them that may become a part of the alert; the others are
//! counted.
//!
//! Left to others: reading blocks, and whether a line is an alert (`route`).

use std::borrow::Cow;
use std::ops::Range;

use aho_corasick::{AhoCorasick, Input, packed};
use flate2::Crc;
use memchr::{memchr, memchr_iter, memmem, memrchr};

use crate::ingest::logs::{LogBatch, LogEvent};
use crate::model::line_time;
use crate::model::statement::{self, Continuation};
use crate::model::time::Timestamp;

/// The first byte of a sequence that controls a terminal.
const ESCAPE: u8 = 0x1b;

/// Finds the lines that may carry a marker.
#[derive(Clone, Debug)]
pub struct LineFilter {
    /// Each finds other lines.
    searches: Vec<Search>,
    limits: AroundLimits,
}

/// How many lines around a line may become a part of its alert.
#[derive(Clone, Copy, Debug, Default)]
pub struct AroundLimits {
    pub before: usize,
    /// Lines that continue it, such as those of a stack trace.
    pub joined: usize,
    /// Lines after those.
    pub after: usize,
    /// So many bytes after a line are looked at.
    pub after_bytes: usize,
}

/// How lines are found.
#[derive(Clone, Debug)]
enum Search {
    /// By one marker.
    Marker(Box<memmem::Finder<'static>>),
    /// By several markers, with vector instructions (Teddy). Exists for some processors and sets of
    /// markers only.
    Packed(packed::Searcher),
    Automaton(AhoCorasick),
    /// By the start of a sequence that controls a terminal, which may divide a marker.
    Sequence,
    /// Every line may carry a marker.
    All,
}

/// The most markers that are searched for one by one. Searches for one text are several times as
/// fast as one for several.
const SINGLE_SEARCHES_MAX: usize = 3;

/// A part of an input. Lines that begin in `block` are looked at. `text` may have more lines before
/// and after it, and begins with a whole line.
#[derive(Clone, Debug)]
pub struct LineWindow<'t> {
    pub text: &'t [u8],
    pub block: Range<usize>,
    /// Whether the input ends with it.
    pub is_last: bool,
    /// The offset of `text` in the input.
    pub offset: u64,
    /// The number of lines before the block.
    pub lines_before: u64,
}

/// The lines that may carry a marker, and those around them.
#[derive(Debug, Default)]
pub struct GatheredLines {
    pub hits: Vec<LineHit>,
    /// How many lines were looked at.
    pub lines: u64,
    text: Vec<u8>,
}

/// A line that may carry a marker.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineHit {
    /// The line in the text, with its ending.
    line: Range<usize>,
    /// The line and those around it.
    around: Range<usize>,
    /// Its offset in the input.
    offset: u64,
    /// Its number in the input, from 1.
    number: u64,
}

/// How lines are identified.
#[derive(Clone, Copy, Debug)]
pub enum LineNames {
    /// By offset and content. A second run over the same file finds the same names, and a rotated
    /// file has others.
    Offset,
    /// By a run and their number in it.
    Run(Timestamp),
}

/// Gathered lines as the data of a record.
#[derive(Debug)]
pub struct LineRecord<'t> {
    /// Without log events.
    pub head: LogBatch<'t>,
    pub hits: &'t [LineHit],
    /// How many lines the record stands for, including those without a marker.
    pub lines: u64,
    text: &'t [u8],
    names: LineNames,
    /// The time of lines without a time.
    now: Timestamp,
}

impl LineFilter {
    pub fn limits(&self) -> AroundLimits {
        self.limits
    }

    /// Without markers, every line is kept.
    pub fn new<'m>(markers: impl IntoIterator<Item = &'m str>, limits: AroundLimits) -> Self {
        let mut markers: Vec<&str> = markers.into_iter().collect();
        markers.sort_unstable();
        markers.dedup();
        Self { searches: searches(&markers), limits }
    }

    /// Adds the lines of the block to `gathered`, up to the `hits_max`th that may carry a marker.
    /// Returns where the next line begins.
    pub fn gather(
        &self,
        window: &LineWindow<'_>,
        gathered: &mut GatheredLines,
        hits_max: usize,
    ) -> usize {
        let LineWindow { text, block, .. } = window;
        let mut copy = SegmentCopy { filter: self, window, gathered, segment: 0..0, first: 0 };
        copy.first = copy.gathered.hits.len();
        let (mut at, mut number) = (block.start, window.lines_before);
        let block_text = &text[..block.end];
        let mut found: Vec<usize> =
            self.searches.iter().map(|search| search.next(block_text, at)).collect();
        while let Some(first) = found.iter().min().copied().filter(|first| *first < block.end)
            && copy.gathered.hits.len() < hits_max
        {
            let line = line_at(block_text, at, first);
            number += count_lines(&text[at..line.start]) + 1;
            at = line.end;
            let mut has_marker = false;
            for (search, next) in self.searches.iter().zip(&mut found) {
                if *next < at {
                    has_marker |= !matches!(search, Search::Sequence);
                    *next = search.next(block_text, at);
                }
            }
            if has_marker || self.has_divided_marker(&text[line.clone()]) {
                copy.add(line, number);
            }
        }
        copy.flush();
        if gathered.hits.len() < hits_max {
            number += count_lines(&text[at..block.end]);
            at = block.end;
        }
        gathered.lines += number - window.lines_before;
        at
    }

    /// Whether a marker appears once the sequences are removed.
    fn has_divided_marker(&self, line: &[u8]) -> bool {
        let line = String::from_utf8_lossy(line);
        let plain = statement::without_sequences(&line);
        let mut of_markers =
            self.searches.iter().filter(|search| !matches!(search, Search::Sequence));
        of_markers.any(|search| search.next(plain.as_bytes(), 0) < plain.len())
    }
}

/// The searches that find every line that may carry one of these markers.
fn searches(markers: &[&str]) -> Vec<Search> {
    // An invalid byte becomes this character only after the search.
    let is_searchable = |marker: &&str| !marker.is_empty() && !marker.contains('\u{fffd}');
    if markers.is_empty() || !markers.iter().all(is_searchable) {
        return vec![Search::All];
    }
    let single = |marker: &&str| Search::Marker(Box::new(memmem::Finder::new(marker).into_owned()));
    let mut searches = match markers.len() {
        0..=SINGLE_SEARCHES_MAX => markers.iter().map(single).collect(),
        _ => match packed::Searcher::new(markers) {
            Some(packed) => vec![Search::Packed(packed)],
            None => vec![AhoCorasick::new(markers).map_or(Search::All, Search::Automaton)],
        },
    };
    searches.push(Search::Sequence);
    searches
}

impl Search {
    /// The first offset at or after `from`, else the end of `text`.
    fn next(&self, text: &[u8], from: usize) -> usize {
        let found = match self {
            Self::Marker(finder) => finder.find(&text[from..]).map(|at| from + at),
            Self::Packed(packed) => {
                packed.find_in(text, (from..text.len()).into()).map(|found| found.start())
            }
            Self::Automaton(automaton) => {
                automaton.find(Input::new(text).range(from..)).map(|found| found.start())
            }
            Self::Sequence => memchr(ESCAPE, &text[from..]).map(|at| from + at),
            Self::All => Some(from),
        };
        found.unwrap_or(text.len())
    }
}

/// The line around `at`, with its ending. A line begins at `from`.
fn line_at(text: &[u8], from: usize, at: usize) -> Range<usize> {
    let start = memrchr(b'\n', &text[from..at]).map_or(from, |end| from + end + 1);
    start..line_end(text, at)
}

/// The end of the line around `at`, after its ending.
fn line_end(text: &[u8], at: usize) -> usize {
    memchr(b'\n', &text[at..]).map_or(text.len(), |end| at + end + 1)
}

/// The number of lines in a text that begins with a line. The last one need not be ended.
fn count_lines(text: &[u8]) -> u64 {
    let ended = memchr_iter(b'\n', text).count() as u64;
    ended + u64::from(text.last().is_some_and(|last| *last != b'\n'))
}

/// Copies lines with those around them, where these overlap only once.
struct SegmentCopy<'a, 't> {
    filter: &'a LineFilter,
    window: &'a LineWindow<'t>,
    gathered: &'a mut GatheredLines,
    /// A range of the window that is not copied yet.
    segment: Range<usize>,
    /// The first hit of the segment. Its ranges, and those of the hits after it, are in the window.
    first: usize,
}

impl SegmentCopy<'_, '_> {
    fn add(&mut self, line: Range<usize>, number: u64) {
        let around = self.start_before(line.start)..self.end_after(&line);
        if around.start > self.segment.end {
            self.flush();
            self.segment = around.clone();
        } else {
            self.segment.end = around.end.max(self.segment.end);
        }
        let offset = self.window.offset + line.start as u64;
        self.gathered.hits.push(LineHit { line, around, offset, number });
    }

    fn start_before(&self, mut start: usize) -> usize {
        for _ in 0..self.filter.limits.before {
            if start == 0 {
                break;
            }
            let before = &self.window.text[..start - 1];
            start = memrchr(b'\n', before).map_or(0, |end| end + 1);
        }
        start
    }

    fn end_after(&self, line: &Range<usize>) -> usize {
        let AroundLimits { mut joined, mut after, after_bytes, .. } = self.filter.limits;
        let LineWindow { text, is_last, .. } = self.window;
        let limit = text.len().min(line.end + after_bytes);
        let is_last = *is_last && limit == text.len();
        let mut continuation = Continuation::of(&text_of(&text[line.clone()]));
        let mut end = line.end;
        for following in text[line.end..limit].split_inclusive(|byte| *byte == b'\n') {
            if !is_last && !following.ends_with(b"\n") {
                break;
            }
            if joined > 0 && continuation.next(&text_of(following)).is_some() {
                joined -= 1;
            } else if after > 0 {
                (joined, after) = (0, after - 1);
            } else {
                break;
            }
            end += following.len();
        }
        end
    }

    fn flush(&mut self) {
        let GatheredLines { hits, text, .. } = &mut *self.gathered;
        let base = text.len();
        text.extend_from_slice(&self.window.text[self.segment.clone()]);
        let moved = |range: &Range<usize>| {
            range.start - self.segment.start + base..range.end - self.segment.start + base
        };
        for hit in &mut hits[self.first..] {
            (hit.line, hit.around) = (moved(&hit.line), moved(&hit.around));
        }
        self.first = hits.len();
        self.segment = 0..0;
    }
}

impl GatheredLines {
    /// The size of the copied text.
    pub fn bytes(&self) -> usize {
        self.text.len()
    }

    /// The lines in parts of at most `hits_max` hits, at least one part. The first stands for all
    /// lines without a marker.
    pub fn records<'t>(
        &'t self,
        head: &LogBatch<'t>,
        names: LineNames,
        now: Timestamp,
        hits_max: usize,
    ) -> Vec<LineRecord<'t>> {
        let mut rest = self.lines - self.hits.len() as u64;
        let mut parts: Vec<&[LineHit]> = self.hits.chunks(hits_max).collect();
        if parts.is_empty() {
            parts.push(&[]);
        }
        let mut record = |hits: &'t [LineHit]| {
            let lines = hits.len() as u64 + std::mem::take(&mut rest);
            LineRecord { head: head.clone(), hits, lines, text: &self.text, names, now }
        };
        parts.into_iter().map(&mut record).collect()
    }
}

impl<'t> LineRecord<'t> {
    /// The id of the first line, which names the record.
    pub fn first_id(&self) -> String {
        self.hits.first().map(|hit| self.id(hit)).unwrap_or_default()
    }

    /// The line of `hit` as a log event. Invalid UTF-8 becomes U+FFFD.
    pub(super) fn event(&self, hit: &LineHit) -> LogEvent<'t> {
        let message = text_of(&self.text[hit.line.clone()]);
        LogEvent {
            id: Cow::Owned(self.id(hit)),
            timestamp: line_time::of_line(&message, self.now).unwrap_or(self.now).as_millis(),
            message,
            account: None,
            region: None,
        }
    }

    fn id(&self, hit: &LineHit) -> String {
        match self.names {
            LineNames::Offset => {
                let mut crc = Crc::new();
                crc.update(without_ending(&self.text[hit.line.clone()]));
                format!("{:016x}{:08x}", hit.offset, crc.sum())
            }
            LineNames::Run(run) => format!("{}-{}", run.as_millis(), hit.number),
        }
    }

    /// The lines after that of `hit`, in order.
    pub(super) fn after(&self, hit: &LineHit) -> impl Iterator<Item = Cow<'t, str>> + use<'t> {
        let text = &self.text[hit.line.end..hit.around.end];
        text.split_inclusive(|byte| *byte == b'\n').map(text_of)
    }

    /// The last `count` lines before that of `hit`, in order.
    pub(super) fn before(&self, hit: &LineHit, count: usize) -> Vec<Cow<'t, str>> {
        let text = &self.text[hit.around.start..hit.line.start];
        let mut before: Vec<_> =
            text.split_inclusive(|byte| *byte == b'\n').rev().take(count).map(text_of).collect();
        before.reverse();
        before
    }
}

fn text_of(line: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(without_ending(line))
}

/// A line without `\n` or `\r\n`.
pub fn without_ending(line: &[u8]) -> &[u8] {
    let text = line.strip_suffix(b"\n").unwrap_or(line);
    text.strip_suffix(b"\r").unwrap_or(text)
}
